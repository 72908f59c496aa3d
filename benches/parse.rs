//! Reading the answer to a range query: 200 series of 10,000 points, as Prometheus writes it, in chunks as
//! they come from a socket. `serde_json` into owned values is the peer.

#![expect(clippy::expect_used, reason = "a bench has no caller to tell")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;

use bellwether::clock::{DurationMs, Timestamp};
use bellwether::source::prometheus::matrix::{Grid, Limits, Matrix, Parser};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use serde::Deserialize;

const SERIES: usize = 200;
const POINTS: usize = 10_000;
const START: i64 = 1_700_000_040;
const CHUNK: usize = 16 << 10;

/// Rates with sixteen digits, counters, ratios of a few digits, and a gap in every seventh series.
fn answer() -> Vec<u8> {
    let mut text = r#"{"status":"success","data":{"resultType":"matrix","result":["#.to_owned();
    for s in 0..SERIES {
        let comma = if s > 0 { "," } else { "" };
        let _ = write!(
            text,
            r#"{comma}{{"metric":{{"__name__":"http_requests_total","code":"200","instance":"10.0.0.{s}:8080","job":"shop","path":"/api/v1/cart"}},"values":["#
        );
        for p in 0..POINTS {
            if s % 7 == 0 && (4000..4100).contains(&p) {
                continue;
            }
            let wave = 100.0 + s as f64 + 40.0 * (p as f64 / 229.0).sin();
            let comma = if p > 0 { "," } else { "" };
            let time = START + 60 * p as i64;
            let _ = match s % 3 {
                0 => write!(text, "{comma}[{time},\"{wave}\"]"),
                1 => write!(text, "{comma}[{time},\"{}\"]", p * 1234 + s),
                _ => write!(text, "{comma}[{time},\"{:.3}\"]", wave / 200.0),
            };
        }
        text.push_str("]}");
    }
    text.push_str("]}}");
    text.into_bytes()
}

fn streamed(body: &[u8]) -> Matrix {
    let grid = Grid::new(Timestamp::from_millis(START * 1000), DurationMs::from_secs(60), POINTS);
    let mut parser = Parser::new(grid, Limits { most_series: SERIES, most_points: SERIES * POINTS, most_bytes: 1 << 30 });
    for chunk in body.chunks(CHUNK) {
        parser.feed(chunk).expect("a well-formed answer");
    }
    parser.finish().expect("a whole answer")
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<OneSeries>,
}

#[derive(Deserialize)]
struct OneSeries {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

/// What most clients do: owned texts, then columns.
fn by_serde(body: &[u8]) -> Vec<(BTreeMap<String, String>, Vec<f64>)> {
    let answer: Answer = serde_json::from_slice(body).expect("a well-formed answer");
    let column = |series: OneSeries| {
        let mut column = vec![f64::NAN; POINTS];
        for (time, value) in series.values {
            column[((time - START as f64) / 60.0).round() as usize] = value.parse().expect("a number");
        }
        (series.metric, column)
    };
    answer.data.result.into_iter().map(column).collect()
}

fn parse(c: &mut Criterion) {
    let body = answer();
    let total: f64 = by_serde(&body).iter().flat_map(|(_, v)| v).filter(|v| v.is_finite()).sum();
    let ours: f64 = streamed(&body).series.iter().flat_map(|(_, v)| v).filter(|v| v.is_finite()).sum();
    assert_eq!(ours, total, "both read the same");
    let mut group = c.benchmark_group("parse");
    group.sampling_mode(SamplingMode::Flat).sample_size(20).throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("bellwether", |b| b.iter(|| streamed(black_box(&body))));
    group.bench_function("serde_json", |b| b.iter(|| by_serde(black_box(&body))));
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
