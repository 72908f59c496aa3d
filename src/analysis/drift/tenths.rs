//! Two distributions in the tenths of the reference, which is how PSI, Jensen–Shannon and χ² are usually made of values.
//!
//! A decile of the reference lies in one of the buckets. How much of the reference and of the current values is up to it is
//! known at both ends of that bucket, and between them may be anything. All three measures are convex in the shares of a
//! tenth, so that they are greatest where all that is open lies at ends, of which there are few enough to try; and no less
//! than any of their tangents, of which one near the bottom tells the least.

use super::histogram::Bounded;

const TENTHS: usize = 10;
/// The degrees of freedom of χ² in them.
pub(super) const FREE: usize = TENTHS - 1;
/// Shares closer than this are one.
const SAME: f64 = 1e-9;
/// Added to both shares of a tenth before PSI takes their logarithm, so that empty ones count and do not make it infinite.
const EMPTY: f64 = 1e-4;
/// The same where only 0 / 0 is to be kept away.
const TINY: f64 = 1e-12;
/// How often all deciles are moved towards the least, and by how many halvings each.
const SWEEPS: usize = 12;
const HALVINGS: usize = 20;

/// Where a decile of the reference may lie, in shares of what is up to it.
#[derive(Clone, Copy, Debug)]
struct Decile {
    /// Of the reference, at least and at most: more than its tenths where many values are equal.
    f: (f64, f64),
    /// Of the current values.
    g: (f64, f64),
}

/// What is between two deciles, as shares of the reference and of the current values.
type Measure<'a> = &'a dyn Fn(f64, f64) -> f64;
/// How it grows with either.
type Slopes<'a> = &'a dyn Fn(f64, f64) -> (f64, f64);

/// The deciles of a reference, and where they may lie.
#[derive(Clone, Debug)]
pub(super) struct Tenths {
    deciles: [Decile; FREE],
    /// Where they are if all buckets are filled evenly.
    even: [(f64, f64); FREE],
}

impl Tenths {
    /// From the shares up to each bound, which begin with 0 and end with 1.
    pub(super) fn of(f: &[f64], g: &[f64]) -> Self {
        let places: [(Decile, (f64, f64)); FREE] = std::array::from_fn(|k| {
            let share = (k + 1) as f64 / TENTHS as f64;
            let end = f.partition_point(|f| *f < share - SAME).clamp(1, f.len() - 1);
            let (below, up_to) = (f[end - 1], f[end].max(share));
            let part = if up_to > below { ((share - below) / (up_to - below)).clamp(0.0, 1.0) } else { 1.0 };
            let decile = Decile { f: (share, up_to), g: (g[end - 1], g[end]) };
            (decile, (share, g[end - 1] + part * (g[end] - g[end - 1])))
        });
        Self { deciles: places.map(|(decile, _)| decile), even: places.map(|(_, even)| even) }
    }

    /// The population stability index.
    pub(super) fn psi(&self) -> Bounded {
        let log = |p: f64, q: f64| ((p + EMPTY) / (q + EMPTY)).ln();
        self.bounded(&|p, q| (p - q) * log(p, q), &|p, q| (log(p, q) + (p - q) / (p + EMPTY), -log(p, q) - (p - q) / (q + EMPTY)))
    }

    /// The Jensen–Shannon distance: the root of the divergence in nats.
    pub(super) fn jensen_shannon(&self) -> Bounded {
        let log = |p: f64, q: f64| 0.5 * (2.0 * (p + TINY) / (p + q + 2.0 * TINY)).ln();
        let Bounded { value, least, most } = self.bounded(&|p, q| p * log(p, q) + q * log(q, p), &|p, q| (log(p, q), log(q, p)));
        Bounded { value: value.max(0.0).sqrt(), least: least.max(0.0).sqrt(), most: most.max(0.0).sqrt() }
    }

    /// Pearson's χ² of both against one distribution, of so many values.
    pub(super) fn chi_square(&self, n: f64, m: f64) -> Bounded {
        let of = |p: f64, q: f64| (p - q) / (p / m + q / n + TINY / n.max(m));
        self.bounded(&|p, q| (p - q) * of(p, q), &|p, q| {
            let x = of(p, q);
            (2.0 * x - x * x / m, -2.0 * x - x * x / n)
        })
    }

    /// The sum of `measure` over the tenths: with buckets evenly filled, at least and at most.
    fn bounded(&self, measure: Measure<'_>, slopes: Slopes<'_>) -> Bounded {
        let value = total(&self.even, measure);
        let least = self.least(measure, slopes);
        Bounded { value, least: if least > 0.0 { least.min(value) } else { 0.0 }, most: self.most(measure).max(value) }
    }

    /// The greatest sum: each decile is at an end of where it may be, or where one after it is that is equal to it.
    fn most(&self, measure: Measure<'_>) -> f64 {
        let mut reached = vec![(0.0, 0.0, 0.0)];
        for (k, decile) in self.deciles.iter().enumerate() {
            let shares = (k + 1..TENTHS).map(|j| j as f64 / TENTHS as f64).take_while(|share| *share < decile.f.1).chain([decile.f.1]);
            let ends = shares.flat_map(|f| [(f, decile.g.0), (f, decile.g.1)]);
            reached = ends.filter_map(|(f, g)| Some((f, g, furthest(&reached, f, g, measure)?))).collect();
        }
        furthest(&reached, 1.0, 1.0, measure).unwrap_or(f64::INFINITY)
    }

    /// No more than the least sum: the least of the tangent where moving one decile after the other towards it has led.
    fn least(&self, measure: Measure<'_>, slopes: Slopes<'_>) -> f64 {
        let mut at = self.even;
        for _ in 0..SWEEPS {
            for (k, decile) in self.deciles.iter().enumerate() {
                let (before, after) = around(&at, k);
                at[k].0 = bottom((decile.f.0.max(before.0), decile.f.1.min(after.0)), |f| slope(slopes, before, (f, at[k].1), after).0);
                at[k].1 = bottom((decile.g.0.max(before.1), decile.g.1.min(after.1)), |g| slope(slopes, before, (at[k].0, g), after).1);
            }
        }
        let downhill: f64 = self
            .deciles
            .iter()
            .enumerate()
            .map(|(k, decile)| {
                let (before, after) = around(&at, k);
                let by = slope(slopes, before, at[k], after);
                let fall = |slope: f64, ends: (f64, f64), at: f64| (slope * (ends.0 - at)).min(slope * (ends.1 - at)).min(0.0);
                fall(by.0, decile.f, at[k].0) + fall(by.1, decile.g, at[k].1)
            })
            .sum();
        total(&at, measure) + downhill
    }
}

fn around(at: &[(f64, f64); FREE], k: usize) -> ((f64, f64), (f64, f64)) {
    (k.checked_sub(1).map_or((0.0, 0.0), |before| at[before]), at.get(k + 1).copied().unwrap_or((1.0, 1.0)))
}

/// How the sum grows with the place of a decile.
fn slope(slopes: Slopes<'_>, before: (f64, f64), at: (f64, f64), after: (f64, f64)) -> (f64, f64) {
    let (below, above) = (slopes(at.0 - before.0, at.1 - before.1), slopes(after.0 - at.0, after.1 - at.1));
    (below.0 - above.0, below.1 - above.1)
}

/// Where between `ends` a slope that rises passes zero.
fn bottom(ends: (f64, f64), slope: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (ends.0, ends.1.max(ends.0));
    if slope(low) >= 0.0 {
        return low;
    }
    if slope(high) <= 0.0 {
        return high;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

fn total(at: &[(f64, f64)], measure: Measure<'_>) -> f64 {
    let ends = at.iter().copied().chain([(1.0, 1.0)]);
    let sums = ends.scan((0.0, 0.0), |before, at| {
        let shares = (at.0 - before.0, at.1 - before.1);
        *before = at;
        Some(measure(shares.0.max(0.0), shares.1.max(0.0)))
    });
    sums.sum()
}

/// The greatest sum of a way to (`f`, `g`) over one of the places `reached`.
fn furthest(reached: &[(f64, f64, f64)], f: f64, g: f64, measure: Measure<'_>) -> Option<f64> {
    let ways = reached.iter().filter(|from| from.0 <= f + SAME && from.1 <= g + SAME);
    ways.map(|from| from.2 + measure((f - from.0).max(0.0), (g - from.1).max(0.0))).max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::golden::Splitmix;
    use super::*;

    /// What is up to each decile of the raw reference.
    fn of_values(a: &[f64], b: &[f64]) -> Vec<(f64, f64)> {
        let up_to = |list: &[f64], x: f64| list.iter().filter(|v| **v <= x).count() as f64 / list.len() as f64;
        let mut sorted = a.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        (1..TENTHS).map(|k| sorted[(k * a.len()).div_ceil(TENTHS) - 1]).map(|x| (up_to(a, x), up_to(b, x))).collect()
    }

    fn at_bounds(values: &[f64], bounds: &[f64]) -> Vec<f64> {
        let shares = bounds.iter().map(|x| values.iter().filter(|v| *v <= x).count() as f64 / values.len() as f64);
        [0.0].into_iter().chain(shares).chain([1.0]).collect()
    }

    fn measures(tenths: &Tenths, n: f64, m: f64) -> [Bounded; 3] {
        [tenths.psi(), tenths.jensen_shannon(), tenths.chi_square(n, m)]
    }

    /// The same of deciles that are known.
    fn known(deciles: &[(f64, f64)], n: f64, m: f64) -> [f64; 3] {
        let sum = |measure: Measure<'_>| total(deciles, measure);
        let entropy = |p: f64, q: f64| if p > 0.0 { p * (2.0 * p / (p + q)).ln() } else { 0.0 };
        [
            sum(&|p, q| (p - q) * ((p + EMPTY) / (q + EMPTY)).ln()),
            sum(&|p, q| entropy(p, q).midpoint(entropy(q, p))).max(0.0).sqrt(),
            sum(&|p, q| if p + q > 0.0 { n * m * (p - q).powi(2) / (n * p + m * q) } else { 0.0 }),
        ]
    }

    fn values() -> impl Strategy<Value = Vec<f64>> {
        // Whole numbers, many of them equal, or none.
        prop_oneof![
            prop::collection::vec(-9.0..9.0_f64, 1..300),
            prop::collection::vec((-4..5_i32).prop_map(f64::from), 1..300),
            prop::collection::vec(prop_oneof![3 => Just(0.0), 1 => -9.0..9.0_f64], 1..300),
        ]
    }

    proptest! {
        /// Whatever the values and the buckets, the measures of the values in the tenths are where they are said to be.
        #[test]
        fn the_error_holds(a in values(), b in values(), bounds in prop::collection::btree_set(-20..20_i32, 1..30)) {
            let bounds: Vec<f64> = bounds.into_iter().map(|i| f64::from(i) / 2.0).collect();
            let (n, m) = (a.len() as f64, b.len() as f64);
            let tenths = Tenths::of(&at_bounds(&a, &bounds), &at_bounds(&b, &bounds));
            for (said, truth) in measures(&tenths, n, m).into_iter().zip(known(&of_values(&a, &b), n, m)) {
                prop_assert!(said.least <= said.value && said.value <= said.most && said.most.is_finite(), "{said:?}");
                prop_assert!(said.least - 1e-6 <= truth && truth <= said.most + 1e-6, "{truth} {said:?}");
            }
            let itself = Tenths::of(&at_bounds(&a, &bounds), &at_bounds(&a, &bounds));
            for same in measures(&itself, n, n) {
                prop_assert!(same.value.abs() < 1e-6 && same.least < 1e-6, "{same:?}");
            }
        }
    }

    #[test]
    fn a_bucket_for_each_tenth_tells_all() {
        let f: Vec<f64> = (0..=10).map(|i| f64::from(i) / 10.0).collect();
        let g: Vec<f64> = f.iter().map(|f| f * f).collect();
        let tenths = Tenths::of(&f, &g);
        let truth = known(&f[1..10].iter().copied().zip(g[1..10].iter().copied()).collect::<Vec<_>>(), 1000.0, 500.0);
        for (said, truth) in measures(&tenths, 1000.0, 500.0).into_iter().zip(truth) {
            assert!((said.value - truth).abs() < 1e-6, "{said:?} {truth}");
        }
        // One bucket tells nothing: it may be anything from the same to quite another.
        let nothing = Tenths::of(&[0.0, 1.0], &[0.0, 1.0]).psi();
        assert!(nothing.value.abs() < 1e-9 && nothing.least == 0.0 && nothing.most > 4.0, "{nothing:?}");
    }

    #[test]
    fn finer_buckets_leave_less_open() {
        let mut random = Splitmix(11);
        let a: Vec<f64> = (0..4000).map(|_| random.normal()).collect();
        let b: Vec<f64> = (0..3000).map(|_| random.normal() + 0.4).collect();
        let mut sorted = a.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let errors: Vec<f64> = [10, 40, 160, 640]
            .into_iter()
            .map(|buckets| {
                let bounds: Vec<f64> = (1..buckets).map(|i| sorted[i * 4000 / buckets]).collect();
                let tenths = Tenths::of(&at_bounds(&a, &bounds), &at_bounds(&b, &bounds));
                let [psi, ..] = known(&of_values(&a, &b), 4000.0, 3000.0);
                let said = tenths.psi();
                assert!((said.value - psi).abs() < 0.01 && said.least > 0.0, "{buckets}: {psi} {said:?}");
                said.error()
            })
            .collect();
        assert!(errors.windows(2).all(|pair| pair[1] < 0.5 * pair[0]) && errors[3] < 0.03, "{errors:?}");
    }
}
