//! Seasonal decomposition.
