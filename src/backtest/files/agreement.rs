//! How what was said of a file's rows agrees with its labels.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::backtest::replay::Row;
use crate::backtest::score::event::Points;
use crate::backtest::score::{event, nab, pr, vus};
use crate::backtest::summary::{F1, Found, Labelled, Nab};
use crate::clock::Timestamp;
use crate::plot::Mark;

/// Points after its first within which a segment has to be noticed: what the 2018 AIOps challenge took.
pub const EVENT_DELAY: usize = 7;
/// The score at the decision bound.
pub const BOUND: f64 = 1.0;
/// The strength from which news counts as told for the NAB score: about one row in a hundred of the past was as unusual.
pub const NEWS_BOUND: f64 = 4.75;
/// Rows whose scores are held in memory, of one file and of all: 17 bytes each, and twice as much again while they are
/// measured. Of more, what has to look at all scores at once is not measured: AUC-PR, VUS-PR, the best threshold and NAB.
pub const MOST_ROWS: usize = 10_000_000;
/// Values from which the period of a series is told.
const HEAD: usize = 20_000;

/// What came of a file's labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreed {
    /// What is told of it.
    pub labelled: Labelled,
    /// The points at the decision bound.
    pub at_bound: Points,
    /// Rows that count and have a score.
    pub scored: usize,
    /// What it was measured by, or why not all of it was measured.
    pub measured: Result<Measured, String>,
}

/// The scores and labels of a file's rows that count, in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// One score for each row.
    pub scores: Vec<f64>,
    /// One label for each row.
    pub labels: Vec<bool>,
    /// The strength of what is told at each row, for the NAB score: it rewards telling an anomaly once and early.
    pub news: Vec<f64>,
    /// The rows of each window, for the same; `None` when labels are no windows.
    pub windows: Option<Vec<Range<usize>>>,
}

/// Looks at rows as they go by.
pub struct Agreement<'a> {
    windows: Option<&'a [(Timestamp, Timestamp)]>,
    /// The window that is next or under way.
    window: usize,
    /// What is held for the measures that look at all scores at once; `None` once that would be too much.
    measured: Option<Measured>,
    most: usize,
    counts: Counts,
    at_bound: Points,
    segment: Option<Segment>,
    /// When the segments are.
    segments: Vec<(Timestamp, Timestamp)>,
    seconds: Vec<Option<f64>>,
    /// When rows count.
    counting: Vec<(Timestamp, Timestamp)>,
    before_counted: bool,
    head: Vec<f64>,
}

/// Rows that count.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    rows: usize,
    anomalous: usize,
    scored: usize,
}

/// A segment that is under way.
struct Segment {
    start: Timestamp,
    end: Timestamp,
    rows: usize,
    seconds: Option<f64>,
    /// Whether one of its first rows reached the decision bound.
    in_time: bool,
}

/// A row of the input, as far as labels go.
#[derive(Clone, Copy, Debug)]
pub struct Truth {
    /// Its place in the file.
    pub row: usize,
    /// Its own time.
    pub time: Timestamp,
    /// The first channel's value.
    pub value: f64,
    /// What the file's own column says; windows overrule it.
    pub label: bool,
    /// Whether it is for training: then it counts for nothing.
    pub train: bool,
}

impl<'a> Agreement<'a> {
    /// No row yet; `windows` are in order and apart.
    pub fn new(windows: Option<&'a [(Timestamp, Timestamp)]>) -> Self {
        Self::of_most(MOST_ROWS, windows)
    }

    /// The same; of more than `most` rows no score is held.
    pub(super) fn of_most(most: usize, windows: Option<&'a [(Timestamp, Timestamp)]>) -> Self {
        let measured = Measured { windows: windows.map(|all| vec![0..0; all.len()]), ..Measured::default() };
        Self {
            windows,
            window: 0,
            measured: Some(measured),
            most,
            counts: Counts::default(),
            at_bound: Points::default(),
            segment: None,
            segments: Vec::new(),
            seconds: Vec::new(),
            counting: Vec::new(),
            before_counted: false,
            head: Vec::new(),
        }
    }

    /// Takes in the next row in order of time, with what was said of it.
    pub fn row(&mut self, truth: Truth, said: &Row) {
        if self.head.len() < HEAD {
            self.head.push(truth.value);
        }
        let label = self.label(truth);
        if truth.train {
            self.close();
            self.before_counted = false;
            return;
        }
        match self.counting.last_mut().filter(|_| self.before_counted) {
            Some(span) => span.1 = truth.time,
            None => self.counting.push((truth.time, truth.time)),
        }
        self.before_counted = true;
        let flagged = said.score >= BOUND;
        self.counts.rows += 1;
        self.counts.anomalous += usize::from(label);
        self.counts.scored += usize::from(!said.score.is_nan());
        self.hold(label, said);
        if !label {
            self.close();
            self.at_bound.wrong += usize::from(flagged);
            return;
        }
        let (start, end) = (truth.time, truth.time);
        let segment = self.segment.get_or_insert(Segment { start, end, rows: 0, seconds: None, in_time: false });
        segment.end = end;
        segment.in_time |= flagged && segment.rows <= EVENT_DELAY;
        segment.rows += 1;
        if segment.seconds.is_none() && (said.finding || flagged) {
            segment.seconds = Some(end.since(segment.start).seconds());
        }
    }

    /// Holds what the measures look at, unless there is too much of it.
    fn hold(&mut self, label: bool, said: &Row) {
        if self.counts.rows > self.most {
            self.measured = None;
        }
        if let Some(measured) = &mut self.measured {
            measured.scores.push(said.score);
            measured.news.push(said.news);
            measured.labels.push(label);
        }
    }

    /// The row's label, by the windows where there are some; notes which rows each window has.
    fn label(&mut self, truth: Truth) -> bool {
        let Some(windows) = self.windows else { return truth.label };
        while windows.get(self.window).is_some_and(|window| window.1 < truth.time) {
            self.window += 1;
        }
        let within = windows.get(self.window).is_some_and(|window| window.0 <= truth.time);
        if within
            && !truth.train
            && let Some(rows) = self.measured.as_mut().and_then(|of| of.windows.as_mut()?.get_mut(self.window))
        {
            let row = self.counts.rows;
            *rows = if rows.end == 0 { row..row + 1 } else { rows.start..row + 1 };
        }
        within
    }

    /// Scores, segments and values that are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let scores = self.measured.as_ref().map_or(0, |of| of.scores.capacity() + of.news.capacity() + of.labels.capacity());
        scores + self.segments.capacity() + self.seconds.capacity() + self.counting.capacity() + self.head.capacity()
    }

    fn close(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.segments.push((segment.start, segment.end));
            self.seconds.push(segment.seconds);
            self.at_bound.labelled += segment.rows;
            self.at_bound.right += if segment.in_time { segment.rows } else { 0 };
        }
    }

    /// What came of it, with a note in each of the `findings`, which are in order of onset, of whether it is right.
    pub fn finish(mut self, findings: &mut [Found]) -> Agreed {
        self.close();
        for found in findings.iter_mut() {
            found.right = (!overlapped(&self.counting, found).is_empty()).then(|| !overlapped(&self.segments, found).is_empty());
        }
        let mut detected = vec![false; self.segments.len()];
        for found in findings.iter() {
            detected[overlapped(&self.segments, found)].fill(true);
        }
        let detected = detected.into_iter().filter(|detected| *detected).count();
        let alerts: Vec<bool> = alerts(findings).into_iter().filter_map(|alert| right(&findings[alert])).collect();
        let Counts { rows, anomalous, scored } = self.counts;
        let (segments, right_alerts) = (self.segments.len(), alerts.iter().filter(|right| **right).count());
        let mut labelled = Labelled {
            rows,
            anomalous,
            segments,
            detected,
            right_alerts,
            false_alerts: alerts.len() - right_alerts,
            recall: share(detected, segments),
            precision: share(right_alerts, alerts.len()),
            median_seconds_to_detect: median(self.seconds.iter().flatten().copied().collect()),
            seconds_to_detect: self.seconds,
            vus_window: vus::sliding_window(&self.head),
            event: self.at_bound.f1(BOUND).map(F1::from),
            ..Labelled::default()
        };
        let measured = self.measured.ok_or_else(|| {
            let what = "AUC-PR, VUS-PR, the best threshold and NAB are not computed";
            format!("{rows} labelled rows: of more than {} {what}", self.most)
        });
        if let Ok(measured) = &measured {
            measured.tell(&mut labelled);
        }
        Agreed { labelled, at_bound: self.at_bound, scored, measured }
    }

    /// The labelled segments so far, for a picture of at most `most` marks.
    pub fn marks(&self, most: usize) -> Vec<Mark> {
        let open = self.segment.iter().map(|segment| (segment.start, segment.end));
        let mark = |(from, to)| Mark { from, to, title: "labelled".to_owned() };
        self.segments.iter().copied().chain(open).take(most).map(mark).collect()
    }
}

impl Measured {
    /// Adds the measures that look at all scores at once. One file at a time: each takes as much memory again.
    fn tell(&self, labelled: &mut Labelled) {
        static ALONE: Mutex<()> = Mutex::new(());
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let Self { scores, labels, news, windows } = self;
        labelled.auc_pr = pr::average_precision(scores, labels);
        labelled.vus_pr = vus::vus_pr(scores, labels, labelled.vus_window);
        labelled.best_event = event::best_f1(&[(scores.as_slice(), labels.as_slice())], EVENT_DELAY).map(F1::from);
        labelled.nab = windows.as_ref().map(|windows| {
            let file = [nab::File { scores: news, windows }];
            Nab::by_profile(|profile| nab::score(&file, NEWS_BOUND, profile))
        });
    }
}

/// The findings, which are in order of onset, in runs that overlap: those of several channels at once are one alert.
pub fn alerts(findings: &[Found]) -> Vec<Range<usize>> {
    let mut alerts: Vec<Range<usize>> = Vec::new();
    let mut end = None;
    for (i, found) in findings.iter().enumerate() {
        let ended = found.ended.unwrap_or(Timestamp::from_millis(i64::MAX));
        match alerts.last_mut().filter(|_| end.is_some_and(|end| found.onset <= end)) {
            Some(alert) => alert.end = i + 1,
            None => alerts.push(i..i + 1),
        }
        end = end.max(Some(ended));
    }
    alerts
}

/// Whether an alert is right: one of its findings is. `None` when none of them counts.
fn right(alert: &[Found]) -> Option<bool> {
    alert.iter().filter_map(|found| found.right).reduce(|any, right| any || right)
}

/// The spans, which are in order and apart, that have an instant in common with the finding.
fn overlapped(spans: &[(Timestamp, Timestamp)], found: &Found) -> Range<usize> {
    let first = spans.partition_point(|span| span.1 < found.onset);
    let after = spans.partition_point(|span| span.0 <= found.last_seen.max(found.onset));
    first..after.max(first)
}

/// `some` of `all`; `None` of nothing.
pub fn share(some: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| some as f64 / all as f64)
}

/// The median; the mean of the two in the middle of an even number, `None` of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}
