//! Labels in a file of their own: for each file the windows in which it is anomalous, in the form of the Numenta
//! Anomaly Benchmark.

use std::collections::BTreeMap;
use std::path::Path;

use super::Input;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::source::file;

/// The largest file that is read.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

/// The windows of some files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// For each input, by its name, its windows: each from its first instant to its last, in order and apart.
    windows: BTreeMap<String, Vec<(Timestamp, Timestamp)>>,
    /// What fits no input.
    pub unused: Vec<String>,
}

impl Labels {
    /// Reads `{"path/of/file.csv": [["2014-04-11 00:00:00", "2014-04-12 00:00:00"], …], …}`. A path is an input's
    /// name, or the end of one, or ends in one.
    ///
    /// # Errors
    /// The file cannot be read or is of another form, a path fits several inputs, or none fits any.
    pub fn read(path: &Path, inputs: &[Input]) -> Result<Self> {
        let wrong = |what: String| Error::invalid("--labels", format!("{} {what}", path.display()));
        let bytes = std::fs::metadata(path).map_err(|e| wrong("cannot be read".to_owned()).caused_by(e))?.len();
        if bytes > MOST_BYTES {
            return Err(wrong(format!("has {bytes} bytes; at most {MOST_BYTES} are read")));
        }
        let text = std::fs::read(path).map_err(|e| wrong("cannot be read".to_owned()).caused_by(e))?;
        let form = r#"is not of the form {"path/of/file.csv": [["2014-04-11 00:00:00", "2014-04-12 00:00:00"]]}"#;
        let all: BTreeMap<String, Vec<(String, String)>> =
            serde_json::from_slice(&text).map_err(|e| wrong(form.to_owned()).caused_by(e))?;
        let mut labels = Self::default();
        for (name, windows) in all {
            let windows = apart(&name, &windows).map_err(wrong)?;
            let fitting: Vec<&Input> = inputs.iter().filter(|input| fits(&input.name, &name)).collect();
            match fitting.as_slice() {
                [] => labels.unused.push(name),
                [input] => {
                    if labels.windows.insert(input.name.clone(), windows).is_some() {
                        return Err(wrong(format!("has windows of {} under two paths, one of them `{name}`", input.name)));
                    }
                }
                [one, two, ..] => {
                    return Err(wrong(format!("has a path `{name}` that fits {} and {}; write more of it", one.name, two.name)));
                }
            }
        }
        if labels.windows.is_empty() {
            let example = labels.unused.first().map_or("it is empty".to_owned(), |name| format!("the first is `{name}`"));
            let input = inputs.first().map_or("", |input| &input.name);
            return Err(wrong(format!("has no path that fits a file of --data: {example}; `{input}` would fit")));
        }
        Ok(labels)
    }

    /// The windows of the input `name`; `None` when it is not in the file.
    pub fn of(&self, name: &str) -> Option<&[(Timestamp, Timestamp)]> {
        self.windows.get(name).map(Vec::as_slice)
    }
}

/// Whether one path is the end of the other.
fn fits(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_start_matches("./"), b.trim_start_matches("./"));
    let ends = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    ends(a, b) || ends(b, a)
}

/// The windows in order, those that overlap as one.
fn apart(name: &str, windows: &[(String, String)]) -> Result<Vec<(Timestamp, Timestamp)>, String> {
    let mut parsed = Vec::with_capacity(windows.len());
    for (i, (from, to)) in windows.iter().enumerate() {
        let instant = |text: &str| {
            let right = "2014-04-11 00:00:00 or 2014-04-11T00:00:00Z";
            file::instant(text.trim())
                .ok_or_else(|| format!("has `{text}` in window {} of `{name}`; a time such as {right} belongs there", i + 1))
        };
        let (from, to) = (instant(from)?, instant(to)?);
        if from > to {
            return Err(format!("has a window {} of `{name}` that ends at {to}, before it begins at {from}", i + 1));
        }
        parsed.push((from, to));
    }
    parsed.sort_unstable();
    let mut apart: Vec<(Timestamp, Timestamp)> = Vec::with_capacity(parsed.len());
    for (from, to) in parsed {
        match apart.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => apart.push((from, to)),
        }
    }
    Ok(apart)
}
