//! Smoothing of the cycle-subseries: the values of one phase over all cycles.

use super::fit::Budget;
use super::loess::{Fit, Lanes, Loess, Plan, Sums};

/// How many phases are smoothed side by side.
const BLOCK: usize = 4;

/// The smoothing of all phases, extended by one cycle on either side.
pub(super) struct Cycles {
    period: usize,
    /// Neighbouring phases whose values are there in the same cycles share a plan.
    runs: Vec<Run>,
    /// Whether some phase has no value in any cycle.
    holes: bool,
    scratch: Vec<f64>,
}

struct Run {
    first: usize,
    phases: usize,
    plan: Plan,
}

impl Cycles {
    /// Plans for `places` places, of which `present` have a value.
    pub fn new(loess: Loess, period: usize, places: usize, present: &[usize], budget: &mut Budget) -> Self {
        let mut there = vec![false; places];
        for place in present {
            there[*place] = true;
        }
        let alike = |a: usize, b: usize| there[a..].iter().step_by(period).eq(there[b..].iter().step_by(period));
        let (mut runs, mut holes) = (Vec::new(), false);
        let mut first = 0;
        while first < period {
            let phases = (first + 1..period).take_while(|phase| alike(first, *phase)).count() + 1;
            let column = there[first..].iter().step_by(period);
            let cycles = column.len();
            let positions: Vec<f64> = column.enumerate().filter(|(_, there)| **there).map(|(cycle, _)| cycle as f64).collect();
            if positions.is_empty() {
                holes = true;
            } else {
                runs.push(Run { first, phases, plan: Plan::new(loess, cycles, positions, true, budget) });
            }
            first += phases;
        }
        Self { period, runs, holes, scratch: Vec::new() }
    }

    /// Smooths `values` phase by phase into `out`, which begins a cycle earlier and ends a cycle later.
    pub fn smooth(&mut self, values: &[f64], weights: Option<&[f64]>, out: &mut [f64]) {
        if self.holes {
            out.fill(f64::NAN);
        }
        for run in &self.runs {
            let mut phase = run.first;
            let end = run.first + run.phases;
            while phase + BLOCK <= end {
                run.smooth::<BLOCK>(self.period, phase, values, weights, &mut self.scratch, out);
                phase += BLOCK;
            }
            while phase < end {
                run.smooth::<1>(self.period, phase, values, weights, &mut self.scratch, out);
                phase += 1;
            }
        }
        if self.holes {
            bridge(out);
        }
    }
}

impl Run {
    /// Smooths `B` phases from `phase` on.
    fn smooth<const B: usize>(
        &self,
        period: usize,
        phase: usize,
        values: &[f64],
        weights: Option<&[f64]>,
        scratch: &mut Vec<f64>,
        out: &mut [f64],
    ) {
        let mut before: Option<(isize, [f64; B])> = None;
        let mut missing_first = false;
        for fit in &self.plan.fits {
            let row = self.plan.row(fit, scratch);
            let mut estimate = match weights {
                None => self.plain(fit, row, period, phase, values),
                Some(weights) => self.weighted(fit, row, period, phase, values, weights),
            };
            // Where robustness left nothing: the value itself, as in the reference; in a gap all values alike;
            // beyond an end the neighbour's estimate.
            if estimate.iter().any(|e| e.is_nan()) {
                let instead = match (fit.own, before) {
                    (Some(own), _) => block(values, self.plan.positions[own], period, phase),
                    (None, None) => {
                        missing_first = true;
                        estimate
                    }
                    (None, Some((_, previous))) if self.plan.is_last(fit) => previous,
                    (None, Some(_)) => self.plain(fit, row, period, phase, values),
                };
                for (estimate, instead) in estimate.iter_mut().zip(instead) {
                    if estimate.is_nan() {
                        *estimate = instead;
                    }
                }
            }
            let from = before.map_or(fit.place, |(place, _)| place);
            if let Some((_, start)) = before {
                let steps = (fit.place - from) as f64;
                for place in from + 1..fit.place {
                    let base = (place + 1) as usize * period + phase;
                    let part = (place - from) as f64 / steps;
                    for lane in 0..B {
                        out[base + lane] = start[lane] + (estimate[lane] - start[lane]) * part;
                    }
                }
            }
            let base = (fit.place + 1) as usize * period + phase;
            out[base..base + B].copy_from_slice(&estimate);
            before = Some((fit.place, estimate));
        }
        if missing_first {
            for i in phase..phase + B {
                if out[i].is_nan() {
                    out[i] = out[i + period];
                }
            }
        }
    }

    fn plain<const B: usize>(&self, fit: &Fit, row: &[f64], period: usize, phase: usize, values: &[f64]) -> [f64; B] {
        let (mut value, mut cross) = ([0.0; B], [0.0; B]);
        for (w, cycle) in row.iter().zip(&self.plan.positions[fit.left..fit.right]) {
            let far = cycle - fit.at;
            let y: [f64; B] = block(values, *cycle, period, phase);
            for lane in 0..B {
                let part = w * y[lane];
                value[lane] += part;
                cross[lane] += part * far;
            }
        }
        std::array::from_fn(|lane| fit.plain(Sums { value: value[lane], cross: cross[lane], ..Sums::default() }))
    }

    fn weighted<const B: usize>(&self, fit: &Fit, row: &[f64], period: usize, phase: usize, values: &[f64], weights: &[f64]) -> [f64; B] {
        let mut lanes = Lanes::<B>::default();
        for (w, cycle) in row.iter().zip(&self.plan.positions[fit.left..fit.right]) {
            let counts: [f64; B] = block(weights, *cycle, period, phase);
            lanes.add(counts.map(|counts| w * counts), [cycle - fit.at; B], block(values, *cycle, period, phase));
        }
        std::array::from_fn(|lane| self.plan.weighted(lanes.lane(lane)))
    }
}

/// The values of `B` neighbouring phases in one cycle.
fn block<const B: usize>(values: &[f64], cycle: f64, period: usize, phase: usize) -> [f64; B] {
    let base = cycle as usize * period + phase;
    values.get(base..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([f64::NAN; B])
}

/// Joins what is on either side of a stretch of NaN by a line; at an end what is next to it is held.
fn bridge(values: &mut [f64]) {
    let mut before: Option<usize> = None;
    for i in 0..values.len() {
        if values[i].is_nan() {
            continue;
        }
        let from = before.map_or(0, |b| b + 1);
        if from < i {
            let start = before.map_or(values[i], |b| values[b]);
            let (base, step) = match before {
                Some(b) => (b, (values[i] - start) / (i - b) as f64),
                None => (0, 0.0),
            };
            for (j, value) in values[from..i].iter_mut().enumerate() {
                *value = start + step * (from + j - base) as f64;
            }
        }
        before = Some(i);
    }
    if let Some(last) = before {
        let held = values[last];
        values[last + 1..].fill(held);
    }
}

#[cfg(test)]
mod tests {
    use super::bridge;

    #[test]
    fn stretches_are_bridged_and_ends_held() {
        let nan = f64::NAN;
        let mut v = [nan, nan, 1.0, nan, nan, 4.0, 2.0, nan];
        bridge(&mut v);
        assert_eq!(v, [1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 2.0, 2.0]);
    }
}
