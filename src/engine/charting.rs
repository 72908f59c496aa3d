//! Who calls whom: what is configured, what service-graph metrics in Prometheus say besides, and of services of which neither
//! knows anything, whose trouble keeps following whose.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::Engine;
use crate::clock::{DurationMs, Timestamp};
use crate::correlation::topology::learned::{jumps, learn, together};
use crate::correlation::topology::{Call, CallSource, LONGEST_NAME, MOST_CALLS, Topology};
use crate::error::{Error, Result};
use crate::metric::MetricKind;
use crate::series::SeriesKey;
use crate::source::prometheus::Prometheus;
use crate::telemetry;

/// How often the calls are read anew.
const AGAIN: Duration = Duration::from_mins(5);
/// The same after a failure.
const RETRY: Duration = Duration::from_secs(30);

/// From the start until calls are learned, and from each time to the next.
const LEARN_AFTER: Duration = Duration::from_mins(20);
const LEARN_AGAIN: Duration = Duration::from_hours(12);
/// What they are learned from.
const LEARN_FROM: DurationMs = DurationMs::from_millis(3 * DurationMs::DAY.millis());
/// The most points of one monitor that are read for it.
const MOST_POINTS: u64 = 5_000_000;

/// Metrics that count the calls between two services, and the labels that name caller and callee.
const GRAPHS: [(&str, &str, &str); 4] = [
    // Tempo's metrics generator, and the service-graph connector of OpenTelemetry.
    ("traces_service_graph_request_total", "client", "server"),
    ("istio_requests_total", "source_canonical_service", "destination_canonical_service"),
    ("istio_requests_total", "source_workload", "destination_workload"),
    // Linkerd, as seen by the caller.
    ("request_total", "deployment", "dst_deployment"),
];
/// What tells which machines the targets of a service run on, where a label says so.
const MACHINES: (&str, &str, &str) = ("up", "job", "node");
/// What these metrics say where they do not know a name.
const NOBODY: [&str; 3] = ["", "unknown", "user"];

impl Engine {
    /// Who calls whom, as far as it is known.
    pub fn topology(&self) -> Arc<Topology> {
        self.0.topology.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the calls now and then, forever, and learns those of services that are in none.
    pub(super) async fn keep_charting(self) {
        let Some(prometheus) = &self.0.prometheus else { return };
        let (mut learned, mut due) = (Vec::new(), Instant::now() + LEARN_AFTER);
        loop {
            let now = self.0.clock.now();
            let read = async { Ok::<_, Error>((measured_calls(prometheus, now).await?, machines(prometheus, now).await?)) };
            let (measured, machines) = match read.await {
                Ok(read) => read,
                // What was known before stays: services do not stop calling each other because Prometheus is away.
                Err(error) => {
                    telemetry::failure("topology", &error);
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            };
            let known: Vec<Call> = self.0.config.calls.iter().cloned().chain(measured).take(MOST_CALLS).collect();
            if self.0.config.learn_calls && Instant::now() >= due {
                due = Instant::now() + LEARN_AGAIN;
                match self.learned_calls(prometheus).await {
                    Ok(calls) => learned = calls,
                    Err(error) => telemetry::failure("topology", &error),
                }
            }
            let calls = with_learned(known, &learned).into_iter().chain(machines).take(MOST_CALLS);
            match Topology::new(calls) {
                Ok(topology) => {
                    metrics::gauge!("bellwether_topology_services").set(topology.services().len() as f64);
                    *self.0.topology.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(topology);
                }
                Err(violations) => {
                    tracing::warn!(violations = ?violations.first(), "the calls that were read make no topology; the one before stays");
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The calls that are seen in how the trouble of services follows that of others, over the last three days of what the
    /// monitors watch.
    ///
    /// # Errors
    /// Prometheus does not answer.
    pub async fn learned_calls(&self, prometheus: &Prometheus) -> Result<Vec<Call>> {
        let now = self.0.clock.now();
        let mut onsets: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
        let mut coarsest = DurationMs::ZERO;
        for monitor in self.watched().into_values().filter(|monitor| monitor.drift.is_none() && climbs(monitor.metric)) {
            let (step, end) = (monitor.step, now.align_down(monitor.step));
            let reading = prometheus.range(&monitor.query, (now - LEARN_FROM).align_down(step), end, step).await?;
            if reading.points > MOST_POINTS {
                continue;
            }
            coarsest = coarsest.max(step);
            let found = self
                .pool()
                .run(move || reading.series.iter().map(|one| (monitor.service_of(&one.key), jumps(&one.window))).collect::<Vec<_>>())
                .await?;
            for (service, at) in found {
                onsets.entry(service).or_default().extend(at);
            }
        }
        let onsets = onsets.into_iter().map(|(service, at)| (service, together(at))).collect();
        self.pool().run(move || learn(&onsets, LEARN_FROM, coarsest.max(DurationMs::from_secs(1)))).await
    }
}

/// Whether trouble of this kind climbs from the called to the caller.
fn climbs(metric: MetricKind) -> bool {
    matches!(metric, MetricKind::Latency | MetricKind::Errors | MetricKind::Saturation | MetricKind::Queue)
}

/// What is known, and what was learned between services of which nothing is known.
fn with_learned(known: Vec<Call>, learned: &[Call]) -> Vec<Call> {
    let in_some: BTreeSet<&str> = known.iter().flat_map(|call| [call.caller.as_str(), call.callee.as_str()]).collect();
    let is_new = |call: &&Call| !in_some.contains(call.caller.as_str()) && !in_some.contains(call.callee.as_str());
    let new: Vec<Call> = learned.iter().filter(is_new).take(MOST_CALLS - known.len()).cloned().collect();
    known.into_iter().chain(new).collect()
}

/// The calls that some metric counts.
///
/// # Errors
/// Prometheus does not answer.
pub async fn measured_calls(prometheus: &Prometheus, now: Timestamp) -> Result<BTreeSet<Call>> {
    let mut calls = BTreeSet::new();
    for graph in GRAPHS {
        calls.extend(pairs(prometheus, graph, now).await?);
    }
    Ok(calls)
}

/// Which machines the targets of each service run on, as calls: a service needs its machines as it needs what it calls.
///
/// # Errors
/// Prometheus does not answer.
pub async fn machines(prometheus: &Prometheus, now: Timestamp) -> Result<BTreeSet<Call>> {
    pairs(prometheus, MACHINES, now).await
}

/// The pairs that a metric names.
async fn pairs(prometheus: &Prometheus, (metric, client, server): (&str, &str, &str), now: Timestamp) -> Result<BTreeSet<Call>> {
    let query = format!("count by ({client}, {server}) ({metric}{{{client}!=\"\",{server}!=\"\"}})");
    let found = prometheus.instant(&query, now).await?;
    let named = |name: &str| !NOBODY.contains(&name) && name.len() <= LONGEST_NAME;
    let call = |(key, _): &(SeriesKey, f64)| {
        let (caller, callee) = (key.get(client)?, key.get(server)?);
        let known = named(caller) && named(callee);
        known.then(|| Call { caller: caller.to_owned(), callee: callee.to_owned(), source: CallSource::Measured })
    };
    Ok(found.iter().filter_map(call).collect())
}
