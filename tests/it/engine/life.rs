//! An incident is acknowledged and silenced, and the process dies meanwhile.

use std::time::Duration;

use bellwether::clock::{Clock, DurationMs};
use bellwether::proto::incident_service_client::IncidentServiceClient;
use bellwether::proto::{AcknowledgeIncidentRequest, AlertState, Incident, TurnKind};
use serde_json::json;

use super::api::Api;
use super::people::{People, active};
use super::shop::Shop;
use super::until;
use crate::servers::Alertmanager;

const SOON: Duration = Duration::from_mins(1);

async fn the_one(api: &Api) -> Incident {
    let open = api.open().await;
    assert_eq!(open.len(), 1, "{open:#?}");
    open.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_is_shown_and_an_acknowledgement_survives_a_kill() {
    let shop = Shop::open().await;
    let people = People::listen().await;
    let mut alertmanager = Alertmanager::start(Some(&people.url()));
    let mut bellwether = shop.watch(Some(&alertmanager.url()));
    let api = Api(bellwether.url());
    until("every series has a model", SOON, async || api.is_fitted().await).await;
    shop.break_it(true);
    until("the alert is there", SOON, async || active(&alertmanager.url()).await.len() == 1).await;
    let incident = the_one(&api).await;
    let told = async || the_one(&api).await.told[0].state();
    until("it is known to be let through", SOON, async || told().await == AlertState::Active).await;

    let mut client = IncidentServiceClient::connect(api.0.clone()).await.unwrap();
    let request = AcknowledgeIncidentRequest { id: incident.id.clone(), by: "ann".to_owned(), comment: "looking".to_owned() };
    client.acknowledge_incident(request).await.unwrap();
    bellwether.kill();
    bellwether.start();
    let again = the_one(&api).await;
    assert_eq!(again.acknowledged.as_ref().map(|a| a.by.as_str()), Some("ann"));
    assert_eq!(again.life.iter().map(bellwether::proto::Turn::what).collect::<Vec<_>>(), [TurnKind::Opened, TurnKind::Acknowledged]);
    until("the alert says so", SOON, async || {
        let alerts = active(&alertmanager.url()).await;
        alerts.iter().any(|a| a["annotations"]["acknowledged"].as_str().is_some_and(|said| said.starts_with("by ann at")))
    })
    .await;
    let labels = active(&alertmanager.url()).await[0]["labels"].clone();
    assert!(labels.get("acknowledged").is_none() && labels.get("priority").is_none(), "identity holds nothing that changes: {labels}");

    let now = Clock::System.now();
    let silence = json!({
        "matchers": [{"name": "incident", "value": incident.id, "isRegex": false, "isEqual": true}],
        "startsAt": now.to_string(), "endsAt": (now + DurationMs::HOUR).to_string(),
        "createdBy": "bob", "comment": "known trouble",
    });
    let made = reqwest::Client::new().post(format!("{}/api/v2/silences", alertmanager.url())).json(&silence).send().await.unwrap();
    assert_eq!(made.status().as_u16(), 200);
    until("it is shown as silenced", SOON, async || the_one(&api).await.silenced).await;
    let silenced = the_one(&api).await;
    assert_eq!(silenced.told[0].state(), AlertState::Silenced);
    let by = &silenced.told[0].silences[0];
    assert_eq!((by.created_by.as_str(), by.comment.as_str()), ("bob", "known trouble"));
    let (_, page) = api.get(&format!("/incidents/{}", incident.id)).await;
    assert!(page.contains("known trouble") && page.contains("Acknowledged by"), "{page}");
    assert_eq!(api.metric("bellwether_incidents_silenced").await, 1.0);
    assert_eq!(api.metric("bellwether_incidents_acknowledged").await, 1.0);

    // Away, it is not known to silence anything, nor to let it through.
    alertmanager.stop();
    until("it is not known", SOON, async || told().await == AlertState::Unknown).await;
    let unknown = the_one(&api).await;
    assert!(!unknown.silenced && !unknown.told[0].error.is_empty(), "{unknown:?}");
    alertmanager.restart();
    until("it is known again", SOON, async || the_one(&api).await.silenced).await;
}
