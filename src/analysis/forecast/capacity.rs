//! When a limit will be reached.

use super::Forecast;

/// When a course reaches a limit, in steps after the last value; `None` where it does not within the horizon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// Where the expected course reaches it.
    pub expected: Option<usize>,
    /// Where the bound of the interval that is nearer to it reaches it.
    pub earliest: Option<usize>,
    /// Where the bound that is further from it reaches it.
    pub latest: Option<usize>,
    /// The chance that it is reached at the step of the horizon at which that is likeliest: at least the chance that it is
    /// reached at all is so large.
    pub chance: f64,
}

impl Forecast {
    /// When `limit` is reached: from below if the last value is below it. The interval is that of `level`.
    pub fn reach(&self, limit: f64, level: f64) -> Reach {
        let rises = self.last <= limit;
        let first = |course: &[f64]| course.iter().position(|y| if rises { *y >= limit } else { *y <= limit }).map(|step| step + 1);
        let (lower, upper) = self.interval(level);
        let (near, far) = if rises { (upper, lower) } else { (lower, upper) };
        let chances = (0..self.yhat.len()).map(|step| {
            let above = self.chance_above(limit, step);
            if rises { above } else { 1.0 - above }
        });
        let expected = first(&self.yhat);
        Reach { expected, earliest: first(&near), latest: first(&far), chance: chances.fold(0.0, f64::max) }
    }
}
