//! A simulated shop with ground truth: a dozen services and more, their metrics, and an incident.
//!
//! The demo shows it and the tests measure against it. [`Shop`] holds the metrics, [`promql`] answers
//! queries over them as Prometheus does, [`http`] serves them through Prometheus' HTTP API, and
//! [`receiver`] stands in for an Alertmanager. [`Truth`] says what is really wrong. A [`campaign`] plays dozens of
//! incidents over weeks of ordinary noise, and [`rules`] are the threshold rules that people would have beside it.
//!
//! Every value is a function of the configuration and the scrape's time alone: it does not matter when
//! or in what order it is asked for, history and live agree, and the shop goes on into the future.

pub mod campaign;
mod disk;
pub mod http;
mod incident;
mod layered;
mod noise;
mod openmetrics;
pub mod promql;
pub mod receiver;
mod rhythm;
pub mod rules;
mod service;
mod shop;
mod topology;
mod unrest;

pub use incident::{Affected, IncidentKind, Plan, TrueIncident, Truth};
pub use shop::{Config, Family, FamilyKind, MOST_SERVICES, Shop};
