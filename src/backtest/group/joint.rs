//! The joint model of a file's channels on its way through their past.

use crate::analysis::joint::{Group, Judged, State};
use crate::backtest::replay::Settings;
use crate::clock::{DurationMs, Timestamp};
use crate::series::Window;

/// Points between two looks at whether a model is due, on a grid fixed to the input's start.
const LOOK: usize = 60;
/// What is not trained on but passed through right after a fit: so much of the window, and no more than this.
const HELD_BACK: f64 = 0.125;
const MOST_HELD_BACK: DurationMs = DurationMs::from_secs(6 * 3600);
/// While something lasts, a model that is due waits up to so many times as long: it must not learn the incident.
const PATIENCE: i64 = 3;

/// Channels that are judged together.
pub(super) struct Joint {
    /// The decision of these is that for all channels together.
    settings: Settings,
    /// The latest values of each channel.
    windows: Vec<Window>,
    step: DurationMs,
    /// Values of a channel so far.
    seen: usize,
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

impl Joint {
    /// Nothing was seen yet; the first values are those of `start`.
    pub(super) fn new(channels: usize, start: Timestamp, step: DurationMs, settings: Settings) -> Self {
        let window = |_| Window::new(start, step, Vec::new()).ok();
        Self { settings, windows: (0..channels).filter_map(window).collect(), step, seen: 0, fitted: None }
    }

    /// Takes in the next values of each channel, as many of one as of another, and says what it can of each time; `None`
    /// where there is no model yet.
    pub(super) fn push(&mut self, values: &[Vec<f64>]) -> Vec<Option<Judged>> {
        let places = values.iter().map(Vec::len).min().unwrap_or(0);
        let keep = self.settings.window.steps(self.step).max(LOOK);
        let mut judged = Vec::with_capacity(places);
        let mut at = 0;
        while at < places {
            // The model that judges these values was fitted before the first of them.
            if self.seen.is_multiple_of(LOOK) {
                self.fit_if_due();
            }
            let to = places.min(at + LOOK - self.seen % LOOK);
            for (window, values) in self.windows.iter_mut().zip(values) {
                let Ok(new) = Window::new(window.end(), self.step, values[at..to].to_vec()) else { continue };
                if window.append(&new).is_ok() {
                    window.keep_last(keep);
                }
            }
            judged.extend(self.judge(to - at));
            self.seen += to - at;
            at = to;
        }
        judged
    }

    /// Says what it can of the latest so many places.
    fn judge(&mut self, places: usize) -> Vec<Option<Judged>> {
        let Some(fitted) = &mut self.fitted else { return vec![None; places] };
        let ends = self.windows.first().map_or(0, Window::len);
        (ends.saturating_sub(places)..ends).map(|i| Some(fitted.step(&self.windows, i, self.settings.decision.alpha))).collect()
    }

    /// Fits when there is no model, or it is due. An old one serves on while a new one cannot be had.
    fn fit_if_due(&mut self) {
        let Some((start, end, places)) = self.windows.first().map(|window| (window.start(), window.end(), window.len())) else { return };
        if self.fitted.as_ref().is_some_and(|fitted| !fitted.is_due(end, self.settings.refit)) {
            return;
        }
        let held_back = ((places as f64 * HELD_BACK) as usize).min(MOST_HELD_BACK.steps(self.step));
        let until = end - self.step * held_back as i64;
        let training: Vec<Window> = self.windows.iter().map(|window| window.slice(start, until)).collect();
        if let Ok(model) = Group::fit(&training) {
            let mut fitted = Fitted { state: model.start(), model, from: start, until, lasts: false };
            for i in places - held_back..places {
                fitted.step(&self.windows, i, self.settings.decision.alpha);
            }
            self.fitted = Some(fitted);
        }
    }
}

impl Fitted {
    fn step(&mut self, windows: &[Window], place: usize, alpha: f64) -> Judged {
        let values: Vec<f64> = windows.iter().map(|window| window.values().get(place).copied().unwrap_or(f64::NAN)).collect();
        let time = windows.first().map_or(self.until, |window| window.time(place));
        let judged = self.model.step(&mut self.state, time, &values);
        self.lasts = judged.p_value < alpha;
        judged
    }

    fn is_due(&self, end: Timestamp, refit: DurationMs) -> bool {
        let age = end.since(self.until);
        let young = age > self.until.since(self.from);
        (age > refit || young) && (!self.lasts || age > refit * PATIENCE)
    }
}
