//! What scipy and Evidently say of generated samples: see tests/fixtures/drift.

use serde_json::Value;

use super::*;

const SCIPY: &str = include_str!("../../../tests/fixtures/drift/scipy.json");
const EVIDENTLY: &str = include_str!("../../../tests/fixtures/drift/evidently.json");

/// The same generator and the same shapes as in `samples.py`.
pub(super) struct Splitmix(pub u64);

impl Splitmix {
    pub(super) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 * (-53_f64).exp2()
    }

    pub(super) fn normal(&mut self) -> f64 {
        (0..12).fold(0.0, |sum, _| sum + self.uniform()) - 6.0
    }

    fn draw(&mut self, shape: &str) -> f64 {
        match shape {
            "normal" => self.normal(),
            "shifted" => self.normal() + 0.15,
            "scaled" => self.normal() * 1.3,
            "lognormal" => self.normal().exp(),
            "slower" => (self.normal() + 0.1).exp(),
            "heavy" => (if self.uniform() < 0.5 { 1.0 } else { -1.0 }) / (self.uniform() + 1e-9),
            "bimodal" => self.normal() + if self.uniform() < 0.4 { 3.0 } else { -2.0 },
            "rounded" => (self.normal() * 5.0).floor() / 5.0,
            "counts" => (self.uniform() * self.uniform() * 60.0).floor(),
            "more" => (self.uniform() * self.uniform() * 66.0).floor(),
            "few" => (self.uniform() * 4.0).floor(),
            "fewer" => (self.uniform() * self.uniform() * 4.0).floor(),
            "two" => f64::from(u8::from(self.uniform() < 0.4)),
            "other" => f64::from(u8::from(self.uniform() < 0.47)),
            "constant" => 7.0,
            "letters" => (self.uniform() * 12.0).floor(),
            "letters2" => (self.uniform().sqrt() * 13.0).floor(),
            "many" => (self.uniform() * self.uniform() * 300.0).floor(),
            _ => panic!("there is no shape {shape}"),
        }
    }
}

fn sample(shape: &str, n: u64, seed: u64) -> Vec<f64> {
    let mut random = Splitmix(seed);
    (0..n).map(|_| random.draw(shape)).collect()
}

/// The greatest deviations of one kind.
#[derive(Debug, Default)]
struct Off {
    relative: f64,
    absolute: f64,
    compared: usize,
}

impl Off {
    fn take(&mut self, ours: f64, theirs: &Value) {
        let Some(theirs) = theirs.as_f64() else { return };
        let off = (ours - theirs).abs();
        assert!(!off.is_nan(), "{ours} for {theirs}");
        self.absolute = self.absolute.max(off);
        // A billionth is nothing for numbers of about one: differences of equal numbers are left out of the relative part.
        self.relative = self.relative.max(if off < 1e-12 { 0.0 } else { off / theirs.abs() });
        self.compared += 1;
    }
}

#[test]
fn statistics_and_p_values_are_those_of_scipy() {
    let golden: Value = serde_json::from_str(SCIPY).unwrap();
    let names = ["ks", "p", "p exact", "p asymptotic", "wasserstein", "energy", "criterion", "its p", "its p asymptotic"];
    let mut off: Vec<Off> = names.iter().map(|_| Off::default()).collect();
    for row in golden["samples"].as_array().unwrap() {
        let (n, m, seed) = (row[2].as_u64().unwrap(), row[3].as_u64().unwrap(), row[4].as_u64().unwrap());
        let a = Sample::new(&sample(row[0].as_str().unwrap(), n, seed)).unwrap();
        let b = Sample::new(&sample(row[1].as_str().unwrap(), m, seed + 1)).unwrap();
        let apart = distances(&a, &b);
        let ks = |method| kolmogorov_smirnov(&a, &b, method).p_value;
        let criterion = |method| if n.min(m) < 2 { f64::NAN } else { cramer_von_mises(&a, &b, method).p_value };
        let exactly = if row[7].is_null() { f64::NAN } else { ks(Method::Exact) };
        let ours = [
            apart.ks,
            ks(Method::Auto),
            exactly,
            ks(Method::Asymptotic),
            apart.wasserstein,
            apart.energy,
            cramer_von_mises(&a, &b, Method::Asymptotic).statistic,
            criterion(Method::Auto),
            criterion(Method::Asymptotic),
        ];
        for (i, ours) in ours.into_iter().enumerate() {
            // Far out scipy's series for the criterion ends too early: what is left of one is its rounding.
            if names[i].starts_with("its p") && ours < 1e-9 {
                assert!(row[5 + i].as_f64().is_none_or(|theirs| theirs < 1e-5), "{} of {row}: {ours}", names[i]);
                continue;
            }
            off[i].take(ours, &row[5 + i]);
            let (p_value, theirs) = (names[i].contains('p') && i != 4, &row[5 + i]);
            let wrong = if p_value { off[i].absolute > 1e-6 } else { off[i].relative > 1e-9 };
            assert!(!wrong, "{} of {row}: {ours} for {theirs}", names[i]);
        }
    }
    for (name, off) in names.iter().zip(&off) {
        println!("{name}: {off:?}");
        assert!(off.compared > 150, "{name}: {off:?}");
    }
}

#[test]
fn tests_of_counts_are_those_of_scipy() {
    let golden: Value = serde_json::from_str(SCIPY).unwrap();
    let (mut statistics, mut p_values) = (Off::default(), Off::default());
    for row in golden["counts"].as_array().unwrap() {
        let of = |i: usize| row[i].as_u64().unwrap();
        let list = |times: u64, seed| sample("counts", of(2), seed).iter().map(|c| (c + 1.0) * times as f64).collect::<Vec<_>>();
        let counts = Counts::new(list(of(0), of(3)), list(of(1), of(3) + 1)).unwrap();
        let (fit, table) = (counts.chi_square(), counts.homogeneity());
        for (ours, theirs) in [(fit.statistic, 4), (table.statistic, 6), (counts.kullback_leibler(), 8), (counts.jensen_shannon(), 9)] {
            statistics.take(ours, &row[theirs]);
        }
        p_values.take(fit.p_value, &row[5]);
        p_values.take(table.p_value, &row[7]);
    }
    println!("counts: {statistics:?} {p_values:?}");
    assert!(statistics.compared == 96 && statistics.relative < 1e-9 && p_values.absolute < 1e-9);

    let p: Vec<f64> = sample("lognormal", 60, 99).iter().map(|x| (x / 50.0).min(1.0)).collect();
    let adjusted = golden["adjusted"].as_array().unwrap();
    assert!(benjamini_hochberg(&p).iter().zip(adjusted).all(|(a, b)| (a - b.as_f64().unwrap()).abs() < 1e-12));
}

#[test]
fn the_distribution_of_one_sample_is_that_of_scipy() {
    let golden: Value = serde_json::from_str(SCIPY).unwrap();
    let mut off = Off::default();
    for row in golden["one"].as_array().unwrap() {
        let (n, d) = (row[0].as_f64().unwrap(), row[1].as_f64().unwrap());
        off.take(kolmogorov::survival(n, d), &row[2]);
        assert!(off.absolute < 1e-6, "{row}: {off:?}");
    }
    println!("one sample: {off:?}");
    assert!(off.compared > 250);
}

/// A column as `evidently_golden.py` makes it.
fn column(name: usize, shape: &str, n: u64, seed: u64, kind: &str) -> Column {
    let mut values = sample(shape, n, seed);
    let values = match kind {
        "i" => Values::Integer(values.iter().map(|v| *v as i64).collect()),
        "c" => Values::Categorical(values.iter().map(|v| Some(format!("c{v:03}"))).collect()),
        _ => {
            if n > 100 {
                values.iter_mut().step_by(97).for_each(|v| *v = f64::NAN);
            }
            Values::Numeric(values)
        }
    };
    Column::new(name.to_string(), values)
}

#[test]
fn verdicts_are_those_of_evidently() {
    let golden: Value = serde_json::from_str(EVIDENTLY).unwrap();
    let (mut verdicts, mut off, mut wrong) = (0, 0.0_f64, Vec::new());
    for frame in golden.as_array().unwrap() {
        let (n, m) = (frame[0].as_u64().unwrap(), frame[1].as_u64().unwrap());
        let (mut reference, mut current) = (Vec::new(), Vec::new());
        for (name, row) in frame[2].as_array().unwrap().iter().enumerate() {
            let (kind, seed) = (row[2].as_str().unwrap(), row[3].as_u64().unwrap());
            let usual = column(name, row[0].as_str().unwrap(), n, seed, kind);
            let now = column(name, row[1].as_str().unwrap(), m, seed + 1, kind);
            for (i, verdict) in row[5].as_array().unwrap().iter().enumerate() {
                let chosen: Test = verdict[0].as_str().unwrap().parse().unwrap();
                // The first is Evidently's own choice.
                let test = (i > 0).then_some(chosen);
                let options = match row[4].as_str().unwrap() {
                    "num" => Options { numeric: test, ..Options::default() },
                    _ => Options { categorical: test, ..Options::default() },
                };
                let report = test_columns(std::slice::from_ref(&usual), std::slice::from_ref(&now), &options).unwrap();
                let ours = report.columns[0].outcome.as_ref().unwrap();
                verdicts += 1;
                // Evidently's own has no number for a single category, and no drift.
                let score = verdict[1].as_f64().unwrap_or(ours.score());
                off = off.max((ours.score() - score).abs());
                let same = ours.test == chosen && ours.threshold == verdict[2] && ours.drifted == verdict[3];
                if !same || (ours.score() - score).abs() > 1e-6 {
                    wrong.push(format!("{n} {m} {row}: {verdict} is {ours:?}"));
                }
            }
            reference.push(usual);
            current.push(now);
        }
        for share in frame[3].as_array().unwrap() {
            let names: Vec<_> = share[0].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            let of = |all: &[Column]| all.iter().filter(|c| names.contains(&c.name.as_str())).cloned().collect::<Vec<_>>();
            let report = test_columns(&of(&reference), &of(&current), &Options::default()).unwrap();
            verdicts += 1;
            let theirs = share[2].as_f64().unwrap();
            let same = report.drifted_columns as f64 == share[1] && report.share.is_some_and(|ours| (ours - theirs).abs() < 1e-12);
            if !same || report.drifted != Some(theirs >= 0.5) {
                wrong.push(format!("{n} {m} {share}: {} {:?}", report.drifted_columns, report.share));
            }
        }
    }
    println!("{verdicts} verdicts, scores off by {off:e} at most");
    assert!(wrong.is_empty(), "{} of {verdicts}:\n{}", wrong.len(), wrong.join("\n"));
}
