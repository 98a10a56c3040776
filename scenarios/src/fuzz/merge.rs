//! The shards of one batch, joined again.

use super::ledger::{self, Left};
use super::tally::Tally;
use super::{RunResult, Shard, Summary};
use crate::error::ScenarioError;
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// All shards of a batch as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// What one batch without shards would have said. Its time is that of all runs, one after the other.
    pub summary: Summary,
    /// Each shard, how many of its runs are there, and how many it has.
    pub shards: Vec<(Shard, u64, u64)>,
    /// Runs that are not there.
    pub missing: u64,
    /// Whether different builds of the same version ran the shards.
    pub builds_differ: bool,
}

/// Why shards cannot be merged.
#[derive(Debug, Error)]
pub enum MergeError {
    /// No batch in any store.
    #[error("no batch is kept in {0}: give the folders that `fuzz --store DIR` wrote")]
    Nothing(String),
    /// Several.
    #[error("these stores hold {} batches; name one with `--batch`: {}", .0.len(), .0.join("; "))]
    Several(Vec<String>),
    /// A batch of that name is not there.
    #[error("there is no batch `{asked}`; there are: {}", .there.join("; "))]
    Unknown {
        /// What was asked for.
        asked: String,
        /// What there is.
        there: Vec<String>,
    },
    /// A shard is there twice.
    #[error("shard {shard} is there twice: in `{}` and in `{}`", .first.display(), .second.display())]
    Doubled {
        /// Which.
        shard: Shard,
        /// In one store.
        first: PathBuf,
        /// And in another.
        second: PathBuf,
    },
    /// A run is there twice, or is none of its shard's.
    #[error("`{}` is damaged: run {place} is there twice, or does not belong there", .path.display())]
    Damaged {
        /// The ledger.
        path: PathBuf,
        /// The run's place in the batch.
        place: u64,
    },
    /// Runs are missing.
    #[error("{missing} of {runs} runs are missing: {}; add or finish these shards, or give `--partial`", .shards.join(", "))]
    Missing {
        /// How many.
        missing: u64,
        /// Of how many.
        runs: u64,
        /// The shards that they are of.
        shards: Vec<String>,
    },
    /// A store cannot be read.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
}

/// Joins the shards that `stores` hold: of the batch whose name begins with `batch`, or the only one. Where runs are missing,
/// `partial` merges what there is.
///
/// # Errors
/// Where there is no such batch, or a run of it is missing or there twice.
pub fn merge(stores: &[Store], batch: Option<&str>, partial: bool) -> Result<Merged, MergeError> {
    let mut ledgers = Vec::new();
    for store in stores {
        ledgers.extend(ledger::all(store)?);
    }
    let ledgers = of_one_batch(stores, ledgers, batch)?;
    let of = ledgers[0].header.shard.of;
    let whole = ledgers[0].header.runs_of_all;
    let mut by_part: BTreeMap<u64, Left> = BTreeMap::new();
    for ledger in ledgers {
        let shard = ledger.header.shard;
        if let Some(first) = by_part.get(&shard.part) {
            let (first, second) = (first.path.clone(), ledger.path);
            return Err(MergeError::Doubled { shard, first, second });
        }
        by_part.insert(shard.part, ledger);
    }
    let mut shards = Vec::new();
    for part in 1..=of {
        let shard = Shard { part, of };
        let there = by_part.get(&part).map(check).transpose()?.unwrap_or(0);
        shards.push((shard, there, shard.runs(whole)));
    }
    let missing = whole - shards.iter().map(|(_, there, _)| there).sum::<u64>();
    if missing > 0 && !partial {
        let shards = shards.iter().filter(|(_, there, runs)| there < runs);
        let shards = shards.map(|(shard, there, runs)| format!("shard {shard} has {there} of {runs}"));
        return Err(MergeError::Missing { missing, runs: whole, shards: shards.collect() });
    }
    let programs: BTreeSet<String> = by_part.values().map(|ledger| ledger.header.program.clone()).collect();
    let summary = summary(by_part.into_values());
    Ok(Merged { summary, shards, missing, builds_differ: programs.len() > 1 })
}

/// The ledgers of the batch that is meant, at least one.
fn of_one_batch(
    stores: &[Store],
    mut ledgers: Vec<Left>,
    asked: Option<&str>,
) -> Result<Vec<Left>, MergeError> {
    let mut there: BTreeMap<String, String> = BTreeMap::new();
    for Left { header, .. } in &ledgers {
        let ledger::Header { batch, targets, base, seeds, .. } = header;
        let words = format!("{batch} ({}, {seeds} seeds from {base})", targets.join(", "));
        there.insert(batch.clone(), words);
    }
    let words = || there.values().cloned().collect();
    if let Some(asked) = asked {
        ledgers.retain(|ledger| ledger.header.batch.starts_with(asked));
    }
    let first = ledgers.first().map(|ledger| ledger.header.batch.clone());
    match (first, asked) {
        (None, Some(asked)) if !there.is_empty() => {
            Err(MergeError::Unknown { asked: asked.to_owned(), there: words() })
        }
        (None, _) => {
            let folders: Vec<_> =
                stores.iter().map(|store| format!("`{}`", store.folder().display())).collect();
            Err(MergeError::Nothing(folders.join(", ")))
        }
        (Some(first), _) if ledgers.iter().any(|ledger| ledger.header.batch != first) => {
            Err(MergeError::Several(words()))
        }
        (Some(_), _) => Ok(ledgers),
    }
}

/// How many runs are there, each its shard's and there once.
fn check(ledger: &Left) -> Result<u64, MergeError> {
    let shard = ledger.header.shard;
    let mut seen = BTreeSet::new();
    for entry in &ledger.entries {
        let place = entry.place;
        let belongs = place % shard.of == shard.part - 1 && place < ledger.header.runs_of_all;
        if !belongs || !seen.insert(place) {
            return Err(MergeError::Damaged { path: ledger.path.clone(), place });
        }
    }
    Ok(u64::try_from(seen.len()).unwrap_or(u64::MAX))
}

fn summary(ledgers: impl Iterator<Item = Left>) -> Summary {
    let mut tally = Tally::default();
    let mut wall_ns = 0_u64;
    for entry in ledgers.flat_map(|ledger| ledger.entries) {
        if let RunResult::Ended(capsule) = &entry.result {
            wall_ns = wall_ns.saturating_add(capsule.wall_ns);
        }
        tally.add(&entry);
    }
    tally.summary(Duration::from_nanos(wall_ns), false, false)
}
