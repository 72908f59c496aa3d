mod bounded;

use std::fmt::Write as _;
use std::fs::File;

use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, ParquetWriter, Series as Values};
use proptest::prelude::*;
use tempfile::TempDir;

use super::one::{Done, Job, Terms};
use super::*;
use crate::analysis::detect::Decision;
use crate::backtest::replay::{Replay, Settings};
use crate::backtest::summary::{LabelledTotals, SeriesSummary};
use crate::clock::Timestamp;
use crate::monitor::Monitor;
use crate::series::SeriesKey;

/// Ten minutes.
const STEP: i64 = 600;
const DAY: usize = 144;
const START: i64 = 1_767_571_200;

struct Quiet;

impl Progress for Quiet {
    fn begins(&self, _: usize, _: u64) {}
    fn read(&self, _: u64) {}
    fn done(&self, _: &str) {}
}

/// A number from 0 to 1 that looks like chance.
fn noise(i: usize, seed: u64) -> f64 {
    let mixed = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.wrapping_mul(0xd1b5_4a32_d192_ed03);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / f64::from(1 << 24)
}

/// A daily rhythm, and for an hour and a half of the given day far too much.
fn value(i: usize, seed: u64, high: Option<usize>) -> f64 {
    let spike = if high.is_some_and(|day| (day * DAY + 60..day * DAY + 69).contains(&i)) { 80.0 } else { 0.0 };
    100.0 + 20.0 * (i as f64 / DAY as f64 * std::f64::consts::TAU).sin() + 4.0 * noise(i, seed) + spike
}

/// A file's rows as text: time, one value for each seed, and whether the first day's spike is on.
fn rows(len: usize, seeds: &[u64], high: Option<usize>) -> Vec<String> {
    let cells = |i: usize| seeds.iter().map(|seed| format!("{:.4}", value(i, *seed, high.filter(|_| *seed == 1)))).collect::<Vec<_>>();
    let label = |i: usize| u8::from(high.is_some_and(|day| (day * DAY + 60..day * DAY + 69).contains(&i)));
    (0..len).map(|i| format!("{},{},{}", START + STEP * i as i64, cells(i).join(","), label(i))).collect()
}

fn csv(header: &str, rows: &[String]) -> String {
    format!("{header}\n{}\n", rows.join("\n"))
}

fn write(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

fn plan(data: &Path, out: &Path) -> Plan {
    let (window, refit) = (DurationMs::WEEK * 2, DurationMs::DAY);
    Plan { data: data.to_owned(), out: out.to_owned(), labels: None, per_day: 1.0, window, refit }
}

/// One file by itself, read in slices of so many rows: what came of it and the lines of its scores.
fn judge(text: &str, slice: Option<usize>) -> Result<(Done, Vec<String>)> {
    let dir = tempfile::tempdir().unwrap();
    let input = Input { name: "x.csv".to_owned(), path: write(&dir, "x.csv", text) };
    one(&input, slice, &dir)
}

fn one(input: &Input, slice: Option<usize>, dir: &TempDir) -> Result<(Done, Vec<String>)> {
    let scores = dir.path().join("out/x.csv");
    let terms = Terms { per_day: 1.0, files: 1, window: DurationMs::WEEK * 2, refit: DurationMs::DAY, slice };
    let done = Job { input, scores: &scores, windows: None, terms: &terms }.run(&mut |_| {});
    assert_eq!(done.is_ok(), scores.exists());
    let text = std::fs::read_to_string(&scores).unwrap_or_default();
    Ok((done?, text.lines().skip(1).map(str::to_owned).collect()))
}

fn fault(text: &str) -> String {
    let chain = judge(text, None).unwrap_err().chain();
    chain[chain.find("x.csv").unwrap()..].to_owned()
}

/// What all files of a folder together came to, and the folder with the results.
fn all(files: &[(&str, String)], labels: Option<&str>) -> (Result<Backtest>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(&dir, &format!("data/{name}"), text);
    }
    let labels = labels.map(|text| write(&dir, "labels.json", text));
    let plan = Plan { labels, ..plan(&dir.path().join("data"), &dir.path().join("out")) };
    (run(&plan, &Quiet), dir)
}

#[test]
fn every_row_has_its_line_and_a_spike_its_finding() {
    let lines = rows(10 * DAY, &[1], Some(8));
    let (done, scores) = judge(&csv("TimeStamp,Value,Label", &lines), None).unwrap();
    assert_eq!(scores.len(), lines.len());
    for (i, line) in scores.iter().enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), 9, "{line}");
        let news: f64 = cells[8].parse().unwrap();
        assert!(news == 0.0 || news >= 2.5, "{line}");
        assert_eq!(cells[0].parse::<Timestamp>().unwrap().millis() / 1000, START + STEP * i as i64);
        assert_eq!(cells[1].parse::<f64>().unwrap().to_string(), lines[i].split(',').nth(1).unwrap().parse::<f64>().unwrap().to_string());
        assert!(i > 60 || cells[2].is_empty() && cells[7] == "0", "{line}");
    }
    let SeriesSummary { findings, labelled, rows, gaps, missing, duplicates, disordered, judged, cannot_say, .. } = &done.summary;
    assert_eq!((*rows, *gaps, *missing, *duplicates, *disordered, cannot_say.as_deref()), (lines.len(), 0, 0, 0, 0, None));
    assert_eq!(*judged, scores.iter().filter(|line| !line.split(',').nth(2).unwrap().is_empty()).count());
    let labelled = labelled.as_ref().unwrap();
    assert_eq!((labelled.segments, labelled.detected, labelled.anomalous), (1, 1, 9));
    assert!(labelled.auc_pr.unwrap() > 0.5 && labelled.vus_pr.unwrap() > 0.3 && labelled.median_seconds_to_detect.unwrap() < 5400.0);
    let right = findings.iter().find(|found| found.right == Some(true)).unwrap();
    assert_eq!((right.channel.as_str(), right.direction.as_str()), ("Value", "up"));
    assert!(right.score > 1.0 && !right.evidence.is_empty());
    let picture = done.picture.unwrap();
    assert_eq!((picture.chart.values.len(), picture.labelled.len(), picture.chart.marks.len()), (lines.len(), 1, findings.len()));
}

#[test]
fn nothing_after_a_row_changes_what_is_said_of_it() {
    // Irregular at its beginning and in its middle, with a doubled row, a missing value and two channels.
    let mut lines = rows(9 * DAY, &[1, 2], Some(7));
    lines[500] = format!("{},,3,0", START + STEP * 500);
    lines.insert(700, lines[699].clone());
    lines.drain(900..905);
    lines.drain(10..13);
    let (_, whole) = judge(&csv("time,a,b,label", &lines), None).unwrap();
    let said = whole.iter().filter(|line| !line.split(',').nth(2).unwrap().is_empty()).count();
    assert!(said > 1000, "{said}");
    for cut in [1, 2, 40, 61, 119, 121, 300, 699, 700, 701, 905, 1066, 1075, 1289] {
        let text = csv("time,a,b,label", &lines[..cut]);
        match judge(&text, None) {
            Ok((_, part)) => assert_eq!(part, whole[..cut], "up to row {cut}"),
            Err(_) => assert!(cut < 2, "row {cut}"),
        }
    }
}

#[test]
fn nothing_after_a_value_changes_what_a_replay_says_of_it() {
    let step = DurationMs::from_secs(STEP);
    let values: Vec<f64> = (0..8 * DAY).map(|i| if i % 97 == 5 { f64::NAN } else { value(i, 1, Some(6)) }).collect();
    let settings = Settings { decision: Decision { alpha: 1e-4, direction: None }, window: DurationMs::WEEK * 2, refit: DurationMs::DAY };
    let replay = |values: &[f64], piece: usize| {
        let start = Timestamp::from_millis(START * 1000);
        let mut replay = Replay::new(SeriesKey::default(), Monitor::ad_hoc(step, None), start, step, settings);
        let mut rows: Vec<_> = values.chunks(piece).flat_map(|piece| replay.push(piece).unwrap()).collect();
        rows.extend(replay.finish().unwrap().0);
        let bits = |v: f64| if v.is_nan() { u64::MAX } else { v.to_bits() };
        let row = |row: &crate::backtest::replay::Row| {
            (row.time, row.finding, [row.value, row.score, row.p_value, row.expected, row.lower, row.upper, row.news].map(bits))
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let whole = replay(&values, 1000);
    assert!(whole.iter().any(|row| row.1) && whole.iter().any(|row| f64::from_bits(row.2[6]) > 4.75) && whole.len() == values.len());
    for cut in [30, 60, 61, 200, 517, 6 * DAY + 62, 6 * DAY + 66, 7 * DAY] {
        assert_eq!(replay(&values[..cut], 7), whole[..cut], "up to value {cut}");
    }
}

#[test]
fn slices_and_forms_make_no_difference() {
    let lines = rows(8 * DAY, &[1, 5], Some(6));
    let (whole, scores) = judge(&csv("timestamp,a,b,is_anomaly", &lines), None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let column = |name: &str, at: usize| {
        let cells: Vec<f64> = lines.iter().map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect();
        Values::new(name.into(), cells).into_column()
    };
    let columns: Vec<Column> = vec![column("timestamp", 0), column("a", 1), column("b", 2), column("is_anomaly", 3)];
    let path = dir.path().join("x.parquet");
    ParquetWriter::new(File::create(&path).unwrap()).finish(&mut DataFrame::new_infer_height(columns).unwrap()).unwrap();
    let input = Input { name: "x.parquet".to_owned(), path };
    let sliced = judge(&csv("timestamp,a,b,is_anomaly", &lines), Some(17)).unwrap();
    for (done, other) in [sliced, one(&input, None, &dir).unwrap(), one(&input, Some(101), &dir).unwrap()] {
        assert_eq!(other, scores);
        assert_eq!(
            SeriesSummary { path: String::new(), ..done.summary.clone() },
            SeriesSummary { path: String::new(), ..whole.summary.clone() }
        );
        let bits = |done: &Done| done.measured.as_ref().unwrap().scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
        assert!(
            bits(&done) == bits(&whole)
                && (done.days, done.not_right, done.not_right_days) == (whole.days, whole.not_right, whole.not_right_days)
        );
    }
}

#[test]
fn disorder_is_told_and_put_right() {
    let lines = rows(8 * DAY, &[1], Some(6));
    let (ordered, scores) = judge(&csv("time,value,label", &lines), None).unwrap();
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|i| (i * 7919) % 1201);
    let shuffled: Vec<String> = order.iter().map(|i| lines[*i].clone()).collect();
    let (done, other) = judge(&csv("time,value,label", &shuffled), None).unwrap();
    assert_eq!(other, order.iter().map(|i| scores[*i].clone()).collect::<Vec<_>>(), "lines are in the order of the input");
    assert!(done.summary.disordered > 100);
    assert_eq!(SeriesSummary { disordered: 0, ..done.summary }, ordered.summary);
    // One late row is enough.
    let mut late = lines.clone();
    late.swap(1000, 1001);
    let (done, other) = judge(&csv("time,value,label", &late), None).unwrap();
    assert_eq!((done.summary.disordered, other[1001].as_str()), (1, scores[1000].as_str()));
}

#[test]
fn gaps_doubles_and_missing_values_are_counted() {
    let mut lines = rows(8 * DAY, &[1], None);
    lines[400] = format!("{},,0", START + STEP * 400);
    lines[401] = format!("{},inf,0", START + STEP * 401);
    lines.insert(500, format!("{},1e6,0", START + STEP * 499));
    lines.drain(600..800);
    let (done, scores) = judge(&csv("time,value,label", &lines), None).unwrap();
    let SeriesSummary { rows, missing, gaps, duplicates, .. } = done.summary;
    assert_eq!((rows, missing, gaps, duplicates), (lines.len(), 2, 200, 1));
    assert!(
        scores[400].contains("Z,,,,") && scores[401].contains("Z,,,,"),
        "nothing is said of a value that is not there: {}",
        scores[401]
    );
    // The doubled row has its own value, and what was said of the place.
    let cells = |i: usize| scores[i].split(',').skip(2).collect::<Vec<_>>().join(",");
    assert!(scores[500].contains(",1000000.0,") && cells(500) == cells(499), "{}", scores[500]);
}

#[test]
fn files_that_cannot_be_judged_say_why() {
    let short = judge(&csv("time,value,label", &rows(50, &[1], None)), None).unwrap().0.summary;
    assert!(short.cannot_say.as_ref().unwrap().starts_with("too short"), "{:?}", short.cannot_say);
    assert_eq!((short.judged, short.alerts, short.alerts_per_day), (0, 0, None));
    let missing: Vec<String> = (0..500).map(|i| format!("{},,0", START + STEP * i)).collect();
    let missing = judge(&csv("time,a,label", &missing), None).unwrap().0.summary;
    assert!(missing.judged == 0 && missing.cannot_say.is_some(), "{missing:?}");
    insta::assert_snapshot!(fault("time,value\n5,1\n5,1\n"), @"x.csv has fewer than two different times in column `time` at its beginning; the step cannot be told");
    insta::assert_snapshot!(fault("time,value\n"), @"x.csv has no row");
    insta::assert_snapshot!(fault("time,value\n0,1\n60,1\n120,1\n180,two\n"), @"x.csv has `two` in column `value`, row 4; a number or an empty cell belongs there");
    insta::assert_snapshot!(fault("time,value\n0,1\n60,1\n120,1\n2000000000,1\n"), @"x.csv has a row 4 that comes 33333330 steps of 1m after the one before it");
    let hosts: Vec<String> = (0..300).flat_map(|i| (0..3).map(move |host| format!("{},{host}", START + STEP * i))).collect();
    insta::assert_snapshot!(fault(&csv("time,value", &hosts)), @"x.csv has 900 rows for 300 times; each series belongs in a column or a file of its own");
}

#[test]
fn a_file_that_cannot_be_read_holds_up_no_other() {
    let good = csv("time,value,label", &rows(5 * DAY, &[1], None));
    let late = format!("{good}soon,1,0\n");
    let files =
        [("good.csv", good), ("bad/late.csv", late), ("notes.csv", "Hello,\nworld\n".to_owned()), ("x.parquet", "PAR1 no".to_owned())];
    let (result, dir) = all(&files, None);
    let summary = result.unwrap().summary;
    let failed: String = summary.failed.iter().fold(String::new(), |mut text, failure| {
        let _ = writeln!(text, "{}: {}", failure.path, failure.reason);
        text
    });
    insta::assert_snapshot!(failed, @r#"
    bad/late.csv: has `soon` in column `time`, row 721; a time such as 1700000000 or 2026-01-31T08:00:00Z belongs there
    notes.csv: has no column of times: it has `Hello`, ``; one must be named timestamp, time, ds, date, datetime
    x.parquet: cannot be read as Parquet: parquet: File out of specification: A Parquet file must contain a header and footer with at least 12 bytes
    "#);
    assert_eq!(summary.series.iter().map(|series| series.path.as_str()).collect::<Vec<_>>(), ["good.csv"]);
    assert!(dir.path().join("out/scores/good.csv").exists() && !dir.path().join("out/scores/bad/late.csv").exists());
    let (none, _dir) = all(&[("notes.csv", "Hello,\nworld\n".to_owned())], None);
    insta::assert_snapshot!(none.unwrap_err(), @"notes.csv: has no column of times: it has `Hello`, ``; one must be named timestamp, time, ds, date, datetime");
}

#[test]
fn the_results_are_written_and_read_back() {
    let files = [
        ("a/one.csv", csv("time,value,label", &rows(9 * DAY, &[1], Some(7)))),
        ("two.csv", csv("time,value,x,label", &rows(6 * DAY, &[2, 1], Some(5)))),
        ("short.csv", csv("time,value,label", &rows(20, &[3], None))),
    ];
    let (result, dir) = all(&files, None);
    let backtest = result.unwrap();
    let text = std::fs::read_to_string(dir.path().join("out/summary.json")).unwrap();
    let read: Summary = serde_json::from_str(&text).unwrap();
    assert_eq!((&read.settings, read.series.len(), read.totals.alerts), (&backtest.summary.settings, 3, backtest.summary.totals.alerts));
    assert_eq!(read.series[0].findings[0].onset, backtest.summary.series[0].findings[0].onset);
    assert!(text.contains("\"onset\": \"2026-01-1") && !text.contains("NaN"));
    assert!(std::fs::read_to_string(dir.path().join("out/report.html")).unwrap().starts_with("<!DOCTYPE html>"));
    assert_eq!(backtest.pictures.iter().map(|picture| picture.path.as_str()).collect::<Vec<_>>(), ["a/one.csv", "short.csv", "two.csv"]);
    let totals = &backtest.summary.totals;
    let sum = |of: fn(&SeriesSummary) -> usize| backtest.summary.series.iter().map(of).sum::<usize>();
    assert_eq!((totals.series, totals.series_judged, totals.rows, totals.alerts), (3, 2, 15 * DAY + 20, sum(|s| s.alerts)));
    assert_eq!(totals.budget_kept, Some(totals.false_alerts_per_day.unwrap() <= 1.0));
    let LabelledTotals { segments, detected, nab, event, best_event, mean_auc_pr, .. } = totals.labelled.as_ref().unwrap();
    assert_eq!((*segments, *detected, nab.is_none()), (2, 2, true));
    assert!(best_event.unwrap().f1 >= event.unwrap().f1 && mean_auc_pr.unwrap() > 0.3);
    // Once more gives the same, byte for byte, and its own scores are no input.
    let again = Plan { data: dir.path().to_owned(), ..plan(&dir.path().join("data"), &dir.path().join("out")) };
    let scores = std::fs::read_to_string(dir.path().join("out/scores/a/one.csv")).unwrap();
    let summary = run(&again, &Quiet).unwrap().summary;
    assert_eq!(summary.series.iter().map(|s| &s.path).collect::<Vec<_>>(), ["data/a/one.csv", "data/short.csv", "data/two.csv"]);
    assert_eq!(std::fs::read_to_string(dir.path().join("out/scores/data/a/one.csv")).unwrap(), scores);
}

#[test]
fn windows_of_a_file_of_labels_count_like_labelled_rows() {
    let text = csv("time,value,label", &rows(9 * DAY, &[1], Some(7)));
    let bare = csv("time,value", &rows(9 * DAY, &[1], Some(7)).iter().map(|row| row[..row.len() - 2].to_owned()).collect::<Vec<_>>());
    let at = |i: usize| Timestamp::from_millis((START + STEP * i as i64) * 1000);
    let json = format!(r#"{{"x.csv": [["{}", "{}"]], "y.csv": [], "other.csv": []}}"#, at(7 * DAY + 60), at(7 * DAY + 68));
    let files = [
        ("x.csv", bare),
        ("y.csv", csv("time,value,label", &rows(4 * DAY, &[2], Some(3)))),
        ("z.csv", csv("t,time", &rows(3, &[1], None))),
    ];
    let (result, _dir) = all(&files[..2], Some(&json));
    let Summary { series, warnings, totals, .. } = result.unwrap().summary;
    let windows = series[0].labelled.as_ref().unwrap();
    let nab = windows.nab.unwrap();
    assert_eq!((nab.standard.windows, nab.standard.true_positives > 0), (1, true));
    assert_eq!(series[1].labelled.as_ref().unwrap().segments, 0, "the file of labels overrules the column");
    assert!(totals.labelled.unwrap().best_nab.unwrap().standard.score.unwrap() > 0.0);
    assert_eq!(warnings, ["the labels of `other.csv` fit no file and are not used"]);
    let (column, _dir) = all(&[("x.csv", text), files[1].clone()], None);
    let column = column.unwrap().summary.series[0].labelled.clone().unwrap();
    assert_eq!(crate::backtest::summary::Labelled { nab: None, ..windows.clone() }, column);
}

#[test]
fn rows_for_training_count_for_no_measure() {
    let part = |i: usize| if i < 4 * DAY { "train" } else { "test" };
    let mut high = rows(9 * DAY, &[1], Some(7));
    // A segment that is labelled in the part for training, of which nothing is seen.
    for line in &mut high[3 * DAY..3 * DAY + 10] {
        line.replace_range(line.len() - 1.., "1");
    }
    let lines: Vec<String> = high.iter().enumerate().map(|(i, line)| format!("{line},{}", part(i))).collect();
    let labelled = judge(&csv("time,value,label,part", &lines), None).unwrap().0.summary.labelled.unwrap();
    assert_eq!((labelled.rows, labelled.segments, labelled.detected, labelled.anomalous), (5 * DAY, 1, 1, 9));
    let without = judge(&csv("time,value,label", &high), None).unwrap().0.summary.labelled.unwrap();
    assert_eq!((without.rows, without.segments), (9 * DAY, 2));
}

#[test]
fn labels_that_fit_no_file_take_one_line() {
    let paths: Vec<String> = (0..8).map(|i| format!("{i}.csv")).collect();
    assert_eq!(unused(&[]), None);
    insta::assert_snapshot!(unused(&paths[..2]).unwrap(), @"the labels of `0.csv`, `1.csv` fit no file and are not used");
    insta::assert_snapshot!(unused(&paths).unwrap(), @"the labels of 8 paths fit no file and are not used: `0.csv`, `1.csv`, `2.csv`, `3.csv`, `4.csv` and 3 more");
}

#[test]
fn wrong_settings_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = write(&dir, "x.csv", &csv("time,value,label", &rows(100, &[1], None)));
    for per_day in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
        let plan = Plan { per_day, ..plan(&data, &dir.path().join("out")) };
        assert!(run(&plan, &Quiet).unwrap_err().message.starts_with("--per-day: "), "{per_day}");
    }
    let error = run(&plan(&data, &data), &Quiet).unwrap_err();
    assert!(error.message.starts_with("--out: the folder ") && error.code == Code::InvalidArgument, "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_text_is_judged_or_refused(text in "([0-9.-]{1,8}|,|\n|nan|inf|\"|é|1e300){0,60}") {
        let _ = judge(&format!("time,value,label\n{text}"), Some(3));
        let _ = judge(&text, None);
    }
}
