//! An alert: what Alertmanager is told of one incident.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// One incident as Alertmanager's v2 API takes it. Alertmanager knows an alert by its labels alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its identity: the same for the whole life of the incident.
    pub labels: BTreeMap<String, String>,
    /// What a person reads; may change from one sending to the next.
    pub annotations: BTreeMap<String, String>,
    /// When the incident began.
    pub starts_at: Timestamp,
    /// When it was over; `None` while it lasts.
    pub ends_at: Option<Timestamp>,
    /// Where the incident can be looked at.
    pub generator_url: String,
}
