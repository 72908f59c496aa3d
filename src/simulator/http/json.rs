//! Answers as Prometheus' JSON, in parts of one line each so that no answer is held twice.

use std::fmt::Write;
use std::iter::once;

use super::super::promql::{Answer, Grid, Line};
use crate::clock::Timestamp;
use crate::series::SeriesKey;

type Parts = Box<dyn Iterator<Item = String> + Send>;

/// A range query's answer: a matrix; a number makes one line without labels.
pub(super) fn matrix(answer: Answer, grid: Grid) -> Parts {
    let render = move |line: Line| values(&line.key, line.points().map(|(i, v)| (grid.time(i), v)));
    match answer {
        Answer::Vector(lines) => result("matrix", lines.into_iter().map(render)),
        Answer::Scalar(numbers) => {
            let points = numbers.into_iter().enumerate().map(|(i, v)| (grid.time(i), v));
            result("matrix", once(values(&SeriesKey::default(), points)))
        }
        // The evaluator refuses these for a range of times; a range of one time has them as they are.
        other => instant(other, grid.start),
    }
}

/// An instant query's answer at `time`.
pub(super) fn instant(answer: Answer, time: Timestamp) -> Parts {
    match answer {
        Answer::Vector(lines) => result(
            "vector",
            lines.into_iter().filter_map(move |line| {
                let (_, v) = line.points().next()?;
                let mut text = opening(&line.key);
                text.push_str(",\"value\":");
                point(&mut text, time, v);
                text.push('}');
                Some(text)
            }),
        ),
        Answer::Matrix(series) => result("matrix", series.into_iter().map(|(key, points)| values(&key, points.into_iter()))),
        Answer::Scalar(numbers) => {
            let mut text = String::from(r#"{"status":"success","data":{"resultType":"scalar","result":"#);
            point(&mut text, time, numbers.first().copied().unwrap_or(f64::NAN));
            text.push_str("}}");
            Box::new(once(text))
        }
        Answer::Text(string) => {
            let mut text = String::from(r#"{"status":"success","data":{"resultType":"string","result":["#);
            seconds(&mut text, time);
            let _ = write!(text, ",{}]}}}}", serde_json::Value::String(string));
            Box::new(once(text))
        }
    }
}

fn result(kind: &str, items: impl Iterator<Item = String> + Send + 'static) -> Parts {
    let head = format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":["#);
    let items = items.enumerate().map(|(i, item)| if i == 0 { item } else { format!(",{item}") });
    Box::new(once(head).chain(items).chain(once("]}}".to_owned())))
}

fn opening(key: &SeriesKey) -> String {
    let mut text = String::from("{\"metric\":{");
    for (i, (name, value)) in key.labels().iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\"{name}\":{}", serde_json::Value::String(value.clone()));
    }
    text.push('}');
    text
}

fn values(key: &SeriesKey, points: impl Iterator<Item = (Timestamp, f64)>) -> String {
    let mut text = opening(key);
    text.reserve(32 * points.size_hint().1.unwrap_or(0));
    text.push_str(",\"values\":[");
    for (i, (time, value)) in points.enumerate() {
        if i > 0 {
            text.push(',');
        }
        point(&mut text, time, value);
    }
    text.push_str("]}");
    text
}

fn point(text: &mut String, time: Timestamp, value: f64) {
    text.push('[');
    seconds(text, time);
    // Writing to a String cannot fail.
    let _ = if value == f64::INFINITY {
        write!(text, ",\"+Inf\"]")
    } else if value != 0.0 && !(1e-6..1e21).contains(&value.abs()) && value.is_finite() {
        write!(text, ",\"{value:e}\"]")
    } else {
        // Also `NaN` and, an infinity below, `-Inf` as Prometheus spells them.
        write!(text, ",\"{}\"]", if value == f64::NEG_INFINITY { "-Inf".to_owned() } else { value.to_string() })
    };
}

fn seconds(text: &mut String, time: Timestamp) {
    let ms = time.millis();
    let sign = if ms < 0 { "-" } else { "" };
    let (whole, rest) = (ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
    let _ = if rest == 0 { write!(text, "{sign}{whole}") } else { write!(text, "{sign}{whole}.{rest:03}") };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_written_as_prometheus_does() {
        let mut text = String::new();
        for (ms, value) in
            [(1500, 1.5), (-1500, -0.0), (2000, f64::NAN), (0, f64::INFINITY), (1, f64::NEG_INFINITY), (0, 1e308), (0, 123_456_789.25)]
        {
            point(&mut text, Timestamp::from_millis(ms), value);
        }
        insta::assert_snapshot!(text, @r#"[1.500,"1.5"][-1.500,"-0"][2,"NaN"][0,"+Inf"][0.001,"-Inf"][0,"1e308"][0,"123456789.25"]"#);
    }
}
