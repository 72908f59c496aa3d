//! How likely a Kolmogorov–Smirnov distance is when both samples are of one distribution.

use statrs::function::factorial::ln_factorial;

/// How a p-value is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Exactly where that is feasible, else asymptotically.
    #[default]
    Auto,
    /// Exactly. Where that cannot be, asymptotically.
    Exact,
    /// From the distribution for large samples.
    Asymptotic,
}

/// The largest samples that are compared exactly by default.
const MOST_EXACT: usize = 10_000;
/// A bound on the p-value under which the exact one is not worth its time: the other is no farther off than this.
const NOTHING: f64 = 1e-9;
/// The largest sample whose one-sided p-value is summed up; for larger ones its expansion is as good.
const MOST_SUMMED: f64 = 3000.0;

/// The two-sided p-value of a distance of `steps` / (n · m) between samples of `n` and `m` values, as `scipy.stats.ks_2samp`
/// has it: exact up to 10,000 values a side, beyond from the distribution of one sample of the size nm / (n + m).
pub(super) fn p_value(steps: u64, n: usize, m: usize, method: Method) -> f64 {
    let distance = steps as f64 / (n as f64 * m as f64);
    let divisor = gcd(n, m);
    let fits = (n / divisor).saturating_mul(m / divisor) < i32::MAX as usize;
    let exactly = match method {
        Method::Auto => n.max(m) <= MOST_EXACT,
        Method::Exact => fits,
        Method::Asymptotic => false,
    };
    if exactly && let Some(p) = exact(steps / divisor as u64, n, m, divisor) {
        return p;
    }
    asymptotic(distance, n as f64, m as f64)
}

/// The p-value of the distance `distance` between two large samples of `n` and `m` values.
pub(super) fn asymptotic(distance: f64, n: f64, m: f64) -> f64 {
    survival(effective(n, m).round_ties_even().max(1.0), distance).clamp(0.0, 1.0)
}

/// The size of one sample that says as much as two of `n` and `m` values; the same whichever comes first.
fn effective(n: f64, m: f64) -> f64 {
    let product = n * m;
    if product.is_finite() { product / (n + m) } else { n.min(m) / (n + m) * n.max(m) }
}

/// The share of the ways to mix both samples that are at least as far apart (Hodges, "The Significance Probability of the
/// Smirnov Two-Sample Test", 1958). `height` is the distance in steps of one over the least common multiple of both sizes.
/// `None` if rounding made nonsense of it.
fn exact(height: u64, n: usize, m: usize, divisor: usize) -> Option<f64> {
    if height == 0 {
        return Some(1.0);
    }
    let p = if n == m {
        outside_square(n, height)
    } else {
        let distance = height as f64 / ((n / divisor) as f64 * m as f64);
        // The inequality of Dvoretzky, Kiefer and Wolfowitz for two samples, with a factor above all that were found to be needed
        // (Wei & Dudley, "Two-sample Dvoretzky–Kiefer–Wolfowitz inequalities", 2012).
        if std::f64::consts::E * (-2.0 * effective(n as f64, m as f64) * distance * distance).exp() < NOTHING {
            return None;
        }
        outside_band(n.max(m), n.min(m), divisor, height)
    };
    (0.0..=1.0).contains(&p).then_some(p)
}

/// The share of paths over a square of `n` steps a side that leave a band of `height` around the diagonal, by reflection.
fn outside_square(n: usize, height: u64) -> f64 {
    let (n, height) = (n as f64, height as f64);
    let mut p = 0.0;
    let mut k = (n / height).floor();
    while k >= 0.0 {
        let (mut share, mut step) = (1.0, 0.0);
        while step < height && share != 0.0 {
            share = (n - k * height - step) * share / (n + k * height + step + 1.0);
            step += 1.0;
        }
        p = share * (1.0 - p);
        k -= 1.0;
    }
    2.0 * p
}

/// The share of paths over a rectangle of `m` by `n` steps that leave a band around its diagonal. Step by step: each place is
/// the mean of the two it is reached from, weighted by the paths that come that way. All places after as many steps are computed
/// from those before, none from another, so that a processor can do several at once.
fn outside_band(m: usize, n: usize, divisor: usize, height: u64) -> f64 {
    let (high, wide, height) = ((m / divisor) as i64, (n / divisor) as i64, height as i64);
    let ups: Vec<f64> = (0..=n).map(|up| up as f64).collect();
    // One place more on either side; whoever is outside stays there.
    let (mut before, mut after) = (vec![1.0; n + 3], vec![1.0; n + 3]);
    before[1] = 0.0;
    for steps in 1..=n + m {
        let on_diagonal = wide * steps as i64;
        let first = ((on_diagonal - height).div_euclid(high + wide) + 1).max(steps as i64 - m as i64).max(0) as usize;
        let end = (ceil_div(on_diagonal + height, high + wide).max(0) as usize).min(n.min(steps) + 1);
        if end <= first {
            return 1.0;
        }
        let (all, each) = (steps as f64, 1.0 / steps as f64);
        let from_left = &before[first + 1..=end];
        let from_below = &before[first..end];
        let places = after[first + 1..=end].iter_mut().zip(&ups[first..end]);
        for (((place, up), left), below) in places.zip(from_left).zip(from_below) {
            *place = (left * (all - up) + below * up) * each;
        }
        after[first] = 1.0;
        after[end + 1] = 1.0;
        std::mem::swap(&mut before, &mut after);
    }
    before[n + 1].min(1.0)
}

fn ceil_div(a: i64, b: i64) -> i64 {
    -(-a).div_euclid(b)
}

/// The greatest whole number that divides both.
pub(super) fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The chance that `n` values of a known distribution are at least `d` from it (Simard & L'Ecuyer, "Computing the Two-Sided
/// Kolmogorov-Smirnov Distribution", 2011): each of several formulas where it is exact enough.
pub(super) fn survival(n: f64, d: f64) -> f64 {
    let t = n * d;
    let square = t * d;
    if d >= 1.0 || square >= 370.0 {
        0.0
    } else if t <= 0.5 {
        1.0
    } else if t <= 1.0 {
        1.0 - (ln_factorial(n as u64) - n * n.ln() + n * (2.0 * t - 1.0).ln()).exp()
    } else if t >= n - 1.0 {
        2.0 * (1.0 - d).powf(n)
    } else if d >= 0.5
        || square
            >= if n > MOST_SUMMED {
                7.0
            } else if n > 140.0 {
                2.2
            } else {
                4.0
            }
    {
        2.0 * one_sided(n, d)
    } else if n <= 140.0 || (n <= 20_000.0 && n * d.powf(1.5) <= 1.4) {
        1.0 - durbin(n as usize, d)
    } else {
        1.0 - pelz_good(n, d)
    }
}

/// The chance of a distance of at least `d` to one side.
fn one_sided(n: f64, d: f64) -> f64 {
    if n > MOST_SUMMED { expanded(n, d) } else { summed(n, d) }
}

/// The same for large `n` and far out (Maag & Dicaire, "On Kolmogorov-Smirnov Type One-Sample Statistics", 1971).
fn expanded(n: f64, d: f64) -> f64 {
    (-(6.0 * n * d + 1.0).powi(2) / (18.0 * n)).exp()
}

/// The same exactly (Birnbaum & Tingey, "One-Sided Confidence Contours for Probability Distribution Functions", 1951).
fn summed(n: f64, d: f64) -> f64 {
    let (mut choose, mut sum) = (0.0, 0.0);
    let mut j = 0.0;
    while j <= n * (1.0 - d) {
        let (up, down) = (d + j / n, 1.0 - d - j / n);
        if down > 0.0 {
            sum += (choose + (j - 1.0) * up.ln() + (n - j) * down.ln()).exp();
        }
        choose += ((n - j) / (j + 1.0)).ln();
        j += 1.0;
    }
    (sum * d).min(1.0)
}

/// The chance of a distance below `d`, by Durbin's matrix as Marsaglia, Tsang and Wang compute it ("Evaluating Kolmogorov's
/// Distribution", 2003). The cost grows with the cube of n · d.
fn durbin(n: usize, d: f64) -> f64 {
    let k = (n as f64 * d) as usize + 1;
    let size = 2 * k - 1;
    let h = k as f64 - n as f64 * d;
    let mut matrix = vec![0.0; size * size];
    for i in 0..size {
        for j in 0..size.min(i + 2) {
            matrix[i * size + j] = 1.0;
        }
    }
    for i in 0..size {
        matrix[i * size] -= h.powi(i as i32 + 1);
        matrix[(size - 1) * size + i] -= h.powi((size - i) as i32);
    }
    matrix[(size - 1) * size] += (2.0 * h - 1.0).max(0.0).powi(size as i32);
    for i in 0..size {
        for j in 0..=i {
            (1..=i + 1 - j).for_each(|g| matrix[i * size + j] /= g as f64);
        }
    }
    let (power, mut scale) = power(&Scaled(matrix, 0), size, n);
    let mut chance = power[(k - 1) * size + k - 1];
    for i in 1..=n {
        chance *= i as f64 / n as f64;
        if chance < 1e-140 {
            chance *= 1e140;
            scale -= 140;
        }
    }
    chance * 10_f64.powi(scale)
}

/// A square matrix, and the power of ten it is to be multiplied by.
#[derive(Clone)]
struct Scaled(Vec<f64>, i32);

/// A matrix to the power of `n` ≥ 1.
fn power(matrix: &Scaled, size: usize, n: usize) -> (Vec<f64>, i32) {
    let (mut square, mut result) = (matrix.clone(), None::<Scaled>);
    let mut left = n;
    loop {
        if left % 2 == 1 {
            result = Some(result.map_or_else(|| square.clone(), |result| product(&result, &square, size)));
        }
        left /= 2;
        match result {
            Some(Scaled(values, scale)) if left == 0 => return (values, scale),
            _ => square = product(&square, &square, size),
        }
    }
}

fn product(a: &Scaled, b: &Scaled, size: usize) -> Scaled {
    let mut values = vec![0.0; size * size];
    for (row, of_a) in values.chunks_exact_mut(size).zip(a.0.chunks_exact(size)) {
        for (factor, of_b) in of_a.iter().zip(b.0.chunks_exact(size)) {
            row.iter_mut().zip(of_b).for_each(|(cell, value)| *cell += factor * value);
        }
    }
    let mut scale = a.1 + b.1;
    if values[size / 2 * size + size / 2] > 1e140 {
        for value in &mut values {
            *value *= 1e-140;
        }
        scale += 140;
    }
    Scaled(values, scale)
}

/// The chance of a distance below `d` for large `n`: Kolmogorov's limit and three terms of its expansion in 1/√n (Pelz & Good,
/// "Approximating the Lower Tail-Areas of the Kolmogorov-Smirnov One-Sample Statistic", 1976).
fn pelz_good(n: f64, d: f64) -> f64 {
    let pi2 = std::f64::consts::PI.powi(2);
    let z = n.sqrt() * d;
    let z2 = z * z;
    let (z4, z6) = (z2 * z2, z2 * z2 * z2);
    let (mut k0, mut k1, mut k2, mut k3) = (0.0, 0.0, 0.0, 0.0);
    let (mut whole2, mut whole3) = (0.0, 0.0);
    for k in 1..=(16.0 * z / std::f64::consts::PI).ceil() as u32 {
        // Half-integers: the odd numbers over two.
        let h2 = pi2 * (f64::from(k) - 0.5).powi(2);
        let weight = (-h2 / (2.0 * z2)).exp();
        k0 += weight;
        k1 += weight * (h2 - z2);
        k2 += weight * (6.0 * z6 + 2.0 * z4 + (2.0 * z4 - 5.0 * z2) * h2 + (1.0 - 2.0 * z2) * h2 * h2);
        k3 += weight
            * (-30.0 * z6 - 90.0 * z4 * z4
                + (135.0 * z4 - 96.0 * z6) * h2
                + (212.0 * z4 - 60.0 * z2) * h2 * h2
                + (5.0 - 30.0 * z2) * h2 * h2 * h2);
        let w2 = pi2 * f64::from(k).powi(2);
        let weight = (-w2 / (2.0 * z2)).exp();
        whole2 += weight * w2;
        whole3 += weight * w2 * (3.0 * z2 - w2);
    }
    let root = (2.0 * std::f64::consts::PI).sqrt();
    let terms = [
        k0 * root / z,
        k1 * root / (6.0 * z4),
        root * (k2 / (72.0 * z6 * z) - whole2 / (36.0 * z2 * z)),
        root * (k3 / (6480.0 * z6 * z4) + whole3 / (216.0 * z6)),
    ];
    terms.iter().rev().fold(0.0, |sum, term| sum / n.sqrt() + term)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::drift::sample::{Sample, distances};
    use proptest::prelude::*;

    fn ks(a: &[f64], b: &[f64], method: Method) -> (f64, f64) {
        let found = distances(&Sample::new(a).unwrap(), &Sample::new(b).unwrap());
        (found.ks, found.ks_p_value(method))
    }

    #[test]
    fn known_answers() {
        let line = |n: usize, by: f64| (0..n).map(|i| 1.0 + 99.0 * i as f64 / (n - 1) as f64 + by).collect::<Vec<_>>();
        let (d, p) = ks(&line(100, 0.0), &line(110, 20.1), Method::Auto);
        assert!((d - 232.0 / 1100.0).abs() < 1e-14 && (p - 0.015_739_183_865_607_353).abs() < 1e-12, "{d} {p}");
        let (_, p) = ks(&[1.0, 3.0, 6.0, 8.0, 8.0], &[2.0, 3.0, 4.0, 6.0], Method::Exact);
        assert!((p - 0.746_031_746).abs() < 1e-8, "{p}");
        assert_eq!(ks(&[1.0], &[2.0], Method::Auto), (1.0, 1.0));
        assert_eq!(ks(&[1.0; 9], &[1.0; 4], Method::Asymptotic), (0.0, 1.0));
    }

    #[test]
    fn the_formulas_meet_where_they_take_turns() {
        for n in [141.0, 500.0, 3000.0] {
            let d = (2.2_f64 / n).sqrt();
            let (below, above) = (1.0 - pelz_good(n, d), 2.0 * one_sided(n, d));
            assert!((below - above).abs() < 1e-6, "n {n}: {below} {above}");
        }
        for n in [150.0, 1000.0, 19_000.0_f64] {
            let d = (1.4 / n).powf(2.0 / 3.0);
            assert!((durbin(n as usize, d) - pelz_good(n, d)).abs() < 1e-5, "n {n}");
        }
        for d in [0.048, 0.05, 0.06, 0.07] {
            let (exactly, nearly) = (summed(MOST_SUMMED, d), expanded(MOST_SUMMED, d));
            assert!((exactly - nearly).abs() < 1e-8 && (nearly / exactly - 1.0).abs() < 0.05, "d {d}: {exactly} {nearly}");
            let limit = 1.0 - pelz_good(MOST_SUMMED, d);
            assert!((2.0 * exactly - limit).abs() < 2e-8, "d {d}: {exactly} {limit}");
        }
    }

    #[test]
    fn the_band_and_the_square_agree() {
        for height in 1..=12 {
            let (square, band) = (outside_square(12, height), outside_band(12, 12, 12, height));
            assert!((square - band).abs() < 1e-12, "{height}: {square} {band}");
        }
    }

    proptest! {
        #[test]
        fn farther_is_less_likely(n in 1_usize..300, m in 1_usize..300, a in 0.0..1.0, b in 0.0..1.0) {
            let all = (n * m) as u64;
            // Only distances that can occur: whole steps of the least common multiple.
            let step = gcd(n, m) as u64;
            let near_far = |x: f64| ((x * all as f64) as u64 / step) * step;
            let (near, far) = (near_far(f64::min(a, b)), near_far(f64::max(a, b)));
            for method in [Method::Exact, Method::Asymptotic] {
                let (likely, rare) = (p_value(near, n, m, method), p_value(far, n, m, method));
                prop_assert!((0.0..=1.0).contains(&likely) && rare <= likely + 1e-9, "{rare} {likely}");
            }
            prop_assert_eq!(p_value(far, n, m, Method::Exact), p_value(far, m, n, Method::Exact));
        }
    }
}
