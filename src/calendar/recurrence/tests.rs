//! `tests/fixtures/calendar/generate.py` writes the times that python-dateutil finds.

use jiff::ToSpan;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::Recurrence;

fn parse(rule: &str, start: DateTime) -> Result<Recurrence, String> {
    Recurrence::parse(rule, start, &TimeZone::UTC)
}

fn start() -> DateTime {
    date(2026, 1, 13).at(2, 0, 0, 0)
}

/// Each rule of the fixture with its start and its first times.
fn fixture() -> Vec<(String, DateTime, Vec<DateTime>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/calendar/recurrences.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| {
        let mut words = line.split(' ');
        let start = words.next().unwrap().parse().unwrap();
        let rule = words.next().unwrap().to_owned();
        (rule, start, words.map(|word| word.parse().unwrap()).collect())
    });
    lines.collect()
}

#[test]
fn names_the_times_that_dateutil_names() {
    let rules = fixture();
    assert!(rules.len() > 150);
    for (text, start, expected) in rules {
        let rule = parse(&text, start).unwrap_or_else(|reason| panic!("{text}: {reason}"));
        let days = start.date().series(1.day()).take_while(|day| *day <= expected.last().unwrap().date());
        let found: Vec<DateTime> = days.flat_map(|day| rule.on(day).collect::<Vec<_>>()).take(expected.len()).collect();
        assert_eq!(found, expected, "{text} from {start}");
    }
}

/// The latest time before an instant is the one that a walk from the beginning would have met last.
#[test]
fn looking_back_agrees_with_walking() {
    for (text, start, expected) in fixture() {
        let rule = parse(&text, start).unwrap();
        let long_ago = start.date().checked_sub(1.year()).unwrap().to_datetime(start.time());
        for pair in expected.windows(2) {
            let just_before = pair[1].checked_sub(1.second()).unwrap();
            assert_eq!(rule.latest(long_ago, just_before), Some(pair[0]), "{text}");
            assert_eq!(rule.latest(long_ago, pair[1]), Some(pair[1]), "{text}");
            assert_eq!(rule.latest(pair[0].checked_add(1.second()).unwrap(), just_before), None, "{text}");
        }
        assert_eq!(rule.latest(long_ago, start.checked_sub(1.second()).unwrap()), None, "{text}");
    }
}

#[test]
fn the_last_time_is_the_last() {
    let far = date(2099, 1, 1).at(0, 0, 0, 0);
    let last = |rule: &str| parse(rule, start()).unwrap().latest(start(), far).unwrap().to_string();
    assert_eq!(last("FREQ=DAILY;COUNT=3"), "2026-01-15T02:00:00");
    assert_eq!(last("FREQ=DAILY;UNTIL=20260120"), "2026-01-20T02:00:00");
    assert_eq!(last("FREQ=DAILY;UNTIL=20260120T020000"), "2026-01-20T02:00:00");
    assert_eq!(last("FREQ=DAILY;UNTIL=20260120T015959"), "2026-01-19T02:00:00");
    assert_eq!(last("rrule:freq=monthly;byday=2tu;count=2"), "2026-02-10T02:00:00");
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let rule = Recurrence::parse("FREQ=DAILY;UNTIL=20260120T010000Z", start(), &berlin).unwrap();
    assert_eq!(rule.latest(start(), far).unwrap().to_string(), "2026-01-20T02:00:00");
}

#[test]
fn what_is_wrong_is_named() {
    let rules = [
        "",
        "FREQ",
        "WEEKLY",
        "BYDAY=MO",
        "FREQ=FORTNIGHTLY",
        "FREQ=HOURLY",
        "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;BYSECOND=3",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;COUNT=-1",
        "FREQ=DAILY;COUNT=3;UNTIL=20270101",
        "FREQ=DAILY;UNTIL=tomorrow",
        "FREQ=DAILY;UNTIL=20251231",
        "FREQ=WEEKLY;BYDAY=MONDAY",
        "FREQ=WEEKLY;BYDAY=1MO",
        "FREQ=WEEKLY;BYMONTHDAY=1",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=MONTHLY;BYMONTHDAY=32",
        "FREQ=MONTHLY;BYMONTH=-1",
        "FREQ=MONTHLY;BYWEEKNO=20;BYDAY=MO",
        "FREQ=MONTHLY;BYSETPOS=1",
        "FREQ=YEARLY;BYWEEKNO=20",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=50",
        "FREQ=WEEKLY;WKST=1",
    ];
    let all = rules.map(|rule| format!("{rule}: {}", parse(rule, start()).expect_err(rule)));
    insta::assert_snapshot!(all.join("\n"), @"
    : has the part ``; a rule's parts are such as FREQ=WEEKLY;BYDAY=SA,SU
    FREQ: has the part `FREQ`; a rule's parts are such as FREQ=WEEKLY;BYDAY=SA,SU
    WEEKLY: has the part `WEEKLY`; a rule's parts are such as FREQ=WEEKLY;BYDAY=SA,SU
    BYDAY=MO: has no FREQ; begin with FREQ=DAILY, FREQ=WEEKLY, FREQ=MONTHLY or FREQ=YEARLY
    FREQ=FORTNIGHTLY: has FREQ=FORTNIGHTLY; it must be DAILY, WEEKLY, MONTHLY or YEARLY
    FREQ=HOURLY: has a FREQ below a day; write FREQ=DAILY with BYHOUR and BYMINUTE, or a cron expression
    FREQ=DAILY;FREQ=DAILY: has FREQ twice; give a list with commas instead
    FREQ=DAILY;BYSECOND=3: has the unknown part BYSECOND; there are FREQ, INTERVAL, COUNT, UNTIL, WKST, BYMONTH, BYWEEKNO, BYYEARDAY, BYMONTHDAY, BYDAY, BYHOUR, BYMINUTE, BYSETPOS
    FREQ=DAILY;INTERVAL=0: has INTERVAL=0; it must be a number from 1 to 1000
    FREQ=DAILY;COUNT=-1: has COUNT=-1; it must be a number from 1 to 10000
    FREQ=DAILY;COUNT=3;UNTIL=20270101: has both COUNT and UNTIL; keep one of them
    FREQ=DAILY;UNTIL=tomorrow: has UNTIL=TOMORROW; it must be such as 20261231T235959Z, or local time without the Z
    FREQ=DAILY;UNTIL=20251231: has an UNTIL that comes before its beginning, 2026-01-13T02:00:00
    FREQ=WEEKLY;BYDAY=MONDAY: has `MONDAY` in BYDAY; there it must be such as MO, 2TU or -1FR
    FREQ=WEEKLY;BYDAY=1MO: has a number in BYDAY, which goes with FREQ=MONTHLY and FREQ=YEARLY only, and not with BYWEEKNO
    FREQ=WEEKLY;BYMONTHDAY=1: has BYMONTHDAY, which does not go with FREQ=WEEKLY
    FREQ=MONTHLY;BYDAY=0MO: has `0MO` in BYDAY; there it must be such as MO, 2TU or -1FR
    FREQ=MONTHLY;BYMONTHDAY=32: has `32` in BYMONTHDAY; there it must be a number from 1 to 31, or below zero from the end
    FREQ=MONTHLY;BYMONTH=-1: has `-1` in BYMONTH; there it must be a number from 1 to 12
    FREQ=MONTHLY;BYWEEKNO=20;BYDAY=MO: has BYWEEKNO, which goes with FREQ=YEARLY only
    FREQ=MONTHLY;BYSETPOS=1: has BYSETPOS alone; it picks from what another part such as BYDAY names
    FREQ=YEARLY;BYWEEKNO=20: has BYWEEKNO without BYDAY; say which days of those weeks
    FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30: never comes within 100 years of its beginning, 2026-01-13T02:00:00
    FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=50: comes 24 times within 100 years of its beginning, and never reaches COUNT=50
    FREQ=WEEKLY;WKST=1: has WKST=1; it must be a weekday: MO, TU, WE, TH, FR, SA or SU
    ");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![any::<String>(), "(FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY))(;(INTERVAL|COUNT|BYDAY|BYSETPOS|BYHOUR|UNTIL|BYMONTHDAY|BYWEEKNO)=[-0-9MOTUSA,é]{0,6}){0,3}"],
        year in 1_i16..=9999) {
        let first = date(year, 1, 1).at(0, 0, 0, 0);
        if let Ok(rule) = parse(&text, first) {
            for upper in [DateTime::MIN, first, DateTime::MAX] {
                let _ = rule.latest(upper.saturating_sub(40.days()), upper);
            }
        }
    }
}
