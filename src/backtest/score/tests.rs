//! What the curves have to agree with: `tests/fixtures/scores/make.py` writes it.

use std::ops::Range;

use proptest::prelude::*;
use serde::Deserialize;

use super::pr::average_precision;
use super::vus::{sliding_window, vus_pr};

/// A generator's answers may differ by the order of a sum.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Curve {
    name: String,
    scores: Vec<f64>,
    segments: Vec<(usize, usize)>,
    window: usize,
    average_precision: f64,
    vus_pr: f64,
}

#[derive(Deserialize)]
struct Period {
    name: String,
    values: Vec<f64>,
    window: usize,
}

/// Labels with true in the segments, whose ends are not part of them.
pub(super) fn labels(points: usize, segments: &[(usize, usize)]) -> Vec<bool> {
    (0..points).map(|i| segments.iter().any(|(start, end)| (*start..*end).contains(&i))).collect()
}

#[track_caller]
pub(super) fn assert_close(ours: f64, theirs: f64, what: &str) {
    assert!((ours - theirs).abs() <= TOLERANCE, "{what}: {ours} instead of {theirs}");
}

#[test]
fn the_curves_are_those_of_scikit_learn_and_tsb_ad() {
    let cases: Vec<Curve> = serde_json::from_str(include_str!("../../../tests/fixtures/scores/curves.json")).unwrap();
    assert!(cases.len() >= 19);
    for case in cases {
        let labels = labels(case.scores.len(), &case.segments);
        assert_close(average_precision(&case.scores, &labels).unwrap(), case.average_precision, &case.name);
        assert_close(vus_pr(&case.scores, &labels, case.window).unwrap(), case.vus_pr, &case.name);
    }
}

#[test]
fn the_window_is_that_of_tsb_ad() {
    let cases: Vec<Period> = serde_json::from_str(include_str!("../../../tests/fixtures/scores/windows.json")).unwrap();
    assert!(cases.iter().any(|case| case.window != 125));
    for case in cases {
        assert_eq!(sliding_window(&case.values), case.window, "{}", case.name);
    }
}

#[test]
fn without_both_kinds_of_points_there_is_no_curve() {
    for (scores, labels) in
        [(&[][..], &[][..]), (&[0.5], &[true]), (&[0.5, 0.1], &[false, false]), (&[0.5, 0.1], &[true, true]), (&[0.5], &[true, false])]
    {
        assert_eq!(average_precision(scores, labels), None);
        assert_eq!(vus_pr(scores, labels, 3), None);
    }
}

#[test]
fn a_point_that_was_not_judged_is_below_all_others() {
    let labels = labels(6, &[(2, 4)]);
    let unjudged = [0.0, f64::NAN, 9.0, f64::NAN, -7.0, 1.0];
    let lowest = [0.0, -1e300, 9.0, -1e300, -7.0, 1.0];
    assert_eq!(average_precision(&unjudged, &labels), average_precision(&lowest, &labels));
    assert_eq!(vus_pr(&unjudged, &labels, 4), vus_pr(&lowest, &labels, 4));
    assert_eq!(average_precision(&[f64::NAN, f64::NAN], &[true, false]), Some(0.5));
}

#[test]
fn both_zeros_are_one_score() {
    let labels = [true, false, true];
    assert_eq!(average_precision(&[-0.0, 0.0, 1.0], &labels), average_precision(&[0.0, 0.0, 1.0], &labels));
    assert_eq!(vus_pr(&[-0.0, 0.0, 1.0], &labels, 2), vus_pr(&[0.0, 0.0, 1.0], &labels, 2));
}

#[test]
fn gaps_do_not_hide_a_period() {
    let mut values: Vec<f64> = (0..2000).map(|i| (f64::from(i) * std::f64::consts::TAU / 48.0).sin() + 100.0).collect();
    values[300..420].fill(f64::NAN);
    values[5] = f64::INFINITY;
    assert_eq!(sliding_window(&values), 48);
}

#[test]
fn no_values_no_period() {
    for values in [&[][..], &[1.0], &[f64::NAN; 50], &[f64::MAX; 50], &[3.0; 500]] {
        assert_eq!(sliding_window(values), 125);
    }
}

/// Scores with ties and what no detector should say, and labels.
fn points() -> impl Strategy<Value = Vec<(f64, bool)>> {
    let score =
        prop_oneof![4 => (0..12).prop_map(f64::from), 4 => -1.0..1.0, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => any::<f64>()];
    proptest::collection::vec((score, prop::bool::weighted(0.2)), 0..400)
}

/// The definition, with a pass over all points at each threshold and window.
fn vus_by_definition(scores: &[f64], labels: &[bool], window: usize) -> f64 {
    let mut ranks = scores.to_vec();
    ranks.sort_by(|a, b| b.total_cmp(a));
    let segments: Vec<Range<usize>> = super::segments(labels);
    let positives = labels.iter().filter(|label| **label).count() as f64;
    let total: f64 = (0..=window)
        .map(|window| {
            let (reach, length) = (window / 2, window as f64);
            let ramp = |i: usize, segment: &Range<usize>| {
                let distance = if i < segment.start { segment.start - i } else { i + 1 - segment.end };
                if distance <= reach { (1.0 - distance as f64 / length).sqrt() } else { 0.0 }
            };
            let weight = |i: usize| if labels[i] { 1.0 } else { segments.iter().map(|s| ramp(i, s)).sum::<f64>().min(1.0) };
            let weights: Vec<f64> = (0..scores.len()).map(weight).collect();
            let mut groups: Vec<Range<usize>> = Vec::new();
            for segment in &segments {
                let reached = segment.start.saturating_sub(reach)..(segment.end + reach).min(scores.len());
                match groups.last_mut() {
                    Some(group) if group.end > reached.start => group.end = reached.end,
                    _ => groups.push(reached),
                }
            }
            let (mut area, mut before) = (0.0, 0.0);
            for k in 0..250_usize {
                let rank = if k == 249 { scores.len() - 1 } else { (k as f64 * ((scores.len() - 1) as f64 / 249.0)) as usize };
                let flagged: Vec<bool> = scores.iter().map(|score| *score >= ranks[rank]).collect();
                let sum = |of: &dyn Fn(usize) -> f64| (0..scores.len()).filter(|i| flagged[*i]).map(of).sum::<f64>();
                let hits = sum(&|i| weights[i]);
                let ramps = sum(&|i| if labels[i] { 0.0 } else { weights[i] });
                let found = groups.iter().filter(|group| flagged[(*group).clone()].contains(&true)).count() as f64;
                let recall = (hits / (positives + ramps / 2.0)).min(1.0) * found / groups.len() as f64;
                area += (recall - before) * hits / sum(&|_| 1.0);
                before = recall;
            }
            area
        })
        .sum();
    total / (window as f64 + 1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn curves_are_shares_and_only_the_order_counts(points in points(), window in 0..130usize) {
        let (scores, labels): (Vec<f64>, Vec<bool>) = points.into_iter().unzip();
        let mut ranks = scores.clone();
        ranks.sort_by(|a, b| super::comparable(*a).total_cmp(&super::comparable(*b)));
        let rank = |score: &f64| ranks.partition_point(|r| super::comparable(*r) < super::comparable(*score)) as f64;
        let ranked: Vec<f64> = scores.iter().map(rank).collect();
        let precision = average_precision(&scores, &labels);
        let volume = vus_pr(&scores, &labels, window);
        prop_assert_eq!(precision, average_precision(&ranked, &labels));
        prop_assert_eq!(volume, vus_pr(&ranked, &labels, window));
        prop_assert_eq!(precision.is_some(), labels.contains(&true) && labels.contains(&false));
        for share in precision.into_iter().chain(volume) {
            prop_assert!((0.0..=1.0 + 1e-12).contains(&share), "{}", share);
        }
    }

    #[test]
    fn the_period_of_anything_is_in_range(values in proptest::collection::vec(any::<f64>(), 0..600)) {
        prop_assert!((6..=303).contains(&sliding_window(&values)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn vus_is_what_its_definition_says(
        points in proptest::collection::vec(((0..40).prop_map(f64::from), prop::bool::weighted(0.15)), 2..90),
        window in 0..24usize,
    ) {
        let (scores, labels): (Vec<f64>, Vec<bool>) = points.into_iter().unzip();
        if let Some(ours) = vus_pr(&scores, &labels, window) {
            let theirs = vus_by_definition(&scores, &labels, window);
            prop_assert!((ours - theirs).abs() < 1e-9, "{} instead of {}", ours, theirs);
        }
    }
}
