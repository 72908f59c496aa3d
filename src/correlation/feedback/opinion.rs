//! What was said of causes and of suggestions.
//!
//! A cause is known by what it is and where, `deployment@payment`, a suggestion by its entry of the catalogue and the
//! service. What was said of the same elsewhere is the prior. The odds that follow multiply the weight of a cause; a
//! suggestion moves by their logarithm among those that fit as well. What was said of a cause in this very incident
//! counts ten times.

use std::collections::{BTreeMap, HashMap};

use super::Counts;
use crate::feedback::{Feedback, Verdict};

/// How many verdicts it is worth that nothing is known: a Beta distribution of 2 and 2.
const WORTH: f64 = 4.0;
/// The odds go no further from even.
const LONGEST_ODDS: f64 = 10.0;

/// What was said, by what it is and then by service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Opinions {
    causes: HashMap<String, BTreeMap<String, Counts>>,
    suggestions: HashMap<String, BTreeMap<String, Counts>>,
    /// By incident and cause: the last word.
    here: HashMap<(String, String), bool>,
}

/// How often a cause was right and wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tally {
    /// What to multiply its weight with.
    pub odds: f64,
    /// Verdicts that it was right.
    pub right: usize,
    /// Verdicts that it was wrong.
    pub wrong: usize,
}

impl Tally {
    /// `people said of such a cause: right 1 time, wrong 2 times`; nothing where nothing was said.
    pub fn in_words(self) -> Option<String> {
        let times = |n: usize| if n == 1 { "once".to_owned() } else { format!("{n} times") };
        match (self.right, self.wrong) {
            (0, 0) => None,
            (right, 0) => Some(format!("people said {} that it was such a cause", times(right))),
            (0, wrong) => Some(format!("people said {} that it was not such a cause", times(wrong))),
            (right, wrong) => Some(format!("people said {} that it was such a cause, and {} that it was not", times(right), times(wrong))),
        }
    }
}

impl Opinions {
    /// Takes in one verdict, in the order in which they were given.
    pub(super) fn take(&mut self, feedback: &Feedback) {
        let right = feedback.verdict != Verdict::WrongCause;
        if let Some(cause) = &feedback.cause {
            let (what, service) = cause.split_once('@').unwrap_or((cause, ""));
            self.causes.entry(what.to_owned()).or_default().entry(service.to_owned()).or_default().add(right, 1.0);
            self.here.insert((feedback.incident.clone(), cause.clone()), right);
        }
        if let Some(helped) = feedback.suggestion.as_ref().filter(|_| feedback.verdict == Verdict::Fixed) {
            let others = feedback.suggested.iter().filter(|id| *id != helped);
            for (id, good) in others.map(|id| (id, false)).chain([(helped, true)]) {
                self.suggestions.entry(id.clone()).or_default().entry(feedback.service.clone()).or_default().add(good, 1.0);
            }
        }
    }

    /// What is known for the incident `id`.
    pub(super) fn of<'a>(&'a self, id: &'a str) -> Said<'a> {
        Said { opinions: self, incident: id }
    }
}

/// What was said of causes and suggestions, for one incident.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    opinions: &'a Opinions,
    incident: &'a str,
}

impl Said<'_> {
    /// What was said of the cause `id`.
    pub fn cause(&self, id: &str) -> Tally {
        let (what, service) = id.split_once('@').unwrap_or((id, ""));
        let (own, odds) = odds(self.opinions.causes.get(what), service);
        let here = match self.opinions.here.get(&(self.incident.to_owned(), id.to_owned())) {
            Some(true) => LONGEST_ODDS,
            Some(false) => 1.0 / LONGEST_ODDS,
            None => 1.0,
        };
        Tally { odds: odds * here, right: own.good as usize, wrong: own.bad as usize }
    }

    /// What the suggestion `id` moves by among those that fit a finding of `service`: four steps for each doubling of
    /// the odds that it helps.
    pub fn suggestion(&self, id: &str, service: &str) -> i32 {
        let (_, odds) = odds(self.opinions.suggestions.get(id), service);
        (4.0 * odds.log2()).round() as i32
    }
}

/// What was said of `service` itself, and the odds that follow from that and from what was said of others.
fn odds(of: Option<&BTreeMap<String, Counts>>, service: &str) -> (Counts, f64) {
    let Some(of) = of else { return (Counts::default(), 1.0) };
    let own = of.get(service).copied().unwrap_or_default();
    let others = Counts::sum(of.iter().filter(|(name, _)| *name != service).map(|(_, counts)| counts.as_one_voice()));
    let mean = own.posterior(others.posterior(0.5, WORTH), WORTH);
    (own, (mean / (1.0 - mean)).clamp(1.0 / LONGEST_ODDS, LONGEST_ODDS))
}
