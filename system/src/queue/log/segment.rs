//! One file of the log, as bytes: batches of records behind a head, and what may be believed of what is found.

use super::super::paxos::Record;
use bytes::{BufMut, Bytes, BytesMut};

/// The first bytes of a segment.
const HEAD_MAGIC: u32 = 0x4851_4c31;
/// The first bytes of a batch.
const BATCH_MAGIC: u32 = 0xb6c7_5a9e;
pub(super) const HEAD_BYTES: usize = 17;
const BATCH_HEAD_BYTES: usize = 20;
/// Room for a batch as most are.
const BATCH_BYTES: usize = 512;
/// No batch is longer: a length above this is damage.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// The head of segment `number`. `sealed` says that the segment before is durable to its end.
pub(super) fn head(number: u64, sealed: bool) -> Bytes {
    let mut head = BytesMut::with_capacity(HEAD_BYTES);
    head.put_u32_le(HEAD_MAGIC);
    head.put_u64_le(number);
    head.put_u8(u8::from(sealed));
    head.put_u32_le(crc32fast::hash(&head));
    head.freeze()
}

/// A batch of records that will be at `offset` of segment `number`, of which the first `synced` bytes are durable by now.
///
/// The check covers the place, so that a batch is only believed where it was meant to be.
pub(super) fn batch(number: u64, offset: u64, synced: u64, records: &[Record]) -> Bytes {
    let mut bytes = Vec::with_capacity(BATCH_BYTES);
    bytes.resize(BATCH_HEAD_BYTES, 0);
    let mut bytes = postcard::to_extend(records, bytes).expect("records have no types that postcard lacks");
    let (mut head, payload) = bytes.split_at_mut(BATCH_HEAD_BYTES);
    head.put_u32_le(BATCH_MAGIC);
    head.put_u32_le(u32::try_from(payload.len()).expect("a group of records is far smaller"));
    head.put_u64_le(synced);
    head.put_u32_le(check(number, offset, synced, payload));
    bytes.into()
}

fn check(number: u64, offset: u64, synced: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [number, offset, synced, payload.len() as u64] {
        hasher.update(&part.to_le_bytes());
    }
    hasher.update(payload);
    hasher.finalize()
}

/// What a segment's bytes say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Whether the head says that the segment before is durable to its end; none where there is no whole head.
    pub(super) sealed: Option<bool>,
    /// The records of all whole batches, up to the first that is not.
    pub(super) records: Vec<Record>,
    /// Where these end.
    pub(super) end: u64,
    /// Whether bytes that were durable once are not whole: the file is damaged. Otherwise what lies behind `end` was
    /// being written when the power went, and nobody was told that it is there.
    ///
    /// A later batch tells: it says how much was durable before it was written. Of the last batch of all nothing tells
    /// (Alagappan et al. 2018, "Protocol-Aware Recovery", section 3.3.3, has the same limit).
    pub(super) damaged: bool,
}

/// Reads all bytes of segment `number`.
pub(super) fn scan(number: u64, bytes: &[u8]) -> Scan {
    let sealed = read_head(number, bytes);
    let mut records = Vec::new();
    let mut end = if sealed.is_some() { HEAD_BYTES } else { 0 };
    while let Some((_, batch, length)) = sealed.and_then(|_| read_batch(number, bytes, end)) {
        records.extend(batch);
        end += length;
    }
    let damaged = durable_later(number, bytes, end) > end as u64;
    Scan { sealed, records, end: end as u64, damaged }
}

fn read_head(number: u64, bytes: &[u8]) -> Option<bool> {
    let head = bytes.get(..HEAD_BYTES)?;
    [false, true].into_iter().find(|sealed| self::head(number, *sealed) == head)
}

/// The whole batch at `offset`: what was durable when it was written, its records, its length.
fn read_batch(number: u64, bytes: &[u8], offset: usize) -> Option<(u64, Vec<Record>, usize)> {
    let head = bytes.get(offset..offset.checked_add(BATCH_HEAD_BYTES)?)?;
    let word = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?));
    if word(0)? != BATCH_MAGIC {
        return None;
    }
    let length = usize::try_from(word(4)?).ok().filter(|length| *length <= BATCH_BYTES_MAX)?;
    let synced = u64::from_le_bytes(*head.get(8..)?.first_chunk()?);
    let start = offset + BATCH_HEAD_BYTES;
    let payload = bytes.get(start..start + length)?;
    if word(16)? != check(number, offset as u64, synced, payload) {
        return None;
    }
    let records = postcard::from_bytes(payload).ok()?;
    Some((synced, records, BATCH_HEAD_BYTES + length))
}

/// The most that any whole batch behind `end` says was durable.
fn durable_later(number: u64, bytes: &[u8], end: usize) -> u64 {
    let magic = BATCH_MAGIC.to_le_bytes();
    let later = bytes.get(end..).unwrap_or_default();
    let places = later.windows(magic.len()).enumerate().filter(|(_, window)| *window == magic);
    let synced = places.filter_map(|(place, _)| read_batch(number, bytes, end + place));
    synced.map(|(synced, _, _)| synced).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::super::paxos::Ballot;
    use super::*;
    use proptest::prelude::*;

    const NUMBER: u64 = 3;

    fn record(slot: u64) -> Record {
        let value = Bytes::from(vec![u8::try_from(slot % 251).unwrap(); usize::try_from(slot % 40).unwrap()]);
        Record::Accept { ballot: Ballot::NONE.next_of(1), slot, chosen: slot / 2, value }
    }

    /// A segment of so many batches, written one behind the other, each after a sync of those before where it says so.
    /// Also where each batch ends, and how much was durable when the last was written.
    fn segment(batches: &[(usize, bool)]) -> (Vec<u8>, Vec<usize>, usize) {
        let mut bytes = head(NUMBER, true).to_vec();
        let (mut ends, mut synced, mut slot) = (vec![HEAD_BYTES], 0, 0);
        for (records, sync) in batches {
            if *sync {
                synced = bytes.len();
            }
            let records: Vec<_> = (0..*records)
                .map(|_| {
                    slot += 1;
                    record(slot)
                })
                .collect();
            bytes.extend_from_slice(&batch(NUMBER, bytes.len() as u64, synced as u64, &records));
            ends.push(bytes.len());
        }
        (bytes, ends, synced)
    }

    fn batches() -> impl Strategy<Value = Vec<(usize, bool)>> {
        proptest::collection::vec((1_usize..4, any::<bool>()), 1..12)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(batches in batches()) {
            let (bytes, ends, _) = segment(&batches);
            let scan = scan(NUMBER, &bytes);
            let all: usize = batches.iter().map(|(records, _)| records).sum();
            prop_assert_eq!(scan.records, (1..=all as u64).map(record).collect::<Vec<_>>());
            prop_assert_eq!((scan.sealed, scan.end, scan.damaged), (Some(true), *ends.last().unwrap() as u64, false));
        }

        #[test]
        fn whatever_becomes_of_what_was_not_synced_all_that_was_synced_is_read(
            batches in batches(),
            length in any::<proptest::sample::Index>(),
            sectors in proptest::collection::vec(0_u8..4, 64),
        ) {
            let (mut bytes, ends, synced) = segment(&batches);
            // Unsynced sectors of 32 bytes are kept, zeroed or garbled by chance; the file may be shorter.
            for at in synced..bytes.len() {
                match sectors[at / 32 % sectors.len()] {
                    0 => bytes[at] = 0,
                    1 => bytes[at] = bytes[at].wrapping_mul(3).wrapping_add(1),
                    _ => {}
                }
            }
            bytes.truncate(synced + length.index(bytes.len() - synced + 1));
            let scan = scan(NUMBER, &bytes);
            prop_assert!(!scan.damaged);
            prop_assert!(scan.end >= synced as u64);
            prop_assert!(scan.end == 0 || ends.contains(&usize::try_from(scan.end).unwrap()));
            let whole = scan.records.len() as u64;
            prop_assert_eq!(scan.records, (1..=whole).map(record).collect::<Vec<_>>(), "a prefix");
        }

        #[test]
        fn damage_to_what_a_whole_later_batch_says_was_durable_is_noticed(
            batches in batches(),
            place in any::<proptest::sample::Index>(),
            bit in 0_u32..8,
        ) {
            let (mut bytes, ends, synced) = segment(&batches);
            prop_assume!(synced > 0);
            bytes[place.index(synced)] ^= 1 << bit;
            let scan = scan(NUMBER, &bytes);
            prop_assert!(scan.damaged);
            prop_assert!(ends.contains(&usize::try_from(scan.end).unwrap()) || scan.end == 0);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), whole in any::<bool>()) {
            let mut file = if whole { head(NUMBER, false).to_vec() } else { Vec::new() };
            file.extend_from_slice(&bytes);
            prop_assert!(scan(NUMBER, &file).records.is_empty());
        }
    }

    #[test]
    fn a_batch_of_another_place_is_not_believed() {
        let (bytes, ends, _) = segment(&[(1, true), (1, true)]);
        let moved = [&bytes[..HEAD_BYTES], &bytes[ends[1]..ends[2]]].concat();
        assert_eq!(scan(NUMBER, &moved).records, []);
        assert_eq!(scan(NUMBER + 1, &bytes).sealed, None, "nor a segment under another's name");
    }
}
