//! Configuration: defaults < file < environment < flags.
//!
//! The three layers are laid over each other as a [`tree`] of values that know where they were written; the
//! [`reader`] then takes it apart field by field and notes everything that is wrong, so that one run shows all
//! errors. Nothing is read from the process: file, environment and flags are arguments.

mod actions;
mod decode;
mod guards;
mod monitors;
mod plans;
mod reader;
mod render;
mod size;
mod tree;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;

use crate::action::{Action, Mode};
use crate::calendar::Calendar;
use crate::clock::DurationMs;
use crate::correlation::topology::Call;
use crate::delivery::links;
use crate::endpoint;
use crate::error::Violation;
use crate::monitor::Monitor;
use crate::source::prometheus;
use crate::store::Database;

pub use render::monitors_yaml;

/// The longest configuration file that is read: 10,000 monitors of 1,600 bytes.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Everything the engine is told, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The port and its limits.
    pub server: Server,
    /// Where series are read from; without it only series inside requests are analysed.
    pub prometheus: Option<prometheus::Config>,
    /// Who is told of incidents.
    pub alertmanagers: Vec<AlertmanagerConfig>,
    /// False incidents accepted per day over all monitors together.
    pub alert_budget_per_day: f64,
    /// What a monitor has where it says nothing itself.
    pub defaults: Defaults,
    /// The PostgreSQL database that replicas share; a file in `data_dir` where there is none.
    pub store: Option<Database>,
    /// How much is kept.
    pub retention: Retention,
    /// Where the database and the fitted models are kept.
    pub data_dir: PathBuf,
    /// Catalogues of suggestions besides the shipped one.
    pub catalogues: Vec<PathBuf>,
    /// Own logs and traces.
    pub telemetry: Telemetry,
    /// What is watched.
    pub monitors: Vec<Monitor>,
    /// Whether monitors are proposed from what Prometheus has.
    pub discovery: bool,
    /// Whether changes are read off what Prometheus has: new versions, generations, replicas, and restarts.
    pub infer_events: bool,
    /// Which service calls which, besides what Prometheus tells of it.
    pub calls: Vec<Call>,
    /// Whether calls are learned of services that no call is known of.
    pub learn_calls: bool,
    /// The links by which feedback is given.
    pub feedback: links::Config,
    /// Webhooks that remedies may call.
    pub actions: Actions,
}

/// Webhooks that remedies may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Actions {
    /// What is done with them.
    pub mode: Mode,
    /// Each with where it is called.
    pub hooks: Vec<(Action, endpoint::Config)>,
}

/// The port and its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Where it listens; loopback unless told otherwise.
    pub listen: SocketAddr,
    /// How people reach it: the base of the links in alerts.
    pub external_url: Url,
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

/// One Alertmanager.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertmanagerConfig {
    /// Names it in logs, metrics and the outbox; unique.
    pub name: String,
    /// Where it is.
    pub endpoint: endpoint::Config,
}

/// What a monitor has where it says nothing itself, and what holds for all.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// The time between two points and between two evaluations.
    pub step: DurationMs,
    /// How much history is learned from.
    pub window: DurationMs,
    /// How often models are fitted anew.
    pub refit: DurationMs,
    /// How long one finding alone must last before it is told.
    pub patience: DurationMs,
    /// How often an active alert is sent again.
    pub resend: DurationMs,
    /// The label whose value is a series' service.
    pub service_label: String,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            step: DurationMs::from_secs(60),
            window: DurationMs::WEEK * 2,
            refit: DurationMs::DAY,
            patience: DurationMs::from_secs(600),
            resend: DurationMs::from_secs(60),
            service_label: "service".to_owned(),
        }
    }
}

/// How much is kept of what is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Retention {
    /// For how long.
    pub age: DurationMs,
    /// Until the store has so many bytes, whatever the age.
    pub size: Option<u64>,
}

/// Own logs and traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// The least severe level that is logged.
    pub log_level: tracing::Level,
    /// Where traces go by OTLP over gRPC; nowhere when `None`.
    pub otlp_endpoint: Option<Url>,
}

/// Reads the configuration: `file` in YAML, then the variables of `environment` that begin with `BELLWETHER_`
/// (`BELLWETHER_PROMETHEUS__URL` sets `prometheus.url`), then `flags`, pairs of a path and a value; a path
/// given more than once is a list. Paths of files that the configuration file names are relative to its directory.
///
/// # Errors
/// Everything that is wrong, each with its path, what was found, what would be right and where it was written.
/// Secrets are not shown.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[(String, String)],
) -> Result<Config, Vec<Violation>> {
    let mut violations = Vec::new();
    let text = match file.map(read).transpose() {
        Ok(text) => text.unwrap_or_default(),
        Err(violation) => return Err(vec![violation]),
    };
    let mut root = tree::parse(&text).map_err(|violation| vec![violation])?;
    tree::overlay_environment(&mut root, environment, &mut violations);
    tree::overlay_flags(&mut root, flags, &mut violations);

    let notes = reader::Notes::default();
    let directory = file.and_then(Path::parent).unwrap_or(Path::new(""));
    let config = decode::config(root, directory, &notes);
    violations.extend(notes.finish().0);
    match config {
        Some(config) if violations.is_empty() => Ok(config),
        _ => Err(violations),
    }
}

/// Reads a YAML file that is a list of calendars, written as those of a monitor.
///
/// # Errors
/// Everything that is wrong, as of [`load`].
pub fn calendars(file: &Path) -> Result<Vec<Calendar>, Vec<Violation>> {
    let text = read(file).map_err(|violation| vec![violation])?;
    let root = tree::parse(&text).map_err(|violation| vec![violation])?;
    let notes = reader::Notes::default();
    let calendars = guards::calendars(&reader::Field::root(root, &notes));
    let (violations, _) = notes.finish();
    if violations.is_empty() { Ok(calendars) } else { Err(violations) }
}

fn read(file: &Path) -> Result<String, Violation> {
    let violation = |description: String| Violation { field: "file".to_owned(), description };
    let cannot = |e: std::io::Error| violation(format!("cannot read {}: {e}", file.display()));
    let size = std::fs::metadata(file).map_err(cannot)?.len();
    if size > MOST_BYTES {
        return Err(violation(format!("{} has {size} bytes; a configuration has at most {MOST_BYTES}", file.display())));
    }
    std::fs::read_to_string(file).map_err(cannot)
}

#[cfg(test)]
mod tests;
