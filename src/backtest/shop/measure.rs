//! What was raised, held against what was injected.
//!
//! - A finding **is of an injected incident** that moved that metric of that service, when it began from three minutes before
//!   that to five minutes after it was over (rates look five minutes back). Of several the one counts that began nearest.
//! - An incident **is real** when at least half of its findings are of injected incidents. What became part of another one is
//!   judged by what it held before: somebody was told of it.
//! - An injected incident **is found** when, before it ended, a finding of it was in an incident. The time to detect goes from
//!   its onset to the tick at which that was so, with all that the engine waits for.
//! - **Pairs**: of two findings in one incident both are right when they are of one injected incident; noise is of none.
//! - **The root is named** when the causes of the incident that holds most of it name its service, or its machine, first, or
//!   among the first three services.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::clock::{DurationMs, Timestamp};
use crate::finding::Finding;
use crate::incident::Incident;
use crate::simulator::campaign::{Fault, FaultKind};

/// An onset may be known to be so much earlier than it was.
const BEFORE: DurationMs = DurationMs::from_secs(180);
/// What is over still shows in rates for so long.
const AFTER: DurationMs = DurationMs::from_secs(300);
/// So long after an incident was first known somebody looks at its causes.
const LOOKS: DurationMs = DurationMs::from_secs(600);

/// The bars: at most, at least, at least, less than, at least, at least.
const PER_DAY: f64 = 10.0;
const REAL: f64 = 0.95;
const FOUND: f64 = 0.95;
const MINUTES: f64 = 5.0;
const F1: f64 = 0.85;
const ROOT: f64 = 0.9;

/// What is known besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Where the days that count begin.
    pub from: Timestamp,
    /// Where they end.
    pub to: Timestamp,
    /// How many alerts the rules fired.
    pub fired: usize,
    /// How many of them fired on something that an injected incident moved.
    pub fired_rightly: usize,
}

/// An incident as it came to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Raised {
    /// Its id.
    pub id: String,
    /// Its title when it was last told of.
    pub title: String,
    /// When it was first told of.
    pub told: Timestamp,
    /// When it was over.
    pub resolved: Option<Timestamp>,
    /// The incident that it became part of.
    pub merged_into: Option<String>,
    /// Its findings, each with when it was first in it; what it held when it became part of another.
    pub findings: BTreeMap<String, (Timestamp, Finding)>,
    /// The services that its causes name, the likeliest first, and the same ten minutes after it was first told of.
    pub causes: Vec<String>,
    /// The same ten minutes after it was first told of.
    pub early_causes: Vec<String>,
    /// How many alerts of others, and how many changes, it holds.
    pub events: (usize, usize),
}

impl Raised {
    /// Takes in its next state.
    pub fn take(&mut self, now: Timestamp, incident: &Incident) {
        if self.id.is_empty() {
            (self.id, self.told) = (incident.id.clone(), now);
        }
        self.title.clone_from(&incident.title);
        (self.resolved, self.merged_into) = (incident.resolved, incident.merged_into.clone());
        if incident.merged_into.is_some() {
            return;
        }
        for finding in &incident.findings {
            let known = self.findings.entry(finding.id.clone()).or_insert_with(|| (now, finding.clone()));
            known.1 = finding.clone();
        }
        let changes = incident.events.iter().filter(|event| event.kind.is_change()).count();
        self.events = (incident.events.len() - changes, changes);
        let mut seen = BTreeSet::new();
        self.causes = incident.causes.iter().filter(|cause| seen.insert(&cause.service)).map(|cause| cause.service.clone()).collect();
        if self.early_causes.is_empty() || now <= self.told + LOOKS {
            self.early_causes.clone_from(&self.causes);
        }
    }
}

/// One of the things that must be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// What is measured.
    pub name: &'static str,
    /// What came out; `None` where there was nothing to measure.
    pub value: Option<f64>,
    /// What it must be, in words.
    pub bar: String,
    /// Whether it is.
    pub is_met: bool,
}

/// What became of an injected incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// What was injected.
    pub fault: Fault,
    /// Minutes from its onset until it was known; `None` where it was not found.
    pub minutes_to_detect: Option<f64>,
    /// How many findings are of it, and in how many incidents they are.
    pub findings: usize,
    /// The incidents that hold them, that with most of them first.
    pub incidents: Vec<String>,
    /// The place of its root among the services that the first of these names as causes, from 1 on.
    pub rank: Option<usize>,
    /// The same ten minutes after that was first told of.
    pub early_rank: Option<usize>,
}

/// All of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Kind {
    /// The kind.
    pub kind: String,
    /// How many were injected.
    pub injected: usize,
    /// How many were found.
    pub found: usize,
    /// The median of the minutes to detect.
    pub median_minutes: Option<f64>,
    /// For how many the root is named first.
    pub first: usize,
    /// For how many it is among the first three.
    pub top3: usize,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// How many days count.
    pub days: f64,
    /// What must be shown.
    pub measures: Vec<Measure>,
    /// How often the rules fired.
    pub alerts_in: usize,
    /// The share of that that is noise.
    pub noise_in: Option<f64>,
    /// How many incidents were told of: one alert each.
    pub incidents: usize,
    /// How many of them became part of another.
    pub merged: usize,
    /// How many are not real.
    pub false_incidents: usize,
    /// Findings in incidents.
    pub findings: usize,
    /// How many of them are of no injected incident.
    pub noise_findings: usize,
    /// Of the pairs of findings in one incident, those of one injected incident.
    pub precision: Option<f64>,
    /// Of the pairs of findings of one injected incident, those in one incident.
    pub recall: Option<f64>,
    /// The 90th percentile of the minutes to detect.
    pub p90_minutes: Option<f64>,
    /// The share whose root is named first.
    pub first: Option<f64>,
    /// The share whose root is among the first three ten minutes after it was first told of.
    pub early_top3: Option<f64>,
    /// By kind.
    pub kinds: Vec<Kind>,
    /// What became of each injected incident.
    pub outcomes: Vec<Outcome>,
    /// All that was raised.
    #[serde(skip)]
    pub raised: Vec<Raised>,
}

/// Which of `faults` a finding is of.
pub fn fault_of(faults: &[Fault], finding: &Finding) -> Option<usize> {
    let apart = |from: Timestamp| finding.onset.since(from).max(from.since(finding.onset));
    let touched = faults.iter().enumerate().flat_map(|(i, fault)| fault.touches.iter().map(move |touch| (i, touch)));
    let fits = touched.filter(|(_, touch)| {
        let here = touch.service == finding.service && touch.metric == finding.metric;
        here && finding.onset + BEFORE >= touch.from && finding.onset <= touch.to + AFTER
    });
    fits.min_by_key(|(i, touch)| (apart(touch.from), *i)).map(|(i, _)| i)
}

/// Holds what was raised against what was injected.
pub fn measure(faults: &[Fault], raised: Vec<Raised>, terms: Terms) -> Measured {
    let days = terms.to.since(terms.from).seconds() / DurationMs::DAY.seconds();
    let raised: Vec<Raised> = raised.into_iter().filter(|r| r.told >= terms.from && r.told < terms.to).collect();
    let by_id: BTreeMap<&str, &Raised> = raised.iter().map(|r| (r.id.as_str(), r)).collect();
    let last = |raised: &Raised| -> String {
        let mut at = raised;
        while let Some(next) = at.merged_into.as_deref().and_then(|id| by_id.get(id)) {
            at = next;
        }
        at.id.clone()
    };
    // Each finding once: where it is in the end, when it was first in any incident, and what it is of.
    let mut all: BTreeMap<&str, (String, Timestamp, Option<usize>)> = BTreeMap::new();
    for one in &raised {
        for (id, (since, finding)) in &one.findings {
            let entry = all.entry(id).or_insert_with(|| (last(one), *since, fault_of(faults, finding)));
            entry.1 = entry.1.min(*since);
        }
    }
    let is_false = |one: &&Raised| {
        let right = one.findings.keys().filter(|id| all.get(id.as_str()).is_some_and(|known| known.2.is_some())).count();
        right * 2 < one.findings.len() || one.findings.is_empty()
    };
    let false_incidents = raised.iter().filter(is_false).count();
    let outcomes: Vec<Outcome> = faults.iter().enumerate().map(|(i, fault)| outcome(i, fault, &all, &by_id)).collect();
    let (precision, recall) = pairs(&all);
    let f1 = precision.zip(recall).map(|(p, r)| if p + r > 0.0 { 2.0 * p * r / (p + r) } else { 0.0 });
    let found: Vec<&Outcome> = outcomes.iter().filter(|o| o.minutes_to_detect.is_some()).collect();
    let ranked = |of: fn(&Outcome) -> Option<usize>, most: usize| found.iter().filter(|o| of(o).is_some_and(|r| r <= most)).count();
    let minutes: Vec<f64> = found.iter().filter_map(|o| o.minutes_to_detect).collect();
    let per_day = raised.len() as f64 / days;
    let measures = vec![
        at_most("incidents a day", Some(per_day), PER_DAY, ""),
        at_least("share of them real", share(raised.len() - false_incidents, raised.len()), REAL),
        at_least("share of the injected found", share(found.len(), faults.len()), FOUND),
        below("median minutes to detect", quantile(&minutes, 0.5), MINUTES),
        at_least("F1 of pairs of findings", f1, F1),
        at_least("root in the top 3", share(ranked(|o| o.rank, 3), found.len()), ROOT),
    ];
    Measured {
        days,
        measures,
        alerts_in: terms.fired,
        noise_in: share(terms.fired - terms.fired_rightly, terms.fired),
        incidents: raised.len(),
        merged: raised.iter().filter(|r| r.merged_into.is_some()).count(),
        false_incidents,
        findings: all.len(),
        noise_findings: all.values().filter(|known| known.2.is_none()).count(),
        precision,
        recall,
        p90_minutes: quantile(&minutes, 0.9),
        first: share(ranked(|o| o.rank, 1), found.len()),
        early_top3: share(ranked(|o| o.early_rank, 3), found.len()),
        kinds: kinds(&outcomes),
        outcomes,
        raised,
    }
}

/// What became of one injected incident.
fn outcome(
    number: usize,
    fault: &Fault,
    all: &BTreeMap<&str, (String, Timestamp, Option<usize>)>,
    by_id: &BTreeMap<&str, &Raised>,
) -> Outcome {
    let own: Vec<&(String, Timestamp, Option<usize>)> = all.values().filter(|known| known.2 == Some(number)).collect();
    let known = own.iter().map(|(_, since, _)| *since).min().filter(|since| *since <= fault.end);
    let mut homes: BTreeMap<&str, usize> = BTreeMap::new();
    for (home, ..) in &own {
        *homes.entry(home).or_default() += 1;
    }
    let mut homes: Vec<(&str, usize)> = homes.into_iter().collect();
    homes.sort_by_key(|(id, count)| (std::cmp::Reverse(*count), by_id.get(id).map(|r| r.told)));
    let main = homes.first().and_then(|(id, _)| by_id.get(id));
    let rank = |causes: &[String]| causes.iter().position(|service| *service == fault.root).map(|place| place + 1);
    Outcome {
        fault: fault.clone(),
        minutes_to_detect: known.map(|known| known.since(fault.onset).seconds() / 60.0),
        findings: own.len(),
        incidents: homes.iter().map(|(id, _)| (*id).to_owned()).collect(),
        rank: main.and_then(|main| rank(&main.causes)),
        early_rank: main.and_then(|main| rank(&main.early_causes)),
    }
}

/// Precision and recall of pairs of findings.
fn pairs(all: &BTreeMap<&str, (String, Timestamp, Option<usize>)>) -> (Option<f64>, Option<f64>) {
    let pairs = |n: &usize| (n * n.saturating_sub(1) / 2) as f64;
    let (mut both, mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (home, _, truth) in all.values() {
        *ours.entry(home).or_insert(0_usize) += 1;
        // Noise is of nothing, and so never a pair.
        if let Some(truth) = truth {
            *both.entry((home, truth)).or_insert(0_usize) += 1;
            *theirs.entry(truth).or_insert(0_usize) += 1;
        }
    }
    let right: f64 = both.values().map(pairs).sum();
    let of = |whole: f64| (whole > 0.0).then(|| right / whole);
    (of(ours.values().map(pairs).sum()), of(theirs.values().map(pairs).sum()))
}

fn kinds(outcomes: &[Outcome]) -> Vec<Kind> {
    let of = |word: &&'static str| {
        let mine: Vec<&Outcome> = outcomes.iter().filter(|o| o.fault.kind.as_str() == *word).collect();
        let minutes: Vec<f64> = mine.iter().filter_map(|o| o.minutes_to_detect).collect();
        let ranked = |most: usize| mine.iter().filter(|o| o.minutes_to_detect.is_some() && o.rank.is_some_and(|r| r <= most)).count();
        Kind {
            kind: (*word).to_owned(),
            injected: mine.len(),
            found: minutes.len(),
            median_minutes: quantile(&minutes, 0.5),
            first: ranked(1),
            top3: ranked(3),
        }
    };
    FaultKind::WORDS.iter().map(of).filter(|kind| kind.injected > 0).collect()
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The value below which so many lie; the upper of two.
fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(((sorted.len() as f64 * q) as usize).min(sorted.len().saturating_sub(1))).copied()
}

fn at_least(name: &'static str, value: Option<f64>, bar: f64) -> Measure {
    Measure { name, value, bar: format!("at least {bar}"), is_met: value.is_some_and(|value| value >= bar) }
}

fn at_most(name: &'static str, value: Option<f64>, bar: f64, unit: &str) -> Measure {
    Measure { name, value, bar: format!("at most {bar}{unit}"), is_met: value.is_some_and(|value| value <= bar) }
}

fn below(name: &'static str, value: Option<f64>, bar: f64) -> Measure {
    Measure { name, value, bar: format!("less than {bar}"), is_met: value.is_some_and(|value| value < bar) }
}

#[cfg(test)]
mod tests;
