//! Function calls.

use promql_parser::label::MatchOp;
use promql_parser::parser::{Call, Expr, VectorSelector};

use super::{ABSENT, Evaluator, Line, Result, Value, absent, execution, histogram, mapped, merged, range};
use crate::series::SeriesKey;

/// Plain maths on each value.
fn plain(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sqrt" => f64::sqrt,
        "sgn" => |v| {
            if v > 0.0 {
                1.0
            } else if v < 0.0 {
                -1.0
            } else {
                v
            }
        },
        _ => return None,
    })
}

/// A part of the time of day or week, UTC, from seconds since the epoch.
fn calendar(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "minute" => |s| (s / 60.0).floor().rem_euclid(60.0),
        "hour" => |s| (s / 3600.0).floor().rem_euclid(24.0),
        // The epoch was a Thursday; Sunday is 0.
        "day_of_week" => |s| ((s / 86_400.0).floor() + 4.0).rem_euclid(7.0),
        _ => return None,
    })
}

impl Evaluator<'_> {
    pub(super) fn call(&self, call: &Call, depth: usize) -> Result<Value> {
        let name = call.func.name;
        let args: Vec<&Expr> = call.args.args.iter().map(AsRef::as_ref).collect();
        if let Some(f) = range::function(name) {
            return self.range_call(name, f, &args, depth).map(Value::Vector);
        }
        if let Some(f) = plain(name) {
            return Ok(Value::Vector(mapped(self.vector(argument(name, &args, 0)?, depth)?, |_, v| f(v))));
        }
        if let Some(f) = calendar(name) {
            let lines = match args.first() {
                Some(arg) => self.vector(arg, depth)?,
                None => vec![Line { key: SeriesKey::default(), values: self.seconds() }],
            };
            return Ok(Value::Vector(mapped(lines, |_, v| f(v))));
        }
        let vector = |i: usize| self.vector(argument(name, &args, i)?, depth);
        let scalar = |i: usize| self.scalar(argument(name, &args, i)?, depth);
        match name {
            "time" => Ok(Value::Scalar(self.seconds())),
            "pi" => Ok(Value::Scalar(vec![std::f64::consts::PI; self.grid.len])),
            "scalar" => Ok(Value::Scalar(self.only(&vector(0)?))),
            "vector" => Ok(Value::Vector(vec![Line { key: SeriesKey::default(), values: scalar(0)? }])),
            "clamp_min" => Ok(Value::Vector(bounded(vector(0)?, Some(&scalar(1)?), None))),
            "clamp_max" => Ok(Value::Vector(bounded(vector(0)?, None, Some(&scalar(1)?)))),
            "clamp" => Ok(Value::Vector(bounded(vector(0)?, Some(&scalar(1)?), Some(&scalar(2)?)))),
            "round" => {
                let to = if args.len() > 1 { scalar(1)? } else { vec![1.0; self.grid.len] };
                // The inverse, because 0.1 has no exact one and 10 has.
                Ok(Value::Vector(mapped(vector(0)?, |i, v| (v * (1.0 / to[i]) + 0.5).floor() / (1.0 / to[i]))))
            }
            "histogram_quantile" => Ok(Value::Vector(histogram::quantiles(&scalar(0)?, merged(vector(1)?)?))),
            "absent" => Ok(Value::Vector(self.missing(argument(name, &args, 0)?, &vector(0)?))),
            "absent_over_time" => {
                let arg = argument(name, &args, 0)?;
                let Some(f) = range::function("present_over_time") else { return Ok(Value::Vector(Vec::new())) };
                let there = self.range_call(name, f, &args, depth)?;
                Ok(Value::Vector(self.missing(arg, &there)))
            }
            "sort" | "sort_desc" => {
                let mut lines = vector(0)?;
                let first = |line: &Line| line.values.first().copied().unwrap_or(f64::NAN);
                lines.sort_by(|a, b| first(a).total_cmp(&first(b)));
                if name == "sort_desc" {
                    lines.reverse();
                }
                Ok(Value::Vector(lines))
            }
            _ => execution(format!("the simulated shop does not evaluate the function `{name}`")),
        }
    }

    /// A range function's arguments: the range selector, and for some a number before or after it.
    fn range_call(&self, name: &str, f: fn(&range::Stretch<'_>) -> Option<f64>, args: &[&Expr], depth: usize) -> Result<Vec<Line>> {
        let (mut selector, mut parameter) = (None, None);
        for arg in args {
            match inner(arg) {
                Expr::MatrixSelector(matrix) => selector = Some(matrix),
                Expr::Subquery(_) => return execution("the simulated shop evaluates no subqueries"),
                other => parameter = Some(self.scalar(other, depth)?),
            }
        }
        match selector {
            Some(selector) => merged(self.over_range(name, f, selector, parameter.as_deref())?),
            None => execution(format!("`{name}` needs a range such as [5m]")),
        }
    }

    /// The times of the grid in seconds.
    fn seconds(&self) -> Vec<f64> {
        (0..self.grid.len).map(|i| self.grid.time(i).seconds()).collect()
    }

    /// The value of the only line that has one; NaN at times where it is not the only one.
    fn only(&self, lines: &[Line]) -> Vec<f64> {
        let at = |i: usize| {
            let mut there = lines.iter().map(|line| line.values[i]).filter(|v| !absent(*v));
            match (there.next(), there.next()) {
                (Some(value), None) => value,
                _ => f64::NAN,
            }
        };
        (0..self.grid.len).map(at).collect()
    }

    /// 1 wherever none of `lines` has a value, with the labels that the selector demands.
    fn missing(&self, arg: &Expr, lines: &[Line]) -> Vec<Line> {
        let selector: Option<&VectorSelector> = match inner(arg) {
            Expr::VectorSelector(selector) => Some(selector),
            Expr::MatrixSelector(matrix) => Some(&matrix.vs),
            _ => None,
        };
        let demanded = selector.map(|s| s.matchers.matchers.as_slice()).unwrap_or_default();
        let once = |name: &str| demanded.iter().filter(|m| m.name == name).count() == 1;
        let labels = demanded.iter().filter(|m| matches!(m.op, MatchOp::Equal) && m.name != "__name__" && once(&m.name));
        let key = SeriesKey::new(labels.map(|m| (m.name.clone(), m.value.clone())));
        let at = |i: usize| if lines.iter().all(|line| absent(line.values[i])) { 1.0 } else { ABSENT };
        vec![Line { key, values: (0..self.grid.len).map(at).collect() }]
    }
}

fn argument<'a>(name: &str, args: &[&'a Expr], i: usize) -> Result<&'a Expr> {
    match args.get(i) {
        Some(arg) => Ok(arg),
        None => execution(format!("`{name}` lacks argument {}", i + 1)),
    }
}

/// The expression within parentheses.
fn inner(expr: &Expr) -> &Expr {
    let mut expr = expr;
    while let Expr::Paren(paren) = expr {
        expr = &paren.expr;
    }
    expr
}

fn bounded(lines: Vec<Line>, low: Option<&[f64]>, high: Option<&[f64]>) -> Vec<Line> {
    let crossed = |i: usize| low.zip(high).is_some_and(|(low, high)| low[i] > high[i]);
    let bound = |v: f64, i: usize| {
        let v = low.map_or(v, |low| if low[i].is_nan() { low[i] } else { v.max(low[i]) });
        high.map_or(v, |high| if high[i].is_nan() { high[i] } else { v.min(high[i]) })
    };
    let mut lines = mapped(lines, |i, v| if v.is_nan() { v } else { bound(v, i) });
    for line in &mut lines {
        for (i, value) in line.values.iter_mut().enumerate() {
            if crossed(i) {
                *value = ABSENT;
            }
        }
    }
    lines
}
