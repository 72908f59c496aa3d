//! Room that is limited.

use super::*;

/// Incidents that began and were resolved one minute after the other, with their events, and one that is open since before all.
async fn much(store: &Store, n: i64) {
    let mut incidents: Vec<Incident> = (1..=n).map(|i| incident(&format!("i-{i:04}"), i, Some(i + 1))).collect();
    incidents.push(incident("i-open", 0, None));
    let mut events: Vec<Event> = (1..=n).map(|i| event(&format!("e-{i:04}"), EventKind::Deployment, i, None)).collect();
    events.push(event("e-lasting", EventKind::Alert, 0, None));
    store.commit(&Change { at: at(n), incidents, events, ..Change::default() }).await.unwrap();
    store.hold_back(&[held_back("f-lasting", None)], &[]).await.unwrap();
}

pub async fn the_oldest_go_until_there_is_room_and_what_is_open_stays(store: Store) {
    much(&store, 400).await;
    let before = store.size().await.unwrap();
    assert_eq!(store.shrink(before).await.unwrap(), Forgotten::default());
    let most = before * 6 / 10;
    let gone = store.shrink(most).await.unwrap();
    let after = store.size().await.unwrap();
    assert!(after <= most && after > before / 3, "{before} {most} {after}");
    assert!((50..350).contains(&gone.incidents), "{gone:?}");
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.open, counts.resolved, counts.events), (1, 400 - gone.incidents, 401 - gone.events));
    // Those that stayed are the latest.
    let page = store.incidents(&IncidentFilter { state: Some(IncidentState::Resolved), service: None }, 1000, "").await.unwrap();
    let oldest = format!("i-{:04}", gone.incidents + 1);
    assert_eq!(page.items.last().map(|incident| incident.id.as_str()), Some(oldest.as_str()));

    let gone = store.shrink(1).await.unwrap();
    assert!(gone.incidents > 0);
    let monitor = held_back("f-lasting", None).finding.monitor;
    assert_eq!(
        (store.counts().await.unwrap(), store.held_back(&monitor, 9).await.unwrap().len()),
        (Counts { open: 1, resolved: 0, events: 1 }, 1)
    );
    store.give_back().await.unwrap();
    assert_eq!(store.open_incidents().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_becomes_smaller_also_one_from_before_that_was_possible() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.sqlite");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store/v1.sqlite"), &old).unwrap();
    for path in [old, folder.path().join("new.sqlite")] {
        let store = Store::open(&path).await.unwrap();
        much(&store, 1500).await;
        let length = || std::fs::metadata(&path).unwrap().len();
        store.shrink(1).await.unwrap();
        let before = length();
        store.give_back().await.unwrap();
        assert!(length() < before / 4, "{} of {before} bytes are left of {}", length(), path.display());
        much(&store, 1500).await;
        store.shrink(1).await.unwrap();
        store.give_back().await.unwrap();
        assert!(length() < before / 4, "{} of {before} bytes are left of {}", length(), path.display());
        assert_eq!(store.open_incidents().await.unwrap().last().unwrap().findings.len(), 1);
    }
}
