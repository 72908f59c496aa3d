use std::sync::Mutex;

use tokio::net::TcpListener;

use super::*;
use crate::calendar::{Calendar, Written};
use crate::clock::Clock;
use crate::endpoint;
use crate::finding::Direction;
use crate::guard::{Guards, LeastTraffic};
use crate::monitor::{MetricKind, Unit};
use crate::simulator::{self, IncidentKind, Shop};
use crate::source::prometheus::Config;

const MINUTE: DurationMs = DurationMs::from_secs(60);
const LIMITS: Limits = Limits { most_series: 100, most_points: 1_000_000 };

/// Six days of a shop in which `payment` ran out of connections for an hour, a day before the end.
fn shop() -> Shop {
    let end: Timestamp = "2026-01-12T12:00:00Z".parse().unwrap();
    let onset = end - DurationMs::DAY;
    simulator::Config {
        seed: 7,
        services: 12,
        start: end - DurationMs::DAY * 6,
        scrape_interval: MINUTE,
        sessions: 0,
        incident: Some(simulator::Plan { kind: IncidentKind::PoolExhaustion, onset, duration: Some(DurationMs::HOUR) }),
        campaign: None,
    }
    .build()
    .unwrap()
}

fn end() -> Timestamp {
    "2026-01-12T12:00:00Z".parse().unwrap()
}

async fn served(shop: Shop) -> Prometheus {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let clock = Arc::new(Clock::manual(end()));
    tokio::spawn(simulator::http::serve(Arc::new(shop), clock, listener, std::future::pending()));
    let endpoint = endpoint::Config::new(url.parse().unwrap());
    Config { endpoint, concurrency: 4, most_series: 1000, most_points: 10_000_000 }.build().unwrap()
}

fn monitor(name: &str, query: &str, metric: MetricKind) -> Monitor {
    Monitor {
        name: name.to_owned(),
        query: query.to_owned(),
        metric,
        unit: Unit::None,
        window: DurationMs::DAY * 3,
        // Memory that is given back is news, but no trouble.
        ..Monitor::ad_hoc(MINUTE, Some(Direction::Up))
    }
}

fn plan(monitors: Vec<Monitor>) -> Plan {
    Plan {
        source: "the shop".to_owned(),
        monitors,
        start: end() - DurationMs::DAY * 2,
        end: end(),
        step: MINUTE,
        alerts_per_day: 0.1,
        refit: DurationMs::DAY,
        limits: LIMITS,
        calls: Vec::new(),
        patience: DurationMs::ZERO,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_of_the_past_would_have_been_raised_once() {
    let shop = shop();
    let truth = shop.truth().incident.clone().unwrap();
    let prometheus = served(shop).await;
    let pool = Pool::new(0).unwrap();
    let plan = plan(vec![
        monitor("pool", "db_connection_pool_in_use / db_connection_pool_max", MetricKind::Saturation),
        monitor("memory", "process_resident_memory_bytes{service=\"cart\"}", MetricKind::Memory),
        monitor("broken", "rate(up", MetricKind::Other),
        monitor("nothing", "there_is_no_such_metric", MetricKind::Other),
    ]);
    let told = Mutex::new(Vec::new());
    let report = run(&prometheus, &pool, &plan, |progress| told.lock().unwrap().push(progress)).await.unwrap();

    // What went wrong is one incident at the right place and time, and nothing else is raised.
    let [raised] = report.incidents.listed.as_slice() else { panic!("{:#?}", report.incidents) };
    assert!(raised.services.contains(&truth.root), "{raised:?}");
    assert!(raised.from >= truth.onset - MINUTE * 5 && raised.from <= truth.onset + MINUTE * 10, "{raised:?} for {truth:?}");
    assert!(raised.to.is_some_and(|to| to > truth.onset && to < truth.end.unwrap() + DurationMs::HOUR), "{raised:?} for {truth:?}");
    let comparison = report.comparison.unwrap();
    assert_eq!((comparison.fired, comparison.incidents, comparison.only_ours.count, comparison.days), (0, 1, 1, 2.0));
    assert_eq!(comparison.spoken(), "No alert fired in this Prometheus; Bellwether would have raised 1 alert in 2 days.");

    // What cannot be replayed is left out, and says why; the rest is in the order of the plan.
    let names: Vec<&str> = report.monitors.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["pool", "memory", "broken", "nothing"]);
    let [pool_report, memory, broken, nothing] = report.monitors.as_slice() else { panic!("{names:?}") };
    assert!(pool_report.series > 1 && pool_report.judged_series == pool_report.series && pool_report.findings > 0, "{pool_report:?}");
    assert_eq!((memory.series, memory.findings, memory.judged_points), (1, 0, 2 * 1440 + 1));
    assert!(broken.left_out.as_ref().unwrap().contains("query: "), "{broken:?}");
    assert_eq!((nothing.series, nothing.judged_points, nothing.left_out.as_ref()), (0, 0, None));
    assert_eq!(report.summary.failed.len(), 1);
    let totals = &report.summary.totals;
    assert_eq!((totals.series, totals.series_judged), (pool_report.series + 1, pool_report.series + 1));
    assert_eq!(totals.alerts, pool_report.findings);
    assert!((totals.series_days - 2.0 * totals.series as f64).abs() < 0.01);
    let memory = report.summary.series.last().unwrap();
    assert_eq!((memory.rows, memory.missing, memory.first, memory.last), (2 * 1440 + 1, 0, plan.start, plan.end));
    assert!(memory.path.starts_with("memory ") && memory.path.contains("service=\"cart\""), "{}", memory.path);

    // Progress only grows, and reaches the end.
    let told = told.into_inner().unwrap();
    assert!(told.len() > 2 && told.windows(2).all(|w| w[0].points <= w[1].points || w[0].monitor != w[1].monitor));
    assert!(told.iter().all(|p| (0.0..=1.0).contains(&p.done)));
    let most = told.iter().map(|p| p.done).fold(0.0, f64::max);
    assert!(most > 0.95, "{most}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_left_out_and_nothing_but_that_is_an_error() {
    let prometheus = served(shop()).await;
    let pool = Pool::new(0).unwrap();
    let memory = || monitor("memory", "process_resident_memory_bytes", MetricKind::Memory);
    let refused = |limits| {
        let plan = Plan { limits, ..plan(vec![memory()]) };
        let (prometheus, pool) = (prometheus.clone(), pool.clone());
        async move { run(&prometheus, &pool, &plan, |_| ()).await.unwrap_err() }
    };
    let error = refused(Limits { most_series: 3, ..LIMITS }).await;
    assert_eq!(
        (error.code, error.chain().as_str()),
        (Code::InvalidArgument, "query: yields 12 series; at most 3 are replayed for one monitor")
    );
    let error = refused(Limits { most_points: 4320, ..LIMITS }).await;
    assert_eq!(error.chain(), "query: yields 12 series with windows of 3d, which are 51840 points; at most 4320 are held for one monitor");

    let nothing = run(&prometheus, &pool, &plan(Vec::new()), |_| ()).await.unwrap_err();
    assert_eq!(nothing.code, Code::FailedPrecondition);
    let backwards = Plan { start: end(), end: end(), ..plan(vec![memory()]) };
    let error = run(&prometheus, &pool, &backwards, |_| ()).await.unwrap_err();
    assert_eq!((error.code, error.violations[0].field.as_str()), (Code::InvalidArgument, "start"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_configured_goes_before_what_is_discovered() {
    let prometheus = served(shop()).await;
    let options = Options::new(MINUTE, DurationMs::DAY * 3);
    let proposed = watched(&prometheus, &[], Some(&options), end()).await.unwrap();
    assert!(proposed.len() > 5);
    let own = Monitor { query: "mine".to_owned(), ..proposed[0].clone() };
    let both = watched(&prometheus, std::slice::from_ref(&own), Some(&options), end()).await.unwrap();
    assert_eq!(both.len(), proposed.len());
    assert_eq!(both[0].query, "mine");
    assert_eq!(watched(&prometheus, std::slice::from_ref(&own), None, end()).await.unwrap(), [own]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_guards_hold_back_raises_nothing_and_is_listed() {
    let prometheus = served(shop()).await;
    let pool = Pool::new(0).unwrap();
    let query = "db_connection_pool_in_use / db_connection_pool_max";
    let guarded = |name: &str, guards| Monitor { guards, ..monitor(name, query, MetricKind::Saturation) };
    let window = |until: Timestamp| {
        let (from, until) = (Some(plan(Vec::new()).start.to_string()), Some(until.to_string()));
        let calendar = Calendar::new(Written { from, until, ..Written::default() }).unwrap();
        Guards { maintenance: vec![calendar], ..Guards::default() }
    };
    let onset = end() - DurationMs::DAY;
    let traffic = |query: &str| LeastTraffic { query: query.to_owned(), per_second: 1e9 };
    let plan = plan(vec![
        guarded("quiet", window(end())),
        guarded("late", window(onset + MINUTE * 20)),
        guarded("small", Guards { least_deviation: Some(0.99), ..Guards::default() }),
        guarded("idle", Guards { least_traffic: Some(traffic("sum by (service) (db_connection_pool_max)")), ..Guards::default() }),
        guarded("unknown", Guards { least_traffic: Some(traffic("rate(up")), ..Guards::default() }),
        guarded("new", Guards { warm_up: Some(DurationMs::DAY * 90), ..Guards::default() }),
    ]);
    let report = run(&prometheus, &pool, &plan, |_| ()).await.unwrap();
    let of = |name: &str| report.monitors.iter().find(|m| m.name == name).unwrap();
    let reason = |name: &str| report.suppressed.iter().find(|held| held.finding.monitor == name).unwrap().suppressed.clone();
    for (name, why) in [
        ("quiet", "a maintenance window is open until"),
        ("small", "is under the least absolute deviation 0.99"),
        ("idle", "is under the least traffic"),
        ("new", "old and warms up for 90d"),
    ] {
        assert_eq!(of(name).findings, 0, "{:?}", of(name));
        assert!(of(name).suppressed > 0 && reason(name).contains(why), "{:?}: {}", of(name), reason(name));
    }
    // Traffic that cannot be read holds nothing back, and what outlasts its window counts from its end on.
    assert_eq!((of("unknown").suppressed, of("unknown").findings > 0), (0, true), "{:?}", of("unknown"));
    assert!(report.summary.warnings.iter().any(|w| w.starts_with("unknown: least_traffic: the traffic cannot be read")));
    assert!(of("late").findings > 0, "{:?}", of("late"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (&json["suppressed"][0]["monitor"], json["suppressed"].as_array().unwrap().len()),
        (&"quiet".into(), report.suppressed.len())
    );
}

/// Days of a shop in which nothing goes wrong, but scrapes are missed.
fn restless() -> Shop {
    let (from, to) = (end() - DurationMs::DAY * 4, end());
    simulator::Config {
        seed: 3,
        services: 30,
        start: from - DurationMs::DAY * 3,
        scrape_interval: MINUTE,
        sessions: 0,
        incident: None,
        campaign: Some(simulator::campaign::Plan { faults: 0, changes: 0, from, to }),
    }
    .build()
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn scrapes_that_were_missed_are_no_finding() {
    let prometheus = served(restless()).await;
    let pool = Pool::new(0).unwrap();
    let start = end() - DurationMs::DAY * 4;
    // One of the services that missed most of the scrapes of a range.
    let counts = prometheus.range("min by (service) (count_over_time(http_requests_total[5m]))", start, end(), MINUTE).await.unwrap();
    let gappy = counts.series.iter().find(|series| series.window.values().iter().any(|count| *count <= 2.0)).unwrap();
    let query = format!("sum by (service) (rate(http_requests_total{}[5m]))", gappy.key);
    let watched = |name: &str, missed_scrapes| Monitor {
        guards: Guards { missed_scrapes, ..Guards::default() },
        direction: Some(Direction::Down),
        ..monitor(name, &query, MetricKind::Traffic)
    };
    let plan = Plan { start, ..plan(vec![watched("guarded", true), watched("raw", false)]) };
    let report = run(&prometheus, &pool, &plan, |_| ()).await.unwrap();
    let of = |name: &str| report.monitors.iter().find(|m| m.name == name).unwrap().findings;
    assert!(of("raw") > 0 && of("guarded") == 0, "{} without the guard, {} with it", of("raw"), of("guarded"));
    let told: Vec<&String> = report.summary.warnings.iter().filter(|w| w.contains("missed_scrapes: ")).collect();
    assert!(told.len() == 1 && told[0].starts_with("guarded: missed_scrapes: "), "{told:?}");
    assert!(told[0].ends_with(" values are no measurements and count as missing"), "{told:?}");
}
