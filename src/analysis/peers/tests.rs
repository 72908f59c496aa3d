use super::*;
use crate::clock::{DurationMs, Timestamp};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const STEP: DurationMs = DurationMs::from_secs(60);
const LONG: usize = 3 * 1440;

/// Series that share a wandering load, each with a size and a noise of its own, and `strangers` that wander alone.
fn pods(peers: usize, strangers: usize, long: usize, seed: u64) -> Vec<Window> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut walk = || {
        let mut at = 0.0;
        (0..long)
            .map(|i| {
                at += rng.gen_range(-1.0..1.0) - 0.002 * at;
                at + 20.0 * (i as f64 / 229.0).sin()
            })
            .collect::<Vec<f64>>()
    };
    let load = walk();
    let alone: Vec<Vec<f64>> = (0..strangers).map(|_| walk()).collect();
    let window = |values| Window::new(Timestamp::from_millis(1_700_000_040_000), STEP, values).unwrap();
    let mut windows: Vec<Window> = (0..peers)
        .map(|i| window(load.iter().map(|at| (100.0 + at) * (1.0 + i as f64) + rng.gen_range(-1.0..1.0) * (1.0 + i as f64)).collect()))
        .collect();
    // The sine is common to all: it is taken out again of the strangers.
    windows.extend(
        alone.into_iter().map(|values| window(values.iter().enumerate().map(|(i, v)| v - 20.0 * (i as f64 / 229.0).sin()).collect())),
    );
    windows
}

fn rows(windows: &[Window], from: usize) -> Vec<Vec<f64>> {
    (from..windows[0].len()).map(|place| windows.iter().map(|window| window.values()[place]).collect()).collect()
}

fn fitted(windows: &[Window], until: usize) -> Peers {
    let part: Vec<Window> = windows.iter().map(|window| window.slice(window.start(), window.time(until))).collect();
    Peers::fit(&part).expect("there are peers")
}

#[test]
fn what_moves_together_are_peers_and_what_moves_alone_has_none() {
    let peers = fitted(&pods(6, 3, LONG, 1), LONG - 1440);
    assert_eq!(peers.clusters, [vec![0, 1, 2, 3, 4, 5]]);
    assert_eq!(peers.len(), 6);
    let said = peers.step(&mut peers.start(), &[0.0; 9], None);
    assert!(said[6..].iter().all(Option::is_none));
}

#[test]
fn a_wave_that_all_share_is_not_odd_and_a_small_step_of_one_is() {
    let windows = pods(6, 0, LONG, 2);
    let peers = fitted(&windows, LONG - 300);
    let smallest = |change: &dyn Fn(usize, usize, f64) -> f64| {
        let mut state = peers.start();
        let mut smallest = [1.0_f64; 6];
        for (place, row) in rows(&windows, LONG - 300).iter().enumerate() {
            let row: Vec<f64> = row.iter().enumerate().map(|(i, value)| change(place, i, *value)).collect();
            for (i, beside) in peers.step(&mut state, &row, None).into_iter().enumerate() {
                smallest[i] = smallest[i].min(beside.map_or(1.0, |beside| beside.view.p_value));
            }
        }
        smallest
    };
    let wave = smallest(&|place, i, value| if place > 100 { value + 40.0 * (1.0 + i as f64) } else { value });
    assert!(wave.iter().all(|p| *p > 1e-6), "{wave:?}");
    let step = smallest(&|place, i, value| if place > 100 && i == 3 { value + 4.0 * 5.0 } else { value });
    assert!(step[3] < 1e-10, "{step:?}");
    assert!(step.iter().enumerate().all(|(i, p)| i == 3 || *p > 1e-6), "{step:?}");
}

#[test]
fn calm_peers_are_as_rarely_odd_as_their_p_values_say() {
    let mut beyond = 0;
    let mut seen = 0;
    for seed in 0..6 {
        let windows = pods(8, 0, LONG, 10 + seed);
        let peers = fitted(&windows, LONG - 1440);
        let mut state = peers.start();
        for row in rows(&windows, LONG - 1440) {
            let views = peers.step(&mut state, &row, None);
            seen += views.iter().flatten().count();
            beyond += views.iter().flatten().filter(|beside| beside.view.p_value < 1e-3).count();
        }
    }
    assert!(seen > 60_000);
    assert!((beyond as f64) < 1.5e-3 * seen as f64, "{beyond} of {seen}");
}

#[test]
fn directions_and_missing_values_are_respected() {
    let windows = pods(5, 0, LONG, 3);
    let peers = fitted(&windows, LONG - 10);
    let p = |direction| {
        let mut state = peers.start();
        let mut last = None;
        for row in rows(&windows, LONG - 10) {
            last = peers.step(&mut state, &[row[0] + 1e3, row[1], row[2], row[3], row[4]], direction)[0].clone();
        }
        last.unwrap().view.p_value
    };
    assert!(p(Some(Direction::Up)) < 1e-20 && p(Some(Direction::Down)) > 0.1);
    let said = peers.step(&mut peers.start(), &[1.0, 2.0, 3.0, f64::NAN, f64::NAN], None);
    assert!(said.iter().all(Option::is_none), "three are not enough: {said:?}");
    assert!(peers.step(&mut peers.start(), &[], None).iter().all(Option::is_none));
}

#[test]
fn nonsense_has_no_peers() {
    let window = |values: Vec<f64>| Window::new(Timestamp::from_millis(1_700_000_040_000), STEP, values).unwrap();
    assert!(Peers::fit(&[]).is_none());
    for value in [f64::NAN, 0.0, 1e300, f64::INFINITY] {
        assert!(Peers::fit(&vec![window(vec![value; 1000]); 6]).is_none(), "{value}");
    }
    let huge = |i: usize| window((0..1000).map(|k| if (k + i).is_multiple_of(7) { 1e308 } else { -1e308 }).collect());
    let _ = Peers::fit(&(0..6).map(huge).collect::<Vec<_>>());
    assert!(Peers::fit(&pods(3, 0, 1000, 4)).is_none(), "three are not enough");
}
