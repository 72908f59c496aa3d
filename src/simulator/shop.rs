//! The shop: its configuration, its series, and their samples.

use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use rayon::prelude::*;

use super::campaign::{self, Campaign, node_name};
use super::incident::{self, Impact, Plan, Truth};
use super::noise::{Stream, Wobble};
use super::promql::ABSENT;
use super::rhythm::demand;
use super::service::{BOUNDS, Course, Service, column};
use super::unrest::Unrest;
use super::{IncidentKind, disk, layered, topology};
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
    /// Many incidents over weeks of ordinary noise, in a shop in layers, instead of the one.
    pub campaign: Option<campaign::Plan>,
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
            campaign: None,
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
        if let Some(plan) = &self.campaign {
            check(self.incident.is_none(), "incident", "is set beside a campaign; a shop has one or the other".to_owned());
            check(plan.from > self.start, "campaign.from", format!("{} is not after the start {}", plan.from, self.start));
            let most = self.start + self.scrape_interval * MOST_SLOTS;
            check(
                plan.to >= plan.from + DurationMs::HOUR * 4 && plan.to < most,
                "campaign.to",
                format!("{}; it must be at least 4h after the beginning {}, and before {most}", plan.to, plan.from),
            );
            for (field, count) in [("campaign.faults", plan.faults), ("campaign.changes", plan.changes)] {
                check(count <= campaign::MOST, field, format!("{count}; at most {}", campaign::MOST));
            }
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
const FAMILIES: [Family; 18] = [
    family("build_info", FamilyKind::Gauge, "Constant 1, labelled with the version that runs."),
    family("cache_hit_ratio", FamilyKind::Gauge, "Share of reads that the cache answered."),
    family("container_cpu_usage_seconds_total", FamilyKind::Counter, "Processor time used in seconds."),
    family("db_connection_pool_in_use", FamilyKind::Gauge, "Database connections that are in use."),
    family("db_connection_pool_max", FamilyKind::Gauge, "Database connections that the pool may open."),
    family("http_request_duration_seconds", FamilyKind::Histogram, "Time to serve a request in seconds."),
    family("http_requests_total", FamilyKind::Counter, "Requests served, by status code."),
    family("http_session_requests_total", FamilyKind::Counter, "Requests served, by session."),
    family("legacy_exports_total", FamilyKind::Counter, "Orders exported to the old warehouse system, which is switched off."),
    family("node_disk_io_time_seconds_total", FamilyKind::Counter, "Time that the disk was busy in seconds."),
    family("node_filesystem_avail_bytes", FamilyKind::Gauge, "Bytes free on a filesystem."),
    family("node_filesystem_size_bytes", FamilyKind::Gauge, "Bytes of a filesystem."),
    family("process_cpu_seconds_total", FamilyKind::Counter, "Processor time used in seconds."),
    family("process_resident_memory_bytes", FamilyKind::Gauge, "Resident memory in bytes."),
    family("queue_depth", FamilyKind::Gauge, "Messages that wait in a queue."),
    family("service_max_requests_in_flight", FamilyKind::Gauge, "Requests that a service accepts at the same time."),
    family("traces_service_graph_request_total", FamilyKind::Counter, "Requests from one service to another, by client and server."),
    family("up", FamilyKind::Gauge, "Whether the last scrape succeeded."),
];

const fn family(name: &'static str, kind: FamilyKind, help: &'static str) -> Family {
    Family { name, kind, help }
}

/// How a series' samples come about.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Column {
        service: usize,
        column: usize,
    },
    Constant(f64),
    Disk {
        node: usize,
    },
    BusyDisk {
        node: usize,
    },
    Session {
        number: usize,
    },
    Exported,
    /// So many a second, as a counter.
    Calls {
        rate: f64,
    },
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
    campaign: Option<Campaign>,
    calls: Vec<(String, String)>,
    names: Vec<&'static str>,
    series: Vec<Stored>,
    first: i64,
    services: RwLock<Vec<Service>>,
    /// How long the disk of each machine was busy by each scrape, in seconds; of a campaign only.
    busy: Vec<Vec<f64>>,
}

impl Shop {
    fn new(config: Config) -> Self {
        let slot_ms = config.scrape_interval.millis();
        let slot_at = |t: Timestamp| -(-t.millis()).div_euclid(slot_ms);
        let first = slot_at(config.start);
        let specs = match config.campaign {
            Some(_) => layered::services(config.seed, config.services),
            None => topology::services(config.seed, config.services),
        };
        let campaign = config.campaign.as_ref().map(|plan| Campaign::draw(config.seed, &specs, plan));
        let names: Vec<&'static str> = specs.iter().map(|s| s.name).collect();
        let truth = match &campaign {
            Some(campaign) => Truth { incident: None, changes: campaign.changes.clone() },
            None => incident::truth(config.incident.as_ref(), config.start, &names),
        };
        let calls = specs.iter().flat_map(|s| s.calls.iter().map(|c| (s.name.to_owned(), c.0.to_owned()))).collect();
        // When each service's versions begin.
        let versions: Vec<Vec<(i64, &str)>> = names
            .iter()
            .map(|name| {
                let of_service = truth.changes.iter().filter(|e| e.service.as_deref() == Some(*name));
                let later = of_service.filter_map(|e| Some((slot_at(e.starts_at), e.labels.get("version")?.as_str())));
                std::iter::once((i64::MIN, if *name == "search" { "2.7.3" } else { "2.8.0" })).chain(later).collect()
            })
            .collect();
        let series = catalogue(&config, &specs, &versions, first);
        let services = specs
            .into_iter()
            .zip(&versions)
            .map(|(spec, versions)| {
                let restarts = versions.iter().skip(1).map(|v| v.0).collect();
                let course = match &campaign {
                    Some(campaign) => Course::Campaign(campaign.effects(spec.name), Unrest::new(config.seed, spec.name, slot_ms)),
                    None => Course::One(config.incident.clone()),
                };
                Service::new(spec, config.seed, course, restarts, slot_ms, first)
            })
            .collect();
        let busy = campaign.as_ref().map_or_else(Vec::new, |campaign| busy_disks(&config, campaign, first));
        Self { config, truth, campaign, calls, names, series, first, services: RwLock::new(services), busy }
    }

    /// What kind of shop it is.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is really wrong.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// The campaign that is played, if one is.
    pub fn campaign(&self) -> Option<&Campaign> {
        self.campaign.as_ref()
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
            Origin::Calls { rate } => (since * slot_ms as f64 / 1000.0 * rate).floor(),
            Origin::BusyDisk { node } => {
                let busy = self.busy.get(node).and_then(|busy| busy.get((slot - self.first) as usize));
                busy.copied().unwrap_or(ABSENT)
            }
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
        let cpu = if config.campaign.is_some() { "process_cpu_seconds_total" } else { "container_cpu_usage_seconds_total" };
        add(cpu, "", &[service], at(column::CPU), always.clone());
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
        if config.campaign.is_some() {
            campaign_series(spec, at, &mut |family, labels, origin| add(family, "", labels, origin, always.clone()));
        } else {
            let instance = format!("{}:8080", spec.name);
            add("up", "", &[("job", spec.name), ("instance", &instance)], Origin::Constant(1.0), always.clone());
        }
        if let Some(size) = spec.pool {
            add("db_connection_pool_in_use", "", &[service], at(column::POOL), always.clone());
            add("db_connection_pool_max", "", &[service], Origin::Constant(size), always.clone());
        }
        if let Some(queue) = spec.queue {
            add("queue_depth", "", &[service, ("queue", queue)], at(column::QUEUE), always.clone());
        }
    }
    let nodes = if config.campaign.is_some() { layered::nodes(config.services) } else { disk::NODES };
    for node in 0..nodes {
        let (instance, name) = (format!("{}:9100", node_name(node)), node_name(node));
        let mut of_node = vec![("instance", instance.as_str())];
        if config.campaign.is_some() {
            of_node.push(("node", name.as_str()));
            let device = [&of_node[..], &[("device", "sda")]].concat();
            add("node_disk_io_time_seconds_total", "", &device, Origin::BusyDisk { node }, always.clone());
        }
        let mounted = [&of_node[..], &[("mountpoint", "/")]].concat();
        add("node_filesystem_avail_bytes", "", &mounted, Origin::Disk { node: node % 6 }, always.clone());
        add("node_filesystem_size_bytes", "", &mounted, Origin::Constant(disk::SIZE), always.clone());
        add("up", "", &[&of_node[..], &[("job", "node")]].concat(), Origin::Constant(1.0), always.clone());
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

/// What only a service of a campaign has: targets on machines, calls that are counted, and perhaps a cache.
fn campaign_series(spec: &topology::Service, at: impl Fn(usize) -> Origin, add: &mut impl FnMut(&'static str, &[(&str, &str)], Origin)) {
    for (replica, node) in spec.nodes.iter().enumerate() {
        let (instance, node) = (format!("{}-{replica}:8080", spec.name), node_name(*node));
        add("up", &[("job", spec.name), ("instance", &instance), ("node", &node)], at(column::UP));
    }
    for (callee, share) in &spec.calls {
        let labels = [("client", spec.name), ("server", callee)];
        add("traces_service_graph_request_total", &labels, Origin::Calls { rate: spec.rate * share });
    }
    if spec.cache.is_some() {
        add("cache_hit_ratio", &[("service", spec.name)], at(column::CACHE));
    }
}

/// How long the disk of each machine was busy by each scrape: it is, a tenth to a third of the time, more when the shop is.
fn busy_disks(config: &Config, campaign: &Campaign, first: i64) -> Vec<Vec<f64>> {
    let slot_ms = config.scrape_interval.millis();
    let seconds = slot_ms as f64 / 1000.0;
    let last = config.campaign.as_ref().map_or(first, |plan| plan.to.millis().div_euclid(slot_ms) + 1);
    let of_node = |(node, name): (usize, String)| {
        let effects = campaign.effects(&name);
        let stream = Stream::new(config.seed, &format!("{name}/disk"));
        let mut wobble = Wobble::new(stream, 0.1, 600.0, seconds, first);
        let (mut total, usual) = (0.0, 0.08 + 0.012 * (node % 8) as f64);
        let at = |slot: i64| {
            let t = Timestamp::from_millis(slot * slot_ms);
            let mut impact = Impact::default();
            for effect in &effects {
                effect.add(t, &mut impact);
            }
            let noise = (wobble.step(slot) + 0.05 * stream.normal(slot, 1)).exp();
            total += (usual * (0.6 + 0.6 * demand(slot * slot_ms)) * noise + impact.disk).clamp(0.0, 1.0) * seconds;
            (total * 1000.0_f64).round() / 1000.0
        };
        (first..last).map(at).collect()
    };
    campaign::node_names(config.services).enumerate().map(of_node).collect()
}

#[cfg(test)]
mod tests;
