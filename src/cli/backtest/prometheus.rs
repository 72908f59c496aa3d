//! The backtest over a Prometheus: what would have been raised, beside the alerts that fired.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::check::{Output, Settings};
use super::super::text::{Align, Style, Table};
use super::super::{Terminal, misused, print, runtime};
use super::Args;
use crate::backtest::alerts::{Alerts, Comparison, Incidents};
use crate::backtest::prometheus::{Limits, Plan, Report, run as replay, watched};
use crate::backtest::report::{self, Beside};
use crate::clock::Clock;
use crate::engine::discover::Options;
use crate::engine::pool::Pool;
use crate::error::{Code, Error, Result};

/// Points held for one monitor: 200 MB.
const MOST_POINTS: usize = 25_000_000;
/// Names of alerts, and incidents, in one list.
const MOST_LISTED: usize = 10;
/// Steps of the bar.
const BAR: u64 = 1000;

/// Replays what Prometheus has, writes `summary.json` and `report.html`, and prints.
///
/// # Errors
/// Wrong arguments, a wrong configuration, a Prometheus that does not answer, or results that cannot be written.
pub(super) fn run(
    args: &Args,
    folder: &Path,
    environment: impl Iterator<Item = (String, String)>,
    terminal: &Terminal,
    out: &mut impl Write,
) -> Result<()> {
    let settings = Settings { config: args.config.clone(), prometheus: args.prometheus.clone(), ..Settings::default() };
    let config = settings.load(environment).map_err(misused)?;
    let source = config.prometheus.ok_or_else(|| Error::invalid("--prometheus", "is missing; say where Prometheus is"))?;
    let step = config.defaults.step;
    if args.range <= step {
        return Err(Error::invalid("--range", format!("{} is not longer than the step, {step}", args.range)));
    }
    std::fs::create_dir_all(folder)
        .map_err(|e| Error::invalid("--out", format!("the folder {} cannot be made", folder.display())).caused_by(e))?;
    let bar = ProgressBar::with_draw_target(Some(BAR), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message("looking at what there is");
    let result = runtime()?.block_on(async {
        let prometheus = source.build()?;
        let end = Clock::System.now().align_down(step);
        let discovery = config.discovery.then(|| Options::new(step, config.defaults.window));
        let plan = Plan {
            source: address(&source),
            monitors: watched(&prometheus, &config.monitors, discovery.as_ref(), end).await?,
            start: end - args.range,
            end,
            step,
            alerts_per_day: args.per_day.unwrap_or(config.alert_budget_per_day),
            refit: config.defaults.refit,
            limits: Limits { most_series: source.most_series, most_points: MOST_POINTS },
            calls: config.calls.clone(),
            patience: config.defaults.patience,
        };
        replay(&prometheus, &Pool::new(0)?, &plan, |progress| {
            bar.set_position((progress.done * BAR as f64) as u64);
            bar.set_message(progress.monitor);
        })
        .await
    });
    bar.finish_and_clear();
    let report = result?;
    let json = serde_json::to_string_pretty(&report).map_err(|e| Error::new(Code::Internal, "the report has no form").caused_by(e))? + "\n";
    write(&folder.join("summary.json"), &json)?;
    let beside = Beside { comparison: report.comparison.as_ref(), held_back: &report.suppressed, held_back_in_all: held_back(&report) };
    write(&folder.join("report.html"), &report::html(&report.summary, &report.pictures, &beside))?;
    print(out, &if args.output == Output::Json { json } else { as_text(&report, folder, terminal) })
}

/// The address without a user and a password.
fn address(source: &crate::source::prometheus::Config) -> String {
    let mut url = source.endpoint.url.clone();
    // A URL that cannot have a user has none to hide.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.as_str().trim_end_matches('/').to_owned()
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| Error::new(Code::Unavailable, format!("{} cannot be written", path.display())).caused_by(e))
}

fn as_text(report: &Report, folder: &Path, terminal: &Terminal) -> String {
    let mut text = String::new();
    let left_out = report.summary.failed.iter().map(|failure| format!("{} was left out: {}", failure.path, failure.reason));
    for warning in left_out.chain(report.summary.warnings.iter().cloned()) {
        let _ = writeln!(text, "{}", Style::Yellow.paint(&format!("warning: {warning}"), terminal.colour));
    }
    match &report.comparison {
        Some(comparison) => text.push_str(&compared(comparison, terminal)),
        None => text.push_str(&incidents("Incidents that Bellwether would have raised", &report.incidents, terminal)),
    }
    let totals = &report.summary.totals;
    let days = report.end.since(report.start);
    let _ = writeln!(
        text,
        "{} monitors with {} series, {} of them judged, over {days} from {} to {}",
        report.monitors.len(),
        totals.series,
        totals.series_judged,
        report.start,
        report.end
    );
    let suppressed = held_back(report);
    if suppressed > 0 {
        let _ =
            writeln!(text, "{suppressed} findings were held back by guards and are not counted; the report lists them with the reasons");
    }
    let _ = writeln!(text, "{} has the report, summary.json the figures", folder.join("report.html").display());
    text
}

/// Findings that guards hold back, those that are not listed among them.
fn held_back(report: &Report) -> usize {
    report.monitors.iter().map(|monitor| monitor.suppressed).sum()
}

fn compared(comparison: &Comparison, terminal: &Terminal) -> String {
    let Comparison { both, only_yours, only_ours, .. } = comparison;
    let mut text = format!("{}\n\n", Style::Bold.paint(&comparison.spoken(), terminal.colour));
    text.push_str(&alerts("Only yours: alerts that no incident goes with", only_yours, terminal));
    text.push_str(&incidents("Only Bellwether's: incidents that no alert goes with", only_ours, terminal));
    text.push_str(&incidents("Both: incidents that alerts go with", &both.incidents, terminal));
    text.push_str(&alerts("Your alerts that go with them", &both.alerts, terminal));
    text
}

fn alerts(title: &str, alerts: &Alerts, terminal: &Terminal) -> String {
    let mut table =
        Table::new([("ALERT", Align::Left), ("FIRED", Align::Right), ("THINGS", Align::Right), ("LASTED IN ALL", Align::Right)]);
    for group in alerts.groups.iter().take(MOST_LISTED) {
        let lasted = group.lasted.in_words();
        table.row([
            group.alertname.as_str().into(),
            group.count.to_string().into(),
            group.things.to_string().into(),
            lasted.as_str().into(),
        ]);
    }
    let shown: usize = alerts.groups.iter().take(MOST_LISTED).map(|group| group.count).sum();
    listed(title, alerts.count, shown, &table, terminal)
}

fn incidents(title: &str, incidents: &Incidents, terminal: &Terminal) -> String {
    let mut table = Table::new([("INCIDENT", Align::Left), ("BEGAN", Align::Left), ("LASTED", Align::Right)]);
    for raised in incidents.listed.iter().take(MOST_LISTED) {
        let lasted = raised.to.map_or("to the end".to_owned(), |to| to.since(raised.from).in_words());
        table.row([raised.title.as_str().into(), raised.from.in_words().as_str().into(), lasted.as_str().into()]);
    }
    listed(title, incidents.count, incidents.listed.len().min(MOST_LISTED), &table, terminal)
}

fn listed(title: &str, count: usize, shown: usize, table: &Table, terminal: &Terminal) -> String {
    let mut text = format!("{title}: {count}\n");
    if count > 0 {
        text.push_str(&table.render(terminal.columns, terminal.colour));
    }
    if count > shown {
        let _ = writeln!(text, "and {} more", count - shown);
    }
    text.push('\n');
    text
}
