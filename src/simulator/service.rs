//! One service's metrics, scrape after scrape.

use std::f64::consts::PI;

use super::campaign::Effect;
use super::incident::{Impact, Plan, SLOWDOWN};
use super::noise::{Stream, Wobble};
use super::promql::ABSENT;
use super::rhythm::demand;
use super::topology;
use super::unrest::{Mood, Unrest, replicas};
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
    pub const CACHE: usize = BUCKETS + 8;
    pub const UP: usize = BUCKETS + 9;
    pub const ALL: usize = BUCKETS + 10;
}

/// What one replica more adds to the memory of a service, as a share.
const EACH_REPLICA: f64 = 0.03;

/// How many times as long the slow requests of an ordinary day take.
const NOW_AND_THEN: f64 = 4.0;

/// What happens to a service besides its usual course.
#[derive(Debug)]
pub(super) enum Course {
    /// The one incident of the shop, if it has one.
    One(Option<Plan>),
    /// The incidents of a campaign, in order of time, and the unrest of ordinary days.
    Campaign(Vec<Effect>, Unrest),
}

impl Course {
    fn impact(&self, service: &str, ms: i64) -> Impact {
        let t = Timestamp::from_millis(ms);
        match self {
            Self::One(plan) => plan.as_ref().map_or_else(Impact::default, |p| p.impact(service, t)),
            Self::Campaign(effects, _) => {
                let mut impact = Impact::default();
                let begun = effects.partition_point(|effect| effect.begin() <= t);
                effects[..begun].iter().for_each(|effect| effect.add(t, &mut impact));
                impact
            }
        }
    }

    fn mood(&self, ms: i64) -> Mood {
        match self {
            Self::One(_) => Mood::default(),
            Self::Campaign(_, unrest) => unrest.at(ms),
        }
    }
}

/// A service, its random state, and its columns: one value for each slot from the first on.
#[derive(Debug)]
pub(super) struct Service {
    spec: topology::Service,
    course: Course,
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
    replicas: f64,
    /// Uncollected garbage, as a share of what a collection usually waits for.
    garbage: f64,
    columns: Vec<Vec<f64>>,
}

impl Service {
    pub(super) fn new(spec: topology::Service, seed: u64, course: Course, restarts: Vec<i64>, slot_ms: i64, first: i64) -> Self {
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
            course,
            restarts,
            slot_ms,
            next: first,
            buckets: [0.0; BUCKETS],
            counters: [0.0; 5],
            replicas: 2.0,
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
        let (impact, mood) = (self.course.impact(self.spec.name, ms), self.course.mood(ms));
        if self.restarts.contains(&slot) || mood.restarts {
            self.buckets = [0.0; BUCKETS];
            self.counters = [0.0; 5];
        }
        let load = demand(ms) * (self.shop_wobble.step(slot) + self.own_wobble.step(slot)).exp() * mood.traffic;
        let busy = load * (1.0 + impact.more);
        let latency_wobble = self.latency_wobble.step(slot) + 0.02 * self.stream.normal(slot, 100);
        let queue_wobble = self.queue_wobble.step(slot);
        let slow_by = if impact.slow_by > 0.0 { impact.slow_by } else { SLOWDOWN };
        let slow = [(impact.slow, slow_by), (mood.slow, NOW_AND_THEN)];

        let median = self.spec.latency_s * (1.0 + 0.04 * busy * busy) * (1.0 + impact.levels[0]) * latency_wobble.exp();
        let expected = self.spec.rate * busy * (1.0 - impact.missing) * seconds;
        let requests = self.serve(slot, expected, median, slow);
        self.fail(slot, requests, impact.errors + mood.errors);
        // A log-logistic distribution's mean; the slow ones take longer by the same factor.
        let longer = slow.iter().fold(1.0, |longer, (share, by)| longer * (1.0 + share * (by - 1.0)));
        let mean = median * (PI / STEEPNESS) / (PI / STEEPNESS).sin() * longer;
        let spread = 1.0 + self.stream.normal(slot, 101) / requests.max(1.0).sqrt();
        self.counters[0] += requests * mean * spread.max(0.1);

        // Whoever waits or retries keeps the processor as busy as the customers that have gone.
        let work = self.spec.cpu_s * self.spec.rate * (1.0 + impact.levels[1]);
        let cores = 0.02 + work * (busy + mood.batch) * (0.02 * self.stream.normal(slot, 102)).exp() + impact.cores;
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
        if matches!(self.course, Course::Campaign(..)) {
            // Up at once, down only when there are clearly too many.
            let wanted = replicas(busy);
            if wanted > self.replicas || replicas(busy * 1.3) < self.replicas {
                self.replicas = wanted;
            }
        }
        let scaled = 1.0 + EACH_REPLICA * (self.replicas - 2.0);
        let memory =
            self.memory(slot, busy) * scaled * (1.0 + impact.levels[2]) + self.spec.memory_bytes * (impact.memory + 0.1 * mood.batch);
        self.columns[column::MEMORY].push((memory / 4096.0).round() * 4096.0);
        if let Some(size) = self.spec.pool {
            let used = self.stream.poisson(0.1 * size * busy, slot, 103).min(size);
            self.columns[column::POOL].push((used + (size - used) * impact.pool).round());
        }
        if self.spec.queue.is_some() {
            let waiting = self.stream.poisson(12.0 * busy * queue_wobble.exp(), slot, 104);
            self.columns[column::QUEUE].push((waiting + impact.queue).round());
        }
        if matches!(self.course, Course::Campaign(..)) {
            self.more(slot, &impact, &mood);
        }
    }

    /// What only a service of a campaign has; and where the scrape was missed, nothing.
    fn more(&mut self, slot: i64, impact: &Impact, mood: &Mood) {
        if let Some(usual) = self.spec.cache {
            let hits = usual - impact.cache + 0.015 * self.stream.normal(slot, 120);
            self.columns[column::CACHE].push((hits.clamp(0.0, 1.0) * 1000.0).round() / 1000.0);
        }
        self.columns[column::UP].push(1.0);
        if mood.missed {
            let missed = self.columns.iter_mut().filter_map(|column| column.last_mut());
            missed.for_each(|value| *value = ABSENT);
        }
    }

    /// Serves a Poisson number of requests and returns it. Each bucket gets a Poisson number of its own,
    /// which comes to the same.
    fn serve(&mut self, slot: i64, expected: f64, median: f64, slow: [(f64, f64); 2]) -> f64 {
        let below = |x: f64, median: f64| 1.0 / (1.0 + (median / x).powf(STEEPNESS));
        let fold = |x: f64| {
            let part =
                |fast: f64, (share, by): (f64, f64)| if share > 0.0 { (1.0 - share) * fast + share * below(x, median * by) } else { fast };
            slow.into_iter().fold(below(x, median), part)
        };
        let (mut requests, mut previous) = (0.0, 0.0);
        for i in 0..BUCKETS {
            let share = BOUNDS.get(i).map_or(1.0, |&x| fold(x));
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
