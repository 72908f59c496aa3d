//! The built binary between a real Prometheus and a real Alertmanager.

mod ahead;
mod api;
mod forty;
mod fourteen_days;
mod life;
mod model;
mod outages;
mod people;
mod replicas;
mod restarts;
mod shop;

use std::time::{Duration, Instant};

/// Waits until `holds` and tells how long that took; `patience` without it is a failure.
async fn until<F: Future<Output = bool>>(what: &str, patience: Duration, mut holds: impl FnMut() -> F) -> Duration {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < patience, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    begin.elapsed()
}
