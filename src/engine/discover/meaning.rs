//! What a metric's name and label values say: what is measured, which metric is the whole of another, what failed.

use std::collections::{BTreeMap, BTreeSet};

use super::conventions::{self, FAILURES, IN_USE, LIMIT};
use super::metric::{Kind, Metric};
use crate::monitor::{MetricKind, Unit};

/// What the words of a gauge's name say.
pub(super) fn of_words(metric: &Metric) -> MetricKind {
    let words = metric.words();
    let said = |known: &&(MetricKind, &[&str])| words.iter().any(|word| known.1.contains(&word.as_str()));
    conventions::WORDS.iter().find(said).map_or(MetricKind::Other, |(kind, _)| *kind)
}

pub(super) fn of_counter(metric: &Metric) -> (MetricKind, Unit) {
    let words = metric.words();
    if words.iter().any(|word| FAILURES.contains(&word.as_str())) {
        return (MetricKind::Errors, Unit::PerSecond);
    }
    match (of_words(metric), metric.unit()) {
        // Seconds per second: how much of the time, or how many at once.
        (MetricKind::Latency, Unit::Seconds) => (MetricKind::Saturation, Unit::None),
        (kind, Unit::Seconds) => (kind, Unit::None),
        (MetricKind::Traffic | MetricKind::Other, Unit::Bytes) => (MetricKind::Network, Unit::Bytes),
        (kind, Unit::Bytes) => (kind, Unit::Bytes),
        // What is counted through a queue or a connection is traffic, however full that may be.
        (MetricKind::Queue | MetricKind::Saturation | MetricKind::Latency | MetricKind::Availability, _) => {
            (MetricKind::Traffic, Unit::PerSecond)
        }
        (kind, _) => (kind, Unit::PerSecond),
    }
}

pub(super) fn of_distribution(metric: &Metric) -> (MetricKind, Unit) {
    match metric.unit() {
        Unit::Seconds => (MetricKind::Latency, Unit::Seconds),
        unit => match of_words(metric) {
            kind @ (MetricKind::Latency | MetricKind::Queue) => (kind, unit),
            _ => (MetricKind::Other, unit),
        },
    }
}

/// The matcher for failures, if the label's values tell how requests ended.
pub(super) fn failures(label: &str, values: &BTreeSet<String>) -> Option<String> {
    let all = |good: &dyn Fn(&str) -> bool| !values.is_empty() && values.iter().all(|v| good(v));
    let http = |v: &str| {
        v.len() == 3
            && v.starts_with(|c: char| ('1'..='5').contains(&c))
            && (v[1..].bytes().all(|b| b.is_ascii_digit()) || v[1..].eq_ignore_ascii_case("xx"))
    };
    if all(&http) {
        return Some(format!("{label}=~\"5..\""));
    }
    if values.contains("OK") {
        return Some(format!("{label}!=\"OK\""));
    }
    if label.contains("grpc") && all(&|v| v.parse::<u8>().is_ok_and(|code| code <= 16)) {
        return Some(format!("{label}!=\"0\""));
    }
    if label == "success" && all(&|v| v == "true" || v == "false") {
        return Some("success=\"false\"".to_owned());
    }
    let failed: Vec<&str> = values
        .iter()
        .map(String::as_str)
        .filter(|value| value.split(['_', '-', ' ']).any(|word| FAILURES.contains(&word.to_lowercase().as_str())))
        .filter(|value| value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- ".contains(&b)))
        .collect();
    (!failed.is_empty() && failed.len() < values.len()).then(|| format!("{label}=~\"{}\"", failed.join("|")))
}

/// The gauge that says how much there is of what `used` says is in use.
pub(super) fn pair_of<'a>(used: &str, by_name: &BTreeMap<&str, &'a Metric>) -> Option<&'a Metric> {
    let wrapped = format!("_{used}_");
    for in_use in IN_USE {
        let Some((before, after)) = wrapped.split_once(&format!("_{in_use}_")) else { continue };
        for limit in LIMIT {
            // `pool_used` beside `pool_max`, or `connections_used` beside `max_connections_…`.
            let same_place = format!("{before}_{limit}_{after}");
            if let Some(found) = by_name.get(same_place.trim_matches('_')).filter(|m| m.kind == Kind::Gauge) {
                return Some(found);
            }
        }
    }
    // `db_connections` beside `db_max_connections` or `db_connections_max`.
    let (head, tail) = used.rsplit_once('_')?;
    let names = LIMIT
        .iter()
        .filter(|limit| !matches!(**limit, "total" | "size"))
        .flat_map(|limit| [format!("{head}_{limit}_{tail}"), format!("{used}_{limit}")]);
    names.into_iter().find_map(|name| by_name.get(name.as_str()).copied()).filter(|m| m.kind == Kind::Gauge)
}

pub(super) fn without_in_use(name: &str) -> String {
    let wrapped = format!("_{name}_");
    let found = IN_USE.iter().find_map(|word| wrapped.split_once(&format!("_{word}_")));
    found.map_or_else(|| name.to_owned(), |(before, after)| format!("{before}_{after}").trim_matches('_').to_owned())
}

/// The counter of all attempts, of which `failed` counts those that failed: `x_requests_total` for `x_errors_total`.
pub(super) fn whole_of<'a>(failed: &str, by_name: &BTreeMap<&str, &'a Metric>) -> Option<&'a Metric> {
    let stem = failed.strip_suffix("_total").unwrap_or(failed);
    let (before, word) = stem.rsplit_once('_')?;
    if !FAILURES.contains(&word) {
        return None;
    }
    let names =
        [format!("{before}s_total"), format!("{before}_total"), format!("{before}_requests_total"), format!("{before}_attempts_total")];
    names.iter().find_map(|name| by_name.get(name.as_str()).copied()).filter(|m| m.kind == Kind::Counter)
}

/// What is counted: `http_request` of `http_requests_total` and of `http_request_duration_seconds`.
pub(super) fn request_stem(name: &str) -> String {
    let mut stem = name;
    let ends = [
        "_total",
        "_seconds",
        "_milliseconds",
        "_ms",
        "_bytes",
        "_duration",
        "_latency",
        "_latencies",
        "_time",
        "_processing",
        "_handling",
        "_handled",
    ];
    while let Some(shorter) = ends.iter().find_map(|end| stem.strip_suffix(end)) {
        stem = shorter;
    }
    stem.strip_suffix('s').unwrap_or(stem).to_owned()
}

/// `http_request_duration_seconds` as `http-request-duration`.
pub(super) fn monitor_name(metric: &str) -> String {
    let mut name = metric.strip_suffix("_total").unwrap_or(metric);
    name = ["_seconds", "_milliseconds", "_ms", "_bytes"].iter().find_map(|unit| name.strip_suffix(unit)).unwrap_or(name);
    let words: Vec<String> = name.split(['_', ':']).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    words.join("-")
}
