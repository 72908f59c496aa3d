//! CSV in slices of rows.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use polars::prelude::{CsvReadOptions, DataFrame, SerReader};

use super::named::Named;
use crate::error::Result;

/// The longest row: one that is longer has a quote that nothing closes, or is no text.
const LONGEST_ROW: usize = 16 * 1024 * 1024;
/// A slice is cut off when it has so many bytes.
const LONGEST_SLICE: usize = 64 * 1024 * 1024;

/// A CSV file that is read from its beginning to its end.
pub(super) struct Csv {
    lines: BufReader<File>,
    header: Vec<u8>,
    /// Rows that were read.
    rows: usize,
    /// Bytes that were read.
    pub(super) bytes: u64,
}

impl Csv {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = Named(path);
        let lines = BufReader::new(File::open(path).map_err(|e| file.closed(e))?);
        let mut csv = Self { lines, header: Vec::new(), rows: 0, bytes: 0 };
        let mut header = Vec::new();
        csv.row(file, 0, &mut header)?;
        csv.header = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&header).to_vec();
        Ok(csv)
    }

    /// How many columns the header names.
    pub(super) fn width(&self) -> usize {
        cells(&self.header)
    }

    /// The next rows, at most `most`, all cells as text, so that a fault can be shown as it stands in the file.
    /// Without rows at the end of the file.
    pub(super) fn slice(&mut self, path: &Path, most: usize) -> Result<DataFrame> {
        let file = Named(path);
        let mut text = self.header.clone();
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        let mut rows = 0;
        while rows < most && text.len() < LONGEST_SLICE && self.row(file, self.rows + rows + 1, &mut text)? {
            rows += 1;
        }
        let wide = wide_row(&text);
        let read = CsvReadOptions::default().with_has_header(true).with_infer_schema_length(Some(0));
        let table = read.into_reader_with_file_handle(Cursor::new(text)).finish().map_err(|e| match wide {
            Some((row, cells, names)) => file.fault(format!("has {cells} cells in row {}; the header has {names}", self.rows + row)),
            None => file.unreadable("CSV", e),
        })?;
        self.rows += rows;
        Ok(table)
    }

    /// Appends the next row that is not blank, the one of this `number`, to `text`, with the line breaks that stand
    /// between quotes; false when there is none.
    fn row(&mut self, file: Named<'_>, number: usize, text: &mut Vec<u8>) -> Result<bool> {
        let start = text.len();
        loop {
            let room = (LONGEST_ROW + 1 + start - text.len()) as u64;
            let read = self.lines.by_ref().take(room).read_until(b'\n', text).map_err(|e| file.closed(e))?;
            self.bytes += read as u64;
            let row = &text[start..];
            if row.len() > LONGEST_ROW {
                let what = format!("has more than {LONGEST_ROW} bytes in row {number}; is it CSV, and is every quote closed?");
                return Err(file.fault(what));
            }
            if read == 0 {
                return Ok(!row.is_empty());
            }
            if row.trim_ascii().is_empty() {
                text.truncate(start);
            } else if row.split(|byte| *byte == b'"').count() % 2 == 1 {
                // Every quote is closed.
                return Ok(true);
            }
        }
    }
}

/// The first line of `text` with more cells than the first, counted from there, and both numbers.
fn wide_row(text: &[u8]) -> Option<(usize, usize, usize)> {
    let mut widths = text.split(|byte| *byte == b'\n').map(cells);
    let names = widths.next()?;
    let (row, cells) = widths.enumerate().find(|(_, cells)| *cells > names)?;
    Some((row + 1, cells, names))
}

/// How many cells a line has; a comma between quotes parts none.
fn cells(line: &[u8]) -> usize {
    let outside = line.split(|byte| *byte == b'"').step_by(2);
    1 + outside.map(|part| part.split(|byte| *byte == b',').count() - 1).sum::<usize>()
}
