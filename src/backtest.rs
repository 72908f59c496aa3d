//! Backtests: what Bellwether would have said about a past that is known.
//!
//! [`replay`] runs the live code over it, point by point; [`score`] holds the answers against labels; [`summary`] is
//! what is told of it. [`alerts`] holds them against the alerts that fired. [`files`] does it to every [`input`] of a
//! folder, [`shop`] to a simulated shop in which all that goes wrong is known.

pub mod alerts;
pub mod files;
pub mod group;
pub mod incidents;
pub mod inline;
pub mod input;
mod picture;
pub mod prometheus;
pub mod replay;
pub mod report;
pub mod score;
pub mod shop;
pub mod summary;
