//! The findings of one monitor that are held back, on their way into the store.

use std::collections::{BTreeMap, BTreeSet};

use super::status::{SeriesState, SeriesStatus};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::finding::{Finding, FindingKind, HeldBack};
use crate::store::Store;

/// What is held back.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// What lasts, by id.
    open: BTreeMap<String, HeldBack>,
    /// What is not stored yet.
    pending: BTreeMap<String, HeldBack>,
    /// What is to be forgotten, because it is an ordinary finding by now.
    released: BTreeSet<String>,
}

impl Held {
    /// Goes on with what lasted when it was stored.
    pub fn of(stored: Vec<HeldBack>) -> Self {
        Self { open: stored.into_iter().map(|held| (held.finding.id.clone(), held)).collect(), ..Self::default() }
    }

    /// Whether the finding of this id lasts and is held back.
    pub fn is_open(&self, id: &str) -> bool {
        self.open.contains_key(id)
    }

    /// Marks the series whose open finding is held back for a reason that guards do not know of.
    pub fn mark(&self, statuses: &mut [SeriesStatus], of: impl Fn(FindingKind) -> bool) {
        for HeldBack { finding, suppressed } in self.open.values().filter(|held| of(held.finding.kind)) {
            let anomalous = |status: &&mut SeriesStatus| status.key == finding.key && status.state == SeriesState::Anomalous;
            if let Some(status) = statuses.iter_mut().find(anomalous) {
                (status.state, status.suppressed) = (SeriesState::Suppressed, Some(suppressed.clone()));
            }
        }
    }

    /// Takes in a finding that is held back; what began and ended before anybody could see it is history.
    pub fn take(&mut self, held: HeldBack) {
        let id = held.finding.id.clone();
        let known = self.open.remove(&id).is_some();
        if held.finding.is_open() {
            if !known {
                metrics::counter!("bellwether_findings_suppressed_total").increment(1);
            }
            self.open.insert(id.clone(), held.clone());
        } else if !known {
            return;
        }
        self.pending.insert(id, held);
    }

    /// The finding of this id is an ordinary one from now on.
    pub fn release(&mut self, id: &str) {
        self.pending.remove(id);
        if self.open.remove(id).is_some() {
            self.released.insert(id.to_owned());
        }
    }

    /// A finding is over that was an ordinary one too shortly to be told of; it stays as what it was known as.
    pub fn end(&mut self, finding: Finding) {
        if let Some(HeldBack { suppressed, .. }) = self.open.get(&finding.id).cloned() {
            self.take(HeldBack { finding, suppressed });
        }
    }

    /// Ends at `end` what lasted before the start and was not found again: all but what is `open`.
    pub fn end_others(&mut self, open: &BTreeSet<String>, end: Timestamp) {
        let gone: Vec<HeldBack> = self.open.iter().filter(|(id, _)| !open.contains(*id)).map(|(_, held)| held.clone()).collect();
        for mut held in gone {
            held.finding.ended = Some(end);
            self.take(held);
        }
    }

    /// Stores what changed.
    ///
    /// # Errors
    /// The store does not answer; nothing is lost.
    pub async fn commit(&mut self, store: &Store) -> Result<()> {
        let pending: Vec<HeldBack> = self.pending.values().cloned().collect();
        let released: Vec<String> = self.released.iter().cloned().collect();
        store.hold_back(&pending, &released).await?;
        self.pending.clear();
        self.released.clear();
        Ok(())
    }
}
