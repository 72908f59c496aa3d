//! How likely a finding is worth telling, and which are not told.
//!
//! What counts as its like, from far to near: findings of the same kind and direction on other series of the monitor;
//! on the same series at other times of the day; at the same time of other days of the week; at the same time of the
//! week. Times are the same within an hour and a half, around midnight and the end of the week as anywhere, so that a
//! job that is late, or runs by a local clock in summer, stays the same job. What will reach a limit or has drifted
//! lasts for days and has no time of the week.
//!
//! A verdict of a year ago counts half. A finding is held back where the chance is below a quarter; six verdicts of
//! “noise” on a series at one time of the week do that, or one at each of six days at one time of the day. What other
//! series say can halve the chance at most, never silence one of which nothing was said.
//!
//! Nothing is held back that is much more than what was judged: twice as far off as the farthest, or more than an hour
//! longer than twice the longest.

use std::collections::{BTreeMap, HashMap};

use super::Counts;
use crate::clock::{DurationMs, Timestamp};
use crate::feedback::{Feedback, Seen, Verdict};
use crate::finding::{Direction, Finding, FindingKind};
use crate::series::SeriesKey;

/// The chance that a finding is worth telling before anybody said anything, and how many verdicts that is worth.
const UNKNOWN: f64 = 0.8;
const WORTH: f64 = 2.5;
/// What other series alone can bring the chance down to.
const LEAST_OF_OTHERS: f64 = 0.5;
/// Below this chance a finding is held back.
const TOLD: f64 = 0.25;
/// Two times are the same when they are no further apart.
const SLACK: DurationMs = DurationMs::from_secs(5400);
/// After this time a verdict counts half.
const HALF_LIFE: f64 = 365.0 * DurationMs::DAY.millis() as f64;
/// So many times as far off as what was judged is something else.
const MUCH_FARTHER: f64 = 2.0;
/// So many times as long as what was judged, and an hour more, is something else.
const MUCH_LONGER: i64 = 2;

/// A kind of finding of a monitor.
type Kind = (String, FindingKind, Direction);

/// What was said of the worth of findings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Worth {
    judged: HashMap<Kind, BTreeMap<SeriesKey, Vec<Occurrence>>>,
    expected: HashMap<Kind, BTreeMap<SeriesKey, Expected>>,
}

/// Findings of one series and kind in one incident, and what was said of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Occurrence {
    good: bool,
    said_at: Timestamp,
    onset: Timestamp,
    lasted: DurationMs,
    size: f64,
}

/// What was said to be expected from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Expected {
    since: Timestamp,
    size: f64,
}

/// Whether how large a finding of a kind is shows in how far off it is; otherwise its score tells.
fn is_far(kind: FindingKind) -> bool {
    matches!(kind, FindingKind::Deviation | FindingKind::Group | FindingKind::Drift)
}

/// How large a finding is; NaN where that is no number.
fn size(kind: FindingKind, deviation: f64, score: f64) -> f64 {
    let size = if is_far(kind) { deviation } else { score };
    if size.is_finite() { size } else { f64::NAN }
}

/// Why a finding is not told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Held {
    /// Its like was called noise.
    Noise {
        /// How often, on this series.
        verdicts: usize,
        /// How large the largest of them was: how far off, or its score.
        up_to: f64,
        /// The chance that it is worth telling all the same.
        chance: f64,
    },
    /// Its like was called expected.
    Expected {
        /// When.
        since: Timestamp,
        /// How large that was.
        up_to: f64,
    },
}

impl Held {
    /// The reason in words for `finding`.
    pub fn reason(self, finding: &Finding) -> String {
        let within = |up_to: f64| {
            if is_far(finding.kind) {
                format!("; it is told from {} off", finding.unit.show(up_to * MUCH_FARTHER))
            } else {
                format!("; it is told from a score of {:.1}", up_to * MUCH_FARTHER)
            }
        };
        match self {
            Self::Noise { verdicts, up_to, chance } => {
                let verdicts = if verdicts == 1 { "1 verdict".to_owned() } else { format!("{verdicts} verdicts") };
                format!(
                    "{verdicts} of “noise” on findings like this leave it a chance of {:.0} % to be worth telling{}",
                    chance * 100.0,
                    within(up_to)
                )
            }
            Self::Expected { since, up_to } => {
                format!("said to be expected from {} on{}", since.as_date(), within(up_to))
            }
        }
    }
}

/// What was said of one kind of finding on one series, as seen from a finding.
#[derive(Default)]
struct View<'a> {
    /// At the same time of the week.
    here: Vec<&'a Occurrence>,
    /// At the same time of another day, by how many days later.
    days: BTreeMap<i64, Vec<&'a Occurrence>>,
    /// At another time of the day, by how many stretches of the day later.
    hours: BTreeMap<i64, Vec<&'a Occurrence>>,
}

impl<'a> View<'a> {
    fn of(all: &'a [Occurrence], finding: &Finding) -> Self {
        let mut view = Self::default();
        let day = DurationMs::DAY.millis();
        for one in all {
            let apart = finding.onset.millis() - one.onset.millis();
            // From the nearest day, so that nothing breaks at midnight.
            let days = (apart + day / 2).div_euclid(day);
            let rest = apart - days * day;
            if !has_time(finding.kind) || (rest.abs() <= SLACK.millis() && days.rem_euclid(7) == 0) {
                view.here.push(one);
            } else if rest.abs() <= SLACK.millis() {
                view.days.entry(days.rem_euclid(7)).or_default().push(one);
            } else {
                let width = 2 * SLACK.millis();
                view.hours.entry((rest + SLACK.millis()).div_euclid(width).rem_euclid(day / width)).or_default().push(one);
            }
        }
        view
    }

    /// The nearest that was called noise.
    fn noise(&self) -> Vec<&'a Occurrence> {
        let bad = |all: &[&'a Occurrence]| all.iter().copied().filter(|one| !one.good).collect::<Vec<_>>();
        let flat = |of: &BTreeMap<i64, Vec<&'a Occurrence>>| of.values().flatten().copied().collect::<Vec<_>>();
        let places = [bad(&self.here), bad(&flat(&self.days)), bad(&flat(&self.hours))];
        places.into_iter().find(|noise| !noise.is_empty()).unwrap_or_default()
    }
}

impl Worth {
    /// Takes in the last word on an incident.
    pub(super) fn take(&mut self, feedback: &Feedback) {
        let Some(good) = feedback.verdict.worth_telling() else { return };
        let mut of_kind: BTreeMap<(&str, FindingKind, Direction, &SeriesKey), Occurrence> = BTreeMap::new();
        for Seen { monitor, key, kind, direction, onset, lasted, deviation, score, .. } in &feedback.seen {
            let new =
                Occurrence { good, said_at: feedback.given_at, onset: *onset, lasted: *lasted, size: size(*kind, *deviation, *score) };
            let known = of_kind.entry((monitor, *kind, *direction, key)).or_insert(new);
            let end = (known.onset + known.lasted).max(new.onset + new.lasted);
            known.onset = known.onset.min(new.onset);
            known.lasted = end.since(known.onset);
            known.size = known.size.max(new.size);
        }
        for ((monitor, kind, direction, key), one) in of_kind {
            let place = (monitor.to_owned(), kind, direction);
            if feedback.verdict == Verdict::Expected {
                let new = Expected { since: feedback.given_at, size: one.size };
                let known = self.expected.entry(place).or_default().entry(key.clone()).or_insert(new);
                *known = Expected { since: known.since.min(new.since), size: known.size.max(new.size) };
            } else {
                self.judged.entry(place).or_default().entry(key.clone()).or_default().push(one);
            }
        }
    }

    /// See [`super::Learned::prior`].
    pub(super) fn prior(&self, finding: &Finding) -> f64 {
        let Some(series) = self.judged.get(&kind(finding)) else { return UNKNOWN };
        let own = series.get(&finding.key).map_or(&[][..], Vec::as_slice);
        self.chance(finding, &View::of(own, finding))
    }

    /// See [`super::Learned::holds_back`].
    pub(super) fn holds_back(&self, finding: &Finding) -> Option<Held> {
        let (place, size) = (kind(finding), size(finding.kind, (finding.value - finding.expected).abs(), finding.score));
        // What cannot be compared is told.
        let is_within = |known: f64| size < known * MUCH_FARTHER;
        if let Some(Expected { since, size }) = self.expected.get(&place).and_then(|series| series.get(&finding.key))
            && is_within(*size)
        {
            return Some(Held::Expected { since: *since, up_to: *size });
        }
        let view = View::of(self.judged.get(&place)?.get(&finding.key)?, finding);
        let noise = view.noise();
        let known = noise.iter().map(|one| one.size).reduce(f64::max)?;
        let longest = noise.iter().map(|one| one.lasted).max()?;
        let lasts = finding.ended.unwrap_or(finding.last_seen).since(finding.onset);
        let is_long = has_time(finding.kind) && lasts.millis() > longest.millis() * MUCH_LONGER + DurationMs::HOUR.millis();
        let chance = self.chance(finding, &view);
        let held = chance < TOLD && is_within(known) && !is_long;
        held.then_some(Held::Noise { verdicts: noise.len(), up_to: known, chance })
    }

    /// The chance that a finding is worth telling, with what was said of its series.
    fn chance(&self, finding: &Finding, view: &View<'_>) -> f64 {
        let weight = |one: &Occurrence| (-(finding.onset.since(one.said_at).millis() as f64) / HALF_LIFE).exp2();
        let counts = |all: &[&Occurrence]| {
            let mut counts = Counts::default();
            for one in all {
                counts.add(one.good, weight(one));
            }
            counts
        };
        let voices = |of: &BTreeMap<i64, Vec<&Occurrence>>| Counts::sum(of.values().map(|all| counts(all).as_one_voice()));
        let others = self.judged.get(&kind(finding)).into_iter().flatten().filter(|(key, _)| **key != finding.key);
        let others = Counts::sum(others.map(|(_, all)| counts(&all.iter().collect::<Vec<_>>()).as_one_voice()));
        let monitor = others.posterior(UNKNOWN, WORTH).max(LEAST_OF_OTHERS);
        let series = voices(&view.hours).posterior(monitor, WORTH);
        let day = voices(&view.days).posterior(series, WORTH);
        counts(&view.here).posterior(day, WORTH)
    }
}

fn kind(finding: &Finding) -> Kind {
    (finding.monitor.clone(), finding.kind, finding.direction)
}

/// Whether it matters when findings of a kind begin.
fn has_time(kind: FindingKind) -> bool {
    !matches!(kind, FindingKind::Capacity | FindingKind::Drift)
}
