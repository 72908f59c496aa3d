//! The parameters of a request, from its address or its form.

use reqwest::Url;

use super::Failure;
use crate::clock::{DurationMs, Timestamp};

/// Names and values in the order they were given.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(text).map_err(|_| Failure::bad_data("the form is not UTF-8"))?;
        // A form is written as an address' query is.
        let mut url = Url::parse("http://form/").map_err(|e| Failure::bad_data(e.to_string()))?;
        url.set_query(Some(text));
        Ok(Self(url.query_pairs().into_owned().collect()))
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.first(name).filter(|v| !v.is_empty()).ok_or_else(|| {
            // What Prometheus' parser says of an empty query.
            Failure::bad_data(format!("invalid parameter \"{name}\": unknown position: parse error: no expression found in input"))
        })
    }

    /// A time in seconds since the epoch, or as RFC 3339.
    pub(super) fn time(&self, name: &str) -> Result<Timestamp, Failure> {
        let text = self.first(name).unwrap_or_default();
        let seconds = text.parse().ok().and_then(Timestamp::from_seconds);
        seconds
            .or_else(|| text.parse().ok())
            .ok_or_else(|| Failure::bad_data(format!("invalid parameter \"{name}\": cannot parse \"{text}\" to a valid timestamp")))
    }

    pub(super) fn time_or(&self, name: &str, default: Timestamp) -> Result<Timestamp, Failure> {
        if self.first(name).is_none_or(str::is_empty) { Ok(default) } else { self.time(name) }
    }

    /// The step: seconds, or a duration such as `1m`. A negative one becomes zero.
    pub(super) fn step(&self) -> Result<DurationMs, Failure> {
        let text = self.first("step").unwrap_or_default();
        let seconds = text.parse::<f64>().ok().filter(|s| s.abs() < 1e12);
        seconds
            .map(|s| DurationMs::from_millis((s * 1000.0) as i64))
            .or_else(|| text.parse().ok())
            .ok_or_else(|| Failure::bad_data(format!("invalid parameter \"step\": cannot parse \"{text}\" to a valid duration")))
    }
}
