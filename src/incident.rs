//! An incident: findings and events that belong together, with what probably caused it and what to do.

mod life;

use serde::{Deserialize, Serialize};

pub use life::{Acknowledgement, Flapping, Life, MOST_TURNS, Priority, Repeat, Turn, TurnKind};

use crate::clock::Timestamp;
use crate::event::Event;
use crate::finding::{Finding, Severity};
use crate::words::words;

words! {
    /// Where an incident is in its life.
    IncidentState {
        /// Something is wrong now, or was a moment ago and comes and goes.
        Open = "open",
        /// Everything is back to normal.
        Resolved = "resolved",
    }
}

/// One thing that may have caused an incident, with why we think so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// What: a change's title, or a service and its metric.
    pub title: String,
    /// The service it points to.
    pub service: String,
    /// How much it has for itself against the other causes; all of an incident's sum to 1.
    #[serde(deserialize_with = "crate::finding::null_is_nan")]
    pub weight: f64,
    /// What a person can check.
    pub reason: String,
}

/// A next step from the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The catalogue entry's id.
    pub id: String,
    /// One line: what this usually is.
    pub title: String,
    /// Concrete steps, the first one first.
    pub steps: Vec<String>,
    /// PromQL to look at, placeholders filled in.
    pub promql: Vec<String>,
    /// Commands to run, placeholders filled in.
    pub commands: Vec<String>,
    /// What to read.
    pub runbook_url: String,
}

/// Findings and events that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Stable over its whole life and over restarts; the `incident` label of its alert.
    pub id: String,
    /// Open or resolved.
    pub state: IncidentState,
    /// How urgent.
    pub severity: Severity,
    /// The service it is about.
    pub service: String,
    /// The monitor whose finding opened it.
    pub monitor: String,
    /// One line for people.
    pub title: String,
    /// When the first finding began.
    pub started: Timestamp,
    /// When we first knew.
    pub detected: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// When it was over; `None` while open.
    pub resolved: Option<Timestamp>,
    /// The incident that it turned out to be part of: its findings and events are there, and it is resolved for good.
    #[serde(default)]
    pub merged_into: Option<String>,
    /// How its life went: turns, acknowledgement, flapping, priority, and what it repeats.
    #[serde(default)]
    pub life: Life,
    /// Its findings, earliest onset first.
    pub findings: Vec<Finding>,
    /// Changes and alerts that belong to it, earliest first.
    pub events: Vec<Event>,
    /// What may have caused it, the likeliest first.
    pub causes: Vec<Cause>,
    /// What to do next, the best match first.
    pub suggestions: Vec<Suggestion>,
}
