//! `bellwether backup` and `bellwether restore` as a user calls them.

use std::path::Path;
use std::process::Command;

use bellwether::app;
use bellwether::clock::Timestamp;
use bellwether::incident::Incident;
use bellwether::store::{Change, IncidentFilter, Store};

use crate::postgres;

/// Code, output and errors of a run.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bellwether")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{err}");
    (output.status.code(), out, err)
}

fn incident(id: &str) -> Incident {
    let mut incident: Incident = serde_json::from_str(include_str!("../fixtures/incident.json")).unwrap();
    id.clone_into(&mut incident.id);
    incident
}

/// A store with incidents in the directory; open, as an engine that runs has it.
async fn store(data: &Path, incidents: &[&str]) -> Store {
    let store = Store::open(&data.join("bellwether.sqlite")).await.unwrap();
    let incidents = incidents.iter().map(|id| incident(id)).collect();
    store.commit(&Change { at: Timestamp::from_millis(0), incidents, ..Change::default() }).await.unwrap();
    store
}

async fn ids(store: &Store) -> Vec<String> {
    let mut ids: Vec<_> = store.incidents(&IncidentFilter::default(), 0, "").await.unwrap().items.into_iter().map(|i| i.id).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn what_is_backed_up_while_the_engine_runs_can_be_restored() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (data, other, file) = (at("data"), at("other"), at("b.backup"));
    let running = store(Path::new(&data), &["i-1", "i-2"]).await;
    let lock = app::lock_data_dir(Path::new(&data)).unwrap();
    let backup = run(&["backup", "--data-dir", &data, "--out", &file]);
    assert_eq!(backup.0, Some(0), "{}", backup.2);
    assert!(backup.1.starts_with(&format!("wrote {file}: ")) && backup.1.contains("2 incidents"), "{}", backup.1);

    // Not over an engine that runs.
    let (code, _, err) = run(&["restore", "--data-dir", &data, "--from", &file, "--force"]);
    assert_eq!(code, Some(1));
    assert_eq!(err, format!("error: another Bellwether (process {}) uses {data}; stop it, or name another data_dir\n", std::process::id()));
    let (code, _, err) = run(&["serve", "--data-dir", &data, "--prometheus", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("another Bellwether"), "{err}");
    running.close().await;
    drop(lock);

    let (code, out, err) = run(&["restore", "--data-dir", &other, "--from", &file]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with(&format!("restored {other}/bellwether.sqlite as of ")) && out.contains("2 incidents"), "{out}");
    let restored = store(Path::new(&other), &["i-3"]).await;
    assert_eq!(ids(&restored).await, ["i-1", "i-2", "i-3"]);
    restored.close().await;

    let (code, _, err) = run(&["restore", "--data-dir", &other, "--from", &file]);
    assert_eq!(code, Some(2));
    assert_eq!(err, format!("error: --data-dir: there is a store {other}/bellwether.sqlite already; --force replaces it\n"));
    assert_eq!(run(&["restore", "--data-dir", &other, "--from", &file, "--force"]).0, Some(0));
    assert_eq!(ids(&store(Path::new(&other), &[]).await).await, ["i-1", "i-2"]);
}

#[tokio::test]
async fn a_file_moves_to_postgresql_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (data, file, again) = (at("data"), at("b.backup"), at("again.backup"));
    store(Path::new(&data), &["i-1", "i-2"]).await.close().await;
    let url = postgres::address(&postgres::database());
    assert_eq!(run(&["backup", "--data-dir", &data, "--out", &file]).0, Some(0));
    let (code, out, err) = run(&["restore", "--data-dir", &data, "--store", &url, "--from", &file]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("restored postgres://postgres@localhost:") && !out.contains("host="), "{out}");
    assert_eq!(run(&["backup", "--store", &url, "--out", &again]).0, Some(0));
    let rows = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap();
        let mut rows: Vec<String> = text.lines().filter(|line| line.starts_with("{\"table\"")).map(str::to_owned).collect();
        rows.sort();
        rows
    };
    assert_eq!(rows(&file).len(), 2);
    assert_eq!(rows(&file), rows(&again));
}

#[tokio::test]
async fn misuse_is_code_2_and_a_broken_file_is_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (data, file, none) = (at("data"), at("b.backup"), at("none"));
    let (code, _, err) = run(&["backup", "--data-dir", &none, "--out", &file]);
    assert_eq!((code, err), (Some(2), format!("error: --data-dir: there is no store {none}/bellwether.sqlite\n")));
    store(Path::new(&data), &["i-1"]).await.close().await;
    let (code, _, err) = run(&["backup", "--data-dir", &data, "--out", &data]);
    assert_eq!((code, err), (Some(2), format!("error: --out: {data} is a directory; name a file in it\n")));
    let (code, _, err) = run(&["backup", "--data-dir", &data, "--out", &format!("{none}/b.backup")]);
    assert_eq!(code, Some(1), "{err}");
    let (code, _, err) = run(&["restore", "--data-dir", &data, "--from", &file]);
    assert_eq!((code, err), (Some(2), format!("error: --from: there is no file {file}\n")));

    assert_eq!(run(&["backup", "--data-dir", &data, "--out", &file]).0, Some(0));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("i-1", "i-9")).unwrap();
    let (code, _, err) = run(&["restore", "--data-dir", &data, "--from", &file, "--force"]);
    assert_eq!((code, err), (Some(1), format!("error: the backup {file} was changed after it was written: its checksum is another\n")));
    assert_eq!(ids(&store(Path::new(&data), &[]).await).await, ["i-1"]);
}
