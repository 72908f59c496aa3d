//! Prometheus' HTTP API over a [`Shop`]: what our source, our discovery and a person with curl ask of it.

mod form;
mod json;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, RawForm, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use self::form::Form;
use super::promql::{self, Answer, Grid, QueryError};
use super::shop::{FamilyKind, Shop};
use crate::clock::{Clock, DurationMs, Timestamp};
use crate::error::{Code, Error, Result};

/// The most steps of a range query, as in Prometheus.
const MOST_STEPS: i64 = 11_000;
/// The most bytes of a form.
const MOST_BYTES: usize = 64 * 1024;
/// The most queries evaluated at once; the others wait.
const AT_ONCE: usize = 4;

/// Serves the shop until `shutdown`. Only what has been by `clock`'s now can be seen.
///
/// # Errors
/// A listener that fails.
pub async fn serve(
    shop: Arc<Shop>,
    clock: Arc<Clock>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let api = Api { shop, clock, evaluations: Arc::new(Semaphore::new(AT_ONCE)) };
    let router = Router::new()
        .route("/api/v1/query_range", get(query_range).post(query_range))
        .route("/api/v1/query", get(query).post(query))
        .route("/api/v1/series", get(series).post(series))
        .route("/api/v1/labels", get(labels).post(labels))
        .route("/api/v1/label/{name}/values", get(label_values))
        .route("/api/v1/metadata", get(metadata))
        .route("/api/v1/status/buildinfo", get(build_info))
        .route("/-/ready", get(|| async { "Prometheus Server is Ready.\n" }))
        .route("/-/healthy", get(|| async { "Prometheus Server is Healthy.\n" }))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(api);
    let failed = |e| Error::new(Code::Internal, "the simulated shop's server stopped").caused_by(e);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await.map_err(failed)
}

#[derive(Clone)]
struct Api {
    shop: Arc<Shop>,
    clock: Arc<Clock>,
    evaluations: Arc<Semaphore>,
}

/// An error as Prometheus answers it: status, type and message.
struct Failure(StatusCode, &'static str, String);

impl Failure {
    fn bad_data(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, "bad_data", message.into())
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::BadData(message) => Self::bad_data(message),
            QueryError::Execution(message) => Self(StatusCode::UNPROCESSABLE_ENTITY, "execution", message),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(status, kind, message) = self;
        (status, axum::Json(json!({"status": "error", "errorType": kind, "error": message}))).into_response()
    }
}

/// An answer as Prometheus wraps it.
#[derive(serde::Serialize)]
struct Success<T> {
    status: &'static str,
    data: T,
}

type Answered = std::result::Result<Response, Failure>;

fn success(data: impl serde::Serialize) -> Response {
    axum::Json(Success { status: "success", data }).into_response()
}

impl Api {
    /// Evaluates off the async threads.
    async fn evaluate(&self, text: String, grid: Grid) -> std::result::Result<Answer, Failure> {
        let internal = |what: String| Failure(StatusCode::INTERNAL_SERVER_ERROR, "internal", what);
        let _permit = self.evaluations.acquire().await.map_err(|e| internal(e.to_string()))?;
        let (shop, now) = (Arc::clone(&self.shop), self.clock.now());
        let evaluation = tokio::task::spawn_blocking(move || promql::evaluate(&shop, &text, grid, now));
        Ok(evaluation.await.map_err(|e| internal(e.to_string()))??)
    }

    /// The scrapes between the form's `start` and `end`, none of them in the future.
    fn slots(&self, form: &Form) -> std::result::Result<Range<i64>, Failure> {
        let (now, interval) = (self.clock.now(), self.shop.config().scrape_interval.millis());
        let start = form.time_or("start", Timestamp::from_millis(0))?;
        let end = form.time_or("end", now)?.min(now);
        Ok(-(-start.millis()).div_euclid(interval)..end.millis().div_euclid(interval) + 1)
    }

    /// The series that any of the form's `match[]` selects, all without one, within its time.
    fn selected(&self, form: &Form) -> std::result::Result<Vec<usize>, Failure> {
        let slots = self.slots(form)?;
        let mut all = BTreeSet::new();
        let mut some = false;
        for selector in form.all("match[]") {
            some = true;
            all.extend(promql::selected(&self.shop, selector)?);
        }
        if !some {
            all.extend(0..self.shop.series_count());
        }
        Ok(all.into_iter().filter(|&i| self.shop.lives(i, &slots)).collect())
    }
}

async fn query_range(State(api): State<Api>, RawForm(form): RawForm) -> Answered {
    let form = Form::parse(&form)?;
    let (start, end, step) = (form.time("start")?, form.time("end")?, form.step()?);
    if end < start {
        return Err(Failure::bad_data("invalid parameter \"end\": end timestamp must not be before start time"));
    }
    if step == DurationMs::ZERO {
        let message = "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(Failure::bad_data(message));
    }
    if end.since(start).millis() / step.millis() > MOST_STEPS {
        let message = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
        return Err(Failure::bad_data(message));
    }
    let grid = Grid::between(start, end, step);
    let answer = api.evaluate(form.required("query")?.to_owned(), grid).await?;
    Ok(streamed(json::matrix(answer, grid)))
}

async fn query(State(api): State<Api>, RawForm(form): RawForm) -> Answered {
    let form = Form::parse(&form)?;
    let grid = Grid::instant(form.time_or("time", api.clock.now())?);
    let answer = api.evaluate(form.required("query")?.to_owned(), grid).await?;
    Ok(streamed(json::instant(answer, grid.start)))
}

async fn series(State(api): State<Api>, RawForm(form): RawForm) -> Answered {
    let form = Form::parse(&form)?;
    if form.all("match[]").next().is_none() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    Ok(success(api.selected(&form)?.into_iter().map(|i| api.shop.key(i)).collect::<Vec<_>>()))
}

async fn labels(State(api): State<Api>, RawForm(form): RawForm) -> Answered {
    let selected = api.selected(&Form::parse(&form)?)?;
    let names: BTreeSet<&String> = selected.iter().flat_map(|&i| api.shop.key(i).labels().keys()).collect();
    Ok(success(names))
}

async fn label_values(State(api): State<Api>, Path(name): Path<String>, RawForm(form): RawForm) -> Answered {
    let valid = |(i, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || (i > 0 && c.is_ascii_digit());
    if name.is_empty() || !name.chars().enumerate().all(valid) {
        return Err(Failure::bad_data(format!("invalid label name: \"{name}\"")));
    }
    let selected = api.selected(&Form::parse(&form)?)?;
    let values: BTreeSet<&str> = selected.iter().filter_map(|&i| api.shop.key(i).get(&name)).collect();
    Ok(success(values))
}

async fn metadata(State(api): State<Api>, RawForm(form): RawForm) -> Answered {
    let form = Form::parse(&form)?;
    let limit = match form.first("limit") {
        None => usize::MAX,
        // Prometheus takes a negative number for none.
        Some(text) => match text.parse::<i64>() {
            Ok(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
            Err(_) => return Err(Failure::bad_data("limit must be a number")),
        },
    };
    let wanted = form.first("metric").filter(|name| !name.is_empty());
    let families = api.shop.families().filter(|f| wanted.is_none_or(|name| name == f.name));
    let entry = |kind: FamilyKind, help: &str| json!([{"type": kind.as_str(), "help": help, "unit": ""}]);
    let data: serde_json::Map<_, _> = families.take(limit).map(|f| (f.name.to_owned(), entry(f.kind, f.help))).collect();
    Ok(success(Value::Object(data)))
}

async fn build_info() -> Response {
    success(json!({
        "version": "2.42.0",
        "revision": concat!("bellwether-", env!("CARGO_PKG_VERSION")),
        "branch": "simulated-shop",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

/// A response whose parts are rendered while it is sent.
fn streamed(parts: impl Iterator<Item = String> + Send + 'static) -> Response {
    let body = Body::from_stream(stream::iter(parts.map(|part| Ok::<_, Infallible>(Bytes::from(part)))));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests;
