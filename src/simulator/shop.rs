//! The shop: its configuration, its series, and their samples.

use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use rayon::prelude::*;

use super::incident::{self, Plan, Truth};
use super::noise::Stream;
use super::service::{BOUNDS, Service, column};
use super::{IncidentKind, disk, topology};
use crate::clock::{DurationMs, Timestamp};
use crate::error::{Error, Result, Violation};
use crate::series::SeriesKey;

/// The most services a shop can have.
pub const MOST_SERVICES: usize = topology::MOST;

/// After so many scrapes the shop closes: four months at one a minute.
const MOST_SLOTS: i64 = 200_000;
/// The most series of the metric that has too many.
const MOST_SESSIONS: usize = 20_000;

/// What kind of shop to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Two shops of one configuration are the same.
    pub seed: u64,
    /// How many services: 12 to [`MOST_SERVICES`].
    pub services: usize,
    /// When the history begins.
    pub start: Timestamp,
    /// The time between two samples of a series; they are taken at its multiples.
    pub scrape_interval: DurationMs,
    /// How many series `http_session_requests_total` has, the metric that explodes; 0 leaves it out.
    pub sessions: usize,
    /// What goes wrong, if anything does.
    pub incident: Option<Plan>,
}

impl Config {
    /// Fourteen services with 15 days of history before `now`, one sample a minute, and a connection pool
    /// that began to run out four minutes before `now` and is repaired after 45 minutes.
    pub fn ending_at(now: Timestamp) -> Self {
        let minute = DurationMs::from_secs(60);
        let now = now.align_down(minute);
        Self {
            seed: 1,
            services: 14,
            start: now - DurationMs::DAY * 15,
            scrape_interval: minute,
            sessions: 1500,
            incident: Some(Plan { kind: IncidentKind::PoolExhaustion, onset: now - minute * 4, duration: Some(minute * 45) }),
        }
    }

    /// Builds the shop; its history is computed when it is first asked for.
    ///
    /// # Errors
    /// A number that is out of its range, or an incident that begins before the history.
    pub fn build(self) -> Result<Shop> {
        let mut violations = Vec::new();
        let mut check = |fine: bool, field: &str, description: String| {
            if !fine {
                violations.push(Violation { field: field.to_owned(), description });
            }
        };
        let fewest = topology::FEWEST;
        check(
            (fewest..=MOST_SERVICES).contains(&self.services),
            "services",
            format!("{} services; a shop has {fewest} to {MOST_SERVICES}", self.services),
        );
        let interval = self.scrape_interval.millis();
        check(
            (1000..=300_000).contains(&interval),
            "scrape_interval",
            format!("{}; it must be between 1s and 5m, so that a series is never stale", self.scrape_interval),
        );
        check(self.start >= Timestamp::default(), "start", format!("{} is before 1970", self.start));
        check(self.sessions <= MOST_SESSIONS, "sessions", format!("{} series; at most {MOST_SESSIONS}", self.sessions));
        if let Some(plan) = &self.incident {
            check(plan.onset > self.start, "incident.onset", format!("{} is not after the start {}", plan.onset, self.start));
            check(
                plan.duration != Some(DurationMs::ZERO),
                "incident.duration",
                "0s; leave it out for an incident that never ends".to_owned(),
            );
        }
        if violations.is_empty() { Ok(Shop::new(self)) } else { Err(Error::violations(violations)) }
    }
}

/// How a family's values are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyKind {
    /// Only rises, or begins again.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

impl FamilyKind {
    /// As the exposition formats write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric family: what `/api/v1/metadata` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// The name as in Prometheus' text format: a counter's with `_total`.
    pub name: &'static str,
    /// How its values are to be read.
    pub kind: FamilyKind,
    /// What it measures.
    pub help: &'static str,
}

/// Every family, in order of the names that OpenMetrics gives them.
const FAMILIES: [Family; 14] = [
    family("build_info", FamilyKind::Gauge, "Constant 1, labelled with the version that runs."),
    family("container_cpu_usage_seconds_total", FamilyKind::Counter, "Processor time used in seconds."),
    family("db_connection_pool_in_use", FamilyKind::Gauge, "Database connections that are in use."),
    family("db_connection_pool_max", FamilyKind::Gauge, "Database connections that the pool may open."),
    family("http_request_duration_seconds", FamilyKind::Histogram, "Time to serve a request in seconds."),
    family("http_requests_total", FamilyKind::Counter, "Requests served, by status code."),
    family("http_session_requests_total", FamilyKind::Counter, "Requests served, by session."),
    family("legacy_exports_total", FamilyKind::Counter, "Orders exported to the old warehouse system, which is switched off."),
    family("node_filesystem_avail_bytes", FamilyKind::Gauge, "Bytes free on a filesystem."),
    family("node_filesystem_size_bytes", FamilyKind::Gauge, "Bytes of a filesystem."),
    family("process_resident_memory_bytes", FamilyKind::Gauge, "Resident memory in bytes."),
    family("queue_depth", FamilyKind::Gauge, "Messages that wait in a queue."),
    family("service_max_requests_in_flight", FamilyKind::Gauge, "Requests that a service accepts at the same time."),
    family("up", FamilyKind::Gauge, "Whether the last scrape succeeded."),
];

const fn family(name: &'static str, kind: FamilyKind, help: &'static str) -> Family {
    Family { name, kind, help }
}

/// How a series' samples come about.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Column { service: usize, column: usize },
    Constant(f64),
    Disk { node: usize },
    Session { number: usize },
    Exported,
}

#[derive(Debug)]
struct Stored {
    key: SeriesKey,
    family: &'static str,
    origin: Origin,
    /// The scrapes that have it.
    alive: Range<i64>,
}

/// A run of samples, one for each scrape from `first` on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Samples {
    pub(super) first: i64,
    pub(super) values: Vec<f64>,
}

/// The simulated shop.
#[derive(Debug)]
pub struct Shop {
    config: Config,
    truth: Truth,
    calls: Vec<(String, String)>,
    names: Vec<&'static str>,
    series: Vec<Stored>,
    first: i64,
    services: RwLock<Vec<Service>>,
}

impl Shop {
    fn new(config: Config) -> Self {
        let slot_ms = config.scrape_interval.millis();
        let slot_at = |t: Timestamp| -(-t.millis()).div_euclid(slot_ms);
        let first = slot_at(config.start);
        let specs = topology::services(config.seed, config.services);
        let names: Vec<&'static str> = specs.iter().map(|s| s.name).collect();
        let truth = incident::truth(config.incident.as_ref(), config.start, &names);
        let calls = specs.iter().flat_map(|s| s.calls.iter().map(|c| (s.name.to_owned(), c.0.to_owned()))).collect();
        // When each service's versions begin.
        let versions: Vec<Vec<(i64, &str)>> = names
            .iter()
            .map(|name| {
                let deployed = truth.changes.iter().filter(|e| e.service.as_deref() == Some(*name));
                let later = deployed.map(|e| (slot_at(e.starts_at), e.labels.get("version").map_or("", String::as_str)));
                std::iter::once((i64::MIN, if *name == "search" { "2.7.3" } else { "2.8.0" })).chain(later).collect()
            })
            .collect();
        let series = catalogue(&config, &specs, &versions, first);
        let services = specs
            .into_iter()
            .zip(&versions)
            .map(|(spec, versions)| {
                let restarts = versions.iter().skip(1).map(|v| v.0).collect();
                Service::new(spec, config.seed, config.incident.clone(), restarts, slot_ms, first)
            })
            .collect();
        Self { config, truth, calls, names, series, first, services: RwLock::new(services) }
    }

    /// What kind of shop it is.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is really wrong.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// The names of the services, callers before the services only they call.
    pub fn services(&self) -> &[&'static str] {
        &self.names
    }

    /// Who calls whom: caller and callee.
    pub fn calls(&self) -> &[(String, String)] {
        &self.calls
    }

    /// The metric families.
    pub fn families(&self) -> impl Iterator<Item = &'static Family> {
        FAMILIES.iter().filter(|f| self.series.iter().any(|s| s.family == f.name))
    }

    /// How many series there are, over all time.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    pub(super) fn key(&self, series: usize) -> &SeriesKey {
        &self.series[series].key
    }

    pub(super) fn of_family(&self, family: &str) -> impl Iterator<Item = usize> {
        self.series.iter().enumerate().filter(move |(_, s)| s.family == family).map(|(i, _)| i)
    }

    /// Whether the series has a sample at one of these scrapes.
    pub(super) fn lives(&self, series: usize, slots: &Range<i64>) -> bool {
        let alive = &self.series[series].alive;
        alive.start.max(slots.start) < alive.end.min(slots.end)
    }

    /// The samples of each of `series` at those of `slots` at which it lives.
    pub(super) fn samples(&self, series: &[usize], slots: &Range<i64>) -> Vec<Samples> {
        let end = slots.end.min(self.first + MOST_SLOTS);
        self.advance(end - 1);
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        series
            .iter()
            .map(|&i| {
                let stored = &self.series[i];
                let range = stored.alive.start.max(slots.start)..stored.alive.end.min(end);
                if range.is_empty() {
                    return Samples::default();
                }
                let values = match stored.origin {
                    Origin::Column { service, column } => {
                        let place = |slot: i64| (slot - self.first) as usize;
                        services[service].column(column)[place(range.start)..place(range.end)].to_vec()
                    }
                    origin => range.clone().map(|slot| self.computed(origin, slot)).collect(),
                };
                Samples { first: range.start, values }
            })
            .collect()
    }

    fn computed(&self, origin: Origin, slot: i64) -> f64 {
        let slot_ms = self.config.scrape_interval.millis();
        let since = (slot - self.first) as f64;
        match origin {
            Origin::Constant(value) => value,
            Origin::Disk { node } => disk::available(self.config.seed, node, self.first * slot_ms, slot * slot_ms, slot),
            Origin::Session { number } => (since * Stream::new(self.config.seed, "session").uniform(0, number as u64)).floor(),
            Origin::Exported => (since * 3.0).floor(),
            Origin::Column { .. } => f64::NAN,
        }
    }

    /// Makes sure that the scrape at `slot` has happened.
    fn advance(&self, slot: i64) {
        let needed = (slot - self.first + 1).max(0) as usize;
        let behind = |services: &[Service]| services.iter().any(|s| s.column(column::COUNT).len() < needed);
        if behind(&self.services.read().unwrap_or_else(PoisonError::into_inner)) {
            // A service that another thread has brought further in the meantime stays where it is.
            self.services.write().unwrap_or_else(PoisonError::into_inner).par_iter_mut().for_each(|s| s.advance(slot));
        }
    }
}

/// Every series, family by family, one service's or machine's after another's.
fn catalogue(config: &Config, specs: &[topology::Service], versions: &[Vec<(i64, &str)>], first: i64) -> Vec<Stored> {
    let mut series = Vec::new();
    let always = first..first + MOST_SLOTS;
    let mut add = |family: &'static str, suffix: &str, labels: &[(&str, &str)], origin: Origin, alive: Range<i64>| {
        let name = ("__name__".to_owned(), format!("{family}{suffix}"));
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        series.push(Stored { key: SeriesKey::new(std::iter::once(name).chain(labels)), family, origin, alive });
    };
    for (i, spec) in specs.iter().enumerate() {
        let service = ("service", spec.name);
        let at = |column| Origin::Column { service: i, column };
        for (k, (from, version)) in versions[i].iter().enumerate() {
            let until = versions[i].get(k + 1).map_or(always.end, |next| next.0);
            let alive = (*from).max(always.start)..until.min(always.end);
            add("build_info", "", &[service, ("version", version)], Origin::Constant(1.0), alive);
        }
        add("container_cpu_usage_seconds_total", "", &[service], at(column::CPU), always.clone());
        for (k, bound) in BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]).enumerate() {
            add("http_request_duration_seconds", "_bucket", &[service, ("le", &bound)], at(k), always.clone());
        }
        add("http_request_duration_seconds", "_count", &[service], at(column::COUNT), always.clone());
        add("http_request_duration_seconds", "_sum", &[service], at(column::SUM), always.clone());
        for (code, column) in [("200", column::OK), ("404", column::NOT_FOUND), ("500", column::FAILED)] {
            add("http_requests_total", "", &[service, ("code", code)], at(column), always.clone());
        }
        add("process_resident_memory_bytes", "", &[service], at(column::MEMORY), always.clone());
        add("service_max_requests_in_flight", "", &[service], Origin::Constant(256.0), always.clone());
        add("up", "", &[("job", spec.name), ("instance", &format!("{}:8080", spec.name))], Origin::Constant(1.0), always.clone());
        if let Some(size) = spec.pool {
            add("db_connection_pool_in_use", "", &[service], at(column::POOL), always.clone());
            add("db_connection_pool_max", "", &[service], Origin::Constant(size), always.clone());
        }
        if let Some(queue) = spec.queue {
            add("queue_depth", "", &[service, ("queue", queue)], at(column::QUEUE), always.clone());
        }
    }
    for node in 0..disk::NODES {
        let instance = format!("node-{}:9100", node + 1);
        let labels = [("instance", instance.as_str()), ("mountpoint", "/")];
        add("node_filesystem_avail_bytes", "", &labels, Origin::Disk { node }, always.clone());
        add("node_filesystem_size_bytes", "", &labels, Origin::Constant(disk::SIZE), always.clone());
        add("up", "", &[("job", "node"), labels[0]], Origin::Constant(1.0), always.clone());
    }
    for number in 0..config.sessions {
        let id = format!("{:016x}", Stream::new(config.seed, "session-id").uniform(0, number as u64).to_bits());
        add("http_session_requests_total", "", &[("service", "web"), ("session", &id)], Origin::Session { number }, always.clone());
    }
    // Switched off an hour after the history begins.
    let exported = first..first + DurationMs::HOUR.steps(config.scrape_interval) as i64;
    add("legacy_exports_total", "", &[("service", "orders")], Origin::Exported, exported);
    series
}

#[cfg(test)]
mod tests;
