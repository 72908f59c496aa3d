//! How alike two findings are by their shapes and labels.

use augurs::dtw::Dtw;

use super::link::MACHINES;
use crate::finding::{Course, Finding};
use crate::series::SeriesKey;

/// From this likeness of shapes on two findings are alike.
const ALIKE: f64 = 0.85;
/// Fewer steps in common are no shape.
const LEAST: usize = 10;
/// One may lag behind the other by so many steps.
const WARP: usize = 2;
/// Labels that say where something is, besides those of machines: what differs there is apart.
const APART: [&str; 10] =
    ["namespace", "cluster", "region", "zone", "availability_zone", "datacenter", "environment", "env", "tenant", "customer"];

/// How alike `a` and `b` are, above 0 and at most 1: the likeness of their shapes, less what their labels differ in. `None`
/// where the shapes differ, or the labels say that they are apart.
pub(super) fn likeness(a: &Finding, b: &Finding) -> Option<f64> {
    let labels = of_labels(&a.key, &b.key)?;
    let shapes = of_shapes(a.course.as_ref()?, b.course.as_ref()?)?;
    (shapes >= ALIKE).then_some(shapes.min(1.0) * labels)
}

/// The share that is the same of the labels that both have, and of one more; `None` where a place differs.
fn of_labels(a: &SeriesKey, b: &SeriesKey) -> Option<f64> {
    let (mut same, mut all) = (1.0, 1.0);
    for name in APART.iter().chain(&MACHINES) {
        let Some((a, b)) = a.get(name).zip(b.get(name)) else { continue };
        if a != b && APART.contains(name) {
            return None;
        }
        all += 1.0;
        same += if a == b { 1.0 } else { 0.0 };
    }
    Some(same / all)
}

/// How alike two courses are over the steps that they have in common, whatever the sizes: 1 for the same, about 0 for what has
/// nothing in common. It is the correlation where one may lag behind the other by two steps: 1 − d² / 2n of the `n` common
/// steps, standardised, where d is the distance by dynamic time warping in a band (Sakoe & Chiba, "Dynamic programming
/// algorithm optimization for spoken word recognition", 1978). `None` where steps differ or too few are common.
fn of_shapes(a: &Course, b: &Course) -> Option<f64> {
    if a.step != b.step {
        return None;
    }
    let until = a.until.min(b.until);
    let [a, b] = [a, b].map(|course| {
        let later = course.until.since(until).steps(course.step);
        &course.deviations[..course.deviations.len().saturating_sub(later)]
    });
    let n = a.len().min(b.len());
    if n < LEAST {
        return None;
    }
    let (a, b) = (standardised(&a[a.len() - n..])?, standardised(&b[b.len() - n..])?);
    let distance = Dtw::euclidean().with_window(WARP).distance(&a, &b);
    Some(1.0 - distance * distance / (2.0 * n as f64))
}

/// With a mean of 0 and a variance of 1; `None` where nothing varies.
fn standardised(course: &[f32]) -> Option<Vec<f64>> {
    let n = course.len() as f64;
    let mean = course.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let spread = (course.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n).sqrt();
    (spread > 0.0 && spread.is_finite()).then(|| course.iter().map(|x| (f64::from(*x) - mean) / spread).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::DurationMs;
    use crate::correlation::sample::{at, finding, labelled};

    /// Twenty quiet minutes, then ten that follow `shape`, of a series that is judged every minute until `until`.
    fn course(until: i64, seed: u64, shape: impl Fn(i64) -> f64) -> Course {
        let noise = |i: i64| (((i + 100) as u64 * 7919 + seed * 104_729) % 1009) as f64 / 504.5 - 1.0;
        let deviations = (until - 29..=until).map(|minute| (noise(minute) + shape(minute)) as f32).collect();
        Course { until: at(until), step: DurationMs::from_secs(60), deviations }
    }

    fn step(minute: i64) -> f64 {
        if minute >= 0 { 12.0 } else { 0.0 }
    }

    #[test]
    fn the_same_shape_is_alike_at_any_size_and_a_little_later() {
        let one = course(10, 1, step);
        for (size, lag, until) in [(1.0, 0, 10), (4.0, 0, 10), (0.8, 2, 10), (2.0, 1, 7), (2.0, -2, 12)] {
            let like = of_shapes(&one, &course(until, 2, |minute| size * step(minute - lag))).unwrap();
            assert!(like >= 0.9, "{size} {lag} {until}: {like}");
        }
        let ramp = |minute: i64| 2.0 * minute.max(0) as f64;
        assert!(of_shapes(&course(10, 3, ramp), &course(10, 4, ramp)).unwrap() > 0.95);
    }

    #[test]
    fn other_shapes_are_not() {
        let one = course(10, 1, step);
        let moment = |minute: i64| if (0..3).contains(&minute) { 12.0 } else { 0.0 };
        for (name, other) in [
            ("noise", course(10, 2, |_| 0.0)),
            ("later", course(10, 2, |minute| step(minute - 6))),
            ("a moment", course(10, 2, moment)),
            ("the other way", course(10, 2, |minute| -step(minute))),
            ("to and fro", course(10, 2, |minute| if minute % 4 < 2 { step(minute) } else { -step(minute) })),
        ] {
            let like = of_shapes(&one, &other).unwrap();
            assert!(like < ALIKE, "{name}: {like}");
        }
    }

    #[test]
    fn what_cannot_be_compared() {
        let one = course(10, 1, step);
        assert_eq!(of_shapes(&one, &Course { step: DurationMs::from_secs(30), ..one.clone() }), None);
        assert_eq!(of_shapes(&one, &Course { until: at(35), ..one.clone() }), None);
        assert_eq!(of_shapes(&one, &Course { deviations: vec![1.0; 30], ..one.clone() }), None);
        assert_eq!(of_shapes(&one, &Course { deviations: Vec::new(), ..one.clone() }), None);
    }

    #[test]
    fn labels_tell_apart() {
        let with = |labels: &[(&str, &str)]| labelled(Finding { course: Some(course(10, 1, step)), ..finding("a", "m", at(0)) }, labels);
        let (shop, bank) = (with(&[("namespace", "shop"), ("node", "n1")]), with(&[("namespace", "bank"), ("node", "n1")]));
        assert_eq!(likeness(&shop, &bank), None);
        let [same, other, none] = [&[("namespace", "shop"), ("node", "n1")][..], &[("namespace", "shop"), ("node", "n2")], &[]]
            .map(with)
            .map(|b| likeness(&shop, &b).unwrap());
        assert!((same - 1.0).abs() < 1e-6 && (none - 1.0).abs() < 1e-6 && (other - 2.0 / 3.0).abs() < 1e-6, "{same} {other} {none}");
    }
}
