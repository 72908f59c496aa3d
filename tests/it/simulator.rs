//! The simulated shop answers as a real Prometheus with the same samples does.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use bellwether::clock::{Clock, DurationMs, Timestamp};
use bellwether::simulator::{Config, IncidentKind, Plan, Shop, http};
use reqwest::Client;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::servers::{Prometheus, write_history};

const QUERIES: [&str; 47] = [
    "up",
    "http_requests_total{code!=\"200\",service=~\"pay.*|cart\"}",
    "{__name__=~\"node_filesystem_.*\",instance!~\".*2:.*\"}",
    "process_resident_memory_bytes offset 7m",
    "build_info",
    "legacy_exports_total",
    "rate(http_requests_total[5m])",
    "rate(http_requests_total[7m30s])",
    "increase(http_requests_total{service=\"payment\"}[10m])",
    "irate(container_cpu_usage_seconds_total[5m])",
    "idelta(queue_depth[5m])",
    "delta(node_filesystem_avail_bytes[1h])",
    "deriv(process_resident_memory_bytes[10m])",
    "predict_linear(node_filesystem_avail_bytes[1h], 3600)",
    "avg_over_time(db_connection_pool_in_use[15m])",
    "max_over_time(queue_depth[15m]) - min_over_time(queue_depth[15m])",
    "sum_over_time(queue_depth[10m]) / count_over_time(queue_depth[10m])",
    "stddev_over_time(process_resident_memory_bytes[20m])",
    "quantile_over_time(0.9, queue_depth[20m])",
    "last_over_time(db_connection_pool_in_use[3m])",
    "changes(db_connection_pool_in_use[10m])",
    "resets(http_request_duration_seconds_count[1h])",
    "sum(rate(http_requests_total[5m]))",
    "sum by (service) (rate(http_requests_total{code=~\"5..\"}[5m])) / sum by (service) (rate(http_requests_total[5m]))",
    "avg without (code) (rate(http_requests_total[5m]))",
    "min by (code) (rate(http_requests_total[5m])) + max by (code) (rate(http_requests_total[5m]))",
    "count by (service) (http_requests_total) * group by (service) (http_requests_total)",
    "topk(3, rate(container_cpu_usage_seconds_total[5m]))",
    "bottomk(2, process_resident_memory_bytes)",
    "quantile(0.5, process_resident_memory_bytes)",
    "stddev by (code) (rate(http_requests_total[5m]))",
    "histogram_quantile(0.95, sum by (service, le) (rate(http_request_duration_seconds_bucket[5m])))",
    "histogram_quantile(0.5, rate(http_request_duration_seconds_bucket[5m]))",
    "rate(http_request_duration_seconds_sum[5m]) / rate(http_request_duration_seconds_count[5m])",
    "db_connection_pool_in_use / on (service) db_connection_pool_max > 0.3",
    "db_connection_pool_in_use > bool 10",
    "rate(http_requests_total[5m]) / ignoring (code) group_left sum without (code) (rate(http_requests_total[5m]))",
    "http_requests_total * on (service) group_left (version) build_info{version=\"2.8.0\"}",
    "build_info{version!=\"2.8.1\"} * on (service) group_right () queue_depth",
    "clamp_max(queue_depth, 20) + clamp_min(queue_depth, 5) - clamp(queue_depth, 3, 9)",
    "-abs(queue_depth - 10) ^ 2 % 7",
    "scalar(up{job=\"node\",instance=\"node-1:9100\"}) + time() - vector(2)",
    "absent(up{job=\"nothing\"}) or absent(queue_depth)",
    "queue_depth and on (service) db_connection_pool_max unless queue_depth < 10",
    "0 / (queue_depth < bool 0)",
    "round(ln(process_resident_memory_bytes), 0.1) + on () group_left () (hour() / day_of_week(vector(time())))",
    "up @ end() + up offset -2m",
];

fn onset() -> Timestamp {
    "2024-05-15T10:20:00Z".parse().unwrap()
}

fn shop(sessions: usize) -> Arc<Shop> {
    let minute = DurationMs::from_secs(60);
    let config = Config {
        seed: 5,
        services: 12,
        start: onset() - DurationMs::HOUR * 4,
        scrape_interval: minute,
        sessions,
        incident: Some(Plan { kind: IncidentKind::PoolExhaustion, onset: onset(), duration: None }),
        campaign: None,
    };
    Arc::new(config.build().unwrap())
}

/// Values by labels and time; a line's order does not matter.
fn points(body: &Value) -> BTreeMap<(String, String), f64> {
    let lines = body["data"]["result"].as_array().unwrap_or_else(|| panic!("{body}"));
    let mut points = BTreeMap::new();
    for line in lines {
        for value in line["values"].as_array().unwrap() {
            let number = value[1].as_str().unwrap().parse().unwrap();
            points.insert((line["metric"].to_string(), value[0].to_string()), number);
        }
    }
    points
}

fn agree(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-6)
}

#[tokio::test(flavor = "multi_thread")]
async fn agrees_with_prometheus() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let (shop, end) = (shop(5), onset() + DurationMs::from_secs(1800));
    let (text, tsdb) = (dir.path().join("history.txt"), dir.path().join("tsdb"));
    shop.write_openmetrics(shop.config().start, end, DurationMs::from_secs(60), File::create(&text).unwrap()).unwrap();
    write_history(&text, &tsdb);
    let prometheus = Prometheus::start(&tsdb, &[]);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = format!("http://{}", listener.local_addr().unwrap());
    let (_stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(http::serve(Arc::clone(&shop), Arc::new(Clock::manual(end)), listener, async {
        let _ = stopped.await;
    }));

    let client = Client::builder().no_proxy().build().unwrap();
    let ask = async |url: &str, query: &str, from: Timestamp, step: &str| -> Value {
        let (from, end) = (from.seconds().to_string(), end.seconds().to_string());
        let form = [("query", query), ("start", &from), ("end", &end), ("step", step)];
        let response = client.post(format!("{url}/api/v1/query_range")).form(&form).send().await.unwrap();
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    };
    for query in QUERIES {
        // On the grid of the scrapes, and off it; from the very first sample on.
        for (from, step) in [(shop.config().start, "60"), (shop.config().start + DurationMs::from_millis(17_250), "47")] {
            let (theirs, ours) = (points(&ask(&prometheus.url(), query, from, step).await), points(&ask(&ours, query, from, step).await));
            assert!(!theirs.is_empty(), "{query}: Prometheus has no answer");
            let different: Vec<_> = theirs
                .keys()
                .chain(ours.keys())
                .map(|k| (k, theirs.get(k), ours.get(k)))
                .filter(|(_, a, b)| !a.zip(*b).is_some_and(|(a, b)| agree(*a, *b)))
                .collect();
            assert!(
                different.is_empty(),
                "{query} every {step}s: {} differ, such as {:?}",
                different.len(),
                &different[..different.len().min(4)]
            );
        }
    }
    for refused in [
        "sum(",
        "http_requests_total + ignoring (code) http_requests_total",
        "up + on (job) up",
        "build_info * on (service) group_right () queue_depth",
        "rate({__name__=~\"http_request.*_(count|sum)\"}[5m])",
        "up[5m]",
        "\"text\"",
    ] {
        let (theirs, ours) = (ask(&prometheus.url(), refused, onset(), "60").await, ask(&ours, refused, onset(), "60").await);
        assert_eq!((&ours["status"], &ours["errorType"]), (&theirs["status"], &theirs["errorType"]), "{refused}: {ours} {theirs}");
        assert_eq!(theirs["status"], "error", "{refused}");
    }
    let sorted = |mut body: Value| {
        body["data"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
        body["data"].clone()
    };
    for path in ["series?match[]=queue_depth&match[]=up", "label/__name__/values", "label/service/values", "labels"] {
        let get = async |url: &str| {
            let response = client.get(format!("{url}/api/v1/{path}")).send().await.unwrap();
            serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap()
        };
        assert_eq!(sorted(get(&ours).await), sorted(get(&prometheus.url()).await), "{path}");
    }
}
