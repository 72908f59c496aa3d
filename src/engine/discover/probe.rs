//! Whether a candidate's values are worth watching, judged by one coarse query over the last day.

use super::Options;
use super::propose::Candidate;
use crate::clock::{DurationMs, Timestamp};
use crate::error::Result;
use crate::series::Series;
use crate::source::prometheus::Prometheus;

/// Fine, or why not.
pub(super) type Verdict = std::result::Result<(), String>;

/// Ninety-six points a day show whether something moves.
const STEP: DurationMs = DurationMs::from_secs(900);
/// Without a value for so long something is dead.
const SILENCE: DurationMs = DurationMs::HOUR;

pub(super) async fn probe(prometheus: &Prometheus, now: Timestamp, candidate: &Candidate, options: &Options) -> Result<Verdict> {
    let end = now.align_down(STEP);
    let query = &candidate.monitor.query;
    // Buckets are many, and only grow: whether there are any is all that there is to see.
    let query = if candidate.monitor.drift.is_some() { format!("count({query})") } else { query.clone() };
    match prometheus.range(&query, end - DurationMs::DAY, end, STEP).await {
        Ok(reading) => Ok(judge(&reading.series, end, candidate.may_be_flat, options.most_series)),
        // One query that is refused or too heavy must not spoil the others; that Prometheus is away does.
        Err(error) => {
            prometheus.ping().await?;
            Ok(Err(format!("its query failed: {}", error.chain())))
        }
    }
}

/// Judges the last day's values of one candidate.
pub(super) fn judge(series: &[Series], end: Timestamp, may_be_flat: bool, most_series: usize) -> Verdict {
    if series.len() > most_series {
        return Err(format!("explosive: {} series after aggregation, more than {most_series}", series.len()));
    }
    let last = series.iter().filter_map(|s| s.window.values().iter().rposition(|v| v.is_finite()).map(|i| s.window.time(i))).max();
    match last {
        None => return Err("dead: no value in the last day".to_owned()),
        Some(last) if end.since(last) > SILENCE => return Err(format!("dead: no value since {last}")),
        Some(_) => {}
    }
    if !may_be_flat && series.iter().all(|s| is_constant(s.window.values())) {
        return Err("constant over the last day".to_owned());
    }
    Ok(())
}

/// Whether all values that are there are the same; one value alone does not tell.
fn is_constant(values: &[f64]) -> bool {
    let mut present = values.iter().filter(|v| v.is_finite());
    let Some(first) = present.next() else { return true };
    let mut others = present.peekable();
    others.peek().is_some() && others.all(|v| v == first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{SeriesKey, Window};

    const END: i64 = 1_700_000_100_000;

    fn series(values: &[f64]) -> Series {
        let start = Timestamp::from_millis(END) - STEP * (values.len() as i64 - 1);
        Series { key: SeriesKey::default(), window: Window::new(start, STEP, values.to_vec()).unwrap() }
    }

    fn verdict(values: &[&[f64]], may_be_flat: bool) -> Verdict {
        judge(&values.iter().map(|v| series(v)).collect::<Vec<_>>(), Timestamp::from_millis(END), may_be_flat, 3)
    }

    #[test]
    fn the_dead_the_constant_and_the_many_are_left_out() {
        let nan = f64::NAN;
        assert_eq!(verdict(&[&[1.0, 2.0], &[5.0, 5.0]], false), Ok(()));
        assert_eq!(verdict(&[&[nan, 5.0]], false), Ok(()), "what has just begun is not constant");
        assert!(verdict(&[&[1.0, 1.0], &[5.0, nan, 5.0]], false).unwrap_err().starts_with("constant"));
        assert_eq!(verdict(&[&[0.0, 0.0]], true), Ok(()), "no errors all day is the good case");
        assert!(verdict(&[&[1.0, 2.0, nan, nan, nan, nan, nan]], true).unwrap_err().starts_with("dead: no value since"));
        assert!(verdict(&[&[nan]], true).unwrap_err().starts_with("dead"));
        assert!(verdict(&[], true).unwrap_err().starts_with("dead"));
        assert!(verdict(&[&[1.0], &[1.0], &[1.0], &[1.0]], true).unwrap_err().starts_with("explosive: 4"));
    }
}
