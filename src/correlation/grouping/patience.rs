//! When an incident is worth telling.

use std::collections::{BTreeSet, HashMap};

use super::Tick;
use super::link::{apart, times, uncertainty};
use super::span::sort;
use crate::clock::{DurationMs, Timestamp};
use crate::finding::{Finding, FindingKind, Severity};

/// What was normal for this part of the patience counts no more for others.
const FRESH: f64 = 0.3;
/// From so many services in trouble on it is no coincidence.
const MANY: usize = 3;
/// How near the onsets of two services must be that show the same.
const SAME: DurationMs = DurationMs::from_secs(300);
/// So long after a change trouble in its place is expected to come from it.
const CHANGED: DurationMs = DurationMs::from_secs(1800);
/// From this score on a finding is strong: one of 1 is at the bound.
const STRONG: f64 = 4.0;
/// How many times as long as a strong one the mildest finding must last.
const MILD: f64 = 6.0;
/// From this score on two services that show the same are told of at once.
const CLEAR: f64 = 3.0;

/// How long what is new waits.
pub(super) struct Patience<'a> {
    tick: &'a Tick<'a>,
    least: DurationMs,
    /// How far back the values of a monitor look, and whether it calls what it finds critical.
    monitors: HashMap<String, (DurationMs, bool)>,
}

impl<'a> Patience<'a> {
    /// What lasts for so long is worth telling.
    pub fn new(tick: &'a Tick<'a>, least: DurationMs) -> Self {
        Self { tick, least, monitors: HashMap::new() }
    }

    /// Whether what was found together is worth telling at once.
    pub fn is_over(&mut self, findings: &[Finding]) -> bool {
        let alone = findings.iter().any(|finding| self.has_lasted(finding) || follows_a_change(finding, self.tick));
        alone || self.is_shared(findings)
    }

    /// Whether a finding that is in no incident is still worth waiting for.
    pub fn goes_on(&mut self, finding: &Finding) -> bool {
        finding.is_open() && finding.last_seen + self.least + self.lookback(finding) >= self.tick.now
    }

    /// Whether a finding has lasted, the longer the milder it is.
    fn has_lasted(&mut self, finding: &Finding) -> bool {
        if sort(finding).is_some() {
            return true;
        }
        let least = times(self.least, self.mildness(finding));
        self.lasts_for(finding, least)
    }

    /// A rate over five minutes shows for five minutes what was for a moment: that is no time that it lasted. Neither is what
    /// went by before a slow change was known.
    fn lasts_for(&mut self, finding: &Finding, least: DurationMs) -> bool {
        let since = if is_slow(finding) { finding.opened } else { finding.onset };
        finding.last_seen >= since + least + self.lookback(finding)
    }

    /// How many times as long as a strong one a finding must last. What its monitor calls critical is never mild.
    fn mildness(&mut self, finding: &Finding) -> f64 {
        if self.monitor(finding).1 {
            return 1.0;
        }
        let mild = ((STRONG - finding.score.max(1.0)) / (STRONG - 1.0)).max(0.0);
        1.0 + (MILD - 1.0) * mild
    }

    /// Whether several services are in trouble now: many, or two of which one calls the other and that show the same, clearly
    /// or for some time. What changes slowly does so at no time that could be shared, and what is mild and stays inside its band
    /// is no trouble.
    fn is_shared(&mut self, findings: &[Finding]) -> bool {
        let fresh = times(self.least, FRESH);
        let counts = |f: &&Finding| !is_slow(f) && (f.kind != FindingKind::Pattern || f.score >= CLEAR);
        let now: Vec<&Finding> = findings.iter().filter(|f| f.last_seen + fresh >= self.tick.now).filter(counts).collect();
        let services: BTreeSet<&str> = now.iter().map(|f| f.service.as_str()).collect();
        if services.len() < 2 {
            return false;
        }
        let clear: Vec<&Finding> = now.into_iter().filter(|f| f.score >= CLEAR || self.lasts_for(f, fresh)).collect();
        let same = |a: &Finding, b: &Finding| {
            let alike = (a.metric, a.direction) == (b.metric, b.direction) && apart(a.onset, b.onset) <= SAME;
            alike && self.tick.topology.callees(&a.service).any(|callee| callee == b.service)
        };
        services.len() >= MANY || clear.iter().any(|a| clear.iter().any(|b| same(a, b)))
    }

    fn lookback(&mut self, finding: &Finding) -> DurationMs {
        self.monitor(finding).0
    }

    /// What is kept of the monitor of a finding: asking for it copies it.
    fn monitor(&mut self, finding: &Finding) -> (DurationMs, bool) {
        if let Some(known) = self.monitors.get(&finding.monitor) {
            return *known;
        }
        let monitor = (self.tick.monitor)(&finding.monitor);
        let said = monitor.map_or((DurationMs::ZERO, false), |m| (m.lookback(), m.severity == Some(Severity::Critical)));
        self.monitors.insert(finding.monitor.clone(), said);
        said
    }
}

fn follows_a_change(finding: &Finding, tick: &Tick<'_>) -> bool {
    let just_before = |at: Timestamp| at <= finding.onset && finding.onset.since(at) <= CHANGED;
    let mut changes = tick.events.iter().filter(|event| event.kind.is_change() && just_before(event.starts_at));
    changes.any(|event| crate::correlation::place::concerns(event, finding))
}

fn is_slow(finding: &Finding) -> bool {
    uncertainty(finding) > DurationMs::ZERO
}
