//! How an incident spreads from where it begins.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::super::topology::Service;
use super::effect::{Effect, What};
use super::{FaultKind, Touch, node_name};
use crate::clock::{DurationMs, Timestamp};
use crate::monitor::MetricKind;

/// Less than this is left out: the share of requests that fail, the time that they take longer by on average, and the
/// share of requests that are missing or come on top.
const LEAST_ERRORS: f64 = 0.003;
const LEAST_SLOW: f64 = 0.05;
const LEAST_TRAFFIC: f64 = 0.05;
/// Of a callee's failures so many reach the caller: the others are tried again or done without.
const PASSED_ON: f64 = 0.85;
/// A caller waits no longer, in seconds; then the call fails.
const TIMEOUT_S: f64 = 2.0;

/// One incident while it is drawn.
pub(super) struct Spread<'a> {
    services: &'a [Service],
    onset: Timestamp,
    end: Timestamp,
    random: &'a mut Xoshiro256PlusPlus,
    effects: Vec<(String, Effect)>,
    touches: BTreeMap<(String, MetricKind), (Timestamp, Timestamp)>,
}

/// A service in trouble: which, since when, and how much.
#[derive(Clone, Copy)]
struct Hit {
    service: usize,
    since_s: i64,
    /// The share of requests that are concerned.
    share: f64,
    /// The seconds that these take longer.
    longer_s: f64,
}

impl<'a> Spread<'a> {
    pub fn new(services: &'a [Service], onset: Timestamp, end: Timestamp, random: &'a mut Xoshiro256PlusPlus) -> Self {
        Self { services, onset, end, random, effects: Vec::new(), touches: BTreeMap::new() }
    }

    /// What is moved, in order of time, and by what.
    pub fn finish(self) -> (Vec<Touch>, Vec<(String, Effect)>) {
        let mut touches: Vec<Touch> =
            self.touches.into_iter().map(|((service, metric), (from, to))| Touch { service, metric, from, to }).collect();
        touches.sort_by(|a, b| (a.from, &a.service, a.metric).cmp(&(b.from, &b.service, b.metric)));
        (touches, self.effects)
    }

    /// Lets a fault begin somewhere that suits it and run its course. Gives where; `None` where nothing does.
    pub fn begin(&mut self, kind: FaultKind, size: f64) -> Option<String> {
        let fits = |service: &Service| match kind {
            FaultKind::PoolExhaustion => service.pool.is_some(),
            FaultKind::QueueBacklog => service.queue.is_some() && !service.calls.is_empty(),
            FaultKind::CacheFailure => service.cache.is_some() && !service.calls.is_empty(),
            FaultKind::TrafficSurge => service.outside > 0.0,
            FaultKind::MemoryLeak | FaultKind::BadDeployment | FaultKind::CpuSaturation => service.outside == 0.0,
            FaultKind::MachineDisk => true,
        };
        let places: Vec<usize> = (0..self.services.len()).filter(|i| fits(&self.services[*i])).collect();
        if places.is_empty() {
            return None;
        }
        let root = places[self.random.gen_range(0..places.len())];
        let name = self.services[root].name.to_owned();
        match kind {
            FaultKind::PoolExhaustion => self.pool_exhaustion(root, size),
            FaultKind::MemoryLeak => self.memory_leak(root, size),
            FaultKind::QueueBacklog => self.queue_backlog(root, size),
            FaultKind::BadDeployment => self.bad_deployment(root, size),
            FaultKind::CpuSaturation => self.cpu_saturation(root, size),
            FaultKind::TrafficSurge => self.traffic_surge(root, size),
            FaultKind::CacheFailure => self.cache_failure(root, size),
            FaultKind::MachineDisk => {
                let nodes = &self.services[root].nodes;
                let node = nodes[self.random.gen_range(0..nodes.len())];
                self.machine_disk(node, size);
                return Some(node_name(node));
            }
        }
        Some(name)
    }

    fn pool_exhaustion(&mut self, root: usize, size: f64) {
        self.put(root, What::Pool, 0.5 + 0.5 * size, 0, 120);
        let (slow, by, failing) = (0.4 + 0.6 * size, 2.0 + 8.0 * size, 0.2 * size);
        let (later, last) = (self.seconds(20, 90), self.seconds(60, 180));
        self.climb(&[self.slow(root, slow, by, later)], 90);
        self.fail(root, failing, last);
    }

    fn memory_leak(&mut self, root: usize, size: f64) {
        let lasts = self.end.since(self.onset).seconds();
        let memory = 0.4 + 1.2 * size;
        self.put(root, What::Memory, memory, 0, (lasts * 0.6) as i64);
        // It collects garbage from when a third is used up.
        let later = (lasts * 0.2) as i64;
        let service = &self.services[root];
        let cores = (0.3 + size) * (0.1 + service.cpu_s * service.rate);
        self.put(root, What::Cores, cores, later, 600);
        self.climb(&[self.slow(root, 0.3 + 0.5 * size, 1.5 + 4.0 * size, later)], 400);
    }

    fn queue_backlog(&mut self, root: usize, size: f64) {
        self.put(root, What::Queue, 400.0 + 5000.0 * size * size, 0, 1500);
        // What it did with the messages it does no more.
        let missing = 0.4 + 0.5 * size;
        let callees = self.parts_below(root);
        for (callee, part) in callees {
            let later = self.seconds(20, 120);
            self.fewer(callee, missing * part, later);
        }
    }

    fn bad_deployment(&mut self, root: usize, size: f64) {
        if self.random.gen_bool(0.4) {
            let later = self.seconds(0, 20);
            self.climb(&[self.slow(root, 0.2 + 0.3 * size, 2.0 + 2.0 * size, later)], 60);
        }
        self.fail(root, 0.02 + 0.25 * size * size, 0);
    }

    fn cpu_saturation(&mut self, root: usize, size: f64) {
        let service = &self.services[root];
        let cores = (0.5 + 1.5 * size) * (0.1 + service.cpu_s * service.rate);
        self.put(root, What::Cores, cores, 0, 90);
        let later = self.seconds(10, 60);
        self.climb(&[self.slow(root, 0.4 + 0.5 * size, 1.5 + 3.0 * size, later)], 60);
        if self.random.gen_bool(0.3) {
            self.fail(root, 0.05 * size, later);
        }
    }

    fn traffic_surge(&mut self, root: usize, size: f64) {
        self.surge(root, 0.5 + 1.5 * size, 0);
    }

    fn cache_failure(&mut self, root: usize, size: f64) {
        self.put(root, What::Cache, 0.3 + 0.55 * size, 0, 30);
        for (callee, part) in self.parts_below(root) {
            let more = (0.5 + 2.0 * size) * part;
            if more >= LEAST_TRAFFIC {
                let later = self.seconds(0, 30);
                self.surge(callee, more, later);
            }
        }
        let later = self.seconds(0, 40);
        self.climb(&[self.slow(root, 0.3 + 0.5 * size, 1.5 + 2.5 * size, later)], 60);
    }

    fn machine_disk(&mut self, node: usize, size: f64) {
        let (from, to) = (self.onset, self.end);
        let effect = Effect::new(What::Disk, 0.35 + 0.3 * size, (from, to), DurationMs::from_secs(60), DurationMs::from_secs(60));
        self.touch(&node_name(node), MetricKind::Disk, &effect);
        self.effects.push((node_name(node), effect));
        let mut hits = Vec::new();
        for place in 0..self.services.len() {
            let service = &self.services[place];
            if service.nodes.contains(&node) {
                let share = (0.6 + 0.4 * size) / service.nodes.len() as f64;
                // Who keeps data waits for the disk, others for their logs.
                let by = if service.calls.is_empty() { 2.0 + 5.0 * size } else { 1.3 + 1.5 * size };
                let later = self.seconds(0, 60);
                hits.push(self.slow(place, share, by, later));
            }
        }
        self.climb(&hits, 60);
    }

    fn slow(&self, service: usize, share: f64, by: f64, since_s: i64) -> Hit {
        Hit { service, since_s, share, longer_s: (by - 1.0) * self.services[service].latency_s }
    }

    /// Lets those who call wait, from the called to the callers.
    fn climb(&mut self, hits: &[Hit], ramp_s: i64) {
        let mut worst: BTreeMap<usize, Hit> = BTreeMap::new();
        let mut queue: Vec<Hit> = hits.to_vec();
        while let Some(hit) = queue.pop() {
            let service = &self.services[hit.service];
            let by = 1.0 + hit.longer_s / service.latency_s;
            if hit.share * (by - 1.0) < LEAST_SLOW || hit.share < 0.01 {
                continue;
            }
            let weight = |hit: &Hit| hit.share * hit.longer_s;
            if worst.get(&hit.service).is_some_and(|known| weight(known) >= weight(&hit)) {
                continue;
            }
            worst.insert(hit.service, hit);
            for (caller, share) in callers(self.services, hit.service) {
                let later = self.random.gen_range(5..50);
                let longer_s = hit.longer_s.min(TIMEOUT_S);
                queue.push(Hit { service: caller, since_s: hit.since_s + later, share: hit.share * share.min(1.0), longer_s });
            }
        }
        for hit in worst.into_values() {
            let by = 1.0 + hit.longer_s / self.services[hit.service].latency_s;
            self.put(hit.service, What::Slow(by), hit.share.min(0.95), hit.since_s, ramp_s);
            if hit.longer_s >= TIMEOUT_S && hit.share * 0.3 >= LEAST_ERRORS {
                self.put(hit.service, What::Errors, hit.share * 0.3, hit.since_s, ramp_s);
            }
        }
    }

    /// Lets requests fail, and so those of the callers; who gives up asks nothing more of others.
    fn fail(&mut self, root: usize, share: f64, since_s: i64) {
        let mut worst: BTreeMap<usize, (f64, i64)> = BTreeMap::new();
        let mut queue = vec![(root, share, since_s)];
        while let Some((service, share, since)) = queue.pop() {
            if share < LEAST_ERRORS || worst.get(&service).is_some_and(|known| known.0 >= share) {
                continue;
            }
            worst.insert(service, (share, since));
            for (caller, calls) in callers(self.services, service) {
                let later = self.random.gen_range(0..30);
                queue.push((caller, share * calls.min(1.0) * PASSED_ON, since + later));
            }
        }
        for (service, (share, since)) in worst {
            self.put(service, What::Errors, share, since, 60);
        }
    }

    /// Lets a service be asked more, and what it calls.
    fn surge(&mut self, root: usize, more: f64, since_s: i64) {
        let mut queue = vec![(root, more, since_s)];
        let mut total: BTreeMap<usize, (f64, i64)> = BTreeMap::new();
        // The graph has no circle, so this ends.
        while let Some((service, more, since)) = queue.pop() {
            if more < LEAST_TRAFFIC {
                continue;
            }
            let entry = total.entry(service).or_insert((0.0, since));
            *entry = (entry.0 + more, entry.1.min(since));
            for (callee, part) in self.parts_below(service) {
                let later = self.random.gen_range(0..15);
                queue.push((callee, more * part, since + later));
            }
        }
        let mut strained = Vec::new();
        for (service, (more, since)) in total {
            self.put(service, What::More, more, since, 120);
            // Beyond what it was built for it becomes slow.
            if more > 0.7 {
                let later = self.seconds(30, 120);
                strained.push(self.slow(service, (0.4 * more).min(0.8), 1.0 + more, since + later));
            }
        }
        if !strained.is_empty() {
            self.climb(&strained, 120);
        }
    }

    /// Lets a service be asked less, and what it calls.
    fn fewer(&mut self, root: usize, missing: f64, since_s: i64) {
        let mut queue = vec![(root, missing, since_s)];
        let mut done = BTreeSet::new();
        while let Some((service, missing, since)) = queue.pop() {
            if missing < LEAST_TRAFFIC || !done.insert(service) {
                continue;
            }
            self.put(service, What::Missing, missing, since, 60);
            for (callee, part) in self.parts_below(service) {
                queue.push((callee, missing * part, since + self.random.gen_range(0..15)));
            }
        }
    }

    /// Whom a service calls, and what part of their requests comes from it.
    fn parts_below(&self, caller: usize) -> Vec<(usize, f64)> {
        let service = &self.services[caller];
        let part = |(name, share): &(&str, f64)| {
            let callee = self.services.iter().position(|s| s.name == *name)?;
            Some((callee, (service.rate * share / self.services[callee].rate).min(1.0)))
        };
        service.calls.iter().filter_map(part).collect()
    }

    fn put(&mut self, service: usize, what: What, size: f64, since_s: i64, ramp_s: i64) {
        let from = self.onset + DurationMs::from_secs(since_s);
        // Who was reached last is rid of it last.
        let back = DurationMs::from_secs(self.random.gen_range(0..90));
        let to = self.end + back;
        if from >= self.end {
            return;
        }
        let fade = match what {
            What::Queue => 240,
            What::Memory => 30,
            _ => 60,
        };
        let effect = Effect::new(what, size, (from, to), DurationMs::from_secs(ramp_s), DurationMs::from_secs(fade));
        let name = self.services[service].name;
        for metric in shows(what) {
            self.touch(name, *metric, &effect);
        }
        self.effects.push((name.to_owned(), effect));
    }

    fn touch(&mut self, name: &str, metric: MetricKind, effect: &Effect) {
        let span = self.touches.entry((name.to_owned(), metric)).or_insert((effect.begin(), effect.over()));
        *span = (span.0.min(effect.begin()), span.1.max(effect.over()));
    }

    fn seconds(&mut self, least: i64, most: i64) -> i64 {
        self.random.gen_range(least..=most)
    }
}

/// Who calls a service, and how often per request of their own.
fn callers(services: &[Service], callee: usize) -> Vec<(usize, f64)> {
    let name = services[callee].name;
    let calls = |(i, s): (usize, &Service)| s.calls.iter().find(|(other, _)| *other == name).map(|(_, share)| (i, *share));
    services.iter().enumerate().filter_map(calls).collect()
}

/// The metrics that show it.
fn shows(what: What) -> &'static [MetricKind] {
    match what {
        // Whatever follows the number of requests.
        What::More => {
            &[MetricKind::Traffic, MetricKind::Cpu, MetricKind::Saturation, MetricKind::Queue, MetricKind::Latency, MetricKind::Memory]
        }
        What::Missing => &[MetricKind::Traffic, MetricKind::Cpu, MetricKind::Saturation, MetricKind::Queue],
        What::Errors => &[MetricKind::Errors],
        What::Slow(_) | What::LatencyLevel => &[MetricKind::Latency],
        What::Pool => &[MetricKind::Saturation],
        What::Queue => &[MetricKind::Queue],
        What::Memory | What::MemoryLevel => &[MetricKind::Memory],
        What::Cores | What::CpuLevel => &[MetricKind::Cpu],
        What::Cache => &[MetricKind::Other],
        What::Disk => &[MetricKind::Disk],
    }
}
