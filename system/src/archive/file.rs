//! What a node keeps of an object, and the file that it keeps it in.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use sim::history::Digest;

/// The BLAKE3 hash of an object's content.
pub(super) type Hash = [u8; HASH_BYTES];

const HASH_BYTES: usize = 32;
/// Room for an entry as most are.
const ENTRY_BYTES: usize = 80;

/// An object, as its node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) hash: Hash,
    /// What whoever put it there wants to be kept beside it, and for longer.
    pub(super) note: u64,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// The content is there.
    Kept(Came),
    /// Its retention was over: this is the receipt.
    Discarded,
}

/// When an object came to its node, by all that its age may be counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Came {
    /// How long the node had been running.
    pub(super) running_ns: u64,
    /// The node's wall clock.
    pub(super) wall_ns: u64,
    /// How old the object was.
    pub(super) age_ns: u64,
    /// How long it takes from then on, at the most, until the object is on disk. Nobody is promised anything before: that does not count.
    pub(super) write_ns: u64,
}

impl Entry {
    /// The hash of the content, as histories write it.
    pub(super) fn digest(&self) -> Digest {
        Digest(*self.hash.first_chunk().expect("it is longer"))
    }

    /// The file of the object; a receipt has no content.
    pub(super) fn seal(&self, content: &[u8]) -> Bytes {
        let entry = BytesMut::with_capacity(ENTRY_BYTES + content.len());
        let mut entry = postcard::to_extend(self, entry).expect("an entry has no types that postcard lacks");
        entry.put_slice(content);
        seal(&entry)
    }

    /// What an object's file says, and the content; none where it is not what was written.
    pub(super) fn unseal(file: &Bytes) -> Option<(Self, Bytes)> {
        let whole = unseal(file)?;
        let (entry, content) = postcard::take_from_bytes(&whole).ok()?;
        Some((entry, whole.slice_ref(content)))
    }
}

/// Bytes behind their hash.
pub(super) fn seal(bytes: &[u8]) -> Bytes {
    let mut sealed = BytesMut::with_capacity(HASH_BYTES + bytes.len());
    sealed.put_slice(blake3::hash(bytes).as_bytes());
    sealed.put_slice(bytes);
    sealed.freeze()
}

/// What was sealed; none where it is not whole.
pub(super) fn unseal(sealed: &Bytes) -> Option<Bytes> {
    let hash: &Hash = sealed.first_chunk()?;
    let bytes = sealed.slice(HASH_BYTES..);
    (blake3::hash(&bytes).as_bytes() == hash).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn states() -> impl Strategy<Value = State> {
        let kept = any::<[u64; 4]>().prop_map(|[running_ns, wall_ns, age_ns, write_ns]| {
            State::Kept(Came { running_ns, wall_ns, age_ns, write_ns })
        });
        prop_oneof![kept, Just(State::Discarded)]
    }

    proptest! {
        #[test]
        fn an_object_or_its_receipt_is_read_as_it_was_written_or_not_at_all(
            content: Vec<u8>,
            note: u64,
            state in states(),
            place: prop::sample::Index,
        ) {
            let hash = *blake3::hash(&content).as_bytes();
            let entry = Entry { hash, note, state };
            let content = if state == State::Discarded { Bytes::new() } else { content.into() };
            let file = entry.seal(&content);
            prop_assert_eq!(Entry::unseal(&file), Some((entry, content.clone())));
            let bit = place.index(file.len() * 8);
            let mut damaged = file.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Entry::unseal(&damaged.into()), None);
            prop_assert_eq!(Entry::unseal(&file.slice(..bit / 8)), None);
            prop_assert_eq!(Entry::unseal(&content), None);
        }
    }
}
