//! What happened on a node, written down as a history that laws can read.

use crate::history::{Fact, HISTORY_VERSION, NodeIndex, Wire as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The longest history: what comes later is left out, since the beginning of a history is one too.
const LENGTH_BYTES_MAX: u64 = 1 << 30;

/// One node's history since this program started. Times are those of the wall clock, in nanoseconds since 1970.
///
/// Each event is handed to the kernel at once, so that a history survives the program's being killed.
pub(crate) struct Record {
    node: NodeIndex,
    name: String,
    state: Mutex<State>,
}

struct State {
    /// None when it is full or failed.
    file: Option<File>,
    length_bytes: u64,
    previous_ns: u64,
}

impl Record {
    /// Begins the history number `start` of a node in `folder`.
    pub(crate) fn begin(node: NodeIndex, name: &str, folder: &Path, start: u32) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{start:06}"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        file.write_all(&[HISTORY_VERSION])?;
        let state = State { file: Some(file), length_bytes: 1, previous_ns: 0 };
        Ok(Self { node, name: name.to_owned(), state: Mutex::new(state) })
    }

    /// Adds an event, now.
    pub(crate) fn add(&self, fact: &Fact) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!(node = self.name, fact = fact.word(), fields = ?fact.fields());
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // The wall clock may step back; a history does not.
        let now_ns =
            u64::try_from(super::time::wall_now().as_nanos()).unwrap_or(u64::MAX).max(state.previous_ns);
        let elapsed_ns = now_ns - state.previous_ns;
        state.previous_ns = now_ns;
        let mut bytes = Vec::new();
        elapsed_ns.put(&mut bytes);
        self.node.put(&mut bytes);
        fact.put(&mut bytes);
        state.write(&bytes, &self.name);
    }
}

impl State {
    fn write(&mut self, bytes: &[u8], node: &str) {
        let Some(file) = &mut self.file else { return };
        self.length_bytes += bytes.len() as u64;
        let written = if self.length_bytes > LENGTH_BYTES_MAX {
            Err(io::Error::other(format!("it has {LENGTH_BYTES_MAX} bytes, the most that are kept")))
        } else {
            file.write_all(bytes)
        };
        if let Err(error) = written {
            tracing::warn!("the history of `{node}` ends here, the node goes on: {error}");
            self.file = None;
        }
    }
}
