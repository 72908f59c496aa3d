//! Builds the parts from one configuration and runs them.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Config;
use crate::correlation::remedy::Catalogue;
use crate::delivery;
use crate::delivery::hook::Hook;
use crate::engine::discover::Options;
use crate::engine::outbox::Outbox;
use crate::engine::pool::Pool;
use crate::engine::silences::SilenceWatch;
use crate::engine::{self, Engine, Inference};
use crate::error::{Code, Error, Result};
use crate::service::{self, Limits};
use crate::store::Store;
use crate::store::models::ModelFolder;

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
    /// Held until the end, so that no other process uses the directory.
    lock: File,
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
        let lock = lock_data_dir(&config.data_dir)?;
        let store = match &config.store {
            Some(database) => Store::connect(database).await?,
            None => Store::open(&store_file(config)).await?,
        };
        let (models, refused) = ModelFolder::open(&config.data_dir.join("models"))?;
        for reason in refused {
            metrics::counter!("bellwether_models_refused_total").increment(1);
            tracing::warn!(reason, "refused; what it may have held will be fitted anew");
        }
        let hooks = config.actions.hooks.iter().map(|(action, endpoint)| Ok((action.clone(), Hook::new(endpoint)?)));
        let actions = hooks.collect::<Result<Vec<_>>>()?;
        let (commits, committed) = watch::channel(0);
        let engine_config = engine::Config {
            alert_budget_per_day: config.alert_budget_per_day,
            refit: config.defaults.refit,
            patience: config.defaults.patience,
            external_url: config.server.external_url.as_str().trim_end_matches('/').to_owned(),
            links: config.feedback.build(&config.data_dir)?,
            monitors: config.monitors.clone(),
            discovery: config.discovery,
            proposals: Options::new(config.defaults.step, config.defaults.window),
            retention: config.retention.age,
            most_bytes: config.retention.size,
            calls: config.calls.clone(),
            learn_calls: config.learn_calls,
            actions: config.actions.mode,
            inference: config.infer_events.then(|| Inference::new(&config.defaults.service_label)),
            sinks: config.alertmanagers.iter().map(|sink| sink.name.clone()).collect(),
        };
        let parts = engine::Parts {
            prometheus,
            store: store.clone(),
            models,
            clock: Arc::clone(&clock),
            pool: Pool::new(0)?,
            catalogue: catalogue(config)?,
            actions,
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
        Ok(Self { engine, silences, outbox: Outbox { store, sinks, resend: config.defaults.resend, clock }, committed, limits, lock })
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
            let (outbox, committed) = (self.outbox, self.committed);
            async move { engine.lead(outbox, committed, stopped).await }
        });
        let listening = tokio::spawn(self.silences.run(stopped()));
        let served = tokio::select! {
            served = service::serve(self.engine, self.limits, metrics, listener, stopped()) => served,
            // Streams may stay open for ever; they have their grace and are cut.
            () = async { stopped().await; tokio::time::sleep(GRACE).await } => Ok(()),
        };
        for task in [working, listening] {
            let _ = tokio::time::timeout(GRACE, task).await;
        }
        store.close().await;
        drop(self.lock);
        served
    }
}

/// Where the store is that is a file.
pub fn store_file(config: &Config) -> PathBuf {
    config.data_dir.join("bellwether.sqlite")
}

/// Makes the directory where it is missing, and keeps every other process out of it until the file is dropped.
///
/// # Errors
/// It cannot be made, or another process uses it, which is named.
pub fn lock_data_dir(path: &Path) -> Result<File> {
    let cannot = |e: std::io::Error| Error::invalid("data_dir", format!("cannot make or use {}", path.display())).caused_by(e);
    std::fs::create_dir_all(path).map_err(cannot)?;
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path.join("lock")).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {
            // Whose it is, for the message to whoever comes next.
            let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
            written.map_err(cannot)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim().parse::<u32>().map_or_else(|_| String::new(), |pid| format!(" (process {pid})"));
            Err(Error::new(
                Code::FailedPrecondition,
                format!("another Bellwether{holder} uses {}; stop it, or name another data_dir", path.display()),
            ))
        }
        // Some network file systems have no locks.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(path = %path.display(), %error, "cannot lock the data directory; make sure that one process uses it");
            Ok(file)
        }
    }
}

/// The shipped catalogue with the user's own over it.
///
/// # Errors
/// A file that cannot be read, everything that is wrong in it, and an action that is named and not configured.
pub fn catalogue(config: &Config) -> Result<Catalogue> {
    let mut texts = Vec::with_capacity(config.catalogues.len());
    for path in &config.catalogues {
        texts.push((path.display().to_string(), read(path)?));
    }
    let extra: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let catalogue = Catalogue::load(&Catalogue::shipped(), &extra).map_err(Error::violations)?;
    let known = |name: &&str| config.actions.hooks.iter().any(|(action, _)| action.name == **name);
    if let Some(name) = catalogue.actions().into_iter().find(|name| !known(name)) {
        let why = format!("has no `{name}`, which an entry of the catalogues names; add it, or take it out there");
        return Err(Error::invalid("actions.hooks", why));
    }
    Ok(catalogue)
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
