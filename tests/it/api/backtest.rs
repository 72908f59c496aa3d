//! `BacktestService`, with series in the request and from Prometheus.

use std::f64::consts::TAU;

use bellwether::proto::run_backtest_request::Past;
use bellwether::proto::run_backtest_response::Content;
use bellwether::proto::{BacktestProgress, BacktestReport, InlinePast, LabelledStretch, PrometheusPast, RunBacktestRequest};
use tonic::Code;

use super::*;

/// Values a day at one every ten minutes.
const DAY: usize = 144;

/// A daily rhythm with a little noise, `days` long, and 60 above it in `high`.
fn rhythm(days: usize, high: std::ops::Range<usize>) -> Vec<f64> {
    // A linear congruence is noise enough, and the same everywhere.
    let mut state = 42_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24) - 0.5
    };
    let mut value = |i: usize| 100.0 + 20.0 * (TAU * i as f64 / DAY as f64).sin() + 4.0 * noise();
    (0..days * DAY).map(|i| value(i) + if high.contains(&i) { 60.0 } else { 0.0 }).collect()
}

fn stretch(series: i32, places: std::ops::Range<i64>) -> LabelledStretch {
    LabelledStretch { series, start: Some(time(at(places.start * 10))), end: Some(time(at((places.end - 1) * 10))) }
}

fn given(series: Vec<proto::Series>, labels: Vec<LabelledStretch>) -> RunBacktestRequest {
    let past = InlinePast { series: Some(InlineSeries { series, step: None }), labels };
    RunBacktestRequest { past: Some(Past::Inline(past)), alerts_per_day: 0.1, ..Default::default() }
}

fn prometheus(past: PrometheusPast) -> RunBacktestRequest {
    RunBacktestRequest { past: Some(Past::Prometheus(past)), ..Default::default() }
}

/// Everything that a backtest says: first how far it is, then what came of it.
async fn run(served: &Served, request: RunBacktestRequest) -> Result<(Vec<BacktestProgress>, BacktestReport), Status> {
    let mut answers = served.backtests().run_backtest(request).await?.into_inner();
    let mut progress = Vec::new();
    while let Some(answer) = answers.message().await? {
        match answer.content {
            Some(Content::Progress(one)) => progress.push(one),
            Some(Content::Report(report)) => {
                assert_eq!(answers.message().await?, None, "the report is the last message");
                return Ok((progress, report));
            }
            None => panic!("an empty message"),
        }
    }
    panic!("no report after {progress:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn series_are_held_against_their_labels() {
    let served = Served::start("").await;
    let high = 13 * DAY..13 * DAY + 9;
    let (from, to) = (high.start as i64, high.end as i64);
    let series = vec![
        series("spiky", &rhythm(14, high)),
        series("calm", &rhythm(14, 0..0)),
        series("short", &[1.0; 9]),
        series("flat", &[5.0; 900]),
    ];
    // Two stretches that overlap are one.
    let labels = vec![stretch(0, from + 3..to), stretch(0, from..from + 5)];
    let (progress, report) = run(&served, given(series.clone(), labels)).await.unwrap();
    let names: Vec<_> = report.series.iter().map(|s| s.labels["__name__"].as_str()).collect();
    assert_eq!(names, ["spiky", "calm", "short", "flat"]);
    assert_eq!((millis(report.start), millis(report.end)), (at(0).millis(), at(14 * 1440).millis()));
    assert_eq!((report.alerts_per_day, report.monitors.len(), report.comparison.as_ref()), (0.1, 0, None));

    let [spiky, calm, short, flat] = report.series.as_slice() else { panic!("{names:?}") };
    let Some(finding) = spiky.findings.first() else { panic!("nothing was found") };
    assert!((millis(finding.onset) - at(from * 10).millis()).abs() <= 1_200_000, "{finding:?}");
    assert!(spiky.points == 14 * DAY as i64 && spiky.judged_points > 1000 && spiky.judged_points < spiky.points);
    let measures = spiky.measures.as_ref().unwrap();
    assert_eq!((measures.segments, measures.detected, measures.recall), (1, 1, Some(1.0)));
    assert_eq!((measures.right_findings + measures.false_findings) as usize, spiky.findings.len());
    assert!(measures.right_findings >= 1 && measures.precision.unwrap() > 0.3, "{measures:?}");
    assert!(measures.auc_pr.unwrap() > 0.5 && measures.vus_pr.unwrap() > 0.3 && measures.event_f1.unwrap() > 0.3, "{measures:?}");
    assert!(measures.median_time_to_detect.unwrap().seconds <= 1800, "{measures:?}");
    // What cannot be measured is no zero.
    let measures = calm.measures.as_ref().unwrap();
    assert_eq!((measures.segments, measures.right_findings, measures.recall, measures.auc_pr), (0, 0, None, None));
    assert!(calm.findings.len() <= 1, "{:?}", calm.findings);
    assert!(short.cannot_say.starts_with("too short") && short.judged_points == 0, "{short:?}");
    assert!(flat.cannot_say.starts_with("flat"), "{flat:?}");
    assert!(report.incidents_count as usize == report.incidents.len() && report.incidents.iter().any(|i| i.start == finding.onset));

    assert!(progress.iter().all(|p| p.done > 0.0 && p.done <= 1.0 && p.monitor.is_empty()), "{progress:?}");
    // Without labels there is nothing to hold it against, and the findings are the same.
    let (_, unlabelled) = run(&served, given(series, Vec::new())).await.unwrap();
    assert!(unlabelled.series.iter().all(|s| s.measures.is_none()));
    assert_eq!(unlabelled.series[0].findings, spiky.findings);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_watches_is_replayed() {
    let served = Served::over_the_shop(MONITORS).await;
    let onset = shop().truth().incident.as_ref().unwrap().onset;
    let start = now() - DurationMs::DAY;
    let past = PrometheusPast { start: Some(time(start)), ..Default::default() };
    let (progress, report) = run(&served, prometheus(past.clone())).await.unwrap();
    let told: Vec<_> = report.monitors.iter().map(|m| (m.name.as_str(), m.left_out.as_str(), m.judged_series == m.series)).collect();
    assert_eq!(told, [("memory", "", true), ("pool", "", true)]);
    assert!(report.alerts_per_day == 0.1, "as configured");
    let [raised] = report.incidents.as_slice() else { panic!("{:#?}", report.incidents) };
    assert!(raised.services.contains(&"payment".to_owned()), "{raised:?}");
    assert!((millis(raised.start) - onset.millis()).abs() <= 3 * 60_000, "{raised:?} began at {onset}");
    assert_eq!(raised.end, None);
    let comparison = report.comparison.unwrap();
    assert_eq!((comparison.fired, comparison.incidents, comparison.only_ours.unwrap().listed.len()), (0, 1, 1));
    assert!(
        comparison.spoken.starts_with("No alert fired in this Prometheus; Bellwether would have raised 1 alert"),
        "{}",
        comparison.spoken
    );
    assert!(!progress.is_empty() && progress.iter().all(|p| ["memory", "pool"].contains(&p.monitor.as_str())), "{progress:?}");

    // One of them, and a query of one's own.
    let one = PrometheusPast { monitors: vec!["memory".to_owned()], ..past.clone() };
    let (_, report) = run(&served, prometheus(one)).await.unwrap();
    assert_eq!((report.monitors.len(), report.monitors[0].series, report.incidents_count), (1, 1, 0));
    let query = PrometheusPast { query: "db_connection_pool_in_use{service=\"payment\"}".to_owned(), ..past };
    let request = RunBacktestRequest { window: Some(seconds(3 * 86_400)), ..prometheus(query) };
    let (_, report) = run(&served, request).await.unwrap();
    assert_eq!((report.monitors[0].name.as_str(), report.monitors[0].series), ("", 1));
    assert!(report.incidents.iter().any(|i| (millis(i.start) - onset.millis()).abs() <= 3 * 60_000), "{:?}", report.incidents);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_at_fault_is_named() {
    let yaml = format!("server: {{max_series: 3, max_points: 20000}}\n{MONITORS}");
    let served = Served::over_the_shop(&yaml).await;
    let refused = async |request: RunBacktestRequest| {
        let status = run(&served, request).await.unwrap_err();
        let details = status.get_error_details();
        let violations = details.bad_request().map(|b| b.field_violations.clone()).unwrap_or_default();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect::<Vec<_>>().join("\n")
    };
    let ok = || vec![series("x", &[1.0, 2.0, 3.0])];
    let mut told = vec![refused(RunBacktestRequest::default()).await];
    told.push(refused(given(Vec::new(), Vec::new())).await);
    told.push(refused(given(vec![series("x", &[1.0, 2.0]); 4], Vec::new())).await);
    let labels = vec![
        stretch(1, 0..2),
        LabelledStretch { end: None, ..stretch(0, 0..2) },
        LabelledStretch { end: stretch(0, 0..2).end, ..stretch(0, 5..6) },
    ];
    told.push(refused(given(ok(), labels)).await);
    told.push(refused(RunBacktestRequest { alerts_per_day: -1.0, ..given(ok(), Vec::new()) }).await);
    told.push(refused(RunBacktestRequest { refit: Some(seconds(60)), ..given(ok(), Vec::new()) }).await);
    told.push(refused(RunBacktestRequest { window: Some(seconds(60)), ..given(ok(), Vec::new()) }).await);
    let past = PrometheusPast { start: Some(time(at(0))), end: Some(time(at(0))), ..Default::default() };
    told.push(refused(prometheus(past)).await);
    let hour = PrometheusPast { start: Some(time(now() - DurationMs::HOUR)), ..Default::default() };
    told.push(refused(prometheus(PrometheusPast { monitors: vec!["pool".to_owned(), "nobody".to_owned()], ..hour.clone() })).await);
    told.push(refused(prometheus(PrometheusPast { monitors: vec!["pool".to_owned(); 2], ..hour.clone() })).await);
    let both = PrometheusPast { query: "up".to_owned(), monitors: vec!["pool".to_owned()], ..hour.clone() };
    told.push(refused(prometheus(both)).await);
    told.push(refused(RunBacktestRequest { window: Some(seconds(86_400)), ..prometheus(hour.clone()) }).await);
    told.push(refused(prometheus(PrometheusPast { step: Some(seconds(0)), ..hour.clone() })).await);
    told.push(refused(prometheus(PrometheusPast { query: "up".to_owned(), step: Some(seconds(1)), ..hour.clone() })).await);
    let query = |query: &str| RunBacktestRequest {
        window: Some(seconds(3 * 86_400)),
        ..prometheus(PrometheusPast { query: query.to_owned(), ..hour.clone() })
    };
    told.push(refused(query("process_resident_memory_bytes")).await);
    told.push(refused(query("rate(up")).await.split(": invalid").next().unwrap().to_owned());
    insta::assert_snapshot!(told.join("\n"), @"
    past: is missing; give a `prometheus` or an `inline` past
    inline.series.series: is empty; at least one series is needed
    inline.series.series: 4 series; at most 3 are taken in one request
    inline.labels[0].series: 1 is not the place of one of 1 series, the first of which is 0
    inline.labels[1].end: is missing
    inline.labels[2].end: 2026-01-05T00:10:00Z is before the start, 2026-01-05T00:50:00Z
    alerts_per_day: -1 is not between 0 and 100000
    refit: 60s is not a duration between 1h and ten years
    window: 60s is not a duration between 2h and ten years
    prometheus.start: 2026-01-05T00:00:00Z is not before the end, 2026-01-05T00:00:00Z
    prometheus.monitors[1]: there is no monitor `nobody`; ListMonitors tells the names
    prometheus.monitors[1]: `pool` is given twice
    prometheus.monitors: are given besides a query; give one of the two
    window: is given for monitors, which have their own; leave it out, or give a query
    prometheus.step: 0s is not a duration between 1s and ten years
    prometheus.start: 1213200 points for each series; at most 20000 are taken in one request
    prometheus.query: yields 12 series; at most 3 are replayed for one monitor
    prometheus.query: Prometheus refuses it
    ");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_runs_one_and_ends_it_when_nobody_listens() {
    let (url, _asked) = limits::silent().await;
    let served = Served::start(&format!("prometheus: {{url: '{url}'}}\ndiscovery: {{enabled: false}}")).await;
    let request = prometheus(PrometheusPast { query: "up".to_owned(), ..Default::default() });
    let waiting = served.backtests().run_backtest(request.clone()).await.unwrap().into_inner();
    insta::assert_snapshot!(told(&served.backtests().run_backtest(request.clone()).await.unwrap_err()), @"
    ResourceExhausted: a backtest is under way; a server runs one at a time
      reason RESOURCE_EXHAUSTED of bellwether
      try again after 1s
    ");
    // Analyses go on beside it.
    served
        .analysis()
        .decompose(proto::DecomposeRequest { input: inline(vec![series("x", &[1.0, 2.0, 3.0])]), ..Default::default() })
        .await
        .unwrap();
    drop(waiting);
    let short = given(vec![series("x", &[1.0, 2.0, 3.0])], Vec::new());
    until("another backtest", async || run(&served, short.clone()).await.ok()).await;
    // What is refused gives its place back, too.
    for _ in 0..3 {
        assert_eq!(run(&served, RunBacktestRequest::default()).await.unwrap_err().code(), Code::InvalidArgument);
    }
    run(&served, short).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_takes_too_long_is_ended() {
    let (url, _asked) = limits::silent().await;
    let yaml = format!("prometheus: {{url: '{url}'}}\ndiscovery: {{enabled: false}}");
    let served = Served::start_with(&yaml, |config| config.server.request_timeout = DurationMs::from_millis(5)).await;
    let request = prometheus(PrometheusPast { query: "up".to_owned(), ..Default::default() });
    let status = run(&served, request).await.unwrap_err();
    insta::assert_snapshot!(told(&status), @"
    DeadlineExceeded: took longer than 300ms, which is 60 times server.request_timeout; replay less, or raise it
      reason DEADLINE_EXCEEDED of bellwether
    ");
    run(&served, given(vec![series("x", &[1.0, 2.0, 3.0])], Vec::new())).await.unwrap();
}

#[tokio::test]
async fn without_a_prometheus_only_given_series_are_replayed() {
    let served = Served::start("").await;
    let status = run(&served, prometheus(PrometheusPast { query: "up".to_owned(), ..Default::default() })).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    assert!(run(&served, given(vec![series("x", &[1.0, 2.0, 3.0])], Vec::new())).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_the_monitors_own_do_not_fit_into_is_refused() {
    let own = "alert_budget: {per_day: 2}\nmonitors:\n  - {name: a, query: up, alert_budget: {per_day: 1.5}}\n  - {name: b, query: up}\n";
    let served = Served::over_the_shop(own).await;
    let request = RunBacktestRequest { alerts_per_day: 1.0, ..prometheus(PrometheusPast::default()) };
    insta::assert_snapshot!(told(&run(&served, request).await.unwrap_err()), @r"
    InvalidArgument: alerts_per_day: is 1, and the monitors' own budgets take 1.5 of it (a 1.5); it must be more than 1.5, so that something is left for 1 monitor without one
      reason INVALID_ARGUMENT of bellwether
      alerts_per_day: is 1, and the monitors' own budgets take 1.5 of it (a 1.5); it must be more than 1.5, so that something is left for 1 monitor without one
    ");
    served.stop().await;
}
