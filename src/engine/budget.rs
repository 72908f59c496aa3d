//! How the alert budget is divided: what a monitor has of its own is taken from the whole, and the series of all other
//! monitors share the rest. The engine and the backtest divide by the same rule, so that both judge by the same bound.

use crate::analysis::calibrate;
use crate::clock::DurationMs;
use crate::monitor::Monitor;

/// Sums of decimals are off by less than this fraction of them.
const ROUNDING: f64 = 1e-9;
/// Monitors that an error names.
const MOST_NAMED: usize = 5;

/// False incidents accepted a day, and how many series may cause them together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// False incidents a day.
    pub per_day: f64,
    /// How many series.
    pub series: usize,
}

/// The whole budget, divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    rest: Share,
}

impl Share {
    /// The p-value at which a point's score is 1, for series with a point each `step`.
    pub fn alpha(self, step: DurationMs) -> f64 {
        let points_per_day = DurationMs::DAY.millis() as f64 / step.millis().max(1) as f64;
        calibrate::bound(self.per_day, self.series, points_per_day)
    }
}

impl Budget {
    /// Divides `per_day` false incidents a day among `monitors`, each with the number of its series. Where that is not
    /// known yet, there will be about as many as of a monitor where it is.
    pub fn divide<'a>(per_day: f64, monitors: impl IntoIterator<Item = (&'a Monitor, Option<usize>)>) -> Self {
        let (mut own, mut sum, mut known, mut all) = (0.0, 0, 0, 0);
        for (monitor, series) in monitors {
            if let Some(per_day) = monitor.alert_budget_per_day {
                own += per_day;
                continue;
            }
            all += 1;
            known += usize::from(series.is_some());
            sum += series.unwrap_or(0);
        }
        let series = (sum * all).checked_div(known).unwrap_or(0);
        Self { rest: Share { per_day: (per_day - own).max(0.0), series } }
    }

    /// What `monitor`, which has so many `series`, may spend: its own, or with all others that have none the rest.
    pub fn share(self, monitor: &Monitor, series: usize) -> Share {
        match monitor.alert_budget_per_day {
            Some(per_day) => Share { per_day, series },
            None => Share { series: self.rest.series.max(series), ..self.rest },
        }
    }
}

/// What is wrong with a whole budget of `per_day`, if anything, as the end of a sentence about it: the own budgets of
/// `monitors` must fit into it, and leave something where a monitor without one, or one that discovery may propose, is to
/// share it.
pub fn misfit(per_day: f64, monitors: &[Monitor], discovery: bool) -> Option<String> {
    let own: Vec<(&str, f64)> = monitors.iter().filter_map(|m| Some((m.name.as_str(), m.alert_budget_per_day?))).collect();
    let sum: f64 = own.iter().map(|(_, per_day)| per_day).sum();
    let slack = per_day * ROUNDING;
    let without = monitors.len() - own.len();
    let (fits, wanted) = if without > 0 || discovery {
        let who = match without {
            0 => "what discovery proposes".to_owned(),
            1 => "1 monitor without one".to_owned(),
            n => format!("{n} monitors without one"),
        };
        (own.is_empty() || sum < per_day - slack, format!("more than {}, so that something is left for {who}", shown(sum)))
    } else {
        (sum <= per_day + slack, format!("at least {}", shown(sum)))
    };
    if fits {
        return None;
    }
    let named: Vec<String> = own.iter().take(MOST_NAMED).map(|(name, per_day)| format!("{name} {per_day}")).collect();
    let dots = if own.len() > MOST_NAMED { ", …" } else { "" };
    Some(format!("is {per_day}, and the monitors' own budgets take {} of it ({}{dots}); it must be {wanted}", shown(sum), named.join(", ")))
}

/// A sum without what rounding added to it.
fn shown(sum: f64) -> f64 {
    (sum * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests;
