//! Versions on a node's disk: the last good one, and one that is on probation or waits for it.

use super::document::Document;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sim::fs;
use std::io;

const DIRECTORY: &str = "/version";
/// The version that is known to let the node live.
const GOOD: &str = "good";
/// The version that is to show it.
const CANDIDATE: &str = "candidate";

/// A version that is not called good yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Candidate {
    document: Document,
    /// Whether a process has run it: one that is found so at a start did not let that process live.
    begun: bool,
}

/// What a process starts with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// Its version; none where no other than the first was ever kept.
    pub(super) document: Option<Document>,
    pub(super) on_probation: bool,
    /// The version that is not to be tried again: it was on probation when the process before ended.
    pub(super) failed: Option<u64>,
}

/// What the disk says a process is to start with.
///
/// # Errors
/// Where the disk fails.
pub(super) async fn start(last_known_good: bool) -> io::Result<Start> {
    fs::create_dir_all(DIRECTORY).await?;
    // Else the directory may be gone after a loss of power, with all that was synced in it.
    fs::sync_dir("/").await?;
    let (candidate, good) = (read::<Candidate>(CANDIDATE).await, read::<Document>(GOOD).await);
    // One that is the good one has passed its probation, and a loss of power brought its file back.
    let candidate = candidate.filter(|candidate| good.as_ref() != Some(&candidate.document));
    match candidate {
        Some(Candidate { document, begun }) if !begun || !last_known_good => {
            keep_candidate(&document, true).await?;
            Ok(Start { document: Some(document), on_probation: true, failed: None })
        }
        failed => {
            sim::sometimes!(failed.is_some(), "a node starts with the last configuration that was good");
            remove_candidate().await?;
            let failed = failed.map(|failed| failed.document.version);
            Ok(Start { document: good, on_probation: false, failed })
        }
    }
}

/// Keeps the version that is known to be good, and none beside it.
///
/// # Errors
/// Where the disk fails: what was kept before may still be.
pub(super) async fn keep_good(document: &Document) -> io::Result<()> {
    write_whole(DIRECTORY, GOOD, seal(document)).await?;
    remove_candidate().await
}

/// Keeps a version on probation: `begun`, or to be begun by the next process.
///
/// # Errors
/// Where the disk fails: what was kept before may still be.
pub(super) async fn keep_candidate(document: &Document, begun: bool) -> io::Result<()> {
    let candidate = Candidate { document: document.clone(), begun };
    write_whole(DIRECTORY, CANDIDATE, seal(&candidate)).await
}

async fn remove_candidate() -> io::Result<()> {
    let removed = fs::remove_file(&format!("{DIRECTORY}/{CANDIDATE}")).await;
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// What a file says; none where there is none, or none that is whole.
async fn read<T: DeserializeOwned>(name: &str) -> Option<T> {
    let bytes = fs::read(&format!("{DIRECTORY}/{name}")).await.ok()?;
    unseal(&bytes)
}

/// What goes to disk: a check of what follows, and JSON.
pub(super) fn seal<T: Serialize>(value: &T) -> Vec<u8> {
    let json = serde_json::to_vec(value).expect("numbers and words");
    [&crc32fast::hash(&json).to_le_bytes()[..], &json].concat()
}

/// What was sealed; none where it is not whole.
pub(super) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (sum, json) = bytes.split_first_chunk()?;
    (crc32fast::hash(json) == u32::from_le_bytes(*sum)).then(|| serde_json::from_slice(json).ok())?
}

/// Writes a file so that after any crash it is there as a whole, or as it was before.
pub(super) async fn write_whole(directory: &str, name: &str, bytes: Vec<u8>) -> io::Result<()> {
    let (path, new) = (format!("{directory}/{name}"), format!("{directory}/{name}.new"));
    let options = fs::OpenOptions::new().write(true).create(true).truncate(true);
    let file = options.open(&new).await?;
    file.write_at(0, bytes.into()).await?;
    file.sync_all().await?;
    fs::rename(&new, &path).await?;
    fs::sync_dir(directory).await
}

#[cfg(test)]
mod tests {
    use super::super::rollout::Progress;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn versions() -> impl Strategy<Value = Document> {
        let settings = prop::collection::btree_map("[a-z.]{1,12}", ".{0,8}", 0..3);
        (any::<u64>(), any::<u64>(), settings).prop_map(|(version, in_flight_max, settings)| Document {
            version,
            in_flight_max,
            settings,
            defect: None,
        })
    }

    fn version(version: u64) -> Document {
        Document { version, settings: BTreeMap::new(), ..Document::first() }
    }

    /// What a process starts with where the good version and the candidate are these.
    fn started(good: u64, candidate: u64, begun: bool, last_known_good: bool) -> (Start, Option<Candidate>) {
        let started = sim::world::alone(1, async move {
            start(true).await?;
            write_whole(DIRECTORY, GOOD, seal(&version(good))).await?;
            keep_candidate(&version(candidate), begun).await?;
            Ok::<_, io::Error>((start(last_known_good).await?, read(CANDIDATE).await))
        });
        started.unwrap()
    }

    fn with(document: u64, on_probation: bool, failed: Option<u64>) -> Start {
        Start { document: Some(version(document)), on_probation, failed }
    }

    #[test]
    fn a_version_that_a_process_died_with_is_not_tried_again() {
        assert_eq!(started(1, 2, true, true), (with(1, false, Some(2)), None));
    }

    #[test]
    fn a_version_that_passed_its_probation_is_not_refused_though_its_file_came_back() {
        assert_eq!(started(2, 2, true, true), (with(2, false, None), None));
    }

    #[test]
    fn a_version_that_waits_for_a_start_is_begun_once() {
        let (start, left) = started(1, 2, false, true);
        assert_eq!(start, with(2, true, None));
        assert_eq!(left, Some(Candidate { document: version(2), begun: true }));
    }

    #[test]
    fn without_a_last_good_one_a_version_is_tried_again_and_again() {
        assert_eq!(started(1, 2, true, false).0, with(2, true, None));
    }

    proptest! {
        #[test]
        fn a_version_on_disk_is_read_as_it_was_written_or_not_at_all(
            document in versions(),
            begun: bool,
            place: prop::sample::Index,
            bytes: Vec<u8>,
        ) {
            let version = Candidate { document, begun };
            let file = seal(&version);
            prop_assert_eq!(unseal(&file), Some(version));
            let bit = place.index(file.len() * 8);
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(unseal::<Candidate>(&damaged), None);
            prop_assert_eq!(unseal::<Candidate>(&file[..bit / 8]), None);
            prop_assert_eq!(unseal::<Document>(&bytes), None);
        }

        #[test]
        fn how_far_a_rollout_is_is_read_as_it_was_written_or_not_at_all(stage: usize, place: prop::sample::Index) {
            let file = seal(&Progress::Stage(stage));
            prop_assert_eq!(unseal(&file), Some(Progress::Stage(stage)));
            let bit = place.index(file.len() * 8);
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(unseal::<Progress>(&damaged), None);
        }
    }
}
