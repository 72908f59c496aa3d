use proptest::prelude::*;

use super::super::golden::Splitmix;
use super::super::{Method, Sample, distances};
use super::*;

const ALPHA: f64 = 0.05;
const LEAST_EFFECT: f64 = 0.1;

/// A histogram of values, as a client library fills it: upper bounds belong to their bucket.
fn histogram(values: &[f64], bounds: &[f64]) -> Histogram {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at_most = |le: f64| sorted.partition_point(|v| *v <= le) as f64;
    let buckets: Vec<_> = bounds.iter().copied().chain([f64::INFINITY]).map(|le| (le, at_most(le))).collect();
    Histogram::classic(&buckets).unwrap()
}

/// A native histogram as Prometheus answers it: the buckets of a schema that hold anything, and the one around zero.
fn native(values: &[f64], schema: i32) -> Histogram {
    let zero = 1e-9;
    let (factor, mut counts) = (f64::from(schema).exp2(), std::collections::BTreeMap::new());
    for value in values {
        let place = (value.abs().log2() * factor).ceil();
        let (least, most) = (((place - 1.0) / factor).exp2().max(zero), (place / factor).exp2());
        let bucket = match value.abs() {
            size if size <= zero => (-zero, zero),
            _ if *value < 0.0 => (-most, -least),
            _ => (least, most),
        };
        counts.entry((bucket.0.to_bits(), bucket.1.to_bits())).or_insert((bucket.0, bucket.1, 0.0)).2 += 1.0;
    }
    Histogram::of_buckets(&counts.into_values().collect::<Vec<_>>()).unwrap()
}

fn normal(n: usize, seed: u64, shift: f64) -> Vec<f64> {
    let mut random = Splitmix(seed);
    (0..n).map(|_| random.normal() + shift).collect()
}

#[test]
fn buckets_are_read_as_prometheus_writes_them() {
    let latency = Histogram::classic(&[(0.5, 30.0), (f64::INFINITY, 35.5), (0.1, 10.0), (1.0, 29.9)]).unwrap();
    assert_eq!((latency.bounds(), latency.counts()), (&[0.0, 0.1, 0.5, 1.0, f64::INFINITY][..], &[10.0, 20.0, 0.0, 5.5][..]));
    let signed = Histogram::classic(&[(-1.0, 1.0), (f64::INFINITY, 2.0)]).unwrap();
    assert_eq!(signed.bounds(), [f64::NEG_INFINITY, -1.0, f64::INFINITY]);
    let inf = f64::INFINITY;
    for (wrong, said) in [
        (vec![], "the greatest le is NaN; it must be +Inf"),
        (vec![(1.0, 2.0)], "the greatest le is 1; it must be +Inf"),
        (vec![(f64::NAN, 2.0), (inf, 3.0)], "le is NaN; it must be a number, or +Inf"),
        (vec![(1.0, 2.0), (1.0, 2.0), (inf, 3.0)], "le is 1; it must be given once"),
        (vec![(1.0, -2.0), (inf, 3.0)], "the count of a bucket is -2; it must be finite and not negative"),
        (vec![(1.0, 0.0), (inf, 0.0)], "the sum of all counts is 0; it must be above 0"),
    ] {
        assert_eq!(Histogram::classic(&wrong).unwrap_err().to_string(), said);
    }
    assert!(Histogram::classic(&[(inf, 1e150)]).unwrap_err().to_string().ends_with("it must be under 1e150"));
}

#[test]
fn native_buckets_are_put_in_a_row() {
    let inf = f64::INFINITY;
    let both = Histogram::of_buckets(&[(4.0, 8.0, 1.0), (1.0, 2.0, 2.0), (-0.5, 0.5, 3.0), (-1.0, -0.5, 4.0)]).unwrap();
    assert_eq!(both.bounds(), [-inf, -1.0, -0.5, 0.5, 1.0, 2.0, 4.0, 8.0, inf]);
    assert_eq!(both.counts(), [0.0, 4.0, 3.0, 0.0, 2.0, 0.0, 1.0, 0.0]);
    // A zero bucket may have no width.
    assert_eq!(Histogram::of_buckets(&[(0.0, 0.0, 5.0)]).unwrap().total(), 5.0);
    for (wrong, said) in [
        (vec![], "the sum of all counts is 0; it must be above 0"),
        (vec![(2.0, 1.0, 1.0)], "the upper bound of a bucket is 1; it must be no less than its lower bound"),
        (vec![(f64::NAN, 1.0, 1.0)], "the upper bound of a bucket is 1; it must be no less than its lower bound"),
        (vec![(1.0, 3.0, 1.0), (2.0, 4.0, 1.0)], "the lower bound of a bucket is 2; it must be no less than the upper bound before it"),
        (vec![(1.0, 2.0, f64::NAN)], "the count of a bucket is NaN; it must be finite and not negative"),
    ] {
        assert_eq!(Histogram::of_buckets(&wrong).unwrap_err().to_string(), said);
    }
}

#[test]
fn histograms_of_other_bounds_are_compared_at_those_they_share() {
    let values = normal(4000, 1, 10.0);
    let (coarse, fine) = (histogram(&values, &[8.0, 10.0, 12.0, 50.0]), histogram(&values, &[8.0, 9.0, 10.0, 11.0, 12.0, 13.0]));
    let same = test_histograms(&coarse, &fine);
    // 0, 8, 10, 12 and ∞; beyond 50 there is nothing in the first, which does not tell what the second has there.
    assert_eq!((same.buckets, same.ks.value, same.p_value), (4, 0.0, 1.0));
    assert!(same.psi.value < 1e-9 && same.psi.most > 0.3 && same.chi_square_p > 0.999, "{same:?}");
    assert!(same.ks.most > 0.3 && same.wasserstein.error().is_infinite());
    // Schemas of native histograms nest.
    let nested = test_histograms(&native(&values, 3), &native(&values, 1));
    assert_eq!((nested.ks.value, nested.p_value), (0.0, 1.0));
    assert!(nested.wasserstein.most.is_finite() && nested.buckets > 3, "{nested:?}");
    // Nothing in common but the ends.
    let apart = test_histograms(&histogram(&values, &[9.5]), &histogram(&values, &[10.5]));
    assert_eq!((apart.buckets, apart.ks.value, apart.ks.most), (1, 0.0, 1.0));
}

proptest! {
    /// Whatever the values and the buckets, the distance of the values is where it is said to be.
    #[test]
    fn the_error_holds(
        a in prop::collection::vec(-9.0..9.0_f64, 1..200), b in prop::collection::vec(-9.0..9.0_f64, 1..200),
        (of_a, of_b) in (prop::collection::btree_set(-40..40_i32, 1..12), prop::collection::btree_set(-40..40_i32, 1..12)),
        schemas in (-1..4_i32, -1..4_i32),
    ) {
        let bounds = |set: std::collections::BTreeSet<i32>| set.into_iter().map(|i| f64::from(i) / 4.0 + 0.1).collect::<Vec<_>>();
        let raw = distances(&Sample::new(&a).unwrap(), &Sample::new(&b).unwrap());
        // From above the greatest value on, so that the width of all buckets is known.
        let closed = |mut list: Vec<f64>| { list.extend([-12.0, 12.0]); list.sort_by(f64::total_cmp); list };
        let classic = (histogram(&a, &closed(bounds(of_a))), histogram(&b, &closed(bounds(of_b))));
        let natives = (native(&a, schemas.0), native(&b, schemas.1));
        for (x, y) in [classic, natives] {
            prop_assert!(((x.total() - a.len() as f64).abs() + (y.total() - b.len() as f64).abs()) < 1e-9);
            let there = test_histograms(&x, &y);
            prop_assert!(there.ks.least <= raw.ks + 1e-9 && raw.ks <= there.ks.most + 1e-9, "{raw:?} {there:?}");
            prop_assert!(there.wasserstein.least <= raw.wasserstein + 1e-9 && raw.wasserstein <= there.wasserstein.most + 1e-9);
            prop_assert!(there.wasserstein.most.is_finite() && there.psi.value >= 0.0 && (0.0..=1.0).contains(&there.p_value));
            let back = test_histograms(&y, &x);
            prop_assert!((there.ks.value - back.ks.value).abs() < 1e-12 && (there.wasserstein.value - back.wasserstein.value).abs() < 1e-9);
            let itself = test_histograms(&x, &x);
            prop_assert_eq!((itself.ks.value, itself.p_value, itself.wasserstein.value), (0.0, 1.0, 0.0));
            prop_assert!(itself.psi.value < 1e-9 && itself.psi.least < 1e-9, "{:?}", itself.psi);
        }
    }
}

fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(f64::INFINITY), Just(0.0), Just(f64::MAX), Just(f64::MIN_POSITIVE), -3.0..3.0, 0.0..1e3]
}

fn any_histogram() -> impl Strategy<Value = Option<Histogram>> {
    let count = || prop_oneof![any_float(), 0.0..1e3];
    let classic = prop::collection::vec((any_float(), count()), 0..9).prop_map(|mut buckets| {
        buckets.push((f64::INFINITY, 1e3));
        Histogram::classic(&buckets).ok()
    });
    let bucket = (any_float(), any_float(), count()).prop_map(|(a, b, count)| (a.min(b), a.max(b), count));
    let native = prop::collection::vec(bucket, 0..6).prop_map(|buckets| Histogram::of_buckets(&buckets).ok());
    prop_oneof![classic, native]
}

proptest! {
    #[test]
    fn no_histogram_is_too_odd(a in any_histogram(), b in any_histogram()) {
        let (Some(a), Some(b)) = (a, b) else { return Ok(()) };
        prop_assert!(a.bounds().windows(2).all(|w| w[0] < w[1]) && a.bounds().len() == a.counts().len() + 1);
        let found = test_histograms(&a, &b);
        for range in [found.ks, found.wasserstein, found.psi, found.jensen_shannon, found.chi_square] {
            prop_assert!(range.least <= range.value && range.value <= range.most && range.error() >= 0.0, "{found:?}");
        }
        prop_assert!((0.0..=1.0).contains(&found.p_value) && found.ks.most <= 1.0 + 1e-12 && found.psi.value >= 0.0, "{found:?}");
        prop_assert!((0.0..=1.0).contains(&found.chi_square_p) && found.jensen_shannon.most <= 1.0, "{found:?}");
    }
}

/// A way to cut a sorted sample into so many buckets: one bound fewer, as the last bucket has none.
type Cut = fn(&[f64], usize) -> Vec<f64>;
/// Its name, and a rising map that gives the values their shape.
type Way = (&'static str, Cut, fn(f64) -> f64);

fn quantiles(sorted: &[f64], buckets: usize) -> Vec<f64> {
    (1..buckets).map(|i| sorted[i * sorted.len() / buckets]).collect()
}

fn even(sorted: &[f64], buckets: usize) -> Vec<f64> {
    let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
    (1..buckets).map(|i| least + (most - least) * i as f64 / buckets as f64).collect()
}

fn growing(sorted: &[f64], buckets: usize) -> Vec<f64> {
    even(&[sorted[0].ln(), sorted[sorted.len() - 1].ln()], buckets).into_iter().map(f64::exp).collect()
}

/// How often both verdicts agree in a thousand cases: a quarter without any change, the others shifted by up to half a standard
/// deviation, evenly, so that many are close to the bound; a third of these scaled as well.
#[test]
fn verdicts_on_buckets_are_mostly_those_on_values() {
    const BUCKETS: [usize; 3] = [10, 20, 50];
    let ways: [Way; 4] = [
        ("quantiles", quantiles, |x| x),
        ("even", even, |x| x),
        ("growing", growing, |x| (1.5 * x).exp()),
        ("even, skewed", even, |x| (0.5 * x).exp()),
    ];
    let mut random = Splitmix(20_260_101);
    let mut agreed = [[0_u32; 3]; 4];
    let (mut drifted, mut near, mut near_agreed) = (0, 0, [[0_u32; 3]; 4]);
    for case in 0..1000 {
        let size = |u: f64| (500.0 * 40_f64.powf(u)) as usize;
        let (n, m) = (size(random.uniform()), size(random.uniform()));
        let (shift, scale) = match case % 4 {
            0 => (0.0, 1.0),
            1 => (0.5 * random.uniform(), 1.0 + 0.4 * random.uniform()),
            _ => (0.5 * random.uniform(), 1.0),
        };
        let (a, b) = (normal(n, 2 * case + 7_000_000, 0.0), normal(m, 2 * case + 7_000_001, 0.0));
        let [mut a, mut b] = [a, b.into_iter().map(|x| x * scale + shift).collect()];
        a.sort_unstable_by(f64::total_cmp);
        b.sort_unstable_by(f64::total_cmp);
        // Neither the distance nor its p-value changes under the maps.
        let raw = distances(&Sample::new(&a).unwrap(), &Sample::new(&b).unwrap());
        let drift = raw.ks_p_value(Method::Auto) < ALPHA && raw.ks >= LEAST_EFFECT;
        drifted += u32::from(drift);
        near += u32::from((0.08..0.12).contains(&raw.ks));
        for (w, (_, cut, map)) in ways.iter().enumerate() {
            let [a, b] = [&a, &b].map(|values| values.iter().map(|x| map(*x)).collect::<Vec<_>>());
            for (k, buckets) in BUCKETS.into_iter().enumerate() {
                let bounds = cut(&a, buckets);
                let binned = test_histograms(&histogram(&a, &bounds), &histogram(&b, &bounds));
                let same = drift == (binned.drifted(binned.p_value, ALPHA, LEAST_EFFECT));
                agreed[w][k] += u32::from(same);
                near_agreed[w][k] += u32::from(same && (0.08..0.12).contains(&raw.ks));
                assert!(binned.ks.least <= raw.ks + 1e-12 && raw.ks <= binned.ks.most + 1e-12);
                assert!(!binned.is_certain(LEAST_EFFECT) || (raw.ks >= LEAST_EFFECT) == (binned.ks.value >= LEAST_EFFECT));
            }
        }
    }
    println!("{drifted} of 1000 drifted; {near} of 1000 at a distance of 0.08 to 0.12");
    for (w, (name, ..)) in ways.iter().enumerate() {
        println!("{name}: {BUCKETS:?} buckets agree in {:?}, of those near in {:?}", agreed[w], near_agreed[w]);
        // Even buckets waste themselves on a long tail: no bound is where the values are.
        let least = if w == 3 { 900 } else { 950 };
        assert!(agreed[w].iter().all(|agreed| *agreed >= least), "{name}: {agreed:?}");
    }
    assert!((300..600).contains(&drifted) && near > 60, "too easy: {drifted}, {near}");
}
