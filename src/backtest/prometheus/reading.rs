//! Reading one monitor piece by piece, with what its guards ask for.

use std::sync::Arc;

use super::replayed::{Replayed, Tracks};
use super::{Learn, PIECE, PIECE_STEPS, Progress, Run, is_its_own};
use crate::backtest::replay::LOOK;
use crate::clock::Timestamp;
use crate::engine::budget::Share;
use crate::engine::guarded;
use crate::engine::guarded::samples::Samples;
use crate::engine::guarded::traffic::Traffic;
use crate::error::Result;
use crate::monitor::Monitor;

/// Steps before a piece whose traffic is still asked for: the replay judges some steps at once.
const TRAFFIC_STEPS: i64 = 120;

impl<P: Fn(Progress) + Sync> Run<'_, P> {
    /// Reads a monitor piece by piece and replays each as it comes.
    pub(super) async fn read(&self, monitor: &Monitor, count: usize, share: Share) -> Result<Replayed> {
        let (mut from, end) = self.plan.span(monitor);
        let appeared = guarded::appeared(self.prometheus, monitor, from, self.plan.start).await?;
        let mut tracks = Tracks::new(monitor.clone(), self.plan.settings(monitor, share), self.plan.start, appeared);
        let mut warnings = Vec::new();
        let mut traffic = monitor.guards.least_traffic.as_ref().map(|_| Arc::new(Traffic::default()));
        let mut samples = Samples::of(monitor);
        // Whole looks, so that all series are judged at the same times.
        let steps = (PIECE / count.max(1)).clamp(PIECE_STEPS.0, PIECE_STEPS.1) / LOOK * LOOK;
        while from <= end {
            let learns = self.learn == Learn::AtOnce && from < self.plan.start.align_down(monitor.step);
            let to = if learns {
                self.plan.start.align_down(monitor.step) - monitor.step
            } else {
                end.min(from + monitor.step * (steps as i64 - 1))
            };
            let look = if learns { usize::MAX } else { LOOK };
            let reading = self.prometheus.range(&monitor.query, from, to, monitor.step).await?;
            warnings.extend(reading.warnings.into_iter().map(|warning| of_monitor(monitor, &warning)));
            traffic = self.read_traffic(monitor, traffic, (from, to), &mut warnings).await?;
            samples = self.count_samples(monitor, samples, (from, to), &mut warnings).await?;
            let places = to.since(from).steps(monitor.step) + 1;
            let (stop, before, known) = (Arc::clone(&self.stop.0), tracks.opened(), traffic.clone().unwrap_or_default());
            let work = move || {
                let points = tracks.push(reading.series, samples.as_ref(), from, (places, look), &known, &stop);
                points.map(|points| (tracks, samples, points))
            };
            let points;
            (tracks, samples, points) = self.pool.run(work).await??;
            self.plan.limits.check(monitor, tracks.len())?;
            self.tell(monitor, points as u64, (tracks.opened() - before) as u64);
            from = to + monitor.step;
        }
        let mut replayed = self.pool.run(move || tracks.finish(traffic.as_deref())).await??;
        replayed.warnings = warnings.into_iter().chain(replayed.warnings.iter().map(|warning| of_monitor(monitor, warning))).collect();
        Ok(replayed)
    }

    /// Adds to `traffic` that of one piece, where a guard asks for it. One that cannot be read is read no more.
    async fn read_traffic(
        &self,
        monitor: &Monitor,
        traffic: Option<Arc<Traffic>>,
        (from, to): (Timestamp, Timestamp),
        warnings: &mut Vec<String>,
    ) -> Result<Option<Arc<Traffic>>> {
        let (Some(mut traffic), Some(least)) = (traffic, &monitor.guards.least_traffic) else { return Ok(None) };
        match self.prometheus.range(&least.query, from, to, monitor.step).await {
            Ok(reading) => {
                let known = Arc::make_mut(&mut traffic);
                known.forget(from - monitor.step * TRAFFIC_STEPS);
                known.push(monitor, reading.series);
                warnings.extend(reading.warnings.into_iter().map(|warning| of_monitor(monitor, &format!("least_traffic: {warning}"))));
                Ok(Some(traffic))
            }
            Err(error) if is_its_own(&error) => {
                let what = format!("least_traffic: the traffic cannot be read and holds nothing back: {}", error.chain());
                warnings.push(of_monitor(monitor, &what));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Counts the samples behind the values of one piece, where a guard asks for it. Those that cannot be counted are not again.
    async fn count_samples(
        &self,
        monitor: &Monitor,
        samples: Option<Samples>,
        (from, to): (Timestamp, Timestamp),
        warnings: &mut Vec<String>,
    ) -> Result<Option<Samples>> {
        let Some(mut samples) = samples else { return Ok(None) };
        match samples.read(self.prometheus, monitor, from, to).await {
            Ok(warned) => {
                warnings.extend(warned.into_iter().map(|warning| of_monitor(monitor, &warning)));
                Ok(Some(samples))
            }
            Err(error) if is_its_own(&error) => {
                warnings.push(of_monitor(monitor, &Samples::unread(&error)));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// A warning with the name of its monitor, if it has one.
fn of_monitor(monitor: &Monitor, warning: &str) -> String {
    format!("{}: {warning}", monitor.name).trim_start_matches(": ").to_owned()
}
