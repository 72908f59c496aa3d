//! Findings and incidents as text for a terminal.

use std::fmt::Write as _;

use super::Terminal;
use super::text::{Style, wrap};
use crate::finding::{Direction, Finding, FindingKind, HeldBack};
use crate::incident::Incident;

/// A finding in a few lines: what, since when, how far off, who says so.
pub fn finding_text(finding: &Finding, terminal: &Terminal) -> String {
    let show = |value: f64| finding.unit.show(value);
    let way = match (finding.kind, finding.direction) {
        (FindingKind::Pattern, _) => "moves as it never did",
        (FindingKind::Group, _) => "is together not where it was",
        (FindingKind::Capacity, _) => "will reach its limit",
        (FindingKind::Drift, _) => "has drifted",
        (FindingKind::Deviation, Direction::Up) => "is above its band",
        (FindingKind::Deviation, Direction::Down) => "is below its band",
    };
    let until = finding.ended.map_or("it lasts".to_owned(), |end| format!("until {end}"));
    let mut text = String::new();
    let name = if finding.monitor.is_empty() { finding.key.to_string() } else { format!("{} {}", finding.monitor, finding.key) };
    let head = format!("{name} {way} since {}, {until}", finding.onset);
    let _ = writeln!(text, "  {}", Style::Bold.paint(&head, terminal.colour));
    let _ = writeln!(
        text,
        "    {} at its worst; expected {} (between {} and {}); score {:.1}, p = {:.1e}",
        show(finding.value),
        show(finding.expected),
        show(finding.lower),
        show(finding.upper),
        finding.score,
        finding.p_value
    );
    for evidence in &finding.evidence {
        let _ = writeln!(text, "    {}: {} (p = {:.1e})", evidence.detector, evidence.note, evidence.p_value);
    }
    text
}

/// A finding that a guard holds back: greyed, with the reason.
pub fn held_back_text(held: &HeldBack, terminal: &Terminal) -> String {
    let plain = finding_text(&held.finding, &Terminal { colour: false, ..*terminal });
    let text = format!("{plain}    suppressed: {}", held.suppressed);
    let lines = text.lines().map(|line| format!("{}\n", Style::Dim.paint(line, terminal.colour)));
    lines.collect()
}

/// An incident with its likely causes and what to do next; the findings are shown by the caller.
pub fn advice_text(incident: &Incident, terminal: &Terminal) -> String {
    let mut text = String::new();
    let head = |title: &str| format!("\n{}\n", Style::Bold.paint(title, terminal.colour));
    text.push_str(&head("Likely cause"));
    for cause in incident.causes.iter().take(3) {
        let line = format!("{:.0} % {}: {}", cause.weight * 100.0, cause.title, cause.reason);
        text.push_str(&wrap(&line, terminal.columns, "  "));
    }
    text.push_str(&head("What to do"));
    for suggestion in incident.suggestions.iter().take(2) {
        let sure = crate::incident::sureness(suggestion.confidence);
        let sure = sure.map_or_else(String::new, |words| format!(" ({words}, {:.0} %)", suggestion.confidence * 100.0));
        let _ = writeln!(text, "{}{sure}", Style::Bold.paint(&suggestion.title, terminal.colour));
        for (i, step) in suggestion.steps.iter().enumerate() {
            text.push_str(&wrap(&format!("{}. {step}", i + 1), terminal.columns, "  "));
        }
        for line in suggestion.promql.iter().chain(&suggestion.commands) {
            let _ = writeln!(text, "    {}", Style::Dim.paint(line, terminal.colour));
        }
        let _ = writeln!(text, "    runbook: {}", suggestion.runbook_url);
    }
    text
}
