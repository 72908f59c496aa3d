//! Changes that nobody told of, read off what Prometheus has.
//!
//! | from | what | kind |
//! |---|---|---|
//! | `kube_deployment_status_observed_generation` | a deployment's specification changed otherwise than in its replicas | deployment |
//! | `kube_deployment_spec_replicas` | the replicas wanted of a deployment changed | scaling |
//! | `*_build_info` | a job runs a version that it did not run a moment ago | deployment |
//! | `process_start_time_seconds` | processes of a job began anew | other |
//!
//! A restart is a notice and no change that somebody made: it is as often the trouble itself as its cause. Restarts of a job
//! within ten minutes of each other are one event, so that a process that crashes again and again is told of once, as such.
//!
//! Each look goes over a stretch of time, of which only the later half is told of, from `since` on: the earlier half is what was
//! before. So a change is seen though it happened while nobody looked, and what is merely seen for the first time is none.
//! An event's id and time follow from the change alone: the next look finds the same event again, and not a second one.

mod deployments;
mod restarts;
mod versions;

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::event::{Event, EventKind};
use crate::series::SeriesKey;

pub use deployments::deployments;
pub use restarts::restarts;
pub use versions::versions;

/// The `source` of events that were inferred.
pub const SOURCE: &str = "prometheus";

/// Where something changed: some labels, and the service they stand for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Site {
    service: String,
    labels: BTreeMap<String, String>,
}

impl Site {
    /// The site of a job's series; `None` where they say no job.
    fn of_job(key: &SeriesKey, service_label: &str) -> Option<Self> {
        let job = key.get("job").filter(|job| !job.is_empty())?;
        let service = key.get(service_label).filter(|service| !service.is_empty()).unwrap_or(job);
        Some(Self { service: service.to_owned(), labels: some_labels(key, &["job", "namespace", service_label]) })
    }

    /// An event here. `what` and the time tell it from others.
    fn event(&self, kind: EventKind, at: Timestamp, what: &str, title: String, more: &[(&str, &str)]) -> Event {
        let mut labels = self.labels.clone();
        labels.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let identity = [("what", what.to_owned()), ("service", self.service.clone()), ("at", at.millis().to_string())];
        let own = self.labels.iter().map(|(name, value)| (format!("label:{name}"), value.clone()));
        let all = identity.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(own);
        Event {
            id: format!("inferred-{}", SeriesKey::new(all).fingerprint()),
            kind,
            source: SOURCE.to_owned(),
            title,
            description: String::new(),
            service: Some(self.service.clone()),
            labels,
            starts_at: at,
            ends_at: None,
            url: None,
        }
    }
}

fn some_labels(key: &SeriesKey, names: &[&str]) -> BTreeMap<String, String> {
    let present = names.iter().filter_map(|name| Some(((*name).to_owned(), key.get(name)?.to_owned())));
    present.filter(|(_, value)| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests;
