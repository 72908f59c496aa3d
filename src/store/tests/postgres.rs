//! What is of PostgreSQL alone.

use super::*;

/// The store in `database`, and this process leads.
pub async fn leading(database: &str) -> Store {
    let store = connect(&server::address(database)).await.unwrap();
    assert!(store.lead().await.unwrap());
    store
}

async fn connect(address: &str) -> Result<Store> {
    Store::connect(&address.parse().unwrap()).await
}

/// The refusal of `address`, its port replaced.
async fn refusal(address: &str) -> (Code, String) {
    let error = connect(address).await.unwrap_err();
    let port = address.split(['@', '/']).nth(3).unwrap().split(':').nth(1).unwrap();
    (error.code, error.to_string().replace(&format!(":{port}/"), ":PORT/"))
}

#[tokio::test]
async fn what_is_written_is_there_after_opening_again() {
    let database = server::database();
    let written = incident("i-1", 0, None);
    let store = leading(&database).await;
    store.commit(&Change { incidents: vec![written.clone()], ..Change::default() }).await.unwrap();
    let again = connect(&server::address(&database)).await.unwrap();
    again.ping().await.unwrap();
    assert_eq!(again.open_incidents().await.unwrap(), [written]);
}

#[tokio::test]
async fn a_password_lets_in_and_is_never_shown() {
    let database = server::database();
    let address: Database = server::over_tcp("postgres", &database).parse().unwrap();
    assert!(!address.has_password());
    let address = address.with_password(server::PASSWORD);
    let store = Store::connect(&address).await.unwrap();
    for shown in [format!("{address}"), format!("{address:?}"), format!("{store:?}")] {
        assert!(shown.contains(&database), "{shown}");
        assert!(!shown.contains("word"), "{shown}");
    }
    let error = Store::connect(&address.with_password("secret")).await.unwrap_err();
    assert!(!format!("{error:?} {}", error.chain()).contains("secret"));
}

#[tokio::test]
async fn tls_is_insisted_on_and_the_certificate_looked_at() {
    let address = format!("{}?sslmode=verify-full", server::over_tcp("postgres", &server::database()));
    let trusting = format!("{address}&sslrootcert={}", server::certificate().display());
    let store = Store::connect(&trusting.parse::<Database>().unwrap().with_password(server::PASSWORD)).await.unwrap();
    let encrypted: bool =
        sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetch_one(&store.pool).await.unwrap();
    assert!(encrypted);
    let (code, message) = refusal(&address).await;
    assert_eq!(code, Code::FailedPrecondition);
    assert!(message.ends_with("no TLS with the server; check sslmode and sslrootcert"), "{message}");
}

#[tokio::test]
async fn what_keeps_us_out_is_explained() {
    let database = server::database();
    let (code, message) = refusal(&server::over_tcp("postgres:wrong", &database)).await;
    assert_eq!(code, Code::FailedPrecondition);
    let message = message.replace(&database, "DB");
    insta::assert_snapshot!(message, @"cannot open the store postgres://postgres@127.0.0.1:PORT/DB: the server does not let this user in; check user and password");
    let (code, message) = refusal(&server::address("nowhere")).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message, @"cannot open the store postgres://postgres@localhost:PORT/nowhere: there is no such database; make it with `createdb`");
    let (code, message) = refusal("postgres://postgres@127.0.0.1:1/none").await;
    assert_eq!(code, Code::Unavailable);
    insta::assert_snapshot!(message, @"cannot open the store postgres://postgres@127.0.0.1:PORT/none: the server cannot be reached");
}

#[tokio::test]
async fn the_database_of_another_program_is_refused() {
    let database = server::database();
    server::ask(&database, "CREATE TABLE dashboard (id INTEGER)");
    let (code, message) = refusal(&server::address(&database)).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message.replace(&database, "DB"), @"the store postgres://postgres@localhost:PORT/DB is the database of another program; name another database");
}

#[tokio::test]
async fn the_database_of_a_newer_version_is_refused_and_left_alone() {
    let database = server::database();
    leading(&database).await.close().await;
    server::ask(&database, "INSERT INTO _sqlx_migrations VALUES (9000, 'later', now(), true, ''::bytea, 0)");
    let (code, message) = refusal(&server::address(&database)).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message.replace(&database, "DB"), @"the store postgres://postgres@localhost:PORT/DB was written by a newer Bellwether (schema 9000, this one knows up to 6); use that version, or name another store");
}

/// Makes the term of whoever leads in `database` end.
fn end_the_term(database: &str) {
    server::ask(database, "UPDATE lease SET expires = 1");
}

#[tokio::test]
async fn one_leads_and_the_next_takes_over_when_it_goes() {
    let database = server::database();
    let first = leading(&database).await;
    let second = connect(&server::address(&database)).await.unwrap();
    assert!(!second.lead().await.unwrap());
    assert_eq!((first.leads(), second.leads()), (true, false));
    assert_eq!(second.leader().await.unwrap(), Some(first.lease.holder().to_owned()));
    assert!(first.lead_on().await.unwrap());
    first.resign().await.unwrap();
    assert!(!first.leads());
    assert!(second.lead().await.unwrap());
    assert!(!first.lead().await.unwrap());
    assert!(!first.lead_on().await.unwrap());
    // The second dies: nobody leads until its term is over.
    end_the_term(&database);
    assert!(first.lead().await.unwrap());
    assert_eq!(second.leader().await.unwrap(), Some(first.lease.holder().to_owned()));
}

#[tokio::test]
async fn of_many_that_ask_at_once_one_leads() {
    let database = server::database();
    leading(&database).await.resign().await.unwrap();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = connect(&server::address(&database)).await.unwrap();
        asking.spawn(async move { store.lead().await.unwrap() });
    }
    assert_eq!(asking.join_all().await.into_iter().filter(|leads| *leads).count(), 1);
}

#[tokio::test]
async fn an_old_leader_that_wakes_up_writes_nothing() {
    let database = server::database();
    let old = leading(&database).await;
    let first = Change {
        at: at(0),
        incidents: vec![incident("i-1", 0, None)],
        alerts: vec![("i-1".to_owned(), alert("a", None))],
        sinks: vec!["am".to_owned()],
        ..Change::default()
    };
    old.commit(&first).await.unwrap();
    let due = old.due("am", at(0), 9).await.unwrap();
    // It sleeps, and another takes over.
    end_the_term(&database);
    let new = leading(&database).await;
    assert!(old.leads(), "it does not know");
    let change = Change { incidents: vec![incident("i-2", 0, None)], ..Change::default() };
    let error = old.commit(&change).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    insta::assert_snapshot!(error, @"this replica stands by and another leads; send it there, or try again");
    assert!(!old.leads(), "now it does");
    assert!(!old.lead_on().await.unwrap());
    for refused in [
        old.hold_back(&[held_back("f-1", None)], &[]).await,
        old.delivered(&[&due[0]], at(0), at(1)).await,
        old.undelivered(&[(&due[0], at(1))], "x").await,
        old.rejected(&due[0], "x").await,
        old.hasten("am", at(0)).await,
        old.keep_sinks(&[]).await,
        old.prune(at(99)).await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code, Code::Unavailable);
    }
    assert_eq!(new.open_incidents().await.unwrap().len(), 1);
    assert_eq!(new.due("am", at(0), 9).await.unwrap(), due);
    // What it may is to show, and to leave events.
    assert_eq!(old.open_incidents().await.unwrap().len(), 1);
    let events = [event("e-1", EventKind::Deployment, 1, None)];
    old.leave(&events, at(1)).await.unwrap();
    let [(id, left)] = new.left().await.unwrap().try_into().unwrap();
    assert_eq!(left, events);
    new.taken(&id).await.unwrap();
    assert_eq!(new.left().await.unwrap(), []);
}

#[tokio::test]
async fn nobody_takes_over_in_the_midst_of_a_commit() {
    let database = server::database();
    let old = leading(&database).await;
    let new = connect(&server::address(&database)).await.unwrap();
    end_the_term(&database);
    let mut transaction = old.begin_leading().await.unwrap();
    // A wait that can only end by itself if it should not have waited.
    assert!(tokio::time::timeout(Duration::from_millis(200), new.lead()).await.is_err());
    sqlx::query("DELETE FROM events").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(new.lead().await.unwrap());
    assert_eq!(old.begin_leading().await.map(drop).unwrap_err().code, Code::Unavailable);
}

#[test]
fn an_address_that_cannot_be_used_says_why_and_shows_no_secret() {
    let mut all = Vec::new();
    for wrong in [
        "bellwether.sqlite",
        "sqlite:///x/secret",
        "postgres://u:secret@h:port/d",
        "postgres:///d",
        "postgres://u:secret@h",
        "postgres://u:secret@h/d?pasword=secret",
    ] {
        let error = wrong.parse::<Database>().unwrap_err();
        assert!(!error.contains("secret"), "{error}");
        all.push(format!("{} {error}", wrong.replace("secret", "…")));
    }
    insta::assert_snapshot!(all.join("\n"));
}
