//! Whom Alertmanager notifies, and what it lists.

use std::collections::BTreeSet;

use serde_json::Value;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// A webhook receiver that remembers every notification.
pub struct People(MockServer);

impl People {
    pub async fn listen() -> Self {
        let server = MockServer::start().await;
        Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
        Self(server)
    }

    pub fn url(&self) -> String {
        self.0.uri()
    }

    /// Incident and status of every alert they were told of, in order.
    pub async fn told(&self) -> Vec<(String, String)> {
        let requests = self.0.received_requests().await.unwrap();
        let bodies = requests.iter().map(|request| request.body_json::<Value>().unwrap());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        bodies
            .flat_map(|body| body["alerts"].as_array().unwrap().clone())
            .map(|alert| (text(&alert["labels"]["incident"]), text(&alert["status"])))
            .collect()
    }

    /// The incidents they were ever told of.
    pub async fn incidents(&self) -> BTreeSet<String> {
        self.told().await.into_iter().map(|(incident, _)| incident).collect()
    }
}

/// The active alerts an Alertmanager has; none when it does not answer.
pub async fn active(alertmanager: &str) -> Vec<Value> {
    match reqwest::get(format!("{alertmanager}/api/v2/alerts?active=true")).await {
        Ok(answer) => answer.json().await.unwrap(),
        Err(_) => Vec::new(),
    }
}
