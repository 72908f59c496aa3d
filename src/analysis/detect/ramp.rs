//! Slow changes: a leak, a queue that fills. The level of a series that wanders follows them, and so hides them.
//!
//! The series less its seasons is averaged over blocks of twenty minutes. The mean of the latest blocks is held against
//! those of two hours, half a day and a day before: moving sums (MOSUM; Chu, Hornik & Kuan, "MOSUM tests for parameter
//! constancy", Biometrika 82, 1995), but each difference against its own past instead of a limit law that would ask for
//! independent noise. Such differences hang together for as long as they span, so that few of the past are independent;
//! the tail knows how many, and is the heavier the fewer there are.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::judgement::{Detector, View};
use super::onset::explained;
use crate::analysis::calibrate::{LEAST_P, Tail};
use crate::clock::{DurationMs, Timestamp};
use crate::finding::Direction;
use crate::series::Window;

/// The length of a block, or a step where that is longer.
const BLOCK: DurationMs = DurationMs::from_secs(20 * 60);
/// Blocks that are taken together on either side.
const TOGETHER: usize = 3;
/// Blocks from the ones to the others.
const LAGS: [usize; 3] = [6, 36, 72];
/// Blocks that are remembered.
const KEPT: usize = LAGS[2] + TOGETHER;
/// A difference is learned from a past that is so many times as long as what it spans.
const LEAST_SPANS: usize = 8;
/// A single value counts at most so many scales: a spike is no slow change.
const CLIP: f64 = 4.0;
/// Differences are told within so many scales.
const FARTHEST: f64 = 1e9;

/// How much a series usually changes in hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ramp {
    /// The size of a difference in either direction, by lag; `None` where too little is known.
    tails: Vec<Option<Tail>>,
    /// The scale in which differences are told.
    scale: f64,
}

/// The latest blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blocks {
    step: DurationMs,
    /// Steps of a block.
    width: usize,
    /// Means, the newest last; NaN where over half is missing.
    means: VecDeque<f64>,
    sum: f64,
    count: usize,
    /// What was said when the latest block was full.
    said: Option<Said>,
}

/// What is said of the latest blocks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Said {
    /// In scales.
    difference: f64,
    /// For either direction, and for one step: there is a look for each block only.
    p_value: f64,
    /// Where the change began, by what is remembered.
    since: Timestamp,
}

impl Ramp {
    /// Learns from `values` at the times of `window`, in units of which `scale` is the usual deviation. With where it stands
    /// after them; `None` where not even the shortest difference is known well enough.
    pub fn fit(window: &Window, values: &[f64], scale: f64) -> Option<(Self, Blocks)> {
        let mut blocks = Blocks::new(window.step());
        let mut differences = vec![Vec::new(); LAGS.len()];
        for (i, value) in values.iter().enumerate() {
            if blocks.push(window.time(i), *value) {
                LAGS.iter().zip(&mut differences).for_each(|(lag, all)| all.push(blocks.difference(*lag).abs()));
            }
        }
        let tails: Vec<Option<Tail>> = LAGS
            .iter()
            .zip(&differences)
            .map(|(lag, all)| if all.len() < lag * LEAST_SPANS { None } else { Tail::predictive(all, lag + TOGETHER) })
            .collect();
        tails[0].is_some().then_some((Self { tails, scale }, blocks))
    }

    /// Takes in the value of `time`, which is at most [`CLIP`] of its own scales from what was expected.
    pub fn push(&self, blocks: &mut Blocks, time: Timestamp, value: f64) {
        if blocks.push(time, value) {
            blocks.said = self.judge(blocks, time);
        }
    }

    fn judge(&self, blocks: &Blocks, time: Timestamp) -> Option<Said> {
        let known = LAGS.iter().zip(&self.tails).filter_map(|(lag, tail)| Some((*lag, tail.as_ref()?)));
        let looks = known.clone().count() as f64 / blocks.width as f64;
        let p = |lag: usize, tail: &Tail| tail.p_value(blocks.difference(lag).abs());
        let (lag, p_value) =
            known.map(|(lag, tail)| (lag, p(lag, tail))).filter(|(_, p)| p.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1))?;
        let difference = blocks.difference(lag);
        let since = blocks.turn(lag, time);
        Some(Said {
            difference: (difference / self.scale).clamp(-FARTHEST, FARTHEST),
            p_value: (p_value * looks).clamp(LEAST_P, 1.0),
            since,
        })
    }

    /// Whether the numbers are such as [`Ramp::fit`] makes.
    pub fn is_sound(&self) -> bool {
        self.tails.len() == LAGS.len() && self.tails.iter().flatten().all(Tail::is_sound) && self.scale > 0.0 && self.scale.is_finite()
    }
}

/// `value`, which is `z` of its `scale` from what was expected, as it counts.
pub fn clipped(value: f64, z: f64, scale: f64) -> f64 {
    value - (z - z.clamp(-CLIP, CLIP)) * scale
}

impl Blocks {
    /// No value yet, of a series with this `step`.
    pub fn new(step: DurationMs) -> Self {
        let width = BLOCK.steps(step).max(1);
        Self { step, width, means: VecDeque::with_capacity(KEPT), sum: 0.0, count: 0, said: None }
    }

    /// What the latest blocks say, in the `direction` that counts.
    pub fn view(&self, direction: Option<Direction>) -> Option<View> {
        let said = self.said?;
        let p_value = match direction {
            None => said.p_value,
            Some(wanted) if (wanted == Direction::Up) == (said.difference > 0.0) => said.p_value / 2.0,
            Some(_) => return None,
        };
        Some(View { detector: Detector::Ramp, p_value, statistic: said.difference })
    }

    /// Where the change began that the latest blocks tell of.
    pub fn since(&self) -> Option<Timestamp> {
        self.said.map(|said| said.since)
    }

    /// Forgets where the series came from, so that the way back is no news.
    pub fn calm(&mut self) {
        self.means.clear();
        (self.sum, self.count) = (0.0, 0);
        self.said = None;
    }

    /// Whether it fits a series with this `step`.
    pub fn is_sound(&self, step: DurationMs) -> bool {
        step != DurationMs::ZERO
            && self.step == step
            && self.width == Self::new(step).width
            && self.means.len() <= KEPT
            && self.count <= self.width
    }

    /// Takes in one value; whether it was the last of its block.
    fn push(&mut self, time: Timestamp, value: f64) -> bool {
        if value.is_finite() {
            self.sum += value;
            self.count += 1;
        }
        let length = self.step.millis() * self.width as i64;
        let block = |time: Timestamp| time.millis().div_euclid(length);
        if block(time) == block(time + self.step) {
            return false;
        }
        if self.means.len() == KEPT {
            self.means.pop_front();
        }
        self.means.push_back(if self.count * 2 >= self.width { self.sum / self.count as f64 } else { f64::NAN });
        (self.sum, self.count) = (0.0, 0);
        true
    }

    /// The mean of the blocks that are taken together, `lag` blocks ago; NaN where over one of them is missing.
    fn mean(&self, lag: usize) -> f64 {
        let present = || self.means.iter().rev().skip(lag).take(TOGETHER).filter(|mean| mean.is_finite());
        let n = present().count();
        if n + 1 < TOGETHER { f64::NAN } else { present().sum::<f64>() / n as f64 }
    }

    fn difference(&self, lag: usize) -> f64 {
        self.mean(0) - self.mean(lag)
    }

    /// The middle of the block in which a line that was level begins to rise or fall, or has stepped, as it explains the most
    /// of what lies between (a regression with one joint: Hudson, "Fitting segmented curves whose join points
    /// have to be estimated", 1966).
    fn turn(&self, lag: usize, time: Timestamp) -> Timestamp {
        let spanned = (lag + TOGETHER).min(self.means.len());
        let means = || self.means.iter().skip(self.means.len() - spanned).enumerate().filter(|(_, mean)| mean.is_finite());
        let explained = |changed: &dyn Fn(usize) -> f64| explained(means().map(|(i, mean)| (changed(i), *mean))).abs();
        // It takes some blocks to tell a rise, and one to tell a step.
        let rises = (0..spanned.saturating_sub(TOGETHER)).map(|joint| (joint, explained(&|i| i.saturating_sub(joint) as f64)));
        let steps = (0..spanned.saturating_sub(1)).map(|joint| (joint, explained(&|i| f64::from(i > joint))));
        let joints = rises.chain(steps);
        let best = joints.filter(|(_, share)| share.is_finite()).max_by(|a, b| a.1.total_cmp(&b.1));
        let ago = spanned.saturating_sub(1 + best.map_or(0, |(joint, _)| joint));
        time + self.step - self.step * (self.width * ago) as i64 + self.step * (self.width / 2) as i64
    }
}
