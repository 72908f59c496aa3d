//! How much the shop's customers want at what time of the day and the week.

use std::f64::consts::TAU;

const DAY_MS: f64 = 86_400_000.0;

/// From Thursday, the day of the epoch: the weekend is busiest.
const WEEK: [f64; 7] = [1.0, 1.06, 1.28, 1.22, 1.0, 0.95, 0.97];

/// Demand at `ms` after the epoch, relative to an ordinary weekday's mean: from about 0.3 before dawn to
/// 1.6 in the afternoon, and a quarter more at the weekend. It has no jump anywhere.
pub(super) fn demand(ms: i64) -> f64 {
    let day = ms as f64 / DAY_MS;
    let angle = TAU * day.rem_euclid(1.0);
    let daily = (0.75 * (angle - TAU * 15.0 / 24.0).cos() + 0.25 * (2.0 * (angle - TAU * 20.5 / 24.0)).cos()).exp() / 1.18;
    let noon = day - 0.5;
    let today = (noon.floor() as i64).rem_euclid(7) as usize;
    let share = noon.rem_euclid(1.0);
    daily * (WEEK[today] * (1.0 - share) + WEEK[(today + 1) % 7] * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn days_and_weeks_repeat_without_jumps() {
        let week: Vec<f64> = (0..7 * 24 * 60).map(|minute| demand(minute * 60_000)).collect();
        assert!(week.windows(2).all(|w| (w[1] / w[0] - 1.0).abs() < 0.01));
        assert!((demand(5 * HOUR) - demand(5 * HOUR + 7 * 24 * HOUR)).abs() < 1e-9);
        let (low, high) = week.iter().fold((f64::MAX, 0.0_f64), |(l, h), v| (l.min(*v), h.max(*v)));
        assert!((0.25..0.5).contains(&low) && (1.8..3.0).contains(&high), "{low} {high}");
        // 1970-01-03 was a Saturday.
        assert!(demand(2 * 24 * HOUR + 15 * HOUR) > 1.2 * demand(5 * 24 * HOUR + 15 * HOUR));
    }
}
