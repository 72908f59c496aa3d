//! The file that is read, for its messages.

use std::path::Path;

use polars::prelude::PolarsError;

use super::Limits;
use crate::error::{Code, Error, Result};

/// A file by its path.
#[derive(Clone, Copy)]
pub(super) struct Named<'a>(pub(super) &'a Path);

impl Named<'_> {
    pub(super) fn fault(self, what: impl std::fmt::Display) -> Error {
        Error::invalid("file", format!("{} {what}", self.0.display()))
    }

    pub(super) fn too_large(self, what: impl std::fmt::Display) -> Error {
        Error::new(Code::ResourceExhausted, format!("{} is too large: {what}", self.0.display()))
    }

    /// Whether it is small enough on disk.
    pub(super) fn check_size(self, limits: Limits) -> Result<()> {
        let bytes = std::fs::metadata(self.0).map_err(|e| self.closed(e))?.len();
        if bytes > limits.most_bytes {
            return Err(self.too_large(format!("{bytes} bytes; at most {} are read", limits.most_bytes)));
        }
        Ok(())
    }

    /// Whether so many rows are few enough.
    pub(super) fn check_rows(self, rows: usize, limits: Limits) -> Result<()> {
        if rows > limits.most_rows {
            return Err(self.too_large(format!("more than {} rows", limits.most_rows)));
        }
        Ok(())
    }

    pub(super) fn unreadable(self, kind: &str, cause: PolarsError) -> Error {
        self.fault(format!("cannot be read as {kind}")).caused_by(cause)
    }

    pub(super) fn closed(self, cause: std::io::Error) -> Error {
        self.fault("cannot be read").caused_by(cause)
    }
}

/// The first names, for a message.
pub(super) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let more = if names.len() > 20 { ", …" } else { "" };
    format!("`{}`{more}", names.iter().take(20).map(AsRef::as_ref).collect::<Vec<_>>().join("`, `"))
}

/// The beginning of a cell, for a message.
pub(super) fn shown(cell: &str) -> String {
    cell.chars().take(40).collect()
}
