//! Seasonal decomposition: a value is trend + seasons + remainder.
//!
//! STL after Cleveland et al., "STL: A Seasonal-Trend Decomposition Procedure Based on Loess", Journal of Official
//! Statistics 6 (1990); MSTL after Bandara, Hyndman and Bergmeir, "MSTL: A
//! Seasonal-Trend Decomposition Algorithm for Time Series with Multiple Seasonal Patterns" (2021). On series
//! without gaps both agree with statsmodels 0.15 to 1e-9 of the data's size.
//!
//! A gap (any value that is not finite) is never filled in. Every local regression is fitted to the nearest values
//! that are there, so trend and seasons go on through a gap; the remainder is NaN and the weight 0 in it. Before
//! the first value and after the last one the regression is evaluated at most one step outside them and held.
//!
//! A flat series is its own trend: the seasons and the remainder are 0 up to rounding.

mod cycle;
mod fit;
#[cfg(test)]
mod golden;
mod loess;
mod params;
#[cfg(test)]
mod properties;

pub use params::{Degree, InvalidParams, MstlParams, StlParams};

use self::fit::{Budget, Stl, Trend};
use crate::analysis::CannotSay;

/// Values from this size on are refused.
const OUT_OF_RANGE: f64 = 1e150;

/// The fewest values a trend can be drawn through.
const LEAST_PRESENT: usize = 3;

/// One value in so many must be there.
const ONE_IN: usize = 4;

/// What repeats every `period` places.
#[derive(Clone, Debug, PartialEq)]
pub struct Season {
    /// The length of a cycle in places.
    pub period: usize,
    /// Its part of each value, in the values' unit; as long as the series, defined in gaps too.
    pub values: Vec<f64>,
}

/// A series taken apart. Every vector is as long as the series.
#[derive(Clone, Debug, PartialEq)]
pub struct Decomposition {
    /// The level as it moves, defined in gaps too.
    pub trend: Vec<f64>,
    /// The seasons by ascending period.
    pub seasons: Vec<Season>,
    /// The value without trend and seasons; NaN in a gap.
    pub remainder: Vec<f64>,
    /// How much each value counted in the last robust pass, from 0 to 1: 0 in a gap, and 1 for every value when
    /// the fit was not robust.
    pub weights: Vec<f64>,
}

/// Why a series was not decomposed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CannotDecompose {
    /// The parameters are wrong.
    #[error(transparent)]
    Params(#[from] InvalidParams),
    /// The series allows none.
    #[error(transparent)]
    Series(#[from] CannotSay),
}

impl Decomposition {
    /// Assembles the parts; the remainder is what they leave of `values`.
    fn new(values: &[f64], trend: Vec<f64>, seasons: Vec<Season>, weights: Vec<f64>) -> Self {
        let mut remainder: Vec<f64> = values.iter().map(|v| if v.is_finite() { *v } else { f64::NAN }).collect();
        for season in &seasons {
            for (left, part) in remainder.iter_mut().zip(&season.values) {
                *left -= part;
            }
        }
        for (left, part) in remainder.iter_mut().zip(&trend) {
            *left -= part;
        }
        Self { trend, seasons, remainder, weights }
    }
}

/// Decomposes `values` into a trend and one season by STL.
///
/// # Errors
/// Wrong parameters; fewer places than two cycles; less than a quarter of the values there; a value of 1e150 or more.
pub fn stl(values: &[f64], params: &StlParams) -> Result<Decomposition, CannotDecompose> {
    params.check()?;
    let present = present(values, params.period.saturating_mul(2))?;
    let mut stl = Stl::new(values.len(), &present, params, &mut Budget::default());
    stl.fit(values);
    let season = Season { period: params.period, values: stl.season };
    Ok(Decomposition::new(values, stl.trend, vec![season], stl.weights))
}

/// Decomposes `values` into a trend and several seasons by MSTL.
///
/// A period of which the series does not hold two full cycles is left out: see the result's seasons for those that
/// were fitted. (statsmodels leaves out exactly two cycles as well.)
///
/// # Errors
/// Wrong parameters; not two cycles even of the shortest period; less than a quarter of the values there; a value
/// of 1e150 or more.
pub fn mstl(values: &[f64], params: &MstlParams) -> Result<Decomposition, CannotDecompose> {
    params.check()?;
    let mut kept: Vec<&StlParams> = params.seasons.iter().collect();
    kept.sort_by_key(|season| season.period);
    let shortest = kept.first().map_or(0, |season| season.period);
    let present = present(values, shortest.saturating_mul(2))?;
    kept.retain(|season| season.period.saturating_mul(2) <= values.len());

    let mut budget = Budget::default();
    let mut fits: Vec<Stl> = kept.iter().map(|season| Stl::new(values.len(), &present, season, &mut budget)).collect();
    let passes = if fits.len() == 1 { 1 } else { params.iterate };
    let mut rest = values.to_vec();
    for _ in 0..passes {
        for fit in &mut fits {
            rest.iter_mut().zip(&fit.season).for_each(|(rest, part)| *rest += part);
            fit.fit(&rest);
            rest.iter_mut().zip(&fit.season).for_each(|(rest, part)| *rest -= part);
        }
    }
    let (trend, weights) =
        fits.last_mut().map(|last| (std::mem::take(&mut last.trend), std::mem::take(&mut last.weights))).unwrap_or_default();
    let seasons = fits.into_iter().zip(kept).map(|(fit, season)| Season { period: season.period, values: fit.season }).collect();
    Ok(Decomposition::new(values, trend, seasons, weights))
}

/// The trend of a series without seasons: a local line over `window` places, fitted every tenth of the window and
/// joined by straight lines; `robust` lets outliers count less and less over 15 passes.
///
/// # Errors
/// An even window or one under 3; fewer than three values; less than a quarter of the values there; a value of
/// 1e150 or more.
pub fn trend(values: &[f64], window: usize, robust: bool) -> Result<Decomposition, CannotDecompose> {
    params::check_window("window", window, 3)?;
    let present = present(values, LEAST_PRESENT)?;
    let mut fit = Trend::new(values.len(), &present, window);
    let weights = fit.fit(values, if robust { params::ROBUST_OUTER } else { 0 });
    Ok(Decomposition::new(values, fit.values, Vec::new(), weights))
}

/// The places that have a value, if that is enough of `needed` places and all can be computed with.
fn present(values: &[f64], needed: usize) -> Result<Vec<usize>, CannotSay> {
    let present: Vec<usize> = (0..values.len()).filter(|i| values[*i].is_finite()).collect();
    if let Some(&far) = values.iter().find(|v| v.is_finite() && v.abs() >= OUT_OF_RANGE) {
        return Err(CannotSay::OutOfRange(far));
    }
    if values.len() < needed || present.len() < LEAST_PRESENT {
        return Err(CannotSay::TooShort { present: present.len(), needed: needed.max(LEAST_PRESENT) });
    }
    if present.len() < values.len().div_ceil(ONE_IN) {
        return Err(CannotSay::TooGappy { present: present.len(), places: values.len() });
    }
    Ok(present)
}
