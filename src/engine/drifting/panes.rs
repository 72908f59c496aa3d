//! The values of a window in sketches, one for each short pane of it: what is old is dropped pane by pane, and only what is
//! new is read.

use std::collections::BTreeMap;

use crate::analysis::drift::Sketch;
use crate::clock::{DurationMs, Timestamp};
use crate::error::Result;
use crate::series::{Series, SeriesKey};
use crate::source::prometheus::Prometheus;

/// The panes of one window.
pub struct Panes {
    /// How long each is.
    length: DurationMs,
    /// What is in each.
    by_begin: BTreeMap<Timestamp, BTreeMap<SeriesKey, Sketch>>,
    /// The end of what was read; `None` before anything was.
    until: Option<Timestamp>,
}

impl Panes {
    /// None yet.
    pub fn new(length: DurationMs) -> Self {
        Self { length, by_begin: BTreeMap::new(), until: None }
    }

    /// Moves to a window: drops what lies before it and reads what is missing of it at `step`.
    ///
    /// # Errors
    /// Prometheus does not answer; then nothing has changed.
    pub async fn read(
        &mut self,
        prometheus: &Prometheus,
        query: &str,
        by: &[String],
        (from, to): (Timestamp, Timestamp),
        step: DurationMs,
    ) -> Result<()> {
        let known = self.until.filter(|until| (from..=to).contains(until));
        if known == Some(to) {
            return Ok(());
        }
        let start = known.unwrap_or(from) + step;
        let reading = prometheus.range(query, start, to, step).await?;
        if known.is_none() {
            self.by_begin.clear();
        }
        self.take(&reading.series, by);
        self.until = Some(to);
        self.by_begin.retain(|begin, _| *begin >= from.align_down(self.length));
        Ok(())
    }

    fn take(&mut self, series: &[Series], by: &[String]) {
        for Series { key, window } in series {
            let feature = key.only(by);
            for (i, value) in window.values().iter().enumerate().filter(|(_, value)| value.is_finite()) {
                let pane = self.by_begin.entry(window.time(i).align_down(self.length)).or_default();
                pane.entry(feature.clone()).or_default().push(*value);
            }
        }
    }

    /// What is in all of them, by feature.
    pub fn merged(&self) -> BTreeMap<SeriesKey, Sketch> {
        let mut merged: BTreeMap<SeriesKey, Sketch> = BTreeMap::new();
        for (feature, sketch) in self.by_begin.values().flatten() {
            merged.entry(feature.clone()).or_default().merge(sketch);
        }
        merged
    }
}
