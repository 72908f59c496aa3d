//! What probably caused an incident: changes just before it, then what left its course first.
//!
//! A simple order that a person can check, not a proof. What speaks for a candidate becomes a number,
//! and the candidate's weight is its number's share of all, after squaring so that the leader stands out:
//!
//! - a change in the same service, at most an hour before the service's first finding: 2 to 3, the closer in
//!   time the higher;
//! - findings of one service, metric and direction: up to 1.75. Halved for every ten minutes after the first
//!   onset (two minutes count as at once), half as much again for a resource (processor, memory, disk, queue, …),
//!   because resources fail before the symptoms they cause, and up to a quarter more for the size of the deviation;
//! - a third of that where a service that it calls was in trouble at most two minutes later, because trouble climbs
//!   from the called to the caller. More requests than usual are never explained so: they come from above.
//!
//! What people said of such causes multiplies the weight before the shares are taken ([`super::feedback`]).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::feedback::Said;
use super::place;
use super::topology::Topology;
use crate::clock::{DurationMs, Timestamp};
use crate::event::{Event, EventKind};
use crate::finding::{Direction, Finding, FindingKind};
use crate::incident::{Cause, Origin};
use crate::monitor::MetricKind;

/// How long before its first finding a change may have caused an incident.
pub const LOOK_BACK: DurationMs = DurationMs::HOUR;
/// How exactly an onset is known: differences below it mean nothing.
const AT_ONCE: DurationMs = DurationMs::from_secs(120);
/// After this time without trouble a finding is half as likely the beginning of it.
const HALF_LIFE: DurationMs = DurationMs::from_secs(600);
/// How many causes are named.
const MOST_CAUSES: usize = 5;

/// What may have caused an incident of these findings and events: at most five, the likeliest first; the weights
/// sum to 1. None without findings. The order of the input does not matter.
pub fn causes(findings: &[Finding], events: &[Event], topology: &Topology, said: Said<'_>) -> Vec<Cause> {
    let Some(first) = findings.iter().map(|f| f.onset).min() else { return Vec::new() };
    let mut causes: Vec<Cause> = changes(findings, events);
    causes.extend(explained(groups(findings), topology).iter().map(|group| group.cause(first)));
    for cause in &mut causes {
        let tally = said.cause(&cause.id);
        cause.weight *= tally.odds;
        if let Some(words) = tally.in_words() {
            cause.reason = format!("{}; {words}", cause.reason);
        }
    }
    causes.sort_by(|a, b| {
        b.weight.total_cmp(&a.weight).then_with(|| (&a.title, &a.service, &a.reason).cmp(&(&b.title, &b.service, &b.reason)))
    });
    causes.truncate(MOST_CAUSES);
    let sum: f64 = causes.iter().map(|c| c.weight).sum();
    for cause in &mut causes {
        cause.weight /= sum;
    }
    causes
}

/// Whether a change may have led to a finding: same service, at most an hour before its onset or at the same time.
pub(super) fn may_have_led(event: &Event, finding: &Finding) -> bool {
    event.kind.is_change() && in_reach(event.starts_at, finding.onset) && place::concerns(event, finding)
}

fn in_reach(change: Timestamp, onset: Timestamp) -> bool {
    change <= onset + AT_ONCE && onset <= change + LOOK_BACK
}

/// The change events that may have led to the first finding of their service.
fn changes(findings: &[Finding], events: &[Event]) -> Vec<Cause> {
    let mut seen = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind.is_change()) {
        let concerned = findings.iter().filter(|f| place::concerns(event, f));
        let Some(finding) = concerned.min_by(|a, b| in_order(a, b)) else { continue };
        if in_reach(event.starts_at, finding.onset) {
            seen.insert(&event.id, (event, finding));
        }
    }
    seen.into_values().map(|(event, finding)| change(event, finding)).collect()
}

fn change(event: &Event, finding: &Finding) -> Cause {
    let gap = finding.onset.since(event.starts_at);
    let strength = 3.0 - gap.seconds() / LOOK_BACK.seconds();
    let when = if gap < AT_ONCE && event.starts_at + AT_ONCE > finding.onset {
        "at about the time".to_owned()
    } else {
        format!("{} before", spell(gap))
    };
    let what = match event.labels.get("version").filter(|v| event.kind == EventKind::Deployment && !v.is_empty()) {
        Some(version) => format!("version {version} went out"),
        None => format!("“{}” ({}) happened", event.title, event.kind.as_str().replace('_', " ")),
    };
    let service = place::service(event).unwrap_or(&finding.service).to_owned();
    Cause {
        id: format!("{}@{service}", event.kind),
        title: event.title.clone(),
        service,
        weight: strength * strength,
        reason: format!("{what} {when} {}'s {} left its course", finding.service, finding.metric),
        origin: Some(Origin { finding: finding.id.clone(), change: Some(event.id.clone()) }),
    }
}

/// Findings that say the same: one service, metric, direction and kind.
struct Group<'a> {
    earliest: &'a Finding,
    count: usize,
    /// The greatest score, at least 1.
    score: f64,
    /// A service that it calls and that was in trouble as early.
    explained_by: Option<String>,
}

fn groups(findings: &[Finding]) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<(&str, MetricKind, Direction, FindingKind), Group<'_>> = BTreeMap::new();
    for finding in findings {
        let key = (finding.service.as_str(), finding.metric, finding.direction, finding.kind);
        let group = groups.entry(key).or_insert(Group { earliest: finding, count: 0, score: 1.0, explained_by: None });
        group.count += 1;
        group.score = group.score.max(finding.score);
        if in_order(finding, group.earliest) == Ordering::Less {
            group.earliest = finding;
        }
    }
    groups.into_values().collect()
}

/// The groups with what explains them: trouble of a service that theirs calls.
fn explained<'a>(mut groups: Vec<Group<'a>>, topology: &Topology) -> Vec<Group<'a>> {
    if topology.is_empty() {
        return groups;
    }
    let mut onsets: BTreeMap<&str, Timestamp> = BTreeMap::new();
    // More or fewer requests to a callee are its caller's doing.
    for group in groups.iter().filter(|group| group.earliest.metric != MetricKind::Traffic) {
        let onset = onsets.entry(&group.earliest.service).or_insert(group.earliest.onset);
        *onset = group.earliest.onset.min(*onset);
    }
    for group in &mut groups {
        let Finding { metric, direction, onset, service, .. } = group.earliest;
        if (*metric, *direction) != (MetricKind::Traffic, Direction::Up) {
            let called = topology.callees(service).filter_map(|callee| Some((*onsets.get(callee)?, callee)));
            let earliest = called.filter(|(other, _)| *other <= *onset + AT_ONCE).min();
            group.explained_by = earliest.map(|(_, callee)| callee.to_owned());
        }
    }
    groups
}

/// By onset, then by what makes the order the same for every order of the input.
fn in_order(a: &Finding, b: &Finding) -> Ordering {
    let numbers = a.value.total_cmp(&b.value).then(a.expected.total_cmp(&b.expected));
    (a.onset, &a.id).cmp(&(b.onset, &b.id)).then(numbers)
}

impl Group<'_> {
    fn delay(&self, first: Timestamp) -> DurationMs {
        let since = self.earliest.onset.since(first);
        DurationMs::from_millis(since.millis() - AT_ONCE.millis())
    }

    /// What speaks for this being the beginning, from above 0 to 1.75.
    fn strength(&self, first: Timestamp) -> f64 {
        // No smaller than 1e-100, so that a late finding's square is still a number.
        let early = (-self.delay(first).seconds() / HALF_LIFE.seconds()).exp2().max(1e-100);
        let resource = if is_resource(self.earliest.metric) { 0.5 } else { 0.0 };
        let explained = if self.explained_by.is_some() { 1.0 / 3.0 } else { 1.0 };
        explained * early * (1.0 + resource + 0.25 * (1.0 - 1.0 / self.score))
    }

    fn cause(&self, first: Timestamp) -> Cause {
        let Finding { service, metric, direction, kind, unit, value, expected, onset, .. } = self.earliest;
        let course = match kind {
            FindingKind::Deviation => direction.as_str(),
            FindingKind::Pattern => "in an unusual pattern",
            FindingKind::Group => "together",
            FindingKind::Capacity => "towards its limit",
            FindingKind::Drift => "drift",
        };
        let more = if self.count > 1 { format!(" in {} series", self.count) } else { String::new() };
        let after = onset.since(first);
        let when = if after == DurationMs::ZERO {
            format!("was the first to leave its course, at {onset}")
        } else if after <= AT_ONCE {
            format!("left its course {} after the first, which is at once", spell(after))
        } else {
            format!("left its course {} after the first", spell(after))
        };
        let what = match self.earliest.in_words() {
            Some(what) => what,
            None => format!("{}, expected {}", unit.show(*value), unit.show(*expected)),
        };
        let when = match kind {
            FindingKind::Capacity => format!("was forecast at {onset}"),
            FindingKind::Drift => format!("was found to have drifted at {onset}"),
            _ => when,
        };
        let resource = if is_resource(*metric) { "; resources tend to fail before the symptoms they cause" } else { "" };
        let called = self.explained_by.as_ref().map_or_else(String::new, |callee| format!("; it calls {callee}, which was in trouble too"));
        let of_kind = if *kind == FindingKind::Deviation { String::new() } else { format!("-{kind}") };
        Cause {
            id: format!("{metric}-{direction}{of_kind}@{service}"),
            title: format!("{service}: {metric} {course}{more}"),
            service: service.clone(),
            weight: self.strength(first).powi(2),
            reason: format!("{service}'s {metric} {when}: {what}{resource}{called}"),
            origin: Some(Origin { finding: self.earliest.id.clone(), change: None }),
        }
    }
}

/// What is used up or gone, rather than what users feel.
pub(super) fn is_resource(metric: MetricKind) -> bool {
    match metric {
        MetricKind::Cpu
        | MetricKind::Memory
        | MetricKind::Disk
        | MetricKind::Network
        | MetricKind::Queue
        | MetricKind::Saturation
        | MetricKind::Gpu
        | MetricKind::Availability => true,
        MetricKind::Traffic | MetricKind::Errors | MetricKind::Latency | MetricKind::Other => false,
    }
}

/// A length of time in words: `40 seconds`, `3 minutes`, `1 hour`.
fn spell(length: DurationMs) -> String {
    let seconds = length.millis() / 1000;
    let (number, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        _ => (seconds / 3600, "hour"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
