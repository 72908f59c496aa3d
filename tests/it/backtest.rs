//! The backtest on a real Prometheus that remembers alerts, from the command line and over gRPC.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::process::{Command, Stdio};

use bellwether::clock::{Clock, DurationMs, Timestamp};
use bellwether::proto::run_backtest_request::Past;
use bellwether::proto::run_backtest_response::Content;
use bellwether::proto::{AlertComparison, BacktestReport, PrometheusPast, RunBacktestRequest};
use serde_json::Value;
use tempfile::TempDir;

use crate::api::{Served, millis, time};
use crate::servers::{self, Prometheus};

const STEP: DurationMs = DurationMs::from_secs(60);
const DAYS: i64 = 10;
const DAY: i64 = 1440;
/// When `payment` is slow, and when `cart` is; in minutes, an hour each.
const PAYMENT: i64 = 8 * DAY + 600;
const CART: i64 = 9 * DAY + 300;
const LASTS: i64 = 60;
const MONITORS: &str = "monitors: [{name: latency, query: shop_latency_seconds, metric: latency, unit: seconds, window: 4d}]\n";

/// The latency of three services, and what their people's rules made of it: one alert for `payment`, none for `cart`,
/// and two disks that alert every other hour.
fn history(start: Timestamp) -> String {
    let mut text = "# TYPE shop_latency_seconds gauge\n".to_owned();
    let at = |minute: i64| (start + STEP * minute).seconds();
    // A linear congruence is noise enough, and the same everywhere.
    let mut state = 42_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24) - 0.5
    };
    for (service, slow) in [("cart", Some(CART)), ("payment", Some(PAYMENT)), ("search", None)] {
        for i in 0..=DAYS * DAY {
            let high = slow.is_some_and(|from| (from..from + LASTS).contains(&i));
            let value = 0.2 + 0.05 * (TAU * i as f64 / DAY as f64).sin() + 0.02 * noise() + if high { 0.3 } else { 0.0 };
            let _ = writeln!(text, "shop_latency_seconds{{service=\"{service}\"}} {value} {}", at(i));
        }
    }
    let _ = writeln!(text, "# TYPE ALERTS gauge");
    let mut alert = |labels: &str, state: &str, minutes: std::ops::Range<i64>| {
        for i in minutes {
            let _ = writeln!(text, "ALERTS{{{labels},alertstate=\"{state}\"}} 1 {}", at(i));
        }
    };
    let payment = "alertname=\"PaymentSlow\",service=\"payment\",severity=\"page\"";
    alert(payment, "firing", PAYMENT + 10..PAYMENT + LASTS + 5);
    alert(payment, "pending", PAYMENT..PAYMENT + 10);
    for node in ["node-1:9100", "node-2:9100"] {
        let labels = format!("alertname=\"DiskFull\",instance=\"{node}\",job=\"node\"");
        (0..DAYS * 12).for_each(|i| alert(&labels, "firing", i * 120..i * 120 + 10));
    }
    text + "# EOF\n"
}

/// A Prometheus over that history, and when it began.
fn prometheus(dir: &TempDir) -> (Prometheus, Timestamp) {
    let (text, tsdb) = (dir.path().join("history.txt"), dir.path().join("tsdb"));
    let start = Clock::System.now().align_down(STEP) - DurationMs::DAY * DAYS;
    std::fs::write(&text, history(start)).unwrap();
    servers::write_history(&text, &tsdb);
    (Prometheus::start(&tsdb, &[]), start)
}

/// Whether an instant is at one of the minutes after `start`, give or take some.
fn near(ms: i64, start: Timestamp, minute: i64) -> bool {
    (ms - (start + STEP * minute).millis()).abs() <= 5 * STEP.millis()
}

#[test]
fn the_command_holds_what_it_would_have_raised_against_the_alerts() {
    let dir = tempfile::tempdir().unwrap();
    let (server, start) = prometheus(&dir);
    let (config, out) = (dir.path().join("bellwether.yaml"), dir.path().join("results"));
    std::fs::write(&config, format!("prometheus: {{url: '{}'}}\n{MONITORS}", server.url())).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_bellwether"))
        .args(["backtest", "--prometheus", &server.url(), "--range", "5d", "--per-day", "0.1"])
        .args(["--config".as_ref(), config.as_os_str(), "--out".as_ref(), out.as_os_str()])
        .env_clear()
        .env("COLUMNS", "120")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, wrong) = (String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap());
    assert!(run.status.success(), "{wrong}");

    let summary: Value = serde_json::from_str(&std::fs::read_to_string(out.join("summary.json")).unwrap()).unwrap();
    let comparison = &summary["comparison"];
    let number = |path: &str| summary.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path} in {summary:#}"));
    // 24 a day of the disks, and the one that mattered.
    let fired = number("/comparison/fired");
    assert!((120.0..=123.0).contains(&fired) && number("/comparison/things") == 3.0 && number("/comparison/days") == 5.0, "{comparison:#}");
    let names = |path: &str| -> Vec<&str> {
        let groups = summary.pointer(path).and_then(Value::as_array).unwrap();
        groups.iter().map(|group| group["alertname"].as_str().unwrap()).collect()
    };
    assert_eq!(names("/comparison/both/alerts/groups"), ["PaymentSlow"]);
    assert_eq!(names("/comparison/only_yours/groups"), ["DiskFull"]);
    assert_eq!(number("/comparison/both/alerts/count") + number("/comparison/only_yours/count"), fired);
    let when = |path: &str| -> BTreeMap<String, i64> {
        let listed = summary.pointer(path).and_then(Value::as_array).unwrap();
        let one = |raised: &Value| {
            let from: Timestamp = raised["from"].as_str().unwrap().parse().unwrap();
            (raised["services"][0].as_str().unwrap().to_owned(), from.millis())
        };
        listed.iter().map(one).collect()
    };
    assert!(near(when("/comparison/both/incidents/listed")["payment"], start, PAYMENT), "{comparison:#}");
    assert!(near(when("/comparison/only_ours/listed")["cart"], start, CART), "{comparison:#}");
    assert!(number("/comparison/incidents") <= 4.0, "{comparison:#}");
    assert_eq!((number("/totals/series"), number("/totals/series_judged")), (3.0, 3.0));
    assert_eq!(number("/settings/budget_per_day"), 0.1);

    assert!(said.starts_with("Your rules fired 24") && said.contains("a day on 3 things; Bellwether would have raised"), "{said}");
    assert!(
        said.contains("DiskFull") && said.contains("PaymentSlow") && said.contains("1 monitors with 3 series, 3 of them judged"),
        "{said}"
    );
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("Your rules fired 24") && page.contains("<svg"), "{} bytes of report", page.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (server, start) = prometheus(&dir);
    let served = Served::start(&format!("prometheus: {{url: '{}'}}\nalert_budget: {{per_day: 0.1}}\n{MONITORS}", server.url())).await;
    let past = PrometheusPast { start: Some(time(start + DurationMs::DAY * 5)), ..Default::default() };
    let request = RunBacktestRequest { past: Some(Past::Prometheus(past)), ..Default::default() };
    let mut answers = served.backtests().run_backtest(request).await.unwrap().into_inner();
    let mut last = None;
    let mut told = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        told += usize::from(matches!(answer.content, Some(Content::Progress(_))));
        last = answer.content;
    }
    let Some(Content::Report(BacktestReport { comparison: Some(comparison), monitors, .. })) = last else { panic!("{last:?}") };
    assert!(told > 0);
    assert_eq!((monitors[0].series, monitors[0].judged_series), (3, 3));
    let AlertComparison { fired, things, both_alerts, both_incidents, only_yours, only_ours, .. } = comparison.clone();
    assert!((120..=123).contains(&fired) && things == 3, "{comparison:#?}");
    let names = |alerts: Option<bellwether::proto::ComparedAlerts>| -> Vec<String> {
        alerts.unwrap().groups.into_iter().map(|group| group.alertname).collect()
    };
    assert_eq!((names(both_alerts), names(only_yours)), (vec!["PaymentSlow".to_owned()], vec!["DiskFull".to_owned()]));
    let is = |raised: &bellwether::proto::RaisedIncident, service: &str, minute| {
        raised.services == [service.to_owned()] && near(millis(raised.start), start, minute)
    };
    assert!(both_incidents.unwrap().listed.iter().any(|raised| is(raised, "payment", PAYMENT)), "{comparison:#?}");
    assert!(only_ours.unwrap().listed.iter().any(|raised| is(raised, "cart", CART)), "{comparison:#?}");
    assert!(comparison.spoken.starts_with("Your rules fired 24"), "{}", comparison.spoken);
    served.stop().await;
}
