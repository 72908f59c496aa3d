//! Which drifts last: one test alone opens and ends nothing.

use std::collections::BTreeMap;

use super::verdict::Verdict;
use crate::clock::{DurationMs, Timestamp};
use crate::engine::lasting::Open;
use crate::finding::{Finding, FindingKind};
use crate::monitor::{DriftPlan, Monitor};
use crate::series::SeriesKey;

/// So many tests in a row must say the same before a finding opens or ends.
const CONFIRMED: u32 = 3;

/// What the latest tests said of each service.
#[derive(Default)]
pub struct Said(BTreeMap<SeriesKey, Run>);

/// Tests of one service in a row that said the same.
struct Run {
    drifted: bool,
    /// When the first of them was made.
    since: Timestamp,
    times: u32,
}

impl Said {
    /// Takes in what a test at `now` says. A test that is made again, because the first could not be told, counts once.
    pub fn hear(&mut self, verdicts: &[Verdict<'_>], now: Timestamp, every: DurationMs) {
        self.0.retain(|key, _| verdicts.iter().any(|verdict| verdict.key == *key));
        for verdict in verdicts {
            let drifted = verdict.drifted();
            match self.0.get_mut(&verdict.key).filter(|run| run.drifted == drifted) {
                Some(run) if now >= run.since + every * i64::from(run.times) => run.times = run.times.saturating_add(1),
                Some(_) => {}
                None => {
                    self.0.insert(verdict.key.clone(), Run { drifted, since: now, times: 1 });
                }
            }
        }
    }

    /// Every finding that is new, lasts or has ended, and those of them that are open. `known` are those that were.
    pub fn decide(&self, plan: (&Monitor, &DriftPlan), verdicts: &[Verdict<'_>], mut known: Open, now: Timestamp) -> (Vec<Finding>, Open) {
        let (mut told, mut open) = (Vec::new(), Open::new());
        for verdict in verdicts {
            let Some(run) = self.0.get(&verdict.key) else { continue };
            let confirmed = run.times >= CONFIRMED;
            let before =
                known.get(&verdict.key).is_some_and(|f| f.kind == FindingKind::Drift).then(|| known.remove(&verdict.key)).flatten();
            match before {
                Some(finding) if verdict.drifted() => {
                    open.insert(verdict.key.clone(), verdict.finding(plan.0, plan.1, finding.onset, now));
                }
                Some(finding) if confirmed => told.push(Finding { ended: Some(now), ..finding }),
                Some(finding) => drop(open.insert(verdict.key.clone(), finding)),
                None if verdict.drifted() && confirmed => {
                    open.insert(verdict.key.clone(), verdict.finding(plan.0, plan.1, run.since, now));
                }
                None => {}
            }
        }
        // What gives no data any more, and what another kind of monitor of this name left open.
        told.extend(known.into_values().map(|finding| Finding { ended: Some(now), ..finding }));
        told.extend(open.values().cloned());
        (told, open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::drift::Sketch;
    use crate::engine::drifting::verdict::verdicts;
    use crate::engine::histograms::{FeatureHistograms, JudgedHistogram};
    use crate::monitor::Reference;

    const MINUTE: DurationMs = DurationMs::from_secs(60);

    fn judged(shift: f64) -> Vec<JudgedHistogram> {
        let of = |at: f64| {
            let mut sketch = Sketch::default();
            (0..500).for_each(|i| sketch.push(at + f64::from(i)));
            BTreeMap::from([(SeriesKey::new([("feature".to_owned(), "age".to_owned())]), sketch)])
        };
        FeatureHistograms::of_sketches(of(0.0), of(shift)).judged(0.1)
    }

    #[test]
    fn one_test_alone_opens_and_ends_nothing() {
        let monitor = Monitor { name: "m".to_owned(), service: Some("churn".to_owned()), ..Monitor::ad_hoc(MINUTE, None) };
        let by = vec!["feature".to_owned()];
        let plan = DriftPlan { by, window: MINUTE * 10, every: MINUTE, reference: Reference::Before(MINUTE * 60), least_effect: 0.1 };
        let (drifted, calm) = (judged(200.0), judged(0.0));
        let (mut said, mut open) = (Said::default(), Open::new());
        // Minute, whether it drifted, and whether a finding is open after the test.
        let course = [
            (0, true, false),
            (1, false, false),
            (2, true, false),
            (3, true, false),
            // The same test again.
            (3, true, false),
            (4, true, true),
            (5, false, true),
            (6, false, true),
            (7, true, true),
            (8, false, true),
            (9, false, true),
            (10, false, false),
            (11, true, false),
        ];
        let mut onsets = Vec::new();
        for (minute, has_drifted, is_open) in course {
            let now = Timestamp::default() + MINUTE * minute;
            let judged = if has_drifted { &drifted } else { &calm };
            let verdicts = verdicts(&monitor, judged);
            said.hear(&verdicts, now, plan.every);
            let before = open.len();
            let (told, after) = said.decide((&monitor, &plan), &verdicts, open, now);
            assert_eq!(after.len() == 1, is_open, "minute {minute}");
            assert_eq!(told.iter().filter(|f| !f.is_open()).count(), usize::from(before == 1 && !is_open), "minute {minute}");
            onsets.extend(after.values().map(|f| f.onset));
            open = after;
        }
        onsets.dedup();
        assert_eq!(onsets, [Timestamp::default() + MINUTE * 2], "it began with the first of the three");
    }

    #[test]
    fn what_gives_no_data_any_more_ends() {
        let monitor = Monitor { name: "m".to_owned(), service: Some("churn".to_owned()), ..Monitor::ad_hoc(MINUTE, None) };
        let plan = DriftPlan { by: Vec::new(), window: MINUTE, every: MINUTE, reference: Reference::Deployment, least_effect: 0.1 };
        let judged = judged(200.0);
        let verdicts = verdicts(&monitor, &judged);
        let finding = verdicts[0].finding(&monitor, &plan, Timestamp::default(), Timestamp::default());
        let known = Open::from([(finding.key.clone(), finding)]);
        let (told, open) = Said::default().decide((&monitor, &plan), &[], known, Timestamp::default() + MINUTE);
        assert_eq!((told[0].ended, open.len()), (Some(Timestamp::default() + MINUTE), 0));
    }
}
