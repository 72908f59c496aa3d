//! What must survive a restart: incidents, events, findings that are held back, feedback, the outbox, and actions with
//! their log, in one SQLite file or in a PostgreSQL database that several replicas share.
//!
//! **One SQL text serves both.** sqlx' `Any` driver stands between, which knows integers, floats, texts, bytes and
//! truth values. To add a table: a migration under `migrations/sqlite` and its twin of the same name under
//! `migrations/postgres` (`INTEGER` is `BIGINT` there, a truth value `BOOLEAN`, keys that lists are ordered by are
//! `COLLATE "C"`, no `STRICT`), and the table's name in `TABLES`. In statements: parameters `$1, $2…`; in
//! `DO UPDATE SET` a column of the old row is `table.column`; no JSON functions. Write within `self.begin()`
//! (`self.begin_leading()` for what only the engine that leads may write), read truth values as [`Flag`],
//! and bind no `Option<f64>`, which `Any` sends as the wrong type to PostgreSQL.
//!
//! The SQLite file is in WAL mode with `synchronous = NORMAL`: a committed transaction survives the end of the
//! process at any instant, `kill -9` included, because it is in the operating system's hands by then.
//! Only a power failure can take back the last transactions; the file stays consistent even so, and the
//! engine finds again what is still wrong.

mod actions;
pub mod backup;
mod change;
mod feedback;
mod held_back;
pub mod lease;
pub mod models;
mod open;
mod outbox;
mod postgres;
mod query;
mod retention;
mod row;
mod spent;
mod sqlite;
mod token;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyPool};

pub use actions::{Known, LogFilter, RunFilter};
pub use change::Change;
pub use feedback::FeedbackFilter;
pub use outbox::{Backlog, Delivery};
pub use postgres::Database;
pub use query::{Counts, EventFilter, IncidentFilter, Page};
pub use retention::Forgotten;
pub use spent::{Spending, Spent};

use crate::error::{Code, Error, Result};
use row::{Flag, Row};

/// A transaction of either database; dropped without a commit it is undone.
type Transaction = sqlx::Transaction<'static, Any>;

/// What is backed up; a table comes after those that it refers to.
const TABLES: [&str; 9] =
    ["incidents", "events", "deliveries", "held_back", "feedback", "inbox", "action_runs", "action_standings", "action_log"];

/// The store; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    dialect: Dialect,
    /// What errors name: the file, or the database without its password.
    place: Arc<str>,
    lease: Arc<lease::Lease>,
}

/// Which database it is, for the few things that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Sqlite,
    Postgres,
}

impl Store {
    /// Whether the store can be read.
    ///
    /// # Errors
    /// What keeps it from being read; [`Code::Unavailable`] when it is busy.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1 FROM incidents LIMIT 1").fetch_optional(&self.pool).await.map_err(|e| self.failed("read", e))?;
        Ok(())
    }

    /// Waits for what is under way and closes the store; a file then stands alone without a `-wal` beside it.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction that writes.
    async fn begin(&self) -> Result<Transaction> {
        let begun = match self.dialect {
            // IMMEDIATE takes the lock for writing at once: a reader that becomes a writer could not wait for it.
            Dialect::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
            Dialect::Postgres => self.pool.begin().await,
        };
        begun.map_err(|e| self.failed("write to", e))
    }

    /// A transaction that writes what only the engine that leads may write.
    async fn begin_leading(&self) -> Result<Transaction> {
        let mut transaction = self.begin().await?;
        self.hold_lease(&mut transaction).await?;
        Ok(transaction)
    }

    /// Runs one statement that only the engine that leads may run.
    async fn write_leading(&self, statement: Query<'_, Any, AnyArguments>) -> Result<()> {
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin_leading().await?;
        statement.execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// The error of a statement that was to `verb` the store.
    fn failed(&self, verb: &str, error: sqlx::Error) -> Error {
        self.dialect.explain(verb, &self.place, error)
    }

    fn decode<T: DeserializeOwned>(&self, body: &str) -> Result<T> {
        serde_json::from_str(body)
            .map_err(|e| Error::new(Code::Internal, format!("the store {} holds a row that cannot be read", self.place)).caused_by(e))
    }
}

fn encode(body: &impl Serialize) -> Result<String> {
    serde_json::to_string(body).map_err(|e| Error::new(Code::Internal, "cannot write as JSON what is to be stored").caused_by(e))
}

#[cfg(test)]
mod tests;
