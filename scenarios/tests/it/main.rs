//! Tests of the crate from outside, in one program.
#![expect(clippy::disallowed_methods, reason = "tests read and write files of the machine")]
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod fuzzing;
mod leaks;
mod library;
mod plans;
mod reference;
mod runs;
mod scenarios;
mod shrinking;
mod support;
