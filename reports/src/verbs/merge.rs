//! `hogwash merge`: the shards of one batch, as if one machine had run it.

use super::fuzz;
use crate::cli::MergeArgs;
use crate::exit::Exit;
use crate::program::Program;
use crate::terminal::counted;
use anyhow::Result;
use scenarios::fuzz::merge as shards;
use scenarios::store::Store;

pub(crate) fn merge(program: &Program, arguments: &MergeArgs) -> Result<Exit> {
    let stores: Vec<Store> = arguments.stores.iter().map(Store::new).collect();
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
