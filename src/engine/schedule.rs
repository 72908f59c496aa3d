//! When a monitor is due. Runs of one monitor never overlap, for it has one task; those of different monitors
//! are spread over the step by their names, so that Prometheus is not asked everything at once.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_stream::StreamExt;
use tokio_stream::wrappers::IntervalStream;
use tracing::Instrument;

use super::Engine;
use super::drifting::Drifting;
use super::evaluate::Evaluation;
use super::forecasting::Forecasting;
use super::status::MonitorStatus;
use crate::clock::{DurationMs, Timestamp};
use crate::error::Result;
use crate::monitor::Monitor;
use crate::series::SeriesKey;
use crate::store::Forgotten;
use crate::telemetry;

/// After a failure a monitor is tried again this soon, if its step is longer.
const RETRY: DurationMs = DurationMs::from_secs(10);
/// How often discovery looks for what is new.
const REDISCOVER: Duration = Duration::from_hours(1);
/// The same while there is nothing to watch.
const NOTHING_YET: Duration = Duration::from_secs(30);
/// How often it is looked whether an incident was held open for long enough.
const SETTLE: Duration = Duration::from_secs(5);

impl Engine {
    /// Works until `shutdown` completes: discovers, evaluates every monitor when it is due, and forgets what is old.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let mut tasks = tokio::task::JoinSet::new();
        if self.0.prometheus.is_some() {
            for monitor in self.0.config.monitors.clone() {
                let engine = self.clone();
                tasks.spawn(async move { engine.watch_monitor(monitor).await });
            }
            let engine = self.clone();
            tasks.spawn(async move { engine.keep_discovering().await });
            tasks.spawn(self.clone().keep_charting());
        }
        if self.0.prometheus.is_some()
            && let Some(inference) = self.0.config.inference.clone()
        {
            tasks.spawn(self.clone().keep_inferring(inference));
        }
        let engine = self.clone();
        tasks.spawn(async move { engine.keep_settling().await });
        let engine = self.clone();
        tasks.spawn(async move { engine.keep_forgetting().await });
        tasks.spawn(self.clone().keep_acting());
        shutdown.await;
        tasks.shutdown().await;
    }

    /// Does all that there is to do for one monitor whenever it is due, forever.
    async fn watch_monitor(self, monitor: Monitor) {
        let mut tasks = tokio::task::JoinSet::new();
        for (work, step) in Work::of(&self, &monitor) {
            tasks.spawn(self.clone().keep_doing(work, step, monitor.name.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn keep_doing(self, mut work: Work, step: DurationMs, monitor: String) {
        let offset = offset(&monitor, step);
        loop {
            let span = tracing::info_span!("evaluate", monitor, what = work.name());
            let wait = match work.run().instrument(span.clone()).await {
                Ok(()) => {
                    self.0.last_read.store(self.0.clock.now().millis(), Ordering::Relaxed);
                    until_due(self.0.clock.now(), step, offset)
                }
                Err(error) => {
                    span.in_scope(|| telemetry::failure(work.name(), &error));
                    self.set_status(&monitor, |status| work.failed(status, error.chain()));
                    RETRY.min(step)
                }
            };
            tokio::time::sleep(wait.to_std()).await;
        }
    }

    /// Looks for monitors now and then, and watches those that are new; those that stay away end their findings.
    async fn keep_discovering(self) {
        let mut watched = tokio::task::JoinSet::new();
        let mut pause = Duration::from_secs(1);
        loop {
            let mut wait = REDISCOVER;
            if self.0.config.discovery {
                match self.discover_once().await {
                    Ok(new) => {
                        pause = Duration::from_secs(1);
                        if self.watched().is_empty() {
                            wait = NOTHING_YET;
                        }
                        for monitor in new {
                            let engine = self.clone();
                            watched.spawn(async move { engine.watch_monitor(monitor).await });
                        }
                    }
                    Err(error) => {
                        telemetry::failure("discovery", &error);
                        wait = pause;
                        pause = (pause * 2).min(Duration::from_secs(30));
                        tokio::time::sleep(wait).await;
                        continue;
                    }
                }
            }
            if let Err(error) = self.end_orphans().await {
                telemetry::failure("correlation", &error);
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn discover_once(&self) -> Result<Vec<Monitor>> {
        let proposal = self.propose().await?;
        self.0.last_read.store(self.0.clock.now().millis(), Ordering::Relaxed);
        *self.0.skipped.write().unwrap_or_else(PoisonError::into_inner) = proposal.skipped;
        let mut monitors = self.0.monitors.write().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<Monitor> = proposal.monitors.into_iter().filter(|m| !monitors.contains_key(&m.name)).collect();
        for monitor in &new {
            monitors.insert(monitor.name.clone(), MonitorStatus::new(monitor.clone()));
        }
        if !new.is_empty() {
            tracing::info!(monitors = new.len(), "discovered");
        }
        Ok(new)
    }

    /// Ends the findings of monitors that are watched no more: nobody else would.
    async fn end_orphans(&self) -> Result<()> {
        let watched = self.watched();
        let names: BTreeSet<String> = {
            let incidents = self.0.incidents.lock().await;
            let open = incidents.iter().flat_map(|i| &i.findings).filter(|f| f.is_open());
            open.map(|f| f.monitor.clone()).filter(|name| !watched.contains_key(name)).collect()
        };
        let mut findings = Vec::new();
        for name in names {
            findings.extend(self.known_open(&name, |_| true).await);
        }
        for finding in &mut findings {
            finding.ended = Some(self.0.clock.now());
        }
        self.correlate(&findings, Vec::new()).await
    }

    /// Resolves incidents that were held open for long enough.
    async fn keep_settling(self) {
        loop {
            if let Err(error) = self.settle().await {
                telemetry::failure("correlation", &error);
            }
            tokio::time::sleep(SETTLE).await;
        }
    }

    /// Forgets what ended before `before`, and what there is no room for.
    async fn forget(&self, before: Timestamp) -> Result<()> {
        let store = &self.0.store;
        store.prune(before).await?;
        if let Some(most) = self.0.config.most_bytes {
            let gone = store.shrink(most).await?;
            if gone != Forgotten::default() {
                tracing::info!(incidents = gone.incidents, events = gone.events, most, "forgot the oldest, for the store was too large");
            }
        }
        store.give_back().await?;
        let size = store.size().await?;
        metrics::gauge!("bellwether_store_bytes").set(size as f64);
        if self.0.config.most_bytes.is_some_and(|most| size > most) {
            tracing::warn!(size, "the store is larger than retention.size, and all that is left in it is open");
        }
        Ok(())
    }

    async fn keep_forgetting(self) {
        let mut hourly = IntervalStream::new(tokio::time::interval(Duration::from_hours(1)));
        while hourly.next().await.is_some() {
            let before = self.0.clock.now() - self.0.config.retention;
            if let Err(error) = self.forget(before).await {
                telemetry::failure("retention", &error);
            }
            self.0.history.lock().unwrap_or_else(PoisonError::into_inner).prune(before);
            let engine = self.clone();
            let pruned =
                tokio::task::spawn_blocking(move || engine.0.models.lock().unwrap_or_else(PoisonError::into_inner).prune(before)).await;
            if let Ok(Err(error)) = pruned {
                telemetry::failure("retention", &error);
            }
        }
    }
}

/// What is done for a monitor again and again.
enum Work {
    Evaluate(Box<Evaluation>),
    Forecast(Box<Forecasting>),
    Drift(Box<Drifting>),
}

impl Work {
    /// What there is to do for a monitor, each with the time from one turn to the next.
    fn of(engine: &Engine, monitor: &Monitor) -> Vec<(Self, DurationMs)> {
        let (engine, own) = (|| engine.clone(), || monitor.clone());
        if let Some(plan) = monitor.drift.clone() {
            let every = plan.every;
            return vec![(Self::Drift(Box::new(Drifting::new(engine(), own(), plan))), every)];
        }
        let mut all = vec![(Self::Evaluate(Box::new(Evaluation::new(engine(), own()))), monitor.step)];
        if let Some(plan) = monitor.forecast.clone() {
            let step = plan.step;
            all.push((Self::Forecast(Box::new(Forecasting::new(engine(), own(), plan))), step));
        }
        all
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Evaluate(_) => "evaluation",
            Self::Forecast(_) => "forecast",
            Self::Drift(_) => "drift",
        }
    }

    async fn run(&mut self) -> Result<()> {
        match self {
            Self::Evaluate(evaluation) => evaluation.run().await,
            Self::Forecast(forecasting) => forecasting.run().await,
            Self::Drift(drifting) => drifting.run().await,
        }
    }

    fn failed(&self, status: &mut MonitorStatus, error: String) {
        match self {
            Self::Evaluate(_) | Self::Drift(_) => status.last_error = Some(error),
            Self::Forecast(_) => status.outlook.last_error = Some(error),
        }
    }
}

/// Where in the step a monitor's turn is: spread by its name.
pub fn offset(monitor: &str, step: DurationMs) -> DurationMs {
    let share = SeriesKey::new([("monitor".to_owned(), monitor.to_owned())]).spread();
    DurationMs::from_millis((step.millis() as f64 * share * 0.9) as i64)
}

/// The time from `now` to the next turn.
fn until_due(now: Timestamp, step: DurationMs, offset: DurationMs) -> DurationMs {
    let this = now.align_down(step) + offset;
    let next = if this > now { this } else { this + step };
    next.since(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monitors_are_spread_over_the_step() {
        let offsets = |step: DurationMs| -> Vec<i64> { (0..300).map(|i| offset(&format!("monitor-{i}"), step).millis()).collect() };
        let all = offsets(DurationMs::from_secs(60));
        assert!(all.iter().all(|ms| (0..60_000).contains(ms)));
        for tenth in 0..9 {
            let here = all.iter().filter(|ms| (tenth * 6000..(tenth + 1) * 6000).contains(*ms)).count();
            assert!((15..60).contains(&here), "{here} of 300 monitors in tenth {tenth}");
        }
    }

    #[test]
    fn the_next_turn_is_always_ahead_and_within_a_step() {
        let step = DurationMs::from_secs(60);
        for now in [0, 1, 29_999, 30_000, 30_001, 59_999, 60_000] {
            for offset in [0, 1, 30_000, 54_000] {
                let wait = until_due(Timestamp::from_millis(now), step, DurationMs::from_millis(offset));
                assert!(wait > DurationMs::ZERO && wait <= step, "{now} {offset} {wait}");
                assert_eq!((now + wait.millis()) % 60_000, offset);
            }
        }
    }
}
