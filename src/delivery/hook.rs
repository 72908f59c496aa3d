//! The webhook of an action: called once, and never again.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;

use crate::action::Request;
use crate::endpoint::{self, Endpoint};
use crate::error::Result;

/// How much of an answer is read.
const ANSWER: usize = 2048;
/// How much of it is kept.
const KEPT: usize = 300;

/// The webhook of an action; cheap to clone.
#[derive(Clone, Debug)]
pub struct Hook {
    endpoint: Endpoint,
    timeout: Duration,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was taken: a status of 2xx.
    Taken(String),
    /// It was refused, reached nobody, or was not answered in time, and may then have been carried out all the same.
    Failed(String),
}

impl Hook {
    /// The webhook at `config`.
    ///
    /// # Errors
    /// As [`endpoint::Config::build`].
    pub fn new(config: &endpoint::Config) -> Result<Self> {
        Ok(Self { endpoint: config.build()?, timeout: config.timeout.to_std() })
    }

    /// The longest that a call may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Calls it, once. A redirect is not followed, and is a refusal.
    pub async fn call(&self, request: &Request) -> Answer {
        let method = match request.method {
            crate::action::Method::Post => reqwest::Method::POST,
            crate::action::Method::Put => reqwest::Method::PUT,
            crate::action::Method::Patch => reqwest::Method::PATCH,
            crate::action::Method::Delete => reqwest::Method::DELETE,
        };
        let built = match self.endpoint.request(method, "").await {
            Ok(built) => built,
            Err(error) => return Answer::Failed(error.chain()),
        };
        match built.header(CONTENT_TYPE, "application/json").body(request.body.clone()).send().await {
            Ok(mut response) => {
                let status = response.status();
                let mut body = Vec::new();
                while let Ok(Some(piece)) = response.chunk().await {
                    let room = ANSWER - body.len();
                    body.extend_from_slice(&piece[..piece.len().min(room)]);
                    if body.len() == ANSWER {
                        break;
                    }
                }
                let text = String::from_utf8_lossy(&body).split_whitespace().collect::<Vec<_>>().join(" ");
                let text: String = text.chars().filter(|c| !c.is_control()).take(KEPT).collect();
                let said = if text.is_empty() { status.to_string() } else { format!("{status}: {text}") };
                if status.is_success() { Answer::Taken(said) } else { Answer::Failed(said) }
            }
            Err(error) if error.is_timeout() && !error.is_connect() => {
                Answer::Failed(format!("no answer within {:?}; it may have been carried out all the same", self.timeout))
            }
            Err(error) => Answer::Failed(said(error)),
        }
    }
}

/// An error with its causes, without the address, which may hold what is not to be logged.
fn said(error: reqwest::Error) -> String {
    super::alertmanager::causes(&error.without_url())
}
