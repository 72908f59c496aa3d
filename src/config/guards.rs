//! The guards of a monitor.

use super::monitors::query;
use super::reader::{Field, Section};
use super::tree::Value;
use crate::calendar::{Calendar, Written};
use crate::clock::DurationMs;
use crate::guard::{Guards, LeastTraffic, ValidRange};

/// No value that is measured is greater, not even in bytes.
const MOST: f64 = 1e18;
/// What cannot be negative never lies further below what is expected than that.
const MOST_RELATIVE: f64 = 1.0;
/// Each is asked for every point.
const MOST_CALENDARS: usize = 100;
const SECOND: DurationMs = DurationMs::from_secs(1);

/// The guards in `section`; where a note was made they are not to be used.
pub(super) fn guards(mut section: Section<'_>) -> Guards {
    let guards = Guards {
        least_deviation: section.field("least_deviation").and_then(|f| f.number(0.0, MOST)),
        least_relative_deviation: section.field("least_relative_deviation").and_then(|f| f.number(0.0, MOST_RELATIVE)),
        valid: section.field("valid").map(|f| valid(&f)).unwrap_or_default(),
        missed_scrapes: section.field("missed_scrapes").and_then(|f| f.truth()).unwrap_or(Guards::default().missed_scrapes),
        least_traffic: section.field("least_traffic").and_then(least_traffic),
        only: section.field("only").map(|f| calendars(&f)).unwrap_or_default(),
        maintenance: section.field("maintenance").map(|f| calendars(&f)).unwrap_or_default(),
        warm_up: section.field("warm_up").and_then(|f| f.duration(SECOND..=DurationMs::DAY * 90)),
    };
    section.finish();
    guards
}

fn valid(field: &Field<'_>) -> ValidRange {
    let mut section = field.clone().section();
    let min = section.field("min");
    let max = section.field("max");
    section.finish();
    if min.is_none() && max.is_none() && matches!(field.node.value, Value::Map(_) | Value::Null) {
        field.wrong("has no bound; give min, max or both");
    }
    let range = ValidRange { min: min.and_then(|f| f.number(-MOST, MOST)), max: max.as_ref().and_then(|f| f.number(-MOST, MOST)) };
    if let (Some(low), Some(high), Some(field)) = (range.min, range.max, max)
        && low >= high
    {
        field.wrong(format!("is {high}, and min is {low}; max must be greater than min"));
    }
    range
}

fn least_traffic(field: Field<'_>) -> Option<LeastTraffic> {
    let mut section = field.section();
    let query = section.required("query", "give the PromQL of the traffic").and_then(|f| query(&f));
    let per_second = section.required("per_second", "give the least traffic, such as 0.5").and_then(|f| f.number(0.0, MOST));
    section.finish();
    Some(LeastTraffic { query: query?, per_second: per_second? })
}

pub(super) fn calendars(field: &Field<'_>) -> Vec<Calendar> {
    let items = field.clone().list();
    if let Some(item) = items.get(MOST_CALENDARS) {
        item.wrong(format!("is one of {} windows; there may be {MOST_CALENDARS}", items.len()));
        return Vec::new();
    }
    if items.is_empty() && matches!(field.node.value, Value::List(_) | Value::Null) {
        field.wrong("has no window; list some such as {cron: '0 9 * * MON-FRI', for: 8h}, or leave the field out");
    }
    items.iter().filter_map(calendar).collect()
}

fn calendar(item: &Field<'_>) -> Option<Calendar> {
    let mut section = item.clone().section();
    if !matches!(item.node.value, Value::Map(_) | Value::Null) {
        return None;
    }
    let keys = ["cron", "rrule", "from", "until", "for", "time_zone"];
    let fields: Vec<_> = keys.into_iter().filter_map(|key| Some((key, section.field(key)?))).collect();
    let field = |key: &str| fields.iter().find(|(name, _)| *name == key).map(|(_, field)| field);
    // What cannot be read is noted at once; it is not missing.
    let mut unread = Vec::new();
    let mut text = |key| {
        let text = field(key).and_then(Field::text);
        if text.is_none() && field(key).is_some() {
            unread.push(key);
        }
        text
    };
    let (cron, rrule, from, until, time_zone) = (text("cron"), text("rrule"), text("from"), text("until"), text("time_zone"));
    let length = field("for").and_then(|f| f.duration(SECOND..=Calendar::LONGEST));
    if length.is_none() && field("for").is_some() {
        unread.push("for");
    }
    let calendar = Calendar::new(Written { cron, rrule, from, until, length, time_zone });
    let violations = calendar.as_ref().err().into_iter().flatten();
    for violation in violations.filter(|violation| !unread.contains(&violation.field.as_str())) {
        match field(&violation.field) {
            Some(field) => field.wrong(&violation.description),
            None if violation.field.is_empty() => item.wrong(&violation.description),
            None => section.missing(&violation.field, &violation.description),
        }
    }
    section.finish();
    calendar.ok()
}
