//! One file on its way through its past.

use std::path::Path;

use super::agreement::Measured;
use super::track::Track;
use crate::backtest::input::Input;
use crate::backtest::score::event::Points;
use crate::backtest::summary::{MOST_FINDINGS, Picture, SeriesSummary};
use crate::clock::{DurationMs, Timestamp};
use crate::error::{Error, Result};
use crate::source::file::{Reader, Slice};

/// Cells of a file whose rows are not in order of time, at most: it is put in order in memory.
const MOST_SORTED: usize = 5_000_000;

/// Findings that are listed of all files together, unless that were fewer than so many of each.
const MOST_FINDINGS_IN_ALL: usize = 50_000;
const LEAST_FINDINGS: usize = 20;

/// How files are judged.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// False alerts accepted per day over all files together.
    pub per_day: f64,
    /// How many files there are.
    pub files: usize,
    /// How much history a model learns from.
    pub window: DurationMs,
    /// How long a model serves.
    pub refit: DurationMs,
    /// The most rows that are read at once; as many as the reader likes when `None`.
    pub slice: Option<usize>,
}

/// One file, and what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The file.
    pub input: &'a Input,
    /// Where its scores belong.
    pub scores: &'a Path,
    /// Its windows of anomalies, if they are in a file of labels.
    pub windows: Option<&'a [(Timestamp, Timestamp)]>,
    /// How it is judged.
    pub terms: &'a Terms,
}

impl Terms {
    /// The most findings that are listed of a file.
    pub(super) fn listed(&self) -> usize {
        (MOST_FINDINGS_IN_ALL / self.files.max(1)).clamp(LEAST_FINDINGS, MOST_FINDINGS)
    }
}

/// What came of one file.
#[derive(Debug)]
pub struct Done {
    /// What is told of it.
    pub summary: SeriesSummary,
    /// Its picture.
    pub picture: Option<Picture>,
    /// Its labelled points at the decision bound.
    pub at_bound: Points,
    /// What it was measured by, if it was.
    pub measured: Option<Measured>,
    /// Days that were judged.
    pub days: f64,
    /// Alerts that are not known to be right, …
    pub not_right: usize,
    /// …and the days in which there could have been any.
    pub not_right_days: f64,
}

impl Job<'_> {
    /// Judges the file and writes its scores. `progress` is told the share of it that is read, from 0 to 1.
    ///
    /// # Errors
    /// The file cannot be read or holds something else: then there are no scores. Or they cannot be written.
    pub fn run(&self, progress: &mut dyn FnMut(f64)) -> Result<Done> {
        let done = match self.stream(progress) {
            Ok(None) => self.sort(progress),
            Ok(Some(done)) => Ok(done),
            Err(error) => Err(error),
        };
        if done.is_err() {
            // Half a file of scores would look like a whole one.
            let _ = std::fs::remove_file(self.scores);
        }
        done
    }

    /// The file's fault.
    pub(super) fn fault(&self, what: impl std::fmt::Display) -> Error {
        Error::invalid("file", format!("{} {what}", self.input.path.display()))
    }

    fn open(&self) -> Result<Reader> {
        let reader = Reader::open(&self.input.path)?;
        Ok(match self.terms.slice {
            Some(rows) => reader.with_most_rows(rows),
            None => reader,
        })
    }

    /// Row after row as they are read; `None` when they turn out not to be in order of time.
    fn stream(&self, progress: &mut dyn FnMut(f64)) -> Result<Option<Done>> {
        let mut reader = self.open()?;
        let mut track: Option<Track> = None;
        while let Some(slice) = reader.next_slice()? {
            let track = match &mut track {
                Some(track) => track,
                none => none.insert(Track::new(self, reader.columns(), &slice.times, true)?),
            };
            for i in 0..slice.times.len() {
                if !track.row(&slice, i)? {
                    return Ok(None);
                }
            }
            progress(reader.progress());
        }
        track.ok_or_else(|| self.fault("has no row"))?.finish(0).map(Some)
    }

    /// All rows at once, in order of time; of several at one time the first in the file comes first.
    fn sort(&self, progress: &mut dyn FnMut(f64)) -> Result<Done> {
        let mut reader = self.open()?;
        let mut all = Slice::default();
        while let Some(slice) = reader.next_slice()? {
            all.append(slice);
            let cells = all.times.len().saturating_mul(all.values.len());
            if cells > MOST_SORTED {
                let what = format!("of {} columns are put in order; sort them by time", all.values.len());
                let most = MOST_SORTED / all.values.len().max(1);
                return Err(self.fault(format!("has rows that are earlier than a row before them; at most {most} rows {what}")));
            }
        }
        let disordered = all.times.windows(2).filter(|pair| pair[1] < pair[0]).count();
        let mut order: Vec<usize> = (0..all.times.len()).collect();
        order.sort_by_key(|i| all.times[*i]);
        let head: Vec<Timestamp> = order.iter().map(|i| all.times[*i]).collect();
        let mut track = Track::new(self, reader.columns(), &head, false)?;
        for i in order {
            track.row(&all, i)?;
        }
        progress(1.0);
        track.finish(disordered)
    }
}
