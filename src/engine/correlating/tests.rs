use std::sync::Arc;

use tokio::sync::broadcast::error::TryRecvError;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::clock::{Clock, DurationMs};
use crate::delivery::{AlertState, Silence};
use crate::engine::{Config, Inference, sample};
use crate::feedback::{Given, Verdict};
use crate::store::EventFilter;

const MINUTE: DurationMs = DurationMs::from_secs(60);

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(1_769_846_400_000) + MINUTE * minute
}

/// An engine over a folder at a minute, as after a start.
async fn start(folder: &std::path::Path, minute: i64, prometheus: Option<&str>) -> Engine {
    let config = Config { sinks: vec!["a".to_owned(), "b".to_owned()], ..sample::config() };
    sample::engine(config, folder, Arc::new(Clock::manual(at(minute))), prometheus).await
}

fn finding(from: i64, to: Option<i64>) -> Finding {
    let incident: Incident = serde_json::from_str(include_str!("../../../tests/fixtures/incident.json")).unwrap();
    let mut finding = incident.findings.into_iter().next().unwrap();
    finding.onset = at(from);
    finding.id = Finding::identity(&finding.monitor, &finding.key, finding.onset);
    (finding.last_seen, finding.ended) = (at(to.unwrap_or(from)), to.map(at));
    finding
}

impl Engine {
    /// What it is told at a minute.
    async fn told_at(&self, minute: i64, finding: Finding) {
        self.clock().set(at(minute));
        self.correlate(&[finding], Vec::new()).await.unwrap();
    }

    async fn trouble(&self, from: i64, to: i64) {
        self.told_at(from, finding(from, None)).await;
        self.told_at(to, finding(from, Some(to))).await;
    }

    async fn all(&self) -> Vec<Incident> {
        self.store().incidents(&IncidentFilter::default(), 100, "").await.unwrap().items
    }
}

#[tokio::test]
async fn what_is_acknowledged_and_what_is_held_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = start(folder.path(), 0, None).await;
    for from in [0, 8, 16, 24] {
        // As if it were killed between any two of them.
        engine.trouble(from, from + 3).await;
        engine = start(folder.path(), from + 3, None).await;
    }
    let [held] = engine.all().await.try_into().unwrap();
    assert_eq!((held.state, held.life.flapping.as_ref().map(|f| f.times)), (IncidentState::Open, Some(3)), "{:?}", held.life);
    engine.acknowledge(&held.id, "ann", "mine").await.unwrap();
    let engine = start(folder.path(), 40, None).await;
    engine.trouble(41, 44).await;
    let known = engine.incident(&held.id).await.unwrap();
    assert_eq!(known.life.acknowledged.as_ref().map(|a| a.by.as_str()), Some("ann"));
    let alert = engine.store().deliveries(&held.id).await.unwrap().remove(0).alert;
    assert_eq!(alert.ends_at, None);
    assert_eq!(alert.labels, compose(&held, "http://localhost").labels);
    assert!(alert.annotations["acknowledged"].starts_with("by ann at") && alert.annotations.contains_key("flapping"), "{alert:?}");

    // Nobody tells it anything any more: time alone resolves it.
    engine.clock().set(at(44 + 29));
    engine.settle().await.unwrap();
    assert_eq!(engine.incident(&held.id).await.unwrap().state, IncidentState::Open);
    let engine = start(folder.path(), 44 + 31, None).await;
    let mut watched = engine.watch();
    engine.settle().await.unwrap();
    let over = engine.incident(&held.id).await.unwrap();
    assert_eq!((over.state, over.resolved), (IncidentState::Resolved, Some(at(44 + 30))));
    assert_eq!(watched.try_recv().unwrap().id, held.id);
    assert_eq!(engine.all().await.len(), 1);
    let error = engine.acknowledge(&held.id, "ann", "").await.unwrap_err();
    assert!(error.code == Code::FailedPrecondition && error.message.contains("is resolved"), "{error:?}");
}

#[tokio::test]
async fn a_repetition_says_so_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let engine = start(folder.path(), 0, None).await;
    engine.trouble(0, 20).await;
    let first = engine.all().await.remove(0);
    assert_eq!(first.life.repeats, None);
    let fix = first.suggestions[0].id.clone();
    let given = Given {
        incident: first.id.clone(),
        verdict: Verdict::Fixed,
        cause: None,
        suggestion: Some(fix.clone()),
        comment: String::new(),
        author: String::new(),
    };
    engine.submit_feedback(given).await.unwrap();
    engine.told_at(500, finding(500, None)).await;
    let second = engine.all().await.remove(0);
    let repeat = second.life.repeats.clone().unwrap();
    assert_eq!((&repeat.of, repeat.lasted, repeat.count, repeat.fixed_by.as_str()), (&first.id, MINUTE * 20, 1, fix.as_str()));
    engine.told_at(520, finding(500, Some(520))).await;
    let engine = start(folder.path(), 600, None).await;
    engine.told_at(900, finding(900, None)).await;
    let third = engine.all().await.remove(0);
    let repeat = third.life.repeats.unwrap();
    assert_eq!((&repeat.of, repeat.count), (&second.id, 2));
    let alert = engine.store().deliveries(&third.id).await.unwrap().remove(0).alert;
    assert!(alert.annotations["repeats"].contains(&second.id), "{alert:?}");
}

#[tokio::test]
async fn silences_are_what_the_alertmanagers_say() {
    let folder = tempfile::tempdir().unwrap();
    let engine = start(folder.path(), 0, None).await;
    engine.told_at(0, finding(0, None)).await;
    let id = engine.all().await.remove(0).id;
    let mut watched = engine.watch();
    let silence = Silence { id: "s".to_owned(), created_by: "bob".to_owned(), comment: String::new(), ends_at: Some(at(60)) };
    let says = |state| Ok(BTreeMap::from([(id.clone(), state)]));
    let is = |engine: &Engine| (engine.is_silenced(&id), engine.told(&id).iter().filter(|told| told.state.is_err()).count());
    assert_eq!(is(&engine), (false, 2), "nobody was asked");
    engine.hear("a", Err("away".to_owned())).await;
    assert_eq!(is(&engine), (false, 2), "not known is not silenced");
    engine.hear("a", says(AlertState::Silenced(vec![silence]))).await;
    assert_eq!(is(&engine), (true, 1), "the one that is known suppresses it");
    assert_eq!(watched.try_recv().unwrap().id, id, "who watches is told");
    engine.hear("b", says(AlertState::Active)).await;
    assert_eq!(is(&engine), (false, 0), "one lets it through");
    engine.hear("b", says(AlertState::Inhibited)).await;
    engine.hear("b", says(AlertState::Inhibited)).await;
    assert_eq!(is(&engine), (true, 0));
    assert_eq!(
        (watched.try_recv().is_ok(), watched.try_recv().is_ok(), watched.try_recv().unwrap_err()),
        (true, true, TryRecvError::Empty)
    );
    engine.hear("b", Ok(BTreeMap::new())).await;
    assert_eq!(engine.told(&id)[1].state, Err("it does not have the alert yet".to_owned()));
}

#[tokio::test]
async fn what_is_inferred_is_published_once() {
    let server = MockServer::start().await;
    let answer = |request: &Request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let series = |version: &str, from: i64, to: i64| {
            let values: Vec<_> = (from..to).map(|minute| (at(minute).seconds(), "1")).collect();
            serde_json::json!({"metric": {"__name__": "x_build_info", "job": "cart", "version": version}, "values": values})
        };
        let result =
            if body.contains("build_info") { serde_json::json!([series("1", 0, 50), series("2", 50, 61)]) } else { serde_json::json!([]) };
        ResponseTemplate::new(200)
            .set_body_json(serde_json::json!({"status": "success", "data": {"resultType": "matrix", "result": result}}))
    };
    Mock::given(path("/api/v1/query_range")).respond_with(answer).mount(&server).await;
    let (folder, inference) = (tempfile::tempdir().unwrap(), Inference::new("service"));
    for round in 0..2 {
        let engine = start(folder.path(), 60, Some(&server.uri())).await;
        engine.told_at(55, Finding { service: "cart".to_owned(), ..finding(55, None) }).await;
        engine.clock().set(at(60));
        let (mut known, mut watched) = (None, engine.watch());
        for _ in 0..2 {
            engine.infer(&inference, &mut known).await.unwrap();
        }
        let events = engine.store().events(&EventFilter::default(), 100, "").await.unwrap().items;
        assert_eq!(events.iter().map(|event| event.title.as_str()).collect::<Vec<_>>(), ["cart 1 → 2"]);
        // It joined the incident when it was found; after that, and after a restart, nothing changes any more.
        let incident = engine.all().await.remove(0);
        assert_eq!((incident.events.len(), incident.causes[0].title.as_str()), (1, "cart 1 → 2"));
        assert_eq!((watched.try_recv().is_ok(), watched.try_recv().is_ok()), (round == 0, false));
    }
}

#[test]
fn names_and_comments_are_checked() {
    assert!(check("ann", "first line\nsecond").is_ok());
    for (by, comment, part) in
        [("", "", "say who"), (&"x".repeat(201), "", "201 bytes"), ("a\nb", "", "control"), ("a", "\u{0}", "control")]
    {
        let error = check(by, comment).unwrap_err();
        assert!(error.message.contains(part), "{error:?}");
    }
}
