//! HTTP: pages, webhook, metrics, health; what is gRPC goes on to the gRPC services.

mod feedback;
mod forms;
mod origin;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::Markup;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tonic::service::Routes;
use tower::ServiceExt;

use super::web::{self, ActionsView, FindingChart, IncidentView, MonitorRow, MonitorView, Overview, SeriesRow};
use super::{Limits, series_metrics, status};
use crate::correlation::remedy;
use crate::delivery::webhook;
use crate::engine::Engine;
use crate::engine::status::{MonitorStatus, SeriesState, SeriesStatus};
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::finding::Finding;
use crate::incident::{IncidentState, Priority};
use crate::store::{IncidentFilter, Spending};
use crate::telemetry;

/// Incidents on the first page.
const RECENT: usize = 50;
/// Findings held back on the page of a monitor.
const HELD_BACK: usize = 50;
/// Incidents that the page of a monitor names as what its budget was spent on.
const SPENT_ON: usize = 50;

#[derive(Clone)]
struct App {
    engine: Engine,
    limits: Limits,
    metrics: Option<PrometheusHandle>,
    grpc: Router,
}

/// All routes of the port.
pub fn router(engine: &Engine, limits: Limits, metrics: Option<PrometheusHandle>, grpc: Routes) -> Router {
    let app = App { engine: engine.clone(), limits, metrics, grpc: grpc.prepare().into_axum_router() };
    Router::new()
        .route("/", get(overview))
        .route("/incidents/{id}", get(incident))
        .route("/incidents/{id}/acknowledge", post(forms::acknowledge))
        .route("/incidents/{id}/actions/{action}", post(forms::decide))
        .route("/incidents/{id}/feedback", post(feedback::given))
        .route("/incidents/{id}/feedback/{feedback}/undo", post(feedback::undone))
        .route("/feedback/{token}", get(feedback::linked).post(feedback::given_by_link))
        .route("/monitors/{name}", get(monitor))
        .route("/runbooks/{id}", get(runbook))
        .route(web::STYLE_PATH, get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], web::STYLE)))
        .route("/webhook/alertmanager", post(alertmanager))
        .route("/webhook/events", post(events))
        .route("/metrics", get(own_metrics))
        .route("/-/healthy", get(async || "alive\n"))
        .route("/-/ready", get(ready))
        .layer(DefaultBodyLimit::max(limits.max_message_bytes))
        .fallback(otherwise)
        .with_state(Arc::new(app))
}

/// gRPC, or nothing we have.
async fn otherwise(State(app): State<Arc<App>>, request: Request) -> Response {
    let is_grpc = request.headers().get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        return app.grpc.clone().oneshot(request).await.into_response();
    }
    failed_page(&Error::new(Code::NotFound, format!("there is nothing at {}", request.uri().path())))
}

async fn overview(State(app): State<Arc<App>>) -> Response {
    page(async {
        let store = app.engine.store();
        let list = async |state| store.incidents(&IncidentFilter { state: Some(state), service: None }, RECENT, "").await;
        let (mut open, recent) = (list(IncidentState::Open).await?.items, list(IncidentState::Resolved).await?.items);
        open.sort_by_key(|incident| {
            let priority = incident.life.priority.unwrap_or(Priority::P5);
            (priority, std::cmp::Reverse((incident.severity, incident.started)))
        });
        let spending = app.engine.spending(0).await?;
        let monitors: Vec<MonitorRow> = app.engine.monitors().iter().map(|m| monitor_row(m, &spending)).collect();
        Ok(web::overview(&Overview {
            open: &open,
            recent: &recent,
            monitors: &monitors,
            budget_per_day: app.engine.config().alert_budget_per_day,
            incidents: spending.incidents,
            now: app.engine.clock().now(),
        }))
    })
    .await
}

async fn incident(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    form_page(async {
        let incident = app.engine.incident(&id).await?;
        let chart = |f: &Finding| Some(FindingChart { finding: f.id.clone(), chart: app.engine.chart(f, usize::MAX)? });
        let charts: Vec<FindingChart> = incident.findings.iter().filter_map(chart).collect();
        let (runs, log) = app.engine.actions_of(&id).await?;
        let standing = app.engine.actions().await?.into_iter().filter(|status| status.standing.paused.is_some());
        let paused: Vec<(String, String)> = standing.map(|status| (status.action.name, status.standing.why)).collect();
        let (alert, feedback) = (app.engine.alert(&incident), app.engine.feedback_on(&id).await?);
        let told = if incident.state == IncidentState::Open { app.engine.told(&incident.id) } else { Vec::new() };
        let view = IncidentView {
            charts: &charts,
            alert: Some(&alert),
            told: &told,
            acting: ActionsView { runs: &runs, log: &log, paused: &paused },
            feedback: &feedback,
            now: app.engine.clock().now(),
        };
        Ok(web::incident(&incident, &view))
    })
    .await
}

async fn monitor(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    page(async {
        let status = app.engine.monitor(&name);
        let status = status.ok_or_else(|| Error::new(Code::NotFound, format!("there is no monitor `{}`", shortened(&name))))?;
        let rows: Vec<SeriesRow> = status.series.iter().map(|s| series_row(&status, s)).collect();
        let groups: Vec<SeriesRow> = status.groups.iter().map(|s| series_row(&status, s)).collect();
        let held_back = app.engine.held_back(&name, HELD_BACK).await?;
        let spending = app.engine.spending(SPENT_ON).await?;
        let view = MonitorView {
            summary: &monitor_row(&status, &spending),
            series: &rows,
            groups: &groups,
            held_back: &held_back,
            warnings: &status.warnings,
            outlook: &status.outlook,
            drift: &status.drift,
            share: app.engine.budget().share(&status.monitor, status.judged()),
            alpha: status.alpha,
            spent: &spending.of(&name),
        };
        Ok(web::monitor(&status.monitor, &view, app.engine.clock().now()))
    })
    .await
}

async fn runbook(Path(id): Path<String>) -> Response {
    page(async {
        let text = remedy::runbook(&id).ok_or_else(|| Error::new(Code::NotFound, format!("there is no runbook `{}`", shortened(&id))))?;
        Ok(web::runbook(&id, text))
    })
    .await
}

/// Alertmanager's webhook. It tries again after a 5xx, and gives up after a 4xx.
async fn alertmanager(State(app): State<Arc<App>>, body: Bytes) -> Response {
    take_in(&app, webhook::parse(&body)).await
}

/// The webhook for everybody else.
async fn events(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    // Programs say nothing of pages; what a page of somebody else's made a browser send does.
    let by_browser = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    if by_browser && let Some(why) = origin::foreign(&headers, app.engine.external_url()) {
        return forms::refused(&why);
    }
    take_in(&app, webhook::events::parse(&body, app.engine.clock().now())).await
}

async fn take_in(app: &App, events: Result<Vec<Event>>) -> Response {
    let publish = async {
        let events = events?;
        let taken = events.len();
        app.engine.publish(events).await?;
        Ok(taken)
    };
    let limit = app.limits.request_timeout;
    let result: Result<usize> = tokio::time::timeout(limit.to_std(), publish)
        .await
        .unwrap_or_else(|_| Err(Error::new(Code::Unavailable, format!("the store was busy for {limit}; send it again"))));
    match result {
        Ok(taken) => axum::Json(json!({ "events": taken })).into_response(),
        Err(error) => {
            telemetry::failure("webhook", &error);
            let violations: Vec<_> = error.violations.iter().map(|v| json!({ "field": v.field, "description": v.description })).collect();
            let body = json!({ "code": error.code.as_str(), "error": error.chain(), "violations": violations });
            let mut response = (status::http(&error), axum::Json(body)).into_response();
            if error.code == Code::Unavailable {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            response
        }
    }
}

async fn own_metrics(State(app): State<Arc<App>>) -> Response {
    let own = app.metrics.as_ref().map(PrometheusHandle::render).unwrap_or_default();
    let monitors = app.engine.monitors();
    let mut text = own + &series_metrics::render(&monitors) + &series_metrics::outlooks(&monitors);
    // A store that cannot be read is told by the probe; the rest of the numbers is there all the same.
    if let Ok(spending) = app.engine.spending(0).await {
        text.push_str(&series_metrics::spent(&monitors, &spending));
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let health = app.engine.health().await;
    match &health.standby {
        Some(leader) if health.is_good() => return format!("standby: {leader} leads\n").into_response(),
        None if health.is_good() => return "ready\n".into_response(),
        _ => {}
    }
    let reasons = [("store", health.store), ("prometheus", health.prometheus)];
    let text: String = reasons.into_iter().filter_map(|(what, why)| why.map(|why| format!("{what}: {why}\n"))).collect();
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// The page that `body` gives, or one that says why it gives none.
async fn page(body: impl Future<Output = Result<Markup>>) -> Response {
    match body.await {
        Ok(page) => html(StatusCode::OK, page, web::CONTENT_SECURITY_POLICY, "no-referrer"),
        Err(error) => failed_page(&error),
    }
}

/// The same for a page with forms, which may be sent to us alone and then say that they come from us.
async fn form_page(body: impl Future<Output = Result<Markup>>) -> Response {
    match body.await {
        Ok(page) => html(StatusCode::OK, page, &web::form_policy(), "same-origin"),
        Err(error) => failed_page(&error),
    }
}

fn failed_page(error: &Error) -> Response {
    let code = status::http(error);
    html(code, web::error(code.as_u16(), &error.chain()), web::CONTENT_SECURITY_POLICY, "no-referrer")
}

fn html(code: StatusCode, markup: Markup, policy: &str, referrer: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, referrer),
    ];
    (code, headers, Body::from(markup.into_string())).into_response()
}

fn monitor_row(status: &MonitorStatus, spending: &Spending) -> MonitorRow {
    MonitorRow {
        name: status.monitor.name.clone(),
        query: status.monitor.query.clone(),
        series: status.watched(),
        fitted: status.fitted(),
        cannot_say: status.count(SeriesState::CannotSay),
        anomalous: status.count(SeriesState::Anomalous),
        suppressed: status.count(SeriesState::Suppressed),
        incidents: spending.of(&status.monitor.name).incidents,
        last_evaluated: status.last_evaluated,
        error: status.last_error.clone(),
    }
}

fn series_row(status: &MonitorStatus, series: &SeriesStatus) -> SeriesRow {
    let last = series.recent.last();
    let number = |of: fn(&crate::analysis::detect::Judgement) -> f64| last.as_ref().map_or(f64::NAN, of);
    SeriesRow {
        key: series.key.clone(),
        service: status.monitor.service_of(&series.key),
        state: match series.state {
            SeriesState::Normal => web::SeriesState::Expected,
            SeriesState::Anomalous => web::SeriesState::Anomalous,
            SeriesState::CannotSay => web::SeriesState::CannotSay(series.cannot_say.clone().unwrap_or_default()),
            SeriesState::Suppressed => web::SeriesState::Suppressed,
        },
        suppressed: series.suppressed.clone(),
        value: number(|j| j.value),
        expected: number(|j| j.expected),
        lower: number(|j| j.lower),
        upper: number(|j| j.upper),
        score: number(|j| j.score),
        parts: series.parts.clone(),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
