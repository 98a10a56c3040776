//! A set of request identities in little memory: runs of neighbours are one entry.

use sim::history::Id;
use std::collections::BTreeMap;

/// Identities, as disjoint runs that do not touch: first to last. Clients number their operations one by one, so a
/// client whose requests are all in takes one entry.
#[derive(Debug, Default)]
pub(crate) struct IdSet(BTreeMap<u64, u64>);

impl IdSet {
    pub(crate) fn contains(&self, id: Id) -> bool {
        self.0.range(..=id.0).next_back().is_some_and(|(_, last)| id.0 <= *last)
    }

    /// Adds `id`; false where it was there.
    pub(crate) fn insert(&mut self, id: Id) -> bool {
        let next = id.0.checked_add(1);
        if let Some((&first, last)) = self.0.range_mut(..=id.0).next_back() {
            if id.0 <= *last {
                return false;
            }
            if *last + 1 == id.0 {
                *last = id.0;
                // Where another run begins right behind, the two are one.
                if let Some(last) = next.and_then(|next| self.0.remove(&next)) {
                    self.0.insert(first, last);
                }
                return true;
            }
        }
        let last = next.and_then(|next| self.0.remove(&next)).unwrap_or(id.0);
        self.0.insert(id.0, last);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set_whose_neighbours_are_one_entry(numbers in proptest::collection::vec(0_u64..40, 0..60)) {
            let mut runs = IdSet::default();
            let mut model = BTreeSet::new();
            for number in numbers {
                prop_assert_eq!(runs.insert(Id(number)), model.insert(number));
                prop_assert!((0..45).all(|other| runs.contains(Id(other)) == model.contains(&other)));
            }
            let starts = model.iter().filter(|number| **number == 0 || !model.contains(&(*number - 1))).count();
            prop_assert_eq!(runs.0.len(), starts);
        }

        #[test]
        fn the_greatest_identity_is_one_too(first: u64) {
            let mut runs = IdSet::default();
            prop_assert!(runs.insert(Id(u64::MAX)));
            prop_assert_eq!(runs.insert(Id(first)), first != u64::MAX);
            prop_assert!(runs.contains(Id(first)) && runs.contains(Id(u64::MAX)));
        }
    }
}
