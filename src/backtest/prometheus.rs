//! The backtest over a Prometheus: its monitors replayed over a past, the findings joined to incidents, and those held
//! against the alerts that fired there.

mod held_back;
mod reading;
mod replayed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::alerts::{self, Comparison, Fired, History, Incidents, Raised};
use super::incidents::{Around, Noticed, incidents};
use super::picture::Gallery;
use super::replay::Settings;
use super::summary::{Failure, Picture, RunSettings, SeriesSummary, Summary, Totals};
use crate::analysis::detect::Decision;
use crate::clock::{DurationMs, Timestamp};
use crate::correlation::topology::{Call, MOST_CALLS, Topology};
use crate::engine::budget::{self, Budget, Share};
use crate::engine::charting::{machines, measured_calls};
use crate::engine::discover::{self, Options};
use crate::engine::pool::Pool;
use crate::error::{Code, Error, Result};
use crate::finding::HeldBack;
use crate::monitor::Monitor;
use crate::source::prometheus::Prometheus;
pub(super) use replayed::Replayed;

/// What Prometheus remembers of alerts.
const ALERTS: &str = "ALERTS{alertstate=\"firing\"}";
/// Points of one reading: a few seconds of work.
const PIECE: usize = 200_000;
/// The fewest and the most steps of one reading.
const PIECE_STEPS: (usize, usize) = (360, 10_000);
/// Monitors under way at once: one is read while another computes.
const AT_ONCE: usize = 2;
/// Incidents that a report lists.
const MOST_INCIDENTS: usize = 1000;
/// Findings held back that a report lists.
const MOST_SUPPRESSED: usize = 1000;

/// Which past, and how it is judged.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the past comes from, as the report names it.
    pub source: String,
    /// What is replayed; their windows before the start are read too.
    pub monitors: Vec<Monitor>,
    /// Where the past begins.
    pub start: Timestamp,
    /// Where it ends.
    pub end: Timestamp,
    /// The time between two looks at the alerts that fired.
    pub step: DurationMs,
    /// False alerts accepted per day over all series together.
    pub alerts_per_day: f64,
    /// How long a model serves.
    pub refit: DurationMs,
    /// What may be read.
    pub limits: Limits,
    /// Calls between services that were configured; those that Prometheus counts are read besides.
    pub calls: Vec<Call>,
    /// How long one finding alone must last before it is told.
    pub patience: DurationMs,
}

/// What may be read for one monitor; one with more is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Series, over the whole past.
    pub most_series: usize,
    /// Points in memory: series times the points of a window.
    pub most_points: usize,
}

/// How far a backtest is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The monitor that was last gone on with.
    pub monitor: String,
    /// The share of the work that is done, from 0 to 1, as far as it can be estimated.
    pub done: f64,
    /// Points that were replayed, missing ones included.
    pub points: u64,
    /// Findings that were opened, those before the past begins and those that guards hold back among them.
    pub findings: u64,
}

/// What a backtest over a Prometheus found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was said of each series, as of a file; monitors that were left out are those that failed.
    #[serde(flatten)]
    pub summary: Summary,
    /// Where the past begins.
    #[serde(serialize_with = "alerts::as_text")]
    pub start: Timestamp,
    /// Where it ends.
    #[serde(serialize_with = "alerts::as_text")]
    pub end: Timestamp,
    /// What was replayed, in the order of the plan.
    pub monitors: Vec<MonitorReport>,
    /// The findings that guards hold back, in order of the monitors; at most a thousand are listed.
    #[serde(serialize_with = "held_back::serialize")]
    pub suppressed: Vec<HeldBack>,
    /// The incidents that would have been raised, in order of their beginnings; at most a thousand are listed.
    pub incidents: Incidents,
    /// The incidents held against the alerts that fired; `None` where those could not be read.
    pub comparison: Option<Comparison>,
    /// Pictures of the series with the most findings, in order of their paths.
    #[serde(skip)]
    pub pictures: Vec<Picture>,
}

/// What was said of the series of one monitor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MonitorReport {
    /// The monitor.
    pub name: String,
    /// Its series, at any time.
    pub series: usize,
    /// Those of them that were judged at least once in the past.
    pub judged_series: usize,
    /// Points of the past that were judged.
    pub judged_points: usize,
    /// Findings in the past.
    pub findings: usize,
    /// Findings besides those that guards hold back.
    pub suppressed: usize,
    /// Why it was not replayed.
    pub left_out: Option<String>,
}

/// What a live engine would watch: the monitors that are `configured`, and what discovery proposes at `now` besides.
///
/// # Errors
/// As [`discover::discover`].
pub async fn watched(prometheus: &Prometheus, configured: &[Monitor], discovery: Option<&Options>, now: Timestamp) -> Result<Vec<Monitor>> {
    let mut monitors: Vec<Monitor> = configured.to_vec();
    if let Some(options) = discovery {
        let names: BTreeSet<&str> = configured.iter().map(|m| m.name.as_str()).collect();
        let proposed = discover::discover(prometheus, now, options).await?.monitors;
        monitors.extend(proposed.into_iter().filter(|m| !names.contains(m.name.as_str())));
    }
    // Drift is not judged point by point.
    monitors.retain(|m| m.drift.is_none());
    Ok(monitors)
}

/// Replays the past of `plan`, computing on `pool`, and tells `progress` after each piece. Dropping the future ends it.
///
/// # Errors
/// The plan makes no sense, or Prometheus does not answer. A monitor that cannot be replayed is left out; when none
/// can be, the reason of the first one is the error.
pub async fn run(prometheus: &Prometheus, pool: &Pool, plan: &Plan, progress: impl Fn(Progress) + Sync) -> Result<Report> {
    check(plan)?;
    let mut warnings = Vec::new();
    let fired = read_alerts(prometheus, plan, &mut warnings).await?;
    let topology = topology(prometheus, &plan.calls, plan.end).await?;
    let replayed = replay(prometheus, pool, plan, Learn::ByAndBy, progress).await?;
    finish(plan, replayed, fired, &topology, warnings)
}

/// Who calls whom: what is configured, and what Prometheus counts at `at`.
///
/// # Errors
/// Prometheus does not answer, or the calls make no topology.
pub(super) async fn topology(prometheus: &Prometheus, configured: &[Call], at: Timestamp) -> Result<Topology> {
    let measured = measured_calls(prometheus, at).await?.into_iter().chain(machines(prometheus, at).await?);
    let calls = configured.iter().cloned().chain(measured);
    Topology::new(calls.take(MOST_CALLS)).map_err(Error::violations)
}

/// How a series' first model comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learn {
    /// From the first values on, and again as more come.
    ByAndBy,
    /// From the whole window before the past, as an engine does that is started at its beginning.
    AtOnce,
}

/// Replays every monitor of `plan`, two at a time.
///
/// # Errors
/// As [`run`].
pub(super) async fn replay(
    prometheus: &Prometheus,
    pool: &Pool,
    plan: &Plan,
    learn: Learn,
    progress: impl Fn(Progress) + Sync,
) -> Result<Vec<Replayed>> {
    let counts: Vec<_> = plan.monitors.iter().map(|monitor| count(prometheus, monitor, plan)).collect();
    let counts: Vec<Result<usize>> = stream::iter(counts).buffered(AT_ONCE).try_collect().await?;
    let known: Vec<usize> = counts.iter().map(|count| count.as_ref().map_or(0, |n| *n)).collect();
    let run = Run {
        prometheus,
        pool,
        plan,
        progress: &progress,
        work: plan.monitors.iter().zip(&known).map(|(monitor, count)| plan.work(monitor, *count)).sum(),
        points: AtomicU64::new(0),
        findings: AtomicU64::new(0),
        stop: Stop::default(),
        learn,
    };
    let replays =
        plan.monitors.iter().zip(counts).zip(plan.shares(&known)).map(|((monitor, count), share)| run.replay(monitor, count, share));
    stream::iter(replays.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await
}

fn check(plan: &Plan) -> Result<()> {
    if plan.end <= plan.start {
        return Err(Error::invalid("start", format!("{} is not before the end, {}", plan.start, plan.end)));
    }
    if plan.step == DurationMs::ZERO {
        return Err(Error::invalid("step", "0s; it must be at least 1ms"));
    }
    if plan.monitors.is_empty() {
        return Err(Error::new(
            Code::FailedPrecondition,
            "there is no monitor to replay: none is configured, and discovery is off or proposes none",
        ));
    }
    if let Some(wrong) = budget::misfit(plan.alerts_per_day, &plan.monitors, false) {
        return Err(Error::invalid("alerts_per_day", wrong));
    }
    Ok(())
}

/// The alerts that fired; `None`, and a warning, where there are too many to read.
async fn read_alerts(prometheus: &Prometheus, plan: &Plan, warnings: &mut Vec<String>) -> Result<Option<Vec<Fired>>> {
    let mut history = History::default();
    let end = plan.end.align_down(plan.step);
    let mut from = plan.start.align_down(plan.step);
    while from <= end {
        let to = end.min(from + plan.step * (PIECE_STEPS.0 as i64 - 1));
        match prometheus.range(ALERTS, from, to, plan.step).await {
            Ok(reading) => {
                history.push(&reading.series);
                warnings.extend(reading.warnings);
            }
            Err(error) if is_its_own(&error) => {
                warnings.push(format!("the alerts that fired were not read: {}", error.chain()));
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        from = to + plan.step;
    }
    Ok(Some(history.finish()))
}

/// How many series and groups of them a monitor has: the more of those at the start and at the end. The inner error is the monitor's own.
async fn count(prometheus: &Prometheus, monitor: &Monitor, plan: &Plan) -> Result<Result<usize>> {
    let mut most = 0;
    for at in [plan.start, plan.end] {
        match prometheus.instant(&monitor.query, at.align_down(monitor.step)).await {
            Ok(series) => most = most.max(series.len() + monitor.groups(series.iter().map(|(key, _)| key)).len()),
            Err(error) if is_its_own(&error) => return Ok(Err(error)),
            Err(error) => return Err(error),
        }
    }
    Ok(Ok(most))
}

/// Whether an error is about the query that was asked, so that another may do better.
fn is_its_own(error: &Error) -> bool {
    matches!(error.code, Code::InvalidArgument | Code::ResourceExhausted)
}

fn finish(
    plan: &Plan,
    replayed: Vec<Replayed>,
    fired: Option<Vec<Fired>>,
    topology: &Topology,
    mut warnings: Vec<String>,
) -> Result<Report> {
    let (mut monitors, mut series, mut failed) = (Vec::with_capacity(replayed.len()), Vec::new(), Vec::new());
    let mut noticed: Vec<Noticed> = Vec::new();
    let mut refused = None;
    let mut gallery = Gallery::default();
    let mut suppressed: Vec<HeldBack> = Vec::new();
    for one in replayed {
        one.pictures.into_iter().for_each(|picture| gallery.hang(picture));
        if let Some(error) = one.refused {
            failed.push(Failure { path: one.report.name.clone(), reason: error.chain() });
            refused = refused.or(Some(error));
        }
        warnings.extend(one.warnings);
        if let Some(first) = one.held_back.first() {
            let (name, count) = (&one.report.name, one.held_back.len());
            warnings.push(format!("{name}: findings that guards hold back: {count}, the first because {}", first.suppressed));
        }
        suppressed.extend(one.held_back.into_iter().take(MOST_SUPPRESSED.saturating_sub(suppressed.len())));
        series.extend(one.series);
        noticed.extend(one.noticed);
        monitors.push(one.report);
    }
    if let Some(error) = refused.filter(|_| monitors.iter().all(|monitor| monitor.left_out.is_some())) {
        return Err(error);
    }
    let by_name: BTreeMap<String, Monitor> = plan.monitors.iter().map(|m| (m.name.clone(), m.clone())).collect();
    let raised: Vec<Raised> = incidents(&noticed, Around { monitors: &by_name, topology, events: &[], patience: plan.patience })
        .iter()
        .filter(|incident| incident.started < plan.end && incident.resolved.is_none_or(|over| over > plan.start))
        .map(Raised::from)
        .collect();
    let comparison = fired.map(|fired| alerts::compare(&fired, &raised, plan.start, plan.end));
    let mut seen = BTreeSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
    let settings = RunSettings {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data: plan.source.clone(),
        labels: None,
        budget_per_day: plan.alerts_per_day,
        window: plan.monitors.iter().map(|m| m.window).max().unwrap_or_default(),
        refit: plan.refit,
        event_delay: 0,
    };
    Ok(Report {
        summary: Summary { settings, totals: totals(&series, plan.alerts_per_day), series, failed, warnings },
        start: plan.start,
        end: plan.end,
        monitors,
        suppressed,
        pictures: gallery.pictures(),
        incidents: Incidents { count: raised.len(), listed: raised.into_iter().take(MOST_INCIDENTS).collect() },
        comparison,
    })
}

fn totals(series: &[SeriesSummary], budget_per_day: f64) -> Totals {
    let judged: Vec<&SeriesSummary> = series.iter().filter(|s| s.judged > 0).collect();
    let series_days: f64 = judged.iter().map(|s| s.judged as f64 * s.step.seconds() / DurationMs::DAY.seconds()).sum();
    let alerts: usize = series.iter().map(|s| s.alerts).sum();
    let alerts_per_day = (series_days > 0.0).then(|| alerts as f64 / series_days * judged.len() as f64);
    Totals {
        series: series.len(),
        series_judged: judged.len(),
        rows: series.iter().map(|s| s.rows).sum(),
        judged: judged.iter().map(|s| s.judged).sum(),
        series_days,
        alerts,
        alerts_per_day,
        false_alerts_per_day: alerts_per_day,
        budget_per_day,
        budget_kept: alerts_per_day.map(|rate| rate <= budget_per_day),
        labelled: None,
    }
}

impl Plan {
    /// The times that are read of a monitor: from a window before the start to the end.
    fn span(&self, monitor: &Monitor) -> (Timestamp, Timestamp) {
        ((self.start - monitor.window).align_down(monitor.step), self.end.align_down(monitor.step))
    }

    /// What each monitor may spend, if they have so many series: as in a live engine that watches them all.
    pub(crate) fn shares(&self, counts: &[usize]) -> Vec<Share> {
        let monitors = || self.monitors.iter().zip(counts);
        let budget = Budget::divide(self.alerts_per_day, monitors().map(|(monitor, count)| (monitor, Some(*count))));
        monitors().map(|(monitor, count)| budget.share(monitor, *count)).collect()
    }

    /// How the series of `monitor` are judged.
    pub(crate) fn settings(&self, monitor: &Monitor, share: Share) -> Settings {
        let decision = Decision { alpha: share.alpha(monitor.step), direction: monitor.direction };
        Settings { decision, window: monitor.window, refit: self.refit }
    }

    /// How many points there are to replay.
    fn work(&self, monitor: &Monitor, series: usize) -> u64 {
        let (from, to) = self.span(monitor);
        (to.since(from).steps(monitor.step) as u64).saturating_mul(series as u64)
    }
}

/// Whether work that goes on elsewhere shall end; it shall when this is dropped.
#[derive(Debug, Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A backtest under way.
struct Run<'a, P> {
    prometheus: &'a Prometheus,
    pool: &'a Pool,
    plan: &'a Plan,
    progress: &'a P,
    /// All points to replay, as far as is known.
    work: u64,
    points: AtomicU64,
    findings: AtomicU64,
    stop: Stop,
    learn: Learn,
}

impl<P: Fn(Progress) + Sync> Run<'_, P> {
    /// Replays one monitor, which has about `count` series and may spend `share` of the budget.
    async fn replay(&self, monitor: &Monitor, count: Result<usize>, share: Share) -> Result<Replayed> {
        let done = match count.and_then(|count| self.plan.limits.check(monitor, count).map(|()| count)) {
            Ok(count) => self.read(monitor, count, share).await,
            Err(error) => Err(error),
        };
        done.or_else(|error| if is_its_own(&error) { Ok(Replayed::left_out(monitor, error)) } else { Err(error) })
    }

    fn tell(&self, monitor: &Monitor, points: u64, opened: u64) {
        let points = self.points.fetch_add(points, Ordering::Relaxed) + points;
        let findings = self.findings.fetch_add(opened, Ordering::Relaxed) + opened;
        let done = if self.work == 0 { 0.0 } else { (points as f64 / self.work as f64).min(1.0) };
        (self.progress)(Progress { monitor: monitor.name.clone(), done, points, findings });
    }
}

impl Limits {
    fn check(self, monitor: &Monitor, series: usize) -> Result<()> {
        let points = series.saturating_mul(monitor.window.steps(monitor.step));
        let refused = |what: String| Err(Error::invalid("query", what));
        if series > self.most_series {
            return refused(format!("yields {series} series; at most {} are replayed for one monitor", self.most_series));
        }
        if points > self.most_points {
            return refused(format!(
                "yields {series} series with windows of {}, which are {points} points; at most {} are held for one monitor",
                monitor.window, self.most_points
            ));
        }
        Ok(())
    }
}
