//! Filling placeholders: `{{service}}` becomes the service, quoted as the place it stands in needs.
//!
//! Label values come from outside and people paste what they read here: a value never ends a PromQL string and
//! never becomes more than one word of a command.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Context;
use super::raise::{quantity, raise};
use crate::event::{Event, EventKind};
use crate::finding::Finding;
use crate::template::{is_name, join};

/// How much of a value is shown in a text.
const LONGEST_VALUE: usize = 200;
/// Names that only make sense as a whole PromQL expression.
pub(super) const EXPRESSIONS: [&str; 2] = ["query", "selector"];
/// Labels under which the same thing is also known, by the name a catalogue uses.
const ALSO: [(&str, &str); 4] =
    [("namespace", "kubernetes_namespace"), ("namespace", "exported_namespace"), ("pod", "kubernetes_pod_name"), ("pod", "exported_pod")];
/// What is said in a text where a value is not known and the sentence reads well without it.
const WITHOUT: [(&str, &str); 5] = [
    ("limit", "its limit"),
    ("previous_version", "the version before"),
    ("raise_by", "what is needed"),
    ("raise_to", "a higher limit"),
    ("version", "the new version"),
];
/// The names whose values are worked out rather than read from labels.
const KNOWN: [&str; 17] = [
    "cause",
    "cause_service",
    "change",
    "deployment",
    "expected",
    "incident_service",
    "limit",
    "monitor",
    "namespace",
    "onset",
    "pod",
    "previous_version",
    "quantity",
    "raise_by",
    "raise_to",
    "service",
    "version",
];
/// The longest value that is handed to an action, and the most of them.
const LONGEST_HANDED: usize = 256;
const MOST_HANDED: usize = 80;

/// Which quotes a place in a PromQL expression or a command is in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quote {
    None,
    In(char),
}

impl Quote {
    /// The state after `text`. Within `'` a shell knows no escapes, PromQL does; templates use none there.
    pub(super) fn after(self, text: &str) -> Self {
        let (mut state, mut escaped) = (self, false);
        for c in text.chars() {
            if escaped {
                escaped = false;
                continue;
            }
            match (state, c) {
                (_, '\\') => escaped = true,
                (Self::None, '"' | '\'' | '`') => state = Self::In(c),
                (Self::In(open), _) if open == c => state = Self::None,
                _ => {}
            }
        }
        state
    }
}

/// What placeholders stand for.
pub(super) struct Values<'a> {
    pub finding: &'a Finding,
    pub context: &'a Context<'a>,
}

impl Values<'_> {
    /// The value of a placeholder; `None` where nothing is known.
    fn get(&self, name: &str) -> Option<String> {
        let finding = self.finding;
        let shown = |value: Option<f64>| value.map(|value| finding.unit.show(value));
        match name {
            "service" | "cause_service" => Some(finding.service.clone()),
            "incident_service" => Some(self.context.suspect.as_ref().map_or(&*finding.service, |suspect| suspect.shown_by).to_owned()),
            "cause" => self.context.suspect.as_ref().map(|suspect| suspect.title.to_owned()),
            "monitor" => Some(finding.monitor.clone()),
            "value" => Some(finding.unit.show(finding.value)),
            "expected" => Some(finding.unit.show(finding.expected)),
            "onset" => Some(finding.onset.to_string()),
            "change" => self.change(|_| true).map(|event| event.title.clone()),
            "version" => version(self.change(|kind| kind == EventKind::Deployment)?),
            "previous_version" => {
                let said = self.change(|kind| kind == EventKind::Deployment)?.labels.get("previous_version").cloned();
                said.or_else(|| version(self.context.suspect.as_ref()?.previous?))
                    .filter(|known| Some(known) != self.get("version").as_ref())
            }
            "deployment" => self.label(name).or_else(|| Some(finding.service.clone())),
            "limit" => shown(raise(finding).limit),
            "raise_to" => shown(raise(finding).to),
            "raise_by" => raise(finding).by.map(|(by, unit)| unit.show(by)),
            "quantity" => quantity(finding),
            // Labels alone would select every metric of the place.
            "selector" => finding.key.get("__name__").map(|_| finding.key.to_string()),
            "query" => self.context.query.map(str::to_owned).or_else(|| self.get("selector")),
            "host" => self.label("instance").map(|instance| host(&instance).to_owned()),
            _ => self.label(name).or_else(|| ALSO.iter().filter(|(known, _)| *known == name).find_map(|(_, other)| self.label(other))),
        }
        .filter(|value| !value.is_empty())
    }

    /// The change that is the cause, else the latest of a kind that may have led to the finding.
    fn change(&self, of: impl Fn(EventKind) -> bool) -> Option<&Event> {
        let suspected = self.context.suspect.as_ref().and_then(|suspect| suspect.change).filter(|event| of(event.kind));
        let latest =
            || self.context.changes.iter().copied().filter(|event| of(event.kind)).max_by_key(|event| (event.starts_at, &event.id));
        suspected.or_else(latest)
    }

    /// A label: of the change where that is the cause, then of the series, then of a change that may have led to it.
    fn label(&self, name: &str) -> Option<String> {
        let suspected = self.context.suspect.as_ref().and_then(|suspect| suspect.change?.labels.get(name));
        let led = || self.change(|_| true)?.labels.get(name).map(String::as_str);
        suspected.map(String::as_str).or_else(|| self.finding.key.get(name)).or_else(led).map(str::to_owned)
    }

    /// What an action is told: everything worked out, the labels, and the parameters of the entry, which go first.
    /// What is too long is left out, and so not known.
    pub(super) fn handed(&self, with: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let labels = self.finding.key.labels().keys();
        let changed = self.change(|_| true).map(|event| event.labels.keys()).into_iter().flatten();
        let names =
            KNOWN.into_iter().chain(["host", "value"]).chain(labels.chain(changed).map(String::as_str).filter(|name| is_name(name)));
        let mut values: BTreeMap<String, String> =
            names.take(MOST_HANDED).filter_map(|name| Some((name.to_owned(), self.get(name)?))).collect();
        for (name, template) in with {
            match join(template, |name, _| self.get(name)) {
                Some(value) => values.insert(name.clone(), value),
                None => values.remove(name),
            };
        }
        values.retain(|_, value| value.len() <= LONGEST_HANDED && !value.chars().any(char::is_control));
        values
    }

    /// A text for people; what is not known is shown as `<namespace>`.
    pub(super) fn text(&self, template: &str) -> String {
        let without =
            |name: &str| WITHOUT.iter().find(|(known, _)| *known == name).map_or_else(|| hint(name), |(_, words)| (*words).to_owned());
        join(template, |name, _| Some(self.get(name).map_or_else(|| without(name), |value| clip(&value)))).unwrap_or_default()
    }

    /// A PromQL expression; `None` when it needs a query or a selector that is not known.
    pub(super) fn promql(&self, template: &str) -> Option<String> {
        join(template, |name, before| {
            let value = self.get(name);
            if EXPRESSIONS.contains(&name) {
                // A comment would swallow what follows it on the line.
                return value.map(|query| if query.contains('#') { format!("{query}\n") } else { query });
            }
            let value = value.map_or_else(|| hint(name), |value| if is_pattern(before) { escape_pattern(&value) } else { value });
            Some(value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
        })
    }

    /// A command for a POSIX shell.
    pub(super) fn command(&self, template: &str) -> String {
        join(template, |name, _| Some(self.get(name).and_then(|value| word(&value)).unwrap_or_else(|| hint(name)))).unwrap_or_default()
    }
}

/// The version that a deployment brought.
fn version(event: &Event) -> Option<String> {
    event.labels.get("version").filter(|version| !version.is_empty()).cloned()
}

fn hint(name: &str) -> String {
    format!("<{name}>")
}

/// An instance without its port.
fn host(instance: &str) -> &str {
    match instance.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => instance,
    }
}

/// One line of at most 200 characters.
fn clip(value: &str) -> String {
    let mut text: String = value.chars().take(LONGEST_VALUE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if value.chars().nth(LONGEST_VALUE).is_some() {
        text.push('…');
    }
    text
}

/// Whether the string that `before` leaves open is a regular expression.
fn is_pattern(before: &str) -> bool {
    let matcher = before.rsplit_once('"').map_or("", |(matcher, _)| matcher).trim_end();
    matcher.ends_with("=~") || matcher.ends_with("!~")
}

/// RE2 without special characters.
fn escape_pattern(value: &str) -> String {
    value.chars().fold(String::new(), |mut text, c| {
        if "\\.+*?()|[]{}^$".contains(c) {
            text.push('\\');
        }
        text.push(c);
        text
    })
}

/// One word of a shell command; `None` for what would be taken for an option or hides something.
fn word(value: &str) -> Option<String> {
    if value.starts_with('-') || value.chars().any(char::is_control) {
        return None;
    }
    if value.chars().all(|c| c.is_ascii_alphanumeric() || "._:/@%+=,-".contains(c)) {
        return Some(value.to_owned());
    }
    let mut quoted = String::new();
    write!(quoted, "'{}'", value.replace('\'', r"'\''")).ok()?;
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlation::sample::{at, finding, labelled};
    use proptest::prelude::*;

    fn filled(labels: &[(&str, &str)], template: &str) -> (String, Option<String>, String) {
        let (finding, context) = (labelled(finding("payment", "latency", at(0)), labels), Context::default());
        let values = Values { finding: &finding, context: &context };
        (values.text(template), values.promql(template), values.command(template))
    }

    #[test]
    fn known_values_and_hints() {
        assert_eq!(filled(&[], "{{service}} in {{namespace}}: {{value}}").0, "payment in <namespace>: 2.1s");
        assert_eq!(filled(&[("instance", "10.0.0.1:9100")], "ssh {{host}}").2, "ssh 10.0.0.1");
        assert_eq!(filled(&[("instance", "[::1]:9100")], "{{host}}").0, "[::1]");
        assert_eq!(filled(&[("kubernetes_namespace", "shop")], "{{namespace}}").0, "shop");
        assert_eq!(filled(&[], "{{.Names}} {{ }} {{{service}}} {{service").0, "{{.Names}} {{ }} {payment} {{service");
        assert_eq!(filled(&[("pod", &"x".repeat(300))], "{{pod}}").0.chars().count(), 201);
    }

    #[test]
    fn an_expression_needs_its_query() {
        let (mut finding, context) = (finding("payment", "latency", at(0)), Context::default());
        assert_eq!(Values { finding: &finding, context: &context }.promql("({{query}})"), None);
        finding = labelled(finding, &[("__name__", "up")]);
        assert_eq!(Values { finding: &finding, context: &context }.promql("({{query}})").as_deref(), Some(r#"(up{service="payment"})"#));
        let context = Context { query: Some("up # all"), ..Context::default() };
        assert_eq!(Values { finding: &finding, context: &context }.promql("({{query}})").as_deref(), Some("(up # all\n)"));
    }

    #[test]
    fn values_from_outside_stay_values() {
        let evil = [("pod", "a\"} or vector(1) #\\"), ("namespace", "x; rm -rf '/'"), ("node", "--help")];
        assert_eq!(filled(&evil, r#"up{pod="{{pod}}"}"#).1.unwrap(), r#"up{pod="a\"} or vector(1) #\\"}"#);
        assert_eq!(filled(&evil, "kubectl -n {{namespace}} top {{node}}").2, r"kubectl -n 'x; rm -rf '\''/'\''' top <node>");
        assert_eq!(filled(&[("pod", "a.b")], r#"up{pod=~"{{pod}}-.*", x="{{pod}}"}"#).1.unwrap(), r#"up{pod=~"a\\.b-.*", x="a.b"}"#);
    }

    #[test]
    fn quotes_are_followed() {
        assert_eq!(Quote::None.after(r#"a{b=""#), Quote::In('"'));
        assert_eq!(Quote::None.after(r#"a{b="\"'"#), Quote::In('"'));
        assert_eq!(Quote::None.after(r#"a{b="c"} "#), Quote::None);
    }

    proptest! {
        #[test]
        fn any_label_value_leaves_promql_that_parses(value in "\\PC{0,20}|[\"\\\\\n{}#.*]{0,8}") {
            let filled = filled(&[("pod", &value)], r#"sum(up{pod="{{pod}}",x=~"{{pod}}.*"}) by (pod)"#).1.unwrap();
            prop_assert!(promql_parser::parser::parse(&filled).is_ok(), "{filled}");
        }

        #[test]
        fn a_command_gets_one_word(value in "[ -~]{1,20}") {
            let word = word(&value).unwrap_or_else(|| "<pod>".into());
            let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "._:/@%+=,-".contains(c));
            let quoted = word.starts_with('\'') && word.replace(r"'\''", "").matches('\'').count() == 2;
            prop_assert!(plain || quoted || word == "<pod>", "{word}");
        }
    }
}
