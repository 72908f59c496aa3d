//! What stands in the cells of a column.

use polars::prelude::{Column, DataFrame, DataType, PlSmallStr, TimeUnit};

use super::named::{Named, listed, shown};
use super::time::{Instants, Unit};
use crate::clock::Timestamp;
use crate::error::Result;

/// Texts that stand for a missing value, in any case.
const MISSING: [&str; 6] = ["", "nan", "null", "none", "na", "n/a"];
/// Texts that label a row as anomalous, or as not, besides numbers.
const YES: [&str; 2] = ["true", "yes"];
const NO: [&str; 2] = ["false", "no"];

/// A column of a slice of a file.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    pub(super) file: Named<'a>,
    pub(super) column: &'a Column,
    /// Rows of the file before the slice.
    pub(super) before: usize,
}

impl<'a> Cells<'a> {
    /// The column `name` of `table`; where there is none the error ends with what is `right`.
    pub(super) fn of(file: Named<'a>, table: &'a DataFrame, before: usize, name: &str, right: impl FnOnce() -> String) -> Result<Self> {
        let column = table.column(name).map_err(|_| {
            let names: Vec<&str> = table.get_column_names().into_iter().map(PlSmallStr::as_str).collect();
            file.fault(format!("has no column `{name}`: it has {}; {}", listed(&names), right()))
        })?;
        Ok(Self { file, column, before })
    }
}

impl Cells<'_> {
    fn row(self, i: usize) -> usize {
        self.before + i + 1
    }

    /// The times; `unit` is that of numbers, told from the first of them when it is not known.
    pub(super) fn times(self, unit: &mut Option<Unit>) -> Result<Vec<Timestamp>> {
        let Self { file, column, .. } = self;
        let bad = |i: usize, text: &str| {
            let text = if text.is_empty() { "nothing".to_owned() } else { format!("`{}`", shown(text)) };
            let (name, row) = (column.name(), self.row(i));
            file.fault(format!("has {text} in column `{name}`, row {row}; a time such as 1700000000 or 2026-01-31T08:00:00Z belongs there"))
        };
        let mut instants = Instants::default();
        match column.dtype() {
            DataType::String => self.texts(|i, cell| instants.push_text(cell).ok_or_else(|| bad(i, cell)))?,
            DataType::Datetime(of, _) => {
                let per_second = match of {
                    TimeUnit::Milliseconds => 1e3,
                    TimeUnit::Microseconds => 1e6,
                    TimeUnit::Nanoseconds => 1e9,
                };
                self.each_number(|i, v| instants.push_instant(v / per_second).ok_or_else(|| bad(i, &number(v))))?;
            }
            DataType::Date => self.each_number(|i, v| instants.push_instant(v * 86_400.0).ok_or_else(|| bad(i, &number(v))))?,
            dtype if dtype.is_primitive_numeric() => {
                self.each_number(|i, v| instants.push_number(v).ok_or_else(|| bad(i, &number(v))))?;
            }
            dtype => {
                let name = column.name();
                return Err(file.fault(format!("has times of type {dtype} in column `{name}`; times, numbers or texts are read")));
            }
        }
        instants.finish(unit).map_err(|(i, text)| bad(i, &text))
    }

    /// Whether it is a column of text: its first cell that is not missing is no number.
    pub(super) fn is_text(self) -> bool {
        match self.column.str() {
            Ok(cells) => {
                let present = cells.iter().flatten().map(str::trim).find(|cell| !is_missing(cell));
                present.is_some_and(|cell| cell.parse::<f64>().is_err())
            }
            Err(_) => false,
        }
    }

    /// The values, NaN for what is missing.
    pub(super) fn numbers(self) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(self.column.len());
        if self.column.dtype() == &DataType::String {
            self.texts(|i, cell| {
                values.push(if is_missing(cell) {
                    f64::NAN
                } else {
                    cell.parse().map_err(|_| self.odd(i, cell, "a number or an empty cell"))?
                });
                Ok(())
            })?;
        } else {
            self.each_number(|_, value| {
                values.push(value);
                Ok(())
            })?;
        }
        Ok(values)
    }

    /// Which rows are labelled as anomalous; a missing label is none.
    pub(super) fn labels(self) -> Result<Vec<bool>> {
        let mut labels = Vec::with_capacity(self.column.len());
        let words = |cell: &str, words: &[&str]| words.iter().any(|word| cell.eq_ignore_ascii_case(word));
        let mut push = |i: usize, cell: &str| {
            labels.push(match cell.parse::<f64>() {
                _ if is_missing(cell) || words(cell, &NO) => false,
                _ if words(cell, &YES) => true,
                Ok(number) => number != 0.0,
                Err(_) => return Err(self.odd(i, cell, "0 or 1")),
            });
            Ok(())
        };
        match self.column.dtype() {
            DataType::String => self.texts(push)?,
            dtype if dtype.is_primitive_numeric() || dtype == &DataType::Boolean => self.each_number(|i, v| push(i, &v.to_string()))?,
            _ => self.as_text()?.of(self).texts(push)?,
        }
        Ok(labels)
    }

    /// Which rows say `train`, in any case.
    pub(super) fn train(self) -> Result<Vec<bool>> {
        let mut train = Vec::with_capacity(self.column.len());
        let push = |_: usize, cell: &str| {
            train.push(cell.eq_ignore_ascii_case("train"));
            Ok(())
        };
        self.as_text()?.of(self).texts(push)?;
        Ok(train)
    }

    fn odd(self, i: usize, cell: &str, right: &str) -> crate::error::Error {
        let (name, row) = (self.column.name(), self.row(i));
        self.file.fault(format!("has `{}` in column `{name}`, row {row}; {right} belongs there", shown(cell)))
    }

    /// Gives every cell's text to `take`.
    pub(super) fn for_each_text(self, mut take: impl FnMut(&str)) -> Result<()> {
        self.as_text()?.of(self).texts(|_, cell| {
            take(cell);
            Ok(())
        })
    }

    fn as_text(self) -> Result<Owned> {
        self.column.cast(&DataType::String).map(Owned).map_err(|e| self.file.unreadable("a table", e))
    }

    /// Gives every cell's text, without the spaces around it, to `push`; a missing one is empty.
    fn texts(self, mut push: impl FnMut(usize, &str) -> Result<()>) -> Result<()> {
        let cells = self.column.str().map_err(|e| self.file.unreadable("a table", e))?;
        cells.iter().enumerate().try_for_each(|(i, cell)| push(i, cell.unwrap_or_default().trim()))
    }

    /// Gives every cell as a number to `push`, a missing one as NaN.
    fn each_number(self, mut push: impl FnMut(usize, f64) -> Result<()>) -> Result<()> {
        let column = self.column.to_physical_repr().cast(&DataType::Float64).map_err(|e| self.file.unreadable("a table", e))?;
        let cells = column.f64().map_err(|e| self.file.unreadable("a table", e))?;
        cells.iter().enumerate().try_for_each(|(i, cell)| push(i, cell.unwrap_or(f64::NAN)))
    }
}

/// A column that was made from another.
struct Owned(Column);

impl Owned {
    fn of<'a>(&'a self, cells: Cells<'a>) -> Cells<'a> {
        Cells { column: &self.0, ..cells }
    }
}

fn is_missing(cell: &str) -> bool {
    MISSING.iter().any(|missing| cell.eq_ignore_ascii_case(missing))
}

/// A cell that is a number, for a message; nothing where it is missing.
fn number(cell: f64) -> String {
    if cell.is_nan() { String::new() } else { format!("{cell:e}") }
}
