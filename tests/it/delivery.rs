//! Alerts on their way from the store to real Alertmanagers, and back by their webhook.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bellwether::alert::Alert;
use bellwether::clock::{Clock, DurationMs, Timestamp};
use bellwether::correlation::grouping::{Tick, update};
use bellwether::correlation::remedy::Catalogue;
use bellwether::correlation::topology::Topology;
use bellwether::delivery::compose::compose;
use bellwether::delivery::{self, Outcome, webhook};
use bellwether::endpoint;
use bellwether::engine::outbox::Outbox;
use bellwether::event::Event;
use bellwether::finding::Finding;
use bellwether::incident::{Incident, IncidentState};
use bellwether::store::{Change, Store};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::servers::Alertmanager;

const RESEND: DurationMs = DurationMs::from_millis(300);

fn now() -> Timestamp {
    Clock::System.now()
}

fn client(name: &str, url: &str) -> delivery::Alertmanager {
    let mut endpoint = endpoint::Config::new(url.parse().unwrap());
    endpoint.timeout = DurationMs::from_secs(5);
    delivery::Config { name: name.to_owned(), endpoint }.build().unwrap()
}

/// An alert somebody else raised.
fn other(name: &str, labels: &[(&str, &str)]) -> Alert {
    let labels = [("alertname", name)].iter().chain(labels).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let annotations = BTreeMap::from([("summary".to_owned(), "something is wrong".to_owned())]);
    Alert { labels, annotations, starts_at: now(), ends_at: None, generator_url: "http://prometheus:9090/graph".to_owned() }
}

/// The active alerts an Alertmanager has, one per label set.
async fn active(url: &str) -> Vec<Value> {
    match reqwest::get(format!("{url}/api/v2/alerts?active=true")).await {
        Ok(answer) => answer.json().await.unwrap(),
        Err(_) => Vec::new(),
    }
}

/// Waits until `holds`; a minute without it is a failure.
async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..1200 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

/// What Alertmanager notified: the people's end.
async fn receiver() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    server
}

async fn notified(receiver: &MockServer) -> Vec<Value> {
    receiver.received_requests().await.unwrap().iter().map(|r| r.body_json().unwrap()).collect()
}

async fn statuses(receiver: &MockServer) -> Vec<String> {
    notified(receiver).await.iter().map(|n| n["status"].as_str().unwrap().to_owned()).collect()
}

fn sample() -> Incident {
    serde_json::from_str(include_str!("../fixtures/incident.json")).unwrap()
}

/// A store in a file and an outbox at work over it.
struct Engine {
    folder: TempDir,
    store: Store,
    committed: watch::Sender<u64>,
    task: JoinHandle<()>,
    sinks: Vec<(String, String)>,
}

impl Engine {
    async fn start(sinks: &[(&str, &str)]) -> Self {
        let sinks = sinks.iter().map(|(name, url)| ((*name).to_owned(), (*url).to_owned())).collect();
        Self::over(tempfile::tempdir().unwrap(), sinks).await
    }

    async fn over(folder: TempDir, sinks: Vec<(String, String)>) -> Self {
        let store = open(folder.path()).await;
        let (committed, receiver) = watch::channel(0);
        let clients = sinks.iter().map(|(name, url)| client(name, url)).collect();
        let outbox = Outbox { store: store.clone(), sinks: clients, resend: RESEND, clock: Arc::new(Clock::System) };
        let task = tokio::spawn(outbox.run(receiver, std::future::pending()));
        Self { folder, store, committed, task, sinks }
    }

    /// Ends at once, whatever it is doing, and begins again over the same file.
    async fn crash_and_restart(self) -> Self {
        self.task.abort();
        let _ = self.task.await;
        Self::over(self.folder, self.sinks).await
    }

    async fn tell(&self, id: &str, state: IncidentState) {
        let mut incident = sample();
        incident.id = id.to_owned();
        incident.started = now() - DurationMs::from_secs(60);
        incident.state = state;
        if let Some(known) = self.store.incident(id).await.unwrap() {
            incident.started = known.started;
        }
        incident.resolved = (state == IncidentState::Resolved).then(now);
        self.commit(incident).await;
    }

    /// Writes an incident with what is to be told of it.
    async fn commit(&self, incident: Incident) {
        let alerts = vec![(incident.id.clone(), compose(&incident, "http://localhost:9600"))];
        let sinks = self.sinks.iter().map(|(name, _)| name.clone()).collect();
        self.store.commit(&Change { at: now(), incidents: vec![incident], alerts, sinks, ..Change::default() }).await.unwrap();
        self.committed.send_modify(|n| *n += 1);
    }

    /// Waits until every sink has everything.
    async fn settled(&self) {
        until("everything is delivered", async || {
            let mut pending = 0;
            for (name, _) in &self.sinks {
                pending += self.store.backlog(name).await.unwrap().pending;
            }
            pending == 0
        })
        .await;
    }

    /// Waits until the incident's alert was sent `times` more times to the first sink.
    async fn resent(&self, id: &str, times: usize) {
        let last = async || self.store.deliveries(id).await.unwrap()[0].delivered_at;
        for _ in 0..times {
            let before = last().await;
            until("it is sent again", async || last().await != before).await;
        }
    }
}

async fn open(folder: &Path) -> Store {
    Store::open(&folder.join("bellwether.sqlite")).await.unwrap()
}

#[tokio::test]
async fn an_incident_is_one_alert_from_its_opening_to_its_end() {
    let people = receiver().await;
    let am = Alertmanager::start(Some(&people.uri()));
    let engine = Engine::start(&[("am", &am.url())]).await;
    engine.tell("i-1", IncidentState::Open).await;
    until("the alert is there", async || active(&am.url()).await.len() == 1).await;
    engine.settled().await;
    // Longer than it would last unless it were sent again: a firing alert ends after four resend intervals.
    engine.resent("i-1", 8).await;
    let alerts = active(&am.url()).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0]["labels"]["incident"], "i-1");
    assert_eq!(alerts[0]["generatorURL"], "http://localhost:9600/incidents/i-1");
    assert!(alerts[0]["annotations"]["description"].as_str().unwrap().contains("expected 210ms"));
    until("people are told", async || statuses(&people).await == ["firing"]).await;
    // Our own alert comes back by the webhook as no event, so that no loop arises.
    let body = notified(&people).await[0].to_string();
    assert_eq!(webhook::parse(body.as_bytes()).unwrap(), []);

    engine.tell("i-1", IncidentState::Resolved).await;
    until("the outbox is empty", async || engine.store.deliveries("i-1").await.unwrap().is_empty()).await;
    until("people are told of the end", async || statuses(&people).await == ["firing", "resolved"]).await;
    assert_eq!(active(&am.url()).await, [] as [Value; 0]);
}

#[tokio::test]
async fn one_invalid_alert_does_not_take_its_batch_along() {
    let am = Alertmanager::start(None);
    let alerts = [other("Fine", &[]), other("Bad", &[("not-a-label", "x")]), other("AlsoFine", &[])];
    let outcomes = client("am", &am.url()).post(&alerts, now() + DurationMs::HOUR).await;
    assert_eq!((&outcomes[0], &outcomes[2]), (&Outcome::Accepted, &Outcome::Accepted));
    let Outcome::Rejected(why) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert!(why.contains("not-a-label"), "{why}");
    until("the valid ones are there", async || {
        let mut names: Vec<String> =
            active(&am.url()).await.iter().map(|a| a["labels"]["alertname"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names == ["AlsoFine", "Fine"]
    })
    .await;
}

#[tokio::test]
async fn while_one_alertmanager_is_down_the_other_gets_it_and_the_first_gets_it_once_it_is_back() {
    let (people, others) = (receiver().await, receiver().await);
    let mut down = Alertmanager::start(Some(&people.uri()));
    let up = Alertmanager::start(Some(&others.uri()));
    down.stop();
    let engine = Engine::start(&[("down", &down.url()), ("up", &up.url())]).await;
    engine.tell("i-1", IncidentState::Open).await;
    until("the other has it", async || active(&up.url()).await.len() == 1).await;
    until("the first was tried", async || engine.store.deliveries("i-1").await.unwrap()[0].attempts >= 2).await;
    assert_eq!(engine.store.deliveries("i-1").await.unwrap()[0].delivered_at, None);
    down.restart();
    until("the first has it", async || active(&down.url()).await.len() == 1).await;
    engine.resent("i-1", 3).await;
    until("both told their people", async || statuses(&people).await.len() == 1 && statuses(&others).await.len() == 1).await;
    engine.tell("i-1", IncidentState::Resolved).await;
    until("both are told of the end", async || {
        statuses(&people).await == ["firing", "resolved"] && statuses(&others).await == ["firing", "resolved"]
    })
    .await;
}

#[tokio::test]
async fn a_crash_between_any_two_steps_loses_nothing_and_doubles_nothing() {
    let people = receiver().await;
    let am = Alertmanager::start(Some(&people.uri()));
    // Written and not sent: the engine of this process never ran.
    let engine = Engine::start(&[("am", &am.url())]).await;
    engine.task.abort();
    engine.tell("i-1", IncidentState::Open).await;
    let engine = engine.crash_and_restart().await;
    until("it is there", async || active(&am.url()).await.len() == 1).await;
    engine.settled().await;
    // Sent and not noted.
    engine.task.abort();
    engine.tell("i-2", IncidentState::Open).await;
    let due = engine.store.due("am", now(), 10).await.unwrap();
    let alerts: Vec<Alert> = due.into_iter().map(|d| d.alert).collect();
    assert!(client("am", &am.url()).post(&alerts, now() + RESEND * 4).await.iter().all(|o| *o == Outcome::Accepted));
    let mut engine = engine.crash_and_restart().await;
    engine.settled().await;
    for _ in 0..3 {
        engine = engine.crash_and_restart().await;
        engine.resent("i-2", 1).await;
    }
    assert_eq!(active(&am.url()).await.len(), 2);
    for id in ["i-1", "i-2"] {
        engine.tell(id, IncidentState::Resolved).await;
    }
    until("both are over", async || active(&am.url()).await.is_empty()).await;
    until("each was told once", async || {
        let mut statuses = statuses(&people).await;
        statuses.sort();
        statuses == ["firing", "firing", "resolved", "resolved"]
    })
    .await;
}

#[tokio::test]
async fn what_others_raise_comes_by_the_webhook_as_one_event() {
    let people = receiver().await;
    let am = Alertmanager::start(Some(&people.uri()));
    let client = client("am", &am.url());
    let mut alert = other("DiskFull", &[("service", "cart"), ("severity", "critical")]);
    assert_eq!(client.post(&[alert.clone()], now() + DurationMs::HOUR).await, [Outcome::Accepted]);
    until("it is told", async || statuses(&people).await == ["firing"]).await;
    alert.ends_at = Some(now());
    assert_eq!(client.post(&[alert.clone()], now()).await, [Outcome::Accepted]);
    until("its end is told", async || statuses(&people).await == ["firing", "resolved"]).await;

    let store = Store::in_memory().await.unwrap();
    for (body, over) in notified(&people).await.iter().zip([false, true]) {
        let events: Vec<Event> = webhook::parse(body.to_string().as_bytes()).unwrap();
        store.commit(&Change { events, ..Change::default() }).await.unwrap();
        let [event] = store.events_between(alert.starts_at, now()).await.unwrap().try_into().unwrap();
        assert_eq!((event.title.as_str(), event.service.as_deref()), ("DiskFull: something is wrong", Some("cart")));
        assert_eq!((event.starts_at, event.ends_at), (alert.starts_at, alert.ends_at.filter(|_| over)));
        assert_eq!(event.url.as_deref(), Some("http://prometheus:9090/graph"));
    }
}

/// Payment is wrong from one minute to another after `begin`; what the engine would make of each change as it happens.
fn course(incidents: &mut Vec<Incident>, begin: Timestamp, from: i64, to: i64) -> Vec<Incident> {
    let minute = DurationMs::from_secs(60);
    let mut finding = sample().findings.remove(0);
    finding.onset = begin + minute * from;
    finding.id = Finding::identity(&finding.monitor, &finding.key, finding.onset);
    (finding.last_seen, finding.ended) = (finding.onset, None);
    let mut over = finding.clone();
    (over.last_seen, over.ended) = (begin + minute * to, Some(begin + minute * to));
    [(from, vec![finding]), (to, vec![over])].iter().map(|(at, findings)| look(incidents, begin + minute * *at, findings)).collect()
}

/// The one incident after a tick at `now`.
fn look(incidents: &mut Vec<Incident>, now: Timestamp, findings: &[Finding]) -> Incident {
    let tick = Tick {
        learned: &bellwether::correlation::feedback::Learned::default(),
        now,
        findings,
        events: &[],
        topology: &Topology::default(),
        monitor: &|_| None,
        catalogue: &Catalogue::shipped(),
        runbook_base: "",
    };
    let mut changed = update(incidents, &tick);
    assert_eq!(changed.len(), 1, "{changed:?}");
    incidents.clone_from(&changed);
    changed.remove(0)
}

#[tokio::test]
async fn what_comes_and_goes_is_one_alert_that_stays() {
    let people = receiver().await;
    let am = Alertmanager::start(Some(&people.uri()));
    let engine = Engine::start(&[("am", &am.url())]).await;
    let (begin, mut incidents) = (now() - DurationMs::HOUR * 3, Vec::new());
    // Until it is known for that, each coming and going is told.
    let mut all: Vec<Incident> = [0, 8, 16].iter().flat_map(|from| course(&mut incidents, begin, *from, from + 3)).collect();
    all.extend(course(&mut incidents, begin, 24, 27));
    let labels = compose(&all[0], "").labels;
    for incident in all {
        engine.commit(incident).await;
    }
    let id = incidents[0].id.clone();
    assert!(incidents[0].life.flapping.is_some() && incidents[0].resolved.is_none(), "{:?}", incidents[0].life);
    until("it fires", async || active(&am.url()).await.len() == 1).await;
    engine.resent(&id, 4).await;
    let told = statuses(&people).await;
    assert_eq!(told.last().map(String::as_str), Some("firing"), "{told:?}");
    // From then on nobody hears of it until it is over.
    for from in [35, 46, 57, 68, 79] {
        for incident in course(&mut incidents, begin, from, from + 3) {
            engine.commit(incident).await;
            engine.resent(&id, 2).await;
        }
        let alerts = active(&am.url()).await;
        assert_eq!(alerts.len(), 1, "{alerts:?}");
        assert_eq!(serde_json::to_value(&labels).unwrap(), alerts[0]["labels"]);
    }
    assert!(active(&am.url()).await[0]["annotations"]["flapping"].as_str().unwrap().contains("came back 8 times"));
    assert_eq!(statuses(&people).await, told);
    let over = look(&mut incidents, begin + DurationMs::from_secs(60) * 120, &[]);
    assert_eq!(over.state, IncidentState::Resolved);
    engine.commit(over).await;
    until("people are told of the end", async || statuses(&people).await.len() > told.len()).await;
    assert_eq!(statuses(&people).await[told.len()..], ["resolved"]);
}
