//! The log of accounts: each made and revoked, in order, in memory and in a file that is only ever added to.
//!
//! The version of what a node knows is how many entries it has: two nodes of the same version know the same.

use super::address::{KEYS_LIVE, Secret};
use super::token::Public;
use crate::records;
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use sim::fs::{self, File};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

const DIRECTORY: &str = "/auth";
const PATH: &str = "/auth/accounts.log";
/// No record is longer: a length above this is damage.
const RECORD_BYTES_MAX: usize = 4096;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry {
    /// Another key signs from here on; credentials of earlier ones stay good.
    Key { public: Public },
    /// An account was made, for whoever asked so.
    Create { account: u32, asked: Option<[u8; 32]> },
    /// It was revoked, for good.
    Revoke { account: u32 },
    /// Another key signs addresses from here on, made at this time of the management plane's wall clock.
    AddressKey { secret: Secret, made_ns: u64 },
}

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Standing {
    /// There is none, as far as is known.
    Unknown,
    /// It may do what accounts may.
    Good,
    /// It was one.
    Revoked,
}

/// What the log says of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// The version that first has it.
    pub(super) created: u64,
    /// The version that first has its revocation.
    pub(super) revoked: Option<u64>,
}

/// What the log says in all.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: Vec<Entry>,
    pub(super) keys: Vec<Public>,
    /// What addresses were and are signed with, and when each was made.
    address_keys: Vec<(Secret, u64)>,
    pub(super) accounts: BTreeMap<u32, Account>,
    /// Accounts by how they were asked for.
    pub(super) asked: BTreeMap<[u8; 32], u32>,
}

/// A node's log.
pub(super) struct Log {
    known: Mutex<Known>,
    file: tokio::sync::Mutex<Tail>,
}

/// The right to add to a log: whoever has it is the only one.
pub(super) struct Writer<'a> {
    log: &'a Log,
    tail: tokio::sync::MutexGuard<'a, Tail>,
}

struct Tail {
    file: File,
    end: u64,
}

impl Known {
    /// How much it is.
    pub(super) fn version(&self) -> u64 {
        self.entries.len() as u64
    }

    /// How an account stands.
    pub(super) fn standing(&self, account: u32) -> Standing {
        match self.accounts.get(&account) {
            None => Standing::Unknown,
            Some(Account { revoked: None, .. }) => Standing::Good,
            Some(_) => Standing::Revoked,
        }
    }

    /// Entries after the first `version`, `most` at the most.
    pub(super) fn since(&self, version: u64, most: usize) -> Vec<Entry> {
        let from = usize::try_from(version).unwrap_or(usize::MAX);
        self.entries.iter().skip(from).take(most).cloned().collect()
    }

    /// A number that no account has, nor any of `taken`. Whoever chose a high one for itself has not used up all below it.
    pub(super) fn free_number(&self, taken: &BTreeSet<u32>) -> u32 {
        let first = u32::try_from(self.accounts.len()).unwrap_or(u32::MAX);
        let free = |number: &u32| !self.accounts.contains_key(number) && !taken.contains(number);
        (first..=u32::MAX).chain(0..first).find(free).expect("there are fewer accounts than numbers")
    }

    /// What addresses may be signed with, by number, the newest last.
    pub(super) fn address_keys(&self) -> Vec<(u32, Secret)> {
        let number = |place: usize| u32::try_from(place).expect("fewer keys than 2^32");
        let retired = self.address_keys.len().saturating_sub(KEYS_LIVE);
        let keys = self.address_keys.iter().enumerate().skip(retired);
        keys.map(|(place, (secret, _))| (number(place), *secret)).collect()
    }

    /// When the newest of them was made; none where there is none.
    pub(super) fn address_key_made_ns(&self) -> Option<u64> {
        self.address_keys.last().map(|(_, made_ns)| *made_ns)
    }

    fn add(&mut self, entry: Entry) {
        self.entries.push(entry.clone());
        let version = self.version();
        match entry {
            Entry::Key { public } => self.keys.push(public),
            Entry::AddressKey { secret, made_ns } => self.address_keys.push((secret, made_ns)),
            Entry::Create { account, asked } => {
                self.accounts.entry(account).or_insert(Account { created: version, revoked: None });
                if let Some(asked) = asked {
                    self.asked.entry(asked).or_insert(account);
                }
            }
            Entry::Revoke { account } => {
                if let Some(account) = self.accounts.get_mut(&account) {
                    account.revoked.get_or_insert(version);
                }
            }
        }
    }
}

impl Log {
    /// Opens the log, or makes an empty one. False beside it where there may have been more than what is read: it is empty, or
    /// has an end that cannot be read and was cut off.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(super) async fn open() -> io::Result<(Self, bool)> {
        fs::create_dir_all(DIRECTORY).await?;
        fs::sync_dir("/").await?;
        let bytes = if fs::exists(PATH).await { fs::read(PATH).await? } else { Bytes::new() };
        let (mut known, mut end) = (Known::default(), 0);
        while let Some((entry, length)) = records::read(&bytes[end..], RECORD_BYTES_MAX) {
            known.add(entry);
            end += length;
        }
        let whole = end == bytes.len() && end > 0;
        // What was read may have been in the cache only, and after a sync that failed another sync does not help (Rebello and
        // others 2020, "Can applications recover from fsync failures?"): it is written anew.
        fs::replace(PATH, bytes.slice(..end)).await?;
        let file = fs::OpenOptions::new().read(true).write(true).open(PATH).await?;
        let tail = tokio::sync::Mutex::new(Tail { file, end: end as u64 });
        Ok((Self { known: Mutex::new(known), file: tail }, whole))
    }

    /// What the log says.
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to add to it, once nobody else has it.
    pub(super) async fn writer(&self) -> Writer<'_> {
        Writer { log: self, tail: self.file.lock().await }
    }
}

impl Writer<'_> {
    /// Adds entries. They are known once they are durable.
    ///
    /// # Errors
    /// Where the disk fails: what is on it then is not known, and nothing may be added any more.
    pub(super) async fn append(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        entries.iter().for_each(|entry| records::write(entry, &mut bytes));
        let length = bytes.len() as u64;
        self.tail.file.write_at(self.tail.end, bytes.freeze()).await?;
        self.tail.file.sync_data().await?;
        self.tail.end += length;
        let mut known = self.log.known();
        entries.into_iter().for_each(|entry| known.add(entry));
        Ok(())
    }
}

/// Where the management plane keeps what it signs with: nowhere else, and in no log.
pub(super) mod secret {
    use super::{Bytes, DIRECTORY, fs, io};

    const HASH_BYTES: usize = 32;

    /// The secret; none where there is none, or none that is whole.
    pub(in super::super) async fn read() -> Option<[u8; 32]> {
        let bytes = fs::read(&path()).await.ok()?;
        let (hash, secret) = bytes.split_at_checked(HASH_BYTES)?;
        let secret: [u8; 32] = secret.try_into().ok()?;
        (*blake3::hash(&secret).as_bytes() == hash).then_some(secret)
    }

    /// Keeps a secret, durably.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(in super::super) async fn keep(secret: [u8; 32]) -> io::Result<()> {
        let bytes = [&blake3::hash(&secret).as_bytes()[..], &secret].concat();
        fs::replace(&path(), Bytes::from(bytes)).await
    }

    fn path() -> String {
        format!("{DIRECTORY}/secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_who_is_known_and_since_when_who_is_revoked() {
        let mut known = Known::default();
        known.add(Entry::Key { public: [1; 32] });
        known.add(Entry::Create { account: 7, asked: Some([2; 32]) });
        known.add(Entry::Create { account: 8, asked: None });
        known.add(Entry::Revoke { account: 7 });
        known.add(Entry::Revoke { account: 7 });
        let standings = [6, 7, 8].map(|account| known.standing(account));
        assert_eq!(standings, [Standing::Unknown, Standing::Revoked, Standing::Good]);
        assert_eq!(known.accounts[&7], Account { created: 2, revoked: Some(4) }, "the first time counts");
        assert_eq!((known.version(), known.keys.len()), (5, 1));
        known.add(Entry::Create { account: 7, asked: None });
        assert_eq!(known.standing(7), Standing::Revoked, "a number is used once");
        let next = known.since(2, 2);
        assert_eq!(next, [Entry::Create { account: 8, asked: None }, Entry::Revoke { account: 7 }]);
        assert_eq!(known.since(u64::MAX, 2), []);
    }
}
