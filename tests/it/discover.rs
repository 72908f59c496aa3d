//! Discovery on a real Prometheus whose blocks were backfilled: there is no metadata, names must tell.

use std::fmt::Write as _;

use bellwether::clock::{Clock, DurationMs, Timestamp};
use bellwether::config;
use bellwether::endpoint;
use bellwether::engine::discover::{Options, Proposal, discover};
use bellwether::source::prometheus::{Config, Prometheus};

use crate::servers;

const STEP: DurationMs = DurationMs::from_secs(60);
/// Twenty-six hours.
const POINTS: i64 = 1560;
const SERVICES: [&str; 3] = ["cart", "checkout", "payment"];

/// Name, labels after `service`, and the value at minute `i` for service `s`; none when there is no sample.
type Shape = (&'static str, &'static str, fn(i64, i64) -> Option<f64>);

const SHAPES: [Shape; 14] = [
    ("shop_requests_total", ",code=\"200\"", |i, s| Some((i * (100 + s) + i * i % 977) as f64)),
    ("shop_requests_total", ",code=\"500\"", |i, s| Some((i / (7 + s)) as f64)),
    ("shop_request_duration_seconds_bucket", ",le=\"0.1\"", |i, _| Some((i * 60 + i * i % 50) as f64)),
    ("shop_request_duration_seconds_bucket", ",le=\"1\"", |i, _| Some((i * 100) as f64)),
    ("shop_request_duration_seconds_bucket", ",le=\"+Inf\"", |i, _| Some((i * 100) as f64)),
    ("shop_request_duration_seconds_count", "", |i, _| Some((i * 100) as f64)),
    ("shop_request_duration_seconds_sum", "", |i, _| Some(i as f64 * 9.5)),
    ("shop_pool_in_use", "", |i, s| Some(((i + s) % 17) as f64)),
    ("shop_pool_max", "", |_, _| Some(20.0)),
    ("shop_queue_length", "", |i, s| Some(((i * 3 + s) % 11) as f64)),
    ("shop_feature_flag", "", |_, _| Some(1.0)),
    ("shop_forgotten", "", |i, _| (i < POINTS / 2).then_some((i % 5) as f64)),
    ("shop_build_info", ",version=\"1.2\"", |_, _| Some(1.0)),
    ("up", ",job=\"shop\"", |_, _| Some(1.0)),
];

fn history(start: Timestamp) -> String {
    let mut text = String::new();
    let mut declared = "";
    for (name, labels, value) in SHAPES {
        // The format wants one declaration a name; what it says does not reach the blocks.
        if declared != name {
            let _ = writeln!(text, "# TYPE {name} unknown");
            declared = name;
        }
        for (s, service) in SERVICES.iter().enumerate() {
            for i in 0..POINTS {
                if let Some(value) = value(i, s as i64) {
                    let _ = writeln!(text, "{name}{{service=\"{service}\"{labels}}} {value} {}", (start + STEP * i).seconds());
                }
            }
        }
    }
    text + "# EOF\n"
}

fn client(url: &str, most_series: usize) -> Prometheus {
    let endpoint = endpoint::Config::new(url.parse().unwrap());
    Config { endpoint, concurrency: 4, most_series, most_points: 1_000_000 }.build().unwrap()
}

fn told(proposal: &Proposal) -> String {
    let monitors = proposal.monitors.iter().map(|m| m.name.clone());
    let skipped = proposal.skipped.iter().map(|s| format!("{}: {}", s.metric, s.reason.split(" since").next().unwrap_or_default()));
    monitors.chain(["skipped".to_owned()]).chain(skipped).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_without_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let (text, tsdb) = (dir.path().join("history.txt"), dir.path().join("tsdb"));
    let now = Clock::System.now().align_down(STEP);
    std::fs::write(&text, history(now - STEP * (POINTS - 1))).unwrap();
    servers::write_history(&text, &tsdb);
    let server = servers::Prometheus::start(&tsdb, &[]);
    let options = Options::new(STEP, DurationMs::WEEK * 2);

    let proposal = discover(&client(&server.url(), 1000), now, &options).await.unwrap();
    insta::assert_snapshot!(told(&proposal), @r"
    shop-pool-utilisation
    shop-queue-length
    shop-request-duration-p50
    shop-request-duration-p95
    shop-request-duration-p99
    shop-requests-rate
    shop-requests-error-ratio
    target-availability
    skipped
    shop_build_info: carries facts in its labels, no measurement
    shop_feature_flag (shop-feature-flag): constant over the last day
    shop_forgotten: dead: it had samples a day ago and has none now
    shop_request_duration_seconds_count: duplicate: shop_requests_total gives the same traffic
    ");

    // A client that allows few series makes discovery ask in smaller pieces, for the same proposal.
    assert_eq!(discover(&client(&server.url(), 14), now, &options).await.unwrap(), proposal);

    // Printed and read back, it is what `-c` takes.
    let file = dir.path().join("bellwether.yaml");
    let yaml = config::monitors_yaml(&proposal.monitors, &config::Defaults::default(), Some(&server.url()), "Proposed.");
    std::fs::write(&file, yaml).unwrap();
    let read = config::load(Some(&file), std::iter::empty(), &[]).unwrap();
    assert_eq!(read.monitors, proposal.monitors);
    assert!(!read.discovery);
}
