//! What people say of an incident: the forms to say it with, and what was said.

use maud::{Markup, html};

use super::{DAY_AND_TIME, encoded, incident_path, layout, severity_badge, time};
use crate::clock::Timestamp;
use crate::feedback::{Feedback, Verdict};
use crate::incident::{Cause, Incident, Suggestion};

/// What each verdict on an incident as a whole does, as its button says.
const WHOLE: [(Verdict, &str); 3] = [
    (Verdict::Useful, "It was worth telling."),
    (Verdict::Noise, "It was not. Said again and again, findings like it at such times are held back."),
    (Verdict::Expected, "It is how things are now. Findings like it are held back from now on, unless they are much larger."),
];

/// The part of an incident's page where people say what it was worth.
pub fn section(incident: &Incident, feedback: &[Feedback]) -> Markup {
    html! {
        section aria-labelledby="feedback" {
            h2 #feedback { "Was this worth telling?" }
            (said(incident, feedback))
            @if incident.merged_into.is_none() { (whole(&action(incident))) }
        }
    }
}

/// The button that says that a cause was wrong.
pub fn wrong(incident: &Incident, cause: &Cause) -> Markup {
    one(&action(incident), Verdict::WrongCause, "cause", &cause.id, "Wrong cause")
}

/// The button that says that a suggestion was right.
pub fn fixed(incident: &Incident, suggestion: &Suggestion) -> Markup {
    one(&action(incident), Verdict::Fixed, "suggestion", &suggestion.id, "This fixed it")
}

/// The page behind the link of an alert: the incident in short, and what can be said of it.
pub fn linked(incident: &Incident, feedback: &[Feedback], token: &str, now: Timestamp) -> Markup {
    let action = linked_path(token);
    let body = html! {
        p.eyebrow { "Feedback on incident " code { (incident.id) } }
        div.status.quiet {
            p.meta { (severity_badge(incident.severity)) span.service { (incident.service) } }
            h1 { (incident.title) }
            p.muted { "Began " (time(incident.started, DAY_AND_TIME)) " UTC, " (incident.started.relative_to(now)) ". " a href=(incident_path(&incident.id)) { "Open the incident" } }
        }
        @for one in feedback { p.muted { (in_words(one)) } }
        (whole(&action))
        @if !incident.causes.is_empty() {
            h2 { "Was a cause wrong?" }
            ul.choices { @for cause in &incident.causes { li { (one(&action, Verdict::WrongCause, "cause", &cause.id, "Wrong cause")) " " (cause.title) } } }
        }
        @if !incident.suggestions.is_empty() {
            h2 { "Did a suggestion fix it?" }
            ul.choices { @for s in &incident.suggestions { li { (one(&action, Verdict::Fixed, "suggestion", &s.id, "This fixed it")) " " (s.title) } } }
        }
    };
    layout("Feedback", &body)
}

/// The page after a verdict was given behind a link.
pub fn thanks(feedback: &Feedback, token: &str) -> Markup {
    let body = html! {
        p.eyebrow { "Feedback on incident " code { (feedback.incident) } }
        h1 { "Thank you" }
        p.lead { (in_words(feedback)) }
        p { a href=(linked_path(token)) { "Say more" } " · " a href={ (incident_path(&feedback.incident)) "#feedback" } { "See or take back what was said" } }
    };
    layout("Thank you", &body)
}

fn linked_path(token: &str) -> String {
    format!("/feedback/{}", encoded(token))
}

fn action(incident: &Incident) -> String {
    format!("{}/feedback", incident_path(&incident.id))
}

/// A form for the incident as a whole.
fn whole(action: &str) -> Markup {
    html! {
        form.panel.feedback method="post" action=(action) {
            p {
                label { "Your name " input name="author" maxlength="100" autocomplete="name"; }
                " "
                label { "Comment " input name="comment" maxlength="1000"; }
                span.muted { " (both may stay empty)" }
            }
            @for (verdict, what) in WHOLE {
                p { button name="verdict" value=(verdict) { (capital(verdict.in_words())) } " " span.muted { (what) } }
            }
        }
    }
}

/// A form of one button.
fn one(action: &str, verdict: Verdict, field: &str, id: &str, text: &str) -> Markup {
    html! {
        form.feedback method="post" action=(action) {
            input type="hidden" name=(field) value=(id);
            button.small name="verdict" value=(verdict) { (text) }
        }
    }
}

/// What was said, each with a way to take it back.
fn said(incident: &Incident, feedback: &[Feedback]) -> Markup {
    html! {
        @if !feedback.is_empty() {
            ul.choices {
                @for one in feedback {
                    li {
                        form.feedback method="post" action={ (action(incident)) "/" (encoded(&one.id)) "/undo" } { button.small { "Undo" } }
                        " " (in_words(one))
                    }
                }
            }
        }
    }
}

/// One verdict in a sentence.
fn in_words(feedback: &Feedback) -> Markup {
    let Feedback { verdict, cause, suggestion, author, comment, given_at, .. } = feedback;
    html! {
        strong { (capital(verdict.in_words())) }
        @if let Some(cause) = cause { ": " code { (cause) } }
        @if let Some(suggestion) = suggestion { ": " code { (suggestion) } }
        ", said " @if !author.is_empty() { "by " (author) " " } "at " (time(*given_at, DAY_AND_TIME)) " UTC"
        @if !comment.is_empty() { ": “" (comment) "”" }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
