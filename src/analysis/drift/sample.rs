//! A column of numbers, sorted once, and what several tests read off two of them.

use super::column::{CannotCompare, Side};
use super::counts::Counts;
use super::kolmogorov::{self, Method};

/// Below this many values the standard sort is faster.
const LEAST_RADIX: usize = 512;
/// Bits of a digit of the radix sort, and how many digits a key of 64 bits has.
const BITS: u32 = 11;
const DIGITS: usize = 64_u32.div_ceil(BITS) as usize;
const RADIX: usize = 1 << BITS;

/// The finite values of a column in ascending order.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Ascending; an infinity stands after the last, so that a walk may look one value ahead.
    padded: Vec<f64>,
}

/// What one walk over two samples finds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Distances {
    /// Kolmogorov–Smirnov: the greatest distance of the two empirical distributions, from 0 to 1.
    pub ks: f64,
    /// The same as a whole number: times the sizes of both samples.
    steps: u64,
    /// Those sizes.
    sizes: (usize, usize),
    /// Wasserstein: the area between the two distributions, in units of the values.
    pub wasserstein: f64,
    /// Energy distance: the root of twice the squared area between them (Székely 2002).
    pub energy: f64,
}

impl Distances {
    /// The two-sided p-value of the Kolmogorov–Smirnov distance, as `scipy.stats.ks_2samp` has it.
    pub fn ks_p_value(&self, method: Method) -> f64 {
        kolmogorov::p_value(self.steps, self.sizes.0, self.sizes.1, method)
    }
}

impl Sample {
    /// Takes what is finite of `values`. `None` if nothing is.
    pub fn new(values: &[f64]) -> Option<Self> {
        let mut padded = Vec::with_capacity(values.len() + 1);
        // A negative zero is a zero: the order of bits would tell them apart.
        padded.extend(values.iter().filter(|v| v.is_finite()).map(|v| v + 0.0));
        if padded.is_empty() {
            return None;
        }
        sort(&mut padded);
        padded.push(f64::INFINITY);
        Some(Self { padded })
    }

    /// The same of a column of one side, with the reason why there is none.
    pub(super) fn of(values: &[f64], side: Side) -> Result<Self, CannotCompare> {
        Self::new(values).ok_or(if values.is_empty() { CannotCompare::Empty(side) } else { CannotCompare::NoValues(side, values.len()) })
    }

    /// The values, ascending.
    pub fn values(&self) -> &[f64] {
        &self.padded[..self.padded.len() - 1]
    }

    /// How many there are: at least one.
    pub fn size(&self) -> usize {
        self.padded.len() - 1
    }

    /// The standard deviation of the values themselves (divided by their number, not by one less).
    pub fn deviation(&self) -> f64 {
        let n = self.size() as f64;
        let mean = self.values().iter().sum::<f64>() / n;
        (self.values().iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
    }

    /// How many different values there are; counting ends at `most`.
    pub(super) fn distinct(&self, most: usize) -> usize {
        1 + self.values().windows(2).filter(|pair| pair[0] != pair[1]).take(most.saturating_sub(1)).count()
    }

    /// How many values lie below `edge`.
    pub(super) fn below(&self, edge: f64) -> usize {
        self.values().partition_point(|v| *v < edge)
    }
}

/// Kolmogorov–Smirnov, Wasserstein and energy distance in one walk over both samples.
pub fn distances(reference: &Sample, current: &Sample) -> Distances {
    let (a, b) = (&reference.padded[..], &current.padded[..]);
    let (n, m) = (reference.size(), current.size());
    let (times_a, times_b) = (m as i64, n as i64);
    let (mut i, mut j) = (0, 0);
    let mut x = a[0].min(b[0]);
    let (mut steps, mut area, mut square) = (0_i64, 0.0, 0.0);
    let unit = 1.0 / (n as f64 * m as f64);
    // One value a step and no branch that the data could make hard to guess.
    while i < n || j < m {
        i += usize::from(a[i] <= x && i < n);
        j += usize::from(b[j] <= x && j < m);
        let next = a[i].min(b[j]);
        let apart = (i as i64 * times_a - j as i64 * times_b).abs();
        // Among equal values the distributions have not arrived yet.
        let gap = if i + j == n + m { 0.0 } else { next - x };
        steps = if next > x { steps.max(apart) } else { steps };
        let share = apart as f64 * unit;
        area += share * gap;
        square += share * share * gap;
        x = next;
    }
    Distances {
        ks: steps as f64 / (n as f64 * m as f64),
        steps: steps as u64,
        sizes: (n, m),
        wasserstein: area,
        energy: (2.0 * square).sqrt(),
    }
}

/// The Cramér–von Mises criterion T of two samples (Anderson, "On the Distribution of the Two-Sample Cramér–von Mises
/// Criterion", 1962), with mean ranks for equal values. In whole numbers as far as to the last division: what is left of
/// the difference of two large numbers is all that counts.
pub fn cramer_von_mises(reference: &Sample, current: &Sample) -> f64 {
    let (n, m) = (reference.size() as i128, current.size() as i128);
    let (u4, pairs) = (squared_ranks(reference, current), n * m);
    (6 * u4 - 4 * pairs * (4 * pairs - 1)) as f64 / (24 * pairs * (n + m)) as f64
}

/// Four times Anderson's U: n Σ (rank of x − its own rank)² + m Σ (rank of y − its own rank)².
pub(super) fn squared_ranks(reference: &Sample, current: &Sample) -> i128 {
    let (a, b) = (reference.values(), current.values());
    let (mut i, mut j, mut of_a, mut of_b) = (0, 0, 0_i128, 0_i128);
    while i < a.len() || j < b.len() {
        let x = reference.padded[i].min(current.padded[j]);
        let equal_a = a[i..].iter().take_while(|v| **v == x).count();
        let equal_b = b[j..].iter().take_while(|v| **v == x).count();
        // Twice the mean rank of the equal values.
        let rank = (2 * (i + j) + equal_a + equal_b + 1) as i128;
        of_a += (i + 1..=i + equal_a).map(|own| (rank - 2 * own as i128).pow(2)).sum::<i128>();
        of_b += (j + 1..=j + equal_b).map(|own| (rank - 2 * own as i128).pow(2)).sum::<i128>();
        i += equal_a;
        j += equal_b;
    }
    a.len() as i128 * of_a + b.len() as i128 * of_b
}

/// How often each value occurs in either sample, in ascending order of the values.
pub(super) fn by_value(reference: &Sample, current: &Sample) -> Counts {
    let (a, b) = (reference.values(), current.values());
    let (mut i, mut j) = (0, 0);
    let mut counts = Counts::default();
    while i < a.len() || j < b.len() {
        let x = reference.padded[i].min(current.padded[j]);
        let equal_a = a[i..].iter().take_while(|v| **v == x).count();
        let equal_b = b[j..].iter().take_while(|v| **v == x).count();
        counts.push(equal_a as f64, equal_b as f64);
        i += equal_a;
        j += equal_b;
    }
    counts
}

/// Sorts by the keys' digits, from the last to the first. Digits that all keys share are passed over: measurements rarely
/// use all of a float's bits.
fn sort(values: &mut [f64]) {
    if values.len() < LEAST_RADIX || u32::try_from(values.len()).is_err() {
        values.sort_unstable_by(f64::total_cmp);
        return;
    }
    let mut keys: Vec<u64> = values.iter().map(|v| key(*v)).collect();
    let mut other = vec![0; keys.len()];
    let mut counts = vec![[0_u32; RADIX]; DIGITS];
    for key in &keys {
        for (digit, counts) in counts.iter_mut().enumerate() {
            counts[place(*key, digit)] += 1;
        }
    }
    for (digit, counts) in counts.iter_mut().enumerate() {
        if counts[place(keys[0], digit)] as usize == keys.len() {
            continue;
        }
        let mut start = 0;
        for count in counts.iter_mut() {
            (*count, start) = (start, start + *count);
        }
        for key in &keys {
            let at = &mut counts[place(*key, digit)];
            other[*at as usize] = *key;
            *at += 1;
        }
        std::mem::swap(&mut keys, &mut other);
    }
    values.iter_mut().zip(keys).for_each(|(value, key)| *value = from_key(key));
}

fn place(key: u64, digit: usize) -> usize {
    (key >> (digit as u32 * BITS)) as usize & (RADIX - 1)
}

/// Whole numbers in the order of the floats: the sign turned, and all the rest as well below zero.
fn key(value: f64) -> u64 {
    let bits = value.to_bits();
    bits ^ (((bits as i64 >> 63) as u64) | (1 << 63))
}

fn from_key(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key ^ (1 << 63) } else { !key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(values: &[f64]) -> Sample {
        Sample::new(values).unwrap()
    }

    /// The distances by their definitions: both distributions at every value.
    fn plainly(a: &[f64], b: &[f64]) -> Distances {
        let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
        all.sort_by(f64::total_cmp);
        let share = |of: &[f64], x: f64| of.iter().filter(|v| **v <= x).count() as f64 / of.len() as f64;
        let apart = |x: f64| (share(a, x) - share(b, x)).abs();
        let ks = all.iter().map(|x| apart(*x)).fold(0.0, f64::max);
        let area = |power: i32| all.windows(2).map(|w| apart(w[0]).powi(power) * (w[1] - w[0])).sum::<f64>();
        Distances {
            ks,
            steps: (ks * (a.len() * b.len()) as f64).round() as u64,
            sizes: (a.len(), b.len()),
            wasserstein: area(1),
            energy: (2.0 * area(2)).sqrt(),
        }
    }

    #[test]
    fn what_is_not_finite_is_left_out() {
        let one = sample(&[f64::NAN, 2.0, f64::INFINITY, -0.0, 1.0, f64::NEG_INFINITY]);
        assert_eq!((one.values(), one.size(), one.distinct(9)), (&[0.0, 1.0, 2.0][..], 3, 3));
        assert!(Sample::new(&[]).is_none() && Sample::new(&[f64::NAN, f64::INFINITY]).is_none());
        assert_eq!(Sample::of(&[], Side::Current), Err(CannotCompare::Empty(Side::Current)));
        assert_eq!(Sample::of(&[f64::NAN], Side::Reference), Err(CannotCompare::NoValues(Side::Reference, 1)));
    }

    proptest! {
        #[test]
        fn the_radix_sort_sorts(values in prop::collection::vec(prop_oneof![any::<f64>(), Just(0.0), -9.0..9.0], 512..2000)) {
            let finite: Vec<f64> = values.into_iter().filter(|v| !v.is_nan()).collect();
            let (mut ours, mut theirs) = (finite.clone(), finite);
            sort(&mut ours);
            theirs.sort_unstable_by(f64::total_cmp);
            prop_assert!(ours.iter().zip(&theirs).all(|(a, b)| a.to_bits() == b.to_bits()));
        }

        #[test]
        fn the_walk_keeps_to_the_definitions(
            a in prop::collection::vec(prop_oneof![-5.0..5.0, (-3..3_i32).prop_map(f64::from)], 1..40),
            b in prop::collection::vec(prop_oneof![-5.0..5.0, (-3..3_i32).prop_map(f64::from)], 1..40),
        ) {
            let (walked, plain) = (distances(&sample(&a), &sample(&b)), plainly(&a, &b));
            prop_assert!((walked.ks - plain.ks).abs() < 1e-12 && walked.steps == plain.steps);
            prop_assert!((walked.wasserstein - plain.wasserstein).abs() < 1e-12 && (walked.energy - plain.energy).abs() < 1e-12);
            let back = distances(&sample(&b), &sample(&a));
            prop_assert!(walked.ks == back.ks && (walked.wasserstein - back.wasserstein).abs() < 1e-12);
            prop_assert_eq!(squared_ranks(&sample(&a), &sample(&b)), squared_ranks(&sample(&b), &sample(&a)));
            let itself = distances(&sample(&a), &sample(&a));
            prop_assert_eq!((itself.ks, itself.wasserstein, itself.energy), (0.0, 0.0, 0.0));
        }

        #[test]
        fn ranks_do_not_change_under_a_rising_map(
            a in prop::collection::vec(-300_i32..300, 1..60), b in prop::collection::vec(-300_i32..300, 1..60),
        ) {
            let of = |values: &[i32], map: fn(f64) -> f64| sample(&values.iter().map(|v| map(f64::from(*v))).collect::<Vec<_>>());
            let (plain, cubed) = ((of(&a, |v| v), of(&b, |v| v)), (of(&a, |v| v.powi(3) + v), of(&b, |v| v.powi(3) + v)));
            prop_assert_eq!(distances(&plain.0, &plain.1).steps, distances(&cubed.0, &cubed.1).steps);
            prop_assert_eq!(cramer_von_mises(&plain.0, &plain.1), cramer_von_mises(&cubed.0, &cubed.1));
        }

        #[test]
        fn wasserstein_moves_with_shift_and_scale(a in prop::collection::vec(-5.0..5.0, 1..60), by in -9.0..9.0, times in 0.1..9.0) {
            let (by, times): (f64, f64) = (by, times);
            let of = |map: &dyn Fn(f64) -> f64| sample(&a.iter().map(|v| map(*v)).collect::<Vec<_>>());
            let (plain, moved) = (of(&|v| v), of(&|v| v + by));
            let moved_by = distances(&plain, &moved).wasserstein;
            prop_assert!((moved_by - by.abs()).abs() < 1e-9);
            let scaled = distances(&of(&|v| v * times), &of(&|v| (v + by) * times)).wasserstein;
            prop_assert!((scaled - times * moved_by).abs() < 1e-9);
        }
    }
}
