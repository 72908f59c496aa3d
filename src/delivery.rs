//! Telling Alertmanager, and hearing from it.
//!
//! [`compose`] makes the one alert of an incident, [`Alertmanager`] posts it, [`webhook`] reads what an
//! Alertmanager tells us of alerts that others raised.

mod alertmanager;
pub mod compose;
pub mod webhook;

pub use alertmanager::{AlertState, Alertmanager, Config, Outcome, Silence};
