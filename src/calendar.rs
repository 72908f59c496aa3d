//! Calendars: windows of time that recur by a rule, or that come once.
//!
//! A rule names local times in a time zone, at which a window begins; how long it lasts is elapsed time. Rules
//! are worked out on the calendar first, where no hour is missing or doubled, and only their results are laid on
//! the time line:
//!
//! - a window whose beginning the clock skips begins at the first instant after the gap,
//! - a window whose beginning the clock shows twice begins the first time, and only then.
//!
//! Nothing is kept between questions: the latest beginning before an instant is computed from the rule, in the
//! same time however long ago the rule began.

mod cron;
mod recurrence;
#[cfg(test)]
mod tests;
mod zone;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::clock::{DurationMs, Timestamp};
use crate::error::{Error, Violation};
use crate::series::Window;
use cron::Cron;
use recurrence::Recurrence;

/// Clocks have been put forward and back by up to a day.
const LARGEST_SHIFT: DurationMs = DurationMs::from_secs(2 * 86_400);

/// Windows of time: `cron` and `for`; `rrule`, `from` and `for`; or `from` and `until` for a single one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Written {
    /// When windows begin: minute, hour, day of month, month and day of week.
    pub cron: Option<String>,
    /// When windows begin: a recurrence rule of RFC 5545, such as `FREQ=MONTHLY;BYDAY=2TU`.
    pub rrule: Option<String>,
    /// When the only window begins, or the first of a recurrence rule (its DTSTART). RFC 3339, or local time.
    pub from: Option<String>,
    /// When the only window ends. RFC 3339, or local time.
    pub until: Option<String>,
    /// How long each window lasts.
    #[serde(rename = "for")]
    pub length: Option<DurationMs>,
    /// The IANA time zone of local times; UTC when `None`.
    pub time_zone: Option<String>,
}

/// A calendar that is known to be right.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Calendar {
    written: Written,
    zone: TimeZone,
    windows: Windows,
}

#[derive(Clone, Debug)]
enum Windows {
    Once { from: Timestamp, until: Timestamp },
    Recurring { rule: Rule, length: DurationMs },
}

#[derive(Clone, Debug)]
enum Rule {
    Cron(Cron),
    Recurrence(Recurrence),
}

impl Rule {
    /// The latest local time from `lower` to `upper` at which a window begins.
    fn latest(&self, lower: DateTime, upper: DateTime) -> Option<DateTime> {
        match self {
            Self::Cron(cron) => cron.latest(upper).filter(|start| *start >= lower),
            Self::Recurrence(recurrence) => recurrence.latest(lower, upper),
        }
    }
}

impl Calendar {
    /// The longest window that a rule may have.
    pub const LONGEST: DurationMs = DurationMs::from_secs(366 * 86_400);

    /// Reads a calendar.
    ///
    /// # Errors
    /// All fields that are wrong or missing; an empty name stands for the whole.
    pub fn new(written: Written) -> Result<Self, Vec<Violation>> {
        let mut reading = Reading { violations: Vec::new() };
        let zone = reading.zone(written.time_zone.as_deref());
        let windows = reading.windows(&written, zone.as_ref().unwrap_or(&TimeZone::UTC));
        match (zone, windows) {
            (Some(zone), Some(windows)) if reading.violations.is_empty() => Ok(Self { written, zone, windows }),
            _ => Err(reading.violations),
        }
    }

    /// As it was written.
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// Whether a window is open at `at`: from its beginning on, and no more at its end.
    pub fn covers(&self, at: Timestamp) -> bool {
        self.open_until(at).is_some()
    }

    /// Which of so many places, from the first of `window` on, are within a window of one of `calendars`; none where there is no
    /// calendar.
    pub fn places<'a, I: Iterator<Item = &'a Self>>(calendars: impl Fn() -> I, window: &Window, places: usize) -> Vec<bool> {
        if calendars().next().is_none() {
            return Vec::new();
        }
        (0..places).map(|i| calendars().any(|calendar| calendar.covers(window.time(i)))).collect()
    }

    /// When the window that is open at `at` ends; of several the last to begin. `None` when none is open.
    pub fn open_until(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.windows {
            Windows::Once { from, until } => (*from <= at && at < *until).then_some(*until),
            Windows::Recurring { rule, length } => {
                let upper = zone::latest_local(&self.zone, jiff::Timestamp::from_millisecond(at.millis()).ok()?);
                let reach = jiff::SignedDuration::from_millis(length.millis().saturating_add(LARGEST_SHIFT.millis()));
                let start = rule.latest(upper.saturating_sub(reach), upper)?;
                let until = zone::first_instant(&self.zone, start)? + *length;
                (at < until).then_some(until)
            }
        }
    }
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl TryFrom<Written> for Calendar {
    type Error = Error;
    fn try_from(written: Written) -> Result<Self, Error> {
        Self::new(written).map_err(Error::violations)
    }
}

impl From<Calendar> for Written {
    fn from(calendar: Calendar) -> Self {
        calendar.written
    }
}

/// Notes everything that is wrong with a calendar.
struct Reading {
    violations: Vec<Violation>,
}

impl Reading {
    fn wrong<T>(&mut self, field: &str, description: impl Into<String>) -> Option<T> {
        self.violations.push(Violation { field: field.to_owned(), description: description.into() });
        None
    }

    fn refuse(&mut self, field: &str, is_written: bool, description: &str) {
        if is_written {
            self.wrong::<()>(field, description);
        }
    }

    fn zone(&mut self, name: Option<&str>) -> Option<TimeZone> {
        let Some(name) = name else { return Some(TimeZone::UTC) };
        match TimeZone::get(name) {
            Ok(zone) if !zone.is_unknown() => Some(zone),
            _ => self.wrong("time_zone", format!("is `{}`; it must be an IANA time zone such as Europe/Berlin or UTC", shown(name))),
        }
    }

    fn windows(&mut self, written: &Written, zone: &TimeZone) -> Option<Windows> {
        let rule = match (&written.cron, &written.rrule) {
            (Some(cron), rrule) => {
                let no_first = "is given besides cron, which has no first window; where there is one, use rrule";
                self.refuse("rrule", rrule.is_some(), "is given besides cron; windows have one rule, so keep one");
                self.refuse("from", written.from.is_some(), no_first);
                self.rule("cron", cron, Cron::parse(cron).map(Rule::Cron))
            }
            (None, Some(rrule)) => {
                let start = self.moment("from", written.from.as_deref(), "the first beginning (DTSTART)").map(|from| from.local(zone));
                start.and_then(|start| self.rule("rrule", rrule, Recurrence::parse(rrule, start, zone).map(Rule::Recurrence)))
            }
            (None, None) => return self.once(written, zone),
        };
        self.refuse(
            "until",
            written.until.is_some(),
            "is given besides a rule; for says how long windows last, and UNTIL in an rrule when they stop",
        );
        let length = match written.length {
            None => self.wrong("for", "is missing; say how long each window lasts, such as 2h"),
            Some(length) if (DurationMs::from_secs(1)..=Calendar::LONGEST).contains(&length) => Some(length),
            Some(length) => self.wrong("for", format!("is {length}; it must be from 1s to {}", Calendar::LONGEST)),
        };
        Some(Windows::Recurring { rule: rule?, length: length? })
    }

    fn rule(&mut self, field: &str, text: &str, rule: Result<Rule, String>) -> Option<Rule> {
        match rule {
            Ok(rule) => Some(rule),
            Err(reason) => self.wrong(field, format!("{reason}; found `{}`", shown(text))),
        }
    }

    fn once(&mut self, written: &Written, zone: &TimeZone) -> Option<Windows> {
        if written.from.is_none() && written.until.is_none() {
            return self.wrong("", "names no window; give cron and for, or rrule, from and for, or from and until");
        }
        self.refuse("for", written.length.is_some(), "is given without a rule; a single window has from and until");
        let from = self.moment("from", written.from.as_deref(), "the beginning");
        let until = self.moment("until", written.until.as_deref(), "the end");
        let (from, until) = (from?.instant(zone)?, until?.instant(zone)?);
        if from < until {
            return Some(Windows::Once { from, until });
        }
        self.wrong("until", format!("is {until}, and from is {from}; the end must come after the beginning"))
    }

    fn moment(&mut self, field: &str, text: Option<&str>, what: &str) -> Option<Moment> {
        const RIGHT: &str = "such as 2026-01-31T08:00:00Z, or local time without the Z";
        let Some(text) = text else { return self.wrong(field, format!("is missing; give {what}, {RIGHT}")) };
        match Moment::read(text) {
            Some(moment) => Some(moment),
            None => self.wrong(field, format!("is `{}`; it must be a time {RIGHT}", shown(text))),
        }
    }
}

/// A time as it was written.
#[derive(Clone, Copy)]
enum Moment {
    Instant(jiff::Timestamp),
    Local(DateTime),
}

impl Moment {
    fn read(text: &str) -> Option<Self> {
        // A date alone does not say whether its day is part of the window.
        let has_time = text.contains(['T', 't', ' ']);
        let moment = match text.parse() {
            Ok(instant) => Self::Instant(instant),
            Err(_) => Self::Local(text.parse().ok().filter(|_| has_time)?),
        };
        (1..=9998).contains(&moment.local(&TimeZone::UTC).year()).then_some(moment)
    }

    fn local(self, zone: &TimeZone) -> DateTime {
        match self {
            Self::Instant(instant) => zone.to_datetime(instant),
            Self::Local(local) => local,
        }
    }

    fn instant(self, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Instant(instant) => Some(Timestamp::from_millis(instant.as_millisecond())),
            Self::Local(local) => zone::first_instant(zone, local),
        }
    }
}

/// The beginning of a text, on one line.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(80).collect();
    let dots = if start.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", start.escape_debug())
}
