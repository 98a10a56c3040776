//! What a batch has done, one line a run: killed at any moment, it goes on where it was.
#![expect(clippy::disallowed_methods, reason = "the ledger is a file of the machine")]

use super::guide::Learned;
use super::{Batch, Run, RunResult, Shard, Target};
use crate::error::ScenarioError;
use crate::plan_file;
use crate::planner;
use crate::store::{Provenance, Store, StoredRun, cannot, program_digest};
use serde::{Deserialize, Serialize};
use sim::stack::Stack;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

/// The version of ledgers.
const LEDGER_VERSION: u32 = 3;

/// More shards than this are a damaged file.
const SHARDS_MAX: u64 = 1_000_000;

/// The folder of ledgers in a store.
const FOLDER: &str = ".fuzz";
/// What a ledger's name ends with while its batch is at work, and when all its runs are done.
const OPEN: &str = ".jsonl";
const DONE: &str = ".done.jsonl";
/// And the name of the file that is held meanwhile. It is one of its own, since a ledger that is done gets another name.
const LOCK: &str = ".lock";

/// The first line of a ledger: which part of which batch it is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Header {
    pub(super) v: u32,
    /// Tells batches apart: what is run, with what seeds. The same for all shards and for every build of one version.
    pub(super) batch: String,
    /// The build that ran it.
    pub(super) program: String,
    /// What it runs, for people.
    pub(super) targets: Vec<String>,
    pub(super) base: u64,
    pub(super) seeds: u64,
    pub(super) shard: Shard,
    /// How many runs this shard has.
    pub(super) runs: u64,
    /// How many all shards have.
    pub(super) runs_of_all: u64,
}

impl Header {
    fn is_sound(&self) -> bool {
        let Shard { part, of } = self.shard;
        self.v == LEDGER_VERSION && (1..=of).contains(&part) && of <= SHARDS_MAX
    }
}

/// One run that is done.
#[derive(Serialize, Deserialize)]
pub(super) struct Entry {
    /// Its place in the whole batch.
    pub(super) place: u64,
    pub(super) run: Run,
    pub(super) result: RunResult,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "folder")]
    pub(super) stored: Option<StoredRun>,
    /// What a guided batch learned of it.
    #[serde(default, skip_serializing_if = "Learned::is_empty")]
    pub(super) learned: Learned,
}

mod folder {
    use super::{PathBuf, StoredRun};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        run: &Option<StoredRun>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        run.as_ref().map(|run| &run.folder).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<StoredRun>, D::Error> {
        Ok(Option::<PathBuf>::deserialize(deserializer)?.map(|folder| StoredRun { folder }))
    }
}

/// The file of one batch; nothing where there is no store.
pub(super) struct Ledger(Option<Held>);

struct Held {
    path: PathBuf,
    file: File,
    _lock: File,
}

impl Ledger {
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// The ledger of `batch`, and what is in it.
    pub(super) fn open(
        store: &Store,
        batch: &Batch,
        stack: &dyn Stack,
    ) -> Result<(Self, Vec<Entry>), ScenarioError> {
        let folder = store.folder().join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|error| cannot("write", &folder, &error))?;
        let header = header(batch, stack);
        let name = format!("{}-{}-{}", header.batch, header.shard.part, header.shard.of);
        let lock_path = folder.join(format!("{name}{LOCK}"));
        let lock = File::create(&lock_path).map_err(|error| cannot("write", &lock_path, &error))?;
        let path = folder.join(name + OPEN);
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            let reason = "another hogwash is at work on this batch in this store".to_owned();
            return Err(ScenarioError::File { what: "use", path: path.display().to_string(), reason });
        }
        let file = || OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = file().map_err(|error| cannot("read", &path, &error))?;
        let entries = whole_lines(&file).map_err(|error| cannot("read", &path, &error))?;
        let mut lines = entries.lines();
        let entries = if lines.next().is_some_and(|line| line == json(&header)) {
            lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
        } else {
            // New, of another build, or damaged from its first line on.
            let begin =
                || file.set_len(0).and_then(|()| (&file).write_all((json(&header) + "\n").as_bytes()));
            begin().map_err(|error| cannot("write", &path, &error))?;
            Vec::new()
        };
        Ok((Self(Some(Held { path, file, _lock: lock })), entries))
    }

    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), ScenarioError> {
        let Some(Held { path, file, .. }) = &mut self.0 else { return Ok(()) };
        let line = json(entry) + "\n";
        file.write_all(line.as_bytes()).map_err(|error| cannot("write", path, &error))
    }

    /// All runs are done: the next batch like it begins anew, and this one can be merged with its other shards.
    pub(super) fn complete(self) -> Result<(), ScenarioError> {
        let Some(Held { path, .. }) = &self.0 else { return Ok(()) };
        let name =
            path.file_name().map(|name| name.to_string_lossy().replace(OPEN, DONE)).unwrap_or_default();
        std::fs::rename(path, path.with_file_name(name)).map_err(|error| cannot("write", path, &error))
    }
}

/// A ledger as it was left.
pub(super) struct Left {
    pub(super) path: PathBuf,
    pub(super) header: Header,
    pub(super) entries: Vec<Entry>,
}

/// All ledgers in `store`, in order of name; of a batch that was done once and begun anew, the one that is done.
pub(super) fn all(store: &Store) -> Result<Vec<Left>, ScenarioError> {
    let folder = store.folder().join(FOLDER);
    let entries = std::fs::read_dir(&folder).map_err(|error| cannot("read", &folder, &error))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut left = Vec::new();
    for path in paths.iter().filter(|path| path.to_string_lossy().ends_with(OPEN)) {
        let name = path.to_string_lossy();
        if !name.ends_with(DONE) && paths.contains(&name.replace(OPEN, DONE).into()) {
            continue;
        }
        let file = File::open(path).map_err(|error| cannot("read", path, &error))?;
        let text = whole_lines_of(&file).map_err(|error| cannot("read", path, &error))?;
        let mut lines = text.lines();
        let header = lines.next().and_then(|line| serde_json::from_str::<Header>(line).ok());
        let header = header.filter(Header::is_sound).ok_or_else(|| ScenarioError::File {
            what: "read",
            path: path.display().to_string(),
            reason: "it is no batch of this version of hogwash".to_owned(),
        })?;
        let mut entries: Vec<Entry> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        for run in entries.iter_mut().filter_map(|entry| entry.stored.as_mut()) {
            // The store may have been moved since, from the machine that ran the shard.
            let here = store.folder().join(run.name());
            if here.is_dir() {
                run.folder = here;
            }
        }
        left.push(Left { path: path.clone(), header, entries });
    }
    Ok(left)
}

/// The text of `file`, which loses what was not written to its end: a run that is not done.
fn whole_lines(file: &File) -> std::io::Result<String> {
    let text = whole_lines_of(file)?;
    file.set_len(u64::try_from(text.len()).unwrap_or(0))?;
    Ok(text)
}

fn whole_lines_of(mut file: &File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    bytes.truncate(whole);
    String::from_utf8(bytes).map_err(std::io::Error::other)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a ledger is JSON")
}

fn header(batch: &Batch, stack: &dyn Stack) -> Header {
    let mut hasher = blake3::Hasher::new();
    for target in &batch.targets {
        let plan = planner::plan(&target.scenario, stack, target.variant.as_deref(), 0, &batch.overrides);
        hasher.update(plan.map(|plan| plan_file::write(&plan)).unwrap_or_default().as_bytes());
        hasher.update(format!("{:?}", target.scenario).as_bytes());
    }
    for (name, plan) in &batch.regressions {
        hasher.update(name.as_bytes());
        hasher.update(plan_file::write(plan).as_bytes());
    }
    let Batch { base, seeds, shard, guide, twice, .. } = batch;
    hasher.update(format!("{base} {seeds} {} {guide} {twice}", shard.of).as_bytes());
    hasher.update(json(&Provenance::here()).as_bytes());
    // Another build may do other things: its runs are its own.
    Header {
        v: LEDGER_VERSION,
        batch: hasher.finalize().to_hex()[..16].to_owned(),
        program: program_digest(),
        targets: batch.targets.iter().map(Target::name).collect(),
        base: *base,
        seeds: *seeds,
        shard: *shard,
        runs: batch.runs(),
        runs_of_all: batch.runs_of_all(),
    }
}
