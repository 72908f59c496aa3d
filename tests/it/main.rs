//! Integration tests, in one binary; the real servers where a user has them.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod actions;
mod api;
mod backtest;
mod backup;
mod budget;
mod command;
mod delivery;
mod demo;
mod discover;
mod engine;
mod inference;
mod layering;
mod nonsense;
#[path = "../../src/store/tests/server.rs"]
mod postgres;
mod process;
mod servers;
mod simulator;
mod source;
mod telemetry;
