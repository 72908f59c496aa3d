//! What people said of incidents.

use super::query::{Placed, page};
use super::{Page, Store, encode};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::feedback::Feedback;

/// So many are kept, the newest: fifty a day for a year.
const MOST: i64 = 20_000;

/// Which feedback is wanted; all where nothing is set.
#[derive(Clone, Debug, Default)]
pub struct FeedbackFilter {
    /// Only on this incident.
    pub incident: Option<String>,
    /// Only what is in force, not what was taken back.
    pub in_force: bool,
}

impl Store {
    /// Writes `feedback`, new or changed, and forgets the oldest of more than 20,000.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy; then nothing is written.
    pub async fn put_feedback(&self, feedback: &[Feedback]) -> Result<()> {
        self.put_feedback_of(feedback, MOST).await
    }

    /// As [`Store::put_feedback`], with another number that is kept.
    pub(super) async fn put_feedback_of(&self, feedback: &[Feedback], most: i64) -> Result<()> {
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin().await?;
        for one in feedback {
            sqlx::query(
                "INSERT INTO feedback (id, incident, given_at, undone_at, body) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (id) DO UPDATE SET given_at = excluded.given_at, undone_at = excluded.undone_at, body = excluded.body",
            )
            .bind(&one.id)
            .bind(&one.incident)
            .bind(one.given_at.millis())
            .bind(one.undone_at.map(Timestamp::millis))
            .bind(encode(one)?)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        }
        sqlx::query("DELETE FROM feedback WHERE id NOT IN (SELECT id FROM feedback ORDER BY given_at DESC, id DESC LIMIT $1)")
            .bind(most)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// The feedback `id`; `None` if there is no such.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn one_feedback(&self, id: &str) -> Result<Option<Feedback>> {
        let body: Option<String> = sqlx::query_scalar("SELECT body FROM feedback WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))?;
        body.map(|body| self.decode(&body)).transpose()
    }

    /// A page of feedback, the latest first; sizes and tokens as for [`Store::incidents`].
    ///
    /// # Errors
    /// A `page_token` that is not one of this list with this filter; the store cannot be read.
    pub async fn feedback(&self, filter: &FeedbackFilter, size: usize, page_token: &str) -> Result<Page<Feedback>> {
        let FeedbackFilter { incident, in_force } = filter;
        let scope = format!("feedback {incident:?} {in_force}");
        let (size, after) = page(&scope, size, page_token)?;
        let (at, id) = after.unwrap_or((i64::MAX, String::new()));
        let rows: Vec<Placed> = sqlx::query_as(
            "SELECT given_at, id, body FROM feedback
             WHERE (given_at < $1 OR (given_at = $1 AND id < $2)) AND ($3 = '' OR incident = $3) AND ($4 = 0 OR undone_at IS NULL)
             ORDER BY given_at DESC, id DESC LIMIT $5",
        )
        .bind(at)
        .bind(id)
        .bind(incident.as_deref().unwrap_or_default())
        .bind(i64::from(*in_force))
        .bind(size as i64 + 1)
        .fetch_all(&self.pool)
        .await
        .map_err(|e| self.failed("read", e))?;
        self.cut(&scope, size, rows)
    }

    /// All feedback in force: what is learned from.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn feedback_in_force(&self) -> Result<Vec<Feedback>> {
        let rows: Vec<String> = sqlx::query_scalar("SELECT body FROM feedback WHERE undone_at IS NULL ORDER BY given_at, id")
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))?;
        rows.iter().map(|body| self.decode(body)).collect()
    }
}
