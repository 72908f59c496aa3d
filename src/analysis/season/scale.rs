//! What happens within a cycle, scale by scale: how much of it comes back, and how likely that is by chance.

use statrs::function::beta::checked_beta_reg;

use super::{DEVIATIONS, median};

/// From this many robust standard deviations on a difference is pulled in.
const FAR_DIFFERENCE: f64 = 15.0;

/// How many scales the noise of one is judged by.
const SCALES: usize = 6;

/// How many degrees of freedom the other scales are worth.
const BORROWED: f64 = 16.0;

/// To how much of its size the error must fall when a cycle is predicted from the others.
const CLEARLY: f64 = 0.9;

/// The chance that independent chances are as small together (Fisher's method).
pub(super) fn all_by_chance(chances: &[f64]) -> f64 {
    let sum: f64 = chances.iter().map(|chance| -chance.max(1e-300).ln()).sum();
    let (mut term, mut series) = (1.0, 0.0);
    for i in 0..chances.len() {
        series += term;
        term *= sum / (i + 1) as f64;
    }
    (-sum).exp() * series
}

/// Running sums, for the mean of any stretch.
pub(super) struct Sums {
    sums: Vec<f64>,
    counts: Vec<u32>,
}

impl Sums {
    pub fn new(values: &[f64]) -> Self {
        let (mut sums, mut counts) = (Vec::with_capacity(values.len() + 1), Vec::with_capacity(values.len() + 1));
        let (mut sum, mut count) = (0.0, 0);
        sums.push(sum);
        counts.push(count);
        for value in values {
            if !value.is_nan() {
                sum += value;
                count += 1;
            }
            sums.push(sum);
            counts.push(count);
        }
        Self { sums, counts }
    }

    /// The mean of `from..to`; NaN when less than half of it is there.
    fn mean(&self, from: usize, to: usize) -> f64 {
        let count = self.counts[to] - self.counts[from];
        if count == 0 || 2 * (count as usize) < to - from {
            return f64::NAN;
        }
        (self.sums[to] - self.sums[from]) / f64::from(count)
    }
}

/// The differences of one scale: those of one block in all cycles stand together.
struct Scale {
    values: Vec<f64>,
    /// How many values stand together.
    cycles: usize,
    /// How much neighbouring values of white noise inflate the variance of their mean.
    inflation: f64,
    /// The degrees of freedom that straightening took, between blocks and within them.
    lost: [u8; 2],
}

/// How a scale's variance comes about.
pub(super) struct Variance {
    /// The mean square, and how much of it is the season's, both as energy.
    pub total: f64,
    pub season: f64,
    /// The mean squares between blocks and within them, and their degrees of freedom.
    between: (f64, f64),
    within: (f64, f64),
    /// Whether a cycle is predicted by the others.
    predicts: bool,
}

impl Variance {
    /// What `blocks` blocks a cycle show over so many cycles; none when too little is there.
    pub fn of(sums: &Sums, period: usize, cycles: usize, blocks: usize) -> Option<Self> {
        let mut scale = if blocks == 1 { halves(sums, period, cycles) } else { differences(sums, period, cycles, blocks) };
        pull_in(&mut scale.values);
        if blocks > 1 {
            scale.straighten();
        }
        scale.analyse(blocks)
    }

    /// The chance of as much recurrence in noise on the scale `at`.
    pub fn chance(scales: &[Self], at: usize) -> f64 {
        let Self { between: (between, over), within: (within, under), predicts, .. } = scales[at];
        if !predicts {
            return 1.0;
        }
        if within <= 0.0 {
            return if between > 0.0 && under >= 2.0 { 0.0 } else { 1.0 };
        }
        // Few cycles tell little of the noise on a coarse scale, but the finer ones tell what to expect there.
        let expected = power_law(scales, at);
        let (noise, under) = if expected > within { (expected, under + BORROWED) } else { (within, under) };
        checked_beta_reg(under / 2.0, over / 2.0, under / (under + over * between / noise)).unwrap_or(1.0)
    }
}

/// The variance within blocks that a power law through this scale and the finer ones gives; 0 if there are too few.
fn power_law(scales: &[Variance], at: usize) -> f64 {
    let [mut weight, mut first, mut second, mut value, mut cross] = [0.0; 5];
    let near = scales[at..].iter().take(SCALES).filter(|v| v.within.0 > 0.0);
    if near.clone().count() < 3 {
        return 0.0;
    }
    for (far, scale) in near.enumerate() {
        let (far, counts, log) = (far as f64, scale.within.1.min(32.0), scale.within.0.ln());
        weight += counts;
        first += counts * far;
        second += counts * far * far;
        value += counts * log;
        cross += counts * far * log;
    }
    ((second * value - first * cross) / (weight * second - first * first)).exp()
}

/// The second half of each block against its first.
fn differences(sums: &Sums, period: usize, cycles: usize, blocks: usize) -> Scale {
    let mut values = Vec::with_capacity(blocks * cycles);
    for block in 0..blocks {
        let edge = |half: usize| half * period / (2 * blocks);
        let (from, middle, to) = (edge(2 * block), edge(2 * block + 1), edge(2 * block + 2));
        values.extend((0..cycles).map(|cycle| {
            let base = cycle * period;
            sums.mean(base + middle, base + to) - sums.mean(base + from, base + middle)
        }));
    }
    Scale { values, cycles, inflation: 1.0, lost: [1, 1] }
}

/// The second halves of two cycles against their first halves, so that neither a slope nor a curvature shows.
fn halves(sums: &Sums, period: usize, cycles: usize) -> Scale {
    let half = period / 2;
    let values = (0..cycles - 1).map(|cycle| {
        let [a, b, c, d] = [0, half, period, period + half].map(|at| cycle * period + at);
        let mean = |from: usize, to: usize| sums.mean(from, to);
        (mean(d, (cycle + 2) * period) - 3.0 * mean(c, d) + 3.0 * mean(b, c) - mean(a, b)) / 4.0
    });
    // Neighbours share a cycle: 1 + 2 · 6/20.
    Scale { values: values.collect(), cycles: cycles - 1, inflation: 1.6, lost: [0, 0] }
}

/// Pulls in what is far from the rest.
fn pull_in(values: &mut [f64]) {
    let mut there: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    if there.len() < 16 {
        return;
    }
    let Some(centre) = median(&mut there) else { return };
    for value in &mut there {
        *value = (*value - centre).abs();
    }
    let Some(spread) = median(&mut there).filter(|d| *d > 0.0) else { return };
    let far = FAR_DIFFERENCE * DEVIATIONS * spread;
    for value in values.iter_mut().filter(|v| !v.is_nan()) {
        *value = value.clamp(centre - far, centre + far);
    }
}

impl Scale {
    /// Takes out what a slope of the series (all differences alike) and its curvature (differences that grow) do.
    /// The growth is told from one cycle to the next, which a season has no part in.
    fn straighten(&mut self) {
        let blocks = self.values.len() / self.cycles;
        let (mut sums, mut counts) = (vec![0.0; self.cycles], vec![0.0; self.cycles]);
        for column in self.values.chunks(self.cycles) {
            for (cycle, value) in column.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                sums[cycle] += value;
                counts[cycle] += 1.0;
            }
        }
        let middle = (self.cycles - 1) as f64 / 2.0;
        let (mut slope, mut square) = (0.0, 0.0);
        for (cycle, (sum, count)) in sums.iter().zip(&counts).enumerate().filter(|(_, (_, count))| **count > 0.0) {
            slope += (cycle as f64 - middle) * sum / count;
            square += (cycle as f64 - middle).powi(2);
        }
        let growth = if square > 0.0 { slope / square } else { 0.0 };
        for (block, column) in self.values.chunks_mut(self.cycles).enumerate() {
            for (cycle, value) in column.iter_mut().enumerate() {
                *value -= growth * (cycle as f64 + block as f64 / blocks as f64);
            }
        }
        let (sum, count) = self.values.iter().filter(|v| !v.is_nan()).fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
        self.values.iter_mut().for_each(|v| *v -= sum / count);
    }

    /// The analysis of variance by block. The degrees of freedom are fewer when some blocks are noisier than others
    /// (Box, "Some theorems on quadratic forms", 1954).
    fn analyse(&self, blocks: usize) -> Option<Variance> {
        let (mut between, mut within, mut square) = (0.0, 0.0, 0.0);
        let (mut groups, mut singles, mut noise, mut noise_square, mut noisy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for column in self.values.chunks(self.cycles) {
            let (sum, count) = column.iter().filter(|v| !v.is_nan()).fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
            if count < 2.0 {
                continue;
            }
            let mean = sum / count;
            let rest: f64 = column.iter().filter(|v| !v.is_nan()).map(|v| (v - mean).powi(2)).sum();
            between += count * mean * mean;
            within += rest;
            square += (rest + count * mean * mean) / count;
            groups += 1.0;
            singles += count - 1.0;
            let variance = rest / (count - 1.0);
            noise += variance;
            noise_square += variance * variance;
            noisy += (count + 1.0) / (count - 1.0);
        }
        let (free, singles) = (groups - f64::from(self.lost[0]), singles - f64::from(self.lost[1]));
        if free < 1.0 || singles < 1.0 {
            return None;
        }
        let share = if noise_square > 0.0 { (noise * noise / noise_square * noisy / groups / groups).min(1.0) } else { 1.0 };
        let (between, within) = (between / free, within / singles);
        // The energy of a block is its length times the square of its difference, all over 4.
        let energy = 1.0 / blocks as f64;
        Some(Variance {
            total: square * energy,
            season: ((between - within) / (singles / groups + 1.0) * groups * energy).max(0.0),
            between: (between / self.inflation, (free * share).max(1.0)),
            within: (within, (singles * share).max(1.0)),
            predicts: between > within && self.predicts(),
        })
    }

    /// Whether the median of the other cycles predicts a cycle clearly better than nothing does.
    fn predicts(&self) -> bool {
        let (mut before, mut after) = (0.0, 0.0);
        let mut sorted = Vec::with_capacity(self.cycles);
        for column in self.values.chunks(self.cycles) {
            sorted.clear();
            sorted.extend(column.iter().copied().filter(|v| !v.is_nan()));
            if sorted.len() < 2 {
                continue;
            }
            sorted.sort_unstable_by(f64::total_cmp);
            // Without place i the others' order is the same, so their median is found by counting.
            let others = sorted.len() - 1;
            let (low, high) = ((others - 1) / 2, others / 2);
            for (i, value) in sorted.iter().enumerate() {
                let other = |place: usize| sorted[if place < i { place } else { place + 1 }];
                before += value.abs();
                after += (value - other(low).midpoint(other(high))).abs();
            }
        }
        after <= CLEARLY * before
    }
}
