use proptest::prelude::*;

use super::*;
use crate::incident::{Cause, IncidentState};

fn incident() -> Incident {
    serde_json::from_str(include_str!("../../../tests/fixtures/incident.json")).unwrap()
}

/// As a person sees it.
fn show(alert: &Alert) -> String {
    let mut text = String::new();
    for (kind, map) in [("label", &alert.labels), ("annotation", &alert.annotations)] {
        for (name, value) in map {
            let _ = writeln!(text, "{kind} {name}: {}", value.replace('\n', "\n    "));
        }
    }
    let ends = alert.ends_at.map_or("never".to_owned(), |t| t.to_string());
    let _ = write!(text, "starts {} ends {ends}\nfrom {}", alert.starts_at, alert.generator_url);
    text
}

#[test]
fn an_open_incident() {
    insta::assert_snapshot!(show(&compose(&incident(), "https://bellwether.example.com/")), @r#"
    label alertname: BellwetherIncident
    label incident: i-7f3a9c
    label monitor: http-latency-p99
    label service: checkout
    label severity: critical
    annotation description: latency {route="/pay",service="checkout"}: 1.25s since 2026-01-01T10:00:00Z, above the expected 210ms (normal is 150ms to 312ms); monitor http-latency-p99
        How sure: very, with an anomaly score of 3.2 where 1 is the bound; by chance one point in 80,000 is as unusual (p = 1.3e-5).
        Further findings:
        - errors {code="500",service="checkout"}: 12.5% from 2026-01-01T10:01:00Z to 2026-01-01T10:06:00Z, above the expected 0.1% (normal is at most 1.25%); monitor http-errors
        What else happened:
        - 2026-01-01T09:59:00Z checkout 1.42.0: deployment
    annotation incident_url: https://bellwether.example.com/incidents/i-7f3a9c
    annotation likely_cause: Deployment checkout 1.42.0 (75%): it went out 1 minute before the first finding
        Also possible:
        - payment: latency (25%): checkout calls payment, whose latency rose as well
    annotation runbook_url: https://runbooks.example.com/latency-after-deployment
    annotation suggestions: A new version is slower than the one before:
        1. Compare the latency of the old and the new version.
        2. Roll back if the new one is slower.
           PromQL: histogram_quantile(0.99, sum by (le, version) (rate(http_request_duration_seconds_bucket{service="checkout"}[5m])))
           Run: kubectl rollout undo deployment/checkout
        Requests fail more often than usual:
        3. Read the newest error logs.
           Run: kubectl logs deployment/checkout --since=15m
    annotation summary: checkout: latency is far above normal, after a deployment
    starts 2026-01-01T10:00:00Z ends never
    from https://bellwether.example.com/incidents/i-7f3a9c
    "#);
}

#[test]
fn a_resolved_incident_keeps_its_labels() {
    let open = incident();
    let mut over = open.clone();
    over.state = IncidentState::Resolved;
    over.resolved = Some(Timestamp::from_millis(1_767_263_130_500));
    over.findings[0].ended = Some(Timestamp::from_millis(1_767_263_000_000));
    let alert = compose(&over, "http://localhost:9600");
    assert_eq!(alert.labels, compose(&open, "http://localhost:9600").labels);
    insta::assert_snapshot!(show(&alert), @r#"
    label alertname: BellwetherIncident
    label incident: i-7f3a9c
    label monitor: http-latency-p99
    label service: checkout
    label severity: critical
    annotation description: Resolved 2026-01-01T10:25:30.5Z, after 25m.
        latency {route="/pay",service="checkout"}: 1.25s from 2026-01-01T10:00:00Z to 2026-01-01T10:23:20Z, above the expected 210ms (normal is 150ms to 312ms); monitor http-latency-p99
        How sure: very, with an anomaly score of 3.2 where 1 is the bound; by chance one point in 80,000 is as unusual (p = 1.3e-5).
        Further findings:
        - errors {code="500",service="checkout"}: 12.5% from 2026-01-01T10:01:00Z to 2026-01-01T10:06:00Z, above the expected 0.1% (normal is at most 1.25%); monitor http-errors
        What else happened:
        - 2026-01-01T09:59:00Z checkout 1.42.0: deployment
    annotation incident_url: http://localhost:9600/incidents/i-7f3a9c
    annotation likely_cause: Deployment checkout 1.42.0 (75%): it went out 1 minute before the first finding
        Also possible:
        - payment: latency (25%): checkout calls payment, whose latency rose as well
    annotation runbook_url: https://runbooks.example.com/latency-after-deployment
    annotation suggestions: A new version is slower than the one before:
        1. Compare the latency of the old and the new version.
        2. Roll back if the new one is slower.
           PromQL: histogram_quantile(0.99, sum by (le, version) (rate(http_request_duration_seconds_bucket{service="checkout"}[5m])))
           Run: kubectl rollout undo deployment/checkout
        Requests fail more often than usual:
        3. Read the newest error logs.
           Run: kubectl logs deployment/checkout --since=15m
    annotation summary: checkout: latency is far above normal, after a deployment
    starts 2026-01-01T10:00:00Z ends 2026-01-01T10:25:30.5Z
    from http://localhost:9600/incidents/i-7f3a9c
    "#);
}

#[test]
fn a_bare_incident_says_only_what_is_known() {
    let mut bare = incident();
    bare.service = String::new();
    bare.findings.clear();
    bare.events.clear();
    bare.causes.clear();
    bare.suggestions.clear();
    insta::assert_snapshot!(show(&compose(&bare, "")), @"
    label alertname: BellwetherIncident
    label incident: i-7f3a9c
    label monitor: http-latency-p99
    label severity: critical
    annotation incident_url: /incidents/i-7f3a9c
    annotation summary: checkout: latency is far above normal, after a deployment
    starts 2026-01-01T10:00:00Z ends never
    from /incidents/i-7f3a9c
    ");
}

#[test]
fn long_lists_and_texts_are_cut() {
    let mut long = incident();
    long.title = "ä".repeat(5000);
    long.findings = (0..50).map(|_| long.findings[0].clone()).collect();
    long.causes = (0..50).map(|i| Cause { title: format!("cause {i}"), reason: "é".repeat(900), ..long.causes[0].clone() }).collect();
    long.suggestions[0].steps = vec!["step ".repeat(300); 10];
    let alert = compose(&long, "http://localhost");
    for name in ["summary", "likely_cause", "suggestions"] {
        let value = &alert.annotations[name];
        assert!((4000..=4096).contains(&value.len()) && value.ends_with('…'), "{name}: {}", value.len());
    }
    assert!(alert.annotations["description"].contains("- and 44 more"));
}

#[test]
fn odd_numbers_are_put_into_words() {
    let mut f = incident().findings.remove(0);
    (f.score, f.p_value) = (f64::NAN, f64::NAN);
    insta::assert_snapshot!(sureness(&f), @"not known, with an anomaly score of unknown where 1 is the bound; how rare this is by chance is not known");
    (f.score, f.p_value) = (1e308, 0.0);
    insta::assert_snapshot!(sureness(&f), @"very, with an anomaly score of 1.0e308 where 1 is the bound; by chance less than one point in a billion is as unusual");
    (f.score, f.p_value) = (1.0, 0.25);
    insta::assert_snapshot!(sureness(&f), @"just beyond the bound, with an anomaly score of 1.0 where 1 is the bound; by chance one point in 4 is as unusual (p = 0.25)");
    (f.value, f.expected, f.lower, f.upper) = (f64::INFINITY, f64::NAN, f64::NEG_INFINITY, 1e308);
    insta::assert_snapshot!(statement(&f), @r#"latency {route="/pay",service="checkout"}: none since 2026-01-01T10:00:00Z, above the expected none (normal is at most 1.16e303d); monitor http-latency-p99"#);
}

#[test]
fn names_and_values_become_what_every_alertmanager_accepts() {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let odd = Alert {
        labels: map(&[("9lives", "x"), ("a-b.c", " y\u{0}\nz "), ("empty", "\t"), ("", "nameless")]),
        annotations: map(&[("größe", "two\nlines\u{7}")]),
        starts_at: Timestamp::from_millis(10_000),
        ends_at: Some(Timestamp::from_millis(5000)),
        generator_url: "http://localhost".to_owned(),
    };
    insta::assert_snapshot!(show(&sanitise(odd)), @"
    label _: nameless
    label _9lives: x
    label a_b_c: y  z
    annotation gr__e: two
        lines
    starts 1970-01-01T00:00:10Z ends 1970-01-01T00:00:10Z
    from http://localhost
    ");
}

fn valid_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

proptest! {
    #[test]
    fn whatever_the_incident_holds_the_alert_is_valid(
        text in "\\PC{0,400}", long in any::<String>(), id in any::<String>(), value in any::<f64>(), p in any::<f64>(), end in any::<i64>(),
    ) {
        let mut odd = incident();
        (odd.id, odd.title, odd.service, odd.monitor) = (id, long.repeat(20), text.clone(), text);
        (odd.findings[0].value, odd.findings[0].score, odd.findings[1].p_value) = (value, value, p);
        odd.resolved = Some(Timestamp::from_millis(end));
        let alert = compose(&odd, "http://localhost:9600");
        prop_assert!(alert.labels.iter().all(|(n, v)| valid_name(n) && !v.is_empty() && v.len() <= 256));
        prop_assert!(alert.annotations.iter().all(|(n, v)| valid_name(n) && !v.is_empty() && v.len() <= 4096));
        prop_assert!(alert.ends_at.unwrap() >= alert.starts_at);
        prop_assert!(alert.generator_url.is_ascii());
        prop_assert_eq!(sanitise(alert.clone()), alert);
    }

    #[test]
    fn label_names_are_valid(name in any::<String>()) {
        prop_assert!(valid_name(&label_name(&name)));
    }
}
