//! Cold storage: objects that are written once, checked whenever they are read, and kept by several nodes.
//!
//! ```text
//! /archive/OBJECT     the BLAKE3 hash of what follows, 32 bytes; an entry; the content, where it was not discarded
//! /archive.running    the BLAKE3 hash of what follows; how long the node has been running, nanoseconds, u64 little-endian
//! /archive.whole      empty: the node has been sure of having everything
//! ```
//! An entry (postcard) is the hash of the content, a note of whoever put it there, and either when the object came or that it
//! was discarded.
//!
//! An object is written beside its place, synced, and then given its name. Another content under a name that is taken is
//! refused. What is damaged or missing on one node is fetched from the others; a node that may have lost something does
//! not count among those that know what there is until it has seen what the others have.
//!
//! Past `archive.retention` each node discards the content by itself, and a receipt takes the place of its file. It counts
//! as the object wherever names are asked for, and so what was put away once is not put away again. The note, a number, stays
//! in the receipt: what its owner still has to know of the object when nobody has the content any more. Age is what a node
//! counts on its own monotonic clock, from when the object came; who fetches it from another takes over the age that it has
//! there, so that nodes which lose their disks in turn do not keep one another's objects for ever.

mod age;
mod file;
mod node;

pub(crate) use node::serve;

use crate::rpc::{self, Remote};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sim::history::{Digest, Fact};
use sim::stack::{Deployment, Setting, SettingKind};
use sim::time::{Instant, timeout};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The role of these nodes.
pub const ROLE: &str = "archive";
/// The port that they are called at.
pub const PORT: u16 = 76;

/// Silence of a node for longer than this is taken for its death.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Names of one answer at the most. Receipts stay for ever: with all names at once a frame would be too long one day.
const NAMES_MOST: u32 = 10_000;

pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "archive.retention",
        why: "how long an object stays in the archive; the default is seven years, of which two may be leap years",
        default: "2557d",
        kind: SettingKind::Duration,
    },
    Setting::choice(
        "archive.retention-by",
        "what an object's age is counted by: the time that its node has been running (`age`), or dates (`wall-clock`), which a wrong time makes old at once",
        &["age", "wall-clock"],
    ),
];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Request {
    /// Keep the bytes beside this, and a note.
    Put { name: String, note: u64 },
    /// Give them.
    Get { name: String },
    /// Which objects are there, of those whose names come after this one? The first ones, in order.
    Names { after: String, most: u32 },
    /// Read this object from the disk and say, for whoever reads the history, what is there.
    Tell { name: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Response {
    Stored,
    /// The name has another content.
    Taken,
    /// The bytes are beside this; how old they are, and the note.
    Found {
        age_ns: u64,
        note: u64,
    },
    /// It was here until its retention was over; the hash of its content, and the note.
    Discarded {
        hash: file::Hash,
        note: u64,
    },
    Missing,
    /// It is not here, and may have been.
    Unsure,
    /// The objects; whether no other was ever here.
    Names {
        names: Vec<String>,
        sure: bool,
    },
}

/// Why something is not in the archive, or is not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// No majority of the nodes answered.
    #[error("too few nodes of the archive answer")]
    Unavailable,
    /// The object is there, with another content.
    #[error("`{0}` was archived before, with another content")]
    Taken(String),
    /// The object was there, and its retention is over.
    #[error("`{name}` was discarded when its retention was over")]
    Discarded {
        /// Its name.
        name: String,
        /// The note that it was put there with.
        note: u64,
    },
}

/// A way to the archive.
pub struct Archive {
    remotes: Vec<Remote<Request, Response>>,
}

impl Archive {
    /// The archive of `deployment`. Opens no connection yet.
    pub fn new(deployment: &Deployment) -> Self {
        let nodes = deployment.of_role(ROLE);
        Self { remotes: nodes.map(|node| Remote::new(&node.name, PORT, PATIENCE)).collect() }
    }

    /// Keeps an object on a majority, durably, and a note for longer than that. The same again is no error.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub async fn put(&self, name: &str, note: u64, content: &Bytes) -> Result<(), ArchiveError> {
        let put = Request::Put { name: name.to_owned(), note };
        let mut stored = 0;
        for (response, _) in self.answers(&put, content).await {
            match response {
                Response::Stored => stored += 1,
                Response::Taken => return Err(ArchiveError::Taken(name.to_owned())),
                _ => {}
            }
        }
        if !self.is_majority(stored) {
            return Err(ArchiveError::Unavailable);
        }
        sim::node::record(Fact::Archived { object: name.to_owned(), content: Digest::of(content) });
        Ok(())
    }

    /// An object; none where no majority of the nodes knows of one.
    ///
    /// # Errors
    /// Where too few nodes answer to tell, or it was discarded.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, ArchiveError> {
        let question = Instant::now().as_nanos();
        sim::node::record(Fact::Recall { object: name.to_owned(), question });
        let answers = self.answers(&Request::Get { name: name.to_owned() }, &Bytes::new()).await;
        let missing = answers.iter().filter(|(response, _)| *response == Response::Missing).count();
        // One receipt tells: there is none before the time.
        let discarded = answers.iter().find_map(|(response, _)| match response {
            Response::Discarded { note, .. } => Some(*note),
            _ => None,
        });
        let found = answers.into_iter().find(|(response, _)| matches!(response, Response::Found { .. }));
        let found = match found {
            Some((_, content)) => Some(content),
            None if discarded.is_some() || self.is_majority(missing) => None,
            None => return Err(ArchiveError::Unavailable),
        };
        let content = found.iter().map(|content| Digest::of(content)).collect();
        sim::node::record(Fact::Restore { object: name.to_owned(), question, content });
        match discarded {
            Some(note) if found.is_none() => Err(ArchiveError::Discarded { name: name.to_owned(), note }),
            _ => Ok(found),
        }
    }

    /// The names of all objects that any node has, where a majority can tell of all.
    ///
    /// # Errors
    /// Where too few nodes answer.
    pub async fn names(&self) -> Result<BTreeSet<String>, ArchiveError> {
        Ok(self.holders("", NAMES_MOST).await?.into_keys().collect())
    }

    /// The names after `after` of the objects that a majority keeps, as far as nodes answer. What fewer have may have been refused to whoever
    /// put it, and be lost with one disk.
    ///
    /// # Errors
    /// Where too few nodes answer.
    pub async fn kept(&self, after: &str) -> Result<BTreeSet<String>, ArchiveError> {
        let holders = self.holders(after, NAMES_MOST).await?.into_iter();
        Ok(holders.filter(|(_, count)| self.is_majority(*count)).map(|(name, _)| name).collect())
    }

    /// How many nodes say that they have an object or its receipt, by its name, of those after `after`; they are asked for so many at a time.
    async fn holders(&self, after: &str, most: u32) -> Result<BTreeMap<String, usize>, ArchiveError> {
        let (mut holders, mut after) = (BTreeMap::new(), after.to_owned());
        loop {
            let (mut pages, mut known_by) = (Vec::new(), 0);
            for (response, _) in self.answers(&Request::Names { after, most }, &Bytes::new()).await {
                if let Response::Names { names, sure } = response {
                    pages.push(names);
                    known_by += usize::from(sure);
                }
            }
            if !self.is_majority(known_by) {
                return Err(ArchiveError::Unavailable);
            }
            // Not every node has the same: of what is behind the end of some page, not all nodes have told yet.
            let end = pages.iter().filter_map(|names| end_of(names, most)).min().map(str::to_owned);
            let told = |name: &String| end.as_ref().is_none_or(|end| name <= end);
            for name in pages.into_iter().flatten().filter(told) {
                *holders.entry(name).or_default() += 1;
            }
            match end {
                Some(end) => after = end,
                None => return Ok(holders),
            }
        }
    }

    /// Whether so many nodes are more than half of them.
    fn is_majority(&self, count: usize) -> bool {
        count > self.remotes.len() / 2
    }

    /// The answers of all nodes that give one in time.
    async fn answers(&self, request: &Request, blob: &Bytes) -> Vec<(Response, Bytes)> {
        let deadline = Instant::now() + PATIENCE;
        let call = |remote: &Remote<_, _>| Some(remote.call(request.clone(), blob.clone(), deadline));
        let mut calls: Vec<_> = self.remotes.iter().map(call).collect();
        let mut answers = Vec::new();
        while let Ok(Some((_, answer))) =
            timeout(deadline - Instant::now(), rpc::next_answer(&mut calls)).await
        {
            answers.extend(answer.ok());
        }
        answers
    }
}

/// The last name of an answer, where there may be more names after it.
fn end_of(names: &[String], most: u32) -> Option<&str> {
    names.last().filter(|_| names.len() >= most as usize).map(String::as_str)
}

/// Has every node say what it has of every object; false where one does not answer, or lacks one and its receipt.
pub(crate) async fn tell(deployment: &Deployment) -> bool {
    let archive = Archive::new(deployment);
    if archive.remotes.is_empty() {
        return true;
    }
    let Ok(names) = archive.names().await else { return false };
    for name in names {
        let answers = archive.answers(&Request::Tell { name }, &Bytes::new()).await;
        let is_there = |(response, _): &&(Response, Bytes)| {
            matches!(response, Response::Found { .. } | Response::Discarded { .. })
        };
        let found = answers.iter().filter(is_there).count();
        if found < archive.remotes.len() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod message_tests {
    use super::*;
    use crate::wire::messages::{are_no_reason_to_panic, is_never_misread};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written_or_not_at_all(
            place: prop::sample::Index,
            bytes in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..80),
        ) {
            for message in [
                Request::Put { name: "bill-7".to_owned(), note: 300 },
                Request::Get { name: String::new() },
                Request::Names { after: "bill-7".to_owned(), most: NAMES_MOST },
            ] {
                is_never_misread(&message, place);
            }
            are_no_reason_to_panic::<Request>(&bytes);
            for message in [
                Response::Found { age_ns: u64::MAX, note: 0 },
                Response::Discarded { hash: [7; 32], note: 300 },
                Response::Names { names: vec!["bill-7".to_owned(), "bill-8".to_owned()], sure: true },
            ] {
                is_never_misread(&message, place);
            }
            are_no_reason_to_panic::<Response>(&bytes);
        }
    }
}
