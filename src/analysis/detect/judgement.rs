//! What is said of one point: by each view, and by all of them together.

use serde::{Deserialize, Serialize};

use super::features::History;
use crate::analysis::calibrate::Tail;
use crate::clock::Timestamp;
use crate::finding::Direction;
use crate::words::words;

words! {
    /// A way to look at the residual.
    Detector {
        /// The residual at this point.
        Residual = "residual",
        /// How far three of the last five values are from the slow level, which does not follow what is abnormal.
        Level = "level",
        /// The mean of the last five residuals.
        Sustained = "sustained",
        /// The root mean square of the last five residuals.
        Energy = "energy",
        /// An isolation forest over the course of the residual.
        IsolationForest = "isolation_forest",
        /// The shape of the latest stretch.
        Shape = "shape",
        /// That a series changes that never did.
        Constant = "constant",
        /// How far it has moved in hours.
        Ramp = "ramp",
        /// How far it is from the series that otherwise move as it does.
        Peers = "peers",
        /// How far several series together are from where they were.
        Joint = "joint",
    }
}

impl Detector {
    /// Its share of the error (weighted Bonferroni; Genovese, Roeder & Wasserman, Biometrika 2006). Those of the views that
    /// make the score add up to 1; those that open a finding, level, shape and forest, to less.
    pub(super) fn weight(self) -> f64 {
        match self {
            Self::Level => 0.6,
            Self::Residual | Self::Energy => 0.36,
            Self::Shape => 0.18,
            Self::Sustained | Self::IsolationForest | Self::Ramp => 0.05,
            Self::Peers => 0.1,
            // They are alone.
            Self::Constant | Self::Joint => 1.0,
        }
    }
}

/// What one detector said of one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The detector.
    pub detector: Detector,
    /// Its p-value.
    pub p_value: f64,
    /// What it measured: a residual in scales, the forest's score, a distance of shapes, or a plain difference.
    pub statistic: f64,
}

impl View {
    /// What `detector` says of the third lowest or highest of the latest five values, whichever is further off, by how far
    /// `below` and `above` they usually are; `None` where there are not enough of them.
    pub(in crate::analysis) fn of_third(
        detector: Detector,
        latest: &History,
        (below, above): (&Tail, &Tail),
        direction: Option<Direction>,
    ) -> Option<Self> {
        let (low, high) = latest.third();
        let far = if high > -low { high } else { low };
        (!far.is_nan()).then(|| Self { detector, p_value: either(above, below, far, direction), statistic: far })
    }

    /// Whether it looks at the course of the series, and not at how far off its values are.
    pub(super) fn is_of_course(&self) -> bool {
        matches!(self.detector, Detector::IsolationForest | Detector::Shape)
    }

    /// Its p-value as part of all views.
    pub(super) fn bounded(&self) -> f64 {
        (self.p_value / self.detector.weight()).min(1.0)
    }

    /// The same in words.
    pub fn note(&self, judgement: &Judgement) -> String {
        let side = if self.statistic < 0.0 { "below" } else { "above" };
        match self.detector {
            Detector::Residual => {
                format!("{:.1} robust standard deviations {side} the expected value at {}", self.statistic.abs(), judgement.time)
            }
            Detector::Constant => format!("it never was but {} in {:.0} values", judgement.expected, 1.0 / self.p_value - 1.0),
            Detector::Level => {
                format!("three of five values at least {:.1} robust standard deviations {side} the level it had", self.statistic.abs())
            }
            Detector::Sustained => format!(
                "{:.1} robust standard deviations {side} it on average over five points, each counted up to 4",
                self.statistic.abs()
            ),
            Detector::Energy => {
                format!("deviations of {:.1} robust standard deviations, root mean square over five points", self.statistic)
            }
            Detector::Peers => {
                format!(
                    "three of five values at least {:.1} robust standard deviations {side} where its peers have it",
                    self.statistic.abs()
                )
            }
            Detector::Joint => format!("{:.1} robust standard deviations, root mean square over all series", self.statistic),
            Detector::Ramp => format!("{:.1} robust standard deviations {side} where it was hours before", self.statistic.abs()),
            Detector::Shape => format!("the latest stretch is {:.2} standard deviations from the nearest known shape", self.statistic),
            Detector::IsolationForest => format!("isolation score {:.2}: the residual's course is unlike the past", self.statistic),
        }
    }
}

/// What the peers of a series say of one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    /// What they say.
    pub view: View,
    /// How far it is from where they have it, in its own unit: three of five values are at least so far.
    pub off: f64,
}

/// The judgement of one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
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
    /// The residual in scales; NaN where the value is missing.
    pub z: f64,
    /// How surprising the point is: the calibrated p-value over all views but that of the level, which stays where it is
    /// long after it surprised. NaN where the value is missing.
    pub p_value: f64,
    /// The same as a score: 0 as expected, 1 at the decision bound, above it anomalous; NaN where the value is missing.
    pub score: f64,
    /// What each view said.
    pub views: Vec<View>,
    /// The decision bound it was held against.
    pub alpha: f64,
}

impl Judgement {
    /// Whether the value lies within its bounds.
    pub fn in_band(&self) -> bool {
        self.value >= self.lower && self.value <= self.upper
    }

    /// The p-value over all views, that of the level too. A point out of its bounds is as strong as it is far out, however it
    /// came there.
    pub fn strength(&self) -> f64 {
        let counts = |view: &&View| view.detector != Detector::Ramp || self.in_band() || !self.is_sudden();
        self.views.iter().filter(counts).map(View::bounded).fold(self.p_value, f64::min)
    }

    /// Whether the point is one of those that open a finding: suddenly, or because of where it has moved in hours.
    pub fn is_abnormal(&self) -> bool {
        self.is_sudden() || self.ramp().is_some()
    }

    /// Whether it is abnormal now: it surprises and is not where it is expected, or the course or
    /// shape of the series is new. What only springs back after a spike is where it is expected. What other series say of it
    /// needs no surprise.
    pub(super) fn is_sudden(&self) -> bool {
        let new = || self.speaks(View::is_of_course);
        self.score >= 1.0 && (!self.in_band() || new()) || self.is_odd()
    }

    /// Whether it is abnormal beside other series, whatever it is beside its own past.
    pub fn is_odd(&self) -> bool {
        self.speaks(|view| matches!(view.detector, Detector::Peers | Detector::Joint))
    }

    /// How it has moved in hours, if that is abnormal.
    pub(super) fn ramp(&self) -> Option<f64> {
        self.views.iter().find(|v| v.detector == Detector::Ramp && v.bounded() < self.alpha).map(|v| v.statistic)
    }

    fn speaks(&self, which: impl Fn(&View) -> bool) -> bool {
        self.views.iter().filter(|view| which(view)).any(|view| view.bounded() < self.alpha)
    }
}

/// How points are held against what is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The p-value at which the score is 1.
    pub alpha: f64,
    /// Only this direction counts; both when `None`.
    pub direction: Option<Direction>,
}

/// The p-value of `x` in the direction that counts.
pub(super) fn either(above: &Tail, below: &Tail, x: f64, direction: Option<Direction>) -> f64 {
    match direction {
        Some(Direction::Up) => above.p_value(x),
        Some(Direction::Down) => below.p_value(-x),
        None => (2.0 * above.p_value(x).min(below.p_value(-x))).min(1.0),
    }
}
