//! Actions, their standing and their log.

use super::{duration, time};
use crate::action::{Entry, Mode, Run, RunState};
use crate::engine::actions::ActionStatus;
use crate::error::{Error, Result};
use crate::proto as pb;

fn state(state: RunState) -> pb::ActionState {
    match state {
        RunState::Proposed => pb::ActionState::Proposed,
        RunState::Approved => pb::ActionState::Approved,
        RunState::Rejected => pb::ActionState::Rejected,
        RunState::DryRun => pb::ActionState::DryRun,
        RunState::Attempted => pb::ActionState::Attempted,
        RunState::Succeeded => pb::ActionState::Succeeded,
        RunState::Failed => pb::ActionState::Failed,
        RunState::Unknown => pb::ActionState::Unknown,
        RunState::Lapsed => pb::ActionState::Lapsed,
    }
}

/// The state that a filter names; `None` where it names none.
pub fn read_action_state(field: &str, value: i32) -> Result<Option<RunState>> {
    if value == 0 {
        return Ok(None);
    }
    let all = RunState::WORDS.iter().filter_map(|word| word.parse::<RunState>().ok());
    let found = all.into_iter().find(|known| i32::from(state(*known)) == value);
    found.map(Some).ok_or_else(|| Error::invalid(field, format!("{value} is no state of an action")))
}

pub fn action_mode(mode: Mode) -> pb::ActionMode {
    match mode {
        Mode::Off => pb::ActionMode::Off,
        Mode::DryRun => pb::ActionMode::DryRun,
        Mode::On => pb::ActionMode::On,
    }
}

pub fn action(run: &Run) -> pb::Action {
    let request = run.request.as_ref();
    pb::Action {
        action: run.action.clone(),
        incident: run.incident.clone(),
        state: state(run.state).into(),
        suggestion: run.suggestion.clone(),
        title: run.title.clone(),
        confidence: run.confidence,
        method: request.map(|r| r.method.to_string()).unwrap_or_default(),
        url: request.map(|r| r.url.clone()).unwrap_or_default(),
        body: request.map(|r| r.body.clone()).unwrap_or_default(),
        targets: run.targets.clone().into_iter().collect(),
        created: Some(time(run.created)),
        updated: Some(time(run.updated)),
        approved_by: run.approval.as_ref().map(|given| given.by.clone()).unwrap_or_default(),
        attempted: run.attempted.map(time),
        stopped: run.stopped.map(time),
        held_back_by: run.held.iter().map(ToString::to_string).collect(),
        note: run.note.clone(),
        etag: run.etag(),
    }
}

pub fn configured_action(status: &ActionStatus) -> pb::ConfiguredAction {
    let ActionStatus { action, standing } = status;
    pb::ConfiguredAction {
        name: action.name.clone(),
        needs_approval: action.needs_approval,
        dry_run: action.dry_run,
        rehearsed: standing.rehearsed.as_ref() == Some(&action.fingerprint()),
        paused: standing.paused.map(time),
        paused_why: standing.why.clone(),
        rate_most: action.rate.most as i32,
        rate_period: Some(duration(action.rate.per)),
        least_confidence: action.least_confidence,
    }
}

pub fn action_entry(entry: &Entry) -> pb::ActionLogEntry {
    pb::ActionLogEntry {
        id: entry.id.clone(),
        time: Some(time(entry.at)),
        action: entry.action.clone(),
        incident: entry.incident.clone(),
        outcome: entry.outcome.to_string(),
        who: entry.who.clone(),
        why: entry.why.clone(),
        request: entry.request.clone(),
    }
}
