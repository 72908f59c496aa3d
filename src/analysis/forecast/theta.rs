//! The dynamic optimised Theta model.
//!
//! Fiorucci, Pellegrini, Louzada, Petropoulos and Koehler, "Models for optimising the theta method and their relationship to
//! state space models", International Journal of Forecasting 32 (2016): simple exponential smoothing of a theta line, whose
//! other line is the regression on time, renewed with every value.

use super::optimise::minimise;

#[derive(Clone, Copy, Debug)]
struct State {
    level: f64,
    mean: f64,
    intercept: f64,
    slope: f64,
    /// `(1 - alpha)^t`.
    power: f64,
    t: f64,
}

/// The next `horizon` values after `values`; `None` where there are fewer than four.
pub(super) fn forecast(values: &[f64], horizon: usize) -> Option<Vec<f64>> {
    let present: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let first = *present.first()?;
    if present.len() < 4 {
        return None;
    }
    let spread = present.iter().map(|v| (v - first).abs()).fold(0.0, f64::max);
    // In units of the series, so that the box of the first level is that of any series.
    let unit = if spread > 0.0 { spread } else { 1.0 };
    let scaled: Vec<f64> = values.iter().map(|v| (v - first) / unit).collect();
    let [alpha, theta, level] =
        minimise([0.5, 2.0, 0.0], [(0.01, 0.99), (1.0, 50.0), (-1.0, 1.0)], 250, |[a, theta, level]| run(&scaled, *level, *a, *theta).1);
    let (mut state, _) = run(&scaled, level, alpha, theta);
    Some(
        (0..horizon)
            .map(|_| {
                let next = state.expect(theta, alpha);
                state.push(next, alpha);
                first + unit * next
            })
            .collect(),
    )
}

fn run(values: &[f64], level: f64, alpha: f64, theta: f64) -> (State, f64) {
    let mut state = State { level, mean: 0.0, intercept: 0.0, slope: 0.0, power: 1.0, t: 0.0 };
    let mut squares = 0.0;
    for y in values {
        let expected = state.expect(theta, alpha);
        let y = if y.is_finite() {
            // The regression is drawn through three values at least.
            if state.t >= 3.0 {
                squares += (y - expected).powi(2);
            }
            *y
        } else {
            expected
        };
        state.push(y, alpha);
    }
    (state, squares)
}

impl State {
    fn expect(&self, theta: f64, alpha: f64) -> f64 {
        let decayed = self.power * (1.0 - alpha);
        self.level + (1.0 - 1.0 / theta) * (self.power * self.intercept + (1.0 - decayed) / alpha * self.slope)
    }

    fn push(&mut self, y: f64, alpha: f64) {
        let t = self.t + 1.0;
        self.level += alpha * (y - self.level);
        self.slope = if t > 1.0 { ((t - 2.0) * self.slope + 6.0 / t * (y - self.mean)) / (t + 1.0) } else { 0.0 };
        self.mean += (y - self.mean) / t;
        self.intercept = self.mean - f64::midpoint(t, 1.0) * self.slope;
        self.power *= 1.0 - alpha;
        self.t = t;
    }
}
