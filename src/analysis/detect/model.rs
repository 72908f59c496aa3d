//! The fitted model of one series, and how it judges one point after the other.
//!
//! Seven views look at it: `residual` (what is new at this point), `sustained` (the mean of the last five),
//! `energy` (their root mean square), `level` (how far it is from where it was before anything was abnormal),
//! `isolation_forest` (the course of the residual) and `shape` (the latest stretch itself, where the series has a
//! rhythm), and `ramp` (how far it has moved in hours). Each gives a p-value calibrated on the training window; the
//! smallest of those that make the score, each over its weight, is the point's: Bonferroni's bound with weights, valid
//! however the views depend on each other.

use serde::{Deserialize, Serialize};

use super::features::{FEATURES, History};
use super::isolation_forest::IsolationForest;
use super::judgement::{Beside, Decision, Detector, Judgement, View, either};
use super::past::{APART, Past, course, fit_forest, fit_ramp, forget_incidents, healing, latest, thirds};
use super::ramp::{self, Blocks, Ramp};
use super::shape::Shapes;
use super::stretch::{Stretch, Tracker};
use crate::analysis::CannotSay;
use crate::analysis::baseline::{Baseline, Learned};
use crate::analysis::calibrate::{self, Tail};
use crate::clock::{DurationMs, Timestamp};
use crate::finding::Direction;
use crate::series::Window;

/// Raised whenever a stored model would be read or judge differently.
pub const FORMAT_VERSION: u32 = 5;
/// A series of so many equal values is one that does not change; before that it may just not have begun.
const CONSTANT: usize = 1000;
/// So much less a surprise counts that ends right where the value is expected.
const SPRINGS_BACK: f64 = 0.15;
/// What is odd among its peers moved itself by at least this share of what it is off them.
const MOVED: f64 = 0.5;

/// A fitted model of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The first time it was trained on.
    pub trained_from: Timestamp,
    /// The first time it was not trained on any more: where judging starts.
    pub trained_until: Timestamp,
    /// The time between two values.
    pub step: DurationMs,
    /// Whether it was learned from a sibling.
    pub lent: bool,
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
    /// How much it changes in hours, and its latest blocks.
    ramp: Option<(Ramp, Blocks)>,
    /// The latest surprises, and the latest residuals.
    history: History,
    course: History,
    /// The latest values, as many as a shape spans, and for how many points more they hold some of an incident.
    latest: Vec<f64>,
    healing: usize,
}

/// Where a series stands: everything that moves from one point to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    level: f64,
    recent: f64,
    history: History,
    course: History,
    latest: Vec<f64>,
    /// Points until the latest values hold nothing of the last stretch any more.
    healing: usize,
    blocks: Option<Blocks>,
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
        let Learned { baseline, mut residuals, surprises, deseasonalised } = match Baseline::fit(window) {
            Err(flat @ CannotSay::Flat(value)) if window.present() >= CONSTANT => return Self::constant(window, value).ok_or(flat),
            learned => learned?,
        };
        forget_incidents(&mut residuals);
        let (course, rows) = course(&residuals);
        let ramp = fit_ramp(window, &deseasonalised, &residuals, &baseline);
        let shapes = Shapes::fit(window.values());
        let past = Past::of(&surprises);
        let mut calm = surprises;
        forget_incidents(&mut calm);
        let calm = Past::of(&calm);
        let present = calm.surprises.iter().filter(|z| z.is_finite()).count();
        let too_short = || CannotSay::TooShort { present, needed: Tail::LEAST_SAMPLE };
        let (lowest, highest) = thirds(&residuals);
        let negated = |sample: &[f64]| sample.iter().map(|z| -z).collect::<Vec<_>>();
        let tail = |sample: &[f64]| Tail::predictive(sample, APART).ok_or_else(too_short);
        // The tails are those of calm times, but no lighter than those of all times.
        let both = |calm: &[f64], all: &[f64]| tail(calm).map(|tail| tail.no_lighter_than(all));
        Ok(Self {
            trained_from: window.start(),
            trained_until: window.end(),
            step: window.step(),
            lent: false,
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
            ramp,
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
            lent: false,
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
            ramp: None,
            history: History::default(),
            course: History::default(),
            latest: Vec::new(),
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
            blocks: self.ramp.as_ref().map(|(_, blocks)| blocks.clone()),
            tracker: Tracker::default(),
        }
    }

    /// Judges the next point, one step after the one before, and moves the state on; `beside` is what its peers say of it.
    /// With it the stretch that this point opened, continued or closed.
    pub fn step(
        &self,
        state: &mut State,
        time: Timestamp,
        value: f64,
        beside: Option<Beside>,
        decision: Decision,
    ) -> (Judgement, Option<Stretch>) {
        let value = if value.is_finite() { value } else { f64::NAN };
        if let Some(n) = self.constant {
            let judgement = self.change(n, time, value, decision);
            let stretch = state.tracker.push(&judgement, self.step);
            return (judgement, stretch);
        }
        let expected = self.baseline.expect(state.level, time);
        let z = ((value - expected.value) / expected.scale).clamp(-1e9, 1e9);
        let side = decision.alpha * Detector::Level.weight() / sides(decision.direction);
        let habit = self.baseline.habit(time);
        let band = (self.band.0.quantile(side).max(0.0) * expected.scale, self.band.1.quantile(side).max(0.0) * expected.scale);
        let lower = self.baseline.within(expected.value - band.0);
        let upper = expected.value + band.1;
        // What comes again at this time opens nothing; its score tells all the same.
        let usual = habit > if z < 0.0 { band.0 } else { band.1 } && z.abs() * expected.scale <= habit && state.open().is_none();
        let (surprise, recent) = self.baseline.surprise(state.recent, time, value);
        state.recent = recent;
        state.history.push(surprise.clamp(-1e9, 1e9));
        state.course.push(z);
        if let Some(shapes) = &self.shapes {
            // One value that is far off is no shape.
            let (least, most) = (2.0 * lower - expected.value, 2.0 * upper - expected.value);
            state.latest.push(if value.is_nan() { value } else { value.max(least).min(most) });
            let over = state.latest.len().saturating_sub(shapes.span());
            state.latest.drain(..over);
        }
        let mut views = self.views(state, decision.direction);
        // What only springs back surprises, but is where it is expected, and counts less. No p-value falls by that.
        let bound = if z < 0.0 { lower } else { upper };
        let off = ((value - expected.value) / (bound - expected.value)).min(1.0);
        let share = if off >= 0.0 { 1.0 - SPRINGS_BACK * (1.0 - off) } else { 1.0 };
        let least = |new: bool| views.iter().filter(|v| v.is_of_course() != new).map(View::bounded).fold(f64::NAN, f64::min);
        let p_value = least(true).powf(share).min(least(false));
        views.extend(View::of_third(Detector::Level, &state.course, (&self.band.0, &self.band.1), decision.direction));
        if let (Some((ramp, _)), Some(blocks)) = (&self.ramp, &mut state.blocks) {
            ramp.push(blocks, time, ramp::clipped(value, z, expected.scale) - self.baseline.seasonal(time));
            // The way to where it is expected is no news.
            let heals = |view: &View| z.abs() > 1.0 && view.statistic * z < 0.0;
            views.extend(blocks.view(decision.direction).filter(|view| !z.is_nan() && !heals(view)));
        }
        // It is odd if it is what moved. Where its peers did, and it is where its own past lets expect, they are.
        let moved = |beside: &Beside| {
            let (low, high) = state.course.third();
            let own = if beside.off < 0.0 { low } else { high };
            own * expected.scale / beside.off >= MOVED
        };
        views.extend(beside.filter(|beside| moved(beside) && !beside.view.p_value.is_nan()).map(|beside| beside.view));
        if usual {
            views.clear();
        }
        let judgement = Judgement {
            time,
            value,
            expected: expected.value,
            lower: self.baseline.within(expected.value - band.0.max(habit)),
            upper: expected.value + band.1.max(habit),
            z,
            p_value,
            score: calibrate::score(p_value, decision.alpha),
            views,
            alpha: decision.alpha,
        };
        let stretch = state.tracker.push_since(&judgement, self.step, state.blocks.as_ref().and_then(Blocks::since));
        state.level = self.baseline.follow(state.level, time, value, state.tracker.holds());
        let ended = stretch.as_ref().is_some_and(|s| s.ended.is_some());
        if ended {
            state.blocks.iter_mut().for_each(Blocks::calm);
        }
        if ended && !state.tracker.is_slow() {
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

    /// What is expected.
    pub(super) fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// The same for a series that begins at `from`, is first judged at `until`, and stands at `level` then.
    pub(super) fn begun(mut self, from: Timestamp, until: Timestamp, level: f64) -> Self {
        (self.trained_from, self.trained_until, self.lent) = (from, until, true);
        self.baseline.begun_at(level);
        (self.history, self.course) = (History::default(), History::default());
        self.latest.clear();
        self.healing = 0;
        // Its course over hours is its own.
        self.ramp = self.ramp.map(|(ramp, _)| (ramp, Blocks::new(self.step)));
        self
    }

    /// The seasons that were found, shortest first.
    pub fn periods(&self) -> Vec<DurationMs> {
        self.baseline.periods()
    }

    /// What findings name as the model that judged them.
    pub fn version(&self) -> String {
        let of = if self.lent { " of a sibling" } else { "" };
        format!("{FORMAT_VERSION}@{}{of}", self.trained_until)
    }

    /// Whether the numbers are such as [`Model::fit`] makes: a stored one may not be.
    pub fn is_sound(&self) -> bool {
        self.baseline.is_sound()
            && [&self.above, &self.below, &self.sustained_above, &self.sustained_below, &self.energy].iter().all(|t| t.is_sound())
            && self.band.0.is_sound()
            && self.band.1.is_sound()
            && self.shapes.as_ref().is_none_or(Shapes::is_sound)
            && self.ramp.as_ref().is_none_or(|(ramp, blocks)| ramp.is_sound() && blocks.is_sound(self.step))
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
            let distance = shapes.distance(&state.latest);
            if !distance.is_nan() {
                views.push(View { detector: Detector::Shape, p_value: shapes.tail.p_value(distance), statistic: distance });
            }
        }
        views
    }
}

fn sides(direction: Option<Direction>) -> f64 {
    if direction.is_some() { 1.0 } else { 2.0 }
}
