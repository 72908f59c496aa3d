//! Rows on a regular step.

use crate::clock::{DurationMs, Timestamp};

/// Distances from which the step is told. They are the first ones, so that what is added at a file's end changes no
/// score before it; no score is given for so few rows.
pub const TOLD_FROM: usize = 60;
/// Empty places that are filled in, however few rows there are, …
const MOST_GAPS: usize = 2_000_000;
/// …and for each row.
const MOST_GAPS_EACH: usize = 100;

/// The regular step of a file's rows, and how far it is filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    start: Timestamp,
    step: DurationMs,
    /// The first place that is free.
    next: usize,
    latest: Timestamp,
    rows: usize,
}

/// Where a row belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this place, which is at or after the first free one.
    Free(usize),
    /// On this place, which is taken.
    Taken(usize),
    /// It is earlier than a row before it.
    Disordered,
    /// So far from the row before it that nothing could be said in between: this many steps.
    TooFar(usize),
}

impl Grid {
    /// The step of rows that begin at these `times`: the lower tercile of the first 60 distances. A file with gaps
    /// has some that are too long, and hardly any that are too short. `None` without two different times.
    pub fn new(times: &[Timestamp]) -> Option<Self> {
        let first = &times[..times.len().min(TOLD_FROM + 1)];
        let start = *first.iter().min()?;
        let distances = first.windows(2).filter(|pair| pair[0] < pair[1]).map(|pair| pair[1].since(pair[0]));
        let mut distances: Vec<DurationMs> = distances.collect();
        let third = distances.len().checked_sub(1)? / 3;
        let step = *distances.select_nth_unstable(third).1;
        Some(Self { start, step, next: 0, latest: start, rows: 0 })
    }

    /// The time of the first place.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The time from one place to the next.
    pub fn step(&self) -> DurationMs {
        self.step
    }

    /// The place nearest to the row at `time`. Where that is taken it is the next, for a row that has a time of its
    /// own: irregular rows may come a little more often than every step.
    pub fn place(&mut self, time: Timestamp) -> Place {
        if time < self.latest {
            return Place::Disordered;
        }
        let half = DurationMs::from_millis(self.step.millis() / 2);
        let nearest = (time + half).since(self.start).steps(self.step);
        let same = self.next > 0 && time == self.latest;
        if self.next > 0 && (same || nearest + 1 < self.next) {
            self.rows += 1;
            self.latest = time;
            return Place::Taken(self.next - 1);
        }
        let place = nearest.max(self.next);
        let gap = place - self.next;
        if place - self.rows.min(place) > MOST_GAPS.max(self.rows.saturating_mul(MOST_GAPS_EACH)) {
            return Place::TooFar(gap);
        }
        self.rows += 1;
        self.next = place + 1;
        self.latest = time;
        Place::Free(place)
    }
}
