//! Series from the Prometheus HTTP API, as Prometheus, Thanos, Mimir and `VictoriaMetrics` serve it.

mod json;
pub mod matrix;
mod request;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::clock::{DurationMs, Timestamp};
use crate::endpoint::{self, Endpoint};
use crate::error::{Code, Error, Result};
use crate::series::{Series, SeriesKey, Window};
use matrix::{Grid, Limits, Matrix, Parser};
use request::{Request, Whole};

/// Steps in one request; Prometheus refuses more than 11,000.
const MOST_STEPS: usize = 10_000;
/// The most bytes one streamed answer may have: 1 GiB.
const MOST_BYTES: u64 = 1 << 30;
/// The mean pause before the second try.
const PAUSE: Duration = Duration::from_millis(200);
/// What stands in for native histograms.
const HISTOGRAMS: &str =
    "series of native histograms were left out; histogram_quantile, histogram_count or histogram_sum turn them into numbers";

/// How Prometheus is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where it is.
    pub endpoint: endpoint::Config,
    /// Requests under way at once.
    pub concurrency: usize,
    /// The most series one answer may have.
    pub most_series: usize,
    /// The most points one reading may have, over all its series; missing points count.
    pub most_points: usize,
}

/// A client of one Prometheus; cheap to clone. All clones share the bound on requests under way.
#[derive(Clone, Debug)]
pub struct Prometheus {
    endpoint: Endpoint,
    /// The URL as it is shown: without a user and a password.
    address: Arc<str>,
    timeout: DurationMs,
    permits: Arc<Semaphore>,
    concurrency: usize,
    limits: Limits,
    pause: Duration,
}

/// What a range query gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The series in order of their keys, all on one grid from the first step to the last.
    pub series: Vec<Series>,
    /// What Prometheus warned of.
    pub warnings: Vec<String>,
    /// Samples that were there.
    pub points: u64,
}

/// What Prometheus knows of a metric by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `counter`, `gauge`, `histogram`, `summary`, `info`, `stateset` or `unknown`.
    pub kind: String,
    /// The unit, if it was declared.
    pub unit: String,
    /// The help text.
    pub help: String,
}

impl Config {
    /// The client.
    ///
    /// # Errors
    /// A limit of zero, or as [`endpoint::Config::build`].
    pub fn build(&self) -> Result<Prometheus> {
        for (field, value) in [("concurrency", self.concurrency), ("most_series", self.most_series), ("most_points", self.most_points)] {
            if value == 0 {
                return Err(Error::invalid(field, "0; it must be at least 1"));
            }
        }
        let mut url = self.endpoint.url.clone();
        // A URL that cannot have a user has none to hide.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let concurrency = self.concurrency.min(Semaphore::MAX_PERMITS);
        Ok(Prometheus {
            endpoint: self.endpoint.build()?,
            address: url.as_str().trim_end_matches('/').into(),
            timeout: self.endpoint.timeout,
            permits: Arc::new(Semaphore::new(concurrency)),
            concurrency,
            limits: Limits { most_series: self.most_series, most_points: self.most_points, most_bytes: MOST_BYTES },
            pause: PAUSE,
        })
    }
}

impl Prometheus {
    /// Evaluates `query` at `start`, `start + step`, … up to and including `end`; all three on the grid of `step`.
    ///
    /// A long range is asked for in several requests; modifiers such as `@ end()` see the end of each.
    ///
    /// # Errors
    /// Prometheus does not answer, refuses the query, or answers with something else than a matrix, or with too much.
    pub async fn range(&self, query: &str, start: Timestamp, end: Timestamp, step: DurationMs) -> Result<Reading> {
        if step == DurationMs::ZERO {
            return Err(Error::invalid("step", "0s; it must be at least 1ms"));
        }
        if end < start {
            return Err(Error::invalid("end", format!("{end} is before the start, {start}")));
        }
        let steps = end.since(start).steps(step).saturating_add(1);
        if steps > self.limits.most_points {
            return Err(self.too_many_points(1, steps));
        }
        let query: Arc<str> = query.into();
        let pieces = (0..steps).step_by(MOST_STEPS).map(|first| {
            let (client, query) = (self.clone(), Arc::clone(&query));
            let from = start + step * first as i64;
            let grid = Grid::new(from, step, MOST_STEPS.min(steps - first)).piece_of(steps);
            async move { client.piece(&query, from, step, grid).await.map(|matrix| (first, matrix)) }
        });
        let mut answers = stream::iter(pieces.collect::<Vec<_>>()).buffered(self.concurrency);
        let mut columns: BTreeMap<SeriesKey, Vec<f64>> = BTreeMap::new();
        let (mut warnings, mut points, mut histograms) = (Vec::new(), 0, 0);
        while let Some(answer) = answers.next().await {
            let (first, matrix) = answer?;
            points += matrix.points;
            histograms = histograms.max(matrix.histograms);
            for warning in matrix.warnings {
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
            for (key, values) in matrix.series {
                place(columns.entry(key).or_insert_with(|| vec![f64::NAN; steps]), first, &values);
            }
            self.check(columns.len(), steps)?;
        }
        if histograms > 0 {
            warnings.push(format!("{histograms} {HISTOGRAMS}"));
        }
        metrics::counter!("bellwether_source_points_total").increment(points);
        let series = columns.into_iter().map(|(key, values)| {
            let window = Window::new(start, step, values);
            Ok(Series { key, window: window.map_err(|e| Error::invalid("range", e.to_string()))? })
        });
        Ok(Reading { series: series.collect::<Result<_>>()?, warnings, points })
    }

    async fn piece(&self, query: &str, start: Timestamp, step: DurationMs, grid: Grid) -> Result<Matrix> {
        let end = start + step * (grid.len() as i64 - 1);
        let form = vec![
            ("query", query.to_owned()),
            ("start", start.seconds().to_string()),
            ("end", end.seconds().to_string()),
            ("step", step.seconds().to_string()),
        ];
        let request = Request { method: Method::POST, path: "/api/v1/query_range", form, field: "query" };
        self.call(&request, || Parser::new(grid, self.limits)).await
    }

    /// Holds what several pieces gave together against the limits that each of them kept.
    fn check(&self, series: usize, steps: usize) -> Result<()> {
        let Limits { most_series, most_points, .. } = self.limits;
        if series > most_series {
            let message =
                format!("the answer of Prometheus at {} is too large: more than {most_series} series (most_series)", self.address);
            return Err(Error::new(Code::ResourceExhausted, message));
        }
        if series.saturating_mul(steps) > most_points { Err(self.too_many_points(series, steps)) } else { Ok(()) }
    }

    fn too_many_points(&self, series: usize, steps: usize) -> Error {
        let most = self.limits.most_points;
        Error::new(
            Code::ResourceExhausted,
            format!("the reading is too large: more than {most} points (most_points): {series} series of {steps} steps"),
        )
    }

    /// Evaluates `query` at one time. A scalar is one value without labels; a native histogram is left out.
    ///
    /// # Errors
    /// As [`Prometheus::range`], for an instant vector.
    pub async fn instant(&self, query: &str, at: Timestamp) -> Result<Vec<(SeriesKey, f64)>> {
        let vector = match self.evaluate(query, at).await? {
            Instant::Vector { result } => result,
            Instant::Scalar { result } => vec![Sample { metric: BTreeMap::new(), value: Some(result), histogram: None }],
            Instant::Matrix {} | Instant::String {} => {
                return Err(Error::invalid(
                    "query",
                    "it gives no instant vector; take a function such as rate() or last_over_time() of it",
                ));
            }
        };
        self.check(vector.len(), 1)?;
        metrics::counter!("bellwether_source_points_total").increment(vector.len() as u64);
        let samples = vector.into_iter().filter_map(|sample| sample.value.map(|(_, text)| (sample.metric, text)));
        let values = samples.map(|(metric, text)| match json::float(text.as_bytes()) {
            Some(value) => Ok((SeriesKey::new(metric), value)),
            None => Err(Error::new(Code::Unavailable, format!("Prometheus at {} gives a value of `{text}`", self.address))),
        });
        values.collect()
    }

    /// Evaluates `query` at one time and gives the native histograms of its answer: lower bound, upper bound and count of each
    /// bucket that holds anything. What else is in it is left out.
    ///
    /// # Errors
    /// As [`Prometheus::range`], for an instant vector.
    pub async fn instant_histograms(&self, query: &str, at: Timestamp) -> Result<Vec<(SeriesKey, Vec<(f64, f64, f64)>)>> {
        let Instant::Vector { result } = self.evaluate(query, at).await? else {
            return Err(Error::invalid("query", "it gives no instant vector of native histograms"));
        };
        self.check(result.len(), 1)?;
        let found = result.into_iter().filter_map(|sample| Some((sample.metric, sample.histogram?.1.buckets)));
        found.map(|(metric, buckets)| Ok((SeriesKey::new(metric), self.bounded(buckets)?))).collect()
    }

    async fn evaluate(&self, query: &str, at: Timestamp) -> Result<Instant> {
        let form = vec![("query", query.to_owned()), ("time", at.seconds().to_string())];
        let request = Request { method: Method::POST, path: "/api/v1/query", form, field: "query" };
        self.call(&request, Whole::<Instant>::default).await
    }

    fn bounded(&self, buckets: Vec<Bucket>) -> Result<Vec<(f64, f64, f64)>> {
        let number = |text: &str| {
            let what = || Error::new(Code::Unavailable, format!("Prometheus at {} gives a bucket with `{text}`", self.address));
            json::float(text.as_bytes()).ok_or_else(what)
        };
        buckets.into_iter().map(|(_, lower, upper, count)| Ok((number(&lower)?, number(&upper)?, number(&count)?))).collect()
    }

    /// Type, unit and help of every metric that has been scraped.
    ///
    /// # Errors
    /// As [`Prometheus::range`].
    pub async fn metadata(&self) -> Result<BTreeMap<String, Metadata>> {
        let request = Request { method: Method::GET, path: "/api/v1/metadata", form: Vec::new(), field: "metadata" };
        let answer = self.call(&request, Whole::<BTreeMap<String, Vec<Described>>>::default).await?;
        // Targets may describe one metric differently; the first one speaks for it.
        let first = |(name, described): (String, Vec<Described>)| Some((name, described.into_iter().next()?.into()));
        Ok(answer.into_iter().filter_map(first).collect())
    }

    /// The label sets that match any of `selectors` between `start` and `end`.
    ///
    /// # Errors
    /// As [`Prometheus::range`].
    pub async fn series(&self, selectors: &[String], start: Timestamp, end: Timestamp) -> Result<Vec<SeriesKey>> {
        if selectors.is_empty() {
            return Err(Error::invalid("selectors", "none; there must be at least one, such as up"));
        }
        let mut form: Vec<_> = selectors.iter().map(|selector| ("match[]", selector.clone())).collect();
        form.extend([("start", start.seconds().to_string()), ("end", end.seconds().to_string())]);
        let request = Request { method: Method::POST, path: "/api/v1/series", form, field: "match[]" };
        let answer = self.call(&request, Whole::<Vec<BTreeMap<String, String>>>::default).await?;
        self.check(answer.len(), 1)?;
        Ok(answer.into_iter().map(SeriesKey::new).collect())
    }

    /// Whether it answers a trivial query.
    ///
    /// # Errors
    /// As [`Prometheus::range`].
    pub async fn ping(&self) -> Result<()> {
        let form = vec![("query", "1".to_owned())];
        let request = Request { method: Method::GET, path: "/api/v1/query", form, field: "query" };
        self.call(&request, Whole::<serde::de::IgnoredAny>::default).await.map(|_| ())
    }
}

/// Writes what is there of `values` to `column` from place `first` on.
fn place(column: &mut [f64], first: usize, values: &[f64]) {
    for (to, from) in column.iter_mut().skip(first).zip(values) {
        if !from.is_nan() {
            *to = *from;
        }
    }
}

/// The data of an instant query.
#[derive(Deserialize)]
#[serde(tag = "resultType", rename_all = "lowercase")]
enum Instant {
    Vector { result: Vec<Sample> },
    Scalar { result: (f64, String) },
    Matrix {},
    String {},
}

#[derive(Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    /// Missing for a native histogram.
    value: Option<(f64, String)>,
    histogram: Option<(f64, Native)>,
}

#[derive(Deserialize)]
struct Native {
    #[serde(default)]
    buckets: Vec<Bucket>,
}

/// Which of its bounds belong to a bucket, its lower and upper bound, and its count.
type Bucket = (u8, String, String, String);

#[derive(Deserialize)]
struct Described {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    help: String,
}

impl From<Described> for Metadata {
    fn from(d: Described) -> Self {
        Self { kind: d.kind, unit: d.unit, help: d.help }
    }
}
