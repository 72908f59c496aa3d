//! Reading a catalogue: YAML to entries, with everything that is wrong and where.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde_json::{Map, Value};

use super::entry::{Entry, Match, Named, Runbook};
use super::examples::{self, Example};
use super::fill::{self, Quote};
use super::runbooks::runbook;
use super::suspect::CauseKind;
use crate::error::Violation;
use crate::event::EventKind;
use crate::glob::Glob;
use crate::template::{self, Piece};
use crate::words::UnknownWord;

/// The largest text of a catalogue, in bytes.
const LARGEST: usize = 1 << 20;
/// The most entries of one catalogue.
const MOST_ENTRIES: usize = 500;
/// The most items of one list.
const MOST_ITEMS: usize = 20;
/// The longest text of one field, in bytes.
const LONGEST: usize = 2000;
/// The greatest priority, either way.
const MOST_PRIORITY: i64 = 10;

const ENTRY_FIELDS: [&str; 9] = ["id", "title", "match", "steps", "promql", "commands", "runbook", "priority", "action"];
const MATCH_FIELDS: [&str; 8] = ["metric", "direction", "kind", "name", "labels", "traffic", "after_change", "cause"];
const CATALOGUE_FIELDS: [&str; 2] = ["entries", "examples"];

/// What stands in a catalogue, each with its path.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub entries: Vec<(String, Entry)>,
    pub examples: Vec<(String, Example)>,
}

/// What stands in the catalogue `name`, and all that is wrong in it.
pub(super) fn contents(name: &str, text: &str) -> (Contents, Vec<Violation>) {
    let mut reader = Reader { name, violations: Vec::new() };
    let contents = reader.catalogue(text);
    (contents, reader.violations)
}

pub(super) struct Reader<'a> {
    name: &'a str,
    violations: Vec<Violation>,
}

impl Reader<'_> {
    pub fn wrong(&mut self, path: &str, description: impl Into<String>) {
        let field = if path.is_empty() { self.name.to_owned() } else { format!("{}: {path}", self.name) };
        self.violations.push(Violation { field, description: description.into() });
    }

    fn catalogue(&mut self, text: &str) -> Contents {
        if text.len() > LARGEST {
            self.wrong("", format!("{} bytes; a catalogue has at most {LARGEST}", text.len()));
            return Contents::default();
        }
        let value = match serde_saphyr::from_str_with_options::<Value>(text, serde_saphyr::options! { with_snippet: false }) {
            Ok(value) => value,
            Err(error) => {
                // The parser's advice to its own caller helps nobody here.
                let reason = error.to_string().replace(", set DuplicateKeyPolicy in Options if acceptable", "");
                self.wrong("", format!("cannot be read: {reason}"));
                return Contents::default();
            }
        };
        let Some(map) = self.map(&value, "", &CATALOGUE_FIELDS) else { return Contents::default() };
        let examples = map.get("examples").map(|value| examples::read(self, value)).unwrap_or_default();
        let Some(list) = map.get("entries").and_then(Value::as_array) else {
            self.wrong("entries", "missing or no list; it must be a list of entries");
            return Contents { entries: Vec::new(), examples };
        };
        if list.len() > MOST_ENTRIES {
            self.wrong("entries", format!("{} entries; a catalogue has at most {MOST_ENTRIES}", list.len()));
            return Contents { entries: Vec::new(), examples };
        }
        let (mut entries, mut ids) = (Vec::new(), BTreeSet::new());
        for (i, value) in list.iter().enumerate() {
            let path = format!("entries[{i}]");
            if let Some(entry) = self.entry(value, &path) {
                if !ids.insert(entry.id.clone()) {
                    self.wrong(&format!("{path}.id"), format!("`{}` is the id of an earlier entry; each needs its own", entry.id));
                }
                entries.push((path, entry));
            }
        }
        Contents { entries, examples }
    }

    fn entry(&mut self, value: &Value, path: &str) -> Option<Entry> {
        let map = self.map(value, path, &ENTRY_FIELDS)?;
        let at = |field: &str| format!("{path}.{field}");
        let id = self.needed(map, "id", path);
        if let Some(id) = id.as_ref().filter(|id| !is_id(id)) {
            self.wrong(&at("id"), format!("`{id}` is not an id; it must be lower-case letters, digits and hyphens, at most 80"));
        }
        let title = self.needed(map, "title", path);
        let matches = if let Some(value) = map.get("match") {
            self.matches(value, &at("match"))
        } else {
            self.wrong(&at("match"), "missing; say what the entry is for, or `{}` for everything");
            None
        };
        let steps = self.texts(map, "steps", path);
        if steps.is_empty() {
            self.wrong(&at("steps"), "missing or empty; say at least one thing to do");
        }
        let promql = self.texts(map, "promql", path);
        for (i, query) in promql.iter().enumerate() {
            self.placeholders(query, &format!("{path}.promql[{i}]"), true);
        }
        let commands = self.texts(map, "commands", path);
        for (i, command) in commands.iter().enumerate() {
            self.placeholders(command, &format!("{path}.commands[{i}]"), false);
        }
        let runbook = self.needed(map, "runbook", path).and_then(|text| self.runbook(text, &at("runbook")));
        let priority = match map.get("priority") {
            None => 0,
            Some(value) => value.as_i64().filter(|p| p.abs() <= MOST_PRIORITY).unwrap_or_else(|| {
                self.wrong(&at("priority"), format!("`{value}` is not a whole number from -{MOST_PRIORITY} to {MOST_PRIORITY}"));
                0
            }),
        };
        let action = map.get("action").and_then(|value| self.action(value, &at("action")));
        let (priority, runbook) = (priority as i32, runbook?);
        Some(Entry { id: id?, title: title?, matches: matches?, steps, promql, commands, runbook, priority, action })
    }

    fn matches(&mut self, value: &Value, path: &str) -> Option<Match> {
        let map = self.map(value, path, &MATCH_FIELDS)?;
        let name = self.texts(map, "name", path).iter().map(|part| Glob::within(part)).collect();
        let labels = match map.get("labels") {
            None => BTreeMap::new(),
            Some(Value::Object(labels)) => self.labels(labels, &format!("{path}.labels")),
            Some(_) => {
                self.wrong(&format!("{path}.labels"), "not a mapping; it must be label names with their values");
                BTreeMap::new()
            }
        };
        let changes = self.texts(map, "after_change", path);
        let mut after_change = Vec::new();
        for change in &changes {
            let kinds = [EventKind::Deployment, EventKind::Configuration, EventKind::Scaling, EventKind::FeatureFlag];
            match kinds.iter().find(|kind| kind.as_str() == change) {
                Some(kind) => after_change.push(*kind),
                None if change == "any" => after_change.extend(kinds),
                None => self.wrong(
                    &format!("{path}.after_change"),
                    format!("`{change}` is not one of any, {}", kinds.map(EventKind::as_str).join(", ")),
                ),
            }
        }
        Some(Match {
            metric: self.words(map, "metric", path),
            direction: self.word(map, "direction", path),
            kind: self.word(map, "kind", path),
            name,
            labels,
            traffic: self.word(map, "traffic", path),
            after_change,
            cause: self.causes(map, path),
        })
    }

    /// Kinds of causes; `change` is any change.
    fn causes(&mut self, map: &Map<String, Value>, path: &str) -> Vec<CauseKind> {
        let texts = self.texts(map, "cause", path);
        let mut kinds = Vec::new();
        for text in &texts {
            match text.parse() {
                Ok(kind) => kinds.push(kind),
                Err(_) if text == "change" => {
                    kinds.extend([CauseKind::Deployment, CauseKind::Configuration, CauseKind::Scaling, CauseKind::FeatureFlag]);
                }
                Err(_) => self.wrong(&format!("{path}.cause"), format!("`{text}` is not one of change, {}", CauseKind::WORDS.join(", "))),
            }
        }
        kinds
    }

    /// The name of an action, alone or with parameters.
    fn action(&mut self, value: &Value, path: &str) -> Option<Named> {
        let Some(map) = value.as_object() else {
            return Some(Named { action: self.text(value, path)?, with: BTreeMap::new() });
        };
        let map = self.map(&Value::Object(map.clone()), path, &["name", "with"]).cloned()?;
        let with = match map.get("with") {
            None => BTreeMap::new(),
            Some(Value::Object(with)) if with.len() <= MOST_ITEMS => {
                let texts = with.iter().filter_map(|(name, value)| Some((name.clone(), self.text(value, &format!("{path}.with.{name}"))?)));
                texts.collect()
            }
            Some(Value::Object(with)) => {
                self.wrong(&format!("{path}.with"), format!("{} parameters; there may be at most {MOST_ITEMS}", with.len()));
                BTreeMap::new()
            }
            Some(_) => {
                self.wrong(&format!("{path}.with"), "not a mapping; it must be parameters with their values");
                BTreeMap::new()
            }
        };
        for name in with.keys().filter(|name| !template::is_name(name)) {
            self.wrong(&format!("{path}.with.{name}"), "not a placeholder's name: letters, digits and `_`, no digit first");
        }
        Some(Named { action: self.needed(&map, "name", path)?, with })
    }

    fn labels(&mut self, labels: &Map<String, Value>, path: &str) -> BTreeMap<String, Glob> {
        let mut globs = BTreeMap::new();
        for (label, value) in labels {
            if let Some(text) = self.text(value, &format!("{path}.{label}")) {
                globs.insert(label.clone(), Glob(text));
            }
        }
        globs
    }

    fn runbook(&mut self, text: String, path: &str) -> Option<Runbook> {
        if text.starts_with("https://") || text.starts_with("http://") {
            return Some(Runbook::Url(text));
        }
        if runbook(&text).is_some() {
            return Some(Runbook::Id(text));
        }
        self.wrong(path, format!("`{text}` is neither a URL nor a runbook that comes with the engine"));
        None
    }

    /// In PromQL `{{query}}` and `{{selector}}` are expressions and all else stands within a double-quoted string;
    /// in a command each value is quoted when it is filled in, so that no placeholder may stand in quotes.
    fn placeholders(&mut self, template: &str, path: &str, promql: bool) {
        let mut quote = Quote::None;
        for piece in template::pieces(template) {
            let name = match piece {
                Piece::Text(text) => {
                    quote = quote.after(text);
                    continue;
                }
                Piece::Placeholder(name) => name,
            };
            if promql {
                let (right, place) = if fill::EXPRESSIONS.contains(&name) {
                    (Quote::None, "outside quotes")
                } else {
                    (Quote::In('"'), "within double quotes")
                };
                if quote != right {
                    self.wrong(path, format!("`{{{{{name}}}}}` must stand {place}"));
                }
            } else if quote != Quote::None {
                self.wrong(path, format!("`{{{{{name}}}}}` must stand outside quotes; its value is quoted when it needs to be"));
            }
        }
    }

    pub fn map<'v>(&mut self, value: &'v Value, path: &str, fields: &[&str]) -> Option<&'v Map<String, Value>> {
        let Some(map) = value.as_object() else {
            self.wrong(path, format!("not a mapping; its fields are {}", fields.join(", ")));
            return None;
        };
        for field in map.keys().filter(|field| !fields.contains(&field.as_str())) {
            let at = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
            self.wrong(&at, format!("unknown field; there are {}", fields.join(", ")));
        }
        Some(map)
    }

    /// A text that is there, not empty and not too long. A number is taken as it is written.
    pub fn text(&mut self, value: &Value, path: &str) -> Option<String> {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            other => {
                self.wrong(path, format!("`{other}` is not a text; put it in quotes if it is meant as one"));
                return None;
            }
        };
        if text.is_empty() || text.len() > LONGEST {
            self.wrong(path, format!("{} bytes; it must have 1 to {LONGEST}", text.len()));
            return None;
        }
        Some(text)
    }

    pub fn needed(&mut self, map: &Map<String, Value>, field: &str, path: &str) -> Option<String> {
        let path = format!("{path}.{field}");
        if let Some(value) = map.get(field) {
            self.text(value, &path)
        } else {
            self.wrong(&path, "missing");
            None
        }
    }

    /// A list of texts, or one text alone.
    pub fn texts(&mut self, map: &Map<String, Value>, field: &str, path: &str) -> Vec<String> {
        let path = format!("{path}.{field}");
        match map.get(field) {
            None => Vec::new(),
            Some(Value::Array(items)) if items.len() > MOST_ITEMS => {
                self.wrong(&path, format!("{} items; there may be at most {MOST_ITEMS}", items.len()));
                Vec::new()
            }
            Some(Value::Array(items)) => {
                items.iter().enumerate().filter_map(|(i, item)| self.text(item, &format!("{path}[{i}]"))).collect()
            }
            Some(item) => self.text(item, &path).into_iter().collect(),
        }
    }

    pub fn words<T: FromStr<Err = UnknownWord>>(&mut self, map: &Map<String, Value>, field: &str, path: &str) -> Vec<T> {
        let texts = self.texts(map, field, path);
        let mut words = Vec::new();
        for text in &texts {
            match text.parse::<T>() {
                Ok(word) => words.push(word),
                Err(unknown) => self.wrong(&format!("{path}.{field}"), unknown.to_string()),
            }
        }
        words
    }

    pub fn word<T: FromStr<Err = UnknownWord>>(&mut self, map: &Map<String, Value>, field: &str, path: &str) -> Option<T> {
        let mut words = self.words(map, field, path);
        if words.len() > 1 {
            self.wrong(&format!("{path}.{field}"), "more than one; leave the field out to match both");
        }
        words.pop()
    }
}

fn is_id(text: &str) -> bool {
    (1..=80).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
