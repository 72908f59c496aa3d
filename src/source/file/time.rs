//! Times as files write them.

use jiff::civil;

use crate::clock::Timestamp;

/// Numbers from which their unit is told. It is told from the file's beginning, so that what is added at its end
/// changes nothing.
const TOLD_FROM: usize = 60;

/// How many of a number's unit make a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit(f64);

/// The times of a column, while their unit is not known.
#[derive(Debug, Default)]
pub(super) struct Instants {
    /// Seconds since the epoch where `is_number` is false, else the number as it stands.
    cells: Vec<(f64, bool)>,
}

impl Instants {
    /// A number of some unit since the epoch.
    pub(super) fn push_number(&mut self, number: f64) -> Option<()> {
        number.is_finite().then(|| self.cells.push((number, true)))
    }

    /// Seconds since the epoch.
    pub(super) fn push_instant(&mut self, seconds: f64) -> Option<()> {
        seconds.is_finite().then(|| self.cells.push((seconds, false)))
    }

    /// A number, an RFC 3339 time, or a date with or without a time of day, in UTC.
    pub(super) fn push_text(&mut self, text: &str) -> Option<()> {
        match text.parse::<f64>() {
            Ok(number) => self.push_number(number),
            Err(_) => self.push_instant(instant(text)?.seconds()),
        }
    }

    /// The instants. When the `unit` of numbers is not known, it is told from the largest of the first ones; a
    /// year-2000 time is 9.5e8 s, 9.5e11 ms, 9.5e14 µs or 9.5e17 ns.
    ///
    /// # Errors
    /// The place and the number that is no time.
    pub(super) fn finish(self, unit: &mut Option<Unit>) -> Result<Vec<Timestamp>, (usize, String)> {
        let mut numbers = self.cells.iter().filter(|cell| cell.1).map(|cell| cell.0.abs()).take(TOLD_FROM).peekable();
        if unit.is_none() && numbers.peek().is_some() {
            *unit = Some(Unit(match numbers.fold(0.0, f64::max) {
                ..1e11 => 1.0,
                ..1e14 => 1e3,
                ..1e17 => 1e6,
                _ => 1e9,
            }));
        }
        let per_second = unit.map_or(1.0, |unit| unit.0);
        let instant = |(i, (cell, is_number)): (usize, (f64, bool))| {
            let seconds = if is_number { cell / per_second } else { cell };
            Timestamp::from_seconds(seconds).ok_or_else(|| (i, format!("{cell:e}")))
        };
        self.cells.into_iter().enumerate().map(instant).collect()
    }
}

/// The instant that `text` says: an RFC 3339 time, or a date with or without a time of day, in UTC.
pub fn instant(text: &str) -> Option<Timestamp> {
    let utc = |text: &str| text.parse::<civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| utc(text).map(|zoned| zoned.timestamp()))?;
    Some(Timestamp::from_millis(instant.as_millisecond()))
}
