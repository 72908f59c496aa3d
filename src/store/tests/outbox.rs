//! What the outbox promises, step by step.

use super::*;

const AM: &str = "am";

/// Has the open incident `i-1` and its alert due at minute 0 for the sinks.
async fn opened(store: Store, sinks: &[&str]) -> Store {
    tell(&store, incident("i-1", 0, None), alert("first", None), 0, sinks).await;
    store
}

async fn tell(store: &Store, incident: Incident, alert: Alert, minute: i64, sinks: &[&str]) {
    let alerts = vec![(incident.id.clone(), alert)];
    let sinks = sinks.iter().map(ToString::to_string).collect();
    store.commit(&Change { at: at(minute), incidents: vec![incident], alerts, sinks, ..Change::default() }).await.unwrap();
}

async fn due(store: &Store, minute: i64) -> Vec<Delivery> {
    store.due(AM, at(minute), 100).await.unwrap()
}

/// Sends what is due at `minute` as if the sink took all of it; gives the summaries.
async fn deliver(store: &Store, minute: i64) -> Vec<String> {
    let sent = due(store, minute).await;
    store.delivered(&sent.iter().collect::<Vec<_>>(), at(minute), at(minute + 1)).await.unwrap();
    sent.into_iter().map(|d| d.alert.annotations["summary"].clone()).collect()
}

pub async fn a_firing_alert_is_resent_and_leaves_when_it_is_resolved(store: Store) {
    let store = opened(store, &[AM]).await;
    assert_eq!(store.backlog(AM).await.unwrap(), Backlog { pending: 1, rejected: 0, next_send: Some(at(0)) });
    assert_eq!(deliver(&store, 0).await, ["first"]);
    assert_eq!(store.backlog(AM).await.unwrap(), Backlog { pending: 0, rejected: 0, next_send: Some(at(1)) });
    assert_eq!(deliver(&store, 0).await, [""; 0]);
    assert_eq!(deliver(&store, 1).await, ["first"]);
    tell(&store, incident("i-1", 0, Some(2)), alert("over", Some(2)), 2, &[AM]).await;
    assert_eq!(deliver(&store, 2).await, ["over"]);
    assert_eq!(store.backlog(AM).await.unwrap(), Backlog::default());
    assert_eq!(deliver(&store, 99).await, [""; 0]);
}

pub async fn a_resolution_that_was_delivered_is_not_told_again(store: Store) {
    let store = opened(store, &[AM]).await;
    tell(&store, incident("i-1", 0, Some(2)), alert("over", Some(2)), 2, &[AM]).await;
    assert_eq!(deliver(&store, 2).await, ["over"]);
    // The engine writes the incident again, say with feedback.
    tell(&store, incident("i-1", 0, Some(2)), alert("over", Some(2)), 3, &[AM]).await;
    assert_eq!(deliver(&store, 3).await, [""; 0]);
    // It opens again, and is over again.
    tell(&store, incident("i-1", 0, None), alert("again", None), 4, &[AM]).await;
    assert_eq!(deliver(&store, 4).await, ["again"]);
    tell(&store, incident("i-1", 0, Some(5)), alert("over again", Some(5)), 5, &[AM]).await;
    assert_eq!(deliver(&store, 5).await, ["over again"]);
}

pub async fn what_opened_and_was_over_before_it_could_be_sent_is_told_once_as_resolved(store: Store) {
    let store = opened(store, &[AM]).await;
    tell(&store, incident("i-1", 0, Some(1)), alert("over", Some(1)), 1, &[AM]).await;
    assert_eq!(deliver(&store, 1).await, ["over"]);
    tell(&store, incident("i-2", 0, Some(1)), alert("brief", Some(1)), 1, &[AM]).await;
    assert_eq!(deliver(&store, 1).await, ["brief"]);
    assert_eq!(store.backlog(AM).await.unwrap().next_send, None);
}

pub async fn an_unchanged_alert_changes_nothing_and_a_changed_one_is_due_at_once(store: Store) {
    let store = opened(store, &[AM]).await;
    assert_eq!(deliver(&store, 0).await, ["first"]);
    let before = store.deliveries("i-1").await.unwrap();
    tell(&store, incident("i-1", 0, None), alert("first", None), 0, &[AM]).await;
    assert_eq!(store.deliveries("i-1").await.unwrap(), before);
    tell(&store, incident("i-1", 0, None), alert("second", None), 0, &[AM]).await;
    assert_eq!(due(&store, 0).await[0].version, 2);
}

pub async fn what_changes_while_it_is_sent_is_sent_again(store: Store) {
    let store = opened(store, &[AM]).await;
    let sent = due(&store, 0).await;
    tell(&store, incident("i-1", 0, Some(1)), alert("over", Some(1)), 0, &[AM]).await;
    store.delivered(&[&sent[0]], at(0), at(1)).await.unwrap();
    assert_eq!(store.backlog(AM).await.unwrap().pending, 1);
    assert_eq!(deliver(&store, 0).await, ["over"]);
}

pub async fn failures_are_retried_at_their_time_even_if_the_alert_changes(store: Store) {
    let store = opened(store, &[AM]).await;
    let sent = due(&store, 0).await;
    store.undelivered(&[(&sent[0], at(3))], "refused").await.unwrap();
    let [row] = store.deliveries("i-1").await.unwrap().try_into().unwrap();
    assert_eq!((row.attempts, row.last_error.as_deref(), row.next_send, row.delivered_at), (1, Some("refused"), at(3), None));
    tell(&store, incident("i-1", 0, None), alert("second", None), 1, &[AM]).await;
    assert_eq!(due(&store, 2).await, []);
    assert_eq!(deliver(&store, 3).await, ["second"]);
    let [row] = store.deliveries("i-1").await.unwrap().try_into().unwrap();
    assert_eq!((row.attempts, row.last_error, row.delivered_at), (0, None, Some(at(3))));
}

pub async fn a_rejected_alert_waits_visibly_for_its_next_version(store: Store) {
    let store = opened(store, &[AM]).await;
    let sent = due(&store, 0).await;
    store.rejected(&sent[0], "invalid label").await.unwrap();
    assert_eq!(due(&store, 99).await, []);
    assert_eq!(store.backlog(AM).await.unwrap(), Backlog { pending: 0, rejected: 1, next_send: None });
    assert_eq!(store.deliveries("i-1").await.unwrap()[0].last_error.as_deref(), Some("invalid label"));
    tell(&store, incident("i-1", 0, None), alert("first", None), 1, &[AM]).await;
    assert_eq!(due(&store, 99).await, []);
    tell(&store, incident("i-1", 0, None), alert("second", None), 2, &[AM]).await;
    assert_eq!(deliver(&store, 2).await, ["second"]);
    // A late answer to an old version does not hold up the new one.
    store.rejected(&sent[0], "invalid label").await.unwrap();
    assert_eq!(store.backlog(AM).await.unwrap().rejected, 0);
}

pub async fn sinks_are_independent_and_leave_with_the_configuration(store: Store) {
    let store = opened(store, &[AM, "other"]).await;
    assert_eq!(deliver(&store, 0).await, ["first"]);
    assert_eq!(store.backlog("other").await.unwrap().pending, 1);
    // A sink that is new gets what is open with the next commit.
    tell(&store, incident("i-1", 0, None), alert("first", None), 1, &[AM, "new"]).await;
    assert_eq!(store.backlog("new").await.unwrap().pending, 1);
    store.keep_sinks(&[AM, "new"]).await.unwrap();
    let sinks: Vec<String> = store.deliveries("i-1").await.unwrap().into_iter().map(|d| d.sink).collect();
    assert_eq!(sinks, [AM, "new"]);
}

pub async fn the_limit_takes_the_longest_due_and_hasten_makes_all_due(store: Store) {
    for i in 0..5 {
        tell(&store, incident(&format!("i-{i}"), 0, None), alert("a", None), 10 - i, &[AM]).await;
    }
    let ids = |due: Vec<Delivery>| due.into_iter().map(|d| d.incident).collect::<Vec<_>>();
    assert_eq!(ids(store.due(AM, at(9), 2).await.unwrap()), ["i-4", "i-3"]);
    store.hasten(AM, at(0)).await.unwrap();
    assert_eq!(due(&store, 0).await.len(), 5);
}
