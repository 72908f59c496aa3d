//! The fitted model of one series, and how it judges one point after the other.
//!
//! Three views look at the standardised residual: `residual` (this point), `sustained` (the mean of the
//! last five) and `isolation_forest` (its course). Each gives a p-value calibrated on the residuals of
//! the training window; the smallest, times three, is the point's.

use linfa::prelude::{DatasetBase, Fit, ParamGuard};
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::features::{FEATURES, History};
use super::isolation_forest::IsolationForest;
use super::stretch::{Stretch, Tracker};
use crate::analysis::CannotSay;
use crate::analysis::baseline::Baseline;
use crate::analysis::calibrate::{self, Tail};
use crate::clock::{DurationMs, Timestamp};
use crate::finding::Direction;
use crate::series::Window;
use crate::words::words;

/// Raised whenever a stored model would be read or judge differently.
pub const FORMAT_VERSION: u32 = 1;
/// The views' number: what Bonferroni multiplies by.
const VIEWS: f64 = 3.0;
/// The most rows the forest's tail is calibrated on; they are spread evenly over the training window.
const CALIBRATION_ROWS: usize = 4000;
/// A past incident must not teach what is usual: where three of five residuals are this far off, they are left out…
const INCIDENT: f64 = 6.0;
/// …unless so much of the window is like that, for then it is how the series is.
const MOST_INCIDENTS: f64 = 0.05;
const SEED: u64 = 20_080;

words! {
    /// A way to look at the residual.
    Detector {
        /// The residual at this point.
        Residual = "residual",
        /// The mean of the last five residuals.
        Sustained = "sustained",
        /// An isolation forest over the course of the residual.
        IsolationForest = "isolation_forest",
    }
}

/// What one detector said of one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The detector.
    pub detector: Detector,
    /// Its p-value.
    pub p_value: f64,
    /// What it measured: a residual in scales, or the forest's score.
    pub statistic: f64,
}

impl View {
    /// The same in words.
    pub fn note(&self, judgement: &Judgement) -> String {
        let side = if self.statistic < 0.0 { "below" } else { "above" };
        match self.detector {
            Detector::Residual => {
                format!("{:.1} robust standard deviations {side} the expected value at {}", self.statistic.abs(), judgement.time)
            }
            Detector::Sustained => format!(
                "{:.1} robust standard deviations {side} it on average over five points, each counted up to 4",
                self.statistic.abs()
            ),
            Detector::IsolationForest => format!("isolation score {:.2}: the residual's course is unlike the past", self.statistic),
        }
    }
}

/// The judgement of one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// When.
    pub time: Timestamp,
    /// The value; NaN where it is missing.
    pub value: f64,
    /// What was expected.
    pub expected: f64,
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// The residual in scales; NaN where the value is missing.
    pub z: f64,
    /// The calibrated p-value over all views; NaN where the value is missing.
    pub p_value: f64,
    /// 0 as expected, 1 at the decision bound, above it anomalous; NaN where the value is missing.
    pub score: f64,
    /// What each view said.
    pub views: Vec<View>,
    /// The decision bound it was held against.
    pub alpha: f64,
}

impl Judgement {
    /// Whether the value lies within its bounds.
    pub fn in_band(&self) -> bool {
        self.value >= self.lower && self.value <= self.upper
    }

    /// Whether a view other than the forest spoke.
    pub fn deviates(&self) -> bool {
        self.views.iter().any(|v| v.detector != Detector::IsolationForest && v.p_value * VIEWS < self.alpha)
    }
}

/// How points are held against what is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The p-value at which the score is 1.
    pub alpha: f64,
    /// Only this direction counts; both when `None`.
    pub direction: Option<Direction>,
}

/// A fitted model of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The first time it was trained on.
    pub trained_from: Timestamp,
    /// The first time it was not trained on any more: where judging starts.
    pub trained_until: Timestamp,
    /// The time between two values.
    pub step: DurationMs,
    baseline: Baseline,
    above: Tail,
    below: Tail,
    sustained_above: Tail,
    sustained_below: Tail,
    forest: Option<(IsolationForest, Tail)>,
    history: History,
}

/// Where a series stands: everything that moves from one point to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    level: f64,
    history: History,
    tracker: Tracker,
}

impl State {
    /// The stretch that lasts.
    pub fn open(&self) -> Option<&Stretch> {
        self.tracker.open()
    }

    /// Ends the open stretch because its series can no longer be judged.
    pub fn close(&mut self, at: Timestamp) -> Option<Stretch> {
        self.tracker.close(at)
    }
}

impl Model {
    /// Learns from `window`.
    ///
    /// # Errors
    /// Why the series cannot be judged.
    pub fn fit(window: &Window) -> Result<Self, CannotSay> {
        let (baseline, mut residuals) = Baseline::fit(window)?;
        forget_incidents(&mut residuals);
        let mut history = History::default();
        let (mut sustained, mut rows) = (Vec::with_capacity(residuals.len()), Vec::with_capacity(residuals.len()));
        for z in &residuals {
            history.push(*z);
            sustained.push(history.sustained());
            rows.extend(history.features());
        }
        let present = residuals.iter().filter(|z| z.is_finite()).count();
        let too_short = || CannotSay::TooShort { present, needed: Tail::LEAST_SAMPLE };
        let negated = |sample: &[f64]| sample.iter().map(|z| -z).collect::<Vec<_>>();
        Ok(Self {
            trained_from: window.start(),
            trained_until: window.end(),
            step: window.step(),
            above: Tail::fit(&residuals).ok_or_else(too_short)?,
            below: Tail::fit(&negated(&residuals)).ok_or_else(too_short)?,
            sustained_above: Tail::fit(&sustained).ok_or_else(too_short)?,
            sustained_below: Tail::fit(&negated(&sustained)).ok_or_else(too_short)?,
            forest: fit_forest(&rows),
            baseline,
            history,
        })
    }

    /// The state right after the training window.
    pub fn start(&self) -> State {
        State { level: self.baseline.level(), history: self.history.clone(), tracker: Tracker::default() }
    }

    /// Judges the next point, one step after the one before, and moves the state on.
    /// With it the stretch that this point opened, continued or closed.
    pub fn step(&self, state: &mut State, time: Timestamp, value: f64, decision: Decision) -> (Judgement, Option<Stretch>) {
        let expected = self.baseline.expect(state.level, time);
        let value = if value.is_finite() { value } else { f64::NAN };
        let z = ((value - expected.value) / expected.scale).clamp(-1e9, 1e9);
        state.history.push(z);
        let views = self.views(&state.history, z, decision.direction);
        // Bonferroni: valid however the views depend on each other.
        let p_value = views.iter().map(|v| (v.p_value * VIEWS).min(1.0)).fold(f64::NAN, f64::min);
        let side = decision.alpha / VIEWS / sides(decision.direction);
        let judgement = Judgement {
            time,
            value,
            expected: expected.value,
            lower: self.baseline.within(expected.value - self.below.quantile(side).max(0.0) * expected.scale),
            upper: expected.value + self.above.quantile(side).max(0.0) * expected.scale,
            z,
            p_value,
            score: calibrate::score(p_value, decision.alpha),
            views,
            alpha: decision.alpha,
        };
        let stretch = state.tracker.push(&judgement, self.step);
        state.level = self.baseline.follow(state.level, time, value, state.tracker.open().is_some());
        if stretch.as_ref().is_some_and(|s| s.ended.is_some()) {
            state.history.calm();
        }
        (judgement, stretch)
    }

    /// The seasons that were found, shortest first.
    pub fn periods(&self) -> Vec<DurationMs> {
        self.baseline.periods()
    }

    /// What findings name as the model that judged them.
    pub fn version(&self) -> String {
        format!("{FORMAT_VERSION}@{}", self.trained_until)
    }

    /// Whether the numbers are such as [`Model::fit`] makes: a stored one may not be.
    pub fn is_sound(&self) -> bool {
        self.baseline.is_sound()
            && [&self.above, &self.below, &self.sustained_above, &self.sustained_below].iter().all(|t| t.is_sound())
            && self.forest.as_ref().is_none_or(|(forest, tail)| tail.is_sound() && forest.features() == FEATURES)
    }

    fn views(&self, history: &History, z: f64, direction: Option<Direction>) -> Vec<View> {
        if z.is_nan() {
            return Vec::new();
        }
        let tails = |above: &Tail, below: &Tail, x: f64| match direction {
            Some(Direction::Up) => above.p_value(x),
            Some(Direction::Down) => below.p_value(-x),
            None => (2.0 * above.p_value(x).min(below.p_value(-x))).min(1.0),
        };
        let mut views = vec![View { detector: Detector::Residual, p_value: tails(&self.above, &self.below, z), statistic: z }];
        let mean = history.sustained();
        if !mean.is_nan() {
            let p_value = tails(&self.sustained_above, &self.sustained_below, mean);
            views.push(View { detector: Detector::Sustained, p_value, statistic: mean });
        }
        let wanted = direction.is_none_or(|d| (d == Direction::Up) == (mean > 0.0));
        if let (true, Some((forest, tail)), Some(row)) = (wanted, &self.forest, history.features())
            && let Ok(score) = forest.score_one(&row)
        {
            views.push(View { detector: Detector::IsolationForest, p_value: tail.p_value(score), statistic: score });
        }
        views
    }
}

fn sides(direction: Option<Direction>) -> f64 {
    if direction.is_some() { 1.0 } else { 2.0 }
}

/// Blanks the residuals of past incidents, unless there are too many for incidents.
fn forget_incidents(residuals: &mut [f64]) {
    let n = residuals.len();
    let mut incident = vec![false; n];
    for i in 0..n.saturating_sub(4) {
        if residuals[i..i + 5].iter().filter(|z| z.abs() > INCIDENT).count() >= 3 {
            incident[i..i + 5].fill(true);
        }
    }
    if (incident.iter().filter(|x| **x).count() as f64) < n as f64 * MOST_INCIDENTS {
        residuals.iter_mut().zip(&incident).filter(|(_, x)| **x).for_each(|(z, _)| *z = f64::NAN);
    }
}

/// The forest on the features, and the tail of its scores; `None` when there are too few rows.
fn fit_forest(rows: &[[f64; FEATURES]]) -> Option<(IsolationForest, Tail)> {
    let every = rows.len().div_ceil(CALIBRATION_ROWS).max(1);
    let kept: Vec<[f64; FEATURES]> = rows.iter().copied().step_by(every).collect();
    let table = Array2::from_shape_vec((kept.len(), FEATURES), kept.concat()).ok()?;
    let forest = IsolationForest::params().seed(SEED).check().ok()?.fit(&DatasetBase::from(table.view())).ok()?;
    let scores =
        table.outer_iter().map(|row: ArrayView1<'_, f64>| forest.score_one(row.as_slice().unwrap_or_default()).unwrap_or(f64::NAN));
    let tail = Tail::fit(&scores.collect::<Vec<_>>())?;
    Some((forest, tail))
}
