//! How well incidents fit the faults behind them.

use std::collections::{BTreeMap, BTreeSet};

use super::shop::{Day, Told};
use crate::clock::{DurationMs, Timestamp};
use crate::finding::Finding;
use crate::incident::Incident;

/// How well a day was joined.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fit {
    /// Of the pairs of findings in one incident, those of one fault.
    pub precision: f64,
    /// Of the pairs of findings of one fault, those in one incident.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// Incidents that hold a finding of a fault, for each fault that shows in one.
    pub per_fault: f64,
    /// How many incidents there were, those that became part of another aside.
    pub incidents: usize,
    /// How many became part of another.
    pub merged: usize,
}

/// Plays a day minute by minute to `update`, which is given what is open and what is new, as the engine would.
pub fn play(day: &Day, slack: DurationMs, mut update: impl FnMut(Timestamp, &[Incident], &[Finding]) -> Vec<Incident>) -> Fit {
    let mut news: BTreeMap<Timestamp, Vec<Finding>> = BTreeMap::new();
    for Told { finding, known, .. } in &day.told {
        let ended = finding.ended.unwrap_or(*known);
        if ended > *known {
            news.entry(*known).or_default().push(Finding { ended: None, last_seen: *known, ..finding.clone() });
        }
        news.entry(ended.max(*known).align_down(DurationMs::from_secs(60)) + DurationMs::from_secs(60)).or_default().push(finding.clone());
    }
    let (mut open, mut home, mut into) = (Vec::<Incident>::new(), BTreeMap::new(), BTreeMap::new());
    for (now, findings) in news {
        for incident in update(now, &open, &findings) {
            home.extend(incident.findings.iter().map(|f| (f.id.clone(), incident.id.clone())));
            into.extend(incident.merged_into.clone().map(|other| (incident.id.clone(), other)));
            open.retain(|known| known.id != incident.id);
            open.push(incident);
        }
        open.retain(|incident| incident.resolved.is_none_or(|at| now.since(at) < slack));
    }
    judge(day, &home, into.len())
}

fn judge(day: &Day, home: &BTreeMap<String, String>, merged: usize) -> Fit {
    let pairs = |n: usize| (n * n.saturating_sub(1) / 2) as f64;
    let (mut both, mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for told in &day.told {
        let incident = home.get(&told.finding.id).map_or("none", String::as_str);
        *both.entry((incident, told.truth)).or_insert(0) += 1;
        *ours.entry(incident).or_insert(0) += 1;
        *theirs.entry(told.truth).or_insert(0) += 1;
    }
    let right: f64 = both.values().map(|n| pairs(*n)).sum();
    let precision = right / ours.values().map(|n| pairs(*n)).sum::<f64>().max(1.0);
    let recall = right / theirs.values().map(|n| pairs(*n)).sum::<f64>().max(1.0);
    // Noise has one finding; a fault may have one too, which is then in one incident as well.
    let faults: BTreeSet<usize> = theirs.iter().filter(|(_, n)| **n > 1).map(|(truth, _)| *truth).collect();
    let parts = both.keys().filter(|(_, truth)| faults.contains(truth)).count();
    Fit {
        precision,
        recall,
        f1: 2.0 * precision * recall / (precision + recall).max(f64::MIN_POSITIVE),
        per_fault: parts as f64 / faults.len().max(1) as f64,
        incidents: ours.len(),
        merged,
    }
}
