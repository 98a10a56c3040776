//! One file of blobs: each behind a head that says what it is.

use crate::queue::state::AsOf;
use bytes::{BufMut, Bytes, BytesMut};
use sim::fs::File;
use sim::history::Digest;
use std::io;

const MAGIC: u32 = 0x4842_4c42;
pub(super) const HEAD_BYTES: usize = 48;
/// How much is read at once where a file is gone through.
const READ_BYTES: usize = 1 << 20;

/// What stands before a blob's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) digest: Digest,
    pub(super) length: u32,
    /// How far this replica had applied the order when it began to store the blob.
    pub(super) as_of: AsOf,
    /// The check of the blob's bytes.
    pub(super) check: u32,
}

/// The head's bytes, at `offset` of segment `number`: its own check covers the place.
pub(super) fn write_head(head: &Head, number: u64, offset: u64) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES);
    bytes.put_u32_le(MAGIC);
    bytes.put_u32_le(head.length);
    bytes.put_slice(&head.digest.0);
    bytes.put_u64_le(head.as_of.position);
    bytes.put_u64_le(head.as_of.clock_ns);
    bytes.put_u32_le(head.check);
    bytes.put_u32_le(place_check(&bytes, number, offset));
    bytes.freeze()
}

pub(super) fn read_head(bytes: &[u8], number: u64, offset: u64) -> Option<Head> {
    let bytes = bytes.get(..HEAD_BYTES)?;
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let long = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    if word(0)? != MAGIC || word(44)? != place_check(&bytes[..44], number, offset) {
        return None;
    }
    let digest = Digest(*bytes.get(8..)?.first_chunk()?);
    let as_of = AsOf { position: long(24)?, clock_ns: long(32)? };
    Some(Head { digest, length: word(4)?, as_of, check: word(40)? })
}

fn place_check(bytes: &[u8], number: u64, offset: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes);
    hasher.update(&number.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.finalize()
}

/// Goes through segment `number`; gives each blob's head and the offset of its bytes to `found`, and returns where whole
/// blobs end. With `verify`, bytes are looked at too: the last segment may end in what was never synced.
pub(super) async fn scan(
    file: &File,
    number: u64,
    verify: bool,
    mut found: impl FnMut(Head, u64),
) -> io::Result<u64> {
    let length = file.len().await?;
    let (mut window, mut window_at) = (Bytes::new(), 0_u64);
    let mut offset = 0_u64;
    while offset < length {
        let wanted = HEAD_BYTES as u64;
        if offset < window_at || offset + wanted > window_at + window.len() as u64 {
            (window, window_at) = (file.read_at(offset, READ_BYTES).await?, offset);
        }
        let at = usize::try_from(offset - window_at).map_err(io::Error::other)?;
        let Some(head) = read_head(&window[at..], number, offset) else { break };
        let (start, size) = (offset + wanted, head.length as usize);
        if start + u64::from(head.length) > length {
            break;
        }
        if verify {
            let bytes = match window.get(at + HEAD_BYTES..at + HEAD_BYTES + size) {
                Some(bytes) => Bytes::copy_from_slice(bytes),
                None => file.read_at(start, size).await?,
            };
            if crc32fast::hash(&bytes) != head.check {
                break;
            }
        }
        found(head, start);
        offset = start + u64::from(head.length);
    }
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_head_is_read_where_it_was_written_and_nowhere_else(
            content in any::<[u8; 16]>(),
            length in any::<u32>(),
            numbers in any::<(u64, u64, u64, u64)>(),
            check in any::<u32>(),
            place in any::<proptest::sample::Index>(),
            bit in 0_u32..8,
        ) {
            let (position, clock_ns, number, offset) = numbers;
            let as_of = AsOf { position, clock_ns };
            let head = Head { digest: Digest(content), length, as_of, check };
            let bytes = write_head(&head, number, offset);
            prop_assert_eq!(bytes.len(), HEAD_BYTES);
            prop_assert_eq!(read_head(&bytes, number, offset), Some(head));
            prop_assert_eq!(read_head(&bytes, number, offset ^ 8), None);
            prop_assert_eq!(read_head(&bytes, number ^ 1, offset), None);
            let mut damaged = bytes.to_vec();
            damaged[place.index(HEAD_BYTES)] ^= 1 << bit;
            prop_assert_eq!(read_head(&damaged, number, offset), None);
            prop_assert_eq!(read_head(&bytes[..place.index(HEAD_BYTES)], number, offset), None);
        }
    }
}
