//! `AnalysisService.TestDrift`: tables in the request, and histograms of a real Prometheus.

use std::fmt::Write as _;

use bellwether::proto::{DriftRule, FeatureColumn, FeatureTables, HistogramWindows, TestDriftRequest, test_drift_request::From as Given};
use tonic::Code;

use super::*;
use crate::servers;

/// A linear congruence is chance enough.
fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn tables(shift: f64) -> TestDriftRequest {
    let mut random = uniform(1);
    let mut table = |shift: f64| {
        let numbers = (0..400).map(|_| (0..12).map(|_| random()).sum::<f64>() - 6.0 + shift).collect();
        let categories = (0..400).map(|_| if random() < 0.5 + shift / 4.0 { "card" } else { "cash" }.to_owned()).collect();
        let integers = (0..400).map(|_| (random() * 1000.0) as i64).collect();
        vec![
            FeatureColumn { name: "amount".into(), numbers, ..Default::default() },
            FeatureColumn { name: "method".into(), categories, ..Default::default() },
            FeatureColumn { name: "customer".into(), integers, ..Default::default() },
            FeatureColumn { name: "empty".into(), ..Default::default() },
        ]
    };
    let (reference, current) = (table(0.0), table(shift));
    TestDriftRequest { from: Some(Given::Tables(FeatureTables { reference, current })), ..Default::default() }
}

#[tokio::test]
async fn shifted_features_are_told_from_calm_ones() {
    let served = Served::start("").await;
    for rule in [DriftRule::Evidently, DriftRule::Calibrated] {
        let request = TestDriftRequest { rule: rule.into(), ..tables(1.0) };
        let answer = served.analysis().test_drift(request).await.unwrap().into_inner();
        let seen: Vec<_> = answer.features.iter().map(|f| (f.name.as_str(), f.drifted)).collect();
        assert_eq!(seen, [("amount", true), ("method", true), ("customer", false), ("empty", false)], "{rule:?}");
        assert_eq!((answer.drifted_features, answer.judged_features, answer.drifted), (2, 3, true));
        assert!(!answer.features[3].cannot_say.is_empty());
        let amount = &answer.features[0];
        assert!(amount.test == "ks" && amount.p_value.unwrap() < 1e-9 && (0.3..0.5).contains(&amount.effect), "{amount:?}");
    }
    let calm = served.analysis().test_drift(TestDriftRequest { rule: DriftRule::Calibrated.into(), ..tables(0.0) }).await;
    assert_eq!(calm.unwrap().into_inner().drifted_features, 0);

    let wrong = [
        ("from", TestDriftRequest::default()),
        ("numeric_test", TestDriftRequest { numeric_test: "z".into(), ..tables(0.0) }),
        ("numeric_test", TestDriftRequest { numeric_test: "guess".into(), ..tables(0.0) }),
        ("share", TestDriftRequest { share: Some(0.0), ..tables(0.0) }),
        ("least_effect", TestDriftRequest { least_effect: Some(2.0), rule: DriftRule::Calibrated.into(), ..tables(0.0) }),
        ("tables", TestDriftRequest { from: Some(Given::Tables(FeatureTables::default())), ..Default::default() }),
    ];
    for (field, request) in wrong {
        let status = served.analysis().test_drift(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert!(status.message().starts_with(&format!("{field}: ")), "{field}: {}", status.message());
    }
    served.stop().await;
}

/// Two days of a score's buckets by feature, the second day of one of them shifted.
fn scores(start: Timestamp) -> String {
    let mut text = String::from("# TYPE model_score histogram\n");
    let bounds = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, f64::INFINITY];
    for (feature, shift) in [("age", 0.25), ("income", 0.0)] {
        let (mut random, mut counts) = (uniform(7), [0_u32; 10]);
        let mut rows: Vec<[u32; 10]> = Vec::new();
        for minute in 0..=2 * 1440 {
            for _ in 0..5 {
                let second_day = if minute > 1440 { shift } else { 0.0 };
                let score = ((0..4).map(|_| random()).sum::<f64>() / 4.0 + second_day).min(0.99);
                counts.iter_mut().zip(bounds).filter(|(_, le)| score <= *le).for_each(|(count, _)| *count += 1);
            }
            rows.push(counts);
        }
        for (i, le) in bounds.iter().enumerate() {
            for (minute, counts) in rows.iter().enumerate().step_by(5) {
                let (le, at) =
                    (if le.is_finite() { le.to_string() } else { "+Inf".into() }, start + DurationMs::from_secs(60 * minute as i64));
                let _ = writeln!(text, "model_score_bucket{{feature=\"{feature}\",le=\"{le}\"}} {} {}", counts[i], at.millis() / 1000);
            }
        }
    }
    text + "# EOF\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn histograms_of_prometheus_show_which_feature_has_drifted() {
    let folder = tempfile::tempdir().unwrap();
    let end = now().align_down(DurationMs::HOUR);
    let (start, tsdb, file) = (end - DurationMs::DAY * 2, folder.path().join("tsdb"), folder.path().join("history.txt"));
    std::fs::write(&file, scores(start)).unwrap();
    servers::write_history(&file, &tsdb);
    let server = servers::Prometheus::start(&tsdb, &[]);
    let served = Served::start(&format!("prometheus: {{url: \"{}\"}}\ndiscovery: {{enabled: false}}", server.url())).await;
    let windows = HistogramWindows {
        selector: "model_score_bucket".into(),
        by: vec!["feature".into()],
        reference_end: Some(time(end - DurationMs::DAY)),
        current_end: Some(time(end)),
        window: Some(seconds(86_400)),
    };
    let asked = |windows: HistogramWindows| TestDriftRequest { from: Some(Given::Histograms(windows)), ..Default::default() };
    let answer = served.analysis().test_drift(asked(windows.clone())).await.unwrap().into_inner();
    let seen: Vec<_> = answer.features.iter().map(|f| (f.name.as_str(), f.drifted)).collect();
    assert_eq!(seen, [("{feature=\"age\"}", true), ("{feature=\"income\"}", false)]);
    let [age, income] = answer.features.as_slice() else { panic!("{answer:?}") };
    let distances = age.histogram.as_ref().unwrap();
    assert!(distances.ks_least <= age.statistic && age.statistic <= distances.ks_most && age.statistic > 0.5, "{age:?}");
    assert!((distances.wasserstein_least..=distances.wasserstein_most).contains(&0.25) && distances.psi > 1.0, "{distances:?}");
    assert!(distances.psi_least > 0.5 && distances.psi_most > distances.psi, "{distances:?}");
    assert!((distances.jensen_shannon_least..=distances.jensen_shannon_most).contains(&distances.jensen_shannon));
    assert!((distances.chi_square_least..=distances.chi_square_most).contains(&distances.chi_square) && distances.chi_square_p < 1e-9);
    let calm = income.histogram.as_ref().unwrap();
    assert!(calm.psi < 0.05 && calm.psi_least < 0.01 && calm.chi_square_p > 0.01, "{calm:?}");
    assert!((7000.0..7300.0).contains(&age.current_count) && income.adjusted_p.unwrap() > 0.05, "{age:?} {income:?}");

    // The same on the command line, whose current window ends now.
    let command = |more: &'static [&'static str]| {
        let arguments =
            ["drift", "--prometheus", &server.url(), "model_score_bucket", "--by", "feature", "--before", "1d"].map(str::to_owned);
        tokio::task::spawn_blocking(move || {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bellwether"));
            let output = command.args(arguments).args(more).env_clear().output().unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
        })
    };
    let (code, text, err) = command(&[]).await.unwrap();
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        text.starts_with("1 of 2 features drifted\n\nfeature  test            distance  of the values themselves\nage      ks "),
        "{text}"
    );
    assert!(text.contains(" drifted\n         psi ") && text.contains("\nincome   ks "), "{text}");
    let (_, json, _) = command(&["--output", "json"]).await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["features"][0]["labels"]["feature"], &json["features"][0]["drifted"]), (&"age".into(), &true.into()), "{json:#}");
    assert!(json["features"][0]["psi"]["least"].as_f64().unwrap() > 0.5, "{json:#}");
    let (code, _, err) = command(&["--numeric", "psi"]).await.unwrap();
    assert!(code == Some(2) && err.contains("cannot be used with"), "{code:?} {err}");
    let (code, _, err) = command(&["--window", "2d"]).await.unwrap();
    assert!(code == Some(2) && err.starts_with("error: --before: ") && err.contains("is within the window of 2d"), "{code:?} {err}");

    let wrong = [
        ("histograms.selector", HistogramWindows { selector: "sum(up)".into(), ..windows.clone() }),
        ("histograms.selector", HistogramWindows { selector: "nothing_bucket".into(), ..windows.clone() }),
        ("histograms.by[0]", HistogramWindows { by: vec!["le".into()], ..windows.clone() }),
        ("histograms.reference_end", HistogramWindows { reference_end: None, ..windows.clone() }),
        ("histograms.reference_end", HistogramWindows { reference_end: Some(time(end)), ..windows }),
    ];
    for (field, windows) in wrong {
        let status = served.analysis().test_drift(asked(windows)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert!(status.message().starts_with(&format!("{field}: ")), "{field}: {}", status.message());
    }
    served.stop().await;
}
