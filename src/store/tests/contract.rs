//! What every store promises, whichever database it is in.

use super::*;

async fn put_incidents(store: &Store, incidents: Vec<Incident>) {
    store.commit(&Change { incidents, ..Change::default() }).await.unwrap();
}

async fn put_events(store: &Store, events: Vec<Event>) {
    store.commit(&Change { events, ..Change::default() }).await.unwrap();
}

pub async fn a_finding_without_a_bound_reads_back(store: Store) {
    let mut unbounded = incident("i-1", 0, None);
    unbounded.findings[0].lower = f64::NEG_INFINITY;
    unbounded.findings[0].expected = f64::NAN;
    unbounded.causes[0].weight = f64::NAN;
    put_incidents(&store, vec![unbounded]).await;
    let read = store.incident("i-1").await.unwrap().unwrap();
    assert!(read.findings[0].lower.is_nan() && read.findings[0].expected.is_nan() && read.causes[0].weight.is_nan());
    assert_eq!(read.findings[0].upper, 0.3125);
}

pub async fn a_change_is_written_all_or_not_at_all(store: Store) {
    let change = Change {
        at: at(0),
        incidents: vec![incident("i-1", 0, None)],
        events: vec![event("e-1", EventKind::Deployment, 0, None)],
        alerts: vec![("i-1".to_owned(), alert("a", None)), ("nowhere".to_owned(), alert("b", None))],
        sinks: vec!["am".to_owned()],
    };
    // The second alert belongs to no incident, which the foreign key refuses.
    assert_eq!(store.commit(&change).await.unwrap_err().code, Code::Internal);
    assert_eq!(store.counts().await.unwrap(), Counts::default());
    assert_eq!(store.backlog("am").await.unwrap(), Backlog::default());
}

pub async fn what_was_resolved_lately_is_found(store: Store) {
    let mut acknowledged = incident("i-open", 0, None);
    assert!(acknowledged.life.acknowledge("ann", "mine", at(1)));
    put_incidents(
        &store,
        vec![acknowledged.clone(), incident("i-old", 1, Some(4)), incident("i-late", 3, Some(5)), incident("i-long", 2, Some(9))],
    )
    .await;
    let ids: Vec<String> = store.resolved_since(at(5)).await.unwrap().into_iter().map(|incident| incident.id).collect();
    assert_eq!(ids, ["i-long", "i-late"]);
    assert_eq!(store.open_incidents().await.unwrap(), [acknowledged]);
}

pub async fn pages_show_every_incident_once_newest_first(store: Store) {
    // Three of each beginning, so that pages end between equal times.
    let all: Vec<Incident> = (0..23).map(|i| incident(&format!("i-{i:02}"), i / 3, (i % 2 == 0).then_some(99))).collect();
    put_incidents(&store, all).await;
    for (filter, expected) in [
        (IncidentFilter::default(), 23),
        (IncidentFilter { state: Some(IncidentState::Open), service: None }, 11),
        (IncidentFilter { state: Some(IncidentState::Resolved), service: Some("checkout".to_owned()) }, 12),
        (IncidentFilter { state: None, service: Some("other".to_owned()) }, 0),
    ] {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = store.incidents(&filter, 5, &token).await.unwrap();
            assert!(page.items.len() == 5 || page.next.is_none());
            seen.extend(page.items.into_iter().map(|i| (i.started, i.id)));
            // One that comes in front meanwhile moves nothing.
            let change = Change { incidents: vec![incident("i-new", 500, Some(600))], ..Change::default() };
            store.commit(&change).await.unwrap();
            match page.next {
                Some(next) => token = next,
                None => break,
            }
        }
        seen.retain(|(_, id)| id != "i-new");
        assert_eq!(seen.len(), expected);
        assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
    }
}

pub async fn a_name_with_a_nul_is_stored(store: Store) {
    let (mut incident, mut event) = (incident("i-1", 0, None), event("e-1", EventKind::Other, 0, None));
    incident.service = "a\0b".to_owned();
    event.service = Some("a\0b".to_owned());
    let change = Change { incidents: vec![incident.clone()], events: vec![event.clone()], ..Change::default() };
    store.commit(&change).await.unwrap();
    assert_eq!(store.open_incidents().await.unwrap(), [incident]);
    assert_eq!(store.events_between(at(0), at(1)).await.unwrap(), [event]);
}

pub async fn a_foreign_page_token_is_named(store: Store) {
    put_incidents(&store, (0..3).map(|i| incident(&format!("i-{i}"), i, None)).collect()).await;
    let token = store.incidents(&IncidentFilter::default(), 1, "").await.unwrap().next.unwrap();
    let open = IncidentFilter { state: Some(IncidentState::Open), service: None };
    for error in [
        store.incidents(&IncidentFilter::default(), 1, "zz").await.unwrap_err(),
        store.incidents(&open, 1, &token).await.unwrap_err(),
        store.events(&EventFilter::default(), 1, &token).await.unwrap_err(),
    ] {
        assert_eq!((error.code, error.violations[0].field.as_str()), (Code::InvalidArgument, "page_token"));
    }
    assert_eq!(
        store.incidents(&open, 1, "zz").await.unwrap_err().to_string(),
        "page_token: `zz` is not a token of this list; pass next_page_token of the page before, with the same filter"
    );
}

pub async fn the_size_of_a_page_has_a_default_and_a_limit(store: Store) {
    put_events(&store, (0..1100).map(|i| event(&format!("e-{i}"), EventKind::Other, i, None)).collect()).await;
    for (asked, given) in [(0, 100), (7, 7), (usize::MAX, 1000)] {
        assert_eq!(store.events(&EventFilter::default(), asked, "").await.unwrap().items.len(), given);
    }
}

pub async fn events_overlap_a_stretch_of_time(store: Store) {
    put_events(
        &store,
        vec![
            event("ended-before", EventKind::Alert, 0, Some(9)),
            event("reaches-in", EventKind::Alert, 1, Some(10)),
            event("lasting-alert", EventKind::Alert, 2, None),
            event("instant-before", EventKind::Deployment, 9, None),
            event("instant-within", EventKind::Deployment, 15, None),
            event("covers", EventKind::Scaling, 5, Some(50)),
            event("begins-at-the-end", EventKind::Other, 20, None),
            event("after", EventKind::Alert, 21, None),
        ],
    )
    .await;
    let ids: Vec<String> = store.events_between(at(10), at(20)).await.unwrap().into_iter().map(|e| e.id).collect();
    assert_eq!(ids, ["reaches-in", "lasting-alert", "covers", "instant-within", "begins-at-the-end"]);
    let filter = EventFilter { kind: Some(EventKind::Deployment), service: Some("cart".to_owned()) };
    let page = store.events(&filter, 10, "").await.unwrap();
    assert_eq!(page.items.into_iter().map(|e| e.id).collect::<Vec<_>>(), ["instant-within", "instant-before"]);
}

pub async fn one_occurrence_of_an_alert_is_one_event(store: Store) {
    let occurrence = |starts: i64, ends| Event { id: format!("am-1-{starts}"), ..event("disk", EventKind::Alert, starts, ends) };
    let spans = async |store: &Store| -> Vec<(i64, Option<i64>)> {
        let events = store.events_between(at(0), at(1000)).await.unwrap();
        let minute = |t: Timestamp| (t.millis() - at(0).millis()) / 60_000;
        events.iter().map(|e| (minute(e.starts_at), e.ends_at.map(minute))).collect()
    };
    put_events(&store, vec![occurrence(10, None)]).await;
    // The other replica of a Prometheus saw it earlier, and Alertmanager merged the two.
    store.commit(&Change { events: vec![occurrence(8, None)], ..Change::default() }).await.unwrap();
    assert_eq!(spans(&store).await, [(8, None)]);
    store.commit(&Change { events: vec![occurrence(8, Some(20))], ..Change::default() }).await.unwrap();
    assert_eq!(spans(&store).await, [(8, Some(20))]);
    store.commit(&Change { events: vec![occurrence(30, None)], ..Change::default() }).await.unwrap();
    // Its resolution never came.
    store.commit(&Change { events: vec![occurrence(90, None)], ..Change::default() }).await.unwrap();
    assert_eq!(spans(&store).await, [(8, Some(20)), (30, Some(90)), (90, None)]);
    // A late word of an occurrence long over leaves the present one alone.
    store.commit(&Change { events: vec![occurrence(8, Some(20))], ..Change::default() }).await.unwrap();
    assert_eq!(spans(&store).await.len(), 3);
}

pub async fn what_is_old_is_forgotten_and_what_is_open_is_kept(store: Store) {
    put_incidents(&store, vec![incident("old", 0, Some(10)), incident("old-but-open", 0, None), incident("resolved-later", 0, Some(200))])
        .await;
    let change = Change {
        at: at(0),
        events: vec![
            event("old", EventKind::Alert, 0, Some(10)),
            event("old-instant", EventKind::Deployment, 10, None),
            event("old-and-never-ended", EventKind::Alert, 10, None),
            event("ended-later", EventKind::Alert, 10, Some(200)),
            event("new", EventKind::Deployment, 200, None),
        ],
        alerts: vec![("old".to_owned(), alert("never delivered", None))],
        sinks: vec!["gone".to_owned()],
        ..Change::default()
    };
    store.commit(&change).await.unwrap();
    assert_eq!(store.prune(at(100)).await.unwrap(), Forgotten { incidents: 1, events: 3 });
    assert_eq!(store.counts().await.unwrap(), Counts { open: 1, resolved: 1, events: 2 });
    assert_eq!(store.deliveries("old").await.unwrap(), []);
}

pub async fn the_budget_is_spent_on_what_was_found_lately(store: Store) {
    let with = |id: &str, started, updated, findings: &[(&str, i64)]| {
        let mut incident = incident(id, started, None);
        let one = incident.findings.remove(0);
        incident.updated = at(updated);
        let found = findings.iter().enumerate();
        incident.findings = found
            .map(|(i, (monitor, onset))| Finding {
                id: format!("{id}-{i}"),
                monitor: (*monitor).to_owned(),
                onset: at(*onset),
                lower: f64::NAN,
                ..one.clone()
            })
            .collect();
        incident
    };
    put_incidents(
        &store,
        vec![
            with("i-old", 10, 20, &[("a", 10)]),
            // It began before and has grown since.
            with("i-grown", 50, 130, &[("a", 50), ("a", 99), ("b", 100), ("a", 120)]),
            with("i-new", 110, 110, &[("a", 110), ("a", 110), ("it's \"c\"", 112)]),
            with("i-newer", 115, 115, &[("a", 115)]),
            // It has changed, but found nothing new.
            with("i-alert", 40, 125, &[("b", 40)]),
        ],
    )
    .await;
    store.hold_back(&[held_back("f-1", None)], &[]).await.unwrap();
    let spent = |findings, incidents, ids: &[&str]| Spent { findings, incidents, ids: ids.iter().map(|id| (*id).to_owned()).collect() };
    let all = store.spending(at(100), 2).await.unwrap();
    assert_eq!(all.incidents, 2);
    let by_name = BTreeMap::from([
        ("a".to_owned(), spent(4, 3, &["i-newer", "i-new"])),
        ("b".to_owned(), spent(1, 1, &["i-grown"])),
        ("it's \"c\"".to_owned(), spent(1, 1, &["i-new"])),
    ]);
    assert_eq!(all.monitors, by_name);
    assert_eq!(store.spending(at(131), 9).await.unwrap(), Spending::default());
}

pub async fn findings_that_are_held_back_are_kept_changed_released_and_forgotten(store: Store) {
    let (open, over) = (held_back("f-1", None), held_back("f-2", Some(4)));
    let monitor = open.finding.monitor.clone();
    store.hold_back(&[open.clone(), over.clone()], &[]).await.unwrap();
    assert_eq!(store.open_held_back(&monitor).await.unwrap(), std::slice::from_ref(&open));
    assert_eq!(store.held_back(&monitor, 9).await.unwrap(), [over.clone(), open]);
    assert_eq!(store.held_back(&monitor, 1).await.unwrap(), [over]);
    assert!(store.held_back("another", 9).await.unwrap().is_empty());
    let ended = held_back("f-1", Some(6));
    store.hold_back(std::slice::from_ref(&ended), &["f-2".to_owned()]).await.unwrap();
    assert!(store.open_held_back(&monitor).await.unwrap().is_empty());
    assert_eq!(store.held_back(&monitor, 9).await.unwrap(), [ended]);
    store.prune(at(3)).await.unwrap();
    assert_eq!(store.held_back(&monitor, 9).await.unwrap().len(), 1);
    store.prune(at(4)).await.unwrap();
    assert!(store.held_back(&monitor, 9).await.unwrap().is_empty());
}
