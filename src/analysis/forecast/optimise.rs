//! The minimum of a function of a few variables in a box.

/// Nelder and Mead's simplex ("A simplex method for function minimization", The Computer Journal 1965) from `start`,
/// with points outside `within` moved to its border; at most `evaluations` of `f`. Values that are not finite count as
/// the worst.
pub(super) fn minimise<const N: usize>(
    start: [f64; N],
    within: [(f64, f64); N],
    evaluations: usize,
    mut f: impl FnMut(&[f64; N]) -> f64,
) -> [f64; N] {
    let clamped = |mut x: [f64; N]| {
        x.iter_mut().zip(within).for_each(|(x, (low, high))| *x = x.clamp(low, high));
        x
    };
    let mut left = evaluations;
    let mut value = |x: &[f64; N]| {
        left = left.saturating_sub(1);
        let y = f(x);
        (if y.is_finite() { y } else { f64::INFINITY }, left == 0)
    };
    let start = clamped(start);
    let mut simplex: Vec<([f64; N], f64)> = Vec::with_capacity(N + 1);
    simplex.push((start, value(&start).0));
    for i in 0..N {
        let mut x = start;
        let (low, high) = within[i];
        let step = 0.2 * (high - low);
        x[i] += if x[i] + step <= high { step } else { -step };
        let x = clamped(x);
        simplex.push((x, value(&x).0));
    }
    loop {
        simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (best, worst) = (simplex[0].1, simplex[N].1);
        if worst - best <= 1e-8 * (best.abs() + 1e-300) {
            break;
        }
        let centre: [f64; N] = std::array::from_fn(|i| simplex[..N].iter().map(|(x, _)| x[i]).sum::<f64>() / N as f64);
        let towards = |t: f64| clamped(std::array::from_fn(|i| centre[i] + t * (simplex[N].0[i] - centre[i])));
        let reflected = towards(-1.0);
        let (y, done) = value(&reflected);
        if done {
            break;
        }
        let better = if y < best {
            let further = towards(-2.0);
            let (z, _) = value(&further);
            Some(if z < y { (further, z) } else { (reflected, y) })
        } else if y < simplex[N - 1].1 {
            Some((reflected, y))
        } else {
            let nearer = towards(if y < worst { -0.5 } else { 0.5 });
            let (z, _) = value(&nearer);
            (z < worst.min(y)).then_some((nearer, z))
        };
        if let Some(point) = better {
            simplex[N] = point;
        } else {
            let best = simplex[0].0;
            for point in &mut simplex[1..] {
                point.0 = std::array::from_fn(|i| f64::midpoint(best[i], point.0[i]));
                point.1 = value(&point.0).0;
            }
        }
        if value(&simplex[0].0).1 {
            break;
        }
    }
    simplex.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(start, |(x, _)| *x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_bottom_of_a_curved_valley() {
        let rosenbrock = |x: &[f64; 2]| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2);
        let [x, y] = minimise([-1.2, 1.0], [(-5.0, 5.0); 2], 2000, rosenbrock);
        assert!((x - 1.0).abs() < 1e-2 && (y - 1.0).abs() < 1e-2, "{x} {y}");
    }

    #[test]
    fn stays_in_its_box_and_bears_nonsense() {
        let [x] = minimise([9.0], [(0.0, 1.0)], 100, |x| -x[0]);
        assert_eq!(x, 1.0);
        let [x] = minimise([0.5], [(0.0, 1.0)], 100, |_| f64::NAN);
        assert!((0.0..=1.0).contains(&x));
    }
}
