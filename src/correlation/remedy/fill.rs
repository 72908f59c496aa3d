//! Filling placeholders: `{{service}}` becomes the service, quoted as the place it stands in needs.
//!
//! Label values come from outside and people paste what they read here: a value never ends a PromQL string and
//! never becomes more than one word of a command.

use std::fmt::Write;

use super::Context;
use crate::finding::Finding;

/// How much of a value is shown in a text.
const LONGEST_VALUE: usize = 200;
/// Names that only make sense as a whole PromQL expression.
pub(super) const EXPRESSIONS: [&str; 2] = ["query", "selector"];
/// Labels under which the same thing is also known, by the name a catalogue uses.
const ALSO: [(&str, &str); 4] =
    [("namespace", "kubernetes_namespace"), ("namespace", "exported_namespace"), ("pod", "kubernetes_pod_name"), ("pod", "exported_pod")];

/// A piece of a template.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    Placeholder(&'t str),
}

/// Splits a template; braces around anything but a label's name are text.
pub(super) fn pieces(template: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest, mut from) = (Vec::new(), template, 0);
    while let Some(open) = rest[from..].find("{{").map(|at| at + from) {
        let name = rest[open + 2..].find("}}").map(|end| &rest[open + 2..open + 2 + end]);
        match name.filter(|name| is_label_name(name)) {
            Some(name) => {
                if open > 0 {
                    pieces.push(Piece::Text(&rest[..open]));
                }
                pieces.push(Piece::Placeholder(name));
                (rest, from) = (&rest[open + name.len() + 4..], 0);
            }
            None => from = open + 1,
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

fn is_label_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

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
        let label = |name: &str| finding.key.get(name).map(str::to_owned);
        match name {
            "service" => Some(finding.service.clone()),
            "monitor" => Some(finding.monitor.clone()),
            "value" => Some(finding.unit.show(finding.value)),
            "expected" => Some(finding.unit.show(finding.expected)),
            "onset" => Some(finding.onset.to_string()),
            "change" => self.context.changes.iter().max_by_key(|event| (event.starts_at, &event.id)).map(|event| event.title.clone()),
            // Labels alone would select every metric of the place.
            "selector" => finding.key.get("__name__").map(|_| finding.key.to_string()),
            "query" => self.context.query.map(str::to_owned).or_else(|| self.get("selector")),
            "host" => label("instance").map(|instance| host(&instance).to_owned()),
            _ => label(name).or_else(|| ALSO.iter().filter(|(known, _)| *known == name).find_map(|(_, other)| label(other))),
        }
        .filter(|value| !value.is_empty())
    }

    /// A text for people; what is not known is shown as `<namespace>`.
    pub(super) fn text(&self, template: &str) -> String {
        join(template, |name, _| Some(self.get(name).map_or_else(|| hint(name), |value| clip(&value)))).unwrap_or_default()
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

/// The template with each placeholder replaced by what `value` says of its name and the template's text before it.
fn join(template: &str, value: impl Fn(&str, &str) -> Option<String>) -> Option<String> {
    let (mut filled, mut before) = (String::new(), String::new());
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => {
                filled.push_str(text);
                before.push_str(text);
            }
            Piece::Placeholder(name) => {
                filled.push_str(&value(name, &before)?);
                before.push('_');
            }
        }
    }
    Some(filled)
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
