//! One file's bytes: what programs see now, and to what a loss of power may take them back.
//!
//! The bytes that programs see are kept in chunks, holes left out. Beside them, only for sectors written since the last
//! sync, stands what the medium may hold instead: the content before, so that a sync merely forgets it.

use crate::rng::Stream;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;

/// Sectors of one chunk.
const CHUNK_SECTORS: u64 = 32;
/// The chance that a sector which is overwritten while unsynced had reached the medium before: kernels write back
/// when they like.
const WRITTEN_BACK: f64 = 0.5;
/// The chance that an unsynced sector is torn by a loss of power, rather than kept or lost whole.
const TORN: f64 = 0.125;

/// A sector's bytes; none is a hole, which reads as zeros.
type Sector = Option<Box<[u8]>>;

/// One file's bytes.
pub(crate) struct Content {
    sector_bytes: u64,
    chunks: BTreeMap<u64, Chunk>,
    length: Length,
    durable_length: Length,
    unsynced: BTreeMap<u64, Unsynced>,
    /// The numbers of the changes up to which syncs under way make durable, lowest first.
    syncing: Vec<u64>,
    /// The number of the last change.
    change: u64,
    allocated_bytes: u64,
}

#[derive(Default)]
struct Chunk {
    /// Zeros follow where it is shorter than a chunk.
    bytes: Vec<u8>,
    /// The power cycle in which it was last in the cache.
    cached_in: u32,
}

/// A length of the file and the number of the change that made it so.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Length {
    bytes: u64,
    change: u64,
}

/// A sector whose newest content, which stands in its chunk, may not be on the medium.
struct Unsynced {
    /// The number of the change that wrote the newest content.
    change: u64,
    /// What the medium holds if nothing reaches it any more.
    durable: Version,
    /// Contents that a sync under way will make durable and that were overwritten since, oldest first.
    captured: Vec<Version>,
    /// Whether a sync that failed has given it up: nothing will bring it to the medium but another write.
    forgotten: bool,
}

struct Version {
    change: u64,
    bytes: Sector,
}

/// What a sync makes durable once it completes: the file as it stands when the sync is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    change: u64,
    length_bytes: u64,
    length_change: u64,
}

impl Content {
    pub(crate) fn new(sector_bytes: u32) -> Self {
        let length = Length { bytes: 0, change: 0 };
        Self {
            sector_bytes: u64::from(sector_bytes.max(1)),
            chunks: BTreeMap::new(),
            length,
            durable_length: length,
            unsynced: BTreeMap::new(),
            syncing: Vec::new(),
            change: 0,
            allocated_bytes: 0,
        }
    }

    /// The file's length as programs see it.
    pub(crate) fn length(&self) -> u64 {
        self.length.bytes
    }

    /// Bytes of the disk that it takes up.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes
    }

    /// Bytes that a sync would have to write.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.unsynced.len() as u64 * self.sector_bytes
    }

    /// Whether a loss of power could change anything.
    pub(crate) fn is_unsynced(&self) -> bool {
        !self.unsynced.is_empty() || self.length.bytes != self.durable_length.bytes
    }

    /// Whether a sync would have anything to do.
    pub(crate) fn is_dirty(&self) -> bool {
        self.unsynced.values().any(|sector| !sector.forgotten)
            || self.length.bytes != self.durable_length.bytes
    }

    /// Up to `length` bytes from `offset`, fewer at the end; and how many of them the cache did not hold in this power
    /// `cycle`, and holds from now on.
    pub(crate) fn read(&mut self, offset: u64, length: usize, cycle: u32) -> (Bytes, u64) {
        let end = offset.saturating_add(length as u64).min(self.length.bytes);
        if offset >= end {
            return (Bytes::new(), 0);
        }
        let mut bytes = BytesMut::with_capacity(index(end - offset));
        let mut missed_bytes = 0;
        for (number, from, to) in pieces(offset, end, self.chunk_bytes()) {
            let filled = bytes.len() + (to - from);
            if let Some(chunk) = self.chunks.get_mut(&number) {
                let held = chunk.bytes.len();
                bytes.extend_from_slice(&chunk.bytes[from.min(held)..to.min(held)]);
                if chunk.cached_in != cycle {
                    chunk.cached_in = cycle;
                    missed_bytes += held as u64;
                }
            }
            bytes.resize(filled, 0);
        }
        (bytes.freeze(), missed_bytes)
    }

    /// How many more bytes of the disk a write of `length` bytes at `offset` needs.
    pub(crate) fn growth(&self, offset: u64, length: usize) -> u64 {
        let end = offset.saturating_add(length as u64);
        let piece_growth = |(number, _, to): (u64, usize, usize)| {
            let held = self.chunks.get(&number).map_or(0, |chunk| chunk.bytes.len());
            self.rounded_up(to.max(held)) - self.rounded_up(held)
        };
        pieces(offset, end, self.chunk_bytes()).map(piece_growth).sum()
    }

    /// Writes `bytes` at `offset`, into the cache of this power `cycle`.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8], cycle: u32, chance: &mut Stream) {
        if bytes.is_empty() {
            return;
        }
        self.change += 1;
        let end = offset + bytes.len() as u64;
        for sector in offset / self.sector_bytes..end.div_ceil(self.sector_bytes) {
            self.overwrite(sector, chance);
        }
        let mut rest = bytes;
        for (number, from, to) in pieces(offset, end, self.chunk_bytes()) {
            let (piece, after) = rest.split_at(to - from);
            let chunk = self.chunks.entry(number).or_default();
            let held = chunk.bytes.len();
            if held < to {
                chunk.bytes.resize(to, 0);
                let sector = self.sector_bytes;
                self.allocated_bytes +=
                    (to as u64).next_multiple_of(sector) - (held as u64).next_multiple_of(sector);
            }
            chunk.bytes[from..to].copy_from_slice(piece);
            chunk.cached_in = cycle;
            rest = after;
        }
        if end > self.length.bytes {
            self.change_length(end, chance);
        }
    }

    /// Cuts the file off, or extends it with a hole.
    pub(crate) fn set_length(&mut self, length: u64, chance: &mut Stream) {
        if length == self.length.bytes {
            return;
        }
        self.change += 1;
        if length < self.length.bytes {
            let mut cut = Vec::new();
            let first_chunk = length / self.chunk_bytes();
            for (number, chunk) in self.chunks.range(first_chunk..) {
                let start = number * CHUNK_SECTORS;
                let sectors = (chunk.bytes.len() as u64).div_ceil(self.sector_bytes);
                cut.extend(
                    (start..start + sectors).filter(|sector| (sector + 1) * self.sector_bytes > length),
                );
            }
            for sector in cut {
                self.overwrite(sector, chance);
            }
            self.cut_off(length);
            self.forget_holes();
        }
        self.change_length(length, chance);
    }

    /// Begins a sync.
    pub(crate) fn begin_sync(&mut self) -> Snapshot {
        self.syncing.push(self.change);
        let Length { bytes: length_bytes, change: length_change } = self.length;
        Snapshot { change: self.change, length_bytes, length_change }
    }

    /// Completes a sync: all that `snapshot` holds is durable.
    pub(crate) fn end_sync(&mut self, snapshot: &Snapshot) {
        self.cancel_sync(snapshot);
        if snapshot.length_change >= self.durable_length.change {
            self.durable_length = Length { bytes: snapshot.length_bytes, change: snapshot.length_change };
        }
        let synced = |sector: &Unsynced| {
            sector.change <= snapshot.change && sector.captured.is_empty() && !sector.forgotten
        };
        if self.unsynced.values().all(synced) {
            // As with most syncs. To forget all at once is much cheaper than one by one.
            self.unsynced.clear();
            return;
        }
        self.unsynced.retain(|_, sector| {
            let covered = sector.captured.iter().rposition(|version| version.change <= snapshot.change);
            if let Some(last) = covered {
                let version = sector.captured.drain(..=last).next_back().expect("it holds the last");
                if version.change > sector.durable.change {
                    sector.durable = version;
                }
            }
            sector.change > snapshot.change || sector.forgotten
        });
    }

    /// Ends a sync that failed and that forgets what it was to make durable, as Linux's file systems do: programs go on
    /// seeing what they wrote, and no later sync brings it to the medium (Rebello et al., USENIX ATC 2020, section 3).
    pub(crate) fn forget_sync(&mut self, snapshot: &Snapshot) {
        self.cancel_sync(snapshot);
        for sector in self.unsynced.values_mut().filter(|sector| sector.change <= snapshot.change) {
            sector.forgotten = true;
            sector.captured.clear();
        }
        // Lengths go through the file system's journal.
        if snapshot.length_change >= self.durable_length.change {
            self.durable_length = Length { bytes: snapshot.length_bytes, change: snapshot.length_change };
        }
    }

    /// Whether a sync that failed has forgotten something that nobody has written anew since.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.unsynced.values().any(|sector| sector.forgotten)
    }

    /// Flips one bit each in sectors that chance chooses with this probability; returns in how many.
    pub(crate) fn rot(&mut self, probability: f64, chance: &mut Stream) -> u64 {
        let mut sectors = 0;
        for chunk in self.chunks.values_mut() {
            for sector in chunk.bytes.chunks_mut(index(self.sector_bytes)) {
                if chance.chance(probability) {
                    let bit = chance.below(0..sector.len() as u64 * 8);
                    sector[index(bit / 8)] ^= 1 << (bit % 8);
                    sectors += 1;
                }
            }
        }
        sectors
    }

    /// Gives a sync up whose process has ended.
    pub(crate) fn cancel_sync(&mut self, snapshot: &Snapshot) {
        if let Some(place) = self.syncing.iter().position(|change| *change == snapshot.change) {
            self.syncing.remove(place);
        }
    }

    /// Makes all of it durable, as the kernel does with what was unsynced for long.
    pub(crate) fn write_back(&mut self) {
        self.unsynced.retain(|_, sector| sector.forgotten);
        self.durable_length = self.length;
    }

    /// Leaves what a loss of power leaves: each unsynced sector as it is, as it was, or torn; and one of the lengths.
    /// Returns how many bytes that programs saw are gone.
    pub(crate) fn lose_power(&mut self, chance: &mut Stream) -> u64 {
        let seen_bytes = self.length.bytes;
        let length = self.surviving_length(chance);
        let kept = chance.unit() * (1.0 - TORN);
        let mut lost_bytes = 0;
        for (sector, unsynced) in std::mem::take(&mut self.unsynced) {
            let newest = self.sector(sector);
            let left = unsynced.survivor(&newest, kept, self.sector_bytes, chance);
            let start = sector * self.sector_bytes;
            if start >= length || left != newest {
                lost_bytes += seen_bytes.saturating_sub(start).min(self.sector_bytes);
                self.put_sector(sector, left.as_deref());
            }
        }
        self.cut_off(length);
        self.length.bytes = length;
        self.durable_length = self.length;
        self.syncing.clear();
        lost_bytes
    }

    /// What of a file that grew: any length on the way; of one that shrank, the one or the other.
    fn surviving_length(&self, chance: &mut Stream) -> u64 {
        let (old, new) = (self.durable_length.bytes, self.length.bytes);
        match chance.below(0..3) {
            0 => old,
            1 => new,
            _ if old < new => chance.below(old..new),
            _ => new,
        }
    }

    fn change_length(&mut self, length: u64, chance: &mut Stream) {
        if self.length.bytes != self.durable_length.bytes && chance.chance(WRITTEN_BACK) {
            self.durable_length = self.length;
        }
        self.length = Length { bytes: length, change: self.change };
    }

    /// Notes that the current change is about to overwrite `sector`.
    fn overwrite(&mut self, sector: u64, chance: &mut Stream) {
        let change = self.change;
        let Some(unsynced) = self.unsynced.get(&sector) else {
            let durable = Version { change: 0, bytes: self.sector(sector) };
            self.unsynced
                .insert(sector, Unsynced { change, durable, captured: Vec::new(), forgotten: false });
            return;
        };
        if unsynced.change == change {
            return;
        }
        if unsynced.forgotten {
            let unsynced = self.unsynced.get_mut(&sector).expect("it was there a line ago");
            (unsynced.change, unsynced.forgotten) = (change, false);
            return;
        }
        let covered = self.syncing.last().is_some_and(|syncing| *syncing >= unsynced.change);
        let before = (covered || chance.chance(WRITTEN_BACK))
            .then(|| Version { change: unsynced.change, bytes: self.sector(sector) });
        let unsynced = self.unsynced.get_mut(&sector).expect("it was there a line ago");
        unsynced.change = change;
        match before {
            Some(version) if covered => unsynced.captured.push(version),
            Some(version) => {
                unsynced.durable = version;
                unsynced.captured.clear();
            }
            None => {}
        }
    }

    /// Forgets unsynced sectors that are holes and never were anything else on the medium.
    fn forget_holes(&mut self) {
        let (chunks, sector_bytes) = (&self.chunks, self.sector_bytes);
        self.unsynced.retain(|sector, unsynced| {
            let hole = sector_range(chunks, *sector, sector_bytes).is_none();
            !(hole && unsynced.durable.bytes.is_none() && unsynced.captured.is_empty())
        });
    }

    /// Frees all that lies beyond `length`.
    fn cut_off(&mut self, length: u64) {
        let (number, within) = (length / self.chunk_bytes(), index(length % self.chunk_bytes()));
        let beyond = self.chunks.split_off(&(number + u64::from(within > 0)));
        let freed: u64 = beyond.values().map(|chunk| self.rounded_up(chunk.bytes.len())).sum();
        self.allocated_bytes -= freed;
        if let Some(chunk) = self.chunks.get_mut(&number) {
            let held = chunk.bytes.len();
            chunk.bytes.truncate(within);
            chunk.bytes.shrink_to_fit();
            self.allocated_bytes -= self.rounded_up(held) - self.rounded_up(within.min(held));
        }
    }

    fn sector(&self, sector: u64) -> Sector {
        let held = sector_range(&self.chunks, sector, self.sector_bytes)?;
        if held.iter().all(|byte| *byte == 0) {
            return None;
        }
        let mut bytes = Vec::with_capacity(index(self.sector_bytes));
        bytes.extend_from_slice(held);
        bytes.resize(index(self.sector_bytes), 0);
        Some(bytes.into())
    }

    fn put_sector(&mut self, sector: u64, bytes: Option<&[u8]>) {
        let start = index(sector % CHUNK_SECTORS * self.sector_bytes);
        let end = start + index(self.sector_bytes);
        let chunk = self.chunks.entry(sector / CHUNK_SECTORS).or_default();
        let held = chunk.bytes.len();
        match bytes {
            Some(bytes) => {
                chunk.bytes.resize(held.max(end), 0);
                chunk.bytes[start..end].copy_from_slice(bytes);
            }
            None if start < held => chunk.bytes[start..end.min(held)].fill(0),
            None => {}
        }
        let grown = chunk.bytes.len();
        self.allocated_bytes += self.rounded_up(grown) - self.rounded_up(held);
    }

    fn chunk_bytes(&self) -> u64 {
        CHUNK_SECTORS * self.sector_bytes
    }

    fn rounded_up(&self, bytes: usize) -> u64 {
        (bytes as u64).next_multiple_of(self.sector_bytes)
    }
}

impl Unsynced {
    /// What a loss of power leaves of the sector, of which `newest` is what programs saw.
    fn survivor(self, newest: &Sector, kept: f64, sector_bytes: u64, chance: &mut Stream) -> Sector {
        if self.forgotten {
            return self.durable.bytes;
        }
        let fate = chance.unit();
        if fate < kept {
            return newest.clone();
        }
        let mut versions = vec![self.durable.bytes];
        versions.extend(self.captured.into_iter().map(|version| version.bytes));
        let older = versions.swap_remove(index(chance.below(0..versions.len() as u64)));
        if fate < 1.0 - TORN {
            return older;
        }
        let torn_at = index(chance.below(1..sector_bytes.max(2)));
        let blank = || vec![0; index(sector_bytes)].into_boxed_slice();
        let mut torn = older.unwrap_or_else(blank);
        let end = torn_at.min(torn.len());
        torn[..end].copy_from_slice(&newest.clone().unwrap_or_else(blank)[..end]);
        Some(torn)
    }
}

/// The part of the range from `offset` to `end` in each chunk: the chunk's number, and from where to where within it.
fn pieces(offset: u64, end: u64, chunk_bytes: u64) -> impl Iterator<Item = (u64, usize, usize)> {
    let numbers = if offset < end { offset / chunk_bytes..end.div_ceil(chunk_bytes) } else { 0..0 };
    numbers.map(move |number| {
        let start = number * chunk_bytes;
        (number, index(offset.max(start) - start), index(end.min(start + chunk_bytes) - start))
    })
}

/// The bytes of `sector` that its chunk holds; none where it is a hole.
fn sector_range(chunks: &BTreeMap<u64, Chunk>, sector: u64, sector_bytes: u64) -> Option<&[u8]> {
    let held = &chunks.get(&(sector / CHUNK_SECTORS))?.bytes;
    let start = index(sector % CHUNK_SECTORS * sector_bytes);
    let end = (start + index(sector_bytes)).min(held.len());
    (start < end).then(|| &held[start..end])
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("offsets within a chunk or a buffer fit the memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const SECTOR: u32 = 4;

    fn left(seed: u64, make: impl Fn(&mut Content, &mut Stream)) -> Bytes {
        let mut chance = Stream::named(seed, "power");
        let mut content = Content::new(SECTOR);
        make(&mut content, &mut chance);
        content.lose_power(&mut chance);
        assert!(!content.is_unsynced());
        let length = index(content.length());
        content.read(0, length, 1).0
    }

    fn write(content: &mut Content, offset: u64, bytes: &[u8], chance: &mut Stream) {
        content.write(offset, bytes, 1, chance);
    }

    #[test]
    fn every_fate_of_a_sector_comes_about() {
        let fates: BTreeSet<_> = (0..400)
            .map(|seed| {
                left(seed, |content, chance| {
                    write(content, 0, b"aaaa", chance);
                    let synced = content.begin_sync();
                    content.end_sync(&synced);
                    write(content, 0, b"bbbb", chance);
                    write(content, 0, b"cccc", chance);
                })
            })
            .collect();
        for fate in [&b"aaaa"[..], b"bbbb", b"cccc", b"caaa", b"ccca", b"cbbb"] {
            assert!(fates.contains(fate), "{fate:?} is not among {fates:?}");
        }
    }

    #[test]
    fn a_file_that_grew_has_any_length_on_the_way() {
        let lengths: BTreeSet<_> = (0..400)
            .map(|seed| left(seed, |content, chance| write(content, 0, b"123456789", chance)).len())
            .collect();
        assert_eq!(lengths, (0..=9).collect());
    }

    #[test]
    fn what_is_written_during_a_sync_is_not_part_of_it() {
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let bytes = left(seed, |content, chance| {
                write(content, 0, b"aaaa", chance);
                let synced = content.begin_sync();
                write(content, 0, b"bbbb", chance);
                write(content, 0, b"cccc", chance);
                content.end_sync(&synced);
            });
            assert!(bytes.len() == 4 && !bytes.contains(&0), "the sync was of `aaaa`: {bytes:?}");
            seen.insert(bytes);
        }
        assert!(seen.contains(&b"aaaa"[..]) && seen.contains(&b"cccc"[..]), "{seen:?}");
    }

    #[test]
    fn only_what_is_there_takes_up_place() {
        let mut chance = Stream::named(1, "place");
        let mut content = Content::new(SECTOR);
        write(&mut content, 1_000_000, b"12345", &mut chance);
        assert_eq!(content.allocated_bytes(), 72, "from the beginning of its chunk");
        assert_eq!(content.unsynced_bytes(), 8);
        content.set_length(0, &mut chance);
        assert_eq!((content.allocated_bytes(), content.length()), (0, 0));
        assert!(content.unsynced_bytes() <= 8, "what may have been written back, not the hole before it");
    }
}
