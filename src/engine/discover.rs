//! Discovery: from what a Prometheus has to what should be watched.
//!
//! Names, types and labels give candidates ([`propose`]), by convention: rates of counters, quantiles of histograms,
//! error ratios, utilisations, grouped by service. One coarse query for each then shows which of them live, move and
//! stay within bounds ([`probe`]). The number of requests is bounded whatever Prometheus has.

mod conventions;
mod meaning;
mod metric;
mod probe;
mod propose;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use self::metric::{Counts, Metric};
use self::propose::Candidate;
use crate::clock::{DurationMs, Timestamp};
use crate::error::{Code, Error, Result};
use crate::monitor::Monitor;
use crate::series::SeriesKey;
use crate::source::prometheus::{Metadata, Prometheus};

/// Requests for labels at most; what is left then has no labels and is skipped.
const MOST_LABEL_REQUESTS: usize = 300;
/// Series asked for in one request for labels.
const SERIES_PER_REQUEST: usize = 2000;
/// Characters of one selector: servers refuse very long addresses.
const SELECTOR_LENGTH: usize = 3000;
/// Labels of a larger metric are judged by this many of its series.
const SAMPLE: usize = 200;
/// Requests under way at once; the client may allow fewer.
const AT_ONCE: usize = 8;

/// What to propose, and how much at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The step of the monitors.
    pub step: DurationMs,
    /// The window of the monitors.
    pub window: DurationMs,
    /// The most monitors to propose; the most telling kinds come first.
    pub most_monitors: usize,
    /// The most series one monitor may have.
    pub most_series: usize,
    /// The most series a metric may have before it is aggregated.
    pub most_raw_series: usize,
}

impl Options {
    /// Monitors with this step and window, within the usual limits: 300 monitors of 200 series.
    pub fn new(step: DurationMs, window: DurationMs) -> Self {
        Self { step, window, most_monitors: 300, most_series: 200, most_raw_series: 50_000 }
    }
}

/// What should be watched, and what not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposal {
    /// In order of their metrics' names.
    pub monitors: Vec<Monitor>,
    /// In order of their names.
    pub skipped: Vec<Skipped>,
}

/// A metric, or one view of it, that is not proposed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// The metric; with the monitor in parentheses where others of the same metric may be proposed.
    pub metric: String,
    /// Why it is left out.
    pub reason: String,
}

/// Proposes monitors for what `prometheus` has at `now`. The same data give the same proposal.
///
/// # Errors
/// Prometheus does not answer or refuses the count of its series. Missing metadata are no error: names tell enough.
pub async fn discover(prometheus: &Prometheus, now: Timestamp, options: &Options) -> Result<Proposal> {
    let metadata = match prometheus.metadata().await {
        Ok(metadata) => metadata,
        Err(error) => {
            tracing::warn!(error = error.chain(), "no metadata; types are told from names");
            BTreeMap::new()
        }
    };
    let counts = count_series(prometheus, now).await?;
    // A day that is not kept any more is no error.
    let before = count_series(prometheus, now - DurationMs::DAY).await.unwrap_or_default();
    let mut metrics = metric::metrics(&counts, &metadata);
    read_labels(prometheus, now, &mut metrics, &counts, options).await?;

    let (candidates, mut skipped) = propose::propose(&metrics, options);
    skipped.extend(dead(&metadata, &before, &counts));
    let (candidates, surplus) = most_telling(candidates, options.most_monitors);
    skipped.extend(surplus);
    let verdicts: Vec<(Candidate, probe::Verdict)> = stream::iter(candidates)
        .map(|candidate| async {
            let verdict = probe::probe(prometheus, now, &candidate, options).await?;
            Ok::<_, Error>((candidate, verdict))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut monitors = Vec::new();
    for (candidate, verdict) in verdicts {
        match verdict {
            Ok(()) => monitors.push(candidate.monitor),
            Err(reason) => skipped.push(Skipped { metric: format!("{} ({})", candidate.metric, candidate.monitor.name), reason }),
        }
    }
    skipped.sort();
    skipped.dedup();
    Ok(Proposal { monitors, skipped })
}

/// How many series every name has now.
async fn count_series(prometheus: &Prometheus, now: Timestamp) -> Result<Counts> {
    let count = |names: String| async move { prometheus.instant(&format!("count by (__name__) ({{__name__=~\"{names}\"}})"), now).await };
    let counted = match count(".+".to_owned()).await {
        // More names than one answer may have: letter by letter.
        Err(error) if error.code == Code::ResourceExhausted => {
            let letters = ('a'..='z').map(|letter| format!("(?i){letter}.*")).chain(["[^a-zA-Z].*".to_owned()]);
            stream::iter(letters).map(count).buffered(AT_ONCE).try_collect::<Vec<_>>().await?.concat()
        }
        counted => counted?,
    };
    Ok(counted.into_iter().filter_map(|(key, n)| Some((key.get("__name__")?.to_owned(), n as usize))).collect())
}

/// Fills in the labels of every metric that may be proposed.
async fn read_labels(prometheus: &Prometheus, now: Timestamp, metrics: &mut [Metric], counts: &Counts, options: &Options) -> Result<()> {
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for (place, metric) in metrics.iter().enumerate().filter(|(_, m)| m.series <= options.most_raw_series) {
        let list = if metric.series > SERIES_PER_REQUEST { &mut large } else { &mut small };
        list.push((metric::series_name(metric, counts), metric.series, place));
    }
    let mut requests: Vec<LabelRequest> = Vec::new();
    for (name, series, place) in small {
        let fits = |r: &&mut LabelRequest| r.series + series <= SERIES_PER_REQUEST && r.length + name.len() < SELECTOR_LENGTH;
        if let Some(request) = requests.last_mut().filter(fits) {
            request.series += series;
            request.length += name.len() + 1;
            request.places.insert(name, place);
        } else {
            requests.push(LabelRequest { series, length: name.len(), sampled: false, places: BTreeMap::from([(name, place)]) });
        }
    }
    requests.extend(large.into_iter().map(|(name, series, place)| LabelRequest {
        series,
        length: 0,
        sampled: true,
        places: BTreeMap::from([(name, place)]),
    }));
    requests.truncate(MOST_LABEL_REQUESTS);
    let answers: Vec<_> = stream::iter(requests)
        .map(|request| async move {
            let keys = labels(prometheus, now, &request).await?;
            Ok::<_, Error>((request, keys))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    for (request, keys) in answers {
        for key in keys {
            if let Some(place) = key.get("__name__").and_then(|name| request.places.get(name)) {
                metrics[*place].labels.add(&key);
            }
        }
    }
    Ok(())
}

/// The label sets of the series of `request`; what is too much for one answer is asked for in halves, and of one
/// name alone a sample must do.
async fn labels(prometheus: &Prometheus, now: Timestamp, request: &LabelRequest) -> Result<Vec<SeriesKey>> {
    let mut parts = vec![request.places.keys().map(String::as_str).collect::<Vec<_>>()];
    let mut keys = Vec::new();
    while let Some(names) = parts.pop() {
        // A name may hold a colon but nothing that a regular expression would take for its own.
        let selector = format!("{{__name__=~\"{}\"}}", names.join("|"));
        if !request.sampled {
            match prometheus.series(std::slice::from_ref(&selector), now - DurationMs::from_secs(300), now).await {
                // Series that came and went in these minutes, or a client that allows fewer.
                Err(error) if error.code == Code::ResourceExhausted => {}
                answer => {
                    keys.extend(answer?);
                    continue;
                }
            }
        }
        if names.len() > 1 {
            let (first, second) = names.split_at(names.len() / 2);
            parts.extend([first.to_vec(), second.to_vec()]);
        } else {
            let sample = prometheus.instant(&format!("topk({SAMPLE}, {selector})"), now).await?;
            keys.extend(sample.into_iter().map(|(key, _)| key));
        }
    }
    Ok(keys)
}

/// Several names whose series are asked for at once.
struct LabelRequest {
    series: usize,
    length: usize,
    /// Too many series to ask for all of them.
    sampled: bool,
    /// Which metric each name belongs to.
    places: BTreeMap<String, usize>,
}

/// Metrics that are declared or were there a day ago, but have no series now.
fn dead(metadata: &BTreeMap<String, Metadata>, before: &Counts, counts: &Counts) -> Vec<Skipped> {
    let suffixes = ["", "_total", "_bucket", "_count", "_sum", "_info", "_created"];
    let declared = metadata.keys().filter(|name| !suffixes.iter().any(|suffix| counts.contains_key(&format!("{name}{suffix}"))));
    let gone = before.keys().filter(|name| !counts.contains_key(*name));
    declared
        .map(|name| (name, "dead: declared, but no sample in the last minutes"))
        .chain(gone.map(|name| (name, "dead: it had samples a day ago and has none now")))
        .map(|(metric, reason)| Skipped { metric: metric.clone(), reason: reason.to_owned() })
        .collect()
}

/// The `most` candidates of the most telling kinds, in their old order.
fn most_telling(candidates: Vec<Candidate>, most: usize) -> (Vec<Candidate>, Vec<Skipped>) {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|i| (conventions::rank(candidates[*i].monitor.metric), *i));
    let kept: BTreeSet<usize> = order.into_iter().take(most).collect();
    let (mut keep, mut skipped) = (Vec::new(), Vec::new());
    for (i, candidate) in candidates.into_iter().enumerate() {
        if kept.contains(&i) {
            keep.push(candidate);
        } else {
            let metric = format!("{} ({})", candidate.metric, candidate.monitor.name);
            skipped.push(Skipped { metric, reason: format!("{most} monitors that tell more were proposed already") });
        }
    }
    (keep, skipped)
}

#[cfg(test)]
mod tests;
