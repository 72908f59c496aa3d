//! `bellwether demo`: the engine as `serve` runs it, over a simulated shop.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::check::Settings;
use super::serve::asked_to_stop;
use super::show::{advice_text, finding_text};
use super::text::{Style, wrap};
use super::{Terminal, chart, misused, print, runtime};
use crate::app::{self, App};
use crate::clock::{Clock, DurationMs};
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::status::SeriesState;
use crate::error::{Code, Error, Result};
use crate::incident::{Incident, IncidentState};
use crate::simulator::receiver::{self, Change, Received};
use crate::simulator::{self, Shop};
use crate::telemetry;

/// Rows of the chart, and points in it.
const ROWS: usize = 14;
const POINTS: usize = 90;
/// How often the terminal looks at the engine.
const LOOK: Duration = Duration::from_millis(500);
/// After the first sign of an incident, so many looks at most are taken before its picture is drawn: its other
/// findings come in while the rest of the monitors are evaluated.
const MOST_LOOKS: usize = 60;

/// See it work: a simulated shop with an incident that began minutes ago.
///
/// Everything runs in this process and on loopback. Alerts go to --alertmanager, or are printed here.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  bellwether demo --alertmanager http://localhost:9093")]
pub struct Args {
    /// An Alertmanager to tell; without one the demo receives the alerts itself.
    #[arg(long, value_name = "URL")]
    alertmanager: Option<String>,
    /// Where to listen; a free port of loopback when taken.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9095")]
    listen: String,
    /// Stop once the incident has been shown and its alert delivered.
    #[arg(long)]
    once: bool,
}

/// What the demo set up besides the engine.
struct Stage {
    prometheus: String,
    alertmanager: String,
    listen: String,
    data: PathBuf,
    alerts: Option<mpsc::Receiver<Received>>,
}

/// Plays the shop until the incident was shown (`--once`) or the process is asked to stop.
///
/// # Errors
/// A port or folder that cannot be used.
pub(super) fn run(args: &Args, environment: impl Iterator<Item = (String, String)>, terminal: &Terminal) -> Result<()> {
    let data = std::env::temp_dir().join(format!("bellwether-demo-{}", std::process::id()));
    let played = runtime()?.block_on(async {
        tokio::select! {
            played = play(args, environment.collect(), terminal, data.clone()) => played,
            () = asked_to_stop() => Ok(()),
        }
    });
    let _ = std::fs::remove_dir_all(data);
    played
}

async fn play(args: &Args, environment: Vec<(String, String)>, terminal: &Terminal, data: PathBuf) -> Result<()> {
    let telemetry = telemetry::Config { log_level: "error".to_owned(), otlp_endpoint: None }.start()?;
    let clock = Arc::new(Clock::System);
    let shop = Arc::new(simulator::Config::ending_at(clock.now()).build()?);
    let (stop, stopped) = watch::channel(false);
    let (listener, stage) = set_up(args, &shop, &clock, data, &stopped).await?;
    let mut out = std::io::stdout();
    print(&mut out, &opening(&shop, &stage, terminal))?;
    // The rest is what `serve` does with these flags.
    let config = settings(&stage).load(environment.into_iter()).map_err(misused)?;
    let app = App::build(&Config { discovery: true, ..config }).await?;
    let engine = app.engine.clone();
    engine.publish(shop.truth().changes.clone()).await?;
    let running = tokio::spawn(app.run(Some(telemetry.metrics.clone()), listener, stopped));
    let shown = watch_engine(&engine, stage, terminal, args.once).await;
    let _ = stop.send(true);
    running.await.map_err(|e| Error::new(Code::Internal, "the engine failed").caused_by(e))??;
    shown
}

/// Starts the shop's Prometheus, and a receiver where no Alertmanager is given.
async fn set_up(
    args: &Args,
    shop: &Arc<Shop>,
    clock: &Arc<Clock>,
    data: PathBuf,
    stopped: &watch::Receiver<bool>,
) -> Result<(TcpListener, Stage)> {
    let until = || {
        let mut stopped = stopped.clone();
        async move { drop(stopped.wait_for(|stop| *stop).await) }
    };
    let wanted = args
        .listen
        .parse()
        .map_err(|_| Error::invalid("--listen", format!("`{}` is not an address such as 127.0.0.1:9095", args.listen)))?;
    let listener = match app::listen(wanted).await {
        Ok(listener) => listener,
        Err(_) => loopback().await?,
    };
    let prometheus = loopback().await?;
    let prometheus_url = url(&prometheus)?;
    tokio::spawn(simulator::http::serve(Arc::clone(shop), Arc::clone(clock), prometheus, until()));
    let (alertmanager, alerts) = if let Some(url) = &args.alertmanager {
        (url.clone(), None)
    } else {
        let listener = loopback().await?;
        let url = url(&listener)?;
        let (sender, alerts) = mpsc::channel(64);
        tokio::spawn(receiver::receive(listener, Arc::clone(clock), sender, until()));
        (url, Some(alerts))
    };
    let listen = listener.local_addr().map_err(|e| Error::new(Code::Internal, "cannot tell the port").caused_by(e))?.to_string();
    Ok((listener, Stage { prometheus: prometheus_url, alertmanager, listen, data, alerts }))
}

async fn loopback() -> Result<TcpListener> {
    app::listen(([127, 0, 0, 1], 0).into()).await
}

fn url(listener: &TcpListener) -> Result<String> {
    let address = listener.local_addr().map_err(|e| Error::new(Code::Internal, "cannot tell the port").caused_by(e))?;
    Ok(format!("http://{address}"))
}

fn settings(stage: &Stage) -> Settings {
    Settings {
        config: None,
        prometheus: Some(stage.prometheus.clone()),
        alertmanager: vec![stage.alertmanager.clone()],
        listen: Some(stage.listen.clone()),
        data_dir: Some(stage.data.display().to_string()),
        store: None,
    }
}

fn opening(shop: &Shop, stage: &Stage, terminal: &Terminal) -> String {
    let title = Style::Bold.paint("Bellwether demo: a simulated shop, nothing but loopback", terminal.colour);
    let story = format!(
        "{} services with two weeks of history, {} raw series, behind a simulated Prometheus at {}. A few minutes ago something broke. \
         The engine runs as `bellwether serve --prometheus {} --alertmanager {}` would, without a configuration file; \
         deployments are published to it, as a pipeline would.",
        shop.services().len(),
        shop.series_count(),
        stage.prometheus,
        stage.prometheus,
        stage.alertmanager,
    );
    format!("{title}\n\n{}\n", wrap(&story, terminal.columns, ""))
}

/// Tells what the engine does: what it watches, the incident once it is found, the alerts that arrive.
async fn watch_engine(engine: &Engine, mut stage: Stage, terminal: &Terminal, once: bool) -> Result<()> {
    let mut out = std::io::stdout();
    let (mut fitted, mut shown, mut told) = (0, None::<String>, false);
    let mut changes = engine.watch();
    let started = std::time::Instant::now();
    loop {
        while let Ok(incident) = changes.try_recv() {
            if shown.is_none() && incident.state == IncidentState::Open {
                let incident = settled(engine).await?.unwrap_or(incident);
                // What happened meanwhile is in the picture.
                while changes.try_recv().is_ok() {}
                print(&mut out, &watching(engine, started.elapsed(), terminal))?;
                print(&mut out, &story(engine, &incident, &stage, terminal))?;
                if !once {
                    print(&mut out, "  Ctrl-C ends the demo.\n\n")?;
                }
                shown = Some(incident.id);
            } else if shown.is_some() {
                print(&mut out, &format!("{}\n", line(&incident, terminal)))?;
            }
        }
        let now_fitted = engine.monitors().iter().map(super::super::engine::status::MonitorStatus::fitted).sum::<usize>();
        if shown.is_none() && now_fitted != fitted && now_fitted % 10 == 0 {
            fitted = now_fitted;
            print(&mut out, &format!("  {:>3.0} s  {fitted} series learned\n", started.elapsed().as_secs_f64()))?;
        }
        while let Some(received) = stage.alerts.as_mut().and_then(|alerts| alerts.try_recv().ok()) {
            told = true;
            print(&mut out, &alert_text(&received, terminal))?;
        }
        if let (true, Some(incident)) = (once, &shown)
            && (told || stage.alerts.is_none() && delivered(engine, incident).await?)
        {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the Alertmanager took the incident's alert; where the demo plays it, the alert is awaited itself.
async fn delivered(engine: &Engine, incident: &str) -> Result<bool> {
    let deliveries = engine.store().deliveries(incident).await?;
    Ok(deliveries.iter().all(|delivery| delivery.delivered_at.is_some()))
}

/// Waits until every monitor was evaluated once, and gives the open incident that began first.
async fn settled(engine: &Engine) -> Result<Option<Incident>> {
    for _ in 0..MOST_LOOKS {
        if engine.monitors().iter().all(|m| m.last_evaluated.is_some()) {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    let open = engine.store().open_incidents().await?;
    Ok(open.into_iter().min_by_key(|incident| incident.started))
}

fn watching(engine: &Engine, after: Duration, terminal: &Terminal) -> String {
    let monitors = engine.monitors();
    let count = |state| monitors.iter().map(|m| m.count(state)).sum::<usize>();
    let services: std::collections::BTreeSet<String> =
        monitors.iter().flat_map(|m| m.series.iter().map(|s| m.monitor.service_of(&s.key))).collect();
    let title = Style::Bold.paint("What is watched", terminal.colour);
    let names: Vec<&str> = monitors.iter().map(|m| m.monitor.name.as_str()).collect();
    let mut text = format!("\n{title}\n");
    let _ = writeln!(
        text,
        "  {} monitors were proposed from what Prometheus has; {} series of {} services learned {:.0} s after the start",
        monitors.len(),
        monitors.iter().map(super::super::engine::status::MonitorStatus::fitted).sum::<usize>(),
        services.len(),
        after.as_secs_f64(),
    );
    text.push_str(&wrap(&names.join(", "), terminal.columns, "  "));
    let _ = writeln!(
        text,
        "  {} as expected, {} abnormal, {} that nothing can be said of; {} metrics passed over, each with its reason",
        count(SeriesState::Normal),
        count(SeriesState::Anomalous),
        count(SeriesState::CannotSay),
        engine.skipped().len(),
    );
    text
}

/// The incident with its evidence, what caused it, what to do and where to look.
fn story(engine: &Engine, incident: &Incident, stage: &Stage, terminal: &Terminal) -> String {
    let head = |title: &str| format!("\n{}\n", Style::Bold.paint(title, terminal.colour));
    let mut text = head("The incident");
    let _ = writeln!(
        text,
        "  {}",
        Style::from(incident.severity).paint(&format!("[{}] {}", incident.severity, incident.title), terminal.colour)
    );
    let known = DurationMs::from_secs(incident.detected.since(incident.started).millis() / 1000);
    let _ = writeln!(text, "  began {}, known {known} later; {} findings\n", incident.started, incident.findings.len());
    if let Some(chart) = incident.findings.first().and_then(|finding| engine.chart(finding, POINTS)) {
        text.push_str(&chart::render(&chart, (terminal.columns, ROWS), terminal.colour));
    }
    for finding in incident.findings.iter().take(4) {
        text.push_str(&finding_text(finding, terminal));
    }
    if incident.findings.len() > 4 {
        let _ = writeln!(text, "  … and {} more", incident.findings.len() - 4);
    }
    text.push_str(&advice_text(incident, terminal));
    text.push_str(&head("Where to look further"));
    let base = engine.external_url();
    for (what, how) in [
        ("pages", format!("{base}/  and  {base}/incidents/{}", incident.id)),
        (
            "gRPC",
            format!("grpcurl -plaintext -d '{{\"id\": \"{}\"}}' {} bellwether.v1.IncidentService/GetIncident", incident.id, stage.listen),
        ),
        ("metrics", format!("curl -s {base}/metrics | grep bellwether_anomaly_score")),
        ("PromQL", format!("bellwether analyze --prometheus {} 'sum by (service) (rate(http_requests_total[5m]))'", stage.prometheus)),
    ] {
        let _ = writeln!(text, "  {what:<8} {}", Style::Cyan.paint(&how, terminal.colour));
    }
    text.push('\n');
    text
}

fn line(incident: &Incident, terminal: &Terminal) -> String {
    let style = if incident.state == IncidentState::Resolved { Style::Green } else { Style::from(incident.severity) };
    style.paint(
        &format!("{} {} {} ({} findings)", incident.updated, incident.state, incident.title, incident.findings.len()),
        terminal.colour,
    )
}

fn alert_text(received: &Received, terminal: &Terminal) -> String {
    let what = match received.change {
        Change::New => "An alert arrived at the Alertmanager",
        Change::Changed => "The alert was brought up to date",
        Change::Resolved => "The alert was resolved",
    };
    let labels: Vec<String> = received.alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut text = format!("{}: {}\n", Style::Bold.paint(what, terminal.colour), labels.join(" "));
    if received.change == Change::New {
        for name in ["summary", "description", "likely_cause"] {
            if let Some(value) = received.alert.annotations.get(name) {
                text.push_str(&wrap(&format!("{name}: {value}"), terminal.columns, "  "));
            }
        }
    }
    text
}
