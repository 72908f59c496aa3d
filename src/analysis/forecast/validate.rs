//! What each model would have said before, and how far off it would have been.

use super::candidates::{Model, continuations};

/// At most so many origins.
const ORIGINS: usize = 12;
/// Weights fall with this power of the error.
const POWER: i32 = 4;
/// Relative to the largest; models of smaller weight do not count.
const LEAST_WEIGHT: f64 = 0.05;

/// Models and their weights, and how far off they were together.
#[derive(Clone, Debug)]
pub(super) struct Validated {
    /// In the order of [`Model::ALL`]; they add up to 1.
    pub(super) weights: [f64; Model::ALL.len()],
    /// What the combination said at each origin, the number of values it knew.
    pub(super) said: Vec<(usize, Vec<f64>)>,
}

/// Forecasts from earlier ends of `values`, which has no gaps.
pub(super) fn validate(values: &[f64], periods: &[usize], horizon: usize) -> Validated {
    let n = values.len();
    let span = horizon.min(n / 3).max(1);
    let longest = periods.iter().copied().filter(|p| 3 * p + span <= n).max().unwrap_or(0);
    let least = (n / 3).max(2 * longest + span / 2).max(8);
    let span = span.min(n.saturating_sub(least)).max(1);
    let origins: Vec<usize> = (0..ORIGINS).map_while(|j| n.checked_sub(span + j * span)).filter(|o| *o >= least).collect();
    let said: Vec<_> = origins.iter().map(|o| continuations(&values[..*o], periods, span)).collect();
    let off: Vec<[f64; Model::ALL.len()]> = said.iter().zip(&origins).map(|(said, o)| sizes(said, &values[*o..])).collect();
    let combined = said.iter().zip(&origins).enumerate().map(|(left_out, (said, o))| {
        // An origin's own errors must not choose the weights it is judged with.
        let others = off.iter().enumerate().filter(|(i, _)| *i != left_out || off.len() == 1).map(|(_, off)| off);
        (*o, combine(said, &weigh(others), span))
    });
    Validated { said: combined.collect(), weights: weigh(off.iter()) }
}

/// The mean absolute error of what each model said; NaN where it said nothing or there is nothing to compare it with.
fn sizes(said: &[Option<Vec<f64>>; Model::ALL.len()], actual: &[f64]) -> [f64; Model::ALL.len()] {
    std::array::from_fn(|i| {
        let off: Vec<f64> = said[i].iter().flatten().zip(actual).map(|(f, y)| (f - y).abs()).filter(|e| e.is_finite()).collect();
        off.iter().sum::<f64>() / off.len() as f64
    })
}

/// Weights from the errors at several origins. A model that failed at one of them is not to be trusted at the end.
fn weigh<'a>(errors: impl Iterator<Item = &'a [f64; Model::ALL.len()]>) -> [f64; Model::ALL.len()] {
    let mut off = [0.0; Model::ALL.len()];
    for errors in errors.filter(|e| e.iter().any(|e| !e.is_nan())) {
        off.iter_mut().zip(errors).for_each(|(off, e)| *off += e);
    }
    let best = off.iter().copied().fold(f64::NAN, f64::min);
    if best.is_nan() {
        let mut weights = [0.0; Model::ALL.len()];
        weights[0] = 1.0;
        return weights;
    }
    let mut weights = off.map(|e| {
        if e.is_nan() {
            0.0
        } else if best <= 0.0 {
            f64::from(u8::from(e <= 0.0))
        } else {
            (best / e).powi(POWER)
        }
    });
    for weight in &mut weights {
        if *weight < LEAST_WEIGHT {
            *weight = 0.0;
        }
    }
    let sum: f64 = weights.iter().sum();
    weights.map(|w| w / sum)
}

/// The weighted mean of what models said; of those that said something.
pub(super) fn combine(said: &[Option<Vec<f64>>], weights: &[f64], horizon: usize) -> Vec<f64> {
    let mut all = vec![0.0; horizon];
    let mut sum = 0.0;
    for (said, weight) in said.iter().zip(weights) {
        if let (Some(said), true) = (said, *weight > 0.0) {
            all.iter_mut().zip(said).for_each(|(all, f)| *all += weight * f);
            sum += weight;
        }
    }
    if sum > 0.0 {
        for value in &mut all {
            *value /= sum;
        }
        return all;
    }
    said.iter().flatten().next().cloned().unwrap_or(all)
}
