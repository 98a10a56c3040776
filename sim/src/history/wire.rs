//! The canonical encoding: one value, one sequence of bytes. Numbers are LEB128, strings carry their length.

use super::{Digest, Id, NodeIndex};
use thiserror::Error;

/// Bytes that are not a history.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The bytes ended within a value.
    #[error("the history ends in the middle of an event")]
    Short,
    /// A number does not fit its type, or is not in its shortest form.
    #[error("a number of the history is out of its range")]
    Number,
    /// A string is not UTF-8.
    #[error("a string of the history is not UTF-8")]
    Text,
    /// An unknown kind of event.
    #[error("event kind {0} is unknown: a later version of hogwash wrote it")]
    Kind(u8),
    /// Another version of the encoding.
    #[error("history version {0} is not {version}: replay the plan to write it anew", version = super::HISTORY_VERSION)]
    Version(u8),
}

/// A value with a canonical encoding.
pub trait Wire: Sized {
    /// Appends the value's bytes.
    fn put(&self, bytes: &mut Vec<u8>);

    /// Takes a value from the front of `bytes`.
    ///
    /// # Errors
    /// Where the bytes are no such value.
    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed>;
}

impl Wire for u8 {
    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(*self);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let (first, rest) = bytes.split_first().ok_or(Malformed::Short)?;
        *bytes = rest;
        Ok(*first)
    }
}

impl Wire for u64 {
    fn put(&self, bytes: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            bytes.push(u8::try_from(rest & 0x7f).expect("7 bits") | 0x80);
            rest >>= 7;
        }
        bytes.push(u8::try_from(rest).expect("7 bits"));
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = u8::take(bytes)?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return Err(Malformed::Number);
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(Malformed::Number) } else { Ok(value) };
            }
        }
        Err(Malformed::Number)
    }
}

impl Wire for u32 {
    fn put(&self, bytes: &mut Vec<u8>) {
        u64::from(*self).put(bytes);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        u64::take(bytes)?.try_into().map_err(|_| Malformed::Number)
    }
}

impl Wire for bool {
    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(*self));
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::take(bytes)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Number),
        }
    }
}

impl Wire for String {
    fn put(&self, bytes: &mut Vec<u8>) {
        (self.len() as u64).put(bytes);
        bytes.extend_from_slice(self.as_bytes());
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let length = usize::try_from(u64::take(bytes)?).map_err(|_| Malformed::Number)?;
        if length > bytes.len() {
            return Err(Malformed::Short);
        }
        let (text, rest) = bytes.split_at(length);
        *bytes = rest;
        Ok(std::str::from_utf8(text).map_err(|_| Malformed::Text)?.to_owned())
    }
}

impl Wire for Digest {
    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let (digest, rest) = bytes.split_first_chunk::<16>().ok_or(Malformed::Short)?;
        *bytes = rest;
        Ok(Self(*digest))
    }
}

impl Wire for Id {
    fn put(&self, bytes: &mut Vec<u8>) {
        self.client().put(bytes);
        self.operation().put(bytes);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Self::new(u32::take(bytes)?, u32::take(bytes)?))
    }
}

impl Wire for NodeIndex {
    /// Shifted by one, so that the world (`u32::MAX`) is the single byte 0.
    fn put(&self, bytes: &mut Vec<u8>) {
        self.0.wrapping_add(1).put(bytes);
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Self(u32::take(bytes)?.wrapping_sub(1)))
    }
}

impl Wire for Vec<NodeIndex> {
    fn put(&self, bytes: &mut Vec<u8>) {
        (self.len() as u64).put(bytes);
        self.iter().for_each(|node| node.put(bytes));
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let length = usize::try_from(u64::take(bytes)?).map_err(|_| Malformed::Number)?;
        if length > bytes.len() {
            return Err(Malformed::Short);
        }
        (0..length).map(|_| NodeIndex::take(bytes)).collect()
    }
}
