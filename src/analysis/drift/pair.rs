//! Two columns of the same name, ready to be compared.

use super::Test;
use super::column::{CannotCompare, Side, Values};
use super::counts::{Counts, Tested};
use super::evidently::{FEW_WHOLE, Measured};
use super::sample::{Distances, Sample, by_value, distances};

/// Both columns in the form that tests are computed from.
#[derive(Clone, Debug)]
pub(super) enum Pair {
    /// Numbers, sorted; whether all of them are whole by type; and how far apart they are.
    Numeric { reference: Sample, current: Sample, whole: bool, apart: Distances },
    /// How often each category occurs.
    Categorical(Counts),
}

impl Pair {
    /// Two columns of the same kind.
    pub(super) fn of(reference: &Values, current: &Values) -> Result<Self, CannotCompare> {
        let sides = [(Side::Reference, reference), (Side::Current, current)];
        if let Some((side, _)) = sides.iter().find(|(_, values)| values.rows() == 0) {
            return Err(CannotCompare::Empty(*side));
        }
        if let (Values::Categorical(reference), Values::Categorical(current)) = (reference, current) {
            let counts = merge(&reference.counts(), &current.counts());
            let (n, m) = counts.totals();
            return match sides.iter().zip([n, m]).find(|(_, values)| *values == 0.0) {
                Some(((side, values), _)) => Err(CannotCompare::NoValues(*side, values.rows())),
                None => Ok(Self::Categorical(counts)),
            };
        }
        let whole = matches!((reference, current), (Values::Integer(_), Values::Integer(_)));
        let [reference, current] = sides.map(|(side, values)| match values {
            Values::Numeric(values) => Sample::of(values, side),
            Values::Integer(values) => Sample::of(&values.iter().map(|v| *v as f64).collect::<Vec<_>>(), side),
            Values::Categorical(_) => Err(CannotCompare::NoValues(side, values.rows())),
        });
        let (reference, current) = (reference?, current?);
        if whole && current.distinct(FEW_WHOLE + 1) <= FEW_WHOLE {
            return Ok(Self::Categorical(by_value(&reference, &current)));
        }
        let apart = distances(&reference, &current);
        Ok(Self::Numeric { reference, current, whole, apart })
    }

    /// How many values there are on either side.
    pub(super) fn sizes(&self) -> (usize, usize) {
        match self {
            Self::Numeric { reference, current, .. } => (reference.size(), current.size()),
            Self::Categorical(counts) => {
                let (n, m) = counts.totals();
                (n as usize, m as usize)
            }
        }
    }

    /// How many different values there are on both sides together; for numbers, counting ends at `most`.
    pub(super) fn distinct(&self, most: usize) -> usize {
        match self {
            Self::Categorical(counts) => counts.categories(),
            Self::Numeric { reference, current, .. } => {
                if reference.distinct(most) >= most || current.distinct(most) >= most {
                    most
                } else {
                    by_value(reference, current).categories()
                }
            }
        }
    }

    /// How often each category, or each value, occurs.
    pub(super) fn counts(&self) -> Counts {
        match self {
            Self::Categorical(counts) => counts.clone(),
            Self::Numeric { reference, current, .. } => by_value(reference, current),
        }
    }

    /// How far apart both are, from 0 to 1: the Kolmogorov–Smirnov distance of numbers, Cramér's V of categories.
    pub(super) fn effect(&self) -> f64 {
        match self {
            Self::Numeric { apart, .. } => apart.ks,
            Self::Categorical(counts) => counts.cramers_v(),
        }
    }

    /// The reason why a test gave no number.
    pub(super) fn out_of_range(&self, test: Test) -> CannotCompare {
        match self {
            Self::Numeric { reference, current, .. } => Self::range(reference, current, test.name()),
            Self::Categorical(_) => CannotCompare::OutOfRange { least: f64::NAN, most: f64::NAN, test: test.name() },
        }
    }

    /// The same of two samples.
    pub(super) fn range(reference: &Sample, current: &Sample, test: &'static str) -> CannotCompare {
        let (least, most) = Self::ends(reference, current);
        CannotCompare::OutOfRange { least, most, test }
    }

    /// The least and the greatest value of two samples.
    pub(super) fn ends(reference: &Sample, current: &Sample) -> (f64, f64) {
        let (a, b) = (reference.values(), current.values());
        let first = |values: &[f64]| values.first().copied().unwrap_or(f64::INFINITY);
        let last = |values: &[f64]| values.last().copied().unwrap_or(f64::NEG_INFINITY);
        (first(a).min(first(b)), last(a).max(last(b)))
    }
}

impl From<Tested> for Measured {
    fn from(tested: Tested) -> Self {
        Self { statistic: tested.statistic, p_value: Some(tested.p_value) }
    }
}

/// Both lists by name, in the order of the names.
fn merge(reference: &[(&str, usize)], current: &[(&str, usize)]) -> Counts {
    let (mut a, mut b) = (reference.iter().peekable(), current.iter().peekable());
    let mut counts = Counts::default();
    loop {
        let name = match (a.peek(), b.peek()) {
            (Some((x, _)), Some((y, _))) => (*x).min(*y),
            (Some((name, _)), None) | (None, Some((name, _))) => *name,
            (None, None) => return counts,
        };
        let of_a = a.next_if(|(x, _)| *x == name).map_or(0, |(_, count)| *count);
        let of_b = b.next_if(|(x, _)| *x == name).map_or(0, |(_, count)| *count);
        counts.push(of_a as f64, of_b as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_merged_in_order() {
        let merged = merge(&[("a", 2), ("c", 1)], &[("b", 3), ("c", 4)]);
        assert_eq!(merged, Counts::new(vec![2.0, 0.0, 1.0], vec![0.0, 3.0, 4.0]).unwrap());
    }

    #[test]
    fn few_whole_numbers_are_categories() {
        let whole = |n: i64| Values::Integer((0..40).map(|i| i % n).collect());
        assert!(matches!(Pair::of(&whole(20), &whole(10)), Ok(Pair::Categorical(_))));
        assert!(matches!(Pair::of(&whole(10), &whole(11)), Ok(Pair::Numeric { whole: true, .. })));
        let numeric = Values::Numeric(vec![1.0; 9]);
        assert!(matches!(Pair::of(&numeric, &whole(2)), Ok(Pair::Numeric { whole: false, .. })));
    }
}
