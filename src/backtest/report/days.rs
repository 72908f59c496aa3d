//! Alerts per day, held against the budget.

use maud::{Markup, html};

use super::{ends, number};
use crate::backtest::files::agreement::alerts;
use crate::backtest::summary::Summary;
use crate::clock::{DurationMs, Timestamp};
use crate::plot::axis;
use crate::plot::page::counted;
use crate::plot::svg::{Bar, Bars, bars};

/// The most bars; where there are more days, a bar stands for several.
const MOST_BARS: usize = 120;
/// Days that a bar may stand for.
const WIDTHS: [usize; 7] = [1, 7, 28, 91, 365, 3650, 36_500];
/// Where the series together last longer than the longest of them times this, they were not measured at the same time.
const APART: f64 = 1.5;

pub(super) fn section(summary: &Summary) -> Markup {
    let Some(days) = Days::of(summary) else { return html! {} };
    let drawn = days.bars(summary);
    let left_out: usize = summary.series.iter().map(|s| s.findings_left_out).sum();
    let labelled = summary.totals.labelled.is_some();
    let over = drawn.bars.iter().any(|bar| bar.parts.iter().any(|(class, height)| *class == "over" && *height > 0.0));
    html! {
        section aria-labelledby="days" {
            h2 #days { "Alerts per day" }
            figure.panel {
                (bars(&drawn))
                figcaption {
                    span.key.count { @if labelled { "alerts that agree with no label" } @else { "alerts" } }
                    @if over { span.key.over { "the same, on a day above the budget" } }
                    @if labelled { span.key.right { "alerts about a labelled anomaly" } }
                    span.key.limit { "budget" }
                    @if over && summary.totals.budget_kept == Some(true) { span.muted { "the budget is kept on average" } }
                    @if days.width > 1 { span.muted { "each bar is the average of " (days.width) " days" } }
                    @if days.calendar.is_none() { span.muted { "the series are of different times: day 1 is the first of each" } }
                    @if left_out > 0 { span.muted { "without " (counted(left_out, "finding")) " that the summary only counts" } }
                }
            }
        }
    }
}

/// Alerts by day.
struct Days {
    /// The midnight before the first day; `None` where days are counted from each series' first value.
    calendar: Option<Timestamp>,
    /// How many there are.
    count: usize,
    /// Days in a bar.
    width: usize,
    /// Alerts of each bar: those that are right by the labels, and all others.
    right: Vec<usize>,
    others: Vec<usize>,
}

impl Days {
    fn of(summary: &Summary) -> Option<Self> {
        let (first, last) = ends(summary)?;
        let longest = summary.series.iter().map(|s| s.last.since(s.first)).max()?;
        let together = last.since(first).seconds() <= longest.max(DurationMs::DAY).seconds() * APART;
        let calendar = together.then(|| first.align_down(DurationMs::DAY));
        let count = calendar.map_or(longest, |start| last.since(start)).steps(DurationMs::DAY) + 1;
        let width = WIDTHS.into_iter().find(|width| count.div_ceil(*width) <= MOST_BARS).unwrap_or(count);
        let mut right = vec![0; count.div_ceil(width)];
        let mut others = right.clone();
        for series in &summary.series {
            for alert in alerts(&series.findings).into_iter().map(|places| &series.findings[places]) {
                let Some(first) = alert.first() else { continue };
                let bar = first.onset.since(calendar.unwrap_or(series.first)).steps(DurationMs::DAY) / width;
                let agrees = alert.iter().any(|found| found.right == Some(true));
                if let Some(bar) = if agrees { right.get_mut(bar) } else { others.get_mut(bar) } {
                    *bar += 1;
                }
            }
        }
        Some(Self { calendar, count, width, right, others })
    }

    fn bars(&self, summary: &Summary) -> Bars {
        let budget = summary.totals.budget_per_day;
        let bar = |i: usize| {
            // The last bar may stand for fewer days.
            let days = self.width.min(self.count - i * self.width).max(1) as f64;
            let (right, others) = (self.right[i] as f64 / days, self.others[i] as f64 / days);
            let class = if others > budget { "over" } else { "count" };
            Bar { title: self.title(i), parts: vec![(class, others), ("right", right)] }
        };
        Bars {
            title: "alerts per day".to_owned(),
            bars: (0..self.others.len()).map(bar).collect(),
            line: Some((budget, format!("budget: {} a day", number(budget)))),
            ticks: self.ticks(),
        }
    }

    /// What a bar stands for: `Nov 20: 3 alerts`.
    fn title(&self, i: usize) -> String {
        let (first, last) = (i * self.width, ((i + 1) * self.width).min(self.count) - 1);
        let name = |day: usize| match self.calendar {
            Some(start) => (start + DurationMs::DAY * day as i64).format("%Y-%m-%d"),
            None => format!("day {}", day + 1),
        };
        let when = if first == last { name(first) } else { format!("{} to {}", name(first), name(last)) };
        let words = format!("{when}: {}", counted(self.right[i] + self.others[i], "alert"));
        if self.right[i] > 0 { format!("{words}, {} about a labelled anomaly", self.right[i]) } else { words }
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        let place = |days: f64| days / self.width as f64;
        if let Some(start) = self.calendar {
            let end = start + DurationMs::DAY * self.count as i64;
            let days = |time: Timestamp| time.since(start).seconds() / DurationMs::DAY.seconds();
            // A label stands below the middle of its day.
            let middle = |day: f64| if self.width == 1 { place(day + 0.5) } else { place(day) };
            let times = axis::times(start, end - DurationMs::from_millis(1), 8);
            return times
                .into_iter()
                .filter(|(time, _)| days(*time).fract() == 0.0)
                .map(|(time, label)| (middle(days(time)), label))
                .collect();
        }
        let step = [1, 2, 5, 7, 14, 28, 91, 365, 3650, 36_500].into_iter().find(|step| self.count / step < 8).unwrap_or(self.count);
        (0..self.count).step_by(step).map(|day| (place(day as f64 + 0.5), format!("day {}", day + 1))).collect()
    }
}
