//! When a limit will be reached.

use super::Forecast;
use crate::finding::Direction;
use crate::reach::Reach;

impl Forecast {
    /// When `limit` is reached, in steps after the last value: from below where `direction` is up. A last value that is at
    /// the limit or beyond has reached it after 0 steps. The interval is that of `level`.
    pub fn reach(&self, limit: f64, direction: Direction, level: f64) -> Reach<usize> {
        let rises = direction == Direction::Up;
        let beyond = |y: f64| if rises { y >= limit } else { y <= limit };
        if beyond(self.last) {
            return Reach { expected: Some(0), earliest: Some(0), latest: Some(0), chance: 1.0 };
        }
        let first = |course: &[f64]| course.iter().position(|y| beyond(*y)).map(|step| step + 1);
        let (lower, upper) = self.interval(level);
        let (near, far) = if rises { (upper, lower) } else { (lower, upper) };
        let chances = (0..self.yhat.len()).map(|step| {
            let above = self.chance_above(limit, step);
            if rises { above } else { 1.0 - above }
        });
        Reach { expected: first(&self.yhat), earliest: first(&near), latest: first(&far), chance: chances.fold(0.0, f64::max) }
    }

    /// Which way a course goes that ends at `limit`: up where the last value is below it.
    pub fn towards(&self, limit: f64) -> Direction {
        if self.last <= limit { Direction::Up } else { Direction::Down }
    }
}
