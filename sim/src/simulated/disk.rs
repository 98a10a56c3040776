//! One node's disk: a cache that a loss of power takes back, over a medium that takes its time.
//!
//! A write goes into the cache and is seen at once by every program; it survives the end of the process, since the host
//! keeps the cache. Only what was synced survives a loss of power for certain: each unsynced sector is then kept, lost
//! or torn by chance, and so are lengths and names ([`content`], [`tree`]). As real kernels do, the disk writes back
//! by itself what has been unsynced for long.

mod content;
mod device;
mod harm;
mod tree;

pub(crate) use harm::Harm;

use crate::plan::DiskPlan;
use crate::rng::Stream;
use bytes::Bytes;
use content::Snapshot;
use device::Device;
use harm::{Harms, SyncEnd, failure};
use std::collections::BTreeMap;
use std::io;
use tree::{Inode, Tree};

/// How long data may be unsynced before the kernel writes it back by itself: Linux's `dirty_expire_centisecs`.
const WRITE_BACK_AGE_NS: u64 = 30_000_000_000;
/// How often the kernel looks for such data: Linux's `dirty_writeback_centisecs`.
const WRITE_BACK_PERIOD_NS: u64 = 5_000_000_000;
/// What an operation costs that the cache answers, besides copying.
const CACHE_NS: u64 = 1_000;
/// How fast bytes are copied from and to the cache.
const CACHE_BYTES_PER_NS: u64 = 10;
/// The largest offset in a file, as of real ones.
const LAST_OFFSET: u64 = i64::MAX as u64;

/// What an operation came to, and the true time at which its caller learns it.
pub(crate) struct Timed<T> {
    pub(crate) result: io::Result<T>,
    pub(crate) done_ns: u64,
}

/// How to open a file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Opening {
    pub(crate) create: bool,
    pub(crate) truncate: bool,
}

/// An open file of the process that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Handle(u64);

/// A sync under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SyncNumber(u64);

/// One node's disk.
pub(crate) struct Disk {
    plan: DiskPlan,
    tree: Tree,
    device: Device,
    /// Files that a loss of power could change, and since when.
    unsynced: BTreeMap<Inode, u64>,
    next_write_back_ns: u64,
    used_bytes: u64,
    /// Open files of the process that runs; the numbers of an ended one are in none of these maps.
    handles: BTreeMap<Handle, Inode>,
    syncs: BTreeMap<SyncNumber, Target>,
    last_number: u64,
    /// Grows with each loss of power, after which nothing is cached.
    cycle: u32,
    /// What a loss of power leaves.
    chance: Stream,
    harms: Harms,
    /// Whether synced data was damaged since somebody asked.
    damaged: bool,
}

#[derive(Clone, Copy)]
enum Target {
    File(Inode, Snapshot),
    /// A sync of a file that fails, and whether it forgets what it was to make durable.
    Failing(Inode, Snapshot, bool),
    /// A directory and its last change when the sync was asked for.
    Directory(Inode, u64),
}

impl Disk {
    /// The empty disk of one node, with chance of its own.
    pub(crate) fn new(plan: &DiskPlan, mut chance: Stream) -> Self {
        // Streams of their own, so that how busy the disk was does not decide what a loss of power leaves.
        let speed = Stream::named(chance.next_u64(), "disk/speed");
        let power = Stream::named(chance.next_u64(), "disk/power");
        let harms = Harms::new(Stream::named(chance.next_u64(), "disk/harm"));
        Self {
            plan: plan.clone(),
            tree: Tree::new(plan.sector_bytes),
            device: Device::new(plan, speed),
            unsynced: BTreeMap::new(),
            next_write_back_ns: 0,
            used_bytes: 0,
            handles: BTreeMap::new(),
            syncs: BTreeMap::new(),
            last_number: 0,
            cycle: 1,
            chance: power,
            harms,
            damaged: false,
        }
    }

    /// Ends what the process had under way: its files are closed, its syncs complete nothing. What it wrote stays.
    pub(crate) fn process_ended(&mut self) {
        for target in std::mem::take(&mut self.syncs).into_values() {
            if let Target::File(file, snapshot) | Target::Failing(file, snapshot, _) = target
                && let Some(content) = self.tree.content(file)
            {
                content.cancel_sync(&snapshot);
            }
        }
        std::mem::take(&mut self.handles).into_values().for_each(|file| self.tree.release(file));
        self.account();
    }

    /// Leaves what a loss of power leaves of the unsynced; returns how many bytes are lost or torn.
    pub(crate) fn power_loss(&mut self, now_ns: u64) -> u64 {
        self.process_ended();
        self.write_back(now_ns);
        self.cycle += 1;
        self.device.clear();
        self.tree.lose_power(&mut self.chance);
        let mut lost_bytes = 0;
        for (file, content) in self.tree.take_freed() {
            lost_bytes += content.unsynced_bytes().min(content.length());
            self.free(file, content.allocated_bytes());
        }
        for file in std::mem::take(&mut self.unsynced).into_keys() {
            let content = self.tree.content(file).expect("files that went are not among the unsynced");
            self.damaged |= content.has_forgotten();
            self.used_bytes -= content.allocated_bytes();
            lost_bytes += content.lose_power(&mut self.chance);
            self.used_bytes += content.allocated_bytes();
        }
        lost_bytes
    }

    /// Has `fault` make every operation of the medium take `factor` times as long.
    pub(crate) fn slow_by(&mut self, fault: u32, factor: f64) {
        self.device.slow_by(fault, factor);
    }

    /// Has `fault` let no operation of the medium come to its end before `until_ns`.
    pub(crate) fn stick(&mut self, fault: u32, until_ns: u64) {
        self.device.stick(fault, until_ns);
    }

    /// Has `fault` harm the disk.
    pub(crate) fn harm(&mut self, fault: u32, harm: Harm) {
        self.harms.add(fault, harm);
    }

    /// Ends what `fault` did.
    pub(crate) fn heal(&mut self, fault: u32) {
        self.device.heal(fault);
        self.harms.heal(fault);
    }

    /// Puts an empty disk in this one's place. Nothing may be open.
    pub(crate) fn replace(&mut self) {
        self.tree = Tree::new(self.plan.sector_bytes);
        self.unsynced.clear();
        self.used_bytes = 0;
        self.device.clear();
        self.cycle += 1;
    }

    /// Flips one bit each in sectors that chance chooses with this probability; returns in how many.
    pub(crate) fn rot(&mut self, probability: f64) -> u64 {
        let chance = self.harms.chance();
        self.tree.contents().map(|content| content.rot(probability, chance)).sum()
    }

    /// Whether `fault` has ended the disk for good.
    pub(crate) fn is_dead(&self, fault: u32) -> bool {
        self.harms.is_dead(fault)
    }

    /// Whether synced data was damaged since this was last asked.
    pub(crate) fn take_damage(&mut self) -> bool {
        std::mem::take(&mut self.damaged)
    }

    /// Does what the kernel did by itself up to `now_ns`: old unsynced data and names become durable. To be called
    /// before every operation; in between, nobody could tell.
    pub(crate) fn write_back(&mut self, now_ns: u64) {
        if now_ns < self.next_write_back_ns {
            return;
        }
        self.next_write_back_ns = now_ns + WRITE_BACK_PERIOD_NS;
        let old_ns = now_ns.saturating_sub(WRITE_BACK_AGE_NS);
        let old: Vec<_> =
            self.unsynced.iter().filter(|(_, since_ns)| **since_ns < old_ns).map(|(file, _)| *file).collect();
        for file in old {
            let content = self.tree.content(file);
            let forgotten = content.is_some_and(|content| {
                content.write_back();
                content.is_unsynced()
            });
            if !forgotten {
                self.unsynced.remove(&file);
            }
        }
        self.tree.commit_older(old_ns);
        self.account();
    }

    pub(crate) fn open(&mut self, path: &str, how: Opening, now_ns: u64) -> Timed<Handle> {
        if let Err(error) = self.harms.check() {
            return from_cache(Err(error), now_ns, 0);
        }
        let opened = self.tree.file(path).or_else(|error| {
            let creates = how.create && error.kind() == io::ErrorKind::NotFound;
            if creates { self.tree.create_file(path, now_ns) } else { Err(error) }
        });
        let result = opened.map(|file| {
            if how.truncate {
                self.change(file, now_ns, |content, chance| content.set_length(0, chance));
            }
            self.tree.hold(file);
            self.last_number += 1;
            self.handles.insert(Handle(self.last_number), file);
            Handle(self.last_number)
        });
        from_cache(result, now_ns, 0)
    }

    /// Closes a file; one that an ended process left is closed already.
    pub(crate) fn close(&mut self, handle: Handle) {
        if let Some(file) = self.handles.remove(&handle) {
            self.tree.release(file);
            self.account();
        }
    }

    pub(crate) fn length(&mut self, handle: Handle, now_ns: u64) -> Timed<u64> {
        let length = self.file(handle).map(|file| self.open_content(file).length());
        from_cache(length, now_ns, 0)
    }

    pub(crate) fn read(&mut self, handle: Handle, offset: u64, length: usize, now_ns: u64) -> Timed<Bytes> {
        let cycle = self.cycle;
        let checked = self.harms.check().and_then(|()| self.file(handle));
        let read = checked.map(|file| self.open_content(file).read(offset, length, cycle));
        match read {
            Ok((bytes, missed_bytes)) if missed_bytes > 0 => {
                let done_ns = self.device.take(now_ns, self.plan.latency_ns, missed_bytes);
                Timed { result: Ok(bytes), done_ns }
            }
            Ok((bytes, _)) => {
                let copied_bytes = bytes.len();
                from_cache(Ok(bytes), now_ns, copied_bytes)
            }
            Err(error) => from_cache(Err(error), now_ns, 0),
        }
    }

    pub(crate) fn write(&mut self, handle: Handle, offset: u64, bytes: &[u8], now_ns: u64) -> Timed<()> {
        from_cache(self.try_write(handle, offset, bytes, now_ns), now_ns, bytes.len())
    }

    fn try_write(&mut self, handle: Handle, offset: u64, bytes: &[u8], now_ns: u64) -> io::Result<()> {
        let file = self.file(handle)?;
        self.harms.check()?;
        check_end(offset.saturating_add(bytes.len() as u64))?;
        let file_bytes = self.open_content(file).length();
        let sector_bytes = u64::from(self.plan.sector_bytes.max(1));
        let (offset, bytes) = match self.harms.astray(offset, bytes.len(), file_bytes, sector_bytes) {
            None => (offset, bytes),
            Some((offset, length)) => {
                self.damaged = true;
                (offset, &bytes[..length])
            }
        };
        let growth_bytes = self.open_content(file).growth(offset, bytes.len());
        if growth_bytes > 0 && self.harms.is_full() {
            return Err(full());
        }
        if self.used_bytes + growth_bytes > self.plan.capacity_bytes {
            // What was removed gives its place back once its removal is durable; full disks hurry to make it so.
            self.tree.commit_older(u64::MAX);
            self.account();
        }
        if self.used_bytes + growth_bytes > self.plan.capacity_bytes {
            return Err(full());
        }
        let cycle = self.cycle;
        self.change(file, now_ns, |content, chance| content.write(offset, bytes, cycle, chance));
        Ok(())
    }

    pub(crate) fn set_length(&mut self, handle: Handle, length: u64, now_ns: u64) -> Timed<()> {
        let result = self.file(handle).and_then(|file| {
            check_end(length)?;
            self.change(file, now_ns, |content, chance| content.set_length(length, chance));
            Ok(())
        });
        from_cache(result, now_ns, 0)
    }

    /// Begins to make a file's bytes and length durable; [`Disk::end_sync`] must follow when it is done.
    pub(crate) fn begin_sync(&mut self, handle: Handle, now_ns: u64) -> Timed<Option<SyncNumber>> {
        let file = match self.file(handle) {
            Ok(file) => file,
            Err(error) => return from_cache(Err(error), now_ns, 0),
        };
        let content = self.open_content(file);
        if !content.is_dirty() {
            return from_cache(Ok(None), now_ns, 0);
        }
        let (bytes, snapshot) = (content.unsynced_bytes(), content.begin_sync());
        let target = match self.harms.sync_end() {
            SyncEnd::Good => Target::File(file, snapshot),
            SyncEnd::Fails => Target::Failing(file, snapshot, false),
            SyncEnd::Forgets => Target::Failing(file, snapshot, true),
        };
        self.start_sync(target, bytes, now_ns)
    }

    /// Begins to make a directory's names durable.
    pub(crate) fn begin_sync_directory(&mut self, path: &str, now_ns: u64) -> Timed<Option<SyncNumber>> {
        match self.harms.check().and_then(|()| self.tree.directory(path)) {
            Ok(directory) => {
                let target = Target::Directory(directory, self.tree.last_change());
                self.start_sync(target, u64::from(self.plan.sector_bytes), now_ns)
            }
            Err(error) => from_cache(Err(error), now_ns, 0),
        }
    }

    fn start_sync(&mut self, target: Target, bytes: u64, now_ns: u64) -> Timed<Option<SyncNumber>> {
        self.last_number += 1;
        let sync = SyncNumber(self.last_number);
        self.syncs.insert(sync, target);
        let done_ns = self.device.take(now_ns, self.plan.sync_ns, bytes);
        Timed { result: Ok(Some(sync)), done_ns }
    }

    /// Completes a sync, unless its process has ended or the power was lost.
    pub(crate) fn end_sync(&mut self, sync: SyncNumber, now_ns: u64) -> io::Result<()> {
        match self.syncs.remove(&sync) {
            None => return Err(io::Error::new(io::ErrorKind::Interrupted, "the process has ended")),
            Some(Target::Directory(directory, last)) => self.tree.commit(directory, last),
            Some(Target::Failing(file, snapshot, forgets)) => {
                if let Some(content) = self.tree.content(file) {
                    if forgets {
                        content.forget_sync(&snapshot);
                    } else {
                        content.cancel_sync(&snapshot);
                    }
                }
                self.account();
                return Err(failure());
            }
            Some(Target::File(file, snapshot)) => {
                if let Some(content) = self.tree.content(file) {
                    content.end_sync(&snapshot);
                    // What is unsynced still was written since.
                    if content.is_unsynced() {
                        self.unsynced.insert(file, now_ns);
                    } else {
                        self.unsynced.remove(&file);
                    }
                }
            }
        }
        self.account();
        Ok(())
    }

    pub(crate) fn create_directories(&mut self, path: &str, now_ns: u64) -> Timed<()> {
        let made = self.harms.check().and_then(|()| self.tree.create_directories(path, now_ns));
        from_cache(made, now_ns, 0)
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str, now_ns: u64) -> Timed<()> {
        let renamed = self.harms.check().and_then(|()| self.tree.rename(from, to, now_ns));
        from_cache(renamed, now_ns, 0)
    }

    pub(crate) fn remove_file(&mut self, path: &str, now_ns: u64) -> Timed<()> {
        let removed = self.harms.check().and_then(|()| self.tree.remove_file(path, now_ns));
        from_cache(removed, now_ns, 0)
    }

    pub(crate) fn list(&mut self, path: &str, now_ns: u64) -> Timed<Vec<String>> {
        let listed = self.harms.check().and_then(|()| self.tree.list(path));
        from_cache(listed, now_ns, 0)
    }

    pub(crate) fn exists(&self, path: &str, now_ns: u64) -> Timed<bool> {
        from_cache(Ok(self.tree.exists(path)), now_ns, 0)
    }

    fn file(&self, handle: Handle) -> io::Result<Inode> {
        let file = self.handles.get(&handle).copied();
        file.ok_or_else(|| io::Error::new(io::ErrorKind::Interrupted, "the process has ended"))
    }

    fn open_content(&mut self, file: Inode) -> &mut content::Content {
        self.tree.content(file).expect("open files are held")
    }

    /// Changes a file's content, and keeps account of its place and of its being unsynced.
    fn change(&mut self, file: Inode, now_ns: u64, change: impl FnOnce(&mut content::Content, &mut Stream)) {
        let content = self.tree.content(file).expect("open files are held");
        self.used_bytes -= content.allocated_bytes();
        change(content, &mut self.chance);
        self.used_bytes += content.allocated_bytes();
        if content.is_unsynced() {
            self.unsynced.entry(file).or_insert(now_ns);
        } else {
            self.unsynced.remove(&file);
        }
    }

    /// Gives the place of files back that went for good.
    fn account(&mut self) {
        for (file, content) in self.tree.take_freed() {
            self.free(file, content.allocated_bytes());
        }
    }

    fn free(&mut self, file: Inode, allocated_bytes: u64) {
        self.used_bytes -= allocated_bytes;
        self.unsynced.remove(&file);
    }
}

/// An operation that the cache answers.
fn from_cache<T>(result: io::Result<T>, now_ns: u64, bytes: usize) -> Timed<T> {
    Timed { result, done_ns: now_ns + CACHE_NS + bytes as u64 / CACHE_BYTES_PER_NS }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "the disk is full")
}

fn check_end(end: u64) -> io::Result<()> {
    if end <= LAST_OFFSET {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("no file can have a byte at {end}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_file(disk: &mut Disk, path: &str, length: usize, now_ns: u64) {
        let how = Opening { create: true, truncate: true };
        let file = disk.open(path, how, now_ns).result.unwrap();
        disk.write(file, 0, &vec![7; length], now_ns).result.unwrap();
        disk.close(file);
    }

    #[test]
    fn a_log_that_is_rotated_and_never_synced_takes_up_a_bounded_place() {
        let mut disk = Disk::new(&DiskPlan::default(), Stream::named(1, "disk"));
        let mut most_bytes = 0;
        for number in 0..10_000_u64 {
            let now_ns = number * 100_000_000;
            disk.write_back(now_ns);
            write_file(&mut disk, &format!("/log-{number}"), 8192, now_ns);
            if number > 0 {
                disk.remove_file(&format!("/log-{}", number - 1), now_ns).result.unwrap();
            }
            most_bytes = most_bytes.max(disk.used_bytes);
        }
        // What is removed can come back until the kernel has made its removal durable: 35 s of ten files a second.
        assert!(most_bytes <= 8192 * 360, "{most_bytes}");
        assert!(disk.unsynced.len() <= 360);
    }

    #[test]
    fn equal_streams_give_equal_disks() {
        let run = || {
            let mut disk = Disk::new(&DiskPlan::default(), Stream::named(9, "disk"));
            let mut done = Vec::new();
            for number in 0..50 {
                write_file(&mut disk, &format!("/file-{}", number % 7), 3000, number);
                let file = disk.open("/file-0", Opening::default(), number).result.unwrap();
                done.push(disk.begin_sync(file, number).done_ns);
                disk.close(file);
            }
            let lost_bytes = disk.power_loss(1000);
            (done, lost_bytes, disk.list("/", 0).result.unwrap())
        };
        assert_eq!(run(), run());
    }
}
