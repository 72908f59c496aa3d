//! `bellwether diagnose`.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::check::Output;
use super::text::{Style, harmless};
use super::{Terminal, print};
use crate::clock::Timestamp;
use crate::correlation::diagnose::{Cause, Diagnosis, Evidence, diagnose};
use crate::error::{Error, Result};
use crate::source::file::{Limits, instant, read_calls, read_metrics};

/// Rank services by how likely trouble began in each, from their metrics around an instant and from who calls whom.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  bellwether diagnose --metrics metrics.parquet --graph calls.csv --at 2026-01-31T08:00:00Z --symptom frontend\n\n\
                        Metrics have the columns timestamp, service, metric, value; calls have source and target: caller and callee."
)]
pub struct Args {
    /// A CSV or Parquet file of metrics.
    #[arg(long, value_name = "FILE")]
    metrics: PathBuf,
    /// A CSV or Parquet file of calls.
    #[arg(long, value_name = "FILE")]
    graph: Option<PathBuf>,
    /// When trouble was noticed, a minute more or less: RFC 3339, or seconds since the epoch.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Timestamp,
    /// The service whose trouble is to be explained.
    #[arg(long, value_name = "SERVICE")]
    symptom: Option<String>,
    /// How many causes are told.
    #[arg(long, value_name = "N", default_value_t = 5)]
    causes: usize,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

fn time(text: &str) -> Result<Timestamp, String> {
    let seconds = || text.parse::<f64>().ok().and_then(Timestamp::from_seconds);
    seconds().or_else(|| instant(text)).ok_or_else(|| format!("`{text}` is no time such as 2026-01-31T08:00:00Z or 1769846400"))
}

/// Reads, ranks and prints.
///
/// # Errors
/// Wrong arguments, or a file that cannot be read.
pub(super) fn run(args: &Args, terminal: &Terminal, out: &mut impl Write) -> Result<()> {
    let metrics = read_metrics(&args.metrics, Limits::default())?;
    let calls = args.graph.as_ref().map_or(Ok(Vec::new()), |path| read_calls(path, Limits::default()))?;
    if let Some(symptom) = &args.symptom {
        let known = metrics.iter().any(|m| m.service == *symptom) || calls.iter().any(|(a, b)| a == symptom || b == symptom);
        if !known {
            return Err(Error::invalid("--symptom", format!("`{symptom}` is no service of the metrics or the graph")));
        }
    }
    let times = || metrics.iter().flat_map(|m| m.times.iter().copied());
    let (Some(first), Some(last)) = (times().min(), times().max()) else {
        return Err(Error::invalid("--metrics", "has no rows"));
    };
    if !(first..=last).contains(&args.at) {
        return Err(Error::invalid("--at", format!("{} is not between the first time, {first}, and the last, {last}", args.at)));
    }
    let mut diagnosis = diagnose(&metrics, &calls, args.at, args.symptom.as_deref());
    diagnosis.causes.truncate(args.causes);
    let text = match args.output {
        Output::Json => format!("{:#}\n", as_json(&diagnosis)),
        Output::Text => as_text(&diagnosis, terminal),
    };
    print(out, &text)
}

fn as_json(diagnosis: &Diagnosis) -> Value {
    let at = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let evidence = |e: &Evidence| {
        json!({
            "about": e.about, "metric": e.metric, "text": e.text, "weight": e.weight, "deviation": e.deviation, "onset": at(e.onset),
        })
    };
    let cause = |cause: &Cause| {
        json!({
            "service": cause.service, "probability": cause.probability, "score": cause.score,
            "onset": at(cause.onset), "onset_low": at(cause.onset_low), "onset_high": at(cause.onset_high),
            "evidence": cause.evidence.iter().map(evidence).collect::<Vec<_>>(),
        })
    };
    json!({ "symptom": diagnosis.symptom, "causes": diagnosis.causes.iter().map(cause).collect::<Vec<_>>() })
}

fn as_text(diagnosis: &Diagnosis, terminal: &Terminal) -> String {
    let mut text = String::new();
    if let Some(symptom) = &diagnosis.symptom {
        let _ = writeln!(text, "what explains the trouble of {}:\n", harmless(symptom));
    }
    for (i, cause) in diagnosis.causes.iter().enumerate() {
        let head = format!("{}. {}  {:.0} %", i + 1, harmless(&cause.service), 100.0 * cause.probability);
        let _ = writeln!(text, "{}{}", Style::Bold.paint(&head, terminal.colour), began(cause));
        for evidence in cause.evidence.iter().filter(|evidence| evidence.weight.abs() >= 0.05) {
            let _ = writeln!(text, "   {:+.1}  {}", evidence.weight, harmless(&evidence.text));
        }
    }
    if diagnosis.causes.is_empty() {
        text.push_str("no service has metrics to tell from\n");
    }
    text
}

fn began(cause: &Cause) -> String {
    match (cause.onset, cause.onset_low, cause.onset_high) {
        (Some(onset), Some(low), Some(high)) => format!(", since {onset} (between {low} and {high})"),
        (Some(onset), ..) => format!(", since {onset}"),
        _ => String::new(),
    }
}
