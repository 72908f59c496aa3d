//! What goes wrong, where it begins, how it spreads, and the truth about it.

use crate::clock::{DurationMs, Timestamp};
use crate::event::{Event, EventKind};
use crate::monitor::MetricKind;
use crate::words::words;

words! {
    /// What goes wrong.
    IncidentKind {
        /// A new version of `payment` leaks database connections; its callers feel it.
        PoolExhaustion = "pool_exhaustion",
        /// A new version of `catalogue` leaks memory, then collects garbage all the time; its callers feel it.
        MemoryLeak = "memory_leak",
        /// A new version of `orders` stops consuming its queue; `email` runs dry.
        QueueBacklog = "queue_backlog",
    }
}

/// The incident to play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What goes wrong.
    pub kind: IncidentKind,
    /// When the root service leaves its usual course.
    pub onset: Timestamp,
    /// How long until everything is as before; for good when `None`.
    pub duration: Option<DurationMs>,
}

/// What is really wrong with the shop, and what was really changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// The incident, if one is played.
    pub incident: Option<TrueIncident>,
    /// Deployments, earliest first: a harmless one and, with an incident, the one that caused it.
    pub changes: Vec<Event>,
}

/// The truth about an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct TrueIncident {
    /// What went wrong.
    pub kind: IncidentKind,
    /// The service where it began.
    pub root: String,
    /// Why, in one line.
    pub cause: String,
    /// The id of the event in [`Truth::changes`] that caused it.
    pub change: String,
    /// When the root service left its usual course.
    pub onset: Timestamp,
    /// From when on everything is as before; `None` when it never ends.
    pub end: Option<Timestamp>,
    /// Everything that leaves its usual range, earliest first.
    pub affected: Vec<Affected>,
}

/// A service and what it shows of the incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    /// The service.
    pub service: String,
    /// What leaves its usual range: traffic, errors and latency of its requests, the use of its connection
    /// pool (saturation), its queue, its memory, its processor use.
    pub metric: MetricKind,
    /// When it begins to.
    pub onset: Timestamp,
}

/// How far a service is from its usual course at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Impact {
    /// The share of its traffic that is missing.
    pub(super) missing: f64,
    /// The share of requests that fail besides the usual.
    pub(super) errors: f64,
    /// Requests besides the usual, as a share of it.
    pub(super) more: f64,
    /// The share of requests that take [`Impact::slow_by`] times as long, which is [`SLOWDOWN`] unless something says otherwise.
    pub(super) slow: f64,
    /// How many times as long; 0 where nothing says.
    pub(super) slow_by: f64,
    /// How much of what is free in its connection pool is taken.
    pub(super) pool: f64,
    /// Messages that wait besides the usual.
    pub(super) queue: f64,
    /// Memory besides the usual, as a multiple of it.
    pub(super) memory: f64,
    /// Cores besides the usual.
    pub(super) cores: f64,
    /// How much lower the share of reads is that the cache answers.
    pub(super) cache: f64,
    /// How much more of the time a disk is busy.
    pub(super) disk: f64,
    /// By what share latency, processor use and memory lie higher for good.
    pub(super) levels: [f64; 3],
}

/// How much longer a slow request takes.
pub(super) const SLOWDOWN: f64 = 10.0;

/// One service's one metric: `ramp_s` seconds from `delay_s` after the onset on it is `size` off.
struct Effect {
    service: &'static str,
    metric: MetricKind,
    delay_s: i64,
    ramp_s: i64,
    size: f64,
}

const fn effect(service: &'static str, metric: MetricKind, delay_s: i64, ramp_s: i64, size: f64) -> Effect {
    Effect { service, metric, delay_s, ramp_s, size }
}

const POOL_EXHAUSTION: &[Effect] = &[
    effect("payment", MetricKind::Saturation, 0, 120, 1.0),
    effect("payment", MetricKind::Latency, 60, 60, 0.9),
    effect("payment", MetricKind::Errors, 120, 60, 0.25),
    effect("checkout", MetricKind::Latency, 120, 60, 0.8),
    effect("checkout", MetricKind::Errors, 180, 60, 0.18),
    effect("api-gateway", MetricKind::Latency, 180, 60, 0.25),
    effect("api-gateway", MetricKind::Errors, 240, 60, 0.04),
    effect("web", MetricKind::Latency, 240, 60, 0.2),
    effect("web", MetricKind::Errors, 300, 60, 0.03),
    effect("checkout", MetricKind::Traffic, 300, 120, 0.5),
    effect("payment", MetricKind::Traffic, 300, 120, 0.5),
];

const MEMORY_LEAK: &[Effect] = &[
    effect("catalogue", MetricKind::Memory, 0, 2400, 2.0),
    effect("catalogue", MetricKind::Cpu, 600, 600, 2.0),
    effect("catalogue", MetricKind::Latency, 900, 600, 0.9),
    effect("search", MetricKind::Latency, 960, 600, 0.5),
    effect("recommendation", MetricKind::Latency, 960, 600, 0.5),
    effect("api-gateway", MetricKind::Latency, 1020, 600, 0.3),
    effect("web", MetricKind::Latency, 1080, 600, 0.3),
];

const QUEUE_BACKLOG: &[Effect] =
    &[effect("orders", MetricKind::Queue, 0, 1800, 5000.0), effect("email", MetricKind::Traffic, 120, 120, 0.8)];

impl IncidentKind {
    fn effects(self) -> &'static [Effect] {
        match self {
            Self::PoolExhaustion => POOL_EXHAUSTION,
            Self::MemoryLeak => MEMORY_LEAK,
            Self::QueueBacklog => QUEUE_BACKLOG,
        }
    }

    fn root(self) -> &'static str {
        self.effects()[0].service
    }

    fn cause(self) -> &'static str {
        match self {
            Self::PoolExhaustion => "payment 2.8.1 does not return its database connections: the pool is exhausted",
            Self::MemoryLeak => "catalogue 2.8.1 keeps every product it has ever shown in memory",
            Self::QueueBacklog => "orders 2.8.1 has stopped consuming order-events",
        }
    }
}

/// From the deployment that causes an incident to its onset.
const DEPLOYED_BEFORE: DurationMs = DurationMs::from_secs(180);

impl Plan {
    fn end(&self) -> Option<Timestamp> {
        self.duration.map(|d| self.onset + d)
    }

    /// How far `service` is from its usual course at `t`.
    pub(super) fn impact(&self, service: &str, t: Timestamp) -> Impact {
        let mut impact = Impact::default();
        if t < self.onset || self.end().is_some_and(|end| t >= end) {
            return impact;
        }
        for effect in self.kind.effects().iter().filter(|e| e.service == service) {
            let begin = self.onset + DurationMs::from_secs(effect.delay_s);
            if t < begin {
                continue;
            }
            // Something shows from the first moment on.
            let strength = (0.3 + 0.7 * t.since(begin).seconds() / effect.ramp_s as f64).min(1.0);
            // What grows by accumulation starts from nothing.
            let grown = (t.since(begin).seconds() / effect.ramp_s as f64).min(1.0);
            match effect.metric {
                MetricKind::Traffic => impact.missing = strength * effect.size,
                MetricKind::Errors => impact.errors = strength * effect.size,
                MetricKind::Latency => impact.slow = strength * effect.size,
                MetricKind::Saturation => impact.pool = strength * effect.size,
                MetricKind::Cpu => impact.cores = strength * effect.size,
                MetricKind::Queue => impact.queue = grown * effect.size,
                MetricKind::Memory => impact.memory = grown * effect.size,
                MetricKind::Disk | MetricKind::Network | MetricKind::Gpu | MetricKind::Availability | MetricKind::Other => {}
            }
        }
        impact
    }
}

/// The truth about a shop of `services` from `start` on.
pub(super) fn truth(plan: Option<&Plan>, start: Timestamp, services: &[&str]) -> Truth {
    let reference = plan.map_or(start + DurationMs::DAY * 4, |p| p.onset);
    let mut changes = vec![deployment("search", "2.8.0", reference - DurationMs::DAY * 3, "Ranks sold-out products last.")];
    let incident = plan.map(|plan| {
        let change = deployment(plan.kind.root(), "2.8.1", plan.onset - DEPLOYED_BEFORE, "New client library, smaller image.");
        let mut affected: Vec<Affected> = plan
            .kind
            .effects()
            .iter()
            .filter(|e| services.contains(&e.service))
            .map(|e| Affected { service: e.service.to_owned(), metric: e.metric, onset: plan.onset + DurationMs::from_secs(e.delay_s) })
            .filter(|a| plan.end().is_none_or(|end| a.onset < end))
            .collect();
        affected.sort_by_key(|a| a.onset);
        let truth = TrueIncident {
            kind: plan.kind,
            root: plan.kind.root().to_owned(),
            cause: plan.kind.cause().to_owned(),
            change: change.id.clone(),
            onset: plan.onset,
            end: plan.end(),
            affected,
        };
        changes.push(change);
        truth
    });
    Truth { incident, changes }
}

fn deployment(service: &str, version: &str, at: Timestamp, description: &str) -> Event {
    Event {
        id: format!("deploy-{service}-{version}"),
        kind: EventKind::Deployment,
        source: "simulator".to_owned(),
        title: format!("{service} {version} deployed"),
        description: description.to_owned(),
        service: Some(service.to_owned()),
        labels: [("service".to_owned(), service.to_owned()), ("version".to_owned(), version.to_owned())].into(),
        starts_at: at,
        ends_at: None,
        url: None,
    }
}
