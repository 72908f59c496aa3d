//! The query that counts the samples behind a query of rates.
//!
//! What `rate` and `increase` make of a range follows from the samples in it: where some were missed, Prometheus extrapolates by
//! half an interval at most, and the value is too small. `count_over_time` of the same range, summed in the same way, tells
//! how many there were.

use promql_parser::parser::{self, Expr, LabelModifier, NumberLiteral, token};

use crate::clock::DurationMs;

/// Scrapes are missed for minutes: a longer range has enough samples left, and holding values back for two of them would
/// take longer than people want to wait.
const LONGEST: DurationMs = DurationMs::from_secs(15 * 60);

/// The query that counts the samples behind another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// PromQL with the same labels as the other query.
    pub query: String,
    /// How far back each value looks.
    pub range: DurationMs,
}

impl Companion {
    /// The companion of `query`, where that is a rate or an increase of a counter, bare or summed, averaged or the greatest or
    /// least of several, and perhaps so many times as great. `None` for all else: in a ratio of two rates, or a quantile of
    /// buckets, what was missed cancels out.
    pub fn of(query: &str) -> Option<Self> {
        let (query, range) = counted(&parser::parse(query).ok()?)?;
        // What cannot be written again as it was is not asked.
        (range <= LONGEST && parser::parse(&query).is_ok()).then_some(Self { query, range })
    }
}

/// The count of the samples that `expr` is made of, and of which range.
fn counted(expr: &Expr) -> Option<(String, DurationMs)> {
    match expr {
        Expr::Paren(paren) => counted(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == token::T_MUL => match (factor(&binary.lhs), factor(&binary.rhs)) {
            (true, false) => counted(&binary.rhs),
            (false, true) => counted(&binary.lhs),
            _ => None,
        },
        Expr::Binary(binary) if binary.op.id() == token::T_DIV && factor(&binary.rhs) => counted(&binary.lhs),
        Expr::Aggregate(of) if [token::T_SUM, token::T_AVG, token::T_MAX, token::T_MIN].contains(&of.op.id()) => {
            let (inner, range) = counted(&of.expr)?;
            let grouping = match &of.modifier {
                Some(LabelModifier::Include(labels)) => format!(" by ({labels}) "),
                Some(LabelModifier::Exclude(labels)) => format!(" without ({labels}) "),
                None => String::new(),
            };
            Some((format!("sum{grouping}({inner})"), range))
        }
        Expr::Call(call) if ["rate", "increase"].contains(&call.func.name) => match call.args.args.as_slice() {
            [argument] => match argument.as_ref() {
                Expr::MatrixSelector(selector) => {
                    let range = DurationMs::from_millis(i64::try_from(selector.range.as_millis()).ok()?);
                    Some((format!("count_over_time({selector})"), range))
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Whether `expr` is a number that leaves less less.
fn factor(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(paren) => factor(&paren.expr),
        Expr::NumberLiteral(NumberLiteral { val }) => val.is_finite() && *val > 0.0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_and_what_is_made_of_them_have_one() {
        let of = [
            "rate(x_total[5m])",
            "increase(x_total{code=~\"5..\", path!=\"a\\\\\\\"b\"}[1m30s])",
            "sum by (service) (rate(x_total[5m]))",
            "sum(rate(x_total[5m])) by (service)",
            "avg without (pod, instance) (rate(x_total[2m] offset 1w))",
            "max by (service) (increase(x_total[5m] @ end()))",
            "min(rate({__name__=\"x_total\"}[5m]))",
            "sum by () (rate(x_total[5m]))",
            "max by (service) (sum by (service, pod) (rate(x_total[5m])))",
            "(sum by (service) ((rate(x_total[5m]))))",
            "60 * sum by (service) (rate(x_total[5m]))",
            "sum by (service) (rate(x_total[5m]) * 100) / (60)",
            "sum by (service) (\n  rate(x_total[5m]) # a comment\n)",
            "rate(x_total[15m])",
        ]
        .map(|query| match Companion::of(query) {
            Some(Companion { query, range }) => format!("{range}: {query}"),
            None => format!("none: {query}"),
        });
        insta::assert_snapshot!(of.join("\n"), @r#"
        5m: count_over_time(x_total[5m])
        1m30s: count_over_time(x_total{code=~"5..",path!="a\\\"b"}[1m30s])
        5m: sum by (service) (count_over_time(x_total[5m]))
        5m: sum by (service) (count_over_time(x_total[5m]))
        2m: sum without (pod, instance) (count_over_time(x_total[2m] offset 1w))
        5m: sum by (service) (count_over_time(x_total[5m] @ end()))
        5m: sum(count_over_time({__name__="x_total"}[5m]))
        5m: sum by () (count_over_time(x_total[5m]))
        5m: sum by (service) (sum by (service, pod) (count_over_time(x_total[5m])))
        5m: sum by (service) (count_over_time(x_total[5m]))
        5m: sum by (service) (count_over_time(x_total[5m]))
        5m: sum by (service) (count_over_time(x_total[5m]))
        5m: sum by (service) (count_over_time(x_total[5m]))
        15m: count_over_time(x_total[15m])
        "#);
    }

    #[test]
    fn what_is_no_rate_or_loses_nothing_has_none() {
        for query in [
            "x_total",
            "irate(x_total[5m])",
            "delta(x[5m])",
            "count_over_time(x_total[5m])",
            "rate(x_total[5m:1m])",
            "rate(x_total[16m])",
            "rate(x_total[5m]) / rate(y_total[5m])",
            "sum(rate(x_total{code=~\"5..\"}[5m])) / sum(rate(x_total[5m]))",
            "sum(rate(x_total[5m])) + sum(rate(y_total[5m]))",
            "1 - avg(rate(x_total[5m]))",
            "1 / rate(x_total[5m])",
            "rate(x_total[5m]) * -1",
            "-rate(x_total[5m])",
            "rate(x_total[5m]) / 0",
            "2 * 3",
            "rate(x_total[5m]) > 0",
            "rate(x_total[5m]) * on (pod) y",
            "histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m])))",
            "topk(3, rate(x_total[5m]))",
            "quantile(0.5, rate(x_total[5m]))",
            "count(rate(x_total[5m]))",
            "clamp_min(rate(x_total[5m]), 0)",
            "rate(x_total",
            "",
        ] {
            assert_eq!(Companion::of(query), None, "{query}");
        }
    }

    proptest! {
        /// Whatever the labels are, what it gives parses and selects the same series.
        #[test]
        fn what_it_gives_parses(value in any::<String>(), matcher in 0..4_usize, seconds in 1..900_i64, factor in 1e-9..1e9_f64, by in "[a-z_]{1,8}") {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let selector = format!("x_total{{a{}\"{value}\"}}[{seconds}s]", ["=", "!=", "=~", "!~"][matcher]);
            let query = format!("sum by ({by}) (rate({selector})) * {factor}");
            let parsed = parser::parse(&selector);
            prop_assume!(parsed.is_ok() && parser::parse(&query).is_ok());
            let companion = Companion::of(&query).unwrap();
            prop_assert_eq!(companion.range, DurationMs::from_secs(seconds));
            let Expr::Aggregate(sum) = parser::parse(&companion.query).unwrap() else { panic!("{companion:?}") };
            let Expr::Call(count) = *sum.expr else { panic!("{companion:?}") };
            prop_assert_eq!(count.func.name, "count_over_time");
            prop_assert_eq!(&*count.args.args[0], &parsed.unwrap());
        }

        /// Nonsense has none, or one that parses.
        #[test]
        fn nonsense_does_no_harm(query in "[a-z(){}\\[\\]0-9\"=*/ ]{0,40}") {
            if let Some(companion) = Companion::of(&query) {
                prop_assert!(parser::parse(&companion.query).is_ok());
            }
        }
    }
}
