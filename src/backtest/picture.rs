//! A series thinned for a chart as it goes by.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::replay::Row;
use super::summary::{Found, Picture};
use crate::clock::{DurationMs, Timestamp};
use crate::metric::Unit;
use crate::plot::{Chart, Mark};
use crate::series::Window;

/// Pictures that are kept: those with the most findings.
const MOST_PICTURES: usize = 200;
/// Marks of a kind on a picture.
pub const MOST_MARKS: usize = 1000;
/// Points are thinned in groups to so many: the first, the least, the greatest and the last.
const KEPT: usize = 4;
/// Rows that are held at once until then.
const MOST_REST: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Point {
    value: f64,
    expected: f64,
    lower: f64,
    upper: f64,
}

/// The rows of a series by now, thinned.
#[derive(Clone, Debug)]
pub struct Thinned {
    start: Timestamp,
    step: DurationMs,
    /// Points at most; when there are so many, half of them go.
    most: usize,
    /// Rows for each point.
    every: usize,
    points: Vec<Point>,
    /// What is left of the rows of the next points, and how many rows they were.
    rest: Vec<Point>,
    rows: usize,
}

impl Thinned {
    /// No row yet; the first is that of `start`. At most so many points are kept.
    pub fn new(start: Timestamp, step: DurationMs, most: usize) -> Self {
        Self { start, step, most, every: 1, points: Vec::new(), rest: Vec::new(), rows: 0 }
    }

    /// Takes in the next row.
    pub fn push(&mut self, row: &Row) {
        self.rest.push(Point { value: row.value, expected: row.expected, lower: row.lower, upper: row.upper });
        self.rows += 1;
        if self.rows < KEPT * self.every {
            if self.rest.len() == MOST_REST {
                // The extremes of all are among those of the parts.
                thin(&std::mem::take(&mut self.rest), KEPT, &mut self.rest);
            }
            return;
        }
        thin(&self.rest, KEPT, &mut self.points);
        (self.rows, self.rest) = (0, Vec::new());
        if self.points.len() >= self.most {
            let all = std::mem::take(&mut self.points);
            all.chunks(2 * KEPT).for_each(|group| thin(group, KEPT, &mut self.points));
            self.every *= 2;
        }
    }

    /// Points that are held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.points.capacity() + self.rest.capacity()
    }

    /// The picture of the series at `path`, with a mark for each of `findings`; `None` without a row.
    pub fn hung(self, path: &str, unit: Unit, findings: &[Found], labelled: Vec<Mark>) -> Option<Picture> {
        let mark = |found: &Found| {
            let text = format!("finding, {} of the expected course, score {:.1}", found.direction, found.score);
            Mark::lasting(found.onset, found.ended, text)
        };
        let marks = findings.iter().take(MOST_MARKS).map(mark).collect();
        let chart = self.chart(path, unit, marks)?;
        Some(Picture { path: path.to_owned(), chart, labelled })
    }

    fn chart(mut self, title: &str, unit: Unit, marks: Vec<Mark>) -> Option<Chart> {
        thin(&self.rest, self.rows.div_ceil(self.every), &mut self.points);
        let column = |of: fn(&Point) -> f64| self.points.iter().map(of).collect::<Vec<f64>>();
        let step = self.step * i64::try_from(self.every).unwrap_or(i64::MAX);
        let values = Window::new(self.start, step, column(|p| p.value)).ok().filter(|values| !values.is_empty())?;
        let (expected, lower, upper) = (column(|p| p.expected), column(|p| p.lower), column(|p| p.upper));
        Some(Chart { expected, lower, upper, marks, ..Chart::new(title, unit, values) })
    }
}

/// Adds `most` of the points of `group` to `kept`, or all when there are no more, in their order: the extremes for
/// certain, and missing ones only where there is nothing else.
fn thin(group: &[Point], most: usize, kept: &mut Vec<Point>) {
    if group.len() <= most {
        kept.extend(group);
        return;
    }
    let present = || (0..group.len()).filter(|i| group[*i].value.is_finite());
    let by = |a: &usize, b: &usize| group[*a].value.total_cmp(&group[*b].value);
    let wanted = [present().max_by(by), present().min_by(by), present().next(), present().next_back()];
    let mut places: Vec<usize> = Vec::with_capacity(most);
    for place in wanted.into_iter().flatten().chain(present()).chain(0..group.len()) {
        if places.len() < most && !places.contains(&place) {
            places.push(place);
        }
    }
    places.sort_unstable();
    kept.extend(places.iter().map(|place| group[*place]));
}

/// The pictures that are kept, in whatever order they come.
#[derive(Default)]
pub struct Gallery {
    /// By falling numbers of findings, then by path.
    pictures: BTreeMap<(Reverse<usize>, String), Picture>,
}

impl Gallery {
    /// Takes the picture, if it is one of those with the most findings.
    pub fn hang(&mut self, picture: Picture) {
        self.pictures.insert((Reverse(picture.chart.marks.len()), picture.path.clone()), picture);
        if self.pictures.len() > MOST_PICTURES {
            self.pictures.pop_last();
        }
    }

    /// Those that are kept, in order of their paths.
    pub fn pictures(self) -> Vec<Picture> {
        let mut pictures: Vec<Picture> = self.pictures.into_values().collect();
        pictures.sort_by(|a, b| a.path.cmp(&b.path));
        pictures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn thinned(values: &[f64]) -> Thinned {
        let step = DurationMs::from_secs(60);
        let mut thinned = Thinned::new(Timestamp::from_millis(0), step, 4096);
        for (i, value) in values.iter().enumerate() {
            let time = Timestamp::from_millis(0) + step * i as i64;
            let (score, p_value) = (f64::NAN, f64::NAN);
            thinned.push(&Row {
                time,
                value: *value,
                score,
                p_value,
                expected: value + 1.0,
                lower: value - 1.0,
                upper: value + 3.0,
                finding: false,
                news: 0.0,
            });
        }
        thinned
    }

    #[test]
    fn few_points_are_all_kept() {
        let values: Vec<f64> = (0..4095).map(f64::from).collect();
        let chart = thinned(&values).chart("x", Unit::None, Vec::new()).unwrap();
        assert_eq!((chart.values.values(), chart.values.step()), (values.as_slice(), DurationMs::from_secs(60)));
        assert_eq!((chart.expected[7], chart.lower[7], chart.upper[7]), (8.0, 6.0, 10.0));
        assert!(thinned(&[]).chart("x", Unit::None, Vec::new()).is_none());
    }

    #[test]
    fn no_more_is_held_of_many_rows_than_of_some() {
        let held = |rows: i32| thinned(&(0..rows).map(f64::from).collect::<Vec<_>>()).held();
        assert!([9_000, 300_000, 3_000_000].into_iter().all(|rows| held(rows) <= 2 * (4096 + MOST_REST)), "{}", held(3_000_000));
    }

    #[test]
    fn nothing_but_gaps_stays_so() {
        let chart = thinned(&vec![f64::NAN; 20_000]).chart("x", Unit::None, Vec::new()).unwrap();
        assert_eq!(chart.values.present(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_spike_is_seen_about_where_it_was(len in 1_usize..60_000, at in 0.0..1.0_f64, gap in 0_usize..40) {
            let spike = (at * len as f64) as usize;
            let value = |i: usize| if i == spike { 1e6 } else if i % 50 < gap { f64::NAN } else { (i % 7) as f64 };
            let chart = thinned(&(0..len).map(value).collect::<Vec<_>>()).chart("x", Unit::None, Vec::new()).unwrap();
            prop_assert!(chart.values.len() <= 4096);
            let seen = chart.values.values().iter().position(|v| *v == 1e6).unwrap();
            let every = chart.values.step().millis() / 60_000;
            prop_assert!((seen as i64 * every - spike as i64).abs() <= 4 * every, "{seen} × {every} for {spike}");
            // No point lies beyond the end.
            prop_assert!((chart.values.len() as i64 - 1) * every <= len as i64);
        }
    }
}
