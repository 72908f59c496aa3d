use super::*;
use crate::clock::Timestamp;

fn judged(metric: &str, step: i64, at: i64, values: &[f64]) -> Option<Deviation> {
    let times = (0..values.len() as i64).map(|i| Timestamp::from_millis(i * step)).collect();
    let series = MetricSeries { service: "s".to_owned(), metric: metric.to_owned(), times, values: values.to_vec(), measures: None };
    judge(&series, at, &Parameters::default())
}

/// 100, 101, 99, … with the burst of `by` in `range`.
fn burst_of(by: f64, range: std::ops::Range<usize>) -> Vec<f64> {
    (0..100).map(|i| 100.0 + [0.0, 1.0, -1.0][i % 3] + if range.contains(&i) { by } else { 0.0 }).collect()
}

#[test]
fn a_burst_that_is_over_is_found_with_its_height() {
    let d = judged("cpu", 60_000, 80 * 60_000, &burst_of(50.0, 81..85)).unwrap();
    assert_eq!(d.onset, 81 * 60_000);
    assert_eq!((d.onset_low, d.onset_high), (80 * 60_000, 81 * 60_000));
    assert!((d.now - d.usual - 50.0).abs() < 1.5, "{} {}", d.now, d.usual);
    assert!((d.usual - 100.0).abs() < 1.0);
}

#[test]
fn a_small_step_has_an_uncertain_onset() {
    let noisy: Vec<f64> = (0..100).map(|i| 100.0 + 3.0 * (f64::from(i * 37 % 17) - 8.0) / 8.0 + if i >= 80 { 4.0 } else { 0.0 }).collect();
    let d = judged("cpu", 10_000, 800_000, &noisy).unwrap();
    assert!(d.onset_high - d.onset_low > 10_000);
    assert!(d.onset_low <= 800_000 && 800_000 <= d.onset_high, "{} {}", d.onset_low, d.onset_high);
}

#[test]
fn a_single_wild_sample_in_a_long_window_is_no_burst() {
    let mut values = vec![1.0; 2000];
    values.iter_mut().enumerate().for_each(|(i, v)| *v += 0.01 * [0.0, 1.0, -1.0][i % 3]);
    values[1600] = 100.0;
    let d = judged("latency", 1000, 1_500_000, &values).unwrap();
    assert!(d.evidence < 0.01, "{}", d.evidence);
}

#[test]
fn too_little_is_said_to_be_too_little() {
    assert!(judged("cpu", 1000, 3000, &[1.0, 2.0, 3.0, 4.0]).is_none());
    assert!(judged("cpu", 1000, 50_000, &[f64::NAN; 100]).is_none());
    assert!(judged("cpu", 1000, 50_000, &[0.0; 100]).is_none());
    // Nothing around the instant.
    assert!(judged("cpu", 1000, 9_000_000_000, &burst_of(1.0, 0..1)).is_none());
}

#[test]
fn noise_is_a_standard_deviation_for_normal_values() {
    // The normal distribution by its quantiles, from the standard library of no one: a sum of twelve uniform values.
    let mut state = 42_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut values: Vec<f64> = (0..20_000).map(|_| (0..12).map(|_| uniform()).sum::<f64>() - 6.0).collect();
    values.sort_by(f64::total_cmp);
    let sd = noise(&values, quantile(&values, 0.5));
    assert!((0.97..1.05).contains(&sd), "{sd}");
    // Mostly still, with rare jumps: the tails tell.
    let mut rare = vec![0.0; 97];
    rare.extend([10.0; 3]);
    assert!(noise(&rare, 0.0) > 2.0);
}

#[test]
fn counters_are_told_from_gauges() {
    let line = |f: fn(i64) -> f64| (0..50).map(|i| (i, f(i))).collect::<Vec<_>>();
    assert!(is_counter(&line(|i| i as f64), false));
    assert!(is_counter(&line(|i| (i / 3) as f64), true) && !is_counter(&line(|i| (i / 3) as f64), false));
    assert!(is_counter(&line(|i| (i % 40) as f64), true));
    assert!(!is_counter(&line(|i| (i % 7) as f64), true));
    assert!(!is_counter(&line(|_| 5.0), true));
    let rates = rates(&[(0, 10.0), (2000, 14.0), (4000, 1.0)]);
    assert_eq!(rates, [(2000, 2.0), (4000, 0.5)]);
}

#[test]
fn quantiles_lie_between_neighbours() {
    assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
    assert_eq!(quantile(&[], 0.5), 0.0);
}

#[test]
fn courses_are_compared_where_both_have_values() {
    let a: Vec<_> = (0..10).map(|i| (i, i as f64)).collect();
    let b: Vec<_> = (3..12).map(|i| (i, -2.0 * i as f64)).collect();
    assert!((together(&a, &b).unwrap() + 1.0).abs() < 1e-12);
    assert_eq!(together(&a, &b[6..]), None);
    assert_eq!(together(&a, &(0..10).map(|i| (i, 1.0)).collect::<Vec<_>>()), Some(0.0));
}
