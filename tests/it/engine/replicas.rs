//! Several engines on one PostgreSQL: one leads, and another goes on when it dies, stops or sleeps.

use std::time::Duration;

use bellwether::proto::event_service_client::EventServiceClient;
use bellwether::proto::{Event, EventKind, ListEventsRequest, PublishEventsRequest};

use super::api::Api;
use super::people::{People, active};
use super::shop::Shop;
use super::until;
use crate::postgres;
use crate::servers::Alertmanager;

const SOON: Duration = Duration::from_mins(1);

async fn leads(api: &Api) -> bool {
    api.metric("bellwether_leader").await == 1.0
}

/// Publishes a deployment of `payment` through an engine.
async fn deploy(api: &Api, id: &str) {
    let event = Event {
        id: id.to_owned(),
        kind: EventKind::Deployment.into(),
        title: format!("payment {id}"),
        service: "payment".to_owned(),
        ..Default::default()
    };
    let mut client = EventServiceClient::connect(api.0.clone()).await.unwrap();
    client.publish_events(PublishEventsRequest { events: vec![event] }).await.unwrap();
}

async fn events(api: &Api) -> Vec<String> {
    let mut client = EventServiceClient::connect(api.0.clone()).await.unwrap();
    let events = client.list_events(ListEventsRequest::default()).await.unwrap().into_inner().events;
    events.into_iter().map(|event| event.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_outlives_the_leaders_that_serve_it() {
    let shop = Shop::open().await;
    let people = People::listen().await;
    let alertmanager = Alertmanager::start(Some(&people.url()));
    let store = format!("store: {{url: '{}'}}\n", postgres::address(&postgres::database()));
    let mut first = shop.replica("first", &alertmanager.url(), &store);
    let one = Api(first.url());
    until("the first leads", SOON, async || leads(&one).await).await;
    let second = shop.replica("second", &alertmanager.url(), &store);
    let two = Api(second.url());
    until("every series has a model", SOON, async || one.is_fitted().await).await;
    assert!(!leads(&two).await);
    let (status, text) = two.get("/-/ready").await;
    assert!(status == 200 && text.starts_with("standby: ") && text.ends_with(" leads\n"), "{status} {text}");
    assert_eq!(one.get("/-/ready").await, (200, "ready\n".to_owned()));

    shop.break_it(true);
    until("the incident is found", SOON, async || !one.open().await.is_empty()).await;
    until("its alert is there", SOON, async || active(&alertmanager.url()).await.len() == 1).await;
    let incident = one.open().await[0].clone();
    assert_eq!(two.open().await[0].id, incident.id, "who stands by shows it too");
    // What comes to the one that stands by is taken in by the one that leads.
    deploy(&two, "d-1").await;
    until("the event is taken in", SOON, async || events(&one).await == ["d-1"]).await;

    first.kill();
    deploy(&two, "d-2").await;
    until("the second takes over", SOON, async || leads(&two).await).await;
    until("the event is taken in", SOON, async || events(&two).await.contains(&"d-2".to_owned())).await;
    first.start();
    until("everything is watched again", SOON, async || two.is_fitted().await).await;
    assert!(!leads(&one).await);

    // One that sleeps loses the lease, and knows when it wakes up.
    second.pause();
    until("the first takes over", SOON, async || leads(&one).await).await;
    second.go_on();
    until("the second stands by", SOON, async || !leads(&two).await).await;
    until("everything is watched again", SOON, async || one.is_fitted().await).await;
    assert!(leads(&one).await);

    let open = one.open().await;
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!((&open[0].id, &open[0].detected), (&incident.id, &incident.detected));
    assert_eq!(active(&alertmanager.url()).await.len(), 1);

    // One that stops hands over.
    assert!(first.stop().success());
    until("the second leads at once", Duration::from_secs(5), async || leads(&two).await).await;
    shop.break_it(false);
    until("the alert is over", SOON, async || active(&alertmanager.url()).await.is_empty()).await;
    until("people are told of the end", SOON, async || people.told().await.len() >= 2).await;
    assert_eq!(people.told().await, ["firing", "resolved"].map(|status| (incident.id.clone(), status.to_owned())));
    assert_eq!(two.incidents().await.len(), 1);
    for log in [first.log(), second.log()] {
        assert!(log.contains("standing by") && log.contains("\"leading\""), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}
