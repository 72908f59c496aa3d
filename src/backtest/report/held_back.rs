//! What guards held back, each with the reason.

use maud::{Markup, html};

use super::{MOST_LINES, left_out};
use crate::finding::HeldBack;
use crate::plot::page::{DAY_AND_TIME, counted, scrolling, time};

/// The first of the findings `listed`, of `all` that were held back.
pub(super) fn section(listed: &[HeldBack], all: usize) -> Markup {
    html! {
        @if all > 0 {
            section aria-labelledby="held-back" {
                h2 #held-back { (counted(all, "finding")) " held back" }
                p.muted {
                    "A guard of its monitor holds each of these back: it is no alert, opens no incident, and counts in no figure."
                }
                (scrolling("Findings held back", &html! {
                    table.stacked {
                        thead {
                            tr {
                                th scope="col" { "Monitor" }
                                th scope="col" { "Series" }
                                th scope="col" { "Began" }
                                th.number scope="col" { "Lasted" }
                                th.number scope="col" { "Value" }
                                th.number scope="col" { "Expected" }
                                th scope="col" { "Held back because" }
                            }
                        }
                        tbody { @for one in listed.iter().take(MOST_LINES) { (row(one)) } }
                    }
                }))
                (left_out(all, listed.len().min(MOST_LINES), "more"))
            }
        }
    }
}

fn row(HeldBack { finding, suppressed }: &HeldBack) -> Markup {
    html! {
        tr {
            th scope="row" { bdi { (finding.monitor) } }
            td.why.wide data-label="Series" { bdi { (finding.key) } }
            td data-label="Began" { (time(finding.onset, DAY_AND_TIME)) }
            td.number data-label="Lasted" {
                @match finding.ended { Some(ended) => (ended.since(finding.onset).in_words()), None => "to the end" }
            }
            td.number data-label="Value" { (finding.unit.show(finding.value)) }
            td.number data-label="Expected" { (finding.unit.show(finding.expected)) }
            td.why.wide data-label="Held back because" { (suppressed) }
        }
    }
}
