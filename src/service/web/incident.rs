//! The page of one incident: what, since when, how sure, probably why, and what to do.

mod life;

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::actions::actions;
use super::life_badges;
use super::{DAY_AND_TIME, FindingChart, IncidentView};
use super::{ago, feedback, grouped, incident_path, layout, link, link_target, monitor_path, severity_badge, time};
use crate::clock::Timestamp;
use crate::finding::{Direction, Finding, FindingKind};
use crate::incident::{Cause, Incident, IncidentState, Suggestion};
use crate::plot::svg;

/// The page of `incident` with what is known beside it.
pub fn incident(incident: &Incident, view: &IncidentView) -> Markup {
    let IncidentView { charts, alert, told, acting, feedback: said, now } = *view;
    let body = html! {
        p.eyebrow { a href="/" { "Overview" } " / incident " code { (incident.id) } }
        (heading(incident, now))
        (life::life(incident, told, now))
        @if !incident.causes.is_empty() {
            section aria-labelledby="causes" {
                h2 #causes { "Likely causes" }
                ol.causes { @for cause in &incident.causes { (likely(incident, cause)) } }
            }
        }
        @if !incident.suggestions.is_empty() {
            section aria-labelledby="next" {
                h2 #next { "What to do next" }
                @for (i, suggestion) in incident.suggestions.iter().enumerate() { (next_step(incident, suggestion, i == 0)) }
            }
        }
        (actions(&incident.id, &acting))
        (feedback::section(incident, said))
        section aria-labelledby="evidence" {
            h2 #evidence { "Evidence" }
            @if incident.findings.is_empty() { p.muted { "No finding is kept for this incident." } }
            @for finding in &incident.findings {
                (evidence(finding, charts.iter().find(|c| c.finding == finding.id), now))
            }
        }
        section aria-labelledby="timeline" {
            h2 #timeline { "Timeline" }
            (timeline(incident))
        }
        @if let Some(alert) = alert {
            section aria-labelledby="alert" {
                h2 #alert { "The alert's labels" }
                (labels(&alert.labels))
            }
        }
    };
    layout(&incident.title, &body)
}

fn heading(incident: &Incident, now: Timestamp) -> Markup {
    let until = incident.resolved.unwrap_or(now);
    let open = incident.state == IncidentState::Open;
    html! {
        div class={ "status " (if open { "alarm" } else { "quiet" }) } {
            p.meta {
                span class={ "badge " (if open { "open" } else { "resolved" }) } { (incident.state) }
                (severity_badge(incident.severity))
                (life_badges(&incident.life))
                span.service { (incident.service) }
            }
            h1 { (incident.title) }
            dl.facts {
                div { dt { "Began" } dd { (time(incident.started, "%b %-d %H:%M UTC")) } }
                div { dt { (if open { "Lasts" } else { "Lasted" }) } dd { (until.since(incident.started).in_words()) } }
                div { dt { "Noticed after" } dd { (incident.detected.since(incident.started).in_words()) } }
                @match incident.resolved {
                    Some(resolved) => { div { dt { "Resolved" } dd { (ago(resolved, now)) } } }
                    None => { div { dt { "Last change" } dd { (ago(incident.updated, now)) } } }
                }
                @if let Some(other) = &incident.merged_into {
                    div { dt { "Part of" } dd { a href=(incident_path(other)) { (other) } } }
                }
                div { dt { "Opened by" } dd { a href=(monitor_path(&incident.monitor)) { (incident.monitor) } } }
            }
        }
    }
}

fn likely(incident: &Incident, cause: &Cause) -> Markup {
    let weight = if cause.weight.is_finite() { cause.weight.clamp(0.0, 1.0) } else { 0.0 };
    let percent = (weight * 100.0).round();
    html! {
        li {
            div.weight {
                svg.bar viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" { rect width=(percent) height="10" {} }
                span { (percent) "%" }
            }
            div {
                p { strong { (cause.title) } " " span.service { (cause.service) } }
                p.muted { (cause.reason) }
                @if !cause.id.is_empty() { (feedback::wrong(incident, cause)) }
            }
        }
    }
}

fn next_step(incident: &Incident, suggestion: &Suggestion, open: bool) -> Markup {
    html! {
        details.panel open[open] {
            summary {
                (suggestion.title)
                @if suggestion.confidence > 0.0 { " " span.muted { (sureness(suggestion.confidence)) } }
            }
            ol { @for step in &suggestion.steps { li { (step) } } }
            @if !suggestion.promql.is_empty() {
                h3 { "Look at" }
                @for query in &suggestion.promql { (copyable(query, "PromQL")) }
            }
            @if !suggestion.commands.is_empty() {
                h3 { "Run" }
                @for command in &suggestion.commands { (copyable(command, "command")) }
            }
            @if link_target(&suggestion.runbook_url).is_some() { p { (link(&suggestion.runbook_url, "Open the runbook")) } }
            (feedback::fixed(incident, suggestion))
        }
    }
}

/// How likely a suggestion helps: `likely, 71 %`.
pub(super) fn sureness(confidence: f64) -> String {
    match crate::incident::sureness(confidence) {
        Some(words) => format!("{words}, {:.0} %", confidence * 100.0),
        None => "not known how likely".to_owned(),
    }
}

/// A block that one click selects whole.
fn copyable(text: &str, what: &str) -> Markup {
    html! { pre.copy tabindex="0" title={ "Click to select the whole " (what) } { (text) } }
}

fn evidence(finding: &Finding, drawn: Option<&FindingChart>, now: Timestamp) -> Markup {
    let show = |v| finding.unit.show(v);
    let until = finding.ended.unwrap_or(now);
    let course = match (finding.kind, finding.direction) {
        (FindingKind::Deviation, Direction::Up) => "Above its expected band",
        (FindingKind::Deviation, Direction::Down) => "Below its expected band",
        (FindingKind::Pattern, Direction::Up) => "Inside its band, but moving up as it never did",
        (FindingKind::Pattern, Direction::Down) => "Inside its band, but moving down as it never did",
        _ => "Robust standard deviations from where its series were, all of them together,",
    };
    html! {
        article.panel.finding id=(finding.id) {
            h3 { (finding.metric) " of " (finding.service) " " span.muted { (finding.monitor) } }
            @if let Some(what) = finding.in_words() {
                p {
                    strong.figure { (show(finding.value)) }
                    " now: " (what) ". Told from " (time(finding.onset, DAY_AND_TIME))
                    @if let Some(ended) = finding.ended { " to " (time(ended, DAY_AND_TIME)) }
                    " UTC on."
                }
            } @else {
            p {
                strong.figure { (show(finding.value)) }
                " where " strong { (show(finding.expected)) } " was expected, between " (show(finding.lower)) " and " (show(finding.upper)) ". "
                (course)
                @match finding.ended {
                    Some(ended) => { " from " (time(finding.onset, DAY_AND_TIME)) " to " (time(ended, DAY_AND_TIME)) " UTC" }
                    None => { " since " (time(finding.onset, DAY_AND_TIME)) " UTC" }
                }
                ", " (until.since(finding.onset).in_words()) "."
            }
            }
            @if let Some(drawn) = drawn {
                (svg::figure(&drawn.chart, &[]))
            }
            dl.facts {
                div { dt { "Score" } dd { (format!("{:.2}", finding.score)) span.muted { " anomalous above 1" } } }
                div { dt { "By chance" } dd { (chance(finding.p_value)) } }
                div { dt { "State" } dd { (if finding.is_open() { "lasts" } else { "over" }) } }
            }
            @if !finding.evidence.is_empty() {
                ul.evidence {
                    @for said in &finding.evidence {
                        li { code { (said.detector) } " " (said.note) " " span.muted { "(by chance " (chance(said.p_value)) ")" } }
                    }
                }
            }
            details.small {
                summary { "Series and model" }
                pre.copy tabindex="0" { (finding.key) }
                p.muted { "Judged by " code { (finding.model) } ", p-value " (format!("{:.2e}", finding.p_value)) }
            }
        }
    }
}

/// A p-value in words: how often chance alone would give as much.
fn chance(p: f64) -> String {
    match p {
        p if !(0.0..=1.0).contains(&p) => "not known".to_owned(),
        p if p >= 0.1 => format!("{:.0}% of the time", p * 100.0),
        p if p < 1e-9 => "less than once in 1,000,000,000".to_owned(),
        p => {
            // Two digits are all that a p-value is good for.
            let times = 1.0 / p;
            let unit = 10_f64.powf(times.log10().floor() - 1.0).max(1.0);
            format!("once in {}", grouped((times / unit).round() * unit))
        }
    }
}

/// What happened when: changes, other alerts, the findings' onsets, our own doing.
fn timeline(incident: &Incident) -> Markup {
    let mut entries: Vec<(Timestamp, &str, Markup)> = Vec::new();
    for event in &incident.events {
        let class = if event.kind.is_change() { "change" } else { "event" };
        let what = html! {
            span.badge.plain { (event.kind) } " "
            @match &event.url { Some(url) => (link(url, &event.title)), None => (event.title) }
            @if let Some(service) = &event.service { " " span.service { (service) } }
            @if let Some(ended) = event.ends_at { span.muted { " until " (time(ended, DAY_AND_TIME)) } }
            @if !event.description.is_empty() { p.muted { (event.description) } }
        };
        entries.push((event.starts_at, class, what));
    }
    for finding in &incident.findings {
        let name = html! { a href={ "#" (finding.id) } { (finding.metric) " of " (finding.service) } };
        entries.push((finding.onset, "onset", html! { (name) " left its course" }));
        if let Some(ended) = finding.ended {
            entries.push((ended, "end", html! { (name) " was back" }));
        }
    }
    entries.extend(life::turns(incident));
    entries.sort_by_key(|(at, ..)| *at);
    html! {
        ol.timeline { @for (at, class, what) in entries { li class=(class) { (time(at, "%b %-d %H:%M:%S")) div { (what) } } } }
    }
}

fn labels(labels: &BTreeMap<String, String>) -> Markup {
    html! { dl.labels { @for (name, value) in labels { div { dt { (name) } dd { (value) } } } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_in_words() {
        for (p, words) in [
            (0.25, "25% of the time"),
            (0.01, "once in 100"),
            (3.2e-5, "once in 31,000"),
            (1e-30, "less than once in 1,000,000,000"),
            (0.0, "less than once in 1,000,000,000"),
            (f64::NAN, "not known"),
            (2.0, "not known"),
        ] {
            assert_eq!(chance(p), words, "{p}");
        }
    }
}
