//! What the laws are worth: plants the bugs of `invariants/mutants/`, one at a time, in a copy of the source, and says
//! which law catches each, after how many seeds and how much CPU.
//!
//! ```text
//! cargo run --release --example mutants                    every mutant, 500 seeds at most, a table on stdout
//! cargo run --release --example mutants -- paxos lease     those whose names begin so
//! cargo run --release --example mutants -- --seeds 100
//! cargo run --release --example mutants -- --check         only whether every patch still applies
//! ```
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it works on files of the machine and measures it"
)]

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const MUTANTS: &str = "invariants/mutants";
/// Applied before every mutant.
const BASE: &str = "base";
/// What every mutant is tried with, in turn.
const SCENARIOS: [&str; 2] = ["swarm/everything", "swarm/partitions"];
/// Seeds of the first round; each next round has as many as all before it, and twice as many again.
const FIRST_ROUND: u64 = 8;
/// Seeds of each scenario that must hold before anything is planted.
const SOUND_SEEDS: u64 = 24;
/// The profile of mutants: quick to build again, quick enough to run.
const PROFILE: [&str; 10] = [
    "--config",
    "profile.mutants.inherits='release'",
    "--config",
    "profile.mutants.lto=false",
    "--config",
    "profile.mutants.codegen-units=16",
    "--config",
    "profile.mutants.incremental=true",
    "--config",
    "profile.mutants.debug=false",
];

fn main() -> Result<()> {
    let mut seeds_max = 500;
    let (mut check, mut names) = (false, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => check = true,
            "--seeds" => seeds_max = arguments.next().context("`--seeds` needs a number")?.parse()?,
            name => names.push(name.to_owned()),
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace is around it")?;
    let workshop = Workshop::open(root)?;
    let mutants = Mutant::all(root, &names)?;
    if check {
        for mutant in &mutants {
            workshop.plant(mutant)?;
            workshop.remove(mutant)?;
        }
        eprintln!("{} mutants apply", mutants.len());
        return Ok(());
    }
    let begun = Instant::now();
    workshop.build()?;
    for scenario in SCENARIOS {
        let alarm = workshop.batch(BASE, scenario, 0, SOUND_SEEDS)?;
        ensure!(alarm.is_none(), "without a mutant, {scenario} is violated: {alarm:?}");
    }
    println!("| mutant | what is planted | caught by | seeds | CPU s |\n|---|---|---|---|---|");
    let mut caught = 0;
    for mutant in &mutants {
        workshop.plant(mutant)?;
        let outcome = workshop.build().and_then(|()| workshop.fuzz(mutant, seeds_max));
        workshop.remove(mutant)?;
        let outcome = outcome.with_context(|| format!("mutant `{}`", mutant.name))?;
        caught += u64::from(outcome.is_some());
        let told = outcome.map_or_else(
            || format!("nothing | {seeds_max} | "),
            |caught| format!("{} | {} | {:.1}", caught.laws, caught.seeds, caught.cpu_s),
        );
        println!("| {} | {} | {told} |", mutant.name, mutant.idea);
    }
    println!("\n{caught} of {} caught, {:.0} min", mutants.len(), begun.elapsed().as_secs_f64() / 60.0);
    Ok(())
}

/// A small patch with one idea.
struct Mutant {
    name: String,
    idea: String,
    patch: PathBuf,
}

impl Mutant {
    /// The mutants whose names begin with one of `names`, or all, in order of name.
    fn all(root: &Path, names: &[String]) -> Result<Vec<Self>> {
        let mut mutants = Vec::new();
        for entry in root.join(MUTANTS).read_dir()? {
            let patch = entry?.path();
            let name = patch.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            let wanted = names.is_empty() || names.iter().any(|begin| name.starts_with(begin));
            if patch.extension().is_some_and(|extension| extension == "patch") && name != BASE && wanted {
                let text = std::fs::read_to_string(&patch)?;
                let idea = text.lines().next().unwrap_or_default().to_owned();
                mutants.push(Self { name, idea, patch });
            }
        }
        mutants.sort_by(|one, other| one.name.cmp(&other.name));
        ensure!(!mutants.is_empty(), "no mutant is called so");
        Ok(mutants)
    }
}

/// Who caught a mutant, and what it took.
struct Caught {
    laws: String,
    seeds: u64,
    cpu_s: f64,
}

/// A copy of the source and its builds.
struct Workshop {
    source: PathBuf,
    target: PathBuf,
    runs: PathBuf,
}

impl Workshop {
    /// Makes the copy, or brings it up to date; files that have not changed keep their times, and so their builds.
    fn open(root: &Path) -> Result<Self> {
        let folder = root.join("target/mutants");
        let this =
            Self { source: folder.join("source"), target: folder.join("build"), runs: folder.join("runs") };
        let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output()?;
        ensure!(listed.status.success(), "the source must be a git checkout");
        let listed = String::from_utf8(listed.stdout)?;
        for file in listed.split_terminator('\0').filter(|file| root.join(file).is_file()) {
            let copy = this.source.join(file);
            let bytes = std::fs::read(root.join(file))?;
            if std::fs::read(&copy).ok().as_ref() != Some(&bytes) {
                std::fs::create_dir_all(copy.parent().context("a file is in a folder")?)?;
                std::fs::write(&copy, bytes)?;
            }
        }
        this.patch(&root.join(MUTANTS).join(BASE).with_extension("patch"), false)?;
        Ok(this)
    }

    fn plant(&self, mutant: &Mutant) -> Result<()> {
        self.patch(&mutant.patch, false)
    }

    fn remove(&self, mutant: &Mutant) -> Result<()> {
        self.patch(&mutant.patch, true)
    }

    fn patch(&self, patch: &Path, reverse: bool) -> Result<()> {
        let mut git = Command::new("git");
        // The copy is no part of the checkout around it, or git would pass over its files in silence.
        git.env("GIT_CEILING_DIRECTORIES", self.source.parent().context("it has one")?);
        git.current_dir(&self.source).arg("apply").args(reverse.then_some("--reverse")).arg(patch);
        let output = git.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{}` does not apply any more: {said}", patch.display());
        Ok(())
    }

    fn build(&self) -> Result<()> {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&self.source).env("CARGO_TARGET_DIR", &self.target);
        cargo.args(["build", "--quiet", "--bin", "hogwash", "--profile", "mutants"]).args(PROFILE);
        cargo.env("RUSTFLAGS", "--cfg madsim --cap-lints allow");
        ensure!(cargo.status()?.success(), "it does not build");
        Ok(())
    }

    /// Tries seeds, more and more of them, until a law is broken.
    fn fuzz(&self, mutant: &Mutant, seeds_max: u64) -> Result<Option<Caught>> {
        let before_s = children_cpu_s();
        let (mut base, mut round) = (0, FIRST_ROUND);
        while base < seeds_max {
            let seeds = round.min(seeds_max - base);
            for (place, scenario) in (0..).zip(SCENARIOS) {
                if let Some((laws, seed)) = self.batch(&mutant.name, scenario, base, seeds)? {
                    // Every scenario takes its turn, and each seed of it counts.
                    let seeds = base * SCENARIOS.len() as u64 + place * seeds + (seed - base) + 1;
                    return Ok(Some(Caught { laws, seeds, cpu_s: children_cpu_s() - before_s }));
                }
            }
            (base, round) = (base + seeds, (base + seeds) * 2);
        }
        Ok(None)
    }

    /// One batch: the laws that the first failing seed breaks, and that seed.
    fn batch(&self, name: &str, scenario: &str, base: u64, seeds: u64) -> Result<Option<(String, u64)>> {
        let store = self.runs.join(name);
        let mut hogwash = Command::new(self.target.join("mutants/hogwash"));
        hogwash.args([
            "fuzz",
            scenario,
            "--message-format",
            "json",
            "--quiet",
            "--seeds",
            &seeds.to_string(),
        ]);
        hogwash
            .args(["--base", &base.to_string(), "--store"])
            .arg(&store)
            .current_dir(&self.runs.parent().context("it has one")?);
        let output = hogwash.stderr(Stdio::null()).output()?;
        let _ = std::fs::remove_dir_all(&store);
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let runs: Vec<Value> = lines.filter(|line| line["type"] == "run-finished").collect();
        if runs.is_empty() {
            bail!("hogwash wrote nothing: it ended with {}", output.status);
        }
        let caught = runs.iter().filter_map(|run| Some((run["seed"].as_u64()?, laws(run)?)));
        Ok(caught.min_by_key(|(seed, _)| *seed).map(|(seed, laws)| (laws, seed)))
    }
}

/// The laws that a run breaks, each once; none where it breaks none.
fn laws(run: &Value) -> Option<String> {
    if !run["failed"].is_null() {
        return Some("the run's budget".to_owned());
    }
    let mut laws: Vec<&str> =
        run["violations"].as_array()?.iter().filter_map(|one| one["invariant"].as_str()).collect();
    laws.dedup();
    (!laws.is_empty()).then(|| laws.join(", "))
}

/// The CPU that processes which this one waited for have used; 0 where the system does not say.
fn children_cpu_s() -> f64 {
    let accounts = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name, in parentheses, may hold spaces; the children's times are the 14th and 15th field after it.
    let fields = accounts.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(13).take(2);
    ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}
