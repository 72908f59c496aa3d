//! Which incidents have become one while a tick works on them.

/// Disjoint sets of the incidents of a tick, by number; each set is told by the one of them that stays.
#[derive(Default)]
pub(super) struct Sets {
    parent: Vec<usize>,
    size: Vec<usize>,
    /// For each root: the incident that stays.
    stays: Vec<usize>,
}

impl Sets {
    /// One more incident, by itself; its number is the next.
    pub fn push(&mut self) {
        let next = self.parent.len();
        self.parent.push(next);
        self.size.push(1);
        self.stays.push(next);
    }

    /// The incident that stays of those that `place` has become one with.
    pub fn find(&self, place: usize) -> usize {
        self.stays[self.root(place)]
    }

    /// Makes one of two, told by `stays`.
    pub fn join(&mut self, stays: usize, goes: usize) {
        let (a, b) = (self.root(stays), self.root(goes));
        if a == b {
            return;
        }
        // The smaller hangs below the larger, so that no way up is longer than the logarithm of their number.
        let (below, above) = if self.size[a] < self.size[b] { (a, b) } else { (b, a) };
        self.parent[below] = above;
        self.size[above] += self.size[below];
        self.stays[above] = stays;
    }

    fn root(&self, mut place: usize) -> usize {
        while self.parent[place] != place {
            place = self.parent[place];
        }
        place
    }
}
