//! Agreement with statsmodels on its own test series; `tests/fixtures/decompose/generate.py` writes the fixtures.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Decomposition, Degree, MstlParams, StlParams, mstl, stl};

#[derive(Deserialize)]
struct Golden<P> {
    series: BTreeMap<String, Vec<f64>>,
    cases: Vec<Case<P>>,
}

#[derive(Deserialize)]
struct Case<P> {
    name: String,
    series: String,
    length: usize,
    params: P,
    every: usize,
    trend: Vec<f64>,
    seasons: Vec<Vec<f64>>,
    weights: Vec<f64>,
}

/// What both references take: absent is the default.
#[derive(Clone, Deserialize)]
struct Fit {
    seasonal_deg: Option<u8>,
    trend_deg: Option<u8>,
    low_pass_deg: Option<u8>,
    seasonal_jump: Option<usize>,
    trend_jump: Option<usize>,
    low_pass_jump: Option<usize>,
    robust: Option<bool>,
    #[serde(alias = "inner_iter")]
    inner: Option<usize>,
    #[serde(alias = "outer_iter")]
    outer: Option<usize>,
}

#[derive(Deserialize)]
struct Stl {
    period: usize,
    seasonal: usize,
    trend: usize,
    low_pass: Option<usize>,
    #[serde(flatten)]
    fit: Fit,
}

#[derive(Deserialize)]
struct Mstl {
    periods: Vec<usize>,
    windows: Option<Vec<usize>>,
    iterate: usize,
    #[serde(flatten)]
    fit: Fit,
}

impl Fit {
    fn apply(&self, base: StlParams) -> StlParams {
        let degree = |d: Option<u8>| if d == Some(0) { Degree::Constant } else { Degree::Linear };
        let base = if self.robust == Some(true) { base.robust() } else { base };
        StlParams {
            seasonal_degree: degree(self.seasonal_deg),
            trend_degree: degree(self.trend_deg),
            low_pass_degree: degree(self.low_pass_deg),
            seasonal_jump: self.seasonal_jump.unwrap_or(1),
            trend_jump: self.trend_jump.unwrap_or(1),
            low_pass_jump: self.low_pass_jump.unwrap_or(1),
            inner: self.inner.unwrap_or(base.inner),
            outer: self.outer.unwrap_or(base.outer),
            ..base
        }
    }
}

/// The largest difference from the golden result, in units of the data's size (weights as they are).
fn difference<P>(case: &Case<P>, values: &[f64], found: &Decomposition) -> f64 {
    let size = values.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
    let far = |ours: &[f64], theirs: &[f64]| {
        assert_eq!(ours.len().div_ceil(case.every), theirs.len(), "{}", case.name);
        ours.iter().step_by(case.every).zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, |m: f64, d| if d.is_nan() { d } else { m.max(d) })
    };
    assert_eq!(found.seasons.len(), case.seasons.len(), "{}", case.name);
    let mut worst = far(&found.trend, &case.trend) / size;
    for (ours, theirs) in found.seasons.iter().zip(&case.seasons) {
        worst = worst.max(far(&ours.values, theirs) / size);
    }
    if case.weights.is_empty() {
        assert!(found.weights.iter().all(|w| *w == 1.0), "{}", case.name);
    } else {
        worst = worst.max(far(&found.weights, &case.weights));
    }
    worst
}

fn agree<P>(golden: &Golden<P>, decompose: impl Fn(&[f64], &P) -> Decomposition) {
    assert!(!golden.cases.is_empty());
    for case in &golden.cases {
        let values = &golden.series[&case.series][..case.length];
        let worst = difference(case, values, &decompose(values, &case.params));
        println!("{worst:8.1e}  {}", case.name);
        assert!(worst <= 1e-9, "{}: {worst:e}", case.name);
    }
}

#[test]
fn stl_agrees_with_the_reference() {
    let golden: Golden<Stl> = serde_json::from_str(include_str!("../../../tests/fixtures/decompose/stl.json")).unwrap();
    agree(&golden, |values, p| {
        let base = StlParams::with_seasonal(p.period, p.seasonal);
        let low_pass = p.low_pass.unwrap_or(base.low_pass);
        stl(values, &p.fit.apply(StlParams { trend: p.trend, low_pass, ..base })).unwrap()
    });
}

#[test]
fn mstl_agrees_with_the_reference() {
    let golden: Golden<Mstl> = serde_json::from_str(include_str!("../../../tests/fixtures/decompose/mstl.json")).unwrap();
    agree(&golden, |values, p| {
        let mut params = MstlParams::new(&p.periods);
        params.iterate = p.iterate;
        for (i, season) in params.seasons.iter_mut().enumerate() {
            let window = p.windows.as_ref().map_or(season.seasonal, |windows| windows[i]);
            *season = p.fit.apply(StlParams::with_seasonal(season.period, window));
        }
        mstl(values, &params).unwrap()
    });
}
