//! `bellwether demo` as a stranger runs it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::servers::Alertmanager;

/// What the demo promises.
const PROMISED: Duration = Duration::from_mins(1);

/// What a demo that ends by itself printed; stopped, and a failure, when it takes longer than promised.
fn play(args: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bellwether"))
        .args(["demo", "--once", "--listen", "127.0.0.1:0"])
        .args(args)
        .env_clear()
        .env("COLUMNS", "100")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let drain = |mut from: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut text = String::new();
            from.read_to_string(&mut text).map(|_| text)
        })
    };
    let (out, err) = (drain(Box::new(child.stdout.take().unwrap())), drain(Box::new(child.stderr.take().unwrap())));
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if begin.elapsed() > PROMISED {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        thread::sleep(Duration::from_millis(50));
    };
    let (out, err) = (out.join().unwrap().unwrap(), err.join().unwrap().unwrap());
    let Some(status) = status else { panic!("the demo is not done after {PROMISED:?}:\n{out}{err}") };
    assert!(status.success(), "{status}:\n{out}{err}");
    assert_eq!(err, "", "nothing goes wrong behind the scenes");
    out
}

/// The part of `text` under the heading `title`.
fn part<'a>(text: &'a str, title: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n{title}\n")).unwrap_or_else(|| panic!("no `{title}` in:\n{text}"));
    rest.split("\n\n").next().unwrap()
}

#[test]
fn shows_what_is_wrong_why_and_what_to_do_within_a_minute() {
    let text = play(&[]);
    assert!(!text.contains('\x1b'), "colours where there is no terminal:\n{text}");
    let watched = part(&text, "What is watched");
    assert!(watched.contains("monitors were proposed") && watched.contains("db-connection-pool"), "{watched}");

    let (_, incident) = text.split_once("\nThe incident\n").unwrap();
    // It is shown as soon as it is known; how many findings it has by then, and so how grave it is, differs by the minute.
    assert!(["  [critical] payment: ", "  [warning] payment: "].iter().any(|head| incident.starts_with(head)), "{incident}");
    let (incident, _) = incident.split_once("\nLikely cause\n").unwrap();
    // A chart: braille, a band, marks under it, times and a legend.
    let braille = incident.chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count();
    assert!(braille > 60 && incident.contains('░') && incident.contains('▲') && incident.contains("times in UTC"), "{incident}");
    assert!(incident.contains("is above its band since") && incident.contains("expected"), "{incident}");

    let cause = part(&text, "Likely cause");
    assert!(cause.trim_start().contains("% payment 2.8.1 deployed: version 2.8.1 went out"), "{cause}");
    assert!(cause.lines().next().unwrap().contains("payment 2.8.1 deployed"), "the deployment is not the first: {cause}");

    let advice = part(&text, "What to do");
    assert!(
        advice.contains("pool") && advice.contains("  1. ") && advice.contains("service=\"payment\"") && advice.contains("runbook: http"),
        "{advice}"
    );

    let further = part(&text, "Where to look further");
    for way in [
        "/incidents/inc-",
        "grpcurl -plaintext",
        "bellwether.v1.IncidentService/GetIncident",
        "/metrics",
        "bellwether analyze --prometheus",
    ] {
        assert!(further.contains(way), "{further}");
    }

    let (_, alert) = text.split_once("An alert arrived at the Alertmanager: ").unwrap();
    for label in ["alertname=BellwetherIncident", "incident=inc-", "service=payment", "severity=", "likely_cause: payment 2.8.1 deployed"] {
        assert!(alert.contains(label), "{alert}");
    }
    // One incident, one alert.
    assert_eq!(text.matches("An alert arrived").count(), 1, "{text}");
}

#[tokio::test]
async fn tells_a_real_alertmanager() {
    let alertmanager = Alertmanager::start(None);
    let url = alertmanager.url();
    let text = tokio::task::spawn_blocking(move || play(&["--alertmanager", &url])).await.unwrap();
    assert!(!text.contains("An alert arrived"), "{text}");
    let (_, id) = text.split_once("/incidents/").unwrap();
    let id = id.split_whitespace().next().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("{}/api/v2/alerts?active=true", alertmanager.url())).send().await.unwrap();
    let alerts: Vec<Value> = answer.json().await.unwrap();
    let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
    let label = |name: &str| alert["labels"][name].as_str().unwrap();
    assert_eq!((label("alertname"), label("service"), label("incident")), ("BellwetherIncident", "payment", id));
    assert!(alert["annotations"]["likely_cause"].as_str().unwrap().contains("payment 2.8.1 deployed"), "{alert}");
    assert!(alert["generatorURL"].as_str().unwrap().ends_with(&format!("/incidents/{id}")), "{alert}");
}

#[test]
fn leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = Command::new(env!("CARGO_BIN_EXE_bellwether"))
        .args(["demo", "--listen", &format!("127.0.0.1:{port}")])
        .env_clear()
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let serves = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains("alive").then_some(())
    };
    let begin = Instant::now();
    while serves().is_none() && begin.elapsed() < PROMISED {
        assert!(child.try_wait().unwrap().is_none(), "it ends by itself");
        thread::sleep(Duration::from_millis(50));
    }
    let inside = || std::fs::read_dir(temporary.path()).unwrap().count();
    let before = inside();
    // As Ctrl-C does.
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let begin = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begin.elapsed() > PROMISED => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    assert!(sent.success() && status.success(), "{status}");
    assert_eq!((before, inside()), (1, 0));
}
