//! Feedback by forms: on the page of an incident, and behind the link of an alert. Looking changes nothing, because programs
//! that show a preview of a link look too; only sending a form does.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use reqwest::Url;

use super::{App, failed_page, form_page, origin};
use crate::error::{Error, Result};
use crate::feedback::{Given, Verdict};
use crate::service::web;

/// A verdict from the page of an incident; answers with the way back there.
pub async fn given(State(app): State<Arc<App>>, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let submit = async {
        origin::check(&headers, app.engine.external_url())?;
        app.engine.submit_feedback(read(id.clone(), &body)?).await
    };
    match submit.await {
        Ok(feedback) => back_to(&feedback.incident),
        Err(error) => failed_page(&error),
    }
}

/// Takes a verdict back that the page of an incident shows.
pub async fn undone(State(app): State<Arc<App>>, Path((_, feedback)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let undo = async {
        origin::check(&headers, app.engine.external_url())?;
        app.engine.undo_feedback(&feedback).await
    };
    match undo.await {
        Ok(feedback) => back_to(&feedback.incident),
        Err(error) => failed_page(&error),
    }
}

/// What is behind the link of an alert: the incident in short, and a button for each verdict.
pub async fn linked(State(app): State<Arc<App>>, Path(token): Path<String>) -> Response {
    form_page(async {
        let id = app.engine.config().links.read(&token, app.engine.clock().now())?;
        let (incident, feedback) = (app.engine.incident(&id).await?, app.engine.feedback_on(&id).await?);
        Ok(web::feedback::linked(&incident, &feedback, &token, app.engine.clock().now()))
    })
    .await
}

/// A verdict from behind the link of an alert.
pub async fn given_by_link(State(app): State<Arc<App>>, Path(token): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    form_page(async {
        origin::check(&headers, app.engine.external_url())?;
        let id = app.engine.config().links.read(&token, app.engine.clock().now())?;
        let feedback = app.engine.submit_feedback(read(id, &body)?).await?;
        Ok(web::feedback::thanks(&feedback, &token))
    })
    .await
}

fn back_to(incident: &str) -> Response {
    let place = format!("{}#feedback", web::incident_path(incident));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

/// The verdict that a form gives on the incident `id`.
fn read(id: String, body: &[u8]) -> Result<Given> {
    let text = std::str::from_utf8(body).map_err(|_| Error::invalid("form", "is not UTF-8"))?;
    // A form is written as an address' query is.
    let mut url = Url::parse("http://form/").map_err(|e| Error::invalid("form", "cannot be read").caused_by(e))?;
    url.set_query(Some(text));
    let field = |name: &str| {
        let value = url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.trim().to_owned());
        value.filter(|value| !value.is_empty())
    };
    let verdict =
        field("verdict").ok_or_else(|| Error::invalid("verdict", format!("is missing; it is one of {}", Verdict::WORDS.join(", "))))?;
    let verdict: Verdict = verdict.parse().map_err(|_| Error::invalid("verdict", format!("is none of {}", Verdict::WORDS.join(", "))))?;
    Ok(Given {
        incident: id,
        verdict,
        cause: field("cause"),
        suggestion: field("suggestion"),
        comment: field("comment").unwrap_or_default(),
        author: field("author").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read() {
        let given = read("i".to_owned(), b"verdict=noise&comment=+nightly%20%C3%A4+&author=&cause=").unwrap();
        assert_eq!((given.verdict, given.comment.as_str(), given.author.as_str(), given.cause), (Verdict::Noise, "nightly ä", "", None));
        assert_eq!(read("i".to_owned(), b"").unwrap_err().violations[0].field, "verdict");
        assert_eq!(
            read("i".to_owned(), b"verdict=great").unwrap_err().message,
            "verdict: is none of useful, noise, expected, wrong_cause, fixed"
        );
        assert!(read("i".to_owned(), b"verdict=\xff").is_err());
    }
}
