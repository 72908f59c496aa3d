//! Whether a form was sent from one of our own pages: a page elsewhere may send one too, with the rights of whoever looks at it.

use axum::http::{HeaderMap, header};
use reqwest::Url;

use crate::error::{Error, Result};

/// Lets a form in that our own pages sent, or a program that is no browser.
///
/// Browsers say where a form comes from in `Sec-Fetch-Site`, where the connection is one that they trust, and in `Origin`,
/// which is compared with the `Host` that they asked, and with `external_url` for the sake of proxies that change the host.
///
/// # Errors
/// It came from elsewhere.
pub fn check(headers: &HeaderMap, external_url: &str) -> Result<()> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let own = match (headers.get("sec-fetch-site").map(|value| value.as_bytes()), headers.contains_key(header::ORIGIN)) {
        (Some(site), _) => site == b"same-origin" || site == b"none",
        (None, false) => true,
        (None, true) => text(header::ORIGIN).is_some_and(|origin| {
            let host = origin.split_once("://").map(|(_, host)| host);
            let external = Url::parse(external_url).ok().map(|url| url.origin().ascii_serialization());
            (host.is_some() && host == text(header::HOST)) || Some(origin) == external.as_deref()
        }),
    };
    if own {
        Ok(())
    } else {
        Err(Error::invalid("origin", "this form was sent from another site; open the page here and send it from there"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        check(&headers, "https://ops.example/bellwether").is_ok()
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        assert!(of(&[("host", "b:9095")]), "a program");
        assert!(of(&[("host", "b:9095"), ("sec-fetch-site", "same-origin"), ("origin", "http://b:9095")]));
        assert!(of(&[("host", "b:9095"), ("origin", "http://b:9095")]));
        assert!(of(&[("host", "10.0.0.1:9095"), ("origin", "https://ops.example")]), "behind a proxy");
        for wrong in [
            &[("host", "b:9095"), ("sec-fetch-site", "cross-site")][..],
            &[("host", "b:9095"), ("sec-fetch-site", "same-site"), ("origin", "http://b:9095")],
            &[("host", "b:9095"), ("origin", "null")],
            &[("host", "b:9095"), ("origin", "http://b:9096")],
            &[("host", "b:9095"), ("origin", "https://evil.example")],
            &[("origin", "http://")],
        ] {
            assert!(!of(wrong), "{wrong:?}");
        }
    }
}
