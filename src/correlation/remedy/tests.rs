use crate::correlation::feedback::Learned;
use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::correlation::sample::{any_event, any_finding, at, event, finding, labelled, of};
use crate::event::EventKind;
use crate::finding::FindingKind;
use crate::monitor::MetricKind;

fn shipped_entries() -> Vec<Entry> {
    let mut all = Vec::new();
    for (name, text) in PIECES {
        let (contents, violations) = read::contents(name, text);
        assert_eq!(violations, []);
        all.extend(contents.entries.into_iter().map(|(_, entry)| entry));
    }
    all
}

/// The ids of what is suggested.
fn ids(finding: &Finding, context: &Context<'_>) -> Vec<String> {
    Catalogue::shipped().suggest(finding, context).into_iter().map(|s| s.id).collect()
}

#[test]
fn the_shipped_catalogue_is_valid_and_large() {
    assert!(shipped_entries().len() >= 90);
    assert_eq!(Catalogue::shipped().ids().len(), shipped_entries().len());
}

#[test]
fn the_examples_of_the_shipped_catalogue_hold() {
    let wrong = Catalogue::shipped().try_examples();
    assert!(wrong.is_empty(), "{}", wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    assert!(Catalogue::shipped().examples() >= 30);
}

#[test]
fn an_example_that_does_not_hold_says_what_came_instead() {
    let text = "
entries: []
examples:
  - {metric: memory, expect: [memory-growth]}
  - {metric: memory, expect: memory-drop, filled: [call the shop team about payment]}
  - {metric: memory, expect: [memory-growth, latency-drop], service: cart, filled: cart holds ever more memory}
";
    let catalogue = Catalogue::load(&Catalogue::shipped(), &[("mine.yaml", text)]).unwrap();
    assert_eq!(catalogue.examples(), 3);
    let told: Vec<String> = catalogue.try_examples().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
mine.yaml: examples[1].expect: is `memory-drop`, and `memory-growth` came first
mine.yaml: examples[1].filled[0]: `call the shop team about payment` is nowhere in the first suggestion; nearest is `Compare with the limit: how long until the kernel kills it?`
mine.yaml: examples[2].expect: is `memory-growth`, `latency-drop`, and `memory-growth` came first
"#);
    insta::assert_snapshot!(
        wrong("entries: []\nexamples: [{metric: heap, cause: rain, change: {kind: x}, traffic: high, colour: red, value: many, expect: [nothing]}, 5, {}]"),
        @r#"
mine.yaml: examples[0].colour: unknown field; there are service, metric, direction, kind, name, labels, unit, value, expected, traffic, change, cause, shown_by, expect, filled, note
mine.yaml: examples[0].metric: `heap` is not one of traffic, errors, latency, cpu, memory, disk, network, queue, saturation, gpu, availability, other
mine.yaml: examples[0].value: `"many"` is not a number
mine.yaml: examples[0].traffic: `high` is not one of flat, up, down
mine.yaml: examples[0].change.kind: `x` is not one of deployment, configuration, scaling, feature_flag, alert, other
mine.yaml: examples[0].cause: `rain` is not one of deployment, configuration, scaling, feature_flag, callee, silent, surge, limit, drift, machine
mine.yaml: examples[1]: not a mapping; its fields are service, metric, direction, kind, name, labels, unit, value, expected, traffic, change, cause, shown_by, expect, filled, note
mine.yaml: examples[2].expect: missing or empty; name the id of the entry that is to come first
mine.yaml: examples[0].expect: `nothing` is the id of no entry
"#
    );
}

#[test]
fn the_most_probable_cause_comes_first() {
    let (pool, slow) =
        (of(finding("payment", "pool", at(0)), MetricKind::Saturation, Direction::Up), finding("checkout", "latency", at(1)));
    let suspect = |probability| Suspect { probability, shown_by: "checkout", ..Suspect::default() };
    let with = |first: f64, second: f64| {
        let cases = [
            (&pool, Context { suspect: Some(suspect(first)), ..Context::default() }),
            (&slow, Context { suspect: Some(suspect(second)), ..Context::default() }),
        ];
        Catalogue::shipped().suggest_all(&cases, 5, Learned::default().of(""))
    };
    assert_eq!((with(0.8, 0.2)[0].id.as_str(), with(0.2, 0.8)[0].id.as_str()), ("saturation", "latency-flat-traffic"));
    // Metric and direction: as likely right as not.
    assert!((with(0.8, 0.2)[0].confidence - 0.4).abs() < 1e-9);
}

#[test]
fn two_causes_of_one_service_add_up() {
    let memory = of(finding("payment", "memory", at(0)), MetricKind::Memory, Direction::Up);
    let suspect = |probability| Suspect { probability, shown_by: "payment", ..Suspect::default() };
    let case = |probability| Context { suspect: Some(suspect(probability)), ..Context::default() };
    let both = Catalogue::shipped().suggest_all(&[(&memory, case(0.5)), (&memory, case(0.3))], 5, Learned::default().of(""));
    assert_eq!(both[0].id, "memory-growth");
    assert!((both[0].confidence - 0.4).abs() < 1e-9, "{}", both[0].confidence);
}

#[test]
fn an_action_is_handed_what_is_known() {
    let text = "
entries:
  - id: shop-restart
    title: T
    match: {metric: memory, name: basket}
    steps: S
    runbook: first-look
    action: {name: restart, with: {target: '{{namespace}}/{{deployment}}', grace: 30, missing: '{{nowhere}}'}}
";
    let catalogue = Catalogue::load(&Catalogue::shipped(), &[("mine.yaml", text)]).unwrap();
    assert_eq!(catalogue.actions(), BTreeSet::from(["restart"]));
    let series =
        labelled(of(finding("cart", "basket", at(0)), MetricKind::Memory, Direction::Up), &[("namespace", "shop"), ("pod", "a\nb")]);
    let call = catalogue.suggest(&series, &Context::default())[0].action.clone().unwrap();
    assert_eq!(call.name, "restart");
    let value = |name: &str| call.values.get(name).map(String::as_str);
    assert_eq!((value("target"), value("grace"), value("service")), (Some("shop/cart"), Some("30"), Some("cart")));
    assert_eq!((value("missing"), value("pod")), (None, None), "what is not known or not plain is not handed on");
}

#[test]
fn every_runbook_exists_and_is_linked() {
    let used: BTreeSet<String> = shipped_entries()
        .into_iter()
        .map(|entry| match entry.runbook {
            Runbook::Id(id) => id,
            Runbook::Url(url) => panic!("{} links to {url}", entry.id),
        })
        .collect();
    let embedded: BTreeSet<String> = runbooks().map(|(id, _)| id.to_owned()).collect();
    let written: BTreeSet<String> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .collect();
    assert_eq!(used, embedded);
    assert_eq!(embedded, written);
    assert!(runbook("../Cargo").is_none());
}

#[test]
fn runbooks_are_complete_and_their_promql_parses() {
    for (id, title) in runbooks() {
        let text = runbook(id).unwrap();
        assert!(text.starts_with("# ") && !title.is_empty(), "{id}");
        let parts: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(parts, ["## What it means", "## First look", "## Likely causes", "## What to do", "## Is it over?"], "{id}");
        let lines = text.lines().count();
        assert!((20..=60).contains(&lines), "{id}: {lines} lines");
        let blocks: Vec<&str> = text.split("```promql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert!(!blocks.is_empty(), "{id}");
        for query in blocks.iter().flat_map(|block| block.lines()).filter(|line| !line.trim().is_empty()) {
            assert!(promql_parser::parser::parse(query).is_ok(), "{id}: {query}: {:?}", promql_parser::parser::parse(query));
        }
    }
}

#[test]
fn every_promql_parses_once_it_is_filled() {
    let bare = finding("payment", "latency", at(0));
    let full = labelled(
        finding("pay\"ment", "latency", at(0)),
        &[("__name__", "m"), ("namespace", "shop"), ("pod", "a.b\\"), ("instance", "h:9100"), ("job", "x\"y"), ("datname", "d")],
    );
    let change = event("v2", EventKind::Deployment, Some("payment"), at(0));
    for query in [None, Some("sum by (service) (rate(http_requests_total[5m])) # all")] {
        let context = Context { query, changes: vec![&change], ..Context::default() };
        for entry in shipped_entries() {
            for finding in [&bare, &full] {
                let suggestion = entry.suggestion(finding, &context, 0.5);
                for promql in &suggestion.promql {
                    assert!(!promql.contains("{{"), "{}: {promql}", entry.id);
                    assert!(
                        promql_parser::parser::parse(promql).is_ok(),
                        "{}: {promql}: {:?}",
                        entry.id,
                        promql_parser::parser::parse(promql)
                    );
                }
                let known = query.is_some() || finding.key.get("__name__").is_some();
                assert!(!known || suggestion.promql.len() == entry.promql.len(), "{}: a line was lost", entry.id);
                let texts = suggestion.commands.iter().chain(&suggestion.steps).chain([&suggestion.title]);
                assert!(texts.clone().all(|text| !text.contains("{{") && !text.is_empty()), "{}", entry.id);
                assert!(!suggestion.title.contains('<'), "{}: a title cannot do without its labels", entry.id);
            }
        }
    }
}

#[test]
fn finds_what_an_operator_would_look_for() {
    let base = || finding("payment", "m", at(0));
    let named = |metric, direction, name: &'static str| (of(base(), metric, direction), name);
    for ((finding, query), expected) in [
        (named(MetricKind::Memory, Direction::Up, "container_memory_working_set_bytes"), "memory-growth"),
        (named(MetricKind::Memory, Direction::Down, "container_memory_working_set_bytes"), "memory-drop"),
        (named(MetricKind::Memory, Direction::Down, "node_memory_MemAvailable_bytes"), "memory-host-pressure"),
        (named(MetricKind::Latency, Direction::Up, "x"), "latency-flat-traffic"),
        (named(MetricKind::Errors, Direction::Up, "rate(errors_total[5m])"), "errors-dependency"),
        (named(MetricKind::Errors, Direction::Up, "errors_ratio"), "errors-ratio"),
        (named(MetricKind::Traffic, Direction::Down, "x"), "traffic-drop"),
        (named(MetricKind::Traffic, Direction::Up, "x"), "traffic-surge"),
        (named(MetricKind::Cpu, Direction::Up, "container_cpu_usage_seconds_total"), "cpu-saturated"),
        (named(MetricKind::Cpu, Direction::Up, "container_cpu_cfs_throttled_periods_total"), "cpu-throttling"),
        (named(MetricKind::Cpu, Direction::Down, "x"), "cpu-drop"),
        (named(MetricKind::Disk, Direction::Up, "node_filesystem_used"), "disk-filling"),
        (named(MetricKind::Disk, Direction::Down, "node_filesystem_avail_bytes"), "disk-free-falling"),
        (named(MetricKind::Disk, Direction::Up, "node_disk_io_time_seconds_total"), "disk-io"),
        (named(MetricKind::Disk, Direction::Down, "node_filesystem_files_free"), "inodes"),
        (named(MetricKind::Queue, Direction::Up, "rabbitmq_queue_messages_ready"), "queue-growing"),
        (named(MetricKind::Queue, Direction::Up, "kafka_consumergroup_lag"), "consumer-lag"),
        (named(MetricKind::Queue, Direction::Down, "x"), "queue-empty"),
        (named(MetricKind::Saturation, Direction::Up, "hikaricp_connections_active"), "connection-pool"),
        (named(MetricKind::Saturation, Direction::Up, "process_open_fds"), "file-descriptors"),
        (named(MetricKind::Saturation, Direction::Up, "executor_active_threads"), "thread-pool"),
        (named(MetricKind::Saturation, Direction::Up, "x"), "saturation"),
        (named(MetricKind::Latency, Direction::Up, "jvm_gc_pause_seconds_sum"), "gc-pauses"),
        (named(MetricKind::Network, Direction::Up, "node_network_receive_drop_total"), "network-loss"),
        (named(MetricKind::Network, Direction::Up, "node_netstat_Tcp_RetransSegs"), "network-loss"),
        (named(MetricKind::Network, Direction::Up, "node_nf_conntrack_entries"), "conntrack"),
        (named(MetricKind::Gpu, Direction::Down, "DCGM_FI_DEV_GPU_UTIL"), "gpu-idle"),
        (named(MetricKind::Gpu, Direction::Up, "DCGM_FI_DEV_FB_USED"), "gpu-memory"),
        (named(MetricKind::Gpu, Direction::Up, "DCGM_FI_DEV_GPU_TEMP"), "gpu-throttling"),
        (named(MetricKind::Availability, Direction::Down, "kube_deployment_status_replicas_available"), "availability-down"),
        (named(MetricKind::Availability, Direction::Down, "avg by (instance) (up{job=\"x\"})"), "target-down"),
        (named(MetricKind::Latency, Direction::Up, "pg_stat_statements_seconds_total"), "database-slow"),
        (named(MetricKind::Saturation, Direction::Up, "pg_locks_count"), "database-locks"),
        (named(MetricKind::Other, Direction::Down, "cache_hit_ratio"), "cache-hit-ratio"),
        (named(MetricKind::Latency, Direction::Up, "coredns_dns_request_duration_seconds_bucket"), "dns"),
        (named(MetricKind::Other, Direction::Down, "probe_ssl_earliest_cert_expiry"), "certificates"),
        (named(MetricKind::Availability, Direction::Up, "kube_pod_container_status_restarts_total"), "crash-loop"),
        (named(MetricKind::Other, Direction::Up, "time() - job_last_success_timestamp"), "batch-job-silent"),
        (named(MetricKind::Other, Direction::Up, "x"), "higher-than-expected"),
        (named(MetricKind::Other, Direction::Down, "x"), "lower-than-expected"),
    ] {
        let found = ids(&finding, &Context { query: Some(query), ..Context::default() });
        assert_eq!(found.first().map(String::as_str), Some(expected), "{query}: {found:?}");
    }
}

#[test]
fn what_happened_around_it_counts() {
    let release = event("payment 2.4.1", EventKind::Deployment, Some("payment"), at(-3));
    let errors = of(finding("payment", "errors", at(0)), MetricKind::Errors, Direction::Up);
    let after = Context { changes: vec![&release], ..Context::default() };
    assert_eq!(ids(&errors, &after)[0], "errors-after-change");
    assert!(!ids(&errors, &Context::default()).contains(&"errors-after-change".to_owned()));
    let latency = finding("payment", "latency", at(0));
    assert_eq!(ids(&latency, &Context { traffic: Some(Direction::Up), ..Context::default() })[0], "latency-more-traffic");
    let limited = labelled(errors, &[("code", "429")]);
    assert_eq!(ids(&limited, &Context::default())[0], "rate-limiting-by-code");
    let odd = Finding { kind: FindingKind::Pattern, ..latency };
    assert_eq!(ids(&odd, &Context::default())[0], "unusual-pattern");
}

#[test]
fn a_suggestion_is_ready_to_use() {
    let release = event("payment 2.4.1", EventKind::Deployment, Some("payment"), at(-3));
    let series = labelled(of(finding("payment", "errors", at(0)), MetricKind::Errors, Direction::Up), &[("namespace", "shop")]);
    let context = Context {
        changes: vec![&release],
        query: Some("sum by (service) (rate(errors_total[5m]))"),
        runbook_base: "http://127.0.0.1:9095/",
        ..Context::default()
    };
    insta::assert_json_snapshot!(Catalogue::shipped().suggest(&series, &context)[0], @r#"
{
  "id": "errors-after-change",
  "title": "payment fails since “payment 2.4.1 happened”: roll back",
  "steps": [
    "Roll back now if the errors began with the change; every minute of analysis costs users.",
    "Keep the logs and one failing pod's output for the analysis afterwards.",
    "Check that the errors end within minutes of the roll-back; if not, the change was not the cause.",
    "A schema or configuration change does not come back with the image: undo it as well."
  ],
  "promql": [
    "sum by (service) (rate(errors_total[5m]))",
    "sum by (version, code) (rate(http_requests_total{service=\"payment\"}[5m]))"
  ],
  "commands": [
    "kubectl -n shop rollout undo deployment/payment",
    "kubectl -n shop rollout status deployment/payment --timeout=5m"
  ],
  "runbook_url": "http://127.0.0.1:9095/runbooks/after-change",
  "confidence": 0.7647058823529411,
  "action": null
}
"#);
}

#[test]
fn the_monitors_runbook_goes_first() {
    let context = Context { runbook_url: Some("https://wiki/x"), runbook_base: "http://b", ..Context::default() };
    assert_eq!(Catalogue::shipped().suggest(&finding("s", "m", at(0)), &context)[0].runbook_url, "https://wiki/x");
}

const MINE: &str = "
entries:
  - id: memory-growth
    title: Ours
    match: {metric: [memory, other], direction: up, labels: {team: 'sho*', code: 500}}
    steps: Call the shop team
    runbook: https://wiki.example/memory
    priority: 10
  - id: shop-only
    title: New
    match: {name: basket}
    steps: [Look]
    runbook: first-look
";

#[test]
fn an_extra_catalogue_adds_and_replaces() {
    let shipped = Catalogue::shipped();
    let both = Catalogue::load(&shipped, &[("mine.yaml", MINE)]).unwrap();
    assert_eq!(both.ids().len(), shipped.ids().len() + 1);
    let memory = of(finding("payment", "m", at(0)), MetricKind::Memory, Direction::Up);
    assert!(both.suggest(&memory, &Context::default()).iter().all(|s| s.title != "Ours"), "its labels are not there");
    let ours = both.suggest(&labelled(memory, &[("team", "shop"), ("code", "500")]), &Context::default());
    assert_eq!((ours[0].title.as_str(), ours[0].runbook_url.as_str()), ("Ours", "https://wiki.example/memory"));
}

/// What is wrong with a catalogue, a line each.
fn wrong(text: &str) -> String {
    let violations = Catalogue::load(&Catalogue::shipped(), &[("mine.yaml", text)]).unwrap_err();
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn malformed_catalogues_are_told_all_at_once() {
    insta::assert_snapshot!(wrong("entries: [1, {"), @r#"mine.yaml: cannot be read: unclosed bracket '{' at line 1, column 14"#);
    insta::assert_snapshot!(wrong("- id: x"), @r#"mine.yaml: not a mapping; its fields are entries, examples"#);
    insta::assert_snapshot!(wrong("remedies: []"), @r#"
mine.yaml: remedies: unknown field; there are entries, examples
mine.yaml: entries: missing or no list; it must be a list of entries
"#);
    insta::assert_snapshot!(wrong("entries: [5, {}]"), @r#"
mine.yaml: entries[0]: not a mapping; its fields are id, title, match, steps, promql, commands, runbook, priority, action
mine.yaml: entries[1].id: missing
mine.yaml: entries[1].title: missing
mine.yaml: entries[1].match: missing; say what the entry is for, or `{}` for everything
mine.yaml: entries[1].steps: missing or empty; say at least one thing to do
mine.yaml: entries[1].runbook: missing
"#);
    insta::assert_snapshot!(wrong("entries: [{id: Mine!, titel: T, title: '', match: {}, steps: [], runbook: nowhere}]"), @r#"
mine.yaml: entries[0].titel: unknown field; there are id, title, match, steps, promql, commands, runbook, priority, action
mine.yaml: entries[0].id: `Mine!` is not an id; it must be lower-case letters, digits and hyphens, at most 80
mine.yaml: entries[0].title: 0 bytes; it must have 1 to 2000
mine.yaml: entries[0].steps: missing or empty; say at least one thing to do
mine.yaml: entries[0].runbook: `nowhere` is neither a URL nor a runbook that comes with the engine
"#);
    insta::assert_snapshot!(
        wrong("entries: [{id: a, title: T, match: {metric: [memory, heap], direction: sideways, kind: odd, traffic: heavy, after_change: [deploy], colour: red}, steps: S, runbook: cpu}]"),
        @r#"
mine.yaml: entries[0].match.colour: unknown field; there are metric, direction, kind, name, labels, traffic, after_change, cause
mine.yaml: entries[0].match.after_change: `deploy` is not one of any, deployment, configuration, scaling, feature_flag
mine.yaml: entries[0].match.metric: `heap` is not one of traffic, errors, latency, cpu, memory, disk, network, queue, saturation, gpu, availability, other
mine.yaml: entries[0].match.direction: `sideways` is not one of up, down
mine.yaml: entries[0].match.kind: `odd` is not one of deviation, pattern, group, capacity, drift
mine.yaml: entries[0].match.traffic: `heavy` is not one of flat, up, down
"#
    );
    insta::assert_snapshot!(
        wrong("entries: [{id: a, title: T, match: {labels: [x], name: [1, true], direction: [up, down]}, steps: S, runbook: cpu, priority: 99}]"),
        @r#"
mine.yaml: entries[0].match.name[1]: `true` is not a text; put it in quotes if it is meant as one
mine.yaml: entries[0].match.labels: not a mapping; it must be label names with their values
mine.yaml: entries[0].match.direction: more than one; leave the field out to match both
mine.yaml: entries[0].priority: `99` is not a whole number from -10 to 10
"#
    );
    insta::assert_snapshot!(
        wrong(
            r#"
entries:
  - id: a
    title: T
    match: {}
    steps: S
    runbook: cpu
    promql: ['up{job={{job}}}', 'x{y="{{query}}"}', "x{y='{{job}}'}"]
    commands: ["echo '{{service}}'", 'echo "{{pod}}"']
  - id: a
    title: T
    match: {}
    steps: S
    runbook: cpu
"#
        ),
        @r#"
mine.yaml: entries[0].promql[0]: `{{job}}` must stand within double quotes
mine.yaml: entries[0].promql[1]: `{{query}}` must stand outside quotes
mine.yaml: entries[0].promql[2]: `{{job}}` must stand within double quotes
mine.yaml: entries[0].commands[0]: `{{service}}` must stand outside quotes; its value is quoted when it needs to be
mine.yaml: entries[0].commands[1]: `{{pod}}` must stand outside quotes; its value is quoted when it needs to be
mine.yaml: entries[1].id: `a` is the id of an earlier entry; each needs its own
"#
    );
    insta::assert_snapshot!(
        wrong("entries: [{id: higher-than-expected, title: T, match: {metric: cpu}, steps: S, runbook: cpu}]"),
        @r#"mine.yaml: entries[0].match: narrower than that of `higher-than-expected`, which it replaces and which is there for all that nothing else fits"#
    );
    insta::assert_snapshot!(wrong("entries: [{id: a, id: b}]"), @r#"mine.yaml: cannot be read: duplicate mapping key: id at line 1, column 19"#);
    insta::assert_snapshot!(wrong(&format!("entries: [{{id: a, title: {}, match: {{}}, steps: S, runbook: cpu}}]", "x".repeat(3000))), @r#"mine.yaml: entries[0].title: 3000 bytes; it must have 1 to 2000"#);
    insta::assert_snapshot!(wrong(&" ".repeat((1 << 20) + 1)), @r#"mine.yaml: 1048577 bytes; a catalogue has at most 1048576"#);
    insta::assert_snapshot!(wrong(&format!("entries: [{}]", "1,".repeat(501))), @r#"mine.yaml: entries: 501 entries; a catalogue has at most 500"#);
}

#[test]
fn errors_of_several_catalogues_come_together() {
    let violations = Catalogue::load(&Catalogue::shipped(), &[("a.yaml", "entries: 1"), ("b.yaml", "x: 1")]).unwrap_err();
    let files: BTreeMap<&str, usize> = violations.iter().fold(BTreeMap::new(), |mut files, violation| {
        *files.entry(violation.field.split(':').next().unwrap()).or_default() += 1;
        files
    });
    assert_eq!(files, BTreeMap::from([("a.yaml", 1), ("b.yaml", 2)]));
}

proptest! {
    #[test]
    fn there_is_always_one_to_three_suggestions(finding in any_finding(), pattern in any::<bool>(), events in proptest::collection::vec(any_event(), 0..3)) {
        let kind = if pattern { FindingKind::Pattern } else { FindingKind::Deviation };
        let context = Context { changes: events.iter().filter(|e| e.kind.is_change()).collect(), ..Context::default() };
        let found = Catalogue::shipped().suggest(&Finding { kind, ..finding }, &context);
        prop_assert!((1..=3).contains(&found.len()));
        prop_assert_eq!(found.iter().map(|s| &s.id).collect::<BTreeSet<_>>().len(), found.len());
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}|(entries|id|match|:|-| |\n|\\[|\\]|\\{|\\}|&a|\\*a){0,20}") {
        let _ = Catalogue::load(&Catalogue::shipped(), &[("x.yaml", &text)]);
    }
}
