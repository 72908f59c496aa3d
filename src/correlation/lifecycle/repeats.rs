//! Which incidents repeat an earlier one.
//!
//! Two incidents are of the same kind when what led them is: the service, metric, direction and kind of the finding where it
//! began, or, where a change is the likeliest cause, the kind of the change and the service it was made to.

use std::collections::{BTreeMap, HashMap};

use crate::clock::Timestamp;
use crate::finding::Finding;
use crate::incident::{Incident, IncidentState, Repeat};

/// The most incidents that are remembered.
const MOST: usize = 10_000;

/// What incidents of the same kind have in common; empty where nothing is found.
pub fn signature(incident: &Incident) -> String {
    let change = incident.causes.first().and_then(|cause| {
        let event = incident.events.iter().find(|event| event.kind.is_change() && event.title == cause.title)?;
        Some(format!("{} of {}", event.kind, cause.service))
    });
    let leader = || {
        let origin = incident.causes.first().and_then(|cause| cause.origin.as_ref());
        let began = origin.and_then(|origin| incident.findings.iter().find(|finding| finding.id == origin.finding));
        let Finding { service, metric, direction, kind, .. } = began.or_else(|| incident.findings.iter().min_by_key(|f| f.onset))?;
        Some(format!("{kind} of {service}'s {metric} {direction}"))
    };
    change.or_else(leader).unwrap_or_default()
}

/// An incident that is over.
#[derive(Clone, Debug)]
struct Past {
    started: Timestamp,
    resolved: Timestamp,
    fixed_by: String,
}

/// The incidents that are over, by what they have in common.
#[derive(Debug, Default)]
pub struct History {
    /// By signature, then by beginning and id.
    past: HashMap<String, BTreeMap<(Timestamp, String), Past>>,
    /// The signature of each and its beginning, which may both change when it is reopened.
    known: HashMap<String, (String, Timestamp)>,
}

impl History {
    /// Remembers an incident once it is over, and forgets it again when it is reopened. What became part of another is no
    /// incident of its own.
    pub fn record(&mut self, incident: &Incident) {
        let fixed_by = self.forget(&incident.id).map(|past| past.fixed_by).unwrap_or_default();
        let Some(resolved) = incident.resolved.filter(|_| incident.state == IncidentState::Resolved) else { return };
        let signature = &incident.life.signature;
        if incident.merged_into.is_some() || signature.is_empty() {
            return;
        }
        if self.known.len() >= MOST
            && let Some(oldest) = self.known.iter().min_by_key(|(id, (_, started))| (*started, *id)).map(|(id, _)| id.clone())
        {
            self.forget(&oldest);
        }
        self.known.insert(incident.id.clone(), (signature.clone(), incident.started));
        let past = Past { started: incident.started, resolved, fixed_by };
        self.past.entry(signature.clone()).or_default().insert((incident.started, incident.id.clone()), past);
    }

    /// Notes what fixed an incident, for those that repeat it; nothing where it is not known.
    pub fn fixed(&mut self, id: &str, by: &str) {
        let Some((signature, started)) = self.known.get(id) else { return };
        if let Some(past) = self.past.get_mut(signature).and_then(|past| past.get_mut(&(*started, id.to_owned()))) {
            by.clone_into(&mut past.fixed_by);
        }
    }

    /// Forgets what was over before `before`.
    pub fn prune(&mut self, before: Timestamp) {
        self.past.retain(|_, past| {
            past.retain(|_, one| one.resolved >= before);
            !past.is_empty()
        });
        let past = &self.past;
        self.known.retain(|id, (signature, started)| past.get(signature).is_some_and(|p| p.contains_key(&(*started, id.clone()))));
    }

    /// What `incident` repeats: the latest of its kind that began before it.
    pub fn repeat(&self, incident: &Incident) -> Option<Repeat> {
        let past = self.past.get(&incident.life.signature)?;
        let earlier = || past.range(..(incident.started, String::new())).rev().filter(|((_, id), _)| *id != incident.id);
        let ((_, of), latest) = earlier().next()?;
        let fixed_by = earlier().map(|(_, past)| past.fixed_by.as_str()).find(|fixed| !fixed.is_empty()).unwrap_or_default();
        Some(Repeat {
            of: of.clone(),
            started: latest.started,
            lasted: latest.resolved.since(latest.started),
            count: earlier().count() as u32,
            fixed_by: fixed_by.to_owned(),
        })
    }

    fn forget(&mut self, id: &str) -> Option<Past> {
        let (signature, started) = self.known.remove(id)?;
        let past = self.past.get_mut(&signature)?;
        let gone = past.remove(&(started, id.to_owned()));
        if past.is_empty() {
            self.past.remove(&signature);
        }
        gone
    }
}

#[cfg(test)]
mod tests;
