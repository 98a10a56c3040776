//! Groups: of each, one job at a time is handed out, and the next not before that one is over.

use std::collections::{BTreeMap, BTreeSet};

/// The places of the jobs that are not over, by group. Made anew from the jobs, so that no snapshot can forget it.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups(BTreeMap<u32, BTreeSet<u64>>);

impl Groups {
    /// A job that is not over belongs to `group`.
    pub(super) fn join(&mut self, group: u32, position: u64) {
        self.0.entry(group).or_default().insert(position);
    }

    /// A job of `group` is over. The job that is first now, where this one was.
    pub(super) fn leave(&mut self, group: u32, position: u64) -> Option<u64> {
        let open = self.0.get_mut(&group)?;
        let was_first = open.first() == Some(&position);
        open.remove(&position);
        let next = open.first().copied();
        if next.is_none() {
            self.0.remove(&group);
        }
        next.filter(|_| was_first)
    }

    /// Whether no earlier job of `group` is open.
    pub(super) fn is_first(&self, group: u32, position: u64) -> bool {
        self.0.get(&group).and_then(BTreeSet::first) == Some(&position)
    }
}
