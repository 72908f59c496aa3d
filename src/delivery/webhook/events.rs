//! The generic webhook: changes and alerts that anything can tell as JSON.
//!
//! One object or a list of them, or an object with a list `events`:
//!
//! ```json
//! {"kind": "deployment", "title": "payment 2.14.0", "service": "payment", "labels": {"version": "2.14.0"},
//!  "starts_at": "2026-01-31T08:00:00Z", "source": "argo-cd", "url": "https://argo.example.com/payment"}
//! ```

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{LONGEST_TEXT, LONGEST_URL, Told, Wrong, found, texts, time};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::event::{Event, EventKind};

/// The `source` of an event that names none.
const SOURCE: &str = "webhook";
/// The most events in one body.
const MOST_EVENTS: usize = 1000;
/// The most bytes of an id, a source and a service.
const LONGEST_NAME: usize = 256;
/// The fields there are.
const FIELDS: [&str; 10] = ["id", "kind", "source", "title", "description", "service", "labels", "starts_at", "ends_at", "url"];

/// The events of a `body`, which begin at `now` where they do not say when.
///
/// An event without an id gets one from all that it says, its beginning included: told again with the same beginning it is
/// the same event. Without both it is a new one each time.
///
/// # Errors
/// Whatever is wrong with the body, all at once, each with its place in the JSON.
pub fn parse(body: &[u8], now: Timestamp) -> Result<Vec<Event>> {
    let root: Value = serde_json::from_slice(body)
        .map_err(|e| Error::invalid("body", format!("not JSON ({e}); it must be an event or a list of events")))?;
    let mut wrong = Wrong::default();
    let one = std::slice::from_ref(&root);
    let (events, place): (&[Value], &dyn Fn(usize) -> String) = match &root {
        Value::Array(events) => (events, &|i| format!("[{i}]")),
        Value::Object(body) => match body.get("events") {
            Some(Value::Array(events)) if body.len() == 1 => (events, &|i| format!("events[{i}]")),
            _ => (one, &|_| "event".to_owned()),
        },
        other => {
            return Err(Error::invalid("body", format!("{}; it must be an event or a list of events", found(Some(other)))));
        }
    };
    if events.len() > MOST_EVENTS {
        return Err(Error::invalid("body", format!("{} events; at most {MOST_EVENTS} are taken at once", events.len())));
    }
    let read: Vec<Event> = events.iter().enumerate().filter_map(|(i, event)| read(event, &place(i), now, &mut wrong)).collect();
    wrong.or(read, "body")
}

fn read(value: &Value, at: &str, now: Timestamp, wrong: &mut Wrong) -> Option<Event> {
    let Some(event) = value.as_object() else {
        wrong.add(at, format!("{}; it must be an object with `kind` and `title`", found(Some(value))));
        return None;
    };
    let before = wrong.0.len();
    for name in event.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
        let name: String = name.chars().take(60).collect();
        wrong.add(format!("{at}.{name}"), format!("is not known; there are {}", FIELDS.join(", ")));
    }
    let kind = if let Some(Ok(kind)) = event.get("kind").and_then(Value::as_str).map(str::parse::<EventKind>) {
        kind
    } else {
        wrong.add(format!("{at}.kind"), format!("{}; it must be one of {}", found(event.get("kind")), EventKind::WORDS.join(", ")));
        EventKind::Other
    };
    let title = text(event, "title", LONGEST_TEXT.0, at, wrong);
    if title.as_ref().map_or(matches!(event.get("title"), None | Some(Value::Null)), |title| title.trim().is_empty()) {
        wrong.add(format!("{at}.title"), format!("{}; one line that says what happened is needed", found(event.get("title"))));
    }
    let mut line = |field, longest| text(event, field, longest, at, wrong).unwrap_or_default();
    let (id, source, service) = (line("id", LONGEST_NAME), line("source", LONGEST_NAME), line("service", LONGEST_NAME));
    let (description, url) = (line("description", LONGEST_TEXT.1), line("url", LONGEST_URL));
    if !(url.is_empty() || url.starts_with("http://") || url.starts_with("https://")) {
        wrong.add(format!("{at}.url"), format!("{}; it must begin with http:// or https://", found(event.get("url"))));
    }
    let none = || Some(BTreeMap::new());
    let labels = if event.contains_key("labels") { texts(event, "labels", at, true, wrong) } else { none() };
    let starts_at: Result<_, Told> = time(event, "starts_at", at, wrong);
    let ends_at: Result<_, Told> = time(event, "ends_at", at, wrong);
    let (starts_at, ends_at, labels) = (starts_at.ok()?.unwrap_or(now), ends_at.ok()?, labels?);
    if ends_at.is_some_and(|end| end < starts_at) {
        wrong.add(format!("{at}.ends_at"), format!("{}, which is before it starts", found(event.get("ends_at"))));
    }
    if wrong.0.len() > before {
        return None;
    }
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let mut read = Event {
        id,
        kind,
        source: some(source).unwrap_or_else(|| SOURCE.to_owned()),
        title: title.unwrap_or_default(),
        description,
        service: some(service),
        labels,
        starts_at,
        ends_at,
        url: some(url),
    };
    if read.id.is_empty() {
        read.id = read.identity();
    }
    Some(read)
}

/// A text of limited length; `None` where there is none, or another thing, of which is told.
fn text(event: &Map<String, Value>, field: &str, longest: usize, at: &str, wrong: &mut Wrong) -> Option<String> {
    match event.get(field) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.len() <= longest => Some(text.clone()),
        Some(Value::String(text)) => {
            wrong.add(format!("{at}.{field}"), format!("{} bytes; at most {longest} are taken", text.len()));
            None
        }
        other => {
            wrong.add(format!("{at}.{field}"), format!("{}; it must be a text", found(other)));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_769_846_400_000)
    }

    #[test]
    fn one_a_list_and_a_wrapped_list() {
        let full = r#"{"kind":"deployment","title":"payment 2.14.0","service":"payment","labels":{"version":"2.14.0"},
            "starts_at":"2026-01-31T07:50:00Z","ends_at":"2026-01-31T07:55:00Z","url":"https://argo/x","id":"d-1","source":"argo"}"#;
        let [event] = parse(full.as_bytes(), now()).unwrap().try_into().unwrap();
        assert_eq!((event.id.as_str(), event.kind, event.source.as_str()), ("d-1", EventKind::Deployment, "argo"));
        assert_eq!((event.service.as_deref(), event.labels["version"].as_str()), (Some("payment"), "2.14.0"));
        assert_eq!((event.starts_at, event.url.as_deref()), (now() - crate::clock::DurationMs::from_secs(600), Some("https://argo/x")));
        let small = r#"{"kind":"feature_flag","title":"new checkout is on"}"#;
        let [event] = parse(small.as_bytes(), now()).unwrap().try_into().unwrap();
        assert_eq!((event.starts_at, event.source.as_str(), event.service), (now(), "webhook", None));
        assert!(event.id.starts_with("e-"));
        let two = format!("[{small},{full}]");
        assert_eq!(parse(two.as_bytes(), now()).unwrap().len(), 2);
        assert_eq!(parse(format!("{{\"events\":{two}}}").as_bytes(), now()).unwrap(), parse(two.as_bytes(), now()).unwrap());
        assert_eq!(parse(b"[]", now()).unwrap(), []);
    }

    #[test]
    fn told_again_it_is_the_same() {
        let body = br#"{"kind":"scaling","title":"cart to 5","service":"cart","starts_at":"2026-01-31T07:50:00Z"}"#;
        let later = now() + crate::clock::DurationMs::HOUR;
        assert_eq!(parse(body, now()).unwrap(), parse(body, later).unwrap());
    }

    #[test]
    fn mistakes_name_their_place() {
        let long = "x".repeat(5000);
        let body = format!(
            r#"[7, {{"kind":"deploy","title":" "}}, {{"kind":"other","title":"x","color":1,"url":"ftp://x","labels":[],"starts_at":"soon"}},
                {{"kind":"other","title":"{long}"}}, {{"kind":"other","title":"x","starts_at":"2026-01-31T08:00:00Z","ends_at":"2026-01-31T07:00:00Z"}}]"#
        );
        let error = parse(body.as_bytes(), now()).unwrap_err();
        let told: Vec<String> = error.violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        [0]: found 7; it must be an object with `kind` and `title`
        [1].kind: found "deploy"; it must be one of deployment, configuration, scaling, feature_flag, alert, other
        [1].title: found " "; one line that says what happened is needed
        [2].color: is not known; there are id, kind, source, title, description, service, labels, starts_at, ends_at, url
        [2].url: found "ftp://x"; it must begin with http:// or https://
        [2].labels: found a list of 0; it must be an object of strings
        [2].starts_at: found "soon"; it must be a time such as "2026-01-31T08:00:00Z"
        [3].title: 5000 bytes; at most 300 are taken
        [4].ends_at: found "2026-01-31T07:00:00Z", which is before it starts
        "#);
        for (body, part) in [("", "not JSON"), ("7", "found 7"), ("\"x\"", "it must be an event")] {
            let error = parse(body.as_bytes(), now()).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        let many = format!("[{}]", vec!["{}"; 1001].join(","));
        assert!(parse(many.as_bytes(), now()).unwrap_err().to_string().contains("1001 events"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(body in "[\\[\\]{}\",:a-z0-9]{0,60}", field in 0..FIELDS.len(), value in "(null|true|-1|1e99|\"\"|\\{\\}|\\[1\\]|\"0001-01-01T00:00:00Z\")") {
            let _ = parse(body.as_bytes(), now());
            let _ = parse(format!("{{\"kind\":\"other\",\"title\":\"t\",\"{}\":{value}}}", FIELDS[field]).as_bytes(), now());
        }
    }
}
