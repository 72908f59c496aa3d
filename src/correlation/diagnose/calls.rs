//! Who calls whom: distances against the direction of the calls. Cycles and services without metrics are fine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The services and their calls, by number.
pub(super) struct Calls {
    pub names: Vec<String>,
    callers: Vec<BTreeSet<usize>>,
    callees: Vec<BTreeSet<usize>>,
}

impl Calls {
    /// All services that are named anywhere, in alphabetical order, with the calls between them; a call to itself says nothing.
    pub fn new<'a>(services: impl Iterator<Item = &'a str>, graph: &'a [(String, String)]) -> Self {
        let edges = graph.iter().flat_map(|(a, b)| [a.as_str(), b.as_str()]);
        let names: BTreeSet<&str> = services.chain(edges).collect();
        let number: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, s)| (*s, i)).collect();
        let mut callers = vec![BTreeSet::new(); names.len()];
        let mut callees = vec![BTreeSet::new(); names.len()];
        for (a, b) in graph {
            if let (Some(&a), Some(&b)) = (number.get(a.as_str()), number.get(b.as_str()))
                && a != b
            {
                callees[a].insert(b);
                callers[b].insert(a);
            }
        }
        Self { names: names.into_iter().map(str::to_owned).collect(), callers, callees }
    }

    /// The number of a service.
    pub fn find(&self, service: &str) -> Option<usize> {
        self.names.binary_search_by(|name| name.as_str().cmp(service)).ok()
    }

    /// Whether anybody calls anybody.
    pub fn is_empty(&self) -> bool {
        self.callees.iter().all(BTreeSet::is_empty)
    }

    /// Whether it calls or is called by somebody.
    pub fn knows(&self, service: usize) -> bool {
        !self.callees[service].is_empty() || !self.callers[service].is_empty()
    }

    /// Whom it calls itself.
    pub fn callees(&self, service: usize) -> impl Iterator<Item = usize> {
        self.callees[service].iter().copied()
    }

    /// Everybody who calls it, directly or through others, with the number of calls in between; without itself.
    pub fn above(&self, service: usize) -> BTreeMap<usize, i32> {
        walk(&self.callers, service)
    }

    /// The front door: of the services that nobody calls, that satisfy `fit`, the one that reaches most.
    pub fn front_door(&self, fit: impl Fn(usize) -> bool) -> Option<usize> {
        let open = (0..self.names.len()).filter(|&s| self.callers[s].is_empty() && !self.callees[s].is_empty() && fit(s));
        // Of equals the first in the alphabet, hence `rev`: `max_by_key` takes the last.
        open.rev().max_by_key(|&s| walk(&self.callees, s).len())
    }
}

fn walk(next: &[BTreeSet<usize>], from: usize) -> BTreeMap<usize, i32> {
    let mut seen = BTreeMap::from([(from, 0)]);
    let mut queue = VecDeque::from([(from, 0)]);
    while let Some((at, distance)) = queue.pop_front() {
        for &to in &next[at] {
            seen.entry(to).or_insert_with(|| {
                queue.push_back((to, distance + 1));
                distance + 1
            });
        }
    }
    seen.remove(&from);
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(edges: &[(&str, &str)]) -> Calls {
        let edges: Vec<_> = edges.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Calls::new(["x"].into_iter(), &edges)
    }

    #[test]
    fn distances_go_against_the_calls() {
        let calls = calls(&[("a", "b"), ("b", "c"), ("a", "c")]);
        let c = calls.find("c").unwrap();
        let above: Vec<_> = calls.above(c).into_iter().map(|(s, d)| (calls.names[s].clone(), d)).collect();
        assert_eq!(above, [("a".to_owned(), 1), ("b".to_owned(), 1)]);
        assert_eq!(calls.front_door(|_| true), calls.find("a"));
    }

    #[test]
    fn a_cycle_ends_and_has_no_front_door() {
        let calls = calls(&[("a", "b"), ("b", "a"), ("a", "a")]);
        assert_eq!(calls.above(0).len(), 1);
        assert_eq!(calls.front_door(|_| true), None);
        assert!(!calls.is_empty());
    }
}
