//! The one error that leaves the engine: a closed set of codes, mapped once per protocol.

use std::fmt;

/// What went wrong, in the terms gRPC and HTTP share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The caller's input is wrong; the violations name the fields.
    InvalidArgument,
    /// There is no such thing.
    NotFound,
    /// The request is fine but the engine is not in a state to serve it (say, no Prometheus is configured).
    FailedPrecondition,
    /// A limit on size, number or concurrency was met.
    ResourceExhausted,
    /// Something the engine depends on did not answer; trying again may help.
    Unavailable,
    /// The time allowed for the request is over.
    DeadlineExceeded,
    /// A fault of the engine's own.
    Internal,
}

impl Code {
    /// The label under which failures of this code are counted and logged.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::FailedPrecondition => "failed_precondition",
            Self::ResourceExhausted => "resource_exhausted",
            Self::Unavailable => "unavailable",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Internal => "internal",
        }
    }
}

/// One field of a caller's input that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: the path of the field, such as `series.points[3].time`.
    pub field: String,
    /// What is wrong, with the value found and what would be right.
    pub description: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

/// An error with its code, what a person should read, and the cause beneath it.
#[derive(Debug)]
pub struct Error {
    /// The class of the error.
    pub code: Code,
    /// What happened, without the cause (see [`std::error::Error::source`]).
    pub message: String,
    /// The fields at fault, for [`Code::InvalidArgument`].
    pub violations: Vec<Violation>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of class `code`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), violations: Vec::new(), source: None }
    }

    /// The caller's `field` is wrong, as `description` says.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::violations(vec![Violation { field: field.into(), description: description.into() }])
    }

    /// Several fields of the caller's are wrong.
    pub fn violations(violations: Vec<Violation>) -> Self {
        let message = violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Self { code: Code::InvalidArgument, message, violations, source: None }
    }

    /// The same error with its fields named from `at` on: `query` becomes `input.query`.
    #[must_use]
    pub fn within(mut self, at: &str) -> Self {
        if !self.violations.is_empty() {
            self.violations.iter_mut().for_each(|violation| violation.field = format!("{at}.{}", violation.field));
            self.message = Self::violations(self.violations.clone()).message;
        }
        self
    }

    /// The same error with the cause beneath it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Message and causes in one line, outermost first: for logs and terminals.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_from_the_request_on() {
        let error = Error::invalid("query", "is empty").within("input.promql").within("metrics[3]");
        assert_eq!(error.to_string(), "metrics[3].input.promql.query: is empty");
        assert_eq!(error.violations[0].field, "metrics[3].input.promql.query");
        assert_eq!(Error::new(Code::Unavailable, "busy").within("input").to_string(), "busy");
    }

    #[test]
    fn the_chain_shows_each_cause_once() {
        let error =
            Error::new(Code::Unavailable, "cannot read from Prometheus").caused_by(Error::new(Code::Unavailable, "connection refused"));
        assert_eq!(error.to_string(), "cannot read from Prometheus");
        assert_eq!(error.chain(), "cannot read from Prometheus: connection refused");
    }
}
