//! The series of one monitor beside each other: which of them is odd among its peers, and what groups of them show together.

mod group;
mod siblings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::grouped::is_due;
use super::series::held_back;
use crate::analysis::detect::{Beside, Decision};
use crate::analysis::peers::{LEAST_PEERS, LEAST_PLACES, Peers, State};
use crate::clock::{DurationMs, Timestamp};
use crate::engine::status::SeriesStatus;
use crate::finding::Direction;
use crate::monitor::Monitor;
use crate::series::{SeriesKey, Window};
use group::Group;
pub use group::Said;
pub use siblings::lend_to_the_young;

/// How long after one fit the next is tried because there are other series, or because the last gave nothing.
const RETRY: DurationMs = DurationMs::HOUR;

/// The windows of the series of a monitor, all on one grid; they may begin and end at different times.
pub type Windows<'a> = BTreeMap<&'a SeriesKey, &'a Window>;

/// The series of one monitor beside each other.
#[derive(Default)]
pub struct Together {
    peers: Option<Fitted>,
    /// When peers were last looked for.
    looked: Option<Timestamp>,
    /// What peers say of each series, from one time on, one step after the other.
    views: Views,
    groups: BTreeMap<SeriesKey, Group>,
    judged_until: Option<Timestamp>,
}

struct Fitted {
    peers: Peers,
    state: State,
    keys: Vec<SeriesKey>,
    from: Timestamp,
    until: Timestamp,
}

/// How the series of a monitor are judged beside each other.
#[derive(Clone, Copy)]
pub struct Judging<'a> {
    /// The monitor.
    pub monitor: &'a Monitor,
    /// The bound and the direction.
    pub decision: Decision,
    /// How old a model may become.
    pub refit: DurationMs,
}

impl Together {
    /// Judges all places of `windows` that were not judged yet, and fits what is due: `calm` where none
    /// of the series has an open finding. Afterwards [`Together::view`] tells of the new places.
    pub fn advance(&mut self, windows: &Windows, judging: Judging, calm: bool) -> Vec<Said> {
        let Some(end) = windows.values().map(|window| window.end()).max() else { return Vec::new() };
        let direction = judging.decision.direction;
        self.views.clear();
        if let (Some(fitted), Some(from)) = (&mut self.peers, self.judged_until) {
            self.views = fitted.judge(windows, from, end, direction);
        }
        if self.is_due(windows, end, judging.refit, calm) {
            self.looked = Some(end);
            if let Some((fitted, said)) = Fitted::fit(windows, end, direction) {
                self.peers = Some(fitted);
                // What the old one said stands where it did.
                for (key, one) in said {
                    self.views.entry(key).or_insert(one);
                }
            } else if self.peers.as_ref().is_some_and(|fitted| end.since(fitted.until) > judging.refit * 3) {
                self.peers = None;
            }
        }
        let from = self.judged_until.replace(end);
        self.judge_groups(windows, judging, from, end)
    }

    /// What the peers of `key` say of its value at `time`; only of the places that the last [`Together::advance`] judged.
    pub fn view(&self, key: &SeriesKey, time: Timestamp) -> Option<Beside> {
        let (start, step, said) = self.views.get(key)?;
        if time < *start { None } else { said.get(time.since(*start).steps(*step))?.clone() }
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// What the engine shows of the groups, in order of their labels.
    pub fn statuses(&self, monitor: &Monitor) -> Vec<SeriesStatus> {
        self.groups.iter().map(|(key, group)| group.status(key, monitor)).collect()
    }

    /// The findings of groups that last.
    pub fn open(&self, monitor: &Monitor) -> impl Iterator<Item = String> + '_ {
        let name = monitor.name.clone();
        self.groups.iter().filter_map(move |(key, group)| group.open_id(&name, key))
    }

    /// The finding of the group `key` counts, whatever was held back of it.
    pub fn release(&mut self, key: &SeriesKey, onset: Timestamp) {
        if let Some(group) = self.groups.get_mut(key) {
            group.release(onset);
        }
    }

    fn is_due(&self, windows: &Windows, end: Timestamp, refit: DurationMs, calm: bool) -> bool {
        let places = || windows.values().map(|window| window.len()).max().unwrap_or(0);
        if windows.len() < LEAST_PEERS || places() < LEAST_PLACES || self.looked.is_some_and(|looked| end.since(looked) < RETRY) {
            return false;
        }
        let Some(fitted) = &self.peers else { return true };
        let others = !fitted.keys.iter().eq(windows.keys().copied());
        others && calm || is_due(fitted.from, fitted.until, end, refit, !calm)
    }

    fn judge_groups(&mut self, windows: &Windows, judging: Judging, from: Option<Timestamp>, end: Timestamp) -> Vec<Said> {
        let groups = judging.monitor.groups(windows.keys().copied());
        self.groups.retain(|key, _| groups.contains_key(key));
        let mut told = Vec::new();
        for (key, of) in groups {
            let of = of.into_iter().filter_map(|key| Some((key, *windows.get(key)?))).collect();
            let group = self.groups.entry(key.clone()).or_default();
            told.push(group.advance(&key, &of, judging, from, end));
        }
        told
    }
}

impl Fitted {
    /// Learns from all but the last of `windows`, and says what it can of the rest.
    fn fit(windows: &Windows, end: Timestamp, direction: Option<Direction>) -> Option<(Self, Views)> {
        let start = windows.values().map(|window| window.start()).min()?;
        let step = windows.values().next()?.step();
        let until = end - held_back(start, end, step);
        let keys: Vec<SeriesKey> = windows.keys().map(|key| (*key).clone()).collect();
        let peers = Peers::fit(&aligned(windows, &keys, start, until))?;
        let mut fitted = Self { state: peers.start(), peers, keys, from: start, until };
        let said = fitted.judge(windows, until, end, direction);
        Some((fitted, said))
    }

    fn judge(&mut self, windows: &Windows, from: Timestamp, end: Timestamp, direction: Option<Direction>) -> Views {
        let new = aligned(windows, &self.keys, from, end);
        let Some(first) = new.first() else { return Views::new() };
        let mut said = vec![Vec::with_capacity(first.len()); self.keys.len()];
        let mut values = vec![f64::NAN; self.keys.len()];
        for place in 0..first.len() {
            values.iter_mut().zip(&new).for_each(|(value, window)| *value = window.values()[place]);
            let views = self.peers.step(&mut self.state, &values, direction);
            said.iter_mut().zip(views).for_each(|(said, view)| said.push(view));
        }
        self.keys.iter().cloned().zip(said).map(|(key, said)| (key, (first.start(), first.step(), said))).collect()
    }
}

type Views = BTreeMap<SeriesKey, (Timestamp, DurationMs, Vec<Option<Beside>>)>;

/// The windows of `keys` from `from` until `end`, NaN where there is nothing.
fn aligned(windows: &Windows, keys: &[SeriesKey], from: Timestamp, end: Timestamp) -> Vec<Window> {
    let Some(step) = windows.values().next().map(|window| window.step()) else { return Vec::new() };
    let places = if end > from { end.since(from).steps(step) } else { 0 };
    let one = |key: &SeriesKey| {
        let mut values = vec![f64::NAN; places];
        if let Some(window) = windows.get(key) {
            let first = window.start().max(from);
            let part = window.slice(first, end);
            let at = if part.is_empty() { 0 } else { part.start().since(from).steps(step) };
            values.iter_mut().skip(at).zip(part.values()).for_each(|(value, known)| *value = *known);
        }
        Window::new(from, step, values).ok()
    };
    keys.iter().filter_map(one).collect()
}
