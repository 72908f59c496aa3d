//! The baseline: what the next value should be, from the past alone, and how far off is usual.
//!
//! Seasons come from a robust decomposition of the training window. The level is followed one step at a
//! time by exponential smoothing whose steps are clipped (after Gelper, Fried & Croux, "Robust
//! forecasting with exponential and Holt–Winters smoothing", 2010), so that an outlier moves it little.
//! A second level follows fast and in full: it tells what is new at a point, while the first tells what
//! is still not as it was.
//! The scale depends on the hour of the day where there is a daily season.

mod habit;
mod season;
mod table;

use serde::{Deserialize, Serialize};

use self::habit::Habits;
use self::season::Season;
use self::table::{LATEST_CYCLES, Tables, phase, tables};
use super::CannotSay;
use super::season::find_periods;
use crate::clock::{DurationMs, Timestamp};
use crate::series::Window;

/// The fewest values a baseline is learned from.
pub const LEAST_VALUES: usize = 120;
/// The smallest share of places that must have a value.
const LEAST_PRESENT: f64 = 0.5;
/// No value may be larger: squares and sums must stay finite.
const LARGEST: f64 = 1e150;
/// Seasons that are looked for.
const CANDIDATES: [DurationMs; 3] = [DurationMs::HOUR, DurationMs::DAY, DurationMs::WEEK];
/// Smoothing factors that are tried, slow to fast: a level that holds for a day of minutes, or hardly for ten.
const GAINS: [f64; 5] = [0.001, 0.004, 0.016, 0.064, 0.25];
/// A faster level must be better by this factor, for a fast one also learns an incident fast.
const FASTER_MUST_GAIN: f64 = 0.93;
/// The factor of the second level, which takes every step in full: what surprises is what the last half hour of minutes does
/// not explain.
const SURPRISE_GAIN: f64 = 0.1;
/// A step of the level counts at most this many scales.
const CLIP: f64 = 2.0;
/// Parts of the day with a scale of their own.
const PARTS_OF_DAY: usize = 24;
/// The scale is at least this share of the typical size of the values: less is of no practical interest.
const LEAST_RELATIVE_SCALE: f64 = 0.005;
/// A normal distribution's standard deviation over its median absolute deviation.
const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;

/// The seasons of a series, learned from a training window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seasons {
    step: DurationMs,
    tables: Vec<Season>,
}

impl Seasons {
    /// Learns from `window`. There may be none.
    ///
    /// # Errors
    /// Why the series cannot be judged.
    pub fn fit(window: &Window) -> Result<Self, CannotSay> {
        Ok(Self { step: window.step(), tables: Self::learn(window)?.seasons })
    }

    fn learn(window: &Window) -> Result<Tables, CannotSay> {
        let values = window.values();
        check(values)?;
        let candidates: Vec<usize> =
            CANDIDATES.iter().map(|period| period.steps(window.step())).filter(|p| *p >= 4 && p * 2 <= values.len()).collect();
        tables(window, &find_periods(values, &candidates))
    }

    /// No season, for values every `step`.
    pub fn none(step: DurationMs) -> Self {
        Self { step, tables: Vec::new() }
    }

    /// What the seasons add to the level at `time`.
    pub fn effect(&self, time: Timestamp) -> f64 {
        self.tables.iter().map(|season| season.effect(phase(time, self.step, season.period()))).sum()
    }

    /// The seasons that were found, shortest first.
    pub fn periods(&self) -> Vec<DurationMs> {
        self.tables.iter().map(|season| self.step * season.period() as i64).collect()
    }

    /// Whether the numbers are such as [`Seasons::fit`] makes: a stored one may not be.
    pub fn is_sound(&self) -> bool {
        self.step != DurationMs::ZERO && self.tables.iter().all(Season::is_sound)
    }
}

/// What is expected of a series, learned from a training window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    seasons: Seasons,
    gain: f64,
    /// The usual error of the level: a slope makes it lag.
    bias: f64,
    /// One for each part of the day, or a single one.
    scales: Vec<f64>,
    /// The level at the end of the training window.
    level: f64,
    /// The second, fast level there.
    recent: f64,
    /// Whether no value was ever below zero, so that none is expected there.
    nonnegative: bool,
    /// How far off it habitually is.
    habits: Habits,
}

/// What is expected at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expectation {
    /// The expected value.
    pub value: f64,
    /// How far off is usual: a robust standard deviation, positive.
    pub scale: f64,
}

/// A baseline, and how the training window looks to it.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The baseline.
    pub baseline: Baseline,
    /// The standardised one-step-ahead residuals, in which the level was followed causally; NaN where a value is missing.
    pub residuals: Vec<f64>,
    /// The same from the fast level.
    pub surprises: Vec<f64>,
    /// The values less their seasons.
    pub deseasonalised: Vec<f64>,
}

impl Baseline {
    /// Learns from `window`.
    ///
    /// # Errors
    /// Why the series cannot be judged.
    pub fn fit(window: &Window) -> Result<Learned, CannotSay> {
        let values = window.values();
        let Tables { seasons, hidden, two } = Seasons::learn(window)?;
        let seasons = Seasons { step: window.step(), tables: seasons };
        let deseasonalised: Vec<f64> =
            values.iter().zip(&hidden).enumerate().map(|(i, (v, hidden))| v - seasons.effect(window.time(i)) + hidden).collect();
        let rough = robust_scale(deseasonalised.windows(2).map(|w| w[1] - w[0])).unwrap_or(0.0);
        let typical = median(values.iter().map(|v| v.abs())).unwrap_or(0.0);
        let least = (typical * LEAST_RELATIVE_SCALE).max(f64::MIN_POSITIVE.sqrt());
        let scale = rough.max(least);
        let start = first_level(&deseasonalised).unwrap_or(0.0);
        let slowly = |gain: f64| follow(&deseasonalised, start, gain, scale);
        let mut best = (f64::INFINITY, GAINS[0]);
        for gain in GAINS {
            let error = median(slowly(gain).1.iter().map(|r| r.abs())).unwrap_or(f64::INFINITY);
            if error < best.0 * FASTER_MUST_GAIN || best.0.is_infinite() {
                best = (error, gain);
            }
        }
        let gain = best.1;
        let (level, residuals) = slowly(gain);
        let bias = median(residuals.iter().copied()).unwrap_or(0.0);
        let centred: Vec<f64> = residuals.iter().map(|r| r - bias).collect();
        let daily = seasons.periods().iter().any(|p| p.steps(window.step()) >= DurationMs::DAY.steps(window.step()));
        let scales = scales(window, &centred, daily, least);
        let nonnegative = values.iter().all(|v| v.is_nan() || *v >= 0.0);
        let (recent, surprises) = follow(&deseasonalised, start, SURPRISE_GAIN, f64::INFINITY);
        let habits = Habits::default();
        let mut baseline = Self { seasons, gain, bias, scales, level, recent, nonnegative, habits };
        // Who is in a mean of c cycles is nearer to it than the next one will be.
        let cycles = baseline
            .periods()
            .last()
            .map_or(f64::INFINITY, |longest| (values.len() / longest.steps(window.step())).clamp(2, LATEST_CYCLES) as f64);
        let left_out = 1.0 / (1.0 - 1.0 / cycles);
        let off_mean = |i: usize| centred[i] - hidden[i] + two.as_ref().map_or(0.0, |two| two.above_mean[i]);
        let off: Vec<f64> = (0..values.len()).map(|i| off_mean(i) * left_out).collect();
        let off_usual = two.as_ref().map(|two| two.off_usual.as_slice());
        baseline.habits = Habits::fit(window, &off, off_usual, |time| baseline.scale_at(time));
        let standardised = |errors: &[f64]| errors.iter().enumerate().map(|(i, r)| r / baseline.scale_at(window.time(i))).collect();
        let (residuals, surprises) = (standardised(&centred), standardised(&surprises));
        Ok(Learned { baseline, residuals, surprises, deseasonalised })
    }

    /// Of a series that was `value` all the time.
    pub fn constant(window: &Window, value: f64) -> Self {
        let scale = (value.abs() * LEAST_RELATIVE_SCALE).max(f64::MIN_POSITIVE.sqrt());
        Self {
            seasons: Seasons::none(window.step()),
            gain: 0.0,
            bias: 0.0,
            scales: vec![scale],
            level: value,
            recent: value,
            nonnegative: value >= 0.0,
            habits: Habits::default(),
        }
    }

    /// The same for a series that stands at `level`.
    pub fn begun_at(&mut self, level: f64) {
        (self.level, self.recent) = (level, level);
    }

    /// What the seasons add to the level at `time`.
    pub fn seasonal(&self, time: Timestamp) -> f64 {
        self.seasons.effect(time)
    }

    /// The fast level from which [`Baseline::surprise`] starts after the training window.
    pub fn recent(&self) -> f64 {
        self.recent
    }

    /// How far `value` at `time` is from the fast level, in scales, and that level after it. NaN, and the level as it was,
    /// for a missing value.
    pub fn surprise(&self, recent: f64, time: Timestamp, value: f64) -> (f64, f64) {
        if !value.is_finite() {
            return (f64::NAN, recent);
        }
        let error = (value - self.seasons.effect(time) - recent).clamp(-LARGEST, LARGEST);
        (error / self.scale_at(time), recent + SURPRISE_GAIN * error)
    }

    /// The scale at `time`.
    pub fn scale_at(&self, time: Timestamp) -> f64 {
        if self.scales.len() == 1 { self.scales[0] } else { self.scales[part_of_day(time)] }
    }

    /// The level from which [`Baseline::expect`] starts after the training window.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// What is expected at `time` when the level is `level`.
    pub fn expect(&self, level: f64, time: Timestamp) -> Expectation {
        let value = level + self.bias + self.seasons.effect(time);
        Expectation { value: if self.nonnegative { value.max(0.0) } else { value }, scale: self.scale_at(time) }
    }

    /// The level after `value` was seen at `time`. While something is abnormal (`frozen`) it hardly moves.
    pub fn follow(&self, level: f64, time: Timestamp, value: f64, frozen: bool) -> f64 {
        if !value.is_finite() {
            return level;
        }
        let expected = self.expect(level, time);
        // The lag that a slope makes is part of the level's course and must not be taken out here.
        let error =
            (value - (expected.value - self.bias)).clamp(-CLIP * expected.scale - self.bias.abs(), CLIP * expected.scale + self.bias.abs());
        level + error * if frozen { self.gain * 0.05 } else { self.gain }
    }

    /// How far from what is expected the series may be at `time` because it was so before at that time of the day or week; 0
    /// where it has no such habit.
    pub fn habit(&self, time: Timestamp) -> f64 {
        let size = self.habits.at(time);
        if size > 0.0 { size + self.scale_at(time) } else { 0.0 }
    }

    /// `bound`, or zero where the series never goes below it.
    pub fn within(&self, bound: f64) -> f64 {
        if self.nonnegative { bound.max(0.0) } else { bound }
    }

    /// The seasons that were found, shortest first.
    pub fn periods(&self) -> Vec<DurationMs> {
        self.seasons.periods()
    }

    /// Whether the numbers are such as [`Baseline::fit`] makes: a stored one may not be.
    pub fn is_sound(&self) -> bool {
        self.seasons.is_sound()
            && [self.gain, self.bias, self.level, self.recent].iter().all(|v| v.is_finite())
            && self.habits.is_sound()
            && matches!(self.scales.len(), 1 | PARTS_OF_DAY)
            && self.scales.iter().all(|s| s.is_finite() && *s > 0.0)
    }
}

fn check(values: &[f64]) -> Result<(), CannotSay> {
    let present: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    if present.len() < LEAST_VALUES {
        return Err(CannotSay::TooShort { present: present.len(), needed: LEAST_VALUES });
    }
    if (present.len() as f64) < values.len() as f64 * LEAST_PRESENT {
        return Err(CannotSay::TooGappy { present: present.len(), places: values.len() });
    }
    if let Some(huge) = present.iter().find(|v| v.abs() >= LARGEST) {
        return Err(CannotSay::OutOfRange(*huge));
    }
    if present.iter().all(|v| *v == present[0]) {
        return Err(CannotSay::Flat(present[0]));
    }
    Ok(())
}

/// The level at the end, and the one-step-ahead errors on the way (NaN where a value is missing). Steps are clipped at a
/// multiple of `scale`.
pub fn follow(values: &[f64], start: f64, gain: f64, scale: f64) -> (f64, Vec<f64>) {
    let mut level = start;
    let errors = values
        .iter()
        .map(|value| {
            let error = value - level;
            if error.is_finite() {
                level += gain * error.clamp(-CLIP * 2.0 * scale, CLIP * 2.0 * scale);
            }
            error
        })
        .collect();
    (level, errors)
}

/// The robust scale of the residuals, by part of the day where `daily` and there are values enough.
fn scales(window: &Window, residuals: &[f64], daily: bool, least: f64) -> Vec<f64> {
    let overall = robust_scale(residuals.iter().copied()).unwrap_or(0.0).max(least);
    if !daily {
        return vec![overall];
    }
    let mut parts = vec![Vec::new(); PARTS_OF_DAY];
    for (i, r) in residuals.iter().enumerate().filter(|(_, r)| r.is_finite()) {
        parts[part_of_day(window.time(i))].push(*r);
    }
    let own: Vec<f64> =
        parts.into_iter().map(|part| if part.len() < 30 { overall } else { robust_scale(part.into_iter()).unwrap_or(overall) }).collect();
    // Neighbouring hours are alike; none is much quieter than the whole, for a scale near zero would flag everything.
    (0..PARTS_OF_DAY)
        .map(|h| {
            let (before, after) = (own[(h + PARTS_OF_DAY - 1) % PARTS_OF_DAY], own[(h + 1) % PARTS_OF_DAY]);
            (0.25 * before + 0.5 * own[h] + 0.25 * after).max(0.3 * overall).max(least)
        })
        .collect()
}

fn part_of_day(time: Timestamp) -> usize {
    (time.millis().rem_euclid(DurationMs::DAY.millis()) / (DurationMs::DAY.millis() / PARTS_OF_DAY as i64)) as usize
}

/// The standard deviation of a normal distribution with the same median absolute deviation from zero's
/// median; where over half of the values are equal, the mean absolute deviation serves.
pub fn robust_scale(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    let centre = median(values.iter().copied())?;
    let mad = median(values.iter().map(|v| (v - centre).abs()))? * MAD_TO_SIGMA;
    if mad > 0.0 {
        return Some(mad);
    }
    let mean = values.iter().map(|v| (v - centre).abs()).sum::<f64>() / values.len() as f64;
    Some(mean * (std::f64::consts::PI / 2.0).sqrt())
}

/// Where a level that follows `values` begins: the median of the first fifteen that are there.
pub fn first_level(values: &[f64]) -> Option<f64> {
    median(values.iter().copied().filter(|value| value.is_finite()).take(15))
}

/// The median of what is finite.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    if values.is_empty() {
        return None;
    }
    let (middle, odd) = (values.len() / 2, values.len() % 2 == 1);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if odd {
        return Some(upper);
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(lower.midpoint(upper))
}
