//! A group of series that are judged together.

use super::{Judging, RETRY, Windows, aligned};
use crate::analysis::CannotSay;
use crate::analysis::detect::{Detector, FORMAT_VERSION, Judgement, Stretch, Tracker, View};
use crate::analysis::joint::{self, Judged};
use crate::clock::{DurationMs, Timestamp};
use crate::engine::evaluate::grouped::Grouped;
use crate::engine::evaluate::series::retry;
use crate::engine::guarded::{self, Guarded};
use crate::engine::status::{Recent, SeriesState, SeriesStatus};
use crate::finding::{Finding, FindingKind};
use crate::guard::Suppressed;
use crate::metric::Unit;
use crate::monitor::Monitor;
use crate::series::{SeriesKey, Window};

/// After so many places without any value a group is silent, and its finding over.
const SILENT: usize = 30;
/// Series named in the evidence of a finding.
const NAMED: usize = 5;

/// What was said of a group in one round.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// The labels that its series share.
    pub key: SeriesKey,
    /// Each judgement, with whether a finding was open.
    pub judgements: Vec<(Judgement, bool)>,
    /// The findings that changed, and why guards hold them back.
    pub findings: Vec<(Finding, Option<Suppressed>)>,
}

/// A group of series that are judged together.
#[derive(Default)]
pub struct Group {
    grouped: Grouped,
    /// The series that the model knows, in its order.
    keys: Vec<SeriesKey>,
    /// When a fit was last tried.
    tried: Option<Timestamp>,
    cannot_say: Option<CannotSay>,
    tracker: Tracker,
    recent: Recent,
    guarded: Guarded,
    /// Each series' part in what was last said, and in the worst that was said of the open finding.
    parts: Vec<f64>,
    worst: Option<(f64, Vec<f64>)>,
    /// Places without any value up to the latest.
    missing: usize,
}

impl Group {
    /// Judges the places of `windows` before `end` that were not judged yet: all from `from` on.
    pub(super) fn advance(
        &mut self,
        key: &SeriesKey,
        windows: &Windows,
        judging: Judging,
        from: Option<Timestamp>,
        end: Timestamp,
    ) -> Said {
        let alpha = judging.decision.alpha;
        let mut judged = match from {
            Some(from) => self.grouped.judge(&aligned(windows, &self.keys, from, end), alpha),
            None => Vec::new(),
        };
        if self.is_due(windows, end, judging.refit)
            && let Some(rest) = self.fit(windows, end, alpha)
            && judged.is_empty()
        {
            judged = rest;
        }
        let guards = judging.monitor.guards.of_groups();
        let (mut judgements, mut changed) = (Vec::with_capacity(judged.len()), Vec::<Stretch>::new());
        for (time, judged) in judged {
            let Some(judgement) = self.grouped.model().map(|model| judgement(model, time, &judged, alpha)) else { continue };
            let stretch = self.take(&judgement, judged, judging.monitor.step);
            let open = self.lasts();
            self.guarded.take(&guards, &guarded::Judged::from(&judgement), open, || None);
            self.recent.push(judgement.clone());
            judgements.push((judgement, open));
            Stretch::take_latest(&mut changed, stretch);
        }
        let finding =
            |stretch: &Stretch| (self.finding(stretch, key, judging.monitor), self.guarded.held(stretch.onset, stretch.last_seen));
        let findings = changed.iter().map(finding).collect();
        self.guarded.forget(self.tracker.open().map(|stretch| stretch.onset));
        if self.tracker.open().is_none() {
            self.worst = None;
        }
        Said { key: key.clone(), judgements, findings }
    }

    /// Whether a finding lasts.
    pub(super) fn lasts(&self) -> bool {
        self.tracker.open().is_some()
    }

    pub(super) fn open_id(&self, monitor: &str, key: &SeriesKey) -> Option<String> {
        self.tracker.open().map(|stretch| Finding::identity(monitor, key, stretch.onset))
    }

    pub(super) fn release(&mut self, onset: Timestamp) {
        self.guarded.release(onset);
    }

    pub(super) fn status(&self, key: &SeriesKey, monitor: &Monitor) -> SeriesStatus {
        let (state, suppressed) = match self.tracker.open().map(|stretch| self.guarded.held(stretch.onset, stretch.last_seen)) {
            Some(Some(why)) => (SeriesState::Suppressed, Some(why.reason(monitor.unit))),
            Some(None) => (SeriesState::Anomalous, None),
            None if self.cannot_say.is_some() || self.grouped.model().is_none() => (SeriesState::CannotSay, None),
            None => (SeriesState::Normal, None),
        };
        SeriesStatus {
            key: key.clone(),
            state,
            cannot_say: self.cannot_say.as_ref().map(ToString::to_string),
            suppressed,
            recent: self.recent.clone(),
            trained_until: self.grouped.trained_until(),
            periods: Vec::new(),
            parts: shares(&self.keys, &self.parts),
        }
    }

    fn is_due(&self, windows: &Windows, end: Timestamp, refit: DurationMs) -> bool {
        if self.grouped.model().is_none() {
            let history = windows.values().map(|window| end.since(window.start())).max().unwrap_or_default();
            return self.tried.is_none_or(|tried| end.since(tried) >= retry(history));
        }
        let others = !self.lasts() && !self.keys.iter().eq(windows.keys().copied());
        (others || self.grouped.is_due(end, refit)) && self.tried.is_none_or(|tried| end.since(tried) >= RETRY)
    }

    /// Fits the model; what it says of the places it was not trained on.
    fn fit(&mut self, windows: &Windows, end: Timestamp, alpha: f64) -> Option<Vec<(Timestamp, Judged)>> {
        self.tried = Some(end);
        let start = windows.values().map(|window| window.start()).min()?;
        let keys: Vec<SeriesKey> = windows.keys().map(|key| (*key).clone()).collect();
        let all = aligned(windows, &keys, start, end);
        match self.grouped.fit(&all) {
            Ok(until) => {
                (self.keys, self.cannot_say) = (keys, None);
                let rest: Vec<Window> = all.iter().map(|window| window.slice(until, end)).collect();
                Some(self.grouped.judge(&rest, alpha))
            }
            Err(reason) => {
                if self.grouped.model().is_none() {
                    self.cannot_say = Some(reason);
                }
                None
            }
        }
    }

    /// The stretch that a judgement opened, continued or closed.
    fn take(&mut self, judgement: &Judgement, judged: Judged, step: DurationMs) -> Option<Stretch> {
        self.missing = if judged.statistic.is_nan() { self.missing + 1 } else { 0 };
        let stretch = self.tracker.push(judgement, step);
        if self.missing == SILENT {
            self.cannot_say = Some(CannotSay::Silent(SILENT));
            return self.tracker.close(judgement.time);
        }
        if self.missing == 0 {
            if matches!(self.cannot_say, Some(CannotSay::Silent(_))) {
                self.cannot_say = None;
            }
            if self.worst.as_ref().is_none_or(|(worst, _)| judged.statistic > *worst) {
                self.worst = Some((judged.statistic, judged.contributions.clone()));
            }
            if stretch.is_none() && !judgement.is_odd() {
                // What will open a finding begins here.
                self.worst = None;
            }
            self.parts = judged.contributions;
        }
        stretch
    }

    fn finding(&self, stretch: &Stretch, key: &SeriesKey, monitor: &Monitor) -> Finding {
        let version = format!("{FORMAT_VERSION}@{}", self.grouped.trained_until().unwrap_or_default());
        let mut finding = stretch.finding(monitor, key, &version);
        finding.kind = FindingKind::Group;
        finding.unit = Unit::None;
        let mut services: Vec<String> = self.keys.iter().map(|key| monitor.service_of(key)).collect();
        services.dedup();
        if let [service] = services.as_slice() {
            finding.service.clone_from(service);
        }
        if let (Some((_, parts)), Some(evidence)) = (&self.worst, finding.evidence.first_mut()) {
            let named: Vec<String> =
                shares(&self.keys, parts).iter().take(NAMED).map(|(key, share)| format!("{key} {:.0} %", share * 100.0)).collect();
            evidence.note = format!("{} series together: {}; most of it {}", self.keys.len(), evidence.note, named.join(", "));
        }
        finding
    }
}

/// The judgement of a group at one time: its value is the statistic.
fn judgement(model: &joint::Group, time: Timestamp, judged: &Judged, alpha: f64) -> Judgement {
    let Judged { statistic, p_value, surprise, .. } = *judged;
    let expected = model.expected();
    let views = if statistic.is_nan() { Vec::new() } else { vec![View { detector: Detector::Joint, p_value, statistic }] };
    let score = surprise.max(0.0) / -alpha.ln();
    let (lower, upper) = (0.0, model.bound(alpha));
    Judgement { time, value: statistic, expected, lower, upper, z: statistic - expected, p_value, score, views, alpha }
}

/// Each series with its share of the whole, the greatest first, without those that have none.
fn shares(keys: &[SeriesKey], parts: &[f64]) -> Vec<(SeriesKey, f64)> {
    let whole: f64 = parts.iter().sum();
    let mut shares: Vec<(SeriesKey, f64)> =
        keys.iter().cloned().zip(parts.iter().map(|part| part / whole)).filter(|(_, share)| *share > 0.0).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    shares
}
