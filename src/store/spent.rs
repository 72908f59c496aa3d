//! What the alert budget was spent on.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use serde::Deserialize;

use super::Store;
use crate::clock::Timestamp;
use crate::error::Result;

/// Incidents that are looked through, the latest first; a thousand days of the usual budget.
const MOST_INCIDENTS: i64 = 10_000;

/// What all monitors together found since a time, and what each did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// Incidents that began since then.
    pub incidents: u64,
    /// What each monitor found, by name; only those that found something.
    pub monitors: BTreeMap<String, Spent>,
}

/// What one monitor found since a time, whatever came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Findings that began since then and that no guard held back.
    pub findings: u64,
    /// The incidents they are part of.
    pub incidents: u64,
    /// The ids of these incidents, the latest beginning first, as many as were asked for.
    pub ids: Vec<String>,
}

/// What is read of an incident's body.
#[derive(Deserialize)]
struct Found {
    findings: Vec<Onset>,
}

#[derive(Deserialize)]
struct Onset {
    monitor: String,
    onset: Timestamp,
}

impl Spending {
    /// What `monitor` found.
    pub fn of(&self, monitor: &str) -> Spent {
        self.monitors.get(monitor).cloned().unwrap_or_default()
    }
}

impl Store {
    /// What was found since `since`, with at most `most` ids of incidents for each monitor.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn spending(&self, since: Timestamp, most: usize) -> Result<Spending> {
        let failed = |e| self.failed("read", e);
        let incidents: i64 = sqlx::query_scalar("SELECT count(*) FROM incidents WHERE started >= $1")
            .bind(since.millis())
            .fetch_one(&self.pool)
            .await
            .map_err(failed)?;
        let mut spending = Spending { incidents: incidents as u64, monitors: BTreeMap::new() };
        // What has a new finding has changed since; bodies are opened of these only, one after the other.
        let mut rows = sqlx::query_as::<_, (String, String)>(
            "SELECT id, body FROM incidents WHERE updated >= $1 ORDER BY started DESC, id DESC LIMIT $2",
        )
        .bind(since.millis())
        .bind(MOST_INCIDENTS)
        .fetch(&self.pool);
        while let Some((id, body)) = rows.try_next().await.map_err(failed)? {
            let mut found: BTreeMap<String, u64> = BTreeMap::new();
            for finding in self.decode::<Found>(&body)?.findings {
                if finding.onset >= since {
                    *found.entry(finding.monitor).or_default() += 1;
                }
            }
            for (monitor, findings) in found {
                let spent = spending.monitors.entry(monitor).or_default();
                spent.findings += findings;
                spent.incidents += 1;
                if spent.ids.len() < most {
                    spent.ids.push(id.clone());
                }
            }
        }
        Ok(spending)
    }
}
