//! An event: a change somebody made, or an alert somebody else raised.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::series::SeriesKey;
use crate::words::words;

words! {
    /// What happened.
    EventKind {
        /// A new version went out.
        Deployment = "deployment",
        /// A setting changed.
        Configuration = "configuration",
        /// The number or size of replicas changed.
        Scaling = "scaling",
        /// A feature flag was turned.
        FeatureFlag = "feature_flag",
        /// An alert from somebody else, by Alertmanager's webhook.
        Alert = "alert",
        /// Anything else.
        Other = "other",
    }
}

impl EventKind {
    /// Whether somebody changed something, rather than noticed something.
    pub fn is_change(self) -> bool {
        !matches!(self, Self::Alert | Self::Other)
    }
}

/// A change or an alert, with the labels that say where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unique; a later event with the same id replaces the earlier one.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// Who told us: `alertmanager`, `grpc`, or what the publisher calls itself.
    pub source: String,
    /// One line.
    pub title: String,
    /// More, if there is more.
    pub description: String,
    /// The service it concerns, if it says so.
    pub service: Option<String>,
    /// Labels that say where.
    pub labels: BTreeMap<String, String>,
    /// When it began.
    pub starts_at: Timestamp,
    /// When it was over; `None` while it lasts or for an instant.
    pub ends_at: Option<Timestamp>,
    /// Where to read more.
    pub url: Option<String>,
}

impl Event {
    /// An id made from what the event says, for those that bring none: told again it is the same.
    pub fn identity(&self) -> String {
        let identity = [
            ("kind", self.kind.to_string()),
            ("source", self.source.clone()),
            ("title", self.title.clone()),
            ("service", self.service.clone().unwrap_or_default()),
            ("at", self.starts_at.millis().to_string()),
        ];
        let labels = self.labels.iter().map(|(name, value)| (format!("label:{name}"), value.clone()));
        let all = identity.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(labels);
        format!("e-{}", SeriesKey::new(all).fingerprint())
    }
}
