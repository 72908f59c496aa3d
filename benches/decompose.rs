//! How long it takes to take a series apart, on shapes like those of a production system.

use std::f64::consts::TAU;
use std::hint::black_box;

use bellwether::analysis::decompose::{MstlParams, StlParams, mstl, stl, trend};
use bellwether::analysis::season::find_periods;
use criterion::{Criterion, criterion_group, criterion_main};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Two weeks at a minute.
const PLACES: usize = 20_160;
const HOUR: usize = 60;
const DAY: usize = 1_440;
const WEEK: usize = 10_080;

/// A request rate: a daily wave, quieter weekends, slow growth, noise that follows the load, and a few spikes.
fn requests() -> Vec<f64> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut value = |i: usize| {
        let weekend = if (i / DAY) % 7 >= 5 { 0.6 } else { 1.0 };
        let level = weekend * (120.0 + 80.0 * (i as f64 * TAU / DAY as f64).sin()) + i as f64 * 0.001;
        let noise: f64 = (0..4).map(|_| random.r#gen::<f64>() - 0.5).sum();
        let spike = if random.r#gen::<f64>() < 0.001 { 400.0 } else { 0.0 };
        level * (1.0 + 0.1 * noise) + spike
    };
    (0..PLACES).map(&mut value).collect()
}

/// The same with one place in a hundred missed and a scrape outage of three hours.
fn gappy() -> Vec<f64> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let outage = 9_000..9_180;
    let missed = |i: usize, chance: f64| chance < 0.01 || outage.contains(&i);
    requests().into_iter().enumerate().map(|(i, v)| if missed(i, random.r#gen()) { f64::NAN } else { v }).collect()
}

/// A memory gauge: it wanders, and has no season at all.
fn memory() -> Vec<f64> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut level = 1e9;
    (0..PLACES)
        .map(|_| {
            level += 1e5 * (random.r#gen::<f64>() - 0.5);
            level
        })
        .collect()
}

fn decompose(c: &mut Criterion) {
    let (requests, gappy, memory) = (requests(), gappy(), memory());
    let mut group = c.benchmark_group("decompose two weeks at a minute");
    group.sample_size(10);

    // What the engine fits: day and week, robust, with jumps.
    let params = MstlParams::new(&[DAY, WEEK]).robust().fast();
    group.bench_function("mstl, robust, fast", |b| b.iter(|| mstl(black_box(&requests), &params)));
    group.bench_function("mstl, robust, fast, gaps", |b| b.iter(|| mstl(black_box(&gappy), &params)));
    let params = params.constant();
    group.bench_function("mstl, robust, fast, constant seasons", |b| b.iter(|| mstl(black_box(&requests), &params)));
    let params = StlParams::with_seasonal(DAY, 11).robust().fast();
    group.bench_function("stl, robust, fast", |b| b.iter(|| stl(black_box(&requests), &params)));
    // Every place fitted and every pass run: what the reference does by default.
    let params = StlParams::with_seasonal(HOUR, 11).robust();
    group.bench_function("stl of an hour, robust", |b| b.iter(|| stl(black_box(&requests), &params)));
    group.bench_function("trend, robust", |b| b.iter(|| trend(black_box(&memory), DAY + 1, true)));

    let candidates = [HOUR, DAY, WEEK];
    group.bench_function("find periods, two there", |b| b.iter(|| find_periods(black_box(&requests), &candidates)));
    group.bench_function("find periods, gaps", |b| b.iter(|| find_periods(black_box(&gappy), &candidates)));
    group.bench_function("find periods, none there", |b| b.iter(|| find_periods(black_box(&memory), &candidates)));
    group.finish();
}

criterion_group!(benches, decompose);
criterion_main!(benches);
