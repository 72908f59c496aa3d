//! The outcome in words that need no knowledge of the trade.

use maud::{Markup, html};

use super::{Span, number};
use crate::backtest::summary::Summary;
use crate::plot::page::{counted, grouped};

pub(super) fn section(summary: &Summary) -> Markup {
    let (class, verdict) = verdict(summary);
    html! { div class={ "status verdict " (class) } { p.lead { (verdict) } } }
}

/// The outcome and the class of its panel.
pub(super) fn verdict(summary: &Summary) -> (&'static str, String) {
    let totals = &summary.totals;
    let all = totals.series + summary.failed.len();
    let Some(span) = Span::of(totals, summary) else {
        return ("idle", if all == 0 { "There was no series to replay.".to_owned() } else { cannot_say(all) });
    };
    let raised = match totals.alerts {
        0 => "no alert".to_owned(),
        n => {
            let rate = totals.alerts_per_day.map_or(super::DASH.to_owned(), number);
            let condition = if span.same { "" } else { " if all are watched at once" };
            format!("{}, {rate} a day{condition}", counted(n, "alert"))
        }
    };
    let budget = totals.budget_per_day;
    let (class, kept) = match totals.budget_kept {
        Some(true) => ("quiet", format!("the budget of {} a day was kept", number(budget))),
        Some(false) => {
            let rate = totals.false_alerts_per_day.map_or(super::DASH.to_owned(), number);
            let what = if totals.labelled.is_some() { "false alerts" } else { "alerts" };
            ("alarm", format!("the budget of {} a day was not kept: {rate} {what} a day", number(budget)))
        }
        None => ("idle", format!("whether that keeps the budget of {} a day cannot be said", number(budget))),
    };
    let series = counted(totals.series_judged, "series");
    let over = if span.same { format!("{series} and {}", span.spoken()) } else { format!("{series}, {},", span.spoken()) };
    (class, format!("Over {over} Bellwether would have raised {raised}; {kept}.{}", agreement(summary)))
}

fn cannot_say(all: usize) -> String {
    if all == 1 {
        "The one series could not be judged; the reason is below.".to_owned()
    } else {
        format!("None of the {} series could be judged; the reasons are below.", grouped(all as f64))
    }
}

/// What the labels say to that.
fn agreement(summary: &Summary) -> String {
    let Some(labelled) = &summary.totals.labelled else { return String::new() };
    if labelled.segments == 0 {
        return String::new();
    }
    let of_labelled = || summary.series.iter().filter_map(|s| Some((s, s.labelled.as_ref()?)));
    let wrong: usize = of_labelled().map(|(_, l)| l.false_alerts).sum();
    let known: usize = of_labelled().map(|(_, l)| l.right_alerts + l.false_alerts).sum();
    let found = match (labelled.detected, labelled.segments) {
        (1, 1) => " It noticed the one labelled anomaly".to_owned(),
        (0, 1) => " It did not notice the one labelled anomaly".to_owned(),
        (found, all) if found == all => format!(" It noticed all {} labelled anomalies", grouped(all as f64)),
        (0, all) => format!(" It noticed none of the {} labelled anomalies", grouped(all as f64)),
        (found, all) => format!(" It noticed {} of the {} labelled anomalies", grouped(found as f64), grouped(all as f64)),
    };
    let about = match wrong {
        0 => "no alert was about anything else".to_owned(),
        1 => "1 alert was about something else".to_owned(),
        n => format!("{} alerts were about something else", grouped(n as f64)),
    };
    let apart = match summary.totals.alerts.saturating_sub(known) {
        0 => String::new(),
        1 => " 1 alert came where there is no label to hold it against.".to_owned(),
        n => format!(" {} alerts came where there is no label to hold them against.", grouped(n as f64)),
    };
    format!("{found}; {about}.{apart}")
}
