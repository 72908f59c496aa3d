//! Adds up what speaks for each service.

use super::calls::Calls;
use super::deviation::{Deviation, together};
use super::work::{self, SYMPTOMS};
use super::{About, Cause, Diagnosis, Evidence, Kind, Parameters, words};
use crate::clock::Timestamp;

/// A metric counts as telling from this part of the strongest one's evidence on.
const TELLING: f64 = 0.5;
/// Evidence below this is noise.
const NOTHING: f64 = 0.05;
/// What each kind of symptom has for itself before anything is seen.
const EVEN: f64 = 0.1;
/// How many metrics are shown for a service, besides those that count.
const MOST_METRICS: usize = 5;

/// What all services are judged by.
struct Scene<'a> {
    calls: &'a Calls,
    services: &'a [Vec<Deviation>],
    p: &'a Parameters,
    /// The service to explain, and whether it was named rather than guessed.
    symptom: Option<usize>,
    named: bool,
    /// For each kind of symptom: how much of the trouble it is, and each service's own share of the work.
    work: Vec<(Kind, f64, Vec<Option<f64>>)>,
    /// How sure it is that there is extra work at all, 0 to 1.
    sure: f64,
    /// When the first telling onset was.
    first: Option<i64>,
}

/// Ranks the services; `services[i]` are the deviations of the service number `i`, the strongest evidence first.
pub(super) fn rank(calls: &Calls, services: &[Vec<Deviation>], symptom: Option<&str>, p: &Parameters) -> Diagnosis {
    let scene = Scene::new(calls, services, symptom, p);
    let mut causes: Vec<Cause> = (0..services.len()).map(|service| scene.cause(service)).collect();
    causes.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.service.cmp(&b.service)));
    let best = causes.first().map_or(0.0, |c| c.score);
    let sum: f64 = causes.iter().map(|c| (c.score - best).exp()).sum();
    for cause in &mut causes {
        cause.probability = (cause.score - best).exp() / sum;
    }
    Diagnosis { symptom: scene.symptom.map(|s| calls.names[s].clone()), causes }
}

impl<'a> Scene<'a> {
    fn new(calls: &'a Calls, services: &'a [Vec<Deviation>], symptom: Option<&str>, p: &'a Parameters) -> Self {
        let felt = |s: usize| services[s].iter().any(|d| SYMPTOMS.contains(&d.kind));
        let named = symptom.and_then(|s| calls.find(s));
        let symptom = named.or_else(|| calls.front_door(felt));
        let mut work: Vec<_> = SYMPTOMS
            .iter()
            .map(|&kind| {
                let extra = work::extra(services, kind);
                let at = symptom.map_or_else(|| (0..services.len()).collect(), |s| vec![s]);
                let seen = at.iter().map(|&s| strongest(&services[s], kind)).fold(0.0, f64::max);
                (kind, seen + EVEN, work::own_share(calls, &extra))
            })
            .collect();
        let all: f64 = work.iter().map(|w| w.1).sum();
        for w in &mut work {
            w.1 /= all;
        }
        let felt = SYMPTOMS.iter().flat_map(|&kind| services.iter().map(move |d| strongest(d, kind))).fold(0.0, f64::max);
        let sure = if felt > 0.0 { felt / (felt + p.felt) } else { 0.0 };
        let first = services.iter().filter_map(|d| telling(d)).map(|d| d.onset).min();
        Self { calls, services, p, symptom, named: named.is_some(), work, sure, first }
    }

    fn cause(&self, service: usize) -> Cause {
        let deviations = &self.services[service];
        let mut evidence = self.metrics(deviations);
        let size: f64 = if deviations.is_empty() { self.p.size * self.p.unseen } else { evidence.iter().map(|e| e.weight).sum() };
        let parts = [
            self.callers(service, size / self.p.size),
            self.work(service),
            self.course(service),
            self.time(deviations),
            self.reach(service),
        ];
        let score = size + parts.iter().flatten().map(|e| e.weight).sum::<f64>();
        let mut shown = 0;
        evidence.retain(|e| {
            shown += 1;
            shown <= MOST_METRICS || e.weight > 0.0
        });
        evidence.extend(parts.into_iter().flatten());
        let telling = telling(deviations);
        let time = |of: fn(&Deviation) -> i64| telling.map(|d| Timestamp::from_millis(of(d)));
        Cause {
            service: self.calls.names[service].clone(),
            probability: 0.0,
            score,
            onset: time(|d| d.onset),
            onset_low: time(|d| d.onset_low),
            onset_high: time(|d| d.onset_high),
            evidence,
        }
    }

    /// The metrics that changed, and what they add: the strongest kind in full, the second a part, the rest nothing.
    fn metrics(&self, deviations: &[Deviation]) -> Vec<Evidence> {
        let mut kinds: Vec<Kind> = Vec::new();
        let mut changed: Vec<(f64, &Deviation)> = deviations.iter().map(|d| (self.fits(d.kind) * d.evidence, d)).collect();
        changed.retain(|c| c.0 > 0.0);
        // Stable: of equals the one that came first.
        changed.sort_by(|a, b| b.0.total_cmp(&a.0));
        changed
            .into_iter()
            .map(|(counts, d)| {
                let share = if kinds.contains(&d.kind) { 0.0 } else { [1.0, self.p.second].get(kinds.len()).copied().unwrap_or(0.0) };
                if !kinds.contains(&d.kind) {
                    kinds.push(d.kind);
                }
                Evidence {
                    about: About::Metric,
                    metric: Some(d.metric.clone()),
                    text: words::metric(d),
                    weight: self.p.size * share * counts,
                    deviation: Some(d.robust),
                    onset: Some(Timestamp::from_millis(d.onset)),
                }
            })
            .collect()
    }

    /// What a deviation of this kind counts: less where the trouble to be explained is of the other kind of symptom.
    fn fits(&self, kind: Kind) -> f64 {
        let part = self.work.iter().find(|w| w.0 == kind).filter(|_| self.symptom.is_some()).map_or(1.0, |w| w.1);
        1.0 - self.p.misfit * (1.0 - part)
    }

    /// The symptoms above that a fault here would explain. Nothing can climb from a service that shows nothing.
    fn callers(&self, service: usize, own: f64) -> Option<Evidence> {
        let shows = (own / self.p.unseen).min(1.0);
        let mut weight = 0.0;
        let mut names: Vec<(f64, &str)> = Vec::new();
        for (above, calls) in self.calls.above(service) {
            let seen = SYMPTOMS.iter().map(|&kind| self.fits(kind) * strongest(&self.services[above], kind)).fold(0.0, f64::max);
            let climbs = self.p.climb.powi(calls);
            weight += (1.0 - climbs + climbs * (self.p.size * seen).min(self.p.caller).exp()).ln();
            if seen > NOTHING {
                names.push((seen, &self.calls.names[above]));
            }
        }
        names.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let names: Vec<&str> = names.into_iter().map(|n| n.1).collect();
        (!names.is_empty()).then(|| evidence(About::Callers, words::callers(&names), weight * shows))
    }

    /// Its own part of the requests stuck and lost.
    fn work(&self, service: usize) -> Option<Evidence> {
        if self.work.iter().all(|(_, _, shares)| shares.iter().all(Option::is_none)) {
            return None;
        }
        let known = self.work.iter().any(|(_, _, shares)| shares[service].is_some());
        let share: f64 = self.work.iter().map(|(_, part, shares)| part * shares[service].unwrap_or(self.p.unknown)).sum();
        let weight = self.sure * self.p.work * (self.p.granted + (1.0 - self.p.granted) * share).ln();
        let main = self.work.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(Kind::Latency, |w| w.0);
        Some(evidence(About::Work, words::work(main, known.then_some(share)), weight))
    }

    /// Whether it moves with the symptom.
    fn course(&self, service: usize) -> Option<Evidence> {
        let symptom = self.symptom?;
        let felt = || self.services[symptom].iter().filter(|d| SYMPTOMS.contains(&d.kind) && d.harm > 0.0);
        let most = felt().map(|d| d.evidence).fold(0.0, f64::max);
        let felt: Vec<_> = felt().filter(|d| d.evidence > 0.2 * NOTHING && d.evidence >= TELLING * most).collect();
        let own = &self.services[service];
        let most = own.first().map_or(0.0, |d| d.evidence);
        if felt.is_empty() || own.is_empty() {
            return None;
        }
        let mut best: Option<(f64, &Deviation, &Deviation)> = None;
        for d in own.iter().filter(|d| most > NOTHING && d.evidence >= TELLING * most) {
            for &f in &felt {
                let r = together(&d.course, &f.course).unwrap_or(0.0);
                if best.is_none_or(|b| r > b.0) {
                    best = Some((r, d, f));
                }
            }
        }
        let name = &self.calls.names[symptom];
        Some(match best {
            Some((r, d, f)) => evidence(About::Course, words::course(d, name, f, r), self.p.course * r),
            None => evidence(About::Course, words::still(name), -self.p.course),
        })
    }

    /// Whether others were earlier, by more than two steps and the uncertainty.
    fn time(&self, deviations: &[Deviation]) -> Option<Evidence> {
        let first = self.first?;
        let Some(d) = telling(deviations) else {
            return Some(evidence(About::Time, "none of its metrics left its course clearly".to_owned(), -self.p.late));
        };
        let late = d.onset.saturating_sub(first).max(0);
        let part = (late as f64 / (2 * d.step.max(self.p.guard)) as f64).min(1.0);
        Some(evidence(About::Time, words::late(late), -self.p.late * part))
    }

    /// Whether trouble can climb from here to the symptom that was named.
    fn reach(&self, service: usize) -> Option<Evidence> {
        let symptom = self.symptom.filter(|_| self.named && !self.calls.is_empty())?;
        let below = service == symptom || self.calls.above(service).contains_key(&symptom);
        let text = format!("no chain of calls leads from {} to it", self.calls.names[symptom]);
        (!below).then(|| evidence(About::Reach, text, self.p.elsewhere.ln()))
    }
}

fn evidence(about: About, text: String, weight: f64) -> Evidence {
    Evidence { about, metric: None, text, weight, deviation: None, onset: None }
}

/// The greatest evidence of a kind.
fn strongest(deviations: &[Deviation], kind: Kind) -> f64 {
    deviations.iter().filter(|d| d.kind == kind).map(|d| d.evidence).fold(0.0, f64::max)
}

/// The deviation that tells when the service's trouble began.
fn telling(deviations: &[Deviation]) -> Option<&Deviation> {
    deviations.first().filter(|d| d.evidence > 4.0 * NOTHING)
}
