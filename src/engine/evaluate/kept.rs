//! A series in memory, with what guards said of it.

use std::collections::BTreeMap;

use super::series::Watched;
use crate::engine::guarded::Guarded;
use crate::engine::guarded::samples::Samples;
use crate::engine::status::{SeriesState, SeriesStatus};
use crate::guard::Guard;
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

/// The values of one reading that are no measurements, by the guard that says so.
#[derive(Debug, Default)]
pub struct Refused(BTreeMap<Guard, Count>);

#[derive(Debug, Default)]
struct Count {
    values: usize,
    series: usize,
    example: String,
}

impl Refused {
    /// What is left of what was `read` of a series without them.
    pub fn measure(
        &mut self,
        guarded: &mut Guarded,
        monitor: &Monitor,
        samples: Option<&Samples>,
        key: &SeriesKey,
        read: Window,
    ) -> Window {
        let counted = samples.and_then(|samples| samples.counted(key));
        let (window, refused) = guarded.measure(&monitor.guards, counted, read);
        for (guard, values) in refused {
            let count = self.0.entry(guard).or_default();
            count.values += values;
            count.series += 1;
            if count.series == 1 {
                let why = guarded.refused().filter(|why| why.guard() == guard);
                let why = why.map(|why| format!(": {}", why.reason(monitor.unit))).unwrap_or_default();
                count.example = format!("{key}{why}");
            }
        }
        window
    }

    /// What is to be told of them.
    pub fn warnings(self) -> impl Iterator<Item = String> {
        self.0.into_iter().map(|(guard, Count { values, series, example })| {
            format!("{guard}: {values} values of {series} series are no measurements and count as missing, such as of {example}")
        })
    }
}
