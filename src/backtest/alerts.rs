//! The alerts that people's own rules fired, held against the incidents that would have been raised instead.
//!
//! Prometheus keeps what its rules did as the series `ALERTS`: 1 while an alert fires, nothing otherwise.

mod place;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use crate::clock::{DurationMs, Timestamp};
use crate::incident::Incident;
use crate::series::{Series, SeriesKey};
use place::Places;

/// A shorter silence does not end an episode, …
const LONGEST_GAP: DurationMs = DurationMs::from_secs(300);
/// …nor does one of so few steps.
const GAP_STEPS: i64 = 2;
/// Rules wait before they fire, and some wait longer than the trouble lasts: an incident may be over for so long.
const BEFORE: DurationMs = DurationMs::from_secs(15 * 60);
/// An incident may begin so long after an alert is over: a finding takes some points to open.
const AFTER: DurationMs = DurationMs::from_secs(5 * 60);
/// The longest a list gets; what is left out is still counted.
const MOST_LISTED: usize = 50;
/// The labels of `ALERTS` that do not say which thing it is about.
const OWN: [&str; 3] = ["__name__", "alertname", "alertstate"];

/// One time that an alert fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fired {
    /// The rule's name.
    pub alertname: String,
    /// The alert's other labels: with the name they are one thing.
    pub labels: SeriesKey,
    /// The first step at which it fired.
    #[serde(serialize_with = "as_text")]
    pub from: Timestamp,
    /// The step after the last at which it fired.
    #[serde(serialize_with = "as_text")]
    pub to: Timestamp,
}

/// An incident that would have been raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Raised {
    /// The incident's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The services that its findings name, in order of their names.
    pub services: Vec<String>,
    /// When its first finding began.
    #[serde(serialize_with = "as_text")]
    pub from: Timestamp,
    /// When it was over; `None` while it lasts.
    #[serde(serialize_with = "as_text_if_any")]
    pub to: Option<Timestamp>,
    /// The labels of its findings, each once.
    pub labels: BTreeSet<(String, String)>,
}

/// What fired and what would have been raised, in the same time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// How long that time is, in days.
    pub days: f64,
    /// How often alerts fired.
    pub fired: usize,
    /// The same a day.
    pub fired_per_day: f64,
    /// On how many things: names of alerts with their labels.
    pub things: usize,
    /// How many incidents would have been raised: one alert each.
    pub incidents: usize,
    /// The same a day.
    pub incidents_per_day: f64,
    /// What both saw.
    pub both: Both,
    /// The alerts that no incident goes with.
    pub only_yours: Alerts,
    /// The incidents that no alert goes with.
    pub only_ours: Incidents,
}

/// What both saw: every alert here goes with one of these incidents at least, and the other way round.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Both {
    /// The alerts.
    pub alerts: Alerts,
    /// The incidents, those that go with most alerts first.
    pub incidents: Incidents,
}

/// Alerts by their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Alerts {
    /// How often they fired, over all names.
    pub count: usize,
    /// At most fifty names, the noisiest first.
    pub groups: Vec<Group>,
}

/// The alerts of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The name.
    pub alertname: String,
    /// How often they fired.
    pub count: usize,
    /// On how many things.
    pub things: usize,
    /// How long they fired, over all things.
    pub lasted: DurationMs,
}

/// Incidents.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Incidents {
    /// How many there are.
    pub count: usize,
    /// At most fifty of them; the longest first unless said otherwise.
    pub listed: Vec<Raised>,
}

impl From<&Incident> for Raised {
    fn from(incident: &Incident) -> Self {
        // A service that is only the monitor's own name says nothing of where.
        let named = incident.findings.iter().filter(|f| f.service != f.monitor).map(|f| f.service.clone());
        let services: BTreeSet<String> = named.collect();
        let labels = incident.findings.iter().flat_map(|f| f.key.labels()).map(|(name, value)| (name.clone(), value.clone()));
        Self {
            id: incident.id.clone(),
            title: incident.title.clone(),
            services: services.into_iter().collect(),
            from: incident.started,
            to: incident.resolved,
            labels: labels.collect(),
        }
    }
}

/// Makes episodes of `ALERTS{alertstate="firing"}`, which may come in pieces.
#[derive(Clone, Debug, Default)]
pub struct History {
    runs: BTreeMap<SeriesKey, Vec<(Timestamp, Timestamp)>>,
}

impl History {
    /// Takes in the next piece, not before the one before it. A value above zero is an alert that fires. A silence of
    /// at most two steps, or of five minutes, is bridged, between pieces too.
    pub fn push(&mut self, piece: &[Series]) {
        for Series { key, window } in piece {
            let bridged = (window.step() * GAP_STEPS).max(LONGEST_GAP);
            let firing = window.values().iter().enumerate().filter(|(_, value)| **value > 0.0).map(|(i, _)| window.time(i));
            for time in firing {
                let end = time + window.step();
                let runs = match self.runs.get_mut(key) {
                    Some(runs) => runs,
                    None => self.runs.entry(key.clone()).or_default(),
                };
                match runs.last_mut() {
                    Some(last) if time.since(last.1) <= bridged => last.1 = last.1.max(end),
                    _ => runs.push((time, end)),
                }
            }
        }
    }

    /// Every episode, in order of their beginnings.
    pub fn finish(self) -> Vec<Fired> {
        let mut fired = Vec::new();
        for (key, runs) in self.runs {
            let alertname = key.get("alertname").unwrap_or_default().to_owned();
            let others = key.labels().iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
            let labels = SeriesKey::new(others.map(|(name, value)| (name.clone(), value.clone())));
            fired.extend(runs.into_iter().map(|(from, to)| Fired { alertname: alertname.clone(), labels: labels.clone(), from, to }));
        }
        fired.sort_by(|a, b| (a.from, &a.alertname, &a.labels).cmp(&(b.from, &b.alertname, &b.labels)));
        fired
    }
}

/// Holds `fired` against `raised`, both of the time from `start` to `end`.
///
/// An alert and an incident go together when the incident lasts at any time from 15 minutes before the alert fired to
/// 5 minutes after it, and when they share a place or one of them names none. Places are the values of labels such as
/// `service`, `deployment`, `instance` or `pod`; `job` and `namespace`, in which there is much, count where one side
/// names nothing narrower.
pub fn compare(fired: &[Fired], raised: &[Raised], start: Timestamp, end: Timestamp) -> Comparison {
    let days = end.since(start).seconds() / DurationMs::DAY.seconds();
    let a_day = |count: usize| if days > 0.0 { count as f64 / days } else { 0.0 };
    let things: BTreeSet<_> = fired.iter().map(|f| (&f.alertname, &f.labels)).collect();
    let (seen, alerts) = matches(fired, raised);
    let (both, only_yours): (Vec<_>, Vec<_>) = fired.iter().zip(seen).partition(|(_, seen)| *seen);
    let (mut with, mut without): (Vec<_>, Vec<_>) = raised.iter().zip(alerts).partition(|(_, alerts)| *alerts > 0);
    let lasts = |incident: &Raised| incident.to.unwrap_or(end).since(incident.from);
    with.sort_by_key(|(incident, alerts)| (Reverse((*alerts, lasts(incident))), incident.from));
    without.sort_by_key(|(incident, _)| (Reverse(lasts(incident)), incident.from));
    Comparison {
        days,
        fired: fired.len(),
        fired_per_day: a_day(fired.len()),
        things: things.len(),
        incidents: raised.len(),
        incidents_per_day: a_day(raised.len()),
        both: Both { alerts: Alerts::of(both.into_iter().map(|(f, _)| f)), incidents: Incidents::of(with.into_iter().map(|(i, _)| i)) },
        only_yours: Alerts::of(only_yours.into_iter().map(|(f, _)| f)),
        only_ours: Incidents::of(without.into_iter().map(|(i, _)| i)),
    }
}

/// Whether each of `fired` goes with an incident, and with how many of them each of `raised` goes.
fn matches(fired: &[Fired], raised: &[Raised]) -> (Vec<bool>, Vec<usize>) {
    let mut order: Vec<usize> = (0..raised.len()).collect();
    order.sort_by_key(|i| raised[*i].from);
    let places: Vec<Places<'_>> = raised.iter().map(Places::of_raised).collect();
    // The latest end of all up to a place in the order: before it nothing can reach, and the search ends.
    let latest: Vec<Timestamp> = order
        .iter()
        .scan(Timestamp::from_millis(i64::MIN), |latest, i| {
            *latest = (*latest).max(raised[*i].to.unwrap_or(Timestamp::from_millis(i64::MAX)));
            Some(*latest)
        })
        .collect();
    let (mut seen, mut alerts) = (vec![false; fired.len()], vec![0; raised.len()]);
    for (fired, seen) in fired.iter().zip(&mut seen) {
        let here = Places::of_fired(fired);
        let begun = order.partition_point(|i| raised[*i].from <= fired.to + AFTER);
        for (place, i) in order[..begun].iter().enumerate().rev() {
            if latest[place] + BEFORE < fired.from {
                break;
            }
            let lasts = raised[*i].to.is_none_or(|to| to + BEFORE >= fired.from);
            if lasts && here.share(&places[*i]) {
                *seen = true;
                alerts[*i] += 1;
            }
        }
    }
    (seen, alerts)
}

impl Alerts {
    fn of<'a>(fired: impl Iterator<Item = &'a Fired>) -> Self {
        let mut by_name: BTreeMap<&str, (usize, BTreeSet<&SeriesKey>, DurationMs)> = BTreeMap::new();
        let mut count = 0;
        for fired in fired {
            let (times, things, lasted) = by_name.entry(&fired.alertname).or_default();
            *times += 1;
            things.insert(&fired.labels);
            *lasted = DurationMs::from_millis(lasted.millis().saturating_add(fired.to.since(fired.from).millis()));
            count += 1;
        }
        let group = |(name, (count, things, lasted)): (&str, _)| Group {
            alertname: name.to_owned(),
            count,
            things: BTreeSet::len(&things),
            lasted,
        };
        let mut groups: Vec<Group> = by_name.into_iter().map(group).collect();
        groups.sort_by_key(|group| Reverse((group.count, group.lasted)));
        groups.truncate(MOST_LISTED);
        Self { count, groups }
    }
}

impl Incidents {
    fn of<'a>(raised: impl ExactSizeIterator<Item = &'a Raised>) -> Self {
        Self { count: raised.len(), listed: raised.take(MOST_LISTED).cloned().collect() }
    }
}

impl Comparison {
    /// The comparison in one sentence: `Your rules fired 212 times a day on 31 things; Bellwether would have raised 4
    /// alerts a day.`
    pub fn spoken(&self) -> String {
        let yours = match self.fired {
            // Without rules, or with rules elsewhere, it looks the same.
            0 => "No alert fired in this Prometheus".to_owned(),
            _ => format!("Your rules fired {} on {}", self.often(self.fired, "time"), counted(self.things, "thing")),
        };
        let ours = match self.incidents {
            0 => "would have raised no alert".to_owned(),
            _ => format!("would have raised {}", self.often(self.incidents, "alert")),
        };
        format!("{yours}; Bellwether {ours}.")
    }

    /// What happens at least once a day is told by the day, what is rarer as it was counted.
    fn often(&self, count: usize, what: &str) -> String {
        let a_day = if self.days > 0.0 { count as f64 / self.days } else { 0.0 };
        if a_day < 1.0 {
            let days =
                if self.days < 2.0 { format!("{} hours", (self.days * 24.0).round()) } else { format!("{} days", self.days.round()) };
            return format!("{} in {days}", counted(count, what));
        }
        let number = if a_day < 9.95 { format!("{a_day:.1}") } else { format!("{a_day:.0}") };
        let number = number.strip_suffix(".0").unwrap_or(&number);
        format!("{number} {what}{} a day", if number == "1" { "" } else { "s" })
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// As RFC 3339 in UTC.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
pub(super) fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

#[expect(clippy::ref_option, reason = "the form that serde asks for")]
fn as_text_if_any<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.to_string()).serialize(serializer)
}
