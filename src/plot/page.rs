//! What every page of HTML shares, whoever writes it: the style sheet, and the small things that are said on all.

use maud::{Markup, PreEscaped, html};

use crate::clock::Timestamp;

/// The style sheet of all pages.
pub const STYLE: &str = include_str!("page.css");

/// The icon of a page, as the address of a link.
pub const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E%3Cpath fill='%233b6fd4' d='M12 2a6 6 0 0 0-6 6v5l-2 4h16l-2-4V8a6 6 0 0 0-6-6zm-2.5 17a2.5 2.5 0 0 0 5 0z'/%3E%3C/svg%3E";

/// The sign beside the name.
pub fn bell() -> Markup {
    PreEscaped(
        "<svg class=\"bell\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path d=\"M12 2a6 6 0 0 0-6 6v5l-2 4h16l-2-4V8a6 6 0 0 0-6-6zm-2.5 17a2.5 2.5 0 0 0 5 0z\"/></svg>"
            .to_owned(),
    )
}

/// The pattern for the day and the time.
pub const DAY_AND_TIME: &str = "%b %-d %H:%M";

/// An instant, for machines and for people; `pattern` as of strftime.
pub fn time(at: Timestamp, pattern: &str) -> Markup {
    html! { time datetime=(at.to_string()) title=(at.in_words()) { (at.format(pattern)) } }
}

/// A table that scrolls for itself on a narrow screen; the region can be reached by keyboard.
pub fn scrolling(label: &str, table: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(label) tabindex="0" { (table) } }
}

/// `n` of something: `1 series`, `2 findings`, `12,000 points`.
pub fn counted(n: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(n as f64), if n == 1 || what.ends_with('s') { "" } else { "s" })
}

/// A whole number in groups of three digits: `12,000`.
pub fn grouped(n: f64) -> String {
    let text = format!("{n:.0}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let mut out = sign.to_owned();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_groups() {
        for (n, text) in [(0.0, "0"), (999.0, "999"), (1000.0, "1,000"), (-1_234_567.0, "-1,234,567"), (12_345.6, "12,346")] {
            assert_eq!(grouped(n), text);
        }
        assert_eq!([counted(1, "finding"), counted(1200, "finding"), counted(3, "series")], ["1 finding", "1,200 findings", "3 series"]);
    }
}
