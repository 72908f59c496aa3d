//! Evidence in words.

use super::Kind;
use super::deviation::Deviation;
use crate::clock::Timestamp;

/// `latency_p99 rose from 0.021 to 0.31 (96 robust deviations) between 12:00 and 12:05`.
pub(super) fn metric(d: &Deviation) -> String {
    let way = if d.robust < 0.0 { "fell" } else { "rose" };
    let (low, high) = (Timestamp::from_millis(d.onset_low), Timestamp::from_millis(d.onset_high));
    let (from, to) = (number(d.usual), number(d.now));
    format!("{} {way} from {from} to {to} ({} robust deviations) between {low} and {high}", d.metric, number(d.robust.abs()))
}

/// Whose trouble it would explain.
pub(super) fn callers(names: &[&str]) -> String {
    let more = names.len().saturating_sub(3);
    let shown = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("would explain the trouble of {shown}{more}, which call it")
}

/// Its own part of the work.
pub(super) fn work(kind: Kind, share: Option<f64>) -> String {
    let what = if kind == Kind::Failures { "failed requests" } else { "extra time that requests take" };
    match share {
        Some(share) => format!("{:.0} % of the {what} begin here and not at what it calls", share * 100.0),
        None => format!("how much of the {what} begin here is not known"),
    }
}

/// How a metric moves with the symptom.
pub(super) fn course(d: &Deviation, symptom: &str, felt: &Deviation, r: f64) -> String {
    format!("{} moves with {symptom}'s {} (correlation {r:.2})", d.metric, felt.metric)
}

/// Nothing moves.
pub(super) fn still(symptom: &str) -> String {
    format!("nothing here changed while {symptom} was in trouble")
}

/// How long after the first.
pub(super) fn late(ms: i64) -> String {
    if ms == 0 {
        "first to leave its course, or together with the first".to_owned()
    } else {
        format!("left its course {} s after the first", number(ms as f64 / 1000.0))
    }
}

/// Three significant digits.
fn number(v: f64) -> String {
    let size = v.abs();
    if v == 0.0 || !v.is_finite() {
        format!("{v}")
    } else if !(1e-4..1e7).contains(&size) {
        format!("{v:.2e}")
    } else {
        let digits = (2 - size.log10().floor() as i32).clamp(0, 6) as usize;
        format!("{v:.digits$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown: Vec<_> = [0.0, 0.012_345, 1.0, 99.87, 123_456.0, 3.2e9, -0.5, f64::NAN].map(number).to_vec();
        assert_eq!(shown, ["0", "0.0123", "1.00", "99.9", "123456", "3.20e9", "-0.500", "NaN"]);
    }
}
