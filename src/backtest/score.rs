//! How well a detector did, in the measures that others publish, so that the figures can be set side by side.
//!
//! | measure | where it comes from |
//! |---|---|
//! | [`pr`]: average precision | scikit-learn's `average_precision_score` |
//! | [`vus`]: volume under the precision-recall surface | the TSB-AD benchmark |
//! | [`event`]: precision and recall of segments found in time | the 2018 AIOps challenge |
//! | [`nab`]: the NAB score | the Numenta Anomaly Benchmark |
//!
//! Scores are one per point and higher where the detector is surer of an anomaly. A NaN is "not judged": it counts
//! as lower than every number, and no threshold flags it. Labels are one per point, true inside a labelled anomaly.

pub mod event;
pub mod nab;
pub mod pr;
pub mod vus;

use std::ops::Range;

/// A score that can be compared: "not judged" at the very bottom, and a single zero.
fn comparable(score: f64) -> f64 {
    // Adding zero makes the negative zero a positive one, which total_cmp would keep apart.
    if score.is_nan() { f64::NEG_INFINITY } else { score + 0.0 }
}

/// The runs of true, in order.
fn segments(labels: &[bool]) -> Vec<Range<usize>> {
    let mut segments = Vec::new();
    let mut start = 0;
    for run in labels.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        if run[0] {
            segments.push(start..end);
        }
        start = end;
    }
    segments
}

#[cfg(test)]
mod tests;
