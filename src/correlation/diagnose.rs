//! Where trouble began: services ranked by how well a fault in each explains what all metrics did around an instant.
//!
//! One cause is assumed, and each service is asked in turn: had the fault been here, how likely is what we see? Five
//! things answer, each a number that a person can check, and their sum is the service's log likelihood:
//!
//! - **size**: its own metrics left their course, in the harmful direction, far for their noise *and* for their level.
//!   A delay is a large part of the culprit's own latency and a small part of that of everything above it.
//! - **callers**: trouble climbs from the called to the caller, so a fault here explains the symptoms of all services
//!   above, and none elsewhere (Sherlock, Bahl et al. 2007: a noisy-or along dependencies).
//! - **work**: requests × extra latency is the number of requests stuck (Little 1961), requests × extra failures the
//!   number lost. Both add up along calls, so what a service has beyond its callees' is its own doing, and something
//!   rarely called cannot slow what is called often.
//! - **course**: the cause moves with the symptom over time (correlation with the front end's
//!   trouble, as Kim et al. 2013 weigh their walk).
//! - **time**: it began no later than the others, by an onset with its uncertainty.
//!
//! Where something is not known (no graph, no request counts, no symptom, no metrics for a service), its number is
//! the same for all or stands for "unknown", and the rest decides.

mod calls;
mod deviation;
mod kind;
mod score;
mod words;
mod work;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::metric::{MetricKind, Unit};
use crate::series::Window;

pub use kind::Kind;

/// One metric of one service. The samples may stand in any order, with gaps, and NaN counts as a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSeries {
    /// Whose metric.
    pub service: String,
    /// Its name, from which its kind is read.
    pub metric: String,
    /// When each value was taken.
    pub times: Vec<Timestamp>,
    /// One value for each time; what has no partner is left out.
    pub values: Vec<f64>,
    /// What it measures and in which unit, where that is known; otherwise it is read from the name.
    pub measures: Option<(MetricKind, Unit)>,
}

impl MetricSeries {
    /// The values of a window.
    pub fn of(service: String, metric: String, window: &Window) -> Self {
        let times = (0..window.len()).map(|i| window.time(i)).collect();
        Self { service, metric, times, values: window.values().to_vec(), measures: None }
    }

    /// The same, whose values are known to measure this.
    #[must_use]
    pub fn measuring(mut self, metric: MetricKind, unit: Unit) -> Self {
        self.measures = Some((metric, unit));
        self
    }
}

/// What ranked first, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// The service whose trouble was to be explained: as asked, or else the front door of the graph.
    pub symptom: Option<String>,
    /// Every service that can be the cause, the likeliest first; the probabilities sum to 1.
    pub causes: Vec<Cause>,
}

/// A service that may be where the trouble began.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cause {
    /// The service.
    pub service: String,
    /// How likely it is the one, given that one of them is.
    pub probability: f64,
    /// Its log likelihood, but for a constant.
    pub score: f64,
    /// When its most telling metric left its course.
    pub onset: Option<Timestamp>,
    /// The change came after this instant, with 95 % certainty.
    pub onset_low: Option<Timestamp>,
    /// The change came no later than this instant, with 95 % certainty.
    pub onset_high: Option<Timestamp>,
    /// What speaks for it and against it, the strongest metric first, then calls, work, course and time.
    pub evidence: Vec<Evidence>,
}

/// One thing that a person can check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// What was looked at.
    pub about: About,
    /// The metric, where it is about one.
    pub metric: Option<String>,
    /// What was seen, in words.
    pub text: String,
    /// What it adds to the service's score; metrics beyond the two strongest kinds add nothing.
    pub weight: f64,
    /// For a metric: its change in robust standard deviations of its past, above 0 where it rose.
    pub deviation: Option<f64>,
    /// For a metric: when it left its course.
    pub onset: Option<Timestamp>,
}

/// What a piece of evidence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// A metric's own deviation.
    Metric,
    /// The symptoms of those who call it.
    Callers,
    /// Requests stuck or lost.
    Work,
    /// Moving with the symptom.
    Course,
    /// Being early.
    Time,
    /// Not below the symptom in the graph.
    Reach,
}

/// The numbers behind a diagnosis. One set serves all data; they are named so that their effect can be measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// How wrong the given instant may be, ms.
    pub guard: i64,
    /// How long after it is looked at, ms; at least three steps.
    pub horizon: i64,
    /// How much of the way from the long-run level to that just before the window is gone for the usual level.
    pub recent: f64,
    /// How many robust deviations soften the level that a change is compared with.
    pub soft: f64,
    /// The robust deviations at which a change counts half.
    pub clear: f64,
    /// The greatest effect; e^4 is a change to 55 times.
    pub largest: f64,
    /// What an improvement of latency or failures counts.
    pub better: f64,
    /// What the fall of a resource counts.
    pub less: f64,
    /// What a change of traffic counts: it is more often carried on than begun.
    pub traffic: f64,
    /// What a change of an unknown kind counts.
    pub other: f64,
    /// What the second strongest kind of metric adds.
    pub second: f64,
    /// How much less a symptom of the other kind counts: failures when latency is to be explained, and the reverse.
    pub misfit: f64,
    /// Log likelihood for one unit of effect.
    pub size: f64,
    /// The effect assumed for a service that has no metrics.
    pub unseen: f64,
    /// The chance that trouble climbs one call.
    pub climb: f64,
    /// The most that one caller's symptoms can say, as log likelihood.
    pub caller: f64,
    /// How much the logarithm of the share of work counts.
    pub work: f64,
    /// The share of work that is always granted.
    pub granted: f64,
    /// The share assumed where work cannot be computed.
    pub unknown: f64,
    /// The evidence of the strongest symptom at which the work counts half: noise multiplied by requests is no work.
    pub felt: f64,
    /// How much moving with the symptom counts.
    pub course: f64,
    /// How much being late counts.
    pub late: f64,
    /// The chance that a cause is not below the symptom in the graph.
    pub elsewhere: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            guard: 60_000,
            horizon: 900_000,
            recent: 0.5,
            soft: 3.0,
            clear: 5.0,
            largest: 4.0,
            better: 0.1,
            less: 0.25,
            traffic: 0.4,
            other: 0.6,
            second: 0.25,
            misfit: 0.5,
            size: 1.6,
            unseen: 0.3,
            climb: 0.7,
            caller: 4.0,
            work: 2.8,
            granted: 0.1,
            unknown: 0.4,
            felt: 0.3,
            course: 2.0,
            late: 0.5,
            elsewhere: 0.05,
        }
    }
}

impl Parameters {
    /// What a change of this kind counts.
    fn weight(&self, kind: Kind, rose: bool) -> f64 {
        match (kind, rose) {
            (Kind::Latency | Kind::Failures | Kind::Resource, true) => 1.0,
            (Kind::Latency | Kind::Failures, false) => self.better,
            (Kind::Resource, false) => self.less,
            (Kind::Traffic, _) => self.traffic,
            (Kind::Other, _) => self.other,
        }
    }
}

/// Ranks all services that appear in `metrics` or in `graph` (pairs of caller and callee) as the cause of what happened
/// around `at`, which may be wrong by a minute either way. `symptom` is the service whose trouble is to be explained.
/// Neither the order of the input nor the scale of a metric changes the answer. No causes without services.
pub fn diagnose(metrics: &[MetricSeries], graph: &[(String, String)], at: Timestamp, symptom: Option<&str>) -> Diagnosis {
    diagnose_with(metrics, graph, at, symptom, &Parameters::default())
}

/// [`diagnose`] with other parameters, to measure what each does.
pub fn diagnose_with(
    metrics: &[MetricSeries],
    graph: &[(String, String)],
    at: Timestamp,
    symptom: Option<&str>,
    p: &Parameters,
) -> Diagnosis {
    let calls = calls::Calls::new(metrics.iter().map(|m| m.service.as_str()), graph);
    let mut services: Vec<Vec<deviation::Deviation>> = calls.names.iter().map(|_| Vec::new()).collect();
    for series in metrics {
        if let (Some(service), Some(deviation)) = (calls.find(&series.service), deviation::judge(series, at.millis(), p)) {
            services[service].push(deviation);
        }
    }
    for deviations in &mut services {
        deviations.sort_by(|a, b| {
            let numbers = b.evidence.total_cmp(&a.evidence).then(b.robust.total_cmp(&a.robust)).then(b.harm.total_cmp(&a.harm));
            numbers.then_with(|| a.metric.cmp(&b.metric)).then_with(|| a.level.total_cmp(&b.level))
        });
    }
    score::rank(&calls, &services, symptom, p)
}

#[cfg(test)]
mod tests;
