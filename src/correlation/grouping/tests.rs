use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use proptest::prelude::*;

use super::draft::MOST_EVENTS;
use super::*;
use crate::correlation::sample::{any_event, any_finding, at, event, finding, labelled, of};
use crate::finding::{Direction, FindingKind, Severity};
use crate::guard::Guards;
use crate::incident::{IncidentState, Priority};
use crate::monitor::{MetricKind, Unit};

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::shipped);
static NOTHING_SAID: LazyLock<Learned> = LazyLock::new(Learned::default);
static NOTHING_KNOWN: LazyLock<Topology> = LazyLock::new(Topology::default);

fn nobody(_: &str) -> Option<Monitor> {
    None
}

fn tick<'a>(minute: i64, findings: &'a [Finding], events: &'a [Event]) -> Tick<'a> {
    Tick {
        now: at(minute),
        findings,
        events,
        topology: &NOTHING_KNOWN,
        monitor: &nobody,
        catalogue: &CATALOGUE,
        learned: &NOTHING_SAID,
        runbook_base: "http://bellwether",
    }
}

/// The open incidents after a tick, and what it returned.
fn step(open: &mut Vec<Incident>, tick: &Tick<'_>) -> Vec<Incident> {
    let changed = update(open, tick);
    for incident in &changed {
        open.retain(|i| i.id != incident.id);
        open.push(incident.clone());
    }
    open.retain(|i| i.state == IncidentState::Open);
    changed
}

fn ended(mut finding: Finding, minute: i64) -> Finding {
    finding.ended = Some(at(minute));
    finding
}

#[test]
fn opens_joins_updates_and_resolves() {
    let (mut open, first) = (Vec::new(), finding("payment", "latency", at(0)));
    let opened = step(&mut open, &tick(1, std::slice::from_ref(&first), &[]));
    assert_eq!(opened.len(), 1);
    let incident = &opened[0];
    assert_eq!((incident.state, incident.started, incident.detected), (IncidentState::Open, at(0), at(1)));
    assert_eq!(incident.title, "payment: latency 2.1s, expected 180ms");
    assert!(incident.id.len() == 16 && incident.id.starts_with("inc-"), "{}", incident.id);
    assert!(!incident.suggestions.is_empty() && !incident.causes.is_empty());
    let id = incident.id.clone();

    assert_eq!(step(&mut open, &tick(2, std::slice::from_ref(&first), &[])), [], "nothing new");

    // One of the same service, one of the same monitor, and one that the second brings in.
    let more = [
        finding("ledger", "disk", at(3)),
        of(finding("ledger", "latency", at(4)), MetricKind::Latency, Direction::Up),
        of(finding("payment", "errors", at(2)), MetricKind::Errors, Direction::Up),
    ];
    let joined = step(&mut open, &tick(5, &more, &[]));
    assert_eq!(joined.len(), 1);
    assert_eq!((&joined[0].id, joined[0].findings.len(), joined[0].updated), (&id, 4, at(5)));
    assert_eq!(joined[0].title, "payment: latency up and 3 more");

    let three: Vec<Finding> = more.iter().map(|f| ended(f.clone(), 8)).collect();
    assert_eq!(step(&mut open, &tick(9, &three, &[]))[0].state, IncidentState::Open);
    let last = step(&mut open, &tick(12, &[ended(first, 11)], &[]));
    assert_eq!((&last[0].id, last[0].state, last[0].resolved), (&id, IncidentState::Resolved, Some(at(11))));
    assert!(open.is_empty());
}

#[test]
fn strangers_are_apart() {
    let (mut open, findings) = (Vec::new(), [finding("payment", "a", at(0)), finding("cart", "b", at(0))]);
    assert_eq!(step(&mut open, &tick(1, &findings, &[])).len(), 2);
    // It fits both: the older one takes it, and the two stay two.
    let (older, both) = (open.iter().map(|i| (i.started, i.id.clone())).min().unwrap().1, finding("cart", "a", at(3)));
    let changed = step(&mut open, &tick(4, &[both], &[]));
    assert_eq!((changed.len(), &changed[0].id, open.len()), (1, &older, 2));
}

#[test]
fn a_series_that_comes_right_back_reopens_its_incident() {
    let first = ended(finding("payment", "latency", at(0)), 20);
    let resolved = update(&[], &tick(21, std::slice::from_ref(&first), &[]));
    assert_eq!(resolved[0].state, IncidentState::Resolved, "over before it was known");
    let back = [finding("payment", "latency", at(29))];
    let again = update(&resolved, &tick(30, &back, &[]));
    assert_eq!((again.len(), &again[0].id, again[0].state, again[0].resolved), (1, &resolved[0].id, IncidentState::Open, None));
    let later = [finding("payment", "latency", at(31))];
    let other = update(&resolved, &tick(32, &later, &[]));
    assert_eq!(other.len(), 1);
    assert_ne!(other[0].id, resolved[0].id);
}

#[test]
fn severity_is_judged_once_and_the_priority_follows() {
    let with = |metric, score| Finding { score, ..of(finding("s", "m", at(0)), metric, Direction::Up) };
    let mut open = Vec::new();
    assert_eq!(step(&mut open, &tick(1, &[with(MetricKind::Latency, 1.2)], &[]))[0].severity, Severity::Warning);
    let worse = step(&mut open, &tick(2, &[with(MetricKind::Latency, 9.0)], &[]));
    assert_eq!(worse[0].severity, Severity::Warning, "part of the alert's identity");
    assert_eq!(worse[0].life.priority, Some(Priority::P2), "the priority is not: {}", worse[0].life.why);
}

#[test]
fn the_monitor_gives_severity_query_and_runbook() {
    let monitor = Monitor {
        name: "latency".into(),
        query: "histogram_quantile(0.95, x)".into(),
        metric: MetricKind::Latency,
        unit: Unit::Seconds,
        service: None,
        service_label: "service".into(),
        step: DurationMs::from_secs(60),
        window: DurationMs::DAY,
        direction: None,
        guards: Guards::default(),
        severity: Some(Severity::Critical),
        group_by: None,
        alert_budget_per_day: None,
        runbook_url: Some("https://wiki/latency".into()),
        slo: None,
        forecast: None,
        drift: None,
    };
    let (lookup, findings) = (|name: &str| (name == "latency").then(|| monitor.clone()), [finding("payment", "latency", at(0))]);
    let opened = update(&[], &Tick { monitor: &lookup, ..tick(1, &findings, &[]) });
    assert_eq!(opened[0].severity, Severity::Critical);
    assert!(opened[0].suggestions.iter().all(|s| s.runbook_url == "https://wiki/latency"));
}

#[test]
fn events_belong_by_time_and_place() {
    let over = update(&[], &tick(40, &[ended(labelled(finding("payment", "m", at(0)), &[("pod", "p-1")]), 30)], &[]));
    let lasting = |kind, from, to: Option<i64>| Event { ends_at: to.map(at), ..event("e", kind, Some("payment"), at(from)) };
    for (event, expected) in [
        (lasting(EventKind::Deployment, -60, None), true),
        (lasting(EventKind::Deployment, -61, None), false),
        (lasting(EventKind::Deployment, -90, Some(10)), false),
        (lasting(EventKind::Deployment, 30, None), true),
        (lasting(EventKind::Deployment, 31, None), false),
        (lasting(EventKind::Alert, -500, None), true),
        (lasting(EventKind::Alert, -500, Some(-10)), true),
        (lasting(EventKind::Alert, -500, Some(-11)), false),
        (lasting(EventKind::Alert, 40, None), true),
        (lasting(EventKind::Alert, 41, None), false),
        (lasting(EventKind::Other, -11, None), false),
        (lasting(EventKind::Other, -10, None), true),
    ] {
        assert_eq!(belongs(&event, &over[0]), expected, "{event:?}");
    }
    let mut by_label = event("e", EventKind::Alert, None, at(1));
    assert!(!belongs(&by_label, &over[0]), "it says nothing of where");
    by_label.labels.insert("pod".into(), "p-1".into());
    assert!(belongs(&by_label, &over[0]));
    by_label.labels.insert("incident".into(), over[0].id.clone());
    assert!(!belongs(&by_label, &over[0]), "our own alert");
}

#[test]
fn a_new_event_changes_an_incident_and_a_known_one_does_not() {
    let (mut open, findings) = (Vec::new(), [finding("payment", "latency", at(0))]);
    step(&mut open, &tick(1, &findings, &[]));
    let mut deployment = event("v2", EventKind::Deployment, Some("payment"), at(-3));
    let with = step(&mut open, &tick(2, &[], std::slice::from_ref(&deployment)));
    assert_eq!(with[0].causes[0].title, "v2 happened");
    assert!(with[0].suggestions.iter().any(|s| s.id == "latency-after-change"), "{:?}", with[0].suggestions);
    assert_eq!(step(&mut open, &tick(3, &[], std::slice::from_ref(&deployment))), []);
    deployment.title = "v2 rolled out".into();
    assert_eq!(step(&mut open, &tick(4, &[], &[deployment]))[0].events[0].title, "v2 rolled out");
}

#[test]
fn events_are_limited_and_changes_stay() {
    let mut events: Vec<Event> = (0..300).map(|i| event(&format!("a{i:03}"), EventKind::Alert, Some("s"), at(-5))).collect();
    events.push(event("change", EventKind::Deployment, Some("s"), at(4)));
    let found = update(&[], &tick(5, &[finding("s", "m", at(0))], &events));
    assert_eq!(found[0].events.len(), MOST_EVENTS);
    assert!(found[0].events.iter().any(|e| e.id == "change"));
    assert_eq!(update(&found, &tick(6, &[], &events)), [], "the rest does not come again");
}

#[test]
fn suggestions_know_the_traffic_of_the_service() {
    let slow = finding("payment", "latency", at(0));
    let busy = of(finding("payment", "requests", at(0)), MetricKind::Traffic, Direction::Up);
    let alone = update(&[], &tick(1, std::slice::from_ref(&slow), &[]));
    assert_eq!(alone[0].suggestions[0].id, "latency-flat-traffic");
    let both = update(&[], &tick(1, &[slow, busy], &[]));
    assert!(both[0].suggestions.iter().any(|s| s.id == "latency-more-traffic"));
    assert!(both[0].suggestions.iter().all(|s| s.id != "latency-flat-traffic"));
}

/// Where each open finding is.
fn holders<'a>(open: &'a [Incident], id: &str) -> Vec<&'a str> {
    open.iter().filter(|i| i.findings.iter().any(|f| f.id == id)).map(|i| i.id.as_str()).collect()
}

proptest! {
    #[test]
    fn every_open_finding_is_in_exactly_one_incident_for_good(
        ticks in proptest::collection::vec((proptest::collection::vec(any_finding(), 0..8), proptest::collection::vec(any_event(), 0..4)), 1..6),
    ) {
        let (mut open, mut home) = (Vec::new(), HashMap::new());
        let mut over = HashSet::new();
        for (n, (findings, events)) in ticks.iter().enumerate() {
            let identities: HashMap<String, (Severity, String, String)> =
                open.iter().map(|i: &Incident| (i.id.clone(), (i.severity, i.service.clone(), i.monitor.clone()))).collect();
            let findings: Vec<Finding> = findings.iter().filter(|f| !over.contains(&f.id)).cloned().collect();
            let changed = step(&mut open, &tick(60 + n as i64, &findings, events));
            for incident in &changed {
                prop_assert!(!incident.suggestions.is_empty() && !incident.causes.is_empty() && !incident.title.is_empty());
                let lasts = incident.findings.iter().any(Finding::is_open) || incident.life.flapping.is_some();
                prop_assert_eq!(incident.state == IncidentState::Open, lasts);
                prop_assert_eq!(incident.resolved.is_none(), incident.state == IncidentState::Open);
                prop_assert!(incident.findings.windows(2).all(|p| p[0].onset <= p[1].onset));
                prop_assert_eq!(incident.started, incident.findings[0].onset);
                if let Some(before) = identities.get(&incident.id) {
                    prop_assert_eq!(before, &(incident.severity, incident.service.clone(), incident.monitor.clone()));
                }
                if incident.state == IncidentState::Resolved {
                    over.extend(incident.findings.iter().map(|f| f.id.clone()));
                }
            }
            for finding in open.iter().flat_map(|i| &i.findings) {
                let holder = holders(&open, &finding.id);
                prop_assert_eq!(holder.len(), 1);
                let before = home.entry(finding.id.clone()).or_insert_with(|| holder[0].to_owned());
                prop_assert_eq!(before.as_str(), holder[0]);
            }
        }
    }

    #[test]
    fn the_order_of_findings_does_not_matter(
        before in proptest::collection::vec(any_finding(), 0..6),
        findings in proptest::collection::vec(any_finding(), 1..12),
        turn in any::<usize>(),
    ) {
        let distinct: BTreeMap<String, Finding> = findings.into_iter().map(|f| (f.id.clone(), f)).collect();
        let mut findings: Vec<Finding> = distinct.into_values().collect();
        let mut open = Vec::new();
        step(&mut open, &tick(60, &before, &[]));
        // Debug text, because NaN is not equal to itself.
        let found = format!("{:?}", update(&open, &tick(61, &findings, &[])));
        let places = findings.len();
        findings.rotate_left(turn % places);
        open.reverse();
        prop_assert_eq!(format!("{:?}", update(&open, &tick(61, &findings, &[]))), found);
    }
}

mod faults;
mod joining;
mod judge;
mod patience;
mod shop;
