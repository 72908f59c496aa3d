//! What is told at once, what waits, and what is never told.

use super::*;
use crate::clock::{DurationMs, Timestamp};
use crate::correlation::topology::{Call, CallSource};

const PATIENCE: DurationMs = DurationMs::from_secs(600);

fn shop() -> Topology {
    let call = |caller: &str, callee: &str| Call { caller: caller.to_owned(), callee: callee.to_owned(), source: CallSource::Measured };
    Topology::new([call("web", "cart"), call("cart", "db"), call("mail", "db")]).unwrap()
}

/// A finding that leaves no doubt.
fn strong(service: &str, monitor: &str, onset: Timestamp) -> Finding {
    Finding { score: 5.0, ..finding(service, monitor, onset) }
}

/// Which lasts from minute to minute.
fn lasting(finding: Finding, to: i64) -> Finding {
    Finding { last_seen: at(to), ..finding }
}

fn told(topology: &Topology, open: &[Incident], minute: i64, findings: &[Finding], events: &[Event]) -> Told {
    tell(open, &Tick { topology, ..tick(minute, findings, events) }, PATIENCE)
}

#[track_caller]
fn waits(minute: i64, findings: &[Finding], events: &[Event]) {
    let told = told(&shop(), &[], minute, findings, events);
    assert_eq!((told.incidents.len(), told.waiting.len()), (0, findings.len()), "{told:#?}");
}

#[track_caller]
fn is_told(minute: i64, findings: &[Finding], events: &[Event]) -> Incident {
    let mut told = told(&shop(), &[], minute, findings, events);
    assert_eq!((told.incidents.len(), told.waiting.len()), (1, 0), "{told:#?}");
    assert_eq!(told.incidents[0].findings.len(), findings.len());
    told.incidents.remove(0)
}

#[test]
fn one_alone_must_last() {
    let one = strong("cart", "latency", at(0));
    waits(9, &[lasting(one.clone(), 9)], &[]);
    is_told(10, &[lasting(one.clone(), 10)], &[]);
    // What is over before is told to nobody.
    let over = told(&shop(), &[], 9, &[ended(lasting(one.clone(), 6), 7)], &[]);
    assert_eq!(over, Told::default());
    // And what has been silent for long is not waited for.
    assert_eq!(told(&shop(), &[], 17, &[lasting(one.clone(), 6)], &[]), Told::default());
    // Without patience it is told at once.
    assert_eq!(tell(&[], &tick(1, &[one], &[]), DurationMs::ZERO).incidents.len(), 1);
}

#[test]
fn the_milder_the_longer() {
    let alone = |score: f64, minute: i64| {
        let one = Finding { score, ..finding("cart", "latency", at(0)) };
        let told = told(&shop(), &[], minute, &[lasting(one, minute)], &[]);
        assert_eq!(told.incidents.len() + told.waiting.len(), 1);
        told.incidents.len() == 1
    };
    // At the bound, between, and where no doubt is left.
    let from = [1.0, 2.5, 4.0, 9.0, f64::NAN].map(|score| (0..80).find(|minute| alone(score, *minute)).unwrap());
    assert_eq!(from, [60, 35, 10, 10, 60]);
}

#[test]
fn what_its_monitor_calls_critical_is_never_mild() {
    let monitor = |_: &str| Some(Monitor { severity: Some(Severity::Critical), ..Monitor::ad_hoc(DurationMs::from_secs(60), None) });
    let one = [lasting(finding("cart", "latency", at(0)), 10)];
    assert_eq!(tell(&[], &Tick { monitor: &monitor, ..tick(10, &one, &[]) }, PATIENCE).incidents.len(), 1);
    assert_eq!(tell(&[], &tick(10, &one, &[]), PATIENCE).incidents.len(), 0);
}

#[test]
fn what_came_slowly_lasts_from_when_it_was_known() {
    let slow = |service: &str, minute: i64| {
        let evidence = vec![crate::finding::Evidence { detector: "ramp".to_owned(), p_value: 1e-20, note: String::new() }];
        lasting(Finding { kind: FindingKind::Pattern, opened: at(50), evidence, ..strong(service, "memory", at(0)) }, minute)
    };
    waits(59, &[slow("db", 59)], &[]);
    is_told(60, &[slow("db", 60)], &[]);
    // Nor is it trouble at once with others.
    waits(55, &["db", "cart", "web"].map(|service| slow(service, 55)), &[]);
}

#[test]
fn a_rate_shows_a_moment_for_as_long_as_it_looks_back() {
    let monitor = |_: &str| {
        let query = "sum by (service) (rate(http_requests_total[5m])) / (1 + max_over_time(x[2m]))".to_owned();
        Some(Monitor { query, ..Monitor::ad_hoc(DurationMs::from_secs(60), None) })
    };
    let told = |minute: i64| {
        let one = lasting(strong("cart", "latency", at(0)), minute);
        tell(&[], &Tick { monitor: &monitor, ..tick(minute, &[one], &[]) }, PATIENCE)
    };
    assert_eq!((told(14).incidents.len(), told(14).waiting.len()), (0, 1));
    assert_eq!(told(15).incidents.len(), 1);
}

#[test]
fn what_caller_and_callee_share_is_told_at_once() {
    let (cart, db) = (lasting(strong("cart", "latency", at(1)), 3), lasting(strong("db", "latency", at(0)), 3));
    is_told(3, &[cart.clone(), db.clone()], &[]);
    // Of what is mild only where it goes on.
    let mild = |finding: &Finding, to| lasting(Finding { score: 1.5, ..finding.clone() }, to);
    waits(3, &[mild(&cart, 3), mild(&db, 3)], &[]);
    is_told(4, &[mild(&cart, 4), mild(&db, 4)], &[]);
    // Not where it is something else, …
    waits(3, &[of(cart.clone(), MetricKind::Traffic, Direction::Down), db.clone()], &[]);
    // … not between those that do not call each other, …
    let both = [lasting(strong("web", "latency", at(1)), 3), db.clone()];
    waits(3, &both, &[]);
    // … and not where one is back to normal.
    waits(8, &[lasting(cart, 8), db], &[]);
}

#[test]
fn three_services_are_no_coincidence() {
    let metric = |service: &str, metric, minute| lasting(of(strong(service, "m", at(minute)), metric, Direction::Up), 4);
    let three = [metric("db", MetricKind::Disk, 0), metric("cart", MetricKind::Latency, 1), metric("web", MetricKind::Errors, 2)];
    is_told(4, &three, &[]);
    waits(4, &three[..2], &[]);
    // Of what stays inside its band only where it is clear.
    let inside = |score: f64| three.clone().map(|one| Finding { kind: FindingKind::Pattern, score, ..one });
    waits(4, &inside(1.5), &[]);
    is_told(4, &inside(3.5), &[]);
}

#[test]
fn trouble_after_a_change_is_told_at_once() {
    let one = [lasting(strong("cart", "latency", at(0)), 2)];
    for (minute, service, is_known) in [(-20, "cart", true), (-40, "cart", false), (1, "cart", false), (-20, "db", false)] {
        let change = [event("e", EventKind::Deployment, Some(service), at(minute))];
        if is_known { drop(is_told(2, &one, &change)) } else { waits(2, &one, &change) }
    }
    waits(2, &one, &[event("e", EventKind::Alert, Some("cart"), at(-1))]);
}

#[test]
fn what_was_told_takes_in_what_joins_it_at_once() {
    let first = is_told(12, &[lasting(strong("db", "latency", at(0)), 12)], &[]);
    let joins = lasting(strong("cart", "errors", at(8)), 12);
    let told = told(&shop(), std::slice::from_ref(&first), 12, std::slice::from_ref(&joins), &[]);
    assert_eq!((told.incidents.len(), told.waiting.len()), (1, 0), "{told:#?}");
    assert_eq!((&told.incidents[0].id, told.incidents[0].findings.len()), (&first.id, 2));
}

#[test]
fn what_lasts_for_days_does_not_wait() {
    let lasting = Finding { kind: FindingKind::Capacity, ..strong("db", "disk", at(0)) };
    is_told(0, &[lasting], &[]);
}

proptest! {
    #[test]
    fn each_finding_is_told_or_waits_or_is_over(
        findings in proptest::collection::vec(any_finding(), 0..12),
        minute in 0..80_i64,
    ) {
        let mut by_id: BTreeMap<String, Finding> = BTreeMap::new();
        for finding in findings {
            by_id.insert(finding.id.clone(), finding);
        }
        let findings: Vec<Finding> = by_id.into_values().collect();
        let told = told(&shop(), &[], minute, &findings, &[]);
        for finding in &findings {
            let homes = told.incidents.iter().flat_map(|i| &i.findings).chain(&told.waiting).filter(|f| f.id == finding.id).count();
            let is_past: Timestamp = finding.last_seen + DurationMs::from_secs(600);
            prop_assert!(homes == 1 || homes == 0 && (!finding.is_open() || is_past < at(minute)), "{} of {finding:?}", homes);
        }
    }
}
