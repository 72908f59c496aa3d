//! The file of scores: one line for each row of an input.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::backtest::replay::Row;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};

const HEADER: &str = "timestamp,value,anomaly_score,p_value,yhat,yhat_lower,yhat_upper,finding,news";

/// One line: what was said of a row of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The row's place in the input.
    pub row: usize,
    /// The row's own time.
    pub time: Timestamp,
    /// The row's own value; that of the worst channel when there are several.
    pub value: f64,
    /// What was said of its place on the step.
    pub said: Row,
}

/// A file of scores that is being written.
pub struct Scores<'a> {
    path: &'a Path,
    file: BufWriter<File>,
    /// Lines that wait to be put into the input's order; `None` when they come in it.
    held: Option<Vec<Line>>,
}

impl<'a> Scores<'a> {
    /// Begins the file anew. Lines that are not `ordered` are all kept until the end.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &'a Path, ordered: bool) -> Result<Self> {
        let create = || {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            let mut file = BufWriter::new(File::create(path)?);
            writeln!(file, "{HEADER}")?;
            Ok(file)
        };
        let file = create().map_err(|e| failed(path, e))?;
        Ok(Self { path, file, held: (!ordered).then(Vec::new) })
    }

    /// Writes the line.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn line(&mut self, line: Line) -> Result<()> {
        match &mut self.held {
            Some(held) => {
                held.push(line);
                Ok(())
            }
            None => write(&mut self.file, &line).map_err(|e| failed(self.path, e)),
        }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> Result<()> {
        let mut held = self.held.take().unwrap_or_default();
        held.sort_unstable_by_key(|line| line.row);
        held.iter().try_for_each(|line| write(&mut self.file, line)).and_then(|()| self.file.flush()).map_err(|e| failed(self.path, e))
    }
}

fn failed(path: &Path, cause: std::io::Error) -> Error {
    Error::new(Code::Unavailable, format!("{} cannot be written", path.display())).caused_by(cause)
}

fn write(out: &mut impl Write, line: &Line) -> std::io::Result<()> {
    write!(out, "{}", line.time)?;
    let said = &line.said;
    for cell in [line.value, said.score, said.p_value, said.expected, said.lower, said.upper] {
        // With as many digits as read back to the same number.
        if cell.is_finite() { write!(out, ",{cell:?}")? } else { out.write_all(b",")? }
    }
    writeln!(out, ",{},{:?}", u8::from(said.finding), said.news)
}
