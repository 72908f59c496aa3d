//! Where an alert or an incident is, by the values of its labels.

use std::collections::BTreeSet;

use super::{Fired, Raised};

/// Labels whose values name one thing. Rules and monitors name the same thing by different labels, so that only the
/// values are compared.
const NARROW: [&str; 19] = [
    "service",
    "service_name",
    "app",
    "app_kubernetes_io_name",
    "application",
    "deployment",
    "statefulset",
    "daemonset",
    "workload",
    "component",
    "container",
    "persistentvolumeclaim",
    "instance",
    "pod",
    "node",
    "nodename",
    "host",
    "hostname",
    "Hostname",
];
/// Labels whose values name many things.
const WIDE: [&str; 2] = ["job", "namespace"];

/// The places that something names.
pub(super) struct Places<'a> {
    narrow: BTreeSet<&'a str>,
    wide: BTreeSet<&'a str>,
}

impl<'a> Places<'a> {
    pub(super) fn of_fired(fired: &'a Fired) -> Self {
        Self::of_labels(fired.labels.labels().iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    pub(super) fn of_raised(raised: &'a Raised) -> Self {
        let mut places = Self::of_labels(raised.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        // A service that is told by the job alone is as wide as the job.
        let told = raised.services.iter().map(String::as_str).filter(|service| !places.wide.contains(service));
        let told: Vec<&str> = told.collect();
        places.narrow.extend(told);
        places
    }

    fn of_labels(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut narrow, mut wide) = (BTreeSet::new(), BTreeSet::new());
        for (name, value) in labels.filter(|(_, value)| !value.is_empty()) {
            if NARROW.contains(&name) {
                narrow.insert(value);
            } else if WIDE.contains(&name) {
                wide.insert(value);
            }
        }
        Self { narrow, wide }
    }

    /// Whether both name one place, or one of them names none.
    pub(super) fn share(&self, other: &Self) -> bool {
        let none = |places: &Self| places.narrow.is_empty() && places.wide.is_empty();
        let meet = |a: &BTreeSet<&str>, b: &BTreeSet<&str>| !a.is_disjoint(b);
        none(self)
            || none(other)
            || meet(&self.narrow, &other.narrow)
            || meet(&self.narrow, &other.wide)
            || meet(&self.wide, &other.narrow)
            // Two machines of one job are two places.
            || (self.narrow.is_empty() || other.narrow.is_empty()) && meet(&self.wide, &other.wide)
    }
}
