//! Runs of actions and their log.

use super::*;
use crate::action::{Entry, Extent, Method, Outcome, Rate, Request, Run, RunState};
use crate::clock::DurationMs;

pub(super) fn run(action: &str, incident: &str, state: RunState) -> Run {
    let request = Request { method: Method::Post, url: "http://hooks/x".to_owned(), body: r#"{"a":"\"b\""}"#.to_owned() };
    Run {
        action: action.to_owned(),
        incident: incident.to_owned(),
        state,
        suggestion: "memory-growth".to_owned(),
        title: "It leaks".to_owned(),
        confidence: 0.5,
        request: Some(request),
        targets: BTreeMap::from([("service".to_owned(), "cart".to_owned())]),
        definition: "0123456789abcdef".to_owned(),
        created: at(0),
        updated: at(0),
        approval: None,
        attempted: None,
        extent: Some(Extent { services: vec!["cart".to_owned()], score: 1.5 }),
        stopped: None,
        held: Vec::new(),
        note: String::new(),
    }
}

pub(super) fn entry(id: &str, run: &Run, outcome: Outcome, minute: i64) -> Entry {
    Entry {
        id: id.to_owned(),
        at: at(minute),
        action: run.action.clone(),
        incident: run.incident.clone(),
        outcome,
        who: "bellwether".to_owned(),
        why: String::new(),
        request: String::new(),
    }
}

async fn known(store: &Store, action: &str, incident: &str) -> Known {
    store.run(action, incident).await.unwrap().unwrap()
}

pub async fn there_is_one_run_of_an_action_and_an_incident(store: Store) {
    let first = run("restart", "i-1", RunState::Proposed);
    assert!(store.add_run(&first, &[entry("1", &first, Outcome::Proposed, 0)]).await.unwrap());
    assert!(!store.add_run(&first, &[entry("2", &first, Outcome::Proposed, 0)]).await.unwrap());
    assert_eq!(known(&store, "restart", "i-1").await, Known { run: first, version: 1 });
    assert_eq!(store.action_log(&LogFilter::default(), 9, "").await.unwrap().items.len(), 1, "what was not written is not told");
}

pub async fn who_was_overtaken_changes_nothing(store: Store) {
    let first = run("restart", "i-1", RunState::Proposed);
    store.add_run(&first, &[]).await.unwrap();
    let seen = known(&store, "restart", "i-1").await;
    let approved = Run { state: RunState::Approved, ..first.clone() };
    assert!(store.change_run(&seen, &approved, &[]).await.unwrap());
    let rejected = Run { state: RunState::Rejected, ..first };
    assert!(!store.change_run(&seen, &rejected, &[entry("1", &rejected, Outcome::Rejected, 0)]).await.unwrap());
    assert_eq!(known(&store, "restart", "i-1").await.run, approved);
    assert!(store.action_log(&LogFilter::default(), 9, "").await.unwrap().items.is_empty());
}

pub async fn of_many_attempts_at_once_the_rate_lets_so_many_through(store: Store) {
    let rate = Rate { most: 3, per: DurationMs::HOUR };
    let attempts = (0..8).map(|i| {
        let (store, incident) = (store.clone(), format!("i-{}", i % 6));
        async move {
            let proposed = run("restart", &incident, RunState::Proposed);
            store.add_run(&proposed, &[]).await.unwrap();
            let seen = known(&store, "restart", &incident).await;
            let attempted = Run { state: RunState::Attempted, attempted: Some(at(1)), ..proposed };
            store.begin_attempt(&seen, &attempted, rate, &[]).await.unwrap()
        }
    });
    let begun = futures_util::future::join_all(attempts).await.into_iter().filter(|begun| *begun).count();
    assert_eq!(begun, 3);
    assert_eq!(store.calls_since("restart", at(0)).await.unwrap(), [at(1); 3]);
    assert!(store.calls_since("restart", at(1)).await.unwrap().is_empty());
    // An hour later there is room again.
    let seen = store.live_runs(at(0)).await.unwrap().into_iter().find(|known| known.run.state == RunState::Proposed).unwrap();
    let attempted = Run { state: RunState::Attempted, attempted: Some(at(61)), ..seen.run.clone() };
    assert!(store.begin_attempt(&seen, &attempted, rate, &[]).await.unwrap());
}

pub async fn what_is_paused_is_not_attempted_until_it_is_resumed(store: Store) {
    let rate = Rate { most: 9, per: DurationMs::HOUR };
    let (bad, next) = (run("restart", "i-1", RunState::Succeeded), run("restart", "i-2", RunState::Proposed));
    store.add_run(&bad, &[]).await.unwrap();
    store.add_run(&next, &[]).await.unwrap();
    assert_eq!(store.standing("restart").await.unwrap(), crate::action::Standing::default());
    let stopped = Run { stopped: Some(at(5)), ..bad.clone() };
    let seen = known(&store, "restart", "i-1").await;
    assert!(store.stop_action(&seen, &stopped, "it grew", &[entry("1", &bad, Outcome::Stopped, 5)]).await.unwrap());
    let standing = store.standing("restart").await.unwrap();
    assert_eq!((standing.paused, standing.why.as_str()), (Some(at(5)), "it grew"));
    let attempted = Run { state: RunState::Attempted, attempted: Some(at(6)), ..next };
    let seen = known(&store, "restart", "i-2").await;
    assert!(!store.begin_attempt(&seen, &attempted, rate, &[]).await.unwrap());
    assert!(store.resume_action("restart", &entry("2", &bad, Outcome::Resumed, 7)).await.unwrap());
    assert!(!store.resume_action("restart", &entry("3", &bad, Outcome::Resumed, 7)).await.unwrap());
    assert!(store.begin_attempt(&seen, &attempted, rate, &[]).await.unwrap());
    let log = store.action_log(&LogFilter { incident: Some("i-1".to_owned()), action: None }, 9, "").await.unwrap().items;
    assert_eq!(log.iter().map(|entry| entry.outcome).collect::<Vec<_>>(), [Outcome::Resumed, Outcome::Stopped]);
}

pub async fn runs_and_the_log_come_in_pages(store: Store) {
    for i in 0..7 {
        let mut one = run(if i % 2 == 0 { "restart" } else { "scale" }, &format!("i-{}", i / 2), RunState::Proposed);
        one.created = at(i / 3);
        store.add_run(&one, &[entry(&format!("e-{i}"), &one, Outcome::Proposed, i / 3)]).await.unwrap();
    }
    let (mut runs, mut log, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = store.runs(&RunFilter::default(), 2, &token).await.unwrap();
        runs.extend(page.items.into_iter().map(|run| (run.created, run.incident, run.action)));
        let Some(next) = page.next else { break };
        token = next;
    }
    assert!(runs.len() == 7 && runs.windows(2).all(|pair| pair[0] > pair[1]), "{runs:?}");
    token.clear();
    loop {
        let page = store.action_log(&LogFilter { action: Some("restart".to_owned()), incident: None }, 3, &token).await.unwrap();
        log.extend(page.items.into_iter().map(|entry| (entry.at, entry.id)));
        let Some(next) = page.next else { break };
        token = next;
    }
    assert!(log.len() == 4 && log.windows(2).all(|pair| pair[0] > pair[1]), "{log:?}");
    let of_one = RunFilter { incident: Some("i-1".to_owned()), state: Some(RunState::Proposed), action: None };
    assert_eq!(store.runs(&of_one, 9, "").await.unwrap().items.len(), 2);
    assert!(store.runs(&RunFilter::default(), 9, &token).await.is_err(), "the token is of another list");
}

pub async fn runs_are_kept_as_long_as_their_incident(store: Store) {
    let incidents = vec![incident("i-open", 0, None), incident("i-over", 0, Some(2))];
    store.commit(&Change { incidents, ..Change::default() }).await.unwrap();
    for id in ["i-open", "i-over"] {
        let one = run("restart", id, RunState::Succeeded);
        store.add_run(&one, &[entry(id, &one, Outcome::Succeeded, 1)]).await.unwrap();
    }
    store.prune(at(5)).await.unwrap();
    assert!(store.run("restart", "i-over").await.unwrap().is_none());
    assert!(store.run("restart", "i-open").await.unwrap().is_some());
    assert_eq!(store.action_log(&LogFilter::default(), 9, "").await.unwrap().items.len(), 1);
}
