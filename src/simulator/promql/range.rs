//! Functions over a range of samples.

use std::borrow::Cow;
use std::ops::Range;

use promql_parser::parser::MatrixSelector;
use rayon::prelude::*;

use super::select::{Run, range_of};
use super::{ABSENT, Evaluator, Line, Result, absent, unnamed};

/// One series' samples within one range.
pub(super) struct Stretch<'a> {
    /// At least one.
    values: &'a [f64],
    /// For each value of the series what its counter had lost by then in resets.
    lost: &'a [f64],
    first_ms: i64,
    slot_ms: i64,
    from_ms: i64,
    to_ms: i64,
    /// The time of evaluation and the function's number, if it takes one.
    now_ms: i64,
    parameter: f64,
}

type Function = fn(&Stretch<'_>) -> Option<f64>;

/// The function of this name; whether it keeps the metric's name is [`keeps_name`]'s.
pub(super) fn function(name: &str) -> Option<Function> {
    Some(match name {
        "rate" => |s| s.extrapolated(true).map(|v| v / s.range_s()),
        "increase" => |s| s.extrapolated(true),
        "delta" => |s| s.extrapolated(false),
        "irate" => |s| s.last_two().map(|(a, b)| (if b < a { b } else { b - a }) / s.slot_s()),
        "idelta" => |s| s.last_two().map(|(a, b)| b - a),
        "avg_over_time" => |s| Some(s.sum() / s.values.len() as f64),
        "sum_over_time" => |s| Some(s.sum()),
        "min_over_time" => |s| s.values.iter().copied().reduce(f64::min),
        "max_over_time" => |s| s.values.iter().copied().reduce(f64::max),
        "count_over_time" => |s| Some(s.values.len() as f64),
        "last_over_time" => |s| s.values.last().copied(),
        "present_over_time" => |_| Some(1.0),
        "stdvar_over_time" => |s| Some(variance(s.values)),
        "stddev_over_time" => |s| Some(variance(s.values).sqrt()),
        "quantile_over_time" => |s| Some(quantile(s.parameter, s.values.to_vec())),
        "changes" => |s| Some(s.values.windows(2).filter(|w| w[0] != w[1]).count() as f64),
        "resets" => |s| Some(s.values.windows(2).filter(|w| w[1] < w[0]).count() as f64),
        "deriv" => |s| s.line(s.first_ms).map(|(slope, _)| slope),
        "predict_linear" => |s| s.line(s.now_ms).map(|(slope, level)| level + slope * s.parameter),
        _ => return None,
    })
}

/// The range functions whose results keep the metric's name.
fn keeps_name(name: &str) -> bool {
    name == "last_over_time"
}

impl Stretch<'_> {
    fn range_s(&self) -> f64 {
        (self.to_ms - self.from_ms) as f64 / 1000.0
    }

    fn slot_s(&self) -> f64 {
        self.slot_ms as f64 / 1000.0
    }

    fn sum(&self) -> f64 {
        self.values.iter().sum()
    }

    fn last_two(&self) -> Option<(f64, f64)> {
        match self.values {
            [.., a, b] => Some((*a, *b)),
            _ => None,
        }
    }

    /// What the values rose by over the whole range, by Prometheus' rule: up to 1.1 sampling intervals are
    /// extrapolated at either end, half of one where the samples end further from the range's; a counter is
    /// not extrapolated to before it was zero.
    fn extrapolated(&self, counter: bool) -> Option<f64> {
        let (first, last) = match self.values {
            [first, .., last] => (*first, *last),
            _ => return None,
        };
        let intervals = self.values.len() as i64 - 1;
        let sampled = (intervals * self.slot_ms) as f64 / 1000.0;
        let mut rise = last - first;
        if counter {
            rise += self.lost[self.lost.len() - 1] - self.lost[0];
        }
        let mut before = (self.first_ms - self.from_ms) as f64 / 1000.0;
        let after = (self.to_ms - self.first_ms - intervals * self.slot_ms) as f64 / 1000.0;
        let between = sampled / intervals as f64;
        if counter && rise > 0.0 && first >= 0.0 {
            before = before.min(sampled * (first / rise));
        }
        let reach = |distance: f64| if distance < between * 1.1 { distance } else { between / 2.0 };
        Some(rise * ((sampled + reach(before) + reach(after)) / sampled))
    }

    /// Slope per second and level at `at_ms` of the least-squares line.
    fn line(&self, at_ms: i64) -> Option<(f64, f64)> {
        let n = self.values.len() as f64;
        let first = *self.values.first()?;
        if self.values.len() < 2 {
            return None;
        }
        if self.values.iter().all(|v| *v == first) {
            return Some((0.0, first));
        }
        let times = (0..self.values.len()).map(|i| (self.first_ms - at_ms + i as i64 * self.slot_ms) as f64 / 1000.0);
        let mean_x = times.clone().sum::<f64>() / n;
        let mean_y = self.sum() / n;
        let (mut xy, mut xx) = (0.0, 0.0);
        for (x, y) in times.zip(self.values) {
            xy += (x - mean_x) * (y - mean_y);
            xx += (x - mean_x) * (x - mean_x);
        }
        let slope = xy / xx;
        Some((slope, mean_y - slope * mean_x))
    }
}

/// The population variance.
pub(super) fn variance(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n
}

/// The `q`-quantile with linear interpolation between the two nearest values.
pub(super) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    // A NaN is smaller than any number here.
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// For each value what the counter had lost by then in resets.
fn lost(values: &[f64]) -> Vec<f64> {
    let (mut previous, mut total) = (f64::NEG_INFINITY, 0.0);
    let step = |value: &f64| {
        if *value < previous {
            total += previous;
        }
        if !absent(*value) {
            previous = *value;
        }
        total
    };
    values.iter().map(step).collect()
}

impl Evaluator<'_> {
    /// `f` of each selected series' samples in the range before each time. `parameter` has one number a
    /// time, for the functions that take one.
    pub(super) fn over_range(&self, name: &str, f: Function, selector: &MatrixSelector, parameter: Option<&[f64]>) -> Result<Vec<Line>> {
        let times = self.times(&selector.vs);
        let range = range_of(selector).millis();
        let runs = self.runs(&selector.vs, &times, range)?;
        // Prometheus 2 includes a sample at either end of the range.
        let (windows, slot_ms) = (self.windows(&times, range), self.slot_ms());
        let line = |run: Run| {
            let lost = lost(&run.samples.values);
            let at = |(i, slots): (usize, &Range<i64>)| {
                let places = run.places(slots);
                let there = |place: &usize| !absent(run.samples.values[*place]);
                let (Some(first), Some(last)) = (places.clone().find(there), places.clone().rev().find(there)) else { return ABSENT };
                let (mut values, mut losses) = (Cow::Borrowed(&run.samples.values[first..=last]), Cow::Borrowed(&lost[first..=last]));
                let mut between = slot_ms;
                if values.iter().any(|v| absent(*v)) {
                    // What was missed in between makes the others further apart.
                    let kept: Vec<usize> = (first..=last).filter(there).collect();
                    between = slot_ms * (last - first) as i64 / (kept.len() as i64 - 1).max(1);
                    values = kept.iter().map(|place| run.samples.values[*place]).collect();
                    losses = kept.iter().map(|place| lost[*place]).collect();
                }
                let stretch = Stretch {
                    first_ms: (run.samples.first + first as i64) * slot_ms,
                    values: &values,
                    lost: &losses,
                    slot_ms: between,
                    from_ms: times[i] - range,
                    to_ms: times[i],
                    now_ms: self.grid.time(i).millis(),
                    parameter: parameter.map_or(f64::NAN, |p| p[i]),
                };
                f(&stretch).unwrap_or(ABSENT)
            };
            let values = windows.iter().enumerate().map(at).collect();
            Line { key: if keeps_name(name) { run.key.clone() } else { unnamed(&run.key) }, values }
        };
        Ok(runs.into_par_iter().map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_resets() {
        assert_eq!(quantile(0.5, vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(quantile(2.0, vec![1.0]), f64::INFINITY);
        assert!(quantile(0.5, vec![]).is_nan());
        assert_eq!(lost(&[1.0, 5.0, 2.0, 3.0, 1.0]), [0.0, 0.0, 5.0, 5.0, 8.0]);
    }
}
