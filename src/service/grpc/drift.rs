//! `AnalysisService.TestDrift`: the request as it must be, and what is answered.

use crate::analysis::drift::{Categories, Column, ColumnDrift, InvalidDrift, Options, Report, Rule, Test, Values, test_columns};
use crate::clock::{DurationMs, Timestamp};
use crate::engine::histograms::{FeatureHistograms, Windows};
use crate::error::{Error, Result};
use crate::proto as pb;
use crate::service::convert;

/// The most features of one request.
const MOST_FEATURES: usize = 10_000;

/// The options of a request.
///
/// # Errors
/// The field that is wrong.
pub(super) fn options(request: &pb::TestDriftRequest) -> Result<Options> {
    let test = |field: &str, name: &str| -> Result<Option<Test>> {
        match name {
            "" => Ok(None),
            name => name.parse().map(Some).map_err(|what: String| Error::invalid(field, what)),
        }
    };
    let rule = match request.rule() {
        pb::DriftRule::Unspecified | pb::DriftRule::Evidently => Rule::Evidently,
        pb::DriftRule::Calibrated => Rule::Calibrated { least_effect: request.least_effect.unwrap_or(LEAST_EFFECT) },
    };
    let options = Options {
        numeric: test("numeric_test", &request.numeric_test)?,
        categorical: test("categorical_test", &request.categorical_test)?,
        numeric_threshold: request.numeric_threshold,
        categorical_threshold: request.categorical_threshold,
        share: request.share.unwrap_or(Options::default().share),
        rule,
    };
    options.check().map_err(|e| invalid(&e))?;
    Ok(options)
}

/// What counts where the request does not say: a tenth of the probability moved.
const LEAST_EFFECT: f64 = 0.1;

/// Which histograms a request asks for.
///
/// # Errors
/// The field that is wrong.
pub(super) fn windows(asked: &pb::HistogramWindows, now: Timestamp) -> Result<Windows> {
    let time = |field: &str, time: &Option<prost_types::Timestamp>| {
        time.as_ref().map(|t| convert::read_time(&format!("histograms.{field}"), t)).transpose()
    };
    let reference_end = time("reference_end", &asked.reference_end)?
        .ok_or_else(|| Error::invalid("histograms.reference_end", "is missing; say when what is usual ended"))?;
    let window =
        asked.window.as_ref().map_or(Ok(DurationMs::DAY), |d| convert::read_duration("histograms.window", d, DurationMs::from_secs(1)))?;
    Ok(Windows {
        selector: asked.selector.clone(),
        by: asked.by.clone(),
        reference_end,
        current_end: time("current_end", &asked.current_end)?.unwrap_or(now),
        window,
    })
}

/// Tests the tables of a request.
///
/// # Errors
/// A table that is wrong.
pub(super) fn test_tables(tables: pb::FeatureTables, options: &Options) -> Result<pb::TestDriftResponse> {
    let read = |field: &str, columns: Vec<pb::FeatureColumn>| -> Result<Vec<Column>> {
        if columns.len() > MOST_FEATURES {
            return Err(Error::invalid(field, format!("{} features; at most {MOST_FEATURES} are taken", columns.len())));
        }
        columns.into_iter().enumerate().map(|(i, column)| feature(&format!("{field}[{i}]"), column)).collect()
    };
    let reference = read("tables.reference", tables.reference)?;
    let current = read("tables.current", tables.current)?;
    let report = test_columns(&reference, &current, options).map_err(|e| invalid(&e))?;
    Ok(answer(&report))
}

fn feature(field: &str, column: pb::FeatureColumn) -> Result<Column> {
    let pb::FeatureColumn { name, numbers, integers, categories } = column;
    let given = [numbers.len(), integers.len(), categories.len()].into_iter().filter(|n| *n > 0).count();
    if given > 1 {
        return Err(Error::invalid(field, format!("`{name}` has values of several kinds; give numbers, integers or categories")));
    }
    let values = if !integers.is_empty() {
        Values::Integer(integers)
    } else if !categories.is_empty() {
        Values::Categorical(categories.iter().map(|c| (!c.is_empty()).then_some(c)).collect::<Categories>())
    } else {
        Values::Numeric(numbers)
    };
    Ok(Column { name, values })
}

fn invalid(error: &InvalidDrift) -> Error {
    let field = match error {
        InvalidDrift::Option { field: "numeric", .. } => "numeric_test",
        InvalidDrift::Option { field: "categorical", .. } => "categorical_test",
        InvalidDrift::Option { field, .. } => field,
        _ => "tables",
    };
    Error::invalid(field, error.to_string())
}

fn answer(report: &Report) -> pb::TestDriftResponse {
    pb::TestDriftResponse {
        features: report.columns.iter().map(of_column).collect(),
        drifted_features: report.drifted_columns as u32,
        judged_features: report.judged_columns as u32,
        drifted: report.drifted == Some(true),
        warnings: Vec::new(),
    }
}

fn of_column(column: &ColumnDrift) -> pb::FeatureDrift {
    let counted = pb::FeatureDrift {
        name: column.name.clone(),
        reference_count: column.reference_n as f64,
        current_count: column.current_n as f64,
        ..Default::default()
    };
    match &column.outcome {
        Err(why) => pb::FeatureDrift { cannot_say: why.to_string(), ..counted },
        Ok(o) => pb::FeatureDrift {
            test: o.test.name().to_owned(),
            statistic: o.statistic,
            p_value: o.p_value,
            adjusted_p: o.adjusted_p,
            effect: o.effect,
            threshold: o.threshold,
            drifted: o.drifted,
            ..counted
        },
    }
}

/// What is answered of histograms, judged by the calibrated rule.
pub(super) fn of_histograms(found: &FeatureHistograms, options: &Options) -> pb::TestDriftResponse {
    let least_effect = match options.rule {
        Rule::Calibrated { least_effect } => least_effect,
        Rule::Evidently => LEAST_EFFECT,
    };
    let features: Vec<pb::FeatureDrift> = found.judged(least_effect).iter().map(convert::feature_drift).collect();
    let judged = features.iter().filter(|f| f.cannot_say.is_empty()).count();
    let drifted = features.iter().filter(|f| f.drifted).count();
    pb::TestDriftResponse {
        drifted: judged > 0 && drifted as f64 >= options.share * judged as f64,
        drifted_features: drifted as u32,
        judged_features: judged as u32,
        features,
        warnings: Vec::new(),
    }
}
