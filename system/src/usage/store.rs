//! The batches of one node: a set in memory over a file that is only ever added to.

use super::protocol::{Key, Named};
use crate::queue::{Amounts, Line};
use crate::records;
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use sim::fs::{self, File};
use sim::history::{Digest, Fact};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const DIRECTORY: &str = "/usage";
const PATH: &str = "/usage/batches.log";
/// Is there once the node was sure of having everything: a disk without it is new, or another one.
const WHOLE: &str = "/usage/whole";
/// No record is longer: a length above this is damage.
const RECORD_BYTES_MAX: usize = 16 << 20;

/// One line of the file.
#[derive(Serialize, Deserialize)]
enum Record {
    /// A batch, and the owner that this node stands in for.
    Hold { key: Key, lines: Vec<Line>, hint: Option<u32> },
    /// A batch that its owner has now.
    Give { key: Key },
}

/// What is known of a batch.
pub(super) struct Held {
    lines: Vec<Line>,
    hint: Option<u32>,
    /// Of its uses.
    pub(super) digest: Digest,
}

/// What became of a batch that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It is kept.
    New,
    /// It was kept before.
    There,
    /// It is here for another owner than was said, goes to that one, and then is here no more: it is no second copy.
    ForAnother,
}

/// Batches, and what each account used of them.
#[derive(Default)]
struct Batches {
    held: BTreeMap<Key, Held>,
    /// To be asked of 100 000 accounts, none of which wants to look through everybody's uses.
    by_account: BTreeMap<u32, BTreeMap<Key, Amounts>>,
}

/// One node's batches.
pub(super) struct Store {
    batches: Mutex<Batches>,
    sure: AtomicBool,
    log: tokio::sync::Mutex<Log>,
}

struct Log {
    file: File,
    end: u64,
}

impl Store {
    /// Opens the store, or makes an empty one. What was not written to its end is cut off; where that is no torn end, but
    /// damage, also in words.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(super) async fn open() -> io::Result<(Self, Option<String>)> {
        fs::create_dir_all(DIRECTORY).await?;
        fs::sync_dir("/").await?;
        let bytes = if fs::exists(PATH).await { fs::read(PATH).await? } else { Bytes::new() };
        let (mut batches, mut end) = (Batches::default(), 0);
        while let Some((record, length)) = records::read(&bytes[end..], RECORD_BYTES_MAX) {
            batches.apply(record);
            end += length;
        }
        let damage = has_record(&bytes[end..]).then(|| {
            format!("`{PATH}` is damaged at byte {end}: what follows is to be had from the other owners")
        });
        // A last record that rotted looks like a torn end, and may have been kept for others.
        if end < bytes.len() && fs::exists(WHOLE).await {
            fs::remove_file(WHOLE).await?;
            fs::sync_dir(DIRECTORY).await?;
        }
        // What was read may have been in the cache only, and after a sync that failed another sync does not help (Rebello and
        // others 2020, "Can applications recover from fsync failures?"): it is written anew.
        fs::replace(PATH, bytes.slice(..end)).await?;
        let file = fs::OpenOptions::new().read(true).write(true).open(PATH).await?;
        let log = tokio::sync::Mutex::new(Log { file, end: end as u64 });
        let sure = AtomicBool::new(fs::exists(WHOLE).await);
        Ok((Self { batches: Mutex::new(batches), sure, log }, damage))
    }

    /// Whether it has everything that it ever said it keeps.
    pub(super) fn is_sure(&self) -> bool {
        self.sure.load(Ordering::Relaxed)
    }

    /// Notes, durably, that whatever is not here never was.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(super) async fn be_sure(&self) -> io::Result<()> {
        self.sure.store(true, Ordering::Relaxed);
        fs::replace(WHOLE, Bytes::new()).await
    }

    /// Keeps a batch, durably, where it is not there. An owner's copy takes the place of a stand-in's.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(super) async fn put(&self, key: Key, lines: Vec<Line>, hint: Option<u32>) -> io::Result<Put> {
        let mut log = self.log.lock().await;
        let there = self.lock().held.get(&key).map(|held| held.hint);
        match (there, hint) {
            (Some(Some(one)), Some(other)) if one != other => return Ok(Put::ForAnother),
            (Some(None), _) | (Some(_), Some(_)) => return Ok(Put::There),
            (None, _) | (Some(Some(_)), None) => {}
        }
        let record = Record::Hold { key, lines, hint };
        log.append(&record).await?;
        self.lock().apply(record);
        Ok(Put::New)
    }

    /// Forgets a batch that it stood in for: the owner has it.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(super) async fn give(&self, key: Key) -> io::Result<()> {
        let mut log = self.log.lock().await;
        if self.lock().held.get(&key).is_none_or(|held| held.hint.is_none()) {
            return Ok(());
        }
        let record = Record::Give { key };
        log.append(&record).await?;
        self.lock().apply(record);
        Ok(())
    }

    /// Those of these batches that are here.
    pub(super) fn get(&self, keys: &[Key]) -> Vec<Named> {
        let held = &self.lock().held;
        keys.iter().filter_map(|key| Some((*key, held.get(key)?.lines.clone()))).collect()
    }

    /// All batches that are here.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.lock().held.keys().copied().collect()
    }

    /// Whether this batch is here, and not for somebody else.
    pub(super) fn owns(&self, key: Key) -> bool {
        self.lock().held.get(&key).is_some_and(|held| held.hint.is_none())
    }

    /// Batches that wait for their owners.
    pub(super) fn hints(&self) -> Vec<(Key, u32)> {
        self.lock().held.iter().filter_map(|(key, held)| Some((*key, held.hint?))).collect()
    }

    /// What an account used, by batch.
    pub(super) fn parts(&self, account: u32) -> Vec<(Key, Amounts)> {
        let parts = &self.lock().by_account;
        let parts = parts.get(&account).into_iter().flatten();
        parts.map(|(key, amounts)| (*key, *amounts)).collect()
    }

    /// All accounts that used something, and when the last use ended.
    pub(super) fn accounts(&self) -> (Vec<u32>, u64) {
        let batches = self.lock();
        let lines = batches.held.values().flat_map(|held| &held.lines);
        let last_ended_ns = lines.map(|line| line.ended_ns).max().unwrap_or(0);
        (batches.by_account.keys().copied().collect(), last_ended_ns)
    }

    /// Batches with a use that ended in this time.
    pub(super) fn ended(&self, time_ns: &Range<u64>) -> Vec<Key> {
        let held = &self.lock().held;
        let has = |held: &Held| held.lines.iter().any(|line| time_ns.contains(&line.ended_ns));
        held.iter().filter(|(_, held)| has(held)).map(|(key, _)| *key).collect()
    }

    /// Says what this node holds of these batches as their owner.
    pub(super) fn tell(&self, keys: &[Key]) {
        let held = &self.lock().held;
        for key in keys {
            let own = held.get(key).filter(|held| held.hint.is_none());
            let values = own.map(|held| held.digest).into_iter().collect();
            sim::node::record(Fact::Hold { key: key.to_string(), values });
        }
    }

    /// Calls `see` with each batch that is not held for somebody else, in order.
    pub(super) fn each_own(&self, mut see: impl FnMut(Key, &Held)) {
        self.lock()
            .held
            .iter()
            .filter(|(_, held)| held.hint.is_none())
            .for_each(|(key, held)| see(*key, held));
    }

    fn lock(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    async fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        records::write(record, &mut bytes);
        let length = bytes.len() as u64;
        self.file.write_at(self.end, bytes.freeze()).await?;
        self.file.sync_data().await?;
        self.end += length;
        Ok(())
    }
}

impl Batches {
    fn apply(&mut self, record: Record) {
        match record {
            Record::Hold { key, lines, hint } => {
                self.remove(key);
                for line in &lines {
                    let parts = self.by_account.entry(line.id.client()).or_default();
                    let part = parts.entry(key).or_default();
                    *part = part.plus(line.amounts);
                }
                let digest = digest_of(&lines);
                self.held.insert(key, Held { lines, hint, digest });
            }
            Record::Give { key } => self.remove(key),
        }
    }

    fn remove(&mut self, key: Key) {
        let Some(held) = self.held.remove(&key) else { return };
        for account in held.lines.iter().map(|line| line.id.client()) {
            let Some(parts) = self.by_account.get_mut(&account) else { continue };
            parts.remove(&key);
            if parts.is_empty() {
                self.by_account.remove(&account);
            }
        }
    }
}

/// The digest of a batch's uses.
pub(super) fn digest_of(lines: &[Line]) -> Digest {
    Digest::of(&postcard::to_allocvec(lines).expect("lines have no types that postcard lacks"))
}

/// Whether a whole record begins anywhere in `bytes`: then what is before it is damage, and no torn end.
fn has_record(bytes: &[u8]) -> bool {
    (1..bytes.len()).any(|start| records::read::<Record>(&bytes[start..], RECORD_BYTES_MAX).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sim::history::Id;

    fn record(number: u64) -> Record {
        let amounts = Amounts { cpu_ns: number, bytes: 1 };
        let lines = vec![Line { id: Id::new(1, 2), ended_ns: 5, amounts }];
        Record::Hold { key: Key { number, attempt: 0 }, lines, hint: None }
    }

    proptest! {
        #[test]
        fn an_accounts_parts_are_what_its_lines_in_each_batch_come_to(
            records in prop::collection::vec((0_u64..6, any::<bool>(), prop::collection::vec((0_u32..4, 1_u64..9), 0..6)), 0..20),
        ) {
            let mut batches = Batches::default();
            for (number, gives, uses) in records {
                let key = Key { number, attempt: 0 };
                let line = |(account, cpu_ns)| Line {
                    id: Id::new(account, 0),
                    ended_ns: 0,
                    amounts: Amounts { cpu_ns, bytes: 1 },
                };
                batches.apply(if gives {
                    Record::Give { key }
                } else {
                    Record::Hold { key, lines: uses.into_iter().map(line).collect(), hint: None }
                });
                let mut by_account: BTreeMap<u32, BTreeMap<Key, Amounts>> = BTreeMap::new();
                for (key, held) in &batches.held {
                    for line in &held.lines {
                        let part = by_account.entry(line.id.client()).or_default().entry(*key).or_default();
                        *part = part.plus(line.amounts);
                    }
                }
                prop_assert_eq!(&batches.by_account, &by_account);
            }
        }
    }

    #[test]
    fn a_torn_end_is_no_damage_and_a_hole_is() {
        let mut whole = BytesMut::new();
        records::write(&record(1), &mut whole);
        assert!(!has_record(&whole[..whole.len() - 1]));
        let mut hole = whole.to_vec();
        hole[10] ^= 1;
        hole.extend_from_slice(&whole);
        assert!(has_record(&hole));
    }

    #[test]
    fn a_stand_in_counts_for_one_owner_only() {
        let puts = sim::world::alone(1, async {
            let (store, _) = Store::open().await?;
            let mut puts = Vec::new();
            for hint in [Some(1), Some(1), Some(2), None, Some(2)] {
                puts.push(store.put(Key { number: 7, attempt: 0 }, Vec::new(), hint).await?);
            }
            Ok::<_, io::Error>(puts)
        });
        assert_eq!(puts.unwrap(), [Put::New, Put::There, Put::ForAnother, Put::New, Put::There]);
    }
}
