//! `bellwether backtest`.

mod prometheus;
mod shop;

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::check::Output;
use super::text::{Align, Cell, Style, Table};
use super::{Terminal, print};
use crate::backtest::files::{self, Backtest, Plan, Progress};
use crate::backtest::summary::{F1, LabelledTotals, Nab, NabScore, SeriesSummary, Summary, Totals};
use crate::clock::DurationMs;
use crate::config::Defaults;
use crate::error::{Code, Error, Result, Violation};

/// Series that are listed; of more, those with the most alerts.
const MOST_LISTED: usize = 60;
/// False alerts a day that are tolerable.
const PER_DAY: f64 = 10.0;
/// Characters that the figures of a series take, with labels and without.
const FIGURES: (usize, usize) = (66, 36);
/// The fewest and the most characters of a path that are shown.
const PATH: (usize, usize) = (16, 60);

/// Show what would have been found in a past that is known, row by row, by the code that judges live series: in files,
/// or in what a Prometheus remembers, beside the alerts that fired there.
///
/// Of --data every CSV and Parquet file is read. A file has a column `timestamp`, one or more columns of numbers, and may have a column `is_anomaly` with labels and
/// a column `part` that says `train` of rows whose labels do not count. What is written: `scores/` with one row for
/// each row of an input, `summary.json`, and `report.html`. Of --prometheus the monitors of the configuration are
/// judged, and those that `bellwether discover` proposes.
///
/// With --shop a simulated shop is judged in which all that goes wrong is known, and the incidents are held against that.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  bellwether backtest --data history/ --out result/ --labels incidents.json\n  bellwether backtest --prometheus http://localhost:9090 --range 14d --out result/\n  bellwether backtest --shop 1"
)]
#[command(group(clap::ArgGroup::new("past").required(true).args(["data", "prometheus", "shop"])))]
pub struct Args {
    /// The folder of files, or one file.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// The address of Prometheus, such as `http://localhost:9090`.
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,
    /// The seed of a simulated shop: weeks with known incidents, harmless changes, and threshold rules that fire 200 times a
    /// day.
    #[arg(long, value_name = "SEED")]
    shop: Option<u64>,
    /// How many services the shop has.
    #[arg(long, value_name = "N", default_value_t = 50, conflicts_with_all = ["data", "prometheus"])]
    services: usize,
    /// How many days of the shop are judged; before them lie two weeks to learn from.
    #[arg(long, value_name = "N", default_value_t = 14, conflicts_with_all = ["data", "prometheus"])]
    days: usize,
    /// How many incidents are injected into the shop; three harmless changes come with each four.
    #[arg(long, value_name = "N", default_value_t = 40, conflicts_with_all = ["data", "prometheus"])]
    incidents: usize,
    /// How long a past of Prometheus is judged; before it lies as much as a monitor learns from.
    #[arg(long, value_name = "DURATION", default_value = "14d", conflicts_with_all = ["data", "shop"])]
    range: DurationMs,
    /// The configuration file, in YAML, with the monitors.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["data", "shop"])]
    config: Option<PathBuf>,
    /// The folder for the results; it is made if it is not there. Of a shop they are only printed without it.
    #[arg(long, value_name = "DIR", required_unless_present = "shop")]
    out: Option<PathBuf>,
    /// When what was anomalous: JSON such as `{"path/of/file.csv": [["2026-01-31 08:00:00", "2026-01-31 09:00:00"]]}`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prometheus", "shop"])]
    labels: Option<PathBuf>,
    /// How many false alerts a day are tolerable over everything that is judged; 10, or what the configuration says.
    #[arg(long, value_name = "N")]
    per_day: Option<f64>,
    /// How the result is printed; json is what summary.json has.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Judges and prints.
///
/// # Errors
/// Wrong arguments, files that cannot be read, or results that cannot be written.
pub(super) fn run(
    args: &Args,
    environment: impl Iterator<Item = (String, String)>,
    terminal: &Terminal,
    out: &mut impl Write,
) -> Result<()> {
    let Defaults { window, refit, .. } = Defaults::default();
    let Args { out: folder, labels, per_day, output, .. } = args.clone();
    if let Some(seed) = args.shop {
        return shop::run(args, seed, terminal, out);
    }
    let folder = folder.ok_or_else(|| Error::invalid("--out", "is missing; say where the results go"))?;
    let Some(data) = args.data.clone() else { return prometheus::run(args, &folder, environment, terminal, out) };
    let plan = Plan { data, out: folder, labels, per_day: per_day.unwrap_or(PER_DAY), window, refit };
    let bar = Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()));
    let result = files::run(&plan, &bar);
    bar.0.finish_and_clear();
    let Backtest { summary, .. } = result?;
    let text = match output {
        Output::Text => as_text(&summary, &plan, terminal),
        Output::Json => {
            let text = serde_json::to_string_pretty(&summary);
            text.map_err(|e| Error::new(Code::Internal, "the summary has no form").caused_by(e))? + "\n"
        }
    };
    print(out, &text)?;
    // What could be judged is written; that something could not is told besides.
    let violation =
        |failure: &crate::backtest::summary::Failure| Violation { field: failure.path.clone(), description: failure.reason.clone() };
    if summary.failed.is_empty() { Ok(()) } else { Err(Error::violations(summary.failed.iter().map(violation).collect())) }
}

/// The bar on stderr, when that is a terminal.
struct Bar(ProgressBar);

impl Progress for Bar {
    fn begins(&self, files: usize, bytes: u64) {
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {bytes} of {total_bytes}  {eta} left  {msg}");
        self.0.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.0.set_length(bytes);
        self.0.set_message(format!("{files} files"));
    }

    fn read(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn done(&self, name: &str) {
        self.0.set_message(name.to_owned());
    }
}

fn as_text(summary: &Summary, plan: &Plan, terminal: &Terminal) -> String {
    let mut text = String::new();
    for warning in &summary.warnings {
        let _ = writeln!(text, "{}", Style::Yellow.paint(&format!("warning: {warning}"), terminal.colour));
    }
    text.push_str(&series_table(summary, terminal));
    let _ = writeln!(text, "\n{}", totals_text(&summary.totals));
    if let Some(labelled) = &summary.totals.labelled {
        text.push_str(&labelled_text(labelled));
    }
    let _ = writeln!(text, "{} has the report, the summary and the scores", plan.out.join("report.html").display());
    text
}

fn series_table(summary: &Summary, terminal: &Terminal) -> String {
    let labelled = summary.totals.labelled.is_some();
    let mut headings =
        vec![("SERIES", Align::Left), ("ROWS", Align::Right), ("JUDGED", Align::Right), ("ALERTS", Align::Right), ("A DAY", Align::Right)];
    if labelled {
        headings.extend(["FOUND", "RIGHT", "AUC-PR", "VUS-PR", "F1"].map(|heading| (heading, Align::Right)));
    }
    headings.push(("", Align::Left));
    let mut table = Table::new(headings);
    let figures = if labelled { FIGURES.0 } else { FIGURES.1 };
    let longest = terminal.columns.saturating_sub(figures).clamp(PATH.0, PATH.1);
    let mut listed: Vec<&SeriesSummary> = summary.series.iter().collect();
    if listed.len() > MOST_LISTED {
        listed.sort_by(|a, b| b.alerts.cmp(&a.alerts).then_with(|| a.path.cmp(&b.path)));
        listed.truncate(MOST_LISTED);
    }
    for series in &listed {
        let mut cells: Vec<Cell> = vec![
            Cell::from(end_of(&series.path, longest)),
            series.rows.to_string().into(),
            series.judged.to_string().into(),
            series.alerts.to_string().into(),
            number(series.alerts_per_day).into(),
        ];
        if labelled {
            cells.extend(measures(series).map(Cell::from));
        }
        let reason = series.cannot_say.as_ref().or(series.not_measured.as_ref());
        cells.push(Cell::new(reason.map_or("", String::as_str), Style::Dim));
        table.row(cells);
    }
    let more = summary.series.len() - listed.len();
    let rest = if more > 0 { format!("and {more} more series with fewer alerts\n") } else { String::new() };
    table.render(terminal.columns, terminal.colour) + &rest
}

/// The path, or its end where it is long: there is what tells one file from another.
fn end_of(path: &str, longest: usize) -> String {
    let many = path.chars().count();
    if many <= longest {
        path.to_owned()
    } else {
        path.chars().skip(many - longest + 1).fold("…".to_owned(), |text, c| text + c.encode_utf8(&mut [0; 4]))
    }
}

/// Segments found, the share of alerts that are right, and the measures of one series.
fn measures(series: &SeriesSummary) -> [String; 5] {
    let Some(labelled) = &series.labelled else { return Default::default() };
    let found = if labelled.segments > 0 { format!("{} of {}", labelled.detected, labelled.segments) } else { "none".to_owned() };
    let f1 = labelled.event.map(|event| event.f1);
    [found, percent(labelled.precision), hundredths(labelled.auc_pr), hundredths(labelled.vus_pr), hundredths(f1)]
}

fn totals_text(totals: &Totals) -> String {
    let Totals { series, series_judged, rows, judged, series_days, alerts, .. } = totals;
    let mut text =
        format!("{series} series, {series_judged} of them judged: {judged} of {rows} rows, {series_days:.1} days of all series together\n");
    let (all, wrong) = (number(totals.alerts_per_day), number(totals.false_alerts_per_day));
    let kept = match totals.budget_kept {
        Some(true) => "kept",
        Some(false) => "NOT kept",
        None => "nothing was judged",
    };
    let _ = write!(
        text,
        "{alerts} alerts, {all} a day were all series watched at once; {wrong} a day not known to be right, for a budget of {}: {kept}",
        totals.budget_per_day
    );
    text
}

fn labelled_text(labelled: &LabelledTotals) -> String {
    let LabelledTotals { series, segments, detected, recall, precision, .. } = labelled;
    let mut text = format!(
        "{detected} of {segments} labelled segments found ({}) in {series} series; {} of the alerts are right",
        percent(*recall),
        percent(*precision)
    );
    if let Some(seconds) = labelled.median_seconds_to_detect {
        let _ = write!(text, "; half of what is found is noticed within {}", DurationMs::from_millis((seconds * 1000.0) as i64));
    }
    let _ = writeln!(
        text,
        "\nmeans over series: AUC-PR {}, VUS-PR {}, event F1 {} at the bound and {} at best",
        hundredths(labelled.mean_auc_pr),
        hundredths(labelled.mean_vus_pr),
        hundredths(labelled.mean_event_f1),
        hundredths(labelled.mean_best_event_f1)
    );
    if let (Some(event), Some(best)) = (labelled.event, labelled.best_event) {
        let _ = writeln!(
            text,
            "all points together: event F1 {} at the bound, {} at best, {}",
            precise(event),
            precise(best),
            from(best.threshold, "a score")
        );
    } else if let Some(event) = labelled.event {
        let _ = writeln!(text, "all points together: event F1 {} at the bound", precise(event));
    }
    if let (Some(nab), Some(best)) = (labelled.nab, labelled.best_nab) {
        let at_bound = format!("NAB of the column news, {}", from(nab.standard.threshold, "a strength"));
        let _ = writeln!(text, "{at_bound}: {}\nNAB at best: {}", profiles(&nab, false), profiles(&best, true));
    }
    if let Some(reason) = &labelled.not_measured {
        let _ = writeln!(text, "not measured: {reason}");
    }
    text
}

fn precise(of: F1) -> String {
    format!("{:.2} (precision {:.2}, recall {:.2})", of.f1, of.precision, of.recall)
}

/// NAB's three profiles, with the least strength of the column `news` that counts as told.
fn profiles(nab: &Nab, with_threshold: bool) -> String {
    let one = |name: &str, of: &NabScore| {
        let score = of.score.map_or("none".to_owned(), |score| format!("{score:.1}"));
        if with_threshold { format!("{name} {score} {}", from(of.threshold, "a strength")) } else { format!("{name} {score}") }
    };
    [one("standard", &nab.standard), one("low FP", &nab.low_fp), one("low FN", &nab.low_fn)].join(", ")
}

fn from(threshold: Option<f64>, what: &str) -> String {
    threshold.map_or("with nothing flagged".to_owned(), |threshold| format!("from {what} of {threshold:.2} on"))
}

fn number(value: Option<f64>) -> String {
    value.map_or("none".to_owned(), |value| if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") })
}

fn hundredths(value: Option<f64>) -> String {
    value.map_or("none".to_owned(), |value| format!("{value:.2}"))
}

fn percent(share: Option<f64>) -> String {
    share.map_or("none".to_owned(), |share| format!("{:.0} %", share * 100.0))
}
