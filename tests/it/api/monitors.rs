//! `MonitorService`.

use bellwether::proto::{DiscoverMonitorsRequest, GetMonitorRequest, ListMonitorsRequest, SeriesState};
use tonic::Code;

use super::*;

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
