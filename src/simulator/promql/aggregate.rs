//! Aggregations.

use std::collections::BTreeMap;

use promql_parser::parser::{AggregateExpr, LabelModifier};

use super::range::{quantile, variance};
use super::{ABSENT, Evaluator, Line, Result, absent, execution, key_where, present};
use crate::series::SeriesKey;

impl Evaluator<'_> {
    pub(super) fn aggregate(&self, aggregate: &AggregateExpr, depth: usize) -> Result<Vec<Line>> {
        let lines = self.vector(&aggregate.expr, depth)?;
        let op = aggregate.op.to_string();
        let mut groups: BTreeMap<SeriesKey, Vec<Line>> = BTreeMap::new();
        for line in lines {
            groups.entry(group(aggregate.modifier.as_ref(), &line.key)).or_default().push(line);
        }
        let parameter = aggregate.param.as_ref().map(|p| self.scalar(p, depth)).transpose()?;
        match (op.as_str(), parameter) {
            ("topk", Some(k)) => Ok(groups.into_values().flat_map(|lines| extreme(lines, &k, true)).collect()),
            ("bottomk", Some(k)) => Ok(groups.into_values().flat_map(|lines| extreme(lines, &k, false)).collect()),
            ("quantile", Some(q)) => Ok(each_time(groups, |i, values| quantile(q[i], values.to_vec()))),
            ("stddev", _) => Ok(each_time(groups, |_, values| variance(values).sqrt())),
            ("stdvar", _) => Ok(each_time(groups, |_, values| variance(values))),
            ("sum", _) => Ok(folded(groups, |a, b| a + b, |sum, _| sum)),
            ("avg", _) => Ok(folded(groups, |a, b| a + b, |sum, n| sum / n)),
            // A NaN yields to any number.
            ("min", _) => Ok(folded(groups, f64::min, |least, _| least)),
            ("max", _) => Ok(folded(groups, f64::max, |most, _| most)),
            ("count", _) => Ok(folded(groups, |a, _| a, |_, n| n)),
            ("group", _) => Ok(folded(groups, |a, _| a, |_, _| 1.0)),
            _ => execution(format!("the simulated shop does not evaluate the aggregation `{op}`")),
        }
    }
}

/// The labels of the group that a series belongs to.
fn group(modifier: Option<&LabelModifier>, key: &SeriesKey) -> SeriesKey {
    match modifier {
        None => SeriesKey::default(),
        Some(LabelModifier::Include(by)) => key_where(key, |name| by.labels.iter().any(|l| l == name)),
        Some(LabelModifier::Exclude(without)) => key_where(key, |name| name != "__name__" && !without.labels.iter().any(|l| l == name)),
    }
}

/// Each group's values folded together; `finish` gets the result and how many there were.
fn folded(groups: BTreeMap<SeriesKey, Vec<Line>>, fold: fn(f64, f64) -> f64, finish: fn(f64, f64) -> f64) -> Vec<Line> {
    let line = |(key, lines): (SeriesKey, Vec<Line>)| {
        let mut lines = lines.into_iter();
        let mut values = lines.next().map(|line| line.values).unwrap_or_default();
        let mut counts: Vec<f64> = values.iter().map(|v| if absent(*v) { 0.0 } else { 1.0 }).collect();
        for line in lines {
            for (i, value) in present(&line.values) {
                values[i] = if counts[i] == 0.0 { value } else { fold(values[i], value) };
                counts[i] += 1.0;
            }
        }
        for (value, count) in values.iter_mut().zip(&counts) {
            if *count > 0.0 {
                *value = finish(*value, *count);
            }
        }
        Line { key, values }
    };
    groups.into_iter().map(line).collect()
}

/// `f` of all values that each group has at each time.
fn each_time(groups: BTreeMap<SeriesKey, Vec<Line>>, f: impl Fn(usize, &[f64]) -> f64) -> Vec<Line> {
    let mut there = Vec::new();
    let line = |(key, lines): (SeriesKey, Vec<Line>)| {
        let at = |i: usize| {
            there.clear();
            there.extend(lines.iter().map(|line| line.values[i]).filter(|v| !absent(*v)));
            if there.is_empty() { ABSENT } else { f(i, &there) }
        };
        Line { key, values: (0..lines[0].values.len()).map(at).collect() }
    };
    groups.into_iter().filter(|(_, lines)| !lines.is_empty()).map(line).collect()
}

/// The `k` greatest or least at each time, a NaN last; of one time alone, the most extreme first.
fn extreme(mut lines: Vec<Line>, k: &[f64], greatest: bool) -> Vec<Line> {
    let before = |a: f64, b: f64| {
        let order = a.is_nan().cmp(&b.is_nan());
        order.then(if greatest { b.total_cmp(&a) } else { a.total_cmp(&b) })
    };
    for (i, k) in k.iter().enumerate() {
        let mut order: Vec<usize> = (0..lines.len()).filter(|&l| !absent(lines[l].values[i])).collect();
        order.sort_by(|&a, &b| before(lines[a].values[i], lines[b].values[i]));
        let keep = if *k >= 1.0 { *k as usize } else { 0 };
        for &l in order.iter().skip(keep) {
            lines[l].values[i] = ABSENT;
        }
    }
    if k.len() == 1 {
        lines.retain(|line| !absent(line.values[0]));
        lines.sort_by(|a, b| before(a.values[0], b.values[0]));
    }
    lines
}
