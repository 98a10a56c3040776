//! What the laws are worth: plants the bugs of `invariants/mutants/`, one at a time, in a copy of the source, and says
//! which law catches each, after how many seeds and how much CPU.
//!
//! ```text
//! cargo run -p hogwash-scenarios --example mutants                 every mutant, 500 seeds at most, a table on stdout
//! cargo run -p hogwash-scenarios --example mutants -- paxos lease  those whose names begin so
//! cargo run -p hogwash-scenarios --example mutants -- --seeds 100
//! cargo run -p hogwash-scenarios --example mutants -- --guide      with plain plans and with guided ones, side by side
//! cargo run -p hogwash-scenarios --example mutants -- --cpu-s 60   so much CPU for each mutant's seeds at most, not 240
//! cargo run -p hogwash-scenarios --example mutants -- --check      only whether every patch still applies
//! ```
//!
//! A patch begins with what it plants, and may go on with a line `Scenario: NAME, NAME`: those that have what it is about.
//!
//! The copy is built without the command line, which takes longest; what runs the seeds there is this program. While it
//! does, the next mutant is built.
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
    let mut effort = Effort { seeds_max: 500, cpu_s_max: 240.0, guide: false };
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
    use invariants::Verdict;
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
                    // What goes past a law's bounds is nobody's bug.
                    let violated = |(_, verdict): &(&String, &Verdict)| **verdict == Verdict::Violated;
                    let laws: BTreeSet<&str> =
                        capsule.verdicts.iter().filter(violated).map(|(law, _)| law.as_str()).collect();
                    laws.into_iter().collect::<Vec<_>>().join(", ")
                }
                RunResult::CutOff(cut) => format!("the budget: {cut}"),
                RunResult::Bug(_) | RunResult::NotDeterministic { .. } => "a panic of the world".to_owned(),
            };
            if !laws.is_empty() {
                let _ = self.caught.set(laws);
                self.stop.store(true, Ordering::Relaxed);
            }
            if cpu_s() > self.cpu_s_max {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Tries one seed of each of `names` in turn; writes how many seeds were tried, how much CPU that took, and the laws that
    /// the last of them breaks, if any.
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
        println!("{} {:.2} {laws}", hunt.runs.load(Ordering::Relaxed), cpu_s());
        Ok(())
    }
}

/// The CPU that this process has used; 0 where the system does not say.
#[cfg(not(live))]
fn cpu_s() -> f64 {
    let accounts = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name, in parentheses, may hold spaces; the times are the 12th and 13th field after it.
    let fields = accounts.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// Around the copy: plants, builds, measures.
#[cfg(not(live))]
mod workshop {
    use super::Effort;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::thread::{ScopedJoinHandle, scope};
    use std::time::Instant;

    type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

    const MUTANTS: &str = "invariants/mutants";
    /// What a mutant is tried with that names no scenario.
    const SCENARIOS: [&str; 3] = ["swarm/everything", "swarm/partitions", "swarm/accounts"];
    /// What the line begins with in which a patch names others.
    const NAMES_SOME: &str = "Scenario: ";
    /// Applied before every mutant.
    const BASE: &str = "base";
    /// Seeds that must hold before anything is planted.
    const SOUND_SEEDS: u64 = 16;
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
        let program = workshop.keep(0)?;
        let used: BTreeSet<&String> = mutants.iter().flat_map(|mutant| &mutant.scenarios).collect();
        let used: Vec<String> = used.into_iter().cloned().collect();
        for effort in &efforts {
            let sound = Effort { seeds_max: SOUND_SEEDS, cpu_s_max: f64::INFINITY, ..*effort };
            if let Some(laws) = fuzz(&program, sound, &used)?.laws {
                return Err(format!("without a mutant, {laws} is broken: no table can be believed").into());
            }
        }
        let (more_names, more_lines) =
            if effort.guide { (" guided: caught by | seeds | CPU s |", "---|---|---|") } else { ("", "") };
        println!("| mutant | what is planted | caught by | seeds | CPU s |{more_names}");
        println!("|---|---|---|---|---|{more_lines}");
        let mut table = Table { caught: vec![0; efforts.len()] };
        scope(|threads| {
            let mut running: Option<Trial<'_>> = None;
            for (number, mutant) in mutants.iter().enumerate() {
                workshop.plant(mutant)?;
                let built = workshop.build().and_then(|()| workshop.keep(number));
                workshop.remove(mutant)?;
                let program = built.map_err(|error| format!("mutant `{}`: {error}", mutant.name))?;
                running.take().map_or(Ok(()), |trial| table.add(trial))?;
                let efforts = &efforts;
                let hunts = threads.spawn(move || {
                    efforts.iter().map(|effort| fuzz(&program, *effort, &mutant.scenarios)).collect()
                });
                running = Some((mutant, hunts));
            }
            running.take().map_or(Ok(()), |trial| table.add(trial))
        })?;
        let caught = table.caught.iter().map(u64::to_string).collect::<Vec<_>>().join(" and ");
        println!(
            "\n{caught} of {} caught, in {:.0} min",
            mutants.len(),
            begun.elapsed().as_secs_f64() / 60.0
        );
        Ok(())
    }

    /// A mutant, and what becomes of it.
    type Trial<'a> = (&'a Mutant, ScopedJoinHandle<'a, std::result::Result<Vec<Hunt>, String>>);

    /// What is written, row by row.
    struct Table {
        /// How many mutants each effort caught.
        caught: Vec<u64>,
    }

    impl Table {
        fn add(&mut self, (mutant, hunts): Trial<'_>) -> Result<()> {
            let hunts = hunts.join().map_err(|_| "a thread panicked")?;
            let hunts = hunts.map_err(|error| format!("mutant `{}`: {error}", mutant.name))?;
            let told: Vec<String> = hunts.iter().map(Hunt::cells).collect();
            println!("| `{}` | {} | {} |", mutant.name, mutant.idea, told.join(" | "));
            for (count, hunt) in self.caught.iter_mut().zip(&hunts) {
                *count += u64::from(hunt.laws.is_some());
            }
            Ok(())
        }
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
                    let own = text.lines().nth(1).and_then(|line| line.strip_prefix(NAMES_SOME));
                    let own = own.map(|own| own.split(", ").map(str::to_owned).collect());
                    let scenarios = own.unwrap_or(SCENARIOS.map(str::to_owned).to_vec());
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
            let mut list = Command::new("git");
            list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
            let listed = list.current_dir(root).output()?;
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

        /// Puts what was built where the next build leaves it alone; `number` says which of two places.
        fn keep(&self, number: usize) -> Result<PathBuf> {
            let program = self.target.join(format!("trial-{}", number % 2));
            std::fs::copy(self.target.join("debug/examples/mutants"), &program)?;
            Ok(program)
        }
    }

    /// Has `program` try seeds until a law is broken.
    fn fuzz(program: &Path, effort: Effort, scenarios: &[String]) -> std::result::Result<Hunt, String> {
        let mut program = Command::new(program);
        program.args(["--fuzz", "--seeds", &effort.seeds_max.to_string()]);
        program.args(["--cpu-s", &effort.cpu_s_max.to_string()]).args(effort.guide.then_some("--guide"));
        program.args(scenarios.iter().flat_map(|name| ["--scenario", name]));
        let output = program.stderr(Stdio::null()).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout);
        let mut words = said.trim_end_matches('\n').splitn(3, ' ');
        let numbers = (
            words.next().and_then(|word| word.parse().ok()),
            words.next().and_then(|word| word.parse().ok()),
        );
        match numbers {
            (Some(seeds), Some(cpu_s)) if output.status.success() => {
                let laws = words.next().filter(|laws| !laws.is_empty()).map(str::to_owned);
                Ok(Hunt { laws, seeds, cpu_s })
            }
            _ => Err(format!("it ended with {}", output.status)),
        }
    }
}
