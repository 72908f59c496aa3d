//! What is too much is refused, and the refusal names the limit.

use std::time::Duration;

use bellwether::proto::{DecomposeRequest, DetectAnomaliesRequest, PublishEventsRequest};
use tokio::io::AsyncReadExt as _;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use super::*;

/// A Prometheus that reads and never answers.
pub async fn silent() -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let (mut text, mut chunk) = (String::new(), [0; 4096]);
                while let Ok(read @ 1..) = connection.read(&mut chunk).await {
                    text.push_str(&String::from_utf8_lossy(&chunk[..read]));
                    let _ = sender.send(text.clone());
                }
            });
        }
    });
    (url, Asked(asked))
}

/// What the silent Prometheus was asked, each request as far as it has come.
pub struct Asked(tokio::sync::mpsc::UnboundedReceiver<String>);

impl Asked {
    /// Waits for the request that holds `part`. The engine has questions of its own, and they come when they will.
    pub async fn wait_for(&mut self, part: &str) {
        while !self.0.recv().await.unwrap().contains(part) {}
    }
}

fn from_prometheus() -> DecomposeRequest {
    DecomposeRequest { input: promql("up", now() - DurationMs::DAY, now()), ..Default::default() }
}

fn given() -> DecomposeRequest {
    DecomposeRequest { input: inline(vec![series("x", &[1.0, 2.0, 3.0, 4.0])]), ..Default::default() }
}

#[tokio::test]
async fn too_many_series_points_and_bytes() {
    let served = Served::start("server: {max_series: 2, max_points: 10, max_message_bytes: 65536}").await;
    let ask = async |series| {
        let request = DecomposeRequest { input: inline(series), ..Default::default() };
        told(&served.analysis().decompose(request).await.unwrap_err())
    };
    let short = series("x", &[1.0, 2.0]);
    insta::assert_snapshot!(ask(vec![short.clone(); 3]).await, @r"
    InvalidArgument: input.inline.series: 3 series; at most 2 are taken in one request
      reason INVALID_ARGUMENT of bellwether
      input.inline.series: 3 series; at most 2 are taken in one request
    ");
    insta::assert_snapshot!(ask(vec![short, series("y", &[0.0; 9])]).await, @r"
    InvalidArgument: input.inline.series: 11 points; at most 10 are taken in one request
      reason INVALID_ARGUMENT of bellwether
      input.inline.series: 11 points; at most 10 are taken in one request
    ");
    // Before a message is read only its length is known.
    let long = DecomposeRequest { input: inline(vec![series(&"x".repeat(70_000), &[1.0])]), ..Default::default() };
    let status = served.analysis().decompose(long.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.message().contains("the limit is: 65536 bytes"), "{status}");
    // Packed it is a hundred bytes, and unpacked as long as before.
    let mut packing = served.analysis().send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
    let status = packing.decompose(long).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    // What is within the limits is taken either way.
    packing.decompose(given()).await.unwrap();
    served.analysis().decompose(given()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_series_and_points_of_a_query() {
    let served = Served::over_the_shop("server: {max_series: 3, max_points: 1000}\ndiscovery: {enabled: false}").await;
    let ask = async |query: &str, days: i64| {
        let request = DetectAnomaliesRequest { input: promql(query, now() - DurationMs::DAY * days, now()), ..Default::default() };
        let status = served.analysis().detect_anomalies(request).await.unwrap_err();
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "INVALID_ARGUMENT");
        let violation = status.get_error_details().bad_request().unwrap().field_violations[0].clone();
        format!("{}: {}", violation.field, violation.description)
    };
    insta::assert_snapshot!(ask("process_resident_memory_bytes", 1).await, @"input.promql.query: yields 12 series; at most 3 are taken in one request");
    insta::assert_snapshot!(ask("up", 4).await, @"input.promql.step: 1152 points for each series; at most 1000 are taken in one request");
    let points = ask("process_resident_memory_bytes{service=~\"cart|payment|web\"}", 2).await;
    assert!(points.starts_with("input.promql.query: yields 17") && points.contains("at most 1000"), "{points}");
    let refused = ask("rate(up", 1).await;
    assert!(refused.starts_with("input.promql.query: ") && refused.contains("parse error: unclosed left parenthesis"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_analysis_more_than_allowed_is_refused_and_not_queued() {
    let (url, mut asked) = silent().await;
    let yaml = format!("server: {{max_concurrent_analyses: 1}}\nprometheus: {{url: '{url}'}}\ndiscovery: {{enabled: false}}");
    let served = Served::start(&yaml).await;
    let mut client = served.analysis();
    let waiting = tokio::spawn(async move { client.decompose(from_prometheus()).await });
    asked.wait_for("query=up&").await;
    insta::assert_snapshot!(told(&served.analysis().decompose(given()).await.unwrap_err()), @r"
    ResourceExhausted: 1 analyses are under way; try again in a moment
      reason RESOURCE_EXHAUSTED of bellwether
      try again after 1s
    ");
    // What is no analysis goes on.
    served.events().list_events(proto::ListEventsRequest::default()).await.unwrap();
    // The caller goes away, and its place is free.
    waiting.abort();
    until("another analysis", async || served.analysis().decompose(given()).await.ok()).await;
    // Whoever fails gives its place back too.
    for _ in 0..3 {
        assert_eq!(served.analysis().decompose(DecomposeRequest::default()).await.unwrap_err().code(), Code::InvalidArgument);
    }
    served.analysis().decompose(given()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_ended() {
    let (url, _asked) = silent().await;
    let yaml = format!("prometheus: {{url: '{url}'}}\ndiscovery: {{enabled: false}}");
    let served = Served::start_with(&yaml, |config| config.server.request_timeout = DurationMs::from_millis(200)).await;
    let limit = served.analysis().decompose(from_prometheus()).await.unwrap_err();
    insta::assert_snapshot!(told(&limit), @r"
    DeadlineExceeded: took longer than 200ms; ask for less, or raise server.request_timeout
      reason DEADLINE_EXCEEDED of bellwether
    ");
    let limit = served.monitors().discover_monitors(proto::DiscoverMonitorsRequest {}).await.unwrap_err();
    assert_eq!(limit.code(), Code::DeadlineExceeded, "{limit}");
    // A caller may have less time than the server gives.
    let mut request = tonic::Request::new(from_prometheus());
    request.set_timeout(Duration::from_millis(20));
    let status = served.analysis().decompose(request).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status}");
    // The server is none the worse.
    served.analysis().decompose(given()).await.unwrap();
}

#[tokio::test]
async fn a_webhook_payload_that_is_too_long() {
    let served = Served::start_with("", |config| config.server.max_message_bytes = 1000).await;
    let (status, _) = served.post("x".repeat(1001)).await;
    assert_eq!(status, 413);
    let (status, _) = served.post(" ".repeat(1000)).await;
    assert_eq!(status, 400);
    let many = PublishEventsRequest { events: vec![proto::Event::default(); 600] };
    assert_eq!(served.events().publish_events(many).await.unwrap_err().code(), Code::OutOfRange);
}

/// Another process that holds the store for writing; dropped, it lets go.
async fn hold(served: &Served) -> sqlx::SqliteConnection {
    use sqlx::Connection;
    let mut connection = sqlx::SqliteConnection::connect(&served.database()).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_store_asks_to_be_tried_again() {
    use sqlx::Connection;
    let served = Served::start("server: {external_url: 'http://bellwether.example'}").await;
    let held = hold(&served).await;
    let alert = events::payload(&[events::alert("0123456789abcdef", "DiskFull", &[("service", "cart")], recent(0), None)]);
    let post = http().post(format!("{}/webhook/alertmanager", served.url)).body(alert.clone());
    let mut client = served.events();
    let event = proto::Event { title: "deployed".to_owned(), kind: proto::EventKind::Deployment.into(), ..Default::default() };
    let publish = PublishEventsRequest { events: vec![event] };
    let (webhook, grpc) = tokio::join!(post.send(), client.publish_events(publish.clone()));
    let webhook = webhook.unwrap();
    assert_eq!((webhook.status().as_u16(), webhook.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    let body: serde_json::Value = webhook.json().await.unwrap();
    assert_eq!(body["code"], "unavailable");
    assert!(body["error"].as_str().unwrap().contains("it is busy"), "{body}");
    let status = grpc.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.get_error_details().retry_info().is_some(), "{}", told(&status));
    // Reading goes on, and nothing was kept by halves.
    let listed = async || served.events().list_events(proto::ListEventsRequest::default()).await.unwrap().into_inner().events;
    assert_eq!(listed().await, []);
    held.close().await.unwrap();
    assert_eq!(served.post(alert).await.0, 200);
    served.events().publish_events(publish).await.unwrap();
    assert_eq!(listed().await.len(), 2);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_store_does_not_keep_alertmanager_waiting() {
    let served = Served::start("server: {request_timeout: 1s}").await;
    let _held = hold(&served).await;
    let alert = events::payload(&[events::alert("0123456789abcdef", "DiskFull", &[], recent(0), None)]);
    let answer = http().post(format!("{}/webhook/alertmanager", served.url)).body(alert).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("retry-after")), (503, true));
}
