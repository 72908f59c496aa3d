//! One isolation tree: grown on a sample, walked by many rows at once.

use rand::Rng;
use rand::distributions::Standard;
use serde::{Deserialize, Serialize};

/// How many rows walk down a tree side by side. Their loads do not wait for one another.
pub(super) const LANES: usize = 8;

/// The average path length of an unsuccessful search in a binary search tree of `n` keys, for each `n` up to `largest`:
/// c(n) = 2 H(n − 1) − 2 (n − 1) / n, equation 1 of Liu, Ting and Zhou (2008), with H summed exactly where the paper
/// approximates it by ln n + γ, which is 0.46 too low at n = 3. c(0) and c(1) are 0.
pub(super) fn average_path_lengths(largest: usize) -> Vec<f64> {
    let mut harmonic = 0.0;
    (0..=largest)
        .map(|n| {
            if n < 2 {
                return 0.0;
            }
            let below = (n - 1) as f64;
            harmonic += 1.0 / below;
            2.0 * harmonic - 2.0 * below / n as f64
        })
        .collect()
}

/// A place in a tree. A leaf reads the column after the last feature, which holds −∞ for every row, and so sends
/// each row back to itself: all rows take the same number of steps and no branch depends on the data.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Node {
    /// Of a split its threshold; of a leaf the path length of a row that ends there.
    value: f64,
    /// Of a split its left child, which the right one follows; of a leaf itself.
    next: u32,
    feature: u16,
    /// Of a leaf the number of rows in it, at least 1; of a split 0.
    size: u16,
}

/// What one node says when the tree is written down, in preorder: the children need no indices.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Step {
    /// A row goes left when its `feature` is at most `threshold`.
    Split { feature: u16, threshold: f64 },
    /// The end, with `size` rows of the sample.
    Leaf { size: u16 },
}

/// What a tree's written form must keep to.
#[derive(Clone, Copy)]
pub(super) struct Shape<'a> {
    /// At least 1 and less than `u16::MAX`.
    pub features: u16,
    /// Rows in the sample, at least 1.
    pub sample: u16,
    pub max_depth: usize,
    /// c(n) for n up to `sample`.
    pub average_path: &'a [f64],
}

/// Why a written tree is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum BadTree {
    #[error("it ends before all its branches do")]
    Short,
    #[error("{0} nodes are left over")]
    Long(usize),
    #[error("a branch is deeper than {0}")]
    Deep(usize),
    #[error("it splits on feature {found}, counted from 0, of {features}")]
    Feature { found: u16, features: u16 },
    #[error("a threshold is {0}, not a number")]
    Threshold(f64),
    #[error("its leaves do not hold the {0} rows of the sample")]
    Sizes(u16),
}

/// A grown tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    depth: usize,
}

/// A sample of rows, by column.
pub(super) struct Sample {
    /// All values of column 0, then of column 1, and so on.
    pub columns: Vec<f64>,
    pub rows: usize,
}

impl Tree {
    /// Grows a tree on `sample`: at every node a feature is drawn among those that vary there, then a threshold between
    /// the least and the greatest value.
    pub(super) fn grow(sample: &Sample, shape: Shape<'_>, rng: &mut impl Rng) -> Self {
        /// Rows `from..to` of the order wait for their node. Only the first `varying` features may vary among them.
        struct Pending {
            from: usize,
            to: usize,
            varying: usize,
        }

        let mut order: Vec<u16> = (0..shape.sample).collect();
        let mut features: Vec<u16> = (0..shape.features).collect();
        let mut builder = Builder::new(shape);
        let mut pending = vec![Pending { from: 0, to: order.len(), varying: features.len() }];
        while let Some(Pending { from, to, mut varying }) = pending.pop() {
            let rows = &mut order[from..to];
            let split =
                if rows.len() > 1 && builder.may_split() { sample.draw_split(rows, &mut features, &mut varying, rng) } else { None };
            if let Some((feature, threshold)) = split {
                let middle = from + sample.partition(rows, feature, threshold);
                builder.split(feature, threshold);
                pending.push(Pending { from: middle, to, varying });
                pending.push(Pending { from, to: middle, varying });
            } else {
                builder.leaf((to - from) as u16);
            }
        }
        builder.tree
    }

    /// The tree in preorder.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::with_capacity(self.nodes.len());
        let mut pending = vec![0];
        while let Some(at) = pending.pop() {
            let node: Node = self.nodes[at as usize];
            if node.size > 0 {
                steps.push(Step::Leaf { size: node.size });
            } else {
                steps.push(Step::Split { feature: node.feature, threshold: node.value });
                pending.extend([node.next + 1, node.next]);
            }
        }
        steps
    }

    /// The tree that `steps` writes down, if it is one of this shape. Nothing that comes out can loop or read outside.
    pub(super) fn from_steps(steps: &[Step], shape: Shape<'_>) -> Result<Self, BadTree> {
        let mut builder = Builder::new(shape);
        let mut left = usize::from(shape.sample);
        for (done, step) in steps.iter().enumerate() {
            if builder.open.is_empty() {
                return Err(BadTree::Long(steps.len() - done));
            }
            match *step {
                Step::Split { .. } if !builder.may_split() => return Err(BadTree::Deep(shape.max_depth)),
                Step::Split { feature, .. } if feature >= shape.features => {
                    return Err(BadTree::Feature { found: feature, features: shape.features });
                }
                Step::Split { threshold, .. } if !threshold.is_finite() => return Err(BadTree::Threshold(threshold)),
                Step::Split { feature, threshold } => builder.split(feature, threshold),
                Step::Leaf { size } if size == 0 || usize::from(size) > left => return Err(BadTree::Sizes(shape.sample)),
                Step::Leaf { size } => {
                    left -= usize::from(size);
                    builder.leaf(size);
                }
            }
        }
        match (builder.open.is_empty(), left) {
            (false, _) => Err(BadTree::Short),
            (true, 0) => Ok(builder.tree),
            (true, _) => Err(BadTree::Sizes(shape.sample)),
        }
    }

    /// Adds the path length of each row of `block` to its place in `totals`. `LANES` rows stand side by side as
    /// `width` columns, the last of which is −∞, and their totals as one element of `totals`.
    pub(super) fn add_path_lengths(&self, block: &[[f64; LANES]], width: usize, totals: &mut [[f64; LANES]]) {
        let nodes = self.nodes.as_slice();
        let root = nodes[0];
        for (columns, totals) in block.chunks_exact(width).zip(totals) {
            // All rows meet at the root, so that this step needs no look-up per row.
            let mut at = columns[usize::from(root.feature)].map(|value| root.next + u32::from(value > root.value));
            for _ in 1..self.depth {
                for (lane, at) in at.iter_mut().enumerate() {
                    let node = &nodes[*at as usize];
                    *at = node.next + u32::from(columns[usize::from(node.feature)][lane] > node.value);
                }
            }
            for (total, at) in totals.iter_mut().zip(at) {
                *total += nodes[at as usize].value;
            }
        }
    }

    /// The path length of one row.
    pub(super) fn path_length(&self, row: &[f64]) -> f64 {
        let mut node = &self.nodes[0];
        while node.size == 0 {
            node = &self.nodes[node.next as usize + usize::from(row[usize::from(node.feature)] > node.value)];
        }
        node.value
    }
}

impl Sample {
    fn column(&self, feature: u16) -> &[f64] {
        &self.columns[usize::from(feature) * self.rows..][..self.rows]
    }

    /// A feature, each that varies among `rows` being as likely, and a threshold that leaves rows on both sides.
    /// Features found constant move behind the first `varying`, and need not be looked at again further down.
    fn draw_split(&self, rows: &[u16], features: &mut [u16], varying: &mut usize, rng: &mut impl Rng) -> Option<(u16, f64)> {
        while *varying > 0 {
            let drawn = rng.gen_range(0..*varying);
            let feature = features[drawn];
            let column = self.column(feature);
            let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
            for &row in rows {
                let value = column[usize::from(row)];
                min = if value < min { value } else { min };
                max = if value > max { value } else { max };
            }
            if min < max {
                // A weighted mean, as `max - min` may be infinite. What rounding brings up to `max` would leave nothing above.
                let weight: f64 = rng.sample(Standard);
                let threshold = min * (1.0 - weight) + max * weight;
                return Some((feature, if threshold > min && threshold < max { threshold } else { min }));
            }
            *varying -= 1;
            features.swap(drawn, *varying);
        }
        None
    }

    /// Brings the rows at or below the threshold to the front and says how many they are.
    fn partition(&self, rows: &mut [u16], feature: u16, threshold: f64) -> usize {
        let column = self.column(feature);
        let mut below = 0;
        for i in 0..rows.len() {
            let row = rows[i];
            rows.swap(i, below);
            below += usize::from(column[usize::from(row)] <= threshold);
        }
        below
    }
}

/// A tree that takes its nodes in preorder.
struct Builder<'a> {
    tree: Tree,
    shape: Shape<'a>,
    /// Places that wait for their node, with their depth, the next one last.
    open: Vec<(u32, usize)>,
}

impl<'a> Builder<'a> {
    fn new(shape: Shape<'a>) -> Self {
        let unset = Node { value: 0.0, next: 0, feature: shape.features, size: 1 };
        Self { tree: Tree { nodes: vec![unset], depth: 0 }, shape, open: vec![(0, 0)] }
    }

    fn may_split(&self) -> bool {
        self.open.last().is_some_and(|&(_, depth)| depth < self.shape.max_depth)
    }

    fn split(&mut self, feature: u16, threshold: f64) {
        let Some((at, depth)) = self.open.pop() else { return };
        let left = self.tree.nodes.len() as u32;
        self.tree.nodes[at as usize] = Node { value: threshold, next: left, feature, size: 0 };
        self.tree.nodes.extend([left, left + 1].map(|next| Node { value: 0.0, next, feature: self.shape.features, size: 1 }));
        self.tree.depth = self.tree.depth.max(depth + 1);
        self.open.extend([(left + 1, depth + 1), (left, depth + 1)]);
    }

    fn leaf(&mut self, size: u16) {
        let Some((at, depth)) = self.open.pop() else { return };
        let node = &mut self.tree.nodes[at as usize];
        node.size = size;
        node.value = depth as f64 + self.shape.average_path[usize::from(size)];
    }
}
