//! An incident's life, and what the Alertmanagers do with its alert.

use super::{duration, time};
use crate::delivery::{AlertState, Silence};
use crate::engine::silences::Told;
use crate::incident::{Acknowledgement, Flapping, Life, Priority, Repeat, Turn, TurnKind};
use crate::proto as pb;

pub(super) fn acknowledgement(a: &Acknowledgement) -> pb::Acknowledgement {
    pb::Acknowledgement { by: a.by.clone(), comment: a.comment.clone(), at: Some(time(a.at)) }
}

pub(super) fn turn(t: &Turn) -> pb::Turn {
    let what = match t.what {
        TurnKind::Opened => pb::TurnKind::Opened,
        TurnKind::Acknowledged => pb::TurnKind::Acknowledged,
        TurnKind::Unacknowledged => pb::TurnKind::Unacknowledged,
        TurnKind::Resolved => pb::TurnKind::Resolved,
        TurnKind::Reopened => pb::TurnKind::Reopened,
        TurnKind::Flapping => pb::TurnKind::Flapping,
        TurnKind::Merged => pb::TurnKind::Merged,
    };
    pb::Turn { at: Some(time(t.at)), what: what.into(), by: t.by.clone(), note: t.note.clone() }
}

pub(super) fn flapping(f: &Flapping) -> pb::Flapping {
    pb::Flapping { since: Some(time(f.since)), times: f.times as i32, until: f.until.map(time) }
}

pub(super) fn urgency(life: &Life) -> Option<pb::Urgency> {
    let priority = match life.priority? {
        Priority::P1 => pb::Priority::P1,
        Priority::P2 => pb::Priority::P2,
        Priority::P3 => pb::Priority::P3,
        Priority::P4 => pb::Priority::P4,
        Priority::P5 => pb::Priority::P5,
    };
    Some(pb::Urgency { priority: priority.into(), reason: life.why.clone() })
}

pub(super) fn repeat(r: &Repeat) -> pb::Repeat {
    pb::Repeat {
        incident: r.of.clone(),
        started: Some(time(r.started)),
        lasted: Some(duration(r.lasted)),
        count: r.count as i32,
        fixed_by: r.fixed_by.clone(),
    }
}

pub(super) fn told(told: &Told) -> pb::AlertStatus {
    let (state, silences, error) = match &told.state {
        Ok(AlertState::Active) => (pb::AlertState::Active, &[][..], ""),
        Ok(AlertState::Silenced(silences)) => (pb::AlertState::Silenced, silences.as_slice(), ""),
        Ok(AlertState::Inhibited) => (pb::AlertState::Inhibited, &[][..], ""),
        Err(why) => (pb::AlertState::Unknown, &[][..], why.as_str()),
    };
    pb::AlertStatus {
        alertmanager: told.alertmanager.clone(),
        state: state.into(),
        silences: silences.iter().map(silence).collect(),
        error: error.to_owned(),
    }
}

fn silence(s: &Silence) -> pb::Silence {
    pb::Silence { id: s.id.clone(), created_by: s.created_by.clone(), comment: s.comment.clone(), ends_at: s.ends_at.map(time) }
}
