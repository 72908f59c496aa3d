//! What can be set about STL and MSTL.

/// The longest period, window or jump, in places.
const LONGEST: usize = 100_000_000;

/// The most passes of any loop.
const MOST_PASSES: usize = 100;

/// Passes of the outer loop of a robust fit.
pub(super) const ROBUST_OUTER: usize = 15;

/// How far weights move on average when a fast fit has settled.
pub(super) const SETTLED: f64 = 0.01;

/// Passes of the inner loop of a robust fit.
const ROBUST_INNER: usize = 2;

/// What is fitted locally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degree {
    /// A weighted mean.
    Constant,
    /// A straight line.
    Linear,
}

/// A parameter that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}; it must be {wanted}")]
pub struct InvalidParams {
    /// Which one.
    pub field: &'static str,
    /// What it is.
    pub value: String,
    /// What would be right.
    pub wanted: String,
}

/// Parameters of STL. Lengths are in places; [`StlParams::new`] gives the defaults of statsmodels.
#[derive(Clone, Debug, PartialEq)]
pub struct StlParams {
    /// The length of a cycle, at least 2.
    pub period: usize,
    /// How many cycles the seasonal smoother spans; odd, at least 3.
    pub seasonal: usize,
    /// The trend smoother's window; odd, longer than the period.
    pub trend: usize,
    /// The low-pass smoother's window; odd, longer than the period.
    pub low_pass: usize,
    /// What the seasonal smoother fits.
    pub seasonal_degree: Degree,
    /// What the trend smoother fits.
    pub trend_degree: Degree,
    /// What the low-pass smoother fits.
    pub low_pass_degree: Degree,
    /// The seasonal smoother is evaluated every so many cycles and interpolated between.
    pub seasonal_jump: usize,
    /// The trend smoother is evaluated every so many places and interpolated between.
    pub trend_jump: usize,
    /// The low-pass smoother is evaluated every so many places and interpolated between.
    pub low_pass_jump: usize,
    /// Passes over season and trend within one set of weights, at least 1.
    pub inner: usize,
    /// Times the weights are computed anew from the remainder; 0 is not robust.
    pub outer: usize,
    /// The outer loop ends early once the weights move by no more than this on average; 0 never ends it while any
    /// weight moves.
    pub settled: f64,
}

impl StlParams {
    /// The defaults for a period: a seasonal window of 7, not robust.
    pub fn new(period: usize) -> Self {
        Self::with_seasonal(period, 7)
    }

    /// The defaults for a period and a seasonal window, which the trend's window depends on.
    pub fn with_seasonal(period: usize, seasonal: usize) -> Self {
        let trend = (1.5 * period as f64 / (1.0 - 1.5 / seasonal as f64)).ceil() as usize;
        Self {
            period,
            seasonal,
            trend: trend | 1,
            low_pass: period.saturating_add(1) | 1,
            seasonal_degree: Degree::Linear,
            trend_degree: Degree::Linear,
            low_pass_degree: Degree::Linear,
            seasonal_jump: 1,
            trend_jump: 1,
            low_pass_jump: 1,
            inner: 5,
            outer: 0,
            settled: 0.0,
        }
    }

    /// Lets outliers count less: 15 outer passes of 2 inner ones.
    #[must_use]
    pub fn robust(self) -> Self {
        Self { inner: ROBUST_INNER, outer: ROBUST_OUTER, ..self }
    }

    /// Evaluates each smoother every tenth of its window, as the paper on STL suggests, and ends the robust passes
    /// once the weights have settled.
    #[must_use]
    pub fn fast(self) -> Self {
        Self {
            seasonal_jump: self.seasonal.div_ceil(10),
            trend_jump: self.trend.div_ceil(10),
            low_pass_jump: self.low_pass.div_ceil(10),
            settled: SETTLED,
            ..self
        }
    }

    /// Whether all is as it must be.
    ///
    /// # Errors
    /// The first field that is not.
    pub fn check(&self) -> Result<(), InvalidParams> {
        check_range("period", self.period, 2, LONGEST)?;
        check_window("seasonal", self.seasonal, 3)?;
        check_window("trend", self.trend, (self.period + 1).max(3))?;
        check_window("low_pass", self.low_pass, (self.period + 1).max(3))?;
        check_range("seasonal_jump", self.seasonal_jump, 1, LONGEST)?;
        check_range("trend_jump", self.trend_jump, 1, LONGEST)?;
        check_range("low_pass_jump", self.low_pass_jump, 1, LONGEST)?;
        check_range("inner", self.inner, 1, MOST_PASSES)?;
        check_range("outer", self.outer, 0, MOST_PASSES)?;
        if (0.0..1.0).contains(&self.settled) {
            return Ok(());
        }
        Err(InvalidParams { field: "settled", value: self.settled.to_string(), wanted: "from 0 to under 1".into() })
    }
}

/// Parameters of MSTL: those of the STL fit of each season, in any order.
#[derive(Clone, Debug, PartialEq)]
pub struct MstlParams {
    /// One per season; at least one, each of another period.
    pub seasons: Vec<StlParams>,
    /// How many times all seasons are fitted in turn; a single season is fitted once.
    pub iterate: usize,
}

impl MstlParams {
    /// The defaults for some periods: seasonal windows of 11, 15, 19, … by ascending period, two rounds, not robust.
    pub fn new(periods: &[usize]) -> Self {
        let mut periods = periods.to_vec();
        periods.sort_unstable();
        let seasons = periods.iter().enumerate().map(|(i, period)| StlParams::with_seasonal(*period, 11 + 4 * i)).collect();
        Self { seasons, iterate: 2 }
    }

    /// [`StlParams::robust`] for every season.
    #[must_use]
    pub fn robust(self) -> Self {
        Self { seasons: self.seasons.into_iter().map(StlParams::robust).collect(), ..self }
    }

    /// [`StlParams::fast`] for every season.
    #[must_use]
    pub fn fast(self) -> Self {
        Self { seasons: self.seasons.into_iter().map(StlParams::fast).collect(), ..self }
    }

    /// Fits every season by local means, as the R implementation of MSTL does: a line through two or three cycles
    /// would follow their noise, and leave no remainder to judge.
    #[must_use]
    pub fn constant(mut self) -> Self {
        for season in &mut self.seasons {
            season.seasonal_degree = Degree::Constant;
        }
        self
    }

    /// Whether all is as it must be.
    ///
    /// # Errors
    /// The first field that is not.
    pub fn check(&self) -> Result<(), InvalidParams> {
        check_range("the number of seasons", self.seasons.len(), 1, 16)?;
        check_range("iterate", self.iterate, 1, MOST_PASSES)?;
        for (i, season) in self.seasons.iter().enumerate() {
            season.check()?;
            if self.seasons[..i].iter().any(|other| other.period == season.period) {
                return Err(InvalidParams { field: "period", value: season.period.to_string(), wanted: "given once".into() });
            }
        }
        Ok(())
    }
}

fn check_range(field: &'static str, value: usize, least: usize, most: usize) -> Result<(), InvalidParams> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(InvalidParams { field, value: value.to_string(), wanted: format!("from {least} to {most}") })
}

pub(super) fn check_window(field: &'static str, value: usize, least: usize) -> Result<(), InvalidParams> {
    if value % 2 == 1 && (least..=LONGEST).contains(&value) {
        return Ok(());
    }
    Err(InvalidParams { field, value: value.to_string(), wanted: format!("odd, from {} to {LONGEST}", least | 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_reference() {
        let p = StlParams::with_seasonal(12, 17);
        assert_eq!((p.trend, p.low_pass, p.inner, p.outer), (21, 13, 5, 0));
        let p = StlParams::new(12).robust();
        assert_eq!((p.trend, p.low_pass, p.inner, p.outer), (23, 13, 2, 15));
        let windows: Vec<_> = MstlParams::new(&[168, 24]).seasons.iter().map(|s| (s.period, s.seasonal)).collect();
        assert_eq!(windows, [(24, 11), (168, 15)]);
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        let base = StlParams::new(12);
        let wrong = [
            StlParams::new(1),
            StlParams::new(usize::MAX),
            StlParams { seasonal: 6, ..base.clone() },
            StlParams { trend: 11, ..base.clone() },
            StlParams { low_pass: 14, ..base.clone() },
            StlParams { trend_jump: 0, ..base.clone() },
            StlParams { inner: 0, ..base.clone() },
            StlParams { outer: 1000, ..base.clone() },
            StlParams { settled: f64::NAN, ..base.clone() },
        ];
        let said: Vec<_> = wrong.iter().map(|p| p.check().unwrap_err().to_string()).collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        period is 1; it must be from 2 to 100000000
        period is 18446744073709551615; it must be from 2 to 100000000
        seasonal is 6; it must be odd, from 3 to 100000000
        trend is 11; it must be odd, from 13 to 100000000
        low_pass is 14; it must be odd, from 13 to 100000000
        trend_jump is 0; it must be from 1 to 100000000
        inner is 0; it must be from 1 to 100
        outer is 1000; it must be from 0 to 100
        settled is NaN; it must be from 0 to under 1
        ");
        assert!(StlParams::with_seasonal(12, 0).check().is_err() && StlParams::with_seasonal(12, 1).check().is_err());
        assert!(MstlParams::new(&[]).check().is_err());
        assert_eq!(MstlParams::new(&[24, 24]).check().unwrap_err().to_string(), "period is 24; it must be given once");
    }
}
