//! Which findings the guards of a monitor hold back.
//!
//! A finding is held back while every abnormal point since it opened is. The first that no guard holds back makes it
//! an ordinary finding, and it stays one.

pub mod companion;
pub mod samples;
pub mod traffic;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use crate::analysis::detect::Judgement;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::guard::{Guard, Guards, Point, Suppressed};
use crate::monitor::Monitor;
use crate::series::{SeriesKey, Window};
use crate::source::prometheus::Prometheus;
use samples::Counted;

/// How exactly it is found out when a series first appeared: so many looks over the time in which series warm up.
const LOOKS: i64 = 100;

/// What guards said of the points of one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guarded {
    /// When the series first appeared.
    appeared: Option<Timestamp>,
    /// Why its latest value is no measurement.
    refused: Option<Suppressed>,
    /// Its latest values of which no scrape was missed, where those are counted.
    whole: VecDeque<(Timestamp, f64)>,
    /// Runs of abnormal points while a finding was open, in order of time.
    runs: Vec<Run>,
}

/// How many values are no measurements, by the guard that says so.
pub type Refusals = BTreeMap<Guard, usize>;

/// Abnormal points one after the other, all held back or none.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    from: Timestamp,
    to: Timestamp,
    /// Why the latest of them is held back.
    held: Option<Suppressed>,
}

/// What guards make of a finding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// It is an ordinary finding.
    Counts {
        /// The first point that nothing held back.
        since: Timestamp,
    },
    /// It is held back, for this reason.
    HeldBack(Suppressed),
}

/// One judged point, as far as guards ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// When.
    pub time: Timestamp,
    /// The value; NaN where it is missing.
    pub value: f64,
    /// What was expected.
    pub expected: f64,
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// The anomaly score; NaN where nothing was said.
    pub score: f64,
}

impl From<&Judgement> for Judged {
    fn from(of: &Judgement) -> Self {
        let Judgement { time, value, expected, lower, upper, score, .. } = *of;
        Self { time, value, expected, lower, upper, score }
    }
}

impl Judged {
    /// Whether it keeps a finding open: outside its bounds, or anomalous.
    pub fn is_abnormal(&self) -> bool {
        !self.score.is_nan() && (self.value < self.lower || self.value > self.upper || self.score >= 1.0)
    }
}

impl Guarded {
    /// A series that is known to have been there at `appeared`.
    pub fn since(appeared: Option<Timestamp>) -> Self {
        Self { appeared, ..Self::default() }
    }

    /// `window` as it was read, without the values that are no measurements, and how many those are. Where the samples of
    /// the series are `counted`, a value that missed scrapes made smaller is none.
    pub fn measure(&mut self, guards: &Guards, counted: Option<Counted<'_>>, window: Window) -> (Window, Refusals) {
        let mut refused = Refusals::new();
        let mut measured = window.values().to_vec();
        for (i, value) in measured.iter_mut().enumerate().filter(|(_, value)| value.is_finite()) {
            let time = window.time(i);
            self.appeared.get_or_insert(time);
            self.refused = guards.refuses(*value).or_else(|| self.missed(counted?, time, *value));
            if let Some(why) = self.refused {
                *refused.entry(why.guard()).or_default() += 1;
                *value = f64::NAN;
            }
        }
        if refused.is_empty() {
            return (window, refused);
        }
        // The same step and as many values as were a window before.
        (Window::new(window.start(), window.step(), measured).unwrap_or(window), refused)
    }

    /// Why missed scrapes make `value` too small; `None` where none were missed, or it is greater than all before it: that
    /// cannot come of them.
    fn missed(&mut self, counted: Counted<'_>, time: Timestamp, value: f64) -> Option<Suppressed> {
        let (missed, since) = (counted.missed(time), counted.since(time));
        while self.whole.front().is_some_and(|(time, _)| *time < since) {
            self.whole.pop_front();
        }
        if missed.is_none() {
            self.whole.push_back((time, value));
        }
        missed.filter(|_| self.whole.is_empty() || self.whole.iter().any(|(_, whole)| value <= *whole))
    }

    /// Why its latest value is no measurement; `None` where it is one.
    pub fn refused(&self) -> Option<Suppressed> {
        self.refused
    }

    /// Takes in the next point that was judged; `open` tells whether a finding is open with it, and `traffic` is asked
    /// for abnormal points only.
    pub fn take(&mut self, guards: &Guards, judged: &Judged, open: bool, traffic: impl FnOnce() -> Option<f64>) {
        if !open || !judged.is_abnormal() {
            return;
        }
        let Judged { time, value, expected, .. } = *judged;
        let age = time.since(self.appeared.unwrap_or(time));
        let held = guards.suppress(&Point { time, value, expected, traffic: traffic(), age });
        match self.runs.last_mut() {
            Some(run) if run.held.is_some() == held.is_some() => (run.to, run.held) = (time, held),
            _ => self.runs.push(Run { from: time, to: time, held }),
        }
    }

    /// How the finding stands that began at `onset` and whose latest abnormal point is `last_seen`.
    pub fn standing(&self, onset: Timestamp, last_seen: Timestamp) -> Standing {
        let of_it = || self.runs.iter().filter(|run| run.from <= last_seen && run.to >= onset);
        if let Some(free) = of_it().find(|run| run.held.is_none()) {
            return Standing::Counts { since: free.from.max(onset) };
        }
        of_it().filter_map(|run| run.held).next_back().map_or(Standing::Counts { since: onset }, Standing::HeldBack)
    }

    /// Why the finding is held back that began at `onset` and whose latest abnormal point is `last_seen`; `None` where it is not.
    pub fn held(&self, onset: Timestamp, last_seen: Timestamp) -> Option<Suppressed> {
        match self.standing(onset, last_seen) {
            Standing::HeldBack(why) => Some(why),
            Standing::Counts { .. } => None,
        }
    }

    /// The finding that began at `onset` counts, whatever was held back of it.
    pub fn release(&mut self, onset: Timestamp) {
        self.runs.retain(|run| run.to >= onset);
        self.runs.insert(0, Run { from: onset, to: onset, held: None });
    }

    /// Forgets what is over: all but the points of the open finding, which began at `open`.
    pub fn forget(&mut self, open: Option<Timestamp>) {
        self.runs.retain(|run| open.is_some_and(|onset| run.to >= onset));
    }
}

/// When each series of `monitor` first appeared, as far as it did before `before` and that matters to an evaluation at
/// `end`: no further back than it learns from or series warm up. It is found out to a hundredth of the warm-up.
///
/// # Errors
/// As [`Prometheus::range`].
pub async fn appeared(
    prometheus: &Prometheus,
    monitor: &Monitor,
    before: Timestamp,
    end: Timestamp,
) -> Result<BTreeMap<SeriesKey, Timestamp>> {
    let Some(lasts) = monitor.guards.warm_up else { return Ok(BTreeMap::new()) };
    let from = (before - lasts).max(end - lasts.max(monitor.window));
    let places = (lasts.millis() / LOOKS / monitor.step.millis().max(1)).max(1);
    let step = monitor.step * places;
    let (first, last) = (from.align_down(step), (before - monitor.step).align_down(step));
    if from >= before || first > last {
        return Ok(BTreeMap::new());
    }
    let reading = prometheus.range(&monitor.query, first, last, step).await?;
    let there = |window: &Window| window.values().iter().position(|value| value.is_finite()).map(|i| window.time(i));
    Ok(reading.series.into_iter().filter_map(|series| there(&series.window).map(|at| (series.key, at))).collect())
}
