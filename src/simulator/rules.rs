//! The threshold rules that a team has beside its metrics, and the alerts that they fire.
//!
//! One rule for each of six signs, with a threshold for each service: what the sign exceeded for a small share of some
//! weeks before, the same share for all. That share is chosen so that the rules fire about so many times a day then: as
//! often as people put up with.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::promql::{self, Answer, Grid};
use super::shop::Shop;
use crate::clock::{DurationMs, Timestamp};

/// Name, PromQL, and for how many minutes it must hold.
const RULES: [(&str, &str, usize); 6] = [
    ("HighLatency", "histogram_quantile(0.95, sum by (service, le) (rate(http_request_duration_seconds_bucket[5m])))", 5),
    (
        "HighErrorRatio",
        "sum by (service) (rate(http_requests_total{code=~\"5..\"}[5m])) / sum by (service) (rate(http_requests_total[5m]))",
        2,
    ),
    ("HighCpu", "sum by (service) (rate(process_cpu_seconds_total[5m]))", 5),
    ("HighMemory", "sum by (service) (process_resident_memory_bytes)", 5),
    ("PoolAlmostFull", "max by (service) (db_connection_pool_in_use / db_connection_pool_max)", 1),
    ("QueueGrows", "sum by (service) (queue_depth)", 2),
];
/// The rules are evaluated each minute, over so many at once.
const PIECE: usize = 5000;
const MINUTE: DurationMs = DurationMs::from_secs(60);
/// Halvings of the share for which a threshold is exceeded.
const HALVINGS: usize = 24;

/// One time that a rule fired for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    /// The rule's name.
    pub alertname: &'static str,
    /// The service.
    pub service: String,
    /// When it began to fire: it had held for long enough.
    pub from: Timestamp,
    /// When it stopped.
    pub to: Timestamp,
}

/// One sign of one service, minute by minute.
struct Sign {
    alertname: &'static str,
    service: String,
    holds: usize,
    values: Vec<f64>,
    /// Those of the weeks before, in order of size.
    sorted: Vec<f64>,
}

/// What the rules fired between `from` and `to`, in order of time, with thresholds by which they fired about `per_day` times
/// a day between `learn` and `from`. Empty where the shop cannot answer, which is a fault of ours.
pub fn fired(shop: &Shop, learn: Timestamp, from: Timestamp, to: Timestamp, per_day: f64) -> Vec<Firing> {
    let (learn, from, to) = (learn.align_down(MINUTE), from.align_down(MINUTE), to.align_down(MINUTE));
    let before = from.since(learn).steps(MINUTE);
    let signs: Vec<Sign> = RULES.iter().flat_map(|(name, query, holds)| read(shop, (*name, query, *holds), learn, to, before)).collect();
    let wanted = per_day * before as f64 / 1440.0;
    let (mut least, mut most) = (0.0_f64, 0.2_f64);
    for _ in 0..HALVINGS {
        let share = f64::midpoint(least, most);
        let count: usize = signs.par_iter().map(|sign| runs(sign, share, 0..before).len()).sum();
        if (count as f64) < wanted { least = share } else { most = share }
    }
    let at = |minute: usize| learn + MINUTE * minute as i64;
    let mut fired: Vec<Firing> = signs
        .iter()
        .flat_map(|sign| {
            let firing =
                |(a, b): (usize, usize)| Firing { alertname: sign.alertname, service: sign.service.clone(), from: at(a), to: at(b) };
            runs(sign, least, before..sign.values.len()).into_iter().map(firing).collect::<Vec<_>>()
        })
        .collect();
    fired.sort_by(|a, b| (a.from, a.alertname, &a.service).cmp(&(b.from, b.alertname, &b.service)));
    fired
}

/// One rule's sign of each service.
fn read(shop: &Shop, (alertname, query, holds): (&'static str, &str, usize), learn: Timestamp, to: Timestamp, before: usize) -> Vec<Sign> {
    let all = to.since(learn).steps(MINUTE);
    let mut signs: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for piece in (0..all).step_by(PIECE) {
        let (start, len) = (learn + MINUTE * piece as i64, PIECE.min(all - piece));
        let Ok(Answer::Vector(lines)) = promql::evaluate(shop, query, Grid { start, step: MINUTE, len }, to) else { continue };
        for line in lines {
            let values = signs.entry(line.key.get("service").unwrap_or_default().to_owned()).or_insert_with(|| vec![f64::NAN; all]);
            for (i, value) in line.points() {
                values[piece + i] = value;
            }
        }
    }
    let sign = |(service, values): (String, Vec<f64>)| {
        let mut sorted: Vec<f64> = values[..before.min(values.len())].iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        Sign { alertname, service, holds, values, sorted }
    };
    signs.into_iter().map(sign).collect()
}

/// The stretches of `within` in which a sign fires that may exceed its threshold for such a share of the time: from the minute
/// at which it has held for long enough to the first at which it does not.
fn runs(sign: &Sign, share: f64, within: std::ops::Range<usize>) -> Vec<(usize, usize)> {
    let at = ((1.0 - share) * sign.sorted.len() as f64) as usize;
    let Some(threshold) = sign.sorted.get(at.min(sign.sorted.len().saturating_sub(1))) else { return Vec::new() };
    let (mut runs, mut held) = (Vec::new(), 0);
    for minute in within.clone() {
        if sign.values[minute] > *threshold {
            held += 1;
            if held == sign.holds + 1 {
                runs.push((minute, within.end));
            }
        } else {
            if let Some(last) = runs.last_mut().filter(|_| held > sign.holds) {
                last.1 = minute;
            }
            held = 0;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fires_when_it_has_held_for_long_enough() {
        let values = [0.0, 9.0, 9.0, 9.0, 9.0, 0.0, 9.0, 0.0, 9.0, 9.0, 9.0];
        let sign = Sign { alertname: "x", service: "a".to_owned(), holds: 2, values: values.to_vec(), sorted: vec![0.0, 1.0, 2.0, 3.0] };
        assert_eq!(runs(&sign, 0.25, 0..11), [(3, 5), (10, 11)]);
        assert_eq!(runs(&sign, 0.25, 0..9), [(3, 5)]);
        let silent = Sign { sorted: Vec::new(), ..sign };
        assert_eq!(runs(&silent, 0.25, 0..11), []);
    }
}
