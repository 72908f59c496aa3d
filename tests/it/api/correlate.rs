//! `AnalysisService.Correlate`: metrics in the request, and what the monitors of a shop watch.

use bellwether::proto::{Call, CorrelateRequest, EvidenceAbout, ServiceMetrics};
use tonic::Code;

use super::*;

/// Ten hours of a chain of calls, front to back, whose last but one is slow from the 55th value on.
fn chain() -> CorrelateRequest {
    let names = ["front", "middle", "back", "deep"];
    let values = |service: usize| -> Vec<f64> {
        let usual = 0.5 - 0.1 * service as f64;
        (0..70).map(|i| usual + 0.002 * f64::from(i * 7 % 5) + if i >= 55 && service < 3 { 0.4 } else { 0.0 }).collect()
    };
    let of = |metric: &str, value: &dyn Fn(usize) -> Vec<f64>| {
        let one =
            |(i, name): (usize, &&str)| proto::Series { labels: [("app".to_owned(), (*name).to_owned())].into(), ..series("x", &value(i)) };
        ServiceMetrics {
            metric: metric.to_owned(),
            service_label: "app".to_owned(),
            input: inline(names.iter().enumerate().map(one).collect()),
        }
    };
    let requests = |_: usize| (0..70).map(|i| 100.0 + f64::from(i * 3 % 7)).collect();
    let call = |pair: &[&str]| Call { caller: pair[0].to_owned(), callee: pair[1].to_owned(), ..Default::default() };
    CorrelateRequest {
        at: Some(time(at(555))),
        symptom: "front".to_owned(),
        metrics: vec![of("latency_mean", &values), of("requests", &requests)],
        calls: names.windows(2).map(call).collect(),
        max_causes: 2,
    }
}

#[tokio::test]
async fn the_deepest_slow_service_is_the_cause() {
    let served = Served::start("").await;
    let answer = served.analysis().correlate(chain()).await.unwrap().into_inner();
    assert_eq!((answer.symptom.as_str(), answer.causes.len()), ("front", 2));
    let cause = &answer.causes[0];
    assert_eq!(cause.service, "back", "{:#?}", answer.causes);
    assert!(cause.probability > 0.5 && cause.probability <= 1.0);
    let (onset, earliest, latest) = (millis(cause.onset), millis(cause.onset_earliest), millis(cause.onset_latest));
    assert!(earliest <= onset && onset <= latest && onset == at(550).millis(), "{cause:#?}");
    let slower = cause.evidence.iter().find(|e| e.about() == EvidenceAbout::Metric).unwrap();
    assert_eq!(slower.metric, "latency_mean");
    assert!(slower.deviation.unwrap() > 5.0 && slower.text.contains("rose"), "{slower:#?}");
    served.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let served = Served::start("").await;
    let first = |change: fn(&mut ServiceMetrics)| {
        let mut request = chain();
        change(&mut request.metrics[0]);
        request
    };
    let wrong = [
        ("at", CorrelateRequest { at: None, ..chain() }),
        ("at", CorrelateRequest { at: Some(time(at(-1))), ..chain() }),
        ("symptom", CorrelateRequest { symptom: "nobody".to_owned(), ..chain() }),
        ("max_causes", CorrelateRequest { max_causes: -1, ..chain() }),
        ("calls[0].caller", CorrelateRequest { calls: vec![Call::default()], ..chain() }),
        ("metrics[0].input", first(|m| m.input = None)),
        ("metrics[0].service_label", first(|m| m.service_label.clear())),
        ("metrics", CorrelateRequest { metrics: vec![ServiceMetrics::default(); 101], ..chain() }),
    ];
    for (field, request) in wrong {
        let status = served.analysis().correlate(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert!(status.message().starts_with(&format!("{field}: ")), "{field}: {}", status.message());
    }
    let status = served.analysis().correlate(CorrelateRequest { metrics: Vec::new(), ..chain() }).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "without metrics and without a Prometheus: {status}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_watched_is_enough() {
    let monitors = "
monitors:
  - {name: pool, query: db_connection_pool_in_use / db_connection_pool_max, metric: saturation, unit: ratio, window: 3d}
  - {name: p95, query: 'histogram_quantile(0.95, sum by (service, le) (rate(http_request_duration_seconds_bucket[5m])))', metric: latency, window: 3d}
  - {name: load, query: 'sum by (service) (rate(http_requests_total[5m]))', metric: traffic, window: 3d}
";
    let served = Served::over_the_shop(monitors).await;
    let truth = shop().truth().incident.clone().unwrap();
    let request = CorrelateRequest { at: Some(time(truth.onset + MINUTE * 3)), ..Default::default() };
    let answer = served.analysis().correlate(request).await.unwrap().into_inner();
    assert_eq!(answer.causes[0].service, truth.root, "{:#?}", answer.causes);
    assert!(answer.causes[0].evidence.iter().any(|e| e.metric == "pool"), "{:#?}", answer.causes[0]);
    let tomorrow = CorrelateRequest { at: Some(time(now() + DurationMs::DAY)), ..Default::default() };
    let status = served.analysis().correlate(tomorrow).await.unwrap_err();
    assert!(status.message().starts_with("at: "), "{status}");
    served.stop().await;
}
