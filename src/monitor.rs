//! A monitor: one PromQL query, what kind of metric it yields, and how its series are judged.

use std::collections::BTreeMap;

use promql_parser::parser::Expr;
use promql_parser::util::{ExprVisitor, walk_expr};
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::clock::{DurationMs, Timestamp};
use crate::finding::{Direction, Severity};
use crate::guard::Guards;
use crate::series::SeriesKey;

pub use crate::metric::{MetricKind, Unit};

/// What is forecast of each series of a monitor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForecastPlan {
    /// How far ahead.
    pub horizon: DurationMs,
    /// The time between two values, past and forecast, and between two forecasts.
    pub step: DurationMs,
    /// How much history is used.
    pub window: DurationMs,
    /// What must not be reached; nothing is found without it.
    pub limit: Option<Limit>,
    /// When known events are, such as holidays: what they did before they will do again.
    #[serde(default)]
    pub events: Vec<Calendar>,
}

impl ForecastPlan {
    /// The step that goes with a horizon: a 168th of it in whole seconds, at most an hour. A week in hours, a day in minutes.
    pub fn usual_step(horizon: DurationMs) -> DurationMs {
        DurationMs::from_secs(horizon.millis() / 168_000).clamp(DurationMs::from_secs(1), DurationMs::HOUR)
    }

    /// `the next 1w from 2w in steps of 1h, until 90%`.
    pub fn in_words(&self, unit: Unit) -> String {
        let limit = match &self.limit {
            None => String::new(),
            Some(Limit::Value(limit)) => format!(", with the limit {}", unit.show(*limit)),
            Some(Limit::Query(query)) => format!(", with the limit {}", query.split_whitespace().collect::<Vec<_>>().join(" ")),
        };
        let events = match self.events.len() {
            0 => "",
            _ => ", with known events",
        };
        format!("the next {} from {} in steps of {}{limit}{events}", self.horizon, self.window, self.step)
    }
}

/// What a series must not reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// A number, in the unit of the values.
    Value(f64),
    /// PromQL that yields the limit of each series: by the same labels, or by those that it has.
    Query(String),
}

/// Which windows of a monitor's data are held against each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftPlan {
    /// The labels that tell features apart.
    pub by: Vec<String>,
    /// How long both windows are.
    pub window: DurationMs,
    /// The time between two tests.
    pub every: DurationMs,
    /// What is usual.
    pub reference: Reference,
    /// The least Kolmogorov–Smirnov distance that matters.
    pub least_effect: f64,
}

impl DriftPlan {
    /// `6h against 6h a week before, every 30m, by feature`.
    pub fn in_words(&self) -> String {
        let Self { window, every, by, .. } = self;
        let reference = match self.reference {
            Reference::Until(until) => format!("those until {until}"),
            Reference::Before(before) => format!("those {} before", before.in_words()),
            Reference::Deployment => "the first since the last deployment".to_owned(),
        };
        format!("the latest {window} against {reference}, every {every}, by {}", by.join(", "))
    }
}

/// Where the window lies that the current one is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// It ended at this time.
    Until(Timestamp),
    /// It ended so long before now.
    Before(DurationMs),
    /// It began at the last deployment of the service.
    Deployment,
}

/// What users are promised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// The share of requests, or of the time, that is to be good: between 0 and 1, such as 0.999.
    pub objective: f64,
}

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
    /// What its users are promised, where it measures errors as a ratio, or availability.
    #[serde(default)]
    pub slo: Option<Slo>,
    /// What is forecast of its series.
    #[serde(default)]
    pub forecast: Option<ForecastPlan>,
    /// Its data are held against earlier data instead of being judged point by point.
    #[serde(default)]
    pub drift: Option<DriftPlan>,
}

/// The longest range of a query that is walked over.
struct Longest(DurationMs);

impl ExprVisitor for Longest {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Self::Error> {
        let range = match expr {
            Expr::MatrixSelector(selector) => selector.range,
            Expr::Subquery(subquery) => subquery.range,
            _ => return Ok(true),
        };
        self.0 = self.0.max(DurationMs::from_millis(i64::try_from(range.as_millis()).unwrap_or(i64::MAX)));
        Ok(true)
    }
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
            slo: None,
            forecast: None,
            drift: None,
        }
    }

    /// How far back one of its values looks: the longest range in its query, 0 where there is none. What lasts for a moment
    /// shows for so long.
    pub fn lookback(&self) -> DurationMs {
        let mut longest = Longest(DurationMs::ZERO);
        if let Ok(query) = promql_parser::parser::parse(&self.query) {
            let _ = walk_expr(&mut longest, &query);
        }
        longest.0
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
