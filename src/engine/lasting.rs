//! The open findings of a task that looks at its monitor slowly: forecasts, and tests of drift.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::held::Held;
use crate::error::Result;
use crate::finding::{Finding, FindingKind, HeldBack};
use crate::series::SeriesKey;

/// Open findings by what they are found in.
pub type Open = BTreeMap<SeriesKey, Finding>;

/// The open findings of one task, taken over from the store at its first update.
#[derive(Default)]
pub struct Lasting(Option<(Open, Held)>);

impl Lasting {
    /// Tells what `decide` says of the findings of `monitor` that are open, of the kinds that are the task's `own`: every one
    /// that is new, lasts or has ended, and those of them that are open then, which it returns. What was learned to be no
    /// news is held back instead.
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
        let (known, mut held) = if let Some((open, held)) = &self.0 {
            (open.clone(), held.clone())
        } else {
            let mut held_back = engine.store().open_held_back(monitor).await?;
            held_back.retain(|held| own(held.finding.kind));
            let told = engine.known_open(monitor, own).await;
            let all = held_back.iter().map(|held| held.finding.clone()).chain(told);
            (all.map(|finding| (finding.key.clone(), finding)).collect(), Held::of(held_back))
        };
        let before: BTreeSet<String> = known.values().map(|finding| finding.id.clone()).collect();
        let (changed, open) = decide(known);
        let mut told = Vec::new();
        for finding in changed {
            let was_held = held.is_open(&finding.id);
            let why = if before.contains(&finding.id) && !was_held { None } else { engine.holds_back(&finding) };
            match why {
                Some(suppressed) => held.take(HeldBack { finding, suppressed }),
                None if was_held && !finding.is_open() => held.end(finding),
                None => {
                    if was_held || !before.contains(&finding.id) {
                        metrics::counter!("bellwether_findings_total").increment(1);
                    }
                    held.release(&finding.id);
                    told.push(finding);
                }
            }
        }
        engine.correlate(&told, Vec::new()).await?;
        held.commit(engine.store()).await?;
        Ok(&self.0.insert((open, held)).0)
    }
}
