//! A weekly job through the live engine, week by week on a clock that is turned by hand.

use std::collections::BTreeSet;

use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::clock::{Clock, DurationMs, Timestamp};
use crate::correlation::remedy::Catalogue;
use crate::endpoint;
use crate::engine::evaluate::Evaluation;
use crate::engine::pool::Pool;
use crate::engine::{Config, Parts, sample};
use crate::finding::{Direction, HeldBack};
use crate::monitor::Monitor;
use crate::source::prometheus;
use crate::store::models::ModelFolder;
use crate::store::{IncidentFilter, Store};

const STEP: DurationMs = DurationMs::from_secs(600);
const HOUR: DurationMs = DurationMs::HOUR;
/// When the job runs: on Sundays at three.
const JOB: DurationMs = DurationMs::from_millis(6 * DurationMs::DAY.millis() + 3 * HOUR.millis());
const WEEKS: i64 = 10;

/// 2026-01-05, a Monday, and weeks later.
fn week(n: i64) -> Timestamp {
    "2026-01-05T00:00:00Z".parse::<Timestamp>().unwrap() + DurationMs::WEEK * n
}

/// When something happens in each week, and how large it is: the job as always for ten weeks and once more, then other things.
fn happens(week: i64) -> (DurationMs, f64) {
    match week {
        12 => (DurationMs::from_millis(JOB.millis() + 8 * HOUR.millis()), 8.0),
        13 => (JOB, 24.0),
        14 => (JOB, -8.0),
        _ => (JOB, 8.0),
    }
}

/// Noise that is the same whenever it is asked for.
fn noise(series: u64, at: i64) -> f64 {
    let mut state = (series + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (at as u64).wrapping_mul(0xD134_2543_DE82_EF95);
    let mut uniform = || {
        state = (state ^ (state >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9).wrapping_add(1);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    (0..6).map(|_| uniform()).sum::<f64>() - 3.0
}

/// The load of the job's machine.
fn batch(at: i64) -> f64 {
    let n = (at - week(0).millis()).div_euclid(DurationMs::WEEK.millis());
    let (start, size) = happens(n);
    let since = at - (week(n) + start).millis();
    let runs = n >= 0 && (0..90 * 60_000).contains(&since);
    50.0 + noise(0, at) + if runs { size } else { 0.0 }
}

/// Machines that know nothing of the job, each with trouble of its own in the eleventh week, at the hour of the job or another.
fn elsewhere(machine: u64, at: i64) -> f64 {
    let since = (at - (week(10) + JOB).millis()) as f64 / HOUR.millis() as f64;
    let trouble = match machine {
        0 if (0.0..1.5).contains(&since) => 8.0,
        1 if (-9.0..-7.0).contains(&since) => 7.0,
        2 if since >= -3.0 => 6.0,
        3 if (1.0..3.0).contains(&since) => -8.0,
        4 if (-20.0..-18.0).contains(&since) => 20.0,
        _ => 0.0,
    };
    50.0 + noise(machine + 7, at) + trouble
}

async fn simulated_prometheus() -> MockServer {
    let server = MockServer::start().await;
    let answer = |request: &Request| {
        let text = format!("http://x/?{}&{}", String::from_utf8_lossy(&request.body), request.url.query().unwrap_or_default());
        let form: Vec<(String, String)> =
            reqwest::Url::parse(&text).unwrap().query_pairs().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        let of = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap();
        let (start, end): (f64, f64) = (of("start").parse().unwrap(), of("end").parse().unwrap());
        let is_job = of("query") == "batch";
        let machines = if is_job { 1 } else { 6 };
        let series = (0..machines).map(|machine| {
            let places = ((end - start) / STEP.seconds()) as i64;
            let values: Vec<_> = (0..=places)
                .map(|i| {
                    let at = start + STEP.seconds() * i as f64;
                    let value = if is_job { batch((at * 1000.0) as i64) } else { elsewhere(machine, (at * 1000.0) as i64) };
                    (at, value.to_string())
                })
                .collect();
            serde_json::json!({"metric": {"instance": format!("{}-{machine}", of("query"))}, "values": values})
        });
        let result: Vec<_> = series.collect();
        ResponseTemplate::new(200)
            .set_body_json(serde_json::json!({"status": "success", "data": {"resultType": "matrix", "result": result}}))
    };
    Mock::given(path("/api/v1/query_range")).respond_with(answer).mount(&server).await;
    server
}

fn monitor(name: &str) -> Monitor {
    Monitor { name: name.to_owned(), query: name.to_owned(), window: DurationMs::DAY * 6, ..Monitor::ad_hoc(STEP, None) }
}

struct Live {
    engine: Engine,
    clock: Arc<Clock>,
    evaluation: Evaluation,
    folder: tempfile::TempDir,
}

impl Live {
    async fn start(server: &MockServer, folder: tempfile::TempDir, watched: &str, begin: Timestamp) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Arc::new(Clock::manual(begin));
        let config = Config { alert_budget_per_day: 0.1, monitors: vec![monitor(watched)], retention: DurationMs::DAY, ..sample::config() };
        let source = prometheus::Config {
            endpoint: endpoint::Config::new(server.uri().parse().unwrap()),
            concurrency: 1,
            most_series: 100,
            most_points: 1_000_000,
        };
        let parts = Parts {
            prometheus: Some(source.build().unwrap()),
            store: Store::open(&folder.path().join("store.db")).await.unwrap(),
            models: ModelFolder::open(&folder.path().join(watched)).unwrap().0,
            clock: Arc::clone(&clock),
            pool: Pool::new(1).unwrap(),
            catalogue: Catalogue::shipped(),
            actions: Vec::new(),
            committed: tokio::sync::watch::channel(0).0,
        };
        let engine = Engine::new(config, parts).await.unwrap();
        let evaluation = Evaluation::new(engine.clone(), monitor(watched));
        Self { engine, clock, evaluation, folder }
    }

    async fn run_at(&mut self, at: Timestamp) {
        self.clock.set(at);
        self.evaluation.run().await.unwrap();
    }

    async fn open(&self) -> Vec<Incident> {
        self.engine.store().open_incidents().await.unwrap()
    }

    async fn held(&self, monitor: &str) -> Vec<HeldBack> {
        self.engine.held_back(monitor, 100).await.unwrap()
    }

    /// Lives through a week; the incident that was open while the job ran.
    async fn live(&mut self, n: i64) -> Option<Incident> {
        let job = week(n) + happens(n).0;
        self.run_at(week(n) + DurationMs::DAY * 5).await;
        self.run_at(job - STEP).await;
        assert_eq!(self.open().await, [], "week {n}");
        self.run_at(job + HOUR).await;
        let mut open = self.open().await;
        assert!(open.len() <= 1, "{open:?}");
        self.run_at(job + HOUR * 8).await;
        assert_eq!(self.open().await, [], "week {n}");
        open.pop()
    }

    async fn say(&self, incident: &Incident, verdict: Verdict) -> Feedback {
        let given = Given {
            incident: incident.id.clone(),
            verdict,
            cause: None,
            suggestion: None,
            comment: String::new(),
            author: "anna".to_owned(),
        };
        self.engine.submit_feedback(given).await.unwrap()
    }
}

/// What is found elsewhere in the eleventh week by an engine over this store.
async fn found_elsewhere(server: &MockServer, folder: tempfile::TempDir) -> BTreeSet<(String, Timestamp, Direction)> {
    let mut live = Live::start(server, folder, "elsewhere", week(10)).await;
    let start = week(10) + DurationMs::DAY * 5;
    for hour in 0..40 {
        live.run_at(start + HOUR * hour).await;
    }
    assert_eq!(live.held("elsewhere").await, []);
    let all = live.engine.store().incidents(&IncidentFilter::default(), 1000, "").await.unwrap().items;
    let findings = all.into_iter().flat_map(|i| i.findings).filter(|f| f.monitor == "elsewhere");
    findings.map(|f| (f.key.get("instance").unwrap().to_owned(), f.onset, f.direction)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_verdicts_of_noise_on_a_weekly_job_silence_exactly_that() {
    let server = simulated_prometheus().await;
    let mut live = Live::start(&server, tempfile::tempdir().unwrap(), "batch", week(0)).await;
    let mut found = Vec::new();
    for n in 0..WEEKS {
        found.push(live.live(n).await.unwrap_or_else(|| panic!("week {n}: nothing was found")));
    }
    let mut said = Vec::new();
    for incident in &found {
        said.push(live.say(incident, Verdict::Noise).await);
    }

    // The next are held back and stay visible, with the reason.
    let before = live.engine.store().counts().await.unwrap();
    for n in WEEKS..12 {
        assert_eq!(live.live(n).await, None, "week {n}");
    }
    assert_eq!(live.engine.store().counts().await.unwrap(), before);
    let held = live.held("batch").await;
    assert_eq!(held.len(), 2, "{held:#?}");
    assert!(held.iter().all(|h| !h.finding.is_open() && h.suppressed.starts_with("10 verdicts of “noise”")), "{held:#?}");

    // At another hour, three times as large, the other way: told.
    for n in 12..15 {
        assert!(live.live(n).await.is_some(), "week {n}");
    }
    assert_eq!(live.held("batch").await, held);

    // What was learned survives a restart, and elsewhere finds the same as if nothing had been said.
    let learned = live.engine.learned();
    let Live { folder, engine, .. } = live;
    drop(engine);
    let with = tempfile::tempdir().unwrap();
    let store = Store::open(&with.path().join("store.db")).await.unwrap();
    store.put_feedback(&said).await.unwrap();
    store.close().await;
    let mut live = Live::start(&server, folder, "batch", week(15)).await;
    assert_eq!(*live.engine.learned(), *learned);
    assert_eq!(live.live(15).await, None);
    let found = found_elsewhere(&server, with).await;
    assert_eq!(found, found_elsewhere(&server, tempfile::tempdir().unwrap()).await);
    let machines: BTreeSet<&str> = found.iter().map(|(machine, ..)| machine.as_str()).collect();
    let ill: Vec<String> = (0..5).map(|machine| format!("elsewhere-{machine}")).collect();
    assert_eq!(machines, ill.iter().map(String::as_str).collect(), "{found:#?}");

    // Taken back, all is as before.
    for one in &said {
        let undone = live.engine.undo_feedback(&one.id).await.unwrap();
        assert!(undone.undone_at.is_some());
        assert_eq!(live.engine.undo_feedback(&one.id).await.unwrap(), undone, "twice is as good as once");
    }
    assert_eq!(*live.engine.learned(), Learned::default());
    assert!(live.live(16).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn expected_from_now_on_is_silent_at_once_and_told_when_that_is_taken_back() {
    let server = simulated_prometheus().await;
    let mut live = Live::start(&server, tempfile::tempdir().unwrap(), "batch", week(0)).await;
    let first = live.live(0).await.unwrap();
    let said = live.say(&first, Verdict::Expected).await;
    assert_eq!(live.say(&first, Verdict::Expected).await, said, "said already");
    let job = week(1) + JOB;
    live.run_at(job - STEP).await;
    live.run_at(job + HOUR).await;
    assert_eq!(live.open().await, []);
    let status = live.engine.monitor("batch").unwrap();
    let series = &status.series[0];
    assert!(series.suppressed.as_ref().unwrap().starts_with("said to be expected from "), "{series:?}");
    assert_eq!(series.state, crate::engine::status::SeriesState::Suppressed);
    // It lasts when that is taken back: it is told at once.
    live.engine.undo_feedback(&said.id).await.unwrap();
    live.run_at(job + HOUR + STEP).await;
    assert_eq!(live.open().await.len(), 1);
    assert_eq!(live.held("batch").await, []);
}
