//! Jobs that run another version than before.

use std::collections::{BTreeMap, BTreeSet};

use super::Site;
use crate::clock::Timestamp;
use crate::event::{Event, EventKind};
use crate::series::{Series, Window};

/// A version that was not there for so many steps is told of when it appears.
const AWAY: usize = 5;

/// A version and the revision it was built from; one of them may be empty.
type Version<'a> = (&'a str, &'a str);

/// The versions that jobs came to run from `since` on. A series counts the processes of one job, of one `*_build_info`, and of one
/// `version` and `revision`.
///
/// A version is told of when it appears, so that the first of many processes to get it counts: when it was away for five steps, or
/// is that of most at once. So a lone process beside others that is not scraped for a moment is no change.
pub fn versions(builds: &[Series], service_label: &str, since: Timestamp) -> Vec<Event> {
    let mut jobs: BTreeMap<(Site, &str), BTreeMap<Version<'_>, &Window>> = BTreeMap::new();
    for series in builds {
        let version = (series.key.get("version").unwrap_or_default(), series.key.get("revision").unwrap_or_default());
        if let (Some(site), true) = (Site::of_job(&series.key, service_label), version != ("", "")) {
            jobs.entry((site, series.key.get("__name__").unwrap_or_default())).or_default().insert(version, &series.window);
        }
    }
    // Several metrics of a job tell of the same change; by its id it is one.
    let mut events: BTreeMap<String, Event> = BTreeMap::new();
    for ((site, _), versions) in &jobs {
        let told = changes(versions).into_iter().filter(|change| change.at >= since).map(|change| change.event(site));
        for event in told {
            events.entry(event.id.clone()).or_insert(event);
        }
    }
    let mut events: Vec<Event> = events.into_values().collect();
    events.sort_by(|a, b| (a.starts_at, &a.id).cmp(&(b.starts_at, &b.id)));
    events
}

struct Change<'a> {
    at: Timestamp,
    from: Version<'a>,
    to: Version<'a>,
}

fn changes<'a>(versions: &BTreeMap<Version<'a>, &Window>) -> Vec<Change<'a>> {
    let Some(grid) = versions.values().next() else { return Vec::new() };
    let count = |version: &Version<'_>, i: usize| -> f64 {
        let value = versions.get(version).and_then(|window| window.values().get(i)).copied();
        value.filter(|count| *count > 0.0).unwrap_or(0.0)
    };
    // The version of most at a time, the first by name of equals.
    let leading = |i: usize| {
        let present = versions.keys().map(|version| (count(version, i), *version)).filter(|(count, _)| *count > 0.0);
        present.reduce(|a, b| if b.0 > a.0 { b } else { a }).map(|(_, version)| version)
    };
    let mut changes = Vec::new();
    // The version of most when anything was last there, and which were there then.
    let mut before: Option<(Version<'a>, BTreeSet<Version<'a>>)> = None;
    for i in 0..grid.len() {
        let present: BTreeSet<Version<'a>> = versions.keys().copied().filter(|version| count(version, i) > 0.0).collect();
        let Some(now) = leading(i) else { continue };
        if let Some((from, were)) = &before {
            for version in present.difference(were) {
                let was_away = i >= AWAY && (i - AWAY..i).all(|j| count(version, j) == 0.0);
                if was_away || now == *version {
                    changes.push(Change { at: grid.time(i), from: *from, to: *version });
                }
            }
        }
        before = Some((now, present));
    }
    changes
}

impl Change<'_> {
    fn event(&self, site: &Site) -> Event {
        let (from, to) = (shown(self.from, self.to), shown(self.to, self.from));
        let what = format!("version {} {}", self.to.0, self.to.1);
        let title = format!("{} {from} → {to}", site.service);
        site.event(EventKind::Deployment, self.at, &what, title, &[("previous_version", &from), ("version", &to)])
    }
}

/// How a version is called, against another one: with its revision where the version alone does not tell them apart.
fn shown(version: Version<'_>, other: Version<'_>) -> String {
    let revision: String = version.1.chars().take(10).collect();
    match version.0 {
        "" => revision,
        name if name == other.0 && !revision.is_empty() => format!("{name} ({revision})"),
        name => name.to_owned(),
    }
}
