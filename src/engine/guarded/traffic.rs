//! The traffic beside the series of a monitor: what the guard `least_traffic` asks for. What [`Samples`](super::samples::Samples)
//! counts is kept in the same way.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::monitor::Monitor;
use crate::series::{Series, SeriesKey, Window};

/// The traffic of series and of services, as far back as it is needed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    /// By the labels without the metric's name.
    by_key: BTreeMap<SeriesKey, Window>,
    /// What all series of a service have together.
    by_service: BTreeMap<String, Window>,
}

impl Traffic {
    /// Takes in what the guard's query gave over one time, on the grid of what it gave before.
    pub fn push(&mut self, monitor: &Monitor, read: Vec<Series>) {
        let (mut by_key, mut by_service) = (BTreeMap::new(), BTreeMap::new());
        for Series { key, window } in read {
            add(&mut by_service, monitor.service_of(&key), &window);
            add(&mut by_key, bare(&key), &window);
        }
        append(&mut self.by_key, by_key);
        append(&mut self.by_service, by_service);
    }

    /// The traffic of the series `key` of `monitor` at `time`: that of the series with the same labels, or else that
    /// of all of its service. `None` where it is not known.
    pub fn at(&self, monitor: &Monitor, key: &SeriesKey, time: Timestamp) -> Option<f64> {
        let window = self.of(monitor, key)?;
        let place = (time >= window.start()).then(|| time.since(window.start()).steps(window.step()))?;
        window.values().get(place).copied().filter(|value| value.is_finite())
    }

    /// What is known of the very series `key`, its metric's name aside.
    pub fn exactly(&self, key: &SeriesKey) -> Option<&Window> {
        self.by_key.get(&bare(key))
    }

    /// Whether any traffic of the series `key` of `monitor` is known.
    pub fn knows(&self, monitor: &Monitor, key: &SeriesKey) -> bool {
        self.of(monitor, key).is_some_and(|window| window.present() > 0)
    }

    /// Forgets what is before `before`.
    pub fn forget(&mut self, before: Timestamp) {
        let forget = |window: &mut Window| {
            *window = window.slice(before.max(window.start()), window.end());
            !window.is_empty()
        };
        self.by_key.retain(|_, window| forget(window));
        self.by_service.retain(|_, window| forget(window));
    }

    fn of(&self, monitor: &Monitor, key: &SeriesKey) -> Option<&Window> {
        self.by_key.get(&bare(key)).or_else(|| self.by_service.get(&monitor.service_of(key)))
    }
}

/// The labels of a series without its metric's name: a query that computes has none.
fn bare(key: &SeriesKey) -> SeriesKey {
    SeriesKey::new(key.labels().iter().filter(|(name, _)| *name != "__name__").map(|(name, value)| (name.clone(), value.clone())))
}

/// Adds `window` to what `sums` has of `name`; a missing value adds nothing.
fn add<K: Ord>(sums: &mut BTreeMap<K, Window>, name: K, window: &Window) {
    let sum = match sums.get(&name) {
        Some(sum) => {
            let both = sum.values().iter().zip(window.values()).map(|(a, b)| match (a.is_nan(), b.is_nan()) {
                (true, _) => *b,
                (_, true) => *a,
                _ => a + b,
            });
            // As many values as the window that is here.
            Window::new(sum.start(), sum.step(), both.collect()).unwrap_or_else(|_| sum.clone())
        }
        None => window.clone(),
    };
    sums.insert(name, sum);
}

fn append<K: Ord>(known: &mut BTreeMap<K, Window>, new: BTreeMap<K, Window>) {
    for (name, window) in new {
        match known.get_mut(&name) {
            // What is on another grid takes the place of what was there.
            Some(old) => {
                if old.append(&window).is_err() {
                    *old = window;
                }
            }
            None => drop(known.insert(name, window)),
        }
    }
}
