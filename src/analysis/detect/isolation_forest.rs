//! An isolation forest after Liu, Ting and Zhou, "Isolation Forest", ICDM 2008.
//!
//! A tree splits a sample of the rows at random, feature by feature, until each row is alone or the tree is deep enough.
//! A row that lies apart is alone early. Its score is s(x) = 2^(−E\[h(x)\] / c(ψ)), with h(x) the length of its path,
//! averaged over the trees, and c(ψ) the average path length in a tree of ψ rows: near 1 for a row that lies apart,
//! about 0.5 where none does, below 0.5 for a row in the thick of it.
//!
//! ```
//! use bellwether::analysis::detect::isolation_forest::IsolationForest;
//! use linfa::DatasetBase;
//! use linfa::traits::Fit;
//! use ndarray::Array2;
//!
//! let mut rows = Array2::from_shape_fn((300, 2), |(i, j)| ((i * (7 + j)) % 50) as f64);
//! rows.row_mut(42).fill(400.0);
//! let forest = IsolationForest::params().seed(1).fit(&DatasetBase::from(rows.view()))?;
//! let scores = forest.score(rows.view())?;
//! assert!(scores[42] > 0.7 && scores[41] < 0.6);
//! assert_eq!(forest.score_one(&[400.0, 400.0])?, scores[42]);
//! # Ok::<(), bellwether::analysis::detect::isolation_forest::IsolationForestError>(())
//! ```

mod params;
mod saved;
mod tree;

use linfa::DatasetBase;
use linfa::traits::{Fit, PredictInplace};
use ndarray::{Array1, ArrayBase, ArrayView2, Data, Ix2};
use rand::{Rng, RngCore, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

pub use params::{IsolationForestError, IsolationForestParams, IsolationForestValidParams};
use tree::{LANES, Sample, Shape, Tree, average_path_lengths};

/// The most columns: a node names its feature in 16 bits, and one number is left for leaves.
const MAX_FEATURES: usize = u16::MAX as usize - 1;

/// How many values are scored at a time, so that they and a tree fit the fastest cache.
const BLOCK: usize = 2048;

/// A fitted forest. It can be written with serde; what is read back is checked, and refused where it is no forest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "saved::Saved", try_from = "saved::Saved")]
pub struct IsolationForest {
    params: IsolationForestValidParams,
    features: u16,
    /// Rows each tree was grown on.
    sample: u16,
    /// c(`sample`).
    average_path: f64,
    trees: Vec<Tree>,
}

impl IsolationForest {
    /// The default parameters, to be changed and fitted.
    pub fn params() -> IsolationForestParams {
        IsolationForestParams::default()
    }

    /// The parameters it was fitted with.
    pub fn fitted_with(&self) -> &IsolationForestValidParams {
        &self.params
    }

    /// How many columns the rows must have.
    pub fn features(&self) -> usize {
        usize::from(self.features)
    }

    /// The score of each row, in (0, 1], in order. It depends on the row alone, and is 0.5 throughout where the forest
    /// was fitted to a single row or to rows that are all the same.
    ///
    /// # Errors
    /// If the rows are not as wide as those fitted to, or a value is NaN or infinite.
    pub fn score(&self, rows: ArrayView2<'_, f64>) -> Result<Array1<f64>, IsolationForestError> {
        self.check_width(rows.ncols())?;
        check_finite(rows)?;
        let mut scores = Array1::zeros(rows.nrows());
        self.score_blocks(rows, &mut scores);
        Ok(scores)
    }

    /// The score of one row, the same as [`Self::score`] gives. Nothing is allocated.
    ///
    /// # Errors
    /// As for [`Self::score`]; the row is called 0.
    pub fn score_one(&self, row: &[f64]) -> Result<f64, IsolationForestError> {
        self.check_width(row.len())?;
        check_row(0, row)?;
        Ok(self.to_score(self.trees.iter().map(|tree| tree.path_length(row)).sum()))
    }

    fn check_width(&self, found: usize) -> Result<(), IsolationForestError> {
        let fitted = self.features();
        if found == fitted { Ok(()) } else { Err(IsolationForestError::Width { found, fitted }) }
    }

    /// Scores rows of the right width, as many as there are scores; a row with a value that is not finite gets NaN.
    ///
    /// Blocks of rows go through the trees one after the other, each block staying in the cache.
    fn score_blocks(&self, rows: ArrayView2<'_, f64>, scores: &mut Array1<f64>) {
        let width = self.features() + 1;
        let groups = (BLOCK / (width * LANES)).max(1);
        // The last column of each group is never written: it is the one that leaves read.
        let mut block = vec![[f64::NEG_INFINITY; LANES]; groups * width];
        let mut totals = vec![[0.0; LANES]; groups];
        let height = groups * LANES;
        for (rows, scores) in rows.axis_chunks_iter(ndarray::Axis(0), height).zip(scores.axis_chunks_iter_mut(ndarray::Axis(0), height)) {
            totals.fill([0.0; LANES]);
            for (i, row) in rows.outer_iter().enumerate() {
                let columns = &mut block[i / LANES * width..][..width];
                for (column, &value) in columns.iter_mut().zip(row) {
                    column[i % LANES] = value;
                    if !value.is_finite() {
                        totals[i / LANES][i % LANES] = f64::NAN;
                    }
                }
            }
            let used = rows.nrows().div_ceil(LANES);
            for tree in &self.trees {
                tree.add_path_lengths(&block[..used * width], width, &mut totals[..used]);
            }
            for (score, &total) in scores.into_iter().zip(&totals.as_flattened()[..rows.nrows()]) {
                *score = self.to_score(total);
            }
        }
    }

    /// The score for a sum of path lengths over all trees. NaN stays NaN.
    fn to_score(&self, total: f64) -> f64 {
        if self.average_path == 0.0 && !total.is_nan() {
            return 0.5; // Fitted to one row: nothing lies apart from nothing.
        }
        let score = (-total / self.trees.len() as f64 / self.average_path).exp2();
        if score == 0.0 { f64::MIN_POSITIVE } else { score }
    }
}

impl<D: Data<Elem = f64>, T> Fit<ArrayBase<D, Ix2>, T, IsolationForestError> for IsolationForestValidParams {
    type Object = IsolationForest;

    /// Fits a forest to the records, one per row; targets are not looked at. Runs on the calling thread.
    ///
    /// # Errors
    /// If there is no row, no column or more than 65,534, or a value is NaN or infinite.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<IsolationForest, IsolationForestError> {
        let records = dataset.records.view();
        let (rows, columns) = records.dim();
        if rows == 0 || !(1..=MAX_FEATURES).contains(&columns) {
            return Err(IsolationForestError::Shape { rows, columns, most: MAX_FEATURES });
        }
        check_finite(records)?;
        let rows_sampled = self.sample_size.min(rows);
        let sample = rows_sampled as u16;
        let average_path = average_path_lengths(rows_sampled);
        let shape = Shape { features: columns as u16, sample, max_depth: self.depth_for(rows_sampled), average_path: &average_path };
        let mut seeds = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let mut sampler = Sampler::new(records, rows_sampled);
        let trees = (0..self.trees)
            .map(|_| {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seeds.next_u64());
                Tree::grow(sampler.draw(&mut rng), shape, &mut rng)
            })
            .collect();
        Ok(IsolationForest { params: *self, features: shape.features, sample, average_path: average_path[rows_sampled], trees })
    }
}

/// linfa's way to score, which has no room for an error: see [`IsolationForest::score`] for the one that has.
impl<D: Data<Elem = f64>> PredictInplace<ArrayBase<D, Ix2>, Array1<f64>> for IsolationForest {
    /// The score of each row; NaN for a row with a value that is NaN or infinite, for every row when they are not as wide
    /// as those fitted to, and where `scores` is longer than there are rows.
    fn predict_inplace(&self, rows: &ArrayBase<D, Ix2>, scores: &mut Array1<f64>) {
        scores.fill(f64::NAN);
        if rows.ncols() == self.features() {
            self.score_blocks(rows.view(), scores);
        }
    }

    fn default_target(&self, rows: &ArrayBase<D, Ix2>) -> Array1<f64> {
        Array1::zeros(rows.nrows())
    }
}

/// Draws samples without replacement.
struct Sampler<'a> {
    records: ArrayView2<'a, f64>,
    /// 0, 1, 2 and so on, between draws.
    order: Vec<usize>,
    swaps: Vec<usize>,
    sample: Sample,
}

impl<'a> Sampler<'a> {
    fn new(records: ArrayView2<'a, f64>, size: usize) -> Self {
        let (rows, columns) = records.dim();
        let sample = Sample { columns: vec![0.0; columns * size], rows: size };
        Self { records, order: (0..rows).collect(), swaps: vec![0; size], sample }
    }

    /// The beginning of a Fisher-Yates shuffle, undone afterwards, so that a sample depends on `rng` alone.
    fn draw(&mut self, rng: &mut impl Rng) -> &Sample {
        let size = self.sample.rows;
        for place in 0..size {
            let drawn = rng.gen_range(place..self.order.len());
            self.swaps[place] = drawn;
            self.order.swap(place, drawn);
            for (column, &value) in self.records.row(self.order[place]).iter().enumerate() {
                self.sample.columns[column * size + place] = value;
            }
        }
        for place in (0..size).rev() {
            self.order.swap(place, self.swaps[place]);
        }
        &self.sample
    }
}

fn check_finite(rows: ArrayView2<'_, f64>) -> Result<(), IsolationForestError> {
    rows.outer_iter().enumerate().try_for_each(|(row, values)| check_row(row, values))
}

fn check_row<'a>(row: usize, values: impl IntoIterator<Item = &'a f64>) -> Result<(), IsolationForestError> {
    match values.into_iter().enumerate().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((column, &value)) => Err(IsolationForestError::NotFinite { row, column, value }),
    }
}

#[cfg(test)]
mod tests;
