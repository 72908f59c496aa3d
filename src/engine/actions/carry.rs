//! Calling a webhook once, and what comes after.

use std::collections::BTreeMap;
use std::slice::from_ref;

use tokio::task::JoinSet;

use super::seen::Seen;
use super::{Engine, GIVEN_UP, ITSELF, entry, told};
use crate::action::{Action, Outcome, Run, RunState};
use crate::clock::{DurationMs, Timestamp};
use crate::delivery::hook::{Answer, Hook};
use crate::error::Result;
use crate::event::{Event, EventKind};
use crate::store::Known;
use crate::telemetry;

/// How often an outcome is written anew when another change came in between.
const TRIES: usize = 5;

impl Engine {
    /// Writes the attempt, and makes it in a task of its own.
    pub(super) async fn call(
        &self,
        known: &Known,
        action: &Action,
        hook: &Hook,
        incident: &Seen,
        now: Timestamp,
        calling: &mut JoinSet<()>,
    ) -> Result<()> {
        let Some(request) = known.run.request.clone() else { return Ok(()) };
        let run = Run {
            state: RunState::Attempted,
            updated: now,
            attempted: Some(now),
            extent: Some(incident.extent.clone()),
            held: Vec::new(),
            note: "it is being called".to_owned(),
            ..known.run.clone()
        };
        let why = match &run.approval {
            Some(given) => format!("approved by {}", given.by),
            None => "it needs no approval".to_owned(),
        };
        let entry = entry(&run, Outcome::Attempted, now, ITSELF, why);
        if !self.0.store.begin_attempt(known, &run, action.rate, from_ref(&entry)).await? {
            return Ok(());
        }
        told(&entry);
        let (engine, hook, service) = (self.clone(), hook.clone(), incident.service.clone());
        calling.spawn(async move {
            let answer = hook.call(&request).await;
            if let Err(error) = engine.finish(&run.action, &run.incident, &service, answer).await {
                telemetry::failure("actions", &error);
            }
        });
        Ok(())
    }

    /// Writes what was answered.
    async fn finish(&self, action: &str, incident: &str, service: &str, answer: Answer) -> Result<()> {
        let (state, outcome, note) = match answer {
            Answer::Taken(said) => (RunState::Succeeded, Outcome::Succeeded, said),
            Answer::Failed(said) => (RunState::Failed, Outcome::Failed, said),
        };
        for _ in 0..TRIES {
            let Some(known) = self.0.store.run(action, incident).await? else { return Ok(()) };
            let now = self.0.clock.now();
            let run = Run { state, updated: now, note: note.clone(), ..known.run.clone() };
            let entry = entry(&run, outcome, now, ITSELF, note.clone());
            if self.0.store.change_run(&known, &run, from_ref(&entry)).await? {
                told(&entry);
                return self.tell_incident(&run, service, outcome, &note, now).await;
            }
        }
        Ok(())
    }

    /// Gives a call up whose outcome was never written: the process ended in between.
    pub(super) async fn give_up(&self, known: &Known, now: Timestamp) -> Result<()> {
        let timeout =
            self.0.actions.get(&known.run.action).map_or(DurationMs::HOUR, |(_, hook)| {
                DurationMs::from_millis(i64::try_from(hook.timeout().as_millis()).unwrap_or(i64::MAX))
            });
        let is_due = known.run.attempted.is_some_and(|at| now > at + timeout + GIVEN_UP);
        if known.run.state != RunState::Attempted || !is_due {
            return Ok(());
        }
        let note = "the process ended before its outcome was written; it is not called again".to_owned();
        let run = Run { state: RunState::Unknown, updated: now, note: note.clone(), ..known.run.clone() };
        let entry = entry(&run, Outcome::Unknown, now, ITSELF, note);
        if self.0.store.change_run(known, &run, from_ref(&entry)).await? {
            told(&entry);
        }
        Ok(())
    }

    /// A call that was made for an incident that became part of another was made for that one, too.
    pub(super) async fn hand_over(&self, known: &Known, incident: &Seen, now: Timestamp) -> Result<()> {
        let (Some(heir), Some(_)) = (&incident.merged_into, known.run.attempted) else { return Ok(()) };
        let theirs = self.0.store.run(&known.run.action, heir).await?;
        if theirs.as_ref().is_some_and(|theirs| !theirs.run.state.is_pending()) {
            return Ok(());
        }
        let state = if known.run.state == RunState::Attempted { RunState::Unknown } else { known.run.state };
        let note = format!("it was called for {}, which is part of this incident", incident.id);
        // Not attempted itself, so that the one call is counted once.
        let run = Run { incident: heir.clone(), state, updated: now, attempted: None, held: Vec::new(), note, ..known.run.clone() };
        match theirs {
            None => self.0.store.add_run(&run, &[]).await?,
            Some(theirs) => self.0.store.change_run(&theirs, &run, &[]).await?,
        };
        Ok(())
    }

    /// Stops when the incident has grown worse since the call.
    pub(super) async fn watch_over(&self, known: &Known, incident: &Seen, now: Timestamp) -> Result<()> {
        let run = &known.run;
        let Some((action, _)) = self.0.actions.get(&run.action) else { return Ok(()) };
        let (Some(at), Some(then), None) = (run.attempted, &run.extent, run.stopped) else { return Ok(()) };
        if now > at + action.watch {
            return Ok(());
        }
        let Some(worse) = then.worsened(&incident.extent) else { return Ok(()) };
        let why = format!("{} grew worse after it: {worse}", run.incident);
        let run = Run { stopped: Some(now), updated: now, ..run.clone() };
        let entry = entry(&run, Outcome::Stopped, now, ITSELF, why.clone());
        if self.0.store.stop_action(known, &run, &why, from_ref(&entry)).await? {
            told(&entry);
            self.tell_incident(&run, &incident.service, Outcome::Stopped, &why, now).await?;
        }
        Ok(())
    }

    /// Puts what happened into the incident's own story, and so into its alert.
    async fn tell_incident(&self, run: &Run, service: &str, outcome: Outcome, why: &str, now: Timestamp) -> Result<()> {
        let what = match outcome {
            Outcome::Succeeded => "was carried out".to_owned(),
            Outcome::Failed => "failed".to_owned(),
            Outcome::Stopped => "is paused".to_owned(),
            other => format!("is {other}"),
        };
        let event = Event {
            id: format!("action-{}-{}-{outcome}", run.action, run.incident),
            kind: EventKind::Other,
            source: ITSELF.to_owned(),
            title: format!("The action {} {what}", run.action),
            description: why.to_owned(),
            service: Some(service.to_owned()),
            labels: BTreeMap::from([("incident".to_owned(), run.incident.clone())]),
            starts_at: now,
            ends_at: None,
            url: None,
        };
        self.publish(vec![event]).await
    }
}
