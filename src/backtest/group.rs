//! The channels of one file, which are one thing measured in several ways.

use rayon::prelude::*;

use super::replay::{Replay, Row, Settings};
use crate::analysis::detect::Decision;
use crate::clock::{DurationMs, Timestamp};
use crate::error::Result;
use crate::finding::Finding;
use crate::monitor::Monitor;
use crate::series::SeriesKey;

/// The channels on their way through their past.
pub struct Group {
    replays: Vec<Replay>,
}

impl Group {
    /// Nothing was seen yet; the first values are those of `start`. The decision of `settings` is that for all
    /// channels together.
    pub fn new(channels: &[String], monitor: &Monitor, start: Timestamp, step: DurationMs, settings: Settings) -> Self {
        let Decision { alpha, direction } = settings.decision;
        let each = Settings { decision: Decision { alpha: alpha / channels.len().max(1) as f64, direction }, ..settings };
        // Where a file lies has no part in its key: what is said of it must not hang on its name.
        let key = |channel: &String| SeriesKey::new([("__name__".to_owned(), channel.clone())]);
        let replay = |channel| Replay::new(key(channel), monitor.clone(), start, step, each);
        Self { replays: channels.iter().map(replay).collect() }
    }

    /// Takes in the next values of each channel, as many of one as of another, and gives the rows that are judged by
    /// now.
    ///
    /// # Errors
    /// As [`Replay::push`].
    pub fn push(&mut self, values: &[Vec<f64>]) -> Result<Vec<Row>> {
        let rows: Result<Vec<Vec<Row>>> = self.replays.par_iter_mut().zip(values).map(|(replay, values)| replay.push(values)).collect();
        Ok(together(rows?))
    }

    /// Judges what is left, and gives it with every finding there was and the place of its channel, in order of onset.
    /// Nothing more can be taken in then.
    ///
    /// # Errors
    /// As [`Replay::push`].
    pub fn finish(&mut self) -> Result<(Vec<Row>, Vec<(usize, Finding)>)> {
        let replays = std::mem::take(&mut self.replays);
        let ends: Result<Vec<(Vec<Row>, Vec<Finding>)>> = replays.into_par_iter().map(Replay::finish).collect();
        let (rows, findings): (Vec<_>, Vec<_>) = ends?.into_iter().unzip();
        let findings = findings.into_iter().enumerate().flat_map(|(channel, of)| of.into_iter().map(move |finding| (channel, finding)));
        let mut findings: Vec<(usize, Finding)> = findings.collect();
        findings.sort_by_key(|(channel, finding)| (finding.onset, *channel));
        Ok((together(rows), findings))
    }
}

/// One row for each time from those of every channel: that of the channel with the highest score, its p-value that of
/// the smallest of so many (Bonferroni).
fn together(channels: Vec<Vec<Row>>) -> Vec<Row> {
    let many = channels.len() as f64;
    let mut channels = channels.into_iter();
    let mut rows = channels.next().unwrap_or_default();
    for others in channels {
        for (row, other) in rows.iter_mut().zip(others) {
            let finding = row.finding || other.finding;
            if other.score > row.score || row.score.is_nan() && !other.score.is_nan() {
                *row = other;
            }
            row.finding = finding;
        }
    }
    for row in &mut rows {
        let p = row.p_value * many;
        row.p_value = if p > 1.0 { 1.0 } else { p };
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: f64, score: f64, p_value: f64, finding: bool) -> Row {
        let (expected, lower, upper) = (value - 1.0, value - 2.0, value + 2.0);
        Row { time: Timestamp::from_millis(0), value, score, p_value, expected, lower, upper, finding }
    }

    #[test]
    fn the_worst_channel_stands_for_all() {
        let nan = f64::NAN;
        let rows = together(vec![
            vec![row(1.0, 0.5, 0.1, false), row(2.0, nan, nan, false), row(3.0, nan, nan, true)],
            vec![row(10.0, 1.5, 1e-6, true), row(20.0, 0.1, 0.7, false), row(30.0, nan, nan, false)],
        ]);
        assert_eq!(rows[0], row(10.0, 1.5, 2e-6, true));
        assert_eq!(rows[1], row(20.0, 0.1, 1.0, false));
        assert!(rows[2].score.is_nan() && rows[2].p_value.is_nan() && rows[2].finding, "nothing can be said, and a finding is open");
    }

    #[test]
    fn one_channel_is_left_as_it_is() {
        assert_eq!(together(vec![vec![row(1.0, 0.5, 0.1, true)]]), [row(1.0, 0.5, 0.1, true)]);
        assert!(together(Vec::new()).is_empty());
    }
}
