//! The backtest over series that are given: each replayed, and held against the stretches that are known to be abnormal.

use super::files::agreement::{Agreement, Truth};
use super::incidents::{Noticed, Runs};
use super::replay::{Replay, Row, Settings};
use super::summary::{Found, Labelled};
use crate::analysis::calibrate;
use crate::analysis::detect::Decision;
use crate::clock::{DurationMs, Timestamp};
use crate::engine::evaluate::Watched;
use crate::error::Result;
use crate::finding::Finding;
use crate::monitor::Monitor;
use crate::series::{Series, SeriesKey, Window};

/// Values that are replayed between two tellings of how far it is.
const CHUNK: usize = 4096;
/// The fewest points that a model learns from when nothing is said.
const LEAST_WINDOW: i64 = 336;

/// How series are judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// False alerts accepted per day over all series together.
    pub alerts_per_day: f64,
    /// How many series there are.
    pub series: usize,
    /// How much history a model learns from; two weeks, and 336 points at least, when `None`.
    pub window: Option<DurationMs>,
    /// How long a model serves.
    pub refit: DurationMs,
}

/// What was said of one series.
#[derive(Clone, Debug)]
pub struct Said {
    /// Values that are there.
    pub points: usize,
    /// Values that were judged.
    pub judged: usize,
    /// Why none was.
    pub cannot_say: Option<String>,
    /// The findings in order of onset, and when they were noticed.
    pub noticed: Vec<Noticed>,
    /// How this agrees with the labels, or why that was not measured; `None` without labels.
    pub labelled: Option<Result<Labelled, String>>,
}

impl Terms {
    fn settings(&self, step: DurationMs) -> Settings {
        let points_per_day = DurationMs::DAY.millis() as f64 / step.millis().max(1) as f64;
        let alpha = calibrate::bound(self.alerts_per_day, self.series, points_per_day);
        let window = self.window.unwrap_or((DurationMs::WEEK * 2).max(step * LEAST_WINDOW));
        Settings { decision: Decision { alpha, direction: None }, window, refit: self.refit }
    }
}

/// Replays `series`; `abnormal` are the stretches that are known, each from its first instant to its last, in order and
/// apart, or `None` where nothing is known. `told` is told of every piece how many values it had and how many findings it
/// opened, and ends the work by an error.
///
/// # Errors
/// What `told` gives, or a fault of ours.
pub fn judge(
    series: &Series,
    abnormal: Option<&[(Timestamp, Timestamp)]>,
    terms: &Terms,
    told: &(impl Fn(usize, usize) -> Result<()> + Sync),
) -> Result<Said> {
    let Series { key, window } = series;
    let settings = terms.settings(window.step());
    let monitor = Monitor { window: settings.window, ..Monitor::ad_hoc(window.step(), None) };
    let mut replay = Replay::new(key.clone(), monitor, window.start(), window.step(), settings);
    let mut seen = Seen { runs: Runs::default(), agreement: abnormal.map(|all| Agreement::new(Some(all))), points: 0, judged: 0 };
    for values in window.values().chunks(CHUNK) {
        let before = seen.runs.len();
        seen.take(&replay.push(values)?);
        told(values.len(), seen.runs.len() - before)?;
    }
    let (rows, findings) = replay.finish()?;
    seen.take(&rows);
    let Seen { runs, agreement, points, judged } = seen;
    Ok(Said {
        points,
        judged,
        cannot_say: (judged == 0).then(|| why_not(window.clone(), settings)),
        labelled: agreement.map(|agreement| measured(agreement, &findings)),
        noticed: in_order(findings).into_iter().map(|finding| runs.noticed(finding)).collect(),
    })
}

/// What is looked at while rows go by.
struct Seen<'a> {
    runs: Runs,
    agreement: Option<Agreement<'a>>,
    points: usize,
    judged: usize,
}

impl Seen<'_> {
    fn take(&mut self, rows: &[Row]) {
        self.runs.push(rows);
        for row in rows.iter().filter(|row| row.value.is_finite()) {
            if let Some(agreement) = &mut self.agreement {
                agreement.row(Truth { row: self.points, time: row.time, value: row.value, label: false, train: false }, row);
            }
            self.points += 1;
            self.judged += usize::from(!row.score.is_nan());
        }
    }
}

fn measured(agreement: Agreement<'_>, findings: &[Finding]) -> Result<Labelled, String> {
    let mut found: Vec<Found> = findings.iter().map(|finding| Found::new("", finding)).collect();
    found.sort_by_key(|found| found.onset);
    let agreed = agreement.finish(&mut found);
    agreed.measured.map(|_| agreed.labelled)
}

fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| (a.onset, &a.id).cmp(&(b.onset, &b.id)));
    findings
}

/// Why the values of `window` are not judged: what a live engine says of them when it first sees them.
pub(super) fn why_not(window: Window, settings: Settings) -> String {
    let (key, end) = (SeriesKey::default(), window.end());
    let mut watched = Watched::new(window);
    watched.fit_if_due(&key, end, settings.refit);
    let reason = watched.status(&key).cannot_say;
    reason.unwrap_or_else(|| "too short: the first model would need more values than there are".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Error};

    const MINUTE: DurationMs = DurationMs::from_secs(60);

    fn at(i: i64) -> Timestamp {
        Timestamp::from_millis(1_767_571_200_000 + i * 600_000)
    }

    /// Two weeks of a daily rhythm, one value every ten minutes, high for an hour and a half on the last day.
    fn series(name: &str, high: bool) -> Series {
        let mut state = 42_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        let mut value = |i: usize| {
            let wave = 100.0 + 20.0 * (std::f64::consts::TAU * i as f64 / 144.0).sin() + 4.0 * noise();
            wave + if high && (1900..1909).contains(&i) { 60.0 } else { 0.0 }
        };
        let window = Window::new(at(0), MINUTE * 10, (0..2016).map(&mut value).collect()).unwrap();
        Series { key: SeriesKey::new([("service".to_owned(), name.to_owned())]), window }
    }

    const TERMS: Terms = Terms { alerts_per_day: 0.1, series: 2, window: None, refit: DurationMs::DAY };

    fn said(series: &Series, abnormal: Option<&[(Timestamp, Timestamp)]>) -> Said {
        judge(series, abnormal, &TERMS, &|_, _| Ok(())).unwrap()
    }

    #[test]
    fn what_is_labelled_is_found_and_measured() {
        let labels = [(at(1900), at(1908))];
        let said = said(&series("cart", true), Some(&labels));
        assert_eq!((said.points, said.cannot_say.as_deref()), (2016, None));
        assert!(said.judged > 1000 && said.judged < 2016, "{}", said.judged);
        let Some(noticed) = said.noticed.first() else { panic!("nothing was found") };
        assert!(noticed.finding.onset >= at(1898) && noticed.finding.onset <= at(1901), "{noticed:?}");
        assert!(noticed.opened >= noticed.finding.onset && noticed.closed.is_some());
        let labelled = said.labelled.unwrap().unwrap();
        assert_eq!((labelled.segments, labelled.detected, labelled.recall), (1, 1, Some(1.0)));
        assert!(labelled.right_alerts >= 1 && labelled.auc_pr.unwrap() > 0.5, "{labelled:?}");
    }

    #[test]
    fn without_labels_nothing_is_measured_and_with_others_everything_is_false() {
        assert!(said(&series("cart", true), None).labelled.is_none());
        let other = said(&series("cart", true), Some(&[]));
        let labelled = other.labelled.unwrap().unwrap();
        assert_eq!((labelled.segments, labelled.right_alerts, labelled.recall), (0, 0, None));
        assert!(labelled.false_alerts >= 1 && labelled.false_alerts <= other.noticed.len());
        assert!(said(&series("cart", false), Some(&[])).noticed.len() < other.noticed.len());
    }

    #[test]
    fn what_cannot_be_judged_says_why() {
        let of = |values: Vec<f64>| {
            let window = Window::new(at(0), MINUTE, values).unwrap();
            said(&Series { key: SeriesKey::default(), window }, None)
        };
        let told = [vec![1.0; 20], vec![5.0; 800], vec![f64::NAN; 3000], Vec::new()].map(|values| of(values).cannot_say.unwrap());
        assert!(told[0].starts_with("too short") && told[1].starts_with("flat"), "{told:?}");
        assert!(told.iter().all(|reason| !reason.is_empty()), "{told:?}");
    }

    #[test]
    fn it_can_be_ended() {
        let given_up = |_, _| Err(Error::new(Code::Unavailable, "given up"));
        assert_eq!(judge(&series("cart", true), None, &TERMS, &given_up).unwrap_err().to_string(), "given up");
    }

    #[test]
    fn coarse_series_are_learned_from_for_longer() {
        assert_eq!(TERMS.settings(DurationMs::DAY).window, DurationMs::DAY * 336);
        assert_eq!(TERMS.settings(MINUTE).window, DurationMs::WEEK * 2);
        assert_eq!(Terms { window: Some(DurationMs::DAY), ..TERMS }.settings(DurationMs::HOUR).window, DurationMs::DAY);
    }
}
