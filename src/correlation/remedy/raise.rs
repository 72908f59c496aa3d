//! Which limit to raise, and by how much.
//!
//! - A forecast says how fast a limit comes nearer: raised by what [`LASTS`] of that pace use up, it lasts so long. No less
//!   than a fifth of what there is, so that the next forecast is not the same, and no more than three times.
//! - Of what is used now only its height is known: the limit that is [`FULL`] full with it.

use crate::clock::DurationMs;
use crate::finding::{Direction, Finding, FindingKind};
use crate::metric::{MetricKind, Unit};

/// How long a raised limit is to last.
const LASTS: DurationMs = DurationMs::from_millis(30 * DurationMs::DAY.millis());
/// How full a resource may be at its worst.
const FULL: f64 = 0.7;
/// The least and the most that a limit is raised by, as a share of it.
const LEAST_MOST: (f64, f64) = (0.2, 3.0);

/// A limit and what it is to become; each `None` where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Raise {
    /// The limit.
    pub limit: Option<f64>,
    /// What it is raised to.
    pub to: Option<f64>,
    /// What it is raised by: an amount, or a share where only a share is known.
    pub by: Option<(f64, Unit)>,
}

/// How far to raise the limit that a finding is about.
pub fn raise(finding: &Finding) -> Raise {
    let known = |value: f64| Some(value).filter(|v| v.is_finite());
    if finding.kind == FindingKind::Capacity {
        let limit = known(finding.expected);
        let left = finding.reach.and_then(|reach| reach.expected).map(|at| at.since(finding.last_seen).seconds().max(1.0));
        let by = limit.zip(known(finding.value)).zip(left).map(|((limit, value), left)| {
            let size = limit.abs().max(value.abs());
            let pace = (limit - value).abs() / left;
            (pace * LASTS.seconds()).clamp(LEAST_MOST.0 * size, LEAST_MOST.1 * size)
        });
        let to = limit.zip(by).filter(|_| finding.direction == Direction::Up).map(|(limit, by)| limit + by);
        return Raise { limit, to, by: by.map(|by| (by, finding.unit)) };
    }
    let is_resource = matches!(finding.metric, MetricKind::Cpu | MetricKind::Memory | MetricKind::Disk | MetricKind::Saturation);
    if !is_resource || finding.direction == Direction::Down || finding.value.is_nan() || finding.value <= 0.0 {
        return Raise::default();
    }
    if finding.unit == Unit::Ratio {
        let share = (finding.value / FULL - 1.0).clamp(LEAST_MOST.0, LEAST_MOST.1);
        return Raise { limit: None, to: None, by: Some((share, Unit::Ratio)) };
    }
    let to = known(finding.value / FULL);
    Raise { limit: None, to, by: to.map(|to| (to - finding.value, finding.unit)) }
}

/// The same as Kubernetes writes it: `700Mi`, `1500m`; `None` for what is neither memory, storage nor processors.
pub fn quantity(finding: &Finding) -> Option<String> {
    let to = raise(finding).to.filter(|to| (0.0..1e15).contains(to))?;
    match (finding.metric, finding.unit) {
        (MetricKind::Memory | MetricKind::Disk, Unit::Bytes) => Some(format!("{:.0}Mi", up(to / f64::from(1 << 20)))),
        (MetricKind::Cpu, Unit::None | Unit::Seconds | Unit::PerSecond) => Some(format!("{:.0}m", up(to * 1000.0))),
        _ => None,
    }
}

/// Rounded up, but not for the last digits of a number that was meant to be whole.
fn up(amount: f64) -> f64 {
    (amount - 1e-6).ceil()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlation::sample::{at, finding, of};
    use crate::reach::Reach;

    fn memory(value: f64) -> Finding {
        Finding { unit: Unit::Bytes, value, ..of(finding("cart", "m", at(0)), MetricKind::Memory, Direction::Up) }
    }

    fn forecast(value: f64, limit: f64, days: i64) -> Finding {
        let reached = at(0) + DurationMs::DAY * days;
        let reach = Reach { expected: Some(reached), earliest: Some(reached), latest: None, chance: 0.9 };
        let direction = if limit > value { Direction::Up } else { Direction::Down };
        Finding { kind: FindingKind::Capacity, expected: limit, direction, reach: Some(reach), last_seen: at(0), ..memory(value) }
    }

    #[test]
    fn what_is_used_is_to_fill_seven_tenths() {
        let used = memory(700.0 * 1024.0 * 1024.0);
        assert_eq!(quantity(&used).as_deref(), Some("1000Mi"));
        let share = Finding { unit: Unit::Ratio, value: 0.98, metric: MetricKind::Saturation, ..used };
        let Raise { limit: None, to: None, by: Some((by, Unit::Ratio)) } = raise(&share) else { panic!("{:?}", raise(&share)) };
        assert!((by - 0.4).abs() < 1e-9);
    }

    #[test]
    fn a_limit_is_raised_by_a_month_of_its_pace() {
        // 10 of 100 in ten days: 30 in thirty.
        let raised = raise(&forecast(90.0, 100.0, 10));
        assert_eq!((raised.limit, raised.to), (Some(100.0), Some(130.0)));
        // A disk that runs out of free space has no limit to raise, only something to add.
        let free = raise(&forecast(50.0, 0.0, 30));
        assert_eq!((free.to, free.by), (None, Some((50.0, Unit::Bytes))));
        assert_eq!(raise(&forecast(99.0, 100.0, 300)).to, Some(120.0));
        assert_eq!(raise(&forecast(10.0, 100.0, 1)).to, Some(400.0));
    }

    #[test]
    fn nonsense_is_not_raised() {
        for value in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            assert_eq!(raise(&memory(value)).to, None, "{value}");
            assert_eq!(quantity(&memory(value)), None);
            let _ = raise(&forecast(value, f64::NAN, 1));
        }
        assert_eq!(raise(&Finding { direction: Direction::Down, ..memory(5.0) }), Raise::default());
    }
}
