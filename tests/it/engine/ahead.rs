//! What will happen and what has changed, from a real Prometheus to a real Alertmanager.

use std::time::Duration;

use bellwether::proto::FindingKind;
use serde_json::Value;

use super::api::{Api, time};
use super::model::{FEATURES, Model};
use super::people::{People, active};
use super::until;
use crate::servers::Alertmanager;

const SOON: Duration = Duration::from_mins(1);

fn annotation<'a>(alert: &'a Value, name: &str) -> &'a str {
    alert["annotations"][name].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_is_told_with_a_date_until_it_no_longer_does() {
    let model = Model::serve().await;
    let people = People::listen().await;
    let alertmanager = Alertmanager::start(Some(&people.url()));
    let monitor = "  - name: disk\n    query: sum by (service) (disk_free_bytes)\n    metric: disk\n    unit: bytes\n    \
                   forecast: {horizon: 15m, step: 2s, window: 1h, limit: vector(1e8)}\n";
    let mut bellwether = model.watch(monitor, &alertmanager.url());
    let api = Api(bellwether.url());
    until("the alert is there", SOON, async || active(&alertmanager.url()).await.len() == 1).await;
    let alert = active(&alertmanager.url()).await.remove(0);
    let summary = annotation(&alert, "summary");
    assert!(summary.starts_with("store: disk 95.4MiB is reached at ") && summary.contains("(chance within the horizon: "), "{summary}");
    assert!(annotation(&alert, "description").contains("GiB now") || annotation(&alert, "description").contains("MiB now"), "{alert:#}");
    assert!(annotation(&alert, "runbook_url").ends_with("/runbooks/capacity"), "{alert:#}");
    assert_eq!((&alert["labels"]["severity"], &alert["labels"]["monitor"]), (&"critical".into(), &"disk".into()));

    let incidents = api.open().await;
    let [finding] = incidents[0].findings.as_slice() else { panic!("one finding: {incidents:#?}") };
    assert_eq!((finding.kind(), finding.expected), (FindingKind::Capacity, 1e8));
    let exhaustion = finding.exhaustion.unwrap();
    // 4 GB at 1 MB a second last 3,900 s from the beginning of the history, an hour before.
    let ahead = time(exhaustion.expected).since(time(finding.last_seen)).seconds();
    assert!((100.0..600.0).contains(&ahead) && exhaustion.chance > 0.5, "{ahead} s, {exhaustion:?}");
    assert!(time(exhaustion.earliest) <= time(exhaustion.expected) && time(exhaustion.expected) <= time(exhaustion.latest));
    assert!(api.metric("bellwether_exhaustion_timestamp_seconds").await > 1.7e9);
    let (_, metrics) = api.get("/metrics").await;
    assert!(metrics.contains("bellwether_forecast{monitor=\"disk\",service=\"store\",horizon=\"15m\"}"), "{metrics}");
    let (_, page) = api.get("/monitors/disk").await;
    assert!(page.contains("is reached at"), "{page}");
    let (_, page) = api.get(&format!("/incidents/{}", incidents[0].id)).await;
    assert!(page.contains("is reached at") && page.contains("<svg class=\"chart\""), "{page}");

    // The same incident, whatever happens to the process.
    bellwether.kill();
    bellwether.start();
    let forecast = async || api.monitor("disk").await.forecast_time.is_some();
    until("it is forecast again", SOON, forecast).await;
    assert_eq!(api.open().await.iter().map(|i| &i.id).collect::<Vec<_>>(), [&incidents[0].id]);

    model.clean();
    until("the alert is over", SOON * 2, async || active(&alertmanager.url()).await.is_empty()).await;
    until("people are told of the end", SOON, async || people.told().await.len() >= 2).await;
    let disk: Vec<(String, String)> = people.told().await.into_iter().filter(|(id, _)| *id == incidents[0].id).collect();
    assert_eq!(disk, ["firing", "resolved"].map(|status| (incidents[0].id.clone(), status.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn drifted_features_are_told_in_order() {
    let model = Model::serve().await;
    let alertmanager = Alertmanager::start(None);
    let drift = "window: 20s, every: 2s";
    let monitors = format!(
        "  - {{name: features, query: model_feature_bucket, service: churn, drift: {{by: [feature], {drift}, reference: 20m}}}}\n  \
         - {{name: scores, query: model_score, service_label: model, drift: {{by: [model], {drift}, reference: 40s}}}}\n  \
         - {{name: readings, query: sensor_degrees, service: doors, drift: {{by: [sensor], window: 40s, every: 2s, reference: 20m}}}}\n"
    );
    let bellwether = model.watch(&monitors, &alertmanager.url());
    let api = Api(bellwether.url());
    // As long as it takes until the native histograms, which have no history, fill both windows.
    let judged = async |monitor: &str, n: usize| {
        let features = api.monitor(monitor).await.features;
        features.len() == n && features.iter().all(|f| f.cannot_say.is_empty())
    };
    until("the features are tested", SOON, async || judged("features", FEATURES.len()).await).await;
    until("the scores are tested", SOON * 2, async || judged("scores", 1).await).await;
    until("plain series are tested", SOON, async || judged("readings", 1).await).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(active(&alertmanager.url()).await.is_empty(), "nothing has drifted yet: {:#?}", api.open().await);

    model.drift();
    until("all alerts are there", SOON, async || active(&alertmanager.url()).await.len() == 3).await;
    // Some time later the window holds nothing else.
    let settled = async || api.monitor("features").await.features.iter().filter(|f| f.drifted).count() == 2;
    until("two features have drifted", SOON, settled).await;
    let told = async || {
        let alerts = active(&alertmanager.url()).await;
        alerts.iter().any(|alert| annotation(alert, "description").contains("income has drifted"))
    };
    until("the alert names both", SOON, told).await;
    let alerts = active(&alertmanager.url()).await;
    let of = |monitor: &str| alerts.iter().find(|alert| alert["labels"]["monitor"] == monitor).unwrap();
    let summary = annotation(of("features"), "summary");
    assert!(summary.starts_with("churn: age has drifted: Kolmogorov–Smirnov "), "{summary}");
    assert!(annotation(of("features"), "runbook_url").ends_with("/runbooks/data-drift"));
    assert!(!annotation(of("features"), "description").contains("zip has drifted"));
    assert!(annotation(of("readings"), "summary").starts_with("doors: door has drifted"));
    assert!(annotation(of("scores"), "summary").starts_with("fraud: fraud has drifted"), "{}", annotation(of("scores"), "summary"));

    let open = api.open().await;
    let of_features = open.iter().find(|incident| incident.monitor == "features").unwrap();
    let finding = &of_features.findings[0];
    assert_eq!(finding.kind(), FindingKind::Drift);
    let names: Vec<&str> = finding.evidence.iter().map(|evidence| evidence.detector.as_str()).collect();
    assert_eq!(names, ["age", "income"]);
    let (_, metrics) = api.get("/metrics").await;
    let scores: Vec<&str> = metrics.lines().filter(|line| line.starts_with("bellwether_drift_score{monitor=\"features\"")).collect();
    assert!(scores.iter().any(|line| line.contains("feature=\"age\"") && line.contains("test=\"psi\"")), "{scores:#?}");
    let (_, page) = api.get("/monitors/features").await;
    assert!(page.contains("drifted"), "{page}");

    // The reference of the scores moves along: what is usual is then what is now.
    let over = async || active(&alertmanager.url()).await.iter().all(|alert| alert["labels"]["monitor"] != "scores");
    until("the drift of the scores is the new usual", SOON * 2, over).await;
    assert_eq!(active(&alertmanager.url()).await.len(), 2, "the others are held against data of twenty minutes before");
}
