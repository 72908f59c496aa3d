//! What is forecast of monitors and tested for drift.

use super::guards::calendar;
use super::{duration, exhaustion, labels, time};
use crate::engine::forecasting::SeriesOutlook;
use crate::engine::histograms::JudgedHistogram;
use crate::monitor::{DriftPlan, ForecastPlan, Limit, Reference};
use crate::proto as pb;

pub fn forecast(plan: &ForecastPlan) -> pb::ForecastPlan {
    pb::ForecastPlan {
        horizon: Some(duration(plan.horizon)),
        step: Some(duration(plan.step)),
        window: Some(duration(plan.window)),
        limit: plan.limit.as_ref().map(|limit| match limit {
            Limit::Value(value) => pb::forecast_plan::Limit::LimitValue(*value),
            Limit::Query(query) => pb::forecast_plan::Limit::LimitQuery(query.clone()),
        }),
        events: plan.events.iter().map(calendar).collect(),
    }
}

pub fn drift(plan: &DriftPlan) -> pb::DriftPlan {
    pb::DriftPlan {
        by: plan.by.clone(),
        window: Some(duration(plan.window)),
        every: Some(duration(plan.every)),
        reference: Some(match plan.reference {
            Reference::Until(until) => pb::drift_plan::Reference::Until(time(until)),
            Reference::Before(before) => pb::drift_plan::Reference::Before(duration(before)),
            Reference::Deployment => pb::drift_plan::Reference::Deployment(true),
        }),
        least_effect: plan.least_effect,
    }
}

pub fn series_outlook(one: &SeriesOutlook) -> pb::SeriesOutlook {
    pb::SeriesOutlook {
        labels: labels(&one.key),
        value: one.value,
        yhat: one.yhat,
        yhat_lower: one.bounds.0,
        yhat_upper: one.bounds.1,
        exhaustion: one.reach.map(|(limit, _, reach)| exhaustion(limit, reach)),
        open: one.is_open,
        cannot_say: one.cannot_say.clone().unwrap_or_default(),
    }
}

/// The distances of one feature's histograms.
pub fn feature_drift(one: &JudgedHistogram) -> pb::FeatureDrift {
    let named = pb::FeatureDrift { name: one.key.to_string(), test: "ks".to_owned(), threshold: one.alpha, ..Default::default() };
    match &one.outcome {
        Err(why) => pb::FeatureDrift { cannot_say: why.clone(), ..named },
        Ok(drift) => pb::FeatureDrift {
            statistic: drift.found.ks.value,
            effect: drift.found.ks.value,
            p_value: Some(drift.found.p_value),
            adjusted_p: Some(drift.adjusted_p),
            drifted: drift.drifted,
            reference_count: drift.reference_count,
            current_count: drift.current_count,
            histogram: Some(pb::HistogramDistances {
                ks_least: drift.found.ks.least,
                ks_most: drift.found.ks.most,
                wasserstein: drift.found.wasserstein.value,
                wasserstein_least: drift.found.wasserstein.least,
                wasserstein_most: drift.found.wasserstein.most,
                psi: drift.found.psi.value,
                psi_least: drift.found.psi.least,
                psi_most: drift.found.psi.most,
                jensen_shannon: drift.found.jensen_shannon.value,
                jensen_shannon_least: drift.found.jensen_shannon.least,
                jensen_shannon_most: drift.found.jensen_shannon.most,
                chi_square: drift.found.chi_square.value,
                chi_square_least: drift.found.chi_square.least,
                chi_square_most: drift.found.chi_square.most,
                chi_square_p: drift.found.chi_square_p,
            }),
            ..named
        },
    }
}
