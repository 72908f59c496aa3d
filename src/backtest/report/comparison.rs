//! The user's own alerts beside what would have been raised.

use maud::{Markup, html};

use super::{count, fact, left_out, number};
use crate::backtest::alerts::{Alerts, Comparison, Incidents};
use crate::plot::page::{DAY_AND_TIME, counted, scrolling, time};

pub(super) fn section(comparison: &Comparison) -> Markup {
    let Comparison { both, only_yours, only_ours, .. } = comparison;
    html! {
        section aria-labelledby="alerts" {
            h2 #alerts { "Beside your own alerts" }
            p.lead { (comparison.spoken()) }
            p.muted { "What is found on several series at the same time is joined into one incident and told as one alert, so that there can be fewer here than in the series below." }
            dl.facts {
                (fact("Yours", &html! { (number(comparison.fired_per_day)) " a day" }))
                (fact("Bellwether's", &html! { (number(comparison.incidents_per_day)) " a day" }))
                (fact("Only yours", &html! { (counted(only_yours.count, "alert")) }))
                (fact("Only Bellwether's", &html! { (counted(only_ours.count, "incident")) }))
                (fact("Both", &html! { (counted(both.alerts.count, "alert")) " in " (counted(both.incidents.count, "incident")) }))
            }
            details.panel open[only_yours.count > 0] {
                summary { "Only yours: " (counted(only_yours.count, "alert")) }
                p.muted { "No incident goes with these. Either they needed nobody, or what they watch is not watched here." }
                (alerts("Alerts that only your rules raised", only_yours))
            }
            details.panel open[only_ours.count > 0] {
                summary { "Only Bellwether's: " (counted(only_ours.count, "incident")) }
                p.muted { "None of your rules fired while these lasted. Either no rule covers them, or they are false." }
                (incidents("Incidents that only Bellwether raised", only_ours))
            }
            details.panel open[both.incidents.count > 0] {
                summary { "Both: " (counted(both.alerts.count, "alert")) " in " (counted(both.incidents.count, "incident")) }
                p.muted { "Your rules fired while an incident lasted at the same place: these would have come as one alert each." }
                (incidents("Incidents that both raised", &both.incidents))
                (alerts("Your alerts that go with them", &both.alerts))
            }
        }
    }
}

fn alerts(label: &str, of: &Alerts) -> Markup {
    let listed: usize = of.groups.iter().map(|group| group.count).sum();
    html! {
        @if !of.groups.is_empty() {
            (scrolling(label, &html! {
                table.stacked {
                    thead {
                        tr {
                            th scope="col" { "Your rule" }
                            th.number scope="col" { "Fired" }
                            th.number scope="col" { "On things" }
                            th.number scope="col" { "For, in all" }
                        }
                    }
                    tbody {
                        @for group in &of.groups {
                            tr {
                                th.wide scope="row" { bdi { (group.alertname) } }
                                td.number data-label="Fired" { (count(group.count)) " ×" }
                                td.number data-label="On things" { (count(group.things)) }
                                td.number data-label="For, in all" { (group.lasted.in_words()) }
                            }
                        }
                    }
                }
            }))
            (left_out(of.count, listed, "alerts of other rules"))
        }
    }
}

fn incidents(label: &str, of: &Incidents) -> Markup {
    html! {
        @if !of.listed.is_empty() {
            (scrolling(label, &html! {
                table.stacked {
                    thead {
                        tr {
                            th scope="col" { "Incident" }
                            th scope="col" { "Services" }
                            th scope="col" { "Began" }
                            th.number scope="col" { "Lasted" }
                        }
                    }
                    tbody {
                        @for raised in &of.listed {
                            tr {
                                th.why.wide scope="row" { (raised.title) }
                                td data-label="Services" { bdi { (raised.services.join(", ")) } }
                                td data-label="Began" { (time(raised.from, DAY_AND_TIME)) }
                                td.number data-label="Lasted" { @match raised.to { Some(to) => (to.since(raised.from).in_words()), None => "to the end" } }
                            }
                        }
                    }
                }
            }))
            (left_out(of.count, of.listed.len(), "incidents"))
        }
    }
}
