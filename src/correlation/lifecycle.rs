//! How an incident lives: resolved, reopened, flapping and held.
//!
//! **Resolved** is an incident when every finding in it has ended, as of the latest end.
//!
//! **Cooldown.** What comes back soon after that reopens its incident instead of opening another: within ten minutes, by
//! the rules by which findings join. Each reopening of the last six hours doubles that time for the same series, up to two
//! hours, so that what comes and goes slowly stays one incident, too.
//!
//! **Flapping.** An incident that was reopened three times within six hours comes and goes. It is held open from then on, so
//! that its one alert stays instead of firing and resolving again and again. It is resolved when it has been quiet for
//! twice the longest pause after which it came back so far, at least half an hour and at most two hours; that is its end.
//! So nothing is held longer than two hours after its last finding.
//!
//! Nagios weighs which of the last 21 checks changed the state, the newest half as much again as the oldest. That needs checks at a
//! regular pace and forgets by their number. Here each change has its time, so that time alone decides.
//!
//! An acknowledgement is a fact beside the state, not a state: who looks after what is open does not change that it is
//! open. It ends when the incident comes back after it was resolved, because what they looked after was over then.
//!
//! All of this is decided from the incident and the time, both values; what is needed later is kept in the incident.

pub mod priority;
pub mod repeats;

use super::grouping::SLACK;
use crate::clock::{DurationMs, Timestamp};
use crate::incident::{Flapping, Incident, IncidentState, Life, TurnKind};

/// So many reopenings within [`FLAP_WINDOW`] are flapping.
const FLAPS: usize = 3;
/// How far back reopenings count.
const FLAP_WINDOW: DurationMs = DurationMs::from_secs(6 * 3600);
/// The longest time after which an incident may be reopened.
pub const REMEMBERED: DurationMs = DurationMs::from_secs(2 * 3600 + 600);
/// The longest time after which a series reopens its incident, and the longest that one is held.
const LONGEST_HOLD: DurationMs = DurationMs::from_secs(2 * 3600);
/// The shortest time that a flapping incident is held.
const SHORTEST_HOLD: DurationMs = DurationMs::from_secs(1800);

/// Whether an incident may still be reopened at `now`, by a finding that is told of at most ten minutes after its onset; an
/// open one counts as such.
pub fn may_reopen(incident: &Incident, now: Timestamp) -> bool {
    incident.resolved.is_none_or(|at| now < at + cooldown(&incident.life, at) + SLACK)
}

/// Whether an incident is held only because it comes and goes, and was quiet for long enough at `now`.
pub fn is_due(incident: &Incident, now: Timestamp) -> bool {
    let until = incident.life.flapping.as_ref().and_then(|flapping| flapping.until);
    incident.state == IncidentState::Open && until.is_some_and(|until| until <= now)
}

/// The latest onset at which the same series belongs to an incident whose findings had all ended at `over`; `None` where the
/// rules by which findings join decide alone.
pub(super) fn returns_until(incident: &Incident, over: Timestamp) -> Option<Timestamp> {
    if let Some(flapping) = &incident.life.flapping {
        // Where nobody looked in time it was resolved when the hold ended, and may have been reopened after that.
        let held = over + hold(flapping.pause);
        return Some(held + cooldown(&incident.life, held));
    }
    let at = incident.resolved?;
    let cooldown = cooldown(&incident.life, at);
    (cooldown > SLACK).then(|| at + cooldown)
}

/// Within which time after it was resolved `at` an incident is reopened.
fn cooldown(life: &Life, at: Timestamp) -> DurationMs {
    let times = recent(life, at).min(8) as u32;
    (SLACK * 2_i64.pow(times)).min(LONGEST_HOLD)
}

/// How often it was reopened lately.
fn recent(life: &Life, now: Timestamp) -> usize {
    life.reopened().filter(|at| now.since(*at) < FLAP_WINDOW).count()
}

fn hold(pause: DurationMs) -> DurationMs {
    (pause * 2).clamp(SHORTEST_HOLD, LONGEST_HOLD)
}

/// Takes an incident on to what it is at `now`, where its findings have all ended at `over` if they have; `before` is what
/// it was, and when its findings had all ended, if it was known.
pub(super) fn advance(before: Option<(&Incident, Option<Timestamp>)>, incident: &mut Incident, over: Option<Timestamp>, now: Timestamp) {
    let mut was_open = before.is_some_and(|(before, _)| before.state == IncidentState::Open);
    let quiet_since = before.and_then(|(_, over)| over).filter(|quiet| over.is_none_or(|over| over > *quiet));
    let life = &mut incident.life;
    if before.is_none() {
        life.turn(incident.detected, TurnKind::Opened, "", "");
    }
    let mut reopened = false;
    if let Some(quiet) = quiet_since {
        let onset = incident.findings.iter().map(|finding| finding.onset).filter(|onset| *onset > quiet).min().unwrap_or(quiet);
        // Nobody looked between the end of the hold and its coming back.
        if let Some(until) = life.flapping.as_ref().and_then(|flapping| flapping.until).filter(|until| *until < onset) {
            settle(life, until);
            was_open = false;
        }
        reopened = !was_open;
        came_back(life, onset.since(quiet), reopened, now);
    }
    let held_until = over.zip(life.flapping.as_ref()).map(|(over, flapping)| over + hold(flapping.pause));
    let known_end = before.filter(|(_, was)| *was == over).and_then(|(before, _)| before.resolved);
    incident.resolved = match (over, held_until) {
        (None, _) => None,
        (Some(_), Some(until)) => Some(until).filter(|until| *until <= now),
        (Some(over), None) => known_end.or(Some(over.min(now))),
    };
    incident.state = if incident.resolved.is_some() { IncidentState::Resolved } else { IncidentState::Open };
    match incident.resolved {
        Some(at) if was_open || before.is_none() || reopened => settle(life, at),
        _ => {
            if let Some(flapping) = &mut life.flapping {
                flapping.until = held_until;
            }
        }
    }
}

/// Notes that an incident came back after a pause, and that it is flapping where it does so too often.
fn came_back(life: &mut Life, pause: DurationMs, reopened: bool, now: Timestamp) {
    if reopened {
        life.turn(now, TurnKind::Reopened, "", format!("after {} without it", pause.in_words()));
        if life.acknowledged.take().is_some() {
            life.turn(now, TurnKind::Unacknowledged, "", "it came back");
        }
    }
    let times = recent(life, now);
    match &mut life.flapping {
        Some(flapping) => {
            flapping.times += 1;
            flapping.pause = flapping.pause.max(pause);
        }
        None if reopened && times >= FLAPS => {
            life.flapping = Some(Flapping { since: now, times: times as u32, pause: longest_pause(life, now), until: None });
            life.turn(now, TurnKind::Flapping, "", format!("it came back {times} times"));
        }
        None => {}
    }
}

/// Notes that an incident was resolved, and how long it was held if it was.
fn settle(life: &mut Life, at: Timestamp) {
    let held = life.flapping.take();
    let note = held.map(|held| format!("quiet for {} after it came back {} times", hold(held.pause).in_words(), held.times));
    life.turn(at, TurnKind::Resolved, "", note.unwrap_or_default());
}

/// The longest time from a resolution to the reopening after it, of the reopenings that count at `now`.
fn longest_pause(life: &Life, now: Timestamp) -> DurationMs {
    let (mut resolved, mut longest) = (None, DurationMs::ZERO);
    for turn in &life.turns {
        match turn.what {
            TurnKind::Resolved => resolved = Some(turn.at),
            TurnKind::Reopened if now.since(turn.at) < FLAP_WINDOW => {
                longest = longest.max(resolved.take().map_or(DurationMs::ZERO, |at| turn.at.since(at)));
            }
            _ => {}
        }
    }
    longest
}

#[cfg(test)]
mod tests;
