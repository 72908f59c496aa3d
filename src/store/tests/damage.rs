//! Files that cannot be used.

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::*;

/// The refusal of `path`, its folder's name replaced.
async fn refusal(folder: &Path, path: &Path) -> (Code, String) {
    let error = Store::open_within(path, Duration::from_millis(50)).await.unwrap_err();
    (error.code, error.to_string().replace(&folder.display().to_string(), "DIR"))
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path).create_if_missing(true)).await.unwrap()
}

async fn closed_store(folder: &Path) -> PathBuf {
    let path = folder.join("b.sqlite");
    let store = Store::open(&path).await.unwrap();
    let incidents = (0..50).map(|i| incident(&format!("i-{i}"), i, None)).collect();
    store.commit(&Change { incidents, ..Change::default() }).await.unwrap();
    store.close().await;
    path
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.sqlite");
    std::fs::write(&path, "not a database, but long enough to be looked at".repeat(100)).unwrap();
    let (code, message) = refusal(folder.path(), &path).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message, @"cannot open the store DIR/b.sqlite: it is damaged or no SQLite database; restore it from a backup, or move it away to begin anew");
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = closed_store(folder.path()).await;
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[8192..middle].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let (code, message) = refusal(folder.path(), &path).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message, @"cannot open the store DIR/b.sqlite: it is damaged or no SQLite database; restore it from a backup, or move it away to begin anew");
}

#[tokio::test]
async fn a_cut_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = closed_store(folder.path()).await;
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(refusal(folder.path(), &path).await.0, Code::FailedPrecondition);
}

#[tokio::test]
async fn the_file_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = closed_store(folder.path()).await;
    let mut connection = raw(&path).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9000, 'later', 1, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let (code, message) = refusal(folder.path(), &path).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message, @"the store DIR/b.sqlite was written by a newer Bellwether (schema 9000, this one knows up to 6); use that version, or name another store");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn the_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grafana.db");
    let mut connection = raw(&path).await;
    sqlx::query("CREATE TABLE dashboard (id INTEGER)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (code, message) = refusal(folder.path(), &path).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message, @"the store DIR/grafana.db is the database of another program; name another file");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let (code, message) = refusal(folder.path(), &folder.path().join("file/b.sqlite")).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message, @"cannot create the folder DIR/file for the store: check its permissions");
    let (code, message) = refusal(folder.path(), folder.path()).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message, @"the store DIR is a folder; name a file in it");
    // A folder in which nobody, not even root, can make a file.
    let (code, message) = refusal(folder.path(), Path::new("/proc/self/bellwether.sqlite")).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message, @"cannot open the store /proc/self/bellwether.sqlite: check the permissions of the file and of its folder");
}

#[tokio::test]
async fn a_store_that_stays_locked_is_unavailable_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.sqlite");
    let store = Store::open_within(&path, Duration::from_millis(50)).await.unwrap();
    let mut other = raw(&path).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let change = Change { incidents: vec![incident("i-1", 0, None)], ..Change::default() };
    let error = store.commit(&change).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    insta::assert_snapshot!(error.to_string().replace(&folder.path().display().to_string(), "DIR"), @"cannot write to the store DIR/b.sqlite: it is busy: another process or a long transaction holds it");
    store.ping().await.unwrap();
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    store.commit(&change).await.unwrap();
    assert_eq!(store.counts().await.unwrap().open, 1);
}

#[tokio::test]
async fn a_file_that_another_process_locks_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.sqlite");
    let mut other = raw(&path).await;
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    let (code, message) = refusal(folder.path(), &path).await;
    assert_eq!(code, Code::Unavailable);
    insta::assert_snapshot!(message, @"cannot open the store DIR/b.sqlite: it is busy: another process or a long transaction holds it");
}

#[tokio::test]
async fn what_is_written_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/bellwether.sqlite");
    let written = incident("i-1", 0, None);
    let store = Store::open(&path).await.unwrap();
    store.commit(&Change { incidents: vec![written.clone()], ..Change::default() }).await.unwrap();
    // Not closed: as after the end of the process at this instant.
    let again = Store::open(&path).await.unwrap();
    again.ping().await.unwrap();
    assert_eq!(again.incident("i-1").await.unwrap(), Some(written.clone()));
    assert_eq!(again.incident("i-2").await.unwrap(), None);
    assert_eq!(again.open_incidents().await.unwrap(), [written]);
}
