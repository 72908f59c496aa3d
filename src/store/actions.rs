//! Runs of actions, what is remembered of each action, and the log.
//!
//! Every write that changes a run names the version of it that was read. Of two that decide at once one finds that it was
//! overtaken and changes nothing: no run is called twice, not even by two engines on one store.

use super::query::Placed;
use super::{Page, Store, Transaction, encode};
use crate::action::{Entry, Rate, Run, RunState, Standing};
use crate::clock::Timestamp;
use crate::error::Result;

/// The most runs that one look gives to work on.
const MOST_LIVE: i64 = 1000;

/// A run as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The run.
    pub run: Run,
    /// Its version.
    pub version: i64,
}

/// Which runs are wanted; all where nothing is set.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only of this incident.
    pub incident: Option<String>,
    /// Only of this action.
    pub action: Option<String>,
    /// Only in this state.
    pub state: Option<RunState>,
}

/// Which entries of the log are wanted; all where nothing is set.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Only of this incident.
    pub incident: Option<String>,
    /// Only of this action.
    pub action: Option<String>,
}

impl Store {
    /// Writes a new run with what the log says of it; `false`, and nothing is written, when there is one already.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy.
    pub async fn add_run(&self, run: &Run, entries: &[Entry]) -> Result<bool> {
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin().await?;
        let added = sqlx::query(
            "INSERT INTO action_runs (action, incident, state, created, attempted, body) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (action, incident) DO NOTHING",
        )
        .bind(&run.action)
        .bind(&run.incident)
        .bind(run.state.as_str())
        .bind(run.created.millis())
        .bind(run.attempted.map(Timestamp::millis))
        .bind(encode(run)?)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        if added.rows_affected() == 0 {
            return Ok(false);
        }
        self.add_entries(&mut transaction, entries).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Writes `run` over the version of it that was `known`, with what the log says of it; `false`, and nothing is written,
    /// when it has changed since.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy.
    pub async fn change_run(&self, known: &Known, run: &Run, entries: &[Entry]) -> Result<bool> {
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin().await?;
        if !self.put_run(&mut transaction, known, run).await? {
            return Ok(false);
        }
        self.add_entries(&mut transaction, entries).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// As [`Store::change_run`], for a run that is about to be called: also `false` when the action is paused by now, or
    /// was called as often as it may be.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy.
    pub async fn begin_attempt(&self, known: &Known, run: &Run, rate: Rate, entries: &[Entry]) -> Result<bool> {
        // Once for an incident, whatever was read meanwhile.
        if !known.run.state.is_pending() {
            return Ok(false);
        }
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin_leading().await?;
        // Writes the action's own row first: two attempts at one action are made one after the other.
        sqlx::query("INSERT INTO action_standings (action) VALUES ($1) ON CONFLICT (action) DO UPDATE SET action = excluded.action")
            .bind(&run.action)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        let paused: Option<i64> = sqlx::query_scalar("SELECT paused FROM action_standings WHERE action = $1")
            .bind(&run.action)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        let now = run.attempted.unwrap_or(run.updated);
        let lately: i64 = sqlx::query_scalar("SELECT count(*) FROM action_runs WHERE action = $1 AND attempted > $2")
            .bind(&run.action)
            .bind((now - rate.per).millis())
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        let is_free = paused.is_none() && usize::try_from(lately).unwrap_or(usize::MAX) < rate.most;
        if !is_free || !self.put_run(&mut transaction, known, run).await? {
            return Ok(false);
        }
        self.add_entries(&mut transaction, entries).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Notes that `action` was rehearsed well as the definition with this fingerprint, with the run that was the rehearsal.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy.
    pub async fn rehearsed(&self, known: &Known, run: &Run, fingerprint: &str, entries: &[Entry]) -> Result<bool> {
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin_leading().await?;
        if !self.put_run(&mut transaction, known, run).await? {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO action_standings (action, rehearsed) VALUES ($1, $2)
             ON CONFLICT (action) DO UPDATE SET rehearsed = excluded.rehearsed",
        )
        .bind(&run.action)
        .bind(fingerprint)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        self.add_entries(&mut transaction, entries).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Stops: notes it in the run after which the incident grew worse, and pauses the action.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy.
    pub async fn stop_action(&self, known: &Known, run: &Run, why: &str, entries: &[Entry]) -> Result<bool> {
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin_leading().await?;
        if !self.put_run(&mut transaction, known, run).await? {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO action_standings (action, paused, why) VALUES ($1, $2, $3)
             ON CONFLICT (action) DO UPDATE SET paused = excluded.paused, why = excluded.why",
        )
        .bind(&run.action)
        .bind(run.stopped.map(Timestamp::millis))
        .bind(why)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        self.add_entries(&mut transaction, entries).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Lets a paused action go on; `false` when it was not paused.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) when the store stays busy.
    pub async fn resume_action(&self, action: &str, entry: &Entry) -> Result<bool> {
        let failed = |e| self.failed("write to", e);
        let mut transaction = self.begin().await?;
        let resumed = sqlx::query("UPDATE action_standings SET paused = NULL, why = '' WHERE action = $1 AND paused IS NOT NULL")
            .bind(action)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        if resumed.rows_affected() == 0 {
            return Ok(false);
        }
        self.add_entries(&mut transaction, std::slice::from_ref(entry)).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// What is remembered of an action.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn standing(&self, action: &str) -> Result<Standing> {
        let row: Option<(Option<String>, Option<i64>, String)> =
            sqlx::query_as("SELECT rehearsed, paused, why FROM action_standings WHERE action = $1")
                .bind(action)
                .fetch_optional(&self.pool)
                .await
                .map_err(|e| self.failed("read", e))?;
        let (rehearsed, paused, why) = row.unwrap_or_default();
        Ok(Standing { rehearsed, paused: paused.map(Timestamp::from_millis), why })
    }

    /// The run of an action for an incident.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn run(&self, action: &str, incident: &str) -> Result<Option<Known>> {
        let row: Option<(i64, String)> = sqlx::query_as("SELECT version, body FROM action_runs WHERE action = $1 AND incident = $2")
            .bind(action)
            .bind(incident)
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))?;
        row.map(|(version, body)| Ok(Known { run: self.decode(&body)?, version })).transpose()
    }

    /// The runs that are pending or being called, and those that were called after `since`, the oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn live_runs(&self, since: Timestamp) -> Result<Vec<Known>> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT version, body FROM action_runs WHERE state IN ($1, $2, $3) OR attempted > $4 ORDER BY created, incident, action LIMIT $5",
        )
        .bind(RunState::Proposed.as_str())
        .bind(RunState::Approved.as_str())
        .bind(RunState::Attempted.as_str())
        .bind(since.millis())
        .bind(MOST_LIVE)
        .fetch_all(&self.pool)
        .await
        .map_err(|e| self.failed("read", e))?;
        rows.into_iter().map(|(version, body)| Ok(Known { run: self.decode(&body)?, version })).collect()
    }

    /// When an action was called after `since`, over all incidents.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn calls_since(&self, action: &str, since: Timestamp) -> Result<Vec<Timestamp>> {
        let calls: Vec<i64> = sqlx::query_scalar("SELECT attempted FROM action_runs WHERE action = $1 AND attempted > $2")
            .bind(action)
            .bind(since.millis())
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.failed("read", e))?;
        Ok(calls.into_iter().map(Timestamp::from_millis).collect())
    }

    /// A page of runs, the latest proposed first; sizes and tokens as for [`Store::incidents`].
    ///
    /// # Errors
    /// A `page_token` that is not one of this list with this filter; the store cannot be read.
    pub async fn runs(&self, filter: &RunFilter, size: usize, page_token: &str) -> Result<Page<Run>> {
        let state = filter.state.map(RunState::as_str);
        let scope = format!("action runs {state:?} {:?} {:?}", filter.incident, filter.action);
        let (size, after) = super::query::page(&scope, size, page_token)?;
        let rows: Vec<Placed> = sqlx::query_as(
            "SELECT created, id, body FROM (SELECT created, incident || ' ' || action AS id, incident, action, state, body FROM action_runs) AS runs
             WHERE ($1 IS NULL OR state = $1) AND ($2 IS NULL OR incident = $2) AND ($3 IS NULL OR action = $3)
                 AND ($4 IS NULL OR (created, id) < ($4, $5))
             ORDER BY created DESC, id DESC LIMIT $6",
        )
        .bind(state)
        .bind(&filter.incident)
        .bind(&filter.action)
        .bind(after.as_ref().map(|a| a.0))
        .bind(after.as_ref().map(|a| &a.1))
        .bind(size as i64 + 1)
        .fetch_all(&self.pool)
        .await
        .map_err(|e| self.failed("read", e))?;
        self.cut(&scope, size, rows)
    }

    /// A page of the log, the latest first; sizes and tokens as for [`Store::incidents`].
    ///
    /// # Errors
    /// A `page_token` that is not one of this list with this filter; the store cannot be read.
    pub async fn action_log(&self, filter: &LogFilter, size: usize, page_token: &str) -> Result<Page<Entry>> {
        let scope = format!("action log {:?} {:?}", filter.incident, filter.action);
        let (size, after) = super::query::page(&scope, size, page_token)?;
        let rows: Vec<Placed> = sqlx::query_as(
            "SELECT at, id, body FROM action_log
             WHERE ($1 IS NULL OR incident = $1) AND ($2 IS NULL OR action = $2) AND ($3 IS NULL OR (at, id) < ($3, $4))
             ORDER BY at DESC, id DESC LIMIT $5",
        )
        .bind(&filter.incident)
        .bind(&filter.action)
        .bind(after.as_ref().map(|a| a.0))
        .bind(after.as_ref().map(|a| &a.1))
        .bind(size as i64 + 1)
        .fetch_all(&self.pool)
        .await
        .map_err(|e| self.failed("read", e))?;
        self.cut(&scope, size, rows)
    }

    /// Forgets runs of incidents that are forgotten, and what the log said before `before` of what is gone.
    pub(super) async fn prune_actions(&self, transaction: &mut Transaction, before: Timestamp) -> Result<()> {
        let failed = |e| self.failed("prune", e);
        sqlx::query("DELETE FROM action_runs WHERE created < $1 AND NOT EXISTS (SELECT 1 FROM incidents WHERE id = action_runs.incident)")
            .bind(before.millis())
            .execute(&mut **transaction)
            .await
            .map_err(failed)?;
        sqlx::query("DELETE FROM action_log WHERE at < $1 AND NOT EXISTS (SELECT 1 FROM incidents WHERE id = action_log.incident)")
            .bind(before.millis())
            .execute(&mut **transaction)
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Writes a run over the version of it that was known; `false` when it has changed since.
    async fn put_run(&self, transaction: &mut Transaction, known: &Known, run: &Run) -> Result<bool> {
        let changed = sqlx::query(
            "UPDATE action_runs SET state = $1, attempted = $2, body = $3, version = version + 1
             WHERE action = $4 AND incident = $5 AND version = $6",
        )
        .bind(run.state.as_str())
        .bind(run.attempted.map(Timestamp::millis))
        .bind(encode(run)?)
        .bind(&run.action)
        .bind(&run.incident)
        .bind(known.version)
        .execute(&mut **transaction)
        .await
        .map_err(|e| self.failed("write to", e))?;
        Ok(changed.rows_affected() == 1)
    }

    async fn add_entries(&self, transaction: &mut Transaction, entries: &[Entry]) -> Result<()> {
        for entry in entries {
            sqlx::query("INSERT INTO action_log (id, at, action, incident, body) VALUES ($1, $2, $3, $4, $5)")
                .bind(&entry.id)
                .bind(entry.at.millis())
                .bind(&entry.action)
                .bind(&entry.incident)
                .bind(encode(entry)?)
                .execute(&mut **transaction)
                .await
                .map_err(|e| self.failed("write to", e))?;
        }
        Ok(())
    }
}
