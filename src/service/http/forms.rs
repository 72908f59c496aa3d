//! Forms that pages send back. They need no script, and nobody else's page can send them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{App, failed_page, html};
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
    if let Some(refusal) = from_elsewhere(&headers, app.engine.external_url()) {
        return refusal;
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

/// The refusal of a request that a page of somebody else's made a browser send. Browsers tell where a request comes from, and
/// what says nothing of it is no browser.
pub(super) fn from_elsewhere(headers: &HeaderMap, external_url: &str) -> Option<Response> {
    (!is_own(headers, external_url)).then(|| {
        let why = "This came from a page of another site. Send it from a page of this server.";
        html(StatusCode::FORBIDDEN, web::error(StatusCode::FORBIDDEN.as_u16(), why))
    })
}

fn is_own(headers: &HeaderMap, external_url: &str) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else { return true };
    let place = |url: &str| Url::parse(url).ok().and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default())));
    // A proxy in front may have changed the host, but not what people reach it by.
    let asked = text(header::HOST.as_str()).map(|host| format!("{}://{host}", origin.split(':').next().unwrap_or("http")));
    let from = place(origin);
    from.is_some() && (from == asked.and_then(|asked| place(&asked)) || from == place(external_url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_pages_may_send_forms() {
        let own = |pairs: &[(&'static str, &str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            is_own(&headers, "https://bellwether.example.com/base")
        };
        for (headers, expected) in [
            (&[][..], true),
            (&[("host", "localhost:9095")], true),
            (&[("sec-fetch-site", "same-origin"), ("origin", "http://evil")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site"), ("origin", "http://localhost:9095"), ("host", "localhost:9095")], false),
            (&[("origin", "http://localhost:9095"), ("host", "localhost:9095")], true),
            (&[("origin", "https://bellwether.example.com"), ("host", "10.0.0.1:9095")], true),
            (&[("origin", "http://evil.example.com"), ("host", "localhost:9095")], false),
            (&[("origin", "http://localhost:80"), ("host", "localhost:9095")], false),
            (&[("origin", "null"), ("host", "localhost:9095")], false),
            (&[("origin", "http://localhost:9095")], false),
        ] {
            assert_eq!(own(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn forms_are_read_as_browsers_send_them() {
        let read: Acknowledge = form(b"by=Ann+%C3%96&comment=a%26b%0D%0Ac").unwrap();
        assert_eq!((read.by.as_str(), read.comment.as_str(), read.undo.as_str()), ("Ann Ö", "a&b\r\nc", ""));
        for wrong in [&b"comment=x"[..], b"by=\xff", b"by=a b", &[b'a'; LONGEST + 1]] {
            assert!(form::<Acknowledge>(wrong).is_err());
        }
    }
}
