//! What is known of one metric name: its type, unit and labels.

use std::collections::{BTreeMap, BTreeSet};

use crate::monitor::Unit;
use crate::series::SeriesKey;
use crate::source::prometheus::Metadata;

/// The types of Prometheus that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    /// With `_bucket` series.
    Histogram,
    /// One series holds all buckets.
    NativeHistogram,
    Summary,
    /// Labels that carry facts; the value is always 1.
    Info,
}

/// A metric: a family of series under one name, a histogram's parts taken together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Metric {
    /// Without `_bucket`, `_sum` and `_count` for histograms and summaries, otherwise the name of the series.
    pub name: String,
    pub kind: Kind,
    /// The declared help, in lower case.
    pub help: String,
    /// Series under the name; for histograms those of `_count`.
    pub series: usize,
    pub labels: Labels,
}

/// Label values seen on the series of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Labels {
    seen: usize,
    values: BTreeMap<String, (usize, BTreeSet<String>)>,
}

impl Labels {
    pub(super) fn add(&mut self, key: &SeriesKey) {
        self.seen += 1;
        for (name, value) in key.labels().iter().filter(|(name, _)| *name != "__name__") {
            let (on, values) = self.values.entry(name.clone()).or_default();
            *on += 1;
            values.insert(value.clone());
        }
    }

    /// The values of the label `name`; none unless at least nine of ten series have it.
    pub(super) fn values(&self, name: &str) -> Option<&BTreeSet<String>> {
        let (on, values) = self.values.get(name)?;
        (on * 10 >= self.seen * 9).then_some(values)
    }

    /// Every label name except those of histograms and summaries.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.values.keys().map(String::as_str).filter(|name| !matches!(*name, "le" | "quantile")).collect()
    }
}

impl Metric {
    /// The series whose rate is the metric's traffic.
    pub(super) fn count_series(&self) -> String {
        match self.kind {
            Kind::Histogram | Kind::Summary => format!("{}_count", self.name),
            _ => self.name.clone(),
        }
    }

    /// The name's parts between underscores and colons, in lower case.
    pub(super) fn words(&self) -> Vec<String> {
        self.name.split(['_', ':']).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    }

    /// The unit that the name ends with, as the naming conventions of Prometheus ask for.
    pub(super) fn unit(&self) -> Unit {
        let words = self.words();
        let has = |unit: &str| words.iter().rev().take(2).any(|word| word == unit);
        if has("seconds") || has("milliseconds") || has("ms") {
            Unit::Seconds
        } else if has("bytes") {
            Unit::Bytes
        } else if words.iter().rev().take(2).any(|word| word.starts_with("ratio")) {
            Unit::Ratio
        } else {
            Unit::None
        }
    }

    /// Whether values are in thousandths of seconds.
    pub(super) fn in_milliseconds(&self) -> bool {
        self.words().iter().rev().take(2).any(|word| word == "milliseconds" || word == "ms")
    }
}

/// One name as Prometheus counts its series.
pub(super) type Counts = BTreeMap<String, usize>;

/// The name under which the labels of `metric` are asked for.
pub(super) fn series_name(metric: &Metric, counts: &Counts) -> String {
    let count = metric.count_series();
    if counts.contains_key(&count) { count } else { metric.name.clone() }
}

/// The metrics behind the series names in `counts`. Declared types count; where there are none (remote storages,
/// backfilled blocks) the suffixes tell, as the naming conventions of Prometheus and `OpenMetrics` lay down.
pub(super) fn metrics(counts: &Counts, metadata: &BTreeMap<String, Metadata>) -> Vec<Metric> {
    let has = |name: &str, suffix: &str| counts.contains_key(&format!("{name}{suffix}"));
    let declared = |name: &str| metadata.get(name).map_or("", |m| m.kind.as_str());
    let mut families: BTreeMap<String, Kind> = BTreeMap::new();
    for name in counts.keys() {
        // The parts of a histogram or summary belong to its base name.
        let part = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix).map(|base| (base, *suffix)));
        if let Some((base, suffix)) = part {
            let typed = matches!(declared(base), "histogram" | "summary" | "gaugehistogram");
            let undeclared = declared(name).is_empty();
            if has(base, "_bucket") && (suffix == "_bucket" || typed || undeclared) {
                families.insert(base.to_owned(), Kind::Histogram);
                continue;
            }
            if (typed && suffix != "_bucket") || (undeclared && has(base, "_sum") && has(base, "_count")) {
                families.entry(base.to_owned()).or_insert(Kind::Summary);
                continue;
            }
        }
        // Some clients declare a counter without its `_total`.
        let stem = name.strip_suffix("_total").unwrap_or(name);
        let declared = [declared(name), declared(stem)].into_iter().find(|kind| !matches!(*kind, "" | "unknown" | "untyped"));
        let kind = match declared {
            Some("counter") => Kind::Counter,
            Some("histogram") => Kind::NativeHistogram,
            Some("summary") => Kind::Summary,
            Some("info" | "stateset") => Kind::Info,
            _ if name.ends_with("_info") => Kind::Info,
            None if name.ends_with("_total") => Kind::Counter,
            _ => Kind::Gauge,
        };
        // A summary's quantiles stand under its base name; that it is one, `_sum` and `_count` tell.
        if !(has(name, "_sum") && has(name, "_count")) || kind == Kind::NativeHistogram {
            families.insert(name.clone(), kind);
        }
    }
    let help_of = |name: &str| {
        let stem = name.strip_suffix("_total").unwrap_or(name);
        metadata.get(name).or_else(|| metadata.get(stem)).map_or_else(String::new, |m| m.help.to_lowercase())
    };
    families
        .into_iter()
        .map(|(name, kind)| {
            let mut metric = Metric { help: help_of(&name), name, kind, series: 0, labels: Labels::default() };
            metric.series = counts.get(&series_name(&metric, counts)).copied().unwrap_or_default();
            metric
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(names: &[&str], declared: &[(&str, &str)]) -> Vec<(String, Kind)> {
        let counts = names.iter().map(|name| ((*name).to_owned(), 1)).collect();
        let metadata = declared
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), Metadata { kind: (*kind).to_owned(), ..Metadata::default() }))
            .collect();
        metrics(&counts, &metadata).into_iter().map(|m| (m.name, m.kind)).collect()
    }

    fn owned(expected: &[(&str, Kind)]) -> Vec<(String, Kind)> {
        expected.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
    }

    #[test]
    fn suffixes_tell_the_type_where_nothing_is_declared() {
        let names = ["a_seconds_bucket", "a_seconds_count", "a_seconds_sum", "b_total", "c_bytes", "d_count", "d_sum", "e_info", "f_count"];
        let expected = [
            ("a_seconds", Kind::Histogram),
            ("b_total", Kind::Counter),
            ("c_bytes", Kind::Gauge),
            ("d", Kind::Summary),
            ("e_info", Kind::Info),
            ("f_count", Kind::Gauge),
        ];
        assert_eq!(kinds(&names, &[]), owned(&expected));
    }

    #[test]
    fn declared_types_count() {
        let names = ["a", "a_count", "a_sum", "b", "c_total", "d_seconds", "g_count", "g_sum"];
        let declared =
            [("a", "summary"), ("b", "counter"), ("c", "counter"), ("d_seconds", "histogram"), ("g_count", "gauge"), ("g_sum", "gauge")];
        let expected = [
            ("a", Kind::Summary),
            ("b", Kind::Counter),
            ("c_total", Kind::Counter),
            ("d_seconds", Kind::NativeHistogram),
            ("g_count", Kind::Gauge),
            ("g_sum", Kind::Gauge),
        ];
        assert_eq!(kinds(&names, &declared), owned(&expected));
    }

    #[test]
    fn a_label_counts_where_nearly_every_series_has_it() {
        let mut labels = Labels::default();
        for i in 0..10 {
            let rare = if i == 0 { "x" } else { "" };
            labels.add(&SeriesKey::new([("job".to_owned(), format!("j{}", i % 2)), ("rare".to_owned(), rare.to_owned())]));
        }
        assert_eq!(labels.values("job").map(BTreeSet::len), Some(2));
        assert_eq!(labels.values("rare"), None);
    }
}
