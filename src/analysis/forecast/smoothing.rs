//! Exponential smoothing of a series without seasons.
//!
//! The additive models of Hyndman, Koehler, Ord and Snyder ("Forecasting with Exponential Smoothing", 2008): a level alone,
//! ETS(A,N,N), and a level with a damped trend, ETS(A,Ad,N), chosen by the corrected Akaike criterion. Short series are
//! left to augurs, which also has multiplicative errors and trends that are not damped: there the choice matters, and its
//! cost does not.

use augurs::ets::AutoETS;
use augurs::{Fit, Predict};

use super::optimise::minimise;

/// Series up to so many values are short.
const SHORT: usize = 80;
/// augurs wants more than this.
const LEAST: usize = 10;

/// Where smoothing stands at the end of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Smoothed {
    level: f64,
    slope: f64,
    damping: f64,
}

impl Smoothed {
    /// The next `horizon` values.
    pub(super) fn forecast(&self, horizon: usize) -> Vec<f64> {
        let mut slope = self.slope;
        let mut level = self.level;
        (0..horizon)
            .map(|_| {
                slope *= self.damping;
                level += slope;
                level
            })
            .collect()
    }
}

/// The next `horizon` values after `values`, which have no gaps; `None` where nothing can be said.
pub(super) fn forecast(values: &[f64], horizon: usize) -> Option<Vec<f64>> {
    let chosen = if (LEAST..=SHORT).contains(&values.len()) { automatic(values, horizon) } else { None };
    chosen.or_else(|| smooth(values).map(|s| s.forecast(horizon)))
}

/// By the model of all without seasons that the corrected Akaike criterion chooses.
fn automatic(values: &[f64], horizon: usize) -> Option<Vec<f64>> {
    let fitted = AutoETS::new(1, "ZZN").ok()?.fit(values).ok()?;
    let point = fitted.predict(horizon, None).ok()?.point;
    point.iter().all(|value| value.is_finite()).then_some(point)
}

/// Smooths `values`, gaps among them; `None` where nothing is there.
pub(super) fn smooth(values: &[f64]) -> Option<Smoothed> {
    let present: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let first = *present.first()?;
    let n = present.len();
    if n < 4 {
        return Some(Smoothed { level: present[n - 1], slope: 0.0, damping: 1.0 });
    }
    let head = &present[..n.min(10)];
    let start = (head.iter().sum::<f64>() / head.len() as f64 * 0.5 + first * 0.5, 0.0);
    let [alpha] = minimise([0.3], [(1e-4, 0.9999)], 40, |[a]| run(values, start, *a, 0.0, 1.0).1);
    let (level, level_error) = run(values, start, alpha, 0.0, 1.0);
    if n < 12 {
        return Some(level);
    }
    let slope = (head[head.len() - 1] - head[0]) / (head.len() - 1) as f64;
    let start = (first - slope, slope);
    let [a, b, phi] = minimise([alpha.clamp(0.05, 0.95), 0.1, 0.9], [(1e-4, 0.9999), (0.0, 1.0), (0.8, 0.98)], 160, |[a, b, phi]| {
        run(values, start, *a, a * b, *phi).1
    });
    let (trend, trend_error) = run(values, start, a, a * b, phi);
    let criterion = |error: f64, k: f64| n as f64 * (error / n as f64).ln() + 2.0 * k + 2.0 * k * (k + 1.0) / (n as f64 - k - 1.0).max(1.0);
    Some(if criterion(trend_error, 6.0) < criterion(level_error, 3.0) { trend } else { level })
}

/// Smooths once; with the sum of squares of what each value was off.
fn run(values: &[f64], start: (f64, f64), alpha: f64, beta: f64, damping: f64) -> (Smoothed, f64) {
    let (mut level, mut slope) = start;
    let mut squares = 0.0;
    for y in values {
        slope *= damping;
        level += slope;
        let off = y - level;
        if off.is_finite() {
            level += alpha * off;
            slope += beta * off;
            squares += off * off;
        }
    }
    (Smoothed { level, slope, damping }, squares)
}
