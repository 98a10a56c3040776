//! The disk's side of a replica: one task writes the log, one writes snapshots, so that neither the order nor the
//! replica's answers wait for a disk that is busy.

use super::shared::Shared;
use crate::queue::log::{Durability, Log, LogError, Snapshot, save_snapshot};
use crate::queue::paxos::{Record, Slot};
use std::io;
use tokio::sync::mpsc;

/// What the log's task is asked to do. Bounded by what the order has open, so that its queue need not be.
pub(super) enum LogWork {
    /// Write records; the last has this number.
    Append(Vec<Record>, u64),
    /// Remove what a snapshot covers.
    Forget(Slot),
}

/// Writes what comes; all that waits goes into one batch with one sync. Tells the replica the number of the last record when
/// it is durable.
pub(super) async fn write_log(
    mut log: Log,
    mut work: mpsc::UnboundedReceiver<LogWork>,
    replica: Shared,
) -> io::Result<()> {
    while let Some(first) = work.recv().await {
        let (mut records, mut last, mut forget) = (Vec::new(), None, None);
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                LogWork::Append(more, number) => {
                    records.extend(more);
                    last = Some(number);
                }
                LogWork::Forget(slot) => forget = Some(slot),
            }
            next = work.try_recv().ok();
        }
        if let Some(number) = last {
            log.append(&records).await?;
            replica.event(|replica, now| replica.durable(now, number));
        }
        if let Some(slot) = forget {
            log.forget(slot).await?;
        }
    }
    Ok(())
}

/// A snapshot to be kept.
pub(super) struct Save {
    pub(super) snapshot: Snapshot,
    /// Whether it came from a peer and is to take the place of the replica's state.
    pub(super) install: bool,
}

/// Keeps snapshots, one after the other, and says so.
pub(super) async fn save_snapshots(
    durability: Durability,
    mut work: mpsc::UnboundedReceiver<Save>,
    replica: Shared,
) -> Result<(), LogError> {
    let mut latest = 0;
    while let Some(save) = work.recv().await {
        if save.snapshot.slot > latest {
            save_snapshot(durability, &save.snapshot).await?;
            latest = save.snapshot.slot;
        }
        replica.event(|replica, now| replica.saved(now, save));
    }
    Ok(())
}
