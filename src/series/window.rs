//! Values on a regular step.

use crate::clock::{DurationMs, Timestamp};

/// The most points one window may hold: a year at 30 s.
const MOST_POINTS: usize = 1_051_200;

/// Values at `start`, `start + step`, `start + 2·step`, …; NaN where there is none.
#[derive(Clone, Debug)]
pub struct Window {
    start: Timestamp,
    step: DurationMs,
    values: Vec<f64>,
}

/// Why values do not make a window.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidWindow {
    /// A step of zero.
    #[error("the step is zero; it must be at least 1ms")]
    ZeroStep,
    /// More points than one window may hold.
    #[error("{0} points; a window holds at most {MOST_POINTS}")]
    TooLong(usize),
    /// Two windows that are not on one grid.
    #[error("the windows are not on one grid: {0}")]
    OffGrid(String),
}

impl Window {
    /// The window of `values` from `start` on. An infinity is no measurement and becomes NaN.
    ///
    /// # Errors
    /// A step of zero, or too many points.
    pub fn new(start: Timestamp, step: DurationMs, mut values: Vec<f64>) -> Result<Self, InvalidWindow> {
        if step == DurationMs::ZERO {
            return Err(InvalidWindow::ZeroStep);
        }
        if values.len() > MOST_POINTS {
            return Err(InvalidWindow::TooLong(values.len()));
        }
        for value in &mut values {
            if value.is_infinite() {
                *value = f64::NAN;
            }
        }
        Ok(Self { start, step, values })
    }

    /// Places points in any order on the grid of `step`; of several that fall on one place the latest in
    /// the slice counts, and places without a point are NaN. No points make an empty window at the epoch.
    ///
    /// # Errors
    /// A step of zero, or points so far apart that the window would be too long.
    pub fn from_points(step: DurationMs, points: &[(Timestamp, f64)]) -> Result<Self, InvalidWindow> {
        if step == DurationMs::ZERO {
            return Err(InvalidWindow::ZeroStep);
        }
        let (Some(first), Some(last)) = (points.iter().map(|p| p.0).min(), points.iter().map(|p| p.0).max()) else {
            return Self::new(Timestamp::default(), step, Vec::new());
        };
        let start = first.align_down(step);
        let len = last.since(start).steps(step).saturating_add(1);
        if len > MOST_POINTS {
            return Err(InvalidWindow::TooLong(len));
        }
        let mut values = vec![f64::NAN; len];
        for (time, value) in points {
            values[time.since(start).steps(step)] = *value;
        }
        Self::new(start, step, values)
    }

    /// When the first value is, or would be.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The time from one value to the next.
    pub fn step(&self) -> DurationMs {
        self.step
    }

    /// The values, NaN where there is none.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// How many places there are, missing values included.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no place at all.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many places have a value.
    pub fn present(&self) -> usize {
        self.values.iter().filter(|v| v.is_finite()).count()
    }

    /// When value `i` is; `i` may lie past the end.
    pub fn time(&self, i: usize) -> Timestamp {
        self.start + self.step * i64::try_from(i).unwrap_or(i64::MAX)
    }

    /// When the place after the last is: where an append continues.
    pub fn end(&self) -> Timestamp {
        self.time(self.values.len())
    }

    /// Continues with a later window on the same grid: a gap between them becomes NaN, and where `later`
    /// begins before the end, what is there already stays unless it is missing.
    ///
    /// # Errors
    /// Another step or grid, or the result would be too long.
    pub fn append(&mut self, later: &Self) -> Result<(), InvalidWindow> {
        if later.is_empty() {
            return Ok(());
        }
        if self.is_empty() {
            *self = later.clone();
            return Ok(());
        }
        if later.step != self.step || (later.start.millis() - self.start.millis()) % self.step.millis() != 0 {
            return Err(InvalidWindow::OffGrid(format!("{} every {} against {} every {}", self.start, self.step, later.start, later.step)));
        }
        if later.start < self.start {
            return Err(InvalidWindow::OffGrid(format!("{} is before {}", later.start, self.start)));
        }
        let at = later.start.since(self.start).steps(self.step);
        let len = at.saturating_add(later.len()).max(self.len());
        if len > MOST_POINTS {
            return Err(InvalidWindow::TooLong(len));
        }
        self.values.resize(len, f64::NAN);
        for (here, there) in self.values[at..].iter_mut().zip(&later.values) {
            if here.is_nan() {
                *here = *there;
            }
        }
        Ok(())
    }

    /// Forgets the oldest values until at most `len` are left.
    pub fn keep_last(&mut self, len: usize) {
        let drop = self.values.len().saturating_sub(len);
        self.start = self.time(drop);
        self.values.drain(..drop);
    }

    /// The part from `from` (inclusive) to `to` (exclusive).
    #[must_use]
    pub fn slice(&self, from: Timestamp, to: Timestamp) -> Self {
        let place = |t: Timestamp| {
            let ms = t.since(self.start).millis();
            usize::try_from((ms + self.step.millis() - 1) / self.step.millis()).unwrap_or(usize::MAX).min(self.len())
        };
        let (a, b) = (place(from), place(to));
        Self { start: self.time(a), step: self.step, values: self.values[a..b.max(a)].to_vec() }
    }
}

/// Missing values are equal to missing values.
impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        self.start == other.start
            && self.step == other.step
            && self.values.len() == other.values.len()
            && self.values.iter().zip(&other.values).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: DurationMs = DurationMs::from_secs(60);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    fn window(minute: i64, values: &[f64]) -> Window {
        Window::new(at(minute), STEP, values.to_vec()).unwrap()
    }

    #[test]
    fn points_in_any_order_make_a_window_with_gaps() {
        let points = [(at(13), 3.0), (at(10), 0.0), (at(11), 9.0), (at(11), 1.0)];
        assert_eq!(Window::from_points(STEP, &points).unwrap(), window(10, &[0.0, 1.0, f64::NAN, 3.0]));
    }

    #[test]
    fn absurd_distances_are_refused() {
        let points = [(at(0), 1.0), (at(1_000_000_000), 2.0)];
        assert!(matches!(Window::from_points(STEP, &points), Err(InvalidWindow::TooLong(_))));
    }

    #[test]
    fn append_fills_gaps_and_keeps_what_is_there() {
        let mut w = window(0, &[1.0, f64::NAN, 3.0]);
        w.append(&window(1, &[2.0, 99.0])).unwrap();
        w.append(&window(5, &[6.0])).unwrap();
        assert_eq!(w, window(0, &[1.0, 2.0, 3.0, f64::NAN, f64::NAN, 6.0]));
        assert!(w.append(&Window::new(Timestamp::from_millis(30_000), STEP, vec![1.0]).unwrap()).is_err());
    }

    #[test]
    fn keeps_the_last_and_slices() {
        let mut w = window(0, &[0.0, 1.0, 2.0, 3.0]);
        assert_eq!(w.slice(at(1), at(3)), window(1, &[1.0, 2.0]));
        assert!(w.slice(at(3), at(1)).is_empty());
        w.keep_last(2);
        assert_eq!(w, window(2, &[2.0, 3.0]));
    }

    #[test]
    fn an_infinity_is_no_measurement() {
        assert_eq!(window(0, &[f64::INFINITY, f64::NEG_INFINITY, 1.0]).present(), 1);
    }
}
