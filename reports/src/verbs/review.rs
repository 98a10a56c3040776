//! `hogwash review`: a claim such as P^N < R beside what the real stack does.
#![expect(clippy::disallowed_methods, reason = "plans of the worst runs are kept on the machine's disk")]

use crate::cli::ReviewArgs;
use crate::exit::Exit;
use crate::interrupt;
use crate::program::Program;
use crate::progress::Progress;
use crate::review::answer::{Answer, Verdict};
use crate::review::batch::{Batch, Watcher};
use crate::review::file::Review;
use crate::review::study::Study;
use crate::review::{library, page, words};
use anyhow::{Context, Result};
use scenarios::guarded::Budget;
use scenarios::plan_file;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::Ordering;

pub(crate) fn review(program: &Program, arguments: &ReviewArgs) -> Result<Exit> {
    let stack = program.stack.as_ref();
    let source = library::find(&arguments.file)?;
    let mut review = Review::parse(&source, &arguments.file.display().to_string(), stack)?;
    if let Some(seeds) = arguments.seeds {
        review.seeds = seeds;
    }
    let study = Study::new(&review, stack)?;
    let stop = interrupt::flag("the runs under way are finished; the same command goes on from there")?;
    let folder = program.common.store.join("reviews");
    let ledger = folder.join(".runs.jsonl");
    let jobs = program.jobs(arguments.jobs);
    let batch = Batch {
        stack: &program.stack,
        run: &review.run,
        budget: Budget::default(),
        jobs,
        ledger: Some(&ledger),
        stop: &stop,
    };
    let progress = Shown(Progress::new(program.common.quiet));
    let runs = batch.run(&study.plans(), &progress);
    progress.0.finish();
    let runs = runs?;
    let mut answer = study.answer(&runs)?;
    keep_plans(&mut answer, &study, &folder)?;
    let page = folder.join(format!("{}.html", file_name(&answer.review)));
    std::fs::write(&page, page::html(&answer, &program.call()))
        .with_context(|| format!("cannot write `{}`", page.display()))?;
    show(program, &answer, &page)?;
    if stop.load(Ordering::Relaxed) {
        return Ok(Exit::Interrupted);
    }
    if runs.any_bug() {
        return Ok(Exit::Bug);
    }
    let missed = answer.claims.iter().any(|claim| claim.correlated.verdict == Verdict::Missed);
    // As in a batch of `fuzz`: a run that had to be cut off is nothing to call good.
    Ok(if missed || !answer.failed.is_empty() { Exit::Violation } else { Exit::Success })
}

/// How far it is.
struct Shown(Progress);

impl Watcher for Shown {
    fn begin(&self, runs: u64, done: u64) {
        self.0.begin(runs, done, None);
    }

    fn ended(&self) {
        self.0.ended();
    }
}

/// Keeps the plans that the answer names, so that the runs behind its numbers can be replayed.
fn keep_plans(answer: &mut Answer, study: &Study<'_>, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot write `{}`", folder.display()))?;
    let plans = study.plans_by_name();
    for name in answer.replays_mut() {
        let path = folder.join(&name);
        let plan = plans.get(name).expect("an answer names plans of its study");
        let cannot = || format!("cannot write `{}`", path.display());
        std::fs::write(&path, plan_file::write(plan)).with_context(cannot)?;
        *name = path.display().to_string();
    }
    Ok(())
}

/// A name as files have them.
fn file_name(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

fn show(program: &Program, answer: &Answer, page: &Path) -> Result<()> {
    if !program.json() {
        words::lines(answer).iter().for_each(|line| println!("{line}"));
        println!("the page: {}", page.display());
        return Ok(());
    }
    let mut line = json!({"v": 1, "type": "review-finished", "page": page});
    if let (Some(line), serde_json::Value::Object(answer)) =
        (line.as_object_mut(), serde_json::to_value(answer)?)
    {
        line.extend(answer);
    }
    println!("{line}");
    Ok(())
}
