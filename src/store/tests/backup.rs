//! What a backup holds comes back, in either kind of store.

use std::collections::BTreeSet;

use super::*;
use crate::store::backup::Backup;

fn full() -> Change {
    Change { sinks: vec!["am".to_owned(), "refusing".to_owned()], ..format::change() }
}

async fn filled(store: &Store) {
    store.commit(&full()).await.unwrap();
    store.hold_back(&[held_back("f-over", Some(4))], &[]).await.unwrap();
    let [_, refused] = store.deliveries("i-open").await.unwrap().try_into().unwrap();
    store.rejected(&refused, "no: \"quoted\"\n").await.unwrap();
}

async fn is_as_filled(store: &Store) {
    let expected = full();
    assert_eq!(store.incidents(&IncidentFilter::default(), 0, "").await.unwrap().items, expected.incidents);
    assert_eq!(store.events_between(at(0), at(9)).await.unwrap(), expected.events);
    let held = held_back("f-over", Some(4));
    assert_eq!(store.held_back(&held.finding.monitor, 9).await.unwrap(), [held]);
    let [due, refused] = store.deliveries("i-open").await.unwrap().try_into().unwrap();
    assert_eq!((due.rejected, due.alert, due.next_send), (false, alert("open", None), at(6)));
    assert_eq!((refused.rejected, refused.last_error.as_deref(), refused.attempts), (true, Some("no: \"quoted\"\n"), 1));
    assert_eq!(store.due("am", at(6), 9).await.unwrap().len(), 1);
}

pub async fn a_backup_comes_back_in_either_kind_of_store(store: Store) {
    filled(&store).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.backup");
    let rows = store.backup(&path, at(7)).await.unwrap();
    let counts: Vec<_> = rows.iter().map(|(table, count)| (table.as_str(), *count)).collect();
    assert_eq!(
        counts.iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>(),
        [&("deliveries", 2), &("events", 2), &("held_back", 1), &("incidents", 2)]
    );
    assert_eq!(counts.len(), TABLES.len());

    let backup = Backup::open(&path).unwrap();
    assert_eq!((backup.rows.clone(), backup.head.created.as_str()), (rows, at(7).to_string().as_str()));
    let file = folder.path().join("restored.sqlite");
    Store::restore(&file, &backup).await.unwrap();
    is_as_filled(&Store::open(&file).await.unwrap()).await;
    // It may be read as often as one likes, and replace what is there.
    Store::restore(&file, &backup).await.unwrap();
    is_as_filled(&Store::open(&file).await.unwrap()).await;

    let database = server::database();
    let address = server::address(&database).parse().unwrap();
    Store::restore_into(&address, &backup, false).await.unwrap();
    let error = Store::restore_into(&address, &backup, false).await.unwrap_err();
    assert!(error.message.ends_with("already; --force replaces it"), "{error}");
    Store::restore_into(&address, &backup, true).await.unwrap();
    let restored = postgres::leading(&database).await;
    is_as_filled(&restored).await;
    let error = Store::restore_into(&address, &backup, true).await.unwrap_err();
    assert!(error.message.starts_with("a Bellwether runs on the store"), "{error}");
}

/// A backup of a small store, as text.
async fn written(folder: &Path) -> String {
    let store = Store::in_memory().await.unwrap();
    filled(&store).await;
    let path = folder.join("b.backup");
    store.backup(&path, at(7)).await.unwrap();
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = written(folder.path()).await;
    let path = folder.path().join("b.backup");
    let refusal = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let error = Backup::open(&path).unwrap_err();
        assert_eq!(error.code, Code::FailedPrecondition);
        error.message.replace(&folder.path().display().to_string(), "DIR")
    };
    let lines: Vec<&str> = whole.lines().collect();
    let without_a_line = lines[..2].join("\n") + "\n" + lines[3..].join("\n").as_str() + "\n";
    let refusals = [
        String::new(),
        "PRAGMA foreign_keys=OFF;\n".to_owned(),
        whole[..whole.len() - 9].to_owned(),
        lines[..lines.len() - 1].join("\n") + "\n",
        whole.replacen("i-resolved", "i-Resolved", 1),
        without_a_line,
        whole.clone() + lines[1] + "\n",
        whole.replacen("\"schema\":", "\"schema\":9", 1),
    ]
    .map(|text| refusal(&text));
    insta::assert_snapshot!(refusals.join("\n"));
    std::fs::write(&path, &whole).unwrap();
    Backup::open(&path).unwrap();
}

#[tokio::test]
async fn what_is_restored_replaces_the_old_store_only_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    // A file that is whole by its own words, but has what no release writes.
    let text =
        written(folder.path()).await.replacen("\"table\":\"held_back\"", "\"table\":\"sqlite_schema\"", 1).replace("\"held_back\":1,", "");
    let (body, _) = text.trim_end().rsplit_once('\n').unwrap();
    let body = format!("{body}\n");
    let sum = {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(&body))
    };
    let path = folder.path().join("b.backup");
    std::fs::write(&path, format!("{body}{{\"rows\":{{}},\"sha256\":\"{sum}\"}}\n")).unwrap();
    let backup = Backup::open(&path).unwrap();
    let file = folder.path().join("b.sqlite");
    let store = Store::open(&file).await.unwrap();
    store.commit(&Change { incidents: vec![incident("i-old", 0, None)], ..Change::default() }).await.unwrap();
    let error = Store::restore(&file, &backup).await.unwrap_err();
    assert!(error.message.ends_with("has a row of `sqlite_schema`, which this release does not know"), "{error}");
    assert_eq!(store.counts().await.unwrap().open, 1);
    let left: BTreeSet<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.contains("restoring")), "{left:?}");
}

/// Tables with their columns, without those that sqlx and SQLite have for themselves.
async fn columns(store: &Store, text: &'static str) -> BTreeSet<(String, String)> {
    let all: Vec<(String, String)> = sqlx::query_as(text).fetch_all(&store.pool).await.unwrap();
    all.into_iter().filter(|(table, _)| !table.starts_with('_') && !table.starts_with("sqlite_")).collect()
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_all_are_backed_up() {
    let file = Store::in_memory().await.unwrap();
    let sqlite = columns(&file, "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'").await;
    let server = postgres::leading(&server::database()).await;
    let text = "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = current_schema()";
    let postgres = columns(&server, text).await;
    assert_eq!(sqlite, postgres);
    let tables: BTreeSet<&str> = sqlite.iter().map(|(table, _)| table.as_str()).collect();
    // Who leads is nothing to restore.
    assert_eq!(tables, TABLES.into_iter().chain(["lease"]).collect());
}
