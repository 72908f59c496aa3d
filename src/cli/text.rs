//! Text for a terminal: colours, tables, paragraphs.
//!
//! Whether colours are wanted (`NO_COLOR`, no terminal) and how wide the terminal is, the caller decides.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::finding::Severity;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    #[default]
    Plain,
    /// A heading.
    Bold,
    /// Of less weight than the rest.
    Dim,
    /// Something is wrong.
    Red,
    /// Something may become wrong.
    Yellow,
    /// All is well.
    Green,
    /// Data, links.
    Cyan,
}

impl Style {
    /// `text` in this style; unchanged without `colour`.
    pub fn paint(self, text: &str, colour: bool) -> String {
        if !colour || self == Self::Plain || text.is_empty() {
            return text.to_owned();
        }
        format!("{}{text}\x1b[0m", self.code())
    }

    /// The escape sequence that turns the style on, from any other.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Plain => "\x1b[0m",
            Self::Bold => "\x1b[0;1m",
            Self::Dim => "\x1b[0;2m",
            Self::Red => "\x1b[0;1;31m",
            Self::Yellow => "\x1b[0;33m",
            Self::Green => "\x1b[0;32m",
            Self::Cyan => "\x1b[0;36m",
        }
    }
}

impl From<Severity> for Style {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Critical => Self::Red,
            Severity::Warning => Self::Yellow,
            Severity::Info => Self::Cyan,
        }
    }
}

/// How many columns `text` takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` without control characters, which could steer the terminal it is printed on: labels and titles
/// come from outside.
pub fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `text` in at most `columns` columns, with `…` where something was cut.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let fits = |c: &char| {
        let wide = c.width().unwrap_or(0);
        let fits = wide <= left;
        left = left.saturating_sub(wide);
        fits
    };
    let kept: String = text.chars().take_while(fits).collect();
    if columns == 0 { String::new() } else { format!("{}…", kept.trim_end()) }
}

/// Paragraphs of `text` in lines of at most `columns`, each line after `indent`; a word longer than a line
/// is split.
pub fn wrap(text: &str, columns: usize, indent: &str) -> String {
    let room = columns.saturating_sub(width(indent)).max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in harmless(paragraph).split_whitespace() {
            for part in pieces(word, room) {
                let needed = width(&line) + usize::from(!line.is_empty()) + width(&part);
                if needed > room {
                    lines.push(std::mem::take(&mut line));
                }
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&part);
            }
        }
        lines.push(line);
    }
    lines.iter().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") }).collect()
}

/// `word` in pieces of at most `room` columns.
fn pieces(word: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > room && used > 0 {
            pieces.push(String::new());
            used = 0;
        }
        used += wide;
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

/// To which side a column's cells are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// One cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// `text` in `style`.
    pub fn new(text: impl AsRef<str>, style: Style) -> Self {
        Self { text: harmless(text.as_ref()), style }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Style::Plain)
    }
}

/// Rows under headings, in aligned columns.
#[derive(Clone, Debug)]
pub struct Table {
    headings: Vec<(String, Align)>,
    rows: Vec<Vec<Cell>>,
}

/// Between two columns.
const GUTTER: usize = 2;
/// What a column keeps when a table is too wide.
const NARROWEST: usize = 8;

impl Table {
    /// A table without rows.
    pub fn new<H: Into<String>>(headings: impl IntoIterator<Item = (H, Align)>) -> Self {
        Self { headings: headings.into_iter().map(|(text, align)| (text.into(), align)).collect(), rows: Vec::new() }
    }

    /// Adds a row; cells that are missing are empty, those beyond the headings are not shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table in at most `columns` columns, if it can be: the widest cells are cut first.
    pub fn render(&self, columns: usize, colour: bool) -> String {
        let cell = |row: &[Cell], c: usize| row.get(c).cloned().unwrap_or_else(|| Cell::from(""));
        let mut widths: Vec<usize> = (self.headings.iter().enumerate())
            .map(|(c, (heading, _))| self.rows.iter().map(|row| width(&cell(row, c).text)).max().unwrap_or(0).max(width(heading)))
            .collect();
        let room = columns.saturating_sub(GUTTER * widths.len().saturating_sub(1));
        while widths.iter().sum::<usize>() > room {
            match widths.iter_mut().max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        let headings: Vec<Cell> = self.headings.iter().map(|(text, _)| Cell::new(text, Style::Bold)).collect();
        let mut out = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            let mut pending = 0;
            for (c, wide) in widths.iter().enumerate() {
                let Cell { text, style } = cell(row, c);
                let text = cut(&text, *wide);
                let rest = wide - width(&text);
                let (before, after) = if self.headings[c].1 == Align::Right { (rest, 0) } else { (0, rest) };
                if text.is_empty() {
                    pending += wide + GUTTER;
                    continue;
                }
                line.extend(std::iter::repeat_n(' ', pending + before));
                line.push_str(&style.paint(&text, colour));
                pending = after + GUTTER;
            }
            out.push_str(&line);
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table() -> Table {
        let mut table = Table::new([("MONITOR", Align::Left), ("SERIES", Align::Right), ("NOTE", Align::Left)]);
        table.row(["checkout latency".into(), "12".into(), "anomalous".into()]);
        table.row(["日本語".into(), "".into(), "none".into()]);
        table.row(["a".into(), "1204".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_by_what_they_take_on_the_screen() {
        insta::assert_snapshot!(table().render(80, false), @r"
        MONITOR           SERIES  NOTE
        checkout latency      12  anomalous
        日本語                    none
        a                   1204
        ");
    }

    #[test]
    fn a_wide_table_is_cut_at_its_widest() {
        insta::assert_snapshot!(table().render(30, false), @r"
        MONITOR      SERIES  NOTE
        checkout l…      12  anomalous
        日本語               none
        a              1204
        ");
    }

    #[test]
    fn colours_only_when_asked_and_never_from_the_data() {
        let mut table = Table::new([("X", Align::Left)]);
        table.row([Cell::new("\x1b]0;pwned\x07", Style::Red)]);
        assert_eq!(table.render(80, false), "X\n\u{fffd}]0;pwned\u{fffd}\n");
        assert_eq!(table.render(80, true), "\x1b[0;1mX\x1b[0m\n\x1b[0;1;31m\u{fffd}]0;pwned\u{fffd}\x1b[0m\n");
    }

    #[test]
    fn paragraphs_are_wrapped() {
        insta::assert_snapshot!(wrap("The latency of checkout left its band.\n\nSee https://example.org/a/very/long/path", 24, "  "), @r"
          The latency of
          checkout left its
          band.

          See
          https://example.org/a/
          very/long/path
        ");
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_asked(text in "\\PC{0,80}", columns in 1_usize..40) {
            prop_assert!(width(&cut(&text, columns)) <= columns);
            let columns = columns.max(4);
            prop_assert!(wrap(&text, columns, "  ").lines().all(|line| width(line) <= columns));
        }
    }
}
