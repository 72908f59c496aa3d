//! Whether the data of a monitor have drifted: its current window held against its reference window, again and again.
//!
//! Histograms are read anew each time, one answer of Prometheus for each window. Of plain series the values of both windows
//! are kept in sketches, and only what is new is read. A drift that lasts becomes one finding of its service, with the
//! features that drifted as evidence, the worst first.

mod panes;
mod said;
mod verdict;

use std::sync::Arc;

use super::Engine;
use super::histograms::{FeatureHistograms, JudgedHistogram, Windows, is_classic, is_selector};
use super::lasting::Lasting;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::event::EventKind;
use crate::monitor::{DriftPlan, Monitor, Reference};
use crate::store::EventFilter;
use panes::Panes;
use said::Said;
pub use verdict::feature_name;
use verdict::verdicts;

/// The most features of one monitor.
const MOST_FEATURES: usize = 10_000;

/// What the latest test of a monitor gave.
#[derive(Clone, Debug, Default)]
pub struct Drift {
    /// Its features, the most severe first.
    pub features: Arc<Vec<JudgedHistogram>>,
    /// The ends of the reference and the current window.
    pub ends: Option<(Timestamp, Timestamp)>,
}

/// The tests of one monitor, made again and again.
pub struct Drifting {
    engine: Engine,
    monitor: Monitor,
    plan: DriftPlan,
    /// The values of both windows, where they are not histograms.
    reference: Panes,
    current: Panes,
    data: Data,
    /// What the latest tests said of each service.
    said: Said,
    open: Lasting,
}

/// What the query yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    Histograms,
    Values,
    /// A plain selector, which may be of either; nothing was found yet.
    Unknown,
}

impl Drifting {
    /// Nothing is read yet.
    pub fn new(engine: Engine, monitor: Monitor, plan: DriftPlan) -> Self {
        let data = if is_classic(&monitor.query) {
            Data::Histograms
        } else if is_selector(&monitor.query) {
            Data::Unknown
        } else {
            Data::Values
        };
        let (said, open) = (Said::default(), Lasting::default());
        let panes = || Panes::new(plan.every);
        Self { engine, monitor, reference: panes(), current: panes(), plan, data, said, open }
    }

    /// Reads, tests, and opens, updates or ends findings.
    ///
    /// # Errors
    /// Prometheus or the store does not answer, or the windows hold no data; what is open stays open.
    pub async fn run(&mut self) -> Result<()> {
        let started = self.engine.clock().now();
        let now = started.align_down(self.plan.every);
        let mut warnings = Vec::new();
        let features = match self.reference_end(now).await? {
            Ok(reference_end) => {
                let found = self.read(reference_end, now).await?;
                let (least, inner) = (self.plan.least_effect, self.engine.clone());
                let features = inner.pool().run(move || found.judged(least)).await?;
                self.decide(&features, now).await?;
                Drift { features: Arc::new(features), ends: Some((reference_end, now)) }
            }
            Err(wait) => {
                warnings.push(wait);
                Drift::default()
            }
        };
        let ended = self.engine.clock().now();
        self.engine.set_status(&self.monitor.name, |status| {
            status.drift = features;
            status.last_evaluated = Some(ended);
            status.evaluation_time = ended.since(started);
            status.last_error = None;
            status.warnings = warnings;
        });
        Ok(())
    }

    /// The end of the reference window, or why there is none yet.
    async fn reference_end(&self, now: Timestamp) -> Result<Result<Timestamp, String>> {
        let window = self.plan.window;
        let end = match self.plan.reference {
            Reference::Until(until) => until,
            Reference::Before(before) => now - before,
            Reference::Deployment => {
                let filter = EventFilter { kind: Some(EventKind::Deployment), service: self.monitor.service.clone() };
                let Some(latest) = self.engine.store().events(&filter, 1, "").await?.items.pop() else {
                    return Ok(Err("drift: no deployment of its service is known; publish them as events".to_owned()));
                };
                latest.starts_at + window
            }
        };
        if end + window > now {
            return Ok(Err(format!("drift: the reference window ends at {end}, and the current one of {window} begins after that")));
        }
        Ok(Ok(end.align_down(self.plan.every)))
    }

    /// The features of both windows.
    async fn read(&mut self, reference_end: Timestamp, current_end: Timestamp) -> Result<FeatureHistograms> {
        let Self { engine, monitor, plan, .. } = self;
        let prometheus = engine.prometheus()?;
        let (query, window) = (&monitor.query, plan.window);
        let mut found = FeatureHistograms::default();
        if self.data != Data::Values {
            let windows = Windows { selector: query.clone(), by: plan.by.clone(), reference_end, current_end, window };
            found = windows.read_any(prometheus).await?;
            if !found.is_empty() {
                self.data = Data::Histograms;
            }
        }
        if self.data != Data::Histograms {
            let step = monitor.step.min(plan.every);
            self.reference.read(prometheus, query, &plan.by, (reference_end - window, reference_end), step).await?;
            self.current.read(prometheus, query, &plan.by, (current_end - window, current_end), step).await?;
            found = FeatureHistograms::of_sketches(self.reference.merged(), self.current.merged());
            if !found.is_empty() {
                self.data = Data::Values;
            }
        }
        if found.is_empty() {
            return Err(Error::invalid("query", format!("`{query}` yields nothing in either window")));
        }
        if found.len() > MOST_FEATURES {
            let what = format!("{:?} tell {} features apart; at most {MOST_FEATURES} are tested", plan.by, found.len());
            return Err(Error::invalid("drift.by", what));
        }
        Ok(found)
    }

    /// Opens, updates and ends findings.
    async fn decide(&mut self, features: &[JudgedHistogram], now: Timestamp) -> Result<()> {
        let Self { engine, monitor, plan, said, open, .. } = self;
        let verdicts = verdicts(monitor, features);
        said.hear(&verdicts, now, plan.every);
        // Whatever is open under its name is this monitor's: no other task works for it.
        open.update(engine, &monitor.name, |_| true, |known| said.decide((monitor, plan), &verdicts, known, now)).await?;
        Ok(())
    }
}
