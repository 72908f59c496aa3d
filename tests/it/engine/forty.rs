//! Forty findings and forty alerts of ordinary rules are one alert, with cause, evidence, change and remedy.

use std::time::Duration;

use bellwether::clock::{Clock, DurationMs};
use bellwether::proto::event_service_client::EventServiceClient;
use bellwether::proto::{Event, EventKind, Incident, PublishEventsRequest};
use serde_json::{Value, json};

use super::api::Api;
use super::people::{People, active};
use super::shop::{Plan, Shop};
use super::until;
use crate::servers::Alertmanager;

const SOON: Duration = Duration::from_mins(2);
/// Two metrics each.
const SERVICES: usize = 20;

/// A tree of calls: `s00` is called by four, those by four each.
fn plan() -> Plan {
    let name = |i: usize| format!("s{i:02}");
    let calls = (1..SERVICES).map(|i| (name(i), name((i - 1) / 4))).collect();
    Plan { services: (0..SERVICES).map(name).collect(), calls, breaks: |_| true }
}

/// What the rules of a team say: two alerts for each service, handed over as Prometheus does.
async fn fire_rules(alertmanager: &str) {
    let alerts: Vec<Value> = (0..SERVICES)
        .flat_map(|i| ["QueueTooLong", "WorkTooSlow"].map(|rule| (rule, format!("s{i:02}"))))
        .map(|(rule, service)| json!({ "labels": { "alertname": rule, "service": service, "severity": "page" } }))
        .collect();
    let answer = reqwest::Client::new().post(format!("{alertmanager}/api/v2/alerts")).json(&alerts).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

async fn deploy(bellwether: &str) {
    let starts_at = Clock::System.now() - DurationMs::from_secs(60);
    let event = Event {
        kind: EventKind::Deployment.into(),
        title: "s00 2.0.0 deployed".to_owned(),
        service: "s00".to_owned(),
        labels: [("version".to_owned(), "2.0.0".to_owned())].into(),
        starts_at: Some(prost_types::Timestamp { seconds: starts_at.millis() / 1000, nanos: 0 }),
        ..Default::default()
    };
    let request = PublishEventsRequest { events: vec![event] };
    EventServiceClient::connect(bellwether.to_owned()).await.unwrap().publish_events(request).await.unwrap();
}

/// Whether everything that was found and told is in it.
fn is_whole(incident: &Incident) -> bool {
    let alerts = incident.events.iter().filter(|event| event.kind() == EventKind::Alert).count();
    incident.findings.len() == 2 * SERVICES && alerts == 2 * SERVICES
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_alerts_and_forty_findings_are_one_alert() {
    let shop = Shop::open_as(plan()).await;
    let people = People::listen().await;
    let told = Alertmanager::start(Some(&people.url()));
    let bellwether = shop.watch(Some(&told.url()));
    let api = Api(bellwether.url());
    let hook = format!("{}/webhook/alertmanager", bellwether.url());
    let route = "{receiver: b, group_by: [alertname], group_wait: 100ms, group_interval: 1s, repeat_interval: 24h}";
    let rules = Alertmanager::start_with(&format!("route: {route}\nreceivers: [{{name: b, webhook_configs: [{{url: '{hook}'}}]}}]\n"), &[]);
    until("every series has a model", SOON, async || api.is_fitted().await).await;

    deploy(&api.0).await;
    shop.break_it(true);
    until("something is found", SOON, async || !api.open().await.is_empty()).await;
    fire_rules(&rules.url()).await;
    let whole = async || {
        let open = api.open().await;
        let is_there = open.iter().any(is_whole);
        if !is_there {
            eprintln!("{:?}", open.iter().map(|i| (&i.title, i.findings.len(), i.events.len())).collect::<Vec<_>>());
        }
        is_there
    };
    until("all is one incident", SOON, whole).await;

    let all = api.incidents().await;
    let open = api.open().await;
    assert_eq!(open.len(), 1, "{:#?}", open.iter().map(|i| &i.title).collect::<Vec<_>>());
    let incident = &open[0];
    assert!(all.iter().all(|i| i.id == incident.id || i.merged_into == incident.id), "whatever else was opened is part of it");
    assert!(incident.events.iter().any(|event| event.kind() == EventKind::Deployment));
    assert_eq!(incident.causes[0].title, "s00 2.0.0 deployed", "{:#?}", incident.causes);
    until("Alertmanager has one alert", SOON, async || active(&told.url()).await.len() == 1).await;
    // What is written of it grows while it is sent.
    let says = async |name: &str, words: &str| {
        let alerts = active(&told.url()).await;
        alerts.len() == 1 && alerts[0]["annotations"][name].as_str().is_some_and(|text| text.contains(words))
    };
    for (name, words) in [
        ("summary", "and 39 more"),
        ("description", "How sure"),
        ("description", "and 34 more"),
        ("description", "What else happened"),
        ("likely_cause", "version 2.0.0 went out"),
        ("suggestions", "rollout undo deployment/s00"),
    ] {
        until(&format!("{name} says “{words}”"), SOON, async || says(name, words).await).await;
    }
    assert_eq!(people.incidents().await.len(), all.len(), "nobody is told of anything else");
}
