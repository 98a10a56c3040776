//! `hogwash merge`: the shards of one batch, as if one machine had run it.

use super::fuzz;
use crate::cli::MergeArgs;
use crate::exit::Exit;
use crate::program::Program;
use crate::remote;
use crate::terminal::counted;
use anyhow::{Context as _, Result};
use scenarios::fuzz::merge as shards;
use scenarios::store::Store;

pub(crate) fn merge(program: &Program, arguments: &MergeArgs) -> Result<Exit> {
    let stores = (1..).zip(&arguments.stores).map(|(number, store)| at_hand(program, number, store));
    let stores = stores.collect::<Result<Vec<Store>>>()?;
    let merged = shards(&stores, arguments.batch.as_deref(), arguments.partial)?;
    if merged.builds_differ {
        eprintln!("note: different builds of this version ran these shards");
    }
    for (shard, there, runs) in &merged.shards {
        if there < runs {
            eprintln!("note: shard {shard} has {there} of {}", counted(*runs, "run"));
        }
    }
    if !program.json() {
        fuzz::show_distinct(program, &merged.summary);
    }
    fuzz::finish(program, &merged.summary);
    Ok(fuzz::exit(program, &merged.summary, arguments.require_coverage))
}

/// The store itself, or a copy of it where it is at a URL: kept, so that its runs can be replayed.
fn at_hand(program: &Program, number: usize, store: &str) -> Result<Store> {
    if !remote::is_url(store) {
        return Ok(Store::new(store));
    }
    let folder = program.common.store.join(remote::FETCHED).join(number.to_string());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    remote::fetch(store, &folder)?;
    Ok(Store::new(folder))
}
