//! What a forest is fitted with, and what can be wrong with it and with the data.

use linfa::ParamGuard;

/// The most trees a forest may have.
const MAX_TREES: usize = 10_000;
/// The largest sample a tree may be grown on: a node counts its rows in 16 bits.
const MAX_SAMPLE: usize = u16::MAX as usize;

/// Parameters that have not been checked. [`ParamGuard::check`] does that, and so does fitting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsolationForestParams(pub(super) IsolationForestValidParams);

/// Parameters that have been checked: the only ones a forest is fitted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsolationForestValidParams {
    pub(super) trees: usize,
    pub(super) sample_size: usize,
    pub(super) max_depth: Option<usize>,
    pub(super) seed: u64,
}

impl Default for IsolationForestParams {
    /// The paper's: 100 trees, each on 256 rows, no deeper than the average depth of a tree of as many leaves; seed 0.
    fn default() -> Self {
        Self(IsolationForestValidParams { trees: 100, sample_size: 256, max_depth: None, seed: 0 })
    }
}

impl IsolationForestParams {
    /// How many trees, 1 to 10,000. More make the score steadier, in proportion to their root, and slower.
    #[must_use]
    pub fn trees(mut self, trees: usize) -> Self {
        self.0.trees = trees;
        self
    }

    /// How many rows each tree is grown on, 2 to 65,535, drawn without replacement; all of them where there are fewer.
    #[must_use]
    pub fn sample_size(mut self, sample_size: usize) -> Self {
        self.0.sample_size = sample_size;
        self
    }

    /// How many splits a path may have, at least 1. Without it the binary logarithm of the sample, rounded up.
    #[must_use]
    pub fn max_depth(mut self, max_depth: usize) -> Self {
        self.0.max_depth = Some(max_depth);
        self
    }

    /// The seed. The same parameters on the same rows give the same forest; tree i is the same in a larger forest.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }
}

impl ParamGuard for IsolationForestParams {
    type Checked = IsolationForestValidParams;
    type Error = IsolationForestError;

    fn check_ref(&self) -> Result<&Self::Checked, Self::Error> {
        let IsolationForestValidParams { trees, sample_size, max_depth, .. } = self.0;
        let out_of = |field, found, least, most| Err(IsolationForestError::Param { field, found, least, most });
        if !(1..=MAX_TREES).contains(&trees) {
            return out_of("trees", trees, 1, MAX_TREES);
        }
        if !(2..=MAX_SAMPLE).contains(&sample_size) {
            return out_of("sample_size", sample_size, 2, MAX_SAMPLE);
        }
        match max_depth {
            Some(depth) if !(1..=MAX_SAMPLE).contains(&depth) => out_of("max_depth", depth, 1, MAX_SAMPLE),
            _ => Ok(&self.0),
        }
    }

    fn check(self) -> Result<Self::Checked, Self::Error> {
        self.check_ref().copied()
    }
}

impl IsolationForestValidParams {
    /// How many trees there will be.
    pub fn trees(&self) -> usize {
        self.trees
    }

    /// How many rows a tree is grown on, where there are as many.
    pub fn sample_size(&self) -> usize {
        self.sample_size
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many splits a path may have in a tree grown on `sample` rows.
    pub(super) fn depth_for(&self, sample: usize) -> usize {
        self.max_depth.unwrap_or_else(|| sample.next_power_of_two().ilog2() as usize)
    }
}

/// Why a forest cannot be fitted, or rows cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum IsolationForestError {
    /// A parameter is out of range.
    #[error("{field}: {found} is out of range, it must be {least} to {most}")]
    Param {
        /// The parameter.
        field: &'static str,
        /// Its value.
        found: usize,
        /// The least it may be.
        least: usize,
        /// The most it may be.
        most: usize,
    },
    /// There is nothing to fit to, or more than a forest can take.
    #[error("{rows} rows of {columns} columns cannot be fitted: there must be at least 1 row and 1 to {most} columns")]
    Shape {
        /// Rows given.
        rows: usize,
        /// Columns given.
        columns: usize,
        /// The most columns there may be.
        most: usize,
    },
    /// A value is NaN or infinite. Leave such rows out, or fill them in knowingly.
    #[error("row {row}, column {column}: {value} is not a finite number")]
    NotFinite {
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// Rows to be scored are not as wide as those fitted to.
    #[error("rows of {found} columns cannot be scored: the forest was fitted to rows of {fitted}")]
    Width {
        /// Columns given.
        found: usize,
        /// Columns fitted to.
        fitted: usize,
    },
    /// An error of linfa's own.
    #[error(transparent)]
    Linfa(#[from] linfa::Error),
}
