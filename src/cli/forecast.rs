//! `bellwether forecast`.

mod table;

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use rayon::prelude::*;

use super::check::Settings;
use super::{Terminal, chart, misused, print, runtime};
use crate::analysis::CannotSay;
use crate::analysis::forecast::{self, Forecast, MOST_STEPS, Options};
use crate::calendar::Calendar;
use crate::clock::{Clock, DurationMs};
use crate::config;
use crate::error::{Error, Result, Violation};
use crate::metric::Unit;
use crate::plot::Chart;
use crate::series::{Series, Window};
use crate::source::file::{self, Long};
use table::Table;

/// Rows of a chart.
const ROWS: usize = 14;
/// Charts printed in full.
const MOST_CHARTS: usize = 12;
/// The most rows a forecast of a file may have.
const MOST_ROWS: usize = 20_000_000;

/// Forecast a query or a file, with intervals that are calibrated on its past.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  bellwether forecast --file demand.csv --horizon 48 --season 24,168 --out forecast.csv\n  \
                        bellwether forecast --prometheus http://localhost:9090 'node_filesystem_avail_bytes' --horizon 7d --step 1h --limit 0\n\n\
                        A file is in long form (unique_id, ds, y), or has a column of times and one for each series. What is\n\
                        written has the columns unique_id, ds, yhat, yhat_lower, yhat_upper.")]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    /// The PromQL to forecast.
    #[arg(value_name = "PROMQL", required_unless_present = "file", conflicts_with = "file")]
    query: Option<String>,
    /// A CSV or Parquet file to forecast instead.
    #[arg(long)]
    file: Option<PathBuf>,
    /// How far: a number of steps, or a duration such as 7d.
    #[arg(long, value_name = "N")]
    horizon: Ahead,
    /// The seasons in steps; those that go with the step, or are found, when not given; 1 for none.
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    season: Vec<usize>,
    /// The chance in percent that a value lies between its bounds.
    #[arg(long, value_name = "PERCENT", default_value_t = 95.0)]
    level: f64,
    /// When this value will be reached.
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    limit: Option<f64>,
    /// No value is smaller; 0 when none ever was.
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    floor: Option<f64>,
    /// No value is larger.
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    ceiling: Option<f64>,
    /// A YAML file with a list of calendars of known events, such as holidays, past and to come: [{cron: "0 0 25 12 *", for: 1d}].
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// A CSV or Parquet file for the forecast of a file; standard output when not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How much history is read from Prometheus.
    #[arg(long, value_name = "DURATION", default_value = "14d", conflicts_with = "file")]
    range: DurationMs,
    /// The time between two points.
    #[arg(long, value_name = "DURATION", default_value = "5m", conflicts_with = "file")]
    step: DurationMs,
    /// The unit of the values: seconds, bytes, ratio or `per_second`.
    #[arg(long, default_value = "none")]
    unit: Unit,
}

/// How far ahead.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ahead {
    Steps(usize),
    For(DurationMs),
}

impl FromStr for Ahead {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = text.parse().map(Self::Steps).or_else(|_| text.parse().map(Self::For));
        read.map_err(|_| format!("`{text}` is neither a number of steps nor a duration such as 7d"))
    }
}

impl Ahead {
    fn steps(self, step: DurationMs) -> Result<usize> {
        let steps = match self {
            Self::Steps(steps) => steps,
            Self::For(duration) => duration.steps(step),
        };
        if (1..=MOST_STEPS).contains(&steps) {
            return Ok(steps);
        }
        Err(Error::invalid("--horizon", format!("is {steps} steps of {step}; from 1 to {MOST_STEPS} are forecast")))
    }
}

type Forecasts = Vec<Result<Forecast, CannotSay>>;

/// Reads, forecasts and prints or writes.
///
/// # Errors
/// Wrong arguments, a source that cannot be read, or a file that cannot be written.
pub(super) fn run(
    args: &Args,
    environment: impl Iterator<Item = (String, String)>,
    terminal: &Terminal,
    out: &mut impl Write,
) -> Result<()> {
    if !(args.level > 0.0 && args.level < 100.0) {
        return Err(Error::invalid("--level", format!("{} is not between 0 and 100 percent; 80 and 95 are usual", args.level)));
    }
    if let Some(season) = args.season.iter().find(|season| **season == 0) {
        return Err(Error::invalid("--season", format!("{season} is no length of a season; 24,168 is usual for hours, and 1 is none")));
    }
    let bounds = [("--limit", args.limit), ("--floor", args.floor), ("--ceiling", args.ceiling)];
    if let Some((name, value)) = bounds.into_iter().find_map(|(name, v)| v.filter(|v| !v.is_finite()).map(|v| (name, v))) {
        return Err(Error::invalid(name, format!("{value} is not a finite number")));
    }
    if let Some(path) = &args.file {
        let long = read_file(path)?;
        let forecasts = forecast_all(args, &long)?;
        return write_file(args, &long, &forecasts, out);
    }
    if args.out.is_some() {
        return Err(Error::invalid("--out", "goes with --file; the forecast of a query is drawn"));
    }
    let (long, warnings) = read_prometheus(args, environment)?;
    let forecasts = forecast_all(args, &long)?;
    print(out, &as_text(args, &long, &forecasts, &warnings, terminal))
}

fn read_file(path: &std::path::Path) -> Result<Long> {
    if file::is_long(path)? {
        return file::read_long(path, file::Limits::default());
    }
    let series = file::read(path, file::Limits::default())?;
    let named = |one: Series| (one.key.get("__name__").unwrap_or_default().to_owned(), one.window);
    Ok(Long { series: series.into_iter().map(named).collect(), counted: false })
}

fn read_prometheus(args: &Args, environment: impl Iterator<Item = (String, String)>) -> Result<(Long, Vec<String>)> {
    let config = args.settings.load(environment).map_err(misused)?;
    let missing = || Error::invalid("prometheus.url", "is missing; say where Prometheus is with --prometheus URL");
    let source = config.prometheus.ok_or_else(missing)?;
    if args.step == DurationMs::ZERO || args.range <= args.step {
        let what = format!("{} holds no two steps of {}; 14d and 5m are usual", args.range, args.step);
        return Err(Error::invalid("--range", what));
    }
    let end = Clock::System.now().align_down(args.step);
    let start = (end - args.range).align_down(args.step);
    let query = args.query.as_deref().unwrap_or_default();
    let reading = runtime()?.block_on(async { source.build()?.range(query, start, end, args.step).await })?;
    if reading.series.is_empty() {
        return Err(Error::invalid("PROMQL", "the query yields no series in this range"));
    }
    let series = reading.series.into_iter().map(|one| (one.key.to_string(), one.window)).collect();
    Ok((Long { series, counted: false }, reading.warnings))
}

/// One forecast for each series, on all cores.
fn forecast_all(args: &Args, long: &Long) -> Result<Forecasts> {
    let steps: Vec<usize> = long.series.iter().map(|(_, window)| args.horizon.steps(window.step())).collect::<Result<_>>()?;
    let rows: usize = steps.iter().sum();
    if rows > MOST_ROWS {
        return Err(Error::invalid("--horizon", format!("makes {rows} rows for {} series; at most {MOST_ROWS} are made", steps.len())));
    }
    let calendars =
        args.events.as_deref().map_or(Ok(Vec::new()), config::calendars).map_err(|violations| misused(of_events(violations)))?;
    if long.counted && !calendars.is_empty() {
        return Err(Error::invalid("--events", "are at times; ds of this file counts steps"));
    }
    let all = long.series.par_iter().zip(steps);
    Ok(all.map(|((_, window), steps)| forecast::forecast(window.values(), &options(args, &calendars, long, window, steps))).collect())
}

/// Violations of the file of events under the name of their option.
fn of_events(violations: Vec<Violation>) -> Vec<Violation> {
    let field = |field: String| field.strip_prefix("file").map_or_else(|| field.clone(), |place| format!("--events{place}"));
    violations.into_iter().map(|v| Violation { field: field(v.field), ..v }).collect()
}

fn options(args: &Args, calendars: &[Calendar], long: &Long, window: &Window, horizon: usize) -> Options {
    let step = (!long.counted).then_some(window.step());
    let periods = if args.season.is_empty() { forecast::seasons(window.values(), step) } else { args.season.clone() };
    Options {
        horizon,
        periods,
        floor: args.floor.or_else(|| forecast::natural_floor(window.values())),
        ceiling: args.ceiling,
        events: Calendar::places(|| calendars.iter(), window, window.len() + horizon),
    }
}

fn write_file(args: &Args, long: &Long, forecasts: &Forecasts, out: &mut impl Write) -> Result<()> {
    let mut table = Table::default();
    let mut notes = String::new();
    for ((id, window), outcome) in long.series.iter().zip(forecasts) {
        match outcome {
            Ok(forecast) => {
                let (lower, upper) = forecast.interval(args.level / 100.0);
                for (k, yhat) in forecast.yhat.iter().enumerate() {
                    table.push(id, long.ds(window.time(window.len() + k)), [*yhat, lower[k], upper[k]]);
                }
                if let Some(limit) = args.limit {
                    let _ = writeln!(notes, "{id}: {}", reached(args, long, window, forecast, limit));
                }
            }
            Err(reason) => {
                let _ = writeln!(notes, "{id}: no forecast: {reason}");
            }
        }
    }
    if let Some(path) = &args.out {
        table.write(path, long.counted)?;
        let (rows, series) = (table.len(), forecasts.iter().flatten().count());
        return print(out, &format!("{notes}{rows} rows for {series} series in {}\n", path.display()));
    }
    let _ = write!(std::io::stderr(), "{notes}");
    print(out, &table.csv())
}

/// When the limit is reached, in words.
fn reached(args: &Args, long: &Long, window: &Window, forecast: &Forecast, limit: f64) -> String {
    let reach = forecast.reach(limit, forecast.towards(limit), args.level / 100.0);
    reach.in_words(&args.unit.show(limit), |steps| long.ds(window.time(window.len() + steps - 1)))
}

fn as_text(args: &Args, long: &Long, forecasts: &Forecasts, warnings: &[String], terminal: &Terminal) -> String {
    let mut text = String::new();
    for warning in warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    for (i, ((id, window), outcome)) in long.series.iter().zip(forecasts).enumerate() {
        match outcome {
            Err(reason) => {
                let _ = writeln!(text, "{id}: no forecast: {reason}");
            }
            Ok(forecast) => {
                if i < MOST_CHARTS {
                    text.push_str(&chart::render(&drawn(args, id, window, forecast), (terminal.columns, ROWS), terminal.colour));
                }
                let models: Vec<String> =
                    forecast.models.iter().map(|(model, weight)| format!("{model} {:.0} %", 100.0 * weight)).collect();
                let _ = writeln!(text, "by {}", models.join(", "));
                if forecast.forgotten > 0 {
                    let _ = writeln!(text, "the level shifted at {}; what was before is forgotten", window.time(forecast.forgotten));
                }
                if let Some(limit) = args.limit {
                    let _ = writeln!(text, "{}", reached(args, long, window, forecast, limit));
                }
                text.push('\n');
            }
        }
    }
    text
}

fn drawn(args: &Args, id: &str, window: &Window, forecast: &Forecast) -> Chart {
    let title = format!("{id}: the next {} with bounds of {} %", window.step() * forecast.yhat.len() as i64, args.level);
    Chart::of_forecast(title, args.unit, window, &forecast.yhat, forecast.interval(args.level / 100.0))
}
