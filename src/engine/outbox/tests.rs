use std::sync::atomic::{AtomicU16, Ordering};

use tokio::sync::oneshot;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::alert::Alert;
use crate::endpoint;
use crate::incident::Incident;
use crate::store::Change;

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_767_261_600_000 + second * 1000)
}

fn sink(name: &str, server: &MockServer) -> Alertmanager {
    crate::delivery::Config { name: name.to_owned(), endpoint: endpoint::Config::new(server.uri().parse().unwrap()) }.build().unwrap()
}

async fn server(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    server
}

/// An outbox at work over a store in memory and a clock that the test turns.
struct Working {
    store: Store,
    clock: Arc<Clock>,
    committed: watch::Sender<u64>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

async fn start(sinks: Vec<Alertmanager>) -> Working {
    let (store, clock) = (Store::in_memory().await.unwrap(), Arc::new(Clock::manual(at(0))));
    let (committed, receiver) = watch::channel(0);
    let (stop, stopped) = oneshot::channel::<()>();
    let outbox = Outbox { store: store.clone(), sinks, resend: RESEND, clock: Arc::clone(&clock) };
    let task = tokio::spawn(outbox.run(receiver, async {
        let _ = stopped.await;
    }));
    Working { store, clock, committed, stop: Some(stop), task }
}

impl Working {
    fn turn(&self, second: i64) {
        self.clock.set(at(second));
        self.committed.send_modify(|n| *n += 1);
    }

    async fn tell(&self, id: &str, resolved: Option<i64>, sinks: &[&str]) {
        let mut incident: Incident = serde_json::from_str(include_str!("../../../tests/fixtures/incident.json")).unwrap();
        incident.id = id.to_owned();
        incident.resolved = resolved.map(at);
        let alert: Alert = crate::delivery::compose::compose(&incident, "http://localhost");
        let sinks = sinks.iter().map(ToString::to_string).collect();
        let alerts = vec![(id.to_owned(), alert)];
        let change = Change { at: self.clock.now(), incidents: vec![incident], alerts, sinks, ..Change::default() };
        self.store.commit(&change).await.unwrap();
        self.committed.send_modify(|n| *n += 1);
    }

    async fn stop(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.task.await.unwrap();
    }
}

/// Waits until `holds`; a minute of failure is a failure.
async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..3000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

async fn requests(server: &MockServer) -> Vec<serde_json::Value> {
    server.received_requests().await.unwrap().iter().map(|r: &Request| r.body_json().unwrap()).collect()
}

#[tokio::test]
async fn a_commit_sends_at_once_and_time_sends_again_until_it_is_resolved() {
    let am = server(ResponseTemplate::new(200)).await;
    let w = start(vec![sink("am", &am)]).await;
    w.tell("i-1", None, &["am"]).await;
    until("sent", async || requests(&am).await.len() == 1).await;
    until("noted", async || w.store.backlog("am").await.unwrap().pending == 0).await;
    // Four resend intervals from now, as Prometheus does.
    assert_eq!(requests(&am).await[0][0]["endsAt"], at(240).to_string());
    w.turn(60);
    until("sent again", async || requests(&am).await.len() == 2).await;
    assert_eq!(requests(&am).await[1][0]["endsAt"], at(300).to_string());
    until("noted", async || w.store.deliveries("i-1").await.unwrap()[0].delivered_at == Some(at(60))).await;
    w.tell("i-1", Some(70), &["am"]).await;
    until("gone", async || w.store.deliveries("i-1").await.unwrap().is_empty()).await;
    w.turn(3600);
    w.stop().await;
    let sent = requests(&am).await;
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[2][0]["endsAt"], at(70).to_string());
    assert_eq!(sent[2][0]["labels"], sent[0][0]["labels"]);
}

#[tokio::test]
async fn a_dead_sink_delays_nobody_and_is_retried() {
    static STATUS: AtomicU16 = AtomicU16::new(503);
    let (dead, slow, fine) = (
        MockServer::start().await,
        server(ResponseTemplate::new(200).set_delay(Duration::from_hours(1))).await,
        server(ResponseTemplate::new(200)).await,
    );
    Mock::given(method("POST")).respond_with(|_: &Request| ResponseTemplate::new(STATUS.load(Ordering::SeqCst))).mount(&dead).await;
    let names = ["dead", "slow", "fine"];
    let w = start(vec![sink("dead", &dead), sink("slow", &slow), sink("fine", &fine)]).await;
    w.tell("i-1", None, &names).await;
    let delivery = async |n: usize| w.store.deliveries("i-1").await.unwrap().into_iter().find(|d| d.sink == names[n]).unwrap();
    until("fine has it", async || delivery(2).await.delivered_at.is_some()).await;
    until("dead failed", async || delivery(0).await.attempts == 1).await;
    assert_eq!(delivery(1).await.delivered_at, None);
    let failed = delivery(0).await;
    assert!(failed.last_error.unwrap().contains("503"));
    assert!(failed.next_send > at(0) && failed.next_send <= at(1), "{:?}", failed.next_send);
    for (second, attempts) in [(1, 2), (10, 3), (100, 4)] {
        w.turn(second);
        until("retried", async || delivery(0).await.attempts == attempts).await;
    }
    STATUS.store(200, Ordering::SeqCst);
    w.turn(1000);
    until("back", async || delivery(0).await.delivered_at.is_some()).await;
    assert_eq!(delivery(0).await.attempts, 0);
    w.stop().await;
}

#[tokio::test]
async fn a_rejected_alert_is_not_repeated_and_the_others_go() {
    let am = MockServer::start().await;
    let refuse = |request: &Request| {
        let bad = String::from_utf8_lossy(&request.body).contains("i-bad");
        if bad { ResponseTemplate::new(400).set_body_json("bad") } else { ResponseTemplate::new(200) }
    };
    Mock::given(method("POST")).respond_with(refuse).mount(&am).await;
    let w = start(vec![sink("am", &am)]).await;
    w.tell("i-bad", None, &["am"]).await;
    w.tell("i-good", None, &["am"]).await;
    until("settled", async || {
        let backlog = w.store.backlog("am").await.unwrap();
        (backlog.pending, backlog.rejected) == (0, 1)
    })
    .await;
    let refused = w.store.deliveries("i-bad").await.unwrap().remove(0);
    assert_eq!((refused.rejected, refused.last_error.as_deref()), (true, Some("bad")));
    let bad = async || requests(&am).await.iter().filter(|r| r.to_string().contains("i-bad")).count();
    let before = bad().await;
    w.turn(120);
    until("the good one is sent again", async || w.store.deliveries("i-good").await.unwrap()[0].delivered_at == Some(at(120))).await;
    assert_eq!(bad().await, before);
    w.stop().await;
}

#[tokio::test]
async fn a_clock_set_back_does_not_silence_what_fires() {
    let am = server(ResponseTemplate::new(200)).await;
    let w = start(vec![sink("am", &am)]).await;
    w.tell("i-1", None, &["am"]).await;
    until("noted", async || w.store.backlog("am").await.unwrap().pending == 0).await;
    w.turn(-7200);
    until("sent again", async || requests(&am).await.len() == 2).await;
    until("noted", async || w.store.backlog("am").await.unwrap().next_send == Some(at(-7140))).await;
    w.stop().await;
}

#[tokio::test]
async fn rows_of_sinks_that_are_gone_are_cleared_at_the_start() {
    let am = server(ResponseTemplate::new(200)).await;
    let mut w = start(vec![]).await;
    w.stop.take().unwrap().send(()).unwrap();
    (&mut w.task).await.unwrap();
    w.tell("i-1", None, &["am", "gone"]).await;
    let outbox = Outbox { store: w.store.clone(), sinks: vec![sink("am", &am)], resend: RESEND, clock: Arc::clone(&w.clock) };
    let (_committed, receiver) = watch::channel(0);
    let task = tokio::spawn(outbox.run(receiver, std::future::pending()));
    until("sent", async || requests(&am).await.len() == 1).await;
    let sinks: Vec<String> = w.store.deliveries("i-1").await.unwrap().into_iter().map(|d| d.sink).collect();
    assert_eq!(sinks, ["am"]);
    task.abort();
}

proptest::proptest! {
    #[test]
    fn the_backoff_grows_up_to_the_resend_interval(attempts in 0_u32..u32::MAX) {
        let longest = 2_i64.saturating_pow(attempts.min(40)).saturating_mul(1000).min(60_000);
        let wait = backoff(attempts, RESEND).millis();
        proptest::prop_assert!(wait >= longest / 2 && wait <= longest, "{wait} of {longest}");
    }
}
