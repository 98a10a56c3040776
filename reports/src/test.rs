//! Tests of a service under `cargo test` and `cargo nextest`: many seeds each, with the line that runs a failing one again.
//!
//! They are functions and not an attribute, so that a test stays a plain `#[test]`, which every other tool knows:
//!
//! ```no_run
//! # use sim::stack::{Client, Deployment, Process, Role, Setting, Stack, Task};
//! # struct MyStack;
//! # impl Stack for MyStack {
//! #     fn name(&self) -> &'static str { "mine" }
//! #     fn roles(&self) -> &'static [Role] { &[] }
//! #     fn settings(&self) -> &'static [Setting] { &[] }
//! #     fn boot(&self, _: Process) -> Task { Box::pin(async {}) }
//! #     fn client(&self, _: Client) -> Task { Box::pin(async {}) }
//! #     fn drained(&self, _: std::sync::Arc<Deployment>) -> Task<bool> { Box::pin(async { true }) }
//! # }
//! #[test]
//! fn nothing_is_lost_while_a_feed_is_down() {
//!     hogwash::test::holds(MyStack, "tests/feed.toml", 100);
//! }
//!
//! #[test]
//! fn a_name_is_found_again() {
//!     hogwash::test::seeds(100, |seed| {
//!         sim::world::alone(seed, async {
//!             sim::fs::write("/name", "one".into()).await.unwrap();
//!         });
//!     });
//! }
//! # fn main() {}
//! ```
//!
//! `HOGWASH_SEED=7` runs seed 7 alone. `MADSIM_TEST_SEED=7` does too, and `MADSIM_TEST_NUM=1000` runs so many seeds, from
//! there or from 0.
#![expect(clippy::disallowed_methods, reason = "the environment says which seeds a test runs")]

use scenarios::expectation::Judgement;
use scenarios::guarded::{self, Budget, Ending, Guarded};
use scenarios::runner::{LawReport, RunReport};
use scenarios::{describe, library, planner};
use sim::duration_text;
use sim::stack::Stack;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Which seed alone.
const SEED: &str = "HOGWASH_SEED";
/// madsim's names for the first seed and how many there are.
const FIRST: &str = "MADSIM_TEST_SEED";
const COUNT: &str = "MADSIM_TEST_NUM";
/// Lines of evidence of each violation.
const EVIDENCE_LINES: usize = 5;

/// Runs `body` with `count` seeds from 0, or with those that the environment asks for, until one fails.
///
/// # Panics
/// Where `body` does, after it has said how to run that seed alone; where there is no seed to run; where the environment
/// asks for seeds that cannot be.
#[track_caller]
pub fn seeds(count: u64, body: impl Fn(u64)) {
    let asked = |name: &str| std::env::var(name).ok();
    let seeds = chosen(count, asked).unwrap_or_else(|error| panic!("{error}"));
    for seed in seeds {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| body(seed))) {
            eprintln!("seed {seed} fails; run it alone with:\n  {}", again(seed, asked));
            resume_unwind(payload);
        }
    }
}

/// Runs `scenario`, a path to a `.toml` file or the name of a built-in one, on `stack` with `count` seeds, as [`seeds`] does.
///
/// # Panics
/// Where a law is not as the scenario expects, a run does not end within its budget, or the scenario cannot be read.
#[track_caller]
pub fn holds(stack: impl Stack, scenario: &str, count: u64) {
    let stack: Arc<dyn Stack> = Arc::new(stack);
    let scenario = library::find(scenario, stack.as_ref()).unwrap_or_else(|error| panic!("{error}"));
    seeds(count, |seed| {
        let plan = planner::plan(&scenario, stack.as_ref(), None, seed, &[]);
        let plan = plan.unwrap_or_else(|error| panic!("{error}"));
        let guarded = Guarded { budget: Budget::default(), ..Guarded::default() };
        match guarded::run(&plan, &stack, &guarded) {
            Ok(Ending::Ended(report)) if !report.has(Judgement::Unexpected) => {}
            Ok(Ending::Ended(report)) => panic!("{}", failure(&report)),
            Ok(Ending::CutOff(cut)) => panic!("{}, seed {seed}: {cut}", scenario.name),
            Ok(Ending::Bug(message)) => panic!("this is a bug in hogwash: {message}"),
            Err(error) => panic!("{error}"),
        }
    });
}

/// The seeds that `asked`, the environment, wants where the test itself wants `count`.
fn chosen(count: u64, asked: impl Fn(&str) -> Option<String>) -> Result<RangeInclusive<u64>, String> {
    let number = |name: &str| {
        let wrong = |text: &str| format!("`{name}` is `{text}`: it must be a whole number, such as 7");
        asked(name).map(|text| text.parse::<u64>().map_err(|_| wrong(&text))).transpose()
    };
    if let Some(seed) = number(SEED)? {
        return Ok(seed..=seed);
    }
    let (first, many) = (number(FIRST)?, number(COUNT)?);
    // As madsim has it: a first seed alone is the only one.
    let many = many.unwrap_or(if first.is_some() { 1 } else { count });
    let first = first.unwrap_or(0);
    match many.checked_sub(1) {
        Some(more) => Ok(first..=first.saturating_add(more)),
        None => Err(format!("no seed would be run: give the test at least one, and `{COUNT}` too")),
    }
}

/// The line that runs `seed` of this test alone. libtest calls a test's thread after the test.
fn again(seed: u64, asked: impl Fn(&str) -> Option<String>) -> String {
    let package = asked("CARGO_PKG_NAME").map(|name| format!(" --package {name}")).unwrap_or_default();
    let thread = std::thread::current();
    let name = thread.name().filter(|name| *name != "main").map(str::to_owned);
    let test = match (name, asked("NEXTEST").is_some()) {
        (Some(name), true) => format!("nextest run{package} -E 'test(={name})'"),
        (Some(name), false) => format!("test{package} {name} -- --exact"),
        (None, _) => format!("test{package}"),
    };
    format!("{SEED}={seed} cargo {test}")
}

/// What is not as expected, and what was done to the stack.
fn failure(report: &RunReport) -> String {
    let mut text = format!("{}, seed {}", report.plan.scenario, report.plan.seed);
    for fault in &report.plan.faults {
        let _ = write!(text, "\n  fault: {}", describe::fault(fault));
    }
    let laws = report.laws.iter().filter(|law| law.judgement == Judgement::Unexpected);
    laws.for_each(|law| tell(&mut text, law));
    text
}

fn tell(text: &mut String, law: &LawReport) {
    let _ = write!(text, "\n  {} {}: {}", law.law.name, law.finding.verdict, law.law.sentence);
    for violation in &law.finding.violations {
        let at = duration_text::readable(violation.at_ns);
        let _ = write!(text, "\n    {at}: {}", violation.message);
        for line in violation.evidence.iter().take(EVIDENCE_LINES) {
            let _ = write!(text, "\n      {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen_with(pairs: &[(&str, &str)]) -> Result<RangeInclusive<u64>, String> {
        let asked = |name: &str| pairs.iter().find(|(of, _)| *of == name).map(|(_, text)| (*text).to_owned());
        chosen(100, asked)
    }

    #[test]
    fn the_environment_says_which_seeds_are_run() {
        assert_eq!(chosen_with(&[]), Ok(0..=99));
        assert_eq!(chosen_with(&[(SEED, "7")]), Ok(7..=7));
        assert_eq!(chosen_with(&[(FIRST, "7")]), Ok(7..=7));
        assert_eq!(chosen_with(&[(COUNT, "1000")]), Ok(0..=999));
        assert_eq!(chosen_with(&[(FIRST, "7"), (COUNT, "3")]), Ok(7..=9));
        assert_eq!(chosen_with(&[(SEED, "7"), (FIRST, "8"), (COUNT, "9")]), Ok(7..=7));
        assert_eq!(chosen_with(&[(FIRST, "18446744073709551615"), (COUNT, "3")]), Ok(u64::MAX..=u64::MAX));
    }

    #[test]
    fn seeds_that_cannot_be_are_refused_with_their_variable() {
        let error = chosen_with(&[(SEED, "seven")]).unwrap_err();
        assert_eq!(error, "`HOGWASH_SEED` is `seven`: it must be a whole number, such as 7");
        assert!(chosen_with(&[(COUNT, "0")]).unwrap_err().contains("no seed would be run"));
    }

    #[test]
    fn the_line_to_paste_is_that_of_the_runner_at_work() {
        let asked = |nextest: bool| {
            move |name: &str| match name {
                "CARGO_PKG_NAME" => Some("mine".to_owned()),
                "NEXTEST" if nextest => Some("1".to_owned()),
                _ => None,
            }
        };
        let line = |nextest| {
            let thread = std::thread::Builder::new().name("tests::it_holds".to_owned());
            thread.spawn(move || again(3, asked(nextest))).unwrap().join().unwrap()
        };
        assert_eq!(line(false), "HOGWASH_SEED=3 cargo test --package mine tests::it_holds -- --exact");
        assert_eq!(line(true), "HOGWASH_SEED=3 cargo nextest run --package mine -E 'test(=tests::it_holds)'");
    }
}
