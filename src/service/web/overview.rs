//! The index page: what is wrong now, and what is watched.

use maud::{Markup, html};

use super::{MonitorRow, Overview, ago, counted, incident_path, layout, life_badges, monitor_path, scrolling, severity_badge};
use crate::clock::Timestamp;
use crate::incident::{Incident, IncidentState};

/// What is wrong now, what was, and what is watched.
pub fn overview(view: &Overview) -> Markup {
    let (title, class) = headline(view);
    let series: usize = view.monitors.iter().map(|m| m.series).sum();
    let body = html! {
        div class={ "status " (class) } {
            h1 { (title) }
            p.muted {
                @if !view.monitors.is_empty() {
                    (counted(view.monitors.len(), "monitor")) ", " (series) " series · "
                    (counted(view.incidents as usize, "incident")) " in 24 hours; the budget is " (view.budget_per_day) " false ones a day · "
                }
                "as of " (super::time(view.now, "%Y-%m-%d %H:%M UTC"))
            }
        }
        @if !view.open.is_empty() {
            section aria-labelledby="open" {
                h2 #open { "Open incidents" }
                ul.cards { @for incident in view.open { (card(incident, view.now)) } }
            }
        }
        section aria-labelledby="watched" {
            h2 #watched { "What is watched" }
            @if view.monitors.is_empty() { (empty()) } @else { (monitors(view.monitors, view.now)) }
        }
        @if !view.recent.is_empty() {
            section aria-labelledby="recent" {
                h2 #recent { "Resolved lately" }
                ul.cards { @for incident in view.recent { (card(incident, view.now)) } }
            }
        }
    };
    layout(&title, &body)
}

/// The state of all in a line, with the class of its panel. All is well only where something was judged.
fn headline(view: &Overview) -> (String, &'static str) {
    let failed = view.monitors.iter().filter(|monitor| monitor.error.is_some()).count();
    match view.open.len() {
        0 if view.monitors.is_empty() => ("Nothing is watched yet".to_owned(), "idle"),
        0 if failed > 0 => (format!("No incident is open, but the evaluation of {} failed", counted(failed, "monitor")), "doubtful"),
        0 if view.monitors.iter().all(|monitor| monitor.fitted == 0) => ("Nothing can be said yet".to_owned(), "idle"),
        0 => ("All is as expected".to_owned(), "quiet"),
        1 => ("1 incident is open".to_owned(), "alarm"),
        n => (format!("{n} incidents are open"), "alarm"),
    }
}

fn card(incident: &Incident, now: Timestamp) -> Markup {
    html! {
        li class={ "card " (if incident.state == IncidentState::Open { incident.severity.as_str() } else { "done" }) } {
            p.meta {
                (severity_badge(incident.severity))
                (life_badges(&incident.life))
                span.service { (incident.service) }
                @match incident.resolved {
                    Some(resolved) => {
                        span.muted { "resolved " (ago(resolved, now)) " after " (resolved.since(incident.started).in_words()) }
                    }
                    None => { span.muted { "for " (now.since(incident.started).in_words()) } }
                }
            }
            h3 { a href=(incident_path(&incident.id)) { (incident.title) } }
            p.muted {
                (counted(incident.findings.len(), "finding"))
                @if !incident.events.is_empty() { ", " (counted(incident.events.len(), "related event")) }
                @if let Some(cause) = incident.causes.first() { " · probably: " strong { (cause.title) } }
            }
        }
    }
}

fn monitors(rows: &[MonitorRow], now: Timestamp) -> Markup {
    scrolling(
        "Monitors",
        &html! {
            table {
                thead {
                    tr {
                        th scope="col" { "Monitor" }
                        th.number scope="col" { "Anomalous" }
                        th.number scope="col" { "Series" }
                        th.number scope="col" { "Fitted" }
                        th.number scope="col" { "Cannot say" }
                        th.number scope="col" { "Incidents in 24 h" }
                        th scope="col" { "Last evaluated" }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            th scope="row" {
                                a href=(monitor_path(&row.name)) { (row.name) }
                                code.query title=(row.query) { (row.query) }
                                @if let Some(error) = &row.error { span.failed { "Failed: " (error) } }
                            }
                            td.number {
                                @if row.anomalous > 0 { span.badge.critical { (row.anomalous) } } @else { "0" }
                                @if row.suppressed > 0 { " " span.muted { "+ " (row.suppressed) " suppressed" } }
                            }
                            td.number { (row.series) }
                            td.number { (row.fitted) }
                            td.number { (row.cannot_say) }
                            td.number { (row.incidents) }
                            td { @match row.last_evaluated { Some(at) => (ago(at, now)), None => { span.muted { "not yet" } } } }
                        }
                    }
                }
            }
        },
    )
}

fn empty() -> Markup {
    html! {
        div.panel {
            p { "Nothing was found to watch, or discovery has not finished. What to do:" }
            ol {
                li { "See what discovery makes of your Prometheus, and why it skips what it skips:" pre.copy tabindex="0" { "bellwether discover --prometheus http://localhost:9090" } }
                li { "Write monitors of your own into a file and check it:" pre.copy tabindex="0" { "bellwether check -c bellwether.yaml" } }
                li { "Or see it all at work on a simulated shop:" pre.copy tabindex="0" { "bellwether demo" } }
            }
        }
    }
}
