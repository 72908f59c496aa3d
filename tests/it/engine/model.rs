//! A served model that Prometheus scrapes by protobuf, the one format that has native histograms: a classic histogram of each
//! feature, a native one of its scores, the readings of a sensor, and a disk that fills.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use bellwether::clock::{Clock, DurationMs, Timestamp};
use prost::Message;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::process::Bellwether;
use crate::servers::{self, Prometheus};

const STEP: DurationMs = DurationMs::from_secs(2);
const HISTORY: DurationMs = DurationMs::from_secs(3600);
/// Observations a second of each feature.
const RATE: f64 = 40.0;
/// The features and by how many buckets of twenty they move when the data drift.
pub const FEATURES: [(&str, f64); 3] = [("age", 8.0), ("income", 4.0), ("zip", 0.0)];
const BUCKETS: usize = 20;
/// Free bytes at first, and lost every second.
const FREE: f64 = 4.0e9;
const LOST: f64 = 1.0e6;

/// When what begins; `None` before.
#[derive(Clone, Copy, Default)]
struct Course {
    /// The data drift.
    drifts: Option<Timestamp>,
    /// The disk was emptied and stays so.
    cleaned: bool,
}

/// The model, its Prometheus, and a folder for whatever belongs to them.
pub struct Model {
    pub prometheus: Prometheus,
    course: Arc<Mutex<Course>>,
    dir: TempDir,
    task: JoinHandle<()>,
}

impl Model {
    /// Writes the history and starts Prometheus over it, which scrapes what follows.
    pub async fn serve() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let (text, tsdb) = (dir.path().join("history.txt"), dir.path().join("tsdb"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let now = Clock::System.now().align_down(STEP);
        let start = now - HISTORY;
        let course = Arc::new(Mutex::new(Course::default()));
        let scraped = Arc::clone(&course);
        let metrics = get(move || {
            let body = exposition(start, Clock::System.now(), *scraped.lock().unwrap());
            let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
            async move { ([(header::CONTENT_TYPE, kind)], body).into_response() }
        });
        let task = tokio::spawn(async move { axum::serve(listener, Router::new().route("/metrics", metrics)).await.unwrap() });
        std::fs::write(&text, history(start, now, &target)).unwrap();
        servers::write_history(&text, &tsdb);
        let scrape = format!("scrape_configs: [{{job_name: model, static_configs: [{{targets: ['{target}']}}]}}]");
        let config = format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n{scrape}\n");
        let prometheus = Prometheus::start_with(&tsdb, &config, &["--enable-feature=native-histograms"]);
        Self { prometheus, course, dir, task }
    }

    /// From now on the data are others.
    pub fn drift(&self) {
        self.course.lock().unwrap().drifts = Some(Clock::System.now());
    }

    /// Empties the disk, which is not filled again.
    pub fn clean(&self) {
        self.course.lock().unwrap().cleaned = true;
    }

    /// Starts the engine with these monitors, telling this Alertmanager.
    pub fn watch(&self, monitors: &str, alertmanager: &str) -> Bellwether {
        let path = self.dir.path().join("bellwether.yaml");
        self.write_config(&path, monitors, alertmanager);
        Bellwether::serve(&["-c", path.to_str().unwrap()])
    }

    fn write_config(&self, path: &Path, monitors: &str, alertmanager: &str) {
        let text = format!(
            "prometheus: {{url: '{}'}}\nalertmanagers: ['{alertmanager}']\ndata_dir: {}\n\
             alert_budget: {{per_day: 1}}\ndefaults: {{step: {STEP}, window: 2h, resend: 5s, patience: 0s}}\nmonitors:\n{monitors}",
            self.prometheus.url(),
            self.dir.path().join("data").display()
        );
        std::fs::write(path, text).unwrap();
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The share of values in the first `bucket` of twenty buckets: a bell moved by `shift` buckets.
fn share(bucket: usize, shift: f64) -> f64 {
    let place = (bucket as f64 - 7.0 - shift) / 2.0;
    match bucket {
        0 => 0.0,
        BUCKETS.. => 1.0,
        _ => 1.0 / (1.0 + (-place).exp()),
    }
}

/// How many observations the first `bucket` buckets hold at `at`.
fn observed(bucket: usize, shift: f64, start: Timestamp, at: Timestamp, course: Course) -> f64 {
    let after = course.drifts.map_or(0.0, |from| at.since(from).seconds());
    let before = at.since(start).seconds() - after;
    RATE * (before * share(bucket, 0.0) + after * share(bucket, shift))
}

fn free(start: Timestamp, at: Timestamp, cleaned: bool) -> f64 {
    // A little unrest, so that nothing is a straight line.
    let seconds = at.since(start).seconds();
    let wobble = 2.0e6 * (seconds * 0.9).sin() + 1.0e6 * (seconds * 0.23).cos();
    if cleaned { 20.0 * FREE + wobble } else { FREE - LOST * seconds + wobble }
}

/// A sensor's reading: unrest that never repeats, ten degrees higher when the data drift.
fn reading(at: Timestamp, drifts: Option<Timestamp>) -> f64 {
    let unrest = (at.millis() / 1000).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()).unsigned_abs() >> 40;
    20.0 + 5.0 * (unrest as f64 / f64::from(1 << 23)) + if drifts.is_some_and(|from| at >= from) { 10.0 } else { 0.0 }
}

fn history(start: Timestamp, end: Timestamp, target: &str) -> String {
    let mut text = String::new();
    let times = || (0..end.since(start).steps(STEP)).map(|i| start + STEP * i as i64);
    let own = format!("instance=\"{target}\",job=\"model\"");
    let _ = writeln!(text, "# TYPE disk_free_bytes gauge");
    for at in times() {
        let _ = writeln!(text, "disk_free_bytes{{service=\"store\",{own}}} {} {}", free(start, at, false), at.seconds());
    }
    let _ = writeln!(text, "# TYPE sensor_degrees gauge");
    for at in times() {
        let _ = writeln!(text, "sensor_degrees{{sensor=\"door\",{own}}} {} {}", reading(at, None), at.seconds());
    }
    let _ = writeln!(text, "# TYPE model_feature histogram");
    for (feature, _) in FEATURES {
        for bucket in 1..=BUCKETS {
            let le = bound(bucket);
            let le = if le.is_finite() { le.to_string() } else { "+Inf".to_owned() };
            for at in times() {
                let count = observed(bucket, 0.0, start, at, Course::default()) as u64;
                let _ = writeln!(text, "model_feature_bucket{{feature=\"{feature}\",le=\"{le}\",{own}}} {count} {}", at.seconds());
            }
        }
    }
    text + "# EOF\n"
}

fn bound(bucket: usize) -> f64 {
    if bucket == BUCKETS { f64::INFINITY } else { bucket as f64 + 0.5 }
}

/// All families, each with its length before it.
fn exposition(start: Timestamp, now: Timestamp, course: Course) -> Vec<u8> {
    let gauge = |label, value| Metric { label, gauge: Some(Gauge { value }), histogram: None };
    let disk = gauge(labels("service", "store"), free(start, now, course.cleaned));
    let sensor = gauge(labels("sensor", "door"), reading(now, course.drifts));
    let classic = |(feature, shift): (&str, f64)| {
        let of = |bucket| observed(bucket, shift, start, now, course) as u64;
        let bucket = (1..=BUCKETS).map(|i| Bucket { cumulative_count: of(i), upper_bound: bound(i) }).collect();
        let histogram = Histogram { sample_count: of(BUCKETS), sample_sum: 1.0, bucket, ..Default::default() };
        Metric { label: labels("feature", feature), gauge: None, histogram: Some(histogram) }
    };
    // Each rounded by itself, so that none ever falls: that would be a reset.
    let counts: Vec<i64> =
        (1..=BUCKETS).map(|i| (observed(i, 6.0, start, now, course) - observed(i - 1, 6.0, start, now, course)) as i64).collect();
    let deltas = std::iter::once(counts[0]).chain(counts.windows(2).map(|pair| pair[1] - pair[0])).collect();
    let native = Histogram {
        sample_count: counts.iter().sum::<i64>() as u64,
        sample_sum: 1.0,
        schema: 3,
        zero_threshold: 1e-9,
        positive_span: vec![BucketSpan { offset: -8, length: BUCKETS as u32 }],
        positive_delta: deltas,
        ..Default::default()
    };
    let native = Metric { label: labels("model", "fraud"), gauge: None, histogram: Some(native) };
    let family = |name: &str, kind, metric| MetricFamily { name: name.to_owned(), kind, metric };
    let families = [
        family("disk_free_bytes", GAUGE, vec![disk]),
        family("sensor_degrees", GAUGE, vec![sensor]),
        family("model_feature", HISTOGRAM, FEATURES.into_iter().map(classic).collect()),
        family("model_score", HISTOGRAM, vec![native]),
    ];
    families.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

fn labels(name: &str, value: &str) -> Vec<LabelPair> {
    vec![LabelPair { name: name.to_owned(), value: value.to_owned() }]
}

const GAUGE: i32 = 1;
const HISTOGRAM: i32 = 4;

// The part of io.prometheus.client that is needed here.

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Gauge>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Gauge {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    sample_count: u64,
    #[prost(double, tag = "2")]
    sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, tag = "1")]
    cumulative_count: u64,
    #[prost(double, tag = "2")]
    upper_bound: f64,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}
