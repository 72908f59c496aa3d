//! What a metric measures, read from general words in its name.

use serde::Serialize;

use crate::metric::{MetricKind, Unit};

/// What a metric measures, as far as its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Time that requests take.
    Latency,
    /// Requests that fail, counted or as a share; availability is turned into it.
    Failures,
    /// Processor, memory, disk, network, queues: what is used up.
    Resource,
    /// How much is asked for.
    Traffic,
    /// Nothing that the name gives away.
    Other,
}

/// A metric's kind with what else its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub kind: Kind,
    /// More is better: availability, successes.
    pub good: bool,
    /// A mean over requests, which multiplies with their number; a quantile does not.
    pub mean: bool,
    /// A share of the requests rather than a number of them.
    pub share: bool,
    /// Whether it may be a counter.
    pub counting: Counting,
}

/// Whether values that only ever add up have to be turned into a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    /// Memory creeps upwards by nature, and what nobody knows is taken as it is.
    Never,
    /// Where nearly every value is above the one before.
    Perhaps,
    /// The name is one that counters have.
    Named,
}

const GOOD: &[&str] = &["availability", "available", "success", "successful", "uptime"];
const FAILURES: &[&str] =
    &["error", "err", "fail", "failed", "failure", "fault", "exception", "timeout", "drop", "dropped", "unavailable", "5xx", "rejected"];
const LATENCY: &[&str] = &["latency", "lat", "duration", "delay", "rt", "response", "rtt"];
const MEMORY: &[&str] = &["mem", "memory", "heap", "rss"];
const RESOURCE: &[&str] = &[
    "cpu",
    "processor",
    "disk",
    "diskio",
    "io",
    "iops",
    "fs",
    "filesystem",
    "net",
    "network",
    "socket",
    "packet",
    "tx",
    "rx",
    "queue",
    "backlog",
    "lag",
    "pending",
    "thread",
    "connection",
    "pool",
    "gc",
    "saturation",
    "gpu",
];
const TRAFFIC: &[&str] = &["request", "req", "rps", "qps", "throughput", "load", "workload", "call", "hit", "traffic"];

/// Reads a metric's name. Failures go before latency and latency before traffic, because `requests_failed` and
/// `request_duration` are what their last word says.
pub(super) fn read(metric: &str) -> Reading {
    let words = words(metric);
    let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.as_str()) || w.strip_suffix('s').is_some_and(|w| list.contains(&w)));
    let good = has(GOOD) && !has(FAILURES);
    let memory = has(MEMORY);
    let kind = if good || has(FAILURES) {
        Kind::Failures
    } else if has(LATENCY) {
        Kind::Latency
    } else if memory || has(RESOURCE) {
        Kind::Resource
    } else if has(TRAFFIC) {
        Kind::Traffic
    } else {
        Kind::Other
    };
    let counting = if memory {
        Counting::Never
    } else if has(&["total", "count", "bucket", "sum"]) {
        Counting::Named
    } else if kind == Kind::Other {
        Counting::Never
    } else {
        Counting::Perhaps
    };
    Reading {
        kind,
        good,
        mean: has(&["avg", "average", "mean"]),
        share: good || has(&["rate", "ratio", "percent", "percentage", "fraction"]),
        counting,
    }
}

/// What a metric measures: what is known of it, or else what its name says.
pub(super) fn of(metric: &str, known: Option<(MetricKind, Unit)>) -> Reading {
    let named = read(metric);
    let Some((measures, unit)) = known else { return named };
    let kind = match measures {
        MetricKind::Latency => Kind::Latency,
        MetricKind::Errors | MetricKind::Availability => Kind::Failures,
        MetricKind::Traffic => Kind::Traffic,
        MetricKind::Other => Kind::Other,
        MetricKind::Cpu
        | MetricKind::Memory
        | MetricKind::Disk
        | MetricKind::Network
        | MetricKind::Queue
        | MetricKind::Saturation
        | MetricKind::Gpu => Kind::Resource,
    };
    // Queries that are watched give rates, not counters.
    let good = measures == MetricKind::Availability;
    Reading { kind, good, share: good || unit == Unit::Ratio, counting: Counting::Never, ..named }
}

/// The words of a name in lower case: cut where neither letter nor digit stands, and where `camelCase` rises.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut low = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (low && c.is_uppercase()) {
            words.push(String::new());
        }
        low = c.is_lowercase() || c.is_numeric();
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_words_tell_the_kind() {
        for (name, kind) in [
            ("latency_p99", Kind::Latency),
            ("http_request_duration_seconds", Kind::Latency),
            ("responseTime", Kind::Latency),
            ("lat_50", Kind::Latency),
            ("availability", Kind::Failures),
            ("requests_failed_total", Kind::Failures),
            ("http5xx_errors", Kind::Failures),
            ("container_cpu_usage_seconds_total", Kind::Resource),
            ("mem", Kind::Resource),
            ("diskIO", Kind::Resource),
            ("requests_Sum", Kind::Traffic),
            ("qps", Kind::Traffic),
            ("temperature", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(read(name).kind, kind, "{name}");
        }
    }

    #[test]
    fn what_is_known_goes_before_the_name() {
        let known = of("failed_request_duration", Some((MetricKind::Latency, Unit::Seconds)));
        assert_eq!((known.kind, known.good, known.share, known.counting), (Kind::Latency, false, false, Counting::Never));
        let known = of("up", Some((MetricKind::Availability, Unit::None)));
        assert_eq!((known.kind, known.good, known.share), (Kind::Failures, true, true));
        assert_eq!(of("error_latency_avg", Some((MetricKind::Traffic, Unit::Ratio))).kind, Kind::Traffic);
        assert_eq!(of("cpu", None), read("cpu"));
    }

    #[test]
    fn availability_is_good_and_errors_are_not() {
        assert!(read("availability_Average").good && read("availability_Average").mean);
        assert!(!read("success_errors").good);
        assert!(read("errorRate").share && !read("errors").share);
    }

    #[test]
    fn words_are_cut_at_signs_and_humps() {
        assert_eq!(words("http_requestsPerSecond-p99"), ["http", "requests", "per", "second", "p99"]);
        assert_eq!(words("CPU"), ["cpu"]);
    }
}
