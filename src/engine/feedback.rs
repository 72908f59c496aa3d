//! Feedback: taken in, taken back, and learned from at once.

#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError};

use super::Engine;
use crate::correlation::feedback::Learned;
use crate::correlation::grouping;
use crate::error::{Code, Error, Result, Violation};
use crate::feedback::{Feedback, Given, Verdict};
use crate::finding::Finding;
use crate::incident::{Incident, IncidentState};
use crate::store::FeedbackFilter;

/// Verdicts on one incident that are shown with it.
const SHOWN: usize = 100;
/// The longest comment and the longest name of an author, in bytes.
const LONGEST_COMMENT: usize = 1000;
const LONGEST_AUTHOR: usize = 100;

impl Engine {
    /// What people's verdicts taught.
    pub fn learned(&self) -> Arc<Learned> {
        Arc::clone(&self.0.learned.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why a finding is not to be told, by what people said of its like.
    pub(super) fn holds_back(&self, finding: &Finding) -> Option<String> {
        self.learned().holds_back(finding).map(|held| held.reason(finding))
    }

    /// Takes in a verdict. What was said already stays as it was said; what was taken back is said anew. Of an incident that
    /// turned out to be part of another it is said of the other. A wrong cause that is not named is the likeliest.
    ///
    /// # Errors
    /// There is no such incident, it has no such cause or suggestion, a text is too long, or the store cannot be used.
    pub async fn submit_feedback(&self, mut given: Given) -> Result<Feedback> {
        let mut incidents = self.0.incidents.lock().await;
        let mut incident = self.incident(&given.incident).await?;
        if let Some(other) = incident.merged_into.clone() {
            incident = self.incident(&other).await?;
        }
        complete(&mut given, &incident)?;
        let new = Feedback::of(given, &incident, self.0.clock.now());
        if let Some(known) = self.0.store.one_feedback(&new.id).await?.filter(Feedback::is_in_force) {
            return Ok(known);
        }
        self.0.store.put_feedback(std::slice::from_ref(&new)).await?;
        metrics::counter!("bellwether_feedback_total", "verdict" => new.verdict.as_str()).increment(1);
        tracing::info!(feedback = new.id, incident = new.incident, verdict = new.verdict.as_str(), "feedback given");
        self.note_fix(&new.incident).await?;
        self.learn(&mut incidents).await?;
        Ok(new)
    }

    /// Takes feedback back: everything is as if it had never been given. Twice is as good as once.
    ///
    /// # Errors
    /// There is no such feedback, or the store cannot be used.
    pub async fn undo_feedback(&self, id: &str) -> Result<Feedback> {
        let mut incidents = self.0.incidents.lock().await;
        let known = self.0.store.one_feedback(id).await?;
        let mut known = known
            .ok_or_else(|| Error::new(Code::NotFound, format!("there is no feedback `{}`", id.chars().take(80).collect::<String>())))?;
        if known.is_in_force() {
            known.undone_at = Some(self.0.clock.now());
            self.0.store.put_feedback(std::slice::from_ref(&known)).await?;
            tracing::info!(feedback = known.id, incident = known.incident, verdict = known.verdict.as_str(), "feedback taken back");
            self.note_fix(&known.incident).await?;
            self.learn(&mut incidents).await?;
        }
        Ok(known)
    }

    /// What was said of the incident `id` and is in force, the latest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn feedback_on(&self, id: &str) -> Result<Vec<Feedback>> {
        let filter = FeedbackFilter { incident: Some(id.to_owned()), in_force: true };
        Ok(self.0.store.feedback(&filter, SHOWN, "").await?.items)
    }

    /// Learns anew from all that is stored, and ranks the causes and suggestions of the open incidents again.
    async fn learn(&self, incidents: &mut Vec<Incident>) -> Result<()> {
        self.take_in_feedback().await?;
        let open: Vec<Incident> = incidents.iter().filter(|i| i.state == IncidentState::Open).cloned().collect();
        let now = self.0.clock.now();
        let changed = self.tick(&[], &[], now, |tick| grouping::rank_again(&open, tick));
        if changed.is_empty() {
            return Ok(());
        }
        self.commit(incidents, changed, Vec::new(), now).await
    }

    /// Learns from all that is stored.
    pub(super) async fn take_in_feedback(&self) -> Result<()> {
        let all = self.0.store.feedback_in_force().await?;
        let learned = Arc::new(Learned::from_all(&all));
        *self.0.learned.write().unwrap_or_else(PoisonError::into_inner) = learned;
        Ok(())
    }

    /// What was said of an incident while it lasted was said of all that it came to: takes that in for those of `changed` that
    /// are over.
    pub(super) async fn look_again(&self, changed: &[Incident]) -> Result<()> {
        let mut grown = Vec::new();
        for incident in changed.iter().filter(|i| i.state == IncidentState::Resolved) {
            for mut feedback in self.feedback_on(&incident.id).await? {
                if feedback.look_again(incident) {
                    grown.push(feedback);
                }
            }
        }
        if grown.is_empty() {
            return Ok(());
        }
        self.0.store.put_feedback(&grown).await?;
        self.take_in_feedback().await
    }
}

/// Checks what is given against the incident, and names the likeliest cause where a wrong one is not named.
fn complete(given: &mut Given, incident: &Incident) -> Result<()> {
    let mut violations = Vec::new();
    let mut wrong = |field: &str, description: String| violations.push(Violation { field: field.to_owned(), description });
    let shown = |text: &str| text.chars().take(80).collect::<String>();
    let causes: Vec<&str> = incident.causes.iter().map(|c| c.id.as_str()).collect();
    let suggestions: Vec<&str> = incident.suggestions.iter().map(|s| s.id.as_str()).collect();
    let list = |all: &[&str]| if all.is_empty() { "it has none".to_owned() } else { format!("it has {}", all.join(", ")) };
    match given.cause.as_deref() {
        Some(cause) if !causes.contains(&cause) => {
            wrong("cause", format!("`{}` is the id of no cause of {}; {}", shown(cause), incident.id, list(&causes)));
        }
        Some(_) if matches!(given.verdict, Verdict::Noise | Verdict::Expected) => {
            wrong("cause", format!("does not go with the verdict “{}”; leave it out", given.verdict.in_words()));
        }
        None if given.verdict == Verdict::WrongCause => match causes.first() {
            Some(cause) => given.cause = Some((*cause).to_owned()),
            None => wrong("verdict", format!("{} names no cause that could be wrong", incident.id)),
        },
        _ => {}
    }
    match given.suggestion.as_deref() {
        Some(_) if given.verdict != Verdict::Fixed => {
            wrong("suggestion", format!("does not go with the verdict “{}”; leave it out", given.verdict.in_words()));
        }
        Some(suggestion) if !suggestions.contains(&suggestion) => {
            wrong("suggestion", format!("`{}` is the id of no suggestion of {}; {}", shown(suggestion), incident.id, list(&suggestions)));
        }
        None if given.verdict == Verdict::Fixed => {
            wrong("suggestion", format!("is missing; say which of its suggestions fixed it: {}", list(&suggestions)));
        }
        _ => {}
    }
    for (field, text, most) in [("comment", &given.comment, LONGEST_COMMENT), ("author", &given.author, LONGEST_AUTHOR)] {
        if text.len() > most {
            wrong(field, format!("{} bytes; at most {most} are kept", text.len()));
        }
        if text.chars().any(|c| c.is_control() && !(field == "comment" && c.is_whitespace())) {
            wrong(field, "holds control characters; leave them out".to_owned());
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(Error::violations(violations)) }
}
