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
//! - a third of that where something else explains it that began at most two minutes later: waiting and failing, fewer
//!   requests, and what fills up with those that wait, where a service that it calls was in trouble, because trouble climbs from
//!   the called to the caller; more requests, and what they strain, where a caller was asked more, or was itself in trouble;
//! - either counts up to twice as much, the more of the services in trouble it explains in this way, over one call or several.
//!
//! At most two findings of one service are named, so that others are seen too. What people said of such causes multiplies the
//! weight before the shares are taken ([`super::feedback`]).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

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
/// How many causes are named, and how many findings of one service among them.
const MOST_CAUSES: usize = 5;
const MOST_OF_ONE: usize = 2;

/// What may have caused an incident of these findings and events: at most five, the likeliest first; the weights
/// sum to 1. None without findings. The order of the input does not matter.
pub fn causes(findings: &[Finding], events: &[Event], topology: &Topology, said: Said<'_>) -> Vec<Cause> {
    let Some(first) = findings.iter().map(|f| f.onset).min() else { return Vec::new() };
    let groups = explained(groups(findings), topology);
    // A change explains what the trouble that it led to explains.
    let explains = |service: &str| groups.iter().filter(|g| g.earliest.service == service).map(|g| g.explains).fold(0.0, f64::max);
    let mut causes: Vec<Cause> = changes(findings, events, explains);
    causes.extend(leading(groups, first).iter().map(|group| group.cause(first)));
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

/// The strongest groups of each service.
fn leading(mut groups: Vec<Group<'_>>, first: Timestamp) -> Vec<Group<'_>> {
    groups.sort_by(|a, b| b.strength(first).total_cmp(&a.strength(first)).then_with(|| in_order(a.earliest, b.earliest)));
    let mut of_service: BTreeMap<&str, usize> = BTreeMap::new();
    groups.retain(|group| {
        let count = of_service.entry(&group.earliest.service).or_default();
        *count += 1;
        *count <= MOST_OF_ONE
    });
    groups
}

/// Whether a change may have led to a finding: same service, at most an hour before its onset or at the same time.
pub(super) fn may_have_led(event: &Event, finding: &Finding) -> bool {
    event.kind.is_change() && in_reach(event.starts_at, finding.onset) && place::concerns(event, finding)
}

fn in_reach(change: Timestamp, onset: Timestamp) -> bool {
    change <= onset + AT_ONCE && onset <= change + LOOK_BACK
}

/// The change events that may have led to the first finding of their service.
fn changes(findings: &[Finding], events: &[Event], explains: impl Fn(&str) -> f64) -> Vec<Cause> {
    let mut seen = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind.is_change()) {
        let concerned = findings.iter().filter(|f| place::concerns(event, f));
        let Some(finding) = concerned.min_by(|a, b| in_order(a, b)) else { continue };
        if in_reach(event.starts_at, finding.onset) {
            seen.insert(&event.id, (event, finding));
        }
    }
    seen.into_values().map(|(event, finding)| change(event, finding, explains(&finding.service))).collect()
}

fn change(event: &Event, finding: &Finding, explains: f64) -> Cause {
    let gap = finding.onset.since(event.starts_at);
    let strength = (1.0 + explains) * (3.0 - gap.seconds() / LOOK_BACK.seconds());
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
    /// What explains it, in words.
    explained_by: Option<String>,
    /// The share of the other services in trouble that it may explain, over any number of calls.
    explains: f64,
}

fn groups(findings: &[Finding]) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<(&str, MetricKind, Direction, FindingKind), Group<'_>> = BTreeMap::new();
    for finding in findings {
        let key = (finding.service.as_str(), finding.metric, finding.direction, finding.kind);
        let group = groups.entry(key).or_insert(Group { earliest: finding, count: 0, score: 1.0, explained_by: None, explains: 0.0 });
        group.count += 1;
        group.score = group.score.max(finding.score);
        if in_order(finding, group.earliest) == Ordering::Less {
            group.earliest = finding;
        }
    }
    groups.into_values().collect()
}

/// When each service of the topology began to be in trouble, by what its trouble does to others.
#[derive(Default)]
struct Troubles<'a> {
    /// All but more or fewer requests, which are the callers' doing: it climbs.
    climbing: BTreeMap<&'a str, Timestamp>,
    /// More requests than usual: they go down.
    asked_more: BTreeMap<&'a str, Timestamp>,
    /// What is nobody else's doing and may make it ask more or less of others: a cache that answers no more, a queue that is not
    /// consumed.
    own: BTreeMap<&'a str, Timestamp>,
}

impl<'a> Troubles<'a> {
    fn of(groups: &[Group<'a>]) -> Self {
        let mut troubles = Self::default();
        for Finding { service, metric, direction, onset, .. } in groups.iter().map(|group| group.earliest) {
            let mut note = |which: fn(&mut Self) -> &mut BTreeMap<&'a str, Timestamp>| {
                let since = which(&mut troubles).entry(service).or_insert(*onset);
                *since = (*since).min(*onset);
            };
            if *metric != MetricKind::Traffic {
                note(|t| &mut t.climbing);
            } else if *direction == Direction::Up {
                note(|t| &mut t.asked_more);
            }
            if matches!(metric, MetricKind::Other | MetricKind::Queue) {
                note(|t| &mut t.own);
            }
        }
        troubles
    }

    /// What explains a finding of a service: of several the one that began first.
    fn explain(&self, finding: &Finding, topology: &Topology) -> Option<String> {
        let Finding { service, metric, direction, onset, .. } = finding;
        let as_early = |(at, _): &(Timestamp, &str)| *at <= *onset + AT_ONCE;
        let (is_traffic, is_up) = (*metric == MetricKind::Traffic, *direction == Direction::Up);
        let is_surge = is_traffic && is_up;
        let callees = topology.callees(service).filter_map(|callee| Some((*self.climbing.get(callee)?, callee)));
        if let Some((_, callee)) = callees.filter(|_| climbs(*metric) && !is_surge).filter(as_early).min() {
            return Some(format!("it calls {callee}, which was in trouble too"));
        }
        // Only who is asked more itself is strained by it.
        if !(is_traffic || strains(*metric) && self.asked_more.contains_key(service.as_str())) {
            return None;
        }
        let more = |caller: &str| self.asked_more.get(caller).filter(|_| is_up);
        let asking = |caller: &str| more(caller).or_else(|| self.own.get(caller)).copied();
        let callers = topology.callers(service).filter_map(|caller| Some((asking(caller)?, caller)));
        callers.filter(as_early).min().map(|(_, caller)| format!("{caller} calls it, and was in trouble or asked more itself"))
    }

    /// How many of the other services in trouble one of `service` may explain: those above it, and for more requests those
    /// below, over services in trouble only.
    fn reached(&self, finding: &Finding, topology: &Topology) -> usize {
        let downwards = (finding.metric, finding.direction) == (MetricKind::Traffic, Direction::Up);
        let troubled = if downwards { &self.asked_more } else { &self.climbing };
        let (mut seen, mut next) = (BTreeSet::from([finding.service.as_str()]), vec![finding.service.as_str()]);
        while let Some(at) = next.pop() {
            let around: Vec<&str> = if downwards { topology.callees(at).collect() } else { topology.callers(at).collect() };
            // What was in trouble long before is not its doing.
            let follows = |other: &str| troubled.get(other).is_some_and(|since| finding.onset <= *since + AT_ONCE);
            next.extend(around.into_iter().filter(|other| follows(other) && seen.insert(*other)));
        }
        seen.len() - 1
    }
}

/// The groups with what explains them, and how much they explain.
fn explained<'a>(mut groups: Vec<Group<'a>>, topology: &Topology) -> Vec<Group<'a>> {
    if topology.is_empty() {
        return groups;
    }
    let troubles = Troubles::of(&groups);
    let services: BTreeSet<&str> = groups.iter().map(|group| group.earliest.service.as_str()).collect();
    let others = services.len().saturating_sub(1).max(1) as f64;
    for group in &mut groups {
        group.explained_by = troubles.explain(group.earliest, topology);
        group.explains = troubles.reached(group.earliest, topology) as f64 / others;
    }
    groups
}

/// Whether trouble of a callee shows in this metric of its callers: who waits takes longer and fills pools and queues.
fn climbs(metric: MetricKind) -> bool {
    matches!(
        metric,
        MetricKind::Latency | MetricKind::Errors | MetricKind::Traffic | MetricKind::Queue | MetricKind::Saturation | MetricKind::Network
    )
}

/// Whether more requests show in this metric.
fn strains(metric: MetricKind) -> bool {
    !matches!(metric, MetricKind::Errors | MetricKind::Disk | MetricKind::Availability | MetricKind::Other)
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

    /// What speaks for this being the beginning, from above 0 to 3.5.
    fn strength(&self, first: Timestamp) -> f64 {
        // No smaller than 1e-100, so that a late finding's square is still a number.
        let early = (-self.delay(first).seconds() / HALF_LIFE.seconds()).exp2().max(1e-100);
        let resource = if is_resource(self.earliest.metric) { 0.5 } else { 0.0 };
        let explained = if self.explained_by.is_some() { 1.0 / 3.0 } else { 1.0 };
        explained * early * (1.0 + self.explains) * (1.0 + resource + 0.25 * (1.0 - 1.0 / self.score))
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
        let called = self.explained_by.as_ref().map_or_else(String::new, |why| format!("; {why}"));
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
