//! What the process tells of itself: JSON logs with trace ids, and traces over OTLP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::IntoResponse;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::process::Bellwether;

/// What a collector was sent: paths and bodies.
type Sent = Arc<Mutex<Vec<(String, Bytes)>>>;

/// A collector of OTLP over gRPC that says yes to everything.
async fn collector() -> (String, Sent) {
    async fn take(State(sent): State<Sent>, uri: Uri, body: Bytes) -> impl IntoResponse {
        sent.lock().unwrap().push((uri.path().to_owned(), body));
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/grpc".parse().unwrap());
        headers.insert("grpc-status", "0".parse().unwrap());
        headers
    }
    let sent = Sent::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(take).with_state(Arc::clone(&sent));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_go_to_the_collector_and_their_ids_into_the_log() {
    let (url, sent) = collector().await;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bellwether.yaml");
    // Nothing listens there: every evaluation fails, is logged and is traced.
    let text = format!(
        "prometheus: {{url: 'http://127.0.0.1:9'}}\ntelemetry: {{otlp_endpoint: '{url}'}}\n\
         monitors:\n- {{name: up, query: up, metric: availability, step: 1s, window: 2h}}\n"
    );
    std::fs::write(&config, text).unwrap();
    let data = dir.path().join("data");
    let mut process =
        tokio::task::block_in_place(|| Bellwether::serve(&["-c", config.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]));
    let traced = |log: &str| {
        log.lines()
            .find(|line| line.contains("\"failed\"") && line.contains("\"evaluation\""))
            .and_then(|line| serde_json::from_str::<Value>(line).ok())
    };
    let mut line = None;
    for _ in 0..300 {
        line = traced(&process.log());
        if line.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let line = line.expect("a failed evaluation is logged");
    let trace = line["trace_id"].as_str().expect("the line has a trace id").to_owned();
    assert_eq!(trace.len(), 32, "{line}");
    assert_eq!(
        (line["level"].as_str(), line["part"].as_str(), line["cause"].as_str()),
        (Some("warn"), Some("evaluation"), Some("unavailable"))
    );
    assert!(tokio::task::block_in_place(|| process.stop()).success());
    for line in process.log().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(line["time"].as_str().is_some_and(|t| t.ends_with('Z')) && line["target"].is_string(), "{line}");
    }
    let sent = sent.lock().unwrap();
    assert!(sent.iter().all(|(path, _)| path == "/opentelemetry.proto.collector.trace.v1.TraceService/Export"), "{sent:?}");
    // A trace id travels as its sixteen bytes.
    let id: Vec<u8> = (0..16).map(|i| u8::from_str_radix(&trace[2 * i..2 * i + 2], 16).unwrap()).collect();
    assert!(sent.iter().any(|(_, body)| body.windows(16).any(|bytes| bytes == id)), "the span of the failure arrived");
}
