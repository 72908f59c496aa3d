//! Where something is: the labels by which an event is known to concern a series.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::event::Event;
use crate::finding::Finding;

/// Labels that, alone or together, name one place.
const PLACES: [&[&str]; 6] = [&["service"], &["app"], &["job"], &["instance"], &["pod"], &["namespace", "deployment"]];

/// One place: which of [`PLACES`], and the values of its one or two labels.
type Place<'a> = (usize, &'a str, &'a str);

fn places<'a>(service: Option<&'a str>, labels: &'a BTreeMap<String, String>) -> impl Iterator<Item = Place<'a>> {
    let value = |name: &str| labels.get(name).map(String::as_str).filter(|v| !v.is_empty());
    let labelled = PLACES.iter().enumerate().filter_map(move |(i, names)| match names {
        [one] => Some((i, value(one)?, "")),
        [one, two] => Some((i, value(one)?, value(two)?)),
        _ => None,
    });
    service.filter(|s| !s.is_empty()).map(|s| (0, s, "")).into_iter().chain(labelled)
}

/// The places of some findings.
pub(super) struct Places<'a>(HashSet<Place<'a>>);

impl<'a> Places<'a> {
    pub(super) fn of(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        Self(findings.into_iter().flat_map(|f| places(Some(&f.service), f.key.labels())).collect())
    }

    /// Whether the event is at one of them.
    pub(super) fn have(&self, event: &Event) -> bool {
        places(event.service.as_deref(), &event.labels).any(|place| self.0.contains(&place))
    }
}

/// Some events, by where they are.
pub(super) struct Sites<'a>(HashMap<Place<'a>, Vec<usize>>);

impl<'a> Sites<'a> {
    pub(super) fn of(events: &'a [Event]) -> Self {
        let mut sites: HashMap<Place<'a>, Vec<usize>> = HashMap::new();
        for (i, event) in events.iter().enumerate() {
            for place in places(event.service.as_deref(), &event.labels) {
                sites.entry(place).or_default().push(i);
            }
        }
        Self(sites)
    }

    /// Those at a place of one of some findings, by number: the events that [`Places::have`].
    pub(super) fn near<'f>(&self, findings: impl IntoIterator<Item = &'f Finding>) -> BTreeSet<usize> {
        let places = findings.into_iter().flat_map(|f| places(Some(&f.service), f.key.labels()));
        places.filter_map(|place| self.0.get(&place)).flatten().copied().collect()
    }
}

/// The service an event concerns: what it says itself, else its labels `service` or `app`.
pub(super) fn service(event: &Event) -> Option<&str> {
    let label = |name: &str| event.labels.get(name).map(String::as_str);
    event.service.as_deref().or_else(|| label("service")).or_else(|| label("app")).filter(|s| !s.is_empty())
}

/// Whether an event concerns the very service of a finding, or, where it names none, shares a place with it.
pub(super) fn concerns(event: &Event, finding: &Finding) -> bool {
    match service(event) {
        Some(service) => service == finding.service,
        None => Places::of([finding]).have(event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlation::sample::{at, event, finding, labelled};
    use crate::event::EventKind;

    #[test]
    fn a_deployment_needs_its_namespace_to_be_a_place() {
        let series = labelled(finding("payment", "m", at(0)), &[("namespace", "shop"), ("deployment", "payment-v2")]);
        let mut change = event("e", EventKind::Deployment, None, at(0));
        change.labels.insert("deployment".into(), "payment-v2".into());
        assert!(!concerns(&change, &series));
        change.labels.insert("namespace".into(), "shop".into());
        assert!(concerns(&change, &series));
    }

    #[test]
    fn a_named_service_decides_alone() {
        let series = labelled(finding("payment", "m", at(0)), &[("pod", "p-1")]);
        let mut change = event("e", EventKind::Deployment, Some("cart"), at(0));
        change.labels.insert("pod".into(), "p-1".into());
        assert!(!concerns(&change, &series));
        change.service = None;
        assert!(concerns(&change, &series));
        assert!(!concerns(&event("e", EventKind::Deployment, None, at(0)), &series), "no label at all");
    }
}
