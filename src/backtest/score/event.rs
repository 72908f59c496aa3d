//! Precision and recall where an anomaly has to be noticed in time.
//!
//! The rule of the 2018 AIOps challenge on KPI anomaly detection: a labelled segment counts as found, with all its
//! points, when some point among its first `delay + 1` is flagged (the challenge took 7), and as missed with all its
//! points otherwise. A flagged point outside all segments is a false one. The challenge laid the points on a regular
//! step first, with label false where there was no measurement.
//!
//! A point is flagged when its score is at least the threshold; one that was not judged (NaN) never is.

use serde::{Deserialize, Serialize};

use super::segments;

/// Scores and labels of one series, each one per point.
pub type Series<'a> = (&'a [f64], &'a [bool]);

/// How good the points are at one threshold, each measure from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointF1 {
    /// The least score that was flagged; infinite when nothing was to be flagged.
    pub threshold: f64,
    /// The share of right points among the flagged ones; 0 when none is flagged.
    pub precision: f64,
    /// The share of labelled points that lie in found segments.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
}

/// Points at one threshold, counted as they go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Points {
    /// Labelled points in found segments.
    pub right: usize,
    /// Flagged points outside of segments.
    pub wrong: usize,
    /// Labelled points.
    pub labelled: usize,
}

impl Points {
    /// The measures at the `threshold` at which they were counted; `None` without a labelled point.
    pub fn f1(self, threshold: f64) -> Option<PointF1> {
        (self.labelled > 0).then(|| PointF1::new(threshold, self.right, self.wrong, self.labelled))
    }
}

impl std::iter::Sum for Points {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self { right: a.right + b.right, wrong: a.wrong + b.wrong, labelled: a.labelled + b.labelled })
    }
}

impl PointF1 {
    fn new(threshold: f64, right: usize, wrong: usize, labelled: usize) -> Self {
        let (hits, flagged) = (right as f64, (right + wrong) as f64);
        let precision = if flagged > 0.0 { hits / flagged } else { 0.0 };
        Self { threshold, precision, recall: hits / labelled as f64, f1: 2.0 * hits / (flagged + labelled as f64) }
    }
}

/// What was found at one threshold, counted in events instead of points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCounts {
    /// Labelled segments.
    pub segments: usize,
    /// Those of them that were found in time.
    pub detected: usize,
    /// Runs of flagged points.
    pub alarms: usize,
    /// Those of them without a single labelled point.
    pub false_alarms: usize,
}

impl EventCounts {
    /// The share of alarms that were about something; `None` without an alarm.
    pub fn precision(&self) -> Option<f64> {
        (self.alarms > 0).then(|| (self.alarms - self.false_alarms) as f64 / self.alarms as f64)
    }

    /// The share of segments that were found in time; `None` without a segment.
    pub fn recall(&self) -> Option<f64> {
        (self.segments > 0).then(|| self.detected as f64 / self.segments as f64)
    }
}

/// The measures at `threshold`, over the points of all series together.
///
/// `None` when scores and labels of a series differ in length, or without a labelled point.
pub fn f1(series: &[Series], threshold: f64, delay: usize) -> Option<PointF1> {
    let (decisions, labelled) = decisions(series, delay)?;
    let flagged = || decisions.iter().filter(|decision| decision.score >= threshold);
    let (right, wrong) = (flagged().map(|d| d.right).sum(), flagged().map(|d| d.wrong).sum());
    Some(PointF1::new(threshold, right, wrong, labelled))
}

/// The measures at the one threshold for all series that makes F1 largest; the highest such threshold.
///
/// `None` when scores and labels of a series differ in length, or without a labelled point.
pub fn best_f1(series: &[Series], delay: usize) -> Option<PointF1> {
    let (mut decisions, labelled) = decisions(series, delay)?;
    decisions.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
    let (mut right, mut wrong) = (0, 0);
    let mut best = PointF1::new(f64::INFINITY, 0, 0, labelled);
    for tied in decisions.chunk_by(|a, b| a.score == b.score) {
        right += tied.iter().map(|d| d.right).sum::<usize>();
        wrong += tied.iter().map(|d| d.wrong).sum::<usize>();
        let here = PointF1::new(tied[0].score, right, wrong, labelled);
        // An infinite score is flagged even by the threshold that was to flag nothing.
        if here.f1 > best.f1 || here.threshold == f64::INFINITY {
            best = here;
        }
    }
    Some(best)
}

/// Segments and alarms at `threshold`, over all series. A segment is found as for [`f1`].
///
/// `None` when scores and labels of a series differ in length.
pub fn events(series: &[Series], threshold: f64, delay: usize) -> Option<EventCounts> {
    let mut counts = EventCounts::default();
    for (scores, labels) in series {
        if scores.len() != labels.len() {
            return None;
        }
        for segment in segments(labels) {
            let deadline = segment.start.saturating_add(delay).saturating_add(1).min(segment.end);
            counts.segments += 1;
            counts.detected += usize::from(scores[segment.start..deadline].iter().any(|score| *score >= threshold));
        }
        let flagged: Vec<bool> = scores.iter().map(|score| *score >= threshold).collect();
        for alarm in segments(&flagged) {
            counts.alarms += 1;
            counts.false_alarms += usize::from(!labels[alarm].contains(&true));
        }
    }
    Some(counts)
}

/// What is flagged, and what not, by one score: a whole segment by the highest of its first points, any other point
/// by its own.
struct Decision {
    score: f64,
    /// Labelled points that hang on it.
    right: usize,
    /// Unlabelled points that hang on it.
    wrong: usize,
}

/// All decisions that any threshold can flag, and the number of labelled points.
fn decisions(series: &[Series], delay: usize) -> Option<(Vec<Decision>, usize)> {
    let mut decisions = Vec::new();
    let mut labelled = 0;
    for (scores, labels) in series {
        if scores.len() != labels.len() {
            return None;
        }
        decisions.extend(scores.iter().zip(*labels).filter(|(_, label)| !**label).map(|(score, _)| Decision {
            score: *score,
            right: 0,
            wrong: 1,
        }));
        for segment in segments(labels) {
            let deadline = segment.start.saturating_add(delay).saturating_add(1).min(segment.end);
            // The maximum passes over NaN.
            let score = scores[segment.start..deadline].iter().copied().fold(f64::NAN, f64::max);
            labelled += segment.len();
            decisions.push(Decision { score, right: segment.len(), wrong: 0 });
        }
    }
    decisions.retain(|decision| !decision.score.is_nan());
    (labelled > 0).then_some((decisions, labelled))
}

#[cfg(test)]
mod tests;
