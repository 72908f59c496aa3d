//! Precision and recall over points, at every threshold at once.

use super::comparable;

/// The average precision: the sum over all thresholds, from the highest down, of the precision there times what
/// the recall gained. Equal scores share a threshold. It is scikit-learn's `average_precision_score`.
///
/// `scores` and `labels` are one per point. `None` when their lengths differ, or unless there are both labelled
/// and unlabelled points.
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let positives = labels.iter().filter(|label| **label).count();
    if scores.len() != labels.len() || positives == 0 || positives == labels.len() {
        return None;
    }
    let mut points: Vec<(f64, bool)> = scores.iter().zip(labels).map(|(score, label)| (comparable(*score), *label)).collect();
    points.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let (mut flagged, mut hits, mut area) = (0, 0, 0.0);
    for tied in points.chunk_by(|a, b| a.0 == b.0) {
        let gained = tied.iter().filter(|point| point.1).count();
        flagged += tied.len();
        hits += gained;
        area += gained as f64 * hits as f64 / flagged as f64;
    }
    Some(area / positives as f64)
}
