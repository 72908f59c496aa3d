//! Times as files write them.

use jiff::civil;

use crate::clock::Timestamp;

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
        if let Ok(number) = text.parse::<f64>() {
            return self.push_number(number);
        }
        let utc = |text: &str| text.parse::<civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
        let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| utc(text).map(|zoned| zoned.timestamp()))?;
        self.push_instant(instant.as_millisecond() as f64 / 1e3)
    }

    /// The instants, with the unit of all numbers told from the largest; a year-2000 time is 9.5e8 s,
    /// 9.5e11 ms, 9.5e14 µs or 9.5e17 ns.
    ///
    /// # Errors
    /// The row and the number that is no time.
    pub(super) fn finish(self) -> Result<Vec<Timestamp>, (usize, String)> {
        let largest = self.cells.iter().filter(|cell| cell.1).fold(0.0_f64, |most, cell| most.max(cell.0.abs()));
        let per_second = match largest {
            ..1e11 => 1.0,
            ..1e14 => 1e3,
            ..1e17 => 1e6,
            _ => 1e9,
        };
        let instant = |(row, (cell, is_number)): (usize, (f64, bool))| {
            let seconds = if is_number { cell / per_second } else { cell };
            Timestamp::from_seconds(seconds).ok_or_else(|| (row, format!("{cell:e}")))
        };
        self.cells.into_iter().enumerate().map(instant).collect()
    }
}
