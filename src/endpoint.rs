//! A server we call over HTTP: its address, credentials, certificate authority and extra headers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, RequestBuilder, Url};

use crate::clock::DurationMs;
use crate::error::{Code, Error, Result};

/// Where a server is and how to be let in.
#[derive(Clone, PartialEq)]
pub struct Config {
    /// `http://` or `https://`, with the path prefix if it has one.
    pub url: Url,
    /// User and the file that holds the password.
    pub basic_auth: Option<(String, PathBuf)>,
    /// The file that holds a bearer token.
    pub bearer_token_file: Option<PathBuf>,
    /// PEM certificates to trust besides the public ones.
    pub ca_file: Option<PathBuf>,
    /// Sent with every request, such as `X-Scope-OrgID`.
    pub headers: BTreeMap<String, String>,
    /// The same, whose values are secrets in files.
    pub header_files: BTreeMap<String, PathBuf>,
    /// The longest one request may take.
    pub timeout: DurationMs,
}

impl Config {
    /// The server at `url` without credentials and with 30 s for a request.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            basic_auth: None,
            bearer_token_file: None,
            ca_file: None,
            headers: BTreeMap::new(),
            header_files: BTreeMap::new(),
            timeout: DurationMs::from_secs(30),
        }
    }

    /// A client of this server.
    ///
    /// # Errors
    /// A header that HTTP does not allow, or a certificate file that cannot be read.
    pub fn build(&self) -> Result<Endpoint> {
        // Every TLS connection of the process uses ring; a second installation is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let invalid = |what: &str| Error::invalid(format!("headers.{name}"), format!("not a valid HTTP header {what}"));
            let name = HeaderName::try_from(name).map_err(|_| invalid("name"))?;
            headers.insert(name, HeaderValue::try_from(value).map_err(|_| invalid("value"))?);
        }
        let mut builder = Client::builder()
            .default_headers(headers)
            .timeout(self.timeout.to_std())
            .connect_timeout(self.timeout.to_std())
            // A redirect would turn a POST into a GET and carry credentials elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("bellwether/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &self.ca_file {
            let pem = std::fs::read(path).map_err(|e| unreadable("ca_file", path, e))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| unreadable("ca_file", path, e))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|e| Error::new(Code::Internal, "cannot set up an HTTP client").caused_by(e))?;
        Ok(Endpoint { client, config: Arc::new(self.clone()) })
    }
}

/// Credentials and header values stay out of logs.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// A client of one server; cheap to clone.
#[derive(Clone, Debug)]
pub struct Endpoint {
    client: Client,
    config: Arc<Config>,
}

impl Endpoint {
    /// The server's address as it was configured, without a trailing slash.
    pub fn url(&self) -> &str {
        self.config.url.as_str().trim_end_matches('/')
    }

    /// A request to `path` below the server's address. The secrets are read anew each time, so that
    /// they can be rotated.
    ///
    /// # Errors
    /// A secret's file that cannot be read or is empty.
    pub async fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let mut request = self.client.request(method, format!("{}{path}", self.url()));
        if let Some((user, file)) = &self.config.basic_auth {
            request = request.basic_auth(user, Some(secret("basic_auth.password_file", file).await?));
        }
        if let Some(file) = &self.config.bearer_token_file {
            request = request.bearer_auth(secret("bearer_token_file", file).await?);
        }
        for (name, file) in &self.config.header_files {
            let field = format!("header_files.{name}");
            let invalid = || Error::invalid(&field, "the secret cannot be the value of a header");
            let mut value = HeaderValue::try_from(secret(&field, file).await?).map_err(|_| invalid())?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        Ok(request)
    }
}

async fn secret(field: &str, path: &Path) -> Result<String> {
    let text = tokio::fs::read_to_string(path).await.map_err(|e| unreadable(field, path, e))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::invalid(field, format!("{} is empty; it must hold the secret", path.display())));
    }
    Ok(text.to_owned())
}

fn unreadable(field: &str, path: &Path, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::invalid(field, format!("cannot read {}", path.display())).caused_by(cause)
}
