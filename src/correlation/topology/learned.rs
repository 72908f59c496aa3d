//! Calls that nobody told of: one service's trouble keeps following another's.
//!
//! Only the onsets of jumps are looked at. Of a service that calls another, some begin within minutes after the other's,
//! more often than chance has it (event coincidence analysis: Donges, Schleussner, Siegmund & Donner, "Event coincidence
//! analysis for quantifying statistical interrelationships between event time series", 2016), and more often after than
//! before. The second is needed because what both depend on, a busy hour or a machine, makes their jumps meet without an
//! order. What lies within one step has no order and says nothing.

use std::collections::{BTreeMap, BTreeSet};

use statrs::distribution::{Binomial, DiscreteCDF};

use super::{Call, CallSource};
use crate::analysis::baseline::{median, robust_scale};
use crate::clock::{DurationMs, Timestamp};
use crate::series::Window;

/// More services than this are not compared: the comparison is quadratic.
pub const MOST_COMPARED: usize = 500;
/// How long trouble takes over one call at most.
const REACH: DurationMs = DurationMs::from_secs(300);
/// A jump is at least so many robust standard deviations above what was before it.
const HIGH: f64 = 3.5;
/// What was before it: the median of so many values.
const BEFORE: usize = 15;
/// After a jump nothing is another for so long: it is the same trouble.
const SAME: DurationMs = DurationMs::from_secs(600);
/// Fewer jumps that follow another's say nothing.
const LEAST_FOLLOWED: u64 = 6;
/// How many wrong calls are expected among all pairs that are compared.
const WRONG: f64 = 0.05;
/// The chance of an order that is none.
const NO_ORDER: f64 = 0.005;

/// When a series jumped up; the first values, and those after a gap of half of what came before, say nothing.
pub fn jumps(window: &Window) -> Vec<Timestamp> {
    let values = window.values();
    let above = |i: usize| {
        let before = &values[i.saturating_sub(BEFORE)..i];
        let present = before.iter().filter(|v| v.is_finite()).count();
        if i < BEFORE || 2 * present < BEFORE { f64::NAN } else { values[i] - median(before.iter().copied()).unwrap_or(f64::NAN) }
    };
    let above: Vec<f64> = (0..values.len()).map(above).collect();
    let Some(scale) = robust_scale(above.iter().copied()).filter(|scale| *scale > 0.0) else { return Vec::new() };
    let high = (0..values.len()).filter(|i| above[*i] >= HIGH * scale).map(|i| window.time(i));
    together(high)
}

/// The onsets of one service out of those of its series, in any order.
pub fn together(onsets: impl IntoIterator<Item = Timestamp>) -> Vec<Timestamp> {
    let ordered: BTreeSet<Timestamp> = onsets.into_iter().collect();
    let mut kept: Vec<Timestamp> = Vec::new();
    // Jumps in a row are one, however long the row.
    let mut latest: Option<Timestamp> = None;
    for at in ordered {
        if latest.is_none_or(|before| at.since(before) > SAME) {
            kept.push(at);
        }
        latest = Some(at);
    }
    kept
}

/// The calls between services whose jumps, of one `step`, were seen for `span`: at most one for each pair, and none where a
/// chain of others says the same. Of more than [`MOST_COMPARED`] services those with the most jumps are compared.
pub fn learn(onsets: &BTreeMap<String, Vec<Timestamp>>, span: DurationMs, step: DurationMs) -> Vec<Call> {
    let mut all: Vec<(&str, &[Timestamp])> = onsets.iter().map(|(name, onsets)| (name.as_str(), onsets.as_slice())).collect();
    all.retain(|(_, onsets)| onsets.len() as u64 >= LEAST_FOLLOWED);
    all.sort_by_key(|(name, onsets)| (std::cmp::Reverse(onsets.len()), *name));
    all.truncate(MOST_COMPARED);
    let steps = span.steps(step) as f64;
    let reach = REACH.steps(step).max(1);
    if all.len() < 2 || steps <= 2.0 * reach as f64 {
        return Vec::new();
    }
    let bound = WRONG / (all.len() * (all.len() - 1)) as f64;
    let mut calls = BTreeSet::new();
    for (callee, first) in &all {
        for (caller, second) in all.iter().filter(|(name, _)| name != callee) {
            let (follows, leads) = (followed(first, second, step, reach), followed(second, first, step, reach));
            // A jump of the callee is followed by chance where one of the caller's lies within its reach.
            let by_chance = 1.0 - (1.0 - reach as f64 / steps).powf(second.len() as f64);
            let is_rare = follows >= LEAST_FOLLOWED && at_least(follows, first.len() as u64, by_chance) < bound;
            if is_rare && at_least(follows, follows + leads, 0.5) < NO_ORDER {
                calls.insert((*caller, *callee));
            }
        }
    }
    let direct = |(caller, callee): &&(&str, &str)| {
        !all.iter().any(|(between, _)| calls.contains(&(*caller, *between)) && calls.contains(&(*between, *callee)))
    };
    let call =
        |(caller, callee): &(&str, &str)| Call { caller: (*caller).to_owned(), callee: (*callee).to_owned(), source: CallSource::Learned };
    calls.iter().filter(direct).map(call).collect()
}

/// How many of `first` one of `second` follows, from one to `reach` steps later. Both are in order.
fn followed(first: &[Timestamp], second: &[Timestamp], step: DurationMs, reach: usize) -> u64 {
    let follows = |at: &&Timestamp| {
        let next = second.partition_point(|other| *other < **at + step);
        second.get(next).is_some_and(|other| other.since(**at) <= step * reach as i64)
    };
    first.iter().filter(follows).count() as u64
}

/// The chance of at least `k` out of `n`, each with the chance `p`.
fn at_least(k: u64, n: u64, p: f64) -> f64 {
    match (k.checked_sub(1), Binomial::new(p, n)) {
        (Some(below), Ok(binomial)) => binomial.sf(below),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: DurationMs = DurationMs::from_secs(60);
    const SPAN: DurationMs = DurationMs::from_millis(3 * DurationMs::DAY.millis());

    /// `SplitMix64`, between 0 and 1.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) as f64 / u64::MAX as f64
        }

        fn minute(&mut self) -> i64 {
            (self.next() * 4320.0) as i64
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::default() + MINUTE * minute
    }

    /// Each of `names` jumps by itself `own` times.
    fn alone(names: &[String], own: usize, random: &mut Random) -> BTreeMap<String, Vec<Timestamp>> {
        names.iter().map(|name| (name.clone(), (0..own).map(|_| at(random.minute())).collect())).collect()
    }

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("s{i:02}")).collect()
    }

    /// The calls learned once each service's jumps are in order.
    fn learned(onsets: BTreeMap<String, Vec<Timestamp>>) -> Vec<(String, String)> {
        let onsets = onsets.into_iter().map(|(name, at)| (name, together(at))).collect();
        let calls = learn(&onsets, SPAN, MINUTE);
        assert!(calls.iter().all(|call| call.source == CallSource::Learned));
        calls.into_iter().map(|call| (call.caller, call.callee)).collect()
    }

    #[test]
    fn what_follows_calls_and_a_chain_is_told_by_its_links() {
        let mut random = Random(1);
        let names = names(12);
        let mut onsets = alone(&names, 20, &mut random);
        // Trouble at s00 climbs to s01 and from there to s02, mostly, one to two minutes later.
        for _ in 0..25 {
            let mut minute = random.minute();
            for name in &names[..3] {
                onsets.get_mut(name).unwrap().push(at(minute));
                minute += 1 + (random.next() * 2.0) as i64;
            }
        }
        let expected = [("s01", "s00"), ("s02", "s01")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(learned(onsets), expected);
    }

    #[test]
    fn chance_and_what_both_depend_on_teach_nothing() {
        let mut found = 0;
        for seed in 0..20 {
            let mut random = Random(seed);
            let names = names(15);
            let mut onsets = alone(&names, 30, &mut random);
            // A busy hour a day in which everything jumps, in any order.
            for day in 0..3 {
                for name in &names {
                    let minute = day * 1440 + 600 + (random.next() * 60.0) as i64;
                    onsets.get_mut(name).unwrap().push(at(minute));
                }
            }
            // A machine that makes two of them jump at once.
            for _ in 0..20 {
                let minute = random.minute();
                for name in &names[..2] {
                    onsets.get_mut(name).unwrap().push(at(minute + (random.next() * 3.0) as i64));
                }
            }
            found += learned(onsets).len();
        }
        assert!(found <= 1, "{found} calls in 20 times 210 pairs");
    }

    #[test]
    fn jumps_are_onsets() {
        let mut random = Random(3);
        let mut values: Vec<f64> = (0..600).map(|_| 10.0 + random.next()).collect();
        for from in [100, 300, 302, 450] {
            values[from..from + 5].iter_mut().for_each(|v| *v += 8.0);
        }
        values[200..240].fill(f64::NAN);
        let window = Window::new(Timestamp::default(), MINUTE, values).unwrap();
        assert_eq!(jumps(&window), [100, 300, 450].map(at));
        for nothing in [vec![1.0; 50], vec![f64::NAN; 50], vec![1e308; 3], Vec::new()] {
            if let Ok(window) = Window::new(Timestamp::default(), MINUTE, nothing) {
                assert_eq!(jumps(&window), []);
            }
        }
    }

    proptest! {
        #[test]
        fn any_onsets_are_borne(
            onsets in prop::collection::btree_map("[a-e]", prop::collection::vec(-1000..6000_i64, 0..60), 0..6),
            span in 0..5000_i64,
        ) {
            let onsets: BTreeMap<String, Vec<Timestamp>> =
                onsets.into_iter().map(|(name, minutes)| (name, together(minutes.into_iter().map(at)))).collect();
            for call in learn(&onsets, MINUTE * span, MINUTE) {
                prop_assert!(call.caller != call.callee && onsets.contains_key(&call.caller) && onsets.contains_key(&call.callee));
            }
        }
    }
}
