use std::collections::BTreeSet;
use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::action::{Method, Rate};
use crate::calendar::{Calendar, Written};
use crate::clock::Timestamp;
use crate::finding::{Direction, Severity};
use crate::guard::{Guards, LeastTraffic, ValidRange};
use crate::monitor::{DriftPlan, ForecastPlan, Limit, MetricKind, Reference, Slo, Unit};

fn fixtures(which: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(which)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load_file(file: &Path) -> Result<Config, Vec<Violation>> {
    load(Some(file), std::iter::empty(), &[])
}

/// The configuration in `yaml`, with an environment and flags.
fn load_text(yaml: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bellwether.yaml");
    std::fs::write(&file, yaml).unwrap();
    load(Some(&file), pairs(environment).into_iter(), &pairs(flags)).map_err(|violations| shown(&violations))
}

fn shown(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn every_malformed_file_says_all_that_is_wrong() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(fixtures("bad")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    assert!(files.len() >= 30);
    let mut all = String::new();
    for file in files {
        let violations = load_file(&file).expect_err(&format!("{} must be refused", file.display()));
        assert!(!violations.is_empty(), "{}", file.display());
        let text = shown(&violations).replace(fixtures("bad").to_str().unwrap(), "[DIR]");
        let _ = writeln!(all, "{}\n{text}", file.file_name().unwrap().to_str().unwrap());
    }
    assert!(!all.contains("hunter2"), "a secret is shown:\n{all}");
    insta::assert_snapshot!("malformed", all);
}

#[test]
fn nothing_written_is_a_configuration() {
    let config = load(None, std::iter::empty(), &[]).unwrap();
    assert_eq!(config, load_file(&fixtures("good/empty.yaml")).unwrap());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:9095");
    assert_eq!(config.server.external_url.as_str(), "http://127.0.0.1:9095/");
    assert_eq!(config.alert_budget_per_day, 10.0);
    assert_eq!(config.defaults, Defaults::default());
    assert_eq!((config.prometheus, config.discovery), (None, true));
    assert_eq!(config.data_dir, Path::new("bellwether-data"));
    assert_eq!((config.store, config.retention), (None, Retention { age: DurationMs::DAY * 90, size: None }));
}

#[test]
fn every_field_is_read() {
    let config = load_file(&fixtures("good/full.yaml")).unwrap();
    assert_eq!(config.server.max_message_bytes, 8_388_608);
    assert_eq!(config.server.external_url.as_str(), "https://bellwether.example.com/ops");
    let prometheus = config.prometheus.unwrap();
    assert_eq!(prometheus.endpoint.headers["X-Scope-OrgID"], "shop");
    assert_eq!(prometheus.endpoint.basic_auth, Some(("bellwether".to_owned(), fixtures("good").join("secrets/password"))));
    assert_eq!((prometheus.concurrency, prometheus.most_series, prometheus.most_points), (8, 10_000, 400_000_000));
    let names: Vec<&str> = config.alertmanagers.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["alertmanager-0:9093", "second", "alertmanager-2:9093"]);
    assert_eq!(config.alertmanagers[1].endpoint.timeout, DurationMs::from_secs(5));
    assert_eq!(config.alert_budget_per_day, 2.5);
    assert_eq!(config.data_dir, fixtures("good").join("data"));
    let store = config.store.unwrap();
    assert_eq!((store.to_string().as_str(), store.has_password()), ("postgres://bellwether@db.example.com:5432/bellwether", true));
    assert_eq!(config.retention, Retention { age: DurationMs::DAY * 30, size: Some(2 << 30) });
    assert_eq!(config.telemetry.log_level, tracing::Level::DEBUG);
    let [first, second, third] = config.monitors.as_slice() else { panic!("three monitors are written") };
    assert_eq!(
        (first.service.as_deref(), first.severity, first.direction),
        (Some("checkout"), Some(Severity::Critical), Some(Direction::Up))
    );
    let guards = &first.guards;
    assert_eq!((guards.least_deviation, guards.least_relative_deviation), (Some(0.05), Some(0.2)));
    assert_eq!((guards.valid.min, guards.valid.max, guards.warm_up), (Some(0.0), Some(600.0), Some(DurationMs::DAY)));
    assert_eq!(guards.least_traffic.as_ref().map(|traffic| traffic.per_second), Some(0.5));
    let [patches, holidays] = guards.maintenance.as_slice() else { panic!("two windows are written") };
    assert!(patches.covers("2026-11-11T02:00:00Z".parse().unwrap()));
    assert_eq!(holidays.written().from.as_deref(), Some("2026-12-24T18:00:00+01:00"));
    assert!(guards.only[0].covers("2026-07-04T06:00:00Z".parse().unwrap()));
    assert_eq!(second.guards, Guards::default());
    assert_eq!((second.service_label.as_str(), second.step, second.window), ("job", DurationMs::from_secs(30), DurationMs::WEEK * 4));
    assert_eq!((first.group_by.as_deref(), first.alert_budget_per_day), (None, Some(0.5)));
    assert_eq!(second.group_by, Some(vec!["job".to_owned(), "zone".to_owned()]));
    assert_eq!(second.alert_budget_per_day, None);
    let ahead = first.forecast.as_ref().unwrap();
    assert_eq!((ahead.horizon, ahead.step, ahead.window), (DurationMs::WEEK, DurationMs::HOUR * 2, DurationMs::WEEK * 4));
    assert_eq!(ahead.limit, Some(Limit::Value(1.5)));
    let drift = third.drift.as_ref().unwrap();
    assert_eq!(
        (drift.window, drift.every, drift.reference),
        (DurationMs::HOUR * 2, DurationMs::from_secs(300), Reference::Before(DurationMs::WEEK))
    );
    assert_eq!((drift.by.as_slice(), drift.least_effect), (["feature".to_owned()].as_slice(), 0.05));
    assert!(config.discovery && !config.infer_events);
    assert_eq!(third.slo, Some(Slo { objective: 0.999 }));
    let calls: Vec<(&str, &str)> = config.calls.iter().map(|call| (call.caller.as_str(), call.callee.as_str())).collect();
    assert_eq!(calls, [("web", "checkout"), ("checkout", "payment")]);
    let [(restart, endpoint), (call, _)] = config.actions.hooks.as_slice() else { panic!("two actions are written") };
    assert_eq!((config.actions.mode, restart.name.as_str(), restart.method), (Mode::DryRun, "restart", Method::Put));
    assert_eq!(endpoint.header_files["X-Key"], fixtures("good").join("secrets/token"));
    assert_eq!(
        restart.body.to_string(),
        r#"{"deployment":"{{deployment}}","options":[{"grace":30,"note":"for {{incident}}","nothing":null,"wait":true}]}"#
    );
    assert!(restart.allow["deployment"].iter().any(|pattern| pattern.matches("payment")));
    assert_eq!((restart.dry_run, restart.needs_approval, restart.least_confidence), (true, false, 0.6));
    assert_eq!((restart.rate, restart.watch), (Rate { most: 2, per: DurationMs::DAY }, DurationMs::from_secs(1800)));
    assert_eq!(
        (call.needs_approval, call.rate, call.placeholders()),
        (true, Rate { most: 1, per: DurationMs::HOUR }, vec!["action", "incident", "incident_url", "service"])
    );
    assert_eq!(config.feedback.secret_file, Some(fixtures("good").join("secrets/feedback")));
    assert_eq!(config.feedback.expire, DurationMs::DAY * 2);
}

#[test]
fn the_monitors_own_budgets_fit_into_the_whole_one() {
    let with = |total: &str, budgets: &[&str], discovery: bool| {
        let mut yaml = format!(
            "prometheus: {{url: 'http://p:9090'}}\nalert_budget: {{per_day: {total}}}\ndiscovery: {{enabled: {discovery}}}\nmonitors:\n"
        );
        for (i, budget) in budgets.iter().enumerate() {
            let own = if budget.is_empty() { String::new() } else { format!(", alert_budget: {{per_day: {budget}}}") };
            let _ = writeln!(yaml, "  - {{name: m{i}, query: up{own}}}");
        }
        load_text(&yaml, &[], &[])
    };
    // Sums of decimals are not exact: 0.1 + 0.2 is a little more than 0.3.
    assert!(with("0.3", &["0.1", "0.2"], false).is_ok());
    assert!(with("0.4", &["0.1", "0.2", ""], true).is_ok());
    for (total, budgets, discovery) in [("0.3", ["0.1", "0.2"], true), ("1", ["1", ""], false), ("1", ["0.5", "0.6"], false)] {
        let wrong = with(total, &budgets, discovery).unwrap_err();
        assert!(wrong.starts_with(&format!("alert_budget.per_day: is {total}, and")), "{wrong}");
    }
}

#[test]
fn an_objective_is_for_what_can_be_held_against_it() {
    let with = |rest: &str| {
        let yaml = format!(
            "prometheus: {{ url: 'http://localhost:9090' }}\nevents: {{ infer: false }}\nmonitors: [{{ name: a, query: up, {rest} }}]"
        );
        load_text(&yaml, &[], &[])
    };
    let config = with("metric: errors, unit: ratio, slo: { objective: 0.999 }").unwrap();
    assert_eq!((config.monitors[0].slo, config.infer_events), (Some(Slo { objective: 0.999 }), false));
    assert!(with("metric: availability, slo: { objective: 0.9 }").is_ok());
    for (rest, part) in [
        ("metric: errors, slo: { objective: 0.9 }", "metric errors with unit ratio"),
        ("metric: latency, unit: ratio, slo: { objective: 0.9 }", "metric errors with unit ratio"),
        ("metric: availability, slo: {}", "slo.objective: is missing"),
        ("metric: availability, slo: { objective: 1 }", "leaves no error at all"),
        ("metric: availability, slo: { objective: 99.9 }", "above 0 and at most 1"),
        ("metric: availability, slo: { objective: 0.9, window: 30d }", "window"),
    ] {
        let wrong = with(rest).unwrap_err();
        assert!(wrong.contains(part), "{rest}: {wrong}");
    }
}

#[test]
fn an_empty_list_of_labels_is_not_none() {
    let yaml = "prometheus: {url: 'http://p:9090'}\nmonitors:\n  - {name: a, query: up, group_by: []}\n  - {name: b, query: up}\n";
    let groups: Vec<_> = load_text(yaml, &[], &[]).unwrap().monitors.into_iter().map(|m| m.group_by).collect();
    assert_eq!(groups, [Some(Vec::new()), None]);
}

#[test]
fn flags_beat_the_environment_and_it_beats_the_file() {
    let yaml = "prometheus: {url: 'http://file:1', timeout: 5s, concurrency: 2}\nalert_budget: {per_day: 1}\n";
    let environment = [
        ("BELLWETHER_PROMETHEUS__URL", "http://environment:2"),
        ("BELLWETHER_PROMETHEUS__CONCURRENCY", "3"),
        ("BELLWETHER_ALERTMANAGERS", "http://a:9093, http://b:9093"),
        ("BELLWETHER_DISCOVERY__ENABLED", "false"),
    ];
    let config = load_text(yaml, &environment, &[("prometheus.url", "http://flag:3"), ("server.listen", "0.0.0.0:0")]).unwrap();
    let prometheus = config.prometheus.unwrap();
    assert_eq!(prometheus.endpoint.url.as_str(), "http://flag:3/");
    assert_eq!((prometheus.concurrency, prometheus.endpoint.timeout), (3, DurationMs::from_secs(5)));
    assert_eq!(config.alertmanagers.len(), 2);
    assert_eq!(config.alert_budget_per_day, 1.0);
    assert!(!config.discovery);
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:0");

    let flags = [("alertmanagers", "http://c:9093"), ("alertmanagers", "http://d:9093")];
    let config = load_text(yaml, &environment, &flags).unwrap();
    assert_eq!(config.alertmanagers[1].name, "d:9093");
}

#[test]
fn mistakes_outside_the_file_name_their_place() {
    let environment = [
        ("BELLWETHER_ALERTMANAGERS", "http://a:9093"),
        ("BELLWETHER_ALERTMANAGERS__0__NAME", "a"),
        ("BELLWETHER_ALERT_BUDGET__PER_DAY", "NaN"),
        ("BELLWETHER_MONITORS__3__NAME", "x"),
        ("BELLWETHER_PROMETHEUS_URL", "http://p:9090"),
        ("BELLWETHER_PROMETHEUS__BASIC_AUTH__PASSWORD", "hunter2"),
        ("BELLWETHER_PROMETHEUS__URL", ""),
        ("BELLWETHER_SERVER__MAX_SERIES", "many"),
        ("BELLWETHER___LISTEN", "x"),
    ];
    let flags = [("server.listen", "9095"), ("server.listen", "9096"), ("data_dir.x", "y")];
    insta::assert_snapshot!(load_text("data_dir: here\n", &environment, &flags).unwrap_err());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let violations = load_file(Path::new("nowhere/bellwether.yaml")).unwrap_err();
    insta::assert_snapshot!(shown(&violations), @"file: cannot read nowhere/bellwether.yaml: No such file or directory (os error 2)");
}

/// Decodes the fullest configuration and asks for every path the decoder knows.
#[test]
fn the_reference_names_every_field() {
    let root = tree::parse(&std::fs::read_to_string(fixtures("good/full.yaml")).unwrap()).unwrap();
    let notes = reader::Notes::default();
    assert!(decode::config(root, &fixtures("good"), &notes).is_some());
    let (violations, asked) = notes.finish();
    assert_eq!(violations, []);
    let reference = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    let missing: BTreeSet<&String> = asked.iter().filter(|path| !reference.contains(&format!("`{path}`"))).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not mention {missing:?}");
    // And nothing that does not exist: the first column of every table row is a path.
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `").and_then(|rest| rest.split_once('`')).map(|(path, _)| path));
    let invented: Vec<&str> = rows.filter(|path| !asked.contains(*path)).collect();
    assert!(invented.is_empty(), "docs/configuration.md mentions {invented:?}");
}

#[test]
fn the_examples_of_the_reference_are_right() {
    let reference = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    let examples: Vec<&str> = reference.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        load_text(example, &[], &[("prometheus.url", "http://prometheus:9090")]).unwrap();
    }
}

#[test]
fn monitors_are_written_to_be_read() {
    let mut monitor = load_file(&fixtures("good/full.yaml")).unwrap().monitors.remove(1);
    monitor.query = "sum by (job) (\n  rate(x_total{code=~\"5..\"}[5m])\n)".to_owned();
    let first = Monitor { name: "true".to_owned(), query: "up{job='a'}".to_owned(), direction: Some(Direction::Down), ..monitor.clone() };
    let guarded = Monitor { name: "guarded".to_owned(), ..load_file(&fixtures("good/full.yaml")).unwrap().monitors.remove(0) };
    let defaults = Defaults { service_label: "job".to_owned(), ..Defaults::default() };
    let yaml = monitors_yaml(&[first, monitor, guarded], &defaults, Some("http://localhost:9090/"), "Three monitors.\n\nNo more.");
    insta::assert_snapshot!(yaml);
}

fn any_guards() -> impl Strategy<Value = Guards> {
    use proptest::option::of;
    let hours = DurationMs::HOUR;
    let zones = || of(prop_oneof![Just("Europe/Berlin"), Just("Etc/GMT+5"), Just("UTC")]);
    let daily = (0..24, 0..60, 1..900_i64, zones()).prop_map(move |(hour, minute, length, zone)| Written {
        cron: Some(format!("{minute} {hour} * * *")),
        length: Some(hours * length),
        time_zone: zone.map(str::to_owned),
        ..Written::default()
    });
    let weekly = (2000..2100, 1..13, zones()).prop_map(move |(year, month, zone)| Written {
        rrule: Some("FREQ=WEEKLY;BYDAY=SA,SU".to_owned()),
        from: Some(format!("{year}-{month:02}-01T00:00")),
        length: Some(hours * 24),
        time_zone: zone.map(str::to_owned),
        ..Written::default()
    });
    let once = (2000..2100).prop_map(|year| Written {
        from: Some(format!("{year}-01-01T00:00:00Z")),
        until: Some(format!("{year}-01-02 00:00")),
        ..Written::default()
    });
    let calendars = || {
        let any = prop_oneof![daily.clone(), weekly.clone(), once.clone()];
        proptest::collection::vec(any.prop_map(|written| Calendar::new(written).unwrap()), 0..3)
    };
    let valid = (of(-1e9..0.0), of(0.0..1e12)).prop_map(|(min, max)| ValidRange { min, max });
    let traffic = of((Just("sum(rate(x_total{a=\"b: c\"}[5m]))".to_owned()), 1e-9..1e9))
        .prop_map(|traffic| traffic.map(|(query, per_second)| LeastTraffic { query, per_second }));
    let warm_up = of(1..2000_i64).prop_map(move |h| h.map(|h| hours * h));
    (of(1e-12..1e17), of(1e-6..1.0), (valid, any::<bool>()), traffic, calendars(), calendars(), warm_up).prop_map(
        |(least_deviation, least_relative_deviation, (valid, missed_scrapes), least_traffic, only, maintenance, warm_up)| Guards {
            least_deviation,
            least_relative_deviation,
            valid,
            missed_scrapes,
            least_traffic,
            only,
            maintenance,
            warm_up,
        },
    )
}

fn any_monitor(name: String) -> impl Strategy<Value = Monitor> {
    let label_value = prop_oneof!["[a-z \"'#:&*{}\\[\\],|>%@`!-]{0,12}", any::<String>()];
    let label = "[a-zA-Z_][a-zA-Z0-9_]{0,8}";
    let kinds = (0..MetricKind::WORDS.len(), 0..Unit::WORDS.len(), 0..3_usize, 0..4_usize);
    let layouts = prop_oneof![Just(" "), Just("\n"), Just("\n  "), Just("\n\n "), Just("\t"), Just(" \n")];
    let groups =
        proptest::option::of(proptest::collection::btree_set(label, 0..3).prop_map(|labels| labels.into_iter().collect::<Vec<_>>()));
    let judged = (any_guards(), groups);
    (label_value, proptest::option::of("[^\\p{C}]{0,20}[a-z:#]"), label, kinds, 1..3600_i64, 2..2000_i64, layouts, judged).prop_map(
        move |(value, service, label, (metric, unit, direction, severity), step, hours, layout, (guards, group_by))| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let step = DurationMs::from_secs(step.max(hours * 3600 / 100_000));
            let has_service = service.is_some();
            let events = if severity == 1 { guards.maintenance.clone() } else { Vec::new() };
            Monitor {
                name: name.clone(),
                query: format!("sum by (a) ({layout}rate(x_total{{l=\"{value}\"}}[5m]))"),
                metric: MetricKind::WORDS[metric].parse().unwrap(),
                unit: Unit::WORDS[unit].parse().unwrap(),
                service_label: if service.is_some() { "service".to_owned() } else { label },
                service,
                step,
                window: DurationMs::HOUR * hours,
                direction: Direction::WORDS.get(direction).map(|word| word.parse().unwrap()),
                guards,
                severity: Severity::WORDS.get(severity).map(|word| word.parse().unwrap()),
                group_by,
                alert_budget_per_day: (metric == 1).then_some(0.125),
                runbook_url: (severity == 1).then(|| "https://wiki.example.com/?a=b#c: d".to_owned()),
                slo: (MetricKind::WORDS[metric] == "availability").then_some(Slo { objective: 0.999 }),
                forecast: (metric == 2).then(|| ForecastPlan {
                    horizon: step * 168,
                    step,
                    window: step * 400,
                    limit: [None, Some(Limit::Value(0.25)), Some(Limit::Query("quota".to_owned()))][severity % 3].clone(),
                    events,
                }),
                drift: (metric == 3).then(|| DriftPlan {
                    by: vec!["feature".to_owned()],
                    window: DurationMs::HOUR,
                    every: DurationMs::from_secs(90),
                    reference: [
                        Reference::Before(DurationMs::DAY),
                        Reference::Until(Timestamp::from_millis(1_700_000_000_000)),
                        if has_service { Reference::Deployment } else { Reference::Before(DurationMs::HOUR) },
                    ][direction],
                    least_effect: 0.125,
                }),
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        monitors in proptest::collection::btree_set(prop_oneof!["[A-Za-z0-9_.-]{1,20}", "true|null|no|1e5|0x1f|1_000|2001-01-01|~a|-|--|-1|[.]nan|[.]inf"], 0..5)
            .prop_map(|names| names.into_iter().filter(|n| !n.contains('~')).collect::<Vec<_>>())
            .prop_flat_map(|names| names.into_iter().map(any_monitor).collect::<Vec<_>>()),
        header in any::<String>(),
    ) {
        // The parser of PromQL may refuse what a label may hold; that is not what is tested here.
        prop_assume!(monitors.iter().all(|m| promql_parser::parser::parse(&m.query).is_ok()));
        let yaml = monitors_yaml(&monitors, &Defaults::default(), Some("http://localhost:9090"), &header);
        match load_text(&yaml, &[], &[]) {
            Ok(config) => prop_assert_eq!(config.monitors, monitors),
            Err(wrong) => prop_assert!(false, "{}\n{}", wrong, yaml),
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![any::<String>(), "[a-z:{}\\[\\], \n&*'\"|>%@0-9.-]{0,80}"]) {
        let _ = load_text(&text, &[("BELLWETHER_SERVER__LISTEN", &text.replace('\0', "")), (&format!("BELLWETHER_{text}"), "x")], &[]);
    }
}
