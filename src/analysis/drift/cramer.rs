//! How likely a Cramér–von Mises criterion is when both samples are of one distribution.

use super::kolmogorov::{Method, gcd};
use super::sample::{Sample, cramer_von_mises, squared_ranks};

/// The largest samples that are compared exactly: the mixtures of larger ones are too many to count.
const MOST_EXACT: usize = 20;
/// Places at which each piece of the integral is evaluated. It is smooth and periodic there, so that these are plenty.
const PLACES: u32 = 48;
/// Under this the chance of more is one.
const LEAST: f64 = 0.003;

/// The p-value of the criterion between two samples, as `scipy.stats.cramervonmises_2samp` has it: exact up to 20 values a
/// side, beyond from the limit that it has for large samples.
pub(super) fn p_value(reference: &Sample, current: &Sample, method: Method) -> f64 {
    let (n, m) = (reference.size(), current.size());
    if method != Method::Asymptotic && n.max(m) <= MOST_EXACT {
        return exact(squared_ranks(reference, current), n, m);
    }
    // The criterion is given the limit's mean and variance (Anderson 1962, equations 11, 14 and 15).
    let (n, m) = (n as f64, m as f64);
    let (pairs, all) = (n * m, n + m);
    let mean = (1.0 + 1.0 / all) / 6.0;
    let variance = (all + 1.0) * (4.0 * pairs * all - 3.0 * (n * n + m * m) - 2.0 * pairs) / (45.0 * all * all * 4.0 * pairs);
    let normed = 1.0 / 6.0 + (cramer_von_mises(reference, current) - mean) / (45.0 * variance).sqrt();
    survival(normed)
}

/// The chance that the limit of the criterion is greater than `x`: an alternating sum of integrals (Smirnov 1936; Anderson &
/// Darling, "Asymptotic Theory of Certain Goodness of Fit Criteria", 1952). Good in relative terms far out as well.
fn survival(x: f64) -> f64 {
    if x < LEAST {
        return 1.0;
    }
    let pi = std::f64::consts::PI;
    let (mut sum, mut sign) = (0.0, 1.0);
    for piece in 1..100_u32 {
        // From (2k − 1)π to 2kπ, in an angle that takes the poles at both ends away.
        let start = (2.0 * f64::from(piece) - 1.0) * pi;
        let part: f64 = (0..PLACES)
            .map(|place| {
                let angle = (f64::from(place) + 0.5) * pi / f64::from(PLACES);
                let inner = (1.0 - angle.cos()) * pi / 2.0;
                let s = start + inner;
                (s / inner.sin()).sqrt() * (-x * s * s / 2.0).exp() / s * angle.sin()
            })
            .sum();
        let part = part * (pi / 2.0) * (pi / f64::from(PLACES));
        sum += sign * part;
        if part <= 1e-17 * sum.abs() {
            break;
        }
        sign = -sign;
    }
    (2.0 / pi * sum).clamp(0.0, 1.0)
}

/// The share of the ways to mix samples of `n` and `m` values that have at least as large a criterion: all of them are counted
/// (Xiao, Gordon & Yakovlev, "A C++ Program for the Cramér-Von Mises Two-Sample Test", 2006). `u4` is four times Anderson's U.
fn exact(u4: i128, n: usize, m: usize) -> f64 {
    let (small, large) = (n.min(m), n.max(m));
    let pairs = (n * m) as i128;
    let multiple = (n / gcd(n, m) * m) as i128;
    // Anderson's U as the sum of squares that is counted below; rounded down, as mean ranks may lie between two of them.
    let sum = multiple.pow(2) * (n + m) as i128 * (6 * u4 - 4 * pairs * (4 * pairs - 1));
    let wanted = sum.div_euclid(24 * pairs.pow(2)) as i64;
    let (up, right) = (multiple as i64 / small as i64, multiple as i64 / large as i64);
    // For each place of a column: the sums of the paths that lead to it, ascending, and how many paths have each.
    let mut column = vec![Vec::new(); small + 1];
    column[0].push((0, 1.0));
    for u in 0..=large as i64 {
        let mut below = Vec::new();
        for (v, place) in column.iter_mut().enumerate() {
            let square = (up * v as i64 - right * u).pow(2);
            *place = joined(place, &below, square);
            below.clone_from(place);
        }
    }
    let all: f64 = column[small].iter().map(|(_, paths)| paths).sum();
    column[small].iter().filter(|(sum, _)| *sum >= wanted).map(|(_, paths)| paths).sum::<f64>() / all
}

/// Two lists of sums and how many paths have them, as one; all sums are greater by `more`.
fn joined(a: &[(i64, f64)], b: &[(i64, f64)], more: i64) -> Vec<(i64, f64)> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut both = Vec::with_capacity(a.len() + b.len());
    while let Some(sum) = [a.peek(), b.peek()].into_iter().flatten().map(|(sum, _)| *sum).min() {
        let paths =
            |list: &mut std::iter::Peekable<std::slice::Iter<(i64, f64)>>| list.next_if(|next| next.0 == sum).map_or(0.0, |next| next.1);
        both.push((sum + more, paths(&mut a) + paths(&mut b)));
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_has_its_known_quantiles() {
        // Anderson & Darling 1952, table 1.
        for (x, chance) in [(0.118_88, 0.5), (0.347_30, 0.1), (0.461_36, 0.05), (0.743_46, 0.01), (1.167_86, 0.001)] {
            assert!((survival(x) / chance - 1.0).abs() < 1e-3, "{x}: {}", survival(x));
        }
        assert_eq!(survival(0.001), 1.0);
        assert!((survival(LEAST) - 1.0).abs() < 1e-9 && survival(20.0) > 0.0 && survival(20.0) < 1e-40);
        assert_eq!((survival(1e300), survival(f64::INFINITY)), (0.0, 0.0));
    }

    #[test]
    fn small_samples_are_counted() {
        let of = |a: &[f64], b: &[f64], method| p_value(&Sample::new(a).unwrap(), &Sample::new(b).unwrap(), method);
        // Two of two: six mixtures, of which two are as far apart as this one.
        assert!((of(&[1.0, 2.0], &[3.0, 4.0], Method::Auto) - 1.0 / 3.0).abs() < 1e-12);
        assert!((of(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], Method::Auto) - 1.0).abs() < 1e-12);
    }
}
