use proptest::prelude::*;

use super::golden::Splitmix;
use super::*;

fn normal(n: usize, seed: u64, map: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut random = Splitmix(seed);
    (0..n).map(|_| map(random.normal())).collect()
}

fn letters(n: usize, seed: u64, shares: &[f64]) -> Categories {
    let mut random = Splitmix(seed);
    (0..n)
        .map(|_| {
            let u = random.uniform();
            Some(
                (b'a'
                    + shares
                        .iter()
                        .scan(0.0, |sum, share| {
                            Some({
                                *sum += share;
                                *sum
                            })
                        })
                        .take_while(|sum| *sum < u)
                        .count() as u8)
                    .to_string(),
            )
        })
        .collect()
}

fn numeric(name: &str, values: Vec<f64>) -> Column {
    Column::new(name, Values::Numeric(values))
}

fn calibrated() -> Options {
    Options { rule: Rule::calibrated(), ..Options::default() }
}

/// One column's outcome.
fn outcome(reference: Values, current: Values, options: &Options) -> Result<Outcome, CannotCompare> {
    let report = test_columns(&[Column::new("x", reference)], &[Column::new("x", current)], options).unwrap();
    report.columns.into_iter().next().unwrap().outcome
}

#[test]
fn what_cannot_be_used_is_named() {
    let (x, y) = (numeric("x", vec![1.0, 2.0]), numeric("y", vec![1.0]));
    let text = Column::new("x", Values::Categorical([Some("a")].into_iter().collect()));
    let said = |reference: &[Column], current: &[Column]| test_columns(reference, current, &Options::default()).unwrap_err().to_string();
    assert_eq!(said(&[], &[]), "the reference data set has no columns; at least one is needed");
    assert_eq!(said(std::slice::from_ref(&x), &[]), "the current data set has no columns; at least one is needed");
    assert_eq!(said(&[x.clone(), y.clone()], std::slice::from_ref(&x)), "column \"y\" is not in the current data set; it has x");
    assert_eq!(said(std::slice::from_ref(&x), &[x.clone(), y.clone()]), "column \"y\" is not in the reference data set; it has x");
    assert_eq!(
        said(&[x.clone(), x.clone()], std::slice::from_ref(&x)),
        "column \"x\" is in the reference data set more than once; a name must be given once"
    );
    assert_eq!(
        said(std::slice::from_ref(&x), std::slice::from_ref(&text)),
        "column \"x\" is numeric in the reference data set and categorical in the current one; both must be the same"
    );
    let many: Vec<Column> = (0..9).map(|i| numeric(&i.to_string(), vec![1.0])).collect();
    assert_eq!(said(std::slice::from_ref(&y), &many), "column \"y\" is not in the current data set; it has 0, 1, 2, 3, 4 and 4 more");
}

#[test]
fn a_column_of_nothing_says_so_and_spoils_no_other() {
    let columns = |empty: Vec<f64>| [numeric("empty", empty), numeric("sound", (0..50).map(f64::from).collect())];
    let report = test_columns(&columns(vec![1.0]), &columns(vec![f64::NAN, f64::INFINITY]), &Options::default()).unwrap();
    assert_eq!((report.judged_columns, report.drifted_columns, report.share, report.drifted), (1, 0, Some(0.0), Some(false)));
    let last = report.columns.last().unwrap();
    assert_eq!((last.name.as_str(), last.reference_n, last.current_n), ("empty", 1, 0));
    assert_eq!(last.outcome.as_ref().unwrap_err().to_string(), "none of the 2 rows of the current column holds a value; at least one must");
    let none = test_columns(&columns(vec![])[..1], &columns(vec![1.0])[..1], &Options::default()).unwrap();
    assert_eq!((none.share, none.drifted), (None, None));
    assert_eq!(none.columns[0].outcome.as_ref().unwrap_err().to_string(), "the reference column is empty; at least one row is needed");
    let missing: Categories = [None::<&str>, None].into_iter().collect();
    let some: Categories = [Some("a")].into_iter().collect();
    let said = outcome(Values::Categorical(missing), Values::Categorical(some), &Options::default()).unwrap_err();
    assert_eq!(said, CannotCompare::NoValues(Side::Reference, 2));
}

#[test]
fn too_little_for_a_test_is_told() {
    let options = Options { numeric: Some(Test::CramerVonMises), ..Options::default() };
    let said = outcome(Values::Numeric(vec![1.0]), Values::Numeric(vec![1.0, 2.0]), &options).unwrap_err();
    assert_eq!(said.to_string(), "the reference column has 1 values; the test cramer_von_mises needs at least 2");
    let huge = Values::Numeric((0..40).map(|i| f64::from(i) * 1e306 - 2e307).chain([f64::MAX, f64::MIN]).collect());
    let said = outcome(huge.clone(), huge.clone(), &Options { numeric: Some(Test::Psi), ..Options::default() }).unwrap_err();
    assert!(said.to_string().starts_with("the values from -1.79"), "{said}");
    // What only compares is not stopped by size.
    assert_eq!(outcome(huge.clone(), huge, &calibrated()).unwrap().p_value, Some(1.0));
}

#[test]
fn chance_alone_makes_no_drift() {
    // Two hundred columns of both kinds, without any change, at four sizes.
    for (n, m) in [(30, 40), (500, 500), (2000, 300), (20_000, 20_000)] {
        let shares = [0.4, 0.3, 0.2, 0.06, 0.03, 0.01];
        let frame = |rows: usize, seed: u64| -> Vec<Column> {
            let numbers = (0..100).map(|i| numeric(&format!("n{i}"), normal(rows, seed + 2 * i, |x| x)));
            let text = (0..100).map(|i| Column::new(format!("c{i}"), Values::Categorical(letters(rows, seed + 1000 + 2 * i, &shares))));
            numbers.chain(text).collect()
        };
        let report = test_columns(&frame(n, 10_000), &frame(m, 10_001), &calibrated()).unwrap();
        assert_eq!(report.drifted_columns, 0, "{n} {m}: {:?}", report.columns[0]);
        // The p-values are honest before they are adjusted.
        let small = report.columns.iter().filter(|c| c.outcome.as_ref().unwrap().p_value.unwrap() < 0.05).count();
        assert!((1..=20).contains(&small), "{n} {m}: {small} of 200 under 0.05");
    }
}

#[test]
fn a_change_that_matters_is_found_and_a_trifle_is_not() {
    let column = |map: fn(f64) -> f64| Values::Numeric(normal(20_000, 5, map));
    let usual = || Values::Numeric(normal(20_000, 6, |x| x));
    // A hundredth is found by nobody, a twentieth is certain but a trifle, half a deviation is drift, and so is twice the width.
    let trifle = outcome(usual(), column(|x| x + 0.05), &calibrated()).unwrap();
    assert!(trifle.p_value.unwrap() < 0.001 && !trifle.drifted, "{trifle:?}");
    for changed in [column(|x| x + 0.5), column(|x| x * 2.0)] {
        let found = outcome(usual(), changed, &calibrated()).unwrap();
        assert!(found.drifted && found.effect > 0.15 && found.test == Test::Ks, "{found:?}");
    }
    let text = |seed, shares: &[f64]| Values::Categorical(letters(2000, seed, shares));
    let same = outcome(text(1, &[0.5, 0.3, 0.2]), text(2, &[0.5, 0.3, 0.2]), &calibrated()).unwrap();
    let moved = outcome(text(1, &[0.5, 0.3, 0.2]), text(2, &[0.3, 0.3, 0.4]), &calibrated()).unwrap();
    assert!(!same.drifted && moved.drifted && moved.test == Test::Homogeneity, "{same:?} {moved:?}");
}

#[test]
fn the_worst_comes_first() {
    let shifts = [0.0, 1.0, 0.5, 2.0];
    let frame = |seed: u64, times: f64| -> Vec<Column> {
        shifts.iter().enumerate().map(|(i, by)| numeric(&format!("by {by}"), normal(400, seed + i as u64, |x| x + by * times))).collect()
    };
    for options in [Options::default(), calibrated()] {
        let report = test_columns(&frame(1, 0.0), &frame(9, 1.0), &options).unwrap();
        let order: Vec<_> = report.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(order, ["by 2", "by 1", "by 0.5", "by 0"]);
        let adjusted = |o: &Outcome| o.adjusted_p.unwrap() >= o.p_value.unwrap();
        assert!(report.columns.iter().all(|c| adjusted(c.outcome.as_ref().unwrap())));
        assert_eq!((report.drifted_columns, report.share, report.drifted), (3, Some(0.75), Some(true)));
    }
}

#[test]
fn a_million_categories_are_compared() {
    let names: Vec<String> = (0..1_000_000).map(|i| i.to_string()).collect();
    let rows = |by: u32| Values::Categorical(Categories::new(names.clone(), (0..1_000_000).map(|i| Some((i + by) % 1_000_000)).collect()));
    for categorical in [None, Some(Test::ChiSquare), Some(Test::Psi), Some(Test::Homogeneity)] {
        let same = outcome(rows(0), rows(7), &Options { categorical, ..Options::default() }).unwrap();
        assert!(!same.drifted && same.effect == 0.0, "{same:?}");
    }
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(0.0),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
        -3.0..3.0,
        (-2..3).prop_map(f64::from)
    ]
}

proptest! {
    #[test]
    fn nothing_panics_and_all_is_in_range(
        a in prop::collection::vec(any_value(), 0..80), b in prop::collection::vec(any_value(), 0..80),
        whole in (prop::collection::vec(any::<i64>(), 0..30), prop::collection::vec(-3..9_i64, 0..30)),
    ) {
        let rows = |values: &[f64]| values.iter().map(|v| (!v.is_nan()).then(|| format!("{v:.0}"))).collect::<Categories>();
        for test in Test::ALL {
            for rule in [Rule::Evidently, Rule::calibrated()] {
                let numeric = test.is_for_numbers().then_some(test);
                let categorical = test.is_for_categories().then_some(test);
                let options = Options { numeric, categorical, rule, ..Options::default() };
                let pairs = [
                    (Values::Numeric(a.clone()), Values::Numeric(b.clone())),
                    (Values::Categorical(rows(&a)), Values::Categorical(rows(&b))),
                    (Values::Integer(whole.0.clone()), Values::Integer(whole.1.clone())),
                ];
                for (reference, current) in pairs {
                    let (x, y) = ([Column::new("x", reference)], [Column::new("x", current)]);
                    let Ok(report) = test_columns(&x, &y, &options) else { continue };
                    if let Ok(found) = &report.columns[0].outcome {
                        prop_assert!((0.0..=1.0).contains(&found.effect) && !found.statistic.is_nan(), "{found:?}");
                        prop_assert!(found.p_value.is_none_or(|p| (0.0..=1.0).contains(&p)), "{found:?}");
                        prop_assert_eq!(found.p_value.is_some(), found.test.has_p_value());
                    }
                }
            }
        }
    }

    #[test]
    fn a_data_set_has_not_drifted_from_itself(a in prop::collection::vec(-9.0..9.0_f64, 2..80), whole in prop::collection::vec(-20..20_i64, 2..80)) {
        for test in Test::ALL {
            let numeric = test.is_for_numbers().then_some(test);
            let categorical = test.is_for_categories().then_some(test);
            let options = Options { numeric, categorical, ..Options::default() };
            let frame = [numeric_and_whole(&a, &whole)].concat();
            let report = test_columns(&frame, &frame, &options).unwrap();
            prop_assert_eq!(report.drifted, Some(false), "{:?}", report);
            for column in &report.columns {
                let found = column.outcome.as_ref().unwrap();
                prop_assert!(found.effect == 0.0 && found.p_value.is_none_or(|p| p > 0.999_999), "{found:?}");
            }
        }
    }
}

fn numeric_and_whole(a: &[f64], whole: &[i64]) -> Vec<Column> {
    vec![numeric("a", a.to_vec()), Column::new("whole", Values::Integer(whole.to_vec()))]
}
