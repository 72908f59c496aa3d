//! What is new joins incidents, and what became of them is committed before anybody is told.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::Engine;
use super::nearby::nearby_events;
use crate::alert::Alert;
use crate::clock::Timestamp;
use crate::correlation::grouping::{self, Tick, Told};
use crate::correlation::lifecycle::{self, repeats};
use crate::delivery::compose::compose;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::feedback::Feedback;
use crate::finding::Finding;
use crate::incident::{Incident, IncidentState, Life, Priority};
use crate::store::{Change, IncidentFilter, Store};
use crate::telemetry;

/// Pages of a thousand incidents that are over and are looked at when the engine starts, for what repeats them.
const PAGES: usize = 5;
/// The most bytes of a name and of a comment of who acknowledges.
const LONGEST: [(&str, usize); 2] = [("by", 200), ("comment", 2000)];

/// What is over, as far as it is stored, with what fixed it by what was `said`; of very much the latest.
///
/// # Errors
/// The store cannot be read.
pub(super) async fn history(store: &Store, said: &[Feedback]) -> Result<repeats::History> {
    let filter = IncidentFilter { state: Some(IncidentState::Resolved), service: None };
    let (mut history, mut token) = (repeats::History::default(), String::new());
    for _ in 0..PAGES {
        let page = store.incidents(&filter, 1000, &token).await?;
        for mut incident in page.items {
            if incident.life.signature.is_empty() {
                incident.life.signature = repeats::signature(&incident);
            }
            history.record(&incident);
        }
        let Some(next) = page.next else { break };
        token = next;
    }
    for feedback in said.iter().rev() {
        if let Some(fix) = feedback.fix() {
            history.fixed(&feedback.incident, fix);
        }
    }
    Ok(history)
}

impl Engine {
    /// Stores events, and lets them join the incidents they belong to. A replica that stands by leaves them for the one
    /// that leads.
    ///
    /// # Errors
    /// The store is busy or cannot be used; then nothing was stored.
    pub async fn publish(&self, events: Vec<Event>) -> Result<()> {
        for event in &events {
            metrics::counter!("bellwether_events_total", "kind" => event.kind.as_str()).increment(1);
        }
        if self.0.store.leads() {
            match self.correlate(&[], events.clone()).await {
                // Another has taken over meanwhile.
                Err(_) if !self.0.store.leads() => {}
                done => return done,
            }
        }
        self.0.store.leave(&events, self.0.clock.now()).await
    }

    /// Joins what is new to incidents, and commits incidents, events and alerts in one transaction.
    pub(super) async fn correlate(&self, findings: &[Finding], events: Vec<Event>) -> Result<()> {
        if findings.is_empty() && events.is_empty() {
            return Ok(());
        }
        let mut incidents = self.0.incidents.lock().await;
        let now = self.0.clock.now();
        // What waits is looked at again with what is new; the store's refusal changes nothing.
        let mut latest: Vec<Finding> = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        latest.retain(|known| findings.iter().all(|new| new.id != known.id));
        latest.extend_from_slice(findings);
        let nearby = nearby_events(&self.0.store, &latest, &events, now).await?;
        let patience = self.0.config.patience;
        let Told { incidents: changed, waiting } = self.tick(&latest, &nearby, now, |tick| grouping::tell(&incidents, tick, patience));
        self.commit(&mut incidents, changed, events, now).await?;
        *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
        Ok(())
    }

    /// Resolves incidents that come and go and were held open for long enough, and forgets those that cannot open again.
    pub(super) async fn settle(&self) -> Result<()> {
        let mut incidents = self.0.incidents.lock().await;
        let now = self.0.clock.now();
        if incidents.iter().any(|incident| lifecycle::is_due(incident, now)) {
            let changed = self.tick(&[], &[], now, |tick| grouping::update(&incidents, tick));
            self.commit(&mut incidents, changed, Vec::new(), now).await?;
        }
        self.count(&incidents);
        Ok(())
    }

    /// What `decide` makes of what is new at `now` and of all that is known.
    pub(super) fn tick<T>(&self, findings: &[Finding], events: &[Event], now: Timestamp, decide: impl FnOnce(&Tick<'_>) -> T) -> T {
        let (monitors, topology, learned) = (self.watched(), self.topology(), self.learned());
        decide(&Tick {
            now,
            findings,
            events,
            topology: &topology,
            monitor: &|name| monitors.get(name).cloned(),
            catalogue: &self.0.catalogue,
            learned: &learned,
            runbook_base: &self.0.config.external_url,
        })
    }

    /// What Alertmanager is told of `incident`.
    pub fn alert(&self, incident: &Incident) -> Alert {
        let config = &self.0.config;
        let mut alert = compose(incident, &config.external_url);
        alert.annotations.insert("feedback_url".to_owned(), config.links.url(&config.external_url, incident));
        alert
    }

    /// Notes that `by` looks after the open incident `id`; the incident as it is then. Saying the same again changes nothing.
    ///
    /// # Errors
    /// A name or comment that is missing or too long, no such incident, one that is over, a store that is busy, or a replica
    /// that stands by.
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
        if !self.0.store.leads() {
            return Err(Error::new(Code::Unavailable, "this replica stands by; acknowledge at the one that leads"));
        }
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
    pub(super) async fn commit(
        &self,
        incidents: &mut Vec<Incident>,
        mut changed: Vec<Incident>,
        events: Vec<Event>,
        now: Timestamp,
    ) -> Result<()> {
        let inner = &*self.0;
        for incident in changed.iter_mut().filter(|incident| incident.merged_into.is_none()) {
            incident.life.repeats = inner.history.lock().unwrap_or_else(PoisonError::into_inner).repeat(incident);
        }
        let alerts = changed.iter().map(|incident| (incident.id.clone(), self.alert(incident))).collect();
        let change = Change { at: now, incidents: changed, events, alerts, sinks: inner.config.sinks.clone() };
        inner.store.commit(&change).await?;
        if let Err(error) = self.look_again(&change.incidents).await {
            telemetry::failure("feedback", &error);
        }
        let over: Vec<String> = change.incidents.iter().filter(|i| i.state == IncidentState::Resolved).map(|i| i.id.clone()).collect();
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
        for id in over {
            if let Err(error) = self.note_fix(&id).await {
                telemetry::failure("feedback", &error);
            }
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

    /// Notes what fixed an incident by what people said of it, for those that will repeat it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn note_fix(&self, incident: &str) -> Result<()> {
        let said = self.feedback_on(incident).await?;
        let fix = said.iter().find_map(Feedback::fix).unwrap_or_default();
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner).fixed(incident, fix);
        Ok(())
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
