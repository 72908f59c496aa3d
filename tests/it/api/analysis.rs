//! `AnalysisService`, with series in the request and from Prometheus.

use std::f64::consts::TAU;

use bellwether::proto::{DecomposeRequest, DetectAnomaliesRequest, Direction, FindingKind};

use super::*;

/// Values a day at one every ten minutes.
const DAY: usize = 144;

/// A daily sine around 100 with a little noise, `days` long.
fn rhythm(days: usize) -> Vec<f64> {
    // A linear congruence is noise enough, and the same everywhere.
    let mut state = 42_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24) - 0.5
    };
    (0..days * DAY).map(|i| 100.0 + 20.0 * (TAU * i as f64 / DAY as f64).sin() + 2.0 * noise()).collect()
}

#[tokio::test]
async fn the_parts_sum_to_the_value_and_the_day_is_found() {
    let served = Served::start("").await;
    let mut values = rhythm(10);
    values[700] = f64::NAN;
    let request = DecomposeRequest { input: inline(vec![series("sine", &values)]), periods: Vec::new(), robust: true };
    let answer = served.analysis().decompose(request.clone()).await.unwrap().into_inner();
    let [parts] = answer.decompositions.as_slice() else { panic!("{answer:?}") };
    assert_eq!((parts.labels["__name__"].as_str(), parts.cannot_say.as_str(), answer.warnings.len()), ("sine", "", 0));
    assert_eq!((millis(parts.start), parts.step), (at(0).millis(), Some(seconds(600))));
    let [season] = parts.seasons.as_slice() else { panic!("{} seasons", parts.seasons.len()) };
    assert_eq!(season.period, Some(seconds(86_400)));
    for (i, value) in values.iter().enumerate() {
        let sum = parts.trend[i] + season.values[i] + parts.remainder[i];
        assert!(if i == 700 { sum.is_nan() && parts.trend[i].is_finite() } else { (sum - value).abs() < 1e-9 }, "{i}: {sum} for {value}");
        assert!((parts.trend[i] - 100.0).abs() < 1.5 && season.values[i].abs() < 23.0, "{i}");
    }
    // A period that is asked for is taken as it is.
    let asked = DecomposeRequest { periods: vec![seconds(86_400), seconds(3600)], ..request };
    let answer = served.analysis().decompose(asked).await.unwrap().into_inner();
    let periods: Vec<_> = answer.decompositions[0].seasons.iter().map(|s| s.period.unwrap().seconds).collect();
    assert_eq!(periods, [3600, 86_400]);
    served.stop().await;
}

#[tokio::test]
async fn a_spike_is_found_and_nothing_else() {
    let served = Served::start("").await;
    let (mut values, plain) = (rhythm(14), rhythm(14));
    let (from, to) = (13 * DAY, 13 * DAY + 6);
    values[from..to].iter_mut().for_each(|v| *v += 40.0);
    let input = inline(vec![series("spiky", &values), series("plain", &plain), series("short", &plain[..30]), series("flat", &[5.0; 400])]);
    let request = DetectAnomaliesRequest { input, alerts_per_day: 0.5, ..Default::default() };
    let verdicts = served.analysis().detect_anomalies(request.clone()).await.unwrap().into_inner().verdicts;
    let names: Vec<_> = verdicts.iter().map(|v| v.labels["__name__"].as_str()).collect();
    assert_eq!(names, ["spiky", "plain", "short", "flat"]);
    // "Cannot say" is an answer.
    assert!(verdicts[2].cannot_say.starts_with("too short") && verdicts[2].scores.is_empty(), "{}", verdicts[2].cannot_say);
    assert!(verdicts[3].cannot_say.starts_with("flat"), "{}", verdicts[3].cannot_say);
    assert_eq!(verdicts[1].findings, []);
    assert_eq!(verdicts[1].periods, [seconds(86_400)]);

    let [finding] = verdicts[0].findings.as_slice() else { panic!("{:?}", verdicts[0].findings) };
    let time_of = |i: usize| at(i as i64 * 10).millis();
    assert!((time_of(from - 2)..=time_of(from + 2)).contains(&millis(finding.onset)), "{finding:?}");
    assert!((time_of(to - 1)..time_of(to + 6)).contains(&millis(finding.last_seen)), "{finding:?}");
    assert!(finding.ended.is_some());
    assert_eq!((finding.direction(), finding.kind()), (Direction::Up, FindingKind::Deviation));
    assert!(finding.score > 1.0 && finding.p_value < 1e-3 && finding.value > finding.upper && finding.upper > finding.expected);
    assert!(finding.evidence.iter().any(|e| e.detector == "residual"), "{:?}", finding.evidence);
    assert!(finding.id.starts_with("f-") && !finding.model.is_empty());

    // The last fifth is judged, each point with its band, and the spike's points are outside of it.
    let scores = &verdicts[0].scores;
    assert_eq!(scores.len(), values.len() / 5);
    for (i, score) in scores.iter().enumerate() {
        let place = values.len() - scores.len() + i;
        assert_eq!((millis(score.time), score.value), (time_of(place), values[place]));
        assert!(score.yhat_lower <= score.yhat && score.yhat <= score.yhat_upper, "{score:?}");
        assert!(score.p_value > 0.0 && score.p_value <= 1.0 && score.anomaly_score >= 0.0, "{score:?}");
        assert_eq!(score.value > score.yhat_upper, (from..to).contains(&place), "{place}: {score:?}");
    }

    // Only what goes down is wanted.
    let down = DetectAnomaliesRequest { direction: Direction::Down.into(), ..request.clone() };
    let verdicts = served.analysis().detect_anomalies(down).await.unwrap().into_inner().verdicts;
    assert!(verdicts[0].findings.iter().all(|f| f.direction() == Direction::Down), "{:?}", verdicts[0].findings);
    // After the spike there is nothing to find.
    let late = DetectAnomaliesRequest { detect_from: Some(time(at((to as i64 + 30) * 10))), ..request };
    let verdicts = served.analysis().detect_anomalies(late).await.unwrap().into_inner().verdicts;
    assert_eq!(verdicts[0].findings, []);
    assert_eq!(verdicts[0].scores.len(), values.len() - to - 30);
    served.stop().await;
}

#[tokio::test]
async fn the_same_question_has_the_same_answer() {
    let served = Served::start("").await;
    let mut values = rhythm(14);
    values[13 * DAY..].iter_mut().for_each(|v| *v -= 30.0);
    let mut shuffled = series("level", &values);
    shuffled.points.reverse();
    let mut answers = Vec::new();
    for series in [series("level", &values), series("level", &values), shuffled] {
        let request = DetectAnomaliesRequest { input: inline(vec![series]), ..Default::default() };
        answers.push(served.analysis().detect_anomalies(request).await.unwrap().into_inner());
    }
    assert_eq!(answers[0].verdicts[0].findings.len(), 1);
    assert!(answers[0].verdicts[0].findings[0].ended.is_none());
    assert!(answers.iter().all(|a| *a == answers[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn series_come_from_prometheus_too() {
    let served = Served::over_the_shop("discovery: {enabled: false}").await;
    let (end, onset) = (now(), shop().truth().incident.as_ref().unwrap().onset);
    let start = end - DurationMs::DAY * 3;
    let query = "sum by (service) (rate(http_requests_total{service=~\"cart|payment\"}[5m]))";
    let request = DecomposeRequest { input: promql(query, start, end), ..Default::default() };
    let parts = served.analysis().decompose(request).await.unwrap().into_inner().decompositions;
    assert_eq!(parts.iter().map(|p| p.labels["service"].as_str()).collect::<Vec<_>>(), ["cart", "payment"]);
    for part in &parts {
        assert_eq!(part.seasons.iter().map(|s| s.period.unwrap().seconds).collect::<Vec<_>>(), [86_400]);
        assert_eq!(part.observed.len(), 3 * 288 + 1);
        for i in (0..part.observed.len()).filter(|i| part.observed[*i].is_finite()) {
            let sum = part.trend[i] + part.seasons[0].values[i] + part.remainder[i];
            assert!((sum - part.observed[i]).abs() < 1e-9 * part.observed[i].abs().max(1.0), "{i}: {sum}");
        }
    }
    let pool = "db_connection_pool_in_use{service=\"payment\"}";
    let mut input = promql(pool, start, end);
    let Some(series_input::From::Promql(range)) = input.as_mut().and_then(|i| i.from.as_mut()) else { panic!("not PromQL") };
    range.step = Some(seconds(60));
    let request = DetectAnomaliesRequest { input, direction: Direction::Up.into(), ..Default::default() };
    let verdicts = served.analysis().detect_anomalies(request).await.unwrap().into_inner().verdicts;
    let finding = verdicts[0].findings.last().unwrap();
    assert!((millis(finding.onset) - onset.millis()).abs() <= 3 * 60_000, "{finding:?} began at {onset}");
    assert!(finding.ended.is_none() && finding.service == "payment", "{finding:?}");
    served.stop().await;
}
