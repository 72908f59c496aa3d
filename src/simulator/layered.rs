//! A shop in layers: front ends, a gateway, what it calls, what that calls, and what keeps the data.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::topology::{MIB, Service, WEB_RATE, names, rates};

/// What partners ask per second at a demand of 1, without the web.
const PARTNER_RATE: f64 = 40.0;
/// The front ends and the gateway; all other services share the three layers below.
const FIRST: [&str; 3] = ["web", "partners", "api-gateway"];
/// Services for each machine.
const PER_NODE: usize = 5;

/// How many machines a shop of so many services has.
pub(super) fn nodes(services: usize) -> usize {
    (services / PER_NODE).max(3)
}

/// `count` services, callers before the services they call.
pub(super) fn services(seed: u64, count: usize) -> Vec<Service> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x6c61_7965_7273);
    let others = names().filter(|name| !FIRST.contains(name));
    let mut services: Vec<Service> = FIRST.into_iter().chain(others).take(count).map(|name| blank(name, &mut random)).collect();
    let layers = layers(count);
    call(&mut services, &layers, &mut random);
    equip(&mut services, &layers, &mut random);
    for (service, rate) in rates(&services).into_iter().enumerate() {
        services[service].rate = rate;
    }
    let machines = nodes(count);
    for service in &mut services {
        let replicas = random.gen_range(2..=3);
        service.nodes = rand::seq::index::sample(&mut random, machines, replicas).into_vec();
        service.nodes.sort_unstable();
    }
    services
}

/// Of each service the layer: 0 for the front ends to 4 for what keeps the data.
fn layers(count: usize) -> Vec<usize> {
    let below = count - FIRST.len();
    let (upper, middle) = ((below / 5).max(2), (below * 2 / 5).max(3));
    let of = |i: usize| match i {
        0 | 1 => 0,
        2 => 1,
        _ if i < FIRST.len() + upper => 2,
        _ if i < FIRST.len() + upper + middle => 3,
        _ => 4,
    };
    (0..count).map(of).collect()
}

fn blank(name: &'static str, random: &mut Xoshiro256PlusPlus) -> Service {
    let mut between = |low: f64, high: f64| low * (high / low).powf(random.r#gen());
    Service {
        name,
        calls: Vec::new(),
        latency_s: between(0.004, 0.04),
        cpu_s: between(0.001, 0.012),
        memory_bytes: between(128.0, 2048.0).round() * MIB,
        errors: between(0.0005, 0.004),
        pool: None,
        queue: None,
        rate: 0.0,
        outside: match name {
            "web" => WEB_RATE,
            "partners" => PARTNER_RATE,
            _ => 0.0,
        },
        cache: None,
        nodes: Vec::new(),
    }
}

/// Draws who calls whom; nobody is never called.
fn call(services: &mut [Service], layers: &[usize], random: &mut Xoshiro256PlusPlus) {
    let names: Vec<&'static str> = services.iter().map(|s| s.name).collect();
    let of = |layer: usize| -> Vec<usize> { (0..layers.len()).filter(|i| layers[*i] == layer).collect() };
    for caller in 0..services.len() {
        // Layer called, the fewest and the most callees there, and how often each is called per request.
        let wanted: &[(usize, usize, usize, (f64, f64))] = match layers[caller] {
            0 if caller == 0 => &[(1, 1, 1, (1.5, 1.8))],
            0 => &[(2, 2, 3, (0.3, 0.9))],
            1 => &[(2, usize::MAX, usize::MAX, (0.08, 0.5))],
            2 => &[(3, 2, 4, (0.2, 1.0)), (4, 0, 1, (0.2, 0.8))],
            3 => &[(4, 1, 3, (0.3, 1.3))],
            _ => &[],
        };
        for (layer, least, most, share) in wanted {
            let there = of(*layer);
            let number = if *least == usize::MAX { there.len() } else { random.gen_range(*least..=*most).min(there.len()) };
            for place in rand::seq::index::sample(random, there.len(), number) {
                services[caller].calls.push((names[there[place]], random.gen_range(share.0..share.1)));
            }
        }
        // Some of the middle call one another, never in a circle.
        let later = of(3).into_iter().filter(|other| *other > caller).collect::<Vec<_>>();
        if layers[caller] == 3 && !later.is_empty() && random.gen_bool(0.15) {
            let callee = later[random.gen_range(0..later.len())];
            services[caller].calls.push((names[callee], random.gen_range(0.2..0.8)));
        }
    }
    for callee in FIRST.len()..services.len() {
        if !services.iter().any(|s| s.calls.iter().any(|(name, _)| *name == names[callee])) {
            let above = of(layers[callee] - 1);
            let caller = above[random.gen_range(0..above.len())];
            services[caller].calls.push((names[callee], random.gen_range(0.3..0.9)));
        }
    }
    // Who calls waits: a request takes its own time and that of its calls.
    for i in (0..services.len()).rev() {
        let of = |name: &str| services.iter().find(|s| s.name == name).map_or(0.0, |s| s.latency_s);
        let waits: f64 = services[i].calls.iter().map(|(name, share)| share.min(1.0) * of(name)).sum();
        services[i].latency_s += waits;
    }
}

/// Gives pools to who keeps data, queues and caches to the layers above; at least one of each.
fn equip(services: &mut [Service], layers: &[usize], random: &mut Xoshiro256PlusPlus) {
    const QUEUES: [&str; 4] = ["jobs", "events", "outbox", "imports"];
    let mut seen = [false; 5];
    for (service, layer) in services.iter_mut().zip(layers) {
        let first = !std::mem::replace(&mut seen[*layer], true);
        let mut has = |share: f64, always: bool| random.gen_bool(share) || always;
        if has(if *layer == 4 { 0.6 } else { 0.15 }, *layer == 4 && first) {
            service.pool = Some(40.0);
        }
        if has(if *layer == 3 { 0.25 } else { 0.0 }, *layer == 3 && first) {
            service.queue = Some(QUEUES[service.name.len() % QUEUES.len()]);
        }
        if has(if matches!(*layer, 2 | 3) { 0.35 } else { 0.0 }, *layer == 2 && first) {
            service.cache = Some(0.9);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::topology::{FEWEST, MOST};

    #[test]
    fn everybody_is_called_and_calls_only_those_below() {
        for (seed, count) in [(1, FEWEST), (2, 20), (3, MOST), (4, MOST)] {
            let services = services(seed, count);
            assert_eq!(services.len(), count);
            assert!(services.iter().all(|s| s.rate > 1.0 && s.latency_s < 1.0 && s.nodes.len() >= 2), "{services:?}");
            for (i, service) in services.iter().enumerate() {
                for (callee, _) in &service.calls {
                    assert!(services.iter().position(|s| s.name == *callee).is_some_and(|at| at > i), "{callee}");
                }
            }
            assert!(services.iter().any(|s| s.pool.is_some()) && services.iter().any(|s| s.queue.is_some()));
            assert!(services.iter().any(|s| s.cache.is_some()));
        }
        assert_ne!(format!("{:?}", services(1, 20)), format!("{:?}", services(2, 20)));
    }
}
