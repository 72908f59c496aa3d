//! How monitors and their series are doing: what the engine shows of itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::drifting::Drift;
use super::forecasting::Outlook;
use super::histograms::JudgedHistogram;
use crate::analysis::detect::Judgement;
use crate::clock::{DurationMs, Timestamp};
use crate::monitor::Monitor;
use crate::series::SeriesKey;
use crate::words::words;

words! {
    /// Where a series is.
    SeriesState {
        /// Its values are as expected.
        Normal = "normal",
        /// It has an open finding.
        Anomalous = "anomalous",
        /// It cannot be judged.
        CannotSay = "cannot_say",
        /// It has an open finding that a guard holds back.
        Suppressed = "suppressed",
    }
}

/// Judgements kept for charts.
const RECENT: usize = 180;

/// The latest judgements of a series, shared by the engine that adds to them and whoever draws them.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<VecDeque<Judgement>>>);

impl Recent {
    /// Adds one; the oldest makes room. What each view said is kept in findings only.
    pub fn push(&self, mut judgement: Judgement) {
        judgement.views = Vec::new();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == RECENT {
            all.pop_front();
        }
        all.push_back(judgement);
    }

    /// The judgements, the newest last.
    pub fn judgements(&self) -> Vec<Judgement> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The latest judgement of a value that was there.
    pub fn last(&self) -> Option<Judgement> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().find(|j| !j.value.is_nan()).cloned()
    }
}

/// The state of one series.
#[derive(Clone, Debug)]
pub struct SeriesStatus {
    /// The series.
    pub key: SeriesKey,
    /// Where it is.
    pub state: SeriesState,
    /// Why it cannot be judged.
    pub cannot_say: Option<String>,
    /// Why its open finding is held back, or why its latest value is no measurement.
    pub suppressed: Option<String>,
    /// The latest judgements: what a chart shows.
    pub recent: Recent,
    /// Until when its model was trained.
    pub trained_until: Option<Timestamp>,
    /// The seasons that were found.
    pub periods: Vec<DurationMs>,
    /// Of a group of series: the share that each has in the latest judgement, the greatest first.
    pub parts: Vec<(SeriesKey, f64)>,
}

/// How a monitor is doing.
#[derive(Clone, Debug)]
pub struct MonitorStatus {
    /// The monitor.
    pub monitor: Monitor,
    /// The state of each series, in order of their keys.
    pub series: Arc<Vec<SeriesStatus>>,
    /// The state of each group of series that are judged together, in order of the labels they share.
    pub groups: Arc<Vec<SeriesStatus>>,
    /// The latest evaluation that ended well.
    pub last_evaluated: Option<Timestamp>,
    /// How long it took.
    pub evaluation_time: DurationMs,
    /// Why the latest evaluation failed.
    pub last_error: Option<String>,
    /// What Prometheus warned of at the latest evaluation, and what guards could not do or left out.
    pub warnings: Vec<String>,
    /// The p-value at which a point's score is 1.
    pub alpha: f64,
    /// What is forecast of its series.
    pub outlook: Outlook,
    /// What the latest test of drift gave.
    pub drift: Drift,
}

impl MonitorStatus {
    /// A monitor that was not evaluated yet.
    pub fn new(monitor: Monitor) -> Self {
        Self {
            monitor,
            series: Arc::default(),
            groups: Arc::default(),
            last_evaluated: None,
            evaluation_time: DurationMs::ZERO,
            last_error: None,
            warnings: Vec::new(),
            alpha: f64::NAN,
            outlook: Outlook::default(),
            drift: Drift::default(),
        }
    }

    /// How many series are in `state`; where drift is tested features count as series.
    pub fn count(&self, state: SeriesState) -> usize {
        let feature = |one: &JudgedHistogram| match &one.outcome {
            Ok(judged) if judged.drifted => SeriesState::Anomalous,
            Ok(_) => SeriesState::Normal,
            Err(_) => SeriesState::CannotSay,
        };
        let features = self.drift.features.iter().filter(|one| feature(one) == state).count();
        self.series.iter().filter(|s| s.state == state).count() + features
    }

    /// How many series, or features, there are.
    pub fn watched(&self) -> usize {
        self.series.len() + self.drift.features.len()
    }

    /// How many series and groups are judged: so many share the budget.
    pub fn judged(&self) -> usize {
        self.series.len() + self.groups.len()
    }

    /// How many series have a model.
    pub fn fitted(&self) -> usize {
        self.series.iter().filter(|s| s.trained_until.is_some()).count()
    }
}
