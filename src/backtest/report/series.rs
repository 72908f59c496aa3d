//! Each series: its picture, what was found in it, and how that agrees with its labels.

use std::cmp::Reverse;
use std::collections::HashMap;

use maud::{Markup, html};

use super::{MOST_LINES, count, fact, left_out, measures};
use crate::backtest::summary::{Found, Picture, SeriesSummary, Summary};
use crate::clock::DurationMs;
use crate::finding::{Direction, FindingKind};
use crate::metric::Unit;
use crate::plot::page::{DAY_AND_TIME, counted, scrolling, time};
use crate::plot::svg;

/// More series than this are folded.
const MOST_OPEN: usize = 20;
/// The most charts; each takes some hundred kilobytes.
const MOST_CHARTS: usize = 40;
/// The most series that are shown.
const MOST_SERIES: usize = 200;
/// The most findings that are listed of a series.
const MOST_FINDINGS: usize = 50;
/// The most that is told of what the detectors said of a finding.
const MOST_NOTES: usize = 3;

/// The series that were judged, those with the most alerts first.
pub(super) fn section(summary: &Summary, pictures: &[Picture]) -> Markup {
    let mut series: Vec<&SeriesSummary> = summary.series.iter().filter(|s| s.judged > 0).collect();
    series.sort_by_key(|s| (Reverse(s.alerts), Reverse(s.findings.len() + s.findings_left_out)));
    let shown = &series[..series.len().min(MOST_SERIES)];
    let pictures: HashMap<&str, &Picture> = pictures.iter().map(|picture| (picture.path.as_str(), picture)).collect();
    let drawn: HashMap<&str, &Picture> =
        shown.iter().filter_map(|s| Some((s.path.as_str(), *pictures.get(s.path.as_str())?))).take(MOST_CHARTS).collect();
    let (missing, alerts) = (series.len() - drawn.len(), series.iter().skip(MOST_SERIES).map(|s| s.alerts).sum());
    html! {
        @if !series.is_empty() {
            section aria-labelledby="series" {
                h2 #series { "Series" }
                p.muted {
                    "Those with the most alerts come first."
                    @if missing > 0 && !drawn.is_empty() { " " (count(drawn.len())) " are drawn, " (count(missing)) " are left without a chart." }
                    @if series.len() > MOST_OPEN { " Open one to see it." }
                }
                @for series in shown { (one(series, drawn.get(series.path.as_str()).copied(), shown.len() <= MOST_OPEN)) }
                @if series.len() > MOST_SERIES {
                    p.muted { (count(series.len() - MOST_SERIES)) " more series, with " (counted(alerts, "alert")) " together, are left out here." }
                }
            }
        }
    }
}

fn one(series: &SeriesSummary, picture: Option<&Picture>, open: bool) -> Markup {
    html! {
        details.panel.series open[open] {
            summary {
                bdi { (series.path) } " "
                span class={ "badge " (if series.alerts > 0 { "warning" } else { "resolved" }) } { @if series.alerts == 0 { "no alert" } @else { (counted(series.alerts, "alert")) } }
                @if let Some(labelled) = &series.labelled {
                    @if labelled.detected < labelled.segments { " " span.badge.critical { (counted(labelled.segments - labelled.detected, "segment")) " missed" } }
                }
            }
            @if let Some(picture) = picture {
                (svg::figure(&picture.chart, &picture.labelled))
                @if series.channels.len() > 1 {
                    p.muted { "Drawn is, at each time, the one of " (counted(series.channels.len(), "channel")) " that is furthest from what was expected of it." }
                }
            }
            (data(series))
            @if !series.findings.is_empty() {
                (scrolling("Findings", &findings(series, picture.map_or(Unit::None, |picture| picture.chart.unit))))
                (left_out(series.findings.len() + series.findings_left_out, MOST_FINDINGS, "findings"))
            }
            @if let Some(labelled) = &series.labelled { h3 { "Held against its labels" } (measures::facts(labelled)) }
            @if let Some(reason) = &series.not_measured { p.muted { "Not measured: " (reason) } }
        }
    }
}

/// What there was to judge.
fn data(series: &SeriesSummary) -> Markup {
    let flaw = |n: usize, name: &str| html! { @if n > 0 { (fact(name, &html! { (count(n)) })) } };
    html! {
        dl.facts {
            (fact("Points", &html! { (count(series.rows)) ", " (series.step) " apart" }))
            @if series.judged < series.rows { (fact("Judged", &html! { (count(series.judged)) })) }
            (fact("Time", &html! { (time(series.first, "%Y-%m-%d %H:%M")) " to " (time(series.last, "%Y-%m-%d %H:%M")) }))
            (flaw(series.missing, "Missing values"))
            (flaw(series.gaps, "Missing points"))
            (flaw(series.duplicates, "Repeated points"))
            (flaw(series.disordered, "Points out of order"))
        }
    }
}

fn findings(series: &SeriesSummary, unit: Unit) -> Markup {
    let channels = series.channels.len() > 1;
    let labelled = series.findings.iter().any(|found| found.right.is_some());
    let columns = 6 + usize::from(channels) + usize::from(labelled);
    html! {
        table.stacked {
            thead {
                tr {
                    th scope="col" { "Began" }
                    th.number scope="col" { "Lasted" }
                    @if channels { th scope="col" { "Channel" } }
                    th scope="col" { "Direction" }
                    th.number scope="col" { "Value" }
                    th.number scope="col" { "Expected" }
                    th.number scope="col" { "Score" }
                    @if labelled { th scope="col" { "Label" } }
                }
            }
            tbody {
                @for found in series.findings.iter().take(MOST_FINDINGS) {
                    tr.found {
                        td data-label="Began" { (time(found.onset, DAY_AND_TIME)) }
                        td.number data-label="Lasted" { (length(found, series.step)) }
                        @if channels { td data-label="Channel" { bdi { (found.channel) } } }
                        td data-label="Direction" { (direction(found)) }
                        td.number data-label="Value" { (unit.show(found.value)) }
                        td.number data-label="Expected" { (expected(found, unit)) }
                        td.number data-label="Score" { @if found.score.is_finite() { (format!("{:.2}", found.score)) } @else { "–" } }
                        @if labelled { td data-label="Label" { (agrees(found.right)) } }
                    }
                    // Below the figures, where there is room for words.
                    tr { td.why colspan=(columns) { @for note in found.evidence.iter().take(MOST_NOTES) { span.note { (note) } } } }
                }
            }
        }
    }
}

/// From the onset to the end, or to where the data ends.
fn length(found: &Found, step: DurationMs) -> String {
    match found.ended {
        Some(ended) => ended.since(found.onset).in_words(),
        None => format!("{}, to the end", (found.last_seen + step).since(found.onset).in_words()),
    }
}

fn direction(found: &Found) -> &'static str {
    match (found.kind, found.direction) {
        (FindingKind::Deviation, Direction::Up) => "↑ above",
        (FindingKind::Deviation, Direction::Down) => "↓ below",
        (FindingKind::Pattern, Direction::Up) => "↑ unlike before",
        (FindingKind::Pattern, Direction::Down) => "↓ unlike before",
        _ => "together unlike before",
    }
}

fn expected(found: &Found, unit: Unit) -> Markup {
    html! {
        (unit.show(found.expected))
        @if found.lower.is_finite() && found.upper.is_finite() {
            span.reason { (unit.show(found.lower)) " to " (unit.show(found.upper)) }
        }
    }
}

fn agrees(right: Option<bool>) -> Markup {
    html! {
        @match right {
            Some(true) => { span.badge.resolved { "right" } }
            Some(false) => { span.badge.critical { "false" } }
            None => { "–" }
        }
    }
}

/// The series nothing can be said of, with the reason.
pub(super) fn not_judged(summary: &Summary) -> Markup {
    let silent = summary.series.iter().filter(|s| s.judged == 0);
    let silent = silent.map(|s| (s.path.as_str(), s.cannot_say.as_deref().unwrap_or("no point has a score")));
    let reasons: Vec<(&str, &str)> = silent.chain(summary.failed.iter().map(|f| (f.path.as_str(), f.reason.as_str()))).collect();
    html! {
        @if !reasons.is_empty() {
            section aria-labelledby="silent" {
                h2 #silent { (counted(reasons.len(), "series")) " that could not be judged" }
                (scrolling("Series that could not be judged", &html! {
                    table {
                        thead { tr { th scope="col" { "Series" } th scope="col" { "Reason" } } }
                        tbody { @for (path, reason) in reasons.iter().take(MOST_LINES) { tr { th scope="row" { bdi { (path) } } td.why { (reason) } } } }
                    }
                }))
                (left_out(reasons.len(), MOST_LINES, "more"))
            }
        }
    }
}
