//! A stored run, read for reports: its plan, its capsule and its whole history.

use anyhow::{Context, Result, bail};
use scenarios::explain::Explanation;
use scenarios::replay;
use scenarios::store::{Capsule, Store};
use sim::history::{self, Event};
use sim::plan::Plan;
use sim::stack::Stack;
use std::path::PathBuf;

/// A run that has ended and was kept.
pub struct PastRun {
    /// Where it is kept.
    pub folder: PathBuf,
    /// What was run.
    pub plan: Plan,
    /// What came of it.
    pub capsule: Capsule,
    /// Why it fails, where somebody asked.
    pub explanation: Option<Explanation>,
    /// Its encoded history, every byte of which can be read.
    history: Vec<u8>,
}

impl PastRun {
    /// The run that `path` means: a folder, a plan's file in one, the name of a run in `store`, or `latest`.
    ///
    /// # Errors
    /// Where there is none, or its files are gone or damaged.
    pub fn find(path: &str, store: &Store, stack: &dyn Stack) -> Result<Self> {
        let recorded = replay::find(path, store, stack)?;
        let Some((run, capsule)) = recorded.run else {
            bail!("no run of `{path}` is kept beside it: `hogwash replay {path}` makes one")
        };
        let history = run.history()?;
        let damaged = || {
            let place = run.folder.display();
            format!("the history of `{place}` is damaged: `hogwash replay {place}` writes it anew")
        };
        for event in history::read(&history).with_context(damaged)? {
            event.with_context(damaged)?;
        }
        let explanation = run.explanation()?;
        Ok(Self { folder: run.folder, plan: recorded.plan, capsule, explanation, history })
    }

    /// Its events, in order.
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        history::read(&self.history).into_iter().flatten().map_while(Result::ok)
    }

    /// The bytes of its history.
    pub fn history(&self) -> &[u8] {
        &self.history
    }

    /// The name of a node; `world` for none.
    pub fn node(&self, node: history::NodeIndex) -> &str {
        self.plan.nodes.get(node.0 as usize).map_or("world", |node| &node.name)
    }

    /// The names of its nodes, in the order of its plan.
    pub fn node_names(&self) -> Vec<&str> {
        self.plan.nodes.iter().map(|node| node.name.as_str()).collect()
    }

    /// The scenario with its variant and seed, for titles.
    pub fn title(&self) -> String {
        let Capsule { scenario, variant, seed, .. } = &self.capsule;
        let variant = variant.as_ref().map_or(String::new(), |variant| format!(" ({variant})"));
        format!("{scenario}{variant}, seed {seed}")
    }
}
