//! The columns of a table, as features whose values may have drifted.

use std::fs::File;
use std::path::Path;

use polars::prelude::{Column as Cells, CsvReadOptions, DataFrame, DataType, ParquetReader, PolarsResult, SerReader};

use super::Limits;
use super::named::Named;
use crate::analysis::drift::{Categories, Column, Values};
use crate::error::Result;

/// The columns of a CSV or Parquet file: numbers, whole numbers, and texts and truths as categories. Columns of times and of
/// other types are left out.
///
/// # Errors
/// The file cannot be read or is over a limit.
pub fn read_features(path: &Path, limits: Limits) -> Result<Vec<Column>> {
    let file = Named(path);
    file.check_size(limits)?;
    let opened = File::open(path).map_err(|e| file.closed(e))?;
    let table = match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => {
            let read =
                CsvReadOptions::default().with_has_header(true).with_infer_schema_length(None).with_n_rows(Some(limits.most_rows + 1));
            read.into_reader_with_file_handle(opened).finish().map_err(|e| file.unreadable("CSV", e))?
        }
        Some("parquet" | "pq") => {
            let reader = ParquetReader::new(opened).with_slice(Some((0, limits.most_rows + 1)));
            reader.finish().map_err(|e| file.unreadable("Parquet", e))?
        }
        extension => {
            let extension = extension.unwrap_or_default();
            return Err(file.fault(format!("has the extension `{extension}`; only .csv and .parquet are read")));
        }
    };
    file.check_rows(table.height(), limits)?;
    if table.height().saturating_mul(table.width()) > limits.most_points {
        return Err(file.too_large(format!("more than {} cells", limits.most_points)));
    }
    columns(&table).map_err(|e| file.unreadable("a table", e))
}

fn columns(table: &DataFrame) -> PolarsResult<Vec<Column>> {
    let mut features = Vec::new();
    for cells in table.columns() {
        if let Some(values) = values(cells)? {
            features.push(Column::new(cells.name().as_str(), values));
        }
    }
    Ok(features)
}

fn values(cells: &Cells) -> PolarsResult<Option<Values>> {
    Ok(match cells.dtype() {
        DataType::String | DataType::Boolean | DataType::Categorical(..) => {
            let text = cells.cast(&DataType::String)?;
            Some(Values::Categorical(text.str()?.iter().collect::<Categories>()))
        }
        dtype if dtype.is_integer() && cells.null_count() == 0 => {
            let whole = cells.cast(&DataType::Int64)?;
            Some(Values::Integer(whole.i64()?.iter().flatten().collect()))
        }
        dtype if dtype.is_primitive_numeric() => {
            let numbers = cells.cast(&DataType::Float64)?;
            Some(Values::Numeric(numbers.f64()?.iter().map(|v| v.unwrap_or(f64::NAN)).collect()))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_what_their_cells_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("features.csv");
        std::fs::write(&path, "age,score,city,ok,late\n30,0.5,Bern,true,\n41,,Basel,false,7\n").unwrap();
        let read = read_features(&path, Limits::default()).unwrap();
        let seen: Vec<String> = read.iter().map(|c| format!("{} {} {}", c.name, c.values.rows(), c.values.present())).collect();
        assert_eq!(seen, ["age 2 2", "score 2 1", "city 2 2", "ok 2 2", "late 2 1"]);
        assert!(matches!(read[0].values, Values::Integer(_)) && matches!(read[4].values, Values::Numeric(_)));
        let few = Limits { most_rows: 1, ..Limits::default() };
        assert!(read_features(&path, few).unwrap_err().to_string().contains("more than 1 rows"));
    }
}
