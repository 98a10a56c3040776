//! What each verb does, one file each.

mod calc;
#[cfg(not(live))]
mod check;
#[cfg(not(live))]
mod compare;
#[cfg(not(live))]
mod demo;
mod evidence;
#[cfg(not(live))]
mod explain;
#[cfg(not(live))]
mod fuzz;
#[cfg(not(live))]
mod list;
#[cfg(not(live))]
mod merge;
#[cfg(not(live))]
mod replay;
#[cfg(not(live))]
mod report;
#[cfg(not(live))]
mod review;
#[cfg(not(live))]
mod run;
#[cfg(not(live))]
mod show;
#[cfg(not(live))]
mod shrink;

#[cfg(live)]
mod serve;

use crate::cli::{Cli, Verb};
use crate::exit::Exit;
use crate::program::Program;
use anyhow::Result;
use clap::CommandFactory;

pub(crate) fn run(program: &Program, verb: Option<Verb>) -> Result<Exit> {
    match verb {
        #[cfg(not(live))]
        None if program.stack.name() == scenarios::library::BUILT_IN_FOR => demo::demo(program),
        None => {
            Cli::command().print_long_help()?;
            Ok(Exit::Usage)
        }
        #[cfg(not(live))]
        Some(Verb::Run(arguments)) => run::run(program, &arguments),
        #[cfg(not(live))]
        Some(Verb::Replay(arguments)) => replay::replay(program, &arguments),
        #[cfg(not(live))]
        Some(Verb::Fuzz(arguments)) => fuzz::fuzz(program, &arguments),
        #[cfg(not(live))]
        Some(Verb::Merge(arguments)) => merge::merge(program, &arguments),
        #[cfg(not(live))]
        Some(Verb::Shrink(arguments)) => shrink::shrink(program, &arguments),
        #[cfg(not(live))]
        Some(Verb::Explain(arguments)) => explain::explain(program, &arguments),
        #[cfg(not(live))]
        Some(Verb::Report(arguments)) => report::report(program, &arguments),
        #[cfg(not(live))]
        Some(Verb::Compare(arguments)) => compare::compare(program, &arguments),
        #[cfg(not(live))]
        Some(Verb::List(arguments)) => list::list(program, &arguments),
        #[cfg(not(live))]
        Some(Verb::Check(arguments)) => check::check(program, &arguments),
        #[cfg(not(live))]
        Some(Verb::Review(arguments)) => review::review(program, &arguments),
        Some(Verb::Calc(arguments)) => calc::calc(program, &arguments),
        Some(Verb::Evidence(arguments)) => evidence::evidence(program, &arguments),
        #[cfg(live)]
        Some(Verb::Serve(arguments)) => serve::serve(program, &arguments),
        Some(Verb::Completions(arguments)) => {
            clap_complete::generate(arguments.shell, &mut Cli::command(), "hogwash", &mut std::io::stdout());
            Ok(Exit::Success)
        }
    }
}
