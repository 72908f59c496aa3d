//! The causal replay: one input goes through the code that judges live series, in the same order.

use crate::analysis::detect::{Beside, Decision, Judgement, Model, News};
use crate::clock::{DurationMs, Timestamp};
use crate::engine::evaluate::Watched;
use crate::error::Result;
use crate::finding::Finding;
use crate::monitor::Monitor;
use crate::series::{SeriesKey, Window};

/// Points between two looks at whether a model is due; the grid is fixed to the input's start, so that what is cut off
/// later changes nothing before it.
pub const LOOK: usize = 60;

/// What was said of one row of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// When.
    pub time: Timestamp,
    /// The value; NaN where it is missing.
    pub value: f64,
    /// The anomaly score: 0 as expected, 1 at the bound; NaN where nothing can be said.
    pub score: f64,
    /// The calibrated p-value; NaN where nothing can be said.
    pub p_value: f64,
    /// What was expected, NaN before there is a model.
    pub expected: f64,
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// Whether a finding was open.
    pub finding: bool,
    /// The strength of what is told for the first time at this row: 0 where nothing is told.
    pub news: f64,
}

/// How inputs are replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The p-value at which the score is 1.
    pub decision: Decision,
    /// How much history a model learns from.
    pub window: DurationMs,
    /// How long a model serves.
    pub refit: DurationMs,
}

/// One series on its way through its past.
pub struct Replay {
    key: SeriesKey,
    monitor: Monitor,
    settings: Settings,
    step: DurationMs,
    next: Timestamp,
    pending: Vec<f64>,
    /// Rows whose values were taken in and are still to be judged.
    loaded: Vec<Row>,
    watched: Option<Watched>,
    findings: Vec<Finding>,
    news: Option<News>,
}

impl Replay {
    /// Nothing was seen yet; the first value is that of `start`.
    pub fn new(key: SeriesKey, monitor: Monitor, start: Timestamp, step: DurationMs, settings: Settings) -> Self {
        let news = Some(News::new(step));
        Self {
            key,
            monitor,
            settings,
            step,
            next: start,
            pending: Vec::new(),
            loaded: Vec::new(),
            watched: None,
            findings: Vec::new(),
            news,
        }
    }

    /// Without the column `news` of its rows, which takes time.
    #[must_use]
    pub fn without_news(self) -> Self {
        Self { news: None, ..self }
    }

    /// Takes in the next values, one each step, NaN where there is none, and gives the rows that are judged by now.
    ///
    /// # Errors
    /// The values do not fit a window: a fault of ours.
    pub fn push(&mut self, values: &[f64]) -> Result<Vec<Row>> {
        let mut rows = Vec::with_capacity(values.len() + LOOK);
        for value in values {
            self.pending.push(*value);
            if self.pending.len() == LOOK {
                self.judge(&mut rows)?;
            }
        }
        Ok(rows)
    }

    /// Judges what is left, and gives it with every finding there was.
    ///
    /// # Errors
    /// As [`Replay::push`].
    pub fn finish(mut self) -> Result<(Vec<Row>, Vec<Finding>)> {
        let mut rows = Vec::new();
        self.judge(&mut rows)?;
        Ok((rows, self.findings))
    }

    fn judge(&mut self, rows: &mut Vec<Row>) -> Result<()> {
        let values = std::mem::take(&mut self.pending);
        self.load(&values)?;
        rows.extend(self.say(|_| None));
        Ok(())
    }

    /// Takes in the next values, at most [`LOOK`] of them, which [`Replay::say`] is to judge before any more.
    ///
    /// # Errors
    /// As [`Replay::push`].
    pub fn load(&mut self, values: &[f64]) -> Result<()> {
        let Ok(window) = Window::new(self.next, self.step, values.to_vec()) else { return Ok(()) };
        for (i, value) in window.values().iter().enumerate() {
            let news = self.news.as_mut().and_then(|news| news.push(window.time(i), *value).news).unwrap_or(0.0);
            self.loaded.push(Row::unknown(window.time(i), *value, news));
        }
        // The model that judges these values was fitted before the first of them.
        let keep = self.settings.window.steps(self.step);
        match &mut self.watched {
            Some(watched) => {
                watched.fit_if_due(&self.key, self.next, self.settings.refit);
                watched.append(&window, keep)?;
            }
            None => self.watched = Some(Watched::new(window.clone())),
        }
        self.next = window.end();
        Ok(())
    }

    /// Judges what was loaded; `beside` tells what its peers say of a time.
    pub fn say(&mut self, beside: impl Fn(Timestamp) -> Option<Beside>) -> Vec<Row> {
        let mut rows = std::mem::take(&mut self.loaded);
        let (Some(start), Some(watched)) = (rows.first().map(|row| row.time), &mut self.watched) else { return rows };
        let step = self.step;
        let mut take = |judgement: &Judgement, open: bool| {
            // What is held back from a fit was judged before.
            if judgement.time >= start
                && let Some(row) = rows.get_mut(judgement.time.since(start).steps(step))
            {
                *row = Row::of(judgement, open, row.news);
            }
        };
        for (stretch, model) in watched.judge(self.settings.decision, beside, &mut take) {
            let finding = stretch.finding(&self.monitor, &self.key, &model);
            match self.findings.iter_mut().rev().find(|f| f.id == finding.id) {
                Some(known) => *known = finding,
                None if finding.ended.is_none_or(|ended| ended > start) => self.findings.push(finding),
                None => {}
            }
        }
        rows
    }

    /// What is watched, once there was a value.
    pub fn watched(&self) -> Option<&Watched> {
        self.watched.as_ref()
    }

    /// Takes over what a sibling learned.
    pub fn take_over(&mut self, model: Model) {
        if let Some(watched) = &mut self.watched {
            watched.take_over(model);
        }
    }
}

impl Row {
    fn unknown(time: Timestamp, value: f64, news: f64) -> Self {
        let nan = f64::NAN;
        Self { time, value, score: nan, p_value: nan, expected: nan, lower: nan, upper: nan, finding: false, news }
    }

    /// What was said of one point.
    pub fn of(judgement: &Judgement, finding: bool, news: f64) -> Self {
        let Judgement { time, value, score, p_value, expected, lower, upper, .. } = *judgement;
        Self { time, value, score, p_value, expected, lower, upper, finding, news }
    }
}
