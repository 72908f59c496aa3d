//! The channels of one file, which are one thing measured in several ways.
//!
//! Two or more are judged together: the score and the p-value of a row are those of the joint model, the value and the
//! bounds those of the channel that has the greatest part in it. Each channel has its own findings as before.

mod joint;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use rayon::prelude::*;

use self::joint::Joint;
use super::replay::{Replay, Row, Settings};
use crate::analysis::detect::Decision;
use crate::analysis::joint::Judged;
use crate::clock::{DurationMs, Timestamp};
use crate::error::Result;
use crate::finding::Finding;
use crate::monitor::Monitor;
use crate::series::SeriesKey;

/// The channels on their way through their past.
pub struct Group {
    replays: Vec<Replay>,
    /// Together, where there are several; and what it said of places that have no row yet.
    joint: Option<Joint>,
    said: VecDeque<Option<Judged>>,
    alpha: f64,
}

/// The last rows, and every finding with the place of its channel.
pub type Finished = (Vec<Row>, Vec<(usize, Finding)>);

impl Group {
    /// Nothing was seen yet; the first values are those of `start`. The decision of `settings` is that for all
    /// channels together.
    pub fn new(channels: &[String], monitor: &Monitor, start: Timestamp, step: DurationMs, settings: Settings) -> Self {
        let Decision { alpha, direction } = settings.decision;
        let each = Settings { decision: Decision { alpha: alpha / channels.len().max(1) as f64, direction }, ..settings };
        // Where a file lies has no part in its key: what is said of it must not hang on its name.
        let key = |channel: &String| SeriesKey::new([("__name__".to_owned(), channel.clone())]);
        let replay = |channel| Replay::new(key(channel), monitor.clone(), start, step, each);
        let joint = (channels.len() > 1).then(|| Joint::new(channels.len(), start, step, settings));
        Self { replays: channels.iter().map(replay).collect(), joint, said: VecDeque::new(), alpha }
    }

    /// Takes in the next values of each channel, as many of one as of another, and gives the rows that are judged by
    /// now.
    ///
    /// # Errors
    /// As [`Replay::push`].
    pub fn push(&mut self, values: &[Vec<f64>]) -> Result<Vec<Row>> {
        let rows: Result<Vec<Vec<Row>>> = self.replays.par_iter_mut().zip(values).map(|(replay, values)| replay.push(values)).collect();
        if let Some(joint) = &mut self.joint {
            self.said.extend(joint.push(values));
        }
        Ok(self.together(rows?))
    }

    /// Judges what is left, and gives it with every finding there was and the place of its channel, in order of onset.
    /// Nothing more can be taken in then.
    ///
    /// # Errors
    /// As [`Replay::push`].
    pub fn finish(&mut self) -> Result<Finished> {
        let replays = std::mem::take(&mut self.replays);
        let ends: Result<Vec<(Vec<Row>, Vec<Finding>)>> = replays.into_par_iter().map(Replay::finish).collect();
        let (rows, findings): (Vec<_>, Vec<_>) = ends?.into_iter().unzip();
        let findings = findings.into_iter().enumerate().flat_map(|(channel, of)| of.into_iter().map(move |finding| (channel, finding)));
        let mut findings: Vec<(usize, Finding)> = findings.collect();
        findings.sort_by_key(|(channel, finding)| (finding.onset, *channel));
        Ok((self.together(rows), findings))
    }

    /// One row for each time from those of every channel: what was said of them jointly, where something was.
    fn together(&mut self, channels: Vec<Vec<Row>>) -> Vec<Row> {
        let places = channels.first().map_or(0, Vec::len);
        let said: Vec<Option<Judged>> = self.said.drain(..places.min(self.said.len())).collect();
        let jointly: Vec<Option<Row>> = said.iter().enumerate().map(|(i, said)| self.jointly(said.as_ref()?, &channels, i)).collect();
        let mut rows = worst(channels);
        for (row, joint) in rows.iter_mut().zip(jointly) {
            if let Some(joint) = joint {
                *row = Row { finding: row.finding, news: row.news, ..joint };
            }
        }
        rows
    }

    /// The row at place `i` of the channel with the greatest part in what was said, with the joint score; `None` without one.
    fn jointly(&self, said: &Judged, channels: &[Vec<Row>], i: usize) -> Option<Row> {
        let (first, _) = said.contributions.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
        let row = channels.get(first)?.get(i)?.clone();
        Some(Row { score: said.surprise / -self.alpha.ln(), p_value: said.p_value, ..row })
    }
}

/// The row of the channel with the highest score, its p-value that of the smallest of so many (Bonferroni).
fn worst(channels: Vec<Vec<Row>>) -> Vec<Row> {
    let many = channels.len() as f64;
    let mut channels = channels.into_iter();
    let mut rows = channels.next().unwrap_or_default();
    for others in channels {
        for (row, other) in rows.iter_mut().zip(others) {
            let finding = row.finding || other.finding;
            let news = row.news.max(other.news);
            if other.score > row.score || row.score.is_nan() && !other.score.is_nan() {
                *row = other;
            }
            (row.finding, row.news) = (finding, news);
        }
    }
    for row in &mut rows {
        let p = row.p_value * many;
        row.p_value = if p > 1.0 { 1.0 } else { p };
    }
    rows
}
