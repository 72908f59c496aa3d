//! A chart for a terminal: the values as a braille line over the shaded band of what was expected.

use super::text::{Style, cut, harmless, width};
use crate::plot::{Chart, axis, sampling};

/// Dots across and down in one character, and the bit of each: column by column, from the top.
const ACROSS: usize = 2;
const DOWN: usize = 4;
const DOTS: [[u8; DOWN]; ACROSS] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// Widths and heights that can be drawn; others are held to these.
const COLUMNS: std::ops::RangeInclusive<usize> = 20..=400;
const ROWS: std::ops::RangeInclusive<usize> = 8..=120;

/// Draws `chart` in at most `size.0` columns and `size.1` lines: title, plot, times and legend.
///
/// Anomalous stretches are marked with `▲` under the plot, and red with `colour`.
pub fn render(chart: &Chart, size: (usize, usize), colour: bool) -> String {
    let columns = size.0.clamp(*COLUMNS.start(), *COLUMNS.end());
    let rows = size.1.clamp(*ROWS.start(), *ROWS.end());
    let title = Style::Bold.paint(&cut(&harmless(&chart.title), columns), colour);
    let Some(range) = chart.range() else {
        return format!("{title}\n{}\n", cut("no value to draw", columns));
    };
    let ticks = axis::values(chart.unit, range.0, range.1);
    let margin = ticks.iter().map(|(_, label)| width(label)).max().unwrap_or(0).min(columns / 2);
    let marked = chart.marked().next().is_some();
    let canvas = Canvas::draw(chart, range, columns - margin - 2, rows - 4 - usize::from(marked));
    let mut out = format!("{title}\n");
    let mut labels = vec![None; canvas.height];
    for (value, label) in &ticks {
        labels[canvas.row(*value)] = Some(label);
    }
    for (row, label) in labels.into_iter().enumerate() {
        let (text, edge) = label.map_or((String::new(), '│'), |label| (cut(label, margin), '┤'));
        let pad = margin - width(&text);
        out.push_str(&Style::Dim.paint(&format!("{:pad$}{text} {edge}", ""), colour));
        out.push_str(&canvas.line(row, colour));
        out.push('\n');
    }
    let (axis, times) = time_axis(chart, canvas.width);
    out.push_str(&Style::Dim.paint(&format!("{:margin$} └{axis}", ""), colour));
    out.push('\n');
    if marked {
        let line = format!("{:margin$}  {}", "", mark_line(chart, canvas.width));
        out.push_str(&Style::Red.paint(line.trim_end(), colour));
        out.push('\n');
    }
    out.push_str(&Style::Dim.paint(format!("{:margin$}  {times}", "").trim_end(), colour));
    out.push('\n');
    out.push_str(&legend(chart, margin + 2, columns, marked, colour));
    out
}

/// The characters of the plot.
struct Canvas {
    width: usize,
    height: usize,
    range: (f64, f64),
    dots: Vec<u8>,
    red: Vec<bool>,
    shaded: Vec<bool>,
}

impl Canvas {
    fn draw(chart: &Chart, range: (f64, f64), width: usize, height: usize) -> Self {
        let cells = width * height;
        let mut canvas = Self { width, height, range, dots: vec![0; cells], red: vec![false; cells], shaded: vec![false; cells] };
        canvas.shade(chart);
        let values = chart.values.values();
        let x = |i: usize| ((sampling::position(i, values.len()) * (width * ACROSS) as f64) as usize).min(width * ACROSS - 1);
        for run in sampling::runs(values, width * ACROSS) {
            let mut last = None;
            for i in run {
                let here = (x(i), canvas.dot(values[i]));
                canvas.stroke(last.unwrap_or(here), here, chart.is_marked(i));
                last = Some(here);
            }
        }
        canvas
    }

    /// How far down `value` is: 0 at the top, 1 at the bottom.
    fn depth(&self, value: f64) -> f64 {
        ((self.range.1 - value) / (self.range.1 - self.range.0)).clamp(0.0, 1.0)
    }

    /// The line of characters that shows `value`.
    fn row(&self, value: f64) -> usize {
        self.dot(value) / DOWN
    }

    /// The line of dots that shows `value`.
    fn dot(&self, value: f64) -> usize {
        let dots = self.height * DOWN;
        ((self.depth(value) * dots as f64) as usize).min(dots - 1)
    }

    /// Shades each character whose middle lies in the band, and at least one in each column that has a band.
    fn shade(&mut self, chart: &Chart) {
        let band = sampling::envelope(chart.values.len(), self.width, |i| chart.band(i));
        for (column, bounds) in band.into_iter().enumerate() {
            let Some((lower, upper)) = bounds else { continue };
            let (top, bottom) = (self.depth(upper) * self.height as f64, self.depth(lower) * self.height as f64);
            let only = (f64::midpoint(top, bottom) as usize).min(self.height - 1);
            for row in 0..self.height {
                let middle = row as f64 + 0.5;
                if row == only || (top <= middle && middle <= bottom) {
                    self.shaded[row * self.width + column] = true;
                }
            }
        }
    }

    /// A line of dots from `a` to `b`, both included.
    fn stroke(&mut self, a: (usize, usize), b: (usize, usize), red: bool) {
        let steps = a.0.abs_diff(b.0).max(a.1.abs_diff(b.1));
        for step in 0..=steps {
            let part = if steps == 0 { 0.0 } else { step as f64 / steps as f64 };
            let between = |from: usize, to: usize| (from as f64 + (to as f64 - from as f64) * part).round() as usize;
            let (x, y) = (between(a.0, b.0), between(a.1, b.1));
            let cell = (y / DOWN) * self.width + x / ACROSS;
            self.dots[cell] |= DOTS[x % ACROSS][y % DOWN];
            self.red[cell] |= red;
        }
    }

    fn line(&self, row: usize, colour: bool) -> String {
        let mut out = String::new();
        let mut style = Style::Plain;
        for cell in row * self.width..(row + 1) * self.width {
            let (character, wanted) = match (self.dots[cell], self.shaded[cell]) {
                (0, false) => (' ', Style::Plain),
                (0, true) => ('░', Style::Dim),
                (dots, _) => {
                    let braille = char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ');
                    (braille, if self.red[cell] { Style::Red } else { Style::Cyan })
                }
            };
            if colour && wanted != style {
                out.push_str(wanted.code());
                style = wanted;
            }
            out.push(character);
        }
        if style != Style::Plain {
            out.push_str(Style::Plain.code());
        }
        out.trim_end().to_owned()
    }
}

/// The horizontal axis with its ticks, and the line of labels below it.
fn time_axis(chart: &Chart, columns: usize) -> (String, String) {
    const LABEL: usize = 18;
    let (start, end) = (chart.values.start(), chart.values.end());
    let share = |ms: i64| ms as f64 / end.since(start).millis().max(1) as f64;
    let mut axis = vec!['─'; columns];
    let mut labels = String::new();
    for (time, label) in axis::times(start, end, (columns / LABEL).max(2)) {
        let at = ((share(time.since(start).millis()) * columns as f64) as usize).min(columns - 1);
        let from = at.saturating_sub(width(&label) / 2).min(columns.saturating_sub(width(&label)));
        let used = width(&labels);
        if width(&label) > columns || (used > 0 && from < used + 2) {
            continue;
        }
        axis[at] = '┬';
        labels.extend(std::iter::repeat_n(' ', from - used));
        labels.push_str(&label);
    }
    (axis.into_iter().collect(), labels)
}

/// A `▲` under each column that lies in a mark.
fn mark_line(chart: &Chart, columns: usize) -> String {
    let mut line = vec![' '; columns];
    for (_, place) in chart.marked() {
        let from = ((place.start() * columns as f64) as usize).min(columns - 1);
        let to = ((place.end() * columns as f64).ceil() as usize).clamp(from + 1, columns);
        line[from..to].fill('▲');
    }
    line.into_iter().collect()
}

fn legend(chart: &Chart, margin: usize, columns: usize, marked: bool, colour: bool) -> String {
    let band = (0..chart.values.len()).any(|i| chart.band(i).is_some());
    let parts = [
        Some((Style::Cyan, "⠒⠒", "value".to_owned())),
        band.then(|| (Style::Dim, "░░", "expected".to_owned())),
        marked.then(|| (Style::Red, "▲", "anomalous".to_owned())),
        Some((Style::Dim, "·", format!("one value every {}, times in UTC", chart.values.step()))),
    ];
    let mut line = " ".repeat(margin);
    let mut used = margin;
    for (style, sign, text) in parts.into_iter().flatten() {
        let wide = width(sign) + 1 + width(&text);
        if used + wide > columns {
            break;
        }
        line.extend([&style.paint(sign, colour), " ", &Style::Dim.paint(&text, colour), "  "]);
        used += wide + 2;
    }
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{DurationMs, Timestamp};
    use crate::metric::Unit;
    use crate::plot::Mark;
    use crate::series::Window;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn chart(step: DurationMs, values: Vec<f64>) -> Chart {
        Chart::new("latency p95 of checkout", Unit::Seconds, Window::new(at("2026-11-20T02:00:00Z"), step, values).unwrap())
    }

    /// Two hours of latency with a rhythm, a gap, and an anomaly at the end.
    fn latency() -> Chart {
        let rhythm = |i: usize| 0.2 + 0.08 * (i as f64 / 45.0).sin();
        let wobble = |i: usize| 0.012 * ((i * 7919) % 13) as f64 / 6.0 - 0.012;
        let value = |i: usize| match i {
            200..215 => f64::NAN,
            310.. => rhythm(i) + (i - 309) as f64 * 0.012,
            _ => rhythm(i) + wobble(i),
        };
        let mut chart = chart(DurationMs::from_secs(60), (0..340).map(value).collect());
        chart.expected = (0..340).map(rhythm).collect();
        chart.lower = (0..340).map(|i| rhythm(i) - 0.04).collect();
        chart.upper = (0..340).map(|i| rhythm(i) + 0.04).collect();
        chart.marks = vec![Mark { from: at("2026-11-20T07:14:00Z"), to: at("2026-11-20T07:39:00Z"), title: "above its band".to_owned() }];
        chart
    }

    #[test]
    fn an_anomaly_stands_out_of_its_band() {
        insta::assert_snapshot!(render(&latency(), (78, 18), false), @r"
        latency p95 of checkout
              │                                                                      ⡰
        600ms ┤                                                                     ⢠⠃
              │                                                                    ⢀⠇
              │                                                                   ⢀⠎
              │                                                                   ⡸
        400ms ┤                                                                  ⢰⠁
              │                                                                 ⢠⠃
              │     ░⣀⣀⣄⢴⢴⠴⠦⠢⠞⠶⠦⠶⠔⡤⢢⣤⣀⡀░                                       ⢀⠇░░░░░
              │⢀⢄⢴⠖⠟⠙⠈⠁⠁░          ░⠈⠁⠋⠑⠺⠔⣆⢤⣀░░                         ░⡀⣀⡠⡦⠢⠊⠃░░░░
        200ms ┤⠋⠈░                        ░⠈⠘⠊⠗⢢⠤⣀⡄⣀░░           ░░⢀⢀⣄⢶⠞⠞⠘⠉⠁░
              │                                 ░░⠉⠙⠋⠖⠱⢲⠔░░░⡔⡦⠲⠲⠒⠗⠑⠁⠁⠁░
              │
           0s ┤
              └┬────────────────────────┬────────────────────────┬────────────────────
                                                                                ▲▲▲▲▲▲
               Nov 20 02:00       Nov 20 04:00             Nov 20 06:00
               ⠒⠒ value  ░░ expected  ▲ anomalous  · one value every 1m, times in UTC
        ");
    }

    #[test]
    fn a_narrow_terminal_still_shows_it() {
        insta::assert_snapshot!(render(&latency(), (20, 8), false), @r"
        latency p95 of chec…
        600ms ┤            ⡜
        400ms ┤⣀⣠⣤⣤⣀⡀     ⡰⠁
        200ms ┤⠉   ⠈⠙⠓⠒⠖⠚⠉⠁
              └──┬──────────
                           ▲
               Nov 20 03:00
               ⠒⠒ value
        ");
    }

    #[test]
    fn one_point_of_ten_thousand_is_seen() {
        let mut values = vec![0.2; 10_000];
        values[6789] = 3.0;
        insta::assert_snapshot!(render(&chart(DurationMs::from_secs(60), values), (60, 10), false), @r"
        latency p95 of checkout
        3s ┤                                      ⡇
           │                                      ⡇
        2s ┤                                      ⡇
           │                                     ⢸⡇
        1s ┤                                     ⢸⡇
        0s ┤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠼⠧⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤
           └───────────────────────────────────────────────┬────────
                                                        Nov 26
            ⠒⠒ value  · one value every 1m, times in UTC
        ");
    }

    #[test]
    fn a_constant_and_nothing_at_all() {
        insta::assert_snapshot!(render(&chart(DurationMs::from_secs(15), vec![0.25; 30]), (50, 9), false), @r"
        latency p95 of checkout
        270ms ┤
        260ms ┤
        250ms ┤⠠⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠄
        240ms ┤
        230ms ┤
              └┬───────────────────────────┬──────────────
               Nov 20 02:00          Nov 20 02:05
               ⠒⠒ value
        ");
        insta::assert_snapshot!(render(&chart(DurationMs::HOUR, vec![f64::NAN; 30]), (50, 9), false), @r"
        latency p95 of checkout
        no value to draw
        ");
    }

    #[test]
    fn the_anomaly_is_red_and_colours_end_with_their_line() {
        let drawn = render(&latency(), (78, 18), true);
        assert!(drawn.contains(Style::Red.code()) && drawn.contains(Style::Cyan.code()));
        assert!(drawn.lines().filter(|line| line.contains('\x1b')).all(|line| line.trim_end().ends_with("\x1b[0m")));
        let plain = |text: &str| {
            text.split('\x1b').map(|part| part.split_once('m').filter(|_| part.starts_with('[')).map_or(part, |p| p.1)).collect::<String>()
        };
        let trimmed = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(trimmed(&plain(&drawn)), trimmed(&render(&latency(), (78, 18), false)));
    }

    /// `cargo test --lib cli::chart -- --ignored --nocapture` shows it in the terminal's own colours.
    #[test]
    #[ignore = "for looking at"]
    fn show() {
        print!("{}", render(&latency(), (100, 22), true));
    }

    proptest! {
        #[test]
        fn any_data_fits_any_terminal(
            values in prop::collection::vec(prop_oneof![
                -1e3..1e3_f64, Just(f64::NAN), Just(1e308), Just(-1e308), Just(0.0), Just(f64::MIN_POSITIVE)
            ], 0..300),
            bounds in prop::collection::vec(prop_oneof![-1e3..1e3_f64, Just(f64::NAN), Just(f64::INFINITY), Just(-1e308)], 0..300),
            size in (0_usize..500, 0_usize..150),
            step in prop_oneof![Just(1_i64), Just(60_000), Just(86_400_000), Just(i64::MAX / 1000)],
            from in -400_i64..400, long in 0_i64..400,
        ) {
            let mut chart = chart(DurationMs::from_millis(step), values);
            chart.upper = bounds.iter().map(|b| b + 1.0).collect();
            chart.lower = bounds;
            let start = chart.values.start() + DurationMs::from_millis(step) * from;
            chart.marks = vec![Mark { from: start, to: start + DurationMs::from_millis(step) * long, title: String::new() }];
            let drawn = render(&chart, size, false);
            let columns = size.0.clamp(20, 400);
            prop_assert!(drawn.lines().all(|line| width(line) <= columns), "{}", drawn);
            prop_assert!(drawn.lines().count() <= size.1.clamp(8, 120));
        }
    }
}
