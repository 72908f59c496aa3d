use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const START: i64 = 1_700_000_000;
const STEP: DurationMs = DurationMs::from_secs(15);
const LIMITS: Limits = Limits { most_series: 100, most_points: 10_000, most_bytes: 1 << 20 };

fn grid(len: usize) -> Grid {
    Grid::new(Timestamp::from_millis(START * 1000), STEP, len)
}

fn parse_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, limits: Limits) -> Result<Matrix, Fault> {
    let mut parser = Parser::new(grid(8), limits);
    for chunk in chunks {
        parser.feed(chunk)?;
    }
    parser.finish()
}

fn parse(text: &str) -> Result<Matrix, Fault> {
    parse_chunks([text.as_bytes()], LIMITS)
}

fn answer(result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":{result}}}}}"#)
}

fn key(labels: &[(&str, &str)]) -> SeriesKey {
    SeriesKey::new(labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
}

/// Missing values as `None`, so that they compare.
fn values(matrix: &Matrix, i: usize) -> Vec<Option<f64>> {
    matrix.series[i].1.iter().map(|v| (!v.is_nan()).then_some(*v)).collect()
}

#[test]
fn reads_an_answer_of_prometheus() {
    let text = r#"{"status":"success","data":{"resultType":"matrix","result":[
        {"metric":{"__name__":"up","job":"a \"b\" \u00e9\ud83d\ude00"},"values":[[1700000000,"1"],[1700000030.000,"2.5e-3"],[1700000045,"NaN"],[1700000060,"+Inf"]]},
        {"metric":{},"values":[[1700000105,"-7"]]}
    ]},"warnings":["slow","slow"],"infos":["PromQL info: metric might not be a counter"]}"#;
    let matrix = parse(text).unwrap();
    assert_eq!(matrix.series[0].0, key(&[("__name__", "up"), ("job", "a \"b\" é😀")]));
    let infinite = Some(f64::INFINITY);
    assert_eq!(values(&matrix, 0), [Some(1.0), None, Some(0.0025), None, infinite, None, None, None]);
    assert_eq!(values(&matrix, 1), [None, None, None, None, None, None, None, Some(-7.0)]);
    assert_eq!(matrix.warnings, ["slow", "PromQL info: metric might not be a counter"]);
    assert_eq!((matrix.points, matrix.histograms), (5, 0));
}

#[test]
fn keys_may_come_in_any_order_and_others_are_skipped() {
    let text = r#"{"stats":{"deep":[[{"x":[1,2.5e3,true,false,null,"}]"]}]]},"warnings":null,
        "data":{"result":[{"values":[[1700000000,"1"]],"extra":{},"metric":{"a":"b"}}],"analysis":null,"resultType":"matrix"},"status":"success"}"#;
    let matrix = parse(text).unwrap();
    assert_eq!(matrix.series[0].0, key(&[("a", "b")]));
    assert_eq!(values(&matrix, 0)[0], Some(1.0));
}

#[test]
fn samples_go_to_the_nearest_place_and_strangers_nowhere() {
    let matrix = parse(&answer(
        r#"[{"metric":{},"values":[[1699999985,"9"],[1700000007.4,"1"],[1700000022.6,"2"],[1700000022.7,"3"],[1700000120,"9"],[17e8,"4"]]}]"#,
    ))
    .unwrap();
    assert_eq!(values(&matrix, 0)[..3], [Some(4.0), None, Some(3.0)]);
    assert_eq!(matrix.points, 4);
}

#[test]
fn native_histograms_are_left_out_and_counted() {
    let histogram = r#"[[1700000000,{"count":"3","sum":"1.5","buckets":[[0,"1","2","3"]]}]]"#;
    let text = answer(&format!(
        r#"[{{"metric":{{"h":"1"}},"histograms":{histogram}}},{{"metric":{{"h":"2"}},"values":[[1700000015,"1"]],"histograms":{histogram}}}]"#
    ));
    let matrix = parse(&text).unwrap();
    assert_eq!(matrix.histograms, 2);
    assert_eq!(matrix.series.len(), 1);
    assert_eq!(values(&matrix, 0)[1], Some(1.0));
}

#[test]
fn each_limit_is_named() {
    let two = answer(r#"[{"metric":{"a":"1"},"values":[]},{"metric":{"a":"2"},"values":[]}]"#);
    let limited = |limits| parse_chunks([two.as_bytes()], limits).unwrap_err().to_string();
    insta::assert_snapshot!(limited(Limits { most_series: 1, ..LIMITS }), @"more than 1 series (most_series)");
    insta::assert_snapshot!(limited(Limits { most_points: 15, ..LIMITS }), @"more than 15 points (most_points): 2 series or more of 8 steps");
    insta::assert_snapshot!(limited(Limits { most_bytes: 50, ..LIMITS }), @"more than 50 bytes in one answer");
    let piece = Parser::new(grid(8).piece_of(6_000), LIMITS).feed(two.as_bytes()).unwrap_err();
    insta::assert_snapshot!(piece, @"more than 10000 points (most_points): 2 series or more of 6000 steps");
}

#[test]
fn faults_name_the_byte_and_what_belongs_there() {
    let faults: String = [
        "",
        "[]",
        "{}",
        "{}}",
        r#"{"status":"success"}"#,
        r#"{"status":"odd"}"#,
        r#"{"status":"error","errorType":"bad_data","error":"no"}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
        r#"{"status":"success","data":{"resultType":"matrix","result":{"a":1}}}"#,
        r#"{"status":"success","data":[]}"#,
        r#"{"status":"success",}"#,
        r#"{"status" "success"}"#,
        r#"{"warnings":[1]}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[1}"#,
        r#"{"a":01,"b":2}"#,
        r#"{"a":nil}"#,
        r#"{"a":<html>}"#,
        "{\"a\":\"\n\"}",
        r#"{"data":{"result":[{"metric":{"a":5}}]}}"#,
        r#"{"data":{"result":[{"metric":{"a":"\ud800"}}]}}"#,
        r#"{"data":{"result":[{"values":[[]]}]}}"#,
        r#"{"data":{"result":[{"values":[[1]]}]}}"#,
        r#"{"data":{"result":[{"values":[[1e300,"1"]]}]}}"#,
        r#"{"data":{"result":[{"values":[[1,2]]}]}}"#,
        r#"{"data":{"result":[{"values":[[1,"two"]]}]}}"#,
        r#"{"data":{"result":[{"values":[[1,"2",3]]}]}}"#,
        r#"{"data":{"result":[{"values":[[1700000000,"1"],[1700000015,"2"#,
    ]
    .map(|text| format!("{}\n    {}\n", text.escape_debug().to_string().replace("\\\"", "\""), parse(text).unwrap_err()))
    .concat();
    insta::assert_snapshot!(faults);
    let deep = format!(r#"{{"a":{}"#, "[".repeat(1000));
    assert_eq!(parse(&deep).unwrap_err().to_string(), "at byte 68: nested more than 64 deep");
    let long = format!(r#"{{"a":"{}"#, "x".repeat(300_000));
    assert_eq!(parse(&long).unwrap_err().to_string(), "at byte 5: a text of more than 262144 bytes");
}

/// A sample's value as Prometheus may write it.
fn sample_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<f64>().prop_map(|v| v.to_string()),
        any::<u32>().prop_map(|v| v.to_string()),
        Just("+Inf".to_owned()),
        Just("-Inf".to_owned())
    ]
}

fn label_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{1,6}", any::<String>()]
}

prop_compose! {
    fn series()(
        metric in prop::collection::btree_map(label_name(), any::<String>(), 0..4),
        samples in prop::collection::vec((0_i64..9_000, sample_value()), 0..6),
        histogram in any::<bool>(),
        order in any::<bool>(),
    ) -> Value {
        let values: Vec<Value> = samples.into_iter().map(|(tick, v)| {
            let ms = START * 1000 + tick * 15;
            if ms % 1000 == 0 { json!([ms / 1000, v]) } else { json!([ms as f64 / 1000.0, v]) }
        }).collect();
        // serde_json sorts keys, so that other names change the order.
        let mut series = json!({ if order { "metric" } else { "zzz" }: metric, "values": values });
        if histogram {
            series["histograms"] = json!([[START, {"count": "1", "buckets": [[0, "1", "2", "3"]]}]]);
        }
        series
    }
}

/// What the answer says, read through a tree of values.
fn by_serde(answer: &Value) -> Vec<(SeriesKey, Vec<f64>)> {
    let mut all = Vec::new();
    for series in answer["data"]["result"].as_array().unwrap() {
        let labels: BTreeMap<String, String> = series.get("metric").map(|m| serde_json::from_value(m.clone()).unwrap()).unwrap_or_default();
        let mut column = vec![f64::NAN; 8];
        let mut points = 0;
        for sample in series["values"].as_array().unwrap() {
            let place = ((sample[0].as_f64().unwrap() - START as f64) / 15.0 + 0.5).floor() as usize;
            if place < column.len() {
                column[place] = sample[1].as_str().unwrap().parse().unwrap();
                points += 1;
            }
        }
        if points > 0 || series.get("histograms").is_none() {
            all.push((SeriesKey::new(labels), column));
        }
    }
    all
}

fn bits(series: &[(SeriesKey, Vec<f64>)]) -> Vec<(SeriesKey, Vec<u64>)> {
    series.iter().map(|(key, column)| (key.clone(), column.iter().map(|v| v.to_bits()).collect())).collect()
}

/// The parts of `bytes` between `cuts`.
fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn agrees_with_serde_json_however_it_is_cut(
        result in prop::collection::vec(series(), 0..5),
        warnings in prop::collection::vec("[a-c]", 0..4),
        pretty in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let answer = json!({ "status": "success", "data": { "resultType": "matrix", "result": result }, "warnings": warnings });
        let text = if pretty { serde_json::to_string_pretty(&answer) } else { serde_json::to_string(&answer) }.unwrap();
        let matrix = parse_chunks(cut(text.as_bytes(), &cuts), LIMITS).unwrap();
        prop_assert_eq!(bits(&matrix.series), bits(&by_serde(&answer)));
        prop_assert_eq!(bits(&parse_chunks(text.as_bytes().chunks(1), LIMITS).unwrap().series), bits(&matrix.series));
        let mut once: Vec<String> = Vec::new();
        for w in warnings {
            if !once.contains(&w) {
                once.push(w);
            }
        }
        prop_assert_eq!(&matrix.warnings, &once);
    }

    #[test]
    fn no_part_of_an_answer_is_an_answer(result in prop::collection::vec(series(), 0..3), end in any::<prop::sample::Index>()) {
        let text = answer(&serde_json::to_string(&result).unwrap());
        prop_assert!(parse_chunks([&text.as_bytes()[..end.index(text.len())]], LIMITS).is_err());
    }

    #[test]
    fn any_bytes_give_an_answer_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..200), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        let _ = parse_chunks(cut(&bytes, &cuts), LIMITS);
    }

    #[test]
    fn a_damaged_answer_gives_the_same_fault_however_it_is_cut(
        result in prop::collection::vec(series(), 1..3),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut bytes = answer(&serde_json::to_string(&result).unwrap()).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let whole = parse_chunks([&bytes[..]], LIMITS).map(|m| bits(&m.series));
        let pieces = parse_chunks(cut(&bytes, &cuts), LIMITS).map(|m| bits(&m.series));
        prop_assert_eq!(whole, pieces);
    }
}
