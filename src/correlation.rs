//! What belongs together, what caused it, what to do. Values in, values out: no clock, no log, no I/O.
//!
//! - [`grouping`] joins findings and events into incidents; [`grouping::update`] is what the engine calls each tick.
//! - [`inference`] reads changes off series of Prometheus.
//! - [`lifecycle`] says when an incident is over, comes back or comes and goes, how urgent it is, and what it repeats.
//! - [`diagnose`] ranks services by how well a fault in each explains all metrics around an instant.
//! - [`ranking`] says what probably caused an incident, with a reason a person can check.
//! - [`topology`] knows who calls whom.
//! - [`feedback`] is what was learned from people's verdicts.
//! - [`remedy`] holds the catalogue of next steps and the runbooks it points to.

pub mod diagnose;
pub mod feedback;
pub mod grouping;
pub mod inference;
pub mod lifecycle;
mod place;
pub mod ranking;
pub mod remedy;
#[cfg(test)]
mod sample;
pub mod topology;
