//! The events that correlation looks at: those near the findings of a tick.

use crate::clock::{DurationMs, Timestamp};
use crate::error::Result;
use crate::event::Event;
use crate::finding::Finding;
use crate::store::Store;

/// A change is looked for so long before the oldest new finding.
const BEFORE: DurationMs = DurationMs::from_secs(2 * 3600);

/// The stored events from two hours before the oldest of `findings` to `now`, and `new` ones over them.
///
/// # Errors
/// The store cannot be read.
pub async fn nearby_events(store: &Store, findings: &[Finding], new: &[Event], now: Timestamp) -> Result<Vec<Event>> {
    let oldest = findings.iter().map(|f| f.onset).chain(new.iter().map(|e| e.starts_at)).min().unwrap_or(now);
    let mut events = store.events_between(oldest - BEFORE, now).await?;
    events.retain(|e| new.iter().all(|n| n.id != e.id));
    events.extend_from_slice(new);
    Ok(events)
}
