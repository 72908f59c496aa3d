//! Histograms of Prometheus in two windows.

use std::fmt::Write as _;
use std::io::Write;

use serde_json::{Value, json};

use super::super::runtime;
use super::super::text::{Style, harmless, width};
use super::{Args, Output, Terminal, misused, number, print};
use crate::analysis::drift::Bounded;
use crate::clock::Clock;
use crate::engine::drifting::feature_name;
use crate::engine::histograms::{Judged, JudgedHistogram, Windows};
use crate::error::{Error, Result, Violation};

/// Reads both windows, tests and prints.
pub(super) fn run(
    args: &Args,
    selector: &str,
    environment: impl Iterator<Item = (String, String)>,
    terminal: &Terminal,
    out: &mut impl Write,
) -> Result<()> {
    if !(0.0..1.0).contains(&args.least_effect) {
        return Err(Error::invalid("--least-effect", format!("{} is not from 0 to under 1; 0.1 is usual", args.least_effect)));
    }
    let config = args.settings.load(environment).map_err(misused)?;
    let missing = || Error::invalid("prometheus.url", "is missing; say where Prometheus is with --prometheus URL");
    let source = config.prometheus.ok_or_else(missing)?;
    let current_end = Clock::System.now();
    let windows = Windows {
        selector: selector.to_owned(),
        by: args.by.clone(),
        reference_end: current_end - args.before,
        current_end,
        window: args.window,
    };
    let found = runtime()?.block_on(async { windows.read(&source.build()?).await }).map_err(of_arguments)?;
    let judged = found.judged(args.least_effect);
    let text = match args.output {
        Output::Json => format!("{:#}\n", as_json(&judged)),
        Output::Text => as_text(&judged, terminal),
    };
    print(out, &text)
}

/// The fields of windows under the names of their arguments.
fn of_arguments(error: Error) -> Error {
    if error.violations.is_empty() {
        return error;
    }
    let name = |field: &str| match field {
        "histograms.selector" => "SELECTOR".to_owned(),
        "histograms.reference_end" => "--before".to_owned(),
        field => field.strip_prefix("histograms.").map_or_else(|| field.to_owned(), |field| format!("--{field}")),
    };
    Error::violations(error.violations.into_iter().map(|v| Violation { field: name(&v.field), ..v }).collect())
}

fn as_text(judged: &[JudgedHistogram], terminal: &Terminal) -> String {
    let mut text = String::new();
    let drifted = judged.iter().filter(|one| one.outcome.as_ref().is_ok_and(|o| o.drifted)).count();
    let _ = writeln!(text, "{drifted} of {} features drifted\n", judged.len());
    let names: Vec<String> = judged.iter().map(|one| harmless(&feature_name(&one.key))).collect();
    let widest = names.iter().map(|name| width(name)).max().unwrap_or(0).max(7);
    let head = format!("{:widest$}  {:14} {:>9}  {}", "feature", "test", "distance", "of the values themselves");
    let _ = writeln!(text, "{}", Style::Dim.paint(&head, terminal.colour));
    for (one, name) in judged.iter().zip(&names) {
        let pad = " ".repeat(widest - width(name));
        let judged = match &one.outcome {
            Err(why) => {
                let _ = writeln!(text, "{name}{pad}  {why}");
                continue;
            }
            Ok(judged) => judged,
        };
        for (row, (test, distance)) in distances(judged).into_iter().enumerate() {
            let (name, pad) = if row == 0 { (name.as_str(), pad.clone()) } else { ("", " ".repeat(widest)) };
            let between = if distance.most.is_finite() {
                format!("{} to {}", number(distance.least), number(distance.most))
            } else {
                format!("at least {}", number(distance.least))
            };
            let verdict = if row == 0 && judged.drifted { Style::Red.paint("drifted", terminal.colour) } else { String::new() };
            let line = format!("{name}{pad}  {test:14} {:>9}  {between:22} {verdict}", number(distance.value));
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

/// The distances of a feature by the names of their tests.
fn distances(judged: &Judged) -> [(&'static str, Bounded); 5] {
    let found = &judged.found;
    [
        ("ks", found.ks),
        ("psi", found.psi),
        ("jensenshannon", found.jensen_shannon),
        ("chisquare", found.chi_square),
        ("wasserstein", found.wasserstein),
    ]
}

fn as_json(judged: &[JudgedHistogram]) -> Value {
    let feature = |one: &JudgedHistogram| {
        let mut json = json!({ "labels": one.key.labels() });
        match &one.outcome {
            Err(why) => json["cannot_say"] = json!(why),
            Ok(judged) => {
                for (test, distance) in distances(judged) {
                    // JSON has no infinity: without an upper limit there is none.
                    json[test] = json!({ "value": distance.value, "least": distance.least, "most": distance.most });
                }
                json["p_value"] = json!(judged.found.p_value);
                json["adjusted_p"] = json!(judged.adjusted_p);
                json["chisquare"]["p_value"] = json!(judged.found.chi_square_p);
                json["drifted"] = json!(judged.drifted);
                json["reference_count"] = json!(judged.reference_count);
                json["current_count"] = json!(judged.current_count);
            }
        }
        json
    };
    json!({ "features": judged.iter().map(feature).collect::<Vec<_>>() })
}
