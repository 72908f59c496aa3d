//! What people decide about actions.

use super::{Engine, MOST_OF_ONE, entry, of_action, told};
use crate::action::{Action, Approval, Entry, Mode, Outcome, Run, RunState, Standing};
use crate::error::{Code, Error, Result};
use crate::store::{Known, LogFilter, RunFilter};

/// The most characters of a name and of a reason.
const LONGEST: (usize, usize) = (100, 500);

/// A configured action and how it stands.
#[derive(Clone, Debug)]
pub struct ActionStatus {
    /// The action.
    pub action: Action,
    /// What is remembered of it.
    pub standing: Standing,
}

impl Engine {
    /// What is done with actions.
    pub fn actions_mode(&self) -> Mode {
        self.0.config.actions
    }

    /// The configured actions, by name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn actions(&self) -> Result<Vec<ActionStatus>> {
        let mut all = Vec::with_capacity(self.0.actions.len());
        for (action, _) in self.0.actions.values() {
            all.push(ActionStatus { action: action.clone(), standing: self.0.store.standing(&action.name).await? });
        }
        Ok(all)
    }

    /// The runs of actions for an incident and what the log says of it, each the latest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn actions_of(&self, incident: &str) -> Result<(Vec<Run>, Vec<Entry>)> {
        let filter = RunFilter { incident: Some(incident.to_owned()), ..RunFilter::default() };
        let runs = self.0.store.runs(&filter, MOST_OF_ONE, "").await?.items;
        let filter = LogFilter { incident: Some(incident.to_owned()), action: None };
        Ok((runs, self.0.store.action_log(&filter, MOST_OF_ONE, "").await?.items))
    }

    /// Approves what `etag` names of an action for an incident; it is called as soon as nothing else holds it back.
    ///
    /// # Errors
    /// There is no such run, it is not waiting, it is another request by now, or actions are off.
    pub async fn approve_action(&self, action: &str, incident: &str, etag: &str, by: &str, reason: &str) -> Result<Run> {
        self.judge(action, incident, Some(etag), by, reason, Outcome::Approved).await
    }

    /// Rejects an action for an incident, for good.
    ///
    /// # Errors
    /// There is no such run, it is not waiting, or actions are off.
    pub async fn reject_action(&self, action: &str, incident: &str, by: &str, reason: &str) -> Result<Run> {
        self.judge(action, incident, None, by, reason, Outcome::Rejected).await
    }

    /// Lets an action go on that was paused because an incident grew worse after it.
    ///
    /// # Errors
    /// There is no such action, or it is not paused.
    pub async fn resume_action(&self, action: &str, by: &str, reason: &str) -> Result<Standing> {
        let (by, reason) = (person(by)?, text("reason", reason, LONGEST.1)?);
        if !self.0.actions.contains_key(action) {
            return Err(not_found(format!("there is no action `{}`", short(action))));
        }
        let entry = of_action(action, Outcome::Resumed, self.0.clock.now(), &by, reason);
        if !self.0.store.resume_action(action, &entry).await? {
            return Err(Error::new(Code::FailedPrecondition, format!("the action `{action}` is not paused")));
        }
        told(&entry);
        self.wake();
        self.0.store.standing(action).await
    }

    async fn judge(&self, action: &str, incident: &str, etag: Option<&str>, by: &str, reason: &str, outcome: Outcome) -> Result<Run> {
        let (by, reason) = (person(by)?, text("reason", reason, LONGEST.1)?);
        let wrong = |why: String| Error::new(Code::FailedPrecondition, why);
        if self.0.config.actions == Mode::Off {
            return Err(wrong("actions are off; set actions.mode".to_owned()));
        }
        let known: Option<Known> = self.0.store.run(action, incident).await?;
        let known = known.ok_or_else(|| not_found(format!("the action `{}` is not proposed for `{}`", short(action), short(incident))))?;
        let is_approval = outcome == Outcome::Approved;
        let is_waiting = if is_approval { known.run.state == RunState::Proposed } else { known.run.state.is_pending() };
        if !is_waiting {
            return Err(wrong(format!("the action `{action}` is {} for this incident already", known.run.state)));
        }
        if etag.is_some_and(|etag| etag != known.run.etag()) {
            return Err(wrong("its request is another one by now; look at it again, and pass its present etag".to_owned()));
        }
        if is_approval && known.run.request.is_none() {
            return Err(wrong(format!("it cannot be called: {}", known.run.note)));
        }
        let now = self.0.clock.now();
        let run = Run {
            state: if is_approval { RunState::Approved } else { RunState::Rejected },
            approval: is_approval.then(|| Approval { by: by.clone(), at: now }),
            updated: now,
            held: Vec::new(),
            note: format!("{outcome} by {by}{}{reason}", if reason.is_empty() { "" } else { ": " }),
            ..known.run.clone()
        };
        let entry = entry(&run, outcome, now, &by, reason);
        if !self.0.store.change_run(&known, &run, std::slice::from_ref(&entry)).await? {
            return Err(Error::new(Code::Unavailable, "it changed at the same moment; look at it again"));
        }
        told(&entry);
        self.wake();
        Ok(run)
    }

    fn wake(&self) {
        self.0.committed.send_modify(|commits| *commits += 1);
    }
}

fn not_found(message: String) -> Error {
    Error::new(Code::NotFound, message)
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

fn person(by: &str) -> Result<String> {
    let by = text("by", by, LONGEST.0)?;
    if by.is_empty() {
        return Err(Error::invalid("by", "is empty; say who decides, for the log"));
    }
    Ok(by)
}

fn text(field: &str, text: &str, longest: usize) -> Result<String> {
    let text = text.trim();
    let found = text.chars().count();
    if found > longest {
        return Err(Error::invalid(field, format!("has {found} characters; there may be {longest}")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(field, "has control characters, such as a line break"));
    }
    Ok(text.to_owned())
}
