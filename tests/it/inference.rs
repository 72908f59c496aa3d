//! Changes read off a real Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use bellwether::clock::{Clock, DurationMs};
use bellwether::endpoint;
use bellwether::engine::Inference;
use bellwether::event::{Event, EventKind};
use bellwether::source::prometheus;
use tokio::net::TcpListener;

use crate::servers::Prometheus;

/// What a process of one version exposes that began at a time, and what is known of its deployment.
fn exposition(version: &str, began: f64, generation: u32, replicas: u32) -> String {
    let deployment = "{namespace=\"shop\",deployment=\"payment\"}";
    format!(
        "payment_build_info{{version=\"{version}\",revision=\"abc\"}} 1\nprocess_start_time_seconds {began}\n\
         kube_deployment_status_observed_generation{deployment} {generation}\nkube_deployment_spec_replicas{deployment} {replicas}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_a_restart_and_a_scaling_are_found_once() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let now = || Clock::System.now();
    let (rolled, dir) = (Arc::new(AtomicBool::new(false)), tempfile::tempdir().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (began, is_rolled) = (now().seconds(), Arc::clone(&rolled));
    let anew = Arc::new(std::sync::OnceLock::new());
    let metrics = get(move || {
        let (was, is) = (exposition("1.2", began - 9000.0, 4, 2), || exposition("1.3", *anew.get_or_init(|| now().seconds()), 6, 3));
        let text = if is_rolled.load(Ordering::Relaxed) { is() } else { was };
        async { text }
    });
    let serving = tokio::spawn(async move { axum::serve(listener, Router::new().route("/metrics", metrics)).await });
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs: [{{job_name: payment, static_configs: [{{targets: ['{target}']}}]}}]\n"
    );
    let server = Prometheus::start_with(dir.path(), &config, &[]);
    let config = prometheus::Config {
        endpoint: endpoint::Config::new(server.url().parse().unwrap()),
        concurrency: 2,
        most_series: 100,
        most_points: 100_000,
    };
    let (client, inference) = (config.build().unwrap(), Inference { step: DurationMs::from_secs(1), ..Inference::new("service") });
    let look = async || inference.look(&client, now()).await.unwrap();
    let scraped = async || !client.instant("count(payment_build_info)", now()).await.unwrap().is_empty();
    wait("it is scraped", async || scraped().await).await;
    // What was there before it is looked at has not changed.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(look().await, []);

    rolled.store(true, Ordering::Relaxed);
    wait("all is found", async || look().await.len() >= 4).await;
    let first = look().await;
    let mut titles: Vec<&str> = first.iter().map(|event| event.title.as_str()).collect();
    titles.sort_unstable();
    assert_eq!(
        titles,
        ["payment 1.2 → 1.3", "payment restarted: 1 of 1 process", "payment was changed: generation 6", "payment was scaled from 2 to 3"]
    );
    let of = |kind| first.iter().filter(|event: &&Event| event.kind == kind).count();
    assert_eq!((of(EventKind::Deployment), of(EventKind::Scaling), of(EventKind::Other)), (2, 1, 1));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(look().await, first, "a later look finds the same");
    serving.abort();
}

/// Waits until `holds`; a minute without it is a failure.
async fn wait<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_mins(1), "never: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
