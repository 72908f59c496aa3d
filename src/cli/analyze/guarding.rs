//! The guards of the configured monitor that asks what is analysed.

use std::collections::BTreeMap;

use crate::analysis::detect::Analysis;
use crate::clock::{DurationMs, Timestamp};
use crate::engine::guarded::samples::Samples;
use crate::engine::guarded::traffic::Traffic;
use crate::engine::guarded::{self, Guarded, Judged, Standing};
use crate::error::Result;
use crate::finding::{Finding, HeldBack};
use crate::metric::Unit;
use crate::monitor::Monitor;
use crate::series::{Series, SeriesKey};
use crate::source::prometheus::Prometheus;

/// That monitor, and what its guards need to know; nothing without it.
#[derive(Default)]
pub(super) struct Guarding {
    monitor: Option<Monitor>,
    traffic: Traffic,
    samples: Option<Samples>,
    appeared: BTreeMap<SeriesKey, Timestamp>,
}

impl Guarding {
    /// Finds the monitor that asks `query`, and reads what its guards ask for from a time to another, by a step. What
    /// cannot be read is a warning and holds nothing back.
    ///
    /// # Errors
    /// Prometheus does not answer.
    pub(super) async fn read(
        prometheus: &Prometheus,
        monitors: &[Monitor],
        query: &str,
        (start, end, step): (Timestamp, Timestamp, DurationMs),
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let same = |m: &&Monitor| m.query.split_whitespace().eq(query.split_whitespace());
        let Some(monitor) = monitors.iter().find(same) else { return Ok(Self::default()) };
        let monitor = Monitor { step, window: end.since(start), ..monitor.clone() };
        let appeared = guarded::appeared(prometheus, &monitor, start, end).await?;
        let mut traffic = Traffic::default();
        if let Some(least) = &monitor.guards.least_traffic {
            match prometheus.range(&least.query, start, end, step).await {
                Ok(reading) => traffic.push(&monitor, reading.series),
                Err(error) => warnings.push(format!("least_traffic: the traffic cannot be read and holds nothing back: {}", error.chain())),
            }
        }
        let mut samples = Samples::of(&monitor);
        if let Some(samples) = &mut samples {
            match samples.read(prometheus, &monitor, start, end).await {
                Ok(warned) => warnings.extend(warned),
                Err(error) => warnings.push(Samples::unread(&error)),
            }
        }
        Ok(Self { monitor: Some(monitor), traffic, samples, appeared })
    }

    /// `series` without the values that are no measurements, and what guards know of it.
    pub(super) fn measure(&self, series: Series, warnings: &mut Vec<String>) -> (Series, Guarded) {
        let mut guarded = Guarded::since(self.appeared.get(&series.key).copied());
        let Some(monitor) = &self.monitor else { return (series, guarded) };
        let Series { key, window } = series;
        let counted = self.samples.as_ref().and_then(|samples| samples.counted(&key));
        let (window, refused) = guarded.measure(&monitor.guards, counted, window);
        warnings.extend(refused.iter().map(|(guard, n)| format!("{guard}: {n} values of {key} are no measurements and count as missing")));
        (Series { key, window }, guarded)
    }

    /// Takes out of `findings` those that guards hold back.
    pub(super) fn hold_back(
        &self,
        guarded: &mut Guarded,
        key: &SeriesKey,
        analysis: &Analysis,
        findings: &mut Vec<Finding>,
        unit: Unit,
    ) -> Vec<HeldBack> {
        let Some(monitor) = &self.monitor else { return Vec::new() };
        for judgement in &analysis.judgements {
            let open = findings.iter().any(|f| f.onset <= judgement.time && judgement.time <= f.last_seen);
            guarded.take(&monitor.guards, &Judged::from(judgement), open, || self.traffic.at(monitor, key, judgement.time));
        }
        let mut held_back = Vec::new();
        findings.retain(|finding| match guarded.standing(finding.onset, finding.last_seen) {
            Standing::Counts { .. } => true,
            Standing::HeldBack(why) => {
                held_back.push(HeldBack { finding: finding.clone(), suppressed: why.reason(unit) });
                false
            }
        });
        held_back
    }
}
