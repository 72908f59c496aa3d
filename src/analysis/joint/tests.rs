use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::clock::DurationMs;

const STEP: DurationMs = DurationMs::from_secs(60);
const TRAINING: usize = 1000;

fn at(i: usize) -> Timestamp {
    Timestamp::from_millis(1_700_000_040_000) + STEP * i as i64
}

/// Noise of the standard deviation 1 about a level of its own for each channel.
fn noise(channels: usize, places: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut sum = || (0..12).map(|_| rng.gen_range(0.0..1.0)).sum::<f64>() - 6.0;
    (0..channels).map(|c| (0..places).map(|_| 20.0 + c as f64 + sum()).collect()).collect()
}

fn fit(channels: &[Vec<f64>]) -> Result<Group, CannotSay> {
    let windows: Vec<Window> = channels.iter().map(|v| Window::new(at(0), STEP, v[..TRAINING].to_vec()).unwrap()).collect();
    Group::fit(&windows)
}

/// What is said of everything after the training window.
fn judge(group: &Group, channels: &[Vec<f64>]) -> Vec<Judged> {
    let mut state = group.start();
    let places = TRAINING..channels[0].len();
    places.map(|i| group.step(&mut state, at(i), &channels.iter().map(|v| v[i]).collect::<Vec<f64>>())).collect()
}

fn first(judged: &Judged) -> usize {
    (0..judged.contributions.len()).max_by(|a, b| judged.contributions[*a].total_cmp(&judged.contributions[*b])).unwrap()
}

#[test]
fn a_shifted_channel_is_named_first_and_a_shift_of_all_a_little_is_seen() {
    let mut one = noise(8, TRAINING + 60, 1);
    one[5][TRAINING + 30..].iter_mut().for_each(|v| *v += 10.0);
    let group = fit(&one).unwrap();
    let said = judge(&group, &one);
    assert!(said[..30].iter().all(|j| j.statistic < 3.0 && j.p_value > 1e-4));
    assert!(said[30..].iter().all(|j| first(j) == 5 && j.p_value < 1e-4));
    let mut all = noise(8, TRAINING + 60, 1);
    for v in all.iter_mut().flat_map(|v| &mut v[TRAINING + 30..]) {
        *v += 3.0;
    }
    assert!(judge(&group, &all)[31..40].iter().all(|j| j.p_value < 1e-4));
}

#[test]
fn one_spike_does_not_hold_the_score_up_for_long() {
    for wakes in [0.0, 20.0] {
        let mut channels = noise(4, TRAINING + 400, 2);
        // A flat channel too: what never moved springs back to where it was.
        channels[3].fill(wakes);
        let group = fit(&channels).unwrap();
        for spiked in [0, 3] {
            let mut channels = channels.clone();
            channels[spiked][TRAINING + 50] += 50.0;
            let said = judge(&group, &channels);
            assert!(said[50].p_value < 1e-6 && first(&said[50]) == spiked);
            let over = said[50..].iter().position(|j| j.p_value > 1e-3).unwrap();
            let most = if spiked == 0 { 60 } else { 300 };
            assert!(over < most, "a spike of channel {spiked}, calm at {wakes}, is over after {over}");
        }
    }
}

#[test]
fn gaps_leave_a_channel_as_it_is_and_then_out() {
    let mut channels = noise(3, TRAINING + 60, 3);
    channels[1][TRAINING + 5..TRAINING + 40].fill(f64::NAN);
    for v in &mut channels {
        v[TRAINING + 50] = f64::NAN;
    }
    let group = fit(&channels).unwrap();
    let said = judge(&group, &channels);
    assert!(said.iter().enumerate().all(|(i, j)| j.statistic.is_finite() == (i != 50)), "only where there is nothing nothing is said");
    assert!(said[50].p_value.is_nan() && said[50].contributions == [0.0; 3]);
    let held = said[4].contributions[1];
    assert!((5..15).all(|i| said[i].contributions[1] == held), "one of three channels, as it was");
    assert!((15..40).all(|i| said[i].contributions[1] == 0.0) && said[40].contributions[1] > 0.0);
    // Fewer values than there are channels are missing ones, more are of channels that are not known.
    let mut state = group.start();
    assert_eq!(group.step(&mut state, at(TRAINING), &[20.0]).contributions.len(), 3);
    assert!(group.step(&mut state, at(TRAINING + 1), &[20.0, 21.0, 22.0, 1e9]).statistic < 4.0);
}

#[test]
fn a_flat_channel_that_wakes_up_is_bounded() {
    let mut channels = noise(10, TRAINING + 100, 4);
    channels[7].fill(0.0);
    let group = fit(&channels).unwrap();
    channels[7][TRAINING + 10..].iter_mut().enumerate().for_each(|(i, v)| *v = 1e9 * (i + 1) as f64);
    let said = judge(&group, &channels);
    let most = LARGEST_RMS * LARGEST_RMS * (1.0 + LASTING) / 10.0;
    assert!(said[20..].iter().all(|j| first(j) == 7 && (j.contributions[7] - most).abs() < 1e-9));
    assert!(said[20..].iter().all(|j| j.statistic < (most + 4.0).sqrt() && j.p_value < 1e-4));
}

#[test]
fn the_further_off_the_more_surprising_to_the_very_end() {
    let group = fit(&noise(30, TRAINING, 5)).unwrap();
    let farthest = LARGEST_RMS * (1.0 + LASTING).sqrt();
    let surprises: Vec<f64> = (0..=1000).map(|i| group.surprise(farthest * f64::from(i) / 1000.0)).collect();
    let usual = surprises.iter().position(|surprise| *surprise > 1.0).unwrap();
    assert!(surprises[usual..].windows(2).all(|pair| pair[1] > pair[0]), "{surprises:?}");
}

/// Episodes of a p-value under `alpha`: those no further apart than [`APART`] are one.
fn episodes(said: &[Judged], alpha: f64) -> f64 {
    let under: Vec<usize> = (0..said.len()).filter(|i| said[*i].p_value < alpha).collect();
    (under.len().min(1) + under.windows(2).filter(|pair| pair[1] - pair[0] > APART).count()) as f64
}

#[test]
fn chance_episodes_are_about_what_is_promised() {
    let (mut under, mut all) = (0.0, 0.0);
    for seed in 0..5 {
        let channels = noise(6, TRAINING + 4000, 100 + seed);
        let said = judge(&fit(&channels).unwrap(), &channels);
        under += episodes(&said, 0.002);
        all += said.len() as f64 * 0.002;
    }
    assert!((0.3..2.0).contains(&(under / all)), "{under} for {all}");
}

/// What moves on after the window is seen in its latest part already: a random walk, whose past says too little.
#[test]
fn what_drifts_is_told_from_what_the_window_did_to_a_model_of_its_past() {
    let (mut under, mut all) = (0.0, 0.0);
    for seed in 0..8 {
        let mut channels = noise(6, TRAINING + 1000, 200 + seed);
        for channel in &mut channels {
            let mut level = 0.0;
            for (i, value) in channel.iter_mut().enumerate() {
                let noise = *value - 20.0;
                level += 0.02 * noise.sin();
                *value += level + if i % 400 < 8 { 3.0 } else { 0.0 };
            }
        }
        let said = judge(&fit(&channels).unwrap(), &channels);
        under += episodes(&said, 0.002);
        all += said.len() as f64 * 0.002;
    }
    assert!(under / all < 2.5, "{under} for {all}");
}

#[test]
fn the_bound_is_where_the_p_value_is() {
    let group = fit(&noise(6, TRAINING, 9)).unwrap();
    for alpha in [1e-12, 1e-6, 1e-4, 1e-3] {
        let p = (-group.surprise(group.bound(alpha))).exp();
        assert!((p / alpha - 1.0).abs() < 1e-6, "{p} for {alpha}");
    }
    assert!(group.beginning > 0.0 && group.beginning < 1.0, "values that share an average hang together: {}", group.beginning);
    assert!(group.expected() > 0.0 && group.expected() < group.bound(1e-3));
}

#[test]
fn an_episode_counts_once() {
    let high = |places: &[usize]| (0..200).map(|i| if places.contains(&i) { 5.0 } else { 1.0 }).collect::<Vec<f64>>();
    assert_eq!(beginning(&[&high(&[50])], 2.0), 1.0);
    assert_eq!(beginning(&[&high(&[50, 51, 55, 65])], 2.0), 0.25);
    assert_eq!(beginning(&[&high(&[50, 61]), &high(&[61, 62])], 2.0), 0.75);
    assert_eq!(beginning(&[&high(&[]), &[f64::NAN; 9]], 2.0), 1.0);
}

#[test]
fn seasons_are_taken_off() {
    let mut channels = noise(3, 5 * 1440, 7);
    for channel in &mut channels {
        channel.iter_mut().enumerate().for_each(|(i, v)| *v += 100.0 * (i as f64 / 1440.0 * std::f64::consts::TAU).sin());
    }
    let windows: Vec<Window> = channels.iter().map(|v| Window::new(at(0), STEP, v[..4 * 1440].to_vec()).unwrap()).collect();
    let group = Group::fit(&windows).unwrap();
    let mut state = group.start();
    for i in 4 * 1440..5 * 1440 {
        let said = group.step(&mut state, at(i), &channels.iter().map(|v| v[i]).collect::<Vec<f64>>());
        // The values rise by up to 26 scales an hour, which neither level follows.
        assert!(said.statistic < 3.0, "{} at {i}", said.statistic);
    }
}

#[test]
fn too_little_says_why() {
    let short = [Window::new(at(0), STEP, vec![1.0; 50]).unwrap()];
    assert_eq!(Group::fit(&short).unwrap_err().to_string(), "too short: 50 values, 120 are needed");
    assert!(Group::fit(&[]).is_err());
    let mixed = [short[0].clone(), Window::new(at(0), STEP, noise(1, 50, 1)[0].clone()).unwrap()];
    assert!(Group::fit(&mixed).is_err());
}

#[test]
fn a_stored_model_judges_the_same() {
    let mut channels = noise(3, TRAINING + 50, 8);
    channels[1][..TRAINING].fill(f64::NAN);
    let group = fit(&channels).unwrap();
    let read: Group = postcard::from_bytes(&postcard::to_allocvec(&group).unwrap()).unwrap();
    assert!(read.is_sound());
    assert_eq!(read, group);
    assert_eq!(judge(&read, &channels), judge(&group, &channels));
    let mut broken = group.clone();
    broken.channels[0].as_mut().unwrap().scale = 0.0;
    assert!(!broken.is_sound());
    let mut broken = group;
    broken.state.courses.pop();
    assert!(!broken.is_sound());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn contributions_add_up(seed in 0_u64..1000, size in -20.0_f64..20.0, hole in 0_usize..40) {
        let mut channels = noise(5, TRAINING + 40, seed);
        channels[2][TRAINING + 20] += 10_f64.powf(size);
        channels[4][TRAINING + hole] = f64::NAN;
        for said in judge(&fit(&channels).unwrap(), &channels) {
            prop_assert!((said.contributions.iter().sum::<f64>() - said.statistic.powi(2)).abs() <= 1e-9 * said.statistic.powi(2));
            prop_assert!((0.0..=33.6).contains(&said.statistic) && (0.0..=1.0).contains(&said.p_value));
        }
    }

    #[test]
    fn the_order_of_channels_does_not_matter(seed in 0_u64..1000) {
        let mut channels = noise(6, TRAINING + 30, seed);
        channels[0][TRAINING + 10..].iter_mut().for_each(|v| *v += 5.0);
        let mut order: Vec<usize> = (0..6).collect();
        order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
        let shuffled: Vec<Vec<f64>> = order.iter().map(|c| channels[*c].clone()).collect();
        let (said, again) = (judge(&fit(&channels).unwrap(), &channels), judge(&fit(&shuffled).unwrap(), &shuffled));
        for (said, again) in said.iter().zip(&again) {
            prop_assert!((said.statistic / again.statistic - 1.0).abs() < 1e-9);
            prop_assert!((said.p_value.ln() - again.p_value.ln()).abs() < 1e-6);
            prop_assert!(order.iter().enumerate().all(|(to, from)| (said.contributions[*from] - again.contributions[to]).abs() < 1e-9));
        }
    }

    #[test]
    fn the_score_does_not_know_the_future(seed in 0_u64..1000, cut in 1_usize..50, size in -1e12_f64..1e12) {
        let channels = noise(3, TRAINING + 50, seed);
        let mut other = channels.clone();
        for v in other.iter_mut().flat_map(|v| &mut v[TRAINING + cut..]) {
            *v *= size;
        }
        let group = fit(&channels).unwrap();
        prop_assert_eq!(&judge(&group, &channels)[..cut], &judge(&group, &other)[..cut]);
    }

    #[test]
    fn any_values_are_borne(values in prop::collection::vec(prop::num::f64::ANY, 300), all in any::<bool>()) {
        let of = |values: Vec<f64>| Window::new(at(0), STEP, values).unwrap();
        let other = if all { values.clone() } else { noise(1, 300, 1)[0].clone() };
        if let Ok(group) = Group::fit(&[of(values.clone()), of(other)]) {
            prop_assert!(group.is_sound());
            let mut state = group.start();
            for (i, value) in values.iter().enumerate() {
                let said = group.step(&mut state, at(300 + i), &[*value, *value]);
                prop_assert!(said.statistic.is_nan() || (0.0..=33.6).contains(&said.statistic));
            }
        }
    }
}
