use proptest::prelude::*;

use super::super::shop::Config;
use super::*;

fn shop() -> Shop {
    let now = Timestamp::from_millis(1_700_000_000_000);
    Config { services: 12, start: now - DurationMs::HOUR, sessions: 2, ..Config::ending_at(now) }.build().unwrap()
}

fn ask(shop: &Shop, query: &str) -> Result<Answer> {
    let end = Timestamp::from_millis(1_700_000_000_000);
    evaluate(shop, query, Grid::between(end - DurationMs::from_secs(600), end, DurationMs::from_secs(61)), end)
}

#[test]
fn depth_and_length_are_limited() {
    let shop = shop();
    for query in [
        format!("{}1{}", "(".repeat(2000), ")".repeat(2000)),
        format!("{}up", "-".repeat(4000)),
        format!("1{}", "+1".repeat(2000)),
        "a".repeat(LONGEST + 1),
    ] {
        let error = ask(&shop, &query).unwrap_err().to_string();
        assert!(error.contains("deep") || error.contains("bytes"), "{error}");
    }
}

#[test]
fn a_computed_nan_is_a_value_and_an_absent_one_is_none() {
    let shop = shop();
    let points = |query: &str| match ask(&shop, query).unwrap() {
        Answer::Vector(lines) => lines.iter().flat_map(|line| line.points().map(|p| p.1)).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(points("up{job=\"web\"} / 0 - up{job=\"web\"} / 0").iter().filter(|v| v.is_nan()).count(), 10);
    assert_eq!(points("up{job=\"web\"} > 1"), Vec::<f64>::new());
    assert_eq!(points("vector(NaN)").len(), 10);
    assert_eq!(points("sum(up > 1)"), Vec::<f64>::new());
}

#[test]
fn two_series_of_the_same_labels_are_refused() {
    let error = ask(&shop(), "rate({__name__=~\"http_request_duration_seconds_(sum|count)\"}[5m])").unwrap_err();
    assert_eq!(error, QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_query_makes_it_panic(words in prop::collection::vec(prop::sample::select(vec![
        "up", "queue_depth", "rate", "sum", "by", "(", ")", "(", ")", "[5m]", "[0s]", "[1000y]", "{service=~\".*\"}", "offset", "5m", "-5m",
        "1000y", "@", "end()", "1e308", "-1e308", "NaN", "Inf", "+", "-", "/", "^", "%", ">", "bool", "on", "ignoring", "group_left",
        "(service)", "and", "or", "topk", ",", "quantile", "histogram_quantile", "absent", "\"x\"", "clamp", "round", "predict_linear", "é",
    ]), 1..12)) {
        let shop = shop();
        for glue in [" ", ""] {
            let _ = ask(&shop, &words.join(glue));
        }
    }

    #[test]
    fn no_number_makes_it_panic(a in any::<f64>(), b in any::<f64>(), f in prop::sample::select(vec![
        "topk({a}, up)", "quantile({a}, up)", "histogram_quantile({a}, http_request_duration_seconds_bucket)", "clamp(up, {a}, {b})",
        "round(up, {a})", "up @ {a}", "predict_linear(queue_depth[5m], {a})", "quantile_over_time({a}, queue_depth[5m])", "hour(vector({a}))",
        "day_of_week(vector({a}))", "{a} % {b}", "{a} ^ {b}",
    ])) {
        let _ = ask(&shop(), &f.replace("{a}", &format!("{a:?}")).replace("{b}", &format!("{b:?}")));
    }
}
