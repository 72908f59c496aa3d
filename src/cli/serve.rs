//! `bellwether serve`.

use tokio::sync::watch;

use super::check::Settings;
use super::{misused, runtime};
use crate::app::{self, App};
use crate::error::{Error, Result};
use crate::telemetry;

/// Watch a Prometheus and tell its Alertmanagers.
///
/// Without a configuration file it watches what `bellwether discover` proposes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  bellwether serve --prometheus http://localhost:9090 --alertmanager http://localhost:9093")]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
}

/// Serves until the process is asked to stop.
///
/// # Errors
/// A configuration that is wrong, or a part that cannot start.
pub fn run(args: &Args, environment: impl Iterator<Item = (String, String)>) -> Result<()> {
    let config = args.settings.load(environment).map_err(misused)?;
    if config.prometheus.is_none() {
        return Err(Error::invalid(
            "prometheus.url",
            "is missing; say where Prometheus is with --prometheus URL, or in the file given with -c",
        ));
    }
    runtime()?.block_on(async {
        let telemetry = telemetry::Config {
            log_level: config.telemetry.log_level.to_string(),
            otlp_endpoint: config.telemetry.otlp_endpoint.as_ref().map(ToString::to_string),
        }
        .start()?;
        let listener = app::listen(config.server.listen).await?;
        let app = App::build(&config).await?;
        tracing::info!(
            listen = %config.server.listen,
            prometheus = config.prometheus.as_ref().map(|p| p.endpoint.url.to_string()),
            alertmanagers = config.alertmanagers.len(),
            monitors = config.monitors.len(),
            discovery = config.discovery,
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            asked_to_stop().await;
            tracing::info!("stopping");
            let _ = stop.send(true);
        });
        app.run(Some(telemetry.metrics.clone()), listener, stopped).await
    })
}

/// Completes when the process is asked to stop: Ctrl-C or SIGTERM.
pub async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return drop(tokio::signal::ctrl_c().await);
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
