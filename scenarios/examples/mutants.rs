//! What the laws are worth: plants the bugs of `invariants/mutants/`, one at a time, in a copy of the source, and says
//! which law catches each, after how many seeds and how much CPU.
//!
//! ```text
//! cargo run -p hogwash-scenarios --example mutants                 every mutant, 500 seeds at most, a table on stdout
//! cargo run -p hogwash-scenarios --example mutants -- paxos lease  those whose names begin so
//! cargo run -p hogwash-scenarios --example mutants -- --seeds 100
//! cargo run -p hogwash-scenarios --example mutants -- --guide      with plain plans and with guided ones, side by side
//! cargo run -p hogwash-scenarios --example mutants -- --cpu-s 60   so much CPU for each mutant at most
//! cargo run -p hogwash-scenarios --example mutants -- --check      only whether every patch still applies
//! ```
//!
//! A patch begins with what it plants, and may go on with a line `Scenario: NAME`, where one alone has what it is about.
//!
//! The copy is built without the command line, which takes longest; what runs the seeds there is this program.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it works on files of the machine and measures it"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it writes a table")]

#[cfg(live)]
fn main() {}

#[cfg(not(live))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut check, mut names) = (false, Vec::new());
    let mut effort = Effort { seeds_max: 500, cpu_s_max: f64::INFINITY, guide: false };
    let (mut here, mut scenarios) = (false, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => check = true,
            "--seeds" => effort.seeds_max = arguments.next().ok_or("`--seeds` needs a number")?.parse()?,
            "--cpu-s" => effort.cpu_s_max = arguments.next().ok_or("`--cpu-s` needs a number")?.parse()?,
            "--guide" => effort.guide = true,
            "--fuzz" => here = true,
            "--scenario" => scenarios.push(arguments.next().ok_or("`--scenario` needs a name")?),
            name => names.push(name.to_owned()),
        }
    }
    if here { fuzz::fuzz(effort, &scenarios) } else { workshop::work(&names, effort, check) }
}

/// What is done about each mutant.
#[cfg(not(live))]
#[derive(Clone, Copy)]
struct Effort {
    seeds_max: u64,
    cpu_s_max: f64,
    guide: bool,
}

/// Within the copy: runs seeds until a law is broken.
#[cfg(not(live))]
mod fuzz {
    use super::{Effort, cpu_s};
    use hogwash_scenarios as scenarios;
    use scenarios::fuzz::{Batch, Event, Events, RunResult, Shard, Target, fuzz as run_batch};
    use scenarios::guarded::Budget;
    use scenarios::library;
    use sim::stack::Stack;
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::sync::{Arc, OnceLock};

    /// Counts runs until one breaks something, or has cost too much.
    struct Hunt {
        runs: AtomicU64,
        caught: OnceLock<String>,
        stop: AtomicBool,
        cpu_s_max: f64,
    }

    impl Events for Hunt {
        fn event(&self, event: &Event<'_>) {
            let Event::Ended { result, .. } = event else { return };
            self.runs.fetch_add(1, Ordering::Relaxed);
            let laws = match result {
                RunResult::Ended(capsule) => {
                    let laws: BTreeSet<&str> =
                        capsule.violations.iter().map(|broken| broken.invariant.as_str()).collect();
                    laws.into_iter().collect::<Vec<_>>().join(", ")
                }
                RunResult::CutOff(cut) => format!("the budget: {cut}"),
                RunResult::Bug(_) | RunResult::NotDeterministic { .. } => "a panic of the world".to_owned(),
            };
            if !laws.is_empty() {
                let _ = self.caught.set(laws);
                self.stop.store(true, Ordering::Relaxed);
            }
            if cpu_s().0 > self.cpu_s_max {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Tries one seed of each of `names` in turn; writes how many seeds were tried, and the laws that the last of them breaks, if
    /// any.
    pub(crate) fn fuzz(effort: Effort, names: &[String]) -> Result<(), Box<dyn std::error::Error>> {
        let stack: Arc<dyn Stack> = Arc::new(system::ImageStack);
        let target =
            |name: &String| Ok(Target { scenario: library::find(name, stack.as_ref())?, variant: None });
        let batch = Batch {
            targets: names.iter().map(target).collect::<Result<_, scenarios::ScenarioError>>()?,
            regressions: Vec::new(),
            base: 0,
            seeds: effort.seeds_max.div_ceil(names.len().max(1) as u64),
            shard: Shard::default(),
            guide: effort.guide,
            overrides: Vec::new(),
            jobs: 1,
            time_limit: None,
            budget: Budget::default(),
            twice: false,
            store: None,
        };
        let hunt = Hunt {
            runs: AtomicU64::new(0),
            caught: OnceLock::new(),
            stop: AtomicBool::new(false),
            cpu_s_max: effort.cpu_s_max,
        };
        run_batch(&batch, &stack, &hunt, &hunt.stop)?;
        let laws = hunt.caught.get().map_or("", String::as_str);
        println!("{} {laws}", hunt.runs.load(Ordering::Relaxed));
        Ok(())
    }
}

/// The CPU that this process has used, and those for which it waited; 0 where the system does not say.
#[cfg(not(live))]
fn cpu_s() -> (f64, f64) {
    let accounts = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name, in parentheses, may hold spaces; the times are the 12th to 15th field after it.
    let fields = accounts.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<f64> =
        fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    match ticks[..] {
        [user, system, of_children, of_children_system] => {
            ((user + system) / 100.0, (of_children + of_children_system) / 100.0)
        }
        _ => (0.0, 0.0),
    }
}

/// Around the copy: plants, builds, measures.
#[cfg(not(live))]
mod workshop {
    use super::{Effort, cpu_s};
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::time::Instant;

    type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

    const MUTANTS: &str = "invariants/mutants";
    /// What a mutant is tried with that names no scenario.
    const SCENARIOS: [&str; 3] = ["swarm/everything", "swarm/partitions", "swarm/accounts"];
    /// What the line begins with in which a patch names one.
    const NAMES_ONE: &str = "Scenario: ";
    /// Applied before every mutant.
    const BASE: &str = "base";
    /// Seeds that must hold before anything is planted.
    const SOUND_SEEDS: u64 = 40;
    /// Plants what is called so, or everything, and writes a table; or only looks whether it can be planted.
    pub(crate) fn work(names: &[String], effort: Effort, check: bool) -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the workspace is around it")?;
        let workshop = Workshop::open(root)?;
        let mutants = Mutant::all(root, names)?;
        if check {
            let planted =
                mutants.iter().map(|mutant| workshop.plant(mutant).and_then(|()| workshop.remove(mutant)));
            let stale: Vec<String> = planted.filter_map(|planted| Some(planted.err()?.to_string())).collect();
            eprintln!("{} of {} mutants apply", mutants.len() - stale.len(), mutants.len());
            return if stale.is_empty() { Ok(()) } else { Err(stale.join("\n").into()) };
        }
        let begun = Instant::now();
        let plain = Effort { guide: false, ..effort };
        let efforts = if effort.guide { vec![plain, effort] } else { vec![plain] };
        workshop.build()?;
        let used: BTreeSet<&String> = mutants.iter().flat_map(|mutant| &mutant.scenarios).collect();
        let used: Vec<String> = used.into_iter().cloned().collect();
        for effort in &efforts {
            let hunt = workshop.fuzz(Effort { seeds_max: SOUND_SEEDS, ..*effort }, &used)?;
            if let Some(laws) = hunt.laws {
                return Err(format!("without a mutant, {laws} is broken: no table can be believed").into());
            }
        }
        let (more_names, more_lines) =
            if effort.guide { (" guided: caught by | seeds | CPU s |", "---|---|---|") } else { ("", "") };
        println!("| mutant | what is planted | caught by | seeds | CPU s |{more_names}");
        println!("|---|---|---|---|---|{more_lines}");
        let mut caught = vec![0; efforts.len()];
        for mutant in &mutants {
            workshop.plant(mutant)?;
            let fuzz = |effort: &Effort| workshop.fuzz(*effort, &mutant.scenarios);
            let hunts: Result<Vec<Hunt>> = workshop.build().and_then(|()| efforts.iter().map(fuzz).collect());
            workshop.remove(mutant)?;
            let hunts = hunts.map_err(|error| format!("mutant `{}`: {error}", mutant.name))?;
            let told: Vec<String> = hunts.iter().map(Hunt::cells).collect();
            println!("| {} | {} | {} |", mutant.name, mutant.idea, told.join(" | "));
            for (count, hunt) in caught.iter_mut().zip(&hunts) {
                *count += u64::from(hunt.laws.is_some());
            }
        }
        let caught = caught.iter().map(u64::to_string).collect::<Vec<_>>().join(" and ");
        println!(
            "\n{caught} of {} caught, in {:.0} min",
            mutants.len(),
            begun.elapsed().as_secs_f64() / 60.0
        );
        Ok(())
    }

    /// A small patch with one idea.
    struct Mutant {
        name: String,
        idea: String,
        /// What it is tried with.
        scenarios: Vec<String>,
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
                    let own = text.lines().nth(1).and_then(|line| line.strip_prefix(NAMES_ONE));
                    let scenarios =
                        own.map_or(SCENARIOS.map(str::to_owned).to_vec(), |own| vec![own.to_owned()]);
                    mutants.push(Self { name, idea, scenarios, patch });
                }
            }
            mutants.sort_by(|one, other| one.name.cmp(&other.name));
            if mutants.is_empty() {
                return Err("no mutant is called so".into());
            }
            Ok(mutants)
        }
    }

    /// Who caught a mutant, if anybody, and what it took.
    struct Hunt {
        laws: Option<String>,
        seeds: u64,
        cpu_s: f64,
    }

    impl Hunt {
        fn cells(&self) -> String {
            let Self { laws, seeds, cpu_s } = self;
            match laws {
                Some(laws) => format!("{laws} | {seeds} | {cpu_s:.1}"),
                None => format!("nothing | not in {seeds} | {cpu_s:.1}"),
            }
        }
    }

    /// A copy of the source and its builds.
    struct Workshop {
        source: PathBuf,
        target: PathBuf,
    }

    impl Workshop {
        /// Makes the copy, or brings it up to date; files that have not changed keep their times, and so their builds.
        fn open(root: &Path) -> Result<Self> {
            let folder = root.join("target/mutants");
            let this = Self { source: folder.join("source"), target: folder.join("build") };
            let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output()?;
            if !listed.status.success() {
                return Err("the source must be a git checkout".into());
            }
            let listed = String::from_utf8(listed.stdout)?;
            for file in listed.split_terminator('\0').filter(|file| root.join(file).is_file()) {
                let copy = this.source.join(file);
                let bytes = std::fs::read(root.join(file))?;
                if std::fs::read(&copy).ok().as_ref() != Some(&bytes) {
                    std::fs::create_dir_all(copy.parent().ok_or("a file is in a folder")?)?;
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
            git.env("GIT_CEILING_DIRECTORIES", self.source.parent().ok_or("it has one")?);
            git.current_dir(&self.source).arg("apply").args(reverse.then_some("--reverse")).arg(patch);
            let output = git.output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            if output.status.success() {
                return Ok(());
            }
            Err(format!("`{}` does not apply any more: {said}", patch.display()).into())
        }

        fn build(&self) -> Result<()> {
            let mut cargo = Command::new("cargo");
            cargo.current_dir(&self.source).env("CARGO_TARGET_DIR", &self.target);
            // The configuration of the checkout around the copy would add the same flags once more.
            cargo.env("RUSTFLAGS", "--cfg madsim");
            cargo.args(["build", "--quiet", "--package", "hogwash-scenarios", "--example", "mutants"]);
            if cargo.stderr(Stdio::null()).status()?.success() {
                Ok(())
            } else {
                Err("it does not build".into())
            }
        }

        /// Tries seeds until a law is broken.
        fn fuzz(&self, effort: Effort, scenarios: &[String]) -> Result<Hunt> {
            let (_, before_s) = cpu_s();
            let mut program = Command::new(self.target.join("debug/examples/mutants"));
            program.args(["--fuzz", "--seeds", &effort.seeds_max.to_string()]);
            program.args(["--cpu-s", &effort.cpu_s_max.to_string()]).args(effort.guide.then_some("--guide"));
            program.args(scenarios.iter().flat_map(|name| ["--scenario", name]));
            let output = program.stderr(Stdio::null()).output()?;
            let said = String::from_utf8(output.stdout)?;
            let cpu_s = cpu_s().1 - before_s;
            let (seeds, laws) = said.trim_end_matches('\n').split_once(' ').unwrap_or_default();
            match seeds.parse() {
                Ok(seeds) if output.status.success() => {
                    let laws = Some(laws.to_owned()).filter(|laws| !laws.is_empty());
                    Ok(Hunt { laws, seeds, cpu_s })
                }
                _ => Err(format!("it ended with {}", output.status).into()),
            }
        }
    }
}
