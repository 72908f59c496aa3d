//! The chart of judged points.

use super::{Chart, Mark};
use crate::analysis::detect::Judgement;
use crate::clock::{DurationMs, Timestamp};
use crate::metric::Unit;
use crate::series::Window;

impl Chart {
    /// The chart of `judgements`, in order of time, `step` apart: values, what was expected, and `marks` for what
    /// was found. `None` without judgements.
    pub fn of_judgements(
        title: impl Into<String>,
        unit: Unit,
        step: DurationMs,
        judgements: &[Judgement],
        marks: Vec<Mark>,
    ) -> Option<Self> {
        let first = judgements.first()?;
        let column = |of: fn(&Judgement) -> f64| judgements.iter().map(of).collect::<Vec<_>>();
        let values = Window::new(first.time, step, column(|j| j.value)).ok()?;
        Some(Self {
            expected: column(|j| j.expected),
            lower: column(|j| j.lower),
            upper: column(|j| j.upper),
            marks,
            ..Self::new(title, unit, values)
        })
    }
}

impl Mark {
    /// The mark of something that began at `onset` and is over at `ended`, or lasts.
    pub fn lasting(onset: Timestamp, ended: Option<Timestamp>, title: impl Into<String>) -> Self {
        Self { from: onset, to: ended.unwrap_or(Timestamp::from_millis(i64::MAX)), title: title.into() }
    }
}
