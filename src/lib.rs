//! Bellwether: an AIOps analytics engine for people who run Prometheus and Alertmanager.
//!
//! # Layout
//!
//! Imports go downwards only; a test holds them to it.
//!
//! | layer | modules | what |
//! |---|---|---|
//! | face | [`cli`] | one file per verb |
//! | wiring | [`app`], [`config`] | builds the parts from one configuration |
//! | service | [`service`] | gRPC, web pages, webhook, metrics, health on one port |
//! | engine | [`engine`] | what is due, run it, keep it, tell it |
//! | edges | [`source`], [`delivery`], [`store`], [`simulator`] | the outside world; none imports another |
//! | plumbing | [`telemetry`], [`endpoint`] | own logs, metrics, traces; calling servers |
//! | pure | [`analysis`], [`correlation`], [`plot`] | values in, values out |
//! | vocabulary | [`clock`], [`error`], [`series`], [`metric`], [`calendar`], [`guard`], [`reach`], [`monitor`], [`finding`], [`event`], [`incident`], [`alert`], [`feedback`], [`action`], [`glob`], [`template`] | the words everything speaks |

pub mod action;
pub mod alert;
pub mod analysis;
pub mod app;
pub mod backtest;
pub mod calendar;
pub mod cli;
pub mod clock;
pub mod config;
pub mod correlation;
pub mod delivery;
pub mod endpoint;
pub mod engine;
pub mod error;
pub mod event;
pub mod feedback;
pub mod finding;
pub mod glob;
pub mod guard;
pub mod incident;
pub mod metric;
pub mod monitor;
pub mod plot;
pub mod reach;
pub mod series;
pub mod service;
pub mod simulator;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod template;
mod words;

/// The messages and services generated from `proto/`.
pub mod proto;
