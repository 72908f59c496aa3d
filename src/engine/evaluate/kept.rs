//! A series in memory, with what guards said of it.

use super::series::Watched;
use crate::engine::guarded::Guarded;
use crate::engine::status::{SeriesState, SeriesStatus};
use crate::monitor::Monitor;
use crate::series::{SeriesKey, Window};

/// A series in memory.
pub struct Kept {
    /// It, as it is judged.
    pub series: Watched,
    /// What guards said of it.
    pub guarded: Guarded,
}

impl Kept {
    /// What the engine shows of it.
    pub fn status(&self, key: &SeriesKey, monitor: &Monitor) -> SeriesStatus {
        let mut status = self.series.status(key);
        let held = self.series.open().and_then(|stretch| self.guarded.held(stretch.onset, stretch.last_seen));
        if held.is_some() {
            status.state = SeriesState::Suppressed;
        }
        status.suppressed = held.or(self.guarded.refused()).map(|why| why.reason(monitor.unit));
        status
    }
}

/// The values of one reading that are no measurements.
#[derive(Debug, Default)]
pub struct Refused {
    values: usize,
    series: usize,
    example: Option<String>,
}

impl Refused {
    /// What is left of what was `read` of a series without them.
    pub fn measure(&mut self, guarded: &mut Guarded, monitor: &Monitor, key: &SeriesKey, read: Window) -> Window {
        let (window, refused) = guarded.measure(&monitor.guards, read);
        if refused > 0 {
            self.values += refused;
            self.series += 1;
            let why = guarded.refused().map(|why| format!(": {}", why.reason(monitor.unit))).unwrap_or_default();
            self.example.get_or_insert_with(|| format!("{key}{why}"));
        }
        window
    }

    /// What is to be told of them; `None` where there is none.
    pub fn warning(self) -> Option<String> {
        let Self { values, series, example } = self;
        example.map(|example| {
            format!("valid: {values} values of {series} series are no measurements and count as missing, such as of {example}")
        })
    }
}
