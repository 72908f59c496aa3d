//! The part of PromQL that people and our discovery use, over a [`Shop`], with the results of Prometheus 2.
//!
//! There are instant and range selectors with all matchers, `offset` and `@`; all arithmetic, comparison and
//! set operators with vector matching; the aggregations but `count_values` and `limitk`; `rate` and its kin
//! with Prometheus' extrapolation; the `_over_time` functions; `histogram_quantile`; and the plain maths.
//! Subqueries, native histograms and the functions on labels are refused by name.
//!
//! Each node of a query is evaluated once for all steps: a vector is a set of lines with one value a step.

mod aggregate;
mod binary;
mod function;
mod histogram;
mod range;
mod select;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use promql_parser::parser::{self, Expr};

use super::shop::Shop;
use crate::clock::{DurationMs, Timestamp};
use crate::series::SeriesKey;

/// The longest query in bytes.
const LONGEST: usize = 4096;
/// The deepest nesting of a query.
const DEEPEST: usize = 100;
/// The most values one node of a query may yield, as Prometheus limits samples.
const MOST_VALUES: usize = 50_000_000;

/// What a line has where it has no value; a NaN that was computed is another and is a value.
pub(super) const ABSENT: f64 = f64::from_bits(0x7ff8_6162_7365_6e74);

fn absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// The present values among `values`, with their places.
fn present(values: &[f64]) -> impl Iterator<Item = (usize, f64)> {
    values.iter().copied().enumerate().filter(|(_, v)| !absent(*v))
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The query is not PromQL, or does not fit the request.
    #[error("{0}")]
    BadData(String),
    /// The query is PromQL but cannot be evaluated.
    #[error("{0}")]
    Execution(String),
}

type Result<T> = std::result::Result<T, QueryError>;

fn execution<T>(message: impl Into<String>) -> Result<T> {
    Err(QueryError::Execution(message.into()))
}

/// The times at which a query is evaluated: `len` of them from `start` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The first.
    pub start: Timestamp,
    /// From one to the next.
    pub step: DurationMs,
    /// How many.
    pub len: usize,
}

impl Grid {
    /// From `start` to at most `end`; a step of zero leaves `start` alone.
    pub fn between(start: Timestamp, end: Timestamp, step: DurationMs) -> Self {
        Self { start, step, len: if end < start { 0 } else { end.since(start).steps(step) + 1 } }
    }

    /// One time alone.
    pub fn instant(time: Timestamp) -> Self {
        Self { start: time, step: DurationMs::from_millis(1), len: 1 }
    }

    /// Time number `i`.
    pub fn time(&self, i: usize) -> Timestamp {
        self.start + self.step * i64::try_from(i).unwrap_or(i64::MAX)
    }
}

/// One element of a vector, over all times.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its labels.
    pub key: SeriesKey,
    values: Vec<f64>,
}

impl Line {
    /// The values that are there, each with the number of its time; a NaN among them was computed.
    pub fn points(&self) -> impl Iterator<Item = (usize, f64)> {
        present(&self.values)
    }
}

/// A series and its raw samples.
pub type RawSeries = (SeriesKey, Vec<(Timestamp, f64)>);

/// What a query yields.
#[derive(Clone, Debug)]
pub enum Answer {
    /// One number a time.
    Scalar(Vec<f64>),
    /// Lines in order of their labels; for one time alone, in the order `sort` or `topk` gave them.
    Vector(Vec<Line>),
    /// Raw samples of a range selector, for one time alone.
    Matrix(Vec<RawSeries>),
    /// A text, for one time alone.
    Text(String),
}

/// Evaluates `query` over `shop` at the times of `grid`, from samples not after `horizon`.
///
/// # Errors
/// A query that Prometheus would refuse too, or one that is beyond what the shop can evaluate.
pub fn evaluate(shop: &Shop, query: &str, grid: Grid, horizon: Timestamp) -> Result<Answer> {
    let expr = parse(query)?;
    let evaluator = Evaluator { shop, grid, horizon };
    let one = grid.len == 1;
    match &expr {
        Expr::StringLiteral(text) if one => Ok(Answer::Text(text.val.clone())),
        Expr::MatrixSelector(selector) if one => Ok(Answer::Matrix(evaluator.samples_of(selector)?)),
        Expr::StringLiteral(_) | Expr::MatrixSelector(_) | Expr::Subquery(_) if !one => {
            let kind = if matches!(expr, Expr::StringLiteral(_)) { "string" } else { "range vector" };
            bad_data(format!("invalid expression type \"{kind}\" for range query, must be Scalar or instant Vector"))
        }
        _ => match evaluator.value(&expr, 0)? {
            Value::Scalar(values) => Ok(Answer::Scalar(values)),
            Value::Vector(lines) => {
                let mut lines = merged(lines)?;
                if !one {
                    lines.sort_by(|a, b| a.key.cmp(&b.key));
                }
                Ok(Answer::Vector(lines))
            }
        },
    }
}

fn bad_data<T>(message: String) -> Result<T> {
    Err(QueryError::BadData(message))
}

fn parse(query: &str) -> Result<Expr> {
    if query.len() > LONGEST {
        return bad_data(format!("invalid parameter \"query\": {} bytes; at most {LONGEST} are read", query.len()));
    }
    parser::parse(query).map_err(|e| QueryError::BadData(format!("invalid parameter \"query\": parse error: {e}")))
}

/// The series that a `match[]` parameter selects.
pub(super) fn selected(shop: &Shop, selector: &str) -> Result<Vec<usize>> {
    match parser::parse(selector) {
        Ok(Expr::VectorSelector(selector)) => Ok(select::matching(shop, &selector)),
        Ok(_) => bad_data(format!("invalid parameter \"match[]\": `{selector}` is not a series selector")),
        Err(e) => bad_data(format!("invalid parameter \"match[]\": parse error: {e}")),
    }
}

/// What a node of a query yields.
enum Value {
    Scalar(Vec<f64>),
    Vector(Vec<Line>),
}

struct Evaluator<'a> {
    shop: &'a Shop,
    grid: Grid,
    horizon: Timestamp,
}

impl Evaluator<'_> {
    fn value(&self, expr: &Expr, depth: usize) -> Result<Value> {
        if depth > DEEPEST {
            return execution(format!("the query is nested more than {DEEPEST} deep"));
        }
        match expr {
            Expr::NumberLiteral(number) => Ok(Value::Scalar(vec![number.val; self.grid.len])),
            Expr::Paren(inner) => self.value(&inner.expr, depth + 1),
            Expr::Unary(inner) => Ok(match self.value(&inner.expr, depth + 1)? {
                Value::Scalar(values) => Value::Scalar(values.into_iter().map(|v| -v).collect()),
                Value::Vector(lines) => Value::Vector(mapped(lines, |_, v| -v)),
            }),
            Expr::VectorSelector(selector) => self.instant(selector).map(Value::Vector),
            Expr::Binary(binary) => self.binary(binary, depth + 1),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, depth + 1).map(Value::Vector),
            Expr::Call(call) => self.call(call, depth + 1),
            Expr::Subquery(_) => execution("the simulated shop evaluates no subqueries"),
            Expr::MatrixSelector(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {
                execution(format!("`{expr}` stands where a number or an instant vector is needed"))
            }
        }
    }

    fn vector(&self, expr: &Expr, depth: usize) -> Result<Vec<Line>> {
        match self.value(expr, depth)? {
            Value::Vector(lines) => Ok(lines),
            Value::Scalar(_) => execution(format!("`{expr}` is a number where an instant vector is needed")),
        }
    }

    fn scalar(&self, expr: &Expr, depth: usize) -> Result<Vec<f64>> {
        match self.value(expr, depth)? {
            Value::Scalar(values) => Ok(values),
            Value::Vector(_) => execution(format!("`{expr}` is an instant vector where a number is needed")),
        }
    }
}

/// The lines with `f` of place and value, without their metric names.
fn mapped(lines: Vec<Line>, f: impl Fn(usize, f64) -> f64) -> Vec<Line> {
    lines
        .into_iter()
        .map(|mut line| {
            for (i, value) in line.values.iter_mut().enumerate() {
                if !absent(*value) {
                    *value = f(i, *value);
                }
            }
            Line { key: unnamed(&line.key), values: line.values }
        })
        .collect()
}

/// The labels without the metric's name.
fn unnamed(key: &SeriesKey) -> SeriesKey {
    key_where(key, |name| name != "__name__")
}

/// The labels whose names `keep` keeps.
fn key_where(key: &SeriesKey, keep: impl Fn(&str) -> bool) -> SeriesKey {
    SeriesKey::new(key.labels().iter().filter(|(name, _)| keep(name)).map(|(n, v)| (n.clone(), v.clone())))
}

/// Adds what `from` has to where `into` has nothing; `false` where both have something.
fn merge(into: &mut [f64], from: &[f64]) -> bool {
    into.iter_mut().zip(from).all(|(a, b)| {
        let both = !absent(*a) && !absent(*b);
        if absent(*a) {
            *a = *b;
        }
        !both
    })
}

/// Lines without a value dropped, lines of the same labels made one: two values at one time are an error.
fn merged(lines: Vec<Line>) -> Result<Vec<Line>> {
    let mut places: BTreeMap<SeriesKey, usize> = BTreeMap::new();
    let mut result: Vec<Line> = Vec::with_capacity(lines.len());
    for line in lines.into_iter().filter(|line| line.points().next().is_some()) {
        match places.entry(line.key.clone()) {
            Entry::Vacant(place) => {
                place.insert(result.len());
                result.push(line);
            }
            Entry::Occupied(place) => {
                if !merge(&mut result[*place.get()].values, &line.values) {
                    return execution("vector cannot contain metrics with the same labelset");
                }
            }
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests;
