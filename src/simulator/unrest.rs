//! What is restless on ordinary days and means nothing: bursts, slow and failing minutes, batch jobs, replicas that come and
//! go, scrapes that are missed, and restarts.

use super::noise::Stream;

const MINUTE_MS: i64 = 60_000;
/// Whatever comes and goes does so at most once in so many minutes.
const BLOCK_MS: i64 = 20 * MINUTE_MS;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// How often a block has one, for each service: each kind once in four days, which in a shop of fifty is 37 times a day.
const BURSTS: f64 = 0.25 / 72.0;
const SLOW: f64 = 0.25 / 72.0;
const FAILING: f64 = 0.25 / 72.0;
/// One scrape in so many is missed; and one block in so many has a gap of some minutes.
const MISSED: f64 = 0.001;
const GAPS: f64 = 1.0 / 1000.0;
/// One block in so many has a restart: one in two weeks.
const RESTARTS: f64 = 1.0 / 1000.0;
/// How many services have a batch job each night; half as many have one each Sunday.
const NIGHTLY: f64 = 0.2;

/// What is off at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mood {
    /// How many times the usual requests there are.
    pub(super) traffic: f64,
    /// The share of requests that take four times as long.
    pub(super) slow: f64,
    /// The share of requests that fail besides the usual.
    pub(super) errors: f64,
    /// What a batch job takes, as a multiple of the processor's usual use.
    pub(super) batch: f64,
    /// Whether the scrape is missed.
    pub(super) missed: bool,
    /// Whether the service restarts now.
    pub(super) restarts: bool,
}

impl Default for Mood {
    fn default() -> Self {
        Self { traffic: 1.0, slow: 0.0, errors: 0.0, batch: 0.0, missed: false, restarts: false }
    }
}

/// The restlessness of one service.
#[derive(Clone, Debug)]
pub(super) struct Unrest {
    stream: Stream,
    slot_ms: i64,
    /// The hour of the day at which its batch job runs, and whether it does so on Sundays only.
    batch: Option<(f64, bool)>,
}

impl Unrest {
    pub(super) fn new(seed: u64, service: &str, slot_ms: i64) -> Self {
        let stream = Stream::new(seed, &format!("{service}/unrest"));
        let draw = stream.uniform(0, 90);
        let hour = 5.0 * stream.uniform(0, 91);
        let batch = (draw < NIGHTLY * 1.5).then_some((hour, draw >= NIGHTLY));
        Self { stream, slot_ms, batch }
    }

    /// How it is at `ms` after the epoch.
    pub(super) fn at(&self, ms: i64) -> Mood {
        let slot = ms.div_euclid(self.slot_ms);
        let mut mood = Mood::default();
        if let Some(size) = self.spell(ms, 0, BURSTS, (1.0, 4.0)) {
            mood.traffic = 1.25 * 1.8_f64.powf(size);
        }
        if let Some(size) = self.spell(ms, 10, SLOW, (1.0, 3.0)) {
            mood.slow = 0.08 + 0.3 * size * size;
        }
        if let Some(size) = self.spell(ms, 20, FAILING, (1.0, 3.0)) {
            mood.errors = 0.004 + 0.03 * size * size;
        }
        mood.batch = self.batch_at(ms);
        mood.missed = self.stream.uniform(slot, 30) < MISSED || self.spell(ms, 40, GAPS, (3.0, 7.0)).is_some();
        mood.restarts = self.spell(ms, 50, RESTARTS, (1.0, 1.0)).is_some();
        mood
    }

    /// How large, from 0 to 1, the spell of a kind is that is under way: one in a share of the blocks, of so many minutes.
    fn spell(&self, ms: i64, lane: u64, chance: f64, (least, most): (f64, f64)) -> Option<f64> {
        let block = ms.div_euclid(BLOCK_MS);
        if self.stream.uniform(block, lane) >= chance {
            return None;
        }
        let lasts = (least + (most - least) * self.stream.uniform(block, lane + 1)) * MINUTE_MS as f64;
        let begins = block as f64 * BLOCK_MS as f64 + self.stream.uniform(block, lane + 2) * (BLOCK_MS as f64 - lasts);
        let here = (begins..begins + lasts).contains(&(ms as f64));
        here.then(|| self.stream.uniform(block, lane + 3))
    }

    /// A batch job begins within five minutes of its hour and takes about half an hour.
    fn batch_at(&self, ms: i64) -> f64 {
        let Some((hour, weekly)) = self.batch else { return 0.0 };
        let day = ms.div_euclid(DAY_MS);
        // The epoch was a Thursday.
        if weekly && (day + 4).rem_euclid(7) != 0 {
            return 0.0;
        }
        let minute = ms.rem_euclid(DAY_MS) as f64 / MINUTE_MS as f64;
        let begins = hour * 60.0 + 5.0 * self.stream.uniform(day, 60);
        let lasts = 25.0 + 10.0 * self.stream.uniform(day, 61);
        if (begins..begins + lasts).contains(&minute) { 0.8 + 0.4 * self.stream.uniform(day, 62) } else { 0.0 }
    }
}

/// How many replicas an autoscaler runs at a load of so much: one more for each third, and never fewer than two.
pub(super) fn replicas(load: f64) -> f64 {
    (load * 3.0).ceil().max(2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_often_as_it_should_be_and_the_same_again() {
        let unrest: Vec<Unrest> = (0..50).map(|i| Unrest::new(1, &format!("s{i}"), MINUTE_MS)).collect();
        let days = 28;
        let moods: Vec<Mood> = unrest.iter().flat_map(|u| (0..days * 1440).map(|m| u.at(m * MINUTE_MS))).collect();
        let share = |of: fn(&Mood) -> bool| moods.iter().filter(|m| of(m)).count() as f64 / moods.len() as f64;
        // One burst in four days of 2.5 minutes.
        assert!((0.0003..0.0006).contains(&share(|m| m.traffic > 1.0)), "{}", share(|m| m.traffic > 1.0));
        assert!((0.0005..0.003).contains(&share(|m| m.missed)));
        assert!(share(|m| m.restarts) < 0.0003 && share(|m| m.restarts) > 0.0);
        assert!((0.001..0.01).contains(&share(|m| m.batch > 0.0)), "{}", share(|m| m.batch > 0.0));
        assert_eq!(unrest[3].at(123_456_000), Unrest::new(1, "s3", MINUTE_MS).at(123_456_000));
    }
}
