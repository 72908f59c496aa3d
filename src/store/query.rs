//! Reading incidents and events.

use super::{Store, token};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::{Event, EventKind};
use crate::incident::{Incident, IncidentState};

/// The size of a page when none is asked for, and the largest.
const PAGE: (usize, usize) = (100, 1000);

/// The most events one look at a stretch of time gives.
const MOST_EVENTS: i64 = 10_000;

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// What is on it, newest first.
    pub items: Vec<T>,
    /// The token of the next page; `None` on the last.
    pub next: Option<String>,
}

/// Which incidents are wanted; all where nothing is set.
#[derive(Clone, Debug, Default)]
pub struct IncidentFilter {
    /// Only in this state.
    pub state: Option<IncidentState>,
    /// Only of this service.
    pub service: Option<String>,
}

/// Which events are wanted; all where nothing is set.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only of this kind.
    pub kind: Option<EventKind>,
    /// Only of this service.
    pub service: Option<String>,
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Open incidents.
    pub open: u64,
    /// Resolved incidents.
    pub resolved: u64,
    /// Events.
    pub events: u64,
}

/// A row of a list: its place in the order, and its body.
pub(super) type Placed = (i64, String, String);

impl Store {
    /// The incident `id`; `None` if there is no such.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn incident(&self, id: &str) -> Result<Option<Incident>> {
        let body: Option<String> = sqlx::query_scalar("SELECT body FROM incidents WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))?;
        body.map(|body| self.decode(&body)).transpose()
    }

    /// A page of incidents, the latest beginning first: `size` of them (100 for 0, at most 1000), after the
    /// page that gave `page_token` (the first page when it is empty).
    ///
    /// # Errors
    /// A `page_token` that is not one of this list with this filter; the store cannot be read.
    pub async fn incidents(&self, filter: &IncidentFilter, size: usize, page_token: &str) -> Result<Page<Incident>> {
        let state = filter.state.map(IncidentState::as_str);
        let scope = format!("incidents {state:?} {:?}", filter.service);
        let (size, after) = page(&scope, size, page_token)?;
        let rows: Vec<Placed> = sqlx::query_as(
            "SELECT started, id, body FROM incidents
             WHERE ($1 IS NULL OR state = $1) AND ($2 IS NULL OR service = $2) AND ($3 IS NULL OR (started, id) < ($3, $4))
             ORDER BY started DESC, id DESC LIMIT $5",
        )
        .bind(state)
        .bind(&filter.service)
        .bind(after.as_ref().map(|a| a.0))
        .bind(after.as_ref().map(|a| &a.1))
        .bind(size as i64 + 1)
        .fetch_all(&self.pool)
        .await
        .map_err(|e| self.failed("read", e))?;
        self.cut(&scope, size, rows)
    }

    /// All open incidents, the earliest beginning first: what the engine goes on with after a restart.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open_incidents(&self) -> Result<Vec<Incident>> {
        let rows: Vec<String> = sqlx::query_scalar("SELECT body FROM incidents WHERE state = $1 ORDER BY started, id")
            .bind(IncidentState::Open.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))?;
        rows.iter().map(|body| self.decode(body)).collect()
    }

    /// The incidents that changed at `since` or later, the earliest change first, at most `most`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn changed_since(&self, since: Timestamp, most: usize) -> Result<Vec<Incident>> {
        let rows: Vec<String> = sqlx::query_scalar("SELECT body FROM incidents WHERE updated >= $1 ORDER BY updated, id LIMIT $2")
            .bind(since.millis())
            .bind(most as i64)
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))?;
        rows.iter().map(|body| self.decode(body)).collect()
    }

    /// The incidents that were resolved at `after` or later, the earliest beginning first: those that may open again.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn resolved_since(&self, after: Timestamp) -> Result<Vec<Incident>> {
        let rows: Vec<String> = sqlx::query_scalar("SELECT body FROM incidents WHERE state = $1 AND resolved >= $2 ORDER BY started, id")
            .bind(IncidentState::Resolved.as_str())
            .bind(after.millis())
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))?;
        rows.iter().map(|body| self.decode(body)).collect()
    }

    /// A page of events, the latest beginning first; sizes and tokens as for [`Store::incidents`].
    ///
    /// # Errors
    /// A `page_token` that is not one of this list with this filter; the store cannot be read.
    pub async fn events(&self, filter: &EventFilter, size: usize, page_token: &str) -> Result<Page<Event>> {
        let kind = filter.kind.map(EventKind::as_str);
        let scope = format!("events {kind:?} {:?}", filter.service);
        let (size, after) = page(&scope, size, page_token)?;
        let rows: Vec<Placed> = sqlx::query_as(
            "SELECT starts_at, id, body FROM events
             WHERE ($1 IS NULL OR kind = $1) AND ($2 IS NULL OR service = $2) AND ($3 IS NULL OR (starts_at, id) < ($3, $4))
             ORDER BY starts_at DESC, id DESC LIMIT $5",
        )
        .bind(kind)
        .bind(&filter.service)
        .bind(after.as_ref().map(|a| a.0))
        .bind(after.as_ref().map(|a| &a.1))
        .bind(size as i64 + 1)
        .fetch_all(&self.pool)
        .await
        .map_err(|e| self.failed("read", e))?;
        self.cut(&scope, size, rows)
    }

    /// The events that overlap `from` to `to` (both inclusive), earliest first; the latest 10,000 if there are
    /// more. Without an end an alert lasts, and any other event is an instant.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn events_between(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Event>> {
        let rows: Vec<String> =
            sqlx::query_scalar("SELECT body FROM events WHERE starts_at <= $1 AND until >= $2 ORDER BY starts_at DESC, id DESC LIMIT $3")
                .bind(to.millis())
                .bind(from.millis())
                .bind(MOST_EVENTS)
                .fetch_all(&self.pool)
                .await
                .map_err(|e| self.failed("read", e))?;
        rows.iter().rev().map(|body| self.decode(body)).collect()
    }

    /// The latest deployment of `service` before `before`, as the events of that service tell it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn deployment_before(&self, service: &str, before: Timestamp) -> Result<Option<Event>> {
        let body: Option<String> = sqlx::query_scalar(
            "SELECT body FROM events WHERE kind = $1 AND service = $2 AND starts_at < $3 ORDER BY starts_at DESC, id DESC LIMIT 1",
        )
        .bind(EventKind::Deployment.as_str())
        .bind(service)
        .bind(before.millis())
        .fetch_optional(&self.pool)
        .await
        .map_err(|e| self.failed("read", e))?;
        body.map(|body| self.decode(&body)).transpose()
    }

    /// How much is stored.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn counts(&self) -> Result<Counts> {
        let (open, resolved, events): (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM incidents WHERE state = 'open'), (SELECT count(*) FROM incidents WHERE state = 'resolved'),
                    (SELECT count(*) FROM events)",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(|e| self.failed("read", e))?;
        Ok(Counts { open: open as u64, resolved: resolved as u64, events: events as u64 })
    }

    /// One row more than a page was asked for: it only tells that there is a next page.
    pub(super) fn cut<T: serde::de::DeserializeOwned>(&self, scope: &str, size: usize, mut rows: Vec<Placed>) -> Result<Page<T>> {
        let more = rows.len() > size;
        rows.truncate(size);
        let last = rows.last().filter(|_| more);
        let next = last.map(|(at, id, _)| token::write(scope, Timestamp::from_millis(*at), id));
        let items = rows.iter().map(|(_, _, body)| self.decode(body)).collect::<Result<_>>()?;
        Ok(Page { items, next })
    }
}

pub(super) fn page(scope: &str, size: usize, page_token: &str) -> Result<(usize, Option<(i64, String)>)> {
    let size = if size == 0 { PAGE.0 } else { size.min(PAGE.1) };
    let after = if page_token.is_empty() { None } else { Some(token::read(scope, page_token)?) };
    Ok((size, after))
}
