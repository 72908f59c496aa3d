//! `bellwether drift`.

mod histograms;

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::check::{Output, Settings};
use super::text::{Style, cut, harmless, width};
use super::{Terminal, misused, print};
use crate::analysis::drift::{ColumnDrift, InvalidDrift, Options, Report, Rule, Test, test_columns};
use crate::clock::DurationMs;
use crate::error::{Error, Result};
use crate::source::file::{Limits, read_features};

/// Columns shown of those that have not drifted.
const MOST_CALM: usize = 20;

/// Hold the columns of one file against those of another, or histograms against earlier ones.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  bellwether drift --reference training.parquet --current today.parquet\n  \
                        bellwether drift --prometheus http://localhost:9090 'model_score_bucket' --by model --window 6h --before 7d\n\n\
                        Columns of numbers and of texts are features. Tests, bins, thresholds and verdicts are those of Evidently 0.7\n\
                        unless --rule calibrated asks for adjusted p-values together with an effect that matters. Histograms are\n\
                        always judged so, and what their buckets leave open of a distance is told.")]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    /// A selector of histograms in Prometheus: classic buckets (`…_bucket`) or native ones.
    #[arg(value_name = "SELECTOR", conflicts_with_all = ["reference", "current", "columns", "numeric", "categorical", "numeric_threshold", "categorical_threshold"])]
    selector: Option<String>,
    /// The labels that tell features of histograms apart.
    #[arg(long, value_name = "LABEL,…", value_delimiter = ',', requires = "selector")]
    by: Vec<String>,
    /// How long the windows of histograms are; the current one ends now.
    #[arg(long, value_name = "DURATION", default_value = "1d", conflicts_with = "reference")]
    window: DurationMs,
    /// How long before the current window of histograms the usual one is.
    #[arg(long, value_name = "DURATION", default_value = "7d", conflicts_with = "reference")]
    before: DurationMs,
    /// A CSV or Parquet file of what is usual.
    #[arg(long, value_name = "FILE", required_unless_present = "selector", requires = "current")]
    reference: Option<PathBuf>,
    /// A CSV or Parquet file of what is now, with the same columns.
    #[arg(long, value_name = "FILE", required_unless_present = "selector")]
    current: Option<PathBuf>,
    /// Only these columns.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// The test for numbers: ks, `cramer_von_mises`, wasserstein, ed, psi, `kl_div`, jensenshannon or hellinger.
    #[arg(long, value_name = "TEST")]
    numeric: Option<Test>,
    /// The test for categories: chisquare, z, homogeneity, psi, `kl_div`, jensenshannon or hellinger.
    #[arg(long, value_name = "TEST")]
    categorical: Option<Test>,
    /// The threshold for numbers, of a p-value or of a distance.
    #[arg(long, value_name = "X")]
    numeric_threshold: Option<f64>,
    /// The threshold for categories.
    #[arg(long, value_name = "X")]
    categorical_threshold: Option<f64>,
    /// The share of drifted columns from which on the data have drifted.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    share: f64,
    /// What makes a column drifted.
    #[arg(long, value_enum, default_value_t)]
    rule: Verdicts,
    /// The least effect that counts by the calibrated rule.
    #[arg(long, value_name = "EFFECT", default_value_t = 0.1)]
    least_effect: f64,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Verdicts {
    /// As Evidently 0.7 has them.
    #[default]
    Evidently,
    /// P-values adjusted for the number of columns, and an effect that matters.
    Calibrated,
}

/// Reads, tests and prints.
///
/// # Errors
/// Wrong arguments, a file that cannot be read, or files that do not go together.
pub(super) fn run(
    args: &Args,
    environment: impl Iterator<Item = (String, String)>,
    terminal: &Terminal,
    out: &mut impl Write,
) -> Result<()> {
    let (reference, current) = match (&args.selector, &args.reference, &args.current) {
        (Some(selector), ..) => return histograms::run(args, selector, environment, terminal, out),
        (None, Some(reference), Some(current)) => (reference, current),
        _ => return Err(Error::invalid("--current", "is missing; give --reference and --current, or a selector of histograms")),
    };
    let read = |path: &Path| -> Result<Vec<_>> {
        let mut columns = read_features(path, Limits::default())?;
        columns.retain(|column| args.columns.is_empty() || args.columns.contains(&column.name));
        Ok(columns)
    };
    let file = current.display();
    let (reference, current) = (read(reference)?, read(current)?);
    if let Some(missing) = args.columns.iter().find(|name| current.iter().all(|column| column.name != **name)) {
        return Err(Error::invalid("--columns", format!("{file} has no column `{missing}` of numbers or texts")));
    }
    let options = Options {
        numeric: args.numeric,
        categorical: args.categorical,
        numeric_threshold: args.numeric_threshold,
        categorical_threshold: args.categorical_threshold,
        share: args.share,
        rule: match args.rule {
            Verdicts::Evidently => Rule::Evidently,
            Verdicts::Calibrated => Rule::Calibrated { least_effect: args.least_effect },
        },
    };
    let report = test_columns(&reference, &current, &options).map_err(|error| {
        let field = match &error {
            InvalidDrift::Option { field, .. } => format!("--{}", field.replace('_', "-")),
            _ => "--current".to_owned(),
        };
        Error::invalid(field, error.to_string())
    })?;
    let text = match args.output {
        Output::Json => format!("{:#}\n", as_json(&report)),
        Output::Text => as_text(&report, args.share, terminal),
    };
    print(out, &text)
}

fn as_text(report: &Report, share: f64, terminal: &Terminal) -> String {
    let mut text = String::new();
    let (drifted, judged) = (report.drifted_columns, report.judged_columns);
    let verdict = match report.drifted {
        Some(true) => Style::Red.paint("the data have drifted", terminal.colour),
        Some(false) => Style::Green.paint("the data have not drifted", terminal.colour),
        None => "nothing can be said".to_owned(),
    };
    let _ = writeln!(text, "{drifted} of {judged} columns drifted; from {:.0} % on the data have: {verdict}\n", 100.0 * share);
    let mut calm = 0;
    let mut is_shown = |column: &&ColumnDrift| {
        let is_calm = column.outcome.as_ref().is_ok_and(|o| !o.drifted);
        calm += usize::from(is_calm);
        !is_calm || calm <= MOST_CALM
    };
    let shown: Vec<&ColumnDrift> = report.columns.iter().filter(&mut is_shown).collect();
    let widest = shown.iter().map(|column| width(&harmless(&column.name))).max().unwrap_or(0).clamp(6, 40);
    let head = format!("{:widest$}  {:16} {:>11} {:>9} {:>7}", "column", "test", "score", "threshold", "effect");
    let _ = writeln!(text, "{}", Style::Dim.paint(&head, terminal.colour));
    for column in shown {
        let name = cut(&harmless(&column.name), widest);
        let pad = widest - width(&name);
        match &column.outcome {
            Ok(o) => {
                let style = if o.drifted { Style::Red } else { Style::Plain };
                let verdict = style.paint(if o.drifted { "drifted" } else { "" }, terminal.colour);
                let line = format!(
                    "{name}{:pad$}  {:16} {:>11} {:>9} {:>7.3}  {verdict}",
                    "",
                    o.test.name(),
                    number(o.score()),
                    number(o.threshold),
                    o.effect
                );
                let _ = writeln!(text, "{}", line.trim_end());
            }
            Err(why) => {
                let _ = writeln!(text, "{name}{:pad$}  {why}", "");
            }
        }
    }
    if calm > MOST_CALM {
        let _ = writeln!(text, "and {} more that have not drifted", calm - MOST_CALM);
    }
    text
}

fn number(x: f64) -> String {
    if x != 0.0 && x.abs() < 1e-4 { format!("{x:.2e}") } else { format!("{x:.4}") }
}

fn as_json(report: &Report) -> Value {
    let column = |column: &ColumnDrift| {
        let mut json = json!({ "column": column.name, "reference_n": column.reference_n, "current_n": column.current_n });
        match &column.outcome {
            Ok(o) => {
                json["test"] = json!(o.test.name());
                json["statistic"] = json!(o.statistic);
                json["p_value"] = json!(o.p_value);
                json["adjusted_p"] = json!(o.adjusted_p);
                json["effect"] = json!(o.effect);
                json["threshold"] = json!(o.threshold);
                json["drifted"] = json!(o.drifted);
            }
            Err(why) => json["cannot_say"] = json!(why.to_string()),
        }
        json
    };
    json!({
        "drifted": report.drifted,
        "share": report.share,
        "drifted_columns": report.drifted_columns,
        "judged_columns": report.judged_columns,
        "columns": report.columns.iter().map(column).collect::<Vec<_>>(),
    })
}
