//! The store in a PostgreSQL database.

use std::fmt;
use std::io::ErrorKind;
use std::str::FromStr;

use reqwest::Url;
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _};

use super::backup::Backup;
use super::open::{BUSY, begin_with, migrate, refused};
use super::{Dialect, Store, TABLES};
use crate::error::{Code, Result};

/// The most connections of one process.
const CONNECTIONS: u32 = 8;

/// What an address may say besides user, host and database.
const PARAMETERS: [&str; 6] = ["application_name", "host", "sslcert", "sslkey", "sslmode", "sslrootcert"];

/// How each connection begins: nothing waits for ever, neither for a lock nor for a process that stopped within a transaction.
const FIRST: &str = "SET lock_timeout = '5s'; SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '10s';";

/// Where a PostgreSQL database is and how to be let in. It is shown without its password.
#[derive(Clone, PartialEq)]
pub struct Database(Url);

impl FromStr for Database {
    type Err = String;

    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. What is wrong is told without the address, which holds a secret.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write postgres://USER@HOST:5432/DATABASE";
        let url = Url::parse(text).map_err(|e| format!("is not an address ({e}); {form}"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(format!("begins with `{}:`; {form}, or leave it out for a file in data_dir", url.scheme()));
        }
        if let Some((name, _)) = url.query_pairs().find(|(name, _)| !PARAMETERS.contains(&name.as_ref())) {
            return Err(format!("has the parameter `{name}`; there are {}", PARAMETERS.join(", ")));
        }
        if !url.has_host() && !url.query_pairs().any(|(name, _)| name == "host") {
            return Err(format!("names no server; {form}, or ?host=/run/postgresql for a socket"));
        }
        if url.path().trim_matches('/').is_empty() {
            return Err(format!("names no database; {form}"));
        }
        Ok(Self(url))
    }
}

impl Database {
    /// The same with another password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        // It has a host, which is all that could be missing.
        let _ = self.0.set_password(Some(password));
        self
    }

    /// Whether the address holds a password.
    pub fn has_password(&self) -> bool {
        self.0.password().is_some()
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        let _ = shown.set_password(None);
        shown.set_query(None);
        write!(f, "{shown}")
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

impl Store {
    /// Opens the store in a PostgreSQL database, makes its tables where there are none, and brings an older
    /// schema up to date.
    ///
    /// # Errors
    /// A server that does not answer: [`Code::Unavailable`]. One that does not let us in, a database that is not
    /// there, of another program or of a newer version: [`Code::FailedPrecondition`]. The database is named
    /// without its password.
    pub async fn connect(database: &Database) -> Result<Self> {
        let place = database.to_string();
        let (options, mut connection) = connect(database, &place).await?;
        let prepared = async {
            check(&mut connection, &place).await?;
            migrate(&mut connection, Dialect::Postgres, &place).await
        };
        let prepared = prepared.await;
        close(connection, &place, prepared).await?;
        Ok(Self::lazily(Dialect::Postgres, &place, options, CONNECTIONS, BUSY, FIRST.to_owned()))
    }

    /// Opens the store in a PostgreSQL database for reading it as it is, whatever its schema.
    ///
    /// # Errors
    /// As [`Store::connect`]; there must be tables of ours.
    pub async fn connect_as_it_is(database: &Database) -> Result<Self> {
        let place = database.to_string();
        let (options, mut connection) = connect(database, &place).await?;
        let checked =
            async { if check(&mut connection, &place).await? { Ok(()) } else { Err(refused(format!("there is no store in {place}"))) } };
        let checked = checked.await;
        close(connection, &place, checked).await?;
        Ok(Self::lazily(Dialect::Postgres, &place, options, 1, BUSY, FIRST.to_owned()))
    }

    /// Fills a database from a backup; what is there of ours is only replaced if `replace` says so.
    ///
    /// # Errors
    /// There is a store already, a process leads there, or the backup has what this release does not know.
    pub async fn restore_into(database: &Database, backup: &Backup, replace: bool) -> Result<()> {
        let place = database.to_string();
        let (_, mut connection) = connect(database, &place).await?;
        let filled = async {
            if check(&mut connection, &place).await? {
                if !replace {
                    return Err(refused(format!("there is a store in {place} already; --force replaces it")));
                }
                empty(&mut connection, &place).await?;
            }
            backup.fill(&mut connection, Dialect::Postgres, &place).await
        };
        let filled = filled.await;
        close(connection, &place, filled).await
    }
}

/// A connection of its own for the beginning: a pool would try again and not say what is wrong.
async fn connect(database: &Database, place: &str) -> Result<(AnyConnectOptions, AnyConnection)> {
    sqlx::any::install_default_drivers();
    let failed = |e| Dialect::Postgres.explain("open", place, e);
    let options = AnyConnectOptions::from_url(&database.0).map_err(failed)?;
    let connecting = tokio::time::timeout(BUSY, AnyConnection::connect_with(&options));
    let mut connection = connecting.await.map_err(|_| failed(sqlx::Error::PoolTimedOut))?.map_err(failed)?;
    // Longer than for the work: another replica may be bringing the schema up to date.
    let patience = "SET lock_timeout = '60s'; SET statement_timeout = '10min'; SET client_min_messages = warning;";
    begin_with(&mut connection, patience).await.map_err(failed)?;
    Ok((options, connection))
}

/// Closes the connection whatever came of it.
async fn close(connection: AnyConnection, place: &str, result: Result<()>) -> Result<()> {
    let closed = connection.close().await;
    result?;
    closed.map_err(|e| Dialect::Postgres.explain("open", place, e))
}

/// Drops our tables, unless a process leads.
async fn empty(connection: &mut AnyConnection, place: &str) -> Result<()> {
    let failed = |e| Dialect::Postgres.explain("write to", place, e);
    let lease: bool = sqlx::query_scalar("SELECT to_regclass('lease') IS NOT NULL").fetch_one(&mut *connection).await.map_err(failed)?;
    if lease {
        let leader: Option<String> =
            sqlx::query_scalar("SELECT holder FROM lease WHERE expires > (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
        if let Some(leader) = leader {
            return Err(refused(format!("a Bellwether runs on the store {place}: {leader}; stop it first")));
        }
    }
    let tables: Vec<&str> = TABLES.into_iter().chain(["lease", "_sqlx_migrations"]).collect();
    begin_with(connection, &format!("DROP TABLE IF EXISTS {} CASCADE", tables.join(", "))).await.map_err(failed)
}

/// Whether there is a store of ours, or nothing; an error where there is something else.
async fn check(connection: &mut AnyConnection, place: &str) -> Result<bool> {
    let failed = |e| Dialect::Postgres.explain("open", place, e);
    let version: i64 =
        sqlx::query_scalar("SELECT current_setting('server_version_num')::bigint").fetch_one(&mut *connection).await.map_err(failed)?;
    if version < 120_000 {
        return Err(refused(format!("the store {place} is on PostgreSQL {}; it must be 12 or later", version / 10_000)));
    }
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema()")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let comment: Option<String> = sqlx::query_scalar("SELECT obj_description(to_regclass('incidents'), 'pg_class')")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if tables > 0 && comment.as_deref() != Some("Bellwether") {
        return Err(refused(format!("the store {place} is the database of another program; name another database")));
    }
    Ok(tables > 0)
}

const NO_TLS: &str = "no TLS with the server; check sslmode and sslrootcert";

/// What PostgreSQL's answer means to the person who runs this.
pub(super) fn reason(error: &sqlx::Error) -> (Code, &'static str) {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html
    let state = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match (state.as_deref(), error) {
        (Some("28P01" | "28000"), _) => (Code::FailedPrecondition, "the server does not let this user in; check user and password"),
        (Some("3D000"), _) => (Code::FailedPrecondition, "there is no such database; make it with `createdb`"),
        (Some("22021"), _) => (Code::InvalidArgument, "a text has a NUL character, which no name or id may have"),
        (Some("42501"), _) => (Code::FailedPrecondition, "the user may not do that; it must own the database's schema"),
        (Some("25006"), _) => (Code::Unavailable, "the server only reads; name the primary"),
        (Some("53300"), _) => (Code::Unavailable, "the server has too many connections"),
        (Some("53100"), _) => (Code::Unavailable, "the server's disk is full"),
        (Some("57P01" | "57P02" | "57P03"), _) => (Code::Unavailable, "the server is starting or stopping"),
        (Some("40001" | "40P01" | "55P03" | "57014" | "25P03"), _) => (Code::Unavailable, "it is busy: a long transaction holds it"),
        (_, sqlx::Error::PoolTimedOut) => (Code::Unavailable, "the server does not answer in time"),
        (_, sqlx::Error::Tls(_)) => (Code::FailedPrecondition, NO_TLS),
        // What rustls refuses comes as bytes that make no sense.
        (_, sqlx::Error::Io(error)) if error.kind() == ErrorKind::InvalidData => (Code::FailedPrecondition, NO_TLS),
        (_, sqlx::Error::Io(_)) => (Code::Unavailable, "the server cannot be reached"),
        (_, sqlx::Error::Configuration(_)) => (Code::FailedPrecondition, "the address cannot be used"),
        _ => (Code::Internal, "PostgreSQL refuses the statement"),
    }
}
