//! Detectors: each looks at the residual in its own way and gives a p-value.

pub mod isolation_forest;
