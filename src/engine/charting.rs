//! Who calls whom: what is configured, and what service-graph metrics in Prometheus say besides.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Engine;
use crate::clock::Timestamp;
use crate::correlation::topology::{Call, CallSource, LONGEST_NAME, MOST_CALLS, Topology};
use crate::error::Result;
use crate::source::prometheus::Prometheus;
use crate::telemetry;

/// How often the calls are read anew.
const AGAIN: Duration = Duration::from_mins(5);
/// The same after a failure.
const RETRY: Duration = Duration::from_secs(30);

/// Metrics that count the calls between two services, and the labels that name caller and callee.
const GRAPHS: [(&str, &str, &str); 4] = [
    // Tempo's metrics generator, and the service-graph connector of OpenTelemetry.
    ("traces_service_graph_request_total", "client", "server"),
    ("istio_requests_total", "source_canonical_service", "destination_canonical_service"),
    ("istio_requests_total", "source_workload", "destination_workload"),
    // Linkerd, as seen by the caller.
    ("request_total", "deployment", "dst_deployment"),
];
/// What these metrics say where they do not know a name.
const NOBODY: [&str; 3] = ["", "unknown", "user"];

impl Engine {
    /// Who calls whom, as far as it is known.
    pub fn topology(&self) -> Arc<Topology> {
        self.0.topology.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the calls now and then, forever.
    pub(super) async fn keep_charting(self) {
        let Some(prometheus) = &self.0.prometheus else { return };
        loop {
            let measured = match measured_calls(prometheus, self.0.clock.now()).await {
                Ok(measured) => measured,
                // What was known before stays: services do not stop calling each other because Prometheus is away.
                Err(error) => {
                    telemetry::failure("topology", &error);
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            };
            let calls = self.0.config.calls.iter().cloned().chain(measured);
            match Topology::new(calls.take(MOST_CALLS)) {
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
}

/// The calls that some metric counts.
pub(super) async fn measured_calls(prometheus: &Prometheus, now: Timestamp) -> Result<BTreeSet<Call>> {
    let mut calls = BTreeSet::new();
    for (metric, client, server) in GRAPHS {
        let query = format!("count by ({client}, {server}) ({metric}{{{client}!=\"\",{server}!=\"\"}})");
        let found = prometheus.instant(&query, now).await?;
        let named = |name: &str| !NOBODY.contains(&name) && name.len() <= LONGEST_NAME;
        calls.extend(found.iter().filter_map(|(key, _)| {
            let (caller, callee) = (key.get(client)?, key.get(server)?);
            let known = named(caller) && named(callee);
            known.then(|| Call { caller: caller.to_owned(), callee: callee.to_owned(), source: CallSource::Measured })
        }));
    }
    Ok(calls)
}
