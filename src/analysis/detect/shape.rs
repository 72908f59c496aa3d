//! The shape of the latest stretch: how unlike it is to every stretch of the past.
//!
//! For rhythms that no calendar knows: a heartbeat, a batch that runs every few minutes. Subsequences of
//! 0.4 periods are brought to the same length and to a soft z-normal form, and a greedy coreset of them is kept
//! (farthest-first traversal, Gonzalez 1985; as a memory of what is normal: Roth et al., "Towards total recall in
//! industrial anomaly detection", CVPR 2022). The statistic is the distance to the nearest of the coreset: a
//! matrix profile that looks only back and forgets nothing.

use serde::{Deserialize, Serialize};

use super::past::APART;
use crate::analysis::calibrate::Tail;

/// Values a subsequence is reduced to.
const POINTS: usize = 16;
const HALF: usize = POINTS / 2;
/// Subsequences that are kept.
const KEPT: usize = 256;
/// Subsequences they are chosen from.
const CHOSEN_FROM: usize = 4000;
/// A subsequence's share of the period.
const SHARE: f64 = 0.4;
/// Lags at which a period is looked for, …
const LAGS: std::ops::RangeInclusive<usize> = 8..=400;
/// …over so many of the latest values.
const LOOKED_AT: usize = 12_000;
/// How far the autocorrelation must rise from its lowest point to the period's.
const LEAST_RISE: f64 = 0.3;
/// The coreset is chosen from this share of the window; the rest says how far normal ones are from it.
const LEARNED_FROM: f64 = 0.7;
/// Subsequences are kept in whole multiples of this.
const GRAIN: f32 = 1.0 / 32.0;

/// The shapes a series has, and how far from them is usual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shapes {
    /// How many values a subsequence spans.
    span: usize,
    /// The standard deviation of the series.
    scale: f64,
    /// [`POINTS`] numbers for each subsequence.
    kept: Vec<i8>,
    /// The tail of the distance.
    pub tail: Tail,
}

impl Shapes {
    /// Learns from `values`; `None` where there is no rhythm between 8 and 400 steps, or too little of it, or gaps, or
    /// nothing but exact repeats.
    pub fn fit(values: &[f64]) -> Option<Self> {
        let latest = &values[values.len().saturating_sub(LOOKED_AT)..];
        let (period, scale) = period(latest)?;
        let span = ((period as f64 * SHARE) as usize).max(4);
        let learned = (latest.len() as f64 * LEARNED_FROM) as usize;
        if latest.len() < 6 * period {
            return None;
        }
        let every = (learned.saturating_sub(span) / CHOSEN_FROM).max(1);
        let rows: Vec<[i8; POINTS]> = latest[..learned].windows(span).step_by(every).filter_map(|window| reduced(window, scale)).collect();
        let kept = coreset(&rows).concat();
        let distances: Vec<f64> =
            latest[learned..].windows(span).filter_map(|window| reduced(window, scale)).map(|row| nearest(&kept, &row)).collect();
        // What repeats exactly leaves nothing to tell how far is usual.
        let spread = (distances.iter().map(|d| d * d).sum::<f64>() / distances.len().max(1) as f64).sqrt();
        if spread < f64::from(GRAIN) / 16.0 {
            return None;
        }
        Some(Self { span, scale, tail: Tail::predictive(&distances, APART)?, kept })
    }

    /// How many of the latest values are needed.
    pub fn span(&self) -> usize {
        self.span
    }

    /// The distance of the subsequence `latest`, of [`Shapes::span`] values in their order, from the nearest known one, in
    /// standard deviations; NaN with a missing value in it.
    pub fn distance(&self, latest: &[f64]) -> f64 {
        reduced(latest, self.scale).map_or(f64::NAN, |row| nearest(&self.kept, &row))
    }

    /// Whether the numbers are such as [`Shapes::fit`] makes.
    pub fn is_sound(&self) -> bool {
        (4..=*LAGS.end()).contains(&self.span)
            && self.scale > 0.0
            && self.scale.is_finite()
            && !self.kept.is_empty()
            && self.kept.len().is_multiple_of(POINTS)
            && self.kept.len() <= KEPT * POINTS
            && self.tail.is_sound()
    }
}

/// The lag at which `values` are most like themselves, as the highest local maximum of the autocorrelation after its
/// lowest point, and their standard deviation.
fn period(values: &[f64]) -> Option<(usize, f64)> {
    let n = values.len();
    if n < 4 * LAGS.start() || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let centred: Vec<f64> = values.iter().map(|v| v - mean).collect();
    let at = |lag: usize| centred[lag..].iter().zip(&centred).map(|(a, b)| a * b).sum::<f64>();
    let variance = at(0);
    if !(variance.is_finite() && variance > 0.0) {
        return None;
    }
    let correlations: Vec<f64> = (0..=(*LAGS.end()).min(n / 4)).map(|lag| at(lag) / variance).collect();
    let mut best: Option<(usize, f64)> = None;
    let mut lowest = 1.0_f64;
    for lag in 1..correlations.len() - 1 {
        let here = correlations[lag];
        lowest = lowest.min(here);
        let peak = here > correlations[lag - 1] && here >= correlations[lag + 1] && here - lowest > LEAST_RISE;
        if peak && lag >= *LAGS.start() && best.is_none_or(|(_, r)| here > r) {
            best = Some((lag, here));
        }
    }
    best.map(|(lag, _)| (lag, (variance / n as f64).sqrt()))
}

/// `window` as means over [`POINTS`] equal parts, less their mean, over a scale that does not blow up what is flat.
fn reduced(window: &[f64], scale: f64) -> Option<[i8; POINTS]> {
    let end = |part: usize| (part * window.len()).div_ceil(POINTS);
    // A window shorter than the parts repeats values.
    let part = |i: usize| &window[end(i).min(end(i + 1).saturating_sub(1))..end(i + 1)];
    let means: [f64; POINTS] = std::array::from_fn(|i| part(i).iter().sum::<f64>() / part(i).len() as f64);
    let mean = means.iter().sum::<f64>() / POINTS as f64;
    let variance = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / POINTS as f64;
    let divisor = (variance + 0.25 * scale * scale).sqrt() * f64::from(GRAIN);
    mean.is_finite().then(|| means.map(|m| ((m - mean) / divisor).round().clamp(-127.0, 127.0) as i8))
}

/// Farthest-first: each next one is the one farthest from all that were taken.
fn coreset(rows: &[[i8; POINTS]]) -> Vec<[i8; POINTS]> {
    let mut distances = vec![i32::MAX; rows.len()];
    let mut kept = Vec::with_capacity(KEPT);
    let mut next = 0;
    while kept.len() < KEPT.min(rows.len()) {
        let chosen = rows[next];
        kept.push(chosen);
        for (distance, row) in distances.iter_mut().zip(rows) {
            *distance = (*distance).min(squared(row, &chosen));
        }
        let Some((farthest, distance)) = distances.iter().enumerate().max_by_key(|(_, d)| **d) else { break };
        if *distance == 0 {
            break;
        }
        next = farthest;
    }
    kept
}

/// The distance to the nearest of `kept`. One that is too far in its first half need not be looked at further (partial
/// distance search: Bei & Gray, IEEE Transactions on Communications 33, 1985).
fn nearest(kept: &[i8], row: &[i8; POINTS]) -> f64 {
    let (known, of_row) = (kept.as_chunks::<HALF>().0, row.as_chunks::<HALF>().0);
    let mut least = i32::MAX;
    for known in known.chunks_exact(2) {
        let first = squared(&known[0], &of_row[0]);
        if first < least {
            least = least.min(first + squared(&known[1], &of_row[1]));
        }
    }
    let least = if kept.is_empty() { 0 } else { least };
    (f64::from(least) / POINTS as f64).sqrt() * f64::from(GRAIN)
}

fn squared<const N: usize>(a: &[i8; N], b: &[i8; N]) -> i32 {
    // Differences of 16 bits are what processors multiply and add eight at a time.
    let difference = |(a, b): (&i8, &i8)| i16::from(*a) - i16::from(*b);
    a.iter().zip(b).map(difference).map(|d| i32::from(d) * i32::from(d)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(n: usize, period: usize) -> Vec<f64> {
        (0..n)
            .map(|i| {
                let phase = (i % period) as f64 / period as f64;
                let noise = ((i * 7919) % 101) as f64 / 1010.0;
                (-((phase - 0.3) / 0.05).powi(2)).exp() * 10.0 + (phase * std::f64::consts::TAU).sin() + noise
            })
            .collect()
    }

    #[test]
    fn finds_the_rhythm() {
        assert_eq!(period(&beat(2000, 90)).map(|p| p.0), Some(90));
        assert!(period(&[1.0; 500]).is_none());
        assert!(period(&[]).is_none());
        assert!(period(&[f64::NAN; 500]).is_none());
        let ramp: Vec<f64> = (0..2000).map(f64::from).collect();
        assert!(period(&ramp).is_none());
    }

    #[test]
    fn a_beat_turned_over_is_far_from_all_others() {
        let mut values = beat(6000, 90);
        let shapes = Shapes::fit(&values[..4000]).unwrap();
        assert!(shapes.is_sound());
        let distance = |values: &[f64], end: usize| shapes.distance(&values[end - shapes.span()..end]);
        let usual = (4000..6000).map(|end| distance(&values, end)).fold(0.0, f64::max);
        for value in &mut values[5040..5130] {
            *value = -*value;
        }
        let odd = (5050..5140).map(|end| distance(&values, end)).fold(0.0, f64::max);
        assert!(odd > 3.0 * usual, "{odd} against {usual}");
        assert!(shapes.tail.p_value(odd) < 1e-4);
    }

    #[test]
    fn a_gap_says_nothing() {
        let mut values = beat(4000, 90);
        let shapes = Shapes::fit(&values).unwrap();
        values[3990] = f64::NAN;
        assert!(shapes.distance(&values[4000 - shapes.span()..]).is_nan());
        assert!(Shapes::fit(&values).is_none());
    }

    #[test]
    fn short_spans_are_stretched() {
        assert!(reduced(&[1.0, 2.0, 3.0, 4.0], 1.0).is_some());
        assert!(reduced(&(0..160).map(f64::from).collect::<Vec<_>>(), 1.0).is_some());
    }
}
