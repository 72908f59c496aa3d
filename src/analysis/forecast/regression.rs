//! Autoregression on the latest values and on those one or more seasons ago.

/// What is learned: the next value is `intercept + Σ coefficient · value lag steps before`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Autoregression {
    lags: Vec<usize>,
    coefficients: Vec<f64>,
    mean: f64,
}

/// Learns from `values` (gaps are left out) by ridge regression; `None` where there are too few.
pub(super) fn fit(values: &[f64], lags: &[usize], ridge: f64) -> Option<Autoregression> {
    let longest = *lags.iter().max()?;
    let mean = {
        let present: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        present.iter().sum::<f64>() / present.len() as f64
    };
    let k = lags.len();
    let centred: Vec<f64> = values.iter().map(|v| v - mean).collect();
    let rows: Vec<usize> =
        (longest..values.len()).filter(|t| centred[*t].is_finite() && lags.iter().all(|l| centred[t - l].is_finite())).collect();
    if rows.len() < 2 * k {
        return None;
    }
    let mut weights = vec![1.0; rows.len()];
    let mut beta = vec![0.0; k];
    for pass in 0..3 {
        let mut gram = vec![0.0; k * k];
        let mut right = vec![0.0; k];
        let mut x = vec![0.0; k];
        for (t, w) in rows.iter().zip(&weights) {
            for (x, l) in x.iter_mut().zip(lags) {
                *x = centred[t - l];
            }
            for i in 0..k {
                let wx = w * x[i];
                right[i] += wx * centred[*t];
                for j in 0..=i {
                    gram[i * k + j] += wx * x[j];
                }
            }
        }
        let trace = (0..k).map(|i| gram[i * k + i]).sum::<f64>() / k as f64;
        for i in 0..k {
            gram[i * k + i] += ridge * trace + 1e-300;
        }
        beta = solve(&mut gram, right, k)?;
        if pass == 2 {
            break;
        }
        let off: Vec<f64> =
            rows.iter().map(|t| centred[*t] - lags.iter().zip(&beta).map(|(l, b)| b * centred[t - l]).sum::<f64>()).collect();
        let mut sizes: Vec<f64> = off.iter().map(|o| o.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let scale = 1.4826 * sizes[sizes.len() / 2];
        if scale <= 0.0 {
            break;
        }
        for (w, o) in weights.iter_mut().zip(off) {
            *w = (2.5 * scale / o.abs()).min(1.0);
        }
    }
    Some(Autoregression { lags: lags.to_vec(), coefficients: beta, mean })
}

impl Autoregression {
    /// The next `horizon` values after `values`, each from the ones before, forecasts among them. Where a value is missing
    /// the mean stands for it.
    pub(super) fn forecast(&self, values: &[f64], horizon: usize) -> Vec<f64> {
        let longest = self.lags.iter().copied().max().unwrap_or(0);
        let from = values.len().saturating_sub(longest);
        let mut all: Vec<f64> = values[from..].iter().map(|v| if v.is_finite() { v - self.mean } else { 0.0 }).collect();
        let start = all.len();
        for _ in 0..horizon {
            let t = all.len();
            let next = self.lags.iter().zip(&self.coefficients).map(|(l, b)| if *l <= t { b * all[t - l] } else { 0.0 }).sum();
            all.push(next);
        }
        all[start..].iter().map(|v| v + self.mean).collect()
    }
}

/// Solves `gram x = right` for a symmetric positive definite matrix of which the lower half is given (Cholesky).
fn solve(gram: &mut [f64], mut right: Vec<f64>, k: usize) -> Option<Vec<f64>> {
    for i in 0..k {
        for j in 0..=i {
            let mut sum = gram[i * k + j];
            for m in 0..j {
                sum -= gram[i * k + m] * gram[j * k + m];
            }
            if i == j {
                if sum <= 0.0 || !sum.is_finite() {
                    return None;
                }
                gram[i * k + i] = sum.sqrt();
            } else {
                gram[i * k + j] = sum / gram[j * k + j];
            }
        }
    }
    for i in 0..k {
        let sum: f64 = (0..i).map(|m| gram[i * k + m] * right[m]).sum();
        right[i] = (right[i] - sum) / gram[i * k + i];
    }
    for i in (0..k).rev() {
        let sum: f64 = (i + 1..k).map(|m| gram[m * k + i] * right[m]).sum();
        right[i] = (right[i] - sum) / gram[i * k + i];
    }
    Some(right)
}
