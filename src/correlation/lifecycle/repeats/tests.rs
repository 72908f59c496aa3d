use crate::correlation::feedback::Learned;
use crate::correlation::topology::Topology;
use std::sync::LazyLock;

use super::*;
use crate::clock::DurationMs;
use crate::correlation::grouping::{Tick, update};
use crate::correlation::remedy::Catalogue;
use crate::correlation::sample::{at, event, finding};
use crate::event::{Event, EventKind};

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::shipped);

/// An incident of `service` from one minute to another.
fn incident(service: &str, from: i64, to: Option<i64>, events: &[Event]) -> Incident {
    let mut one = finding(service, "latency", at(from));
    one.ended = to.map(at);
    let tick = Tick {
        now: at(to.unwrap_or(from)),
        findings: &[one],
        events,
        topology: &Topology::default(),
        learned: &Learned::default(),
        monitor: &|_| None,
        catalogue: &CATALOGUE,
        runbook_base: "",
    };
    update(&[], &tick).pop().unwrap()
}

#[test]
fn an_incident_says_which_it_repeats() {
    let mut history = History::default();
    let (first, second) = (incident("payment", 0, Some(20), &[]), incident("payment", 100, Some(130), &[]));
    let (other, third) = (incident("cart", 50, Some(60), &[]), incident("payment", 3000, None, &[]));
    assert_eq!(first.life.signature, "deviation of payment's latency up");
    assert_eq!(history.repeat(&third), None);
    for over in [&first, &other, &second, &third] {
        history.record(over);
    }
    let repeat = history.repeat(&third).unwrap();
    assert_eq!((&repeat.of, repeat.lasted, repeat.count), (&second.id, DurationMs::from_secs(1800), 2));
    assert_eq!(history.repeat(&second).unwrap().of, first.id, "only what began before");
    assert_eq!(history.repeat(&first), None);
    // What fixed the older one is told while that of the latest is not known.
    history.fixed(&first.id, "rolled back to 2.13");
    history.fixed("inc-unknown", "x");
    assert_eq!(history.repeat(&third).unwrap().fixed_by, "rolled back to 2.13");
    history.record(&first);
    assert_eq!(history.repeat(&third).unwrap().fixed_by, "rolled back to 2.13", "told again it is still known");
    // Reopened it is no past, and what is too old is forgotten.
    let mut open = second.clone();
    (open.state, open.resolved) = (IncidentState::Open, None);
    history.record(&open);
    assert_eq!(history.repeat(&third).unwrap().of, first.id);
    history.prune(at(21));
    assert_eq!(history.repeat(&third), None);
    assert_eq!(history.repeat(&incident("cart", 99, None, &[])).unwrap().of, other.id);
}

#[test]
fn a_change_of_the_same_kind_is_the_same_cause() {
    let deployed = |minute: i64| [event(&format!("v{minute}"), EventKind::Deployment, Some("payment"), at(minute - 2))];
    let (first, again) = (incident("payment", 0, Some(9), &deployed(0)), incident("payment", 500, None, &deployed(500)));
    assert_eq!(first.life.signature, "deployment of payment");
    let mut history = History::default();
    history.record(&first);
    assert_eq!(history.repeat(&again).unwrap().of, first.id);
    assert_eq!(history.repeat(&incident("payment", 500, None, &[])), None, "without a change it is another cause");
}

#[test]
fn what_became_part_of_another_is_no_past_and_memory_is_bounded() {
    let mut history = History::default();
    let mut merged = incident("payment", 0, Some(9), &[]);
    merged.merged_into = Some("inc-other".to_owned());
    history.record(&merged);
    let late = incident("payment", 90_000, None, &[]);
    assert_eq!(history.repeat(&late), None);
    let one = incident("payment", 0, Some(9), &[]);
    for i in 0..=MOST as i64 {
        let (started, resolved) = (at(i), Some(at(i + 1)));
        history.record(&Incident { id: format!("inc-{i:06}"), started, resolved, ..one.clone() });
    }
    let repeat = history.repeat(&late).unwrap();
    assert_eq!((repeat.count as usize, repeat.of), (MOST, format!("inc-{MOST:06}")));
    assert!(!history.known.contains_key("inc-000000"), "the oldest is forgotten first");
}
