//! Seasons as tables by phase.

use super::season::Season;
use super::{CannotSay, median, robust_scale};
use crate::analysis::decompose::{self, CannotDecompose, MstlParams};
use crate::clock::{DurationMs, Timestamp};
use crate::series::Window;

/// A season's table is the mean of at most this many cycles: a rhythm may change.
pub const LATEST_CYCLES: usize = 7;
/// About so many measurements make one entry of a season's table.
const MEASUREMENTS_PER_PHASE: usize = 20;
/// Two cycles differ much when each is more than so many times its usual distance from their mean.
const DIFFER: f64 = 4.0;
/// Which of two cycles is as usual is told from the season so long before and after…
const ABOUT: DurationMs = DurationMs::from_secs(6 * 3600);
/// …at so many places on either side.
const PLACES_ABOUT: usize = 12;

/// Seasons that were learned from a window.
#[derive(Debug)]
pub struct Tables {
    /// The seasons, shortest first.
    pub seasons: Vec<Season>,
    /// What each place of the window would be further off its seasons if it had not been learned from.
    pub hidden: Vec<f64>,
    /// Of two cycles: how they differ.
    pub two: Option<Two>,
}

/// How two cycles differ, at each place of a window.
#[derive(Debug)]
pub struct Two {
    /// How much more than their mean is expected.
    pub above_mean: Vec<f64>,
    /// How far the value is from what is usual hours before and after.
    pub off_usual: Vec<f64>,
}

/// The seasons of a robust decomposition as tables by phase: the mean of the latest cycles, smoothed along the phase
/// the more the fewer cycles there are. Two weeks hold each minute of the week twice; taken as they are, half of
/// the noise would count as season, and half of an incident: of two cycles that differ much, [`common`] takes what both have.
///
/// A mean of `c` cycles is nearer to each of them than to the next one: the variance of what is smoothed is by (c + 1) / (c - 1)
/// smaller. What that hides at each place of the window is told beside the tables, so that a model that has seen two days is
/// not held to how well it remembers them.
pub fn tables(window: &Window, periods: &[usize]) -> Result<Tables, CannotSay> {
    let n = window.len();
    let mut learned = Tables { seasons: Vec::with_capacity(periods.len()), hidden: vec![0.0; n], two: None };
    if periods.is_empty() {
        return Ok(learned);
    }
    let parts = match decompose::mstl(window.values(), &MstlParams::new(periods).robust().fast().constant()) {
        Ok(parts) => parts,
        Err(CannotDecompose::Series(reason)) => return Err(reason),
        // Periods that STL does not take are no seasons.
        Err(CannotDecompose::Params(_)) => return Ok(learned),
    };
    for season in &parts.seasons {
        let cycles = (n / season.period).clamp(1, LATEST_CYCLES);
        let first = n - cycles * season.period;
        let place = |i: usize| phase(window.time(i), window.step(), season.period);
        let mut table = vec![0.0; season.period];
        for i in first..n {
            table[place(i)] += season.values[i] / cycles as f64;
        }
        let width = MEASUREMENTS_PER_PHASE.div_ceil(cycles);
        let mut table = smooth(&table, width);
        let values: Vec<f64> = season.values.iter().zip(&parts.remainder).map(|(season, rest)| season + rest).collect();
        if cycles == 2 {
            let each = [0, 1].map(|cycle| {
                let mut off = vec![0.0; season.period];
                for i in first + cycle * season.period..first + (cycle + 1) * season.period {
                    off[place(i)] = if values[i].is_finite() { values[i] - table[place(i)] } else { 0.0 };
                }
                smooth(&off, width)
            });
            let usual = usual(&table, window.step());
            let common = common(&table, &each, &usual);
            learned.two = Some(Two {
                above_mean: (0..n).map(|i| common[place(i)] - table[place(i)]).collect(),
                off_usual: (0..n).map(|i| values[i] - usual[place(i)]).collect(),
            });
            table = common;
        }
        if cycles > 1 {
            let off: Vec<f64> = (first..n).map(|i| values[i] - table[place(i)]).collect();
            let most = 3.0 * robust_scale(off.iter().copied()).unwrap_or(0.0);
            let off: Vec<f64> = off.iter().map(|x| if x.is_nan() { 0.0 } else { x.clamp(-most, most) }).collect();
            let c = cycles as f64;
            let share = ((c + 1.0) / (c - 1.0)).sqrt() - 1.0;
            let off = smooth(&off, width);
            learned.hidden[first..].iter_mut().zip(off).for_each(|(sum, off)| *sum += share * off);
        }
        learned.seasons.push(Season::new(&table));
    }
    Ok(learned)
}

/// What is usual hours before and after each place of a `table`: the median of some places about it.
fn usual(table: &[f64], step: DurationMs) -> Vec<f64> {
    let n = table.len();
    let stride = (ABOUT.steps(step) / PLACES_ABOUT).min(n / 8 / PLACES_ABOUT).max(1);
    let reach = PLACES_ABOUT.min(n / 8 / stride);
    let about = |at: usize| (0..=2 * reach).map(move |k| table[(at + n + k * stride - reach * stride) % n]);
    (0..n).map(|at| median(about(at)).unwrap_or(table[at])).collect()
}

/// What two cycles have in common: their mean `table`, but where they are far `off` it on either side, that of the two (or what
/// lies between them) which is nearest to the `usual`. An incident in one of two weeks is no season.
fn common(table: &[f64], off: &[Vec<f64>; 2], usual: &[f64]) -> Vec<f64> {
    let apart: Vec<f64> = off[0].iter().zip(&off[1]).map(|(first, second)| (first - second).abs() / 2.0).collect();
    let least = DIFFER * robust_scale(apart.iter().flat_map(|apart| [*apart, -apart])).unwrap_or(0.0);
    (0..table.len())
        .map(|at| {
            let [first, second] = [0, 1].map(|cycle| table[at] + off[cycle][at]);
            let nearest = usual[at].clamp(first.min(second), first.max(second));
            // Where they just begin to differ it is still the mean.
            let most = (apart[at] - least).max(0.0);
            table[at] + (nearest - table[at]).clamp(-most, most)
        })
        .collect()
}

/// The circular moving average over `width` places, made odd and at most a quarter of the circle.
fn smooth(circle: &[f64], width: usize) -> Vec<f64> {
    let n = circle.len();
    let half = (width / 2).min(n / 8);
    (0..n).map(|i| (0..=2 * half).map(|k| circle[(i + n + k - half) % n]).sum::<f64>() / (2 * half + 1) as f64).collect()
}

/// How many steps into its period of so many `time` is.
pub fn phase(time: Timestamp, step: DurationMs, period: usize) -> usize {
    (time.millis().div_euclid(step.millis())).rem_euclid(period as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: DurationMs = DurationMs::from_secs(600);
    const WEEK: usize = 1008;

    /// The season of a week that is learned from two of them: noise, on Saturday and Sunday 30 less, and `more`.
    fn learned(more: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let noise = |i: usize| ((i * 7919) % 101) as f64 / 50.0 - 1.0;
        let weekend = |at: usize| if at >= 720 { -30.0 } else { 0.0 };
        let values = (0..2 * WEEK).map(|i| noise(i) + weekend(i % WEEK) + more(i / WEEK, i % WEEK)).collect();
        // A Monday.
        let window = Window::new(Timestamp::from_millis(4 * DurationMs::DAY.millis()), STEP, values).unwrap();
        let learned = tables(&window, &[WEEK]).unwrap();
        (0..WEEK).map(|at| learned.seasons[0].effect(phase(window.time(at), STEP, WEEK))).collect()
    }

    #[test]
    fn an_incident_in_one_of_two_weeks_is_no_season() {
        let plain = learned(|_, _| 0.0);
        for week in 0..2 {
            for size in [60.0, -60.0] {
                for from in [200, 850] {
                    let struck = learned(|w, at| if w == week && (from..from + 9).contains(&at) { size } else { 0.0 });
                    let most = (0..WEEK).map(|at| (struck[at] - plain[at]).abs()).fold(0.0, f64::max);
                    assert!(most < 6.0, "{size} from {from} in week {week}: {most}");
                }
            }
        }
    }

    #[test]
    fn what_both_weeks_have_is_season() {
        let plain = learned(|_, _| 0.0);
        // Once 60, once 40.
        let job = learned(|week, at| if (200..230).contains(&at) { 60.0 - 20.0 * week as f64 } else { 0.0 });
        let at = 215;
        assert!((36.0..=51.0).contains(&(job[at] - plain[at])), "{}", job[at] - plain[at]);
        assert!((plain[850] - plain[400] + 30.0).abs() < 2.0);
    }

    #[test]
    fn short_circles_are_means() {
        let table = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(common(&table, &[vec![9.0; 4], vec![-9.0; 4]], &usual(&table, STEP)), table);
        assert_eq!(common(&[], &[vec![], vec![]], &usual(&[], STEP)), Vec::<f64>::new());
    }
}
