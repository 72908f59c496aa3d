use proptest::prelude::*;

use super::*;
use crate::clock::{DurationMs, Timestamp};
use crate::metric::Unit;
use crate::series::Window;

const MINUTE: DurationMs = DurationMs::from_secs(60);

fn now() -> Timestamp {
    "2026-11-20T14:25:00Z".parse().unwrap()
}

#[test]
fn a_chart_is_small_and_complete() {
    let window = Window::new(now(), MINUTE, vec![1.0, 2.0, f64::NAN, 3.0]).unwrap();
    let mut chart = Chart::new("requests", Unit::PerSecond, window);
    chart.lower = vec![0.5, 0.5, f64::NAN, 1.0];
    chart.upper = vec![2.5, 2.5, f64::NAN, 2.0];
    chart.marks = vec![Mark { from: now() + MINUTE * 3, to: now() + MINUTE * 3, title: "above".to_owned() }];
    insta::assert_snapshot!(svg(&chart, &[]).0.replace("><", ">\n<"), @r#"
    <svg class="chart" viewBox="0 0 800 240" role="img" aria-label="Chart of requests: from 1/s to 3/s, last 3/s; anomalous from Nov 20 14:28 to Nov 20 14:28">
    <rect class="mark" x="613.5" y="10" width="178.5" height="194">
    </rect>
    <line class="grid" x1="78" x2="792" y1="204" y2="204">
    </line>
    <text class="value" x="70" y="204">0/s</text>
    <line class="grid" x1="78" x2="792" y1="141.4" y2="141.4">
    </line>
    <text class="value" x="70" y="141.4">1/s</text>
    <line class="grid" x1="78" x2="792" y1="78.8" y2="78.8">
    </line>
    <text class="value" x="70" y="78.8">2/s</text>
    <line class="grid" x1="78" x2="792" y1="16.3" y2="16.3">
    </line>
    <text class="value" x="70" y="16.3">3/s</text>
    <text class="time" x="114" y="226">Nov 20 14:25</text>
    <text class="time between" x="256.5" y="226">Nov 20 14:26</text>
    <text class="time" x="435" y="226">Nov 20 14:27</text>
    <text class="time between" x="613.5" y="226">Nov 20 14:28</text>
    <text class="time" x="756" y="226">Nov 20 14:29</text>
    <path class="band" d="M78 172.7L78 47.5L167.3 47.5L345.8 47.5L435 47.5L435 172.7L345.8 172.7L167.3 172.7ZM613.5 141.4L613.5 78.8L702.8 78.8L792 78.8L792 141.4L702.8 141.4Z">
    </path>
    <path class="expected" d="">
    </path>
    <path class="line" d="M167.3 141.4L345.8 78.8M702.8 16.3h0">
    </path>
    <path class="anomalous" d="M702.8 16.3h0">
    </path>
    <line class="onset" x1="613.5" x2="613.5" y1="10" y2="204">
    </line>
    <line class="axis" x1="78" x2="792" y1="204" y2="204">
    </line>
    <rect class="hover" x="78" y="10" width="178.5" height="194">
    <title>Nov 20 14:25: 1/s (0.5/s to 2.5/s)</title>
    </rect>
    <rect class="hover" x="256.5" y="10" width="178.5" height="194">
    <title>Nov 20 14:26: 2/s (0.5/s to 2.5/s)</title>
    </rect>
    <rect class="hover" x="613.5" y="10" width="178.5" height="194">
    <title>Nov 20 14:28: 3/s (1/s to 2/s)
    above</title>
    </rect>
    </svg>
    "#);
}

#[test]
fn a_chart_of_a_year_is_bounded() {
    let values = (0..525_600).map(|i| (f64::from(i) * 0.7).sin()).collect();
    let mut chart = Chart::new("a year", Unit::None, Window::new(now(), MINUTE, values).unwrap());
    chart.lower = vec![-1.0; 525_600];
    chart.upper = vec![1.0; 525_600];
    chart.expected = vec![0.0; 525_600];
    assert!(svg(&chart, &[]).0.len() < 150_000, "{}", svg(&chart, &[]).0.len());
}

#[test]
fn what_is_labelled_is_shaded_and_told() {
    let window = Window::new(now(), MINUTE, vec![1.0; 10]).unwrap();
    let chart = Chart::new("requests", Unit::None, window);
    let label = |from: i64, to: i64| Mark { from: now() + MINUTE * from, to: now() + MINUTE * to, title: String::new() };
    let before = Mark { from: now() - MINUTE * 9, to: now() - MINUTE * 5, title: String::new() };
    let labelled = [label(2, 4), before, label(50, 60)];
    let drawn = figure(&chart, &labelled).0;
    assert_eq!(drawn.matches("<rect class=\"label\" x=\"220.8\" y=\"10\" width=\"214.2\"").count(), 1);
    assert_eq!(drawn.matches("<rect class=\"strip\"").count(), 1);
    assert!(drawn.contains("labelled from Nov 20 14:27 to Nov 20 14:29\"") && drawn.contains("<span class=\"key label\">labelled</span>"));
    assert!(!figure(&chart, &labelled[1..]).0.contains("label\""));
}

#[test]
fn a_description_does_not_go_on_for_ever() {
    let mut chart = Chart::new("t", Unit::None, Window::new(now(), MINUTE, vec![1.0; 1000]).unwrap());
    let mark = |i: i64| Mark { from: now() + MINUTE * i, to: now() + MINUTE * i, title: String::new() };
    chart.marks = (0..100).map(|i| mark(i * 10)).collect();
    let drawn = svg(&chart, &[]).0;
    assert_eq!(drawn.matches("anomalous from").count(), 10);
    assert!(drawn.contains("; anomalous 90 times more\""));
}

#[test]
fn bars_stand_on_each_other_and_below_the_line() {
    let bar = |title: &str, lower, upper| Bar { title: title.to_owned(), parts: vec![("count", lower), ("right", upper)] };
    let shown = Bars {
        title: "alerts per day".to_owned(),
        bars: vec![bar("one", 2.0, 1.0), bar("none", 0.0, f64::NAN)],
        line: Some((4.0, "budget: 4 a day".to_owned())),
        ticks: vec![(0.5, "Nov 20".to_owned())],
    };
    insta::assert_snapshot!(bars(&shown).0.replace("><", ">\n<"), @r#"
    <svg class="chart bars" viewBox="0 0 800 240" role="img" aria-label="Bars of alerts per day: 2 of them, from 0 to 3; budget: 4 a day">
    <line class="grid" x1="78" x2="792" y1="204" y2="204">
    </line>
    <text class="value" x="70" y="204">0</text>
    <line class="grid" x1="78" x2="792" y1="160.7" y2="160.7">
    </line>
    <text class="value" x="70" y="160.7">1</text>
    <line class="grid" x1="78" x2="792" y1="117.4" y2="117.4">
    </line>
    <text class="value" x="70" y="117.4">2</text>
    <line class="grid" x1="78" x2="792" y1="74.1" y2="74.1">
    </line>
    <text class="value" x="70" y="74.1">3</text>
    <line class="grid" x1="78" x2="792" y1="30.8" y2="30.8">
    </line>
    <text class="value" x="70" y="30.8">4</text>
    <text class="time" x="256.5" y="226">Nov 20</text>
    <rect class="count" x="80" y="117.4" width="353" height="86.6">
    </rect>
    <rect class="right" x="80" y="74.1" width="353" height="43.3">
    </rect>
    <rect class="hover" x="78" y="10" width="357" height="194">
    <title>one</title>
    </rect>
    <rect class="hover" x="435" y="10" width="357" height="194">
    <title>none</title>
    </rect>
    <line class="axis" x1="78" x2="792" y1="204" y2="204">
    </line>
    <line class="halo" x1="78" x2="792" y1="30.8" y2="30.8">
    </line>
    <line class="limit" x1="78" x2="792" y1="30.8" y2="30.8">
    </line>
    <text class="limit" x="792" y="24.8">budget: 4 a day</text>
    </svg>
    "#);
    // So far above all bars that they would be seen no more.
    let far = Bars { line: Some((1000.0, "budget: 1,000 a day".to_owned())), ..shown.clone() };
    let drawn = bars(&far).0;
    assert!(drawn.contains(">budget: 1,000 a day ↑</text>") && !drawn.contains("<line class=\"limit\""));
    let none = Bars { bars: vec![], line: Some((f64::INFINITY, "no budget".to_owned())), ..shown };
    assert!(bars(&none).0.contains("<line class=\"axis\""));
}

proptest! {
    #[test]
    fn any_data_makes_a_chart_without_nan(
        values in prop::collection::vec(prop_oneof![-1e3..1e3_f64, Just(f64::NAN), Just(1e308), Just(-1e308), Just(0.0)], 0..300),
        bounds in prop::collection::vec(prop_oneof![-1e3..1e3_f64, Just(f64::NAN), Just(f64::INFINITY), Just(-1e308)], 0..300),
        from in -400_i64..400, long in 0_i64..400,
    ) {
        let mut chart = Chart::new("t", Unit::None, Window::new(now(), MINUTE, values).unwrap());
        chart.upper = bounds.iter().map(|b| b + 1.0).collect();
        chart.expected = bounds.clone();
        chart.lower = bounds;
        let from = now() + MINUTE * 400 - MINUTE * (400 - from);
        chart.marks = vec![Mark { from, to: from + MINUTE * long, title: String::new() }];
        let drawn = svg(&chart, &[]).0;
        prop_assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{}", drawn);
    }

    #[test]
    fn any_heights_make_bars_without_nan(
        heights in prop::collection::vec(prop_oneof![-1.0..1e3_f64, Just(f64::NAN), Just(f64::INFINITY), Just(1e308), Just(0.0)], 0..200),
        line in prop_oneof![-1.0..1e3_f64, Just(f64::NAN), Just(f64::INFINITY), Just(1e308), Just(0.0)],
    ) {
        let bar = |height: &f64| Bar { title: String::new(), parts: vec![("count", *height), ("right", *height)] };
        let shown = Bars { bars: heights.iter().map(bar).collect(), line: Some((line, String::new())), ..Bars::default() };
        let drawn = bars(&shown).0;
        prop_assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{}", drawn);
        prop_assert!(!drawn.contains("height=\"-") && !drawn.contains("width=\"-"));
    }
}
