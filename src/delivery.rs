//! Telling Alertmanager, and hearing from it.
//!
//! [`compose`] makes the one alert of an incident, [`links`] signs what feedback is given by, [`Alertmanager`] posts it,
//! [`webhook`] reads what an Alertmanager tells us of alerts that others raised, [`hook`] calls the webhook of an action.

mod alertmanager;
pub mod compose;
pub mod hook;
pub mod links;
pub mod webhook;

pub use alertmanager::{AlertState, Alertmanager, Config, Outcome, Silence};
