//! Posting alerts to one Alertmanager's v2 API, and asking what it does with them.

mod status;

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;

use crate::alert::Alert;
use crate::clock::Timestamp;
use crate::endpoint::{self, Endpoint};
use crate::error::Result;

pub use status::{AlertState, Silence};

const PATH: &str = "/api/v2/alerts";

/// The most alerts in one request, as Prometheus sends them.
const BATCH: usize = 64;

/// The most bytes of an answer that are read.
const ANSWER: usize = 16 * 1024;

/// One Alertmanager.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name under which logs, metrics and the outbox know it; unique.
    pub name: String,
    /// Where it is and how to be let in.
    pub endpoint: endpoint::Config,
}

impl Config {
    /// A client of this Alertmanager.
    ///
    /// # Errors
    /// A header that HTTP does not allow, or a certificate file that cannot be read.
    pub fn build(&self) -> Result<Alertmanager> {
        Ok(Alertmanager { name: self.name.clone(), endpoint: self.endpoint.build()? })
    }
}

/// A client of one Alertmanager; cheap to clone.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    name: String,
    endpoint: Endpoint,
}

/// What became of one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Alertmanager has it.
    Accepted,
    /// Alertmanager refuses it as invalid, and says why; sending it again as it is helps nothing.
    Rejected(String),
    /// Alertmanager could not be told, and why; it is to be tried again.
    Unavailable(String),
}

impl Outcome {
    /// The label under which it is counted.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected(_) => "rejected",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// An alert as the v2 API takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
}

impl Alertmanager {
    /// The name it was configured under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn url(&self) -> &str {
        self.endpoint.url()
    }

    /// Posts `alerts` and gives what became of each. One that still fires goes out as ending at
    /// `firing_until`: Alertmanager resolves it then if it does not hear of it again.
    ///
    /// A batch that is refused is repeated alert by alert, so that only the invalid ones are refused.
    /// Alertmanager has stored the valid ones of it already; it knows them again by their labels.
    /// Once Alertmanager cannot be told one thing, the rest is not tried.
    pub async fn post(&self, alerts: &[Alert], firing_until: Timestamp) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(alerts.len());
        for batch in alerts.chunks(BATCH) {
            match self.send(batch, firing_until).await {
                Outcome::Rejected(_) if batch.len() > 1 => {
                    for alert in batch.chunks(1) {
                        outcomes.push(self.send(alert, firing_until).await);
                        if matches!(outcomes.last(), Some(Outcome::Unavailable(_))) {
                            break;
                        }
                    }
                }
                outcome => outcomes.resize(outcomes.len() + batch.len(), outcome),
            }
            if let Some(Outcome::Unavailable(why)) = outcomes.last() {
                let why = why.clone();
                outcomes.resize(alerts.len(), Outcome::Unavailable(why));
                break;
            }
        }
        outcomes
    }

    async fn send(&self, batch: &[Alert], firing_until: Timestamp) -> Outcome {
        let posted: Vec<_> = batch
            .iter()
            .map(|alert| Posted {
                labels: &alert.labels,
                annotations: &alert.annotations,
                starts_at: alert.starts_at.to_string(),
                ends_at: alert.ends_at.unwrap_or(firing_until).max(alert.starts_at).to_string(),
                generator_url: &alert.generator_url,
            })
            .collect();
        let request = match self.endpoint.request(Method::POST, PATH).await {
            Ok(request) => request.json(&posted),
            Err(error) => return Outcome::Unavailable(error.chain()),
        };
        match request.send().await {
            Ok(answer) => self.judge(answer).await,
            Err(error) => Outcome::Unavailable(format!("cannot reach {}: {}", self.url(), causes(&error.without_url()))),
        }
    }

    async fn judge(&self, answer: Response) -> Outcome {
        let (status, url) = (answer.status(), self.url());
        if status.is_redirection() {
            let location = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
            let to = location.trim_end_matches(PATH);
            return Outcome::Unavailable(format!("{url} redirects to {to}; configure that address"));
        }
        if status.is_success() {
            return Outcome::Accepted;
        }
        let said = said(answer).await;
        match status {
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE => {
                Outcome::Rejected(if said.is_empty() { status.to_string() } else { said })
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Unavailable(format!(
                "{url} answers {status}: it does not accept our credentials; check basic_auth, bearer_token_file and headers"
            )),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Outcome::Unavailable(format!(
                "{url} answers {status}: it has no {PATH}; is this an Alertmanager of 0.16 or later, and is its path prefix in the address?"
            )),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Outcome::Unavailable(format!("{url} answers {status}: it takes no JSON; is this an Alertmanager?"))
            }
            _ => Outcome::Unavailable(format!("{url} answers {status}: {said}").trim_end_matches([':', ' ']).to_owned()),
        }
    }
}

/// What the server says about its refusal, on one line.
async fn said(mut answer: Response) -> String {
    let json = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let mut body = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > ANSWER {
            break;
        }
    }
    // The API answers with a JSON string, or with `{"code": …, "message": …}` where its validation refuses.
    let parsed = if json { serde_json::from_slice(&body).ok() } else { None };
    let text = match parsed {
        Some(serde_json::Value::String(text)) => text,
        Some(serde_json::Value::Object(fields)) if fields.get("message").is_some_and(serde_json::Value::is_string) => {
            fields["message"].as_str().unwrap_or_default().to_owned()
        }
        _ => String::from_utf8_lossy(&body).into_owned(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(500).collect()
}

/// An error and its causes on one line: what is wrong with a connection stands in the innermost.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
