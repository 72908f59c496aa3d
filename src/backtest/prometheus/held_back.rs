//! Findings that guards hold back, as a report lists them.

use serde::{Serialize, Serializer};

use crate::backtest::summary::Found;
use crate::finding::HeldBack;

/// One of them.
#[derive(Serialize)]
struct Listed<'a> {
    monitor: &'a str,
    #[serde(flatten)]
    found: Found,
    suppressed: &'a str,
}

/// Each as a finding of a series, with its monitor and the reason.
pub(super) fn serialize<S: Serializer>(all: &[HeldBack], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(all.iter().map(|HeldBack { finding, suppressed }| Listed {
        monitor: &finding.monitor,
        found: Found::new(&finding.key.to_string(), finding),
        suppressed,
    }))
}
