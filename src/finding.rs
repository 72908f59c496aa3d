//! A finding: a stretch of one series that its past does not explain.

use serde::{Deserialize, Serialize};

use crate::clock::{DurationMs, Timestamp};
use crate::metric::{MetricKind, Unit};
use crate::reach::Reach;
use crate::series::SeriesKey;
use crate::words::words;

words! {
    /// Above or below what was expected.
    Direction {
        /// Above.
        Up = "up",
        /// Below.
        Down = "down",
    }
}

words! {
    /// What kind of trouble a finding is; suggestions are matched on it.
    FindingKind {
        /// The value lies outside its expected band.
        Deviation = "deviation",
        /// The values lie inside the band but move in a way they never did.
        Pattern = "pattern",
        /// Several series of a group together are not where they were; each may lie inside its band.
        Group = "group",
        /// A limit will be reached, by forecast.
        Capacity = "capacity",
        /// The distribution of one or more features has changed.
        Drift = "drift",
    }
}

words! {
    /// How urgent an alert is.
    Severity {
        /// For the record.
        Info = "info",
        /// Look at it today.
        Warning = "warning",
        /// Look at it now.
        Critical = "critical",
    }
}

/// What one detector said about a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The detector that said it: `residual`, `level`, `peers` and others.
    pub detector: String,
    /// The smallest p-value it gave while the finding lasted.
    #[serde(deserialize_with = "null_is_nan")]
    pub p_value: f64,
    /// The same in words.
    pub note: String,
}

/// JSON has no NaN and no infinity: they are written as `null`, which reads back as NaN.
pub(crate) fn null_is_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A stretch of one series that its past does not explain, with what is needed to check it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable: made from monitor, series and onset.
    pub id: String,
    /// The monitor that watches the series.
    pub monitor: String,
    /// The service the series belongs to.
    pub service: String,
    /// The series.
    pub key: SeriesKey,
    /// What it measures.
    pub metric: MetricKind,
    /// The unit of its values.
    pub unit: Unit,
    /// What kind of trouble it is.
    pub kind: FindingKind,
    /// Above or below the expected value.
    pub direction: Direction,
    /// When the series left its expected course: at or before the first point that was flagged.
    pub onset: Timestamp,
    /// The point from which on it was known: what came slowly began long before.
    #[serde(default)]
    pub opened: Timestamp,
    /// The latest point that was judged part of it.
    pub last_seen: Timestamp,
    /// When the series was back for good; `None` while it lasts.
    pub ended: Option<Timestamp>,
    /// The value at its worst point.
    #[serde(deserialize_with = "null_is_nan")]
    pub value: f64,
    /// What was expected at the worst point.
    #[serde(deserialize_with = "null_is_nan")]
    pub expected: f64,
    /// The lower bound at the worst point.
    #[serde(deserialize_with = "null_is_nan")]
    pub lower: f64,
    /// The upper bound at the worst point.
    #[serde(deserialize_with = "null_is_nan")]
    pub upper: f64,
    /// The greatest anomaly score: 1 at the decision bound, above it anomalous.
    #[serde(deserialize_with = "null_is_nan")]
    pub score: f64,
    /// The smallest calibrated p-value.
    #[serde(deserialize_with = "null_is_nan")]
    pub p_value: f64,
    /// What each detector said, the strongest first.
    pub evidence: Vec<Evidence>,
    /// The fitted model that judged it.
    pub model: String,
    /// When the limit, which is the expected value, is reached; of [`FindingKind::Capacity`] only.
    #[serde(default)]
    pub reach: Option<Reach<Timestamp>>,
    /// How it came and went on, as far as a single series tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<Course>,
}

/// How far off a series was, one step after the other, before and after it was known to be: the shape by which findings are
/// compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// The step of the last deviation.
    pub until: Timestamp,
    /// The time between two of them.
    pub step: DurationMs,
    /// Deviations in robust standard deviations, at most [`Course::MOST`] of them; 0 where there was no value.
    pub deviations: Vec<f32>,
}

impl Course {
    /// The most deviations that are kept.
    pub const MOST: usize = 30;
}

/// A finding that a guard of its monitor holds back, or what people said of its like: it is kept and shown, and neither opens
/// nor joins an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldBack {
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
    /// The reason; a guard's is that of the latest abnormal point.
    pub suppressed: String,
}

impl Finding {
    /// The identity of a finding on `key` of `monitor` that began at `onset`.
    pub fn identity(monitor: &str, key: &SeriesKey, onset: Timestamp) -> String {
        let series = key.fingerprint();
        let tag =
            SeriesKey::new([("m".to_owned(), monitor.to_owned()), ("s".to_owned(), series), ("t".to_owned(), onset.millis().to_string())]);
        format!("f-{}", tag.fingerprint())
    }

    /// What a finding of capacity or drift says; `None` for other kinds, which say what was seen and what was expected.
    pub fn in_words(&self) -> Option<String> {
        match self.kind {
            FindingKind::Capacity => Some(self.reach?.in_words(&self.unit.show(self.expected), Timestamp::as_date)),
            FindingKind::Drift => {
                let (worst, others) = self.evidence.split_first()?;
                let more = if others.is_empty() { String::new() } else { format!(", and {} more", others.len()) };
                Some(format!("{}{more}", worst.note))
            }
            FindingKind::Deviation | FindingKind::Pattern | FindingKind::Group => None,
        }
    }

    /// Whether it still lasts.
    pub fn is_open(&self) -> bool {
        self.ended.is_none()
    }
}
