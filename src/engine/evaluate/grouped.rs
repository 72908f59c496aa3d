//! Several series on a joint model: when it is fitted, and where it stands.

use super::series::held_back;
use crate::analysis::CannotSay;
use crate::analysis::joint::{Group, Judged, State};
use crate::clock::{DurationMs, Timestamp};
use crate::series::Window;

/// While something lasts, a model that is due waits up to so many times as long: it must not learn the incident.
const PATIENCE: i64 = 3;

/// Whether what was trained from `from` until `until` is to be trained again at `end`: when it is old, or has seen as much
/// again as it was trained on. Not while something `lasts`, unless that takes very long.
pub fn is_due(from: Timestamp, until: Timestamp, end: Timestamp, refit: DurationMs, lasts: bool) -> bool {
    let age = end.since(until);
    let young = age > until.since(from);
    (age > refit || young) && (!lasts || age > refit * PATIENCE)
}

/// Series on a joint model.
#[derive(Default)]
pub struct Grouped {
    fitted: Option<Fitted>,
}

struct Fitted {
    model: Group,
    state: State,
    from: Timestamp,
    until: Timestamp,
    /// Whether the latest place is beyond the decision bound.
    lasts: bool,
}

impl Grouped {
    /// The model that serves.
    pub fn model(&self) -> Option<&Group> {
        self.fitted.as_ref().map(|fitted| &fitted.model)
    }

    /// Until when it was trained.
    pub fn trained_until(&self) -> Option<Timestamp> {
        self.fitted.as_ref().map(|fitted| fitted.until)
    }

    /// Whether there is no model, or it is to be fitted again.
    pub fn is_due(&self, end: Timestamp, refit: DurationMs) -> bool {
        self.fitted.as_ref().is_none_or(|fitted| is_due(fitted.from, fitted.until, end, refit, fitted.lasts))
    }

    /// Learns from `windows`, one for each series and all of the same times. Gives the time at which judging goes on. An old model
    /// serves on while a new one cannot be had.
    ///
    /// # Errors
    /// Why the series cannot be judged together.
    pub fn fit(&mut self, windows: &[Window]) -> Result<Timestamp, CannotSay> {
        let Some(first) = windows.first() else { return Err(CannotSay::TooShort { present: 0, needed: 1 }) };
        let (from, until) = (first.start(), first.end() - held_back(first.start(), first.end(), first.step()));
        let training: Vec<Window> = windows.iter().map(|window| window.slice(from, until)).collect();
        let model = Group::fit(&training)?;
        self.fitted = Some(Fitted { state: model.start(), model, from, until, lasts: false });
        Ok(until)
    }

    /// Judges the places of `windows`, one step after those before; nothing without a model.
    pub fn judge(&mut self, windows: &[Window], alpha: f64) -> Vec<(Timestamp, Judged)> {
        let (Some(fitted), Some(first)) = (&mut self.fitted, windows.first()) else { return Vec::new() };
        let mut values = vec![f64::NAN; windows.len()];
        (0..first.len())
            .map(|place| {
                values.iter_mut().zip(windows).for_each(|(value, window)| *value = window.values().get(place).copied().unwrap_or(f64::NAN));
                let judged = fitted.model.step(&mut fitted.state, first.time(place), &values);
                fitted.lasts = judged.p_value < alpha;
                (first.time(place), judged)
            })
            .collect()
    }
}
