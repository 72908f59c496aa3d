//! Two histograms of Prometheus instead of two samples.
//!
//! A histogram knows its distribution at the bounds of its buckets and nothing between them. What a distance would be of the
//! values themselves therefore lies between two numbers, and both are told.

use super::counts::chi_square_survival;
use super::kolmogorov;
use super::tenths::{FREE, Tenths};

/// Two bounds are one if they differ by no more than this share: texts of the same number may.
const SAME: f64 = 1e-9;
/// More cannot be computed with.
const TOO_MANY: f64 = 1e150;

/// How many observations fell into which bucket, during a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// The bounds between which the buckets lie, ascending: one more than there are buckets. The first may be −∞, the last is
    /// usually +∞.
    bounds: Vec<f64>,
    /// What fell into each. Increments of counters may be parts.
    counts: Vec<f64>,
}

/// Buckets that are no histogram.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field} is {value}; it must be {wanted}")]
pub struct InvalidHistogram {
    /// What is wrong.
    pub field: &'static str,
    /// What it is.
    pub value: String,
    /// What would be right.
    pub wanted: &'static str,
}

/// A distance as the buckets show it, and between which numbers that of the values themselves lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounded {
    /// As the buckets show it.
    pub value: f64,
    /// It is no less than this.
    pub least: f64,
    /// It is no more than this, which may be infinite.
    pub most: f64,
}

/// What was found in two histograms. All of it is of the buckets that both have.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramDrift {
    /// How many buckets both have.
    pub buckets: usize,
    /// The Kolmogorov–Smirnov distance at the common bounds.
    pub ks: Bounded,
    /// Its p-value, which is never too small: at the bounds the distance is never too large.
    pub p_value: f64,
    /// The Wasserstein distance in units of the values, taking each bucket as evenly filled. Without an upper limit where an
    /// unbounded bucket holds anything.
    pub wasserstein: Bounded,
    /// The population stability index in the tenths of the reference, taking each bucket as evenly filled.
    pub psi: Bounded,
    /// The Jensen–Shannon distance in the same tenths.
    pub jensen_shannon: Bounded,
    /// Pearson's χ² in the same tenths.
    pub chi_square: Bounded,
    /// Its p-value.
    pub chi_square_p: f64,
}

impl Histogram {
    /// A classic histogram: upper bounds (`le`) and how much is at most that, in any order. A count below that of a smaller
    /// bound, as parts of counters may give it, is raised to it.
    ///
    /// # Errors
    /// No buckets; a bound that is NaN, −∞ or there twice; no bound of +∞; a count that is negative or not finite; nothing in it.
    pub fn classic(cumulative: &[(f64, f64)]) -> Result<Self, InvalidHistogram> {
        let mut buckets = cumulative.to_vec();
        buckets.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((bound, _)) = buckets.iter().find(|(bound, _)| bound.is_nan() || *bound == f64::NEG_INFINITY) {
            return Err(invalid("le", bound, "a number, or +Inf"));
        }
        if let Some(pair) = buckets.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(invalid("le", &pair[0].0, "given once"));
        }
        let Some((first, _)) = buckets.first().filter(|_| buckets.last().is_some_and(|(le, _)| *le == f64::INFINITY)) else {
            return Err(invalid("the greatest le", &buckets.last().map_or(f64::NAN, |b| b.0), "+Inf"));
        };
        // As Prometheus takes it: a histogram with a first bound above zero is one of positive values.
        let mut bounds = vec![if *first > 0.0 { 0.0 } else { f64::NEG_INFINITY }];
        let (mut counts, mut below) = (Vec::with_capacity(buckets.len()), 0.0);
        for (bound, count) in buckets {
            if !(count >= 0.0 && count.is_finite()) {
                return Err(invalid("the count of a bucket", &count, "finite and not negative"));
            }
            bounds.push(bound);
            counts.push((count - below).max(0.0));
            below = count.max(below);
        }
        Self { bounds, counts }.checked()
    }

    /// A native histogram as Prometheus answers it: lower bound, upper bound and count of the buckets that hold anything.
    ///
    /// # Errors
    /// A bucket whose bounds are in the wrong order, or that begins within another; a count that is negative or not finite;
    /// nothing in it.
    pub fn of_buckets(buckets: &[(f64, f64, f64)]) -> Result<Self, InvalidHistogram> {
        let mut buckets = buckets.to_vec();
        buckets.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut histogram = Self { bounds: vec![f64::NEG_INFINITY], counts: Vec::new() };
        let mut end = f64::NEG_INFINITY;
        for (lower, upper, count) in buckets {
            if lower.is_nan() || upper.is_nan() || lower > upper {
                return Err(invalid("the upper bound of a bucket", &upper, "no less than its lower bound"));
            }
            if lower < end && !same(lower, end) {
                return Err(invalid("the lower bound of a bucket", &lower, "no less than the upper bound before it"));
            }
            histogram.up_to(lower, 0.0);
            // A zero bucket without width holds zeros.
            let upper = if upper > lower { upper } else { lower.next_up() };
            histogram.up_to(upper, count);
            end = upper;
        }
        histogram.up_to(f64::INFINITY, 0.0);
        histogram.checked()
    }

    /// Adds a bucket from where the last one ends; none if there is nothing between.
    fn up_to(&mut self, upper: f64, count: f64) {
        if self.bounds.last().is_none_or(|last| *last < upper) {
            self.bounds.push(upper);
            self.counts.push(count);
        }
    }

    /// How much is in it.
    pub fn total(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// The bounds, ascending; bucket i lies between bounds i and i + 1.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// What is in each bucket.
    pub fn counts(&self) -> &[f64] {
        &self.counts
    }

    fn checked(self) -> Result<Self, InvalidHistogram> {
        if let Some(count) = self.counts.iter().find(|count| !(**count >= 0.0 && count.is_finite())) {
            return Err(invalid("the count of a bucket", count, "finite and not negative"));
        }
        match self.total() {
            total if total.is_nan() || total <= 0.0 => Err(invalid("the sum of all counts", &total, "above 0")),
            total if total >= TOO_MANY => Err(invalid("the sum of all counts", &total, "under 1e150")),
            _ => Ok(self),
        }
    }

    /// Whether it is known how much lies below `bound`.
    fn knows(&self, bound: f64) -> bool {
        let at = self.bounds.partition_point(|own| *own < bound && !same(*own, bound));
        match self.bounds.get(at) {
            Some(own) if same(*own, bound) => true,
            // Within the bucket below that bound, or outside of all.
            Some(_) if at > 0 => self.counts[at - 1] == 0.0,
            _ => true,
        }
    }

    /// What lies between each two of `bounds`, none of which cuts a bucket that holds anything.
    fn between(&self, bounds: &[f64]) -> Vec<f64> {
        let mut counts = vec![0.0; bounds.len() - 1];
        for (upper, count) in self.bounds[1..].iter().zip(&self.counts) {
            let at = bounds[1..bounds.len() - 1].partition_point(|bound| *bound < *upper && !same(*bound, *upper));
            counts[at] += count;
        }
        counts
    }
}

/// Holds one histogram against another. Their bounds may differ: compared is what lies between those that both have.
pub fn test_histograms(reference: &Histogram, current: &Histogram) -> HistogramDrift {
    let bounds = common(reference, current);
    let (p, q) = (reference.between(&bounds), current.between(&bounds));
    let (n, m) = (reference.total(), current.total());
    let (f, g) = (cumulative(&p, n), cumulative(&q, m));
    let ks = ks(&f, &g);
    let tenths = Tenths::of(&f, &g);
    let chi_square = tenths.chi_square(n, m);
    HistogramDrift {
        buckets: bounds.len() - 1,
        ks,
        p_value: kolmogorov::asymptotic(ks.value, n, m),
        wasserstein: wasserstein(&bounds, &f, &g),
        psi: tenths.psi(),
        jensen_shannon: tenths.jensen_shannon(),
        chi_square,
        chi_square_p: chi_square_survival(chi_square.value, FREE),
    }
}

impl HistogramDrift {
    /// Whether this is drift by the calibrated rule: a p-value (its own, or one adjusted for the number of histograms) under
    /// `alpha`, and a Kolmogorov–Smirnov distance of at least `least_effect`.
    pub fn drifted(&self, p_value: f64, alpha: f64, least_effect: f64) -> bool {
        p_value < alpha && self.ks.value >= least_effect
    }

    /// Whether finer buckets could not turn the distance from one side of `least_effect` to the other.
    pub fn is_certain(&self, least_effect: f64) -> bool {
        self.ks.value >= least_effect || self.ks.most < least_effect
    }
}

impl Bounded {
    /// How far the distance of the values themselves may be from the value.
    pub fn error(&self) -> f64 {
        (self.most - self.value).max(self.value - self.least)
    }

    /// `0.1 to 0.3`: what the buckets leave open; `None` where that is under 0.005 or a hundredth of the value.
    pub fn in_words(&self, show: impl Fn(f64) -> String) -> Option<String> {
        let matters = self.error() > 0.005 && self.error() > 0.01 * self.value;
        let most = if self.most.is_finite() {
            format!("{} to {}", show(self.least), show(self.most))
        } else {
            format!("at least {}", show(self.least))
        };
        matters.then_some(most)
    }
}

/// The bounds at which both distributions are known: where both have one, and where the other has an empty bucket around it.
fn common(a: &Histogram, b: &Histogram) -> Vec<f64> {
    let least = a.bounds[0].min(b.bounds[0]);
    let most = a.bounds[a.bounds.len() - 1].max(b.bounds[b.bounds.len() - 1]);
    let of = |one: &Histogram, other: &Histogram| one.bounds.iter().copied().filter(|bound| other.knows(*bound)).collect::<Vec<_>>();
    let mut inner = [of(a, b), of(b, a)].concat();
    inner.sort_unstable_by(f64::total_cmp);
    inner.retain(|bound| *bound > least && *bound < most);
    inner.dedup_by(|next, first| same(*next, *first));
    [vec![least], inner, vec![most]].concat()
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= SAME * a.abs().min(b.abs())
}

/// The share below each bound.
fn cumulative(counts: &[f64], total: f64) -> Vec<f64> {
    let sums = counts.iter().scan(0.0, |sum, count| {
        *sum += count;
        Some((*sum / total).min(1.0))
    });
    let mut shares: Vec<f64> = std::iter::once(0.0).chain(sums).collect();
    if let Some(last) = shares.last_mut() {
        *last = 1.0;
    }
    shares
}

/// At the bounds both distributions are known; in a bucket, one may be at its upper end already while the other is at its lower.
fn ks(f: &[f64], g: &[f64]) -> Bounded {
    let value = f.iter().zip(g).map(|(f, g)| (f - g).abs()).fold(0.0, f64::max);
    let most = f.windows(2).zip(g.windows(2)).map(|(f, g)| (f[1] - g[0]).max(g[1] - f[0])).fold(value, f64::max);
    Bounded { value, least: value, most }
}

/// The area between both distributions, each drawn as a straight line within a bucket. To spread what is in a bucket moves it
/// by at most half the bucket's width on average, so that the triangle inequality gives the error. In the area itself an
/// unbounded bucket is nothing wide.
fn wasserstein(bounds: &[f64], f: &[f64], g: &[f64]) -> Bounded {
    let (mut value, mut error) = (0.0, 0.0);
    for ((x, f), g) in bounds.windows(2).zip(f.windows(2)).zip(g.windows(2)) {
        let width = x[1] - x[0];
        let weight = (f[1] - f[0]) + (g[1] - g[0]);
        if width.is_finite() {
            let (a, b) = (f[0] - g[0], f[1] - g[1]);
            // Where the lines cross, two triangles.
            let mean = if a * b < 0.0 { (a * a + b * b) / (2.0 * (a - b).abs()) } else { f64::midpoint(a.abs(), b.abs()) };
            value += mean * width;
        }
        error += if weight > 0.0 { weight * width / 2.0 } else { 0.0 };
    }
    Bounded { value, least: (value - error).max(0.0), most: value + error }
}

fn invalid(field: &'static str, value: &dyn ToString, wanted: &'static str) -> InvalidHistogram {
    InvalidHistogram { field, value: value.to_string(), wanted }
}

#[cfg(test)]
mod tests;
