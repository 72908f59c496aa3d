//! Backtests as messages.

use crate::backtest::alerts::{Alerts, Comparison, Incidents, Raised};
use crate::backtest::inline::Said;
use crate::backtest::prometheus::{MonitorReport, Progress, Report};
use crate::backtest::summary::{Failure, Labelled, MOST_FINDINGS};
use crate::clock::{DurationMs, Timestamp};
use crate::error::{Error, Violation};
use crate::proto as pb;
use crate::series::Series;

use super::{duration, finding, held_back, labels, read_time, time};

/// Stretches of one series, each from its first instant to its last.
pub type Stretches = Vec<(Timestamp, Timestamp)>;

/// The stretches of each of `series` series, in order and apart; `None` when there is none for any.
///
/// # Errors
/// Every field at fault.
pub fn read_labels(field: &str, stretches: &[pb::LabelledStretch], series: usize) -> Result<Option<Vec<Stretches>>, Error> {
    if stretches.is_empty() {
        return Ok(None);
    }
    let mut violations = Vec::new();
    let mut all: Vec<Stretches> = vec![Vec::new(); series];
    for (i, stretch) in stretches.iter().enumerate() {
        let at = format!("{field}[{i}]");
        let mut instant = |name: &str, given: Option<&prost_types::Timestamp>| {
            let field = format!("{at}.{name}");
            let read = given.ok_or_else(|| Error::invalid(&field, "is missing")).and_then(|t| read_time(&field, t));
            read.map_err(|error| violations.extend(error.violations)).ok()
        };
        let (start, end) = (instant("start", stretch.start.as_ref()), instant("end", stretch.end.as_ref()));
        let of = usize::try_from(stretch.series).ok().and_then(|place| all.get_mut(place));
        match (of, start, end) {
            (None, ..) => {
                let description = format!("{} is not the place of one of {series} series, the first of which is 0", stretch.series);
                violations.push(Violation { field: format!("{at}.series"), description });
            }
            (_, Some(start), Some(end)) if end < start => {
                violations.push(Violation { field: format!("{at}.end"), description: format!("{end} is before the start, {start}") });
            }
            (Some(of), Some(start), Some(end)) => of.push((start, end)),
            _ => {}
        }
    }
    violations.truncate(100);
    if violations.is_empty() { Ok(Some(all.into_iter().map(apart).collect())) } else { Err(Error::violations(violations)) }
}

/// Stretches in order, those that overlap as one.
fn apart(mut stretches: Vec<(Timestamp, Timestamp)>) -> Vec<(Timestamp, Timestamp)> {
    stretches.sort_unstable();
    stretches.dedup_by(|next, last| {
        let overlap = next.0 <= last.1;
        if overlap {
            last.1 = last.1.max(next.1);
        }
        overlap
    });
    stretches
}

pub fn backtest_progress(p: &Progress) -> pb::BacktestProgress {
    pb::BacktestProgress { monitor: p.monitor.clone(), done: p.done, points: p.points as i64, findings: p.findings as i64 }
}

pub fn backtest_report(r: &Report) -> pb::BacktestReport {
    let left_out = r.summary.failed.iter().map(|Failure { path, reason }| format!("{path} was left out: {reason}"));
    pb::BacktestReport {
        start: Some(time(r.start)),
        end: Some(time(r.end)),
        alerts_per_day: r.summary.settings.budget_per_day,
        monitors: r.monitors.iter().map(monitor).collect(),
        series: Vec::new(),
        incidents_count: r.incidents.count as i32,
        incidents: r.incidents.listed.iter().map(raised).collect(),
        comparison: r.comparison.as_ref().map(comparison),
        warnings: left_out.chain(r.summary.warnings.iter().cloned()).collect(),
        suppressed: r.suppressed.iter().map(held_back).collect(),
    }
}

fn monitor(m: &MonitorReport) -> pb::BacktestMonitor {
    pb::BacktestMonitor {
        name: m.name.clone(),
        series: m.series as i32,
        judged_series: m.judged_series as i32,
        judged_points: m.judged_points as i64,
        findings: m.findings as i32,
        left_out: m.left_out.clone().unwrap_or_default(),
        suppressed: m.suppressed as i32,
    }
}

pub fn raised(r: &Raised) -> pb::RaisedIncident {
    pb::RaisedIncident {
        id: r.id.clone(),
        title: r.title.clone(),
        services: r.services.clone(),
        start: Some(time(r.from)),
        end: r.to.map(time),
    }
}

fn comparison(c: &Comparison) -> pb::AlertComparison {
    pb::AlertComparison {
        spoken: c.spoken(),
        days: c.days,
        fired: c.fired as i32,
        fired_per_day: c.fired_per_day,
        things: c.things as i32,
        incidents: c.incidents as i32,
        incidents_per_day: c.incidents_per_day,
        both_alerts: Some(alerts(&c.both.alerts)),
        both_incidents: Some(incidents(&c.both.incidents)),
        only_yours: Some(alerts(&c.only_yours)),
        only_ours: Some(incidents(&c.only_ours)),
    }
}

fn alerts(a: &Alerts) -> pb::ComparedAlerts {
    let group = |g: &crate::backtest::alerts::Group| pb::AlertGroup {
        alertname: g.alertname.clone(),
        count: g.count as i32,
        things: g.things as i32,
        lasted: Some(duration(g.lasted)),
    };
    pb::ComparedAlerts { count: a.count as i32, groups: a.groups.iter().map(group).collect() }
}

fn incidents(i: &Incidents) -> pb::ComparedIncidents {
    pb::ComparedIncidents { count: i.count as i32, listed: i.listed.iter().map(raised).collect() }
}

pub fn backtest_series(series: &Series, said: &Said) -> pb::BacktestSeries {
    pb::BacktestSeries {
        labels: labels(&series.key),
        points: said.points as i64,
        judged_points: said.judged as i64,
        findings: said.noticed.iter().take(MOST_FINDINGS).map(|n| finding(&n.finding)).collect(),
        findings_left_out: said.noticed.len().saturating_sub(MOST_FINDINGS) as i32,
        cannot_say: said.cannot_say.clone().unwrap_or_default(),
        measures: said.labelled.as_ref().and_then(|labelled| labelled.as_ref().ok()).map(measures),
    }
}

fn measures(l: &Labelled) -> pb::BacktestMeasures {
    let seconds = |s: f64| duration(DurationMs::from_millis((s * 1000.0) as i64));
    pb::BacktestMeasures {
        segments: l.segments as i32,
        detected: l.detected as i32,
        right_findings: l.right_alerts as i32,
        false_findings: l.false_alerts as i32,
        recall: l.recall,
        precision: l.precision,
        median_time_to_detect: l.median_seconds_to_detect.map(seconds),
        auc_pr: l.auc_pr,
        vus_pr: l.vus_pr,
        event_f1: l.event.map(|event| event.f1),
    }
}
