//! How far off a forecast may be: what it was off before, from earlier origins.
//!
//! Split-conformal intervals (Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World", 2005; for several steps
//! ahead Stankevičiūtė, Alaa & van der Schaar, Advances in Neural Information Processing Systems 34, 2021): the sizes of past errors, brought to one size over the steps
//! ahead, are ranked, and the rank that goes with the level is the half width. Errors from one origin hang together, and there
//! are few origins, so that the width is that of a Student t instead of a normal distribution, with three degrees of freedom for
//! each origin but one.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Errors grow at most with this power of the steps ahead.
const STEEPEST: f64 = 1.0;

/// The sizes of errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// Sizes of errors one step ahead, ascending.
    sizes: Vec<f64>,
    /// The power of the steps ahead with which they grow.
    growth: f64,
    /// How many origins they come from.
    origins: usize,
}

impl Spread {
    /// Learns from the errors of each origin, step by step; NaN where there is none.
    pub(super) fn of(errors: &[Vec<f64>]) -> Self {
        let growth = growth(errors);
        let mut sizes: Vec<f64> = errors
            .iter()
            .flat_map(|origin| origin.iter().enumerate().map(|(h, e)| e.abs() / ((h + 1) as f64).powf(growth)))
            .filter(|size| size.is_finite())
            .collect();
        sizes.sort_by(f64::total_cmp);
        Self { sizes, growth, origins: errors.len() }
    }

    /// Half the width of the interval for `level`, between 0 and 1, `ahead` steps ahead.
    pub fn half_width(&self, level: f64, ahead: usize) -> f64 {
        let Some(largest) = self.sizes.last() else { return 0.0 };
        let rank = level * (self.sizes.len() + 1) as f64 - 1.0;
        let low = (rank.max(0.0) as usize).min(self.sizes.len() - 1);
        let next = self.sizes.get(low + 1).unwrap_or(largest);
        let size = self.sizes[low] + (rank - low as f64).clamp(0.0, 1.0) * (next - self.sizes[low]);
        size * self.widening(level) * (ahead as f64).powf(self.growth)
    }

    /// The chance that a value `ahead` steps ahead is more than `distance` above what was forecast.
    pub fn chance_above(&self, distance: f64, ahead: usize) -> f64 {
        let beyond = |level: f64| self.half_width(level, ahead) < distance.abs();
        // The width grows with the level: by halves to where it is the distance.
        let (mut low, mut high) = (0.0, 0.9999);
        for _ in 0..30 {
            let middle = f64::midpoint(low, high);
            if beyond(middle) { low = middle } else { high = middle }
        }
        let tail = 0.5 * (1.0 - low);
        if distance >= 0.0 { tail } else { 1.0 - tail }
    }

    /// The quantile of a Student t over that of a normal distribution.
    fn widening(&self, level: f64) -> f64 {
        let p = 0.5 + 0.5 * level.clamp(0.0, 0.9999);
        let ratio = |freedom: f64| StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |t| t.inverse_cdf(p));
        ratio(3.0 * (self.origins.max(2) - 1) as f64) / ratio(1e6)
    }
}

/// By least squares of the logarithms, from 0 to [`STEEPEST`].
fn growth(errors: &[Vec<f64>]) -> f64 {
    let steps = errors.iter().map(Vec::len).max().unwrap_or(0);
    let points: Vec<(f64, f64)> = (0..steps)
        .filter_map(|h| {
            let sizes: Vec<f64> = errors.iter().filter_map(|e| e.get(h)).map(|e| e.abs()).filter(|e| e.is_finite()).collect();
            let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
            (mean > 0.0).then(|| (((h + 1) as f64).ln(), mean.ln()))
        })
        .collect();
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let (xy, xx) = points.iter().fold((0.0, 0.0), |(xy, xx), p| (xy + (p.0 - x) * (p.1 - y), xx + (p.0 - x).powi(2)));
    if xx > 0.0 { (xy / xx).clamp(0.0, STEEPEST) } else { 0.5 }
}
