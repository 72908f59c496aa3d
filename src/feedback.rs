//! Feedback: what people say of an incident, and what is kept of it so that it can be learned from.

use serde::{Deserialize, Serialize};

use crate::clock::{DurationMs, Timestamp};
use crate::finding::{Direction, Finding, FindingKind, null_is_nan};
use crate::incident::Incident;
use crate::metric::MetricKind;
use crate::series::SeriesKey;
use crate::words::words;

/// The most findings of one incident that a verdict is kept of, the earliest first.
const MOST_SEEN: usize = 100;

words! {
    /// What somebody says of an incident.
    Verdict {
        /// It was worth telling.
        Useful = "useful",
        /// It was not.
        Noise = "noise",
        /// It was right, and is how things are from now on.
        Expected = "expected",
        /// A cause that it named was not the cause.
        WrongCause = "wrong_cause",
        /// A suggestion solved it.
        Fixed = "fixed",
    }
}

impl Verdict {
    /// As people read it.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Useful => "useful",
            Self::Noise => "noise",
            Self::Expected => "expected from now on",
            Self::WrongCause => "wrong cause",
            Self::Fixed => "this fixed it",
        }
    }

    /// Whether it says that the incident was worth telling, or was not; `None` where it says neither.
    pub fn worth_telling(self) -> Option<bool> {
        match self {
            Self::Useful | Self::Fixed => Some(true),
            Self::Noise | Self::Expected => Some(false),
            Self::WrongCause => None,
        }
    }
}

/// What is kept of a finding that was judged, after its incident is long forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The finding's id.
    pub finding: String,
    /// Its monitor.
    pub monitor: String,
    /// Its service.
    pub service: String,
    /// Its series.
    pub key: SeriesKey,
    /// What that measures.
    pub metric: MetricKind,
    /// What kind of trouble it was.
    pub kind: FindingKind,
    /// Above or below.
    pub direction: Direction,
    /// When it began.
    pub onset: Timestamp,
    /// How long it lasted, as far as it is known.
    pub lasted: DurationMs,
    /// How far its worst value was from what was expected, in the unit of the values.
    #[serde(deserialize_with = "null_is_nan")]
    pub deviation: f64,
    /// Its anomaly score.
    #[serde(deserialize_with = "null_is_nan")]
    pub score: f64,
}

impl Seen {
    /// What is kept of `finding`.
    pub fn of(finding: &Finding) -> Self {
        Self {
            finding: finding.id.clone(),
            monitor: finding.monitor.clone(),
            service: finding.service.clone(),
            key: finding.key.clone(),
            metric: finding.metric,
            kind: finding.kind,
            direction: finding.direction,
            onset: finding.onset,
            lasted: finding.ended.unwrap_or(finding.last_seen).since(finding.onset),
            deviation: (finding.value - finding.expected).abs(),
            score: finding.score,
        }
    }
}

/// What somebody said of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feedback {
    /// Stable: the same verdict of the same author on the same thing has the same, however often it is given.
    pub id: String,
    /// The incident.
    pub incident: String,
    /// Its title when this was said.
    pub title: String,
    /// The service it is about.
    pub service: String,
    /// What was said.
    pub verdict: Verdict,
    /// The id of the cause that it speaks of.
    pub cause: Option<String>,
    /// The id of the suggestion that it speaks of.
    pub suggestion: Option<String>,
    /// The ids of the suggestions that were shown.
    pub suggested: Vec<String>,
    /// More, in the author's words.
    pub comment: String,
    /// Who said it; empty where that is not known.
    pub author: String,
    /// When.
    pub given_at: Timestamp,
    /// When it was taken back; `None` while it is in force.
    pub undone_at: Option<Timestamp>,
    /// The incident's findings.
    pub seen: Vec<Seen>,
}

/// A verdict as it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// On this incident.
    pub incident: String,
    /// What is said.
    pub verdict: Verdict,
    /// The id of one of its causes.
    pub cause: Option<String>,
    /// The id of one of its suggestions.
    pub suggestion: Option<String>,
    /// More.
    pub comment: String,
    /// Who says it.
    pub author: String,
}

impl Feedback {
    /// The suggestion that fixed the incident, where that is what it says.
    pub fn fix(&self) -> Option<&str> {
        self.suggestion.as_deref().filter(|_| self.verdict == Verdict::Fixed)
    }

    /// What is kept of a verdict given at `now` on `incident`.
    pub fn of(given: Given, incident: &Incident, now: Timestamp) -> Self {
        let Given { verdict, cause, suggestion, comment, author, .. } = given;
        let part = |name: &str, value: Option<&str>| (name.to_owned(), value.unwrap_or_default().to_owned());
        let identity = SeriesKey::new([
            part("incident", Some(&incident.id)),
            part("verdict", Some(verdict.as_str())),
            part("cause", cause.as_deref()),
            part("suggestion", suggestion.as_deref()),
            part("author", Some(&author)),
        ]);
        Self {
            id: format!("fb-{}", identity.fingerprint()),
            incident: incident.id.clone(),
            title: incident.title.clone(),
            service: incident.service.clone(),
            verdict,
            cause,
            suggestion,
            suggested: incident.suggestions.iter().map(|s| s.id.clone()).collect(),
            comment,
            author,
            given_at: now,
            undone_at: None,
            seen: seen(incident),
        }
    }

    /// Takes in what the incident's findings came to; whether that is anything new.
    pub fn look_again(&mut self, incident: &Incident) -> bool {
        let seen = seen(incident);
        let is_new = !seen.is_empty() && seen != self.seen;
        if is_new {
            self.seen = seen;
        }
        is_new
    }

    /// Whether it was not taken back.
    pub fn is_in_force(&self) -> bool {
        self.undone_at.is_none()
    }
}

fn seen(incident: &Incident) -> Vec<Seen> {
    incident.findings.iter().take(MOST_SEEN).map(Seen::of).collect()
}
