//! What was learned from people's verdicts.
//!
//! Every question is one of proportion: of the findings like this, how many are worth telling; of the causes like this,
//! how many were right; of the times that this step was suggested, how often did it help. Each is answered by the mean of
//! a Beta distribution, and where little was said of the very thing, by what was said of its like: the mean there is the
//! prior here, worth a few verdicts. That is partial pooling (Gelman et al., *Bayesian Data Analysis*, 3rd ed., ch. 5),
//! with the mean as an m-estimate (Cestnik, *Estimating Probabilities*, ECAI 1990). What was said of the thing itself is
//! left out of its prior, so that no verdict counts twice, and each neighbour has one voice at most, however much was
//! said of it: ten verdicts on one hour say much of that hour and little of the next.
//!
//! - [`Learned::prior`] is the chance that a finding is worth telling, and [`Learned::holds_back`] whether it is told.
//! - [`Said`] weighs the causes and the suggestions of an incident.
//!
//! The order of the feedback does not matter, and what was taken back leaves no trace.

mod opinion;
mod prior;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use opinion::Opinions;
pub use opinion::{Said, Tally};
pub use prior::Held;
use prior::Worth;

use crate::feedback::{Feedback, Verdict};
use crate::finding::Finding;

/// What all feedback in force says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
    worth: Worth,
    opinions: Opinions,
}

impl Learned {
    /// Learns from `feedback`; what was taken back is passed over.
    pub fn from_all<'a>(feedback: impl IntoIterator<Item = &'a Feedback>) -> Self {
        let mut all: Vec<&Feedback> = feedback.into_iter().filter(|one| one.is_in_force()).collect();
        all.sort_by(|a, b| (a.given_at, &a.id).cmp(&(b.given_at, &b.id)));
        // Of each incident the last word on whether it was worth telling counts, and once.
        let mut words: BTreeMap<&str, &Feedback> = BTreeMap::new();
        for one in all.iter().filter(|one| one.verdict.worth_telling().is_some()) {
            words.insert(&one.incident, one);
        }
        let mut learned = Self::default();
        for one in words.values() {
            learned.worth.take(one);
        }
        for one in all.iter().filter(|one| matches!(one.verdict, Verdict::WrongCause | Verdict::Fixed | Verdict::Useful)) {
            learned.opinions.take(one);
        }
        learned
    }

    /// The chance that a finding is worth telling, by what was said of its like; above 0 and below 1.
    pub fn prior(&self, finding: &Finding) -> f64 {
        self.worth.prior(finding)
    }

    /// Why a finding is not told, because of what was said of its like; `None` where it is told.
    pub fn holds_back(&self, finding: &Finding) -> Option<Held> {
        self.worth.holds_back(finding)
    }

    /// What was said of causes and suggestions, for the incident `id`.
    pub fn of<'a>(&'a self, id: &'a str) -> Said<'a> {
        self.opinions.of(id)
    }
}

/// What one neighbour, or the thing itself, has for and against it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    good: f64,
    bad: f64,
}

impl Counts {
    fn add(&mut self, good: bool, weight: f64) {
        *if good { &mut self.good } else { &mut self.bad } += weight;
    }

    /// The same with one voice at most.
    fn as_one_voice(self) -> Self {
        let scale = 1.0 / (self.good + self.bad).max(1.0);
        Self { good: self.good * scale, bad: self.bad * scale }
    }

    fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::default(), |sum, one| Self { good: sum.good + one.good, bad: sum.bad + one.bad })
    }

    /// The mean of the Beta distribution that these counts make of a prior of this mean, which is worth so many verdicts.
    fn posterior(self, mean: f64, worth: f64) -> f64 {
        (worth * mean + self.good) / (worth + self.good + self.bad)
    }
}
