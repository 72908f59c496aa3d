//! How one metric left its usual course around an instant: since when, how far, and for how long.

use super::kind::{self, Counting, Kind};
use super::{MetricSeries, Parameters};

/// A metric around the instant, against its own past.
pub(super) struct Deviation {
    pub metric: String,
    pub kind: Kind,
    /// What it used to be, in the metric's units (a counter's in units a second).
    pub usual: f64,
    /// What it was during the burst.
    pub now: f64,
    /// The change in robust standard deviations of the past; above 0 where the value rose.
    pub robust: f64,
    /// What the change says for a fault here, 0 and up: harmful, large for its own level and clear of the noise.
    pub evidence: f64,
    /// The harmful part of the change (latency or failures gained) in units, damped where it is not clear of the noise.
    pub harm: f64,
    /// The middle of the values around the instant.
    pub level: f64,
    /// A mean over requests.
    pub mean: bool,
    /// A share of requests rather than a number.
    pub share: bool,
    /// When it changed, and between which samples it did with 90 % certainty; ms.
    pub onset: i64,
    pub onset_low: i64,
    pub onset_high: i64,
    /// The usual distance of two samples, ms.
    pub step: i64,
    /// The course around the instant, turned so that up is the way this metric went.
    pub course: Vec<(i64, f64)>,
}

/// How many pieces a window is cut into to find the burst.
const PIECES: usize = 24;
/// The fewest values a past can be judged by.
const LEAST_PAST: usize = 8;
/// With fewer values before the instant, what comes long after the incident serves as past as well.
const SHORT_PAST: usize = 30;
/// How long after an incident values count as another time, ms.
const LONG_AFTER: i64 = 3_600_000;

/// Judges a series around `at`. `None` where nothing can be said: too little past, nothing around the instant,
/// or never anything but zero.
pub(super) fn judge(series: &MetricSeries, at: i64, p: &Parameters) -> Option<Deviation> {
    let reading = kind::of(&series.metric, series.measures);
    let mut points = points(series);
    if reading.counting != Counting::Never && is_counter(&points, reading.counting == Counting::Named) {
        points = rates(&points);
    }
    let greatest = |points: &[(i64, f64)]| points.iter().fold(0.0_f64, |m, (_, v)| m.max(v.abs()));
    let top = greatest(&points);
    let whole = if top <= 1.0 { 1.0 } else { 100.0 };
    // A number of successes is traffic; a share of them is the opposite of failures.
    let turned = reading.good && top <= 100.0;
    let kind = if reading.good && !turned { Kind::Traffic } else { reading.kind };
    if turned {
        for (_, v) in &mut points {
            *v = whole - *v;
        }
    }
    // In units of its greatest value: the same answer at every scale, and nothing overflows.
    let scale = greatest(&points);
    if points.len() < LEAST_PAST || !(scale.is_finite() && scale > f64::MIN_POSITIVE) {
        return None;
    }
    for (_, v) in &mut points {
        *v /= scale;
    }

    let step = step(&points);
    let from = at.saturating_sub(p.guard).saturating_sub(step);
    let until = at.saturating_add(p.horizon.max(step.saturating_mul(3)));
    let window: Vec<(i64, f64)> = points.iter().copied().filter(|(t, _)| (from..=until).contains(t)).collect();
    let before: Vec<f64> = points.iter().filter(|(t, _)| *t < from).map(|(_, v)| *v).collect();
    let mut past = before[..before.len() - doubtful(before.len(), step, p)].to_vec();
    if past.len() < SHORT_PAST {
        let after = until.saturating_add(LONG_AFTER);
        past.extend(points.iter().filter(|(t, _)| *t > after).map(|(_, v)| *v));
    }
    if window.is_empty() || past.len() < LEAST_PAST {
        return None;
    }
    past.sort_by(f64::total_cmp);
    let middle = quantile(&past, 0.5);
    let floor = if turned { 1e-3 * whole / scale } else { 0.0 };
    let noise = noise(&past, middle).max(0.01 * middle.abs()).max(floor).max(0.01);

    let recent = recent(&before, step, p).map_or(middle, |recent| middle + p.recent * (recent - middle));
    let z: Vec<f64> = window.iter().map(|(_, v)| (v - recent) / noise).collect();
    let burst = burst(&z);
    let (onset, onset_low, onset_high) = onset(&window, &z, &burst, step);

    let robust = burst.level;
    let change = robust * noise;
    let effect = (change.abs() / (recent.abs() + p.soft * noise)).ln_1p().min(p.largest);
    let clear = robust * robust / (robust * robust + p.clear * p.clear);
    let now = recent + change;
    let units = |v: f64| if turned { whole - v * scale } else { v * scale };
    let mut levels: Vec<f64> = window.iter().map(|(_, v)| *v).collect();
    levels.sort_by(f64::total_cmp);
    let sign = if robust < 0.0 { -1.0 } else { 1.0 };
    // As much again before the window, so that the course shows the change and not the burst alone.
    let earlier = from.saturating_sub(until.saturating_sub(from));
    Some(Deviation {
        metric: series.metric.clone(),
        kind,
        usual: units(recent),
        now: units(now),
        robust: if turned { -robust } else { robust },
        evidence: p.weight(kind, robust > 0.0) * effect * clear,
        harm: change.max(0.0) * scale * clear,
        level: units(quantile(&levels, 0.5)),
        mean: reading.mean,
        share: reading.share,
        onset,
        onset_low,
        onset_high,
        step,
        course: points.iter().filter(|(t, _)| (earlier..=until).contains(t)).map(|&(t, v)| (t, sign * v)).collect(),
    })
}

/// What is a number, in order of time; of several values at one time the greatest.
fn points(series: &MetricSeries) -> Vec<(i64, f64)> {
    let pairs = series.times.iter().zip(&series.values);
    let mut points: Vec<(i64, f64)> = pairs.filter(|(_, v)| v.is_finite()).map(|(t, v)| (t.millis(), *v)).collect();
    points.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    points.dedup_by_key(|p| p.0);
    points
}

/// Whether the values only ever add up, but for restarts: by name, or because nearly every one is above the one before.
fn is_counter(points: &[(i64, f64)], named: bool) -> bool {
    let pairs = || points.windows(2).map(|w| (w[0].1, w[1].1));
    let rises = pairs().filter(|(a, b)| b > a).count();
    let all = points.len().saturating_sub(1);
    let honest = pairs().all(|(a, b)| a >= 0.0 && (b >= a || b < 0.5 * a)) && pairs().filter(|(a, b)| b < a).count() * 20 <= all;
    all >= LEAST_PAST && honest && if named { rises * 4 >= all } else { rises * 10 >= all * 9 }
}

/// The increase a second; after a restart what has been counted since.
fn rates(points: &[(i64, f64)]) -> Vec<(i64, f64)> {
    let rate = |a: &(i64, f64), b: &(i64, f64)| (if b.1 >= a.1 { b.1 - a.1 } else { b.1 }) / (b.0.abs_diff(a.0) as f64 / 1000.0);
    points.windows(2).map(|w| (w[1].0, rate(&w[0], &w[1]))).filter(|(_, v)| v.is_finite()).collect()
}

/// The usual distance of two samples, at least 1 ms.
fn step(points: &[(i64, f64)]) -> i64 {
    let mut steps: Vec<i64> = points.windows(2).map(|w| w[1].0.saturating_sub(w[0].0)).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or(1).max(1)
}

/// How many of the last samples before the window are no measure of what is usual, should the incident be older than
/// said: those of five guards, but never more than half.
fn doubtful(count: usize, step: i64, p: &Parameters) -> usize {
    usize::try_from(5 * p.guard / step).unwrap_or(0).min(count / 2)
}

/// The level just before the window: the middle of as many samples as the guard has, at least three.
fn recent(before: &[f64], step: i64, p: &Parameters) -> Option<f64> {
    let count = usize::try_from(p.guard / step).unwrap_or(usize::MAX).max(3);
    let mut last = before[before.len().saturating_sub(count)..].to_vec();
    last.sort_by(f64::total_cmp);
    (last.len() >= 3).then(|| quantile(&last, 0.5))
}

/// A standard deviation that outliers do not stretch but heavy tails do: the greatest of what the median absolute
/// deviation and three ranges of quantiles make of it under a normal distribution. A metric that is mostly still
/// and sometimes jumps has no spread in its middle, only in its tails.
fn noise(sorted: &[f64], middle: f64) -> f64 {
    let mut off: Vec<f64> = sorted.iter().map(|v| (v - middle).abs()).collect();
    off.sort_by(f64::total_cmp);
    let range = |q: f64, normal: f64| (quantile(sorted, 1.0 - q) - quantile(sorted, q)) / normal;
    (1.4826 * quantile(&off, 0.5)).max(range(0.25, 1.349)).max(range(0.05, 3.29)).max(range(0.01, 4.653))
}

/// The quantile of sorted values, between neighbours by their distance; 0 of nothing.
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = q.clamp(0.0, 1.0) * last as f64;
    let low = place as usize;
    let (a, b) = (sorted[low.min(last)], sorted[(low + 1).min(last)]);
    a + (b - a) * (place - low as f64)
}

/// A stretch of the window that differs from what was before it.
struct Burst {
    /// By samples of the window.
    start: usize,
    end: usize,
    /// Its middle, in robust standard deviations.
    level: f64,
}

/// What a value this far out costs: Student's t with three degrees of freedom, so that one wild sample decides nothing.
fn cost(z: f64) -> f64 {
    2.0 * (z * z / 3.0).ln_1p()
}

/// The stretch whose own level explains the window best, everything else at the usual level: an epidemic change
/// (Levin & Kline 1985), searched over at most [`PIECES`] pieces.
fn burst(z: &[f64]) -> Burst {
    let bounds: Vec<usize> = (0..=PIECES.min(z.len())).map(|i| i * z.len() / PIECES.min(z.len()).max(1)).collect();
    let pieces: Vec<f64> = bounds.windows(2).map(|b| median(&z[b[0]..b[1]])).collect();
    let mut best = (0.0, Burst { start: 0, end: z.len(), level: 0.0 });
    for start in 0..pieces.len() {
        let mut sorted = Vec::with_capacity(pieces.len() - start);
        for end in start..pieces.len() {
            let place = sorted.partition_point(|v| *v < pieces[end]);
            sorted.insert(place, pieces[end]);
            let level = quantile(&sorted, 0.5);
            let gain: f64 = pieces[start..=end].iter().map(|v| cost(*v) - cost(v - level)).sum();
            if gain > best.0 {
                best = (gain, Burst { start: bounds[start], end: bounds[end + 1], level });
            }
        }
    }
    best.1
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// When the burst began: the likeliest sample, and the 90 % interval of a posterior over all samples up to the burst's
/// end. Halved log likelihoods, because neighbouring samples are not independent. The change itself lies between
/// the sample before and the sample.
fn onset(window: &[(i64, f64)], z: &[f64], burst: &Burst, step: i64) -> (i64, i64, i64) {
    let mut costs = Vec::with_capacity(burst.end);
    let mut sum = 0.0;
    for v in &z[..burst.end] {
        costs.push(sum);
        sum += cost(*v) - cost(v - burst.level);
    }
    // A sample of the burst's last piece at the latest: the burst has begun by then.
    let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
    let weights: Vec<f64> = costs.iter().map(|c| (-(c - least) / 2.0).exp()).collect();
    let total: f64 = weights.iter().sum();
    let reaches = |share: f64| {
        let mut passed = 0.0;
        let found = weights.iter().position(|w| {
            passed += w / total;
            passed >= share
        });
        found.unwrap_or(burst.start)
    };
    let peak = costs.iter().position(|c| *c == least).unwrap_or(burst.start);
    let (low, high) = (reaches(0.05).min(peak), reaches(0.95).max(peak));
    let time = |i: usize| window.get(i).map_or(0, |(t, _)| *t);
    let before = if low == 0 { time(0).saturating_sub(step) } else { time(low - 1) };
    (time(peak), before, time(high))
}

/// How much two courses move together, −1 to 1, over the instants that both have; `None` with fewer than four.
pub(super) fn together(a: &[(i64, f64)], b: &[(i64, f64)]) -> Option<f64> {
    let (mut i, mut j) = (0, 0);
    let mut pairs = Vec::new();
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        match x.0.cmp(&y.0) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                pairs.push((x.1, y.1));
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    if pairs.len() < 4 {
        return None;
    }
    let n = pairs.len() as f64;
    let (ma, mb) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let sum = |f: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|p| f(p.0 - ma, p.1 - mb)).sum::<f64>();
    let (aa, bb) = (sum(&|x, _| x * x), sum(&|_, y| y * y));
    Some(if aa > 0.0 && bb > 0.0 { (sum(&|x, y| x * y) / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0) } else { 0.0 })
}

#[cfg(test)]
mod tests;
