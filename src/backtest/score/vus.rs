//! The volume under the precision-recall surface (VUS-PR), the headline measure of the TSB-AD benchmark.
//!
//! After Paparrizos et al., "Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series Anomaly
//! Detection" (VLDB 2022), and Liu and Paparrizos, "The Elephant in the Room: Towards A Reliable Time-Series
//! Anomaly Detection Benchmark" (2024). Where the papers leave a choice, this one is TSB-AD 1.5's.
//!
//! Every labelled segment gets a ramp on either side, half a window long, within which a detection counts in part:
//! `sqrt(1 - distance / window)`. At each of 250 thresholds this gives a precision and a recall, the recall times
//! the share of segments that were found at all; the area under the curve is averaged over all windows from 0 up.

use std::ops::Range;

use super::{comparable, segments};

/// Thresholds on a curve.
const THRESHOLDS: usize = 250;
/// A window's length when the series has no period of its own.
const NO_PERIOD: usize = 125;
/// The longest lag that is looked at for a period.
const LAGS: usize = 400;
/// The first lag that can be a period.
const FIRST_LAG: usize = 3;
/// Peaks this many lags after the first one are believed, and no others.
const BELIEVED: std::ops::RangeInclusive<usize> = 3..=300;
/// A period is looked for in so many values at the start.
const HEAD: usize = 20_000;

/// VUS-PR, from 0 to 1, with windows from 0 to `window` points.
///
/// `scores` and `labels` are one per point. `None` when their lengths differ, or unless there are both labelled
/// and unlabelled points. The work grows with the window times the points that are within half of it of a segment.
pub fn vus_pr(scores: &[f64], labels: &[bool], window: usize) -> Option<f64> {
    let segments = segments(labels);
    let positives: usize = segments.iter().map(ExactSizeIterator::len).sum();
    if scores.len() != labels.len() || positives == 0 || positives == labels.len() {
        return None;
    }
    let steps = first_steps(scores);
    let mut surface = Surface::new(&steps, labels, &segments, window / 2);
    let total: f64 = (0..=window).map(|window| surface.area(window)).sum();
    Some(total / (window as f64 + 1.0))
}

/// For each point the first of the thresholds, from the highest down, at which it is flagged. The thresholds are
/// scores, at equal steps of rank.
fn first_steps(scores: &[f64]) -> Vec<u8> {
    let scores: Vec<f64> = scores.iter().copied().map(comparable).collect();
    let mut sorted = scores.clone();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let last = sorted.len() - 1;
    // The product first rounded, then cut off, as numpy's linspace does it.
    let step = last as f64 / (THRESHOLDS - 1) as f64;
    let rank = |k: usize| if k == THRESHOLDS - 1 { last } else { (k as f64 * step) as usize };
    let thresholds: Vec<f64> = (0..THRESHOLDS).map(|k| sorted[rank(k)]).collect();
    scores.iter().map(|score| thresholds.partition_point(|threshold| threshold > score) as u8).collect()
}

/// The curves of one series for growing windows.
struct Surface<'a> {
    steps: &'a [u8],
    segments: &'a [Range<usize>],
    positives: f64,
    /// Points flagged at each threshold.
    flagged: Vec<f64>,
    /// Labelled points flagged at each threshold.
    hits: Vec<f64>,
    /// Unlabelled points that some ramp reaches.
    near: Vec<usize>,
    /// The sum of the ramps at each point; only read, and put back to zero, at those that are near.
    ramps: Vec<f64>,
    /// How far the segments reach to either side by now.
    reach: usize,
    /// For each segment with its reach, the first threshold at which any of its points is flagged.
    found: Vec<u8>,
}

impl<'a> Surface<'a> {
    fn new(steps: &'a [u8], labels: &[bool], segments: &'a [Range<usize>], longest_reach: usize) -> Self {
        let found = segments.iter().map(|segment| steps[segment.clone()].iter().copied().min().unwrap_or(u8::MAX)).collect();
        let flagged = cumulated(steps.iter().map(|step| (*step, 1.0)));
        let hits = cumulated(segments.iter().flat_map(|segment| &steps[segment.clone()]).map(|step| (*step, 1.0)));
        let mut near = Vec::new();
        let mut seen = 0;
        for segment in segments {
            let from = segment.start.saturating_sub(longest_reach).max(seen);
            seen = segment.end.saturating_add(longest_reach).min(steps.len());
            near.extend((from..seen).filter(|i| !labels[*i]));
        }
        let positives = segments.iter().map(ExactSizeIterator::len).sum::<usize>() as f64;
        Self { steps, segments, positives, flagged, hits, near, ramps: vec![0.0; steps.len()], reach: 0, found }
    }

    /// The area under the curve of `window`, which must not be smaller than that of an earlier call.
    fn area(&mut self, window: usize) -> f64 {
        self.reach_to(window / 2);
        let partial = self.partial_hits(window);
        let (groups, found) = self.groups();
        let (mut area, mut before) = (0.0, 0.0);
        for k in 0..THRESHOLDS {
            let hits = self.hits[k] + partial[k];
            // A mean of the labelled points and of those with the flagged part of the ramps.
            let wanted = self.positives + partial[k] / 2.0;
            let recall = (hits / wanted).min(1.0) * (found[k] / groups);
            area += (recall - before) * hits / self.flagged[k];
            before = recall;
        }
        area
    }

    /// Lets every segment reach `reach` points to either side.
    fn reach_to(&mut self, reach: usize) {
        while self.reach < reach {
            self.reach += 1;
            for (segment, found) in self.segments.iter().zip(&mut self.found) {
                let left = segment.start.checked_sub(self.reach).and_then(|i| self.steps.get(i));
                let right = self.steps.get(segment.end + self.reach - 1);
                *found = left.into_iter().chain(right).fold(*found, |found, step| found.min(*step));
            }
        }
    }

    /// How many separate segments there are once those whose reaches touch are one, and how many of them are found
    /// at each threshold.
    fn groups(&self) -> (f64, Vec<f64>) {
        let mut groups: Vec<u8> = Vec::new();
        let mut end = None;
        for (segment, found) in self.segments.iter().zip(&self.found) {
            match groups.last_mut() {
                // Apart means a free point between them in the sense of TSB-AD: last + reach < first - reach.
                Some(group) if end.is_some_and(|end| end + 2 * self.reach > segment.start) => *group = (*group).min(*found),
                _ => groups.push(*found),
            }
            end = Some(segment.end);
        }
        (groups.len() as f64, cumulated(groups.into_iter().map(|step| (step, 1.0))))
    }

    /// What the flagged points on ramps count for at each threshold.
    fn partial_hits(&mut self, window: usize) -> Vec<f64> {
        let ramp: Vec<f64> = (1..=window / 2).map(|distance| (1.0 - distance as f64 / window as f64).sqrt()).collect();
        for segment in self.segments {
            self.ramps[segment.end..].iter_mut().zip(&ramp).for_each(|(sum, part)| *sum += part);
            self.ramps[..segment.start].iter_mut().rev().zip(&ramp).for_each(|(sum, part)| *sum += part);
        }
        let (steps, ramps) = (self.steps, &mut self.ramps);
        cumulated(self.near.iter().map(|i| (steps[*i], std::mem::take(&mut ramps[*i]).min(1.0))))
    }
}

/// Weights summed over all thresholds down to each.
fn cumulated(weights: impl Iterator<Item = (u8, f64)>) -> Vec<f64> {
    let mut sums = vec![0.0; THRESHOLDS];
    for (step, weight) in weights {
        if let Some(sum) = sums.get_mut(usize::from(step)) {
            *sum += weight;
        }
    }
    let mut sum = 0.0;
    for at in &mut sums {
        sum += *at;
        *at = sum;
    }
    sums
}

/// The window that TSB-AD takes for a series: the lag of its autocorrelation's highest peak, or 125 points where
/// there is none between 6 and 303. Its authors take the first channel of a series of several.
///
/// Looks at the first 20,000 values; one that is not finite counts as their mean.
pub fn sliding_window(values: &[f64]) -> usize {
    let correlations = autocorrelation(&values[..values.len().min(HEAD)]);
    let peaks = correlations.windows(3).enumerate().skip(FIRST_LAG).filter(|(_, around)| around[0] < around[1] && around[1] > around[2]);
    // The later of two equal ones.
    let highest = peaks.max_by(|a, b| a.1[1].total_cmp(&b.1[1])).map(|(before, _)| before + 1);
    highest.filter(|lag| BELIEVED.contains(&(lag - FIRST_LAG))).unwrap_or(NO_PERIOD)
}

/// The autocorrelations at the lags from 0 to 400 (fewer of a short series), every sum divided by the same number
/// of values.
fn autocorrelation(values: &[f64]) -> Vec<f64> {
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let mean = finite.iter().sum::<f64>() / finite.len() as f64;
    let centred: Vec<f64> = values.iter().map(|v| if v.is_finite() { v - mean } else { 0.0 }).collect();
    let product = |lag: usize| centred.iter().zip(&centred[lag..]).map(|(a, b)| a * b).sum::<f64>();
    let variance = product(0);
    (0..values.len().min(LAGS + 1)).map(|lag| product(lag) / variance).collect()
}
