//! Recurrence rules of RFC 5545, section 3.3.10, by the day: whether a rule names a date is computed from the date
//! alone, so that no question has to walk from where the rule began.

mod parse;
#[cfg(test)]
mod tests;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;

/// How far ahead a rule is searched for its first and its last time.
const SEARCHED_YEARS: i16 = 100;

/// Local times named by a rule. Times that do not match the rule are not part of it, not even its DTSTART.
#[derive(Clone, Debug)]
pub(super) struct Recurrence {
    frequency: Frequency,
    interval: i32,
    /// DTSTART: nothing is named before it, and intervals count from its period.
    start: DateTime,
    /// The last local time that may be named.
    until: Option<DateTime>,
    week_start: Weekday,
    months: Vec<i8>,
    /// Weeks of the year, from its end where negative; so are days and positions below.
    weeks: Vec<i16>,
    year_days: Vec<i16>,
    month_days: Vec<i16>,
    /// Weekdays; with a number, only that one of its month or year.
    weekdays: Vec<(Option<i16>, Weekday)>,
    /// Times of the day, in order.
    times: Vec<Time>,
    /// Which ones of a period's times count; all where empty.
    positions: Vec<i16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

impl Recurrence {
    /// Reads a rule such as `FREQ=MONTHLY;BYDAY=2TU`, whose DTSTART is `start`; `zone` is where local times are
    /// local, for an UNTIL in UTC.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str, start: DateTime, zone: &TimeZone) -> Result<Self, String> {
        let (mut rule, count) = parse::rule(text, start, zone)?;
        match (rule.nth(count.unwrap_or(1)), count) {
            (Ok(_), None) => Ok(rule),
            (Ok(last), Some(_)) => {
                rule.until = Some(last);
                Ok(rule)
            }
            (Err(0), _) | (Err(_), None) => Err(format!("never comes within {SEARCHED_YEARS} years of its beginning, {start}")),
            (Err(found), Some(count)) => {
                Err(format!("comes {found} times within {SEARCHED_YEARS} years of its beginning, and never reaches COUNT={count}"))
            }
        }
    }

    /// The `n`th time of all, or how many there are where they are fewer.
    fn nth(&self, n: u32) -> Result<DateTime, u32> {
        let last = self.start.date().year().saturating_add(SEARCHED_YEARS);
        let mut found = 0;
        let mut day = Some(self.start.date());
        while let Some(date) = day.filter(|d| d.year() <= last && self.until.is_none_or(|until| *d <= until.date())) {
            for time in self.on(date) {
                found += 1;
                if found == n {
                    return Ok(time);
                }
            }
            day = date.tomorrow().ok();
        }
        Err(found)
    }

    /// The latest time from `lower` to `upper` that the rule names.
    pub(super) fn latest(&self, lower: DateTime, upper: DateTime) -> Option<DateTime> {
        let lowest = lower.max(self.start);
        let mut day = Some(upper.date());
        while let Some(date) = day.filter(|d| *d >= lowest.date()) {
            if let Some(time) = self.on(date).rev().find(|time| *time <= upper) {
                return (time >= lowest).then_some(time);
            }
            day = date.yesterday().ok();
        }
        None
    }

    /// The times on `date` that the rule names, in order.
    fn on(&self, date: Date) -> impl DoubleEndedIterator<Item = DateTime> {
        let due = self.in_turn(date) && self.names(date);
        let times = if due { self.times.as_slice() } else { &[] };
        let place = if due && !self.positions.is_empty() { self.place(date) } else { (0, 0) };
        times.iter().enumerate().map(move |(i, time)| (i, date.to_datetime(*time))).filter_map(move |(i, time)| {
            let ends = self.until.is_some_and(|until| time > until);
            (time >= self.start && !ends && self.has_position(i, place)).then_some(time)
        })
    }

    /// Whether the period of `date` is one of every `interval`.
    fn in_turn(&self, date: Date) -> bool {
        let from = self.start.date();
        let months = |d: Date| i32::from(d.year()) * 12 + i32::from(d.month());
        let passed = match self.frequency {
            Frequency::Daily => days(from, date),
            Frequency::Weekly => days(self.week_of(from), self.week_of(date)) / 7,
            Frequency::Monthly => months(date) - months(from),
            Frequency::Yearly => i32::from(date.year()) - i32::from(from.year()),
        };
        passed >= 0 && passed % self.interval == 0
    }

    /// The first day of the week of `date`.
    fn week_of(&self, date: Date) -> Date {
        let passed = date.weekday().since(self.week_start);
        date.saturating_sub(jiff::SignedDuration::from_hours(24 * i64::from(passed)))
    }

    /// Whether the parts of the rule that speak of days agree on `date`.
    fn names(&self, date: Date) -> bool {
        let month_days = (i16::from(date.day()), i16::from(date.days_in_month()));
        let year_days = (date.day_of_year(), date.days_in_year());
        (self.months.is_empty() || self.months.contains(&date.month()))
            && is_one_of(&self.month_days, month_days)
            && is_one_of(&self.year_days, year_days)
            && (self.weeks.is_empty() || is_one_of(&self.weeks, self.week_number(date)))
            && (self.weekdays.is_empty() || self.weekdays.iter().any(|weekday| self.is_weekday(date, *weekday, month_days, year_days)))
    }

    /// Which week of its year `date` is in, and how many there are. A week belongs to the year that has its fourth
    /// day (ISO 8601, with any first day).
    fn week_number(&self, date: Date) -> (i16, i16) {
        let fourth = self.week_of(date).saturating_add(jiff::SignedDuration::from_hours(72));
        let number = (fourth.day_of_year() - 1) / 7 + 1;
        (number, number + (fourth.days_in_year() - fourth.day_of_year()) / 7)
    }

    fn is_weekday(&self, date: Date, (nth, weekday): (Option<i16>, Weekday), in_month: (i16, i16), in_year: (i16, i16)) -> bool {
        if date.weekday() != weekday {
            return false;
        }
        let by_month = self.frequency == Frequency::Monthly || !self.months.is_empty();
        let (day, length) = if by_month { in_month } else { in_year };
        nth.is_none_or(|nth| if nth > 0 { (day - 1) / 7 + 1 == nth } else { (length - day) / 7 + 1 == -nth })
    }

    /// How many of the days that its period has before `date` are named, and how many from it on.
    fn place(&self, date: Date) -> (i32, i32) {
        let first = match self.frequency {
            Frequency::Daily => date,
            Frequency::Weekly => self.week_of(date),
            Frequency::Monthly => date.first_of_month(),
            Frequency::Yearly => date.first_of_year(),
        };
        let length = match self.frequency {
            Frequency::Daily => 1,
            Frequency::Weekly => 7,
            Frequency::Monthly => usize::from(date.days_in_month().unsigned_abs()),
            Frequency::Yearly => usize::from(date.days_in_year().unsigned_abs()),
        };
        let named = first.series(jiff::Span::new().days(1)).take(length).filter(|day| self.names(*day));
        named.fold((0, 0), |(before, after), day| if day < date { (before + 1, after) } else { (before, after + 1) })
    }

    /// Whether the `i`th time of a day is at one of the positions, where `before` days of the period come before it
    /// and `after` from it on.
    fn has_position(&self, i: usize, (before, after): (i32, i32)) -> bool {
        let (i, times) = (i32::try_from(i).unwrap_or(i32::MAX), i32::try_from(self.times.len()).unwrap_or(i32::MAX));
        let from_start = before * times + i + 1;
        let from_end = after * times - i;
        self.positions.is_empty() || self.positions.iter().any(|p| i32::from(*p) == from_start || -i32::from(*p) == from_end)
    }
}

fn days(from: Date, to: Date) -> i32 {
    i32::try_from(from.duration_until(to).as_hours() / 24).unwrap_or(i32::MAX)
}

/// Whether the list names `number` of `length`, from the start or from the end; an empty list names all.
fn is_one_of(list: &[i16], (number, length): (i16, i16)) -> bool {
    list.is_empty() || list.iter().any(|n| *n == number || *n == number - length - 1)
}
