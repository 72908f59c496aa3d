//! The forecast of one series, and what is found in it.

use crate::analysis::forecast::{self, Options};
use crate::calendar::Calendar;
use crate::clock::{DurationMs, Timestamp};
use crate::finding::{Direction, Evidence, Finding, FindingKind};
use crate::metric::Unit;
use crate::monitor::{ForecastPlan, Monitor};
use crate::plot::Chart;
use crate::reach::Reach;
use crate::series::{Series, SeriesKey};

/// A finding opens from this chance on, when the expected course reaches the limit.
pub const OPENS: f64 = 0.5;
/// And ends when the chance is below this: between both it stays as it is, so that it does not flap.
pub const CLOSES: f64 = 0.2;
/// The level of the intervals.
const LEVEL: f64 = 0.9;
/// The horizon is at most so many times as long as the history.
const LONGEST_AHEAD: i64 = 4;
/// A series without a value in its last so many places is gone.
const GONE: usize = 5;

/// What is forecast of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesOutlook {
    /// The series.
    pub key: SeriesKey,
    /// Its latest value.
    pub value: f64,
    /// How far ahead.
    pub horizon: DurationMs,
    /// What is expected at the horizon; NaN when nothing can be said.
    pub yhat: f64,
    /// The bounds there, between which it lies with a chance of 90 %.
    pub bounds: (f64, f64),
    /// What must not be reached, and when it is.
    pub reach: Option<(f64, Direction, Reach<Timestamp>)>,
    /// Whether it has an open finding.
    pub is_open: bool,
    /// The forecast, drawn; only where a finding is open.
    pub chart: Option<Chart>,
    /// Why nothing can be said.
    pub cannot_say: Option<String>,
}

impl SeriesOutlook {
    /// The chance that the limit is reached within the horizon; `None` without a limit or a forecast.
    pub fn chance(&self) -> Option<f64> {
        self.reach.map(|(_, _, reach)| reach.chance)
    }
}

/// Forecasts one series of `monitor`; `None` if it is gone.
pub fn look_ahead(series: &Series, monitor: &Monitor, plan: &ForecastPlan, limit: Option<f64>) -> Option<SeriesOutlook> {
    let window = &series.window;
    let values: Vec<f64> = window.values().iter().map(|value| monitor.guards.measured(*value)).collect();
    let value = *values[values.len().saturating_sub(GONE)..].iter().rev().find(|value| value.is_finite())?;
    let horizon = plan.horizon.steps(plan.step);
    let unknown = SeriesOutlook {
        key: series.key.clone(),
        value,
        horizon: plan.horizon,
        yhat: f64::NAN,
        bounds: (f64::NAN, f64::NAN),
        reach: None,
        is_open: false,
        chart: None,
        cannot_say: None,
    };
    let first = values.iter().position(|value| value.is_finite()).unwrap_or(values.len());
    let history = plan.step * (values.len() - first) as i64;
    if history * LONGEST_AHEAD < plan.horizon {
        let needed = DurationMs::from_millis(plan.horizon.millis() / LONGEST_AHEAD);
        let reason = format!("its history of {history} is too short for the next {}; {needed} are needed", plan.horizon);
        return Some(SeriesOutlook { cannot_say: Some(reason), ..unknown });
    }
    // What happens during maintenance is no part of the usual course.
    let calendars = || monitor.guards.maintenance.iter().chain(&plan.events);
    let events = Calendar::places(calendars, window, values.len() + horizon);
    let share = monitor.unit == Unit::Ratio && values.iter().all(|value| value.is_nan() || *value <= 1.0);
    let options = Options {
        horizon,
        periods: forecast::seasons(&values, Some(plan.step)),
        floor: forecast::natural_floor(&values),
        ceiling: share.then_some(1.0),
        events,
    };
    let forecast = match forecast::forecast(&values, &options) {
        Ok(forecast) => forecast,
        Err(reason) => return Some(SeriesOutlook { cannot_say: Some(reason.to_string()), ..unknown }),
    };
    let (lower, upper) = forecast.interval(LEVEL);
    let last = horizon - 1;
    let reach = limit.map(|limit| {
        let direction = monitor.direction.unwrap_or_else(|| towards(&values, limit));
        let reach = forecast.reach(limit, direction, LEVEL).map(|steps| window.time(window.len() + steps - 1));
        (limit, direction, reach)
    });
    let title = format!("{} {}: the next {}", monitor.name, series.key, plan.horizon);
    let bounds = (lower[last], upper[last]);
    // Nothing is open, and nothing drawn, where the chance is less.
    let may_be_open = reach.is_some_and(|(_, _, reach)| reach.chance >= CLOSES);
    let chart = may_be_open.then(|| Chart::of_forecast(title, monitor.unit, window, &forecast.yhat, (lower, upper)));
    Some(SeriesOutlook { yhat: forecast.yhat[last], bounds, reach, chart, ..unknown })
}

/// On which side of the limit the series usually is.
fn towards(values: &[f64], limit: f64) -> Direction {
    let present = values.iter().filter(|value| value.is_finite());
    let (below, all) = present.fold((0, 0), |(below, all), value| (below + usize::from(*value <= limit), all + 1));
    if 2 * below >= all { Direction::Up } else { Direction::Down }
}

/// What is found in a forecast made at `now`: nothing new unless the expected course reaches the limit. `known` is the open
/// finding that it goes on with.
pub fn finding(monitor: &Monitor, series: &SeriesOutlook, known: Option<&Finding>, now: Timestamp) -> Option<Finding> {
    let (limit, direction, reach) = series.reach?;
    if known.is_none() && reach.expected.is_none() {
        return None;
    }
    let onset = known.map_or(now, |known| known.onset);
    let show = |value| monitor.unit.show(value);
    let note = format!(
        "{} now, {} expected in {} (between {} and {} with a chance of {:.0} %)",
        show(series.value),
        show(series.yhat),
        series.horizon,
        show(series.bounds.0),
        show(series.bounds.1),
        100.0 * LEVEL
    );
    let p_value = 1.0 - reach.chance;
    Some(Finding {
        // Not that of a deviation of the same series at the same time.
        id: Finding::identity(&format!("{}\nforecast", monitor.name), &series.key, onset),
        monitor: monitor.name.clone(),
        service: monitor.service_of(&series.key),
        key: series.key.clone(),
        metric: monitor.metric,
        unit: monitor.unit,
        kind: FindingKind::Capacity,
        direction,
        onset,
        opened: onset,
        last_seen: now,
        ended: None,
        value: series.value,
        expected: limit,
        lower: f64::NAN,
        upper: f64::NAN,
        score: reach.chance / OPENS,
        p_value,
        evidence: vec![Evidence { detector: "forecast".to_owned(), p_value, note }],
        model: "forecast".to_owned(),
        reach: Some(reach),
        course: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Written;
    use crate::monitor::Limit;
    use crate::series::Window;

    const HOUR: DurationMs = DurationMs::HOUR;

    fn plan() -> ForecastPlan {
        ForecastPlan {
            horizon: DurationMs::DAY * 7,
            step: HOUR,
            window: DurationMs::DAY * 14,
            limit: Some(Limit::Value(0.9)),
            events: Vec::new(),
        }
    }

    fn monitor() -> Monitor {
        Monitor { name: "disk".to_owned(), unit: Unit::Ratio, service: Some("db".to_owned()), ..Monitor::ad_hoc(HOUR, None) }
    }

    fn series(value: impl Fn(f64) -> f64) -> Series {
        let values = (0..14 * 24).map(|hour| value(f64::from(hour) / 24.0) + 0.002 * (f64::from(hour) * 0.7).sin()).collect();
        Series { key: SeriesKey::default(), window: Window::new(Timestamp::default(), HOUR, values).unwrap() }
    }

    fn now() -> Timestamp {
        Timestamp::default() + DurationMs::DAY * 14
    }

    #[test]
    fn a_disk_that_fills_is_found_with_a_date() {
        // 50 % and 2 % more a day: 90 % after 20 days, which is in six.
        let looked = look_ahead(&series(|day| 0.5 + 0.02 * day), &monitor(), &plan(), Some(0.9)).unwrap();
        let found = finding(&monitor(), &looked, None, now()).unwrap();
        assert!(looked.chance().unwrap() > OPENS, "{looked:?}");
        let reach = found.reach.unwrap();
        let days = reach.expected.unwrap().since(now()).seconds() / 86_400.0;
        assert!((5.0..7.0).contains(&days), "{days}");
        assert!(reach.earliest <= reach.expected);
        assert_eq!(
            (found.kind, found.direction, found.expected, found.service.as_str()),
            (FindingKind::Capacity, Direction::Up, 0.9, "db")
        );
        // The same finding an hour later, by its identity.
        let later = finding(&monitor(), &looked, Some(&found), now() + HOUR).unwrap();
        assert_eq!((later.id.as_str(), later.onset), (found.id.as_str(), found.onset));
        assert_ne!(finding(&monitor(), &looked, None, now() + HOUR).unwrap().id, found.id);
    }

    #[test]
    fn what_does_not_come_near_the_limit_is_not_found() {
        let looked = look_ahead(&series(|_| 0.5), &monitor(), &plan(), Some(0.9)).unwrap();
        assert_eq!(finding(&monitor(), &looked, None, now()), None);
        assert!(looked.chance().unwrap() < CLOSES);
        let looked = look_ahead(&series(|_| 0.5), &monitor(), &plan(), None).unwrap();
        assert_eq!(looked.chance(), None);
        assert!((0.4..0.6).contains(&looked.yhat));
    }

    #[test]
    fn a_known_event_is_expected_to_do_again_what_it_did() {
        // From eight to twenty o'clock of every fifth day there is half as much.
        let halved = |hour: usize| (hour / 24) % 5 == 4 && (8..20).contains(&(hour % 24));
        let values = (0..14 * 24).map(|hour| if halved(hour) { 0.2 } else { 0.4 } + 0.002 * (hour as f64 * 0.7).sin()).collect();
        let series = Series { key: SeriesKey::default(), window: Window::new(Timestamp::default(), HOUR, values).unwrap() };
        let fifth = Written {
            rrule: Some("FREQ=DAILY;INTERVAL=5".to_owned()),
            from: Some("1970-01-05T08:00".to_owned()),
            length: Some(HOUR * 12),
            ..Written::default()
        };
        // Until noon of the fifteenth day.
        let plan = ForecastPlan { horizon: HOUR * 13, events: vec![Calendar::new(fifth).unwrap()], ..plan() };
        let looked = |plan| look_ahead(&series, &monitor(), &plan, None).unwrap().yhat;
        assert!((looked(plan.clone()) - 0.2).abs() < 0.02, "{}", looked(plan));
    }

    #[test]
    fn free_space_goes_down_to_its_limit() {
        let free = series(|day| 0.5 - 0.02 * day);
        let looked = look_ahead(&free, &monitor(), &plan(), Some(0.1)).unwrap();
        assert_eq!(finding(&monitor(), &looked, None, now()).unwrap().direction, Direction::Down);
        // Beyond the limit it is there already, whatever the last values do.
        let looked = look_ahead(&free, &monitor(), &plan(), Some(0.3)).unwrap();
        assert_eq!(looked.reach.unwrap().2.expected, Some(Timestamp::default() + HOUR * (14 * 24 - 1)));
    }

    #[test]
    fn a_series_that_is_gone_or_too_short_is_not_forecast() {
        let gone = series(|day| if day > 13.0 { f64::NAN } else { 0.5 });
        assert_eq!(look_ahead(&gone, &monitor(), &plan(), Some(0.9)), None);
        let young = series(|day| if day < 13.9 { f64::NAN } else { 0.5 });
        assert!(look_ahead(&young, &monitor(), &plan(), Some(0.9)).unwrap().cannot_say.is_some());
    }
}
