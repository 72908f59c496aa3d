//! The cause that a finding is looked at for, and what kinds of cause it is.

use crate::event::{Event, EventKind};
use crate::finding::{Direction, Finding, FindingKind};
use crate::metric::{MetricKind, Unit};
use crate::words::words;

/// A share of a bounded resource from which it counts as at its limit.
const AT_LIMIT: f64 = 0.85;
/// Less than this share of what is expected is silence.
const SILENT: f64 = 0.05;

words! {
    /// What a cause may be; one cause may be several.
    CauseKind {
        /// A new version went out.
        Deployment = "deployment",
        /// A setting changed.
        Configuration = "configuration",
        /// The number or size of replicas changed.
        Scaling = "scaling",
        /// A feature flag was turned.
        FeatureFlag = "feature_flag",
        /// Trouble of a service that the incident's service calls, itself or over others.
        Callee = "callee",
        /// A callee that gives no sign of life any more.
        Silent = "silent",
        /// More requests than usual.
        Surge = "surge",
        /// A resource at its limit, or on its way there by forecast.
        Limit = "limit",
        /// Data that have drifted.
        Drift = "drift",
        /// A machine on which several services are in trouble.
        Machine = "machine",
    }
}

impl CauseKind {
    /// Whether somebody changed something.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Deployment | Self::Configuration | Self::Scaling | Self::FeatureFlag)
    }
}

/// The cause that a finding is looked at for.
#[derive(Clone, Debug, Default)]
pub struct Suspect<'a> {
    /// How probable it is among the causes of its incident.
    pub probability: f64,
    /// What it is called.
    pub title: &'a str,
    /// The service that the incident is about.
    pub shown_by: &'a str,
    /// What kinds of cause it is.
    pub kinds: Vec<CauseKind>,
    /// The change, if it is one.
    pub change: Option<&'a Event>,
    /// The deployment of the same service before it, where that is known.
    pub previous: Option<&'a Event>,
}

/// What is known around a cause, beside its finding.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// The change, if the cause is one.
    pub change: Option<&'a Event>,
    /// Whether the incident's service calls the cause's, itself or over others.
    pub is_callee: bool,
    /// Whether several services are in trouble on the same machine.
    pub shares_machine: bool,
}

/// What kinds of cause one is.
pub fn kinds(finding: &Finding, around: Surroundings<'_>) -> Vec<CauseKind> {
    if let Some(change) = around.change {
        return match change.kind {
            EventKind::Deployment => vec![CauseKind::Deployment],
            EventKind::Configuration => vec![CauseKind::Configuration],
            EventKind::Scaling => vec![CauseKind::Scaling],
            EventKind::FeatureFlag => vec![CauseKind::FeatureFlag],
            EventKind::Alert | EventKind::Other => Vec::new(),
        };
    }
    let is_counted = matches!(finding.metric, MetricKind::Traffic | MetricKind::Availability);
    let is_gone = finding.direction == Direction::Down && finding.value <= SILENT * finding.expected;
    let is_full = finding.unit == Unit::Ratio
        && finding.direction == Direction::Up
        && finding.value >= AT_LIMIT
        && !matches!(finding.metric, MetricKind::Errors | MetricKind::Latency | MetricKind::Other);
    let all = [
        (CauseKind::Callee, around.is_callee),
        (CauseKind::Silent, around.is_callee && is_counted && is_gone),
        (CauseKind::Surge, (finding.metric, finding.direction) == (MetricKind::Traffic, Direction::Up)),
        (CauseKind::Limit, finding.kind == FindingKind::Capacity || (finding.kind == FindingKind::Deviation && is_full)),
        (CauseKind::Drift, finding.kind == FindingKind::Drift),
        (CauseKind::Machine, around.shares_machine),
    ];
    all.into_iter().filter(|(_, is)| *is).map(|(kind, _)| kind).collect()
}
