use proptest::prelude::*;

use super::*;
use crate::clock::{DurationMs, Timestamp};
use crate::correlation::ranking;
use crate::correlation::sample::{at, event, finding, labelled, of};
use crate::correlation::topology::Topology;
use crate::event::EventKind;
use crate::feedback::{Given, Seen};
use crate::finding::{Direction, FindingKind};
use crate::metric::MetricKind;

const HOUR: DurationMs = DurationMs::HOUR;
const DAY: DurationMs = DurationMs::DAY;
const WEEK: DurationMs = DurationMs::WEEK;

/// A verdict on an incident of these findings, given an hour after the first began.
fn said(verdict: Verdict, seen: &[Finding]) -> Feedback {
    let (first, id) = (seen[0].onset, format!("inc-{}", seen[0].id));
    Feedback {
        id: format!("fb-{verdict}-{id}"),
        incident: id,
        title: String::new(),
        service: seen[0].service.clone(),
        verdict,
        cause: None,
        suggestion: None,
        suggested: Vec::new(),
        comment: String::new(),
        author: String::new(),
        given_at: first + HOUR,
        undone_at: None,
        seen: seen.iter().map(Seen::of).collect(),
    }
}

/// The spike of a job, half an hour long.
fn job(onset: Timestamp) -> Finding {
    lasting(labelled(finding("batch", "cpu", onset), &[("job", "nightly")]), 30)
}

fn lasting(finding: Finding, minutes: i64) -> Finding {
    Finding { last_seen: finding.onset + DurationMs::from_secs(60 * minutes), ..finding }
}

fn larger(finding: Finding, times: f64) -> Finding {
    Finding { value: finding.expected + (finding.value - finding.expected) * times, ..finding }
}

fn noise(onsets: impl IntoIterator<Item = Timestamp>) -> Vec<Feedback> {
    onsets.into_iter().map(|onset| said(Verdict::Noise, &[job(onset)])).collect()
}

fn weekly(weeks: i64) -> Vec<Feedback> {
    noise((0..weeks).map(|week| at(0) + WEEK * week))
}

#[test]
fn one_verdict_changes_little_and_ten_silence_exactly_that() {
    let next = at(0) + WEEK * 10;
    let prior = |all: &[Feedback]| Learned::from_all(all).prior(&job(next));
    assert_eq!(prior(&[]), 0.8);
    assert!(prior(&weekly(1)) > 0.5);
    assert!(Learned::from_all(&weekly(3)).holds_back(&job(at(0) + WEEK * 3)).is_none());
    let learned = Learned::from_all(&weekly(10));
    let held = learned.holds_back(&job(next)).unwrap();
    insta::assert_snapshot!(held.reason(&job(next)), @"10 verdicts of “noise” on findings like this leave it a chance of 17 % to be worth telling; it is told from 3.84s off");
    // As late or early as jobs are, and by a clock that was put forward.
    for minutes in [-75, -5, 20, 75] {
        assert!(learned.holds_back(&job(next + DurationMs::from_secs(60 * minutes))).is_some(), "{minutes}");
    }
    assert!(learned.holds_back(&larger(job(next), 1.5)).is_some());
    let told = [
        ("at another hour", job(next + HOUR * 5)),
        ("on another day", job(next + DAY * 3)),
        ("on another series", lasting(labelled(finding("batch", "cpu", next), &[("job", "hourly")]), 30)),
        ("on another monitor", lasting(labelled(finding("batch", "memory", next), &[("job", "nightly")]), 30)),
        ("of another kind", Finding { kind: FindingKind::Pattern, ..job(next) }),
        ("the other way", Finding { direction: Direction::Down, ..job(next) }),
        ("three times as large", larger(job(next), 3.0)),
        ("of no size", Finding { value: f64::NAN, ..job(next) }),
        ("much longer", lasting(job(next), 150)),
    ];
    for (what, other) in told {
        assert_eq!(learned.holds_back(&other), None, "{what}");
        assert!(learned.prior(&other) > 0.15, "{what}");
    }
}

#[test]
fn what_is_noise_day_after_day_is_noise_on_the_next_day() {
    let learned = Learned::from_all(&noise((0..7).map(|day| at(0) + DAY * day)));
    assert!(learned.holds_back(&job(at(0) + DAY * 8)).is_some());
    assert!(learned.holds_back(&job(at(0) + DAY * 8 + HOUR * 6)).is_none());
    // And at any time of the day, at any.
    let learned = Learned::from_all(&noise((0..16).map(|n| at(0) + DAY * n + HOUR * (3 * n))));
    assert!(learned.holds_back(&job(at(0) + DAY * 20 + HOUR * 7)).is_some());
}

#[test]
fn nothing_breaks_at_midnight_or_at_the_end_of_the_week() {
    let sunday: Timestamp = "2026-02-01T23:50:00Z".parse().unwrap();
    let learned = Learned::from_all(&noise((0..10).map(|week| sunday + WEEK * week + HOUR * (week % 2))));
    for late in [DurationMs::ZERO, HOUR] {
        assert!(learned.holds_back(&job(sunday + WEEK * 10 + late)).is_some(), "{late}");
    }
}

#[test]
fn other_series_lower_the_chance_but_silence_nothing_by_themselves() {
    let pod = |n: i64, onset| lasting(labelled(finding("batch", "cpu", onset), &[("pod", &format!("p{n}"))]), 30);
    let of_many: Vec<Feedback> = (0..50).map(|n| said(Verdict::Noise, &[pod(n, at(n))])).collect();
    let learned = Learned::from_all(&of_many);
    assert_eq!(learned.prior(&pod(99, at(0))), 0.5);
    assert_eq!(learned.holds_back(&pod(99, at(0))), None);
    // But sooner, once somebody says it of the series.
    let more: Vec<Feedback> = (0..3).map(|week| said(Verdict::Noise, &[pod(99, at(0) + WEEK * week)])).chain(of_many).collect();
    assert!(Learned::from_all(&more).holds_back(&pod(99, at(0) + WEEK * 3)).is_some());
}

#[test]
fn useful_raises_it_again_and_the_last_word_on_an_incident_counts() {
    let next = job(at(0) + WEEK * 14);
    let mut all = weekly(10);
    let held = |all: &[Feedback]| Learned::from_all(all).holds_back(&next).is_some();
    assert!(held(&all));
    all.extend((10..13).map(|week| said(Verdict::Useful, &[job(at(0) + WEEK * week)])));
    assert!(!held(&all));
    // Ten people on one incident are one incident.
    let crowd: Vec<Feedback> = (0..10).map(|n| Feedback { id: format!("fb-{n}"), ..said(Verdict::Noise, &[job(at(0))]) }).collect();
    assert_eq!(Learned::from_all(&crowd).prior(&next), Learned::from_all(&crowd[..1]).prior(&next));
    let later = Feedback { given_at: at(0) + DAY, ..said(Verdict::Useful, &[job(at(0))]) };
    let raised = Learned::from_all(crowd.iter().chain([&later])).prior(&next);
    assert!(raised > 0.8, "{raised}");
    // And ten findings of a series in one incident are one.
    let again: Vec<Finding> = (0..10).map(|n| job(at(n * 5))).collect();
    assert!(Learned::from_all(&[said(Verdict::Noise, &again)]).prior(&next) > 0.5);
}

#[test]
fn a_silence_wears_off() {
    let learned = Learned::from_all(&weekly(10));
    assert!(learned.holds_back(&job(at(0) + WEEK * 30)).is_some());
    assert!(learned.holds_back(&job(at(0) + WEEK * 80)).is_none());
}

#[test]
fn what_is_expected_is_silent_at_once_at_any_time_up_to_its_size() {
    let learned = Learned::from_all(&[said(Verdict::Expected, &[job(at(0))])]);
    let later = job(at(0) + DAY * 300 + HOUR * 5);
    insta::assert_snapshot!(learned.holds_back(&later).unwrap().reason(&later), @"said to be expected from Sat 31 Jan 09:00 UTC on; it is told from 3.84s off");
    assert!(learned.holds_back(&lasting(later.clone(), 6000)).is_some());
    assert_eq!(learned.holds_back(&larger(later.clone(), 3.0)), None);
    assert_eq!(learned.holds_back(&Finding { direction: Direction::Down, ..later }), None);
}

#[test]
fn what_lasts_for_days_has_no_time_of_the_week() {
    let disk =
        |onset| Finding { kind: FindingKind::Capacity, score: 1.4, ..of(finding("db", "disk", onset), MetricKind::Disk, Direction::Up) };
    let all: Vec<Feedback> = (0..6).map(|n| said(Verdict::Noise, &[disk(at(0) + DAY * n + HOUR * n)])).collect();
    let next = lasting(disk(at(0) + DAY * 9 + HOUR * 17), 5000);
    assert!(Learned::from_all(&all).holds_back(&next).is_some());
}

#[test]
fn verdicts_rank_causes_again() {
    let findings = [finding("payment", "latency", at(0)), of(finding("payment", "memory", at(1)), MetricKind::Memory, Direction::Up)];
    let events = [event("release", EventKind::Deployment, Some("payment"), at(-3))];
    let causes = |all: &[Feedback]| {
        let learned = Learned::from_all(all);
        ranking::causes(&findings, &events, &Topology::default(), learned.of("now"))
    };
    let before = causes(&[]);
    assert_eq!(before[0].id, "deployment@payment");
    let wrong = |incident: usize, verdict| Feedback {
        incident: format!("i{incident}"),
        id: format!("{incident}{verdict}"),
        cause: Some("deployment@payment".to_owned()),
        ..said(verdict, &[finding("payment", "latency", at(0))])
    };
    let one = causes(&[wrong(0, Verdict::WrongCause)]);
    assert!(one[0].id == "deployment@payment" && one[0].weight < before[0].weight, "{one:#?}");
    assert!(one[0].reason.ends_with("; people said once that it was not such a cause"), "{one:#?}");
    let many: Vec<Feedback> = (0..10).map(|n| wrong(n, Verdict::WrongCause)).collect();
    let after = causes(&many);
    assert_ne!(after[0].id, "deployment@payment", "{after:#?}");
    assert!((after.iter().map(|c| c.weight).sum::<f64>() - 1.0).abs() < 1e-9);
    // Elsewhere it was said of one service only.
    let elsewhere = Learned::from_all(&many).of("now").cause("deployment@cart");
    assert!((elsewhere.right, elsewhere.wrong) == (0, 0) && (0.6..1.0).contains(&elsewhere.odds), "{elsewhere:?}");
    // Of this very incident one verdict is enough.
    let here = Feedback { incident: "now".to_owned(), ..wrong(0, Verdict::WrongCause) };
    assert_ne!(causes(&[here])[0].id, "deployment@payment");
    let right: Vec<Feedback> = (0..5).map(|n| wrong(n, Verdict::Useful)).collect();
    assert!(causes(&right)[0].weight > before[0].weight);
}

#[test]
fn what_fixed_it_comes_first() {
    use crate::correlation::remedy::{Catalogue, Context};
    let (catalogue, slow) = (Catalogue::shipped(), finding("payment", "latency", at(0)));
    let release = event("release", EventKind::Deployment, Some("payment"), at(-3));
    let context = || Context { changes: vec![&release], ..Context::default() };
    let ids = |all: &[Feedback]| {
        let learned = Learned::from_all(all);
        let shown = catalogue.suggest_all(&[(&slow, context())], 5, learned.of(""));
        shown.into_iter().map(|s| s.id).collect::<Vec<_>>()
    };
    let before = ids(&[]);
    assert!(before.len() > 1, "{before:?}");
    let fixed = |n: usize| Feedback {
        incident: format!("i{n}"),
        id: format!("f{n}"),
        suggestion: before.last().cloned(),
        suggested: before.clone(),
        ..said(Verdict::Fixed, std::slice::from_ref(&slow))
    };
    let after = ids(&(0..10).map(fixed).collect::<Vec<_>>());
    assert_eq!(after.first(), before.last(), "{before:?} {after:?}");
    // Another service is told a little of it.
    let learned = Learned::from_all(&(0..10).map(fixed).collect::<Vec<_>>());
    let at = |service| learned.of("").suggestion(before.last().unwrap(), service);
    assert!(at("payment") > at("cart") && at("cart") > 0, "{} {}", at("payment"), at("cart"));
    assert!(learned.of("").suggestion(&before[0], "payment") < 0);
}

#[test]
fn a_verdict_that_is_given_names_its_identity() {
    let mut incident: crate::incident::Incident = serde_json::from_str(include_str!("../../../tests/fixtures/incident.json")).unwrap();
    let given = |author: &str| Given {
        incident: incident.id.clone(),
        verdict: Verdict::Noise,
        cause: None,
        suggestion: None,
        comment: "c".to_owned(),
        author: author.to_owned(),
    };
    let (first, again, other) = (given("a"), given("a"), given("b"));
    let first = Feedback::of(first, &incident, at(0));
    assert_eq!(first.id, Feedback::of(again, &incident, at(9)).id);
    assert_ne!(first.id, Feedback::of(other, &incident, at(0)).id);
    // What an incident comes to is taken in, and what it loses is not.
    let mut known = first.clone();
    incident.findings[0].last_seen = incident.findings[0].last_seen + HOUR;
    incident.findings[0].ended = None;
    incident.findings.truncate(1);
    assert!(known.look_again(&incident) && known.seen[0].lasted > first.seen[0].lasted);
    incident.findings.clear();
    assert!(!known.look_again(&incident) && known.seen.len() == 1);
}

/// A verdict on one of a few series, kinds and times.
fn any_feedback() -> impl Strategy<Value = Feedback> {
    (0..40_i64, 0..3_u8, 0..2_u8, 0..5_usize, 0..200_i64, 0.1..9.0_f64, any::<bool>()).prop_map(
        |(id, series, up, verdict, hours, size, undone)| {
            let direction = if up == 0 { Direction::Up } else { Direction::Down };
            let seen = of(labelled(finding("s", "m", at(hours * 60)), &[("pod", &format!("p{series}"))]), MetricKind::Cpu, direction);
            let verdict = Verdict::WORDS[verdict].parse().unwrap();
            let cause = (verdict == Verdict::WrongCause).then(|| format!("deployment@s{series}"));
            let undone_at = undone.then(|| at(9999));
            Feedback { id: format!("fb-{id}"), incident: format!("inc-{id}"), undone_at, cause, ..said(verdict, &[larger(seen, size)]) }
        },
    )
}

/// Each id once, as in the store.
fn feedback() -> impl Strategy<Value = Vec<Feedback>> {
    proptest::collection::btree_map(0..40_i64, any_feedback(), 0..30).prop_map(|all| {
        let renamed = |(n, one): (i64, Feedback)| Feedback { id: format!("fb-{n}"), incident: format!("inc-{}", n / 2), ..one };
        all.into_iter().map(renamed).collect()
    })
}

fn any_question() -> impl Strategy<Value = Finding> {
    (0..4_u8, 0..400_i64, 0.1..9.0_f64).prop_map(|(series, hours, size)| {
        let asked = of(labelled(finding("s", "m", at(hours * 60)), &[("pod", &format!("p{series}"))]), MetricKind::Cpu, Direction::Up);
        larger(asked, size)
    })
}

proptest! {
    #[test]
    fn the_order_does_not_matter_and_a_chance_is_a_chance(all in feedback(), asked in any_question(), seed in any::<u64>()) {
        let learned = Learned::from_all(&all);
        let prior = learned.prior(&asked);
        prop_assert!(prior > 0.0 && prior < 1.0, "{}", prior);
        let mut turned = all.clone();
        turned.rotate_left(seed as usize % all.len().max(1));
        turned.reverse();
        prop_assert_eq!(&Learned::from_all(&turned), &learned);
    }

    #[test]
    fn taking_back_restores_exactly_what_was(all in feedback(), one in any_feedback(), asked in any_question()) {
        let before = Learned::from_all(&all);
        let mut given = one;
        (given.id, given.incident) = ("fb-new".to_owned(), "inc-1".to_owned());
        given.undone_at = Some(at(10_000));
        let after = Learned::from_all(all.iter().chain([&given]));
        prop_assert_eq!(after.holds_back(&asked), before.holds_back(&asked));
        prop_assert_eq!(after, before);
    }

    #[test]
    fn noise_never_raises_and_useful_never_lowers(all in feedback(), seen in any_question(), asked in any_question()) {
        // A new incident, so that no earlier word on it is replaced.
        let with = |verdict| {
            let one = Feedback { id: "fb-new".to_owned(), incident: "inc-new".to_owned(), ..said(verdict, std::slice::from_ref(&seen)) };
            Learned::from_all(all.iter().chain([&one])).prior(&asked)
        };
        let before = Learned::from_all(&all).prior(&asked);
        prop_assert!(with(Verdict::Noise) <= before + 1e-12);
        prop_assert!(with(Verdict::Useful) >= before - 1e-12);
        prop_assert!(with(Verdict::Fixed) >= before - 1e-12);
    }

    #[test]
    fn what_nobody_spoke_of_is_told(all in feedback(), asked in any_question()) {
        let other = Finding { monitor: "another".to_owned(), ..asked };
        prop_assert_eq!(Learned::from_all(&all).holds_back(&other), None);
        prop_assert_eq!(Learned::from_all(&all).prior(&other), 0.8);
    }
}
