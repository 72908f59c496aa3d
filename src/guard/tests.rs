use proptest::prelude::*;

use super::*;
use crate::calendar::Written;

fn calm() -> Point {
    Point { time: at("2026-05-05T12:00:00Z"), value: 10.0, expected: 2.0, traffic: Some(100.0), age: DurationMs::WEEK }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn daily(cron: &str, length: &str) -> Calendar {
    Calendar::new(Written { cron: Some(cron.to_owned()), length: Some(length.parse().unwrap()), ..Written::default() }).unwrap()
}

fn all() -> Guards {
    Guards {
        least_deviation: Some(0.5),
        least_relative_deviation: Some(0.1),
        valid: ValidRange { min: Some(0.0), max: Some(100.0) },
        missed_scrapes: false,
        least_traffic: Some(LeastTraffic { query: "rate(x_total[5m])".to_owned(), per_second: 1.0 }),
        only: vec![daily("0 8 * * *", "12h"), daily("0 22 * * *", "30m")],
        maintenance: vec![daily("0 9 * * *", "1h"), daily("30 9 * * *", "1h")],
        warm_up: Some(DurationMs::DAY),
    }
}

#[test]
fn no_guard_holds_nothing_back() {
    let guards = Guards::default();
    for point in [
        calm(),
        Point { value: f64::NAN, expected: f64::NAN, traffic: None, age: DurationMs::ZERO, ..calm() },
        Point { value: f64::INFINITY, traffic: Some(f64::NAN), ..calm() },
    ] {
        assert_eq!(guards.suppress(&point), None);
    }
    assert_eq!(guards.measured(f64::NEG_INFINITY), f64::NEG_INFINITY);
    assert_eq!(serde_json::from_str::<Guards>("{}").unwrap(), guards);
}

#[test]
fn what_is_set_is_told_in_words() {
    assert_eq!(Guards::default().in_words(Unit::Seconds), "");
    insta::assert_snapshot!(all().in_words(Unit::Seconds), @"deviations under 500ms or under 10%, values outside 0s to 1.67min, nothing for missed scrapes, traffic under 1/s, all outside 2 windows, all in 2 windows of maintenance, the first 1d of a series");
    let some = Guards { least_relative_deviation: Some(0.2), valid: ValidRange { min: None, max: Some(600.0) }, ..Guards::default() };
    insta::assert_snapshot!(some.in_words(Unit::Seconds), @"deviations under 20%, values over 10min");
    let one = Guards { valid: ValidRange { min: Some(0.0), max: None }, only: vec![daily("0 8 * * *", "12h")], ..Guards::default() };
    insta::assert_snapshot!(one.in_words(Unit::None), @"values under 0, all outside 1 window");
}

#[test]
fn each_guard_says_why() {
    let guards = all();
    assert_eq!(guards.suppress(&calm()), None);
    let reasons = [
        Point { value: -1.0, ..calm() },
        Point { value: 100.01, ..calm() },
        Point { value: f64::INFINITY, ..calm() },
        Point { age: DurationMs::HOUR * 2, ..calm() },
        Point { time: at("2026-05-05T09:45:00Z"), ..calm() },
        Point { time: at("2026-05-05T07:59:59Z"), ..calm() },
        Point { traffic: Some(0.25), ..calm() },
        Point { value: 2.3, ..calm() },
        Point { value: 2.4999, ..calm() },
        Point { value: 96.0, expected: 100.0, ..calm() },
    ]
    .map(|point| {
        let suppressed = guards.suppress(&point).unwrap();
        format!("{}: {suppressed}", suppressed.guard())
    });
    insta::assert_snapshot!(reasons.join("\n"), @"
    valid: value -1 is under the least valid value 0, so it is no measurement
    valid: value 100.01 is over the greatest valid value 100, so it is no measurement
    valid: value inf is over the greatest valid value 100, so it is no measurement
    warm_up: the series is 2 hours old and warms up for 1d
    maintenance: a maintenance window is open until 2026-05-05 10:30:00 UTC
    only: it is outside the hours in which this monitor counts
    least_traffic: traffic 0.25/s is under the least traffic 1/s
    least_deviation: deviation 0.3 is under the least absolute deviation 0.5
    least_deviation: deviation 0.4999 is under the least absolute deviation 0.5
    least_relative_deviation: deviation 4% of the expected value is under the least relative deviation 10%
    ");
    assert_eq!(
        Suppressed::LeastDeviation { deviation: 0.05, least: 0.2 }.reason(Unit::Seconds),
        "deviation 50ms is under the least absolute deviation 200ms"
    );
    assert_eq!(
        Suppressed::TooGreat { value: 1.2, max: 1.0 }.reason(Unit::Ratio),
        "value 120% is over the greatest valid value 100%, so it is no measurement"
    );
    let missed = Suppressed::MissedScrapes { samples: 3.0, usual: 5.0 };
    assert_eq!(
        format!("{}: {missed}", missed.guard()),
        "missed_scrapes: scrapes of its range were missed, which has 3 of 5 samples, so it is no measurement"
    );
}

#[test]
fn bounds_themselves_are_good_enough() {
    let guards = Guards { only: vec![], maintenance: vec![], ..all() };
    for point in [
        Point { value: 0.0, ..calm() },
        Point { value: 100.0, ..calm() },
        Point { age: DurationMs::DAY, ..calm() },
        Point { traffic: Some(1.0), ..calm() },
        Point { value: 2.5, ..calm() },
        Point { value: 88.0, expected: 80.0, ..calm() },
    ] {
        assert_eq!(guards.suppress(&point), None, "{point:?}");
    }
}

#[test]
fn both_deviations_have_to_be_reached() {
    let point = |value, expected| Point { value, expected, ..calm() };
    let guards = Guards { least_deviation: Some(0.5), least_relative_deviation: Some(0.1), ..Guards::default() };
    let guard = |value, expected| guards.suppress(&point(value, expected)).map(Suppressed::guard);
    assert_eq!(guard(1.4, 1.0), Some(Guard::LeastDeviation), "40%, but only 0.4");
    assert_eq!(guard(105.0, 100.0), Some(Guard::LeastRelativeDeviation), "5, but only 5%");
    assert_eq!(guard(120.0, 100.0), None);
    assert_eq!(guard(-5.0, 0.0), None, "nothing is small beside zero");
    assert_eq!(guard(-105.0, -100.0), Some(Guard::LeastRelativeDeviation), "also below zero");
}

#[test]
fn what_is_not_known_holds_nothing_back() {
    let guards = all();
    for point in [
        Point { traffic: None, ..calm() },
        Point { traffic: Some(f64::NAN), ..calm() },
        Point { expected: f64::NAN, ..calm() },
        Point { value: f64::NAN, ..calm() },
    ] {
        assert_eq!(guards.suppress(&point), None, "{point:?}");
    }
}

#[test]
fn maintenance_comes_before_hours_and_tells_the_last_end() {
    let night = Guards { maintenance: vec![daily("0 2 * * *", "1h"), daily("0 1 * * *", "4h")], ..all() };
    let point = Point { time: at("2026-05-05T02:30:00Z"), ..calm() };
    assert_eq!(night.suppress(&point), Some(Suppressed::Maintenance { until: at("2026-05-05T05:00:00Z") }));
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![-1e3..1e3, Just(0.0), Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), any::<f64>()]
}

proptest! {
    /// A value that is held back as no measurement is the same that is treated as missing.
    #[test]
    fn invalid_is_missing(value in number(), min in proptest::option::of(-1e3..0.0), max in proptest::option::of(0.0..1e3)) {
        let guards = Guards { valid: ValidRange { min, max }, ..Guards::default() };
        let held_back = guards.suppress(&Point { value, ..calm() }).is_some();
        prop_assert_eq!(held_back, guards.measured(value).is_nan() && !value.is_nan());
    }

    /// A greater deviation is never held back where a smaller one is not; every reason reads and is stored.
    #[test]
    fn greater_is_never_smaller(expected in number(), a in 0.0..1e4_f64, b in 0.0..1e4_f64, least in 1e-3..10.0, relative in 1e-3..2.0) {
        let guards = Guards { least_deviation: Some(least), least_relative_deviation: Some(relative), ..Guards::default() };
        let held_back = |deviation: f64| guards.suppress(&Point { value: expected + deviation, expected, ..calm() });
        let (small, great) = (held_back(a.min(b)), held_back(a.max(b)));
        prop_assert!(small.is_some() || great.is_none());
        for suppressed in small.into_iter().chain(great) {
            prop_assert!(suppressed.to_string().contains(" is under the least "));
            let stored = serde_json::to_string(&suppressed).unwrap();
            prop_assert_eq!(serde_json::from_str::<Suppressed>(&stored).unwrap().guard(), suppressed.guard());
        }
    }
}
