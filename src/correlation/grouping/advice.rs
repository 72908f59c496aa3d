//! What to do about an incident: the catalogue, asked about each of its causes.

use std::collections::{BTreeSet, HashMap};

use super::Tick;
use super::link::{MACHINES, MANY};
use crate::correlation::place;
use crate::correlation::ranking;
use crate::correlation::remedy::{Context, Surroundings, Suspect, kinds};
use crate::correlation::topology::Along;
use crate::event::{Event, EventKind};
use crate::finding::Finding;
use crate::incident::{Cause, Incident, Suggestion};
use crate::metric::MetricKind;
use crate::monitor::Monitor;

/// How many suggestions one incident shows.
const MOST_SUGGESTIONS: usize = 5;
/// A callee so many calls away still explains the incident's service.
const FARTHEST_CALLEE: usize = 3;

/// The next steps for the causes of an incident, the most probable first.
pub(super) fn suggestions(incident: &Incident, tick: &Tick<'_>) -> Vec<Suggestion> {
    let monitors: HashMap<&str, Monitor> = incident
        .causes
        .iter()
        .filter_map(|cause| finding_of(cause, incident))
        .filter_map(|f| Some((&*f.monitor, (tick.monitor)(&f.monitor)?)))
        .collect();
    let around = Around::of(incident, tick);
    let cases: Vec<(&Finding, Context<'_>)> = incident
        .causes
        .iter()
        .filter_map(|cause| {
            let finding = finding_of(cause, incident)?;
            let monitor = monitors.get(finding.monitor.as_str());
            let context = Context {
                changes: incident.events.iter().filter(|event| ranking::may_have_led(event, finding)).collect(),
                traffic: around.traffic(&finding.service),
                query: monitor.map(|m| m.query.as_str()),
                runbook_url: monitor.and_then(|m| m.runbook_url.as_deref()),
                runbook_base: tick.runbook_base,
                suspect: Some(around.suspect(cause, finding)),
            };
            Some((finding, context))
        })
        .collect();
    tick.catalogue.suggest_all(&cases, MOST_SUGGESTIONS, tick.learned.of(&incident.id))
}

/// The finding that a cause explains first.
fn finding_of<'a>(cause: &Cause, incident: &'a Incident) -> Option<&'a Finding> {
    let origin = cause.origin.as_ref()?;
    incident.findings.iter().find(|finding| finding.id == origin.finding)
}

/// What the rest of an incident says about one of its causes.
struct Around<'a> {
    incident: &'a Incident,
    tick: &'a Tick<'a>,
    /// The services in trouble on each machine.
    machines: HashMap<(&'static str, &'a str), BTreeSet<&'a str>>,
}

impl<'a> Around<'a> {
    fn of(incident: &'a Incident, tick: &'a Tick<'a>) -> Self {
        let mut machines: HashMap<(&'static str, &'a str), BTreeSet<&'a str>> = HashMap::new();
        for finding in &incident.findings {
            for machine in machines_of(finding) {
                machines.entry(machine).or_default().insert(&finding.service);
            }
        }
        Self { incident, tick, machines }
    }

    fn traffic(&self, service: &str) -> Option<crate::finding::Direction> {
        let of_service = self.incident.findings.iter().filter(|f| f.metric == MetricKind::Traffic && f.service == service);
        of_service.max_by_key(|f| (f.is_open(), f.onset)).map(|f| f.direction)
    }

    fn suspect(&self, cause: &'a Cause, finding: &'a Finding) -> Suspect<'a> {
        let id = cause.origin.as_ref().and_then(|origin| origin.change.as_deref());
        let change = id.and_then(|id| self.incident.events.iter().find(|event| event.id == id));
        let (service, caller) = (finding.service.as_str(), self.incident.service.as_str());
        let distance = self.tick.topology.distance(caller, service, Along::Calls);
        let around = Surroundings {
            change,
            is_callee: distance.is_some_and(|calls| (1..=FARTHEST_CALLEE).contains(&calls)),
            shares_machine: machines_of(finding).any(|machine| self.machines.get(&machine).is_some_and(|services| services.len() >= MANY)),
        };
        Suspect {
            probability: cause.weight,
            title: &cause.title,
            shown_by: caller,
            kinds: kinds(finding, around),
            change,
            previous: change.and_then(|change| self.before(change)),
        }
    }

    /// The latest earlier deployment of the service that a change concerns.
    fn before(&self, change: &Event) -> Option<&'a Event> {
        let service = place::service(change)?;
        let earlier = self.tick.events.iter().filter(|event| {
            event.kind == EventKind::Deployment
                && event.id != change.id
                && event.starts_at < change.starts_at
                && place::service(event) == Some(service)
        });
        earlier.max_by_key(|event| (event.starts_at, &event.id))
    }
}

/// The machines that a finding's series names; a pod is one service's own.
fn machines_of(finding: &Finding) -> impl Iterator<Item = (&'static str, &str)> {
    let names = MACHINES.into_iter().filter(|name| *name != "pod");
    names.filter_map(|name| Some((name, finding.key.get(name).filter(|value| !value.is_empty())?)))
}

#[cfg(test)]
mod tests {
    use crate::correlation::grouping::{Tick, update};
    use crate::correlation::remedy::Catalogue;
    use crate::correlation::sample::{at, event, finding, labelled, of};
    use crate::correlation::topology::{Call, CallSource, Topology};
    use crate::event::{Event, EventKind};
    use crate::finding::{Direction, Finding};
    use crate::incident::{Incident, Suggestion};
    use crate::metric::MetricKind;

    /// The one incident of some findings and events in a topology of these calls.
    fn incident(findings: &[Finding], events: &[Event], calls: &[(&str, &str)]) -> Incident {
        let call = |(caller, callee): &(&str, &str)| Call {
            caller: (*caller).to_owned(),
            callee: (*callee).to_owned(),
            source: CallSource::Configured,
        };
        let topology = Topology::new(calls.iter().map(call)).unwrap();
        let tick = Tick {
            learned: &crate::correlation::feedback::Learned::default(),
            now: at(3),
            findings,
            events,
            topology: &topology,
            monitor: &|_| None,
            catalogue: &Catalogue::shipped(),
            runbook_base: "http://bellwether",
        };
        let mut all = update(&[], &tick);
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    fn by_id<'a>(incident: &'a Incident, id: &str) -> &'a Suggestion {
        let found = incident.suggestions.iter().find(|s| s.id == id);
        found.unwrap_or_else(|| panic!("no {id} in {:?}", incident.suggestions.iter().map(|s| (&s.id, s.confidence)).collect::<Vec<_>>()))
    }

    fn deployment(id: &str, version: &str, minute: i64) -> Event {
        let mut event = event(id, EventKind::Deployment, Some("payment"), at(minute));
        event
            .labels
            .extend([("version", version), ("namespace", "shop"), ("deployment", "payment-api")].map(|(n, v)| (n.into(), v.into())));
        event
    }

    #[test]
    fn a_deployment_is_rolled_back_to_what_was_there_before() {
        // Three weeks ago, and so no part of the incident.
        let events = [deployment("d-1", "2.4.0", -30_000), deployment("d-0", "2.3.9", -60_000), deployment("d-2", "2.4.1", -3)];
        let incident = incident(&[finding("payment", "latency", at(0))], &events, &[]);
        assert_eq!(incident.events.len(), 1);
        let first = &incident.suggestions[0];
        assert_eq!(
            (first.id.as_str(), first.title.as_str()),
            ("roll-back", "payment left its course after 2.4.1 went out: roll back to 2.4.0")
        );
        assert!(first.commands.contains(&"kubectl -n shop rollout undo deployment/payment-api".to_owned()), "{:?}", first.commands);
        // The probability of the deployment times 14 / 18.
        let expected = incident.causes[0].weight * 14.0 / 18.0;
        assert!((first.confidence - expected).abs() < 1e-9, "{} and not {expected}", first.confidence);
        assert!(incident.suggestions.windows(2).all(|pair| pair[0].confidence >= pair[1].confidence));
    }

    #[test]
    fn who_shows_it_is_sent_to_who_causes_it() {
        let slow = finding("checkout", "latency", at(0));
        let full = of(finding("payment", "pool", at(0)), MetricKind::Saturation, Direction::Up);
        // The caller was seen first, so that the incident is called by it.
        let incident = incident(&[Finding { onset: at(-1), ..slow }, full], &[], &[("checkout", "payment")]);
        assert_eq!((incident.service.as_str(), incident.causes[0].service.as_str()), ("checkout", "payment"));
        assert_eq!(incident.suggestions[0].id, "look-at-callee");
        assert_eq!(incident.suggestions[0].title, "checkout shows it, payment causes it: begin there");
        assert_eq!(by_id(&incident, "saturation").title, "A bounded resource of payment is filling: 2.1s, expected 180ms");
    }

    #[test]
    fn many_services_on_one_machine_are_the_machine() {
        let on = |service: &str| labelled(finding(service, "latency", at(0)), &[("node", "n-7")]);
        let incident = incident(&[on("cart"), on("orders"), on("payment")], &[], &[("a", "cart"), ("b", "orders"), ("c", "payment")]);
        assert!(by_id(&incident, "machine-trouble").commands.contains(&"kubectl cordon n-7".to_owned()));
    }
}
