//! The outbox's courier: brings to each sink what the store says it is due.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::{Clock, DurationMs, Timestamp};
use crate::delivery::{Alertmanager, Outcome};
use crate::error::{Code, Error, Result};
use crate::store::{Delivery, Store};

/// How often a firing alert is sent again, as Prometheus does.
pub const RESEND: DurationMs = DurationMs::from_secs(60);

/// A firing alert is told to end this many resend intervals from now: Alertmanager may miss three of them.
const RESENDS_UNTIL_END: i64 = 4;

/// The wait after a first failure; it doubles with each further one, up to the resend interval.
const FIRST_RETRY: DurationMs = DurationMs::from_secs(1);

/// The most alerts taken from the store at once.
const BATCH: usize = 256;

/// The longest sleep: also a clock that was set, or a commit nobody told of, is noticed within it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Brings alerts from the store to every sink.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// Where they are written before they are sent.
    pub store: Store,
    /// The Alertmanagers; each gets every alert.
    pub sinks: Vec<Alertmanager>,
    /// How often a firing alert is sent again.
    pub resend: DurationMs,
    /// What time it is.
    pub clock: Arc<Clock>,
}

impl Outbox {
    /// Delivers until `shutdown`, woken by each change of `committed`. Every sink has a task of its own, so
    /// that a slow or dead one does not delay the others. What is being sent at the end is sent again at the
    /// next start, which Alertmanager takes for the same alert.
    pub async fn run(self, committed: watch::Receiver<u64>, shutdown: impl Future<Output = ()> + Send) {
        let names: Vec<&str> = self.sinks.iter().map(Alertmanager::name).collect();
        if let Err(error) = self.store.keep_sinks(&names).await {
            tracing::error!(error = error.chain(), "cannot clear the outbox of sinks that are gone");
        }
        let mut tasks = JoinSet::new();
        for sink in self.sinks {
            let courier = Courier {
                store: self.store.clone(),
                sink,
                resend: self.resend,
                clock: Arc::clone(&self.clock),
                failing: false,
                hastened: false,
            };
            tasks.spawn(courier.run(committed.clone()));
        }
        shutdown.await;
        tasks.shutdown().await;
    }
}

/// Serves one sink.
struct Courier {
    store: Store,
    sink: Alertmanager,
    resend: DurationMs,
    clock: Arc<Clock>,
    /// Whether the last attempt failed: only the first failure and the recovery are logged.
    failing: bool,
    /// Whether what was due later was made due at the start.
    hastened: bool,
}

impl Courier {
    async fn run(mut self, mut committed: watch::Receiver<u64>) {
        loop {
            // Before the look into the store, so that a commit during it wakes us again.
            committed.borrow_and_update();
            let sleep = match self.drain().await {
                Ok(next) => next.map_or(LONGEST_SLEEP, |next| next.since(self.clock.now()).to_std().min(LONGEST_SLEEP)),
                Err(error) => {
                    tracing::error!(sink = self.sink.name(), error = error.chain(), "cannot work with the outbox");
                    FIRST_RETRY.to_std()
                }
            };
            let woken = async {
                if committed.changed().await.is_err() {
                    // The engine is gone; what is written is still to be delivered.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Sends all that is due and tells when the next is.
    async fn drain(&mut self) -> Result<Option<Timestamp>> {
        if !self.hastened {
            self.store.hasten(self.sink.name(), self.clock.now()).await?;
            self.hastened = true;
        }
        loop {
            let due = self.store.due(self.sink.name(), self.clock.now(), BATCH).await?;
            if due.is_empty() {
                break;
            }
            self.send(&due).await?;
        }
        let backlog = self.store.backlog(self.sink.name()).await?;
        metrics::gauge!("bellwether_outbox_pending", "sink" => self.sink.name().to_owned()).set(backlog.pending as f64);
        let now = self.clock.now();
        if backlog.next_send.is_some_and(|next| next > now + self.resend * 2) {
            tracing::warn!(sink = self.sink.name(), "the clock was set back; everything is sent again");
            self.store.hasten(self.sink.name(), now).await?;
            return Ok(Some(now));
        }
        Ok(backlog.next_send)
    }

    async fn send(&mut self, due: &[Delivery]) -> Result<()> {
        if !self.store.leads() {
            return Err(Error::new(Code::Unavailable, "another replica leads and delivers"));
        }
        let alerts: Vec<_> = due.iter().map(|d| d.alert.clone()).collect();
        let began = Instant::now();
        let outcomes = self.sink.post(&alerts, self.clock.now() + self.resend * RESENDS_UNTIL_END).await;
        let name = self.sink.name();
        metrics::histogram!("bellwether_delivery_seconds", "sink" => name.to_owned()).record(began.elapsed().as_secs_f64());

        let now = self.clock.now();
        let (mut accepted, mut failed, mut why) = (Vec::new(), Vec::new(), None);
        for (delivery, outcome) in due.iter().zip(&outcomes) {
            metrics::counter!("bellwether_deliveries_total", "sink" => name.to_owned(), "outcome" => outcome.as_str()).increment(1);
            if *outcome != Outcome::Accepted {
                metrics::counter!("bellwether_failures_total", "part" => "delivery", "cause" => outcome.as_str()).increment(1);
            }
            match outcome {
                Outcome::Accepted => accepted.push(delivery),
                Outcome::Rejected(error) => {
                    tracing::error!(sink = name, incident = delivery.incident, error, "Alertmanager refuses the alert as invalid");
                    self.store.rejected(delivery, error).await?;
                }
                Outcome::Unavailable(error) => {
                    failed.push((delivery, now + backoff(delivery.attempts, self.resend)));
                    why = Some(error);
                }
            }
        }
        if !accepted.is_empty() {
            self.store.delivered(&accepted, now, now + self.resend).await?;
        }
        if let Some(why) = why {
            self.store.undelivered(&failed, why).await?;
        }
        match why {
            Some(error) if !self.failing => tracing::warn!(sink = name, alerts = failed.len(), error, "cannot deliver; trying again"),
            None if self.failing => tracing::info!(sink = name, alerts = accepted.len(), "delivering again"),
            _ => {}
        }
        self.failing = why.is_some();
        Ok(())
    }
}

/// The wait after one more than `attempts` failures: doubling, at most `longest`, of which a random half is
/// left out so that many alerts and many engines do not come back at one instant.
fn backoff(attempts: u32, longest: DurationMs) -> DurationMs {
    let wait = (FIRST_RETRY * 2_i64.saturating_pow(attempts)).min(longest).millis();
    DurationMs::from_millis((wait as f64 * (0.5 + 0.5 * rand::random::<f64>())).ceil() as i64)
}

#[cfg(test)]
mod tests;
