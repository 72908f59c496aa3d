//! All files of a backtest together.

use super::agreement::{BOUND, EVENT_DELAY, MOST_ROWS, Measured, NEWS_BOUND, median, share};
use super::one::Done;
use crate::backtest::score::{event, nab};
use crate::backtest::summary::{F1, Labelled, LabelledTotals, Nab, Totals};

/// The totals of all files, whose alerts were to be at most `budget` a day.
pub(super) fn totals(files: &[Done], budget: f64) -> Totals {
    let sum = |of: fn(&Done) -> usize| files.iter().map(of).sum::<usize>();
    let days = |of: fn(&Done) -> f64| files.iter().map(of).sum::<f64>();
    // As if every series had been watched all the time, at the rate at which it was found to alert.
    let per_day = |alerts: usize, days: f64| (days > 0.0).then(|| alerts as f64 / days * files.len() as f64);
    let false_alerts_per_day = per_day(sum(|f| f.not_right), days(|f| f.not_right_days));
    let alerts = sum(|f| f.summary.alerts);
    Totals {
        series: files.len(),
        series_judged: files.iter().filter(|f| f.summary.judged > 0).count(),
        rows: sum(|f| f.summary.rows),
        judged: sum(|f| f.summary.judged),
        series_days: days(|f| f.days),
        alerts,
        alerts_per_day: per_day(alerts, days(|f| f.days)),
        false_alerts_per_day,
        budget_per_day: budget,
        budget_kept: false_alerts_per_day.map(|per_day| per_day <= budget),
        labelled: labelled(files),
    }
}

fn labelled(files: &[Done]) -> Option<LabelledTotals> {
    let all: Vec<&Labelled> = files.iter().filter_map(|f| f.summary.labelled.as_ref()).collect();
    if all.is_empty() {
        return None;
    }
    let sum = |of: fn(&Labelled) -> usize| all.iter().map(|labelled| of(labelled)).sum::<usize>();
    let mean = |of: fn(&Labelled) -> Option<f64>| {
        let values: Vec<f64> = all.iter().filter_map(|labelled| of(labelled)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let (segments, detected, right) = (sum(|l| l.segments), sum(|l| l.detected), sum(|l| l.right_alerts));
    let totals = LabelledTotals {
        series: all.len(),
        segments,
        detected,
        recall: share(detected, segments),
        precision: share(right, right + sum(|l| l.false_alerts)),
        median_seconds_to_detect: median(all.iter().flat_map(|labelled| &labelled.seconds_to_detect).flatten().copied().collect()),
        mean_auc_pr: mean(|l| l.auc_pr),
        mean_vus_pr: mean(|l| l.vus_pr),
        mean_event_f1: mean(|l| l.event.map(|event| event.f1)),
        mean_best_event_f1: mean(|l| l.best_event.map(|event| event.f1)),
        event: files.iter().map(|f| f.at_bound).sum::<event::Points>().f1(BOUND).map(F1::from),
        ..LabelledTotals::default()
    };
    let measured: Vec<&Measured> = files.iter().filter_map(|f| f.measured.as_ref()).collect();
    let rows = sum(|l| l.rows);
    if measured.len() < all.len() {
        let not_measured = format!("{rows} labelled rows: of more than {MOST_ROWS} the best threshold for all and NAB are not computed");
        return Some(LabelledTotals { not_measured: Some(not_measured), ..totals });
    }
    let series: Vec<event::Series> = measured.iter().map(|m| (m.scores.as_slice(), m.labels.as_slice())).collect();
    let windows: Vec<nab::File> =
        measured.iter().filter_map(|m| m.windows.as_ref().map(|windows| nab::File { scores: &m.news, windows })).collect();
    let by_profile =
        |of: fn(&[nab::File], &nab::Profile) -> nab::Score| (!windows.is_empty()).then(|| Nab::by_profile(|profile| of(&windows, profile)));
    Some(LabelledTotals {
        best_event: event::best_f1(&series, EVENT_DELAY).map(F1::from),
        nab: by_profile(|files, profile| nab::score(files, NEWS_BOUND, profile)),
        best_nab: by_profile(nab::best),
        ..totals
    })
}
