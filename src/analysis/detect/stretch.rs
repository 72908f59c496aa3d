//! From flagged points to a finding: persistence before it opens, hysteresis before it closes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::judgement::Judgement;
use super::onset::onset;
use crate::analysis::calibrate;
use crate::clock::{DurationMs, Timestamp};
use crate::finding::{Course, Direction, Evidence, Finding, FindingKind};
use crate::monitor::Monitor;
use crate::series::SeriesKey;

/// Of the last [`OF_LAST`] points so many must be flagged before a finding opens.
const FLAGGED: usize = 3;
const OF_LAST: usize = 5;
/// So many points in a row must be normal before it closes.
const CALM: usize = 5;
/// A series that is abnormal again so soon after it was is unsettled, and then so many must be normal: what comes and goes is one
/// finding, not ten (after the damping of flapping routes, RFC 2439).
const CALM_AGAIN: usize = 60;
/// A deviation in a course is at most so large.
const LARGEST: f64 = 1e6;

/// A stretch of a series that was judged abnormal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// Outside the band, or inside it but moving as never before.
    pub kind: FindingKind,
    /// Above or below.
    pub direction: Direction,
    /// When the series left its expected course.
    pub onset: Timestamp,
    /// The point that made it one.
    pub opened: Timestamp,
    /// The latest point that was abnormal.
    pub last_seen: Timestamp,
    /// When it was back for good; `None` while it lasts.
    pub ended: Option<Timestamp>,
    /// The judgement of the worst point.
    pub worst: Judgement,
    /// The smallest p-value of each detector, the strongest first.
    pub evidence: Vec<Evidence>,
    /// The deviations up to the latest point.
    pub course: Course,
}

/// Turns judgements, one for each step, into stretches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tracker {
    /// The last judgements, as many as may open a stretch.
    recent: VecDeque<Judgement>,
    /// When the latest points were, and how far off: what the onset reaches back over.
    course: VecDeque<(Timestamp, f64)>,
    open: Option<Stretch>,
    calm: usize,
    /// When the latest stretch ended, and whether the open one began soon after it.
    ended: Option<Timestamp>,
    came_back: bool,
    /// Whether nothing but a slow change speaks for the open one.
    slow: bool,
}

impl Tracker {
    /// The stretch that lasts.
    pub fn open(&self) -> Option<&Stretch> {
        self.open.as_ref()
    }

    /// Takes in the next judgement, one step after the one before. Gives the stretch that this point opened,
    /// continued or closed. A missing value neither opens nor closes anything.
    pub fn push(&mut self, judgement: &Judgement, step: DurationMs) -> Option<Stretch> {
        self.push_since(judgement, step, None)
    }

    /// The same where a slow change, if there is one, began at `since`.
    pub(super) fn push_since(&mut self, judgement: &Judgement, step: DurationMs, since: Option<Timestamp>) -> Option<Stretch> {
        if self.recent.len() == OF_LAST {
            self.recent.pop_front();
        }
        self.recent.push_back(judgement.clone());
        if self.course.len() == Course::MOST {
            self.course.pop_front();
        }
        self.course.push_back((judgement.time, judgement.z));
        if judgement.score.is_nan() {
            return self.open.clone();
        }
        let Some(mut stretch) = self.open.take() else {
            return self.try_open(step, since);
        };
        let lasts = match stretch.kind {
            FindingKind::Deviation => !judgement.in_band(),
            _ => judgement.score >= 1.0,
        };
        if self.slow && self.latest().filter(|j| j.is_sudden()).count() >= FLAGGED {
            self.slow = false;
            if self.latest().any(|j| !j.in_band()) {
                stretch.kind = FindingKind::Deviation;
            }
        }
        let abnormal = lasts || judgement.is_odd() || self.slow && judgement.ramp().is_some();
        self.calm = if abnormal { 0 } else { self.calm + 1 };
        if abnormal {
            stretch.last_seen = judgement.time;
            // Later its beginning would be lost, and that is what another's is compared with.
            if judgement.time.since(stretch.opened).steps(step) <= Course::MOST / 2 {
                stretch.course = self.course(step);
            }
        }
        stretch.take_in(judgement);
        let enough = if self.came_back { CALM_AGAIN } else { CALM };
        if self.calm < enough {
            self.open = Some(stretch.clone());
        } else {
            stretch.ended = Some(stretch.last_seen + step);
            self.rest(stretch.ended);
        }
        Some(stretch)
    }

    /// Ends the open stretch because its series can no longer be judged.
    pub fn close(&mut self, at: Timestamp) -> Option<Stretch> {
        let mut stretch = self.open.take()?;
        stretch.ended = Some(at);
        self.rest(stretch.ended);
        Some(stretch)
    }

    /// Whether something abnormal goes on that the level must not follow: a stretch may stay open although it is calm by
    /// now, and a slow change is told of without being held up.
    pub fn holds(&self) -> bool {
        self.open.is_some() && !self.slow && self.calm < CALM
    }

    /// Whether nothing but a slow change speaks, or spoke, for the latest stretch.
    pub fn is_slow(&self) -> bool {
        self.slow
    }

    fn latest(&self) -> impl Iterator<Item = &Judgement> {
        self.recent.iter().rev()
    }

    fn course(&self, step: DurationMs) -> Course {
        let until = self.course.back().map_or(Timestamp::default(), |(time, _)| *time);
        let bounded = |z: f64| if z.is_finite() { z.clamp(-LARGEST, LARGEST) as f32 } else { 0.0 };
        Course { until, step, deviations: self.course.iter().map(|(_, z)| bounded(*z)).collect() }
    }

    fn rest(&mut self, ended: Option<Timestamp>) {
        self.recent.clear();
        self.course.clear();
        self.calm = 0;
        self.ended = ended;
    }

    fn try_open(&mut self, step: DurationMs, since: Option<Timestamp>) -> Option<Stretch> {
        if !self.recent.back()?.is_abnormal() {
            return None;
        }
        let flagged: Vec<&Judgement> = self.latest().filter(|j| j.is_abnormal()).collect();
        if flagged.len() < FLAGGED {
            return None;
        }
        let (last, first) = (flagged[0], flagged[flagged.len() - 1]);
        let above = flagged.iter().filter(|j| j.z >= 0.0).count() * 2 >= flagged.len();
        let direction = if above { Direction::Up } else { Direction::Down };
        let off = |z: f64| if above { z } else { -z };
        let come_to = flagged.iter().map(|j| off(j.z)).sum::<f64>() / flagged.len() as f64;
        let course: Vec<_> = self.course.iter().map(|(time, z)| (*time, off(*z))).collect();
        let onset = onset(&course, first.time, come_to);
        // What came slowly began before it could be told.
        let ramp = flagged.iter().find_map(|j| j.ramp()).filter(|_| flagged.iter().filter(|j| j.is_sudden()).count() < FLAGGED);
        let (direction, onset) = match (ramp, since) {
            (Some(change), Some(since)) => {
                let since = self.ended.map_or(since, |ended| since.max(ended));
                (if change > 0.0 { Direction::Up } else { Direction::Down }, since.min(first.time))
            }
            _ => (direction, onset),
        };
        let slow = ramp.is_some();
        let outside = !slow && flagged.iter().any(|j| !j.in_band());
        let mut stretch = Stretch {
            kind: if outside { FindingKind::Deviation } else { FindingKind::Pattern },
            direction,
            onset,
            opened: last.time,
            last_seen: last.time,
            ended: None,
            worst: (*last).clone(),
            evidence: Vec::new(),
            course: self.course(step),
        };
        flagged.iter().rev().for_each(|j| stretch.take_in(j));
        (self.calm, self.slow) = (0, slow);
        self.came_back = self.ended.is_some_and(|ended| stretch.onset.since(ended).steps(step) < CALM_AGAIN);
        self.open = Some(stretch.clone());
        Some(stretch)
    }
}

impl Stretch {
    /// Puts what a point said of a stretch behind `stretches`, in the place of what was last said of the same one.
    pub fn take_latest(stretches: &mut Vec<Self>, stretch: Option<Self>) {
        let Some(stretch) = stretch else { return };
        match stretches.last_mut() {
            Some(last) if last.onset == stretch.onset => *last = stretch,
            _ => stretches.push(stretch),
        }
    }

    /// The finding that this stretch is on the series `key` of `monitor`, judged by `model`.
    pub fn finding(&self, monitor: &Monitor, key: &SeriesKey, model: &str) -> Finding {
        Finding {
            id: Finding::identity(&monitor.name, key, self.onset),
            monitor: monitor.name.clone(),
            service: monitor.service_of(key),
            key: key.clone(),
            metric: monitor.metric,
            unit: monitor.unit,
            kind: self.kind,
            direction: self.direction,
            onset: self.onset,
            opened: self.opened,
            last_seen: self.last_seen,
            ended: self.ended,
            value: self.worst.value,
            expected: self.worst.expected,
            lower: self.worst.lower,
            upper: self.worst.upper,
            score: calibrate::score(self.worst.strength(), self.worst.alpha).max(self.worst.score),
            p_value: self.worst.strength(),
            evidence: self.evidence.clone(),
            model: model.to_owned(),
            reach: None,
            course: Some(self.course.clone()),
        }
    }

    fn take_in(&mut self, judgement: &Judgement) {
        let (p, worst) = (judgement.strength(), self.worst.strength());
        let worse = p < worst || (p == worst && judgement.z.abs() > self.worst.z.abs());
        if worse {
            self.worst = judgement.clone();
            if !judgement.in_band() {
                self.direction = if judgement.value > judgement.upper { Direction::Up } else { Direction::Down };
            }
        }
        for view in &judgement.views {
            match self.evidence.iter_mut().find(|e| e.detector == view.detector.as_str()) {
                Some(known) if known.p_value <= view.p_value => {}
                Some(known) => (known.p_value, known.note) = (view.p_value, view.note(judgement)),
                None => {
                    let note = view.note(judgement);
                    self.evidence.push(Evidence { detector: view.detector.as_str().to_owned(), p_value: view.p_value, note });
                }
            }
        }
        self.evidence.sort_by(|a, b| a.p_value.total_cmp(&b.p_value));
    }
}
