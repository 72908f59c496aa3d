//! Which of the replicas that share a store leads.
//!
//! A row of the store names the holder, its term and when that ends by the database's clock. Whoever writes what only
//! the leader may write locks the row of its term first, in the same transaction: after another has taken over, an old
//! leader that wakes up finds no such row and commits nothing. A file has one process, which always leads.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Dialect, Store, Transaction, encode};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::Event;

/// How long a leader that does not renew is still the leader.
const TERM: Duration = Duration::from_secs(9);

/// How often it is to be renewed, and asked for by who stands by.
pub const RENEW: Duration = Duration::from_secs(2);

/// The most requests of the inbox that are taken at once.
const INBOX: i64 = 100;

/// What this process knows of its leading.
#[derive(Debug)]
pub(super) struct Lease {
    /// Names this process among the replicas, and no other before or after it.
    holder: String,
    /// The term it leads in; 0 while it stands by.
    term: AtomicI64,
    /// When the lease was last renewed for certain.
    renewed: Mutex<Instant>,
}

impl Lease {
    pub(super) fn new() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "bellwether" } else { host.trim() };
        let holder = format!("{host}/{}/{:08x}", std::process::id(), rand::random::<u32>());
        Self { holder, term: AtomicI64::new(0), renewed: Mutex::new(Instant::now()) }
    }

    /// How this process is named among the replicas.
    #[cfg(test)]
    pub(super) fn holder(&self) -> &str {
        &self.holder
    }

    fn set(&self, term: i64, asked: Instant) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        self.term.store(term, Ordering::Release);
    }
}

impl Store {
    /// Whether this process leads, as far as can be known without asking: another may lead as soon as it is not so.
    pub fn leads(&self) -> bool {
        match self.dialect {
            Dialect::Sqlite => true,
            Dialect::Postgres => {
                let renewed = *self.lease.renewed.lock().unwrap_or_else(PoisonError::into_inner);
                self.lease.term.load(Ordering::Acquire) != 0 && renewed.elapsed() < TERM
            }
        }
    }

    /// Whether several processes may share this store, of which one leads.
    pub fn is_shared(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    /// Begins to lead where nobody else does, in a new term; gives whether this process leads now. Whoever begins must not go by what it
    /// knew before.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn lead(&self) -> Result<bool> {
        if self.dialect == Dialect::Sqlite {
            return Ok(true);
        }
        let asked = Instant::now();
        let term: Option<i64> = sqlx::query_scalar(
            "INSERT INTO lease (name, holder, term, expires)
             VALUES ('engine', $1, 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $2)
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires, term = lease.term + 1
             WHERE lease.expires < (extract(epoch FROM clock_timestamp()) * 1000)::bigint OR lease.holder = excluded.holder
             RETURNING term",
        )
        .bind(&self.lease.holder)
        .bind(TERM.as_millis() as i64)
        .fetch_optional(&self.pool)
        .await
        .map_err(|e| self.failed("write to", e))?;
        self.lease.set(term.unwrap_or(0), asked);
        Ok(term.is_some())
    }

    /// Leads on; gives false if another has begun to lead. To be called every [`RENEW`].
    ///
    /// # Errors
    /// The store cannot be written. Then this process leads until its term is over by its own clock.
    pub async fn lead_on(&self) -> Result<bool> {
        if self.dialect == Dialect::Sqlite {
            return Ok(true);
        }
        let (asked, term) = (Instant::now(), self.lease.term.load(Ordering::Acquire));
        let held: Option<i64> = sqlx::query_scalar(
            "UPDATE lease SET expires = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1
             WHERE name = 'engine' AND term = $2 AND holder = $3 RETURNING term",
        )
        .bind(TERM.as_millis() as i64)
        .bind(term)
        .bind(&self.lease.holder)
        .fetch_optional(&self.pool)
        .await
        .map_err(|e| self.failed("write to", e))?;
        self.lease.set(held.unwrap_or(0), asked);
        Ok(held.is_some())
    }

    /// Stops leading, so that another may begin at once.
    ///
    /// # Errors
    /// The store cannot be written; the others wait until the term is over.
    pub async fn resign(&self) -> Result<()> {
        let term = self.lease.term.swap(0, Ordering::AcqRel);
        if term != 0 {
            sqlx::query("UPDATE lease SET expires = 0 WHERE name = 'engine' AND term = $1")
                .bind(term)
                .execute(&self.pool)
                .await
                .map_err(|e| self.failed("write to", e))?;
        }
        Ok(())
    }

    /// Who leads, if anybody ever did: host, process and a number of its own.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn leader(&self) -> Result<Option<String>> {
        sqlx::query_scalar("SELECT holder FROM lease WHERE name = 'engine' AND expires > 0")
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))
    }

    /// Keeps others from leading until `transaction` is over; refuses it if another leads already.
    pub(super) async fn hold_lease(&self, transaction: &mut Transaction) -> Result<()> {
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        let term = self.lease.term.load(Ordering::Acquire);
        let held: Option<i64> = sqlx::query_scalar("SELECT term FROM lease WHERE name = 'engine' AND term = $1 FOR UPDATE")
            .bind(term)
            .fetch_optional(&mut **transaction)
            .await
            .map_err(|e| self.failed("write to", e))?;
        if held.is_some() {
            return Ok(());
        }
        // Unless it leads again since.
        let _ = self.lease.term.compare_exchange(term, 0, Ordering::AcqRel, Ordering::Relaxed);
        Err(Error::new(Code::Unavailable, "this replica stands by and another leads; send it there, or try again"))
    }

    /// Leaves events for the replica that leads.
    ///
    /// # Errors
    /// The store cannot be written; then nothing is left.
    pub async fn leave(&self, events: &[Event], now: Timestamp) -> Result<()> {
        sqlx::query("INSERT INTO inbox (id, received, body) VALUES ($1, $2, $3)")
            .bind(format!("{:032x}", rand::random::<u128>()))
            .bind(now.millis())
            .bind(encode(&events)?)
            .execute(&self.pool)
            .await
            .map_err(|e| self.failed("write to", e))?;
        Ok(())
    }

    /// Events that other replicas left, each request with its id, the earliest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn left(&self) -> Result<Vec<(String, Vec<Event>)>> {
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT id, body FROM inbox ORDER BY received, id LIMIT $1")
            .bind(INBOX)
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))?;
        rows.into_iter().map(|(id, body)| Ok((id, self.decode(&body)?))).collect()
    }

    /// Forgets what was left under `id`: it has been taken in.
    ///
    /// # Errors
    /// The store cannot be written, or another leads; then it is taken in again, which changes nothing.
    pub async fn taken(&self, id: &str) -> Result<()> {
        self.write_leading(sqlx::query("DELETE FROM inbox WHERE id = $1").bind(id)).await
    }
}
