//! `bellwether diagnose`.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::check::{Output, Settings};
use super::text::{Style, harmless};
use super::{Terminal, misused, print, runtime};
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::correlation::diagnose::{Cause, Diagnosis, Evidence, diagnose};
use crate::engine::diagnosing::Scene;
use crate::engine::discover::{Options, discover};
use crate::error::{Error, Result};
use crate::source::file::{Limits, instant, read_calls, read_metrics};

/// Rank services by how likely trouble began in each, from their metrics around an instant and from who calls whom.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  bellwether diagnose --metrics metrics.parquet --graph calls.csv --at 2026-01-31T08:00:00Z --symptom frontend\n  \
                        bellwether diagnose --prometheus http://localhost:9090 --at 2026-01-31T08:00:00Z\n\n\
                        Metrics have the columns timestamp, service, metric, value; calls have source and target: caller and callee.\n\
                        Without a file of metrics, what the monitors watch (those of -c, or else those that discovery proposes) is read from\n\
                        Prometheus, from six hours before the instant to 20 minutes after it; calls come from the file, from\n\
                        topology.calls and from service-graph metrics."
)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    /// A CSV or Parquet file of metrics instead of Prometheus.
    #[arg(long, value_name = "FILE", conflicts_with = "prometheus")]
    metrics: Option<PathBuf>,
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
pub(super) fn run(
    args: &Args,
    environment: impl Iterator<Item = (String, String)>,
    terminal: &Terminal,
    out: &mut impl Write,
) -> Result<()> {
    let calls = args.graph.as_ref().map(|path| read_calls(path, Limits::default())).transpose()?;
    let mut scene = match &args.metrics {
        Some(path) => Scene { metrics: read_metrics(path, Limits::default())?, ..Scene::default() },
        None => runtime()?.block_on(live(&args.settings.load(environment).map_err(misused)?, args.at))?,
    };
    scene.calls = calls.unwrap_or(scene.calls);
    scene.check(args.at, args.symptom.as_deref(), ["--at", "--symptom", "metrics"])?;
    let mut diagnosis = diagnose(&scene.metrics, &scene.calls, args.at, args.symptom.as_deref());
    diagnosis.causes.truncate(args.causes);
    let text = match args.output {
        Output::Json => format!("{:#}\n", as_json(&diagnosis, &scene.warnings)),
        Output::Text => as_text(&diagnosis, &scene.warnings, terminal),
    };
    print(out, &text)
}

/// Reads a Prometheus: what the configured monitors watch, or else what discovery proposes.
async fn live(config: &Config, at: Timestamp) -> Result<Scene> {
    let source = config
        .prometheus
        .as_ref()
        .ok_or_else(|| Error::invalid("--metrics", "is missing; give a file, or say where Prometheus is with --prometheus URL"))?;
    let (prometheus, now) = (source.build()?, Clock::System.now());
    let monitors = if config.monitors.is_empty() {
        let options = Options::new(config.defaults.step, config.defaults.window);
        discover(&prometheus, now, &options).await?.monitors
    } else {
        config.monitors.clone()
    };
    Scene::read(&prometheus, &monitors, at, now).await?.with_measured_calls(&config.calls, &prometheus, now).await
}

fn as_json(diagnosis: &Diagnosis, warnings: &[String]) -> Value {
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
    let causes: Vec<_> = diagnosis.causes.iter().map(cause).collect();
    json!({ "symptom": diagnosis.symptom, "causes": causes, "warnings": warnings })
}

fn as_text(diagnosis: &Diagnosis, warnings: &[String], terminal: &Terminal) -> String {
    let mut text = String::new();
    for warning in warnings {
        let _ = writeln!(text, "warning: {}", harmless(warning));
    }
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
