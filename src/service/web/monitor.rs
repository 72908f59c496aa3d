//! The page of one monitor: its series and how each stands.

use maud::{Markup, html};

use super::{DAY_AND_TIME, MonitorView, SeriesRow, SeriesState, ago, ahead, counted, incident_path, layout, scrolling, time};
use crate::clock::Timestamp;
use crate::finding::{FindingKind, HeldBack};
use crate::guard::Guards;
use crate::metric::Unit;
use crate::monitor::Monitor;
use crate::store::Spent;

/// Series named with the part that they have in a group.
const PARTS: usize = 3;

/// The page of `monitor` at `now`: its summary, its series, and what is held back.
pub fn monitor(monitor: &Monitor, view: &MonitorView, now: Timestamp) -> Markup {
    let MonitorView { summary, series, groups, held_back, warnings, .. } = *view;
    let body = html! {
        p.eyebrow { a href="/" { "Overview" } " / monitor" }
        div class={ "status " (if summary.anomalous > 0 { "alarm" } else { "quiet" }) } {
            h1 { (monitor.name) }
            pre.copy tabindex="0" title="Click to select the whole query" { (monitor.query) }
            @if let Some(error) = &summary.error { p.failed role="alert" { "The last evaluation failed: " (error) } }
            @for warning in warnings { p.muted { "Warning: " (warning) } }
            dl.facts {
                div { dt { "Measures" } dd { (monitor.metric) ", in " (monitor.unit) } }
                @match &monitor.drift {
                    Some(plan) => {
                        div { dt { "Tested" } dd { "every " (plan.every) } }
                        div { dt { "Windows" } dd { (plan.window) } }
                    }
                    None => {
                        div { dt { "Evaluated" } dd { "every " (monitor.step) } }
                        div { dt { "Learns from" } dd { (monitor.window) } }
                        div { dt { "Direction" } dd { (monitor.direction.map_or("both", |d| d.as_str())) } }
                    }
                }
                div {
                    dt { "Last evaluated" }
                    dd { @match summary.last_evaluated { Some(at) => (ago(at, now)), None => "not yet" } }
                }
                @if let Some(together) = monitor.together_in_words() { div { dt { "Judged together" } dd { (together) } } }
                div { dt { "Alert budget" } dd { (budget(monitor, view)) } }
                @if monitor.guards != Guards::default() {
                    div { dt { "Held back" } dd { (monitor.guards.in_words(monitor.unit)) } }
                }
            }
        }
        @if let Some(plan) = &monitor.drift {
            (ahead::drift(plan.reference, view.drift))
        } @else {
        section aria-labelledby="series" {
            h2 #series { (series.len()) " series: " (summary.anomalous) " anomalous, " (summary.cannot_say) " cannot say" @if summary.suppressed > 0 { ", " (summary.suppressed) " suppressed" } }
            @if series.is_empty() {
                div.panel { p { "The query has given no series yet. Try it in Prometheus; if it gives some there, the error above or the log says why not here." } }
            } @else {
                (scrolling("Series", &table(monitor.unit, series)))
            }
        }
        }
        @if let Some(plan) = &monitor.forecast { (ahead::outlook(monitor, plan, view.outlook, now)) }
        @if !groups.is_empty() {
            section aria-labelledby="groups" {
                h2 #groups { (counted(groups.len(), "group")) " judged together" }
                p.muted { "How far the series of a group are from where they were, in robust standard deviations: the root mean square over all of them." }
                (scrolling("Groups", &table(Unit::None, groups)))
            }
        }
        section aria-labelledby="spent" {
            h2 #spent { "What the budget was spent on" }
            (spending(view.spent))
        }
        @if !held_back.is_empty() {
            section aria-labelledby="suppressed" {
                h2 #suppressed { "Findings that are held back" }
                p.muted { "Guards hold them back, or what people said of their like. They are judged like any other, open no incident, and nobody is told." }
                @for held in held_back { (suppressed(monitor, held, now)) }
            }
        }
    };
    layout(&monitor.name, &body)
}

/// What the monitor may spend, and the bound that follows.
fn budget(monitor: &Monitor, view: &MonitorView) -> Markup {
    let share = view.share;
    html! {
        (share.per_day) " false incidents a day "
        @if monitor.alert_budget_per_day.is_some() { "of its own" } @else { "shared with the others" }
        ", over " (share.series) " series"
        @if view.alpha.is_finite() { ": p-values below " (format!("{:.1e}", view.alpha)) " are anomalous" }
    }
}

/// The incidents of the last 24 hours.
fn spending(spent: &Spent) -> Markup {
    html! {
        @if spent.incidents == 0 {
            p.muted { "Nothing was found in the last 24 hours." }
        } @else {
            p { (counted(spent.findings as usize, "finding")) " in " (counted(spent.incidents as usize, "incident")) " in the last 24 hours:" }
            ul {
                @for id in &spent.ids { li { a href=(incident_path(id)) { (id) } } }
                @if spent.incidents as usize > spent.ids.len() { li { "and " (spent.incidents as usize - spent.ids.len()) " more" } }
            }
        }
    }
}

fn table(unit: Unit, series: &[SeriesRow]) -> Markup {
    let show = |v: f64| if v.is_finite() { unit.show(v) } else { "–".to_owned() };
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Series" }
                    th scope="col" { "State" }
                    th.number scope="col" { "Last value" }
                    th.number scope="col" { "Expected" }
                    th.number scope="col" { "Between" }
                    th.number scope="col" { "Score" }
                }
            }
            tbody {
                @for row in series {
                    tr {
                        th scope="row" {
                            (row.service) code.query title=(row.key) { (row.key) }
                            @if !row.parts.is_empty() { span.reason { "most of it " (parts(row)) } }
                        }
                        td { (state(&row.state)) @if let Some(reason) = &row.suppressed { span.reason { "suppressed: " (reason) } } }
                        td.number { (show(row.value)) }
                        td.number { (show(row.expected)) }
                        td.number { @if row.lower.is_finite() || row.upper.is_finite() { (show(row.lower)) " to " (show(row.upper)) } @else { "–" } }
                        td.number { @if row.score.is_finite() { (format!("{:.2}", row.score)) } @else { "–" } }
                    }
                }
            }
        }
    }
}

/// The series with the greatest parts in what was last said of a group.
fn parts(row: &SeriesRow) -> String {
    let named = row.parts.iter().take(PARTS).map(|(key, share)| format!("{key} {:.0} %", share * 100.0));
    named.collect::<Vec<_>>().join(", ")
}

fn state(state: &SeriesState) -> Markup {
    html! {
        @match state {
            SeriesState::Expected => { span.badge.resolved { "as expected" } }
            SeriesState::Anomalous => { span.badge.critical { "anomalous" } }
            SeriesState::Waiting => { span.badge.plain { "waiting" } }
            SeriesState::Suppressed => { span.badge.plain { "suppressed" } }
            SeriesState::CannotSay(reason) => { span.badge.plain { "cannot say" } span.reason { (reason) } }
        }
    }
}

/// A finding that is held back, greyed, with the reason.
fn suppressed(monitor: &Monitor, held: &HeldBack, now: Timestamp) -> Markup {
    let (finding, show) = (&held.finding, |value: f64| monitor.unit.show(value));
    let course = match finding.kind {
        FindingKind::Deviation => "at its worst",
        FindingKind::Pattern => "in an unusual pattern",
        FindingKind::Group => "robust standard deviations together",
        FindingKind::Capacity | FindingKind::Drift => "now",
    };
    html! {
        article.panel.finding.suppressed id=(finding.id) {
            h3 { (finding.metric) " of " (finding.service) " " span.badge.plain { (if finding.is_open() { "lasts" } else { "over" }) } }
            p {
                (show(finding.value)) " " (course) " where " (show(finding.expected)) " was expected, score " (format!("{:.2}", finding.score)) ", "
                @match finding.ended {
                    Some(ended) => { "from " (time(finding.onset, DAY_AND_TIME)) " to " (time(ended, DAY_AND_TIME)) " UTC" }
                    None => { "since " (time(finding.onset, DAY_AND_TIME)) " UTC" }
                }
                ", " (finding.ended.unwrap_or(now).since(finding.onset).in_words()) "."
            }
            p { "suppressed: " (held.suppressed) }
            pre.copy tabindex="0" { (finding.key) }
        }
    }
}
