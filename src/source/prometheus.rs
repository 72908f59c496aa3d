//! Series from the Prometheus HTTP API.

use std::collections::BTreeMap;

use crate::clock::{DurationMs, Timestamp};
use crate::endpoint;
use crate::error::Result;
use crate::series::{Series, SeriesKey};

/// How Prometheus is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where it is.
    pub endpoint: endpoint::Config,
    /// Requests under way at once.
    pub concurrency: usize,
    /// The most series one answer may have.
    pub most_series: usize,
    /// The most points one reading may have, over all its series.
    pub most_points: usize,
}

/// A client of one Prometheus; cheap to clone.
#[derive(Clone, Debug)]
pub struct Prometheus;

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
    /// As [`endpoint::Config::build`].
    pub fn build(&self) -> Result<Prometheus> {
        unimplemented!()
    }
}

impl Prometheus {
    /// Evaluates `query` at `start`, `start + step`, … up to and including `end`; all three on the grid of `step`.
    ///
    /// # Errors
    /// Prometheus does not answer, refuses the query, or answers with something else than a matrix, or with too much.
    pub async fn range(&self, _query: &str, _start: Timestamp, _end: Timestamp, _step: DurationMs) -> Result<Reading> {
        unimplemented!()
    }

    /// Evaluates `query` at one time.
    ///
    /// # Errors
    /// As [`Prometheus::range`], for an instant vector.
    pub async fn instant(&self, _query: &str, _at: Timestamp) -> Result<Vec<(SeriesKey, f64)>> {
        unimplemented!()
    }

    /// Type, unit and help of every metric that has been scraped.
    ///
    /// # Errors
    /// As [`Prometheus::range`].
    pub async fn metadata(&self) -> Result<BTreeMap<String, Metadata>> {
        unimplemented!()
    }

    /// The label sets that match any of `selectors` between `start` and `end`.
    ///
    /// # Errors
    /// As [`Prometheus::range`].
    pub async fn series(&self, _selectors: &[String], _start: Timestamp, _end: Timestamp) -> Result<Vec<SeriesKey>> {
        unimplemented!()
    }

    /// Whether it answers a trivial query.
    ///
    /// # Errors
    /// As [`Prometheus::range`].
    pub async fn ping(&self) -> Result<()> {
        unimplemented!()
    }
}
