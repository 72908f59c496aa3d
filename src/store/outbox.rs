//! The outbox: one row per sink and incident, written with the incident and before anything is sent.
//!
//! A row is resent while its alert fires and leaves when the resolved alert was delivered. A crash between
//! sending and noting it makes the alert go out once more, which Alertmanager sees as the same alert.

use sqlx::Row as _;

use super::{Flag, Row, Store};
use crate::alert::Alert;
use crate::clock::Timestamp;
use crate::error::Result;

/// What a sink is still to be told of an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The sink's name.
    pub sink: String,
    /// The incident's id.
    pub incident: String,
    /// What it is told.
    pub alert: Alert,
    /// Raised whenever the alert changes.
    pub version: i64,
    /// When it is to be sent next.
    pub next_send: Timestamp,
    /// Failed attempts since the last one that succeeded.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was last delivered; `None` if never.
    pub delivered_at: Option<Timestamp>,
    /// Whether the sink refuses this version of the alert as invalid; then it waits for the next version.
    pub rejected: bool,
}

/// How much of the outbox a sink has before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Alerts that the sink does not have in their present version.
    pub pending: u64,
    /// Alerts that it refuses as invalid.
    pub rejected: u64,
    /// When the next one is to be sent; `None` when there is none.
    pub next_send: Option<Timestamp>,
}

impl Store {
    /// What `sink` is to be sent at `now`, the longest due first, at most `limit`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn due(&self, sink: &str, now: Timestamp, limit: usize) -> Result<Vec<Delivery>> {
        let rows = sqlx::query(
            "SELECT * FROM deliveries WHERE sink = $1 AND NOT rejected AND next_send <= $2 ORDER BY next_send, incident LIMIT $3",
        )
        .bind(sink)
        .bind(now.millis())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(|e| self.failed("read", e))?;
        rows.iter().map(|row| self.delivery(row)).collect()
    }

    /// What every sink is still to be told of `incident`, or refuses to be told: for showing it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn deliveries(&self, incident: &str) -> Result<Vec<Delivery>> {
        let rows = sqlx::query("SELECT * FROM deliveries WHERE incident = $1 ORDER BY sink")
            .bind(incident)
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))?;
        rows.iter().map(|row| self.delivery(row)).collect()
    }

    /// How much `sink` has before it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn backlog(&self, sink: &str) -> Result<Backlog> {
        let (pending, rejected, next): (i64, i64, Option<i64>) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE NOT rejected AND delivered_version <> version), count(*) FILTER (WHERE rejected),
                    min(next_send) FILTER (WHERE NOT rejected) FROM deliveries WHERE sink = $1",
        )
        .bind(sink)
        .fetch_one(&self.pool)
        .await
        .map_err(|e| self.failed("read", e))?;
        Ok(Backlog { pending: pending as u64, rejected: rejected as u64, next_send: next.map(Timestamp::from_millis) })
    }

    /// Notes that these were delivered at `now` and, while they fire, are to be sent again at `next_send`.
    /// One whose resolved alert this was leaves the outbox. One that changed meanwhile stays due.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy; then nothing is noted.
    pub async fn delivered(&self, deliveries: &[&Delivery], now: Timestamp, next_send: Timestamp) -> Result<()> {
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin_leading().await?;
        for d in deliveries {
            sqlx::query(
                "UPDATE deliveries SET delivered_version = $3, delivered_at = $4, attempts = 0, last_error = NULL,
                     next_send = CASE WHEN version = $3 THEN $5 ELSE $4 END
                 WHERE sink = $1 AND incident = $2",
            )
            .bind(&d.sink)
            .bind(&d.incident)
            .bind(d.version)
            .bind(now.millis())
            .bind(next_send.millis())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
            sqlx::query("DELETE FROM deliveries WHERE sink = $1 AND incident = $2 AND version = $3 AND resolved")
                .bind(&d.sink)
                .bind(&d.incident)
                .bind(d.version)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// Notes that these could not be sent because of `error`, each with the time of its next attempt.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy; then nothing is noted.
    pub async fn undelivered(&self, deliveries: &[(&Delivery, Timestamp)], error: &str) -> Result<()> {
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin_leading().await?;
        for (d, next_send) in deliveries {
            sqlx::query("UPDATE deliveries SET attempts = attempts + 1, last_error = $1, next_send = $2 WHERE sink = $3 AND incident = $4")
                .bind(error)
                .bind(next_send.millis())
                .bind(&d.sink)
                .bind(&d.incident)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// Notes that the sink refuses this version of the alert as invalid. It is kept with the `error`, and
    /// sent again only when it changes.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy; then nothing is noted.
    pub async fn rejected(&self, delivery: &Delivery, error: &str) -> Result<()> {
        let statement = sqlx::query(
            "UPDATE deliveries SET rejected = TRUE, attempts = attempts + 1, last_error = $1
             WHERE sink = $2 AND incident = $3 AND version = $4",
        );
        self.write_leading(statement.bind(error).bind(&delivery.sink).bind(&delivery.incident).bind(delivery.version)).await
    }

    /// Makes everything for `sink` due at `now` at the latest: at a start, and when the clock was set back.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy.
    pub async fn hasten(&self, sink: &str, now: Timestamp) -> Result<()> {
        let statement = sqlx::query("UPDATE deliveries SET next_send = $2 WHERE sink = $1 AND next_send > $2");
        self.write_leading(statement.bind(sink).bind(now.millis())).await
    }

    /// Forgets what sinks were to be told that are no longer among `sinks`.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy.
    pub async fn keep_sinks(&self, sinks: &[&str]) -> Result<()> {
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin_leading().await?;
        let known: Vec<String> =
            sqlx::query_scalar("SELECT DISTINCT sink FROM deliveries").fetch_all(&mut *transaction).await.map_err(failed)?;
        for gone in known.iter().filter(|sink| !sinks.contains(&sink.as_str())) {
            sqlx::query("DELETE FROM deliveries WHERE sink = $1").bind(gone).execute(&mut *transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    fn delivery(&self, row: &Row) -> Result<Delivery> {
        let alert: String = row.try_get("alert").map_err(|e| self.failed("read", e))?;
        let alert = self.decode(&alert)?;
        let read = || -> sqlx::Result<Delivery> {
            Ok(Delivery {
                alert,
                sink: row.try_get("sink")?,
                incident: row.try_get("incident")?,
                version: row.try_get("version")?,
                next_send: Timestamp::from_millis(row.try_get("next_send")?),
                attempts: row.try_get::<i64, _>("attempts")?.try_into().unwrap_or(u32::MAX),
                last_error: row.try_get("last_error")?,
                delivered_at: row.try_get::<Option<i64>, _>("delivered_at")?.map(Timestamp::from_millis),
                rejected: row.try_get::<Flag, _>("rejected")?.0,
            })
        };
        read().map_err(|e| self.failed("read", e))
    }
}
