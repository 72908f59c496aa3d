//! Series from CSV and Parquet files.

mod cells;
mod csv;
mod features;
mod long;
mod metrics;
mod named;
mod parquet;
mod reader;
#[cfg(test)]
mod tests;
mod time;

use std::path::Path;

use crate::clock::{DurationMs, Timestamp};
use crate::error::Result;
use crate::series::{Series, SeriesKey, Window};
pub use features::read_features;
pub use long::{Long, is_long, read_long};
pub use metrics::{read_calls, read_metrics};
use named::Named;
pub use reader::{Columns, Reader, Slice};
pub use time::instant;

/// What one file may at most hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows.
    pub most_rows: usize,
    /// Cells of all columns that are read.
    pub most_points: usize,
    /// Bytes on disk.
    pub most_bytes: u64,
}

impl Default for Limits {
    /// Two million rows, twenty million points, 1 GiB.
    fn default() -> Self {
        Self { most_rows: 2_000_000, most_points: 20_000_000, most_bytes: 1 << 30 }
    }
}

/// Reads every column of numbers of a CSV or Parquet file as one series, in order of their keys.
///
/// The column `timestamp`, `time`, `ds`, `date` or `datetime` gives the times: seconds, milliseconds,
/// microseconds or nanoseconds since the epoch (told apart by their size), RFC 3339, or
/// `2026-01-31 08:00:00` in UTC. The step is the median distance between them; a place without a row,
/// and an empty cell, is missing; of several rows on one place the last counts. A series is named for its
/// column, or for the file when `value` is its only one. Columns of text or labels (`is_anomaly`,
/// `anomaly`, `label`, `part`) are no series.
///
/// Reads the disk: call it where a thread may wait.
///
/// # Errors
/// The file cannot be read, is over a limit, or holds something else; the message names the column, the
/// row (counted from 1 after the header) and the value at fault.
pub fn read(path: &Path, limits: Limits) -> Result<Vec<Series>> {
    let file = Named(path);
    file.check_size(limits)?;
    let mut reader = Reader::open(path)?.without_labels();
    let Columns { time, channels, .. } = reader.columns().clone();
    let mut all = Slice::default();
    while let Some(slice) = reader.next_slice()? {
        all.append(slice);
        file.check_rows(all.times.len(), limits)?;
        if all.times.len().saturating_mul(channels.len()) > limits.most_points {
            return Err(file.too_large(format!("more than {} points", limits.most_points)));
        }
    }
    let Slice { times, values: columns, .. } = all;
    let mut sorted = times.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let (rows, distinct) = (times.len(), sorted.len());
    let grid = Grid::new(&sorted).ok_or_else(|| {
        file.fault(format!("has {rows} rows and fewer than two different times in column `{time}`; the step cannot be told"))
    })?;
    if distinct < rows / 2 {
        let what = format!("has {rows} rows for {distinct} times in column `{time}`");
        return Err(file.fault(format!("{what}; each series belongs in a column or a file of its own")));
    }
    if channels.len().saturating_mul(grid.len) > limits.most_points {
        return Err(file.too_large(format!("more than {} points", limits.most_points)));
    }
    let alone = channels.len() == 1;
    let mut series = Vec::with_capacity(channels.len());
    for (name, values) in channels.into_iter().zip(columns) {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = if alone && name.eq_ignore_ascii_case("value") { stem.unwrap_or(name) } else { name };
        let window = Window::new(grid.start, grid.step, grid.place(&times, &values)).map_err(|e| file.too_large(e))?;
        series.push(Series { key: SeriesKey::new([("__name__".to_owned(), name)]), window });
    }
    series.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(series)
}

/// Where rows are put.
#[derive(Clone, Copy)]
struct Grid {
    start: Timestamp,
    step: DurationMs,
    len: usize,
}

impl Grid {
    /// From the first of different times to the last at the median of their distances; `None` when there is no distance.
    fn new(sorted: &[Timestamp]) -> Option<Self> {
        let mut distances: Vec<DurationMs> = sorted.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        let middle = distances.len().checked_sub(1)? / 2;
        let step = *distances.select_nth_unstable(middle).1;
        let (start, last) = (*sorted.first()?, *sorted.last()?);
        let grid = Self { start, step, len: 0 };
        Some(Self { len: grid.index(last).saturating_add(1), ..grid })
    }

    /// The place nearest to `time`.
    fn index(self, time: Timestamp) -> usize {
        (time + DurationMs::from_millis(self.step.millis() / 2)).since(self.start).steps(self.step)
    }

    /// `values` on the grid; the last row on a place counts.
    fn place(self, times: &[Timestamp], values: &[f64]) -> Vec<f64> {
        let mut column = vec![f64::NAN; self.len];
        for (time, value) in times.iter().zip(values) {
            if let Some(place) = column.get_mut(self.index(*time)) {
                *place = *value;
            }
        }
        column
    }
}
