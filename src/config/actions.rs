//! Actions: webhooks that remedies may call, with their rails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use super::Actions;
use super::decode::{endpoint, is_free, secret_file};
use super::guards::calendars;
use super::reader::{Field, Section};
use super::tree::Value;
use crate::action::{Action, Method, Mode, Rate, TOLD};
use crate::clock::DurationMs;
use crate::endpoint;
use crate::glob::Glob;
use crate::template;

/// The most actions, patterns of one placeholder, and values in one body.
const MOST_ACTIONS: usize = 100;
const MOST_PATTERNS: usize = 1000;
const MOST_IN_BODY: usize = 200;
/// How deep a body may be.
const DEEPEST: usize = 8;
const SECOND: DurationMs = DurationMs::from_secs(1);
const MINUTE: DurationMs = DurationMs::from_secs(60);

/// The actions in `section`; where a note was made they are not to be used.
pub(super) fn actions(mut section: Section<'_>, directory: &Path) -> Actions {
    let mode = section.field("mode").and_then(|f| f.word(Mode::WORDS)).unwrap_or(Mode::Off);
    let fields = section.list("hooks");
    section.finish();
    if let Some(field) = fields.get(MOST_ACTIONS) {
        field.wrong(format!("is one of {} actions; there may be {MOST_ACTIONS}", fields.len()));
        return Actions { mode, hooks: Vec::new() };
    }
    let mut names = BTreeSet::new();
    let hooks = fields.into_iter().filter_map(|field| hook(field, directory, &mut names)).collect();
    Actions { mode, hooks }
}

fn hook(field: Field<'_>, directory: &Path, names: &mut BTreeSet<String>) -> Option<(Action, endpoint::Config)> {
    let mut section = field.section();
    let name = section.required("name", "name it as the catalogue does").and_then(|f| name(&f, names));
    let method = section.field("method").and_then(|f| f.word(Method::WORDS)).unwrap_or(Method::Post);
    let mut endpoint = endpoint(&mut section, SECOND * 10, directory);
    for (name, field) in section.map("header_files") {
        if let (true, Some(file), Some(endpoint)) = (is_free(&name, &field), secret_file(&field, directory), &mut endpoint) {
            endpoint.header_files.insert(name, file);
        }
    }
    let body = section.field("body");
    let written = body.as_ref().map(|field| json(field, DEEPEST, &mut 0));
    let default =
        || json!({"action": "{{action}}", "incident": "{{incident}}", "incident_url": "{{incident_url}}", "service": "{{service}}"});
    let dry_run = section.field("dry_run").and_then(|f| f.truth()).unwrap_or(false);
    let allowed = section.field("allow");
    let allow = allowed.as_ref().map(allow_list).unwrap_or_default();
    let only = section.field("only").map(|f| calendars(&f)).unwrap_or_default();
    let rate = rate(section.section("rate"));
    let needs_approval = section.field("needs_approval").and_then(|f| f.truth()).unwrap_or(true);
    let least_confidence = section.field("least_confidence").and_then(|f| f.number(0.0, 1.0)).unwrap_or(0.5);
    let watch = section.field("watch").and_then(|f| f.duration(MINUTE..=DurationMs::DAY)).unwrap_or(MINUTE * 15);
    let action = Action {
        name: name.unwrap_or_default(),
        method,
        url: endpoint.as_ref().map(|e| e.url.to_string()).unwrap_or_default(),
        body: written.unwrap_or_else(|| Some(default())).unwrap_or_default(),
        dry_run,
        allow,
        only,
        rate,
        needs_approval,
        least_confidence,
        watch,
    };
    let open: Vec<&str> =
        action.placeholders().into_iter().filter(|name| !TOLD.contains(name) && !action.allow.contains_key(*name)).collect();
    if let Some(name) = open.first() {
        let why = format!(
            "says nothing of `{name}`, which the body has; name the values it may have, such as `{name}: ['shop-*']`: what an \
             action acts on comes from labels, and anybody may have written those"
        );
        match &allowed {
            Some(field) => field.wrong(why),
            None => section.missing("allow", &why),
        }
    }
    section.finish();
    (!action.name.is_empty()).then_some((action, endpoint?))
}

fn name(field: &Field<'_>, names: &mut BTreeSet<String>) -> Option<String> {
    let text = field.text()?;
    let is_name = text.len() <= 80 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_name {
        field.wrong(format!("is `{text}`; it must be lower-case letters, digits and hyphens, at most 80"));
    } else if !names.insert(text.clone()) {
        field.wrong(format!("is `{text}` a second time; each action needs its own"));
    }
    Some(text)
}

fn rate(mut section: Section<'_>) -> Rate {
    let most = section.field("most").and_then(|f| f.whole(1..=1000)).unwrap_or(1);
    let per = section.field("per").and_then(|f| f.duration(MINUTE..=DurationMs::WEEK)).unwrap_or(DurationMs::HOUR);
    section.finish();
    Rate { most, per }
}

/// Patterns by placeholder.
fn allow_list(field: &Field<'_>) -> BTreeMap<String, Vec<Glob>> {
    let mut all = BTreeMap::new();
    if !matches!(field.node.value, Value::Map(_) | Value::Null) {
        field.clone().section().finish();
        return all;
    }
    let Value::Map(entries) = &field.node.value else { return all };
    for (name, node) in entries {
        let entry = field.inner(&format!(".{name}"), node.clone());
        if !template::is_name(name) {
            entry.wrong("is not the name of a placeholder: letters, digits and `_`, no digit first");
            continue;
        }
        let items = entry.clone().list();
        if items.len() > MOST_PATTERNS {
            entry.wrong(format!("has {} patterns; there may be {MOST_PATTERNS}", items.len()));
            continue;
        }
        all.insert(name.clone(), items.iter().filter_map(Field::text).map(Glob).collect());
    }
    all
}

/// A body as JSON. Its texts are templates.
fn json(field: &Field<'_>, depth: usize, count: &mut usize) -> Option<serde_json::Value> {
    *count += 1;
    if depth == 0 || *count > MOST_IN_BODY {
        field.wrong(format!("is too deep or one too many; a body has at most {DEEPEST} levels and {MOST_IN_BODY} values"));
        return None;
    }
    Some(match &field.node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => json!(truth),
        Value::Whole(n) => i64::try_from(*n).map(|n| json!(n)).ok()?,
        Value::Number(n) if n.is_finite() => json!(n),
        Value::Number(n) => {
            field.wrong(format!("is {n}, which JSON has no word for"));
            return None;
        }
        Value::Text(text) => json!(text),
        Value::List(items) => {
            let items =
                items.iter().enumerate().filter_map(|(i, node)| json(&field.inner(&format!("[{i}]"), node.clone()), depth - 1, count));
            serde_json::Value::Array(items.collect())
        }
        Value::Map(entries) => {
            let mut map = serde_json::Map::new();
            for (name, node) in entries {
                if let Some(value) = json(&field.inner(&format!(".{name}"), node.clone()), depth - 1, count) {
                    map.insert(name.clone(), value);
                }
            }
            serde_json::Value::Object(map)
        }
    })
}
