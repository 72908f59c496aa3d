//! Time in words, as a person says it.

use super::{DurationMs, Timestamp};

/// A unit is used from two of it on: 90 minutes rather than one hour and a half.
const SPOKEN: [(&str, i64); 5] = [("week", 604_800_000), ("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000)];

impl DurationMs {
    /// In whole units that a person would choose: `23 minutes`, `36 hours`, `3 weeks`.
    pub fn in_words(self) -> String {
        let ms = self.millis();
        let (unit, size) = SPOKEN.into_iter().find(|(_, size)| ms / 2 >= *size).unwrap_or(("second", 1000));
        let n = ms / size;
        format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
    }
}

impl Timestamp {
    /// How long ago this was at `now`: `3 minutes ago`, `in 2 hours`, `just now`.
    pub fn relative_to(self, now: Self) -> String {
        const MOMENT: DurationMs = DurationMs::from_secs(5);
        if now >= self {
            let past = now.since(self);
            if past < MOMENT { "just now".to_owned() } else { format!("{} ago", past.in_words()) }
        } else {
            let ahead = self.since(now);
            if ahead < MOMENT { "just now".to_owned() } else { format!("in {}", ahead.in_words()) }
        }
    }

    /// To the second in UTC, without the letters that machines need: `2026-11-20 14:00:05 UTC`.
    pub fn in_words(self) -> String {
        self.format("%Y-%m-%d %H:%M:%S UTC")
    }

    /// To the minute in UTC, as a date is said of what is to come: `Thu 26 Nov 14:00 UTC`.
    pub fn as_date(self) -> String {
        self.format("%a %-d %b %H:%M UTC")
    }

    /// By a strftime `pattern` in UTC; RFC 3339 where the pattern is none.
    pub fn format(self, pattern: &str) -> String {
        jiff::Timestamp::from_millisecond(self.millis())
            .ok()
            .and_then(|instant| jiff::fmt::strtime::format(pattern, instant).ok())
            .unwrap_or_else(|| self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        for (text, words) in [
            ("0s", "0 seconds"),
            ("1s", "1 second"),
            ("59s", "59 seconds"),
            ("1m", "60 seconds"),
            ("119s", "119 seconds"),
            ("2m", "2 minutes"),
            ("90m", "90 minutes"),
            ("2h59m", "2 hours"),
            ("47h", "47 hours"),
            ("2d", "2 days"),
            ("13d", "13 days"),
            ("14d", "2 weeks"),
        ] {
            assert_eq!(text.parse::<DurationMs>().unwrap().in_words(), words, "{text}");
        }
    }

    #[test]
    fn instants_are_told_from_now() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        assert_eq!((now - DurationMs::from_secs(180)).relative_to(now), "3 minutes ago");
        assert_eq!((now + DurationMs::HOUR * 3).relative_to(now), "in 3 hours");
        assert_eq!(now.relative_to(now), "just now");
        assert_eq!(now.in_words(), "2023-11-14 22:13:20 UTC");
        assert_eq!(now.as_date(), "Tue 14 Nov 22:13 UTC");
        assert_eq!(now.format("%b %-d %H:%M"), "Nov 14 22:13");
        assert_eq!(Timestamp::from_millis(i64::MIN).in_words(), "0001-01-01 00:00:00 UTC");
    }
}
