//! `AnalysisService.Forecast`: the request as it must be, and what is answered.

use crate::analysis::forecast::{self, Forecast, MOST_STEPS, Options};
use crate::clock::{DurationMs, Timestamp};
use crate::error::{Error, Result};
use crate::proto as pb;
use crate::series::{Series, Window};
use crate::service::convert;

const DEFAULT_LEVELS: [f64; 2] = [0.8, 0.95];
const MOST_LEVELS: usize = 8;
const MOST_EVENTS: usize = 1000;
/// Values of all forecasts of one answer.
const MOST_VALUES: usize = 2_000_000;

/// A request that is known to be right.
pub(super) struct Wanted {
    horizon: DurationMs,
    periods: Vec<DurationMs>,
    levels: Vec<f64>,
    limit: Option<f64>,
    floor: Option<f64>,
    ceiling: Option<f64>,
    events: Vec<(Timestamp, Timestamp)>,
}

impl Wanted {
    /// Checks all but the input.
    ///
    /// # Errors
    /// The field that is wrong.
    pub(super) fn read(request: &pb::ForecastRequest) -> Result<Self> {
        let horizon = request.horizon.as_ref().ok_or_else(|| Error::invalid("horizon", "is missing; say how far, such as 86400s"))?;
        let levels = if request.levels.is_empty() { DEFAULT_LEVELS.to_vec() } else { request.levels.clone() };
        if levels.len() > MOST_LEVELS {
            return Err(Error::invalid("levels", format!("{} levels; at most {MOST_LEVELS} are taken", levels.len())));
        }
        if let Some((i, level)) = levels.iter().enumerate().find(|(_, level)| !(**level > 0.0 && **level < 1.0)) {
            return Err(Error::invalid(format!("levels[{i}]"), format!("{level} is not between 0 and 1; 0.8 and 0.95 are usual")));
        }
        let finite = |name: &str, value: Option<f64>| match value {
            Some(value) if !value.is_finite() => Err(Error::invalid(name, format!("{value} is not a finite number"))),
            value => Ok(value),
        };
        if request.events.len() > MOST_EVENTS {
            return Err(Error::invalid("events", format!("{} events; at most {MOST_EVENTS} are taken", request.events.len())));
        }
        Ok(Self {
            horizon: convert::read_duration("horizon", horizon, DurationMs::from_millis(1))?,
            periods: super::analysis::read_periods(&request.periods)?,
            levels,
            limit: finite("limit", request.limit)?,
            floor: finite("floor", request.floor)?,
            ceiling: finite("ceiling", request.ceiling)?,
            events: request.events.iter().enumerate().map(|(i, event)| read_event(i, event)).collect::<Result<_>>()?,
        })
    }

    /// Forecasts every series.
    ///
    /// # Errors
    /// The horizon or a period does not go with a step, or the answer would be too large.
    pub(super) fn forecast(&self, series: &[Series]) -> Result<Vec<pb::SeriesForecast>> {
        let steps: Vec<usize> = series.iter().map(|one| self.steps(one.window.step())).collect::<Result<_>>()?;
        let values = steps.iter().sum::<usize>() * (1 + 2 * self.levels.len());
        if values > MOST_VALUES {
            let what = format!("makes {values} values and bounds; at most {MOST_VALUES} are answered");
            return Err(Error::invalid("horizon", what));
        }
        series.iter().zip(steps).map(|(one, steps)| self.one(one, steps)).collect()
    }

    fn steps(&self, step: DurationMs) -> Result<usize> {
        let steps = self.horizon.steps(step);
        if (1..=MOST_STEPS).contains(&steps) {
            return Ok(steps);
        }
        Err(Error::invalid("horizon", format!("{} is {steps} steps of {step}; from 1 to {MOST_STEPS} are forecast", self.horizon)))
    }

    fn one(&self, series: &Series, horizon: usize) -> Result<pb::SeriesForecast> {
        let window = &series.window;
        let periods: Vec<usize> = if self.periods.is_empty() {
            forecast::seasons(window.values(), Some(window.step()))
        } else {
            self.periods.iter().map(|p| p.steps(window.step())).collect()
        };
        if let Some(i) = periods.iter().position(|p| *p < 2) {
            let (period, step) = (self.periods.get(i).copied().unwrap_or(window.step()), window.step());
            return Err(Error::invalid(format!("periods[{i}]"), format!("{period} is shorter than two steps of {step}")));
        }
        let options = Options {
            horizon,
            periods: periods.clone(),
            floor: self.floor.or_else(|| forecast::natural_floor(window.values())),
            ceiling: self.ceiling,
            events: self.events(window, horizon),
        };
        let labels = convert::labels(&series.key);
        Ok(match forecast::forecast(window.values(), &options) {
            Ok(forecast) => self.answer(window, &forecast, &periods, labels),
            Err(reason) => pb::SeriesForecast { labels, cannot_say: reason.to_string(), ..Default::default() },
        })
    }

    /// Which places of the series and of the forecast belong to an event.
    fn events(&self, window: &Window, horizon: usize) -> Vec<bool> {
        if self.events.is_empty() {
            return Vec::new();
        }
        let within = |t: Timestamp| self.events.iter().any(|(start, end)| (*start..*end).contains(&t));
        (0..window.len() + horizon).map(|i| within(window.time(i))).collect()
    }

    fn answer(
        &self,
        window: &Window,
        forecast: &Forecast,
        periods: &[usize],
        labels: std::collections::HashMap<String, String>,
    ) -> pb::SeriesForecast {
        let interval = |level: &f64| {
            let (lower, upper) = forecast.interval(*level);
            pb::ForecastInterval { level: *level, lower, upper }
        };
        let exhaustion = self.limit.map(|limit| {
            let reach = forecast.reach(limit, forecast.towards(limit), self.levels[0]);
            convert::exhaustion(limit, reach.map(|steps| window.time(window.len() + steps - 1)))
        });
        let models = forecast.models.iter().map(|(model, weight)| pb::ForecastModel { name: model.to_string(), weight: *weight });
        pb::SeriesForecast {
            labels,
            start: Some(convert::time(window.time(window.len()))),
            step: Some(convert::duration(window.step())),
            yhat: forecast.yhat.clone(),
            intervals: self.levels.iter().map(interval).collect(),
            models: models.collect(),
            periods: periods.iter().map(|p| convert::duration(window.step() * *p as i64)).collect(),
            used_from: (forecast.forgotten > 0).then(|| convert::time(window.time(forecast.forgotten))),
            exhaustion,
            cannot_say: String::new(),
        }
    }
}

fn read_event(i: usize, event: &pb::TimeRange) -> Result<(Timestamp, Timestamp)> {
    let read = |name: &str, time: &Option<prost_types::Timestamp>| {
        let field = format!("events[{i}].{name}");
        time.as_ref().map_or_else(|| Err(Error::invalid(&field, "is missing")), |t| convert::read_time(&field, t))
    };
    let (start, end) = (read("start", &event.start)?, read("end", &event.end)?);
    if start >= end {
        return Err(Error::invalid(format!("events[{i}].start"), format!("{start} is not before the end, {end}")));
    }
    Ok((start, end))
}
