//! One entry of the catalogue, and how well it matches a finding.

use std::collections::BTreeMap;

use super::Context;
use super::suspect::CauseKind;
use crate::event::{Event, EventKind};
use crate::finding::{Direction, Finding, FindingKind};
use crate::glob::Glob;
use crate::metric::MetricKind;
use crate::words::words;

words! {
    /// Where the traffic of a finding's service went.
    Traffic {
        /// Nothing unusual was found.
        Flat = "flat",
        /// More than expected.
        Up = "up",
        /// Less than expected.
        Down = "down",
    }
}

/// What an entry is for; a condition that is not stated always holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    /// One of these kinds of metric.
    pub metric: Vec<MetricKind>,
    pub direction: Option<Direction>,
    pub kind: Option<FindingKind>,
    /// One of these covers the monitor's name, the metric's name or the query, in small letters.
    pub name: Vec<Glob>,
    /// Each of these labels is there and its value matches.
    pub labels: BTreeMap<String, Glob>,
    pub traffic: Option<Traffic>,
    /// A change of one of these kinds may have led to it.
    pub after_change: Vec<EventKind>,
    /// The cause that the finding is looked at for is of one of these kinds.
    pub cause: Vec<CauseKind>,
}

/// An action that an entry names, with parameters that may hold placeholders.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub action: String,
    pub with: BTreeMap<String, String>,
}

/// What to read.
#[derive(Clone, Debug, PartialEq)]
pub enum Runbook {
    /// One that the engine serves.
    Id(String),
    /// One elsewhere.
    Url(String),
}

/// A remedy and what it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub id: String,
    pub title: String,
    pub matches: Match,
    pub steps: Vec<String>,
    pub promql: Vec<String>,
    pub commands: Vec<String>,
    pub runbook: Runbook,
    /// Added to the weight of the match.
    pub priority: i32,
    pub action: Option<Named>,
}

impl Entry {
    /// How well the entry matches a finding of these [`names`]: the sum of what its conditions weigh and its priority; `None` when one does not hold.
    ///
    /// A condition weighs by how much it tells: metric 2, direction 2, kind `deviation` 1, `pattern` and
    /// `group` 10, `capacity` and `drift` 12, name 6, each label 4, traffic 3, a change 8, a cause 12.
    pub fn weight(&self, finding: &Finding, context: &Context<'_>, names: &[String]) -> Option<i32> {
        let wanted = &self.matches;
        let traffic = match context.traffic {
            None => Traffic::Flat,
            Some(Direction::Up) => Traffic::Up,
            Some(Direction::Down) => Traffic::Down,
        };
        let named = || wanted.name.iter().any(|glob| names.iter().any(|name| glob.matches(name)));
        let labelled = |(name, glob): (&String, &Glob)| finding.key.get(name).is_some_and(|value| glob.matches(value));
        let is_wanted = |event: &Event| wanted.after_change.contains(&event.kind);
        // A change that may be the cause is looked at as one of its own; beside it no other cause is due to it.
        let changed = || match &context.suspect {
            Some(suspect) => suspect.change.is_some_and(is_wanted),
            None => context.changes.iter().any(|event| is_wanted(event)),
        };
        let caused = || context.suspect.iter().flat_map(|suspect| &suspect.kinds).any(|kind| wanted.cause.contains(kind));
        let holds = (wanted.metric.is_empty() || wanted.metric.contains(&finding.metric))
            && wanted.direction.is_none_or(|direction| direction == finding.direction)
            && wanted.kind.is_none_or(|kind| kind == finding.kind)
            && wanted.traffic.is_none_or(|flow| flow == traffic)
            && (wanted.name.is_empty() || named())
            && wanted.labels.iter().all(labelled)
            && (wanted.after_change.is_empty() || changed())
            && (wanted.cause.is_empty() || caused());
        holds.then(|| wanted.weight() + self.priority)
    }

    /// Whether it is for anything that goes one way, and so only for what nothing else fits.
    pub fn is_fallback(&self) -> bool {
        self.matches == Match { direction: self.matches.direction, ..Match::default() }
    }

    /// Whether it matches whatever the fallback `other` matches.
    pub fn is_as_wide_as(&self, other: &Self) -> bool {
        self.is_fallback() && self.matches.direction.is_none_or(|direction| other.matches.direction == Some(direction))
    }
}

/// What a finding is called, in small letters.
pub fn names(finding: &Finding, context: &Context<'_>) -> Vec<String> {
    let names = [Some(finding.monitor.as_str()), finding.key.get("__name__"), context.query];
    names.into_iter().flatten().map(str::to_ascii_lowercase).collect()
}

impl Match {
    fn weight(&self) -> i32 {
        let stated = |is: bool, weight: i32| if is { weight } else { 0 };
        let kind = match self.kind {
            None => 0,
            Some(FindingKind::Deviation) => 1,
            Some(FindingKind::Pattern | FindingKind::Group) => 10,
            // What is to come wants another step than what is there.
            Some(FindingKind::Capacity | FindingKind::Drift) => 12,
        };
        stated(!self.metric.is_empty(), 2)
            + stated(self.direction.is_some(), 2)
            + kind
            + stated(!self.name.is_empty(), 6)
            + i32::try_from(self.labels.len()).unwrap_or(i32::MAX).saturating_mul(4)
            + stated(self.traffic.is_some(), 3)
            + stated(!self.after_change.is_empty(), 8)
            + stated(!self.cause.is_empty(), 12)
    }
}
