//! `bellwether analyze`.

mod guarding;

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::check::{Output, Settings};
use super::show::{finding_text, held_back_text};
use super::{Terminal, chart, misused, print, runtime};
use crate::analysis::CannotSay;
use crate::analysis::detect::{Analysis, Judgement, judge_alone};
use crate::clock::{Clock, DurationMs};
use crate::error::{Error, Result};
use crate::finding::{Direction, Finding, HeldBack};
use crate::metric::Unit;
use crate::monitor::Monitor;
use crate::plot::{Chart, Mark};
use crate::series::Series;
use crate::source::file;
use guarding::Guarding;

/// Rows of a chart.
const ROWS: usize = 14;
/// Charts printed in full; of further series only the findings.
const MOST_CHARTS: usize = 12;

/// Judge one query or file now, with a chart: learns from the first four fifths and judges the last.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  bellwether analyze --prometheus http://localhost:9090 'sum by (service) (rate(http_requests_total[5m]))' --range 14d"
)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    /// The PromQL to judge.
    #[arg(value_name = "PROMQL", required_unless_present = "file", conflicts_with = "file")]
    query: Option<String>,
    /// A CSV or Parquet file to judge instead: a time column, and one column for each series.
    #[arg(long)]
    file: Option<PathBuf>,
    /// How much history is read from Prometheus.
    #[arg(long, value_name = "DURATION", default_value = "14d", conflicts_with = "file")]
    range: DurationMs,
    /// The time between two points.
    #[arg(long, value_name = "DURATION", default_value = "1m", conflicts_with = "file")]
    step: DurationMs,
    /// How much of the end is judged; the last fifth when not given.
    #[arg(long, value_name = "DURATION")]
    judge: Option<DurationMs>,
    /// How many false findings a day are tolerable over all series.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    per_day: f64,
    /// Only this direction, up or down, is a finding.
    #[arg(long, value_name = "WAY")]
    direction: Option<Direction>,
    /// The unit of the values: seconds, bytes, ratio or `per_second`.
    #[arg(long, default_value = "none")]
    unit: Unit,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// One series and what was said of it.
struct Judged {
    series: Series,
    outcome: Result<(Analysis, Vec<Finding>), CannotSay>,
    /// What guards hold back of it.
    held_back: Vec<HeldBack>,
}

/// What was read.
struct Read {
    series: Vec<Series>,
    warnings: Vec<String>,
    guarding: Guarding,
}

/// Reads, judges and prints.
///
/// # Errors
/// Wrong arguments, or a source that cannot be read.
pub(super) fn run(
    args: &Args,
    environment: impl Iterator<Item = (String, String)>,
    terminal: &Terminal,
    out: &mut impl Write,
) -> Result<()> {
    if !(args.per_day > 0.0 && args.per_day <= 1e5) {
        return Err(Error::invalid("--per-day", format!("{} is not between 0 and 100000", args.per_day)));
    }
    let Read { series, mut warnings, guarding } = read(args, environment)?;
    if series.is_empty() {
        return Err(Error::invalid("PROMQL", "the query yields no series in this range"));
    }
    let all = series.len();
    let judged: Vec<Judged> = series
        .into_iter()
        .map(|series| {
            let (series, mut guarded) = guarding.measure(series, &mut warnings);
            let window = &series.window;
            let from = args.judge.map(|judge| window.end() - judge);
            let monitor = Monitor { unit: args.unit, ..Monitor::ad_hoc(window.step(), args.direction) };
            let mut outcome = judge_alone(&series, from, args.per_day, all, &monitor);
            let held_back = match &mut outcome {
                Ok((analysis, findings)) => guarding.hold_back(&mut guarded, &series.key, analysis, findings, args.unit),
                Err(_) => Vec::new(),
            };
            Judged { series, outcome, held_back }
        })
        .collect();
    let text = match args.output {
        Output::Json => format!("{:#}\n", json!({ "series": judged.iter().map(as_json).collect::<Vec<_>>(), "warnings": warnings })),
        Output::Text => as_text(&judged, &warnings, args.unit, terminal),
    };
    print(out, &text)
}

fn read(args: &Args, environment: impl Iterator<Item = (String, String)>) -> Result<Read> {
    if let Some(path) = &args.file {
        let series = file::read(path, file::Limits::default())?;
        return Ok(Read { series, warnings: Vec::new(), guarding: Guarding::default() });
    }
    let config = args.settings.load(environment).map_err(misused)?;
    let source =
        config.prometheus.ok_or_else(|| Error::invalid("prometheus.url", "is missing; say where Prometheus is with --prometheus URL"))?;
    if args.step == DurationMs::ZERO {
        return Err(Error::invalid("--step", "0s is not a step; 1m is usual"));
    }
    if args.range <= args.step {
        return Err(Error::invalid("--range", format!("{} is not longer than the step, {}", args.range, args.step)));
    }
    let end = Clock::System.now().align_down(args.step);
    let start = (end - args.range).align_down(args.step);
    let query = args.query.as_deref().unwrap_or_default();
    runtime()?.block_on(async {
        let prometheus = source.build()?;
        let reading = prometheus.range(query, start, end, args.step).await?;
        let mut warnings = reading.warnings;
        let guarding = Guarding::read(&prometheus, &config.monitors, query, (start, end, args.step), &mut warnings).await?;
        Ok(Read { series: reading.series, warnings, guarding })
    })
}

fn as_text(judged: &[Judged], warnings: &[String], unit: Unit, terminal: &Terminal) -> String {
    let mut text = String::new();
    for warning in warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    // What is worth looking at comes first.
    let mut order: Vec<&Judged> = judged.iter().collect();
    order.sort_by_key(|one| std::cmp::Reverse(one.outcome.as_ref().map_or(0, |(_, findings)| findings.len() + 1)));
    for (i, one) in order.into_iter().enumerate() {
        let key = &one.series.key;
        match &one.outcome {
            Err(reason) => {
                let _ = writeln!(text, "{key}: cannot say: {reason}\n");
            }
            Ok((analysis, findings)) => {
                if i < MOST_CHARTS {
                    text.push_str(&judged_chart(&one.series, analysis, findings, unit, terminal));
                }
                let seasons: Vec<String> = analysis.model.periods().iter().map(ToString::to_string).collect();
                let rhythm = if seasons.is_empty() { "no season".to_owned() } else { format!("seasons of {}", seasons.join(" and ")) };
                let suppressed = if one.held_back.is_empty() { String::new() } else { format!(" and {} suppressed", one.held_back.len()) };
                let (found, points) = (counted(findings.len()), analysis.judgements.len());
                let _ = writeln!(text, "{key}: {found}{suppressed} over {points} judged points, {rhythm}");
                for finding in findings {
                    text.push_str(&finding_text(finding, terminal));
                }
                for held in &one.held_back {
                    text.push_str(&held_back_text(held, terminal));
                }
                text.push('\n');
            }
        }
    }
    text
}

fn judged_chart(series: &Series, analysis: &Analysis, findings: &[Finding], unit: Unit, terminal: &Terminal) -> String {
    let marks = findings.iter().map(|f| Mark::lasting(f.onset, f.ended, "finding")).collect();
    let step = series.window.step();
    Chart::of_judgements(series.key.to_string(), unit, step, &analysis.judgements, marks)
        .map(|chart| chart::render(&chart, (terminal.columns, ROWS), terminal.colour))
        .unwrap_or_default()
}

fn counted(findings: usize) -> String {
    match findings {
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        n => format!("{n} findings"),
    }
}

fn as_json(one: &Judged) -> Value {
    let labels = one.series.key.labels();
    match &one.outcome {
        Err(reason) => json!({ "labels": labels, "cannot_say": reason.to_string() }),
        Ok((analysis, findings)) => json!({
            "labels": labels,
            "periods": analysis.model.periods(),
            "findings": findings.iter().map(finding_json).collect::<Vec<_>>(),
            "suppressed": one.held_back.iter().map(held_back_json).collect::<Vec<_>>(),
            "scores": analysis.judgements.iter().map(score_json).collect::<Vec<_>>(),
        }),
    }
}

fn score_json(j: &Judgement) -> Value {
    json!({
        "time": j.time.to_string(), "value": j.value, "anomaly_score": j.score, "p_value": j.p_value,
        "yhat": j.expected, "yhat_lower": j.lower, "yhat_upper": j.upper,
    })
}

fn held_back_json(held: &HeldBack) -> Value {
    let mut json = finding_json(&held.finding);
    json["suppressed"] = json!(held.suppressed);
    json
}

fn finding_json(f: &Finding) -> Value {
    json!({
        "id": f.id, "kind": f.kind, "direction": f.direction, "onset": f.onset.to_string(), "last_seen": f.last_seen.to_string(),
        "ended": f.ended.map(|t| t.to_string()), "value": f.value, "yhat": f.expected, "yhat_lower": f.lower, "yhat_upper": f.upper,
        "anomaly_score": f.score, "p_value": f.p_value, "evidence": f.evidence, "model": f.model,
    })
}
