//! Opening the file, and saying clearly why it cannot be used.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::Store;
use crate::error::{Code, Error, Result};

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations");

/// How long a statement waits for another one's lock. Alertmanager gives up on a webhook after some
/// ten seconds, so that the caller still gets our answer.
const BUSY: Duration = Duration::from_secs(5);

/// `application_id` of our files, as the first migration sets it.
const APPLICATION: i64 = 0x4257_4C52;

impl Store {
    /// Opens the store at `path`, creates it and its folder where they are missing, and brings an older
    /// schema up to date.
    ///
    /// # Errors
    /// A folder that cannot be written, a file that is damaged, of another program or of a newer version:
    /// [`Code::FailedPrecondition`]. A file that stays locked: [`Code::Unavailable`]. The path is named.
    pub async fn open(path: &Path) -> Result<Self> {
        Self::open_within(path, BUSY).await
    }

    /// As [`Store::open`], with another time to wait for locks.
    pub(super) async fn open_within(path: &Path, busy: Duration) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(folder).await.map_err(|e| {
                refused(format!("cannot create the folder {} for the store: check its permissions", folder.display())).caused_by(e)
            })?;
        }
        if path.is_dir() {
            return Err(refused(format!("the store {} is a folder; name a file in it", path.display())));
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(busy)
            .foreign_keys(true);
        Self::connect(options, 4, busy, &path.display().to_string()).await
    }

    /// A store that ends with the process.
    ///
    /// # Errors
    /// SQLite cannot be set up.
    pub async fn in_memory() -> Result<Self> {
        // One connection, for ever: the database is the connection's.
        Self::connect(SqliteConnectOptions::new().filename(":memory:").foreign_keys(true), 1, BUSY, ":memory:").await
    }

    async fn connect(options: SqliteConnectOptions, connections: u32, busy: Duration, path: &str) -> Result<Self> {
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(busy + Duration::from_secs(1))
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(|e| explain("open", path, e))?;
        let store = Self { pool, path: path.into() };
        match store.check_and_migrate().await {
            Ok(()) => Ok(store),
            Err(error) => {
                store.close().await;
                Err(error)
            }
        }
    }

    async fn check_and_migrate(&self) -> Result<()> {
        let tables: i64 =
            sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&self.pool).await.map_err(|e| self.failed("open", e))?;
        let application: i64 =
            sqlx::query_scalar("PRAGMA application_id").fetch_one(&self.pool).await.map_err(|e| self.failed("open", e))?;
        if tables > 0 && application != APPLICATION {
            return Err(refused(format!("the store {} is the database of another program; name another file", self.path)));
        }
        let health: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&self.pool).await.map_err(|e| self.failed("open", e))?;
        if health != "ok" {
            return Err(refused(format!("the store {} is damaged: {DAMAGED}", self.path)).caused_by(health));
        }
        MIGRATIONS.run(&self.pool).await.map_err(|error| match error {
            MigrateError::VersionMissing(version) => {
                let known = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or_default();
                refused(format!(
                    "the store {} was written by a newer Bellwether (schema {version}, this one knows up to {known}); use that version, or name another file",
                    self.path
                ))
            }
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => self.failed("set up", error),
            other => refused(format!("the schema of the store {} is not ours", self.path)).caused_by(other),
        })
    }
}

const DAMAGED: &str = "restore it from a backup, or move it away to begin anew";

fn refused(message: String) -> Error {
    Error::new(Code::FailedPrecondition, message)
}

/// What SQLite's answer means to the person who runs this.
pub(super) fn explain(verb: &str, path: &str, error: sqlx::Error) -> Error {
    // The low byte is the primary result code: https://sqlite.org/rescode.html
    let primary = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<i32>().ok())
        .map(|code| code & 0xff);
    let (code, why) = match (primary, &error) {
        (Some(5 | 6), _) | (_, sqlx::Error::PoolTimedOut) => {
            (Code::Unavailable, "it is busy: another process or a long transaction holds it")
        }
        (Some(10), _) => (Code::Unavailable, "the disk answers with an error"),
        (Some(13), _) => (Code::Unavailable, "the disk is full"),
        (Some(3 | 8 | 14), _) => (Code::FailedPrecondition, "check the permissions of the file and of its folder"),
        (Some(11 | 26), _) => {
            return refused(format!("cannot {verb} the store {path}: it is damaged or no SQLite database; {DAMAGED}")).caused_by(error);
        }
        (_, sqlx::Error::PoolClosed) => (Code::Unavailable, "it is closed"),
        _ => (Code::Internal, "SQLite refuses the statement"),
    };
    Error::new(code, format!("cannot {verb} the store {path}: {why}")).caused_by(error)
}
