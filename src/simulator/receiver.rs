//! A stand-in for an Alertmanager: takes alerts by its v2 API, keeps the latest of each, and passes on
//! what is new, changed or resolved.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::Sender;

use crate::alert::Alert;
use crate::clock::{Clock, DurationMs, Timestamp};
use crate::error::{Code, Error, Result};
use crate::words::words;

/// After so long without another sending an alert without an end is over, as Alertmanager's default is.
const RESOLVE_TIMEOUT: DurationMs = DurationMs::from_secs(300);
/// How often the receiver looks for alerts that are over.
const LOOK: Duration = Duration::from_secs(1);
/// The most alerts that are kept.
const MOST_ALERTS: usize = 10_000;
/// The most bytes of one request.
const MOST_BYTES: usize = 4 * 1024 * 1024;

words! {
    /// What happened to an alert.
    Change {
        /// It fires, and did not before.
        New = "new",
        /// It fires still, and says something else.
        Changed = "changed",
        /// It is over.
        Resolved = "resolved",
    }
}

/// An alert and what happened to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// What happened.
    pub change: Change,
    /// The alert as it was sent last; `ends_at` only when it is over.
    pub alert: Alert,
}

/// Receives alerts until `shutdown` and passes each change on to `sender`; when nobody listens there any
/// more, alerts are still accepted.
///
/// # Errors
/// A listener that fails.
pub async fn receive(
    listener: TcpListener,
    clock: Arc<Clock>,
    sender: Sender<Received>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let receiver = Receiver { clock, sender, kept: Arc::default() };
    let router = Router::new()
        .route("/api/v2/alerts", get(list).post(accept))
        .route("/-/ready", get(|| async { "OK" }))
        .route("/-/healthy", get(|| async { "OK" }))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(receiver.clone());
    let failed = |e| Error::new(Code::Internal, "the alert receiver stopped").caused_by(e);
    tokio::select! {
        served = async { axum::serve(listener, router).with_graceful_shutdown(shutdown).await } => served.map_err(failed),
        () = receiver.watch() => Ok(()),
    }
}

#[derive(Clone)]
struct Receiver {
    clock: Arc<Clock>,
    sender: Sender<Received>,
    kept: Arc<Mutex<HashMap<BTreeMap<String, String>, Kept>>>,
}

/// There is no room for another alert.
struct Full;

struct Kept {
    alert: Alert,
    /// When it is or was over.
    until: Timestamp,
    resolved: bool,
}

/// An alert as the v2 API takes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(rename = "generatorURL", default)]
    generator_url: String,
}

impl Receiver {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Keeps the alert and says what has changed with it.
    fn keep(&self, alert: Alert, until: Timestamp) -> std::result::Result<Option<Received>, Full> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_ALERTS && !kept.contains_key(&alert.labels) {
            kept.retain(|_, k| !k.resolved);
            if kept.len() >= MOST_ALERTS {
                return Err(Full);
            }
        }
        let resolved = until <= self.now();
        let change = match kept.entry(alert.labels.clone()) {
            Entry::Vacant(place) => {
                place.insert(Kept { alert: alert.clone(), until, resolved });
                // What was over before it was first heard of is kept but nothing to tell.
                (!resolved).then_some(Change::New)
            }
            Entry::Occupied(mut place) => {
                let before = place.get();
                let change = match (before.resolved, resolved) {
                    (true, true) => None,
                    (true, false) => Some(Change::New),
                    (false, true) => Some(Change::Resolved),
                    (false, false) => (before.alert != alert).then_some(Change::Changed),
                };
                place.insert(Kept { alert: alert.clone(), until, resolved });
                change
            }
        };
        Ok(change.map(|change| Received { change, alert: told(alert, until, resolved) }))
    }

    /// Tells of the alerts that nobody has sent again in time.
    async fn watch(&self) {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            for received in self.expired() {
                let _ = self.sender.send(received).await;
            }
        }
    }

    fn expired(&self) -> Vec<Received> {
        let now = self.now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let over = kept.values_mut().filter(|k| !k.resolved && k.until <= now);
        over.map(|k| {
            k.resolved = true;
            Received { change: Change::Resolved, alert: told(k.alert.clone(), k.until, true) }
        })
        .collect()
    }
}

fn told(alert: Alert, until: Timestamp, resolved: bool) -> Alert {
    Alert { ends_at: resolved.then_some(until), ..alert }
}

/// Takes a batch: the valid alerts are kept even when others are refused.
async fn accept(State(receiver): State<Receiver>, body: Bytes) -> Response {
    let posted: Vec<Posted> = match serde_json::from_slice(&body) {
        Ok(posted) => posted,
        Err(e) => {
            let message = format!("parsing alerts body from \"\" failed, because {e}");
            return (StatusCode::BAD_REQUEST, Json(json!({"code": 400, "message": message}))).into_response();
        }
    };
    if let Some(i) = posted.iter().position(|alert| alert.labels.is_none()) {
        let message = format!("validation failure list:\n{i}.labels in body is required");
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"code": 602, "message": message}))).into_response();
    }
    let mut refused = Vec::new();
    for posted in posted {
        match read(posted, receiver.now()) {
            Ok((alert, until)) => match receiver.keep(alert, until) {
                Ok(Some(received)) => {
                    let _ = receiver.sender.send(received).await;
                }
                Ok(None) => {}
                Err(Full) => return (StatusCode::SERVICE_UNAVAILABLE, Json(json!("too many alerts"))).into_response(),
            },
            Err(reason) => refused.push(reason),
        }
    }
    if refused.is_empty() {
        StatusCode::OK.into_response()
    } else {
        (StatusCode::BAD_REQUEST, Json(Value::String(refused.join("; ")))).into_response()
    }
}

/// The alert and when it is over, by Alertmanager's rules; or why it is none.
fn read(posted: Posted, now: Timestamp) -> std::result::Result<(Alert, Timestamp), String> {
    // Go's zero time stands for none.
    let time = |field: &str, text: Option<&str>| match text {
        None | Some("" | "0001-01-01T00:00:00Z" | "0001-01-01T00:00:00.000Z") => Ok(None),
        Some(text) => text.parse::<Timestamp>().map(Some).map_err(|e| format!("{field}: {e}")),
    };
    let (starts_at, ends_at) = (time("startsAt", posted.starts_at.as_deref())?, time("endsAt", posted.ends_at.as_deref())?);
    let starts_at = starts_at.unwrap_or_else(|| ends_at.map_or(now, |end| end.min(now)));
    if ends_at.is_some_and(|end| end < starts_at) {
        return Err("start time must be before end time".to_owned());
    }
    let labels: BTreeMap<String, String> = posted.labels.unwrap_or_default().into_iter().filter(|(_, v)| !v.is_empty()).collect();
    if labels.is_empty() {
        return Err("at least one label pair required".to_owned());
    }
    for (kind, name) in labels.keys().map(|n| ("label", n)).chain(posted.annotations.keys().map(|n| ("annotation", n))) {
        let letter = |(i, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || (i > 0 && c.is_ascii_digit());
        if name.is_empty() || !name.chars().enumerate().all(letter) {
            return Err(format!("invalid {kind} set: invalid name \"{name}\""));
        }
    }
    let alert = Alert { labels, annotations: posted.annotations, starts_at, ends_at: None, generator_url: posted.generator_url };
    Ok((alert, ends_at.unwrap_or(now + RESOLVE_TIMEOUT)))
}

/// The alerts that fire, in the v2 API's form.
async fn list(State(receiver): State<Receiver>) -> Json<Value> {
    let kept = receiver.kept.lock().unwrap_or_else(PoisonError::into_inner);
    let firing = kept.values().filter(|k| !k.resolved).map(|k| {
        json!({
            "labels": k.alert.labels,
            "annotations": k.alert.annotations,
            "startsAt": k.alert.starts_at.to_string(),
            "endsAt": k.until.to_string(),
            "generatorURL": k.alert.generator_url,
            "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
        })
    });
    Json(firing.collect())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    struct Running {
        address: String,
        client: reqwest::Client,
        clock: Arc<Clock>,
        changes: mpsc::Receiver<Received>,
        _stop: oneshot::Sender<()>,
    }

    impl Running {
        async fn start() -> Self {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let clock = Arc::new(Clock::manual("2024-01-01T00:00:00Z".parse().unwrap()));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}/api/v2/alerts", listener.local_addr().unwrap());
            let (sender, changes) = mpsc::channel(16);
            let (stop, stopped) = oneshot::channel::<()>();
            tokio::spawn(receive(listener, Arc::clone(&clock), sender, async {
                let _ = stopped.await;
            }));
            Self { address, client: reqwest::Client::builder().no_proxy().build().unwrap(), clock, changes, _stop: stop }
        }

        async fn post(&self, body: &str) -> (u16, String) {
            let request = self.client.post(&self.address).header("content-type", "application/json").body(body.to_owned());
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        }

        fn change(&mut self) -> Option<Change> {
            self.changes.try_recv().ok().map(|r| r.change)
        }
    }

    #[tokio::test]
    async fn tells_each_change_once() {
        let mut running = Running::start().await;
        let alert = |summary: &str, end: &str| {
            format!(r#"[{{"labels":{{"alertname":"A"}},"annotations":{{"summary":"{summary}"}},"startsAt":"2023-12-31T23:00:00Z"{end}}}]"#)
        };
        for (body, change) in [
            (alert("a", ""), Some(Change::New)),
            (alert("a", ""), None),
            (alert("b", r#","endsAt":"2024-01-01T00:04:00Z""#), Some(Change::Changed)),
            (alert("b", r#","endsAt":"2023-12-31T23:59:00Z""#), Some(Change::Resolved)),
            (alert("b", r#","endsAt":"2023-12-31T23:59:00Z""#), None),
            (alert("c", ""), Some(Change::New)),
        ] {
            assert_eq!(running.post(&body).await.0, 200, "{body}");
            assert_eq!(running.change(), change, "{body}");
        }
        // Nobody sends it again.
        running.clock.set("2024-01-01T00:05:00Z".parse().unwrap());
        let over = tokio::time::timeout(Duration::from_secs(30), running.changes.recv()).await.unwrap().unwrap();
        assert_eq!((over.change, over.alert.ends_at), (Change::Resolved, Some("2024-01-01T00:05:00Z".parse().unwrap())));
    }

    #[tokio::test]
    async fn refuses_what_alertmanager_refuses_and_keeps_the_rest() {
        let mut running = Running::start().await;
        let mut answers = String::new();
        for body in [
            "{",
            r#"[{"annotations":{}}]"#,
            r#"[{"labels":{"alertname":""}}]"#,
            r#"[{"labels":{"alert-name":"A"}}]"#,
            r#"[{"labels":{"a":"b"},"startsAt":"2024-01-01T00:00:00Z","endsAt":"2023-01-01T00:00:00Z"}]"#,
            r#"[{"labels":{"a":"b"},"startsAt":"soon"}]"#,
        ] {
            let (status, text) = running.post(body).await;
            let _ = writeln!(answers, "{body}\n  {status} {text}");
            assert_eq!(running.change(), None);
        }
        insta::assert_snapshot!(answers);
        let mixed = r#"[{"labels":{"":"x"}},{"labels":{"alertname":"Good"}}]"#;
        assert_eq!(running.post(mixed).await.0, 400);
        assert_eq!(running.change(), Some(Change::New));
        let listed: Value =
            serde_json::from_str(&running.client.get(&running.address).send().await.unwrap().text().await.unwrap()).unwrap();
        assert_eq!(listed[0]["labels"], json!({"alertname": "Good"}));
    }
}
