//! The score of the Numenta Anomaly Benchmark (NAB).
//!
//! After Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms: The Numenta Anomaly Benchmark" (2015),
//! and, where the paper leaves a choice, the benchmark's version 1.1. Every anomaly has a window around it. The
//! earliest flagged row in a window earns something, most at the window's start and next to nothing at its end; a
//! window without any costs something. A flagged row outside costs the less the shorter it comes after a window. The
//! first part of a file is for learning and counts for nothing.
//!
//! A row is flagged when its score is at least the threshold; one that was not judged (NaN) never is.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The share of a file that is for learning.
const PROBATION: f64 = 0.15;
/// Rows of which that share is taken at most.
const PROBATION_ROWS: f64 = 5000.0;

/// What a detection, a false alarm and a miss are worth to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// What a window earns that is found with its first row.
    pub hit: f64,
    /// What a flagged row costs that is far from any window before it.
    pub false_alarm: f64,
    /// What a window costs that is not found.
    pub miss: f64,
}

impl Profile {
    /// NAB's "standard".
    pub const STANDARD: Self = Self { hit: 1.0, false_alarm: 0.11, miss: 1.0 };
    /// NAB's "reward low FP rate": false alarms cost twice as much.
    pub const LOW_FP: Self = Self { hit: 1.0, false_alarm: 0.22, miss: 1.0 };
    /// NAB's "reward low FN rate": misses cost twice as much.
    pub const LOW_FN: Self = Self { hit: 1.0, false_alarm: 0.11, miss: 2.0 };

    /// `raw` points over files with so many windows, as NAB publishes them: 0 for flagging nothing, 100 for flagging
    /// the first row of every window and nothing else, below 0 for doing worse than nothing. `None` without a window.
    pub fn normalised(&self, raw: f64, windows: usize) -> Option<f64> {
        let (perfect, null) = (self.hit * windows as f64, -self.miss * windows as f64);
        (windows > 0 && perfect > null).then(|| 100.0 * (raw - null) / (perfect - null))
    }
}

/// What a detector said about a file, and the truth.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// One score per row.
    pub scores: &'a [f64],
    /// The rows of each anomaly's window, in order and apart from each other. What lies outside the file, or in an
    /// earlier window too, is left out; so is a window that ends within the probation.
    pub windows: &'a [Range<usize>],
}

/// How files were scored at one threshold. Rows of the probation are in none of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The threshold.
    pub threshold: f64,
    /// The sum of what was earned and what it cost.
    pub raw: f64,
    /// The same between 0 and 100: see [`Profile::normalised`].
    pub normalised: Option<f64>,
    /// Windows that count.
    pub windows: usize,
    /// Flagged rows within windows.
    pub true_positives: usize,
    /// Flagged rows outside.
    pub false_positives: usize,
    /// Rows outside that are not flagged.
    pub true_negatives: usize,
    /// Rows within windows that are not flagged.
    pub false_negatives: usize,
}

/// Scores one file or many together at `threshold`.
pub fn score(files: &[File], threshold: f64, profile: &Profile) -> Score {
    let (rows, windows) = rows(files, profile);
    let mut tally = Tally::new(windows, profile);
    rows.iter().filter(|row| row.score >= threshold).for_each(|row| tally.flag(row));
    let within = rows.iter().filter(|row| row.window.is_some()).count();
    Score {
        threshold,
        raw: tally.raw,
        normalised: profile.normalised(tally.raw, windows),
        windows,
        true_positives: tally.within,
        false_positives: tally.outside,
        true_negatives: rows.len() - within - tally.outside,
        false_negatives: within - tally.within,
    }
}

/// Scores the files at the one threshold for all of them that earns most; the highest such threshold, infinite when
/// flagging nothing is best.
pub fn best(files: &[File], profile: &Profile) -> Score {
    let (mut rows, windows) = rows(files, profile);
    rows.retain(|row| !row.score.is_nan());
    rows.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
    let mut tally = Tally::new(windows, profile);
    let mut best = (f64::INFINITY, tally.raw);
    for tied in rows.chunk_by(|a, b| a.score == b.score) {
        for row in tied {
            tally.flag(row);
        }
        // An infinite score is flagged even by the threshold that was to flag nothing.
        if tally.raw > best.1 || tied[0].score == f64::INFINITY {
            best = (tied[0].score, tally.raw);
        }
    }
    score(files, best.0, profile)
}

/// A row that counts.
struct Row {
    score: f64,
    /// What it earns or costs if it is flagged; within a window, if no earlier one is.
    worth: f64,
    /// Its window, counted through all files.
    window: Option<usize>,
}

/// What the flagged rows are worth together.
struct Tally {
    raw: f64,
    /// What each window is worth by now.
    windows: Vec<f64>,
    within: usize,
    outside: usize,
}

impl Tally {
    fn new(windows: usize, profile: &Profile) -> Self {
        Self { raw: 0.0 - profile.miss * windows as f64, windows: vec![-profile.miss; windows], within: 0, outside: 0 }
    }

    fn flag(&mut self, row: &Row) {
        if let Some(window) = row.window.and_then(|window| self.windows.get_mut(window)) {
            self.within += 1;
            // The earliest row of a window is the one that is worth most.
            if row.worth > *window {
                self.raw += row.worth - *window;
                *window = row.worth;
            }
        } else {
            self.outside += 1;
            self.raw += row.worth;
        }
    }
}

/// The rows after each file's probation, and how many windows they touch.
fn rows(files: &[File], profile: &Profile) -> (Vec<Row>, usize) {
    let mut rows = Vec::new();
    let mut windows = 0;
    for file in files {
        let probation = probation(file.scores.len());
        let mut row = |i: usize, worth: f64, window: Option<usize>| {
            if i >= probation {
                rows.push(Row { score: file.scores[i], worth, window });
            }
        };
        let mut next = 0;
        let mut last: Option<Range<usize>> = None;
        for window in file.windows {
            let window = window.start.max(next)..window.end.min(file.scores.len());
            if window.is_empty() {
                continue;
            }
            (next..window.start).for_each(|i| row(i, profile.false_alarm * after(last.as_ref(), i), None));
            window.clone().for_each(|i| row(i, profile.hit * within(&window, i), Some(windows)));
            windows += usize::from(window.end > probation);
            next = window.end;
            last = Some(window);
        }
        (next..file.scores.len()).for_each(|i| row(i, profile.false_alarm * after(last.as_ref(), i), None));
    }
    (rows, windows)
}

/// Rows at the start of a file that do not count.
fn probation(rows: usize) -> usize {
    (PROBATION * rows as f64).min(PROBATION * PROBATION_ROWS) as usize
}

/// The worth of a detection at a row of `window`: 1 at its first row, falling towards 0 at its last.
fn within(window: &Range<usize>, row: usize) -> f64 {
    sigmoid(-((window.end - row) as f64) / window.len() as f64) / sigmoid(-1.0)
}

/// The worth of a false alarm: -1 without a window before it, and less than that shortly after one.
fn after(window: Option<&Range<usize>>, row: usize) -> f64 {
    window.map_or(-1.0, |window| sigmoid((row + 1 - window.end) as f64 / (window.len() - 1) as f64))
}

/// A window's length is 1 here, its end at 0: positive before it, negative after it, and -1 from three lengths on.
fn sigmoid(position: f64) -> f64 {
    if position > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * position).exp()) - 1.0 }
}

#[cfg(test)]
mod tests;
