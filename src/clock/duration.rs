//! Durations in whole milliseconds, read and written as Prometheus does: `30s`, `1h30m`, `14d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A length of time in whole milliseconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DurationMs(i64);

/// Prometheus' units, longest first: a year is 365 days, a week 7, a day 24 hours.
const UNITS: [(&str, i64); 7] =
    [("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl DurationMs {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// Sixty minutes.
    pub const HOUR: Self = Self(3_600_000);
    /// Twenty-four hours.
    pub const DAY: Self = Self(86_400_000);
    /// Seven days.
    pub const WEEK: Self = Self(604_800_000);

    /// `ms` milliseconds; a negative number becomes zero.
    pub const fn from_millis(ms: i64) -> Self {
        Self(if ms < 0 { 0 } else { ms })
    }

    /// `s` seconds; a negative number becomes zero.
    pub const fn from_secs(s: i64) -> Self {
        Self::from_millis(s.saturating_mul(1000))
    }

    /// Milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// As the standard library's duration.
    pub fn to_std(self) -> Duration {
        Duration::from_millis(self.0.unsigned_abs())
    }

    /// How many whole `step`s fit; zero for a step of zero.
    pub fn steps(self, step: Self) -> usize {
        if step.0 == 0 { 0 } else { usize::try_from(self.0 / step.0).unwrap_or(usize::MAX) }
    }
}

impl std::ops::Add for DurationMs {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::from_millis(self.0.saturating_add(other.0))
    }
}

impl std::ops::Mul<i64> for DurationMs {
    type Output = Self;
    fn mul(self, n: i64) -> Self {
        Self::from_millis(self.0.saturating_mul(n))
    }
}

/// The form Prometheus prints: the largest units first, none that is zero.
impl fmt::Display for DurationMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, ms) in UNITS {
            // Years and weeks are only exact multiples for Prometheus; `7d12h` reads better than `1w12h`.
            let exact_only = matches!(unit, "y" | "w");
            if rest >= ms && (!exact_only || rest % ms == 0) {
                write!(f, "{}{unit}", rest / ms)?;
                rest %= ms;
            }
        }
        Ok(())
    }
}

/// A text that is not a Prometheus duration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a duration such as 30s, 5m, 1h30m or 14d")]
pub struct InvalidDuration(pub String);

impl FromStr for DurationMs {
    type Err = InvalidDuration;

    /// Reads `1h30m`: whole numbers, each with a unit, units in falling order, each at most once.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidDuration(text.to_owned());
        if text == "0" {
            return Ok(Self::ZERO);
        }
        let (mut rest, mut total, mut next_unit) = (text, 0_i64, 0);
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let (unit, tail) = tail.split_at(letters);
            let at = UNITS.iter().position(|(name, _)| *name == unit).filter(|at| *at >= next_unit).ok_or_else(invalid)?;
            let n: i64 = number.parse().map_err(|_| invalid())?;
            total = n.checked_mul(UNITS[at].1).and_then(|ms| total.checked_add(ms)).ok_or_else(invalid)?;
            (rest, next_unit) = (tail, at + 1);
        }
        if text.is_empty() { Err(invalid()) } else { Ok(Self(total)) }
    }
}

impl TryFrom<String> for DurationMs {
    type Error = InvalidDuration;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DurationMs> for String {
    fn from(d: DurationMs) -> Self {
        d.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_prometheus_reads() {
        for (text, ms) in [("30s", 30_000), ("1h30m", 5_400_000), ("14d", 1_209_600_000), ("1w", 604_800_000), ("5ms", 5), ("0", 0)] {
            assert_eq!(text.parse(), Ok(DurationMs(ms)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "5", "m", "-5m", "1.5h", "5m1h", "5m5m", "5 m", "5x", "99999999999999999999s", "9223372036854775807y"] {
            assert!(text.parse::<DurationMs>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(ms in 0_i64..10_i64.pow(15)) {
            let d = DurationMs::from_millis(ms);
            prop_assert_eq!(d.to_string().parse(), Ok(d));
        }
    }
}
