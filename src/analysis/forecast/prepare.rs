//! What is done to a series before it is forecast: gaps are filled, known events taken out, a level it has left is forgotten,
//! and a long series is looked at in blocks.

use crate::analysis::baseline::median;
use crate::analysis::decompose::{self, MstlParams};

/// Places before and after a step whose medians are compared.
const BESIDE: usize = 12;
/// A step is a shift when it is so many times as large as steps between neighbouring stretches usually are.
const SHIFT: f64 = 10.0;
/// Longer series, or horizons, are looked at in blocks.
const MOST_PLACES: usize = 6_000;
const MOST_STEPS: usize = 512;

/// Fills gaps: by trend and seasons where there are seasons, else by a straight line between neighbours.
pub(super) fn fill(values: &[f64], periods: &[usize]) -> Vec<f64> {
    let mut filled = values.to_vec();
    if filled.iter().all(|v| v.is_finite()) {
        return filled;
    }
    let periods: Vec<usize> = periods.iter().copied().filter(|p| 2 * p <= values.len()).collect();
    if !periods.is_empty()
        && let Ok(parts) = decompose::mstl(values, &MstlParams::new(&periods).robust().fast())
    {
        for (t, v) in filled.iter_mut().enumerate().filter(|(_, v)| !v.is_finite()) {
            *v = parts.trend[t] + parts.seasons.iter().map(|s| s.values[t]).sum::<f64>();
        }
        return filled;
    }
    let known: Vec<usize> = (0..values.len()).filter(|t| values[*t].is_finite()).collect();
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return filled };
    filled[..*first].fill(values[*first]);
    filled[last + 1..].fill(values[*last]);
    for pair in known.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        for (after, value) in filled[from..to].iter_mut().enumerate() {
            *value = values[from] + (values[to] - values[from]) * after as f64 / (to - from) as f64;
        }
    }
    filled
}

/// Where the series, without gaps, last left its level for another and stayed there: the first place of what it is now.
pub(super) fn last_shift(values: &[f64], periods: &[usize]) -> Option<usize> {
    let n = values.len();
    let longest = periods.iter().copied().filter(|p| 2 * p <= n).max().unwrap_or(1);
    let beside = BESIDE.max(longest.min(n / 6));
    if n < 4 * beside {
        return None;
    }
    // Whole seasons on both sides have the same mean, whatever the season.
    let sums: Vec<f64> = std::iter::once(0.0)
        .chain(values.iter().scan(0.0, |sum, v| {
            *sum += v;
            Some(*sum)
        }))
        .collect();
    let mean = |from: usize, to: usize| (sums[to] - sums[from]) / (to - from) as f64;
    let step = |t: usize| mean(t, t + beside) - mean(t - beside, t);
    let usual = median((beside..=n - beside).map(|t| step(t).abs()))?;
    let place = (beside..=n - beside).rev().max_by(|a, b| step(*a).abs().total_cmp(&step(*b).abs()))?;
    let size = step(place);
    // What comes back is an incident, and what goes on rising a trend.
    let stays = (mean(place, n) - mean(0, place)) / size;
    let sudden = mean(place, place + beside / 4) - mean(place - beside / 4, place);
    (size.abs() > SHIFT * usual && stays > 0.5 && sudden / size > 0.5).then_some(place)
}

/// Brings what was before `shift` to the level after it: by a difference, or by a factor where one season later that is
/// nearer to what was then.
pub(super) fn align(values: &mut [f64], shift: usize, periods: &[usize]) {
    let level = |of: &[f64]| median(of.iter().copied());
    let (Some(before), Some(after)) = (level(&values[..shift]), level(&values[shift..])) else { return };
    let period = periods.iter().copied().filter(|p| *p <= shift).max().unwrap_or(1);
    let seen = shift..values.len().min(shift + period);
    let off = |aligned: &dyn Fn(f64) -> f64| seen.clone().map(|t| (values[t] - aligned(values[t - period])).abs()).sum::<f64>();
    let (moved, scaled) = (|v: f64| v + (after - before), |v: f64| v * (after / before));
    let by_factor = values.iter().all(|v| *v > 0.0) && off(&scaled) < off(&moved);
    values[..shift].iter_mut().for_each(|v| *v = if by_factor { scaled(*v) } else { moved(*v) });
}

/// How many places make a block, and the periods in blocks: one where the series is short enough. Periods that are no
/// whole number of at least four blocks are given up.
pub(super) fn blocks(len: usize, horizon: usize, periods: &[usize]) -> (usize, Vec<usize>) {
    let needed = len.div_ceil(MOST_PLACES).max(horizon.div_ceil(MOST_STEPS)).max(1);
    let long = |size: usize| periods.iter().copied().filter(move |p| *p >= 4 * size);
    let size = (needed..=4 * needed).find(|size| long(needed).all(|p| p % size == 0)).unwrap_or(needed);
    (size, long(size).filter(|p| p % size == 0).map(|p| p / size).collect())
}

/// The means of blocks of `size`, the last of which ends with the series; NaN where nothing is there.
pub(super) fn means(values: &[f64], size: usize) -> Vec<f64> {
    let mean = |block: &[f64]| {
        let (sum, n) = block.iter().filter(|v| v.is_finite()).fold((0.0, 0), |(sum, n), v| (sum + v, n + 1));
        sum / f64::from(n)
    };
    values[values.len() % size..].chunks(size).map(mean).collect()
}

/// The first `horizon` places of a course of which `means` are the means of blocks; `last` is the mean of the block before.
pub(super) fn expand(means: &[f64], size: usize, last: f64, horizon: usize) -> Vec<f64> {
    if size == 1 {
        return means[..horizon].to_vec();
    }
    let at = |block: isize| if block < 0 { last } else { means[(block as usize).min(means.len() - 1)] };
    (0..horizon)
        .map(|t| {
            // Straight lines between the middles of blocks.
            let place = (t as f64 + 0.5) / size as f64 - 0.5;
            let block = place.floor();
            at(block as isize) + (place - block) * (at(block as isize + 1) - at(block as isize))
        })
        .collect()
}
