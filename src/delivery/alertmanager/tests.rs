use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::clock::DurationMs;

fn alert(name: &str) -> Alert {
    Alert {
        labels: BTreeMap::from([("alertname".to_owned(), name.to_owned())]),
        annotations: BTreeMap::from([("summary".to_owned(), "s".to_owned())]),
        starts_at: Timestamp::from_millis(1_767_261_600_000),
        ends_at: None,
        generator_url: "http://bellwether/incidents/1".to_owned(),
    }
}

fn alerts(n: usize) -> Vec<Alert> {
    (0..n).map(|i| alert(&format!("a{i}"))).collect()
}

fn client(server: &MockServer) -> Alertmanager {
    let mut endpoint = endpoint::Config::new(server.uri().parse().unwrap());
    endpoint.timeout = DurationMs::from_millis(500);
    Config { name: "main".to_owned(), endpoint }.build().unwrap()
}

async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).and(path(PATH)).respond_with(answer).mount(&server).await;
    server
}

/// What becomes of two alerts at a server that always answers so, its address replaced.
async fn outcome(answer: ResponseTemplate) -> String {
    let server = answering(answer).await;
    let outcomes = client(&server).post(&alerts(2), Timestamp::default()).await;
    assert_eq!(outcomes.len(), 2);
    assert_eq!(outcomes[0], outcomes[1]);
    format!("{:?}", outcomes[0]).replace(&server.uri(), "URL")
}

#[tokio::test]
async fn the_body_is_what_the_api_takes() {
    let server = MockServer::start().await;
    Mock::given(path(PATH)).and(header("content-type", "application/json")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let resolved = Alert { ends_at: Some(Timestamp::from_millis(1_767_261_660_000)), ..alert("over") };
    let ended_before_it_began = Alert { ends_at: Some(Timestamp::default()), ..alert("odd") };
    let until = Timestamp::from_millis(1_767_261_840_000);
    let outcomes = client(&server).post(&[alert("firing"), resolved, ended_before_it_began], until).await;
    assert_eq!(outcomes, vec![Outcome::Accepted; 3]);
    let requests = server.received_requests().await.unwrap();
    let body: serde_json::Value = requests[0].body_json().unwrap();
    insta::assert_json_snapshot!(body, @r#"
    [
      {
        "annotations": {
          "summary": "s"
        },
        "endsAt": "2026-01-01T10:04:00Z",
        "generatorURL": "http://bellwether/incidents/1",
        "labels": {
          "alertname": "firing"
        },
        "startsAt": "2026-01-01T10:00:00Z"
      },
      {
        "annotations": {
          "summary": "s"
        },
        "endsAt": "2026-01-01T10:01:00Z",
        "generatorURL": "http://bellwether/incidents/1",
        "labels": {
          "alertname": "over"
        },
        "startsAt": "2026-01-01T10:00:00Z"
      },
      {
        "annotations": {
          "summary": "s"
        },
        "endsAt": "2026-01-01T10:00:00Z",
        "generatorURL": "http://bellwether/incidents/1",
        "labels": {
          "alertname": "odd"
        },
        "startsAt": "2026-01-01T10:00:00Z"
      }
    ]
    "#);
}

#[tokio::test]
async fn batches_are_of_bounded_size() {
    let server = answering(ResponseTemplate::new(200)).await;
    assert_eq!(client(&server).post(&alerts(130), Timestamp::default()).await, vec![Outcome::Accepted; 130]);
    let sizes: Vec<usize> =
        server.received_requests().await.unwrap().iter().map(|r| r.body_json::<Vec<serde_json::Value>>().unwrap().len()).collect();
    assert_eq!(sizes, [64, 64, 2]);
    assert_eq!(client(&server).post(&[], Timestamp::default()).await, []);
}

#[tokio::test]
async fn only_the_invalid_alert_of_a_batch_is_rejected() {
    let server = MockServer::start().await;
    let refuse_a70 = |request: &Request| {
        if String::from_utf8_lossy(&request.body).contains("\"a70\"") {
            ResponseTemplate::new(400).set_body_json("invalid label set: a70")
        } else {
            ResponseTemplate::new(200)
        }
    };
    Mock::given(method("POST")).respond_with(refuse_a70).mount(&server).await;
    let outcomes = client(&server).post(&alerts(130), Timestamp::default()).await;
    let mut expected = vec![Outcome::Accepted; 130];
    expected[70] = Outcome::Rejected("invalid label set: a70".to_owned());
    assert_eq!(outcomes, expected);
}

#[tokio::test]
async fn a_server_that_fails_while_a_batch_is_repeated_is_left_alone() {
    let server = MockServer::start().await;
    let answer = |request: &Request| {
        let alerts: Vec<serde_json::Value> = request.body_json().unwrap();
        match (alerts.len(), alerts[0]["labels"]["alertname"].as_str()) {
            (1, Some("a0")) => ResponseTemplate::new(200),
            (1, _) => ResponseTemplate::new(503),
            _ => ResponseTemplate::new(400),
        }
    };
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    let outcomes = client(&server).post(&alerts(100), Timestamp::default()).await;
    assert_eq!(outcomes.len(), 100);
    assert_eq!(outcomes[0], Outcome::Accepted);
    assert!(outcomes[1..].iter().all(|o| matches!(o, Outcome::Unavailable(_))));
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_the_server_says_reaches_the_reader() {
    let json = |status: u16, body: serde_json::Value| ResponseTemplate::new(status).set_body_json(body);
    insta::assert_snapshot!(outcome(json(400, "invalid\n label set".into())).await, @r#"Rejected("invalid label set")"#);
    insta::assert_snapshot!(outcome(json(422, serde_json::json!({"code": 602, "message": "alerts in body is required"}))).await, @r#"Rejected("alerts in body is required")"#);
    insta::assert_snapshot!(outcome(ResponseTemplate::new(413)).await, @r#"Rejected("413 Payload Too Large")"#);
    insta::assert_snapshot!(outcome(ResponseTemplate::new(401)).await, @r#"Unavailable("URL answers 401 Unauthorized: it does not accept our credentials; check basic_auth, bearer_token_file and headers")"#);
    insta::assert_snapshot!(outcome(ResponseTemplate::new(403)).await, @r#"Unavailable("URL answers 403 Forbidden: it does not accept our credentials; check basic_auth, bearer_token_file and headers")"#);
    insta::assert_snapshot!(outcome(ResponseTemplate::new(404)).await, @r#"Unavailable("URL answers 404 Not Found: it has no /api/v2/alerts; is this an Alertmanager of 0.16 or later, and is its path prefix in the address?")"#);
    insta::assert_snapshot!(outcome(ResponseTemplate::new(415)).await, @r#"Unavailable("URL answers 415 Unsupported Media Type: it takes no JSON; is this an Alertmanager?")"#);
    insta::assert_snapshot!(outcome(ResponseTemplate::new(429).set_body_string("slow down")).await, @r#"Unavailable("URL answers 429 Too Many Requests: slow down")"#);
    insta::assert_snapshot!(outcome(ResponseTemplate::new(500)).await, @r#"Unavailable("URL answers 500 Internal Server Error")"#);
    insta::assert_snapshot!(outcome(ResponseTemplate::new(503).set_body_string("x".repeat(100_000))).await.len(), @"552");
}

#[tokio::test]
async fn a_redirect_is_no_delivery() {
    // A redirected POST would arrive as a GET, which lists alerts, succeeds and stores nothing.
    let server = answering(ResponseTemplate::new(301).insert_header("location", "/elsewhere/api/v2/alerts")).await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(200).set_body_string("[]")).mount(&server).await;
    let outcomes = client(&server).post(&alerts(1), Timestamp::default()).await;
    insta::assert_snapshot!(format!("{outcomes:?}").replace(&server.uri(), "URL"), @r#"[Unavailable("URL redirects to /elsewhere; configure that address")]"#);
}

#[tokio::test]
async fn a_slow_and_an_absent_server_are_unavailable() {
    let server = answering(ResponseTemplate::new(200).set_delay(std::time::Duration::from_mins(1))).await;
    let slow = client(&server).post(&alerts(1), Timestamp::default()).await;
    assert!(matches!(&slow[0], Outcome::Unavailable(why) if why.contains("timed out")), "{slow:?}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = endpoint::Config::new(format!("http://127.0.0.1:{port}").parse().unwrap());
    let absent = Config { name: "main".to_owned(), endpoint }.build().unwrap().post(&alerts(1), Timestamp::default()).await;
    assert!(matches!(&absent[0], Outcome::Unavailable(why) if why.contains("refused")), "{absent:?}");
}

#[tokio::test]
async fn an_unreadable_secret_is_named() {
    let mut endpoint = endpoint::Config::new("http://127.0.0.1:9".parse().unwrap());
    endpoint.bearer_token_file = Some("/nowhere/token".into());
    let outcomes = Config { name: "main".to_owned(), endpoint }.build().unwrap().post(&alerts(1), Timestamp::default()).await;
    insta::assert_snapshot!(format!("{outcomes:?}"), @r#"[Unavailable("bearer_token_file: cannot read /nowhere/token: No such file or directory (os error 2)")]"#);
}
