use super::*;

/// Three days of a shop of 14 services with eight incidents, learned from four days.
fn small(seed: u64) -> Plan {
    Plan {
        seed,
        services: 14,
        days: 2,
        incidents: 6,
        changes: 4,
        alerts_per_day: 10.0,
        window: DurationMs::DAY * 3,
        refit: DurationMs::DAY,
        patience: DurationMs::from_secs(600),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_campaign_is_found_joined_and_explained() {
    let pool = Pool::new(0).unwrap();
    let played = run(&pool, &small(2), |_| {}).await.unwrap();
    assert_eq!(played.faults.len(), 6);
    assert!(played.fired > 30 && played.events.len() >= played.fired * 2, "{} alerts", played.fired);
    let measured = judge(&played).unwrap();
    let value = |name: &str| measured.measures.iter().find(|m| m.name == name).and_then(|m| m.value).unwrap_or(f64::NAN);
    assert!(value("share of the injected found") >= 0.6, "{measured:#?}");
    assert!(value("F1 of pairs of findings") >= 0.5, "{measured:#?}");
    assert!(value("root in the top 3") >= 0.5, "{measured:#?}");
    assert!(value("incidents a day") <= 12.0, "{measured:#?}");
    // Alerts of the rules are in the incidents, and open none.
    assert!(measured.raised.iter().any(|r| r.events.0 > 0) && measured.raised.iter().all(|r| !r.findings.is_empty()));
    assert_eq!(judge(&played).unwrap(), measured);
}

#[test]
fn a_plan_without_sense_is_refused() {
    let refused = |plan: Plan| shop(&plan).unwrap_err().to_string();
    assert!(refused(Plan { days: 0, ..small(1) }).contains("days"));
    assert!(refused(Plan { services: 3, ..small(1) }).contains("services"));
    assert!(refused(Plan { window: DurationMs::HOUR, ..small(1) }).contains("window"));
}

#[test]
fn alerts_come_as_the_webhook_brings_them() {
    let from: Timestamp = FROM.parse().unwrap();
    let firing = Firing { alertname: "HighCpu", service: "cart".to_owned(), from, to: from + DurationMs::HOUR };
    let events = alerts(&[firing]).unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!((events[0].1.id.clone(), events[0].1.ends_at), (events[1].1.id.clone(), None));
    assert_eq!((events[1].1.ends_at, events[1].1.service.as_deref()), (Some(from + DurationMs::HOUR), Some("cart")));
    assert_eq!(events[0].0, from + TOLD_AFTER);
}

#[test]
fn forty_alerts_and_forty_findings_are_one_incident() {
    use crate::finding::{Direction, Finding, FindingKind};
    use crate::metric::{MetricKind, Unit};
    let from: Timestamp = FROM.parse().unwrap();
    let metrics = [MetricKind::Latency, MetricKind::Errors, MetricKind::Cpu, MetricKind::Memory, MetricKind::Saturation];
    let finding = |service: &str, metric: MetricKind, onset: Timestamp| {
        let key = SeriesKey::new([("service".to_owned(), service.to_owned())]);
        Finding {
            id: Finding::identity(metric.as_str(), &key, onset),
            monitor: metric.to_string(),
            service: service.to_owned(),
            key,
            metric,
            unit: Unit::None,
            kind: FindingKind::Deviation,
            direction: Direction::Up,
            onset,
            opened: onset,
            last_seen: onset + DurationMs::HOUR,
            ended: Some(onset + DurationMs::HOUR),
            value: 2.0,
            expected: 1.0,
            lower: 0.5,
            upper: 1.5,
            score: 2.0,
            p_value: 1e-9,
            evidence: Vec::new(),
            model: String::new(),
            reach: None,
            course: None,
        }
    };
    // Eight services, each calling the next, each a minute later than what it calls.
    let services: Vec<String> = (0..8).map(|i| format!("s{i}")).collect();
    let minute = DurationMs::from_secs(60);
    let (mut noticed, mut fired) = (Vec::new(), Vec::new());
    for (i, service) in services.iter().rev().enumerate() {
        let onset = from + minute * i as i64;
        for metric in metrics {
            let finding = finding(service, metric, onset);
            let closed = finding.ended;
            noticed.push(Noticed { finding, opened: onset + minute * 3, closed, scores: Vec::new() });
        }
        for alertname in ["HighLatency", "HighErrorRatio", "HighCpu", "HighMemory", "PoolAlmostFull"] {
            fired.push(Firing { alertname, service: service.clone(), from: onset + minute * 5, to: onset + DurationMs::HOUR });
        }
    }
    let played = Played {
        noticed,
        monitors: Vec::new(),
        calls: services.windows(2).map(|w| (w[0].clone(), w[1].clone())).collect(),
        events: alerts(&fired).unwrap(),
        faults: Vec::new(),
        fired: fired.len(),
        fired_rightly: 0,
        from,
        to: from + DurationMs::DAY,
        patience: DurationMs::from_secs(600),
    };
    let measured = judge(&played).unwrap();
    assert_eq!(measured.raised.len(), 1, "{:#?}", measured.raised);
    assert_eq!((measured.raised[0].findings.len(), measured.raised[0].events), (40, (40, 0)));
    assert_eq!(measured.raised[0].causes[0], "s7");
}
