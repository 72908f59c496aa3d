//! Bars side by side as inline SVG, with a line to hold them against.

use std::fmt::Write;

use maud::{Markup, html};

use super::{BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, px};
use crate::metric::Unit;
use crate::plot::axis;

/// Where the line is so much higher than all bars, it is told instead of drawn, so that the bars can still be seen.
const FAR: f64 = 5.0;

/// Bars of equal width, from the left to the right.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bars {
    /// What they show, in one line.
    pub title: String,
    /// The bars.
    pub bars: Vec<Bar>,
    /// A height to hold the bars against, and what it is; not drawn unless finite and not negative.
    pub line: Option<(f64, String)>,
    /// What to write below the bars: the place between them, from 0 left of the first to their number, and the text.
    pub ticks: Vec<(f64, String)>,
}

/// One bar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// What to say of it when pointed at.
    pub title: String,
    /// Its parts from the bottom to the top: class and height; what is not above zero is not drawn.
    pub parts: Vec<(&'static str, f64)>,
}

impl Bar {
    fn height(&self) -> f64 {
        self.parts.iter().map(|(_, height)| known(*height)).sum()
    }
}

/// Draws `bars` on 800 × 240.
pub fn bars(bars: &Bars) -> Markup {
    let highest = bars.bars.iter().map(Bar::height).fold(0.0, f64::max);
    let line = bars.line.as_ref().filter(|(at, _)| at.is_finite() && *at >= 0.0);
    let near = line.filter(|(at, _)| highest == 0.0 || *at <= highest * FAR);
    let top = match near.map_or(highest, |(at, _)| at.max(highest)) {
        top if top > 0.0 => top * 1.12,
        _ => 1.0,
    };
    let y = |value: f64| BOTTOM - (BOTTOM - TOP) * (value / top).clamp(0.0, 1.0);
    let share = (RIGHT - LEFT) / bars.bars.len().max(1) as f64;
    let gap = (share * 0.15).min(4.0);
    html! {
        svg.chart.bars viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(description(bars)) {
            @for (value, label) in axis::values(Unit::None, 0.0, top) {
                line.grid x1=(LEFT) x2=(RIGHT) y1=(px(y(value))) y2=(px(y(value))) {}
                text.value x=(LEFT - 8.0) y=(px(y(value))) { (label) }
            }
            @for (i, (place, label)) in bars.ticks.iter().enumerate() {
                @let x = px((LEFT + share * place).clamp(LEFT + 24.0, RIGHT - 24.0));
                text class=(if i % 2 == 0 { "time" } else { "time between" }) x=(x) y=(BOTTOM + 22.0) { (label) }
            }
            @for (i, bar) in bars.bars.iter().enumerate() {
                @let left = LEFT + share * i as f64;
                @for (class, from, to) in stacked(bar) {
                    rect class=(class) x=(px(left + gap / 2.0)) y=(px(y(to))) width=(px((share - gap).max(0.5))) height=(px((y(from) - y(to)).max(0.0))) {}
                }
                rect.hover x=(px(left)) y=(TOP) width=(px(share)) height=(BOTTOM - TOP) { title { (bar.title) } }
            }
            line.axis x1=(LEFT) x2=(RIGHT) y1=(BOTTOM) y2=(BOTTOM) {}
            @if let Some((at, label)) = line {
                @if near.is_some() {
                    line.halo x1=(LEFT) x2=(RIGHT) y1=(px(y(*at))) y2=(px(y(*at))) {}
                    line.limit x1=(LEFT) x2=(RIGHT) y1=(px(y(*at))) y2=(px(y(*at))) {}
                    text.limit x=(RIGHT) y=(px(y(*at) - 6.0)) { (label) }
                } @else {
                    text.limit x=(RIGHT) y=(TOP + 10.0) { (label) " ↑" }
                }
            }
        }
    }
}

/// The parts of a bar: class, lower and upper end.
fn stacked(bar: &Bar) -> impl Iterator<Item = (&'static str, f64, f64)> {
    let mut from = 0.0;
    bar.parts.iter().filter(|(_, height)| known(*height) > 0.0).map(move |(class, height)| {
        let part = (*class, from, from + known(*height));
        from = part.2;
        part
    })
}

/// Heights that no sum makes infinite.
fn known(height: f64) -> f64 {
    if height.is_nan() { 0.0 } else { height.clamp(0.0, 1e300) }
}

/// The bars in words, for those who cannot see them.
fn description(bars: &Bars) -> String {
    let show = |value| Unit::None.show(value);
    let heights = || bars.bars.iter().map(Bar::height);
    let mut text = format!("Bars of {}", bars.title);
    if let (Some(least), Some(greatest)) = (heights().min_by(f64::total_cmp), heights().max_by(f64::total_cmp)) {
        let _ = write!(text, ": {} of them, from {} to {}", bars.bars.len(), show(least), show(greatest));
    }
    if let Some((_, label)) = &bars.line {
        let _ = write!(text, "; {label}");
    }
    text
}
