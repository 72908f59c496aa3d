//! Whether the engine can do its work, for probes.

use std::sync::atomic::Ordering;

use super::Engine;
use crate::clock::{DurationMs, Timestamp};

/// Whether the engine can do its work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why the store cannot be used.
    pub store: Option<String>,
    /// Why Prometheus cannot be read.
    pub prometheus: Option<String>,
    /// Who leads, where this process only stands by; it then reads no Prometheus.
    pub standby: Option<String>,
}

impl Health {
    /// Whether everything works.
    pub fn is_good(&self) -> bool {
        self.store.is_none() && self.prometheus.is_none()
    }
}

impl Engine {
    /// Whether the store answers and Prometheus was read within the last minutes.
    pub async fn health(&self) -> Health {
        let store = self.0.store.ping().await.err().map(|e| e.chain());
        if !self.0.store.leads() {
            let leader = self.0.store.leader().await.ok().flatten();
            return Health { store, prometheus: None, standby: Some(leader.unwrap_or_else(|| "nobody".to_owned())) };
        }
        let prometheus = self.0.prometheus.as_ref().and_then(|_| {
            let last = self.0.last_read.load(Ordering::Relaxed);
            let longest = self.watched().values().map(|m| m.step).max().unwrap_or_default() * 3;
            let limit = DurationMs::from_millis(longest.millis() + 60_000);
            if last == i64::MIN {
                Some("not read yet".to_owned())
            } else {
                let silent = self.0.clock.now().since(Timestamp::from_millis(last));
                (silent > limit).then(|| format!("not read for {silent}"))
            }
        });
        Health { store, prometheus, standby: None }
    }
}
