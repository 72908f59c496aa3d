//! When an incident was, and what is held apart by its kind.

use super::SLACK;
use crate::clock::{DurationMs, Timestamp};
use crate::finding::{Finding, FindingKind};
use crate::incident::Incident;

/// How far apart the onsets of what lasts for days may be.
const TOGETHER: DurationMs = DurationMs::HOUR;

/// What lasts for days and is another task than what is wrong now: it joins only its like. `None` for what is wrong now.
pub(super) type Sort = Option<FindingKind>;

pub(super) fn sort(finding: &Finding) -> Sort {
    matches!(finding.kind, FindingKind::Capacity | FindingKind::Drift).then_some(finding.kind)
}

/// From the first onset to the latest end; open-ended while a finding lasts.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub start: Timestamp,
    /// The latest onset.
    pub latest: Timestamp,
    pub end: Option<Timestamp>,
}

impl Span {
    pub fn of(incident: &Incident) -> Self {
        let mut span = Self { start: incident.started, latest: incident.started, end: Some(incident.started) };
        for finding in &incident.findings {
            span.widen(finding);
        }
        span
    }

    pub fn widen(&mut self, finding: &Finding) {
        self.start = self.start.min(finding.onset);
        self.latest = self.latest.max(finding.onset);
        self.end = self.end.zip(finding.ended).map(|(a, b)| a.max(b));
    }

    pub fn overlaps(&self, finding: &Finding) -> bool {
        if sort(finding).is_some() && (finding.onset > self.latest + TOGETHER || finding.onset + TOGETHER < self.start) {
            return false;
        }
        self.end.is_none_or(|end| finding.onset <= end + SLACK) && finding.ended.is_none_or(|end| end + SLACK >= self.start)
    }

    /// The span of both.
    pub fn with(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            latest: self.latest.max(other.latest),
            end: self.end.zip(other.end).map(|(a, b)| a.max(b)),
        }
    }
}
