//! One monitor: read what is new, judge it, hand on what was found.

mod beside;
mod grouped;
mod kept;
mod series;
mod together;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use rayon::prelude::*;

use super::Engine;
use super::guarded::samples::Samples;
use super::guarded::traffic::Traffic;
use super::guarded::{self, Guarded, Judged};
use super::held::Held;
use super::status::SeriesStatus;
use crate::analysis::detect::{Decision, Judgement, Model, Stretch};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::finding::{Finding, FindingKind, HeldBack};
use crate::guard::Suppressed;
use crate::monitor::Monitor;
use crate::series::{Series, SeriesKey, Window};
use crate::store::models::Loaded;
use crate::telemetry;
pub use grouped::Grouped;
use kept::{Kept, Refused};
use series::MOST_HELD_BACK;
pub use series::Watched;
pub use together::{Judging, Said, Together, Windows, lend_to_the_young};

/// The evaluation of one monitor, with all that is in memory of its series.
pub struct Evaluation {
    engine: Engine,
    monitor: Monitor,
    /// What is watched; away while the CPU pool works on it, and gone when that panicked.
    watched: Option<BTreeMap<SeriesKey, Kept>>,
    /// The same series beside each other.
    together: Together,
    /// The next step to read.
    next: Timestamp,
    /// Whether the history has been read.
    has_read: bool,
    /// Findings that could not be committed yet.
    pending: BTreeMap<String, Finding>,
    /// Whether the findings of the time before the start have been taken over.
    taken_over: bool,
    /// Findings that are held back.
    held: Held,
    /// When series first appeared that were there before the first reading begins.
    appeared: BTreeMap<SeriesKey, Timestamp>,
    /// The traffic beside the series, where a guard asks for it.
    traffic: Arc<Traffic>,
    /// The samples behind its values, where a guard asks for them.
    samples: Option<Samples>,
}

/// A finding that changed, and why guards hold it back.
type Told = (Finding, Option<Suppressed>);

/// What one round on the CPU pool gave.
struct Round {
    watched: BTreeMap<SeriesKey, Kept>,
    together: Together,
    findings: Vec<Told>,
    fitted: Vec<SeriesKey>,
    open: BTreeSet<String>,
}

impl Evaluation {
    /// Nothing is read yet.
    pub fn new(engine: Engine, monitor: Monitor) -> Self {
        Self {
            samples: Samples::of(&monitor),
            engine,
            monitor,
            watched: None,
            together: Together::default(),
            next: Timestamp::default(),
            has_read: false,
            pending: BTreeMap::new(),
            taken_over: false,
            held: Held::default(),
            appeared: BTreeMap::new(),
            traffic: Arc::default(),
        }
    }

    /// Reads, judges and commits what is new.
    ///
    /// # Errors
    /// Prometheus or the store does not answer; nothing is lost, the next run goes on from there.
    pub async fn run(&mut self) -> Result<()> {
        let inner = self.engine.0.clone();
        let started = inner.clock.now();
        let end = started.align_down(self.monitor.step);
        // The first reading is the long one: only so many at a time.
        let _first = if self.has_read { None } else { inner.first_reads.acquire().await.ok() };
        if self.watched.is_none() {
            self.start(end).await?;
        }
        let mut warnings = Vec::new();
        if self.next <= end {
            let prometheus = self.engine.prometheus()?;
            let reading = prometheus.range(&self.monitor.query, self.next, end, self.monitor.step).await?;
            warnings = reading.warnings;
            let earlier = self.read_earlier(end, &mut warnings).await?;
            self.count_samples(end, &mut warnings).await;
            let read_traffic = self.read_traffic(end, &mut warnings).await;
            self.judge(reading.series, earlier, end, &mut warnings).await?;
            if read_traffic {
                self.warn_of_unknown_traffic(&mut warnings);
            }
            Arc::make_mut(&mut self.traffic).forget(end - MOST_HELD_BACK);
            self.samples.iter_mut().for_each(Samples::forget);
            self.next = end + self.monitor.step;
            self.has_read = true;
        }
        let findings: Vec<Finding> = self.pending.values().cloned().collect();
        self.engine.correlate(&findings, Vec::new()).await?;
        self.pending.clear();
        self.held.commit(&inner.store).await?;
        let (watched, alpha) = (self.watched.as_ref(), self.alpha());
        let mut series: Vec<SeriesStatus> = watched.into_iter().flatten().map(|(key, kept)| kept.status(key, &self.monitor)).collect();
        let mut groups = self.together.statuses(&self.monitor);
        self.held.mark(&mut series, |kind| kind != FindingKind::Group);
        self.held.mark(&mut groups, |kind| kind == FindingKind::Group);
        let now = inner.clock.now();
        let took = now.since(started);
        metrics::histogram!("bellwether_evaluation_seconds").record(took.seconds());
        metrics::gauge!("bellwether_alpha", "monitor" => self.monitor.name.clone()).set(alpha);
        self.engine.set_status(&self.monitor.name, |status| {
            status.series = Arc::new(series);
            status.groups = Arc::new(groups);
            status.last_evaluated = Some(now);
            status.evaluation_time = took;
            status.last_error = None;
            status.warnings = warnings;
            status.alpha = alpha;
        });
        Ok(())
    }

    /// Takes up what is stored, before anything is read.
    async fn start(&mut self, end: Timestamp) -> Result<()> {
        self.taken_over = false;
        let loaded = self.load_models().await?;
        let oldest = end - self.monitor.window;
        // A group is not stored: it is learned again from the whole history.
        let known = if self.monitor.group_by.is_some() { None } else { loaded.values().map(|m| m.trained_until).min() };
        self.next = known.unwrap_or(oldest).max(oldest).align_down(self.monitor.step);
        self.together = Together::default();
        self.appeared = guarded::appeared(self.engine.prometheus()?, &self.monitor, self.next, end).await?;
        let mut held = self.engine.0.store.open_held_back(&self.monitor.name).await?;
        held.retain(|held| self.is_own(held.finding.kind));
        self.held = Held::of(held);
        self.traffic = Arc::default();
        self.samples = Samples::of(&self.monitor);
        let keep = |(key, model)| {
            let guarded = Guarded::since(self.appeared.get(&key).copied());
            (key, Kept { series: Watched::with_model(model), guarded })
        };
        self.watched = Some(loaded.into_iter().map(keep).collect());
        Ok(())
    }

    /// The stored models; what was refused is named in the log and its whole history is read again.
    async fn load_models(&self) -> Result<BTreeMap<SeriesKey, Model>> {
        let (engine, monitor) = (self.engine.clone(), self.monitor.clone());
        let load = move || engine.0.models.lock().unwrap_or_else(PoisonError::into_inner).load(&monitor);
        let Loaded { models, refused } =
            tokio::task::spawn_blocking(load).await.map_err(|e| Error::new(Code::Internal, "loading models failed").caused_by(e))?;
        for (file, reason) in &refused {
            metrics::counter!("bellwether_models_refused_total").increment(1);
            tracing::warn!(monitor = self.monitor.name, file, reason, "stored model refused; it will be fitted anew");
        }
        let oldest = self.engine.0.clock.now() - self.monitor.window;
        Ok(if refused.is_empty() { models.into_iter().filter(|(_, m)| m.trained_until > oldest).collect() } else { BTreeMap::new() })
    }

    /// Whether the findings of a kind are judged here, or by nobody any more.
    fn is_own(&self, kind: FindingKind) -> bool {
        // Findings of a plan that is there no more are ended with those that were not found again.
        kind != FindingKind::Capacity || self.monitor.forecast.is_none()
    }

    fn alpha(&self) -> f64 {
        let own = self.watched.as_ref().map_or(0, BTreeMap::len) + self.together.groups();
        self.engine.share(&self.monitor, own).alpha(self.monitor.step)
    }

    /// Takes in what was read and judges it on the CPU pool.
    async fn judge(&mut self, read: Vec<Series>, earlier: Vec<Series>, end: Timestamp, warnings: &mut Vec<String>) -> Result<()> {
        let mut watched = self.watched.take().unwrap_or_default();
        for series in earlier {
            if let Some(known) = watched.get_mut(&series.key) {
                known.series.prepend(&series.window);
            }
        }
        let places = end.since(self.next).steps(self.monitor.step) + 1;
        let nothing =
            Window::new(self.next, self.monitor.step, vec![f64::NAN; places]).map_err(|e| Error::new(Code::Internal, e.to_string()))?;
        let keep = self.monitor.window.steps(self.monitor.step);
        let mut new: BTreeMap<SeriesKey, Window> = read.into_iter().map(|s| (s.key, s.window)).collect();
        let mut refused = Refused::default();
        for (key, known) in &mut watched {
            let read = new.remove(key).unwrap_or_else(|| nothing.clone());
            known.series.append(&refused.measure(&mut known.guarded, &self.monitor, self.samples.as_ref(), key, read), keep)?;
        }
        for (key, window) in new {
            let mut guarded = Guarded::since(self.appeared.get(&key).copied());
            let window = refused.measure(&mut guarded, &self.monitor, self.samples.as_ref(), &key, window);
            watched.insert(key, Kept { series: Watched::new(window), guarded });
        }
        self.appeared.clear();
        warnings.extend(refused.warnings());
        watched.retain(|_, kept| !kept.series.is_gone());
        self.watched = Some(watched);
        let decision = Decision { alpha: self.alpha(), direction: self.monitor.direction };
        let (monitor, refit, traffic) = (self.monitor.clone(), self.engine.0.config.refit, Arc::clone(&self.traffic));
        let (watched, together) = (self.watched.take().unwrap_or_default(), std::mem::take(&mut self.together));
        let judging = move || {
            let judging = Judging { monitor: &monitor, decision, refit };
            advance(watched, together, judging, &traffic, end)
        };
        // After a panic everything is read and fitted again; what is stored is refused if it is the cause again.
        let Round { watched, together, findings, fitted, open } = self.engine.pool().run(judging).await?;
        (self.watched, self.together) = (Some(watched), together);
        let known = self.engine.known_open(&self.monitor.name, |kind| self.is_own(kind)).await;
        let known_ids: BTreeSet<&str> = known.iter().map(|f| f.id.as_str()).collect();
        for (finding, held) in findings {
            let told = known_ids.contains(finding.id.as_str()) || self.pending.contains_key(&finding.id);
            let why = held.map(|why| why.reason(self.monitor.unit)).or_else(|| if told { None } else { self.engine.holds_back(&finding) });
            match why {
                Some(suppressed) if !told => self.held.take(HeldBack { finding, suppressed }),
                _ if told || finding.is_open() => {
                    if !told {
                        metrics::counter!("bellwether_findings_total").increment(1);
                    }
                    if held.is_some() && finding.kind == FindingKind::Group {
                        self.together.release(&finding.key, finding.onset);
                    } else if held.is_some()
                        && let Some(kept) = self.watched.as_mut().and_then(|watched| watched.get_mut(&finding.key))
                    {
                        kept.guarded.release(finding.onset);
                    }
                    self.held.release(&finding.id);
                    self.pending.insert(finding.id.clone(), finding);
                }
                // What began and ended before anybody could be told is history.
                _ => self.held.end(finding),
            }
        }
        if !self.taken_over {
            // Findings from before the start that the replay did not find again have ended.
            for mut finding in known.iter().filter(|f| !open.contains(&f.id)).cloned() {
                finding.ended = Some(end);
                self.pending.entry(finding.id.clone()).or_insert(finding);
            }
            self.held.end_others(&open, end);
            self.taken_over = true;
        }
        self.save_models(&fitted).await;
        Ok(())
    }

    /// Keeps what was fitted. A disk that refuses costs a fit at the next start, no more.
    async fn save_models(&self, fitted: &[SeriesKey]) {
        let watched = self.watched.as_ref();
        let models: Vec<(SeriesKey, Model)> =
            fitted.iter().filter_map(|key| watched?.get(key)?.series.model().map(|m| (key.clone(), m.clone()))).collect();
        if models.is_empty() {
            return;
        }
        let (engine, monitor) = (self.engine.clone(), self.monitor.clone());
        let save = move || {
            let models: Vec<(SeriesKey, &Model)> = models.iter().map(|(key, model)| (key.clone(), model)).collect();
            engine.0.models.lock().unwrap_or_else(PoisonError::into_inner).save(&monitor, &models)
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(save).await {
            telemetry::failure("models", &error);
        }
    }
}

/// Fits what is to be fitted and judges what is new, all series at once.
fn advance(mut watched: BTreeMap<SeriesKey, Kept>, mut together: Together, judging: Judging, traffic: &Traffic, end: Timestamp) -> Round {
    let Judging { monitor, decision, refit } = judging;
    let windows: Windows = watched.iter().filter_map(|(key, kept)| Some((key, kept.series.window()?))).collect();
    let calm = watched.values().all(|kept| kept.series.open().is_none());
    let mut findings: Vec<Told> = together.advance(&windows, judging, calm).into_iter().flat_map(|said| said.findings).collect();
    let results: Vec<(Vec<Told>, Option<SeriesKey>)> = watched
        .par_iter_mut()
        .map(|(key, Kept { series, guarded })| {
            let mut seen = |judgement: &Judgement, open| {
                let traffic = || traffic.at(monitor, key, judgement.time);
                guarded.take(&monitor.guards, &Judged::from(judgement), open, traffic);
            };
            let peers = |time| together.view(key, time);
            let mut stretches = series.judge(decision, peers, &mut seen);
            let fitted = series.fit_if_due(key, end, refit);
            if fitted {
                stretches.extend(series.judge(decision, peers, &mut seen));
            }
            let held = |stretch: &Stretch| guarded.held(stretch.onset, stretch.last_seen);
            let told = stretches.iter().map(|(stretch, model)| (stretch.finding(monitor, key, model), held(stretch)));
            let findings = told.collect();
            guarded.forget(series.open().map(|stretch| stretch.onset));
            (findings, fitted.then(|| key.clone()))
        })
        .collect();
    let series: Vec<_> = watched.iter().map(|(key, kept)| (key, &kept.series)).collect();
    for (key, model) in lend_to_the_young(&series, monitor.group_by.as_deref()) {
        if let Some(kept) = watched.get_mut(&key) {
            kept.series.take_over(model);
        }
    }
    let open = watched.iter().filter_map(|(key, kept)| kept.series.open().map(|s| Finding::identity(&monitor.name, key, s.onset)));
    let open = open.chain(together.open(monitor)).collect();
    let (of_series, fitted): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    findings.extend(of_series.concat());
    Round { watched, together, findings, fitted: fitted.into_iter().flatten().collect(), open }
}
