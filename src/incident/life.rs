//! The life of an incident: its turns, who looks after it, how urgent it is, and what it repeats.

use serde::{Deserialize, Serialize};

use crate::clock::{DurationMs, Timestamp};
use crate::words::words;

/// The most turns of a life that are kept: the first one and the latest.
pub const MOST_TURNS: usize = 60;

words! {
    /// What happened to an incident.
    TurnKind {
        /// It was opened.
        Opened = "opened",
        /// Somebody looks after it.
        Acknowledged = "acknowledged",
        /// Nobody looks after it any more.
        Unacknowledged = "unacknowledged",
        /// Everything was back to normal.
        Resolved = "resolved",
        /// It came back after it had been resolved.
        Reopened = "reopened",
        /// It comes and goes, and is held open from here on.
        Flapping = "flapping",
        /// It became part of another.
        Merged = "merged",
    }
}

words! {
    /// How soon somebody must look, the most urgent first.
    Priority {
        /// At once, whatever else there is.
        P1 = "P1",
        /// Now.
        P2 = "P2",
        /// Today.
        P3 = "P3",
        /// When there is time.
        P4 = "P4",
        /// For the record.
        P5 = "P5",
    }
}

/// One turn of an incident's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: TurnKind,
    /// Who did it; empty where nobody but the engine did.
    #[serde(default)]
    pub by: String,
    /// More in words; may be empty.
    #[serde(default)]
    pub note: String,
}

/// Somebody looks after an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// What they said; may be empty.
    pub comment: String,
    /// Since when.
    pub at: Timestamp,
}

impl Acknowledgement {
    /// `by Ann at 2026-01-31T08:00:00Z: looking into it`.
    pub fn in_words(&self) -> String {
        let comment = if self.comment.is_empty() { String::new() } else { format!(": {}", self.comment) };
        format!("by {} at {}{comment}", self.by, self.at)
    }
}

/// An incident comes and goes, and is held open until it has been quiet for long enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flapping {
    /// Since when it is held.
    pub since: Timestamp,
    /// How often it came back, while it is held too.
    pub times: u32,
    /// The longest it was quiet before it came back.
    pub pause: DurationMs,
    /// When it is resolved if it stays quiet; `None` while something is wrong.
    pub until: Option<Timestamp>,
}

impl Flapping {
    /// `it came back 4 times and is held open until 2026-01-31T08:00:00Z, if it stays quiet`.
    pub fn in_words(&self) -> String {
        let until = match self.until {
            Some(until) => format!("until {until}, if it stays quiet"),
            None => "until it has been quiet for long enough".to_owned(),
        };
        format!("it came back {} times and is held open {until}", self.times)
    }
}

/// An earlier incident that had the same cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// The latest such incident.
    pub of: String,
    /// When it began.
    pub started: Timestamp,
    /// How long it lasted.
    pub lasted: DurationMs,
    /// How many such incidents there were before this one, as far back as they are kept.
    pub count: u32,
    /// What ended the latest of them whose remedy is known; empty where nobody said.
    #[serde(default)]
    pub fixed_by: String,
}

impl Repeat {
    /// `the same as inc-…, which began at … and was resolved after 20 minutes; the 3rd time`.
    pub fn in_words(&self) -> String {
        let Self { of, started, lasted, count, fixed_by } = self;
        let times = if *count > 1 { format!("; {count} like it before") } else { String::new() };
        let fixed = if fixed_by.is_empty() { String::new() } else { format!("; what fixed it: {fixed_by}") };
        format!("the same as {of}, which began at {started} and was resolved after {}{times}{fixed}", lasted.in_words())
    }
}

/// How an incident's life went so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Life {
    /// Its turns, in the order in which they were taken.
    pub turns: Vec<Turn>,
    /// Who looks after it.
    pub acknowledged: Option<Acknowledgement>,
    /// That it comes and goes, while it is held open for that.
    pub flapping: Option<Flapping>,
    /// How soon somebody must look; `None` in what was stored before this was judged.
    pub priority: Option<Priority>,
    /// Why: what weighs.
    pub why: String,
    /// What its cause has in common with that of another incident of the same kind.
    pub signature: String,
    /// The earlier incident that had the same cause.
    pub repeats: Option<Repeat>,
}

impl Life {
    /// Takes a turn. Of too many the first and the latest are kept.
    pub fn turn(&mut self, at: Timestamp, what: TurnKind, by: &str, note: impl Into<String>) {
        self.turns.push(Turn { at, what, by: by.to_owned(), note: note.into() });
        if self.turns.len() > MOST_TURNS {
            self.turns.remove(1);
        }
    }

    /// Notes that somebody looks after it; false where they said the same already.
    pub fn acknowledge(&mut self, by: &str, comment: &str, at: Timestamp) -> bool {
        if self.acknowledged.as_ref().is_some_and(|known| known.by == by && known.comment == comment) {
            return false;
        }
        self.acknowledged = Some(Acknowledgement { by: by.to_owned(), comment: comment.to_owned(), at });
        self.turn(at, TurnKind::Acknowledged, by, comment);
        true
    }

    /// Notes that nobody looks after it any more; false where nobody did.
    pub fn unacknowledge(&mut self, by: &str, comment: &str, at: Timestamp) -> bool {
        let was = self.acknowledged.take().is_some();
        if was {
            self.turn(at, TurnKind::Unacknowledged, by, comment);
        }
        was
    }

    /// When it was reopened, earliest first.
    pub fn reopened(&self) -> impl DoubleEndedIterator<Item = Timestamp> + '_ {
        self.turns.iter().filter(|turn| turn.what == TurnKind::Reopened).map(|turn| turn.at)
    }

    /// `P2: errors of payment …`; `None` where it was never judged.
    pub fn priority_in_words(&self) -> Option<String> {
        Some(format!("{}: {}", self.priority?, self.why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_life_keeps_its_beginning_and_its_end() {
        let mut life = Life::default();
        for i in 0..200 {
            let what = if i == 0 { TurnKind::Opened } else { TurnKind::Reopened };
            life.turn(Timestamp::from_millis(i), what, "", "");
        }
        assert_eq!(life.turns.len(), MOST_TURNS);
        assert_eq!((life.turns[0].what, life.turns[1].at.millis(), life.turns[MOST_TURNS - 1].at.millis()), (TurnKind::Opened, 141, 199));
        assert_eq!(life.reopened().count(), MOST_TURNS - 1);
    }

    #[test]
    fn a_life_of_an_older_store_reads() {
        assert_eq!(serde_json::from_str::<Life>("{}").unwrap(), Life::default());
    }

    #[test]
    fn repeats_are_told_in_words() {
        let started = Timestamp::from_millis(1_769_846_400_000);
        let mut repeat = Repeat { of: "inc-1".to_owned(), started, lasted: DurationMs::from_secs(1200), count: 1, fixed_by: String::new() };
        assert_eq!(repeat.in_words(), "the same as inc-1, which began at 2026-01-31T08:00:00Z and was resolved after 20 minutes");
        (repeat.count, repeat.fixed_by) = (3, "rolled back".to_owned());
        assert!(repeat.in_words().ends_with("after 20 minutes; 3 like it before; what fixed it: rolled back"), "{}", repeat.in_words());
    }
}
