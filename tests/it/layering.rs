//! Imports go downwards only: reads what every file under `src/` imports and holds it to the layers.

mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use scan::{Import, imports};

/// The layers from top to bottom with their modules, as `docs/ARCHITECTURE.md` shows them.
const LAYERS: [(&str, &[&str]); 10] = [
    ("binary", &["main"]),
    ("face", &["cli"]),
    ("wiring", &["app"]),
    ("configuration", &["config"]),
    ("service", &["service", "proto"]),
    ("engine", &["engine", "backtest"]),
    ("edges", &["source", "delivery", "store", "simulator"]),
    ("plumbing", &["telemetry", "endpoint"]),
    ("pure", &["analysis", "correlation", "plot"]),
    (
        "vocabulary",
        &[
            "clock", "error", "words", "series", "metric", "calendar", "guard", "reach", "monitor", "finding", "event", "incident",
            "alert", "feedback", "action", "glob", "template",
        ],
    ),
];

/// What the pure layers may not touch: the runtime, the network, the disk, the clock, the logs.
const IMPURE: [&str; 22] = [
    "axum",
    "clap",
    "hyper",
    "metrics",
    "opentelemetry",
    "polars",
    "prost",
    "reqwest",
    "sqlx",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tonic",
    "tower",
    "tracing",
    "crate::clock::Clock",
    "jiff::Timestamp::now",
];

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, modules)| modules.contains(&module))
}

/// What is wrong with these imports, each with its file and line.
fn violations(imports: &[Import]) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in imports {
        let from = import.module.as_str();
        let mut report = |why: String| found.insert(format!("{}:{}: {why}", import.file, import.line));
        let Some(layer) = layer_of(from) else {
            report(format!("the module `{from}` has no layer"));
            continue;
        };
        let (name, modules) = LAYERS[layer];
        if matches!(name, "pure" | "vocabulary")
            && let Some(what) = IMPURE.iter().find(|what| import.begins_with(what))
            && !(from == "clock" && *what == "jiff::Timestamp::now")
        {
            report(format!("`{from}` is {name} and may not use `{what}`"));
        }
        let Some(to) = import.target() else { continue };
        if to == from {
            continue;
        }
        match layer_of(to) {
            None => {
                report(format!("the module `{to}` has no layer"));
            }
            Some(_) if to == "proto" && from != "service" => {
                report(format!("`{from}` imports `proto`; only `service` may"));
            }
            Some(below) if below < layer => {
                report(format!("`{from}` ({name}) imports `{to}` ({}) above it", LAYERS[below].0));
            }
            Some(same) if same == layer && name == "edges" => {
                report(format!("the edge `{from}` imports the edge `{to}`"));
            }
            Some(same) if same == layer && modules.len() > 1 => {
                graph.entry(from).or_default().insert(to);
                // The last import that closes a circle is named with it.
                if let Some(way) = way(&graph, to, from) {
                    report(format!("`{from}` imports `{}`: a circle", way.join("` → `")));
                }
            }
            Some(_) => {}
        }
    }
    found.into_iter().collect()
}

/// The modules from `from` to `to` along the imports, if there is a way.
fn way<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![from]];
    let mut seen = BTreeSet::from([from]);
    while let Some(way) = ways.pop() {
        let last = way[way.len() - 1];
        if last == to {
            return Some(way);
        }
        for next in graph.get(last).into_iter().flatten() {
            if seen.insert(next) {
                ways.push([way.as_slice(), &[next]].concat());
            }
        }
    }
    None
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// All files under `folder` that end in `.rs`, as paths from the crate's root.
fn rust_files(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            files.extend(rust_files(&path));
        } else if Path::new(&path).extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn imports_go_downwards() {
    let files: Vec<(String, String)> = rust_files("src").into_iter().map(|path| (path.clone(), read(&path))).collect();
    let found = imports(&files);
    assert!(found.iter().filter(|import| import.target().is_some()).count() > 50, "the scanner finds nothing; is it broken?");
    let wrong = violations(&found);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_module_has_its_layer_and_the_document_shows_it() {
    let lib = read("src/lib.rs");
    let declared: Vec<&str> = lib.lines().filter_map(|l| l.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')).collect();
    assert!(declared.len() > 10);
    for module in declared {
        assert!(layer_of(module).is_some(), "`{module}` has no layer: give it one in tests/it/layering.rs and docs/ARCHITECTURE.md");
    }
    let document = read("docs/ARCHITECTURE.md");
    for (name, modules) in LAYERS {
        let row = format!("| {name} | {} |", modules.iter().map(|m| format!("`{m}`")).collect::<Vec<_>>().join(", "));
        assert!(document.contains(&row), "docs/ARCHITECTURE.md lacks the row\n{row}");
    }
}

/// What is wrong with a crate of these files.
fn judged(files: &[(&str, &str)]) -> String {
    let files: Vec<(String, String)> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    violations(&imports(&files)).join("\n")
}

#[test]
fn the_test_can_fail() {
    let wrong = judged(&[
        (
            "src/analysis.rs",
            "use std::{fmt, fs::File};\nuse crate::clock::{Timestamp, Clock};\nfn f() { tokio::spawn(async {}); tracing::info!(\"x\") }\n",
        ),
        ("src/analysis/deep/er.rs", "use super::super::super::engine::Engine;\n"),
        ("src/source.rs", "pub(crate) use crate::{\n    error::Error,\n    store::{self, sqlite::{Row, Pool}},\n};\n"),
        ("src/engine.rs", "fn f(x: &crate::service::web::Overview) -> crate::proto::Finding {}\n"),
        ("src/finding.rs", "use crate::monitor::Unit;\n"),
        ("src/monitor.rs", "use crate::series::SeriesKey;\n"),
        ("src/series.rs", "use crate::finding::Direction;\n"),
        ("src/nowhere.rs", "use crate::clock::Timestamp;\n"),
        ("src/service.rs", "use crate::proto::Finding;\nuse crate::elsewhere::X;\n"),
    ]);
    insta::assert_snapshot!(wrong, @r"
    src/analysis.rs:1: `analysis` is pure and may not use `std::fs`
    src/analysis.rs:2: `analysis` is pure and may not use `crate::clock::Clock`
    src/analysis.rs:3: `analysis` is pure and may not use `tokio`
    src/analysis.rs:3: `analysis` is pure and may not use `tracing`
    src/analysis/deep/er.rs:1: `analysis` (pure) imports `engine` (engine) above it
    src/engine.rs:1: `engine` (engine) imports `service` (service) above it
    src/engine.rs:1: `engine` imports `proto`; only `service` may
    src/nowhere.rs:1: the module `nowhere` has no layer
    src/series.rs:1: `series` imports `finding` → `monitor` → `series`: a circle
    src/service.rs:2: the module `elsewhere` has no layer
    src/source.rs:3: the edge `source` imports the edge `store`
    ");
}

#[test]
fn what_is_right_passes() {
    let right = judged(&[
        ("src/main.rs", "fn main() { bellwether::cli::run() }\n"),
        ("src/cli.rs", "mod serve;\nuse crate::plot::Chart;\nuse tokio::runtime::Runtime;\n"),
        ("src/cli/serve.rs", "use super::text;\nuse super::super::app;\n"),
        ("src/clock.rs", "fn now() { jiff::Timestamp::now(); }\n"),
        (
            "src/analysis.rs",
            "// use crate::engine::Engine;\n/* crate::cli /* nested */ crate::app */\nconst A: &str = \"crate::store\"; const B: &str = r#\"\"crate::store\"#;\n\
             const C: char = '\"'; fn f<'a>(x: &'a str) {}\n/// tokio::spawn\nuse crate::clock::Timestamp;\nuse self::metrics::x;\n\
             #[cfg(test)]\nmod golden;\n#[cfg(test)]\n#[allow(unused)]\nmod tests { use crate::simulator::Shop; mod inner { use std::fs; } }\n",
        ),
        ("src/analysis/golden.rs", "use crate::simulator::Shop;\nuse std::fs;\n"),
    ]);
    assert_eq!(right, "");
}
