//! Findings that are held back, by guards or by what was learned from feedback.

use super::{Store, encode};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::finding::HeldBack;

impl Store {
    /// Writes `held`, new or changed, and forgets the findings `released`, which are held back no more: all or nothing.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy; then nothing is written.
    pub async fn hold_back(&self, held: &[HeldBack], released: &[String]) -> Result<()> {
        if held.is_empty() && released.is_empty() {
            return Ok(());
        }
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin_leading().await?;
        for one in held {
            sqlx::query(
                "INSERT INTO held_back (id, monitor, onset, last_seen, ended, body) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (id) DO UPDATE SET last_seen = excluded.last_seen, ended = excluded.ended, body = excluded.body",
            )
            .bind(&one.finding.id)
            .bind(&one.finding.monitor)
            .bind(one.finding.onset.millis())
            .bind(one.finding.last_seen.millis())
            .bind(one.finding.ended.map(Timestamp::millis))
            .bind(encode(one)?)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        }
        for id in released {
            sqlx::query("DELETE FROM held_back WHERE id = $1").bind(id).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// The findings of `monitor` that are or were held back until they ended, the latest first, at most `most`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn held_back(&self, monitor: &str, most: usize) -> Result<Vec<HeldBack>> {
        let rows: Vec<String> = sqlx::query_scalar("SELECT body FROM held_back WHERE monitor = $1 ORDER BY onset DESC, id DESC LIMIT $2")
            .bind(monitor)
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))?;
        rows.iter().map(|body| self.decode(body)).collect()
    }

    /// Those of them that last, the earliest first: what an evaluation goes on with after a restart.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open_held_back(&self, monitor: &str) -> Result<Vec<HeldBack>> {
        let rows: Vec<String> = sqlx::query_scalar("SELECT body FROM held_back WHERE monitor = $1 AND ended IS NULL ORDER BY onset, id")
            .bind(monitor)
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))?;
        rows.iter().map(|body| self.decode(body)).collect()
    }
}
