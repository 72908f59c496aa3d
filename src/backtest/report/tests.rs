use std::collections::BTreeSet;

use super::*;
use crate::backtest::alerts::{Fired, Raised, compare};
use crate::backtest::summary::{F1, Failure, Found, Labelled, LabelledTotals, Nab, NabScore, SeriesSummary};
use crate::finding::{Direction, Finding, FindingKind, HeldBack};
use crate::metric::MetricKind;
use crate::plot::{Chart, Mark};
use crate::series::{SeriesKey, Window};

const STEP: DurationMs = DurationMs::from_secs(300);
const DAY: DurationMs = DurationMs::DAY;

fn start() -> Timestamp {
    "2026-11-02T00:00:00Z".parse().unwrap()
}

fn found(hours: i64, minutes: i64, direction: Direction, right: Option<bool>) -> Found {
    let onset = start() + DurationMs::HOUR * hours;
    Found {
        channel: "value".to_owned(),
        onset,
        last_seen: onset + DurationMs::from_secs(60) * minutes,
        ended: Some(onset + DurationMs::from_secs(60) * (minutes + 10)),
        direction,
        kind: FindingKind::Deviation,
        score: 2.371,
        p_value: 3e-7,
        value: 0.912,
        expected: 0.31,
        lower: 0.22,
        upper: 0.41,
        evidence: vec!["0.912 is 14 robust deviations above 0.31".to_owned(), "level and slope stand alone".to_owned()],
        right,
    }
}

fn labelled() -> Labelled {
    Labelled {
        rows: 3000,
        anomalous: 60,
        segments: 3,
        detected: 2,
        right_alerts: 2,
        false_alerts: 1,
        recall: Some(2.0 / 3.0),
        precision: Some(2.0 / 3.0),
        seconds_to_detect: vec![Some(0.0), None, Some(600.0)],
        median_seconds_to_detect: Some(300.0),
        auc_pr: Some(0.7312),
        vus_pr: Some(0.6904),
        vus_window: 288,
        event: Some(F1 { threshold: Some(1.0), precision: 0.9, recall: 0.6, f1: 0.72 }),
        best_event: Some(F1 { threshold: Some(0.8), precision: 0.9, recall: 0.9, f1: 0.9 }),
        nab: Some(nab(61.25)),
    }
}

fn nab(score: f64) -> Nab {
    let of = |score| NabScore { threshold: Some(1.0), score: Some(score), windows: 3, true_positives: 20, false_positives: 4 };
    Nab { standard: of(score), low_fp: of(score - 7.0), low_fn: of(score + 5.0) }
}

fn series(path: &str, findings: Vec<Found>, labelled: Option<Labelled>) -> SeriesSummary {
    SeriesSummary {
        path: path.to_owned(),
        channels: vec!["value".to_owned()],
        rows: 4032,
        missing: 12,
        gaps: 0,
        duplicates: 0,
        disordered: 0,
        first: start(),
        last: start() + STEP * 4031,
        step: STEP,
        alpha: 1e-5,
        judged: 4032,
        cannot_say: None,
        alerts: findings.len(),
        alerts_per_day: Some(findings.len() as f64 / 14.0),
        findings,
        findings_left_out: 0,
        labelled,
        not_measured: None,
    }
}

fn settings() -> RunSettings {
    RunSettings {
        version: "0.1.0".to_owned(),
        data: "data/shop".to_owned(),
        labels: None,
        budget_per_day: 10.0,
        window: DurationMs::WEEK * 2,
        refit: DAY,
        event_delay: 7,
    }
}

fn totals(series: &[SeriesSummary]) -> Totals {
    let judged: Vec<&SeriesSummary> = series.iter().filter(|s| s.judged > 0).collect();
    let alerts: usize = judged.iter().map(|s| s.alerts).sum();
    let per_day = (!judged.is_empty()).then_some(alerts as f64 / 14.0);
    Totals {
        series: series.len(),
        series_judged: judged.len(),
        rows: series.iter().map(|s| s.rows).sum(),
        judged: series.iter().map(|s| s.judged).sum(),
        series_days: judged.len() as f64 * 14.0,
        alerts,
        alerts_per_day: per_day,
        false_alerts_per_day: per_day,
        budget_per_day: 10.0,
        budget_kept: per_day.map(|rate| rate <= 10.0),
        labelled: None,
    }
}

/// Three series without labels, the second of which could not be judged.
fn plain() -> Summary {
    let mut short = series("queue/lag.csv", vec![], None);
    short.judged = 0;
    short.cannot_say = Some("too short: 211 values, 2880 are needed".to_owned());
    let up = vec![found(58, 40, Direction::Up, None), found(201, 95, Direction::Down, None)];
    let series = vec![series("cpu/node-1.csv", vec![], None), short, series("latency/checkout.csv", up, None)];
    let failed = vec![Failure { path: "notes.csv".to_owned(), reason: "no column of times".to_owned() }];
    Summary { settings: settings(), totals: totals(&series), series, failed, warnings: vec![] }
}

/// Two series with labels.
fn with_labels() -> Summary {
    let up = vec![
        found(58, 40, Direction::Up, Some(true)),
        found(61, 5, Direction::Up, Some(false)),
        found(201, 95, Direction::Down, Some(true)),
    ];
    let mut quiet = labelled();
    (quiet.segments, quiet.detected, quiet.false_alerts, quiet.seconds_to_detect) = (0, 0, 0, vec![]);
    (quiet.auc_pr, quiet.vus_pr, quiet.event, quiet.nab, quiet.recall, quiet.precision, quiet.median_seconds_to_detect) =
        (None, None, None, None, None, None, None);
    let mut other = series("cpu/node-1.csv", vec![], Some(quiet));
    other.not_measured = Some("no row is labelled".to_owned());
    let series = vec![series("latency/checkout.csv", up, Some(labelled())), other];
    let mut totals = totals(&series);
    totals.false_alerts_per_day = Some(1.0 / 14.0);
    totals.labelled = Some(LabelledTotals {
        series: 2,
        segments: 3,
        detected: 2,
        recall: Some(2.0 / 3.0),
        precision: Some(2.0 / 3.0),
        median_seconds_to_detect: Some(300.0),
        mean_auc_pr: Some(0.7312),
        mean_vus_pr: Some(0.6904),
        mean_event_f1: Some(0.72),
        mean_best_event_f1: Some(0.9),
        event: Some(F1 { threshold: Some(1.0), precision: 0.9, recall: 0.6, f1: 0.72 }),
        best_event: Some(F1 { threshold: Some(0.8), precision: 0.9, recall: 0.9, f1: 0.9 }),
        nab: Some(nab(61.25)),
        best_nab: Some(nab(70.0)),
        not_measured: None,
    });
    let settings = RunSettings { labels: Some("labels.json".to_owned()), ..settings() };
    Summary { settings, totals, series, failed: vec![], warnings: vec!["labels.json names `gone.csv`, which is not there".to_owned()] }
}

/// Two weeks of a daily rhythm, moved where something was found.
fn picture(series: &SeriesSummary) -> Picture {
    let len = 4032;
    let daily = |i: usize| 0.31 + 0.12 * (i as f64 / 288.0 * std::f64::consts::TAU).sin();
    let noise = |i: usize| (((i * 7919 + 13) % 101) as f64 / 101.0 - 0.5) * 0.06;
    let moved = |i: usize| {
        let time = start() + STEP * i as i64;
        let hit = series.findings.iter().find(|f| f.onset <= time && time <= f.last_seen);
        hit.map_or(0.0, |f| if f.direction == Direction::Up { 0.55 } else { -0.25 })
    };
    let value = |i: usize| if (900..960).contains(&i) { f64::NAN } else { daily(i) + noise(i) + moved(i) };
    let mut chart = Chart::new(&series.path, Unit::Seconds, Window::new(start(), STEP, (0..len).map(value).collect()).unwrap());
    chart.expected = (0..len).map(daily).collect();
    chart.lower = (0..len).map(|i| daily(i) - 0.08).collect();
    chart.upper = (0..len).map(|i| daily(i) + 0.08).collect();
    let mark = |f: &Found| Mark { from: f.onset, to: f.last_seen, title: "found".to_owned() };
    chart.marks = series.findings.iter().map(mark).collect();
    let label = |hours: i64, long: i64| {
        let from = start() + DurationMs::HOUR * hours;
        Mark { from, to: from + DurationMs::HOUR * long, title: "labelled".to_owned() }
    };
    let labelled = if series.labelled.is_some() { vec![label(57, 3), label(120, 4), label(200, 3)] } else { vec![] };
    Picture { path: series.path.clone(), chart, labelled }
}

fn pictures(summary: &Summary) -> Vec<Picture> {
    summary.series.iter().filter(|s| s.judged > 0).map(picture).collect()
}

fn comparison() -> Comparison {
    let at = |hours: i64| start() + DurationMs::HOUR * hours;
    let labels = |service: &str| SeriesKey::new([("service".to_owned(), service.to_owned())]);
    let fired = |name: &str, service: &str, hours| Fired {
        alertname: name.to_owned(),
        labels: labels(service),
        from: at(hours),
        to: at(hours + 1),
    };
    let raised = |title: &str, service: &str, hours| Raised {
        id: format!("i-{hours}"),
        title: title.to_owned(),
        services: vec![service.to_owned()],
        from: at(hours),
        to: Some(at(hours + 2)),
        labels: BTreeSet::from([("service".to_owned(), service.to_owned())]),
    };
    let mut yours: Vec<Fired> = (0..60).map(|i| fired("HighCpu", if i % 2 == 0 { "cart" } else { "search" }, i * 5)).collect();
    yours.push(fired("CheckoutSlow", "checkout", 58));
    let ours = [
        raised("Latency of checkout is 912ms where 310ms is expected", "checkout", 58),
        raised("Queue of payments grows", "payments", 201),
    ];
    compare(&yours, &ours, start(), start() + DAY * 14)
}

/// What a reader sees: the text of a page without its tags, a line for each block.
fn text_of(page: &str) -> String {
    let mut out = String::new();
    let body = page.split_once("<main>").unwrap().1.split_once("</main>").unwrap().0;
    for part in body.split('<') {
        let (tag, text) = part.split_once('>').unwrap_or(("", part));
        let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
        let inline = ["bdi", "span", "strong", "time", "svg", "line", "text", "path", "rect"];
        if ["td", "th", "dd"].contains(&name) {
            out.push_str(if tag.starts_with('/') { "" } else { " | " });
        } else if !inline.contains(&name) || tag.contains("note") {
            out.push('\n');
        } else if tag.contains("span class") {
            out.push(' ');
        }
        if !["text", "title", "meta"].contains(&name) {
            out.push_str(text);
        }
    }
    let lines = out.lines().map(|line| line.trim().trim_start_matches("| ")).filter(|line| !line.is_empty() && *line != "|");
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_page_without_labels() {
    let summary = plain();
    insta::assert_snapshot!(text_of(&html(&summary, &pictures(&summary), &Beside::default())), @r"
    Backtest of data/shop
    Series
    3 , 2 judged
    Points
    12,096 , 8,064 judged
    Judged
    14.0 days
    Data
    2026-11-02 to 2026-11-15
    Budget
    10 false alerts a day
    Learned from
    up to 2w, again every 1d
    Over 2 series and 14.0 days Bellwether would have raised 2 alerts, 0.1 a day; the budget of 10 a day was kept.
    Alerts per day
    alerts budget
    Series
    Those with the most alerts come first.
    latency/checkout.csv 2 alerts
    value expected anomalous latency/checkout.csv
    Points
    4,032, 5m apart
    Time
    2026-11-02 00:00 to 2026-11-15 23:55
    Missing values
    12
    Began | Lasted | Direction | Value | Expected | Score
    Nov 4 10:00 | 50 minutes | ↑ above | 912ms | 310ms 220ms to 410ms | 2.37
    0.912 is 14 robust deviations above 0.31
    level and slope stand alone
    Nov 10 09:00 | 105 minutes | ↓ below | 912ms | 310ms 220ms to 410ms | 2.37
    0.912 is 14 robust deviations above 0.31
    level and slope stand alone
    cpu/node-1.csv no alert
    value expected anomalous cpu/node-1.csv
    Points
    4,032, 5m apart
    Time
    2026-11-02 00:00 to 2026-11-15 23:55
    Missing values
    12
    2 series that could not be judged
    Series | Reason
    queue/lag.csv | too short: 211 values, 2880 are needed
    notes.csv | no column of times
    ");
}

#[test]
fn a_page_with_labels() {
    let summary = with_labels();
    insta::assert_snapshot!(text_of(&html(&summary, &pictures(&summary), &Beside::default())), @r"
    Backtest of data/shop
    Series
    2
    Points
    8,064
    Judged
    14.0 days
    Data
    2026-11-02 to 2026-11-15
    Budget
    10 false alerts a day
    Learned from
    up to 2w, again every 1d
    Labels
    labels.json
    Over 2 series and 14.0 days Bellwether would have raised 3 alerts, 0.2 a day; the budget of 10 a day was kept. It noticed 2 of the 3 labelled anomalies; 1 alert was about something else.
    Worth knowing
    labels.json names `gone.csv`, which is not there
    Alerts per day
    alerts that agree with no label alerts about a labelled anomaly budget
    Held against the labels
    2 labelled series, 3 labelled segments. A dash is a measure that cannot be had.
    Measure | As replayed | At the best threshold | What it means
    Precision | 66.7% | | Of all alerts, the share that was about a labelled anomaly. Higher is better: at 100% no alert was false.
    Recall | 66.7% | | Of all labelled anomalies, the share that an alert was raised for. Higher is better: at 100% none was missed.
    AUC-PR | 0.731 | | Whether anomalous points have higher scores than normal ones, whatever the threshold; mean over the series. Higher is better, 1 is perfect; guessing gets about 0.020.
    VUS-PR | 0.690 | | The same, but a score just beside a labelled segment counts in part. Higher is better, 1 is perfect.
    Event F1, delay 7 | 0.720 | 0.900 | Precision and recall in one, where an anomaly counts only if it is noticed within 7 points after its first. Higher is better, 1 is perfect.
    NAB, standard | 61.2 | 70.0 | The Numenta benchmark's score of the column news, which is told once for each episode; it rewards noticing early. Higher is better: 100 is perfect, 0 is saying nothing, below 0 is worse than that.
    NAB, few false alarms | 54.2 | 63.0 | The same for those whom a false alarm costs twice as much. Higher is better.
    NAB, few misses | 66.2 | 75.0 | The same for those whom a miss costs twice as much. Higher is better.
    Time to detect, median | 5 minutes | | Half of the anomalies that were noticed were noticed within this time of their beginning. Shorter is better; those never noticed are not in it.
    Time to detect, nine of ten | 10 minutes | | The same for nine of ten: how long it takes when it takes long. Shorter is better.
    Series
    Those with the most alerts come first.
    latency/checkout.csv 3 alerts 1 segment missed
    value expected anomalous labelled latency/checkout.csv
    Points
    4,032, 5m apart
    Time
    2026-11-02 00:00 to 2026-11-15 23:55
    Missing values
    12
    Began | Lasted | Direction | Value | Expected | Score | Label
    Nov 4 10:00 | 50 minutes | ↑ above | 912ms | 310ms 220ms to 410ms | 2.37 | right
    0.912 is 14 robust deviations above 0.31
    level and slope stand alone
    Nov 4 13:00 | 15 minutes | ↑ above | 912ms | 310ms 220ms to 410ms | 2.37 | false
    0.912 is 14 robust deviations above 0.31
    level and slope stand alone
    Nov 10 09:00 | 105 minutes | ↓ below | 912ms | 310ms 220ms to 410ms | 2.37 | right
    0.912 is 14 robust deviations above 0.31
    level and slope stand alone
    Held against its labels
    Noticed
    2 of 3 segments
    False alerts
    1
    Precision
    66.7%
    Recall
    66.7%
    AUC-PR
    0.731
    VUS-PR
    0.690
    Event F1
    0.720
    NAB
    61.2
    Time to detect
    5 minutes
    cpu/node-1.csv no alert
    value expected anomalous labelled cpu/node-1.csv
    Points
    4,032, 5m apart
    Time
    2026-11-02 00:00 to 2026-11-15 23:55
    Missing values
    12
    Held against its labels
    False alerts
    0
    Not measured: no row is labelled
    ");
}

#[test]
fn a_page_beside_the_users_own_alerts() {
    let summary = Summary { series: vec![], failed: vec![], ..plain() };
    let page = html(&summary, &[], &Beside { comparison: Some(&comparison()), ..Beside::default() });
    let (_, section) = page.split_once("<section aria-labelledby=\"alerts\">").unwrap();
    insta::assert_snapshot!(text_of(&format!("<main>{section}")), @r"
    Beside your own alerts
    Your rules fired 4.4 times a day on 3 things; Bellwether would have raised 2 alerts in 14 days.
    What is found on several series at the same time is joined into one incident and told as one alert, so that there can be fewer here than in the series below.
    Yours
    4.4 a day
    Bellwether's
    0.1 a day
    Only yours
    60 alerts
    Only Bellwether's
    1 incident
    Both
    1 alert in 1 incident
    Only yours: 60 alerts
    No incident goes with these. Either they needed nobody, or what they watch is not watched here.
    Your rule | Fired | On things | For, in all
    HighCpu | 60 × | 2 | 2 days
    Only Bellwether's: 1 incident
    None of your rules fired while these lasted. Either no rule covers them, or they are false.
    Incident | Services | Began | Lasted
    Queue of payments grows | payments | Nov 10 09:00 | 2 hours
    Both: 1 alert in 1 incident
    Your rules fired while an incident lasted at the same place: these would have come as one alert each.
    Incident | Services | Began | Lasted
    Latency of checkout is 912ms where 310ms is expected | checkout | Nov 4 10:00 | 2 hours
    Your rule | Fired | On things | For, in all
    CheckoutSlow | 1 × | 1 | 60 minutes
    ");
}

#[test]
fn nothing_to_replay_is_told() {
    let empty = Summary {
        totals: Totals { budget_per_day: 10.0, ..Totals::default() },
        series: vec![],
        failed: vec![],
        warnings: vec![],
        settings: settings(),
    };
    insta::assert_snapshot!(text_of(&html(&empty, &[], &Beside::default())), @r"
    Backtest of data/shop
    Series
    0
    Points
    0
    Budget
    10 false alerts a day
    Learned from
    up to 2w, again every 1d
    There was no series to replay.
    ");
    let mut silent = plain();
    silent.series.retain(|s| s.judged == 0);
    silent.totals = totals(&silent.series);
    assert_eq!(verdict::verdict(&silent), ("idle", "None of the 2 series could be judged; the reasons are below.".to_owned()));
}

#[test]
fn the_verdict_is_one_that_anyone_understands() {
    let of = |change: &dyn Fn(&mut Summary)| {
        let mut summary = plain();
        change(&mut summary);
        let (class, text) = verdict::verdict(&summary);
        format!("{class}: {text}")
    };
    let verdicts = [
        of(&|_| {}),
        of(&|s| {
            (s.totals.alerts, s.totals.alerts_per_day, s.totals.series_judged) = (9, Some(9.0 / 14.0), 31);
            s.totals.series_days = 31.0 * 14.0;
        }),
        of(&|s| (s.totals.alerts, s.totals.alerts_per_day) = (0, Some(0.0))),
        of(&|s| (s.totals.alerts, s.totals.budget_kept, s.totals.false_alerts_per_day) = (1200, Some(false), Some(85.7))),
        of(&|s| s.totals.budget_kept = None),
        of(&|s| s.series[0].judged = 400),
        of(&|s| s.totals.series_days = 0.5),
        of(&|s| *s = with_labels()),
    ];
    insta::assert_snapshot!(verdicts.join("\n"), @r"
    quiet: Over 2 series and 14.0 days Bellwether would have raised 2 alerts, 0.1 a day; the budget of 10 a day was kept.
    quiet: Over 31 series and 14.0 days Bellwether would have raised 9 alerts, 0.6 a day; the budget of 10 a day was kept.
    quiet: Over 2 series and 14.0 days Bellwether would have raised no alert; the budget of 10 a day was kept.
    alarm: Over 2 series and 14.0 days Bellwether would have raised 1,200 alerts, 0.1 a day; the budget of 10 a day was not kept: 86 alerts a day.
    idle: Over 2 series and 14.0 days Bellwether would have raised 2 alerts, 0.1 a day; whether that keeps the budget of 10 a day cannot be said.
    quiet: Over 2 series, 14.0 days each on average, Bellwether would have raised 2 alerts, 0.1 a day if all are watched at once; the budget of 10 a day was kept.
    quiet: Over 2 series and 6.0 hours Bellwether would have raised 2 alerts, 0.1 a day; the budget of 10 a day was kept.
    quiet: Over 2 series and 14.0 days Bellwether would have raised 3 alerts, 0.2 a day; the budget of 10 a day was kept. It noticed 2 of the 3 labelled anomalies; 1 alert was about something else.
    ");
}

#[test]
fn it_stands_alone() {
    let summary = with_labels();
    let page = html(&summary, &pictures(&summary), &Beside { comparison: Some(&comparison()), ..Beside::default() });
    for not in ["<script", "src=", "@import", "url(", "<iframe", "<form", " onclick", " style="] {
        assert!(!page.contains(not), "{not}");
    }
    // The icon is within the page, and no address is one that something could be fetched from.
    assert_eq!(page.matches("href=").count(), page.matches("href=\"data:").count());
    let addresses = page.matches("http").count() - page.matches("http-equiv").count();
    assert_eq!(addresses, page.matches("http://www.w3.org/2000/svg").count());
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn nothing_from_outside_becomes_markup() {
    const EVIL: &str = "\"></style></title><script>alert('x')</script><img src=x onerror=alert(1)>";
    let mut summary = with_labels();
    summary.settings.data = EVIL.to_owned();
    summary.settings.labels = Some(EVIL.to_owned());
    summary.settings.version = EVIL.to_owned();
    summary.warnings = vec![EVIL.to_owned()];
    summary.failed = vec![Failure { path: EVIL.to_owned(), reason: EVIL.to_owned() }];
    summary.totals.labelled.as_mut().unwrap().not_measured = Some(EVIL.to_owned());
    for series in &mut summary.series {
        series.path = EVIL.to_owned();
        series.channels = vec![EVIL.to_owned(), EVIL.to_owned()];
        series.not_measured = Some(EVIL.to_owned());
        for found in &mut series.findings {
            found.channel = EVIL.to_owned();
            found.evidence = vec![EVIL.to_owned()];
        }
    }
    let mut silent = series(EVIL, vec![], None);
    (silent.judged, silent.cannot_say) = (0, Some(EVIL.to_owned()));
    summary.series.push(silent);
    let mut pictures = pictures(&summary);
    pictures[0].chart.marks[0].title = EVIL.to_owned();
    pictures[0].labelled[0].title = EVIL.to_owned();
    let mut comparison = comparison();
    comparison.only_yours.groups[0].alertname = EVIL.to_owned();
    for raised in comparison.only_ours.listed.iter_mut().chain(&mut comparison.both.incidents.listed) {
        raised.title = EVIL.to_owned();
        raised.services = vec![EVIL.to_owned()];
    }
    let page = html(&summary, &pictures, &Beside { comparison: Some(&comparison), ..Beside::default() });
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert_eq!((page.matches("</style>").count(), page.matches("</title>").count() - page.matches("<title>").count()), (1, 0));
    assert!(page.matches("&lt;script&gt;").count() > 20);
}

#[test]
fn any_number_of_series_makes_a_page_that_opens() {
    let many = |n: usize| -> Summary {
        let up = |i: usize| (0..(i % 60)).map(|k| found((k * 5) as i64, 20, Direction::Up, None)).collect();
        let series: Vec<SeriesSummary> = (0..n).map(|i| series(&format!("s/{i}.csv"), up(i), None)).collect();
        let failed = (0..n).map(|i| Failure { path: format!("f/{i}.csv"), reason: "empty".to_owned() }).collect();
        let warnings = (0..n).map(|i| format!("warning {i}")).collect();
        Summary { settings: settings(), totals: totals(&series), series, failed, warnings }
    };
    let summary = many(20);
    let page = html(&summary, &pictures(&summary), &Beside::default());
    assert_eq!(page.matches("<details class=\"panel series\" open>").count(), 20);
    // More are folded, and what is left out is counted.
    let summary = many(60);
    let page = html(&summary, &pictures(&summary), &Beside::default());
    assert_eq!(page.matches("<details class=\"panel series\">").count(), 60);
    assert_eq!(page.matches("<figure>").count(), 40);
    assert!(page.contains("40 are drawn, 20 are left without a chart."));
    let summary = many(10_000);
    let pictures: Vec<Picture> = summary.series[9000..9100].iter().map(picture).collect();
    let page = html(&summary, &pictures, &Beside::default());
    assert!(page.len() < 12_000_000, "{}", page.len());
    assert_eq!(page.matches("class=\"panel series\"").count(), 200);
    for told in ["9,800 more series, with ", "9,800 more left out here", "9 findings left out here"] {
        assert!(page.contains(told), "{told}");
    }
    // The noisiest come first.
    assert!(page.find("s/59.csv").unwrap() < page.find("s/58.csv").unwrap());
}

#[test]
fn bars_stand_for_days_of_the_calendar_or_of_the_series() {
    let bars_of = |summary: &Summary| {
        let page = html(summary, &[], &Beside::default());
        let from = page.find("<svg class=\"chart bars\"").unwrap();
        let drawn = &page[from..from + page[from..].find("</svg>").unwrap()];
        let titles: Vec<String> = drawn.split("<title>").skip(1).map(|t| t.split('<').next().unwrap().to_owned()).collect();
        titles
    };
    let mut summary = plain();
    let titles = bars_of(&summary);
    assert_eq!(titles.len(), 14);
    assert_eq!((titles[2].as_str(), titles[3].as_str()), ("2026-11-04: 1 alert", "2026-11-05: 0 alerts"));
    // Channels that deviate at the same time are one alert.
    let twin = Found { channel: "other".to_owned(), ..found(58, 90, Direction::Up, None) };
    summary.series[2].findings.insert(1, twin);
    assert_eq!(bars_of(&summary)[2], "2026-11-04: 1 alert");
    // Series of different years are laid over each other.
    summary.series[0].first = summary.series[0].first - DAY * 1000;
    summary.series[0].last = summary.series[0].last - DAY * 1000;
    let titles = bars_of(&summary);
    assert_eq!((titles.len(), titles[2].as_str()), (14, "day 3: 1 alert"));
    // A year is told by the week, and the whole calendar in a few bars.
    let mut long = plain();
    long.series[2].last = start() + DAY * 364;
    assert_eq!(bars_of(&long)[0], "2026-11-02 to 2026-11-08: 1 alert");
    assert_eq!(bars_of(&long).len(), 53);
    long.series[2].first = Timestamp::from_millis(i64::MIN);
    long.series[2].last = Timestamp::from_millis(i64::MAX);
    assert!(bars_of(&long).len() <= 120);
}

#[test]
fn figures_that_are_none_are_a_dash() {
    let mut summary = with_labels();
    summary.totals.labelled = Some(LabelledTotals { segments: 3, series: 1, ..LabelledTotals::default() });
    summary.settings.budget_per_day = f64::NAN;
    summary.totals.budget_per_day = f64::INFINITY;
    for found in &mut summary.series[0].findings {
        (found.value, found.expected, found.lower, found.upper, found.score, found.ended) =
            (f64::NAN, f64::NAN, f64::NEG_INFINITY, f64::NAN, f64::NAN, None);
    }
    let page = html(&summary, &[], &Beside::default());
    assert!(!page.contains("NaN") && !page.contains(">inf"), "{page}");
    assert!(text_of(&page).contains("Recall | – | |"));
}

/// A finding that a guard holds back.
fn held_back(hours: i64) -> HeldBack {
    let onset = start() + DurationMs::HOUR * hours;
    let finding = Finding {
        id: format!("f-{hours}"),
        monitor: "latency <b>".to_owned(),
        service: "checkout".to_owned(),
        key: SeriesKey::new([("service".to_owned(), "checkout".to_owned())]),
        metric: MetricKind::Latency,
        unit: Unit::Seconds,
        kind: FindingKind::Deviation,
        direction: Direction::Up,
        onset,
        opened: onset,
        last_seen: onset + DurationMs::HOUR,
        ended: (hours % 2 == 0).then(|| onset + DurationMs::HOUR),
        value: 0.912,
        expected: 0.31,
        lower: 0.22,
        upper: 0.41,
        score: 2.371,
        p_value: 3e-7,
        evidence: Vec::new(),
        model: String::new(),
        reach: None,
        course: None,
    };
    HeldBack { finding, suppressed: "deviation 602ms is under the least absolute deviation 1s".to_owned() }
}

#[test]
fn what_guards_hold_back_is_listed_with_the_reason() {
    let (summary, held_back) = (plain(), [held_back(58), held_back(61)]);
    let page = html(&summary, &[], &Beside { held_back: &held_back, held_back_in_all: 1300, ..Beside::default() });
    let text = text_of(&page);
    let section = &text[text.find("1,300 findings held back").unwrap()..];
    insta::assert_snapshot!(section.split("\nSeries\n").next().unwrap(), @r"
    1,300 findings held back
    A guard of its monitor holds each of these back: it is no alert, opens no incident, and counts in no figure.
    Monitor | Series | Began | Lasted | Value | Expected | Held back because
    latency &lt;b&gt; | {service=&quot;checkout&quot;} | Nov 4 10:00 | 60 minutes | 912ms | 310ms | deviation 602ms is under the least absolute deviation 1s
    latency &lt;b&gt; | {service=&quot;checkout&quot;} | Nov 4 13:00 | to the end | 912ms | 310ms | deviation 602ms is under the least absolute deviation 1s
    1,298 more left out here.
    ");
    assert!(!html(&summary, &[], &Beside::default()).contains("held back"));
}

/// `cargo test --lib report::tests::show -- --ignored` writes the pages to `$TMPDIR/bellwether-reports`.
#[test]
#[ignore = "for looking at"]
fn show() {
    let folder = std::env::temp_dir().join("bellwether-reports");
    std::fs::create_dir_all(&folder).unwrap();
    let (plain, labelled) = (plain(), with_labels());
    let up = |i: usize| (0..(i % 7)).map(|k| found((k * 37 + i) as i64, 20 + 30 * k as i64, Direction::Up, None)).collect();
    let series: Vec<SeriesSummary> =
        (0..30).map(|i| series(&format!("node_cpu_seconds_total{{instance=\"10.0.0.{i}:9100\",mode=\"idle\"}}"), up(i), None)).collect();
    let many = Summary { settings: settings(), totals: totals(&series), series, failed: vec![], warnings: vec![] };
    for (name, page) in [
        ("plain", html(&plain, &pictures(&plain), &Beside::default())),
        ("labelled", html(&labelled, &pictures(&labelled), &Beside::default())),
        (
            "many",
            html(
                &many,
                &pictures(&many),
                &Beside { comparison: Some(&comparison()), held_back: &[held_back(58), held_back(61)], held_back_in_all: 2 },
            ),
        ),
    ] {
        std::fs::write(folder.join(format!("{name}.html")), page).unwrap();
    }
}
