//! Prometheus and Alertmanager come and go; one incident stays one incident.

use std::time::Duration;

use bellwether::proto::IncidentState;
use tonic_health::pb::health_check_response::ServingStatus;

use super::api::Api;
use super::people::{People, active};
use super::shop::{SERIES, Shop};
use super::until;
use crate::servers::Alertmanager;

const SOON: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_down_at_start_and_in_the_middle() {
    let mut shop = Shop::open().await;
    shop.prometheus.stop();
    let people = People::listen().await;
    let alertmanager = Alertmanager::start(Some(&people.url()));
    let mut bellwether = shop.watch(Some(&alertmanager.url()));
    let api = Api(bellwether.url());

    // Without Prometheus it lives, and says that it cannot do its work.
    until("the monitors say why", SOON, async || api.monitors().await.iter().all(|m| m.last_error.contains(&shop.prometheus.url()))).await;
    assert_eq!(api.health("").await, ServingStatus::NotServing);
    assert_eq!(api.health("bellwether.v1.MonitorService").await, ServingStatus::NotServing);
    assert_eq!(api.health("bellwether.v1.AnalysisService").await, ServingStatus::Serving);
    let (status, why) = api.get("/-/ready").await;
    assert!(status == 503 && why.contains("prometheus: not read yet"), "{status} {why}");
    assert_eq!(api.get("/-/healthy").await.0, 200);
    assert!(api.metric("bellwether_failures_total").await >= 2.0);
    assert!(bellwether.is_running());

    shop.prometheus.restart();
    let fitted = until("every series has a model", SOON, async || api.is_fitted().await).await;
    until("it serves", SOON, async || api.health("").await == ServingStatus::Serving).await;
    assert_eq!(api.get("/-/ready").await.0, 200);
    let series = api.monitors().await.iter().map(|m| m.fitted).sum::<i32>();
    assert_eq!(series, SERIES);

    shop.break_it(true);
    let found = until("the alert is there", SOON, async || !active(&alertmanager.url()).await.is_empty()).await;
    let before = active(&alertmanager.url()).await;
    assert_eq!(before[0]["labels"]["service"], "payment");
    eprintln!("fitted {fitted:?} after Prometheus came back; alert {found:?} after the value moved");

    shop.prometheus.stop();
    until("the monitors say why", SOON, async || api.monitors().await.iter().all(|m| !m.last_error.is_empty())).await;
    // Nobody said that it is over: the incident stays, and its alert is sent again.
    assert_eq!(api.open().await.len(), 1);
    assert_eq!(active(&alertmanager.url()).await.len(), 1);
    let silent = until("it says that it cannot see", SOON * 2, async || api.health("").await == ServingStatus::NotServing).await;
    let (status, why) = api.get("/-/ready").await;
    assert!(status == 503 && why.contains("prometheus: not read for"), "{status} {why}");
    assert_eq!(active(&alertmanager.url()).await.len(), 1);

    shop.prometheus.restart();
    let back = until("it goes on", SOON, async || api.is_fitted().await && api.health("").await == ServingStatus::Serving).await;
    assert_eq!(api.open().await.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), [before[0]["labels"]["incident"].as_str().unwrap()]);
    eprintln!("not serving {silent:?} after Prometheus stopped, serving {back:?} after it came back");

    shop.break_it(false);
    let over = until("the alert is over", SOON, async || active(&alertmanager.url()).await.is_empty()).await;
    eprintln!("resolved {over:?} after the value was normal again");
    until("people are told of the end", SOON, async || people.told().await.iter().any(|(_, status)| status == "resolved")).await;
    let incidents = api.incidents().await;
    assert_eq!(incidents.len(), 1, "{incidents:#?}");
    assert_eq!(incidents[0].state(), IncidentState::Resolved);
    assert_eq!(people.incidents().await.len(), 1, "{:?}", people.told().await);
    assert!(bellwether.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn alertmanager_down_then_back() {
    let shop = Shop::open().await;
    let people = People::listen().await;
    let mut alertmanager = Alertmanager::start(Some(&people.url()));
    alertmanager.stop();
    let bellwether = shop.watch(Some(&alertmanager.url()));
    let api = Api(bellwether.url());
    until("every series has a model", SOON, async || api.is_fitted().await).await;

    shop.break_it(true);
    until("the incident is found", SOON, async || !api.open().await.is_empty()).await;
    until("it was tried to tell", SOON, async || api.metric("bellwether_deliveries_total").await >= 2.0).await;
    assert_eq!(api.metric("bellwether_outbox_pending").await, 1.0);
    // Alertmanager's absence is no reason to take the engine out of service.
    assert_eq!(api.health("").await, ServingStatus::Serving);

    alertmanager.restart();
    let told = until("the alert is there", SOON, async || active(&alertmanager.url()).await.len() == 1).await;
    eprintln!("alert {told:?} after Alertmanager came back");
    let incident = api.open().await[0].id.clone();
    until("people are told", SOON, async || !people.told().await.is_empty()).await;
    until("the outbox is empty", SOON, async || api.metric("bellwether_outbox_pending").await == 0.0).await;

    // What ends while nobody can be told is told as well.
    alertmanager.stop();
    shop.break_it(false);
    until("the incident is over", SOON, async || api.open().await.is_empty()).await;
    assert_eq!(api.metric("bellwether_outbox_pending").await, 1.0);
    alertmanager.restart();
    until("people are told of the end", SOON, async || people.told().await.len() == 2).await;
    until("the outbox is empty", SOON, async || api.metric("bellwether_outbox_pending").await == 0.0).await;
    assert!(active(&alertmanager.url()).await.is_empty());
    let expected = ["firing", "resolved"].map(|status| (incident.clone(), status.to_owned()));
    assert_eq!(people.told().await, expected);
    assert_eq!(api.incidents().await.len(), 1);
}
