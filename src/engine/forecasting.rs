//! What is forecast of a monitor's series, and which of them will reach their limit.
//!
//! Beside the evaluation of a monitor and slower than it: each step of the plan, the history is read at that step and
//! forecast anew. A series that is likelier than not to reach its limit opens a finding of its own kind, which is updated
//! with every forecast and ends when that has become unlikely.

mod outlook;

use std::sync::Arc;

use rayon::prelude::*;

use super::Engine;
use super::lasting::{Lasting, Open};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::finding::{Finding, FindingKind};
use crate::monitor::{ForecastPlan, Limit, Monitor};
use crate::series::{Series, SeriesKey};
pub use outlook::SeriesOutlook;
use outlook::{CLOSES, OPENS, finding, look_ahead};

/// So many series are forecast at once: some seconds of work.
const PIECE: usize = 64;

/// The forecasts of one monitor.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// Of each series, in order of their keys.
    pub series: Arc<Vec<SeriesOutlook>>,
    /// When they were made.
    pub made: Option<Timestamp>,
    /// Why the latest could not be made.
    pub last_error: Option<String>,
}

/// The forecasts of one monitor, made again and again.
pub struct Forecasting {
    engine: Engine,
    monitor: Monitor,
    plan: ForecastPlan,
    open: Lasting,
}

impl Forecasting {
    /// Nothing is read yet.
    pub fn new(engine: Engine, monitor: Monitor, plan: ForecastPlan) -> Self {
        Self { engine, monitor, plan, open: Lasting::default() }
    }

    /// Reads, forecasts, and opens, updates or ends findings.
    ///
    /// # Errors
    /// Prometheus or the store does not answer, or the limit cannot be read; what is open stays open.
    pub async fn run(&mut self) -> Result<()> {
        let Self { engine, monitor, plan, open } = self;
        let end = engine.clock().now().align_down(plan.step);
        let prometheus = engine.prometheus()?;
        let reading = {
            let _first = engine.0.first_reads.acquire().await.ok();
            prometheus.range(&monitor.query, end - plan.window, end, plan.step).await?
        };
        let limits = match &plan.limit {
            None => Limits::default(),
            Some(Limit::Value(limit)) => Limits(vec![(SeriesKey::default(), *limit)]),
            Some(Limit::Query(query)) => Limits(prometheus.instant(query, end).await?),
        };
        let (shared, mut looked) = (Arc::new((monitor.clone(), plan.clone(), limits)), Vec::new());
        let mut rest = reading.series;
        while !rest.is_empty() {
            // Piece by piece, so that what is due in between gets its turn on the pool.
            let (piece, shared) = (rest.split_off(rest.len().saturating_sub(PIECE)), Arc::clone(&shared));
            looked.extend(engine.pool().run(move || look_at_all(&piece, &shared.0, &shared.1, &shared.2)).await?);
        }
        looked.sort_by(|a, b| a.key.cmp(&b.key));

        let decide = |known| decide(monitor, &looked, known, end);
        let open = open.update(engine, &monitor.name, |kind| kind == FindingKind::Capacity, decide).await?;
        let series = looked.into_iter().map(|mut one| {
            one.is_open = open.contains_key(&one.key);
            if !one.is_open {
                one.chart = None;
            }
            one
        });
        let outlook = Outlook { series: Arc::new(series.collect()), made: Some(end), last_error: None };
        engine.set_status(&monitor.name, |status| status.outlook = outlook);
        Ok(())
    }
}

/// Every finding that is new, lasts or has ended, and those of them that are open, after a forecast at `now`. `open` are those
/// that were.
fn decide(monitor: &Monitor, looked: &[SeriesOutlook], mut open: Open, now: Timestamp) -> (Vec<Finding>, Open) {
    let (mut told, mut still) = (Vec::new(), Open::new());
    for series in looked {
        let known = open.remove(&series.key);
        let least = if known.is_some() { CLOSES } else { OPENS };
        match (finding(monitor, series, known.as_ref(), now), known) {
            (Some(new), _) if series.chance().is_some_and(|chance| chance >= least) => drop(still.insert(series.key.clone(), new)),
            // What cannot be forecast now was likely when it could.
            (None, Some(known)) if series.cannot_say.is_some() => drop(still.insert(series.key.clone(), known)),
            (new, Some(known)) => told.push(Finding { ended: Some(now), ..new.unwrap_or(known) }),
            (_, None) => {}
        }
    }
    // A series that is gone reaches nothing.
    told.extend(open.into_values().map(|known| Finding { ended: Some(now), ..known }));
    told.extend(still.values().cloned());
    (told, still)
}

/// The limit of each series.
#[derive(Default)]
struct Limits(Vec<(SeriesKey, f64)>);

impl Limits {
    /// That of `key`: of the most labels that the series has too. The name of a metric tells nothing.
    fn of(&self, key: &SeriesKey) -> Option<f64> {
        let own = |limit: &SeriesKey| limit.labels().iter().filter(|(name, _)| *name != "__name__").count();
        let fits = |limit: &SeriesKey| limit.labels().iter().all(|(name, value)| name == "__name__" || key.get(name) == Some(value));
        let fitting = self.0.iter().filter(|(limit, value)| value.is_finite() && fits(limit));
        fitting.max_by_key(|(limit, _)| own(limit)).map(|(_, value)| *value)
    }
}

fn look_at_all(series: &[Series], monitor: &Monitor, plan: &ForecastPlan, limits: &Limits) -> Vec<SeriesOutlook> {
    series.par_iter().filter_map(|one| look_ahead(one, monitor, plan, limits.of(&one.key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::DurationMs;
    use crate::finding::Direction;
    use crate::reach::Reach;

    fn key(labels: &[(&str, &str)]) -> SeriesKey {
        SeriesKey::new(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn a_finding_opens_late_and_ends_late() {
        let monitor = Monitor { name: "disk".to_owned(), ..Monitor::ad_hoc(DurationMs::HOUR, None) };
        let at = |hour: i64| Timestamp::default() + DurationMs::HOUR * hour;
        let series = |chance: Option<f64>, expected: bool| SeriesOutlook {
            key: key(&[("device", "sda")]),
            value: 0.5,
            horizon: DurationMs::DAY,
            yhat: 0.9,
            bounds: (0.8, 1.0),
            reach: chance.map(|chance| {
                let reach = Reach { expected: expected.then(|| at(50)), earliest: Some(at(40)), latest: None, chance };
                (1.0, Direction::Up, reach)
            }),
            is_open: false,
            chart: None,
            cannot_say: chance.is_none().then(|| "too gappy".to_owned()),
        };
        let mut open = Open::new();
        // Chance, whether it is expected, and whether a finding is open after that.
        let course = [
            (Some(0.3), false, false),
            (Some(0.45), false, false),
            // Likely, but not on the expected course.
            (Some(0.6), false, false),
            (Some(0.6), true, true),
            (Some(0.45), false, true),
            (Some(0.25), false, true),
            (None, false, true),
            (Some(0.55), true, true),
            (Some(0.19), false, false),
            (Some(0.45), true, false),
        ];
        let mut ids = Vec::new();
        for (hour, (chance, expected, is_open)) in course.into_iter().enumerate() {
            let before = open.len();
            let (told, after) = decide(&monitor, &[series(chance, expected)], open, at(hour as i64));
            assert_eq!(after.len() == 1, is_open, "{hour}: {chance:?}");
            assert_eq!(told.iter().filter(|f| !f.is_open()).count(), usize::from(before == 1 && !is_open), "{hour}");
            ids.extend(after.values().map(|f| f.id.clone()));
            open = after;
        }
        ids.dedup();
        assert_eq!(ids.len(), 1, "it stays the same finding");
        // One that is gone ends.
        let (_, open) = decide(&monitor, &[series(Some(0.9), true)], Open::new(), at(20));
        let (told, open) = decide(&monitor, &[], open, at(21));
        assert_eq!((told[0].ended, open.len()), (Some(at(21)), 0));
    }

    #[test]
    fn a_limit_is_that_of_the_most_labels() {
        let limits = Limits(vec![
            (key(&[("__name__", "size")]), 1.0),
            (key(&[("instance", "a")]), 2.0),
            (key(&[("__name__", "size"), ("instance", "a"), ("device", "sda")]), 3.0),
            (key(&[("instance", "b"), ("device", "sda")]), f64::NAN),
        ]);
        assert_eq!(limits.of(&key(&[("__name__", "free"), ("instance", "a"), ("device", "sda")])), Some(3.0));
        assert_eq!(limits.of(&key(&[("instance", "a"), ("device", "sdb")])), Some(2.0));
        assert_eq!(limits.of(&key(&[("instance", "b"), ("device", "sda")])), Some(1.0));
        assert_eq!(Limits(vec![(key(&[("instance", "a")]), 2.0)]).of(&key(&[("instance", "c")])), None);
    }
}
