//! News: what a series does that it has hardly ever done, told once.
//!
//! Nothing is fitted, and nothing has to be known of the series. Four statistics are taken at each value: the root mean
//! square of what is new in the last ten values, how far the mean of the last thirty is from a slow level, and, in
//! standard deviations, how far it and the mean of the last 144 are from theirs. In the first two only that counts
//! which did not come at the same time of day a day or a week ago: what recurs is no news. Each statistic is held
//! against its own past ([`rarity::Rarity`]); ranks against the past need no distribution and are valid whatever it is
//! (conformal anomaly detection: Laxhammar & Falkman 2014). The greatest rarity of the four is the value's.
//!
//! An episode is told when its rarity no longer rises, after five steps at the latest, and then no more for a while,
//! unless it gets much rarer. One alarm for each anomaly, and early, is what the Numenta Anomaly Benchmark rewards (Lavin &
//! Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms", 2015), on which the constants here were chosen.

mod memory;
mod rarity;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::clock::{DurationMs, Timestamp};
use memory::Memory;
use rarity::{Mean, Rarity};

/// The share of each value in the level that follows fast.
const FAST: f64 = 0.15;
/// Values over which what is new is taken together.
const BURST: usize = 10;
/// Values whose means are held against slow levels, and the share of each in its slow level.
const SHORT: (usize, f64) = (30, 0.003);
const LONG: (usize, f64) = (144, 0.002);
/// What the rarity of a distance in standard deviations counts: two of the four are, and they are much alike.
const STANDARDISED: f64 = 0.8;
/// Parts of a day in which what is new, and levels, are remembered.
const BURST_PARTS: usize = 96;
const LEVEL_PARTS: usize = 72;
/// A deviation below this share of the series' magnitude is none: all that is left where the past is flat.
const FLAT: f64 = 1e-6;
/// Neither is one below this many standard deviations.
const STILL: f64 = 0.1;
/// The rarity at which an episode begins: one value in twelve is so rare.
const OPENS: f64 = 2.5;
/// It is told so many steps after it began, …
const WAIT: i64 = 5;
/// …or so many after it was rarest.
const SETTLED: i64 = 2;
/// Then all is quiet for so many steps, and for two days at most, …
const QUIET: i64 = 175;
/// …but for what is rarer by this.
const RARER: f64 = 2.0;
/// Squares of values must stay finite.
const LARGEST: f64 = 1e150;

/// What is told of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// How rare it is: minus the natural logarithm of the share of the past that was as unusual; 0 while the past is short,
    /// NaN where the value is missing.
    pub rarity: f64,
    /// The greatest rarity of an episode, where that is told.
    pub news: Option<f64>,
}

/// A series as far as it was seen: less than 14 kB, however long it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct News {
    step: DurationMs,
    /// The time of the latest value.
    last: Option<Timestamp>,
    /// The latest values, …
    values: VecDeque<f64>,
    /// …what was new in them, …
    surprises: VecDeque<f64>,
    /// …and how large values are.
    magnitude: Mean,
    /// A level that follows fast, …
    fast: f64,
    /// …one that follows slowly, …
    slow: f64,
    /// …and where values are that have left the windows.
    short: Level,
    long: Level,
    surprises_seen: Memory,
    distances_seen: Memory,
    pasts: [Rarity; 4],
    /// An episode that is not told yet.
    rising: Option<Episode>,
    /// The one that was told last.
    told: Option<Episode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Episode {
    /// When it began; of one that was told, when that was.
    since: Timestamp,
    /// When it was rarest.
    rarest: Timestamp,
    rarity: f64,
}

impl News {
    /// Nothing was seen yet of a series with this `step`.
    pub fn new(step: DurationMs) -> Self {
        Self {
            step,
            last: None,
            values: VecDeque::new(),
            surprises: VecDeque::new(),
            magnitude: Mean::default(),
            fast: 0.0,
            slow: 0.0,
            short: Level::default(),
            long: Level::default(),
            surprises_seen: Memory::new(BURST_PARTS, step),
            distances_seen: Memory::new(LEVEL_PARTS, step),
            pasts: Default::default(),
            rising: None,
            told: None,
        }
    }

    /// Takes in the next value. One that is missing, or not later than the one before, is passed over.
    pub fn push(&mut self, time: Timestamp, value: f64) -> Told {
        if !value.is_finite() || self.last.is_some_and(|last| time <= last) {
            return Told { rarity: f64::NAN, news: None };
        }
        self.last = Some(time);
        let rarity = self.rarity(time, value.clamp(-LARGEST, LARGEST));
        Told { rarity, news: self.tell(time, rarity) }
    }

    /// The greatest rarity of the four statistics.
    fn rarity(&mut self, time: Timestamp, value: f64) -> f64 {
        if self.values.is_empty() {
            (self.fast, self.slow) = (value, value);
        }
        keep(&mut self.values, value, LONG.0 + 1);
        self.magnitude.push(value.abs());
        let flat = FLAT * self.magnitude.value;
        let (short, long) = (self.latest(SHORT.0), self.latest(LONG.0));
        let [bursts, distances, shorts, longs] = &mut self.pasts;
        let mut rarity = 0.0_f64;

        // What is new, against a level that follows fast.
        let residual = value - self.fast;
        self.fast += FAST * residual;
        keep(&mut self.surprises, self.surprises_seen.meet(time, residual), BURST);
        if self.values.len() > BURST {
            let squares: f64 = self.surprises.iter().map(|surprise| surprise * surprise).sum();
            rarity = rarity.max(bursts.push((squares / BURST as f64).sqrt(), flat));
        }

        // Where it has been for a while, against where it was before.
        if let Some((mean, left)) = short {
            self.slow += SHORT.1 * (left.unwrap_or(self.slow) - self.slow);
            rarity = rarity.max(distances.push(self.distances_seen.meet(time, mean - self.slow), flat));
        }
        for ((window, gain), latest, level, past) in [(SHORT, short, &mut self.short, shorts), (LONG, long, &mut self.long, longs)] {
            let Some((mean, Some(left))) = latest else { continue };
            level.follow(left, gain);
            if level.count as usize > window {
                rarity = rarity.max(STANDARDISED * past.push(level.deviations(mean, flat), STILL));
            }
        }
        rarity
    }

    /// The mean of the latest `window` values, and the one that left it last. `None` of too few.
    fn latest(&self, window: usize) -> Option<(f64, Option<f64>)> {
        let before = self.values.len().checked_sub(window)?;
        let left = before.checked_sub(1).and_then(|last| self.values.get(last)).copied();
        Some((self.values.iter().skip(before).sum::<f64>() / window as f64, left))
    }

    /// The rarity of the episode that is to be told now.
    fn tell(&mut self, time: Timestamp, rarity: f64) -> Option<f64> {
        let now = Episode { since: time, rarest: time, rarity };
        let passed = |from: Timestamp| {
            let half = DurationMs::from_millis(self.step.millis() / 2);
            (time + half).since(from)
        };
        if let Some(rising) = &mut self.rising {
            if rarity > rising.rarity {
                (rising.rarity, rising.rarest) = (rarity, time);
            }
            let rising = *rising;
            if passed(rising.since) < self.step * WAIT && passed(rising.rarest) < self.step * SETTLED {
                return None;
            }
            self.rising = None;
            self.told = Some(Episode { since: time, ..rising });
            return Some(rising.rarity);
        }
        let quiet = (self.step * QUIET).min(DurationMs::DAY * 2);
        let known = self.told.is_some_and(|told| passed(told.since) <= quiet && rarity <= told.rarity + RARER);
        if rarity >= OPENS && !known {
            self.rising = Some(now);
        }
        None
    }

    /// Whether the numbers are such as [`News::push`] makes: stored ones may not be.
    pub fn is_sound(&self) -> bool {
        let finite = |values: &VecDeque<f64>, most: usize| values.len() <= most && values.iter().all(|v| v.abs() <= 4.0 * LARGEST);
        let episode = |episode: &Option<Episode>| episode.is_none_or(|episode| episode.rarity.is_finite());
        finite(&self.values, LONG.0 + 1)
            && finite(&self.surprises, BURST)
            && self.magnitude.is_sound()
            && [self.fast, self.slow].iter().all(|level| level.abs() <= LARGEST)
            && self.short.is_sound()
            && self.long.is_sound()
            && self.surprises_seen.is_sound(&Memory::new(BURST_PARTS, self.step))
            && self.distances_seen.is_sound(&Memory::new(LEVEL_PARTS, self.step))
            && self.pasts.iter().all(Rarity::is_sound)
            && episode(&self.rising)
            && episode(&self.told)
    }
}

/// Where a series was before its latest values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Level {
    mean: f64,
    variance: f64,
    count: u32,
}

impl Level {
    /// Takes in one more value: the plain mean of the first ones, then an exponential one with `gain`.
    fn follow(&mut self, value: f64, gain: f64) {
        self.count = self.count.saturating_add(1);
        let gain = gain.max(1.0 / f64::from(self.count));
        let residual = value - self.mean;
        self.variance += gain * (residual * residual - self.variance);
        self.mean += gain * residual;
    }

    /// How many standard deviations, each at least `flat`, it is to `mean`.
    fn deviations(&self, mean: f64, flat: f64) -> f64 {
        (mean - self.mean).abs() / self.variance.sqrt().max(flat).max(f64::MIN_POSITIVE)
    }

    fn is_sound(&self) -> bool {
        self.mean.abs() <= LARGEST && self.variance.is_finite() && self.variance >= 0.0
    }
}

/// Puts `value` last and keeps the latest `most`.
fn keep(values: &mut VecDeque<f64>, value: f64, most: usize) {
    while values.len() >= most {
        values.pop_front();
    }
    values.push_back(value);
}
