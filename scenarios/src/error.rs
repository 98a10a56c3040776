//! What can go wrong with what a user gave us.

use crate::diagnostics::Diagnostics;
use thiserror::Error;

/// A scenario, a plan or a request for one that cannot be; the command line prints it and exits with 2.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// A file has problems, each with its place.
    #[error("{0}")]
    Invalid(Box<Diagnostics>),
    /// A file cannot be read or written.
    #[error("cannot {what} `{path}`: {reason}")]
    File {
        /// `read` or `write`.
        what: &'static str,
        /// The path as it was given.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// A name means nothing.
    #[error("there is no {sort} `{name}`{hint}")]
    Unknown {
        /// What it was to be: a scenario, a variant.
        sort: &'static str,
        /// The name as it was typed.
        name: String,
        /// The way out, beginning with a colon; or nothing.
        hint: String,
    },
    /// A plan's setting is not the stack's.
    #[error(transparent)]
    Setting(#[from] sim::stack::SettingError),
    /// A setting given on the command line cannot be.
    #[error("--set {argument}: {reason}")]
    Set {
        /// What was typed.
        argument: String,
        /// Why it cannot be, and what can.
        reason: String,
    },
}

impl From<Diagnostics> for ScenarioError {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Invalid(Box::new(diagnostics))
    }
}

impl ScenarioError {
    /// The text for people: as [`std::fmt::Display`], in colour where that is wanted.
    pub fn render(&self, coloured: bool) -> String {
        match self {
            Self::Invalid(diagnostics) => diagnostics.render(coloured),
            other => format!("error: {other}"),
        }
    }
}
