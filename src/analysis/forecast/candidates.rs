//! The models, each of which continues a series without gaps in its own way.

use super::{regression, smoothing, theta};
use crate::analysis::baseline::median;
use crate::analysis::decompose::{self, Degree, MstlParams};
use crate::words::words;

words! {
    /// A way to forecast.
    Model {
        /// The last value goes on.
        Naive = "naive",
        /// The line through the first value and the last goes on.
        Drift = "drift",
        /// The straight line through what MSTL leaves when the seasons are taken out, with these.
        Trend = "trend",
        /// What was one shortest season ago.
        SeasonalNaive = "seasonal_naive",
        /// What was one longest season ago.
        LongSeasonalNaive = "long_seasonal_naive",
        /// The median of the latest shortest seasons, or of the latest values: what an incident does not move.
        Median = "median",
        /// The median of what was at the same place of the latest shortest seasons.
        SeasonalMedian = "seasonal_median",
        /// The same of the longest season.
        LongSeasonalMedian = "long_seasonal_median",
        /// Exponential smoothing, with a damped trend if it helps, of what MSTL leaves when the seasons are taken out.
        Ets = "ets",
        /// The same of the logarithm.
        LogEts = "log_ets",
        /// The dynamic optimised Theta model of what MSTL leaves when the seasons are taken out.
        Theta = "theta",
        /// The same of the logarithm.
        LogTheta = "log_theta",
        /// Autoregression on the latest values and on those around whole seasons ago.
        Autoregression = "autoregression",
        /// The same of the logarithm.
        LogAutoregression = "log_autoregression",
    }
}

impl Model {
    /// All there are, in the order of [`continuations`].
    pub(super) const ALL: [Self; 14] = [
        Self::Naive,
        Self::Drift,
        Self::Trend,
        Self::SeasonalNaive,
        Self::LongSeasonalNaive,
        Self::Median,
        Self::SeasonalMedian,
        Self::LongSeasonalMedian,
        Self::Ets,
        Self::LogEts,
        Self::Theta,
        Self::LogTheta,
        Self::Autoregression,
        Self::LogAutoregression,
    ];

    /// What [`Ets`](Self::Ets) or [`Theta`](Self::Theta) alone says of the next `horizon` values after `values`, which has no gaps
    /// and holds two cycles of each of `periods`, so that its cost can be told from that of all; `None` where it cannot say, and of
    /// any other model.
    pub fn alone(self, values: &[f64], periods: &[usize], horizon: usize) -> Option<Vec<f64>> {
        let adjusted = Adjusted::of(values, periods)?;
        let said = match self {
            Self::Ets => smoothing::forecast(&adjusted.values, horizon)?,
            Self::Theta => theta::forecast(&adjusted.values, horizon)?,
            _ => return None,
        };
        Some(adjusted.with_seasons(said))
    }
}

/// So many latest values autoregression looks at.
const LATEST: usize = 26;
/// And around so many whole seasons ago, where the longest season is not reached before.
const CYCLES: usize = 7;
/// Medians are those of so many latest shortest and longest seasons, and without seasons of so many latest values.
const SHORT_MEDIAN: usize = 7;
const LONG_MEDIAN: usize = 4;
const VALUES_MEDIAN: usize = 13;
/// The median of fewer guards against nothing.
const LEAST_MEDIAN: usize = 3;
/// Relative to the mean square of the regressors.
const RIDGE: f64 = 1e-4;
/// A straight line is drawn through at most so many means.
const BLOCKS: usize = 60;
/// A forecast leaves the range of the series by at most its width, and by twice of it for each length of the series.
const BEYOND: (f64, f64) = (1.0, 2.0);

/// What each model says of the next `horizon` values after `values`, which has no gaps; `None` where one cannot say.
/// Seasons of which the series does not hold two cycles are left out.
pub(super) fn continuations(values: &[f64], periods: &[usize], horizon: usize) -> [Option<Vec<f64>>; Model::ALL.len()] {
    let periods: Vec<usize> = periods.iter().copied().filter(|p| 2 * p <= values.len()).collect();
    let (lowest, highest) = range(values);
    let width = (BEYOND.0 + BEYOND.1 * horizon as f64 / values.len() as f64) * (highest - lowest);
    let logs: Option<Vec<f64>> = (lowest > 0.0).then(|| values.iter().map(|v| v.ln()).collect());
    let adjusted = Adjusted::of(values, &periods);
    let (ets, theta) = adjusted.as_ref().map_or((None, None), |a| a.smoothed(horizon));
    let (log_ets, log_theta) = logs.as_ref().and_then(|logs| Adjusted::of(logs, &periods)).map_or((None, None), |a| a.smoothed(horizon));
    let lags = lags(&periods, values.len());
    let regressed = |values: &[f64]| regression::fit(values, &lags, RIDGE).map(|fitted| fitted.forecast(values, horizon));
    let last = values.last().copied();
    let (shortest, longer) = (periods.first().copied(), periods.get(1..).and_then(<[usize]>::last).copied());
    let latest = shortest.map_or(VALUES_MEDIAN, |p| SHORT_MEDIAN * p).min(values.len());
    let back = |forecast: Option<Vec<f64>>| forecast.map(|f| f.into_iter().map(f64::exp).collect());
    let mut all = [
        last.map(|last| vec![last; horizon]),
        drift(values, horizon),
        adjusted.as_ref().and_then(|a| a.straight(horizon)),
        shortest.map(|p| repeat(values, p, horizon)),
        longer.map(|p| repeat(values, p, horizon)),
        median(values[values.len() - latest..].iter().copied()).map(|usual| vec![usual; horizon]),
        shortest.and_then(|p| usual(values, p, SHORT_MEDIAN, horizon)),
        longer.and_then(|p| usual(values, p, LONG_MEDIAN, horizon)),
        ets,
        back(log_ets),
        theta,
        back(log_theta),
        regressed(values),
        back(logs.as_ref().and_then(|logs| regressed(logs))),
    ];
    for forecast in &mut all {
        if forecast.as_ref().is_some_and(|f| f.iter().any(|v| !v.is_finite())) {
            *forecast = None;
        }
        forecast.iter_mut().flatten().for_each(|v| *v = v.clamp(lowest - width, highest + width));
    }
    all
}

/// The smallest and the largest value.
fn range(values: &[f64]) -> (f64, f64) {
    let present = || values.iter().copied().filter(|v| v.is_finite());
    (present().fold(f64::INFINITY, f64::min), present().fold(f64::NEG_INFINITY, f64::max))
}

fn drift(values: &[f64], horizon: usize) -> Option<Vec<f64>> {
    let [first, .., last] = values else { return None };
    let slope = (last - first) / (values.len() - 1) as f64;
    Some((1..=horizon).map(|k| last + slope * k as f64).collect())
}

/// The last `period` values, over and over.
fn repeat(values: &[f64], period: usize, horizon: usize) -> Vec<f64> {
    values[values.len() - period..].iter().copied().cycle().take(horizon).collect()
}

/// The median at each place of the last `most` seasons, over and over.
fn usual(values: &[f64], period: usize, most: usize, horizon: usize) -> Option<Vec<f64>> {
    let cycles = most.min(values.len() / period);
    let seasons = &values[values.len() - cycles * period..];
    let at = |place: usize| median(seasons[place..].iter().step_by(period).copied());
    let season: Vec<f64> = if cycles < LEAST_MEDIAN { None } else { (0..period).map(at).collect::<Option<_>>() }?;
    Some(season.into_iter().cycle().take(horizon).collect())
}

/// The latest values, those around whole seasons ago, and no more than a fourth of the series can tell.
fn lags(periods: &[usize], len: usize) -> Vec<usize> {
    let longest = periods.last().copied().unwrap_or(0);
    let mut lags: Vec<usize> = (1..=LATEST.min(len / 12)).collect();
    for period in periods {
        for cycle in (1..=CYCLES).map(|k| k * period).filter(|c| *c <= longest || *c == *period) {
            lags.extend(cycle - 1..=cycle + 1);
        }
    }
    lags.retain(|lag| *lag > 0 && *lag <= len * 2 / 3);
    lags.sort_unstable();
    lags.dedup();
    lags
}

/// A series without its seasons, and these.
struct Adjusted {
    values: Vec<f64>,
    seasons: Vec<decompose::Season>,
}

impl Adjusted {
    fn of(values: &[f64], periods: &[usize]) -> Option<Self> {
        if periods.is_empty() {
            return Some(Self { values: values.to_vec(), seasons: Vec::new() });
        }
        let mut params = MstlParams::new(periods).fast();
        for season in &mut params.seasons {
            // A season that is drawn on along a line goes astray; one that stays as it was lately does not.
            season.seasonal_degree = Degree::Constant;
        }
        let parts = decompose::mstl(values, &params).ok()?;
        let mut left = values.to_vec();
        for season in &parts.seasons {
            left.iter_mut().zip(&season.values).for_each(|(left, part)| *left -= part);
        }
        Some(Self { values: left, seasons: parts.seasons })
    }

    /// By a straight line: the median slope between the means of blocks (Theil 1950; Sen, Journal of the American Statistical
    /// Association 63, 1968), from where the latest values are.
    fn straight(&self, horizon: usize) -> Option<Vec<f64>> {
        let n = self.values.len();
        let block = n.div_ceil(BLOCKS);
        let means: Vec<f64> = self.values.rchunks_exact(block).map(|block| block.iter().sum::<f64>() / block.len() as f64).collect();
        let slopes = (0..means.len())
            .flat_map(|later| (later + 1..means.len()).map(move |earlier| (later, earlier)))
            .map(|(later, earlier)| (means[later] - means[earlier]) / ((earlier - later) * block) as f64);
        let slope = median(slopes)?;
        let latest = &self.values[n - (n / 20).max(5).min(n)..];
        let end = median(latest.iter().rev().enumerate().map(|(ago, v)| v + slope * ago as f64))?;
        Some(self.with_seasons((1..=horizon).map(|k| end + slope * k as f64).collect()))
    }

    /// By exponential smoothing and by Theta.
    fn smoothed(&self, horizon: usize) -> (Option<Vec<f64>>, Option<Vec<f64>>) {
        let ets = smoothing::forecast(&self.values, horizon).map(|f| self.with_seasons(f));
        (ets, theta::forecast(&self.values, horizon).map(|f| self.with_seasons(f)))
    }

    fn with_seasons(&self, mut forecast: Vec<f64>) -> Vec<f64> {
        for season in &self.seasons {
            let part = repeat(&season.values, season.period, forecast.len());
            forecast.iter_mut().zip(part).for_each(|(f, part)| *f += part);
        }
        forecast
    }
}
