use proptest::prelude::*;
use serde::Deserialize;

use super::super::tests::{assert_close, labels};
use super::{EventCounts, PointF1, Series, best_f1, events, f1};

/// The delay of the challenge.
const DELAY: usize = 7;

#[derive(Deserialize)]
struct Case {
    name: String,
    series: Vec<Scored>,
    best: PointF1,
    some: PointF1,
    counts: EventCounts,
}

#[derive(Deserialize)]
struct Scored {
    scores: Vec<f64>,
    segments: Vec<(usize, usize)>,
}

#[track_caller]
fn assert_same(ours: PointF1, theirs: PointF1, what: &str) {
    assert_eq!(ours.threshold, theirs.threshold, "{what}");
    assert_close(ours.precision, theirs.precision, what);
    assert_close(ours.recall, theirs.recall, what);
    assert_close(ours.f1, theirs.f1, what);
}

#[test]
fn the_measures_are_those_of_the_challenge() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../../tests/fixtures/scores/events.json")).unwrap();
    assert!(cases.len() >= 6);
    for case in cases {
        let labels: Vec<Vec<bool>> = case.series.iter().map(|s| labels(s.scores.len(), &s.segments)).collect();
        let series: Vec<Series> = case.series.iter().zip(&labels).map(|(s, labels)| (s.scores.as_slice(), labels.as_slice())).collect();
        assert_same(best_f1(&series, DELAY).unwrap(), case.best, &case.name);
        assert_same(f1(&series, case.some.threshold, DELAY).unwrap(), case.some, &case.name);
        assert_eq!(events(&series, case.some.threshold, DELAY), Some(case.counts), "{}", case.name);
    }
}

#[test]
fn a_segment_is_found_by_one_of_its_first_points() {
    let labels = labels(20, &[(5, 15)]);
    let flag = |i: usize| (0..20).map(|j| if i == j { 1.0 } else { 0.0 }).collect::<Vec<f64>>();
    for (at, delay, recall) in [(5, 0, 1.0), (6, 0, 0.0), (12, 7, 1.0), (13, 7, 0.0), (14, usize::MAX, 1.0)] {
        let found = f1(&[(&flag(at), &labels)], 0.5, delay).unwrap();
        assert_eq!(found.recall, recall, "{at}");
        // Too late is not wrong, only useless.
        assert_eq!(found.precision, recall, "{at}");
        let counts = events(&[(&flag(at), &labels)], 0.5, delay).unwrap();
        assert_eq!((counts.segments, counts.detected as f64, counts.alarms, counts.false_alarms), (1, recall, 1, 0));
    }
}

#[test]
fn an_alarm_that_touches_a_segment_is_not_false() {
    let labels = labels(12, &[(4, 6)]);
    let scores = [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, f64::NAN, 1.0, 0.0];
    let counts = events(&[(&scores, &labels)], 1.0, DELAY).unwrap();
    assert_eq!(counts, EventCounts { segments: 1, detected: 1, alarms: 3, false_alarms: 2 });
    assert_eq!((counts.precision(), counts.recall()), (Some(1.0 / 3.0), Some(1.0)));
    assert_eq!(EventCounts::default().precision(), None);
    assert_eq!(EventCounts::default().recall(), None);
}

#[test]
fn without_labels_or_with_odd_lengths_there_is_no_measure() {
    assert_eq!(best_f1(&[], DELAY), None);
    assert_eq!(best_f1(&[(&[1.0, 2.0], &[false, false])], DELAY), None);
    assert_eq!(best_f1(&[(&[1.0], &[true, false])], DELAY), None);
    assert_eq!(f1(&[(&[1.0], &[true, false])], 0.5, DELAY), None);
    assert_eq!(events(&[(&[1.0], &[true, false])], 0.5, DELAY), None);
}

#[test]
fn a_point_that_was_not_judged_is_never_flagged() {
    let nothing = PointF1 { threshold: f64::INFINITY, precision: 0.0, recall: 0.0, f1: 0.0 };
    assert_eq!(best_f1(&[(&[f64::NAN; 3], &[false, true, true])], DELAY), Some(nothing));
    let scores = [f64::NAN, f64::NAN, 0.5, f64::NAN];
    let all = f1(&[(&scores, &[false, true, true, false])], f64::NEG_INFINITY, DELAY).unwrap();
    assert_eq!((all.precision, all.recall), (1.0, 1.0));
}

#[test]
fn the_best_threshold_can_be_infinite_and_flag() {
    let best = best_f1(&[(&[f64::INFINITY, 0.0, 0.0], &[true, false, false])], DELAY).unwrap();
    assert_eq!((best.threshold, best.f1), (f64::INFINITY, 1.0));
}

proptest! {
    #[test]
    fn no_threshold_is_better_than_the_best(
        points in proptest::collection::vec((prop_oneof![(-3..3).prop_map(f64::from), any::<f64>()], any::<bool>()), 0..60),
        cut in 0..60usize,
        delay in 0..4usize,
    ) {
        let (scores, labels): (Vec<f64>, Vec<bool>) = points.into_iter().unzip();
        let cut = cut.min(scores.len());
        let series: [Series; 2] = [(&scores[..cut], &labels[..cut]), (&scores[cut..], &labels[cut..])];
        if let Some(best) = best_f1(&series, delay) {
            prop_assert_eq!(f1(&series, best.threshold, delay), Some(best));
            for threshold in scores.iter().filter(|score| !score.is_nan()) {
                let other = f1(&series, *threshold, delay).unwrap();
                prop_assert!(other.f1 < best.f1 || (other.f1 == best.f1 && other.threshold <= best.threshold));
                prop_assert!(other.precision <= 1.0 && other.recall <= 1.0);
            }
        } else {
            prop_assert!(!labels.contains(&true));
        }
    }
}
