//! How rare a statistic is against its own past.

use serde::{Deserialize, Serialize};

/// Bins for each doubling of the statistic, …
const PER_OCTAVE: f64 = 4.0;
/// …and how many there are: forty doublings up to the largest one known. What is lower is in the last.
const BINS: usize = 160;
/// The exponent of the tail: twice the largest one known is so many doublings less likely.
const TAIL: f64 = 8.0;
/// Statistics after which an old one weighs 1/e of a new one.
const LIFE: f64 = 6000.0;
/// Statistics before which nothing is rare.
const FEWEST: u32 = 100;
/// A statistic below this share of its mean is as usual as any.
const USUAL: f64 = 0.1;
/// The smallest share of the past that is told apart from none.
const RAREST: f64 = 1e-30;
/// New ones weigh more and more, which is the same as old ones less and less, until all are scaled down at this weight.
const HEAVIEST: f64 = 1e4;

/// The past of a statistic that is never negative: a histogram on a logarithmic scale that forgets slowly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rarity {
    /// The weight in each bin, that of the largest statistic first.
    weights: Vec<f32>,
    /// The number of the first bin: bin 0 begins at 1.
    top: i32,
    total: f64,
    /// The weight of the next one.
    next: f64,
    mean: Mean,
}

impl Default for Rarity {
    fn default() -> Self {
        Self { weights: vec![0.0; BINS], top: i32::MIN, total: 0.0, next: 1.0, mean: Mean::default() }
    }
}

impl Rarity {
    /// How rare `statistic` is, as -ln of the mean over the past of min(1, (past / statistic)^8); 0 while the past is short.
    ///
    /// In the range that is known this is nearly the share of the past that was as large, as in conformal anomaly detection
    /// (Laxhammar & Falkman, "Online learning and sequential anomaly detection in trajectories", IEEE TPAMI 2014). Beyond its
    /// largest one, where ranks tell nothing more, it goes on as a power law, the tail of extreme value theory for
    /// what has no upper end. The statistic then belongs to the past itself. What is below `least` counts as that.
    pub fn push(&mut self, statistic: f64, least: f64) -> f64 {
        let usual = USUAL * self.mean.value;
        self.mean.push(statistic);
        let place = statistic.max(usual).max(least).max(f64::MIN_POSITIVE).log2() * PER_OCTAVE;
        let rarity = if self.mean.count > FEWEST { -(self.share(place) / self.total).clamp(RAREST, 1.0).ln() } else { 0.0 };
        self.add(place.floor() as i32);
        rarity
    }

    /// The weight of all that was as large as what is at `place`; what was smaller counts in part.
    fn share(&self, place: f64) -> f64 {
        let decay = (-TAIL / PER_OCTAVE).exp2();
        let depth = f64::from(self.top) - place.floor();
        let first = (depth.max(0.0) as usize).min(BINS - 1);
        let (larger, smaller) = self.weights.split_at(first);
        let mut part = (TAIL / PER_OCTAVE * (depth.min(0.0) + place.floor() - place)).exp2();
        let mut share = larger.iter().map(|weight| f64::from(*weight)).sum::<f64>();
        for weight in smaller {
            share += f64::from(*weight) * part;
            part *= decay;
            if part < RAREST {
                break;
            }
        }
        share
    }

    fn add(&mut self, bin: i32) {
        if bin > self.top {
            // As a new largest one comes first, all others move down; what falls off the end stays in the last.
            let by = (i64::from(bin) - i64::from(self.top)).min(BINS as i64) as usize;
            let lost: f32 = self.weights[BINS - by..].iter().sum();
            self.weights.rotate_right(by % BINS);
            self.weights[..by].fill(0.0);
            self.weights[BINS - 1] += lost;
            self.top = bin;
        }
        let depth = (self.top - bin) as usize;
        self.weights[depth.min(BINS - 1)] += self.next as f32;
        self.total += self.next;
        self.next /= 1.0 - 1.0 / LIFE;
        if self.next > HEAVIEST {
            let scale = (1.0 / self.next) as f32;
            self.weights.iter_mut().for_each(|weight| *weight *= scale);
            self.total = self.weights.iter().map(|weight| f64::from(*weight)).sum();
            self.next = 1.0;
        }
    }

    /// Whether the numbers are such as [`Rarity::push`] makes.
    pub fn is_sound(&self) -> bool {
        let sum: f64 = self.weights.iter().map(|weight| f64::from(*weight)).sum();
        self.weights.len() == BINS
            && self.weights.iter().all(|weight| *weight >= 0.0)
            && (sum - self.total).abs() <= 0.01 * self.total
            && (1.0..=HEAVIEST).contains(&self.next)
            && (self.top == i32::MIN || self.top.abs() < 8192)
            && (self.top == i32::MIN) == (self.mean.count == 0)
            && self.mean.is_sound()
    }
}

/// A mean that forgets at the pace of the histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean; 0 of nothing.
    pub value: f64,
    count: u32,
}

impl Mean {
    /// Takes in one more.
    pub fn push(&mut self, value: f64) {
        self.count = self.count.saturating_add(1);
        self.value += (value - self.value) / f64::from(self.count).min(LIFE);
    }

    /// Whether it can be the mean of what is never negative.
    pub fn is_sound(&self) -> bool {
        self.value.is_finite() && self.value >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(values: impl IntoIterator<Item = f64>) -> Rarity {
        let mut past = Rarity::default();
        for value in values {
            past.push(value, 0.0);
        }
        assert!(past.is_sound());
        past
    }

    fn rarity(past: &Rarity, statistic: f64) -> f64 {
        past.clone().push(statistic, 0.0)
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-3 * b
    }

    #[test]
    fn beyond_all_that_is_known_it_grows_with_the_eighth_power() {
        let past = past(vec![1.0; 200]);
        assert_eq!((rarity(&past, 1.0), rarity(&past, 0.5), rarity(&past, 0.0)), (0.0, 0.0, 0.0));
        for ratio in [2.0, 4.0, 8.0, 64.0_f64] {
            assert!(close(rarity(&past, ratio), 8.0 * ratio.ln()), "{ratio}");
        }
        assert!(close(rarity(&past, 1e300), -RAREST.ln()));
    }

    #[test]
    fn within_what_is_known_it_is_the_share_that_was_as_large() {
        let past = past((0..1000).map(|i| if i % 100 == 50 { 1024.0 } else { 1.0 }));
        assert!((rarity(&past, 1024.0) - 100.0_f64.ln()).abs() < 0.02);
        assert!((rarity(&past, 300.0) - 100.0_f64.ln()).abs() < 0.02);
        assert!((rarity(&past, 2048.0) - 100.0_f64.ln() - 8.0 * 2.0_f64.ln()).abs() < 0.02);
    }

    #[test]
    fn what_is_long_ago_counts_less_and_less() {
        let after = |n: usize| rarity(&past([1024.0; 200].into_iter().chain(vec![1.0; n])), 1024.0);
        let weight = |n: usize| (1.0 - (-200.0 / LIFE).exp()) * (-(n as f64) / LIFE).exp();
        // The last of these is after the weights were scaled down.
        for n in [1000, 10_000, 70_000] {
            let all = 1.0 - (-((n + 200) as f64) / LIFE).exp();
            assert!((after(n) + (weight(n) / all).ln()).abs() < 0.05, "{n} {}", after(n));
        }
    }

    #[test]
    fn a_short_past_makes_nothing_rare() {
        assert_eq!(rarity(&past(vec![1.0; 99]), 1e9), 0.0);
        assert!(rarity(&past(vec![1.0; 100]), 1e9) > 60.0);
        assert!(rarity(&past(vec![0.0; 100]), 1.0) > 60.0);
    }

    #[test]
    fn a_past_far_below_stays_in_the_last_bin() {
        let past = past((0..500).map(|i| if i < 300 { 1e-250 } else { 1e150 }));
        assert!((rarity(&past, 1e150) - (200.0_f64 / 500.0).recip().ln()).abs() < 1.5);
        assert_eq!(past.weights.iter().filter(|weight| **weight > 0.0).count(), 2);
    }
}
