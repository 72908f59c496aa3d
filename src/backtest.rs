//! Backtests: what Bellwether would have said about a past that is known.
//!
//! [`replay`] runs the live code over it, point by point; [`score`] holds the answers against labels.

pub mod replay;
pub mod score;
