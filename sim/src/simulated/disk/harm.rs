//! What faults do to a disk besides taking its time: operations that fail, and data that is not what was written.

use crate::rng::Stream;
use std::collections::BTreeMap;
use std::io;

/// What a fault does to a disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    /// Nothing finds room.
    Full,
    /// Every operation fails.
    Dead,
    /// Operations fail by chance; where it is `once`, no more after the first.
    Error { probability: f64, once: bool },
    /// Syncs fail by chance and forget what they were to make durable.
    FailedSync { probability: f64 },
    /// Writes land elsewhere in their file by chance.
    Misdirect { probability: f64 },
    /// Writes of several sectors end in the middle by chance.
    Tear { probability: f64 },
}

/// How a sync ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncEnd {
    Good,
    /// It says that it failed; what it was to make durable is as unsynced as before.
    Fails,
    /// It says so, and what it was to make durable is forgotten.
    Forgets,
}

/// The faults under way at one disk.
pub(crate) struct Harms {
    under_way: BTreeMap<u32, Harm>,
    chance: Stream,
}

impl Harms {
    pub(crate) fn new(chance: Stream) -> Self {
        Self { under_way: BTreeMap::new(), chance }
    }

    pub(crate) fn add(&mut self, fault: u32, harm: Harm) {
        self.under_way.insert(fault, harm);
    }

    pub(crate) fn heal(&mut self, fault: u32) {
        self.under_way.remove(&fault);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.under_way.values().any(|harm| matches!(harm, Harm::Full))
    }

    pub(crate) fn is_dead(&self, fault: u32) -> bool {
        matches!(self.under_way.get(&fault), Some(Harm::Dead))
    }

    /// Whether an operation that is asked for now fails.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        if self.under_way.is_empty() {
            return Ok(());
        }
        let chance = &mut self.chance;
        let fails = self.under_way.iter().find_map(|(fault, harm)| match harm {
            Harm::Dead => Some((*fault, false)),
            Harm::Error { probability, once } if chance.chance(*probability) => Some((*fault, *once)),
            _ => None,
        });
        let Some((fault, last)) = fails else { return Ok(()) };
        if last {
            self.under_way.remove(&fault);
        }
        Err(failure())
    }

    /// How a sync that is asked for now will end.
    pub(crate) fn sync_end(&mut self) -> SyncEnd {
        if self.check().is_err() {
            return SyncEnd::Fails;
        }
        let chance = &mut self.chance;
        let forgets = self.under_way.values().any(|harm| match harm {
            Harm::FailedSync { probability } => chance.chance(*probability),
            _ => false,
        });
        if forgets { SyncEnd::Forgets } else { SyncEnd::Good }
    }

    /// Where a write of `length` bytes at `offset` lands in a file of `file_bytes`, and how many of its bytes do; none
    /// where all goes well.
    pub(crate) fn astray(
        &mut self,
        offset: u64,
        length: usize,
        file_bytes: u64,
        sector_bytes: u64,
    ) -> Option<(u64, usize)> {
        for harm in self.under_way.values() {
            match *harm {
                Harm::Misdirect { probability } if self.chance.chance(probability) => {
                    let sectors = file_bytes.div_ceil(sector_bytes).max(1);
                    let elsewhere = self.chance.below(0..sectors) * sector_bytes + offset % sector_bytes;
                    if elsewhere != offset {
                        return Some((elsewhere, length));
                    }
                }
                Harm::Tear { probability } if self.chance.chance(probability) => {
                    // To the end of some sector but the last.
                    let to_boundary = sector_bytes - offset % sector_bytes;
                    let whole = (length as u64).saturating_sub(to_boundary + 1) / sector_bytes + 1;
                    let kept = to_boundary + self.chance.below(0..whole) * sector_bytes;
                    if kept < length as u64 {
                        return Some((offset, usize::try_from(kept).expect("less than the length")));
                    }
                }
                _ => {}
            }
        }
        None
    }

    pub(crate) fn chance(&mut self) -> &mut Stream {
        &mut self.chance
    }
}

/// What a disk says that fails: `EIO`, as kernels do.
pub(crate) fn failure() -> io::Error {
    io::Error::other("the disk failed (input/output error)")
}
