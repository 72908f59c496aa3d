//! What holds for every series.

use proptest::prelude::*;

use super::{CannotDecompose, Decomposition, MstlParams, StlParams, mstl, stl, trend};
use crate::analysis::CannotSay;

/// A noise that needs no generator.
fn noise(i: usize) -> f64 {
    (i as f64 * 12.9898).sin() * 43_758.547 % 1.0
}

/// A wave of a day and a week, at 24 places a day.
fn wave(i: usize) -> f64 {
    let weekend = if (i / 24) % 7 >= 5 { -3.0 } else { 0.0 };
    50.0 + 0.01 * i as f64 + 10.0 * (i as f64 * std::f64::consts::TAU / 24.0).sin() + weekend
}

fn shape(len: usize) -> Vec<f64> {
    (0..len).map(|i| wave(i) + noise(i)).collect()
}

fn largest_gap(a: &[f64], b: &[f64]) -> f64 {
    a.iter()
        .zip(b)
        .filter(|(a, b)| !(a.is_nan() && b.is_nan()))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |m: f64, d| if d.is_nan() { d } else { m.max(d) })
}

fn check(values: &[f64], found: &Decomposition) {
    let size = values.iter().filter(|v| v.is_finite()).fold(0.0, |a: f64, v| a.max(v.abs()));
    for (i, value) in values.iter().enumerate() {
        let fitted = found.trend[i] + found.seasons.iter().map(|s| s.values[i]).sum::<f64>();
        assert!(fitted.is_finite(), "trend and seasons are defined at {i}");
        if value.is_finite() {
            assert!((fitted + found.remainder[i] - value).abs() <= 1e-9 * size, "the parts sum to the value at {i}");
            assert!((0.0..=1.0).contains(&found.weights[i]));
        } else {
            assert!(found.remainder[i].is_nan() && found.weights[i] == 0.0, "a gap at {i} stays one");
        }
    }
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -100.0..100.0f64,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(0.0),
        1 => prop_oneof![Just(1e308), Just(-1e149), Just(1e-308), Just(5e-324)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn anything_is_taken_apart_or_refused(
        values in prop::collection::vec(any_value(), 0..120),
        period in 2usize..40,
        seasonal in 1usize..6,
        robust: bool,
        fast: bool,
    ) {
        let params = StlParams::with_seasonal(period, 2 * seasonal + 1);
        let params = if robust { params.robust() } else { params };
        let params = if fast { params.fast() } else { params };
        if let Ok(found) = stl(&values, &params) {
            check(&values, &found);
        }
        let params = MstlParams { seasons: vec![params, StlParams::new(period + 7)], iterate: 2 };
        if let Ok(found) = mstl(&values, &params) {
            check(&values, &found);
        }
        if let Ok(found) = trend(&values, 2 * seasonal + 1, robust) {
            check(&values, &found);
        }
    }

    #[test]
    fn shifting_moves_the_trend_only(shift in -1e4..1e4f64, gap in 0usize..300, length in 0usize..60) {
        let mut values = shape(336);
        values.iter_mut().skip(gap).take(length).for_each(|v| *v = f64::NAN);
        let params = MstlParams::new(&[24]).robust();
        let moved: Vec<f64> = values.iter().map(|v| v + shift).collect();
        let (a, b) = (mstl(&values, &params).unwrap(), mstl(&moved, &params).unwrap());
        let back: Vec<f64> = b.trend.iter().map(|v| v - shift).collect();
        prop_assert!(largest_gap(&a.trend, &back) <= 1e-6);
        prop_assert!(largest_gap(&a.seasons[0].values, &b.seasons[0].values) <= 1e-6);
        prop_assert!(largest_gap(&a.remainder, &b.remainder) <= 1e-6);
    }

    #[test]
    fn scaling_scales(exponent in -400i32..400) {
        // A power of two changes no digit.
        let scale = 2f64.powi(exponent);
        let values = shape(336);
        let scaled: Vec<f64> = values.iter().map(|v| v * scale).collect();
        let params = StlParams::new(24).robust();
        let (a, b) = (stl(&values, &params).unwrap(), stl(&scaled, &params).unwrap());
        prop_assert_eq!(a.trend.iter().map(|v| v * scale).collect::<Vec<_>>(), b.trend);
        prop_assert_eq!(a.remainder.iter().map(|v| v * scale).collect::<Vec<_>>(), b.remainder);
        prop_assert_eq!(a.weights, b.weights);
    }
}

#[test]
fn what_cannot_be_said_is_said() {
    let params = StlParams::new(12);
    let say = |values: &[f64]| stl(values, &params).unwrap_err();
    let short = |present| CannotDecompose::Series(CannotSay::TooShort { present, needed: 24 });
    assert_eq!(say(&[]), short(0));
    assert_eq!(say(&[1.0]), short(1));
    assert_eq!(say(&[f64::NAN; 30]), short(0));
    let mut gappy = vec![f64::NAN; 100];
    gappy[..24].fill(1.0);
    assert_eq!(say(&gappy), CannotSay::TooGappy { present: 24, places: 100 }.into());
    let mut far = shape(48);
    far[7] = -1e300;
    assert_eq!(say(&far), CannotSay::OutOfRange(-1e300).into());
    assert!(matches!(mstl(&shape(30), &MstlParams::new(&[24])), Err(CannotDecompose::Series(CannotSay::TooShort { needed: 48, .. }))));
    assert!(matches!(trend(&shape(30), 4, true), Err(CannotDecompose::Params(_))));
}

#[test]
fn a_flat_series_is_its_own_trend() {
    let found = stl(&[5.0; 60], &StlParams::new(12).robust()).unwrap();
    assert!(found.trend.iter().all(|v| (v - 5.0).abs() < 1e-12) && found.seasons[0].values.iter().all(|v| v.abs() < 1e-12));
}

#[test]
fn two_full_cycles_are_enough_and_less_is_left_out() {
    let periods =
        |len: usize| mstl(&shape(len), &MstlParams::new(&[168, 24])).unwrap().seasons.iter().map(|s| s.period).collect::<Vec<_>>();
    assert_eq!(periods(336), [24, 168]);
    assert_eq!(periods(335), [24]);
}

#[test]
fn gaps_do_not_bend_what_is_around_them() {
    // An outage of a day and every 17th place missed, in six weeks.
    let whole = shape(1008);
    let mut gappy = whole.clone();
    gappy.iter_mut().skip(400).take(24).for_each(|v| *v = f64::NAN);
    gappy.iter_mut().step_by(17).for_each(|v| *v = f64::NAN);
    for params in [MstlParams::new(&[24, 168]), MstlParams::new(&[24, 168]).robust().fast()] {
        let (a, b) = (mstl(&whole, &params).unwrap(), mstl(&gappy, &params).unwrap());
        check(&gappy, &b);
        assert!(largest_gap(&a.trend, &b.trend) < 1.0, "{}", largest_gap(&a.trend, &b.trend));
        for (i, truth) in (0..1008).map(wave).enumerate() {
            let fitted = b.trend[i] + b.seasons.iter().map(|s| s.values[i]).sum::<f64>();
            assert!((fitted - truth).abs() < 3.0, "{i}: {fitted} for {truth}");
        }
    }
}

#[test]
fn a_phase_never_seen_lies_between_its_neighbours() {
    let mut values = shape(336);
    values.iter_mut().skip(6).step_by(24).for_each(|v| *v = f64::NAN);
    let found = stl(&values, &StlParams::new(24).robust()).unwrap();
    check(&values, &found);
    assert!((150..336).step_by(24).all(|i| (found.seasons[0].values[i] - 10.0).abs() < 2.0));
}

#[test]
fn leading_and_trailing_gaps_hold_the_trend() {
    let mut values = shape(480);
    values[..120].fill(f64::NAN);
    values[400..].fill(f64::NAN);
    let found = stl(&values, &StlParams::new(24).robust()).unwrap();
    check(&values, &found);
    assert!(found.trend.iter().enumerate().all(|(i, v)| (v - 50.0 - 0.01 * i as f64).abs() < 4.0));
}

#[test]
fn outliers_are_left_in_the_remainder() {
    let clean = shape(672);
    let mut dirty = clean.clone();
    dirty.iter_mut().skip(5).step_by(61).for_each(|v| *v += 1000.0);
    for params in [StlParams::new(24).robust(), StlParams::new(24).robust().fast()] {
        let (a, b) = (stl(&clean, &params).unwrap(), stl(&dirty, &params).unwrap());
        assert!(largest_gap(&a.trend, &b.trend) < 1.0);
        assert!((5..672).step_by(61).all(|i| b.remainder[i] > 990.0 && b.weights[i] == 0.0));
    }
}

#[test]
fn a_fast_fit_is_close_to_a_full_one() {
    let values = shape(2000);
    let params = MstlParams::new(&[24, 168]).robust();
    let (full, fast) = (mstl(&values, &params).unwrap(), mstl(&values, &params.clone().fast()).unwrap());
    assert!(largest_gap(&full.trend, &fast.trend) < 0.2, "{}", largest_gap(&full.trend, &fast.trend));
    assert!(largest_gap(&full.remainder, &fast.remainder) < 2.0, "{}", largest_gap(&full.remainder, &fast.remainder));
}

#[test]
fn a_trend_alone_follows_the_line_through_gaps_and_outliers() {
    let mut values: Vec<f64> = (0..500).map(|i| 3.0 + 0.5 * i as f64 + noise(i)).collect();
    values[200..240].fill(f64::NAN);
    values.iter_mut().step_by(31).for_each(|v| *v = 1e6);
    let found = trend(&values, 101, true).unwrap();
    check(&values, &found);
    assert!(found.seasons.is_empty());
    assert!(found.trend.iter().enumerate().all(|(i, v)| (v - 3.0 - 0.5 * i as f64).abs() < 1.0));
}
