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
use crate::engine::evaluate::{Judging, Said, Together, Windows, lend_to_the_young};
use crate::engine::guarded::samples::Samples;
use crate::engine::guarded::traffic::Traffic;
use crate::engine::guarded::{Guarded, Judged, Refusals, Standing};
use crate::error::{Code, Error, Result};
use crate::finding::{Finding, HeldBack};
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
    /// The same series beside each other, and what was said of groups of them.
    together: Together,
    groups: BTreeMap<SeriesKey, Seen>,
    /// When series first appeared that were there before the first piece.
    appeared: BTreeMap<SeriesKey, Timestamp>,
    /// Values that are no measurements.
    refused: Refusals,
}

/// One series under way.
struct Track {
    replay: Replay,
    seen: Seen,
    /// Whether any traffic of it is known.
    has_traffic: bool,
    /// The latest values, while none was ever judged.
    unsaid: Vec<f64>,
}

/// What is told of a series.
type Told = (SeriesSummary, Option<Picture>);

/// What came of a series: what is told of it, what was found, and what guards hold back.
type Finished = (Option<Told>, Vec<Noticed>, Vec<HeldBack>);

/// What there was of a series, or of a group of them, in the past.
#[derive(Debug, Default)]
struct Seen {
    guarded: Guarded,
    /// Findings of a group; those of a series are kept by its replay.
    findings: Vec<Finding>,
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
pub(crate) struct Replayed {
    pub(crate) report: MonitorReport,
    /// Its series with a place in the past, in order of their labels.
    pub(super) series: Vec<SeriesSummary>,
    /// Pictures of those in which something was found.
    pub(super) pictures: Vec<Picture>,
    /// What was found, before the past begins too: an incident may reach into it.
    pub(crate) noticed: Vec<Noticed>,
    /// What guards hold back, as far as it reaches into the past.
    pub(super) held_back: Vec<HeldBack>,
    pub(super) warnings: Vec<String>,
    /// Why it was not replayed.
    pub(super) refused: Option<Error>,
}

impl Tracks {
    pub(super) fn new(monitor: Monitor, settings: Settings, start: Timestamp, appeared: BTreeMap<SeriesKey, Timestamp>) -> Self {
        let (series, groups) = (BTreeMap::new(), BTreeMap::new());
        Self { monitor, settings, start, series, together: Together::default(), groups, appeared, refused: Refusals::new() }
    }

    /// How many series were there by now.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// How many findings were opened by now.
    pub(super) fn opened(&self) -> usize {
        let seen = self.series.values().map(|track| &track.seen).chain(self.groups.values());
        seen.map(|seen| seen.runs.len()).sum()
    }

    /// Replays the next `places` steps from `from` on, of which `piece` has what is there and `samples` what that is made of, all
    /// series at once, with the `traffic` that is known, `look` steps between two looks at whether a model is due. Gives the points there were, missing
    /// ones included.
    ///
    /// # Errors
    /// `stop` was set meanwhile, or a fault of ours.
    pub(super) fn push(
        &mut self,
        piece: Vec<Series>,
        samples: Option<&Samples>,
        from: Timestamp,
        (places, look): (usize, usize),
        traffic: &Traffic,
        stop: &AtomicBool,
    ) -> Result<usize> {
        let mut values: BTreeMap<SeriesKey, Vec<f64>> = BTreeMap::new();
        for series in piece {
            if !self.series.contains_key(&series.key) {
                let replay = Replay::new(series.key.clone(), self.monitor.clone(), from, self.monitor.step, self.settings).without_news();
                let seen = Seen { guarded: Guarded::since(self.appeared.get(&series.key).copied()), ..Seen::default() };
                let track = Track { replay, seen, has_traffic: false, unsaid: Vec::new() };
                self.series.insert(series.key.clone(), track);
            }
            let Some(track) = self.series.get_mut(&series.key) else { continue };
            let counted = samples.and_then(|samples| samples.counted(&series.key));
            let (window, refused) = track.seen.guarded.measure(&self.monitor.guards, counted, series.window);
            for (guard, values) in refused {
                *self.refused.entry(guard).or_default() += values;
            }
            values.insert(series.key, window.values().to_vec());
        }
        let nothing = vec![f64::NAN; places];
        for at in (0..places).step_by(look) {
            let chunk = at..places.min(at.saturating_add(look));
            let value = |key: &SeriesKey| &values.get(key).unwrap_or(&nothing)[chunk.clone()];
            self.series.par_iter_mut().try_for_each(|(key, track)| {
                if stop.load(Ordering::Relaxed) {
                    return Err(Error::new(Code::Unavailable, "the backtest was given up"));
                }
                track.replay.load(value(key))
            })?;
            self.judge_together();
            let Self { monitor, settings, start, series, together, .. } = self;
            let keep = settings.window.steps(monitor.step);
            series.par_iter_mut().for_each(|(key, track)| {
                track.has_traffic |= traffic.knows(monitor, key);
                let rows = track.replay.say(|time| together.view(key, time));
                track.seen.guard(&rows, monitor, key, traffic);
                track.push(&rows, value(key), *start, monitor.step, keep);
            });
            self.lend();
        }
        Ok(self.series.len() * places)
    }

    /// Judges what was loaded of all series beside each other.
    fn judge_together(&mut self) {
        let Self { monitor, settings, start, series, together, groups, .. } = self;
        let watched = || series.iter().filter_map(|(key, track)| Some((key, track.replay.watched()?)));
        let windows: Windows = watched().filter_map(|(key, watched)| Some((key, watched.window()?))).collect();
        let calm = watched().all(|(_, watched)| watched.open().is_none());
        let judging = Judging { monitor, decision: settings.decision, refit: settings.refit };
        let guards = monitor.guards.of_groups();
        for Said { key, judgements, findings } in together.advance(&windows, judging, calm) {
            let group = groups.entry(key.clone()).or_default();
            for (judgement, open) in &judgements {
                group.guarded.take(&guards, &Judged::from(judgement), *open, || None);
            }
            let rows: Vec<Row> = judgements.iter().map(|(judgement, open)| Row::of(judgement, *open, 0.0)).collect();
            group.take(&rows, *start, monitor.step);
            for (finding, _) in findings {
                match group.findings.iter_mut().rev().find(|known| known.id == finding.id) {
                    Some(known) => *known = finding,
                    None => group.findings.push(finding),
                }
            }
        }
    }

    /// Gives series that have just begun what a sibling knows.
    fn lend(&mut self) {
        let series: Vec<_> = self.series.iter().filter_map(|(key, track)| Some((key, track.replay.watched()?))).collect();
        for (key, model) in lend_to_the_young(&series, self.monitor.group_by.as_deref()) {
            if let Some(track) = self.series.get_mut(&key) {
                track.replay.take_over(model);
            }
        }
    }

    /// What came of it.
    ///
    /// # Errors
    /// A fault of ours.
    pub(super) fn finish(self, traffic: Option<&Traffic>) -> Result<Replayed> {
        let warnings = self.warnings(traffic.is_some());
        let nothing = Traffic::default();
        let traffic = traffic.unwrap_or(&nothing);
        let Self { monitor, settings, start, series: tracks, groups, .. } = self;
        let all = tracks.len();
        let finished: Result<Vec<Finished>> =
            tracks.into_par_iter().map(|(key, track)| track.finish(&monitor, &key, settings, start, traffic)).collect();
        let mut finished = finished?;
        finished.extend(groups.into_iter().map(|(key, mut group)| {
            let findings = std::mem::take(&mut group.findings);
            group.finish(findings, format!("{key} together"), &monitor, settings, start, String::new)
        }));
        let (mut series, mut noticed, mut held_back) = (Vec::new(), Vec::new(), Vec::new());
        for (told, found, held) in finished {
            series.push(told);
            noticed.push(found);
            held_back.extend(held);
        }
        let (series, pictures): (Vec<_>, Vec<_>) = series.into_iter().flatten().unzip();
        let (pictures, noticed) = (pictures.into_iter().flatten().collect(), noticed.concat());
        let report = MonitorReport {
            name: monitor.name,
            series: all,
            judged_series: series.iter().filter(|s| s.judged > 0).count(),
            judged_points: series.iter().map(|s| s.judged).sum(),
            findings: series.iter().map(|s| s.alerts).sum(),
            suppressed: held_back.len(),
            left_out: None,
        };
        Ok(Replayed { report, series, pictures, noticed, held_back, warnings, refused: None })
    }

    /// What guards left out or could not do; `reads_traffic` where their traffic was read.
    fn warnings(&self, reads_traffic: bool) -> Vec<String> {
        let refused = |(guard, values)| format!("{guard}: {values} values are no measurements and count as missing");
        let mut warnings: Vec<String> = self.refused.iter().map(refused).collect();
        let unknown: Vec<&SeriesKey> = self.series.iter().filter(|(_, track)| !track.has_traffic).map(|(key, _)| key).collect();
        if let Some(one) = unknown.first().filter(|_| reads_traffic) {
            let (some, all) = (unknown.len(), self.series.len());
            warnings.push(format!(
                "least_traffic: the query gives no traffic of {some} of {all} series, such as {one}, and holds nothing of them back"
            ));
        }
        warnings
    }
}

impl Track {
    fn push(&mut self, rows: &[Row], values: &[f64], start: Timestamp, step: DurationMs, keep: usize) {
        self.seen.take(rows, start, step);
        if self.seen.judged > 0 {
            self.unsaid = Vec::new();
        } else {
            self.unsaid.extend(values);
            self.unsaid.drain(..self.unsaid.len().saturating_sub(keep));
        }
    }

    /// What is told of the series, unless nothing of it lies in the past, and everything that was found.
    fn finish(mut self, monitor: &Monitor, key: &SeriesKey, settings: Settings, start: Timestamp, traffic: &Traffic) -> Result<Finished> {
        let (rows, findings) = self.replay.finish()?;
        self.seen.guard(&rows, monitor, key, traffic);
        self.seen.take(&rows, start, monitor.step);
        let first = self.seen.first.unwrap_or(start);
        let cannot_say = || match Window::new(first, monitor.step, self.unsaid) {
            Ok(window) => why_not(window, settings),
            _ => "silent: it has no value in this time".to_owned(),
        };
        Ok(self.seen.finish(findings, key.to_string(), monitor, settings, start, cannot_say))
    }
}

impl Seen {
    /// Tells the guards of the rows that were judged.
    fn guard(&mut self, rows: &[Row], monitor: &Monitor, key: &SeriesKey, traffic: &Traffic) {
        for row in rows {
            let Row { time, value, expected, lower, upper, score, .. } = *row;
            let judged = Judged { time, value, expected, lower, upper, score };
            self.guarded.take(&monitor.guards, &judged, row.finding, || traffic.at(monitor, key, time));
        }
    }

    /// What was found, in order of onset, and what of it guards hold back.
    fn sorted(&self, findings: Vec<Finding>, monitor: &Monitor) -> (Vec<Noticed>, Vec<HeldBack>) {
        let (mut noticed, mut held_back) = (Vec::new(), Vec::new());
        for finding in findings {
            match self.guarded.standing(finding.onset, finding.last_seen) {
                Standing::HeldBack(why) => held_back.push(HeldBack { finding, suppressed: why.reason(monitor.unit) }),
                Standing::Counts { since } => {
                    let noticed_at = self.runs.noticed(finding);
                    noticed.push(Noticed { opened: noticed_at.opened.max(since), ..noticed_at });
                }
            }
        }
        noticed.sort_by_key(|n| n.finding.onset);
        held_back.sort_by_key(|held| held.finding.onset);
        (noticed, held_back)
    }

    /// What is told of it under the name `channel`, unless nothing of it lies in the past, and everything that was found.
    fn finish(
        self,
        findings: Vec<Finding>,
        channel: String,
        monitor: &Monitor,
        settings: Settings,
        start: Timestamp,
        cannot_say: impl FnOnce() -> String,
    ) -> Finished {
        let (noticed, mut held_back) = self.sorted(findings, monitor);
        held_back.retain(|held| held.finding.ended.is_none_or(|ended| ended > start));
        let Self { first: Some(first), last, rows, missing, judged, picture, .. } = self else {
            return (None, noticed, held_back);
        };
        let found: Vec<&Noticed> = noticed.iter().filter(|n| n.closed.is_none_or(|closed| closed > start)).collect();
        let days = judged as f64 * monitor.step.seconds() / DurationMs::DAY.seconds();
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
        (Some((summary, picture)), noticed, held_back)
    }

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
