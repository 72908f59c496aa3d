use super::*;
use crate::finding::Finding;
use crate::finding::FindingKind;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const STEP: DurationMs = DurationMs::from_secs(60);
const LONG: usize = 2 * 1440;
const ALPHA: f64 = 1e-5;

fn at(place: usize) -> Timestamp {
    Timestamp::from_millis(1_700_006_400_000) + STEP * place as i64
}

fn key(pod: &str) -> SeriesKey {
    SeriesKey::new([("service".to_owned(), "cart".to_owned()), ("pod".to_owned(), pod.to_owned())])
}

fn monitor(group_by: Option<&[&str]>) -> Monitor {
    let labels = group_by.map(|labels| labels.iter().map(|label| (*label).to_owned()).collect());
    Monitor { name: "cpu".to_owned(), group_by: labels, ..Monitor::ad_hoc(STEP, None) }
}

/// Pods that share a wandering load; `change` is what befalls a value of a pod at a place.
fn pods(names: &[&str], long: usize, change: impl Fn(&str, usize) -> f64) -> BTreeMap<SeriesKey, Window> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut at_load = 0.0;
    let load: Vec<f64> = (0..long)
        .map(|_| {
            at_load += rng.gen_range(-1.0..1.0) - 0.002 * at_load;
            100.0 + at_load
        })
        .collect();
    let window = |name: &str| {
        let mut own = Xoshiro256PlusPlus::seed_from_u64(name.bytes().map(u64::from).sum());
        Window::new(at(0), STEP, (0..long).map(|i| load[i] + own.gen_range(-1.0..1.0) + change(name, i)).collect()).unwrap()
    };
    names.iter().map(|name| (key(name), window(name))).collect()
}

fn until(windows: &BTreeMap<SeriesKey, Window>, place: usize) -> BTreeMap<SeriesKey, Window> {
    windows.iter().map(|(key, window)| (key.clone(), window.slice(at(0), at(place)))).collect()
}

fn judging(monitor: &Monitor) -> Judging<'_> {
    Judging { monitor, decision: Decision { alpha: ALPHA, direction: None }, refit: DurationMs::DAY }
}

/// Lets everything up to `from` be learned, and tells what is found minute by minute after it.
fn live(windows: &BTreeMap<SeriesKey, Window>, monitor: &Monitor, from: usize) -> (Together, Vec<Finding>) {
    let mut together = Together::default();
    let mut found: Vec<Finding> = Vec::new();
    for place in from..=LONG {
        let known = until(windows, place);
        let known: Windows = known.iter().collect();
        for (finding, held) in together.advance(&known, judging(monitor), true).into_iter().flat_map(|said| said.findings) {
            assert_eq!(held, None);
            match found.iter_mut().find(|known| known.id == finding.id) {
                Some(known) => *known = finding,
                None => found.push(finding),
            }
        }
    }
    (together, found)
}

#[test]
fn the_odd_one_among_its_peers_is_told_and_the_others_are_not() {
    let windows = pods(&["a", "b", "c", "d", "e"], LONG, |pod, i| if pod == "c" && i >= LONG - 10 { 8.0 } else { 0.0 });
    let (together, found) = live(&windows, &monitor(None), LONG - 60);
    assert!(found.is_empty(), "there is no group");
    let p = |pod| together.view(&key(pod), at(LONG - 1)).unwrap().view.p_value;
    assert!(p("c") < 1e-6, "{}", p("c"));
    for pod in ["a", "b", "d", "e"] {
        assert!(p(pod) > 1e-4, "{pod}: {}", p(pod));
    }
    assert_eq!(together.view(&key("c"), at(LONG)), None, "of what comes nothing is said");
    assert_eq!(together.view(&key("z"), at(LONG - 1)), None);
}

#[test]
fn what_a_group_shows_together_is_one_finding_with_the_part_of_each() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let windows = pods(&names, LONG, |pod, i| match (pod, (LONG - 30..LONG - 15).contains(&i)) {
        ("a", true) => 12.0 * if i.is_multiple_of(2) { 1.0 } else { -1.0 },
        (_, true) => 6.0 * if i.is_multiple_of(2) { 1.0 } else { -1.0 },
        _ => 0.0,
    });
    let (together, found) = live(&windows, &monitor(Some(&["service"])), LONG - 60);
    assert_eq!(found.len(), 1, "{found:?}");
    let finding = &found[0];
    assert_eq!((finding.kind, finding.service.as_str()), (FindingKind::Group, "cart"));
    assert_eq!(finding.key, SeriesKey::new([("service".to_owned(), "cart".to_owned())]));
    assert!(finding.onset >= at(LONG - 31) && finding.onset <= at(LONG - 28), "{}", finding.onset);
    assert!(finding.ended.is_some());
    let note = &finding.evidence[0].note;
    assert!(note.starts_with("8 series together: ") && note.contains("most of it {pod=\"a\",service=\"cart\"}"), "{note}");
    let statuses = together.statuses(&monitor(Some(&["service"])));
    assert_eq!(statuses.len(), 1);
    assert!((statuses[0].parts.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn what_was_said_does_not_hang_on_what_comes_after_nor_on_the_rounds() {
    let windows = pods(&["a", "b", "c", "d"], LONG, |pod, i| if pod == "b" && i > LONG - 20 { 5.0 } else { 0.0 });
    let group = monitor(Some(&[]));
    let (by_minute, found) = live(&windows, &group, LONG - 60);
    let mut at_once = Together::default();
    let known = until(&windows, LONG - 60);
    at_once.advance(&known.iter().collect(), judging(&group), true);
    let told = at_once.advance(&windows.iter().collect(), judging(&group), true);
    assert_eq!(found, told.into_iter().flat_map(|said| said.findings).map(|(finding, _)| finding).collect::<Vec<_>>());
    assert_eq!(by_minute.view(&key("b"), at(LONG - 1)), at_once.view(&key("b"), at(LONG - 1)));
}

#[test]
fn series_come_and_go() {
    let all = pods(&["a", "b", "c", "d", "e", "f"], LONG, |_, _| 0.0);
    let group = monitor(Some(&["service"]));
    let mut together = Together::default();
    for place in (LONG - 600..=LONG).step_by(10) {
        let mut known = until(&all, place);
        // One goes, and another comes an hour later.
        known.retain(|pod, _| *pod != key("a") || place < LONG - 400);
        if place < LONG - 340 {
            known.remove(&key("f"));
        } else if let Some(young) = known.get_mut(&key("f")) {
            *young = young.slice(at(LONG - 340), at(place));
        }
        let said = together.advance(&known.iter().collect(), judging(&group), true);
        assert!(said.iter().all(|said| said.findings.is_empty()), "at {place}");
    }
    let statuses = together.statuses(&group);
    let named: Vec<&SeriesKey> = statuses[0].parts.iter().map(|(key, _)| key).collect();
    assert!(!named.contains(&&key("a")), "it is forgotten: {named:?}");
    assert!(together.view(&key("b"), at(LONG - 1)).is_some(), "four are left");
    assert_eq!(together.advance(&Windows::new(), judging(&group), true), []);
}

#[test]
fn a_group_that_falls_silent_is_not_left_open() {
    let change = |_: &str, i: usize| if i > LONG - 40 { 30.0 * if i.is_multiple_of(2) { 1.0 } else { -1.0 } } else { 0.0 };
    let windows = pods(&["a", "b", "c"], LONG, |pod, i| if i >= LONG - 33 { f64::NAN } else { change(pod, i) });
    let (together, found) = live(&windows, &monitor(Some(&["service"])), LONG - 60);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ended.is_some());
    let status = &together.statuses(&monitor(Some(&["service"])))[0];
    assert_eq!(status.cannot_say.as_deref(), Some("silent: no value for the last 30 steps"));
}
