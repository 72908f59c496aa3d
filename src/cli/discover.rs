//! `bellwether discover`.

use std::fmt::Write as _;
use std::io::Write;

use serde_json::json;

use super::check::{Output, Settings};
use super::{misused, print, runtime};
use crate::clock::Clock;
use crate::config::monitors_yaml;
use crate::engine::discover::{Options, Proposal, discover};
use crate::error::{Error, Result};

/// Propose monitors for what a Prometheus has, as YAML for `-c`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  bellwether discover --prometheus http://localhost:9090 > bellwether.yaml")]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    /// How the result is printed: text is YAML.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Looks, proposes and prints; what was skipped is told in comments.
///
/// # Errors
/// A configuration that is wrong, or a Prometheus that does not answer.
pub fn run(args: &Args, environment: impl Iterator<Item = (String, String)>, out: &mut impl Write) -> Result<()> {
    let config = args.settings.load(environment).map_err(misused)?;
    let source = config
        .prometheus
        .as_ref()
        .ok_or_else(|| Error::invalid("prometheus.url", "is missing; say where Prometheus is with --prometheus URL"))?;
    let options = Options::new(config.defaults.step, config.defaults.window);
    let proposal = runtime()?.block_on(async { discover(&source.build()?, Clock::System.now(), &options).await })?;
    let text = match args.output {
        Output::Text => yaml(&proposal, &config.defaults, source.endpoint.url.as_str()),
        Output::Json => {
            let skipped: Vec<_> = proposal.skipped.iter().map(|s| json!({ "metric": s.metric, "reason": s.reason })).collect();
            format!("{:#}\n", json!({ "monitors": proposal.monitors, "skipped": skipped }))
        }
    };
    print(out, &text)
}

fn yaml(proposal: &Proposal, defaults: &crate::config::Defaults, prometheus: &str) -> String {
    let mut header = format!("{} monitors were proposed, {} metrics were skipped", proposal.monitors.len(), proposal.skipped.len());
    for skipped in &proposal.skipped {
        let _ = write!(header, "\n  {}: {}", skipped.metric, skipped.reason);
    }
    monitors_yaml(&proposal.monitors, defaults, Some(prometheus), &header)
}
