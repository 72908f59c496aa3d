//! One season in few bytes.

use serde::{Deserialize, Serialize};

/// A season of more steps than this…
const FULL: usize = 1440;
/// …is kept at about so many places, with straight lines between them.
const PLACES: usize = 1008;

/// The effect of one season at each phase. A model is kept for every series: whole steps of a 32767th of the greatest
/// effect are finer than anything that is told from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Season {
    period: usize,
    /// Steps from one place to the next.
    every: usize,
    unit: f64,
    places: Vec<i16>,
}

impl Season {
    /// From the effect at each step of the period.
    pub fn new(table: &[f64]) -> Self {
        let period = table.len();
        let every = if period <= FULL { 1 } else { period.div_ceil(PLACES) };
        let means: Vec<f64> = table.chunks(every).map(|part| part.iter().sum::<f64>() / part.len() as f64).collect();
        let unit = means.iter().fold(0.0_f64, |most, effect| most.max(effect.abs())) / f64::from(i16::MAX);
        let places = means.iter().map(|effect| if unit > 0.0 { (effect / unit).round() as i16 } else { 0 }).collect();
        Self { period, every, unit, places }
    }

    /// How many steps it has.
    pub fn period(&self) -> usize {
        self.period
    }

    /// The effect at `phase`, counted in steps, less than the period.
    pub fn effect(&self, phase: usize) -> f64 {
        let n = self.places.len();
        let at = |place: usize| f64::from(self.places[place % n]) * self.unit;
        if self.every == 1 {
            return at(phase);
        }
        // A place stands for the middle of its steps.
        let place = (phase as f64 + 0.5) / self.every as f64 + n as f64 - 0.5;
        let part = place.fract();
        at(place as usize) * (1.0 - part) + at(place as usize + 1) * part
    }

    /// Whether the numbers are such as [`Season::new`] makes: a stored one may not be.
    pub fn is_sound(&self) -> bool {
        self.period > 0
            && self.every > 0
            && self.places.len() == self.period.div_ceil(self.every)
            && self.unit.is_finite()
            && self.unit >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(period: usize) -> Vec<f64> {
        (0..period).map(|i| 50.0 * (i as f64 / period as f64 * std::f64::consts::TAU).sin()).collect()
    }

    #[test]
    fn a_day_of_minutes_is_kept_step_by_step() {
        let mut table = wave(1440);
        table[777] += 30.0;
        let season = Season::new(&table);
        assert!(season.is_sound() && season.period() == 1440);
        assert!((0..1440).all(|i| (season.effect(i) - table[i]).abs() < 0.002));
    }

    #[test]
    fn a_week_of_minutes_is_kept_in_outline() {
        let table = wave(10_080);
        let season = Season::new(&table);
        assert!((0..10_080).all(|i| (season.effect(i) - table[i]).abs() < 0.01));
        assert!(postcard::to_stdvec(&season).unwrap().len() < 3200);
    }

    #[test]
    fn nothing_and_much_are_kept() {
        assert_eq!(Season::new(&[0.0; 24]).effect(3), 0.0);
        assert!((Season::new(&[1e149, -1e149]).effect(1) + 1e149).abs() < 1e140);
    }
}
