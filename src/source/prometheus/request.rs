//! One request to the Prometheus API: sent, tried again where that may help, its answer read as it arrives.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rand::Rng;
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tracing::Instrument;

use super::Prometheus;
use super::matrix::{Fault, Matrix, Parser};
use crate::error::{Code, Error, Result};

/// How often a request is sent before it is given up.
const MOST_TRIES: u32 = 4;
/// The longest wait that a server may ask for; one that asks for more is given up.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The most bytes of an answer that is read as a whole.
const MOST_BUFFERED: usize = 64 << 20;
/// How much of an unexpected answer is shown.
const SHOWN_CHARS: usize = 200;
/// Bytes kept to show it: a character takes up to four.
const SHOWN_BYTES: usize = 4 * SHOWN_CHARS;
/// The most bytes read of an answer that reports an error.
const MOST_ERROR_BYTES: usize = 64 << 10;

/// What is asked.
#[derive(Debug)]
pub(super) struct Request {
    pub method: Method,
    pub path: &'static str,
    pub form: Vec<(&'static str, String)>,
    /// The field of the caller's that Prometheus finds fault with when it answers 400 or 422.
    pub field: &'static str,
}

/// Reads the body of a successful answer.
pub(super) trait Reader: Send {
    /// What is read.
    type Output: Send;
    fn feed(&mut self, chunk: &[u8]) -> Result<(), Fault>;
    fn finish(self) -> Result<Self::Output, Fault>;
}

impl Reader for Parser {
    type Output = Matrix;
    fn feed(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        Self::feed(self, chunk)
    }
    fn finish(self) -> Result<Matrix, Fault> {
        Self::finish(self)
    }
}

/// Reads an answer whose `data` is a `T`, kept as a whole until its end.
#[derive(Debug)]
pub(super) struct Whole<T> {
    body: Vec<u8>,
    data: std::marker::PhantomData<fn() -> T>,
}

impl<T> Default for Whole<T> {
    fn default() -> Self {
        Self { body: Vec::new(), data: std::marker::PhantomData }
    }
}

/// The envelope of every answer.
#[derive(Deserialize)]
struct Envelope<T> {
    status: String,
    data: Option<T>,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
}

impl<T: DeserializeOwned + Send> Reader for Whole<T> {
    type Output = T;

    fn feed(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        if self.body.len() + chunk.len() > MOST_BUFFERED {
            return Err(Fault::TooLarge(format!("more than {MOST_BUFFERED} bytes in one answer")));
        }
        self.body.extend_from_slice(chunk);
        Ok(())
    }

    fn finish(self) -> Result<T, Fault> {
        let malformed = |what: String| Fault::Malformed { at: self.body.len() as u64, what };
        let answer: Envelope<T> = serde_json::from_slice(&self.body).map_err(|e| malformed(e.to_string()))?;
        match (answer.status.as_str(), answer.data) {
            ("success", Some(data)) => Ok(data),
            ("error", _) => Err(Fault::Refused { kind: answer.error_type, message: answer.error }),
            _ => Err(malformed("neither `data` nor an error".to_owned())),
        }
    }
}

/// A try that failed.
struct Failure {
    error: Error,
    /// The label it is counted under.
    cause: &'static str,
    /// How long to wait at least before the next try; `None` where another try cannot help.
    again: Option<Duration>,
}

impl Failure {
    fn last(cause: &'static str, error: Error) -> Self {
        Self { error, cause, again: None }
    }
}

impl Prometheus {
    /// Sends `request` and reads the answer with a new `reader` for each try.
    pub(super) async fn call<R: Reader>(&self, request: &Request, reader: impl Fn() -> R + Send + Sync) -> Result<R::Output> {
        let query = request.form.iter().find(|(name, _)| *name == request.field).map_or("", |(_, value)| value);
        let query: String = query.chars().take(SHOWN_CHARS).collect();
        let span = tracing::info_span!("prometheus_request", path = request.path, query, tries = tracing::field::Empty);
        self.call_in_span(request, reader).instrument(span).await
    }

    async fn call_in_span<R: Reader>(&self, request: &Request, reader: impl Fn() -> R + Send + Sync) -> Result<R::Output> {
        let mut tries = 1;
        loop {
            let mut failure = match self.attempt(request, reader()).await {
                Ok(output) => return Ok(output),
                Err(failure) => failure,
            };
            tracing::Span::current().record("tries", tries);
            match failure.again {
                Some(wait) if tries < MOST_TRIES => {
                    // Half to one and a half times the doubling pause, so that clients that failed together part ways.
                    let pause = self.pause.mul_f64(f64::from(1_u32 << (tries - 1)) * rand::thread_rng().gen_range(0.5..1.5));
                    tracing::debug!(cause = failure.cause, error = failure.error.chain(), "trying again");
                    tokio::time::sleep(pause.max(wait)).await;
                    tries += 1;
                }
                _ => {
                    if tries > 1 {
                        let _ = write!(failure.error.message, " (tried {tries} times)");
                    }
                    return Err(failure.error);
                }
            }
        }
    }

    /// One try, counted and timed. A wait for the next one holds no permit.
    async fn attempt<R: Reader>(&self, request: &Request, reader: R) -> Result<R::Output, Failure> {
        let _permit =
            self.permits.acquire().await.map_err(|e| Failure::last("internal", Error::new(Code::Internal, "closed").caused_by(e)))?;
        let begin = Instant::now();
        let result = self.send(request, reader).await;
        metrics::histogram!("bellwether_source_request_seconds").record(begin.elapsed().as_secs_f64());
        let outcome = result.as_ref().map_or_else(|failure| failure.cause, |_| "ok");
        metrics::counter!("bellwether_source_requests_total", "outcome" => outcome).increment(1);
        result
    }

    async fn send<R: Reader>(&self, request: &Request, mut reader: R) -> Result<R::Output, Failure> {
        let builder = self.endpoint.request(request.method.clone(), request.path).await.map_err(|e| Failure::last("credentials", e))?;
        let builder = if request.method == Method::POST { builder.form(&request.form) } else { builder.query(&request.form) };
        let mut response = builder.send().await.map_err(|e| self.broken(e))?;
        if !response.status().is_success() {
            return Err(self.refused(request, response).await);
        }
        let mut head = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.broken(e))? {
            let room = SHOWN_BYTES - head.len();
            head.extend_from_slice(&chunk[..chunk.len().min(room)]);
            reader.feed(&chunk).map_err(|fault| self.unreadable(request, fault, &head))?;
        }
        reader.finish().map_err(|fault| self.unreadable(request, fault, &head))
    }

    /// The connection failed, or took too long.
    fn broken(&self, cause: reqwest::Error) -> Failure {
        let address = &self.address;
        let timeout = cause.is_timeout() && !cause.is_connect();
        let (code, message, label, again) = if timeout {
            (Code::DeadlineExceeded, format!("Prometheus at {address} did not answer within {}", self.timeout), "timeout", None)
        } else if cause.is_builder() {
            (Code::Internal, format!("cannot make a request to Prometheus at {address}"), "internal", None)
        } else if cause.is_redirect() {
            (Code::FailedPrecondition, format!("Prometheus at {address} redirects without end"), "refused", None)
        } else if cause.is_connect() {
            (Code::Unavailable, format!("cannot reach Prometheus at {address}"), "connection", Some(Duration::ZERO))
        } else {
            (Code::Unavailable, format!("the connection to Prometheus at {address} broke"), "connection", Some(Duration::ZERO))
        };
        Failure { error: Error::new(code, message).caused_by(cause.without_url()), cause: label, again }
    }

    /// An answer with a status that is no success.
    async fn refused(&self, request: &Request, mut response: Response) -> Failure {
        let address = &self.address;
        let status = response.status();
        let wait = response.headers().get(reqwest::header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let wait = wait.map_or(Duration::ZERO, Duration::from_secs);
        let mut body = Vec::new();
        // A body that breaks off still leaves the status to go by.
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = MOST_ERROR_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == MOST_ERROR_BYTES {
                break;
            }
        }
        let answer = serde_json::from_slice::<Envelope<serde_json::Value>>(&body).ok().filter(|a| a.status == "error");
        if let (StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, Some(answer)) = (status, &answer) {
            return Failure::last("refused", refusal(request.field, &answer.error_type, &answer.error));
        }
        let timed_out = answer.as_ref().is_some_and(|a| a.error_type == "timeout");
        let detail = answer.map_or_else(|| shown(&body), |a| format!("{} ({})", a.error, a.error_type));
        let error = |code, message: String| Error::new(code, if detail.is_empty() { message } else { format!("{message}: {detail}") });
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::last(
                "unauthorized",
                error(
                    Code::FailedPrecondition,
                    format!("Prometheus at {address} does not let us in ({status}); check basic_auth, bearer_token_file and headers"),
                ),
            ),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Failure::last(
                "not_found",
                error(
                    Code::FailedPrecondition,
                    format!("no Prometheus API at {address}{} ({status}); check the address and its path prefix", request.path),
                ),
            ),
            _ if timed_out => Failure::last("timeout", error(Code::DeadlineExceeded, format!("Prometheus at {address} gave the query up"))),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                let cause = if status == StatusCode::TOO_MANY_REQUESTS { "throttled" } else { "unavailable" };
                if wait > LONGEST_WAIT {
                    let asked = format!("Prometheus at {address} answers {status} and asks to come back in {} s", wait.as_secs());
                    return Failure::last(cause, error(Code::Unavailable, asked));
                }
                Failure { error: error(Code::Unavailable, format!("Prometheus at {address} answers {status}")), cause, again: Some(wait) }
            }
            _ if status.is_server_error() => {
                Failure::last("unavailable", error(Code::Unavailable, format!("Prometheus at {address} answers {status}")))
            }
            _ => Failure::last("refused", error(Code::FailedPrecondition, format!("Prometheus at {address} answers {status}"))),
        }
    }

    /// An answer whose body is not what was asked for.
    fn unreadable(&self, request: &Request, fault: Fault, head: &[u8]) -> Failure {
        let address = &self.address;
        match fault {
            Fault::Refused { kind, message } => Failure::last("refused", refusal(request.field, &kind, &message)),
            Fault::TooLarge(what) => {
                let message = format!("the answer of Prometheus at {address} is too large: {what}");
                Failure::last("too_large", Error::new(Code::ResourceExhausted, message))
            }
            Fault::Malformed { .. } if head.trim_ascii_start().first() != Some(&b'{') => {
                let message =
                    format!("{address}{} answers with something else than JSON: `{}`; is it a Prometheus?", request.path, shown(head));
                Failure::last("malformed", Error::new(Code::FailedPrecondition, message))
            }
            Fault::Malformed { .. } => {
                let message = format!("the answer of Prometheus at {address} is not what its API gives");
                Failure::last("malformed", Error::new(Code::Unavailable, message).caused_by(fault))
            }
        }
    }
}

fn refusal(field: &str, kind: &str, message: &str) -> Error {
    Error::invalid(field, format!("Prometheus refuses it: {message} ({kind})"))
}

/// The beginning of a body in one line.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN_CHARS).collect()
}
