//! What is due, run it, keep it, tell it.
//!
//! Each monitor has a task of its own: it reads what is new, judges it on the CPU pool, hands findings to the
//! correlation, and commits incidents and alerts in one transaction before anybody is told.

pub mod actions;
pub mod budget;
pub mod charting;
mod correlating;
pub mod diagnosing;
pub mod discover;
pub mod drifting;
pub mod evaluate;
mod feedback;
pub mod forecasting;
pub mod guarded;
pub mod health;
mod held;
pub mod histograms;
mod inferring;
mod lasting;
mod leading;
mod nearby;
pub mod outbox;
pub mod pool;
#[cfg(test)]
mod sample;
pub mod schedule;
pub mod silences;
pub mod status;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{Semaphore, broadcast, watch};

use crate::action::{Action, Mode};
use crate::clock::{Clock, DurationMs, Timestamp};
use crate::correlation::feedback::Learned;
use crate::correlation::lifecycle::{self, repeats::History};
use crate::correlation::remedy::Catalogue;
use crate::correlation::topology::{Call, Topology};
use crate::delivery::hook::Hook;
use crate::delivery::links::Links;
use crate::error::{Code, Error, Result};
use crate::finding::{Finding, FindingKind, HeldBack};
use crate::incident::Incident;
use crate::monitor::Monitor;
use crate::plot::{Chart, Mark};
use crate::source::prometheus::Prometheus;
use crate::store::models::ModelFolder;
use crate::store::{Spending, Store};
use budget::{Budget, Share};
use discover::{Options, Proposal, Skipped};
pub use inferring::Inference;
use pool::Pool;
use silences::Heard;
use status::{MonitorStatus, SeriesState};

/// Watchers that fall behind by more changes than this miss the oldest.
const WATCH_BUFFER: usize = 256;
/// Monitors that read their whole history at once: what is in memory at a time stays bounded.
const FIRST_READS: usize = 2;

/// How the engine runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many false incidents a day are tolerable over all series together.
    pub alert_budget_per_day: f64,
    /// How old a model may become.
    pub refit: DurationMs,
    /// How long one finding alone must last before it is told.
    pub patience: DurationMs,
    /// Where people reach this engine's pages.
    pub external_url: String,
    /// Signs the links by which feedback is given.
    pub links: Links,
    /// The monitors that were configured.
    pub monitors: Vec<Monitor>,
    /// Whether what discovery proposes is watched.
    pub discovery: bool,
    /// What discovery proposes.
    pub proposals: Options,
    /// How long what is over is kept.
    pub retention: DurationMs,
    /// The most bytes that the store may have; what has been over for longest goes first.
    pub most_bytes: Option<u64>,
    /// The names of the Alertmanagers that are told.
    pub sinks: Vec<String>,
    /// Calls between services that were configured.
    pub calls: Vec<Call>,
    /// Whether calls are learned of services that no call is known of.
    pub learn_calls: bool,
    /// What is done with actions.
    pub actions: Mode,
    /// How changes are read off what Prometheus has; not at all with `None`.
    pub inference: Option<Inference>,
}

/// What the engine works with.
#[derive(Debug)]
pub struct Parts {
    /// Where series come from; without it only inline series can be analysed.
    pub prometheus: Option<Prometheus>,
    /// What survives a restart.
    pub store: Store,
    /// Fitted models.
    pub models: ModelFolder,
    /// What time it is.
    pub clock: Arc<Clock>,
    /// Threads for what computes.
    pub pool: Pool,
    /// What to do about findings.
    pub catalogue: Catalogue,
    /// What the catalogue may call, each with its webhook.
    pub actions: Vec<(Action, Hook)>,
    /// Counts commits, so that the outbox wakes at each.
    pub committed: watch::Sender<u64>,
}

/// The engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    prometheus: Option<Prometheus>,
    store: Store,
    models: Mutex<ModelFolder>,
    clock: Arc<Clock>,
    pool: Pool,
    catalogue: Catalogue,
    actions: BTreeMap<String, (Action, Hook)>,
    committed: watch::Sender<u64>,
    monitors: RwLock<BTreeMap<String, MonitorStatus>>,
    skipped: RwLock<Vec<Skipped>>,
    topology: RwLock<Arc<Topology>>,
    learned: RwLock<Arc<Learned>>,
    /// Open incidents and those resolved a moment ago. Held while a change is committed, so that memory and store agree.
    incidents: tokio::sync::Mutex<Vec<Incident>>,
    /// Findings that are in no incident yet; what lasts is told again by its monitor, so that none has to be stored.
    waiting: Mutex<Vec<Finding>>,
    /// What is over, for what repeats it.
    history: Mutex<History>,
    /// What each Alertmanager said of our alerts.
    heard: RwLock<BTreeMap<String, Heard>>,
    changes: broadcast::Sender<Incident>,
    first_reads: Semaphore,
    /// When Prometheus last answered well.
    last_read: AtomicI64,
}

impl Engine {
    /// An engine that knows what its store knows; [`Engine::run`] sets it to work.
    ///
    /// # Errors
    /// The store cannot be read, or the calls make no topology.
    pub async fn new(config: Config, parts: Parts) -> Result<Self> {
        let incidents = Self::known_incidents(&parts.store, parts.clock.now()).await?;
        let topology = Topology::new(config.calls.iter().cloned()).map_err(Error::violations)?;
        let said = parts.store.feedback_in_force().await?;
        let (learned, history) = (Learned::from_all(&said), correlating::history(&parts.store, &said).await?);
        let heard = config.sinks.iter().map(|sink| (sink.clone(), Err("not asked yet".to_owned()))).collect();
        let monitors = config.monitors.iter().map(|m| (m.name.clone(), MonitorStatus::new(m.clone()))).collect();
        Ok(Self(Arc::new(Inner {
            config,
            prometheus: parts.prometheus,
            store: parts.store,
            models: Mutex::new(parts.models),
            clock: parts.clock,
            pool: parts.pool,
            catalogue: parts.catalogue,
            actions: parts.actions.into_iter().map(|(action, hook)| (action.name.clone(), (action, hook))).collect(),
            committed: parts.committed,
            monitors: RwLock::new(monitors),
            skipped: RwLock::default(),
            topology: RwLock::new(Arc::new(topology)),
            learned: RwLock::new(Arc::new(learned)),
            incidents: tokio::sync::Mutex::new(incidents),
            waiting: Mutex::default(),
            history: Mutex::new(history),
            heard: RwLock::new(heard),
            changes: broadcast::channel(WATCH_BUFFER).0,
            first_reads: Semaphore::new(FIRST_READS),
            last_read: AtomicI64::new(i64::MIN),
        })))
    }

    /// What the correlation goes on with: open incidents, and those resolved a moment ago, which may open again under
    /// their old identity.
    async fn known_incidents(store: &Store, now: Timestamp) -> Result<Vec<Incident>> {
        let mut incidents = store.open_incidents().await?;
        let lately = store.resolved_since(now - lifecycle::REMEMBERED).await?;
        incidents.extend(lately.into_iter().filter(|incident| lifecycle::may_reopen(incident, now)));
        Ok(incidents)
    }

    /// The configured Prometheus.
    ///
    /// # Errors
    /// None is configured.
    pub fn prometheus(&self) -> Result<&Prometheus> {
        self.0.prometheus.as_ref().ok_or_else(|| {
            Error::new(Code::FailedPrecondition, "no Prometheus is configured; start with --prometheus URL, or send inline series")
        })
    }

    /// The CPU pool of the engine's own work.
    fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// How it runs.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// What survives a restart.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// How each monitor is doing, by name.
    pub fn monitors(&self) -> Vec<MonitorStatus> {
        self.0.monitors.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// How one monitor is doing.
    pub fn monitor(&self, name: &str) -> Option<MonitorStatus> {
        self.0.monitors.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The incident `id`.
    ///
    /// # Errors
    /// There is none, or the store cannot be read.
    pub async fn incident(&self, id: &str) -> Result<Incident> {
        let incident = self.0.store.incident(id).await?;
        incident.ok_or_else(|| Error::new(Code::NotFound, format!("there is no incident `{}`", id.chars().take(80).collect::<String>())))
    }

    /// The latest `points` of the series around a finding, while they are remembered.
    pub fn chart(&self, finding: &Finding, points: usize) -> Option<Chart> {
        let status = self.monitor(&finding.monitor)?;
        if finding.kind == FindingKind::Capacity {
            return status.outlook.series.iter().find(|s| s.key == finding.key)?.chart.clone();
        }
        let of = if finding.kind == FindingKind::Group { &status.groups } else { &status.series };
        let series = of.iter().find(|s| s.key == finding.key)?;
        let judgements = series.recent.judgements();
        let latest = &judgements[judgements.len().saturating_sub(points)..];
        let mark = Mark::lasting(finding.onset, finding.ended, format!("since {}", finding.onset));
        let title = format!("{} {}", finding.monitor, finding.key);
        Chart::of_judgements(title, finding.unit, status.monitor.step, latest, vec![mark])
    }

    /// The latest findings of `monitor` that its guards hold back or held back until they ended, at most `most`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn held_back(&self, monitor: &str, most: usize) -> Result<Vec<HeldBack>> {
        self.0.store.held_back(monitor, most).await
    }

    /// The monitors by name.
    fn watched(&self) -> BTreeMap<String, Monitor> {
        let monitors = self.0.monitors.read().unwrap_or_else(PoisonError::into_inner);
        monitors.iter().map(|(name, status)| (name.clone(), status.monitor.clone())).collect()
    }

    /// Looks at what Prometheus has and proposes monitors; changes nothing.
    ///
    /// # Errors
    /// No Prometheus is configured, or it does not answer.
    pub async fn propose(&self) -> Result<Proposal> {
        discover::discover(self.prometheus()?, self.0.clock.now(), &self.0.config.proposals).await
    }

    /// What discovery passed over, and why.
    pub fn skipped(&self) -> Vec<Skipped> {
        self.0.skipped.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every incident as it changes from now on.
    pub fn watch(&self) -> broadcast::Receiver<Incident> {
        self.0.changes.subscribe()
    }

    /// Where people reach this engine's pages.
    pub fn external_url(&self) -> &str {
        &self.0.config.external_url
    }

    /// The findings of `monitor` of some kinds that open incidents hold open, or that wait.
    async fn known_open(&self, monitor: &str, of: impl Fn(FindingKind) -> bool) -> Vec<Finding> {
        let incidents = self.0.incidents.lock().await;
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let all = incidents.iter().flat_map(|i| &i.findings).chain(waiting.iter());
        all.filter(|f| f.is_open() && f.monitor == monitor && of(f.kind)).cloned().collect()
    }

    /// How the alert budget is divided, as far as it is known how many series there are.
    pub fn budget(&self) -> Budget {
        self.divide(|m| m.last_evaluated.map(|_| m.judged()))
    }

    /// What `monitor` may spend of the alert budget, by the number of `series` that it says it has and what is known of
    /// the others.
    pub fn share(&self, monitor: &Monitor, series: usize) -> Share {
        let known = |m: &MonitorStatus| if m.monitor.name == monitor.name { Some(series) } else { m.last_evaluated.map(|_| m.judged()) };
        self.divide(known).share(monitor, series)
    }

    fn divide(&self, known: impl Fn(&MonitorStatus) -> Option<usize>) -> Budget {
        let monitors = self.0.monitors.read().unwrap_or_else(PoisonError::into_inner);
        Budget::divide(self.0.config.alert_budget_per_day, monitors.values().map(|m| (&m.monitor, known(m))))
    }

    /// What the alert budget was spent on in the last 24 hours, with at most `most` ids of incidents for each monitor.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn spending(&self, most: usize) -> Result<Spending> {
        self.0.store.spending(self.0.clock.now() - DurationMs::DAY, most).await
    }

    fn set_status(&self, name: &str, set: impl FnOnce(&mut MonitorStatus)) {
        let mut monitors = self.0.monitors.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = monitors.get_mut(name) {
            set(status);
        }
        for state in [SeriesState::Normal, SeriesState::Anomalous, SeriesState::CannotSay, SeriesState::Suppressed] {
            let count: usize = monitors.values().map(|m| m.count(state)).sum();
            metrics::gauge!("bellwether_series", "state" => state.as_str()).set(count as f64);
        }
    }
}
