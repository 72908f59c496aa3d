//! The one alert of an incident: labels that never change, and annotations that tell a person what to do.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::alert::Alert;
use crate::clock::Timestamp;
use crate::finding::{Direction, Finding, FindingKind};
use crate::incident::{Acknowledgement, Flapping, Incident, Repeat, Suggestion};

/// The `alertname` of every alert we raise: one name to route on, and by which the webhook knows our own again.
pub const ALERTNAME: &str = "BellwetherIncident";

/// The most bytes of one annotation: mail, chat and pagers cut longer ones, in worse places.
const LONGEST_ANNOTATION: usize = 4096;

/// The most bytes of one label's value.
const LONGEST_LABEL: usize = 256;

/// How many further findings, events, causes and suggestions are written out.
const MORE: usize = 5;

/// The alert of `incident`, as the engine knows it now.
///
/// Labels are an alert's identity, so they hold only what stays for the incident's whole life: its id,
/// service and monitor, and the severity at its opening, which the engine does not change afterwards.
/// `external_url` is where people reach our web pages; the alert links to `{external_url}/incidents/{id}`.
/// Nothing in it depends on the time of the call: the same incident gives the same alert.
pub fn compose(incident: &Incident, external_url: &str) -> Alert {
    let labels = [
        ("alertname", ALERTNAME),
        ("severity", incident.severity.as_str()),
        ("service", &incident.service),
        ("monitor", &incident.monitor),
        ("incident", &incident.id),
    ];
    let url = format!("{}/incidents/{}", external_url.trim_end_matches('/'), path_segment(&incident.id));
    let life = &incident.life;
    let runbook = incident.suggestions.iter().map(|s| s.runbook_url.as_str()).find(|url| !url.is_empty());
    let annotations = [
        ("summary", incident.title.clone()),
        ("description", description(incident)),
        ("likely_cause", likely_cause(incident)),
        ("suggestions", suggestions(&incident.suggestions)),
        ("priority", life.priority_in_words().unwrap_or_default()),
        ("acknowledged", life.acknowledged.as_ref().map(Acknowledgement::in_words).unwrap_or_default()),
        ("flapping", life.flapping.as_ref().map(Flapping::in_words).unwrap_or_default()),
        ("repeats", life.repeats.as_ref().map(Repeat::in_words).unwrap_or_default()),
        ("runbook_url", runbook.unwrap_or_default().to_owned()),
        ("incident_url", url.clone()),
    ];
    sanitise(Alert {
        labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        annotations: annotations.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        starts_at: incident.started,
        ends_at: incident.resolved,
        generator_url: url,
    })
}

/// The alert in the form every Alertmanager accepts: names match `[a-zA-Z_][a-zA-Z0-9_]*`, values are not
/// empty, hold no control characters (annotations keep line ends) and are of bounded size, and it does not
/// end before it starts.
pub fn sanitise(alert: Alert) -> Alert {
    let Alert { labels, annotations, starts_at, ends_at, generator_url } = alert;
    let clean = |map: BTreeMap<String, String>, longest: usize, lines: bool| {
        map.into_iter()
            .map(|(name, value)| {
                let kept: String = value.chars().map(|c| if c.is_control() && !(lines && c == '\n') { ' ' } else { c }).collect();
                (label_name(&name), cut(kept.trim(), longest))
            })
            .filter(|(_, value)| !value.is_empty())
            .collect()
    };
    Alert {
        labels: clean(labels, LONGEST_LABEL, false),
        annotations: clean(annotations, LONGEST_ANNOTATION, true),
        starts_at,
        ends_at: ends_at.map(|end| end.max(starts_at)),
        generator_url,
    }
}

/// `name` with everything a label name may not hold replaced by `_`.
fn label_name(name: &str) -> String {
    let mut valid: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if valid.starts_with(|c: char| c.is_ascii_digit()) || valid.is_empty() {
        valid.insert(0, '_');
    }
    valid
}

/// `text` of at most `longest` bytes, with an ellipsis where it was cut.
fn cut(text: &str, longest: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = (0..=longest.saturating_sub(ELLIPSIS.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{ELLIPSIS}", text[..end].trim_end())
}

/// `id` as one segment of a URL's path (RFC 3986).
pub(super) fn path_segment(id: &str) -> String {
    id.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
        path
    })
}

fn description(incident: &Incident) -> String {
    let mut lines = Vec::new();
    if let Some(resolved) = incident.resolved {
        lines.push(format!("Resolved {resolved}, after {}.", minutes(resolved, incident.started)));
    }
    // The strongest finding of the monitor that opened the incident speaks first; it stays the same one
    // unless a stronger one comes.
    let strength = |f: &Finding| (f.monitor == incident.monitor, if f.score.is_nan() { 0.0 } else { f.score });
    let mut findings: Vec<&Finding> = incident.findings.iter().collect();
    findings.sort_by(|a, b| strength(b).partial_cmp(&strength(a)).unwrap_or(std::cmp::Ordering::Equal));
    if let Some((main, further)) = findings.split_first() {
        lines.push(statement(main));
        match main.kind {
            FindingKind::Capacity => lines.extend(main.evidence.iter().map(|e| format!("{}.", e.note))),
            FindingKind::Drift => list(&mut lines, "Features, the worst first", &main.evidence, |e| e.note.clone()),
            FindingKind::Deviation | FindingKind::Pattern | FindingKind::Group => lines.push(format!("How sure: {}.", sureness(main))),
        }
        list(&mut lines, "Further findings", further, |f| statement(f));
    }
    list(&mut lines, "What else happened", &incident.events, |e| {
        let what = e.kind.as_str().replace('_', " ");
        let end = e.ends_at.map(|end| format!(" to {end}")).unwrap_or_default();
        format!("{} {}: {what}{end}", e.starts_at, e.title)
    });
    lines.join("\n")
}

/// A heading and at most [`MORE`] items beneath it; nothing without items.
fn list<T>(lines: &mut Vec<String>, heading: &str, items: &[T], show: impl Fn(&T) -> String) {
    if items.is_empty() {
        return;
    }
    lines.push(format!("{heading}:"));
    lines.extend(items.iter().take(MORE).map(|item| format!("- {}", show(item))));
    if items.len() > MORE {
        lines.push(format!("- and {} more", items.len() - MORE));
    }
}

/// What was seen where, against what was expected, and since when.
fn statement(f: &Finding) -> String {
    let show = |value| f.unit.show(value);
    if let Some(what) = f.in_words() {
        let until = f.ended.map(|ended| format!(" to {ended}")).unwrap_or_default();
        let lead = if f.kind == FindingKind::Capacity { format!("{} {}: {} now, ", f.metric, f.key, show(f.value)) } else { String::new() };
        return format!("{lead}{what}; told from {}{until} on; monitor {}", f.onset, f.monitor);
    }
    let bounds = match (f.lower.is_finite(), f.upper.is_finite()) {
        (true, true) => format!(" (normal is {} to {})", show(f.lower), show(f.upper)),
        (true, false) => format!(" (normal is at least {})", show(f.lower)),
        (false, true) => format!(" (normal is at most {})", show(f.upper)),
        (false, false) => String::new(),
    };
    let span = match f.ended {
        Some(ended) => format!("from {} to {ended}", f.onset),
        None => format!("since {}", f.onset),
    };
    let what = match (f.kind, f.direction) {
        (FindingKind::Deviation, Direction::Up) => "above the expected",
        (FindingKind::Deviation, Direction::Down) => "below the expected",
        (FindingKind::Pattern, _) => "moving as it never did before; expected",
        _ => "robust standard deviations together from where its series were; expected",
    };
    format!("{} {}: {} {span}, {what} {}{bounds}; monitor {}", f.metric, f.key, show(f.value), show(f.expected), f.monitor)
}

/// Score and p-value in words.
fn sureness(f: &Finding) -> String {
    let words = match f.score {
        score if score >= 3.0 => "very",
        score if score >= 1.5 => "quite",
        score if score >= 1.0 => "just beyond the bound",
        score if score < 1.0 => "not very",
        _ => "not known",
    };
    let chance = if !(0.0..=1.0).contains(&f.p_value) {
        "how rare this is by chance is not known".to_owned()
    } else if f.p_value < 1e-9 {
        "by chance less than one point in a billion is as unusual".to_owned()
    } else {
        format!("by chance one point in {} is as unusual (p = {})", grouped((1.0 / f.p_value).round() as u64), short(f.p_value))
    };
    format!("{words}, with an anomaly score of {} where 1 is the bound; {chance}", short(f.score))
}

/// Two significant digits.
fn short(value: f64) -> String {
    if !value.is_finite() {
        "unknown".to_owned()
    } else if value != 0.0 && !(1e-3..1e6).contains(&value.abs()) {
        format!("{value:.1e}")
    } else if value.abs() < 10.0 {
        let decimals = (1 - value.abs().max(1e-3).log10().floor() as i32).clamp(0, 4) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.0}")
    }
}

/// `80,000`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    digits.bytes().enumerate().fold(String::new(), |mut text, (i, digit)| {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(char::from(digit));
        text
    })
}

/// A span in whole minutes, or in whole seconds when it is under one.
fn minutes(to: Timestamp, from: Timestamp) -> crate::clock::DurationMs {
    let span = to.since(from);
    let unit = if span.millis() >= 60_000 { 60_000 } else { 1000 };
    crate::clock::DurationMs::from_millis(span.millis() / unit * unit)
}

fn likely_cause(incident: &Incident) -> String {
    let show = |c: &crate::incident::Cause| {
        let sure = if c.weight.is_finite() { format!(" ({:.0}%)", c.weight * 100.0) } else { String::new() };
        format!("{}{sure}: {}", c.title, c.reason)
    };
    let Some((first, others)) = incident.causes.split_first() else { return String::new() };
    let mut lines = vec![show(first)];
    list(&mut lines, "Also possible", others, show);
    lines.join("\n")
}

/// The steps of the best suggestions, numbered through, with what to look at and to run.
fn suggestions(suggestions: &[Suggestion]) -> String {
    let mut lines = Vec::new();
    let mut number = 0;
    for s in suggestions.iter().take(MORE) {
        let sure = match crate::incident::sureness(s.confidence) {
            Some(words) => format!(" ({words}, {:.0} %)", s.confidence * 100.0),
            None => String::new(),
        };
        lines.push(format!("{}{sure}:", s.title.trim_end_matches(['.', ':'])));
        for step in &s.steps {
            number += 1;
            lines.push(format!("{number}. {step}"));
        }
        lines.extend(s.promql.iter().map(|query| format!("   PromQL: {query}")));
        lines.extend(s.commands.iter().map(|command| format!("   Run: {command}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
