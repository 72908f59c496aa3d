use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Restarts a deployment, without any rail but its allow-list.
pub(super) fn restart() -> Action {
    Action {
        name: "restart".to_owned(),
        method: Method::Post,
        url: "http://hooks:8080/restart".to_owned(),
        body: json!({"deployment": "{{deployment}}", "why": "{{title}} ({{incident}})", "wait": true, "tags": ["bellwether", "{{service}}"]}),
        dry_run: false,
        allow: BTreeMap::from([
            ("deployment".to_owned(), vec![Glob("pay*".to_owned())]),
            ("service".to_owned(), vec![Glob("*".to_owned())]),
        ]),
        only: Vec::new(),
        rate: Rate { most: 2, per: DurationMs::HOUR },
        needs_approval: false,
        least_confidence: 0.5,
        watch: DurationMs::from_secs(900),
    }
}

pub(super) fn values(deployment: &str) -> BTreeMap<String, String> {
    [("deployment", deployment), ("service", "payment"), ("title", "It \"leaks\""), ("incident", "inc-1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

#[test]
fn a_request_is_filled_and_escaped() {
    let request = restart().request(&values("payment")).unwrap();
    insta::assert_snapshot!(request.body, @r#"{"deployment":"payment","tags":["bellwether","payment"],"wait":true,"why":"It \"leaks\" (inc-1)"}"#);
    let mut without = values("payment");
    without.remove("incident");
    assert_eq!(restart().request(&without), Err("incident".to_owned()));
    assert_eq!(restart().placeholders(), ["deployment", "incident", "service", "title"]);
}

#[test]
fn what_is_called_has_a_fingerprint() {
    let other = |change: fn(&mut Action)| {
        let mut action = restart();
        change(&mut action);
        action.fingerprint() != restart().fingerprint()
    };
    assert!(!other(|_| ()));
    assert!(!other(|a| a.rate.most = 9), "a rail is not what is called");
    assert!(other(|a| a.url = "http://hooks:8080/other".to_owned()));
    assert!(other(|a| a.method = Method::Delete));
    assert!(other(|a| a.body = json!({})));
}

#[test]
fn worse_is_another_service_or_a_higher_score() {
    let extent = |services: &[&str], score| Extent { services: services.iter().map(ToString::to_string).collect(), score };
    let before = extent(&["cart", "payment"], 2.0);
    for (now, worse) in [
        (extent(&["cart", "payment"], 2.0), false),
        (extent(&["payment"], 2.3), false),
        (extent(&["payment"], 2.5), true),
        (extent(&["cart", "orders", "payment"], 0.0), true),
        (extent(&["payment"], f64::NAN), false),
    ] {
        assert_eq!(before.worsened(&now).is_some(), worse, "{now:?}");
    }
}

proptest! {
    /// Whatever a value is, it stays a value: the body is JSON of the same shape, and reads back as what was put in.
    #[test]
    fn values_never_leave_their_place(value in any::<String>()) {
        let body = restart().request(&values(&value)).unwrap().body;
        let read: Value = serde_json::from_str(&body).unwrap();
        prop_assert_eq!(read["deployment"].as_str(), Some(value.as_str()));
        prop_assert_eq!(read.as_object().unwrap().len(), 4);
        prop_assert_eq!(&read["wait"], &json!(true));
    }
}
