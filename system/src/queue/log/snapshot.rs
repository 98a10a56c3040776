//! Snapshots: the state after some slot, in one file that is there as a whole or not at all.

use super::{Durability, LogError, make_directory, write_whole};
use crate::queue::paxos::Slot;
use bytes::{BufMut, Bytes, BytesMut};
use sim::fs;

pub(super) const DIRECTORY: &str = "/queue/snapshots";
const MAGIC: u32 = 0x4851_5331;
const HEAD_BYTES: usize = 16;

/// The state after all slots up to `slot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last slot that it covers.
    pub slot: Slot,
    /// The state, encoded, and where there are spares, who votes.
    pub state: Bytes,
}

/// The latest snapshot; none where there never was one.
///
/// # Errors
/// [`LogError::Damaged`] where it is not whole: without it the log is not enough.
pub async fn load_snapshot(durability: Durability) -> Result<Option<Snapshot>, LogError> {
    make_directory(durability, DIRECTORY).await?;
    for unfinished in fs::read_dir(DIRECTORY).await?.iter().filter(|name| name.ends_with(".new")) {
        fs::remove_file(&format!("{DIRECTORY}/{unfinished}")).await?;
    }
    let Some(slot) = slots().await?.pop() else { return Ok(None) };
    let file = path_of(slot);
    let bytes = fs::read(&file).await?;
    match decode(&bytes) {
        Some(snapshot) if snapshot.slot == slot => Ok(Some(snapshot)),
        _ => Err(LogError::Damaged { file, offset: 0 }),
    }
}

/// Keeps a snapshot in place of the one before; on return it is durable.
///
/// # Errors
/// Where the disk fails; the snapshot before is still there then.
pub async fn save_snapshot(durability: Durability, snapshot: &Snapshot) -> Result<(), LogError> {
    let name = format!("{:016}.snapshot", snapshot.slot);
    write_whole(durability, DIRECTORY, &name, encode(snapshot)).await?;
    for slot in slots().await?.into_iter().filter(|slot| *slot < snapshot.slot) {
        fs::remove_file(&path_of(slot)).await?;
    }
    Ok(())
}

fn encode(snapshot: &Snapshot) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + snapshot.state.len());
    bytes.put_u32_le(MAGIC);
    bytes.put_u64_le(snapshot.slot);
    bytes.put_u32_le(check(snapshot.slot, &snapshot.state));
    bytes.put_slice(&snapshot.state);
    bytes.freeze()
}

fn decode(bytes: &Bytes) -> Option<Snapshot> {
    let magic = u32::from_le_bytes(*bytes.first_chunk()?);
    let slot = u64::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    let sum = u32::from_le_bytes(*bytes.get(12..)?.first_chunk()?);
    let state = bytes.slice(HEAD_BYTES.min(bytes.len())..);
    (magic == MAGIC && sum == check(slot, &state)).then_some(Snapshot { slot, state })
}

fn check(slot: Slot, state: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&slot.to_le_bytes());
    hasher.update(state);
    hasher.finalize()
}

async fn slots() -> Result<Vec<Slot>, LogError> {
    let names = fs::read_dir(DIRECTORY).await?;
    let mut slots: Vec<Slot> =
        names.iter().filter_map(|name| name.strip_suffix(".snapshot")?.parse().ok()).collect();
    slots.sort_unstable();
    Ok(slots)
}

fn path_of(slot: Slot) -> String {
    format!("{DIRECTORY}/{slot:016}.snapshot")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_snapshot_is_read_as_written_and_never_otherwise(
            slot in any::<u64>(),
            state in proptest::collection::vec(any::<u8>(), 0..100),
            place in any::<proptest::sample::Index>(),
            bit in 0_u32..8,
        ) {
            let snapshot = Snapshot { slot, state: Bytes::from(state) };
            let bytes = encode(&snapshot);
            prop_assert_eq!(decode(&bytes), Some(snapshot));
            let mut damaged = bytes.to_vec();
            damaged[place.index(bytes.len())] ^= 1 << bit;
            prop_assert_eq!(decode(&Bytes::from(damaged)), None);
            prop_assert_eq!(decode(&bytes.slice(..place.index(bytes.len()))), None);
        }
    }
}
