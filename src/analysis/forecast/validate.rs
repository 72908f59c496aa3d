//! What each model would have said before, and how far off it would have been.

use super::candidates::{Model, continuations};

/// At most so many origins.
const ORIGINS: usize = 12;
/// Fewer do not choose between mean and median.
const LEAST_ORIGINS: usize = 3;
/// What was off at the origin before counts so many times as much.
const FADING: f64 = 0.9;
/// Weights fall with this power of the error.
const POWER: i32 = 4;
/// Relative to the largest; models of smaller weight do not count.
const LEAST_WEIGHT: f64 = 0.05;

/// Models and their weights, and how far off they were together.
#[derive(Clone, Debug)]
pub(super) struct Validated {
    /// In the order of [`Model::ALL`]; they add up to 1.
    pub(super) weights: [f64; Model::ALL.len()],
    /// What is made of them.
    pub(super) combination: Combination,
    /// What the combination said at each origin, the number of values it knew.
    pub(super) said: Vec<(usize, Vec<f64>)>,
}

/// What is made of what several models say, each with its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combination {
    /// The mean, which is nearer where all are off by a little, to either side.
    Mean,
    /// The median, which is nearer where one or the other is far off.
    Median,
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
    let counts: Vec<f64> = std::iter::successors(Some(1.0), |counts| Some(counts * FADING)).take(origins.len()).collect();
    let off: Vec<[f64; Model::ALL.len()]> = said
        .iter()
        .zip(&origins)
        .zip(&counts)
        .map(|((said, o), counts)| std::array::from_fn(|i| counts * said[i].as_ref().map_or(f64::NAN, |said| size(said, &values[*o..]))))
        .collect();
    // An origin's own errors must not choose the weights it is judged with.
    let alone = off.len() == 1;
    let others = |left_out| off.iter().enumerate().filter(move |(i, _)| *i != left_out || alone).map(|(_, off)| off);
    let weights: Vec<_> = (0..off.len()).map(|left_out| weigh(others(left_out))).collect();
    let judged = |combination| {
        let said: Vec<_> = said.iter().zip(&weights).map(|(said, weights)| combine(said, weights, combination, span)).collect();
        let off = said.iter().zip(&origins).zip(&counts).map(|((said, o), counts)| counts * size(said, &values[*o..]));
        let off: f64 = off.filter(|size| !size.is_nan()).sum();
        (off, said)
    };
    let (mean, median) = (judged(Combination::Mean), judged(Combination::Median));
    let (combination, said) =
        if origins.len() >= LEAST_ORIGINS && median.0 < mean.0 { (Combination::Median, median.1) } else { (Combination::Mean, mean.1) };
    Validated { weights: weigh(off.iter()), combination, said: origins.into_iter().zip(said).collect() }
}

/// The mean absolute error of what was said; NaN where there is nothing to compare it with.
fn size(said: &[f64], actual: &[f64]) -> f64 {
    let off: Vec<f64> = said.iter().zip(actual).map(|(f, y)| (f - y).abs()).filter(|e| e.is_finite()).collect();
    off.iter().sum::<f64>() / off.len() as f64
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

/// What those models say together that said something.
pub(super) fn combine(said: &[Option<Vec<f64>>], weights: &[f64], combination: Combination, horizon: usize) -> Vec<f64> {
    let used = || said.iter().zip(weights).filter_map(|(said, weight)| Some((said.as_ref()?, *weight))).filter(|(_, weight)| *weight > 0.0);
    let sum: f64 = used().map(|(_, weight)| weight).sum();
    if sum <= 0.0 {
        return said.iter().flatten().next().cloned().unwrap_or_else(|| vec![0.0; horizon]);
    }
    match combination {
        Combination::Mean => (0..horizon).map(|step| used().map(|(said, weight)| weight * said[step]).sum::<f64>() / sum).collect(),
        Combination::Median => (0..horizon).map(|step| weighted_median(used().map(|(said, weight)| (said[step], weight)), sum)).collect(),
    }
}

/// The value up to which at least half of the weights lie.
fn weighted_median(values: impl Iterator<Item = (f64, f64)>, sum: f64) -> f64 {
    let mut values: Vec<(f64, f64)> = values.collect();
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = 0.0;
    let middle = values.iter().find(|(_, weight)| {
        below += weight;
        below >= 0.5 * sum * (1.0 - 1e-9)
    });
    middle.or(values.last()).map_or(f64::NAN, |(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_a_model_that_is_far_off() {
        let said = [Some(vec![1.0, 2.0]), None, Some(vec![1.2, 2.2]), Some(vec![90.0, -90.0])];
        let weights = [0.4, 0.2, 0.3, 0.3];
        assert_eq!(combine(&said, &weights, Combination::Median, 2), [1.2, 2.0]);
        assert!(combine(&said, &weights, Combination::Mean, 2)[0] > 20.0);
        assert_eq!(combine(&said, &[0.0; 4], Combination::Median, 2), [1.0, 2.0]);
        assert_eq!(combine(&[None], &[1.0], Combination::Mean, 2), [0.0, 0.0]);
    }
}
