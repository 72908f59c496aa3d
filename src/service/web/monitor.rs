//! The page of one monitor: its series and how each stands.

use maud::{Markup, html};

use super::{MonitorRow, SeriesRow, SeriesState, ago, layout, scrolling};
use crate::clock::Timestamp;
use crate::monitor::Monitor;

/// The page of `monitor` at `now`, with its summary and its series.
pub fn monitor(monitor: &Monitor, summary: &MonitorRow, series: &[SeriesRow], now: Timestamp) -> Markup {
    let body = html! {
        p.eyebrow { a href="/" { "Overview" } " / monitor" }
        div class={ "status " (if summary.anomalous > 0 { "alarm" } else { "quiet" }) } {
            h1 { (monitor.name) }
            pre.copy tabindex="0" title="Click to select the whole query" { (monitor.query) }
            @if let Some(error) = &summary.error { p.failed role="alert" { "The last evaluation failed: " (error) } }
            dl.facts {
                div { dt { "Measures" } dd { (monitor.metric) ", in " (monitor.unit) } }
                div { dt { "Evaluated" } dd { "every " (monitor.step) } }
                div { dt { "Learns from" } dd { (monitor.window) } }
                div { dt { "Direction" } dd { (monitor.direction.map_or("both", |d| d.as_str())) } }
                div {
                    dt { "Last evaluated" }
                    dd { @match summary.last_evaluated { Some(at) => (ago(at, now)), None => "not yet" } }
                }
            }
        }
        section aria-labelledby="series" {
            h2 #series { (series.len()) " series: " (summary.anomalous) " anomalous, " (summary.cannot_say) " cannot say" }
            @if series.is_empty() {
                div.panel { p { "The query has given no series yet. Try it in Prometheus; if it gives some there, the error above or the log says why not here." } }
            } @else {
                (scrolling("Series", &table(monitor, series)))
            }
        }
    };
    layout(&monitor.name, &body)
}

fn table(monitor: &Monitor, series: &[SeriesRow]) -> Markup {
    let show = |v: f64| if v.is_finite() { monitor.unit.show(v) } else { "–".to_owned() };
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
                        th scope="row" { (row.service) code.query title=(row.key) { (row.key) } }
                        td { (state(&row.state)) }
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

fn state(state: &SeriesState) -> Markup {
    html! {
        @match state {
            SeriesState::Expected => { span.badge.resolved { "as expected" } }
            SeriesState::Anomalous => { span.badge.critical { "anomalous" } }
            SeriesState::Waiting => { span.badge.plain { "waiting" } }
            SeriesState::CannotSay(reason) => { span.badge.plain { "cannot say" } span.reason { (reason) } }
        }
    }
}
