//! `bellwether check`: every error of a configuration at once, or what it would do.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::action::Mode;
use crate::app;
use crate::config::{self, Config};
use crate::correlation::remedy::Catalogue;
use crate::error::Violation;
use crate::guard::Guards;
use crate::monitor::{Monitor, Unit};

/// Where the configuration comes from; the same for every verb that reads one.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Settings {
    /// The configuration file, in YAML.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The address of Prometheus, such as `http://localhost:9090`.
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// The address of an Alertmanager; may be given several times.
    #[arg(long, value_name = "URL")]
    pub alertmanager: Vec<String>,
    /// Where to listen, such as 127.0.0.1:9095.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Where the database and the fitted models are kept.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// The PostgreSQL database that replicas share, such as `postgres://bellwether@db/bellwether`.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
}

impl Settings {
    /// The configuration that file, `environment` and these flags make together.
    ///
    /// # Errors
    /// As [`config::load`].
    pub fn load(&self, environment: impl Iterator<Item = (String, String)>) -> Result<Config, Vec<Violation>> {
        let single = [
            ("prometheus.url", &self.prometheus),
            ("server.listen", &self.listen),
            ("data_dir", &self.data_dir),
            ("store.url", &self.store),
        ];
        let mut flags: Vec<(String, String)> =
            single.iter().filter_map(|(path, value)| value.as_ref().map(|value| ((*path).to_owned(), value.clone()))).collect();
        flags.extend(self.alertmanager.iter().map(|url| ("alertmanagers".to_owned(), url.clone())));
        config::load(self.config.as_deref(), environment, &flags)
    }
}

/// Show every error of a configuration, or what it would do.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_help = "Example:\n  bellwether check -c bellwether.yaml")]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How a result is printed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Checks the configuration and writes the result to `out`; fails when there is an error in it.
///
/// # Errors
/// `out` cannot be written to.
pub fn run(args: &Args, environment: impl Iterator<Item = (String, String)>, out: &mut impl Write) -> io::Result<ExitCode> {
    let result = args.settings.load(environment).and_then(|config| tried(&config).map(|examples| (config, examples)));
    match (&result, args.output) {
        (Ok((config, examples)), Output::Text) => out.write_all(report(config, *examples).as_bytes())?,
        (Ok((config, examples)), Output::Json) => writeln!(out, "{:#}", json_report(config, *examples))?,
        (Err(violations), Output::Text) => {
            for violation in violations {
                writeln!(out, "{violation}")?;
            }
            writeln!(out, "\n{} in the configuration.", counted(violations.len(), "error"))?;
        }
        (Err(violations), Output::Json) => {
            let errors: Vec<Value> = violations.iter().map(|v| json!({"path": v.field, "message": v.description})).collect();
            writeln!(out, "{:#}", json!({"valid": false, "errors": errors}))?;
        }
    }
    Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many examples the user's catalogues have; all of them and of the shipped one must hold.
fn tried(config: &Config) -> Result<usize, Vec<Violation>> {
    let shipped = Catalogue::shipped();
    let merged = app::catalogue(config).map_err(|error| {
        if error.violations.is_empty() {
            vec![Violation { field: "catalogues".to_owned(), description: error.chain() }]
        } else {
            error.violations
        }
    })?;
    let wrong: Vec<Violation> = shipped.try_examples().into_iter().chain(merged.try_examples()).collect();
    if wrong.is_empty() { Ok(merged.examples()) } else { Err(wrong) }
}

/// What `config` would do, in words; so many examples of its own catalogues hold.
pub fn report(config: &Config, examples: usize) -> String {
    let mut text = String::from("The configuration is valid.\n\n");
    let mut line = |name: &str, words: String| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{name:<9} {words}");
    };
    match &config.prometheus {
        Some(p) => line("reads", format!("{}, {} at once, {} each", p.endpoint.url, counted(p.concurrency, "request"), p.endpoint.timeout)),
        None => line("reads", "no Prometheus: `serve` needs prometheus.url or --prometheus".to_owned()),
    }
    match (config.discovery, config.monitors.len()) {
        (true, 0) => line("watches", "what discovery proposes from what Prometheus has".to_owned()),
        (true, n) => line("watches", format!("{} and what discovery proposes besides", counted(n, "monitor"))),
        (false, 0) => line("watches", "nothing: there are no monitors and discovery is off".to_owned()),
        (false, n) => line("watches", counted(n, "monitor")),
    }
    if config.alertmanagers.is_empty() {
        line("tells", "nobody: incidents are only shown; give alertmanagers or --alertmanager".to_owned());
    }
    for (i, a) in config.alertmanagers.iter().enumerate() {
        line(
            if i == 0 { "tells" } else { "" },
            format!("{} ({}), again every {} while an incident lasts", a.endpoint.url, a.name, config.defaults.resend),
        );
    }
    line("budget", format!("{} false incidents a day over all series together", config.alert_budget_per_day));
    line("learns", format!("anew every {}", config.defaults.refit));
    let reach = if config.server.listen.ip().is_loopback() { "this machine only" } else { "every machine that can reach it" };
    line("listens", format!("on {} for {reach}; links lead to {}", config.server.listen, config.server.external_url));
    let kept = match &config.store {
        Some(database) => format!("its data in {database}, fitted models in {}", config.data_dir.display()),
        None => format!("its data in {}", config.data_dir.display()),
    };
    let size = config.retention.size.map_or_else(String::new, |bytes| format!(" and at most {}", Unit::Bytes.show(bytes as f64)));
    line("keeps", format!("{kept}; what is over for {}{size}", config.retention.age));
    line(
        "suggests",
        config.catalogues.iter().fold("from the shipped catalogue".to_owned(), |text, file| format!("{text}, {}", file.display()))
            + &if examples == 0 { String::new() } else { format!("; {} as expected", counted(examples, "example")) },
    );
    let hooks = &config.actions.hooks;
    let names = || hooks.iter().map(|(action, _)| action.name.as_str()).collect::<Vec<_>>().join(", ");
    line(
        "acts",
        match config.actions.mode {
            Mode::Off => "never: actions.mode is off".to_owned(),
            _ if hooks.is_empty() => "never: actions.hooks has none".to_owned(),
            Mode::DryRun => format!("only as a rehearsal: {}", names()),
            Mode::On => format!("by {}, each within its rails", names()),
        },
    );
    let traces =
        config.telemetry.otlp_endpoint.as_ref().map_or_else(|| "traces go nowhere".to_owned(), |url| format!("traces go to {url}"));
    line("logs", format!("{} and worse; {traces}", config.telemetry.log_level.as_str().to_lowercase()));
    if !config.monitors.is_empty() {
        text.push_str("\nmonitors\n");
        for monitor in &config.monitors {
            let _ = writeln!(text, "  {}", monitor_line(monitor));
        }
    }
    text
}

fn monitor_line(m: &Monitor) -> String {
    let service = m.service.as_ref().map_or_else(|| format!("one service per `{}`", m.service_label), |name| format!("service {name}"));
    let direction = m.direction.map_or("up and down", |d| d.as_str());
    let severity = m.severity.map_or_else(String::new, |s| format!(", {s}"));
    let query = m.query.split_whitespace().collect::<Vec<_>>().join(" ");
    let guards = if m.guards == Guards::default() { String::new() } else { format!("\n    held back: {}", m.guards.in_words(m.unit)) };
    let together = m.together_in_words().map_or_else(String::new, |words| format!("\n    judged together: {words}"));
    let budget = m.alert_budget_per_day.map_or_else(String::new, |n| format!("\n    budget: {n} false incidents a day of its own"));
    let forecast = m.forecast.as_ref().map_or_else(String::new, |plan| format!("\n    forecast: {}", plan.in_words(m.unit)));
    let judged = match &m.drift {
        Some(plan) => plan.in_words(),
        None => format!("{direction}{severity}, every {} over {}", m.step, m.window),
    };
    format!("{}: {}, {service}, {judged}\n    {query}{forecast}{together}{budget}{guards}", m.name, m.metric)
}

fn json_report(config: &Config, examples: usize) -> Value {
    let endpoint = |e: &crate::endpoint::Config| json!({"url": e.url.as_str(), "timeout": e.timeout});
    json!({
        "valid": true,
        "prometheus": config.prometheus.as_ref().map(|p| endpoint(&p.endpoint)),
        "alertmanagers": config.alertmanagers.iter().map(|a| json!({"name": a.name, "url": a.endpoint.url.as_str()})).collect::<Vec<_>>(),
        "alert_budget": {"per_day": config.alert_budget_per_day},
        "listen": config.server.listen.to_string(),
        "external_url": config.server.external_url.as_str(),
        "data_dir": config.data_dir,
        "store": config.store.as_ref().map(ToString::to_string),
        "retention": {"age": config.retention.age, "size": config.retention.size},
        "catalogues": config.catalogues,
        "examples": examples,
        "actions": {
            "mode": config.actions.mode,
            "hooks": config.actions.hooks.iter().map(|(a, _)| json!({"name": a.name, "url": a.url})).collect::<Vec<_>>(),
        },
        "discovery": config.discovery,
        "monitors": config.monitors,
    })
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(name)
    }

    fn printed(args: &Args) -> (ExitCode, String) {
        let mut out = Vec::new();
        let code = run(args, std::iter::empty(), &mut out).unwrap();
        (code, String::from_utf8(out).unwrap().replace(env!("CARGO_MANIFEST_DIR"), "[ROOT]"))
    }

    #[test]
    fn says_what_the_configuration_would_do() {
        let (code, text) =
            printed(&Args { settings: Settings { config: Some(fixture("good/full.yaml")), ..Settings::default() }, output: Output::Text });
        assert_eq!(code, ExitCode::SUCCESS);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_prometheus_alone_is_enough() {
        let settings = Settings { prometheus: Some("http://localhost:9090".to_owned()), ..Settings::default() };
        let (code, text) = printed(&Args { settings, output: Output::Text });
        assert_eq!(code, ExitCode::SUCCESS);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn prints_every_error_for_people_and_for_programs() {
        let settings = Settings {
            config: Some(fixture("bad/07-misspelt-fields.yaml")),
            listen: Some(":80".to_owned()),
            alertmanager: vec!["a".to_owned(), "b".to_owned()],
            ..Settings::default()
        };
        let (code, text) = printed(&Args { settings: settings.clone(), output: Output::Text });
        assert_eq!(code, ExitCode::FAILURE);
        let (_, json) = printed(&Args { settings, output: Output::Json });
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["errors"].as_array().unwrap().len() + 2, text.lines().count());
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_json_names_the_monitors() {
        let (_, json) =
            printed(&Args { settings: Settings { config: Some(fixture("good/full.yaml")), ..Settings::default() }, output: Output::Json });
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&json["valid"], &json["monitors"][0]["name"]), (&json!(true), &json!("checkout-latency")));
    }
}
