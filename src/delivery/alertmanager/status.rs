//! What an Alertmanager does with our alerts: lets them through, or suppresses them, and for whom.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Alertmanager, PATH, causes};
use crate::clock::Timestamp;
use crate::delivery::compose::ALERTNAME;
use crate::error::{Code, Error, Result};

const SILENCES: &str = "/api/v2/silences";
/// The most bytes of one answer that are read.
const LARGEST: usize = 16 * 1024 * 1024;
/// The most silences of one alert that are told.
const MOST_SILENCES: usize = 10;
/// The most characters of a comment and of a name.
const LONGEST: usize = 500;

/// A silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its id in Alertmanager.
    pub id: String,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it ends; `None` where Alertmanager did not say.
    pub ends_at: Option<Timestamp>,
}

/// What an Alertmanager does with one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// It lets it through.
    Active,
    /// Somebody silenced it, by these, the one that lasts longest first.
    Silenced(Vec<Silence>),
    /// Another alert inhibits it, or a time interval mutes it.
    Inhibited,
}

/// An alert as the v2 API gives it.
#[derive(Deserialize)]
struct Given {
    labels: BTreeMap<String, String>,
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    state: String,
    #[serde(default)]
    silenced_by: Vec<String>,
}

/// A silence as the v2 API gives it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GivenSilence {
    id: String,
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    comment: String,
    ends_at: Option<String>,
}

impl Alertmanager {
    /// What it does with each alert of ours that it has, by the incident.
    ///
    /// # Errors
    /// It does not answer, or not as Alertmanager does.
    pub async fn states(&self) -> Result<BTreeMap<String, AlertState>> {
        let ours = format!("alertname=\"{ALERTNAME}\"");
        let alerts: Vec<Given> = self.get(PATH, &[("filter", &ours)]).await?;
        let wanted: BTreeSet<&str> = alerts.iter().flat_map(|alert| &alert.status.silenced_by).map(String::as_str).collect();
        let mut silences: BTreeMap<String, Silence> = BTreeMap::new();
        if !wanted.is_empty() {
            let given: Vec<GivenSilence> = self.get(SILENCES, &[]).await?;
            let silences_of_ours = given.into_iter().filter(|silence| wanted.contains(silence.id.as_str()));
            silences.extend(silences_of_ours.map(|silence| (silence.id.clone(), silence.into())));
        }
        let state = |status: Status| match status.state.as_str() {
            "suppressed" if status.silenced_by.is_empty() => AlertState::Inhibited,
            "suppressed" => {
                // Between the two answers one may have come that the second has and the first not, or gone.
                let named = |id: String| silences.get(&id).cloned().unwrap_or_else(|| Silence::nameless(id));
                let mut by: Vec<Silence> = status.silenced_by.into_iter().map(named).collect();
                by.sort_by(|a, b| (b.ends_at, &a.id).cmp(&(a.ends_at, &b.id)));
                by.truncate(MOST_SILENCES);
                AlertState::Silenced(by)
            }
            _ => AlertState::Active,
        };
        let by_incident = alerts.into_iter().filter_map(|mut alert| Some((alert.labels.remove("incident")?, state(alert.status))));
        Ok(by_incident.collect())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        let url = self.url();
        let failed = |what: String| Error::new(Code::Unavailable, what);
        let unreachable = |error: &reqwest::Error| failed(format!("cannot reach {url}: {}", causes(error)));
        let request = self.endpoint.request(Method::GET, path).await?.query(query);
        let mut answer = request.send().await.map_err(|error| unreachable(&error.without_url()))?;
        if answer.status() != StatusCode::OK {
            return Err(failed(format!("{url} answers {} to {path}", answer.status())));
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| unreachable(&error.without_url()))? {
            body.extend_from_slice(&piece);
            if body.len() > LARGEST {
                return Err(failed(format!("{url} answers {path} with more than {LARGEST} bytes")));
            }
        }
        serde_json::from_slice(&body).map_err(|error| failed(format!("{url} does not answer {path} as Alertmanager does: {error}")))
    }
}

impl Silence {
    fn nameless(id: String) -> Self {
        Self { id, created_by: String::new(), comment: String::new(), ends_at: None }
    }
}

impl From<GivenSilence> for Silence {
    fn from(given: GivenSilence) -> Self {
        let short = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect();
        Self {
            created_by: short(&given.created_by),
            comment: short(&given.comment),
            ends_at: given.ends_at.and_then(|text| text.parse().ok()),
            id: given.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wiremock::matchers::{method, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;
    use crate::clock::DurationMs;
    use crate::delivery::Config;
    use crate::endpoint;

    fn client(server: &MockServer) -> Alertmanager {
        let mut endpoint = endpoint::Config::new(server.uri().parse().unwrap());
        endpoint.timeout = DurationMs::from_millis(500);
        Config { name: "main".to_owned(), endpoint }.build().unwrap()
    }

    async fn mount(server: &MockServer, at: &str, answer: ResponseTemplate) {
        Mock::given(method("GET")).and(path(at)).respond_with(answer).mount(server).await;
    }

    #[tokio::test]
    async fn alerts_are_active_silenced_or_inhibited() {
        let server = MockServer::start().await;
        let alert = |incident: &str, state: &str, silences: &[&str]| json!({"labels": {"alertname": ALERTNAME, "incident": incident}, "annotations": {}, "status": {"state": state, "silencedBy": silences, "inhibitedBy": []}});
        let alerts = json!([
            alert("a", "active", &[]),
            alert("b", "suppressed", &["s-1", "s-2", "s-gone"]),
            alert("c", "suppressed", &[]),
            alert("d", "unprocessed", &[]),
            {"labels": {"alertname": ALERTNAME}, "status": {"state": "active"}},
        ]);
        let answer = ResponseTemplate::new(200).set_body_json(alerts);
        Mock::given(method("GET"))
            .and(path(PATH))
            .and(query_param("filter", "alertname=\"BellwetherIncident\""))
            .respond_with(answer)
            .mount(&server)
            .await;
        let silences = json!([
            {"id": "s-1", "createdBy": "ann", "comment": "known\nfor long", "endsAt": "2026-01-31T08:00:00.000Z", "status": {"state": "active"}},
            {"id": "s-2", "createdBy": "bob", "comment": "", "endsAt": "2026-01-31T09:00:00.000Z", "status": {"state": "active"}},
            {"id": "other", "createdBy": "eve", "comment": "", "endsAt": "2026-01-31T09:00:00.000Z", "status": {"state": "expired"}},
        ]);
        mount(&server, SILENCES, ResponseTemplate::new(200).set_body_json(silences)).await;
        let states = client(&server).states().await.unwrap();
        assert_eq!((&states["a"], &states["c"], &states["d"]), (&AlertState::Active, &AlertState::Inhibited, &AlertState::Active));
        let AlertState::Silenced(by) = &states["b"] else { panic!("{states:?}") };
        assert_eq!(by.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["s-2", "s-1", "s-gone"], "the longest first");
        assert_eq!((by[1].created_by.as_str(), by[1].comment.as_str()), ("ann", "known for long"));
        assert_eq!(by[1].ends_at, Some("2026-01-31T08:00:00Z".parse().unwrap()));
        assert_eq!(states.len(), 4);
    }

    #[tokio::test]
    async fn what_is_no_alertmanager_is_an_error() {
        for (answer, part) in [
            (ResponseTemplate::new(404), "answers 404"),
            (ResponseTemplate::new(200).set_body_string("<html>"), "does not answer"),
            (ResponseTemplate::new(200).set_delay(std::time::Duration::from_secs(5)), "cannot reach"),
        ] {
            let server = MockServer::start().await;
            mount(&server, PATH, answer).await;
            let error = client(&server).states().await.unwrap_err();
            assert!(error.code == Code::Unavailable && error.chain().contains(part), "{error:?}");
        }
    }
}
