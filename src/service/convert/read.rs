//! Messages that come in: read into the vocabulary, every field at fault named.

use std::collections::BTreeMap;

use prost_types::{Duration as ProtoDuration, Timestamp as ProtoTime};

use crate::analysis::baseline::median;
use crate::clock::{DurationMs, Timestamp};
use crate::error::{Error, Violation};
use crate::event::{Event, EventKind};
use crate::finding::Direction;
use crate::incident::IncidentState;
use crate::proto as pb;
use crate::series::{Series, SeriesKey, Window};

/// Bounds on what one request may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Series of one request.
    pub max_series: usize,
    /// Points of one request, over all its series.
    pub max_points: usize,
}

/// # Errors
/// A time that is not one, or outside the years 1 to 9999.
pub fn read_time(field: &str, t: &ProtoTime) -> Result<Timestamp, Error> {
    if !(-62_135_596_800..=253_402_300_799).contains(&t.seconds) || !(0..1_000_000_000).contains(&t.nanos) {
        return Err(Error::invalid(field, format!("{}s and {}ns are not a time between the years 1 and 9999", t.seconds, t.nanos)));
    }
    Ok(Timestamp::from_millis(t.seconds * 1000 + i64::from(t.nanos) / 1_000_000))
}

/// # Errors
/// A duration of less than `least` or more than ten years.
pub fn read_duration(field: &str, d: &ProtoDuration, least: DurationMs) -> Result<DurationMs, Error> {
    const MOST: u64 = 315_360_000;
    let ms = if d.seconds.unsigned_abs() > MOST { None } else { Some(d.seconds * 1000 + i64::from(d.nanos) / 1_000_000) };
    match ms {
        Some(ms) if ms >= least.millis() => Ok(DurationMs::from_millis(ms)),
        _ => Err(Error::invalid(field, format!("{}s is not a duration between {least} and ten years", d.seconds))),
    }
}

/// Inline series, each on one grid, in the order given.
///
/// # Errors
/// Every field at fault, or a limit that is exceeded.
pub fn read_inline(field: &str, inline: &pb::InlineSeries, limits: Limits) -> Result<Vec<Series>, Error> {
    let points: usize = inline.series.iter().map(|s| s.points.len()).sum();
    if inline.series.is_empty() {
        return Err(Error::invalid(format!("{field}.series"), "is empty; at least one series is needed"));
    }
    if inline.series.len() > limits.max_series {
        return Err(Error::invalid(
            format!("{field}.series"),
            format!("{} series; at most {} are taken in one request", inline.series.len(), limits.max_series),
        ));
    }
    if points > limits.max_points {
        return Err(Error::invalid(
            format!("{field}.series"),
            format!("{points} points; at most {} are taken in one request", limits.max_points),
        ));
    }
    let step = inline.step.as_ref().map(|d| read_duration(&format!("{field}.step"), d, DurationMs::from_millis(1))).transpose()?;
    let mut violations = Vec::new();
    let mut series = Vec::with_capacity(inline.series.len());
    for (i, one) in inline.series.iter().enumerate() {
        let at = format!("{field}.series[{i}]");
        match read_series(&at, one, step) {
            Ok(one) => series.push(one),
            Err(error) => violations.extend(error.violations),
        }
    }
    violations.truncate(100);
    if violations.is_empty() { Ok(series) } else { Err(Error::violations(violations)) }
}

fn read_series(at: &str, one: &pb::Series, step: Option<DurationMs>) -> Result<Series, Error> {
    let mut points = Vec::with_capacity(one.points.len());
    let mut violations = Vec::new();
    for (j, point) in one.points.iter().enumerate() {
        let field = || format!("{at}.points[{j}].time");
        match point.time.as_ref().ok_or_else(|| Error::invalid(field(), "is missing")).and_then(|t| read_time(&field(), t)) {
            Ok(time) => points.push((time, point.value)),
            Err(error) => violations.extend(error.violations),
        }
    }
    if one.points.is_empty() {
        violations.push(Violation { field: format!("{at}.points"), description: "is empty; at least one point is needed".to_owned() });
    }
    if !violations.is_empty() {
        return Err(Error::violations(violations));
    }
    let step = match step {
        Some(step) => step,
        None => median_distance(&points)
            .ok_or_else(|| Error::invalid(format!("{at}.points"), "the times are all the same; give a step or two times"))?,
    };
    let window = Window::from_points(step, &points).map_err(|e| Error::invalid(format!("{at}.points"), e.to_string()))?;
    Ok(Series { key: SeriesKey::new(one.labels.clone()), window })
}

/// The median distance of neighbouring times.
fn median_distance(points: &[(Timestamp, f64)]) -> Option<DurationMs> {
    let mut times: Vec<i64> = points.iter().map(|p| p.0.millis()).collect();
    times.sort_unstable();
    times.dedup();
    let step = median(times.windows(2).map(|w| (w[1] - w[0]) as f64))?;
    Some(DurationMs::from_millis((step as i64).max(1)))
}

/// # Errors
/// A number that is no direction.
pub fn read_direction(field: &str, value: i32) -> Result<Option<Direction>, Error> {
    match pb::Direction::try_from(value) {
        Ok(pb::Direction::Unspecified) => Ok(None),
        Ok(pb::Direction::Up) => Ok(Some(Direction::Up)),
        Ok(pb::Direction::Down) => Ok(Some(Direction::Down)),
        Err(_) => Err(Error::invalid(field, format!("{value} is not a direction; 1 is up, 2 is down"))),
    }
}

/// # Errors
/// A number that is no state.
pub fn read_incident_state(field: &str, value: i32) -> Result<Option<IncidentState>, Error> {
    match pb::IncidentState::try_from(value) {
        Ok(pb::IncidentState::Unspecified) => Ok(None),
        Ok(pb::IncidentState::Open) => Ok(Some(IncidentState::Open)),
        Ok(pb::IncidentState::Resolved) => Ok(Some(IncidentState::Resolved)),
        Err(_) => Err(Error::invalid(field, format!("{value} is not a state; 1 is open, 2 is resolved"))),
    }
}

/// # Errors
/// A number that is no kind.
pub fn read_event_kind(field: &str, value: i32) -> Result<Option<EventKind>, Error> {
    Ok(match pb::EventKind::try_from(value) {
        Ok(pb::EventKind::Unspecified) => None,
        Ok(pb::EventKind::Deployment) => Some(EventKind::Deployment),
        Ok(pb::EventKind::Configuration) => Some(EventKind::Configuration),
        Ok(pb::EventKind::Scaling) => Some(EventKind::Scaling),
        Ok(pb::EventKind::FeatureFlag) => Some(EventKind::FeatureFlag),
        Ok(pb::EventKind::Alert) => Some(EventKind::Alert),
        Ok(pb::EventKind::Other) => Some(EventKind::Other),
        Err(_) => return Err(Error::invalid(field, format!("{value} is not a kind of event; 1 to 6 are"))),
    })
}

/// Longest text of an event's fields, in bytes.
const LONGEST: usize = 4096;
/// Most labels of an event.
const MOST_LABELS: usize = 64;

/// An event to store; `now` is when it happened if it does not say.
///
/// # Errors
/// Every field at fault.
pub fn read_event(at: &str, e: &pb::Event, now: Timestamp) -> Result<Event, Error> {
    let mut violations = Vec::new();
    let mut wrong = |field: &str, description: String| violations.push(Violation { field: format!("{at}.{field}"), description });
    for (field, text) in [
        ("id", &e.id),
        ("source", &e.source),
        ("title", &e.title),
        ("description", &e.description),
        ("service", &e.service),
        ("url", &e.url),
    ] {
        if text.len() > LONGEST {
            wrong(field, format!("{} bytes; at most {LONGEST} are kept", text.len()));
        }
    }
    if e.title.trim().is_empty() {
        wrong("title", "is empty; one line that says what happened is needed".to_owned());
    }
    if e.labels.len() > MOST_LABELS {
        wrong("labels", format!("{} labels; at most {MOST_LABELS} are kept", e.labels.len()));
    }
    if let Some((name, _)) = e.labels.iter().find(|(name, value)| name.is_empty() || name.len() > LONGEST || value.len() > LONGEST) {
        wrong(
            "labels",
            format!(
                "`{}`: names are not empty, and names and values have at most {LONGEST} bytes",
                name.chars().take(40).collect::<String>()
            ),
        );
    }
    if !e.url.is_empty() && !e.url.starts_with("http://") && !e.url.starts_with("https://") {
        wrong("url", format!("`{}` does not begin with http:// or https://", e.url.chars().take(80).collect::<String>()));
    }
    let mut take = |result: Result<Option<Timestamp>, Error>| {
        result.unwrap_or_else(|error| {
            violations.extend(error.violations);
            None
        })
    };
    let starts_at = take(e.starts_at.as_ref().map(|t| read_time(&format!("{at}.starts_at"), t)).transpose()).unwrap_or(now);
    let ends_at = take(e.ends_at.as_ref().map(|t| read_time(&format!("{at}.ends_at"), t)).transpose());
    if ends_at.is_some_and(|end| end < starts_at) {
        violations.push(Violation { field: format!("{at}.ends_at"), description: "is before starts_at".to_owned() });
    }
    let kind = match read_event_kind(&format!("{at}.kind"), e.kind) {
        Ok(Some(kind)) => kind,
        Ok(None) => {
            violations.push(Violation {
                field: format!("{at}.kind"),
                description: "is missing; 1 deployment, 2 configuration, 3 scaling, 4 feature flag, 5 alert, 6 other".to_owned(),
            });
            EventKind::Other
        }
        Err(error) => {
            violations.extend(error.violations);
            EventKind::Other
        }
    };
    if !violations.is_empty() {
        return Err(Error::violations(violations));
    }
    let labels: BTreeMap<String, String> = e.labels.clone().into_iter().collect();
    let source = if e.source.is_empty() { "grpc".to_owned() } else { e.source.clone() };
    let mut event = Event {
        id: e.id.clone(),
        kind,
        source,
        title: e.title.clone(),
        description: e.description.clone(),
        service: some(&e.service),
        labels,
        starts_at,
        ends_at,
        url: some(&e.url),
    };
    if event.id.is_empty() {
        event.id = event.identity();
    }
    Ok(event)
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
