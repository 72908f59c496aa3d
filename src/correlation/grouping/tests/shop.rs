//! A shop with faults in it: call graphs of four layers, and what detectors would have found while known faults came and
//! went. Random, the same for the same seed. Nothing in it knows how findings are joined.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::clock::Timestamp;
use crate::finding::{Direction, Finding, FindingKind};
use crate::metric::{MetricKind, Unit};
use crate::series::SeriesKey;

/// The sizes of the layers: gateway, front ends, upper and lower services, databases.
const LAYERS: [usize; 5] = [1, 6, 14, 14, 15];
/// How many machines there are.
const MACHINES: usize = 10;
const MINUTE: f64 = 60_000.0;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// A service is slow, then its callers are.
    Latency,
    /// A service fails, then its callers do.
    Errors,
    /// A database is full, and all that call it wait.
    Saturation,
    /// A machine is in trouble, and what runs on it.
    Machine,
    /// One service uses more than it should, and nobody else notices.
    Alone,
    /// A front end is asked more often, and so is what it calls.
    Surge,
}

const FAULTS: [Fault; 6] = [Fault::Latency, Fault::Errors, Fault::Saturation, Fault::Machine, Fault::Alone, Fault::Surge];

/// A finding, when it is known, and which fault it comes from; noise has a number of its own each time.
#[derive(Clone, Debug)]
pub struct Told {
    /// With its end.
    pub finding: Finding,
    /// When the engine opens it.
    pub known: Timestamp,
    /// Which fault it comes from.
    pub truth: usize,
}

/// A call graph, and the machine each service runs on.
pub struct Shop {
    /// The names of the services.
    pub names: Vec<String>,
    /// Caller, callee, and how much of the caller's work needs the callee, 0 to 1.
    pub calls: Vec<(usize, usize, f64)>,
    layer: Vec<usize>,
    machine: Vec<usize>,
    random: Xoshiro256PlusPlus,
}

/// What happened in a shop.
#[derive(Clone, Default)]
pub struct Day {
    /// In no order.
    pub told: Vec<Told>,
    /// Of each fault the kind, the beginning in minutes, the number, and the service in which it began.
    pub faults: Vec<(Fault, f64, usize, String)>,
    truths: usize,
    /// Until when each series is in a finding.
    busy: HashMap<(usize, MetricKind), f64>,
}

/// One service in trouble: which, since when, and how badly, 0 to 1.
type Hit = (usize, f64, f64);

/// What one fault does.
struct Course {
    truth: usize,
    /// In minutes.
    end: f64,
}

/// `minutes` after 2026-01-31T08:00:00Z.
pub fn at(minutes: f64) -> Timestamp {
    Timestamp::from_millis(1_769_846_400_000 + (minutes * MINUTE) as i64)
}

impl Shop {
    /// A shop of 50 services.
    pub fn new(seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let layer: Vec<usize> = LAYERS.iter().enumerate().flat_map(|(l, n)| std::iter::repeat_n(l, *n)).collect();
        let words = ["gateway", "front", "upper", "lower", "db"];
        let names: Vec<String> = layer.iter().enumerate().map(|(i, l)| format!("{}-{i}", words[*l])).collect();
        let machine = layer.iter().map(|_| random.gen_range(0..MACHINES)).collect();
        let of = |l: usize| -> Vec<usize> { (0..layer.len()).filter(|i| layer[*i] == l).collect() };
        let mut calls = BTreeMap::new();
        for (caller, own) in layer.iter().enumerate() {
            let wanted: &[(usize, usize, usize)] = match own {
                0 => &[(1, 6, 6), (2, 0, 2)],
                1 => &[(2, 2, 5)],
                2 => &[(2, 0, 1), (3, 1, 3), (4, 0, 1)],
                3 => &[(3, 0, 1), (4, 1, 2)],
                _ => &[],
            };
            for (to, least, most) in wanted {
                let others = of(*to);
                for _ in 0..random.gen_range(*least..=*most) {
                    // Some are called by many: the square prefers the first of a layer.
                    let skew: f64 = if *to == 1 { random.r#gen() } else { random.r#gen::<f64>().powf(1.5) };
                    let callee = others[(skew * others.len() as f64) as usize % others.len()];
                    if callee != caller {
                        calls.entry((caller, callee)).or_insert(random.gen_range(0.3..1.0));
                    }
                }
            }
        }
        // Nobody is never called.
        for (callee, own) in layer.iter().enumerate().skip(1) {
            if !calls.keys().any(|(_, b)| *b == callee) {
                let above = of(own - 1);
                calls.insert((above[random.gen_range(0..above.len())], callee), random.gen_range(0.3..1.0));
            }
        }
        let calls = calls.into_iter().map(|((a, b), share)| (a, b, share)).collect();
        Self { names, calls, layer, machine, random }
    }

    /// A day of so many faults alone, so many pairs of faults that overlap, and noise of so many findings an hour.
    pub fn day(&mut self, alone: usize, pairs: usize, noise: f64) -> Day {
        let mut day = Day::default();
        let slots = alone + pairs;
        let mut order: Vec<usize> = (0..slots).collect();
        order.shuffle(&mut self.random);
        for (slot, which) in order.into_iter().enumerate() {
            let start = 1440.0 * (slot as f64 + self.random.gen_range(0.0..0.5)) / slots as f64;
            let first = self.fault(&mut day, start, None);
            if which < pairs {
                let later = start + self.random.gen_range(0.0..25.0);
                self.elsewhere(&mut day, later, first);
            }
        }
        for _ in 0..(noise * 24.0) as usize {
            let truth = day.next();
            let (service, start) = (self.random.gen_range(0..self.names.len()), self.random.gen_range(0.0..1440.0));
            let end = start + self.random.gen_range(3.0..30.0);
            let metric = *self.one_of(&[MetricKind::Latency, MetricKind::Errors, MetricKind::Traffic, MetricKind::Cpu, MetricKind::Memory]);
            self.tell(&mut day, &Course { truth, end }, service, start, (metric, Direction::Up));
        }
        day
    }

    /// Lets a fault run its course in another part than the one that began at `first`: below the front ends at most one
    /// service shows both. Gives up after many attempts.
    fn elsewhere(&mut self, day: &mut Day, start: f64, first: usize) {
        let there = |told: &[Told], names: &[String]| -> BTreeSet<String> {
            let below = |service: &&String| names.iter().position(|name| name == *service).is_some_and(|i| i >= LAYERS[0] + LAYERS[1]);
            told.iter().map(|told| &told.finding.service).filter(below).cloned().collect()
        };
        let truth = day.faults.last().map(|fault| fault.2);
        let before: Vec<Told> = day.told.iter().filter(|told| Some(told.truth) == truth).cloned().collect();
        for _ in 0..60 {
            let mut other = Day { told: Vec::new(), ..day.clone() };
            self.fault(&mut other, start, Some(first));
            if there(&other.told, &self.names).intersection(&there(&before, &self.names)).count() <= 1 {
                other.told.splice(0..0, day.told.drain(..));
                *day = other;
                return;
            }
        }
    }

    /// Lets a fault run its course from a minute on, away from another; says where it began.
    fn fault(&mut self, day: &mut Day, start: f64, away_from: Option<usize>) -> usize {
        let fault = *self.one_of(&FAULTS);
        let course = Course { truth: day.next(), end: start + self.random.gen_range(15.0..90.0) };
        let mut attempts = 0;
        let root = loop {
            let root = self.random.gen_range(1..self.names.len());
            attempts += 1;
            let fits = match fault {
                Fault::Saturation => self.layer[root] == 4,
                Fault::Surge => self.layer[root] == 1,
                _ => true,
            };
            // Where every place is near, any will do.
            if fits && (attempts > 200 || away_from.is_none_or(|other| !self.are_near(root, other))) {
                break root;
            }
        };
        day.faults.push((fault, start, course.truth, self.names[root].clone()));
        match fault {
            Fault::Alone => self.alone(day, &course, root, start),
            Fault::Surge => self.surge(day, &course, root, start),
            Fault::Machine => self.machine(day, &course, root, start),
            Fault::Latency | Fault::Errors | Fault::Saturation => {
                self.origin(day, &course, fault, root, start);
                self.climb(day, &course, fault, vec![(root, start, 1.0)]);
            }
        }
        root
    }

    fn alone(&mut self, day: &mut Day, course: &Course, root: usize, start: f64) {
        for metric in [MetricKind::Memory, MetricKind::Cpu, MetricKind::Saturation] {
            let later = start + self.random.gen_range(0.0..6.0);
            self.maybe(day, course, 0.7, root, later, (metric, Direction::Up));
        }
    }

    fn machine(&mut self, day: &mut Day, course: &Course, root: usize, start: f64) {
        let there: Vec<usize> = (0..self.names.len()).filter(|s| self.machine[*s] == self.machine[root]).collect();
        let mut hits = Vec::new();
        for service in there {
            let start = start + self.random.gen_range(0.0..1.0);
            self.maybe(day, course, 0.9, service, start, (MetricKind::Cpu, Direction::Up));
            self.maybe(day, course, 0.4, service, start, (MetricKind::Availability, Direction::Down));
            self.maybe(day, course, 0.6, service, start + 0.5, (MetricKind::Latency, Direction::Up));
            hits.push((service, start, 0.5));
        }
        self.climb(day, course, Fault::Latency, hits);
    }

    /// What the service shows in which a fault began.
    fn origin(&mut self, day: &mut Day, course: &Course, fault: Fault, root: usize, start: f64) {
        let shows: &[(MetricKind, f64, f64)] = match fault {
            Fault::Errors => &[(MetricKind::Errors, 0.95, 0.0), (MetricKind::Latency, 0.3, 1.0), (MetricKind::Cpu, 0.2, 2.0)],
            Fault::Saturation => &[(MetricKind::Saturation, 0.9, 0.0), (MetricKind::Latency, 0.7, 1.0), (MetricKind::Queue, 0.5, 2.0)],
            _ => &[(MetricKind::Latency, 0.95, 0.0), (MetricKind::Cpu, 0.5, 0.5), (MetricKind::Errors, 0.4, 2.0)],
        };
        for (metric, chance, later) in shows {
            let later = start + later * self.random.gen_range(0.5..2.0);
            self.maybe(day, course, *chance, root, later, (*metric, Direction::Up));
        }
        // What it calls is asked more often by retries, or less often, and may show a little of it.
        for callee in self.calls.iter().filter(|c| c.0 == root).map(|c| c.1).collect::<Vec<_>>() {
            let later = start + self.random.gen_range(1.0..5.0);
            let what = if self.random.gen_bool(0.5) { (MetricKind::Traffic, Direction::Down) } else { (MetricKind::Cpu, Direction::Up) };
            self.maybe(day, course, 0.15, callee, later, what);
        }
    }

    /// Lets trouble walk from the called to the callers, each minutes after the other and weaker.
    fn climb(&mut self, day: &mut Day, course: &Course, fault: Fault, mut hits: Vec<Hit>) {
        let mut reached: BTreeMap<usize, f64> = hits.iter().map(|(service, start, _)| (*service, *start)).collect();
        let slowest = if fault == Fault::Errors { 1.5 } else { 3.5 };
        while let Some((callee, since, strength)) = hits.pop() {
            for (caller, _, share) in self.calls.iter().filter(|c| c.1 == callee).copied().collect::<Vec<_>>() {
                let left = strength * (0.45 + 0.55 * share);
                let since = since + self.random.gen_range(0.2..slowest);
                if left < 0.25 || reached.contains_key(&caller) || !self.random.gen_bool(0.9) || since > course.end - 5.0 {
                    continue;
                }
                reached.insert(caller, since);
                hits.push((caller, since, left));
                let first = if fault == Fault::Errors { MetricKind::Errors } else { MetricKind::Latency };
                let second = if fault == Fault::Errors { MetricKind::Latency } else { MetricKind::Errors };
                // One in six to one in two of those in the way shows nothing.
                self.maybe(day, course, 0.4 + 0.5 * left, caller, since, (first, Direction::Up));
                self.maybe(day, course, 0.5 * left, caller, since + 1.0, (second, Direction::Up));
                self.maybe(day, course, 0.2 * left, caller, since + 2.0, (MetricKind::Traffic, Direction::Down));
            }
        }
    }

    /// Lets more requests walk from a front end to what it calls.
    fn surge(&mut self, day: &mut Day, course: &Course, root: usize, start: f64) {
        let (mut hits, mut reached) = (vec![(root, start, 1.0)], vec![root]);
        while let Some((service, since, strength)) = hits.pop() {
            self.maybe(day, course, 0.5 + 0.4 * strength, service, since, (MetricKind::Traffic, Direction::Up));
            self.maybe(day, course, 0.6 * strength, service, since + 0.5, (MetricKind::Cpu, Direction::Up));
            self.maybe(day, course, 0.3 * strength, service, since + 1.5, (MetricKind::Latency, Direction::Up));
            for (_, callee, share) in self.calls.iter().filter(|c| c.0 == service).copied().collect::<Vec<_>>() {
                let left = strength * (0.3 + 0.6 * share);
                if left > 0.3 && !reached.contains(&callee) {
                    reached.push(callee);
                    hits.push((callee, since + self.random.gen_range(0.0..1.0), left));
                }
            }
        }
    }

    fn maybe(&mut self, day: &mut Day, course: &Course, chance: f64, service: usize, since: f64, what: (MetricKind, Direction)) {
        if self.random.gen_bool(chance) {
            self.tell(day, course, service, since, what);
        }
    }

    /// A finding about a series, unless it is in one already: its onset is known to a minute or so, and it is known minutes
    /// later.
    fn tell(&mut self, day: &mut Day, course: &Course, service: usize, since: f64, (metric, direction): (MetricKind, Direction)) {
        let blur: f64 = (0..4).map(|_| self.random.gen_range(-0.5..0.5)).sum::<f64>() * 1.2;
        let onset = since + blur;
        let known = (onset.max(since) + self.random.gen_range(1.0..5.0)).ceil();
        let ended = (course.end + self.random.gen_range(0.0..5.0)).max(known);
        if day.busy.get(&(service, metric)).is_some_and(|until| *until >= onset) {
            return;
        }
        day.busy.insert((service, metric), ended);
        let of_a_pod = matches!(metric, MetricKind::Cpu | MetricKind::Memory | MetricKind::Availability);
        let machine = of_a_pod.then(|| ("node".to_owned(), format!("n-{}", self.machine[service])));
        let key = SeriesKey::new([("service".to_owned(), self.names[service].clone())].into_iter().chain(machine));
        let (monitor, onset) = (metric.to_string(), at(onset));
        let finding = Finding {
            id: Finding::identity(&monitor, &key, onset),
            monitor,
            service: self.names[service].clone(),
            key,
            metric,
            unit: Unit::None,
            kind: FindingKind::Deviation,
            direction,
            onset,
            opened: onset,
            last_seen: at(ended),
            ended: Some(at(ended)),
            value: 2.0,
            expected: 1.0,
            lower: 0.5,
            upper: 1.5,
            score: self.random.gen_range(1.1..6.0),
            p_value: 1e-4,
            evidence: Vec::new(),
            model: "m".to_owned(),
            reach: None,
            course: None,
        };
        day.told.push(Told { finding, known: at(known), truth: course.truth });
    }

    /// Whether two services are at most two calls apart or have one caller other than the gateway.
    fn are_near(&self, a: usize, b: usize) -> bool {
        let next = |s: usize| self.calls.iter().filter_map(move |c| if c.0 == s { Some(c.1) } else { (c.1 == s).then_some(c.0) });
        a == b || next(a).any(|m| m == b || (m != 0 && next(m).any(|c| c == b)))
    }

    fn one_of<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.random.gen_range(0..of.len())]
    }
}

impl Day {
    fn next(&mut self) -> usize {
        self.truths += 1;
        self.truths - 1
    }
}
