//! `MonitorService`.

use bellwether::proto::{Budget, DiscoverMonitorsRequest, FindingKind, GetMonitorRequest, ListMonitorsRequest, MonitorStatus, SeriesState};
use tonic::Code;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn monitors_tell_what_they_may_spend_and_what_they_spent() {
    let own = "
alert_budget: {per_day: 0.1}
defaults: {patience: 0s}
monitors:
  - {name: memory, query: 'process_resident_memory_bytes{service=\"cart\"}', metric: memory, unit: bytes, direction: up, window: 3d, alert_budget: {per_day: 0.02}}
  - {name: pool, query: db_connection_pool_in_use / db_connection_pool_max, metric: saturation, unit: ratio, window: 3d}
  - {name: sent, query: 'rate(http_requests_total{service=\"cart\"}[5m])', metric: traffic, window: 3d}
";
    let served = Served::over_the_shop(own).await;
    let incident = served.incident().await;
    let list = async || served.monitors().list_monitors(ListMonitorsRequest::default()).await.unwrap().into_inner();
    // Twice: the first may not have known how many series the others have.
    let listed = until("two evaluations of each", async || {
        let listed = list().await;
        let [memory, pool, sent] = listed.monitors.as_slice() else { panic!("{listed:?}") };
        let shared = |m: &MonitorStatus| (m.alpha - 0.08 / (f64::from(pool.series + sent.series) * 1440.0)).abs() < 1e-12;
        (memory.last_evaluated.is_some() && pool.last_evaluated.is_some() && shared(pool) && shared(sent)).then_some(listed)
    })
    .await;
    let [memory, pool, sent] = listed.monitors.as_slice() else { panic!("{listed:?}") };
    assert_eq!(listed.alert_budget_per_day, 0.1);
    assert_eq!(listed.incidents, 1);
    assert_eq!(memory.monitor.as_ref().unwrap().alert_budget_per_day, Some(0.02));
    assert_eq!(pool.monitor.as_ref().unwrap().alert_budget_per_day, None);

    let budget = |m: &MonitorStatus| m.budget.clone().unwrap();
    assert_eq!((budget(memory).own, budget(memory).per_day, budget(memory).series), (true, 0.02, 1));
    assert_eq!(memory.alpha, 0.02 / 1440.0);
    let series = pool.series + sent.series;
    for monitor in [pool, sent] {
        let Budget { per_day, own, series: shared, .. } = budget(monitor);
        assert!((per_day - 0.08).abs() < 1e-12 && !own && shared == series, "{monitor:?}");
    }
    let spent = budget(pool);
    assert_eq!((spent.findings, spent.incidents, spent.incident_ids), (1, 1, vec![incident.id.clone()]));
    assert_eq!((budget(memory).findings, budget(memory).incidents), (0, 0));

    let request = GetMonitorRequest { name: "pool".to_owned() };
    let got = served.monitors().get_monitor(request).await.unwrap().into_inner().status.unwrap();
    assert_eq!(budget(&got).incident_ids, std::slice::from_ref(&incident.id));
    let (_, _, page) = served.get("/monitors/pool").await;
    assert!(
        page.contains("1 finding in 1 incident in the last 24 hours") && page.contains(&format!("/incidents/{}", incident.id)),
        "{page}"
    );
    let (_, _, metrics) = served.get("/metrics").await;
    check_metrics(&metrics);
    for line in ["bellwether_budget_spent{monitor=\"pool\"} 1\n", "bellwether_budget_spent{monitor=\"memory\"} 0\n"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn series_are_judged_together_where_a_monitor_says_so() {
    let query = "db_connection_pool_in_use / db_connection_pool_max";
    let served = Served::over_the_shop(&format!(
        "monitors: [{{name: pools, query: {query}, metric: saturation, unit: ratio, window: 3d, group_by: []}}]"
    ))
    .await;
    let monitor = until("the group is anomalous", async || {
        let request = GetMonitorRequest { name: "pools".to_owned() };
        let monitor = served.monitors().get_monitor(request).await.unwrap().into_inner();
        monitor.groups.iter().any(|group| group.state() == SeriesState::Anomalous).then_some(monitor)
    })
    .await;
    let [group] = monitor.groups.as_slice() else { panic!("{:?}", monitor.groups) };
    assert!(group.labels.is_empty() && group.value > group.yhat_upper && group.anomaly_score > 1.0, "{group:?}");
    assert_eq!(group.parts[0].labels["service"], "payment", "{group:?}");
    assert!((group.parts.iter().map(|part| part.share).sum::<f64>() - 1.0).abs() < 1e-9 && group.parts[0].share > 0.5, "{group:?}");
    let status = monitor.status.unwrap();
    assert_eq!(status.series as usize, monitor.series.len(), "a group is no series");
    let together = until("the finding of the group", async || {
        let incident = served.incident().await;
        incident.findings.into_iter().find(|finding| finding.kind() == FindingKind::Group)
    })
    .await;
    assert_eq!(together.evidence[0].detector, "joint");
    assert!(together.evidence[0].note.contains("series together: "), "{together:?}");
    let (_, _, page) = served.get("/monitors/pools").await;
    assert!(page.contains("1 group judged together") && page.contains("most of it {service=&quot;payment&quot;}"), "{page}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_tell_what_they_watch_and_how_it_is() {
    let served = Served::over_the_shop(MONITORS).await;
    let mut listed = Vec::new();
    let mut request = ListMonitorsRequest { page_size: 1, ..Default::default() };
    loop {
        let page = served.monitors().list_monitors(request.clone()).await.unwrap().into_inner();
        assert_eq!(page.monitors.len(), 1);
        listed.extend(page.monitors.into_iter().map(|m| m.monitor.unwrap()));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["memory", "pool"]);
    let memory = &listed[0];
    assert_eq!(memory.query, "process_resident_memory_bytes{service=\"cart\"}");
    assert_eq!((memory.metric.as_str(), memory.unit.as_str(), memory.service_label.as_str()), ("memory", "bytes", "service"));
    assert_eq!((memory.step, memory.window), (Some(seconds(60)), Some(seconds(3 * 86_400))));

    let get = async |name: &str| {
        let request = GetMonitorRequest { name: name.to_owned() };
        served.monitors().get_monitor(request).await.map(tonic::Response::into_inner)
    };
    let evaluated = async |name: &str| {
        until("the first evaluation", async || {
            let monitor = get(name).await.unwrap();
            monitor.status.as_ref()?.last_evaluated.is_some().then_some(monitor)
        })
        .await
    };
    let memory = evaluated("memory").await;
    let status = memory.status.unwrap();
    assert_eq!((status.series, status.fitted, status.cannot_say, status.anomalous), (1, 1, 0, 0));
    assert!(status.alpha > 0.0 && status.alpha < 0.01 && status.last_error.is_empty(), "{status:?}");
    let [series] = memory.series.as_slice() else { panic!("{:?}", memory.series) };
    assert_eq!((series.state(), series.labels["service"].as_str()), (SeriesState::Normal, "cart"));
    assert!(series.yhat_lower <= series.yhat && series.yhat <= series.yhat_upper && series.p_value > 0.0, "{series:?}");
    assert!(series.trained_until.is_some() && series.last_time.is_some(), "{series:?}");

    let pool = evaluated("pool").await;
    let (ill, well): (Vec<_>, Vec<_>) = pool.series.iter().partition(|s| s.labels["service"] == "payment");
    assert_eq!(ill[0].state(), SeriesState::Anomalous);
    assert!(!well.is_empty() && well.iter().all(|s| s.state() == SeriesState::Normal), "{well:?}");
    let status = pool.status.unwrap();
    assert_eq!((status.series as usize, status.anomalous), (pool.series.len(), 1));

    let unknown = get("nothing").await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (Code::NotFound, "there is no monitor `nothing`; ListMonitors tells the names"));

    // Discovery proposes and changes nothing.
    let proposed = served.monitors().discover_monitors(DiscoverMonitorsRequest {}).await.unwrap().into_inner();
    let names: Vec<_> = proposed.monitors.iter().map(|m| m.name.as_str()).collect();
    assert!(names.len() >= 6 && names.is_sorted(), "{names:?}");
    assert!(proposed.monitors.iter().any(|m| m.query.contains("db_connection_pool")), "{names:?}");
    assert!(proposed.skipped.iter().any(|s| s.metric == "build_info" && !s.reason.is_empty()), "{:?}", proposed.skipped);
    let listed = served.monitors().list_monitors(ListMonitorsRequest::default()).await.unwrap().into_inner();
    assert_eq!((listed.monitors.len(), listed.next_page_token.as_str()), (2, ""));
    served.stop().await;
}
