//! A backtest as one page of HTML that stands alone: it loads nothing, runs nothing, and can be mailed and printed.
//!
//! Whatever the number of series and findings, the page stays one that a browser opens at once: what is drawn and listed
//! is bounded, and what is left out is counted.

mod comparison;
mod days;
mod held_back;
mod measures;
mod series;
mod verdict;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::alerts::Comparison;
use super::summary::{RunSettings, Summary, Totals};
use crate::clock::{DurationMs, Timestamp};
use crate::finding::HeldBack;
use crate::metric::Unit;
use crate::plot::page;

pub use super::summary::Picture;

/// Nothing may be fetched and nothing may run, whatever a file's name says.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
const STYLE: &str = include_str!("report/style.css");
/// The most lines of warnings, and of series that could not be judged.
const MOST_LINES: usize = 200;

/// What a report tells besides its summary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// The user's own alerts, held against what would have been raised.
    pub comparison: Option<&'a Comparison>,
    /// Findings that guards hold back: the first of them, …
    pub held_back: &'a [HeldBack],
    /// …and how many there are.
    pub held_back_in_all: usize,
}

/// The report of `summary`: each series with its picture, if it is among the first with one.
pub fn html(summary: &Summary, pictures: &[Picture], beside: &Beside) -> String {
    let title = format!("Backtest of {}", summary.settings.data);
    let body = html! {
        (replayed(&title, summary))
        (verdict::section(summary))
        (warnings(&summary.warnings))
        (days::section(summary))
        @if let Some(labelled) = &summary.totals.labelled { (measures::section(labelled, summary)) }
        @if let Some(comparison) = beside.comparison { (comparison::section(comparison)) }
        (held_back::section(beside.held_back, beside.held_back_in_all))
        (series::section(summary, pictures))
        (series::not_judged(summary))
    };
    layout(&title, &summary.settings.version, &body).0
}

fn layout(title: &str, version: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(CONTENT_SECURITY_POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Bellwether" }
                link rel="icon" href=(page::ICON);
                style { (PreEscaped(page::STYLE)) (PreEscaped(STYLE)) }
            }
            body {
                header.top { span.brand { (page::bell()) "Bellwether" } span.muted { "Backtest" } }
                main { (body) }
                footer { "Bellwether " (version) " · times in UTC · all figures are in summary.json beside this page" }
            }
        }
    }
}

/// What was replayed and how.
fn replayed(title: &str, summary: &Summary) -> Markup {
    let RunSettings { labels, budget_per_day, window, refit, .. } = &summary.settings;
    let totals = &summary.totals;
    html! {
        h1 { bdi { (title) } }
        dl.facts {
            (fact("Series", &html! { (count(totals.series)) @if totals.series_judged < totals.series { span.muted { ", " (count(totals.series_judged)) " judged" } } }))
            (fact("Points", &html! { (count(totals.rows)) @if totals.judged < totals.rows { span.muted { ", " (count(totals.judged)) " judged" } } }))
            @if let Some(span) = Span::of(totals, summary) { (fact("Judged", &html! { (span.spoken()) })) }
            @if let Some((first, last)) = ends(summary) {
                (fact("Data", &html! { (page::time(first, "%Y-%m-%d")) " to " (page::time(last, "%Y-%m-%d")) }))
            }
            (fact("Budget", &html! { (number(*budget_per_day)) " false alerts a day" }))
            (fact("Learned from", &html! { "up to " (window) ", again every " (refit) }))
            @if let Some(labels) = labels { (fact("Labels", &html! { bdi { (labels) } })) }
        }
    }
}

fn warnings(warnings: &[String]) -> Markup {
    html! {
        @if !warnings.is_empty() {
            div.status.doubtful {
                p { strong { "Worth knowing" } }
                ul { @for warning in warnings.iter().take(MOST_LINES) { li { (warning) } } }
                (left_out(warnings.len(), MOST_LINES, "more"))
            }
        }
    }
}

/// How long was judged.
struct Span {
    /// Days of each series, on average.
    days: f64,
    /// Whether all series have as many.
    same: bool,
}

impl Span {
    /// `None` where nothing was judged.
    fn of(totals: &Totals, summary: &Summary) -> Option<Self> {
        let days = totals.series_days / totals.series_judged as f64;
        let each =
            || summary.series.iter().filter(|s| s.judged > 0).map(|s| s.judged as f64 * s.step.seconds() / DurationMs::DAY.seconds());
        let (least, most) = (each().fold(f64::INFINITY, f64::min), each().fold(0.0, f64::max));
        // Some missing values do not make two spans different.
        (days.is_finite() && days > 0.0).then_some(Self { days, same: most - least <= 0.1 * most })
    }

    /// `14.0 days`, `14.0 days each on average`.
    fn spoken(&self) -> String {
        let time = match self.days {
            days if days < 1.0 => format!("{:.1} hours", days * 24.0),
            days if days < 1000.0 => format!("{days:.1} days"),
            days => format!("{} days", page::grouped(days)),
        };
        if self.same { time } else { format!("{time} each on average") }
    }
}

/// The first and the last instant of all series.
fn ends(summary: &Summary) -> Option<(Timestamp, Timestamp)> {
    Some((summary.series.iter().map(|s| s.first).min()?, summary.series.iter().map(|s| s.last).max()?))
}

fn fact(name: &str, what: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (what) } } }
}

fn count(n: usize) -> String {
    page::grouped(n as f64)
}

/// A figure to a tenth, a small one to two digits, a large one to the whole number.
fn number(value: f64) -> String {
    match value.abs() {
        size if (9.95..1e15).contains(&size) => page::grouped(value),
        size if size >= 0.1 => Unit::None.show((value * 10.0).round() / 10.0),
        _ => Unit::None.show_to(value, 2),
    }
}

/// A share as a percentage, and a dash where there is none.
fn share(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map_or(DASH.to_owned(), |v| format!("{}%", Unit::None.show_to(v * 100.0, 3)))
}

/// A measure between 0 and 1, and a dash where there is none.
fn measure(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map_or(DASH.to_owned(), |v| format!("{v:.3}"))
}

/// Seconds in words, and a dash where there are none.
fn lasting(seconds: Option<f64>) -> String {
    seconds.filter(|s| s.is_finite()).map_or(DASH.to_owned(), |s| match s {
        // Noticed with its first point.
        s if s < 1.0 => "at once".to_owned(),
        s => DurationMs::from_millis((s * 1000.0) as i64).in_words(),
    })
}

const DASH: &str = "–";

/// How many of `all` were left out of a list of at most `most`.
fn left_out(all: usize, most: usize, what: &str) -> Markup {
    html! { @if all > most { p.muted { (count(all - most)) " " (what) " left out here." } } }
}

#[cfg(test)]
mod tests;
