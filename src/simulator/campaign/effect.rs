//! What an incident does to one service, over time.

use super::super::incident::Impact;
use crate::clock::{DurationMs, Timestamp};

/// What is off, and what the size of an [`Effect`] means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// Requests besides the usual, as a share of it.
    More,
    /// The share of the usual requests that is missing.
    Missing,
    /// The share of requests that fail besides the usual.
    Errors,
    /// The share of requests that take so many times as long.
    Slow(f64),
    /// How much of what is free in the connection pool is taken.
    Pool,
    /// Messages that wait besides the usual.
    Queue,
    /// Memory besides the usual, as a multiple of it.
    Memory,
    /// Cores besides the usual.
    Cores,
    /// How much lower the share of reads is that the cache answers.
    Cache,
    /// How much more of the time a machine's disk is busy.
    Disk,
    /// By what share requests take longer for good.
    LatencyLevel,
    /// By what share the processor is busier for good.
    CpuLevel,
    /// By what share more memory is used for good.
    MemoryLevel,
}

/// Something is off for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    from: Timestamp,
    to: Timestamp,
    /// Until it is whole, from the beginning, and until it is gone, from the end.
    ramp: DurationMs,
    fade: DurationMs,
    size: f64,
    what: What,
}

impl Effect {
    pub fn new(what: What, size: f64, (from, to): (Timestamp, Timestamp), ramp: DurationMs, fade: DurationMs) -> Self {
        Self { from, to, ramp, fade, size, what }
    }

    pub fn for_good(from: Timestamp, size: f64, what: What) -> Self {
        let never = Timestamp::from_millis(i64::MAX / 4);
        Self { from, to: never, ramp: DurationMs::ZERO, fade: DurationMs::ZERO, size, what }
    }

    /// When it begins.
    pub fn begin(&self) -> Timestamp {
        self.from
    }

    /// When nothing of it is left.
    pub fn over(&self) -> Timestamp {
        self.to + self.fade
    }

    /// How much of it there is at `t`, from 0 to 1.
    fn strength(&self, t: Timestamp) -> f64 {
        if t < self.from || t >= self.over() {
            return 0.0;
        }
        let part =
            |of: DurationMs, whole: DurationMs| if whole == DurationMs::ZERO { 1.0 } else { (of.seconds() / whole.seconds()).min(1.0) };
        let grown = part(t.min(self.to).since(self.from), self.ramp);
        // What accumulates starts from nothing; of all else something shows at once.
        let up = if matches!(self.what, What::Queue | What::Memory) { grown } else { 0.3 + 0.7 * grown };
        if t > self.to { up * (1.0 - part(t.since(self.to), self.fade)) } else { up }
    }

    /// Adds it, as it is at `t`, to what else is off.
    pub fn add(&self, t: Timestamp, impact: &mut Impact) {
        let size = self.strength(t) * self.size;
        if size == 0.0 {
            return;
        }
        let either = |a: f64, b: f64| 1.0 - (1.0 - a) * (1.0 - b.clamp(0.0, 1.0));
        match self.what {
            What::More => impact.more += size,
            What::Missing => impact.missing = either(impact.missing, size),
            What::Errors => impact.errors = either(impact.errors, size),
            What::Slow(by) => {
                impact.slow = either(impact.slow, size);
                impact.slow_by = impact.slow_by.max(by);
            }
            What::Pool => impact.pool = either(impact.pool, size),
            What::Queue => impact.queue += size,
            What::Memory => impact.memory += size,
            What::Cores => impact.cores += size,
            What::Cache => impact.cache += size,
            What::Disk => impact.disk += size,
            What::LatencyLevel => impact.levels[0] += size,
            What::CpuLevel => impact.levels[1] += size,
            What::MemoryLevel => impact.levels[2] += size,
        }
    }
}
