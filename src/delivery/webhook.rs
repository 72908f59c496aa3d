//! Alertmanager's webhook, payload version 4: what others raised, as events. [`events`] is the one for everybody else.

pub mod events;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::delivery::compose::ALERTNAME;
use crate::error::{Error, Result, Violation};
use crate::event::{Event, EventKind};

/// The `source` of the events made here.
pub const SOURCE: &str = "alertmanager";

/// The most alerts in one payload; `max_alerts` of the receiver keeps it smaller.
const MOST_ALERTS: usize = 1000;
/// The most labels or annotations of one alert.
const MOST_LABELS: usize = 128;
/// The most bytes of a label's name.
const LONGEST_NAME: usize = 256;
/// The most bytes of a label's value.
const LONGEST_VALUE: usize = 4096;
/// The most violations that are told; more of them help nobody.
const MOST_VIOLATIONS: usize = 20;
/// The most characters of a title and of a description.
const LONGEST_TEXT: (usize, usize) = (300, 4000);
/// The most bytes of a link.
const LONGEST_URL: usize = 2048;

/// The labels that may name the service, the surest first.
const SERVICE_LABELS: [&str; 6] = ["service", "service_name", "app", "app_kubernetes_io_name", "deployment", "job"];

/// The alerts of a webhook's `body` as events, those that we raised ourselves left out.
///
/// An event's id is made of the alert's fingerprint and its beginning: the same occurrence told again
/// (firing, then resolved) replaces its event, while a later occurrence is another event.
///
/// # Errors
/// Whatever is wrong with the body, all at once, each with its place in the JSON.
pub fn parse(body: &[u8]) -> Result<Vec<Event>> {
    let root: Value = serde_json::from_slice(body)
        .map_err(|e| Error::invalid("body", format!("not JSON ({e}); it must be Alertmanager's webhook payload")))?;
    let mut wrong = Wrong::default();
    let events = payload(&root, &mut wrong);
    let events = wrong.or(events, "alerts")?;
    // The last of several with one id counts.
    let by_id: BTreeMap<String, Event> = events.into_iter().map(|event| (event.id.clone(), event)).collect();
    let mut events: Vec<Event> = by_id.into_values().collect();
    events.sort_by(|a, b| (a.starts_at, &a.id).cmp(&(b.starts_at, &b.id)));
    Ok(events)
}

/// What is wrong so far.
#[derive(Default)]
struct Wrong(Vec<Violation>);

impl Wrong {
    fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    /// `read` where nothing is wrong; of very many mistakes the first, and how many more there are in `field`.
    fn or<T>(mut self, read: T, field: &str) -> Result<T> {
        if self.0.is_empty() {
            return Ok(read);
        }
        let more = self.0.len().saturating_sub(MOST_VIOLATIONS);
        self.0.truncate(MOST_VIOLATIONS);
        if more > 0 {
            self.add(field, format!("and {more} more mistakes"));
        }
        Err(Error::violations(self.0))
    }
}

/// A mistake that is among the [`Wrong`] ones already.
#[derive(PartialEq, Eq)]
struct Told;

fn payload(root: &Value, wrong: &mut Wrong) -> Vec<Event> {
    let Some(root) = root.as_object() else {
        wrong.add("body", format!("{}; it must be an object with `version` and `alerts`", found(Some(root))));
        return Vec::new();
    };
    if root.get("version").and_then(Value::as_str) != Some("4") {
        wrong.add("version", format!("{}; only the payload version \"4\" is understood", found(root.get("version"))));
    }
    let Some(alerts) = root.get("alerts").and_then(Value::as_array) else {
        wrong.add("alerts", format!("{}; it must be a list of alerts", found(root.get("alerts"))));
        return Vec::new();
    };
    if alerts.len() > MOST_ALERTS {
        wrong.add("alerts", format!("{} alerts; at most {MOST_ALERTS} are taken at once, set max_alerts of the receiver", alerts.len()));
        return Vec::new();
    }
    alerts.iter().enumerate().filter_map(|(i, alert)| event(alert, &format!("alerts[{i}]"), wrong)).collect()
}

/// The event of one alert; `None` for one of our own, and for one that is wrong.
fn event(alert: &Value, at: &str, wrong: &mut Wrong) -> Option<Event> {
    let Some(alert) = alert.as_object() else {
        wrong.add(at, format!("{}; it must be an object with `status`, `labels` and `startsAt`", found(Some(alert))));
        return None;
    };
    let firing = match alert.get("status").and_then(Value::as_str) {
        Some("firing") => Some(true),
        Some("resolved") => Some(false),
        _ => {
            wrong.add(format!("{at}.status"), format!("{}; it must be \"firing\" or \"resolved\"", found(alert.get("status"))));
            None
        }
    };
    let fingerprint = alert.get("fingerprint").and_then(Value::as_str).filter(|text| {
        let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        text.len() == 16 && hex
    });
    if fingerprint.is_none() {
        wrong.add(
            format!("{at}.fingerprint"),
            format!("{}; it must be 16 hexadecimal digits, as Alertmanager writes them since 0.19", found(alert.get("fingerprint"))),
        );
    }
    let labels = texts(alert, "labels", at, true, wrong);
    let annotations = texts(alert, "annotations", at, false, wrong);
    let starts_at = time(alert, "startsAt", at, wrong);
    if starts_at == Ok(None) {
        wrong.add(format!("{at}.startsAt"), format!("{}; an alert must say when it began", found(alert.get("startsAt"))));
    }
    let ends_at = time(alert, "endsAt", at, wrong);
    if firing == Some(false) && ends_at == Ok(None) {
        wrong.add(format!("{at}.endsAt"), format!("{}; a resolved alert must say when it ended", found(alert.get("endsAt"))));
    }
    let url = link(alert, at, wrong);
    let (starts_at, ends_at) = (starts_at.ok()??, ends_at.ok()?);
    // What still fires has an end only in the sense of a timeout.
    let ends_at = ends_at.filter(|_| firing == Some(false));
    if ends_at.is_some_and(|end| end < starts_at) {
        wrong.add(format!("{at}.endsAt"), format!("{}; it must not be before startsAt, {starts_at}", found(alert.get("endsAt"))));
        return None;
    }
    let (_, fingerprint, labels, annotations, url) = (firing?, fingerprint?, labels?, annotations?, url.ok()?);
    let name = labels.get("alertname").map_or("alert without a name", String::as_str);
    if name == ALERTNAME && labels.contains_key("incident") {
        return None;
    }
    let text = |names: &[&str]| names.iter().find_map(|name| annotations.get(*name)).map(|text| text.trim()).unwrap_or_default();
    let summary = text(&["summary", "title"]);
    let title = if summary.is_empty() { name.to_owned() } else { format!("{name}: {summary}") };
    Some(Event {
        id: format!("am-{}-{}", fingerprint.to_ascii_lowercase(), starts_at.millis()),
        kind: EventKind::Alert,
        source: SOURCE.to_owned(),
        title: title.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_TEXT.0).collect(),
        description: text(&["description", "message"]).chars().take(LONGEST_TEXT.1).collect(),
        service: SERVICE_LABELS.iter().find_map(|name| labels.get(*name)).cloned(),
        labels,
        starts_at,
        ends_at,
        url,
    })
}

/// An object of strings; a missing one is empty. Empty values are no labels, as in Prometheus.
fn texts(alert: &Map<String, Value>, field: &str, at: &str, limited: bool, wrong: &mut Wrong) -> Option<BTreeMap<String, String>> {
    let at = format!("{at}.{field}");
    let members = match alert.get(field) {
        Some(Value::Object(members)) => members,
        None | Some(Value::Null) if !limited => return Some(BTreeMap::new()),
        other => {
            wrong.add(at, format!("{}; it must be an object of strings", found(other)));
            return None;
        }
    };
    if members.len() > MOST_LABELS {
        wrong.add(at, format!("{} members; at most {MOST_LABELS} are taken", members.len()));
        return None;
    }
    let before = wrong.0.len();
    let mut texts = BTreeMap::new();
    for (name, value) in members {
        let at = format!("{at}.{}", short(name));
        match value {
            _ if name.is_empty() || name.len() > LONGEST_NAME => {
                wrong.add(at, format!("a name of {} bytes; it must have 1 to {LONGEST_NAME}", name.len()));
            }
            Value::String(text) if limited && text.len() > LONGEST_VALUE => {
                wrong.add(at, format!("{} bytes; a label's value has at most {LONGEST_VALUE}", text.len()));
            }
            Value::String(text) => {
                if !text.is_empty() {
                    texts.insert(name.clone(), text.clone());
                }
            }
            other => wrong.add(at, format!("{}; it must be a string", found(Some(other)))),
        }
    }
    (wrong.0.len() == before).then_some(texts)
}

/// A time; `None` where there is none, which Go writes as the first instant of the year 1.
fn time(alert: &Map<String, Value>, field: &str, at: &str, wrong: &mut Wrong) -> Result<Option<Timestamp>, Told> {
    let value = alert.get(field);
    let parsed = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse::<Timestamp>().ok(),
        Some(_) => None,
    };
    let Some(parsed) = parsed else {
        wrong.add(format!("{at}.{field}"), format!("{}; it must be a time such as \"2026-01-31T08:00:00Z\"", found(value)));
        return Err(Told);
    };
    Ok(Some(parsed).filter(|time| *time != Timestamp::from_millis(i64::MIN)))
}

/// The alert's link. One that is not HTTP is left out: a page shows it as something to click on.
fn link(alert: &Map<String, Value>, at: &str, wrong: &mut Wrong) -> Result<Option<String>, Told> {
    match alert.get("generatorURL") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(url)) => {
            let http = url.starts_with("http://") || url.starts_with("https://");
            Ok((http && url.len() <= LONGEST_URL).then(|| url.clone()))
        }
        other => {
            wrong.add(format!("{at}.generatorURL"), format!("{}; it must be a URL", found(other)));
            Err(Told)
        }
    }
}

/// What stands there, briefly.
fn found(value: Option<&Value>) -> String {
    match value {
        None => "is missing".to_owned(),
        Some(Value::Array(items)) => format!("found a list of {}", items.len()),
        Some(Value::Object(_)) => "found an object".to_owned(),
        Some(value) => format!("found {}", short(&value.to_string())),
    }
}

fn short(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST { text.to_owned() } else { text.chars().take(LONGEST).chain("…".chars()).collect() }
}

#[cfg(test)]
mod tests;
