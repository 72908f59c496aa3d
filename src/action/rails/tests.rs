use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::action::tests::{restart, values};
use crate::action::{Approval, Rate};
use crate::calendar::{Calendar, Written};
use crate::clock::DurationMs;
use crate::glob::Glob;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_millis(1_769_846_400_000 + minutes * 60_000)
}

fn run(action: &Action, state: RunState) -> Run {
    let values = values("payment");
    Run {
        action: action.name.clone(),
        incident: "inc-1".to_owned(),
        state,
        suggestion: "memory-growth".to_owned(),
        title: "It leaks".to_owned(),
        confidence: 0.8,
        request: action.request(&values).ok(),
        targets: action.targets(&values),
        definition: action.fingerprint(),
        created: at(0),
        updated: at(0),
        approval: (state == RunState::Approved).then(|| Approval { by: "mira".to_owned(), at: at(0) }),
        attempted: None,
        extent: None,
        stopped: None,
        held: Vec::new(),
        note: String::new(),
    }
}

/// What is decided when one thing is not as it must be.
fn decided(with_action: impl FnOnce(&mut Action), state: RunState, with: impl for<'a> FnOnce(&mut Facts<'a>)) -> (Decision, Vec<Rail>) {
    let mut action = restart();
    with_action(&mut action);
    let (run, values, fingerprint) = (run(&action, state), values("payment"), action.fingerprint());
    let mut facts = Facts {
        now: at(1),
        mode: Mode::On,
        action: &action,
        run: &run,
        is_open: true,
        values: Some(&values),
        confidence: 0.8,
        rehearsed: Some(&fingerprint),
        is_paused: false,
        is_stopped: false,
        is_silenced: false,
        calls: &[],
    };
    with(&mut facts);
    (decide(&facts), forbidden(&facts).into_iter().map(|f| f.rail).collect())
}

#[test]
fn each_rail_alone_holds_it_back() {
    use RunState::{Approved, Proposed};
    let leaked = |minutes: [i64; 2]| -> &'static [Timestamp] { Box::leak(Box::new(minutes.map(at))) };
    let (calls, old) = (leaked([-5, -1]), leaked([-61, -1]));
    let night =
        || Calendar::new(Written { cron: Some("0 22 * * *".to_owned()), length: Some(DurationMs::HOUR), ..Written::default() }).unwrap();
    assert_eq!(decided(|_| (), Proposed, |_| ()).0, Decision::Call);
    assert_eq!(decided(|a| a.needs_approval = true, Approved, |_| ()).0, Decision::Call);
    assert_eq!(decided(|_| (), Proposed, |f| f.calls = old).0, Decision::Call);
    let one = |rails: &[Rail], (decision, found): (Decision, Vec<Rail>)| {
        assert_eq!(found, rails);
        assert!(matches!(decision, Decision::Wait(_)), "{rails:?}: {decision:?}");
    };
    one(&[Rail::Over], decided(|_| (), Proposed, |f| f.is_open = false));
    one(&[Rail::NotSuggested], decided(|_| (), Proposed, |f| f.values = None));
    one(&[Rail::NotAllowed], decided(|a| a.allow.clear(), Proposed, |_| ()));
    one(&[Rail::NotAllowed], decided(|a| _ = a.allow.insert("service".to_owned(), vec![Glob("cart".to_owned())]), Proposed, |_| ()));
    one(&[Rail::NotAllowed], decided(|a| _ = a.allow.insert("namespace".to_owned(), vec![Glob("*".to_owned())]), Proposed, |_| ()));
    one(&[Rail::Closed], decided(|a| a.only = vec![night()], Proposed, |_| ()));
    one(&[Rail::Rate], decided(|_| (), Proposed, |f| f.calls = calls));
    one(&[Rail::NotSure], decided(|_| (), Proposed, |f| f.confidence = 0.49));
    one(&[Rail::NotSure], decided(|_| (), Proposed, |f| f.confidence = f64::NAN));
    one(&[Rail::Paused], decided(|_| (), Proposed, |f| f.is_paused = true));
    one(&[Rail::Stopped], decided(|_| (), Proposed, |f| f.is_stopped = true));
    one(&[Rail::Silenced], decided(|_| (), Proposed, |f| f.is_silenced = true));
    assert_eq!(decided(|_| (), Approved, |f| f.is_silenced = true).0, Decision::Call);
    one(&[Rail::Approval], decided(|a| a.needs_approval = true, Proposed, |_| ()));
    one(&[Rail::Approval], decided(|a| a.needs_approval = true, Approved, |f| f.now = at(15)));
    for rehearsed in [
        decided(|_| (), Proposed, |f| f.mode = Mode::DryRun),
        decided(|a| a.dry_run = true, Proposed, |_| ()),
        decided(|a| a.needs_approval = true, Proposed, |f| f.mode = Mode::DryRun),
        decided(|_| (), Proposed, |f| f.rehearsed = None),
        decided(|_| (), Proposed, |f| f.rehearsed = Some("0123456789abcdef")),
    ] {
        assert_eq!(rehearsed.0, Decision::Rehearse, "{:?}", rehearsed.1);
    }
    assert_eq!(decided(|_| (), Proposed, |f| f.mode = Mode::Off), (Decision::Leave, vec![Rail::Off]));
    for state in RunState::WORDS.iter().map(|word| word.parse::<RunState>().unwrap()).filter(|state| !state.is_pending()) {
        assert_eq!(decided(|_| (), state, |_| ()), (Decision::Leave, vec![Rail::Once]), "{state}");
    }
}

#[test]
fn what_is_not_known_is_named() {
    let action = restart();
    let mut values = values("payment");
    values.remove("incident");
    let run = Run { request: None, ..run(&action, RunState::Proposed) };
    let fingerprint = action.fingerprint();
    let facts = Facts {
        now: at(1),
        mode: Mode::On,
        action: &action,
        run: &run,
        is_open: true,
        values: Some(&values),
        confidence: 0.8,
        rehearsed: Some(&fingerprint),
        is_paused: false,
        is_stopped: false,
        is_silenced: false,
        calls: &[],
    };
    let expected = Forbidden { rail: Rail::NotKnown, why: "`incident` is not known, and its request needs it".to_owned() };
    assert_eq!(decide(&facts), Decision::Wait(vec![expected]));
}

#[test]
fn what_was_configured_anew_is_proposed_anew() {
    let (old, mut action) = (restart(), restart());
    action.url = "http://hooks:8080/other".to_owned();
    let (run, values, fingerprint) = (run(&old, RunState::Approved), values("payment"), action.fingerprint());
    let facts = Facts {
        now: at(1),
        mode: Mode::On,
        action: &action,
        run: &run,
        is_open: true,
        values: Some(&values),
        confidence: 0.8,
        rehearsed: Some(&fingerprint),
        is_paused: false,
        is_stopped: false,
        is_silenced: false,
        calls: &[],
    };
    assert_eq!(forbidden(&facts).iter().map(|f| f.rail).collect::<Vec<_>>(), [Rail::NotSuggested]);
}

#[test]
fn another_target_than_was_proposed_is_another_thing() {
    let other = values("payments-db");
    let (decision, rails) = decided(|_| (), RunState::Approved, |f| f.values = Some(Box::leak(Box::new(other))));
    assert_eq!((matches!(decision, Decision::Wait(_)), rails), (true, vec![Rail::NotSuggested]));
}

/// What may be so or otherwise in a decision.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one rail")]
struct Case {
    mode: Mode,
    state: RunState,
    dry_run: bool,
    allowed: bool,
    open_window: bool,
    needs_approval: bool,
    approved: i64,
    is_open: bool,
    suggested: bool,
    confidence: f64,
    rehearsed: bool,
    paused: bool,
    stopped: bool,
    silenced: bool,
    calls: Vec<i64>,
}

fn any_case() -> impl Strategy<Value = Case> {
    // Mostly well, so that the interesting corner is met.
    let mostly = || proptest::bool::weighted(0.85);
    let rarely = || proptest::bool::weighted(0.15);
    let mode = prop_oneof![1 => Just(Mode::Off), 1 => Just(Mode::DryRun), 8 => Just(Mode::On)];
    let state = prop_oneof![4 => Just(RunState::Proposed), 4 => Just(RunState::Approved), 2 => (0..RunState::WORDS.len()).prop_map(|i| RunState::WORDS[i].parse().unwrap())];
    let confidence = prop_oneof![4 => 0.5..1.0_f64, 1 => 0.0..0.5_f64, 1 => Just(f64::NAN)];
    (
        (mode, state, rarely(), mostly(), mostly(), any::<bool>(), -20..1_i64),
        (mostly(), mostly(), confidence, mostly(), rarely(), rarely(), rarely(), proptest::collection::vec(-90..5_i64, 0..3)),
    )
        .prop_map(|((mode, state, dry_run, allowed, open_window, needs_approval, approved), rest)| {
            let (is_open, suggested, confidence, rehearsed, paused, stopped, silenced, calls) = rest;
            Case {
                mode,
                state,
                dry_run,
                allowed,
                open_window,
                needs_approval,
                approved,
                is_open,
                suggested,
                confidence,
                rehearsed,
                paused,
                stopped,
                silenced,
                calls,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// It is called exactly when every rail, told here in other words, lets it through.
    #[test]
    fn nothing_is_called_whenever_any_rail_forbids(case in any_case()) {
        let mut action = restart();
        action.dry_run = case.dry_run;
        action.needs_approval = case.needs_approval;
        if !case.allowed {
            action.allow.insert("deployment".to_owned(), vec![Glob("cart".to_owned())]);
        }
        let hours = if case.open_window { "0-23" } else { "20" };
        let written = Written { cron: Some(format!("0 {hours} * * *")), length: Some(DurationMs::HOUR), ..Written::default() };
        action.only = vec![Calendar::new(written).unwrap()];
        let mut run = run(&action, case.state);
        run.approval = run.approval.map(|given| Approval { at: at(case.approved), ..given });
        let (values, fingerprint) = (values("payment"), action.fingerprint());
        let calls: Vec<Timestamp> = case.calls.iter().map(|minutes| at(*minutes)).collect();
        let facts = Facts {
            now: at(0),
            mode: case.mode,
            action: &action,
            run: &run,
            is_open: case.is_open,
            values: case.suggested.then_some(&values),
            confidence: case.confidence,
            rehearsed: case.rehearsed.then_some(&fingerprint),
            is_paused: case.paused,
            is_stopped: case.stopped,
            is_silenced: case.silenced,
            calls: &calls,
        };
        let pending = case.state == RunState::Proposed || case.state == RunState::Approved;
        let is_right = case.is_open && case.suggested && case.allowed && case.open_window && case.confidence >= 0.5;
        let is_free = !case.paused && !case.stopped && case.calls.iter().filter(|minutes| **minutes > -60).count() < 2;
        let approved = case.state == RunState::Approved && case.approved > -15;
        let is_approved = !case.needs_approval || approved;
        let is_dry = case.mode == Mode::DryRun || case.dry_run || !case.rehearsed;
        let expected = match case.mode {
            Mode::Off => "leave",
            _ if !pending => "leave",
            _ if !is_right || !is_free || case.silenced && !approved => "wait",
            _ if is_dry => "rehearse",
            _ if !is_approved => "wait",
            _ => "call",
        };
        let found = match decide(&facts) {
            Decision::Leave => "leave",
            Decision::Wait(why) => {
                prop_assert!(!why.is_empty() && why.iter().all(|f| !f.why.is_empty()));
                "wait"
            }
            Decision::Rehearse => "rehearse",
            Decision::Call => "call",
        };
        prop_assert_eq!(found, expected);
    }

    /// Whatever comes in whatever order, no stretch of time has more calls than it may, and no incident more than one.
    #[test]
    fn the_rate_is_kept_and_no_incident_has_two_calls(
        most in 1..4_usize,
        per in 1..90_i64,
        tries in proptest::collection::vec((0..12_i64, 0..6_u8, any::<bool>()), 1..60),
    ) {
        let mut action = restart();
        action.rate = Rate { most, per: DurationMs::from_secs(per * 60) };
        action.needs_approval = true;
        let (values, fingerprint) = (values("payment"), action.fingerprint());
        let (mut calls, mut called, mut now) = (Vec::<Timestamp>::new(), BTreeSet::new(), 0);
        let mut runs: Vec<Run> = (0..6).map(|_| run(&action, RunState::Proposed)).collect();
        for (pause, incident, approve) in tries {
            now += pause;
            let run = &mut runs[usize::from(incident)];
            if approve && run.state == RunState::Proposed {
                run.state = RunState::Approved;
            }
            if run.state == RunState::Approved {
                run.approval = Some(Approval { by: "mira".to_owned(), at: at(now) });
            }
            let facts = Facts {
                now: at(now), mode: Mode::On, action: &action, run, is_open: true, values: Some(&values), confidence: 0.9,
                rehearsed: Some(&fingerprint), is_paused: false, is_stopped: false, is_silenced: false, calls: &calls,
            };
            if decide(&facts) == Decision::Call {
                prop_assert!(called.insert(incident), "a second call for incident {}", incident);
                calls.push(at(now));
                run.state = RunState::Attempted;
            }
        }
        for last in &calls {
            let within = calls.iter().filter(|call| **call <= *last && **call + action.rate.per > *last).count();
            prop_assert!(within <= most, "{} calls within {}", within, action.rate.per);
        }
    }
}
