//! First hand-outs, compared with one another.

use sim::history::Event;
use std::collections::BTreeMap;

/// Hand-outs that are kept to compare with, below the latest.
const RECENT: usize = 1 << 16;

/// An item was handed out for the first time.
#[derive(Clone)]
pub(super) struct HandOut {
    /// The item's place.
    pub(super) position: u64,
    /// Since when it waited for nothing but its turn: its own place, or the one at which the last was over that it had to
    /// wait for.
    pub(super) ready: u64,
    pub(super) event: Event,
}

/// First hand-outs by their token, of which those are kept that can still show that another came too early or too late.
///
/// An item is overtaken if another, whose place is behind the moment from which the item was ready, has a lower token. So
/// of the hand-outs below a token only the highest place counts, and of those above it only the earliest readiness: two
/// flights of stairs, on which what is surpassed is left out. Where nothing ever waits for another item both hold
/// everything, in order.
#[derive(Default)]
pub(super) struct Stairs {
    /// Each higher than all with lower tokens.
    highest: BTreeMap<u64, HandOut>,
    /// Each ready earlier than all with higher tokens.
    earliest: BTreeMap<u64, HandOut>,
}

impl Stairs {
    pub(super) fn is_empty(&self) -> bool {
        self.highest.is_empty()
    }

    /// Adds what was handed out with `token`, where it fits; none. Else the two that do not: who came first, and who was
    /// overtaken.
    pub(super) fn add(&mut self, token: u64, new: HandOut) -> Option<[HandOut; 2]> {
        let before = self.highest.range(..token).next_back().map(|(_, other)| other);
        if let Some(other) = before.filter(|other| other.position > new.ready) {
            return Some([other.clone(), new]);
        }
        let after = self.earliest.range(token + 1..).next().map(|(_, other)| other);
        if let Some(other) = after.filter(|other| other.ready < new.position) {
            return Some([new, other.clone()]);
        }
        if before.is_none_or(|other| other.position < new.position) {
            self.climb(token, new.clone());
        }
        if self.earliest.range(token + 1..).next().is_none_or(|(_, other)| other.ready > new.ready) {
            self.descend(token, new);
        }
        None
    }

    fn climb(&mut self, token: u64, new: HandOut) {
        while let Some((surpassed, _)) =
            self.highest.range(token + 1..).next().filter(|(_, other)| other.position <= new.position)
        {
            let surpassed = *surpassed;
            self.highest.remove(&surpassed);
        }
        self.highest.insert(token, new);
        if self.highest.len() > RECENT {
            self.highest.pop_first();
        }
    }

    fn descend(&mut self, token: u64, new: HandOut) {
        while let Some((surpassed, _)) =
            self.earliest.range(..token).next_back().filter(|(_, other)| other.ready >= new.ready)
        {
            let surpassed = *surpassed;
            self.earliest.remove(&surpassed);
        }
        self.earliest.insert(token, new);
        if self.earliest.len() > RECENT {
            self.earliest.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sim::history::{Fact, NodeIndex};

    proptest! {
        #[test]
        fn what_does_not_fit_is_what_overtakes_or_is_overtaken_by_some_earlier_one(
            hand_outs in proptest::collection::vec((0_u64..60, 0_u64..60, 0_u64..20), 0..40),
        ) {
            let mut stairs = Stairs::default();
            let mut kept: Vec<(u64, u64, u64)> = Vec::new();
            for (token, position, waited) in hand_outs {
                if kept.iter().any(|(other, ..)| *other == token) {
                    continue;
                }
                let ready = position + waited;
                let fits = kept.iter().all(|(other_token, other_position, other_ready)| {
                    let overtaken = *other_token < token && *other_position > ready;
                    let overtakes = *other_token > token && *other_ready < position;
                    !overtaken && !overtakes
                });
                let event = Event { at_ns: 0, node: NodeIndex(0), fact: Fact::Healed {} };
                let added = stairs.add(token, HandOut { position, ready, event });
                prop_assert_eq!(added.is_none(), fits, "token {} position {} ready {}", token, position, ready);
                if fits {
                    kept.push((token, position, ready));
                }
            }
        }
    }
}
