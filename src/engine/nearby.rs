//! The events that correlation looks at: those near the findings of a tick.

use crate::clock::{DurationMs, Timestamp};
use crate::error::Result;
use crate::event::{Event, EventKind};
use crate::finding::Finding;
use crate::store::Store;

/// A change is looked for so long before the oldest new finding.
const BEFORE: DurationMs = DurationMs::from_secs(2 * 3600);
/// So many recent deployments at most are looked up the deployment before.
const MOST_LOOKED_UP: usize = 20;

/// The stored events from two hours before the oldest of `findings` to `now`, `new` ones over them, and the deployment before
/// each deployment among them.
///
/// # Errors
/// The store cannot be read.
pub async fn nearby_events(store: &Store, findings: &[Finding], new: &[Event], now: Timestamp) -> Result<Vec<Event>> {
    let oldest = findings.iter().map(|f| f.onset).chain(new.iter().map(|e| e.starts_at)).min().unwrap_or(now);
    let mut events = store.events_between(oldest - BEFORE, now).await?;
    events.retain(|e| new.iter().all(|n| n.id != e.id));
    events.extend_from_slice(new);
    // What is rolled back goes back to what was there before, which may be weeks old.
    let recent = events.iter().filter(|e| e.kind == EventKind::Deployment).filter_map(|e| Some((e.service.clone()?, e.starts_at)));
    let mut recent: Vec<(String, Timestamp)> = recent.collect();
    recent.sort_unstable_by_key(|(_, at)| std::cmp::Reverse(*at));
    for (service, at) in recent.into_iter().take(MOST_LOOKED_UP) {
        let before = store.deployment_before(&service, at).await?;
        events.extend(before.filter(|before| events.iter().all(|known| known.id != before.id)));
    }
    Ok(events)
}
