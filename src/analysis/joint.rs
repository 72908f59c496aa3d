//! The channels of one thing, judged together: how far all of them are from where they were, as one statistic.
//!
//! Each channel is taken off its seasons and followed by two levels: a fast one, from which a value surprises, and a
//! slow one whose steps are clipped, from which what lasts is still away. Each distance in robust scales is squared and
//! averaged exponentially over a short and a longer while (Roberts, "Control Chart Tests Based on Geometric Moving
//! Averages", Technometrics 1959). The statistic is the root of the mean over the channels: one quadratic form in the
//! averages of all of them (after Lowry, Woodall, Champ & Rigdon, "A Multivariate Exponentially Weighted Moving Average
//! Control Chart", Technometrics 1992), with scales in the place of a covariance matrix, which incidents in the
//! training window would spoil. An incident that many channels share a little so counts for as much as one that a single
//! channel has alone, and each channel's part of it is known.
//!
//! What is usual is told from the training window and, since a model fits its own window too well, from its latest part as
//! a model sees it that was fitted to the part before. What hangs together counts once: the p-value is the chance that an
//! episode begins, not that a value is high, for an episode is one alert however long it lasts. The share of high values
//! that begin an episode is the extremal index (Leadbetter 1983), told by runs (Smith & Weissman, "Estimating the Extremal
//! Index", JRSS B 56, 1994).

#[cfg(test)]
mod tests;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::CannotSay;
use super::baseline::{Seasons, first_level, median, robust_scale};
use super::calibrate::{LEAST_P, Tail};
use crate::clock::Timestamp;
use crate::series::Window;

/// The share of an error by which the fast level moves.
const FAST: f64 = 0.1;
/// The share by which the slow level moves, of an error of at most so many scales.
const SLOW: f64 = 0.001;
const SLOW_CLIP: f64 = 4.0;
/// The shares by which the two averages of squares move, and how many values make the longer one.
const SHORT: f64 = 0.5;
const LONG: f64 = 0.1;
const WARM_UP: usize = 30;
/// A single distance counts at most this many scales, …
const FARTHEST: f64 = 100.0;
/// …and a root mean square at most this many: one channel that is beside itself must not drown all others.
const LARGEST_RMS: f64 = 30.0;
/// The weight of the slow level's distance beside the fast one's.
const LASTING: f64 = 0.25;
/// The scale is so large that, in this share of the training window, the longer root mean square stays within so many scales: a
/// channel that is calm but for its bursts is not held to its calm.
const CALM_SHARE: f64 = 0.9;
const CALM_SCALES: f64 = 5.0;
/// The scale is at least this share of the typical size of the values, …
const LEAST_RELATIVE_SCALE: f64 = 0.005;
/// …and of nothing but zeros at least this.
const LEAST_SCALE: f64 = 1e-9;
/// Errors are held within this: squares and sums must stay finite.
const LARGEST: f64 = 1e150;
/// A channel that is missing for more values than this is left out.
const STALE: u32 = 10;
/// The share of the training window after which a model is put to the test.
const EARLY: f64 = 0.75;
/// High values: so many are above. They hang together when they are no further apart than the longer average remembers.
const HIGH: f64 = 0.02;
const APART: usize = 10;

/// What is known of one channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Channel {
    seasons: Seasons,
    /// How far from the fast level is usual, and how far from the slow one.
    scale: f64,
    slow_scale: f64,
}

/// Where one channel stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Course {
    fast: f64,
    slow: f64,
    /// Averages of squared distances: from the fast level over a short and a longer while, from the slow one likewise.
    energies: [f64; 4],
    /// Values missing in a row.
    missing: u32,
}

/// A fitted model of the channels of one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// One for each channel; `None` for one that nothing can be said of.
    channels: Vec<Option<Channel>>,
    /// What the statistic usually is.
    tail: Tail,
    /// The share of high values that begin an episode.
    beginning: f64,
    /// Where the channels stand after the training window.
    state: State,
}

/// Where the channels stand: everything that moves from one time to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    courses: Vec<Course>,
}

/// What was said of the channels at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// How far they are from where they were, in scales: at most 33.6. NaN where no channel has a value.
    pub statistic: f64,
    /// The chance that an episode of values at least as large begins at a time, calibrated on the training window; NaN where
    /// the statistic is.
    pub p_value: f64,
    /// How surprising that is: minus the natural logarithm of the p-value, which goes on where the p-value cannot be smaller.
    pub surprise: f64,
    /// Each channel's part; they add up to the statistic's square. Zero for a channel that is not in use.
    pub contributions: Vec<f64>,
}

impl Group {
    /// Learns from one window for each channel, all of the same times.
    ///
    /// # Errors
    /// Why the group cannot be judged: what holds for its first channel, when it holds for all.
    pub fn fit(windows: &[Window]) -> Result<Self, CannotSay> {
        let fitted: Vec<_> = windows.par_iter().map(Channel::fit).collect();
        let nothing = CannotSay::TooShort { present: 0, needed: Tail::LEAST_SAMPLE };
        if fitted.iter().all(Result::is_err) {
            return Err(fitted.into_iter().find_map(Result::err).unwrap_or(nothing));
        }
        let (channels, courses): (Vec<_>, Vec<_>) = fitted.into_iter().map(|one| one.ok().unzip()).unzip();
        let mut state = State::of(courses);
        let within = statistics(&channels, &mut state, windows);
        let within = within.get(WARM_UP..).unwrap_or_default();
        let later = out_of_sample(&channels, windows);
        let sample = [within, &later].concat();
        let present = sample.iter().filter(|s| s.is_finite()).count();
        let tail = Tail::fit(&sample).ok_or(CannotSay::TooShort { present, needed: Tail::LEAST_SAMPLE })?;
        let beginning = beginning(&[within, &later], tail.quantile(HIGH));
        Ok(Self { channels, tail, beginning, state })
    }

    /// The state right after the training window.
    pub fn start(&self) -> State {
        self.state.clone()
    }

    /// Judges the next values, one of each channel and NaN where there is none, one step after those before, and moves the
    /// state on. Values of channels that were not trained on are passed over.
    pub fn step(&self, state: &mut State, time: Timestamp, values: &[f64]) -> Judged {
        let (statistic, contributions) = advance(&self.channels, state, time, values);
        let surprise = self.surprise(statistic);
        Judged { statistic, p_value: (-surprise).exp().clamp(LEAST_P, 1.0), surprise, contributions }
    }

    /// Minus the logarithm of the chance that an episode of at least `statistic` begins: the odds of a value times the share
    /// of values that begin one. What is sure stays sure, and of what is rare the share is all that counts.
    fn surprise(&self, statistic: f64) -> f64 {
        let of_one = self.tail.surprise(statistic);
        let p = (-of_one).exp();
        of_one - self.beginning.ln() + (1.0 - p + p * self.beginning).ln()
    }

    /// What the statistic usually is.
    pub fn expected(&self) -> f64 {
        self.tail.quantile(0.5)
    }

    /// The statistic whose p-value is `alpha`.
    pub fn bound(&self, alpha: f64) -> f64 {
        // The odds of one value are those of an episode over the share of values that begin one.
        self.tail.quantile(alpha / (self.beginning * (1.0 - alpha) + alpha))
    }

    /// Whether the numbers are such as [`Group::fit`] makes: a stored one may not be.
    pub fn is_sound(&self) -> bool {
        let scale = |scale: f64| scale.is_finite() && scale > 0.0;
        self.channels.len() == self.state.courses.len()
            && self.channels.iter().flatten().all(|c| c.seasons.is_sound() && scale(c.scale) && scale(c.slow_scale))
            && self
                .state
                .courses
                .iter()
                .all(|c| c.fast.is_finite() && c.slow.is_finite() && c.energies.iter().all(|e| (0.0..=FARTHEST * FARTHEST).contains(e)))
            && self.tail.is_sound()
            && self.beginning > 0.0
            && self.beginning <= 1.0
    }
}

impl State {
    /// A channel that nothing can be said of stands nowhere.
    fn of(courses: Vec<Option<Course>>) -> Self {
        Self { courses: courses.into_iter().map(Option::unwrap_or_default).collect() }
    }
}

impl Channel {
    /// Learns from `window`; with where the channel stands before it.
    fn fit(window: &Window) -> Result<(Self, Course), CannotSay> {
        let seasons = match Seasons::fit(window) {
            // What never moved may be the first to move.
            Err(CannotSay::Flat(_)) => Seasons::none(window.step()),
            other => other?,
        };
        Ok(Self::with(seasons, window))
    }

    /// Learns all but the seasons from `window`.
    fn with(seasons: Seasons, window: &Window) -> (Self, Course) {
        let present = || window.values().iter().enumerate().filter(|(_, v)| v.is_finite());
        let values: Vec<f64> = present().map(|(i, v)| v - seasons.effect(window.time(i))).collect();
        let start = first_level(&values).unwrap_or(0.0);
        let mut fast = start;
        let surprises: Vec<f64> = values.iter().map(|value| follow(&mut fast, *value, FAST, f64::INFINITY)).collect();
        let typical = median(present().map(|(_, v)| v.abs())).unwrap_or(0.0);
        let least = (typical * LEAST_RELATIVE_SCALE).max(LEAST_SCALE);
        let scale = robust_scale(surprises.iter().copied()).unwrap_or(0.0).max(least);
        let scale = scale * (quite_calm(&surprises, scale) / CALM_SCALES).max(1.0);
        let mut slow = start;
        let away = values.iter().map(|value| follow(&mut slow, *value, SLOW, SLOW_CLIP * scale).abs());
        let slow_scale = robust_scale(away.flat_map(|d| [d, -d])).unwrap_or(0.0).max(scale);
        (Self { seasons, scale, slow_scale }, Course { fast: start, slow: start, ..Course::default() })
    }
}

impl Course {
    /// Takes in the next value.
    fn push(&mut self, channel: &Channel, time: Timestamp, value: f64) {
        if !value.is_finite() {
            self.missing = self.missing.saturating_add(1);
            return;
        }
        self.missing = 0;
        let value = value - channel.seasons.effect(time);
        let surprise = squared(follow(&mut self.fast, value, FAST, f64::INFINITY), channel.scale);
        let away = squared(follow(&mut self.slow, value, SLOW, SLOW_CLIP * channel.scale), channel.slow_scale);
        let [short, long, slow_short, slow_long] = &mut self.energies;
        for (energy, share, square) in
            [(short, SHORT, surprise), (long, LONG, surprise), (slow_short, SHORT, away), (slow_long, LONG, away)]
        {
            *energy += share * (square - *energy);
        }
    }

    /// How far the channel is from where it was: a mean square, in scales.
    fn energy(&self) -> f64 {
        let [short, long, slow_short, slow_long] = self.energies.map(|energy| energy.min(LARGEST_RMS * LARGEST_RMS));
        0.5 * (short + long) + LASTING * 0.5 * (slow_short + slow_long)
    }
}

/// Moves every course on; the statistic, and each channel's part of its square.
fn advance(channels: &[Option<Channel>], state: &mut State, time: Timestamp, values: &[f64]) -> (f64, Vec<f64>) {
    let mut parts = vec![0.0; channels.len()];
    let (mut used, mut seen) = (0_usize, false);
    for (i, (channel, course)) in channels.iter().zip(&mut state.courses).enumerate() {
        let Some(channel) = channel else { continue };
        course.push(channel, time, values.get(i).copied().unwrap_or(f64::NAN));
        seen |= course.missing == 0;
        if course.missing <= STALE {
            used += 1;
            parts[i] = course.energy();
        }
    }
    if !seen {
        return (f64::NAN, vec![0.0; channels.len()]);
    }
    for part in &mut parts {
        *part /= used as f64;
    }
    (parts.iter().sum::<f64>().sqrt(), parts)
}

/// The error of `level`, which moves by a share of it; by at most that share of `most`.
fn follow(level: &mut f64, value: f64, share: f64, most: f64) -> f64 {
    let error = (value - *level).clamp(-LARGEST, LARGEST);
    *level += share * error.clamp(-most, most);
    error
}

fn squared(error: f64, scale: f64) -> f64 {
    (error / scale).abs().min(FARTHEST).powi(2)
}

/// The longer root mean square that the errors stay within most of the time, in scales.
fn quite_calm(errors: &[f64], scale: f64) -> f64 {
    let mut energy = 0.0;
    let mut energies: Vec<f64> = errors
        .iter()
        .map(|error| {
            energy += LONG * (squared(*error, scale) - energy);
            energy
        })
        .collect();
    if energies.is_empty() {
        return 0.0;
    }
    let place = ((energies.len() - 1) as f64 * CALM_SHARE) as usize;
    energies.select_nth_unstable_by(place, f64::total_cmp).1.sqrt()
}

/// The statistic at every place of the windows; moves the state to their end.
fn statistics(channels: &[Option<Channel>], state: &mut State, windows: &[Window]) -> Vec<f64> {
    let places = windows.iter().map(Window::len).min().unwrap_or(0);
    let mut values = vec![f64::NAN; windows.len()];
    let mut statistic = |i: usize| {
        values.iter_mut().zip(windows).for_each(|(value, window)| *value = window.values()[i]);
        advance(channels, state, windows[0].time(i), &values).0
    };
    (0..places).map(&mut statistic).collect()
}

/// The statistic in the latest part of the windows, by levels and scales that were learned from the part before. Seasons are
/// those of the whole: they change little, and finding them takes most of the time.
fn out_of_sample(channels: &[Option<Channel>], windows: &[Window]) -> Vec<f64> {
    let places = windows.iter().map(Window::len).min().unwrap_or(0);
    let early = (places as f64 * EARLY) as usize;
    let learn = |(channel, window): (&Option<Channel>, &Window)| {
        let before = window.slice(window.start(), window.time(early));
        channel.as_ref().map(|channel| Channel::with(channel.seasons.clone(), &before)).unzip()
    };
    let (channels, courses): (Vec<_>, Vec<_>) = channels.par_iter().zip(windows).map(learn).unzip();
    statistics(&channels, &mut State::of(courses), windows).split_off(early)
}

/// The share of the values above `high` that begin an episode; 1 where there is none.
fn beginning(courses: &[&[f64]], high: f64) -> f64 {
    let (mut above, mut episodes) = (0_usize, 0_usize);
    for course in courses {
        let mut latest = None;
        for (i, _) in course.iter().enumerate().filter(|(_, statistic)| **statistic > high) {
            above += 1;
            episodes += usize::from(latest.is_none_or(|latest| i - latest > APART));
            latest = Some(i);
        }
    }
    if above == 0 { 1.0 } else { episodes as f64 / above as f64 }
}
