//! When a course will reach a limit.

use serde::{Deserialize, Serialize};

/// When a limit is reached, in whatever tells times; `None` where it is not within the horizon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reach<T> {
    /// Where the expected course reaches it.
    pub expected: Option<T>,
    /// Where the bound of the interval that is nearer to it reaches it.
    pub earliest: Option<T>,
    /// Where the bound that is further from it reaches it.
    pub latest: Option<T>,
    /// The chance that it is reached at the step of the horizon at which that is likeliest: at least the chance that it is
    /// reached at all is so large.
    pub chance: f64,
}

impl<T: Copy> Reach<T> {
    /// The same in other times.
    pub fn map<U>(self, at: impl Fn(T) -> U) -> Reach<U> {
        let Self { expected, earliest, latest, chance } = self;
        Reach { expected: expected.map(&at), earliest: earliest.map(&at), latest: latest.map(&at), chance }
    }

    /// When `limit`, as it is shown, is reached: `0B is reached at …, between … and … (chance within the horizon: 93 %)`.
    pub fn in_words(self, limit: &str, at: impl Fn(T) -> String) -> String {
        let chance = match self.chance {
            chance if chance < 0.01 => "under 1 %".to_owned(),
            chance if chance > 0.99 => "over 99 %".to_owned(),
            chance => format!("{:.0} %", 100.0 * chance),
        };
        let Reach { expected, earliest, latest, .. } = self.map(at);
        let when = match (expected, earliest, latest) {
            (None, None, _) => format!("{limit} is not reached within the horizon"),
            (None, Some(earliest), _) => format!("{limit} is not expected within the horizon, but may be reached from {earliest} on"),
            (Some(expected), Some(earliest), Some(latest)) if earliest == latest => format!("{limit} is reached at {expected}"),
            (Some(expected), Some(earliest), Some(latest)) => {
                format!("{limit} is reached at {expected}, between {earliest} and {latest}")
            }
            (Some(expected), Some(earliest), None) => format!("{limit} is reached at {expected}, at {earliest} at the earliest"),
            (Some(expected), None, _) => format!("{limit} is reached at {expected}"),
        };
        format!("{when} (chance within the horizon: {chance})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_in_words() {
        let told = |expected, earliest, latest, chance| {
            let reach = Reach { expected, earliest, latest, chance };
            reach.in_words("90%", |day: i32| format!("day {day}"))
        };
        assert_eq!(told(None, None, None, 0.001), "90% is not reached within the horizon (chance within the horizon: under 1 %)");
        assert_eq!(
            told(None, Some(2), None, 0.3),
            "90% is not expected within the horizon, but may be reached from day 2 on (chance within the horizon: 30 %)"
        );
        assert_eq!(
            told(Some(3), Some(2), None, 0.6),
            "90% is reached at day 3, at day 2 at the earliest (chance within the horizon: 60 %)"
        );
        assert_eq!(
            told(Some(3), Some(2), Some(5), 0.995),
            "90% is reached at day 3, between day 2 and day 5 (chance within the horizon: over 99 %)"
        );
        assert_eq!(told(Some(0), Some(0), Some(0), 1.0), "90% is reached at day 0 (chance within the horizon: over 99 %)");
    }
}
