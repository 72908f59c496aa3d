//! What to do next: a catalogue of remedies, matched on a finding and what happened around it.

mod entry;
mod examples;
mod fill;
mod raise;
mod read;
mod runbooks;
mod suspect;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, LazyLock};

use super::feedback::Said;
use crate::error::Violation;
use crate::event::Event;
use crate::finding::{Direction, Finding};
use crate::incident::{Call, Suggestion};
use entry::{Entry, Runbook};
use examples::Example;
use read::Contents;
pub use runbooks::{runbook, runbooks};
pub use suspect::{CauseKind, Surroundings, Suspect, kinds};

/// How many suggestions one finding gets.
const MOST_FOR_ONE: usize = 3;
/// The weight of a match that is as likely right as not, given its cause.
const EVEN: f64 = 4.0;

/// The catalogue that comes with the engine, in pieces.
const PIECES: [(&str, &str); 3] = [
    ("remedies.yaml", include_str!("remedies.yaml")),
    ("remedies/causes.yaml", include_str!("remedies/causes.yaml")),
    ("remedies/platform.yaml", include_str!("remedies/platform.yaml")),
];

/// What is known around a finding.
#[derive(Clone, Debug, Default)]
pub struct Context<'a> {
    /// Changes near the onset that may have led to it.
    pub changes: Vec<&'a Event>,
    /// Where the traffic of the same service went; `None` when it shows nothing unusual.
    pub traffic: Option<Direction>,
    /// The monitor's PromQL.
    pub query: Option<&'a str>,
    /// The monitor's own runbook, which goes before the catalogue's.
    pub runbook_url: Option<&'a str>,
    /// Where this engine's pages are, such as `http://127.0.0.1:9095`.
    pub runbook_base: &'a str,
    /// The cause that the finding is looked at for.
    pub suspect: Option<Suspect<'a>>,
}

/// An entry that matches a case.
struct Fit<'a> {
    case: usize,
    entry: &'a Entry,
    confidence: f64,
}

/// How likely an entry helps: how probable its cause is, times how telling its match. A match of weight [`EVEN`], such as
/// a metric and its direction, is as likely right as not; one that names a metric, or the kind of its cause, is more.
fn confidence(probability: f64, weight: i32) -> f64 {
    let weight = f64::from(weight.max(1));
    let probability = if probability.is_nan() { 0.0 } else { probability.clamp(0.0, 1.0) };
    probability * weight / (weight + EVEN)
}

/// Remedies, each with what it is for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Catalogue {
    entries: Arc<[Entry]>,
    /// Each with its place, such as `mine.yaml: examples[0]`.
    examples: Arc<[(String, Example)]>,
}

impl Catalogue {
    /// The catalogue that comes with the engine.
    pub fn shipped() -> Self {
        static SHIPPED: LazyLock<Catalogue> = LazyLock::new(|| {
            let (mut entries, mut examples) = (Vec::new(), Vec::new());
            for (name, text) in PIECES {
                let (contents, _) = read::contents(name, text);
                entries.extend(contents.entries.into_iter().map(|(_, entry)| entry));
                examples.extend(contents.examples.into_iter().map(|(path, example)| (format!("{name}: {path}"), example)));
            }
            Catalogue { entries: entries.into(), examples: examples.into() }
        });
        SHIPPED.clone()
    }

    /// `shipped` with the entries of more catalogues, given as name and YAML text: one with the id of an earlier
    /// catalogue's entry replaces it.
    ///
    /// # Errors
    /// Everything that is wrong in any of them, each with its path, such as `mine.yaml: entries[3].match.metric`.
    pub fn load(shipped: &Self, extra: &[(&str, &str)]) -> Result<Self, Vec<Violation>> {
        let (mut entries, mut examples, mut violations) = (shipped.entries.to_vec(), Vec::new(), Vec::new());
        for (name, text) in extra {
            let (Contents { entries: read, examples: read_examples }, wrong) = read::contents(name, text);
            violations.extend(wrong);
            examples.extend(read_examples.into_iter().map(|(path, example)| (format!("{name}: {path}"), example)));
            for (path, entry) in read {
                match entries.iter_mut().find(|known| known.id == entry.id) {
                    Some(known) => {
                        if known.is_fallback() && !entry.is_as_wide_as(known) {
                            let field = format!("{name}: {path}.match");
                            let description = format!(
                                "narrower than that of `{}`, which it replaces and which is there for all that nothing else fits",
                                known.id
                            );
                            violations.push(Violation { field, description });
                        }
                        *known = entry;
                    }
                    None => entries.push(entry),
                }
            }
        }
        let catalogue = Self { entries: entries.into(), examples: examples.into() };
        let ids = catalogue.ids();
        for (path, example) in catalogue.examples.iter() {
            violations.extend(
                example
                    .unknown(&ids)
                    .map(|id| Violation { field: format!("{path}.expect"), description: format!("`{id}` is the id of no entry") }),
            );
        }
        if violations.is_empty() { Ok(catalogue) } else { Err(violations) }
    }

    /// How many examples it has; those of the shipped catalogue count there only.
    pub fn examples(&self) -> usize {
        self.examples.len()
    }

    /// The examples that do not come out as they say, each with its path and what came instead.
    pub fn try_examples(&self) -> Vec<Violation> {
        self.examples.iter().flat_map(|(path, example)| example.try_on(self, path)).collect()
    }

    /// The actions that entries name, in order.
    pub fn actions(&self) -> BTreeSet<&str> {
        self.entries.iter().filter_map(|entry| Some(entry.action.as_ref()?.action.as_str())).collect()
    }

    /// What to do about a finding: at least one suggestion and at most three, the best match first. An entry matches
    /// when all its conditions hold; the more and the more telling they are, the better it matches.
    pub fn suggest(&self, finding: &Finding, context: &Context<'_>) -> Vec<Suggestion> {
        self.rank(&[(finding, context)], MOST_FOR_ONE, |_, _| 0)
    }

    /// What to do about several findings of one incident, each with the cause it is looked at for: at least one suggestion
    /// and at most `most`, those we are surest of first; no entry comes twice. What `said` says of an entry is added to how
    /// well it matches.
    pub fn suggest_all(&self, cases: &[(&Finding, Context<'_>)], most: usize, said: Said<'_>) -> Vec<Suggestion> {
        let cases: Vec<(&Finding, &Context<'_>)> = cases.iter().map(|(finding, context)| (*finding, context)).collect();
        self.rank(&cases, most, |entry, service| said.suggestion(entry, service))
    }

    fn rank(&self, cases: &[(&Finding, &Context<'_>)], most: usize, said: impl Fn(&str, &str) -> i32) -> Vec<Suggestion> {
        let mut fits: Vec<Fit<'_>> = Vec::new();
        for (case, (finding, context)) in cases.iter().enumerate() {
            let names = entry::names(finding, context);
            let weight = |entry: &Entry| Some(entry.weight(finding, context, &names)? + said(&entry.id, &finding.service));
            let mut of_case: Vec<(i32, &Entry)> = self.entries.iter().filter_map(|entry| Some((weight(entry)?, entry))).collect();
            of_case.sort_by_key(|(weight, entry)| (entry.is_fallback(), Reverse(*weight), entry.id.as_str()));
            let probability = context.suspect.as_ref().map_or(1.0, |suspect| suspect.probability);
            let best = of_case.into_iter().take(MOST_FOR_ONE);
            fits.extend(best.map(|(weight, entry)| Fit { case, entry, confidence: confidence(probability, weight) }));
        }
        // A fallback says nothing beside an entry that knows more.
        let only_fallbacks = fits.iter().all(|fit| fit.entry.is_fallback());
        fits.retain(|fit| only_fallbacks || !fit.entry.is_fallback());
        fits.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.case.cmp(&b.case)));
        let mut seen = HashSet::new();
        let service = |fit: &Fit<'_>| cases.get(fit.case).map(|(finding, _)| finding.service.as_str());
        let mut chosen: Vec<(f64, &Fit<'_>)> = Vec::new();
        for fit in &fits {
            if seen.insert(&fit.entry.id) {
                // Whichever of the causes of one service it is, the entry is for it.
                let same = fits.iter().filter(|other| other.entry.id == fit.entry.id && service(other) == service(fit));
                chosen.push((same.map(|fit| fit.confidence).sum::<f64>().min(1.0), fit));
            }
        }
        chosen.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.case.cmp(&b.1.case)));
        let filled = chosen.into_iter().take(most);
        filled
            .filter_map(|(confidence, fit)| cases.get(fit.case).map(|(f, context)| fit.entry.suggestion(f, context, confidence)))
            .collect()
    }

    /// The ids of all entries, in order.
    pub fn ids(&self) -> BTreeSet<&str> {
        self.entries.iter().map(|entry| entry.id.as_str()).collect()
    }
}

impl Entry {
    /// The entry with its placeholders filled in.
    fn suggestion(&self, finding: &Finding, context: &Context<'_>, confidence: f64) -> Suggestion {
        let values = fill::Values { finding, context };
        let runbook_url = match (context.runbook_url, &self.runbook) {
            (Some(url), _) => url.to_owned(),
            (None, Runbook::Url(url)) => url.clone(),
            (None, Runbook::Id(id)) => format!("{}/runbooks/{id}", context.runbook_base.trim_end_matches('/')),
        };
        Suggestion {
            id: self.id.clone(),
            title: values.text(&self.title),
            steps: self.steps.iter().map(|step| values.text(step)).collect(),
            promql: self.promql.iter().filter_map(|query| values.promql(query)).collect(),
            commands: self.commands.iter().map(|command| values.command(command)).collect(),
            runbook_url,
            confidence,
            action: self.action.as_ref().map(|named| Call { name: named.action.clone(), values: values.handed(&named.with) }),
        }
    }
}

#[cfg(test)]
mod tests;
