//! Fourteen days of over two hundred series at one a minute, no configuration file, and something going wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufWriter;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bellwether::clock::{Clock, DurationMs, Timestamp};
use bellwether::event::Event;
use bellwether::proto::event_service_client::EventServiceClient;
use bellwether::proto::{EventKind, Incident, IncidentState, PublishEventsRequest};
use bellwether::simulator::{Config, IncidentKind, Plan};
use serde_json::Value;

use super::api::{Api, time};
use super::people::{People, active};
use super::until;
use crate::process::Bellwether;
use crate::servers::{self, Alertmanager, Prometheus};

/// From the start of the process until every series has a model.
const FITTED: Duration = Duration::from_mins(3);
/// From the evaluation that first sees an anomaly until Alertmanager has it.
const DELIVERED: DurationMs = DurationMs::from_secs(30);
/// Five points in a row must be normal, a minute apart, and the evaluation of the last comes within another minute.
const RESOLVED: Duration = Duration::from_mins(30);
const SOON: Duration = Duration::from_secs(30);
const LEAST_SERIES: i32 = 200;
const MOST_MEMORY: u64 = 1 << 30;
const MINUTE: DurationMs = DurationMs::from_secs(60);

/// When Alertmanager was first seen to have an incident, and every set of labels it had it under.
type Arrivals = Arc<Mutex<BTreeMap<String, (Timestamp, BTreeSet<String>)>>>;

/// Looks ten times a second what Alertmanager has.
fn keep_looking(alertmanager: String) -> (Arrivals, tokio::task::JoinHandle<()>) {
    let arrivals = Arrivals::default();
    let seen = Arc::clone(&arrivals);
    let task = tokio::spawn(async move {
        loop {
            for alert in active(&alertmanager).await {
                let incident = alert["labels"]["incident"].as_str().unwrap().to_owned();
                let mut seen = seen.lock().unwrap();
                let entry = seen.entry(incident).or_insert_with(|| (Clock::System.now(), BTreeSet::new()));
                entry.1.insert(alert["labels"].to_string());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    (arrivals, task)
}

/// Tells the engine of a deployment, as a pipeline would.
async fn publish(url: &str, changes: &[Event]) {
    let events = changes.iter().map(|change| bellwether::proto::Event {
        kind: EventKind::Deployment.into(),
        source: "pipeline".to_owned(),
        title: change.title.clone(),
        service: change.service.clone().unwrap_or_default(),
        labels: change.labels.clone().into_iter().collect(),
        starts_at: Some(prost_types::Timestamp { seconds: change.starts_at.millis() / 1000, nanos: 0 }),
        ..Default::default()
    });
    let request = PublishEventsRequest { events: events.collect() };
    EventServiceClient::connect(url.to_owned()).await.unwrap().publish_events(request).await.unwrap();
}

fn told(incident: &Incident) -> String {
    let findings = incident.findings.iter().map(|f| format!("\n    {} {:?} score {:.1}", f.monitor, f.labels, f.score));
    format!("  {} {:?} {}{}", incident.id, incident.state(), incident.title, findings.collect::<String>())
}

/// What is asked of the alert of an incident that lasts.
async fn check(alert: &Value, incident: &Incident, api: &Api) {
    let text = |at: &str| alert.pointer(at).and_then(Value::as_str).unwrap_or_else(|| panic!("no {at} in {alert:#}")).to_owned();
    let names: Vec<_> = alert["labels"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["alertname", "incident", "monitor", "service", "severity"]);
    assert_eq!(text("/labels/alertname"), "BellwetherIncident");
    assert!(["info", "warning", "critical"].contains(&text("/labels/severity").as_str()), "{alert:#}");
    for name in ["summary", "description", "likely_cause", "suggestions", "runbook_url"] {
        assert!(!text(&format!("/annotations/{name}")).is_empty(), "{name}");
    }
    for words in ["expected", "normal is", "since", "How sure"] {
        assert!(text("/annotations/description").contains(words), "{words} in {alert:#}");
    }
    let (id, service) = (&incident.id, text("/labels/service"));
    assert!(incident.findings.iter().any(|f| f.service == service), "{service} has no finding");
    assert_eq!(text("/generatorURL"), format!("{}/incidents/{id}", api.0));
    // Its title tells how many findings there are, so it may change between two calls.
    until("the page shows the incident", SOON, async || {
        let incident = api.incidents().await.into_iter().find(|i| i.id == *id).unwrap();
        let (status, html) = api.get(&format!("/incidents/{id}")).await;
        status == 200 && html.contains(&incident.title)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fourteen_days_of_two_hundred_series() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let (text, tsdb, data) = (dir.path().join("history.txt"), dir.path().join("tsdb"), dir.path().join("data"));
    let began = Instant::now();
    let now = Clock::System.now().align_down(MINUTE);
    // A leak that is repaired before anything but memory shows it: memory is back at once, while what is seen through
    // rates over five minutes takes five minutes more.
    let (onset, duration) = (now - MINUTE * 11, MINUTE * 13);
    let config = Config {
        seed: 7,
        services: 32,
        start: now - DurationMs::DAY * 14,
        scrape_interval: MINUTE,
        sessions: 0,
        incident: Some(Plan { kind: IncidentKind::MemoryLeak, onset, duration: Some(duration) }),
        campaign: None,
    };
    let shop = config.build().unwrap();
    let truth = shop.truth().incident.clone().unwrap();
    // Prometheus serves what its blocks hold, the future too; the engine asks up to now.
    let samples = BufWriter::new(File::create(&text).unwrap());
    shop.write_openmetrics(shop.config().start, now + MINUTE * 45, MINUTE, samples).unwrap();
    let written = began.elapsed();
    servers::write_history(&text, &tsdb);
    std::fs::remove_file(&text).unwrap();
    eprintln!("history of {} series: written in {written:?}, in blocks after {:?}", shop.series_count(), began.elapsed());

    let prometheus = Prometheus::start(&tsdb, &[]);
    let people = People::listen().await;
    let alertmanager = Alertmanager::start(Some(&people.url()));
    let (arrivals, looking) = keep_looking(alertmanager.url());
    let start = Instant::now();
    let mut bellwether = Bellwether::serve(&[
        "--prometheus",
        &prometheus.url(),
        "--alertmanager",
        &alertmanager.url(),
        "--data-dir",
        data.to_str().unwrap(),
    ]);
    let api = Api(bellwether.url());
    publish(&api.0, &shop.truth().changes).await;

    until("every series is fitted", FITTED.saturating_sub(start.elapsed()), async || api.is_fitted().await).await;
    let fitted = start.elapsed();
    let monitors = api.monitors().await;
    let sum = |of: fn(&bellwether::proto::MonitorStatus) -> i32| monitors.iter().map(of).sum::<i32>();
    eprintln!(
        "{} of {} series of {} monitors fitted {fitted:?} after the start, with {} MiB at most",
        sum(|m| m.fitted),
        sum(|m| m.series),
        monitors.len(),
        bellwether.peak_memory() >> 20
    );
    for monitor in monitors.iter().filter(|m| m.cannot_say > 0) {
        let name = &monitor.monitor.as_ref().unwrap().name;
        let reasons: BTreeSet<String> = api.series(name).await.into_iter().map(|s| s.cannot_say).filter(|r| !r.is_empty()).collect();
        eprintln!("  cannot say of {}/{} in {name}: {reasons:?}", monitor.cannot_say, monitor.series);
    }
    assert!(sum(|m| m.fitted) >= LEAST_SERIES);

    // What goes on reaches Alertmanager, every part of it.
    let leak = |i: &Incident| i.findings.iter().find(|f| f.metric == "memory" && f.service == truth.root).cloned();
    // A leak shows slowly: the next evaluations may be those that find it.
    until("the incident is found", SOON * 4, async || api.open().await.iter().any(|i| leak(i).is_some())).await;
    let incident = api.open().await.into_iter().find(|i| leak(i).is_some()).unwrap();
    let (detected, finding) = (time(incident.detected), leak(&incident).unwrap());
    until("Alertmanager has it", SOON, async || arrivals.lock().unwrap().contains_key(&incident.id)).await;
    let took = arrivals.lock().unwrap()[&incident.id].0.since(detected);
    eprintln!("incident {} detected at {detected}, in Alertmanager {took} later", incident.id);
    assert!(took <= DELIVERED);
    let alerts = active(&alertmanager.url()).await;
    let alert = alerts.iter().find(|alert| alert["labels"]["incident"] == incident.id.as_str()).unwrap();
    check(alert, &incident, &api).await;
    let early = MINUTE * 5;
    assert!(time(finding.onset) >= truth.onset - early && time(finding.onset) <= truth.onset + early, "{finding:#?}");
    assert!(incident.causes.iter().any(|cause| cause.title.contains("2.8.1")), "the deployment is a cause: {:#?}", incident.causes);

    until("the incident is over", RESOLVED, async || {
        api.incidents().await.iter().any(|i| i.id == incident.id && i.state() == IncidentState::Resolved)
    })
    .await;
    let resolved = Clock::System.now();
    until("Alertmanager knows", SOON, async || {
        active(&alertmanager.url()).await.iter().all(|alert| alert["labels"]["incident"] != incident.id.as_str())
    })
    .await;
    let end = truth.end.unwrap();
    eprintln!("over at {end}, resolved {} later, in Alertmanager {} after that", resolved.since(end), Clock::System.now().since(resolved));
    looking.abort();

    let incidents = api.incidents().await;
    eprintln!("{} incidents:\n{}", incidents.len(), incidents.iter().map(told).collect::<Vec<_>>().join("\n"));
    let affected: BTreeSet<&str> = truth.affected.iter().map(|a| a.service.as_str()).collect();
    let (real, false_ones): (Vec<_>, Vec<_>) =
        incidents.iter().partition(|i| i.findings.iter().any(|f| affected.contains(f.service.as_str())));
    assert_eq!(real.len(), 1, "one incident, one identity");
    assert!(false_ones.len() <= 2, "ten a day are in the budget");
    let said = async || people.told().await.into_iter().filter(|(id, _)| *id == incident.id).map(|(_, status)| status).collect::<Vec<_>>();
    until("people are told of the end", SOON, async || said().await.len() >= 2).await;
    assert_eq!(said().await, ["firing", "resolved"]);
    for (id, (_, labels)) in arrivals.lock().unwrap().iter() {
        assert_eq!(labels.len(), 1, "the labels of {id} changed: {labels:?}");
    }
    let memory = bellwether.peak_memory();
    eprintln!("peak memory {} MiB, test {:?}", memory >> 20, began.elapsed());
    assert!(memory < MOST_MEMORY);
    assert!(bellwether.stop().success());
}
