use proptest::prelude::*;

use super::*;

/// Noise between −1 and 1 that is the same everywhere.
fn noise(seed: u64, i: i64) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(i.cast_unsigned()).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 31;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 29;
    (x >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

const STEP: i64 = 15_000;
const SAMPLES: i64 = 240;
const AT: i64 = 200 * STEP;

fn series(service: &str, metric: &str, value: impl Fn(i64) -> f64) -> MetricSeries {
    MetricSeries {
        service: service.to_owned(),
        metric: metric.to_owned(),
        times: (0..SAMPLES).map(|i| Timestamp::from_millis(i * STEP)).collect(),
        values: (0..SAMPLES).map(value).collect(),
        measures: None,
    }
}

/// A level with 5 % noise that is `times` as high from sample `from` on.
fn shifted(service: &str, metric: &str, level: f64, from: i64, times: f64) -> MetricSeries {
    let seed = service.bytes().chain(metric.bytes()).fold(7_u64, |s, b| s.wrapping_mul(31).wrapping_add(u64::from(b)));
    series(service, metric, |i| level * (1.0 + 0.05 * noise(seed, i)) * if i >= from { times } else { 1.0 })
}

fn calls(edges: &[(&str, &str)]) -> Vec<(String, String)> {
    edges.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

/// A calls B calls C; C gets 0.2 s slower, and so do those above it.
fn chain() -> Vec<MetricSeries> {
    let mut all = Vec::new();
    for (service, level, from) in [("a", 0.5, 202), ("b", 0.3, 201), ("c", 0.1, 200), ("d", 0.2, 999)] {
        all.push(shifted(service, "latency_mean", level, from, (level + 0.2) / level));
        all.push(shifted(service, "requests", 100.0, 999, 1.0));
        all.push(shifted(service, "cpu", 0.4, 999, 1.0));
    }
    all
}

fn order(d: &Diagnosis) -> Vec<&str> {
    d.causes.iter().map(|c| c.service.as_str()).collect()
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

#[test]
fn the_end_of_a_chain_is_the_cause() {
    let graph = calls(&[("a", "b"), ("b", "c"), ("a", "d")]);
    for off in [-60_000, 0, 60_000] {
        let d = diagnose(&chain(), &graph, at(AT + off), Some("a"));
        assert_eq!(order(&d)[0], "c", "{off}: {d:#?}");
        assert!(d.causes[0].probability > 0.5, "{off}: {d:#?}");
        // Without a graph the size of the change in its own terms is enough.
        assert_eq!(order(&diagnose(&chain(), &[], at(AT + off), None))[0], "c");
    }
}

#[test]
fn an_alert_that_came_late_still_finds_it() {
    for off in [2, 3, 5].map(|minutes| minutes * 60_000) {
        let d = diagnose(&chain(), &calls(&[("a", "b"), ("b", "c"), ("a", "d")]), at(AT + off), Some("a"));
        assert_eq!(order(&d)[0], "c", "{off}: {d:#?}");
    }
}

#[test]
fn onset_and_evidence_can_be_checked() {
    let d = diagnose(&chain(), &calls(&[("a", "b"), ("b", "c"), ("a", "d")]), at(AT), Some("a"));
    let cause = &d.causes[0];
    assert_eq!(cause.onset, Some(at(AT)));
    assert!(cause.onset_low < Some(at(AT)) && cause.onset_high <= Some(at(AT + 2 * STEP)), "{cause:?}");
    let metric = &cause.evidence[0];
    assert_eq!((metric.about, metric.metric.as_deref()), (About::Metric, Some("latency_mean")));
    assert!(metric.deviation.is_some_and(|z| z > 20.0));
    assert!(metric.text.starts_with("latency_mean rose from 0.1"), "{}", metric.text);
    for about in [About::Callers, About::Work, About::Course, About::Time] {
        assert!(cause.evidence.iter().any(|e| e.about == about), "{about:?}");
    }
    let all: f64 = cause.evidence.iter().map(|e| e.weight).sum();
    assert!((all - cause.score).abs() < 1e-9, "the weights are the score: {all} against {}", cause.score);
}

#[test]
fn a_resource_points_to_the_cause_without_a_graph() {
    let mut all = Vec::new();
    for service in ["a", "b", "c", "d"] {
        let hit = if service == "c" { 200 } else { 999 };
        all.push(shifted(service, "cpu", 0.1, hit, 9.0));
        all.push(shifted(service, "latency_p90", 0.1, if service == "d" { 999 } else { 201 }, 1.8));
    }
    assert_eq!(order(&diagnose(&all, &[], at(AT), None))[0], "c");
}

#[test]
fn availability_counts_downwards() {
    let mut all = Vec::new();
    for (service, from) in [("a", 201), ("b", 200), ("c", 999)] {
        all.push(series(service, "availability", |i| if i >= from { 95.0 } else { 100.0 - 0.1 * noise(3, i).abs() }));
        all.push(shifted(service, "requests", 100.0, 999, 1.0));
    }
    // What gets better is no cause.
    all.push(series("d", "availability", |i| if i >= 200 { 100.0 } else { 60.0 + noise(4, i) }));
    let d = diagnose(&all, &calls(&[("a", "b"), ("a", "c"), ("a", "d")]), at(AT), Some("a"));
    assert_eq!(order(&d)[0], "b", "{d:#?}");
    assert!(d.causes[0].evidence[0].deviation.is_some_and(|z| z < 0.0));
}

#[test]
fn what_is_rarely_called_does_not_slow_the_front_door() {
    // Both callees are as slow as the other; one has a hundredth of the requests.
    let mut all = vec![shifted("front", "latency_mean", 0.2, 200, 2.0), shifted("front", "requests", 1000.0, 999, 1.0)];
    for (service, requests) in [("often", 1000.0), ("rarely", 10.0)] {
        all.push(shifted(service, "latency_mean", 0.1, 200, 3.0));
        all.push(shifted(service, "requests", requests, 999, 1.0));
    }
    let d = diagnose(&all, &calls(&[("front", "often"), ("front", "rarely")]), at(AT), Some("front"));
    assert_eq!(order(&d)[0], "often", "{d:#?}");
}

#[test]
fn failures_are_explained_by_failures() {
    // Two callees of a failing service: one fails a little, the other is much slower. No request counts.
    let all = [
        shifted("front", "error_rate", 0.01, 200, 8.0),
        shifted("front", "latency_p50", 0.2, 999, 1.0),
        shifted("fails", "error_rate", 0.01, 200, 10.0),
        shifted("slows", "latency_p50", 0.1, 200, 13.0),
    ];
    let d = diagnose(&all, &calls(&[("front", "fails"), ("front", "slows")]), at(AT), Some("front"));
    assert_eq!(order(&d)[0], "fails", "{d:#?}");
}

#[test]
fn a_resource_counts_where_users_feel_little() {
    // Noise of latency times requests is no work: the processor of a service whose own latency hardly moves is the cause.
    let mut all = Vec::new();
    for service in ["front", "quiet", "busy"] {
        all.push(shifted(service, "latency_mean", 0.1, 200, if service == "busy" { 1.04 } else { 1.0 }));
        all.push(shifted(service, "requests", if service == "busy" { 1000.0 } else { 10.0 }, 999, 1.0));
        all.push(shifted(service, "cpu", 0.1, if service == "quiet" { 200 } else { 999 }, 4.0));
    }
    let d = diagnose(&all, &calls(&[("front", "quiet"), ("front", "busy")]), at(AT), Some("front"));
    assert_eq!(order(&d)[0], "quiet", "{d:#?}");
}

#[test]
fn the_symptom_rules_out_what_it_does_not_call() {
    let mut all = chain();
    all.push(shifted("z", "latency_mean", 0.1, 200, 3.0));
    let graph = calls(&[("a", "b"), ("b", "c"), ("y", "z")]);
    let d = diagnose(&all, &graph, at(AT), Some("a"));
    assert_eq!(order(&d)[0], "c");
    let z = d.causes.iter().find(|c| c.service == "z").unwrap();
    assert!(z.evidence.iter().any(|e| e.about == About::Reach));
    assert!(z.probability < 0.1);
}

#[test]
fn cycles_and_services_without_metrics_are_ranked_too() {
    let graph = calls(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "c"), ("c", "nothing known")]);
    let d = diagnose(&chain(), &graph, at(AT), Some("a"));
    assert_eq!(d.causes.len(), 5);
    assert_eq!(order(&d)[0], "c");
    assert_eq!(diagnose(&chain(), &graph, at(AT), Some("never heard of")).causes.len(), 5);
}

#[test]
fn counters_are_judged_by_their_rate() {
    let count = |service: &str, from: i64| {
        let sum = |i: i64| (0..=i).map(|j| if j >= from { 60.0 } else { 2.0 + noise(5, j) }).sum::<f64>();
        // A restart in the quiet time.
        series(service, "http_errors_total", move |i| if i >= 50 { sum(i) - sum(49) } else { sum(i) })
    };
    let d = diagnose(&[count("a", 999), count("b", 200)], &[], at(AT), None);
    assert_eq!(order(&d)[0], "b");
    let text = &d.causes[0].evidence[0].text;
    assert!(text.starts_with("http_errors_total rose from 0.1") && text.contains(" to 4.00 "), "{text}");
}

#[test]
fn nothing_to_say_is_no_failure() {
    assert_eq!(diagnose(&[], &[], at(0), None), Diagnosis { symptom: None, causes: Vec::new() });
    let still = [series("a", "cpu", |_| 0.0), series("b", "cpu", |_| f64::NAN), series("c", "latency", |_| 3.0)];
    let d = diagnose(&still, &[], at(AT), None);
    let sum: f64 = d.causes.iter().map(|c| c.probability).sum();
    assert!(d.causes.len() == 3 && (sum - 1.0).abs() < 1e-12);
    assert!(d.causes.iter().all(|c| c.onset.is_none()));
}

#[test]
fn an_outage_long_before_the_normal_time_has_a_past_after_it() {
    let mut late = chain();
    for s in &mut late {
        // The incident first, alone with two samples of its own, and the normal time a day later.
        for t in &mut s.times {
            if t.millis() < AT - 2 * STEP {
                *t = at(t.millis() + 86_400_000);
            }
        }
    }
    assert_eq!(order(&diagnose(&late, &calls(&[("a", "b"), ("b", "c"), ("a", "d")]), at(AT), Some("a")))[0], "c");
}

#[test]
fn one_of_a_thousand_metrics_is_found() {
    let all: Vec<MetricSeries> = (0..1000)
        .map(|k| MetricSeries {
            service: format!("s{}", k / 10),
            metric: ["cpu", "latency_mean", "requests", "errors_rate", "mem"][k % 5].to_owned(),
            times: (0..2000).map(|i| at(i * 1000)).collect(),
            values: (0..2000).map(|i| 10.0 + noise(k as u64, i) + if k == 500 && i > 1500 { 90.0 } else { 0.0 }).collect(),
            measures: None,
        })
        .collect();
    let graph: Vec<_> = (1..100).map(|i| (format!("s{}", i / 2), format!("s{i}"))).collect();
    let d = diagnose(&all, &graph, at(1_500_000), Some("s0"));
    assert_eq!(order(&d)[0], "s50");
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e3..1e3_f64,
        1 => prop::sample::select(vec![0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 1e308]),
    ]
}

fn any_series() -> impl Strategy<Value = MetricSeries> {
    let metric = prop::sample::select(vec!["cpu", "latency_mean", "availability", "errors_total", "requests", "x", "mem", ""]);
    let time = prop_oneof![8 => 0..60_i64, 1 => prop::sample::select(vec![i64::MIN, i64::MAX, -1])];
    let points = prop::collection::vec((time, any_value()), 0..80);
    let known = proptest::option::of((0..MetricKind::WORDS.len(), any::<bool>()));
    let service = prop::sample::select(vec!["a", "b", "c", ""]);
    (service, metric, known, points).prop_map(|(service, metric, known, points)| MetricSeries {
        service: service.to_owned(),
        metric: metric.to_owned(),
        times: points.iter().map(|(t, _)| at(t.saturating_mul(10_000))).collect(),
        values: points.into_iter().map(|(_, v)| v).collect(),
        measures: known.map(|(kind, is_share)| (MetricKind::WORDS[kind].parse().unwrap(), if is_share { Unit::Ratio } else { Unit::None })),
    })
}

fn any_graph() -> impl Strategy<Value = Vec<(String, String)>> {
    let service = || prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned);
    prop::collection::vec((service(), service()), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_input_gets_an_answer(
        mut all in prop::collection::vec(any_series(), 0..8),
        graph in any_graph(),
        ms in prop_oneof![4 => 0..600_000_i64, 1 => prop::sample::select(vec![i64::MIN, i64::MAX])],
        symptom in prop::option::of(prop::sample::select(vec!["a", "d", "none"])),
    ) {
        if let Some(s) = all.first_mut() {
            s.values.pop(); // a time without a value
        }
        let d = diagnose(&all, &graph, at(ms), symptom);
        for c in &d.causes {
            let all: f64 = c.evidence.iter().map(|e| e.weight).sum();
            let seen = c.evidence.iter().any(|e| e.about == About::Metric);
            prop_assert!(!seen || (all - c.score).abs() < 0.1, "{c:?}");
            prop_assert!(c.score.is_finite() && (0.0..=1.0).contains(&c.probability), "{c:?}");
            prop_assert!(c.onset_low <= c.onset && c.onset <= c.onset_high, "{c:?}");
            prop_assert!(c.evidence.iter().all(|e| e.weight.is_finite()), "{c:?}");
        }
        let sum: f64 = d.causes.iter().map(|c| c.probability).sum();
        prop_assert!(d.causes.is_empty() || (sum - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(
        all in prop::collection::vec(any_series(), 0..8),
        graph in any_graph(),
        ms in 0..600_000_i64,
    ) {
        let there = diagnose(&all, &graph, at(ms), Some("a"));
        let mut turned: Vec<MetricSeries> = all.into_iter().rev().collect();
        for s in &mut turned {
            s.times.reverse();
            s.values.reverse();
        }
        let graph: Vec<_> = graph.into_iter().rev().collect();
        let back = diagnose(&turned, &graph, at(ms), Some("a"));
        prop_assert_eq!(order(&there), order(&back));
        for (a, b) in there.causes.iter().zip(&back.causes) {
            prop_assert!((a.score - b.score).abs() < 1e-9);
        }
    }

    #[test]
    fn other_units_change_nothing(factor in prop_oneof![1e-9..1e9_f64], metric in prop::sample::select(vec!["cpu", "latency_mean", "requests"])) {
        let graph = calls(&[("a", "b"), ("b", "c"), ("a", "d")]);
        let plain = diagnose(&chain(), &graph, at(AT), Some("a"));
        let mut scaled = chain();
        for s in scaled.iter_mut().filter(|s| s.metric == metric) {
            s.values.iter_mut().for_each(|v| *v *= factor);
        }
        let scaled = diagnose(&scaled, &graph, at(AT), Some("a"));
        prop_assert_eq!(order(&plain), order(&scaled));
        for (a, b) in plain.causes.iter().zip(&scaled.causes) {
            prop_assert!((a.probability - b.probability).abs() < 1e-6, "{a:?} {b:?}");
        }
    }
}
