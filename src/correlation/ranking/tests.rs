use proptest::prelude::*;

use super::*;
use crate::correlation::feedback::Learned;
use crate::correlation::sample::{any_event, any_finding, at, event, finding, labelled, of};

fn causes(findings: &[Finding], events: &[Event]) -> Vec<Cause> {
    super::causes(findings, events, &Topology::default(), Learned::default().of(""))
}

#[test]
fn a_callee_in_trouble_explains_its_callers() {
    use crate::correlation::topology::{Call, CallSource};
    let call = |caller: &str, callee: &str| Call { caller: caller.to_owned(), callee: callee.to_owned(), source: CallSource::Measured };
    let topology = Topology::new([call("web", "cart"), call("cart", "payment")]).unwrap();
    let at_once = [finding("web", "latency", at(0)), finding("cart", "latency", at(0)), finding("payment", "latency", at(1))];
    let found = super::causes(&at_once, &[], &topology, Learned::default().of(""));
    let services: Vec<&str> = found.iter().map(|cause| cause.service.as_str()).collect();
    assert_eq!(services[0], "payment", "{found:#?}");
    assert!(found[0].weight > 0.75, "{found:#?}");
    assert!(found[1].reason.contains("it calls "), "{found:#?}");
    // Without the calls the first is the likeliest.
    assert_ne!(causes(&at_once, &[])[0].service, "payment");
    // A callee that follows much later explains nothing.
    let late = [finding("web", "latency", at(0)), finding("cart", "latency", at(9))];
    assert_eq!(super::causes(&late, &[], &topology, Learned::default().of(""))[0].service, "web");
}

fn lines(causes: &[Cause]) -> String {
    causes.iter().map(|c| format!("{:.2} {} | {}", c.weight, c.title, c.reason)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_deployment_just_before_leads() {
    let mut release = event("payment 2.4.1", EventKind::Deployment, Some("payment"), at(-3));
    release.labels.insert("version".into(), "2.4.1".into());
    let flag = event("new-basket on", EventKind::FeatureFlag, Some("payment"), at(-40));
    let elsewhere = event("search 7", EventKind::Deployment, Some("search"), at(-1));
    let alert = event("PaymentSlow", EventKind::Alert, Some("payment"), at(-1));
    let found = causes(&[finding("payment", "latency", at(0)), finding("cart", "latency", at(4))], &[alert, elsewhere, flag, release]);
    insta::assert_snapshot!(lines(&found), @r#"
0.54 payment 2.4.1 happened | version 2.4.1 went out 3 minutes before payment's latency left its course
0.34 new-basket on happened | “new-basket on happened” (feature flag) happened 40 minutes before payment's latency left its course
0.07 payment: latency up | payment's latency was the first to leave its course, at 2026-01-31T08:00:00Z: 2.1s, expected 180ms
0.06 cart: latency up | cart's latency left its course 4 minutes after the first: 2.1s, expected 180ms
"#);
}

#[test]
fn a_resource_leads_symptoms_that_began_at_about_the_same_time() {
    let symptom = finding("checkout", "latency", at(0));
    let resource = labelled(of(finding("payment", "memory", at(1)), MetricKind::Memory, Direction::Up), &[("pod", "a")]);
    let twin = labelled(of(finding("payment", "memory", at(1)), MetricKind::Memory, Direction::Up), &[("pod", "b")]);
    let late = of(finding("cart", "cpu", at(30)), MetricKind::Cpu, Direction::Up);
    insta::assert_snapshot!(lines(&causes(&[late, symptom, resource, twin], &[])), @r#"
0.67 payment: memory up in 2 series | payment's memory left its course 1 minute after the first, which is at once: 2.1s, expected 180ms; resources tend to fail before the symptoms they cause
0.32 checkout: latency up | checkout's latency was the first to leave its course, at 2026-01-31T08:00:00Z: 2.1s, expected 180ms
0.01 cart: cpu up | cart's cpu left its course 30 minutes after the first: 2.1s, expected 180ms; resources tend to fail before the symptoms they cause
"#);
}

#[test]
fn changes_outside_the_hour_or_after_the_onset_are_no_causes() {
    for minute in [-61, 3, 30] {
        let change = event("change", EventKind::Deployment, Some("payment"), at(minute));
        let found = causes(&[finding("payment", "latency", at(0))], &[change]);
        assert_eq!(found.len(), 1, "{minute}");
        assert_eq!(found[0].title, "payment: latency up");
    }
    for minute in [-60, 0, 2] {
        let change = event("change", EventKind::Deployment, Some("payment"), at(minute));
        assert_eq!(causes(&[finding("payment", "latency", at(0))], &[change]).len(), 2, "{minute}");
    }
}

#[test]
fn a_change_without_a_service_counts_by_its_labels() {
    let mut change = event("node drained", EventKind::Other, None, at(-2));
    change.labels.insert("instance".into(), "node-7:9100".into());
    let series = labelled(finding("node", "disk", at(0)), &[("instance", "node-7:9100")]);
    assert_eq!(causes(std::slice::from_ref(&series), std::slice::from_ref(&change)).len(), 1, "`other` is no change");
    change.kind = EventKind::Configuration;
    assert_eq!(
        causes(&[series], &[change])[0].reason,
        "“node drained happened” (configuration) happened 2 minutes before node's latency left its course"
    );
}

#[test]
fn nothing_found_has_no_cause() {
    assert_eq!(causes(&[], &[event("e", EventKind::Deployment, Some("s"), at(0))]), []);
}

proptest! {
    #[test]
    fn weights_sum_to_one_and_order_does_not_matter(
        findings in proptest::collection::vec(any_finding(), 1..12),
        events in proptest::collection::vec(any_event(), 0..8),
        seed in any::<u64>(),
    ) {
        // One event per id, as everywhere.
        let events: Vec<Event> = events.into_iter().map(|e| (e.id.clone(), e)).collect::<BTreeMap<_, _>>().into_values().collect();
        let found = causes(&findings, &events);
        prop_assert!(!found.is_empty() && found.len() <= MOST_CAUSES);
        prop_assert!((found.iter().map(|c| c.weight).sum::<f64>() - 1.0).abs() < 1e-9);
        prop_assert!(found.windows(2).all(|pair| pair[0].weight >= pair[1].weight));
        prop_assert!(found.iter().all(|c| c.weight.is_finite() && !c.reason.is_empty()));

        let (mut findings, mut events) = (findings, events);
        let (turn, other) = (seed as usize % findings.len(), seed as usize % events.len().max(1));
        findings.rotate_left(turn);
        findings.reverse();
        events.rotate_left(other);
        prop_assert_eq!(causes(&findings, &events), found);
    }
}
