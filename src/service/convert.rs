//! The one place where the vocabulary and the protocol's messages meet.

mod actions;
mod backtest;
mod feedback;
mod guards;
mod life;
mod plans;
mod read;

use std::collections::HashMap;

use prost_types::{Duration as ProtoDuration, Timestamp as ProtoTime};

use crate::analysis::detect::Judgement;
use crate::clock::{DurationMs, Timestamp};
use crate::correlation::topology::{Call, CallSource, Topology};
use crate::engine::Engine;
use crate::engine::budget::Budget;
use crate::engine::status::{MonitorStatus, SeriesState, SeriesStatus};
use crate::event::{Event, EventKind};
use crate::finding::{Direction, Finding, FindingKind, HeldBack, Severity};
use crate::incident::{Incident, IncidentState};
use crate::monitor::Monitor;
use crate::proto as pb;
use crate::reach::Reach;
use crate::series::SeriesKey;
use crate::store::Spending;

pub use actions::{action, action_entry, action_mode, configured_action, read_action_state};
pub use backtest::{backtest_progress, backtest_report, backtest_series, raised, read_labels};
pub use feedback::{feedback, read_given};
pub use plans::{feature_drift, series_outlook};
pub use read::{Limits, read_direction, read_duration, read_event, read_event_kind, read_incident_state, read_inline, read_time};

pub fn time(t: Timestamp) -> ProtoTime {
    ProtoTime { seconds: t.millis().div_euclid(1000), nanos: (t.millis().rem_euclid(1000) * 1_000_000) as i32 }
}

pub fn duration(d: DurationMs) -> ProtoDuration {
    ProtoDuration { seconds: d.millis() / 1000, nanos: (d.millis() % 1000 * 1_000_000) as i32 }
}

pub fn labels(key: &SeriesKey) -> HashMap<String, String> {
    key.labels().iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

pub fn point_score(j: &Judgement) -> pb::PointScore {
    pb::PointScore {
        time: Some(time(j.time)),
        value: j.value,
        anomaly_score: j.score,
        p_value: j.p_value,
        yhat: j.expected,
        yhat_lower: j.lower,
        yhat_upper: j.upper,
    }
}

pub fn finding(f: &Finding) -> pb::Finding {
    pb::Finding {
        id: f.id.clone(),
        monitor: f.monitor.clone(),
        service: f.service.clone(),
        labels: labels(&f.key),
        metric: f.metric.to_string(),
        kind: finding_kind(f.kind).into(),
        direction: direction(Some(f.direction)).into(),
        onset: Some(time(f.onset)),
        // What was stored by an earlier release does not know when it was.
        opened: Some(time(f.opened.max(f.onset))),
        last_seen: Some(time(f.last_seen)),
        ended: f.ended.map(time),
        value: f.value,
        expected: f.expected,
        lower: f.lower,
        upper: f.upper,
        score: f.score,
        p_value: f.p_value,
        evidence: f
            .evidence
            .iter()
            .map(|e| pb::Evidence { detector: e.detector.clone(), p_value: e.p_value, note: e.note.clone() })
            .collect(),
        model: f.model.clone(),
        suppressed: String::new(),
        exhaustion: f.reach.map(|reach| exhaustion(f.expected, reach)),
    }
}

fn finding_kind(kind: FindingKind) -> pb::FindingKind {
    match kind {
        FindingKind::Deviation => pb::FindingKind::Deviation,
        FindingKind::Pattern => pb::FindingKind::Pattern,
        FindingKind::Group => pb::FindingKind::Group,
        FindingKind::Capacity => pb::FindingKind::Capacity,
        FindingKind::Drift => pb::FindingKind::Drift,
    }
}

pub fn exhaustion(limit: f64, reach: Reach<Timestamp>) -> pb::Exhaustion {
    let Reach { expected, earliest, latest, chance } = reach.map(time);
    pb::Exhaustion { limit, expected, earliest, latest, chance }
}

pub fn held_back(held: &HeldBack) -> pb::Finding {
    pb::Finding { suppressed: held.suppressed.clone(), ..finding(&held.finding) }
}

fn direction(d: Option<Direction>) -> pb::Direction {
    match d {
        None => pb::Direction::Unspecified,
        Some(Direction::Up) => pb::Direction::Up,
        Some(Direction::Down) => pb::Direction::Down,
    }
}

pub fn incident(i: &Incident) -> pb::Incident {
    pb::Incident {
        id: i.id.clone(),
        state: match i.state {
            IncidentState::Open => pb::IncidentState::Open,
            IncidentState::Resolved => pb::IncidentState::Resolved,
        }
        .into(),
        severity: match i.severity {
            Severity::Info => pb::Severity::Info,
            Severity::Warning => pb::Severity::Warning,
            Severity::Critical => pb::Severity::Critical,
        }
        .into(),
        service: i.service.clone(),
        monitor: i.monitor.clone(),
        title: i.title.clone(),
        started: Some(time(i.started)),
        detected: Some(time(i.detected)),
        updated: Some(time(i.updated)),
        resolved: i.resolved.map(time),
        findings: i.findings.iter().map(finding).collect(),
        events: i.events.iter().map(event).collect(),
        causes: i
            .causes
            .iter()
            .map(|c| pb::Cause {
                id: c.id.clone(),
                title: c.title.clone(),
                service: c.service.clone(),
                weight: c.weight,
                reason: c.reason.clone(),
            })
            .collect(),
        suggestions: i
            .suggestions
            .iter()
            .map(|s| pb::Suggestion {
                id: s.id.clone(),
                title: s.title.clone(),
                steps: s.steps.clone(),
                promql: s.promql.clone(),
                commands: s.commands.clone(),
                runbook_url: s.runbook_url.clone(),
                confidence: s.confidence,
                action: s.action.as_ref().map(|call| call.name.clone()).unwrap_or_default(),
            })
            .collect(),
        merged_into: i.merged_into.clone().unwrap_or_default(),
        acknowledged: i.life.acknowledged.as_ref().map(life::acknowledgement),
        life: i.life.turns.iter().map(life::turn).collect(),
        flapping: i.life.flapping.as_ref().map(life::flapping),
        urgency: life::urgency(&i.life),
        repeats: i.life.repeats.as_ref().map(life::repeat),
        told: Vec::new(),
        silenced: false,
        feedback: Vec::new(),
        actions: Vec::new(),
    }
}

/// An incident with what the Alertmanagers do with its alert, while it is open.
pub fn incident_as_told(i: &Incident, engine: &Engine) -> pb::Incident {
    if i.state != IncidentState::Open {
        return incident(i);
    }
    let told = engine.told(&i.id).iter().map(life::told).collect();
    pb::Incident { told, silenced: engine.is_silenced(&i.id), ..incident(i) }
}

/// The part of a topology that an incident covers; `None` where none of its services is known.
pub fn service_graph(topology: &Topology, i: &Incident) -> Option<pb::ServiceGraph> {
    let services = || i.findings.iter().map(|f| f.service.as_str());
    if !services().any(|service| topology.knows(service)) {
        return None;
    }
    let part = topology.part(services());
    let call = |call: Call| pb::Call {
        caller: call.caller,
        callee: call.callee,
        source: match call.source {
            CallSource::Configured => pb::CallSource::Configured,
            CallSource::Measured => pb::CallSource::Measured,
            CallSource::Learned => pb::CallSource::Learned,
        }
        .into(),
    };
    Some(pb::ServiceGraph {
        services: part.services,
        neighbours: part.neighbours,
        calls: part.calls.into_iter().map(call).collect(),
        left_out: part.left_out as i32,
    })
}

pub fn event(e: &Event) -> pb::Event {
    pb::Event {
        id: e.id.clone(),
        kind: match e.kind {
            EventKind::Deployment => pb::EventKind::Deployment,
            EventKind::Configuration => pb::EventKind::Configuration,
            EventKind::Scaling => pb::EventKind::Scaling,
            EventKind::FeatureFlag => pb::EventKind::FeatureFlag,
            EventKind::Alert => pb::EventKind::Alert,
            EventKind::Other => pb::EventKind::Other,
        }
        .into(),
        source: e.source.clone(),
        title: e.title.clone(),
        description: e.description.clone(),
        service: e.service.clone().unwrap_or_default(),
        labels: e.labels.clone().into_iter().collect(),
        starts_at: Some(time(e.starts_at)),
        ends_at: e.ends_at.map(time),
        url: e.url.clone().unwrap_or_default(),
    }
}

pub fn monitor(m: &Monitor) -> pb::Monitor {
    pb::Monitor {
        name: m.name.clone(),
        query: m.query.clone(),
        metric: m.metric.to_string(),
        unit: m.unit.to_string(),
        service: m.service.clone().unwrap_or_default(),
        service_label: m.service_label.clone(),
        step: Some(duration(m.step)),
        window: Some(duration(m.window)),
        direction: direction(m.direction).into(),
        guards: guards::guards(&m.guards),
        group_by: m.group_by.clone().map(|labels| pb::GroupBy { labels }),
        alert_budget_per_day: m.alert_budget_per_day,
        forecast: m.forecast.as_ref().map(plans::forecast),
        drift: m.drift.as_ref().map(plans::drift),
        slo: m.slo.map(|slo| pb::Slo { objective: slo.objective }),
    }
}

pub fn monitor_status(s: &MonitorStatus, budget: Budget, spending: &Spending) -> pb::MonitorStatus {
    let (share, spent) = (budget.share(&s.monitor, s.judged()), spending.of(&s.monitor.name));
    pb::MonitorStatus {
        monitor: Some(monitor(&s.monitor)),
        series: s.watched() as i32,
        fitted: s.fitted() as i32,
        cannot_say: s.count(SeriesState::CannotSay) as i32,
        anomalous: s.count(SeriesState::Anomalous) as i32,
        last_evaluated: s.last_evaluated.map(time),
        evaluation_time: Some(duration(s.evaluation_time)),
        last_error: s.last_error.clone().unwrap_or_default(),
        warnings: s.warnings.clone(),
        alpha: s.alpha,
        suppressed: s.count(SeriesState::Suppressed) as i32,
        budget: Some(pb::Budget {
            per_day: share.per_day,
            own: s.monitor.alert_budget_per_day.is_some(),
            series: share.series as i32,
            findings: spent.findings as i32,
            incidents: spent.incidents as i32,
            incident_ids: spent.ids,
        }),
    }
}

pub fn series_status(s: &SeriesStatus) -> pb::SeriesStatus {
    let last = s.recent.last();
    let of = |get: fn(&Judgement) -> f64| last.as_ref().map_or(f64::NAN, get);
    pb::SeriesStatus {
        labels: labels(&s.key),
        state: match s.state {
            SeriesState::Normal => pb::SeriesState::Normal,
            SeriesState::Anomalous => pb::SeriesState::Anomalous,
            SeriesState::CannotSay => pb::SeriesState::CannotSay,
            SeriesState::Suppressed => pb::SeriesState::Suppressed,
        }
        .into(),
        cannot_say: s.cannot_say.clone().unwrap_or_default(),
        last_time: last.as_ref().map(|j| time(j.time)),
        value: of(|j| j.value),
        anomaly_score: of(|j| j.score),
        p_value: of(|j| j.p_value),
        yhat: of(|j| j.expected),
        yhat_lower: of(|j| j.lower),
        yhat_upper: of(|j| j.upper),
        trained_until: s.trained_until.map(time),
        periods: s.periods.iter().copied().map(duration).collect(),
        suppressed: s.suppressed.clone().unwrap_or_default(),
        parts: s.parts.iter().map(|(key, share)| pb::Part { labels: labels(key), share: *share }).collect(),
    }
}
