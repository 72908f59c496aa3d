//! What is of PostgreSQL alone.

use super::*;

/// The store in `database`, and this process leads.
pub async fn leading(database: &str) -> Store {
    connect(&server::address(database)).await.unwrap()
}

async fn connect(address: &str) -> Result<Store> {
    Store::connect(&address.parse().unwrap()).await
}

/// The refusal of `address`, its port replaced.
async fn refusal(address: &str) -> (Code, String) {
    let error = connect(address).await.unwrap_err();
    let port = address.split(['@', '/']).nth(3).unwrap().split(':').nth(1).unwrap();
    (error.code, error.to_string().replace(port, "PORT"))
}

#[tokio::test]
async fn what_is_written_is_there_after_opening_again() {
    let database = server::database();
    let written = incident("i-1", 0, None);
    let store = leading(&database).await;
    store.commit(&Change { incidents: vec![written.clone()], ..Change::default() }).await.unwrap();
    let again = leading(&database).await;
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
async fn what_keeps_us_out_is_explained() {
    let database = server::database();
    let (code, message) = refusal(&server::over_tcp("postgres:wrong", &database)).await;
    assert_eq!(code, Code::FailedPrecondition);
    let message = message.replace(&database, "DB");
    insta::assert_snapshot!(message, @"");
    let (code, message) = refusal(&server::address("nowhere")).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message, @"");
    let (code, message) = refusal("postgres://postgres@127.0.0.1:1/none").await;
    assert_eq!(code, Code::Unavailable);
    insta::assert_snapshot!(message, @"");
}

#[tokio::test]
async fn the_database_of_another_program_is_refused() {
    let database = server::database();
    server::ask(&database, "CREATE TABLE dashboard (id INTEGER)");
    let (code, message) = refusal(&server::address(&database)).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message.replace(&database, "DB"), @"");
}

#[tokio::test]
async fn the_database_of_a_newer_version_is_refused_and_left_alone() {
    let database = server::database();
    leading(&database).await.close().await;
    server::ask(&database, "INSERT INTO _sqlx_migrations VALUES (9000, 'later', now(), true, ''::bytea, 0)");
    let (code, message) = refusal(&server::address(&database)).await;
    assert_eq!(code, Code::FailedPrecondition);
    insta::assert_snapshot!(message.replace(&database, "DB"), @"");
}

#[test]
fn an_address_that_cannot_be_used_says_why_and_shows_no_secret() {
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
        insta::assert_snapshot!(format!("{} {error}", wrong.replace("secret", "…")));
    }
}
