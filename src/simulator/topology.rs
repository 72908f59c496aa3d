//! The services and who calls whom.

use super::noise::Stream;

/// What a service is like.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    /// Whom it calls, and how often per request of its own.
    pub(super) calls: Vec<(&'static str, f64)>,
    /// Median seconds per request when the shop is quiet.
    pub(super) latency_s: f64,
    /// Processor seconds per request.
    pub(super) cpu_s: f64,
    pub(super) memory_bytes: f64,
    /// The share of requests that fail on an ordinary day.
    pub(super) errors: f64,
    /// The size of its database connection pool, if it has a database.
    pub(super) pool: Option<f64>,
    /// The name of its queue, if it has one.
    pub(super) queue: Option<&'static str>,
    /// Requests per second at a demand of 1.
    pub(super) rate: f64,
    /// What of them comes from customers rather than from other services.
    pub(super) outside: f64,
    /// The share of its reads that its cache answers, if it has one.
    pub(super) cache: Option<f64>,
    /// The machines that its replicas run on, where machines matter.
    pub(super) nodes: Vec<usize>,
}

pub(super) const MIB: f64 = 1_048_576.0;

/// What customers ask of the web frontend per second at a demand of 1.
pub(super) const WEB_RATE: f64 = 120.0;

type Row = (&'static str, &'static [(&'static str, f64)], f64, f64, f64, f64, Option<f64>, Option<&'static str>);

/// Name, calls, median latency, processor seconds, memory in MiB, error share, pool, queue. The first
/// twelve hold every service that an incident needs. The latencies keep the 95th percentiles away from the
/// histogram's bounds, where a quantile's slope has a break.
#[rustfmt::skip]
const NAMED: [Row; 14] = [
    ("web", &[("api-gateway", 1.8)], 0.060, 0.004, 512.0, 0.003, None, None),
    ("api-gateway", &[("catalogue", 0.5), ("search", 0.2), ("recommendation", 0.25), ("cart", 0.2), ("checkout", 0.06), ("auth", 0.3), ("orders", 0.05)],
        0.032, 0.002, 384.0, 0.002, None, None),
    ("checkout", &[("payment", 1.0), ("cart", 1.0), ("inventory", 1.0), ("shipping", 1.0), ("orders", 0.9), ("currency", 1.0)],
        0.130, 0.020, 640.0, 0.004, None, None),
    ("payment", &[], 0.075, 0.015, 768.0, 0.003, Some(50.0), None),
    ("cart", &[("catalogue", 0.3), ("currency", 0.4)], 0.014, 0.003, 256.0, 0.001, None, None),
    ("catalogue", &[], 0.0155, 0.004, 1024.0, 0.001, Some(100.0), None),
    ("orders", &[("email", 0.5), ("inventory", 0.3)], 0.052, 0.008, 896.0, 0.002, Some(60.0), Some("order-events")),
    ("auth", &[], 0.026, 0.006, 320.0, 0.004, Some(40.0), None),
    ("inventory", &[], 0.025, 0.005, 448.0, 0.002, Some(40.0), None),
    ("search", &[("catalogue", 0.5)], 0.070, 0.018, 2048.0, 0.002, None, None),
    ("email", &[], 0.150, 0.005, 192.0, 0.005, None, Some("outgoing-mail")),
    ("shipping", &[("currency", 0.3)], 0.055, 0.004, 256.0, 0.003, None, None),
    ("recommendation", &[("catalogue", 0.6)], 0.032, 0.022, 1536.0, 0.002, None, None),
    ("currency", &[], 0.006, 0.001, 96.0, 0.0005, None, None),
];

/// Further services when more are asked for; the API gateway calls them.
const FURTHER: [&str; 36] = [
    "reviews",
    "wishlist",
    "coupons",
    "loyalty",
    "pricing",
    "tax",
    "fraud",
    "invoices",
    "returns",
    "notifications",
    "images",
    "media",
    "geo",
    "ads",
    "banner",
    "profile",
    "session",
    "translations",
    "suppliers",
    "warehouse",
    "courier",
    "refunds",
    "subscriptions",
    "giftcards",
    "support",
    "chat",
    "statistics",
    "audit",
    "export",
    "import",
    "reports",
    "features",
    "consent",
    "newsletter",
    "partners",
    "stores",
];

/// All names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|row| row.0).chain(FURTHER)
}

/// The fewest services a shop has.
pub(super) const FEWEST: usize = 12;
/// The most services a shop can have.
pub(super) const MOST: usize = NAMED.len() + FURTHER.len();

/// The first `count` services, each with its rate and its calls among them.
pub(super) fn services(seed: u64, count: usize) -> Vec<Service> {
    let mut services: Vec<Service> = NAMED
        .iter()
        .map(|&(name, calls, latency_s, cpu_s, memory_mib, errors, pool, queue)| Service {
            name,
            calls: calls.to_vec(),
            latency_s,
            cpu_s,
            memory_bytes: memory_mib * MIB,
            errors,
            pool,
            queue,
            rate: 0.0,
            outside: if name == "web" { WEB_RATE } else { 0.0 },
            cache: None,
            nodes: Vec::new(),
        })
        .chain(FURTHER.iter().map(|name| further(seed, name)))
        .take(count)
        .collect();
    let names: Vec<&'static str> = services.iter().map(|s| s.name).collect();
    if let Some(gateway) = services.get_mut(1) {
        for name in names.iter().filter(|name| FURTHER.contains(name)) {
            gateway.calls.push((name, 0.05 + 0.25 * Stream::new(seed, name).uniform(0, 9)));
        }
    }
    for service in &mut services {
        service.calls.retain(|(callee, _)| names.contains(callee));
    }
    let rates = rates(&services);
    for (service, rate) in services.iter_mut().zip(rates) {
        service.rate = rate;
    }
    services
}

fn further(seed: u64, name: &'static str) -> Service {
    let stream = Stream::new(seed, name);
    let between = |lane: u64, low: f64, high: f64| low * (high / low).powf(stream.uniform(0, lane));
    Service {
        name,
        calls: Vec::new(),
        latency_s: between(1, 0.005, 0.15),
        cpu_s: between(2, 0.001, 0.02),
        memory_bytes: between(3, 128.0, 1024.0).round() * MIB,
        errors: between(4, 0.0005, 0.005),
        pool: (stream.uniform(0, 5) < 0.4).then_some(40.0),
        queue: (stream.uniform(0, 6) < 0.15).then_some("jobs"),
        rate: 0.0,
        outside: 0.0,
        cache: None,
        nodes: Vec::new(),
    }
}

/// What arrives at each service: what customers and callers ask of it.
pub(super) fn rates(services: &[Service]) -> Vec<f64> {
    let mut rates = vec![0.0; services.len()];
    // The graph has no circle, so that after as many rounds as there are services nothing moves any more.
    for _ in 0..services.len() {
        let mut next: Vec<f64> = services.iter().map(|s| s.outside).collect();
        for (caller, rate) in services.iter().zip(&rates) {
            for (callee, share) in &caller.calls {
                if let Some(i) = services.iter().position(|s| s.name == *callee) {
                    next[i] += rate * share;
                }
            }
        }
        rates = next;
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_is_called_and_calls_only_services_that_are_there() {
        for count in [FEWEST, 14, 30, MOST] {
            let services = services(1, count);
            assert_eq!(services.len(), count);
            assert!(services.iter().all(|s| s.rate > 1.0), "{services:?}");
            for (callee, _) in services.iter().flat_map(|s| &s.calls) {
                assert!(services.iter().any(|s| s.name == *callee), "{callee}");
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = services(1, MOST).iter().map(|s| s.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MOST);
    }
}
