//! Builds the parts from one configuration and runs them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::{Clock, DurationMs};
use crate::config::Config;
use crate::correlation::remedy::Catalogue;
use crate::delivery;
use crate::engine::discover::Options;
use crate::engine::outbox::Outbox;
use crate::engine::pool::Pool;
use crate::engine::silences::SilenceWatch;
use crate::engine::{self, Engine, Inference};
use crate::error::{Code, Error, Result};
use crate::service::{self, Limits};
use crate::store::Store;
use crate::store::models::ModelFolder;

/// How long what is over is kept.
const RETENTION: DurationMs = DurationMs::from_millis(90 * DurationMs::DAY.millis());
/// How long open requests may take when the process is asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// The parts, built and not yet running.
pub struct App {
    /// The engine: what the demo and tests look into.
    pub engine: Engine,
    outbox: Outbox,
    silences: SilenceWatch,
    committed: watch::Receiver<u64>,
    limits: Limits,
}

impl App {
    /// Builds everything `config` asks for.
    ///
    /// # Errors
    /// A file, folder or address that cannot be used.
    pub async fn build(config: &Config) -> Result<Self> {
        let clock = Arc::new(Clock::System);
        let prometheus = config.prometheus.as_ref().map(crate::source::prometheus::Config::build).transpose()?;
        let sinks = config
            .alertmanagers
            .iter()
            .map(|sink| delivery::Config { name: sink.name.clone(), endpoint: sink.endpoint.clone() }.build())
            .collect::<Result<Vec<_>>>()?;
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|e| Error::invalid("data_dir", format!("cannot make {}", config.data_dir.display())).caused_by(e))?;
        let store = Store::open(&config.data_dir.join("bellwether.sqlite")).await?;
        let (models, refused) = ModelFolder::open(&config.data_dir.join("models"))?;
        for reason in refused {
            metrics::counter!("bellwether_models_refused_total").increment(1);
            tracing::warn!(reason, "refused; what it may have held will be fitted anew");
        }
        let (commits, committed) = watch::channel(0);
        let engine_config = engine::Config {
            alert_budget_per_day: config.alert_budget_per_day,
            refit: config.defaults.refit,
            external_url: config.server.external_url.as_str().trim_end_matches('/').to_owned(),
            monitors: config.monitors.clone(),
            discovery: config.discovery,
            proposals: Options::new(config.defaults.step, config.defaults.window),
            retention: RETENTION,
            calls: config.calls.clone(),
            learn_calls: config.learn_calls,
            inference: config.infer_events.then(|| Inference::new(&config.defaults.service_label)),
            sinks: config.alertmanagers.iter().map(|sink| sink.name.clone()).collect(),
        };
        let parts = engine::Parts {
            prometheus,
            store: store.clone(),
            models,
            clock: Arc::clone(&clock),
            pool: Pool::new(0)?,
            catalogue: catalogue(&config.catalogues)?,
            committed: commits,
        };
        let server = &config.server;
        let limits = Limits {
            max_message_bytes: server.max_message_bytes,
            max_series: server.max_series,
            max_points: server.max_points,
            max_concurrent_analyses: server.max_concurrent_analyses,
            request_timeout: server.request_timeout,
        };
        let engine = Engine::new(engine_config, parts).await?;
        let silences = SilenceWatch { engine: engine.clone(), sinks: sinks.clone(), every: config.defaults.resend };
        Ok(Self { engine, silences, outbox: Outbox { store, sinks, resend: config.defaults.resend, clock }, committed, limits })
    }

    /// Runs everything on `listener` until `shutdown` says so or its sender is gone.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn run(self, metrics: Option<PrometheusHandle>, listener: TcpListener, shutdown: watch::Receiver<bool>) -> Result<()> {
        let stopped = || {
            let mut shutdown = shutdown.clone();
            async move { drop(shutdown.wait_for(|stop| *stop).await) }
        };
        let store = self.engine.store().clone();
        let engine = self.engine.clone();
        let working = tokio::spawn({
            let stopped = stopped();
            async move { engine.run(stopped).await }
        });
        let delivering = tokio::spawn(self.outbox.run(self.committed, stopped()));
        let listening = tokio::spawn(self.silences.run(stopped()));
        let served = tokio::select! {
            served = service::serve(self.engine, self.limits, metrics, listener, stopped()) => served,
            // Streams may stay open for ever; they have their grace and are cut.
            () = async { stopped().await; tokio::time::sleep(GRACE).await } => Ok(()),
        };
        for task in [working, delivering, listening] {
            let _ = tokio::time::timeout(GRACE, task).await;
        }
        store.close().await;
        served
    }
}

/// The shipped catalogue with the user's own over it.
fn catalogue(files: &[std::path::PathBuf]) -> Result<Catalogue> {
    let mut texts = Vec::with_capacity(files.len());
    for path in files {
        texts.push((path.display().to_string(), read(path)?));
    }
    let extra: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Catalogue::load(&Catalogue::shipped(), &extra).map_err(Error::violations)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::invalid("catalogues", format!("cannot read {}", path.display())).caused_by(e))
}

/// Listens on `address`.
///
/// # Errors
/// The address is taken or not this machine's.
pub async fn listen(address: std::net::SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| Error::new(Code::Unavailable, format!("cannot listen on {address}")).caused_by(e))
}
