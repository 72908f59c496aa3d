//! A chart as data: what is drawn, its axes, and which of many points are worth drawing.
//!
//! The terminal and the pages draw the same [`Chart`] on different canvases: a page's is [`svg`], in the look of [`page`].

pub mod axis;
mod judged;
pub mod page;
pub mod sampling;
pub mod svg;

use std::ops::{Range, RangeInclusive};

use crate::clock::{DurationMs, Timestamp};
use crate::metric::Unit;
use crate::series::Window;

/// One series with what was expected of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What it shows, in one line.
    pub title: String,
    /// The unit of the values.
    pub unit: Unit,
    /// The values.
    pub values: Window,
    /// What was expected at each value; NaN, or shorter than the values, where nothing was.
    pub expected: Vec<f64>,
    /// The lower bound of the expected band, in the same way.
    pub lower: Vec<f64>,
    /// The upper bound of the expected band, in the same way.
    pub upper: Vec<f64>,
    /// The stretches that are anomalous.
    pub marks: Vec<Mark>,
}

/// An anomalous stretch of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its first instant.
    pub from: Timestamp,
    /// Its last instant.
    pub to: Timestamp,
    /// What to say of it in one line.
    pub title: String,
}

/// Values beyond this are drawn at it, so that the difference of any two is finite.
const LARGEST: f64 = 1e300;

impl Chart {
    /// The chart of `values` alone.
    pub fn new(title: impl Into<String>, unit: Unit, values: Window) -> Self {
        Self { title: title.into(), unit, values, expected: Vec::new(), lower: Vec::new(), upper: Vec::new(), marks: Vec::new() }
    }

    /// The last values of `past`, three times as many as are forecast and at least 60, and the forecast after them with its
    /// lower and upper bounds.
    pub fn of_forecast(title: impl Into<String>, unit: Unit, past: &Window, yhat: &[f64], (lower, upper): (Vec<f64>, Vec<f64>)) -> Self {
        let mut shown = past.clone();
        shown.keep_last(3 * yhat.len().max(20));
        let before = shown.len();
        let mut values = shown.values().to_vec();
        values.extend(yhat);
        let band = |bound: Vec<f64>| std::iter::repeat_n(f64::NAN, before).chain(bound).collect();
        let course = Window::new(shown.start(), shown.step(), values).unwrap_or(shown);
        Self { lower: band(lower), upper: band(upper), ..Self::new(title, unit, course) }
    }

    /// The bounds at place `i`, if both are known.
    pub fn band(&self, i: usize) -> Option<(f64, f64)> {
        let (lower, upper) = (*self.lower.get(i)?, *self.upper.get(i)?);
        (lower.is_finite() && upper.is_finite()).then_some((lower, upper))
    }

    /// The marks that lie at least partly within the chart, as fractions of its width.
    pub fn marked(&self) -> impl Iterator<Item = (&Mark, RangeInclusive<f64>)> {
        self.placed(&self.marks)
    }

    /// The same for other stretches than the chart's own.
    pub fn placed<'a>(&self, marks: &'a [Mark]) -> impl Iterator<Item = (&'a Mark, RangeInclusive<f64>)> + use<'a> {
        let (start, end, step) = (self.values.start(), self.values.end(), self.values.step());
        let width = end.since(start).seconds();
        let fraction = move |t: Timestamp| t.clamp(start, end).since(start).seconds() / width;
        marks
            .iter()
            .filter(move |mark| mark.from < end && mark.to >= start && mark.from <= mark.to && width > 0.0)
            .map(move |mark| (mark, fraction(mark.from)..=fraction(mark.to + step)))
    }

    /// The places of the values that lie in `mark`.
    pub fn places(&self, mark: &Mark) -> Range<usize> {
        let (start, step, len) = (self.values.start(), self.values.step(), self.values.len());
        // The first place is at or after the mark's first instant, the last at or before its last.
        let first = (mark.from + DurationMs::from_millis(step.millis() - 1)).since(start).steps(step).min(len);
        let end = if mark.to < start { 0 } else { mark.to.since(start).steps(step).saturating_add(1).min(len) };
        first..end.max(first)
    }

    /// Whether place `i` lies in a mark.
    pub fn is_marked(&self, i: usize) -> bool {
        let time = self.values.time(i);
        self.marks.iter().any(|mark| (mark.from..=mark.to).contains(&time))
    }

    /// The least and greatest value the vertical axis must hold; `None` when there is nothing to draw.
    ///
    /// The band counts too, but where it is far wider than the values it is cut off, so that they can
    /// still be seen to move.
    pub fn range(&self) -> Option<(f64, f64)> {
        let len = self.values.len();
        let band = extent([&self.lower, &self.upper, &self.expected].into_iter().flat_map(|bound| bound.iter().take(len)));
        let values = extent(self.values.values());
        let (low, high) = match (values, band) {
            (None, None) => return None,
            (Some(only), None) | (None, Some(only)) => only,
            (Some((low, high)), Some((lower, upper))) => {
                let room = if high > low { 3.0 * (high - low) } else { f64::INFINITY };
                (low.min(lower.max(low - room)), high.max(upper.min(high + room)))
            }
        };
        let span = high - low;
        if span <= 0.0 {
            let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            return Some((low - room, high + room));
        }
        // Near zero the axis begins at zero: it tells how large the movement really is.
        let low = if low >= 0.0 && low < span * 0.5 { 0.0 } else { low - span * 0.04 };
        let high = if high <= 0.0 && -high < span * 0.5 { 0.0 } else { high + span * 0.04 };
        Some((low, high))
    }
}

/// The least and greatest of the finite values.
fn extent<'a>(values: impl IntoIterator<Item = &'a f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|v| v.is_finite()).map(|v| v.clamp(-LARGEST, LARGEST)).fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64]) -> Chart {
        let window = Window::new(Timestamp::from_millis(0), DurationMs::from_secs(60), values.to_vec()).unwrap();
        Chart::new("t", Unit::None, window)
    }

    #[test]
    fn the_range_holds_the_values_and_a_sensible_part_of_the_band() {
        assert_eq!(chart(&[]).range(), None);
        assert_eq!(chart(&[f64::NAN]).range(), None);
        assert_eq!(chart(&[5.0, 5.0]).range(), Some((4.5, 5.5)));
        assert_eq!(chart(&[0.0]).range(), Some((-1.0, 1.0)));
        assert_eq!(chart(&[1.0, 11.0]).range(), Some((0.0, 11.4)));
        let mut wide = chart(&[100.0, 101.0]);
        wide.lower = vec![0.0, 0.0];
        wide.upper = vec![f64::NAN, 1000.0];
        let (low, high) = wide.range().unwrap();
        assert!((96.0..97.1).contains(&low) && (103.9..105.0).contains(&high), "{low} {high}");
        let (low, high) = chart(&[-1e308, 1e308]).range().unwrap();
        assert!((high - low).is_finite());
    }

    #[test]
    fn marks_outside_are_left_out_and_those_across_an_edge_are_cut() {
        let mut chart = chart(&[1.0; 10]);
        let at = |minute: i64| Timestamp::from_millis(minute * 60_000);
        let mark = |from, to| Mark { from: at(from), to: at(to), title: String::new() };
        chart.marks = vec![mark(-9, -1), mark(-2, 1), mark(5, 5), mark(8, 99), mark(10, 12), mark(4, 3)];
        let places: Vec<_> = chart.marked().map(|(_, place)| place).collect();
        assert_eq!(places, vec![0.0..=0.2, 0.5..=0.6, 0.8..=1.0]);
        assert!(chart.is_marked(5) && !chart.is_marked(6));
        let places: Vec<_> = chart.marks.iter().map(|mark| chart.places(mark)).collect();
        assert_eq!(places, vec![0..0, 0..2, 5..6, 8..10, 10..10, 4..4]);
    }
}
