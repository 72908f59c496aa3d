use std::fmt::Write;
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tokio::sync::oneshot;

use super::super::shop::Config;
use super::*;

const NOW: i64 = 1_700_000_000_000;

/// A shop's server, stopped when the test drops it.
struct Server {
    address: String,
    client: Client,
    clock: Arc<Clock>,
    _stop: oneshot::Sender<()>,
}

impl Server {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let now = Timestamp::from_millis(NOW);
        let config = Config { start: now - DurationMs::DAY, sessions: 3, ..Config::ending_at(now) };
        let (shop, clock) = (Arc::new(config.build().unwrap()), Arc::new(Clock::manual(now)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        tokio::spawn(serve(shop, Arc::clone(&clock), listener, shutdown));
        let client = Client::builder().timeout(Duration::from_mins(1)).no_proxy().build().unwrap();
        Self { address, client, clock, _stop: stop }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.client.get(format!("{}{path}", self.address)).send().await.unwrap();
        (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let response = self.client.post(format!("{}{path}", self.address)).form(form).send().await.unwrap();
        (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }
}

#[tokio::test]
async fn form_and_address_ask_the_same() {
    let server = Server::start().await;
    let form =
        [("query", "sum by (service) (rate(http_requests_total[5m]))"), ("start", "1699996400"), ("end", "1700000000"), ("step", "1m")];
    let posted = server.post("/api/v1/query_range", &form).await;
    let address = "/api/v1/query_range?query=sum+by+(service)+(rate(http_requests_total%5B5m%5D))";
    let got = server.get(&format!("{address}&start=2023-11-14T21:13:20Z&end=1700000000&step=60")).await;
    assert_eq!(got, posted);
    assert_eq!(posted.0, 200);
    let result = posted.1["data"]["result"].as_array().unwrap();
    assert_eq!(result.len(), 14);
    assert!(result.iter().all(|line| line["values"].as_array().unwrap().len() == 61));
}

#[tokio::test]
async fn nothing_is_seen_before_it_has_been() {
    let server = Server::start().await;
    let query = "/api/v1/query_range?query=up&start=1699999900&end=1700001000&step=60";
    let last = |body: &Value| body["data"]["result"][0]["values"].as_array().unwrap().len();
    let seen = last(&server.get(query).await.1);
    assert_eq!(seen, 7, "the last sample, of 1699999980, is looked back to for five minutes");
    server.clock.set(Timestamp::from_millis(NOW + 600_000));
    assert_eq!(last(&server.get(query).await.1), 17);
}

#[tokio::test]
async fn errors_are_as_prometheus_has_them() {
    let server = Server::start().await;
    let mut answers = String::new();
    for path in [
        "/api/v1/query",
        "/api/v1/query?query=sum(",
        "/api/v1/query?query=foo(up)",
        "/api/v1/query?query=up&time=yesterday",
        "/api/v1/query?query=rate(up[5m:1m])",
        "/api/v1/query?query=label_replace(up,%22a%22,%22b%22,%22c%22,%22d%22)",
        "/api/v1/query?query=http_requests_total%2Bignoring(code)http_requests_total",
        "/api/v1/query_range?query=up&start=0&end=1&step=0",
        "/api/v1/query_range?query=up&start=1&end=0&step=1",
        "/api/v1/query_range?query=up&start=0&end=11001&step=1",
        "/api/v1/query_range?query=up&start=0&end=1&step=soon",
        "/api/v1/query_range?query=up&start=NaN&end=1&step=1",
        "/api/v1/query_range?query=up[5m]&start=0&end=1&step=1",
        "/api/v1/series",
        "/api/v1/series?match[]=1",
        "/api/v1/label/a-b/values",
        "/api/v1/metadata?limit=few",
    ] {
        let (status, body) = server.get(path).await;
        assert_eq!(body["status"], "error", "{path}");
        let _ = writeln!(answers, "{path}\n  {status} {} {}", body["errorType"].as_str().unwrap(), body["error"].as_str().unwrap());
    }
    insta::assert_snapshot!(answers);
}

#[tokio::test]
async fn discovery_finds_names_labels_and_types() {
    let server = Server::start().await;
    let (_, names) = server.get("/api/v1/label/__name__/values").await;
    insta::assert_snapshot!(names["data"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect::<Vec<_>>().join("\n"));
    let (_, metadata) = server.get("/api/v1/metadata?metric=http_requests_total").await;
    assert_eq!(metadata["data"]["http_requests_total"][0]["type"], "counter");
    let (_, series) = server.post("/api/v1/series", &[("match[]", "up{job=\"node\"}"), ("match[]", "queue_depth")]).await;
    assert_eq!(series["data"].as_array().unwrap().len(), 5);
    let (_, labels) = server.get("/api/v1/labels?match[]=queue_depth").await;
    assert_eq!(labels["data"], json!(["__name__", "queue", "service"]));
    // Dead: there was something once, there is nothing now.
    let (_, dead) = server.get("/api/v1/query?query=legacy_exports_total").await;
    assert_eq!(dead["data"]["result"], json!([]));
    let (_, scalar) = server.get("/api/v1/query?query=time()%2B1&time=5").await;
    assert_eq!(scalar["data"], json!({"resultType": "scalar", "result": [5, "6"]}));
    let (_, raw) = server.get("/api/v1/query?query=up{job=%22node%22}[3m]").await;
    assert_eq!(raw["data"]["result"][0]["values"].as_array().unwrap().len(), 3);
}
