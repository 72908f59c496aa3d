//! A file in slices of rows, so that it need not fit into memory.

use std::path::{Path, PathBuf};

use polars::prelude::{DataFrame, PlSmallStr};

use super::cells::Cells;
use super::csv::Csv;
use super::named::{Named, listed};
use super::parquet::Parquet;
use super::time::Unit;
use crate::clock::Timestamp;
use crate::error::Result;

/// Names of the column of times, in any case; the first one that is there counts.
const TIMES: [&str; 5] = ["timestamp", "time", "ds", "date", "datetime"];
/// Names of the column that labels rows as anomalous, in the same way.
const LABELS: [&str; 3] = ["is_anomaly", "label", "anomaly"];
/// Name of the column that says which rows are for training.
const PART: &str = "part";
/// Rows of the first slice, at least: from them is told which columns of CSV are text, and the unit of times.
const HEAD: usize = 1000;
/// Cells of a slice.
const SLICE: usize = 1 << 20;
/// The most rows of a slice, however few its columns.
const MOST_ROWS: usize = 1 << 17;

/// What the columns of a file are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The column of times.
    pub time: String,
    /// The columns of numbers, in the file's order.
    pub channels: Vec<String>,
    /// The column of labels.
    pub label: Option<String>,
    /// The column that says `train` of rows that are for training.
    pub part: Option<String>,
}

impl Columns {
    /// The columns that are told by their names; no channel yet.
    pub(super) fn named(file: Named<'_>, names: &[&str]) -> Result<Self> {
        let of = |wanted: &[&str]| {
            let found = wanted.iter().find_map(|wanted| names.iter().find(|name| name.eq_ignore_ascii_case(wanted)));
            found.map(ToString::to_string)
        };
        let time = of(&TIMES).ok_or_else(|| {
            let right = TIMES.join(", ");
            file.fault(format!("has no column of times: it has {}; one must be named {right}", listed(names)))
        })?;
        Ok(Self { time, channels: Vec::new(), label: of(&LABELS), part: of(&[PART]) })
    }

    /// The same when there is a channel.
    pub(super) fn measured(self, file: Named<'_>, names: &[&str]) -> Result<Self> {
        if self.channels.is_empty() {
            return Err(file.fault(format!("has no column of numbers besides `{}`: it has {}", self.time, listed(names))));
        }
        Ok(self)
    }
}

/// Whether a column of this name says something about the rows instead of being measured.
pub(super) fn is_about(name: &str) -> bool {
    LABELS.iter().chain(&[PART]).any(|about| name.eq_ignore_ascii_case(about))
}

/// Rows of a file, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice {
    /// Rows of the file before these.
    pub before: usize,
    /// When, one for each row.
    pub times: Vec<Timestamp>,
    /// For each channel one value for each row, NaN where it is missing.
    pub values: Vec<Vec<f64>>,
    /// Whether a row is labelled as anomalous; `None` without a column of labels.
    pub labels: Option<Vec<bool>>,
    /// Whether a row is for training; `None` without a column that says so.
    pub train: Option<Vec<bool>>,
}

impl Slice {
    /// Continues with the slice that comes after this one; any slice continues the empty one.
    pub fn append(&mut self, next: Self) {
        if self.times.is_empty() {
            *self = next;
            return;
        }
        let flags = |here: &mut Option<Vec<bool>>, there: Option<Vec<bool>>| {
            here.iter_mut().zip(there).for_each(|(here, there)| here.extend(there));
        };
        self.times.extend(next.times);
        self.values.iter_mut().zip(next.values).for_each(|(here, there)| here.extend(there));
        flags(&mut self.labels, next.labels);
        flags(&mut self.train, next.train);
    }
}

/// A CSV or Parquet file that is read slice by slice.
pub struct Reader {
    path: PathBuf,
    table: Table,
    columns: Columns,
    /// The first slice, when it was read to look at it.
    head: Option<DataFrame>,
    unit: Option<Unit>,
    most_rows: usize,
    /// Rows that were given.
    rows: usize,
    bytes: u64,
}

enum Table {
    Csv(Box<Csv>),
    Parquet(Parquet),
}

impl Reader {
    /// Opens the file and looks at its columns.
    ///
    /// # Errors
    /// The file cannot be read, is neither CSV nor Parquet, or has no column of times or of numbers.
    pub fn open(path: &Path) -> Result<Self> {
        let file = Named(path);
        let bytes = std::fs::metadata(path).map_err(|e| file.closed(e))?.len();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        let (table, columns, head) = match extension.as_str() {
            "csv" => {
                let mut csv = Csv::open(path)?;
                let head = csv.slice(path, HEAD)?;
                let columns = text_columns(file, &head)?;
                (Table::Csv(Box::new(csv)), columns, Some(head))
            }
            "parquet" | "pq" => {
                let (parquet, columns) = Parquet::open(path)?;
                (Table::Parquet(parquet), columns, None)
            }
            _ => return Err(file.fault(format!("has the extension `{extension}`; only .csv and .parquet are read"))),
        };
        let width = match &table {
            Table::Csv(csv) => csv.width(),
            Table::Parquet(_) => columns.channels.len() + 1,
        };
        let most_rows = (SLICE / width.max(1)).clamp(1, MOST_ROWS);
        Ok(Self { path: path.to_owned(), table, columns, head, unit: None, most_rows, rows: 0, bytes })
    }

    /// The same with at most so many rows in a slice after the first; what is read does not depend on it.
    #[must_use]
    pub fn with_most_rows(mut self, most: usize) -> Self {
        self.most_rows = most.max(1);
        self
    }

    /// The same without a look at labels and parts.
    #[must_use]
    pub fn without_labels(mut self) -> Self {
        (self.columns.label, self.columns.part) = (None, None);
        self
    }

    /// What the columns are for.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The file's size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The share of the file that was read, from 0 to 1.
    pub fn progress(&self) -> f64 {
        let (read, all) = match &self.table {
            Table::Csv(csv) => (csv.bytes as f64, self.bytes as f64),
            Table::Parquet(parquet) => (parquet.read as f64, parquet.rows as f64),
        };
        if all > 0.0 { (read / all).min(1.0) } else { 1.0 }
    }

    /// The next rows; `None` at the end of the file.
    ///
    /// # Errors
    /// A row cannot be read; the message names the column, the row (counted from 1 after the header) and the value.
    pub fn next_slice(&mut self) -> Result<Option<Slice>> {
        let most = if self.rows == 0 { self.most_rows.max(HEAD) } else { self.most_rows };
        let table = match (self.head.take(), &mut self.table) {
            (Some(head), _) => head,
            (None, Table::Csv(csv)) => csv.slice(&self.path, most)?,
            (None, Table::Parquet(parquet)) => parquet.slice(&self.path, most)?,
        };
        if table.height() == 0 {
            return Ok(None);
        }
        let (file, before) = (Named(&self.path), self.rows);
        let column = |name: &str| table.column(name).map_err(|e| file.unreadable("a table", e));
        let cells = |name: &str| column(name).map(|column| Cells { file, column, before });
        let slice = Slice {
            before,
            times: cells(&self.columns.time)?.times(&mut self.unit)?,
            values: self.columns.channels.iter().map(|name| cells(name)?.numbers()).collect::<Result<_>>()?,
            labels: self.columns.label.as_deref().map(|name| cells(name)?.labels()).transpose()?,
            train: self.columns.part.as_deref().map(|name| cells(name)?.train()).transpose()?,
        };
        self.rows += slice.times.len();
        Ok(Some(slice))
    }
}

/// What the columns of a table of texts are for.
fn text_columns(file: Named<'_>, head: &DataFrame) -> Result<Columns> {
    let names: Vec<&str> = head.get_column_names().into_iter().map(PlSmallStr::as_str).collect();
    let mut columns = Columns::named(file, &names)?;
    let measured = head.columns().iter().filter(|column| *column.name() != columns.time && !is_about(column.name()));
    let numbers = measured.filter(|column| !Cells { file, column, before: 0 }.is_text());
    columns.channels = numbers.map(|column| column.name().to_string()).collect();
    columns.measured(file, &names)
}
