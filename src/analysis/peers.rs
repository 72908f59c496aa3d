//! The odd one among peers: series that otherwise move together, and one that does not any more.
//!
//! What moves together is found, not configured: the courses of the series, an average for each stretch of the training
//! window, are compared by how their changes correlate, and clustered by density (DBSCAN: Ester, Kriegel, Sander & Xu, "A
//! Density-Based Algorithm for Discovering Clusters", KDD 1996), so that a series like no other belongs to no cluster.
//! Changes and not courses, because two random walks correlate by chance (Granger & Newbold, "Spurious Regressions in
//! Econometrics", 1974).
//!
//! A member is held against the median of its peers: what all have in common, a wave of traffic or a slow database, cancels
//! out, and what one has alone remains. The difference is followed by a slow level, and how far three of five values are
//! from it is calibrated on the training window as every other statistic is.

#[cfg(test)]
mod tests;

use linfa::traits::Transformer;
use linfa_clustering::Dbscan;
use ndarray::Array2;
use rayon::prelude::*;

use super::baseline::{first_level, follow, median, robust_scale};
use super::calibrate::Tail;
use super::detect::{Beside, Detector, History, View};
use crate::finding::Direction;
use crate::series::Window;

/// Fewer are not enough to say which of them is odd.
pub const LEAST_PEERS: usize = 4;
/// The fewest places of a training window.
pub const LEAST_PLACES: usize = 240;
/// More series than this are not compared: the comparison is quadratic.
const MOST_SERIES: usize = 5000;
/// Stretches of the training window that courses are compared over.
const STRETCHES: usize = 128;
/// The least correlation of what moves together.
const LEAST_CORRELATION: f64 = 0.7;
/// The difference to the peers must be quieter than the series itself by this factor, or they explain nothing of it.
const PEERS_MUST_HELP: f64 = 0.8;
/// The share by which the level of the difference moves, of an error of at most so many scales.
const GAIN: f64 = 0.004;
const CLIP: f64 = 2.0;
/// The scale is at least this share of that of the series itself.
const LEAST_RELATIVE_SCALE: f64 = 0.05;
/// A past incident must not teach what is usual.
const INCIDENT: f64 = 6.0;
const MOST_INCIDENTS: f64 = 0.05;
/// Differences are held within so many scales.
const FARTHEST: f64 = 1e6;

/// Which series of a set move together, and how far apart they usually are.
#[derive(Clone, Debug)]
pub struct Peers {
    /// For each series its part; `None` for one without peers.
    members: Vec<Option<Member>>,
    /// The series of each cluster.
    clusters: Vec<Vec<usize>>,
    state: State,
}

/// One series among its peers.
#[derive(Clone, Debug)]
struct Member {
    cluster: usize,
    unit: Unit,
    /// How far the difference usually is from its level.
    scale: f64,
    below: Tail,
    above: Tail,
}

/// What makes series comparable.
#[derive(Clone, Copy, Debug)]
struct Unit {
    centre: f64,
    scale: f64,
}

/// Where the series stand beside their peers: what moves from one time to the next.
#[derive(Clone, Debug)]
pub struct State(Vec<Course>);

/// Where one series stands beside its peers.
#[derive(Clone, Debug, Default)]
struct Course {
    level: f64,
    latest: History,
}

impl Peers {
    /// Learns from one window for each series, all of the same times. `None` where no series has peers.
    pub fn fit(windows: &[Window]) -> Option<Self> {
        let places = windows.iter().map(Window::len).min().unwrap_or(0);
        if !(LEAST_PEERS..=MOST_SERIES).contains(&windows.len()) || places < LEAST_PLACES {
            return None;
        }
        let clusters = clusters(windows, places);
        let units: Vec<Option<Unit>> = windows.par_iter().map(|window| Unit::of(window.values())).collect();
        let mut members: Vec<Option<Member>> = vec![None; windows.len()];
        let mut state = State(vec![Course::default(); windows.len()]);
        for (cluster, of) in clusters.iter().enumerate() {
            let middles: Vec<f64> = (0..places)
                .into_par_iter()
                .map(|place| middle(of.iter().map(|i| units[*i]?.of_value(windows[*i].values()[place]))))
                .collect();
            let fitted: Vec<(usize, Option<(Member, Course)>)> = of
                .par_iter()
                .map(|i| (*i, units[*i].and_then(|unit| Member::fit(cluster, unit, &windows[*i].values()[..places], &middles))))
                .collect();
            for (i, one) in fitted {
                let Some((member, course)) = one else { continue };
                (members[i], state.0[i]) = (Some(member), course);
            }
        }
        members.iter().any(Option::is_some).then_some(Self { members, clusters, state })
    }

    /// The state right after the training window.
    pub fn start(&self) -> State {
        self.state.clone()
    }

    /// How many series are held against their peers.
    pub fn len(&self) -> usize {
        self.members.iter().flatten().count()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in the next values, one of each series and NaN where there is none, one step after those before, and says what
    /// the peers of each say of it: nothing where it has none, or too few of them have a value.
    pub fn step(&self, state: &mut State, values: &[f64], direction: Option<Direction>) -> Vec<Option<Beside>> {
        let unit = |i: usize| self.members[i].as_ref().map(|member| member.unit);
        let value = |i: usize| unit(i)?.of_value(values.get(i).copied().unwrap_or(f64::NAN));
        let middles: Vec<f64> = self.clusters.iter().map(|of| middle(of.iter().map(|i| value(*i)))).collect();
        self.members
            .iter()
            .zip(&mut state.0)
            .enumerate()
            .map(|(i, (member, course))| {
                let member = member.as_ref()?;
                let difference = value(i).unwrap_or(f64::NAN) - middles[member.cluster];
                course.push(difference, member.scale);
                let view = View::of_third(Detector::Peers, &course.latest, (&member.below, &member.above), direction)?;
                Some(Beside { off: view.statistic * member.scale * member.unit.scale, view })
            })
            .collect()
    }
}

impl Member {
    /// Learns from the values of a series and the middle of its peers at the same times.
    fn fit(cluster: usize, unit: Unit, values: &[f64], middles: &[f64]) -> Option<(Self, Course)> {
        let own: Vec<f64> = values.iter().map(|value| unit.of_value(*value).unwrap_or(f64::NAN)).collect();
        let differences: Vec<f64> = own.iter().zip(middles).map(|(own, middle)| own - middle).collect();
        let restless = |values: &[f64]| robust_scale(follow(values, first_level(values)?, GAIN, f64::INFINITY).1.into_iter());
        let (alone, scale) = (restless(&own)?, restless(&differences)?);
        if scale > PEERS_MUST_HELP * alone {
            return None;
        }
        let scale = scale.max(LEAST_RELATIVE_SCALE * alone).max(f64::MIN_POSITIVE.sqrt());
        let mut course = Course { level: first_level(&differences)?, latest: History::default() };
        let thirds: Vec<(f64, f64)> = differences
            .iter()
            .map(|difference| {
                course.push(*difference, scale);
                course.latest.third()
            })
            .collect();
        let tail = |side: Vec<f64>| {
            let present = side.iter().filter(|far| far.is_finite()).count() as f64;
            let calm: Vec<f64> = side.iter().copied().filter(|far| *far <= INCIDENT).collect();
            let few = present - calm.len() as f64 <= present * MOST_INCIDENTS;
            Tail::fit(if few { &calm } else { &side }).map(|tail| tail.no_lighter_than(&side))
        };
        let below = tail(thirds.iter().map(|(low, _)| -low).collect())?;
        let above = tail(thirds.iter().map(|(_, high)| *high).collect())?;
        Some((Self { cluster, unit, scale, below, above }, course))
    }
}

impl Course {
    fn push(&mut self, difference: f64, scale: f64) {
        let error = difference - self.level;
        self.latest.push((error / scale).clamp(-FARTHEST, FARTHEST));
        if error.is_finite() {
            self.level += GAIN * error.clamp(-CLIP * scale, CLIP * scale);
        }
    }
}

impl Unit {
    fn of(values: &[f64]) -> Option<Self> {
        let centre = median(values.iter().copied())?;
        let scale = robust_scale(values.iter().copied()).filter(|scale| *scale > 0.0 && scale.is_finite())?;
        Some(Self { centre, scale })
    }

    fn of_value(&self, value: f64) -> Option<f64> {
        let value = (value - self.centre) / self.scale;
        value.is_finite().then_some(value)
    }
}

/// The median of what is there, if that is enough.
fn middle(values: impl Iterator<Item = Option<f64>>) -> f64 {
    let values: Vec<f64> = values.flatten().collect();
    if values.len() < LEAST_PEERS { f64::NAN } else { median(values.into_iter()).unwrap_or(f64::NAN) }
}

/// The sets of series that move together, each in order.
fn clusters(windows: &[Window], places: usize) -> Vec<Vec<usize>> {
    let courses: Vec<Option<Vec<f64>>> = windows.par_iter().map(|window| course(&window.values()[..places])).collect();
    let (of, rows): (Vec<usize>, Vec<&Vec<f64>>) = courses.iter().enumerate().filter_map(|(i, course)| Some((i, course.as_ref()?))).unzip();
    let Some(wide) = rows.first().map(|row| row.len()) else { return Vec::new() };
    let Ok(table) = Array2::from_shape_vec((rows.len(), wide), rows.iter().flat_map(|row| row.iter().copied()).collect()) else {
        return Vec::new();
    };
    // Of unit vectors the squared distance is 2 (1 - correlation).
    let tolerance = (2.0 * (1.0 - LEAST_CORRELATION)).sqrt();
    let Ok(labels) = Dbscan::params(LEAST_PEERS).tolerance(tolerance).transform(&table) else { return Vec::new() };
    let mut clusters: Vec<Vec<usize>> = Vec::new();
    for (i, label) in of.into_iter().zip(labels.iter()) {
        let Some(label) = *label else { continue };
        if clusters.len() <= label {
            clusters.resize(label + 1, Vec::new());
        }
        clusters[label].push(i);
    }
    clusters.retain(|of| of.len() >= LEAST_PEERS);
    clusters
}

/// The changes from stretch to stretch as a unit vector; `None` where there are gaps or no changes.
fn course(values: &[f64]) -> Option<Vec<f64>> {
    let long = values.len().div_ceil(STRETCHES);
    let means: Option<Vec<f64>> = values.chunks(long).map(|stretch| median(stretch.iter().copied())).collect();
    let means = means?;
    let changes: Vec<f64> = means.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mean = changes.iter().sum::<f64>() / changes.len() as f64;
    let length = changes.iter().map(|change| (change - mean).powi(2)).sum::<f64>().sqrt();
    (length > 0.0 && length.is_finite()).then(|| changes.iter().map(|change| (change - mean) / length).collect())
}
