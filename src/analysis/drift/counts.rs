//! How often each category, value or bucket occurs in two samples, and how far apart those two lists are.

use statrs::distribution::{ChiSquared, ContinuousCDF};
use statrs::function::erf::erfc;

/// The share that stands in for an empty bucket, unless the least share there is is as small; then a millionth of that one.
const EMPTY: f64 = 1e-4;
const PART: f64 = 1e6;
/// The least expected number at which χ² is near its limit (Cochran 1954). Rarer categories are put together.
const LEAST_EXPECTED: f64 = 5.0;

/// Two lists of counts of the same categories. Counts may be parts, as those of histograms are; none is negative.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    reference: Vec<f64>,
    current: Vec<f64>,
}

/// A statistic and its p-value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    /// The statistic.
    pub statistic: f64,
    /// The chance of one at least as far out.
    pub p_value: f64,
}

impl Counts {
    /// Two lists of the same length; `None` if they are not, if one has nothing in it, or for a count that is negative or not
    /// finite.
    pub fn new(reference: Vec<f64>, current: Vec<f64>) -> Option<Self> {
        let sound = |counts: &[f64]| counts.iter().all(|c| *c >= 0.0 && c.is_finite()) && counts.iter().any(|c| *c > 0.0);
        (reference.len() == current.len() && sound(&reference) && sound(&current)).then_some(Self { reference, current })
    }

    /// Adds a category.
    pub(super) fn push(&mut self, reference: f64, current: f64) {
        self.reference.push(reference);
        self.current.push(current);
    }

    /// How many categories there are.
    pub(super) fn categories(&self) -> usize {
        self.reference.len()
    }

    /// How much is in the reference, and how much in the current list.
    pub(super) fn totals(&self) -> (f64, f64) {
        (self.reference.iter().sum(), self.current.iter().sum())
    }

    /// Reference and current count of each category.
    fn pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        self.reference.iter().copied().zip(self.current.iter().copied())
    }

    /// The population stability index: Σ (p − q) ln(p / q), empty categories with a small share.
    pub fn psi(&self) -> f64 {
        let (reference, current) = (filled(&self.reference), filled(&self.current));
        reference.iter().zip(&current).map(|(p, q)| (p - q) * (p / q).ln()).sum()
    }

    /// The Kullback–Leibler divergence of the reference from the current shares, in nats, empty categories with a small share.
    pub fn kullback_leibler(&self) -> f64 {
        let (reference, current) = (filled(&self.reference), filled(&self.current));
        let (of_p, of_q) = (reference.iter().sum::<f64>(), current.iter().sum::<f64>());
        reference.iter().zip(&current).map(|(p, q)| relative_entropy(p / of_p, q / of_q)).sum()
    }

    /// The Jensen–Shannon distance: the root of the divergence in nats, from 0 to √ln 2.
    pub fn jensen_shannon(&self) -> f64 {
        let (n, m) = self.totals();
        let divergence: f64 = self
            .pairs()
            .map(|(p, q)| (p / n, q / m))
            .map(|(p, q)| relative_entropy(p, f64::midpoint(p, q)) + relative_entropy(q, f64::midpoint(p, q)))
            .sum();
        (divergence / 2.0).max(0.0).sqrt()
    }

    /// The Hellinger distance, from 0 to 1.
    pub fn hellinger(&self) -> f64 {
        let (n, m) = self.totals();
        let overlap: f64 = self.pairs().map(|(p, q)| (p / n * (q / m)).sqrt()).sum();
        (1.0 - overlap.clamp(0.0, 1.0)).sqrt()
    }

    /// χ² of the current counts against the shares of the reference, as if those were known without error: what Evidently
    /// calls its chi-square test. A category new in `current` has a p-value of nothing.
    pub fn chi_square(&self) -> Tested {
        let (n, m) = self.totals();
        let statistic: f64 = self
            .pairs()
            .map(|(p, q)| {
                let expected = p * (m / n);
                if q == expected { 0.0 } else { (q - expected).powi(2) / expected }
            })
            .sum();
        Tested { statistic, p_value: chi_square_survival(statistic, self.categories().saturating_sub(1)) }
    }

    /// χ² of both lists against one common distribution (Pearson's test of homogeneity). Categories too rare for it are put
    /// together.
    pub fn homogeneity(&self) -> Tested {
        let pooled = self.pooled();
        let statistic = pooled.contingency();
        Tested { statistic, p_value: chi_square_survival(statistic, pooled.categories().saturating_sub(1)) }
    }

    /// Cramér's V of a table in which both samples weigh the same, whatever their sizes: from 0 for equal shares to 1 where no
    /// category occurs in both. What chance alone makes of it is taken off (as Bergsma does, "A bias-correction for Cramér's V
    /// and Tschuprow's T", 2013).
    pub fn cramers_v(&self) -> f64 {
        let (n, m) = self.totals();
        let used = self.pairs().filter(|(p, q)| p + q > 0.0).count();
        let square: f64 =
            self.pairs().map(|(p, q)| (p / n, q / m)).filter(|(p, q)| p + q > 0.0).map(|(p, q)| (p - q).powi(2) / (p + q) / 2.0).sum();
        let chance = used.saturating_sub(1) as f64 * (1.0 / n + 1.0 / m) / 4.0;
        if chance < 1.0 && square > chance { ((square - chance) / (1.0 - chance)).sqrt().min(1.0) } else { 0.0 }
    }

    /// The z-test for the share of the first category, pooled and two-sided. The p-value is one if there is nothing else, or nothing of it.
    pub fn z(&self) -> Tested {
        let (n, m) = self.totals();
        let first = |counts: &[f64]| counts.first().copied().unwrap_or(0.0);
        let (p, q) = (1.0 - first(&self.reference) / n, 1.0 - first(&self.current) / m);
        let common = (p * n + q * m) / (n + m);
        let variance = common * (1.0 - common) * (1.0 / n + 1.0 / m);
        if variance <= 0.0 {
            return Tested { statistic: 0.0, p_value: 1.0 };
        }
        let statistic = (p - q) / variance.sqrt();
        Tested { statistic, p_value: erfc(statistic.abs() / std::f64::consts::SQRT_2) }
    }

    /// Pearson's χ² of the two lists as a table of two rows.
    fn contingency(&self) -> f64 {
        let (n, m) = self.totals();
        self.pairs()
            .filter(|(p, q)| p + q > 0.0)
            .map(|(p, q)| {
                // Both cells of a category are as far from what is expected.
                let (of_n, of_m) = ((p + q) * (n / (n + m)), (p + q) * (m / (n + m)));
                (p - of_n).powi(2) / of_n + (q - of_m).powi(2) / of_m
            })
            .sum()
    }

    /// The categories that can be expected often enough in both lists, and one for all the rest.
    fn pooled(&self) -> Self {
        let (n, m) = self.totals();
        let least = n.min(m) / (n + m);
        let (mut kept, mut rest) = (Self::default(), (0.0, 0.0));
        for (p, q) in self.pairs() {
            if (p + q) * least >= LEAST_EXPECTED {
                kept.push(p, q);
            } else {
                rest = (rest.0 + p, rest.1 + q);
            }
        }
        if rest.0 + rest.1 > 0.0 {
            // Still too rare together: they go to the rarest of the others.
            let rarest = (0..kept.categories()).min_by(|a, b| f64::total_cmp(&kept.sum(*a), &kept.sum(*b)));
            match rarest {
                Some(at) if (rest.0 + rest.1) * least < LEAST_EXPECTED && kept.categories() > 1 => {
                    kept.reference[at] += rest.0;
                    kept.current[at] += rest.1;
                }
                _ => kept.push(rest.0, rest.1),
            }
        }
        kept
    }

    fn sum(&self, category: usize) -> f64 {
        self.reference[category] + self.current[category]
    }
}

/// p ln(p / q); nothing for a share of nothing.
fn relative_entropy(p: f64, q: f64) -> f64 {
    if p > 0.0 { p * (p / q).ln() } else { 0.0 }
}

/// Shares of the whole; empty ones get a small share beside it.
fn filled(counts: &[f64]) -> Vec<f64> {
    let all: f64 = counts.iter().sum();
    let least = counts.iter().filter(|c| **c > 0.0).fold(f64::INFINITY, |a, b| a.min(*b)) / all;
    let empty = if least <= EMPTY { least / PART } else { EMPTY };
    counts.iter().map(|c| if *c > 0.0 { c / all } else { empty }).collect()
}

/// The chance that χ² of `free` degrees of freedom is greater; one if there is no freedom.
pub(super) fn chi_square_survival(statistic: f64, free: usize) -> f64 {
    match ChiSquared::new(free as f64) {
        _ if statistic == f64::INFINITY => 0.0,
        Ok(distribution) if statistic > 0.0 => distribution.sf(statistic).clamp(0.0, 1.0),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(reference: &[f64], current: &[f64]) -> Counts {
        Counts::new(reference.to_vec(), current.to_vec()).unwrap()
    }

    #[test]
    fn what_cannot_be_counts_is_refused() {
        for (reference, current) in
            [(vec![], vec![]), (vec![1.0], vec![1.0, 2.0]), (vec![0.0], vec![1.0]), (vec![-1.0], vec![1.0]), (vec![f64::NAN], vec![1.0])]
        {
            assert!(Counts::new(reference, current).is_none());
        }
    }

    #[test]
    fn effects_go_from_nothing_to_one() {
        assert_eq!(counts(&[500.0, 500.0], &[500.0, 500.0]).cramers_v(), 0.0);
        assert!(counts(&[500.0, 0.0], &[0.0, 500.0]).cramers_v() > 0.999);
        // From a half to three fifths: w is about a tenth.
        let v = counts(&[5000.0, 5000.0], &[6000.0, 4000.0]).cramers_v();
        assert!((v - 0.1).abs() < 0.002, "{v}");
        // A thousand categories by chance alone look far apart without the correction.
        let chance =
            counts(&(0..1000).map(|i| f64::from(i % 3)).collect::<Vec<_>>(), &(0..1000).map(|i| f64::from(i % 5)).collect::<Vec<_>>());
        assert!((chance.contingency() / (999.0 + 1999.0)).sqrt() > 0.4 && chance.cramers_v() < 0.4);
    }

    #[test]
    fn rare_categories_are_put_together() {
        let many = counts(&[vec![500.0], vec![1.0; 100]].concat(), &[vec![480.0], vec![1.0; 100]].concat());
        assert_eq!(many.pooled().categories(), 2);
        let few = counts(&[500.0, 400.0, 1.0], &[500.0, 400.0, 2.0]);
        assert_eq!(few.pooled(), counts(&[500.0, 401.0], &[500.0, 402.0]));
        assert_eq!(counts(&[3.0], &[1.0]).homogeneity(), Tested { statistic: 0.0, p_value: 1.0 });
    }

    proptest! {
        #[test]
        fn distances_are_distances(
            (a, b) in (1_usize..20).prop_flat_map(|n| (prop::collection::vec(0_u32..50, n), prop::collection::vec(0_u32..50, n))),
        ) {
            let floats = |list: &[u32]| list.iter().copied().map(f64::from).collect::<Vec<_>>();
            let (Some(there), Some(back)) = (Counts::new(floats(&a), floats(&b)), Counts::new(floats(&b), floats(&a))) else { return Ok(()) };
            for distance in [Counts::psi, Counts::jensen_shannon, Counts::hellinger, Counts::cramers_v] {
                prop_assert!(distance(&there) >= -1e-12 && (distance(&there) - distance(&back)).abs() < 1e-7);
            }
            prop_assert!(there.jensen_shannon() <= std::f64::consts::LN_2.sqrt() + 1e-9 && there.hellinger() <= 1.0);
            prop_assert!(there.kullback_leibler() >= -1e-12);
            for tested in [there.chi_square(), there.z(), there.homogeneity()] {
                prop_assert!((0.0..=1.0).contains(&tested.p_value), "{tested:?}");
            }
            if let Some(same) = Counts::new(floats(&a), floats(&a)) {
                prop_assert!(same.psi() == 0.0 && same.jensen_shannon() == 0.0 && same.hellinger() < 1e-7 && same.cramers_v() == 0.0);
                prop_assert!(same.chi_square().p_value == 1.0 && same.homogeneity().p_value > 0.999_999 && same.z().p_value == 1.0);
            }
        }
    }
}
