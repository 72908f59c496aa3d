//! The joint model of a file's channels on its way through their past.

use crate::analysis::joint::Judged;
use crate::backtest::replay::{LOOK, Settings};
use crate::clock::{DurationMs, Timestamp};
use crate::engine::evaluate::Grouped;
use crate::series::Window;

/// Channels that are judged together.
pub(super) struct Joint {
    /// The decision of these is that for all channels together.
    settings: Settings,
    /// The latest values of each channel.
    windows: Vec<Window>,
    step: DurationMs,
    /// Values of a channel so far.
    seen: usize,
    grouped: Grouped,
}

impl Joint {
    /// Nothing was seen yet; the first values are those of `start`.
    pub(super) fn new(channels: usize, start: Timestamp, step: DurationMs, settings: Settings) -> Self {
        let window = |_| Window::new(start, step, Vec::new()).ok();
        Self { settings, windows: (0..channels).filter_map(window).collect(), step, seen: 0, grouped: Grouped::default() }
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
            let said = self.judge(self.end() - self.step * (to - at) as i64);
            judged.extend(if said.is_empty() { vec![None; to - at] } else { said.into_iter().map(Some).collect() });
            self.seen += to - at;
            at = to;
        }
        judged
    }

    fn end(&self) -> Timestamp {
        self.windows.first().map_or(Timestamp::default(), Window::end)
    }

    /// Says what it can of the places from `from` on.
    fn judge(&mut self, from: Timestamp) -> Vec<Judged> {
        let latest: Vec<Window> = self.windows.iter().map(|window| window.slice(from, window.end())).collect();
        self.grouped.judge(&latest, self.settings.decision.alpha).into_iter().map(|(_, judged)| judged).collect()
    }

    fn fit_if_due(&mut self) {
        if self.grouped.is_due(self.end(), self.settings.refit)
            && let Ok(until) = self.grouped.fit(&self.windows)
        {
            self.judge(until);
        }
    }
}
