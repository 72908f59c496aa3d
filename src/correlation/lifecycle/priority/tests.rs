use super::*;
use crate::correlation::sample::{at, finding, labelled, of};
use crate::correlation::topology::{Call, CallSource};
use crate::monitor::Slo;

fn nobody(_: &str) -> Option<Monitor> {
    None
}

fn with(metric: MetricKind, score: f64) -> Finding {
    Finding { score, ..of(finding("payment", "m", at(0)), metric, Direction::Up) }
}

fn stating(severity: Option<Severity>, slo: Option<f64>, metric: MetricKind) -> impl Fn(&str) -> Option<Monitor> {
    let monitor = Monitor {
        metric,
        unit: Unit::Ratio,
        severity,
        slo: slo.map(|objective| Slo { objective }),
        ..Monitor::ad_hoc(DurationMs::HOUR, None)
    };
    move |_| Some(monitor.clone())
}

fn calls(pairs: &[(&str, &str)]) -> Topology {
    let call =
        |(caller, callee): &(&str, &str)| Call { caller: (*caller).into(), callee: (*callee).into(), source: CallSource::Configured };
    Topology::new(pairs.iter().map(call)).unwrap()
}

#[test]
fn the_score_alone_decides_only_as_far_as_users_feel_it() {
    let alone = Topology::default();
    for (metric, score, severity_is, priority_is) in [
        (MetricKind::Latency, 2.9, Severity::Warning, Priority::P3),
        (MetricKind::Latency, 3.0, Severity::Critical, Priority::P2),
        (MetricKind::Errors, 1.5, Severity::Critical, Priority::P2),
        (MetricKind::Errors, 6.0, Severity::Critical, Priority::P1),
        (MetricKind::Availability, 1.4, Severity::Warning, Priority::P3),
        (MetricKind::Cpu, f64::NAN, Severity::Warning, Priority::P5),
        (MetricKind::Cpu, 1.5, Severity::Warning, Priority::P4),
        (MetricKind::Cpu, 5.9, Severity::Warning, Priority::P3),
        (MetricKind::Cpu, f64::INFINITY, Severity::Critical, Priority::P2),
        (MetricKind::Traffic, 3.0, Severity::Warning, Priority::P3),
    ] {
        let findings = [with(metric, score)];
        assert_eq!(severity(&findings, &alone, &nobody), severity_is, "{metric} {score}");
        assert_eq!(priority(&findings, &alone, &nobody).priority, priority_is, "{metric} {score}");
    }
    let lost = [Finding { direction: Direction::Down, ..with(MetricKind::Traffic, 3.0) }];
    assert_eq!(severity(&lost, &alone, &nobody), Severity::Critical, "lost traffic is felt");
}

#[test]
fn what_a_monitor_states_comes_first() {
    let alone = Topology::default();
    let (strong, weak) = ([with(MetricKind::Errors, 9.0)], [with(MetricKind::Cpu, 1.1)]);
    for (stated, of_strong, of_weak) in [
        (Severity::Info, Priority::P4, Priority::P5),
        (Severity::Warning, Priority::P1, Priority::P4),
        (Severity::Critical, Priority::P1, Priority::P2),
    ] {
        let monitor = stating(Some(stated), None, MetricKind::Errors);
        assert_eq!(severity(&strong, &alone, &monitor), stated);
        let judged = [priority(&strong, &alone, &monitor), priority(&weak, &alone, &monitor)];
        assert_eq!(judged.each_ref().map(|j| j.priority), [of_strong, of_weak], "{stated}");
    }
    // One that states nothing is judged beside one that states something.
    let monitor = |name: &str| (name == "m").then(|| stating(Some(Severity::Info), None, MetricKind::Errors)("m")).flatten();
    let other = Finding { monitor: "other".to_owned(), ..with(MetricKind::Errors, 9.0) };
    assert_eq!(severity(&[weak[0].clone(), other], &alone, &monitor), Severity::Critical);
}

#[test]
fn burning_the_budget_says_it_better_than_the_score() {
    let alone = Topology::default();
    for (errors, priority_is, part) in [
        (0.02, Priority::P2, "errors of payment burn the budget of 99.9 % 20 times as fast as it lasts; 1 service"),
        (0.0144, Priority::P2, "14 times"),
        (0.007, Priority::P2, "7.0 times"),
        (0.003, Priority::P3, "3.0 times"),
        (0.0005, Priority::P5, "0.5 times"),
    ] {
        let burning = [Finding { value: errors, score: 1.1, ..with(MetricKind::Errors, 1.1) }];
        let judged = priority(&burning, &alone, &stating(None, Some(0.999), MetricKind::Errors));
        assert_eq!(judged.priority, priority_is, "{errors}: {judged:?}");
        assert!(judged.why.contains(part), "{}", judged.why);
    }
    let gone = [Finding { value: 0.9, score: 2.0, ..with(MetricKind::Availability, 2.0) }];
    let judged = priority(&gone, &alone, &stating(None, Some(0.99), MetricKind::Availability));
    assert!(judged.why.contains("availability of payment burn the budget of 99 % 10"), "{}", judged.why);
    // Seconds and counts cannot be held against an objective.
    let slow = [with(MetricKind::Latency, 2.0)];
    assert!(!priority(&slow, &alone, &stating(None, Some(0.99), MetricKind::Latency)).why.contains("budget"));
}

#[test]
fn width_adds_and_what_is_over_does_not() {
    let topology = calls(&[("gateway", "orders"), ("orders", "payment"), ("orders", "stock"), ("edge", "gateway"), ("far", "edge")]);
    let errors = with(MetricKind::Errors, 1.2);
    let narrow = priority(std::slice::from_ref(&errors), &Topology::default(), &nobody);
    let called = priority(std::slice::from_ref(&errors), &topology, &nobody);
    assert_eq!(narrow.why, "errors of payment with a score of 1.2, which users feel; 1 service");
    assert_eq!(called.why, "errors of payment with a score of 1.2, which users feel; 1 service, 3 callers", "not those further up");
    assert!((called.weight / narrow.weight - 2.5_f64.sqrt()).abs() < 1e-9);
    let orders = Finding { service: "orders".to_owned(), ..labelled(errors.clone(), &[("s", "2")]) };
    let both = priority(&[errors.clone(), orders.clone()], &topology, &nobody);
    assert!(both.weight > called.weight && both.why.ends_with("2 services, 3 callers"), "{both:?}");
    assert_eq!((called.priority, both.priority), (Priority::P2, Priority::P2));
    let over = Finding { ended: Some(at(5)), ..orders };
    assert_eq!(priority(&[errors, over.clone()], &topology, &nobody), called, "what is over weighs no more");
    assert!(priority(&[over], &topology, &nobody).weight > 0.0, "unless all is over");
    assert_eq!(priority(&[], &topology, &nobody).priority, Priority::P5);
}

#[test]
fn a_limit_is_the_more_urgent_the_nearer_it_is() {
    let reaching = |hours: Option<i64>| {
        let expected = hours.map(|hours| at(hours * 60));
        let reach = Reach { expected, earliest: expected, latest: None, chance: 0.9 };
        [Finding { last_seen: at(0), reach: Some(reach), ..with(MetricKind::Disk, 1.0) }]
    };
    let alone = Topology::default();
    for (hours, severity_is, priority_is) in [
        (Some(0), Severity::Critical, Priority::P2),
        (Some(4), Severity::Critical, Priority::P2),
        (Some(5), Severity::Warning, Priority::P3),
        (Some(12), Severity::Warning, Priority::P4),
        (Some(48), Severity::Warning, Priority::P5),
        (None, Severity::Warning, Priority::P5),
    ] {
        let findings = reaching(hours);
        assert_eq!(severity(&findings, &alone, &nobody), severity_is, "{hours:?}");
        assert_eq!(priority(&findings, &alone, &nobody).priority, priority_is, "{hours:?}");
    }
    assert!(priority(&reaching(Some(4)), &alone, &nobody).why.starts_with("disk of payment reaches its limit in 4 hours"));
}
