//! gRPC, web pages, webhook, metrics and health on one port.

mod convert;
mod grpc;
mod http;
mod series_metrics;
mod status;
pub mod web;

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::clock::DurationMs;
use crate::engine::Engine;
use crate::error::{Code, Error, Result};

/// How often health is looked at.
const HEALTH_EVERY: Duration = Duration::from_secs(2);
/// The services that need nothing but the process itself.
const ALWAYS: [&str; 2] = ["bellwether.v1.AnalysisService", "bellwether.v1.BacktestService"];
/// The services that need the store.
const ON_THE_STORE: [&str; 3] = ["bellwether.v1.ActionService", "bellwether.v1.EventService", "bellwether.v1.IncidentService"];
/// The services that need Prometheus.
const ON_PROMETHEUS: [&str; 1] = ["bellwether.v1.MonitorService"];

/// Bounds on what comes from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest request message in bytes.
    pub max_message_bytes: usize,
    /// The most series one request may have.
    pub max_series: usize,
    /// The most points one request may have, over all its series.
    pub max_points: usize,
    /// Requests analysed at once.
    pub max_concurrent_analyses: usize,
    /// The longest one request may take.
    pub request_timeout: DurationMs,
}

/// Serves `engine` on `listener` until `shutdown` completes. `metrics` renders the process' own.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    engine: Engine,
    limits: Limits,
    metrics: Option<PrometheusHandle>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let grpc = grpc::routes(&engine, limits, health)?;
    let router = http::router(&engine, limits, metrics, grpc);
    report_health(&engine, &reporter).await;
    let health_task = tokio::spawn(async move {
        loop {
            report_health(&engine, &reporter).await;
            tokio::time::sleep(HEALTH_EVERY).await;
        }
    });
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown).await;
    health_task.abort();
    served.map_err(|e| Error::new(Code::Unavailable, "cannot serve").caused_by(e))
}

/// Tells `grpc.health.v1` what is true: the whole serves when the store and Prometheus do, a service when what it needs does.
async fn report_health(engine: &Engine, reporter: &HealthReporter) {
    let health = engine.health().await;
    let serving = |good: bool| if good { ServingStatus::Serving } else { ServingStatus::NotServing };
    let all = [
        (&[""][..], health.is_good()),
        (&ALWAYS, true),
        (&ON_THE_STORE, health.store.is_none()),
        (&ON_PROMETHEUS, health.prometheus.is_none()),
    ];
    for (names, good) in all {
        for name in names {
            reporter.set_service_status(name, serving(good)).await;
        }
    }
}
