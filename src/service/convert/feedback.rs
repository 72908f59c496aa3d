//! Feedback as messages.

use super::{direction, duration, finding_kind, labels, time};
use crate::error::{Error, Violation};
use crate::feedback::{Feedback, Given, Seen, Verdict};
use crate::proto as pb;

/// The longest id of anything.
const LONGEST_ID: usize = 400;

/// What is kept of a verdict.
pub fn feedback(f: &Feedback) -> pb::Feedback {
    pb::Feedback {
        id: f.id.clone(),
        incident: f.incident.clone(),
        verdict: match f.verdict {
            Verdict::Useful => pb::Verdict::Useful,
            Verdict::Noise => pb::Verdict::Noise,
            Verdict::Expected => pb::Verdict::Expected,
            Verdict::WrongCause => pb::Verdict::WrongCause,
            Verdict::Fixed => pb::Verdict::Fixed,
        }
        .into(),
        cause: f.cause.clone().unwrap_or_default(),
        suggestion: f.suggestion.clone().unwrap_or_default(),
        comment: f.comment.clone(),
        author: f.author.clone(),
        given_at: Some(time(f.given_at)),
        undone_at: f.undone_at.map(time),
        title: f.title.clone(),
        service: f.service.clone(),
        suggested: f.suggested.clone(),
        findings: f.seen.iter().map(seen).collect(),
    }
}

fn seen(s: &Seen) -> pb::SeenFinding {
    pb::SeenFinding {
        id: s.finding.clone(),
        monitor: s.monitor.clone(),
        service: s.service.clone(),
        labels: labels(&s.key),
        metric: s.metric.to_string(),
        kind: finding_kind(s.kind).into(),
        direction: direction(Some(s.direction)).into(),
        onset: Some(time(s.onset)),
        lasted: Some(duration(s.lasted)),
        deviation: s.deviation,
        score: s.score,
    }
}

/// A verdict as it is given.
///
/// # Errors
/// Every field at fault.
pub fn read_given(request: pb::SubmitFeedbackRequest) -> Result<Given, Error> {
    let mut violations = Vec::new();
    let mut wrong = |field: &str, description: String| violations.push(Violation { field: field.to_owned(), description });
    let verdict = match pb::Verdict::try_from(request.verdict) {
        Ok(pb::Verdict::Useful) => Some(Verdict::Useful),
        Ok(pb::Verdict::Noise) => Some(Verdict::Noise),
        Ok(pb::Verdict::Expected) => Some(Verdict::Expected),
        Ok(pb::Verdict::WrongCause) => Some(Verdict::WrongCause),
        Ok(pb::Verdict::Fixed) => Some(Verdict::Fixed),
        Ok(pb::Verdict::Unspecified) => {
            wrong("verdict", "is missing; 1 useful, 2 noise, 3 expected from now on, 4 wrong cause, 5 this fixed it".to_owned());
            None
        }
        Err(_) => {
            wrong("verdict", format!("{} is not a verdict; 1 to 5 are", request.verdict));
            None
        }
    };
    if request.incident.is_empty() {
        wrong("incident", "is empty; an incident's id, such as the `incident` label of its alert, is needed".to_owned());
    }
    for (field, text) in [("incident", &request.incident), ("cause", &request.cause), ("suggestion", &request.suggestion)] {
        if text.len() > LONGEST_ID {
            wrong(field, format!("{} bytes; no id has more than {LONGEST_ID}", text.len()));
        }
    }
    let some = |text: String| (!text.is_empty()).then_some(text);
    match verdict {
        Some(verdict) if violations.is_empty() => Ok(Given {
            incident: request.incident,
            verdict,
            cause: some(request.cause),
            suggestion: some(request.suggestion),
            comment: request.comment.trim().to_owned(),
            author: request.author.trim().to_owned(),
        }),
        _ => Err(Error::violations(violations)),
    }
}
