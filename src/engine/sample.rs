//! An engine for tests, over a folder of its own.

use std::path::Path;
use std::sync::Arc;

use super::discover::Options;
use super::pool::Pool;
use super::{Config, Engine, Parts};
use crate::action::Mode;
use crate::clock::{Clock, DurationMs};
use crate::correlation::remedy::Catalogue;
use crate::delivery::links::Links;
use crate::endpoint;
use crate::source::prometheus;
use crate::store::Store;
use crate::store::models::ModelFolder;

/// The least there can be: no monitors, no sinks, and nothing that happens by itself.
pub(super) fn config() -> Config {
    Config {
        alert_budget_per_day: 1.0,
        refit: DurationMs::DAY,
        patience: DurationMs::ZERO,
        external_url: "http://localhost".to_owned(),
        monitors: Vec::new(),
        discovery: false,
        proposals: Options::new(DurationMs::from_secs(60), DurationMs::DAY),
        retention: DurationMs::DAY * 90,
        sinks: Vec::new(),
        calls: Vec::new(),
        learn_calls: false,
        actions: Mode::Off,
        links: Links::new(b"secret", DurationMs::DAY),
        most_bytes: None,
        inference: None,
    }
}

/// The engine of `config` as after a start, with its store and models in `folder` and a Prometheus, if any, at `url`.
pub(super) async fn engine(config: Config, folder: &Path, clock: Arc<Clock>, url: Option<&str>) -> Engine {
    let prometheus = url.map(|url| {
        let endpoint = endpoint::Config::new(url.parse().unwrap());
        prometheus::Config { endpoint, concurrency: 1, most_series: 100, most_points: 1_000_000 }.build().unwrap()
    });
    let parts = Parts {
        prometheus,
        store: Store::open(&folder.join("store.db")).await.unwrap(),
        models: ModelFolder::open(&folder.join("models")).unwrap().0,
        clock,
        pool: Pool::new(1).unwrap(),
        catalogue: Catalogue::shipped(),
        actions: Vec::new(),
        committed: tokio::sync::watch::channel(0).0,
    };
    Engine::new(config, parts).await.unwrap()
}
