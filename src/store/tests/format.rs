//! The files that released versions wrote must load for ever.

use super::*;
use crate::action::{Entry, Outcome, Run, RunState};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store");

pub fn change() -> Change {
    Change {
        at: at(6),
        incidents: vec![incident("i-open", 5, None), incident("i-resolved", 0, Some(4))],
        events: vec![event("e-deployment", EventKind::Deployment, 1, None), event("e-alert", EventKind::Alert, 2, Some(3))],
        alerts: vec![("i-open".to_owned(), alert("open", None))],
        sinks: vec!["am".to_owned()],
    }
}

#[tokio::test]
async fn the_file_of_version_1_loads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v1.sqlite");
    std::fs::copy(Path::new(FIXTURES).join("v1.sqlite"), &path).unwrap();
    let store = Store::open(&path).await.unwrap();
    let expected = change();
    let page = store.incidents(&IncidentFilter::default(), 0, "").await.unwrap();
    assert_eq!(page, Page { items: expected.incidents, next: None });
    assert_eq!(store.events_between(at(0), at(9)).await.unwrap(), expected.events);
    let due = store.due("am", at(6), 10).await.unwrap();
    assert_eq!((&due[0].incident, &due[0].alert, due[0].version), (&expected.alerts[0].0, &expected.alerts[0].1, 1));
}

#[tokio::test]
async fn the_file_of_version_2_loads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v2.sqlite");
    std::fs::copy(Path::new(FIXTURES).join("v2.sqlite"), &path).unwrap();
    let store = Store::open(&path).await.unwrap();
    let page = store.incidents(&IncidentFilter::default(), 0, "").await.unwrap();
    assert_eq!(page.items, change().incidents);
    let held = held_back("f-over", Some(4));
    assert_eq!(store.held_back(&held.finding.monitor, 9).await.unwrap(), [held]);
}

#[tokio::test]
async fn the_file_of_version_3_loads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v3.sqlite");
    std::fs::copy(Path::new(FIXTURES).join("v3.sqlite"), &path).unwrap();
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.feedback_in_force().await.unwrap(), [feedback::feedback(1)]);
}

#[tokio::test]
async fn the_file_of_version_6_loads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v6.sqlite");
    std::fs::copy(Path::new(FIXTURES).join("v6.sqlite"), &path).unwrap();
    let store = Store::open(&path).await.unwrap();
    let (run, entry) = acted();
    assert_eq!(store.run("restart", "i-open").await.unwrap(), Some(Known { run: run.clone(), version: 1 }));
    assert_eq!(store.action_log(&LogFilter::default(), 9, "").await.unwrap().items, [entry]);
    assert_eq!(store.live_runs(at(9)).await.unwrap().len(), 1);
    assert_eq!(store.feedback_in_force().await.unwrap(), [feedback::feedback(1)]);
}

/// What an action did, and what the log says of it.
fn acted() -> (Run, Entry) {
    let run = actions::run("restart", "i-open", RunState::Proposed);
    let entry = actions::entry("e-1", &run, Outcome::Proposed, 6);
    (run, entry)
}

/// Writes the fixture of the present version anew: after adding a migration, name the file for it and run
/// `cargo test --lib store::tests::format -- --ignored`. Fixtures of older versions stay as they are.
#[tokio::test]
#[ignore = "writes tests/fixtures/store"]
async fn write_the_fixture() {
    let path = Path::new(FIXTURES).join("v6.sqlite");
    let _ = std::fs::remove_file(&path);
    let store = Store::open(&path).await.unwrap();
    store.commit(&change()).await.unwrap();
    store.hold_back(&[held_back("f-over", Some(4))], &[]).await.unwrap();
    let (run, entry) = acted();
    assert!(store.add_run(&run, &[entry]).await.unwrap());
    store.put_feedback(&[feedback::feedback(1)]).await.unwrap();
    store.close().await;
}
