//! What must survive a restart: incidents, events, findings that guards hold back, and the outbox, in one SQLite file.
//!
//! The file is in WAL mode with `synchronous = NORMAL`: a committed transaction survives the end of the
//! process at any instant, `kill -9` included, because it is in the operating system's hands by then.
//! Only a power failure can take back the last transactions; the file stays consistent even so, and the
//! engine finds again what is still wrong.

mod change;
mod held_back;
pub mod models;
mod open;
mod outbox;
mod query;
mod spent;
mod token;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::SqlitePool;

pub use change::Change;
pub use outbox::{Backlog, Delivery};
pub use query::{Counts, EventFilter, IncidentFilter, Page};
pub use spent::{Spending, Spent};

use crate::error::{Code, Error, Result};

/// The store; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    path: Arc<str>,
}

impl Store {
    /// Whether the file can be read.
    ///
    /// # Errors
    /// What keeps it from being read; [`Code::Unavailable`] when it is busy.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1 FROM incidents LIMIT 1").fetch_optional(&self.pool).await.map_err(|e| self.failed("read", e))?;
        Ok(())
    }

    /// Waits for what is under way and closes the file, which then stands alone without a `-wal` beside it.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The error of a statement that was to `verb` the store.
    fn failed(&self, verb: &str, error: sqlx::Error) -> Error {
        open::explain(verb, &self.path, error)
    }

    fn decode<T: DeserializeOwned>(&self, body: &str) -> Result<T> {
        serde_json::from_str(body)
            .map_err(|e| Error::new(Code::Internal, format!("the store {} holds a row that cannot be read", self.path)).caused_by(e))
    }
}

fn encode(body: &impl Serialize) -> Result<String> {
    serde_json::to_string(body).map_err(|e| Error::new(Code::Internal, "cannot write as JSON what is to be stored").caused_by(e))
}

#[cfg(test)]
mod tests;
