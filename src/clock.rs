//! Time as a value: instants in milliseconds, durations as Prometheus writes them, and the clock.
//!
//! Only the edges and the engine ask a [`Clock`] what time it is; all maths takes time as an argument.

mod duration;
mod spoken;

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};

pub use duration::{DurationMs, InvalidDuration};

/// An instant in milliseconds since the Unix epoch, the resolution Prometheus stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// From 0001-01-01T00:00:00Z to the last instant that every time zone can write with four digits.
const RANGE_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_207_200_000;

impl Timestamp {
    /// The instant `ms` milliseconds after the epoch, held within the years 1 to 9999.
    pub fn from_millis(ms: i64) -> Self {
        Self(ms.clamp(*RANGE_MS.start(), *RANGE_MS.end()))
    }

    /// The instant `seconds` after the epoch, rounded to the millisecond; `None` for NaN,
    /// an infinity, or a time outside the years 1 to 9999.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let ms = (seconds * 1000.0).round();
        (ms.is_finite() && ms >= *RANGE_MS.start() as f64 && ms <= *RANGE_MS.end() as f64).then_some(Self(ms as i64))
    }

    /// Milliseconds since the epoch.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch, as the Prometheus HTTP API takes them.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The latest multiple of `step` that is not after this instant.
    #[must_use]
    pub fn align_down(self, step: DurationMs) -> Self {
        Self(self.0 - self.0.rem_euclid(step.millis().max(1)))
    }

    /// The time from `earlier` to this instant; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> DurationMs {
        DurationMs::from_millis(self.0.saturating_sub(earlier.0).max(0))
    }
}

impl std::ops::Add<DurationMs> for Timestamp {
    type Output = Self;
    fn add(self, d: DurationMs) -> Self {
        Self::from_millis(self.0.saturating_add(d.millis()))
    }
}

impl std::ops::Sub<DurationMs> for Timestamp {
    type Output = Self;
    fn sub(self, d: DurationMs) -> Self {
        Self::from_millis(self.0.saturating_sub(d.millis()))
    }
}

/// RFC 3339 in UTC, with milliseconds only where they are not zero.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// A text that is not an RFC 3339 instant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a time such as 2026-01-31T08:00:00Z")]
pub struct InvalidTimestamp(pub String);

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp(text.to_owned()))?;
        Ok(Self::from_millis(instant.as_millisecond()))
    }
}

/// Tells the time. The system's, or one that a test turns by hand.
#[derive(Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands at its value until it is set.
    Manual(AtomicI64),
}

impl Clock {
    /// A clock that stands at `now` until [`Clock::set`].
    pub fn manual(now: Timestamp) -> Self {
        Self::Manual(AtomicI64::new(now.millis()))
    }

    /// What time it is.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()),
            Self::Manual(ms) => Timestamp::from_millis(ms.load(Ordering::SeqCst)),
        }
    }

    /// Turns a manual clock; the system's is not ours to set and stays as it is.
    pub fn set(&self, now: Timestamp) {
        if let Self::Manual(ms) = self {
            ms.store(now.millis(), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_and_reads_rfc_3339() {
        let t = Timestamp::from_millis(1_700_000_000_000);
        assert_eq!(t.to_string(), "2023-11-14T22:13:20Z");
        assert_eq!("2023-11-14T22:13:20Z".parse(), Ok(t));
        assert_eq!("2023-11-14T23:13:20+01:00".parse(), Ok(t));
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn aligns_also_before_the_epoch() {
        let minute = DurationMs::from_millis(60_000);
        assert_eq!(Timestamp::from_millis(119_999).align_down(minute).millis(), 60_000);
        assert_eq!(Timestamp::from_millis(-1).align_down(minute).millis(), -60_000);
    }

    #[test]
    fn seconds_outside_the_calendar_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, 1e308, -1e20] {
            assert_eq!(Timestamp::from_seconds(bad), None);
        }
        assert_eq!(Timestamp::from_seconds(1.5), Some(Timestamp::from_millis(1500)));
    }

    #[test]
    fn arithmetic_saturates() {
        let far = Timestamp::from_millis(i64::MAX) + DurationMs::from_millis(i64::MAX);
        assert_eq!(far.to_string(), "9999-12-30T22:00:00Z");
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), DurationMs::ZERO);
    }
}
