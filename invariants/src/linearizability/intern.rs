//! Numbers for values, so that the search compares and hashes small integers.

use std::hash::{BuildHasher, Hash, Hasher};

const EMPTY: u32 = u32::MAX;
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// A fixed hash function: the searches must take the same steps in every run and on every thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FixedState;

impl BuildHasher for FixedState {
    type Hasher = FoldHasher;

    fn build_hasher(&self) -> FoldHasher {
        FoldHasher(0x243F_6A88_85A3_08D3)
    }
}

/// Multiplies to 128 bits and folds the halves together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoldHasher(u64);

pub(crate) fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * u128::from(FACTOR);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are folded into one")]
    let folded = (product >> 64) as u64 ^ product as u64;
    folded.rotate_left(23)
}

impl Hasher for FoldHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.write_u64(u64::from_le_bytes(chunk.try_into().expect("a chunk has eight bytes")));
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(word) ^ (rest.len() as u64) << 56);
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = mix(self.0, value);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        mix(self.0, FACTOR)
    }
}

/// Gives equal values the same number, counted from zero.
#[derive(Clone, Debug)]
pub(crate) struct Interner<T> {
    values: Vec<T>,
    /// The upper half of a value's hash, and its number.
    table: Vec<(u32, u32)>,
}

impl<T: Eq + Hash> Interner<T> {
    pub(crate) fn with_capacity(values: usize) -> Self {
        let slots = (values * 2).next_power_of_two().max(16);
        Self { values: Vec::with_capacity(values), table: vec![(0, EMPTY); slots] }
    }

    pub(crate) fn number(&mut self, value: T) -> u32 {
        let hash = FixedState.hash_one(&value);
        let (tag, mask) = (tag(hash), self.table.len() - 1);
        let mut slot = truncated(hash) & mask;
        loop {
            match self.table[slot] {
                (_, EMPTY) => break,
                (other, number) if other == tag && self.values[number as usize] == value => return number,
                _ => slot = (slot + 1) & mask,
            }
        }
        let number = u32::try_from(self.values.len()).expect("there are fewer than 2^32 values");
        self.table[slot] = (tag, number);
        self.values.push(value);
        if self.values.len() * 2 > self.table.len() {
            self.grow();
        }
        number
    }

    pub(crate) fn value(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    fn grow(&mut self) {
        let mask = self.table.len() * 2 - 1;
        self.table.clear();
        self.table.resize(mask + 1, (0, EMPTY));
        for (number, value) in (0..).zip(&self.values) {
            let hash = FixedState.hash_one(value);
            let mut slot = truncated(hash) & mask;
            while self.table[slot].1 != EMPTY {
                slot = (slot + 1) & mask;
            }
            self.table[slot] = (tag(hash), number);
        }
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// The low bits of a hash, as an index to be masked.
#[expect(clippy::cast_possible_truncation, reason = "an index into a table needs only the low bits")]
pub(crate) fn truncated(hash: u64) -> usize {
    hash as usize
}
