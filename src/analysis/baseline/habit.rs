//! What comes again at about the same time of the day or the week: a job at night that begins some minutes earlier or later,
//! and is not always of the same size.
//!
//! A season is a mean over cycles, so such a job is off its season at its edges, and by as much as its size varies. How far
//! off it was in past cycles tells what is no news. Values are held against past ones some minutes before and after, as a
//! warping window does (Keogh & Ratanamahatana, "Exact indexing of dynamic time warping", 2005).

use serde::{Deserialize, Serialize};

use crate::clock::{DurationMs, Timestamp};
use crate::series::Window;

/// Time is divided into parts of at least so much, of whole steps…
const PART: DurationMs = DurationMs::from_secs(300);
/// …and what is so many parts away is at about the same time.
const NEAR: usize = 2;
/// What the other of two weeks has so many parts away may be the same.
const NEAR_OTHER: usize = 6;
/// The step must not be longer, or there is no such thing as about the same time.
const LONGEST_STEP: DurationMs = DurationMs::from_secs(1800);
/// It is a habit when it was so on three days, or in two weeks.
const CYCLES: [(DurationMs, usize); 2] = [(DurationMs::DAY, 3), (DurationMs::WEEK, 2)];
/// A habit is at least so many scales off; noise is less.
const LEAST: f64 = 3.5;
/// The next time it may be so much further off than it was, and a scale of noise besides.
const MORE: f64 = 1.25;

/// How far off a series habitually is, where that is far: a part of the day or the week after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Habits {
    part: DurationMs,
    days: Vec<(u16, f32)>,
    weeks: Vec<(u16, f32)>,
}

impl Habits {
    /// From how far off each value of `window` was, signed; NaN where there is none. `scale` is the usual noise at a time.
    ///
    /// Of two weeks that make one season, both are as far off their mean as they differ, also where only one of them was out
    /// of the usual. How far each was `off_usual`, the season hours before and after, tells that: what one of them has
    /// alone is no habit.
    pub fn fit(window: &Window, off: &[f64], off_usual: Option<&[f64]>, scale: impl Fn(Timestamp) -> f64) -> Self {
        let step = window.step();
        if step > LONGEST_STEP || step == DurationMs::ZERO {
            return Self::default();
        }
        let part = step * (PART.millis() as u64).div_ceil(step.millis() as u64) as i64;
        let (first, off) = at_about(window, off, part, NEAR);
        let off_usual = off_usual.map(|off| at_about(window, off, part, NEAR_OTHER).1);
        let [days, weeks] = CYCLES.map(|(cycle, times)| {
            let parts = cycle.millis() / part.millis();
            // A cycle must have whole parts.
            if parts * part.millis() != cycle.millis() {
                return Vec::new();
            }
            let habit = |phase: i64| {
                let begin = (phase - first).rem_euclid(parts) as usize;
                let times_as_far = |off: &[f64]| {
                    let mut sizes: Vec<f64> = off.iter().skip(begin).step_by(parts as usize).copied().filter(|x| x.is_finite()).collect();
                    sizes.sort_unstable_by(|a, b| b.total_cmp(a));
                    sizes.get(times - 1).map(|size| (*size, to_the_next(sizes.len())))
                };
                let (mut size, more) = times_as_far(&off)?;
                if let Some(off_usual) = off_usual.as_deref().filter(|_| cycle == DurationMs::WEEK) {
                    size = times_as_far(off_usual).map_or(0.0, |(usual, _)| size.min(usual));
                }
                let least = LEAST * scale(Timestamp::from_millis(phase * part.millis()));
                (size > least).then_some((phase as u16, (size * more) as f32))
            };
            (0..parts).filter_map(habit).collect()
        });
        Self { part, days, weeks }
    }

    /// How far off the series may be at `time` without being news, in its own unit and noise aside; 0 where it has no habit.
    pub fn at(&self, time: Timestamp) -> f64 {
        let of = |habits: &[(u16, f32)], cycle: DurationMs| {
            if habits.is_empty() {
                return 0.0;
            }
            let place = (time.millis().rem_euclid(cycle.millis()) / self.part.millis()) as u16;
            habits.binary_search_by_key(&place, |(part, _)| *part).map_or(0.0, |i| f64::from(habits[i].1))
        };
        MORE * of(&self.days, CYCLES[0].0).max(of(&self.weeks, CYCLES[1].0))
    }

    /// Whether the numbers are such as [`Habits::fit`] makes: stored ones may not be.
    pub fn is_sound(&self) -> bool {
        let sound =
            |habits: &[(u16, f32)]| habits.is_sorted_by(|a, b| a.0 < b.0) && habits.iter().all(|(_, size)| size.is_finite() && *size > 0.0);
        sound(&self.days) && sound(&self.weeks) && (self.part > DurationMs::ZERO || self.days.is_empty() && self.weeks.is_empty())
    }
}

/// How much more than `n` past cycles the next one may be off: what two weeks had in common says less of the third than
/// fourteen days of the fifteenth. As the standard error of a prediction is to that of a residual.
fn to_the_next(n: usize) -> f64 {
    ((n + 1) as f64 / n.saturating_sub(1).max(1) as f64).sqrt()
}

/// The number of the first part of `window`, and for each of its parts how far off the series was so many parts before and after
/// at most.
fn at_about(window: &Window, off: &[f64], part: DurationMs, about: usize) -> (i64, Vec<f64>) {
    let place = |i: usize| window.time(i).millis().div_euclid(part.millis());
    let Some(last) = off.len().checked_sub(1).map(place) else { return (0, Vec::new()) };
    let first = place(0);
    let mut farthest = vec![f64::NAN; (last - first + 1) as usize];
    for i in 0..off.len() {
        let most = &mut farthest[(place(i) - first) as usize];
        *most = most.max(third(&off[i.saturating_sub(2)..(i + 3).min(off.len())]));
    }
    let near = |i: usize| &farthest[i.saturating_sub(about)..(i + about + 1).min(farthest.len())];
    (first, (0..farthest.len()).map(|i| near(i).iter().copied().fold(f64::NAN, f64::max)).collect())
}

/// The third largest distance of up to five values, on whichever side: fewer are no finding. NaN where there are not three.
fn third(off: &[f64]) -> f64 {
    let mut far = [f64::NEG_INFINITY; 5];
    for (far, off) in far.iter_mut().zip(off.iter().filter(|off| off.is_finite())) {
        *far = off.abs();
    }
    far.sort_unstable_by(|a, b| b.total_cmp(a));
    if far[2].is_finite() { far[2] } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: DurationMs = DurationMs::from_secs(60);

    /// Fourteen days of minutes with `off` by day and minute.
    fn fitted(off: impl Fn(usize, usize) -> f64) -> Habits {
        let noise = |i: usize| ((i * 7919) % 101) as f64 / 50.0 - 1.0;
        let values: Vec<f64> = (0..14 * 1440).map(|i| noise(i) + off(i / 1440, i % 1440)).collect();
        let window = Window::new(Timestamp::from_millis(20_000 * DurationMs::DAY.millis()), MINUTE, values.clone()).unwrap();
        Habits::fit(&window, &values, None, |_| 1.0)
    }

    fn at(day: i64, minute: i64) -> Timestamp {
        Timestamp::from_millis(0) + DurationMs::DAY * (20_000 + day) + MINUTE * minute
    }

    #[test]
    fn a_job_that_is_not_always_on_time_is_a_habit() {
        // From minute 300 on, up to nine minutes late, on either side of what a mean makes of it.
        let habits = fitted(|day, minute| {
            let late = day * 7 % 10;
            if (300 + late..330 + late).contains(&minute) { if day % 2 == 0 { 20.0 } else { -15.0 } } else { 0.0 }
        });
        assert!(habits.is_sound());
        for minute in [295, 300, 320, 340] {
            assert!(habits.at(at(30, minute)) >= 1.25 * 19.0, "{minute}: {}", habits.at(at(30, minute)));
        }
        assert_eq!((habits.at(at(30, 280)), habits.at(at(30, 360))), (0.0, 0.0));
    }

    #[test]
    fn what_was_twice_is_none_and_neither_is_noise() {
        assert_eq!(
            fitted(|day, minute| if day > 11 && (300..330).contains(&minute) { 20.0 } else { 0.0 }),
            Habits { part: PART, ..Habits::default() }
        );
        // Single values open no finding.
        assert_eq!(fitted(|_, minute| if minute == 300 { 20.0 } else { 0.0 }).at(at(30, 300)), 0.0);
    }

    #[test]
    fn what_is_so_on_one_day_of_each_week() {
        let habits = fitted(|day, minute| if day % 7 == 3 && (300..330).contains(&minute) { 20.0 } else { 0.0 });
        // Two weeks tell little of how much it varies.
        assert!(habits.at(at(17, 310)) > 1.25 * 1.7 * 19.0);
        assert_eq!((habits.at(at(16, 310)), habits.at(at(18, 310))), (0.0, 0.0));
    }

    #[test]
    fn what_one_of_two_weeks_has_alone_is_none() {
        let day = |day: i64, value: f64| (0..1440).map(move |minute| if day == 3 && (300..330).contains(&minute) { value } else { 0.0 });
        let weeks =
            |first: f64, second: f64| -> Vec<f64> { (0..14).flat_map(|d| day(d % 7, if d < 7 { first } else { second })).collect() };
        let window = Window::new(at(0, 0), MINUTE, vec![0.0; 14 * 1440]).unwrap();
        // Either week is 20 off the mean of both.
        let off = weeks(20.0, -20.0);
        let size = |first: f64, second: f64| Habits::fit(&window, &off, Some(&weeks(first, second)), |_| 1.0).at(at(17, 310));
        assert_eq!(size(40.0, 0.0), 0.0);
        assert!(size(60.0, 20.0) > 1.25 * 1.7 * 19.0);
        assert!((1.25 * 1.7 * 9.0..1.25 * 1.8 * 11.0).contains(&size(50.0, 10.0)), "no more than both have");
    }

    #[test]
    fn windows_that_are_too_short_or_too_coarse() {
        let window = |step: DurationMs, values: Vec<f64>| Window::new(at(0, 0), step, values).unwrap();
        for (step, n) in [(MINUTE, 0), (MINUTE, 3), (DurationMs::HOUR, 1000), (DurationMs::from_secs(11 * 60), 5000)] {
            let values = vec![20.0; n];
            let habits = Habits::fit(&window(step, values.clone()), &values, None, |_| 1.0);
            assert!(habits.is_sound() && habits.at(at(1, 0)) == 0.0, "{step}");
        }
        let missing = vec![f64::NAN; 14 * 1440];
        assert_eq!(Habits::fit(&window(MINUTE, missing.clone()), &missing, None, |_| 1.0).at(at(1, 0)), 0.0);
    }
}
