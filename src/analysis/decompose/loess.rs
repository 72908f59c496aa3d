//! Local regression (loess) over the places of a regular grid, some of which may have no value.
//!
//! Where to fit, to which values and with which tricube weights depends on the places alone, so it is worked out
//! once ([`Plan`]) and used for every pass of STL.

use super::fit::Budget;
use super::params::Degree;

/// A smoother: window, degree, and the distance from one fit to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loess {
    pub length: usize,
    pub degree: Degree,
    pub jump: usize,
}

/// One local fit.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    /// The place it is for; one before the first and one after the last are possible.
    pub place: isize,
    /// Where the line is evaluated: the place, or the nearest point at most one step outside the values.
    pub at: f64,
    /// The values it is fitted to: `left..right` of those that are there.
    pub left: usize,
    pub right: usize,
    /// Which of the values that are there stands at the place.
    pub own: Option<usize>,
    /// The distance at which the weight falls to zero.
    reach: f64,
    /// Where its weights begin in the plan's rows, when they are kept.
    row: Option<usize>,
    /// Of the weights: their sum, their mean distance from `at`, and the slope's share in the estimate.
    mass: f64,
    centre: f64,
    tilt: f64,
}

/// Weighted sums over one window; distances are from the fit's `at`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub weight: f64,
    pub distance: f64,
    pub square: f64,
    pub value: f64,
    pub cross: f64,
}

impl Fit {
    /// The estimate when every value counts fully; `sums` needs `value` and `cross` only.
    pub fn plain(&self, sums: Sums) -> f64 {
        (sums.value + self.tilt * (sums.cross - self.centre * sums.value)) / self.mass
    }
}

/// All local fits of one smoothing.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub fits: Vec<Fit>,
    /// The places that have a value, ascending.
    pub positions: Vec<f64>,
    rows: Vec<f64>,
    linear: bool,
    /// The variance of the distances from which on a slope is fitted.
    least_spread: f64,
}

impl Plan {
    /// Plans the smoothing of `places` places of which `positions` have a value; with `beyond` one fit more on
    /// either side. At least one position.
    pub fn new(loess: Loess, places: usize, positions: Vec<f64>, beyond: bool, budget: &mut Budget) -> Self {
        let span = places.saturating_sub(1);
        let least_spread = (0.001 * span as f64).powi(2);
        let mut plan = Self { fits: Vec::new(), positions, rows: Vec::new(), linear: loess.degree == Degree::Linear, least_spread };
        let jump = loess.jump.min(span).max(1);
        let mut left = 0;
        if beyond {
            plan.add(loess, -1, left, budget);
        }
        for place in (0..places).step_by(jump) {
            left = plan.nearest(loess, place as f64, left);
            plan.add(loess, place as isize, left, budget);
        }
        if !span.is_multiple_of(jump) {
            // The reference fits the last place to the window of the fit before it.
            plan.add(loess, span as isize, left, budget);
        }
        if beyond {
            left = plan.nearest(loess, places as f64, left);
            plan.add(loess, places as isize, left, budget);
        }
        plan
    }

    /// The start of the window of the values nearest to a point, looked for from an earlier window on.
    fn nearest(&self, loess: Loess, at: f64, mut left: usize) -> usize {
        let x = &self.positions;
        while left + loess.length < x.len() && x[left + loess.length] - at < at - x[left] {
            left += 1;
        }
        left
    }

    fn add(&mut self, loess: Loess, place: isize, left: usize, budget: &mut Budget) {
        let x = &self.positions;
        let right = x.len().min(left.saturating_add(loess.length));
        let at = (place as f64).clamp(x[0] - 1.0, x[x.len() - 1] + 1.0);
        let mut reach = (at - x[left]).max(x[right - 1] - at);
        if loess.length > x.len() {
            reach += ((loess.length - x.len()) / 2) as f64;
        }
        let own = x.binary_search_by(|x| x.total_cmp(&(place as f64))).ok();
        let mut fit = Fit { place, at, left, right, own, reach, row: None, mass: 0.0, centre: 0.0, tilt: 0.0 };
        // Inside the series without gaps all windows look alike.
        let even = |fit: &Fit| x[fit.right - 1] - x[fit.left] == (fit.right - fit.left - 1) as f64;
        if let Some(before) = self.fits.last()
            && before.at - x[before.left] == at - x[left]
            && before.right - before.left == right - left
            && even(before)
            && even(&fit)
            && before.reach == reach
        {
            (fit.row, fit.mass, fit.centre, fit.tilt) = (before.row, before.mass, before.centre, before.tilt);
            self.fits.push(fit);
            return;
        }
        let start = self.rows.len();
        self.rows.resize(start + right - left, 0.0);
        tricube(&mut self.rows[start..], &x[left..right], at, reach);
        let weights = &self.rows[start..];
        fit.mass = weights.iter().sum();
        fit.centre = weights.iter().zip(&x[left..right]).map(|(w, x)| w * (x - at)).sum::<f64>() / fit.mass;
        let spread = weights.iter().zip(&x[left..right]).map(|(w, x)| w * (x - at - fit.centre).powi(2)).sum::<f64>() / fit.mass;
        let centred = fit.centre.abs() <= 1e-14 * reach;
        if self.linear && spread > self.least_spread && !centred {
            fit.tilt = -fit.centre / spread;
        }
        if budget.take(right - left) {
            fit.row = Some(start);
        } else {
            self.rows.truncate(start);
        }
        self.fits.push(fit);
    }

    /// Whether a fit is the last in time.
    pub fn is_last(&self, fit: &Fit) -> bool {
        self.fits.last().is_some_and(|last| last.place == fit.place)
    }

    /// The weights of a fit, from what is kept or computed into `scratch`.
    pub fn row<'a>(&'a self, fit: &Fit, scratch: &'a mut Vec<f64>) -> &'a [f64] {
        let length = fit.right - fit.left;
        if let Some(start) = fit.row {
            return &self.rows[start..start + length];
        }
        scratch.resize(length, 0.0);
        tricube(scratch, &self.positions[fit.left..fit.right], fit.at, fit.reach);
        scratch
    }

    /// The estimate from weighted sums; NaN when no value counts.
    pub fn weighted(&self, sums: Sums) -> f64 {
        // The line at distance 0, over the square of the weights' sum times the variance of the distances.
        let spread = sums.weight * sums.square - sums.distance * sums.distance;
        let slope = self.linear && spread > self.least_spread * sums.weight * sums.weight;
        let line = sums.square * sums.value - sums.distance * sums.cross;
        let (over, under) = if slope { (line, spread) } else { (sums.value, sums.weight) };
        over / under
    }

    /// Smooths the values `y` that are there, each counting by its weight, into every place of `out`.
    pub fn smooth(&self, y: &[f64], weights: Option<&[f64]>, scratch: &mut Vec<f64>, out: &mut [f64]) {
        let mut before: Option<(usize, f64)> = None;
        for fit in &self.fits {
            let row = self.row(fit, scratch);
            let (x, near) = (&self.positions[fit.left..fit.right], &y[fit.left..fit.right]);
            let mut estimate = match weights {
                None => fit.plain(plain_sums(fit, row, x, near)),
                Some(w) => self.weighted(weighted_sums(row, x, near, &w[fit.left..fit.right], fit.at)),
            };
            if estimate.is_nan() {
                // Robustness left nothing: the value itself, as in the reference; in a gap all values alike.
                estimate = fit.own.map_or_else(|| fit.plain(plain_sums(fit, row, x, near)), |own| y[own]);
            }
            let place = fit.place as usize;
            out[place] = estimate;
            if let Some((from, start)) = before {
                let step = (estimate - start) / (place - from) as f64;
                for (i, out) in out[from..place].iter_mut().enumerate() {
                    *out = start + step * i as f64;
                }
            }
            before = Some((place, estimate));
        }
    }
}

/// Tricube weights by distance from `at`; should no value be near enough to count, all count alike.
fn tricube(row: &mut [f64], x: &[f64], at: f64, reach: f64) {
    let (near, far) = (0.001 * reach, 0.999 * reach);
    let mut any = false;
    for (weight, x) in row.iter_mut().zip(x) {
        let distance = (x - at).abs();
        *weight = if distance <= near {
            1.0
        } else if distance <= far {
            let u = distance / reach;
            let v = 1.0 - u * u * u;
            v * v * v
        } else {
            0.0
        };
        any |= *weight > 0.0;
    }
    if !any {
        row.fill(1.0);
    }
}

/// How many sums run side by side: as many numbers as every x86-64 and ARM processor adds at once.
const LANES: usize = 2;

fn plain_sums(fit: &Fit, row: &[f64], x: &[f64], y: &[f64]) -> Sums {
    if fit.tilt == 0.0 {
        return Sums { value: dot(row, y), ..Sums::default() };
    }
    let (mut value, mut cross) = ([0.0; LANES], [0.0; LANES]);
    let ((rows, row), (xs, x), (ys, y)) = (row.as_chunks::<LANES>(), x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for ((row, x), y) in rows.iter().zip(xs).zip(ys) {
        for lane in 0..LANES {
            let part = row[lane] * y[lane];
            value[lane] += part;
            cross[lane] += part * (x[lane] - fit.at);
        }
    }
    let mut sums = Sums { value: value.iter().sum(), cross: cross.iter().sum(), ..Sums::default() };
    for ((row, x), y) in row.iter().zip(x).zip(y) {
        sums.value += row * y;
        sums.cross += row * y * (x - fit.at);
    }
    sums
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sum = [0.0; 4 * LANES];
    let ((a_chunks, a), (b_chunks, b)) = (a.as_chunks::<{ 4 * LANES }>(), b.as_chunks::<{ 4 * LANES }>());
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..4 * LANES {
            sum[lane] += a[lane] * b[lane];
        }
    }
    sum.iter().sum::<f64>() + a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>()
}

fn weighted_sums(row: &[f64], x: &[f64], y: &[f64], weights: &[f64], at: f64) -> Sums {
    let mut lanes = Lanes::<LANES>::default();
    let ((rows, row), (xs, x)) = (row.as_chunks::<LANES>(), x.as_chunks::<LANES>());
    let ((ys, y), (ws, w)) = (y.as_chunks::<LANES>(), weights.as_chunks::<LANES>());
    for (((row, x), y), w) in rows.iter().zip(xs).zip(ys).zip(ws) {
        lanes.add(std::array::from_fn(|lane| row[lane] * w[lane]), std::array::from_fn(|lane| x[lane] - at), *y);
    }
    let mut sums = lanes.total();
    for (((row, x), y), w) in row.iter().zip(x).zip(y).zip(w) {
        sums.add(row * w, x - at, *y);
    }
    sums
}

impl Sums {
    /// Adds a value `y` that counts `weight` at a distance `far`.
    pub fn add(&mut self, weight: f64, far: f64, y: f64) {
        let moment = weight * far;
        self.weight += weight;
        self.distance += moment;
        self.square += moment * far;
        self.value += weight * y;
        self.cross += moment * y;
    }
}

/// [`Sums`] side by side, which the processor adds at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes<const N: usize> {
    weight: [f64; N],
    distance: [f64; N],
    square: [f64; N],
    value: [f64; N],
    cross: [f64; N],
}

impl<const N: usize> Default for Lanes<N> {
    fn default() -> Self {
        let zero = [0.0; N];
        Self { weight: zero, distance: zero, square: zero, value: zero, cross: zero }
    }
}

impl<const N: usize> Lanes<N> {
    /// Adds to every lane a value `y` that counts `weight` at a distance `far`.
    #[inline]
    pub fn add(&mut self, weight: [f64; N], far: [f64; N], y: [f64; N]) {
        let moment: [f64; N] = std::array::from_fn(|i| weight[i] * far[i]);
        add(&mut self.weight, weight);
        add(&mut self.distance, moment);
        add(&mut self.square, std::array::from_fn(|i| moment[i] * far[i]));
        add(&mut self.value, std::array::from_fn(|i| weight[i] * y[i]));
        add(&mut self.cross, std::array::from_fn(|i| moment[i] * y[i]));
    }

    /// The sums of one lane.
    pub fn lane(&self, i: usize) -> Sums {
        Sums { weight: self.weight[i], distance: self.distance[i], square: self.square[i], value: self.value[i], cross: self.cross[i] }
    }

    fn total(&self) -> Sums {
        let total = |lanes: [f64; N]| lanes.iter().sum();
        Sums {
            weight: total(self.weight),
            distance: total(self.distance),
            square: total(self.square),
            value: total(self.value),
            cross: total(self.cross),
        }
    }
}

#[inline]
fn add<const N: usize>(sums: &mut [f64; N], parts: [f64; N]) {
    for (sum, part) in sums.iter_mut().zip(parts) {
        *sum += part;
    }
}
