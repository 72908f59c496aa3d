//! Own telemetry: JSON logs with trace ids, metrics for `/metrics`, traces over OTLP.

mod json;

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::error::{Code, Error, Result};

/// Buckets of every `_seconds` histogram: from a millisecond to two minutes.
const SECONDS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 30.0, 120.0];

/// What the process tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// A `tracing` filter such as `info` or `bellwether=debug,warn`.
    pub log_level: String,
    /// Where traces go by OTLP over gRPC; nowhere when `None`.
    pub otlp_endpoint: Option<String>,
}

/// Keeps telemetry running; drop it last, for it sends what is left.
pub struct Telemetry {
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    traces: SdkTracerProvider,
}

impl Config {
    /// Starts logging to stderr, tracing and metrics for the whole process. Call it once, inside the runtime.
    ///
    /// # Errors
    /// A filter that does not parse, an endpoint that is no address, or telemetry that runs already.
    pub fn start(&self) -> Result<Telemetry> {
        let filter = EnvFilter::try_new(&self.log_level).map_err(|e| {
            Error::invalid("telemetry.log_level", format!("`{}` is not a filter such as info or bellwether=debug", self.log_level))
                .caused_by(e)
        })?;
        let mut traces = SdkTracerProvider::builder().with_resource(Resource::builder().with_service_name("bellwether").build());
        if let Some(endpoint) = &self.otlp_endpoint {
            let exporter =
                SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(Duration::from_secs(5)).build().map_err(|e| {
                    Error::invalid("telemetry.otlp_endpoint", format!("`{endpoint}` is not an address such as http://127.0.0.1:4317"))
                        .caused_by(e)
                })?;
            traces = traces.with_batch_exporter(exporter);
        }
        // Without an endpoint the provider still gives every span its trace id, for the logs.
        let traces = traces.build();
        let spans = tracing_opentelemetry::layer().with_tracer(traces.tracer("bellwether"));
        let logs = tracing_subscriber::fmt::layer().event_format(json::Json).with_writer(std::io::stderr);
        tracing_subscriber::registry()
            .with(spans.with_filter(tracing_subscriber::filter::LevelFilter::INFO))
            .with(logs.with_filter(filter))
            .try_init()
            .map_err(|e| Error::new(Code::Internal, "cannot start logging").caused_by(e))?;
        let metrics = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(metrics_exporter_prometheus::PrometheusBuilder::install_recorder)
            .map_err(|e| Error::new(Code::Internal, "cannot start metrics").caused_by(e))?;
        describe();
        Ok(Telemetry { metrics, traces })
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // Nothing is left to tell an error to.
        let _ = self.traces.shutdown();
    }
}

/// Help texts of the metrics that are recorded all over the house.
fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_histogram!("bellwether_evaluation_seconds", "How long one evaluation of a monitor took, reading included.");
    describe_histogram!("bellwether_fit_seconds", "How long fitting the model of one series took.");
    describe_gauge!("bellwether_series", "Monitored series by state.");
    describe_gauge!("bellwether_incidents_open", "Open incidents.");
    describe_gauge!("bellwether_incidents_by_priority", "Open incidents by priority.");
    describe_gauge!("bellwether_incidents_acknowledged", "Open incidents that somebody looks after.");
    describe_gauge!("bellwether_incidents_flapping", "Open incidents that come and go and are held for that.");
    describe_gauge!("bellwether_incidents_silenced", "Open incidents whose alert Alertmanager suppresses.");
    describe_gauge!("bellwether_topology_services", "Services whose calls are known.");
    describe_gauge!("bellwether_alpha", "The p-value at which a point's score is 1, by monitor.");
    describe_counter!("bellwether_failures_total", "Failures by the part they happened in and their cause.");
    describe_counter!("bellwether_findings_total", "Findings that were opened.");
    describe_counter!("bellwether_findings_suppressed_total", "Findings that guards held back when they began.");
    describe_counter!("bellwether_incidents_total", "Incidents that were opened.");
    describe_counter!("bellwether_incidents_reopened_total", "Incidents that came back after they were resolved.");
    describe_counter!("bellwether_actions_total", "What happened to actions, by action and outcome.");
    describe_counter!("bellwether_models_refused_total", "Stored models that were refused and refitted.");
    describe_counter!("bellwether_events_total", "Events taken in, by kind.");
    describe_counter!("bellwether_source_points_total", "Points read from Prometheus.");
    describe_counter!("bellwether_source_requests_total", "Requests to Prometheus by outcome.");
    describe_histogram!("bellwether_source_request_seconds", "How long a request to Prometheus took.");
    describe_counter!("bellwether_deliveries_total", "Alerts sent, by Alertmanager and outcome.");
    describe_histogram!("bellwether_delivery_seconds", "How long a delivery to Alertmanager took.");
    describe_gauge!("bellwether_leader", "1 where this process leads, 0 where it stands by for another.");
    describe_gauge!("bellwether_store_bytes", "What the rows and indexes of the store take.");
    describe_gauge!("bellwether_outbox_pending", "Alerts that wait to be sent, by Alertmanager.");
}

/// One failure: a log line and a count that cannot drift apart.
pub fn failure(part: &'static str, error: &Error) {
    metrics::counter!("bellwether_failures_total", "part" => part, "cause" => error.code.as_str()).increment(1);
    tracing::warn!(part, cause = error.code.as_str(), error = error.chain(), "failed");
}
