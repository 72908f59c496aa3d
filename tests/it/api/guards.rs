//! What guards hold back is shown with its reason, and nobody is told.

use bellwether::proto::{Finding, GetMonitorRequest, GetMonitorResponse, ListIncidentsRequest, ListMonitorsRequest, SeriesState};

use super::{MINUTE, Served, now, until};

async fn get(served: &Served, name: &str) -> GetMonitorResponse {
    served.monitors().get_monitor(GetMonitorRequest { name: name.to_owned() }).await.unwrap().into_inner()
}

/// The monitor, once it shows a finding of `payment` that is held back.
async fn held_back(served: &Served, name: &str) -> (GetMonitorResponse, Finding) {
    until("a finding that is held back", async || {
        let monitor = get(served, name).await;
        let found = monitor.suppressed.iter().find(|f| f.service == "payment" && f.ended.is_none()).cloned();
        found.map(|finding| (monitor, finding))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_guards_hold_back_is_shown_and_counts_once_they_do_not() {
    let start = now();
    let (from, later, soon) = (start - MINUTE * 60, start + MINUTE * 60, start + bellwether::clock::DurationMs::from_secs(15));
    let query = "query: db_connection_pool_in_use / db_connection_pool_max, metric: saturation, unit: ratio";
    let served = Served::over_the_shop(&format!(
        "
alert_budget: {{per_day: 0.1}}
defaults: {{patience: 0s}}
monitors:
  - {{name: quiet, {query}, window: 3d, guards: {{maintenance: [{{from: '{from}', until: '{later}'}}]}}}}
  - {{name: small, {query}, window: 3d, guards: {{least_deviation: 0.999, least_traffic: {{query: 'no_such_metric', per_second: 1}}}}}}
  - {{name: odd, {query}, window: 3d, guards: {{valid: {{max: 0.01}}}}}}
  - {{name: ends, {query}, step: 20s, window: 1d, guards: {{maintenance: [{{from: '{from}', until: '{soon}'}}]}}}}
"
    ))
    .await;

    // While the window is open: found, kept, shown; no incident.
    let (ends, before) = held_back(&served, "ends").await;
    assert!(before.suppressed.starts_with("a maintenance window is open until"), "{before:?}");
    assert_eq!((ends.status.as_ref().unwrap().anomalous, ends.status.unwrap().suppressed), (0, 1));
    let (quiet, finding) = held_back(&served, "quiet").await;
    assert!(finding.suppressed.starts_with("a maintenance window is open until") && finding.score >= 1.0, "{finding:?}");
    let ill = quiet.series.iter().find(|s| s.labels["service"] == "payment").unwrap();
    assert_eq!((ill.state(), &ill.suppressed), (SeriesState::Suppressed, &finding.suppressed));
    let status = quiet.status.unwrap();
    assert_eq!((status.anomalous, status.suppressed), (0, 1));
    assert_eq!(status.monitor.unwrap().guards.unwrap().maintenance[0].from, from.to_string());

    let (small, finding) = held_back(&served, "small").await;
    assert!(finding.suppressed.ends_with("is under the least absolute deviation 99.9%"), "{finding:?}");
    let status = small.status.unwrap();
    assert!(status.warnings.iter().any(|w| w.starts_with("least_traffic: the query gives no traffic of")), "{:?}", status.warnings);

    let (_, _, page) = served.get("/monitors/quiet").await;
    assert!(
        page.contains("class=\"panel finding suppressed\"") && page.contains("suppressed: a maintenance window is open until"),
        "{page}"
    );

    // What is no measurement is missing, and says so.
    let odd = until("the odd one is evaluated", async || {
        let monitor = get(&served, "odd").await;
        monitor.status.as_ref().is_some_and(|s| s.last_evaluated.is_some()).then_some(monitor)
    })
    .await;
    let refused = odd.series.iter().find(|s| s.labels["service"] == "payment").unwrap();
    assert_eq!(refused.state(), SeriesState::CannotSay);
    assert!(refused.suppressed.contains("is over the greatest valid value"), "{refused:?}");
    assert!(odd.status.unwrap().warnings.iter().any(|w| w.starts_with("valid: ") && w.contains("count as missing")));

    // Once the window is over it is the same finding, and an incident of its own.
    let incident = served.incident().await;
    assert!(incident.findings.iter().all(|f| f.monitor == "ends" && f.suppressed.is_empty()), "{incident:?}");
    assert!(incident.findings.iter().any(|f| f.id == before.id), "{before:?} is not in {incident:?}");
    let ends = until("it is held back no more", async || {
        let monitor = get(&served, "ends").await;
        monitor.suppressed.iter().all(|f| f.id != before.id).then_some(monitor)
    })
    .await;
    assert_eq!(ends.status.unwrap().anomalous, 1);
    let incidents = served.incidents().list_incidents(ListIncidentsRequest::default()).await.unwrap().into_inner().incidents;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    let listed = served.monitors().list_monitors(ListMonitorsRequest::default()).await.unwrap().into_inner().monitors;
    let suppressed: Vec<(String, i32)> = listed.into_iter().map(|m| (m.monitor.unwrap().name, m.suppressed)).collect();
    assert_eq!(suppressed, [("ends", 0), ("odd", 0), ("quiet", 1), ("small", 1)].map(|(name, n)| (name.to_owned(), n)));
    served.stop().await;
}
