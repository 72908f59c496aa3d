//! Who calls whom, and how near to each other two services are.
//!
//! A call is an edge from the caller to the callee. It was configured, measured, or learned from the data alone; of the
//! same call named twice the surer source stays. How much a call says about two services being in the same trouble is
//! its weight: 1 between services of up to eight neighbours, and less the busier the busier of the two is, because what
//! everybody calls, or what calls everybody, has many reasons to be in trouble.

pub mod learned;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::error::Violation;
use crate::words::words;

/// The most calls that are taken in, and the most services between which they may be.
pub const MOST_CALLS: usize = 200_000;
/// The most services.
pub const MOST_SERVICES: usize = 20_000;
/// The most bytes of a service's name.
pub const LONGEST_NAME: usize = 256;
/// Services further apart than this have no distance.
pub const FARTHEST: usize = 8;
/// The most services of a [`Part`].
pub const MOST_IN_PART: usize = 100;
/// How many wrong names are told of.
const MOST_VIOLATIONS: usize = 20;
/// A service with more neighbours is a hub.
const BUSY: f64 = 8.0;
/// What a learned call weighs against one that is known.
const LEARNED: f64 = 0.5;

words! {
    /// How a call is known, the surest first.
    CallSource {
        /// Somebody wrote it down.
        Configured = "configured",
        /// It was measured: service-graph metrics of traces, or of a mesh.
        Measured = "measured",
        /// One was seen to follow the other in time; nobody said that it calls it.
        Learned = "learned",
    }
}

words! {
    /// Which way along calls.
    Along {
        /// From callers to callees.
        Calls = "calls",
        /// From callees to callers.
        Callers = "callers",
        /// Both ways.
        Either = "either",
    }
}

/// One service calls another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// How we know.
    pub source: CallSource,
}

/// The number of a service in a [`Topology`].
pub(super) type Node = usize;

/// The services and their calls. The order in which calls are given changes nothing; empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// In alphabetical order.
    names: Vec<String>,
    numbers: HashMap<String, Node>,
    callees: Vec<Vec<(Node, CallSource)>>,
    callers: Vec<Vec<(Node, CallSource)>>,
}

/// The part of a topology that some services are in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The services that were asked for, known or not, in alphabetical order.
    pub services: Vec<String>,
    /// Who calls them or is called by them, those with the most such calls first.
    pub neighbours: Vec<String>,
    /// The calls among the services, and between them and the neighbours, in order.
    pub calls: Vec<Call>,
    /// How many services and neighbours there are beyond [`MOST_IN_PART`].
    pub left_out: usize,
}

/// A service one call away, seen from another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbour {
    pub node: Node,
    /// Whether it is called; else it calls.
    pub is_callee: bool,
    pub weight: f64,
}

impl Topology {
    /// The topology of these calls. A call of a service to itself says nothing and is left out.
    ///
    /// # Errors
    /// A name is empty or longer than [`LONGEST_NAME`], or there are more than [`MOST_CALLS`] calls or [`MOST_SERVICES`]
    /// services; each with its place, such as `calls[3].caller`.
    pub fn new(calls: impl IntoIterator<Item = Call>) -> Result<Self, Vec<Violation>> {
        let (mut known, mut violations) = (BTreeMap::new(), Vec::new());
        for (i, Call { caller, callee, source }) in calls.into_iter().enumerate() {
            if i == MOST_CALLS {
                violations.push(Violation { field: "calls".to_owned(), description: format!("more than {MOST_CALLS}; name fewer") });
                break;
            }
            let wrong = [("caller", &caller), ("callee", &callee)].into_iter().filter_map(|(end, name)| check(i, end, name));
            violations.extend(wrong);
            if violations.len() >= MOST_VIOLATIONS {
                break;
            }
            if caller != callee {
                known.entry((caller, callee)).and_modify(|known: &mut CallSource| *known = source.min(*known)).or_insert(source);
            }
        }
        let names: BTreeSet<&String> = known.keys().flat_map(|(caller, callee)| [caller, callee]).collect();
        if names.len() > MOST_SERVICES {
            let description = format!("between {} services; at most {MOST_SERVICES} are taken", names.len());
            violations.push(Violation { field: "calls".to_owned(), description });
        }
        if !violations.is_empty() {
            return Err(violations);
        }
        let names: Vec<String> = names.into_iter().cloned().collect();
        let numbers = names.iter().enumerate().map(|(node, name)| (name.clone(), node)).collect();
        let mut topology = Self { callees: vec![Vec::new(); names.len()], callers: vec![Vec::new(); names.len()], names, numbers };
        for ((caller, callee), source) in &known {
            if let (Some(a), Some(b)) = (topology.find(caller), topology.find(callee)) {
                topology.callees[a].push((b, *source));
                topology.callers[b].push((a, *source));
            }
        }
        Ok(topology)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All services, in alphabetical order.
    pub fn services(&self) -> &[String] {
        &self.names
    }

    /// Whether it knows whom a service calls or who calls it.
    pub fn knows(&self, service: &str) -> bool {
        self.find(service).is_some()
    }

    /// All calls, in order.
    pub fn calls(&self) -> impl Iterator<Item = Call> + '_ {
        let of = move |caller: Node| self.callees[caller].iter().map(move |&(callee, source)| self.call(caller, callee, source));
        (0..self.names.len()).flat_map(of)
    }

    /// Whom a service calls, in alphabetical order.
    pub fn callees(&self, service: &str) -> impl Iterator<Item = &str> {
        let callees = self.find(service).map_or(&[] as &[(Node, CallSource)], |node| &self.callees[node]);
        callees.iter().map(|(callee, _)| self.names[*callee].as_str())
    }

    /// Who calls a service, in alphabetical order.
    pub fn callers(&self, service: &str) -> impl Iterator<Item = &str> {
        let callers = self.find(service).map_or(&[] as &[(Node, CallSource)], |node| &self.callers[node]);
        callers.iter().map(|(caller, _)| self.names[*caller].as_str())
    }

    /// The least number of calls from one service to another, at most [`FARTHEST`]; 0 to itself. `None` when it is further,
    /// or a service is not known.
    pub fn distance(&self, from: &str, to: &str, along: Along) -> Option<usize> {
        let (from, to) = (self.find(from)?, self.find(to)?);
        let mut seen = vec![false; self.names.len()];
        let mut queue = VecDeque::from([(from, 0)]);
        seen[from] = true;
        while let Some((at, distance)) = queue.pop_front() {
            if at == to {
                return Some(distance);
            }
            let callees = self.callees[at].iter().filter(|_| along != Along::Callers);
            let callers = self.callers[at].iter().filter(|_| along != Along::Calls);
            for &(next, _) in callees.chain(callers).filter(|_| distance < FARTHEST) {
                if !seen[next] {
                    seen[next] = true;
                    queue.push_back((next, distance + 1));
                }
            }
        }
        None
    }

    /// The part of it that some services are in: they, the calls among them, and whoever is one call away, at most
    /// [`MOST_IN_PART`] in all.
    pub fn part<'a>(&self, services: impl IntoIterator<Item = &'a str>) -> Part {
        let mut asked: BTreeSet<&str> = services.into_iter().collect();
        let asked_for = asked.len();
        while asked.len() > MOST_IN_PART {
            asked.pop_last();
        }
        let within: BTreeSet<Node> = asked.iter().filter_map(|name| self.find(name)).collect();
        let mut near: BTreeMap<Node, usize> = BTreeMap::new();
        for (next, _) in within.iter().flat_map(|node| self.callees[*node].iter().chain(&self.callers[*node])) {
            if !within.contains(next) {
                *near.entry(*next).or_default() += 1;
            }
        }
        let mut ordered: Vec<(Node, usize)> = near.into_iter().collect();
        ordered.sort_by_key(|(node, calls)| (std::cmp::Reverse(*calls), *node));
        let left_out = asked_for - asked.len() + ordered.len().saturating_sub(MOST_IN_PART - asked.len());
        ordered.truncate(MOST_IN_PART - asked.len());
        let shown: BTreeSet<Node> = within.iter().copied().chain(ordered.iter().map(|(node, _)| *node)).collect();
        let between = |a: Node, b: Node| within.contains(&a) || within.contains(&b);
        let calls = shown.iter().flat_map(|a| {
            let kept = self.callees[*a].iter().filter(|(b, _)| shown.contains(b) && between(*a, *b));
            kept.map(|(b, source)| self.call(*a, *b, *source))
        });
        Part {
            calls: calls.collect(),
            services: asked.into_iter().map(str::to_owned).collect(),
            neighbours: ordered.iter().map(|(node, _)| self.names[*node].clone()).collect(),
            left_out,
        }
    }

    /// The number of a service.
    pub(super) fn find(&self, service: &str) -> Option<Node> {
        self.numbers.get(service).copied()
    }

    /// Everybody one call away; twice who calls and is called.
    pub(super) fn neighbours(&self, node: Node) -> impl Iterator<Item = Neighbour> + '_ {
        self.callees_of(node).chain(self.callers_of(node))
    }

    /// Whom a service calls.
    pub(super) fn callees_of(&self, node: Node) -> impl Iterator<Item = Neighbour> + '_ {
        let next = move |&(other, source): &(Node, CallSource)| Neighbour {
            node: other,
            is_callee: true,
            weight: self.weight(node, other, source),
        };
        self.callees[node].iter().map(next)
    }

    /// Who calls a service.
    pub(super) fn callers_of(&self, node: Node) -> impl Iterator<Item = Neighbour> + '_ {
        let next = move |&(other, source): &(Node, CallSource)| Neighbour {
            node: other,
            is_callee: false,
            weight: self.weight(node, other, source),
        };
        self.callers[node].iter().map(next)
    }

    /// How many calls a service takes part in.
    pub(super) fn degree(&self, node: Node) -> usize {
        self.callees[node].len() + self.callers[node].len()
    }

    /// How much a call says about both ends being in the same trouble: above 0 and at most 1.
    fn weight(&self, a: Node, b: Node, source: CallSource) -> f64 {
        let busier = self.degree(a).max(self.degree(b)).max(1) as f64;
        let sure = if source == CallSource::Learned { LEARNED } else { 1.0 };
        sure * (BUSY / busier).sqrt().min(1.0)
    }

    fn call(&self, caller: Node, callee: Node, source: CallSource) -> Call {
        Call { caller: self.names[caller].clone(), callee: self.names[callee].clone(), source }
    }
}

/// What is wrong with the name of one end of a call.
fn check(i: usize, end: &str, name: &str) -> Option<Violation> {
    let description = if name.trim().is_empty() {
        "empty; name a service".to_owned()
    } else if name.len() > LONGEST_NAME {
        format!("{} bytes long; at most {LONGEST_NAME} are taken", name.len())
    } else {
        return None;
    };
    Some(Violation { field: format!("calls[{i}].{end}"), description })
}

#[cfg(test)]
mod tests;
