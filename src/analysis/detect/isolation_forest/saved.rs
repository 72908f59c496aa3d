//! The written form of a forest. Reading it back trusts nothing.

use linfa::ParamGuard;
use serde::{Deserialize, Serialize};

use super::params::{IsolationForestError, IsolationForestParams, IsolationForestValidParams};
use super::tree::{BadTree, Shape, Step, Tree, average_path_lengths};
use super::{IsolationForest, MAX_FEATURES};

/// What is written: the trees in preorder, where children need no index, and leaves with their counts, from which path
/// lengths are worked out again.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    sample_size: usize,
    max_depth: Option<usize>,
    seed: u64,
    features: u16,
    sample: u16,
    trees: Vec<Vec<Step>>,
}

/// Why a written forest is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("this is no isolation forest: {0}")]
    Params(#[from] IsolationForestError),
    #[error("this is no isolation forest: it has {features} features, there must be 1 to {MAX_FEATURES}")]
    Features { features: u16 },
    #[error("this is no isolation forest: its trees are grown on {sample} rows, there must be 1 to {most}")]
    Sample { sample: u16, most: usize },
    #[error("this is no isolation forest: tree {index}: {why}")]
    Tree { index: usize, why: BadTree },
}

impl From<IsolationForest> for Saved {
    fn from(forest: IsolationForest) -> Self {
        Self {
            sample_size: forest.params.sample_size,
            max_depth: forest.params.max_depth,
            seed: forest.params.seed,
            features: forest.features,
            sample: forest.sample,
            trees: forest.trees.iter().map(Tree::steps).collect(),
        }
    }
}

impl TryFrom<Saved> for IsolationForest {
    type Error = Refused;

    fn try_from(saved: Saved) -> Result<Self, Refused> {
        let Saved { sample_size, max_depth, seed, features, sample, trees } = saved;
        let params = IsolationForestParams(IsolationForestValidParams { trees: trees.len(), sample_size, max_depth, seed }).check()?;
        if !(1..=MAX_FEATURES).contains(&usize::from(features)) {
            return Err(Refused::Features { features });
        }
        if sample == 0 || usize::from(sample) > params.sample_size {
            return Err(Refused::Sample { sample, most: params.sample_size });
        }
        let average_path = average_path_lengths(usize::from(sample));
        let max_depth = params.depth_for(usize::from(sample));
        let shape = Shape { features, sample, max_depth, average_path: &average_path };
        let trees = trees
            .iter()
            .enumerate()
            .map(|(index, steps)| Tree::from_steps(steps, shape).map_err(|why| Refused::Tree { index, why }))
            .collect::<Result<_, _>>()?;
        Ok(Self { params, features, sample, average_path: average_path[usize::from(sample)], trees })
    }
}
