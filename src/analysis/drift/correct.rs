//! Many tests at once.

/// The p-values adjusted so that of those under a bound, no greater a share is expected to be by chance (the false discovery
/// rate: Benjamini & Hochberg, "Controlling the False Discovery Rate", 1995). In the order given; NaN stays NaN and is not
/// counted among the tests.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|i| !p_values[*i].is_nan()).collect();
    order.sort_unstable_by(|a, b| p_values[*b].total_cmp(&p_values[*a]));
    let tests = order.len();
    let mut adjusted = vec![f64::NAN; p_values.len()];
    let mut least = 1.0_f64;
    for (above, i) in order.into_iter().enumerate() {
        least = least.min(p_values[i] * tests as f64 / (tests - above) as f64);
        adjusted[i] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_the_textbook() {
        // statsmodels.stats.multitest.multipletests(…, method="fdr_bh")
        let adjusted = benjamini_hochberg(&[0.01, 0.04, 0.03, 0.005, f64::NAN, 0.8]);
        for (ours, theirs) in adjusted.iter().zip([0.025, 0.05, 0.05, 0.025, f64::NAN, 0.8]) {
            assert!((ours - theirs).abs() < 1e-12 || (ours.is_nan() && theirs.is_nan()), "{adjusted:?}");
        }
        assert!(benjamini_hochberg(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn never_smaller_and_in_the_same_order(p in prop::collection::vec(0.0..=1.0_f64, 1..50)) {
            let adjusted = benjamini_hochberg(&p);
            for (i, a) in adjusted.iter().enumerate() {
                prop_assert!(*a >= p[i] - 1e-15 && *a <= 1.0);
                prop_assert!((0..p.len()).all(|j| p[i] > p[j] || *a <= adjusted[j] + 1e-15));
            }
        }
    }
}
