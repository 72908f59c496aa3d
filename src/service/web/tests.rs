use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::*;
use crate::action::rails::Rail;
use crate::action::{Entry, Method, Outcome, Request, Run, RunState};
use crate::alert::Alert;
use crate::analysis::drift::Sketch;
use crate::clock::DurationMs;
use crate::delivery::{AlertState, Silence};
use crate::engine::forecasting::SeriesOutlook;
use crate::engine::histograms::FeatureHistograms;
use crate::engine::silences::Told;
use crate::event::{Event, EventKind};
use crate::feedback::{Feedback, Given, Verdict};
use crate::finding::{Direction, Evidence, Finding, FindingKind, HeldBack};
use crate::guard::Guards;
use crate::incident::{Cause, Flapping, Incident, IncidentState, Life, Priority, Repeat, Suggestion, TurnKind};
use crate::metric::{MetricKind, Unit};
use crate::monitor::{DriftPlan, ForecastPlan, Monitor, Reference};
use crate::plot::Mark;
use crate::reach::Reach;
use crate::series::Window;

const MINUTE: DurationMs = DurationMs::from_secs(60);
const EVIL: &str = "\"><script>alert('x')</script>";

fn now() -> Timestamp {
    "2026-11-20T14:25:00Z".parse().unwrap()
}

fn key(service: &str) -> SeriesKey {
    SeriesKey::new([("namespace".to_owned(), "shop".to_owned()), ("service".to_owned(), service.to_owned())])
}

fn finding(service: &str, metric: MetricKind, minutes: i64) -> Finding {
    let onset = now() - MINUTE * minutes;
    Finding {
        id: Finding::identity(metric.as_str(), &key(service), onset),
        monitor: format!("shop-{metric}-p95"),
        service: service.to_owned(),
        key: key(service),
        metric,
        unit: Unit::Seconds,
        kind: FindingKind::Deviation,
        direction: Direction::Up,
        onset,
        opened: onset,
        last_seen: now(),
        ended: None,
        value: 1.24,
        expected: 0.212,
        lower: 0.148,
        upper: 0.301,
        score: 2.37,
        p_value: 3.2e-8,
        evidence: vec![
            Evidence { detector: "residual".to_owned(), p_value: 3.2e-8, note: "1.24s is 14 robust deviations above 212ms".to_owned() },
            Evidence { detector: "isolation_forest".to_owned(), p_value: 4e-4, note: "level and slope stand alone".to_owned() },
        ],
        model: "residual v1, fitted 2026-11-20T00:00:00Z".to_owned(),
        reach: None,
        course: None,
    }
}

fn chart_of(finding: &Finding) -> FindingChart {
    let len = 720;
    let start = now() - MINUTE * (len as i64 - 1);
    let daily = |i: usize| 0.21 + 0.06 * ((i as f64 - 200.0) / 720.0 * std::f64::consts::TAU).sin();
    let noise = |i: usize| (((i * 7919 + 13) % 101) as f64 / 101.0 - 0.5) * 0.05;
    let onset = len - usize::try_from(now().since(finding.onset).millis() / 60_000).unwrap();
    let value = |i: usize| match i {
        300..330 => f64::NAN,
        i if i >= onset => daily(i) + noise(i) + 1.05 * (1.0 - (-((i - onset) as f64) / 8.0).exp()),
        i => daily(i) + noise(i),
    };
    let window = Window::new(start, MINUTE, (0..len).map(value).collect()).unwrap();
    let mut chart = Chart::new(format!("{} of {}", finding.monitor, finding.service), finding.unit, window);
    chart.expected = (0..len).map(daily).collect();
    chart.lower = (0..len).map(|i| daily(i) - 0.065).collect();
    chart.upper = (0..len).map(|i| daily(i) + 0.075).collect();
    chart.marks = vec![Mark { from: finding.onset, to: finding.last_seen, title: "above its expected band".to_owned() }];
    FindingChart { finding: finding.id.clone(), chart }
}

fn example() -> Incident {
    let event = |kind, title: &str, minutes, url: Option<&str>| Event {
        id: title.to_owned(),
        kind,
        source: "argo".to_owned(),
        title: title.to_owned(),
        description: String::new(),
        service: Some("payments".to_owned()),
        labels: BTreeMap::new(),
        starts_at: now() - MINUTE * minutes,
        ends_at: None,
        url: url.map(str::to_owned),
    };
    Incident {
        id: "i-4f1c9a02be7d3381".to_owned(),
        state: IncidentState::Open,
        severity: Severity::Critical,
        service: "checkout".to_owned(),
        monitor: "shop-latency-p95".to_owned(),
        title: "Latency of checkout is 1.24s where 212ms is expected, and payments with it".to_owned(),
        started: now() - MINUTE * 23,
        detected: now() - MINUTE * 21,
        updated: now() - MINUTE * 3,
        resolved: None,
        merged_into: None,
        life: Life::default(),
        findings: vec![finding("payments", MetricKind::Latency, 23), finding("checkout", MetricKind::Latency, 21)],
        events: vec![
            event(EventKind::Deployment, "payments 2.14.0 rolled out", 25, Some("https://argo.example.org/payments/2.14.0")),
            event(EventKind::Alert, "CheckoutSlow is firing", 17, None),
        ],
        causes: vec![
            Cause {
                id: "deployment@payments".to_owned(),
                title: "Deployment of payments 2.14.0".to_owned(),
                service: "payments".to_owned(),
                weight: 0.71,
                reason: "It went out 2 minutes before the first finding began, on the service where it began.".to_owned(),
                origin: None,
            },
            Cause {
                id: "latency-up@payments".to_owned(),
                title: "Latency of payments".to_owned(),
                service: "payments".to_owned(),
                weight: 0.29,
                reason: "It left its course 2 minutes before checkout, which calls it.".to_owned(),
                origin: None,
            },
        ],
        suggestions: vec![
            Suggestion {
                id: "latency-after-deployment".to_owned(),
                title: "Latency rose right after a deployment: compare versions, then roll back".to_owned(),
                steps: vec![
                    "Check that the slow requests are those of the new version.".to_owned(),
                    "Roll back unless the cause is plain and the fix is minutes away.".to_owned(),
                ],
                promql: vec![
                    "histogram_quantile(0.95, sum by (le, version) (rate(http_request_duration_seconds_bucket{service=\"payments\"}[5m])))"
                        .to_owned(),
                ],
                commands: vec![
                    "kubectl -n shop rollout history deployment/payments".to_owned(),
                    "kubectl -n shop rollout undo deployment/payments".to_owned(),
                ],
                runbook_url: "/runbooks/latency-after-deployment".to_owned(),
                confidence: 0.52,
                action: None,
            },
            Suggestion {
                id: "latency-flat-traffic".to_owned(),
                title: "Latency is up with flat traffic: look for a slow dependency".to_owned(),
                steps: vec!["Follow the call graph down to the slowest callee.".to_owned()],
                promql: vec![],
                commands: vec![],
                runbook_url: "https://example.org/runbooks/latency".to_owned(),
                confidence: 0.14,
                action: None,
            },
        ],
    }
}

/// An action that waits for a person, and its entry in the log, with `text` wherever a text may be.
fn acted(text: &str) -> (Run, Entry) {
    let run = Run {
        action: text.to_owned(),
        incident: text.to_owned(),
        state: RunState::Proposed,
        suggestion: text.to_owned(),
        title: text.to_owned(),
        confidence: 0.7,
        request: Some(Request { method: Method::Post, url: "http://hooks/x".to_owned(), body: format!("{{\"why\":{text:?}}}") }),
        targets: BTreeMap::new(),
        definition: String::new(),
        created: now(),
        updated: now(),
        approval: None,
        attempted: None,
        extent: None,
        stopped: None,
        held: vec![Rail::Approval],
        note: text.to_owned(),
    };
    let entry = Entry {
        id: "e-1".to_owned(),
        at: now(),
        action: text.to_owned(),
        incident: text.to_owned(),
        outcome: Outcome::Proposed,
        who: text.to_owned(),
        why: text.to_owned(),
        request: text.to_owned(),
    };
    (run, entry)
}

#[test]
fn what_waits_for_a_person_has_a_form_with_the_request() {
    let (run, entry) = acted("roll-back");
    let acting = ActionsView { runs: std::slice::from_ref(&run), log: &[entry], paused: &[] };
    let page = incident(&example(), &IncidentView { alert: None, acting, ..beside(&[], &alert(), &[]) }).into_string();
    for part in ["likely, 70 %", &run.etag(), "POST http://hooks/x", "value=\"approve\"", "value=\"reject\"", "/actions/roll-back\""] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("value=\"resume\""));
    let done = Run { state: RunState::Succeeded, ..run };
    let acting = ActionsView { runs: &[done], log: &[], paused: &[("roll-back".to_owned(), "it grew worse".to_owned())] };
    let page = incident(&example(), &IncidentView { alert: None, acting, ..beside(&[], &alert(), &[]) }).into_string();
    assert!(!page.contains("value=\"approve\"") && page.contains("value=\"resume\"") && page.contains("it grew worse"), "{page}");
    assert!(!incident(&example(), &IncidentView { alert: None, ..beside(&[], &alert(), &[]) }).into_string().contains("/actions/"));
}

fn alert() -> Alert {
    let labels =
        [("alertname", "BellwetherIncident"), ("incident", "i-4f1c9a02be7d3381"), ("service", "checkout"), ("severity", "critical")];
    Alert {
        labels: labels.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
        annotations: BTreeMap::new(),
        starts_at: now(),
        ends_at: None,
        generator_url: String::new(),
    }
}

fn watched() -> (Monitor, MonitorRow, Vec<SeriesRow>) {
    let query = "histogram_quantile(0.95, sum by (le, namespace, service) (rate(http_request_duration_seconds_bucket[5m])))".to_owned();
    let monitor = Monitor {
        name: "shop-latency-p95".to_owned(),
        query: query.clone(),
        metric: MetricKind::Latency,
        unit: Unit::Seconds,
        service: None,
        service_label: "service".to_owned(),
        step: MINUTE,
        window: DurationMs::DAY * 14,
        direction: Some(Direction::Up),
        guards: Guards::default(),
        severity: None,
        group_by: None,
        alert_budget_per_day: None,
        runbook_url: None,
        slo: None,
        forecast: None,
        drift: None,
    };
    let row = MonitorRow {
        name: monitor.name.clone(),
        query,
        series: 4,
        fitted: 3,
        cannot_say: 1,
        anomalous: 1,
        suppressed: 0,
        incidents: 2,
        last_evaluated: Some(now() - DurationMs::from_secs(41)),
        error: None,
    };
    let series = |service: &str, state, value: f64, score| SeriesRow {
        key: key(service),
        service: service.to_owned(),
        state,
        suppressed: None,
        value,
        expected: value.min(0.212),
        lower: value.min(0.212) - 0.06,
        upper: value.min(0.212) + 0.08,
        score,
        parts: Vec::new(),
    };
    let nan = f64::NAN;
    let rows = vec![
        series("checkout", SeriesState::Anomalous, 1.24, 2.37),
        series("cart", SeriesState::Expected, 0.184, 0.21),
        series("search", SeriesState::Waiting, 0.09, 0.0),
        series("loyalty", SeriesState::CannotSay("too short: 211 values, 2880 are needed".to_owned()), nan, nan),
    ];
    (monitor, row, rows)
}

fn view<'a>(summary: &'a MonitorRow, series: &'a [SeriesRow]) -> MonitorView<'a> {
    static OUTLOOK: LazyLock<Outlook> = LazyLock::new(Outlook::default);
    static DRIFT: LazyLock<Drift> = LazyLock::new(Drift::default);
    static SPENT: LazyLock<Spent> =
        LazyLock::new(|| Spent { findings: 3, incidents: 2, ids: vec!["i-4f1c9a02be7d3381".to_owned(), "i-\"><script>".to_owned()] });
    let share = Share { per_day: 9.5, series: 16 };
    MonitorView {
        summary,
        series,
        groups: &[],
        held_back: &[],
        warnings: &[],
        outlook: &OUTLOOK,
        drift: &DRIFT,
        share,
        alpha: 6.3e-5,
        spent: &SPENT,
    }
}

fn index() -> Markup {
    let mut warning = example();
    warning.severity = Severity::Warning;
    warning.service = "search".to_owned();
    warning.title = "Queue of search-indexer grows".to_owned();
    warning.causes.clear();
    warning.events.clear();
    let mut old = example();
    old.state = IncidentState::Resolved;
    old.resolved = Some(now() - MINUTE * 2);
    let (_, row, _) = watched();
    let quiet = MonitorRow {
        name: "node-cpu".to_owned(),
        query: "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m]))".to_owned(),
        series: 12,
        fitted: 12,
        cannot_say: 0,
        anomalous: 0,
        incidents: 0,
        ..row.clone()
    };
    let broken = MonitorRow {
        name: "kafka-lag".to_owned(),
        query: "sum by (topic) (kafka_consumergroup_lag)".to_owned(),
        series: 0,
        fitted: 0,
        cannot_say: 0,
        anomalous: 0,
        suppressed: 2,
        incidents: 0,
        last_evaluated: None,
        error: Some("Prometheus did not answer within 30s".to_owned()),
    };
    overview(&Overview {
        open: &[example(), warning],
        recent: &[old],
        monitors: &[row, quiet, broken],
        budget_per_day: 10.0,
        incidents: 3,
        now: now(),
    })
}

/// What a reader sees: the text of a page without its tags, a line for each block.
fn text_of(page: &Markup) -> String {
    let mut out = String::new();
    let start = page.0.find("<main").unwrap();
    let end = page.0.find("</main>").unwrap();
    for part in page.0[start..end].split('<') {
        let (tag, text) = part.split_once('>').unwrap_or(("", part));
        let inline = ["a", "b", "code", "em", "span", "strong", "time", "svg", "line", "text", "path", "rect"];
        let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
        if !inline.contains(&name) {
            out.push('\n');
        } else if tag.contains("badge") || tag.contains("service") {
            out.push(' ');
        }
        if !["text", "title"].contains(&name) {
            out.push_str(text);
        }
    }
    out.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_overview_says_what_is_wrong_and_what_is_watched() {
    insta::assert_snapshot!(text_of(&index()), @r"
    2 incidents are open
    3 monitors, 16 series · 3 incidents in 24 hours; the budget is 10 false ones a day · as of 2026-11-20 14:25 UTC
    Open incidents
    critical checkoutfor 23 minutes
    Latency of checkout is 1.24s where 212ms is expected, and payments with it
    2 findings, 2 related events · probably: Deployment of payments 2.14.0
    warning searchfor 23 minutes
    Queue of search-indexer grows
    2 findings
    What is watched
    Monitor
    Anomalous
    Series
    Fitted
    Cannot say
    Incidents in 24 h
    Last evaluated
    shop-latency-p95 histogram_quantile(0.95, sum by (le, namespace, service) (rate(http_request_duration_seconds_bucket[5m])))
    1
    4
    3
    1
    2
    41 seconds ago
    node-cpu1 - avg by (instance) (rate(node_cpu_seconds_total{mode=&quot;idle&quot;}[5m]))
    0
    12
    12
    0
    0
    41 seconds ago
    kafka-lagsum by (topic) (kafka_consumergroup_lag)Failed: Prometheus did not answer within 30s
    0 + 2 suppressed
    0
    0
    0
    0
    not yet
    Resolved lately
    critical checkoutresolved 2 minutes ago after 21 minutes
    Latency of checkout is 1.24s where 212ms is expected, and payments with it
    2 findings, 2 related events · probably: Deployment of payments 2.14.0
    ");
}

#[test]
fn an_empty_overview_says_what_to_do() {
    let page = overview(&Overview { open: &[], recent: &[], monitors: &[], budget_per_day: 10.0, incidents: 0, now: now() });
    insta::assert_snapshot!(text_of(&page), @r"
    Nothing is watched yet
    as of 2026-11-20 14:25 UTC
    What is watched
    Nothing was found to watch, or discovery has not finished. What to do:
    See what discovery makes of your Prometheus, and why it skips what it skips:
    bellwether discover --prometheus http://localhost:9090
    Write monitors of your own into a file and check it:
    bellwether check -c bellwether.yaml
    Or see it all at work on a simulated shop:
    bellwether demo
    ");
}

#[test]
fn all_is_well_only_where_something_was_judged() {
    let (_, row, _) = watched();
    let title = |row: MonitorRow| {
        text_of(&overview(&Overview { open: &[], recent: &[], monitors: &[row], budget_per_day: 10.0, incidents: 0, now: now() }))
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(title(row.clone()), "All is as expected");
    assert_eq!(title(MonitorRow { fitted: 0, ..row.clone() }), "Nothing can be said yet");
    let failed = MonitorRow { error: Some("timeout".to_owned()), ..row };
    assert_eq!(title(failed), "No incident is open, but the evaluation of 1 monitor failed");
}

/// A verdict on the example.
fn said() -> Feedback {
    let given = Given {
        incident: String::new(),
        verdict: Verdict::WrongCause,
        cause: Some("deployment@payments".to_owned()),
        suggestion: None,
        comment: "it was rolled back an hour before".to_owned(),
        author: "anna".to_owned(),
    };
    Feedback::of(given, &example(), now())
}

#[test]
fn behind_the_link_of_an_alert_everything_can_be_said() {
    let page = feedback::linked(&example(), &[said()], "i-4f1c9a02be7d3381.1767261600.ab", now());
    insta::assert_snapshot!(text_of(&page), @r"
    Feedback on incident i-4f1c9a02be7d3381
    critical checkout
    Latency of checkout is 1.24s where 212ms is expected, and payments with it
    Began Nov 20 14:02 UTC, 23 minutes ago. Open the incident
    Wrong cause: deployment@payments, said by anna at Nov 20 14:25 UTC: “it was rolled back an hour before”
    Your name
    Comment
    (both may stay empty)
    Useful
    It was worth telling.
    Noise
    It was not. Said again and again, findings like it at such times are held back.
    Expected from now on
    It is how things are now. Findings like it are held back from now on, unless they are much larger.
    Was a cause wrong?
    Wrong cause
    Deployment of payments 2.14.0
    Wrong cause
    Latency of payments
    Did a suggestion fix it?
    This fixed it
    Latency rose right after a deployment: compare versions, then roll back
    This fixed it
    Latency is up with flat traffic: look for a slow dependency
    ");
    // Every form has one place to go to, and looking at the page sends none.
    assert_eq!(
        page.0.matches("<form").count(),
        page.0.matches("method=\"post\" action=\"/feedback/i-4f1c9a02be7d3381.1767261600.ab\"").count()
    );
    insta::assert_snapshot!(text_of(&feedback::thanks(&said(), "t")), @r"
    Feedback on incident i-4f1c9a02be7d3381
    Thank you
    Wrong cause: deployment@payments, said by anna at Nov 20 14:25 UTC: “it was rolled back an hour before”
    Say more · See or take back what was said
    ");
}

fn beside<'a>(charts: &'a [FindingChart], alert: &'a Alert, told: &'a [Told]) -> IncidentView<'a> {
    IncidentView { charts, alert: Some(alert), told, acting: ActionsView::default(), feedback: &[], now: now() }
}

fn evil_silences() -> Vec<Told> {
    let silence = Silence { id: EVIL.to_owned(), created_by: EVIL.to_owned(), comment: EVIL.to_owned(), ends_at: Some(now()) };
    let told = |state| Told { alertmanager: EVIL.to_owned(), state };
    vec![told(Ok(AlertState::Silenced(vec![silence]))), told(Ok(AlertState::Inhibited)), told(Err(EVIL.to_owned()))]
}

#[test]
fn an_incident_shows_its_life() {
    let mut lived = example();
    lived.life.turn(now() - MINUTE * 21, TurnKind::Opened, "", "");
    assert!(lived.life.acknowledge("Ann", "looking into it", now() - MINUTE * 5));
    lived.life.priority = Some(Priority::P2);
    lived.life.why = "errors of checkout with a score of 2.1, which users feel; 2 services".to_owned();
    lived.life.flapping = Some(Flapping { since: now(), times: 4, pause: MINUTE, until: Some(now() + MINUTE * 30) });
    let started = now() - DurationMs::DAY * 3;
    lived.life.repeats =
        Some(Repeat { of: "inc-1".to_owned(), started, lasted: MINUTE * 20, count: 2, fixed_by: "rolled back".to_owned() });
    let silence =
        Silence { id: "s".to_owned(), created_by: "Bob".to_owned(), comment: "known".to_owned(), ends_at: Some(now() + MINUTE * 60) };
    let told = [
        Told { alertmanager: "am".to_owned(), state: Ok(AlertState::Silenced(vec![silence])) },
        Told { alertmanager: "away".to_owned(), state: Err("cannot reach it".to_owned()) },
        Told { alertmanager: "lets".to_owned(), state: Ok(AlertState::Active) },
    ];
    let page = incident(&lived, &beside(&[], &alert(), &told));
    let text = text_of(&page).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "P2 : errors of checkout with a score of 2.1",
        "The same as inc-1 , 3 days ago , resolved after 20 minutes ; it was like that 2 times before ; what fixed it: rolled back",
        "It comes and goes: it came back 4 times and is held open until",
        "silenced until",
        "by Bob : known (in am )",
        "Whether away silences it is not known: cannot reach it",
        "Acknowledged by Ann 5 minutes ago : looking into it",
        "It was acknowledged by Ann : looking into it",
    ] {
        assert!(text.contains(part) || text.replace(' ', "").contains(&part.replace(' ', "")), "no `{part}` in {text}");
    }
    assert!(page.0.contains("name=\"undo\" value=\"yes\"") && page.0.contains("method=\"post\""), "{}", page.0);
    lived.state = IncidentState::Resolved;
    assert!(!incident(&lived, &beside(&[], &alert(), &[])).0.contains("/acknowledge"), "what is over needs nobody");
}

#[test]
#[expect(clippy::too_many_lines, reason = "the page is long")]
fn an_incident_reads_from_top_to_bottom() {
    let charts: Vec<_> = example().findings.iter().map(chart_of).collect();
    let page = incident(&example(), &IncidentView { feedback: &[said()], ..beside(&charts, &alert(), &[]) });
    assert_eq!(page.0.matches("<svg class=\"chart\"").count(), 2);
    insta::assert_snapshot!(text_of(&page), @r"
    Overview / incident i-4f1c9a02be7d3381
    open critical checkout
    Latency of checkout is 1.24s where 212ms is expected, and payments with it
    Began
    Nov 20 14:02 UTC
    Lasts
    23 minutes
    Noticed after
    2 minutes
    Last change
    3 minutes ago
    Opened by
    shop-latency-p95
    Name
    Comment
    Acknowledge
    Likely causes
    71%
    Deployment of payments 2.14.0  payments
    It went out 2 minutes before the first finding began, on the service where it began.
    Wrong cause
    29%
    Latency of payments  payments
    It left its course 2 minutes before checkout, which calls it.
    Wrong cause
    What to do next
    Latency rose right after a deployment: compare versions, then roll back about as likely as not, 52 %
    Check that the slow requests are those of the new version.
    Roll back unless the cause is plain and the fix is minutes away.
    Look at
    histogram_quantile(0.95, sum by (le, version) (rate(http_request_duration_seconds_bucket{service=&quot;payments&quot;}[5m])))
    Run
    kubectl -n shop rollout history deployment/payments
    kubectl -n shop rollout undo deployment/payments
    Open the runbook
    This fixed it
    Latency is up with flat traffic: look for a slow dependency worth a look, 14 %
    Follow the call graph down to the slowest callee.
    Open the runbook
    This fixed it
    Was this worth telling?
    Undo
    Wrong cause: deployment@payments, said by anna at Nov 20 14:25 UTC: “it was rolled back an hour before”
    Your name
    Comment
    (both may stay empty)
    Useful
    It was worth telling.
    Noise
    It was not. Said again and again, findings like it at such times are held back.
    Expected from now on
    It is how things are now. Findings like it are held back from now on, unless they are much larger.
    Evidence
    latency of payments shop-latency-p95
    1.24s where 212ms was expected, between 148ms and 301ms. Above its expected band since Nov 20 14:02 UTC, 23 minutes.
    valueexpectedanomalousshop-latency-p95 of payments
    Score
    2.37 anomalous above 1
    By chance
    once in 31,000,000
    State
    lasts
    residual 1.24s is 14 robust deviations above 212ms (by chance once in 31,000,000)
    isolation_forest level and slope stand alone (by chance once in 2,500)
    Series and model
    {namespace=&quot;shop&quot;,service=&quot;payments&quot;}
    Judged by residual v1, fitted 2026-11-20T00:00:00Z, p-value 3.20e-8
    latency of checkout shop-latency-p95
    1.24s where 212ms was expected, between 148ms and 301ms. Above its expected band since Nov 20 14:04 UTC, 21 minutes.
    valueexpectedanomalousshop-latency-p95 of checkout
    Score
    2.37 anomalous above 1
    By chance
    once in 31,000,000
    State
    lasts
    residual 1.24s is 14 robust deviations above 212ms (by chance once in 31,000,000)
    isolation_forest level and slope stand alone (by chance once in 2,500)
    Series and model
    {namespace=&quot;shop&quot;,service=&quot;checkout&quot;}
    Judged by residual v1, fitted 2026-11-20T00:00:00Z, p-value 3.20e-8
    Timeline
    Nov 20 14:00:00
    deployment payments 2.14.0 rolled out  payments
    Nov 20 14:02:00
    latency of payments left its course
    Nov 20 14:04:00
    latency of checkout left its course
    Nov 20 14:04:00
    The incident was opened
    Nov 20 14:08:00
    alert CheckoutSlow is firing  payments
    The alert's labels
    alertname
    BellwetherIncident
    incident
    i-4f1c9a02be7d3381
    service
    checkout
    severity
    critical
    ");
}

#[test]
fn a_monitor_shows_its_series() {
    let (watched, row, series) = watched();
    insta::assert_snapshot!(text_of(&monitor(&watched, &view(&row, &series), now())), @r"
    Overview / monitor
    shop-latency-p95
    histogram_quantile(0.95, sum by (le, namespace, service) (rate(http_request_duration_seconds_bucket[5m])))
    Measures
    latency, in seconds
    Evaluated
    every 1m
    Learns from
    2w
    Direction
    up
    Last evaluated
    41 seconds ago
    Alert budget
    9.5 false incidents a day shared with the others, over 16 series: p-values below 6.3e-5 are anomalous
    4 series: 1 anomalous, 1 cannot say
    Series
    State
    Last value
    Expected
    Between
    Score
    checkout {namespace=&quot;shop&quot;,service=&quot;checkout&quot;}
    anomalous
    1.24s
    212ms
    152ms to 292ms
    2.37
    cart {namespace=&quot;shop&quot;,service=&quot;cart&quot;}
    as expected
    184ms
    184ms
    124ms to 264ms
    0.21
    search {namespace=&quot;shop&quot;,service=&quot;search&quot;}
    waiting
    90ms
    90ms
    30ms to 170ms
    0.00
    loyalty {namespace=&quot;shop&quot;,service=&quot;loyalty&quot;}
    cannot saytoo short: 211 values, 2880 are needed
    –
    212ms
    152ms to 292ms
    –
    What the budget was spent on
    3 findings in 2 incidents in the last 24 hours:
    i-4f1c9a02be7d3381
    i-&quot;&gt;&lt;script&gt;
    ");
}

#[test]
fn a_monitor_shows_what_it_may_spend_and_what_it_spent() {
    let (mut watched, row, series) = watched();
    let spent = Spent { findings: 9, incidents: 4, ids: vec!["i-1".to_owned(), "i-2".to_owned()] };
    let page = |watched: &Monitor, view: &MonitorView| text_of(&monitor(watched, view, now()));
    let shared = page(&watched, &view(&row, &series));
    assert!(
        shared.contains("9.5 false incidents a day shared with the others, over 16 series: p-values below 6.3e-5 are anomalous"),
        "{shared}"
    );
    watched.alert_budget_per_day = Some(0.5);
    watched.group_by = Some(vec!["zone".to_owned()]);
    let own = MonitorView { share: Share { per_day: 0.5, series: 4 }, alpha: f64::NAN, spent: &spent, ..view(&row, &series) };
    let text = page(&watched, &own);
    for part in [
        "0.5 false incidents a day of its own, over 4 series\n",
        "series of the same zone",
        "9 findings in 4 incidents in the last 24 hours:\ni-1\ni-2\nand 2 more",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let text = page(&watched, &MonitorView { spent: &Spent::default(), ..own });
    assert!(text.contains("Nothing was found in the last 24 hours."), "{text}");
}

#[test]
fn a_monitor_shows_what_its_guards_hold_back() {
    let (mut watched, mut row, mut series) = watched();
    watched.guards = Guards { least_deviation: Some(0.5), ..Guards::default() };
    (row.anomalous, row.suppressed) = (0, 1);
    let reason = "deviation 300ms is under the least absolute deviation 500ms";
    (series[0].state, series[0].suppressed) = (SeriesState::Suppressed, Some(reason.to_owned()));
    let held = HeldBack { finding: finding("checkout", MetricKind::Latency, 21), suppressed: reason.to_owned() };
    let (held, warnings) = ([held], ["valid: 3 values".to_owned()]);
    let view = MonitorView { held_back: &held, warnings: &warnings, ..view(&row, &series) };
    let page = monitor(&watched, &view, now());
    assert!(page.0.contains("class=\"panel finding suppressed\""));
    let text = text_of(&page);
    for part in [
        "deviations under 500ms",
        "0 anomalous, 1 cannot say, 1 suppressed",
        "Warning: valid: 3 values",
        "since Nov 20 14:04 UTC, 21 minutes.",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(text.matches(&format!("suppressed: {reason}")).count(), 2, "{text}");
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let mut bad = example();
    bad.title = EVIL.to_owned();
    bad.id = EVIL.to_owned();
    bad.service = EVIL.to_owned();
    bad.monitor = EVIL.to_owned();
    for finding in &mut bad.findings {
        finding.id = EVIL.to_owned();
        finding.key = SeriesKey::new([("path".to_owned(), EVIL.to_owned())]);
        finding.evidence[0].note = EVIL.to_owned();
    }
    bad.events[0].title = EVIL.to_owned();
    bad.events[0].url = Some("javascript:alert(1)".to_owned());
    bad.causes[0].reason = EVIL.to_owned();
    bad.suggestions[0].commands = vec![EVIL.to_owned()];
    bad.suggestions[0].runbook_url = " javascript:alert(1)".to_owned();
    bad.life.acknowledge(EVIL, EVIL, now());
    (bad.life.priority, bad.life.why) = (Some(Priority::P1), EVIL.to_owned());
    bad.life.repeats = Some(Repeat { of: EVIL.to_owned(), started: now(), lasted: MINUTE, count: 1, fixed_by: EVIL.to_owned() });
    let mut drawn = chart_of(&bad.findings[0]);
    drawn.chart.title = EVIL.to_owned();
    drawn.chart.marks[0].title = EVIL.to_owned();
    let mut told = alert();
    told.labels.insert(EVIL.to_owned(), EVIL.to_owned());
    let (mut watched, mut row, mut series) = watched();
    watched.query = EVIL.to_owned();
    row.name = EVIL.to_owned();
    row.error = Some(EVIL.to_owned());
    series[3].state = SeriesState::CannotSay(EVIL.to_owned());
    series[0].key = SeriesKey::new([("path".to_owned(), EVIL.to_owned())]);
    let (run, entry) = acted(EVIL);
    let acting = ActionsView { runs: &[run], log: &[entry], paused: &[(EVIL.to_owned(), EVIL.to_owned())] };
    bad.causes[0].id = EVIL.to_owned();
    let mut said = said();
    (said.author, said.comment, said.cause) = (EVIL.to_owned(), EVIL.to_owned(), Some(EVIL.to_owned()));
    let pages = [
        feedback::linked(&bad, std::slice::from_ref(&said), EVIL, now()),
        feedback::thanks(&said, EVIL),
        incident(&bad, &IncidentView { acting, feedback: std::slice::from_ref(&said), ..beside(&[drawn], &told, &evil_silences()) }),
        overview(&Overview {
            open: &[bad.clone()],
            recent: &[bad],
            monitors: &[row.clone()],
            budget_per_day: 10.0,
            incidents: 1,
            now: now(),
        }),
        monitor(&watched, &view(&row, &series), now()),
        runbook(EVIL, EVIL),
        error(404, EVIL),
    ];
    for Markup { 0: page, .. } in pages {
        assert!(!page.contains("<script") && !page.contains("=\"javascript:") && !page.contains("=\" javascript:"), "{page}");
        assert!(page.contains("&lt;script&gt;"));
        assert!(!page.contains(" style=\""), "the policy allows no inline style");
    }
}

#[test]
fn only_safe_links_are_links() {
    for (url, safe) in [
        ("https://example.org", true),
        ("HTTP://example.org", true),
        ("/runbooks/x", true),
        ("//example.org", false),
        ("/\\example.org", false),
        ("javascript:alert(1)", false),
        ("data:text/html,x", false),
        ("", false),
    ] {
        assert_eq!(link_target(url).is_some(), safe, "{url}");
    }
    assert_eq!(monitor_path("a/b c\"é"), "/monitors/a%2Fb%20c%22%C3%A9");
}

#[test]
fn an_error_says_what_and_leads_back() {
    insta::assert_snapshot!(text_of(&error(404, "No incident has the id `i-1`.")), @r"
    Error 404
    There is no such page
    No incident has the id `i-1`.
    Back to the overview
    ");
}

/// `cargo test --lib web::tests::show -- --ignored` writes the pages to `$TMPDIR/bellwether-pages`.
#[test]
#[ignore = "for looking at"]
fn show() {
    let folder = std::env::temp_dir().join("bellwether-pages");
    std::fs::create_dir_all(&folder).unwrap();
    let charts: Vec<_> = example().findings.iter().map(chart_of).collect();
    let (watched, row, series) = watched();
    let text = "# Latency after a deployment\n\nThe new version is **slower**. Check with `kubectl`:\n\n```sh\nkubectl rollout history deployment/payments\n```\n\n## Steps\n\n1. Compare versions.\n2. Roll back, see [the manual](https://example.org).\n\n- not the database\n- not the network\n";
    for (name, page) in [
        ("index", index()),
        ("incident", incident(&example(), &IncidentView { feedback: &[said()], ..beside(&charts, &alert(), &[]) })),
        ("feedback", feedback::linked(&example(), &[said()], "token", now())),
        ("monitor", monitor(&watched, &view(&row, &series), now())),
        ("runbook", runbook("Latency after a deployment", text)),
        ("empty", overview(&Overview { open: &[], recent: &[], monitors: &[], budget_per_day: 10.0, incidents: 0, now: now() })),
        ("error", error(404, "No incident has the id `i-1`.")),
    ] {
        let sheet = format!("<link rel=\"stylesheet\" href=\"{STYLE_PATH}\">");
        assert!(page.0.contains(&sheet));
        std::fs::write(folder.join(format!("{name}.html")), page.0.replace(&sheet, &format!("<style>{STYLE}</style>"))).unwrap();
    }
}

#[test]
fn a_monitor_shows_what_is_forecast() {
    let (mut watched, row, series) = watched();
    watched.forecast = Some(ForecastPlan {
        horizon: DurationMs::DAY * 7,
        step: DurationMs::HOUR,
        window: DurationMs::DAY * 14,
        limit: None,
        events: Vec::new(),
    });
    let outlook = |service: &str, cannot_say: Option<&str>, reach| SeriesOutlook {
        key: SeriesKey::new([("service".to_owned(), service.to_owned())]),
        value: 0.5,
        horizon: DurationMs::DAY * 7,
        yhat: 1.2,
        bounds: (1.1, f64::INFINITY),
        reach,
        is_open: true,
        chart: None,
        cannot_say: cannot_say.map(str::to_owned),
    };
    let reach = Reach { expected: Some(now() + DurationMs::DAY), earliest: Some(now()), latest: None, chance: 0.87 };
    let series_ahead = vec![outlook("cart", Some("too few values"), None), outlook("checkout", None, Some((1.0, Direction::Up, reach)))];
    let ahead = Outlook { series: Arc::new(series_ahead), made: Some(now() - MINUTE * 3), last_error: Some("no answer".to_owned()) };
    let text = text_of(&monitor(&watched, &MonitorView { outlook: &ahead, ..view(&row, &series) }, now()));
    for part in [
        "The next 1w",
        "The last forecast failed: no answer",
        "Forecast 3 minutes ago from 2w in steps of 1h",
        "cannot say too few values",
        "500ms",
        "1.1s and –",
        "1s is reached at Sat 21 Nov 14:25 UTC, at Fri 20 Nov 14:25 UTC at the earliest (chance within the horizon: 87 %)",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn a_monitor_shows_what_has_drifted() {
    let (mut watched, row, _) = watched();
    let by = vec!["feature".to_owned()];
    let reference = Reference::Before(DurationMs::WEEK);
    watched.drift = Some(DriftPlan { by, window: DurationMs::HOUR, every: MINUTE * 5, reference, least_effect: 0.1 });
    let feature = |name: &str| SeriesKey::new([("feature".to_owned(), name.to_owned())]);
    let sketch = |at: i32| {
        let mut sketch = Sketch::default();
        (0..500).for_each(|i| sketch.push(f64::from(at + i)));
        sketch
    };
    let before = [(feature("age"), sketch(0)), (feature("income"), sketch(0))];
    let after = [(feature("age"), sketch(250)), (feature("zip"), sketch(0))];
    let features = FeatureHistograms::of_sketches(before.into(), after.into()).judged(0.1);
    let drift = Drift { features: Arc::new(features), ends: Some((now() - DurationMs::WEEK, now())) };
    let text = text_of(&monitor(&watched, &MonitorView { drift: &drift, ..view(&row, &[]) }, now()));
    for part in [
        "3 features",
        "The window until Fri 20 Nov 14:25 UTC against a window that moves along, until Fri 13 Nov 14:25 UTC.",
        "drifted",
        "there is no histogram in the reference window",
        "Tested\nevery 5m",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("Learns from"), "{text}");
}
