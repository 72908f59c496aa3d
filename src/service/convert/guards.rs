//! Guards as messages.

use super::duration;
use crate::calendar::Calendar;
use crate::guard::Guards;
use crate::proto as pb;

/// The guards that are set; `None` where none is.
pub fn guards(g: &Guards) -> Option<pb::Guards> {
    (*g != Guards::default()).then(|| pb::Guards {
        least_deviation: g.least_deviation,
        least_relative_deviation: g.least_relative_deviation,
        valid_min: g.valid.min,
        valid_max: g.valid.max,
        least_traffic: g.least_traffic.as_ref().map(|t| pb::LeastTraffic { query: t.query.clone(), per_second: t.per_second }),
        only: g.only.iter().map(calendar).collect(),
        maintenance: g.maintenance.iter().map(calendar).collect(),
        warm_up: g.warm_up.map(duration),
        missed_scrapes: (!g.missed_scrapes).then_some(false),
    })
}

pub(super) fn calendar(calendar: &Calendar) -> pb::Calendar {
    let written = calendar.written();
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    pb::Calendar {
        cron: text(&written.cron),
        rrule: text(&written.rrule),
        from: text(&written.from),
        until: text(&written.until),
        lasts: written.length.map(duration),
        time_zone: text(&written.time_zone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Written;
    use crate::clock::DurationMs;
    use crate::guard::{LeastTraffic, ValidRange};

    #[test]
    fn what_is_set_is_shown() {
        assert_eq!(guards(&Guards::default()), None);
        let nights = Written {
            cron: Some("30 2 * * *".to_owned()),
            length: Some(DurationMs::HOUR),
            time_zone: Some("Europe/Berlin".to_owned()),
            ..Written::default()
        };
        let set = Guards {
            least_deviation: Some(0.5),
            valid: ValidRange { min: Some(0.0), max: None },
            least_traffic: Some(LeastTraffic { query: "rate(x[5m])".to_owned(), per_second: 2.0 }),
            maintenance: vec![Calendar::new(nights).unwrap()],
            warm_up: Some(DurationMs::DAY),
            missed_scrapes: false,
            ..Guards::default()
        };
        let night = pb::Calendar {
            cron: "30 2 * * *".to_owned(),
            lasts: Some(duration(DurationMs::HOUR)),
            time_zone: "Europe/Berlin".to_owned(),
            ..pb::Calendar::default()
        };
        let expected = pb::Guards {
            least_deviation: Some(0.5),
            least_relative_deviation: None,
            valid_min: Some(0.0),
            valid_max: None,
            least_traffic: Some(pb::LeastTraffic { query: "rate(x[5m])".to_owned(), per_second: 2.0 }),
            only: Vec::new(),
            maintenance: vec![night],
            warm_up: Some(duration(DurationMs::DAY)),
            missed_scrapes: Some(false),
        };
        assert_eq!(guards(&set), Some(expected));
    }
}
