use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A payload of version 4 as Alertmanager 0.25 writes it.
fn payload_of(alerts: &Value) -> Value {
    json!({
        "receiver": "bellwether", "status": "firing", "alerts": alerts, "groupLabels": {"alertname": "HighErrorRate"},
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am:9093", "version": "4",
        "groupKey": "{}:{alertname=\"HighErrorRate\"}", "truncatedAlerts": 0,
    })
}

fn firing() -> Value {
    json!({
        "status": "firing",
        "labels": {"alertname": "HighErrorRate", "service": "cart", "severity": "critical"},
        "annotations": {"summary": "5% of requests fail", "description": "See the dashboard."},
        "startsAt": "2026-01-01T10:00:00.123Z", "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up", "fingerprint": "5f972974ccf1ee9b",
    })
}

/// The firing alert with the member at `pointer` set to `value`, or taken away.
fn with(pointer: &str, value: impl Into<Option<Value>>) -> Value {
    let mut alert = firing();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let object = alert.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value.into() {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.remove(name),
    };
    alert
}

fn read(alerts: &[Value]) -> Result<Vec<Event>> {
    parse(payload_of(&json!(alerts)).to_string().as_bytes())
}

fn refusal(alert: Value) -> String {
    read(&[firing(), alert]).unwrap_err().to_string()
}

#[test]
fn an_alert_becomes_an_event() {
    insta::assert_json_snapshot!(read(&[firing()]).unwrap(), @r#"
    [
      {
        "id": "am-5f972974ccf1ee9b-1767261600123",
        "kind": "alert",
        "source": "alertmanager",
        "title": "HighErrorRate: 5% of requests fail",
        "description": "See the dashboard.",
        "service": "cart",
        "labels": {
          "alertname": "HighErrorRate",
          "service": "cart",
          "severity": "critical"
        },
        "starts_at": 1767261600123,
        "ends_at": null,
        "url": "http://prometheus:9090/graph?g0.expr=up"
      }
    ]
    "#);
}

#[test]
fn firing_then_resolved_is_one_event_and_a_later_occurrence_another() {
    let mut resolved = with("/status", json!("resolved"));
    resolved["endsAt"] = json!("2026-01-01T11:00:00+01:00");
    // Ten in the morning UTC is before the beginning by 123 ms.
    assert!(read(&[resolved.clone()]).is_err());
    resolved["endsAt"] = json!("2026-01-01T11:05:00+01:00");
    let (first, over) = (read(&[firing()]).unwrap().remove(0), read(&[resolved]).unwrap().remove(0));
    assert_eq!(first.id, over.id);
    assert_eq!((first.ends_at, over.ends_at.unwrap().to_string()), (None, "2026-01-01T10:05:00Z".to_owned()));
    let later = read(&[with("/startsAt", json!("2026-01-02T10:00:00Z"))]).unwrap().remove(0);
    assert_ne!(later.id, first.id);
}

#[test]
fn what_is_told_twice_in_one_payload_counts_once() {
    let events = read(&[firing(), with("/annotations/summary", json!("newer"))]).unwrap();
    assert_eq!(events.iter().map(|e| e.title.as_str()).collect::<Vec<_>>(), ["HighErrorRate: newer"]);
}

#[test]
fn our_own_alerts_are_left_out() {
    let own = with("/labels", json!({"alertname": ALERTNAME, "incident": "i-1", "service": "cart"}));
    assert_eq!(read(&[own]).unwrap(), []);
    assert_eq!(read(&[with("/labels/incident", json!("their-own"))]).unwrap().len(), 1);
}

#[test]
fn what_may_be_absent_is_tolerated() {
    assert_eq!(parse(br#"{"version":"4","alerts":[]}"#).unwrap(), []);
    let mut bare = with("/labels", json!({}));
    for field in ["annotations", "endsAt", "generatorURL"] {
        bare.as_object_mut().unwrap().remove(field);
    }
    let event = read(&[bare]).unwrap().remove(0);
    assert_eq!((event.title.as_str(), event.service, event.url), ("alert without a name", None, None));
    for (labels, service) in [
        (json!({"job": "api", "app": "shop"}), Some("shop")),
        (json!({"job": "api", "service": ""}), Some("api")),
        (json!({"instance": "a:1"}), None),
    ] {
        assert_eq!(read(&[with("/labels", labels)]).unwrap()[0].service.as_deref(), service);
    }
    for url in ["javascript:alert(1)", "", "ftp://x"] {
        assert_eq!(read(&[with("/generatorURL", json!(url))]).unwrap()[0].url, None);
    }
}

#[test]
fn long_texts_are_cut_without_losing_the_alert() {
    let event = read(&[with("/annotations/description", json!("ä".repeat(100_000)))]).unwrap().remove(0);
    assert_eq!(event.description.chars().count(), 4000);
}

#[test]
fn malformed_payloads_are_told_what_is_wrong() {
    let whole = |body: &str| parse(body.as_bytes()).unwrap_err().to_string();
    insta::assert_snapshot!(whole(""), @"body: not JSON (EOF while parsing a value at line 1 column 0); it must be Alertmanager's webhook payload");
    insta::assert_snapshot!(whole("{\"version\": \"4\", "), @"body: not JSON (EOF while parsing a value at line 1 column 17); it must be Alertmanager's webhook payload");
    insta::assert_snapshot!(whole("alert=1"), @"body: not JSON (expected value at line 1 column 1); it must be Alertmanager's webhook payload");
    insta::assert_snapshot!(whole("[]"), @"body: found a list of 0; it must be an object with `version` and `alerts`");
    insta::assert_snapshot!(whole("{}"), @r#"version: is missing; only the payload version "4" is understood; alerts: is missing; it must be a list of alerts"#);
    insta::assert_snapshot!(whole(r#"{"version": 4, "alerts": {}}"#), @r#"version: found 4; only the payload version "4" is understood; alerts: found an object; it must be a list of alerts"#);
    insta::assert_snapshot!(whole(r#"{"version": "3", "alerts": []}"#), @r#"version: found "3"; only the payload version "4" is understood"#);
    insta::assert_snapshot!(whole(r#"{"version": "4", "alerts": ["x", null]}"#), @r#"alerts[0]: found "x"; it must be an object with `status`, `labels` and `startsAt`; alerts[1]: found null; it must be an object with `status`, `labels` and `startsAt`"#);
    insta::assert_snapshot!(parse(b"\xff\xfe").unwrap_err(), @"body: not JSON (expected value at line 1 column 1); it must be Alertmanager's webhook payload");
    insta::assert_snapshot!(read(&vec![firing(); 1001]).unwrap_err(), @"alerts: 1001 alerts; at most 1000 are taken at once, set max_alerts of the receiver");
}

#[test]
fn malformed_alerts_are_told_what_is_wrong() {
    insta::assert_snapshot!(refusal(with("/status", json!("suppressed"))), @r#"alerts[1].status: found "suppressed"; it must be "firing" or "resolved""#);
    insta::assert_snapshot!(refusal(with("/status", None)), @r#"alerts[1].status: is missing; it must be "firing" or "resolved""#);
    insta::assert_snapshot!(refusal(with("/fingerprint", json!("../../etc"))), @r#"alerts[1].fingerprint: found "../../etc"; it must be 16 hexadecimal digits, as Alertmanager writes them since 0.19"#);
    insta::assert_snapshot!(refusal(with("/fingerprint", None)), @"alerts[1].fingerprint: is missing; it must be 16 hexadecimal digits, as Alertmanager writes them since 0.19");
    insta::assert_snapshot!(refusal(with("/startsAt", json!("yesterday"))), @r#"alerts[1].startsAt: found "yesterday"; it must be a time such as "2026-01-31T08:00:00Z""#);
    insta::assert_snapshot!(refusal(with("/startsAt", json!(1_767_261_600))), @r#"alerts[1].startsAt: found 1767261600; it must be a time such as "2026-01-31T08:00:00Z""#);
    insta::assert_snapshot!(refusal(with("/startsAt", json!("0001-01-01T00:00:00Z"))), @r#"alerts[1].startsAt: found "0001-01-01T00:00:00Z"; an alert must say when it began"#);
    insta::assert_snapshot!(refusal(with("/endsAt", json!("2026-01-01"))), @r#"alerts[1].endsAt: found "2026-01-01"; it must be a time such as "2026-01-31T08:00:00Z""#);
    insta::assert_snapshot!(refusal(with("/status", json!("resolved"))), @r#"alerts[1].endsAt: found "0001-01-01T00:00:00Z"; a resolved alert must say when it ended"#);
    insta::assert_snapshot!(refusal(with("/labels", json!([1]))), @"alerts[1].labels: found a list of 1; it must be an object of strings");
    insta::assert_snapshot!(refusal(with("/labels", None)), @"alerts[1].labels: is missing; it must be an object of strings");
    insta::assert_snapshot!(refusal(with("/labels/service", json!(7))), @"alerts[1].labels.service: found 7; it must be a string");
    insta::assert_snapshot!(refusal(with("/labels/service", json!("x".repeat(5000)))), @"alerts[1].labels.service: 5000 bytes; a label's value has at most 4096");
    insta::assert_snapshot!(refusal(with("/labels/", json!("nameless"))), @"alerts[1].labels.: a name of 0 bytes; it must have 1 to 256");
    insta::assert_snapshot!(refusal(with("/annotations/summary", json!({"a": 1}))), @"alerts[1].annotations.summary: found an object; it must be a string");
    insta::assert_snapshot!(refusal(with("/generatorURL", json!(false))), @"alerts[1].generatorURL: found false; it must be a URL");
    let many: serde_json::Map<String, Value> = (0..200).map(|i| (format!("l{i}"), json!("v"))).collect();
    insta::assert_snapshot!(refusal(with("/labels", json!(many))), @"alerts[1].labels: 200 members; at most 128 are taken");
}

#[test]
fn all_mistakes_are_told_at_once_up_to_a_limit() {
    let mut bad = with("/status", json!("x"));
    bad["startsAt"] = json!("y");
    bad["fingerprint"] = json!("z");
    let error = read(&[bad.clone()]).unwrap_err();
    let fields: Vec<&str> = error.violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["alerts[0].status", "alerts[0].fingerprint", "alerts[0].startsAt"]);
    let error = read(&vec![bad; 1000]).unwrap_err();
    assert_eq!(error.violations.len(), 21);
    assert_eq!(error.violations[20].description, "and 2980 more mistakes");
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&body);
    }

    #[test]
    fn no_value_in_any_place_makes_it_panic(
        field in prop::sample::select(vec!["/status", "/labels", "/annotations", "/startsAt", "/endsAt", "/fingerprint", "/labels/job"]),
        text in any::<String>(), number in any::<f64>(),
    ) {
        for value in [json!(text), json!(number), json!([text]), json!({&text: text}), Value::Null] {
            if let Err(error) = read(&[with(field, value)]) {
                prop_assert!(error.violations.iter().all(|v| v.field.starts_with("alerts[0].")), "{}", error);
            }
        }
    }
}
