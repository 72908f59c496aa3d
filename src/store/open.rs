//! Opening a store: what both databases have in common.

use std::sync::Arc;
use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};

use super::lease::Lease;
use super::{Dialect, Store, postgres, sqlite};
use crate::error::{Code, Error, Result};

/// How long a statement waits for another one's lock, and a connection for the server. Alertmanager gives up on a
/// webhook after some ten seconds, so that the caller still gets our answer.
pub(super) const BUSY: Duration = Duration::from_secs(5);

impl Store {
    /// A pool of at most `connections`, each of which begins with the statements `first`, and waits for locks for `busy`.
    pub(super) fn lazily(
        dialect: Dialect,
        place: &str,
        options: AnyConnectOptions,
        connections: u32,
        busy: Duration,
        first: String,
    ) -> Self {
        let first = Arc::<str>::from(first);
        let pool = AnyPoolOptions::new().max_connections(connections).acquire_timeout(busy + Duration::from_secs(1)).after_connect(
            move |connection, _| {
                let first = Arc::clone(&first);
                Box::pin(async move { begin_with(connection, &first).await })
            },
        );
        let pool = match dialect {
            // A file stays where it is, and in memory the connection is the database.
            Dialect::Sqlite => pool.idle_timeout(None).max_lifetime(None).test_before_acquire(false),
            Dialect::Postgres => pool,
        };
        Self { pool: pool.connect_lazy_with(options), dialect, place: place.into(), lease: Arc::new(Lease::new()) }
    }
}

/// Runs statements that have no parameters.
pub(super) async fn begin_with(connection: &mut AnyConnection, statements: &str) -> sqlx::Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(connection).await?;
    Ok(())
}

/// Brings the schema up to date.
pub(super) async fn migrate(connection: &mut AnyConnection, dialect: Dialect, place: &str) -> Result<()> {
    let migrations = migrations(dialect);
    migrations.run(connection).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => newer(place, version),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => dialect.explain("set up", place, error),
        other => refused(format!("the schema of the store {place} is not ours")).caused_by(other),
    })
}

/// The schemas up to the present one.
pub(super) fn migrations(dialect: Dialect) -> &'static Migrator {
    static SQLITE: Migrator = sqlx::migrate!("src/store/migrations/sqlite");
    static POSTGRES: Migrator = sqlx::migrate!("src/store/migrations/postgres");
    match dialect {
        Dialect::Sqlite => &SQLITE,
        Dialect::Postgres => &POSTGRES,
    }
}

/// The number of the present schema.
pub(super) fn schema() -> i64 {
    migrations(Dialect::Sqlite).iter().map(|m| m.version).max().unwrap_or_default()
}

/// The number of the schema that the store has: 0 before the first.
///
/// # Errors
/// It is newer than this release knows.
pub(super) async fn schema_of(connection: &mut AnyConnection, dialect: Dialect, place: &str) -> Result<i64> {
    let version: i64 = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(connection)
        .await
        .map_err(|e| dialect.explain("read", place, e))?;
    if version > schema() { Err(newer(place, version)) } else { Ok(version) }
}

fn newer(place: &str, version: i64) -> Error {
    let known = schema();
    refused(format!(
        "the store {place} was written by a newer Bellwether (schema {version}, this one knows up to {known}); use that version, or name another store"
    ))
}

pub(super) fn refused(message: String) -> Error {
    Error::new(Code::FailedPrecondition, message)
}

impl Dialect {
    /// What the database's answer to a statement that was to `verb` the store means to the person who runs this.
    pub(super) fn explain(self, verb: &str, place: &str, error: sqlx::Error) -> Error {
        let (code, why) = match (&error, self) {
            (sqlx::Error::PoolClosed, _) => (Code::Unavailable, "it is closed"),
            (error, Self::Sqlite) => sqlite::reason(error),
            (error, Self::Postgres) => postgres::reason(error),
        };
        Error::new(code, format!("cannot {verb} the store {place}: {why}")).caused_by(error)
    }
}
