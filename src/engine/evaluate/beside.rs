//! What is read beside the new values of a monitor: what its guards ask for, and what lies before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Evaluation;
use super::series::MOST_HELD_BACK;
use crate::clock::Timestamp;
use crate::engine::guarded::Guarded;
use crate::engine::guarded::samples::Samples;
use crate::error::Result;
use crate::series::{Series, SeriesKey};

impl Evaluation {
    /// Reads the traffic that a guard asks for; whether it could be. Without it nothing is held back for want of it.
    pub(super) async fn read_traffic(&mut self, end: Timestamp, warnings: &mut Vec<String>) -> bool {
        let Some(least) = &self.monitor.guards.least_traffic else { return false };
        let no_models = self.watched.as_ref().is_none_or(BTreeMap::is_empty);
        // Nothing before it is judged after a first fit.
        let earliest = if no_models { (end - MOST_HELD_BACK).align_down(self.monitor.step) } else { self.next };
        let reading = match self.engine.prometheus() {
            Ok(prometheus) => prometheus.range(&least.query, self.next.max(earliest), end, self.monitor.step).await,
            Err(error) => Err(error),
        };
        match reading {
            Ok(reading) => {
                warnings.extend(reading.warnings.into_iter().map(|warning| format!("least_traffic: {warning}")));
                Arc::make_mut(&mut self.traffic).push(&self.monitor, reading.series);
                true
            }
            Err(error) => {
                warnings.push(format!("least_traffic: the traffic cannot be read and holds nothing back: {}", error.chain()));
                false
            }
        }
    }

    /// Warns of the series whose traffic is not known.
    pub(super) fn warn_of_unknown_traffic(&self, warnings: &mut Vec<String>) {
        let all = || self.watched.iter().flatten().map(|(key, _)| key);
        let unknown: Vec<&SeriesKey> = all().filter(|key| !self.traffic.knows(&self.monitor, key)).collect();
        if let Some(one) = unknown.first() {
            let (some, all) = (unknown.len(), all().count());
            warnings.push(format!(
                "least_traffic: the query gives no traffic of {some} of {all} series, such as {one}, and holds nothing of them back"
            ));
        }
    }

    /// Counts the samples behind what is read until `end`, where that matters. Where it cannot be done, nothing is taken for missed.
    pub(super) async fn count_samples(&mut self, end: Timestamp, warnings: &mut Vec<String>) {
        let (Some(samples), Ok(prometheus)) = (&mut self.samples, self.engine.prometheus()) else { return };
        match samples.read(prometheus, &self.monitor, self.next, end).await {
            Ok(warned) => warnings.extend(warned),
            Err(error) => warnings.push(Samples::unread(&error)),
        }
    }

    /// What lies before the windows in memory, without what is no measurement, when a series is to be fitted again and its
    /// window is too short for that.
    pub(super) async fn read_earlier(&self, end: Timestamp, warnings: &mut Vec<String>) -> Result<Vec<Series>> {
        let oldest = (end - self.monitor.window).align_down(self.monitor.step);
        let short = self
            .watched
            .iter()
            .flatten()
            .filter(|(key, kept)| kept.series.refit_due(key, end, self.engine.0.config.refit))
            .filter_map(|(_, kept)| kept.series.lacks_before());
        let Some(before) = short.max().filter(|before| *before > oldest) else {
            return Ok(Vec::new());
        };
        let (prometheus, monitor, last) = (self.engine.prometheus()?, &self.monitor, before - self.monitor.step);
        let read = prometheus.range(&monitor.query, oldest, last, monitor.step).await?.series;
        let mut samples = Samples::of(monitor);
        if let Some(samples) = &mut samples
            && let Err(error) = samples.read(prometheus, monitor, oldest, last).await
        {
            warnings.push(Samples::unread(&error));
        }
        let measured = |Series { key, window }: Series| {
            let counted = samples.as_ref().and_then(|samples| samples.counted(&key));
            let window = Guarded::default().measure(&monitor.guards, counted, window).0;
            Series { key, window }
        };
        Ok(read.into_iter().map(measured).collect())
    }
}
