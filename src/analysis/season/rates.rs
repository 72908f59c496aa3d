//! How often a season is found that is there, and one that is not.

use std::f64::consts::TAU;

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::find_periods;

/// Two weeks at five minutes.
const PLACES: usize = 4_032;
const HOUR: usize = 12;
const DAY: usize = 288;
const WEEK: usize = 2_016;

/// How many series of noise there are, and how many of each shape.
const NOISES: u64 = 300;
const SHAPES: u64 = 60;

fn gauss(random: &mut Xoshiro256PlusPlus) -> f64 {
    let (u, v): (f64, f64) = (1.0 - random.r#gen::<f64>(), random.r#gen());
    (-2.0 * u.ln()).sqrt() * (TAU * v).cos()
}

/// An AR(1) process of unit variance (of unit steps for a random walk, `phi` = 1) on top of a shape.
fn noisy(seed: u64, phi: f64, shape: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let scale = if phi < 1.0 { (1.0 - phi * phi).sqrt() } else { 1.0 };
    let mut state = 0.0;
    let mut next = |i| {
        state = phi * state + scale * gauss(&mut random);
        state + shape(i)
    };
    (0..PLACES).map(&mut next).collect()
}

fn wave(i: usize, period: usize) -> f64 {
    (i as f64 * TAU / period as f64).sin()
}

fn weekend(i: usize) -> bool {
    (i / DAY) % 7 >= 5
}

/// Of so many series, for how many exactly `expected` is found.
fn found(count: u64, expected: &[usize], series: impl Fn(u64) -> Vec<f64>) -> u64 {
    (0..count).filter(|seed| find_periods(&series(*seed), &[WEEK, HOUR, DAY]) == expected).count() as u64
}

#[test]
fn nothing_is_found_in_noise() {
    for phi in [0.0, 0.7, 0.99, 1.0] {
        let right = found(NOISES, &[], |seed| noisy(seed, phi, |_| 0.0));
        assert!(right * 100 >= NOISES * 99, "{phi}: {right} of {NOISES}");
    }
}

#[test]
fn nothing_is_found_in_growth_and_shifts() {
    let shapes: [fn(usize) -> f64; 4] = [
        |i| i as f64 * 0.05,
        |i| (i as f64 / 288.0).powi(2),
        |i| (i as f64 / 288.0).exp() / 1000.0,
        |i| if i > 2_700 { 20.0 } else { 0.0 },
    ];
    for (at, shape) in shapes.into_iter().enumerate() {
        let right = found(SHAPES, &[], |seed| noisy(seed, 0.0, shape));
        assert!(right * 100 >= SHAPES * 99, "{at}: {right} of {SHAPES}");
    }
}

#[test]
fn what_is_there_is_found() {
    type Shape = fn(usize) -> f64;
    let cases: [(&str, &[usize], f64, Shape); 7] = [
        ("hour", &[HOUR], 0.0, |i| wave(i, HOUR)),
        ("peak of the hour", &[HOUR], 0.0, |i| if i % HOUR == 3 { 5.0 } else { 0.0 }),
        ("day", &[DAY], 0.5, |i| wave(i, DAY)),
        ("weak day", &[DAY], 0.0, |i| 0.5 * wave(i, DAY)),
        ("office hours", &[DAY], 0.5, |i| if (108..204).contains(&(i % DAY)) { 2.0 } else { 0.0 }),
        ("day that resets at midnight", &[DAY], 0.0, |i| (i % DAY) as f64 / 30.0),
        ("quiet weekend", &[DAY, WEEK], 0.5, |i| if weekend(i) { 1.5 } else { 4.0 } * (1.0 + wave(i, DAY))),
    ];
    for (name, expected, phi, shape) in cases {
        let right = found(SHAPES, expected, |seed| noisy(seed, phi, shape));
        assert!(right * 100 >= SHAPES * 95, "{name}: {right} of {SHAPES}");
    }
}

#[test]
fn gaps_and_outliers_change_little() {
    let soil = |seed: u64, mut values: Vec<f64>| {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        for value in &mut values {
            match random.gen_range(0..200) {
                0 => *value += 1e6 * random.r#gen::<f64>(),
                1..=6 => *value = f64::NAN,
                _ => {}
            }
        }
        values[1_300..1_400].fill(f64::NAN);
        values
    };
    let right = found(SHAPES, &[DAY], |seed| soil(seed, noisy(seed, 0.5, |i| wave(i, DAY))));
    assert!(right * 100 >= SHAPES * 95, "day: {right} of {SHAPES}");
    let right = found(SHAPES, &[], |seed| soil(seed, noisy(seed, 1.0, |_| 0.0)));
    assert!(right * 100 >= SHAPES * 99, "none: {right} of {SHAPES}");
}

#[test]
fn two_cycles_are_needed() {
    let values = noisy(1, 0.0, |i| 5.0 * wave(i, DAY));
    assert_eq!(find_periods(&values[..2 * DAY], &[DAY]), [DAY]);
    assert!(find_periods(&values[..2 * DAY - 1], &[DAY]).is_empty());
    assert!(find_periods(&values, &[]).is_empty() && find_periods(&values, &[0, 1, 2, 3, usize::MAX]).is_empty());
    assert!(find_periods(&[7.0; 600], &[DAY]).is_empty() && find_periods(&[f64::NAN; 600], &[DAY]).is_empty());
}

proptest! {
    #[test]
    fn anything_has_an_answer(
        values in prop::collection::vec(
            prop_oneof![4 => -1.0..1.0f64, 1 => Just(f64::NAN), 1 => Just(0.0), 1 => Just(1e308), 1 => Just(-1e149)],
            0..200,
        ),
        candidates in prop::collection::vec(0usize..150, 0..5),
    ) {
        let periods = find_periods(&values, &candidates);
        prop_assert!(periods.iter().all(|p| candidates.contains(p) && 2 * p <= values.len()) && periods.is_sorted());
    }
}
