//! One watched series: its window, its model and where it stands.

use std::time::Instant;

use crate::analysis::CannotSay;
use crate::analysis::detect::{Beside, Decision, Judgement, Model, State, Stretch};
use crate::clock::{DurationMs, Timestamp};
use crate::engine::status::{Recent, SeriesState, SeriesStatus};
use crate::error::{Code, Error, Result};
use crate::series::{SeriesKey, Window};

/// After so many missing values in a row a series is silent, and its finding over.
const SILENT: usize = 30;
/// After so many without any before them it is forgotten.
const GONE: usize = 1000;
/// What is not trained on but judged right after the first fit: so much of the window, …
const HELD_BACK: f64 = 0.125;
/// …but no more than this, so that an incident that began hours ago is still news.
pub(super) const MOST_HELD_BACK: DurationMs = DurationMs::from_secs(6 * 3600);

/// A series that is watched.
pub struct Watched {
    window: Option<Window>,
    fitted: Option<(Model, State)>,
    cannot_say: Option<CannotSay>,
    /// When the latest fit failed.
    failed: Option<Timestamp>,
    judged_until: Timestamp,
    /// When the latest stretch ended.
    calm_since: Option<Timestamp>,
    recent: Recent,
    /// A stretch of a model that was replaced while it lasted.
    cut_off: Option<(Stretch, String)>,
}

impl Watched {
    /// A series seen for the first time.
    pub fn new(window: Window) -> Self {
        Self {
            window: Some(window),
            fitted: None,
            cannot_say: None,
            failed: None,
            judged_until: Timestamp::default(),
            calm_since: None,
            recent: Recent::default(),
            cut_off: None,
        }
    }

    /// A series that was watched before, with its stored model; its window begins where the training ended.
    pub fn with_model(model: Model) -> Self {
        let (state, judged_until) = (model.start(), model.trained_until);
        Self {
            window: None,
            fitted: Some((model, state)),
            cannot_say: None,
            failed: None,
            judged_until,
            calm_since: None,
            recent: Recent::default(),
            cut_off: None,
        }
    }

    /// Takes in what was read, and forgets what is older than `keep` points.
    ///
    /// # Errors
    /// The new window is not on the grid of the old: a fault of ours.
    pub fn append(&mut self, new: &Window, keep: usize) -> Result<()> {
        match &mut self.window {
            Some(window) => {
                window.append(new).map_err(|e| Error::new(Code::Internal, e.to_string()))?;
                window.keep_last(keep);
            }
            None => self.window = Some(new.clone()),
        }
        Ok(())
    }

    /// Puts earlier values before those that are here.
    pub fn prepend(&mut self, earlier: &Window) {
        if let Some(window) = &mut self.window {
            let mut whole = earlier.slice(earlier.start(), window.start());
            if whole.append(window).is_ok() {
                *window = whole;
            }
        }
    }

    /// Since when values are missing that the model was trained on.
    pub fn lacks_before(&self) -> Option<Timestamp> {
        let (window, (model, _)) = (self.window.as_ref()?, self.fitted.as_ref()?);
        (window.start() > model.trained_from).then_some(window.start())
    }

    /// Whether the model is due to be fitted again. Not while a finding lasts or has just ended, unless that takes very
    /// long: the model must not learn the incident, nor start from its level. What was trained on little is fitted again when there is twice as much.
    pub fn refit_due(&self, key: &SeriesKey, end: Timestamp, refit: DurationMs) -> bool {
        let Some((model, state)) = &self.fitted else {
            return false;
        };
        let age = end.since(model.trained_until);
        if model.lent {
            // What a sibling knows of days and weeks is worth more than what was seen of them in hours.
            let longest = model.periods().into_iter().max().unwrap_or_default();
            let history = self.window.as_ref().map_or(DurationMs::ZERO, |window| window.end().since(window.start()));
            return history >= (longest * 2).max(DurationMs::DAY) && state.open().is_none();
        }
        // Series that were fitted together are not fitted together again.
        let due = DurationMs::from_millis((refit.millis() as f64 * (1.0 + 0.25 * key.spread())) as i64);
        let young = age > model.trained_until.since(model.trained_from);
        let calm = state.open().is_none() && self.calm_since.is_none_or(|since| end.since(since) > self.held_back());
        (age > due || young) && (calm || age > due * 3)
    }

    /// How much of the window the first fit leaves out: whole steps.
    fn held_back(&self) -> DurationMs {
        self.window.as_ref().map_or(DurationMs::ZERO, |window| held_back(window.start(), window.end(), window.step()))
    }

    /// Fits when there is no model, or it is due, and then all is judged that there is; whether it did.
    pub fn fit_if_due(&mut self, key: &SeriesKey, end: Timestamp, refit: DurationMs) -> bool {
        let due = self.refit_due(key, end, refit);
        let Some(window) = &self.window else {
            return false;
        };
        let waits = self.failed.is_some_and(|failed| window.end().since(failed) < retry(window.end().since(window.start())));
        if waits || self.fitted.is_some() && !due {
            return false;
        }
        // What an earlier model has judged is judged.
        let cut = if self.fitted.is_some() { window.end() } else { window.end() - self.held_back() };
        let started = Instant::now();
        let result = Model::fit(&window.slice(window.start(), cut));
        metrics::histogram!("bellwether_fit_seconds").record(started.elapsed().as_secs_f64());
        match result {
            Ok(model) => {
                self.judged_until = cut;
                self.cannot_say = None;
                self.failed = None;
                let state = model.start();
                if let Some((old, mut state)) = self.fitted.replace((model, state)) {
                    // What lasts is found again by the new model, or was learned by it; either way the old stretch is over.
                    self.cut_off = state.close(cut).map(|stretch| (stretch, old.version()));
                }
                true
            }
            // An old model serves on while a new one cannot be had.
            Err(reason) => {
                self.failed = Some(window.end());
                if self.fitted.is_none() {
                    self.cannot_say = Some(reason);
                }
                false
            }
        }
    }

    /// Judges every point that was not judged yet and shows each judgement to `seen`, with whether a stretch is open.
    /// `beside` tells what its peers say of a time. Gives each stretch that changed, as it is now, with the version of the model.
    pub fn judge(
        &mut self,
        decision: Decision,
        beside: impl Fn(Timestamp) -> Option<Beside>,
        seen: &mut impl FnMut(&Judgement, bool),
    ) -> Vec<(Stretch, String)> {
        let (Some(window), Some((model, state))) = (&self.window, &mut self.fitted) else {
            return Vec::new();
        };
        let mut changed: Vec<Stretch> = Vec::new();
        let new = window.slice(self.judged_until, window.end());
        for (i, value) in new.values().iter().enumerate() {
            let (judgement, stretch) = model.step(state, new.time(i), *value, beside(new.time(i)), decision);
            seen(&judgement, state.open().is_some());
            self.recent.push(judgement);
            self.calm_since = stretch.as_ref().and_then(|stretch| stretch.ended).or(self.calm_since);
            Stretch::take_latest(&mut changed, stretch);
        }
        self.judged_until = window.end();
        let missing = window.values().iter().rev().take_while(|v| v.is_nan()).count();
        if missing >= SILENT {
            self.cannot_say = Some(CannotSay::Silent(missing));
            Stretch::take_latest(&mut changed, state.close(window.end()));
        } else if matches!(self.cannot_say, Some(CannotSay::Silent(_))) {
            self.cannot_say = None;
        }
        let version = model.version();
        self.cut_off.take().into_iter().chain(changed.into_iter().map(|stretch| (stretch, version.clone()))).collect()
    }

    /// The stretch that lasts.
    pub fn open(&self) -> Option<&Stretch> {
        self.fitted.as_ref().and_then(|(_, state)| state.open())
    }

    /// The model.
    pub fn model(&self) -> Option<&Model> {
        self.fitted.as_ref().map(|(model, _)| model)
    }

    /// The values in memory.
    pub fn window(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    /// Whether the series is too young for a model of its own.
    pub fn is_young(&self) -> bool {
        self.fitted.is_none() && matches!(self.cannot_say, Some(CannotSay::TooShort { .. }))
    }

    /// Takes over what a sibling learned, until the series has a history of its own. Judging begins after the values that are here.
    pub fn take_over(&mut self, model: Model) {
        self.judged_until = model.trained_until;
        self.cannot_say = None;
        let state = model.start();
        self.fitted = Some((model, state));
    }

    /// Whether no value is left in a long window: the series has gone for good.
    pub fn is_gone(&self) -> bool {
        self.window.as_ref().is_some_and(|w| w.len() >= GONE && w.present() == 0) && self.open().is_none()
    }

    /// What the engine shows of it.
    pub fn status(&self, key: &SeriesKey) -> SeriesStatus {
        let state = if self.open().is_some() {
            SeriesState::Anomalous
        } else if self.cannot_say.is_some() || self.fitted.is_none() {
            SeriesState::CannotSay
        } else {
            SeriesState::Normal
        };
        SeriesStatus {
            key: key.clone(),
            state,
            cannot_say: self.cannot_say.as_ref().map(ToString::to_string),
            suppressed: None,
            recent: self.recent.clone(),
            trained_until: self.model().map(|m| m.trained_until),
            periods: self.model().map(Model::periods).unwrap_or_default(),
            parts: Vec::new(),
        }
    }
}

/// How much of what lies between `start` and `end` a fit leaves out, to be judged by the new model: whole steps.
pub fn held_back(start: Timestamp, end: Timestamp, step: DurationMs) -> DurationMs {
    let share = DurationMs::from_millis((end.since(start).millis() as f64 * HELD_BACK) as i64);
    step * share.min(MOST_HELD_BACK).steps(step) as i64
}

/// How long after a failed fit the next is tried: a quarter of the history, and an hour at most.
pub fn retry(history: DurationMs) -> DurationMs {
    DurationMs::from_millis(history.millis() / 4).min(DurationMs::HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::detect::Decision;

    const STEP: DurationMs = DurationMs::from_secs(60);
    const DECISION: Decision = Decision { alpha: 1e-5, direction: None };
    const REFIT: DurationMs = DurationMs::DAY;

    fn key() -> SeriesKey {
        SeriesKey::new([("service".to_owned(), "cart".to_owned())])
    }

    fn at(i: usize) -> Timestamp {
        Timestamp::from_millis(1_700_000_040_000) + STEP * i as i64
    }

    /// Values about 10 that wobble; 30 from place `high` on.
    fn values(from: usize, to: usize, high: usize) -> Window {
        let value = |i: usize| if i >= high { 30.0 } else { 10.0 } + ((i * 7919) % 101) as f64 / 50.0;
        Window::new(at(from), STEP, (from..to).map(value).collect()).unwrap()
    }

    fn started(window: Window) -> (Watched, Vec<(Stretch, String)>) {
        let mut watched = Watched::new(window);
        let end = watched.window.as_ref().unwrap().end();
        assert!(watched.fit_if_due(&key(), end, REFIT));
        let found = watched.judge(DECISION, |_| None, &mut |_, _| {});
        (watched, found)
    }

    #[test]
    fn what_began_before_the_start_is_found_at_the_start() {
        let (watched, found) = started(values(0, 2000, 1990));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0.onset, at(1990));
        assert_eq!(watched.open().unwrap().onset, at(1990));
        assert_eq!(watched.status(&key()).state, SeriesState::Anomalous);
    }

    #[test]
    fn a_restart_finds_the_same() {
        let (before, found) = started(values(0, 2000, 1990));
        let mut after = Watched::with_model(before.model().unwrap().clone());
        let trained = before.model().unwrap().trained_until.since(at(0)).steps(STEP);
        after.append(&values(trained, 2003, 1990), 2000).unwrap();
        assert!(!after.fit_if_due(&key(), at(2003), REFIT), "the stored model serves");
        assert_eq!(after.judge(DECISION, |_| None, &mut |_, _| {}).last().unwrap().0.onset, found[0].0.onset);
    }

    #[test]
    fn a_model_is_not_fitted_again_while_a_finding_lasts() {
        let (mut watched, _) = started(values(0, 4000, 3990));
        let later = at(4000) + REFIT * 2;
        assert!(!watched.refit_due(&key(), later, REFIT));
        assert!(watched.refit_due(&key(), later + REFIT * 3, REFIT), "but one that lasts for days is the new normal");
        let long = 4000 + 6 * 1440;
        watched.append(&values(4000, long, 0), 20_000).unwrap();
        assert!(watched.fit_if_due(&key(), at(long), REFIT));
        let changed = watched.judge(DECISION, |_| None, &mut |_, _| {});
        assert!(changed[0].0.ended.is_some(), "the old stretch is over: {:?}", changed[0].0);
    }

    #[test]
    fn a_series_that_falls_silent_is_not_left_open() {
        let (mut watched, _) = started(values(0, 2000, 1990));
        let nothing = Window::new(at(2000), STEP, vec![f64::NAN; SILENT]).unwrap();
        watched.append(&nothing, 2000).unwrap();
        let changed = watched.judge(DECISION, |_| None, &mut |_, _| {});
        assert_eq!(changed.last().unwrap().0.ended, Some(at(2000 + SILENT)));
        assert_eq!(watched.status(&key()).cannot_say.as_deref(), Some("silent: no value for the last 30 steps"));
        watched.append(&values(2030, 2031, 9999), 2000).unwrap();
        watched.judge(DECISION, |_| None, &mut |_, _| {});
        assert_eq!(watched.status(&key()).state, SeriesState::Normal);
    }

    #[test]
    fn a_young_series_waits_and_is_then_fitted() {
        let mut watched = Watched::new(values(0, 50, 9999));
        assert!(!watched.fit_if_due(&key(), at(50), REFIT));
        watched.judge(DECISION, |_| None, &mut |_, _| {});
        assert!(watched.status(&key()).cannot_say.unwrap().starts_with("too short"));
        watched.append(&values(50, 200, 9999), 2000).unwrap();
        assert!(watched.fit_if_due(&key(), at(200), REFIT));
        // What was learned from little is learned again from more.
        watched.append(&values(200, 600, 9999), 2000).unwrap();
        assert!(watched.refit_due(&key(), at(600), REFIT));
    }

    #[test]
    fn a_window_is_kept_to_its_length_and_can_be_extended_backwards() {
        let (mut watched, _) = started(values(1000, 3000, 9999));
        watched.append(&values(3000, 3500, 9999), 2000).unwrap();
        assert_eq!(watched.window.as_ref().unwrap().len(), 2000);
        assert_eq!(watched.lacks_before(), Some(at(1500)));
        watched.prepend(&values(1000, 1500, 9999));
        assert_eq!(watched.window.as_ref().unwrap().start(), at(1000));
        assert_eq!(watched.lacks_before(), None);
    }
}
