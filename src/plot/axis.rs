//! Round places on an axis, with what to write at them.

use crate::clock::{DurationMs, Timestamp};
use crate::metric::Unit;

/// Three to five round values from `low` to `high`, with their labels; none unless `low < high`, both finite.
pub fn values(unit: Unit, low: f64, high: f64) -> Vec<(f64, String)> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return Vec::new();
    }
    let scale = scale(unit, low.abs().max(high.abs()));
    let mut power = 10_f64.powf((span / scale).log10().floor() - 1.0) * scale;
    for _ in 0..4 {
        for step in [1.0, 2.0, 2.5, 5.0].map(|n| n * power) {
            let (first, last) = ((low / step).ceil(), (high / step).floor());
            if last - first < 5.0 && first <= last {
                let count = (last - first) as usize + 1;
                // `+ 0.0` turns a negative zero into zero.
                return label(unit, (0..count).map(|i| (first + i as f64) * step + 0.0).collect());
            }
        }
        power *= 10.0;
    }
    // Two values too close for any round one between them.
    label(unit, vec![low, high])
}

/// The size of the unit in which a value of `size` is shown, so that round steps look round.
fn scale(unit: Unit, size: f64) -> f64 {
    let scales: &[f64] = match unit {
        Unit::Bytes => &[1_099_511_627_776.0, 1_073_741_824.0, 1_048_576.0, 1024.0],
        Unit::Seconds => &[86_400.0, 3600.0, 60.0],
        Unit::None | Unit::Ratio | Unit::PerSecond => &[],
    };
    scales.iter().copied().find(|scale| size >= *scale).unwrap_or(1.0)
}

/// With as few digits, from three on, as tell the values apart.
fn label(unit: Unit, values: Vec<f64>) -> Vec<(f64, String)> {
    let write = |digits| values.iter().map(|v| unit.show_to(*v, digits)).collect::<Vec<_>>();
    let distinct = |labels: &Vec<String>| labels.windows(2).all(|w| w[0] != w[1]);
    let labels = (3..=15).map(write).find(distinct).unwrap_or_else(|| write(15));
    values.into_iter().zip(labels).collect()
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The steps between two times on an axis.
const STEPS: [i64; 24] = [
    1000,
    5000,
    15_000,
    30_000,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    28 * DAY,
    91 * DAY,
    365 * DAY,
    3650 * DAY,
    36_500 * DAY,
];

/// Round times from `from` to `to` in UTC, at most `most` of them, with labels such as `Nov 20 14:00`.
pub fn times(from: Timestamp, to: Timestamp, most: usize) -> Vec<(Timestamp, String)> {
    let first = |step: DurationMs| (from + DurationMs::from_millis(step.millis() - 1)).align_down(step);
    let count = |step: DurationMs| if first(step) > to { 0 } else { to.since(first(step)).steps(step) + 1 };
    let Some(step) = STEPS.map(DurationMs::from_millis).into_iter().find(|step| count(*step) <= most) else {
        return Vec::new();
    };
    let pattern = match step.millis() {
        ..MINUTE => "%b %-d %H:%M:%S",
        MINUTE..DAY => "%b %-d %H:%M",
        _ if to.since(from) > DurationMs::DAY * 300 => "%Y-%m-%d",
        _ => "%b %-d",
    };
    (0..count(step)).map(|i| first(step) + step * i as i64).map(|time| (time, time.format(pattern))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(unit: Unit, low: f64, high: f64) -> Vec<String> {
        values(unit, low, high).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn round_values_in_the_unit() {
        assert_eq!(labels(Unit::Seconds, 0.0, 0.52), ["0s", "200ms", "400ms"]);
        assert_eq!(labels(Unit::Seconds, 0.0, 310.0), ["0s", "2min", "4min"]);
        assert_eq!(labels(Unit::Bytes, 1.4e9, 1.9e9), ["1.4GiB", "1.5GiB", "1.6GiB", "1.7GiB"]);
        assert_eq!(labels(Unit::Ratio, 0.0, 0.08), ["0%", "2%", "4%", "6%", "8%"]);
        assert_eq!(labels(Unit::PerSecond, -1.0, 1.0), ["-1/s", "-0.5/s", "0/s", "0.5/s", "1/s"]);
        assert_eq!(labels(Unit::None, 1_234_567.0, 1_234_567.5), ["1234567", "1234567.2", "1234567.4"]);
    }

    #[test]
    fn round_times_in_utc() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let labels = |from, to, most| times(at(from), at(to), most).into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels("2026-11-20T11:42:00Z", "2026-11-20T14:12:00Z", 4), ["Nov 20 12:00", "Nov 20 13:00", "Nov 20 14:00"]);
        assert_eq!(labels("2026-11-20T11:42:00Z", "2026-11-20T11:42:01Z", 2), ["Nov 20 11:42:00", "Nov 20 11:42:01"]);
        assert_eq!(labels("2026-11-10T11:42:00Z", "2026-11-13T14:12:00Z", 4), ["Nov 11", "Nov 12", "Nov 13"]);
        assert_eq!(labels("0001-01-01T00:00:00Z", "9999-12-30T00:00:00Z", 0), [""; 0]);
    }

    proptest! {
        #[test]
        fn values_are_few_within_and_distinct(low in -1e300..1e300_f64, share in 1e-9..10_f64) {
            let high = low + low.abs() * share;
            let ticks = values(Unit::None, low, high);
            prop_assert!((3..=5).contains(&ticks.len()), "{:?}", ticks);
            let slack = (high - low) * 1e-6;
            prop_assert!(ticks.iter().all(|(v, _)| *v >= low - slack && *v <= high + slack));
            prop_assert!(ticks.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 != w[1].1));
        }
    }
}
