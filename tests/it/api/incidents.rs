//! `IncidentService` over an incident that really goes on.

use bellwether::proto::{
    Event, EventKind, GetIncidentRequest, Incident, IncidentState, ListIncidentsRequest, PublishEventsRequest, WatchIncidentsRequest,
};
use tonic::{Code, Streaming};

use super::*;

async fn list(served: &Served, request: ListIncidentsRequest) -> Vec<Incident> {
    served.incidents().list_incidents(request).await.unwrap().into_inner().incidents
}

async fn get(served: &Served, id: &str) -> Incident {
    served.incidents().get_incident(GetIncidentRequest { id: id.to_owned() }).await.unwrap().into_inner().incident.unwrap()
}

async fn watch(served: &Served, service: &str) -> Streaming<proto::WatchIncidentsResponse> {
    let request = WatchIncidentsRequest { service: service.to_owned() };
    served.incidents().watch_incidents(request).await.unwrap().into_inner()
}

/// The first of the stream's incidents that is as wanted.
async fn next(stream: &mut Streaming<proto::WatchIncidentsResponse>, wanted: impl Fn(&Incident) -> bool) -> Incident {
    let look = async {
        loop {
            let incident = stream.message().await.unwrap().unwrap().incident.unwrap();
            if wanted(&incident) {
                return incident;
            }
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("the change is never told")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_listed_got_watched_and_joined_by_what_others_say() {
    let served = Served::over_the_shop(MONITORS).await;
    // Whoever watches from the beginning is told as it opens.
    let mut early = watch(&served, "").await;
    let opened = next(&mut early, |i| i.service == "payment").await;
    assert_eq!(opened.state(), IncidentState::Open);

    let incident = served.incident().await;
    assert_eq!(incident.id, opened.id);
    assert_eq!((incident.service.as_str(), incident.monitor.as_str()), ("payment", "pool"));
    assert!(incident.findings.iter().all(|f| f.metric == "saturation"), "{:?}", incident.findings);
    assert!(!incident.causes.is_empty() && !incident.suggestions.is_empty());
    assert!((incident.causes.iter().map(|c| c.weight).sum::<f64>() - 1.0).abs() < 1e-9, "{:?}", incident.causes);
    let onset = shop().truth().incident.as_ref().unwrap().onset;
    assert!((millis(incident.started) - onset.millis()).abs() <= 5 * 60_000, "{:?} instead of {onset}", incident.started);
    assert_eq!(get(&served, &incident.id).await.findings, incident.findings);
    assert_eq!(list(&served, ListIncidentsRequest { service: "payment".to_owned(), ..Default::default() }).await.len(), 1);
    for (state, service) in [(IncidentState::Resolved, ""), (IncidentState::Open, "nobody")] {
        let request = ListIncidentsRequest { state: state.into(), service: service.to_owned(), ..Default::default() };
        assert!(list(&served, request).await.iter().all(|i| i.id != incident.id));
    }
    let unknown = served.incidents().get_incident(GetIncidentRequest { id: "inc-000000000000".to_owned() }).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (Code::NotFound, "there is no incident `inc-000000000000`"));

    // Whoever comes late is told what is open; of one service, if that is wanted.
    let mut late = watch(&served, "payment").await;
    assert_eq!(next(&mut late, |_| true).await.id, incident.id);
    let mut other = watch(&served, "cart").await;

    // An alert of the service joins it; those of others and of other times do not.
    let (during, long_ago) = (onset + MINUTE * 3, onset - DurationMs::DAY);
    let alerts = [
        events::alert("00000000000000aa", "PaymentSlow", &[("service", "payment")], during, None),
        events::alert("00000000000000bb", "CartSlow", &[("service", "cart")], during, None),
        events::alert("00000000000000cc", "PaymentOnce", &[("service", "payment")], long_ago, Some(long_ago + MINUTE)),
    ];
    assert_eq!(served.post(events::payload(&alerts)).await, (200, r#"{"events":3}"#.to_owned()));
    let joined = |i: &Incident, title: &str| i.events.iter().any(|e| e.title.starts_with(title));
    let changed = next(&mut late, |i| joined(i, "PaymentSlow")).await;
    assert_eq!((changed.id.as_str(), changed.events.len()), (incident.id.as_str(), 1));
    assert_eq!((changed.events[0].kind(), changed.events[0].source.as_str()), (EventKind::Alert, "alertmanager"));
    assert_eq!(get(&served, &incident.id).await.events, changed.events);
    assert_eq!(next(&mut early, |i| joined(i, "PaymentSlow")).await.id, incident.id);

    // Its end reaches the incident.
    let end = events::alert("00000000000000aa", "PaymentSlow", &[("service", "payment")], during, Some(during + MINUTE));
    assert_eq!(served.post(events::payload(&[end])).await.0, 200);
    let changed = next(&mut late, |i| i.events.iter().any(|e| e.ends_at.is_some())).await;
    assert_eq!((changed.events.len(), millis(changed.events[0].ends_at)), (1, (during + MINUTE).millis()));

    // A change that came just before is what probably caused it.
    let deployed = Event {
        id: "deploy-payment-2.8.1".to_owned(),
        kind: EventKind::Deployment.into(),
        title: "payment 2.8.1 deployed".to_owned(),
        service: "payment".to_owned(),
        starts_at: Some(time(onset - MINUTE * 3)),
        ..Default::default()
    };
    served.events().publish_events(PublishEventsRequest { events: vec![deployed] }).await.unwrap();
    let changed = next(&mut late, |i| i.events.len() == 2).await;
    assert_eq!(changed.causes[0].title, "payment 2.8.1 deployed");
    assert!(changed.causes[0].reason.contains("before payment's saturation left its course"), "{}", changed.causes[0].reason);

    // Nothing of this was of `cart`'s.
    let told = tokio::time::timeout(std::time::Duration::from_millis(100), other.message()).await;
    assert!(told.is_err(), "{told:?}");

    // Its page tells the same.
    let (status, _, page) = served.get(&format!("/incidents/{}", incident.id)).await;
    assert_eq!(status, 200);
    for part in ["payment 2.8.1 deployed", "PaymentSlow: something is wrong", "<svg", &incident.suggestions[0].title] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    // Who still watches does not keep it from stopping.
    served.stop().await;
}
