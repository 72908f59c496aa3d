//! The store in one SQLite file, or in memory.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _};

use super::backup::Backup;
use super::open::{BUSY, begin_with, migrate, refused};
use super::{Dialect, Store};
use crate::error::{Code, Error, Result};

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
        let place = path.display().to_string();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(folder).await.map_err(|e| {
                refused(format!("cannot create the folder {} for the store: check its permissions", folder.display())).caused_by(e)
            })?;
        }
        if path.is_dir() {
            return Err(refused(format!("the store {} is a folder; name a file in it", path.display())));
        }
        let options = options(path, "rwc")?;
        let first = first(busy);
        let mut connection = connect(&options, &first, &place).await?;
        let prepared = async {
            set_up(&mut connection, &place).await?;
            check(&mut connection, &place).await?;
            migrate(&mut connection, Dialect::Sqlite, &place).await
        };
        let prepared = prepared.await;
        close(connection, &place, prepared).await?;
        Ok(Self::lazily(Dialect::Sqlite, &place, options, 4, busy, first))
    }

    /// Opens the store at `path` for reading it as it is, whatever its schema, while another process may write it.
    ///
    /// # Errors
    /// As [`Store::open`]; it is not made where it is missing.
    pub async fn open_as_it_is(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        if !path.is_file() {
            return Err(refused(format!("there is no store {place}")));
        }
        let options = options(path, "rw")?;
        let first = first(BUSY);
        let mut connection = connect(&options, &first, &place).await?;
        let checked = check(&mut connection, &place).await;
        close(connection, &place, checked).await?;
        Ok(Self::lazily(Dialect::Sqlite, &place, options, 1, BUSY, first))
    }

    /// Makes the store at `path` from a backup. One that is there goes when the new one is whole.
    ///
    /// # Errors
    /// The file cannot be written, or the backup has what this release does not know.
    pub async fn restore(path: &Path, backup: &Backup) -> Result<()> {
        let partial = path.with_extension("restoring");
        let place = path.display().to_string();
        let cannot =
            |e: std::io::Error| refused(format!("cannot replace the store {place}: check the permissions of its folder")).caused_by(e);
        remove(&partial).map_err(cannot)?;
        let written = async {
            let mut connection = connect(&options(&partial, "rwc")?, &first(BUSY), &place).await?;
            let filled = async {
                set_up(&mut connection, &place).await?;
                backup.fill(&mut connection, Dialect::Sqlite, &place).await?;
                check(&mut connection, &place).await
            };
            let filled = filled.await;
            close(connection, &place, filled).await?;
            remove(path).map_err(cannot)?;
            std::fs::rename(&partial, path).map_err(cannot)
        };
        let written = written.await;
        if written.is_err() {
            let _ = remove(&partial);
        }
        written
    }

    /// A store that ends with the process.
    ///
    /// # Errors
    /// SQLite cannot be set up.
    pub async fn in_memory() -> Result<Self> {
        sqlx::any::install_default_drivers();
        let place = ":memory:";
        let options: AnyConnectOptions = "sqlite::memory:".parse().map_err(|e| Dialect::Sqlite.explain("open", place, e))?;
        // One connection, for ever: the database is the connection's.
        let store = Self::lazily(Dialect::Sqlite, place, options, 1, BUSY, String::new());
        let mut connection = store.pool.acquire().await.map_err(|e| store.failed("open", e))?;
        migrate(&mut connection, Dialect::Sqlite, place).await?;
        drop(connection);
        Ok(store)
    }
}

/// What is set for each connection.
fn first(busy: Duration) -> String {
    format!("PRAGMA busy_timeout = {}; PRAGMA synchronous = NORMAL;", busy.as_millis())
}

/// Sets what stays with the file; the first is only possible while there is nothing in it.
async fn set_up(connection: &mut AnyConnection, place: &str) -> Result<()> {
    let failed = |e| Dialect::Sqlite.explain("open", place, e);
    let any: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await.map_err(failed)?;
    if any == 0 {
        begin_with(connection, "PRAGMA auto_vacuum = INCREMENTAL;").await.map_err(failed)?;
    }
    begin_with(connection, "PRAGMA journal_mode = WAL;").await.map_err(failed)
}

/// A connection of its own for the beginning: a pool would try again and not say what is wrong.
async fn connect(options: &AnyConnectOptions, first: &str, place: &str) -> Result<AnyConnection> {
    let failed = |e| Dialect::Sqlite.explain("open", place, e);
    let mut connection = AnyConnection::connect_with(options).await.map_err(failed)?;
    begin_with(&mut connection, first).await.map_err(failed)?;
    Ok(connection)
}

/// Closes the connection whatever came of it.
async fn close(connection: AnyConnection, place: &str, result: Result<()>) -> Result<()> {
    let closed = connection.close().await;
    result?;
    closed.map_err(|e| Dialect::Sqlite.explain("open", place, e))
}

/// Removes a file of SQLite's with what belongs to it, if it is there.
fn remove(path: &Path) -> std::io::Result<()> {
    for suffix in ["-wal", "-shm", ""] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Whether the file is ours and sound.
async fn check(connection: &mut AnyConnection, place: &str) -> Result<()> {
    let failed = |e| Dialect::Sqlite.explain("open", place, e);
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await.map_err(failed)?;
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await.map_err(failed)?;
    if tables > 0 && application != APPLICATION {
        return Err(refused(format!("the store {place} is the database of another program; name another file")));
    }
    let health: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut *connection).await.map_err(failed)?;
    if health != "ok" {
        return Err(
            refused(format!("the store {place} is damaged: restore it from a backup, or move it away to begin anew")).caused_by(health)
        );
    }
    Ok(())
}

/// How to open the file at `path`; `mode` is one of SQLite's for an address.
fn options(path: &Path, mode: &str) -> Result<AnyConnectOptions> {
    sqlx::any::install_default_drivers();
    let Some(text) = path.to_str() else {
        return Err(refused(format!("the path of the store {} is not UTF-8; name another file", path.display())));
    };
    // Every special character is encoded, so that nothing of the path is taken for a part of an address.
    let mut address = "sqlite:".to_owned();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            address.push(byte.into());
        } else {
            // Writing to a text cannot fail.
            let _ = write!(address, "%{byte:02X}");
        }
    }
    let url = reqwest::Url::parse(&format!("{address}?mode={mode}"))
        .map_err(|e| Error::new(Code::Internal, format!("the path of the store {} makes no address", path.display())).caused_by(e))?;
    AnyConnectOptions::from_url(&url).map_err(|e| Dialect::Sqlite.explain("open", text, e))
}

/// What SQLite's answer means to the person who runs this.
pub(super) fn reason(error: &sqlx::Error) -> (Code, &'static str) {
    // The low byte is the primary result code: https://sqlite.org/rescode.html
    let primary = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<i32>().ok())
        .map(|code| code & 0xff);
    match (primary, error) {
        (Some(5 | 6), _) | (_, sqlx::Error::PoolTimedOut) => {
            (Code::Unavailable, "it is busy: another process or a long transaction holds it")
        }
        (Some(10), _) => (Code::Unavailable, "the disk answers with an error"),
        (Some(13), _) => (Code::Unavailable, "the disk is full"),
        (Some(3 | 8 | 14), _) => (Code::FailedPrecondition, "check the permissions of the file and of its folder"),
        (Some(11 | 26), _) => {
            (Code::FailedPrecondition, "it is damaged or no SQLite database; restore it from a backup, or move it away to begin anew")
        }
        _ => (Code::Internal, "SQLite refuses the statement"),
    }
}
