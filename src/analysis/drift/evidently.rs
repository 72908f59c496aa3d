//! What Evidently 0.7 does unless told otherwise: which test, on which bins, against which threshold.

use super::column::{CannotCompare, Side};
use super::counts::Counts;
use super::kolmogorov::Method;
use super::pair::Pair;
use super::sample::{Distances, Sample, by_value, cramer_von_mises};
use super::{Test, cramer};

/// Up to this many reference values p-values decide, beyond distances.
const LARGE: usize = 1000;
/// Numbers with no more different values than this are tested as categories.
const FEW: usize = 5;
/// Whole numbers with no more different values than this are categories.
pub(super) const FEW_WHOLE: usize = 10;
/// Numbers of which the reference has no more different values are counted by value, not in bins.
const FEW_FOR_BINS: usize = 20;
/// The least deviation that a Wasserstein distance is divided by.
const LEAST_DEVIATION: f64 = 0.001;
/// The fewest values for the Cramér–von Mises criterion.
const LEAST_CRITERION: usize = 2;

/// The score of a test: its p-value if it has one, else its distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub statistic: f64,
    pub p_value: Option<f64>,
}

/// The test for two columns.
pub(super) fn choose(pair: &Pair) -> Test {
    let different = pair.distinct(FEW + 1);
    let numeric = matches!(pair, Pair::Numeric { .. });
    match (pair.sizes().0 > LARGE, numeric && different > FEW) {
        (true, true) => Test::Wasserstein,
        (true, false) => Test::JensenShannon,
        (false, true) => Test::Ks,
        (false, false) if different > 2 => Test::ChiSquare,
        (false, false) => Test::Z,
    }
}

/// Whether a score means drift. Some bounds belong to drift and some do not.
pub(super) fn drifted(test: Test, score: f64, threshold: f64) -> bool {
    match test {
        Test::Ks | Test::CramerVonMises => score <= threshold,
        Test::ChiSquare | Test::Z | Test::Homogeneity => score < threshold,
        Test::Energy => score > threshold,
        _ => score >= threshold,
    }
}

/// Carries a test out.
pub(super) fn measure(test: Test, pair: &Pair) -> Result<Measured, CannotCompare> {
    let distance = |statistic: f64| Measured { statistic, p_value: None };
    let measured = match (test, pair) {
        (Test::Psi, _) => distance(binned(pair)?.psi()),
        (Test::KullbackLeibler, _) => distance(binned(pair)?.kullback_leibler()),
        (Test::JensenShannon, _) => distance(binned(pair)?.jensen_shannon()),
        (Test::Hellinger, Pair::Categorical(counts)) => distance(counts.hellinger()),
        (Test::Hellinger, Pair::Numeric { reference, current, whole, .. }) => distance(by_width(reference, current, *whole)?.hellinger()),
        (Test::ChiSquare, _) => pair.counts().chi_square().into(),
        (Test::Homogeneity, _) => pair.counts().homogeneity().into(),
        (Test::Z, _) => pair.counts().z().into(),
        (_, Pair::Numeric { reference, current, apart, .. }) => numeric(test, reference, current, *apart)?,
        // A test of numbers is never asked of categories: the options are checked before.
        (_, Pair::Categorical(counts)) => counts.homogeneity().into(),
    };
    if measured.statistic.is_nan() || (measured.statistic.is_infinite() && measured.p_value.is_none()) {
        return Err(pair.out_of_range(test));
    }
    Ok(measured)
}

/// A test of numbers.
fn numeric(test: Test, reference: &Sample, current: &Sample, apart: Distances) -> Result<Measured, CannotCompare> {
    Ok(match test {
        Test::Wasserstein => Measured { statistic: apart.wasserstein / reference.deviation().max(LEAST_DEVIATION), p_value: None },
        Test::Energy => Measured { statistic: apart.energy, p_value: None },
        Test::CramerVonMises => {
            for (side, sample) in [(Side::Reference, reference), (Side::Current, current)] {
                if sample.size() < LEAST_CRITERION {
                    return Err(CannotCompare::TooFew { side, values: sample.size(), test: test.name(), needed: LEAST_CRITERION });
                }
            }
            let statistic = cramer_von_mises(reference, current);
            Measured { statistic, p_value: Some(cramer::p_value(reference, current, Method::Auto)) }
        }
        _ => Measured { statistic: apart.ks, p_value: Some(apart.ks_p_value(Method::Auto)) },
    })
}

/// Categories as they are; numbers in bins, or by value where there are only a few.
fn binned(pair: &Pair) -> Result<Counts, CannotCompare> {
    match pair {
        Pair::Categorical(counts) => Ok(counts.clone()),
        Pair::Numeric { reference, current, whole, .. } => bins(reference, current, *whole).ok_or_else(|| pair.out_of_range(Test::Psi)),
    }
}

/// The counts of two samples that PSI, Kullback–Leibler and Jensen–Shannon are computed from: by value where the reference has
/// at most twenty different ones, else in bins of equal width, whose number Sturges' rule takes from the size of both samples
/// together. `None` if the values are too large, or too near each other, to be cut into bins.
pub fn bins(reference: &Sample, current: &Sample, whole: bool) -> Option<Counts> {
    if reference.distinct(FEW_FOR_BINS + 1) <= FEW_FOR_BINS {
        return Some(by_value(reference, current));
    }
    in_bins(reference, current, reference.size() + current.size(), whole)
}

/// The same for the Hellinger distance: always in bins, and their number from how many different values there are.
fn by_width(reference: &Sample, current: &Sample, whole: bool) -> Result<Counts, CannotCompare> {
    let different = by_value(reference, current).categories();
    in_bins(reference, current, different, whole).ok_or_else(|| Pair::range(reference, current, Test::Hellinger.name()))
}

/// Counts in as many bins of equal width as Sturges' rule has for `size` values; bins of whole numbers are at least one wide.
fn in_bins(reference: &Sample, current: &Sample, size: usize, whole: bool) -> Option<Counts> {
    let (mut least, mut most) = Pair::ends(reference, current);
    let mut width = (most - least) / ((size as f64).log2() + 1.0);
    if least == most {
        (least, most, width) = (least - 0.5, most + 0.5, 1.0);
    } else if whole && width < 1.0 {
        width = 1.0;
    }
    let bins = ((most - least) / width).ceil();
    if !(1.0..1e6).contains(&bins) {
        return None;
    }
    let step = (most - least) / bins;
    let mut edges: Vec<f64> = (0..=bins as usize).map(|i| i as f64 * step + least).collect();
    *edges.last_mut()? = most;
    if edges.windows(2).any(|pair| pair[0] >= pair[1]) {
        return None;
    }
    let inner = &edges[1..edges.len() - 1];
    let mut counts = Counts::default();
    let mut before = (0, 0);
    // A value on an edge belongs to the bin above it, and the greatest to the last bin.
    for edge in inner.iter().copied().chain([f64::INFINITY]) {
        let below = (reference.below(edge), current.below(edge));
        counts.push((below.0 - before.0) as f64, (below.1 - before.1) as f64);
        before = below;
    }
    Some(counts)
}
