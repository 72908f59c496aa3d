use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;

use polars::prelude::{Categories, Column, DataFrame, DataType, IntoColumn, NamedFrom, ParquetWriter, Series as Values, TimeUnit};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::error::Code;

fn write(name: &str, text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn read_csv(text: &str) -> Result<Vec<Series>> {
    let (_dir, path) = write("cpu.csv", text);
    read(&path, Limits::default())
}

/// The message with the folder taken out.
fn fault(text: &str, limits: Limits) -> String {
    let (dir, path) = write("cpu.csv", text);
    read(&path, limits).unwrap_err().chain().replace(&format!("{}/", dir.path().display()), "")
}

/// Name, start, step and values, with missing ones as `None`.
fn plain(series: &Series) -> (String, String, String, Vec<Option<f64>>) {
    let w = &series.window;
    let values = w.values().iter().map(|v| v.is_finite().then_some(*v)).collect();
    (series.key.to_string(), w.start().to_string(), w.step().to_string(), values)
}

#[test]
fn unordered_doubled_and_missing_rows_make_a_window() {
    let series = read_csv(
        "TimeStamp,Value,Label\n2014-02-14 14:35:00,2,0\n2014-02-14 14:30:00,1,0\n2014-02-14 14:45:02,9,0\n2014-02-14 14:45:02,4,1\n2014-02-14 14:50:00,,0\n2014-02-14 14:55:00,NaN,0\n2014-02-14 15:00:00,inf,0\n",
    )
    .unwrap();
    let values = vec![Some(1.0), Some(2.0), None, Some(4.0), None, None, None];
    assert_eq!(series.iter().map(plain).collect::<Vec<_>>(), [("cpu".into(), "2014-02-14T14:30:00Z".into(), "5m".into(), values)]);
}

#[test]
fn each_column_of_numbers_is_a_series() {
    let series = read_csv("host,time,cpu,value,part,is_anomaly\nweb,60,0.5,1e3,train,0\nweb,120,,-2,test,1\n").unwrap();
    let plain: Vec<_> = series.iter().map(plain).map(|(name, _, _, values)| (name, values)).collect();
    assert_eq!(plain, [("cpu".into(), vec![Some(0.5), None]), ("value".into(), vec![Some(1e3), Some(-2.0)])]);
}

#[test]
fn times_are_read_in_every_form() {
    for (first, second) in [
        ("1700000000", "1700000060"),
        ("1700000000.25", "1700000060.25"),
        ("1700000000000", "1700000060000"),
        ("1700000000000000", "1700000060000000"),
        ("1700000000000000000", "1700000060000000000"),
        ("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z"),
        ("2023-11-14T23:13:20+01:00", "2023-11-14T23:14:20+01:00"),
        ("\"2023-11-14 22:13:20\"", "\"2023-11-14 22:14:20\""),
        ("2023-11-14T22:13:20.250", "2023-11-14T22:14:20.250"),
    ] {
        let series = read_csv(&format!("ds,y\n{first},1\n{second},2\n")).unwrap();
        let window = &series[0].window;
        assert_eq!(window.start().millis() / 1000, 1_700_000_000, "{first}");
        assert_eq!((window.step(), window.len()), (DurationMs::from_secs(60), 2), "{first}");
    }
    let days = read_csv("date,y\n2024-02-28,1\n2024-02-29,2\n2024-03-01,3\n").unwrap();
    assert_eq!(plain(&days[0]).2, "1d");
}

#[test]
fn several_things_in_one_column_are_refused() {
    let rows: String = (0..10).flat_map(|t| ["a", "b", "c"].map(|host| format!("{host},{t},1\n"))).collect();
    insta::assert_snapshot!(
        fault(&format!("host,time,cpu\n{rows}"), Limits::default()),
        @"file: cpu.csv has 30 rows for 10 times in column `time`; each series belongs in a column or a file of its own"
    );
}

#[test]
fn faults_name_the_file_the_column_the_row_and_the_value() {
    let all = Limits::default();
    insta::assert_snapshot!(fault("time,v\n0,1\n60,two\n", all), @"file: cpu.csv has `two` in column `v`, row 2; a number or an empty cell belongs there");
    insta::assert_snapshot!(fault("time,v\n0,1\nnoon,2\n", all), @"file: cpu.csv has `noon` in column `time`, row 2; a time such as 1700000000 or 2026-01-31T08:00:00Z belongs there");
    insta::assert_snapshot!(fault("time,v\n0,1\n,2\n", all), @"file: cpu.csv has nothing in column `time`, row 2; a time such as 1700000000 or 2026-01-31T08:00:00Z belongs there");
    insta::assert_snapshot!(fault("time,v\n0,1\n1e300,2\n", all), @"file: cpu.csv has `1e300` in column `time`, row 2; a time such as 1700000000 or 2026-01-31T08:00:00Z belongs there");
    insta::assert_snapshot!(fault("when,v\n0,1\n", all), @"file: cpu.csv has no column of times: it has `when`, `v`; one must be named timestamp, time, ds, date, datetime");
    insta::assert_snapshot!(fault("time,host\n0,a\n60,b\n", all), @"file: cpu.csv has no column of numbers besides `time`: it has `time`, `host`");
    insta::assert_snapshot!(fault("time,v\n0,1\n0,2\n", all), @"file: cpu.csv has 2 rows and fewer than two different times in column `time`; the step cannot be told");
    insta::assert_snapshot!(fault("time,v\n", all), @"file: cpu.csv has 0 rows and fewer than two different times in column `time`; the step cannot be told");
    insta::assert_snapshot!(fault("", all), @"file: cpu.csv cannot be read as CSV: no data: empty CSV");
    insta::assert_snapshot!(fault("time,v\n0,1\n60,2,3,4\n", all), @"file: cpu.csv has 4 cells in row 2; the header has 2");
    insta::assert_snapshot!(fault("time,v\n0,1\n1,1\n2,1\n9e9,1\n", all), @"cpu.csv is too large: more than 20000000 points");
    insta::assert_snapshot!(fault("time,v\n0,1\n60,2\n", Limits { most_rows: 1, ..all }), @"cpu.csv is too large: more than 1 rows");
    insta::assert_snapshot!(fault("time,v\n0,1\n60,2\n", Limits { most_points: 1, ..all }), @"cpu.csv is too large: more than 1 points");
    insta::assert_snapshot!(fault("time,v\n0,1\n60,2\n", Limits { most_bytes: 5, ..all }), @"cpu.csv is too large: 16 bytes; at most 5 are read");
    let (dir, path) = write("x.json", "{}");
    insta::assert_snapshot!(read(&path, all).unwrap_err().to_string().replace(&dir.path().display().to_string(), "DIR"), @"file: DIR/x.json has the extension `json`; only .csv and .parquet are read");
    insta::assert_snapshot!(read(Path::new("/none/x.csv"), all).unwrap_err().chain(), @"file: /none/x.csv cannot be read: No such file or directory (os error 2)");
    let (dir, path) = write("x.parquet", "PAR1 but not really PAR1");
    insta::assert_snapshot!(read(&path, all).unwrap_err().message.replace(&dir.path().display().to_string(), "DIR"), @"file: DIR/x.parquet cannot be read as Parquet");
}

fn parquet(columns: Vec<Column>) -> (TempDir, PathBuf) {
    let (dir, path) = write("x.parquet", "");
    let mut table = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(File::create(&path).unwrap()).finish(&mut table).unwrap();
    (dir, path)
}

#[test]
fn parquet_is_read_like_csv() {
    let times = Values::new("timestamp".into(), [1_700_000_060_000_i64, 1_700_000_000_000, 1_700_000_180_000]);
    let columns = vec![
        times.cast(&DataType::Datetime(TimeUnit::Milliseconds, None)).unwrap().into_column(),
        Values::new("c0".into(), [Some(2.0_f32), Some(1.0), None]).into_column(),
        Values::new("c1".into(), [20_i64, 10, 40]).into_column(),
        Values::new("is_anomaly".into(), [0_u32, 0, 1]).into_column(),
        Values::new("part".into(), ["a", "b", "c"]).into_column(),
    ];
    let (_dir, path) = parquet(columns);
    let series: Vec<_> = read(&path, Limits::default()).unwrap().iter().map(plain).collect();
    let (start, step) = ("2023-11-14T22:13:20Z".to_owned(), "1m".to_owned());
    assert_eq!(
        series,
        [
            ("c0".into(), start.clone(), step.clone(), vec![Some(1.0), Some(2.0), None, None]),
            ("c1".into(), start, step, vec![Some(10.0), Some(20.0), None, Some(40.0)]),
        ]
    );
    let limited = |limits| read(&path, limits).unwrap_err().code;
    assert_eq!(limited(Limits { most_rows: 2, ..Limits::default() }), Code::ResourceExhausted);
    assert_eq!(limited(Limits { most_points: 5, ..Limits::default() }), Code::ResourceExhausted);
}

#[test]
fn a_missing_time_in_parquet_is_a_fault() {
    let columns = vec![Values::new("time".into(), [Some(0_i64), None]).into_column(), Values::new("v".into(), [1.0, 2.0]).into_column()];
    let (dir, path) = parquet(columns);
    let error = read(&path, Limits::default()).unwrap_err().to_string().replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(error, @"file: DIR/x.parquet has nothing in column `time`, row 2; a time such as 1700000000 or 2026-01-31T08:00:00Z belongs there");
}

/// All of a file, read with at most `rows` rows in a slice.
fn sliced(path: &Path, rows: usize) -> Slice {
    let mut reader = Reader::open(path).unwrap().with_most_rows(rows);
    let mut whole = Slice::default();
    while let Some(slice) = reader.next_slice().unwrap() {
        assert_eq!(slice.before, whole.times.len());
        whole.append(slice);
    }
    assert_eq!(reader.progress(), 1.0);
    whole
}

#[test]
fn slices_make_the_whole() {
    let rows = 5000;
    let value = |i: usize| (i as f64 * 0.37).sin() * 1e3;
    let line = |i: usize| {
        let cell = if i % 17 == 3 { String::new() } else { value(i).to_string() };
        let note = if i.is_multiple_of(3) { "\"two\nlines, \"\"quoted\"\"\"" } else { "none" };
        let blank = if i % 1000 == 7 { "\n \r\n" } else { "" };
        format!("{},{note},{cell},{},{}\r\n{blank}", 1_700_000_000 + 60 * i, i % 5, if i < 2000 { "Train" } else { "test" })
    };
    let text: String = (0..rows).map(line).collect();
    let (_dir, csv) = write("x.csv", &format!("\u{feff}timestamp,note,value,is_anomaly,part\r\n{text}"));
    let whole = sliced(&csv, usize::MAX);
    assert_eq!(whole.times.len(), rows);
    assert_eq!(whole.values.len(), 1, "the notes are no channel");
    assert!((0..rows).all(|i| whole.values[0][i] == value(i) || i % 17 == 3 && whole.values[0][i].is_nan()));
    assert!((0..rows).all(|i| whole.labels.as_ref().unwrap()[i] == (i % 5 != 0) && whole.train.as_ref().unwrap()[i] == (i < 2000)));
    let values = whole.values[0].iter().map(|v| v.is_finite().then_some(*v)).collect::<Vec<_>>();
    let parts = Values::new("part".into(), (0..rows).map(|i| if i < 2000 { "train" } else { "test" }).collect::<Vec<_>>());
    let columns = vec![
        Values::new("timestamp".into(), whole.times.iter().map(|t| t.millis()).collect::<Vec<_>>()).into_column(),
        Values::new("value".into(), values).into_column(),
        Values::new("is_anomaly".into(), (0..rows).map(|i| (i % 5) as u8).collect::<Vec<_>>()).into_column(),
        parts.cast(&DataType::from_categories(Categories::global())).unwrap().into_column(),
    ];
    let (_other, parquet) = parquet(columns);
    for rows in [usize::MAX, 1000, 999, 64] {
        for path in [&csv, &parquet] {
            let again = sliced(path, rows);
            assert!((&again.times, &again.labels, &again.train) == (&whole.times, &whole.labels, &whole.train), "{rows} of {path:?}");
            assert!(again.values[0].iter().zip(&whole.values[0]).all(|(a, b)| a.to_bits() == b.to_bits()), "{rows} of {path:?}");
        }
    }
}

#[test]
fn labels_are_read_in_every_form() {
    for (cells, labels) in [
        (["0", "1", ""], [false, true, false]),
        (["False", "TRUE", "nan"], [false, true, false]),
        (["0.0", "1.0", "-1"], [false, true, true]),
    ] {
        let mut rows = String::new();
        for (i, cell) in cells.iter().enumerate() {
            let _ = writeln!(rows, "{i},{cell},1");
        }
        let (_dir, path) = write("x.csv", &format!("time,Label,v\n{rows}"));
        assert_eq!(Reader::open(&path).unwrap().next_slice().unwrap().unwrap().labels.unwrap(), labels, "{cells:?}");
    }
    let (dir, path) = write("x.csv", "time,label,v\n0,0,1\n1,maybe,1\n");
    let fault = Reader::open(&path).unwrap().next_slice().unwrap_err().to_string();
    insta::assert_snapshot!(fault.replace(&dir.path().display().to_string(), "DIR"), @"file: DIR/x.csv has `maybe` in column `label`, row 2; 0 or 1 belongs there");
    assert_eq!(read(&path, Limits::default()).unwrap().len(), 1, "who does not want labels is not held up by them");
    let whether = Values::new("anomaly".into(), [Some(true), None, Some(false)]).into_column();
    let times = Values::new("time".into(), [0_i64, 60, 120]).into_column();
    let small = Values::new("v".into(), [1_i8, -2, 3]).into_column();
    let (_dir, path) = parquet(vec![times, whether, small]);
    let slice = Reader::open(&path).unwrap().next_slice().unwrap().unwrap();
    assert_eq!((slice.labels.unwrap(), slice.values), (vec![true, false, false], vec![vec![1.0, -2.0, 3.0]]));
}

#[test]
fn faults_in_later_slices_name_their_row() {
    let rows = |odd: &str| (0..3000).map(|i| if i == 2500 { odd.to_owned() } else { format!("{i},1\n") }).collect::<String>();
    let fault = |odd: &str| {
        let (dir, path) = write("x.csv", &format!("time,v\n{}", rows(odd)));
        let mut reader = Reader::open(&path).unwrap().with_most_rows(700);
        let fault = std::iter::repeat_with(|| reader.next_slice()).find_map(Result::err).unwrap();
        fault.to_string().replace(&dir.path().display().to_string(), "DIR")
    };
    insta::assert_snapshot!(fault("2500,high\n"), @"file: DIR/x.csv has `high` in column `v`, row 2501; a number or an empty cell belongs there");
    insta::assert_snapshot!(fault("soon,1\n"), @"file: DIR/x.csv has `soon` in column `time`, row 2501; a time such as 1700000000 or 2026-01-31T08:00:00Z belongs there");
    insta::assert_snapshot!(fault("2500,1,1\n"), @"file: DIR/x.csv has 3 cells in row 2501; the header has 2");
    insta::assert_snapshot!(fault(&format!("2500,\"{}\n", "x".repeat(17 << 20))), @"file: DIR/x.csv has more than 16777216 bytes in row 2501; is it CSV, and is every quote closed?");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_gives_series_or_a_fault(text in "(time|v|,|\n|\"|[0-9.-]{1,12}|nan|inf|é|[ -~]){0,40}") {
        let _ = read_csv(&text);
        let _ = read_csv(&format!("time,v\n{text}"));
    }

    #[test]
    fn every_row_on_the_grid_is_found_again(minutes in prop::collection::btree_map(0_i64..500, -1e6_f64..1e6, 2..40)) {
        // Two rows a minute apart and no shorter distance make the step a minute only if most rows are so;
        // a run of single minutes at the front sees to it.
        let mut rows: BTreeMap<i64, f64> = (0..100).map(|m| (m, 0.5)).collect();
        rows.extend(minutes.iter().map(|(m, v)| (m + 99, *v)));
        let lines = rows.iter().rev().map(|(m, v)| format!("{},{v}", 1_700_000_000 + m * 60)).collect::<Vec<_>>().join("\n");
        let series = read_csv(&format!("time,v\n{lines}")).unwrap();
        let window = &series[0].window;
        prop_assert_eq!(window.present(), rows.len());
        for (m, v) in rows {
            prop_assert_eq!(window.values()[m as usize], v);
        }
    }
}
