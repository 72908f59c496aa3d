//! The scores of every series in the Prometheus text format, written at each scrape from what the engine knows: a
//! series that goes leaves nothing behind.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::analysis::detect::Judgement;
use crate::engine::drifting::feature_name;
use crate::engine::forecasting::SeriesOutlook;
use crate::engine::status::MonitorStatus;
use crate::series::SeriesKey;
use crate::store::Spending;

/// One exported number of a judgement.
type Column = (&'static str, &'static str, fn(&Judgement) -> f64);

const COLUMNS: [Column; 5] = [
    ("bellwether_anomaly_score", "0 where the latest value is as expected, 1 at the decision bound, above it anomalous.", |j| j.score),
    ("bellwether_p_value", "The calibrated p-value of the latest value.", |j| j.p_value),
    ("bellwether_yhat", "What was expected of the latest value.", |j| j.expected),
    ("bellwether_yhat_lower", "The lower bound of what was expected.", |j| j.lower),
    ("bellwether_yhat_upper", "The upper bound of what was expected.", |j| j.upper),
];

/// Renders the latest judgement of every series of `monitors`.
pub fn render(monitors: &[MonitorStatus]) -> String {
    let mut latest = Vec::new();
    for monitor in monitors {
        for series in monitor.series.iter() {
            if let Some(judgement) = series.recent.last() {
                latest.push((labels(&monitor.monitor.name, &series.key, &[]), judgement));
            }
        }
    }
    let mut text = String::new();
    for (name, help, of) in COLUMNS {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, judgement) in &latest {
            let value = of(judgement);
            let _ = if value != 0.0 && value.abs() < 1e-4 {
                writeln!(text, "{name}{{{labels}}} {value:e}")
            } else {
                writeln!(text, "{name}{{{labels}}} {value}")
            };
        }
    }
    text
}

/// Renders what is forecast of series, when their limits are reached, and how far features have drifted.
pub fn outlooks(monitors: &[MonitorStatus]) -> String {
    let mut text = String::new();
    let mut family = |name: &str, help: &str, lines: Vec<(String, f64)>| {
        if !lines.is_empty() {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        }
        for (labels, value) in lines {
            let _ = writeln!(text, "{name}{{{labels}}} {value}");
        }
    };
    let all = || monitors.iter().flat_map(|m| m.outlook.series.iter().map(|s| (labels(&m.monitor.name, &s.key, &["horizon"]), s)));
    let ahead = |of: fn(&SeriesOutlook) -> f64| {
        let known = all().filter(|(_, s)| s.cannot_say.is_none());
        known.map(|(labels, s)| (format!("{labels},horizon=\"{}\"", s.horizon), of(s))).collect()
    };
    family("bellwether_forecast", "What is expected at the horizon.", ahead(|s| s.yhat));
    family("bellwether_forecast_lower", "The lower bound there, with a chance of 90 % between both.", ahead(|s| s.bounds.0));
    family("bellwether_forecast_upper", "The upper bound there.", ahead(|s| s.bounds.1));
    let reach = || all().filter_map(|(labels, s)| Some((labels, s.reach?.2)));
    let exhausted = reach().filter_map(|(labels, reach)| Some((labels, reach.expected?.seconds())));
    let name = "bellwether_exhaustion_timestamp_seconds";
    family(name, "When the limit is reached, as expected; absent where it is not within the horizon.", exhausted.collect());
    let chances = reach().map(|(labels, reach)| (labels, reach.chance));
    family("bellwether_exhaustion_chance", "The chance that the limit is reached within the horizon.", chances.collect());
    family("bellwether_drift_score", "How far a feature is from its reference, by test.", drift_scores(monitors));
    text
}

fn drift_scores(monitors: &[MonitorStatus]) -> Vec<(String, f64)> {
    let mut lines = Vec::new();
    for monitor in monitors {
        for feature in monitor.drift.features.iter() {
            let Ok(judged) = &feature.outcome else { continue };
            let name = &monitor.monitor.name;
            let labels =
                format!("{},feature=\"{}\"", labels(name, &feature.key, &["feature", "test"]), escape(&feature_name(&feature.key)));
            let found = &judged.found;
            let tests = [
                ("ks", found.ks.value),
                ("psi", found.psi.value),
                ("jensen_shannon", found.jensen_shannon.value),
                ("wasserstein", found.wasserstein.value),
                ("chi_square", found.chi_square.value),
            ];
            lines.extend(tests.map(|(test, score)| (format!("{labels},test=\"{test}\""), score)));
        }
    }
    lines
}

/// Renders how many incidents the findings of each of `monitors` are part of.
pub fn spent(monitors: &[MonitorStatus], spending: &Spending) -> String {
    const NAME: &str = "bellwether_budget_spent";
    let mut text = format!("# HELP {NAME} Incidents that the monitor's findings of the last 24 hours are part of.\n# TYPE {NAME} gauge\n");
    for name in monitors.iter().map(|m| &m.monitor.name) {
        let incidents = spending.of(name).incidents;
        let _ = writeln!(text, "{NAME}{{monitor=\"{}\"}} {incidents}", escape(name));
    }
    text
}

/// `monitor="…"` and the series' own labels. A name that is no label name of the text format is made one, and of two
/// that are the same then, or one of `added` that the caller adds, the later is `exported_…`, as Prometheus does.
fn labels(monitor: &str, key: &SeriesKey, added: &[&str]) -> String {
    let mut text = format!("monitor=\"{}\"", escape(monitor));
    let mut taken: BTreeSet<String> = added.iter().copied().chain(["monitor"]).map(str::to_owned).collect();
    for (name, value) in key.labels() {
        let name = if name == "__name__" { "metric" } else { name };
        let mut name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert(0, '_');
        }
        while !taken.insert(name.clone()) {
            name.insert_str(0, "exported_");
        }
        let _ = write!(text, ",{name}=\"{}\"", escape(value));
    }
    text
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
