//! Changes that nobody told of, read off Prometheus on a slow poll.

use std::collections::BTreeMap;

use super::Engine;
use crate::clock::{DurationMs, Timestamp};
use crate::correlation::inference::{SOURCE, deployments, restarts, versions};
use crate::error::Result;
use crate::event::Event;
use crate::series::Series;
use crate::source::prometheus::Prometheus;
use crate::telemetry;

/// How many steps are told of, and as many before them are looked at for what was before.
const STEPS: i64 = 30;

/// How changes are read off Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inference {
    /// The time between two points and between two looks.
    pub step: DurationMs,
    /// The label whose value is a series' service; without it, the job is.
    pub service_label: String,
}

impl Inference {
    /// A look each minute over the last hour, of which the last half is told of.
    pub fn new(service_label: &str) -> Self {
        Self { step: DurationMs::from_secs(60), service_label: service_label.to_owned() }
    }

    /// What changed before `now`, the earliest first; the same change gives the same event at every look.
    ///
    /// # Errors
    /// Prometheus does not answer, or answers with too much.
    pub async fn look(&self, prometheus: &Prometheus, now: Timestamp) -> Result<Vec<Event>> {
        let end = now.align_down(self.step);
        let (since, start) = (end - self.step * STEPS, end - self.step * (2 * STEPS));
        let read = async |query: &str| -> Result<Vec<Series>> { Ok(prometheus.range(query, start, end, self.step).await?.series) };
        let job = format!("job, namespace, {}", self.service_label);
        let young = (self.step * (2 * STEPS)).seconds();

        let generations = read("max by (namespace, deployment) (kube_deployment_status_observed_generation)").await?;
        let replicas = read("max by (namespace, deployment) (kube_deployment_spec_replicas)").await?;
        let mut events = deployments(&generations, &replicas, since);
        let builds = format!("count by (__name__, {job}, version, revision) ({{__name__=~\".+_build_info\"}})");
        events.extend(versions(&read(&builds).await?, &self.service_label, since));
        // Only what is young comes back, however many processes there are.
        let starts = format!("max by ({job}, instance, pod) (process_start_time_seconds) > time() - {young}");
        let starts = read(&starts).await?;
        if !starts.is_empty() {
            let counts = read(&format!("count by ({job}) (process_start_time_seconds)")).await?;
            events.extend(restarts(&starts, &counts, &self.service_label, since));
        }
        events.sort_by(|a, b| (a.starts_at, &a.id).cmp(&(b.starts_at, &b.id)));
        Ok(events)
    }
}

impl Engine {
    /// Looks for changes again and again, and publishes those that are new or say something new.
    pub(super) async fn keep_inferring(self, inference: Inference) {
        let mut known = None;
        loop {
            if let Err(error) = self.infer(&inference, &mut known).await {
                telemetry::failure("inference", &error);
            }
            tokio::time::sleep(inference.step.to_std()).await;
        }
    }

    pub(super) async fn infer(&self, inference: &Inference, known: &mut Option<BTreeMap<String, Event>>) -> Result<()> {
        let now = self.0.clock.now();
        let found = inference.look(self.prometheus()?, now).await?;
        let known = if let Some(known) = known {
            known
        } else {
            // What was published before the last stop is known.
            let stored = self.0.store.events_between(now - inference.step * (2 * STEPS), now).await?;
            let own = stored.into_iter().filter(|event| event.source == SOURCE);
            known.insert(own.map(|event| (event.id.clone(), event)).collect())
        };
        let new: Vec<Event> = found.iter().filter(|event| known.get(&event.id) != Some(event)).cloned().collect();
        if !new.is_empty() {
            self.publish(new).await?;
        }
        // What is no longer found is too old to be found again.
        *known = found.into_iter().map(|event| (event.id.clone(), event)).collect();
        Ok(())
    }
}
