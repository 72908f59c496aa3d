//! Detection: a model is fitted to the past of a series and judges what comes after, point by point.

mod features;
pub mod isolation_forest;
mod judgement;
mod lend;
mod model;
mod news;
mod onset;
mod past;
mod ramp;
mod shape;
mod stretch;
#[cfg(test)]
mod tests;

pub(super) use features::History;
pub use judgement::{Beside, Decision, Detector, Judgement, View};
pub use model::{FORMAT_VERSION, Model, State};
pub use news::News;
pub use stretch::{Stretch, Tracker};

use super::CannotSay;
use super::calibrate::bound;
use crate::clock::{DurationMs, Timestamp};
use crate::finding::Finding;
use crate::monitor::Monitor;
use crate::series::{Series, Window};

/// What was said of one window.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The model, fitted on what is before the judged part.
    pub model: Model,
    /// One judgement for each point of the judged part.
    pub judgements: Vec<Judgement>,
    /// The stretches in it, in order of onset; the last one may still last.
    pub stretches: Vec<Stretch>,
}

/// Learns from the part of `window` before `from`, and judges the rest causally.
///
/// # Errors
/// Why nothing can be said.
pub fn analyze(window: &Window, from: Timestamp, decision: Decision) -> Result<Analysis, CannotSay> {
    let model = Model::fit(&window.slice(window.start(), from))?;
    let rest = window.slice(from, window.end());
    let mut state = model.start();
    let mut judgements = Vec::with_capacity(rest.len());
    let mut stretches: Vec<Stretch> = Vec::new();
    for (i, value) in rest.values().iter().enumerate() {
        let (judgement, stretch) = model.step(&mut state, rest.time(i), *value, None, decision);
        judgements.push(judgement);
        Stretch::take_latest(&mut stretches, stretch);
    }
    if judgements.iter().all(|j| j.score.is_nan()) {
        return Err(CannotSay::Silent(judgements.len()));
    }
    Ok(Analysis { model, judgements, stretches })
}

/// Judges a series that no monitor watches, as part of `all` series: learns from what is before `from` (the last
/// fifth when `None`) and judges the rest under a budget of `per_day` false findings a day over all of them.
/// The findings are `monitor`'s, whose direction counts.
///
/// # Errors
/// Why nothing can be said.
pub fn judge_alone(
    series: &Series,
    from: Option<Timestamp>,
    per_day: f64,
    all: usize,
    monitor: &Monitor,
) -> Result<(Analysis, Vec<Finding>), CannotSay> {
    let window = &series.window;
    let points_per_day = DurationMs::DAY.millis() as f64 / window.step().millis() as f64;
    let decision = Decision { alpha: bound(per_day, all, points_per_day), direction: monitor.direction };
    let from = from.unwrap_or_else(|| window.time(window.len() - window.len() / 5));
    let analysis = analyze(window, from, decision)?;
    let version = analysis.model.version();
    let findings = analysis.stretches.iter().map(|stretch| stretch.finding(monitor, &series.key, &version)).collect();
    Ok((analysis, findings))
}
