//! What is forecast of a monitor, and which of its windows are held against each other.

use super::guards::calendars;
use super::monitors::{label_names, query};
use super::reader::{Field, Section};
use super::tree::Value;
use crate::clock::DurationMs;
use crate::monitor::{DriftPlan, ForecastPlan, Limit, Reference};

/// The most steps that are forecast of a series.
const MOST_AHEAD: usize = 1000;
/// The most values that a forecast uses of a series.
const MOST_BEFORE: usize = 20_000;
/// No limit is greater, not even in bytes.
const LARGEST: f64 = 1e18;
const MINUTE: DurationMs = DurationMs::from_secs(60);
const SECOND: DurationMs = DurationMs::from_secs(1);

/// A plan in `section`; `window` is the monitor's.
fn forecast(field: Field<'_>, window: DurationMs) -> Option<ForecastPlan> {
    let mut section = field.section();
    let horizon = section.required("horizon", "say how far ahead, such as 7d").and_then(|f| {
        let horizon = f.duration(SECOND * 2..=DurationMs::DAY * 365)?;
        Some((f, horizon))
    });
    let step = section.field("step").map(|f| f.duration(SECOND..=DurationMs::DAY));
    let window = section.field("window").map_or(Some(window), |f| f.duration(MINUTE..=DurationMs::DAY * 400));
    let limit = section.field("limit").map(|f| limit(&f));
    let events = section.field("events").map(|f| calendars(&f)).unwrap_or_default();
    section.finish();
    let (horizon_field, horizon) = horizon?;
    let (step, window) = (step.unwrap_or(Some(ForecastPlan::usual_step(horizon)))?, window?);
    let ahead = horizon.steps(step);
    if !(1..=MOST_AHEAD).contains(&ahead) {
        horizon_field.wrong(format!("is {ahead} steps of {step}; from 1 to {MOST_AHEAD} are forecast: take another step"));
        return None;
    }
    let before = window.steps(step);
    if !(4..=MOST_BEFORE).contains(&before) {
        horizon_field.wrong(format!(
            "goes with {before} steps of {step} in a window of {window}; from 4 to {MOST_BEFORE} are used: take another step or window"
        ));
        return None;
    }
    Some(ForecastPlan { horizon, step, window, limit: limit.map_or(Some(None), |limit| limit.map(Some))?, events })
}

/// A number, or PromQL.
fn limit(field: &Field<'_>) -> Option<Limit> {
    match &field.node.value {
        Value::Whole(_) | Value::Number(_) => field.number(-LARGEST, LARGEST).map(Limit::Value),
        _ => query(field).map(Limit::Query),
    }
}

fn drift(field: Field<'_>) -> Option<DriftPlan> {
    let mut section = field.section();
    let by = section.required("by", "list the labels that tell features apart, such as [feature]").and_then(label_names);
    let window = section.field("window").map_or(Some(DurationMs::HOUR), |f| f.duration(SECOND * 10..=DurationMs::DAY * 30));
    let every = section.field("every").map(|f| f.duration(SECOND..=DurationMs::DAY));
    let reference = section
        .required(
            "reference",
            "say what is usual: 7d for so long ago, a time such as 2026-11-01T00:00:00Z at which it ended, or deployment",
        )
        .and_then(|f| Some((reference(&f)?, f)));
    let least_effect = section.field("least_effect").map_or(Some(0.1), |f| f.number(0.0, 1.0));
    section.finish();
    let ((reference, field), window) = (reference?, window?);
    if let Reference::Before(before) = reference
        && before < window
    {
        field.wrong(format!("is {before}, within the window of {window}; it must be at least as long"));
        return None;
    }
    let usual = DurationMs::from_millis((window.millis() / 12).clamp(SECOND.millis(), DurationMs::HOUR.millis()));
    Some(DriftPlan { by: by?, window, every: every.unwrap_or(Some(usual))?, reference, least_effect: least_effect? })
}

fn reference(field: &Field<'_>) -> Option<Reference> {
    let text = field.text()?;
    if text == "deployment" {
        return Some(Reference::Deployment);
    }
    if let Ok(before) = text.parse::<DurationMs>() {
        return Some(Reference::Before(before));
    }
    if let Ok(until) = text.parse() {
        return Some(Reference::Until(until));
    }
    field.wrong(format!("is `{text}`; it must be a duration such as 7d, a time such as 2026-11-01T00:00:00Z, or deployment"));
    None
}

/// What the section of a monitor says of both, which exclude each other.
pub(super) fn plans(section: &mut Section<'_>, window: DurationMs) -> (Option<ForecastPlan>, Option<DriftPlan>) {
    let (ahead, behind) = (section.field("forecast"), section.field("drift"));
    if let (Some(_), Some(field)) = (&ahead, &behind) {
        field.wrong("is given besides forecast; a monitor has one of both");
    }
    let plan = behind.clone().and_then(drift);
    if let (Some(DriftPlan { reference: Reference::Deployment, .. }), Some(field), false) = (&plan, behind, section.was_written("service"))
    {
        field.wrong("is held against the last deployment; say of which service in `service`");
    }
    (ahead.and_then(|f| forecast(f, window)), plan)
}
