//! From a statistic to a calibrated p-value, and from p-values to one score.
//!
//! The body of a statistic's distribution is taken as it was seen; beyond a high threshold the
//! generalised Pareto distribution continues it (Pickands 1975; used for streams by Siffer et al.,
//! "Anomaly Detection in Streams with Extreme Value Theory", KDD 2017).

use serde::{Deserialize, Serialize};

/// The share of the sample that the tail is fitted to.
const TAIL_SHARE: f64 = 0.02;
/// The fewest values a tail is fitted to.
const LEAST_EXCESSES: usize = 20;
/// Quantiles kept of the body.
const BODY_POINTS: usize = 64;
/// No tail is taken to be lighter than an exponential one of this share of the sample's root mean square, from the point on
/// that the share below exceeds. A burst in the training window is in the root mean square but too short to bend a fitted
/// tail; without this bound a series that was calm but for some bursts would be held to its calm.
const LEAST_TAIL: f64 = 0.35;
const LEAST_TAIL_FROM: f64 = 0.05;
/// No p-value is smaller: a fitted tail knows nothing of events this rare.
pub const LEAST_P: f64 = 1e-100;
/// A shape under 0 would give the tail an end, and what lies beyond it a p-value of nothing; one over
/// 1/2 a tail so heavy that nothing would ever be unusual.
const SHAPES: std::ops::RangeInclusive<f64> = 0.0..=0.5;

/// The upper tail of a statistic, learned from a sample of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// Quantiles of the body at equal steps of probability. In single precision: a state is kept for each series.
    body: Vec<f32>,
    threshold: f64,
    /// The share of the sample above the threshold.
    rate: f64,
    scale: f64,
    shape: f64,
    /// Where the least tail begins, and its scale.
    least: (f64, f64),
}

impl Tail {
    /// The fewest values a sample must have.
    pub const LEAST_SAMPLE: usize = 60;

    /// Learns from `sample`; what is not finite is passed over. `None` for fewer than
    /// [`Tail::LEAST_SAMPLE`] values.
    pub fn fit(sample: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = sample.iter().copied().filter(|v| v.is_finite()).collect();
        let n = sorted.len();
        if n < Self::LEAST_SAMPLE {
            return None;
        }
        sorted.sort_unstable_by(f64::total_cmp);
        let excesses = ((n as f64 * TAIL_SHARE) as usize).max(LEAST_EXCESSES);
        let last = n - 1 - excesses;
        let threshold = sorted[last];
        let body = (0..BODY_POINTS).map(|i| sorted[i * last / (BODY_POINTS - 1)].clamp(f32::MIN.into(), f32::MAX.into()) as f32).collect();
        let above: Vec<f64> = sorted[last + 1..].iter().map(|v| v - threshold).filter(|x| *x > 0.0).collect();
        let (scale, shape) = generalised_pareto(&above);
        // The extremes of the sample count too: (excesses + 1) / (n + 1) is the chance that a new value is above.
        let rate = (excesses + 1) as f64 / (n + 1) as f64;
        Some(Self { body, threshold, rate, scale, shape, least: least_tail(&sorted) })
    }

    /// The same for a `sample` in its order, and the heavier the fewer its extremes are: values above the threshold that are
    /// less than `apart` places from each other are one. An exponential tail whose scale is known from k values only is,
    /// to who asks for the next one, a Pareto tail of shape 1 / k: the scale may be larger (the predictive distribution:
    /// Aitchison & Dunsmore, "Statistical Prediction Analysis", 1975).
    pub fn predictive(sample: &[f64], apart: usize) -> Option<Self> {
        let mut tail = Self::fit(sample)?;
        let runs = clusters(sample, tail.threshold, apart);
        tail.shape = (tail.shape + 1.0 / runs as f64).min(*SHAPES.end());
        Some(tail)
    }

    /// The same, but no lighter than the least tail of `sample`: one that holds what this one was not to learn from.
    #[must_use]
    pub fn no_lighter_than(mut self, sample: &[f64]) -> Self {
        let mut sorted: Vec<f64> = sample.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        if sorted.len() >= Self::LEAST_SAMPLE {
            self.least = least_tail(&sorted);
        }
        self
    }

    /// The chance of a value of at least `x`. NaN for NaN.
    pub fn p_value(&self, x: f64) -> f64 {
        let threshold = self.threshold;
        if x.is_nan() {
            f64::NAN
        } else if x > threshold {
            let excess = (x - threshold) / self.scale;
            let survival = if self.shape < 1e-9 { (-excess).exp() } else { (1.0 + self.shape * excess).powf(-1.0 / self.shape) };
            let least = LEAST_TAIL_FROM * (-(x - self.least.0) / self.least.1).exp();
            (self.rate * survival).max(least).clamp(LEAST_P, self.rate)
        } else {
            // Between two quantiles the distribution is taken as uniform.
            let body = |i: usize| f64::from(self.body[i]);
            // What is equal in double precision is so in single.
            let above = self.body.partition_point(|q| *q < x as f32);
            let part = if above == 0 { 0.0 } else { (x - body(above - 1)) / (body(above.min(BODY_POINTS - 1)) - body(above - 1)) };
            let place = above.saturating_sub(1) as f64 + if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
            1.0 - (1.0 - self.rate) * place / (BODY_POINTS - 1) as f64
        }
    }

    /// How surprising `x` is: minus the natural logarithm of its p-value, which goes on where the p-value is held at the
    /// least, so that what is further off still ranks higher. NaN for NaN.
    pub fn surprise(&self, x: f64) -> f64 {
        let threshold = self.threshold;
        if x.is_nan() || x <= threshold {
            return -self.p_value(x).ln();
        }
        let excess = (x - threshold) / self.scale;
        let survival = if self.shape < 1e-9 { excess } else { (self.shape * excess).ln_1p() / self.shape };
        let least = (x - self.least.0) / self.least.1 - LEAST_TAIL_FROM.ln();
        (survival - self.rate.ln()).min(least).max(-self.rate.ln())
    }

    /// The value whose p-value is `p`: the inverse of [`Tail::p_value`].
    pub fn quantile(&self, p: f64) -> f64 {
        if p >= self.rate {
            let place = ((1.0 - p) / (1.0 - self.rate)).clamp(0.0, 1.0) * (BODY_POINTS - 1) as f64;
            return f64::from(self.body[place as usize]);
        }
        let times = self.rate / p.max(LEAST_P);
        let excess = if self.shape < 1e-9 { times.ln() } else { (times.powf(self.shape) - 1.0) / self.shape };
        let least = self.least.0 + self.least.1 * (LEAST_TAIL_FROM / p.max(LEAST_P)).ln();
        (self.threshold + self.scale * excess).max(least)
    }

    /// Whether the numbers are such as [`Tail::fit`] makes: a stored one may not be.
    pub fn is_sound(&self) -> bool {
        self.body.len() == BODY_POINTS
            && self.body.iter().all(|q| q.is_finite())
            && self.body.is_sorted()
            && self.threshold.is_finite()
            && self.rate > 0.0
            && self.rate < 1.0
            && self.scale > 0.0
            && self.scale.is_finite()
            && SHAPES.contains(&self.shape)
            && self.least.0.is_finite()
            && self.least.1 > 0.0
            && self.least.1.is_finite()
    }
}

/// How many runs of values above `threshold` there are in `sample`; those with fewer than `apart` values between them are one
/// (runs declustering: Smith & Weissman, "Estimating the extremal index", 1994). At least one.
fn clusters(sample: &[f64], threshold: f64, apart: usize) -> usize {
    let (mut found, mut since) = (0, usize::MAX);
    for value in sample.iter().filter(|v| v.is_finite()) {
        if *value > threshold {
            found += usize::from(since >= apart);
            since = 0;
        } else {
            since = since.saturating_add(1);
        }
    }
    found.max(1)
}

/// Where the least tail of an ascending sample begins, and its scale.
fn least_tail(sorted: &[f64]) -> (f64, f64) {
    let n = sorted.len();
    let middle = sorted[n / 2];
    let spread = (sorted.iter().map(|v| (v - middle).powi(2)).sum::<f64>() / n as f64).sqrt();
    let from = sorted[((n - 1) as f64 * (1.0 - LEAST_TAIL_FROM)) as usize];
    (from, (LEAST_TAIL * spread).clamp(f64::MIN_POSITIVE.sqrt(), f64::MAX))
}

/// Scale and shape of the generalised Pareto distribution of `excesses` (ascending, positive), by the
/// estimator of Zhang and Stephens (Technometrics 51, 2009), which needs no iteration and cannot fail
/// to converge. With a weak prior towards an exponential tail, worth ten observations.
fn generalised_pareto(excesses: &[f64]) -> (f64, f64) {
    let n = excesses.len();
    let mean = excesses.iter().sum::<f64>() / n.max(1) as f64;
    if n < LEAST_EXCESSES / 2 || !mean.is_finite() || mean <= 0.0 {
        // Nothing, or too little, above the threshold: an exponential tail of its mean.
        return (if mean > 0.0 && mean.is_finite() { mean } else { f64::MIN_POSITIVE.sqrt() }, 0.0);
    }
    let (largest, quartile) = (excesses[n - 1], excesses[((n as f64 / 4.0 + 0.5) as usize).clamp(1, n) - 1]);
    let grid = 20 + (n as f64).sqrt() as usize;
    let shape_at = |theta: f64| excesses.iter().map(|x| (-theta * x).ln_1p()).sum::<f64>() / n as f64;
    let (thetas, likelihoods): (Vec<f64>, Vec<f64>) = (1..=grid)
        .map(|j| {
            let theta = 1.0 / largest + (1.0 - (grid as f64 / (j as f64 - 0.5)).sqrt()) / (3.0 * quartile);
            let shape = shape_at(theta);
            (theta, n as f64 * ((-theta / shape).ln() - shape - 1.0))
        })
        .filter(|(theta, likelihood)| theta.is_finite() && likelihood.is_finite())
        .unzip();
    let best = likelihoods.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = likelihoods.iter().map(|l| (l - best).exp()).collect();
    let total: f64 = weights.iter().sum();
    let theta = thetas.iter().zip(&weights).map(|(t, w)| t * w).sum::<f64>() / total;
    let shape = shape_at(theta) * n as f64 / (n as f64 + 10.0);
    if !shape.is_finite() {
        return (mean, 0.0);
    }
    let shape = shape.clamp(*SHAPES.start(), *SHAPES.end());
    // Given the shape, the scale that keeps the mean excess: E[X] = scale / (1 - shape).
    (mean * (1.0 - shape), shape)
}

/// The anomaly score of a p-value at the decision bound `alpha`: 0 for p = 1, 1 for p = alpha, above 1 anomalous;
/// NaN for NaN.
pub fn score(p: f64, alpha: f64) -> f64 {
    if p.is_nan() { f64::NAN } else { (-p.ln()).max(0.0) / -alpha.ln() }
}

/// The decision bound under which `series` series of `points_per_day` points each give about `per_day`
/// points a day by chance.
pub fn bound(per_day: f64, series: usize, points_per_day: f64) -> f64 {
    (per_day / (series.max(1) as f64 * points_per_day.max(1.0))).clamp(1e-12, 0.01)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;
    use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

    fn uniform(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        (0..n).map(|_| rng.gen_range(1e-9..1.0 - 1e-9)).collect()
    }

    #[test]
    fn p_values_of_a_normal_sample_are_right_far_out() {
        let normal = Normal::new(0.0, 1.0).unwrap();
        let mut off = Vec::new();
        for seed in 0..20 {
            let sample: Vec<f64> = uniform(20_000, seed).iter().map(|u| normal.inverse_cdf(*u)).collect();
            let tail = Tail::fit(&sample).unwrap();
            for x in [0.0, 1.0, 2.0, 3.0, 4.0] {
                off.push((x, (tail.p_value(x) / normal.sf(x)).ln()));
            }
        }
        for x in [0.0, 1.0, 2.0, 3.0] {
            let mean = off.iter().filter(|o| o.0 == x).map(|o| o.1).sum::<f64>() / 20.0;
            // A normal tail is lighter than any we fit: what error there is is on the safe side.
            assert!((-0.05..0.2).contains(&mean), "at {x} off by a factor of {}", mean.exp());
        }
        // Beyond the sample it errs to the safe side: never less than half the true chance.
        assert!(off.iter().filter(|o| o.0 == 4.0).all(|o| o.1 > -0.7));
    }

    #[test]
    fn a_heavy_tail_is_seen_as_heavy() {
        let student = StudentsT::new(0.0, 1.0, 3.0).unwrap();
        let sample: Vec<f64> = uniform(20_000, 7).iter().map(|u| student.inverse_cdf(*u)).collect();
        let tail = Tail::fit(&sample).unwrap();
        let ratio = tail.p_value(30.0) / student.sf(30.0);
        assert!((0.2..5.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn chance_findings_are_no_more_than_promised() {
        let normal = Normal::new(0.0, 1.0).unwrap();
        let alpha = 1e-3;
        let mut flagged = 0;
        for seed in 0..20 {
            let draw = |s| uniform(20_000, s).into_iter().map(|u| normal.inverse_cdf(u)).collect::<Vec<_>>();
            let tail = Tail::fit(&draw(seed)).unwrap();
            flagged += draw(seed + 1000).iter().filter(|x| tail.p_value(**x) < alpha).count();
        }
        // A normal tail is lighter than any we fit, so there are fewer.
        assert!((200..440).contains(&flagged), "{flagged} where 400 are promised");
    }

    #[test]
    fn few_extremes_make_a_heavy_tail() {
        let sample: Vec<f64> = uniform(2000, 11).iter().map(|u| -u.ln()).collect();
        let (known, alone) = (Tail::fit(&sample).unwrap(), Tail::predictive(&sample, 1).unwrap());
        // As many extremes, but all of them in one run.
        let mut sorted = sample.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.rotate_left(1000);
        let together = Tail::predictive(&sorted, 10).unwrap();
        for x in [6.0, 9.0, 12.0] {
            assert!(known.p_value(x) <= alone.p_value(x) && alone.p_value(x) < together.p_value(x), "at {x}");
        }
        assert!(alone.quantile(1e-5) < 1.2 * known.quantile(1e-5), "forty of them say enough");
        assert!(together.is_sound() && Tail::predictive(&[1.0; 100], 10).unwrap().is_sound());
    }

    #[test]
    fn scores_are_zero_one_and_more() {
        assert_eq!(score(1.0, 1e-4), 0.0);
        assert!(score(f64::NAN, 1e-4).is_nan());
        assert!((score(1e-4, 1e-4) - 1.0).abs() < 1e-12);
        assert!((score(1e-8, 1e-4) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn surprise_goes_on_where_p_values_end() {
        let normal = Normal::new(0.0, 1.0).unwrap();
        let tail = Tail::fit(&uniform(2000, 3).iter().map(|u| normal.inverse_cdf(*u)).collect::<Vec<f64>>()).unwrap();
        for i in -40..=1000 {
            let x = f64::from(i) / 10.0;
            let (p, surprise) = (tail.p_value(x), tail.surprise(x));
            assert!(
                (surprise + p.ln()).abs() < 1e-9 * surprise.max(1.0) || p <= LEAST_P && surprise >= -p.ln(),
                "at {x}: {p:e}, {surprise}"
            );
            assert!(x < 3.0 || surprise > tail.surprise(x - 0.1));
        }
        assert_eq!(tail.p_value(100.0), LEAST_P);
        assert!(tail.surprise(f64::NAN).is_nan());
    }

    #[test]
    fn constants_and_nonsense_do_no_harm() {
        assert!(Tail::fit(&[f64::NAN; 500]).is_none());
        for sample in [vec![1.0; 100], vec![1e308; 100], (0..100).map(|i| if i % 2 == 0 { 1e308 } else { -1e308 }).collect()] {
            let tail = Tail::fit(&sample).unwrap();
            assert!((0.0..=1.0).contains(&tail.p_value(5.0)));
            assert!(tail.p_value(f64::NAN).is_nan());
        }
    }

    proptest! {
        #[test]
        fn p_values_fall_and_quantiles_invert(sample in prop::collection::vec(-1e6_f64..1e6, 60..400), p in 1e-9_f64..0.015) {
            let tail = Tail::fit(&sample).unwrap();
            prop_assert!(tail.is_sound());
            let mut last = 1.0_f64;
            for i in -50..50 {
                let now = tail.p_value(f64::from(i) * 1e5);
                prop_assert!((0.0..=1.0).contains(&now) && now <= last + 1e-12);
                last = now;
            }
            if p < tail.rate {
                let there = tail.p_value(tail.quantile(p));
                prop_assert!((there / p - 1.0).abs() < 1e-6, "{there} for {p}");
            }
        }
    }
}
