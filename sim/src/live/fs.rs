//! The node's files, in its data folder.
//!
//! Paths are absolute, `/`-separated and the node's own: its root is a folder of the machine. A write survives a loss of
//! power for certain once [`File::sync_data`] or [`File::sync_all`] has returned. A new, renamed or removed name does so
//! once [`sync_dir`] of its directory has: a sync of the file does not bring its name along.

use super::host;
use crate::files::{allow, components};
use bytes::Bytes;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::files::OpenOptions;

impl OpenOptions {
    /// Opens the file called `path`.
    ///
    /// # Errors
    /// Where it is not there and not to be made, where a directory has its name, or where the options contradict each other.
    pub async fn open(self, path: &str) -> io::Result<File> {
        self.check(path)?;
        let Self { read, write, create, truncate } = self;
        let file = at(path, move |place| {
            let mut options = std::fs::OpenOptions::new();
            let file = options.read(read).write(write).create(create).truncate(truncate).open(place)?;
            // A directory can be opened for reading; it is no file all the same.
            if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
        });
        Ok(File { file: Arc::new(file.await?), read, write })
    }
}

/// An open file; closed when dropped, or with its process.
#[derive(Debug)]
pub struct File {
    file: Arc<std::fs::File>,
    read: bool,
    write: bool,
}

impl File {
    /// Up to `length` bytes from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// Where the file was not opened for reading, or the disk fails.
    pub async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        allow(self.read, "reading")?;
        self.blocking(move |file| {
            // Room for what is there, not for what was asked: a reader may ask for "all".
            let left = file.metadata()?.len().saturating_sub(offset);
            let length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
            let mut bytes = vec![0; length];
            let mut filled = 0;
            while filled < length {
                match file.read_at(&mut bytes[filled..], offset.saturating_add(filled as u64)) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            bytes.truncate(filled);
            Ok(Bytes::from(bytes))
        })
        .await
    }

    /// Writes all of `bytes` at `offset`; what lies between the end of the file and there reads as zeros.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] where the disk has no room, and where the file was not opened for writing. Some of
    /// the bytes may have been written then.
    pub async fn write_at(&self, offset: u64, bytes: Bytes) -> io::Result<()> {
        allow(self.write, "writing")?;
        self.blocking(move |file| file.write_all_at(&bytes, offset)).await
    }

    /// Writes all of `bytes` at `offset` and makes all bytes of the file durable: [`File::write_at`] and
    /// [`File::sync_data`] with one wait.
    ///
    /// # Errors
    /// As both.
    pub async fn write_synced_at(&self, offset: u64, bytes: Bytes) -> io::Result<()> {
        allow(self.write, "writing")?;
        self.blocking(move |file| {
            file.write_all_at(&bytes, offset)?;
            file.sync_data()
        })
        .await
    }

    /// Cuts the file off at `length`, or extends it with zeros.
    ///
    /// # Errors
    /// Where the file was not opened for writing, or no file can be so long.
    pub async fn set_len(&self, length: u64) -> io::Result<()> {
        allow(self.write, "writing")?;
        self.blocking(move |file| file.set_len(length)).await
    }

    /// How many bytes it has.
    ///
    /// # Errors
    /// Where the machine cannot say.
    pub async fn len(&self) -> io::Result<u64> {
        self.blocking(|file| Ok(file.metadata()?.len())).await
    }

    /// Makes its bytes and its length durable, not its name.
    ///
    /// # Errors
    /// Where the disk fails to; then nothing is known about what is durable.
    pub async fn sync_data(&self) -> io::Result<()> {
        self.blocking(std::fs::File::sync_data).await
    }

    /// As [`File::sync_data`], and its times and permissions.
    ///
    /// # Errors
    /// As [`File::sync_data`].
    pub async fn sync_all(&self) -> io::Result<()> {
        self.blocking(std::fs::File::sync_all).await
    }

    async fn blocking<T, F>(&self, work: F) -> io::Result<T>
    where
        F: FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let file = self.file.clone();
        blocking(move || work(&file)).await
    }
}

/// Makes the directory called `path`, and those on the way to it, where they are not there.
///
/// # Errors
/// Where a file has one of the names.
pub async fn create_dir_all(path: &str) -> io::Result<()> {
    at(path, |place| std::fs::create_dir_all(place)).await
}

/// Gives what is called `from` the name `to`, atomically, in place of a file that had it.
///
/// # Errors
/// Where `from` or the directory of `to` is not there, or `to` is a directory that cannot be replaced.
pub async fn rename(from: &str, to: &str) -> io::Result<()> {
    let target = place(to)?;
    at(from, move |place| std::fs::rename(place, target)).await
}

/// Removes the file called `path`; it is gone for good when nobody has it open any more.
///
/// # Errors
/// Where it is not there or is a directory.
pub async fn remove_file(path: &str) -> io::Result<()> {
    at(path, |place| std::fs::remove_file(place)).await
}

/// The names in the directory called `path`, sorted.
///
/// # Errors
/// Where it is not there or is a file.
pub async fn read_dir(path: &str) -> io::Result<Vec<String>> {
    at(path, |place| {
        let name =
            |entry: io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        let mut names = std::fs::read_dir(place)?.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    })
    .await
}

/// Makes the names in the directory called `path` durable: what was created, renamed and removed there.
///
/// # Errors
/// Where it is not there or is a file, or where the disk fails to.
pub async fn sync_dir(path: &str) -> io::Result<()> {
    at(path, |place| {
        let directory = std::fs::OpenOptions::new().read(true).open(place)?;
        if !directory.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        directory.sync_all()
    })
    .await
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
    at(path, |place| place.metadata()).await.is_ok()
}

/// Where on the machine `path` is.
fn place(path: &str) -> io::Result<PathBuf> {
    let names = components(path)?;
    Ok(names.into_iter().fold(host::current().files.clone(), |place, name| place.join(name)))
}

/// Does `work` on the place of `path`, and says which path failed.
async fn at<T, F>(path: &str, work: F) -> io::Result<T>
where
    F: FnOnce(&Path) -> io::Result<T> + Send + 'static,
    T: Send + 'static,
{
    let place = place(path)?;
    let done = blocking(move || work(&place)).await;
    done.map_err(|error| io::Error::new(error.kind(), format!("`{path}`: {error}")))
}

/// Does `work` on a thread for blocking work; it is done even where nobody waits for it any more.
async fn blocking<T, F>(work: F) -> io::Result<T>
where
    F: FnOnce() -> io::Result<T> + Send + 'static,
    T: Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
