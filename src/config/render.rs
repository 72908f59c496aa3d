//! Writes monitors as YAML that reads back to the same.

use std::fmt::Write;

use super::Defaults;
use crate::calendar::Calendar;
use crate::guard::Guards;
use crate::monitor::{DriftPlan, ForecastPlan, Limit, Monitor, Reference};

/// A configuration with these monitors, for `-c`: what equals `defaults` is left out, `header` comes first as
/// comments, and with `prometheus` the address is written too, so that the result runs as it is.
pub fn monitors_yaml(monitors: &[Monitor], defaults: &Defaults, prometheus: Option<&str>, header: &str) -> String {
    let mut yaml = comment(header);
    if let Some(url) = prometheus {
        yaml.push_str("prometheus:\n");
        line(&mut yaml, "  url", &scalar(url, 2));
    }
    let standard = Defaults::default();
    let of_defaults = [
        ("  step", defaults.step.to_string(), defaults.step != standard.step),
        ("  window", defaults.window.to_string(), defaults.window != standard.window),
        ("  service_label", scalar(&defaults.service_label, 2), defaults.service_label != standard.service_label),
    ];
    if of_defaults.iter().any(|(_, _, differs)| *differs) {
        yaml.push_str("defaults:\n");
        for (name, value, _) in of_defaults.iter().filter(|(_, _, differs)| *differs) {
            line(&mut yaml, name, value);
        }
    }
    yaml.push_str(if monitors.is_empty() { "monitors: []\n" } else { "monitors:\n" });
    for m in monitors {
        line(&mut yaml, "  - name", &scalar(&m.name, 4));
        line(&mut yaml, "    query", &scalar(&m.query, 4));
        line(&mut yaml, "    metric", m.metric.as_str());
        line(&mut yaml, "    unit", m.unit.as_str());
        let optional = [
            ("    service", m.service.as_deref().map(|text| scalar(text, 4))),
            // A service that is known needs no label to tell it.
            ("    service_label", (m.service.is_none() && m.service_label != defaults.service_label).then(|| scalar(&m.service_label, 4))),
            ("    step", (m.step != defaults.step).then(|| m.step.to_string())),
            ("    window", (m.window != defaults.window).then(|| m.window.to_string())),
            ("    direction", m.direction.map(|word| word.to_string())),
            ("    severity", m.severity.map(|word| word.to_string())),
            ("    group_by", m.group_by.as_ref().map(|labels| labels_in_line(labels))),
            ("    alert_budget", m.alert_budget_per_day.map(|per_day| format!("{{ per_day: {per_day} }}"))),
            ("    runbook_url", m.runbook_url.as_deref().map(|text| scalar(text, 4))),
            ("    slo", m.slo.map(|slo| format!("{{ objective: {} }}", slo.objective))),
        ];
        for (name, value) in optional.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value))) {
            line(&mut yaml, name, value);
        }
        if m.guards != Guards::default() {
            guards(&mut yaml, &m.guards);
        }
        if let Some(plan) = &m.forecast {
            forecast(&mut yaml, plan);
        }
        if let Some(plan) = &m.drift {
            drift(&mut yaml, plan);
        }
    }
    yaml
}

fn line(yaml: &mut String, name: &str, value: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(yaml, "{name}: {value}");
}

/// A list of labels on one line.
fn labels_in_line(labels: &[String]) -> String {
    let labels: Vec<String> = labels.iter().map(|label| scalar(label, 0)).collect();
    format!("[{}]", labels.join(", "))
}

fn guards(yaml: &mut String, guards: &Guards) {
    yaml.push_str("    guards:\n");
    let number = |yaml: &mut String, name: &str, value: Option<f64>| {
        if let Some(value) = value {
            line(yaml, name, &value.to_string());
        }
    };
    number(yaml, "      least_deviation", guards.least_deviation);
    number(yaml, "      least_relative_deviation", guards.least_relative_deviation);
    if guards.valid.min.is_some() || guards.valid.max.is_some() {
        yaml.push_str("      valid:\n");
        number(yaml, "        min", guards.valid.min);
        number(yaml, "        max", guards.valid.max);
    }
    if guards.missed_scrapes != Guards::default().missed_scrapes {
        line(yaml, "      missed_scrapes", &guards.missed_scrapes.to_string());
    }
    if let Some(traffic) = &guards.least_traffic {
        yaml.push_str("      least_traffic:\n");
        line(yaml, "        query", &scalar(&traffic.query, 8));
        number(yaml, "        per_second", Some(traffic.per_second));
    }
    calendars(yaml, "only", &guards.only);
    calendars(yaml, "maintenance", &guards.maintenance);
    if let Some(warm_up) = guards.warm_up {
        line(yaml, "      warm_up", &warm_up.to_string());
    }
}

fn forecast(yaml: &mut String, plan: &ForecastPlan) {
    yaml.push_str("    forecast:\n");
    line(yaml, "      horizon", &plan.horizon.to_string());
    line(yaml, "      step", &plan.step.to_string());
    line(yaml, "      window", &plan.window.to_string());
    match &plan.limit {
        Some(Limit::Value(limit)) => line(yaml, "      limit", &limit.to_string()),
        Some(Limit::Query(query)) => line(yaml, "      limit", &scalar(query, 6)),
        None => {}
    }
    calendars(yaml, "events", &plan.events);
}

fn drift(yaml: &mut String, plan: &DriftPlan) {
    yaml.push_str("    drift:\n");
    line(yaml, "      by", &labels_in_line(&plan.by));
    line(yaml, "      window", &plan.window.to_string());
    line(yaml, "      every", &plan.every.to_string());
    let reference = match plan.reference {
        Reference::Until(until) => scalar(&until.to_string(), 6),
        Reference::Before(before) => before.to_string(),
        Reference::Deployment => "deployment".to_owned(),
    };
    line(yaml, "      reference", &reference);
    line(yaml, "      least_effect", &plan.least_effect.to_string());
}

fn calendars(yaml: &mut String, name: &str, calendars: &[Calendar]) {
    if !calendars.is_empty() {
        let _ = writeln!(yaml, "      {name}:");
    }
    for written in calendars.iter().map(Calendar::written) {
        let text = |text: &Option<String>| text.as_deref().map(|text| scalar(text, 10));
        let fields = [
            ("cron", text(&written.cron)),
            ("rrule", text(&written.rrule)),
            ("from", text(&written.from)),
            ("until", text(&written.until)),
            ("for", written.length.map(|length| length.to_string())),
            ("time_zone", text(&written.time_zone)),
        ];
        let mut lead = "        - ";
        for (name, value) in fields.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value))) {
            line(yaml, &format!("{lead}{name}"), value);
            lead = "          ";
        }
    }
}

/// Every line of `text` as a comment.
fn comment(text: &str) -> String {
    let printable = |c: &char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    text.lines().map(|line| format!("# {}", line.chars().filter(printable).collect::<String>()).trim_end().to_owned() + "\n").collect()
}

/// A text as YAML: plain where that is plainly a text, as a block where it has good lines, quoted otherwise.
fn scalar(text: &str, indent: usize) -> String {
    let printable = |c: char| (' '..='~').contains(&c) || (c.is_alphabetic() && !c.is_control());
    let starts_plain = text.starts_with(|c: char| c.is_ascii_alphabetic());
    // Only characters that mean nothing to YAML anywhere, and no word that it takes for something else.
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=+*()".contains(c);
    let special = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan"];
    if starts_plain && text.chars().all(plain) && !special.contains(&text.to_lowercase().as_str()) {
        return text.to_owned();
    }
    if text.chars().all(printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let good_line = |line: &str| !line.is_empty() && line.chars().all(printable) && line.trim_end() == line;
    if text.contains('\n') && !text.starts_with(' ') && text.split('\n').all(good_line) {
        let margin = " ".repeat(indent + 2);
        return format!("|-\n{margin}{}", text.replace('\n', &format!("\n{margin}")));
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if printable(c) => quoted.push(c),
            c => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
        }
    }
    quoted + "\""
}
