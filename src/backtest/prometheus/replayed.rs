//! One monitor on its way through its past.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::MonitorReport;
use crate::backtest::incidents::{Noticed, Runs};
use crate::backtest::inline::why_not;
use crate::backtest::picture::Thinned;
use crate::backtest::replay::{Replay, Row, Settings};
use crate::backtest::summary::{Found, MOST_FINDINGS, Picture, SeriesSummary};
use crate::clock::{DurationMs, Timestamp};
use crate::error::{Code, Error, Result};
use crate::monitor::Monitor;
use crate::series::{Series, SeriesKey, Window};

/// Points of a picture: there may be thousands of series at once.
const MOST_POINTS: usize = 1024;

/// The series of one monitor under way.
pub(super) struct Tracks {
    monitor: Monitor,
    settings: Settings,
    /// Where the past begins; what is before it is only learned from.
    start: Timestamp,
    series: BTreeMap<SeriesKey, Track>,
}

/// One series under way.
struct Track {
    replay: Replay,
    seen: Seen,
    /// The latest values, while none was ever judged.
    unsaid: Vec<f64>,
}

/// What is told of a series.
type Told = (SeriesSummary, Option<Picture>);

/// What there was of a series in the past.
#[derive(Debug, Default)]
struct Seen {
    runs: Runs,
    picture: Option<Thinned>,
    first: Option<Timestamp>,
    last: Timestamp,
    rows: usize,
    missing: usize,
    judged: usize,
}

/// What came of one monitor.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    pub(super) report: MonitorReport,
    /// Its series with a place in the past, in order of their labels.
    pub(super) series: Vec<SeriesSummary>,
    /// Pictures of those in which something was found.
    pub(super) pictures: Vec<Picture>,
    /// What was found, before the past begins too: an incident may reach into it.
    pub(super) noticed: Vec<Noticed>,
    pub(super) warnings: Vec<String>,
    /// Why it was not replayed.
    pub(super) refused: Option<Error>,
}

impl Tracks {
    pub(super) fn new(monitor: Monitor, settings: Settings, start: Timestamp) -> Self {
        Self { monitor, settings, start, series: BTreeMap::new() }
    }

    /// How many series were there by now.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// How many findings were opened by now.
    pub(super) fn opened(&self) -> usize {
        self.series.values().map(|track| track.seen.runs.len()).sum()
    }

    /// Replays the next `places` steps from `from` on, of which `piece` has what is there, all series at once. Gives
    /// the points there were, missing ones included.
    ///
    /// # Errors
    /// `stop` was set meanwhile, or a fault of ours.
    pub(super) fn push(&mut self, piece: Vec<Series>, from: Timestamp, places: usize, stop: &AtomicBool) -> Result<usize> {
        let mut values: BTreeMap<SeriesKey, Vec<f64>> = BTreeMap::new();
        for series in piece {
            if !self.series.contains_key(&series.key) {
                let replay = Replay::new(series.key.clone(), self.monitor.clone(), from, self.monitor.step, self.settings);
                self.series.insert(series.key.clone(), Track { replay, seen: Seen::default(), unsaid: Vec::new() });
            }
            values.insert(series.key, series.window.values().to_vec());
        }
        let step = self.monitor.step;
        let (nothing, start, keep) = (vec![f64::NAN; places], self.start, self.settings.window.steps(step));
        self.series.par_iter_mut().try_for_each(|(key, track)| {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::new(Code::Unavailable, "the backtest was given up"));
            }
            track.push(values.get(key).unwrap_or(&nothing), start, step, keep)
        })?;
        Ok(self.series.len() * places)
    }

    /// What came of it.
    ///
    /// # Errors
    /// A fault of ours.
    pub(super) fn finish(self, warnings: Vec<String>) -> Result<Replayed> {
        let Self { monitor, settings, start, series: tracks } = self;
        let all = tracks.len();
        let finished: Vec<(Option<Told>, Vec<Noticed>)> =
            tracks.into_par_iter().map(|(key, track)| track.finish(&monitor, &key, settings, start)).collect::<Result<_>>()?;
        let (series, noticed): (Vec<_>, Vec<_>) = finished.into_iter().unzip();
        let (series, pictures): (Vec<_>, Vec<_>) = series.into_iter().flatten().unzip();
        let (pictures, noticed) = (pictures.into_iter().flatten().collect(), noticed.concat());
        let report = MonitorReport {
            name: monitor.name,
            series: all,
            judged_series: series.iter().filter(|s| s.judged > 0).count(),
            judged_points: series.iter().map(|s| s.judged).sum(),
            findings: series.iter().map(|s| s.alerts).sum(),
            left_out: None,
        };
        Ok(Replayed { report, series, pictures, noticed, warnings, refused: None })
    }
}

impl Track {
    fn push(&mut self, values: &[f64], start: Timestamp, step: DurationMs, keep: usize) -> Result<()> {
        let rows = self.replay.push(values)?;
        self.seen.take(&rows, start, step);
        if self.seen.judged > 0 {
            self.unsaid = Vec::new();
        } else {
            self.unsaid.extend(values);
            self.unsaid.drain(..self.unsaid.len().saturating_sub(keep));
        }
        Ok(())
    }

    /// What is told of the series, unless nothing of it lies in the past, and everything that was found.
    fn finish(mut self, monitor: &Monitor, key: &SeriesKey, settings: Settings, start: Timestamp) -> Result<(Option<Told>, Vec<Noticed>)> {
        let (rows, findings) = self.replay.finish()?;
        self.seen.take(&rows, start, monitor.step);
        let mut noticed: Vec<Noticed> = findings.into_iter().map(|finding| self.seen.runs.noticed(finding)).collect();
        noticed.sort_by_key(|n| n.finding.onset);
        let Seen { first: Some(first), last, rows, missing, judged, picture, .. } = self.seen else { return Ok((None, noticed)) };
        let channel = key.to_string();
        let found: Vec<&Noticed> = noticed.iter().filter(|n| n.closed.is_none_or(|closed| closed > start)).collect();
        let days = judged as f64 * monitor.step.seconds() / DurationMs::DAY.seconds();
        let cannot_say = || match Window::new(first, monitor.step, self.unsaid) {
            Ok(window) => why_not(window, settings),
            _ => "silent: it has no value in this time".to_owned(),
        };
        let summary = SeriesSummary {
            path: format!("{} {channel}", monitor.name).trim_start().to_owned(),
            rows,
            missing,
            gaps: 0,
            duplicates: 0,
            disordered: 0,
            first,
            last,
            step: monitor.step,
            alpha: settings.decision.alpha,
            judged,
            cannot_say: (judged == 0).then(cannot_say),
            findings: found.iter().take(MOST_FINDINGS).map(|n| Found::new(&channel, &n.finding)).collect(),
            findings_left_out: found.len().saturating_sub(MOST_FINDINGS),
            alerts: found.len(),
            alerts_per_day: (judged > 0).then(|| found.len() as f64 / days),
            labelled: None,
            not_measured: None,
            channels: vec![channel],
        };
        let picture = picture.filter(|_| summary.alerts > 0);
        let picture = picture.and_then(|picture| picture.hung(&summary.path, monitor.unit, &summary.findings, Vec::new()));
        Ok((Some((summary, picture)), noticed))
    }
}

impl Seen {
    fn take(&mut self, rows: &[Row], start: Timestamp, step: DurationMs) {
        self.runs.push(rows);
        for row in rows.iter().filter(|row| row.time >= start) {
            self.first = self.first.or(Some(row.time));
            self.last = row.time;
            self.rows += 1;
            self.missing += usize::from(row.value.is_nan());
            self.judged += usize::from(!row.score.is_nan());
            self.picture.get_or_insert_with(|| Thinned::new(row.time, step, MOST_POINTS)).push(row);
        }
    }
}

impl Replayed {
    /// A monitor that cannot be replayed.
    pub(super) fn left_out(monitor: &Monitor, why: Error) -> Self {
        let report = MonitorReport { name: monitor.name.clone(), left_out: Some(why.chain()), ..MonitorReport::default() };
        Self { report, refused: Some(why), ..Self::default() }
    }
}
