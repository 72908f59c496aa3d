//! `EventService` and Alertmanager's webhook.

use bellwether::proto::{Event, EventKind, ListEventsRequest, PublishEventsRequest};
use serde_json::{Value, json};
use tonic::Code;

use super::*;

/// A webhook payload of version 4.
pub fn payload(alerts: &[Value]) -> String {
    json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "bellwether", "groupLabels": {},
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager.example:9093", "alerts": alerts,
    })
    .to_string()
}

/// An alert as Alertmanager tells it: firing without an end.
pub fn alert(fingerprint: &str, name: &str, labels: &[(&str, &str)], from: Timestamp, to: Option<Timestamp>) -> Value {
    let mut all = json!({ "alertname": name });
    for (label, value) in labels {
        all[label] = json!(value);
    }
    json!({
        "status": if to.is_some() { "resolved" } else { "firing" }, "labels": all, "annotations": {"summary": "something is wrong"},
        "startsAt": from.to_string(), "endsAt": to.map_or("0001-01-01T00:00:00Z".to_owned(), |t| t.to_string()),
        "generatorURL": "http://prometheus.example:9090/graph", "fingerprint": fingerprint,
    })
}

fn event(id: &str, kind: EventKind, service: &str, minute: i64) -> Event {
    Event {
        id: id.to_owned(),
        kind: kind.into(),
        title: format!("{id} happened"),
        service: service.to_owned(),
        starts_at: Some(time(recent(minute))),
        ..Default::default()
    }
}

async fn publish(served: &Served, events: Vec<Event>) -> Vec<Event> {
    served.events().publish_events(PublishEventsRequest { events }).await.unwrap().into_inner().events
}

/// The ids of all events that fit, page by page.
async fn ids(served: &Served, request: ListEventsRequest) -> Vec<String> {
    let (mut request, mut ids) = (request, Vec::new());
    loop {
        let page = served.events().list_events(request.clone()).await.unwrap().into_inner();
        assert!(request.page_size == 0 || page.events.len() <= request.page_size as usize);
        ids.extend(page.events.into_iter().map(|e| e.id));
        if page.next_page_token.is_empty() {
            return ids;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn events_are_listed_latest_first_by_pages_and_filters() {
    let served = Served::start("").await;
    let given = [
        event("a", EventKind::Deployment, "cart", 0),
        event("b", EventKind::Alert, "cart", 30),
        event("c", EventKind::Deployment, "web", 10),
        event("d", EventKind::Scaling, "", 20),
        // At the same time as another.
        event("e", EventKind::FeatureFlag, "cart", 10),
    ];
    let stored = publish(&served, given.to_vec()).await;
    assert_eq!(stored.iter().map(|e| &e.id).collect::<Vec<_>>(), ["a", "b", "c", "d", "e"]);
    assert!(stored.iter().all(|e| e.source == "grpc"));
    let all = ids(&served, ListEventsRequest::default()).await;
    assert_eq!(all, ["b", "d", "e", "c", "a"]);
    for page_size in 1..=6 {
        assert_eq!(ids(&served, ListEventsRequest { page_size, ..Default::default() }).await, all, "pages of {page_size}");
    }
    let filtered = async |kind: EventKind, service: &str, page_size| {
        ids(&served, ListEventsRequest { kind: kind.into(), service: service.to_owned(), page_size, ..Default::default() }).await
    };
    assert_eq!(filtered(EventKind::Deployment, "", 1).await, ["c", "a"]);
    assert_eq!(filtered(EventKind::Unspecified, "cart", 2).await, ["b", "e", "a"]);
    assert_eq!(filtered(EventKind::Deployment, "cart", 0).await, ["a"]);
    assert_eq!(filtered(EventKind::Other, "cart", 0).await, [""; 0]);
    // A token goes on with its own list only.
    let page = served.events().list_events(ListEventsRequest { page_size: 1, ..Default::default() }).await.unwrap().into_inner();
    let request = ListEventsRequest { page_token: page.next_page_token, kind: EventKind::Alert.into(), ..Default::default() };
    let status = served.events().list_events(request).await.unwrap_err();
    assert_eq!(status.get_error_details().bad_request().unwrap().field_violations[0].field, "page_token");
    served.stop().await;
}

#[tokio::test]
async fn an_event_replaces_the_one_of_its_id() {
    let served = Served::start("").await;
    let first = event("deploy-1", EventKind::Deployment, "cart", 0);
    publish(&served, vec![first.clone()]).await;
    let second = Event {
        title: "cart 1.2 is out".to_owned(),
        labels: [("version".to_owned(), "1.2".to_owned())].into(),
        ends_at: Some(time(recent(5))),
        url: "https://ci.example/1".to_owned(),
        source: "argo-cd".to_owned(),
        description: "All pods are ready.".to_owned(),
        ..first
    };
    publish(&served, vec![second.clone()]).await;
    let listed = served.events().list_events(ListEventsRequest::default()).await.unwrap().into_inner().events;
    assert_eq!(listed, [second]);
    // Without an id the same event told twice is one; what says nothing of its time happened now.
    let nameless = Event { id: String::new(), ..event("x", EventKind::Other, "", 1) };
    let (one, two) = (publish(&served, vec![nameless.clone()]).await, publish(&served, vec![nameless.clone()]).await);
    assert!(one == two && !one[0].id.is_empty(), "{one:?}");
    let before = now().millis();
    let timeless = publish(&served, vec![Event { starts_at: None, ..nameless }]).await;
    assert!((before..=now().millis()).contains(&millis(timeless[0].starts_at)));
    assert_eq!(ids(&served, ListEventsRequest::default()).await.len(), 3);
    // One that is wrong keeps all from being stored.
    let mixed = vec![event("good", EventKind::Other, "", 2), Event::default()];
    let status = served.events().publish_events(PublishEventsRequest { events: mixed }).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(ids(&served, ListEventsRequest::default()).await.len(), 3);
    assert_eq!(publish(&served, Vec::new()).await, []);
}

#[tokio::test]
async fn an_alert_is_one_event_from_firing_to_resolved() {
    let served = Served::start("").await;
    let labels = [("service", "cart"), ("severity", "critical")];
    let (fingerprint, other) = ("0123456789abcdef", "fedcba9876543210");
    let list = async || {
        let request = ListEventsRequest { kind: EventKind::Alert.into(), ..Default::default() };
        let events = served.events().list_events(request).await.unwrap().into_inner().events;
        events
            .iter()
            .map(|e| (e.title.clone(), e.service.clone(), millis(e.starts_at), e.ends_at.map(|t| millis(Some(t)))))
            .collect::<Vec<_>>()
    };
    let fire = alert(fingerprint, "DiskFull", &labels, recent(0), None);
    let (status, answer) = served.post(payload(std::slice::from_ref(&fire))).await;
    assert_eq!((status, answer.as_str()), (200, r#"{"events":1}"#));
    let title = "DiskFull: something is wrong".to_owned();
    let firing = (title.clone(), "cart".to_owned(), recent(0).millis(), None);
    assert_eq!(list().await, std::slice::from_ref(&firing));
    // Told again, and twice in one payload.
    assert_eq!(served.post(payload(&[fire.clone(), fire])).await, (200, r#"{"events":1}"#.to_owned()));
    assert_eq!(list().await, [firing]);
    let end = alert(fingerprint, "DiskFull", &labels, recent(0), Some(recent(7)));
    assert_eq!(served.post(payload(&[end])).await.0, 200);
    let over = (title.clone(), "cart".to_owned(), recent(0).millis(), Some(recent(7).millis()));
    assert_eq!(list().await, std::slice::from_ref(&over));
    // It comes back later, and another alert with it.
    let both =
        [alert(fingerprint, "DiskFull", &labels, recent(60), None), alert(other, "DiskFull", &[("service", "web")], recent(50), None)];
    assert_eq!(served.post(payload(&both)).await.1, r#"{"events":2}"#);
    let again = (title.clone(), "cart".to_owned(), recent(60).millis(), None);
    assert_eq!(list().await, [again, (title, "web".to_owned(), recent(50).millis(), None), over]);
    // Our own alert, come back through Alertmanager, is not evidence for itself.
    let own = alert(other, "BellwetherIncident", &[("incident", "inc-0123456789ab"), ("service", "cart")], recent(61), None);
    assert_eq!(served.post(payload(&[own])).await, (200, r#"{"events":0}"#.to_owned()));
    assert_eq!(list().await.len(), 3);
    served.stop().await;
}
