//! Examples of a catalogue: a case, and what is to be suggested for it.
//!
//! They are the tests of a catalogue. A case is written as an operator would tell it; what it does not say is as in the
//! most ordinary finding.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::read::Reader;
use super::suspect::{CauseKind, Suspect};
use super::{Catalogue, Context};
use crate::clock::Timestamp;
use crate::correlation::feedback::Learned;
use crate::error::Violation;
use crate::event::{Event, EventKind};
use crate::finding::{Direction, Finding, FindingKind};
use crate::metric::{MetricKind, Unit};
use crate::series::SeriesKey;

/// The most examples of one catalogue.
const MOST: usize = 500;
/// The fields of an example, and of a change in it.
const FIELDS: [&str; 16] = [
    "service",
    "metric",
    "direction",
    "kind",
    "name",
    "labels",
    "unit",
    "value",
    "expected",
    "traffic",
    "change",
    "cause",
    "shown_by",
    "expect",
    "filled",
    "note",
];
const CHANGE_FIELDS: [&str; 4] = ["kind", "title", "labels", "previous_version"];
/// 2026-01-31T08:00:00Z: when everything in an example happens.
const THEN: i64 = 1_769_846_400_000;

/// A case, and what is to be suggested for it.
#[derive(Clone, Debug)]
pub(super) struct Example {
    finding: Finding,
    query: Option<String>,
    traffic: Option<Direction>,
    change: Option<Event>,
    previous: Option<Event>,
    causes: Vec<CauseKind>,
    shown_by: String,
    /// The ids of the first suggestions, in order.
    expect: Vec<String>,
    /// What is found in the text of the first.
    filled: Vec<String>,
}

/// Reads the list of examples, each with its path.
pub(super) fn read(reader: &mut Reader<'_>, value: &Value) -> Vec<(String, Example)> {
    let Some(list) = value.as_array() else {
        reader.wrong("examples", "no list; it must be a list of examples");
        return Vec::new();
    };
    if list.len() > MOST {
        reader.wrong("examples", format!("{} examples; a catalogue has at most {MOST}", list.len()));
        return Vec::new();
    }
    let one = |(i, value): (usize, &Value)| {
        let path = format!("examples[{i}]");
        example(reader, value, &path).map(|example| (path, example))
    };
    list.iter().enumerate().filter_map(one).collect()
}

fn example(reader: &mut Reader<'_>, value: &Value, path: &str) -> Option<Example> {
    let map = reader.map(value, path, &FIELDS)?;
    let then = Timestamp::from_millis(THEN);
    let service = optional(reader, map, "service", path).unwrap_or_else(|| "payment".to_owned());
    let mut labels = labels(reader, map, path);
    labels.entry("service".to_owned()).or_insert_with(|| service.clone());
    let metric = reader.word(map, "metric", path).unwrap_or(MetricKind::Other);
    let direction = reader.word(map, "direction", path).unwrap_or(Direction::Up);
    let query = optional(reader, map, "name", path);
    let number = |reader: &mut Reader<'_>, field: &str, otherwise: f64| match map.get(field) {
        None => otherwise,
        Some(value) => value.as_f64().filter(|n| n.is_finite()).unwrap_or_else(|| {
            reader.wrong(&format!("{path}.{field}"), format!("`{value}` is not a number"));
            otherwise
        }),
    };
    let (value, expected) = (number(reader, "value", 2.0), number(reader, "expected", 1.0));
    let finding = Finding {
        id: "f-example".to_owned(),
        monitor: "example".to_owned(),
        service: service.clone(),
        key: SeriesKey::new(labels),
        metric,
        unit: reader.word(map, "unit", path).unwrap_or(Unit::None),
        kind: reader.word(map, "kind", path).unwrap_or(FindingKind::Deviation),
        direction,
        onset: then,
        opened: then,
        last_seen: then,
        ended: None,
        value,
        expected,
        lower: expected,
        upper: expected,
        score: 2.0,
        p_value: 1e-6,
        evidence: Vec::new(),
        model: "example".to_owned(),
        reach: None,
        course: None,
    };
    let traffic = match optional(reader, map, "traffic", path).as_deref() {
        None | Some("flat") => None,
        Some("up") => Some(Direction::Up),
        Some("down") => Some(Direction::Down),
        Some(other) => {
            reader.wrong(&format!("{path}.traffic"), format!("`{other}` is not one of flat, up, down"));
            None
        }
    };
    let (change, previous) = map.get("change").map_or((None, None), |value| change(reader, value, &format!("{path}.change"), &service));
    let mut causes: Vec<CauseKind> = reader.words(map, "cause", path);
    if let (Some(change), true) = (&change, causes.is_empty() && !map.contains_key("cause")) {
        causes = super::kinds(&finding, super::Surroundings { change: Some(change), ..super::Surroundings::default() });
    }
    let expect = reader.texts(map, "expect", path);
    if expect.is_empty() {
        reader.wrong(&format!("{path}.expect"), "missing or empty; name the id of the entry that is to come first");
    }
    let filled = reader.texts(map, "filled", path);
    let shown_by = optional(reader, map, "shown_by", path).unwrap_or(service);
    Some(Example { finding, query, traffic, change, previous, causes, shown_by, expect, filled })
}

fn optional(reader: &mut Reader<'_>, map: &Map<String, Value>, field: &str, path: &str) -> Option<String> {
    map.get(field).and_then(|value| reader.text(value, &format!("{path}.{field}")))
}

fn labels(reader: &mut Reader<'_>, map: &Map<String, Value>, path: &str) -> BTreeMap<String, String> {
    let path = format!("{path}.labels");
    match map.get("labels") {
        None => BTreeMap::new(),
        Some(Value::Object(labels)) => {
            labels.iter().filter_map(|(name, value)| Some((name.clone(), reader.text(value, &format!("{path}.{name}"))?))).collect()
        }
        Some(_) => {
            reader.wrong(&path, "not a mapping; it must be label names with their values");
            BTreeMap::new()
        }
    }
}

/// A change three minutes before the finding, and the deployment a day before where its version is given.
fn change(reader: &mut Reader<'_>, value: &Value, path: &str, service: &str) -> (Option<Event>, Option<Event>) {
    let Some(map) = reader.map(value, path, &CHANGE_FIELDS) else { return (None, None) };
    let kind = reader.word(map, "kind", path).unwrap_or(EventKind::Deployment);
    let event = |id: &str, title: String, labels, millis| Event {
        id: id.to_owned(),
        kind,
        source: "example".to_owned(),
        title,
        description: String::new(),
        service: Some(service.to_owned()),
        labels,
        starts_at: Timestamp::from_millis(millis),
        ends_at: None,
        url: None,
    };
    let title = optional(reader, map, "title", path).unwrap_or_else(|| format!("{service} changed"));
    let before = optional(reader, map, "previous_version", path);
    let previous = before.map(|version| {
        let labels = BTreeMap::from([("version".to_owned(), version)]);
        event("e-before", "before".to_owned(), labels, THEN - 86_400_000)
    });
    (Some(event("e-example", title, labels(reader, map, path), THEN - 180_000)), previous)
}

impl Example {
    /// The ids that it expects and that are not among `ids`.
    pub fn unknown<'a>(&'a self, ids: &'a BTreeSet<&str>) -> impl Iterator<Item = &'a str> {
        self.expect.iter().map(String::as_str).filter(|id| !ids.contains(id))
    }

    /// What comes out otherwise than it says.
    pub fn try_on(&self, catalogue: &Catalogue, path: &str) -> Vec<Violation> {
        let suspect = (self.change.is_some() || !self.causes.is_empty()).then(|| Suspect {
            probability: 1.0,
            title: self.change.as_ref().map_or("example", |change| &change.title),
            shown_by: &self.shown_by,
            kinds: self.causes.clone(),
            change: self.change.as_ref().filter(|_| self.causes.iter().any(|kind| kind.is_change())),
            previous: self.previous.as_ref(),
        });
        let context = Context {
            changes: self.change.iter().collect(),
            traffic: self.traffic,
            query: self.query.as_deref(),
            suspect,
            ..Context::default()
        };
        let found =
            catalogue.suggest_all(&[(&self.finding, context)], self.expect.len().max(super::MOST_FOR_ONE), Learned::default().of(""));
        let ids: Vec<&str> = found.iter().map(|suggestion| suggestion.id.as_str()).collect();
        let mut wrong = Vec::new();
        if !ids.iter().zip(&self.expect).all(|(id, expected)| id == expected) || ids.len() < self.expect.len() {
            let field = format!("{path}.expect");
            let description = format!("is {}, and {} came first", listed(&self.expect), listed(&ids[..self.expect.len().min(ids.len())]));
            wrong.push(Violation { field, description });
        }
        let first = found.first();
        let texts: Vec<&str> =
            first.iter().flat_map(|s| s.steps.iter().chain(&s.promql).chain(&s.commands).chain([&s.title])).map(String::as_str).collect();
        for (i, part) in self.filled.iter().enumerate().filter(|(_, part)| !texts.iter().any(|text| text.contains(part.as_str()))) {
            let field = format!("{path}.filled[{i}]");
            let instead = texts.iter().min_by_key(|text| distance(text, part)).copied().unwrap_or_default();
            wrong.push(Violation { field, description: format!("`{part}` is nowhere in the first suggestion; nearest is `{instead}`") });
        }
        wrong
    }
}

fn listed<T: AsRef<str>>(ids: &[T]) -> String {
    ids.iter().map(|id| format!("`{}`", id.as_ref())).collect::<Vec<_>>().join(", ")
}

/// How many words of `part` are not in `text`: enough to show the line that was meant.
fn distance(text: &str, part: &str) -> usize {
    part.split_whitespace().filter(|word| !text.contains(word)).count()
}
