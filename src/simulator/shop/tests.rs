use std::collections::BTreeMap;

use super::super::promql::{self, Answer, Grid};
use super::*;
use crate::monitor::MetricKind;

const MINUTE: DurationMs = DurationMs::from_secs(60);

/// A Wednesday, 10:20 UTC.
fn onset() -> Timestamp {
    "2024-05-15T10:20:00Z".parse().unwrap()
}

fn shop(kind: Option<IncidentKind>) -> Shop {
    Config {
        seed: 3,
        services: 14,
        start: onset() - DurationMs::DAY * 15,
        scrape_interval: MINUTE,
        sessions: 0,
        incident: kind.map(|kind| Plan { kind, onset: onset(), duration: Some(DurationMs::HOUR * 2) }),
        campaign: None,
    }
    .build()
    .unwrap()
}

/// What shows a metric of each service.
const SHOWN: [(MetricKind, &str); 8] = [
    (MetricKind::Traffic, "sum by (service) (rate(http_requests_total[5m]))"),
    (
        MetricKind::Errors,
        "sum by (service) (rate(http_requests_total{code=~\"5..\"}[5m])) / sum by (service) (rate(http_requests_total[5m]))",
    ),
    (MetricKind::Latency, "histogram_quantile(0.95, sum by (service, le) (rate(http_request_duration_seconds_bucket[5m])))"),
    (MetricKind::Cpu, "rate(container_cpu_usage_seconds_total[5m])"),
    (MetricKind::Memory, "process_resident_memory_bytes"),
    (MetricKind::Saturation, "db_connection_pool_in_use / db_connection_pool_max"),
    (MetricKind::Queue, "queue_depth"),
    (MetricKind::Disk, "1 - node_filesystem_avail_bytes / node_filesystem_size_bytes"),
];

/// Each series of `query` from `from` to `to`, by service.
fn ask(shop: &Shop, query: &str, from: Timestamp, to: Timestamp) -> BTreeMap<String, Vec<f64>> {
    match promql::evaluate(shop, query, Grid::between(from, to, MINUTE), to).unwrap() {
        Answer::Vector(lines) => lines
            .iter()
            .map(|line| {
                let name = line.key.get("service").or_else(|| line.key.get("instance")).unwrap().to_owned();
                (name, line.points().map(|p| p.1).collect())
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// By how many robust standard deviations the median of `window` minutes from minute `at` on differs from
/// a week before, by the usual differences between one week and the next.
fn sigmas(values: &[f64], at: usize, window: usize) -> f64 {
    let week = 7 * 24 * 60;
    let differences: Vec<f64> = values.iter().skip(week).zip(values).map(|(now, then)| now - then).collect();
    let usual: Vec<f64> = differences[..at - week - 10].chunks_exact(window).map(|c| median(c.to_vec())).collect();
    let centre = median(usual.clone());
    let scale = 1.4826 * median(usual.iter().map(|d| (d - centre).abs()).collect());
    // What never changes has no scale; that it still does not, is then the question.
    let distance = (median(differences[at - week..at - week + window].to_vec()) - centre).abs();
    if scale == 0.0 { if distance == 0.0 { 0.0 } else { f64::INFINITY } } else { distance / scale }
}

/// The greatest of [`sigmas`] over the windows from minute `from` to minute `to`.
fn farthest(values: &[f64], from: usize, to: usize) -> f64 {
    (from..to - 10).step_by(10).map(|at| sigmas(values, at, 10)).fold(0.0, f64::max)
}

#[test]
fn the_truth_is_visible_and_the_rest_is_healthy() {
    for word in IncidentKind::WORDS {
        let shop = shop(Some(word.parse().unwrap()));
        let incident = shop.truth().incident.clone().unwrap();
        assert_eq!(incident.affected[0].onset, incident.onset);
        let from = shop.config().start + MINUTE * 10;
        let minute = |t: Timestamp| t.since(from).steps(MINUTE);
        let (mut seen, mut wrong) = (0, Vec::new());
        for (metric, query) in SHOWN {
            for (service, values) in ask(&shop, query, from, onset() + DurationMs::HOUR * 3) {
                let affected = incident.affected.iter().find(|a| a.metric == metric && a.service == service);
                if let Some(affected) = affected {
                    seen += 1;
                    let during = farthest(&values, minute(affected.onset), minute(incident.end.unwrap()));
                    if during < 5.0 {
                        wrong.push(format!("{service} {metric}: only {during:.1} sigmas"));
                    }
                    let after = sigmas(&values, minute(incident.end.unwrap()) + 8, 10);
                    if after >= 5.0 {
                        wrong.push(format!("{service} {metric}: {after:.1} sigmas after the end"));
                    }
                } else {
                    let during = farthest(&values, minute(onset()), minute(incident.end.unwrap()));
                    if during >= 5.0 {
                        wrong.push(format!("{service} {metric}: healthy, but {during:.1} sigmas"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{word}: {wrong:#?}");
        assert_eq!(seen, incident.affected.len(), "{word}: every affected metric can be asked for");
    }
}

#[test]
fn the_onset_is_seen_at_once_where_it_begins() {
    let shop = shop(Some(IncidentKind::PoolExhaustion));
    let from = shop.config().start + MINUTE * 10;
    let values = ask(&shop, SHOWN[5].1, from, onset() + MINUTE * 10);
    let at = onset().since(from).steps(MINUTE);
    assert!(sigmas(&values["payment"], at, 3) > 5.0);
    assert!(sigmas(&values["payment"], at - 3, 3) < 5.0);
}

#[test]
fn an_incident_spreads_from_callee_to_caller() {
    for word in IncidentKind::WORDS.iter().filter(|w| **w != "queue_backlog") {
        let shop = shop(Some(word.parse().unwrap()));
        let incident = shop.truth().incident.clone().unwrap();
        let first = |service: &str| incident.affected.iter().find(|a| a.service == service).map(|a| a.onset);
        for affected in incident.affected.iter().filter(|a| a.service != incident.root) {
            let earlier = |callee: &str| first(callee).is_some_and(|onset| onset < affected.onset);
            let spreads = shop.calls().iter().any(|(caller, callee)| *caller == affected.service && earlier(callee));
            assert!(spreads, "{word}: {affected:?}");
        }
        let change = shop.truth().changes.iter().find(|e| e.id == incident.change).unwrap();
        assert!(change.service.as_deref() == Some(&incident.root) && change.starts_at < incident.onset);
    }
}

#[test]
fn a_value_does_not_depend_on_when_it_is_asked() {
    let (live, history) = (shop(Some(IncidentKind::PoolExhaustion)), shop(Some(IncidentKind::PoolExhaustion)));
    let interval = MINUTE.millis();
    let end = onset().millis() / interval + 200;
    let all: Vec<usize> = (0..live.series_count()).collect();
    for slot in [end - 20_000, end - 300, end - 299, end - 10] {
        live.samples(&all, &(slot..slot + 1));
    }
    let slots = end - 400..end;
    assert_eq!(live.samples(&all, &slots), history.samples(&all, &slots));
    let other = Config { seed: 4, ..shop(None).config().clone() }.build().unwrap();
    assert_ne!(other.samples(&all[1..2], &slots), shop(None).samples(&all[1..2], &slots));
}

#[test]
fn counters_rise_and_begin_again_only_at_a_deployment() {
    let shop = shop(Some(IncidentKind::PoolExhaustion));
    let end = onset() + DurationMs::HOUR;
    let range = format!("{}", end.since(shop.config().start));
    let query = format!("resets({{__name__=~\"http_request.*_(total|bucket|count|sum)|container_cpu.*\"}}[{range}]) > 0");
    // Names are dropped, so that several series of one service would be the same: ask one by one.
    assert!(promql::evaluate(&shop, &query, Grid::instant(end), end).is_err());
    for name in ["http_requests_total", "http_request_duration_seconds_sum", "container_cpu_usage_seconds_total"] {
        let Ok(Answer::Vector(lines)) = promql::evaluate(&shop, &format!("resets({name}[{range}]) > 0"), Grid::instant(end), end) else {
            panic!("{name}");
        };
        for line in lines {
            assert!(["payment", "search"].contains(&line.key.get("service").unwrap()), "{}", line.key);
            assert_eq!(line.points().next(), Some((0, 1.0)));
        }
    }
}

/// Three days of a small shop with a campaign.
fn campaign() -> Shop {
    let plan = campaign::Plan { faults: 6, changes: 3, from: onset(), to: onset() + DurationMs::DAY * 2 };
    Config { services: 16, start: onset() - DurationMs::DAY, incident: None, campaign: Some(plan), ..shop(None).config().clone() }
        .build()
        .unwrap()
}

#[test]
fn a_missed_scrape_is_a_gap_and_a_rate_bridges_it() {
    let shop = campaign();
    let (from, to) = (onset(), onset() + DurationMs::DAY);
    let counts = ask(&shop, "count_over_time(process_resident_memory_bytes[30m])", from, to);
    let all: Vec<f64> = counts.into_values().flatten().collect();
    // Both ends count: 31 where none is missed.
    let (least, whole) = (all.iter().copied().fold(f64::MAX, f64::min), all.iter().filter(|n| **n == 31.0).count());
    assert!((20.0..31.0).contains(&least) && whole * 2 > all.len(), "{least}, {whole} of {}", all.len());
    let rates = ask(&shop, "sum by (service) (rate(process_cpu_seconds_total[5m]))", from, to);
    assert!(rates.values().all(|values| values.len() > 1400 && values.iter().all(|v| (0.0..100.0).contains(v))));
}

#[test]
fn what_a_campaign_moves_is_seen_there() {
    let shop = campaign();
    let faults = &shop.campaign().unwrap().faults;
    assert_eq!(faults.len(), 6);
    let (mut seen, mut of) = (0, 0);
    for fault in faults {
        for (metric, query) in [SHOWN[1], SHOWN[2], SHOWN[5], SHOWN[6]] {
            let Some(touch) = fault.touches.iter().find(|t| t.service == fault.root && t.metric == metric) else { continue };
            let minute = DurationMs::from_secs(60);
            let mean = |from: Timestamp, to: Timestamp| {
                let values = ask(&shop, query, from.align_down(minute), to.align_down(minute)).remove(&fault.root).unwrap_or_default();
                values.iter().sum::<f64>() / values.len() as f64
            };
            let (before, during) = (mean(touch.from - minute * 30, touch.from), mean(touch.from + minute * 10, fault.end));
            of += 1;
            seen += usize::from(during > before * 1.2);
        }
    }
    assert!(of >= 2 && seen * 4 >= of * 3, "{seen} of {of}");
    assert_eq!(campaign().campaign(), shop.campaign());
}

#[test]
fn a_campaign_counts_its_calls_and_its_replicas() {
    let shop = campaign();
    let at = Grid::instant(onset());
    let Answer::Vector(calls) =
        promql::evaluate(&shop, "count by (client, server) (traces_service_graph_request_total)", at, onset()).unwrap()
    else {
        panic!("no vector")
    };
    assert_eq!(calls.len(), shop.calls().len());
    let Answer::Vector(up) = promql::evaluate(&shop, "count by (job, node) (up)", at, onset()).unwrap() else { panic!("no vector") };
    assert!(up.iter().filter(|line| line.key.get("job") == Some("web")).count() >= 2);
}

#[test]
fn every_size_of_shop_is_built_and_bad_ones_are_refused() {
    for services in [12, MOST_SERVICES] {
        let config = Config { services, start: onset() - DurationMs::HOUR, ..Config::ending_at(onset()) };
        assert_eq!(config.build().unwrap().services().len(), services);
    }
    let bad = Config {
        services: 3,
        scrape_interval: DurationMs::ZERO,
        sessions: 1_000_000,
        incident: Some(Plan { kind: IncidentKind::MemoryLeak, onset: Timestamp::default(), duration: Some(DurationMs::ZERO) }),
        ..Config::ending_at(onset())
    };
    let error = bad.build().unwrap_err();
    insta::assert_snapshot!(error.violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

#[test]
fn openmetrics_has_each_family_in_one_piece() {
    let config = Config { start: onset() - DurationMs::HOUR * 2, sessions: 2, incident: None, ..Config::ending_at(onset()) };
    let shop = config.build().unwrap();
    let mut text = Vec::new();
    shop.write_openmetrics(onset() - MINUTE * 2, onset(), MINUTE, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.ends_with("\n# EOF\n"));
    let families: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
    insta::assert_snapshot!(families.join("\n"));
    assert_eq!(text.lines().filter(|l| l.starts_with("http_requests_total{")).count(), 14 * 3 * 3);
    let error = shop.write_openmetrics(onset(), onset(), DurationMs::from_secs(90), Vec::new()).unwrap_err();
    insta::assert_snapshot!(error, @"step: 1m30s is not a multiple of the scrape interval 1m");
}

/// Times what the demo and the tests wait for; run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a test"]
fn how_long_it_takes() {
    let shop = shop(Some(IncidentKind::PoolExhaustion));
    let timed = |what: &str, f: &dyn Fn() -> usize| {
        let begin = std::time::Instant::now();
        let n = f();
        println!("{what}: {n} in {:?}", begin.elapsed());
    };
    let all: Vec<usize> = (0..shop.series_count()).collect();
    let to = onset();
    timed("15 days of all series", &|| shop.samples(&all, &(0..to.millis() / 60_000)).iter().map(|s| s.values.len()).sum());
    let from = to - DurationMs::DAY * 14;
    for query in ["rate(http_request_duration_seconds_bucket{service=~\"[a-i].*\"}[5m])", SHOWN[2].1, SHOWN[1].1] {
        timed(query, &|| match promql::evaluate(&shop, query, Grid::between(from, to, MINUTE), to) {
            Ok(Answer::Vector(lines)) => lines.len(),
            other => panic!("{other:?}"),
        });
    }
    timed("bytes of OpenMetrics", &|| {
        let mut written = Written(0);
        shop.write_openmetrics(from, to, MINUTE, &mut written).unwrap();
        written.0
    });
}

/// Counts bytes and forgets them.
struct Written(usize);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
