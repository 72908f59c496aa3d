//! Metrics of services in four columns, `timestamp`, `service`, `metric` and `value`, and who calls whom in two.

use std::collections::BTreeMap;
use std::path::Path;

use polars::prelude::DataFrame;

use super::Limits;
use super::cells::Cells;
use super::long::each_table;
use super::named::Named;
use crate::clock::Timestamp;
use crate::correlation::diagnose::MetricSeries;
use crate::error::Result;

const METRICS: [&str; 4] = ["timestamp", "service", "metric", "value"];
const CALLS: [&str; 2] = ["source", "target"];

/// Reads the metrics of services, in order of service and metric.
///
/// # Errors
/// The file cannot be read, is over a limit, lacks a column or holds something else.
pub fn read_metrics(path: &Path, limits: Limits) -> Result<Vec<MetricSeries>> {
    let mut series: BTreeMap<(String, String), (Vec<Timestamp>, Vec<f64>)> = BTreeMap::new();
    let mut unit = None;
    each_table(path, limits, |file, table, before| {
        let times = cells(file, table, METRICS[0], &METRICS, before)?.times(&mut unit)?;
        let services = texts(file, table, METRICS[1], &METRICS, before)?;
        let metrics = texts(file, table, METRICS[2], &METRICS, before)?;
        let values = cells(file, table, METRICS[3], &METRICS, before)?.numbers()?;
        for (key, (time, value)) in services.into_iter().zip(metrics).zip(times.into_iter().zip(values)) {
            let one = series.entry(key).or_default();
            one.0.push(time);
            one.1.push(value);
        }
        Ok(())
    })?;
    if series.is_empty() {
        return Err(Named(path).fault("has no rows"));
    }
    let named =
        series.into_iter().map(|((service, metric), (times, values))| MetricSeries { service, metric, times, values, measures: None });
    Ok(named.collect())
}

/// Reads who calls whom: caller and callee.
///
/// # Errors
/// The file cannot be read, is over a limit or lacks a column.
pub fn read_calls(path: &Path, limits: Limits) -> Result<Vec<(String, String)>> {
    let mut calls = Vec::new();
    each_table(path, limits, |file, table, before| {
        let callers = texts(file, table, CALLS[0], &CALLS, before)?;
        calls.extend(callers.into_iter().zip(texts(file, table, CALLS[1], &CALLS, before)?));
        Ok(())
    })?;
    Ok(calls)
}

fn cells<'a>(file: Named<'a>, table: &'a DataFrame, name: &str, all: &[&str], before: usize) -> Result<Cells<'a>> {
    Cells::of(file, table, before, name, || format!("the columns are {}", all.join(", ")))
}

fn texts(file: Named<'_>, table: &DataFrame, name: &str, all: &[&str], before: usize) -> Result<Vec<String>> {
    let mut texts = Vec::with_capacity(table.height());
    cells(file, table, name, all, before)?.for_each_text(|text| texts.push(text.to_owned()))?;
    Ok(texts)
}
