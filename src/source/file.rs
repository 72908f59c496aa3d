//! Series from CSV and Parquet files.

#[cfg(test)]
mod tests;
mod time;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use polars::prelude::{
    ArrowDataType, Column, CsvReadOptions, DataFrame, DataType, ParquetReader, PlSmallStr, PolarsError, SerReader, TimeUnit,
};

use crate::clock::{DurationMs, Timestamp};
use crate::error::{Code, Error, Result};
use crate::series::{Series, SeriesKey, Window};
use time::Instants;

/// Names of the column of times, in any case; the first one that is there counts.
const TIMES: [&str; 5] = ["timestamp", "time", "ds", "date", "datetime"];
/// Columns that say something about the points instead of being measured.
const ABOUT: [&str; 4] = ["is_anomaly", "anomaly", "label", "part"];
/// Texts that stand for a missing value, in any case.
const MISSING: [&str; 6] = ["", "nan", "null", "none", "na", "n/a"];

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
    let file = Source { path, limits };
    let bytes = std::fs::metadata(path).map_err(|e| file.fault("cannot be read").caused_by(e))?.len();
    if bytes > limits.most_bytes {
        return Err(file.too_large(format!("{bytes} bytes; at most {} are read", limits.most_bytes)));
    }
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    let table = match extension.as_str() {
        "csv" => file.csv()?,
        "parquet" | "pq" => file.parquet()?,
        _ => return Err(file.fault(format!("has the extension `{extension}`; only .csv and .parquet are read"))),
    };
    if table.height() > limits.most_rows {
        return Err(file.too_large(format!("more than {} rows", limits.most_rows)));
    }
    file.series(&table)
}

/// The file that is read, for its messages.
#[derive(Clone, Copy)]
struct Source<'a> {
    path: &'a Path,
    limits: Limits,
}

impl Source<'_> {
    fn fault(self, what: impl std::fmt::Display) -> Error {
        Error::invalid("file", format!("{} {what}", self.path.display()))
    }

    fn too_large(self, what: impl std::fmt::Display) -> Error {
        Error::new(Code::ResourceExhausted, format!("{} is too large: {what}", self.path.display()))
    }

    fn unreadable(self, kind: &str, cause: PolarsError) -> Error {
        self.fault(format!("cannot be read as {kind}")).caused_by(cause)
    }

    /// All cells as text, so that a fault can be shown as it stands in the file.
    fn csv(self) -> Result<DataFrame> {
        CsvReadOptions::default()
            .with_has_header(true)
            .with_infer_schema_length(Some(0))
            .with_n_rows(Some(self.limits.most_rows.saturating_add(1)))
            .try_into_reader_with_file_path(Some(self.path.to_owned()))
            .and_then(SerReader::finish)
            .map_err(|e| match self.wide_row() {
                Some((row, cells, names)) => self.fault(format!("has {cells} cells in row {row}; the header has {names}")),
                None => self.unreadable("CSV", e),
            })
    }

    /// The first row with more cells than the header has, and both numbers.
    fn wide_row(self) -> Option<(usize, usize, usize)> {
        let mut lines = BufReader::new(File::open(self.path).ok()?).lines();
        let names = cells(&lines.next()?.ok()?);
        let mut widths = lines.map_while(std::result::Result::ok).map(|line| cells(&line)).enumerate();
        widths.find(|(_, cells)| *cells > names).map(|(row, cells)| (row + 1, cells, names))
    }

    /// The columns of times and numbers only.
    fn parquet(self) -> Result<DataFrame> {
        let failed = |e| self.unreadable("Parquet", e);
        let file = File::open(self.path).map_err(|e| self.fault("cannot be read").caused_by(e))?;
        let mut reader = ParquetReader::new(file);
        let rows = reader.num_rows().map_err(failed)?;
        if rows > self.limits.most_rows {
            return Err(self.too_large(format!("{rows} rows; at most {} are read", self.limits.most_rows)));
        }
        let schema = reader.schema().map_err(failed)?;
        let time = self.time_column(&schema.iter_names().map(PlSmallStr::as_str).collect::<Vec<_>>())?;
        let mut columns = Vec::new();
        for (name, field) in schema.iter() {
            use ArrowDataType as T;
            match &field.dtype {
                _ if *name == time => {}
                _ if is_about(name) => continue,
                T::Int32 | T::Int64 | T::UInt32 | T::UInt64 | T::Float32 | T::Float64 => {}
                T::Int8 | T::Int16 | T::UInt8 | T::UInt16 | T::Float16 | T::Decimal(..) => {
                    return Err(self.fault(format!("has numbers of type {:?} in column `{name}`; write them as Float64", field.dtype)));
                }
                _ => continue,
            }
            columns.push(name.to_string());
        }
        if rows.saturating_mul(columns.len()) > self.limits.most_points {
            return Err(self.too_large(format!(
                "{rows} rows of {} columns; at most {} points are read",
                columns.len(),
                self.limits.most_points
            )));
        }
        reader.with_columns(Some(columns)).finish().map_err(failed)
    }

    fn time_column(self, names: &[&str]) -> Result<String> {
        let found = TIMES.iter().find_map(|time| names.iter().find(|name| name.eq_ignore_ascii_case(time)));
        found
            .map(ToString::to_string)
            .ok_or_else(|| self.fault(format!("has no column of times: it has {}; one must be named {}", listed(names), TIMES.join(", "))))
    }

    fn series(self, table: &DataFrame) -> Result<Vec<Series>> {
        let names: Vec<&str> = table.get_column_names().into_iter().map(PlSmallStr::as_str).collect();
        let time = self.time_column(&names)?;
        let times = self.times(table.column(&time).map_err(|e| self.unreadable("a table", e))?)?;
        let mut sorted = times.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let (rows, distinct) = (times.len(), sorted.len());
        let grid = Grid::new(&sorted).ok_or_else(|| {
            self.fault(format!("has {rows} rows and fewer than two different times in column `{time}`; the step cannot be told"))
        })?;
        if distinct < rows / 2 {
            let what = format!("has {rows} rows for {distinct} times in column `{time}`");
            return Err(self.fault(format!("{what}; each series belongs in a column or a file of its own")));
        }
        let mut columns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for name in names.iter().filter(|name| ***name != *time && !is_about(name)) {
            let column = table.column(name).map_err(|e| self.unreadable("a table", e))?;
            if let Some(values) = self.numbers(column)? {
                columns.insert((*name).to_owned(), values);
                if columns.len().saturating_mul(grid.len.max(times.len())) > self.limits.most_points {
                    return Err(self.too_large(format!("more than {} points", self.limits.most_points)));
                }
            }
        }
        if columns.is_empty() {
            return Err(self.fault(format!("has no column of numbers besides `{time}`: it has {}", listed(&names))));
        }
        let alone = columns.len() == 1;
        let series = columns.into_iter().map(|(name, values)| {
            let stem = self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let name = if alone && name.eq_ignore_ascii_case("value") { stem.unwrap_or(name) } else { name };
            let window = Window::new(grid.start, grid.step, grid.place(&times, &values)).map_err(|e| self.too_large(e))?;
            Ok(Series { key: SeriesKey::new([("__name__".to_owned(), name)]), window })
        });
        series.collect()
    }

    fn times(self, column: &Column) -> Result<Vec<Timestamp>> {
        let name = column.name();
        let bad = |row: usize, text: &str| {
            let row = row + 1;
            let text = if text.is_empty() { "nothing".to_owned() } else { format!("`{}`", shown(text)) };
            self.fault(format!("has {text} in column `{name}`, row {row}; a time such as 1700000000 or 2026-01-31T08:00:00Z belongs there"))
        };
        let mut instants = Instants::default();
        match column.dtype() {
            DataType::String => {
                let cells = column.str().map_err(|e| self.unreadable("a table", e))?;
                for (row, cell) in cells.iter().enumerate() {
                    let cell = cell.unwrap_or_default().trim();
                    instants.push_text(cell).ok_or_else(|| bad(row, cell))?;
                }
            }
            DataType::Datetime(unit, _) => {
                let per_second = match unit {
                    TimeUnit::Milliseconds => 1e3,
                    TimeUnit::Microseconds => 1e6,
                    TimeUnit::Nanoseconds => 1e9,
                };
                self.push_numbers(column, |row, v| instants.push_instant(v / per_second).ok_or_else(|| bad(row, &number(v))))?;
            }
            DataType::Date => {
                self.push_numbers(column, |row, v| instants.push_instant(v * 86_400.0).ok_or_else(|| bad(row, &number(v))))?;
            }
            dtype if dtype.is_primitive_numeric() => {
                self.push_numbers(column, |row, v| instants.push_number(v).ok_or_else(|| bad(row, &number(v))))?;
            }
            dtype => return Err(self.fault(format!("has times of type {dtype} in column `{name}`; times, numbers or texts are read"))),
        }
        instants.finish().map_err(|(row, text)| bad(row, &text))
    }

    /// Gives every cell as a number to `push`, a missing one as NaN.
    fn push_numbers(self, column: &Column, mut push: impl FnMut(usize, f64) -> Result<()>) -> Result<()> {
        let column = column.to_physical_repr().cast(&DataType::Float64).map_err(|e| self.unreadable("a table", e))?;
        let cells = column.f64().map_err(|e| self.unreadable("a table", e))?;
        cells.iter().enumerate().try_for_each(|(row, cell)| push(row, cell.unwrap_or(f64::NAN)))
    }

    /// The column's values with NaN for what is missing; `None` for a column of text, which begins with one.
    fn numbers(self, column: &Column) -> Result<Option<Vec<f64>>> {
        let mut values = Vec::with_capacity(column.len());
        if column.dtype() != &DataType::String {
            self.push_numbers(column, |_, value| {
                values.push(value);
                Ok(())
            })?;
            return Ok(Some(values));
        }
        let mut begun = false;
        for (row, cell) in column.str().map_err(|e| self.unreadable("a table", e))?.iter().enumerate() {
            let cell = cell.unwrap_or_default().trim();
            if MISSING.iter().any(|missing| cell.eq_ignore_ascii_case(missing)) {
                values.push(f64::NAN);
                continue;
            }
            match cell.parse() {
                Ok(value) => values.push(value),
                Err(_) if !begun => return Ok(None),
                Err(_) => {
                    let (name, row, cell) = (column.name(), row + 1, shown(cell));
                    return Err(self.fault(format!("has `{cell}` in column `{name}`, row {row}; a number or an empty cell belongs there")));
                }
            }
            begun = true;
        }
        Ok(Some(values))
    }
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

fn is_about(name: &str) -> bool {
    ABOUT.iter().any(|about| name.eq_ignore_ascii_case(about))
}

/// The first names, for a message.
fn listed(names: &[&str]) -> String {
    let more = if names.len() > 20 { ", …" } else { "" };
    format!("`{}`{more}", names.iter().copied().take(20).collect::<Vec<_>>().join("`, `"))
}

/// How many cells a line of CSV has; a comma between quotes parts none.
fn cells(line: &str) -> usize {
    1 + line.split('"').step_by(2).map(|outside| outside.matches(',').count()).sum::<usize>()
}

/// A cell that is a number, for a message; nothing where it is missing.
fn number(cell: f64) -> String {
    if cell.is_nan() { String::new() } else { format!("{cell:e}") }
}

/// The beginning of a cell, for a message.
fn shown(cell: &str) -> String {
    cell.chars().take(40).collect()
}
