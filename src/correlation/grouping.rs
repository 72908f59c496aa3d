//! Which findings and events are one incident.
//!
//! Findings of one service, or of one monitor, that overlap in time are one incident:
//!
//! - a finding that an incident already holds updates it;
//! - a new one joins the oldest incident that holds a finding of its service or of its monitor and whose span it
//!   overlaps, give or take ten minutes;
//! - what will reach a limit and what has drifted lasts for days, and joins only its like, of about the same onset;
//! - otherwise it opens an incident, whose id is made from the finding's;
//! - an incident is resolved when every finding in it has ended, as of the latest end.
//!
//! An incident's id, service, monitor and severity are its alert's identity and never change.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha2::{Digest, Sha256};

use super::place::Places;
use super::ranking;
use super::remedy::{Catalogue, Context};
use crate::clock::{DurationMs, Timestamp};
use crate::event::{Event, EventKind};
use crate::finding::{Finding, FindingKind, Severity};
use crate::incident::{Incident, IncidentState, Suggestion};
use crate::monitor::{MetricKind, Monitor};
use crate::reach::Reach;

/// How far apart in time two things may be and still belong together.
pub const SLACK: DurationMs = DurationMs::from_secs(600);
/// How far apart the onsets of what lasts for days may be.
const TOGETHER: DurationMs = DurationMs::HOUR;
/// A score from which any finding is critical.
const CRITICAL_SCORE: f64 = 3.0;
/// A score from which errors and missing things, which users feel at once, are critical.
const CRITICAL_SCORE_FELT: f64 = 1.5;
/// A limit that is reached within this time is critical.
const SOON: DurationMs = DurationMs::from_millis(4 * DurationMs::HOUR.millis());
/// How many findings one incident keeps, those that last aside.
const MOST_FINDINGS: usize = 500;
/// How many events one incident keeps: changes first, then the earliest.
const MOST_EVENTS: usize = 200;
/// How many suggestions one incident shows, and from how many of its leading findings they come.
const MOST_SUGGESTIONS: usize = 5;

/// What is new, and what is needed to tell people about it.
#[derive(Clone, Copy)]
pub struct Tick<'a> {
    /// What time it is.
    pub now: Timestamp,
    /// The findings that began, changed or ended since the last tick.
    pub findings: &'a [Finding],
    /// The recent events, new ones and those of at least the hour before the oldest new finding.
    pub events: &'a [Event],
    /// The monitor of a name: its severity, query and runbook.
    pub monitor: &'a dyn Fn(&str) -> Option<Monitor>,
    /// Where suggestions come from.
    pub catalogue: &'a Catalogue,
    /// Where this engine's pages are, such as `http://127.0.0.1:9095`; runbook links begin with it.
    pub runbook_base: &'a str,
}

/// The incidents that a tick opened, changed or resolved, completely filled, oldest first; what is not returned
/// stays as it is. The same input gives the same output, and the order of the findings does not matter.
///
/// `open` are the open incidents. Those resolved less than [`SLACK`] ago may be among them: a series that comes
/// right back then reopens its incident instead of opening another. A finding that is new and already over still
/// makes an incident, for the record, which is resolved from the beginning.
pub fn update<'a>(open: &'a [Incident], tick: &Tick<'a>) -> Vec<Incident> {
    let mut drafts = Drafts::new(open);
    drafts.take(tick);
    for draft in &mut drafts.all {
        draft.take_events(tick.events);
    }
    drafts.all.into_iter().filter(|draft| draft.changed).map(|draft| draft.finish(tick)).collect()
}

/// Whether an event belongs to an incident. A change must have begun within the hour before the incident or while it
/// lasted, anything else must overlap it, give or take ten minutes; and it must share a service with one of the
/// incident's findings, or a label that says where: `service`, `app`, `job`, `instance`, `pod`, or `namespace` with
/// `deployment`. An alert that this engine raised itself and that came back is no evidence.
pub fn belongs(event: &Event, incident: &Incident) -> bool {
    in_time(event, &Span::of(incident)) && !is_own(event) && Places::of(&incident.findings).have(event)
}

fn in_time(event: &Event, span: &Span) -> bool {
    let (before, end) = if event.kind.is_change() {
        (ranking::LOOK_BACK, event.starts_at)
    } else {
        // An event of unknown kind without an end is an instant; an alert without one still fires.
        let lasts = event.kind == EventKind::Alert;
        (SLACK, event.ends_at.unwrap_or(if lasts { Timestamp::from_millis(i64::MAX) } else { event.starts_at }))
    };
    let after = if event.kind.is_change() { DurationMs::ZERO } else { SLACK };
    end + before >= span.start && span.end.is_none_or(|over| event.starts_at <= over + after)
}

/// Whether an alert came from this engine and back through Alertmanager.
fn is_own(event: &Event) -> bool {
    let id = event.labels.get("incident").and_then(|label| label.strip_prefix("inc-"));
    event.kind == EventKind::Alert && id.is_some_and(|hex| hex.len() == 12 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What lasts for days and is another task than what is wrong now: it joins only its like. `None` for what is wrong now.
type Sort = Option<FindingKind>;

fn sort(finding: &Finding) -> Sort {
    matches!(finding.kind, FindingKind::Capacity | FindingKind::Drift).then_some(finding.kind)
}

/// From the first onset to the latest end; open-ended while a finding lasts.
#[derive(Clone, Copy)]
struct Span {
    start: Timestamp,
    /// The latest onset.
    latest: Timestamp,
    end: Option<Timestamp>,
}

impl Span {
    fn of(incident: &Incident) -> Self {
        let mut span = Self { start: incident.started, latest: incident.started, end: Some(incident.started) };
        for finding in &incident.findings {
            span.widen(finding);
        }
        span
    }

    fn widen(&mut self, finding: &Finding) {
        self.start = self.start.min(finding.onset);
        self.latest = self.latest.max(finding.onset);
        self.end = self.end.zip(finding.ended).map(|(a, b)| a.max(b));
    }

    fn overlaps(&self, finding: &Finding) -> bool {
        if sort(finding).is_some() && (finding.onset > self.latest + TOGETHER || finding.onset + TOGETHER < self.start) {
            return false;
        }
        self.end.is_none_or(|end| finding.onset <= end + SLACK) && finding.ended.is_none_or(|end| end + SLACK >= self.start)
    }
}

/// An incident while a tick works on it; the original is copied only when it changes.
struct Draft<'a> {
    incident: Cow<'a, Incident>,
    span: Span,
    changed: bool,
    opened: bool,
}

/// The incidents of a tick, oldest first, and where to find them.
struct Drafts<'a> {
    all: Vec<Draft<'a>>,
    by_finding: HashMap<&'a str, usize>,
    by_service: HashMap<(Sort, &'a str), BTreeSet<usize>>,
    by_monitor: HashMap<(Sort, &'a str), BTreeSet<usize>>,
}

impl<'a> Drafts<'a> {
    fn new(open: &'a [Incident]) -> Self {
        let mut incidents: Vec<&Incident> = open.iter().collect();
        incidents.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
        let mut drafts = Self { all: Vec::new(), by_finding: HashMap::new(), by_service: HashMap::new(), by_monitor: HashMap::new() };
        for incident in incidents {
            let place = drafts.all.len();
            let span = Span::of(incident);
            drafts.all.push(Draft { incident: Cow::Borrowed(incident), span, changed: false, opened: false });
            for finding in &incident.findings {
                drafts.list(finding, place);
            }
        }
        drafts
    }

    fn list(&mut self, finding: &'a Finding, place: usize) {
        self.by_finding.entry(&finding.id).or_insert(place);
        let sort = sort(finding);
        self.by_service.entry((sort, &finding.service)).or_default().insert(place);
        self.by_monitor.entry((sort, &finding.monitor)).or_default().insert(place);
    }

    /// Puts each finding of the tick into its incident.
    fn take(&mut self, tick: &Tick<'a>) {
        let mut latest: BTreeMap<&str, &Finding> = BTreeMap::new();
        for finding in tick.findings {
            let seen = latest.entry(&finding.id).or_insert(finding);
            if (finding.last_seen, finding.ended) >= (seen.last_seen, seen.ended) {
                *seen = finding;
            }
        }
        let (known, mut waiting): (Vec<_>, Vec<_>) = latest.into_values().partition(|f| self.by_finding.contains_key(f.id.as_str()));
        for finding in known {
            if let Some(place) = self.by_finding.get(finding.id.as_str()) {
                self.all[*place].replace(finding);
            }
        }
        for draft in &mut self.all {
            // After the replacements, so that what ended at this tick has ended for all that follows.
            if draft.changed {
                draft.span = Span::of(&draft.incident);
            }
        }
        waiting.sort_by(|a, b| (a.onset, &a.id).cmp(&(b.onset, &b.id)));
        while !waiting.is_empty() {
            // One that joins may bring a service or a monitor by which another then joins.
            loop {
                let before = waiting.len();
                waiting.retain(|finding| match self.fitting(finding) {
                    Some(place) => {
                        self.join(finding, place);
                        false
                    }
                    None => true,
                });
                if waiting.len() == before {
                    break;
                }
            }
            if !waiting.is_empty() {
                let place = self.all.len();
                let opening = waiting.remove(0);
                self.all.push(Draft::open(opening, tick.now));
                self.join(opening, place);
            }
        }
    }

    /// The oldest incident that a new finding joins.
    fn fitting(&self, finding: &Finding) -> Option<usize> {
        let oldest = |places: Option<&BTreeSet<usize>>| places?.iter().copied().find(|i| self.all[*i].span.overlaps(finding));
        let sort = sort(finding);
        let service = oldest(self.by_service.get(&(sort, finding.service.as_str())));
        let monitor = oldest(self.by_monitor.get(&(sort, finding.monitor.as_str())));
        service.into_iter().chain(monitor).min()
    }

    fn join(&mut self, finding: &'a Finding, place: usize) {
        self.all[place].add(finding);
        self.list(finding, place);
    }
}

impl Draft<'_> {
    fn open(finding: &Finding, now: Timestamp) -> Self {
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
            findings: Vec::new(),
            events: Vec::new(),
            causes: Vec::new(),
            suggestions: Vec::new(),
        };
        let span = Span::of(&incident);
        Self { incident: Cow::Owned(incident), span, changed: true, opened: true }
    }

    fn replace(&mut self, finding: &Finding) {
        let at = self.incident.findings.iter().position(|f| f.id == finding.id);
        if let Some(at) = at.filter(|at| self.incident.findings[*at] != *finding) {
            self.incident.to_mut().findings[at] = finding.clone();
            self.changed = true;
        }
    }

    fn add(&mut self, finding: &Finding) {
        self.span.widen(finding);
        self.incident.to_mut().findings.push(finding.clone());
        self.changed = true;
    }

    /// Adds the events that belong here, and replaces those that changed.
    fn take_events(&mut self, events: &[Event]) {
        let mut taken: Vec<(Option<usize>, &Event)> = Vec::new();
        {
            let known: HashMap<&str, usize> = self.incident.events.iter().enumerate().map(|(i, e)| (e.id.as_str(), i)).collect();
            let mut places = None;
            for event in events {
                match known.get(event.id.as_str()) {
                    Some(at) if self.incident.events[*at] != *event => taken.push((Some(*at), event)),
                    Some(_) => {}
                    None => {
                        let here = || Places::of(&self.incident.findings);
                        if in_time(event, &self.span) && !is_own(event) && places.get_or_insert_with(here).have(event) {
                            taken.push((None, event));
                        }
                    }
                }
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
        incident.events.sort_by(|a, b| (!a.kind.is_change(), a.starts_at, &a.id).cmp(&(!b.kind.is_change(), b.starts_at, &b.id)));
        incident.events.dedup_by(|a, b| a.id == b.id);
        incident.events.truncate(MOST_EVENTS);
        incident.events.sort_by(|a, b| (a.starts_at, &a.id).cmp(&(b.starts_at, &b.id)));
        self.changed |= incident.events != before;
    }

    /// The incident with everything that follows from its findings and events.
    fn finish(self, tick: &Tick<'_>) -> Incident {
        let mut incident = self.incident.into_owned();
        incident.findings.sort_by(|a, b| (a.onset, &a.id).cmp(&(b.onset, &b.id)));
        forget_ended(&mut incident.findings);
        incident.started = self.span.start;
        incident.updated = tick.now;
        incident.resolved = self.span.end.map(|end| end.min(tick.now));
        incident.state = if incident.resolved.is_some() { IncidentState::Resolved } else { IncidentState::Open };
        if self.opened {
            let judged = incident.findings.iter().map(|f| severity(f, (tick.monitor)(&f.monitor).and_then(|m| m.severity)));
            incident.severity = judged.max().unwrap_or(Severity::Warning);
        }
        incident.title = title(&incident);
        incident.causes = ranking::causes(&incident.findings, &incident.events);
        incident.suggestions = suggestions(&incident, tick);
        incident
    }
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
fn identity(opening: &Finding) -> String {
    let hash = Sha256::digest(opening.id.as_bytes());
    hash.iter().take(6).fold("inc-".to_owned(), |id, byte| format!("{id}{byte:02x}"))
}

/// How urgent a finding is: what its monitor says; otherwise critical from a score of 3, for errors and availability
/// from 1.5, and warning below; a limit is critical when it is reached within four hours. An incident takes the most urgent of the findings it opens with, and keeps it.
pub fn severity(finding: &Finding, stated: Option<Severity>) -> Severity {
    let felt = matches!(finding.metric, MetricKind::Errors | MetricKind::Availability);
    let bound = if felt { CRITICAL_SCORE_FELT } else { CRITICAL_SCORE };
    let soon = |reach: Reach<Timestamp>| reach.expected.is_some_and(|at| at <= finding.last_seen + SOON);
    let is_critical = finding.reach.map_or(finding.score >= bound, soon);
    stated.unwrap_or(if is_critical { Severity::Critical } else { Severity::Warning })
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

/// The next steps for the findings that lead the incident.
fn suggestions(incident: &Incident, tick: &Tick<'_>) -> Vec<Suggestion> {
    let traffic = |service: &str| {
        let of_service = incident.findings.iter().filter(|f| f.metric == MetricKind::Traffic && f.service == service);
        of_service.max_by_key(|f| (f.is_open(), f.onset)).map(|f| f.direction)
    };
    let leaders: Vec<(&Finding, Option<Monitor>)> = ranking::leaders(&incident.findings)
        .into_iter()
        .take(MOST_SUGGESTIONS)
        .map(|finding| (finding, (tick.monitor)(&finding.monitor)))
        .collect();
    let cases: Vec<(&Finding, Context<'_>)> = leaders
        .iter()
        .map(|(finding, monitor)| {
            let context = Context {
                changes: incident.events.iter().filter(|event| ranking::may_have_led(event, finding)).collect(),
                traffic: traffic(&finding.service),
                query: monitor.as_ref().map(|m| m.query.as_str()),
                runbook_url: monitor.as_ref().and_then(|m| m.runbook_url.as_deref()),
                runbook_base: tick.runbook_base,
            };
            (*finding, context)
        })
        .collect();
    tick.catalogue.suggest_all(&cases, MOST_SUGGESTIONS)
}

#[cfg(test)]
mod tests;
