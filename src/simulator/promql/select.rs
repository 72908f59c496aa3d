//! Selectors: which series, and their samples around each time.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use promql_parser::label::Matcher;
use promql_parser::parser::{AtModifier, MatrixSelector, Offset, VectorSelector};

use rayon::prelude::*;

use super::super::shop::{Samples, Shop};
use super::{ABSENT, Evaluator, Line, MOST_VALUES, RawSeries, Result, absent, execution};
use crate::clock::{DurationMs, Timestamp};
use crate::series::SeriesKey;

/// How old a sample may be for an instant vector, in milliseconds.
const LOOKBACK_MS: i64 = 300_000;

/// The series that the selector matches, over all time.
pub(super) fn matching(shop: &Shop, selector: &VectorSelector) -> Vec<usize> {
    let fits = |key: &SeriesKey, matchers: &[Matcher]| matchers.iter().all(|m| m.is_match(key.get(&m.name).unwrap_or_default()));
    let groups = &selector.matchers.or_matchers;
    (0..shop.series_count())
        .filter(|&i| {
            let key = shop.key(i);
            selector.name.as_deref().is_none_or(|name| key.get("__name__") == Some(name))
                && fits(key, &selector.matchers.matchers)
                && (groups.is_empty() || groups.iter().any(|group| fits(key, group)))
        })
        .collect()
}

/// One series' samples.
pub(super) struct Run {
    pub(super) key: SeriesKey,
    pub(super) samples: Samples,
}

impl Run {
    /// The places of the samples of these scrapes.
    pub(super) fn places(&self, slots: &Range<i64>) -> Range<usize> {
        let place = |slot: i64| (slot - self.samples.first).clamp(0, self.samples.values.len() as i64) as usize;
        let (a, b) = (place(slots.start), place(slots.end));
        a..b.max(a)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

impl Evaluator<'_> {
    /// When the selector looks for its samples at each time of the grid, in milliseconds.
    pub(super) fn times(&self, selector: &VectorSelector) -> Vec<i64> {
        let offset = match &selector.offset {
            None => 0,
            Some(Offset::Pos(d)) => millis(*d),
            Some(Offset::Neg(d)) => -millis(*d),
        };
        let fixed = selector.at.as_ref().map(|at| match at {
            AtModifier::Start => self.grid.time(0).millis(),
            AtModifier::End => self.grid.time(self.grid.len.saturating_sub(1)).millis(),
            AtModifier::At(time) => match time.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(after) => millis(after),
                Err(before) => -millis(before.duration()),
            },
        });
        (0..self.grid.len).map(|i| fixed.unwrap_or_else(|| self.grid.time(i).millis()) - offset).collect()
    }

    /// The scrapes from `before_ms` before each of `times` to it, both inclusive.
    pub(super) fn windows(&self, times: &[i64], before_ms: i64) -> Vec<Range<i64>> {
        let slot_ms = self.slot_ms();
        times.iter().map(|t| -(before_ms - t).div_euclid(slot_ms)..t.div_euclid(slot_ms) + 1).collect()
    }

    /// From one scrape to the next, in milliseconds.
    pub(super) fn slot_ms(&self) -> i64 {
        self.shop.config().scrape_interval.millis()
    }

    /// The samples of the selected series from `before_ms` before the earliest of `times` on.
    pub(super) fn runs(&self, selector: &VectorSelector, times: &[i64], before_ms: i64) -> Result<Vec<Run>> {
        let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else { return Ok(Vec::new()) };
        let slot_ms = self.slot_ms();
        let start = self.shop.config().start.millis();
        let from = (first - before_ms).max(start);
        let slots = -(-from).div_euclid(slot_ms)..(*last).min(self.horizon.millis()).div_euclid(slot_ms) + 1;
        if slots.is_empty() {
            return Ok(Vec::new());
        }
        let series: Vec<usize> = matching(self.shop, selector).into_iter().filter(|&i| self.shop.lives(i, &slots)).collect();
        let longest = times.len().max((slots.end - slots.start) as usize);
        if series.len().saturating_mul(longest) > MOST_VALUES {
            return execution("query processing would load too many samples into memory in query execution");
        }
        let samples = self.shop.samples(&series, &slots);
        Ok(series.iter().zip(samples).map(|(&i, samples)| Run { key: self.shop.key(i).clone(), samples }).collect())
    }

    /// An instant vector: each series' latest sample that is not older than five minutes.
    pub(super) fn instant(&self, selector: &VectorSelector) -> Result<Vec<Line>> {
        let times = self.times(selector);
        let runs = self.runs(selector, &times, LOOKBACK_MS)?;
        let windows = self.windows(&times, LOOKBACK_MS);
        let line = |run: Run| {
            let there = |place: usize| Some(run.samples.values[place]).filter(|v| !absent(*v));
            let latest = |slots: &Range<i64>| run.places(slots).rev().find_map(there).unwrap_or(ABSENT);
            Line { values: windows.iter().map(latest).collect(), key: run.key }
        };
        Ok(runs.into_par_iter().map(line).collect())
    }

    /// The raw samples of a range selector at the first time.
    pub(super) fn samples_of(&self, selector: &MatrixSelector) -> Result<Vec<RawSeries>> {
        let times = self.times(&selector.vs);
        let range = range_of(selector).millis();
        let runs = self.runs(&selector.vs, &times, range)?;
        let windows = self.windows(&times, range);
        let Some(window) = windows.first() else { return Ok(Vec::new()) };
        let time = |run: &Run, place: usize| Timestamp::from_millis((run.samples.first + place as i64) * self.slot_ms());
        let points = runs.into_iter().map(|run| {
            let there = run.places(window).filter(|p| !absent(run.samples.values[*p]));
            let points: Vec<_> = there.map(|p| (time(&run, p), run.samples.values[p])).collect();
            (run.key, points)
        });
        Ok(points.filter(|(_, points)| !points.is_empty()).collect())
    }
}

/// The length of a range selector.
pub(super) fn range_of(selector: &MatrixSelector) -> DurationMs {
    DurationMs::from_millis(millis(selector.range))
}
