//! Exit codes: a documented part of the interface.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything was as expected.
    Success = 0,
    /// A law was violated that should have held, or held where it should have been violated.
    Violation = 1,
    /// The command line, a scenario or a plan is wrong.
    Usage = 2,
    /// The same run gave two histories.
    NotDeterministic = 3,
    /// Nothing ran.
    NothingRan = 4,
    /// Undecided, or not exercised though the scenario names it, under `--strict`.
    Undecided = 5,
    /// A bug in hogwash.
    Bug = 101,
    /// Interrupted; what was finished is kept.
    Interrupted = 130,
}

/// What a shell reports for a program that SIGPIPE ended: 128 and the signal's number.
pub(crate) const READER_GONE: i32 = 141;

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
