//! Findings and events for the tests of this layer.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::clock::Timestamp;
use crate::event::{Event, EventKind};
use crate::finding::{Direction, Finding, FindingKind};
use crate::monitor::{MetricKind, Unit};
use crate::series::SeriesKey;

/// `minutes` after 2026-01-31T08:00:00Z.
pub fn at(minutes: i64) -> Timestamp {
    Timestamp::from_millis(1_769_846_400_000 + minutes * 60_000)
}

/// An open latency finding of 2.1 s where 180 ms were expected.
pub fn finding(service: &str, monitor: &str, onset: Timestamp) -> Finding {
    let key = SeriesKey::new([("service".to_owned(), service.to_owned())]);
    Finding {
        id: Finding::identity(monitor, &key, onset),
        monitor: monitor.to_owned(),
        service: service.to_owned(),
        key,
        metric: MetricKind::Latency,
        unit: Unit::Seconds,
        kind: FindingKind::Deviation,
        direction: Direction::Up,
        onset,
        opened: onset,
        last_seen: onset,
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

/// The same finding on a series with more labels.
pub fn labelled(mut finding: Finding, labels: &[(&str, &str)]) -> Finding {
    let more = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    finding.key = SeriesKey::new(finding.key.labels().clone().into_iter().chain(more));
    finding.id = Finding::identity(&finding.monitor, &finding.key, finding.onset);
    finding
}

/// The same finding of another kind of metric.
pub fn of(mut finding: Finding, metric: MetricKind, direction: Direction) -> Finding {
    (finding.metric, finding.direction) = (metric, direction);
    finding
}

/// An event that lasts, with nothing but a title.
pub fn event(id: &str, kind: EventKind, service: Option<&str>, starts_at: Timestamp) -> Event {
    Event {
        id: id.to_owned(),
        kind,
        source: "test".to_owned(),
        title: format!("{id} happened"),
        description: String::new(),
        service: service.map(str::to_owned),
        labels: BTreeMap::new(),
        starts_at,
        ends_at: None,
        url: None,
    }
}

/// A number that may be anything.
fn wild() -> impl Strategy<Value = f64> {
    prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(1e308), Just(0.0), 0.5..9.0_f64]
}

/// A finding of one of a few services and monitors, with any numbers in it, perhaps ended.
pub fn any_finding() -> impl Strategy<Value = Finding> {
    (0..4_u8, 0..4_u8, 0..12_usize, any::<bool>(), -60..60_i64, proptest::option::of(0..40_i64), (wild(), wild(), wild())).prop_map(
        |(service, monitor, metric, up, onset, lasted, (value, expected, score))| {
            let direction = if up { Direction::Up } else { Direction::Down };
            let metric = MetricKind::WORDS[metric].parse().unwrap();
            let ended = lasted.map(|minutes| at(onset + minutes));
            let base = of(finding(&format!("s{service}"), &format!("m{monitor}"), at(onset)), metric, direction);
            Finding { value, expected, score, ended, last_seen: ended.unwrap_or_else(|| at(60)), ..base }
        },
    )
}

/// An event of any kind at one of a few services, or at none.
pub fn any_event() -> impl Strategy<Value = Event> {
    (0..50_u8, 0..6_usize, proptest::option::of(0..4_u8), -120..60_i64).prop_map(|(id, kind, service, minute)| {
        let service = service.map(|s| format!("s{s}"));
        event(&format!("e{id}"), EventKind::WORDS[kind].parse().unwrap(), service.as_deref(), at(minute))
    })
}
