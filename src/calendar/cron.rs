//! Cron expressions of five fields, as [`croner`] reads them.

use std::str::FromStr;

use jiff::civil::{DateTime, date};

/// The fields in their order, and what may be in them.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of week", "0 to 7, or SUN to SAT"),
];
const RIGHT: &str = "write minute, hour, day of month, month and day of week, such as `0 22 * * MON-FRI`";

/// Local times at which a cron expression is due.
#[derive(Clone, Debug)]
pub(super) struct Cron(Box<croner::Cron>);

impl Cron {
    /// Reads `minute hour day-of-month month day-of-week`. Where both fields for the day are given, either is enough.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() != FIELDS.len() {
            let s = if fields.len() == 1 { "" } else { "s" };
            return Err(format!("has {} field{s}, and a cron expression has five; {RIGHT}", fields.len()));
        }
        let cron = croner::Cron::from_str(text).map_err(|_| reason(&fields))?;
        // One that is never due would be searched for until the year 5000, every time.
        match cron.find_next_occurrence(&date(2000, 1, 1).at(0, 0, 0, 0), true) {
            Ok(_) => Ok(Self(Box::new(cron))),
            Err(_) => Err("is never due; name a day that its months have".to_owned()),
        }
    }

    /// The latest time up to `upper` at which it is due.
    pub(super) fn latest(&self, upper: DateTime) -> Option<DateTime> {
        self.0.find_previous_occurrence(&upper, true).ok()
    }
}

/// The first field that is wrong by itself.
fn reason(fields: &[&str]) -> String {
    for (i, (name, values)) in FIELDS.iter().enumerate() {
        let mut alone = ["*"; FIELDS.len()];
        alone[i] = fields[i];
        if croner::Cron::from_str(&alone.join(" ")).is_err() {
            return format!(
                "has the {name} `{}`; there it must be {values}, and lists `1,2`, ranges `1-5` and steps `*/2` of them",
                fields[i]
            );
        }
    }
    format!("is no cron expression; {RIGHT}")
}
