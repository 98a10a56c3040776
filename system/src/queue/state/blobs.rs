//! Which blobs are needed, and which that are claimed to be stored may be gone by now.
//!
//! A blob is stored before the command that refers to it is proposed. In between, the last other job that needs the same
//! bytes may end, and replicas throw them away. So each replica says, when it has stored a blob, how far it had applied the
//! order ([`AsOf`]); a replica throws away only what it stored before the drop; and a command whose blob was dropped since is
//! refused. Blobs that no command ever refers to are thrown away [`BLOB_WINDOW_NS`] of the state's time later; a command that
//! comes so late is refused too.

use super::Effect;
use serde::{Deserialize, Serialize};
use sim::history::Digest;
use std::collections::{BTreeMap, VecDeque};

/// How long a stored blob waits for a command that refers to it, in the state's time.
pub const BLOB_WINDOW_NS: u64 = 60_000_000_000;

/// How far a replica had applied the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AsOf {
    /// The last position.
    pub position: u64,
    /// The state's time.
    pub clock_ns: u64,
}

/// A blob that is stored on a majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// Its content.
    pub digest: Digest,
    /// Before the first of the majority said that it has it.
    pub as_of: AsOf,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Blobs {
    needed: BTreeMap<Digest, u32>,
    /// The latest drop of each blob, for as long as it matters.
    drops: BTreeMap<Digest, AsOf>,
    drop_order: VecDeque<(u64, Digest)>,
}

impl Blobs {
    /// Whether the blob is still where it was stored.
    pub(super) fn is_kept(&self, blob: &BlobRef, clock_ns: u64) -> bool {
        let dropped = self.drops.get(&blob.digest).is_some_and(|drop| drop.position > blob.as_of.position);
        let late = clock_ns.saturating_sub(blob.as_of.clock_ns) >= BLOB_WINDOW_NS;
        self.is_needed(blob.digest) || !dropped && !late
    }

    pub(super) fn is_needed(&self, digest: Digest) -> bool {
        self.needed.contains_key(&digest)
    }

    pub(super) fn needed(&self) -> impl Iterator<Item = Digest> + '_ {
        self.needed.keys().copied()
    }

    pub(super) fn hold(&mut self, digest: Digest, effects: &mut Vec<Effect>) {
        let count = self.needed.entry(digest).or_default();
        *count += 1;
        if *count == 1 {
            effects.push(Effect::Hold(digest));
        }
    }

    pub(super) fn drop(&mut self, digest: Digest, now: AsOf, effects: &mut Vec<Effect>) {
        let count = self.needed.get_mut(&digest).expect("what is dropped was held");
        *count -= 1;
        if *count == 0 {
            self.needed.remove(&digest);
            self.drops.insert(digest, now);
            self.drop_order.push_back((now.clock_ns, digest));
            effects.push(Effect::Drop { digest, position: now.position });
        }
    }

    /// Forgets drops so old that whatever was stored before them is refused anyhow.
    pub(super) fn forget_drops(&mut self, clock_ns: u64) {
        let old = |(at_ns, _): &(u64, Digest)| clock_ns.saturating_sub(*at_ns) >= BLOB_WINDOW_NS;
        while self.drop_order.front().is_some_and(old) {
            let (at_ns, digest) = self.drop_order.pop_front().expect("it was there");
            if self.drops.get(&digest).is_some_and(|drop| drop.clock_ns == at_ns) {
                self.drops.remove(&digest);
            }
        }
    }
}
