//! The incidents of a tick, and which of them a finding joins.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::Tick;
use super::draft::{Draft, News};
use super::link::{Link, NEAR, Near, Role, uncertainty};
use super::patience::Patience;
use super::sets::Sets;
use super::span::{Sort, Span, sort};
use crate::clock::{DurationMs, Timestamp};
use crate::correlation::lifecycle;
use crate::correlation::topology::Topology;
use crate::finding::{Direction, Finding, FindingKind};
use crate::incident::Incident;
use crate::series::SeriesKey;

/// How long after its beginning an incident takes in findings of other services.
const GROWS: DurationMs = DurationMs::from_secs(1200);
/// So few incidents are not shared out among processors.
const FEW: usize = 32;

/// Incidents, by what their findings are named.
type Names<'a> = HashMap<(Sort, &'a str), BTreeSet<usize>>;

/// The incidents of a tick, oldest first, and where to find them.
pub(super) struct Drafts<'a> {
    topology: &'a Topology,
    all: Vec<Draft<'a>>,
    sets: Sets,
    near: Near<'a>,
    /// The incident and the place in it of each finding that was known before.
    by_finding: HashMap<&'a str, (usize, usize)>,
    by_service: Names<'a>,
    by_monitor: Names<'a>,
    /// The monitors of findings of services that the topology does not know.
    by_monitor_alone: Names<'a>,
    /// The incidents that came and went lately, by their series.
    by_series: HashMap<Series<'a>, usize>,
}

/// What comes back when it comes back.
type Series<'a> = (&'a str, &'a SeriesKey, Direction, FindingKind);

fn series(finding: &Finding) -> Series<'_> {
    (&finding.monitor, &finding.key, finding.direction, finding.kind)
}

impl<'a> Drafts<'a> {
    pub fn new(open: &'a [Incident], topology: &'a Topology) -> Self {
        let mut incidents: Vec<&Incident> = open.iter().filter(|incident| incident.merged_into.is_none()).collect();
        incidents.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
        let mut drafts = Self {
            topology,
            all: Vec::new(),
            sets: Sets::default(),
            near: Near::new(topology),
            by_finding: HashMap::new(),
            by_service: HashMap::new(),
            by_monitor: HashMap::new(),
            by_monitor_alone: HashMap::new(),
            by_series: HashMap::new(),
        };
        for incident in incidents {
            let place = drafts.push(Draft::known(incident));
            for (at, finding) in incident.findings.iter().enumerate() {
                drafts.by_finding.entry(&finding.id).or_insert((place, at));
                drafts.list(finding, place);
                if incident.life.reopened().next().is_some() {
                    drafts.by_series.entry(series(finding)).or_insert(place);
                }
            }
        }
        drafts
    }

    /// Puts each finding of the tick into its incident.
    pub fn take(&mut self, tick: &Tick<'a>) {
        let mut latest: HashMap<&str, &Finding> = HashMap::new();
        for finding in tick.findings {
            let seen = latest.entry(&finding.id).or_insert(finding);
            if (finding.last_seen, finding.ended) >= (seen.last_seen, seen.ended) {
                *seen = finding;
            }
        }
        let (known, mut new): (Vec<_>, Vec<_>) = latest.into_values().partition(|f| self.by_finding.contains_key(f.id.as_str()));
        for finding in known {
            if let Some((place, at)) = self.by_finding.get(finding.id.as_str()) {
                self.all[*place].replace(*at, finding);
            }
        }
        for draft in &mut self.all {
            // After the replacements, so that what ended at this tick has ended for all that follows.
            if draft.changed {
                draft.span = Span::of(&draft.incident);
            }
            draft.changed |= lifecycle::is_due(&draft.incident, tick.now);
        }
        new.sort_by(|a, b| (a.onset, &a.id).cmp(&(b.onset, &b.id)));
        for finding in new {
            self.put(finding, tick.now);
        }
    }

    /// Takes back what this tick opened and is not worth telling yet, and gives its findings.
    pub fn hold_back(&mut self, tick: &Tick<'_>, patience: DurationMs) -> Vec<Finding> {
        let (mut waiting, mut patience) = (Vec::new(), Patience::new(tick, patience));
        for (place, draft) in self.all.iter_mut().enumerate() {
            if draft.opened && self.sets.find(place) == place && !patience.is_over(&draft.incident.findings) {
                waiting.extend(draft.take_back().into_iter().filter(|finding| patience.goes_on(finding)));
            }
        }
        waiting
    }

    /// What a tick opened, changed, merged or resolved.
    pub fn finish(mut self, tick: &Tick<'_>) -> Vec<Incident> {
        let (sets, news) = (&self.sets, News::of(tick.events));
        for (place, draft) in self.all.iter_mut().enumerate() {
            if sets.find(place) == place {
                draft.take_events(&news);
            }
        }
        let told = |place: usize, draft: &Draft<'_>| draft.changed && (sets.find(place) == place || !draft.opened);
        let all: Vec<Draft<'_>> =
            self.all.into_iter().enumerate().filter(|(place, draft)| told(*place, draft)).map(|(_, draft)| draft).collect();
        // To rank causes and find remedies is most of the work, and each incident's own.
        all.into_par_iter().with_min_len(FEW).map(|draft| draft.finish(tick)).collect()
    }

    fn push(&mut self, draft: Draft<'a>) -> usize {
        self.sets.push();
        self.all.push(draft);
        self.all.len() - 1
    }

    fn list(&mut self, finding: &'a Finding, place: usize) {
        let sort = sort(finding);
        self.by_service.entry((sort, &finding.service)).or_default().insert(place);
        self.by_monitor.entry((sort, &finding.monitor)).or_default().insert(place);
        if sort.is_some() {
            return;
        }
        self.near.list(finding, place);
        if self.topology.knows(&finding.service) {
            self.all[place].placed = true;
        } else {
            self.by_monitor_alone.entry((sort, &finding.monitor)).or_default().insert(place);
        }
    }

    /// Lets a finding join an incident or open one, and merges what it shows to be one.
    fn put(&mut self, finding: &'a Finding, now: Timestamp) {
        let is_known = sort(finding).is_none() && self.topology.knows(&finding.service);
        let (joined, merged) = match self.returning(finding) {
            Some(place) => (Some(place), Vec::new()),
            None if is_known => self.by_topology(finding),
            None => self.by_name(finding),
        };
        let place = joined.unwrap_or_else(|| self.push(Draft::open(finding, now)));
        self.all[place].add(finding);
        self.list(finding, place);
        let mut stays = place;
        for other in merged {
            stays = self.merge(stays, other, now);
        }
    }

    /// The incident that came and went lately with the very series of a finding, which has come back again.
    fn returning(&self, finding: &Finding) -> Option<usize> {
        let place = self.sets.find(*self.by_series.get(&series(finding))?);
        let Draft { incident, span, .. } = &self.all[place];
        let until = span.end.and_then(|over| lifecycle::returns_until(incident, over))?;
        (finding.onset <= until && finding.ended.is_none_or(|ended| ended >= span.start)).then_some(place)
    }

    /// The incident that a finding of a service that the topology does not know joins. What was opened at this tick and
    /// holds its service or monitor too becomes part of it: whichever of them came first, they would have been one.
    fn by_name(&mut self, finding: &'a Finding) -> (Option<usize>, Vec<usize>) {
        let key = sort(finding);
        let mut fits = overlapping(&mut self.by_service, &self.all, &self.sets, (key, &finding.service), finding, false);
        fits.extend(overlapping(&mut self.by_monitor, &self.all, &self.sets, (key, &finding.monitor), finding, false));
        if let Some(oldest) = fits.pop_first() {
            return (Some(oldest), fits.into_iter().filter(|place| self.all[*place].opened && !self.all[*place].placed).collect());
        }
        if key.is_some() {
            return (None, Vec::new());
        }
        let closest = self.closest(&self.near.links(finding, &self.sets), finding);
        (closest.or_else(|| self.closest(&self.near.alike(finding, &self.sets), finding)), Vec::new())
    }

    /// The incident that a finding of a service that the topology knows joins, and those that are then one with it.
    fn by_topology(&mut self, finding: &'a Finding) -> (Option<usize>, Vec<usize>) {
        let links = self.near.links(finding, &self.sets);
        if let Some(closest) = self.closest(&links, finding) {
            // What is not known exactly shows of no two that they are one.
            let exact = uncertainty(finding) == DurationMs::ZERO;
            let others: BTreeSet<usize> = links.iter().map(|link| link.incident).filter(|other| exact && *other != closest).collect();
            let merged: Vec<usize> = others.into_iter().filter(|other| self.are_one(closest, *other, &links, finding)).collect();
            return (Some(closest), merged);
        }
        let mut fits = overlapping(&mut self.by_service, &self.all, &self.sets, (None, &finding.service), finding, false);
        fits.retain(|place| self.all[*place].incident.service == finding.service || self.near.has(finding, *place, &self.sets));
        if fits.is_empty() {
            fits = overlapping(&mut self.by_monitor_alone, &self.all, &self.sets, (None, &finding.monitor), finding, true);
        }
        (fits.first().copied(), Vec::new())
    }

    /// The incident that a finding is linked to most closely: every link of it adds to what the others leave open.
    fn closest(&self, links: &[Link], finding: &Finding) -> Option<usize> {
        let mut open: BTreeMap<usize, f64> = BTreeMap::new();
        for link in links.iter().filter(|link| self.takes(link, finding)) {
            *open.entry(link.incident).or_insert(1.0) *= 1.0 - link.strength.min(0.99);
        }
        open.into_iter().min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0))).map(|(incident, _)| incident)
    }

    /// Whether the linked incident still takes the finding in: of another service only while it is young.
    fn takes(&self, link: &Link, finding: &Finding) -> bool {
        let span = &self.all[link.incident].span;
        span.overlaps(finding) && (link.role == Role::Same || finding.onset <= span.start + GROWS)
    }

    /// Whether a finding that joins `one` shows that one trouble explains it and `other`.
    fn are_one(&self, one: usize, other: usize, links: &[Link], finding: &Finding) -> bool {
        let (a, b) = (&self.all[one].span, &self.all[other].span);
        if a.start > b.start + NEAR || b.start > a.start + NEAR || a.end.is_some() || b.end.is_some() {
            return false;
        }
        let has = |incident, role| links.iter().any(|link| link.incident == incident && link.role == role && self.takes(link, finding));
        let is_in = has(one, Role::Same) || has(one, Role::Explained);
        // What another callee in the first explains already needs no second explanation.
        (has(other, Role::Explained) && (is_in || has(one, Role::Explains)))
            || (has(other, Role::Explains) && is_in && !has(one, Role::Explains))
    }

    /// Makes one of two incidents, and says which it is.
    fn merge(&mut self, a: usize, b: usize, now: Timestamp) -> usize {
        let (a, b) = (self.sets.find(a), self.sets.find(b));
        if a == b {
            return a;
        }
        let rank = |place: usize| {
            let Draft { opened, incident, .. } = &self.all[place];
            (*opened, std::cmp::Reverse(incident.severity), incident.started, place)
        };
        let (stays, goes) = if rank(a) <= rank(b) { (a, b) } else { (b, a) };
        self.sets.join(stays, goes);
        let (head, tail) = self.all.split_at_mut(stays.max(goes));
        if let (Some(low), Some(high)) = (head.get_mut(stays.min(goes)), tail.first_mut()) {
            let (stay, go) = if stays < goes { (low, high) } else { (high, low) };
            stay.absorb(go, now);
        }
        stays
    }
}

/// The incidents under a name whose span a finding overlaps; where `unplaced`, only those that hold no service of the
/// topology.
fn overlapping<'a>(
    names: &mut Names<'a>,
    all: &[Draft<'_>],
    sets: &Sets,
    name: (Sort, &'a str),
    finding: &Finding,
    unplaced: bool,
) -> BTreeSet<usize> {
    let Some(places) = names.get_mut(&name) else { return BTreeSet::new() };
    if places.iter().any(|place| sets.find(*place) != *place) {
        *places = places.iter().map(|place| sets.find(*place)).collect();
    }
    let fits = |place: &&usize| all[**place].span.overlaps(finding) && !(unplaced && all[**place].placed);
    places.iter().filter(fits).copied().collect()
}
