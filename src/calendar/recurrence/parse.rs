//! Reads recurrence rules.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;

use super::{Frequency, Recurrence};

const PARTS: [&str; 13] = [
    "FREQ",
    "INTERVAL",
    "COUNT",
    "UNTIL",
    "WKST",
    "BYMONTH",
    "BYWEEKNO",
    "BYYEARDAY",
    "BYMONTHDAY",
    "BYDAY",
    "BYHOUR",
    "BYMINUTE",
    "BYSETPOS",
];
const MOST_COUNT: u32 = 10_000;
const MOST_INTERVAL: i32 = 1000;

/// The rule in `text`, and its COUNT, which is not yet part of it.
pub(super) fn rule(text: &str, start: DateTime, zone: &TimeZone) -> Result<(Recurrence, Option<u32>), String> {
    let parts = parts(text)?;
    let frequency = match parts.get("FREQ").map(String::as_str) {
        Some("DAILY") => Frequency::Daily,
        Some("WEEKLY") => Frequency::Weekly,
        Some("MONTHLY") => Frequency::Monthly,
        Some("YEARLY") => Frequency::Yearly,
        Some("HOURLY" | "MINUTELY" | "SECONDLY") => {
            return Err("has a FREQ below a day; write FREQ=DAILY with BYHOUR and BYMINUTE, or a cron expression".to_owned());
        }
        Some(other) => return Err(format!("has FREQ={other}; it must be DAILY, WEEKLY, MONTHLY or YEARLY")),
        None => return Err("has no FREQ; begin with FREQ=DAILY, FREQ=WEEKLY, FREQ=MONTHLY or FREQ=YEARLY".to_owned()),
    };
    let one = |part: &str, least: i32, most: i32| -> Result<Option<i32>, String> {
        let Some(value) = parts.get(part) else { return Ok(None) };
        whole(value, least, most).map(Some).ok_or_else(|| format!("has {part}={value}; it must be a number from {least} to {most}"))
    };
    let interval = one("INTERVAL", 1, MOST_INTERVAL)?.unwrap_or(1);
    let count = one("COUNT", 1, MOST_COUNT as i32)?.map(i32::unsigned_abs);
    if count.is_some() && parts.contains_key("UNTIL") {
        return Err("has both COUNT and UNTIL; keep one of them".to_owned());
    }
    let until = parts.get("UNTIL").map(|value| until(value, zone)).transpose()?;
    if until.is_some_and(|until| until < start) {
        return Err(format!("has an UNTIL that comes before its beginning, {start}"));
    }
    let week_start = parts.get("WKST").map_or(Ok(Weekday::Monday), |value| {
        weekday(value).ok_or_else(|| format!("has WKST={value}; it must be a weekday: MO, TU, WE, TH, FR, SA or SU"))
    })?;
    let months = numbers(&parts, "BYMONTH", 1..=12, false)?.into_iter().map(|n| n as i8).collect();
    let mut rule = Recurrence {
        frequency,
        interval,
        start,
        until,
        week_start,
        months,
        weeks: numbers(&parts, "BYWEEKNO", 1..=53, true)?,
        year_days: numbers(&parts, "BYYEARDAY", 1..=366, true)?,
        month_days: numbers(&parts, "BYMONTHDAY", 1..=31, true)?,
        weekdays: weekdays(&parts)?,
        times: times(&parts, start)?,
        positions: numbers(&parts, "BYSETPOS", 1..=366, true)?,
    };
    allowed_together(&rule, &parts)?;
    fill_from_start(&mut rule);
    Ok((rule, count))
}

/// `KEY=VALUE` by key, all in capitals.
fn parts(text: &str) -> Result<BTreeMap<String, String>, String> {
    let text = text.trim().to_uppercase();
    let mut parts = BTreeMap::new();
    for part in text.strip_prefix("RRULE:").unwrap_or(&text).split(';').map(str::trim) {
        let Some((key, value)) = part.split_once('=').filter(|(_, value)| !value.is_empty()) else {
            return Err(format!("has the part `{part}`; a rule's parts are such as FREQ=WEEKLY;BYDAY=SA,SU"));
        };
        if !PARTS.contains(&key) {
            return Err(format!("has the unknown part {key}; there are {}", PARTS.join(", ")));
        }
        if parts.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("has {key} twice; give a list with commas instead"));
        }
    }
    Ok(parts)
}

fn whole(text: &str, least: i32, most: i32) -> Option<i32> {
    i32::from_str(text).ok().filter(|n| (least..=most).contains(n))
}

/// The numbers of a list; with `signed`, those below zero count from the end.
fn numbers(parts: &BTreeMap<String, String>, key: &str, range: std::ops::RangeInclusive<i16>, signed: bool) -> Result<Vec<i16>, String> {
    let Some(list) = parts.get(key) else { return Ok(Vec::new()) };
    let number = |text: &str| {
        let n = i16::from_str(text).ok()?;
        (range.contains(&n) || (signed && n.checked_neg().is_some_and(|n| range.contains(&n)))).then_some(n)
    };
    let or_end = if signed { ", or below zero from the end" } else { "" };
    let wrong = |text: &str| format!("has `{text}` in {key}; there it must be a number from {} to {}{or_end}", range.start(), range.end());
    list.split(',').map(|text| number(text).ok_or_else(|| wrong(text))).collect()
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match text {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        _ => return None,
    })
}

fn weekdays(parts: &BTreeMap<String, String>) -> Result<Vec<(Option<i16>, Weekday)>, String> {
    let Some(list) = parts.get("BYDAY") else { return Ok(Vec::new()) };
    let read = |text: &str| {
        let (nth, day) = text.split_at_checked(text.len().checked_sub(2)?)?;
        let nth = if nth.is_empty() { None } else { Some(i16::from_str(nth).ok().filter(|n| *n != 0 && n.unsigned_abs() <= 53)?) };
        Some((nth, weekday(day)?))
    };
    list.split(',')
        .map(|text| read(text).ok_or_else(|| format!("has `{text}` in BYDAY; there it must be such as MO, 2TU or -1FR")))
        .collect()
}

/// Every time of the day: hours and minutes of the rule or of its start, and the start's second.
fn times(parts: &BTreeMap<String, String>, start: DateTime) -> Result<Vec<jiff::civil::Time>, String> {
    let or_start = |list: Vec<i16>, own: i8| if list.is_empty() { vec![i16::from(own)] } else { list };
    let hours = or_start(numbers(parts, "BYHOUR", 0..=23, false)?, start.hour());
    let minutes = or_start(numbers(parts, "BYMINUTE", 0..=59, false)?, start.minute());
    let time = |hour: i16, minute: i16| jiff::civil::Time::new(hour as i8, minute as i8, start.second(), start.subsec_nanosecond()).ok();
    let mut times: Vec<_> = hours.iter().flat_map(|hour| minutes.iter().filter_map(move |minute| time(*hour, *minute))).collect();
    times.sort_unstable();
    times.dedup();
    Ok(times)
}

/// The last local time: of an instant in UTC, a local time, or a date, whose whole day counts.
fn until(text: &str, zone: &TimeZone) -> Result<DateTime, String> {
    let local = |text: &str| DateTime::strptime("%Y%m%dT%H%M%S", text).ok();
    let read = || {
        if let Some(text) = text.strip_suffix('Z') {
            return TimeZone::UTC.to_timestamp(local(text)?).ok().map(|instant| zone.to_datetime(instant));
        }
        local(text).or_else(|| Some(Date::strptime("%Y%m%d", text).ok()?.at(23, 59, 59, 999_999_999)))
    };
    read().ok_or_else(|| format!("has UNTIL={text}; it must be such as 20261231T235959Z, or local time without the Z"))
}

/// What RFC 5545 forbids beside each other.
fn allowed_together(rule: &Recurrence, parts: &BTreeMap<String, String>) -> Result<(), String> {
    let given = |key: &str| parts.contains_key(key);
    let frequency = rule.frequency;
    for key in ["BYWEEKNO", "BYYEARDAY"] {
        if given(key) && frequency != Frequency::Yearly {
            return Err(format!("has {key}, which goes with FREQ=YEARLY only"));
        }
    }
    if given("BYMONTHDAY") && frequency == Frequency::Weekly {
        return Err("has BYMONTHDAY, which does not go with FREQ=WEEKLY".to_owned());
    }
    let numbered = rule.weekdays.iter().any(|(nth, _)| nth.is_some());
    if numbered && (!matches!(frequency, Frequency::Monthly | Frequency::Yearly) || given("BYWEEKNO")) {
        return Err("has a number in BYDAY, which goes with FREQ=MONTHLY and FREQ=YEARLY only, and not with BYWEEKNO".to_owned());
    }
    if given("BYWEEKNO") && !given("BYDAY") {
        return Err("has BYWEEKNO without BYDAY; say which days of those weeks".to_owned());
    }
    if given("BYSETPOS") && !parts.keys().any(|key| key.starts_with("BY") && key != "BYSETPOS") {
        return Err("has BYSETPOS alone; it picks from what another part such as BYDAY names".to_owned());
    }
    Ok(())
}

/// What the rule leaves open about the day is as in its start.
fn fill_from_start(rule: &mut Recurrence) {
    let start = rule.start.date();
    let says_day = !(rule.weeks.is_empty() && rule.year_days.is_empty() && rule.month_days.is_empty() && rule.weekdays.is_empty());
    if says_day {
        return;
    }
    match rule.frequency {
        Frequency::Daily => {}
        Frequency::Weekly => rule.weekdays = vec![(None, start.weekday())],
        Frequency::Monthly => rule.month_days = vec![i16::from(start.day())],
        Frequency::Yearly => {
            rule.month_days = vec![i16::from(start.day())];
            if rule.months.is_empty() {
                rule.months = vec![start.month()];
            }
        }
    }
}
