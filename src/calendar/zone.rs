//! Between local time and the time line, where clocks are put forward and back.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::clock::Timestamp;

/// The first instant at which clocks in `zone` show `local`; where they skip it, the first one after the gap.
/// `None` at the ends of time.
pub(super) fn first_instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    // Inside a gap this is the reading with the offset that is valid after it: an instant before the change.
    let earlier = ambiguous.earlier().ok()?;
    let instant = match ambiguous.offset() {
        AmbiguousOffset::Gap { after, .. } => zone.following(earlier).find(|change| change.offset() == after)?.timestamp(),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => earlier,
    };
    Some(Timestamp::from_millis(instant.as_millisecond()))
}

/// The latest local time that clocks in `zone` have shown by `at`. That is what they show at `at`, but while they
/// show an hour for the second time, it is the end of that hour.
pub(super) fn latest_local(zone: &TimeZone, at: jiff::Timestamp) -> DateTime {
    let shown = zone.to_datetime(at);
    let AmbiguousOffset::Fold { before, after } = zone.to_ambiguous_timestamp(shown).offset() else { return shown };
    if zone.to_offset(at) != after {
        return shown;
    }
    // `preceding` passes over a change at the very instant it is asked for.
    let just_after = at.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(at);
    let change = zone.preceding(just_after).find(|change| change.offset() == after);
    let end = change.map(|change| before.to_datetime(change.timestamp()));
    end.and_then(|end| end.checked_sub(jiff::SignedDuration::from_nanos(1)).ok()).unwrap_or(shown)
}
