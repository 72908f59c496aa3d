//! What to do next: a catalogue of remedies, matched on a finding and what happened around it.

mod entry;
mod fill;
mod read;
mod runbooks;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, LazyLock};

use super::feedback::Said;
use crate::error::Violation;
use crate::event::Event;
use crate::finding::{Direction, Finding};
use crate::incident::Suggestion;
use entry::{Entry, Runbook};
pub use runbooks::{runbook, runbooks};

/// How many suggestions one finding gets.
const MOST_FOR_ONE: usize = 3;

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
}

/// Remedies, each with what it is for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Catalogue {
    entries: Arc<[Entry]>,
}

impl Catalogue {
    /// The catalogue that comes with the engine.
    pub fn shipped() -> Self {
        static SHIPPED: LazyLock<Catalogue> = LazyLock::new(|| {
            let (entries, _) = read::entries("remedies.yaml", include_str!("remedies.yaml"));
            Catalogue { entries: entries.into_iter().map(|(_, entry)| entry).collect() }
        });
        SHIPPED.clone()
    }

    /// `shipped` with the entries of more catalogues, given as name and YAML text: one with the id of an earlier
    /// catalogue's entry replaces it.
    ///
    /// # Errors
    /// Everything that is wrong in any of them, each with its path, such as `mine.yaml: entries[3].match.metric`.
    pub fn load(shipped: &Self, extra: &[(&str, &str)]) -> Result<Self, Vec<Violation>> {
        let (mut entries, mut violations) = (shipped.entries.to_vec(), Vec::new());
        for (name, text) in extra {
            let (read, wrong) = read::entries(name, text);
            violations.extend(wrong);
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
        if violations.is_empty() { Ok(Self { entries: entries.into() }) } else { Err(violations) }
    }

    /// What to do about a finding: at least one suggestion and at most three, the best match first. An entry matches
    /// when all its conditions hold; the more and the more telling they are, the better it matches.
    pub fn suggest(&self, finding: &Finding, context: &Context<'_>) -> Vec<Suggestion> {
        self.rank(&[(finding, context)], MOST_FOR_ONE, |_, _| 0)
    }

    /// What to do about several findings of one incident, the leading one first: at least one suggestion and at most
    /// `most`. The best of each finding come first, then the second best of each, and so on; no entry comes twice.
    /// What `said` says of an entry is added to how well it matches.
    pub fn suggest_all(&self, cases: &[(&Finding, Context<'_>)], most: usize, said: Said<'_>) -> Vec<Suggestion> {
        let cases: Vec<(&Finding, &Context<'_>)> = cases.iter().map(|(finding, context)| (*finding, context)).collect();
        self.rank(&cases, most, |entry, service| said.suggestion(entry, service))
    }

    fn rank(&self, cases: &[(&Finding, &Context<'_>)], most: usize, said: impl Fn(&str, &str) -> i32) -> Vec<Suggestion> {
        let mut ranked = Vec::new();
        for (case, (finding, context)) in cases.iter().enumerate() {
            let mut fits: Vec<(i32, &Entry)> =
                self.entries.iter().filter_map(|e| Some((e.weight(finding, context)? + said(&e.id, &finding.service), e))).collect();
            fits.sort_by_key(|(weight, entry)| (entry.is_fallback(), Reverse(*weight), entry.id.as_str()));
            ranked.extend(
                fits.into_iter().enumerate().take(MOST_FOR_ONE).map(|(place, (_, entry))| (entry.is_fallback(), place, case, entry)),
            );
        }
        ranked.sort_by_key(|(fallback, place, case, _)| (*fallback, *place, *case));
        // A fallback says nothing beside an entry that knows more.
        let only_fallbacks = ranked.first().is_none_or(|(fallback, ..)| *fallback);
        let mut seen = HashSet::new();
        let chosen = ranked.into_iter().filter(|(fallback, _, _, entry)| (only_fallbacks || !fallback) && seen.insert(&entry.id));
        chosen
            .take(most)
            .filter_map(|(_, _, case, entry)| cases.get(case).map(|(finding, context)| entry.suggestion(finding, context)))
            .collect()
    }

    /// The ids of all entries, in order.
    pub fn ids(&self) -> BTreeSet<&str> {
        self.entries.iter().map(|entry| entry.id.as_str()).collect()
    }
}

impl Entry {
    /// The entry with its placeholders filled in.
    fn suggestion(&self, finding: &Finding, context: &Context<'_>) -> Suggestion {
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
        }
    }
}

#[cfg(test)]
mod tests;
