//! One tick of the correlation over three sizes: how its cost grows with the findings that are open, and with those that
//! all begin at once.

use std::time::Duration;

use bellwether::clock::{DurationMs, Timestamp};
use bellwether::correlation::feedback::Learned;
use bellwether::correlation::grouping::{Tick, update};
use bellwether::correlation::remedy::Catalogue;
use bellwether::correlation::topology::{Call, CallSource, Topology};
use bellwether::finding::{Course, Direction, Finding, FindingKind};
use bellwether::incident::Incident;
use bellwether::metric::{MetricKind, Unit};
use bellwether::series::SeriesKey;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus as Random;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const SERVICES: usize = 5_000;
const CALLS: usize = 50_000;
const METRICS: [MetricKind; 5] = [MetricKind::Latency, MetricKind::Errors, MetricKind::Cpu, MetricKind::Traffic, MetricKind::Memory];

/// Callees of low numbers are called by many: hubs.
fn topology(random: &mut Random) -> Topology {
    let calls = (0..CALLS).map(|_| {
        let callee = (random.r#gen::<f64>().powi(3) * SERVICES as f64) as usize;
        Call { caller: format!("s{}", random.gen_range(0..SERVICES)), callee: format!("s{callee}"), source: CallSource::Measured }
    });
    Topology::new(calls).unwrap_or_default()
}

/// So many findings with onsets anywhere within `within` from `from` on.
fn findings(random: &mut Random, count: usize, from: Timestamp, within: DurationMs) -> Vec<Finding> {
    let one = |_| {
        let (service, metric) = (format!("s{}", random.gen_range(0..SERVICES)), METRICS[random.gen_range(0..METRICS.len())]);
        let onset = from + DurationMs::from_millis(random.gen_range(0..within.millis()));
        let labels = [
            ("service", service.clone()),
            ("node", format!("n{}", random.gen_range(0..SERVICES / 10))),
            ("series", random.r#gen::<u32>().to_string()),
        ];
        let key = SeriesKey::new(labels.map(|(name, value)| (name.to_owned(), value)));
        let monitor = metric.to_string();
        Finding {
            id: Finding::identity(&monitor, &key, onset),
            monitor,
            service,
            key,
            metric,
            unit: Unit::None,
            kind: FindingKind::Deviation,
            direction: Direction::Up,
            onset,
            opened: onset,
            last_seen: onset,
            ended: None,
            value: 2.0,
            expected: 1.0,
            lower: 0.5,
            upper: 1.5,
            score: random.gen_range(1.0..6.0),
            p_value: 1e-4,
            evidence: Vec::new(),
            model: String::new(),
            reach: None,
            course: Some(Course {
                until: onset + DurationMs::from_secs(120),
                step: DurationMs::from_secs(60),
                deviations: (0..Course::MOST).map(|_| random.gen_range(-3.0..3.0)).collect(),
            }),
        }
    };
    (0..count).map(one).collect()
}

fn tick(c: &mut Criterion) {
    let start = Timestamp::default();
    let (catalogue, learned, mut random) = (Catalogue::shipped(), Learned::default(), Random::seed_from_u64(1));
    let topology = topology(&mut random);
    let at = |now: Timestamp, findings: &[Finding], open: &[Incident]| {
        let monitor = &|_: &str| None;
        update(
            open,
            &Tick { now, findings, events: &[], topology: &topology, monitor, catalogue: &catalogue, learned: &learned, runbook_base: "" },
        )
    };
    let mut group = c.benchmark_group("correlation tick");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for size in SIZES {
        let day = start + DurationMs::DAY;
        let known = findings(&mut random, size, start, DurationMs::DAY);
        let open = at(day, &known, &[]);
        // One in a hundred is new, and as many end.
        let mut news = findings(&mut random, size / 100, day, DurationMs::from_secs(60));
        news.extend(known.iter().step_by(100).map(|f| Finding { ended: Some(day), ..f.clone() }));
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("open findings", size), |b| b.iter(|| at(day + DurationMs::from_secs(60), &news, &open)));
    }
    for size in SIZES {
        let storm = findings(&mut random, size, start, DurationMs::from_secs(600));
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("all new", size), |b| b.iter(|| at(start + DurationMs::from_secs(600), &storm, &[])));
    }
    group.finish();
}

criterion_group!(benches, tick);
criterion_main!(benches);
