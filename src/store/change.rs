//! Writing: what one evaluation or one request changes, and forgetting what is old.

use super::{Store, Transaction, encode};
use crate::alert::Alert;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::{Event, EventKind};
use crate::incident::{Incident, IncidentState};
use crate::series::SeriesKey;

/// What changes at one instant; it is written all or not at all.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// When: new and changed alerts are due from then on.
    pub at: Timestamp,
    /// Incidents, new or changed.
    pub incidents: Vec<Incident>,
    /// Events, new or changed.
    pub events: Vec<Event>,
    /// Incident ids, each with its alert as it now is; the incident is in `incidents` or stored already.
    pub alerts: Vec<(String, Alert)>,
    /// The sinks that are to get the alerts.
    pub sinks: Vec<String>,
}

impl Store {
    /// Writes `change` in one transaction: the incidents, the events, and for each sink what it is to be told.
    ///
    /// An alert that did not change leaves the outbox as it is. A resolved alert is told even to a sink that
    /// never confirmed it as firing: an attempt whose answer was lost may have arrived all the same, and
    /// Alertmanager notifies nobody of a resolved alert that it did not notify before. Once the incident was
    /// stored as resolved, committing it again tells nothing anew.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy; then nothing is written.
    pub async fn commit(&self, change: &Change) -> Result<()> {
        if change.incidents.is_empty() && change.events.is_empty() && change.alerts.is_empty() {
            return Ok(());
        }
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin_leading().await?;
        let mut told = Vec::with_capacity(change.alerts.len());
        for (incident, _) in &change.alerts {
            let state: Option<String> = sqlx::query_scalar("SELECT state FROM incidents WHERE id = $1")
                .bind(incident)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(failed)?;
            told.push(state.as_deref() == Some(IncidentState::Resolved.as_str()));
        }
        for incident in &change.incidents {
            put_incident(&mut transaction, incident, &encode(incident)?).await.map_err(failed)?;
        }
        for event in &change.events {
            self.put_event(&mut transaction, event).await?;
        }
        for ((incident, alert), told) in change.alerts.iter().zip(told) {
            let body = encode(alert)?;
            for sink in &change.sinks {
                enqueue(&mut transaction, sink, incident, alert, &body, told, change.at).await.map_err(failed)?;
            }
        }
        transaction.commit().await.map_err(failed)
    }

    /// Writes an event. An ongoing alert is one occurrence under one row: the same alert with an earlier
    /// beginning is that occurrence (Alertmanager merges those of two Prometheus replicas), with a later
    /// beginning it is a new one that ends the old.
    async fn put_event(&self, transaction: &mut Transaction, event: &Event) -> Result<()> {
        let failed = |e| self.failed("write to", e);
        if let Some(subject) = subject(event) {
            let ongoing: Vec<String> = sqlx::query_scalar("SELECT body FROM events WHERE ends_at IS NULL AND subject = $1 AND id <> $2")
                .bind(subject)
                .bind(&event.id)
                .fetch_all(&mut **transaction)
                .await
                .map_err(failed)?;
            for body in ongoing {
                let mut earlier: Event = self.decode(&body)?;
                if earlier.starts_at < event.starts_at {
                    earlier.ends_at = Some(event.starts_at);
                    upsert_event(transaction, &earlier, &encode(&earlier)?).await.map_err(failed)?;
                } else if event.ends_at.is_none_or(|end| end >= earlier.starts_at) {
                    sqlx::query("DELETE FROM events WHERE id = $1").bind(&earlier.id).execute(&mut **transaction).await.map_err(failed)?;
                }
            }
        }
        upsert_event(transaction, event, &encode(event)?).await.map_err(failed)
    }

    /// Forgets the incidents that were resolved before `before`, what sinks had still to be told of them,
    /// the events that ended before it, and findings held back that were last seen before it. An alert that began before it and never ended goes too: one
    /// that still fires comes again with the next webhook. Gives the number of incidents and events.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy.
    pub async fn prune(&self, before: Timestamp) -> Result<(u64, u64)> {
        let failed = |e| self.failed("prune", e);
        let mut transaction = self.begin_leading().await?;
        let incidents = sqlx::query("DELETE FROM incidents WHERE state = $1 AND resolved < $2")
            .bind(IncidentState::Resolved.as_str())
            .bind(before.millis())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        let events = sqlx::query("DELETE FROM events WHERE starts_at < $1 AND coalesce(ends_at, starts_at) < $1")
            .bind(before.millis())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query("DELETE FROM held_back WHERE last_seen < $1").bind(before.millis()).execute(&mut *transaction).await.map_err(failed)?;
        self.prune_actions(&mut transaction, before).await?;
        transaction.commit().await.map_err(failed)?;
        Ok((incidents.rows_affected(), events.rows_affected()))
    }
}

async fn put_incident(transaction: &mut Transaction, incident: &Incident, body: &str) -> sqlx::Result<()> {
    // Not REPLACE, which would delete the old row and its deliveries with it.
    sqlx::query(
        "INSERT INTO incidents (id, state, service, started, updated, resolved, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, service = excluded.service, started = excluded.started,
             updated = excluded.updated, resolved = excluded.resolved, body = excluded.body",
    )
    .bind(&incident.id)
    .bind(incident.state.as_str())
    .bind(&incident.service)
    .bind(incident.started.millis())
    .bind(incident.updated.millis())
    .bind(incident.resolved.map(Timestamp::millis))
    .bind(body)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn upsert_event(transaction: &mut Transaction, event: &Event, body: &str) -> sqlx::Result<()> {
    let ends_at = event.ends_at.map(Timestamp::millis);
    let until = ends_at.unwrap_or(if event.kind == EventKind::Alert { i64::MAX } else { event.starts_at.millis() });
    sqlx::query(
        "INSERT INTO events (id, kind, service, subject, starts_at, ends_at, until, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, service = excluded.service, subject = excluded.subject,
             starts_at = excluded.starts_at, ends_at = excluded.ends_at, until = excluded.until, body = excluded.body",
    )
    .bind(&event.id)
    .bind(event.kind.as_str())
    .bind(&event.service)
    .bind(subject(event))
    .bind(event.starts_at.millis())
    .bind(ends_at)
    .bind(until)
    .bind(body)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// What an alert is about; nothing for other events, whose id says all.
fn subject(event: &Event) -> Option<String> {
    let labels = || event.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
    (event.kind == EventKind::Alert).then(|| format!("{}/{}", event.source, SeriesKey::new(labels()).fingerprint()))
}

/// A changed alert is due at once, except for a sink that is being retried: its own backoff goes on.
async fn enqueue(
    transaction: &mut Transaction,
    sink: &str,
    incident: &str,
    alert: &Alert,
    body: &str,
    told: bool,
    at: Timestamp,
) -> sqlx::Result<()> {
    let resolved = alert.ends_at.is_some();
    sqlx::query(
        "INSERT INTO deliveries (sink, incident, alert, resolved, next_send)
         SELECT $1, $2, $3, $4, $5 WHERE $6 OR EXISTS (SELECT 1 FROM deliveries WHERE sink = $1 AND incident = $2)
         ON CONFLICT (sink, incident) DO UPDATE SET alert = excluded.alert, resolved = excluded.resolved, version = deliveries.version + 1,
             next_send = CASE WHEN deliveries.attempts > 0 AND NOT deliveries.rejected THEN deliveries.next_send ELSE excluded.next_send END,
             attempts = CASE WHEN deliveries.rejected THEN 0 ELSE deliveries.attempts END, rejected = FALSE
         WHERE deliveries.alert <> excluded.alert",
    )
    .bind(sink)
    .bind(incident)
    .bind(body)
    .bind(resolved)
    .bind(at.millis())
    .bind(!(told && resolved))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
