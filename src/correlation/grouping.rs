//! Which findings and events are one incident.
//!
//! A finding that an incident already holds updates it. A new one joins an incident that it is linked to, the one it is
//! linked to most closely and of equals the oldest; otherwise it opens an incident, whose id is made from the finding's.
//! An incident is resolved when every finding in it has ended, as of the latest end; what comes back, comes and goes, and is
//! held for that: [`super::lifecycle`], as is how urgent an incident is.
//!
//! **What links a finding to an incident**, where [`Topology`] knows the finding's service, and how closely:
//!
//! 1. *The same service*, with a finding there that began at most ten minutes before or after. Nothing is closer.
//! 2. *One call.* Trouble climbs from the called to the caller within minutes: the caller's begins at most ten minutes
//!    after the callee's, and at most two before it, because onsets are not exact. Only traffic goes the other way: more
//!    requests strain whatever is called, fewer are fewer there too, and who is in trouble asks more or less of others. The ten minutes shrink for a hub, which takes part in
//!    more than eight calls, with the root of their number, and its trouble must not be mild against what it is to explain;
//!    by half where the call was only learned. The nearer the onsets, the closer.
//! 3. *Two calls* over a service that is quiet and no hub, within two minutes and in the same metric and direction: half as
//!    close. Not over a service that merely calls both.
//! 4. *One machine* (the same `node`, `host` or `pod`) within two minutes: half as close.
//! 5. Where none of these is, the same service at any time while the incident lasts, give or take ten minutes, if that is
//!    the service the incident is about, or the incident holds a finding of the same metric there.
//!
//! Several links to one incident add up. Over calls and machines nothing joins an incident that began more than twenty
//! minutes before it: what comes later from a neighbour is another incident.
//!
//! **One cause is enough.** A caller whose trouble a callee in the incident explains says nothing about another callee's,
//! and likewise with traffic. So faults at two ends of the graph stay two, though the gateway above them shows both: it
//! belongs to the one it is linked to most closely and leads no further.
//!
//! **Where the topology does not know the service**, a finding joins the oldest incident that holds one of its service or
//! of its monitor and whose span it overlaps, give or take ten minutes. A monitor that watches all services says nothing
//! about which belong together, so between services that the topology knows it does not count. Where that is nowhere, it joins
//! what it is most alike of what began within two minutes: the same shape, whatever its size, where labels that both have
//! (`namespace`, `cluster` and so on) do not say that they are apart.
//!
//! What will reach a limit and what has drifted lasts for days, and joins only its like: of its service or its monitor, of
//! about the same onset.
//!
//! **Merging.** Open incidents that began at most ten minutes apart become one when a new finding shows that one trouble
//! explains both: it joins the one, and explains trouble in the other that nothing else there explains, or is explained by
//! the other and by nothing in the one. Three services in trouble at once on one machine are explained by it. The more
//! urgent incident stays, of equals the older; the other hands over what it holds and is resolved for good, naming the one
//! that it is part of. More urgent goes before older because only the alert of the one that stays still fires, and an
//! alert's severity never changes. What a tick has opened itself was told to nobody and leaves no trace.
//!
//! **Nothing is split.** What was told to people stays as it was told: taking findings away would make an alert lie about
//! its past, and a second alert for the same trouble is worse than one that is a little too wide. So the doubt is spent
//! before joining: a finding that is not clearly linked opens its own incident, which can still be merged.
//!
//! An incident's id, service, monitor and severity are its alert's identity and never change.

mod advice;
mod alike;
mod draft;
mod drafts;
mod link;
mod patience;
mod sets;
mod span;

use crate::clock::{DurationMs, Timestamp};
use crate::event::{Event, EventKind};
use crate::finding::Finding;
use crate::incident::Incident;
use crate::monitor::Monitor;

use super::feedback::Learned;
use super::place::Places;
use super::ranking;
use super::remedy::Catalogue;
use super::topology::Topology;
use drafts::Drafts;
use span::Span;

/// How far apart in time two things may be and still belong together.
pub const SLACK: DurationMs = DurationMs::from_secs(600);
/// What is new, and what is needed to tell people about it.
#[derive(Clone, Copy)]
pub struct Tick<'a> {
    /// What time it is.
    pub now: Timestamp,
    /// The findings that began, changed or ended since the last tick.
    pub findings: &'a [Finding],
    /// The recent events, new ones and those of at least the hour before the oldest new finding; and of each deployment
    /// among them the one before it, so that a suggestion can name the version to go back to.
    pub events: &'a [Event],
    /// Who calls whom, as far as it is known.
    pub topology: &'a Topology,
    /// The monitor of a name: its severity, query and runbook.
    pub monitor: &'a (dyn Fn(&str) -> Option<Monitor> + Sync),
    /// Where suggestions come from.
    pub catalogue: &'a Catalogue,
    /// What people said of earlier incidents.
    pub learned: &'a Learned,
    /// Where this engine's pages are, such as `http://127.0.0.1:9095`; runbook links begin with it.
    pub runbook_base: &'a str,
}

/// The incidents that a tick opened, changed, merged or resolved, completely filled, oldest first; what is not returned
/// stays as it is. The same input gives the same output, and the order of the findings does not matter.
///
/// `open` are the open incidents. Those that [may be reopened](super::lifecycle::may_reopen) may be among them: a series
/// that comes back then reopens its incident instead of opening another. A finding that is new and already over still
/// makes an incident, for the record, which is resolved from the beginning.
pub fn update<'a>(open: &'a [Incident], tick: &Tick<'a>) -> Vec<Incident> {
    let mut drafts = Drafts::new(open, tick.topology);
    drafts.take(tick);
    drafts.finish(tick)
}

/// What is to be told of a tick, and what is not yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// As [`update`] gives them.
    pub incidents: Vec<Incident>,
    /// Findings that are in no incident, because one of them alone is not worth telling yet. They are to be among those of the
    /// next ticks, as they are then, until they are in one or are over.
    pub waiting: Vec<Finding>,
}

/// The same with patience. A new incident is told when something in it has lasted for so long, and the longer the milder it
/// is, when three services are in trouble, when a service and one that it calls show the same within five minutes, clearly or
/// for some time, or when a change in its place came at most half an hour before. Until then what it would hold waits: most of
/// what is over within minutes and shows in one place means nothing. What joins an incident that was told already joins it at
/// once.
pub fn tell<'a>(open: &'a [Incident], tick: &Tick<'a>, patience: DurationMs) -> Told {
    let mut drafts = Drafts::new(open, tick.topology);
    drafts.take(tick);
    let waiting = drafts.hold_back(tick, patience);
    Told { incidents: drafts.finish(tick), waiting }
}

/// Those of the `open` incidents whose causes or suggestions are others by what is learned now; the tick's findings and
/// events are not looked at.
pub fn rank_again(open: &[Incident], tick: &Tick<'_>) -> Vec<Incident> {
    let ranked = open.iter().filter(|incident| incident.merged_into.is_none()).map(|incident| {
        let mut ranked = incident.clone();
        draft::rank(&mut ranked, tick);
        (ranked.causes != incident.causes || ranked.suggestions != incident.suggestions).then_some(ranked)
    });
    ranked.flatten().map(|incident| Incident { updated: tick.now, ..incident }).collect()
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

#[cfg(test)]
mod tests;
