use proptest::prelude::*;

use super::*;
use crate::correlation::feedback::Learned;
use crate::correlation::grouping::{self, Tick};
use crate::correlation::remedy::Catalogue;
use crate::correlation::topology::Topology;
use crate::finding::{Direction, Finding, FindingKind};
use crate::metric::{MetricKind, Unit};
use crate::series::Window;

const MINUTE: DurationMs = DurationMs::from_secs(60);

fn at(minute: i64) -> Timestamp {
    let start = Timestamp::from_millis(1_767_571_200_000);
    Timestamp::from_millis(start.millis() + minute * MINUTE.millis())
}

fn key(labels: &[(&str, &str)]) -> SeriesKey {
    SeriesKey::new(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// `ALERTS` of one alert, firing at these minutes.
fn firing(labels: &[(&str, &str)], minutes: &[i64]) -> Series {
    let own = [("__name__", "ALERTS"), ("alertstate", "firing")];
    let last = minutes.iter().max().unwrap() + 1;
    let mut values = vec![f64::NAN; last as usize];
    for minute in minutes {
        values[*minute as usize] = 1.0;
    }
    Series { key: key(&[&own, labels].concat()), window: Window::new(at(0), MINUTE, values).unwrap() }
}

fn episodes(series: &[Series]) -> Vec<Fired> {
    let mut history = History::default();
    history.push(series);
    history.finish()
}

fn fired(alertname: &str, labels: &[(&str, &str)], from: i64, to: i64) -> Fired {
    Fired { alertname: alertname.to_owned(), labels: key(labels), from: at(from), to: at(to) }
}

fn raised(id: &str, services: &[&str], labels: &[(&str, &str)], from: i64, to: Option<i64>) -> Raised {
    Raised {
        id: id.to_owned(),
        title: format!("{id} happened"),
        services: services.iter().map(ToString::to_string).collect(),
        from: at(from),
        to: to.map(at),
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

/// Whether an alert of these labels and an incident of these go together, in the same time.
fn together(alert: &[(&str, &str)], services: &[&str], labels: &[(&str, &str)]) -> bool {
    let comparison = compare(&[fired("A", alert, 0, 10)], &[raised("i", services, labels, 0, Some(10))], at(0), at(1440));
    comparison.both.alerts.count == 1
}

#[test]
fn a_short_silence_does_not_end_an_episode() {
    let cart = firing(&[("alertname", "Slow"), ("service", "cart"), ("severity", "page")], &[3, 4, 5, 11, 12, 19]);
    let labels = [("service", "cart"), ("severity", "page")];
    // From 6 to 11 there are five minutes without, from 13 to 19 six.
    assert_eq!(episodes(&[cart]), [fired("Slow", &labels, 3, 13), fired("Slow", &labels, 19, 20)]);
}

#[test]
fn with_a_long_step_two_steps_are_no_end() {
    let hours = |values: &[f64]| Window::new(at(0), DurationMs::HOUR, values.to_vec()).unwrap();
    let one = |values: &[f64]| episodes(&[Series { key: key(&[("alertname", "A")]), window: hours(values) }]).len();
    let no = f64::NAN;
    assert_eq!(one(&[1.0, no, no, 1.0]), 1);
    assert_eq!(one(&[1.0, no, no, no, 1.0]), 2);
}

#[test]
fn pieces_make_the_same_episodes_as_the_whole() {
    let whole = firing(&[("alertname", "A"), ("pod", "p")], &[1, 2, 3, 9, 30, 31, 50]);
    for cut in 1..whole.window.len() as i64 {
        let mut history = History::default();
        for (from, to) in [(0, cut), (cut, 60)] {
            history.push(&[Series { key: whole.key.clone(), window: whole.window.slice(at(from), at(to)) }]);
        }
        assert_eq!(history.finish(), episodes(std::slice::from_ref(&whole)), "cut at {cut}");
    }
}

#[test]
fn nonsense_fires_nothing() {
    let window = Window::new(at(0), MINUTE, vec![f64::NAN, 0.0, -1.0, f64::INFINITY, f64::NEG_INFINITY]).unwrap();
    assert_eq!(episodes(&[Series { key: SeriesKey::default(), window }]), []);
    assert_eq!(episodes(&[]), []);
}

#[test]
fn time_has_its_slack() {
    let incident = [raised("i", &["cart"], &[], 100, Some(130))];
    let seen = |from, to| matches(&[fired("A", &[("service", "cart")], from, to)], &incident).0[0];
    assert!(seen(110, 120));
    assert!(seen(60, 95) && !seen(60, 94), "an incident may begin five minutes after the alert is over");
    assert!(seen(145, 200) && !seen(146, 200), "and be over for fifteen when the alert fires");
    let lasting = [raised("i", &["cart"], &[], 100, None)];
    assert!(matches(&[fired("A", &[], 9000, 9001)], &lasting).0[0]);
}

#[test]
fn places_are_compared_by_their_values() {
    assert!(together(&[("service", "cart")], &["cart"], &[]));
    assert!(!together(&[("service", "cart")], &["payment"], &[("service", "payment")]));
    assert!(together(&[("app", "cart"), ("severity", "page")], &[], &[("deployment", "cart")]), "by another label");
    assert!(together(&[("job", "cart"), ("instance", "10.0.0.1:80")], &["cart"], &[("service", "cart")]), "a job like the service");
    assert!(!together(&[("service", "cart"), ("team", "shop")], &["payment"], &[("team", "shop")]), "a team is no place");
}

#[test]
fn what_is_wide_counts_where_nothing_is_narrower() {
    let (a, b) = (("instance", "a:9100"), ("instance", "b:9100"));
    assert!(!together(&[("job", "node"), a], &["b:9100"], &[("job", "node"), b]), "two machines");
    assert!(together(&[("job", "node"), a], &["node"], &[("job", "node")]), "all machines of the job");
    assert!(together(&[("namespace", "shop")], &["cart"], &[("namespace", "shop"), ("service", "cart")]));
    assert!(!together(&[("namespace", "shop"), ("pod", "p")], &["cart"], &[("namespace", "shop"), ("service", "cart")]));
    assert!(!together(&[("namespace", "shop")], &["cart"], &[("service", "cart")]));
}

#[test]
fn without_a_place_time_decides() {
    assert!(together(&[("severity", "page")], &["cart"], &[("service", "cart")]));
    assert!(together(&[("service", "cart")], &[], &[("code", "500")]));
}

fn finding(monitor: &str, service: &str, labels: &[(&str, &str)]) -> Finding {
    let key = key(labels);
    Finding {
        id: Finding::identity(monitor, &key, at(0)),
        monitor: monitor.to_owned(),
        service: service.to_owned(),
        key,
        metric: MetricKind::Latency,
        unit: Unit::Seconds,
        kind: FindingKind::Deviation,
        direction: Direction::Up,
        onset: at(0),
        opened: at(0),
        last_seen: at(3),
        ended: None,
        value: 2.1,
        expected: 0.18,
        lower: 0.1,
        upper: 0.3,
        score: 1.6,
        p_value: 1e-5,
        evidence: Vec::new(),
        model: "m1".to_owned(),
        reach: None,
        course: None,
    }
}

#[test]
fn an_incident_is_where_its_findings_are() {
    let findings = [
        finding("latency", "cart", &[("service", "cart"), ("pod", "cart-1")]),
        finding("latency", "payment", &[("service", "payment")]),
        finding("latency", "latency", &[]),
    ];
    let tick = Tick {
        now: at(3),
        findings: &findings,
        events: &[],
        topology: &Topology::default(),
        monitor: &|_| None,
        catalogue: &Catalogue::shipped(),
        learned: &Learned::default(),
        runbook_base: "",
    };
    let incidents = grouping::update(&[], &tick);
    let [incident] = incidents.as_slice() else { panic!("{incidents:?}") };
    let raised = Raised::from(incident);
    assert_eq!(raised.services, ["cart", "payment"]);
    assert_eq!((raised.from, raised.to, &raised.id), (at(0), None, &incident.id));
    let labels: Vec<String> = raised.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(labels, ["pod=cart-1", "service=cart", "service=payment"]);
}

#[test]
fn lists_are_bounded_and_the_noisiest_comes_first() {
    let noisy = (0..200).map(|i| fired("Noisy", &[("pod", &format!("p{}", i % 7))], i * 60, i * 60 + 1));
    let rare = (0..80).map(|i| fired(&format!("Rare{i:02}"), &[], i * 60, i * 60 + 30));
    let fired: Vec<Fired> = noisy.chain(rare).collect();
    let raised: Vec<Raised> = (0..70).map(|i| raised(&format!("i{i}"), &["x"], &[], 90_000 + i * 100, Some(90_001 + i * 101))).collect();
    let comparison = compare(&fired, &raised, at(0), at(14 * 1440));
    assert_eq!((comparison.fired, comparison.things, comparison.incidents), (280, 87, 70));
    assert_eq!((comparison.only_yours.count, comparison.only_yours.groups.len()), (280, MOST_LISTED));
    let first = &comparison.only_yours.groups[0];
    assert_eq!((first.alertname.as_str(), first.count, first.things, first.lasted), ("Noisy", 200, 7, MINUTE * 200));
    assert_eq!((comparison.only_ours.count, comparison.only_ours.listed.len()), (70, MOST_LISTED));
    assert_eq!(comparison.only_ours.listed[0].id, "i69");
}

#[test]
fn the_sentence_reads_well() {
    let told = |fires: i64, things: i64, incidents: i64, days: i64| {
        let fired: Vec<Fired> = (0..fires)
            .map(|i| fired("A", &[("pod", &(i % things).to_string())], days * 1440 * i / fires, days * 1440 * i / fires + 1))
            .collect();
        let raised: Vec<Raised> = (0..incidents).map(|i| raised(&format!("i{i}"), &[], &[], i, Some(i))).collect();
        compare(&fired, &raised, at(0), at(days * 1440)).spoken()
    };
    let text = [told(2968, 31, 56, 14), told(14, 1, 3, 14), told(0, 1, 0, 7), told(1, 1, 1, 1), told(35, 2, 1, 14)].join("\n");
    insta::assert_snapshot!(text, @"
    Your rules fired 212 times a day on 31 things; Bellwether would have raised 4 alerts a day.
    Your rules fired 1 time a day on 1 thing; Bellwether would have raised 3 alerts in 14 days.
    No alert fired in this Prometheus; Bellwether would have raised no alert.
    Your rules fired 1 time a day on 1 thing; Bellwether would have raised 1 alert a day.
    Your rules fired 2.5 times a day on 2 things; Bellwether would have raised 1 alert in 14 days.
    ");
}

#[test]
fn no_time_at_all_is_no_division() {
    let comparison = compare(&[fired("A", &[], 0, 1)], &[], at(0), at(0));
    assert_eq!((comparison.fired_per_day, comparison.incidents_per_day), (0.0, 0.0));
    assert!(comparison.spoken().contains("1 time in 0 hours"), "{}", comparison.spoken());
}

fn any_labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop::sample::select(vec!["service", "pod", "instance", "job", "namespace", "severity"]);
    let label = (name, 0..3_u8).prop_map(|(name, value)| (name.to_owned(), format!("v{value}")));
    prop::collection::vec(label, 0..4)
}

fn any_fired() -> impl Strategy<Value = Fired> {
    (0..5_u8, any_labels(), 0..3000_i64, 1..200_i64).prop_map(|(name, labels, from, lasts)| Fired {
        alertname: format!("A{name}"),
        labels: SeriesKey::new(labels),
        from: at(from),
        to: at(from + lasts),
    })
}

fn any_raised() -> impl Strategy<Value = Raised> {
    (any_labels(), 0..3000_i64, proptest::option::of(0..400_i64)).prop_map(|(labels, from, lasts)| Raised {
        id: String::new(),
        title: String::new(),
        services: labels.iter().filter(|(name, _)| name == "service").map(|(_, value)| value.clone()).collect(),
        from: at(from),
        to: lasts.map(|lasts| at(from + lasts)),
        labels: labels.into_iter().collect(),
    })
}

/// What [`matches`] must find, from the definition alone.
fn go_together(fired: &Fired, raised: &Raised) -> bool {
    let begins = raised.from <= fired.to + DurationMs::from_secs(300);
    let lasts = raised.to.is_none_or(|to| to + DurationMs::from_secs(900) >= fired.from);
    begins && lasts && Places::of_fired(fired).share(&Places::of_raised(raised))
}

proptest! {
    #[test]
    fn each_is_in_exactly_one_list(
        fired in prop::collection::vec(any_fired(), 0..60),
        mut raised in prop::collection::vec(any_raised(), 0..40),
    ) {
        for (i, incident) in raised.iter_mut().enumerate() {
            incident.id = format!("i{i}");
        }
        let comparison = compare(&fired, &raised, at(0), at(3000));
        let (seen, alerts) = matches(&fired, &raised);
        for (i, episode) in fired.iter().enumerate() {
            prop_assert_eq!(seen[i], raised.iter().any(|r| go_together(episode, r)));
        }
        for (i, incident) in raised.iter().enumerate() {
            prop_assert_eq!(alerts[i], fired.iter().filter(|f| go_together(f, incident)).count());
        }
        // The lists are short enough here to hold everything.
        let in_groups = |alerts: &Alerts| alerts.groups.iter().map(|g| g.count).sum::<usize>();
        prop_assert_eq!(comparison.both.alerts.count + comparison.only_yours.count, fired.len());
        prop_assert_eq!(in_groups(&comparison.both.alerts) + in_groups(&comparison.only_yours), fired.len());
        let mut ids: Vec<&str> = [&comparison.both.incidents, &comparison.only_ours]
            .iter()
            .flat_map(|list| &list.listed)
            .map(|r| r.id.as_str())
            .collect();
        ids.sort_unstable();
        let mut all: Vec<&str> = raised.iter().map(|r| r.id.as_str()).collect();
        all.sort_unstable();
        prop_assert_eq!(ids, all);
        // What both saw has two sides, or none.
        prop_assert_eq!(comparison.both.alerts.count == 0, comparison.both.incidents.count == 0);
    }

    #[test]
    fn episodes_never_overlap_and_hold_every_firing_step(
        values in prop::collection::vec(prop_oneof![Just(f64::NAN), Just(1.0), Just(0.0)], 0..200),
    ) {
        let window = Window::new(at(0), MINUTE, values).unwrap();
        let series = Series { key: key(&[("alertname", "A")]), window };
        let fired = episodes(std::slice::from_ref(&series));
        for (i, value) in series.window.values().iter().enumerate() {
            let inside = fired.iter().filter(|f| f.from <= at(i as i64) && at(i as i64) < f.to).count();
            prop_assert!(inside <= 1 && (*value <= 0.0 || value.is_nan() || inside == 1));
        }
        for pair in fired.windows(2) {
            prop_assert!(pair[1].from.since(pair[0].to) > LONGEST_GAP);
        }
    }
}
