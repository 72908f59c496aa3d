//! How the judgement agrees with labels, each measure with what it means.

use maud::{Markup, html};

use super::{DASH, fact, lasting, measure, share};
use crate::backtest::summary::{F1, Labelled, LabelledTotals, Nab, NabScore, Summary};
use crate::plot::page::{counted, scrolling};

/// Nine of ten.
const MOST: f64 = 0.9;

pub(super) fn section(totals: &LabelledTotals, summary: &Summary) -> Markup {
    html! {
        section aria-labelledby="measures" {
            h2 #measures { "Held against the labels" }
            p.muted { (counted(totals.series, "labelled series")) ", " (counted(totals.segments, "labelled segment")) ". A dash is a measure that cannot be had." }
            @if let Some(reason) = &totals.not_measured { p.failed { (reason) } }
            (scrolling("Measures", &table(totals, summary)))
        }
    }
}

struct Line {
    name: String,
    value: String,
    best: String,
    meaning: String,
}

fn table(totals: &LabelledTotals, summary: &Summary) -> Markup {
    html! {
        table.measures.stacked {
            thead {
                tr {
                    th scope="col" { "Measure" }
                    th.number scope="col" { "As replayed" }
                    th.number scope="col" { "At the best threshold" }
                    th scope="col" { "What it means" }
                }
            }
            tbody {
                // NAB's scores need windows from a file of labels.
                @for line in lines(totals, summary).into_iter().filter(|line| line.value != DASH || line.best != DASH) {
                    tr {
                        th.wide scope="row" { (line.name) }
                        td.number data-label="As replayed" { (line.value) }
                        td.number data-label="At the best threshold" { (line.best) }
                        td.wide { (line.meaning) }
                     }
                }
            }
        }
    }
}

fn lines(totals: &LabelledTotals, summary: &Summary) -> Vec<Line> {
    let line = |name: &str, value: String, best: String, meaning: String| Line { name: name.to_owned(), value, best, meaning };
    let delay = summary.settings.event_delay;
    let files = || summary.series.iter().filter_map(|s| s.labelled.as_ref());
    let (rows, anomalous) = files().fold((0, 0), |(rows, anomalous), of| (rows + of.rows, anomalous + of.anomalous));
    let by_chance =
        if rows > 0 { format!("; guessing gets about {}", measure(Some(anomalous as f64 / rows as f64))) } else { String::new() };
    let mut seconds: Vec<f64> = files().flat_map(|of| &of.seconds_to_detect).flatten().copied().filter(|s| s.is_finite()).collect();
    seconds.sort_unstable_by(f64::total_cmp);
    let f1 = |of: &Option<F1>| measure(of.map(|of| of.f1));
    let nab = |name: &str, of: fn(&Nab) -> NabScore, meaning: &str| {
        let score = |nab: &Option<Nab>| nab.as_ref().and_then(|nab| of(nab).score).map_or(DASH.to_owned(), |score| format!("{score:.1}"));
        line(name, score(&totals.nab), score(&totals.best_nab), meaning.to_owned())
    };
    let none = String::new;
    vec![
        line("Precision", share(totals.precision), none(), "Of all alerts, the share that was about a labelled anomaly. Higher is better: at 100% no alert was false.".to_owned()),
        line("Recall", share(totals.recall), none(), "Of all labelled anomalies, the share that an alert was raised for. Higher is better: at 100% none was missed.".to_owned()),
        line("AUC-PR", measure(totals.mean_auc_pr), none(), format!("Whether anomalous points have higher scores than normal ones, whatever the threshold; mean over the series. Higher is better, 1 is perfect{by_chance}.")),
        line("VUS-PR", measure(totals.mean_vus_pr), none(), "The same, but a score just beside a labelled segment counts in part. Higher is better, 1 is perfect.".to_owned()),
        line(
            &format!("Event F1, delay {delay}"),
            f1(&totals.event),
            f1(&totals.best_event),
            format!("Precision and recall in one, where an anomaly counts only if it is noticed within {} after its first. Higher is better, 1 is perfect.", counted(delay, "point")),
        ),
        nab("NAB, standard", |nab| nab.standard, "The Numenta benchmark's score of the column news, which is told once for each episode; it rewards noticing early. Higher is better: 100 is perfect, 0 is saying nothing, below 0 is worse than that."),
        nab("NAB, few false alarms", |nab| nab.low_fp, "The same for those whom a false alarm costs twice as much. Higher is better."),
        nab("NAB, few misses", |nab| nab.low_fn, "The same for those whom a miss costs twice as much. Higher is better."),
        line("Time to detect, median", lasting(totals.median_seconds_to_detect), none(), "Half of the anomalies that were noticed were noticed within this time of their beginning. Shorter is better; those never noticed are not in it.".to_owned()),
        line("Time to detect, nine of ten", lasting(at(&seconds, MOST)), none(), "The same for nine of ten: how long it takes when it takes long. Shorter is better.".to_owned()),
    ]
}

/// The least of the sorted `values` that a share of at least `part` of them does not exceed.
fn at(values: &[f64], part: f64) -> Option<f64> {
    let rank = (part * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

/// The measures of one series, as far as there are any.
pub(super) fn facts(of: &Labelled) -> Markup {
    let of_segments = |what: String| (of.segments > 0).then_some(what);
    let known = |text: String| (text != DASH).then_some(text);
    let facts = [
        ("Noticed", of_segments(format!("{} of {}", of.detected, counted(of.segments, "segment")))),
        ("False alerts", Some(of.false_alerts.to_string())),
        ("Precision", known(share(of.precision))),
        ("Recall", known(share(of.recall))),
        ("AUC-PR", known(measure(of.auc_pr))),
        ("VUS-PR", known(measure(of.vus_pr))),
        ("Event F1", known(measure(of.event.map(|f1| f1.f1)))),
        ("NAB", of.nab.and_then(|nab| nab.standard.score).map(|score| format!("{score:.1}"))),
        ("Time to detect", known(lasting(of.median_seconds_to_detect))),
    ];
    html! { dl.facts { @for (name, what) in facts { @if let Some(what) = what { (fact(name, &html! { (what) })) } } } }
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn nine_of_ten_are_not_later() {
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(at(&values, 0.9), Some(9.0));
        assert_eq!(at(&values[..1], 0.9), Some(1.0));
        assert_eq!(at(&[], 0.9), None);
    }
}
