//! Whether a form was sent from our own page: no other site may decide anything in somebody's browser.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use reqwest::Url;

use crate::error::{Error, Result};

/// Lets a form in that one of our own pages sent.
///
/// # Errors
/// It came from elsewhere, and from where.
pub fn check(headers: &HeaderMap, external_url: &str) -> Result<()> {
    foreign(headers, external_url).map_or(Ok(()), |why| Err(Error::invalid("origin", why)))
}

/// Why a POST is not from one of our own pages; `None` when it is.
///
/// Browsers say where a form stood: by `Origin`, which must be the host that was asked, and where they can by
/// `Sec-Fetch-Site`. A host is only ours as it is configured, as `localhost`, or as an address: a name that somebody else
/// lets point here would be of the same origin as their page.
pub fn foreign(headers: &HeaderMap, external_url: &str) -> Option<String> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    if let Some(site) = text("sec-fetch-site").filter(|site| site != "same-origin") {
        return Some(format!("it was sent by a page of another site ({site})"));
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else {
        return Some("it does not say from which page it was sent; programs use the gRPC API".to_owned());
    };
    let of = |url: &str| Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(page) = of(&origin) else { return Some(format!("it was sent by a page of `{origin}`")) };
    if of(external_url).is_some_and(|own| own.origin() == page.origin()) {
        return None;
    }
    let host = text(header::HOST.as_str()).unwrap_or_default();
    let asked = of(&format!("{}://{host}", page.scheme()));
    let name = page.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let is_address = name.parse::<IpAddr>().is_ok() || name == "localhost";
    if is_address && asked.is_some_and(|asked| asked.origin() == page.origin()) {
        return None;
    }
    Some(format!("it was sent by a page of {origin}, which is not server.external_url"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_foreign(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        foreign(&headers, "https://bellwether.example.com/ops").is_some()
    }

    #[test]
    fn only_our_own_pages_may_send_a_form() {
        for own in [
            &[("host", "127.0.0.1:9095"), ("origin", "http://127.0.0.1:9095"), ("sec-fetch-site", "same-origin")][..],
            &[("host", "127.0.0.1:9095"), ("origin", "http://127.0.0.1:9095")],
            &[("host", "[::1]:9095"), ("origin", "http://[::1]:9095")],
            &[("host", "localhost:9095"), ("origin", "http://localhost:9095")],
            // A proxy asks under another name.
            &[("host", "inner:9095"), ("origin", "https://bellwether.example.com")],
        ] {
            assert!(!is_foreign(own), "{own:?}");
        }
        for foreign in [
            &[][..],
            &[("host", "127.0.0.1:9095")],
            &[("host", "127.0.0.1:9095"), ("origin", "null")],
            &[("host", "127.0.0.1:9095"), ("origin", "http://evil.example")],
            &[("host", "127.0.0.1:9095"), ("origin", "http://127.0.0.1:8080")],
            &[("host", "127.0.0.1:9095"), ("origin", "http://127.0.0.1:9095"), ("sec-fetch-site", "cross-site")],
            &[("host", "127.0.0.1:9095"), ("origin", "http://127.0.0.1:9095"), ("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-origin")],
            // A name of theirs that points here.
            &[("host", "evil.example:9095"), ("origin", "http://evil.example:9095"), ("sec-fetch-site", "same-origin")],
            &[("host", "inner:9095"), ("origin", "http://bellwether.example.com")],
        ] {
            assert!(is_foreign(foreign), "{foreign:?}");
        }
    }
}
