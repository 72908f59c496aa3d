//! Known events, such as holidays: what they did to a series before they will do again.

use crate::analysis::baseline::median;

/// What events do, by the step of an event.
#[derive(Clone, Debug, Default)]
pub(super) struct Effect {
    /// The median difference from what would have been, at each step since an event began.
    by_step: Vec<f64>,
    overall: f64,
}

impl Effect {
    /// Learns from `values` and from `without`, what they would have been; `events` tells which places belong to one.
    pub(super) fn of(values: &[f64], without: &[f64], events: &[bool]) -> Self {
        let mut by_step: Vec<Vec<f64>> = Vec::new();
        let mut all = Vec::new();
        for ((value, without), step) in values.iter().zip(without).zip(steps(events)) {
            if let (Some(step), true) = (step, value.is_finite()) {
                by_step.resize(by_step.len().max(step + 1), Vec::new());
                by_step[step].push(value - without);
                all.push(value - without);
            }
        }
        let Some(overall) = median(all.into_iter()) else { return Self::default() };
        let by_step = by_step.into_iter().map(|d| median(d.into_iter()).unwrap_or(overall)).collect();
        Self { by_step, overall }
    }

    /// Adds it to `forecast`, whose places belong to an event as `events` tells.
    pub(super) fn apply(&self, forecast: &mut [f64], events: &[bool]) {
        for (value, step) in forecast.iter_mut().zip(steps(events)) {
            if let Some(step) = step {
                *value += self.by_step.get(step).unwrap_or(&self.overall);
            }
        }
    }
}

/// Of each place how many steps ago its event began.
fn steps(events: &[bool]) -> impl Iterator<Item = Option<usize>> {
    events.iter().scan(0_usize, |since, event| {
        *since = if *event { *since + 1 } else { 0 };
        Some(since.checked_sub(1))
    })
}
