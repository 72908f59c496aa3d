//! Series from CSV and Parquet files.
