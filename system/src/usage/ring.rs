//! Which nodes own a batch.

use super::protocol::Key;

/// The nodes, ranked anew for each batch by hashing (Thaler and Ravishankar 1998, "Using Name-Based Mappings to Increase
/// Hit Rates", section 3): taking a node away moves only what it owned.
pub(super) struct Ring {
    names: Vec<String>,
    copies: usize,
}

impl Ring {
    /// The ring of these nodes, `copies` of which own each batch.
    pub(super) fn new(names: &[String], copies: usize) -> Self {
        Self { names: names.to_vec(), copies }
    }

    /// All nodes, by their place in the deployment: the batch's owners first, then those who stand in for them, in order.
    pub(super) fn ranking(&self, key: Key) -> Vec<usize> {
        let weight = |name: &str| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&key.number.to_le_bytes());
            hasher.update(name.as_bytes());
            *hasher.finalize().as_bytes()
        };
        let mut places: Vec<usize> = (0..self.names.len()).collect();
        places.sort_by_cached_key(|place| weight(&self.names[*place]));
        places
    }

    /// The batch's owners.
    pub(super) fn owners(&self, key: Key) -> Vec<usize> {
        let mut owners = self.ranking(key);
        owners.truncate(self.copies);
        owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(count: usize) -> Vec<String> {
        (1..=count).map(|number| format!("usage-{number}")).collect()
    }

    proptest! {
        #[test]
        fn a_node_that_goes_moves_only_what_it_owned(number: u64, count in 3_usize..9, gone in 0_usize..9) {
            let (all, key) = (names(count), Key { number, attempt: 0 });
            let before: Vec<String> =
                Ring::new(&all, 3).ranking(key).into_iter().map(|place| all[place].clone()).collect();
            let gone = &all[gone % count];
            let rest: Vec<String> = all.iter().filter(|name| *name != gone).cloned().collect();
            let after: Vec<&String> =
                Ring::new(&rest, 3).ranking(key).into_iter().map(|place| &rest[place]).collect();
            prop_assert_eq!(after, before.iter().filter(|name| *name != gone).collect::<Vec<_>>());
        }
    }

    #[test]
    fn all_nodes_own_about_as_much() {
        let ring = Ring::new(&names(5), 3);
        let mut owned = [0_u32; 5];
        for number in 0..1000 {
            for owner in ring.owners(Key { number, attempt: 0 }) {
                owned[owner] += 1;
            }
        }
        // 600 each on the average; five standard deviations are 77.
        assert!(owned.iter().all(|owned| (523..=677).contains(owned)), "{owned:?}");
    }
}
