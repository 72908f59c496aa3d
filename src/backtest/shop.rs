//! The backtest over a simulated shop in which all that goes wrong is known: a [`campaign`] of incidents over weeks, with
//! harmless changes and threshold rules that fire as often as people put up with.
//!
//! The way is the live one: what discovery proposes is read over HTTP, judged causally minute by minute, and the findings
//! are joined tick by tick, with the calls that Prometheus counts, the changes, and the rules' alerts as Alertmanager's
//! webhook brings them. An engine is played that is started at the beginning of the days that count, with a window of
//! history before it. [`measure`] holds what it raised against what was injected.

pub mod measure;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::incidents::{Around, Noticed, play};
use super::prometheus::{self, Learn, Limits, Progress};
use crate::clock::{Clock, DurationMs, Timestamp};
use crate::correlation::topology::{Call, CallSource, Topology};
use crate::delivery::webhook;
use crate::endpoint;
use crate::engine::discover::Options;
use crate::engine::pool::Pool;
use crate::error::{Code, Error, Result, Violation};
use crate::event::Event;
use crate::monitor::Monitor;
use crate::series::SeriesKey;
use crate::simulator::campaign::{self, Fault};
use crate::simulator::rules::{self, Firing};
use crate::simulator::{self, Shop};
use crate::source::prometheus as source;
use measure::{Measured, Raised, Terms};

/// When the days that count begin: a Monday.
const FROM: &str = "2026-03-02T00:00:00Z";
/// Rules fire so many times a day, for each service: 200 for 50 services.
const FIRED_PER_SERVICE: f64 = 4.0;
/// After so long Alertmanager tells of what began or ended: its `group_wait`.
const TOLD_AFTER: DurationMs = DurationMs::from_secs(30);
/// What may be read for one monitor.
const LIMITS: Limits = Limits { most_series: 10_000, most_points: 25_000_000 };
/// The most days that count.
const MOST_DAYS: usize = 60;

/// Which shop, and how it is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Two runs of one plan are the same.
    pub seed: u64,
    /// How many services.
    pub services: usize,
    /// How many days count.
    pub days: usize,
    /// How many incidents are injected.
    pub incidents: usize,
    /// How many harmless changes there are.
    pub changes: usize,
    /// False alerts accepted a day over all series together.
    pub alerts_per_day: f64,
    /// How much history a model learns from.
    pub window: DurationMs,
    /// How long a model serves.
    pub refit: DurationMs,
    /// How long one finding alone must last before it is told.
    pub patience: DurationMs,
}

/// What was noticed and what was known: all that the correlation and the measures need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Played {
    /// The findings.
    pub noticed: Vec<Noticed>,
    /// The monitors.
    pub monitors: Vec<Monitor>,
    /// Caller and callee.
    pub calls: Vec<(String, String)>,
    /// Changes and alerts, with when each was told.
    pub events: Vec<(Timestamp, Event)>,
    /// What was injected.
    pub faults: Vec<Fault>,
    /// How many alerts the rules fired.
    pub fired: usize,
    /// How many of them fired on something that an injected incident moved.
    pub fired_rightly: usize,
    /// Where the days that count begin.
    pub from: Timestamp,
    /// Where they end.
    pub to: Timestamp,
    /// How long one finding alone must last before it is told.
    pub patience: DurationMs,
}

/// Plays the shop of `plan` to detection, computing on `pool`, and tells `progress` after each piece.
///
/// # Errors
/// The plan makes no sense, or loopback cannot be used.
pub async fn run(pool: &Pool, plan: &Plan, progress: impl Fn(Progress) + Sync) -> Result<Played> {
    let (shop, from, to) = shop(plan)?;
    let shop = Arc::new(shop);
    let clock = Arc::new(Clock::manual(from));
    let (stop, stopped) = oneshot::channel::<()>();
    let (prometheus, address) = serve(&shop, &clock, stopped).await?;
    let step = DurationMs::from_secs(60);
    // What there is at the beginning is watched.
    let monitors = prometheus::watched(&prometheus, &[], Some(&Options::new(step, plan.window)), from).await?;
    let topology = prometheus::topology(&prometheus, &[], from).await?;
    clock.set(to);
    let past = prometheus::Plan {
        source: address,
        monitors,
        start: from,
        end: to - step,
        step,
        alerts_per_day: plan.alerts_per_day,
        refit: plan.refit,
        limits: LIMITS,
        calls: Vec::new(),
        patience: plan.patience,
    };
    let replayed = prometheus::replay(&prometheus, pool, &past, Learn::AtOnce, progress).await?;
    drop(stop);
    let per_day = FIRED_PER_SERVICE * plan.services as f64;
    let (ruled, learn) = (Arc::clone(&shop), from - plan.window);
    let fired = pool.run(move || rules::fired(&ruled, learn, from, to, per_day)).await?;
    let campaign = shop.campaign().ok_or_else(|| Error::new(Code::Internal, "the shop plays no campaign"))?;
    let mut events = alerts(&fired)?;
    events.extend(campaign.changes.iter().map(|change| (change.starts_at, change.clone())));
    events.sort_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
    let is_right = |firing: &&Firing| {
        let during =
            |t: &campaign::Touch| t.service == firing.service && firing.from >= t.from && firing.from <= t.to + DurationMs::from_secs(600);
        campaign.faults.iter().any(|fault| fault.touches.iter().any(during))
    };
    let noticed = replayed.into_iter().flat_map(|one| one.noticed).filter(|n| n.closed.is_none_or(|closed| closed > from));
    Ok(Played {
        noticed: noticed.collect(),
        monitors: past.monitors,
        calls: topology.calls().map(|call| (call.caller, call.callee)).collect(),
        events,
        fired_rightly: fired.iter().filter(is_right).count(),
        fired: fired.len(),
        faults: campaign.faults.clone(),
        from,
        to,
        patience: plan.patience,
    })
}

/// Joins what was noticed to incidents, and measures them.
///
/// # Errors
/// The calls make no topology: a fault of ours.
pub fn judge(played: &Played) -> Result<Measured> {
    let monitors: BTreeMap<String, Monitor> = played.monitors.iter().map(|m| (m.name.clone(), m.clone())).collect();
    let call = |(caller, callee): &(String, String)| Call { caller: caller.clone(), callee: callee.clone(), source: CallSource::Measured };
    let topology = Topology::new(played.calls.iter().map(call)).map_err(Error::violations)?;
    let mut raised: BTreeMap<String, Raised> = BTreeMap::new();
    play(
        &played.noticed,
        Around { monitors: &monitors, topology: &topology, events: &played.events, patience: played.patience },
        |now, changed| {
            for incident in changed {
                raised.entry(incident.id.clone()).or_default().take(now, incident);
            }
        },
    );
    let terms = Terms { from: played.from, to: played.to, fired: played.fired, fired_rightly: played.fired_rightly };
    Ok(measure::measure(&played.faults, raised.into_values().collect(), terms))
}

/// The shop of a plan, and the days that count.
fn shop(plan: &Plan) -> Result<(Shop, Timestamp, Timestamp)> {
    let mut violations = Vec::new();
    if !(1..=MOST_DAYS).contains(&plan.days) {
        violations.push(Violation { field: "days".to_owned(), description: format!("{}; it must be 1 to {MOST_DAYS}", plan.days) });
    }
    if plan.window < DurationMs::DAY {
        violations.push(Violation { field: "window".to_owned(), description: format!("{}; it must be at least 1d", plan.window) });
    }
    if !violations.is_empty() {
        return Err(Error::violations(violations));
    }
    let from: Timestamp = FROM.parse().map_err(|e| Error::new(Code::Internal, "the first day is no time").caused_by(e))?;
    let to = from + DurationMs::DAY * plan.days as i64;
    let config = simulator::Config {
        seed: plan.seed,
        services: plan.services,
        // Rates look a little further back than the window.
        start: from - plan.window - DurationMs::HOUR,
        scrape_interval: DurationMs::from_secs(60),
        sessions: 0,
        incident: None,
        campaign: Some(campaign::Plan { faults: plan.incidents, changes: plan.changes, from, to }),
    };
    Ok((config.build()?, from, to))
}

/// Serves the shop's Prometheus on loopback until `stopped`.
async fn serve(shop: &Arc<Shop>, clock: &Arc<Clock>, stopped: oneshot::Receiver<()>) -> Result<(source::Prometheus, String)> {
    let failed = |e: std::io::Error| Error::new(Code::Unavailable, "no port of loopback can be used").caused_by(e);
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let address = format!("http://{}", listener.local_addr().map_err(failed)?);
    let until = async move { drop(stopped.await) };
    tokio::spawn(simulator::http::serve(Arc::clone(shop), Arc::clone(clock), listener, until));
    let url = address.parse().map_err(|e| Error::new(Code::Internal, "loopback has no address").caused_by(e))?;
    let config = source::Config { endpoint: endpoint::Config::new(url), concurrency: 4, most_series: 10_000, most_points: 50_000_000 };
    Ok((config.build()?, address))
}

/// What the rules fired as the events that Alertmanager's webhook makes of it: told when it begins, and when it ends.
fn alerts(fired: &[Firing]) -> Result<Vec<(Timestamp, Event)>> {
    let mut events = Vec::with_capacity(fired.len() * 2);
    for firing in fired {
        for (told, ends) in [(firing.from, None), (firing.to, Some(firing.to))] {
            for event in webhook::parse(payload(firing, ends).to_string().as_bytes())? {
                events.push((told + TOLD_AFTER, event));
            }
        }
    }
    Ok(events)
}

fn payload(firing: &Firing, ends: Option<Timestamp>) -> serde_json::Value {
    let labels =
        [("alertname", firing.alertname), ("service", firing.service.as_str())].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let fingerprint: String = SeriesKey::new(labels).fingerprint().chars().take(16).collect();
    let status = if ends.is_some() { "resolved" } else { "firing" };
    json!({
        "version": "4",
        "status": status,
        "alerts": [{
            "status": status,
            "labels": { "alertname": firing.alertname, "service": firing.service },
            "annotations": {},
            "startsAt": firing.from.to_string(),
            "endsAt": ends.map_or("0001-01-01T00:00:00Z".to_owned(), |end| end.to_string()),
            "fingerprint": fingerprint,
        }],
    })
}

#[cfg(test)]
mod tests;
