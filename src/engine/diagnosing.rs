//! Where trouble began, asked of a Prometheus: what the monitors watch, around an instant.

use futures_util::future::join_all;

use super::Engine;
use super::charting::measured_calls;
use crate::clock::{DurationMs, Timestamp};
use crate::correlation::diagnose::MetricSeries;
use crate::correlation::topology::{Call, Topology};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::series::Series;
use crate::source::prometheus::{Prometheus, Reading};

/// How much of the past says what is usual.
pub const BEFORE: DurationMs = DurationMs::from_secs(6 * 3600);
/// How much is looked at after the instant, as far as it has passed.
pub const AFTER: DurationMs = DurationMs::from_secs(20 * 60);
/// Queries under way at once.
const AT_ONCE: usize = 4;
/// The most points over all series.
const MOST_POINTS: u64 = 20_000_000;

/// What was read of a Prometheus to tell where trouble began.
#[derive(Debug, Default)]
pub struct Scene {
    /// The metrics of services.
    pub metrics: Vec<MetricSeries>,
    /// Caller and callee.
    pub calls: Vec<(String, String)>,
    /// What Prometheus warned of, and which monitors could not be read.
    pub warnings: Vec<String>,
}

impl Scene {
    /// Reads what `monitors` watch from [`BEFORE`] the instant `at` to [`AFTER`] it, but not after `now`. What one monitor's
    /// query cannot give is told in `warnings`.
    ///
    /// # Errors
    /// `at` is not in the past, nothing at all could be read, or it is too much.
    pub async fn read(prometheus: &Prometheus, monitors: &[Monitor], at: Timestamp, now: Timestamp) -> Result<Self> {
        if at > now {
            return Err(Error::invalid("at", format!("{at} is in the future; it is {now}")));
        }
        // The data of a monitor of drift are buckets, which mean nothing one by one.
        let watched: Vec<&Monitor> = monitors.iter().filter(|monitor| monitor.drift.is_none()).collect();
        let (mut scene, mut points, mut failed) = (Self::default(), 0, None);
        for monitors in watched.chunks(AT_ONCE) {
            let reads: Vec<_> = monitors.iter().map(|monitor| read_around(prometheus, monitor, at, now)).collect();
            for (monitor, read) in monitors.iter().zip(join_all(reads).await) {
                match read {
                    Ok(reading) => {
                        points += reading.points;
                        scene.warnings.extend(reading.warnings);
                        scene.metrics.extend(reading.series.iter().map(|series| of_monitor(series, monitor)));
                    }
                    Err(error) => {
                        scene.warnings.push(format!("{}: {}", monitor.name, error.chain()));
                        failed = Some(error);
                    }
                }
            }
            if points > MOST_POINTS {
                let what = format!("what the monitors watch is more than {MOST_POINTS} points in {BEFORE}; watch fewer series");
                return Err(Error::invalid("metrics", what));
            }
        }
        match failed {
            Some(error) if scene.metrics.is_empty() => Err(error),
            _ => Ok(scene),
        }
    }

    /// Whether the scene can tell of the instant and the symptom; `fields` are what the caller calls these and the metrics.
    ///
    /// # Errors
    /// There are no metrics, the instant lies outside them, or the symptom is no service of the scene.
    pub fn check(&self, at: Timestamp, symptom: Option<&str>, fields: [&str; 3]) -> Result<()> {
        let times = || self.metrics.iter().flat_map(|m| m.times.iter().copied());
        let (Some(first), Some(last)) = (times().min(), times().max()) else {
            return Err(Error::invalid(fields[2], "there are none to tell from"));
        };
        if !(first..=last).contains(&at) {
            let what = format!("{at} is not between the first time of the metrics, {first}, and the last, {last}");
            return Err(Error::invalid(fields[0], what));
        }
        let known = |name: &str| self.metrics.iter().any(|m| m.service == name) || self.calls.iter().any(|(a, b)| a == name || b == name);
        match symptom {
            Some(name) if !known(name) => Err(Error::invalid(fields[1], format!("`{name}` is no service of the metrics or the calls"))),
            _ => Ok(()),
        }
    }

    /// Takes the calls of a topology.
    #[must_use]
    pub fn with_calls(mut self, topology: &Topology) -> Self {
        self.calls = topology.calls().map(|call| (call.caller, call.callee)).collect();
        self
    }

    /// Takes `calls`, and those that service-graph metrics count.
    ///
    /// # Errors
    /// Prometheus does not answer, or the calls make no topology.
    pub async fn with_measured_calls(self, calls: &[Call], prometheus: &Prometheus, now: Timestamp) -> Result<Self> {
        let measured = measured_calls(prometheus, now).await?;
        let topology = Topology::new(calls.iter().cloned().chain(measured)).map_err(Error::violations)?;
        Ok(self.with_calls(&topology))
    }
}

impl Engine {
    /// What the monitors watch around `at`, to tell where the trouble there began; without calls.
    ///
    /// # Errors
    /// No Prometheus is configured, it does not answer, or `at` is not in the past.
    pub async fn scene(&self, at: Timestamp) -> Result<Scene> {
        let monitors: Vec<Monitor> = self.watched().into_values().collect();
        Scene::read(self.prometheus()?, &monitors, at, self.0.clock.now()).await
    }
}

async fn read_around(prometheus: &Prometheus, monitor: &Monitor, at: Timestamp, now: Timestamp) -> Result<Reading> {
    let step = monitor.step;
    prometheus.range(&monitor.query, (at - BEFORE).align_down(step), (at + AFTER).min(now).align_down(step), step).await
}

/// A series of a monitor as a metric of its service. What it measures is the monitor's word, not to be guessed from a name.
fn of_monitor(series: &Series, monitor: &Monitor) -> MetricSeries {
    let rest = series.key.labels().iter().filter(|(name, _)| **name != monitor.service_label);
    let rest: Vec<String> = rest.map(|(name, value)| format!("{name}={value:?}")).collect();
    let metric = if rest.is_empty() { monitor.name.clone() } else { format!("{}{{{}}}", monitor.name, rest.join(",")) };
    MetricSeries::of(monitor.service_of(&series.key), metric, &series.window).measuring(monitor.metric, monitor.unit)
}
