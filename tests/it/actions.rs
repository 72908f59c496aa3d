//! Actions of the built binary against a real HTTP receiver. Incidents are put into its store while it does not run.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use bellwether::action::{Run, RunState};
use bellwether::clock::{Clock, Timestamp};
use bellwether::config;
use bellwether::incident::{Call, Incident};
use bellwether::proto::action_service_client::ActionServiceClient;
use bellwether::proto::incident_service_client::IncidentServiceClient;
use bellwether::proto::{
    Action, ActionState, ApproveActionRequest, GetIncidentRequest, ListActionLogRequest, ListActionsRequest, ListActionsResponse,
    RejectActionRequest, ResumeActionRequest,
};
use bellwether::store::{Change, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::process::Bellwether;

const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `look` sees something.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

/// What was sent to the receiver: the path, whether the secret came along, and the body.
type Sent = (String, bool, Value);

/// Takes what actions send. `/ok` takes it, `/refuse` refuses it, `/slow` answers late, `/moved` points elsewhere, `/loud`
/// answers at length.
#[derive(Clone)]
struct Receiver {
    url: String,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Receiver {
    async fn open() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let receiver = Self { url, sent: Arc::default() };
        let app = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        receiver
    }

    fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

async fn take(State(receiver): State<Receiver>, uri: Uri, headers: HeaderMap, body: String) -> axum::response::Response {
    let is_known = headers.get("x-key").is_some_and(|key| key == "hunter2");
    receiver.sent.lock().unwrap().push((uri.path().to_owned(), is_known, serde_json::from_str(&body).unwrap()));
    match uri.path() {
        "/refuse" => (StatusCode::INTERNAL_SERVER_ERROR, "the cluster is\nnot there").into_response(),
        "/moved" => (StatusCode::TEMPORARY_REDIRECT, [("location", "/ok")]).into_response(),
        "/loud" => "x".repeat(1 << 20).into_response(),
        "/slow" => {
            tokio::time::sleep(Duration::from_secs(20)).await;
            "late".into_response()
        }
        _ => "done".into_response(),
    }
}

/// A folder with a configuration, a catalogue and a store.
struct Scene {
    folder: TempDir,
    receiver: Receiver,
}

impl Scene {
    /// One whose actions have these settings, each named for the receiver's path that it calls.
    async fn set(mode: &str, hooks: &[(&str, &str)]) -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap(), receiver: Receiver::open().await };
        scene.configure(mode, hooks);
        scene
    }

    fn configure(&self, mode: &str, hooks: &[(&str, &str)]) {
        let folder = self.folder.path();
        std::fs::write(folder.join("key"), "hunter2\n").unwrap();
        let mut entries = String::from("entries:\n");
        // Nobody answers there: nothing is evaluated, and what is open stays open.
        let mut text = format!(
            "prometheus: {{url: 'http://127.0.0.1:1'}}\ndata_dir: data\ncatalogues: [mine.yaml]\ndiscovery: {{enabled: false}}\nmonitors:\n  \
             - {{name: http-latency-p99, query: up, metric: latency}}\n  - {{name: http-errors, query: up, metric: errors}}\nactions:\n  mode: {mode}\n  hooks:\n"
        );
        for (name, more) in hooks {
            let _ = writeln!(
                text,
                "    - name: {name}\n      url: '{}/{name}'\n      timeout: 1s\n      header_files: {{X-Key: key}}\n      \
                 body: {{deployment: '{{{{deployment}}}}', service: '{{{{service}}}}', why: '{{{{title}}}}', incident: '{{{{incident}}}}', replicas: '{{{{replicas}}}}'}}\n      \
                 {}least_confidence: 0.1\n      {more}",
                self.receiver.url,
                if more.contains("allow:") { "" } else { "allow: {service: [check*], deployment: ['*'], replicas: ['4']}\n      " },
            );
            let _ = writeln!(
                entries,
                "  - {{id: do-{name}, title: 'Do {name} for “{{{{service}}}}”', match: {{metric: latency, labels: {{route: /pay}}}}, steps: S, \
                 runbook: first-look, priority: 10, action: {{name: {name}, with: {{replicas: 4}}}}}}"
            );
        }
        std::fs::write(folder.join("mine.yaml"), entries).unwrap();
        std::fs::write(folder.join("bellwether.yaml"), text).unwrap();
    }

    fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("bellwether.yaml")
    }

    async fn store(&self) -> Store {
        Store::open(&self.folder.path().join("data/bellwether.sqlite")).await.unwrap()
    }

    /// Puts an open incident into the store, with these actions suggested.
    async fn incident(&self, id: &str, hooks: &[&str], change: impl FnOnce(&mut Incident)) {
        let mut incident: Incident = serde_json::from_str(include_str!("../fixtures/incident.json")).unwrap();
        incident.id = id.to_owned();
        for (at, finding) in incident.findings.iter_mut().enumerate() {
            finding.id = format!("f-{id}-{at}");
            // Each of its own time, so that they stay apart.
            finding.ended = None;
        }
        incident.suggestions = hooks
            .iter()
            .map(|name| {
                let mut suggestion = incident.suggestions[0].clone();
                suggestion.id = format!("do-{name}");
                suggestion.title = format!("Do \"{name}\"");
                suggestion.confidence = 0.8;
                let values = [("service", "checkout"), ("deployment", "checkout \"v2\"\\"), ("replicas", "4")];
                let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                suggestion.action = Some(Call { name: (*name).to_owned(), values });
                suggestion
            })
            .collect();
        change(&mut incident);
        let store = self.store().await;
        store.commit(&Change { at: incident.updated, incidents: vec![incident], ..Change::default() }).await.unwrap();
        store.close().await;
    }

    /// Notes that every action was rehearsed as it is configured.
    async fn rehearse(&self) {
        let store = self.store().await;
        for (action, _) in config::load(Some(&self.config()), std::iter::empty(), &[]).unwrap().actions.hooks {
            let run = Run {
                action: action.name.clone(),
                incident: "inc-rehearsal".to_owned(),
                state: RunState::Proposed,
                suggestion: "x".to_owned(),
                title: "x".to_owned(),
                confidence: 1.0,
                request: None,
                targets: std::collections::BTreeMap::new(),
                definition: String::new(),
                created: Timestamp::default(),
                updated: Timestamp::default(),
                approval: None,
                attempted: None,
                extent: None,
                stopped: None,
                held: Vec::new(),
                note: String::new(),
            };
            assert!(store.add_run(&run, &[]).await.unwrap());
            let known = store.run(&action.name, "inc-rehearsal").await.unwrap().unwrap();
            let done = Run { state: RunState::DryRun, ..run };
            assert!(store.rehearsed(&known, &done, &action.fingerprint(), &[]).await.unwrap());
        }
        store.close().await;
    }

    fn start(&self) -> Bellwether {
        Bellwether::serve(&["-c", self.config().to_str().unwrap()])
    }
}

/// What the engine says of actions.
struct Api(String);

impl Api {
    fn of(bellwether: &Bellwether) -> Self {
        Self(bellwether.url())
    }

    async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.0.clone()).unwrap().connect().await.unwrap()
    }

    async fn actions(&self) -> ActionServiceClient<Channel> {
        ActionServiceClient::new(self.channel().await)
    }

    async fn list(&self) -> ListActionsResponse {
        self.actions().await.list_actions(ListActionsRequest::default()).await.unwrap().into_inner()
    }

    async fn find(&self, action: &str, incident: &str) -> Option<Action> {
        self.list().await.actions.into_iter().find(|a| (a.action.as_str(), a.incident.as_str()) == (action, incident))
    }

    /// Waits until an action is in a state.
    async fn until(&self, action: &str, incident: &str, state: ActionState) -> Action {
        let look = async || self.find(action, incident).await.filter(|found| found.state() == state);
        until(&format!("{action} of {incident} is {state:?}"), look).await
    }

    /// Waits until an action is held back by exactly these.
    async fn held(&self, action: &str, incident: &str, by: &[&str]) -> Action {
        let look = async || self.find(action, incident).await.filter(|found| found.held_back_by == by);
        until(&format!("{action} of {incident} is held back by {by:?}"), look).await
    }

    /// The outcomes that the log has of an incident, the first first.
    async fn outcomes(&self, incident: &str) -> Vec<String> {
        let request = ListActionLogRequest { incident: incident.to_owned(), ..Default::default() };
        let entries = self.actions().await.list_action_log(request).await.unwrap().into_inner().entries;
        entries.into_iter().rev().map(|entry| entry.outcome).collect()
    }

    async fn approve(&self, action: &Action, etag: &str) -> Result<(), tonic::Status> {
        let request = ApproveActionRequest {
            action: action.action.clone(),
            incident: action.incident.clone(),
            etag: etag.to_owned(),
            by: "mira".to_owned(),
            reason: "it is the night before the fair".to_owned(),
        };
        self.actions().await.approve_action(request).await.map(drop)
    }

    async fn page(&self, incident: &str) -> String {
        crate::api::http().get(format!("{}/incidents/{incident}", self.0)).send().await.unwrap().text().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn off_is_the_default_and_does_nothing() {
    let scene = Scene::set("off", &[("ok", "needs_approval: false")]).await;
    scene.rehearse().await;
    scene.incident("inc-1", &["ok"], |_| ()).await;
    let bellwether = scene.start();
    let api = Api::of(&bellwether);
    let list = api.list().await;
    assert_eq!((list.mode(), list.configured.len()), (bellwether::proto::ActionMode::Off, 1));
    let rehearsal = list.actions.iter().all(|action| action.incident == "inc-rehearsal");
    assert!(rehearsal && api.outcomes("inc-1").await.is_empty());
    let refused =
        api.approve(&Action { action: "ok".to_owned(), incident: "inc-1".to_owned(), ..Action::default() }, "x").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    assert!(scene.receiver.sent().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rehearsed_then_approved_it_is_called_once() {
    let hooks = [("ok", "needs_approval: true")];
    let scene = Scene::set("dry_run", &hooks).await;
    scene.incident("inc-1", &["ok"], |_| ()).await;
    let mut bellwether = scene.start();
    let api = Api::of(&bellwether);
    let rehearsed = api.until("ok", "inc-1", ActionState::DryRun).await;
    assert_eq!(api.outcomes("inc-1").await, ["proposed", "dry_run"]);
    assert!(api.list().await.configured[0].rehearsed && rehearsed.body.contains("inc-1"));
    assert!(bellwether.stop().success());
    assert!(scene.receiver.sent().is_empty(), "a rehearsal sends nothing");

    // Another incident, and now it counts.
    scene.configure("on", &hooks);
    scene.incident("inc-2", &["ok"], |_| ()).await;
    bellwether.start();
    let waiting = api.held("ok", "inc-2", &["approval"]).await;
    let expected =
        json!({"deployment": "checkout \"v2\"\\", "service": "checkout", "why": "Do \"ok\"", "incident": "inc-2", "replicas": "4"});
    assert_eq!(serde_json::from_str::<Value>(&waiting.body).unwrap(), expected);
    let wrong = api.approve(&waiting, "0123456789abcdef").await.unwrap_err();
    assert_eq!(wrong.code(), Code::FailedPrecondition, "{wrong:?}");
    let nobody =
        ApproveActionRequest { action: "ok".to_owned(), incident: "inc-2".to_owned(), etag: waiting.etag.clone(), ..Default::default() };
    assert_eq!(api.actions().await.approve_action(nobody).await.unwrap_err().code(), Code::InvalidArgument);
    assert!(scene.receiver.sent().is_empty());
    api.approve(&waiting, &waiting.etag).await.unwrap();
    let done = api.until("ok", "inc-2", ActionState::Succeeded).await;
    assert_eq!((done.approved_by.as_str(), done.note.as_str()), ("mira", "200 OK: done"));
    assert_eq!(scene.receiver.sent(), [("/ok".to_owned(), true, expected)]);
    assert_eq!(api.outcomes("inc-2").await, ["proposed", "approved", "attempted", "succeeded"]);
    assert_eq!(api.approve(&done, &done.etag).await.unwrap_err().code(), Code::FailedPrecondition);

    // The incident tells it, and so does its page; the secret stays one.
    let look = async || {
        let request = GetIncidentRequest { id: "inc-2".to_owned() };
        let found = IncidentServiceClient::new(api.channel().await).get_incident(request).await.unwrap().into_inner().incident.unwrap();
        (found.events.iter().any(|event| event.title == "The action ok was carried out") && found.actions.len() == 1).then_some(())
    };
    until("the incident tells of the action", look).await;
    assert!(api.page("inc-2").await.contains("approved"));
    let metrics = crate::api::http().get(format!("{}/metrics", api.0)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("bellwether_actions_total{action=\"ok\",outcome=\"succeeded\"} 1"), "{metrics}");

    // Over restarts, too, there is one call; and the rehearsal of the first incident stays one.
    bellwether.kill();
    bellwether.start();
    api.until("ok", "inc-2", ActionState::Succeeded).await;
    api.until("ok", "inc-1", ActionState::DryRun).await;
    assert_eq!(scene.receiver.sent().len(), 1);
    assert!(!bellwether.log().contains("hunter2"), "a secret is logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_attempt_and_its_outcome_it_is_never_called_again() {
    let scene = Scene::set("on", &[("slow", "needs_approval: false\n      rate: {most: 9, per: 1m}")]).await;
    scene.rehearse().await;
    scene.incident("inc-1", &["slow"], |_| ()).await;
    let mut bellwether = scene.start();
    let receiver = scene.receiver.clone();
    until("the receiver is called", async || (receiver.sent().len() == 1).then_some(())).await;
    bellwether.kill();
    for _ in 0..3 {
        bellwether.start();
        bellwether.kill();
    }
    bellwether.start();
    let api = Api::of(&bellwether);
    let unknown = api.until("slow", "inc-1", ActionState::Unknown).await;
    assert!(unknown.note.contains("not called again"), "{}", unknown.note);
    assert_eq!(api.outcomes("inc-1").await, ["proposed", "attempted", "unknown"]);
    assert_eq!(scene.receiver.sent().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_redirected_late_or_not_there_has_failed() {
    let free = "needs_approval: false";
    let scene = Scene::set("on", &[("refuse", free), ("slow", free), ("moved", free)]).await;
    scene.rehearse().await;
    scene.incident("inc-1", &["refuse", "slow", "moved"], |_| ()).await;
    let bellwether = scene.start();
    let api = Api::of(&bellwether);
    for (name, said) in [
        ("refuse", "500 Internal Server Error: the cluster is not there"),
        ("slow", "no answer within 1s; it may have been carried out all the same"),
        ("moved", "307 Temporary Redirect"),
    ] {
        let failed = api.until(name, "inc-1", ActionState::Failed).await;
        assert_eq!(failed.note, said);
    }
    let mut called: Vec<String> = scene.receiver.sent().into_iter().map(|(path, ..)| path).collect();
    called.sort();
    assert_eq!(called, ["/moved", "/refuse", "/slow"], "each once, and a redirect is not followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_endless_answer_the_beginning_is_enough() {
    let scene = Scene::set("on", &[("loud", "needs_approval: false")]).await;
    scene.rehearse().await;
    scene.incident("inc-1", &["loud"], |_| ()).await;
    let bellwether = scene.start();
    let loud = Api::of(&bellwether).until("loud", "inc-1", ActionState::Succeeded).await;
    assert!(loud.note.starts_with("200 OK: xxx") && loud.note.len() < 400, "{}", loud.note);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_grows_worse_stops_it() {
    let both = [("ok", "needs_approval: false"), ("other", "needs_approval: true")];
    let scene = Scene::set("on", &both).await;
    scene.rehearse().await;
    scene.incident("inc-1", &["ok", "other"], |_| ()).await;
    let mut bellwether = scene.start();
    let api = Api::of(&bellwether);
    api.until("ok", "inc-1", ActionState::Succeeded).await;
    api.held("other", "inc-1", &["approval"]).await;
    assert!(bellwether.stop().success());

    // While it was away another service came into trouble, and there is another incident.
    let store = scene.store().await;
    let mut grown = store.incident("inc-1").await.unwrap().unwrap();
    let mut payment = grown.findings[0].clone();
    (payment.id, payment.service) = ("f-new".to_owned(), "payment".to_owned());
    grown.findings.push(payment);
    store.commit(&Change { at: Clock::System.now(), incidents: vec![grown], ..Change::default() }).await.unwrap();
    store.close().await;
    scene.configure("on", &[("ok", "needs_approval: false\n      rate: {most: 9, per: 1m}"), both[1]]);
    scene.incident("inc-2", &["ok"], |_| ()).await;
    bellwether.start();
    let stopped = until("it is stopped", async || api.find("ok", "inc-1").await.filter(|found| found.stopped.is_some())).await;
    assert_eq!(stopped.state(), ActionState::Succeeded);
    let waits = api.held("other", "inc-1", &["stopped", "approval"]).await;
    api.held("ok", "inc-2", &["paused"]).await;
    let list = api.list().await;
    assert!(list.configured.iter().any(|c| c.name == "ok" && c.paused.is_some() && c.paused_why.contains("payment is in trouble now")));
    assert_eq!(scene.receiver.sent().len(), 1);
    assert!(api.outcomes("inc-1").await.contains(&"stopped".to_owned()));

    // An approval does not help where the incident grew worse.
    api.approve(&waits, &waits.etag).await.unwrap();
    api.held("other", "inc-1", &["stopped"]).await;
    let reject =
        RejectActionRequest { action: "other".to_owned(), incident: "inc-1".to_owned(), by: "mira".to_owned(), reason: String::new() };
    api.actions().await.reject_action(reject).await.unwrap();
    // A person lets it go on, for other incidents.
    let resume = ResumeActionRequest { action: "ok".to_owned(), by: "mira".to_owned(), reason: "it was the database".to_owned() };
    let resumed = api.actions().await.resume_action(resume.clone()).await.unwrap().into_inner().action.unwrap();
    assert!(resumed.paused.is_none());
    assert_eq!(api.actions().await.resume_action(resume).await.unwrap_err().code(), Code::FailedPrecondition);
    api.until("ok", "inc-2", ActionState::Succeeded).await;
    let called: Vec<Value> = scene.receiver.sent().into_iter().map(|(_, _, body)| body["incident"].clone()).collect();
    assert_eq!(called, [json!("inc-1"), json!("inc-2")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_decides_for_our_own_forms_only() {
    let elsewhere = "needs_approval: true\n      allow: {service: [cart], deployment: ['*'], replicas: ['4']}";
    let scene = Scene::set("on", &[("ok", "needs_approval: true"), ("other", elsewhere)]).await;
    scene.rehearse().await;
    scene.incident("inc-1", &["ok", "other"], |_| ()).await;
    let bellwether = scene.start();
    let api = Api::of(&bellwether);
    let waiting = api.held("ok", "inc-1", &["approval"]).await;
    api.held("other", "inc-1", &["not_allowed", "approval"]).await;
    let page = api.page("inc-1").await;
    for part in ["<form", "value=\"approve\"", "/incidents/inc-1/actions/ok", &waiting.etag, "is not in the allow-list"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let post = |headers: &[(&str, &str)], body: &str| {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let mut request = client.post(format!("{}/incidents/inc-1/actions/ok", api.0)).body(body.to_owned());
        request = request.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        async move { request.send().await.unwrap() }
    };
    let form = format!("decision=approve&by=Mira+K.&reason=it%20is%20right&etag={}", waiting.etag);
    for foreign in [&[][..], &[("origin", "https://evil.example")], &[("origin", api.0.as_str()), ("sec-fetch-site", "cross-site")]] {
        assert_eq!(post(foreign, &form).await.status(), 403, "{foreign:?}");
    }
    let own = [("origin", api.0.as_str()), ("sec-fetch-site", "same-origin")];
    assert_eq!(post(&own, "decision=approve&by=Mira&etag=0").await.status(), 409);
    assert_eq!(post(&own, "decision=maybe&by=Mira").await.status(), 400);
    assert_eq!(post(&own, "nothing").await.status(), 400);
    assert!(scene.receiver.sent().is_empty());
    let answer = post(&own, &form).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, "/incidents/inc-1#actions"));
    let done = api.until("ok", "inc-1", ActionState::Succeeded).await;
    assert_eq!(done.approved_by, "Mira K.");
    assert_eq!(scene.receiver.sent().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_holds_over_all_incidents() {
    let scene = Scene::set("on", &[("ok", "needs_approval: false\n      rate: {most: 2, per: 1h}")]).await;
    scene.rehearse().await;
    for i in 1..=5 {
        scene.incident(&format!("inc-{i}"), &["ok"], |_| ()).await;
    }
    let bellwether = scene.start();
    let api = Api::of(&bellwether);
    let look = async || {
        let list = api.list().await.actions;
        let count = |state| list.iter().filter(|a| a.incident != "inc-rehearsal" && a.state() == state).count();
        let held = list.iter().filter(|a| a.held_back_by == ["rate"]).count();
        (count(ActionState::Succeeded) == 2 && held == 3).then_some(())
    };
    until("two are done and three wait", look).await;
    assert_eq!(scene.receiver.sent().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_catalogue_names_is_rehearsed_for_an_incident_that_really_goes_on() {
    let receiver = Receiver::open().await;
    let folder = tempfile::tempdir().unwrap();
    let catalogue = folder.path().join("mine.yaml");
    let entries = "entries:\n  - {id: pool-restart, title: 'Restart {{service}}', match: {metric: saturation, direction: up}, steps: S, \
                   runbook: pools, priority: 10, action: {name: restart, with: {target: '{{deployment}}'}}}\n";
    std::fs::write(&catalogue, entries).unwrap();
    let served = crate::api::Served::over_the_shop(&format!(
        "{}catalogues: ['{}']\nactions:\n  mode: dry_run\n  hooks:\n    - {{name: restart, url: '{}/ok', \
         body: {{target: '{{{{target}}}}', why: '{{{{title}}}}'}}, allow: {{target: [payment]}}, least_confidence: 0.01}}\n",
        crate::api::MONITORS,
        catalogue.display(),
        receiver.url
    ))
    .await;
    let incident = served.incident().await;
    let suggestion = incident.suggestions.iter().find(|s| s.id == "pool-restart").unwrap();
    assert_eq!(suggestion.action, "restart");
    assert!(incident.suggestions.iter().all(|s| s.confidence > 0.0 && s.confidence <= 1.0), "{:?}", incident.suggestions);
    let api = Api(served.url.clone());
    let rehearsed = api.until("restart", &incident.id, ActionState::DryRun).await;
    assert_eq!(rehearsed.body, r#"{"target":"payment","why":"Restart payment"}"#);
    assert!(api.page(&incident.id).await.contains("Restart payment"));
    served.stop().await;
    assert!(receiver.sent().is_empty());
}
