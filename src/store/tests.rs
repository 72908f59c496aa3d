use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::alert::Alert;
use crate::clock::Timestamp;
use crate::event::{Event, EventKind};
use crate::finding::{Finding, HeldBack};
use crate::incident::{Incident, IncidentState};

mod actions;
mod backup;
mod contract;
mod damage;
mod feedback;
mod format;
mod outbox;
mod postgres;
mod retention;
mod server;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(1_767_261_600_000 + minute * 60_000)
}

fn incident(id: &str, started: i64, resolved: Option<i64>) -> Incident {
    let mut incident: Incident = serde_json::from_str(include_str!("../../tests/fixtures/incident.json")).unwrap();
    incident.id = id.to_owned();
    incident.started = at(started);
    incident.resolved = resolved.map(at);
    incident.state = if resolved.is_some() { IncidentState::Resolved } else { IncidentState::Open };
    incident.findings.truncate(1); // the second holds a NaN, which is not equal to itself
    incident
}

fn held_back(id: &str, ended: Option<i64>) -> HeldBack {
    let mut finding = incident("i", 0, None).findings.remove(0);
    (finding.id, finding.onset, finding.last_seen, finding.ended) = (id.to_owned(), at(1), at(3), ended.map(at));
    HeldBack { finding, suppressed: "a maintenance window is open until 2026-01-01 12:00:00 UTC".to_owned() }
}

fn event(id: &str, kind: EventKind, starts: i64, ends: Option<i64>) -> Event {
    Event {
        id: id.to_owned(),
        kind,
        source: "test".to_owned(),
        title: id.to_owned(),
        description: String::new(),
        service: Some("cart".to_owned()),
        labels: BTreeMap::from([("subject".to_owned(), id.to_owned())]),
        starts_at: at(starts),
        ends_at: ends.map(at),
        url: None,
    }
}

fn alert(text: &str, ends: Option<i64>) -> Alert {
    Alert {
        labels: BTreeMap::from([("alertname".to_owned(), "A".to_owned())]),
        annotations: BTreeMap::from([("summary".to_owned(), text.to_owned())]),
        starts_at: at(0),
        ends_at: ends.map(at),
        generator_url: "http://localhost/".to_owned(),
    }
}

/// Runs the tests of the contract against every kind of store.
macro_rules! on_every_store {
    ($($theme:ident: $($name:ident)+;)+) => {
        $($(mod $name {
            use super::*;

            #[tokio::test]
            async fn in_memory() {
                $theme::$name(Store::in_memory().await.unwrap()).await;
            }

            #[tokio::test]
            async fn in_a_file() {
                let folder = tempfile::tempdir().unwrap();
                $theme::$name(Store::open(&folder.path().join("b.sqlite")).await.unwrap()).await;
            }

            #[tokio::test]
            async fn in_postgres() {
                $theme::$name(postgres::leading(&server::database()).await).await;
            }
        })+)+
    };
}

on_every_store! {
    actions:
        there_is_one_run_of_an_action_and_an_incident
        who_was_overtaken_changes_nothing
        of_many_attempts_at_once_the_rate_lets_so_many_through
        what_is_paused_is_not_attempted_until_it_is_resumed
        runs_and_the_log_come_in_pages
        runs_are_kept_as_long_as_their_incident;
    backup:
        a_backup_comes_back_in_either_kind_of_store;
    retention:
        the_oldest_go_until_there_is_room_and_what_is_open_stays;
    contract:
        a_finding_without_a_bound_reads_back
        a_change_is_written_all_or_not_at_all
        what_was_resolved_lately_is_found
        pages_show_every_incident_once_newest_first
        a_name_with_a_nul_is_stored
        a_foreign_page_token_is_named
        the_size_of_a_page_has_a_default_and_a_limit
        events_overlap_a_stretch_of_time
        one_occurrence_of_an_alert_is_one_event
        what_is_old_is_forgotten_and_what_is_open_is_kept
        the_budget_is_spent_on_what_was_found_lately
        findings_that_are_held_back_are_kept_changed_released_and_forgotten;
    outbox:
        a_firing_alert_is_resent_and_leaves_when_it_is_resolved
        a_resolution_that_was_delivered_is_not_told_again
        what_opened_and_was_over_before_it_could_be_sent_is_told_once_as_resolved
        an_unchanged_alert_changes_nothing_and_a_changed_one_is_due_at_once
        what_changes_while_it_is_sent_is_sent_again
        failures_are_retried_at_their_time_even_if_the_alert_changes
        a_rejected_alert_waits_visibly_for_its_next_version
        sinks_are_independent_and_leave_with_the_configuration
        the_limit_takes_the_longest_due_and_hasten_makes_all_due;
    feedback:
        feedback_is_kept_listed_and_taken_back
        feedback_outlives_its_incident_and_the_oldest_makes_room;
}
