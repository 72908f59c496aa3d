//! What actions do about an incident: what waits for a person, and the log.

use maud::{Markup, html};

use super::{encoded, incident_path, time};
use crate::action::rails::Rail;
use crate::action::{Entry, Run, RunState};

/// What the page of an incident shows of actions.
#[derive(Clone, Copy, Debug, Default)]
pub struct ActionsView<'a> {
    /// The runs of the incident.
    pub runs: &'a [Run],
    /// The log of the incident, the latest first.
    pub log: &'a [Entry],
    /// The names of actions that are paused, each with why.
    pub paused: &'a [(String, String)],
}

/// The section about actions; nothing where there are none.
pub(super) fn actions(incident: &str, view: &ActionsView<'_>) -> Markup {
    html! {
        @if !view.runs.is_empty() {
            section aria-labelledby="actions" {
                h2 #actions { "Actions" }
                @for run in view.runs { (one(incident, run, view.paused)) }
                @if !view.log.is_empty() { (log(view.log)) }
            }
        }
    }
}

fn one(incident: &str, run: &Run, paused: &[(String, String)]) -> Markup {
    let waits = run.state == RunState::Proposed && run.request.is_some();
    let why = paused.iter().find(|(name, _)| *name == run.action).map(|(_, why)| why);
    html! {
        article.panel.action id={ "action-" (run.action) } {
            h3 { (run.action) " " span class={ "badge plain " (run.state) } { (run.state.as_str().replace('_', " ")) } }
            p { (run.title) " " span.muted { "(" (super::incident::sureness(run.confidence)) ")" } }
            @if let Some(request) = &run.request {
                pre.copy tabindex="0" { (request.method) " " (request.url) "\n" (request.body) }
            }
            @if !run.note.is_empty() { p.muted { (run.note) } }
            @if run.state.is_pending() {
                form.decide method="post" action={ (incident_path(incident)) "/actions/" (encoded(&run.action)) } {
                    input type="hidden" name="etag" value=(run.etag());
                    label { "Your name" input name="by" required maxlength="100" autocomplete="name"; }
                    label { "Why" input name="reason" maxlength="500"; }
                    @if waits { button name="decision" value="approve" { (if run.held.contains(&Rail::Approval) || run.held.is_empty() { "Approve" } else { "Approve, once nothing else holds it back" }) } }
                    button.plain name="decision" value="reject" { "Reject" }
                }
            }
            @if let Some(why) = why {
                form.decide method="post" action={ (incident_path(incident)) "/actions/" (encoded(&run.action)) } {
                    p { "Paused: " (why) }
                    label { "Your name" input name="by" required maxlength="100" autocomplete="name"; }
                    label { "Why" input name="reason" maxlength="500"; }
                    button name="decision" value="resume" { "Let it go on" }
                }
            }
        }
    }
}

fn log(entries: &[Entry]) -> Markup {
    html! {
        details.small {
            summary { "Log" }
            ol.timeline {
                @for entry in entries {
                    li class="own" {
                        (time(entry.at, "%b %-d %H:%M:%S"))
                        div {
                            (entry.action) " " strong { (entry.outcome.as_str().replace('_', " ")) } " by " (entry.who)
                            @if !entry.why.is_empty() { p.muted { (entry.why) } }
                        }
                    }
                }
            }
        }
    }
}
