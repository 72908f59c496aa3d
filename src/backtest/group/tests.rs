use super::*;

const STEP: DurationMs = DurationMs::from_secs(60);

fn row(value: f64, score: f64, p_value: f64, finding: bool) -> Row {
    let (expected, lower, upper) = (value - 1.0, value - 2.0, value + 2.0);
    Row { time: Timestamp::from_millis(0), value, score, p_value, expected, lower, upper, finding, news: value.max(0.0) }
}

fn group(channels: usize) -> Group {
    let settings = Settings {
        decision: Decision { alpha: 1e-4, direction: None },
        window: DurationMs::DAY * 2,
        refit: DurationMs::from_secs(6 * 3600),
    };
    let names: Vec<String> = (0..channels).map(|i| format!("c{i}")).collect();
    Group::new(&names, &Monitor::ad_hoc(STEP, None), start(), STEP, settings)
}

fn start() -> Timestamp {
    Timestamp::from_millis(1_700_000_040_000)
}

/// Values that wobble about `10 + channel` without a pattern.
fn calm(channel: usize, places: usize) -> Vec<f64> {
    let mut x = 12_345 + channel as u64 * 977;
    let mut next = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 33) as f64 / f64::from(1_u32 << 31)
    };
    (0..places).map(|_| 10.0 + channel as f64 + next() + next() + next()).collect()
}

/// Every row, with the values pushed in slices of `slice`.
fn judged(values: &[Vec<f64>], slice: usize) -> (Vec<Row>, Vec<(usize, Finding)>) {
    let mut group = group(values.len());
    let (mut rows, places) = (Vec::new(), values[0].len());
    for from in (0..places).step_by(slice) {
        let part: Vec<Vec<f64>> = values.iter().map(|v| v[from..places.min(from + slice)].to_vec()).collect();
        rows.extend(group.push(&part).unwrap());
    }
    let (rest, findings) = group.finish().unwrap();
    rows.extend(rest);
    (rows, findings)
}

#[test]
fn the_worst_channel_stands_for_all_where_nothing_is_said_jointly() {
    let nan = f64::NAN;
    let rows = worst(vec![
        vec![row(1.0, 0.5, 0.1, false), row(2.0, nan, nan, false), row(3.0, nan, nan, true)],
        vec![row(10.0, 1.5, 1e-6, true), row(20.0, 0.1, 0.7, false), row(30.0, nan, nan, false)],
    ]);
    assert_eq!(rows[0], row(10.0, 1.5, 2e-6, true));
    assert_eq!(rows[1], row(20.0, 0.1, 1.0, false));
    assert!(rows[2].score.is_nan() && rows[2].p_value.is_nan() && rows[2].finding, "nothing can be said, and a finding is open");
}

#[test]
fn one_channel_is_left_as_it_is() {
    assert_eq!(worst(vec![vec![row(1.0, 0.5, 0.1, true)]]), [row(1.0, 0.5, 0.1, true)]);
    assert!(worst(Vec::new()).is_empty());
    let values = calm(0, 600);
    let key = SeriesKey::new([("__name__".to_owned(), "c0".to_owned())]);
    let settings = Settings {
        decision: Decision { alpha: 1e-4, direction: None },
        window: DurationMs::DAY * 2,
        refit: DurationMs::from_secs(6 * 3600),
    };
    let mut replay = Replay::new(key, Monitor::ad_hoc(STEP, None), start(), STEP, settings);
    let mut alone = replay.push(&values).unwrap();
    alone.extend(replay.finish().unwrap().0);
    let rows = judged(&[values], 600).0;
    assert_eq!(format!("{rows:?}"), format!("{alone:?}"), "NaN is not equal to NaN");
}

#[test]
fn the_row_is_that_of_the_channel_with_the_greatest_part() {
    let mut group = group(2);
    let said = Judged { statistic: 3.0, p_value: 1e-8, surprise: -(1e-8_f64.ln()), contributions: vec![1.0, 8.0] };
    let nothing = Judged { statistic: f64::NAN, p_value: f64::NAN, surprise: f64::NAN, contributions: vec![0.0, 0.0] };
    group.said = [Some(said), None, Some(nothing)].into();
    let rows = group.together(vec![
        vec![row(1.0, 5.0, 1e-9, true), row(2.0, 0.5, 0.1, false), row(f64::NAN, f64::NAN, f64::NAN, false)],
        vec![row(10.0, 0.1, 0.9, false), row(20.0, 0.1, 0.9, false), row(f64::NAN, f64::NAN, f64::NAN, false)],
    ]);
    assert!((rows[0].score - 2.0).abs() < 1e-9);
    assert_eq!(
        Row { score: 2.0, ..rows[0].clone() },
        row(10.0, 2.0, 1e-8, true),
        "the joint score, the second channel's bounds, and any channel's finding"
    );
    assert_eq!(rows[1], Row { news: 20.0, ..row(2.0, 0.5, 0.2, false) }, "no joint model; the strongest news of all channels");
    assert!(rows[2].score.is_nan() && rows[2].p_value.is_nan());
    assert!(group.said.is_empty());
}

#[test]
fn what_all_channels_share_a_little_is_found_jointly() {
    let mut values: Vec<Vec<f64>> = (0..12).map(|c| calm(c, 3000)).collect();
    for channel in &mut values {
        channel[2500..2540].iter_mut().for_each(|v| *v += 1.5);
    }
    let (rows, _) = judged(&values, 700);
    assert_eq!(rows.len(), 3000);
    assert!(rows.iter().enumerate().all(|(i, row)| row.time == start() + STEP * i as i64));
    let best = |rows: &[Row]| rows.iter().map(|row| row.score).fold(0.0, f64::max);
    assert!(best(&rows[2500..2540]) > 1.0, "{}", best(&rows[2500..2540]));
    assert!(best(&rows[2500..2540]) > 1.5 * best(&rows[400..2500]));
}

#[test]
fn rows_do_not_hang_on_the_slices_nor_on_what_comes_after() {
    let values: Vec<Vec<f64>> = (0..3).map(|c| calm(c, 1500)).collect();
    let (whole, _) = judged(&values, 1500);
    let (sliced, _) = judged(&values, 37);
    assert_eq!(format!("{whole:?}"), format!("{sliced:?}"));
    let cut: Vec<Vec<f64>> = values.iter().map(|v| v[..1111].to_vec()).collect();
    let (cut, _) = judged(&cut, 400);
    assert_eq!(format!("{:?}", &whole[..1111]), format!("{cut:?}"));
    assert!(whole[..180].iter().all(|row| row.score.is_nan()) && !whole[180].score.is_nan(), "judged as soon as a channel alone would be");
}

#[test]
fn channels_that_cannot_be_judged_jointly_are_judged_as_before() {
    let (rows, findings) = judged(&[vec![f64::NAN; 500], vec![f64::NAN; 500]], 500);
    assert!(rows.len() == 500 && rows.iter().all(|row| row.score.is_nan()) && findings.is_empty());
    let (rows, _) = judged(&[vec![f64::NAN; 500], calm(1, 500)], 500);
    assert!(!rows[499].score.is_nan() && rows[499].value > 5.0, "one of two is enough");
}
