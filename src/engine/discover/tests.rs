use std::fmt::Write;

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::endpoint;
use crate::series::SeriesKey;
use crate::source::prometheus::{self, Metadata};

/// What a shop on Kubernetes with the usual exporters has: name, labels with their values, declared type.
const LISTING: &str = include_str!("listing.txt");

fn options() -> Options {
    Options::new(DurationMs::from_secs(60), DurationMs::WEEK * 2)
}

/// `name{a=x|y,b=z} type`: a series for every combination of the labels' values.
fn listed() -> (Vec<SeriesKey>, BTreeMap<String, Metadata>) {
    let (mut keys, mut metadata) = (Vec::new(), BTreeMap::new());
    for line in LISTING.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, rest) = line.split_once('{').unwrap();
        let (labels, kind) = rest.split_once('}').unwrap();
        let mut series = vec![vec![("__name__".to_owned(), name.to_owned())]];
        for (label, values) in labels.split(',').filter_map(|label| label.split_once('=')) {
            series = series
                .into_iter()
                .flat_map(|s| values.split('|').map(move |value| [s.clone(), vec![(label.to_owned(), value.to_owned())]].concat()))
                .collect();
        }
        keys.extend(series.into_iter().map(SeriesKey::new));
        if !kind.trim().is_empty() {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
            metadata.insert(base.to_owned(), Metadata { kind: kind.trim().to_owned(), ..Metadata::default() });
        }
    }
    (keys, metadata)
}

fn counts(keys: &[SeriesKey]) -> Counts {
    let mut counts = Counts::new();
    for key in keys {
        *counts.entry(key.get("__name__").unwrap().to_owned()).or_default() += 1;
    }
    counts
}

fn labelled(keys: &[SeriesKey], metadata: &BTreeMap<String, Metadata>) -> Vec<Metric> {
    let counts = counts(keys);
    let mut metrics = metric::metrics(&counts, metadata);
    for metric in &mut metrics {
        let name = metric::series_name(metric, &counts);
        keys.iter().filter(|key| key.get("__name__") == Some(&name)).for_each(|key| metric.labels.add(key));
    }
    metrics
}

fn shown(candidates: &[Candidate], skipped: &[Skipped]) -> String {
    let mut text = String::new();
    for Candidate { monitor: m, .. } in candidates {
        let direction = m.direction.map_or("both", |d| d.as_str());
        let _ = writeln!(text, "{}: {} {} {direction} per {}\n    {}", m.name, m.metric, m.unit, m.service_label, m.query);
        if let Some(plan) = &m.forecast {
            let _ = writeln!(text, "    forecast: {}", plan.in_words(m.unit));
        }
        if let Some(plan) = &m.drift {
            let _ = writeln!(text, "    drift: {}", plan.in_words());
        }
    }
    text.push_str("\nskipped\n");
    for s in skipped {
        let _ = writeln!(text, "{}: {}", s.metric, s.reason);
    }
    text
}

#[test]
fn a_shop_with_the_usual_exporters() {
    let (keys, metadata) = listed();
    let metrics = labelled(&keys, &metadata);
    assert!(counts(&keys).len() >= 80);
    let (candidates, skipped) = propose::propose(&metrics, &options());
    insta::assert_snapshot!(shown(&candidates, &skipped));
}

#[test]
fn every_query_is_promql_and_every_name_is_good_and_unique() {
    let (keys, metadata) = listed();
    for metadata in [metadata, BTreeMap::new()] {
        let (candidates, _) = propose::propose(&labelled(&keys, &metadata), &options());
        let mut names = std::collections::BTreeSet::new();
        for Candidate { monitor, .. } in candidates {
            let parsed = promql_parser::parser::parse(&monitor.query);
            assert!(parsed.is_ok(), "{}: {}", monitor.query, parsed.unwrap_err());
            assert!(
                monitor.name.len() <= 100 && monitor.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)),
                "{}",
                monitor.name
            );
            assert!(names.insert(monitor.name.clone()), "{} twice", monitor.name);
        }
    }
}

#[test]
fn every_known_signal_is_promql() {
    for signal in conventions::SIGNALS {
        let query = signal.query.replace("BY", "service, queue").replace("RATE", "5m");
        assert!(promql_parser::parser::parse(&query).is_ok(), "{query}");
        assert!(signal.needs.iter().all(|name| signal.query.contains(name)), "{} needs what it does not ask for", signal.name);
    }
}

#[test]
fn the_most_telling_stay() {
    let (keys, metadata) = listed();
    let (candidates, _) = propose::propose(&labelled(&keys, &metadata), &options());
    let all = candidates.len();
    let (kept, skipped) = most_telling(candidates, 10);
    assert_eq!((kept.len(), skipped.len()), (10, all - 10));
    assert!(kept.iter().all(|c| conventions::rank(c.monitor.metric) <= conventions::rank(crate::monitor::MetricKind::Errors)));
}

/// Answers as Prometheus does for three services: what is asked decides what moves.
async fn server(with_metadata: bool) -> MockServer {
    let server = MockServer::start().await;
    let services = ["cart", "checkout"];
    let names: Vec<(&str, usize)> = vec![
        ("app_requests_total", 4),
        ("app_request_duration_seconds_bucket", 20),
        ("app_request_duration_seconds_count", 2),
        ("app_request_duration_seconds_sum", 2),
        ("app_queue_length", 2),
        ("app_flag", 2),
        ("app_gone", 2),
        ("app_sessions_by_user", 60_000),
        ("app_wide", 2),
        ("go_goroutines", 2),
    ];
    let vector: Vec<Value> =
        names.iter().map(|(name, n)| json!({"metric": {"__name__": name}, "value": [1_700_000_000, n.to_string()]})).collect();
    let success = |data: Value| ResponseTemplate::new(200).set_body_json(json!({"status": "success", "data": data}));
    let counted = success(json!({"resultType": "vector", "result": vector}));
    Mock::given(path("/api/v1/query")).respond_with(counted).expect(2).mount(&server).await;
    let metadata = if with_metadata {
        success(json!({
            "app_requests": [{"type": "counter", "unit": "", "help": ""}],
            "app_request_duration_seconds": [{"type": "histogram", "unit": "", "help": ""}],
            "app_forgotten": [{"type": "gauge", "unit": "", "help": ""}],
        }))
    } else {
        ResponseTemplate::new(404)
    };
    Mock::given(path("/api/v1/metadata")).respond_with(metadata).mount(&server).await;
    let series: Vec<Value> = names
        .iter()
        .filter(|(name, n)| *n < 1000 && !name.ends_with("_bucket"))
        .flat_map(|(name, _)| services.iter().map(move |service| json!({"__name__": name, "service": service, "code": "200"})))
        .map(|mut labels| {
            if labels["__name__"] != "app_requests_total" {
                labels.as_object_mut().unwrap().remove("code");
            }
            labels
        })
        .collect();
    Mock::given(path("/api/v1/series")).respond_with(success(Value::from(series))).mount(&server).await;
    let answer = move |request: &Request| {
        let asked = format!("{}&{}", request.url.query().unwrap_or_default(), String::from_utf8_lossy(&request.body));
        let parameters: BTreeMap<String, String> =
            reqwest::Url::parse(&format!("http://x/?{asked}")).unwrap().query_pairs().into_owned().collect();
        let number = |name: &str| parameters[name].parse::<f64>().unwrap();
        let (query, start, end, step) = (&parameters["query"], number("start"), number("end"), number("step"));
        let wide = if query.contains("app_wide") { 500 } else { 2 };
        let result: Vec<Value> = (0..wide)
            .map(|i| {
                let points = ((end - start) / step) as usize;
                let lived = if query.contains("app_gone") { points / 2 } else { points };
                let value = |p: usize| if query.contains("app_flag") || query.contains("code") { 0.0 } else { p as f64 };
                let values: Vec<Value> = (0..=lived).map(|p| json!([start + step * p as f64, value(p).to_string()])).collect();
                json!({"metric": {"service": format!("s{i}")}, "values": values})
            })
            .collect();
        ResponseTemplate::new(200).set_body_json(json!({"status": "success", "data": {"resultType": "matrix", "result": result}}))
    };
    Mock::given(path("/api/v1/query_range")).respond_with(answer).mount(&server).await;
    server
}

async fn proposal(server: &MockServer) -> Result<Proposal> {
    let endpoint = endpoint::Config::new(server.uri().parse().unwrap());
    let config = prometheus::Config { endpoint, concurrency: 4, most_series: 5000, most_points: 1_000_000 };
    discover(&config.build().unwrap(), Timestamp::from_millis(1_700_000_000_000), &options()).await
}

fn listed_proposal(proposal: &Proposal) -> String {
    let monitors = proposal.monitors.iter().map(|m| m.name.clone());
    let skipped = proposal.skipped.iter().map(|s| format!("{}: {}", s.metric, s.reason));
    monitors.chain([String::new()]).chain(skipped).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn asks_prometheus_and_says_why_not() {
    let server = server(true).await;
    let first = proposal(&server).await.unwrap();
    insta::assert_snapshot!(listed_proposal(&first));
    assert!(server.received_requests().await.unwrap().len() < 20);
}

#[tokio::test]
async fn without_metadata_the_names_tell_the_same() {
    let with = proposal(&server(true).await).await.unwrap();
    let without = proposal(&server(false).await).await.unwrap();
    assert_eq!(with.monitors, without.monitors);
}

#[tokio::test]
async fn a_prometheus_that_is_away_is_an_error() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(422)).mount(&server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(422)).mount(&server).await;
    assert!(proposal(&server).await.is_err());
}
