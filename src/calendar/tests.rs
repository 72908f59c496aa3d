use std::fmt::Write;

use proptest::prelude::*;

use super::*;

fn cron(cron: &str, length: &str, zone: &str) -> Written {
    Written { cron: Some(cron.into()), length: Some(length.parse().unwrap()), time_zone: Some(zone.into()), ..Written::default() }
}

fn rrule(rrule: &str, from: &str, length: &str, zone: &str) -> Written {
    Written { rrule: Some(rrule.into()), from: Some(from.into()), cron: None, ..cron("", length, zone) }
}

fn once(from: &str, until: &str, zone: &str) -> Written {
    Written { from: Some(from.into()), until: Some(until.into()), time_zone: Some(zone.into()), ..Written::default() }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn calendar(written: Written) -> Calendar {
    Calendar::new(written).unwrap()
}

/// The open stretches from `from` to `to`, found minute by minute and told in the calendar's own time.
fn stretches(written: Written, from: &str, to: &str) -> String {
    let calendar = calendar(written);
    let local = |t: Timestamp| jiff::Timestamp::from_millisecond(t.millis()).unwrap().to_zoned(calendar.zone.clone());
    let (mut text, mut open) = (String::new(), None);
    let mut now = at(from);
    while now <= at(to) {
        match (calendar.covers(now), open) {
            (true, None) => open = Some(now),
            (false, Some(began)) => {
                let (began, ended) = (local(began), local(now));
                let _ =
                    writeln!(text, "{} to {} ({:#})", began.strftime("%m-%d %H:%M%:z"), ended.strftime("%m-%d %H:%M%:z"), &ended - &began);
                open = None;
            }
            _ => {}
        }
        now = now + DurationMs::from_secs(60);
    }
    assert_eq!(open, None, "{text}");
    text
}

fn wrong(written: Written) -> String {
    Calendar::new(written).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn berlin_skips_and_repeats_two_to_three() {
    let nightly = || cron("30 2 * * *", "1h", "Europe/Berlin");
    insta::assert_snapshot!(stretches(nightly(), "2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z"), @"
    03-28 02:30+01:00 to 03-28 03:30+01:00 (1h)
    03-29 03:00+02:00 to 03-29 04:00+02:00 (1h)
    03-30 02:30+02:00 to 03-30 03:30+02:00 (1h)
    ");
    insta::assert_snapshot!(stretches(nightly(), "2026-10-24T00:00:00Z", "2026-10-26T12:00:00Z"), @"
    10-24 02:30+02:00 to 10-24 03:30+02:00 (1h)
    10-25 02:30+02:00 to 10-25 02:30+01:00 (1h)
    10-26 02:30+01:00 to 10-26 03:30+01:00 (1h)
    ");
    // As a recurrence rule, also where its very first time is the skipped one.
    let same = |from: &str| rrule("FREQ=DAILY", from, "1h", "Europe/Berlin");
    for (from, to) in [("2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z"), ("2026-10-24T00:00:00Z", "2026-10-26T12:00:00Z")] {
        assert_eq!(stretches(same("2010-01-01T02:30:00"), from, to), stretches(nightly(), from, to));
    }
    insta::assert_snapshot!(stretches(same("2026-03-29T02:30:00"), "2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z"), @"
    03-29 03:00+02:00 to 03-29 04:00+02:00 (1h)
    03-30 02:30+02:00 to 03-30 03:30+02:00 (1h)
    ");
}

#[test]
fn new_york_changes_at_two() {
    let nightly = || cron("30 1,2 * * *", "20m", "America/New_York");
    insta::assert_snapshot!(stretches(nightly(), "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z"), @"
    03-08 01:30-05:00 to 03-08 01:50-05:00 (20m)
    03-08 03:00-04:00 to 03-08 03:20-04:00 (20m)
    03-09 01:30-04:00 to 03-09 01:50-04:00 (20m)
    03-09 02:30-04:00 to 03-09 02:50-04:00 (20m)
    ");
    insta::assert_snapshot!(stretches(nightly(), "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z"), @"
    11-01 01:30-04:00 to 11-01 01:50-04:00 (20m)
    11-01 02:30-05:00 to 11-01 02:50-05:00 (20m)
    11-02 01:30-05:00 to 11-02 01:50-05:00 (20m)
    11-02 02:30-05:00 to 11-02 02:50-05:00 (20m)
    ");
    // Every hour has its window once, so the repeated hour has none of its own.
    insta::assert_snapshot!(stretches(cron("0 * * * *", "10m", "America/New_York"), "2026-11-01T04:00:00Z", "2026-11-01T07:30:00Z"), @"
    11-01 00:00-04:00 to 11-01 00:10-04:00 (10m)
    11-01 01:00-04:00 to 11-01 01:10-04:00 (10m)
    11-01 02:00-05:00 to 11-01 02:10-05:00 (10m)
    ");
}

#[test]
fn lord_howe_changes_by_half_an_hour() {
    let nightly = || cron("45 1,2 * * *", "30m", "Australia/Lord_Howe");
    insta::assert_snapshot!(stretches(nightly(), "2026-04-03T20:00:00Z", "2026-04-05T12:00:00Z"), @"
    04-05 01:45+11:00 to 04-05 01:45+10:30 (30m)
    04-05 02:45+10:30 to 04-05 03:15+10:30 (30m)
    ");
    let quarter_past = || cron("15 2 * * *", "30m", "Australia/Lord_Howe");
    insta::assert_snapshot!(stretches(quarter_past(), "2026-10-02T20:00:00Z", "2026-10-04T12:00:00Z"), @"10-04 02:30+11:00 to 10-04 03:00+11:00 (30m)");
}

#[test]
fn lengths_are_elapsed_time() {
    // The Sunday on which clocks go back has 25 hours, so 48 hours from Saturday on end at 23:00.
    let weekend = cron("0 0 * * SAT", "48h", "Europe/Berlin");
    insta::assert_snapshot!(stretches(weekend, "2026-10-16T12:00:00Z", "2026-10-26T12:00:00Z"), @"
    10-17 00:00+02:00 to 10-19 00:00+02:00 (48h)
    10-24 00:00+02:00 to 10-25 23:00+01:00 (48h)
    ");
}

#[test]
fn a_whole_day_that_a_zone_left_out_moves_its_windows() {
    // Samoa went from the 29th to the 31st of December 2011.
    let noon = cron("0 12 * * *", "2h", "Pacific/Apia");
    insta::assert_snapshot!(stretches(noon, "2011-12-29T00:00:00Z", "2012-01-01T12:00:00Z"), @"
    12-29 12:00-10:00 to 12-29 14:00-10:00 (2h)
    12-31 00:00+14:00 to 12-31 02:00+14:00 (2h)
    12-31 12:00+14:00 to 12-31 14:00+14:00 (2h)
    01-01 12:00+14:00 to 01-01 14:00+14:00 (2h)
    ");
}

#[test]
fn a_window_has_its_beginning_but_not_its_end() {
    let ends = |written: Written, time: &str| calendar(written).open_until(at(time)).map(|t| t.to_string());
    let nightly = || cron("0 22 * * *", "8h", "UTC");
    assert_eq!(ends(nightly(), "2026-05-05T21:59:59.999Z"), None);
    assert_eq!(ends(nightly(), "2026-05-05T22:00:00Z").unwrap(), "2026-05-06T06:00:00Z");
    assert_eq!(ends(nightly(), "2026-05-06T05:59:59.999Z").unwrap(), "2026-05-06T06:00:00Z");
    assert_eq!(ends(nightly(), "2026-05-06T06:00:00Z"), None);
    // Of two open windows the later one tells the end.
    assert_eq!(ends(cron("0 0,6 * * *", "8h", "UTC"), "2026-05-05T07:00:00Z").unwrap(), "2026-05-05T14:00:00Z");
    let single = || once("2026-12-24T18:00:00+01:00", "2026-12-27T06:00", "Europe/Berlin");
    assert_eq!(ends(single(), "2026-12-24T16:59:59Z"), None);
    assert_eq!(ends(single(), "2026-12-24T17:00:00Z").unwrap(), "2026-12-27T05:00:00Z");
    assert_eq!(ends(single(), "2026-12-27T05:00:00Z"), None);
}

#[test]
fn rules_cover_what_they_say() {
    let patch_tuesday = calendar(rrule("FREQ=MONTHLY;BYDAY=2TU", "2020-01-14T20:00", "4h", "America/New_York"));
    assert!(patch_tuesday.covers(at("2026-11-11T02:00:00Z")));
    assert!(!patch_tuesday.covers(at("2026-11-04T02:00:00Z")));
    assert!(!patch_tuesday.covers(at("2019-12-11T02:00:00Z")), "before its beginning");
    let business = calendar(cron("0 9 * * MON-FRI", "8h", "Europe/Berlin"));
    assert!(business.covers(at("2026-07-31T14:59:00Z")), "a Friday in summer");
    assert!(!business.covers(at("2026-07-31T15:00:00Z")));
    assert!(business.covers(at("2026-12-31T15:59:00Z")), "a Thursday in winter");
    assert!(!business.covers(at("2026-08-01T10:00:00Z")), "a Saturday");
    let month_end = calendar(cron("0 0 L * *", "24h", "UTC"));
    assert!(month_end.covers(at("2026-12-31T12:00:00Z")) && !month_end.covers(at("2026-12-30T12:00:00Z")));
}

#[test]
fn no_time_is_too_far() {
    let all = [
        cron("30 2 * * *", "366d", "America/New_York"),
        cron("0 0 29 2 *", "1s", "Europe/Berlin"),
        rrule("FREQ=DAILY", "0001-01-01T00:00", "1h", "Asia/Kolkata"),
        rrule("FREQ=YEARLY;BYDAY=-1SU;BYSETPOS=-1", "9998-12-31T00:00", "1h", "UTC"),
        once("0001-01-02T00:00", "9998-01-01T00:00", "Australia/Lord_Howe"),
    ];
    for calendar in all.map(calendar) {
        for t in [i64::MIN, i64::MIN / 2, -1, 0, 4_000_000_000_000, i64::MAX] {
            calendar.open_until(Timestamp::from_millis(t));
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let all = [
        Written::default(),
        cron("0 0 * *", "1h", "UTC"),
        cron("@daily", "1h", "UTC"),
        cron("61 25 * * *", "1h", "UTC"),
        cron("0 0 * * MONDAY", "1h", "UTC"),
        cron("0 0 30 2 *", "1h", "UTC"),
        cron("0 0 5-1 * *", "0s", "Europe/Berln"),
        Written { length: None, until: Some("x".into()), ..cron("0 0 * * *", "1h", "") },
        Written { cron: Some("0 0 * * *".into()), ..rrule("FREQ=DAILY", "2026-01-01T00:00", "400d", "UTC") },
        Written { from: None, ..rrule("FREQ=DAILY", "", "1h", "UTC") },
        rrule("FREQ=DAILY;BYHOUR=24", "2026-01-01", "1h", "UTC"),
        rrule("FREQ=DAILY;BYHOUR=24", "2026-01-01T02:00", "1h", "UTC"),
        once("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "UTC"),
        once("2026-01-01T01:00:00Z", "2026-01-01T02:00", "Europe/Berlin"),
        once("2026-02-30T00:00:00Z", "0000-01-01T00:00", "UTC"),
        Written { until: None, ..once("2026-01-01T00:00", "", "UTC") },
        Written { length: Some(DurationMs::HOUR), ..once("2026-01-01T00:00", "2026-01-01T01:00", "UTC") },
    ];
    insta::assert_snapshot!(all.map(wrong).join("\n\n"), @"
    : names no window; give cron and for, or rrule, from and for, or from and until

    cron: has 4 fields, and a cron expression has five; write minute, hour, day of month, month and day of week, such as `0 22 * * MON-FRI`; found `0 0 * *`

    cron: has 1 field, and a cron expression has five; write minute, hour, day of month, month and day of week, such as `0 22 * * MON-FRI`; found `@daily`

    cron: has the minute `61`; there it must be 0 to 59, and lists `1,2`, ranges `1-5` and steps `*/2` of them; found `61 25 * * *`

    cron: has the day of week `MONDAY`; there it must be 0 to 7, or SUN to SAT, and lists `1,2`, ranges `1-5` and steps `*/2` of them; found `0 0 * * MONDAY`

    cron: is never due; name a day that its months have; found `0 0 30 2 *`

    time_zone: is `Europe/Berln`; it must be an IANA time zone such as Europe/Berlin or UTC
    cron: has the day of month `5-1`; there it must be 1 to 31, or L for the last, and lists `1,2`, ranges `1-5` and steps `*/2` of them; found `0 0 5-1 * *`
    for: is 0s; it must be from 1s to 366d

    time_zone: is ``; it must be an IANA time zone such as Europe/Berlin or UTC
    until: is given besides a rule; for says how long windows last, and UNTIL in an rrule when they stop
    for: is missing; say how long each window lasts, such as 2h

    rrule: is given besides cron; windows have one rule, so keep one
    from: is given besides cron, which has no first window; where there is one, use rrule
    for: is 400d; it must be from 1s to 366d

    from: is missing; give the first beginning (DTSTART), such as 2026-01-31T08:00:00Z, or local time without the Z

    from: is `2026-01-01`; it must be a time such as 2026-01-31T08:00:00Z, or local time without the Z

    rrule: has `24` in BYHOUR; there it must be a number from 0 to 23; found `FREQ=DAILY;BYHOUR=24`

    until: is 2026-01-01T00:00:00Z, and from is 2026-01-02T00:00:00Z; the end must come after the beginning

    until: is 2026-01-01T01:00:00Z, and from is 2026-01-01T01:00:00Z; the end must come after the beginning

    from: is `2026-02-30T00:00:00Z`; it must be a time such as 2026-01-31T08:00:00Z, or local time without the Z
    until: is `0000-01-01T00:00`; it must be a time such as 2026-01-31T08:00:00Z, or local time without the Z

    until: is missing; give the end, such as 2026-01-31T08:00:00Z, or local time without the Z

    for: is given without a rule; a single window has from and until
    ");
}

#[test]
fn stored_as_it_was_written() {
    let text = r#"{"cron":"0 22 * * *","for":"8h","time_zone":"Europe/Berlin"}"#;
    let read: Calendar = serde_json::from_str(text).unwrap();
    assert_eq!(read, calendar(cron("0 22 * * *", "8h", "Europe/Berlin")));
    let again: Calendar = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert_eq!(read, again);
    assert!(serde_json::from_str::<Calendar>(r#"{"cron":"0 22 * * *"}"#).unwrap_err().to_string().contains("for: is missing"));
}

/// Zones and days around which their clocks change, with minutes from noon UTC of that day.
fn changes() -> impl Strategy<Value = (&'static str, i64)> {
    let days = [
        ("Europe/Berlin", "2026-03-28T12:00:00Z"),
        ("Europe/Berlin", "2026-10-24T12:00:00Z"),
        ("America/New_York", "2026-03-07T12:00:00Z"),
        ("America/New_York", "2026-10-31T12:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T00:00:00Z"),
        ("America/Sao_Paulo", "2018-11-03T12:00:00Z"),
        ("Africa/Casablanca", "2026-02-14T12:00:00Z"),
        ("Asia/Kathmandu", "2026-03-28T12:00:00Z"),
        ("UTC", "2026-03-28T12:00:00Z"),
    ];
    (0..days.len()).prop_map(move |i| (days[i].0, at(days[i].1).millis()))
}

proptest! {
    /// A window begins at the first instant at which the clock shows its local time or a later one: looked for
    /// minute by minute, without knowing of gaps and folds.
    #[test]
    fn agrees_with_watching_the_clock((zone, day) in changes(), minutes in proptest::collection::btree_set(0..1440_i16, 1..4),
        length in 1..300_i64, probes in proptest::collection::vec(0..2880_i64, 20)) {
        let times: Vec<String> = minutes.iter().map(|m| format!("{:02}:{:02}", m / 60, m % 60)).collect();
        let calendars: Vec<Calendar> = minutes.iter()
            .map(|m| calendar(cron(&format!("{} {} * * *", m % 60, m / 60), &format!("{length}m"), zone))).collect();
        let tz = TimeZone::get(zone).unwrap();
        let minute = |i: i64| jiff::Timestamp::from_millisecond(day + i * 60_000).unwrap();
        let mut latest_shown = tz.to_datetime(minute(-1500));
        let mut began: Vec<Option<i64>> = vec![None; times.len()];
        for i in -1499..2880_i64 {
            let shown = tz.to_datetime(minute(i)).max(latest_shown);
            for (began, time) in began.iter_mut().zip(&times) {
                let mut dates = latest_shown.date().series(jiff::Span::new().days(1)).take_while(|d| *d <= shown.date());
                if dates.any(|d| { let due: DateTime = format!("{d}T{time}").parse().unwrap(); due > latest_shown && due <= shown }) {
                    *began = Some(i);
                }
            }
            latest_shown = shown;
            if probes.contains(&i) {
                for (calendar, began) in calendars.iter().zip(&began) {
                    let open = began.is_some_and(|began| i < began + length);
                    let now = Timestamp::from_millis(day + i * 60_000);
                    prop_assert_eq!(calendar.covers(now), open, "{:?} at {}", calendar.written(), now);
                }
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(fields in proptest::collection::vec(proptest::option::of(any::<String>()), 5),
        cron in "[-0-9*/,LW#?A-Z ]{5,24}", days in 0..500_i64, t in any::<i64>()) {
        let mut fields = fields.into_iter();
        let mut next = || fields.next().flatten();
        let length = Some(DurationMs::DAY * days);
        let made_up = Written { cron: next(), rrule: next(), from: next(), until: next(), length, time_zone: next() };
        let likely = Written { cron: Some(cron), length, ..Written::default() };
        for written in [made_up, likely] {
            if let Ok(calendar) = Calendar::new(written) {
                calendar.covers(Timestamp::from_millis(t));
            }
        }
    }
}
