use super::traffic::Traffic;
use super::*;
use crate::calendar::{Calendar, Written};
use crate::clock::DurationMs;
use crate::guard::{Guard, LeastTraffic, ValidRange};
use crate::series::Series;

const STEP: DurationMs = DurationMs::from_secs(60);

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(1_767_571_200_000 + minute * 60_000)
}

fn window(minute: i64, values: &[f64]) -> Window {
    Window::new(at(minute), STEP, values.to_vec()).unwrap()
}

/// A point where 2 was expected, between 1 and 3.
fn judged(minute: i64, value: f64) -> Judged {
    Judged { time: at(minute), value, expected: 2.0, lower: 1.0, upper: 3.0, score: if value > 3.0 { 1.5 } else { 0.1 } }
}

fn maintenance(from: i64, until: i64) -> Guards {
    let written = Written { from: Some(at(from).to_string()), until: Some(at(until).to_string()), ..Written::default() };
    Guards { maintenance: vec![Calendar::new(written).unwrap()], ..Guards::default() }
}

/// The values from minute 0 on, a finding open all the while.
fn seen(guards: &Guards, values: &[f64]) -> Guarded {
    let mut guarded = Guarded::since(Some(at(0)));
    for (i, value) in values.iter().enumerate() {
        guarded.take(guards, &judged(i as i64, *value), true, || None);
    }
    guarded
}

fn held(standing: Standing) -> Option<Guard> {
    match standing {
        Standing::HeldBack(why) => Some(why.guard()),
        Standing::Counts { .. } => None,
    }
}

#[test]
fn a_finding_is_held_back_until_a_point_is_not_and_counts_from_then_on() {
    let guards = maintenance(0, 3);
    let values = [9.0; 6];
    assert_eq!(held(seen(&guards, &values[..3]).standing(at(0), at(2))), Some(Guard::Maintenance));
    assert_eq!(seen(&guards, &values).standing(at(0), at(5)), Standing::Counts { since: at(3) });
    // Small again, but it counts by now.
    let guards = Guards { least_deviation: Some(4.0), ..Guards::default() };
    assert_eq!(seen(&guards, &[5.0, 9.0, 5.0, 5.0]).standing(at(0), at(3)), Standing::Counts { since: at(1) });
    let small = seen(&guards, &[5.0, 5.5, 5.9]);
    let Standing::HeldBack(why) = small.standing(at(0), at(2)) else { panic!("{small:?}") };
    assert_eq!(why.to_string(), "deviation 3.9 is under the least absolute deviation 4", "the latest is told");
}

#[test]
fn what_is_normal_or_missing_or_outside_a_finding_says_nothing() {
    let guards = maintenance(0, 3);
    assert_eq!(held(seen(&guards, &[9.0, 9.0, 9.0, 2.0, f64::NAN, 1.5]).standing(at(0), at(2))), Some(Guard::Maintenance));
    let mut guarded = seen(&guards, &[9.0, 9.0]);
    guarded.take(&guards, &judged(5, 9.0), false, || panic!("nothing is asked"));
    let unsaid = Judged { score: f64::NAN, ..judged(6, 9.0) };
    guarded.take(&guards, &unsaid, true, || panic!("nothing is asked"));
    assert_eq!(held(guarded.standing(at(0), at(6))), Some(Guard::Maintenance));
    assert_eq!(Guarded::default().standing(at(0), at(1)), Standing::Counts { since: at(0) });
}

#[test]
fn each_finding_stands_by_its_own_points() {
    let guards = maintenance(10, 20);
    let mut guarded = Guarded::since(Some(at(0)));
    for minute in [1, 2, 11, 12, 25] {
        guarded.take(&guards, &judged(minute, 9.0), true, || None);
    }
    assert_eq!(guarded.standing(at(0), at(2)), Standing::Counts { since: at(1) });
    assert_eq!(held(guarded.standing(at(10), at(12))), Some(Guard::Maintenance));
    assert_eq!(guarded.standing(at(24), at(25)), Standing::Counts { since: at(25) });
    guarded.release(at(11));
    assert_eq!(guarded.standing(at(11), at(12)), Standing::Counts { since: at(11) });
    guarded.forget(Some(at(24)));
    assert_eq!(guarded.runs.len(), 1);
    guarded.forget(None);
    assert_eq!(guarded.runs, []);
}

#[test]
fn what_is_no_measurement_is_missing_and_says_why() {
    let guards = Guards { valid: ValidRange { min: Some(0.0), max: Some(10.0) }, ..Guards::default() };
    let mut guarded = Guarded::default();
    let (left, refused) = guarded.measure(&guards, None, window(0, &[f64::NAN, 5.0, -1.0, 10.0, 11.0, f64::NAN]));
    let two = Refusals::from([(Guard::Valid, 2)]);
    assert_eq!((left, refused), (window(0, &[f64::NAN, 5.0, f64::NAN, 10.0, f64::NAN, f64::NAN]), two));
    assert_eq!(guarded.refused().unwrap().guard(), Guard::Valid);
    assert_eq!(guarded.measure(&guards, None, window(6, &[f64::NAN])), (window(6, &[f64::NAN]), Refusals::new()));
    assert!(guarded.refused().is_some(), "nothing came since");
    assert_eq!(guarded.measure(&guards, None, window(7, &[3.0])).1, Refusals::new());
    assert_eq!(guarded.refused(), None);
}

#[test]
fn a_series_warms_up_from_its_first_value_on() {
    let guards = Guards { warm_up: Some(STEP * 10), ..Guards::default() };
    let told = |mut guarded: Guarded, minute| {
        guarded.measure(&guards, None, window(0, &[f64::NAN, f64::NAN, 2.0]));
        guarded.take(&guards, &judged(minute, 9.0), true, || None);
        held(guarded.standing(at(minute), at(minute)))
    };
    assert_eq!(told(Guarded::default(), 11), Some(Guard::WarmUp));
    assert_eq!(told(Guarded::default(), 12), None);
    assert_eq!(told(Guarded::since(Some(at(-5))), 5), None, "it was there before");
}

fn key(labels: &[(&str, &str)]) -> SeriesKey {
    SeriesKey::new(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn traffic_is_that_of_the_series_or_of_its_service() {
    let monitor = Monitor::ad_hoc(STEP, None);
    let series = |labels: &[(&str, &str)], values: &[f64]| Series { key: key(labels), window: window(0, values) };
    let mut traffic = Traffic::default();
    traffic.push(
        &monitor,
        vec![
            series(&[("service", "cart"), ("route", "/a")], &[1.0, 2.0, f64::NAN]),
            series(&[("service", "cart"), ("route", "/b")], &[10.0, f64::NAN, f64::NAN]),
            series(&[("__name__", "x"), ("service", "web")], &[7.0, 7.0, 7.0]),
        ],
    );
    let of = |traffic: &Traffic, labels: &[(&str, &str)], minute| traffic.at(&monitor, &key(labels), at(minute));
    assert_eq!(of(&traffic, &[("__name__", "y"), ("service", "cart"), ("route", "/a")], 0), Some(1.0));
    assert_eq!([0, 1, 2].map(|minute| of(&traffic, &[("service", "cart")], minute)), [Some(11.0), Some(2.0), None]);
    assert_eq!(of(&traffic, &[("service", "web"), ("pod", "1")], 2), Some(7.0));
    assert_eq!([-1, 3].map(|minute| of(&traffic, &[("service", "web")], minute)), [None, None]);
    assert!(!traffic.knows(&monitor, &key(&[("service", "mail")])) && traffic.knows(&monitor, &key(&[("service", "cart")])));
    // It goes on, also after a gap, and forgets.
    let later = Series { key: key(&[("service", "web")]), window: window(5, &[8.0]) };
    traffic.push(&monitor, vec![later]);
    assert_eq!([2, 4, 5].map(|minute| of(&traffic, &[("service", "web")], minute)), [Some(7.0), None, Some(8.0)]);
    traffic.forget(at(4));
    assert_eq!([2, 5].map(|minute| of(&traffic, &[("service", "web")], minute)), [None, Some(8.0)]);
    assert!(!traffic.knows(&monitor, &key(&[("service", "cart")])));
}

#[test]
fn too_little_traffic_holds_back_and_unknown_traffic_does_not() {
    let least_traffic = Some(LeastTraffic { query: "x".to_owned(), per_second: 1.0 });
    let guards = Guards { least_traffic, ..Guards::default() };
    let with = |traffic: Option<f64>| {
        let mut guarded = Guarded::since(Some(at(0)));
        guarded.take(&guards, &judged(1, 9.0), true, || traffic);
        held(guarded.standing(at(1), at(1)))
    };
    assert_eq!([Some(0.5), Some(1.0), None].map(with), [Some(Guard::LeastTraffic), None, None]);
}
