//! Histograms of Prometheus in two windows, held against each other.

use std::collections::BTreeMap;

use promql_parser::parser::{self, Expr, VectorSelector};

use crate::analysis::drift::{Histogram, HistogramDrift, InvalidHistogram, Sketch, benjamini_hochberg, test_histograms};
use crate::clock::{DurationMs, Timestamp};
use crate::error::{Error, Result};
use crate::series::SeriesKey;
use crate::source::prometheus::Prometheus;

/// The chance of a false drift.
const ALPHA: f64 = 0.05;

/// Which histograms, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    /// A selector of classic buckets (`…_bucket`) or of native histograms.
    pub selector: String,
    /// The labels that tell features apart.
    pub by: Vec<String>,
    /// The end of what is usual.
    pub reference_end: Timestamp,
    /// The end of what is now.
    pub current_end: Timestamp,
    /// How long both are.
    pub window: DurationMs,
}

/// The histograms of each feature, in the order of its labels.
#[derive(Clone, Debug, Default)]
pub struct FeatureHistograms(BTreeMap<SeriesKey, [Option<Result<Histogram, InvalidHistogram>>; 2]>);

/// What was found in one feature.
#[derive(Clone, Debug)]
pub struct JudgedHistogram {
    /// Its labels.
    pub key: SeriesKey,
    /// The chance of a false drift it was held against.
    pub alpha: f64,
    /// What was found, or why nothing can be said.
    pub outcome: Result<Judged, String>,
}

/// The distances of one feature and what follows from them.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The distances.
    pub found: HistogramDrift,
    /// The p-value after adjustment for the number of features.
    pub adjusted_p: f64,
    /// Whether this is drift.
    pub drifted: bool,
    /// How many observations there were.
    pub reference_count: f64,
    /// How many there are.
    pub current_count: f64,
}

impl Windows {
    /// Reads them.
    ///
    /// # Errors
    /// A selector or label that is none, windows that overlap, no histograms, or a Prometheus that does not answer.
    pub async fn read(&self, prometheus: &Prometheus) -> Result<FeatureHistograms> {
        let found = self.read_any(prometheus).await?;
        if found.is_empty() {
            let kind = if is_classic(&self.selector) { "classic" } else { "native" };
            return Err(Error::invalid("histograms.selector", format!("{} yields no {kind} histograms in either window", self.selector)));
        }
        Ok(found)
    }

    /// The same, where there may be none.
    ///
    /// # Errors
    /// As of [`Windows::read`].
    pub async fn read_any(&self, prometheus: &Prometheus) -> Result<FeatureHistograms> {
        let (classic, grouped) = self.check()?;
        let mut found = FeatureHistograms::default();
        for (side, end) in [self.reference_end, self.current_end].into_iter().enumerate() {
            let increase = format!("increase({}[{}])", self.selector.trim(), self.window);
            if classic {
                let query = format!("sum by ({}) ({increase})", grouped.iter().copied().chain(["le"]).collect::<Vec<_>>().join(", "));
                let mut buckets: BTreeMap<SeriesKey, Vec<(f64, f64)>> = BTreeMap::new();
                for (key, count) in prometheus.instant(&query, end).await? {
                    let le = key.get("le").and_then(|le| le.parse().ok()).unwrap_or(f64::NAN);
                    buckets.entry(key.only(&self.by)).or_default().push((le, count));
                }
                for (key, buckets) in buckets {
                    found.0.entry(key).or_default()[side] = Some(Histogram::classic(&buckets));
                }
            } else {
                let query = format!("sum by ({}) ({increase})", grouped.join(", "));
                for (key, buckets) in prometheus.instant_histograms(&query, end).await? {
                    found.0.entry(key).or_default()[side] = Some(Histogram::of_buckets(&buckets));
                }
            }
        }
        Ok(found)
    }

    /// Whether they are classic, and the labels.
    fn check(&self) -> Result<(bool, Vec<&str>)> {
        if !is_selector(&self.selector) {
            let what = format!("`{}` is no selector; one such as model_score_bucket{{model=\"churn\"}} is needed", self.selector);
            return Err(Error::invalid("histograms.selector", what));
        }
        let is_label = |label: &str| {
            label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if let Some((i, label)) = self.by.iter().enumerate().find(|(_, label)| !is_label(label) || *label == "le") {
            return Err(Error::invalid(format!("histograms.by[{i}]"), format!("`{label}` is no label that tells features apart")));
        }
        if self.reference_end > self.current_end - self.window {
            let what = format!("{} is within the window of {} before {}", self.reference_end, self.window, self.current_end);
            return Err(Error::invalid("histograms.reference_end", what));
        }
        Ok((is_classic(&self.selector), self.by.iter().map(String::as_str).collect()))
    }
}

fn selector(query: &str) -> Option<VectorSelector> {
    match parser::parse(query) {
        Ok(Expr::VectorSelector(selector)) => Some(selector),
        _ => None,
    }
}

/// Whether a query is a plain selector.
pub fn is_selector(query: &str) -> bool {
    selector(query).is_some()
}

/// Whether it selects the buckets of classic histograms.
pub fn is_classic(query: &str) -> bool {
    selector(query).and_then(|selector| selector.name).is_some_and(|name| name.ends_with("_bucket"))
}

impl FeatureHistograms {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many features there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Those of values in a reference and a current window.
    pub fn of_sketches(reference: BTreeMap<SeriesKey, Sketch>, current: BTreeMap<SeriesKey, Sketch>) -> Self {
        let mut found = Self::default();
        for (side, sketches) in [reference, current].into_iter().enumerate() {
            for (key, sketch) in sketches {
                found.0.entry(key).or_default()[side] = Some(sketch.histogram());
            }
        }
        found
    }

    /// Holds each feature's histograms against each other; a drift has an adjusted p-value under 0.05 and an effect of at
    /// least `least_effect`. The most severe come first.
    pub fn judged(&self, least_effect: f64) -> Vec<JudgedHistogram> {
        let mut judged: Vec<JudgedHistogram> = self
            .0
            .iter()
            .map(|(key, [reference, current])| {
                let side = |name: &str, of: &Option<Result<Histogram, InvalidHistogram>>| match of {
                    None => Err(format!("there is no histogram in the {name} window")),
                    Some(Err(why)) => Err(format!("the {name} window: {why}")),
                    Some(Ok(histogram)) => Ok(histogram.clone()),
                };
                let outcome = side("reference", reference).and_then(|reference| {
                    let current = side("current", current)?;
                    let found = test_histograms(&reference, &current);
                    let (reference_count, current_count) = (reference.total(), current.total());
                    Ok(Judged { adjusted_p: found.p_value, found, drifted: false, reference_count, current_count })
                });
                JudgedHistogram { key: key.clone(), alpha: ALPHA, outcome }
            })
            .collect();
        let p_values: Vec<f64> = judged.iter().map(|one| one.outcome.as_ref().map_or(f64::NAN, |o| o.found.p_value)).collect();
        for (one, adjusted) in judged.iter_mut().zip(benjamini_hochberg(&p_values)) {
            if let Ok(outcome) = &mut one.outcome {
                outcome.adjusted_p = adjusted;
                outcome.drifted = outcome.found.drifted(adjusted, ALPHA, least_effect);
            }
        }
        let severity = |one: &JudgedHistogram| one.outcome.as_ref().map_or(-1.0, |o| f64::from(u8::from(o.drifted)) + o.found.ks.value);
        judged.sort_by(|a, b| severity(b).total_cmp(&severity(a)).then_with(|| a.key.cmp(&b.key)));
        judged
    }
}
