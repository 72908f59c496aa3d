//! The monitors of a configuration.

use std::collections::BTreeMap;

use promql_parser::parser::{self, value::ValueType};
use reqwest::Url;

use super::Defaults;
use super::guards;
use super::plans;
use super::reader::{Field, Section};
use super::tree::Value;
use crate::clock::DurationMs;
use crate::finding::{Direction, Severity};
use crate::monitor::{MetricKind, Monitor, Slo, Unit};

/// The most monitors one configuration may have.
pub(super) const MOST_MONITORS: usize = 10_000;
/// The most points one window may have: 90 days at 60 s.
const MOST_POINTS: usize = 130_000;
/// The longest query; longer ones belong into a recording rule.
const MOST_QUERY_BYTES: usize = 8192;
/// More labels than that tell series apart, not groups.
const MOST_GROUP_LABELS: usize = 10;
/// The most false incidents a day that may be accepted.
pub(super) const MOST_PER_DAY: f64 = 100_000.0;
const MOST_NAME_BYTES: usize = 100;
const MOST_TEXT_BYTES: usize = 1000;

/// All monitors that can be read; their names are unique.
pub(super) fn monitors(fields: Vec<Field<'_>>, defaults: &Defaults) -> Vec<Monitor> {
    if let Some(field) = fields.get(MOST_MONITORS) {
        field.wrong(format!("is one of {} monitors; there may be {MOST_MONITORS}", fields.len()));
        return Vec::new();
    }
    let mut first_of: BTreeMap<String, String> = BTreeMap::new();
    let mut all = Vec::with_capacity(fields.len());
    for field in fields {
        let mut section = field.section();
        let name_path = section.path("name");
        let name = section.required("name", "give the monitor a name of its own").and_then(|f| {
            let name = name(&f)?;
            if let Some(first) = first_of.get(&name) {
                f.wrong(format!("is `{name}`, and so is {first}; every monitor needs a name of its own"));
            } else {
                first_of.insert(name.clone(), name_path);
            }
            Some(name)
        });
        let query = section.required("query", "give the PromQL to evaluate").and_then(|f| query(&f));
        let metric = section.field("metric").and_then(|f| f.word(MetricKind::WORDS)).unwrap_or(MetricKind::Other);
        let unit = section.field("unit").and_then(|f| f.word(Unit::WORDS)).unwrap_or(Unit::None);
        let service = section.field("service").and_then(|f| short_text(&f));
        let label = section.field("service_label");
        if let (Some(field), true) = (&label, section.was_written("service")) {
            field.wrong("is given besides service; say the service or the label that tells it, not both");
        }
        let service_label = label.and_then(|f| label_name(&f)).unwrap_or_else(|| defaults.service_label.clone());
        let (step, window) = step_and_window(&mut section, defaults);
        let direction = section.field("direction").and_then(|f| f.word::<Direction>(Direction::WORDS));
        let guards = guards::guards(section.section("guards"));
        let group_by = section.field("group_by").and_then(group_by);
        let alert_budget_per_day = section.field("alert_budget").and_then(alert_budget);
        let severity = section.field("severity").and_then(|f| f.word::<Severity>(Severity::WORDS));
        let runbook_url = section.field("runbook_url").and_then(|f| runbook(&f));
        let slo = section.field("slo").and_then(|f| slo(&f, metric, unit));
        let (forecast, drift) = plans::plans(&mut section, window);
        section.finish();
        if let (Some(name), Some(query)) = (name, query) {
            all.push(Monitor {
                name,
                query,
                metric,
                unit,
                service,
                service_label,
                step,
                window,
                direction,
                guards,
                severity,
                group_by,
                alert_budget_per_day,
                runbook_url,
                slo,
                forecast,
                drift,
            });
        }
    }
    all
}

/// `step` and `window` of a section, within their limits alone and together.
pub(super) fn step_and_window(section: &mut Section<'_>, defaults: &Defaults) -> (DurationMs, DurationMs) {
    let step_field = section.field("step");
    let window_field = section.field("window");
    let step = step_field.as_ref().map_or(Some(defaults.step), |f| f.duration(DurationMs::from_secs(1)..=DurationMs::HOUR));
    let window = window_field.as_ref().map_or(Some(defaults.window), |f| f.duration(DurationMs::HOUR * 2..=DurationMs::DAY * 90));
    if let (Some(step), Some(window)) = (step, window) {
        let points = window.steps(step);
        // Where neither was written, the defaults are at fault, and were noted there.
        if let Some(field) = window_field.or(step_field).filter(|_| points > MOST_POINTS) {
            field.wrong(format!(
                "makes a window of {window} at a step of {step}: {points} points; there may be {MOST_POINTS}, so take a longer step or a shorter window"
            ));
        }
    }
    (step.unwrap_or(defaults.step), window.unwrap_or(defaults.window))
}

/// The labels whose values tell the groups that are judged together.
fn group_by(field: Field<'_>) -> Option<Vec<String>> {
    if field.node.value == Value::Null {
        field.wrong("has no value; list the labels that a group shares, or write [] for one group of all series");
        return None;
    }
    label_names(field)
}

/// A list of labels, each once.
pub(super) fn label_names(field: Field<'_>) -> Option<Vec<String>> {
    let items = field.list();
    if let Some(item) = items.get(MOST_GROUP_LABELS) {
        item.wrong(format!("is one of {} labels; there may be {MOST_GROUP_LABELS}", items.len()));
        return None;
    }
    let mut labels: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let label = label_name(&item)?;
        if labels.contains(&label) {
            item.wrong(format!("is `{label}` a second time; name every label once"));
            return None;
        }
        labels.push(label);
    }
    Some(labels)
}

fn alert_budget(field: Field<'_>) -> Option<f64> {
    let mut section = field.section();
    let per_day = section.required("per_day", "give the false incidents a day, such as 1").and_then(|f| f.number(0.0, MOST_PER_DAY));
    section.finish();
    per_day
}

/// What users are promised; of what its series measure only where that can be held against it.
fn slo(field: &Field<'_>, metric: MetricKind, unit: Unit) -> Option<Slo> {
    let mut section = field.clone().section();
    let objective = section.required("objective", "give the share that is to be good, such as 0.999").and_then(|f| {
        let objective = f.number(0.0, 1.0)?;
        if objective < 1.0 {
            return Some(objective);
        }
        f.wrong("is 1, which leaves no error at all; give the share that is to be good, such as 0.999");
        None
    });
    section.finish();
    if !(metric == MetricKind::Errors && unit == Unit::Ratio || metric == MetricKind::Availability) {
        field.wrong("needs series that can be held against it: metric errors with unit ratio, or metric availability");
    }
    Some(Slo { objective: objective? })
}

/// A name of a label: letters, digits and `_`, not beginning with a digit.
pub(super) fn label_name(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let good = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !text.starts_with(|c: char| c.is_ascii_digit());
    if good && text.len() <= MOST_NAME_BYTES {
        return Some(text);
    }
    field.wrong(format!(
        "is `{}`; a label's name has letters, digits and `_`, begins with no digit, at most {MOST_NAME_BYTES}",
        shown(&text)
    ));
    None
}

fn name(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.len() <= MOST_NAME_BYTES && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)) {
        return Some(text);
    }
    field.wrong(format!("is `{}`; a name has letters, digits, `_`, `-` and `.`, at most {MOST_NAME_BYTES}", shown(&text)));
    None
}

/// PromQL that gives an instant vector.
pub(super) fn query(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.len() > MOST_QUERY_BYTES {
        field.wrong(format!("has {} bytes; a query has at most {MOST_QUERY_BYTES}: make a recording rule of it", text.len()));
        return None;
    }
    match parser::parse(&text) {
        Err(e) => {
            let reason: String = e.split_whitespace().collect::<Vec<_>>().join(" ");
            field.wrong(format!("is not PromQL: {reason}; found `{}`", shown(&text)));
            None
        }
        Ok(expression) => match expression.value_type() {
            ValueType::Vector => Some(text),
            other => {
                let hint = match other {
                    ValueType::Matrix => "; leave out the range, or take rate() of it",
                    ValueType::Scalar => "; wrap it with vector()",
                    ValueType::String | ValueType::Vector => "",
                };
                field.wrong(format!("is `{}`, which gives a {other}; it must give an instant vector{hint}", shown(&text)));
                None
            }
        },
    }
}

fn short_text(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.len() <= MOST_TEXT_BYTES && !text.contains(char::is_control) {
        return Some(text);
    }
    field.wrong(format!("is `{}`; it must be one line of at most {MOST_TEXT_BYTES} bytes", shown(&text)));
    None
}

/// A link for people: unlike a server's address it may have a query and a fragment.
fn runbook(field: &Field<'_>) -> Option<String> {
    let text = short_text(field)?;
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() => Some(text),
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            field.wrong("has credentials in the address, which would be sent with every alert");
            None
        }
        _ => {
            field.wrong(format!("is `{}`; it must be an address such as https://wiki.example.com/runbook#latency", shown(&text)));
            None
        }
    }
}

/// The beginning of a text, on one line.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(80).collect();
    let dots = if start.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", start.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"))
}
