//! The samples behind the rates of a monitor: what the guard `missed_scrapes` asks for.

use super::companion::Companion;
use super::traffic::Traffic;
use crate::clock::{DurationMs, Timestamp};
use crate::error::{Error, Result};
use crate::guard::Suppressed;
use crate::monitor::Monitor;
use crate::series::{SeriesKey, Window};
use crate::source::prometheus::Prometheus;

/// How many samples the ranges of a monitor's query have, as far back as it is needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    companion: Companion,
    counts: Traffic,
    /// The next step to read.
    next: Option<Timestamp>,
}

/// How many samples the ranges of one series have.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    window: &'a Window,
    reach: DurationMs,
    /// The most samples there are at any time: what is near it need not be held against those before.
    most: f64,
}

impl Samples {
    /// None are read yet. `None` where `monitor` does not want to know, or asks for nothing that missed scrapes make smaller.
    pub fn of(monitor: &Monitor) -> Option<Self> {
        let companion = monitor.guards.missed_scrapes.then(|| Companion::of(&monitor.query)).flatten()?;
        Some(Self { companion, counts: Traffic::default(), next: None })
    }

    /// Reads what is not known yet of what values of `monitor` from `from` to `end` need. Gives what Prometheus warned of.
    ///
    /// # Errors
    /// As [`Prometheus::range`]; it is read the next time.
    pub async fn read(&mut self, prometheus: &Prometheus, monitor: &Monitor, from: Timestamp, end: Timestamp) -> Result<Vec<String>> {
        let before = from - monitor.step * self.reach().steps(monitor.step) as i64;
        let from = self.next.map_or(before, |next| next.max(before));
        if from > end {
            return Ok(Vec::new());
        }
        let reading = prometheus.range(&self.companion.query, from, end, monitor.step).await?;
        self.counts.forget(before);
        self.counts.push(monitor, reading.series);
        self.next = Some(end + monitor.step);
        Ok(reading.warnings.into_iter().map(|warning| format!("missed_scrapes: {warning}")).collect())
    }

    /// What is told where they cannot be read.
    pub fn unread(error: &Error) -> String {
        format!("missed_scrapes: the samples cannot be counted and no scrape is taken for missed: {}", error.chain())
    }

    /// Forgets what no later value needs.
    pub fn forget(&mut self) {
        if let Some(next) = self.next {
            self.counts.forget(next - self.reach());
        }
    }

    /// Those of the series `key`; `None` where they are not known.
    pub fn counted(&self, key: &SeriesKey) -> Option<Counted<'_>> {
        let window = self.counts.exactly(key)?;
        Some(Counted { window, reach: self.reach(), most: greatest(window.values()) })
    }

    /// How far back is looked for what is usual: two ranges, for one of them may be empty where scrapes were missed for minutes.
    fn reach(&self) -> DurationMs {
        self.companion.range * 2
    }
}

impl Counted<'_> {
    /// Why a value at `time` is made of too few samples: less than 80 % of the most there were within two ranges. `None`
    /// where it is not, or where that is not known.
    pub fn missed(&self, time: Timestamp) -> Option<Suppressed> {
        let Self { window, reach, most } = self;
        let place = (time >= window.start()).then(|| time.since(window.start()).steps(window.step()))?;
        let samples = *window.values().get(place)?;
        // Whole numbers, so that four of five are just enough.
        let few = |of: f64| samples * 5.0 < of * 4.0;
        if !few(*most) {
            return None;
        }
        let usual = greatest(&window.values()[place.saturating_sub(reach.steps(window.step()))..place]);
        few(usual).then_some(Suppressed::MissedScrapes { samples, usual })
    }

    /// Since when values count as those that are usual at `time`.
    pub fn since(&self, time: Timestamp) -> Timestamp {
        time - self.reach
    }
}

/// The greatest of `counts`; none where there is none.
fn greatest(counts: &[f64]) -> f64 {
    counts.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::guarded::Guarded;
    use crate::guard::{Guard, Guards};
    use crate::series::Series;

    const MINUTE: DurationMs = DurationMs::from_secs(60);
    const NAN: f64 = f64::NAN;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(1_767_571_200_000) + MINUTE * minute
    }

    fn window(minute: i64, values: &[f64]) -> Window {
        Window::new(at(minute), MINUTE, values.to_vec()).unwrap()
    }

    fn monitor() -> Monitor {
        Monitor { query: "sum by (service) (rate(x_total[5m]))".to_owned(), ..Monitor::ad_hoc(MINUTE, None) }
    }

    fn key() -> SeriesKey {
        SeriesKey::new([("service".to_owned(), "cart".to_owned())])
    }

    /// Samples with these counts from minute 0 on.
    fn samples(counts: &[f64]) -> Samples {
        let mut samples = Samples::of(&monitor()).unwrap();
        samples.counts.push(&monitor(), vec![Series { key: key(), window: window(0, counts) }]);
        samples
    }

    /// Which of `values` from minute 0 on are left.
    fn left(samples: &Samples, values: &[f64]) -> Vec<f64> {
        let (left, refused) = Guarded::default().measure(&Guards::default(), samples.counted(&key()), window(0, values));
        let held = values.iter().zip(left.values()).filter(|(before, after)| before.is_finite() && after.is_nan()).count();
        assert_eq!(refused.get(&Guard::MissedScrapes).copied().unwrap_or_default(), held);
        left.values().to_vec()
    }

    /// What Prometheus makes of a counter that grows by one a second, scraped once a minute, half a minute before each minute:
    /// the count of the range of five minutes before each minute, and the rate, where the scrapes of `gap` were missed.
    fn scraped(minutes: i64, gap: std::ops::Range<i64>) -> (Vec<f64>, Vec<f64>) {
        let at = |minute: i64| {
            let there: Vec<f64> = (minute - 4..=minute).filter(|m| !gap.contains(m)).map(|m| m as f64 * 60.0 - 30.0).collect();
            let (first, last) = (there.first().copied()?, there.last().copied()?);
            let intervals = there.len() as f64 - 1.0;
            let between = (last - first) / intervals;
            let reach = |distance: f64| if distance < between * 1.1 { distance } else { between / 2.0 };
            let to = minute as f64 * 60.0;
            let sampled = last - first + reach(first - (to - 300.0)) + reach(to - last);
            Some((there.len() as f64, if intervals > 0.0 { sampled / 300.0 } else { NAN }))
        };
        (0..minutes).map(|minute| at(minute).unwrap_or((NAN, NAN))).unzip()
    }

    #[test]
    fn a_gap_of_some_minutes_leaves_no_dip() {
        for lasts in 1..=8 {
            let (counts, rates) = scraped(60, 30..30 + lasts);
            let dips = |rates: &[f64]| rates.iter().filter(|rate| **rate < 0.75).count();
            assert_eq!(dips(&rates) > 0, lasts > 1, "a gap of {lasts} minutes: {rates:?}");
            let measured = left(&samples(&counts), &rates);
            assert_eq!(dips(&measured), 0, "a gap of {lasts} minutes: {measured:?}");
            let present = |of: &[f64]| of.iter().filter(|value| value.is_finite()).count();
            assert!(present(&measured) >= 60 - 5 - lasts as usize, "a gap of {lasts} minutes takes no more: {measured:?}");
        }
    }

    #[test]
    fn fewer_replicas_are_usual_after_less_than_three_ranges() {
        // From four replicas to one, whose range has five samples.
        let counts: Vec<f64> = (0..60).map(|minute| 20.0 - 3.0 * f64::from((minute - 20).clamp(0, 5))).collect();
        let measured = left(&samples(&counts), &[1.0; 60]);
        let missing: Vec<usize> = (0..60).filter(|minute| measured[*minute].is_nan()).collect();
        assert_eq!(missing, (22..=34).collect::<Vec<_>>());
        // One of five is no matter.
        assert_eq!(left(&samples(&[5.0, 5.0, 4.0, 5.0, 8.0, 7.0]), &[1.0; 6]), [1.0; 6]);
    }

    #[test]
    fn a_rise_comes_of_no_missed_scrape() {
        let counts = [10.0, 10.0, 10.0, 6.0, 5.0, 5.0];
        let measured = left(&samples(&counts), &[1.0, 2.0, 1.0, 2.5, 2.0, 9.0]);
        assert_eq!(window(0, &measured), window(0, &[1.0, 2.0, 1.0, 2.5, NAN, 9.0]));
        // Also where what was before came with another reading; and where nothing is known of it, it is not believed.
        let samples = samples(&counts);
        let mut guarded = Guarded::default();
        guarded.measure(&Guards::default(), samples.counted(&key()), window(0, &[1.0, 2.0, 1.0]));
        let (later, _) = guarded.measure(&Guards::default(), samples.counted(&key()), window(3, &[2.5, 2.0]));
        assert_eq!(later, window(3, &[2.5, NAN]));
        let (later, _) = Guarded::default().measure(&Guards::default(), samples.counted(&key()), window(3, &[2.5, 2.0]));
        assert_eq!(later, window(3, &[NAN, NAN]));
    }

    #[test]
    fn it_says_how_many_there_are_and_nothing_where_that_is_not_known() {
        let counted = samples(&[5.0, 5.0, 3.0, NAN]);
        let of = |minute| counted.counted(&key()).unwrap().missed(at(minute)).map(|why| why.to_string());
        assert_eq!(of(2).unwrap(), "scrapes of its range were missed, which has 3 of 5 samples, so it is no measurement");
        assert_eq!([-1, 0, 1, 3, 4].map(of), [const { None }; 5]);
        let other = SeriesKey::new([("service".to_owned(), "cart".to_owned()), ("pod".to_owned(), "1".to_owned())]);
        assert!(counted.counted(&other).is_none(), "that of its service is another count");
        // The metric's name is lost by counting.
        let named = SeriesKey::new([("service".to_owned(), "cart".to_owned()), ("__name__".to_owned(), "x".to_owned())]);
        assert!(counted.counted(&named).is_some());
    }

    #[test]
    fn nothing_is_counted_where_nobody_wants_it_or_nothing_is_lost() {
        let off = Guards { missed_scrapes: false, ..Guards::default() };
        assert_eq!(Samples::of(&Monitor { guards: off, ..monitor() }), None);
        assert_eq!(Samples::of(&Monitor { query: "x".to_owned(), ..monitor() }), None);
    }
}
