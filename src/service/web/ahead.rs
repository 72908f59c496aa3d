//! What is forecast of a monitor's series, and how far its features have drifted.

use maud::{Markup, html};

use super::{ago, scrolling};
use crate::analysis::drift::Bounded;
use crate::clock::Timestamp;
use crate::engine::drifting::{Drift, feature_name};
use crate::engine::forecasting::{Outlook, SeriesOutlook};
use crate::engine::histograms::{Judged, JudgedHistogram};
use crate::metric::Unit;
use crate::monitor::{ForecastPlan, Monitor, Reference};

/// The forecasts of a monitor with a plan for them.
pub(super) fn outlook(monitor: &Monitor, plan: &ForecastPlan, outlook: &Outlook, now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="forecast" {
            h2 #forecast { "The next " (plan.horizon) }
            @if let Some(error) = &outlook.last_error { p.failed role="alert" { "The last forecast failed: " (error) } }
            @match outlook.made {
                Some(made) => { p.muted { "Forecast " (ago(made, now)) " from " (plan.window) " in steps of " (plan.step) "; bounds hold with a chance of 90 %." } }
                None => { p.muted { "Nothing is forecast yet." } }
            }
            @if !outlook.series.is_empty() { (scrolling("Forecasts", &outlooks(monitor.unit, &outlook.series))) }
        }
    }
}

fn outlooks(unit: Unit, series: &[SeriesOutlook]) -> Markup {
    let show = |v: f64| if v.is_finite() { unit.show(v) } else { "–".to_owned() };
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Series" }
                    th.number scope="col" { "Now" }
                    th.number scope="col" { "Then" }
                    th.number scope="col" { "Between" }
                    th scope="col" { "Limit" }
                }
            }
            tbody {
                @for one in series {
                    tr {
                        th scope="row" { code.query { (one.key) } }
                        td.number { (show(one.value)) }
                        td.number { (show(one.yhat)) }
                        td.number { (show(one.bounds.0)) " and " (show(one.bounds.1)) }
                        td {
                            @match (&one.cannot_say, one.reach) {
                                (Some(reason), _) => { span.badge.plain { "cannot say" } " " (reason) }
                                (None, None) => { "none" }
                                (None, Some((limit, _, reach))) => {
                                    @if one.is_open { span.badge.warning { "alert" } " " }
                                    (reach.in_words(&unit.show(limit), Timestamp::as_date))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The features of a monitor of drift.
pub(super) fn drift(reference: Reference, drift: &Drift) -> Markup {
    let usual = match reference {
        Reference::Until(_) => "a fixed window",
        Reference::Before(_) => "a window that moves along",
        Reference::Deployment => "the first window since the last deployment",
    };
    html! {
        section aria-labelledby="features" {
            h2 #features { (drift.features.len()) " features" }
            @match drift.ends {
                Some((before, now)) => { p.muted { "The window until " (now.as_date()) " against " (usual) ", until " (before.as_date()) "." } }
                None => { p.muted { "Nothing is tested yet." } }
            }
            @if !drift.features.is_empty() { (scrolling("Features", &features(&drift.features))) }
        }
    }
}

fn features(features: &[JudgedHistogram]) -> Markup {
    let show = |v: f64| Unit::None.show(v);
    // What the values themselves may have, where the buckets leave it open.
    let bounded = |of: Bounded| {
        html! {
            (show(of.value))
            @if let Some(open) = of.in_words(show) { br; span.muted { (open) } }
        }
    };
    let cells = |judged: &Judged| {
        let found = &judged.found;
        html! {
            td { @if judged.drifted { span.badge.warning { "drifted" } } @else { "as before" } }
            td.number { (bounded(found.ks)) }
            td.number { (bounded(found.psi)) }
            td.number { (bounded(found.wasserstein)) }
            td.number { (format!("{:.1e}", judged.adjusted_p)) }
            td.number { (show(judged.reference_count.round())) " / " (show(judged.current_count.round())) }
        }
    };
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Feature" }
                    th scope="col" { "Verdict" }
                    th.number scope="col" { "Kolmogorov–Smirnov" }
                    th.number scope="col" { "PSI" }
                    th.number scope="col" { "Wasserstein" }
                    th.number scope="col" { "p-value" }
                    th.number scope="col" { "Observations before / now" }
                }
            }
            tbody {
                @for one in features {
                    tr {
                        th scope="row" { (feature_name(&one.key)) }
                        @match &one.outcome {
                            Ok(judged) => (cells(judged)),
                            Err(reason) => { td colspan="6" { span.badge.plain { "cannot say" } " " (reason) } }
                        }
                    }
                }
            }
        }
    }
}
