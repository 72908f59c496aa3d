//! A monitor: one PromQL query, what kind of metric it yields, and how its series are judged.

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
            runbook_url: None,
        }
    }

    /// The service a series of this monitor belongs to; the monitor's own name where nothing tells.
    pub fn service_of(&self, key: &SeriesKey) -> String {
        self.service.as_deref().or_else(|| key.get(&self.service_label)).unwrap_or(&self.name).to_owned()
    }
}
