//! What a series that has just begun takes over from one of its siblings: a new pod of a service need not wait for two
//! hours until it can be judged.

use super::model::Model;
use crate::analysis::baseline::{median, robust_scale};
use crate::series::Window;

/// The fewest values of the new series.
pub const LEAST_VALUES: usize = 15;
/// Both were alike if their levels differ by at most so many of the sibling's scales, …
const ALIKE: f64 = 4.0;
/// …and the steps of the new series are at most so many times those of the sibling.
const AS_CALM: f64 = 2.0;

impl Model {
    /// How far the new series `window` is from this model's own, whose latest values `beside` has: the distance of their levels
    /// in its scales. `None` where the two are not alike, or the new one is too short to tell.
    pub fn alike(&self, window: &Window, beside: &Window) -> Option<f64> {
        let from = window.start();
        let beside = beside.slice(from, window.end());
        if window.present() < LEAST_VALUES || beside.present() < LEAST_VALUES {
            return None;
        }
        let (new, old) = (self.without_seasons(window), self.without_seasons(&beside));
        let level = median(new.iter().copied())?;
        let scale = self.baseline().expect(level, window.end()).scale;
        let apart = (level - median(old.iter().copied())?).abs() / scale;
        let steps = |values: &[f64]| robust_scale(values.windows(2).map(|pair| pair[1] - pair[0]));
        let restless = steps(&new)? > AS_CALM * steps(&old)?.max(scale);
        (!restless && apart <= ALIKE).then_some(apart)
    }

    /// This model for the new series `window`, which is judged from its end on.
    #[must_use]
    pub fn lend(&self, window: &Window) -> Self {
        let level = median(self.without_seasons(window).into_iter()).unwrap_or_default();
        self.clone().begun(window.start(), window.end(), level)
    }

    fn without_seasons(&self, window: &Window) -> Vec<f64> {
        window.values().iter().enumerate().map(|(i, value)| value - self.baseline().seasonal(window.time(i))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::detect::Decision;
    use crate::clock::{DurationMs, Timestamp};

    const STEP: DurationMs = DurationMs::from_secs(60);

    /// A day's rhythm of `height` about `level`, from place `from` to `to`.
    fn series(from: usize, to: usize, level: f64, height: f64) -> Window {
        let value = |i: usize| {
            let noise = ((i * 7919 + level as usize) % 101) as f64 / 50.0;
            level + height * (i as f64 / 1440.0 * std::f64::consts::TAU).sin() + noise
        };
        Window::new(Timestamp::from_millis(1_700_006_400_000) + STEP * from as i64, STEP, (from..to).map(value).collect()).unwrap()
    }

    #[test]
    fn a_new_pod_is_judged_by_what_its_sibling_knows_of_the_day() {
        let (old, day) = (series(0, 5 * 1440 + 30, 100.0, 40.0), 5 * 1440);
        let model = Model::fit(&old).unwrap();
        let young = series(day, day + 30, 101.0, 40.0);
        assert!(model.alike(&young, &old).unwrap() < 3.0, "{:?}", model.alike(&young, &old));
        let lent = model.lend(&young);
        assert!(lent.lent && lent.is_sound() && lent.version().ends_with("of a sibling"));
        let decision = Decision { alpha: 1e-4, direction: None };
        let judge = |later: &Window| {
            let mut state = lent.start();
            (0..later.len()).filter_map(|i| lent.step(&mut state, later.time(i), later.values()[i], None, decision).1).count()
        };
        assert_eq!(judge(&series(day + 30, day + 1440, 101.0, 40.0)), 0, "the rest of the day is as the sibling knew it");
        assert!(judge(&series(day + 30, day + 90, 130.0, 40.0)) > 0, "a step is found");
    }

    #[test]
    fn what_is_not_alike_borrows_nothing() {
        let old = series(0, 5 * 1440, 100.0, 0.0);
        let model = Model::fit(&old).unwrap();
        let young = |level| series(5 * 1440 - 30, 5 * 1440, level, 0.0);
        assert!(model.alike(&young(100.0), &old).is_some());
        assert_eq!(model.alike(&young(150.0), &old), None, "another level");
        let restless: Vec<f64> = (0..30).map(|i| if i % 2 == 0 { 80.0 } else { 121.0 }).collect();
        let restless = Window::new(young(0.0).start(), STEP, restless).unwrap();
        assert_eq!(model.alike(&restless, &old), None, "another noise");
        assert_eq!(model.alike(&series(5 * 1440 - 10, 5 * 1440, 100.0, 0.0), &old), None, "too short to tell");
        let nothing = Window::new(young(0.0).start(), STEP, vec![f64::NAN; 30]).unwrap();
        assert_eq!(model.alike(&nothing, &old), None);
    }
}
