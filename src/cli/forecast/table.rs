//! Forecasts as a table, in CSV or Parquet.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use polars::prelude::{Column, CsvWriter, DataFrame, DataType, ParquetWriter, PolarsError, SerWriter};

use crate::error::{Code, Error, Result};

/// Rows of `unique_id, ds, yhat, yhat_lower, yhat_upper`.
#[derive(Default)]
pub(super) struct Table {
    ids: Vec<String>,
    ds: Vec<String>,
    numbers: [Vec<f64>; 3],
}

const NUMBERS: [&str; 3] = ["yhat", "yhat_lower", "yhat_upper"];

impl Table {
    pub(super) fn push(&mut self, id: &str, ds: String, numbers: [f64; 3]) {
        self.ids.push(id.to_owned());
        self.ds.push(ds);
        self.numbers.iter_mut().zip(numbers).for_each(|(column, number)| column.push(number));
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// As CSV.
    pub(super) fn csv(&self) -> String {
        let mut text = format!("unique_id,ds,{}\n", NUMBERS.join(","));
        for (i, id) in self.ids.iter().enumerate() {
            let quoted = if id.contains([',', '"', '\n']) { format!("\"{}\"", id.replace('"', "\"\"")) } else { id.clone() };
            let [yhat, lower, upper] = self.numbers.each_ref().map(|column| column[i]);
            let _ = writeln!(text, "{quoted},{},{yhat},{lower},{upper}", self.ds[i]);
        }
        text
    }

    /// Writes it to `path`, by whose extension it is CSV or Parquet; `counted` writes `ds` as numbers.
    pub(super) fn write(&self, path: &Path, counted: bool) -> Result<()> {
        let failed = |cause: PolarsError| Error::new(Code::Unavailable, format!("cannot write {}", path.display())).caused_by(cause);
        let parquet = match path.extension().and_then(|e| e.to_str()) {
            Some("csv") => false,
            Some("parquet") => true,
            _ => return Err(Error::invalid("--out", format!("{} is neither .csv nor .parquet", path.display()))),
        };
        let ds = Column::new("ds".into(), &self.ds);
        let ds = if counted { ds.cast(&DataType::Int64).map_err(failed)? } else { ds };
        let mut columns = vec![Column::new("unique_id".into(), &self.ids), ds];
        columns.extend(NUMBERS.iter().zip(&self.numbers).map(|(name, column)| Column::new((*name).into(), column)));
        let mut table = DataFrame::new(self.len(), columns).map_err(failed)?;
        let file =
            File::create(path).map_err(|e| Error::new(Code::Unavailable, format!("cannot write {}", path.display())).caused_by(e))?;
        let written = if parquet { ParquetWriter::new(file).finish(&mut table).map(drop) } else { CsvWriter::new(file).finish(&mut table) };
        written.map_err(failed)
    }
}
