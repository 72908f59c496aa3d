//! A small shop that Prometheus scrapes: three hours of history in blocks, and from then on values that a test moves.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::routing::get;
use bellwether::clock::{Clock, DurationMs, Timestamp};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::process::Bellwether;
use crate::servers::{self, Prometheus};

/// The time between two points of a monitor.
pub const STEP: DurationMs = DurationMs::from_secs(2);
const HISTORY: DurationMs = DurationMs::from_secs(3 * 3600);
/// Metric, its usual value, the size of its noise, and how far it is off while something is wrong.
const METRICS: [(&str, f64, f64, f64); 2] = [("shop_queue_depth", 120.0, 6.0, 150.0), ("shop_work_seconds", 0.25, 0.01, 0.4)];
const CALLS: &str = "traces_service_graph_request_total";
/// Series of the usual shop.
pub const SERIES: i32 = (3 * METRICS.len()) as i32;

/// What is in a shop, and what of it breaks.
#[derive(Debug)]
pub struct Plan {
    pub services: Vec<String>,
    /// Caller and callee.
    pub calls: Vec<(String, String)>,
    pub breaks: fn(&str) -> bool,
}

impl Plan {
    /// Three services, of which `payment` breaks.
    fn usual() -> Self {
        let services = ["cart", "orders", "payment"].map(str::to_owned).to_vec();
        let calls = vec![("orders".to_owned(), "payment".to_owned())];
        Self { services, calls, breaks: |service| service == "payment" }
    }
}

/// The shop, its Prometheus, and a folder for whatever belongs to them.
pub struct Shop {
    pub prometheus: Prometheus,
    wrong: Arc<AtomicBool>,
    dir: TempDir,
    task: JoinHandle<()>,
}

impl Shop {
    /// Writes the history and starts Prometheus over it, which scrapes what follows.
    pub async fn open() -> Self {
        Self::open_as(Plan::usual()).await
    }

    /// The same of another plan.
    pub async fn open_as(plan: Plan) -> Self {
        let plan = Arc::new(plan);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let (text, tsdb) = (dir.path().join("history.txt"), dir.path().join("tsdb"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let wrong = Arc::new(AtomicBool::new(false));
        let scraped = Arc::clone(&wrong);
        let scraped_plan = Arc::clone(&plan);
        let metrics = get(move || {
            let text = exposition(&scraped_plan, "", &[Clock::System.now()], scraped.load(Ordering::Relaxed), false);
            async { text }
        });
        let task = tokio::spawn(async move { axum::serve(listener, Router::new().route("/metrics", metrics)).await.unwrap() });

        let now = Clock::System.now().align_down(STEP);
        let times: Vec<Timestamp> = (0..HISTORY.steps(STEP) as i64).rev().map(|i| now - STEP * i).collect();
        let history = exposition(&plan, &format!(",instance=\"{target}\",job=\"shop\""), &times, false, true) + "# EOF\n";
        std::fs::write(&text, history).unwrap();
        servers::write_history(&text, &tsdb);
        let scrape = format!("scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['{target}']}}]}}]");
        let prometheus = Prometheus::start_with(&tsdb, &format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n{scrape}\n"), &[]);
        Self { prometheus, wrong, dir, task }
    }

    /// Puts what breaks out of order, or in order again.
    pub fn break_it(&self, wrong: bool) {
        self.wrong.store(wrong, Ordering::Relaxed);
    }

    /// Where the engine keeps its data.
    pub fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// Starts the engine with a configuration of two monitors, telling this Alertmanager.
    pub fn watch(&self, alertmanager: Option<&str>) -> Bellwether {
        let alertmanagers = alertmanager.map_or(String::new(), |url| format!("alertmanagers: ['{url}']\n"));
        self.serve("data", &alertmanagers)
    }

    /// The same with a data directory of its own and `more` configuration.
    pub fn replica(&self, name: &str, alertmanager: &str, more: &str) -> Bellwether {
        self.serve(name, &format!("alertmanagers: ['{alertmanager}']\n{more}"))
    }

    fn serve(&self, data: &str, more: &str) -> Bellwether {
        let path = self.dir.path().join(format!("{data}.yaml"));
        let prometheus = self.prometheus.url();
        let monitors = [("queue", "queue", "shop_queue_depth"), ("work", "latency", "shop_work_seconds")]
            .map(|(name, metric, series)| format!("  - {{name: {name}, metric: {metric}, query: sum by (service) ({series})}}\n"))
            .concat();
        let text = format!(
            "prometheus: {{url: '{prometheus}'}}\n{more}data_dir: {}\n\
             alert_budget: {{per_day: 1}}\n\
             defaults: {{step: {STEP}, window: 2h, resend: 5s, patience: 0s}}\nmonitors:\n{monitors}",
            self.dir.path().join(data).display()
        );
        std::fs::write(&path, text).unwrap();
        Bellwether::serve(&["-c", path.to_str().unwrap()])
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Every series at `times`, with `labels` after its own.
fn exposition(plan: &Plan, labels: &str, times: &[Timestamp], wrong: bool, stamped: bool) -> String {
    let mut text = String::new();
    for (name, usual, spread, off) in METRICS {
        let _ = writeln!(text, "# TYPE {name} gauge");
        for service in &plan.services {
            for time in times {
                let off = if wrong && (plan.breaks)(service) { off } else { 0.0 };
                let value = usual + off + spread * noise(&format!("{name}{service}"), *time);
                let _ = write!(text, "{name}{{service=\"{service}\"{labels}}} {value:.6}");
                let _ = if stamped { writeln!(text, " {}", time.seconds()) } else { writeln!(text) };
            }
        }
    }
    // As the service graph of traces has it; a gauge, so that both formats take its name.
    let _ = writeln!(text, "# TYPE {CALLS} gauge");
    for (client, server) in &plan.calls {
        for time in times {
            let _ = write!(text, "{CALLS}{{client=\"{client}\",server=\"{server}\"{labels}}} {}", time.millis() / 1000);
            let _ = if stamped { writeln!(text, " {}", time.seconds()) } else { writeln!(text) };
        }
    }
    text
}

/// Noise of about a standard normal distribution, a function of the series and the time.
fn noise(series: &str, time: Timestamp) -> f64 {
    let mut state = series
        .bytes()
        .fold(time.millis() as u64 ^ 0x9e37_79b9_7f4a_7c15, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut uniform = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    };
    (0..12).map(|_| uniform()).sum::<f64>() - 6.0
}
