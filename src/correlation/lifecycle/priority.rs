//! How urgent an incident is: one number from evidence, from what users feel, and from how far it reaches.
//!
//! The **weight** of an incident is
//!
//! > (the greatest score × felt of its findings) × √(services + callers / 2) × ⁴√(independent findings)
//!
//! - *Score*: the anomaly score, 1 at the decision bound, held between 1 and 16. What will reach a limit has 24 hours by the
//!   hours that are left instead.
//! - *Felt*: errors and availability 4, latency and lost traffic 2, everything else, which is resources, 1. Where the monitor
//!   states an objective, the rate at which the error budget burns says it better: 16 from 14.4 times on, 8 from 6, 4 from 1,
//!   and 1 below. These are the rates of the Google SRE workbook, chapter 5, that page at once, page, and make a ticket; it asks
//!   them of two windows each, while here the worst value of the finding is all there is.
//! - *Services* that have findings, and *callers*: those that call them over at most three calls and have none. At most 4 in all.
//! - *Independent findings*: how many pairs of a service and a kind of metric.
//!
//! From 24 on it is P1, from 6 P2, from 3 P3, from 1.5 P4, below P5. What a monitor states as severity is a floor: `critical`
//! is at least P2, `warning` at least P4; and what all monitors call `info` is at most P4. The priority is of what lasts and changes with it.
//!
//! The **severity** is judged once, when the incident opens, from the same weight: critical from 6 on. A stated severity takes the
//! place of the judged one for its monitor's findings, and the most urgent counts.

use std::collections::{BTreeSet, VecDeque};

use crate::clock::{DurationMs, Timestamp};
use crate::correlation::topology::Topology;
use crate::finding::{Direction, Finding, Severity};
use crate::incident::Priority;
use crate::metric::{MetricKind, Unit};
use crate::monitor::Monitor;
use crate::reach::Reach;

/// From this weight on an incident is critical when it opens, and P2 while it lasts.
const CRITICAL: f64 = 6.0;
/// The least weight of each priority but the last.
const LEVELS: [(f64, Priority); 4] = [(24.0, Priority::P1), (CRITICAL, Priority::P2), (3.0, Priority::P3), (1.5, Priority::P4)];
/// No score weighs more: beyond it only the quality of the model decides.
const MOST_SCORE: f64 = 16.0;
/// The rates of burning and how much each is felt.
const BURN: [(f64, f64); 3] = [(14.4, 16.0), (6.0, 8.0), (1.0, 4.0)];
/// No incident weighs more than this many times its worst finding for its width.
const MOST_BREADTH: f64 = 4.0;
/// Callers are counted over so many calls.
const CALLS_UP: usize = 3;
/// The most callers that are counted.
const MOST_CALLERS: usize = 200;

/// How urgent some findings together are.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The number that decides.
    pub weight: f64,
    /// Where it lies among the priorities.
    pub priority: Priority,
    /// What weighs, for a person to check.
    pub why: String,
}

/// The priority of an incident with these findings: of those that last, or of all where none does.
pub fn priority(findings: &[Finding], topology: &Topology, monitor: &dyn Fn(&str) -> Option<Monitor>) -> Judged {
    let mut considered: Vec<&Finding> = findings.iter().filter(|finding| finding.is_open()).collect();
    if considered.is_empty() {
        considered = findings.iter().collect();
    }
    let Weight { weight, mut why } = weigh(&considered, topology, monitor);
    let judged = LEVELS.iter().find(|(least, _)| weight >= *least).map_or(Priority::P5, |(_, priority)| *priority);
    let stated: Vec<Option<Severity>> = considered.iter().map(|f| monitor(&f.monitor).and_then(|m| m.severity)).collect();
    let floor = match stated.iter().flatten().max() {
        Some(Severity::Critical) => Priority::P2,
        Some(Severity::Warning) => Priority::P4,
        Some(Severity::Info) | None => Priority::P5,
    };
    let all_info = !stated.is_empty() && stated.iter().all(|stated| *stated == Some(Severity::Info));
    let priority = if all_info { judged.max(Priority::P4) } else { judged.min(floor) };
    if priority != judged {
        why.push_str("; its monitor's severity decides");
    }
    Judged { weight, priority, why }
}

/// The severity of an incident that opens with these findings.
pub fn severity(findings: &[Finding], topology: &Topology, monitor: &dyn Fn(&str) -> Option<Monitor>) -> Severity {
    let with = |finding: &Finding| monitor(&finding.monitor).and_then(|m| m.severity);
    let stated = findings.iter().filter_map(with).max();
    let judged: Vec<&Finding> = findings.iter().filter(|finding| with(finding).is_none()).collect();
    let judged = (!judged.is_empty())
        .then(|| if weigh(&judged, topology, monitor).weight >= CRITICAL { Severity::Critical } else { Severity::Warning });
    stated.max(judged).unwrap_or(Severity::Warning)
}

struct Weight {
    weight: f64,
    why: String,
}

fn weigh(findings: &[&Finding], topology: &Topology, monitor: &dyn Fn(&str) -> Option<Monitor>) -> Weight {
    let alone = findings.iter().map(|finding| Alone::of(finding, monitor));
    // Of equals the earliest, so that the reason stays the same.
    let worst = alone.reduce(|a, b| if b.weight > a.weight { b } else { a });
    let Some(worst) = worst else { return Weight { weight: 0.0, why: "nothing was found".to_owned() } };
    let services: BTreeSet<&str> = findings.iter().map(|finding| finding.service.as_str()).collect();
    let independent: BTreeSet<(&str, MetricKind)> = findings.iter().map(|finding| (finding.service.as_str(), finding.metric)).collect();
    let callers = callers(&services, topology);
    let breadth = (services.len() as f64 + callers as f64 / 2.0).sqrt().min(MOST_BREADTH);
    let weight = worst.weight * breadth * (independent.len() as f64).powf(0.25);
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut why = format!("{}; {}", worst.why, count(services.len(), "service"));
    if callers > 0 {
        why = format!("{why}, {}", count(callers, "caller"));
    }
    Weight { weight, why }
}

/// How much one finding weighs, and what to say of it.
struct Alone {
    weight: f64,
    why: String,
}

impl Alone {
    fn of(finding: &Finding, monitor: &dyn Fn(&str) -> Option<Monitor>) -> Self {
        let Finding { service, metric, .. } = finding;
        if let Some(reach) = finding.reach {
            return Self::of_limit(finding, reach);
        }
        let score = if finding.score.is_nan() { 1.0 } else { finding.score.clamp(1.0, MOST_SCORE) };
        if let Some((objective, rate)) = burning(finding, monitor) {
            let felt = BURN.iter().find(|(least, _)| rate >= *least).map_or(1.0, |(_, felt)| *felt);
            let budget = (objective * 1e6).round() / 1e4;
            let rate = if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") };
            let why = format!("{metric} of {service} burn the budget of {budget} % {rate} times as fast as it lasts");
            return Self { weight: score * felt, why };
        }
        let felt = felt(finding);
        let who = if felt > 1.0 { ", which users feel" } else { "" };
        Self { weight: score * felt, why: format!("{metric} of {service} with a score of {score:.1}{who}") }
    }

    fn of_limit(finding: &Finding, reach: Reach<Timestamp>) -> Self {
        let Finding { service, metric, .. } = finding;
        let left = reach.expected.map(|at| at.since(finding.last_seen));
        let hours = left.map_or(f64::INFINITY, |left| left.seconds() / DurationMs::HOUR.seconds());
        let when = left.map_or("the horizon".to_owned(), DurationMs::in_words);
        Self { weight: (24.0 / hours.max(1.0)).clamp(1.0, MOST_SCORE), why: format!("{metric} of {service} reaches its limit in {when}") }
    }
}

fn felt(finding: &Finding) -> f64 {
    match (finding.metric, finding.direction) {
        (MetricKind::Errors | MetricKind::Availability, _) => 4.0,
        (MetricKind::Latency, _) | (MetricKind::Traffic, Direction::Down) => 2.0,
        _ => 1.0,
    }
}

/// The objective that the monitor states, and how many times too fast the finding's worst value uses up what it leaves.
fn burning(finding: &Finding, monitor: &dyn Fn(&str) -> Option<Monitor>) -> Option<(f64, f64)> {
    let monitor = monitor(&finding.monitor)?;
    let objective = monitor.slo?.objective;
    let bad = match (monitor.metric, monitor.unit) {
        (MetricKind::Errors, Unit::Ratio) => finding.value,
        (MetricKind::Availability, _) => 1.0 - finding.value,
        _ => return None,
    };
    (0.0..=1.0).contains(&bad).then(|| (objective, bad / (1.0 - objective)))
}

/// How many services call one of these over at most three calls and are none of them.
fn callers(services: &BTreeSet<&str>, topology: &Topology) -> usize {
    let start: BTreeSet<usize> = services.iter().filter_map(|service| topology.find(service)).collect();
    let (mut seen, mut queue) = (start.clone(), start.iter().map(|node| (*node, 0)).collect::<VecDeque<_>>());
    while let Some((node, calls)) = queue.pop_front() {
        if calls == CALLS_UP || seen.len() > start.len() + MOST_CALLERS {
            continue;
        }
        for caller in topology.callers_of(node) {
            if seen.insert(caller.node) {
                queue.push_back((caller.node, calls + 1));
            }
        }
    }
    seen.len() - start.len()
}

#[cfg(test)]
mod tests;
