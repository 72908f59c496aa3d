//! What was seen at the same time of day.

use serde::{Deserialize, Serialize};

use crate::clock::{DurationMs, Timestamp};

/// Days after which something may come again.
const AGAIN: [usize; 2] = [1, 7];
const DAYS: usize = 7;
/// Slots on either side of the same one that count as the same time: where slots begin is chance.
const BESIDE: i64 = 1;
/// A slot in which nothing was seen.
const NOTHING: (f32, f32) = (f32::INFINITY, f32::NEG_INFINITY);

/// The lowest and the highest of what was seen in each part of a day, for a week.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Parts of a day.
    parts: usize,
    /// Each slot in the place of its number since the epoch, around and around; what counts of the week before is still there.
    slots: Vec<(f32, f32)>,
    /// The number of the latest.
    latest: Option<i64>,
}

impl Memory {
    /// Nothing was seen yet. A day has so many `parts`, or less where it has fewer steps.
    pub fn new(parts: usize, step: DurationMs) -> Self {
        let parts = DurationMs::DAY.steps(step).min(parts).max(1);
        Self { parts, slots: vec![NOTHING; DAYS * parts + BESIDE as usize + 1], latest: None }
    }

    /// How far `value` is from 0, or from the range seen at this time of day a day or a week ago, whichever is nearest;
    /// then it is seen itself. Times must not fall.
    pub fn meet(&mut self, time: Timestamp, value: f64) -> f64 {
        let slot = (time.millis() * self.parts as i64).div_euclid(DurationMs::DAY.millis());
        self.turn_to(slot);
        let beyond = |days: usize| {
            let same = slot - (days * self.parts) as i64;
            let seen = (same - BESIDE..=(same + BESIDE).min(slot - 1)).map(|slot| self.slots[self.place(slot)]);
            let (low, high) = seen.fold(NOTHING, |all, one| (all.0.min(one.0), all.1.max(one.1)));
            (value - f64::from(high)).max(f64::from(low) - value).max(0.0)
        };
        let nearest = AGAIN.into_iter().map(beyond).fold(value.abs(), f64::min);
        let place = self.place(slot);
        let (low, high) = &mut self.slots[place];
        // Rounded to the outside: what comes again exactly is not beyond.
        *low = low.min((value as f32).next_down().max(f32::MIN));
        *high = high.max((value as f32).next_up().min(f32::MAX));
        nearest
    }

    /// Empties the slots since the latest.
    fn turn_to(&mut self, slot: i64) {
        let all = self.slots.len() as i64;
        let passed = self.latest.map_or(all, |latest| slot.saturating_sub(latest)).min(all);
        for number in slot - passed + 1..=slot {
            let place = self.place(number);
            self.slots[place] = NOTHING;
        }
        self.latest = Some(slot);
    }

    fn place(&self, slot: i64) -> usize {
        slot.rem_euclid(self.slots.len() as i64) as usize
    }

    /// Whether it could have come of `new`, a memory in which nothing was seen yet.
    pub fn is_sound(&self, new: &Self) -> bool {
        (self.parts, self.slots.len()) == (new.parts, new.slots.len())
            && self.slots.iter().all(|(low, high)| (*low, *high) == NOTHING || low <= high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(days: i64, hours: i64) -> Timestamp {
        Timestamp::from_millis((days * 24 + hours) * HOUR)
    }

    #[test]
    fn what_came_a_day_or_a_week_ago_is_known() {
        let mut memory = Memory::new(96, DurationMs::HOUR);
        assert_eq!((memory.meet(at(20_000, 9), 5.0), memory.meet(at(20_000, 20), -1.0)), (5.0, 1.0));
        // The hours before and after are the same time; others are not.
        let known = |hours: i64, days: i64, value: f64| memory.clone().meet(at(20_000 + days, hours), value);
        assert!((known(9, 1, 7.0) - 2.0).abs() < 1e-5 && (known(8, 7, 7.0) - 2.0).abs() < 1e-5 && (known(10, 1, 3.0) - 2.0).abs() < 1e-5);
        assert_eq!((known(9, 1, 5.0), known(9, 1, 1.0), known(20, 7, -1.0)), (0.0, 1.0, 0.0));
        assert_eq!(
            (known(11, 1, 7.0), known(9, 2, 7.0), known(9, 6, 7.0), known(9, 8, 7.0), known(9, 700, 7.0)),
            (7.0, 7.0, 7.0, 7.0, 7.0)
        );
    }

    #[test]
    fn a_range_is_known_as_a_whole() {
        let mut memory = Memory::new(1, DurationMs::HOUR);
        for hour in 0..24 {
            memory.meet(at(-3, hour), hour as f64);
        }
        assert_eq!(memory.meet(at(-2, 3), 11.5), 0.0);
        assert!((memory.meet(at(-2, 4), 30.0) - 7.0).abs() < 1e-4 && memory.is_sound(&Memory::new(1, DurationMs::HOUR)));
    }

    #[test]
    fn steps_of_any_length_and_huge_values_will_do() {
        for step in [DurationMs::ZERO, DurationMs::from_millis(1), DurationMs::DAY, DurationMs::WEEK * 9] {
            let mut memory = Memory::new(96, step);
            for (i, value) in [1e150, -1e150, 0.0, 1e-320, 1e39].into_iter().enumerate() {
                let met = memory.meet(Timestamp::from_millis(step.millis() * i as i64 - 7), value);
                assert!((0.0..=value.abs()).contains(&met), "{step} {met}");
            }
            assert!(memory.is_sound(&Memory::new(96, step)) && !memory.is_sound(&Memory::new(7, DurationMs::HOUR)));
        }
    }
}
