//! Forms that pages send back. They need no script, and nobody else's page can send them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{App, failed_page, html, origin, shortened};
use crate::error::{Error, Result};
use crate::service::web;

/// The most bytes of a form.
const LONGEST: usize = 16 * 1024;

/// Who looks after an incident, or no longer does.
#[derive(Deserialize)]
struct Acknowledge {
    by: String,
    #[serde(default)]
    comment: String,
    /// `yes` where nobody looks after it any more.
    #[serde(default)]
    undo: String,
}

/// Acknowledges an incident, or takes that back, and shows it.
pub(super) async fn acknowledge(State(app): State<Arc<App>>, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(why) = origin::foreign(&headers, app.engine.external_url()) {
        return refused(&why);
    }
    let noted = async {
        let form: Acknowledge = form(&body)?;
        if form.undo == "yes" {
            app.engine.unacknowledge(&id, &form.by, &form.comment).await
        } else {
            app.engine.acknowledge(&id, &form.by, &form.comment).await
        }
    };
    match noted.await {
        Ok(incident) => see_other(&web::incident_path(&incident.id)),
        Err(error) => failed_page(&error),
    }
}

/// What a person decides about an action.
#[derive(Deserialize)]
struct Decided {
    decision: String,
    by: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    etag: String,
}

/// Approves, rejects or resumes an action, and shows its incident.
pub(super) async fn decide(
    State(app): State<Arc<App>>,
    Path((incident, action)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(why) = origin::foreign(&headers, app.engine.external_url()) {
        return refused(&why);
    }
    let decided = async {
        let Decided { decision, by, reason, etag } = form(&body)?;
        match decision.as_str() {
            "approve" => app.engine.approve_action(&action, &incident, &etag, &by, &reason).await.map(drop),
            "reject" => app.engine.reject_action(&action, &incident, &by, &reason).await.map(drop),
            "resume" => app.engine.resume_action(&action, &by, &reason).await.map(drop),
            other => Err(Error::invalid("decision", format!("`{}` is not one of approve, reject, resume", shortened(other)))),
        }
    };
    match decided.await {
        Ok(()) => see_other(&format!("{}#actions", web::incident_path(&incident))),
        Err(error) => failed_page(&error),
    }
}

/// The page of a form that another site sent.
pub(super) fn refused(why: &str) -> Response {
    let code = StatusCode::FORBIDDEN;
    html(code, web::error(code.as_u16(), &format!("nothing was done: {why}")), web::CONTENT_SECURITY_POLICY, "no-referrer")
}

/// The fields of a form as browsers send them.
///
/// # Errors
/// Too many bytes, or fields that are missing.
pub(super) fn form<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    if body.len() > LONGEST {
        return Err(Error::invalid("form", format!("{} bytes; at most {LONGEST} are taken", body.len())));
    }
    // A form has the grammar of a query.
    let text = std::str::from_utf8(body).map_err(|_| Error::invalid("form", "is not UTF-8"))?;
    let uri: Uri = format!("/?{text}").parse().map_err(|_| Error::invalid("form", "is not as browsers encode one"))?;
    Query::try_from_uri(&uri).map(|Query(form)| form).map_err(|error| Error::invalid("form", error.body_text()))
}

/// To another page, by GET.
pub(super) fn see_other(path: &str) -> Response {
    match HeaderValue::try_from(path) {
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => StatusCode::NO_CONTENT.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_send_them() {
        let read: Acknowledge = form(b"by=Ann+%C3%96&comment=a%26b%0D%0Ac").unwrap();
        assert_eq!((read.by.as_str(), read.comment.as_str(), read.undo.as_str()), ("Ann Ö", "a&b\r\nc", ""));
        for wrong in [&b"comment=x"[..], b"by=\xff", b"by=a b", vec![b'a'; LONGEST + 1].as_slice()] {
            assert!(form::<Acknowledge>(wrong).is_err());
        }
    }
}
