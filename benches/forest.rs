//! Fitting and scoring an isolation forest, on shapes the engine meets.

use std::hint::black_box;
use std::time::Duration;

use bellwether::analysis::detect::isolation_forest::IsolationForest;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Rows, columns, and where such a table comes from.
const SHAPES: [(usize, usize, &str); 4] = [
    (4_032, 4, "two weeks at 5 m, features of one residual"),
    (20_160, 4, "two weeks at 60 s, features of one residual"),
    (10_000, 8, "a residual with those of its siblings"),
    (1_000, 30, "many series of one service side by side"),
];

/// Residual-like rows: normal noise, every hundredth row three times as wide, one row far away.
fn residuals(rows: usize, columns: usize) -> Array2<f64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(rows as u64);
    let mut noise = Array2::from_shape_fn((rows, columns), |(i, _)| {
        let normal = (0..12).map(|_| rng.gen_range(0.0..1.0)).sum::<f64>() - 6.0;
        if i % 100 == 0 { 3.0 * normal } else { normal }
    });
    noise.row_mut(rows / 2).fill(20.0);
    noise
}

fn forest(c: &mut Criterion) {
    for (rows, columns, what) in SHAPES {
        let table = residuals(rows, columns);
        let dataset = DatasetBase::from(table.view());
        let Ok(forest) = IsolationForest::params().fit(&dataset) else { continue };
        let id = || BenchmarkId::from_parameter(format!("{rows}x{columns}: {what}"));
        let group = |c: &mut Criterion, name: &str, bench: &mut dyn FnMut(&mut criterion::Bencher<'_>)| {
            let mut group = c.benchmark_group(name);
            group.throughput(Throughput::Elements(rows as u64)).measurement_time(Duration::from_secs(3));
            group.bench_function(id(), bench);
            group.finish();
        };
        group(c, "forest fit", &mut |b| b.iter(|| IsolationForest::params().fit(black_box(&dataset))));
        group(c, "forest score", &mut |b| b.iter(|| forest.score(black_box(table.view()))));
    }
    let table = residuals(4_032, 4);
    let Ok(forest) = IsolationForest::params().fit(&DatasetBase::from(table.view())) else { return };
    c.bench_function("forest score one row", |b| b.iter(|| forest.score_one(black_box(&[0.1, -0.2, 3.0, 0.5]))));
    c.bench_function("forest write and read", |b| {
        b.iter_batched(
            || forest.clone(),
            |forest| postcard::to_stdvec(&forest).map(|bytes| postcard::from_bytes::<IsolationForest>(&bytes)),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, forest);
criterion_main!(benches);
