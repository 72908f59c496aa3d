//! The command line: one file per verb.

mod analyze;
mod backtest;
mod backup;
pub mod chart;
pub mod check;
mod demo;
mod diagnose;
mod discover;
mod drift;
mod forecast;
mod serve;
mod show;
pub mod text;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{Code, Error, Result, Violation};

/// Finds what is abnormal in Prometheus, joins what belongs together, and tells Alertmanager once, with what to do.
#[derive(Parser)]
#[command(name = "bellwether", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Watch a Prometheus and tell its Alertmanagers.
    Serve(serve::Args),
    /// See it work: a simulated shop with an incident that began minutes ago.
    Demo(demo::Args),
    /// Judge one query or file now, with a chart.
    Analyze(analyze::Args),
    /// Forecast a query or a file, and say when a limit is reached.
    Forecast(forecast::Args),
    /// Hold a file, or histograms of Prometheus, against an earlier one: have the data changed?
    Drift(drift::Args),
    /// Rank services by how likely trouble began in each.
    Diagnose(diagnose::Args),
    /// Show what would have been found in a past that is known.
    Backtest(backtest::Args),
    /// Propose monitors for what a Prometheus has.
    Discover(discover::Args),
    /// Show every error of a configuration, or what it would do.
    Check(check::Args),
    /// Write everything that is stored to one file.
    Backup(backup::BackupArgs),
    /// Put back what `backup` wrote.
    Restore(backup::RestoreArgs),
}

/// What a verb is given besides its arguments.
struct Terminal {
    /// Columns of the terminal, or as many as a printed page has.
    columns: usize,
    /// Whether colours are wanted.
    colour: bool,
}

/// Runs the command `args` asks for: 0 when it went well, 1 when it failed, 2 when it was misused.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no misuse; nothing can be done about a closed terminal.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let environment = || std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let terminal = Terminal::of_stdout(environment());
    let result = match cli.verb {
        Verb::Serve(args) => serve::run(&args, environment()),
        Verb::Demo(args) => demo::run(&args, environment(), &terminal),
        Verb::Analyze(args) => analyze::run(&args, environment(), &terminal, &mut std::io::stdout().lock()),
        Verb::Forecast(args) => forecast::run(&args, environment(), &terminal, &mut std::io::stdout().lock()),
        Verb::Drift(args) => drift::run(&args, environment(), &terminal, &mut std::io::stdout().lock()),
        Verb::Diagnose(args) => diagnose::run(&args, environment(), &terminal, &mut std::io::stdout().lock()),
        Verb::Backtest(args) => backtest::run(&args, environment(), &terminal, &mut std::io::stdout().lock()),
        Verb::Discover(args) => discover::run(&args, environment(), &mut std::io::stdout().lock()),
        Verb::Backup(args) => backup::backup(&args, environment(), &mut std::io::stdout().lock()),
        Verb::Restore(args) => backup::restore(&args, environment(), &mut std::io::stdout().lock()),
        Verb::Check(args) => return check::run(&args, environment(), &mut std::io::stdout().lock()).unwrap_or(ExitCode::FAILURE),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", message(&error));
            ExitCode::from(if error.code == Code::InvalidArgument { 2 } else { 1 })
        }
    }
}

/// An error as a person reads it on a terminal: every field at fault on a line of its own.
fn message(error: &Error) -> String {
    match error.violations.as_slice() {
        [] | [_] => format!("error: {}", error.chain()),
        several => several.iter().fold("error:".to_owned(), |text, violation| format!("{text}\n  {violation}")),
    }
}

/// Violations of the configuration as the command's error.
fn misused(violations: Vec<Violation>) -> Error {
    Error::violations(violations)
}

/// The runtime everything asynchronous runs on.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(Code::Internal, "cannot start the runtime").caused_by(e))
}

/// Writes to the terminal; a reader that went away is no error worth telling.
fn print(out: &mut impl Write, text: &str) -> Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::new(Code::Unavailable, "cannot print").caused_by(error)),
        _ => Ok(()),
    }
}

impl Terminal {
    fn of_stdout(environment: impl Iterator<Item = (String, String)>) -> Self {
        let (mut columns, mut plain) = (None, !std::io::stdout().is_terminal());
        for (name, value) in environment {
            match name.as_str() {
                "COLUMNS" => columns = value.parse().ok(),
                "NO_COLOR" => plain |= !value.is_empty(),
                _ => {}
            }
        }
        Self { columns: columns.unwrap_or(100).clamp(60, 160), colour: !plain }
    }
}
