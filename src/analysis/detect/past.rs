//! What the training window looks like to each view.

use linfa::prelude::{DatasetBase, Fit, ParamGuard};
use ndarray::{Array2, ArrayView1};

use super::features::{FEATURES, History};
use super::isolation_forest::IsolationForest;
use super::ramp::{self, Blocks, Ramp};
use super::shape::Shapes;
use crate::analysis::baseline::Baseline;
use crate::analysis::calibrate::Tail;
use crate::series::Window;

/// The most rows the forest's tail is calibrated on; they are spread evenly over the training window.
const CALIBRATION_ROWS: usize = 4000;
/// A past incident must not teach what is usual: where three of five residuals are this far off, they are left out…
const INCIDENT: f64 = 6.0;
/// …unless so much of the window is like that, for then it is how the series is.
const MOST_INCIDENTS: f64 = 0.05;
/// The forest of a series is small: it is kept for each, and its word weighs little.
const TREES: usize = 9;
/// Rows each tree is grown on.
const SAMPLE: usize = 32;
/// Extremes of a statistic that are closer than this are of one event: no view looks back further, but for the shape.
pub const APART: usize = 10;
const SEED: u64 = 20_080;

/// What the views would have seen of a run of surprises.
pub struct Past {
    pub surprises: Vec<f64>,
    pub sustained: Vec<f64>,
    pub energy: Vec<f64>,
    pub history: History,
}

impl Past {
    /// Of `surprises` in their order.
    pub fn of(surprises: &[f64]) -> Self {
        let n = surprises.len();
        let (mut sustained, mut energy) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let mut history = History::default();
        for z in surprises {
            history.push(*z);
            sustained.push(history.sustained());
            energy.push(history.energy());
        }
        Self { surprises: surprises.to_vec(), sustained, energy, history }
    }
}

/// The last values of `values`, as many as `shapes` need.
pub fn latest(values: &[f64], shapes: Option<&Shapes>) -> Vec<f64> {
    let span = shapes.map_or(0, Shapes::span);
    values[values.len().saturating_sub(span)..].to_vec()
}

/// For how many points more the latest values hold a residual that a finding may be of.
pub fn healing(residuals: &[f64], shapes: Option<&Shapes>) -> usize {
    let span = shapes.map_or(0, Shapes::span);
    let since = residuals.iter().rev().take(span).take_while(|z| z.abs() <= INCIDENT).count();
    span - since
}

/// Blanks the residuals of past incidents, unless there are too many for incidents.
pub fn forget_incidents(residuals: &mut [f64]) {
    let n = residuals.len();
    let mut incident = vec![false; n];
    for i in 0..n.saturating_sub(4) {
        if residuals[i..i + 5].iter().filter(|z| z.abs() > INCIDENT).count() >= 3 {
            incident[i..i + 5].fill(true);
        }
    }
    if (incident.iter().filter(|x| **x).count() as f64) < n as f64 * MOST_INCIDENTS {
        residuals.iter_mut().zip(&incident).filter(|(_, x)| **x).for_each(|(z, _)| *z = f64::NAN);
    }
}

/// Of the five residuals up to each the third lowest and the third highest.
pub fn thirds(residuals: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut history = History::default();
    let third = |z: &f64| {
        history.push(*z);
        history.third()
    };
    residuals.iter().map(third).unzip()
}

/// How much the series changes in hours, where it has a value and it is no incident.
pub fn fit_ramp(window: &Window, deseasonalised: &[f64], residuals: &[f64], baseline: &Baseline) -> Option<(Ramp, Blocks)> {
    let values = deseasonalised.iter().zip(residuals).enumerate();
    let counted: Vec<f64> = values.map(|(i, (value, z))| ramp::clipped(*value, *z, baseline.scale_at(window.time(i)))).collect();
    Ramp::fit(window, &counted, baseline.scale_at(window.start()))
}

/// The latest residuals, and the features of their course at each point.
pub fn course(residuals: &[f64]) -> (History, Vec<[f64; FEATURES]>) {
    let mut history = History::default();
    let mut rows = Vec::with_capacity(residuals.len());
    for z in residuals {
        history.push(*z);
        rows.extend(history.features());
    }
    (history, rows)
}

/// The forest on the features, and the tail of its scores; `None` when there are too few rows.
pub fn fit_forest(rows: &[[f64; FEATURES]]) -> Option<(IsolationForest, Tail)> {
    let every = rows.len().div_ceil(CALIBRATION_ROWS).max(1);
    let kept: Vec<[f64; FEATURES]> = rows.iter().copied().step_by(every).collect();
    let table = Array2::from_shape_vec((kept.len(), FEATURES), kept.concat()).ok()?;
    let forest =
        IsolationForest::params().trees(TREES).sample_size(SAMPLE).seed(SEED).check().ok()?.fit(&DatasetBase::from(table.view())).ok()?;
    let scores =
        table.outer_iter().map(|row: ArrayView1<'_, f64>| forest.score_one(row.as_slice().unwrap_or_default()).unwrap_or(f64::NAN));
    let tail = Tail::predictive(&scores.collect::<Vec<_>>(), APART)?;
    Some((forest, tail))
}
