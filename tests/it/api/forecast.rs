//! `AnalysisService.Forecast`, with series in the request and from Prometheus.

use std::f64::consts::TAU;

use bellwether::proto::{ForecastRequest, TimeRange};
use prost_types::Timestamp as PbTimestamp;
use tonic::Code;

use super::*;

/// Values a day at one every ten minutes.
const DAY: usize = 144;

fn wave(from: usize, to: usize) -> Vec<f64> {
    (from..to).map(|i| 100.0 + 20.0 * (TAU * i as f64 / DAY as f64).sin() + ((i * 7919) % 101) as f64 / 50.0).collect()
}

fn instant(place: usize) -> PbTimestamp {
    PbTimestamp { seconds: at(place as i64 * 10).millis() / 1000, nanos: 0 }
}

#[tokio::test]
async fn a_day_ahead_with_bounds_models_and_the_day_a_limit_is_reached() {
    let served = Served::start("").await;
    let past = wave(0, 10 * DAY);
    let filling: Vec<f64> = (0..10 * DAY).map(|i| 0.5 + 0.02 * i as f64 / DAY as f64 + ((i * 7919) % 101) as f64 * 1e-5).collect();
    let input = inline(vec![series("wave", &past), series("disk", &filling), series("short", &[1.0, 2.0])]);
    let request = ForecastRequest { input, horizon: Some(seconds(10 * 86_400)), limit: Some(0.8), ..Default::default() };
    let answer = served.analysis().forecast(request.clone()).await.unwrap().into_inner();
    let [wave_ahead, disk, short] = answer.forecasts.as_slice() else { panic!("{answer:?}") };
    assert_eq!(short.cannot_say, "too short: 2 values, 4 are needed");

    let actual = wave(10 * DAY, 20 * DAY);
    assert_eq!((wave_ahead.yhat.len(), wave_ahead.start, wave_ahead.step), (10 * DAY, Some(instant(10 * DAY)), Some(seconds(600))));
    assert_eq!(wave_ahead.periods, [seconds(86_400), seconds(7 * 86_400)][..1]);
    let off = wave_ahead.yhat.iter().zip(&actual).map(|(f, y)| (f - y).abs()).sum::<f64>() / actual.len() as f64;
    assert!(off < 1.5, "{off}");
    let levels: Vec<f64> = wave_ahead.intervals.iter().map(|i| i.level).collect();
    assert_eq!(levels, [0.8, 0.95]);
    for interval in &wave_ahead.intervals {
        let inside = (0..10 * DAY).filter(|k| (interval.lower[*k]..=interval.upper[*k]).contains(&actual[*k])).count();
        assert!(inside as f64 > (interval.level - 0.15) * (10 * DAY) as f64, "{inside} at {}", interval.level);
    }
    let weights: f64 = wave_ahead.models.iter().map(|m| m.weight).sum();
    assert!((weights - 1.0).abs() < 1e-9);

    // 0.7 now, and 0.02 more each day.
    let full = disk.exhaustion.as_ref().unwrap();
    let days = |t: &Option<PbTimestamp>| (t.as_ref().unwrap().seconds - instant(10 * DAY).seconds) as f64 / 86_400.0;
    assert!((4.5..5.5).contains(&days(&full.expected)) && full.chance > 0.9, "{full:?}");
    assert!(days(&full.earliest) <= days(&full.expected) && days(&full.expected) <= days(&full.latest));

    // What a known event did it does again.
    let mut closed = past;
    closed[5 * DAY..6 * DAY].iter_mut().for_each(|v| *v -= 50.0);
    let events = vec![
        TimeRange { start: Some(instant(5 * DAY)), end: Some(instant(6 * DAY)) },
        TimeRange { start: Some(instant(11 * DAY)), end: Some(instant(12 * DAY)) },
    ];
    let input = inline(vec![series("closed", &closed)]);
    let known = ForecastRequest { input, events, limit: None, horizon: Some(seconds(3 * 86_400)), ..request };
    let ahead = served.analysis().forecast(known).await.unwrap().into_inner().forecasts.remove(0).yhat;
    let mean = |day: usize| ahead[day * DAY..(day + 1) * DAY].iter().sum::<f64>() / DAY as f64;
    assert!((mean(0) - mean(1) - 50.0).abs() < 2.0 && (mean(0) - mean(2)).abs() < 2.0, "{} {} {}", mean(0), mean(1), mean(2));
    served.stop().await;
}

#[tokio::test]
async fn wrong_requests_name_the_field() {
    let served = Served::start("").await;
    let right = ForecastRequest { input: inline(vec![series("s", &wave(0, DAY))]), horizon: Some(seconds(600)), ..Default::default() };
    let wrong = [
        ("input", ForecastRequest { input: None, ..right.clone() }),
        ("horizon", ForecastRequest { horizon: None, ..right.clone() }),
        ("horizon", ForecastRequest { horizon: Some(seconds(1)), ..right.clone() }),
        ("horizon", ForecastRequest { horizon: Some(seconds(100_000 * 86_400)), ..right.clone() }),
        ("levels[1]", ForecastRequest { levels: vec![0.8, 95.0], ..right.clone() }),
        ("limit", ForecastRequest { limit: Some(f64::NAN), ..right.clone() }),
        ("periods[0]", ForecastRequest { periods: vec![seconds(601)], ..right.clone() }),
        (
            "events[0].start",
            ForecastRequest { events: vec![TimeRange { start: Some(instant(2)), end: Some(instant(1)) }], ..right.clone() },
        ),
        ("events[0].end", ForecastRequest { events: vec![TimeRange { start: Some(instant(2)), end: None }], ..right }),
    ];
    for (field, request) in wrong {
        let status = served.analysis().forecast(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert!(status.message().starts_with(&format!("{field}: ")), "{field}: {}", status.message());
    }
    served.stop().await;
}
