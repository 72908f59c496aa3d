//! How an incident lives: how urgent it is and why, what it repeats, who looks after it, what silences it, and its turns.

use maud::{Markup, html};

use super::super::{DAY_AND_TIME, ago, incident_path, time};
use crate::clock::Timestamp;
use crate::delivery::AlertState;
use crate::engine::silences::Told;
use crate::incident::{Incident, IncidentState, Turn, TurnKind};

/// What is to be known of the life of `incident` at `now`, and the form by which somebody takes it on.
pub(super) fn life(incident: &Incident, told: &[Told], now: Timestamp) -> Markup {
    let life = &incident.life;
    let open = incident.state == IncidentState::Open;
    html! {
        div.panel.life {
            @if let Some(priority) = life.priority { p { strong { (priority) } ": " (life.why) } }
            @if let Some(repeat) = &life.repeats {
                p {
                    "The same as " a href=(incident_path(&repeat.of)) { (repeat.of) } ", " (ago(repeat.started, now)) ", resolved after "
                    (repeat.lasted.in_words())
                    @if repeat.count > 1 { "; it was like that " (repeat.count) " times before" }
                    @if !repeat.fixed_by.is_empty() { "; what fixed it: " strong { (repeat.fixed_by) } }
                    "."
                }
            }
            @if let Some(flapping) = &life.flapping { p { "It comes and goes: " (flapping.in_words()) "." } }
            @for one in told { (said(one)) }
            @match &life.acknowledged {
                Some(known) => {
                    p {
                        "Acknowledged by " strong { (known.by) } " " (ago(known.at, now))
                        @if !known.comment.is_empty() { ": " (known.comment) }
                    }
                    @if open { (form(incident, true)) }
                }
                None => { @if open { (form(incident, false)) } }
            }
        }
    }
}

/// What an Alertmanager does with the alert; nothing where it lets it through.
fn said(told: &Told) -> Markup {
    let name = &told.alertmanager;
    html! {
        @match &told.state {
            Ok(AlertState::Active) => {}
            Ok(AlertState::Silenced(silences)) => {
                @for silence in silences {
                    p {
                        span.badge.plain { "silenced" } " "
                        @if let Some(until) = silence.ends_at { "until " (time(until, DAY_AND_TIME)) " UTC " }
                        @if !silence.created_by.is_empty() { "by " strong { (silence.created_by) } }
                        @if !silence.comment.is_empty() { ": " (silence.comment) }
                        span.muted { " (in " (name) ")" }
                    }
                }
            }
            Ok(AlertState::Inhibited) => { p { span.badge.plain { "inhibited" } " by another alert or muted by a time interval, in " (name) } }
            Err(why) => { p.muted { "Whether " (name) " silences it is not known: " (why) } }
        }
    }
}

fn form(incident: &Incident, undo: bool) -> Markup {
    html! {
        form.acknowledge method="post" action={ (incident_path(&incident.id)) "/acknowledge" } {
            label { "Name " input name="by" required maxlength="200" autocomplete="name"; }
            label { "Comment " input name="comment" maxlength="2000" autocomplete="off"; }
            @if undo { button name="undo" value="yes" { "Take it back" } } @else { button { "Acknowledge" } }
        }
    }
}

/// The turns of its life, for the timeline.
pub(super) fn turns(incident: &Incident) -> Vec<(Timestamp, &'static str, Markup)> {
    let entry = |turn: &Turn| {
        let what = match turn.what {
            TurnKind::Opened => "The incident was opened",
            TurnKind::Acknowledged => "It was acknowledged",
            TurnKind::Unacknowledged => "It was not acknowledged any more",
            TurnKind::Resolved => "The incident was resolved",
            TurnKind::Reopened => "The incident was reopened",
            TurnKind::Flapping => "It comes and goes, and is held open",
            TurnKind::Merged => "It became part of another",
        };
        let by = if turn.by.is_empty() { String::new() } else { format!(" by {}", turn.by) };
        let note = if turn.note.is_empty() { String::new() } else { format!(": {}", turn.note) };
        (turn.at, "own", html! { (what) (by) span.muted { (note) } })
    };
    if incident.life.turns.is_empty() {
        // As it was stored before turns were kept.
        let resolved = incident.resolved.map(|at| (at, "own", html! { "The incident was resolved" }));
        return std::iter::once((incident.detected, "own", html! { "The incident was opened" })).chain(resolved).collect();
    }
    incident.life.turns.iter().map(entry).collect()
}
