//! The node's files, on its simulated disk.
//!
//! Paths are absolute, `/`-separated and the node's own. A write is seen at once and survives the end of the process; it
//! survives a loss of power for certain once [`File::sync_data`] or [`File::sync_all`] has returned. A new, renamed or
//! removed name does so once [`sync_dir`] of its directory has: a sync of the file does not bring its name along.
//!
//! ```
//! # extern crate hogwash_sim as sim;
//! let read = sim::world::alone(7, async {
//!     sim::fs::replace("/name", "value".into()).await?;
//!     sim::fs::read("/name").await
//! });
//! assert_eq!(read?, "value");
//! # Ok::<(), std::io::Error>(())
//! ```

use super::agenda::Step;
use super::disk::{Disk, Handle, Opening, SyncNumber, Timed};
use super::kernel;
use crate::files::allow;
use crate::history::{Fact, NodeIndex, WORLD};
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

pub use crate::files::OpenOptions;

impl OpenOptions {
    /// Opens the file called `path`.
    ///
    /// # Errors
    /// Where it is not there and not to be made, where a directory has its name, or where the options contradict each other.
    pub async fn open(self, path: &str) -> io::Result<File> {
        self.check(path)?;
        let Self { read, write, create, truncate } = self;
        let node = node();
        let opened = on_disk(|disk, now_ns| {
            let opened = disk.open(path, Opening { create, truncate }, now_ns);
            // Made into a file at once, so that it is closed where nobody waits for it any more.
            let result = opened.result.map(|handle| File { node, handle, read, write });
            Timed { result, done_ns: opened.done_ns }
        });
        in_time(opened).await
    }
}

/// An open file; closed when dropped, or with its process.
#[derive(Debug)]
pub struct File {
    node: NodeIndex,
    handle: Handle,
    read: bool,
    write: bool,
}

impl File {
    /// Up to `length` bytes from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// Where the file was not opened for reading.
    pub async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        allow(self.read, "reading")?;
        in_time(on_disk(|disk, now_ns| disk.read(self.handle, offset, length, now_ns))).await
    }

    /// Writes all of `bytes` at `offset`; what lies between the end of the file and there reads as zeros.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] where the disk has no room, and where the file was not opened for writing.
    pub async fn write_at(&self, offset: u64, bytes: Bytes) -> io::Result<()> {
        allow(self.write, "writing")?;
        in_time(on_disk(|disk, now_ns| disk.write(self.handle, offset, &bytes, now_ns))).await
    }

    /// Writes all of `bytes` at `offset` and makes all bytes of the file durable: [`File::write_at`] and
    /// [`File::sync_data`] with one wait.
    ///
    /// # Errors
    /// As both.
    pub async fn write_synced_at(&self, offset: u64, bytes: Bytes) -> io::Result<()> {
        allow(self.write, "writing")?;
        let written = on_disk(|disk, now_ns| disk.write(self.handle, offset, &bytes, now_ns));
        if written.result.is_err() {
            return in_time(written).await;
        }
        sync(self.node, |disk, _| disk.begin_sync(self.handle, written.done_ns)).await
    }

    /// Cuts the file off at `length`, or extends it with zeros.
    ///
    /// # Errors
    /// Where the file was not opened for writing, or no file can be so long.
    pub async fn set_len(&self, length: u64) -> io::Result<()> {
        allow(self.write, "writing")?;
        in_time(on_disk(|disk, now_ns| disk.set_length(self.handle, length, now_ns))).await
    }

    /// How many bytes it has.
    ///
    /// # Errors
    /// Only in the live world.
    pub async fn len(&self) -> io::Result<u64> {
        in_time(on_disk(|disk, now_ns| disk.length(self.handle, now_ns))).await
    }

    /// Makes its bytes and its length durable, not its name.
    ///
    /// # Errors
    /// Where the disk fails to; then nothing is known about what is durable.
    pub async fn sync_data(&self) -> io::Result<()> {
        sync(self.node, |disk, now_ns| disk.begin_sync(self.handle, now_ns)).await
    }

    /// As [`File::sync_data`]: times and permissions, which it adds, are not simulated.
    ///
    /// # Errors
    /// As [`File::sync_data`].
    pub async fn sync_all(&self) -> io::Result<()> {
        self.sync_data().await
    }
}

impl Drop for File {
    fn drop(&mut self) {
        kernel::try_with(|kernel| kernel.node(self.node).disk.close(self.handle));
    }
}

/// Makes the directory called `path`, and those on the way to it, where they are not there.
///
/// # Errors
/// Where a file has one of the names.
pub async fn create_dir_all(path: &str) -> io::Result<()> {
    in_time(on_disk(|disk, now_ns| disk.create_directories(path, now_ns))).await
}

/// Gives what is called `from` the name `to`, atomically, in place of a file that had it.
///
/// # Errors
/// Where `from` or the directory of `to` is not there, or `to` is a directory that cannot be replaced.
pub async fn rename(from: &str, to: &str) -> io::Result<()> {
    in_time(on_disk(|disk, now_ns| disk.rename(from, to, now_ns))).await
}

/// Removes the file called `path`; it is gone for good when nobody has it open any more.
///
/// # Errors
/// Where it is not there or is a directory.
pub async fn remove_file(path: &str) -> io::Result<()> {
    in_time(on_disk(|disk, now_ns| disk.remove_file(path, now_ns))).await
}

/// The names in the directory called `path`, sorted.
///
/// # Errors
/// Where it is not there or is a file.
pub async fn read_dir(path: &str) -> io::Result<Vec<String>> {
    in_time(on_disk(|disk, now_ns| disk.list(path, now_ns))).await
}

/// Makes the names in the directory called `path` durable: what was created, renamed and removed there.
///
/// # Errors
/// Where it is not there or is a file, or where the disk fails to.
pub async fn sync_dir(path: &str) -> io::Result<()> {
    sync(node(), |disk, now_ns| disk.begin_sync_directory(path, now_ns)).await
}

/// All bytes of the file called `path`.
///
/// # Errors
/// Where it is not there or is a directory.
pub async fn read(path: &str) -> io::Result<Bytes> {
    let file = OpenOptions::new().read(true).open(path).await?;
    let length = usize::try_from(file.len().await?).map_err(io::Error::other)?;
    file.read_at(0, length).await
}

/// Makes `bytes` the content of the file called `path`, which is made where there is none. Nothing of it is synced.
///
/// # Errors
/// As [`OpenOptions::open`] and [`File::write_at`].
pub async fn write(path: &str, bytes: Bytes) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path).await?;
    file.write_at(0, bytes).await
}

/// Puts `bytes` in place of the file called `path`, as a whole or not at all, whatever happens meanwhile; on return they are
/// durable. Writes the file `path` with `.new` behind it first.
///
/// # Errors
/// Where the disk fails; the file is then as it was, or as it was to be.
pub async fn replace(path: &str, bytes: Bytes) -> io::Result<()> {
    let new = format!("{path}.new");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&new).await?;
    file.write_at(0, bytes).await?;
    file.sync_all().await?;
    rename(&new, path).await?;
    let directory = path.rsplit_once('/').map_or("/", |(directory, _)| directory);
    sync_dir(if directory.is_empty() { "/" } else { directory }).await
}

/// Whether there is a file or a directory called `path`.
pub async fn exists(path: &str) -> bool {
    in_time(on_disk(|disk, now_ns| disk.exists(path, now_ns))).await.unwrap_or(false)
}

fn node() -> NodeIndex {
    let node = kernel::current();
    assert!(node != WORLD, "files belong to nodes: use sim::fs from a node's process");
    node
}

/// Does `operation` on this node's disk, now.
fn on_disk<T>(operation: impl FnOnce(&mut Disk, u64) -> T) -> T {
    let node = node();
    kernel::with(|kernel| {
        let now_ns = kernel.agenda.now_ns();
        let disk = &mut kernel.node(node).disk;
        disk.write_back(now_ns);
        let result = operation(disk, now_ns);
        if disk.take_damage() {
            kernel.record(node, Fact::DiskLoss { unsynced_bytes: 0, synced: true });
        }
        result
    })
}

/// Waits until an operation is done.
async fn in_time<T>(timed: Timed<T>) -> io::Result<T> {
    Until { at_ns: timed.done_ns, waker: None }.await;
    timed.result
}

/// Begins a sync and waits for its end, which comes whether or not its caller still waits.
async fn sync(
    node: NodeIndex,
    begin: impl FnOnce(&mut Disk, u64) -> Timed<Option<SyncNumber>>,
) -> io::Result<()> {
    let Timed { result, done_ns } = on_disk(begin);
    let Ok(Some(sync)) = result else {
        return in_time(Timed { result: result.map(drop), done_ns }).await;
    };
    let (sender, ended) = tokio::sync::oneshot::channel();
    let end = move || {
        let result = kernel::with(|kernel| {
            let now_ns = kernel.agenda.now_ns();
            kernel.node(node).disk.end_sync(sync, now_ns)
        });
        // Nobody may be waiting any more; the sync has taken place all the same.
        let _ = sender.send(result);
    };
    kernel::with(|kernel| kernel.agenda.push(done_ns, Step::Control(Box::new(end))));
    ended.await.unwrap_or_else(|_| Err(io::Error::other("the world ended before the sync did")))
}

/// Waits for true time: a drifting clock does not make a disk faster.
struct Until {
    at_ns: u64,
    waker: Option<Waker>,
}

impl Future for Until {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let at_ns = self.at_ns;
        let waker = context.waker();
        let planned = self.waker.as_ref().is_some_and(|planned| planned.will_wake(waker));
        let due = kernel::with(|kernel| {
            let due = kernel.agenda.now_ns() >= at_ns;
            if !due && !planned {
                kernel.agenda.push(at_ns, Step::Wake(waker.clone()));
            }
            due
        });
        if due {
            return Poll::Ready(());
        }
        if !planned {
            self.waker = Some(waker.clone());
        }
        Poll::Pending
    }
}
