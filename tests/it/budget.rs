//! The alert budget, on series that have no anomaly: what is found in them is chance. And on the same series with
//! incidents put in: what the budget costs.

use bellwether::analysis::calibrate::bound;
use bellwether::analysis::detect::{Decision, Model};
use bellwether::clock::{DurationMs, Timestamp};
use bellwether::series::Window;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use statrs::distribution::{ContinuousCDF, Normal};

const STEP: DurationMs = DurationMs::from_secs(300);
const DAY: usize = 288;
/// What is learned from, and what is judged.
const LEARNED: usize = 14 * DAY;
const JUDGED: usize = 7 * DAY;
/// The series of each kind.
const EACH: u64 = 400;
const BUDGETS: [f64; 3] = [1.0, 10.0, 100.0];
/// Sizes of incidents, in robust standard deviations of the noise, and how long they last.
const SIZES: [f64; 5] = [3.0, 4.0, 5.0, 7.0, 10.0];
const LASTS: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Noise that hangs together: AR(1) with coefficients from 0.3 to 0.98.
    Autoregressive,
    /// A day's and a week's rhythm, with noise that follows it.
    Seasonal,
    /// Student's t with three degrees of freedom, or log-normal.
    HeavyTailed,
    /// Poisson, with means from 0.5 to 200 and a day's rhythm.
    Counts,
    /// Two levels, each held for an hour or so.
    OnOff,
}

const KINDS: [Kind; 5] = [Kind::Autoregressive, Kind::Seasonal, Kind::HeavyTailed, Kind::Counts, Kind::OnOff];

struct Noise {
    rng: Xoshiro256PlusPlus,
    normal: Normal,
}

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.rng.gen_range(1e-12..1.0)
    }

    fn gauss(&mut self) -> f64 {
        let u = self.uniform();
        self.normal.inverse_cdf(u)
    }

    /// Poisson by the number of exponential waits (Knuth), in parts so that the product does not vanish.
    fn poisson(&mut self, mean: f64) -> f64 {
        let (mut left, mut count) = (mean, 0.0);
        while left > 0.0 {
            let limit = (-left.min(500.0)).exp();
            let mut product = self.uniform();
            while product > limit {
                count += 1.0;
                product *= self.uniform();
            }
            left -= 500.0;
        }
        count
    }
}

/// A series without an anomaly, and the usual size of its noise.
fn series(kind: Kind, seed: u64) -> (Vec<f64>, f64) {
    let mut noise = Noise { rng: Xoshiro256PlusPlus::seed_from_u64(seed), normal: Normal::new(0.0, 1.0).unwrap() };
    let tau = std::f64::consts::TAU;
    let phase = noise.uniform();
    let daily = move |i: usize| (tau * (i as f64 / DAY as f64 + phase)).sin();
    let n = LEARNED + JUDGED;
    match kind {
        Kind::Autoregressive => {
            let phi = noise.rng.gen_range(0.3..0.98);
            let mut x = 0.0;
            let values = (0..n).map(|_| {
                x = phi * x + noise.gauss();
                100.0 + x
            });
            (values.collect(), (1.0 / (1.0 - phi * phi)).sqrt())
        }
        Kind::Seasonal => {
            let (weekly, follows) = (noise.rng.gen_range(0.0..10.0), noise.rng.gen_range(0.0..0.8));
            let values = (0..n).map(|i| {
                let week = weekly * (tau * i as f64 / (7 * DAY) as f64).sin();
                200.0 + 40.0 * daily(i) + week + 3.0 * noise.gauss() * (1.0 + follows * daily(i))
            });
            (values.collect(), 3.0)
        }
        Kind::HeavyTailed => {
            let lognormal = noise.uniform() < 0.5;
            let values = (0..n).map(|_| {
                if lognormal {
                    (0.5 * noise.gauss()).exp() * 10.0
                } else {
                    let chi: f64 = (0..3).map(|_| noise.gauss().powi(2)).sum();
                    50.0 + noise.gauss() / (chi / 3.0).sqrt()
                }
            });
            (values.collect(), if lognormal { 5.0 } else { 1.2 })
        }
        Kind::Counts => {
            let mean = 0.5 * 400_f64.powf(noise.uniform());
            ((0..n).map(|i| noise.poisson(mean * (1.0 + 0.5 * daily(i)))).collect(), mean.sqrt())
        }
        Kind::OnOff => {
            let (mut on, change) = (false, noise.rng.gen_range(0.02..0.2));
            let values = (0..n).map(|_| {
                on ^= noise.uniform() < change;
                (if on { 80.0 } else { 20.0 }) + noise.gauss()
            });
            (values.collect(), 44.0)
        }
    }
}

fn decision(per_day: f64) -> Decision {
    Decision { alpha: bound(per_day, KINDS.len() * EACH as usize, DAY as f64), direction: None }
}

/// The onsets of what is found in the judged part.
fn found(model: &Model, window: &Window, per_day: f64) -> Vec<Timestamp> {
    let mut state = model.start();
    let mut onsets: Vec<Timestamp> = Vec::new();
    for i in LEARNED..window.len() {
        let (_, stretch) = model.step(&mut state, window.time(i), window.values()[i], None, decision(per_day));
        if let Some(stretch) = stretch.filter(|s| onsets.last() != Some(&s.onset)) {
            onsets.push(stretch.onset);
        }
    }
    onsets
}

fn window(values: Vec<f64>) -> Window {
    Window::new(Timestamp::from_millis(1_700_006_400_000), STEP, values).unwrap()
}

/// What was found in the series of one kind.
#[derive(Default)]
struct Counted {
    by_chance: [usize; BUDGETS.len()],
    hit: [usize; SIZES.len()],
    with_incident: usize,
}

impl Counted {
    fn of(kind: Kind, i: u64) -> Self {
        let (values, size) = series(kind, i * 10 + kind as u64);
        let clean = window(values.clone());
        let model = Model::fit(&clean.slice(clean.start(), clean.time(LEARNED))).unwrap();
        let mut counted = Self { by_chance: BUDGETS.map(|per_day| found(&model, &clean, per_day).len()), ..Self::default() };
        if i.is_multiple_of(5) {
            let at = LEARNED + 2 * DAY + (i as usize * 37) % (3 * DAY);
            counted.with_incident = 1;
            counted.hit = SIZES.map(|times| {
                let mut ill = values.clone();
                ill[at..at + LASTS].iter_mut().for_each(|v| *v += times * size);
                let ill = window(ill);
                let during = ill.time(at - 3)..ill.time(at + LASTS);
                usize::from(found(&model, &ill, BUDGETS[1]).iter().any(|onset| during.contains(onset)))
            });
        }
        counted
    }

    fn and(mut self, other: &Self) -> Self {
        self.by_chance.iter_mut().zip(other.by_chance).for_each(|(a, b)| *a += b);
        self.hit.iter_mut().zip(other.hit).for_each(|(a, b)| *a += b);
        self.with_incident += other.with_incident;
        self
    }
}

/// `cargo test --test it budget -- --nocapture` shows the table of docs/accuracy.md.
#[test]
fn the_budget_is_kept_and_incidents_are_found() {
    let mut all = Counted::default();
    eprintln!("findings a day in series without an anomaly, for budgets of {BUDGETS:?} over all; recall at 10 a day for {SIZES:?}");
    for kind in KINDS {
        let counted = (0..EACH).into_par_iter().map(|i| Counted::of(kind, i)).reduce(Counted::default, |a, b| a.and(&b));
        let a_day = counted.by_chance.map(|n| (n as f64 / 7.0 * 100.0).round() / 100.0);
        let recall = counted.hit.map(|n| (n as f64 / counted.with_incident as f64 * 100.0).round() / 100.0);
        eprintln!("{:15} {a_day:?} {recall:?}", format!("{kind:?}"));
        all = all.and(&counted);
    }
    for (per_day, n) in BUDGETS.iter().zip(all.by_chance) {
        assert!(n as f64 / 7.0 <= 1.5 * per_day, "{n} findings in seven days for a budget of {per_day} a day");
    }
    let recall = all.hit.map(|n| n as f64 / all.with_incident as f64);
    assert!(recall.is_sorted(), "the larger the easier: {recall:?}");
    assert!(recall[4] > 0.8 && recall[2] > 0.5, "{recall:?}");
}
