//! How closely a finding is linked to incidents by the topology and by machines.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::alike;
use super::sets::Sets;
use crate::analysis::detect::Detector;
use crate::clock::{DurationMs, Timestamp};
use crate::correlation::topology::{Neighbour, Node, Topology};
use crate::finding::{Direction, Finding, FindingKind};
use crate::monitor::MetricKind;

/// How long after its cause trouble may begin, over a call of full weight.
pub(super) const NEAR: DurationMs = DurationMs::from_secs(600);
/// How exactly an onset is known: so long before its cause trouble may seem to begin.
const EXACT: DurationMs = DurationMs::from_secs(120);
/// What changes slowly is found hours after it began, and its onset is known to a block of twenty minutes.
const SLOW: DurationMs = DurationMs::from_secs(1200);
/// The p-value from which a slow change speaks for a finding.
const SPEAKS: f64 = 1e-5;
/// The most calls that a quiet service between two that are linked takes part in.
const THROUGH: usize = 8;
/// What a link over two calls or a machine counts against one over a call.
const INDIRECT: f64 = 0.5;
/// From how many services in trouble at once on a machine it is the machine's.
pub(super) const MANY: usize = 3;
/// With so many findings, the nearest in time, the shape of another is compared.
const MOST_COMPARED: usize = 16;
/// Labels that name a machine, or what stands for one.
pub(super) const MACHINES: [&str; 5] = ["node", "host", "hostname", "nodename", "pod"];
const MINUTE: DurationMs = DurationMs::from_secs(60);

/// What a linked incident has to do with the finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It holds trouble of the same service.
    Same,
    /// It holds trouble that explains the finding.
    Explains,
    /// It holds trouble that the finding, or what explains the finding, explains and nothing else there does.
    Explained,
    /// They were in trouble at once, in one place.
    Beside,
}

/// A finding may belong to an incident.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub incident: usize,
    /// Above 0 and at most 1.
    pub strength: f64,
    pub role: Role,
}

/// What a finding says of its service.
type Kind = (MetricKind, Direction);

/// When a service, by number, began to be in trouble, and in which incident that is.
type Onset = (Timestamp, usize, usize);

/// The findings of one service that were put into one incident.
struct Cell {
    place: usize,
    /// In order of time; of a kind one for each minute, so that a storm is no longer to look through than a quarter hour.
    onsets: Vec<(Timestamp, Kind)>,
    /// The greatest score.
    score: f64,
}

/// Where the findings of a tick's incidents are.
pub(super) struct Near<'a> {
    topology: &'a Topology,
    /// For each service of the topology.
    cells: Vec<Vec<Cell>>,
    /// By the label and the value that name it.
    machines: HashMap<(&'a str, &'a str), BTreeSet<Onset>>,
    services: HashMap<&'a str, usize>,
    /// By onset, what has a course.
    courses: BTreeMap<Timestamp, Vec<(&'a Finding, usize)>>,
}

impl<'a> Near<'a> {
    pub fn new(topology: &'a Topology) -> Self {
        let cells = topology.services().iter().map(|_| Vec::new()).collect();
        Self { topology, cells, machines: HashMap::new(), services: HashMap::new(), courses: BTreeMap::new() }
    }

    /// Puts a finding in its place.
    pub fn list(&mut self, finding: &'a Finding, place: usize) {
        for machine in machines(finding) {
            let next = self.services.len();
            let service = *self.services.entry(&finding.service).or_insert(next);
            self.machines.entry(machine).or_default().insert((finding.onset, service, place));
        }
        if finding.course.is_some() {
            self.courses.entry(finding.onset).or_default().push((finding, place));
        }
        let Some(node) = self.topology.find(&finding.service) else { return };
        let cells = &mut self.cells[node];
        let at = cells.iter().position(|cell| cell.place == place).unwrap_or_else(|| {
            cells.push(Cell { place, onsets: Vec::new(), score: 0.0 });
            cells.len() - 1
        });
        cells[at].insert(finding);
    }

    /// Whether an incident holds a finding of the same metric of the same service.
    pub fn has(&self, finding: &Finding, incident: usize, sets: &Sets) -> bool {
        let Some(node) = self.topology.find(&finding.service) else { return false };
        let mut here = self.cells[node].iter().filter(|cell| sets.find(cell.place) == incident);
        here.any(|cell| cell.onsets.iter().any(|(_, (metric, _))| *metric == finding.metric))
    }

    /// All that a finding is linked to: by its service, over one call and by machines; where nothing is, over two calls.
    pub fn links(&self, finding: &Finding, sets: &Sets) -> Vec<Link> {
        let mut links = self.over_machines(finding, sets);
        let Some(node) = self.topology.find(&finding.service) else { return links };
        let slack = uncertainty(finding);
        let same = self.cells[node].iter().filter(|cell| cell.nearest(finding.onset, NEAR + slack, NEAR + slack, |_| true).is_some());
        links.extend(same.map(|cell| Link { incident: sets.find(cell.place), strength: 1.0, role: Role::Same }));
        for neighbour in self.topology.neighbours(node) {
            for cell in &self.cells[neighbour.node] {
                links.extend(self.over_one((finding, slack), node, neighbour, cell, sets));
            }
        }
        self.over_two(finding, node, sets, &mut links);
        links
    }

    /// Where findings of the same shape began at the same time, in places that have the same names.
    pub fn alike(&self, finding: &Finding, sets: &Sets) -> Vec<Link> {
        let onset = finding.onset;
        // So many on either side hold the nearest ones; all that began within minutes may be thousands.
        let before = self.courses.range(onset - EXACT..onset).rev().flat_map(|(_, all)| all).take(MOST_COMPARED);
        let after = self.courses.range(onset..=onset + EXACT).flat_map(|(_, all)| all).take(MOST_COMPARED);
        let mut near: Vec<_> = before.chain(after).collect();
        near.sort_by(|(a, _), (b, _)| (apart(a.onset, onset), &a.id).cmp(&(apart(b.onset, onset), &b.id)));
        let likenesses = near.into_iter().take(MOST_COMPARED).filter_map(|(other, place)| {
            let strength = INDIRECT * alike::likeness(finding, other)?;
            Some(Link { incident: sets.find(*place), strength, role: Role::Beside })
        });
        likenesses.collect()
    }

    /// Over one call, where the onset of the finding is known so much less exactly than others.
    fn over_one(&self, (finding, slack): (&Finding, DurationMs), node: Node, to: Neighbour, cell: &Cell, sets: &Sets) -> Option<Link> {
        let (incident, onset, kind, exact) = (sets.find(cell.place), finding.onset, kind(finding), EXACT + slack);
        let reach = times(NEAR, to.weight) + slack;
        let link = |at: Timestamp, role| Link { incident, strength: to.weight * closeness(onset, at, reach), role };
        let from_there = |cause, effect| if to.is_callee { climbs(cause, effect) } else { falls(cause, effect) };
        let from_here = |cause, effect| if to.is_callee { falls(cause, effect) } else { climbs(cause, effect) };
        if suffices(cell.score, finding.score, to.weight)
            && let Some((at, _)) = cell.nearest(onset, reach, exact, |cause| from_there(cause, kind))
        {
            return Some(link(at, Role::Explains));
        }
        if !suffices(finding.score, cell.score, to.weight) {
            return None;
        }
        let (at, effect) = cell.nearest(onset, exact, reach, |effect| from_here(kind, effect))?;
        (!self.is_explained(to, node, incident, at, sets, |cause| from_here(cause, effect))).then(|| link(at, Role::Explained))
    }

    /// Whether what began at `at` in a caller or a callee is explained by another of its callees or callers than `aside` in
    /// the same incident: one cause is enough.
    fn is_explained(&self, of: Neighbour, aside: Node, incident: usize, at: Timestamp, sets: &Sets, by: impl Fn(Kind) -> bool) -> bool {
        let mut others = self.topology.neighbours(of.node).filter(|other| other.is_callee != of.is_callee && other.node != aside);
        others.any(|other| {
            let mut here = self.cells[other.node].iter().filter(|cell| sets.find(cell.place) == incident);
            let reach = times(NEAR, other.weight);
            here.any(|cell| cell.nearest(at, reach, EXACT, &by).is_some())
        })
    }

    /// Over a service between that is quiet itself, is no hub, and does not merely call both.
    fn over_two(&self, finding: &Finding, node: Node, sets: &Sets, links: &mut Vec<Link>) {
        let quiet = |between: Node| self.cells[between].iter().all(|cell| cell.nearest(finding.onset, NEAR, NEAR, |_| true).is_none());
        for first in self.topology.neighbours(node).filter(|n| self.topology.degree(n.node) <= THROUGH && quiet(n.node)) {
            let second = self.topology.neighbours(first.node).filter(|n| n.node != node && (first.is_callee || !n.is_callee));
            for (to, cell) in second.flat_map(|to| self.cells[to.node].iter().map(move |cell| (to, cell))) {
                let Some((at, _)) = cell.nearest(finding.onset, EXACT, EXACT, |other| other == kind(finding)) else { continue };
                let incident = sets.find(cell.place);
                if !to.is_callee
                    && !first.is_callee
                    && self.is_explained(to, node, incident, at, sets, |cause| climbs(cause, kind(finding)))
                {
                    continue;
                }
                // What is between explains both where both call it, and passes trouble on where it is in the way.
                let role = if first.is_callee && to.is_callee { Role::Explains } else { Role::Explained };
                let strength = INDIRECT * first.weight * to.weight * closeness(finding.onset, at, EXACT);
                links.push(Link { incident, strength, role });
            }
        }
    }

    /// Where services on one machine begin to be in trouble at the same time; from some number on the machine explains it.
    fn over_machines(&self, finding: &Finding, sets: &Sets) -> Vec<Link> {
        let exact = EXACT + uncertainty(finding);
        let around = (finding.onset - exact, 0, 0)..=(finding.onset + exact, usize::MAX, usize::MAX);
        let mut links = Vec::new();
        for there in machines(finding).filter_map(|machine| self.machines.get(&machine)) {
            let (mut services, mut incidents) = (BTreeSet::new(), HashMap::new());
            for (at, service, place) in there.range(around.clone()) {
                services.insert(service);
                let closest = incidents.entry(sets.find(*place)).or_insert(0.0_f64);
                *closest = closest.max(closeness(finding.onset, *at, exact));
            }
            let role = if services.len() >= MANY { Role::Explained } else { Role::Beside };
            links.extend(incidents.into_iter().map(|(incident, close)| Link { incident, strength: INDIRECT * close, role }));
        }
        links
    }
}

impl Cell {
    fn insert(&mut self, finding: &Finding) {
        self.score = self.score.max(finding.score);
        let (minute, kind) = (finding.onset.align_down(MINUTE), kind(finding));
        let from = self.onsets.partition_point(|(other, _)| *other < minute);
        let mut within = self.onsets[from..].iter().take_while(|(other, _)| *other < minute + MINUTE);
        if !within.any(|(_, other)| *other == kind) {
            let to = self.onsets.partition_point(|other| *other < (finding.onset, kind));
            self.onsets.insert(to, (finding.onset, kind));
        }
    }

    /// The onset nearest to `at`, of those at most so much before and after it and `wanted`, and what began there.
    fn nearest(&self, at: Timestamp, before: DurationMs, after: DurationMs, wanted: impl Fn(Kind) -> bool) -> Option<(Timestamp, Kind)> {
        let from = self.onsets.partition_point(|(onset, _)| *onset < at - before);
        let near = self.onsets[from..].iter().take_while(|(onset, _)| *onset <= at + after).filter(|(_, kind)| wanted(*kind));
        near.min_by_key(|(onset, _)| apart(*onset, at)).copied()
    }
}

/// How much less exactly than others its onset is known.
pub(super) fn uncertainty(finding: &Finding) -> DurationMs {
    let slow = || finding.evidence.iter().any(|evidence| evidence.detector == Detector::Ramp.as_str() && evidence.p_value < SPEAKS);
    if finding.kind == FindingKind::Pattern && slow() { SLOW } else { DurationMs::ZERO }
}

fn kind(finding: &Finding) -> Kind {
    (finding.metric, finding.direction)
}

/// Whether trouble of a callee leads to this at its caller: to all but more requests.
fn climbs(cause: Kind, effect: Kind) -> bool {
    cause.0 != MetricKind::Traffic && effect != (MetricKind::Traffic, Direction::Up)
}

/// Whether what is with a caller leads to this at its callee: more requests strain it, fewer are only fewer, and who is in
/// trouble asks more or less of others.
fn falls(cause: Kind, effect: Kind) -> bool {
    cause == (MetricKind::Traffic, Direction::Up) || effect.0 == MetricKind::Traffic && (cause == effect || cause.0 != MetricKind::Traffic)
}

/// Whether trouble of one score is enough to explain that of another over a call of this weight: over one of full weight
/// always, over that of a hub the less the busier it is, because a hub shows a little of everything.
fn suffices(cause: f64, effect: f64, weight: f64) -> bool {
    weight >= 1.0 || cause.is_nan() || effect.is_nan() || cause >= (1.0 - weight) * effect
}

fn machines(finding: &Finding) -> impl Iterator<Item = (&str, &str)> {
    MACHINES.iter().filter_map(|name| Some((*name, finding.key.get(name)?)))
}

pub(super) fn apart(a: Timestamp, b: Timestamp) -> DurationMs {
    a.since(b).max(b.since(a))
}

/// 1 for onsets at the same time, a half for those as far apart as they may be.
fn closeness(a: Timestamp, b: Timestamp, reach: DurationMs) -> f64 {
    1.0 - 0.5 * (apart(a, b).seconds() / reach.max(EXACT).seconds()).min(1.0)
}

pub(super) fn times(length: DurationMs, factor: f64) -> DurationMs {
    DurationMs::from_millis((length.millis() as f64 * factor) as i64)
}
