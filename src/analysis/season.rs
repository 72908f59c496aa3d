//! Which seasons a series really has.
//!
//! A cycle is looked at on every scale at once: it is halved into 2, 4, 8, … blocks, and of each block the second
//! half is compared with the first (Haar's wavelet). On one scale such differences are independent of each other
//! both for white noise and for a random walk, so what a smooth wandering series does by chance is told from what
//! comes back each cycle: an analysis of variance by scale asks whether a block differs from the others of its cycle
//! in the same way, cycle after cycle. What is found so must also predict: on that scale each cycle is predicted by
//! the median of the other cycles and has to become clearly smaller. And it must matter for the series as a whole.

#[cfg(test)]
mod rates;
mod scale;

use self::scale::{Sums, Variance, all_by_chance};

/// Values from this size on count as gaps.
const OUT_OF_RANGE: f64 = 1e150;

/// Places per block for the level that outliers are measured from.
const BLOCK: usize = 32;

/// From this many robust standard deviations on a value is pulled in.
const FAR: f64 = 8.0;

/// A robust standard deviation is this many median absolute deviations.
const DEVIATIONS: f64 = 1.4826;

/// The chance that one candidate is found in noise.
const FALSE_RATE: f64 = 5e-4;

/// The chance under which a scale counts once all scales together are beyond chance.
const CONTRIBUTES: f64 = 0.03;

/// The share of the variance within cycles that a season must explain.
const LEAST_SHARE: f64 = 0.02;

/// The most blocks a cycle is split into.
const MOST_BLOCKS: usize = 1 << 14;

/// Which of the candidate periods, in places, are there; ascending. Each needs two full cycles, and a longer one
/// must add something to the shorter ones found. Gaps and outliers are tolerated; candidates under 4 are ignored.
pub fn find_periods(values: &[f64], candidates: &[usize]) -> Vec<usize> {
    let mut candidates: Vec<usize> = candidates.iter().copied().filter(|p| *p >= 4 && *p <= values.len() / 2).collect();
    candidates.sort_unstable();
    candidates.dedup();
    let mut found = Vec::new();
    if candidates.is_empty() {
        return found;
    }
    let Some(mut cleaned) = clean(values) else { return found };
    for period in candidates {
        if recurs(&cleaned, period) {
            subtract_means(&mut cleaned, period);
            found.push(period);
        }
    }
    found
}

/// The values brought to the size of 1, with outliers pulled in; gaps are NaN. None when all that is there is the same.
fn clean(values: &[f64]) -> Option<Vec<f64>> {
    let usable = |v: f64| v.is_finite() && v.abs() < OUT_OF_RANGE;
    let centre = median(&mut values.iter().copied().filter(|v| usable(*v)).collect::<Vec<_>>())?;
    let size = values.iter().filter(|v| usable(**v)).map(|v| (v - centre).abs()).fold(0.0, f64::max);
    if size <= 0.0 {
        return None;
    }
    let mut cleaned: Vec<f64> = values.iter().map(|v| if usable(*v) { (v - centre) / size } else { f64::NAN }).collect();

    let mut scratch = Vec::with_capacity(BLOCK);
    let levels: Vec<f64> = cleaned.chunks(BLOCK).map(|block| median_into(block, &mut scratch).unwrap_or(f64::NAN)).collect();
    let mut deviations: Vec<f64> =
        cleaned.iter().enumerate().map(|(i, v)| (v - levels[i / BLOCK]).abs()).filter(|d| d.is_finite()).collect();
    let mean = deviations.iter().sum::<f64>() / deviations.len() as f64;
    let spread = median(&mut deviations).filter(|d| *d > 0.0).map_or(mean, |d| d * DEVIATIONS);
    for (i, value) in cleaned.iter_mut().enumerate() {
        let level = levels[i / BLOCK];
        if !value.is_nan() {
            *value = value.clamp(level - FAR * spread, level + FAR * spread);
        }
    }
    Some(cleaned)
}

/// Takes the mean of each phase out, so that nothing of the season is left for longer ones.
fn subtract_means(values: &mut [f64], period: usize) {
    for phase in 0..period {
        let column = values[phase..].iter().step_by(period).filter(|v| !v.is_nan());
        let (sum, count) = column.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
        if count > 0.0 {
            values[phase..].iter_mut().step_by(period).for_each(|v| *v -= sum / count);
        }
    }
}

/// Whether what happens within a cycle of `period` comes back in every cycle.
fn recurs(values: &[f64], period: usize) -> bool {
    let cycles = values.len() / period;
    let values = &values[values.len() - cycles * period..];
    let sums = Sums::new(values);
    let scales = (0..).map(|s| 1 << s).take_while(|blocks| 2 * blocks <= period && *blocks <= MOST_BLOCKS);
    let variances: Vec<Variance> = scales.filter_map(|blocks| Variance::of(&sums, period, cycles, blocks)).collect();
    let chances: Vec<f64> = (0..variances.len()).map(|at| Variance::chance(&variances, at)).collect();
    // Either the scales together say so, or a single one.
    let together = all_by_chance(&chances) <= FALSE_RATE / 2.0;
    let level = if together { CONTRIBUTES } else { FALSE_RATE / 2.0 / variances.len() as f64 };
    let total: f64 = variances.iter().map(|v| v.total).sum();
    let explained: f64 = variances.iter().zip(chances).filter(|(_, chance)| *chance <= level).map(|(v, _)| v.season).sum();
    explained > 0.0 && explained >= LEAST_SHARE * total
}

/// The median, which shuffles the values; none of none.
fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let half = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, middle, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    let middle = *middle;
    Some(if even { below.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b)).midpoint(middle) } else { middle })
}

/// The median of the values that are there.
fn median_into(values: &[f64], scratch: &mut Vec<f64>) -> Option<f64> {
    scratch.clear();
    scratch.extend(values.iter().copied().filter(|v| !v.is_nan()));
    median(scratch)
}
