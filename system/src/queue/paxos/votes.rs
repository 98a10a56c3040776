//! Who has agreed.

use super::Replica;
use serde::{Deserialize, Serialize};

/// A set of replicas, of at most 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Votes(u64);

impl Votes {
    pub(super) fn add(&mut self, replica: Replica) {
        self.0 |= 1 << replica;
    }

    pub(super) fn remove(&mut self, replica: Replica) {
        self.0 &= !(1 << replica);
    }

    pub(super) fn has(self, replica: Replica) -> bool {
        self.0 & 1 << replica != 0
    }

    pub(super) fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// How many of them are among `others`.
    pub(super) fn among(self, others: Self) -> u32 {
        (self.0 & others.0).count_ones()
    }
}
