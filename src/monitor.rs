//! A monitor: one PromQL query, what kind of metric it yields, and how its series are judged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::DurationMs;
use crate::finding::{Direction, Severity};
use crate::guard::Guards;
use crate::series::SeriesKey;

pub use crate::metric::{MetricKind, Unit};

/// One query and how its series are judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Monitor {
    /// Unique; letters, digits, `_`, `-` and `.`, at most 100 of them.
    pub name: String,
    /// PromQL that yields one series per thing to watch.
    pub query: String,
    /// What the values measure.
    pub metric: MetricKind,
    /// The unit of the values.
    pub unit: Unit,
    /// The service all series belong to; without it the label `service_label` tells.
    pub service: Option<String>,
    /// The label whose value is a series' service.
    pub service_label: String,
    /// The time between two points, and between two evaluations.
    pub step: DurationMs,
    /// How much history is learned from.
    pub window: DurationMs,
    /// Only this direction is a finding; both when `None`.
    pub direction: Option<Direction>,
    /// What holds its findings back.
    #[serde(default)]
    pub guards: Guards,
    /// The severity of its findings' alerts; judged from the finding when `None`.
    pub severity: Option<Severity>,
    /// Series that share the values of these labels are judged together besides each alone: all of them where it is empty,
    /// none where it is `None`.
    #[serde(default)]
    pub group_by: Option<Vec<String>>,
    /// False incidents a day that are accepted of this monitor alone, out of the whole budget; with `None` it shares what
    /// the others leave.
    #[serde(default)]
    pub alert_budget_per_day: Option<f64>,
    /// What to read first; overrides the catalogue's link.
    pub runbook_url: Option<String>,
}

impl Monitor {
    /// What an ad-hoc analysis judges for: no monitor of a name.
    pub fn ad_hoc(step: DurationMs, direction: Option<Direction>) -> Self {
        Self {
            name: String::new(),
            query: String::new(),
            metric: MetricKind::Other,
            unit: Unit::None,
            service: None,
            service_label: "service".to_owned(),
            step,
            window: DurationMs::WEEK * 2,
            direction,
            guards: Guards::default(),
            severity: None,
            group_by: None,
            alert_budget_per_day: None,
            runbook_url: None,
        }
    }

    /// Which of its series are judged together, in words; `None` when none are.
    pub fn together_in_words(&self) -> Option<String> {
        let labels = self.group_by.as_ref()?;
        Some(if labels.is_empty() { "all series".to_owned() } else { format!("series of the same {}", labels.join(", ")) })
    }

    /// `keys` by the labels that the series of a group share: sets of two or more, none where nothing is judged together.
    pub fn groups<'a>(&self, keys: impl Iterator<Item = &'a SeriesKey>) -> BTreeMap<SeriesKey, Vec<&'a SeriesKey>> {
        let mut groups: BTreeMap<SeriesKey, Vec<&SeriesKey>> = BTreeMap::new();
        if let Some(labels) = &self.group_by {
            keys.for_each(|key| groups.entry(key.only(labels)).or_default().push(key));
        }
        groups.retain(|_, of| of.len() > 1);
        groups
    }

    /// The service a series of this monitor belongs to; the monitor's own name where nothing tells.
    pub fn service_of(&self, key: &SeriesKey) -> String {
        self.service.as_deref().or_else(|| key.get(&self.service_label)).unwrap_or(&self.name).to_owned()
    }
}
