//! Processes that began anew.

use std::collections::{BTreeMap, BTreeSet};

use super::Site;
use crate::clock::{DurationMs, Timestamp};
use crate::event::{Event, EventKind};
use crate::series::{Series, SeriesKey, Window};

/// Starts of one job that are no further apart are one event.
const TOGETHER: DurationMs = DurationMs::from_secs(600);
/// Two values for the start of one process differ by less: it is computed from the time since the machine started.
const SAME: f64 = 2.0;
/// From so many starts of one process on it keeps restarting.
const LOOP: usize = 3;
/// Events are told apart by the minute of their first start, which may be computed anew a little differently.
const MINUTE: DurationMs = DurationMs::from_secs(60);

/// One process began.
struct Start<'a> {
    at: Timestamp,
    process: &'a SeriesKey,
}

/// The jobs whose processes began anew from `since` on. `starts` are the times at which processes began, in seconds, of those that
/// are young; `counts` how many processes each job has.
///
/// What was merely added is no restart, and a job of which nothing was known before did not restart.
pub fn restarts(starts: &[Series], counts: &[Series], service_label: &str, since: Timestamp) -> Vec<Event> {
    let counts: BTreeMap<Site, &Window> =
        counts.iter().filter_map(|series| Some((Site::of_job(&series.key, service_label)?, &series.window))).collect();
    let mut jobs: BTreeMap<Site, Vec<Start<'_>>> = BTreeMap::new();
    for series in starts {
        if let Some(site) = Site::of_job(&series.key, service_label) {
            jobs.entry(site).or_default().extend(of_process(series));
        }
    }
    let mut events = Vec::new();
    for (site, mut starts) in jobs {
        let Some(count) = counts.get(&site) else { continue };
        starts.sort_by_key(|start| start.at);
        let together = starts.chunk_by(|a, b| b.at.since(a.at) <= TOGETHER);
        events.extend(together.filter_map(|starts| event(&site, starts, count)).filter(|event| event.starts_at >= since));
    }
    events
}

/// The starts of one process within the window.
fn of_process(series: &Series) -> Vec<Start<'_>> {
    let window = &series.window;
    let mut starts: Vec<f64> = Vec::new();
    for value in window.values().iter().copied().filter(|value| value.is_finite()) {
        if starts.last().is_none_or(|known| (value - known).abs() > SAME) {
            starts.push(value);
        }
    }
    let within = |at: &Timestamp| *at > window.start() && *at <= window.end() + window.step();
    starts.into_iter().filter_map(Timestamp::from_seconds).filter(within).map(|at| Start { at, process: &series.key }).collect()
}

fn event(site: &Site, starts: &[Start<'_>], count: &Window) -> Option<Event> {
    let first = starts.first()?.at;
    let known = |from: Timestamp, to: Timestamp| {
        let within = (0..count.len()).filter(move |i| (from..=to).contains(&count.time(*i)));
        within.map(move |i| count.values()[i]).filter(|n| n.is_finite())
    };
    let before = known(count.start(), first).next_back()?;
    let now = known(first, count.end()).next_back().unwrap_or(before);
    let mut of: BTreeMap<&SeriesKey, usize> = BTreeMap::new();
    for start in starts {
        *of.entry(start.process).or_default() += 1;
    }
    let anew = starts.len() as f64 - (now - before).max(0.0);
    if anew < 1.0 {
        return None;
    }
    let processes = of.len().min(anew as usize);
    let instances: BTreeSet<&str> = of.keys().filter_map(|key| key.get("instance")).collect();
    let title = if of.values().any(|starts| *starts >= LOOP) {
        format!("{} keeps restarting: {} starts of {}", site.service, starts.len(), counted(of.len()))
    } else {
        format!("{} restarted: {processes} of {}", site.service, counted(before.max(processes as f64) as usize))
    };
    let one = instances.first().filter(|_| instances.len() == 1).map(|instance| ("instance", *instance));
    let mut event = site.event(EventKind::Other, first.align_down(MINUTE), "restart", title, one.as_slice());
    event.starts_at = first;
    Some(event)
}

fn counted(processes: usize) -> String {
    format!("{processes} process{}", if processes == 1 { "" } else { "es" })
}
