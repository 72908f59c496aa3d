//! The configuration before it means anything: a tree of values, each of which knows where it was written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{NonFiniteFloatPolicy, SnippetMode, Spanned, UserMessageFormatter};

use crate::error::Violation;

/// The environment variables that are ours begin with this; `__` separates the parts of a path.
pub(super) const PREFIX: &str = "BELLWETHER_";
/// Far more than 10,000 monitors need.
const MOST_NODES: usize = 1_000_000;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the file, on this line.
    Line(u64),
    /// In this environment variable.
    Variable(String),
    /// In a flag of the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub value: Value,
    pub origin: Origin,
}

/// What YAML can say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Whole(i128),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Value {
    /// What kind of value it is, without the value: that may be a secret.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Whole(_) | Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, origin: Origin::Line(spanned.referenced.line()) })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Whole(v.into()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Whole(v.into()))
    }
    fn visit_i128<E>(self, v: i128) -> Result<Value, E> {
        Ok(Value::Whole(v))
    }
    fn visit_u128<E>(self, v: u128) -> Result<Value, E> {
        Ok(Value::Whole(i128::try_from(v).unwrap_or(i128::MAX)))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Number(v))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Text(v.to_owned()))
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::Text(v))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

/// Reads YAML; nothing but comments is an empty map.
pub(super) fn parse(text: &str) -> Result<Node, Violation> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: MOST_NODES, max_events: 3 * MOST_NODES, max_depth: 32 },
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    let empty = || Node { value: Value::Null, origin: Origin::Line(1) };
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(empty());
    }
    serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|error| {
        // Never the snippet: the line may hold a secret.
        let plain = serde_saphyr::render_options! { formatter: &UserMessageFormatter, snippets: SnippetMode::Off };
        let place = error.location().map_or_else(String::new, |at| format!("line {}, column {}: ", at.line(), at.column()));
        let message = error.render_with_options(plain);
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        Violation { field: "file".to_owned(), description: format!("{place}this is not valid YAML: {message}") }
    })
}

/// Lays the environment over the tree: `BELLWETHER_PROMETHEUS__URL` sets `prometheus.url`.
pub(super) fn overlay_environment(root: &mut Node, environment: impl Iterator<Item = (String, String)>, violations: &mut Vec<Violation>) {
    let mut settings: Vec<(Vec<String>, String, String)> = environment
        .filter(|(name, value)| name.starts_with(PREFIX) && !set_by_kubernetes(name, value))
        .map(|(name, value)| (name[PREFIX.len()..].split("__").map(str::to_lowercase).collect(), name, value))
        .collect();
    settings.sort();
    let mut before: Option<(Vec<String>, String)> = None;
    for (path, name, value) in settings {
        if let Some((earlier, other)) = before.as_ref().filter(|(earlier, _)| path.starts_with(earlier)) {
            let description = format!("is set in two places, the environment variables {other} and {name}; keep one of them");
            violations.push(Violation { field: earlier.join("."), description });
            continue;
        }
        if let Err(description) = set(root, &path, Node { value: Value::Text(value), origin: Origin::Variable(name.clone()) }) {
            violations
                .push(Violation { field: path.join("."), description: format!("{description} ({})", Origin::Variable(name.clone())) });
        }
        before = Some((path, name));
    }
}

/// Lays the flags over the tree; a path given more than once is a list.
pub(super) fn overlay_flags(root: &mut Node, flags: &[(String, String)], violations: &mut Vec<Violation>) {
    let mut done: Vec<&str> = Vec::new();
    for (path, _) in flags {
        if done.contains(&path.as_str()) {
            continue;
        }
        done.push(path);
        let mut values: Vec<Node> = flags
            .iter()
            .filter(|(other, _)| other == path)
            .map(|(_, value)| Node { value: Value::Text(value.clone()), origin: Origin::Flag })
            .collect();
        let node = if values.len() == 1 { values.remove(0) } else { Node { value: Value::List(values), origin: Origin::Flag } };
        let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
        if let Err(description) = set(root, &parts, node) {
            violations.push(Violation { field: path.clone(), description: format!("{description} ({})", Origin::Flag) });
        }
    }
}

/// Puts `node` at `path`, making the maps and lists on the way.
fn set(at: &mut Node, path: &[String], node: Node) -> Result<(), String> {
    let Some((part, rest)) = path.split_first() else {
        *at = node;
        return Ok(());
    };
    if part.is_empty() {
        return Err("has an empty part; separate the parts of a path with `__`, such as BELLWETHER_PROMETHEUS__URL".to_owned());
    }
    let index = part.parse::<usize>().ok();
    if at.value == Value::Null {
        at.value = if index.is_some() { Value::List(Vec::new()) } else { Value::Map(Vec::new()) };
        at.origin = node.origin.clone();
    }
    let fresh = || Node { value: Value::Null, origin: node.origin.clone() };
    match (&mut at.value, index) {
        (Value::Map(entries), _) => {
            let place = entries.iter().position(|(key, _)| key == part).unwrap_or_else(|| {
                entries.push((part.clone(), fresh()));
                entries.len() - 1
            });
            set(&mut entries[place].1, rest, node)
        }
        (Value::List(items), Some(index)) => {
            if index > items.len() {
                return Err(format!("skips places of a list that has {} items so far; the next is {}", items.len(), items.len()));
            }
            if index == items.len() {
                items.push(fresh());
            }
            set(&mut items[index], rest, node)
        }
        (other, _) => Err(format!("cannot set `{part}` inside {}, which was written at: {}", other.kind(), at.origin)),
    }
}

/// Kubernetes tells every pod of the services around it by environment variables; those of a service called
/// `bellwether` or `bellwether-…` begin as ours do, and are none of ours.
fn set_by_kubernetes(name: &str, value: &str) -> bool {
    let link = |suffix: &str| {
        let mut parts = suffix.split('_');
        parts.next().is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
            && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
    };
    !name.contains("__")
        && (name.ends_with("_SERVICE_HOST")
            || name.ends_with("_SERVICE_PORT")
            || name.contains("_SERVICE_PORT_")
            || (name.ends_with("_PORT") && ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme)))
            || name.split_once("_PORT_").is_some_and(|(_, suffix)| link(suffix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn every_value_knows_its_line() {
        let root = parse("server:\n  listen: a\nmonitors:\n  - name: x\n").unwrap();
        let Value::Map(sections) = &root.value else { panic!("{root:?}") };
        let Value::Map(server) = &sections[0].1.value else { panic!("{root:?}") };
        assert_eq!(server[0].1, Node { value: Value::Text("a".into()), origin: Origin::Line(2) });
        let Value::List(monitors) = &sections[1].1.value else { panic!("{root:?}") };
        assert_eq!(monitors[0].origin, Origin::Line(4));
    }

    #[test]
    fn what_kubernetes_sets_is_not_ours() {
        let mut root = parse("").unwrap();
        let mut violations = Vec::new();
        let around = [
            ("BELLWETHER_SERVICE_HOST", "10.0.0.1"),
            ("BELLWETHER_SERVICE_PORT", "9095"),
            ("BELLWETHER_SERVICE_PORT_GRPC", "9095"),
            ("BELLWETHER_PORT", "tcp://10.0.0.1:9095"),
            ("BELLWETHER_PORT_9095_TCP", "tcp://10.0.0.1:9095"),
            ("BELLWETHER_PORT_9095_TCP_ADDR", "10.0.0.1"),
            ("BELLWETHER_DB_SERVICE_HOST", "10.0.0.1"),
            ("PATH", "/bin"),
        ];
        overlay_environment(&mut root, environment(&around), &mut violations);
        assert_eq!((root.value, violations), (Value::Null, vec![]));
    }

    #[test]
    fn a_variable_reaches_into_lists() {
        let mut root = parse("alertmanagers: [{url: a, name: n}]").unwrap();
        let mut violations = Vec::new();
        overlay_environment(&mut root, environment(&[("BELLWETHER_ALERTMANAGERS__0__URL", "b")]), &mut violations);
        let Value::Map(sections) = &root.value else { panic!("{root:?}") };
        let Value::List(items) = &sections[0].1.value else { panic!("{root:?}") };
        let Value::Map(entries) = &items[0].value else { panic!("{root:?}") };
        assert_eq!(entries[0].1.value, Value::Text("b".into()));
        assert_eq!(entries[1].1.value, Value::Text("n".into()));
        assert_eq!(violations, []);
    }
}
