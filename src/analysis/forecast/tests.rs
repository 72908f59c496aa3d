use std::f64::consts::TAU;

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::finding::Direction;

fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    move || (0..12).map(|_| random.r#gen::<f64>()).sum::<f64>() - 6.0
}

fn daily(n: usize, seed: u64) -> Vec<f64> {
    let mut noise = noise(seed);
    (0..n).map(|t| 100.0 + 20.0 * (t as f64 * TAU / 24.0).sin() + noise()).collect()
}

fn options(horizon: usize) -> Options {
    Options { horizon, periods: vec![24], ..Options::default() }
}

fn off(forecast: &Forecast, actual: &[f64]) -> f64 {
    forecast.yhat.iter().zip(actual).map(|(f, y)| (f - y).abs()).sum::<f64>() / actual.len() as f64
}

#[test]
fn a_daily_wave_goes_on_within_its_noise_and_its_intervals() {
    let (mut inside, mut all) = ([0.0; 2], 0.0);
    for seed in 0..20 {
        let values = daily(720 + 48, seed);
        let forecast = forecast(&values[..720], &options(48)).unwrap();
        assert!(off(&forecast, &values[720..]) < 1.1, "{seed}: {}", off(&forecast, &values[720..]));
        for (inside, level) in inside.iter_mut().zip([0.8, 0.95]) {
            let (lower, upper) = forecast.interval(level);
            *inside += (0..48).filter(|k| (lower[*k]..=upper[*k]).contains(&values[720 + k])).count() as f64;
        }
        all += 48.0;
    }
    let [eighty, most] = inside.map(|inside| inside / all);
    assert!((0.74..=0.9).contains(&eighty) && (0.92..=0.995).contains(&most), "{eighty} {most}");
}

#[test]
fn gaps_and_short_histories_are_forecast() {
    let mut values = daily(720 + 24, 3);
    let actual = values.split_off(720);
    values[..30].fill(f64::NAN);
    values[400..436].fill(f64::NAN);
    for t in (0..720).step_by(7) {
        values[t] = f64::NAN;
    }
    assert!(off(&forecast(&values, &options(24)).unwrap(), &actual) < 1.5);
    let short = forecast(&[1.0, 2.0, 3.0, 4.0], &options(3)).unwrap();
    assert!(short.yhat.iter().all(|y| (2.0..=8.0).contains(y)), "{short:?}");
}

#[test]
fn a_level_that_was_left_is_forgotten() {
    for at in [300, 690] {
        let values: Vec<f64> = daily(720 + 24, 5).iter().enumerate().map(|(t, v)| if t < at { *v } else { v + 300.0 }).collect();
        let forecast = forecast(&values[..720], &options(24)).unwrap();
        assert!(off(&forecast, &values[720..]) < 3.0, "{at}: {}", off(&forecast, &values[720..]));
        assert_eq!(forecast.forgotten > 0, at == 300);
    }
}

#[test]
fn a_known_event_does_again_what_it_did() {
    let mut values = daily(24 * 40, 7);
    let mut events = vec![false; 24 * 40];
    for day in [9, 19, 29, 39] {
        for hour in 8..20 {
            values[day * 24 + hour] *= 0.5;
            events[day * 24 + hour] = true;
        }
    }
    let (past, actual) = values.split_at(24 * 39);
    let known = forecast(past, &Options { events, ..options(24) }).unwrap();
    let unknown = forecast(past, &options(24)).unwrap();
    assert!(off(&known, actual) < 4.0 && off(&unknown, actual) > 15.0, "{} {}", off(&known, actual), off(&unknown, actual));
}

#[test]
fn bounds_are_kept() {
    let mut noise = noise(1);
    let values: Vec<f64> = (0..300).map(|t| (1.0 - f64::from(t) / 290.0 + 0.01 * noise()).clamp(0.0, 1.0)).collect();
    let forecast = forecast(&values, &Options { horizon: 100, floor: Some(0.0), ceiling: Some(1.0), ..Options::default() }).unwrap();
    let (lower, upper) = forecast.interval(0.99);
    let all = forecast.yhat.iter().chain(&lower).chain(&upper);
    assert!(all.into_iter().all(|y| (0.0..=1.0).contains(y)));
}

#[test]
fn a_disk_that_fills_is_full_when_it_is() {
    let mut noise = noise(2);
    // 60 % used, 1 % more each day: full in 40 days, and read each hour.
    let mut values: Vec<f64> = (0..24 * 14).map(|t| 0.6 + f64::from(t) * 0.01 / 24.0 + 0.001 * noise()).collect();
    let options = Options { horizon: 24 * 40, periods: vec![24], ceiling: Some(1.0), floor: Some(0.0), events: Vec::new() };
    let reach = forecast(&values, &options).unwrap().reach(0.9, Direction::Up, 0.8);
    let days = |steps: Option<usize>| steps.map_or(f64::NAN, |s| s as f64 / 24.0);
    assert!((13.0..=19.0).contains(&days(reach.expected)), "{reach:?}");
    assert!(days(reach.earliest) <= days(reach.expected) && reach.chance > 0.5, "{reach:?}");
    assert!(reach.latest.is_none_or(|latest| Some(latest) >= reach.expected));
    // The same read from the other side.
    values = values.iter().map(|v| 1.0 - v).collect();
    let free = forecast(&values, &options).unwrap().reach(0.1, Direction::Down, 0.8);
    assert!((13.0..=19.0).contains(&days(free.expected)), "{free:?}");
    // And one that does not fill.
    let calm: Vec<f64> = (0..24 * 14).map(|_| 0.6 + 0.001 * noise()).collect();
    let never = forecast(&calm, &options).unwrap().reach(0.9, Direction::Up, 0.8);
    assert!(never.expected.is_none() && never.chance < 0.05, "{never:?}");
    // Where it is beyond the limit, it is there.
    let there = forecast(&calm, &options).unwrap().reach(0.5, Direction::Up, 0.8);
    assert_eq!((there.expected, there.latest, there.chance), (Some(0), Some(0), 1.0));
}

#[test]
fn long_series_and_horizons_are_looked_at_in_blocks() {
    let minutes = |t: usize| 100.0 + 20.0 * (t as f64 * TAU / 1440.0).sin();
    let mut noise = noise(3);
    let values: Vec<f64> = (0..14 * 1440).map(|t| minutes(t) + noise()).collect();
    let options = Options { horizon: 7 * 1440, periods: vec![1440, 10_080], ..Options::default() };
    let forecast = forecast(&values, &options).unwrap();
    let actual: Vec<f64> = (0..7 * 1440).map(|t| minutes(14 * 1440 + t)).collect();
    assert_eq!(forecast.yhat.len(), 7 * 1440);
    assert!(off(&forecast, &actual) < 0.6, "{}", off(&forecast, &actual));
}

#[test]
fn what_cannot_be_forecast_says_why() {
    let said = |values: &[f64]| forecast(values, &options(5)).unwrap_err().to_string();
    insta::assert_snapshot!(
        [said(&[]), said(&[f64::NAN; 9]), said(&[1.0, f64::NAN, 2.0]), said(&[1.0, 2.0, 3.0, 4.0, 1e200])].join("\n"),
        @r"
    too short: 0 values, 4 are needed
    too short: 0 values, 4 are needed
    too short: 2 values, 4 are needed
    out of range: values reach 1e200; their size must stay under 1e150
    "
    );
}

#[test]
fn seasons_go_with_the_step() {
    let values = vec![1.0; 2000];
    assert_eq!(seasons(&values, Some(DurationMs::HOUR)), [24, 168]);
    assert_eq!(seasons(&values, Some(DurationMs::DAY)), [7, 365]);
    assert_eq!(seasons(&values, Some(DurationMs::WEEK)), [52]);
    assert_eq!(seasons(&values, Some(DurationMs::from_secs(60))), Vec::<usize>::new());
    assert_eq!(seasons(&daily(700, 1), None), [24]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_series_is_forecast_or_says_why(
        values in prop::collection::vec(prop_oneof![5 => -1e3..1e3, 1 => Just(f64::NAN), 1 => Just(0.0), 1 => Just(1e140), 1 => Just(f64::INFINITY)], 0..120),
        horizon in 1_usize..40,
        period in 0_usize..40,
    ) {
        let options = Options { horizon, periods: vec![period, 7], ..Options::default() };
        if let Ok(forecast) = forecast(&values, &options) {
            let (lower, upper) = forecast.interval(0.9);
            prop_assert_eq!(forecast.yhat.len(), horizon);
            for k in 0..horizon {
                prop_assert!(forecast.yhat[k].is_finite() && lower[k] <= forecast.yhat[k] && forecast.yhat[k] <= upper[k]);
                prop_assert!((0.0..=1.0).contains(&forecast.chance_above(0.0, k)));
            }
        }
    }

    #[test]
    fn the_unit_does_not_matter(seed in 0_u64..1000, power in -6_i32..9) {
        let values = daily(200, seed);
        let factor = 2.0_f64.powi(power);
        let scaled: Vec<f64> = values.iter().map(|v| v * factor).collect();
        let (plain, scaled) = (forecast(&values, &options(10)).unwrap(), forecast(&scaled, &options(10)).unwrap());
        for (a, b) in plain.yhat.iter().zip(&scaled.yhat) {
            prop_assert!((a * factor - b).abs() < 1e-3 * a.abs() * factor, "{a} {b}");
        }
    }
}
