//! The maths: values in, values out. No clock, no log, no network, no async.

pub mod baseline;
pub mod calibrate;
pub mod decompose;
pub mod detect;
pub mod drift;
pub mod forecast;
pub mod joint;
pub mod peers;
pub mod season;

/// Why nothing can be said of a series. It is a result, neither an error nor a zero.
#[derive(Clone, Debug, PartialEq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum CannotSay {
    /// Fewer values than are needed.
    #[error("too short: {present} values, {needed} are needed")]
    TooShort {
        /// Values that are there.
        present: usize,
        /// Values that are needed.
        needed: usize,
    },
    /// Too many gaps.
    #[error("too gappy: {present} values in {places} places")]
    TooGappy {
        /// Values that are there.
        present: usize,
        /// Places on the step.
        places: usize,
    },
    /// All values are the same.
    #[error("flat: every value is {0}")]
    Flat(f64),
    /// Values beyond what can be computed with.
    #[error("out of range: values reach {0:e}; their size must stay under 1e150")]
    OutOfRange(f64),
    /// No recent value.
    #[error("silent: no value for the last {0} steps")]
    Silent(usize),
}
