//! The binary as it is run: arguments, exit codes, what stands on stdout and on stderr.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::api;

/// A run: exit code, stdout, stderr.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
    command.args(args).env_clear().env("COLUMNS", "100").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Run {
    let Output { status, stdout, stderr } = command(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// What a run that fails says, with its code; it prints no result.
fn refused(args: &[&str]) -> (Option<i32>, String) {
    let run = run(args);
    assert_eq!(run.out, "", "{args:?}");
    assert!(!run.err.contains("panicked"), "{}", run.err);
    (run.code, run.err)
}

/// The address of a Prometheus that is not there.
fn nobody() -> String {
    format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/config/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn help_for_every_verb() {
    let mut all = String::new();
    for verb in ["", "serve", "demo", "analyze", "forecast", "drift", "diagnose", "backtest", "discover", "check"] {
        let args: Vec<&str> = [verb, "--help"].into_iter().filter(|a| !a.is_empty()).collect();
        let help = run(&args);
        assert_eq!((help.code, help.err.as_str()), (Some(0), ""), "{verb}");
        let _ = writeln!(all, "$ bellwether {}\n{}", args.join(" "), help.out);
    }
    insta::assert_snapshot!(all);
    let version = run(&["--version"]);
    assert_eq!((version.code, version.out), (Some(0), format!("bellwether {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn misuse_is_code_2_and_says_how_to_do_it() {
    let mut all = String::new();
    for args in [
        &[][..],
        &["dance"],
        &["serve", "--prometeus", "http://localhost:9090"],
        &["serve"],
        &["serve", "--prometheus", "localhost:9090"],
        &["serve", "--prometheus", "http://localhost:9090", "--listen", ":9095"],
        &["demo", "--listen", "everywhere"],
        &["discover"],
        &["analyze"],
        &["analyze", "up"],
        &["analyze", "up", "--file", "x.csv"],
        &["analyze", "up", "--prometheus", "http://localhost:9090", "--range", "soon"],
        &["analyze", "up", "--prometheus", "http://localhost:9090", "--range", "1m", "--step", "5m"],
        &["analyze", "up", "--prometheus", "http://localhost:9090", "--step", "0s"],
        &["analyze", "up", "--per-day", "NaN", "--prometheus", "http://localhost:9090"],
        &["analyze", "up", "--direction", "sideways"],
        &["analyze", "up", "--unit", "parsecs"],
        &["analyze", "up", "--output", "xml"],
        &["backtest", "--out", "x"],
        &["backtest", "--data", "/none", "--out", "/tmp"],
        &["backtest", "--data", "/none", "--prometheus", "http://localhost:9090", "--out", "/tmp"],
        &["backtest", "--data", "/none", "--range", "14d", "--out", "/tmp"],
        &["backtest", "--data", "/none", "--per-day", "0", "--out", "/tmp"],
        &["backtest", "--prometheus", "http://localhost:9090", "--range", "10s", "--out", "/none/x"],
    ] {
        let run = run(args);
        assert_eq!((run.code, run.err.contains("panicked")), (Some(2), false), "{args:?}: {}", run.err);
        let _ = writeln!(all, "$ bellwether {}\n{}{}", args.join(" "), run.out, run.err);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_prometheus_that_is_away_is_code_1_with_its_address_and_the_cause() {
    let url = nobody();
    for args in [&["analyze", "up", "--prometheus", &url][..], &["discover", "--prometheus", &url]] {
        let (code, err) = refused(args);
        assert_eq!(code, Some(1), "{err}");
        assert!(err.starts_with("error: ") && err.contains(&url[7..]) && err.to_lowercase().contains("connection refused"), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

/// Fourteen days of a rhythm at one value every ten minutes; on the last day it is too high for an hour.
fn csv(folder: &Path) -> PathBuf {
    let (mut text, mut state) = ("timestamp,orders,steady\n".to_owned(), 1_u64);
    for i in 0..14 * 144_i64 {
        let day = (i as f64 / 144.0 * std::f64::consts::TAU).sin();
        let spike = if (13 * 144 + 60..13 * 144 + 66).contains(&i) { 45.0 } else { 0.0 };
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise = (state >> 40) as f64 / f64::from(1 << 23);
        let _ = writeln!(text, "{},{:.3},{:.3}", 1_767_571_200 + i * 600, 100.0 + 20.0 * day + noise + spike, 5.0 + noise);
    }
    let path = folder.join("orders.csv");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_file_is_judged_with_a_chart() {
    let folder = tempfile::tempdir().unwrap();
    let path = csv(folder.path());
    let run = run(&["analyze", "--per-day", "0.1", "--file", path.to_str().unwrap()]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert!(!run.out.contains('\x1b'), "{}", run.out);
    insta::assert_snapshot!(run.out);
}

#[test]
fn a_file_is_judged_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let path = csv(folder.path());
    let run = run(&["analyze", "--per-day", "0.1", "--file", path.to_str().unwrap(), "--output", "json"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let json: Value = serde_json::from_str(&run.out).unwrap();
    let [orders, steady] = json["series"].as_array().unwrap().as_slice() else { panic!("{json}") };
    assert_eq!((&orders["labels"]["__name__"], &steady["labels"]["__name__"]), (&Value::from("orders"), &Value::from("steady")));
    assert_eq!((&orders["periods"], &json["warnings"]), (&serde_json::json!(["1d"]), &serde_json::json!([])));
    let [finding] = orders["findings"].as_array().unwrap().as_slice() else { panic!("{orders}") };
    assert_eq!((&finding["direction"], &finding["onset"]), (&Value::from("up"), &Value::from("2026-01-18T10:00:00Z")));
    let scores = orders["scores"].as_array().unwrap();
    assert_eq!(scores.len(), 14 * 144 / 5);
    assert!(scores.iter().all(|s| s["anomaly_score"].is_f64() && s["yhat"].is_f64()), "{orders}");
    assert_eq!(steady["findings"], serde_json::json!([]));
}

#[test]
fn files_that_cannot_be_judged() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = String::new();
    for (name, text) in [
        ("missing.csv", None),
        ("folder.csv", None),
        ("notes.txt", Some("timestamp,value\n0,1\n")),
        ("empty.csv", Some("")),
        ("header.csv", Some("timestamp,value\n")),
        ("one-row.csv", Some("timestamp,value\n0,1\n")),
        ("no-time.csv", Some("when,value\n0,1\n60,2\n")),
        ("no-numbers.csv", Some("timestamp,name\n0,a\n60,b\n")),
        ("bad-time.csv", Some("timestamp,value\n0,1\nsoon,2\n")),
        ("bad-value.csv", Some("timestamp,value\n0,1\n60,two\n")),
        ("wide.csv", Some("timestamp,value\n0,1\n60,2,3\n")),
        ("not.parquet", Some("PAR1 it is not")),
    ] {
        let path = folder.path().join(name);
        match text {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None if name.starts_with("folder") => std::fs::create_dir(&path).unwrap(),
            None => {}
        }
        let (code, err) = refused(&["analyze", "--file", path.to_str().unwrap()]);
        let _ = writeln!(all, "{name}: {}\n{}", code.unwrap(), err.replace(folder.path().to_str().unwrap(), "[FOLDER]"));
    }
    insta::assert_snapshot!(all);
    // Too little to judge is an answer, not a failure.
    let path = folder.path().join("short.csv");
    std::fs::write(&path, "timestamp,value\n0,1\n60,2\n120,nan\n180,1e308\n").unwrap();
    let short = run(&["analyze", "--file", path.to_str().unwrap()]);
    assert_eq!(short.code, Some(0), "{}", short.err);
    assert!(short.out.starts_with("short") && short.out.contains(": cannot say: too short"), "{}", short.out);
}

#[test]
fn a_configuration_is_checked() {
    let good = run(&["check", "-c", &fixture("good/full.yaml")]);
    assert_eq!((good.code, good.err.as_str()), (Some(0), ""));
    assert!(good.out.starts_with("The configuration is valid.\n"), "{}", good.out);
    let bad = run(&["check", "-c", &fixture("bad/07-misspelt-fields.yaml")]);
    assert_eq!((bad.code, bad.err.as_str()), (Some(1), ""));
    assert!(bad.out.contains("in the configuration."), "{}", bad.out);
    let json = run(&["check", "-c", &fixture("bad/07-misspelt-fields.yaml"), "--output", "json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["valid"], false);
    // Whoever serves with it is told the same, and that it is misuse.
    let (code, err) = refused(&["serve", "-c", &fixture("bad/07-misspelt-fields.yaml")]);
    assert_eq!(code, Some(2));
    for error in json["errors"].as_array().unwrap() {
        assert!(err.contains(error["message"].as_str().unwrap()), "{err}");
    }
    let missing = run(&["check", "-c", "/nowhere/bellwether.yaml"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.out.contains("cannot read /nowhere/bellwether.yaml"), "{}", missing.out);
    // The environment counts, and is named.
    let output = command(&["check"]).env("BELLWETHER_PROMETHEUS__ULR", "http://localhost:9090").output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && out.contains("BELLWETHER_PROMETHEUS__ULR"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_discovered_is_a_configuration() {
    let url = api::serve_shop().await;
    let work = move || {
        let found = run(&["discover", "--prometheus", &url]);
        assert_eq!((found.code, found.err.as_str()), (Some(0), ""));
        assert!(found.out.contains("build_info: ") && found.out.contains("monitors:"), "{}", found.out);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bellwether.yaml");
        std::fs::write(&file, &found.out).unwrap();
        let checked = run(&["check", "-c", file.to_str().unwrap(), "--output", "json"]);
        assert_eq!(checked.code, Some(0), "{}", checked.out);
        let checked: Value = serde_json::from_str(&checked.out).unwrap();
        let json = run(&["discover", "--prometheus", &url, "--output", "json"]);
        let json: Value = serde_json::from_str(&json.out).unwrap();
        assert!(json["monitors"].as_array().unwrap().len() >= 6);
        assert_eq!(checked["monitors"], json["monitors"]);
        assert_eq!((&checked["discovery"], checked["prometheus"]["url"].as_str()), (&Value::from(false), Some(format!("{url}/").as_str())));

        // A query over the shop, of which some series are ill.
        let ratio = "db_connection_pool_in_use / db_connection_pool_max";
        let judged = run(&["analyze", "--prometheus", &url, ratio, "--range", "3d", "--judge", "2h", "--unit", "ratio"]);
        assert_eq!(judged.code, Some(0), "{}", judged.err);
        // The others may have a finding by chance; this one lasts.
        let ill = |line: &str| line.contains("{service=\"payment\"} is above its band since") && line.contains("it lasts");
        assert!(judged.out.lines().any(ill), "{}", judged.out);
        // What Prometheus refuses is told as it tells it.
        let (code, err) = refused(&["analyze", "--prometheus", &url, "sum(rate(up"]);
        assert!(code != Some(0) && err.contains("sum(rate(up") || err.contains("parse"), "{code:?} {err}");
        let (code, err) = refused(&["analyze", "--prometheus", &url, "nothing_of_this_name"]);
        assert_eq!((code, err.as_str()), (Some(2), "error: PROMQL: the query yields no series in this range\n"));
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[test]
fn a_file_is_forecast_in_long_form_and_in_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let hourly = |t: i32| 100.0 + 20.0 * (f64::from(t) * std::f64::consts::TAU / 24.0).sin() + f64::from(t * 7919 % 101) / 50.0;
    let mut long = String::from("unique_id,ds,y\n");
    let mut wide = String::from("time,orders,errors\n");
    for t in 0..480 {
        let _ = writeln!(long, "a,{},{}\nb,{},{}", t + 1, hourly(t), t + 1, 0.5 + f64::from(t) * 1e-3);
        let _ = writeln!(wide, "{},{},{}", 1_767_571_200 + t * 3600, hourly(t), t % 3);
    }
    std::fs::write(path("long.csv"), long).unwrap();
    std::fs::write(path("wide.csv"), wide).unwrap();
    let printed = run(&["forecast", "--file", &path("long.csv"), "--horizon", "24", "--season", "24", "--limit", "0.99"]);
    assert_eq!(printed.code, Some(0), "{}", printed.err);
    assert!(printed.err.contains("b: 0.99 is reached at 491"), "{}", printed.err);
    let rows: Vec<Vec<&str>> = printed.out.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["unique_id", "ds", "yhat", "yhat_lower", "yhat_upper"]);
    assert_eq!((rows.len(), rows[1][..2].to_vec(), rows[25][..2].to_vec()), (49, vec!["a", "481"], vec!["b", "481"]));
    for (k, row) in rows[1..25].iter().enumerate() {
        let [yhat, lower, upper] = [2, 3, 4].map(|i: usize| row[i].parse::<f64>().unwrap());
        let actual = hourly(480 + k as i32);
        assert!((yhat - actual).abs() < 3.0 && lower < yhat && yhat < upper, "{row:?} for {actual}");
    }
    // The same in a file, by duration and with times.
    let run_to = |out: &str| run(&["forecast", "--file", &path("wide.csv"), "--horizon", "1d", "--level", "80", "--out", &path(out)]);
    let written = run_to("out.csv");
    assert_eq!((written.code, written.err.as_str()), (Some(0), ""));
    let text = std::fs::read_to_string(path("out.csv")).unwrap();
    assert!(text.contains("\norders,2026-01-25T00:00:00Z,"), "{}", &text[..300]);
    assert_eq!(run_to("out.parquet").code, Some(0));
    assert!(std::fs::metadata(path("out.parquet")).unwrap().len() > 1000);

    // From 2026-01-05 on, the first half of every 1st and 15th is half as busy.
    let mut halved = String::from("time,orders\n");
    for t in 0..24 * 88 {
        let (day, hour) = (t / 24, t % 24);
        let known = [10, 27, 41, 55, 69, 86].contains(&day) && hour < 12;
        let _ = writeln!(halved, "{},{}", 1_767_571_200 + t * 3600, hourly(t) * if known { 0.5 } else { 1.0 });
    }
    std::fs::write(path("halved.csv"), halved).unwrap();
    let events = "# the 1st and the 15th\n- {cron: '0 0 1,15 * *', for: 12h}\n- {from: 2026-04-03T00:00, until: 2026-04-03T12:00}\n";
    std::fs::write(path("events.yaml"), events).unwrap();
    let known = run(&["forecast", "--file", &path("halved.csv"), "--horizon", "2d", "--events", &path("events.yaml")]);
    assert_eq!((known.code, known.err.as_str()), (Some(0), ""));
    let said: Vec<f64> = known.out.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().parse().unwrap()).collect();
    let mean = |hours: std::ops::Range<usize>| said[hours.clone()].iter().sum::<f64>() / hours.len() as f64;
    let usual = |hours: std::ops::Range<i32>| hours.clone().map(hourly).sum::<f64>() / hours.len() as f64;
    // What follows is the third of April, a known event, and a day like any other.
    assert!((mean(0..12) - 0.5 * usual(0..12)).abs() < 3.0, "{} {}", mean(0..12), usual(0..12));
    assert!((mean(12..24) - usual(12..24)).abs() < 3.0 && (mean(24..36) - usual(0..12)).abs() < 3.0, "{} {}", mean(12..24), mean(24..36));
    std::fs::write(path("wrong.yaml"), "- {cron: '0 0 25 12 *'}\n- {every: year}\n").unwrap();
    let (code, err) = refused(&["forecast", "--file", &path("halved.csv"), "--horizon", "2d", "--events", &path("wrong.yaml")]);
    assert!(code == Some(2) && err.contains("--events[0].for: is missing") && err.contains("--events[1].every"), "{code:?} {err}");

    let said: Vec<String> = [
        &["--horizon", "0"][..],
        &["--horizon", "soon"],
        &["--horizon", "5", "--level", "100"],
        &["--horizon", "5", "--season", "0"],
        &["--horizon", "5", "--limit", "NaN"],
        &["--horizon", "5", "--out", "forecast.txt"],
    ]
    .map(|args| {
        let (code, err) = refused(&[&["forecast", "--file", &path("wide.csv")], args].concat());
        assert_eq!(code, Some(2), "{err}");
        err.lines().next().unwrap_or_default().to_owned()
    })
    .into();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn files_are_held_against_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let table = |shift: usize| {
        (0..300).fold(String::from("amount,method,late\n"), |mut text, i| {
            let method = if i % 10 < 5 + shift { "card" } else { "cash" };
            let _ = writeln!(text, "{}.5,{method},{}", (i * 7919 + i * i) % 997 + 150 * shift, i % 2 == 0);
            text
        })
    };
    std::fs::write(path("was.csv"), table(0)).unwrap();
    std::fs::write(path("is.csv"), table(2)).unwrap();
    let (was, is) = (path("was.csv"), path("is.csv"));
    let drifted = run(&["drift", "--reference", &was, "--current", &is]);
    assert_eq!((drifted.code, drifted.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(drifted.out);
    let json = run(&["drift", "--reference", &was, "--current", &was, "--rule", "calibrated", "--output", "json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["drifted"], &json["judged_columns"]), (&Value::from(false), &Value::from(3)));
    let said: Vec<String> = [
        &["--numeric", "guess"][..],
        &["--numeric", "z"],
        &["--share", "2"],
        &["--columns", "amount,nothing"],
        &["--columns", "late", "--categorical", "ks"],
    ]
    .map(|args| {
        let (code, err) = refused(&[&["drift", "--reference", &was, "--current", &is], args].concat());
        assert_eq!(code, Some(2), "{err}");
        err.lines().next().unwrap_or_default().replace(&is, "FILE")
    })
    .into();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn the_callee_that_slowed_down_explains_its_callers() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut metrics = String::from("timestamp,service,metric,value\n");
    for minute in 0..180_u32 {
        let noise = |k: u32| f64::from((minute * 7919 + k * 104_729) % 101) / 1000.0;
        let slow = if minute >= 150 { 2.0 } else { 0.0 };
        for (k, (service, own)) in [("web", 0.5), ("cart", 0.3), ("db", 0.1), ("mail", 0.2)].into_iter().enumerate() {
            let late = if service == "mail" { 0.0 } else { slow };
            let time = 1_767_571_200 + 60 * minute;
            let _ = writeln!(metrics, "{time},{service},latency_seconds,{}", own + late + noise(k as u32));
            let _ = writeln!(metrics, "{time},{service},requests_per_second,{}", 50.0 + 10.0 * noise(k as u32 + 9));
        }
    }
    std::fs::write(path("metrics.csv"), metrics).unwrap();
    std::fs::write(path("calls.csv"), "source,target\nweb,cart\ncart,db\nweb,mail\n").unwrap();
    let (metrics, calls) = (path("metrics.csv"), path("calls.csv"));
    let base = ["diagnose", "--metrics", &metrics, "--graph", &calls, "--symptom", "web"];
    for at in ["2026-01-05T02:29:00Z", "2026-01-05T02:30:00Z", "1767580260"] {
        let run = run(&[&base[..], &["--at", at, "--output", "json"]].concat());
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        let found: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(found["causes"][0]["service"], "db", "{at}: {}", run.out);
        assert!(found["causes"][0]["probability"].as_f64().unwrap() > 0.5 && found["causes"][0]["onset"].is_string(), "{}", run.out);
    }
    let text = run(&[&base[..], &["--at", "2026-01-05T02:30:00Z", "--causes", "1"]].concat());
    assert!(text.out.starts_with("what explains the trouble of web:\n\n1. db  "), "{}", text.out);
    let said: Vec<String> = [
        &["--metrics", &metrics, "--at", "yesterday"][..],
        &["--metrics", &metrics, "--at", "2026-02-05T02:30:00Z"],
        &["--metrics", &metrics, "--at", "2026-01-05T02:30:00Z", "--symptom", "shop"],
        &["--metrics", &calls, "--at", "2026-01-05T02:30:00Z"],
        &["--metrics", &metrics, "--graph", &metrics, "--at", "2026-01-05T02:30:00Z"],
    ]
    .map(|args| {
        let (code, err) = refused(&[&["diagnose"], args].concat());
        assert_eq!(code, Some(2), "{err}");
        err.lines().next().unwrap_or_default().replace(folder.path().to_str().unwrap(), "DIR")
    })
    .into();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn no_calm_column_is_left_out_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calm.csv");
    for columns in [20, 22] {
        let names: Vec<String> = (0..columns).map(|c| format!("c{c}")).collect();
        let rows = (0..50).map(|i| (0..columns).map(|c| format!("{i}.{c}")).collect::<Vec<_>>().join(",") + "\n");
        std::fs::write(&file, names.join(",") + "\n" + &rows.collect::<String>()).unwrap();
        let file = file.to_str().unwrap();
        let out = run(&["drift", "--reference", file, "--current", file]).out;
        assert_eq!(out.lines().filter(|line| line.starts_with('c') && !line.starts_with("column")).count(), 20, "{out}");
        assert_eq!(out.contains("and 2 more that have not drifted"), columns == 22, "{out}");
    }
}
