//! What a backtest over files is given: the files, and the labels that are kept apart from them.

pub mod grid;
pub mod labels;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, Violation};

/// The endings of files that are read, in any case.
const ENDINGS: [&str; 3] = ["csv", "parquet", "pq"];

/// A file to be judged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Input {
    /// Its path below the data, with `/` between its parts.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl Input {
    /// Where its scores belong, below the folder of scores: the ending is `csv` whatever its own is.
    pub fn scores(&self) -> PathBuf {
        Path::new(&self.name).with_extension("csv")
    }
}

/// The CSV and Parquet files at `data`, which is a folder or one file, in order of their names. Hidden files and
/// folders are passed over, and links to folders, and the folder `except`, where an earlier backtest may have left its
/// scores.
///
/// # Errors
/// There is nothing at `data`, or no such file in it, or two of them would have the same file of scores.
pub fn find(data: &Path, except: &Path) -> Result<Vec<Input>> {
    let wrong = |what: String| Error::invalid("--data", format!("{} {what}", data.display()));
    let about = std::fs::metadata(data).map_err(|e| wrong("cannot be read".to_owned()).caused_by(e))?;
    let mut found = Vec::new();
    if about.is_dir() {
        walk(data, "", except.canonicalize().ok().as_deref(), &mut found)?;
    } else if !is_read(data) {
        return Err(wrong("is neither a folder nor a file whose name ends in .csv, .parquet or .pq".to_owned()));
    } else {
        let name = data.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.push(Input { name, path: data.to_owned() });
    }
    if found.is_empty() {
        return Err(wrong("holds no file whose name ends in .csv, .parquet or .pq".to_owned()));
    }
    found.sort();
    let mut scores: BTreeMap<PathBuf, &str> = BTreeMap::new();
    let twins = found.iter().filter_map(|input| {
        let other = scores.insert(input.scores(), &input.name)?;
        let (name, both) = (&input.name, input.scores().display().to_string());
        Some(Violation {
            field: name.clone(),
            description: format!("its scores would be written to {both}, like those of {other}; rename one"),
        })
    });
    let twins: Vec<Violation> = twins.collect();
    if twins.is_empty() { Ok(found) } else { Err(Error::violations(twins)) }
}

fn walk(folder: &Path, name: &str, except: Option<&Path>, found: &mut Vec<Input>) -> Result<()> {
    let wrong = |path: &Path, e: std::io::Error| Error::invalid("--data", format!("{} cannot be read", path.display())).caused_by(e);
    for entry in std::fs::read_dir(folder).map_err(|e| wrong(folder, e))? {
        let entry = entry.map_err(|e| wrong(folder, e))?;
        let (path, file) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if file.starts_with('.') || except.is_some() && path.canonicalize().ok().as_deref() == except {
            continue;
        }
        let name = if name.is_empty() { file } else { format!("{name}/{file}") };
        // A link to a folder may lead in a circle, one to a file cannot.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, &name, except, found)?;
        } else if is_read(&path) && path.is_file() {
            found.push(Input { name, path });
        }
    }
    Ok(())
}

fn is_read(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|read| ending.eq_ignore_ascii_case(read)))
}
