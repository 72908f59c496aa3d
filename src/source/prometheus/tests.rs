use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics_exporter_prometheus::PrometheusBuilder;
use wiremock::matchers::{body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, Request as Received, Respond, ResponseTemplate};

use super::*;

const STEP: DurationMs = DurationMs::from_secs(60);

fn config(url: &str) -> Config {
    Config { endpoint: endpoint::Config::new(url.parse().unwrap()), concurrency: 2, most_series: 10, most_points: 100_000 }
}

/// A client that waits a millisecond between tries.
fn client(config: &Config) -> Prometheus {
    Prometheus { pause: Duration::from_millis(1), ..config.build().unwrap() }
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_millis(1_699_999_980_000 + minutes * 60_000)
}

async fn server(respond: impl Respond + 'static) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).and(path("/api/v1/query_range")).respond_with(respond).mount(&server).await;
    server
}

fn json(body: impl Into<String>) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.into(), "application/json")
}

fn matrix(result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":{result}}}}}"#)
}

/// The fields of a form, decoded.
fn form(request: &Received) -> BTreeMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://x/?{}", String::from_utf8_lossy(&request.body))).unwrap();
    url.query_pairs().into_owned().collect()
}

async fn failure(respond: impl Respond + 'static) -> (Code, String, usize) {
    let server = server(respond).await;
    let error = client(&config(&server.uri())).range("up", at(0), at(1), STEP).await.unwrap_err();
    let text = error.chain().replace(&server.uri(), "URL");
    (error.code, text, server.received_requests().await.unwrap().len())
}

/// Answers with the templates in turn, the last one for ever.
struct InTurn(Vec<ResponseTemplate>, AtomicUsize);

impl Respond for InTurn {
    fn respond(&self, _: &Received) -> ResponseTemplate {
        let i = self.1.fetch_add(1, Ordering::SeqCst);
        self.0[i.min(self.0.len() - 1)].clone()
    }
}

fn in_turn(templates: impl IntoIterator<Item = ResponseTemplate>) -> InTurn {
    InTurn(templates.into_iter().collect(), AtomicUsize::new(0))
}

/// Answers a piece with one series that is always there, its value the minute, and one that is there from step 15,000 on.
fn minutes(request: &Received) -> ResponseTemplate {
    let form = form(request);
    let second = |name: &str| form[name].parse::<i64>().unwrap();
    let (mut old, mut new) = (String::new(), String::new());
    let mut t = second("start");
    while t <= second("end") {
        let minute = (t - at(0).millis() / 1000) / 60;
        write!(old, "[{t},\"{minute}\"],").unwrap();
        if minute >= 15_000 {
            write!(new, "[{t},\"1\"],").unwrap();
        }
        t += second("step");
    }
    let series = |name: &str, values: &str| {
        (!values.is_empty()).then(|| format!(r#"{{"metric":{{"job":"{name}"}},"values":[{}]}}"#, values.trim_end_matches(',')))
    };
    let all: Vec<String> = [series("old", &old), series("new", &new)].into_iter().flatten().collect();
    json(matrix(&format!("[{}]", all.join(","))))
}

#[tokio::test]
async fn a_long_range_is_read_in_pieces_on_one_grid() {
    let server = server(minutes).await;
    let reading = client(&config(&server.uri())).range("up", at(0), at(24_999), STEP).await.unwrap();
    let names: Vec<_> = reading.series.iter().map(|s| s.key.get("job").unwrap()).collect();
    assert_eq!(names, ["new", "old"]);
    let expected: Vec<f64> = (0..25_000).map(f64::from).collect();
    assert_eq!(reading.series[1].window, Window::new(at(0), STEP, expected).unwrap());
    let new = &reading.series[0].window;
    assert_eq!((new.start(), new.len(), new.present()), (at(0), 25_000, 10_000));
    assert_eq!(reading.points, 35_000);
    let mut pieces: Vec<_> =
        server.received_requests().await.unwrap().iter().map(|r| (form(r)["start"].clone(), form(r)["end"].clone())).collect();
    pieces.sort();
    let bound = |minute| at(minute).seconds().to_string();
    assert_eq!(pieces, [(0, 9_999), (10_000, 19_999), (20_000, 24_999)].map(|(a, b)| (bound(a), bound(b))));
}

#[tokio::test]
async fn warnings_are_told_once_and_histograms_are_one() {
    let body = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"histograms":[[1,{}]]}]},"warnings":["partial"],"infos":["odd"]}"#;
    let server = server(json(body)).await;
    let reading = client(&config(&server.uri())).range("up", at(0), at(24_999), STEP).await.unwrap();
    assert!(reading.series.is_empty());
    insta::assert_debug_snapshot!(reading.warnings, @r#"
    [
        "partial",
        "odd",
        "1 series of native histograms were left out; histogram_quantile, histogram_count or histogram_sum turn them into numbers",
    ]
    "#);
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for status in [429, 502, 503, 504] {
        let server = server(in_turn([ResponseTemplate::new(status).insert_header("Retry-After", "0"), json(matrix("[]"))])).await;
        assert_eq!(client(&config(&server.uri())).range("up", at(0), at(1), STEP).await.unwrap(), Reading::default());
    }
}

#[tokio::test]
async fn refusals_say_what_to_do_and_are_sent_once() {
    let refused = |status: u16, body: &str| failure(ResponseTemplate::new(status).set_body_string(body));
    let bad =
        r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:3: parse error: unexpected end of input"}"#;
    insta::assert_debug_snapshot!(refused(400, bad).await, @r#"
    (
        InvalidArgument,
        "query: Prometheus refuses it: invalid parameter \"query\": 1:3: parse error: unexpected end of input (bad_data)",
        1,
    )
    "#);
    insta::assert_debug_snapshot!(refused(422, r#"{"status":"error","errorType":"execution","error":"too many samples"}"#).await, @r#"
    (
        InvalidArgument,
        "query: Prometheus refuses it: too many samples (execution)",
        1,
    )
    "#);
    insta::assert_debug_snapshot!(refused(401, "Unauthorized").await, @r#"
    (
        FailedPrecondition,
        "Prometheus at URL does not let us in (401 Unauthorized); check basic_auth, bearer_token_file and headers: Unauthorized",
        1,
    )
    "#);
    insta::assert_debug_snapshot!(refused(403, "").await, @r#"
    (
        FailedPrecondition,
        "Prometheus at URL does not let us in (403 Forbidden); check basic_auth, bearer_token_file and headers",
        1,
    )
    "#);
    insta::assert_debug_snapshot!(refused(404, "404 page not found").await, @r#"
    (
        FailedPrecondition,
        "no Prometheus API at URL/api/v1/query_range (404 Not Found); check the address and its path prefix: 404 page not found",
        1,
    )
    "#);
    insta::assert_debug_snapshot!(refused(400, "<html>\n  <b>Bad</b></html>").await, @r#"
    (
        FailedPrecondition,
        "Prometheus at URL answers 400 Bad Request: <html> <b>Bad</b></html>",
        1,
    )
    "#);
    insta::assert_debug_snapshot!(refused(500, r#"{"status":"error","errorType":"internal","error":"disk"}"#).await, @r#"
    (
        Unavailable,
        "Prometheus at URL answers 500 Internal Server Error: disk (internal)",
        1,
    )
    "#);
    insta::assert_debug_snapshot!(refused(503, r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#).await, @r#"
    (
        DeadlineExceeded,
        "Prometheus at URL gave the query up: query timed out (timeout)",
        1,
    )
    "#);
    insta::assert_debug_snapshot!(refused(200, &format!("<html>{}", "proxy ".repeat(100))).await, @r#"
    (
        FailedPrecondition,
        "URL/api/v1/query_range answers with something else than JSON: `<html>proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy proxy pr`; is it a Prometheus?",
        1,
    )
    "#);
    insta::assert_debug_snapshot!(refused(200, r#"{"status":"success","data":{"resultType":"matrix","result":[{"#).await, @r#"
    (
        Unavailable,
        "the answer of Prometheus at URL is not what its API gives: at byte 61: the answer ends early",
        1,
    )
    "#);
    insta::assert_debug_snapshot!(refused(200, bad).await, @r#"
    (
        InvalidArgument,
        "query: Prometheus refuses it: invalid parameter \"query\": 1:3: parse error: unexpected end of input (bad_data)",
        1,
    )
    "#);
    let later = ResponseTemplate::new(429).insert_header("Retry-After", "3600").set_body_string("slow down");
    insta::assert_debug_snapshot!(failure(later).await, @r#"
    (
        Unavailable,
        "Prometheus at URL answers 429 Too Many Requests and asks to come back in 3600 s: slow down",
        1,
    )
    "#);
}

#[tokio::test]
async fn what_stays_away_is_given_up_after_four_tries() {
    insta::assert_debug_snapshot!(failure(ResponseTemplate::new(503).set_body_string("starting")).await, @r#"
    (
        Unavailable,
        "Prometheus at URL answers 503 Service Unavailable: starting (tried 4 times)",
        4,
    )
    "#);
    // A port that was free a moment ago.
    let url = format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let error = client(&config(&url)).ping().await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    insta::assert_snapshot!(error.chain().replace(&url, "URL"), @"cannot reach Prometheus at URL (tried 4 times): error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)");
}

#[tokio::test]
async fn a_slow_answer_is_not_waited_for() {
    let server = server(json(matrix("[]")).set_delay(Duration::from_secs(30))).await;
    let mut config = config(&server.uri());
    config.endpoint.timeout = DurationMs::from_millis(100);
    let error = client(&config).range("up", at(0), at(1), STEP).await.unwrap_err();
    assert_eq!(error.code, Code::DeadlineExceeded);
    assert_eq!(error.message, format!("Prometheus at {} did not answer within 100ms", server.uri()));
}

#[tokio::test]
async fn limits_hold_within_a_piece_and_over_all() {
    let server = server(minutes).await;
    let limited = |change: fn(&mut Config), end| {
        let mut config = config(&server.uri());
        change(&mut config);
        let client = client(&config);
        async move { client.range("up", at(0), at(end), STEP).await.unwrap_err() }
    };
    for (error, text) in [
        (limited(|c| c.most_series = 1, 24_999).await, "more than 1 series"),
        (limited(|c| c.most_points = 30_000, 24_999).await, "more than 30000 points (most_points): 2 series"),
        (limited(|c| c.most_points = 100, 24_999).await, "more than 100 points (most_points): 1 series of 25000 steps"),
    ] {
        assert_eq!(error.code, Code::ResourceExhausted);
        assert!(error.message.contains(text), "{}", error.message);
    }
    assert_eq!(client(&config(&server.uri())).range("up", at(1), at(0), STEP).await.unwrap_err().violations[0].field, "end");
    assert_eq!(client(&config(&server.uri())).range("up", at(0), at(1), DurationMs::ZERO).await.unwrap_err().violations[0].field, "step");
    let none = Config { concurrency: 0, ..config(&server.uri()) };
    assert_eq!(none.build().unwrap_err().to_string(), "concurrency: 0; it must be at least 1");
}

#[tokio::test]
async fn headers_credentials_and_a_path_prefix_are_sent() {
    let server = MockServer::start().await;
    Mock::given(path("/prometheus/api/v1/query_range"))
        .and(header("X-Scope-OrgID", "tenant-1"))
        .and(header("Authorization", "Basic dXNlcjpzZWNyZXQ="))
        .and(body_string_contains("query=up"))
        .respond_with(json(matrix("[]")))
        .expect(1)
        .mount(&server)
        .await;
    let dir = tempfile::tempdir().unwrap();
    let password = write(dir.path(), "secret\n");
    let mut config = config(&format!("{}/prometheus/", server.uri()));
    config.endpoint.basic_auth = Some(("user".into(), password));
    config.endpoint.headers.insert("X-Scope-OrgID".into(), "tenant-1".into());
    client(&config).range("up", at(0), at(1), STEP).await.unwrap();
}

fn write(dir: &Path, secret: &str) -> std::path::PathBuf {
    let file = dir.join("secret");
    std::fs::write(&file, secret).unwrap();
    file
}

#[tokio::test]
async fn a_rotated_token_is_read_anew() {
    let server = server(json(matrix("[]"))).await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&server.uri());
    config.endpoint.bearer_token_file = Some(write(dir.path(), "first"));
    let client = client(&config);
    client.range("up", at(0), at(1), STEP).await.unwrap();
    write(dir.path(), "second");
    client.range("up", at(0), at(1), STEP).await.unwrap();
    let sent: Vec<_> = server.received_requests().await.unwrap().iter().map(|r| r.headers["authorization"].clone()).collect();
    assert_eq!(sent, ["Bearer first", "Bearer second"]);
    write(dir.path(), "");
    let error = client.range("up", at(0), at(1), STEP).await.unwrap_err();
    assert_eq!((error.code, error.violations[0].field.as_str()), (Code::InvalidArgument, "bearer_token_file"));
}

#[tokio::test]
async fn a_password_in_the_url_is_not_shown() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = client(&config(&format!("http://user:hunter2@{address}"))).ping().await.unwrap_err();
    assert!(!error.chain().contains("hunter2") && error.chain().contains(&address.to_string()), "{}", error.chain());
}

/// Answers after a moment, and notes the most requests that were under way at once.
struct Crowd {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clones_share_one_bound_on_requests() {
    let crowd = Crowd { now: Arc::default(), most: Arc::default() };
    let app = {
        let (now, most) = (Arc::clone(&crowd.now), Arc::clone(&crowd.most));
        axum::Router::new().fallback(move || {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                matrix("[]")
            }
        })
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let client = client(&config(&url));
    let readings = (0..6).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.range("up", at(0), at(24_999), STEP).await })
    });
    for reading in readings.collect::<Vec<_>>() {
        reading.await.unwrap().unwrap();
    }
    serving.abort();
    assert_eq!(crowd.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn requests_points_and_failures_are_counted_by_cause() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let ok = json(matrix(r#"[{"metric":{},"values":[[1699999980,"1"],[1700000040,"2"]]}]"#));
    let server = server(in_turn([ResponseTemplate::new(503), ok, ResponseTemplate::new(401)])).await;
    let client = client(&config(&server.uri()));
    assert_eq!(client.range("up", at(0), at(1), STEP).await.unwrap().points, 2);
    client.range("up", at(0), at(1), STEP).await.unwrap_err();
    let text = recorder.handle().render();
    for line in [
        r#"bellwether_source_requests_total{outcome="ok"} 1"#,
        r#"bellwether_source_requests_total{outcome="unavailable"} 1"#,
        r#"bellwether_source_requests_total{outcome="unauthorized"} 1"#,
        "bellwether_source_points_total 2",
        "bellwether_source_request_seconds_count 3",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn instant_queries_give_vectors_and_scalars() {
    let server = MockServer::start().await;
    let data = |data: &str| json(format!(r#"{{"status":"success","data":{data}}}"#));
    Mock::given(path("/api/v1/query"))
        .respond_with(in_turn([
            data(r#"{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"+Inf"]},{"metric":{"h":"1"},"histogram":[1,{}]}]}"#),
            data(r#"{"resultType":"scalar","result":[1.5,"7"]}"#),
            data(r#"{"resultType":"matrix","result":[{"metric":{},"values":[]}]}"#),
            data(r#"{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}"#),
        ]))
        .mount(&server)
        .await;
    let client = client(&config(&server.uri()));
    let labelled = SeriesKey::new([("a".to_owned(), "b".to_owned())]);
    assert_eq!(client.instant("x", at(0)).await.unwrap(), [(labelled, f64::INFINITY)]);
    assert_eq!(client.instant("7", at(0)).await.unwrap(), [(SeriesKey::default(), 7.0)]);
    assert_eq!(client.instant("x[5m]", at(0)).await.unwrap_err().code, Code::InvalidArgument);
    assert!(client.instant("x", at(0)).await.unwrap_err().message.ends_with("gives a value of `x`"));
}

#[tokio::test]
async fn metadata_and_series_are_read() {
    let server = MockServer::start().await;
    Mock::given(path("/api/v1/metadata"))
        .respond_with(json(
            r#"{"status":"success","data":{"up":[{"type":"gauge","help":"Alive.","unit":""},{"type":"unknown"}],"none":[]}}"#,
        ))
        .mount(&server)
        .await;
    Mock::given(path("/api/v1/series"))
        .and(body_string_contains("match%5B%5D=up&match%5B%5D=down&start=1699999980&end=1700000040"))
        .respond_with(json(r#"{"status":"success","data":[{"__name__":"up","job":"a"}]}"#))
        .mount(&server)
        .await;
    let client = client(&config(&server.uri()));
    let gauge = Metadata { kind: "gauge".into(), unit: String::new(), help: "Alive.".into() };
    assert_eq!(client.metadata().await.unwrap(), BTreeMap::from([("up".to_owned(), gauge)]));
    let keys = client.series(&["up".to_owned(), "down".to_owned()], at(0), at(1)).await.unwrap();
    assert_eq!(keys.iter().map(ToString::to_string).collect::<Vec<_>>(), [r#"up{job="a"}"#]);
    assert_eq!(client.series(&[], at(0), at(1)).await.unwrap_err().violations[0].field, "selectors");
}
