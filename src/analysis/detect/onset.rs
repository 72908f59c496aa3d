//! Where a series left its expected course, before it was far enough off to be flagged.

use crate::clock::Timestamp;

/// What was left is reached back over while residuals are more than this far off on the same side, …
const ON_THE_WAY: f64 = 1.5;
/// …and more than this share of what they have come to: noise that happened to be on that side is no onset.
const OF_THE_WAY: f64 = 1.0 / 3.0;

/// The time of the change in a `course` of deviations, oldest first, whose `first` flagged point is known. Deviations are
/// positive on the side that is abnormal, and come to `come_to`.
///
/// What jumped left its course where a cumulative sum is greatest (Hinkley, "Inference about the change-point from
/// cumulative sum tests", Biometrika 58, 1971). What rises steadily left it earlier than it went far: where a line that bends
/// there fits best, if that fits better than any step (Hinkley, "Inference in two-phase regression", Journal of the American
/// Statistical Association 66, 1971).
pub fn onset(course: &[(Timestamp, f64)], first: Timestamp, come_to: f64) -> Timestamp {
    let least = ON_THE_WAY.max(come_to * OF_THE_WAY);
    let (mut sum, mut best) = (0.0, (0.0, first));
    for (time, z) in course.iter().rev().filter(|(time, z)| *time < first && z.is_finite()) {
        sum += z - least;
        if sum > best.0 {
            best = (sum, *time);
        }
    }
    bend(course, first).map_or(best.1, |bend| bend.min(best.1))
}

/// Where the `course` begins to rise steadily, up to `first`; `None` where a step explains it as well. What was below is not on
/// its way.
fn bend(course: &[(Timestamp, f64)], first: Timestamp) -> Option<Timestamp> {
    let known = || course.iter().filter(|(_, z)| z.is_finite()).map(|(time, z)| (*time, z.max(0.0)));
    let best = |of: fn(i64) -> f64| {
        let share = |at: Timestamp| explained(known().map(|(time, z)| (of(time.millis() - at.millis()), z)));
        let shares = known().map(|(at, _)| at).filter(|at| *at <= first).map(|at| (share(at), at));
        shares.filter(|(share, _)| share.is_finite()).max_by(|a, b| a.0.total_cmp(&b.0))
    };
    let rise = best(|past| past.max(0) as f64)?;
    let step = best(|past| f64::from(past >= 0));
    step.is_none_or(|step| rise.0 > step.0).then_some(rise.1)
}

/// How much of the squares of `y` about their mean a line over `x` explains, below zero where it falls; not finite where all `x`
/// are the same.
pub fn explained(points: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let n = points.clone().count() as f64;
    let mean = |of: fn((f64, f64)) -> f64| points.clone().map(of).sum::<f64>() / n;
    let (middle, centre) = (mean(|(x, _)| x), mean(|(_, y)| y));
    let both: f64 = points.clone().map(|(x, y)| (x - middle) * (y - centre)).sum();
    let alone: f64 = points.map(|(x, _)| (x - middle).powi(2)).sum();
    both * both.abs() / alone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::DurationMs;

    const MINUTE: DurationMs = DurationMs::from_secs(60);

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(0) + MINUTE * minute
    }

    fn course(z: impl Fn(i64) -> f64) -> Vec<(Timestamp, f64)> {
        (0..30).map(|i| (at(i), z(i))).collect()
    }

    /// Noise that is the same at each run, of about one.
    fn noise(i: i64) -> f64 {
        (i as f64 * 2.4).sin() + (i as f64 * 5.1).cos() * 0.5
    }

    #[test]
    fn a_step_is_where_it_jumped() {
        let jumped = course(|i| noise(i) + if i >= 26 { 9.0 } else { 0.0 });
        assert_eq!(onset(&jumped, at(26), 9.0), at(26));
        assert_eq!(onset(&jumped, at(28), 9.0), at(26), "also where the first was not flagged");
    }

    #[test]
    fn a_steady_rise_began_before_it_was_far_off() {
        for below in [0.0, 4.0] {
            let rising = course(|i| noise(i) - below + 1.8 * (i - 18).max(0) as f64);
            let found = onset(&rising, at(26), 15.0 - below);
            assert!((at(17)..=at(20)).contains(&found), "{found}");
        }
    }

    #[test]
    fn the_way_back_from_the_other_side_is_no_rise() {
        let turned = course(|i| {
            noise(i)
                + if i >= 26 {
                    15.0
                } else if (8..18).contains(&i) {
                    -20.0
                } else {
                    0.0
                }
        });
        assert_eq!(onset(&turned, at(26), 15.0), at(26));
    }

    #[test]
    fn what_is_missing_tells_nothing() {
        let rising = course(|i| if i % 3 == 0 { f64::NAN } else { noise(i) + 1.8 * (i - 18).max(0) as f64 });
        assert!((at(16)..=at(20)).contains(&onset(&rising, at(26), 15.0)));
        assert_eq!(onset(&course(|_| f64::NAN), at(26), 15.0), at(26));
        assert_eq!(onset(&[], at(26), 15.0), at(26));
    }
}
