//! The blobs of one replica, on its disk: an index in memory over files that are only ever added to.

use super::segment::{self, HEAD_BYTES, Head};
use crate::queue::log::{Durability, make_directory};
use crate::queue::state::{AsOf, BLOB_WINDOW_NS};
use bytes::{BufMut, Bytes, BytesMut};
use sim::fs::{self, File};
use sim::history::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot};

const DIRECTORY: &str = "/queue/blobs";
/// A segment that has reached this length gets no more blobs.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Blobs that are written before one sync, at most.
const GROUP_BLOBS: usize = 128;
/// Smaller blobs are copied behind their heads, to be written as one.
const JOINED_BYTES_MAX: usize = 16 << 10;

/// A way to one replica's blobs. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Mutex<Shared>>,
    /// What waits is bounded by those who wait for it.
    work: mpsc::UnboundedSender<Work>,
    /// Told when a blob is needed that is not there.
    missing: Arc<Notify>,
}

struct Shared {
    index: BTreeMap<Digest, Place>,
    segments: BTreeMap<u64, Segment>,
    /// How far this replica has applied the order.
    as_of: AsOf,
    /// What the state needs.
    needed: BTreeSet<Digest>,
    /// When each blob was stored, in the state's time, oldest first: some are never needed.
    stored: BTreeSet<(u64, Digest)>,
}

#[derive(Clone, Copy)]
struct Place {
    segment: u64,
    offset: u64,
    head: Head,
}

struct Segment {
    file: Arc<File>,
    /// Blobs in it that the index knows.
    live: u64,
    live_bytes: u64,
    bytes: u64,
    open: bool,
}

enum Work {
    Put(Put),
    Remove(u64),
}

struct Put {
    digest: Digest,
    bytes: Bytes,
    /// Where the blob is only moved: as of when it was stored.
    moved: Option<AsOf>,
    /// Called once the blob is durable, where the store is.
    stored: Box<dyn FnOnce(AsOf) + Send + Sync>,
}

/// Writes what the store is given; to be run as a task of its own.
pub struct Writer {
    shared: Arc<Mutex<Shared>>,
    work: mpsc::UnboundedReceiver<Work>,
    durability: Durability,
    number: u64,
    file: Arc<File>,
    end: u64,
}

impl Store {
    /// Opens the store, or makes an empty one. `needed` is what the state needs that the replica starts with.
    ///
    /// # Errors
    /// Where the disk fails.
    pub async fn open(
        durability: Durability,
        needed: BTreeSet<Digest>,
        as_of: AsOf,
    ) -> io::Result<(Self, Writer)> {
        make_directory(durability, DIRECTORY).await?;
        let names = fs::read_dir(DIRECTORY).await?;
        let numbers: Vec<u64> =
            names.iter().filter_map(|name| name.strip_suffix(".blobs")?.parse().ok()).collect();
        let (index, segments, stored) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut shared = Shared { index, segments, as_of, needed, stored };
        for number in &numbers {
            shared.load(durability, *number, numbers.last() == Some(number)).await?;
        }
        let number = numbers.last().copied().unwrap_or(0) + 1;
        let (sender, work) = mpsc::unbounded_channel();
        let shared = Arc::new(Mutex::new(shared));
        let (file, end) = begin_segment(durability, &shared, number).await?;
        let writer = Writer { shared: shared.clone(), work, durability, number, file, end };
        let store = Self { shared, work: sender, missing: Arc::new(Notify::new()) };
        store.sweep();
        store.missing.notify_one();
        Ok((store, writer))
    }

    /// Stores a blob; on return it is durable, where the store is. Returns how far the order was applied before.
    ///
    /// # Errors
    /// Where the store is gone, as after a failure of the disk.
    pub async fn put(&self, digest: Digest, bytes: Bytes) -> io::Result<AsOf> {
        self.write(digest, bytes, None).await
    }

    /// As [`Store::put`] for one who does not wait: `stored` is called with what it returns, and dropped where it fails.
    pub fn begin_put(&self, digest: Digest, bytes: Bytes, stored: impl FnOnce(AsOf) + Send + Sync + 'static) {
        // An error means that the store has ended.
        let _ = self.work.send(Work::Put(Put { digest, bytes, moved: None, stored: Box::new(stored) }));
    }

    async fn write(&self, digest: Digest, bytes: Bytes, moved: Option<AsOf>) -> io::Result<AsOf> {
        let (done, told) = oneshot::channel();
        let stored = Box::new(move |as_of| {
            // Nobody may be waiting any more.
            let _ = done.send(as_of);
        });
        // An error means that the store has ended, of which the receiver hears too.
        let _ = self.work.send(Work::Put(Put { digest, bytes, moved, stored }));
        told.await.map_err(|_| io::Error::other("the store has ended"))
    }

    /// The blob's bytes; none where it is not there or not whole.
    ///
    /// # Errors
    /// Where the disk fails, which says nothing of what it holds.
    pub async fn get(&self, digest: Digest) -> io::Result<Option<Bytes>> {
        let found = {
            let shared = lock(&self.shared);
            let place = shared.index.get(&digest).copied();
            place.and_then(|place| Some((place, shared.segments.get(&place.segment)?.file.clone())))
        };
        let Some((place, file)) = found else { return Ok(None) };
        let bytes = file.read_at(place.offset, place.head.length as usize).await?;
        let whole = Some(bytes).filter(|bytes| crc32fast::hash(bytes) == place.head.check);
        if whole.is_none() {
            // The disk lost it: another replica has it.
            self.discard(digest, |found| found.offset == place.offset && found.segment == place.segment);
            self.missing.notify_one();
        }
        Ok(whole)
    }

    /// The replica has applied the order so far. Throws away what was stored long ago and never needed.
    pub fn applied(&self, as_of: AsOf) {
        let old: Vec<_> = {
            let mut shared = lock(&self.shared);
            shared.as_of = as_of;
            let limit = as_of.clock_ns.saturating_sub(BLOB_WINDOW_NS);
            let old = |(clock_ns, _): &(u64, Digest)| *clock_ns < limit;
            let mut digests = Vec::new();
            while shared.stored.first().is_some_and(old) {
                digests.extend(shared.stored.pop_first());
            }
            digests.retain(|(_, digest)| !shared.needed.contains(digest));
            digests
        };
        for (clock_ns, digest) in old {
            self.discard(digest, |place| place.head.as_of.clock_ns == clock_ns);
        }
    }

    /// The state needs a blob.
    pub fn hold(&self, digest: Digest) {
        let mut shared = lock(&self.shared);
        shared.needed.insert(digest);
        if !shared.index.contains_key(&digest) {
            self.missing.notify_one();
        }
    }

    /// The state does not need a blob any more, as of `position`.
    pub fn release(&self, digest: Digest, position: u64) {
        lock(&self.shared).needed.remove(&digest);
        self.discard(digest, |place| place.head.as_of.position < position);
    }

    /// The state was replaced by one that needs these.
    pub fn replace_needed(&self, needed: BTreeSet<Digest>, as_of: AsOf) {
        {
            let mut shared = lock(&self.shared);
            shared.needed = needed;
            shared.as_of = as_of;
        }
        self.sweep();
        self.missing.notify_one();
    }

    /// Blobs that are needed and not there.
    pub fn missing(&self) -> Vec<Digest> {
        let shared = lock(&self.shared);
        shared.needed.iter().filter(|digest| !shared.index.contains_key(digest)).copied().collect()
    }

    /// Waits until a blob may be missing.
    pub async fn until_missing(&self) {
        self.missing.notified().await;
    }

    /// Blobs of segments that hold little else than what was thrown away: to be moved, so that the files can go.
    pub async fn compact(&self) {
        let sparse: Vec<_> = {
            let shared = lock(&self.shared);
            let segments = &shared.segments;
            let is_sparse = |place: &Place| segments.get(&place.segment).is_some_and(Segment::is_sparse);
            let places = shared.index.iter().filter(|(_, place)| is_sparse(place));
            places.map(|(digest, place)| (*digest, place.head.as_of)).collect()
        };
        for (digest, as_of) in sparse {
            if let Ok(Some(bytes)) = self.get(digest).await
                && self.write(digest, bytes, Some(as_of)).await.is_err()
            {
                return;
            }
        }
    }

    /// Throws away all that was stored before the state knew of it and is not needed, and files without blobs.
    fn sweep(&self) {
        let (empty, dropped) = {
            let shared = lock(&self.shared);
            let unneeded = |digest: &&Digest| !shared.needed.contains(digest);
            // Stored within the window: a command may still refer to it.
            let limit = shared.as_of.clock_ns.saturating_sub(BLOB_WINDOW_NS);
            let old = |digest: &&Digest| shared.index[*digest].head.as_of.clock_ns < limit;
            let dropped: Vec<_> = shared.index.keys().filter(unneeded).filter(old).copied().collect();
            let empty = shared.segments.iter().filter(|(_, segment)| segment.live == 0 && !segment.open);
            (empty.map(|(number, _)| *number).collect::<Vec<_>>(), dropped)
        };
        for digest in dropped {
            self.discard(digest, |_| true);
        }
        for number in empty {
            // A file that stays since the store has ended goes when the replica starts next.
            let _ = self.work.send(Work::Remove(number));
        }
    }

    fn discard(&self, digest: Digest, really: impl FnOnce(&Place) -> bool) {
        let empty = {
            let mut shared = lock(&self.shared);
            match shared.index.get(&digest).copied() {
                Some(place) if really(&place) => shared.unlink(digest, place),
                _ => None,
            }
        };
        if let Some(number) = empty {
            let _ = self.work.send(Work::Remove(number));
        }
    }
}

impl Writer {
    /// Writes until the store is gone.
    ///
    /// # Errors
    /// Where the disk fails; then nothing is known about what is durable.
    pub async fn run(mut self) -> io::Result<()> {
        while let Some(work) = self.work.recv().await {
            let mut group = Vec::new();
            let mut next = Some(work);
            while let Some(work) = next.take() {
                match work {
                    Work::Put(put) => group.push(put),
                    Work::Remove(number) => self.remove(number).await?,
                }
                if group.len() < GROUP_BLOBS {
                    next = self.work.try_recv().ok();
                }
            }
            self.write(group).await?;
        }
        Ok(())
    }

    /// Writes a group behind all others, with one sync.
    async fn write(&mut self, group: Vec<Put>) -> io::Result<()> {
        if group.is_empty() {
            return Ok(());
        }
        let now = lock(&self.shared).as_of;
        let mut places = Vec::with_capacity(group.len());
        // What small blobs and heads are to be written, and where.
        let (mut joined, mut begin) = (BytesMut::new(), self.end);
        for put in &group {
            let length = u32::try_from(put.bytes.len()).map_err(io::Error::other)?;
            let as_of = put.moved.unwrap_or(now);
            let head = Head { digest: put.digest, length, as_of, check: crc32fast::hash(&put.bytes) };
            joined.put_slice(&segment::write_head(&head, self.number, self.end));
            let offset = self.end + HEAD_BYTES as u64;
            self.end = offset + u64::from(length);
            if put.bytes.len() <= JOINED_BYTES_MAX {
                joined.put_slice(&put.bytes);
            } else {
                self.file.write_at(begin, joined.split().freeze()).await?;
                self.file.write_at(offset, put.bytes.clone()).await?;
                begin = self.end;
            }
            places.push(Place { segment: self.number, offset, head });
        }
        match self.durability {
            Durability::Disk => self.file.write_synced_at(begin, joined.freeze()).await?,
            Durability::Memory => self.file.write_at(begin, joined.freeze()).await?,
        }
        let mut empty = Vec::new();
        for (put, place) in group.into_iter().zip(places) {
            empty.extend(lock(&self.shared).link(place));
            (put.stored)(place.head.as_of);
        }
        if self.end >= SEGMENT_BYTES {
            self.number += 1;
            empty.extend(close_segment(&self.shared, self.number - 1));
            (self.file, self.end) = begin_segment(self.durability, &self.shared, self.number).await?;
        }
        for number in empty {
            self.remove(number).await?;
        }
        Ok(())
    }

    async fn remove(&self, number: u64) -> io::Result<()> {
        // Blobs may have been moved there since.
        let removed = {
            let mut shared = lock(&self.shared);
            let removable =
                shared.segments.get(&number).is_some_and(|segment| segment.live == 0 && !segment.open);
            removable.then(|| shared.segments.remove(&number)).flatten()
        };
        if removed.is_some() {
            fs::remove_file(&path_of(number)).await?;
        }
        Ok(())
    }
}

impl Shared {
    async fn load(&mut self, durability: Durability, number: u64, is_last: bool) -> io::Result<()> {
        let file = fs::OpenOptions::new().read(true).write(is_last).open(&path_of(number)).await?;
        let mut places = Vec::new();
        let found = |head, offset| places.push(Place { segment: number, offset, head });
        let bytes = segment::scan(&file, number, is_last, found).await?;
        if is_last && bytes < file.len().await? {
            // It was being written when the power went; nobody was told that it is there.
            file.set_len(bytes).await?;
        }
        if is_last && durability == Durability::Disk {
            // What was read may have been in the cache only.
            file.sync_data().await?;
        }
        let segment = Segment { file: Arc::new(file), live: 0, live_bytes: 0, bytes, open: false };
        self.segments.insert(number, segment);
        for place in places {
            self.link(place);
        }
        Ok(())
    }

    /// The blob is here now; the number of a file that has none left because of it.
    fn link(&mut self, place: Place) -> Option<u64> {
        let digest = place.head.digest;
        let before = self.index.insert(digest, place);
        let empty = before.and_then(|before| self.forget(digest, before));
        self.stored.insert((place.head.as_of.clock_ns, digest));
        let segment = self.segments.get_mut(&place.segment).expect("it was written to");
        segment.live += 1;
        segment.live_bytes += u64::from(place.head.length);
        segment.bytes = segment.bytes.max(place.offset + u64::from(place.head.length));
        empty.filter(|number| *number != place.segment)
    }

    /// The blob is not here any more; the number of a file that has none left because of it.
    fn unlink(&mut self, digest: Digest, place: Place) -> Option<u64> {
        self.index.remove(&digest);
        self.forget(digest, place)
    }

    /// The blob is not at `place` any more, whatever the index says; as [`Shared::unlink`].
    fn forget(&mut self, digest: Digest, place: Place) -> Option<u64> {
        self.stored.remove(&(place.head.as_of.clock_ns, digest));
        let segment = self.segments.get_mut(&place.segment)?;
        segment.live -= 1;
        segment.live_bytes -= u64::from(place.head.length);
        (segment.live == 0 && !segment.open).then_some(place.segment)
    }
}

impl Segment {
    fn is_sparse(&self) -> bool {
        !self.open && self.live_bytes < self.bytes / 4
    }
}

async fn begin_segment(
    durability: Durability,
    shared: &Mutex<Shared>,
    number: u64,
) -> io::Result<(Arc<File>, u64)> {
    let options = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true);
    let file = Arc::new(options.open(&path_of(number)).await?);
    if durability == Durability::Disk {
        fs::sync_dir(DIRECTORY).await?;
    }
    let segment = Segment { file: file.clone(), live: 0, live_bytes: 0, bytes: 0, open: true };
    lock(shared).segments.insert(number, segment);
    Ok((file, 0))
}

/// No more blobs come into segment `number`; its number again where it holds none.
fn close_segment(shared: &Mutex<Shared>, number: u64) -> Option<u64> {
    let mut shared = lock(shared);
    let segment = shared.segments.get_mut(&number)?;
    segment.open = false;
    (segment.live == 0).then_some(number)
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path_of(number: u64) -> String {
    format!("{DIRECTORY}/{number:016}.blobs")
}
