use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;
use serde::Deserialize;

use super::super::tests::assert_close;
use super::{File, Profile, Score, best, score};

const PROFILES: [(&str, Profile); 3] = [("standard", Profile::STANDARD), ("low_fp", Profile::LOW_FP), ("low_fn", Profile::LOW_FN)];

#[derive(Deserialize)]
struct Case {
    name: String,
    files: Vec<Scored>,
    profiles: BTreeMap<String, Answers>,
}

#[derive(Deserialize)]
struct Scored {
    scores: Vec<f64>,
    windows: Vec<(usize, usize)>,
}

#[derive(Deserialize)]
struct Answers {
    some: Answer,
    best: Answer,
}

#[derive(Deserialize)]
struct Answer {
    /// None when nothing is flagged.
    threshold: Option<f64>,
    raw: f64,
    counts: [usize; 4],
}

#[derive(Deserialize)]
struct Published {
    name: String,
    rows: usize,
    windows: Vec<(usize, usize)>,
    flagged: Vec<usize>,
    counts: [usize; 4],
    scores: BTreeMap<String, f64>,
}

/// The fixtures count a window's last row as part of it.
fn ranges(windows: &[(usize, usize)]) -> Vec<Range<usize>> {
    windows.iter().map(|(first, last)| *first..last + 1).collect()
}

fn counts(score: &Score) -> [usize; 4] {
    [score.true_positives, score.true_negatives, score.false_positives, score.false_negatives]
}

#[test]
fn the_score_is_what_nab_published() {
    let files: Vec<Published> = serde_json::from_str(include_str!("../../../../tests/fixtures/scores/published.json")).unwrap();
    assert!(files.len() >= 20);
    for file in files {
        let mut scores = vec![0.0; file.rows];
        file.flagged.iter().for_each(|i| scores[*i] = 1.0);
        let windows = ranges(&file.windows);
        for (name, profile) in PROFILES {
            let ours = score(&[File { scores: &scores, windows: &windows }], 1.0, &profile);
            assert_close(ours.raw, file.scores[name], &file.name);
            assert_eq!(counts(&ours), file.counts, "{}", file.name);
        }
    }
}

/// The totals of `results/windowedGaussian/*_scores.csv`, over 58 files with 116 windows, and what became of them in
/// `results/final_results.json`.
#[test]
fn the_normalised_score_is_what_nab_published() {
    for ((_, profile), (raw, published)) in PROFILES.into_iter().zip([
        (-24.013_105_489_1, 39.649_523_496),
        (-67.586_272_886_6, 20.867_985_824),
        (-67.013_105_489_1, 47.410_027_158),
    ]) {
        assert_close(profile.normalised(raw, 116).unwrap(), published, "windowedGaussian");
        assert_close(profile.normalised(-profile.miss * 116.0, 116).unwrap(), 0.0, "null");
        assert_close(profile.normalised(116.0, 116).unwrap(), 100.0, "perfect");
        assert_eq!(profile.normalised(-3.0, 0), None);
    }
}

#[test]
fn thresholds_and_scores_are_those_of_the_rules() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../../tests/fixtures/scores/nab.json")).unwrap();
    assert!(cases.len() >= 9);
    for case in cases {
        let windows: Vec<Vec<Range<usize>>> = case.files.iter().map(|file| ranges(&file.windows)).collect();
        let files: Vec<File> = case.files.iter().zip(&windows).map(|(file, windows)| File { scores: &file.scores, windows }).collect();
        for (name, profile) in PROFILES {
            let Answers { some, best: highest } = &case.profiles[name];
            let ours = [(score(&files, some.threshold.unwrap(), &profile), some), (best(&files, &profile), highest)];
            for (ours, theirs) in ours {
                assert_eq!(ours.threshold, theirs.threshold.unwrap_or(f64::INFINITY), "{} {name}", case.name);
                assert_close(ours.raw, theirs.raw, &case.name);
                assert_eq!(counts(&ours), theirs.counts, "{} {name}", case.name);
            }
        }
    }
}

#[test]
fn nothing_is_0_and_the_first_row_of_each_window_100() {
    let windows = [60..80, 150..151, 180..200];
    let mut scores = vec![0.0; 200];
    for (_, profile) in PROFILES {
        let nothing = score(&[File { scores: &scores, windows: &windows }], 0.5, &profile);
        assert_eq!((nothing.windows, nothing.normalised), (3, Some(0.0)));
        assert_eq!(best(&[File { scores: &scores, windows: &windows }], &profile).threshold, f64::INFINITY);
    }
    for window in &windows {
        scores[window.start] = 1.0;
    }
    for (_, profile) in PROFILES {
        let perfect = best(&[File { scores: &scores, windows: &windows }], &profile);
        assert_eq!(perfect.threshold, 1.0);
        assert_close(perfect.normalised.unwrap(), 100.0, "perfect");
    }
}

#[test]
fn the_probation_counts_for_nothing() {
    let scores = [1.0; 100];
    let windows = [3..10, 12..17];
    let ours = score(&[File { scores: &scores, windows: &windows }], 0.5, &Profile::STANDARD);
    assert_eq!((ours.windows, ours.true_positives, ours.false_positives), (1, 2, 83));
    // Of a long file, no more than of one of 5000 rows.
    let long = vec![1.0; 20_000];
    assert_eq!(score(&[File { scores: &long, windows: &[] }], 0.5, &Profile::STANDARD).false_positives, 19_250);
}

#[test]
fn rows_that_were_not_judged_are_never_flagged() {
    let scores = [f64::NAN; 100];
    let file = File { scores: &scores, windows: &[50..60, 70..71] };
    let ours = best(&[file], &Profile::STANDARD);
    assert_eq!((ours.threshold, ours.normalised, ours.true_negatives), (f64::INFINITY, Some(0.0), 74));
    assert_eq!(score(&[file], f64::NEG_INFINITY, &Profile::STANDARD).normalised, Some(0.0));
}

#[test]
fn windows_that_make_no_sense_are_left_out() {
    let scores = vec![1.0; 100];
    let clean = [30..50, 60..70, 90..100];
    let odd = [30..50, 40..50, Range { start: 45, end: 20 }, 60..70, 10..20, 90..300, 200..300, 100..usize::MAX];
    let score = |windows: &[Range<usize>]| score(&[File { scores: &scores, windows }], 0.5, &Profile::STANDARD);
    assert_eq!(score(&odd), score(&clean));
    assert_eq!(best(&[], &Profile::STANDARD).normalised, None);
    assert_eq!(best(&[File { scores: &[], windows: &clean }], &Profile::STANDARD).windows, 0);
}

proptest! {
    #[test]
    fn no_threshold_earns_more_than_the_best(
        first in proptest::collection::vec(prop_oneof![(-3..3).prop_map(f64::from), any::<f64>()], 0..80),
        second in proptest::collection::vec(-1.0..1.0, 0..80),
        starts in proptest::collection::vec((0..80usize, 1..20usize), 0..4),
    ) {
        let mut windows: Vec<Range<usize>> = starts.into_iter().map(|(start, len)| start..start + len).collect();
        windows.sort_by_key(|window| window.start);
        let files = [File { scores: &first, windows: &windows }, File { scores: &second, windows: &windows }];
        for (_, profile) in PROFILES {
            let highest = best(&files, &profile);
            let judged = first.iter().chain(&second).filter(|score| !score.is_nan());
            for threshold in judged.chain(&[f64::INFINITY]) {
                let other = score(&files, *threshold, &profile);
                prop_assert!(other.raw <= highest.raw + 1e-9);
                prop_assert_eq!(counts(&other).iter().sum::<usize>(), counts(&highest).iter().sum::<usize>());
                prop_assert!(other.normalised.is_none_or(|normalised| normalised <= 100.0 + 1e-9));
            }
        }
    }
}
