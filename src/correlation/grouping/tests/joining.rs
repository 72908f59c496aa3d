//! Joining, merging and staying apart, by the topology.

use super::*;
use crate::clock::Timestamp;
use crate::correlation::topology::{Call, CallSource};

/// Calls from a text: `a>b b>c`.
fn graph(calls: &str) -> Topology {
    let calls = calls.split_whitespace().filter_map(|call| call.split_once('>'));
    let call = |(a, b): (&str, &str)| Call { caller: a.to_owned(), callee: b.to_owned(), source: CallSource::Measured };
    Topology::new(calls.map(call)).unwrap()
}

/// A finding of a monitor that watches all services.
fn slow(service: &str, onset: Timestamp) -> Finding {
    finding(service, "latency", onset)
}

fn strained(service: &str, node: &str, minute: i64) -> Finding {
    of(labelled(finding(service, "cpu", at(minute)), &[("node", node)]), MetricKind::Cpu, Direction::Up)
}

fn requests(service: &str, direction: Direction, minute: i64) -> Finding {
    of(finding(service, "requests", at(minute)), MetricKind::Traffic, direction)
}

/// The services of each incident after these findings came one tick after the other.
fn joined(topology: &Topology, findings: &[Finding]) -> Vec<Vec<String>> {
    let mut open = Vec::new();
    for finding in findings {
        let now = tick(60, std::slice::from_ref(finding), &[]);
        step(&mut open, &Tick { topology, ..now });
    }
    let services = |incident: &Incident| incident.findings.iter().map(|f| f.service.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let mut all: Vec<Vec<String>> = open.iter().map(services).collect();
    all.sort();
    all
}

#[track_caller]
fn check(topology: &Topology, findings: &[Finding], expected: &[&[&str]]) {
    assert_eq!(joined(topology, findings), expected);
    // At once it is the same.
    let all = update(&[], &Tick { topology, ..tick(60, findings, &[]) });
    let kept = all.iter().filter(|incident| incident.merged_into.is_none());
    assert_eq!(kept.count(), expected.len(), "{all:?}");
}

#[test]
fn trouble_climbs_from_the_called_to_the_caller() {
    let shop = graph("gateway>checkout checkout>payment payment>db");
    let chain = [slow("db", at(0)), slow("payment", at(3)), slow("checkout", at(7)), slow("gateway", at(9))];
    let all: &[&[&str]] = &[&["checkout", "db", "gateway", "payment"]];
    check(&shop, &chain, all);
    // Known in the other order, and with onsets a minute wrong.
    check(&shop, &[slow("checkout", at(0)), slow("payment", at(1)), slow("db", at(2))], &[&["checkout", "db", "payment"]]);
    // It does not sink, and it does not climb for an hour.
    check(&shop, &[slow("payment", at(0)), slow("db", at(5))], &[&["db"], &["payment"]]);
    check(&shop, &[slow("db", at(0)), slow("payment", at(11))], &[&["db"], &["payment"]]);
    let slowly: Vec<Finding> = ["db", "payment", "checkout", "gateway"].iter().zip([0, 9, 18, 27]).map(|(s, m)| slow(s, at(m))).collect();
    check(&shop, &slowly, &[&["checkout", "db", "payment"], &["gateway"]]);
}

#[test]
fn an_incident_does_not_swallow_what_comes_later_from_a_neighbour() {
    let shop = graph("checkout>payment");
    check(&shop, &[slow("payment", at(0)), slow("checkout", at(50))], &[&["checkout"], &["payment"]]);
    // The service it is about, and what returns, are still its own.
    let later = [slow("payment", at(0)), slow("checkout", at(3)), finding("payment", "errors", at(50)), slow("checkout", at(55))];
    check(&shop, &later, &[&["checkout", "payment"]]);
    let other = of(finding("checkout", "errors", at(50)), MetricKind::Errors, Direction::Up);
    check(&shop, &[slow("payment", at(0)), slow("checkout", at(3)), other], &[&["checkout"], &["checkout", "payment"]]);
}

#[test]
fn a_gateway_does_not_join_what_is_below_it() {
    let shop = graph("gateway>a a>b b>c gateway>x x>y y>z");
    let (left, right) = ([slow("b", at(0)), slow("a", at(1))], [slow("y", at(1)), slow("x", at(2))]);
    let gateway = [slow("gateway", at(3)), of(finding("gateway", "errors", at(3)), MetricKind::Errors, Direction::Up)];
    let together = [&left[..], &right, &gateway].concat();
    check(&shop, &together, &[&["a", "b"], &["gateway", "x", "y"]]);
    check(&shop, &[&gateway[..], &left, &right].concat(), &[&["a", "b", "gateway"], &["x", "y"]]);
}

#[test]
fn a_busy_database_with_mild_symptoms_joins_nobody() {
    let many = (0..60).map(|i| format!(" s{i}>db")).collect::<Vec<_>>().concat();
    let mild = |minute| Finding { score: 1.1, ..finding("db", "disk", at(minute)) };
    let hard = |service: &str, minute| Finding { score: 6.0, ..slow(service, at(minute)) };
    let findings = [hard("s1", 0), mild(1), hard("s50", 2)];
    check(&graph(&many), &findings, &[&["db"], &["s1"], &["s50"]]);
    // In trouble itself it is what joins them, if they follow soon.
    let broken = Finding { score: 9.0, ..mild(0) };
    check(&graph(&many), &[broken.clone(), hard("s1", 1), hard("s50", 2)], &[&["db", "s1", "s50"]]);
    check(&graph(&many), &[broken, hard("s1", 8)], &[&["db"], &["s1"]]);
}

#[test]
fn what_explains_both_makes_one_of_two() {
    let shop = graph("a>db b>db");
    let mut open = Vec::new();
    let mut at_tick = |minute, findings: &[Finding]| {
        let changed =
            step(&mut open, &Tick { topology: &shop, ..tick(minute, findings, &[event("v2", EventKind::Deployment, Some("b"), at(0))]) });
        (changed, open.clone())
    };
    // Of other metrics, so that nothing but the database says that they are one.
    let second = of(finding("b", "pool", at(2)), MetricKind::Saturation, Direction::Up);
    let (two, _) = at_tick(3, &[slow("a", at(1)), second.clone()]);
    assert_eq!(two.len(), 2);
    let (changed, open) = at_tick(4, &[slow("db", at(0))]);
    assert_eq!((changed.len(), open.len()), (2, 1));
    let (older, younger) = (&changed[0], &changed[1]);
    assert_eq!((&older.id, older.findings.len(), older.started, older.events.len()), (&two[0].id, 3, at(0), 1));
    assert_eq!((&younger.id, younger.state, younger.resolved), (&two[1].id, IncidentState::Resolved, Some(at(4))));
    assert_eq!((younger.merged_into.as_ref(), younger.findings.len()), (Some(&older.id), 0));
    assert_eq!(younger.title, format!("{} (part of {})", two[1].title, older.id));
    assert_eq!((&younger.service, younger.severity, younger.causes.is_empty()), (&two[1].service, two[1].severity, false));
    // What it held goes on in the other, and it is over for good.
    let resolved = update(&changed, &Tick { topology: &shop, ..tick(5, &[ended(second, 5), slow("b", at(3))], &[]) });
    assert_eq!(resolved.len(), 1);
    assert_eq!((&resolved[0].id, resolved[0].findings.len()), (&older.id, 4));
}

#[test]
fn the_more_urgent_stays() {
    let shop = graph("a>db b>db");
    let urgent = Finding { score: 9.0, ..of(finding("b", "errors", at(2)), MetricKind::Errors, Direction::Up) };
    let two = update(&[], &Tick { topology: &shop, ..tick(3, &[slow("a", at(1)), urgent], &[]) });
    assert_eq!((two[0].severity, two[1].severity), (Severity::Warning, Severity::Critical));
    let one = update(&two, &Tick { topology: &shop, ..tick(4, &[slow("db", at(0))], &[]) });
    assert_eq!((one[0].merged_into.as_ref(), one[1].merged_into.as_ref()), (Some(&two[1].id), None));
    assert_eq!((&one[1].monitor, one[1].severity, one[1].findings.len()), (&two[1].monitor, Severity::Critical, 3));
}

#[test]
fn what_began_long_ago_is_not_merged() {
    let shop = graph("a>db b>db");
    let errors = of(finding("b", "errors", at(13)), MetricKind::Errors, Direction::Up);
    check(&shop, &[slow("a", at(1)), errors, slow("db", at(8))], &[&["a"], &["b", "db"]]);
}

#[test]
fn two_calls_need_the_same_at_once() {
    let shop = graph("a>m m>b c>n d>n h>e h>f");
    check(&shop, &[slow("b", at(0)), slow("a", at(1))], &[&["a", "b"]]);
    check(&shop, &[slow("b", at(0)), slow("a", at(3))], &[&["a"], &["b"]]);
    let errors = of(finding("a", "errors", at(1)), MetricKind::Errors, Direction::Up);
    check(&shop, &[slow("b", at(0)), errors], &[&["a"], &["b"]]);
    check(&shop, &[slow("c", at(0)), slow("d", at(1))], &[&["c", "d"]]);
    check(&shop, &[slow("e", at(0)), slow("f", at(1))], &[&["e"], &["f"]]);
}

#[test]
fn more_requests_go_down_and_nothing_else_does() {
    let shop = graph("front>a a>db");
    let surge = [requests("front", Direction::Up, 0), requests("a", Direction::Up, 1), strained("db", "n", 2)];
    check(&shop, &surge, &[&["a", "db", "front"]]);
    let fewer = [requests("front", Direction::Down, 0), requests("a", Direction::Down, 3), strained("db", "n", 6)];
    check(&shop, &fewer, &[&["a", "front"], &["db"]]);
}

#[test]
fn a_machine_joins_what_runs_on_it() {
    let shop = graph("a>b c>d e>f");
    let three = [strained("a", "n1", 0), strained("c", "n1", 1), strained("e", "n1", 2)];
    check(&shop, &three, &[&["a", "c", "e"]]);
    check(&shop, &[strained("a", "n1", 0), strained("c", "n2", 0)], &[&["a"], &["c"]]);
    check(&shop, &[strained("a", "n1", 0), strained("c", "n1", 5)], &[&["a"], &["c"]]);
}

#[test]
fn a_monitor_of_all_services_links_only_those_that_the_topology_does_not_know() {
    let shop = graph("a>b c>d");
    check(&shop, &[slow("a", at(0)), slow("c", at(0))], &[&["a"], &["c"]]);
    check(&shop, &[slow("a", at(0)), slow("unknown", at(5))], &[&["a", "unknown"]]);
    check(&shop, &[slow("unknown", at(0)), slow("other", at(9))], &[&["other", "unknown"]]);
    // Not even over one that it does not know.
    check(&shop, &[slow("a", at(0)), slow("unknown", at(1)), slow("c", at(2))], &[&["a", "unknown"], &["c"]]);
}

#[test]
fn what_lasts_for_days_has_no_neighbours() {
    let shop = graph("a>b");
    let lasting = |service: &str| Finding { kind: FindingKind::Drift, ..finding(service, service, at(0)) };
    check(&shop, &[lasting("b"), lasting("a")], &[&["a"], &["b"]]);
    check(&shop, &[lasting("b"), slow("a", at(0))], &[&["a"], &["b"]]);
}

proptest! {
    #[test]
    fn with_a_topology_too_each_finding_is_in_one_incident(
        ticks in proptest::collection::vec(proptest::collection::vec(any_finding(), 0..8), 1..8),
        turn in any::<usize>(),
    ) {
        let shop = graph("s0>s1 s1>s2 s3>s2");
        let (mut open, mut over) = (Vec::new(), HashSet::new());
        for (n, findings) in ticks.iter().enumerate() {
            let findings: Vec<Finding> = findings.iter().filter(|f| !over.contains(&f.id)).cloned().collect();
            let before = open.clone();
            let changed = step(&mut open, &Tick { topology: &shop, ..tick(60 + n as i64, &findings, &[]) });
            // Of one finding told twice the later counts; else the order says nothing.
            let ids: HashSet<&String> = findings.iter().map(|f| &f.id).collect();
            if ids.len() == findings.len() {
                let (mut turned, mut known) = (findings.clone(), before.clone());
                turned.rotate_left(turn % findings.len().max(1));
                known.reverse();
                let again = update(&known, &Tick { topology: &shop, ..tick(60 + n as i64, &turned, &[]) });
                prop_assert_eq!(format!("{again:?}"), format!("{changed:?}"));
            }
            for incident in &changed {
                if let Some(other) = &incident.merged_into {
                    prop_assert!(incident.findings.is_empty() && incident.state == IncidentState::Resolved);
                    prop_assert!(changed.iter().any(|i| i.id == *other));
                    prop_assert!(before.iter().any(|i| i.id == incident.id), "nobody was told of it");
                }
                if let Some(known) = before.iter().find(|i| i.id == incident.id) {
                    prop_assert_eq!((known.severity, &known.service, &known.monitor), (incident.severity, &incident.service, &incident.monitor));
                }
                if incident.state == IncidentState::Resolved {
                    over.extend(incident.findings.iter().map(|f| f.id.clone()));
                }
            }
            for finding in open.iter().flat_map(|i| &i.findings) {
                prop_assert_eq!(holders(&open, &finding.id).len(), 1);
            }
            for finding in before.iter().flat_map(|i| &i.findings) {
                let holds = |i: &&Incident| i.findings.iter().any(|f| f.id == finding.id);
                prop_assert!(open.iter().chain(&changed).any(|i| holds(&i)), "lost {}", finding.id);
            }
        }
    }
}

#[test]
fn where_no_calls_are_known_the_same_shape_at_the_same_time_is_one() {
    use crate::finding::Course;
    // Quiet, then as `shape` says for ten minutes.
    let shaped = |service: &str, monitor: &str, minute: i64, shape: fn(i64) -> f32| {
        let deviations = (-19..=10).map(|i| (i * i % 7) as f32 / 7.0 + if i >= 0 { shape(i) } else { 0.0 }).collect();
        let course = Course { until: at(minute + 10), step: DurationMs::from_secs(60), deviations };
        Finding { course: Some(course), ..finding(service, monitor, at(minute)) }
    };
    let rises = |_| 9.0;
    let falls = |i| if i < 3 { 9.0 } else { 0.0 };
    let nowhere = Topology::default();
    let one = shaped("batch", "cpu", 0, rises);
    check(&nowhere, &[one.clone(), shaped("mail", "latency", 1, rises)], &[&["batch", "mail"]]);
    check(&nowhere, &[one.clone(), shaped("mail", "latency", 1, falls)], &[&["batch"], &["mail"]]);
    check(&nowhere, &[one.clone(), shaped("mail", "latency", 4, rises)], &[&["batch"], &["mail"]]);
    let apart = [labelled(one.clone(), &[("namespace", "a")]), labelled(shaped("mail", "latency", 1, rises), &[("namespace", "b")])];
    check(&nowhere, &apart, &[&["batch"], &["mail"]]);
    // Where calls are known they decide.
    check(&graph("web>batch web>mail"), &[one, shaped("mail", "latency", 1, rises)], &[&["batch"], &["mail"]]);
}
