use proptest::prelude::*;

use super::*;
use crate::clock::DurationMs;
use crate::correlation::sample::at;
use crate::series::{Series, Window};

const MINUTE: DurationMs = DurationMs::from_secs(60);
const NONE: f64 = f64::NAN;

/// A series of an hour by the minute, of which `values` are the last.
fn series(labels: &[(&str, &str)], before: f64, values: &[f64]) -> Series {
    let mut all = vec![before; 61 - values.len()];
    all.extend(values);
    let key = SeriesKey::new(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Series { key, window: Window::new(at(0), MINUTE, all).unwrap() }
}

fn titles(events: &[Event]) -> Vec<String> {
    events.iter().map(|e| format!("{} {} {}", e.starts_at.since(at(0)).millis() / 60_000, e.kind, e.title)).collect()
}

const CART: [(&str, &str); 2] = [("namespace", "shop"), ("deployment", "cart")];

#[test]
fn a_generation_that_rises_is_a_change_and_scaling_is_told_as_such() {
    let changed = [series(&CART, 4.0, &[5.0, NONE, 5.0, 6.0])];
    assert_eq!(
        titles(&deployments(&changed, &[], at(30))),
        ["57 deployment cart was changed: generation 5", "60 deployment cart was changed: generation 6"]
    );
    let events = deployments(&changed, &[], at(30));
    assert_eq!((events[0].service.as_deref(), events[0].labels["namespace"].as_str()), (Some("cart"), "shop"));
    // Replicas raise the generation, and that is all.
    let scaled = [series(&CART, 3.0, &[6.0, 6.0, 6.0, 6.0])];
    let raised = [series(&CART, 4.0, &[5.0, 5.0, 5.0, 5.0])];
    assert_eq!(titles(&deployments(&raised, &scaled, at(30))), ["57 scaling cart was scaled from 3 to 6"]);
    // Both at once are two.
    let both = [series(&CART, 4.0, &[6.0, 6.0, 6.0, 6.0])];
    assert_eq!(deployments(&both, &scaled, at(30)).len(), 2);
    let anew = [series(&CART, 9.0, &[1.0])];
    assert_eq!(titles(&deployments(&anew, &[], at(30))), ["60 deployment cart was created anew"]);
}

#[test]
fn what_is_seen_for_the_first_time_is_no_change() {
    for values in [&[5.0, 5.0][..], &[NONE], &[5.0]] {
        assert_eq!(deployments(&[series(&CART, NONE, values)], &[series(&CART, NONE, values)], at(30)), [], "{values:?}");
    }
    assert_eq!(deployments(&[series(&[("namespace", "shop")], 4.0, &[5.0])], &[], at(30)), [], "of no deployment");
    let early: Vec<f64> = [4.0].into_iter().chain([5.0; 31]).collect();
    assert_eq!(deployments(&[series(&CART, 4.0, &early)], &[], at(30)).len(), 1, "the first that is told of");
    assert_eq!(deployments(&[series(&CART, 4.0, &early)], &[], at(31)).len(), 0);
}

fn build<'a>(version: &'a str, revision: &'a str) -> [(&'a str, &'a str); 4] {
    [("__name__", "app_build_info"), ("job", "payment"), ("version", version), ("revision", revision)]
}

#[test]
fn a_new_version_is_told_of_when_the_first_process_has_it() {
    let rolled = [series(&build("1.2", "a"), 4.0, &[3.0, 1.0, NONE]), series(&build("1.3", "b"), NONE, &[1.0, 3.0, 4.0])];
    let events = versions(&rolled, "service", at(30));
    assert_eq!(titles(&events), ["58 deployment payment 1.2 → 1.3"]);
    let labels = |name: &str| events[0].labels.get(name).map(String::as_str);
    assert_eq!((labels("version"), labels("previous_version"), labels("job")), (Some("1.3"), Some("1.2"), Some("payment")));
    assert_eq!(events[0].service.as_deref(), Some("payment"));
    // Several metrics of one job tell the same.
    let twice: Vec<Series> = rolled
        .iter()
        .chain(&rolled)
        .enumerate()
        .map(|(i, one)| {
            let name = ("__name__".to_owned(), format!("x{}_build_info", i / 2));
            let labels = one.key.labels().iter().map(|(n, v)| (n.clone(), v.clone())).filter(|(n, _)| n != "__name__");
            Series { key: SeriesKey::new(labels.chain([name])), window: one.window.clone() }
        })
        .collect();
    assert_eq!(versions(&twice, "service", at(30)), events);
    let rebuilt = [series(&build("1.2", "aaaaaaaaaaaaaa"), 4.0, &[NONE]), series(&build("1.2", "b"), NONE, &[4.0])];
    assert_eq!(titles(&versions(&rebuilt, "service", at(30))), ["60 deployment payment 1.2 (aaaaaaaaaa) → 1.2 (b)"]);
}

#[test]
fn going_back_is_told_of_and_gaps_are_not() {
    let back =
        [series(&build("1.2", "a"), 4.0, &[NONE, NONE, NONE, NONE, 4.0]), series(&build("1.3", "b"), NONE, &[4.0, 4.0, 4.0, 4.0, NONE])];
    assert_eq!(titles(&versions(&back, "service", at(30))), ["56 deployment payment 1.2 → 1.3", "60 deployment payment 1.3 → 1.2"]);
    // Not scraped for a while.
    assert_eq!(versions(&[series(&build("1.2", "a"), 4.0, &[NONE, NONE, 4.0])], "service", at(30)), []);
    // One process of the new version beside many of the old comes and goes.
    let canary = [series(&build("1.2", "a"), 9.0, &[]), series(&build("1.3", "b"), 1.0, &[NONE, NONE, 1.0])];
    assert_eq!(versions(&canary, "service", at(30)), []);
    assert_eq!(versions(&[series(&build("1.2", "a"), NONE, &[4.0])], "service", at(30)), [], "seen for the first time");
    assert_eq!(versions(&[series(&[("job", "x"), ("__name__", "a_build_info")], 1.0, &[2.0])], "service", at(30)), [], "no version");
}

/// The start of a process at minute `m` and second `s`, as it is exported.
fn start(m: i64, s: i64) -> f64 {
    at(m).seconds() + s as f64
}

fn process(instance: &str, values: &[f64]) -> Series {
    series(&[("job", "payment"), ("service", "pay"), ("instance", instance)], NONE, values)
}

fn processes(before: f64, values: &[f64]) -> [Series; 1] {
    [series(&[("job", "payment"), ("service", "pay")], before, values)]
}

#[test]
fn restarts_of_a_job_are_one_event() {
    let all: Vec<Series> = (0..3).map(|i| process(&format!("i{i}"), &vec![start(50 + i, 7); 9 - i as usize])).collect();
    let events = restarts(&all, &processes(3.0, &[]), "service", at(30));
    assert_eq!(titles(&events), ["50 other pay restarted: 3 of 3 processes"]);
    assert_eq!((events[0].starts_at, events[0].kind.is_change()), (at(50) + DurationMs::from_secs(7), false));
    // Pods of new names that take the place of old ones restart, those that are added do not.
    assert_eq!(restarts(&all, &processes(3.0, &[6.0, 6.0]), "service", at(30)), []);
    assert_eq!(titles(&restarts(&all, &processes(3.0, &[4.0]), "service", at(30))), ["50 other pay restarted: 2 of 3 processes"]);
    assert_eq!(restarts(&all, &processes(NONE, &[3.0, 3.0]), "service", at(30)), [], "a job that is new");
    assert_eq!(restarts(&all, &processes(3.0, &[]), "service", at(51)), [], "told of before");
}

#[test]
fn a_process_that_crashes_again_and_again_is_told_of_once() {
    let values: Vec<f64> = (0..8).flat_map(|i| [start(36 + 3 * i, 0), start(36 + 3 * i, 0) + 0.4, NONE]).collect();
    let looping = [process("i0", &values)];
    let events = restarts(&looping, &processes(1.0, &[]), "service", at(30));
    assert_eq!(titles(&events), ["36 other pay keeps restarting: 8 starts of 1 process"]);
    assert_eq!(events[0].labels["instance"], "i0");
    // It goes on: the beginning moves out of sight, and nothing new is told.
    assert_eq!(restarts(&looping, &processes(1.0, &[]), "service", at(37)), []);
}

proptest! {
    /// Looking again later finds the same events, as long as they are told of.
    #[test]
    fn a_later_look_finds_the_same(
        generations in proptest::collection::vec(prop_oneof![Just(NONE), (1..4_i32).prop_map(f64::from)], 61 + 40),
        old in proptest::collection::vec(prop_oneof![Just(NONE), Just(1.0), Just(3.0)], 61 + 40),
        later in 1..30_usize,
    ) {
        let look = |shift: usize| {
            let cut = |labels: &[(&str, &str)], values: &[f64]| {
                let key = SeriesKey::new(labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
                Series { key, window: Window::new(at(shift as i64), MINUTE, values[shift..shift + 61].to_vec()).unwrap() }
            };
            let fresh: Vec<f64> = old.iter().rev().copied().collect();
            let since = at(shift as i64 + 30);
            let mut events = deployments(&[cut(&CART, &generations)], &[], since);
            events.extend(versions(&[cut(&build("1", "a"), &old), cut(&build("2", "b"), &fresh)], "service", since));
            events
        };
        let (first, second) = (look(0), look(later));
        let until = at(60);
        for event in second.iter().filter(|event| event.starts_at <= until) {
            prop_assert!(first.iter().any(|known| known.id == event.id), "{event:?} was not there before: {first:?}");
        }
    }
}
