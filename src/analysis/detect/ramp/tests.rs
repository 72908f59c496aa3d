use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use statrs::distribution::{ContinuousCDF, Normal};

use super::*;
use crate::analysis::calibrate;
use crate::analysis::detect::{Analysis, Decision, analyze};
use crate::finding::Direction;

/// Points of a day, and of what is learned.
const DAY: usize = 1440;
const LEARNED: usize = 12 * DAY;
const STEP: DurationMs = DurationMs::from_secs(60);
const SERIES: usize = 20;

fn window(values: Vec<f64>) -> Window {
    Window::new(Timestamp::from_millis(1_700_006_400_000), STEP, values).unwrap()
}

/// About 100, each value `phi` of the one before and as much noise as 1.
fn wandering(phi: f64, seed: u64) -> Vec<f64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let normal = Normal::new(0.0, 1.0).unwrap();
    let mut x = 0.0;
    let next = |_| {
        x = phi * x + normal.inverse_cdf(rng.gen_range(1e-12..1.0));
        100.0 + x
    };
    (0..LEARNED + 2 * DAY).map(next).collect()
}

fn found(values: Vec<f64>) -> Analysis {
    let window = window(values);
    let decision = Decision { alpha: calibrate::bound(10.0, SERIES * 4, DAY as f64), direction: None };
    analyze(&window, window.time(LEARNED), decision).unwrap()
}

#[test]
fn a_leak_in_a_series_that_wanders_is_found_within_hours() {
    let from = LEARNED + 300;
    let mut late = Vec::new();
    for seed in 0..5 {
        let mut values = wandering(0.9, seed);
        values.iter_mut().skip(from).enumerate().for_each(|(i, value)| *value += 0.02 * i as f64);
        let analysis = found(values);
        let at = |place: usize| Timestamp::from_millis(1_700_006_400_000) + STEP * place as i64;
        let first = analysis.stretches.first().unwrap();
        assert_eq!(first.direction, Direction::Up);
        assert!(first.evidence.iter().any(|e| e.detector == "ramp"), "{:?}", first.evidence);
        assert!((at(from - 240)..at(from + 300)).contains(&first.onset), "began {}, said {}", at(from), first.onset);
        let known = analysis.judgements.iter().find(|j| j.time >= at(from) && j.ramp().is_some()).unwrap();
        late.push(known.time.since(at(from)).seconds() / 3600.0);
    }
    assert!(late.iter().all(|hours| *hours < 12.0), "found after {late:?} hours");
}

#[test]
fn what_does_not_leak_keeps_the_budget() {
    let tau = std::f64::consts::TAU;
    let mut chance = [0; 4];
    for seed in 0..SERIES as u64 {
        let mut seasonal = wandering(0.3, 300 + seed);
        seasonal.iter_mut().enumerate().for_each(|(i, value)| *value += 30.0 * (tau * i as f64 / DAY as f64).sin());
        for (kind, values) in
            [wandering(0.0, seed), wandering(0.95, 100 + seed), wandering(1.0, 200 + seed), seasonal].into_iter().enumerate()
        {
            chance[kind] += found(values).stretches.len();
        }
    }
    // Ten a day over all of them, for two days.
    assert!(chance.iter().sum::<usize>() <= 10, "{chance:?} of twenty that are accepted");
}

#[test]
fn a_single_spike_is_no_slow_change() {
    let mut values = wandering(0.95, 7);
    values[LEARNED + 200] += 1e6;
    assert!(found(values).judgements.iter().all(|j| j.ramp().is_none()));
}

#[test]
fn a_change_is_told_with_its_beginning() {
    let values: Vec<f64> = wandering(0.5, 3);
    let window = window(values.clone());
    let (ramp, mut blocks) = Ramp::fit(&window, &values, 1.0).unwrap();
    assert!(ramp.is_sound() && blocks.is_sound(STEP));
    assert!(postcard::to_stdvec(&blocks).unwrap().len() < 1000);
    for i in 0..600 {
        ramp.push(&mut blocks, window.end() + STEP * i, 100.0 - 0.05 * i as f64);
    }
    let view = blocks.view(None).unwrap();
    assert!(view.p_value < 1e-6 && (-31.0..-15.0).contains(&view.statistic), "{view:?}");
    assert!((window.end() - STEP * 120..window.end() + STEP * 120).contains(&blocks.since().unwrap()));
    assert_eq!(blocks.view(Some(Direction::Up)), None);
    assert_eq!(blocks.view(Some(Direction::Down)).map(|v| v.p_value), Some(view.p_value / 2.0));
    blocks.calm();
    assert_eq!(blocks.view(None), None);
}

#[test]
fn gaps_and_little_history_say_nothing() {
    let values = wandering(0.0, 1);
    assert!(Ramp::fit(&window(values[..DAY / 2].to_vec()), &values[..DAY / 2], 1.0).is_none());
    let window = window(values.clone());
    assert!(Ramp::fit(&window, &vec![f64::NAN; values.len()], 1.0).is_none());
    let (ramp, mut blocks) = Ramp::fit(&window, &values, 1.0).unwrap();
    for i in 0..2000 {
        ramp.push(&mut blocks, window.end() + STEP * i, f64::NAN);
    }
    assert_eq!((blocks.view(None), blocks.since()), (None, None));
}
