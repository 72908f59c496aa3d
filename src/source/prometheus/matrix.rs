//! The answer to a range query, read as it arrives, straight into columns of `f64`.
//!
//! No sample is kept as text: a token that is cut by the end of a chunk waits for the next one,
//! everything else is consumed at once.

mod parser;
mod place;
#[cfg(test)]
mod tests;

use crate::clock::{DurationMs, Timestamp};
use crate::series::SeriesKey;

pub use parser::Parser;

/// Where samples are put: place `i` is at `start + i·step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    start: Timestamp,
    step: DurationMs,
    len: usize,
    whole: usize,
}

impl Grid {
    /// `len` places from `start` on. A step of zero counts as one millisecond.
    pub fn new(start: Timestamp, step: DurationMs, len: usize) -> Self {
        Self { start, step: step.max(DurationMs::from_millis(1)), len, whole: len }
    }

    /// The same grid as a piece of a reading of `whole` places, which is what the limits are held against.
    #[must_use]
    pub fn piece_of(self, whole: usize) -> Self {
        Self { whole, ..self }
    }

    /// How many places there are.
    #[expect(clippy::len_without_is_empty, reason = "a grid is made to hold something")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The place nearest to the instant `ms`, if there is one.
    fn place(&self, ms: i64) -> Option<usize> {
        let step = self.step.millis();
        let place = ms.saturating_sub(self.start.millis()).saturating_add(step / 2).div_euclid(step);
        usize::try_from(place).ok().filter(|place| *place < self.len)
    }
}

/// What one answer may at most hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Series.
    pub most_series: usize,
    /// Places over all series, missing points included: what takes memory.
    pub most_points: usize,
    /// Bytes of the answer.
    pub most_bytes: u64,
}

/// Why an answer was not read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// It is not what the Prometheus API gives.
    #[error("at byte {at}: {what}")]
    Malformed {
        /// How many bytes stand before the fault.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// It is over a limit.
    #[error("{0}")]
    TooLarge(String),
    /// Prometheus says that it failed.
    #[error("{message} ({kind})")]
    Refused {
        /// Prometheus' `errorType`.
        kind: String,
        /// Prometheus' `error`.
        message: String,
    },
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    /// The series in the order of the answer, each a value for every place of the grid, NaN where there is none.
    pub series: Vec<(SeriesKey, Vec<f64>)>,
    /// Warnings and notes, each once.
    pub warnings: Vec<String>,
    /// Samples that were put on the grid.
    pub points: u64,
    /// Series that held native histograms, which have no place in a column of numbers.
    pub histograms: usize,
}
