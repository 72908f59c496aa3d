//! The incidents of a past: its findings through the live correlation, in the order in which they were noticed.

use std::collections::BTreeMap;

use crate::backtest::replay::Row;
use crate::clock::Timestamp;
use crate::correlation::feedback::Learned;
use crate::correlation::grouping::{self, Tick};
use crate::correlation::lifecycle;
use crate::correlation::remedy::Catalogue;
use crate::correlation::topology::Topology;
use crate::finding::Finding;
use crate::incident::Incident;
use crate::monitor::Monitor;

/// A finding, and when a live engine would have noticed its beginning and its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Noticed {
    /// The finding as it was in the end.
    pub finding: Finding,
    /// The first point at which it was open.
    pub opened: Timestamp,
    /// The first point at which it was so no more; `None` while it lasts.
    pub closed: Option<Timestamp>,
}

/// The stretches of a series' rows over which a finding was open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs(Vec<(Timestamp, Option<Timestamp>)>);

impl Runs {
    /// Takes in the next rows.
    pub fn push(&mut self, rows: &[Row]) {
        for row in rows {
            match self.0.last_mut() {
                Some((_, end @ None)) if !row.finding => *end = Some(row.time),
                Some((_, None)) => {}
                _ if row.finding => self.0.push((row.time, None)),
                _ => {}
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When `finding` was noticed. Two findings may share a run: the one that a new model finds where the old one's
    /// was cut off.
    pub fn noticed(&self, finding: Finding) -> Noticed {
        let run = self.0.iter().find(|(_, end)| end.is_none_or(|end| end > finding.onset));
        let (opened, over) = match run {
            Some((start, end)) => (finding.onset.max(*start), *end),
            None => (finding.last_seen, finding.ended),
        };
        let closed = finding.ended.map(|ended| over.unwrap_or(ended).max(ended).max(opened));
        Noticed { finding, opened, closed }
    }
}

/// The incidents that a live engine would have raised, in order of their beginnings. How bad a finding was is known
/// from its opening on, which may make an incident more severe than it would have been at first.
pub fn incidents(noticed: &[Noticed], monitors: &BTreeMap<String, Monitor>) -> Vec<Incident> {
    let catalogue = Catalogue::shipped();
    let mut changes: Vec<(Timestamp, Finding)> = Vec::with_capacity(noticed.len() * 2);
    for Noticed { finding, opened, closed } in noticed {
        changes.push((*opened, Finding { last_seen: (*opened).min(finding.last_seen), ended: None, ..finding.clone() }));
        changes.extend(closed.map(|closed| (closed, finding.clone())));
    }
    // Of a finding that opens and closes at once only its end is told: the correlation takes the latest.
    changes.sort_by(|(a, first), (b, second)| a.cmp(b).then_with(|| first.id.cmp(&second.id)));
    // A past that is replayed knows no calls, and nobody said anything of it.
    let topology = Topology::default();
    let learned = Learned::default();
    let (mut current, mut over): (Vec<Incident>, Vec<Incident>) = (Vec::new(), Vec::new());
    for at_once in changes.chunk_by(|a, b| a.0 == b.0) {
        let Some((now, _)) = at_once.first() else { continue };
        let findings: Vec<Finding> = at_once.iter().map(|(_, finding)| finding.clone()).collect();
        let tick = Tick {
            topology: &topology,
            learned: &learned,
            now: *now,
            findings: &findings,
            events: &[],
            monitor: &|name| monitors.get(name).cloned(),
            catalogue: &catalogue,
            runbook_base: "",
        };
        for incident in grouping::update(&current, &tick) {
            match current.iter_mut().find(|known| known.id == incident.id) {
                Some(known) => *known = incident,
                None => current.push(incident),
            }
        }
        // As the engine does: what was resolved a moment ago may open again.
        let (stay, gone) = current.into_iter().partition(|i| lifecycle::may_reopen(i, *now));
        current = stay;
        over.extend::<Vec<Incident>>(gone);
    }
    // What is still held for coming and going is over once it was quiet for long enough.
    while let Some(until) = current.iter().filter_map(|incident| incident.life.flapping.as_ref()?.until).min() {
        let tick = Tick {
            topology: &topology,
            learned: &learned,
            now: until,
            findings: &[],
            events: &[],
            monitor: &|name| monitors.get(name).cloned(),
            catalogue: &catalogue,
            runbook_base: "",
        };
        for incident in grouping::update(&current, &tick) {
            current.iter_mut().filter(|known| known.id == incident.id).for_each(|known| *known = incident.clone());
        }
    }
    over.extend(current);
    over.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
    over
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::DurationMs;
    use crate::finding::{Direction, FindingKind};
    use crate::metric::{MetricKind, Unit};
    use crate::series::SeriesKey;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(1_767_571_200_000 + minute * 60_000)
    }

    fn finding(service: &str, monitor: &str, onset: i64, ended: Option<i64>) -> Finding {
        let key = SeriesKey::new([("service".to_owned(), service.to_owned())]);
        Finding {
            id: Finding::identity(monitor, &key, at(onset)),
            monitor: monitor.to_owned(),
            service: service.to_owned(),
            key,
            metric: MetricKind::Latency,
            unit: Unit::Seconds,
            kind: FindingKind::Deviation,
            direction: Direction::Up,
            onset: at(onset),
            last_seen: at(ended.unwrap_or(onset + 60) - 1),
            ended: ended.map(at),
            value: 2.1,
            expected: 0.18,
            lower: 0.1,
            upper: 0.3,
            score: 1.6,
            p_value: 1e-5,
            evidence: Vec::new(),
            model: "m1".to_owned(),
            reach: None,
        }
    }

    fn noticed(service: &str, monitor: &str, onset: i64, ended: Option<i64>) -> Noticed {
        let finding = finding(service, monitor, onset, ended);
        Noticed { finding, opened: at(onset + 3), closed: ended.map(|ended| at(ended + 5)) }
    }

    fn rows(from: i64, flags: &[bool]) -> Vec<Row> {
        let row = |(i, open): (usize, &bool)| Row {
            time: at(from + i as i64),
            value: 1.0,
            score: 0.0,
            p_value: 1.0,
            expected: 1.0,
            lower: 0.0,
            upper: 2.0,
            finding: *open,
            news: 0.0,
        };
        flags.iter().enumerate().map(row).collect()
    }

    #[test]
    fn the_rows_tell_when_a_finding_was_noticed() {
        let mut runs = Runs::default();
        let (no, yes) = (false, true);
        runs.push(&rows(0, &[no, no, yes, yes]));
        runs.push(&rows(4, &[yes, no, no, yes, no, no, yes]));
        assert_eq!(runs, Runs(vec![(at(2), Some(at(5))), (at(7), Some(at(8))), (at(10), None)]));
        let told = |onset, ended| {
            let noticed = runs.noticed(finding("a", "m", onset, ended));
            (noticed.opened, noticed.closed)
        };
        assert_eq!(told(0, Some(4)), (at(2), Some(at(5))));
        assert_eq!(told(6, Some(8)), (at(7), Some(at(8))));
        assert_eq!(told(9, None), (at(10), None));
        // One that was cut off while its run went on.
        assert_eq!(told(9, Some(11)), (at(10), Some(at(11))));
        assert_eq!(Runs::default().noticed(finding("a", "m", 0, Some(9))).closed, Some(at(9)));
    }

    #[test]
    fn what_belongs_together_is_one_incident() {
        let past = [
            noticed("cart", "latency", 0, Some(30)),
            noticed("cart", "errors", 4, Some(20)),
            noticed("payment", "latency", 10, Some(60)),
            noticed("mail", "queue", 20, Some(40)),
            // The same service a day later, and within ten minutes again.
            noticed("cart", "latency", 1440, Some(1450)),
            noticed("cart", "latency", 1458, Some(1470)),
            noticed("mail", "queue", 3000, None),
        ];
        let incidents = incidents(&past, &BTreeMap::new());
        let told: Vec<(&str, Timestamp, Option<Timestamp>, usize)> =
            incidents.iter().map(|i| (i.service.as_str(), i.started, i.resolved, i.findings.len())).collect();
        let expected = [
            ("cart", at(0), Some(at(60)), 3),
            ("mail", at(20), Some(at(40)), 1),
            ("cart", at(1440), Some(at(1470)), 2),
            ("mail", at(3000), None, 1),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_order_of_the_findings_does_not_matter() {
        let mut past: Vec<Noticed> =
            (0..40).map(|i| noticed(&format!("s{}", i % 5), &format!("m{}", i % 3), i * 17, Some(i * 17 + 4 + i % 30))).collect();
        let forwards = incidents(&past, &BTreeMap::new());
        past.reverse();
        assert_eq!(incidents(&past, &BTreeMap::new()), forwards);
        assert!(forwards.len() > 1 && forwards.iter().all(|i| i.resolved.is_some()));
        assert_eq!(forwards.iter().map(|i| i.findings.len()).sum::<usize>(), 40);
    }

    #[test]
    fn one_that_is_cut_off_by_a_new_model_stays_one_incident() {
        let hour = DurationMs::HOUR;
        let (cut, end) = (300, 900);
        let mut runs = Runs::default();
        runs.push(&rows(0, &[vec![true; end as usize], vec![false; 10]].concat()));
        let before = runs.noticed(finding("cart", "latency", 0, Some(cut)));
        let after = runs.noticed(finding("cart", "latency", cut + 5, Some(end - 5)));
        assert!(before.closed.unwrap().since(before.finding.ended.unwrap()) > hour);
        let incidents = incidents(&[before, after], &BTreeMap::new());
        assert_eq!(incidents.len(), 1, "{incidents:?}");
        assert_eq!(incidents[0].resolved, Some(at(end - 5)));
    }
}
