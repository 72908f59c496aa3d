//! The backtest over a simulated shop: what was raised, held against what was injected.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::super::check::Output;
use super::super::text::{Align, Cell, Style, Table};
use super::super::{Terminal, print, runtime};
use super::{Args, Defaults, PER_DAY};
use crate::backtest::shop::measure::{Measure, Measured};
use crate::backtest::shop::{Plan, judge, run as play};
use crate::engine::pool::Pool;
use crate::error::{Code, Error, Result};

/// Steps of the bar.
const BAR: u64 = 1000;

/// What is printed as JSON.
#[derive(Serialize)]
struct Summary<'a> {
    seed: u64,
    services: usize,
    #[serde(flatten)]
    measured: &'a Measured,
}

/// Plays the shop of `seed`, measures, and prints.
///
/// # Errors
/// Wrong arguments, or results that cannot be written.
pub(super) fn run(args: &Args, seed: u64, terminal: &Terminal, out: &mut impl Write) -> Result<()> {
    let Defaults { window, refit, patience, .. } = Defaults::default();
    let Args { services, days, incidents, .. } = *args;
    let (changes, alerts_per_day) = (incidents * 3 / 4, args.per_day.unwrap_or(PER_DAY));
    let plan = Plan { seed, services, days, incidents, changes, alerts_per_day, window, refit, patience };
    let bar = ProgressBar::with_draw_target(Some(BAR), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let played = runtime()?.block_on(async {
        play(&Pool::new(0)?, &plan, |progress| {
            bar.set_position((progress.done * BAR as f64) as u64);
            bar.set_message(progress.monitor);
        })
        .await
    });
    bar.finish_and_clear();
    let played = played?;
    let measured = judge(&played)?;
    let summary = Summary { seed, services, measured: &measured };
    let json = json(&summary)?;
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::invalid("--out", format!("the folder {} cannot be made", folder.display())).caused_by(e))?;
        write(&folder.join("summary.json"), &json)?;
        write(&folder.join("incidents.json"), &self::json(&measured.raised)?)?;
        write(&folder.join("played.json"), &self::json(&played)?)?;
    }
    print(out, &if args.output == Output::Json { json } else { as_text(&summary, terminal) })
}

fn json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value);
    Ok(text.map_err(|e| Error::new(Code::Internal, "the result has no form").caused_by(e))? + "\n")
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| Error::new(Code::Unavailable, format!("{} cannot be written", path.display())).caused_by(e))
}

fn as_text(summary: &Summary<'_>, terminal: &Terminal) -> String {
    let measured = summary.measured;
    let mut table = Table::new([("MEASURE", Align::Left), ("VALUE", Align::Right), ("BAR", Align::Left), ("", Align::Left)]);
    for Measure { name, value, bar, is_met } in &measured.measures {
        let verdict = if *is_met { Cell::new("met", Style::Green) } else { Cell::new("missed", Style::Red) };
        table.row([Cell::from(*name), number(*value).into(), bar.as_str().into(), verdict]);
    }
    let mut text = table.render(terminal.columns, terminal.colour);
    text.push('\n');
    let headings = [("KIND", Align::Left), ("INJECTED", Align::Right), ("FOUND", Align::Right), ("MINUTES", Align::Right)];
    let mut table = Table::new(headings.into_iter().chain([("ROOT FIRST", Align::Right), ("IN TOP 3", Align::Right)]));
    for kind in &measured.kinds {
        let counts = [kind.injected, kind.found].map(|n| Cell::from(n.to_string()));
        let roots = [kind.first, kind.top3].map(|n| Cell::from(n.to_string()));
        table.row([Cell::from(kind.kind.as_str())].into_iter().chain(counts).chain([number(kind.median_minutes).into()]).chain(roots));
    }
    text.push_str(&table.render(terminal.columns, terminal.colour));
    let Measured { days, alerts_in, noise_in, incidents, merged, false_incidents, findings, noise_findings, .. } = measured;
    let _ = writeln!(
        text,
        "\nshop {} of {} services, {days} days: rules fired {alerts_in} times ({:.0} a day), {} of them noise; {incidents} incidents instead, \
         {merged} of them merged into others and {false_incidents} false",
        summary.seed,
        summary.services,
        *alerts_in as f64 / days,
        percent(*noise_in),
    );
    let _ = writeln!(
        text,
        "{findings} findings in incidents, {noise_findings} of them noise; pairs: precision {}, recall {}; 90 % known within {} minutes; root \
         first for {}, in the top 3 ten minutes after the first alert for {}",
        number(measured.precision),
        number(measured.recall),
        number(measured.p90_minutes),
        percent(measured.first),
        percent(measured.early_top3),
    );
    text
}

fn number(value: Option<f64>) -> String {
    value.map_or("none".to_owned(), |value| format!("{value:.2}"))
}

fn percent(share: Option<f64>) -> String {
    share.map_or("none".to_owned(), |share| format!("{:.0} %", share * 100.0))
}
