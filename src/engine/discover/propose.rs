//! From metrics to candidates: rates, quantiles, error ratios and utilisations (RED and USE), purely by convention.

use std::collections::{BTreeMap, BTreeSet};

use super::conventions::{self, EXPORTERS, FAILURES, FEATURE_LABELS, INTERNALS, MODEL_DATA, SIGNALS, STATUS};
use super::meaning::{failures, monitor_name, of_counter, of_distribution, of_words, pair_of, request_stem, whole_of, without_in_use};
use super::metric::{Kind, Metric};
use super::{Options, Skipped};
use crate::clock::DurationMs;
use crate::finding::Direction;
use crate::guard::Guards;
use crate::monitor::{DriftPlan, ForecastPlan, Limit, MetricKind, Monitor, Reference, Unit};

/// A monitor that is proposed if its values turn out to be worth watching.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub monitor: Monitor,
    /// The metric it comes from.
    pub metric: String,
    /// Whether it is good when nothing moves: no errors, everything up.
    pub may_be_flat: bool,
}

/// The candidates among `metrics`, in order of their metrics' names, and what is left out at once.
pub(super) fn propose(metrics: &[Metric], options: &Options) -> (Vec<Candidate>, Vec<Skipped>) {
    let by_name: BTreeMap<&str, &Metric> = metrics.iter().map(|m| (m.name.as_str(), m)).collect();
    let mut proposing = Proposing { by_name, options, candidates: Vec::new(), skipped: Vec::new(), done: BTreeSet::new() };
    proposing.signals(metrics);
    for metric in metrics {
        proposing.ratio(metric);
    }
    for metric in metrics {
        if !proposing.done.contains(&metric.name) {
            proposing.metric(metric);
        }
    }
    let Proposing { mut candidates, skipped, .. } = proposing;
    candidates.sort_by(|a, b| a.metric.cmp(&b.metric));
    let mut names: BTreeSet<String> = BTreeSet::new();
    for candidate in &mut candidates {
        let name = candidate.monitor.name.clone();
        let mut n = 2;
        while !names.insert(candidate.monitor.name.clone()) {
            candidate.monitor.name = format!("{name}-{n}");
            n += 1;
        }
    }
    (candidates, skipped)
}

struct Proposing<'a> {
    by_name: BTreeMap<&'a str, &'a Metric>,
    options: &'a Options,
    candidates: Vec<Candidate>,
    skipped: Vec<Skipped>,
    /// The metrics that a candidate shows already.
    done: BTreeSet<String>,
}

/// How the series of a metric are grouped.
struct Grouping {
    service: String,
    by: String,
}

impl Proposing<'_> {
    fn skip(&mut self, metric: &Metric, reason: impl Into<String>) {
        self.skipped.push(Skipped { metric: metric.name.clone(), reason: reason.into() });
    }

    fn add(&mut self, metric: &Metric, grouping: &Grouping, name: &str, query: String, meaning: (MetricKind, Unit, Option<Direction>)) {
        let may_be_flat = meaning.0 == MetricKind::Availability || (meaning.0 == MetricKind::Errors && meaning.1 == Unit::Ratio);
        let monitor = Monitor {
            name: name.chars().take(90).collect(),
            query,
            metric: meaning.0,
            unit: meaning.1,
            service: None,
            service_label: grouping.service.clone(),
            step: self.options.step,
            window: self.options.window,
            direction: meaning.2,
            guards: Guards::default(),
            severity: None,
            group_by: None,
            alert_budget_per_day: None,
            runbook_url: None,
            slo: None,
            forecast: None,
            drift: None,
        };
        self.candidates.push(Candidate { monitor, metric: metric.name.clone(), may_be_flat });
        self.done.insert(metric.name.clone());
    }

    /// The range of a rate: five minutes, and at least two steps, so that no increase falls between them.
    fn rate(&self) -> DurationMs {
        DurationMs::from_secs(300).max(self.options.step * 2)
    }

    fn grouping(&self, metric: &Metric) -> Option<Grouping> {
        let few = |label: &&&str| metric.labels.values(label).is_some_and(|values| values.len() <= self.options.most_series);
        let service = conventions::service_labels(&metric.name).iter().find(few)?;
        let mut by = (*service).to_owned();
        for label in conventions::dimensions(&metric.name).iter().filter(|label| *label != service).filter(few) {
            by.push_str(", ");
            by.push_str(label);
        }
        Some(Grouping { service: (*service).to_owned(), by })
    }

    /// The signals of well-known exporters.
    fn signals(&mut self, metrics: &[Metric]) {
        let parts: BTreeMap<String, &Metric> = metrics
            .iter()
            .flat_map(|m| ["", "_sum", "_count"].into_iter().map(move |suffix| (format!("{}{suffix}", m.name), m)))
            .filter(|(name, m)| *name == m.name || matches!(m.kind, Kind::Histogram | Kind::Summary))
            .collect();
        for signal in SIGNALS {
            let Some(needed) = signal.needs.iter().map(|name| parts.get(*name).copied()).collect::<Option<Vec<&Metric>>>() else {
                continue;
            };
            if let Some(large) = needed.iter().find(|m| m.series > self.options.most_raw_series) {
                self.too_many(large);
                continue;
            }
            let Some(grouping) = self.grouping(needed[0]) else { continue };
            let query = signal.query.replace("BY", &grouping.by).replace("RATE", &self.rate().to_string());
            self.add(needed[0], &grouping, signal.name, query, (signal.metric, signal.unit, signal.direction));
            if conventions::FILLS.contains(&signal.name)
                && let Some(candidate) = self.candidates.last_mut()
            {
                let (window, limit) = (self.options.window, Some(Limit::Value(1.0)));
                let horizon = DurationMs::WEEK.min(window * 2);
                let step = ForecastPlan::usual_step(horizon).max(self.options.step);
                candidate.monitor.forecast = Some(ForecastPlan { horizon, step, window, limit, events: Vec::new() });
            }
            for other in needed {
                self.done.insert(other.name.clone());
            }
        }
    }

    /// How full something is, where one gauge says how much is in use and another how much there is.
    fn ratio(&mut self, used: &Metric) {
        if used.kind != Kind::Gauge || self.done.contains(&used.name) || self.left_out(used).is_some() {
            return;
        }
        let pair = pair_of(&used.name, &self.by_name);
        let Some(limit) = pair.filter(|limit| limit.series <= self.options.most_raw_series && used.series <= self.options.most_raw_series)
        else {
            return;
        };
        let Some(grouping) = self.grouping(used) else { return };
        let (by, used_name, limit_name) = (&grouping.by, &used.name, &limit.name);
        // Of several members the fullest matters; that can be asked where their labels match one to one.
        let query = if used.labels.names() == limit.labels.names() {
            format!("max by ({by}) ({used_name} / ({limit_name} > 0))")
        } else {
            format!("sum by ({by}) ({used_name}) / (sum by ({by}) ({limit_name}) > 0)")
        };
        let metric = match of_words(used) {
            kind @ (MetricKind::Memory | MetricKind::Disk | MetricKind::Cpu | MetricKind::Gpu | MetricKind::Queue) => kind,
            _ => MetricKind::Saturation,
        };
        let name = format!("{}-utilisation", monitor_name(&without_in_use(used_name)));
        self.add(used, &grouping, &name, query, (metric, Unit::Ratio, Some(Direction::Up)));
        self.done.insert(limit.name.clone());
    }

    /// Why a metric is not watched whatever its values are.
    fn left_out(&self, metric: &Metric) -> Option<String> {
        let name = metric.name.as_str();
        if let Some((_, why)) = INTERNALS.iter().find(|(prefix, _)| name.starts_with(prefix)) {
            return Some((*why).to_owned());
        }
        if metric.kind == Kind::Info || name.ends_with("_build") || name.ends_with("_version") {
            return Some("carries facts in its labels, no measurement".to_owned());
        }
        if name.ends_with("_created") || name.contains("timestamp") || name.ends_with("_start_time_seconds") || metric.help.contains("unix")
        {
            return Some("a point in time, no measurement".to_owned());
        }
        let gauge = metric.kind == Kind::Gauge;
        let of_distribution = name.strip_suffix("_max").and_then(|base| self.by_name.get(base));
        if gauge && of_distribution.is_some_and(|m| matches!(m.kind, Kind::Summary | Kind::Histogram)) {
            return Some("the maximum of a distribution that is watched".to_owned());
        }
        if gauge
            && !name.contains(':')
            && metric.words().iter().any(|w| matches!(w.as_str(), "limit" | "max" | "capacity" | "maximum" | "config"))
        {
            return Some("a limit, which does not move by itself".to_owned());
        }
        if EXPORTERS.iter().any(|prefix| name.starts_with(prefix)) {
            return Some("a detail of a well-known exporter; its main signals are watched".to_owned());
        }
        None
    }

    fn too_many(&mut self, metric: &Metric) {
        let most = self.options.most_raw_series;
        self.skip(metric, format!("explosive: {} series, more than {most}; record an aggregate of it", metric.series));
        self.done.insert(metric.name.clone());
    }

    /// A metric that no well-known exporter explains.
    fn metric(&mut self, metric: &Metric) {
        if let Some(reason) = self.left_out(metric) {
            return self.skip(metric, reason);
        }
        if metric.series > self.options.most_raw_series {
            return self.too_many(metric);
        }
        let Some(grouping) = self.grouping(metric) else {
            let most = self.options.most_series;
            return self.skip(metric, format!("no label tells its service with at most {most} values"));
        };
        match metric.kind {
            Kind::Counter => self.counter(metric, &grouping),
            Kind::Histogram | Kind::NativeHistogram => self.histogram(metric, &grouping),
            Kind::Summary => self.summary(metric, &grouping),
            Kind::Gauge => self.gauge(metric, &grouping),
            Kind::Info => {}
        }
    }

    fn counter(&mut self, metric: &Metric, grouping: &Grouping) {
        let (by, name, rate) = (&grouping.by, &metric.name, self.rate());
        let base = monitor_name(name);
        let (kind, unit) = of_counter(metric);
        let query = format!("sum by ({by}) (rate({name}[{rate}]))");
        if kind == MetricKind::Errors {
            // Failures alone rise with traffic; their share does not.
            if let Some(whole) = whole_of(name, &self.by_name).filter(|whole| whole.labels.names().contains(grouping.service.as_str())) {
                let query = format!("{query} / (sum by ({by}) (rate({}[{rate}])) > 0)", whole.name);
                return self.add(metric, grouping, &format!("{base}-ratio"), query, (kind, Unit::Ratio, Some(Direction::Up)));
            }
        }
        self.add(metric, grouping, &format!("{base}-rate"), query, (kind, unit, conventions::direction(kind)));
        if kind != MetricKind::Errors {
            self.error_ratio(metric, grouping, name, &base);
        }
    }

    /// The share of requests that failed, where a label tells how they ended. Without traffic there is no value;
    /// with traffic and no failure it is 0 even when no series of a failure exists yet.
    fn error_ratio(&mut self, metric: &Metric, grouping: &Grouping, series: &str, base: &str) {
        let Some(failed) = STATUS.iter().find_map(|label| failures(label, metric.labels.values(label)?)) else { return };
        let (by, rate) = (&grouping.by, self.rate());
        let all = format!("sum by ({by}) (rate({series}[{rate}]))");
        let query = format!("(sum by ({by}) (rate({series}{{{failed}}}[{rate}])) or 0 * {all}) / ({all} > 0)");
        self.add(metric, grouping, &format!("{base}-error-ratio"), query, (MetricKind::Errors, Unit::Ratio, Some(Direction::Up)));
    }

    /// How often a distribution was observed, unless a counter tells that already.
    fn traffic(&mut self, metric: &Metric, grouping: &Grouping) {
        let (by, rate) = (&grouping.by, self.rate());
        let stem = request_stem(&metric.name);
        let counter = self.by_name.values().find(|m| m.kind == Kind::Counter && request_stem(&m.name) == stem);
        let series = match metric.kind {
            Kind::NativeHistogram => format!("histogram_count(sum by ({by}) (rate({}[{rate}])))", metric.name),
            _ => format!("sum by ({by}) (rate({}[{rate}]))", metric.count_series()),
        };
        let base = monitor_name(&stem);
        let counted_failures = counter.is_some_and(|m| STATUS.iter().any(|label| m.labels.values(label).is_some()));
        match counter.map(|m| m.name.clone()) {
            Some(counter) => {
                let skipped = Skipped { metric: metric.count_series(), reason: format!("duplicate: {counter} gives the same traffic") };
                self.skipped.push(skipped);
            }
            None => self.add(metric, grouping, &format!("{base}-rate"), series, (MetricKind::Traffic, Unit::PerSecond, None)),
        }
        if metric.kind != Kind::NativeHistogram && !counted_failures {
            self.error_ratio(metric, grouping, &metric.count_series(), &base);
        }
    }

    fn histogram(&mut self, metric: &Metric, grouping: &Grouping) {
        let (by, name, rate) = (&grouping.by, &metric.name, self.rate());
        let (kind, unit) = of_distribution(metric);
        let scale = if metric.in_milliseconds() { " / 1000" } else { "" };
        let of_model = unit == Unit::None && metric.words().iter().any(|word| MODEL_DATA.contains(&word.as_str()));
        if of_model {
            self.drift(metric, grouping);
        }
        // Of a model's output the middle is enough, for the rest is watched for drift; that of several features means nothing.
        let several = metric.labels.names().iter().any(|label| label.starts_with("feature"));
        let enough = if of_model { usize::from(!several) } else { 3 };
        for (quantile, suffix) in [("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99")].into_iter().take(enough) {
            let buckets = match metric.kind {
                Kind::NativeHistogram => format!("sum by ({by}) (rate({name}[{rate}]))"),
                _ => format!("sum by ({by}, le) (rate({name}_bucket[{rate}]))"),
            };
            let query = format!("histogram_quantile({quantile}, {buckets}){scale}");
            self.add(metric, grouping, &format!("{}-{suffix}", monitor_name(name)), query, (kind, unit, conventions::direction(kind)));
        }
        // Sizes are observed with requests that something else counts.
        if unit != Unit::Bytes {
            self.traffic(metric, grouping);
        }
    }

    /// A model's data, each feature's distribution held against that of a week before.
    fn drift(&mut self, metric: &Metric, grouping: &Grouping) {
        let selector = match metric.kind {
            Kind::NativeHistogram => metric.name.clone(),
            _ => format!("{}_bucket", metric.name),
        };
        let labels = metric.labels.names();
        let told = FEATURE_LABELS.iter().filter(|label| labels.contains(**label) && **label != grouping.service);
        let by = std::iter::once(grouping.service.as_str()).chain(told.copied()).map(str::to_owned).collect();
        self.add(metric, grouping, &format!("{}-drift", monitor_name(&metric.name)), selector, (MetricKind::Other, Unit::None, None));
        if let Some(candidate) = self.candidates.last_mut() {
            candidate.may_be_flat = true;
            let (window, every) = (DurationMs::HOUR * 6, DurationMs::from_secs(1800));
            candidate.monitor.drift =
                Some(DriftPlan { by, window, every, reference: Reference::Before(DurationMs::WEEK), least_effect: 0.1 });
        }
    }

    fn summary(&mut self, metric: &Metric, grouping: &Grouping) {
        let (by, name, rate) = (&grouping.by, &metric.name, self.rate());
        let (kind, unit) = of_distribution(metric);
        let scale = if metric.in_milliseconds() { " / 1000" } else { "" };
        // A summary's quantiles cannot be added up over instances; its mean can.
        let query = format!("sum by ({by}) (rate({name}_sum[{rate}])) / (sum by ({by}) (rate({name}_count[{rate}])) > 0){scale}");
        self.add(metric, grouping, &format!("{}-mean", monitor_name(name)), query, (kind, unit, conventions::direction(kind)));
        self.traffic(metric, grouping);
    }

    fn gauge(&mut self, metric: &Metric, grouping: &Grouping) {
        let (by, name) = (&grouping.by, &metric.name);
        let (mut kind, mut unit) = (of_words(metric), metric.unit());
        if metric.words().iter().any(|word| FAILURES.contains(&word.as_str())) {
            kind = MetricKind::Errors;
        }
        let percent = metric.words().iter().any(|word| matches!(word.as_str(), "percent" | "percentage"));
        let celsius = metric.words().iter().any(|word| matches!(word.as_str(), "celsius" | "temperature" | "temp"));
        let scale = if metric.in_milliseconds() {
            " / 1000"
        } else if percent {
            unit = Unit::Ratio;
            " / 100"
        } else {
            ""
        };
        // Amounts add up over the members of a service. Times, shares and temperatures do not: there the worst counts,
        // and a recording rule is an aggregate already.
        let recorded = name.contains(':');
        let aggregate = if recorded || celsius || matches!(unit, Unit::Seconds | Unit::Ratio) { "max" } else { "sum" };
        let query = format!("{aggregate} by ({by}) ({name}){scale}");
        self.add(metric, grouping, &monitor_name(name), query, (kind, unit, conventions::direction(kind)));
    }
}
