//! What the features of one service say together, and the finding that it is.

use std::collections::BTreeMap;

use crate::analysis::drift::Bounded;
use crate::clock::Timestamp;
use crate::engine::histograms::{Judged, JudgedHistogram};
use crate::finding::{Direction, Evidence, Finding, FindingKind};
use crate::metric::Unit;
use crate::monitor::{DriftPlan, Monitor};
use crate::series::SeriesKey;

/// Features named in one finding.
const MOST_NAMED: usize = 20;

/// The features of one service.
pub struct Verdict<'a> {
    /// The label that tells the service, or nothing where it is the monitor's.
    pub key: SeriesKey,
    /// Those that drifted, the most severe first.
    drifted: Vec<(&'a SeriesKey, &'a Judged)>,
}

/// The features by service, in order of their keys.
pub fn verdicts<'a>(monitor: &Monitor, features: &'a [JudgedHistogram]) -> Vec<Verdict<'a>> {
    let mut services: BTreeMap<SeriesKey, Vec<(&SeriesKey, &Judged)>> = BTreeMap::new();
    for feature in features {
        let key =
            if monitor.service.is_some() { SeriesKey::default() } else { feature.key.only(std::slice::from_ref(&monitor.service_label)) };
        let service = services.entry(key).or_default();
        if let Ok(judged) = &feature.outcome
            && judged.drifted
        {
            service.push((&feature.key, judged));
        }
    }
    services.into_iter().map(|(key, drifted)| Verdict { key, drifted }).collect()
}

/// A feature's name: the value of the only label, or all of them.
pub fn feature_name(key: &SeriesKey) -> String {
    match key.labels().iter().next() {
        Some((_, value)) if key.labels().len() == 1 => value.clone(),
        Some(_) => key.to_string(),
        None => "all".to_owned(),
    }
}

impl Verdict<'_> {
    /// Whether any has.
    pub fn drifted(&self) -> bool {
        !self.drifted.is_empty()
    }

    /// The finding at `now` of a drift that was first seen at `onset`.
    pub fn finding(&self, monitor: &Monitor, plan: &DriftPlan, onset: Timestamp, now: Timestamp) -> Finding {
        let evidence: Vec<Evidence> = self.drifted.iter().take(MOST_NAMED).map(|(key, judged)| evidence(key, judged)).collect();
        let worst = self.drifted.iter().map(|(_, judged)| judged.found.ks.value).fold(0.0, f64::max);
        Finding {
            id: Finding::identity(&format!("{}\ndrift", monitor.name), &self.key, onset),
            monitor: monitor.name.clone(),
            service: monitor.service_of(&self.key),
            key: self.key.clone(),
            metric: monitor.metric,
            // A distance has no unit, whatever the values have.
            unit: Unit::None,
            kind: FindingKind::Drift,
            direction: Direction::Up,
            onset,
            opened: onset,
            last_seen: now,
            ended: None,
            value: worst,
            expected: 0.0,
            lower: 0.0,
            upper: plan.least_effect,
            score: worst / plan.least_effect,
            p_value: evidence.iter().map(|one| one.p_value).fold(1.0, f64::min),
            evidence,
            model: "drift".to_owned(),
            reach: None,
            course: None,
        }
    }
}

fn evidence(key: &SeriesKey, judged: &Judged) -> Evidence {
    let name = feature_name(key);
    let found = &judged.found;
    let show = |value| Unit::None.show(value);
    let bounded =
        |of: Bounded, whose: &str| show(of.value) + &of.in_words(show).map_or_else(String::new, |open| format!(" ({open}{whose})"));
    let note = format!(
        "{name} has drifted: Kolmogorov–Smirnov {}, PSI {}, Wasserstein {}, {} observations against {}",
        bounded(found.ks, " of the values themselves"),
        bounded(found.psi, ""),
        bounded(found.wasserstein, ""),
        show(judged.current_count.round()),
        show(judged.reference_count.round()),
    );
    Evidence { detector: name, p_value: judged.adjusted_p, note }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::drift::Sketch;
    use crate::clock::DurationMs;
    use crate::engine::histograms::FeatureHistograms;
    use crate::monitor::Reference;

    fn key(service: &str, feature: &str) -> SeriesKey {
        SeriesKey::new([("service".to_owned(), service.to_owned()), ("feature".to_owned(), feature.to_owned())])
    }

    /// A thousand values around `at`.
    fn values(at: f64) -> Sketch {
        let mut sketch = Sketch::default();
        (0..1000).for_each(|i| sketch.push(at + f64::from(i % 100) / 100.0));
        sketch
    }

    fn judged() -> Vec<JudgedHistogram> {
        let reference = [(key("churn", "age"), values(0.0)), (key("churn", "income"), values(0.0)), (key("fraud", "amount"), values(5.0))];
        let current = [(key("churn", "age"), values(0.2)), (key("churn", "income"), values(0.5)), (key("fraud", "amount"), values(5.0))];
        FeatureHistograms::of_sketches(reference.into(), current.into()).judged(0.1)
    }

    #[test]
    fn a_service_is_found_with_its_features_ranked() {
        let monitor = Monitor { name: "features".to_owned(), ..Monitor::ad_hoc(DurationMs::HOUR, None) };
        let by = vec!["service".to_owned(), "feature".to_owned()];
        let plan = DriftPlan {
            by,
            window: DurationMs::HOUR,
            every: DurationMs::HOUR,
            reference: Reference::Before(DurationMs::DAY),
            least_effect: 0.1,
        };
        let judged = judged();
        let verdicts = verdicts(&monitor, &judged);
        assert_eq!(verdicts.iter().map(Verdict::drifted).collect::<Vec<_>>(), [true, false]);
        let onset = Timestamp::from_millis(3_600_000);
        let found = verdicts[0].finding(&monitor, &plan, onset, onset + DurationMs::HOUR);
        assert_eq!((found.service.as_str(), found.kind, found.onset), ("churn", FindingKind::Drift, onset));
        assert!((found.value - 0.5).abs() < 0.01 && found.score > 4.9 && found.p_value < 1e-9, "{found:?}");
        let names: Vec<bool> = found.evidence.iter().map(|e| e.detector.contains("income")).collect();
        assert_eq!(names, [true, false]);
        assert!(found.in_words().unwrap().ends_with(", and 1 more"), "{:?}", found.in_words());
    }

    #[test]
    fn features_of_one_label_are_named_by_its_value() {
        assert_eq!(feature_name(&SeriesKey::new([("feature".to_owned(), "age".to_owned())])), "age");
        assert_eq!(feature_name(&key("a", "b")), "{feature=\"b\",service=\"a\"}");
        assert_eq!(feature_name(&SeriesKey::default()), "all");
    }
}
