//! The fitted model of one series, and how it judges one point after the other.
//!
//! Six views look at it: `residual` (what is new at this point), `sustained` (the mean of the last five),
//! `energy` (their root mean square), `level` (how far it is from where it was before anything was abnormal),
//! `isolation_forest` (the course of the residual) and `shape` (the latest stretch itself, where the series has a
//! rhythm). Each gives a p-value calibrated on the training window; the smallest, each over
//! its weight, is the point's: Bonferroni's bound with weights, valid however the views depend on each other.

use std::collections::VecDeque;

use linfa::prelude::{DatasetBase, Fit, ParamGuard};
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::features::{FEATURES, History};
use super::isolation_forest::IsolationForest;
use super::shape::Shapes;
use super::stretch::{Stretch, Tracker};
use crate::analysis::CannotSay;
use crate::analysis::baseline::{Baseline, Learned};
use crate::analysis::calibrate::{self, Tail};
use crate::clock::{DurationMs, Timestamp};
use crate::finding::Direction;
use crate::series::Window;
use crate::words::words;

/// Raised whenever a stored model would be read or judge differently.
pub const FORMAT_VERSION: u32 = 2;
/// The most rows the forest's tail is calibrated on; they are spread evenly over the training window.
const CALIBRATION_ROWS: usize = 4000;
/// A past incident must not teach what is usual: where three of five residuals are this far off, they are left out…
const INCIDENT: f64 = 6.0;
/// …unless so much of the window is like that, for then it is how the series is.
const MOST_INCIDENTS: f64 = 0.05;
/// A series of so many equal values is one that does not change; before that it may just not have begun.
const CONSTANT: usize = 1000;
/// The forest of a series is small: it is kept for each, and its word weighs little.
const TREES: usize = 9;
/// Rows each tree is grown on.
const SAMPLE: usize = 32;
const SEED: u64 = 20_080;

words! {
    /// A way to look at the residual.
    Detector {
        /// The residual at this point.
        Residual = "residual",
        /// How far three of the last five values are from the slow level, which does not follow what is abnormal.
        Level = "level",
        /// The mean of the last five residuals.
        Sustained = "sustained",
        /// The root mean square of the last five residuals.
        Energy = "energy",
        /// An isolation forest over the course of the residual.
        IsolationForest = "isolation_forest",
        /// The shape of the latest stretch.
        Shape = "shape",
        /// That a series changes that never did.
        Constant = "constant",
    }
}

impl Detector {
    /// Its share of the error (weighted Bonferroni; Genovese, Roeder & Wasserman, Biometrika 2006). Those of the views that
    /// make the score add up to 1; those that open a finding, level, shape and forest, to less.
    fn weight(self) -> f64 {
        match self {
            Self::Level => 0.6,
            Self::Residual | Self::Energy => 0.36,
            Self::Shape => 0.18,
            Self::Sustained | Self::IsolationForest => 0.05,
            // It is alone.
            Self::Constant => 1.0,
        }
    }
}

/// What one detector said of one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The detector.
    pub detector: Detector,
    /// Its p-value.
    pub p_value: f64,
    /// What it measured: a residual in scales, the forest's score, a distance of shapes, or a plain difference.
    pub statistic: f64,
}

impl View {
    /// Its p-value as part of all views.
    fn bounded(&self) -> f64 {
        (self.p_value / self.detector.weight()).min(1.0)
    }

    /// The same in words.
    pub fn note(&self, judgement: &Judgement) -> String {
        let side = if self.statistic < 0.0 { "below" } else { "above" };
        match self.detector {
            Detector::Residual => {
                format!("{:.1} robust standard deviations {side} the expected value at {}", self.statistic.abs(), judgement.time)
            }
            Detector::Constant => format!("it never was but {} in {:.0} values", judgement.expected, 1.0 / self.p_value - 1.0),
            Detector::Level => {
                format!("three of five values at least {:.1} robust standard deviations {side} the level it had", self.statistic.abs())
            }
            Detector::Sustained => format!(
                "{:.1} robust standard deviations {side} it on average over five points, each counted up to 4",
                self.statistic.abs()
            ),
            Detector::Energy => {
                format!("deviations of {:.1} robust standard deviations, root mean square over five points", self.statistic)
            }
            Detector::Shape => format!("the latest stretch is {:.2} standard deviations from the nearest known shape", self.statistic),
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
    /// How surprising the point is: the calibrated p-value over all views but that of the level, which stays where it is
    /// long after it surprised. NaN where the value is missing.
    pub p_value: f64,
    /// The same as a score: 0 as expected, 1 at the decision bound, above it anomalous; NaN where the value is missing.
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

    /// The p-value over all views, that of the level too.
    pub fn strength(&self) -> f64 {
        self.views.iter().map(View::bounded).fold(self.p_value, f64::min)
    }

    /// Whether the point is one of those that open a finding: it surprises and is not where it is expected, or the course or
    /// shape of the series is new. What only springs back after a spike is where it is expected.
    pub fn is_abnormal(&self) -> bool {
        self.score >= 1.0 && (!self.in_band() || self.speaks(|detector| matches!(detector, Detector::IsolationForest | Detector::Shape)))
    }

    fn speaks(&self, which: impl Fn(Detector) -> bool) -> bool {
        self.views.iter().filter(|v| which(v.detector)).any(|v| v.bounded() < self.alpha)
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

/// What the views would have seen of a run of surprises.
struct Past {
    surprises: Vec<f64>,
    sustained: Vec<f64>,
    energy: Vec<f64>,
    history: History,
}

impl Past {
    fn of(surprises: &[f64]) -> Self {
        let n = surprises.len();
        let (mut sustained, mut energy) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let mut history = History::default();
        for z in surprises {
            history.push(*z);
            sustained.push(history.sustained());
            energy.push(history.energy());
        }
        Self { surprises: surprises.to_vec(), sustained, energy, history }
    }
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
    /// How many values the series had, if they were all the same.
    constant: Option<usize>,
    /// How far below and above the expected value three of five values usually are: that is what opens a finding, and
    /// runs are as frequent as the residuals hang together.
    band: (Tail, Tail),
    above: Tail,
    below: Tail,
    sustained_above: Tail,
    sustained_below: Tail,
    energy: Tail,
    forest: Option<(IsolationForest, Tail)>,
    shapes: Option<Shapes>,
    /// The latest surprises, and the latest residuals.
    history: History,
    course: History,
    /// The latest values, as many as a shape spans, and for how many points more they hold some of an incident.
    latest: VecDeque<f64>,
    healing: usize,
}

/// Where a series stands: everything that moves from one point to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    level: f64,
    recent: f64,
    history: History,
    course: History,
    latest: VecDeque<f64>,
    /// Points until the latest values hold nothing of the last stretch any more.
    healing: usize,
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
        let Learned { baseline, mut residuals, surprises } = match Baseline::fit(window) {
            Err(flat @ CannotSay::Flat(value)) if window.present() >= CONSTANT => return Self::constant(window, value).ok_or(flat),
            learned => learned?,
        };
        forget_incidents(&mut residuals);
        let (course, rows) = course(&residuals);
        let shapes = Shapes::fit(window.values());
        let past = Past::of(&surprises);
        let mut calm = surprises;
        forget_incidents(&mut calm);
        let calm = Past::of(&calm);
        let present = calm.surprises.iter().filter(|z| z.is_finite()).count();
        let too_short = || CannotSay::TooShort { present, needed: Tail::LEAST_SAMPLE };
        let (lowest, highest) = thirds(&residuals);
        let negated = |sample: &[f64]| sample.iter().map(|z| -z).collect::<Vec<_>>();
        let tail = |sample: &[f64]| Tail::fit(sample).ok_or_else(too_short);
        // The tails are those of calm times, but no lighter than those of all times.
        let both = |calm: &[f64], all: &[f64]| tail(calm).map(|tail| tail.no_lighter_than(all));
        Ok(Self {
            trained_from: window.start(),
            trained_until: window.end(),
            step: window.step(),
            constant: None,
            band: (tail(&negated(&lowest))?, tail(&highest)?),
            above: both(&calm.surprises, &past.surprises)?,
            below: both(&negated(&calm.surprises), &negated(&past.surprises))?,
            sustained_above: both(&calm.sustained, &past.sustained)?,
            sustained_below: both(&negated(&calm.sustained), &negated(&past.sustained))?,
            energy: both(&calm.energy, &past.energy)?,
            forest: fit_forest(&rows),
            healing: healing(&residuals, shapes.as_ref()),
            latest: latest(window.values(), shapes.as_ref()),
            shapes,
            baseline,
            history: past.history,
            course,
        })
    }

    /// The model of a series that never was but `value`.
    fn constant(window: &Window, value: f64) -> Option<Self> {
        let none = Tail::fit(&[0.0; Tail::LEAST_SAMPLE])?;
        Some(Self {
            trained_from: window.start(),
            trained_until: window.end(),
            step: window.step(),
            baseline: Baseline::constant(window, value),
            constant: Some(window.present()),
            band: (none.clone(), none.clone()),
            above: none.clone(),
            below: none.clone(),
            sustained_above: none.clone(),
            sustained_below: none.clone(),
            energy: none,
            forest: None,
            shapes: None,
            history: History::default(),
            course: History::default(),
            latest: VecDeque::new(),
            healing: 0,
        })
    }

    /// The state right after the training window.
    pub fn start(&self) -> State {
        State {
            level: self.baseline.level(),
            recent: self.baseline.recent(),
            history: self.history.clone(),
            course: self.course.clone(),
            latest: self.latest.clone(),
            healing: self.healing,
            tracker: Tracker::default(),
        }
    }

    /// Judges the next point, one step after the one before, and moves the state on.
    /// With it the stretch that this point opened, continued or closed.
    pub fn step(&self, state: &mut State, time: Timestamp, value: f64, decision: Decision) -> (Judgement, Option<Stretch>) {
        let value = if value.is_finite() { value } else { f64::NAN };
        if let Some(n) = self.constant {
            let judgement = self.change(n, time, value, decision);
            let stretch = state.tracker.push(&judgement, self.step);
            return (judgement, stretch);
        }
        let expected = self.baseline.expect(state.level, time);
        let z = ((value - expected.value) / expected.scale).clamp(-1e9, 1e9);
        let (surprise, recent) = self.baseline.surprise(state.recent, time, value);
        state.recent = recent;
        state.history.push(surprise.clamp(-1e9, 1e9));
        state.course.push(z);
        let side = decision.alpha * Detector::Level.weight() / sides(decision.direction);
        let lower = self.baseline.within(expected.value - self.band.0.quantile(side).max(0.0) * expected.scale);
        let upper = expected.value + self.band.1.quantile(side).max(0.0) * expected.scale;
        if let Some(shapes) = &self.shapes {
            // One value that is far off is no shape.
            let (least, most) = (2.0 * lower - expected.value, 2.0 * upper - expected.value);
            state.latest.push_back(if value.is_nan() { value } else { value.max(least).min(most) });
            while state.latest.len() > shapes.span() {
                state.latest.pop_front();
            }
        }
        let mut views = self.views(state, decision.direction);
        let p_value = views.iter().map(View::bounded).fold(f64::NAN, f64::min);
        let (low, high) = state.course.third();
        let far = if high > -low { high } else { low };
        if !z.is_nan() && !far.is_nan() {
            let p_value = either(&self.band.1, &self.band.0, far, decision.direction);
            views.push(View { detector: Detector::Level, p_value, statistic: far });
        }
        let judgement = Judgement {
            time,
            value,
            expected: expected.value,
            lower,
            upper,
            z,
            p_value,
            score: calibrate::score(p_value, decision.alpha),
            views,
            alpha: decision.alpha,
        };
        let stretch = state.tracker.push(&judgement, self.step);
        state.level = self.baseline.follow(state.level, time, value, state.tracker.open().is_some());
        if stretch.as_ref().is_some_and(|s| s.ended.is_some()) {
            // The way back is no news.
            state.history.calm();
            state.course.calm();
            state.recent = state.level;
            state.healing = state.latest.len();
        } else {
            state.healing = state.healing.saturating_sub(1);
        }
        (judgement, stretch)
    }

    /// The judgement of a point of a series that was the same `n` times. Nothing is known of how it changes, only that the
    /// chance is at most about 1 / (n + 1) (Laplace's rule of succession): a change is at the bound, whatever that is.
    fn change(&self, n: usize, time: Timestamp, value: f64, decision: Decision) -> Judgement {
        let expected = self.baseline.level();
        let wanted = match decision.direction {
            Some(Direction::Up) => value > expected,
            Some(Direction::Down) => value < expected,
            None => value != expected,
        };
        let changed = !value.is_nan() && wanted;
        let z = value - expected;
        let (p_value, score) = match (value.is_nan(), changed) {
            (true, _) => (f64::NAN, f64::NAN),
            (_, true) => (1.0 / (n + 1) as f64, 1.0),
            (_, false) => (1.0, 0.0),
        };
        let views = if changed { vec![View { detector: Detector::Constant, p_value, statistic: z }] } else { Vec::new() };
        let (lower, upper) = if wanted { (expected, expected) } else { (expected.min(value), expected.max(value)) };
        Judgement { time, value, expected, lower, upper, z, p_value, score, views, alpha: decision.alpha }
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
            && [&self.above, &self.below, &self.sustained_above, &self.sustained_below, &self.energy].iter().all(|t| t.is_sound())
            && self.band.0.is_sound()
            && self.band.1.is_sound()
            && self.shapes.as_ref().is_none_or(Shapes::is_sound)
            && self.forest.as_ref().is_none_or(|(forest, tail)| tail.is_sound() && forest.features() == FEATURES)
    }

    fn views(&self, state: &State, direction: Option<Direction>) -> Vec<View> {
        let history = &state.history;
        let Some(z) = history.newest_first().next().filter(|z| !z.is_nan()) else {
            return Vec::new();
        };
        let residual = either(&self.above, &self.below, z, direction);
        let mut views = vec![View { detector: Detector::Residual, p_value: residual, statistic: z }];
        let mean = history.sustained();
        if !mean.is_nan() {
            let p_value = either(&self.sustained_above, &self.sustained_below, mean, direction);
            views.push(View { detector: Detector::Sustained, p_value, statistic: mean });
        }
        let energy = history.energy();
        if !energy.is_nan() && direction.is_none_or(|d| (d == Direction::Up) == (z > 0.0)) {
            views.push(View { detector: Detector::Energy, p_value: self.energy.p_value(energy), statistic: energy });
        }
        let wanted = direction.is_none_or(|d| (d == Direction::Up) == (mean > 0.0));
        if let (true, Some((forest, tail)), Some(row)) = (wanted, &self.forest, state.course.features())
            && let Ok(score) = forest.score_one(&row)
        {
            views.push(View { detector: Detector::IsolationForest, p_value: tail.p_value(score), statistic: score });
        }
        if let (None, Some(shapes)) = (direction, &self.shapes)
            && state.latest.len() == shapes.span()
            && state.healing == 0
        {
            let distance = shapes.distance(state.latest.iter().copied());
            if !distance.is_nan() {
                views.push(View { detector: Detector::Shape, p_value: shapes.tail.p_value(distance), statistic: distance });
            }
        }
        views
    }
}

/// The p-value of `x` in the direction that counts.
fn either(above: &Tail, below: &Tail, x: f64, direction: Option<Direction>) -> f64 {
    match direction {
        Some(Direction::Up) => above.p_value(x),
        Some(Direction::Down) => below.p_value(-x),
        None => (2.0 * above.p_value(x).min(below.p_value(-x))).min(1.0),
    }
}

/// The last values of `values`, as many as `shapes` need.
fn latest(values: &[f64], shapes: Option<&Shapes>) -> VecDeque<f64> {
    let span = shapes.map_or(0, Shapes::span);
    values[values.len().saturating_sub(span)..].iter().copied().collect()
}

/// For how many points more the latest values hold a residual that a finding may be of.
fn healing(residuals: &[f64], shapes: Option<&Shapes>) -> usize {
    let span = shapes.map_or(0, Shapes::span);
    let since = residuals.iter().rev().take(span).take_while(|z| z.abs() <= INCIDENT).count();
    span - since
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

/// Of the five residuals up to each the third lowest and the third highest.
fn thirds(residuals: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut history = History::default();
    let third = |z: &f64| {
        history.push(*z);
        history.third()
    };
    residuals.iter().map(third).unzip()
}

/// The latest residuals, and the features of their course at each point.
fn course(residuals: &[f64]) -> (History, Vec<[f64; FEATURES]>) {
    let mut history = History::default();
    let mut rows = Vec::with_capacity(residuals.len());
    for z in residuals {
        history.push(*z);
        rows.extend(history.features());
    }
    (history, rows)
}

/// The forest on the features, and the tail of its scores; `None` when there are too few rows.
fn fit_forest(rows: &[[f64; FEATURES]]) -> Option<(IsolationForest, Tail)> {
    let every = rows.len().div_ceil(CALIBRATION_ROWS).max(1);
    let kept: Vec<[f64; FEATURES]> = rows.iter().copied().step_by(every).collect();
    let table = Array2::from_shape_vec((kept.len(), FEATURES), kept.concat()).ok()?;
    let forest =
        IsolationForest::params().trees(TREES).sample_size(SAMPLE).seed(SEED).check().ok()?.fit(&DatasetBase::from(table.view())).ok()?;
    let scores =
        table.outer_iter().map(|row: ArrayView1<'_, f64>| forest.score_one(row.as_slice().unwrap_or_default()).unwrap_or(f64::NAN));
    let tail = Tail::fit(&scores.collect::<Vec<_>>())?;
    Some((forest, tail))
}
