//! `histogram_quantile` over classic histograms.

use std::collections::BTreeMap;

use super::{ABSENT, Line, absent, key_where};
use crate::series::SeriesKey;

/// The `q`-quantile at each time of every histogram whose buckets are among `lines`.
pub(super) fn quantiles(q: &[f64], lines: Vec<Line>) -> Vec<Line> {
    let mut histograms: BTreeMap<SeriesKey, Vec<(f64, Vec<f64>)>> = BTreeMap::new();
    for line in lines {
        // A line without a bound that can be read is no bucket.
        if let Some(bound) = line.key.get("le").and_then(|le| le.parse::<f64>().ok()).filter(|b| !b.is_nan()) {
            let key = key_where(&line.key, |name| name != "le" && name != "__name__");
            histograms.entry(key).or_default().push((bound, line.values));
        }
    }
    let mut at_once = Vec::new();
    let line = |(key, mut buckets): (SeriesKey, Vec<(f64, Vec<f64>)>)| {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let at = |(i, q): (usize, &f64)| {
            at_once.clear();
            at_once.extend(buckets.iter().map(|(bound, counts)| (*bound, counts[i])).filter(|(_, count)| !absent(*count)));
            if at_once.is_empty() { ABSENT } else { quantile(*q, &mut at_once) }
        };
        Line { key, values: q.iter().enumerate().map(at).collect() }
    };
    histograms.into_iter().map(line).collect()
}

/// The `q`-quantile by linear interpolation within the bucket it falls in; `buckets` are upper bounds in
/// rising order with their cumulative counts.
fn quantile(q: f64, buckets: &mut Vec<(f64, f64)>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    buckets.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 += later.1;
        }
        same
    });
    let n = buckets.len();
    if n < 2 || buckets[n - 1].0 != f64::INFINITY {
        return f64::NAN;
    }
    // Scrapes that fall between two updates can make counts fall; a cumulative count cannot.
    let mut most = f64::NEG_INFINITY;
    for bucket in buckets.iter_mut() {
        most = most.max(bucket.1);
        bucket.1 = most;
    }
    let observed = buckets[n - 1].1;
    if observed == 0.0 || observed.is_nan() {
        return f64::NAN;
    }
    let rank = q * observed;
    let b = buckets[..n - 1].partition_point(|bucket| bucket.1 < rank);
    if b == n - 1 {
        return buckets[n - 2].0;
    }
    let (end, upto) = buckets[b];
    if b == 0 {
        return if end <= 0.0 { end } else { end * (rank / upto) };
    }
    let (start, before) = buckets[b - 1];
    start + (end - start) * ((rank - before) / (upto - before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_within_a_bucket() {
        let buckets = || vec![(1.0, 50.0), (2.0, 90.0), (f64::INFINITY, 100.0)];
        assert_eq!(quantile(0.25, &mut buckets()), 0.5);
        assert_eq!(quantile(0.7, &mut buckets()), 1.5);
        assert_eq!(quantile(0.99, &mut buckets()), 2.0);
        assert_eq!(quantile(1.5, &mut buckets()), f64::INFINITY);
        assert!(quantile(0.5, &mut vec![(1.0, 3.0)]).is_nan());
        assert!(quantile(0.5, &mut vec![(1.0, 0.0), (f64::INFINITY, 0.0)]).is_nan());
    }
}
