//! What may be done with an action now: the rails, and the one decision that all of them make.
//!
//! Every rail is looked at every time, and each that forbids is named. Only when none does is the action called.

use std::collections::BTreeMap;

use super::{APPROVAL_HOLDS, Action, Mode, Run, RunState};
use crate::clock::Timestamp;
use crate::words::words;

words! {
    /// What holds an action back.
    Rail {
        /// Actions are off.
        Off = "off",
        /// It is not one of the incident's suggestions any more, or for something else.
        NotSuggested = "not_suggested",
        /// The incident is over.
        Over = "over",
        /// It was called, rehearsed or rejected for this incident already.
        Once = "once",
        /// Something that its request needs is not known.
        NotKnown = "not_known",
        /// What it would act on is not in its allow-list.
        NotAllowed = "not_allowed",
        /// None of its time windows is open.
        Closed = "closed",
        /// It was called as often as it may be.
        Rate = "rate",
        /// The suggestion is not likely enough.
        NotSure = "not_sure",
        /// It is paused until a person lets it go on.
        Paused = "paused",
        /// An action made this incident worse.
        Stopped = "stopped",
        /// Alertmanager suppresses the incident's alert, and no person has approved it.
        Silenced = "silenced",
        /// No person has approved it, or the approval is too old.
        Approval = "approval",
        /// It is only rehearsed.
        DryRun = "dry_run",
        /// It was never rehearsed as it is now.
        Rehearsal = "rehearsal",
    }
}

/// A rail that forbids, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// Which.
    pub rail: Rail,
    /// In words.
    pub why: String,
}

/// Everything that a decision rests on.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Facts<'a> {
    /// What time it is.
    pub now: Timestamp,
    /// What is done with actions at all.
    pub mode: Mode,
    /// The action.
    pub action: &'a Action,
    /// Its run for this incident.
    pub run: &'a Run,
    /// Whether the incident is open.
    pub is_open: bool,
    /// What placeholders stand for in the present suggestion; `None` where the action is suggested no more.
    pub values: Option<&'a BTreeMap<String, String>>,
    /// How likely the suggestion helps, now.
    pub confidence: f64,
    /// The fingerprint of the definition that was rehearsed well.
    pub rehearsed: Option<&'a str>,
    /// Whether the action is paused.
    pub is_paused: bool,
    /// Whether an action was stopped in this incident.
    pub is_stopped: bool,
    /// Whether Alertmanager silences or inhibits the incident's alert: people know, and may be at work on it.
    pub is_silenced: bool,
    /// When the action was called, over all incidents.
    pub calls: &'a [Timestamp],
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, ever: it is over with this run.
    Leave,
    /// Nothing now; these forbid it.
    Wait(Vec<Forbidden>),
    /// All but the call.
    Rehearse,
    /// The call.
    Call,
}

/// What may be done.
pub fn decide(facts: &Facts<'_>) -> Decision {
    if facts.mode == Mode::Off || !facts.run.state.is_pending() {
        return Decision::Leave;
    }
    let forbidden = forbidden(facts);
    if forbidden.is_empty() {
        return Decision::Call;
    }
    // A rehearsal needs no approval, and is what the other two ask for.
    let is_dry = |rail| matches!(rail, Rail::DryRun | Rail::Rehearsal);
    if forbidden.iter().any(|f| is_dry(f.rail)) && forbidden.iter().all(|f| is_dry(f.rail) || f.rail == Rail::Approval) {
        return Decision::Rehearse;
    }
    Decision::Wait(forbidden)
}

/// Every rail that forbids a call now.
pub fn forbidden(facts: &Facts<'_>) -> Vec<Forbidden> {
    let Facts { now, action, run, .. } = *facts;
    let mut all = Vec::new();
    let mut forbid = |rail, forbids: bool, why: &dyn Fn() -> String| {
        if forbids {
            all.push(Forbidden { rail, why: why() });
        }
    };
    forbid(Rail::Off, facts.mode == Mode::Off, &|| "actions are off".to_owned());
    forbid(Rail::Over, !facts.is_open, &|| "the incident is over".to_owned());
    forbid(Rail::Once, !run.state.is_pending(), &|| format!("it is {} for this incident already", run.state));
    let targets = facts.values.map(|values| action.targets(values));
    let is_same = targets.as_ref() == Some(&run.targets) && run.definition == action.fingerprint();
    forbid(Rail::NotSuggested, !is_same, &|| match targets {
        None => "it is not suggested any more".to_owned(),
        Some(_) if run.definition != action.fingerprint() => "it is configured otherwise than when it was proposed".to_owned(),
        Some(_) => "the suggestion is for something else now".to_owned(),
    });
    forbid(Rail::NotKnown, run.request.is_none(), &|| match facts.values.and_then(|values| action.request(values).err()) {
        Some(name) => format!("`{name}` is not known, and its request needs it"),
        None => "something that its request needs was not known".to_owned(),
    });
    let refused = refused(action, &run.targets);
    forbid(Rail::NotAllowed, refused.is_some(), &|| refused.clone().unwrap_or_default());
    let closed = !action.only.is_empty() && !action.only.iter().any(|calendar| calendar.covers(now));
    forbid(Rail::Closed, closed, &|| "none of its time windows is open".to_owned());
    // A call from what is now the future counts, too: the clock was set back.
    let lately = facts.calls.iter().filter(|call| **call + action.rate.per > now).count();
    let (most, per) = (action.rate.most, action.rate.per);
    forbid(Rail::Rate, lately >= most, &|| format!("it was called {lately} times in {per}, and may be {most} times"));
    // Written so that NaN is not sure enough.
    let is_sure = facts.confidence >= action.least_confidence;
    forbid(Rail::NotSure, !is_sure, &|| {
        format!("a confidence of {:.2} is below the {:.2} that it needs", facts.confidence, action.least_confidence)
    });
    forbid(Rail::Paused, facts.is_paused, &|| "it is paused until a person resumes it".to_owned());
    forbid(Rail::Stopped, facts.is_stopped, &|| "this incident grew worse after an action".to_owned());
    let approved = run.approval.as_ref().is_some_and(|given| run.state == RunState::Approved && now < given.at + APPROVAL_HOLDS);
    let why = || "Alertmanager suppresses its alert, so that people are at work on it: it needs an approval".to_owned();
    forbid(Rail::Silenced, facts.is_silenced && !approved, &why);
    forbid(Rail::Approval, action.needs_approval && !approved, &|| match &run.approval {
        Some(given) => format!("the approval by {} is older than {APPROVAL_HOLDS}", given.by),
        None => "it needs an approval".to_owned(),
    });
    forbid(Rail::DryRun, facts.mode == Mode::DryRun || action.dry_run, &|| "it is only rehearsed".to_owned());
    forbid(Rail::Rehearsal, facts.rehearsed != Some(&action.fingerprint()), &|| "it was never rehearsed as it is now".to_owned());
    all
}

/// Why what it would act on is not allowed; `None` when it is. An empty allow-list allows nothing.
fn refused(action: &Action, targets: &BTreeMap<String, String>) -> Option<String> {
    if action.allow.is_empty() {
        return Some("its allow-list is empty".to_owned());
    }
    action.allow.iter().find_map(|(name, patterns)| match targets.get(name) {
        None => Some(format!("its {name} is not known, and so not in the allow-list")),
        Some(value) if patterns.iter().any(|pattern| pattern.matches(value)) => None,
        Some(value) => Some(format!("{name} `{value}` is not in the allow-list")),
    })
}

#[cfg(test)]
mod tests;
