use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::clock::{Clock, DurationMs};
use crate::engine::{Config, sample};
use crate::guard::Guards;

const MINUTE: DurationMs = DurationMs::from_secs(60);
/// Scrapes are missed for four minutes from here on.
const GAP: i64 = 500;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(1_769_846_400_000) + MINUTE * minute
}

/// How many samples the range of five minutes before a minute has.
fn count(minute: i64) -> f64 {
    (minute - 4..=minute).filter(|m| !(GAP..GAP + 4).contains(m)).count() as f64
}

/// A rate of about 100, and what is left of it where scrapes were missed.
fn rate(minute: i64) -> f64 {
    (100.0 + ((minute * 7919) % 101) as f64 / 50.0) * if count(minute) < 4.0 { 0.4 } else { 1.0 }
}

/// A Prometheus that knows one service, and counts samples only while it `counts`.
async fn served(counts: Arc<AtomicBool>) -> MockServer {
    let server = MockServer::start().await;
    let answer = move |request: &Request| {
        let body = reqwest::Url::parse(&format!("http://form/?{}", String::from_utf8_lossy(&request.body))).unwrap();
        let form: BTreeMap<String, String> = body.query_pairs().into_owned().collect();
        let minute = |name: &str| ((form[name].parse::<f64>().unwrap() - at(0).seconds()) / 60.0) as i64;
        let counting = form["query"].contains("count_over_time");
        if counting && !counts.load(Ordering::Relaxed) {
            return ResponseTemplate::new(422).set_body_json(json!({"status": "error", "errorType": "execution", "error": "too much"}));
        }
        let value = |m: i64| json!([at(m).seconds(), (if counting { count(m) } else { rate(m) }).to_string()]);
        let values: Vec<_> = (minute("start")..=minute("end")).map(value).collect();
        let series = json!({"metric": {"service": "cart"}, "values": values});
        ResponseTemplate::new(200).set_body_json(json!({"status": "success", "data": {"resultType": "matrix", "result": [series]}}))
    };
    Mock::given(path("/api/v1/query_range")).respond_with(answer).mount(&server).await;
    server
}

/// An engine that watches it with these guards, at a minute.
async fn start(folder: &std::path::Path, server: &MockServer, minute: i64, guards: Guards) -> (Engine, Evaluation) {
    let query = "sum by (service) (rate(x_total[5m]))".to_owned();
    let monitor = Monitor { name: "rates".to_owned(), query, window: MINUTE * 400, guards, ..Monitor::ad_hoc(MINUTE, None) };
    let config = Config { monitors: vec![monitor.clone()], ..sample::config() };
    let engine = sample::engine(config, folder, Arc::new(Clock::manual(at(minute))), Some(&server.uri())).await;
    let evaluation = Evaluation::new(engine.clone(), monitor);
    (engine, evaluation)
}

/// What the evaluations of some minutes show: the minute, why its value is none, whether it is anomalous, and warnings.
async fn shown(engine: &Engine, evaluation: &mut Evaluation, minutes: std::ops::Range<i64>) -> Vec<(i64, String, bool, Vec<String>)> {
    let mut all = Vec::new();
    for minute in minutes {
        engine.clock().set(at(minute));
        evaluation.run().await.unwrap();
        let status = engine.monitor("rates").unwrap();
        let series = &status.series[0];
        let ill = series.state == crate::engine::status::SeriesState::Anomalous;
        all.push((minute, series.suppressed.clone().unwrap_or_default(), ill, status.warnings.clone()));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_of_missed_scrapes_are_no_measurements() {
    let (folder, server) = (tempfile::tempdir().unwrap(), served(Arc::new(AtomicBool::new(true))).await);
    let (engine, mut evaluation) = start(folder.path(), &server, GAP - 3, Guards::default()).await;
    for (minute, why, ill, warnings) in shown(&engine, &mut evaluation, GAP - 3..GAP + 14).await {
        assert!(!ill, "at {minute}");
        if count(minute) < 4.0 {
            let expected = format!("scrapes of its range were missed, which has {} of 5 samples, so it is no measurement", count(minute));
            assert_eq!(why, expected, "at {minute}");
            let warning = "missed_scrapes: 1 values of 1 series are no measurements and count as missing, such as of";
            assert!(warnings.len() == 1 && warnings[0].starts_with(warning) && warnings[0].ends_with(&expected), "{warnings:?}");
        } else {
            assert_eq!((why.as_str(), warnings.as_slice()), ("", &[][..]), "at {minute}");
        }
    }
    // A start in the middle of it counts what was before.
    let folder = tempfile::tempdir().unwrap();
    let (engine, mut evaluation) = start(folder.path(), &server, GAP + 5, Guards::default()).await;
    evaluation.run().await.unwrap();
    assert!(engine.monitor("rates").unwrap().series[0].suppressed.as_ref().unwrap().contains("2 of 5 samples"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_guard_or_the_samples_they_are_trouble() {
    let counts = Arc::new(AtomicBool::new(false));
    let server = served(Arc::clone(&counts)).await;
    let folder = tempfile::tempdir().unwrap();
    let (engine, mut evaluation) = start(folder.path(), &server, GAP - 3, Guards::default()).await;
    let shown_without = shown(&engine, &mut evaluation, GAP - 3..GAP + 5).await;
    assert!(shown_without.iter().any(|(_, _, ill, _)| *ill), "{shown_without:?}");
    let unread = "missed_scrapes: the samples cannot be counted and no scrape is taken for missed: ";
    assert!(shown_without.iter().all(|(_, why, _, warnings)| why.is_empty() && warnings[0].starts_with(unread)), "{shown_without:?}");
    // Once they can be counted, those before are too.
    counts.store(true, Ordering::Relaxed);
    let (_, why, _, warnings) = shown(&engine, &mut evaluation, GAP + 5..GAP + 6).await.remove(0);
    assert!(why.contains("2 of 5 samples") && warnings[0].starts_with("missed_scrapes: 1 values"), "{why}: {warnings:?}");

    let folder = tempfile::tempdir().unwrap();
    let off = Guards { missed_scrapes: false, ..Guards::default() };
    let (engine, mut evaluation) = start(folder.path(), &server, GAP - 3, off).await;
    let shown = shown(&engine, &mut evaluation, GAP - 3..GAP + 14).await;
    assert!(shown.iter().any(|(_, _, ill, _)| *ill), "{shown:?}");
    assert!(shown.iter().all(|(_, why, _, warnings)| why.is_empty() && warnings.is_empty()), "{shown:?}");
}
