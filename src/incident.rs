//! An incident: findings and events that belong together, with what probably caused it and what to do.

mod life;

use std::collections::BTreeMap;

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
    /// What kind of cause where, such as `deployment@payment`: what feedback on it is learned for.
    #[serde(default)]
    pub id: String,
    /// What: a change's title, or a service and its metric.
    pub title: String,
    /// The service it points to.
    pub service: String,
    /// How much it has for itself against the other causes; all of an incident's sum to 1.
    #[serde(deserialize_with = "crate::finding::null_is_nan")]
    pub weight: f64,
    /// What a person can check.
    pub reason: String,
    /// What it was made from; `None` in incidents of older versions.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// What a cause was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The id of the finding that it explains first.
    pub finding: String,
    /// The id of the event, where the cause is a change.
    pub change: Option<String>,
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
    /// How likely it is that this helps, from 0 to 1; 0 where that is not known, in incidents of older versions.
    #[serde(default, deserialize_with = "crate::finding::null_is_nan")]
    pub confidence: f64,
    /// The action that the entry names, if it names one.
    #[serde(default)]
    pub action: Option<Call>,
}

/// A call of an action: what it is named, and what placeholders stand for in its request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The action's name in the configuration.
    pub name: String,
    /// What is known, by the name of its placeholder.
    pub values: BTreeMap<String, String>,
}

/// How likely something with this confidence helps, in words; `None` where it is not known.
pub fn sureness(confidence: f64) -> Option<&'static str> {
    match confidence {
        c if c >= 0.66 => Some("likely"),
        c if c >= 0.33 => Some("about as likely as not"),
        c if c > 0.0 => Some("worth a look"),
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_before_still_reads() {
        let incident: Incident = serde_json::from_str(include_str!("../tests/fixtures/incident.json")).unwrap();
        assert!(incident.causes.iter().all(|cause| cause.origin.is_none()));
        assert!(incident.suggestions.iter().all(|s| s.confidence == 0.0 && s.action.is_none()));
    }

    #[test]
    fn a_confidence_in_words() {
        for (confidence, words) in [(0.9, Some("likely")), (0.5, Some("about as likely as not")), (0.1, Some("worth a look")), (0.0, None)]
        {
            assert_eq!(sureness(confidence), words, "{confidence}");
        }
        assert_eq!(sureness(f64::NAN), None);
    }
}
