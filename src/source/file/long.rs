//! Many series in three columns, `unique_id`, `ds` and `y`, as forecasting libraries have them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use polars::prelude::{DataFrame, DataType, ParquetReader, SerReader};

use super::cells::Cells;
use super::csv::Csv;
use super::named::Named;
use super::{Grid, Limits};
use crate::clock::{DurationMs, Timestamp};
use crate::error::Result;
use crate::series::Window;

/// The columns: what names the series, when, and the value.
pub const COLUMNS: [&str; 3] = ["unique_id", "ds", "y"];
/// Rows that are read at once.
const ROWS: usize = 1 << 17;
/// Numbers up to here in `ds` count steps; larger ones are times.
const LARGEST_COUNT: f64 = 1e8;

/// Series in long form.
#[derive(Clone, Debug, PartialEq)]
pub struct Long {
    /// Each with what names it, in order of that.
    pub series: Vec<(String, Window)>,
    /// Whether `ds` counts steps: a step is then a millisecond of the windows.
    pub counted: bool,
}

impl Long {
    /// How `ds` has the place `time`.
    pub fn ds(&self, time: Timestamp) -> String {
        if self.counted { time.millis().to_string() } else { time.to_string() }
    }
}

/// Whether a CSV or Parquet file has the columns of long form.
///
/// # Errors
/// It cannot be read.
pub fn is_long(path: &Path) -> Result<bool> {
    let names = if is_csv(path) {
        Csv::open(path)?.slice(path, 1)?.get_column_names().iter().map(ToString::to_string).collect::<Vec<_>>()
    } else {
        let mut reader = ParquetReader::new(File::open(path).map_err(|e| Named(path).closed(e))?);
        let schema = reader.schema().map_err(|e| Named(path).unreadable("Parquet", e))?;
        schema.iter_names().map(ToString::to_string).collect()
    };
    Ok(names.iter().any(|name| name == COLUMNS[0]))
}

/// Reads a CSV or Parquet file in long form. Each series is laid on its own step, the median distance of its times.
///
/// # Errors
/// The file cannot be read, is over a limit, lacks a column or holds something else; the message names the column, the row
/// and the value at fault.
pub fn read_long(path: &Path, limits: Limits) -> Result<Long> {
    let mut rows = Rows::default();
    each_table(path, limits, |file, table, before| rows.append(file, table, before))?;
    rows.finish(Named(path), limits)
}

/// Gives a CSV or Parquet file to `take` in tables, each with how many rows came before; the cells of CSV are texts.
///
/// # Errors
/// The file cannot be read or is over a limit, or those of `take`.
pub(super) fn each_table<'a>(
    path: &'a Path,
    limits: Limits,
    mut take: impl FnMut(Named<'a>, &DataFrame, usize) -> Result<()>,
) -> Result<()> {
    let file = Named(path);
    file.check_size(limits)?;
    if !is_csv(path) {
        let reader = ParquetReader::new(File::open(path).map_err(|e| file.closed(e))?);
        let table = reader.with_slice(Some((0, limits.most_rows + 1))).finish().map_err(|e| file.unreadable("Parquet", e))?;
        file.check_rows(table.height(), limits)?;
        return take(file, &table, 0);
    }
    let (mut csv, mut read) = (Csv::open(path)?, 0);
    loop {
        let table = csv.slice(path, ROWS)?;
        if table.height() == 0 {
            return Ok(());
        }
        file.check_rows(read + table.height(), limits)?;
        take(file, &table, read)?;
        read += table.height();
    }
}

fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

#[derive(Default)]
struct Rows {
    unit: Option<super::time::Unit>,
    /// Whether `ds` counts; told from the first slice.
    counted: Option<bool>,
    series: BTreeMap<String, Vec<(Timestamp, f64)>>,
}

impl Rows {
    fn append(&mut self, file: Named<'_>, table: &DataFrame, before: usize) -> Result<()> {
        let cells = |name| Cells::of(file, table, before, name, || format!("long form has {}", COLUMNS.join(", ")));
        let (id, ds, y) = (cells(COLUMNS[0])?, cells(COLUMNS[1])?, cells(COLUMNS[2])?);
        let numbers = || {
            let whole = ds.column.dtype().is_integer() || ds.column.dtype() == &DataType::String;
            let numbers = if whole { ds.numbers().ok() } else { None };
            numbers.filter(|all| all.iter().all(|n| n.abs() <= LARGEST_COUNT && n.fract() == 0.0))
        };
        let counts = if self.counted == Some(false) { None } else { numbers() };
        let times = match (&counts, self.counted) {
            (Some(counts), _) => counts.iter().map(|n| Timestamp::from_millis(*n as i64)).collect(),
            (None, Some(true)) => return Err(file.fault("has counts and other times in column `ds`; one of the two belongs there")),
            (None, _) => ds.times(&mut self.unit)?,
        };
        self.counted = Some(counts.is_some());
        let values = y.numbers()?;
        let mut rows = times.into_iter().zip(values);
        id.for_each_text(|id| {
            if let Some(row) = rows.next() {
                match self.series.get_mut(id) {
                    Some(series) => series.push(row),
                    None => drop(self.series.insert(id.to_owned(), vec![row])),
                }
            }
        })?;
        Ok(())
    }

    fn finish(self, file: Named<'_>, limits: Limits) -> Result<Long> {
        if self.series.is_empty() {
            return Err(file.fault("has no rows"));
        }
        let mut series = Vec::with_capacity(self.series.len());
        let mut places = 0;
        for (id, rows) in self.series {
            let (times, values): (Vec<Timestamp>, Vec<f64>) = rows.into_iter().unzip();
            let mut sorted = times.clone();
            sorted.sort_unstable();
            sorted.dedup();
            let one =
                Grid { start: sorted.first().copied().unwrap_or(Timestamp::from_millis(0)), step: DurationMs::from_millis(1), len: 1 };
            let grid = Grid::new(&sorted).unwrap_or(one);
            places += grid.len.min(limits.most_points + 1);
            if places > limits.most_points {
                return Err(file.too_large(format!("more than {} points", limits.most_points)));
            }
            let window = Window::new(grid.start, grid.step, grid.place(&times, &values)).map_err(|e| file.too_large(e))?;
            series.push((id, window));
        }
        Ok(Long { series, counted: self.counted == Some(true) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Long> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        assert!(is_long(&path).unwrap() == text.contains("unique_id"));
        read_long(&path, Limits::default())
    }

    #[test]
    fn counts_stay_counts_and_times_stay_times() {
        let counted = read("a.csv", "unique_id,ds,y\nB,1,5\nA,2,2\nA,1,1\nA,4,4\n").unwrap();
        assert!(counted.counted);
        let (name, window) = &counted.series[0];
        assert_eq!((name.as_str(), window.len(), counted.ds(window.end())), ("A", 4, "5".to_owned()));
        assert!(window.values()[2].is_nan());
        let timed = read("b.csv", "ds,unique_id,y\n2026-01-01T00:00:00Z,A,1\n2026-01-01T01:00:00Z,A,2\n").unwrap();
        assert_eq!(timed.ds(timed.series[0].1.end()), "2026-01-01T02:00:00Z");
    }

    #[test]
    fn faults_are_named() {
        let said = |text: &str| {
            let error = read("bad.csv", text).unwrap_err().to_string();
            error.split_once("bad.csv ").map(|(_, what)| what.to_owned()).unwrap_or(error)
        };
        let all = [
            said("unique_id,ds,z\nA,1,1\n"),
            said("unique_id,ds,y\nA,1,x\n"),
            said("unique_id,ds,y\nA,then,1\n"),
            said("unique_id,ds,y\n"),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        has no column `y`: it has `unique_id`, `ds`, `z`; long form has unique_id, ds, y
        has `x` in column `y`, row 1; a number or an empty cell belongs there
        has `then` in column `ds`, row 1; a time such as 1700000000 or 2026-01-31T08:00:00Z belongs there
        has no rows
        ");
    }
}
