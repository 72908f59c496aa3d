//! The faces over real connections: gRPC, pages, webhook and metrics on one port.

mod analysis;
mod backtest;
mod correlate;
mod drift;
mod events;
mod feedback;
mod forecast;
mod guards;
mod incidents;
mod life;
mod limits;
mod malformed;
mod monitors;
mod pages;
mod serving;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bellwether::app::App;
use bellwether::clock::{Clock, DurationMs, Timestamp};
use bellwether::config::{self, Config};
use bellwether::engine::Engine;
use bellwether::error::Result;
use bellwether::proto::analysis_service_client::AnalysisServiceClient;
use bellwether::proto::backtest_service_client::BacktestServiceClient;
use bellwether::proto::event_service_client::EventServiceClient;
use bellwether::proto::incident_service_client::IncidentServiceClient;
use bellwether::proto::monitor_service_client::MonitorServiceClient;
use bellwether::proto::{self, InlineSeries, PromqlRange, SeriesInput, series_input};
use bellwether::simulator::{self, IncidentKind, Plan, Shop};
use prost_types::{Duration as ProtoDuration, Timestamp as ProtoTime};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt;

pub const MINUTE: DurationMs = DurationMs::from_secs(60);
/// The longest anything may take that is waited for.
const PATIENCE: Duration = Duration::from_mins(2);

pub fn now() -> Timestamp {
    Clock::System.now()
}

/// Four days of a shop whose `payment` began to run out of connections ten minutes ago, and does so still.
pub fn shop() -> Arc<Shop> {
    static SHOP: LazyLock<Arc<Shop>> = LazyLock::new(|| {
        let now = now().align_down(MINUTE);
        let config = simulator::Config {
            seed: 7,
            services: 12,
            start: now - DurationMs::DAY * 4,
            scrape_interval: MINUTE,
            sessions: 0,
            incident: Some(Plan { kind: IncidentKind::PoolExhaustion, onset: now - MINUTE * 10, duration: None }),
            campaign: None,
        };
        Arc::new(config.build().unwrap())
    });
    Arc::clone(&SHOP)
}

/// The address of the shop's Prometheus, which serves until the runtime ends.
pub async fn serve_shop() -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(simulator::http::serve(shop(), Arc::new(Clock::System), listener, std::future::pending()));
    url
}

/// What most tests watch in the shop: `payment`'s pool falls ill, `cart`'s memory stays well.
pub const MONITORS: &str = "
alert_budget: {per_day: 0.1}
defaults: {patience: 0s}
monitors:
  - {name: memory, query: 'process_resident_memory_bytes{service=\"cart\"}', metric: memory, unit: bytes, direction: up, window: 3d}
  - {name: pool, query: db_connection_pool_in_use / db_connection_pool_max, metric: saturation, unit: ratio, window: 3d}
";

/// An engine that runs and is served, until the value is dropped or [`Served::stop`].
pub struct Served {
    pub engine: Engine,
    pub url: String,
    pub channel: Channel,
    folder: TempDir,
    stop: watch::Sender<bool>,
    running: Option<JoinHandle<Result<()>>>,
}

impl Served {
    /// One with this configuration file, and no environment and no flags.
    pub async fn start(yaml: &str) -> Self {
        Self::start_with(yaml, |_| ()).await
    }

    /// As [`Served::start`]; `change` sets what a file may not, such as the shortest of timeouts.
    pub async fn start_with(yaml: &str, change: impl FnOnce(&mut Config)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bellwether.yaml");
        std::fs::write(&file, format!("data_dir: data\n{yaml}")).unwrap();
        let mut config = config::load(Some(&file), std::iter::empty(), &[]).unwrap();
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = App::build(&config).await.unwrap();
        let engine = app.engine.clone();
        let (stop, stopped) = watch::channel(false);
        let running = Some(tokio::spawn(app.run(None, listener, stopped)));
        let channel = Channel::from_shared(url.clone()).unwrap().connect().await.unwrap();
        Self { engine, url, channel, folder, stop, running }
    }

    /// Over the shop.
    pub async fn over_the_shop(yaml: &str) -> Self {
        Self::start(&format!("prometheus: {{url: '{}'}}\n{yaml}", serve_shop().await)).await
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(mut self) {
        self.stop.send(true).unwrap();
        self.running.take().unwrap().await.unwrap().unwrap();
    }

    pub fn database(&self) -> String {
        let path: &Path = &self.folder.path().join("data/bellwether.sqlite");
        format!("sqlite://{}", path.display())
    }

    pub fn analysis(&self) -> AnalysisServiceClient<Channel> {
        AnalysisServiceClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    pub fn backtests(&self) -> BacktestServiceClient<Channel> {
        BacktestServiceClient::new(self.channel.clone())
    }

    pub fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel.clone())
    }

    pub fn incidents(&self) -> IncidentServiceClient<Channel> {
        IncidentServiceClient::new(self.channel.clone())
    }

    pub fn monitors(&self) -> MonitorServiceClient<Channel> {
        MonitorServiceClient::new(self.channel.clone())
    }

    /// Status, headers and body of a page.
    pub async fn get(&self, path: &str) -> (u16, reqwest::header::HeaderMap, String) {
        let response = http().get(format!("{}{path}", self.url)).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.text().await.unwrap())
    }

    /// Status and answer of the webhook.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, String) {
        let request = http().post(format!("{}/webhook/alertmanager", self.url)).header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The open incident of `payment`, once the engine has found it.
    pub async fn incident(&self) -> proto::Incident {
        let request = proto::ListIncidentsRequest { state: 1, ..Default::default() };
        until("an incident of payment", async || {
            let list = self.incidents().list_incidents(request.clone()).await.unwrap().into_inner().incidents;
            list.into_iter().find(|i| i.findings.iter().any(|f| f.service == "payment"))
        })
        .await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

/// A client that trusts nothing but loopback.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Waits for what `look` sees.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

pub fn time(t: Timestamp) -> ProtoTime {
    ProtoTime { seconds: t.millis().div_euclid(1000), nanos: (t.millis().rem_euclid(1000) * 1_000_000) as i32 }
}

pub fn millis(t: Option<ProtoTime>) -> i64 {
    let t = t.unwrap();
    t.seconds * 1000 + i64::from(t.nanos) / 1_000_000
}

pub fn seconds(seconds: i64) -> ProtoDuration {
    ProtoDuration { seconds, nanos: 0 }
}

/// Yesterday at this time, and `minutes` later: what is stored and much older is soon forgotten.
pub fn recent(minutes: i64) -> Timestamp {
    static YESTERDAY: LazyLock<Timestamp> = LazyLock::new(|| now().align_down(MINUTE) - DurationMs::DAY);
    Timestamp::from_millis(YESTERDAY.millis() + minutes * MINUTE.millis())
}

/// 2026-01-05, a Monday, and `minutes` later.
pub fn at(minutes: i64) -> Timestamp {
    let monday: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
    Timestamp::from_millis(monday.millis() + minutes * MINUTE.millis())
}

#[expect(clippy::unnecessary_wraps, reason = "the field of a request is optional")]
pub fn inline(series: Vec<proto::Series>) -> Option<SeriesInput> {
    Some(SeriesInput { from: Some(series_input::From::Inline(InlineSeries { series, step: None })) })
}

#[expect(clippy::unnecessary_wraps, reason = "the field of a request is optional")]
pub fn promql(query: &str, start: Timestamp, end: Timestamp) -> Option<SeriesInput> {
    let range = PromqlRange { query: query.to_owned(), start: Some(time(start)), end: Some(time(end)), step: Some(seconds(300)) };
    Some(SeriesInput { from: Some(series_input::From::Promql(range)) })
}

/// One value every ten minutes from [`at`] zero on.
pub fn series(name: &str, values: &[f64]) -> proto::Series {
    let point = |(i, value): (usize, &f64)| proto::Point { time: Some(time(at(i as i64 * 10))), value: *value };
    proto::Series { labels: [("__name__".to_owned(), name.to_owned())].into(), points: values.iter().enumerate().map(point).collect() }
}

/// A refusal as a person reads it: code, message, fields at fault, when to try again.
pub fn told(status: &Status) -> String {
    let details = status.get_error_details();
    let mut text = format!("{:?}: {}", status.code(), status.message());
    if let Some(info) = details.error_info() {
        let _ = write!(text, "\n  reason {} of {}", info.reason, info.domain);
    }
    for violation in details.bad_request().map(|b| b.field_violations.as_slice()).unwrap_or_default() {
        let _ = write!(text, "\n  {}: {}", violation.field, violation.description);
    }
    if let Some(retry) = details.retry_info() {
        let _ = write!(text, "\n  try again after {:?}", retry.retry_delay.unwrap_or_default());
    }
    text
}

/// Panics with what `promtool` says of a scrape that it does not take.
pub fn check_metrics(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool comes with the Debian package prometheus");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{text}");
}
