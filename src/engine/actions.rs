//! Carries out what remedies may call, one rail after the other.
//!
//! A task of its own looks at open incidents after every commit. Whatever it does is written first: that an action is
//! proposed, that it is about to be called, and afterwards what was answered. A call that was written and whose answer was
//! not stays *unknown* and is never made again. Nothing is called while the incidents are locked, and a slow receiver
//! keeps no other waiting.

mod carry;
mod people;
mod seen;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::Engine;
use crate::action::rails::{Decision, Facts, Rail, decide};
use crate::action::{Action, Entry, Mode, Outcome, Run, RunState};
use crate::clock::{DurationMs, Timestamp};
use crate::error::Result;
use crate::store::{Known, RunFilter};
use crate::telemetry;
use seen::{Offer, Seen};

pub use people::ActionStatus;

/// The longest sleep: windows open and rates recover without anybody telling.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// The shortest: many commits at once are one look.
const SHORTEST_SLEEP: Duration = Duration::from_millis(250);
/// How long after its timeout a call without an outcome is given up.
const GIVEN_UP: DurationMs = DurationMs::from_secs(5);
/// The longest that an incident is watched after a call.
const LONGEST_WATCH: DurationMs = DurationMs::DAY;
/// The most runs of one incident that are looked at.
const MOST_OF_ONE: usize = 200;
/// Whom the log names where no person did it.
const ITSELF: &str = "bellwether";

impl Engine {
    /// Acts after every commit, forever; not at all where actions are off.
    pub(super) async fn keep_acting(self) {
        if self.0.config.actions == Mode::Off || self.0.actions.is_empty() {
            return;
        }
        let mut committed = self.0.committed.subscribe();
        let mut over = HashSet::new();
        let mut calling = JoinSet::new();
        loop {
            // Before the look, so that a commit during it wakes us again.
            committed.borrow_and_update();
            if let Err(error) = self.act(&mut over, &mut calling).await {
                telemetry::failure("actions", &error);
            }
            while calling.try_join_next().is_some() {}
            tokio::time::sleep(SHORTEST_SLEEP).await;
            let woken = async {
                if committed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(LONGEST_SLEEP) => {}
            }
        }
    }

    /// Looks once at everything that is or may be acted on. `over` remembers the runs that nothing more will be done for.
    async fn act(&self, over: &mut HashSet<(String, String)>, calling: &mut JoinSet<()>) -> Result<()> {
        let now = self.0.clock.now();
        let live = self.0.store.live_runs(now - LONGEST_WATCH).await?;
        let seen = self.look(&live).await?;
        for known in &live {
            self.give_up(known, now).await?;
            if let Some(incident) = seen.get(&known.run.incident) {
                self.hand_over(known, incident, now).await?;
                self.watch_over(known, incident, now).await?;
            }
        }
        for incident in seen.values().filter(|incident| incident.is_open) {
            for offer in incident.offers.iter().filter(|offer| self.0.actions.contains_key(&offer.action)) {
                let pair = (offer.action.clone(), incident.id.clone());
                if over.contains(&pair) {
                    continue;
                }
                if let Some(known) = self.proposed(offer, incident, now).await?
                    && !known.run.state.is_pending()
                {
                    over.insert(pair);
                }
            }
        }
        // Anew: what was proposed or handed over is among them, with its version.
        for known in self.0.store.live_runs(now - LONGEST_WATCH).await? {
            if known.run.state.is_pending() {
                self.consider(known, &seen, now, calling).await?;
            }
        }
        Ok(())
    }

    /// The run of an offer; a new one, or one for something else than before, is written and told.
    async fn proposed(&self, offer: &Offer, incident: &Seen, now: Timestamp) -> Result<Option<Known>> {
        let Some((action, _)) = self.0.actions.get(&offer.action) else { return Ok(None) };
        let known = self.0.store.run(&offer.action, &incident.id).await?;
        let (targets, definition) = (action.targets(&offer.values), action.fingerprint());
        let is_same = |run: &Run| run.targets == targets && run.definition == definition;
        if let Some(known) = &known
            && (known.run.state != RunState::Proposed || (is_same(&known.run) && known.run.request.is_some()))
        {
            return Ok(Some(known.clone()));
        }
        let request = action.request(&offer.values).ok();
        if request.is_none() && known.as_ref().is_some_and(|known| is_same(&known.run)) {
            return Ok(known);
        }
        let run = Run {
            action: action.name.clone(),
            incident: incident.id.clone(),
            state: RunState::Proposed,
            suggestion: offer.suggestion.clone(),
            title: offer.title.clone(),
            confidence: offer.confidence,
            request,
            targets,
            definition,
            created: known.as_ref().map_or(now, |known| known.run.created),
            updated: now,
            approval: None,
            attempted: None,
            extent: None,
            stopped: None,
            held: Vec::new(),
            note: String::new(),
        };
        let why = format!("`{}` suggests it with a confidence of {:.2}", run.suggestion, run.confidence);
        let entry = entry(&run, Outcome::Proposed, now, ITSELF, why);
        let written = match &known {
            None => self.0.store.add_run(&run, std::slice::from_ref(&entry)).await?,
            Some(known) => self.0.store.change_run(known, &run, std::slice::from_ref(&entry)).await?,
        };
        if written {
            told(&entry);
        }
        self.0.store.run(&offer.action, &incident.id).await
    }

    /// Decides about a pending run, and does what is decided.
    async fn consider(&self, known: Known, seen: &BTreeMap<String, Seen>, now: Timestamp, calling: &mut JoinSet<()>) -> Result<()> {
        let Some((action, hook)) = self.0.actions.get(&known.run.action) else { return Ok(()) };
        let incident = seen.get(&known.run.incident);
        let offer = incident.and_then(|incident| incident.offers.iter().find(|offer| offer.action == action.name));
        let standing = self.0.store.standing(&action.name).await?;
        let calls = self.0.store.calls_since(&action.name, now - action.rate.per).await?;
        let filter = RunFilter { incident: Some(known.run.incident.clone()), ..RunFilter::default() };
        let others = self.0.store.runs(&filter, MOST_OF_ONE, "").await?;
        let facts = Facts {
            now,
            mode: self.0.config.actions,
            action,
            run: &known.run,
            is_open: incident.is_some_and(|incident| incident.is_open),
            values: offer.map(|offer| &offer.values),
            confidence: offer.map_or(0.0, |offer| offer.confidence),
            rehearsed: standing.rehearsed.as_deref(),
            is_paused: standing.paused.is_some(),
            is_stopped: others.items.iter().any(|run| run.stopped.is_some()),
            is_silenced: self.is_silenced(&known.run.incident),
            calls: &calls,
        };
        match decide(&facts) {
            Decision::Leave => Ok(()),
            Decision::Wait(forbidden) => self.wait(&known, &forbidden, now).await,
            Decision::Rehearse => self.rehearse(&known, action, now).await,
            Decision::Call => match incident {
                Some(incident) => self.call(&known, action, hook, incident, now, calling).await,
                None => Ok(()),
            },
        }
    }

    async fn rehearse(&self, known: &Known, action: &Action, now: Timestamp) -> Result<()> {
        let note = "rehearsed: nothing was sent".to_owned();
        let run = Run { state: RunState::DryRun, updated: now, held: Vec::new(), note, ..known.run.clone() };
        let entry = entry(&run, Outcome::DryRun, now, ITSELF, "all but the call".to_owned());
        if self.0.store.rehearsed(known, &run, &action.fingerprint(), std::slice::from_ref(&entry)).await? {
            told(&entry);
        }
        Ok(())
    }

    /// Notes what holds a run back. Only a change of it is told, and waiting for a person is not a denial.
    async fn wait(&self, known: &Known, forbidden: &[crate::action::rails::Forbidden], now: Timestamp) -> Result<()> {
        let held: Vec<Rail> = forbidden.iter().map(|f| f.rail).collect();
        if held == known.run.held {
            return Ok(());
        }
        let why = forbidden.iter().map(|f| f.why.as_str()).collect::<Vec<_>>().join("; ");
        let is_over = held.contains(&Rail::Over);
        let has_lapsed = held.contains(&Rail::Approval);
        let state = match known.run.state {
            _ if is_over => RunState::Lapsed,
            RunState::Approved if has_lapsed => RunState::Proposed,
            state => state,
        };
        let approval = known.run.approval.clone().filter(|_| state == RunState::Approved);
        let run = Run { state, approval, updated: now, held: held.clone(), note: why.clone(), ..known.run.clone() };
        let outcome = if is_over { Outcome::Lapsed } else { Outcome::Denied };
        let entries: Vec<Entry> = if held.iter().all(|rail| *rail == Rail::Approval) && known.run.state == RunState::Proposed {
            Vec::new()
        } else {
            vec![entry(&run, outcome, now, ITSELF, why)]
        };
        if self.0.store.change_run(known, &run, &entries).await? {
            entries.iter().for_each(told);
        }
        Ok(())
    }
}

/// An entry of the log about a run.
fn entry(run: &Run, outcome: Outcome, at: Timestamp, who: &str, why: String) -> Entry {
    const LONGEST: usize = 500;
    let request = run.request.as_ref().map(|r| format!("{} {} {}", r.method, r.url, r.body)).unwrap_or_default();
    let mut shown: String = request.chars().take(LONGEST).collect();
    if shown.len() < request.len() {
        shown.push('…');
    }
    Entry { incident: run.incident.clone(), request: shown, ..of_action(&run.action, outcome, at, who, why) }
}

/// An entry of the log about an action.
fn of_action(action: &str, outcome: Outcome, at: Timestamp, who: &str, why: String) -> Entry {
    // The count keeps what happened in one millisecond in order.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let id = format!("{:015}-{:08x}-{:08x}", at.millis(), COUNT.fetch_add(1, Ordering::Relaxed), rand::random::<u32>());
    Entry { id, at, action: action.to_owned(), incident: String::new(), outcome, who: who.to_owned(), why, request: String::new() }
}

/// What happened to an action: a log line and a count that cannot drift apart.
fn told(entry: &Entry) {
    let Entry { action, incident, outcome, who, why, .. } = entry;
    metrics::counter!("bellwether_actions_total", "action" => action.clone(), "outcome" => outcome.as_str()).increment(1);
    tracing::info!(action, incident, outcome = outcome.as_str(), who, why, "action");
}
