use super::*;
use crate::finding::{Direction, FindingKind};
use crate::metric::{MetricKind, Unit};
use crate::series::SeriesKey;
use crate::simulator::campaign::Touch;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(1_767_571_200_000 + minute * 60_000)
}

fn finding(service: &str, onset: i64) -> Finding {
    let key = SeriesKey::new([("service".to_owned(), service.to_owned())]);
    Finding {
        id: Finding::identity("latency", &key, at(onset)),
        monitor: "latency".to_owned(),
        service: service.to_owned(),
        key,
        metric: MetricKind::Latency,
        unit: Unit::Seconds,
        kind: FindingKind::Deviation,
        direction: Direction::Up,
        onset: at(onset),
        opened: at(onset),
        last_seen: at(onset + 10),
        ended: None,
        value: 2.0,
        expected: 1.0,
        lower: 0.5,
        upper: 1.5,
        score: 2.0,
        p_value: 1e-6,
        evidence: Vec::new(),
        model: String::new(),
        reach: None,
        course: None,
    }
}

fn fault(root: &str, onset: i64, services: &[&str]) -> Fault {
    let touch = |service: &&str| Touch { service: (*service).to_owned(), metric: MetricKind::Latency, from: at(onset), to: at(onset + 30) };
    Fault {
        kind: FaultKind::CpuSaturation,
        root: root.to_owned(),
        onset: at(onset),
        end: at(onset + 30),
        size: 0.5,
        change: None,
        touches: services.iter().map(touch).collect(),
    }
}

fn raised(id: &str, told: i64, findings: &[Finding], causes: &[&str]) -> Raised {
    Raised {
        id: id.to_owned(),
        told: at(told),
        findings: findings.iter().map(|f| (f.id.clone(), (at(told), f.clone()))).collect(),
        causes: causes.iter().map(|&c| c.to_owned()).collect(),
        early_causes: Vec::new(),
        ..Raised::default()
    }
}

fn terms() -> Terms {
    Terms { from: at(0), to: at(1440), fired: 100, fired_rightly: 5 }
}

fn value(measured: &Measured, name: &str) -> Option<f64> {
    measured.measures.iter().find(|m| m.name == name).and_then(|m| m.value)
}

#[test]
fn a_finding_is_of_what_moved_its_series_then() {
    let faults = [fault("a", 100, &["a", "b"]), fault("c", 120, &["c", "b"])];
    let of = |service: &str, onset| fault_of(&faults, &finding(service, onset));
    assert_eq!([of("a", 97), of("a", 96), of("a", 135), of("a", 136)], [Some(0), None, Some(0), None]);
    assert_eq!([of("b", 108), of("b", 118), of("d", 110)], [Some(0), Some(1), None]);
    let errors = Finding { metric: MetricKind::Errors, ..finding("a", 101) };
    assert_eq!(fault_of(&faults, &errors), None);
}

#[test]
fn all_right_is_one() {
    let faults = [fault("a", 100, &["a", "b"]), fault("c", 500, &["c"])];
    let all =
        vec![raised("one", 104, &[finding("a", 100), finding("b", 102)], &["b", "a"]), raised("two", 503, &[finding("c", 500)], &["c"])];
    let measured = measure(&faults, all, terms());
    assert_eq!(value(&measured, "incidents a day"), Some(2.0));
    assert_eq!(value(&measured, "share of them real"), Some(1.0));
    assert_eq!(value(&measured, "share of the injected found"), Some(1.0));
    assert_eq!(value(&measured, "median minutes to detect"), Some(4.0));
    assert_eq!(value(&measured, "F1 of pairs of findings"), Some(1.0));
    assert_eq!(value(&measured, "root in the top 3"), Some(1.0));
    assert_eq!((measured.first, measured.noise_in), (Some(0.5), Some(0.95)));
    assert!(measured.measures.iter().all(|m| m.is_met), "{measured:?}");
    assert_eq!((measured.kinds.len(), measured.kinds[0].injected, measured.kinds[0].found), (1, 2, 2));
}

#[test]
fn noise_what_is_late_and_what_is_torn_apart_count_against_it() {
    let faults = [fault("a", 100, &["a", "b", "c"]), fault("z", 700, &["z"]), fault("y", 900, &["y"])];
    let noise = [finding("x", 300), finding("x", 310), finding("a", 305)];
    let all = vec![
        raised("one", 104, &[finding("a", 100), finding("b", 102), noise[0].clone()], &["x", "b", "c", "a"]),
        raised("two", 106, &[finding("c", 105)], &["c"]),
        raised("three", 312, &noise[1..], &["x"]),
        // Known when it was over.
        raised("four", 735, &[finding("z", 731)], &["z"]),
    ];
    let measured = measure(&faults, all, terms());
    assert_eq!((measured.false_incidents, measured.noise_findings, measured.findings), (1, 3, 7));
    assert_eq!(value(&measured, "share of the injected found"), Some(1.0 / 3.0));
    assert_eq!((measured.precision, measured.recall), (Some(1.0 / 4.0), Some(1.0 / 3.0)));
    assert_eq!(value(&measured, "root in the top 3"), Some(0.0));
    assert_eq!(measured.outcomes[0].rank, Some(4));
    assert_eq!(measured.outcomes[0].incidents, ["one", "two"]);
}

#[test]
fn what_became_part_of_another_was_told_too() {
    let faults = [fault("a", 100, &["a", "b"])];
    let merged = Raised { merged_into: Some("one".to_owned()), ..raised("two", 103, &[finding("b", 101)], &["b"]) };
    let all = vec![raised("one", 104, &[finding("a", 100), finding("b", 101)], &["a"]), merged];
    let measured = measure(&faults, all, terms());
    assert_eq!((measured.incidents, measured.merged, measured.false_incidents), (2, 1, 0));
    assert_eq!(value(&measured, "F1 of pairs of findings"), Some(1.0));
    assert_eq!(measured.outcomes[0].minutes_to_detect, Some(3.0), "the first to know of it counts");
}

#[test]
fn nothing_at_all_is_no_number() {
    let measured = measure(&[], Vec::new(), terms());
    assert_eq!(value(&measured, "share of them real"), None);
    assert!(!measured.measures[1].is_met && measured.measures[0].is_met);
}
