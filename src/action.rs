//! Actions: webhooks that a remedy may call, what became of each call, and the rails that hold them back.
//!
//! An action is configured, a catalogue only names it. For each incident it runs at most once, whatever happens: a [`Run`]
//! is written before anything is called, and is never called again. [`rails::decide`] says what may be done now; it knows
//! no clock and no store.

pub mod rails;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::calendar::Calendar;
use crate::clock::{DurationMs, Timestamp};
use crate::finding::Finding;
use crate::glob::Glob;
use crate::incident::Incident;
use crate::template;
use crate::words::words;
use rails::Rail;

/// What may stand in a request without being in the allow-list: it says what happened, and not what is acted on.
pub const TOLD: [&str; 17] = [
    "action",
    "cause",
    "change",
    "confidence",
    "expected",
    "incident",
    "incident_service",
    "incident_url",
    "limit",
    "monitor",
    "onset",
    "raise_by",
    "raise_to",
    "severity",
    "suggestion",
    "title",
    "value",
];
/// How long an approval holds: what was right when it was given may not be later.
pub const APPROVAL_HOLDS: DurationMs = DurationMs::from_secs(15 * 60);
/// By how much the worst finding must be worse than at the attempt for the incident to have grown worse.
const WORSE: f64 = 1.2;

words! {
    /// What is done with actions.
    Mode {
        /// Nothing.
        Off = "off",
        /// Everything but the call itself.
        DryRun = "dry_run",
        /// They are called.
        On = "on",
    }
}

words! {
    /// Where a run of an action is.
    RunState {
        /// It waits: for a person, or for what holds it back.
        Proposed = "proposed",
        /// A person approved it; it is called as soon as nothing holds it back.
        Approved = "approved",
        /// A person rejected it.
        Rejected = "rejected",
        /// It was only rehearsed.
        DryRun = "dry_run",
        /// It is being called, or was when the process ended.
        Attempted = "attempted",
        /// The receiver took it.
        Succeeded = "succeeded",
        /// The receiver refused it, or could not be reached.
        Failed = "failed",
        /// It was called, and nobody knows what became of it.
        Unknown = "unknown",
        /// The incident was over before it was called.
        Lapsed = "lapsed",
    }
}

impl RunState {
    /// Whether it may still be called.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Proposed | Self::Approved)
    }
}

words! {
    /// What an entry of the log tells.
    Outcome {
        /// A suggestion named the action.
        Proposed = "proposed",
        /// A person approved it.
        Approved = "approved",
        /// A person rejected it.
        Rejected = "rejected",
        /// A rail holds it back.
        Denied = "denied",
        /// It was rehearsed: all but the call.
        DryRun = "dry_run",
        /// It is about to be called.
        Attempted = "attempted",
        /// The receiver took it.
        Succeeded = "succeeded",
        /// The receiver refused it or could not be reached.
        Failed = "failed",
        /// What became of it is not known; it is not called again.
        Unknown = "unknown",
        /// The incident grew worse after it: the action is paused.
        Stopped = "stopped",
        /// A person let the action go on.
        Resumed = "resumed",
        /// The incident was over before it was called.
        Lapsed = "lapsed",
    }
}

/// At most so many calls in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub most: usize,
    /// In any stretch of this length.
    pub per: DurationMs,
}

/// An action, with its rails.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: Method,
    /// Where it is, as it is shown.
    pub url: String,
    /// Its body; each text in it is a template.
    pub body: Value,
    /// It is only rehearsed, whatever the mode.
    pub dry_run: bool,
    /// The values that each placeholder may have; what is not here is not acted on.
    pub allow: BTreeMap<String, Vec<Glob>>,
    /// When it may run; always where there are none.
    pub only: Vec<Calendar>,
    /// How often, over all incidents.
    pub rate: Rate,
    /// Whether a person must approve each run.
    pub needs_approval: bool,
    /// The least confidence of the suggestion.
    pub least_confidence: f64,
    /// For how long afterwards the incident must not grow worse.
    pub watch: DurationMs,
}

words! {
    /// How an action is called.
    Method {
        /// Usually.
        Post = "POST",
        /// Replaces.
        Put = "PUT",
        /// Changes.
        Patch = "PATCH",
        /// Removes.
        Delete = "DELETE",
    }
}

impl Action {
    /// What tells one definition from another: after a change of what is called, a dry run is needed again.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::new().chain_update(self.method.as_str()).chain_update([0]).chain_update(&self.url).chain_update([0]);
        hex::encode(&hash.chain_update(self.body.to_string()).finalize()[..8])
    }

    /// The placeholders of its body.
    pub fn placeholders(&self) -> Vec<&str> {
        let mut all = Vec::new();
        texts(&self.body, &mut all);
        let mut names: Vec<&str> = all.into_iter().flat_map(template::names).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The request with these values; a value that is not known is an error that names it. Values only ever become texts
    /// of the JSON, which are escaped as they are written.
    ///
    /// # Errors
    /// The name of what is not known.
    pub fn request(&self, values: &BTreeMap<String, String>) -> Result<Request, String> {
        let body = fill(&self.body, values)?.to_string();
        Ok(Request { method: self.method, url: self.url.clone(), body })
    }

    /// What it acts on: the values that its allow-list is about.
    pub fn targets(&self, values: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        self.allow.keys().filter_map(|name| Some((name.clone(), values.get(name)?.clone()))).collect()
    }
}

fn texts<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn fill(value: &Value, values: &BTreeMap<String, String>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => {
            let missing = || template::names(text).find(|name| !values.contains_key(*name)).unwrap_or_default().to_owned();
            Value::String(template::join(text, |name, _| values.get(name).cloned()).ok_or_else(missing)?)
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| fill(item, values)).collect::<Result<_, _>>()?),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, field)| Ok((name.clone(), fill(field, values)?))).collect::<Result<_, String>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Where.
    pub url: String,
    /// JSON.
    pub body: String,
}

/// How bad an incident is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Extent {
    /// The services that are or were in trouble, in order.
    pub services: Vec<String>,
    /// The greatest score of what lasts.
    #[serde(deserialize_with = "crate::finding::null_is_nan")]
    pub score: f64,
}

impl Extent {
    /// That of an incident now.
    pub fn of(incident: &Incident) -> Self {
        let mut services: Vec<String> = incident.findings.iter().map(|f| f.service.clone()).collect();
        services.sort_unstable();
        services.dedup();
        let lasting = incident.findings.iter().filter(|f: &&Finding| f.is_open()).map(|f| f.score);
        Self { services, score: lasting.fold(0.0, f64::max) }
    }

    /// Why `now` is worse than this; `None` when it is not.
    pub fn worsened(&self, now: &Self) -> Option<String> {
        if let Some(new) = now.services.iter().find(|service| !self.services.contains(service)) {
            return Some(format!("{new} is in trouble now, too"));
        }
        (now.score > self.score * WORSE).then(|| format!("its worst anomaly score is {:.1} now, and was {:.1}", now.score, self.score))
    }
}

/// That a person approved a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who, as they said.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// An action and an incident: there is one run of the two, ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The action.
    pub action: String,
    /// The incident.
    pub incident: String,
    /// Where it is.
    pub state: RunState,
    /// The catalogue entry that named it.
    pub suggestion: String,
    /// The entry's title, filled in.
    pub title: String,
    /// How likely it helps.
    #[serde(deserialize_with = "crate::finding::null_is_nan")]
    pub confidence: f64,
    /// What is sent, exactly; fixed when it is proposed. `None` while something in it is not known.
    pub request: Option<Request>,
    /// What it acts on.
    pub targets: BTreeMap<String, String>,
    /// The fingerprint of the action when it was proposed.
    pub definition: String,
    /// When it was proposed.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Who approved it.
    pub approval: Option<Approval>,
    /// When it was called.
    pub attempted: Option<Timestamp>,
    /// How bad the incident was then.
    pub extent: Option<Extent>,
    /// When it turned out that the incident grew worse after it.
    pub stopped: Option<Timestamp>,
    /// What holds it back.
    #[serde(default)]
    pub held: Vec<Rail>,
    /// The same in words, or what became of it.
    pub note: String,
}

impl Run {
    /// Names what is to be approved: it changes when the request does.
    pub fn etag(&self) -> String {
        let request = self.request.as_ref().map(|r| format!("{} {} {}", r.method, r.url, r.body)).unwrap_or_default();
        let hash = Sha256::new().chain_update(&self.action).chain_update([0]).chain_update(&self.incident).chain_update([0]);
        hex::encode(&hash.chain_update(request).finalize()[..8])
    }
}

/// What happened to an action: a line of a log that is only ever added to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Unique, and in order of time.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// The action.
    pub action: String,
    /// The incident; empty where the whole action is meant.
    pub incident: String,
    /// What happened.
    pub outcome: Outcome,
    /// Who: a person as they named themselves, or `bellwether`.
    pub who: String,
    /// Why, or what was answered.
    pub why: String,
    /// What was or is to be sent: method, address and body, shortened.
    pub request: String,
}

/// What the engine remembers of an action beside its runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The fingerprint of the definition that was last rehearsed well.
    pub rehearsed: Option<String>,
    /// Since when it is paused.
    pub paused: Option<Timestamp>,
    /// Why.
    pub why: String,
}

#[cfg(test)]
mod tests;
