//! What actions need to know of incidents, taken out from under their lock.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use crate::action::Extent;
use crate::error::Result;
use crate::incident::{Incident, IncidentState};
use crate::store::Known;

/// An incident, as far as actions look at it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub id: String,
    pub service: String,
    pub is_open: bool,
    pub merged_into: Option<String>,
    pub extent: Extent,
    /// What is suggested now; one for each action, the likeliest.
    pub offers: Vec<Offer>,
}

/// A suggestion that names an action.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub action: String,
    pub suggestion: String,
    pub title: String,
    pub confidence: f64,
    /// What placeholders stand for.
    pub values: BTreeMap<String, String>,
}

impl Engine {
    /// The incidents that have an action suggested, and those of `live` runs.
    pub(super) async fn look(&self, live: &[Known]) -> Result<BTreeMap<String, Seen>> {
        let wanted: BTreeSet<&str> = live.iter().map(|known| known.run.incident.as_str()).collect();
        let mut seen: BTreeMap<String, Seen> = {
            let incidents = self.0.incidents.lock().await;
            let concerned = |i: &&Incident| wanted.contains(i.id.as_str()) || i.suggestions.iter().any(|s| s.action.is_some());
            incidents.iter().filter(concerned).map(|incident| (incident.id.clone(), self.seen(incident))).collect()
        };
        for id in wanted {
            if !seen.contains_key(id)
                && let Some(incident) = self.0.store.incident(id).await?
            {
                seen.insert(incident.id.clone(), self.seen(&incident));
            }
        }
        Ok(seen)
    }

    fn seen(&self, incident: &Incident) -> Seen {
        let mut offers: Vec<Offer> = Vec::new();
        for suggestion in &incident.suggestions {
            let Some(call) = suggestion.action.as_ref().filter(|call| offers.iter().all(|offer| offer.action != call.name)) else {
                continue;
            };
            let own = [
                ("action", call.name.clone()),
                ("confidence", format!("{:.2}", suggestion.confidence)),
                ("incident", incident.id.clone()),
                ("incident_url", format!("{}/incidents/{}", self.0.config.external_url, incident.id)),
                ("severity", incident.severity.to_string()),
                ("suggestion", suggestion.id.clone()),
                ("title", suggestion.title.clone()),
            ];
            let mut values = call.values.clone();
            values.extend(own.map(|(name, value)| (name.to_owned(), value)));
            offers.push(Offer {
                action: call.name.clone(),
                suggestion: suggestion.id.clone(),
                title: suggestion.title.clone(),
                confidence: suggestion.confidence,
                values,
            });
        }
        Seen {
            id: incident.id.clone(),
            service: incident.service.clone(),
            is_open: incident.state != IncidentState::Resolved,
            merged_into: incident.merged_into.clone(),
            extent: Extent::of(incident),
            offers,
        }
    }
}
