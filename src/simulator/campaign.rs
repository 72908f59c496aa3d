//! Weeks of a shop with many known incidents, changes that do no harm, and the noise of ordinary days.
//!
//! Each incident is of one of eight kinds, begins at one service or machine at any hour of any day, and spreads along
//! calls as such things do ([`spread`]): waiting and failures climb to callers and thin out with the share of requests
//! that need the callee, more and fewer requests go down. Some overlap in time, at places that have little in common.
//! About half follow a deployment or a change of settings. Their sizes lie evenly between 0.35, which a person sees who
//! looks, and 1, which everybody sees.

mod effect;
mod spread;

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::layered;
use super::topology::Service;
use crate::clock::{DurationMs, Timestamp};
use crate::event::{Event, EventKind};
use crate::monitor::MetricKind;
use crate::words::words;
pub(super) use effect::{Effect, What};
use spread::Spread;

/// The smallest and the largest incident.
const SIZES: (f64, f64) = (0.35, 1.0);
/// Minutes that an incident lasts.
const LASTS: (f64, f64) = (15.0, 90.0);
/// The least minutes of those that grow slowly.
const SLOW_LASTS: f64 = 45.0;
/// One of so many incidents begins within minutes of the one before.
const OVERLAPS: usize = 4;
/// How many services two incidents may have in common that overlap.
const MOST_SHARED: usize = 2;
/// Minutes between two incidents that have more than that in common.
const APART: i64 = 90;
/// From a change to the incident that it causes, in seconds.
const AFTER_CHANGE: std::ops::Range<i64> = 60..400;
/// Attempts to find a place for an incident.
const ATTEMPTS: usize = 400;
/// The most incidents, and the most harmless changes.
pub const MOST: usize = 1000;

words! {
    /// What goes wrong.
    FaultKind {
        /// A service does not return its database connections.
        PoolExhaustion = "pool_exhaustion",
        /// A service keeps what it should forget, and then collects garbage all the time.
        MemoryLeak = "memory_leak",
        /// A service has stopped consuming its queue.
        QueueBacklog = "queue_backlog",
        /// A new version fails some requests.
        BadDeployment = "bad_deployment",
        /// A service needs more processor time than it gets.
        CpuSaturation = "cpu_saturation",
        /// Customers ask far more than usual.
        TrafficSurge = "traffic_surge",
        /// A cache answers no more, and what lies behind it is asked instead.
        CacheFailure = "cache_failure",
        /// The disk of a machine is busy, and what runs on it waits.
        MachineDisk = "machine_disk",
    }
}

/// How many incidents to play, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many incidents.
    pub faults: usize,
    /// How many changes that do no harm.
    pub changes: usize,
    /// They happen from here…
    pub from: Timestamp,
    /// …to here; ordinary noise is there always.
    pub to: Timestamp,
}

/// A service, or a machine, and a metric of it that an incident moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// The service or machine.
    pub service: String,
    /// The metric.
    pub metric: MetricKind,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

/// One incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
    /// The service or machine where it began.
    pub root: String,
    /// When that left its usual course.
    pub onset: Timestamp,
    /// When the cause was gone; what it moved is back minutes later.
    pub end: Timestamp,
    /// How large it is, from 0.35 to 1.
    pub size: f64,
    /// The id of the change that caused it, if one did.
    pub change: Option<String>,
    /// All that it moves, where it begins first.
    pub touches: Vec<Touch>,
}

/// All that happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    /// The incidents, earliest first.
    pub faults: Vec<Fault>,
    /// The changes, harmless or not, earliest first.
    pub changes: Vec<Event>,
    /// What each service or machine shows of it.
    effects: BTreeMap<String, Vec<Effect>>,
}

impl Campaign {
    /// Draws what happens to `services`.
    pub(super) fn draw(seed: u64, services: &[Service], plan: &Plan) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x6661_756c_7473);
        let mut campaign = Self { faults: Vec::new(), changes: Vec::new(), effects: BTreeMap::new() };
        let mut kinds: Vec<FaultKind> =
            (0..plan.faults).filter_map(|i| FaultKind::WORDS[i % FaultKind::WORDS.len()].parse().ok()).collect();
        kinds.shuffle(&mut random);
        let mut before: Option<Timestamp> = None;
        for (i, kind) in kinds.into_iter().enumerate() {
            let near = before.filter(|_| i % OVERLAPS == OVERLAPS - 1);
            let placed = (0..ATTEMPTS).find_map(|attempt| {
                let near = near.filter(|_| attempt < ATTEMPTS / 2);
                campaign.attempt(kind, near, services, plan, &mut random)
            });
            if let Some((fault, effects)) = placed {
                before = Some(fault.onset);
                campaign.take(fault, effects, services, &mut random);
            }
        }
        campaign.faults.sort_by_key(|fault| fault.onset);
        for _ in 0..plan.changes {
            campaign.harmless(services, plan, &mut random);
        }
        campaign.number_versions();
        campaign
    }

    /// What `name` shows of it, in order of time.
    pub(super) fn effects(&self, name: &str) -> Vec<Effect> {
        let mut effects = self.effects.get(name).cloned().unwrap_or_default();
        effects.sort_by_key(Effect::begin);
        effects
    }

    /// A fault of `kind` with its effects; `None` where it is too near to another.
    fn attempt(
        &self,
        kind: FaultKind,
        near: Option<Timestamp>,
        services: &[Service],
        plan: &Plan,
        random: &mut Xoshiro256PlusPlus,
    ) -> Option<(Fault, Vec<(String, Effect)>)> {
        let minute = DurationMs::from_secs(60);
        let least = if matches!(kind, FaultKind::MemoryLeak | FaultKind::QueueBacklog) { SLOW_LASTS } else { LASTS.0 };
        let lasts = DurationMs::from_secs((random.gen_range(least..LASTS.1) * 60.0) as i64);
        // Whole seconds; all is over before the end.
        let room = plan.to.since(plan.from).millis() / 1000 - (LASTS.1 as i64 + 20) * 60;
        let onset = match near {
            Some(other) => other + DurationMs::from_secs(random.gen_range(0..40 * 60)),
            None => plan.from + DurationMs::from_secs(random.gen_range(600..room.max(601))),
        };
        let end = onset + lasts;
        if end + minute * 10 > plan.to {
            return None;
        }
        let size = random.gen_range(SIZES.0..=SIZES.1);
        let mut spread = Spread::new(services, onset, end, random);
        let root = spread.begin(kind, size)?;
        let (touches, effects) = spread.finish();
        let fault = Fault { kind, root, onset, end, size, change: None, touches };
        let clash = self.faults.iter().any(|other| {
            let apart = if near.is_some() { DurationMs::from_secs(0) } else { minute * APART };
            let at_once = fault.onset < other.end + apart && other.onset < fault.end + apart;
            at_once && (fault.root == other.root || shared(&fault, other) > MOST_SHARED)
        });
        (!clash).then_some((fault, effects))
    }

    fn take(&mut self, mut fault: Fault, effects: Vec<(String, Effect)>, services: &[Service], random: &mut Xoshiro256PlusPlus) {
        let deployed = match fault.kind {
            FaultKind::BadDeployment => true,
            FaultKind::TrafficSurge | FaultKind::MachineDisk => false,
            _ => random.gen_bool(0.6),
        };
        if deployed && services.iter().any(|s| s.name == fault.root) {
            let at = fault.onset - DurationMs::from_secs(random.gen_range(AFTER_CHANGE));
            let kind = match fault.kind {
                FaultKind::BadDeployment => EventKind::Deployment,
                _ if random.gen_bool(0.6) => EventKind::Deployment,
                _ => EventKind::Configuration,
            };
            let change = change(kind, &fault.root, at);
            fault.change = Some(change.id.clone());
            self.changes.push(change);
        }
        for (name, effect) in effects {
            self.effects.entry(name).or_default().push(effect);
        }
        self.faults.push(fault);
    }

    /// A change without an effect, or with a shift of the level that is within the norm.
    fn harmless(&mut self, services: &[Service], plan: &Plan, random: &mut Xoshiro256PlusPlus) {
        let seconds = plan.to.since(plan.from).millis() / 1000;
        let at = plan.from + DurationMs::from_secs(random.gen_range(0..seconds.max(1)));
        let service = &services[random.gen_range(0..services.len())];
        let kind = match random.gen_range(0..10) {
            0..6 => EventKind::Deployment,
            6..9 => EventKind::Configuration,
            _ => EventKind::FeatureFlag,
        };
        if random.gen_bool(0.5) {
            let what = [What::LatencyLevel, What::CpuLevel, What::MemoryLevel][random.gen_range(0..3)];
            let size = random.gen_range(0.01..0.03) * if random.gen_bool(0.5) { 1.0 } else { -1.0 };
            self.effects.entry(service.name.to_owned()).or_default().push(Effect::for_good(at, size, what));
        }
        self.changes.push(change(kind, service.name, at));
    }

    /// Gives deployments their versions, in order of time.
    fn number_versions(&mut self) {
        self.changes.sort_by(|a, b| (a.starts_at, &a.id).cmp(&(b.starts_at, &b.id)));
        let mut latest: BTreeMap<String, usize> = BTreeMap::new();
        for event in self.changes.iter_mut().filter(|e| e.kind == EventKind::Deployment) {
            let Some(service) = &event.service else { continue };
            let number = latest.entry(service.clone()).or_insert(0);
            *number += 1;
            let version = format!("2.8.{number}");
            event.title = format!("{service} {version} deployed");
            event.labels.insert("version".to_owned(), version);
        }
    }
}

/// How many services two faults have in common.
fn shared(a: &Fault, b: &Fault) -> usize {
    let names = |fault: &Fault| fault.touches.iter().map(|t| t.service.clone()).collect::<std::collections::BTreeSet<_>>();
    names(a).intersection(&names(b)).count()
}

fn change(kind: EventKind, service: &str, at: Timestamp) -> Event {
    Event {
        id: format!("{}-{service}-{}", kind.as_str(), at.millis() / 1000),
        kind,
        source: "simulator".to_owned(),
        title: format!("{service}: {}", kind.as_str().replace('_', " ")),
        description: String::new(),
        service: Some(service.to_owned()),
        labels: [("service".to_owned(), service.to_owned())].into(),
        starts_at: at,
        ends_at: None,
        url: None,
    }
}

/// The name of a machine.
pub(super) fn node_name(node: usize) -> String {
    format!("node-{}", node + 1)
}

/// The names of all machines of a shop of so many services.
pub(super) fn node_names(services: usize) -> impl Iterator<Item = String> {
    (0..layered::nodes(services)).map(node_name)
}

#[cfg(test)]
mod tests;
