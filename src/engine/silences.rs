//! What the Alertmanagers do with our alerts. They are the source of truth: an alert is sent on as ever while it is
//! silenced, because Alertmanager itself suppresses it and nobody else would notice when the silence ends.
//!
//! One that does not answer is not known to silence anything, nor to let it through.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use tokio::task::JoinSet;

use super::Engine;
use crate::clock::DurationMs;
use crate::delivery::{AlertState, Alertmanager};
use crate::error::Result;
use crate::incident::{Incident, IncidentState};

/// What an Alertmanager said of our alerts, by the incident; or why that is not known.
pub(super) type Heard = Result<BTreeMap<String, AlertState>, String>;

/// What one Alertmanager does with an incident's alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its name.
    pub alertmanager: String,
    /// What it does with it, or why that is not known.
    pub state: Result<AlertState, String>,
}

impl Engine {
    /// What each Alertmanager does with the alert of the incident `id`, as of when it was asked last.
    pub fn told(&self, id: &str) -> Vec<Told> {
        let heard = self.0.heard.read().unwrap_or_else(PoisonError::into_inner);
        let of = |(name, heard): (&String, &Heard)| Told {
            alertmanager: name.clone(),
            state: heard.clone().and_then(|states| states.get(id).cloned().ok_or_else(|| "it does not have the alert yet".to_owned())),
        };
        heard.iter().map(of).collect()
    }

    /// Whether the incident `id` is silenced or inhibited: an Alertmanager suppresses its alert, and none is known to let
    /// it through.
    pub fn is_silenced(&self, id: &str) -> bool {
        let heard = self.0.heard.read().unwrap_or_else(PoisonError::into_inner);
        let states: Vec<&AlertState> = heard.values().flatten().filter_map(|states| states.get(id)).collect();
        !states.is_empty() && states.iter().all(|state| **state != AlertState::Active)
    }

    /// Takes in what `alertmanager` says, and tells those who watch of each incident of which it says something new.
    pub(super) async fn hear(&self, alertmanager: &str, said: Heard) {
        let incidents = self.0.incidents.lock().await;
        let open: Vec<&Incident> = incidents.iter().filter(|incident| incident.state == IncidentState::Open).collect();
        let before: Vec<bool> = open.iter().map(|incident| self.is_silenced(&incident.id)).collect();
        self.0.heard.write().unwrap_or_else(PoisonError::into_inner).insert(alertmanager.to_owned(), said);
        for (incident, was) in open.iter().zip(before) {
            let is = self.is_silenced(&incident.id);
            if is != was {
                tracing::info!(incident = incident.id, alertmanager, silenced = is, "what Alertmanager does with the alert has changed");
                let _ = self.0.changes.send((*incident).clone());
            }
        }
        self.count(&incidents);
    }

    /// Whether anything is open of which an Alertmanager could say something.
    async fn has_open(&self) -> bool {
        self.0.incidents.lock().await.iter().any(|incident| incident.state == IncidentState::Open)
    }
}

/// Asks every Alertmanager again and again what it does with our alerts.
#[derive(Debug)]
pub struct SilenceWatch {
    /// Whom to tell.
    pub engine: Engine,
    /// Whom to ask.
    pub sinks: Vec<Alertmanager>,
    /// How often.
    pub every: DurationMs,
}

impl SilenceWatch {
    /// Asks until `shutdown`. Each Alertmanager has a task of its own, so that a slow one does not delay the others.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut tasks = JoinSet::new();
        for sink in self.sinks {
            tasks.spawn(ask(self.engine.clone(), sink, self.every));
        }
        shutdown.await;
        tasks.shutdown().await;
    }
}

async fn ask(engine: Engine, sink: Alertmanager, every: DurationMs) {
    let mut failing = false;
    loop {
        // Without an open incident there is nothing to ask for.
        if engine.has_open().await {
            let said = sink.states().await;
            match &said {
                Err(error) if !failing => {
                    tracing::warn!(sink = sink.name(), error = error.chain(), "cannot ask what is silenced; trying again");
                }
                Ok(_) if failing => tracing::info!(sink = sink.name(), "what is silenced is known again"),
                _ => {}
            }
            failing = said.is_err();
            engine.hear(sink.name(), said.map_err(|error| error.chain())).await;
        }
        tokio::time::sleep(every.to_std()).await;
    }
}
