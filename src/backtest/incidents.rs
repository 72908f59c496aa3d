//! The incidents of a past: its findings through the live correlation, in the order in which they were noticed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::backtest::replay::Row;
use crate::clock::{DurationMs, Timestamp};
use crate::correlation::feedback::Learned;
use crate::correlation::grouping::{self, Tick};
use crate::correlation::lifecycle;
use crate::correlation::remedy::Catalogue;
use crate::correlation::topology::Topology;
use crate::engine::schedule;
use crate::event::Event;
use crate::finding::Finding;
use crate::incident::Incident;
use crate::monitor::Monitor;

/// A score that rises by less is no news.
const RISES: f64 = 1.1;
/// Of so many points before a finding opens the worst is its first score.
const OPENS: usize = 5;
/// Events so long before the oldest finding of a tick are looked at, as a live engine does.
const BEFORE: DurationMs = DurationMs::from_secs(2 * 3600);

/// A finding, and when a live engine would have noticed its beginning and its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noticed {
    /// The finding as it was in the end.
    pub finding: Finding,
    /// The first point at which it was open.
    pub opened: Timestamp,
    /// The first point at which it was so no more; `None` while it lasts.
    pub closed: Option<Timestamp>,
    /// How bad it was known to be from when on: the score at its opening, and each that was clearly higher.
    pub scores: Vec<(Timestamp, f64)>,
}

/// A stretch of a series' rows over which a finding was open.
#[derive(Clone, Debug, PartialEq)]
struct Run {
    start: Timestamp,
    end: Option<Timestamp>,
    scores: Vec<(Timestamp, f64)>,
}

/// The stretches of a series' rows over which a finding was open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs {
    all: Vec<Run>,
    /// The latest scores.
    recent: VecDeque<f64>,
}

impl Runs {
    /// Takes in the next rows.
    pub fn push(&mut self, rows: &[Row]) {
        for row in rows {
            if self.recent.len() == OPENS {
                self.recent.pop_front();
            }
            self.recent.push_back(row.score);
            match self.all.last_mut() {
                Some(run) if run.end.is_none() && !row.finding => run.end = Some(row.time),
                Some(run) if run.end.is_none() && run.scores.last().is_none_or(|(_, worst)| row.score > worst * RISES) => {
                    run.scores.push((row.time, row.score));
                }
                Some(run) if run.end.is_none() => {}
                _ if row.finding => {
                    let worst = self.recent.iter().copied().fold(f64::NAN, f64::max);
                    self.all.push(Run { start: row.time, end: None, scores: vec![(row.time, worst)] });
                }
                _ => {}
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// When `finding` was noticed. Two findings may share a run: the one that a new model finds where the old one's
    /// was cut off.
    pub fn noticed(&self, finding: Finding) -> Noticed {
        let run = self.all.iter().find(|run| run.end.is_none_or(|end| end > finding.onset));
        let (opened, over) = match run {
            Some(run) => (finding.onset.max(run.start), run.end),
            None => (finding.last_seen, finding.ended),
        };
        let closed = finding.ended.map(|ended| over.unwrap_or(ended).max(ended).max(opened));
        let scores = run.map_or_else(Vec::new, |run| run.scores.clone());
        Noticed { finding, opened, closed, scores }
    }
}

/// What a past knows besides its findings.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The monitors by name.
    pub monitors: &'a BTreeMap<String, Monitor>,
    /// Who calls whom.
    pub topology: &'a Topology,
    /// Changes and alerts, each with when it was told; one that is told again later has ended by then.
    pub events: &'a [(Timestamp, Event)],
    /// How long one finding alone must last before it is told.
    pub patience: DurationMs,
}

/// The incidents that a live engine would have raised, in order of their beginnings.
pub fn incidents(noticed: &[Noticed], around: Around<'_>) -> Vec<Incident> {
    let mut all: BTreeMap<String, Incident> = BTreeMap::new();
    play(noticed, around, |_, changed| all.extend(changed.iter().map(|incident| (incident.id.clone(), incident.clone()))));
    let mut all: Vec<Incident> = all.into_values().collect();
    all.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
    all
}

/// What is new at one time.
#[derive(Default)]
struct News {
    findings: Vec<Finding>,
    events: Vec<Event>,
}

/// Plays the past to the live correlation, tick by tick as the monitors are evaluated, and shows `seen` each tick's time and
/// the incidents that it changed.
pub fn play(noticed: &[Noticed], around: Around<'_>, mut seen: impl FnMut(Timestamp, &[Incident])) {
    // Nobody said anything of a past that is replayed.
    let (catalogue, learned) = (Catalogue::shipped(), Learned::default());
    let mut ticks: BTreeMap<Timestamp, News> = BTreeMap::new();
    for one in noticed {
        // A monitor has its turn some time after the point that it judges.
        let monitor = around.monitors.get(&one.finding.monitor);
        let turn = monitor.map_or(DurationMs::ZERO, |m| schedule::offset(&m.name, m.step));
        for (at, finding) in states(one, monitor.map(|m| m.step)) {
            ticks.entry(at + turn).or_default().findings.push(finding);
        }
    }
    for (told, event) in around.events {
        ticks.entry(*told).or_default().events.push(event.clone());
    }
    let (mut current, mut known): (Vec<Incident>, Events) = (Vec::new(), Events::default());
    let mut waiting: Vec<Finding> = Vec::new();
    for (now, mut news) in ticks {
        waiting.retain(|finding| news.findings.iter().all(|new| new.id != finding.id));
        news.findings.append(&mut waiting);
        news.findings.sort_by(|a, b| a.id.cmp(&b.id));
        let onsets = news.findings.iter().map(|f| f.onset).chain(news.events.iter().map(|e| e.starts_at));
        let oldest = onsets.min().unwrap_or(now);
        news.events.into_iter().for_each(|event| known.put(event));
        let nearby = known.since(oldest - BEFORE);
        let tick = Tick {
            topology: around.topology,
            now,
            findings: &news.findings,
            events: &nearby,
            monitor: &|name| around.monitors.get(name).cloned(),
            learned: &learned,
            catalogue: &catalogue,
            runbook_base: "",
        };
        let told = grouping::tell(&current, &tick, around.patience);
        let changed = told.incidents;
        waiting = told.waiting;
        seen(now, &changed);
        for incident in changed {
            match current.iter_mut().find(|known| known.id == incident.id) {
                Some(known) => *known = incident,
                None => current.push(incident),
            }
        }
        // As the engine does: what was resolved a moment ago may open again.
        current.retain(|incident| lifecycle::may_reopen(incident, now));
    }
    // What is still held for coming and going is over once it was quiet for long enough.
    while let Some(until) = current.iter().filter_map(|incident| incident.life.flapping.as_ref()?.until).min() {
        let changed = grouping::update(
            &current,
            &Tick {
                topology: around.topology,
                learned: &learned,
                now: until,
                findings: &[],
                events: &[],
                monitor: &|name| around.monitors.get(name).cloned(),
                catalogue: &catalogue,
                runbook_base: "",
            },
        );
        seen(until, &changed);
        for incident in changed {
            current.iter_mut().filter(|known| known.id == incident.id).for_each(|known| *known = incident.clone());
        }
    }
}

/// So many steps after its beginning a finding is told again each step: it may be waiting for others, or to have lasted.
const TOLD_AGAIN: i64 = 90;

/// A finding as it was known from time to time. Of one that opens and closes at once only its end is told: the correlation
/// takes the latest.
fn states(one: &Noticed, step: Option<DurationMs>) -> Vec<(Timestamp, Finding)> {
    let Noticed { finding, opened, closed, scores } = one;
    let open = |at: Timestamp, score: f64| Finding {
        last_seen: at.min(finding.last_seen),
        ended: None,
        score: if score.is_nan() { finding.score } else { score },
        ..finding.clone()
    };
    let first = scores.iter().take_while(|(at, _)| at <= opened).last().map_or(f64::NAN, |(_, score)| *score);
    let mut states = vec![(*opened, open(*opened, first))];
    let later = |at: Timestamp| at > *opened && closed.is_none_or(|closed| at < closed);
    let again = step.into_iter().flat_map(|step| (1..=TOLD_AGAIN).map(move |i| *opened + step * i)).filter(|at| later(*at));
    for at in again.chain(scores.iter().map(|(at, _)| *at).filter(|at| later(*at))).collect::<BTreeSet<_>>() {
        let worst = scores.iter().take_while(|(since, _)| *since <= at).last().map_or(f64::NAN, |(_, score)| *score);
        states.push((at, open(at, worst)));
    }
    states.extend(closed.map(|closed| (closed, finding.clone())));
    states
}

/// The events that were told so far.
#[derive(Default)]
struct Events(Vec<Event>);

impl Events {
    fn put(&mut self, event: Event) {
        // What is told again was told a short while ago.
        match self.0.iter_mut().rev().find(|known| known.id == event.id) {
            Some(known) => *known = event,
            None => self.0.push(event),
        }
    }

    /// Those that were not over by then.
    fn since(&self, from: Timestamp) -> Vec<Event> {
        let lasts = |event: &&Event| event.ends_at.unwrap_or(event.starts_at).max(event.starts_at) >= from;
        self.0.iter().filter(lasts).cloned().collect()
    }
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
            opened: at(onset),
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
            course: None,
        }
    }

    fn noticed(service: &str, monitor: &str, onset: i64, ended: Option<i64>) -> Noticed {
        let finding = finding(service, monitor, onset, ended);
        Noticed { finding, opened: at(onset + 3), closed: ended.map(|ended| at(ended + 5)), scores: Vec::new() }
    }

    fn raised(noticed: &[Noticed]) -> Vec<Incident> {
        incidents(noticed, Around { monitors: &BTreeMap::new(), topology: &Topology::default(), events: &[], patience: DurationMs::ZERO })
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
        let told: Vec<_> = runs.all.iter().map(|run| (run.start, run.end)).collect();
        assert_eq!(told, [(at(2), Some(at(5))), (at(7), Some(at(8))), (at(10), None)]);
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
    fn a_finding_is_first_told_as_bad_as_it_was_then() {
        let mut runs = Runs::default();
        let scored = |row: Row, score| Row { score, ..row };
        let open = rows(0, &[false, true, true, true, false]);
        runs.push(&open.into_iter().zip([1.2, 1.5, 1.6, 4.0, 0.2]).map(|(row, score)| scored(row, score)).collect::<Vec<_>>());
        let noticed = runs.noticed(Finding { score: 4.0, ..finding("a", "m", 0, Some(4)) });
        let told: Vec<(Timestamp, f64, bool)> = states(&noticed, None).into_iter().map(|(t, f)| (t, f.score, f.is_open())).collect();
        assert_eq!(told, [(at(1), 1.5, true), (at(3), 4.0, true), (at(4), 4.0, false)]);
    }

    #[test]
    fn calls_and_events_are_known() {
        use crate::correlation::topology::{Call, CallSource};
        use crate::event::EventKind;
        let calls = [Call { caller: "cart".to_owned(), callee: "payment".to_owned(), source: CallSource::Measured }];
        let event = Event {
            id: "e".to_owned(),
            kind: EventKind::Deployment,
            source: "test".to_owned(),
            title: "payment 2".to_owned(),
            description: String::new(),
            service: Some("payment".to_owned()),
            labels: BTreeMap::new(),
            starts_at: at(-2),
            ends_at: None,
            url: None,
        };
        let past = [noticed("payment", "a", 0, Some(30)), noticed("cart", "b", 2, Some(30))];
        let (monitors, topology, events) = (BTreeMap::new(), Topology::new(calls).unwrap(), [(at(-2), event)]);
        let around = Around { monitors: &monitors, topology: &topology, events: &events, patience: DurationMs::ZERO };
        let found = incidents(&past, around);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].findings.len(), found[0].events.len(), found[0].causes[0].service.as_str()), (2, 1, "payment"));
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
        let incidents = raised(&past);
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
        let forwards = raised(&past);
        past.reverse();
        assert_eq!(raised(&past), forwards);
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
        let incidents = raised(&[before, after]);
        assert_eq!(incidents.len(), 1, "{incidents:?}");
        assert_eq!(incidents[0].resolved, Some(at(end - 5)));
    }
}
