//! Work while this process leads, stand by while another does.
//!
//! Replicas that share a store ask for its lease again and again; the one that has it works as if it had just been
//! started, the others show what is stored and leave the events that reach them in the store's inbox.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;

use super::outbox::Outbox;
use super::status::MonitorStatus;
use super::{Engine, WATCH_BUFFER, correlating};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::incident::Incident;
use crate::store::lease::RENEW;
use crate::telemetry;

/// How often the one that leads looks for events that others left.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks for feedback that others took.
const LEARN: Duration = Duration::from_secs(30);

impl Engine {
    /// Leads whenever it may, until `shutdown` completes: evaluates, correlates, and delivers with `outbox`, which
    /// `committed` wakes. At the end it lets another lead at once.
    pub async fn lead(&self, outbox: Outbox, committed: watch::Receiver<u64>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            metrics::gauge!("bellwether_leader").set(0.0);
            tokio::select! {
                () = self.stand_by() => {}
                () = &mut shutdown => return self.give_over().await,
            }
            metrics::gauge!("bellwether_leader").set(1.0);
            let (stop, stopped) = watch::channel(false);
            let until_stopped = || {
                let mut stopped = stopped.clone();
                async move { drop(stopped.wait_for(|stop| *stop).await) }
            };
            let working = async { tokio::join!(self.run(until_stopped()), outbox.clone().run(committed.clone(), until_stopped())) };
            let leading = async {
                let ended = tokio::select! {
                    () = self.lead_on() => false,
                    () = &mut shutdown => true,
                };
                let _ = stop.send(true);
                ended
            };
            let (_, ended) = tokio::join!(working, leading);
            if ended {
                return self.give_over().await;
            }
            tracing::warn!("leading no more");
        }
    }

    async fn give_over(&self) {
        if let Err(error) = self.store().resign().await {
            telemetry::failure("lease", &error);
        }
    }

    /// Completes when this process leads and knows what the store knows. Until then whoever watches incidents sees
    /// those that the leader changes.
    async fn stand_by(&self) {
        let (mut told, mut failing, mut since, mut seen) = (false, false, self.0.clock.now(), BTreeSet::new());
        loop {
            match self.try_to_lead(&mut since, &mut seen).await {
                Ok(true) => return,
                Ok(false) => {
                    failing = false;
                    if !std::mem::replace(&mut told, true) {
                        let leader = self.store().leader().await.ok().flatten();
                        tracing::info!(leader, "standing by");
                    }
                }
                // A database that is away is told once.
                Err(error) if !std::mem::replace(&mut failing, true) => telemetry::failure("lease", &error),
                Err(_) => {}
            }
            tokio::time::sleep(RENEW).await;
        }
    }

    /// Begins to lead if it may, or else passes on what the leader changed: since when, and without what was seen.
    async fn try_to_lead(&self, since: &mut Timestamp, seen: &mut BTreeSet<(Timestamp, String)>) -> Result<bool> {
        if self.begin_to_lead().await? {
            return Ok(true);
        }
        let changed = self.store().changed_since(*since, WATCH_BUFFER).await?;
        let key = |incident: &Incident| (incident.updated, incident.id.clone());
        let now_seen: BTreeSet<_> = changed.iter().map(key).collect();
        *since = changed.last().map_or(*since, |latest| latest.updated);
        for incident in changed.into_iter().filter(|incident| !seen.contains(&key(incident))) {
            // Nobody need be watching.
            let _ = self.0.changes.send(incident);
        }
        *seen = now_seen;
        Ok(false)
    }

    async fn begin_to_lead(&self) -> Result<bool> {
        // Held from before the lease is: nothing may be written by what was known before.
        let mut incidents = self.0.incidents.lock().await;
        if !self.store().lead().await? {
            return Ok(false);
        }
        if self.store().is_shared() {
            tracing::info!("leading");
            // As after a restart.
            *incidents = Self::known_incidents(self.store(), self.0.clock.now()).await?;
            let history = correlating::history(self.store(), &self.store().feedback_in_force().await?).await?;
            *self.0.history.lock().unwrap_or_else(PoisonError::into_inner) = history;
            self.take_in_feedback().await?;
            let configured = self.0.config.monitors.iter().map(|m| (m.name.clone(), MonitorStatus::new(m.clone())));
            *self.0.monitors.write().unwrap_or_else(PoisonError::into_inner) = configured.collect();
        }
        Ok(true)
    }

    /// Renews the lease and takes in what other replicas left, until another leads.
    async fn lead_on(&self) {
        if !self.store().is_shared() {
            return std::future::pending().await;
        }
        let renewing = async {
            while self.store().leads() {
                tokio::time::sleep(RENEW).await;
                if let Err(error) = self.store().lead_on().await {
                    telemetry::failure("lease", &error);
                }
            }
        };
        let looking = async {
            loop {
                if let Err(error) = self.take_in_what_was_left().await {
                    telemetry::failure("inbox", &error);
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        // Those that stand by store what people say of incidents themselves.
        let learning = async {
            loop {
                tokio::time::sleep(LEARN).await;
                if let Err(error) = self.take_in_feedback().await {
                    telemetry::failure("feedback", &error);
                }
            }
        };
        tokio::select! {
            () = renewing => {}
            () = looking => {}
            () = learning => {}
        }
    }

    async fn take_in_what_was_left(&self) -> Result<()> {
        for (id, events) in self.store().left().await? {
            self.correlate(&[], events).await?;
            self.store().taken(&id).await?;
        }
        Ok(())
    }
}
