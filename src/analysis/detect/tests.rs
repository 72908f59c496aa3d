use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use statrs::distribution::{ContinuousCDF, Normal};

use super::*;
use crate::analysis::calibrate;
use crate::finding::{Direction, FindingKind};
use crate::series::SeriesKey;

const STEP: DurationMs = DurationMs::from_secs(300);
/// Points of a day.
const DAY: usize = 288;
const START: i64 = 1_700_006_400_000;

fn gauss(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let normal = Normal::new(0.0, 1.0).unwrap();
    (0..n).map(|_| normal.inverse_cdf(rng.gen_range(1e-12..1.0))).collect()
}

/// A rhythm of a day about 100 with noise of standard deviation 2.
fn rhythm(n: usize, seed: u64) -> Vec<f64> {
    let noise = gauss(n, seed);
    (0..n).map(|i| 100.0 + 30.0 * (i as f64 / DAY as f64 * std::f64::consts::TAU).sin() + 2.0 * noise[i]).collect()
}

fn window(values: Vec<f64>) -> Window {
    Window::new(Timestamp::from_millis(START), STEP, values).unwrap()
}

fn decision(direction: Option<Direction>) -> Decision {
    Decision { alpha: calibrate::bound(10.0, 100, DAY as f64), direction }
}

/// Fourteen days of rhythm with `change` made to day 13.
fn changed(seed: u64, change: impl Fn(usize, &mut f64)) -> (Window, usize) {
    let mut values = rhythm(14 * DAY, seed);
    let at = 13 * DAY;
    for (i, value) in values[at..].iter_mut().enumerate() {
        change(i, value);
    }
    (window(values), at)
}

fn found(window: &Window, from: usize, direction: Option<Direction>) -> Analysis {
    analyze(window, window.time(from), decision(direction)).unwrap()
}

#[test]
fn a_shift_is_found_with_its_onset_and_its_end() {
    let (window, at) = changed(1, |i, v| *v += if (100..140).contains(&i) { 20.0 } else { 0.0 });
    let analysis = found(&window, at, None);
    let [only] = analysis.stretches.as_slice() else { panic!("{:?}", analysis.stretches) };
    assert_eq!((only.kind, only.direction), (FindingKind::Deviation, Direction::Up));
    assert_eq!(only.onset, window.time(at + 100));
    assert_eq!(only.ended, Some(window.time(at + 140)));
    assert!(only.worst.strength() < 1e-9 && only.worst.value > only.worst.upper);
    assert!((only.worst.value - only.worst.expected - 20.0).abs() < 10.0);
    assert_eq!(analysis.model.periods(), [DurationMs::DAY]);
    // Three flagged points open it: it is known ten minutes after it began.
    let flagged = analysis.judgements.iter().filter(|j| j.score >= 1.0 && j.time < window.time(at + 103)).count();
    assert_eq!(flagged, 3);
}

#[test]
fn a_drop_is_down_and_not_found_by_who_looks_up() {
    let (window, at) = changed(2, |i, v| *v -= if i >= 200 { 20.0 } else { 0.0 });
    let down = found(&window, at, None);
    assert_eq!(down.stretches.len(), 1);
    assert_eq!((down.stretches[0].direction, down.stretches[0].ended), (Direction::Down, None));
    assert!(found(&window, at, Some(Direction::Up)).stretches.is_empty());
}

#[test]
fn one_odd_point_is_no_finding() {
    let (window, at) = changed(3, |i, v| *v += if i == 150 { 100.0 } else { 0.0 });
    let analysis = found(&window, at, None);
    assert!(analysis.stretches.is_empty(), "{:?}", analysis.stretches);
    assert!(analysis.judgements[150].score > 1.0, "the point itself is anomalous");
}

#[test]
fn a_missing_value_is_not_scored_and_ends_nothing() {
    let (window, at) = changed(4, |i, v| {
        *v = match i {
            110..115 => f64::NAN,
            100..120 => *v + 25.0,
            _ => *v,
        };
    });
    let analysis = found(&window, at, None);
    assert_eq!(analysis.stretches.len(), 1, "{:?}", analysis.stretches);
    assert!(analysis.judgements.iter().all(|j| j.value.is_nan() == j.score.is_nan()));
}

#[test]
fn chance_stays_within_the_budget() {
    // 60 series, one day each, of a budget of 10 a day for 100.
    let mut findings = 0;
    for seed in 0..60 {
        let mut values = rhythm(14 * DAY, 1000 + seed);
        // A third has noise that hangs together, a third has heavy tails.
        let extra = gauss(values.len(), 5000 + seed);
        let mut carried = 0.0;
        for (value, e) in values.iter_mut().zip(&extra) {
            carried = 0.9 * carried + e;
            *value += match seed % 3 {
                0 => 0.0,
                1 => carried,
                _ => e.powi(3),
            };
        }
        findings += found(&window(values), 13 * DAY, None).stretches.len();
    }
    assert!(findings <= 6, "{findings} findings by chance; 6 are budgeted");
}

#[test]
fn a_shift_of_the_past_does_not_blind() {
    let mut values = rhythm(14 * DAY, 6);
    for v in &mut values[5 * DAY..5 * DAY + 30] {
        *v += 60.0;
    }
    for v in &mut values[13 * DAY + 50..13 * DAY + 80] {
        *v += 25.0;
    }
    assert_eq!(found(&window(values), 13 * DAY, None).stretches.len(), 1);
}

#[test]
fn a_stored_model_judges_as_before() {
    let (window, at) = changed(7, |i, v| *v += if i > 100 { 15.0 } else { 0.0 });
    let model = Model::fit(&window.slice(window.start(), window.time(at))).unwrap();
    let bytes = postcard::to_stdvec(&model).unwrap();
    let read: Model = postcard::from_bytes(&bytes).unwrap();
    assert!(read.is_sound());
    let (mut a, mut b) = (model.start(), read.start());
    for i in at..window.len() {
        let (x, y) = (
            model.step(&mut a, window.time(i), window.values()[i], None, decision(None)),
            read.step(&mut b, window.time(i), window.values()[i], None, decision(None)),
        );
        assert_eq!(x, y);
    }
}

#[test]
fn a_score_does_not_know_the_future() {
    let (window, at) = changed(8, |i, v| *v += if i > 150 { 15.0 } else { 0.0 });
    let whole = found(&window, at, None);
    let cut = window.slice(window.start(), window.time(at + 160));
    let part = found(&cut, at, None);
    assert_eq!(part.judgements, whole.judgements[..160]);
}

#[test]
fn what_cannot_be_judged_says_why() {
    let from = Timestamp::from_millis(START) + STEP * 400;
    let say = |values: Vec<f64>| analyze(&window(values), from, decision(None)).unwrap_err();
    assert_eq!(say(vec![7.0; 500]), CannotSay::Flat(7.0));
    assert_eq!(say(vec![f64::NAN; 500]), CannotSay::TooShort { present: 0, needed: 120 });
    assert_eq!(say(rhythm(50, 1)), CannotSay::TooShort { present: 50, needed: 120 });
    let gappy = rhythm(500, 1).into_iter().enumerate().map(|(i, v)| if i % 3 == 0 { v } else { f64::NAN }).collect();
    assert_eq!(say(gappy), CannotSay::TooGappy { present: 134, places: 400 });
    assert_eq!(say((0..500).map(|i| if i % 2 == 0 { 1e200 } else { 0.0 }).collect()), CannotSay::OutOfRange(1e200));
    let silent = rhythm(500, 1).into_iter().enumerate().map(|(i, v)| if i < 400 { v } else { f64::NAN }).collect();
    assert_eq!(say(silent), CannotSay::Silent(100));
}

#[test]
fn a_series_that_never_changed_is_found_when_it_does() {
    let up = |ill: std::ops::Range<usize>| window((0..14 * DAY).map(|i| if ill.contains(&i) { 0.0 } else { 1.0 }).collect());
    let at = 13 * DAY + 100;
    let analysis = found(&up(at..at + 20), 13 * DAY, None);
    let [only] = analysis.stretches.as_slice() else { panic!("{:?}", analysis.stretches) };
    let window = up(at..at + 20);
    assert_eq!((only.direction, only.onset, only.ended), (Direction::Down, window.time(at), Some(window.time(at + 20))));
    assert_eq!((only.worst.score, only.worst.expected), (1.0, 1.0));
    assert_eq!(only.evidence[0].note, "it never was but 1 in 3744 values");
    assert!(found(&up(at..at + 20), 13 * DAY, Some(Direction::Up)).stretches.is_empty());
    assert!(found(&up(at..at + 2), 13 * DAY, None).stretches.is_empty(), "two missed scrapes are none");
}

#[test]
fn the_findings_of_a_lone_series_name_its_labels() {
    let (window, _) = changed(9, |i, v| *v += if i > 100 { 30.0 } else { 0.0 });
    let series = Series { key: SeriesKey::new([("service".to_owned(), "cart".to_owned())]), window };
    let (_, findings) = judge_alone(&series, None, 10.0, 1, &Monitor::ad_hoc(STEP, None)).unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].service, "cart");
    assert!(!findings[0].evidence.is_empty() && findings[0].evidence.is_sorted_by_key(|e| e.p_value));
}
