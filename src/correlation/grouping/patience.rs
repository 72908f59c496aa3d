//! When an incident is worth telling.

use std::collections::BTreeSet;

use super::Tick;
use super::link::apart;
use super::span::sort;
use crate::clock::{DurationMs, Timestamp};
use crate::finding::Finding;

/// What was normal for this part of the patience counts no more for others.
const FRESH: f64 = 0.3;
/// From so many services in trouble on it is no coincidence.
const MANY: usize = 3;
/// How near the onsets of two services must be that show the same.
const SAME: DurationMs = DurationMs::from_secs(300);
/// So long after a change trouble in its place is expected to come from it.
const CHANGED: DurationMs = DurationMs::from_secs(1800);

/// Whether what was found together is worth telling at once.
pub(super) fn is_ripe(findings: &[Finding], tick: &Tick<'_>, patience: DurationMs) -> bool {
    let alone = findings.iter().any(|finding| has_lasted(finding, patience) || follows_a_change(finding, tick));
    alone || is_shared(findings, tick, patience)
}

/// Whether a finding that is in no incident is still worth waiting for.
pub(super) fn still_counts(finding: &Finding, tick: &Tick<'_>, patience: DurationMs) -> bool {
    finding.is_open() && finding.last_seen + patience >= tick.now
}

fn has_lasted(finding: &Finding, patience: DurationMs) -> bool {
    sort(finding).is_some() || finding.last_seen.since(finding.onset) >= patience
}

fn follows_a_change(finding: &Finding, tick: &Tick<'_>) -> bool {
    let just_before = |at: Timestamp| at <= finding.onset && finding.onset.since(at) <= CHANGED;
    let mut changes = tick.events.iter().filter(|event| event.kind.is_change() && just_before(event.starts_at));
    changes.any(|event| crate::correlation::place::concerns(event, finding))
}

/// Whether several services are in trouble now: many, or two of which one calls the other and that show the same.
fn is_shared(findings: &[Finding], tick: &Tick<'_>, patience: DurationMs) -> bool {
    let fresh = DurationMs::from_millis((patience.millis() as f64 * FRESH) as i64);
    let now: Vec<&Finding> = findings.iter().filter(|f| f.last_seen + fresh >= tick.now).collect();
    let services: BTreeSet<&str> = now.iter().map(|f| f.service.as_str()).collect();
    let same = |a: &Finding, b: &Finding| {
        let alike = (a.metric, a.direction) == (b.metric, b.direction) && apart(a.onset, b.onset) <= SAME;
        alike && tick.topology.callees(&a.service).any(|callee| callee == b.service)
    };
    services.len() >= MANY || services.len() > 1 && now.iter().any(|a| now.iter().any(|b| same(a, b)))
}
