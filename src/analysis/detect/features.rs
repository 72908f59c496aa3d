//! What the detectors look at: the latest standardised residuals and statistics of them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// How many residuals are remembered.
pub const REMEMBERED: usize = 30;
/// Points over which a deviation counts as sustained.
pub const SUSTAINED: usize = 5;
/// Points over which the course of the residual is described.
const COURSE: usize = 15;
/// How many features there are.
pub const FEATURES: usize = 5;
/// A residual beyond this many scales is as far as any to the forest, …
const FAR: f64 = 20.0;
/// …and a single one counts no more than this in what describes several points: one odd point sustains nothing.
const CLIP: f64 = 4.0;

/// Squares must stay finite.
const LARGEST: f64 = 1e100;

/// The latest standardised residuals, the newest last; NaN where a value was missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History(VecDeque<f64>);

impl History {
    /// Remembers one more.
    pub fn push(&mut self, z: f64) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(z);
    }

    /// The residuals, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = f64> + '_ {
        self.0.iter().rev().copied()
    }

    fn clipped(&self, most: f64) -> impl Iterator<Item = f64> + '_ {
        self.newest_first().map(move |z| z.clamp(-most, most))
    }

    /// Takes what was abnormal out of memory, so that the end of a finding is not the start of the next.
    pub fn calm(&mut self) {
        for z in &mut self.0 {
            *z = z.clamp(-1.0, 1.0);
        }
    }

    /// The mean of the last [`SUSTAINED`] residuals, each clipped to four scales; NaN when fewer than three are there, or not the newest.
    pub fn sustained(&self) -> f64 {
        if self.0.back().is_none_or(|z| z.is_nan()) {
            return f64::NAN;
        }
        let (n, mean, _) = moments(self.clipped(CLIP).take(SUSTAINED));
        if n < 3 { f64::NAN } else { mean }
    }

    /// The root mean square of the last [`SUSTAINED`] residuals; NaN when fewer than three are there, or not the newest.
    /// A burst of either sign, or of both, shows here.
    pub fn energy(&self) -> f64 {
        if self.0.back().is_none_or(|z| z.is_nan()) {
            return f64::NAN;
        }
        let (n, mean, deviation) = moments(self.clipped(LARGEST).take(SUSTAINED));
        if n < 3 { f64::NAN } else { mean.hypot(deviation) }
    }

    /// Of the last [`SUSTAINED`] residuals the third lowest and the third highest; NaN when fewer than three are there, or not
    /// the newest.
    pub fn third(&self) -> (f64, f64) {
        if self.0.back().is_none_or(|z| z.is_nan()) {
            return (f64::NAN, f64::NAN);
        }
        let mut latest = [f64::NAN; SUSTAINED];
        let mut n = 0;
        for z in self.newest_first().take(SUSTAINED).filter(|z| !z.is_nan()) {
            latest[n] = z;
            n += 1;
        }
        if n < 3 {
            return (f64::NAN, f64::NAN);
        }
        latest[..n].sort_unstable_by(f64::total_cmp);
        (latest[2], latest[n - 3])
    }

    /// The features of the forest: residual, its step, and mean, spread and turning of its course.
    /// `None` until enough is remembered.
    pub fn features(&self) -> Option<[f64; FEATURES]> {
        let mut newest = self.clipped(FAR);
        let (now, before) = (newest.next()?, newest.next()?);
        let (n, mean, deviation) = moments(self.clipped(CLIP).take(COURSE));
        if now.is_nan() || before.is_nan() || n < COURSE - 3 {
            return None;
        }
        let (_, recent, _) = moments(self.clipped(CLIP).take(SUSTAINED));
        Some([now, (now - before).abs(), mean, deviation, recent - mean])
    }
}

/// Number, mean and standard deviation of what is not missing.
fn moments(values: impl Iterator<Item = f64>) -> (usize, f64, f64) {
    let (mut n, mut sum, mut squares) = (0, 0.0, 0.0);
    for v in values.filter(|v| v.is_finite()) {
        n += 1;
        sum += v;
        squares += v * v;
    }
    if n == 0 {
        return (0, f64::NAN, f64::NAN);
    }
    let mean = sum / n as f64;
    (n, mean, (squares / n as f64 - mean * mean).max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(values: impl IntoIterator<Item = f64>) -> History {
        let mut history = History::default();
        values.into_iter().for_each(|z| history.push(z));
        history
    }

    #[test]
    fn remembers_a_bounded_number() {
        let history = history((0..1000).map(f64::from));
        assert_eq!(history.newest_first().count(), REMEMBERED);
        assert_eq!(history.newest_first().next(), Some(999.0));
    }

    #[test]
    fn a_missing_value_says_nothing() {
        assert!(history([1.0, 1.0, 1.0, f64::NAN]).sustained().is_nan());
        assert!(history([1.0, 1.0]).sustained().is_nan());
        assert_eq!(history([9.0, 1.0, f64::NAN, 1.0, 1.0, 1.0]).sustained(), 1.0);
        assert!(history([1.0, f64::NAN, 2.0]).third().0.is_nan() && history([1.0, 2.0, 3.0, f64::NAN]).third().1.is_nan());
        assert_eq!(history([1.0, f64::NAN, 2.0, 3.0]).third(), (3.0, 1.0));
        assert!(history(vec![1.0; 5]).features().is_none());
        assert!(history(vec![f64::NAN; 30]).features().is_none());
    }

    #[test]
    fn features_describe_the_course() {
        let [now, step, mean, deviation, turn] = history((0..15).map(|i| if i < 10 { 0.0 } else { 3.0 })).features().unwrap();
        assert_eq!((now, step, mean), (3.0, 0.0, 1.0));
        assert!((deviation - 2.0_f64.sqrt()).abs() < 1e-12 && (turn - 2.0).abs() < 1e-12);
    }

    #[test]
    fn three_of_five_are_at_least_as_far_as_the_third() {
        assert_eq!(history([50.0, 5.0, 1.0, 4.0, 2.0, 3.0]).third(), (3.0, 3.0));
        assert_eq!(history([0.0, 9.0, 0.0, 9.0, 9.0]).third(), (9.0, 9.0));
        assert_eq!(history([0.0, 9.0, 0.0, 0.0, 9.0]).third(), (0.0, 0.0));
    }

    #[test]
    fn calm_takes_the_abnormal_out() {
        let mut history = history(vec![50.0; 30]);
        history.calm();
        assert_eq!(history.sustained(), 1.0);
    }
}
