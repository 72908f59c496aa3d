//! Which of many points to draw, so that no extreme is lost.
//!
//! The points kept of each column are the first, the last, the least and the greatest, with which a line
//! looks the same as with all: M4 of Jugel, Jerzak, Hackenbroich and Markl, "M4: a visualization-oriented
//! time series data aggregation", PVLDB 7(10), 2014.

/// The places that fall into column `c` of `columns`, when `len` places are spread over them evenly. Never
/// empty for `c < columns` and `len > 0`: where there are more columns than places, one place serves several.
fn places(c: usize, columns: usize, len: usize) -> std::ops::Range<usize> {
    let wide = |c: usize| usize::try_from(c as u128 * len as u128 / columns.max(1) as u128).unwrap_or(len).min(len);
    let from = wide(c).min(len.saturating_sub(1));
    from..wide(c + 1).max(from + 1).min(len)
}

/// The places of `values` to draw on `columns` columns, as unbroken runs in order of time: at most four a
/// column. A missing value parts two runs, unless thinning made it narrower than a column.
pub fn runs(values: &[f64], columns: usize) -> Vec<Vec<usize>> {
    let mut kept = Vec::new();
    if values.len() <= columns {
        kept.extend((0..values.len()).filter(|i| values[*i].is_finite()));
    } else {
        for c in 0..columns {
            let present = || places(c, columns, values.len()).filter(|i| values[*i].is_finite());
            let by = |a: &usize, b: &usize| values[*a].total_cmp(&values[*b]);
            let (Some(first), Some(last)) = (present().next(), present().next_back()) else { continue };
            let (least, greatest) = (present().min_by(by).unwrap_or(first), present().max_by(by).unwrap_or(first));
            let mut four = [first, least, greatest, last];
            four.sort_unstable();
            kept.extend(four);
        }
        kept.dedup();
    }
    let widest_bridge = if values.len() <= columns { 0 } else { values.len() / columns.max(1) };
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for i in kept {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| longest_gap(&values[*last..i]) <= widest_bridge) => run.push(i),
            _ => runs.push(vec![i]),
        }
    }
    runs
}

fn longest_gap(values: &[f64]) -> usize {
    values.split(|v| v.is_finite()).map(<[f64]>::len).max().unwrap_or(0)
}

/// For each of `columns` columns over `len` places the least of the lower and the greatest of the upper
/// bounds that `band` gives for its places; `None` where it gives none.
pub fn envelope(len: usize, columns: usize, band: impl Fn(usize) -> Option<(f64, f64)>) -> Vec<Option<(f64, f64)>> {
    (0..columns)
        .map(|c| {
            places(c, columns, len).filter_map(&band).reduce(|(low, high), (lower, upper)| (f64::min(low, lower), f64::max(high, upper)))
        })
        .collect()
}

/// Where place `i` of `len` stands between the left edge (0) and the right edge (1): in the middle of its share.
pub fn position(i: usize, len: usize) -> f64 {
    (i as f64 + 0.5) / len.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_gap_stays_a_gap() {
        let nan = f64::NAN;
        assert_eq!(runs(&[1.0, 2.0, nan, 3.0, nan, nan], 100), [vec![0, 1], vec![3]]);
        assert!(runs(&[nan, nan], 100).is_empty() && runs(&[], 100).is_empty());
        let mut long = vec![1.0; 1000];
        long[400..450].fill(nan);
        long[700] = nan;
        assert_eq!(runs(&long, 100).len(), 2, "50 missing of 1000 show on 100 columns, one does not");
    }

    #[test]
    fn the_envelope_covers_every_bound() {
        let band = |i: usize| (i != 3).then(|| (-(i as f64), i as f64));
        assert_eq!(envelope(4, 2, band), [Some((-1.0, 1.0)), Some((-2.0, 2.0))]);
        assert_eq!(envelope(4, 8, band)[5..], [Some((-2.0, 2.0)), None, None]);
        assert_eq!(envelope(0, 2, band), [None, None]);
    }

    proptest! {
        #[test]
        fn thinning_keeps_the_extremes_and_the_order(
            values in prop::collection::vec(prop_oneof![9 => -1e300..1e300, 1 => Just(f64::NAN)], 0..3000),
            columns in 1_usize..200,
        ) {
            let kept: Vec<usize> = runs(&values, columns).concat();
            prop_assert!(kept.len() <= 4 * columns);
            prop_assert!(kept.windows(2).all(|w| w[0] < w[1]));
            prop_assert!(kept.iter().all(|i| values[*i].is_finite()));
            let extremes = |of: &mut dyn Iterator<Item = f64>| of.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (v.min(a), v.max(b)));
            prop_assert_eq!(extremes(&mut kept.iter().map(|i| values[*i])), extremes(&mut values.iter().copied()));
        }
    }
}
