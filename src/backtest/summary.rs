//! What a backtest found, as `summary.json` holds it, and the pictures that are drawn beside it.
//!
//! A measure that cannot be had, for want of labels or of anything found, is `null`: it is never a zero.

use serde::{Deserialize, Serialize};

use crate::clock::{DurationMs, Timestamp};
use crate::finding::{Direction, Finding, FindingKind, null_is_nan};
use crate::plot::{Chart, Mark};

use super::score::{event, nab};

/// A whole backtest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What it was told.
    pub settings: RunSettings,
    /// All series together.
    pub totals: Totals,
    /// Every file that could be judged, in order of its path.
    pub series: Vec<SeriesSummary>,
    /// Files that could not be read, with the reason, in order of their paths.
    pub failed: Vec<Failure>,
    /// What a user should know of labels that fit no file.
    pub warnings: Vec<String>,
}

/// What a backtest was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// Bellwether's version.
    pub version: String,
    /// Where the files are, as it was given.
    pub data: String,
    /// The file of labels, as it was given.
    pub labels: Option<String>,
    /// False alerts accepted per day over all series together.
    pub budget_per_day: f64,
    /// How much history a model learns from.
    pub window: DurationMs,
    /// How long a model serves.
    pub refit: DurationMs,
    /// Points after its first within which a segment has to be noticed, for the event measures.
    pub event_delay: usize,
}

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its path below the data.
    pub path: String,
    /// Why, in one line.
    pub reason: String,
}

/// What was said of one file, which is one series of one channel or of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeriesSummary {
    /// The file's path below the data, with `/` between its parts.
    pub path: String,
    /// Its columns of numbers, in order of their names.
    pub channels: Vec<String>,
    /// Its rows.
    pub rows: usize,
    /// Cells without a value, over all channels.
    pub missing: usize,
    /// Places on the step that have no row.
    pub gaps: usize,
    /// Rows on a place that an earlier row has already; they are not judged.
    pub duplicates: usize,
    /// Rows that are earlier than a row before them.
    pub disordered: usize,
    /// The time of the earliest row.
    #[serde(with = "rfc3339")]
    pub first: Timestamp,
    /// The time of the latest row.
    #[serde(with = "rfc3339")]
    pub last: Timestamp,
    /// The time between two places.
    pub step: DurationMs,
    /// The p-value at which the score is 1, for the file as a whole.
    pub alpha: f64,
    /// Rows with a score.
    pub judged: usize,
    /// Why no row has a score.
    pub cannot_say: Option<String>,
    /// What was found, in order of onset; at most [`MOST_FINDINGS`], fewer where there are many files.
    pub findings: Vec<Found>,
    /// Findings beyond those that are listed.
    pub findings_left_out: usize,
    /// Findings, those of several channels at the same time counted once.
    pub alerts: usize,
    /// The same per day that was judged; `None` when nothing was.
    pub alerts_per_day: Option<f64>,
    /// How this agrees with the labels; `None` without labels.
    pub labelled: Option<Labelled>,
    /// Why some measures are missing although there are labels.
    pub not_measured: Option<String>,
}

/// The most findings that a file's summary lists.
pub const MOST_FINDINGS: usize = 1000;

/// A finding in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The column it is in.
    pub channel: String,
    /// When the values left their expected course.
    #[serde(with = "rfc3339")]
    pub onset: Timestamp,
    /// The latest point that was judged part of it.
    #[serde(with = "rfc3339")]
    pub last_seen: Timestamp,
    /// When the values were back for good; `None` when the file ends before.
    #[serde(with = "rfc3339::option")]
    pub ended: Option<Timestamp>,
    /// Above or below what was expected.
    pub direction: Direction,
    /// What kind of trouble it is.
    pub kind: FindingKind,
    /// The greatest anomaly score.
    #[serde(deserialize_with = "null_is_nan")]
    pub score: f64,
    /// The smallest p-value.
    #[serde(deserialize_with = "null_is_nan")]
    pub p_value: f64,
    /// The value at its worst point.
    #[serde(deserialize_with = "null_is_nan")]
    pub value: f64,
    /// What was expected there.
    #[serde(deserialize_with = "null_is_nan")]
    pub expected: f64,
    /// The lower bound there.
    #[serde(deserialize_with = "null_is_nan")]
    pub lower: f64,
    /// The upper bound there.
    #[serde(deserialize_with = "null_is_nan")]
    pub upper: f64,
    /// What each detector said, the strongest first.
    pub evidence: Vec<String>,
    /// Whether it overlaps a labelled segment; `None` without labels, and where labels do not count.
    pub right: Option<bool>,
}

impl Found {
    /// The finding in the column `channel`, before labels are looked at.
    pub fn new(channel: &str, finding: &Finding) -> Self {
        Self {
            channel: channel.to_owned(),
            onset: finding.onset,
            last_seen: finding.last_seen,
            ended: finding.ended,
            direction: finding.direction,
            kind: finding.kind,
            score: finding.score,
            p_value: finding.p_value,
            value: finding.value,
            expected: finding.expected,
            lower: finding.lower,
            upper: finding.upper,
            evidence: finding.evidence.iter().map(|evidence| evidence.note.clone()).collect(),
            right: None,
        }
    }
}

/// How a file's judgement agrees with its labels. Rows whose `part` is `train` count in none of it, the NAB scores
/// apart, which have a rule of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Labelled {
    /// Rows that count.
    pub rows: usize,
    /// Those of them with a label.
    pub anomalous: usize,
    /// Runs of labelled rows.
    pub segments: usize,
    /// Segments that some finding overlaps, from its onset to the last point that is part of it.
    pub detected: usize,
    /// Alerts that overlap a segment.
    pub right_alerts: usize,
    /// Alerts that overlap none.
    pub false_alerts: usize,
    /// The share of segments that are detected.
    pub recall: Option<f64>,
    /// The share of alerts that are right.
    pub precision: Option<f64>,
    /// For each segment, in order, the seconds from its first row to the first one within an open finding or with a
    /// score of 1; `null` where there is none.
    pub seconds_to_detect: Vec<Option<f64>>,
    /// The median of those that are numbers.
    pub median_seconds_to_detect: Option<f64>,
    /// The area under the precision-recall curve of the scores (average precision).
    pub auc_pr: Option<f64>,
    /// The volume under the precision-recall surface.
    pub vus_pr: Option<f64>,
    /// The longest window of that volume in points: the first channel's period.
    pub vus_window: usize,
    /// The event measures at a score of 1.
    pub event: Option<F1>,
    /// The event measures at the score that is best for this file.
    pub best_event: Option<F1>,
    /// The NAB scores of what is told as news, from a strength of 4.75 on; only of files with windows in the file of labels.
    pub nab: Option<Nab>,
}

/// All files together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Files that were read.
    pub series: usize,
    /// Those of them with a row that was judged.
    pub series_judged: usize,
    /// Rows of all files.
    pub rows: usize,
    /// Rows with a score.
    pub judged: usize,
    /// The time that was judged, in days, summed over all series.
    pub series_days: f64,
    /// Alerts over all files.
    pub alerts: usize,
    /// Alerts a day if all series were watched at once: those per day of a series, times the series.
    pub alerts_per_day: Option<f64>,
    /// The same for those that are not right; where there are no labels, none is taken to be right.
    pub false_alerts_per_day: Option<f64>,
    /// What was accepted.
    pub budget_per_day: f64,
    /// Whether false alerts stayed within it.
    pub budget_kept: Option<bool>,
    /// How this agrees with the labels; `None` without any.
    pub labelled: Option<LabelledTotals>,
}

/// How the judgement of all labelled files agrees with their labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelledTotals {
    /// Files with labels and measures.
    pub series: usize,
    /// Segments of all of them.
    pub segments: usize,
    /// Segments that are detected.
    pub detected: usize,
    /// The share of all segments that are detected.
    pub recall: Option<f64>,
    /// The share of all alerts that are right.
    pub precision: Option<f64>,
    /// The median over all detected segments.
    pub median_seconds_to_detect: Option<f64>,
    /// The mean over the series that have one.
    pub mean_auc_pr: Option<f64>,
    /// The mean over the series that have one.
    pub mean_vus_pr: Option<f64>,
    /// The mean F1 at a score of 1, over the series that have one.
    pub mean_event_f1: Option<f64>,
    /// The mean of the best F1, a threshold for each series, over those that have one.
    pub mean_best_event_f1: Option<f64>,
    /// The event measures over the points of all series at a score of 1.
    pub event: Option<F1>,
    /// The same at the one threshold for all series that is best.
    pub best_event: Option<F1>,
    /// The NAB scores of what is told as news in all files that have windows, from a strength of 4.75 on.
    pub nab: Option<Nab>,
    /// The same, each from the one strength for all files on that is best.
    pub best_nab: Option<Nab>,
    /// Why the measures over all series at one threshold are missing.
    pub not_measured: Option<String>,
}

/// Precision, recall and F1 of labelled points, each segment found or missed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct F1 {
    /// The least score that was flagged; `None` when flagging nothing is best.
    pub threshold: Option<f64>,
    /// The share of right points among the flagged ones.
    pub precision: f64,
    /// The share of labelled points in found segments.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
}

impl From<event::PointF1> for F1 {
    fn from(of: event::PointF1) -> Self {
        Self { threshold: finite(of.threshold), precision: of.precision, recall: of.recall, f1: of.f1 }
    }
}

/// The NAB scores for its three profiles. What is scored is the strength of the news of each row, not its anomaly score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nab {
    /// NAB's "standard".
    pub standard: NabScore,
    /// NAB's "reward low FP rate".
    pub low_fp: NabScore,
    /// NAB's "reward low FN rate".
    pub low_fn: NabScore,
}

impl Nab {
    /// The scores that `of` gives for each profile.
    pub fn by_profile(of: impl Fn(&nab::Profile) -> nab::Score) -> Self {
        let score = |profile| NabScore::from(of(&profile));
        Self { standard: score(nab::Profile::STANDARD), low_fp: score(nab::Profile::LOW_FP), low_fn: score(nab::Profile::LOW_FN) }
    }
}

/// One NAB score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NabScore {
    /// The least strength of news that was flagged; `None` when flagging nothing is best.
    pub threshold: Option<f64>,
    /// From 0 for flagging nothing to 100 for perfection, below 0 for worse than nothing; `None` without a window.
    pub score: Option<f64>,
    /// Windows that count.
    pub windows: usize,
    /// Flagged rows within windows.
    pub true_positives: usize,
    /// Flagged rows outside.
    pub false_positives: usize,
}

impl From<nab::Score> for NabScore {
    fn from(of: nab::Score) -> Self {
        Self {
            threshold: finite(of.threshold),
            score: of.normalised,
            windows: of.windows,
            true_positives: of.true_positives,
            false_positives: of.false_positives,
        }
    }
}

fn finite(threshold: f64) -> Option<f64> {
    threshold.is_finite().then_some(threshold)
}

/// What is drawn of one file: kept in memory beside the summary.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// The file's path, as in its [`SeriesSummary`].
    pub path: String,
    /// The values that were judged, what was expected of them, and a mark for each finding, thinned to a few thousand
    /// points of which none is more or less extreme than the file's; of several channels the worst one of each row.
    pub chart: Chart,
    /// The labelled segments.
    pub labelled: Vec<Mark>,
}

/// Instants as RFC 3339 in UTC.
mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::clock::Timestamp;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }

    /// The same where there may be none.
    pub(super) mod option {
        use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

        use crate::clock::Timestamp;

        #[expect(clippy::ref_option, reason = "the form that serde asks for")]
        pub(in super::super) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
            time.map(|time| time.to_string()).serialize(serializer)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
        }
    }
}
