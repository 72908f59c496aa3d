//! The rows of one file, in order of time, on their way to scores, measures and a picture.

use std::collections::VecDeque;

use super::agreement::{Agreed, Agreement, Truth, alerts};
use super::one::{Done, Job};
use super::scores::{Line, Scores};
use crate::analysis::calibrate;
use crate::analysis::detect::Decision;
use crate::backtest::group::Group;
use crate::backtest::input::grid::{Grid, Place};
use crate::backtest::picture::{MOST_MARKS, Thinned};
use crate::backtest::replay::{Row, Settings};
use crate::backtest::score::event::Points;
use crate::backtest::summary::{Found, SeriesSummary};
use crate::clock::{DurationMs, Timestamp};
use crate::engine::evaluate::Watched;
use crate::error::Result;
use crate::metric::Unit;
use crate::monitor::Monitor;
use crate::series::{SeriesKey, Window};
use crate::source::file::{Columns, Slice};

/// Values of a channel that are replayed at once.
const CHUNK: usize = 4096;
/// The fewest and the most points that a model learns from, whatever the step; a monitor may have no more either.
const WINDOW_STEPS: (i64, i64) = (336, 130_000);
/// Points of a picture.
const MOST_POINTS: usize = 4096;
/// The fewest points for which a model serves.
const REFIT_STEPS: i64 = 24;

/// A file under way.
pub(super) struct Track<'a> {
    job: &'a Job<'a>,
    channels: Vec<String>,
    grid: Grid,
    settings: Settings,
    group: Group,
    scores: Scores<'a>,
    agreement: Option<Agreement<'a>>,
    picture: Thinned,
    /// Values of each channel that are not replayed yet.
    chunk: Vec<Vec<f64>>,
    /// Places whose values are replayed, and how many of them are judged.
    replayed: usize,
    judged: usize,
    /// What was said of the last place that is judged.
    latest: Option<Row>,
    /// Rows whose places are not judged yet, with their places.
    waiting: VecDeque<(usize, Truth)>,
    /// The first channel's values, while there is no score.
    unsaid: Vec<f64>,
    counts: Counts,
    last: Timestamp,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    rows: usize,
    duplicates: usize,
    missing: usize,
    scored_rows: usize,
    scored_places: usize,
}

impl<'a> Track<'a> {
    /// No row yet; they will begin at these `times`. Rows that do not come in the file's order are not `ordered`.
    ///
    /// # Errors
    /// No step can be told from the times, or the scores cannot be written.
    pub(super) fn new(job: &'a Job<'a>, columns: &Columns, times: &[Timestamp], ordered: bool) -> Result<Self> {
        let grid = Grid::new(times).ok_or_else(|| {
            let column = &columns.time;
            job.fault(format!("has fewer than two different times in column `{column}` at its beginning; the step cannot be told"))
        })?;
        let (start, step) = (grid.start(), grid.step());
        let points_per_day = DurationMs::DAY.millis() as f64 / step.millis() as f64;
        let alpha = calibrate::bound(job.terms.per_day, job.terms.files, points_per_day);
        let settings = Settings {
            decision: Decision { alpha, direction: None },
            window: job.terms.window.clamp(step * WINDOW_STEPS.0, step * WINDOW_STEPS.1),
            refit: job.terms.refit.max(step * REFIT_STEPS),
        };
        let monitor = Monitor { window: settings.window, ..Monitor::ad_hoc(step, None) };
        let channels = columns.channels.clone();
        Ok(Self {
            group: Group::new(&channels, &monitor, start, step, settings),
            scores: Scores::create(job.scores, ordered)?,
            agreement: (job.windows.is_some() || columns.label.is_some()).then(|| Agreement::new(job.windows)),
            picture: Thinned::new(start, step, MOST_POINTS),
            chunk: vec![Vec::with_capacity(CHUNK); channels.len()],
            replayed: 0,
            judged: 0,
            latest: None,
            waiting: VecDeque::new(),
            unsaid: Vec::new(),
            counts: Counts::default(),
            last: start,
            job,
            channels,
            grid,
            settings,
        })
    }

    /// Takes in row `i` of `slice`; false when it is earlier than the one before.
    ///
    /// # Errors
    /// The row is too far from the one before, or the scores cannot be written.
    pub(super) fn row(&mut self, slice: &Slice, i: usize) -> Result<bool> {
        let (time, row) = (slice.times[i], slice.before + i);
        let place = match self.grid.place(time) {
            Place::Disordered => return Ok(false),
            Place::TooFar(steps) => {
                let (row, step) = (row + 1, self.grid.step());
                return Err(self.job.fault(format!("has a row {row} that comes {steps} steps of {step} after the one before it")));
            }
            Place::Taken(place) => {
                self.counts.duplicates += 1;
                place
            }
            Place::Free(place) => {
                while self.replayed + self.chunk[0].len() < place {
                    self.chunk.iter_mut().for_each(|channel| channel.push(f64::NAN));
                    self.replay(CHUNK)?;
                }
                self.chunk.iter_mut().zip(&slice.values).for_each(|(channel, values)| channel.push(values[i]));
                place
            }
        };
        let flag = |flags: &Option<Vec<bool>>| flags.as_ref().is_some_and(|flags| flags[i]);
        let truth = Truth { row, time, value: slice.values[0][i], label: flag(&slice.labels), train: flag(&slice.train) };
        self.counts.rows += 1;
        self.counts.missing += slice.values.iter().filter(|values| !values[i].is_finite()).count();
        self.last = time;
        match &self.latest {
            Some(said) if place < self.judged => {
                let said = said.clone();
                self.said(truth, &said)?;
            }
            _ => self.waiting.push_back((place, truth)),
        }
        self.replay(CHUNK)?;
        Ok(true)
    }

    /// Replays what is there, if it is at least so many values of a channel.
    fn replay(&mut self, least: usize) -> Result<()> {
        let places = self.chunk[0].len();
        if places < least {
            return Ok(());
        }
        if self.counts.scored_places == 0 {
            self.unsaid.extend(&self.chunk[0]);
            let keep = self.settings.window.steps(self.grid.step());
            self.unsaid.drain(..self.unsaid.len().saturating_sub(keep));
        }
        let rows = self.group.push(&self.chunk)?;
        self.replayed += places;
        self.chunk.iter_mut().for_each(Vec::clear);
        self.take(rows)
    }

    /// Takes in what was said of the next places.
    fn take(&mut self, rows: Vec<Row>) -> Result<()> {
        for said in rows {
            self.picture.push(&said);
            self.counts.scored_places += usize::from(!said.score.is_nan());
            while let Some((_, truth)) = self.waiting.pop_front_if(|(place, _)| *place == self.judged) {
                self.said(truth, &said)?;
            }
            self.judged += 1;
            self.latest = Some(said);
        }
        Ok(())
    }

    /// Writes and counts what was said of a row.
    fn said(&mut self, truth: Truth, said: &Row) -> Result<()> {
        self.counts.scored_rows += usize::from(!said.score.is_nan());
        if let Some(agreement) = &mut self.agreement {
            agreement.row(truth, said);
        }
        let value = if self.channels.len() == 1 { truth.value } else { said.value };
        self.scores.line(Line { row: truth.row, time: truth.time, value, said: said.clone() })
    }

    /// Rows, values, points and scores that are held; what the models hold is their window.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let chunk: usize = self.chunk.iter().map(Vec::capacity).sum();
        let labelled = self.agreement.as_ref().map_or(0, Agreement::held);
        chunk + self.waiting.capacity() + self.unsaid.capacity() + self.picture.held() + labelled
    }

    /// Judges what is left; so many rows were `disordered` in the file.
    ///
    /// # Errors
    /// The rows belong to several series, or the scores cannot be written.
    pub(super) fn finish(mut self, disordered: usize) -> Result<Done> {
        self.replay(1)?;
        let (rows, findings) = self.group.finish()?;
        self.take(rows)?;
        self.scores.finish()?;
        let Counts { rows, duplicates, missing, scored_rows, scored_places } = self.counts;
        if duplicates > rows / 2 {
            let what = format!("has {rows} rows for {} times", rows - duplicates);
            return Err(self.job.fault(format!("{what}; each series belongs in a column or a file of its own")));
        }
        let mut findings: Vec<Found> = findings.iter().map(|(channel, finding)| Found::new(&self.channels[*channel], finding)).collect();
        let labelled_marks = self.agreement.as_ref().map(|agreement| agreement.marks(MOST_MARKS)).unwrap_or_default();
        let agreed = self.agreement.map(|agreement| agreement.finish(&mut findings));
        let step = self.grid.step();
        let days_of = |points: usize| points as f64 * step.seconds() / DurationMs::DAY.seconds();
        let (days, alerts) = (days_of(scored_places), alerts(&findings).len());
        let (not_right, not_right_days) =
            agreed.as_ref().map_or((alerts, days), |agreed| (agreed.labelled.false_alerts, days_of(agreed.scored)));
        let name = &self.job.input.name;
        let picture = self.picture.hung(name, Unit::None, &findings, labelled_marks);
        let listed = self.job.terms.listed();
        let findings_left_out = findings.len().saturating_sub(listed);
        findings.truncate(listed);
        // What was left out is not held either.
        findings.shrink_to_fit();
        let (labelled, at_bound, measured) = match agreed {
            Some(Agreed { labelled, at_bound, measured, .. }) => (Some(labelled), at_bound, Some(measured)),
            None => (None, Points::default(), None),
        };
        let not_measured = measured.as_ref().and_then(|measured| measured.as_ref().err().cloned());
        let summary = SeriesSummary {
            path: name.clone(),
            rows,
            missing,
            gaps: self.judged - (rows - duplicates),
            duplicates,
            disordered,
            first: self.grid.start(),
            last: self.last,
            step,
            alpha: self.settings.decision.alpha,
            judged: scored_rows,
            cannot_say: (scored_rows == 0).then(|| cannot_say(&self.channels, self.unsaid, self.grid, self.settings)),
            findings,
            findings_left_out,
            alerts,
            alerts_per_day: (days > 0.0).then(|| alerts as f64 / days),
            labelled,
            not_measured,
            channels: self.channels,
        };
        Ok(Done { summary, picture, at_bound, measured: measured.and_then(Result::ok), days, not_right, not_right_days })
    }
}

/// Why the latest `values` of the first channel are not judged: what the engine says of them.
fn cannot_say(channels: &[String], values: Vec<f64>, grid: Grid, settings: Settings) -> String {
    let too_few = || "too short: the first model would need more values than there are".to_owned();
    let Ok(window) = Window::new(grid.start(), grid.step(), values) else { return too_few() };
    let (key, end) = (SeriesKey::default(), window.end());
    let mut watched = Watched::new(window);
    watched.fit_if_due(&key, end, settings.refit);
    let reason = watched.status(&key).cannot_say.unwrap_or_else(too_few);
    match channels {
        [first, _, ..] => format!("{first}: {reason}"),
        _ => reason,
    }
}
