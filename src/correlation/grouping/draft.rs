//! An incident while a tick works on it.

use std::borrow::Cow;
use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::advice::suggestions;
use super::span::Span;
use super::{Tick, in_time, is_own};
use crate::clock::Timestamp;
use crate::correlation::lifecycle::{self, priority, repeats};
use crate::correlation::place::Sites;
use crate::correlation::ranking;
use crate::event::Event;
use crate::finding::{Finding, FindingKind, Severity};
use crate::incident::{Incident, IncidentState, Life, TurnKind};

/// How many findings one incident keeps, those that last aside.
const MOST_FINDINGS: usize = 500;
/// How many events one incident keeps: changes first, then the earliest.
pub(super) const MOST_EVENTS: usize = 200;

/// The events of a tick, and where to find them.
pub(super) struct News<'a> {
    events: &'a [Event],
    by_id: HashMap<&'a str, usize>,
    sites: Sites<'a>,
}

impl<'a> News<'a> {
    pub fn of(events: &'a [Event]) -> Self {
        let by_id = events.iter().enumerate().map(|(i, event)| (event.id.as_str(), i)).collect();
        Self { events, by_id, sites: Sites::of(events) }
    }
}

/// The original is copied only when it changes.
pub(super) struct Draft<'a> {
    pub incident: Cow<'a, Incident>,
    /// As it was known.
    known: Option<&'a Incident>,
    pub span: Span,
    pub changed: bool,
    /// Whether this tick opened it: nobody was told of it yet.
    pub opened: bool,
    /// Whether it holds a finding of a service that the topology knows.
    pub placed: bool,
}

impl<'a> Draft<'a> {
    pub fn known(incident: &'a Incident) -> Self {
        Self {
            incident: Cow::Borrowed(incident),
            known: Some(incident),
            span: Span::of(incident),
            changed: false,
            opened: false,
            placed: false,
        }
    }

    pub fn open(finding: &Finding, now: Timestamp) -> Self {
        let incident = Incident {
            id: identity(finding),
            state: IncidentState::Open,
            severity: Severity::Info,
            service: finding.service.clone(),
            monitor: finding.monitor.clone(),
            title: String::new(),
            started: finding.onset,
            detected: now,
            updated: now,
            resolved: None,
            merged_into: None,
            life: Life::default(),
            findings: Vec::new(),
            events: Vec::new(),
            causes: Vec::new(),
            suggestions: Vec::new(),
        };
        let span = Span::of(&incident);
        Self { incident: Cow::Owned(incident), known: None, span, changed: true, opened: true, placed: false }
    }

    /// Puts a finding in the place of its earlier state.
    pub fn replace(&mut self, at: usize, finding: &Finding) {
        if self.incident.findings.get(at).is_some_and(|known| known != finding) {
            self.incident.to_mut().findings[at] = finding.clone();
            self.changed = true;
        }
    }

    pub fn add(&mut self, finding: &Finding) {
        self.span.widen(finding);
        self.incident.to_mut().findings.push(finding.clone());
        self.changed = true;
    }

    /// Gives back what it holds, as if it had not been opened.
    pub fn take_back(&mut self) -> Vec<Finding> {
        self.changed = false;
        std::mem::take(&mut self.incident.to_mut().findings)
    }

    /// Adds the events that belong here, and replaces those that changed.
    pub fn take_events(&mut self, news: &News<'_>) {
        let mut taken: Vec<(Option<usize>, &Event)> = Vec::new();
        for (at, known) in self.incident.events.iter().enumerate() {
            let latest = news.by_id.get(known.id.as_str()).map(|i| &news.events[*i]);
            taken.extend(latest.filter(|latest| *latest != known).map(|latest| (Some(at), latest)));
        }
        for event in news.sites.near(&self.incident.findings).into_iter().map(|i| &news.events[i]) {
            let known = || self.incident.events.iter().any(|known| known.id == event.id);
            if in_time(event, &self.span) && !is_own(event) && !known() {
                taken.push((None, event));
            }
        }
        if taken.is_empty() {
            return;
        }
        let incident = self.incident.to_mut();
        let before = incident.events.clone();
        for (at, event) in taken {
            match at {
                Some(at) => incident.events[at] = event.clone(),
                None => incident.events.push(event.clone()),
            }
        }
        order(&mut incident.events);
        self.changed |= incident.events != before;
    }

    /// Takes over what another holds, which is then resolved at `now` as part of this one.
    pub fn absorb(&mut self, other: &mut Self, now: Timestamp) {
        self.span = self.span.with(other.span);
        self.changed = true;
        self.placed |= other.placed;
        let (mine, theirs) = (self.incident.to_mut(), other.incident.to_mut());
        mine.findings.append(&mut theirs.findings);
        mine.events.append(&mut theirs.events);
        order(&mut mine.events);
        theirs.title = format!("{} (part of {})", theirs.title, mine.id);
        (theirs.state, theirs.resolved, theirs.updated) = (IncidentState::Resolved, Some(now), now);
        theirs.merged_into = Some(mine.id.clone());
        theirs.life.flapping = None;
        theirs.life.turn(now, TurnKind::Merged, "", format!("into {}", mine.id));
        other.changed = true;
    }

    /// The incident with everything that follows from its findings and events.
    pub fn finish(self, tick: &Tick<'_>) -> Incident {
        let mut incident = self.incident.into_owned();
        if incident.merged_into.is_some() {
            return incident;
        }
        incident.findings.sort_by(|a, b| (a.onset, &a.id).cmp(&(b.onset, &b.id)));
        forget_ended(&mut incident.findings);
        incident.started = self.span.start;
        incident.updated = tick.now;
        lifecycle::advance(self.known.map(|known| (known, Span::of(known).end)), &mut incident, self.span.end, tick.now);
        if self.opened {
            incident.severity = priority::severity(&incident.findings, tick.topology, tick.monitor);
        }
        let judged = priority::priority(&incident.findings, tick.topology, tick.monitor);
        (incident.life.priority, incident.life.why) = (Some(judged.priority), judged.why);
        incident.title = title(&incident);
        rank(&mut incident, tick);
        incident.life.signature = repeats::signature(&incident);
        incident
    }
}

/// Ranks what may have caused an incident, and what to do next.
pub(super) fn rank(incident: &mut Incident, tick: &Tick<'_>) {
    incident.causes = ranking::causes(&incident.findings, &incident.events, tick.topology, tick.learned.of(&incident.id));
    incident.suggestions = suggestions(incident, tick);
}

/// Each event once, earliest first; of too many the changes stay, then the earliest.
fn order(events: &mut Vec<Event>) {
    events.sort_by(|a, b| (!a.kind.is_change(), a.starts_at, &a.id).cmp(&(!b.kind.is_change(), b.starts_at, &b.id)));
    events.dedup_by(|a, b| a.id == b.id);
    events.truncate(MOST_EVENTS);
    events.sort_by(|a, b| (a.starts_at, &a.id).cmp(&(b.starts_at, &b.id)));
}

/// Drops the earliest findings that are over where an incident has too many; those that last always stay.
fn forget_ended(findings: &mut Vec<Finding>) {
    let mut surplus = findings.len().saturating_sub(MOST_FINDINGS);
    findings.retain(|finding| {
        let drop = surplus > 0 && !finding.is_open();
        surplus -= usize::from(drop);
        !drop
    });
}

/// `inc-` and twelve hexadecimal digits made from the opening finding's id.
pub(super) fn identity(opening: &Finding) -> String {
    let hash = Sha256::digest(opening.id.as_bytes());
    format!("inc-{}", hex::encode(&hash[..6]))
}

/// One line: the opening finding, and how many more there are.
fn title(incident: &Incident) -> String {
    let opening = incident.findings.iter().find(|f| identity(f) == incident.id);
    let Some(finding) = opening.or(incident.findings.first()) else { return incident.service.clone() };
    let Finding { service, metric, direction, unit, value, expected, kind, .. } = finding;
    let more = incident.findings.len() - 1;
    if let Some(what) = finding.in_words() {
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        let metric = if *kind == FindingKind::Drift { String::new() } else { format!("{metric} ") };
        return format!("{service}: {metric}{what}{more}");
    }
    match (kind, more) {
        (FindingKind::Deviation, 0) => format!("{service}: {metric} {}, expected {}", unit.show(*value), unit.show(*expected)),
        (FindingKind::Deviation, _) => format!("{service}: {metric} {direction} and {more} more"),
        (FindingKind::Pattern, 0) => format!("{service}: {metric} moves in an unusual pattern"),
        (FindingKind::Pattern, _) => format!("{service}: unusual pattern in {metric} and {more} more"),
        (FindingKind::Group, 0) => format!("{service}: {metric} of several series together is not where it was"),
        (_, _) => format!("{service}: {metric} of several series together, and {more} more"),
    }
}
