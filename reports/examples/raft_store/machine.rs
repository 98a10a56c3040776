//! The store itself: what the log's entries do, and its snapshots on the node's disk.

use super::{Durability, Types, log};
use openraft::storage::RaftStateMachine;
use openraft::{
    EmptyNode, Entry, EntryPayload, LogId, OptionalSend, RaftSnapshotBuilder, Snapshot, SnapshotMeta,
    StorageError, StorageIOError, StoredMembership,
};
use serde::{Deserialize, Serialize};
use sim::history::{Fact, Id};
use sim::node::record;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// The state of one server; clones share it.
#[derive(Clone)]
pub(crate) struct Machine {
    durability: Durability,
    state: Arc<Mutex<State>>,
    applied: Arc<Notify>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct State {
    values: BTreeMap<String, String>,
    applied: Option<LogId<u64>>,
    membership: StoredMembership<u64, EmptyNode>,
}

impl Machine {
    pub(crate) async fn open(durability: Durability) -> Self {
        let state = durability.read("/snapshot").await.unwrap_or_default();
        Self { durability, state: Arc::new(Mutex::new(state)), applied: Arc::default() }
    }

    /// What `key` holds here and now.
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        self.state().values.get(key).cloned()
    }

    /// Waits until the log is applied up to `index`. By a `Notify`: where several wait for a `watch`, tokio draws who is
    /// woken first, by a generator that no seed governs.
    pub(crate) async fn wait_for(&self, index: u64) {
        loop {
            let changed = self.applied.notified();
            if self.state().applied.is_some_and(|applied| applied.index >= index) {
                return;
            }
            sim::sometimes!("a read waits for the log");
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    fn snapshot(&self) -> Snapshot<Types> {
        let state = self.state().clone();
        let index = state.applied.map_or(0, |applied| applied.index);
        let meta = SnapshotMeta {
            last_log_id: state.applied,
            last_membership: state.membership.clone(),
            snapshot_id: format!("upto-{index}"),
        };
        let bytes = serde_json::to_vec(&state).expect("a state is JSON");
        Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) }
    }

    /// Where a key is there already, a client asks again for what it has: nothing changes.
    fn apply_one(&self, entry: &Entry<Types>) {
        let position = entry.log_id.index;
        record(Fact::Choose { group: 0, slot: position, value: log::digest(entry) });
        let mut state = self.state();
        state.applied = Some(entry.log_id);
        match &entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Membership(membership) => {
                state.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
            }
            EntryPayload::Normal(put) if state.values.contains_key(&put.key) => {}
            EntryPayload::Normal(put) => {
                let (id, output) = (Id::of_key(&put.key), Some(put.digest()));
                state.values.insert(put.key.clone(), put.value.clone());
                record(Fact::Enqueue { id, position });
                record(Fact::Finish { id, position, output });
            }
        }
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError<u64>> {
        let snapshot = self.snapshot();
        let saved = self.durability.write_bytes("/snapshot", snapshot.snapshot.get_ref().clone()).await;
        saved.map_err(|error| StorageIOError::write_snapshot(None, &error))?;
        Ok(snapshot)
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<u64>>, StoredMembership<u64, EmptyNode>), StorageError<u64>> {
        let state = self.state();
        Ok((state.applied, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError<u64>>
    where
        I: IntoIterator<Item = Entry<Types>, IntoIter: OptionalSend> + OptionalSend,
    {
        let answers = entries.into_iter().map(|entry| self.apply_one(&entry)).collect();
        self.applied.notify_waiters();
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError<u64>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        _: &SnapshotMeta<u64, EmptyNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<u64>> {
        sim::sometimes!("a snapshot comes from another server");
        let bytes = snapshot.into_inner();
        let state = serde_json::from_slice(&bytes);
        let state = state.map_err(|error| StorageIOError::read_snapshot(None, &error))?;
        let saved = self.durability.write_bytes("/snapshot", bytes).await;
        saved.map_err(|error| StorageIOError::write_snapshot(None, &error))?;
        *self.state() = state;
        self.applied.notify_waiters();
        Ok(())
    }

    /// openraft asks when a server needs it: what is on disk is at least as old.
    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError<u64>> {
        let is_empty = self.state().applied.is_none();
        Ok((!is_empty).then(|| self.snapshot()))
    }
}
