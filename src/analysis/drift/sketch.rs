//! Values in bounded memory: counts in buckets whose bounds grow by a fixed ratio.
//!
//! The ratio is tiny at first and is squared, two buckets to one, whenever there are too many buckets (the uniform collapse of
//! Epicoco, Melle, Cafaro, Pulimeno & Morleo, "`UDDSketch`", IEEE Access 8, 2020, over the buckets of Masson, Rim & Lee,
//! "`DDSketch`", Proceedings of the VLDB Endowment 12, 2019). Few values are kept nearly as they are; of many, which lie
//! closer than the ratio is no longer told apart.

use std::collections::BTreeMap;

use super::{Histogram, InvalidHistogram};

/// Buckets that hold anything, at most.
const MOST_BUCKETS: usize = 2048;
/// The logarithm of the ratio at first.
const FINEST: f64 = 1e-8;
/// Sizes below this are zero.
const TINIEST: f64 = 1e-300;

/// How many values lie in which bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketch {
    /// How often the ratio was squared.
    level: u32,
    /// By sign and place: ascending values have ascending keys.
    buckets: BTreeMap<(i8, i64), f64>,
}

impl Sketch {
    /// Adds a value; what is not finite is no value.
    pub fn push(&mut self, value: f64) {
        if value.is_finite() {
            let bucket = self.bucket(value);
            self.add(bucket, 1.0);
        }
    }

    /// Adds all that is in another one.
    pub fn merge(&mut self, other: &Self) {
        while self.level < other.level {
            self.collapse();
        }
        for (bucket, count) in &other.buckets {
            let bucket = (other.level..self.level).fold(*bucket, |bucket, _| halved(bucket));
            self.add(bucket, *count);
        }
    }

    /// How many values are in it.
    pub fn count(&self) -> f64 {
        self.buckets.values().sum()
    }

    /// How many buckets hold anything.
    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// The same as a histogram.
    ///
    /// # Errors
    /// There is nothing in it.
    pub fn histogram(&self) -> Result<Histogram, InvalidHistogram> {
        let growth = self.growth();
        let bound = |place: i64| (place as f64 * growth).exp().clamp(TINIEST, f64::MAX);
        let buckets: Vec<(f64, f64, f64)> = self
            .buckets
            .iter()
            .map(|((sign, place), count)| match sign {
                0 => (-TINIEST, TINIEST, *count),
                1 => (bound(place - 1), bound(*place), *count),
                // Places of negative values are negative themselves.
                _ => (-bound(-place), -bound(-place - 1), *count),
            })
            .collect();
        Histogram::of_buckets(&buckets)
    }

    fn growth(&self) -> f64 {
        FINEST * f64::from(self.level).exp2()
    }

    fn bucket(&self, value: f64) -> (i8, i64) {
        let size = value.abs();
        if size < TINIEST {
            return (0, 0);
        }
        let finest = (size.ln() / FINEST).ceil() as i64;
        let place = (0..self.level).fold(finest, |place, _| half(place));
        if value > 0.0 { (1, place) } else { (-1, -place) }
    }

    fn add(&mut self, bucket: (i8, i64), count: f64) {
        *self.buckets.entry(bucket).or_default() += count;
        while self.buckets.len() > MOST_BUCKETS {
            self.collapse();
        }
    }

    fn collapse(&mut self) {
        let mut coarser = BTreeMap::new();
        for (bucket, count) in std::mem::take(&mut self.buckets) {
            *coarser.entry(halved(bucket)).or_default() += count;
        }
        self.buckets = coarser;
        self.level += 1;
    }
}

/// Of bounds `r^(2j-1)` and `r^(2j)` becomes `(r²)^j`.
fn half(place: i64) -> i64 {
    (place + 1).div_euclid(2)
}

fn halved((sign, place): (i8, i64)) -> (i8, i64) {
    if sign < 0 { (sign, -half(-place)) } else { (sign, half(place)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::drift::{Sample, distances, test_histograms};

    fn sketch(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        for value in values {
            sketch.push(*value);
        }
        sketch
    }

    fn normal(n: usize, at: f64, width: f64, seed: u64) -> Vec<f64> {
        use rand::{Rng, SeedableRng};
        let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
        (0..n).map(|_| at + width * ((0..12).map(|_| random.r#gen::<f64>()).sum::<f64>() - 6.0)).collect()
    }

    /// The distance is that of the values, wherever they lie and however many there are.
    #[test]
    fn distances_are_nearly_those_of_the_values() {
        for (at, width) in [(0.0, 1.0), (300.0, 0.5), (-1e9, 1e3), (1e-9, 1e-10)] {
            let (a, b) = (normal(20_000, at, width, 1), normal(20_000, at + 0.3 * width, width, 2));
            let exact = distances(&Sample::new(&a).unwrap(), &Sample::new(&b).unwrap());
            let found = test_histograms(&sketch(&a).histogram().unwrap(), &sketch(&b).histogram().unwrap());
            assert!((found.ks.value - exact.ks).abs() < 0.005, "{at} {width}: {} {}", found.ks.value, exact.ks);
            assert!((found.wasserstein.value - exact.wasserstein).abs() < 0.02 * width, "{at} {width}: {found:?}");
        }
    }

    #[test]
    fn nothing_is_no_histogram() {
        assert!(sketch(&[f64::NAN, f64::INFINITY]).histogram().is_err());
        assert_eq!(sketch(&[0.0, 1e-310, -0.0]).count(), 3.0);
        assert!(sketch(&[0.0, f64::MAX, f64::MIN, 1.0]).histogram().is_ok());
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_nothing_is_lost(
            values in proptest::collection::vec(prop_oneof![any::<f64>(), -1e3..1e3], 0..6000),
            cut in 0.0..1.0,
        ) {
            let whole = sketch(&values);
            let (one, other) = values.split_at((values.len() as f64 * cut) as usize);
            let mut merged = sketch(one);
            merged.merge(&sketch(other));
            let present = values.iter().filter(|v| v.is_finite()).count() as f64;
            prop_assert!(whole.buckets() <= MOST_BUCKETS && merged.buckets() <= MOST_BUCKETS);
            prop_assert_eq!((whole.count(), merged.count()), (present, present));
            if present > 0.0 {
                let histogram = whole.histogram();
                prop_assert!(histogram.is_ok(), "{:?}", histogram);
                let total = histogram.unwrap().total();
                prop_assert!((total - present).abs() < 1e-6 * present);
            }
        }
    }
}
