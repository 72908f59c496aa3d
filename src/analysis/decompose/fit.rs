//! The loops of STL, and the plain robust trend.

use super::cycle::Cycles;
use super::loess::{Loess, Plan};
use super::params::{Degree, SETTLED, StlParams};

/// How many weights of local regressions may still be kept from pass to pass; beyond that they are computed anew.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Default for Budget {
    /// 32 MB.
    fn default() -> Self {
        Self(1 << 22)
    }
}

impl Budget {
    /// Takes room for so many weights if there is enough.
    pub fn take(&mut self, weights: usize) -> bool {
        let enough = self.0 >= weights;
        if enough {
            self.0 -= weights;
        }
        enough
    }
}

/// One STL fit, to be repeated on series with the same gaps.
pub(super) struct Stl {
    pub trend: Vec<f64>,
    pub season: Vec<f64>,
    /// Robustness weights; 0 in gaps.
    pub weights: Vec<f64>,
    period: usize,
    inner: usize,
    outer: usize,
    settled: f64,
    present: Vec<usize>,
    cycles: Cycles,
    low_pass: Plan,
    smoother: Plan,
    work: Work,
}

/// Space for the steps of a pass, so that none allocates.
#[derive(Default)]
struct Work {
    /// The series without its trend.
    detrended: Vec<f64>,
    /// The smoothed cycle-subseries, a cycle longer at both ends.
    cycle: Vec<f64>,
    /// The moving averages.
    averages: [Vec<f64>; 2],
    /// What the low-pass filter lets through.
    low: Vec<f64>,
    /// The values that are there without the season, and their weights.
    deseasonalized: Vec<f64>,
    counts: Vec<f64>,
    bisquare: Bisquare,
    scratch: Vec<f64>,
}

impl Stl {
    /// Plans the fit of `places` places of which `present` have a value; at least two cycles and one value.
    pub fn new(places: usize, present: &[usize], params: &StlParams, budget: &mut Budget) -> Self {
        let StlParams { period, .. } = *params;
        let seasonal = Loess { length: params.seasonal, degree: params.seasonal_degree, jump: params.seasonal_jump };
        let low_pass = Loess { length: params.low_pass, degree: params.low_pass_degree, jump: params.low_pass_jump };
        let trend = Loess { length: params.trend, degree: params.trend_degree, jump: params.trend_jump };
        let all = (0..places).map(|i| i as f64).collect();
        let there = present.iter().map(|i| *i as f64).collect();
        let smoother = Plan::new(trend, places, there, false, budget);
        let low_pass = Plan::new(low_pass, places, all, false, budget);
        let cycles = Cycles::new(seasonal, period, places, present, budget);
        let long = places + 2 * period;
        let work = Work {
            detrended: vec![0.0; places],
            cycle: vec![0.0; long],
            averages: [Vec::with_capacity(long), Vec::with_capacity(long)],
            low: vec![0.0; places],
            ..Work::default()
        };
        let zeros = vec![0.0; places];
        let (trend, season, weights) = (zeros.clone(), zeros.clone(), zeros);
        let StlParams { inner, outer, settled, .. } = *params;
        Self { trend, season, weights, period, inner, outer, settled, present: present.to_vec(), cycles, low_pass, smoother, work }
    }

    /// Fits trend, season and weights to `values`.
    pub fn fit(&mut self, values: &[f64]) {
        self.trend.fill(0.0);
        self.weights.fill(0.0);
        for place in &self.present {
            self.weights[*place] = 1.0;
        }
        for pass in 0..=self.outer {
            for _ in 0..self.inner {
                self.pass(values, pass > 0);
            }
            if pass < self.outer {
                let fitted = |i: usize| self.trend[i] + self.season[i];
                let moved = self.work.bisquare.weigh(values, fitted, &self.present, &mut self.weights);
                if moved <= self.settled {
                    break;
                }
            }
        }
    }

    /// One turn of the inner loop: the season from the series without trend, the trend from it without season.
    fn pass(&mut self, values: &[f64], robust: bool) {
        let work = &mut self.work;
        for ((out, value), trend) in work.detrended.iter_mut().zip(values).zip(&self.trend) {
            *out = value - trend;
        }
        self.cycles.smooth(&work.detrended, robust.then_some(&self.weights), &mut work.cycle);
        let [first, second] = &mut work.averages;
        average(&work.cycle, self.period, first);
        average(first, self.period, second);
        average(second, 3, first);
        self.low_pass.smooth(first, None, &mut work.scratch, &mut work.low);
        for ((season, cycle), low) in self.season.iter_mut().zip(&work.cycle[self.period..]).zip(&work.low) {
            *season = cycle - low;
        }
        work.deseasonalized.clear();
        work.deseasonalized.extend(self.present.iter().map(|i| values[*i] - self.season[*i]));
        let counts = robust.then(|| {
            work.counts.clear();
            work.counts.extend(self.present.iter().map(|i| self.weights[*i]));
            work.counts.as_slice()
        });
        self.smoother.smooth(&work.deseasonalized, counts, &mut work.scratch, &mut self.trend);
    }
}

/// A robust trend alone.
pub(super) struct Trend {
    pub values: Vec<f64>,
    present: Vec<usize>,
    plan: Plan,
}

impl Trend {
    pub fn new(places: usize, present: &[usize], window: usize) -> Self {
        let loess = Loess { length: window, degree: Degree::Linear, jump: window.div_ceil(10) };
        let there = present.iter().map(|i| *i as f64).collect();
        let plan = Plan::new(loess, places, there, false, &mut Budget::default());
        Self { values: vec![0.0; places], present: present.to_vec(), plan }
    }

    /// Fits the trend with so many robust passes; returns the weights.
    pub fn fit(&mut self, values: &[f64], outer: usize) -> Vec<f64> {
        let there: Vec<f64> = self.present.iter().map(|i| values[*i]).collect();
        let mut weights = vec![0.0; values.len()];
        for place in &self.present {
            weights[*place] = 1.0;
        }
        let (mut scratch, mut bisquare, mut counts) = (Vec::new(), Bisquare::default(), Vec::new());
        self.plan.smooth(&there, None, &mut scratch, &mut self.values);
        for _ in 0..outer {
            if bisquare.weigh(values, |i| self.values[i], &self.present, &mut weights) <= SETTLED {
                break;
            }
            counts.clear();
            counts.extend(self.present.iter().map(|i| weights[*i]));
            self.plan.smooth(&there, Some(&counts), &mut scratch, &mut self.values);
        }
        weights
    }
}

/// Bisquare weights of the values that are there, by the size of their remainder against six times its median.
#[derive(Default)]
struct Bisquare {
    sizes: Vec<f64>,
    /// The bits of numbers from zero up are in the numbers' order, and integers are quicker to select among.
    bits: Vec<u64>,
}

impl Bisquare {
    /// Sets the weights; returns how far they moved on average.
    fn weigh(&mut self, values: &[f64], fitted: impl Fn(usize) -> f64, present: &[usize], weights: &mut [f64]) -> f64 {
        self.sizes.clear();
        self.sizes.extend(present.iter().map(|i| (values[*i] - fitted(*i)).abs()));
        self.bits.clear();
        self.bits.extend(self.sizes.iter().map(|size| size.to_bits()));
        let half = self.bits.len() / 2;
        let even = self.bits.len().is_multiple_of(2);
        let (below, middle, _) = self.bits.select_nth_unstable(half);
        let upper = f64::from_bits(*middle);
        let lower = if even { below.iter().max().map_or(upper, |bits| f64::from_bits(*bits)) } else { upper };
        let bound = 3.0 * (lower + upper);
        let (near, far) = (0.001 * bound, 0.999 * bound);
        let mut moved: f64 = 0.0;
        for (size, place) in self.sizes.iter().zip(present) {
            let weight = if bound == 0.0 || *size <= near {
                1.0
            } else if *size <= far {
                let u = size / bound;
                let v = 1.0 - u * u;
                v * v
            } else {
                0.0
            };
            moved += (weight - weights[*place]).abs();
            weights[*place] = weight;
        }
        moved / present.len() as f64
    }
}

/// The moving average over `length` values, as long as there are full windows.
fn average(values: &[f64], length: usize, out: &mut Vec<f64>) {
    out.clear();
    let scale = 1.0 / length as f64;
    let mut sum: f64 = values[..length].iter().sum();
    out.push(sum * scale);
    out.extend(values.iter().zip(&values[length..]).map(|(gone, come)| {
        sum += come - gone;
        sum * scale
    }));
}
