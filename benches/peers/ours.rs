//! Our side of the comparison with peers: does the jobs of `DIR/jobs.json`, writes each result beside it, and prints the
//! seconds each repeat took as JSON. `compare.py` writes the jobs and reads both.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bellwether::analysis::decompose::{Decomposition, MstlParams, StlParams, mstl, stl};
use bellwether::analysis::detect::isolation_forest::IsolationForest;
use bellwether::analysis::detect::{Decision, Model};
use bellwether::analysis::drift::{self, Column, Method, Sample, Test, Values, bins, distances, test_columns};
use bellwether::analysis::forecast::{self, forecast};
use bellwether::clock::{DurationMs, Timestamp};
use bellwether::series::Window;
use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::Array2;
use rayon::ThreadPoolBuilder;
use serde::Deserialize;

/// One thing to do with the little-endian 64-bit floats of `input`.
#[derive(Deserialize)]
struct Job {
    name: String,
    input: String,
    repeats: usize,
    #[serde(flatten)]
    work: Work,
}

#[derive(Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
enum Work {
    Forest {
        columns: usize,
        trees: usize,
        sample_size: usize,
        seed: u64,
    },
    Stl {
        period: usize,
        seasonal: usize,
        robust: bool,
        mode: Mode,
    },
    Mstl {
        periods: Vec<usize>,
        robust: bool,
        mode: Mode,
    },
    /// The whole detector: fitted to all but the last `judged` values, which it then judges one by one.
    Detector {
        step_seconds: i64,
        judged: usize,
    },
    /// What comes after each of several series, which stand one after the other: by one model alone, or by all of them together.
    Forecast {
        model: Option<forecast::Model>,
        lengths: Vec<usize>,
        periods: Vec<usize>,
        horizon: usize,
    },
    /// Columns of `rows` values as they were and `rows` as they are: how far apart both are.
    Drift {
        rows: usize,
    },
}

/// How much of the work is done.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// All of it.
    Full,
    /// Smoothers are evaluated every tenth of their window.
    Jumps,
    /// That, and robust passes end once the weights have settled.
    Fast,
}

/// Seconds of each repeat, by stage.
type Times = BTreeMap<&'static str, Vec<f64>>;

fn main() -> Result<()> {
    let dir = std::env::args().nth(1).context("usage: peers DIR")?;
    let dir = Path::new(&dir);
    let jobs: Vec<Job> = serde_json::from_slice(&fs::read(dir.join("jobs.json")).context("jobs.json")?)?;
    let mut all = BTreeMap::new();
    for job in jobs {
        let bytes = fs::read(dir.join(&job.input)).with_context(|| job.input.clone())?;
        let input: Vec<f64> = bytes.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect();
        let (times, output) = run(&job, &input).with_context(|| job.name.clone())?;
        let output: Vec<u8> = output.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(dir.join(format!("{}.ours", job.name)), output)?;
        all.insert(job.name, times);
    }
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&all)?)?;
    Ok(())
}

fn run(job: &Job, input: &[f64]) -> Result<(Times, Vec<f64>)> {
    let mut times = Times::new();
    let mut output = Vec::new();
    for _ in 0..job.repeats {
        output = match &job.work {
            &Work::Forest { columns, trees, sample_size, seed } => {
                ensure!(columns > 0 && input.len().is_multiple_of(columns), "the input has no rows of {columns}");
                let rows = Array2::from_shape_vec((input.len() / columns, columns), input.to_vec())?;
                let params = IsolationForest::params().trees(trees).sample_size(sample_size).seed(seed);
                let dataset = DatasetBase::from(rows.view());
                let forest = timed(&mut times, "fit", || params.fit(black_box(&dataset)))?;
                let scores = timed(&mut times, "score", || forest.score(black_box(rows.view())))?;
                timed(&mut times, "one row", || forest.score_one(black_box(&input[..columns])))?;
                scores.to_vec()
            }
            &Work::Stl { period, seasonal, robust, mode } => {
                let params = configured(StlParams::with_seasonal(period, seasonal), robust, mode);
                parts(timed(&mut times, "fit", || stl(black_box(input), &params))?)
            }
            Work::Mstl { periods, robust, mode } => {
                let mut params = MstlParams::new(periods);
                params.seasons = params.seasons.into_iter().map(|season| configured(season, *robust, *mode)).collect();
                parts(timed(&mut times, "fit", || mstl(black_box(input), &params))?)
            }
            &Work::Detector { step_seconds, judged } => {
                let start = Timestamp::from_millis(1_700_006_400_000);
                let window = Window::new(start, DurationMs::from_secs(step_seconds), input.to_vec())?;
                let at = window.len().checked_sub(judged).context("more values are judged than there are")?;
                let learned = window.slice(start, window.time(at));
                let model = timed(&mut times, "fit", || Model::fit(black_box(&learned)))?;
                let mut state = model.start();
                let decision = Decision { alpha: 1e-6, direction: None };
                let scores: Vec<f64> = timed(&mut times, "judge", || {
                    (at..window.len()).map(|i| model.step(&mut state, window.time(i), window.values()[i], None, decision).0.score).collect()
                });
                times.insert("bytes", vec![(postcard::to_stdvec(&model)?.len() + postcard::to_stdvec(&state)?.len()) as f64]);
                scores
            }
            Work::Forecast { model, lengths, periods, horizon } => {
                ensure!(lengths.iter().sum::<usize>() == input.len(), "the series are not as long as the input");
                let options = forecast::Options { horizon: *horizon, periods: periods.clone(), ..forecast::Options::default() };
                forecasts(&mut times, &split(input, lengths), *model, &options)?
            }
            &Work::Drift { rows } => {
                ensure!(rows > 0 && input.len().is_multiple_of(2 * rows), "the input has no columns of 2 times {rows}");
                let columns: Vec<_> = input.chunks_exact(2 * rows).map(|column| column.split_at(rows)).collect();
                drifts(&mut times, &columns)?
            }
        };
    }
    Ok((times, output))
}

fn configured(params: StlParams, robust: bool, mode: Mode) -> StlParams {
    let params = if robust { params.robust() } else { params };
    match mode {
        Mode::Full => params,
        Mode::Jumps => StlParams { settled: params.settled, ..params.fast() },
        Mode::Fast => params.fast(),
    }
}

fn timed<T>(times: &mut Times, stage: &'static str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = black_box(work());
    times.entry(stage).or_default().push(start.elapsed().as_secs_f64());
    result
}

/// Trend, seasons by ascending period, and remainder, one after the other.
fn parts(decomposition: Decomposition) -> Vec<f64> {
    let mut parts = decomposition.trend;
    parts.extend(decomposition.seasons.into_iter().flat_map(|season| season.values));
    parts.extend(decomposition.remainder);
    parts
}

fn split<'a>(mut input: &'a [f64], lengths: &[usize]) -> Vec<&'a [f64]> {
    let mut next = |length: &usize| {
        let (series, rest) = input.split_at(*length);
        input = rest;
        series
    };
    lengths.iter().map(&mut next).collect()
}

fn forecasts(times: &mut Times, series: &[&[f64]], model: Option<forecast::Model>, options: &forecast::Options) -> Result<Vec<f64>> {
    let one = |values: &[f64]| match model {
        Some(model) => model.alone(values, &options.periods, options.horizon),
        None => forecast(values, options).ok().map(|forecast| forecast.yhat),
    };
    let all: Option<Vec<_>> = timed(times, "forecast", || series.iter().map(|values| one(black_box(values))).collect());
    Ok(all.context("a series cannot be forecast")?.concat())
}

/// The tests' numbers, column by column. Beside their time stand that of sorting alone by the standard library, and that of three
/// whole reports.
fn drifts(times: &mut Times, columns: &[(&[f64], &[f64])]) -> Result<Vec<f64>> {
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        black_box(values);
    };
    timed(times, "sort", || {
        for (reference, current) in columns {
            sorted(reference);
            sorted(current);
        }
    });
    let found: Option<Vec<_>> = timed(times, "tests", || columns.iter().map(black_box).map(tests).collect());

    let column = |(i, values): (usize, &[f64])| Column::new(i.to_string(), Values::Numeric(values.to_vec()));
    let reference: Vec<_> = columns.iter().map(|(reference, _)| *reference).enumerate().map(column).collect();
    let current: Vec<_> = columns.iter().map(|(_, current)| *current).enumerate().map(column).collect();
    let report = |test| test_columns(&reference, &current, &drift::Options { numeric: Some(test), ..drift::Options::default() });
    let one_thread = ThreadPoolBuilder::new().num_threads(1).build()?;
    timed(times, "reports", || {
        one_thread.install(|| [Test::Ks, Test::Psi, Test::Wasserstein].into_iter().map(report).collect::<Result<Vec<_>, _>>())
    })?;
    Ok(found.context("a column cannot be tested")?.concat())
}

/// The Kolmogorov–Smirnov distance and its p-value, the population stability index, and the Wasserstein distance in standard
/// deviations of the reference.
fn tests((reference, current): &(&[f64], &[f64])) -> Option<[f64; 4]> {
    let (reference, current) = (Sample::new(reference)?, Sample::new(current)?);
    let apart = distances(&reference, &current);
    let psi = bins(&reference, &current, false)?.psi();
    Some([apart.ks, apart.ks_p_value(Method::Auto), psi, apart.wasserstein / reference.deviation()])
}
