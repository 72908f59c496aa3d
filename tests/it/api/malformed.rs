//! Requests and payloads that are wrong, and what their senders are told: codes, messages, fields.

use std::collections::HashMap;
use std::fmt::Write as _;

use bellwether::proto::{
    DecomposeRequest, DetectAnomaliesRequest, DiscoverMonitorsRequest, Event, EventKind, GetIncidentRequest, GetMonitorRequest,
    ListEventsRequest, ListIncidentsRequest, ListMonitorsRequest, Point, PublishEventsRequest, Series,
};
use prost::Message;
use serde_json::{Value, json};

use super::*;

/// Sends `message` to any method, whatever that takes.
async fn raw(served: &Served, path: &'static str, message: impl Message + 'static) -> String {
    let mut client = tonic::client::Grpc::new(served.channel.clone());
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<_, proto::ListEventsResponse>::default();
    match client.unary(tonic::Request::new(message), path.parse().unwrap(), codec).await {
        Err(status) => told(&status),
        Ok(_) => panic!("{path} takes it"),
    }
}

fn points(times: &[Option<ProtoTime>]) -> Vec<Series> {
    vec![Series { labels: HashMap::new(), points: times.iter().map(|t| Point { time: *t, value: 1.0 }).collect() }]
}

#[expect(clippy::unnecessary_wraps, reason = "the field of a request is optional")]
fn range(change: impl FnOnce(&mut PromqlRange)) -> Option<SeriesInput> {
    let mut range = PromqlRange { query: "up".to_owned(), start: Some(time(at(0))), end: Some(time(at(60))), step: Some(seconds(60)) };
    change(&mut range);
    Some(SeriesInput { from: Some(series_input::From::Promql(range)) })
}

#[expect(clippy::unnecessary_wraps, reason = "the field of a request is optional")]
fn stepped(step: ProtoDuration) -> Option<SeriesInput> {
    let series = vec![series("x", &[1.0, 2.0])];
    Some(SeriesInput { from: Some(series_input::From::Inline(InlineSeries { series, step: Some(step) })) })
}

/// What `AnalysisService` cannot decompose.
fn decompositions() -> Vec<(&'static str, DecomposeRequest)> {
    let far = |seconds, nanos| Some(ProtoTime { seconds, nanos });
    let good = inline(vec![series("x", &[1.0, 2.0, 3.0, 4.0])]);
    let of = |input| DecomposeRequest { input, ..Default::default() };
    vec![
        ("nothing to decompose", of(None)),
        ("an input that is neither", of(Some(SeriesInput { from: None }))),
        ("no series", of(inline(Vec::new()))),
        ("a series without points", of(inline(vec![series("x", &[1.0]), Series::default()]))),
        ("points without a time", of(inline(points(&[None, far(0, 0), None])))),
        ("times that are none", of(inline(points(&[far(i64::MAX, 0), far(0, -1), far(0, 1_000_000_000), far(i64::MIN, 0)])))),
        ("one time and no step", of(inline(points(&[far(60, 0), far(60, 0)])))),
        (
            "a millisecond and ten thousand years",
            of(inline(points(&[far(0, 0), far(0, 1_000_000), far(0, 2_000_000), far(250_000_000_000, 0)]))),
        ),
        ("a step of zero", of(stepped(seconds(0)))),
        ("a step that goes back", of(stepped(seconds(-60)))),
        ("a step beyond all", of(stepped(seconds(i64::MIN)))),
        ("a period of one step", DecomposeRequest { periods: vec![seconds(600)], input: good.clone(), ..Default::default() }),
        ("a period of nothing", DecomposeRequest { periods: vec![seconds(0)], input: good.clone(), ..Default::default() }),
        ("a period twice", DecomposeRequest { periods: vec![seconds(1200), seconds(1200)], input: good.clone(), ..Default::default() }),
        ("nine periods", DecomposeRequest { periods: vec![seconds(1200); 9], input: good, ..Default::default() }),
        ("no query", of(range(|r| r.query.replace_range(.., "  ")))),
        ("an end before the start", of(range(|r| r.end = Some(time(at(-60)))))),
        ("a start in the year 300,000", of(range(|r| r.start = far(9_400_000_000_000, 0)))),
        ("half a second for a step", of(range(|r| r.step = Some(ProtoDuration { seconds: 0, nanos: 500_000_000 })))),
        ("more steps than points are allowed", of(range(|r| r.start = Some(time(at(-1_000_000)))))),
        ("PromQL without a Prometheus", of(range(|_| ()))),
    ]
}

fn publications() -> Vec<(&'static str, Vec<Event>)> {
    let good = || Event { title: "deployed".to_owned(), kind: EventKind::Deployment.into(), ..Default::default() };
    vec![
        ("an event of nothing", vec![Event::default()]),
        ("a kind that is none", vec![Event { kind: 77, ..good() }]),
        ("a link that runs", vec![Event { url: "javascript:alert(1)".to_owned(), ..good() }]),
        ("an end before the beginning", vec![Event { starts_at: Some(time(at(1))), ends_at: Some(time(at(0))), ..good() }]),
        ("a time that is none", vec![Event { starts_at: Some(ProtoTime { seconds: 0, nanos: -5 }), ..good() }]),
        ("a label without a name", vec![Event { labels: [(String::new(), "x".to_owned())].into(), ..good() }]),
        ("too many labels", vec![Event { labels: (0..65).map(|i| (format!("l{i}"), "x".to_owned())).collect(), ..good() }]),
        ("a description too long", vec![Event { description: "x".repeat(4097), ..good() }]),
        ("the second and the third", vec![good(), Event { title: " \n".to_owned(), ..good() }, Event { kind: -1, ..good() }]),
        ("too many events", vec![good(); 1001]),
    ]
}

/// Payloads of the webhook by what is wrong with them.
fn payloads() -> Vec<(&'static str, String)> {
    let good = || events::alert("0123456789abcdef", "DiskFull", &[("service", "cart")], at(0), None);
    let with = |field: &str, value: Value| {
        let mut alert = good();
        alert[field] = value;
        events::payload(&[alert])
    };
    let without = |field: &str| {
        let mut alert = good();
        alert.as_object_mut().unwrap().remove(field);
        events::payload(&[alert])
    };
    vec![
        ("nothing", String::new()),
        ("half a payload", "{\"version\": \"4\",".to_owned()),
        ("a list", "[]".to_owned()),
        ("nested too deeply", "[".repeat(200) + &"]".repeat(200)),
        ("another version", json!({"version": "3", "alerts": []}).to_string()),
        ("a version that is a number", json!({"version": 4, "alerts": []}).to_string()),
        ("no alerts", json!({"version": "4"}).to_string()),
        ("alerts that are none", json!({"version": "4", "alerts": {"0": good()}}).to_string()),
        ("an alert that is a text", events::payload(&[good(), json!("DiskFull")])),
        ("a status that is none", with("status", json!("suppressed"))),
        ("no fingerprint", without("fingerprint")),
        ("a fingerprint of something else", with("fingerprint", json!("not hexadecimal!"))),
        ("no labels", without("labels")),
        ("labels that are numbers", with("labels", json!({"alertname": 7, "service": null}))),
        ("a label without a name", with("labels", json!({"": "x"}))),
        ("a label too long", with("labels", json!({"alertname": "x".repeat(5000)}))),
        ("no beginning", without("startsAt")),
        ("a beginning that is none", with("startsAt", json!("yesterday"))),
        ("resolved without an end", with("status", json!("resolved"))),
        ("resolved before it began", events::payload(&[events::alert("0123456789abcdef", "DiskFull", &[], at(0), Some(at(-1)))])),
        ("a link that is a list", with("generatorURL", json!(["http://prometheus"]))),
        ("several mistakes", events::payload(&[json!({"status": 1, "labels": [], "startsAt": 0})])),
        ("too many alerts", events::payload(&vec![json!({}); 1001])),
    ]
}

#[tokio::test]
async fn every_refusal_says_what_is_wrong() {
    let served = Served::start("server: {max_series: 100, max_points: 10000}").await;
    let mut all = String::new();
    let mut note = |call: &str, what: &str, refusal: String| {
        let _ = writeln!(all, "{call}: {what}\n  {}\n", refusal.replace('\n', "\n  "));
    };
    for (what, request) in decompositions() {
        note("Decompose", what, told(&served.analysis().decompose(request).await.unwrap_err()));
    }
    let good = inline(vec![series("x", &[1.0, 2.0])]);
    for (what, request) in [
        ("nothing to judge", DetectAnomaliesRequest::default()),
        ("a budget below nothing", DetectAnomaliesRequest { alerts_per_day: -1.0, input: good.clone(), ..Default::default() }),
        ("a budget that is none", DetectAnomaliesRequest { alerts_per_day: f64::NAN, input: good.clone(), ..Default::default() }),
        ("a budget without end", DetectAnomaliesRequest { alerts_per_day: f64::INFINITY, input: good.clone(), ..Default::default() }),
        ("a direction that is none", DetectAnomaliesRequest { direction: 3, input: good.clone(), ..Default::default() }),
        (
            "a time outside the calendar",
            DetectAnomaliesRequest {
                detect_from: Some(ProtoTime { seconds: i64::MAX, nanos: i32::MAX }),
                input: good,
                ..Default::default()
            },
        ),
    ] {
        note("DetectAnomalies", what, told(&served.analysis().detect_anomalies(request).await.unwrap_err()));
    }
    for (what, events) in publications() {
        note("PublishEvents", what, told(&served.events().publish_events(PublishEventsRequest { events }).await.unwrap_err()));
    }
    for (what, request) in [
        ("a page of less than nothing", ListEventsRequest { page_size: -1, ..Default::default() }),
        ("a page too large", ListEventsRequest { page_size: 1001, ..Default::default() }),
        ("a token of its own making", ListEventsRequest { page_token: "<script>".to_owned(), ..Default::default() }),
        ("a kind that is none", ListEventsRequest { kind: 99, ..Default::default() }),
    ] {
        note("ListEvents", what, told(&served.events().list_events(request).await.unwrap_err()));
    }
    for (what, request) in [
        ("a page of less than nothing", ListIncidentsRequest { page_size: i32::MIN, ..Default::default() }),
        ("a token of another list", ListIncidentsRequest { page_token: "AAAA".to_owned(), ..Default::default() }),
        ("a state that is none", ListIncidentsRequest { state: 9, ..Default::default() }),
    ] {
        note("ListIncidents", what, told(&served.incidents().list_incidents(request).await.unwrap_err()));
    }
    for (what, id) in [("no id", String::new()), ("no such incident", "x".repeat(200))] {
        note("GetIncident", what, told(&served.incidents().get_incident(GetIncidentRequest { id }).await.unwrap_err()));
    }
    for (what, name) in [("no name", ""), ("no such monitor", "latency; DROP TABLE incidents")] {
        let request = GetMonitorRequest { name: name.to_owned() };
        note("GetMonitor", what, told(&served.monitors().get_monitor(request).await.unwrap_err()));
    }
    let request = ListMonitorsRequest { page_size: 5000, ..Default::default() };
    note("ListMonitors", "a page too large", told(&served.monitors().list_monitors(request).await.unwrap_err()));
    let request = DiscoverMonitorsRequest {};
    note("DiscoverMonitors", "no Prometheus", told(&served.monitors().discover_monitors(request).await.unwrap_err()));

    let page = ListEventsRequest { page_size: 7, ..Default::default() };
    note("a method", "there is none", raw(&served, "/bellwether.v1.EventService/Forget", page.clone()).await);
    note("a service", "there is none", raw(&served, "/bellwether.v1.NoService/ListEvents", page.clone()).await);
    // A number stands where messages belong.
    note("PublishEvents", "another message", raw(&served, "/bellwether.v1.EventService/PublishEvents", page).await);
    let bytes = Point { time: None, value: f64::from_bits(u64::MAX) };
    note(
        "ListMonitors",
        "another message",
        raw(&served, "/bellwether.v1.MonitorService/ListMonitors", GetMonitorRequest { name: "x".to_owned() }).await,
    );
    note("Decompose", "another message", raw(&served, "/bellwether.v1.AnalysisService/Decompose", bytes).await);

    for (what, body) in payloads() {
        let (status, answer) = served.post(body).await;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{what}: {e}: {answer}"));
        let code = answer["code"].as_str().unwrap_or_else(|| panic!("{what} is taken: {answer}"));
        let mut refusal = format!("{status} {code}: {}", answer["error"].as_str().unwrap());
        for violation in answer["violations"].as_array().unwrap() {
            let _ = write!(refusal, "\n  {}: {}", violation["field"].as_str().unwrap(), violation["description"].as_str().unwrap());
        }
        note("POST /webhook/alertmanager", what, refusal);
    }
    let got = served.get("/webhook/alertmanager").await;
    note("GET /webhook/alertmanager", "a method that it has not", format!("{} allow {}", got.0, got.1["allow"].to_str().unwrap()));
    insta::assert_snapshot!(all);
    // Whatever was sent, nothing of it is kept, and it serves on.
    assert_eq!(served.events().list_events(ListEventsRequest::default()).await.unwrap().into_inner().events, []);
    served.stop().await;
}
