//! One service's metrics, scrape after scrape.

use std::f64::consts::PI;

use super::incident::{Impact, Plan, SLOWDOWN};
use super::noise::{Stream, Wobble};
use super::rhythm::demand;
use super::topology;
use crate::clock::Timestamp;

/// The upper bounds of the latency histogram in seconds; +Inf follows.
pub(super) const BOUNDS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
const BUCKETS: usize = BOUNDS.len() + 1;

/// The steepness of the latencies' log-logistic distribution.
const STEEPNESS: f64 = 3.5;

/// What a service's columns hold, in order: buckets first.
pub(super) mod column {
    use super::BUCKETS;

    /// Requests up to the last bound: all of them.
    pub const COUNT: usize = BUCKETS - 1;
    pub const SUM: usize = BUCKETS;
    pub const OK: usize = BUCKETS + 1;
    pub const NOT_FOUND: usize = BUCKETS + 2;
    pub const FAILED: usize = BUCKETS + 3;
    pub const CPU: usize = BUCKETS + 4;
    pub const MEMORY: usize = BUCKETS + 5;
    pub const POOL: usize = BUCKETS + 6;
    pub const QUEUE: usize = BUCKETS + 7;
    pub const ALL: usize = BUCKETS + 8;
}

/// A service, its random state, and its columns: one value for each slot from the first on.
#[derive(Debug)]
pub(super) struct Service {
    spec: topology::Service,
    plan: Option<Plan>,
    /// Slots at which a deployment restarts it, so that its counters begin again.
    restarts: Vec<i64>,
    slot_ms: i64,
    stream: Stream,
    shop_wobble: Wobble,
    own_wobble: Wobble,
    latency_wobble: Wobble,
    queue_wobble: Wobble,
    next: i64,
    buckets: [f64; BUCKETS],
    counters: [f64; 5],
    /// Uncollected garbage, as a share of what a collection usually waits for.
    garbage: f64,
    columns: Vec<Vec<f64>>,
}

impl Service {
    pub(super) fn new(spec: topology::Service, seed: u64, plan: Option<Plan>, restarts: Vec<i64>, slot_ms: i64, first: i64) -> Self {
        let slot_s = slot_ms as f64 / 1000.0;
        let wobble = |name: &str, sigma, memory_s| Wobble::new(Stream::new(seed, name), sigma, memory_s, slot_s, first);
        Self {
            // One for the whole shop: customers come and go together.
            shop_wobble: wobble("shop", 0.03, 900.0),
            own_wobble: wobble(&format!("{}/traffic", spec.name), 0.02, 600.0),
            latency_wobble: wobble(&format!("{}/latency", spec.name), 0.05, 600.0),
            queue_wobble: wobble(&format!("{}/queue", spec.name), 0.3, 300.0),
            stream: Stream::new(seed, spec.name),
            spec,
            plan,
            restarts,
            slot_ms,
            next: first,
            buckets: [0.0; BUCKETS],
            counters: [0.0; 5],
            garbage: 0.0,
            columns: vec![Vec::new(); column::ALL],
        }
    }

    /// The values of `column` from the first slot on.
    pub(super) fn column(&self, column: usize) -> &[f64] {
        &self.columns[column]
    }

    /// Goes on until the scrape at `slot` has happened.
    pub(super) fn advance(&mut self, slot: i64) {
        while self.next <= slot {
            self.scrape(self.next);
            self.next += 1;
        }
    }

    fn scrape(&mut self, slot: i64) {
        let ms = slot * self.slot_ms;
        let seconds = self.slot_ms as f64 / 1000.0;
        let impact = self.plan.as_ref().map_or_else(Impact::default, |p| p.impact(self.spec.name, Timestamp::from_millis(ms)));
        if self.restarts.contains(&slot) {
            self.buckets = [0.0; BUCKETS];
            self.counters = [0.0; 5];
        }
        let load = demand(ms) * (self.shop_wobble.step(slot) + self.own_wobble.step(slot)).exp();
        let latency_wobble = self.latency_wobble.step(slot) + 0.02 * self.stream.normal(slot, 100);
        let queue_wobble = self.queue_wobble.step(slot);

        let median = self.spec.latency_s * (1.0 + 0.04 * load * load) * latency_wobble.exp();
        let expected = self.spec.rate * load * (1.0 - impact.missing) * seconds;
        let requests = self.serve(slot, expected, median, impact.slow);
        self.fail(slot, requests, impact.errors);
        // A log-logistic distribution's mean; the slow ones take longer by the same factor.
        let mean = median * (PI / STEEPNESS) / (PI / STEEPNESS).sin() * (1.0 + impact.slow * (SLOWDOWN - 1.0));
        let spread = 1.0 + self.stream.normal(slot, 101) / requests.max(1.0).sqrt();
        self.counters[0] += requests * mean * spread.max(0.1);

        // Whoever waits or retries keeps the processor as busy as the customers that have gone.
        let cores = 0.02 + self.spec.cpu_s * self.spec.rate * load * (0.02 * self.stream.normal(slot, 102)).exp() + impact.cores;
        self.counters[4] += cores * seconds;

        for (i, value) in self.buckets.iter().enumerate() {
            self.columns[i].push(*value);
        }
        let [sum, ok, not_found, failed, cpu] = self.counters;
        self.columns[column::SUM].push((sum * 1e6).round() / 1e6);
        self.columns[column::OK].push(ok);
        self.columns[column::NOT_FOUND].push(not_found);
        self.columns[column::FAILED].push(failed);
        self.columns[column::CPU].push((cpu * 100.0).round() / 100.0);
        let memory = self.memory(slot, load) + self.spec.memory_bytes * impact.memory;
        self.columns[column::MEMORY].push((memory / 4096.0).round() * 4096.0);
        if let Some(size) = self.spec.pool {
            let used = self.stream.poisson(0.1 * size * load, slot, 103).min(size);
            self.columns[column::POOL].push((used + (size - used) * impact.pool).round());
        }
        if self.spec.queue.is_some() {
            let waiting = self.stream.poisson(12.0 * load * queue_wobble.exp(), slot, 104);
            self.columns[column::QUEUE].push((waiting + impact.queue).round());
        }
    }

    /// Serves a Poisson number of requests and returns it. Each bucket gets a Poisson number of its own,
    /// which comes to the same.
    fn serve(&mut self, slot: i64, expected: f64, median: f64, slow: f64) -> f64 {
        let below = |x: f64, median: f64| 1.0 / (1.0 + (median / x).powf(STEEPNESS));
        let (mut requests, mut previous) = (0.0, 0.0);
        for i in 0..BUCKETS {
            let share = BOUNDS.get(i).map_or(1.0, |&x| {
                let fast = below(x, median);
                if slow > 0.0 { (1.0 - slow) * fast + slow * below(x, median * SLOWDOWN) } else { fast }
            });
            requests += self.stream.poisson(expected * (share - previous), slot, i as u64);
            self.buckets[i] += requests;
            previous = share;
        }
        requests
    }

    fn fail(&mut self, slot: i64, requests: f64, errors: f64) {
        let failed = self.stream.poisson(requests * (self.spec.errors + errors), slot, 105).min(requests);
        let not_found = self.stream.poisson(requests * 0.008, slot, 106).min(requests - failed);
        self.counters[1] += requests - failed - not_found;
        self.counters[2] += not_found;
        self.counters[3] += failed;
    }

    /// Memory: what is always there, what the load takes, and garbage that piles up with the requests until
    /// it is collected.
    fn memory(&mut self, slot: i64, load: f64) -> f64 {
        let period_s = 900.0 + 1800.0 * self.stream.uniform(0, 107);
        self.garbage += (0.3 + load) * self.slot_ms as f64 / 1000.0 / period_s;
        if self.garbage > 0.8 + 0.4 * self.stream.uniform(slot, 108) {
            self.garbage = 0.1 * self.stream.uniform(slot, 109);
        }
        self.spec.memory_bytes * (0.6 + 0.03 * load + 0.15 * self.garbage + 0.005 * self.stream.normal(slot, 110))
    }
}
