//! Reading a real Prometheus.

use std::fmt::Write as _;
use std::time::Duration;

use bellwether::clock::{Clock, DurationMs, Timestamp};
use bellwether::endpoint;
use bellwether::error::Code;
use bellwether::source::prometheus::{Config, Prometheus};

use crate::servers;

const STEP: DurationMs = DurationMs::from_secs(15);
/// Three days.
const POINTS: usize = 17_280;
const GAP: std::ops::Range<usize> = 5_000..5_480;

fn client(url: &str) -> Prometheus {
    let endpoint = endpoint::Config { timeout: DurationMs::from_secs(10), ..endpoint::Config::new(url.parse().unwrap()) };
    Config { endpoint, concurrency: 4, most_series: 100, most_points: 1_000_000 }.build().unwrap()
}

/// A counter, a wave with every digit an f64 has, and tiny and huge values with NaN and infinities among them.
fn value(series: usize, i: usize) -> f64 {
    match series {
        0 => (i * i) as f64,
        1 => (i as f64 / 917.0).sin() / 3.0,
        _ => match i % 1000 {
            7 => f64::NAN,
            8 => f64::INFINITY,
            9 => f64::NEG_INFINITY,
            r if r % 2 == 0 => 1.7e-301 * i as f64,
            _ => -9.87e299 / (i + 1) as f64,
        },
    }
}

/// The values of `series` as they must be read.
fn expected(series: usize) -> Vec<Option<u64>> {
    let there = |i: usize| (!(series == 1 && GAP.contains(&i))).then(|| value(series, i)).filter(|v| v.is_finite());
    (0..POINTS).map(|i| there(i).map(f64::to_bits)).collect()
}

fn history(start: Timestamp) -> String {
    let mut text = String::new();
    for (series, metric) in ["shop_orders", "shop_load_ratio", "shop_odd"].iter().enumerate() {
        let _ = writeln!(text, "# TYPE {metric} gauge");
        for i in (0..POINTS).filter(|i| !(series == 1 && GAP.contains(i))) {
            let time = (start + STEP * i as i64).seconds();
            let value = value(series, i).to_string().replace("inf", "+Inf").replace("-+", "-");
            let _ = writeln!(text, "{metric}{{service=\"cart\",path=\"a\\\"b\\\\é\"}} {value} {time}");
        }
    }
    text + "# EOF\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_is_read_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let (text, tsdb) = (dir.path().join("history.txt"), dir.path().join("tsdb"));
    let end = (Clock::System.now() - DurationMs::HOUR).align_down(STEP);
    let start = end - STEP * (POINTS as i64 - 1);
    std::fs::write(&text, history(start)).unwrap();
    servers::write_history(&text, &tsdb);
    // With the lookback under a step a place without a sample is a gap and not the sample before it.
    let mut server = servers::Prometheus::start(&tsdb, &["--query.lookback-delta=14s"]);
    let prometheus = client(&server.url());
    prometheus.ping().await.unwrap();

    let reading = prometheus.range(r#"{__name__=~"shop_.*"}"#, start, end, STEP).await.unwrap();
    let names: Vec<_> = reading.series.iter().map(|s| s.key.to_string()).collect();
    let labels = r#"path="a\"b\\é",service="cart""#;
    assert_eq!(names, [format!("shop_load_ratio{{{labels}}}"), format!("shop_odd{{{labels}}}"), format!("shop_orders{{{labels}}}")]);
    for (read, series) in reading.series.iter().zip([1, 2, 0]) {
        let values: Vec<_> = read.window.values().iter().map(|v| v.is_finite().then(|| v.to_bits())).collect();
        assert!(values == expected(series), "{} is not what was written", read.key);
        assert_eq!((read.window.start(), read.window.step()), (start, STEP));
    }
    assert_eq!(reading.points as usize, 3 * POINTS - GAP.len());
    assert!(reading.warnings.is_empty());

    let instant = prometheus.instant("shop_orders", start + STEP * 100).await.unwrap();
    assert_eq!(instant.iter().map(|(_, v)| *v).collect::<Vec<_>>(), [10_000.0]);
    let mut keys = prometheus.series(&["shop_orders".to_owned(), "shop_odd".to_owned()], start, end).await.unwrap();
    keys.sort();
    assert_eq!(keys.iter().map(|k| k.get("__name__").unwrap()).collect::<Vec<_>>(), ["shop_odd", "shop_orders"]);

    let error = prometheus.range("sum(rate(shop_orders[5m])", start, end, STEP).await.unwrap_err();
    assert_eq!((error.code, error.violations[0].field.as_str()), (Code::InvalidArgument, "query"));
    insta::assert_snapshot!(error.chain(), @"query: Prometheus refuses it: 1:26: parse error: unclosed left parenthesis (bad_data)");
    let error = prometheus.range("shop_orders[5m]", start, end, STEP).await.unwrap_err();
    insta::assert_snapshot!(error.chain(), @r#"query: Prometheus refuses it: invalid expression type "range vector" for range query, must be Scalar or instant Vector (bad_data)"#);
    let error = prometheus.series(&["{}".to_owned()], start, end).await.unwrap_err();
    insta::assert_snapshot!(error.chain(), @r#"match[]: Prometheus refuses it: invalid parameter "match[]": match[] must contain at least one non-empty matcher (bad_data)"#);

    server.stop();
    let error = prometheus.range("shop_orders", start, end, STEP).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    insta::assert_snapshot!(error.chain().replace(&server.url(), "URL"), @"cannot reach Prometheus at URL (tried 4 times): error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)");
    server.restart();
    assert_eq!(prometheus.range("shop_orders", start, end, STEP).await.unwrap().points as usize, POINTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_comes_from_what_is_scraped() {
    let dir = tempfile::tempdir().unwrap();
    let config = "scrape_configs: [{job_name: self, scrape_interval: 1s, static_configs: [{targets: ['127.0.0.1:{port}']}]}]\n";
    let server = servers::Prometheus::start_with(dir.path(), config, &[]);
    let prometheus = client(&server.url());
    // The first scrape is spread over its interval and may take seconds more.
    for _ in 0..300 {
        if let Some(metadata) = prometheus.metadata().await.unwrap().remove("prometheus_http_requests_total") {
            assert_eq!((metadata.kind.as_str(), metadata.help.as_str()), ("counter", "Counter of HTTP requests."));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no metadata after 15 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_starts_and_comes_back() {
    let mut alertmanager = servers::Alertmanager::start(Some("http://127.0.0.1:9/webhook"));
    let endpoint = endpoint::Config::new(alertmanager.url().parse().unwrap()).build().unwrap();
    let status = async || endpoint.request(reqwest::Method::GET, "/api/v2/status").await.unwrap().send().await;
    for _ in 0..2 {
        let text = status().await.unwrap().text().await.unwrap();
        assert!(text.contains("webhook_configs") && text.contains("repeat_interval: 1d"), "{text}");
        alertmanager.restart();
    }
    alertmanager.stop();
    assert!(status().await.is_err());
}
