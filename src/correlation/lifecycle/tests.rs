use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::correlation::grouping::{Tick, update};
use crate::correlation::remedy::Catalogue;
use crate::correlation::sample::{at, finding};
use crate::correlation::topology::{Call, CallSource, Topology};
use crate::finding::Finding;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::shipped);
static UNKNOWN: LazyLock<Topology> = LazyLock::new(Topology::default);
static CALLS: LazyLock<Topology> = LazyLock::new(|| {
    let call = |caller: &str, callee: &str| Call { caller: caller.to_owned(), callee: callee.to_owned(), source: CallSource::Configured };
    Topology::new([call("gateway", "orders"), call("orders", "payment"), call("orders", "stock")]).unwrap()
});

/// What the engine keeps: incidents that are open or may be reopened.
struct Kept {
    topology: &'static Topology,
    now: i64,
    incidents: Vec<Incident>,
}

impl Kept {
    fn new(topology: &'static Topology) -> Self {
        Self { topology, now: 0, incidents: Vec::new() }
    }

    /// A tick at `minute`; what it changed.
    fn tick(&mut self, minute: i64, findings: &[Finding]) -> Vec<Incident> {
        self.now = minute;
        let tick = Tick {
            learned: &crate::correlation::feedback::Learned::default(),
            now: at(minute),
            findings,
            events: &[],
            topology: self.topology,
            monitor: &|_| None,
            catalogue: &CATALOGUE,
            runbook_base: "",
        };
        let changed = update(&self.incidents, &tick);
        for incident in &changed {
            self.incidents.retain(|known| known.id != incident.id);
            self.incidents.push(incident.clone());
        }
        self.incidents.retain(|incident| may_reopen(incident, at(minute)));
        changed
    }

    /// Something wrong with payment from one minute to another, told as it happens; the incident after that.
    fn trouble(&mut self, from: i64, to: i64) -> Incident {
        let began = finding("payment", "latency", at(from));
        self.tick(from, std::slice::from_ref(&began));
        let over = Finding { last_seen: at(to), ended: Some(at(to)), ..began };
        self.tick(to, &[over]).pop().unwrap()
    }
}

fn words(incident: &Incident) -> Vec<String> {
    incident.life.turns.iter().map(|turn| format!("{} {}", turn.at.since(at(0)).millis() / 60_000, turn.what)).collect()
}

#[test]
fn what_comes_and_goes_is_held_until_it_is_quiet() {
    let mut kept = Kept::new(&UNKNOWN);
    let first = kept.trouble(0, 3);
    assert_eq!(first.state, IncidentState::Resolved);
    for from in [8, 16] {
        assert_eq!(kept.trouble(from, from + 3).state, IncidentState::Resolved);
    }
    // The third time that it comes back it is held: what ends does not resolve it.
    for from in [24, 40, 55] {
        let held = kept.trouble(from, from + 3);
        assert_eq!((&held.id, held.state, held.resolved), (&first.id, IncidentState::Open, None), "{from}");
        assert_eq!(held.life.flapping.as_ref().unwrap().until.map(|until| until > at(from + 3)), Some(true));
    }
    let held = &kept.incidents[0];
    assert_eq!(held.life.flapping.as_ref().unwrap().times, 5);
    // The longest pause was 13 minutes, so that half an hour it is.
    assert_eq!(held.life.flapping.as_ref().unwrap().until, Some(at(58 + 30)));
    assert!(!is_due(held, at(87)) && is_due(held, at(88)));
    assert_eq!(kept.tick(87, &[]), [], "nothing is due");
    let over = kept.tick(95, &[]).pop().unwrap();
    assert_eq!((over.state, over.resolved, &over.life.flapping), (IncidentState::Resolved, Some(at(88)), &None), "as of when it was due");
    assert_eq!(
        words(&over),
        ["0 opened", "3 resolved", "8 reopened", "11 resolved", "16 reopened", "19 resolved", "24 reopened", "24 flapping", "88 resolved"]
    );
    assert_eq!(over.life.turns.last().unwrap().note, "quiet for 30 minutes after it came back 5 times");
    assert_eq!((over.started, over.severity, &over.service), (first.started, first.severity, &first.service), "the alert's identity");
}

#[test]
fn slow_flapping_widens_the_cooldown_and_the_hold() {
    let mut kept = Kept::new(&UNKNOWN);
    let first = kept.trouble(0, 3);
    // Ten minutes, then twenty, then forty: each pause is just within what the one before allows.
    let mut over = 3;
    for pause in [9, 19, 39] {
        let again = kept.trouble(over + pause, over + pause + 3);
        assert_eq!(again.id, first.id, "after {pause}");
        over += pause + 3;
    }
    let flapping = kept.incidents[0].life.flapping.clone().unwrap();
    assert_eq!((flapping.times, flapping.pause, flapping.until), (3, DurationMs::from_secs(39 * 60), Some(at(over + 78))));
    // A first return after more than ten minutes is another incident.
    let mut other = Kept::new(&UNKNOWN);
    let one = other.trouble(0, 3);
    assert_ne!(other.trouble(14, 17).id, one.id);
}

#[test]
fn reopenings_long_ago_do_not_count() {
    let mut kept = Kept::new(&UNKNOWN);
    kept.trouble(0, 3);
    kept.trouble(8, 11);
    // Open for long, so that it comes back to the same incident only after hours.
    kept.trouble(16, 400);
    let again = kept.trouble(405, 410);
    assert_eq!((again.state, again.life.reopened().count()), (IncidentState::Resolved, 3), "one of them within six hours");
}

#[test]
fn an_acknowledgement_lasts_while_it_is_held_and_ends_when_it_comes_back() {
    let mut kept = Kept::new(&UNKNOWN);
    kept.trouble(0, 3);
    kept.incidents[0].life.acknowledge("ann", "", at(3));
    let back = kept.trouble(8, 11);
    assert_eq!(back.life.acknowledged, None);
    assert!(words(&back).contains(&"8 unacknowledged".to_owned()), "{:?}", words(&back));
    kept.trouble(16, 19);
    kept.tick(24, &[finding("payment", "latency", at(24))]);
    let life = &mut kept.incidents[0].life;
    assert!(life.acknowledge("ann", "", at(25)) && !life.acknowledge("ann", "", at(26)), "once");
    let mut began = finding("payment", "latency", at(24));
    began.ended = Some(at(27));
    kept.tick(27, &[began]);
    let held = kept.trouble(35, 38);
    assert_eq!(held.life.acknowledged.unwrap().at, at(25), "it never was over");
}

#[test]
fn a_series_returns_to_its_own_incident_though_a_neighbour_is_in_trouble() {
    let mut kept = Kept::new(&CALLS);
    let first = kept.trouble(0, 3);
    for from in [8, 16, 24] {
        kept.trouble(from, from + 3);
    }
    let other = kept.tick(40, &[finding("stock", "latency", at(40))]);
    assert_eq!(other[0].service, "stock");
    assert_eq!(kept.trouble(41, 44).id, first.id);
    assert_eq!(kept.incidents.iter().filter(|incident| incident.state == IncidentState::Open).count(), 2);
}

#[test]
fn what_an_older_version_stored_goes_on() {
    let mut kept = Kept::new(&UNKNOWN);
    kept.tick(0, &[finding("payment", "latency", at(0))]);
    kept.incidents[0].life = Life::default();
    let over = kept.trouble(1, 5);
    assert_eq!((over.life.turns.is_empty(), over.state), (true, IncidentState::Open), "the first finding lasts");
    let mut first = finding("payment", "latency", at(0));
    first.ended = Some(at(6));
    assert_eq!(words(&kept.tick(6, &[first])[0]), ["6 resolved"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two series that come and go as they like.
    #[test]
    fn any_course_keeps_identity_and_holds_for_a_bounded_time(
        course in proptest::collection::vec((1..40_i64, 1..60_i64, any::<bool>()), 1..25),
    ) {
        let mut kept = Kept::new(&CALLS);
        let (mut minute, mut seen) = (0, BTreeMap::new());
        for (lasts, pause, first) in course {
            let began = finding(if first { "payment" } else { "stock" }, "latency", at(minute));
            let over = Finding { last_seen: at(minute + lasts), ended: Some(at(minute + lasts)), ..began.clone() };
            let mut changed = kept.tick(minute, &[began]);
            changed.extend(kept.tick(minute + lasts, &[over]));
            minute += lasts + pause;
            changed.extend(kept.tick(minute, &[]));
            for incident in &changed {
                let identity = (incident.severity, incident.service.clone(), incident.monitor.clone(), incident.started);
                prop_assert_eq!(seen.entry(incident.id.clone()).or_insert_with(|| identity.clone()), &identity);
                prop_assert_eq!(incident.state == IncidentState::Open, incident.resolved.is_none());
                prop_assert!(incident.life.turns.len() <= crate::incident::MOST_TURNS);
                prop_assert!(incident.resolved.is_none() || incident.life.flapping.is_none());
            }
            let open: Vec<&Incident> = kept.incidents.iter().filter(|incident| incident.state == IncidentState::Open).collect();
            // No series is in two of them, and nothing that is quiet is held for longer than two hours.
            let series: Vec<BTreeSet<&str>> =
                open.iter().map(|i| i.findings.iter().filter(|f| f.is_open()).map(|f| f.service.as_str()).collect()).collect();
            for (i, one) in series.iter().enumerate() {
                prop_assert!(series[i + 1..].iter().all(|other| one.is_disjoint(other)));
            }
            for incident in open {
                let latest = incident.findings.iter().filter_map(|f| f.ended).max().unwrap();
                prop_assert!(incident.life.flapping.is_some() && at(minute).since(latest) < LONGEST_HOLD);
                prop_assert!(incident.life.flapping.as_ref().unwrap().until.unwrap() <= latest + LONGEST_HOLD);
            }
        }
        kept.tick(minute + 121, &[]);
        prop_assert!(kept.incidents.iter().all(|incident| incident.state == IncidentState::Resolved));
    }

    /// Looking between changes, at whatever times, changes nothing but what is due.
    #[test]
    fn the_times_of_looking_change_nothing(looks in proptest::collection::vec(0..260_i64, 0..20)) {
        let run = |looks: &[i64]| {
            let mut kept = Kept::new(&UNKNOWN);
            let mut all: Vec<(i64, Option<Finding>)> = looks.iter().map(|minute| (*minute, None)).collect();
            for from in [0, 8, 16, 24, 40, 95, 120] {
                let began = finding("payment", "latency", at(from));
                all.push((from, Some(began.clone())));
                all.push((from + 3, Some(Finding { ended: Some(at(from + 3)), last_seen: at(from + 3), ..began })));
            }
            all.push((260, None));
            all.sort_by_key(|(minute, _)| *minute);
            let mut over = None;
            for (minute, finding) in all {
                over = kept.tick(minute, finding.as_slice()).pop().or(over);
            }
            let over = over.unwrap();
            (over.id, over.resolved, over.life.turns)
        };
        prop_assert_eq!(run(&looks), run(&[]));
    }
}
