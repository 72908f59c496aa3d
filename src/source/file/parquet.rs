//! Parquet in slices of rows.

use std::fs::File;
use std::path::Path;

use polars::prelude::{ArrowDataType, ArrowSchema, DataFrame, ParallelStrategy, ParquetReader, SerReader};

use super::named::Named;
use super::reader::{Columns, is_about};
use crate::error::Result;

/// A Parquet file of which some columns are read.
pub(super) struct Parquet {
    columns: Vec<String>,
    /// Rows of the file.
    pub(super) rows: usize,
    /// Rows that were read.
    pub(super) read: usize,
}

impl Parquet {
    pub(super) fn open(path: &Path) -> Result<(Self, Columns)> {
        let file = Named(path);
        let mut reader = reader(path)?;
        let rows = reader.num_rows().map_err(|e| file.unreadable("Parquet", e))?;
        let schema = reader.schema().map_err(|e| file.unreadable("Parquet", e))?;
        let columns = columns(file, &schema)?;
        let about = [&columns.label, &columns.part].into_iter().flatten();
        let read = std::iter::once(&columns.time).chain(&columns.channels).chain(about).cloned().collect();
        Ok((Self { columns: read, rows, read: 0 }, columns))
    }

    /// The next rows, at most `most`; without rows at the end of the file.
    pub(super) fn slice(&mut self, path: &Path, most: usize) -> Result<DataFrame> {
        let rows = most.min(self.rows - self.read);
        let reader = reader(path)?.with_slice(Some((self.read, rows))).with_columns(Some(self.columns.clone()));
        let table = reader.read_parallel(ParallelStrategy::None).finish().map_err(|e| Named(path).unreadable("Parquet", e))?;
        self.read += rows;
        Ok(table)
    }
}

fn reader(path: &Path) -> Result<ParquetReader<File>> {
    Ok(ParquetReader::new(File::open(path).map_err(|e| Named(path).closed(e))?))
}

/// What the columns are for; those of other types are not read.
fn columns(file: Named<'_>, schema: &ArrowSchema) -> Result<Columns> {
    use ArrowDataType as T;
    let names: Vec<&str> = schema.iter_names().map(polars::prelude::PlSmallStr::as_str).collect();
    let mut columns = Columns::named(file, &names)?;
    for (name, field) in schema.iter() {
        let named = |about: &Option<String>| about.as_deref() == Some(name.as_str());
        let text = matches!(field.dtype, T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Dictionary(..));
        let whole = matches!(field.dtype, T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64);
        let number = whole || matches!(field.dtype, T::Float32 | T::Float64);
        if named(&columns.label) && !text && !number && field.dtype != T::Boolean {
            columns.label = None;
        }
        if named(&columns.part) && !text {
            columns.part = None;
        }
        if *name == columns.time || is_about(name) {
            continue;
        }
        match &field.dtype {
            _ if number => columns.channels.push(name.to_string()),
            T::Float16 | T::Decimal(..) => {
                return Err(file.fault(format!("has numbers of type {:?} in column `{name}`; write them as Float64", field.dtype)));
            }
            _ => {}
        }
    }
    columns.measured(file, &names)
}
