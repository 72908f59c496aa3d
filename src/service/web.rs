//! The web pages: pure functions from what is known to HTML, without scripts and without anything from
//! elsewhere, so that they work offline and under [`CONTENT_SECURITY_POLICY`].

mod actions;
mod ahead;
pub mod feedback;
mod incident;
mod monitor;
mod overview;
mod runbook;

use maud::{DOCTYPE, Markup, html};

use crate::alert::Alert;
use crate::clock::Timestamp;
use crate::engine::budget::Share;
use crate::engine::drifting::Drift;
use crate::engine::forecasting::Outlook;
use crate::engine::silences::Told;
use crate::feedback::Feedback;
use crate::finding::Severity;
use crate::incident::Life;
use crate::plot::Chart;
use crate::plot::page::{DAY_AND_TIME, ICON, bell, counted, grouped, scrolling, time};
use crate::series::SeriesKey;
use crate::store::Spent;

pub use actions::ActionsView;
pub use incident::incident;
pub use monitor::monitor;
pub use overview::overview;
pub use runbook::runbook;

/// The style sheet; to be served as `text/css` at [`STYLE_PATH`].
pub const STYLE: &str = concat!(include_str!("../plot/page.css"), include_str!("web/style.css"));
/// Where the pages look for [`STYLE`].
pub const STYLE_PATH: &str = "/style.css";
/// What the pages need and nothing more; to be sent as the header of that name with every page.
pub const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The same for a page with forms, which may be sent to this server.
pub fn form_policy() -> String {
    CONTENT_SECURITY_POLICY.replace("form-action 'none'", "form-action 'self'")
}

/// What the index page shows.
#[derive(Clone, Debug)]
pub struct Overview<'a> {
    /// Incidents that are open, the most urgent first.
    pub open: &'a [crate::incident::Incident],
    /// Incidents that were resolved, the latest first.
    pub recent: &'a [crate::incident::Incident],
    /// What is watched.
    pub monitors: &'a [MonitorRow],
    /// False incidents accepted per day, over all monitors together.
    pub budget_per_day: f64,
    /// Incidents that began in the last 24 hours.
    pub incidents: u64,
    /// The time of the page.
    pub now: Timestamp,
}

/// A monitor in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonitorRow {
    /// Its name.
    pub name: String,
    /// Its query.
    pub query: String,
    /// How many series it yields.
    pub series: usize,
    /// How many of them have a fitted model.
    pub fitted: usize,
    /// For how many nothing can be said.
    pub cannot_say: usize,
    /// How many are anomalous now.
    pub anomalous: usize,
    /// How many have an open finding that a guard holds back.
    pub suppressed: usize,
    /// Incidents that its findings of the last 24 hours are part of.
    pub incidents: u64,
    /// When it was last evaluated.
    pub last_evaluated: Option<Timestamp>,
    /// Why the last evaluation failed, if it did.
    pub error: Option<String>,
}

/// How a series stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeriesState {
    /// As expected.
    Expected,
    /// Part of a finding.
    Anomalous,
    /// Nothing can be said, for this reason.
    CannotSay(String),
    /// Not evaluated yet.
    Waiting,
    /// Part of a finding that a guard holds back.
    Suppressed,
}

/// What the page of a monitor shows of it.
#[derive(Clone, Copy, Debug)]
pub struct MonitorView<'a> {
    /// It in one line.
    pub summary: &'a MonitorRow,
    /// Its series.
    pub series: &'a [SeriesRow],
    /// Findings that its guards hold back or held back, the latest first.
    pub held_back: &'a [crate::finding::HeldBack],
    /// Groups of its series that are judged together; values are robust standard deviations.
    pub groups: &'a [SeriesRow],
    /// What the latest evaluation warned of.
    pub warnings: &'a [String],
    /// What is forecast of its series.
    pub outlook: &'a Outlook,
    /// What the latest test of drift gave.
    pub drift: &'a Drift,
    /// What it may spend of the alert budget.
    pub share: Share,
    /// The p-value at which a point's score is 1; NaN before the first evaluation.
    pub alpha: f64,
    /// What it found in the last 24 hours.
    pub spent: &'a Spent,
}

/// A series in one line; NaN where a number is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesRow {
    /// Which series.
    pub key: SeriesKey,
    /// The service it belongs to.
    pub service: String,
    /// How it stands.
    pub state: SeriesState,
    /// Why its finding is held back, or its latest value is no measurement.
    pub suppressed: Option<String>,
    /// The last value.
    pub value: f64,
    /// What was expected of it.
    pub expected: f64,
    /// The lower bound of what was expected.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// Its anomaly score: 1 at the decision bound.
    pub score: f64,
    /// Of a group: the share that each series has in the value, the greatest first.
    pub parts: Vec<(SeriesKey, f64)>,
}

/// What the page of an incident shows beside it.
#[derive(Clone, Copy, Debug)]
pub struct IncidentView<'a> {
    /// Matched to its findings by their ids.
    pub charts: &'a [FindingChart],
    /// What Alertmanager is told of it.
    pub alert: Option<&'a Alert>,
    /// What the Alertmanagers do with that, while it is open.
    pub told: &'a [Told],
    /// What actions do about it.
    pub acting: ActionsView<'a>,
    /// What people said of it.
    pub feedback: &'a [Feedback],
    /// The time of the page.
    pub now: Timestamp,
}

/// The chart that belongs to a finding.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingChart {
    /// The finding's id.
    pub finding: String,
    /// The series around it.
    pub chart: Chart,
}

/// The path of an incident's page.
pub fn incident_path(id: &str) -> String {
    format!("/incidents/{}", encoded(id))
}

/// The path of a monitor's page.
pub fn monitor_path(name: &str) -> String {
    format!("/monitors/{}", encoded(name))
}

/// `text` as one segment of a path (RFC 3986: all but the unreserved characters are escaped).
fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A link that is safe to follow: `http`, `https`, or a path on this server. Scripts and other schemes are none.
fn link_target(url: &str) -> Option<&str> {
    let lower = url.to_ascii_lowercase();
    let own = url.starts_with('/') && !url.starts_with("//") && !url.contains('\\');
    (own || lower.starts_with("http://") || lower.starts_with("https://")).then_some(url)
}

/// `text` as a link to `url` where that is safe to follow, else as it is.
fn link(url: &str, text: &str) -> Markup {
    html! {
        @if let Some(target) = link_target(url) { a href=(target) rel="noreferrer" { (text) } } @else { (text) }
    }
}

/// A whole page around `body`.
pub fn layout(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Bellwether" }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href=(STYLE_PATH);
            }
            body {
                a.skip href="#content" { "Skip to content" }
                header.top {
                    a.brand href="/" { (bell()) "Bellwether" }
                    nav aria-label="Main" {
                        a href="/" { "Overview" }
                        a href="/metrics" { "Metrics" }
                    }
                }
                main #content { (body) }
                footer {
                    "Bellwether " (env!("CARGO_PKG_VERSION")) " · times in UTC · this port speaks gRPC too: "
                    code { "grpcurl -plaintext HOST:PORT list" }
                }
            }
        }
    }
}

/// The page of a failed request.
pub fn error(status: u16, message: &str) -> Markup {
    let title = match status {
        400 => "That request is not right",
        403 => "That request is not ours",
        404 => "There is no such page",
        409 => "That cannot be done now",
        429 | 503 => "Too busy just now",
        _ => "Something went wrong",
    };
    layout(
        title,
        &html! {
            p.eyebrow { "Error " (status) }
            h1 { (title) }
            p.lead { (message) }
            p { a href="/" { "Back to the overview" } }
        },
    )
}

/// An instant as told from `now`.
fn ago(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at.to_string()) title=(at.in_words()) { (at.relative_to(now)) } }
}

fn severity_badge(severity: Severity) -> Markup {
    html! { span class={ "badge " (severity) } { (severity) } }
}

/// Priority, acknowledgement and flapping, in short.
fn life_badges(life: &Life) -> Markup {
    html! {
        @if let Some(priority) = life.priority { span.badge.plain title=(life.why) { (priority) } }
        @if life.flapping.is_some() { span.badge.warning { "flapping" } }
        @if let Some(acknowledged) = &life.acknowledged {
            span.badge.info title=(acknowledged.in_words()) { "acknowledged" }
        }
    }
}

#[cfg(test)]
mod tests;
