//! What is new joins incidents, and what became of them is committed before anybody is told.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::Engine;
use super::nearby::nearby_events;
use crate::clock::Timestamp;
use crate::correlation::grouping::{self, Tick};
use crate::correlation::lifecycle::{self, repeats};
use crate::correlation::topology::Topology;
use crate::delivery::compose::compose;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::finding::Finding;
use crate::incident::{Incident, IncidentState, Life, Priority};
use crate::store::{Change, IncidentFilter, Store};

/// Pages of a thousand incidents that are over and are looked at when the engine starts, for what repeats them.
const PAGES: usize = 5;
/// The most bytes of a name and of a comment of who acknowledges.
const LONGEST: [(&str, usize); 2] = [("by", 200), ("comment", 2000)];

/// What is over, as far as it is stored; of very much the latest.
///
/// # Errors
/// The store cannot be read.
pub(super) async fn history(store: &Store, topology: &Topology) -> Result<repeats::History> {
    let filter = IncidentFilter { state: Some(IncidentState::Resolved), service: None };
    let (mut history, mut token) = (repeats::History::default(), String::new());
    for _ in 0..PAGES {
        let page = store.incidents(&filter, 1000, &token).await?;
        for mut incident in page.items {
            if incident.life.signature.is_empty() {
                incident.life.signature = repeats::signature(&incident, topology);
            }
            history.record(&incident);
        }
        let Some(next) = page.next else { break };
        token = next;
    }
    Ok(history)
}

impl Engine {
    /// Stores events, and lets them join the incidents they belong to.
    ///
    /// # Errors
    /// The store is busy or cannot be used; then nothing was stored.
    pub async fn publish(&self, events: Vec<Event>) -> Result<()> {
        for event in &events {
            metrics::counter!("bellwether_events_total", "kind" => event.kind.as_str()).increment(1);
        }
        self.correlate(&[], events).await
    }

    /// Joins what is new to incidents, and commits incidents, events and alerts in one transaction.
    pub(super) async fn correlate(&self, findings: &[Finding], events: Vec<Event>) -> Result<()> {
        if findings.is_empty() && events.is_empty() {
            return Ok(());
        }
        let mut incidents = self.0.incidents.lock().await;
        let now = self.0.clock.now();
        let nearby = nearby_events(&self.0.store, findings, &events, now).await?;
        let changed = self.grouped(&incidents, findings, &nearby, now);
        self.commit(&mut incidents, changed, events, now).await
    }

    /// Resolves incidents that come and go and were held open for long enough, and forgets those that cannot open again.
    pub(super) async fn settle(&self) -> Result<()> {
        let mut incidents = self.0.incidents.lock().await;
        let now = self.0.clock.now();
        if incidents.iter().any(|incident| lifecycle::is_due(incident, now)) {
            let changed = self.grouped(&incidents, &[], &[], now);
            self.commit(&mut incidents, changed, Vec::new(), now).await?;
        }
        self.count(&incidents);
        Ok(())
    }

    fn grouped(&self, incidents: &[Incident], findings: &[Finding], events: &[Event], now: Timestamp) -> Vec<Incident> {
        let (monitors, topology) = (self.watched(), self.topology());
        let tick = Tick {
            now,
            findings,
            events,
            topology: &topology,
            monitor: &|name| monitors.get(name).cloned(),
            catalogue: &self.0.catalogue,
            runbook_base: &self.0.config.external_url,
        };
        grouping::update(incidents, &tick)
    }

    /// Notes that `by` looks after the open incident `id`; the incident as it is then. Saying the same again changes nothing.
    ///
    /// # Errors
    /// A name or comment that is missing or too long, no such incident, one that is over, or a store that is busy.
    pub async fn acknowledge(&self, id: &str, by: &str, comment: &str) -> Result<Incident> {
        self.live(id, by, comment, Life::acknowledge).await
    }

    /// Notes that nobody looks after the open incident `id` any more, as `by` says; the incident as it is then.
    ///
    /// # Errors
    /// As [`Engine::acknowledge`].
    pub async fn unacknowledge(&self, id: &str, by: &str, comment: &str) -> Result<Incident> {
        self.live(id, by, comment, Life::unacknowledge).await
    }

    async fn live(&self, id: &str, by: &str, comment: &str, step: impl Fn(&mut Life, &str, &str, Timestamp) -> bool) -> Result<Incident> {
        let (by, comment) = (by.trim(), comment.trim());
        check(by, comment)?;
        let mut incidents = self.0.incidents.lock().await;
        let Some(open) = incidents.iter().find(|incident| incident.id == id && incident.state == IncidentState::Open) else {
            let over = self.incident(id).await?;
            let why = match over.merged_into {
                Some(other) => format!("the incident `{id}` became part of `{other}`; acknowledge that one"),
                None => format!("the incident `{id}` is resolved; only an open one can be acknowledged"),
            };
            return Err(Error::new(Code::FailedPrecondition, why));
        };
        let (mut changed, now) = (open.clone(), self.0.clock.now());
        if !step(&mut changed.life, by, comment, now) {
            return Ok(changed);
        }
        changed.updated = now;
        self.commit(&mut incidents, vec![changed.clone()], Vec::new(), now).await?;
        Ok(changed)
    }

    /// Commits what changed at `now`, keeps it in mind, and tells who watches.
    async fn commit(&self, incidents: &mut Vec<Incident>, mut changed: Vec<Incident>, events: Vec<Event>, now: Timestamp) -> Result<()> {
        let inner = &*self.0;
        for incident in changed.iter_mut().filter(|incident| incident.merged_into.is_none()) {
            incident.life.repeats = inner.history.lock().unwrap_or_else(PoisonError::into_inner).repeat(incident);
        }
        let alerts = changed.iter().map(|incident| (incident.id.clone(), compose(incident, &inner.config.external_url))).collect();
        let change = Change { at: now, incidents: changed, events, alerts, sinks: inner.config.sinks.clone() };
        inner.store.commit(&change).await?;
        for incident in change.incidents {
            inner.history.lock().unwrap_or_else(PoisonError::into_inner).record(&incident);
            let was = incidents.iter_mut().find(|known| known.id == incident.id);
            let was_open = was.as_ref().is_some_and(|known| known.state == IncidentState::Open);
            let Incident { id, service, title, .. } = &incident;
            match (was.is_some(), incident.state) {
                (false, _) => {
                    metrics::counter!("bellwether_incidents_total").increment(1);
                    tracing::info!(incident = id, service, title, "incident opened");
                }
                (true, IncidentState::Open) if !was_open => {
                    metrics::counter!("bellwether_incidents_reopened_total").increment(1);
                    tracing::info!(incident = id, service, title, "incident reopened");
                }
                _ => {}
            }
            if incident.state == IncidentState::Resolved && (was_open || was.is_none()) {
                tracing::info!(incident = id, service, "incident resolved");
            }
            match was {
                Some(known) => *known = incident.clone(),
                None => incidents.push(incident.clone()),
            }
            let _ = inner.changes.send(incident);
        }
        incidents.retain(|incident| lifecycle::may_reopen(incident, now));
        self.count(incidents);
        inner.committed.send_modify(|commits| *commits += 1);
        Ok(())
    }

    /// Sets the gauges of what is open.
    pub(super) fn count(&self, incidents: &[Incident]) {
        let open = || incidents.iter().filter(|incident| incident.state == IncidentState::Open);
        let set = |name: &'static str, count: usize| metrics::gauge!(name).set(count as f64);
        set("bellwether_incidents_open", open().count());
        set("bellwether_incidents_acknowledged", open().filter(|i| i.life.acknowledged.is_some()).count());
        set("bellwether_incidents_flapping", open().filter(|i| i.life.flapping.is_some()).count());
        set("bellwether_incidents_silenced", open().filter(|i| self.is_silenced(&i.id)).count());
        let mut by_priority: BTreeMap<&'static str, u32> = Priority::WORDS.iter().map(|word| (*word, 0)).collect();
        for priority in open().filter_map(|incident| incident.life.priority) {
            *by_priority.entry(priority.as_str()).or_default() += 1;
        }
        for (priority, count) in by_priority {
            metrics::gauge!("bellwether_incidents_by_priority", "priority" => priority).set(f64::from(count));
        }
    }

    /// Notes what fixed an incident, for those that will repeat it.
    pub fn note_fix(&self, incident: &str, by: &str) {
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner).fixed(incident, by);
    }
}

fn check(by: &str, comment: &str) -> Result<()> {
    if by.is_empty() {
        return Err(Error::invalid("by", "is empty; say who"));
    }
    for ((field, longest), text) in LONGEST.into_iter().zip([by, comment]) {
        if text.len() > longest {
            return Err(Error::invalid(field, format!("{} bytes; at most {longest} are taken", text.len())));
        }
        if text.contains(|c: char| c.is_control() && c != '\n' && c != '\r' || c == '\n' && field == "by") {
            return Err(Error::invalid(field, "has control characters"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
