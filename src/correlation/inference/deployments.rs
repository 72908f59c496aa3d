//! Deployments of Kubernetes whose specification or number of replicas changed.

use std::collections::BTreeMap;

use super::{Site, some_labels};
use crate::clock::{DurationMs, Timestamp};
use crate::event::{Event, EventKind};
use crate::series::{Series, SeriesKey};

/// A value that changed, and when it was first seen to be another.
struct Step {
    at: Timestamp,
    from: f64,
    to: f64,
}

/// What happened to deployments from `since` on, by their generations and wanted replicas, both with the labels
/// `namespace` and `deployment`. Changing the replicas raises the generation, too; that alone is no second change.
pub fn deployments(generations: &[Series], replicas: &[Series], since: Timestamp) -> Vec<Event> {
    let scaled: BTreeMap<&SeriesKey, Vec<Step>> = replicas.iter().map(|series| (&series.key, steps(series))).collect();
    let mut events = Vec::new();
    for series in generations {
        let Some(site) = site(&series.key) else { continue };
        let near = series.window.step();
        for step in steps(series).iter().filter(|step| step.at >= since) {
            let scalings = scaled.get(&series.key).into_iter().flatten().filter(|other| apart(other.at, step.at) <= near).count();
            if step.to > step.from && step.to - step.from <= scalings as f64 {
                continue;
            }
            let generation = step.to.to_string();
            let title = if step.to > step.from {
                format!("{} was changed: generation {generation}", site.service)
            } else {
                format!("{} was created anew", site.service)
            };
            events.push(site.event(EventKind::Deployment, step.at, "generation", title, &[("generation", &generation)]));
        }
    }
    for (key, steps) in &scaled {
        let Some(site) = site(key) else { continue };
        for step in steps.iter().filter(|step| step.at >= since) {
            let (from, to) = (step.from.to_string(), step.to.to_string());
            let title = format!("{} was scaled from {from} to {to}", site.service);
            events.push(site.event(EventKind::Scaling, step.at, "replicas", title, &[("previous_replicas", &from), ("replicas", &to)]));
        }
    }
    events
}

fn site(key: &SeriesKey) -> Option<Site> {
    let deployment = key.get("deployment").filter(|name| !name.is_empty())?;
    Some(Site { service: deployment.to_owned(), labels: some_labels(key, &["deployment", "namespace"]) })
}

/// Each time the value became another one; gaps say nothing.
fn steps(series: &Series) -> Vec<Step> {
    let window = &series.window;
    let (mut steps, mut known) = (Vec::new(), f64::NAN);
    for (i, value) in window.values().iter().enumerate().filter(|(_, value)| value.is_finite()) {
        if known.is_finite() && known != *value {
            steps.push(Step { at: window.time(i), from: known, to: *value });
        }
        known = *value;
    }
    steps
}

fn apart(a: Timestamp, b: Timestamp) -> DurationMs {
    a.since(b).max(b.since(a))
}
