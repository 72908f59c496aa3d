//! Reads a tree field by field and notes everything that is wrong instead of stopping at the first.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use reqwest::Url;

use super::size;
use super::tree::{Node, Origin, Value};
use crate::clock::DurationMs;
use crate::error::Violation;
use crate::monitor::Unit;

/// How the whole is called in a violation; no path is written so.
const ROOT: &str = "file";

/// What is noted while a tree is read.
#[derive(Debug, Default)]
pub(super) struct Notes {
    violations: RefCell<Vec<Violation>>,
    /// Every path that was asked for, list places written as `[]`: the configuration's reference.
    asked: RefCell<BTreeSet<String>>,
}

impl Notes {
    pub(super) fn violation(&self, field: &str, description: impl Into<String>) {
        self.violations.borrow_mut().push(Violation { field: field.to_owned(), description: description.into() });
    }

    pub(super) fn finish(self) -> (Vec<Violation>, BTreeSet<String>) {
        (self.violations.into_inner(), self.asked.into_inner())
    }
}

/// One value, its path, and where problems with it are noted.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub path: String,
    pub node: Node,
    notes: &'a Notes,
}

/// A map whose fields are taken one by one; what nobody took is unknown.
pub(super) struct Section<'a> {
    path: String,
    entries: Vec<(String, Node)>,
    known: Vec<&'static str>,
    written: Vec<&'static str>,
    origin: Option<Origin>,
    /// It was no map, which is noted; that its fields are missing need not be.
    broken: bool,
    notes: &'a Notes,
}

impl<'a> Section<'a> {
    pub(super) fn root(node: Node, notes: &'a Notes) -> Self {
        Field::root(node, notes).section()
    }

    /// The path of the field `key` of this section.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The field `key`, if it was written.
    pub(super) fn field(&mut self, key: &'static str) -> Option<Field<'a>> {
        let path = self.path(key);
        self.notes.asked.borrow_mut().insert(without_places(&path));
        self.known.push(key);
        let place = self.entries.iter().position(|(name, _)| name == key)?;
        let (_, node) = self.entries.remove(place);
        self.written.push(key);
        Some(Field { path, node, notes: self.notes })
    }

    /// The field `key`, whose absence is noted with `hint`.
    pub(super) fn required(&mut self, key: &'static str, hint: &str) -> Option<Field<'a>> {
        let field = self.field(key);
        if field.is_none() && !self.broken {
            self.missing(key, &format!("is missing; {hint}"));
        }
        field
    }

    /// The field `key` as a section; an empty one where it was not written.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        let (path, notes) = (self.path(key), self.notes);
        self.field(key).map_or_else(
            || Self { path, entries: Vec::new(), known: Vec::new(), written: Vec::new(), origin: None, broken: false, notes },
            Field::section,
        )
    }

    /// The places of the list `key`; none where it was not written.
    pub(super) fn list(&mut self, key: &'static str) -> Vec<Field<'a>> {
        self.field(key).map(Field::list).unwrap_or_default()
    }

    /// The entries of the map `key`, whose keys are free.
    pub(super) fn map(&mut self, key: &'static str) -> Vec<(String, Field<'a>)> {
        let Some(field) = self.field(key) else { return Vec::new() };
        let section = field.section();
        let (path, notes) = (section.path, section.notes);
        section.entries.into_iter().map(|(key, node)| (key.clone(), Field { path: format!("{path}.{key}"), node, notes })).collect()
    }

    /// Whether the field `key`, which was taken already, is there.
    pub(super) fn was_written(&self, key: &str) -> bool {
        self.written.contains(&key)
    }

    pub(super) fn violation(&self, key: &str, description: impl Into<String>) {
        self.notes.violation(&self.path(key), description);
    }

    /// Notes `description` of the field `key`, which was not written, at the line of the section.
    pub(super) fn missing(&self, key: &str, description: &str) {
        let line = self.origin.as_ref().map_or_else(String::new, |origin| format!(" ({origin})"));
        self.violation(key, format!("{description}{line}"));
    }

    /// Notes every field that nobody took.
    pub(super) fn finish(self) {
        for (key, node) in &self.entries {
            // The value is not shown: a misspelt key may well hold a secret.
            let description = match nearest(key, &self.known) {
                Some(near) => format!("unknown field; did you mean `{near}`? ({})", node.origin),
                None => format!("unknown field; there are {} ({})", self.known.join(", "), node.origin),
            };
            self.violation(key, description);
        }
    }
}

impl<'a> Field<'a> {
    pub(super) fn root(node: Node, notes: &'a Notes) -> Self {
        Self { path: ROOT.to_owned(), node, notes }
    }

    /// Notes that this field is wrong.
    pub(super) fn wrong(&self, description: impl Display) {
        self.notes.violation(&self.path, format!("{description} ({})", self.node.origin));
    }

    /// Notes what kind of value was found and what was wanted. Not the value itself: it may be a secret.
    fn wanted<T>(&self, wanted: &str) -> Option<T> {
        let found = match &self.node.value {
            Value::Null => "has no value",
            other => &format!("is {}", other.kind()),
        };
        self.wrong(format!("{found}; it must be {wanted}"));
        None
    }

    /// Whether the value came as text from outside the file, where everything is text.
    fn outside(&self) -> bool {
        !matches!(self.node.origin, Origin::Line(_))
    }

    pub(super) fn section(self) -> Section<'a> {
        let broken = !matches!(self.node.value, Value::Map(_) | Value::Null);
        if broken {
            let wanted = if self.path == ROOT { "a map such as `prometheus: {url: …}`" } else { "a map of fields" };
            self.wanted::<()>(wanted);
        }
        let entries = if let Value::Map(entries) = self.node.value { entries } else { Vec::new() };
        let path = if self.path == ROOT { String::new() } else { self.path };
        Section { path, entries, known: Vec::new(), written: Vec::new(), origin: Some(self.node.origin), broken, notes: self.notes }
    }

    /// The items; a text from outside the file is split at its commas.
    pub(super) fn list(self) -> Vec<Self> {
        let items = match &self.node.value {
            Value::List(items) => items.clone(),
            Value::Null => Vec::new(),
            Value::Text(text) if self.outside() => {
                text.split(',').map(|item| Node { value: Value::Text(item.trim().to_owned()), origin: self.node.origin.clone() }).collect()
            }
            _ => self.wanted("a list").unwrap_or_default(),
        };
        let (path, notes) = (self.path, self.notes);
        items.into_iter().enumerate().map(|(i, node)| Field { path: format!("{path}[{i}]"), node, notes }).collect()
    }

    /// What lies inside this field, at `path` behind its own.
    pub(super) fn inner(&self, path: &str, node: Node) -> Self {
        Field { path: format!("{}{path}", self.path), node, notes: self.notes }
    }

    /// A text that is not empty.
    pub(super) fn text(&self) -> Option<String> {
        match &self.node.value {
            Value::Text(text) if text.trim().is_empty() => {
                self.wrong("is empty; give it a value or leave the field out");
                None
            }
            Value::Text(text) => Some(text.clone()),
            Value::Whole(_) | Value::Number(_) | Value::Bool(_) => self.wanted("a text: put it in quotes"),
            _ => self.wanted("a text"),
        }
    }

    pub(super) fn truth(&self) -> Option<bool> {
        match &self.node.value {
            Value::Bool(truth) => Some(*truth),
            Value::Text(text) if self.outside() && text == "true" => Some(true),
            Value::Text(text) if self.outside() && text == "false" => Some(false),
            _ => self.wanted("true or false"),
        }
    }

    pub(super) fn whole(&self, range: RangeInclusive<usize>) -> Option<usize> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let found = match &self.node.value {
            Value::Whole(n) => *n,
            Value::Text(text) if self.outside() => {
                let Ok(n) = text.parse() else {
                    self.wrong(format!("is `{text}`; it must be {wanted}"));
                    return None;
                };
                n
            }
            Value::Number(n) => {
                self.wrong(format!("is {n}; it must be {wanted}"));
                return None;
            }
            _ => return self.wanted(&wanted),
        };
        match usize::try_from(found) {
            Ok(n) if range.contains(&n) => Some(n),
            _ => {
                self.wrong(format!("is {found}; it must be {wanted}"));
                None
            }
        }
    }

    /// A finite number above `low` and at most `high`.
    pub(super) fn number(&self, low: f64, high: f64) -> Option<f64> {
        let wanted = format!("a number above {low} and at most {high}");
        let found = match &self.node.value {
            Value::Whole(n) => *n as f64,
            Value::Number(n) => *n,
            Value::Text(text) if self.outside() => {
                let Ok(n) = text.parse() else {
                    self.wrong(format!("is `{text}`; it must be {wanted}"));
                    return None;
                };
                n
            }
            _ => return self.wanted(&wanted),
        };
        // Written so that NaN fails.
        if found > low && found <= high {
            Some(found)
        } else {
            self.wrong(format!("is {found}; it must be {wanted}"));
            None
        }
    }

    pub(super) fn duration(&self, range: RangeInclusive<DurationMs>) -> Option<DurationMs> {
        let text = match &self.node.value {
            Value::Text(text) => text,
            Value::Whole(n) => {
                self.wrong(format!("is {n} without a unit; write a duration such as {n}s or {n}m"));
                return None;
            }
            _ => return self.wanted("a duration such as 30s, 5m, 1h30m or 14d"),
        };
        match text.parse::<DurationMs>() {
            Ok(found) if range.contains(&found) => Some(found),
            Ok(found) => {
                self.wrong(format!("is {found}; it must be from {} to {}", range.start(), range.end()));
                None
            }
            Err(error) => {
                self.wrong(error);
                None
            }
        }
    }

    /// A number of bytes, such as `1GiB`.
    pub(super) fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Value::Text(text) = &self.node.value else { return self.wanted("a size such as 512MB or 1GiB") };
        match size::parse(text) {
            Some(bytes) if range.contains(&bytes) => Some(bytes),
            Some(_) => {
                let show = |bytes: &u64| Unit::Bytes.show(*bytes as f64);
                self.wrong(format!("is {text}; it must be from {} to {}", show(range.start()), show(range.end())));
                None
            }
            None => {
                self.wrong(format!("is `{text}`; it must be a size such as 512MB or 1GiB"));
                None
            }
        }
    }

    /// One of a closed set's words.
    pub(super) fn word<T: FromStr<Err: Display>>(&self, words: &[&'static str]) -> Option<T> {
        let Value::Text(text) = &self.node.value else { return self.wanted(&format!("one of {}", words.join(", "))) };
        text.parse()
            .map_err(|error| match nearest(text, words) {
                Some(near) => self.wrong(format!("{error}; did you mean `{near}`?")),
                None => self.wrong(error),
            })
            .ok()
    }

    /// An `http://` or `https://` address without credentials, query or fragment.
    pub(super) fn url(&self) -> Option<Url> {
        let text = self.text()?;
        let url = match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            Ok(url) if text.contains("://") && !matches!(url.scheme(), "http" | "https") => {
                self.wrong(format!("has the scheme `{}`; it must begin with http:// or https://", url.scheme()));
                return None;
            }
            // What does not parse may hold credentials all the same, so it is not shown.
            _ if text.contains('@') => {
                self.wrong("is not an address such as http://prometheus:9090");
                return None;
            }
            _ => {
                self.wrong(format!("is `{text}`; it must be an address such as http://prometheus:9090"));
                return None;
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.wrong("has credentials in the address, which ends up in logs; use basic_auth with a password_file instead");
            return None;
        }
        if url.query().is_some() || url.fragment().is_some() {
            self.wrong("has a `?` or `#` part; give only the scheme, host, port and path prefix");
            return None;
        }
        Some(url)
    }

    /// A path; one from the file is relative to the file's directory.
    pub(super) fn file_path(&self, directory: &Path) -> Option<PathBuf> {
        let text = self.text()?;
        Some(if self.outside() { PathBuf::from(text) } else { directory.join(text) })
    }
}

/// `a[3].b` as `a[].b`.
fn without_places(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        inside = inside && c != ']';
        if !inside {
            text.push(c);
        }
        inside = inside || c == '[';
    }
    text
}

/// The known word that was probably meant: at most a third of its letters differ.
pub(super) fn nearest(found: &str, known: &[&'static str]) -> Option<&'static str> {
    let found = found.to_lowercase().replace('-', "_");
    let near = |word: &&'static str| {
        let distance = edit_distance(&found, word);
        let shared = found.len() >= 4 && (word.starts_with(&found) || found.starts_with(*word));
        (distance <= (word.len() / 3).max(1) || shared).then_some((distance, *word))
    };
    known.iter().filter_map(near).min().map(|(_, word)| word)
}

/// How many letters must be changed, added, left out or exchanged with their neighbour (Damerau 1964, the
/// optimal-string-alignment form).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_keys_are_recognised() {
        let known = ["url", "timeout", "bearer_token_file", "max_series", "basic_auth"];
        for (found, meant) in [
            ("ulr", Some("url")),
            ("time-out", Some("timeout")),
            ("bearer_token", Some("bearer_token_file")),
            ("maxSeries", Some("max_series")),
            ("colour", None),
        ] {
            assert_eq!(nearest(found, &known), meant, "{found}");
        }
    }

    #[test]
    fn list_places_are_left_out_of_the_reference() {
        assert_eq!(without_places("monitors[12].name"), "monitors[].name");
    }
}
