//! Frames: how tiers write to one another. A typed header and, beside it, bytes that nobody needs to copy.
//!
//! ```text
//! version u8 | header length u32 | blob length u32 | check of header and blob u32 | check of the above u32 | header | blob
//! ```
//! Numbers are little-endian, checks CRC-32, headers postcard. The prefix has a check of its own, so that a damaged
//! length is noticed at once and not by waiting for bytes that never come.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;

/// The first byte of every frame.
pub const FRAME_VERSION: u8 = 1;
/// The longest header.
pub const HEADER_BYTES_MAX: usize = 16 << 20;
/// The longest blob.
pub const BLOB_BYTES_MAX: usize = 64 << 20;

const PREFIX_BYTES: usize = 17;
/// Room for a header as most are.
const HEADER_BYTES: usize = 256;
/// Blobs up to this length are copied behind their header: one small copy is cheaper than one more message.
const JOINED_BYTES_MAX: usize = 8 << 10;

/// Bytes that are no frame of ours. The connection that they came from cannot be trusted any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Written by another version.
    #[error("frame version {0} is not {FRAME_VERSION}")]
    Version(u8),
    /// Damaged on the way.
    #[error("the frame's {0} does not match its check")]
    Damaged(&'static str),
    /// Longer than allowed.
    #[error("a {part} of {length} bytes is over the limit of {limit}")]
    Oversized {
        /// Header or blob.
        part: &'static str,
        /// Its length.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The header is whole and yet not of the expected type.
    #[error("the frame's header is not of the expected type: {0}")]
    Header(String),
}

impl From<WireError> for std::io::Error {
    fn from(error: WireError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// One frame, as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    header: Bytes,
    /// The bytes beside the header; empty where there are none.
    pub blob: Bytes,
}

impl Frame {
    /// The header.
    ///
    /// # Errors
    /// [`WireError::Header`] where it is no `T`, or more than one.
    pub fn header<T: DeserializeOwned>(&self) -> Result<T, WireError> {
        match postcard::take_from_bytes(&self.header) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(WireError::Header(format!("{} bytes too many", rest.len()))),
            Err(error) => Err(WireError::Header(error.to_string())),
        }
    }
}

impl Frame {
    /// The front of the header, where its end is of no interest here.
    ///
    /// # Errors
    /// [`WireError::Header`] where it does not begin with a `T`.
    pub fn front<T: DeserializeOwned>(&self) -> Result<T, WireError> {
        let taken = postcard::take_from_bytes(&self.header);
        taken.map(|(value, _)| value).map_err(|error| WireError::Header(error.to_string()))
    }
}

/// One frame, ready to be sent: first `head`, then `blob`, which is empty where it was small enough to be part of `head`.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// Prefix and header.
    pub head: Bytes,
    /// The blob, not copied.
    pub blob: Bytes,
}

/// Writes a frame.
///
/// # Errors
/// [`WireError::Oversized`], [`WireError::Header`] where `header` cannot be written.
pub fn encode<T: Serialize>(header: &T, blob: Bytes) -> Result<Encoded, WireError> {
    let blob_length = checked("blob", blob.len(), BLOB_BYTES_MAX)?;
    let joins = blob.len() <= JOINED_BYTES_MAX;
    let room = PREFIX_BYTES + HEADER_BYTES + if joins { blob.len() } else { 0 };
    // The header is written where it will be sent from, and what comes before it when its length is known.
    let mut head = Vec::with_capacity(room);
    head.resize(PREFIX_BYTES, 0);
    let mut head = postcard::to_extend(header, head).map_err(|error| WireError::Header(error.to_string()))?;
    let (prefix, header) = head.split_at_mut(PREFIX_BYTES);
    write_prefix(
        prefix,
        checked("header", header.len(), HEADER_BYTES_MAX)?,
        blob_length,
        content_check(header, &blob),
    );
    if joins {
        head.extend_from_slice(&blob);
        return Ok(Encoded { head: head.into(), blob: Bytes::new() });
    }
    Ok(Encoded { head: head.into(), blob })
}

/// Finds the frames in a stream of bytes, however it was cut into chunks.
#[derive(Debug, Default)]
pub struct Decoder {
    chunks: VecDeque<Bytes>,
    available: usize,
    prefix: Option<Prefix>,
}

#[derive(Clone, Copy, Debug)]
struct Prefix {
    header_length: usize,
    blob_length: usize,
    check: u32,
}

impl Decoder {
    /// Adds bytes that came.
    pub fn push(&mut self, chunk: Bytes) {
        self.available += chunk.len();
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// The next whole frame; none where more bytes are needed.
    ///
    /// # Errors
    /// Where the stream holds anything but frames; it is of no use from there on.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, WireError> {
        let prefix = match self.prefix {
            Some(prefix) => prefix,
            None if self.available < PREFIX_BYTES => return Ok(None),
            None => self.take_prefix()?,
        };
        self.prefix = Some(prefix);
        if self.available < prefix.header_length + prefix.blob_length {
            return Ok(None);
        }
        self.prefix = None;
        let header = self.take(prefix.header_length);
        let blob = self.take(prefix.blob_length);
        if content_check(&header, &blob) != prefix.check {
            return Err(WireError::Damaged("content"));
        }
        Ok(Some(Frame { header, blob }))
    }

    fn take_prefix(&mut self) -> Result<Prefix, WireError> {
        // Most frames come in one chunk, which need not be split to look at it.
        match self.chunks.front_mut() {
            Some(first) if first.len() > PREFIX_BYTES => {
                let prefix = read_prefix(first)?;
                first.advance(PREFIX_BYTES);
                self.available -= PREFIX_BYTES;
                Ok(prefix)
            }
            _ => read_prefix(&self.take(PREFIX_BYTES)),
        }
    }

    /// The first `length` bytes; copied only where they came in more than one chunk.
    fn take(&mut self, length: usize) -> Bytes {
        self.available -= length;
        let Some(first) = self.chunks.front_mut().filter(|_| length > 0) else { return Bytes::new() };
        if first.len() > length {
            return first.split_to(length);
        }
        let first = self.chunks.pop_front().expect("it was there");
        if first.len() == length {
            return first;
        }
        let mut joined = BytesMut::with_capacity(length);
        joined.put_slice(&first);
        while joined.len() < length {
            let chunk = self.chunks.front_mut().expect("so many bytes are available");
            let part = chunk.split_to(chunk.len().min(length - joined.len()));
            joined.put_slice(&part);
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        joined.freeze()
    }
}

fn write_prefix(mut prefix: &mut [u8], header_length: u32, blob_length: u32, check: u32) {
    let mut checked = [0; PREFIX_BYTES - 4];
    let mut front = &mut checked[..];
    front.put_u8(FRAME_VERSION);
    front.put_u32_le(header_length);
    front.put_u32_le(blob_length);
    front.put_u32_le(check);
    prefix.put_slice(&checked);
    prefix.put_u32_le(crc32fast::hash(&checked));
}

fn read_prefix(bytes: &[u8]) -> Result<Prefix, WireError> {
    let number = |at: usize| {
        u32::from_le_bytes(*bytes[at..].first_chunk().expect("a prefix is longer than its last number"))
    };
    if bytes[0] != FRAME_VERSION {
        return Err(WireError::Version(bytes[0]));
    }
    if crc32fast::hash(&bytes[..PREFIX_BYTES - 4]) != number(PREFIX_BYTES - 4) {
        return Err(WireError::Damaged("prefix"));
    }
    let (header_length, blob_length) = (number(1) as usize, number(5) as usize);
    checked("header", header_length, HEADER_BYTES_MAX)?;
    checked("blob", blob_length, BLOB_BYTES_MAX)?;
    Ok(Prefix { header_length, blob_length, check: number(9) })
}

fn checked(part: &'static str, length: usize, limit: usize) -> Result<u32, WireError> {
    let number = u32::try_from(length).ok().filter(|_| length <= limit);
    number.ok_or(WireError::Oversized { part, length, limit })
}

fn content_check(header: &[u8], blob: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    if !blob.is_empty() {
        hasher.update(blob);
    }
    hasher.finalize()
}

/// For the tests of each tier's messages.
#[cfg(test)]
pub(crate) mod messages {
    use super::*;

    /// Whatever becomes of the bytes of `message` on the way, they are never taken for a message: one bit at `place` is another,
    /// or the stream ends there.
    pub(crate) fn is_never_misread<T: Serialize + DeserializeOwned>(
        message: &T,
        place: proptest::sample::Index,
    ) {
        let encoded = encode(message, Bytes::from_static(b"blob")).unwrap();
        let stream = [encoded.head, encoded.blob].concat();
        let read = |stream: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.push(Bytes::copy_from_slice(stream));
            decoder.next_frame()
        };
        let whole = read(&stream).unwrap().unwrap();
        let again = encode(&whole.header::<T>().unwrap(), whole.blob).unwrap();
        assert_eq!(again.head[..], stream[..], "it is read as it was written");
        let mut damaged = stream.clone();
        let bit = place.index(stream.len() * 8);
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&damaged).is_err(), "bit {bit}");
        assert_eq!(read(&stream[..bit / 8]), Ok(None));
    }

    /// Bytes that pass every check and were never written are an error, or a message that is written in the same way.
    pub(crate) fn are_no_reason_to_panic<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
        let frame = Frame { header: Bytes::copy_from_slice(bytes), blob: Bytes::new() };
        if let Ok(message) = frame.header::<T>() {
            let written = postcard::to_allocvec(&message).unwrap();
            let again: T = postcard::from_bytes(&written).unwrap();
            assert_eq!(postcard::to_allocvec(&again).unwrap(), written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Header = (u64, String, Option<u32>);

    fn stream_of(frames: &[(Header, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (header, blob) in frames {
            let encoded = encode(header, Bytes::from(blob.clone())).unwrap();
            bytes.extend_from_slice(&encoded.head);
            bytes.extend_from_slice(&encoded.blob);
        }
        bytes
    }

    fn decode(stream: &[u8], cuts: &[usize]) -> (Vec<(Header, Vec<u8>)>, Option<WireError>) {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        let mut rest = stream;
        for cut in cuts.iter().copied().chain([usize::MAX]) {
            let (chunk, after) = rest.split_at(cut.min(rest.len()));
            rest = after;
            decoder.push(Bytes::copy_from_slice(chunk));
            loop {
                match decoder.next_frame().and_then(|frame| {
                    frame.map(|frame| Ok((frame.header::<Header>()?, frame.blob.to_vec()))).transpose()
                }) {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => return (frames, Some(error)),
                }
            }
        }
        (frames, None)
    }

    fn frames() -> impl Strategy<Value = Vec<(Header, Vec<u8>)>> {
        let blob = prop_oneof![
            Just(Vec::new()),
            proptest::collection::vec(any::<u8>(), 0..100),
            (8_000_usize..9_000).prop_map(|length| vec![7; length]),
        ];
        proptest::collection::vec(((any::<u64>(), ".{0,20}", any::<Option<u32>>()), blob), 0..5)
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_stream_is_cut(
            frames in frames(),
            cuts in proptest::collection::vec(0_usize..3_000, 0..20),
        ) {
            prop_assert_eq!(decode(&stream_of(&frames), &cuts), (frames, None));
        }

        #[test]
        fn damage_to_any_byte_is_an_error_or_a_wait_and_never_another_frame(
            frames in frames(),
            place in any::<proptest::sample::Index>(),
            bit in 0_u32..8,
        ) {
            let mut stream = stream_of(&frames);
            prop_assume!(!stream.is_empty());
            let at = place.index(stream.len());
            stream[at] ^= 1 << bit;
            let (decoded, error) = decode(&stream, &[]);
            prop_assert!(error.is_some());
            prop_assert!(decoded.len() < frames.len());
            prop_assert_eq!(&decoded[..], &frames[..decoded.len()]);
        }

        #[test]
        fn a_stream_that_ends_early_gives_its_whole_frames_and_waits(
            frames in frames(),
            place in any::<proptest::sample::Index>(),
        ) {
            let stream = stream_of(&frames);
            let (decoded, error) = decode(&stream[..place.index(stream.len() + 1)], &[]);
            prop_assert_eq!(error, None);
            prop_assert_eq!(&decoded[..], &frames[..decoded.len()]);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut versioned = vec![FRAME_VERSION];
            versioned.extend_from_slice(&bytes);
            for stream in [bytes, versioned] {
                let (decoded, _) = decode(&stream, &[]);
                prop_assert!(decoded.is_empty(), "a check of 32 bits twice over is not met by chance");
            }
        }

        #[test]
        fn arbitrary_headers_under_a_right_check_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let frame = Frame { header: Bytes::from(bytes), blob: Bytes::new() };
            let _ = frame.header::<Header>();
            let _ = frame.header::<Vec<Vec<String>>>();
        }
    }

    #[test]
    fn lengths_over_the_limits_are_refused_before_their_bytes_come() {
        let mut prefix = BytesMut::new();
        prefix.put_u8(FRAME_VERSION);
        prefix.put_u32_le(10);
        prefix.put_u32_le(u32::MAX);
        prefix.put_u32_le(0);
        prefix.put_u32_le(crc32fast::hash(&prefix));
        let mut decoder = Decoder::default();
        decoder.push(prefix.freeze());
        assert!(matches!(decoder.next_frame(), Err(WireError::Oversized { part: "blob", .. })));
        let blob = Bytes::from(vec![0; BLOB_BYTES_MAX + 1]);
        assert!(matches!(encode(&(), blob), Err(WireError::Oversized { part: "blob", .. })));
    }

    #[test]
    fn a_large_blob_is_not_copied() {
        let blob = Bytes::from(vec![1; 100_000]);
        let encoded = encode(&7_u8, blob.clone()).unwrap();
        assert_eq!(encoded.blob.as_ptr(), blob.as_ptr());
        let mut decoder = Decoder::default();
        decoder.push(encoded.head);
        decoder.push(encoded.blob);
        assert_eq!(decoder.next_frame().unwrap().unwrap().blob.as_ptr(), blob.as_ptr());
    }
}
