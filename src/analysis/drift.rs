//! Whether the data have changed: the columns of one data set held against those of another.
//!
//! Numbers are sorted once, and every test reads off the sorted samples. There are two rules for the verdict. One is that of
//! Evidently 0.7, choice of test, bins and thresholds included, so that a change of tool changes no verdict. The other is
//! calibrated: a p-value that holds for two samples, adjusted for the number of columns, and an effect that is large enough to
//! matter. With many rows the first of both alone would call every trifle drift, with few the second every chance.

mod column;
mod correct;
mod counts;
mod cramer;
mod evidently;
#[cfg(test)]
mod golden;
mod histogram;
mod kolmogorov;
mod options;
mod pair;
mod sample;
mod sketch;
mod tenths;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

pub use column::{CannotCompare, Categories, Column, Side, Values};
pub use correct::benjamini_hochberg;
pub use counts::{Counts, Tested};
pub use evidently::bins;
pub use histogram::{Bounded, Histogram, HistogramDrift, InvalidHistogram, test_histograms};
pub use kolmogorov::Method;
pub use options::{Options, Rule, Test};
pub use sample::{Distances, Sample, distances};
pub use sketch::Sketch;

use pair::Pair;

/// The Kolmogorov–Smirnov distance of two samples and its two-sided p-value, as `scipy.stats.ks_2samp` has them.
pub fn kolmogorov_smirnov(reference: &Sample, current: &Sample, method: Method) -> Tested {
    let apart = distances(reference, current);
    Tested { statistic: apart.ks, p_value: apart.ks_p_value(method) }
}

/// The Cramér–von Mises criterion of two samples and its p-value, as `scipy.stats.cramervonmises_2samp` has them; scipy wants
/// two values on either side. Exact only up to 20 values a side.
pub fn cramer_von_mises(reference: &Sample, current: &Sample, method: Method) -> Tested {
    Tested { statistic: sample::cramer_von_mises(reference, current), p_value: cramer::p_value(reference, current, method) }
}

/// Data sets or options that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidDrift {
    /// There is nothing to compare.
    #[error("the {0} data set has no columns; at least one is needed")]
    NoColumns(Side),
    /// A column is in one data set only.
    #[error("column {name:?} is not in the {side} data set; it has {known}")]
    UnknownColumn {
        /// Its name.
        name: String,
        /// Where it is missing.
        side: Side,
        /// Some of those that are there.
        known: String,
    },
    /// A name is there twice.
    #[error("column {name:?} is in the {side} data set more than once; a name must be given once")]
    RepeatedColumn {
        /// The name.
        name: String,
        /// In which data set.
        side: Side,
    },
    /// One is of numbers and the other is not.
    #[error("column {name:?} is {reference} in the reference data set and {current} in the current one; both must be the same")]
    MismatchedKinds {
        /// Its name.
        name: String,
        /// What it is in the reference.
        reference: &'static str,
        /// What it is now.
        current: &'static str,
    },
    /// An option is wrong.
    #[error("{field} is {value}; it must be {wanted}")]
    Option {
        /// Which one.
        field: &'static str,
        /// What it is.
        value: String,
        /// What would be right.
        wanted: String,
    },
}

/// What was found in two data sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The columns, the most severe first: those that drifted, then the others, each by effect; last those of which nothing
    /// can be said.
    pub columns: Vec<ColumnDrift>,
    /// How many drifted.
    pub drifted_columns: usize,
    /// Of how many something can be said.
    pub judged_columns: usize,
    /// The share that drifted of those; `None` if there are none.
    pub share: Option<f64>,
    /// Whether the share is as great as the options want; `None` if nothing can be said.
    pub drifted: Option<bool>,
}

/// What was found in one column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDrift {
    /// Its name.
    pub name: String,
    /// How many rows hold a value in the reference.
    pub reference_n: usize,
    /// How many do now.
    pub current_n: usize,
    /// The outcome, or why there is none.
    pub outcome: Result<Outcome, CannotCompare>,
}

/// The outcome of one column's test.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Which test.
    pub test: Test,
    /// Its statistic: a distance, a criterion, χ² (which can be infinite) or z.
    pub statistic: f64,
    /// The chance of as much between two samples of the same; `None` for a mere distance.
    pub p_value: Option<f64>,
    /// The same adjusted for the number of columns that have one, by Benjamini and Hochberg.
    pub adjusted_p: Option<f64>,
    /// How far apart the samples are, from 0 to 1 and whatever their sizes: the Kolmogorov–Smirnov distance of numbers,
    /// Cramér's V of categories.
    pub effect: f64,
    /// What the score was held against.
    pub threshold: f64,
    /// Whether this is drift.
    pub drifted: bool,
}

impl Outcome {
    /// What is held against the threshold by Evidently's rule: the p-value if there is one, else the statistic.
    pub fn score(&self) -> f64 {
        self.p_value.unwrap_or(self.statistic)
    }
}

/// Holds every column of `current` against the one of the same name in `reference`. The columns are tested in parallel on the
/// pool that this is called from.
///
/// # Errors
/// Options that are wrong; no columns; a column that is in one data set only or twice in one; one that is of numbers in one
/// data set and of categories in the other. A column that is merely empty is no error: its outcome says so.
pub fn test_columns(reference: &[Column], current: &[Column], options: &Options) -> Result<Report, InvalidDrift> {
    options.check()?;
    let pairs = matched(reference, current)?;
    let mut columns: Vec<ColumnDrift> =
        pairs.into_par_iter().map(|(name, reference, current)| test_column(name, reference, current, options)).collect();
    let p_values: Vec<f64> = columns.iter().map(|c| c.outcome.as_ref().ok().and_then(|o| o.p_value).unwrap_or(f64::NAN)).collect();
    for (column, adjusted) in columns.iter_mut().zip(benjamini_hochberg(&p_values)) {
        let Ok(outcome) = &mut column.outcome else { continue };
        outcome.adjusted_p = outcome.p_value.map(|_| adjusted);
        outcome.drifted = options.drifted(outcome);
    }
    columns.sort_by(by_severity);
    let judged = columns.iter().filter(|c| c.outcome.is_ok()).count();
    let drifted = columns.iter().filter(|c| c.outcome.as_ref().is_ok_and(|o| o.drifted)).count();
    let share = (judged > 0).then(|| drifted as f64 / judged as f64);
    Ok(Report { columns, drifted_columns: drifted, judged_columns: judged, share, drifted: share.map(|share| share >= options.share) })
}

/// The columns of both data sets by name, in the order of the current one.
fn matched<'a>(reference: &'a [Column], current: &'a [Column]) -> Result<Vec<(&'a str, &'a Values, &'a Values)>, InvalidDrift> {
    let usual = by_name(reference, Side::Reference)?;
    let now = by_name(current, Side::Current)?;
    let unknown = |name: &str, side, there: &[Column]| InvalidDrift::UnknownColumn { name: name.into(), side, known: some_of(there) };
    if let Some(missing) = reference.iter().find(|column| !now.contains_key(column.name.as_str())) {
        return Err(unknown(&missing.name, Side::Current, current));
    }
    current
        .iter()
        .map(|column| {
            let Some(other) = usual.get(column.name.as_str()) else { return Err(unknown(&column.name, Side::Reference, reference)) };
            let (reference, current) = (other.kind(), column.values.kind());
            if reference != current {
                return Err(InvalidDrift::MismatchedKinds { name: column.name.clone(), reference, current });
            }
            Ok((column.name.as_str(), *other, &column.values))
        })
        .collect()
}

fn by_name(columns: &[Column], side: Side) -> Result<HashMap<&str, &Values>, InvalidDrift> {
    if columns.is_empty() {
        return Err(InvalidDrift::NoColumns(side));
    }
    let mut seen = HashSet::new();
    if let Some(twice) = columns.iter().find(|column| !seen.insert(column.name.as_str())) {
        return Err(InvalidDrift::RepeatedColumn { name: twice.name.clone(), side });
    }
    Ok(columns.iter().map(|column| (column.name.as_str(), &column.values)).collect())
}

/// Some names, for people.
fn some_of(columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().take(5).map(|column| column.name.as_str()).collect();
    let more = columns.len().saturating_sub(names.len());
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}

/// One column, before the others are known.
fn test_column(name: &str, reference: &Values, current: &Values, options: &Options) -> ColumnDrift {
    let outcome = Pair::of(reference, current).and_then(|pair| {
        let test = options.test_for(&pair);
        let measured = evidently::measure(test, &pair)?;
        let threshold = options.threshold_for(test, &pair);
        let (statistic, p_value) = (measured.statistic, measured.p_value);
        Ok(Outcome { test, statistic, p_value, adjusted_p: None, effect: pair.effect(), threshold, drifted: false })
    });
    ColumnDrift { name: name.to_owned(), reference_n: reference.present(), current_n: current.present(), outcome }
}

/// The most severe first.
fn by_severity(a: &ColumnDrift, b: &ColumnDrift) -> Ordering {
    match (&a.outcome, &b.outcome) {
        (Ok(x), Ok(y)) => y
            .drifted
            .cmp(&x.drifted)
            .then(y.effect.total_cmp(&x.effect))
            .then(x.p_value.unwrap_or(1.0).total_cmp(&y.p_value.unwrap_or(1.0)))
            .then_with(|| a.name.cmp(&b.name)),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.name.cmp(&b.name),
    }
}
