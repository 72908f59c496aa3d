//! Forecasts: several models, weighed by what they would have said before.
//!
//! Each model continues the series from some earlier ends, and its weight falls with how far off it was there: the
//! rolling-origin evaluation of Tashman ("Out-of-sample tests of forecasting accuracy", International Journal of Forecasting
//! 16, 2000) and the combination of Bates and Granger ("The combination of forecasts", Operational Research Quarterly 20,
//! 1969). How far off the combination was gives the intervals.
//!
//! The work is bounded by the length of the series and the horizon: at most 6,000 places and 512 steps are computed, in
//! blocks where there are more, in about 0.2 s on one core.

mod candidates;
mod capacity;
mod events;
mod interval;
mod optimise;
mod prepare;
mod regression;
mod smoothing;
#[cfg(test)]
mod tests;
mod theta;
mod validate;

pub use candidates::Model;
pub use interval::Spread;

use self::events::Effect;
use super::CannotSay;
use super::season::find_periods;
use crate::clock::DurationMs;

/// The fewest values that are forecast.
pub const LEAST_VALUES: usize = 4;
/// The most steps that are forecast.
pub const MOST_STEPS: usize = 100_000;
/// One value in so many must be there.
const ONE_IN: usize = 4;
/// Values from this size on are refused.
const OUT_OF_RANGE: f64 = 1e150;
/// What came before a shift is not needed where so many values, and so many longest seasons, came after it.
const ENOUGH: usize = 100;
const ENOUGH_SEASONS: usize = 3;

/// What to forecast.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// How many steps, up to [`MOST_STEPS`].
    pub horizon: usize,
    /// The seasons in steps, in any order; those of which the series does not hold two cycles are left out.
    pub periods: Vec<usize>,
    /// The quantity is never smaller.
    pub floor: Option<f64>,
    /// The quantity is never larger.
    pub ceiling: Option<f64>,
    /// Which places of the series, and after them of the forecast, belong to a known event; none where it is shorter.
    pub events: Vec<bool>,
}

/// What was forecast of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The expected values, one for each step.
    pub yhat: Vec<f64>,
    /// The models that say so and their weights, the largest first; together 1.
    pub models: Vec<(Model, f64)>,
    /// How many values at the beginning were forgotten, because the level has shifted since.
    pub forgotten: usize,
    /// The last value that was there.
    last: f64,
    spread: Spread,
    floor: f64,
    ceiling: f64,
}

impl Forecast {
    /// The lower and upper bounds between which each value lies with the chance `level`, between 0 and 1.
    pub fn interval(&self, level: f64) -> (Vec<f64>, Vec<f64>) {
        let within = |value: f64| value.clamp(self.floor, self.ceiling);
        let half = |step: usize| self.spread.half_width(level, step + 1);
        let lower = self.yhat.iter().enumerate().map(|(step, y)| within(y - half(step))).collect();
        let upper = self.yhat.iter().enumerate().map(|(step, y)| within(y + half(step))).collect();
        (lower, upper)
    }

    /// The chance that the value `step` steps after the first is above `limit`.
    pub fn chance_above(&self, limit: f64, step: usize) -> f64 {
        self.yhat.get(step).map_or(f64::NAN, |y| self.spread.chance_above(limit - y, step + 1))
    }
}

/// The floor of what never was negative, which is a size, a count or a rate: 0.
pub fn natural_floor(values: &[f64]) -> Option<f64> {
    values.iter().all(|v| v.is_nan() || *v >= 0.0).then_some(0.0)
}

/// Seasons that are looked for where the time between two values is not known.
const COMMON: [usize; 14] = [4, 5, 7, 12, 13, 24, 48, 52, 60, 96, 144, 168, 288, 365];
/// A year of weeks, and of days.
const YEAR: DurationMs = DurationMs::from_millis(365 * DurationMs::DAY.millis());

/// The seasons in steps to forecast `values` with: the day and the week, or the year where a step is a day or longer, as far
/// as the values hold two; besides these and where `step` is not known those that are found.
pub fn seasons(values: &[f64], step: Option<DurationMs>) -> Vec<usize> {
    let Some(step) = step else { return find_periods(values, &COMMON) };
    let whole = |season: DurationMs| Some(season.steps(step)).filter(|steps| *steps >= 2 && 2 * steps <= values.len());
    if step >= DurationMs::DAY {
        return [DurationMs::WEEK, YEAR].into_iter().filter_map(whole).filter(|steps| *steps >= 4).collect();
    }
    let mut seasons: Vec<usize> = [DurationMs::DAY, DurationMs::WEEK].into_iter().filter_map(whole).collect();
    if let Some(hour) = whole(DurationMs::HOUR).filter(|hour| *hour >= 4) {
        seasons.extend(find_periods(values, &[hour]));
    }
    seasons.sort_unstable();
    seasons
}

/// Forecasts `values`, NaN in gaps.
///
/// # Errors
/// Fewer than [`LEAST_VALUES`] values, less than a quarter of them there, or a value of 1e150 or more.
pub fn forecast(values: &[f64], options: &Options) -> Result<Forecast, CannotSay> {
    let first = values.iter().position(|v| v.is_finite()).unwrap_or(values.len());
    let values = &values[first..];
    let present = values.iter().filter(|v| v.is_finite()).count();
    if let Some(&far) = values.iter().find(|v| v.is_finite() && v.abs() >= OUT_OF_RANGE) {
        return Err(CannotSay::OutOfRange(far));
    }
    if present < LEAST_VALUES {
        return Err(CannotSay::TooShort { present, needed: LEAST_VALUES });
    }
    if present < values.len().div_ceil(ONE_IN) {
        return Err(CannotSay::TooGappy { present, places: values.len() });
    }
    let horizon = options.horizon.clamp(1, MOST_STEPS);
    let event = |t: usize| options.events.get(first + t).copied().unwrap_or(false);
    let mut periods: Vec<usize> = options.periods.iter().copied().filter(|p| *p >= 2).collect();
    periods.sort_unstable();
    periods.dedup();

    // Known events are taken out here and put back in the end.
    let past: Vec<bool> = (0..values.len()).map(event).collect();
    let ahead: Vec<bool> = (values.len()..values.len() + horizon).map(event).collect();
    let ordinary: Vec<f64> = values.iter().zip(&past).map(|(v, event)| if *event { f64::NAN } else { *v }).collect();
    let ordinary = if ordinary.iter().any(|v| v.is_finite()) { ordinary } else { values.to_vec() };
    let filled = prepare::fill(&ordinary, &periods);
    let effect = Effect::of(values, &filled, &past);

    let (size, periods) = prepare::blocks(values.len(), horizon, &periods);
    let mut course = prepare::means(&filled, size);
    let mut forgotten = 0;
    let longest = periods.last().copied().unwrap_or(1);
    if let Some(shift) = prepare::last_shift(&course, &periods) {
        if course.len() - shift >= ENOUGH.max(ENOUGH_SEASONS * longest) {
            course.drain(..shift);
            forgotten = first + shift * size;
        } else {
            prepare::align(&mut course, shift, &periods);
        }
    }
    let steps = horizon.div_ceil(size);
    let validated = validate::validate(&course, &periods, steps);
    let expand = |said: &[f64], origin: usize, steps: usize| prepare::expand(said, size, course[origin - 1], steps);
    let errors: Vec<Vec<f64>> = validated
        .said
        .iter()
        .map(|(origin, said)| {
            // Against what was measured and not against its means; what is before a shift is not as it was measured.
            let from = values.len() - (course.len() - origin) * size;
            let actual = &ordinary[from..(from + said.len() * size).min(values.len())];
            let said = expand(said, *origin, actual.len());
            actual.iter().zip(said).map(|(y, f)| y - f).collect()
        })
        .collect();
    let said = candidates::continuations(&course, &periods, steps);
    let mut yhat = expand(&validate::combine(&said, &validated.weights, validated.combination, steps), course.len(), horizon);
    effect.apply(&mut yhat, &ahead);
    let floor = options.floor.unwrap_or(f64::NEG_INFINITY);
    let ceiling = options.ceiling.unwrap_or(f64::INFINITY).max(floor);
    for value in &mut yhat {
        *value = value.clamp(floor, ceiling);
    }
    let mut models: Vec<(Model, f64)> = Model::ALL.into_iter().zip(validated.weights).filter(|(_, w)| *w > 0.0).collect();
    models.sort_by(|a, b| b.1.total_cmp(&a.1));
    let last = values.iter().rev().copied().find(|v| v.is_finite()).unwrap_or(f64::NAN);
    Ok(Forecast { yhat, models, forgotten, last, spread: Spread::of(&errors), floor, ceiling })
}
