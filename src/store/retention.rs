//! Forgetting what is old, and what there is no room for.

use sqlx::AssertSqlSafe;

use super::open::begin_with;
use super::{Dialect, Store, TABLES, Transaction};
use crate::clock::{DurationMs, Timestamp};
use crate::error::Result;
use crate::incident::IncidentState;

/// The share of what may be forgotten that goes at once, and the least number.
const SHARE: i64 = 20;
const LEAST: i64 = 20;

/// A file of which more than this share is free pages is made smaller, if it is more than a megabyte.
const FREE: i64 = 4;
const MUCH: i64 = 1 << 20;

/// Tables that take more than so many times their rows on disk, and so much more, are written anew.
const SPARSE: i64 = 3;
const MUCH_ON_A_SERVER: i64 = 64 << 20;

/// How much was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Incidents.
    pub incidents: u64,
    /// Events.
    pub events: u64,
}

impl Store {
    /// Forgets the incidents that were resolved before `before`, what sinks had still to be told of them,
    /// the events that ended before it, and findings held back that were last seen before it. An alert that began
    /// before it and never ended goes too: one that still fires comes again with the next webhook.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy.
    pub async fn prune(&self, before: Timestamp) -> Result<Forgotten> {
        let failed = |e| self.failed("prune", e);
        let mut transaction = self.begin_leading().await?;
        let mut gone = forget(&mut transaction, before).await.map_err(failed)?;
        let stale = sqlx::query("DELETE FROM events WHERE starts_at < $1 AND ends_at IS NULL");
        gone.events += stale.bind(before.millis()).execute(&mut *transaction).await.map_err(failed)?.rows_affected();
        sqlx::query("DELETE FROM held_back WHERE last_seen < $1").bind(before.millis()).execute(&mut *transaction).await.map_err(failed)?;
        self.prune_actions(&mut transaction, before).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(gone)
    }

    /// Forgets what has been over for longest until the store has at most `most` bytes. What is open stays, so that
    /// it may have more than that in the end.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy.
    pub async fn shrink(&self, most: u64) -> Result<Forgotten> {
        let failed = |e| self.failed("prune", e);
        let mut gone = Forgotten::default();
        while self.size().await? > most {
            let mut transaction = self.begin_leading().await?;
            let over: i64 = sqlx::query_scalar(
                "SELECT (SELECT count(*) FROM incidents WHERE state = $1) + (SELECT count(*) FROM events WHERE until < $2)
                      + (SELECT count(*) FROM held_back WHERE ended IS NOT NULL)",
            )
            .bind(IncidentState::Resolved.as_str())
            .bind(i64::MAX)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
            if over == 0 {
                break;
            }
            let until: i64 = sqlx::query_scalar(
                "SELECT over_at FROM (SELECT resolved AS over_at FROM incidents WHERE state = $1
                                      UNION ALL SELECT until FROM events WHERE until < $2
                                      UNION ALL SELECT ended FROM held_back WHERE ended IS NOT NULL) AS all_over
                 ORDER BY over_at LIMIT 1 OFFSET $3",
            )
            .bind(IncidentState::Resolved.as_str())
            .bind(i64::MAX)
            .bind((over / SHARE).max(LEAST).min(over) - 1)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
            let more = forget(&mut transaction, Timestamp::from_millis(until) + DurationMs::from_millis(1)).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            gone.incidents += more.incidents;
            gone.events += more.events;
        }
        Ok(gone)
    }

    /// The bytes that rows and indexes take; space that was freed and can be used again is not counted.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn size(&self) -> Result<u64> {
        let text = match self.dialect {
            Dialect::Sqlite => "SELECT (page_count - freelist_count) * page_size
                                FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
                .to_owned(),
            // On disk a table keeps the space of rows that are gone, so the rows are measured, each with its head.
            Dialect::Postgres => {
                let rows = TABLES.map(|table| format!("(SELECT coalesce(sum(pg_column_size(t.*) + 28), 0) FROM {table} t)"));
                format!("SELECT ({})::bigint", rows.join(" + "))
            }
        };
        let bytes: i64 = sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(&self.pool).await.map_err(|e| self.failed("read", e))?;
        Ok(bytes as u64)
    }

    /// Gives space that was freed back to the operating system. A file from before this was possible is written anew once.
    ///
    /// # Errors
    /// The store is busy.
    pub async fn give_back(&self) -> Result<()> {
        let failed = |e| self.failed("shrink", e);
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        match self.dialect {
            Dialect::Sqlite => {
                let (free, pages, size): (i64, i64, i64) = sqlx::query_as(
                    "SELECT freelist_count, page_count, page_size
                     FROM pragma_freelist_count(), pragma_page_count(), pragma_page_size()",
                )
                .fetch_one(&mut *connection)
                .await
                .map_err(failed)?;
                if free * FREE < pages || free * size < MUCH {
                    return Ok(());
                }
                let vacuum: i64 = sqlx::query_scalar("PRAGMA auto_vacuum").fetch_one(&mut *connection).await.map_err(failed)?;
                // 2 is INCREMENTAL. It can only be set by writing everything anew.
                let free_pages = if vacuum == 2 { "PRAGMA incremental_vacuum;" } else { "PRAGMA auto_vacuum = INCREMENTAL; VACUUM;" };
                begin_with(&mut connection, free_pages).await.map_err(failed)?;
                // The file itself becomes shorter when the log has been moved into it.
                begin_with(&mut connection, "PRAGMA wal_checkpoint(TRUNCATE);").await.map_err(failed)?;
            }
            Dialect::Postgres => {
                drop(connection);
                let on_disk = TABLES.map(|table| format!("pg_total_relation_size('{table}')")).join(" + ");
                let on_disk: i64 =
                    sqlx::query_scalar(AssertSqlSafe(format!("SELECT {on_disk}"))).fetch_one(&self.pool).await.map_err(failed)?;
                let excess = on_disk - SPARSE * self.size().await? as i64;
                // FULL writes the tables anew, while which nobody can read them: only where it pays.
                let full = if excess > MUCH_ON_A_SERVER { "(FULL, ANALYZE)" } else { "(ANALYZE)" };
                let vacuum = format!("VACUUM {full} {}", TABLES.join(", "));
                let mut connection = self.pool.acquire().await.map_err(failed)?;
                // It cannot be in a transaction, where the setting would end with it.
                begin_with(&mut connection, "SET statement_timeout = '10min'").await.map_err(failed)?;
                let vacuumed = begin_with(&mut connection, &vacuum).await;
                begin_with(&mut connection, "SET statement_timeout = '30s'").await.map_err(failed)?;
                vacuumed.map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Deletes what was over before `before`.
async fn forget(transaction: &mut Transaction, before: Timestamp) -> sqlx::Result<Forgotten> {
    let incidents = sqlx::query("DELETE FROM incidents WHERE state = $1 AND resolved < $2")
        .bind(IncidentState::Resolved.as_str())
        .bind(before.millis())
        .execute(&mut **transaction)
        .await?;
    let events = sqlx::query("DELETE FROM events WHERE until < $1").bind(before.millis()).execute(&mut **transaction).await?;
    sqlx::query("DELETE FROM held_back WHERE ended < $1").bind(before.millis()).execute(&mut **transaction).await?;
    Ok(Forgotten { incidents: incidents.rows_affected(), events: events.rows_affected() })
}
