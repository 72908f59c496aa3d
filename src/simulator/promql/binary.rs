//! Binary operators and vector matching.

use std::collections::BTreeMap;

use promql_parser::parser::{BinModifier, BinaryExpr, LabelModifier, VectorMatchCardinality};

use super::{ABSENT, Evaluator, Line, Result, Value, absent, execution, key_where, merge, unnamed};
use crate::series::SeriesKey;

/// An operator on two numbers.
#[derive(Clone, Copy)]
enum Operator {
    Arithmetic(fn(f64, f64) -> f64),
    Comparison(fn(&f64, &f64) -> bool),
}

fn operator(symbol: &str) -> Option<Operator> {
    Some(match symbol {
        "+" => Operator::Arithmetic(|a, b| a + b),
        "-" => Operator::Arithmetic(|a, b| a - b),
        "*" => Operator::Arithmetic(|a, b| a * b),
        "/" => Operator::Arithmetic(|a, b| a / b),
        "%" => Operator::Arithmetic(|a, b| a % b),
        "^" => Operator::Arithmetic(f64::powf),
        "atan2" => Operator::Arithmetic(f64::atan2),
        "==" => Operator::Comparison(f64::eq),
        "!=" => Operator::Comparison(f64::ne),
        "<" => Operator::Comparison(f64::lt),
        "<=" => Operator::Comparison(f64::le),
        ">" => Operator::Comparison(f64::gt),
        ">=" => Operator::Comparison(f64::ge),
        _ => return None,
    })
}

/// How one operator is applied: a comparison filters unless it is to return 0 or 1.
#[derive(Clone, Copy)]
struct Application {
    operator: Operator,
    as_bool: bool,
}

impl Application {
    /// The result for two values, of which `kept` is what a comparison that holds leaves.
    fn apply(self, a: f64, b: f64, kept: f64) -> f64 {
        if absent(a) || absent(b) {
            return ABSENT;
        }
        match self.operator {
            Operator::Arithmetic(f) => f(a, b),
            Operator::Comparison(f) if self.as_bool => f64::from(u8::from(f(&a, &b))),
            Operator::Comparison(f) => {
                if f(&a, &b) {
                    kept
                } else {
                    ABSENT
                }
            }
        }
    }

    fn key(self, key: &SeriesKey) -> SeriesKey {
        if self.filters() { key.clone() } else { unnamed(key) }
    }

    fn filters(self) -> bool {
        matches!(self.operator, Operator::Comparison(_)) && !self.as_bool
    }
}

impl Evaluator<'_> {
    pub(super) fn binary(&self, binary: &BinaryExpr, depth: usize) -> Result<Value> {
        let modifier = binary.modifier.clone().unwrap_or_default();
        if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
            return execution("the simulated shop does not evaluate the modifier `fill`");
        }
        let (left, right) = (self.value(&binary.lhs, depth)?, self.value(&binary.rhs, depth)?);
        let symbol = binary.op.to_string();
        let Some(operator) = operator(&symbol) else {
            return match (left, right) {
                (Value::Vector(left), Value::Vector(right)) => self.set(&symbol, left, right, &modifier).map(Value::Vector),
                _ => execution(format!("the operator `{symbol}` needs two vectors")),
            };
        };
        let application = Application { operator, as_bool: modifier.return_bool };
        Ok(match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                Value::Scalar(left.iter().zip(&right).map(|(a, b)| application.apply(*a, *b, *a)).collect())
            }
            (Value::Vector(lines), Value::Scalar(number)) => {
                Value::Vector(with_number(application, lines, |i, v| application.apply(v, number[i], v)))
            }
            (Value::Scalar(number), Value::Vector(lines)) => {
                Value::Vector(with_number(application, lines, |i, v| application.apply(number[i], v, v)))
            }
            (Value::Vector(left), Value::Vector(right)) => Value::Vector(matched(application, left, right, &modifier)?),
        })
    }

    fn set(&self, symbol: &str, left: Vec<Line>, right: Vec<Line>, modifier: &BinModifier) -> Result<Vec<Line>> {
        let there = |lines: &[Line]| {
            let mut there: BTreeMap<SeriesKey, Vec<bool>> = BTreeMap::new();
            for line in lines {
                let at = there.entry(signature(modifier, &line.key)).or_insert_with(|| vec![false; self.grid.len]);
                line.points().for_each(|(i, _)| at[i] = true);
            }
            there
        };
        let filtered = |lines: Vec<Line>, other: &BTreeMap<SeriesKey, Vec<bool>>, wanted: bool| -> Vec<Line> {
            let keep = |mut line: Line| {
                let other = other.get(&signature(modifier, &line.key));
                for (i, value) in line.values.iter_mut().enumerate() {
                    if other.is_some_and(|o| o[i]) != wanted {
                        *value = ABSENT;
                    }
                }
                line
            };
            lines.into_iter().map(keep).collect()
        };
        match symbol {
            "and" => Ok(filtered(left, &there(&right), true)),
            "unless" => Ok(filtered(left, &there(&right), false)),
            "or" => {
                let others = filtered(right, &there(&left), false);
                Ok(left.into_iter().chain(others).collect())
            }
            _ => execution(format!("the simulated shop does not evaluate the operator `{symbol}`")),
        }
    }
}

fn with_number(application: Application, lines: Vec<Line>, f: impl Fn(usize, f64) -> f64) -> Vec<Line> {
    let each =
        |line: Line| Line { key: application.key(&line.key), values: line.values.iter().enumerate().map(|(i, v)| f(i, *v)).collect() };
    lines.into_iter().map(each).collect()
}

/// The labels by which two lines match.
fn signature(modifier: &BinModifier, key: &SeriesKey) -> SeriesKey {
    match &modifier.matching {
        None => unnamed(key),
        Some(LabelModifier::Include(on)) => key_where(key, |name| on.labels.iter().any(|l| l == name)),
        Some(LabelModifier::Exclude(ignoring)) => key_where(key, |name| name != "__name__" && !ignoring.labels.iter().any(|l| l == name)),
    }
}

/// The operator applied to the lines that match: each of the "many" side with at most one of the "one" side.
fn matched(application: Application, left: Vec<Line>, right: Vec<Line>, modifier: &BinModifier) -> Result<Vec<Line>> {
    let swapped = matches!(modifier.card, VectorMatchCardinality::OneToMany(_));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let mut ones: BTreeMap<SeriesKey, Vec<Line>> = BTreeMap::new();
    for line in one {
        ones.entry(signature(modifier, &line.key)).or_default().push(line);
    }
    for (key, lines) in &ones {
        let mut seen = vec![ABSENT; lines[0].values.len()];
        if !lines.iter().all(|line| merge(&mut seen, &line.values)) {
            let side = if swapped { "left" } else { "right" };
            return execution(format!(
                "found duplicate series for the match group {key} on the {side} hand-side of the operation;many-to-many matching not \
                 allowed: matching labels must be unique on one side"
            ));
        }
    }
    let mut results: BTreeMap<SeriesKey, Vec<f64>> = BTreeMap::new();
    for line in &many {
        for other in ones.get(&signature(modifier, &line.key)).into_iter().flatten() {
            let key = result_key(application, &line.key, &other.key, modifier);
            let values: Vec<f64> = line
                .values
                .iter()
                .zip(&other.values)
                .map(|(m, o)| if swapped { application.apply(*o, *m, *o) } else { application.apply(*m, *o, *m) })
                .collect();
            let so_far = results.entry(key).or_insert_with(|| vec![ABSENT; values.len()]);
            if !merge(so_far, &values) {
                return execution(match modifier.card {
                    VectorMatchCardinality::OneToOne => {
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                    }
                    _ => "multiple matches for labels: grouping labels must ensure unique matches",
                });
            }
        }
    }
    Ok(results.into_iter().map(|(key, values)| Line { key, values }).collect())
}

fn result_key(application: Application, many: &SeriesKey, one: &SeriesKey, modifier: &BinModifier) -> SeriesKey {
    let key = application.key(many);
    match &modifier.card {
        VectorMatchCardinality::ManyToOne(include) | VectorMatchCardinality::OneToMany(include) => {
            // A label that the one side lacks is removed, as an empty value is.
            let taken = include.labels.iter().map(|name| (name.clone(), one.get(name).unwrap_or_default().to_owned()));
            let own = key.labels().iter().filter(|(name, _)| !include.labels.contains(name));
            SeriesKey::new(own.map(|(n, v)| (n.clone(), v.clone())).chain(taken))
        }
        _ => match &modifier.matching {
            Some(LabelModifier::Include(on)) => key_where(&key, |name| on.labels.iter().any(|l| l == name)),
            Some(LabelModifier::Exclude(ignoring)) => key_where(&key, |name| !ignoring.labels.iter().any(|l| l == name)),
            None => key,
        },
    }
}
