//! The open findings of a task that looks at its monitor slowly: forecasts, and tests of drift.

use std::collections::BTreeMap;

use super::Engine;
use crate::error::Result;
use crate::finding::{Finding, FindingKind};
use crate::series::SeriesKey;

/// Open findings by what they are found in.
pub type Open = BTreeMap<SeriesKey, Finding>;

/// The open findings of one task, taken over from the store at its first update.
#[derive(Default)]
pub struct Lasting(Option<Open>);

impl Lasting {
    /// Tells what `decide` says of the findings of `monitor` that are open, of the kinds that are the task's `own`: every one
    /// that is new, lasts or has ended, and those of them that are open then, which it returns.
    ///
    /// # Errors
    /// The store cannot be used; then nothing has changed.
    pub async fn update(
        &mut self,
        engine: &Engine,
        monitor: &str,
        own: impl Fn(FindingKind) -> bool,
        decide: impl FnOnce(Open) -> (Vec<Finding>, Open),
    ) -> Result<&Open> {
        let known = match &self.0 {
            Some(open) => open.clone(),
            None => engine.known_open(monitor, own).await.into_iter().map(|finding| (finding.key.clone(), finding)).collect(),
        };
        let before: Vec<String> = known.values().map(|finding| finding.id.clone()).collect();
        let (told, open) = decide(known);
        engine.correlate(&told, Vec::new()).await?;
        let new = open.values().filter(|finding| !before.contains(&finding.id)).count();
        metrics::counter!("bellwether_findings_total").increment(new as u64);
        Ok(self.0.insert(open))
    }
}
