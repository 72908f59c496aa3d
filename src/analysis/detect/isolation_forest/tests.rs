use linfa::ParamGuard as _;
use linfa::traits::Predict;
use ndarray::{Array2, Axis, Slice};
use proptest::prelude::*;

use super::*;

fn fit(params: IsolationForestParams, rows: &Array2<f64>) -> IsolationForest {
    params.fit(&DatasetBase::from(rows.view())).unwrap()
}

/// Rows from a few sine waves, with the last far away.
fn cloud(rows: usize, columns: usize) -> Array2<f64> {
    let mut cloud = Array2::from_shape_fn((rows, columns), |(i, j)| ((i * (3 * j + 1)) as f64 * 0.7 + j as f64).sin());
    cloud.row_mut(rows - 1).fill(50.0);
    cloud
}

/// The features and the last column of a file that `tests/fixtures/forest/generate.py` wrote.
fn fixture(text: &str) -> (Array2<f64>, Vec<f64>) {
    let table: Vec<Vec<f64>> = text.lines().map(|line| line.split(',').map(|v| v.parse().unwrap()).collect()).collect();
    let table = Array2::from_shape_fn((table.len(), table[0].len()), |(i, j)| table[i][j]);
    let features = table.ncols() - 1;
    (table.slice_axis(Axis(1), Slice::from(..features)).to_owned(), table.column(features).to_vec())
}

/// Spearman's coefficient; ties share their mean rank.
fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |values: &[f64]| -> Vec<f64> {
        values
            .iter()
            .map(|v| {
                let below = values.iter().filter(|w| *w < v).count();
                let same = values.iter().filter(|w| *w == v).count();
                below as f64 + (same - 1) as f64 / 2.0
            })
            .collect()
    };
    let (a, b, mean) = (ranks(a), ranks(b), (a.len() - 1) as f64 / 2.0);
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

#[test]
fn average_path_lengths_are_those_of_binary_search_trees() {
    let c = average_path_lengths(256);
    assert_eq!(c[..3], [0.0, 0.0, 1.0]);
    // H(2) = 3/2, H(3) = 11/6.
    assert!((c[3] - (3.0 - 4.0 / 3.0)).abs() < 1e-15);
    assert!((c[4] - (11.0 / 3.0 - 1.5)).abs() < 1e-15);
    // ln n + γ + 1/(2n) − 1/(12n²) is H(n) to nine digits here.
    let harmonic = 255_f64.ln() + 0.577_215_664_901_532_9 + 1.0 / 510.0 - 1.0 / (12.0 * 255.0 * 255.0);
    assert!((c[256] - (2.0 * harmonic - 2.0 * 255.0 / 256.0)).abs() < 1e-9);
}

#[test]
fn scores_agree_with_scikit_learn() {
    let files = [
        ("blob", include_str!("../../../../tests/fixtures/forest/blob.csv")),
        ("clusters", include_str!("../../../../tests/fixtures/forest/clusters.csv")),
        ("counts", include_str!("../../../../tests/fixtures/forest/counts.csv")),
        ("residuals", include_str!("../../../../tests/fixtures/forest/residuals.csv")),
        ("few", include_str!("../../../../tests/fixtures/forest/few.csv")),
    ];
    let mut report = Vec::new();
    for (name, text) in files {
        let (rows, theirs) = fixture(text);
        let ours = fit(IsolationForest::params().trees(2000), &rows).score(rows.view()).unwrap();
        let difference = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).sum::<f64>() / theirs.len() as f64;
        let correlation = rank_correlation(ours.as_slice().unwrap(), &theirs);
        report.push(format!("{name}: rank correlation {correlation:.4}, mean difference {difference:.4}"));
        assert!(correlation >= 0.99 && difference <= 0.015, "{report:#?}");
    }
    println!("{report:#?}");
}

#[test]
fn the_same_seed_gives_the_same_forest_and_another_another() {
    let rows = cloud(500, 3);
    let of = |seed, trees| fit(IsolationForest::params().seed(seed).trees(trees), &rows);
    assert_eq!(of(7, 20), of(7, 20));
    assert_ne!(of(7, 20).trees, of(8, 20).trees);
    assert_eq!(of(7, 20).trees[..5], of(7, 5).trees[..]);
}

#[test]
fn a_fit_does_not_depend_on_how_the_records_lie_in_memory() {
    let rows = cloud(300, 4);
    let mut turned = Array2::zeros((4, 300));
    turned.assign(&rows.t());
    let turned = turned.reversed_axes();
    let forest = fit(IsolationForest::params(), &rows);
    assert_eq!(forest, fit(IsolationForest::params(), &turned));
    assert_eq!(forest.score(rows.view()).unwrap(), forest.score(turned.view()).unwrap());
}

#[test]
fn what_does_not_vary_cannot_be_told_apart() {
    for rows in [Array2::from_elem((1, 3), 4.0), Array2::from_elem((300, 2), -1e308), Array2::zeros((2, 1))] {
        let forest = fit(IsolationForest::params(), &rows);
        assert!(forest.score(rows.view()).unwrap().iter().all(|score| (score - 0.5).abs() < 1e-12));
    }
}

#[test]
fn a_constant_column_changes_nothing_but_the_draws() {
    let rows = cloud(400, 2);
    let mut wide = Array2::from_elem((400, 30), 3.0);
    wide.slice_axis_mut(Axis(1), Slice::from(4..6)).assign(&rows);
    let params = IsolationForest::params().trees(1000);
    let (narrow, wide) = (fit(params, &rows).score(rows.view()).unwrap(), fit(params, &wide).score(wide.view()).unwrap());
    assert!(narrow.iter().zip(&wide).all(|(a, b)| (a - b).abs() < 0.03));
}

#[test]
fn the_widest_range_is_split_like_any_other() {
    let rows = Array2::from_shape_fn((256, 1), |(i, _)| if i % 2 == 0 { f64::MAX } else { f64::MIN } * (i as f64 / 256.0));
    let forest = fit(IsolationForest::params(), &rows);
    let scaled = fit(IsolationForest::params(), &rows.mapv(|v| v / 1e300));
    let (a, b) = (forest.score(rows.view()).unwrap(), scaled.score(rows.mapv(|v| v / 1e300).view()).unwrap());
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-9));
}

#[test]
fn neighbouring_numbers_are_told_apart() {
    let rows = Array2::from_shape_vec((2, 1), vec![1.0, 1.0_f64.next_up()]).unwrap();
    let forest = fit(IsolationForest::params(), &rows);
    assert!(forest.trees.iter().all(|tree| tree.steps().len() == 3));
}

#[test]
fn deep_trees_and_odd_counts_score_row_by_row_as_in_blocks() {
    let rows = Array2::from_shape_fn((203, 5), |(i, j)| (-((i + j) as f64)).exp2());
    let forest = fit(IsolationForest::params().max_depth(65_535).sample_size(203), &rows);
    let scores = forest.score(rows.view()).unwrap();
    for (row, score) in rows.outer_iter().zip(&scores) {
        assert_eq!(forest.score_one(row.as_slice().unwrap()).unwrap(), *score);
    }
}

#[test]
fn bad_parameters_are_named() {
    let params = IsolationForest::params;
    let messages: Vec<String> =
        [params().trees(0), params().trees(1_000_000), params().sample_size(1), params().sample_size(70_000), params().max_depth(0)]
            .iter()
            .map(|params| params.check_ref().unwrap_err().to_string())
            .collect();
    insta::assert_snapshot!(messages.join("\n"), @r"
    trees: 0 is out of range, it must be 1 to 10000
    trees: 1000000 is out of range, it must be 1 to 10000
    sample_size: 1 is out of range, it must be 2 to 65535
    sample_size: 70000 is out of range, it must be 2 to 65535
    max_depth: 0 is out of range, it must be 1 to 65535
    ");
    let unfit = params().trees(0).fit(&DatasetBase::from(cloud(9, 1)));
    assert!(matches!(unfit, Err(IsolationForestError::Param { field: "trees", .. })));
}

#[test]
fn bad_rows_are_named() {
    let fit = |rows: Array2<f64>| IsolationForest::params().fit(&DatasetBase::from(rows));
    let mut rows = cloud(20, 3);
    let forest = fit(rows.clone()).unwrap();
    rows[[4, 2]] = f64::NAN;
    rows[[9, 0]] = f64::NEG_INFINITY;
    let messages = [
        fit(Array2::zeros((0, 3))).unwrap_err(),
        fit(Array2::zeros((3, 0))).unwrap_err(),
        fit(Array2::zeros((1, 70_000))).unwrap_err(),
        fit(rows.clone()).unwrap_err(),
        forest.score(rows.view()).unwrap_err(),
        forest.score_one(&[0.0, f64::INFINITY, 0.0]).unwrap_err(),
        forest.score(rows.slice_axis(Axis(1), Slice::from(..2))).unwrap_err(),
        forest.score_one(&[]).unwrap_err(),
    ]
    .map(|error| error.to_string());
    insta::assert_snapshot!(messages.join("\n"), @r"
    0 rows of 3 columns cannot be fitted: there must be at least 1 row and 1 to 65534 columns
    3 rows of 0 columns cannot be fitted: there must be at least 1 row and 1 to 65534 columns
    1 rows of 70000 columns cannot be fitted: there must be at least 1 row and 1 to 65534 columns
    row 4, column 2: NaN is not a finite number
    row 4, column 2: NaN is not a finite number
    row 0, column 1: inf is not a finite number
    rows of 2 columns cannot be scored: the forest was fitted to rows of 3
    rows of 0 columns cannot be scored: the forest was fitted to rows of 3
    ");
}

#[test]
fn predict_marks_what_it_cannot_score() {
    let mut rows = cloud(30, 2);
    let forest = fit(IsolationForest::params(), &rows);
    let scores = forest.score(rows.view()).unwrap();
    assert_eq!(forest.predict(&rows), scores);
    rows[[3, 1]] = f64::NAN;
    rows[[17, 0]] = f64::INFINITY;
    for (i, score) in forest.predict(&rows).iter().enumerate() {
        assert!(if i == 3 || i == 17 { score.is_nan() } else { *score == scores[i] });
    }
    assert!(forest.predict(&cloud(30, 3)).iter().all(|score| score.is_nan()));
    let mut longer = Array1::zeros(40);
    forest.predict_inplace(&rows, &mut longer);
    assert!(longer.iter().skip(30).all(|score| score.is_nan()));
}

#[test]
fn a_forest_survives_being_written_and_read() {
    let rows = cloud(700, 5);
    let forest = fit(IsolationForest::params().seed(3), &rows);
    let bytes = postcard::to_stdvec(&forest).unwrap();
    assert!(bytes.len() < 150_000, "{} bytes", bytes.len());
    assert_eq!(postcard::from_bytes::<IsolationForest>(&bytes).unwrap(), forest);
}

#[test]
fn a_corrupt_forest_is_refused_by_name() {
    let forest = fit(IsolationForest::params().trees(1).sample_size(2), &Array2::from_shape_vec((2, 1), vec![1.0, 2.0]).unwrap());
    let text = serde_json::to_string(&forest).unwrap();
    let split = &text[text.find("[{\"Split").unwrap() + 1..text.find(",{\"Leaf").unwrap()];
    let changes = [
        ("\"feature\":0", "\"feature\":1"),
        ("\"features\":1", "\"features\":0"),
        ("\"features\":1", "\"features\":65535"),
        ("\"sample\":2", "\"sample\":3"),
        ("\"sample_size\":2", "\"sample_size\":1"),
        ("{\"Leaf\":{\"size\":1}}", split),
        ("{\"Leaf\":{\"size\":1}},", ""),
        ("{\"Leaf\":{\"size\":1}},", "{\"Leaf\":{\"size\":1}},{\"Leaf\":{\"size\":1}},"),
        ("{\"Leaf\":{\"size\":1}},", "{\"Leaf\":{\"size\":0}},"),
        ("{\"Leaf\":{\"size\":1}},", "{\"Leaf\":{\"size\":2}},"),
        ("\"trees\":[[", "\"trees\":[],\"rest\":[["),
        ("\"trees\":[[", "\"trees\":[[],["),
    ];
    let messages: Vec<String> = changes
        .into_iter()
        .map(|(from, to)| {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            serde_json::from_str::<IsolationForest>(&changed).unwrap_err().to_string()
        })
        .collect();
    insta::assert_snapshot!(messages.join("\n"), @r"
    this is no isolation forest: tree 0: it splits on feature 1, counted from 0, of 1
    this is no isolation forest: it has 0 features, there must be 1 to 65534
    this is no isolation forest: it has 65535 features, there must be 1 to 65534
    this is no isolation forest: its trees are grown on 3 rows, there must be 1 to 2
    this is no isolation forest: sample_size: 1 is out of range, it must be 2 to 65535
    this is no isolation forest: tree 0: a branch is deeper than 1
    this is no isolation forest: tree 0: it ends before all its branches do
    this is no isolation forest: tree 0: 1 nodes are left over
    this is no isolation forest: tree 0: its leaves do not hold the 2 rows of the sample
    this is no isolation forest: tree 0: its leaves do not hold the 2 rows of the sample
    this is no isolation forest: trees: 0 is out of range, it must be 1 to 10000
    this is no isolation forest: tree 0: it ends before all its branches do
    ");

    let mut bytes = postcard::to_stdvec(&forest).unwrap();
    let at = bytes.windows(8).position(|w| (1.0..2.0).contains(&f64::from_le_bytes(w.try_into().unwrap()))).unwrap();
    bytes[at..at + 8].copy_from_slice(&f64::NAN.to_le_bytes());
    assert!(postcard::from_bytes::<IsolationForest>(&bytes).is_err());
}

/// Any number that a corrupt or hostile input might hold, often equal to its neighbours.
fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -3.0..3.0_f64,
        2 => prop::sample::select(vec![0.0, -0.0, 1.0, 1e308, -1e308, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324]),
        1 => prop::num::f64::ANY,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics_and_every_score_is_in_range(
        columns in 0..5_usize,
        values in prop::collection::vec(any_value(), 0..200),
        depth in prop::option::of(1..400_usize),
        sample in 2..300_usize,
        seed: u64,
    ) {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        let rows = Array2::from_shape_vec((rows, columns), values[..rows * columns].to_vec()).unwrap();
        let mut params = IsolationForest::params().trees(10).sample_size(sample).seed(seed);
        if let Some(depth) = depth {
            params = params.max_depth(depth);
        }
        match params.fit(&DatasetBase::from(rows.view())) {
            Ok(forest) => {
                let scores = forest.score(rows.view()).unwrap();
                prop_assert!(scores.iter().all(|score| *score > 0.0 && *score <= 1.0));
                for (row, score) in rows.outer_iter().zip(&scores) {
                    prop_assert_eq!(forest.score_one(row.as_slice().unwrap()).unwrap(), *score);
                }
                let backwards = forest.score(rows.slice_axis(Axis(0), Slice::from(..).step_by(-1))).unwrap();
                prop_assert!(backwards.iter().rev().eq(scores.iter()));
                let bytes = postcard::to_stdvec(&forest).unwrap();
                prop_assert_eq!(postcard::from_bytes::<IsolationForest>(&bytes).unwrap(), forest);
            }
            Err(IsolationForestError::NotFinite { row, column, .. }) => prop_assert!(!rows[[row, column]].is_finite()),
            Err(IsolationForestError::Shape { .. }) => prop_assert!(rows.is_empty()),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn a_row_far_from_all_others_scores_highest(
        values in prop::collection::vec(-1.0..1.0_f64, 300..900),
        away in prop_oneof![-1e6..-50.0, 50.0..1e6],
        seed: u64,
    ) {
        let rows = values.len() / 3;
        let mut rows = Array2::from_shape_vec((rows, 3), values[..rows * 3].to_vec()).unwrap();
        rows.row_mut(7).fill(away);
        let scores = fit(IsolationForest::params().seed(seed), &rows).score(rows.view()).unwrap();
        prop_assert!(scores.iter().enumerate().all(|(i, score)| i == 7 || *score < scores[7]));
    }

    #[test]
    fn no_changed_byte_panics_or_loops(at: prop::sample::Index, to: u8, cut in prop::option::of(any::<prop::sample::Index>())) {
        let rows = cloud(60, 2);
        let mut bytes = postcard::to_stdvec(&fit(IsolationForest::params().trees(5).sample_size(40), &rows)).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(forest) = postcard::from_bytes::<IsolationForest>(&bytes)
            && forest.features() == rows.ncols()
        {
            prop_assert!(forest.score(rows.view()).unwrap().iter().all(|score| *score > 0.0 && *score <= 1.0));
        }
    }
}
