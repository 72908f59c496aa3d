//! When an incident is worth telling.

use std::collections::{BTreeSet, HashMap};

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

/// How long what is new waits.
pub(super) struct Patience<'a> {
    tick: &'a Tick<'a>,
    least: DurationMs,
    /// How far back the values of a monitor look.
    lookbacks: HashMap<String, DurationMs>,
}

impl<'a> Patience<'a> {
    /// What lasts for so long is worth telling.
    pub fn new(tick: &'a Tick<'a>, least: DurationMs) -> Self {
        Self { tick, least, lookbacks: HashMap::new() }
    }

    /// Whether what was found together is worth telling at once.
    pub fn is_over(&mut self, findings: &[Finding]) -> bool {
        let alone = findings.iter().any(|finding| self.has_lasted(finding) || follows_a_change(finding, self.tick));
        alone || is_shared(findings, self.tick, self.least)
    }

    /// Whether a finding that is in no incident is still worth waiting for.
    pub fn goes_on(&mut self, finding: &Finding) -> bool {
        finding.is_open() && finding.last_seen + self.least + self.lookback(finding) >= self.tick.now
    }

    /// A rate over five minutes shows for five minutes what was for a moment: that is no time that it lasted.
    fn has_lasted(&mut self, finding: &Finding) -> bool {
        sort(finding).is_some() || finding.last_seen >= finding.onset + self.least + self.lookback(finding)
    }

    fn lookback(&mut self, finding: &Finding) -> DurationMs {
        if let Some(known) = self.lookbacks.get(&finding.monitor) {
            return *known;
        }
        let lookback = (self.tick.monitor)(&finding.monitor).map_or(DurationMs::ZERO, |monitor| monitor.lookback());
        self.lookbacks.insert(finding.monitor.clone(), lookback);
        lookback
    }
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
