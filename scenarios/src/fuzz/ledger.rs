//! What a batch has done, one line a run: killed at any moment, it goes on where it was.
#![expect(clippy::disallowed_methods, reason = "the ledger is a file of the machine")]

use super::{Batch, Run, RunResult};
use crate::error::ScenarioError;
use crate::plan_file;
use crate::planner;
use crate::store::{Store, StoredRun, cannot};
use serde::{Deserialize, Serialize};
use sim::stack::Stack;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

/// One run that is done.
#[derive(Serialize, Deserialize)]
pub(super) struct Entry {
    /// Its place among the jobs of the shard.
    pub(super) job: u64,
    pub(super) run: Run,
    pub(super) result: RunResult,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "folder")]
    pub(super) stored: Option<StoredRun>,
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
pub(super) struct Ledger(Option<(PathBuf, File)>);

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
        let folder = store.folder().join(".fuzz");
        std::fs::create_dir_all(&folder).map_err(|error| cannot("write", &folder, &error))?;
        let path = folder.join(format!("{}.jsonl", identity(batch, stack)));
        let read = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            // A line that was not written to its end is a run that is not done.
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            file.set_len(u64::try_from(whole).unwrap_or(0))?;
            text.truncate(whole);
            Ok((file, text))
        };
        let (file, text) = read().map_err(|error| cannot("read", &path, &error))?;
        let entries = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok((Self(Some((path, file))), entries))
    }

    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), ScenarioError> {
        let Some((path, file)) = &mut self.0 else { return Ok(()) };
        let line = serde_json::to_string(entry).expect("an entry is JSON") + "\n";
        file.write_all(line.as_bytes()).map_err(|error| cannot("write", path, &error))
    }

    /// The batch is done: the next one like it begins anew.
    pub(super) fn complete(self) -> Result<(), ScenarioError> {
        let Some((path, _)) = self.0 else { return Ok(()) };
        std::fs::remove_file(&path).map_err(|error| cannot("write", &path, &error))
    }
}

/// Tells batches apart: what is run, with what seeds, by which program.
fn identity(batch: &Batch, stack: &dyn Stack) -> String {
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
    hasher.update(format!("{} {} {:?} {}", batch.base, batch.seeds, batch.shard, batch.twice).as_bytes());
    // Another build may do other things: its runs are its own.
    let program = std::env::current_exe().and_then(std::fs::read).unwrap_or_default();
    hasher.update(&program);
    hasher.finalize().to_hex()[..16].to_owned()
}
