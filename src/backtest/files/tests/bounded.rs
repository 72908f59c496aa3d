//! What is held of a file is bounded, whatever its rows.

use super::super::agreement::{Agreed, Agreement, Truth};
use super::super::track::Track;
use super::*;
use crate::backtest::replay::Row;
use crate::backtest::score::event;
use crate::backtest::summary::{F1, Labelled};
use crate::source::file::{Columns, Slice};

/// The most that a file of so many rows, a value each minute, has in memory at any time besides its models.
fn held(rows: usize, labels: bool) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let input = Input { name: "x.csv".to_owned(), path: dir.path().join("x.csv") };
    let scores = dir.path().join("scores.csv");
    let terms = Terms { per_day: 1.0, files: 1, window: DurationMs::HOUR * 6, refit: DurationMs::DAY, slice: None };
    let job = Job { input: &input, scores: &scores, windows: None, terms: &terms };
    let label = labels.then(|| "label".to_owned());
    let columns = Columns { time: "time".to_owned(), channels: vec!["value".to_owned()], label, part: None };
    let (mut track, mut most) = (None, 0);
    for before in (0..rows).step_by(1000) {
        let places = before..(before + 1000).min(rows);
        let slice = Slice {
            before,
            times: places.clone().map(|i| Timestamp::from_millis((START + 60 * i as i64) * 1000)).collect(),
            values: vec![places.clone().map(|i| if i % 700 < 9 { f64::NAN } else { value(i, 1, None) }).collect()],
            labels: labels.then(|| places.clone().map(|i| i % 50_000 < 30).collect()),
            train: None,
        };
        let track = track.get_or_insert_with(|| Track::new(&job, &columns, &slice.times, true).unwrap());
        for i in 0..slice.times.len() {
            assert!(track.row(&slice, i).unwrap());
            most = most.max(track.held());
        }
    }
    let done = track.unwrap().finish(0).unwrap();
    assert!(done.summary.rows == rows && done.summary.judged > rows * 9 / 10, "{:?}", done.summary);
    most
}

#[test]
fn what_is_held_does_not_grow_with_the_rows() {
    let (some, many) = (held(30_000, false), held(240_000, false));
    assert!(many <= some + some / 4, "{some} of 30,000 rows, {many} of 240,000");
    // With labels a score, a strength and a label for each row, up to a limit.
    let labelled = held(60_000, true);
    assert!(labelled > 3 * 60_000, "{labelled}");
}

/// A row for each score, the second of five hundred labelled.
fn agreed(most: usize, rows: usize) -> Agreed {
    let mut of = Agreement::of_most(most, None);
    for i in 0..rows {
        let time = Timestamp::from_millis(START * 1000 + i as i64 * 60_000);
        let label = i % 500 < 20;
        let score = if i % 500 == 3 || i % 1700 == 0 { 2.0 } else { noise(i, 4) * 0.9 };
        of.row(Truth { row: i, time, value: 1.0, label, train: i < 100 }, &said(time, score));
    }
    of.finish(&mut [])
}

#[test]
fn of_too_many_labelled_rows_no_score_is_held_and_the_rest_is_measured() {
    let (whole, many) = (agreed(10_000, 10_100), agreed(9999, 10_100));
    let measured = whole.measured.unwrap();
    let exact = event::f1(&[(measured.scores.as_slice(), measured.labels.as_slice())], agreement::BOUND, agreement::EVENT_DELAY);
    assert_eq!(whole.labelled.event, exact.map(F1::from), "counted as it goes by");
    assert!(exact.is_some_and(|exact| exact.recall > 0.9 && exact.precision > 0.9 && exact.f1 < 1.0), "{exact:?}");
    assert!(whole.labelled.auc_pr.is_some() && whole.labelled.vus_pr.is_some() && whole.labelled.best_event.is_some());
    insta::assert_snapshot!(many.measured.unwrap_err(), @"10000 labelled rows: of more than 9999 AUC-PR, VUS-PR, the best threshold and NAB are not computed");
    let less = Labelled { auc_pr: None, vus_pr: None, best_event: None, ..whole.labelled };
    assert_eq!(many.labelled, less);
    let mut of = Agreement::of_most(1000, None);
    for i in 0..100_000 {
        let time = Timestamp::from_millis(i * 60_000);
        of.row(Truth { row: 0, time, value: 1.0, label: i % 1000 == 0, train: false }, &said(time, 0.5));
        assert!(of.held() < 3 * 2048 + 2 * 32_768, "{}", of.held());
    }
}

fn said(time: Timestamp, score: f64) -> Row {
    let nan = f64::NAN;
    Row { time, value: 1.0, score, p_value: nan, expected: nan, lower: nan, upper: nan, finding: false, news: 0.0 }
}

#[test]
fn of_many_files_fewer_findings_are_listed_of_each() {
    let terms = |files| Terms { per_day: 1.0, files, window: DurationMs::DAY, refit: DurationMs::DAY, slice: None };
    assert_eq!([1, 50, 500, 1_000_000].map(|files| terms(files).listed()), [1000, 1000, 100, 20]);
}
