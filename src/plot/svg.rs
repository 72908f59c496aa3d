//! A chart as inline SVG; its colours come from the style sheet of [`super::page`].

mod bars;
#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::ops::RangeInclusive;

use maud::{Markup, html};

use super::{Chart, Mark, axis, sampling};

pub use bars::{Bar, Bars, bars};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 792.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 204.0;
/// The height of the strip at the top that is seen where a stretch is labelled and anomalous too.
const STRIP: f64 = 6.0;
/// The plot's columns, which bound the points drawn whatever the number of values.
const COLUMNS: usize = 714;
/// Places that tell their value when pointed at.
const HOVERS: usize = 120;
/// Stretches that the description of a chart tells; of the others it tells the number.
const TOLD: usize = 10;

/// The drawing of `chart` with what its colours mean and its title; `labelled` are the stretches that are known to have
/// been anomalous.
pub fn figure(chart: &Chart, labelled: &[Mark]) -> Markup {
    html! {
        figure {
            (svg(chart, labelled))
            figcaption {
                span.key.line { "value" } span.key.band { "expected" } span.key.mark { "anomalous" }
                @if chart.placed(labelled).next().is_some() { span.key.label { "labelled" } }
                span.muted { (chart.title) }
            }
        }
    }
}

/// Draws `chart` on 800 × 240: labelled stretches, values, expected band, anomalous stretches with their onset, axes.
pub fn svg(chart: &Chart, labelled: &[Mark]) -> Markup {
    let Some(range) = chart.range() else {
        return html! { p.no-data { "No value to draw." } };
    };
    let scale = Scale { range, len: chart.values.len() };
    let (start, end) = (chart.values.start(), chart.values.end());
    let share = |ms: f64| LEFT + (RIGHT - LEFT) * ms / end.since(start).millis().max(1) as f64;
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(description(chart, labelled)) {
            @for (_, place) in chart.placed(labelled) {
                rect.label x=(px(across(*place.start()))) y=(TOP) width=(wide(&place)) height=(BOTTOM - TOP) {}
            }
            @for (_, place) in chart.marked() {
                rect.mark x=(px(across(*place.start()))) y=(TOP) width=(wide(&place)) height=(BOTTOM - TOP) {}
            }
            @for (_, place) in chart.placed(labelled) {
                rect.strip x=(px(across(*place.start()))) y=(TOP) width=(wide(&place)) height=(STRIP) {}
            }
            @for (value, label) in axis::values(chart.unit, range.0, range.1) {
                @let y = px(scale.y(value));
                line.grid x1=(LEFT) x2=(RIGHT) y1=(y) y2=(y) {}
                text.value x=(LEFT - 8.0) y=(y) { (label) }
            }
            @for (i, (time, label)) in axis::times(start, end, 6).into_iter().enumerate() {
                @let x = px(share(time.since(start).millis() as f64).clamp(LEFT + 36.0, RIGHT - 36.0));
                text class=(if i % 2 == 0 { "time" } else { "time between" }) x=(x) y=(BOTTOM + 22.0) { (label) }
            }
            path.band d=(band(chart, &scale)) {}
            path.expected d=(line(&chart.expected, &scale)) {}
            path.line d=(line(chart.values.values(), &scale)) {}
            path.anomalous d=(anomalous(chart, &scale)) {}
            @for (mark, place) in chart.marked() {
                @let x = px(across(*place.start()));
                @if mark.from >= start { line.onset x1=(x) x2=(x) y1=(TOP) y2=(BOTTOM) {} }
            }
            line.axis x1=(LEFT) x2=(RIGHT) y1=(BOTTOM) y2=(BOTTOM) {}
            (hovers(chart))
        }
    }
}

/// Where things are on the canvas.
struct Scale {
    range: (f64, f64),
    len: usize,
}

impl Scale {
    fn x(&self, i: usize) -> f64 {
        across(sampling::position(i, self.len))
    }

    /// Values beyond the axis lie on its edge.
    fn y(&self, value: f64) -> f64 {
        let (low, high) = self.range;
        BOTTOM - (BOTTOM - TOP) * ((value - low) / (high - low)).clamp(0.0, 1.0)
    }
}

fn across(fraction: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * fraction
}

/// The width of a stretch, so wide that it is seen.
fn wide(place: &RangeInclusive<f64>) -> f64 {
    px(((place.end() - place.start()) * (RIGHT - LEFT)).max(2.0))
}

/// A tenth of a pixel is as fine as anyone can see.
fn px(at: f64) -> f64 {
    (at * 10.0).round() / 10.0
}

fn line(values: &[f64], scale: &Scale) -> String {
    let mut path = String::new();
    for run in sampling::runs(values, COLUMNS) {
        trace(&mut path, run.iter().map(|i| (scale.x(*i), scale.y(values[*i]))));
    }
    path
}

/// The line again where it is anomalous.
fn anomalous(chart: &Chart, scale: &Scale) -> String {
    if chart.marks.is_empty() {
        return String::new();
    }
    let mut values = vec![f64::NAN; chart.values.len()];
    for places in chart.marks.iter().map(|mark| chart.places(mark)) {
        values[places.clone()].copy_from_slice(&chart.values.values()[places]);
    }
    line(&values, scale)
}

/// A line through `points`; one point alone is a dot, by the round ends that the style gives to lines.
fn trace(path: &mut String, points: impl Iterator<Item = (f64, f64)>) {
    let mut count = 0;
    for (x, y) in points {
        let _ = write!(path, "{}{} {}", if count == 0 { 'M' } else { 'L' }, px(x), px(y));
        count += 1;
    }
    if count == 1 {
        path.push_str("h0");
    }
}

/// One polygon for each unbroken stretch of the band.
fn band(chart: &Chart, scale: &Scale) -> String {
    let columns = chart.values.len().min(COLUMNS);
    let envelope = sampling::envelope(chart.values.len(), columns, |i| chart.band(i));
    let places: Vec<usize> = (0..columns).collect();
    let mut path = String::new();
    for stretch in places.chunk_by(|a, b| envelope[*a].is_some() == envelope[*b].is_some()) {
        let edge = |c: usize| across(c as f64 / columns as f64);
        let corners = stretch.iter().filter_map(|c| envelope[*c].map(|bounds| (*c, bounds)));
        let middle = |c: usize| f64::midpoint(edge(c), edge(c + 1));
        let corners: Vec<(f64, f64, f64)> = corners.map(|(c, (low, high))| (middle(c), scale.y(low), scale.y(high))).collect();
        let (Some(first), Some(last)) = (corners.first(), corners.last()) else { continue };
        // The band reaches to the outer edges of its first and last columns, so that one alone has a width.
        let (from, to) = (edge(stretch[0]), edge(stretch[stretch.len() - 1] + 1));
        let above = corners.iter().map(|(x, _, high)| (*x, *high));
        let below = corners.iter().rev().map(|(x, low, _)| (*x, *low));
        let outline = [(from, first.1), (from, first.2)].into_iter().chain(above).chain([(to, last.2), (to, last.1)]).chain(below);
        trace(&mut path, outline);
        path.push('Z');
    }
    path
}

/// Unseen columns that tell time, value and expectation when pointed at, each for its most telling value.
fn hovers(chart: &Chart) -> Markup {
    let (values, unit) = (chart.values.values(), chart.unit);
    let columns = values.len().min(HOVERS);
    let step = (RIGHT - LEFT) / columns.max(1) as f64;
    let far = |i: &usize| {
        let expected = chart.expected.get(*i).copied().filter(|e| e.is_finite()).unwrap_or(0.0);
        (values[*i] / 2.0 - expected / 2.0).abs()
    };
    let words = |i: usize| {
        let mut words = format!("{}: {}", chart.values.time(i).format("%b %-d %H:%M"), unit.show(values[i]));
        if let Some(expected) = chart.expected.get(i).filter(|e| e.is_finite()) {
            let _ = write!(words, ", expected {}", unit.show(*expected));
        }
        if let Some((lower, upper)) = chart.band(i) {
            let _ = write!(words, " ({} to {})", unit.show(lower), unit.show(upper));
        }
        for mark in chart.marks.iter().filter(|mark| (mark.from..=mark.to).contains(&chart.values.time(i))) {
            let _ = write!(words, "\n{}", mark.title);
        }
        words
    };
    html! {
        @for c in 0..columns {
            @let places = c * values.len() / columns..(c + 1) * values.len() / columns;
            @if let Some(i) = places.filter(|i| values[*i].is_finite()).max_by(|a, b| far(a).total_cmp(&far(b))) {
                rect.hover x=(px(LEFT + step * c as f64)) y=(TOP) width=(px(step)) height=(BOTTOM - TOP) { title { (words(i)) } }
            }
        }
    }
}

/// The chart in words, for those who cannot see it.
fn description(chart: &Chart, labelled: &[Mark]) -> String {
    let present = || chart.values.values().iter().copied().filter(|v| v.is_finite());
    let mut text = format!("Chart of {}", chart.title);
    if let (Some(least), Some(greatest), Some(last)) =
        (present().min_by(f64::total_cmp), present().max_by(f64::total_cmp), present().next_back())
    {
        let show = |v| chart.unit.show(v);
        let _ = write!(text, ": from {} to {}, last {}", show(least), show(greatest), show(last));
    }
    tell(&mut text, "anomalous", chart.marked().map(|(mark, _)| mark));
    tell(&mut text, "labelled", chart.placed(labelled).map(|(mark, _)| mark));
    text
}

fn tell<'a>(text: &mut String, what: &str, mut marks: impl Iterator<Item = &'a Mark>) {
    for mark in marks.by_ref().take(TOLD) {
        let _ = write!(text, "; {what} from {} to {}", mark.from.format("%b %-d %H:%M"), mark.to.format("%b %-d %H:%M"));
    }
    let left = marks.count();
    if left > 0 {
        let _ = write!(text, "; {what} {left} times more");
    }
}
