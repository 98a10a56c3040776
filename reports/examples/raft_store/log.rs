//! The replicated log and the vote, on the node's disk.

use super::{Durability, Types};
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{Entry, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote};
use serde::{Deserialize, Serialize};
use sim::history::{Digest, Fact};
use sim::node::record;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;
use tokio::sync::Mutex;

/// The log of one server; clones share it.
#[derive(Clone)]
pub(crate) struct Log {
    server: u64,
    durability: Durability,
    kept: Arc<Mutex<Kept>>,
}

/// What is on disk, written as a whole: snapshots keep it short.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    vote: Option<Vote<u64>>,
    entries: BTreeMap<u64, Entry<Types>>,
    purged: Option<LogId<u64>>,
}

impl Log {
    pub(crate) async fn open(server: u64, durability: Durability) -> Self {
        let kept = durability.read("/log").await.unwrap_or_default();
        Self { server, durability, kept: Arc::new(Mutex::new(kept)) }
    }

    async fn save(&self, kept: &Kept) -> Result<(), StorageError<u64>> {
        let saved = self.durability.write("/log", kept).await;
        saved.map_err(|error| StorageIOError::write_logs(&error).into())
    }
}

/// The ballot of an entry's leader: terms first, then servers, as openraft orders them.
fn ballot(entry: &Entry<Types>) -> u64 {
    let leader = entry.log_id.leader_id;
    leader.term << 8 | leader.node_id
}

/// What identifies an entry's content.
pub(crate) fn digest(entry: &Entry<Types>) -> Digest {
    Digest::of(&serde_json::to_vec(entry).expect("an entry is JSON"))
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry<Types>>, StorageError<u64>> {
        Ok(self.kept.lock().await.entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError<u64>> {
        let kept = self.kept.lock().await;
        let last = kept.entries.last_key_value().map(|(_, entry)| entry.log_id);
        Ok(LogState { last_purged_log_id: kept.purged, last_log_id: last.or(kept.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<(), StorageError<u64>> {
        let mut kept = self.kept.lock().await;
        kept.vote = Some(*vote);
        self.save(&kept).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>, StorageError<u64>> {
        Ok(self.kept.lock().await.vote)
    }

    /// A leader's first entry says that it leads; an entry that is on disk is accepted. What openraft promises is its vote,
    /// which binds later votes and not, as in Paxos, the entries of an earlier leader: it is no `promise`.
    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError<u64>>
    where
        I: IntoIterator<Item = Entry<Types>, IntoIter: OptionalSend> + OptionalSend,
    {
        let entries: Vec<_> = entries.into_iter().collect();
        let mut kept = self.kept.lock().await;
        for entry in &entries {
            if entry.log_id.leader_id.node_id == self.server {
                record(Fact::Lead { group: 0, ballot: ballot(entry) });
            }
            kept.entries.insert(entry.log_id.index, entry.clone());
        }
        self.save(&kept).await?;
        for entry in &entries {
            let (slot, ballot, value) = (entry.log_id.index, ballot(entry), digest(entry));
            record(Fact::Accept { group: 0, slot, ballot, value });
        }
        callback.log_io_completed(io::Result::Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId<u64>) -> Result<(), StorageError<u64>> {
        let mut kept = self.kept.lock().await;
        kept.entries.split_off(&from.index);
        self.save(&kept).await
    }

    async fn purge(&mut self, upto: LogId<u64>) -> Result<(), StorageError<u64>> {
        let mut kept = self.kept.lock().await;
        kept.entries = kept.entries.split_off(&(upto.index + 1));
        kept.purged = Some(upto);
        self.save(&kept).await
    }
}
