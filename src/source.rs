//! Where series come from.

pub mod file;
pub mod prometheus;
