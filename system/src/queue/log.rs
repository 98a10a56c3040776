//! The write-ahead log and the snapshots: what a replica must not forget, on its disk.
//!
//! ```text
//! /queue/log/0000000000000001.log     segments: batches of records, each written and synced as one
//! /queue/snapshots/0000000000004711.snapshot   the state after so many slots; only the latest is kept
//! ```
//! A segment begins with the highest promise, and what a replica without one has drawn, so that those before it can go once a snapshot covers their slots. What
//! was being written when the power went is cut off. What had been durable and is not whole any more is reported: a
//! replica that goes on without it could break its promises, so it must not vote.

mod segment;
mod snapshot;

pub use snapshot::{Snapshot, load_snapshot, save_snapshot};

use super::paxos::{Ballot, Durable, Record, Slot};
use bytes::Bytes;
use segment::HEAD_BYTES;
use sim::fs;
use std::collections::VecDeque;
use std::io;

const DIRECTORY: &str = "/queue/log";
/// A segment that has reached this length gets no more batches.
const SEGMENT_BYTES: u64 = 1 << 20;

/// Whether what is acknowledged is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is: every batch is synced.
    Disk,
    /// It is not: nothing is ever synced. Unsafe, and there to show what syncing is for.
    Memory,
}

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Disk(#[from] io::Error),
    /// What was durable is not whole.
    #[error("`{file}` is damaged at byte {offset}, which was durable once")]
    Damaged {
        /// The file.
        file: String,
        /// Where the first damage is.
        offset: u64,
    },
    /// Files that must be there are not.
    #[error("the log has a hole: {0}")]
    Hole(String),
}

/// An open log.
pub struct Log {
    durability: Durability,
    /// All segments, the last of them open.
    segments: VecDeque<Segment>,
    file: fs::File,
    /// Where the next batch goes.
    end: u64,
    /// How much of the open segment is durable.
    synced: u64,
    memory: Memory,
}

/// What the first segment must say, whatever was said in those that are gone.
#[derive(Clone, Copy, Debug)]
struct Memory {
    promised: Ballot,
    /// What a replica has drawn that remembers no promise.
    nonce: Option<u64>,
}

impl Memory {
    fn records(self) -> Vec<Record> {
        let draw = self.nonce.filter(|_| self.promised == Ballot::NONE).map(|nonce| Record::Draw { nonce });
        [Record::Promise { ballot: self.promised }].into_iter().chain(draw).collect()
    }
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u64,
    /// The highest slot that a record in it is about.
    last: Slot,
}

impl Log {
    /// Opens the log, or makes an empty one. Takes its records into `durable`, which holds what the snapshot says.
    ///
    /// # Errors
    /// [`LogError::Damaged`] and [`LogError::Hole`] where this replica must not vote.
    pub async fn open(durability: Durability, durable: &mut Durable) -> Result<Self, LogError> {
        make_directory(durability, DIRECTORY).await?;
        let mut segments = VecDeque::new();
        let mut open = None;
        let numbers = segment_numbers().await?;
        for (place, number) in numbers.iter().copied().enumerate() {
            let before: Option<&Segment> = segments.back();
            if before.is_some_and(|before| before.number + 1 != number) {
                remove_covered(&mut segments, durable.compacted, number).await?;
            }
            let bytes = fs::read(&path_of(number)).await?;
            let scan = segment::scan(number, &bytes);
            if scan.damaged {
                return Err(LogError::Damaged { file: path_of(number), offset: scan.end });
            }
            let last = scan.records.iter().map(last_slot).max().unwrap_or(0);
            scan.records.into_iter().for_each(|record| durable.replay(record));
            segments.push_back(Segment { number, last });
            open = Some(scan.end);
            let torn = scan.end < bytes.len() as u64 || scan.sealed.is_none();
            if torn {
                sim::sometimes!(scan.end < bytes.len() as u64, "a log ends within a record");
                cut_off_behind(durability, number, scan.end, numbers.get(place + 1).copied()).await?;
                break;
            }
        }
        if let Some(gap) = durable.gap() {
            return Err(LogError::Hole(format!("slot {gap} was chosen and is not there")));
        }
        let memory = Memory { promised: durable.promised, nonce: durable.nonce };
        let log = match open {
            Some(end) if end >= HEAD_BYTES as u64 => Self::resume(durability, segments, end, memory).await?,
            // No segment, or one that never got its head.
            _ => {
                let number = segments.pop_back().map_or(1, |segment| segment.number);
                Self::begin(durability, segments, number, memory).await?
            }
        };
        Ok(log)
    }

    /// Opens the last segment, cut off at `end`, for more.
    async fn resume(
        durability: Durability,
        segments: VecDeque<Segment>,
        end: u64,
        memory: Memory,
    ) -> io::Result<Self> {
        let number = segments.back().expect("it has a last segment").number;
        let file = fs::OpenOptions::new().read(true).write(true).open(&path_of(number)).await?;
        if file.len().await? > end {
            file.set_len(end).await?;
        }
        if durability == Durability::Memory {
            return Ok(Self { durability, segments, file, end, synced: 0, memory });
        }
        // What was read may have been in the cache only; and after a sync that failed, no sync but that of a new write would
        // bring it to the medium (Rebello et al. 2020, "Can applications recover from fsync failures?").
        let bytes = file.read_at(0, usize::try_from(end).unwrap_or(usize::MAX)).await?;
        file.write_at(0, bytes).await?;
        file.sync_data().await?;
        Ok(Self { durability, segments, file, end, synced: end, memory })
    }

    /// Makes segment `number` and opens it.
    async fn begin(
        durability: Durability,
        mut segments: VecDeque<Segment>,
        number: u64,
        memory: Memory,
    ) -> io::Result<Self> {
        let options = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true);
        let file = options.open(&path_of(number)).await?;
        file.write_at(0, segment::head(number, durability == Durability::Disk)).await?;
        segments.push_back(Segment { number, last: 0 });
        let mut log = Self { durability, segments, file, end: HEAD_BYTES as u64, synced: 0, memory };
        log.write(&memory.records()).await?;
        if durability == Durability::Disk {
            fs::sync_dir(DIRECTORY).await?;
        }
        Ok(log)
    }

    /// Adds records behind all others. On return they are durable, where this log is.
    ///
    /// # Errors
    /// Where the disk fails; then nothing is known about what is durable, and the log must not be used any more.
    pub async fn append(&mut self, records: &[Record]) -> io::Result<()> {
        self.write(records).await?;
        if self.end >= SEGMENT_BYTES {
            let segments = std::mem::take(&mut self.segments);
            let number = segments.back().expect("it has a last segment").number + 1;
            *self = Self::begin(self.durability, segments, number, self.memory).await?;
        }
        Ok(())
    }

    /// Removes segments whose slots are all at or below `slot`, which a durable snapshot covers.
    ///
    /// # Errors
    /// Where the disk fails.
    pub async fn forget(&mut self, slot: Slot) -> io::Result<()> {
        let mut removed = false;
        while self.segments.len() > 1 && self.segments[0].last <= slot {
            let segment = self.segments.pop_front().expect("more than one");
            fs::remove_file(&path_of(segment.number)).await?;
            removed = true;
        }
        if removed && self.durability == Durability::Disk {
            fs::sync_dir(DIRECTORY).await?;
        }
        Ok(())
    }

    /// Writes a batch behind all others, durably where this log is.
    async fn write(&mut self, records: &[Record]) -> io::Result<()> {
        let segment = self.segments.back_mut().expect("it has a last segment");
        for record in records {
            segment.last = segment.last.max(last_slot(record));
            match record {
                Record::Promise { ballot } | Record::Accept { ballot, .. } => {
                    self.memory.promised = self.memory.promised.max(*ballot);
                }
                Record::Draw { nonce } => self.memory.nonce = Some(*nonce),
                Record::Learn { .. } => {}
            }
        }
        let batch = segment::batch(segment.number, self.end, self.synced, records);
        let end = self.end + batch.len() as u64;
        match self.durability {
            Durability::Disk => {
                self.file.write_synced_at(self.end, batch).await?;
                self.synced = end;
            }
            Durability::Memory => self.file.write_at(self.end, batch).await?,
        }
        self.end = end;
        Ok(())
    }
}

/// The highest slot that `record` is about.
fn last_slot(record: &Record) -> Slot {
    match record {
        Record::Promise { .. } | Record::Draw { .. } => 0,
        Record::Accept { slot, .. } => *slot,
        Record::Learn { first, values } => first + (values.len() as u64).saturating_sub(1),
    }
}

/// Before segment `number` some are missing. That is well where those before are covered by the snapshot: they were being
/// removed, and the disk remembers removals in any order.
async fn remove_covered(
    segments: &mut VecDeque<Segment>,
    covered: Slot,
    number: u64,
) -> Result<(), LogError> {
    if segments.iter().any(|segment| segment.last > covered) {
        return Err(LogError::Hole(format!("a segment is missing before `{}`", path_of(number))));
    }
    for segment in segments.drain(..) {
        fs::remove_file(&path_of(segment.number)).await?;
    }
    Ok(())
}

/// What lies behind `end` of segment `number` was never durable, or the next segment's head would say that it was.
async fn cut_off_behind(
    durability: Durability,
    number: u64,
    end: u64,
    next: Option<u64>,
) -> Result<(), LogError> {
    let Some(next) = next else { return Ok(()) };
    let bytes = fs::read(&path_of(next)).await?;
    if durability == Durability::Disk || segment::scan(next, &bytes).sealed == Some(true) {
        return Err(LogError::Damaged { file: path_of(number), offset: end });
    }
    for later in segment_numbers().await?.into_iter().filter(|later| *later > number) {
        fs::remove_file(&path_of(later)).await?;
    }
    fs::sync_dir(DIRECTORY).await?;
    Ok(())
}

async fn segment_numbers() -> io::Result<Vec<u64>> {
    let names = fs::read_dir(DIRECTORY).await?;
    let numbers = names.iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok());
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn path_of(number: u64) -> String {
    format!("{DIRECTORY}/{number:016}.log")
}

/// Removes all that a replica keeps of the order: for one that never syncs and found less than it needs.
///
/// # Errors
/// Where the disk fails.
pub async fn wipe() -> io::Result<()> {
    for directory in [DIRECTORY, snapshot::DIRECTORY] {
        if fs::exists(directory).await {
            for name in fs::read_dir(directory).await? {
                fs::remove_file(&format!("{directory}/{name}")).await?;
            }
        }
    }
    Ok(())
}

/// Makes a directory below `/queue`, durably where asked, with the names that are in it: a process that was killed may
/// have left them in the cache only, where another finds them until the power goes.
pub(crate) async fn make_directory(durability: Durability, path: &str) -> io::Result<()> {
    fs::create_dir_all(path).await?;
    if durability == Durability::Disk {
        for directory in ["/", "/queue", path] {
            fs::sync_dir(directory).await?;
        }
    }
    Ok(())
}

/// Writes a file so that either all of it is there under its name or nothing.
pub(super) async fn write_whole(
    durability: Durability,
    directory: &str,
    name: &str,
    bytes: Bytes,
) -> io::Result<()> {
    let (path, temporary) = (format!("{directory}/{name}"), format!("{directory}/{name}.new"));
    let options = fs::OpenOptions::new().write(true).create(true).truncate(true);
    let file = options.open(&temporary).await?;
    file.write_at(0, bytes).await?;
    if durability == Durability::Disk {
        file.sync_data().await?;
    }
    fs::rename(&temporary, &path).await?;
    if durability == Durability::Disk {
        fs::sync_dir(directory).await?;
    }
    Ok(())
}
