use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::backtest::prometheus::{Limits, Plan};
use crate::clock::{Clock, Timestamp};
use crate::engine::status::{Recent, SeriesState, SeriesStatus};
use crate::engine::{Config, Engine, sample};
use crate::series::SeriesKey;

const MINUTE: DurationMs = DurationMs::from_secs(60);

fn monitor(name: &str, own: Option<f64>) -> Monitor {
    Monitor { name: name.to_owned(), alert_budget_per_day: own, ..Monitor::ad_hoc(MINUTE, None) }
}

#[test]
fn what_monitors_have_of_their_own_is_taken_from_the_whole() {
    let (a, b, c, d) = (monitor("a", Some(2.0)), monitor("b", None), monitor("c", None), monitor("d", None));
    let budget = Budget::divide(10.0, [(&a, Some(7)), (&b, Some(30)), (&c, Some(50))]);
    assert_eq!(budget.share(&a, 7), Share { per_day: 2.0, series: 7 });
    assert_eq!(budget.share(&b, 30), Share { per_day: 8.0, series: 80 });
    assert_eq!(budget.share(&c, 50), budget.share(&b, 30));
    // One that was not read yet will have about as many as the others.
    let budget = Budget::divide(10.0, [(&a, None), (&b, Some(30)), (&c, Some(50)), (&d, None)]);
    assert_eq!(budget.share(&b, 30), Share { per_day: 8.0, series: 120 });
    // As before there were own budgets: a point a minute each.
    assert_eq!(budget.share(&b, 30).alpha(MINUTE), 8.0 / (120.0 * 1440.0));
    assert_eq!(Budget::divide(10.0, []).share(&b, 0), Share { per_day: 10.0, series: 0 });
}

#[test]
fn a_misfit_says_what_would_be_right() {
    let of = |own: &[f64]| -> Vec<Monitor> { (0..).zip(own).map(|(i, n)| monitor(&format!("m{i}"), (*n > 0.0).then_some(*n))).collect() };
    // Sums of decimals are not exact: 0.1 and 0.2 are a little more than 0.3.
    assert_eq!(misfit(0.3, &of(&[0.1, 0.2]), false), None);
    assert_eq!(misfit(0.31, &of(&[0.1, 0.2, 0.0]), true), None);
    assert_eq!(misfit(1.0, &of(&[0.0, 0.0]), true), None);
    insta::assert_snapshot!(misfit(0.3, &of(&[0.1, 0.2]), true).unwrap(), @"is 0.3, and the monitors' own budgets take 0.3 of it (m0 0.1, m1 0.2); it must be more than 0.3, so that something is left for what discovery proposes");
    insta::assert_snapshot!(misfit(0.3, &of(&[0.1, 0.2, 0.0]), true).unwrap(), @"is 0.3, and the monitors' own budgets take 0.3 of it (m0 0.1, m1 0.2); it must be more than 0.3, so that something is left for 1 monitor without one");
    insta::assert_snapshot!(misfit(1.0, &of(&[0.5, 0.0, 0.7, 0.0]), false).unwrap(), @"is 1, and the monitors' own budgets take 1.2 of it (m0 0.5, m2 0.7); it must be more than 1.2, so that something is left for 2 monitors without one");
    insta::assert_snapshot!(misfit(0.2, &of(&[0.1; 7]), false).unwrap(), @"is 0.2, and the monitors' own budgets take 0.7 of it (m0 0.1, m1 0.1, m2 0.1, m3 0.1, m4 0.1, …); it must be at least 0.7");
}

async fn engine(folder: &std::path::Path, monitors: Vec<Monitor>, per_day: f64) -> Engine {
    let config = Config { alert_budget_per_day: per_day, monitors, ..sample::config() };
    sample::engine(config, folder, Arc::new(Clock::manual(Timestamp::default())), None).await
}

fn series(count: usize) -> Arc<Vec<SeriesStatus>> {
    let one = |i: usize| SeriesStatus {
        key: SeriesKey::new([("i".to_owned(), i.to_string())]),
        state: SeriesState::Normal,
        cannot_say: None,
        suppressed: None,
        recent: Recent::default(),
        trained_until: None,
        periods: Vec::new(),
        parts: Vec::new(),
    };
    Arc::new((0..count).map(one).collect())
}

#[tokio::test]
async fn the_backtest_judges_by_the_bounds_of_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let monitors = vec![monitor("a", Some(0.5)), monitor("b", None), Monitor { step: MINUTE * 5, ..monitor("c", None) }];
    let counts = [3, 20, 7];
    let engine = engine(folder.path(), monitors.clone(), 4.0).await;
    for (monitor, count) in monitors.iter().zip(counts) {
        engine.set_status(&monitor.name, |status| {
            status.series = series(count);
            status.last_evaluated = Some(Timestamp::default());
        });
    }
    let plan = Plan {
        source: String::new(),
        monitors: monitors.clone(),
        start: Timestamp::default(),
        end: Timestamp::default() + DurationMs::DAY,
        step: MINUTE,
        alerts_per_day: 4.0,
        refit: DurationMs::DAY,
        limits: Limits { most_series: 100, most_points: 100_000 },
        calls: Vec::new(),
        patience: DurationMs::ZERO,
    };
    let live: Vec<f64> = monitors.iter().zip(counts).map(|(m, count)| engine.share(m, count).alpha(m.step)).collect();
    let replayed: Vec<f64> = monitors.iter().zip(plan.shares(&counts)).map(|(m, share)| plan.settings(m, share).decision.alpha).collect();
    assert_eq!(live, replayed);
    assert_eq!(live, [0.5 / (3.0 * 1440.0), 3.5 / (27.0 * 1440.0), 3.5 / (27.0 * 288.0)]);
}

proptest! {
    /// By chance, all series together give as many points a day as the whole budget allows.
    #[test]
    fn nothing_is_lost_and_nothing_is_spent_twice(
        total in 0.1..1000.0,
        parts in proptest::collection::vec((proptest::option::of(0.001..1.0), 1..50_usize), 1..20),
    ) {
        let count = parts.len() as f64;
        let monitors: Vec<(Monitor, usize)> =
            parts.iter().map(|(own, series)| (monitor("m", own.map(|part| part * total / count * 0.99)), *series)).collect();
        let all: Vec<Monitor> = monitors.iter().map(|(m, _)| m.clone()).collect();
        prop_assert_eq!(misfit(total, &all, true), None);
        let budget = Budget::divide(total, monitors.iter().map(|(m, series)| (m, Some(*series))));
        let mut spent = 0.0;
        for (monitor, series) in &monitors {
            let share = budget.share(monitor, *series);
            prop_assert!(share.per_day > 0.0 && share.series >= *series);
            spent += share.per_day * *series as f64 / share.series as f64;
        }
        let own: f64 = all.iter().filter_map(|m| m.alert_budget_per_day).sum();
        let expected = if all.iter().any(|m| m.alert_budget_per_day.is_none()) { total } else { own };
        prop_assert!((spent - expected).abs() < 1e-9 * total, "{spent} of {expected}");
    }
}
