//! A simulated shop with ground truth.
