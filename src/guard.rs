//! Guards: what the owner of a monitor knows and no model can learn. A point that a guard holds back is judged like
//! any other and keeps its score; it opens no finding, and says why.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::clock::{DurationMs, Timestamp};
use crate::finding::null_is_nan;
use crate::metric::Unit;
use crate::words::words;

words! {
    /// A kind of guard, by the field of the configuration that sets it.
    Guard {
        /// Values outside a range are no measurements.
        Valid = "valid",
        /// Values of scrapes that were missed are no measurements.
        MissedScrapes = "missed_scrapes",
        /// A series is new.
        WarmUp = "warm_up",
        /// People are at work on it.
        Maintenance = "maintenance",
        /// It counts at certain times only.
        Only = "only",
        /// There is too little traffic for the value to mean anything.
        LeastTraffic = "least_traffic",
        /// The deviation is too small to matter, in the unit of the values.
        LeastDeviation = "least_deviation",
        /// The deviation is too small to matter, as a share of the expected value.
        LeastRelativeDeviation = "least_relative_deviation",
    }
}

/// The guards of a monitor; by default none but that for missed scrapes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guards {
    /// A smaller distance from the expected value is no finding; in the unit of the values.
    pub least_deviation: Option<f64>,
    /// The same as a fraction of the expected value: 0.1 is a tenth of it. With both, both have to be reached.
    pub least_relative_deviation: Option<f64>,
    /// What a measurement can be.
    pub valid: ValidRange,
    /// Whether rates of ranges whose scrapes were missed are no measurements.
    pub missed_scrapes: bool,
    /// The traffic that a value needs to mean something.
    pub least_traffic: Option<LeastTraffic>,
    /// Findings open only while one of these has a window open; always where there are none.
    pub only: Vec<Calendar>,
    /// No findings open while one of these has a window open.
    pub maintenance: Vec<Calendar>,
    /// No findings open for so long after a series first appeared.
    pub warm_up: Option<DurationMs>,
}

/// The values that can be measurements, both ends included; others are treated as missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ValidRange {
    /// The smallest.
    pub min: Option<f64>,
    /// The greatest.
    pub max: Option<f64>,
}

/// The traffic that a value needs to mean something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeastTraffic {
    /// PromQL that yields the traffic of each series or of its service.
    pub query: String,
    /// Points with less are held back; in the unit of the query.
    pub per_second: f64,
}

/// What the guards need to know of a point that was judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When it was measured.
    pub time: Timestamp,
    /// The value as it was measured, also where it is not valid.
    pub value: f64,
    /// What was expected; NaN where nothing was.
    pub expected: f64,
    /// The traffic at that time; not knowing it holds nothing back.
    pub traffic: Option<f64>,
    /// How long ago the series first appeared.
    pub age: DurationMs,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            least_deviation: None,
            least_relative_deviation: None,
            valid: ValidRange::default(),
            missed_scrapes: true,
            least_traffic: None,
            only: Vec::new(),
            maintenance: Vec::new(),
            warm_up: None,
        }
    }
}

/// Why a point opens no finding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppressed {
    /// The value is below the least valid one.
    TooSmall {
        /// The value.
        #[serde(deserialize_with = "null_is_nan")]
        value: f64,
        /// The least valid one.
        min: f64,
    },
    /// The value is above the greatest valid one.
    TooGreat {
        /// The value.
        #[serde(deserialize_with = "null_is_nan")]
        value: f64,
        /// The greatest valid one.
        max: f64,
    },
    /// Scrapes of the value's range were missed.
    MissedScrapes {
        /// How many samples the range has.
        samples: f64,
        /// How many such ranges had shortly before.
        usual: f64,
    },
    /// The series is new.
    WarmUp {
        /// How long ago it first appeared.
        age: DurationMs,
        /// How long it warms up.
        lasts: DurationMs,
    },
    /// A maintenance window is open.
    Maintenance {
        /// When it ends.
        until: Timestamp,
    },
    /// None of the windows in which the monitor counts is open.
    Only,
    /// There is too little traffic.
    LeastTraffic {
        /// The traffic there is.
        #[serde(deserialize_with = "null_is_nan")]
        traffic: f64,
        /// The traffic there must be.
        least: f64,
    },
    /// The deviation is too small.
    LeastDeviation {
        /// The distance from the expected value.
        deviation: f64,
        /// What it must be.
        least: f64,
    },
    /// The deviation is too small a share of the expected value.
    LeastRelativeDeviation {
        /// The share.
        share: f64,
        /// What it must be.
        least: f64,
    },
}

impl Guards {
    /// Those that hold for a group of series too: they ask for the time, not for the value.
    #[must_use]
    pub fn of_groups(&self) -> Self {
        Self { only: self.only.clone(), maintenance: self.maintenance.clone(), warm_up: self.warm_up, ..Self::default() }
    }

    /// `value`, or NaN where it cannot be a measurement.
    pub fn measured(&self, value: f64) -> f64 {
        if self.refuses(value).is_some() { f64::NAN } else { value }
    }

    /// Why `value` is no measurement; `None` where it may be one.
    pub fn refuses(&self, value: f64) -> Option<Suppressed> {
        self.valid.refuses(value)
    }

    /// Why `point` opens no finding; `None` where it may. What makes the value worthless comes first, what makes it
    /// small last. NaN never holds anything back.
    pub fn suppress(&self, point: &Point) -> Option<Suppressed> {
        self.valid
            .refuses(point.value)
            .or_else(|| self.warming_up(point.age))
            .or_else(|| self.out_of_time(point.time))
            .or_else(|| self.little_traffic(point.traffic?))
            .or_else(|| self.small(point.value, point.expected))
    }

    /// What they hold back, with values shown in the monitor's `unit`; empty where all is as by default.
    pub fn in_words(&self, unit: Unit) -> String {
        let mut parts = Vec::new();
        let deviation = self.least_deviation.map(|least| unit.show(least));
        let relative = self.least_relative_deviation.map(|least| Unit::Ratio.show(least));
        match (deviation, relative) {
            (Some(least), Some(share)) => parts.push(format!("deviations under {least} or under {share}")),
            (Some(least), None) | (None, Some(least)) => parts.push(format!("deviations under {least}")),
            (None, None) => {}
        }
        match (self.valid.min, self.valid.max) {
            (Some(min), Some(max)) => parts.push(format!("values outside {} to {}", unit.show(min), unit.show(max))),
            (Some(min), None) => parts.push(format!("values under {}", unit.show(min))),
            (None, Some(max)) => parts.push(format!("values over {}", unit.show(max))),
            (None, None) => {}
        }
        if !self.missed_scrapes {
            parts.push("nothing for missed scrapes".to_owned());
        }
        if let Some(least) = &self.least_traffic {
            parts.push(format!("traffic under {}", Unit::PerSecond.show(least.per_second)));
        }
        let windows = |of: &[Calendar]| format!("{} window{}", of.len(), if of.len() == 1 { "" } else { "s" });
        if !self.only.is_empty() {
            parts.push(format!("all outside {}", windows(&self.only)));
        }
        if !self.maintenance.is_empty() {
            parts.push(format!("all in {} of maintenance", windows(&self.maintenance)));
        }
        if let Some(lasts) = self.warm_up {
            parts.push(format!("the first {lasts} of a series"));
        }
        parts.join(", ")
    }

    fn warming_up(&self, age: DurationMs) -> Option<Suppressed> {
        self.warm_up.filter(|lasts| age < *lasts).map(|lasts| Suppressed::WarmUp { age, lasts })
    }

    fn out_of_time(&self, time: Timestamp) -> Option<Suppressed> {
        if let Some(until) = self.maintenance.iter().filter_map(|calendar| calendar.open_until(time)).max() {
            return Some(Suppressed::Maintenance { until });
        }
        let counts = self.only.is_empty() || self.only.iter().any(|calendar| calendar.covers(time));
        (!counts).then_some(Suppressed::Only)
    }

    fn little_traffic(&self, traffic: f64) -> Option<Suppressed> {
        let least = self.least_traffic.as_ref()?.per_second;
        (traffic < least).then_some(Suppressed::LeastTraffic { traffic, least })
    }

    fn small(&self, value: f64, expected: f64) -> Option<Suppressed> {
        let (deviation, scale) = ((value - expected).abs(), expected.abs());
        if let Some(least) = self.least_deviation.filter(|least| deviation < *least) {
            return Some(Suppressed::LeastDeviation { deviation, least });
        }
        // As a product, so that an expected value of zero makes every deviation great.
        let least = self.least_relative_deviation.filter(|least| deviation < least * scale)?;
        Some(Suppressed::LeastRelativeDeviation { share: deviation / scale, least })
    }
}

impl ValidRange {
    fn refuses(self, value: f64) -> Option<Suppressed> {
        let small = self.min.filter(|min| value < *min).map(|min| Suppressed::TooSmall { value, min });
        small.or_else(|| self.max.filter(|max| value > *max).map(|max| Suppressed::TooGreat { value, max }))
    }
}

impl Suppressed {
    /// The guard that holds the point back.
    pub fn guard(self) -> Guard {
        match self {
            Self::TooSmall { .. } | Self::TooGreat { .. } => Guard::Valid,
            Self::MissedScrapes { .. } => Guard::MissedScrapes,
            Self::WarmUp { .. } => Guard::WarmUp,
            Self::Maintenance { .. } => Guard::Maintenance,
            Self::Only => Guard::Only,
            Self::LeastTraffic { .. } => Guard::LeastTraffic,
            Self::LeastDeviation { .. } => Guard::LeastDeviation,
            Self::LeastRelativeDeviation { .. } => Guard::LeastRelativeDeviation,
        }
    }

    /// The reason in words, with values shown in the monitor's `unit`.
    pub fn reason(self, unit: Unit) -> String {
        match self {
            Self::TooSmall { value, min } => {
                let (value, min) = told_apart(unit, value, min);
                format!("value {value} is under the least valid value {min}, so it is no measurement")
            }
            Self::TooGreat { value, max } => {
                let (value, max) = told_apart(unit, value, max);
                format!("value {value} is over the greatest valid value {max}, so it is no measurement")
            }
            Self::MissedScrapes { samples, usual } => {
                format!("scrapes of its range were missed, which has {samples} of {usual} samples, so it is no measurement")
            }
            Self::WarmUp { age, lasts } => format!("the series is {} old and warms up for {lasts}", age.in_words()),
            Self::Maintenance { until } => format!("a maintenance window is open until {}", until.in_words()),
            Self::Only => "it is outside the hours in which this monitor counts".to_owned(),
            Self::LeastTraffic { traffic, least } => {
                let (traffic, least) = told_apart(Unit::PerSecond, traffic, least);
                format!("traffic {traffic} is under the least traffic {least}")
            }
            Self::LeastDeviation { deviation, least } => {
                let (deviation, least) = told_apart(unit, deviation, least);
                format!("deviation {deviation} is under the least absolute deviation {least}")
            }
            Self::LeastRelativeDeviation { share, least } => {
                let (share, least) = told_apart(Unit::Ratio, share, least);
                format!("deviation {share} of the expected value is under the least relative deviation {least}")
            }
        }
    }
}

/// The reason, with values shown without a unit.
impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason(Unit::None))
    }
}

/// Two different values with as many digits as it takes to see that they differ.
fn told_apart(unit: Unit, a: f64, b: f64) -> (String, String) {
    let show = |value: f64, digits| if value.is_infinite() { value.to_string() } else { unit.show_to(value, digits) };
    let shown = |digits| (show(a, digits), show(b, digits));
    (3..15).map(shown).find(|(a, b)| a != b).unwrap_or_else(|| shown(15))
}
