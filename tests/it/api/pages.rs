//! The pages, what Prometheus scrapes, and what they make of hostile data.

use bellwether::proto::{Event, EventKind, PublishEventsRequest};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::process::Bellwether;

const HOSTILE: &str = "\"><script>alert('x')</script>&\\\n\u{202e}{{}}";

/// A monitor whose query Prometheus does not evaluate.
const REFUSED: &str = "  - {name: refused, query: http_requests_total + ignoring (code) http_requests_total}\n";

/// What the text of every page must be free of when the data says [`HOSTILE`].
fn assert_harmless(page: &str) {
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;"), "the text is not shown: {page}");
    assert_eq!(page.matches("<!DOCTYPE html>").count(), 1, "a page in a page: {page}");
}

fn assert_protected(headers: &reqwest::header::HeaderMap) {
    let header = |name: &str| headers.get(name).map(|v| v.to_str().unwrap()).unwrap_or_default();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!((header("x-content-type-options"), header("referrer-policy")), ("nosniff", "no-referrer"));
    let policy = header("content-security-policy");
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_there_and_protected() {
    let served = Served::over_the_shop(MONITORS).await;
    let incident = served.incident().await;
    let hostile = Event {
        title: HOSTILE.to_owned(),
        description: HOSTILE.to_owned(),
        kind: EventKind::Deployment.into(),
        service: "payment".to_owned(),
        labels: [("version".to_owned(), HOSTILE.to_owned())].into(),
        starts_at: incident.started,
        url: "https://ci.example/\"onmouseover=alert(1)".to_owned(),
        ..Default::default()
    };
    served.events().publish_events(PublishEventsRequest { events: vec![hostile] }).await.unwrap();
    let incident_page = format!("/incidents/{}", incident.id);
    for (path, parts) in [
        ("/", vec!["payment", incident.title.as_str(), "pool", "memory", incident_page.as_str()]),
        (&incident_page, vec!["payment", "<svg", "saturation"]),
        ("/monitors/pool", vec!["db_connection_pool_in_use", "anomalous", "as expected", "payment"]),
        ("/monitors/memory", vec!["process_resident_memory_bytes", "cart"]),
        ("/runbooks/pools", vec!["<h1>"]),
    ] {
        let (status, headers, page) = served.get(path).await;
        assert_eq!(status, 200, "{path}");
        assert_protected(&headers);
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains("/style.css"), "{path}: {page}");
        for part in parts {
            assert!(page.contains(part), "{path} has no {part}: {page}");
        }
        // Nothing runs and nothing comes from elsewhere.
        for not in ["<script", "<link rel=\"stylesheet\" href=\"http", "<img src=\"http", " onclick", "javascript:"] {
            assert!(!page.contains(not), "{path} has {not}: {page}");
        }
    }
    let (_, _, page) = served.get(&incident_page).await;
    assert_harmless(&page);
    assert!(!page.contains("\"onmouseover"), "{page}");
    // Every suggestion's runbook is a page here.
    for suggestion in &incident.suggestions {
        let path = suggestion.runbook_url.strip_prefix(served.engine.external_url()).unwrap();
        assert_eq!(served.get(path).await.0, 200, "{path}");
    }
    let (status, headers, style) = served.get("/style.css").await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "text/css; charset=utf-8"));
    assert!(style.contains('{'));
    served.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_a_page_that_says_so() {
    let served = Served::start("").await;
    for path in [
        "/nothing",
        "/incidents/inc-000000000000",
        "/monitors/nothing",
        "/runbooks/nothing",
        "/runbooks/..%2f..%2fCargo.toml",
        "/incidents/",
        "/bellwether.v1.EventService/ListEvents",
    ] {
        let (status, headers, page) = served.get(path).await;
        assert_eq!(status, 404, "{path}");
        assert_protected(&headers);
        assert!(page.contains("there is no"), "{path}: {page}");
    }
    for path in ["/incidents/", "/monitors/", "/runbooks/"] {
        let (status, headers, page) = served.get(&format!("{path}%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E")).await;
        assert_eq!(status, 404, "{path}");
        assert_protected(&headers);
        assert_harmless(&page);
        let (status, ..) = served.get(&format!("{path}%ff%00")).await;
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    // An empty engine has an overview, too.
    let (status, _, page) = served.get("/").await;
    assert_eq!((status, page.contains("<h1")), (200, true), "{page}");
    check_metrics(&served.get("/metrics").await.2);
}

/// A Prometheus whose every answer holds one series of these labels, an hour of slow growth.
async fn prometheus_with(labels: serde_json::Value) -> MockServer {
    let server = MockServer::start().await;
    let answer = move |request: &Request| {
        let form: Vec<(String, String)> = reqwest::Url::parse(&format!(
            "http://x/?{}&{}",
            String::from_utf8_lossy(&request.body),
            request.url.query().unwrap_or_default()
        ))
        .unwrap()
        .query_pairs()
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect();
        let of = |name: &str| form.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.parse::<f64>().ok()).unwrap();
        let (start, end) = (of("start"), of("end"));
        let count = ((end - start) / 60.0) as i64;
        let values: Vec<_> = (0..=count).map(|i| (start + 60.0 * i as f64, format!("{}", (i * i % 97) as f64 / 7.0))).collect();
        let result = serde_json::json!([{"metric": labels, "values": values}]);
        let body = serde_json::json!({"status": "success", "data": {"resultType": "matrix", "result": result}});
        ResponseTemplate::new(200).set_body_json(body)
    };
    Mock::given(path("/api/v1/query_range")).respond_with(answer).mount(&server).await;
    server
}

/// The metrics of an engine that watches one series of these labels, once it has been judged.
async fn scraped(labels: serde_json::Value) -> (Served, String) {
    let prometheus = prometheus_with(labels).await;
    let yaml = format!("prometheus: {{url: '{}'}}\nmonitors: [{{name: odd, query: up, window: 12h}}]", prometheus.uri());
    let served = Served::start(&yaml).await;
    let metrics = until("a score", async || {
        let text = served.get("/metrics").await.2;
        text.contains("bellwether_anomaly_score{").then_some(text)
    })
    .await;
    (served, metrics)
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_labels_do_no_harm() {
    let (served, metrics) = scraped(serde_json::json!({"__name__": "up", "service": HOSTILE, "monitor": "mine", "path": "a\\b"})).await;
    check_metrics(&metrics);
    assert!(metrics.contains("monitor=\"odd\"") && metrics.contains("exported_monitor=\"mine\""), "{metrics}");
    let (status, headers, page) = served.get("/monitors/odd").await;
    assert_eq!(status, 200);
    assert_protected(&headers);
    assert_harmless(&page);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_prometheus_would_not_take_back_are_still_scraped() {
    // Prometheus 3 has any UTF-8 for a name; and other labels may bear the names that ours are moved to.
    let labels =
        serde_json::json!({"__name__": "up", "http.route": "/", "größe": "xl", "metric": "m", "monitor": "a", "exported_monitor": "b"});
    let (_served, metrics) = scraped(labels).await;
    check_metrics(&metrics);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_tells_all_that_prometheus_should_know_of_it() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (prometheus, receiver) = (serve_shop().await, listener.local_addr().unwrap());
    let (sender, _changes) = tokio::sync::mpsc::channel(64);
    tokio::spawn(simulator::receiver::receive(listener, Arc::new(Clock::System), sender, std::future::pending()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bellwether.yaml");
    let sinks = format!("alertmanagers: [{{name: there, url: 'http://{receiver}'}}, {{name: gone, url: 'http://{gone}'}}]");
    std::fs::write(&file, format!("data_dir: data\nprometheus: {{url: '{prometheus}'}}\n{sinks}\n{MONITORS}{REFUSED}")).unwrap();
    let args = ["-c".to_owned(), file.display().to_string()];
    let mut process = tokio::task::spawn_blocking(move || Bellwether::serve(&args.each_ref().map(String::as_str))).await.unwrap();
    let url = format!("{}/metrics", process.url());
    let told = [
        "bellwether_evaluation_seconds_bucket{",
        "bellwether_fit_seconds_count",
        "bellwether_series{state=\"normal\"}",
        "bellwether_series{state=\"anomalous\"} 1",
        "bellwether_series{state=\"cannot_say\"}",
        "bellwether_source_points_total",
        "bellwether_source_requests_total{",
        "bellwether_findings_total",
        "bellwether_incidents_total 1",
        "bellwether_incidents_open 1",
        "bellwether_deliveries_total{sink=\"there\",outcome=\"accepted\"}",
        "bellwether_deliveries_total{sink=\"gone\",outcome=\"unavailable\"}",
        "bellwether_failures_total{part=\"evaluation\",cause=\"invalid_argument\"}",
        "bellwether_outbox_pending{sink=\"gone\"} 1",
        "bellwether_alpha{monitor=\"pool\"}",
        "bellwether_anomaly_score{monitor=\"pool\",service=\"payment\"}",
        "bellwether_p_value{monitor=\"pool\",service=\"payment\"}",
        "bellwether_yhat{monitor=\"memory\",",
        "bellwether_yhat_lower{monitor=\"memory\",",
        "bellwether_yhat_upper{monitor=\"memory\",",
    ];
    let missing = async || {
        let text = http().get(&url).send().await.unwrap().text().await.unwrap();
        let missing = told.into_iter().filter(|part| !text.contains(part)).collect::<Vec<_>>();
        (text, missing)
    };
    let begin = Instant::now();
    let text = loop {
        let (text, missing) = missing().await;
        if missing.is_empty() {
            break text;
        }
        assert!(begin.elapsed() < PATIENCE, "{missing:?} never come: {text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    check_metrics(&text);
    let response = http().get(&url).send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    assert!(process.stop().success());
}
