//! What every verb has at hand.

use crate::cli::{Common, MessageFormat};
use sim::stack::Stack;
use std::sync::Arc;

/// The stack under test and the flags of this call.
pub(crate) struct Program {
    pub(crate) stack: Arc<dyn Stack>,
    /// How many nodes of each role `serve` runs where it is not told, in the order of their ports.
    #[cfg_attr(not(live), expect(dead_code, reason = "the simulated build serves nothing"))]
    pub(crate) served: &'static [(&'static str, u32)],
    pub(crate) common: Common,
}

impl Program {
    pub(crate) fn json(&self) -> bool {
        self.common.message_format == MessageFormat::Json
    }

    /// The words that call this program, so that lines to paste work where they are printed: `hogwash` where that is
    /// installed, `cargo run --release --` within the repository's own target folder, with the example's name in one.
    pub(crate) fn call(&self) -> String {
        let path = std::env::current_exe().unwrap_or_default();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let within = |folder: &str| path.components().any(|part| part.as_os_str() == folder);
        match (within("target"), within("examples")) {
            (true, true) => format!("cargo run --release --example {name} --"),
            (true, false) => "cargo run --release --".to_owned(),
            (false, _) => name,
        }
    }

    /// How many runs at once: what was asked for, or one for each core.
    #[cfg(not(live))]
    pub(crate) fn jobs(&self, asked: Option<usize>) -> usize {
        asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    #[cfg(not(live))]
    pub(crate) fn store(&self) -> scenarios::store::Store {
        scenarios::store::Store::new(&self.common.store)
    }
}

/// An error as people read it: a scenario's diagnostics as they are, anything else on one line.
pub(crate) fn render(error: &anyhow::Error, coloured: bool) -> String {
    #[cfg(not(live))]
    if let Some(error) = error.downcast_ref::<scenarios::ScenarioError>() {
        return error.render(coloured);
    }
    let _ = coloured;
    format!("error: {error:#}")
}
