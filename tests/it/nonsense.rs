//! Every analysis is fed what no series should hold, and says something sensible or nothing: it never panics.

use std::collections::BTreeMap;

use bellwether::analysis::baseline;
use bellwether::analysis::calibrate::{self, Tail};
use bellwether::analysis::decompose::{self, Decomposition, MstlParams, StlParams};
use bellwether::analysis::detect::isolation_forest::{IsolationForest, IsolationForestParams};
use bellwether::analysis::detect::{self, Decision, Judgement};
use bellwether::analysis::season::find_periods;
use bellwether::clock::{DurationMs, Timestamp};
use bellwether::correlation::feedback::Learned;
use bellwether::correlation::grouping::{self, Tick};
use bellwether::correlation::ranking;
use bellwether::correlation::remedy::{Catalogue, Context};
use bellwether::correlation::topology::{Call, CallSource, Topology};
use bellwether::event::{Event, EventKind};
use bellwether::feedback::{Feedback, Given, Verdict};
use bellwether::finding::{Direction, Evidence, Finding, FindingKind};
use bellwether::incident::Incident;
use bellwether::monitor::{MetricKind, Monitor, Unit};
use bellwether::series::{Series, SeriesKey, Window};
use bellwether::source::file;
use bellwether::source::prometheus::matrix::{Grid, Limits, Parser};
use linfa::prelude::{DatasetBase, Fit};
use ndarray::Array2;
use proptest::prelude::*;

/// The seed of every forest here.
const SEED: u64 = 11;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_millis(1_767_571_200_000 + minutes * 60_000)
}

/// Numbers that are odd each in its own way.
fn odd() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(-f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(1e308),
        Just(-1e308),
        Just(f64::MAX),
        Just(f64::MIN),
        Just(-0.0),
        Just(0.0),
        Just(f64::MIN_POSITIVE / 8.0),
        Just(-5e-324),
        Just(f64::EPSILON),
        Just(9.9e149),
        Just(1e150),
        any::<f64>(),
    ]
}

/// A series of ordinary values: a rhythm, a walk, a constant, two levels.
fn ordinary(len: usize) -> impl Strategy<Value = Vec<f64>> {
    let scale =
        prop_oneof![Just(1.0), Just(1e-300), Just(5e-324), Just(1e-9), Just(1e12), Just(1e140), Just(1e149), Just(-1e149), Just(1e300)];
    let noise = prop::collection::vec(-1.0..1.0_f64, len);
    (0..5_u8, 2..60_usize, scale, -1e3..1e3_f64, noise).prop_map(move |(shape, period, scale, level, noise)| {
        let mut walk = 0.0;
        (noise.iter().enumerate())
            .map(|(i, noise)| {
                walk += noise;
                let value = match shape {
                    0 => level,
                    1 => (i as f64 / period as f64 * std::f64::consts::TAU).sin() * 10.0 + noise,
                    2 => walk,
                    3 => f64::from(u8::from(i % period < period / 2)),
                    _ => level + noise * 1e-12,
                };
                value * scale
            })
            .collect()
    })
}

/// Series that no analysis was made for: odd numbers only, or strewn into ordinary ones, or in long runs.
fn nonsense(most: usize) -> impl Strategy<Value = Vec<f64>> {
    let strewn = (0..=most)
        .prop_flat_map(|len| (ordinary(len), prop::collection::vec((any::<prop::sample::Index>(), odd()), 0..12)))
        .prop_map(|(mut values, strewn)| {
            if !values.is_empty() {
                for (place, value) in strewn {
                    let place = place.index(values.len());
                    values[place] = value;
                }
            }
            values
        });
    let runs = (0..=most).prop_flat_map(|len| (ordinary(len), any::<prop::sample::Index>(), any::<prop::sample::Index>(), odd())).prop_map(
        |(mut values, from, to, value)| {
            if !values.is_empty() {
                let (from, to) = (from.index(values.len()), to.index(values.len()));
                values[from.min(to)..from.max(to)].fill(value);
            }
            values
        },
    );
    prop_oneof![
        1 => prop::collection::vec(odd(), 0..4),
        1 => prop::collection::vec(odd(), 0..most),
        1 => (odd(), 0..most).prop_map(|(value, len)| vec![value; len]),
        4 => strewn,
        2 => runs,
    ]
}

/// The parts are as long as the series, trend and seasons are numbers, and all sum to the value where there is one.
fn check_parts(values: &[f64], parts: &Decomposition) -> Result<(), TestCaseError> {
    let n = values.len();
    prop_assert!(parts.trend.len() == n && parts.remainder.len() == n && parts.weights.len() == n);
    let size = values.iter().filter(|v| v.is_finite()).fold(0.0_f64, |size, v| size.max(v.abs()));
    for (i, value) in values.iter().enumerate() {
        let seasons: Vec<f64> = parts.seasons.iter().map(|s| s.values[i]).collect();
        prop_assert!(parts.trend[i].is_finite() && seasons.iter().all(|v| v.is_finite()), "{i}: {} and {seasons:?}", parts.trend[i]);
        prop_assert!((0.0..=1.0).contains(&parts.weights[i]), "{i}: weight {}", parts.weights[i]);
        prop_assert_eq!(parts.remainder[i].is_nan(), !value.is_finite(), "{}: {} of {}", i, parts.remainder[i], value);
        if value.is_finite() {
            let sum = parts.trend[i] + seasons.iter().sum::<f64>() + parts.remainder[i];
            prop_assert!((sum - value).abs() <= 1e-9 * size + 1e-300, "{i}: {sum} for {value}");
        }
    }
    Ok(())
}

/// Where there is a value there is a verdict in numbers; where there is none there is none.
fn check_judgement(j: &Judgement) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        (j.score.is_nan(), j.p_value.is_nan(), j.z.is_nan()),
        (j.value.is_nan(), j.value.is_nan(), j.value.is_nan()),
        "{:?}",
        j
    );
    prop_assert!(j.expected.is_finite() && !j.lower.is_nan() && !j.upper.is_nan(), "{j:?}");
    prop_assert!(j.lower <= j.expected && j.expected <= j.upper, "{j:?}");
    if !j.value.is_nan() {
        prop_assert!(j.p_value > 0.0 && j.p_value <= 1.0 && j.score >= 0.0 && j.score.is_finite(), "{j:?}");
        prop_assert!(
            !j.views.is_empty() && j.views.iter().all(|v| v.p_value > 0.0 && v.p_value <= 1.0 && v.statistic.is_finite()),
            "{j:?}"
        );
    }
    Ok(())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z]{1,6}", "\\PC{0,12}", Just("{{service}}".to_owned()), Just("\0\n\"\\'`$(x)".to_owned())]
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let name = prop_oneof![Just("service".to_owned()), Just("instance".to_owned()), Just("__name__".to_owned()), text()];
    prop::collection::btree_map(name, text(), 0..4)
}

fn finding() -> impl Strategy<Value = Finding> {
    let numbers = (odd(), odd(), odd(), odd(), odd(), odd());
    let words = (0..MetricKind::WORDS.len(), 0..Unit::WORDS.len(), any::<bool>(), any::<bool>());
    let times = (prop_oneof![-90..90_i64, Just(i64::MIN / 120_000), Just(i64::MAX / 120_000)], prop::option::of(0..90_i64));
    (text(), prop_oneof![Just("cart".to_owned()), text()], labels(), numbers, words, times).prop_map(
        |(monitor, service, labels, numbers, (metric, unit, deviates, up), (onset, lasted))| {
            let key = SeriesKey::new(labels);
            let onset = at(onset);
            let ended = lasted.map(|minutes| onset + DurationMs::from_secs(60) * minutes);
            Finding {
                id: Finding::identity(&monitor, &key, onset),
                monitor,
                service,
                key,
                metric: MetricKind::WORDS[metric].parse().unwrap(),
                unit: Unit::WORDS[unit].parse().unwrap(),
                kind: if deviates { FindingKind::Deviation } else { FindingKind::Pattern },
                direction: if up { Direction::Up } else { Direction::Down },
                onset,
                opened: onset,
                last_seen: ended.unwrap_or(onset),
                ended,
                value: numbers.0,
                expected: numbers.1,
                lower: numbers.2,
                upper: numbers.3,
                score: numbers.4,
                p_value: numbers.5,
                evidence: vec![Evidence { detector: "residual".to_owned(), p_value: numbers.5, note: String::new() }],
                model: String::new(),
                reach: None,
                course: None,
            }
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    (text(), 0..EventKind::WORDS.len(), prop::option::of(text()), labels(), -120..90_i64, prop::option::of(-10..90_i64)).prop_map(
        |(id, kind, service, labels, starts, lasted)| Event {
            title: id.clone(),
            id,
            kind: EventKind::WORDS[kind].parse().unwrap(),
            source: String::new(),
            description: String::new(),
            service,
            labels,
            starts_at: at(starts),
            ends_at: lasted.map(|minutes| at(starts + minutes)),
            url: None,
        },
    )
}

/// Bytes that are nearly an answer of Prometheus.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![
        Just("\"NaN\"".to_owned()),
        Just("\"+Inf\"".to_owned()),
        Just("\"1e999\"".to_owned()),
        Just("\"-0\"".to_owned()),
        Just("\"5e-324\"".to_owned()),
        Just("\"\"".to_owned()),
        Just("null".to_owned()),
        odd().prop_map(|v| format!("\"{v}\"")),
    ];
    let when = prop_oneof![
        (0..10_i64).prop_map(|i| format!("{}", 60 * i)),
        Just("1e300".to_owned()),
        Just("-1".to_owned()),
        Just("\"x\"".to_owned()),
        Just("0.0005".to_owned())
    ];
    let sample = (when, number).prop_map(|(t, v)| format!("[{t},{v}]"));
    let series = (text(), prop::collection::vec(sample, 0..6)).prop_map(|(label, samples)| {
        format!("{{\"metric\":{{\"l\":{}}},\"values\":[{}]}}", serde_json::to_string(&label).unwrap(), samples.join(","))
    });
    let whole = prop::collection::vec(series, 0..4).prop_map(|all| {
        format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{}]}}}}", all.join(",")).into_bytes()
    });
    let damaged = (whole.prop_map(|w| w), any::<prop::sample::Index>(), any::<u8>(), 0..3_u8).prop_map(|(mut bytes, place, byte, how)| {
        let place = place.index(bytes.len());
        match how {
            0 => bytes[place] = byte,
            1 => bytes.truncate(place),
            _ => {}
        }
        bytes
    });
    prop_oneof![5 => damaged, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

/// Text that is nearly a table.
fn tables() -> impl Strategy<Value = String> {
    let cell = prop_oneof![
        Just(String::new()),
        Just("NaN".to_owned()),
        Just("inf".to_owned()),
        Just("-1e309".to_owned()),
        Just("1e308".to_owned()),
        Just("2026-01-31T08:00:00Z".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("\"".to_owned()),
        Just("\"a,b\"".to_owned()),
        odd().prop_map(|v| v.to_string()),
        text(),
    ];
    let time = prop_oneof![8 => (0..400_i64).prop_map(|i| (1_767_571_200 + i * 60).to_string()), 1 => cell.clone()];
    let row = (time, prop::collection::vec(cell, 0..3))
        .prop_map(|(time, cells)| std::iter::once(time).chain(cells).collect::<Vec<_>>().join(","));
    let header = prop_oneof![6 => Just("timestamp,a,b".to_owned()), 1 => Just("ds,value".to_owned()), 1 => text()];
    (header, prop::collection::vec(row, 0..30)).prop_map(|(header, rows)| format!("{header}\n{}", rows.join("\n")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decompositions(values in nonsense(160), period in 0..40_usize, other in 2..60_usize, window in 0..200_usize, robust: bool) {
        let stl = StlParams::new(period);
        if let Ok(parts) = decompose::stl(&values, &if robust { stl.robust() } else { stl }) {
            check_parts(&values, &parts)?;
        }
        let mstl = MstlParams::new(&[period, other]);
        if let Ok(parts) = decompose::mstl(&values, &if robust { mstl.robust().fast() } else { mstl.constant() }) {
            check_parts(&values, &parts)?;
        }
        if let Ok(parts) = decompose::trend(&values, window, robust) {
            check_parts(&values, &parts)?;
        }
    }

    #[test]
    fn periods(values in nonsense(600), candidates in prop::collection::vec(prop_oneof![0..400_usize, Just(usize::MAX)], 0..5)) {
        let found = find_periods(&values, &candidates);
        prop_assert!(found.is_sorted() && found.iter().all(|p| candidates.contains(p) && *p >= 4 && *p <= values.len() / 2), "{found:?}");
    }

    #[test]
    fn forests(values in nonsense(240), columns in 0..6_usize, more in nonsense(60), depth in 1..5_usize) {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        let records = Array2::from_shape_vec((rows, columns), values[..rows * columns].to_vec()).unwrap();
        let params = IsolationForestParams::default().trees(10).sample_size(64).max_depth(depth).seed(SEED);
        let finite = records.iter().all(|v| v.is_finite());
        let Ok(forest): Result<IsolationForest, _> = linfa::ParamGuard::check(params).unwrap().fit(&DatasetBase::from(records.view())) else {
            prop_assert!(!finite || rows == 0 || columns == 0, "{rows} rows of {columns} finite columns are refused");
            return Ok(());
        };
        prop_assert!(finite);
        for row in more.chunks(columns).chain(values.chunks(columns)) {
            match forest.score_one(row) {
                Ok(score) => prop_assert!(score > 0.0 && score <= 1.0, "{score} for {row:?}"),
                Err(_) => prop_assert!(row.len() != columns || row.iter().any(|v| !v.is_finite()), "{row:?} is refused"),
            }
        }
        let scores = forest.score(records.view()).unwrap();
        prop_assert!(scores.iter().all(|s| *s > 0.0 && *s <= 1.0), "{scores}");
    }

    #[test]
    fn tails(sample in nonsense(400), others in nonsense(40), p in prop_oneof![odd(), 0.0..1.0_f64]) {
        if let Some(tail) = Tail::fit(&sample) {
            for x in others.iter().chain(&sample) {
                let chance = tail.p_value(*x);
                prop_assert!(if x.is_nan() { chance.is_nan() } else { chance > 0.0 && chance <= 1.0 }, "{chance} for {x}");
            }
            if p > 0.0 && p <= 1.0 {
                prop_assert!(!tail.quantile(p).is_nan(), "{p}");
            }
        }
        // Nothing to hold them against but that they are numbers where they get numbers.
        let alpha = calibrate::bound(p, sample.len(), others.len() as f64);
        prop_assert!(p.is_nan() || (1e-12..=0.01).contains(&alpha), "{alpha} for {p}");
        if p > 0.0 && p <= 1.0 {
            prop_assert!(calibrate::score(p, alpha) >= 0.0);
        }
        let middle = baseline::median(sample.iter().copied());
        prop_assert_eq!(middle.is_some(), sample.iter().any(|v| v.is_finite()));
        prop_assert!(middle.is_none_or(f64::is_finite), "{middle:?}");
    }

    #[test]
    fn detections(
        values in nonsense(700),
        step in prop_oneof![Just(1_i64), Just(1000), Just(60_000), Just(600_000), Just(3_600_000), Just(86_400_000)],
        from in -10..800_i64,
        per_day in prop_oneof![Just(10.0), Just(1e5), Just(1e-9)],
        direction in prop_oneof![Just(None), Just(Some(Direction::Up)), Just(Some(Direction::Down))],
    ) {
        let step = DurationMs::from_millis(step);
        let window = Window::new(at(0), step, values).unwrap();
        let from = if from < 0 { at(from) } else { at(0) + step * from };
        let decision = Decision { alpha: 1e-3, direction };
        if let Ok(analysis) = detect::analyze(&window, from, decision) {
            prop_assert_eq!(analysis.judgements.len(), window.slice(from, window.end()).len());
            for judgement in &analysis.judgements {
                check_judgement(judgement)?;
            }
            // Live, a model meets whatever comes: nothing may make it fail, or forget to say.
            let mut state = analysis.model.start();
            for (i, value) in [f64::NAN, f64::INFINITY, 1e308, -1e308, -0.0, 5e-324, 0.0, f64::MAX, 1.0].into_iter().cycle().take(50).enumerate() {
                let (judgement, _) = analysis.model.step(&mut state, window.time(window.len() + i), value, None, decision);
                check_judgement(&judgement)?;
            }
            prop_assert!(analysis.model.is_sound());
        }
        let series = Series { key: SeriesKey::default(), window };
        for from in [None, Some(from)] {
            if let Ok((analysis, findings)) = detect::judge_alone(&series, from, per_day, 1, &Monitor::ad_hoc(step, direction)) {
                prop_assert!(analysis.judgements.iter().any(|j| !j.score.is_nan()));
                for f in &findings {
                    prop_assert!(f.score >= 1.0 && f.p_value > 0.0 && f.p_value <= 1.0 && f.value.is_finite(), "{f:?}");
                    prop_assert!(f.onset <= f.last_seen && f.ended.is_none_or(|end| end > f.last_seen), "{f:?}");
                }
            }
        }
    }

    #[test]
    fn correlations(findings in prop::collection::vec(finding(), 0..8), events in prop::collection::vec(event(), 0..6), later in prop::collection::vec(finding(), 0..4)) {
        let catalogue = Catalogue::shipped();
        let monitor = |name: &str| name.len().is_multiple_of(2).then(|| Monitor { name: name.to_owned(), query: "(".to_owned(), ..Monitor::ad_hoc(DurationMs::ZERO, None) });
        let call = |(caller, callee): (&Finding, &Finding)| Call { caller: caller.service.clone(), callee: callee.service.clone(), source: CallSource::Measured };
        // Services without a name make no topology.
        let topology = Topology::new(findings.iter().zip(findings.iter().skip(1)).map(call)).unwrap_or_default();
        let learned = Learned::default();
        let causes = ranking::causes(&findings, &events, &topology, learned.of(""));
        prop_assert_eq!(causes.is_empty(), findings.is_empty());
        prop_assert!(causes.is_empty() || (causes.iter().map(|c| c.weight).sum::<f64>() - 1.0).abs() < 1e-9, "{causes:?}");
        let mut open: Vec<Incident> = Vec::new();
        for (minute, findings) in [(90, &findings), (91, &later)] {
            let tick = Tick { now: at(minute), findings, events: &events, topology: &topology, monitor: &monitor, catalogue: &catalogue, learned: &learned, runbook_base: "http://x" };
            let changed = grouping::update(&open, &tick);
            for incident in changed {
                prop_assert!(!incident.findings.is_empty() && !incident.suggestions.is_empty() && !incident.title.is_empty());
                prop_assert!(incident.causes.iter().all(|c| c.weight.is_finite()), "{:?}", incident.causes);
                // What is stored is read back, whatever numbers are in it.
                let read: Incident = serde_json::from_str(&serde_json::to_string(&incident).unwrap()).unwrap();
                prop_assert_eq!((&read.id, read.findings.len(), read.events.len()), (&incident.id, incident.findings.len(), incident.events.len()));
                open.retain(|i| i.id != incident.id);
                open.push(incident);
            }
            prop_assert!(findings.iter().all(|f| open.iter().filter(|i| i.findings.iter().any(|g| g.id == f.id)).count() == 1));
        }
        let given = |i: &Incident, verdict| Given { incident: i.id.clone(), verdict, cause: None, suggestion: None, comment: String::new(), author: String::new() };
        for verdict in [Verdict::Noise, Verdict::Useful, Verdict::Expected] {
            let said: Vec<Feedback> = open.iter().map(|i| Feedback::of(given(i, verdict), i, at(92))).collect();
            let learned = Learned::from_all(&said);
            for finding in &findings {
                let prior = learned.prior(finding);
                prop_assert!(prior > 0.0 && prior < 1.0, "{prior}");
                let held = learned.holds_back(finding).map(|held| held.reason(finding));
                prop_assert!(verdict != Verdict::Useful || held.is_none(), "{held:?}");
            }
        }
        // A placeholder that is left is one only where no text from outside is written so itself.
        let is_written_so = |finding: &Finding| format!("{finding:?} {events:?}").contains("{{");
        for finding in &findings {
            let context = Context { changes: events.iter().collect(), query: Some("{"), ..Context::default() };
            let suggestions = catalogue.suggest(finding, &context);
            prop_assert!((1..=3).contains(&suggestions.len()));
            prop_assert!(suggestions.iter().flat_map(|s| s.steps.iter().chain(&s.promql).chain(&s.commands)).all(|t| !t.contains("{{")) || is_written_so(finding), "{suggestions:?}");
        }
    }

    #[test]
    fn answers_of_prometheus(bytes in answers(), cut in 1..40_usize, len in 0..12_usize) {
        let limits = Limits { most_series: 3, most_points: 30, most_bytes: 1000 };
        let read = |chunks: &mut dyn Iterator<Item = &[u8]>| {
            let mut parser = Parser::new(Grid::new(Timestamp::default(), DurationMs::from_secs(60), len), limits);
            for chunk in chunks {
                parser.feed(chunk)?;
            }
            parser.finish()
        };
        let whole = read(&mut std::iter::once(bytes.as_slice()));
        if let Ok(matrix) = &whole {
            prop_assert!(matrix.series.iter().all(|(_, values)| values.len() == len));
        }
        // In pieces it is the same; what is wrong may be seen at another byte.
        let pieces = read(&mut bytes.chunks(cut));
        prop_assert_eq!(whole.is_ok(), pieces.is_ok());
        if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
            prop_assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
        }
    }

    #[test]
    fn files(text in tables()) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["nonsense.csv", "nonsense.parquet"] {
            let path = folder.path().join(name);
            std::fs::write(&path, &text).unwrap();
            match file::read(&path, file::Limits { most_rows: 1000, most_points: 100_000, most_bytes: 1 << 20 }) {
                Ok(series) => {
                    prop_assert!(!series.is_empty());
                    prop_assert!(series.iter().all(|s| s.window.values().iter().all(|v| v.is_finite() || v.is_nan())));
                }
                Err(error) => prop_assert!(error.to_string().contains(name), "{error}"),
            }
        }
    }
}
