//! The face: the command line, and everything that a person or another tool reads.
//!
//! [`main`] gives any [`Stack`] the whole command line; the image stack is only its first user.
//!
//! What is absent: no law, no fault, no service. This is the only crate that prints.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the one crate that prints")]
#![cfg_attr(live, expect(dead_code, reason = "the live build only serves, so nothing shows runs"))]

pub mod cli;
#[cfg(not(live))]
pub mod compare;
#[cfg(not(live))]
mod exercised;
pub mod exit;
#[cfg(not(live))]
pub mod forms;
#[cfg(not(live))]
mod interrupt;
#[cfg(not(live))]
pub mod ledger;
mod log;
#[cfg(not(live))]
mod markup;
#[cfg(not(live))]
pub mod measures;
#[cfg(not(live))]
pub mod page;
#[cfg(not(live))]
pub mod past;
mod program;
#[cfg(not(live))]
mod progress;
#[cfg(not(live))]
mod remote;
pub mod review;
#[cfg(not(live))]
pub mod sharing;
mod terminal;
#[cfg(not(live))]
pub mod test;
mod verbs;
#[cfg(not(live))]
mod ways;
#[cfg(not(live))]
mod words;

use clap::Parser;
use sim::stack::Stack;
use std::process::ExitCode;
use std::sync::Arc;

/// Gives `stack` the command line of the process: does what its arguments say, prints, and tells how it ended.
pub fn main(stack: impl Stack) -> ExitCode {
    main_serving(stack, &[])
}

/// As [`main`], where `serve` runs so many nodes of each of these roles unless it is told otherwise, in the order of their
/// ports; then as many of each other role as the stack itself says.
pub fn main_serving(stack: impl Stack, served: &'static [(&'static str, u32)]) -> ExitCode {
    end_quietly_with_the_reader();
    let cli = cli::Cli::parse();
    log::install(cli.common.verbose, cli.common.quiet);
    let program = program::Program { stack: Arc::new(stack), served, common: cli.common };
    match verbs::run(&program, cli.verb) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let coloured = terminal::coloured(program.common.color, &std::io::stderr());
            eprintln!("{}", program::render(&error, coloured).trim_end());
            exit::Exit::Usage.into()
        }
    }
}

/// `hogwash list | head` ends without a word where its reader does, as programs that know SIGPIPE do.
fn end_quietly_with_the_reader() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let message = info.payload().downcast_ref::<String>().map_or("", String::as_str);
        if message.starts_with("failed printing to stdout") && message.contains("Broken pipe") {
            std::process::exit(exit::READER_GONE);
        }
        before(info);
    }));
}
